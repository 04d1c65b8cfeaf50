/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/extender.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "decide/crew.h"
#include "decide/doubts.h"
#include "decide/holds.h"
#include "decide/memo.h"
#include "decide/record.h"
#include "decide/report.h"
#include "decide/ring.h"
#include "extender/answered.h"
#include "extender/bind.h"
#include "extender/counters.h"
#include "extender/encode.h"
#include "extender/preempt.h"
#include "extender/retry.h"
#include "kube/extender_wire.h"
#include "kube/preempt_wire.h"
#include "kube/recorder.h"

enum {
    LOOK_EVERY_MS = 1,     /* while a refusal waits for newer state */
    LOOK_SHARE = 10,       /* of the time, one part may be spent so */
    LOOK_MOST = 10,        /* waits in a row that can be saved up */
    LOOK_MARGIN_MS = 5000, /* of net/, should we not answer */
};

/* How much of kube-scheduler's one loop may still be spent waiting. */
struct patience {
    uint64_t left_ns, asked_ns;
};

struct ext {
    struct cluster *cluster;
    struct ring *ring;
    struct binder *binder; /* NULL: bind is not served */
    struct retry *retry;   /* NULL: kube-scheduler asks again when it does */
    bool preempts;
    struct doubts *doubts;
    struct crew *crew;       /* NULL: the listener's thread judges alone */
    uint64_t second_look_ns; /* 0: a refusal is answered at once */
    struct memo *memo;       /* the listener's thread alone uses these five */
    struct holds *holds;
    uint64_t turn;
    struct patience patience;
    struct answered answered;
    atomic_uint mode, max_score, shortlist;
    atomic_bool sparse_scores, decide;
    atomic_int_fast64_t max_age_us;
    struct ext_counters counters;
};

int ext_new(struct ext **out, struct cluster *cluster, struct ring *ring,
            const struct ext_settings *settings, struct err *err)
{
    struct ext *const e = calloc(1, sizeof(*e));

    if (!e)
        return err_set(err, -ENOMEM, "no memory for the extender");
    int rc = memo_new(&e->memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, err);
    if (rc == 0)
        rc = holds_new(&e->holds, LIMIT_HOLD_MS * UINT64_C(1000000), err);
    if (rc == 0)
        rc = doubts_new(&e->doubts, LIMIT_DOUBT_MS * UINT64_C(1000000), err);
    if (rc) {
        ext_free(e);
        return rc;
    }
    e->cluster = cluster;
    e->ring = ring;
    ext_set(e, settings);
    *out = e;
    return 0;
}

void ext_free(struct ext *e)
{
    if (!e)
        return;
    binder_free(e->binder);
    retry_free(e->retry);
    crew_free(e->crew);
    memo_free(e->memo);
    holds_free(e->holds);
    doubts_free(e->doubts);
    answered_done(&e->answered);
    free(e);
}

void ext_set(struct ext *e, const struct ext_settings *settings)
{
    atomic_store(&e->mode, (unsigned)settings->mode);
    atomic_store(&e->max_score, settings->max_score);
    atomic_store(&e->shortlist, settings->shortlist);
    atomic_store(&e->decide, settings->decide);
    atomic_store(&e->sparse_scores, settings->sparse_scores);
    atomic_store(&e->max_age_us, settings->max_age_us);
}

/* For bind and retry, on their threads, and for preempt: nothing is left out or remembered. */
static struct decide_options options_of_acting(void *ctx)
{
    struct ext *const e = ctx;

    return (struct decide_options){
        .mode = (enum decide_mode)atomic_load(&e->mode),
        .max_score = atomic_load(&e->max_score),
        .context = {.now_us = clock_realtime_us(), .max_age_us = atomic_load(&e->max_age_us)},
    };
}

int ext_add_bind(struct ext *e, const struct kube_access *access, uint32_t bind_ms, struct err *err)
{
    const struct binder_options options = {.access = access,
                                           .cluster = e->cluster,
                                           .counters = &e->counters,
                                           .bind_ms = bind_ms,
                                           .judge = options_of_acting,
                                           .ctx = e};

    return binder_new(&e->binder, &options, err);
}

