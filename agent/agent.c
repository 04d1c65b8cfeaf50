/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/follow.h"
#include "agent/generation.h"
#include "agent/look.h"
#include "agent/pace.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "kube/api.h"
#include "kube/object.h"
#include "kube/reflector.h"
#include "kube/watch.h"

#define REPORTS "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/"
#define MS      UINT64_C(1000000)

enum {
    ANSWER_MS = 10000,
    HALF_MOST = 20,  /* looks in a row that find a file half written, before it counts as broken */
    OLD_MS = 300000, /* topology.maxAge, as it is where nobody has set it */
    STUCK_MS = 180000, /* three polls */
    SAID_BYTES = 512,
};

/* What a report may lack, with its name in the metrics. */
enum lack { LACK_SETTINGS, LACK_RESERVED, LACK_PLACEMENTS, LACK_DEVICES, LACKS };
static const char *const lack_names[LACKS] = {"settings", "reserved-cpus", "placements", "devices"};

enum source { SOURCE_MACHINE, SOURCE_KUBELET, SOURCE_NODE, SOURCE_REPORT, SOURCES };
static const char *const source_names[SOURCES] = {"machine", "kubelet", "node", "report"};

enum result { RESULT_OK, RESULT_AGAIN, RESULT_FAILED, RESULTS };
static const char *const result_names[RESULTS] = {"ok", "again", "failed"};

struct figures {
    atomic_ullong written, failed, reads[SOURCES][RESULTS];
    atomic_bool lacks[LACKS];
    atomic_llong written_us;             /* Unix time; 0 = never */
    atomic_ullong written_ns, turned_ns; /* monotonic; 0 = never */
};

struct agent {
    const struct agent_options *options;
    struct kube_api *api;
    struct agent_follow *follow;
    struct agent_look look;
    struct agent_pace pace;
    struct event *timer;
    struct kube_call *call; /* at most one is out */
    struct buf owner;       /* uid of the Node; empty = not known */
    bool owner_is_fresh;    /* read since the last write */
    bool recounts;          /* the Node is to be read again before the next look */
    uint32_t missing;       /* devices in the last look */
    bool report_is_read;    /* what an agent before this one wrote */
    uint64_t generation;    /* of the last try to write */
    struct buf last, next;  /* what was written, and is to be: without time and generation */
    unsigned halves;
    char said[SAID_BYTES], lacking[SAID_BYTES]; /* logged last */
    struct figures figures;
};

static uint64_t now_ns(void)
{
    return clock_monotonic_ns() | 1; /* 0 means never */
}

static void turn(struct agent *a);

static void wait_on(struct agent *a)
{
    const uint64_t now = now_ns(), due = agent_pace_due(&a->pace);
    const uint64_t us = due > now ? (due - now) / 1000 + 1 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    (void)evtimer_add(a->timer, &t);
}

/* --- what is said --- */

/* A text that was said last is not said again. */
static void say(char said[SAID_BYTES], const char *text)
{
    if (strncmp(said, text, SAID_BYTES - 1) == 0)
        return;
    (void)snprintf(said, SAID_BYTES, "%s", text);
    if (text[0])
        log_line(LOG_LEVEL_WARN, "agent", "%s", text);
}

static void count(struct agent *a, enum source source, enum result result)
{
    atomic_fetch_add(&a->figures.reads[source][result], 1);
}

/* `retry_after_ms` -1 = nobody said. */
static void put_off(struct agent *a, const struct err *err, int64_t retry_after_ms)
{
    say(a->said, err->text);
    agent_pace_failed(&a->pace, now_ns(), retry_after_ms);
}

static void note_lacks(struct agent *a, bool placed)
{
    const struct agent_facts *const f = &a->look.facts;
    const bool lacks[LACKS] = {
        [LACK_SETTINGS] = f->n_attributes == 0,
        [LACK_RESERVED] = !f->reserved,
        [LACK_PLACEMENTS] = !placed,
        [LACK_DEVICES] = !f->has_devices,
    };
    char text[SAID_BYTES];

    for (int i = 0; i < LACKS; i++)
        atomic_store(&a->figures.lacks[i], lacks[i]);
    (void)snprintf(text, sizeof(text), f->lacking.n ? "left out, not known: %.*s" : "%.*s",
                   STR_ARG(f->lacking));
    say(a->lacking, text);
}

