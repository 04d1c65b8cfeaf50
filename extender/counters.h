/* SPDX-License-Identifier: Apache-2.0 */
/* What the extender counts; written by its thread, read by the console's. */
#ifndef EXTENDER_COUNTERS_H
#define EXTENDER_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/metric.h"
#include "decide/decide.h"
#include "decide/holds.h"

struct buf;

enum ext_verb { EXT_FILTER, EXT_PRIORITIZE, EXT_BIND, EXT_PREEMPT, EXT_VERBS };
enum { EXT_JUDGING = EXT_PRIORITIZE + 1 /* verbs that judge candidates */ };
enum ext_code { EXT_200, EXT_400, EXT_503, EXT_CODES };

enum ext_bind_result {
    EXT_BIND_BOUND,
    EXT_BIND_ALREADY,  /* it was, to that node */
    EXT_BIND_REJECTED, /* the node would not admit it any more */
    EXT_BIND_BUSY,     /* an earlier binding there is not through */
    EXT_BIND_CONFLICT, /* bound elsewhere, or another pod */
    EXT_BIND_FAILED,
    EXT_BIND_RESULTS,
};

/* What became of a node that preempt was asked about. */
enum ext_preempt_result {
    EXT_PREEMPT_KEPT,
    EXT_PREEMPT_CHANGED, /* other victims than proposed */
    EXT_PREEMPT_USELESS, /* not handed back: nobody's end would help, or nobody's is needed */
    EXT_PREEMPT_UNJUDGED,
    EXT_PREEMPT_RESULTS,
};

/* What came of a refusal that waited for newer state. */
enum ext_look_result {
    EXT_LOOK_SAME, /* there was none */
    EXT_LOOK_REFUSED,
    EXT_LOOK_ADMITTED,
    EXT_LOOK_RESULTS,
};

/* What came of making kube-scheduler ask again. */
enum ext_retry_result {
    EXT_RETRY_SENT,
    EXT_RETRY_FAILED,
    EXT_RETRY_FORBIDDEN, /* or without the object for it */
    EXT_RETRY_RESULTS,
};

/* Zero-initialise. */
struct ext_counters {
    atomic_uint_fast64_t requests[EXT_VERBS][EXT_CODES], arrived[EXT_VERBS];
    atomic_uint_fast64_t binds[EXT_BIND_RESULTS];
    atomic_uint_fast64_t preempt_nodes[EXT_PREEMPT_RESULTS];
    atomic_uint_fast64_t looks[EXT_LOOK_RESULTS];
    atomic_uint_fast64_t retries[EXT_RETRY_RESULTS];
    atomic_uint_fast64_t refused_pods;       /* that are looked at again */
    struct metric_durations retry_durations; /* from a retry to the filter that lets the pod pass */
    atomic_uint_fast64_t binds_unchecked;    /* of pods that were not known */
    atomic_uint_fast64_t bind_lists;         /* of a node's pods, before a binding there */
    atomic_uint_fast64_t nodes[EXT_JUDGING][3];  /* by score_verdict */
    atomic_uint_fast64_t evaluated[EXT_JUDGING]; /* of these those whose answer was not known */
    /* Of filter, by score_reason: refused, let pass by Shadow, passed unjudged. */
    atomic_uint_fast64_t rejected[SCORE_REASONS], shadowed[SCORE_REASONS], unknown[SCORE_REASONS];
    atomic_uint_fast64_t mispredictions[SCORE_REASONS]; /* what kubelets said */
    atomic_uint_fast64_t not_understood, ignored;
    atomic_uint_fast64_t hints_ignored;
    atomic_uint_fast64_t lost; /* decisions the ring could not keep */
    struct metric_durations durations[EXT_VERBS][EXT_CODES];
};

/* A call has come; and, once for each, it is answered. */
void ext_count_arrival(struct ext_counters *c, enum ext_verb verb);
void ext_count_request(struct ext_counters *c, enum ext_verb verb, enum ext_code code,
                       uint64_t duration_ns);
void ext_count_decision(struct ext_counters *c, enum ext_verb verb, const struct decision *d,
                        enum decide_mode mode);

/* A bind that was answered with 200. */
void ext_count_bind(struct ext_counters *c, enum ext_bind_result result, uint64_t duration_ns);

/* Append the families in the Prometheus text format 0.0.4. */
void ext_counters_text(const struct ext_counters *c, struct buf *out);
void ext_holds_text(const struct holds_stats *s, struct buf *out);

#endif