int ext_add_retry(struct ext *e, const struct kube_access *access, const char *object,
                  struct err *err)
{
    const struct retry_options options = {.access = access,
                                          .cluster = e->cluster,
                                          .counters = &e->counters,
                                          .object = object,
                                          .judge = options_of_acting,
                                          .ctx = e};

    return retry_new(&e->retry, &options, err);
}

int ext_add_crew(struct ext *e, uint32_t threads, struct err *err)
{
    return threads > 1 ? crew_new(&e->crew, threads - 1, CREW_LEAST, err) : 0;
}

void ext_add_second_look(struct ext *e, uint32_t ms)
{
    e->second_look_ns = ms * UINT64_C(1000000);
}

void ext_add_preempt(struct ext *e)
{
    e->preempts = true;
}

void ext_stop(struct ext *e)
{
    if (e->binder)
        binder_stop(e->binder);
}

/*
 * Prioritize is asked about what filter handed back: nothing more is left out there. Who is on its
 * way matters to scores, and filter has none where it leaves nobody out.
 */
static struct decide_options options_now(struct ext *e, enum ext_verb verb)
{
    const bool scores = verb == EXT_PRIORITIZE || atomic_load(&e->shortlist);

    return (struct decide_options){
        .mode = (enum decide_mode)atomic_load(&e->mode),
        .max_score = atomic_load(&e->max_score),
        .context = {.now_us = clock_realtime_us(), .max_age_us = atomic_load(&e->max_age_us)},
        .one = verb == EXT_PRIORITIZE && atomic_load(&e->decide),
        .shortlist = verb == EXT_FILTER ? atomic_load(&e->shortlist) : 0,
        .turn = verb == EXT_FILTER ? e->turn++ : 0,
        .memo = e->memo,
        .crew = e->crew,
        .holds = scores ? e->holds : NULL,
        .doubts = scores ? e->doubts : NULL,
    };
}

/* One call on its way through, in the arena of its request. */
struct call {
    struct ext *e;
    enum ext_verb verb;
    const struct http_request *req;
    struct http_reply *reply;
    struct kube_extender_args args;
    struct decide_ask ask;
    struct decide_options options;
    struct cluster_snapshot *snapshot; /* that of the decision; a reference */
    struct decision decision;
    uint64_t decided_ns;
    size_t mark;       /* of the arena, before the decision */
    uint64_t until_ns; /* how long it waits for newer state */
};

static void keep(struct call *c)
{
    const struct report report = {.ask = &c->ask, .decision = &c->decision, .options = &c->options};
    const unsigned verb = c->verb == EXT_FILTER ? RECORD_FILTER : RECORD_PRIORITIZE;

    if (c->e->ring && ring_add(c->e->ring, &report, verb, c->options.context.now_us))
        atomic_fetch_add(&c->e->counters.lost, 1);
}

/* What kube-scheduler will do with the answer, as far as that can be known. */
static void hold(const struct call *c, uint64_t now_ns)
{
    if (c->options.mode == DECIDE_SHADOW)
        return;
    if (c->verb == EXT_FILTER)
        holds_filtered(c->e->holds, &c->decision, &c->ask, now_ns);
    else
        holds_prioritized(c->e->holds, &c->decision, &c->ask, now_ns);
}

/* At verbosity 3: what /v1/decisions has in full. */
static void tell(const struct call *c)
{
    const struct score_pod *const pod = c->ask.pod;
    const uint32_t *const counts = c->decision.counts;

    if (pod && log_is_on(LOG_LEVEL_DEBUG))
        log_request(LOG_LEVEL_DEBUG, "extender", c->req->id,
                    "%s of %.*s/%.*s: %u nodes admit it, %u reject it, %u unknown",
                    c->verb == EXT_FILTER ? "filter" : "prioritize", STR_ARG(pod->ns),
                    STR_ARG(pod->name), counts[SCORE_ADMITTED], counts[SCORE_REJECTED],
                    counts[SCORE_UNKNOWN]);
}

