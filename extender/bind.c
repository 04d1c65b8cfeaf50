/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/bind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "extender/counters.h"
#include "extender/encode.h"
#include "extender/recheck.h"
#include "kube/api.h"
#include "kube/binding.h"
#include "kube/object.h"
#include "kube/worker.h"
#include "net/http.h"

enum {
    LOOK_EVERY_MS = 5,     /* while a call waits for its node, or for its pod to be known */
    KNOWN_WITHIN_MS = 250, /* a pod that kube-scheduler knows and we do not yet */
    SEEN_WITHIN_MS = 5000, /* after a binding: longer the node does not wait for the watch */
    MARGIN_MS = 500,       /* of net/, should we not answer */
};

#define MS UINT64_C(1000000)

enum stage { WAITS, IS_POSTED, IS_LOOKED_UP };

/* One call of the verb, in the arena of its request. */
struct bind {
    struct bind *next; /* in the order in which they came */
    struct kube_task task;
    struct binder *binder;
    const struct http_request *req;
    struct http_reply *reply;
    struct kube_binding what;
    uint64_t deadline_ns;
    enum stage stage;
    bool was_known;         /* the pod, when it was looked at */
    struct kube_call *call; /* what is out */
    struct err why;         /* what the write came to, while the pod is looked up */
};

/* A pod that was bound and is not yet seen on its node. On the heap, its texts behind it. */
struct unseen {
    struct unseen *next;
    struct kube_binding what;
    bool was_known; /* there before it was bound: when it is not there now, it is gone */
    uint64_t until_ns;
};

struct binder {
    struct binder_options options;
    struct kube_worker *worker; /* everything below is its thread's */
    struct bind *first;
    struct unseen *unseen;
    struct kube_task stop_task;
};

/* ---- answers ---- */

static void unlink_bind(struct bind *c)
{
    struct bind **link = &c->binder->first;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
}

/* Empty `error`: it is bound. The call is gone afterwards. */
static void finish(struct bind *c, enum ext_bind_result result, const struct err *error)
{
    struct ext_counters *const counters = c->binder->options.counters;

    if (error)
        log_request(LOG_LEVEL_INFO, "extender", c->req->id, "%.*s/%.*s is not bound to %.*s: %s",
                    STR_ARG(c->what.ns), STR_ARG(c->what.pod), STR_ARG(c->what.node), error->text);
    unlink_bind(c);
    ext_encode_bind(c->reply, error ? error->text : "");
    ext_count_bind(counters, result, clock_monotonic_ns() - c->req->start_ns);
    http_finish(c->reply);
}

static void fail(struct bind *c, enum ext_bind_result result, const char *fmt, ...) PRINTF(3, 4);
static void fail(struct bind *c, enum ext_bind_result result, const char *fmt, ...)
{
    struct err err;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
    va_end(ap);
    finish(c, result, &err);
}

/* ---- which node is free ---- */

/* Seen there, or no longer the pod it was. */
static bool is_settled(const struct unseen *u, const struct cluster_snapshot *snapshot)
{
    struct cluster_pod room;
    const struct score_pod *const pod =
        cluster_snapshot_pod(snapshot, u->what.ns, u->what.pod, &room);

    return pod ? !str_eq(pod->uid, u->what.uid) || pod->node.n > 0 : u->was_known;
}

static void forget_settled(struct binder *b, const struct cluster_snapshot *snapshot,
                           uint64_t now_ns)
{
    struct unseen **link = &b->unseen;

    while (*link) {
        struct unseen *const u = *link;
        if (u->until_ns > now_ns && !is_settled(u, snapshot)) {
            link = &u->next;
            continue;
        }
        *link = u->next;
        free(u);
    }
}

static struct str put(char **at, struct str text)
{
    char *const p = memcpy(*at, text.p, text.n);

    *at += text.n;
    return (struct str){p, text.n};
}

/* Without memory the next binding there is checked without this one: kube-scheduler counts it. */
static void remember(struct binder *b, const struct kube_binding *what, bool was_known)
{
    const size_t bytes = what->ns.n + what->pod.n + what->uid.n + what->node.n;
    struct unseen *const u = malloc(sizeof(*u) + bytes);

    if (!u)
        return;
    char *at = (char *)(u + 1);
    *u = (struct unseen){
        .next = b->unseen,
        .what = {put(&at, what->ns), put(&at, what->pod), put(&at, what->uid),
                 put(&at, what->node)},
        .was_known = was_known,
        .until_ns = clock_monotonic_ns() + SEEN_WITHIN_MS * MS,
    };
    b->unseen = u;
}