/* --- asking --- */

static int ask(struct agent *a, enum kube_method method, const char *path, struct str body,
               void (*done)(void *ctx, const struct kube_answer *answer), struct err *err)
{
    const struct kube_request request = {.method = method,
                                         .path = path,
                                         .body = body,
                                         .content_type = KUBE_APPLY_PATCH,
                                         .timeout_ms = ANSWER_MS,
                                         .done = done,
                                         .ctx = a};

    return kube_api_send(a->api, &request, &a->call, err);
}

/* GET `prefix` and the node's name. */
static void ask_for(struct agent *a, const char *prefix,
                    void (*done)(void *ctx, const struct kube_answer *answer))
{
    struct buf path = {0};
    struct err err = {0};

    buf_printf(&path, "%s%s", prefix, a->options->node);
    const int rc = path.failed ? err_set(&err, -ENOMEM, "no memory")
                               : ask(a, KUBE_GET, path.p, (struct str){0}, done, &err);
    buf_free(&path);
    if (rc) {
        put_off(a, &err, -1);
        wait_on(a);
    }
}

/* How many devices its kubelet counts. A Node that says nothing of it makes less known. */
static void read_capacity(struct agent *a, struct str body)
{
    enum { ROOM_BYTES = 256 * 1024 };
    void *const room = malloc(ROOM_BYTES);
    struct kube_node node = {.n_capacity = 0};
    struct arena arena;

    if (room) {
        arena_init(&arena, room, ROOM_BYTES);
        if (kube_node_decode(&node, body, &arena, NULL))
            node.n_capacity = 0;
    }
    if (agent_sick_capacity(&a->look.sick, node.capacity, node.n_capacity))
        log_line(LOG_LEVEL_WARN, "agent", "no memory for the capacity of the Node");
    free(room);
}

static void on_node(void *ctx, const struct kube_answer *answer)
{
    struct agent *const a = ctx;
    struct err err = answer->err;
    struct kube_name name;

    a->call = NULL;
    if (err.code == 0 && (!kube_name_read(&name, answer->body) || name.uid.n == 0))
        (void)err_set(&err, -EPROTO, "the Node %s has no uid", a->options->node);
    if (err.code == 0)
        read_capacity(a, answer->body);
    count(a, SOURCE_NODE, err.code ? RESULT_FAILED : RESULT_OK);
    if (err.code) {
        put_off(a, &err, answer->retry_after_ms);
    } else {
        buf_free(&a->owner);
        buf_str(&a->owner, name.uid);
        a->owner_is_fresh = true;
        a->recounts = false;
    }
    turn(a);
}

/* There may be none yet. */
static void on_report(void *ctx, const struct kube_answer *answer)
{
    struct agent *const a = ctx;
    const bool good = answer->err.code == 0 || answer->err.code == -ENOENT;

    a->call = NULL;
    count(a, SOURCE_REPORT, good ? RESULT_OK : RESULT_FAILED);
    a->report_is_read = good;
    if (!good)
        put_off(a, &answer->err, answer->retry_after_ms);
    else if (answer->err.code == 0)
        a->generation = agent_generation(answer->body);
    turn(a);
}

/* --- writing --- */

static void on_written(void *ctx, const struct kube_answer *answer)
{
    struct agent *const a = ctx;
    const struct buf spare = a->last;

    a->call = NULL;
    if (answer->err.code) {
        atomic_fetch_add(&a->figures.failed, 1);
        put_off(a, &answer->err, answer->retry_after_ms);
    } else {
        atomic_fetch_add(&a->figures.written, 1);
        atomic_store(&a->figures.written_us, clock_realtime_us());
        atomic_store(&a->figures.written_ns, now_ns());
        if (a->last.n == 0 || a->said[0])
            log_line(LOG_LEVEL_INFO, "agent", "%s: published, generation %llu", a->options->node,
                     (unsigned long long)a->generation);
        a->said[0] = 0;
        a->last = a->next;
        a->next = spare;
        a->owner_is_fresh = false;
        agent_pace_wrote(&a->pace, now_ns());
    }
    turn(a);
}

