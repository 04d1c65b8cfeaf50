/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/counters.h"

#include <stdio.h>

#include "base/buf.h"
#include "decide/decide.h"

static const char *const verbs[EXT_VERBS] = {"filter", "prioritize", "bind", "preempt"};
static const char *const codes[EXT_CODES] = {"200", "400", "503"};

static void bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static unsigned long long value(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void ext_count_arrival(struct ext_counters *c, enum ext_verb verb)
{
    bump(&c->arrived[verb], 1);
}

void ext_count_request(struct ext_counters *c, enum ext_verb verb, enum ext_code code,
                       uint64_t duration_ns)
{
    bump(&c->requests[verb][code], 1);
    metric_add_duration(&c->durations[verb][code], duration_ns);
}

/*
 * Most decisions have few reasons: added up first, so that each costs one atomic addition. What is
 * unknown passes, unless the policy refuses it.
 */
static void count_reasons(struct ext_counters *c, const struct decision *d, enum decide_mode mode)
{
    uint32_t counts[SCORE_REASONS] = {0};
    const bool unknown_pass = !d->rules->reject_unknown;
    atomic_uint_fast64_t *const refused = mode == DECIDE_SHADOW ? c->shadowed : c->rejected;

    for (uint32_t i = 0; i < d->n; i++)
        counts[d->rows[i].reason] += !(d->rows[i].marks & DECIDE_REPEATED);
    for (int r = SCORE_REASON_NONE + 1; r < SCORE_REASONS; r++) {
        const bool passes =
            unknown_pass && score_reason_verdict((enum score_reason)r) == SCORE_UNKNOWN;

        if (counts[r])
            bump(passes ? &c->unknown[r] : &refused[r], counts[r]);
    }
}

void ext_count_decision(struct ext_counters *c, enum ext_verb verb, const struct decision *d,
                        enum decide_mode mode)
{
    for (int v = 0; v < 3; v++)
        bump(&c->nodes[verb][v], d->counts[v]);
    bump(&c->evaluated[verb], d->evaluated);
    bump(&c->not_understood, d->pass == DECIDE_NOT_UNDERSTOOD);
    bump(&c->ignored, d->pass == DECIDE_IGNORED);
    bump(&c->hints_ignored, d->ignored_hints);
    if (verb == EXT_FILTER && d->counts[SCORE_ADMITTED] < d->n)
        count_reasons(c, d, mode);
}

void ext_count_bind(struct ext_counters *c, enum ext_bind_result result, uint64_t duration_ns)
{
    bump(&c->binds[result], 1);
    ext_count_request(c, EXT_BIND, EXT_200, duration_ns);
}

static void requests_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_requests_total";

    metric_family(out, name, "counter", "Calls of kube-scheduler by verb and HTTP status.");
    for (int v = 0; v < EXT_VERBS; v++)
        for (int k = 0; k < EXT_CODES; k++)
            buf_printf(out, "%s{verb=\"%s\",code=\"%s\"} %llu\n", name, verbs[v], codes[k],
                       value(&c->requests[v][k]));
}

/* Answers first: a call that arrives in between is one more, and never one less than none. */
static void in_flight_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_requests_in_flight";

    metric_family(out, name, "gauge", "Calls of kube-scheduler that are not answered yet.");
    for (int v = 0; v < EXT_VERBS; v++) {
        unsigned long long answered = 0;

        for (int k = 0; k < EXT_CODES; k++)
            answered += value(&c->requests[v][k]);
        buf_printf(out, "%s{verb=\"%s\"} %llu\n", name, verbs[v], value(&c->arrived[v]) - answered);
    }
}

static void nodes_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_nodes_total";

    metric_family(out, name, "counter", "Candidates judged, by verb and verdict.");
    for (int v = 0; v < EXT_JUDGING; v++)
        for (int k = 0; k < 3; k++)
            buf_printf(out, "%s{verb=\"%s\",verdict=\"%s\"} %llu\n", name, verbs[v],
                       score_verdict_text((enum score_verdict)k), value(&c->nodes[v][k]));
}

static void evaluated_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_nodes_evaluated_total";

    metric_family(out, name, "counter",
                  "Candidates whose answer was neither known nor that of a node alike.");
    for (int v = 0; v < EXT_JUDGING; v++)
        buf_printf(out, "%s{verb=\"%s\"} %llu\n", name, verbs[v], value(&c->evaluated[v]));
}

static void binds_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_binds_total";
    static const char *const results[EXT_BIND_RESULTS] = {"bound", "already",  "rejected",
                                                          "busy",  "conflict", "failed"};

    metric_family(out, name, "counter", "Calls of the verb bind, by what came of them.");
    for (int r = 0; r < EXT_BIND_RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[r], value(&c->binds[r]));
    metric_counter(out, "numawise_extender_binds_unchecked_total",
                   "Pods that were bound without a look at the node, for they were not known yet.",
                   value(&c->binds_unchecked));
    metric_counter(
        out, "numawise_extender_bind_lists_total",
        "Lists of a node's pods before a binding there, for an earlier one was not seen.",
        value(&c->bind_lists));
}

static void preempt_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_preempt_nodes_total";
    static const char *const results[EXT_PREEMPT_RESULTS] = {"kept", "changed", "useless",
                                                             "unjudged"};

    metric_family(out, name, "counter",
                  "Nodes that preempt was asked about, by what became of them.");
    for (int r = 0; r < EXT_PREEMPT_RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[r], value(&c->preempt_nodes[r]));
}

