/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/siphash.h"
#include "kube/api.h"
#include "kube/emit.h"

enum {
    INSTANCE_BYTES = 128, /* the API server's bounds */
    NOTE_BYTES = 1024,
    NODE_BYTES = 200, /* of a name of 253 */
};

#define S      UINT64_C(1000000000)
#define EVENTS "/apis/events.k8s.io/v1/namespaces/%.*s/events"

enum result { SENT, REPEATED, DROPPED, FAILED, FORBIDDEN, RESULTS };

/* One that was told lately. */
struct known {
    uint64_t key; /* 0 = none */
    uint64_t told_ns;
    uint32_t count; /* of its series */
    bool is_there;  /* the API server has it */
};

struct sending {
    struct sending *next;
    struct recorder *recorder;
    struct kube_call *call;
    uint64_t key;
    struct buf ns, name, body; /* body: of a new one */
    bool is_patch;
};

struct recorder {
    struct kube_api *api;
    char instance[INSTANCE_BYTES + 1];
    struct known known[RECORDER_KNOWN];
    struct sending *out;
    uint64_t tokens_ns, refilled_ns; /* RECORDER_EVERY_S an Event */
    uint64_t forbidden_until_ns;
    bool said;
    atomic_uint_fast64_t results[RESULTS];
};

static uint64_t key_of(const struct recorder_event *event)
{
    /* The same everywhere: two replicas tell the same Event. */
    static const uint64_t key[2] = {0x6e756d6177697365, 0x6576656e74732e31};
    const struct str reason = str_of(event->reason);

    if (event->node.n == 0)
        return (siphash13(key, reason) ^ siphash13(key, event->pod_uid)) | 1;
    return (siphash13(key, reason) ^ siphash13(key, event->node)) | 1;
}

/* What has no namespace is told of in this one. */
static struct str namespace_of(const struct recorder_event *event)
{
    return event->node.n ? STR("default") : event->pod_ns;
}

void recorder_name(struct buf *out, const struct recorder_event *event)
{
    const struct str whose = event->node.n ? event->node : event->pod;
    const size_t n = whose.n < NODE_BYTES ? whose.n : NODE_BYTES;

    buf_printf(out, "%.*s.%016" PRIx64, (int)n, whose.p, key_of(event));
}

static void put_reference(struct emit *e, const char *kind, struct str ns, struct str name,
                          struct str uid)
{
    emit_object(e);
    emit_key(e, "apiVersion"), emit_words(e, "v1");
    emit_key(e, "kind"), emit_words(e, kind);
    if (ns.n)
        emit_key(e, "namespace"), emit_text(e, ns);
    emit_key(e, "name"), emit_text(e, name);
    emit_key(e, "uid"), emit_text(e, uid);
    emit_end(e);
}

/* Of a node the uid is its name, as in the kubelet's Events: `kubectl describe node` shows them. */
void recorder_encode(struct buf *out, const struct recorder_event *event, struct str instance,
                     int64_t now_us)
{
    CLEANUP(buf_free) struct buf name = {0};
    struct str note = event->note;
    struct emit e;

    if (note.n > NOTE_BYTES)
        note.n = NOTE_BYTES;
    while (note.n < event->note.n && note.n && (note.p[note.n] & 0xc0) == 0x80)
        note.n--; /* not inside of a character */
    recorder_name(&name, event);
    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "events.k8s.io/v1");
    emit_key(&e, "kind"), emit_words(&e, "Event");
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, buf_view(&name));
    emit_key(&e, "namespace"), emit_text(&e, namespace_of(event));
    emit_end(&e);
    emit_key(&e, "eventTime"), emit_time(&e, now_us);
    emit_key(&e, "reportingController"), emit_words(&e, RECORDER_CONTROLLER);
    emit_key(&e, "reportingInstance"), emit_text(&e, instance);
    emit_key(&e, "type"), emit_words(&e, "Warning");
    emit_key(&e, "reason"), emit_words(&e, event->reason);
    emit_key(&e, "action"), emit_words(&e, event->action);
    if (event->node.n)
        emit_key(&e, "regarding"), put_reference(&e, "Node", STR(""), event->node, event->node);
    if (event->pod.n) {
        emit_key(&e, event->node.n ? "related" : "regarding");
        put_reference(&e, "Pod", event->pod_ns, event->pod, event->pod_uid);
    }
    emit_key(&e, "note"), emit_text(&e, note);
    emit_end(&e);
    out->failed = out->failed || name.failed;
}

/* ---- what is remembered ---- */

static struct known *find(struct recorder *r, uint64_t key)
{
    struct known *oldest = r->known;

    for (int i = 0; i < RECORDER_KNOWN; i++) {
        if (r->known[i].key == key)
            return &r->known[i];
        if (r->known[i].told_ns < oldest->told_ns)
            oldest = &r->known[i];
    }
    *oldest = (struct known){.key = key};
    return oldest;
}

static bool has_token(struct recorder *r, uint64_t now_ns)
{
    const uint64_t most = RECORDER_BURST * RECORDER_EVERY_S * S, more = now_ns - r->refilled_ns;

    r->tokens_ns = more > most - r->tokens_ns ? most : r->tokens_ns + more;
    r->refilled_ns = now_ns;
    if (r->tokens_ns < RECORDER_EVERY_S * S)
        return false;
    r->tokens_ns -= RECORDER_EVERY_S * S;
    return true;
}