static void write_report(struct agent *a, struct agent_label label)
{
    struct buf path = {0}, body = {0};
    struct err err = {0};

    label.generation = ++a->generation; /* also where nobody knows what became of a try */
    agent_look_emit(&body, &a->look, &label);
    buf_printf(&path, REPORTS "%s?fieldManager=numawise-agent&force=true", a->options->node);
    const int rc = path.failed || body.failed
                       ? err_set(&err, -ENOMEM, "no memory")
                       : ask(a, KUBE_PATCH, path.p, buf_view(&body), on_written, &err);
    buf_free(&path);
    buf_free(&body);
    if (rc)
        put_off(a, &err, -1);
}

/* --- looking --- */

/* A device that is not said any more is sick or gone, as the Node says some seconds later. */
static void recount(struct agent *a)
{
    const uint32_t missing = a->look.sick.missing;

    if (missing != a->missing)
        agent_pace_recount(&a->pace, now_ns());
    a->missing = missing;
    a->recounts = missing > 0;
}

/* False: there is nothing to publish. */
static bool look(struct agent *a)
{
    struct err err = {0};
    const int rc = agent_look_read(&a->look, &a->options->paths, agent_follow_names(a->follow),
                                   clock_realtime_us(), &err);

    agent_pace_looked(&a->pace, now_ns());
    count(a, SOURCE_KUBELET, rc == 0 ? RESULT_OK : rc == -EAGAIN ? RESULT_AGAIN : RESULT_FAILED);
    a->halves = rc == -EAGAIN ? a->halves + 1 : 0;
    if (rc == -EAGAIN && a->halves < HALF_MOST)
        agent_pace_again(&a->pace, now_ns());
    else if (rc)
        put_off(a, &err, -1);
    if (rc == 0)
        recount(a);
    return rc == 0;
}

static void look_and_write(struct agent *a)
{
    const struct kube_reflector *const pods = agent_follow_reflector(a->follow);
    const bool is_followed = pods->state.synced && pods->state.trouble == KUBE_REFLECT_FINE;
    struct agent_label label = {.node = str_of(a->options->node),
                                .owner_uid = buf_view(&a->owner),
                                .all_pods = is_followed,
                                .json = true};

    if (!look(a) || agent_pace_awaits(&a->pace, now_ns(), is_followed && a->look.unnamed > 0))
        return;
    note_lacks(a, a->look.facts.has_holdings && (is_followed || a->look.unnamed == 0));
    a->next.n = 0;
    agent_look_emit(&a->next, &a->look, &label);
    if (a->next.failed)
        buf_free(&a->next);
    if (!str_eq(buf_view(&a->next), buf_view(&a->last)) || a->next.n == 0 ||
        agent_pace_must_write(&a->pace, now_ns()))
        write_report(a, label);
}

/* The first list of the pods is on its way; it tells when it is through, or cannot be had. */
static bool is_listing(const struct agent *a)
{
    const struct kube_reflector_state *const pods = &agent_follow_reflector(a->follow)->state;

    return !pods->synced && pods->trouble == KUBE_REFLECT_FINE;
}

/* What is due now, until an answer or a moment has to be waited for. */
static void turn(struct agent *a)
{
    const uint64_t now = now_ns();

    atomic_store(&a->figures.turned_ns, now);
    if (a->call || is_listing(a))
        return;
    if (now >= agent_pace_due(&a->pace)) {
        if (a->owner.n == 0 || a->recounts ||
            (agent_pace_must_write(&a->pace, now) && !a->owner_is_fresh)) {
            ask_for(a, "/api/v1/nodes/", on_node);
            return;
        }
        if (!a->report_is_read) {
            ask_for(a, REPORTS, on_report);
            return;
        }
        look_and_write(a);
    }
    if (!a->call)
        wait_on(a);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    turn(ctx);
}

/* --- agent.h --- */

void agent_changed(struct agent *a)
{
    agent_pace_changed(&a->pace, now_ns());
    if (!a->call)
        wait_on(a);
}

static void on_pods(void *ctx)
{
    agent_changed(ctx);
}