static void encode(struct call *c)
{
    if (c->verb == EXT_PRIORITIZE) {
        ext_encode_prioritize(c->reply, &c->args, &c->decision, atomic_load(&c->e->sparse_scores));
        return;
    }
    ext_encode_filter(c->reply, &c->args, &c->decision, c->options.mode);
    answered_keep(&c->e->answered, &c->args, &c->decision, c->options.mode);
}

static enum ext_code refuse(struct call *c, int rc, const struct err *err)
{
    const bool is_full = rc == -ENOMEM;

    log_request(LOG_LEVEL_WARN, "extender", c->req->id, "answered %d: %s", is_full ? 503 : 400,
                err->text);
    http_status(c->reply, is_full ? 503 : 400);
    return is_full ? EXT_503 : EXT_400;
}

/* The decision, over the call's snapshot. */
static int decide(struct call *c, struct err *err)
{
    c->mark = arena_mark(c->req->arena);
    c->decided_ns = clock_monotonic_ns();
    holds_look(c->e->holds, c->snapshot, c->decided_ns);
    doubts_look(c->e->doubts, c->decided_ns);
    return decide_run(&c->decision, &c->ask, c->snapshot, &c->options, c->req->arena, err);
}

static void end(struct call *c, enum ext_code code)
{
    cluster_snapshot_unref(c->snapshot);
    ext_count_request(&c->e->counters, c->verb, code, clock_monotonic_ns() - c->req->start_ns);
}

static void answer(struct call *c)
{
    hold(c, c->decided_ns);
    encode(c);
    ext_count_decision(&c->e->counters, c->verb, &c->decision, c->options.mode);
    keep(c);
    tell(c);
    if (c->e->retry && c->verb == EXT_FILTER)
        retry_tell(c->e->retry, &c->decision, &c->ask, c->options.mode);
    end(c, EXT_200);
}

/* ---- a second look ---- */

/* Every node is refused, and for want of room: what is asked for may come free. */
static bool is_refused_for_now(const struct call *c)
{
    const struct decision *const d = &c->decision;

    return c->verb == EXT_FILTER && c->options.mode == DECIDE_ENFORCE && d->pass == DECIDE_JUDGED &&
           d->n > 0 && d->counts[SCORE_ADMITTED] == 0 && d->counts[SCORE_UNKNOWN] == d->refused &&
           score_request_refused(d->request) == SCORE_REASON_NONE;
}

/* May a call wait for so long? kube-scheduler has one loop, and waits with it. */
static bool has_patience(struct ext *e, uint64_t now_ns, uint64_t for_ns)
{
    struct patience *const p = &e->patience;
    const uint64_t most = LOOK_MOST * for_ns;
    const uint64_t more = (now_ns - p->asked_ns) / LOOK_SHARE;

    p->left_ns = p->left_ns + more > most ? most : p->left_ns + more;
    p->asked_ns = now_ns;
    return p->left_ns >= for_ns;
}

static void conclude(struct call *c, enum ext_look_result result)
{
    struct ext *const e = c->e;
    const uint64_t waited = clock_monotonic_ns() - (c->until_ns - e->second_look_ns);

    e->patience.left_ns -= waited < e->patience.left_ns ? waited : e->patience.left_ns;
    (void)atomic_fetch_add(&e->counters.looks[result], 1);
    answer(c);
    http_finish(c->reply);
}

/* Newer state than that of the decision; false: there is none. */
static bool take_newer(struct call *c)
{
    struct cluster_snapshot *const newest = cluster_get(c->e->cluster);

    if (newest == c->snapshot) {
        cluster_snapshot_unref(newest);
        return false;
    }
    cluster_snapshot_unref(c->snapshot);
    c->snapshot = newest;
    return true;
}