static void count(struct recorder *r, enum result result)
{
    (void)atomic_fetch_add(&r->results[result], 1);
}

/* ---- sending ---- */

static void drop(struct sending *s)
{
    struct sending **link = &s->recorder->out;

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    buf_free(&s->ns);
    buf_free(&s->name);
    buf_free(&s->body);
    free(s);
}

static void forbid(struct recorder *r, const char *why)
{
    count(r, FORBIDDEN);
    r->forbidden_until_ns = clock_monotonic_ns() + RECORDER_FORBIDDEN_S * S;
    if (!r->said)
        log_line(LOG_LEVEL_INFO, "events",
                 "%s: no Events are written; the rule for them is {apiGroups: [events.k8s.io], "
                 "resources: [events], verbs: [create, patch]}",
                 why);
    r->said = true;
}

static void send(struct sending *s);

/* A new one that is there already, or one of a series that has expired: the other way once more. */
static void on_answer(void *ctx, const struct kube_answer *answer)
{
    struct sending *const s = ctx;
    struct recorder *const r = s->recorder;
    struct known *const k = find(r, s->key);
    const int rc = answer->err.code;

    s->call = NULL;
    if (rc == (s->is_patch ? -ENOENT : -EEXIST) && k->is_there == s->is_patch) {
        k->is_there = !s->is_patch;
        send(s);
        return;
    }
    if (rc == -EACCES)
        forbid(r, answer->err.text);
    else
        count(r, rc ? FAILED : SENT);
    if (rc == 0) {
        k->is_there = true;
        r->said = false;
    } else if (rc != -EACCES) {
        log_line(LOG_LEVEL_DEBUG, "events", "%s", answer->err.text);
    }
    drop(s);
}

static void patch_body(struct buf *out, uint32_t times)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "series"), emit_object(&e);
    emit_key(&e, "count"), emit_uint(&e, times < 2 ? 2 : times);
    emit_key(&e, "lastObservedTime"), emit_time(&e, clock_realtime_us());
    emit_end(&e);
    emit_end(&e);
}

static void send(struct sending *s)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf body = {0};
    struct recorder *const r = s->recorder;
    const struct known *const k = find(r, s->key);
    struct err err = {0};

    s->is_patch = k->is_there;
    buf_printf(&path, EVENTS, STR_ARG(buf_view(&s->ns)));
    if (s->is_patch) {
        buf_printf(&path, "/%.*s", STR_ARG(buf_view(&s->name)));
        patch_body(&body, k->count);
    } else {
        buf_str(&body, buf_view(&s->body));
    }
    const struct kube_request request = {
        .method = s->is_patch ? KUBE_PATCH : KUBE_POST,
        .path = path.p,
        .body = buf_view(&body),
        .content_type = s->is_patch ? KUBE_MERGE_PATCH : NULL,
        .done = on_answer,
        .ctx = s,
    };
    if (!path.failed && !body.failed && kube_api_send(r->api, &request, &s->call, &err) == 0)
        return;
    count(r, FAILED);
    drop(s);
}

void recorder_tell(struct recorder *r, const struct recorder_event *event, uint64_t now_ns)
{
    if (!r)
        return;
    const uint64_t key = key_of(event);
    struct known *const k = find(r, key);

    k->count++;
    if (k->told_ns && now_ns - k->told_ns < RECORDER_AGAIN_S * S) {
        count(r, REPEATED);
        return;
    }
    if (now_ns < r->forbidden_until_ns) {
        count(r, FORBIDDEN);
        return;
    }
    struct sending *const s = has_token(r, now_ns) ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        count(r, DROPPED);
        return;
    }
    k->told_ns = now_ns;
    *s = (struct sending){.next = r->out, .recorder = r, .key = key};
    r->out = s;
    buf_str(&s->ns, namespace_of(event));
    recorder_name(&s->name, event);
    recorder_encode(&s->body, event, str_of(r->instance), clock_realtime_us());
    if (!s->ns.failed && !s->name.failed && !s->body.failed) {
        send(s);
        return;
    }
    count(r, DROPPED);
    drop(s);
}

/* ---- life ---- */

int recorder_new(struct recorder **out, struct kube_api *api, struct err *err)
{
    struct recorder *const r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(err, -ENOMEM, "no memory for Events");
    r->api = api;
    if (gethostname(r->instance, INSTANCE_BYTES) || !r->instance[0])
        memcpy(r->instance, "numawise", sizeof("numawise"));
    *out = r;
    return 0;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    while (r->out) {
        if (r->out->call)
            kube_call_cancel(r->out->call);
        drop(r->out);
    }
    free(r);
}

void recorder_text(void *ctx, struct buf *out)
{
    static const char name[] = "numawise_events_total";
    static const char *const results[RESULTS] = {"sent", "repeated", "dropped", "failed",
                                                 "forbidden"};
    const struct recorder *const r = ctx;

    metric_family(out, name, "counter",
                  "Events about nodes: written; the same as one of the last minute; too many; not "
                  "taken; without the rule to write them.");
    for (int i = 0; i < RESULTS; i++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[i],
                   (unsigned long long)atomic_load(&r->results[i]));
}