void agent_rediscover(struct agent *a)
{
    struct err err = {0};
    const int rc = agent_look_discover(&a->look, &a->options->machine, &err);

    count(a, SOURCE_MACHINE, rc ? RESULT_FAILED : RESULT_OK);
    if (rc)
        log_line(LOG_LEVEL_ERROR, "agent", "the machine stays as it was discovered before: %s",
                 err.text);
    agent_changed(a);
}

static int start(struct agent *a, struct event_base *base, struct err *err)
{
    int rc = agent_look_init(&a->look, err);

    if (rc == 0)
        rc = agent_look_discover(&a->look, &a->options->machine, err);
    if (rc)
        return rc;
    count(a, SOURCE_MACHINE, RESULT_OK);
    agent_pace_init(&a->pace, now_ns(), now_ns() ^ (uintptr_t)a);
    a->timer = evtimer_new(base, on_timer, a);
    if (!a->timer)
        return err_set(err, -ENOMEM, "no memory for the agent");
    rc = agent_follow_new(&a->follow, base, a->api, a->options->node, on_pods, a, err);
    if (rc == 0)
        wait_on(a);
    return rc;
}

int agent_new(struct agent **out, struct event_base *base, struct kube_api *api,
              const struct agent_options *options, struct err *err)
{
    struct agent *const a = calloc(1, sizeof(*a));

    if (!a)
        return err_set(err, -ENOMEM, "no memory for the agent");
    a->options = options;
    a->api = api;
    atomic_store(&a->figures.turned_ns, now_ns());
    const int rc = start(a, base, err);
    if (rc) {
        agent_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    if (a->call)
        kube_call_cancel(a->call);
    agent_follow_free(a->follow);
    if (a->timer)
        event_free(a->timer);
    agent_look_done(&a->look);
    buf_free(&a->owner);
    buf_free(&a->last);
    buf_free(&a->next);
    free(a);
}

/* --- from any thread --- */

bool agent_is_current(void *agent, char *why)
{
    const struct agent *const a = agent;
    const uint64_t then = atomic_load(&a->figures.written_ns), now = now_ns();

    if (then == 0)
        (void)snprintf(why, AGENT_WHY_BYTES, "nothing was published yet");
    else if (now > then)
        (void)snprintf(why, AGENT_WHY_BYTES, "what is published is %llu s old",
                       (unsigned long long)((now - then) / MS / 1000));
    return then && now < then + OLD_MS * MS;
}

bool agent_is_alive(void *agent, char *why)
{
    const struct agent *const a = agent;

    (void)snprintf(why, AGENT_WHY_BYTES, "its loop has not turned for minutes");
    return now_ns() < atomic_load(&a->figures.turned_ns) + STUCK_MS * MS;
}

static void put_reads(const struct agent *a, struct buf *out)
{
    static const char name[] = "numawise_agent_reads_total";

    metric_family(out, name, "counter",
                  "What was read, by source; again: a file was half written.");
    for (int s = 0; s < SOURCES; s++)
        for (int r = 0; r < RESULTS; r++)
            buf_printf(out, "%s{source=\"%s\",result=\"%s\"} %llu\n", name, source_names[s],
                       result_names[r], (unsigned long long)atomic_load(&a->figures.reads[s][r]));
}

void agent_metrics(void *agent, struct buf *out)
{
    static const char written[] = "numawise_agent_publications_total",
                      lacking[] = "numawise_agent_lacking";
    const struct agent *const a = agent;

    metric_family(out, written, "counter", "Writes of the NodeResourceTopology.");
    buf_printf(out, "%s{result=\"written\"} %llu\n%s{result=\"failed\"} %llu\n", written,
               (unsigned long long)atomic_load(&a->figures.written), written,
               (unsigned long long)atomic_load(&a->figures.failed));
    put_reads(a, out);
    metric_family(out, lacking, "gauge", "1: not known, and left out of what is published.");
    for (int i = 0; i < LACKS; i++)
        buf_printf(out, "%s{what=\"%s\"} %d\n", lacking, lack_names[i],
                   atomic_load(&a->figures.lacks[i]));
    metric_gauge(out, "numawise_agent_last_publication_timestamp_seconds",
                 "When it last wrote, Unix time; 0: not yet.",
                 (double)atomic_load(&a->figures.written_us) / 1e6);
}