static void look_again(void *ctx, bool last)
{
    struct call *const c = ctx;
    const bool is_over = last || clock_monotonic_ns() >= c->until_ns;
    struct err err = {0};

    if (!take_newer(c)) {
        if (is_over)
            conclude(c, EXT_LOOK_SAME);
        else
            http_call_in(c->reply, LOOK_EVERY_MS, look_again, c);
        return;
    }
    arena_rewind(c->req->arena, c->mark);
    const int rc = decide(c, &err);
    if (rc) {
        end(c, refuse(c, rc, &err));
        http_finish(c->reply);
    } else if (!is_refused_for_now(c)) {
        conclude(c, EXT_LOOK_ADMITTED);
    } else if (is_over) {
        conclude(c, EXT_LOOK_REFUSED);
    } else {
        http_call_in(c->reply, LOOK_EVERY_MS, look_again, c);
    }
}

/* True: it is answered later. */
static bool is_put_off(struct call *c)
{
    struct ext *const e = c->e;

    if (e->second_look_ns == 0 || !is_refused_for_now(c) || !cluster_is_synced(e->cluster) ||
        !has_patience(e, c->decided_ns, e->second_look_ns))
        return false;
    c->until_ns = c->decided_ns + e->second_look_ns;
    http_defer(c->reply, (unsigned)(e->second_look_ns / 1000000) + LOOK_MARGIN_MS);
    http_call_in(c->reply, LOOK_EVERY_MS, look_again, c);
    return true;
}

/* ---- filter and prioritize ---- */

static int read_args(struct call *c, struct err *err)
{
    const struct answered *const w = &c->e->answered;
    const struct kube_seen_names *const expected = c->verb == EXT_PRIORITIZE ? &w->names : NULL;
    const int rc = kube_extender_args_decode(&c->args, c->req->body, expected, c->req->arena, err);

    if (rc)
        return rc;
    if (!c->args.has_pod)
        log_request(LOG_LEVEL_WARN, "extender", c->req->id,
                    "every node passes, pod not understood: %s", c->args.pod_err.text);
    c->ask = (struct decide_ask){
        .pod = c->args.has_pod ? &c->args.pod : NULL,
        .n = c->args.n,
        .names = c->args.names,
        .positions = c->args.seen ? w->positions : NULL,
        .roster = w->roster,
    };
    return 0;
}

static void serve(struct ext *e, enum ext_verb verb, const struct http_request *req,
                  struct http_reply *reply)
{
    struct call *const c = arena_array(req->arena, 1, sizeof(*c));
    struct err err = {0};

    ext_count_arrival(&e->counters, verb);
    if (!c) {
        http_status(reply, 503);
        ext_count_request(&e->counters, verb, EXT_503, clock_monotonic_ns() - req->start_ns);
        return;
    }
    *c = (struct call){.e = e,
                       .verb = verb,
                       .req = req,
                       .reply = reply,
                       .options = options_now(e, verb),
                       .snapshot = cluster_get(e->cluster)};
    int rc = read_args(c, &err);
    if (rc == 0)
        rc = decide(c, &err);
    if (rc)
        end(c, refuse(c, rc, &err));
    else if (!is_put_off(c))
        answer(c);
}

static void filter(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    serve(ctx, EXT_FILTER, req, reply);
}

static void prioritize(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    serve(ctx, EXT_PRIORITIZE, req, reply);
}

static void bind(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct ext *const e = ctx;

    binder_take(e->binder, req, reply);
}

static int answer_preempt(struct ext *e, const struct http_request *req, struct buf *out,
                          struct err *err)
{
    const struct decide_options options = options_of_acting(e);
    struct kube_preempt_args args;
    uint32_t n;

    int rc = kube_preempt_decode(&args, req->body, req->arena, err);
    if (rc)
        return rc;
    struct kube_victims *const nodes = arena_array(req->arena, args.n, sizeof(*nodes));
    if (!nodes)
        return err_set(err, -ENOMEM, "no memory for %u nodes", args.n);
    struct cluster_snapshot *const snapshot = cluster_get(e->cluster);
    rc = preempt_choose(nodes, &n, &args, snapshot, &options, &e->counters, req->arena, err);
    if (rc == 0)
        kube_preempt_encode(out, nodes, n); /* they are named in the snapshot's words */
    cluster_snapshot_unref(snapshot);
    return rc == 0 && out->failed ? err_set(err, -ENOMEM, "no memory for the answer") : rc;
}