static void looks_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_second_looks_total";
    static const char *const results[EXT_LOOK_RESULTS] = {"same", "refused", "admitted"};

    metric_family(out, name, "counter",
                  "Refusals of every node that waited for newer state, by what it came to: none "
                  "came, it refused as well, or some node admits now.");
    for (int r = 0; r < EXT_LOOK_RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[r], value(&c->looks[r]));
}

static void retries_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_retries_total",
                      pods[] = "numawise_extender_refused_pods",
                      took[] = "numawise_extender_retry_duration_seconds";
    static const char *const results[EXT_RETRY_RESULTS] = {"sent", "failed", "forbidden"};

    metric_family(out, name, "counter",
                  "Times that kube-scheduler was to be made to ask again about refused pods that "
                  "would be admitted now: it was told, or the API server did not do it, or there "
                  "is no rule or no object for it.");
    for (int r = 0; r < EXT_RETRY_RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[r], value(&c->retries[r]));
    metric_family(out, took, "histogram",
                  "From then to the filter that let a pod pass because of which it was told.");
    metric_histogram(out, took, "", &c->retry_durations);
    metric_family(out, pods, "gauge",
                  "Pods that filter refused on every node, which are looked at again meanwhile.");
    buf_printf(out, "%s %llu\n", pods, value(&c->refused_pods));
}

static void duration_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_request_duration_seconds";

    metric_family(out, name, "histogram", "From the first byte of a call to its answer.");
    for (int v = 0; v < EXT_VERBS; v++)
        for (int k = 0; k < EXT_CODES; k++) {
            char labels[64];
            (void)snprintf(labels, sizeof(labels), "verb=\"%s\",code=\"%s\"", verbs[v], codes[k]);
            metric_histogram(out, name, labels, &c->durations[v][k]);
        }
}

/* `unknown`: only reasons for which nothing is known; a policy may refuse those, too. */
static void reasons_text(const atomic_uint_fast64_t *counts, bool unknown, struct buf *out,
                         const char *name, const char *help)
{
    metric_family(out, name, "counter", help);
    for (int r = SCORE_REASON_NONE + 1; r < SCORE_REASONS; r++)
        if (!unknown || score_reason_verdict((enum score_reason)r) == SCORE_UNKNOWN)
            buf_printf(out, "%s{reason=\"%s\"} %llu\n", name,
                       score_reason_text((enum score_reason)r), value(&counts[r]));
}

/* What a kubelet may say. */
static void mispredictions_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_mispredictions_total";

    metric_family(out, name, "counter",
                  "Pods that a kubelet refused though a decision had admitted them there.");
    for (int r = SCORE_TOPOLOGY_AFFINITY_ERROR; r <= SCORE_UNEXPECTED_ADMISSION_ERROR; r++)
        buf_printf(out, "%s{reason=\"%s\"} %llu\n", name, score_reason_text((enum score_reason)r),
                   value(&c->mispredictions[r]));
}

void ext_counters_text(const struct ext_counters *c, struct buf *out)
{
    requests_text(c, out);
    in_flight_text(c, out);
    nodes_text(c, out);
    evaluated_text(c, out);
    duration_text(c, out);
    binds_text(c, out);
    preempt_text(c, out);
    looks_text(c, out);
    retries_text(c, out);
    reasons_text(c->rejected, false, out, "numawise_extender_rejections_total",
                 "Candidates that filter refused, by reason.");
    reasons_text(
        c->shadowed, false, out, "numawise_extender_shadow_rejections_total",
        "Candidates that the mode Shadow let pass and Enforce would have refused, by reason.");
    reasons_text(c->unknown, true, out, "numawise_extender_unknown_total",
                 "Candidates that passed filter unjudged, by reason.");
    mispredictions_text(c, out);
    metric_counter(out, "numawise_extender_pods_not_understood_total",
                   "Calls whose pod did not decode; all their nodes passed.",
                   value(&c->not_understood));
    metric_counter(out, "numawise_extender_pods_ignored_total",
                   "Calls whose pod asks to be ignored; all their nodes passed.",
                   value(&c->ignored));
    metric_counter(out, "numawise_extender_hints_ignored_total",
                   "Hints of pods that nothing was done with, at each call.",
                   value(&c->hints_ignored));
    metric_counter(out, "numawise_decisions_lost_total", "Decisions that could not be kept.",
                   value(&c->lost));
}

void ext_holds_text(const struct holds_stats *s, struct buf *out)
{
    static const char n[] = "numawise_extender_holds",
                      ended[] = "numawise_extender_holds_ended_total";
    static const char *const ends[HOLD_ENDS] = {"bound", "gone", "expired", "replaced", "crowded"};

    metric_family(out, n, "gauge", "Pods on their way to a node, whose binding is not seen yet.");
    buf_printf(out, "%s %llu\n", n, (unsigned long long)atomic_load(&s->n));
    metric_counter(out, "numawise_extender_holds_taken_total", "Pods that were taken to be on it.",
                   (unsigned long long)atomic_load(&s->taken));
    metric_family(out, ended, "counter",
                  "Those that are no more, by what ended it: another decision about the pod, for "
                  "instance, or that there were too many.");
    for (int e = 0; e < HOLD_ENDS; e++)
        buf_printf(out, "%s{reason=\"%s\"} %llu\n", ended, ends[e],
                   (unsigned long long)atomic_load(&s->ended[e]));
}