/* No binding before this one is under way there. */
static bool is_free(const struct bind *c)
{
    for (const struct bind *o = c->binder->first; o != c; o = o->next)
        if (str_eq(o->what.node, c->what.node))
            return false;
    for (const struct unseen *u = c->binder->unseen; u; u = u->next)
        if (str_eq(u->what.node, c->what.node))
            return false;
    return true;
}

/* ---- the API server ---- */

static uint32_t left_ms(const struct bind *c)
{
    const uint64_t now_ns = clock_monotonic_ns();

    return now_ns < c->deadline_ns ? (uint32_t)((c->deadline_ns - now_ns) / MS) : 0;
}

static void bound(struct bind *c, enum ext_bind_result result)
{
    struct binder *const b = c->binder;

    remember(b, &c->what, c->was_known);
    finish(c, result, NULL);
    kube_worker_tick_in(b->worker, 0); /* somebody may wait for the node */
}

static void on_pod(void *ctx, const struct kube_answer *answer)
{
    struct bind *const c = ctx;
    struct score_pod pod;
    struct err err = answer->err;

    c->call = NULL;
    if (err.code == 0)
        err.code = kube_pod_decode(&pod, answer->body, c->req->arena, &err);
    if (err.code)
        fail(c, EXT_BIND_FAILED, "numawise: %s; what came of it is not known: %s", c->why.text,
             err.text);
    else if (!str_eq(pod.uid, c->what.uid))
        fail(c, EXT_BIND_CONFLICT, "numawise: another pod has this name now");
    else if (str_eq(pod.node, c->what.node))
        bound(c, EXT_BIND_ALREADY);
    else if (pod.node.n)
        fail(c, EXT_BIND_CONFLICT, "numawise: already bound to %.*s", STR_ARG(pod.node));
    else
        fail(c, EXT_BIND_FAILED, "numawise: %s", c->why.text);
}

/* Asked because a write was refused, or nobody knows what came of it. */
static void look_up(struct bind *c)
{
    CLEANUP(buf_free) struct buf path = {0};
    struct err err = {0};

    kube_binding_pod_path(&path, &c->what);
    const struct kube_request request = {
        .method = KUBE_GET, .path = path.p, .timeout_ms = left_ms(c) + 1, .done = on_pod, .ctx = c};
    c->stage = IS_LOOKED_UP;
    if (path.failed || left_ms(c) == 0)
        fail(c, EXT_BIND_FAILED, "numawise: %s; no time to look what came of it", c->why.text);
    else if (kube_api_send(kube_worker_api(c->binder->worker), &request, &c->call, &err))
        fail(c, EXT_BIND_FAILED, "numawise: %s; what came of it is not known: %s", c->why.text,
             err.text);
}

static void on_posted(void *ctx, const struct kube_answer *answer)
{
    struct bind *const c = ctx;

    c->call = NULL;
    c->why = answer->err;
    if (answer->err.code == 0)
        bound(c, EXT_BIND_BOUND);
    else if (answer->err.code == -ENOENT || answer->err.code == -EACCES ||
             answer->err.code == -EINVAL)
        fail(c, EXT_BIND_FAILED, "numawise: %s", answer->err.text);
    else
        look_up(c);
}

/* Two thirds of the time that is left, so that there is some to look what came of it. */
static void post(struct bind *c, struct str zones)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf body = {0};
    struct err err = {0};

    kube_binding_path(&path, &c->what);
    kube_binding_encode(&body, &c->what, BIND_ZONES_ANNOTATION, zones);
    const struct kube_request request = {.method = KUBE_POST,
                                         .path = path.p,
                                         .body = buf_view(&body),
                                         .timeout_ms = left_ms(c) * 2 / 3 + 1,
                                         .done = on_posted,
                                         .ctx = c};
    c->stage = IS_POSTED;
    if (path.failed || body.failed)
        fail(c, EXT_BIND_FAILED, "numawise: no memory to bind");
    else if (kube_api_send(kube_worker_api(c->binder->worker), &request, &c->call, &err))
        fail(c, EXT_BIND_FAILED, "numawise: %s", err.text);
}

/* ---- a call whose turn it is ---- */

static void check_and_post(struct bind *c, const struct cluster_snapshot *snapshot,
                           const struct score_pod *pod)
{
    const struct decide_options options = c->binder->options.judge(c->binder->options.ctx);
    struct recheck r = {.verdict = SCORE_UNKNOWN};
    struct err err = {0};

    c->was_known = pod != NULL;
    if (!pod)
        atomic_fetch_add(&c->binder->options.counters->binds_unchecked, 1);
    else if (recheck(&r, snapshot, pod, c->what.node, &options, c->req->arena, &err)) {
        fail(c, EXT_BIND_FAILED, "numawise: %s", err.text);
        return;
    }
    if (r.verdict == SCORE_REJECTED && options.mode != DECIDE_SHADOW)
        fail(c, EXT_BIND_REJECTED, "numawise: %s on %.*s: %.*s", score_reason_text(r.reason),
             STR_ARG(c->what.node), STR_ARG(r.why));
    else
        post(c, r.zones);
}