static void preempt(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    struct ext *const e = ctx;
    CLEANUP(buf_free) struct buf out = {0};
    struct err err = {0};

    ext_count_arrival(&e->counters, EXT_PREEMPT);
    const int rc = answer_preempt(e, req, &out, &err);
    const enum ext_code code = rc == 0 ? EXT_200 : rc == -ENOMEM ? EXT_503 : EXT_400;

    if (rc) {
        log_request(LOG_LEVEL_WARN, "extender", req->id, "answered %d: %s",
                    rc == -ENOMEM ? 503 : 400, err.text);
        http_status(reply, rc == -ENOMEM ? 503 : 400);
    } else {
        http_add(reply, out.p, out.n);
    }
    ext_count_request(&e->counters, EXT_PREEMPT, code, clock_monotonic_ns() - req->start_ns);
}

/* NONE: it failed for another reason than its admission. */
static enum score_reason refusal(struct str reason)
{
    for (int r = SCORE_TOPOLOGY_AFFINITY_ERROR; r <= SCORE_UNEXPECTED_ADMISSION_ERROR; r++)
        if (str_is(reason, score_reason_text((enum score_reason)r)))
            return (enum score_reason)r;
    return SCORE_REASON_NONE;
}

static void tell_event(struct recorder *recorder, const struct score_pod *pod,
                       enum score_reason reason, const char *id)
{
    struct err note;

    (void)snprintf(note.text, sizeof(note.text),
                   "%.*s/%.*s: the kubelet says %s, decision %s had admitted it: is the "
                   "NodeResourceTopology right?",
                   STR_ARG(pod->ns), STR_ARG(pod->name), score_reason_text(reason), id);
    const struct recorder_event event = {.reason = "AdmissionMispredicted",
                                         .action = "PredictAdmission",
                                         .node = pod->node,
                                         .pod_ns = pod->ns,
                                         .pod = pod->name,
                                         .pod_uid = pod->uid,
                                         .note = str_of(note.text)};
    recorder_tell(recorder, &event, clock_monotonic_ns());
}

void ext_pod_failed(struct ext *e, const struct score_pod *pod, struct recorder *recorder)
{
    const enum score_reason reason = refusal(pod->reason);
    char id[RECORD_ID_BYTES + 1];

    if (reason == SCORE_REASON_NONE || !e->ring ||
        ring_contradict(e->ring, pod->uid, pod->node, reason, id))
        return;
    (void)atomic_fetch_add(&e->counters.mispredictions[reason], 1);
    doubts_add(e->doubts, pod->node, clock_monotonic_ns());
    log_line(LOG_LEVEL_WARN, "extender",
             "%.*s/%.*s failed on %.*s with %s, where decision %s had admitted it: the node stands "
             "back for %d s",
             STR_ARG(pod->ns), STR_ARG(pod->name), STR_ARG(pod->node), score_reason_text(reason),
             id, LIMIT_DOUBT_MS / 1000);
    tell_event(recorder, pod, reason, id);
}

size_t ext_routes(struct ext *e, struct http_route out[EXT_ROUTES])
{
    size_t n = 0;

    out[n++] = (struct http_route){EXT_PREFIX "/filter", HTTP_POST, false, filter, e};
    out[n++] = (struct http_route){EXT_PREFIX "/prioritize", HTTP_POST, false, prioritize, e};
    if (e->binder)
        out[n++] = (struct http_route){EXT_PREFIX "/bind", HTTP_POST, false, bind, e};
    if (e->preempts)
        out[n++] = (struct http_route){EXT_PREFIX "/preempt", HTTP_POST, false, preempt, e};
    return n;
}

void ext_metrics(void *ctx, struct buf *out)
{
    const struct ext *const e = ctx;

    ext_counters_text(&e->counters, out);
    ext_holds_text(holds_stats(e->holds), out);
}