/* False: it goes on waiting. */
static bool begin(struct bind *c, const struct cluster_snapshot *snapshot, uint64_t now_ns)
{
    struct cluster_pod room;
    const struct score_pod *pod = cluster_snapshot_pod(snapshot, c->what.ns, c->what.pod, &room);

    if (pod && !str_eq(pod->uid, c->what.uid))
        pod = NULL; /* the one before it, or after it: the API server will say */
    if (pod && pod->node.n) {
        if (str_eq(pod->node, c->what.node))
            finish(c, EXT_BIND_ALREADY, NULL);
        else
            fail(c, EXT_BIND_CONFLICT, "numawise: already bound to %.*s", STR_ARG(pod->node));
        return true;
    }
    if (!is_free(c) || (!pod && now_ns < c->req->start_ns + KNOWN_WITHIN_MS * MS))
        return false;
    check_and_post(c, snapshot, pod);
    return true;
}

static void go_on(struct binder *b)
{
    struct cluster_snapshot *const snapshot = cluster_get(b->options.cluster);
    const uint64_t now_ns = clock_monotonic_ns();
    bool waits = false;

    forget_settled(b, snapshot, now_ns);
    for (struct bind *c = b->first, *next; c; c = next) {
        next = c->next;
        if (c->stage != WAITS || begin(c, snapshot, now_ns))
            continue;
        if (left_ms(c) < b->options.bind_ms / 4)
            fail(c, EXT_BIND_BUSY, "numawise: an earlier binding to %.*s is not through",
                 STR_ARG(c->what.node));
        else
            waits = true;
    }
    cluster_snapshot_unref(snapshot);
    if (waits)
        kube_worker_tick_in(b->worker, LOOK_EVERY_MS);
}

static void on_tick(void *ctx)
{
    go_on(ctx);
}

static void on_taken(void *ctx)
{
    struct bind *const c = ctx;
    struct bind **link = &c->binder->first;

    while (*link)
        link = &(*link)->next;
    *link = c;
    go_on(c->binder);
}

void binder_take(struct binder *b, const struct http_request *req, struct http_reply *reply)
{
    struct bind *const c = arena_array(req->arena, 1, sizeof(*c));
    struct err err = {0};
    const int rc = c ? kube_binding_decode(&c->what, req->body, req->arena, &err) : -ENOMEM;

    if (rc) {
        log_request(LOG_LEVEL_WARN, "extender", req->id, "answered %d: %s",
                    rc == -ENOMEM ? 503 : 400, c ? err.text : "no memory");
        http_status(reply, rc == -ENOMEM ? 503 : 400);
        ext_count_request(b->options.counters, EXT_BIND, rc == -ENOMEM ? EXT_503 : EXT_400,
                          clock_monotonic_ns() - req->start_ns);
        return;
    }
    c->binder = b;
    c->req = req;
    c->reply = reply;
    c->deadline_ns = req->start_ns + b->options.bind_ms * MS;
    c->task = (struct kube_task){.run = on_taken, .ctx = c};
    http_defer(reply, b->options.bind_ms + MARGIN_MS);
    kube_worker_post(b->worker, &c->task);
}

/* ---- life ---- */

static void on_stop(void *ctx)
{
    struct binder *const b = ctx;

    while (b->first) {
        struct bind *const c = b->first;
        if (c->call)
            kube_call_cancel(c->call);
        fail(c, EXT_BIND_FAILED, "numawise: the program ends%s",
             c->stage == WAITS ? "" : "; what came of the binding is not known");
    }
}

int binder_new(struct binder **out, const struct binder_options *options, struct err *err)
{
    struct binder *const b = calloc(1, sizeof(*b));

    if (!b)
        return err_set(err, -ENOMEM, "no memory for the verb bind");
    b->options = *options;
    const int rc = kube_worker_new(&b->worker, options->access, on_tick, b, err);
    if (rc)
        free(b);
    else
        *out = b;
    return rc;
}

void binder_stop(struct binder *b)
{
    if (!b->worker)
        return; /* stopped before */
    b->stop_task = (struct kube_task){.run = on_stop, .ctx = b};
    kube_worker_post(b->worker, &b->stop_task);
    kube_worker_free(b->worker);
    b->worker = NULL;
}

void binder_free(struct binder *b)
{
    if (!b)
        return;
    binder_stop(b);
    for (struct unseen *u = b->unseen, *next; u; u = next) {
        next = u->next;
        free(u);
    }
    free(b);
}
