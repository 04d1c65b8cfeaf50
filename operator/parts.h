/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the operator share. */
#ifndef OPERATOR_PARTS_H
#define OPERATOR_PARTS_H

#include <stdatomic.h>

#include "base/metric.h"
#include "operator/act.h"
#include "operator/acting.h"
#include "operator/call.h"
#include "operator/locks/detect.h"
#include "operator/locks/victim.h"
#include "operator/locks/view.h"
#include "operator/objects.h"
#include "operator/operator.h"
#include "operator/rate.h"
#include "operator/resizing.h"

/* Written by the operator's thread, read by any. */
struct op_stats {
    atomic_ullong reports[4]; /* accepted, duplicate, gap, refused */
    atomic_ullong claims[2];  /* new, known */
    atomic_ullong confirmed, ended, passed, planned, suppressed, inversions;
    atomic_ullong deadlocks_active, cycles_active, violations_active, reporters, lock_bytes;
    atomic_ullong limited, unauthorized, forbidden;
    atomic_ullong adjustments[5];           /* by enum adjust_outcome */
    atomic_ullong actions[1][ACT_OUTCOMES]; /* evictions by enum act_outcome */
    atomic_ullong resizes[RESIZE_OUTCOMES];
    atomic_bool circuit_open;
    struct metric_durations detection;
};

/* A deadlock that somebody reported, or that was found and is told in a DeadlockReport. */
struct op_case;

/* What is told in the conditions of policies. */
struct op_conflicts {
    struct cluster_context *seen; /* of the snapshot that was looked at last; a reference */
    bool changed;                 /* a policy did since then, or not all is written */
    uint32_t writing;             /* writes that are out */
    uint64_t retry_ns;            /* nothing before that */
};

struct op {
    struct op_options options;
    struct op_objects objects;
    struct lock_book book;
    struct op_case *cases; /* list */
    uint32_t n_cases;
    struct victim_log victims; /* planned where nothing is done, as if it were */
    struct op_acts acts;
    struct op_resizes resizes;
    atomic_bool acting;    /* operator.act: Enforce */
    bool listed[OP_KINDS]; /* all of the kind were told once */
    struct rates rates;
    uint64_t unsaid; /* refused calls that the log does not tell of */
    struct op_conflicts conflicts;
    struct op_stats stats;
    uint64_t ticked_ns; /* the last tick */
    int64_t ticked_us;
    uint64_t looked_ns;       /* when pods were looked at last */
    uint64_t told_ns;         /* when statuses of policies were looked at last */
    uint64_t led_ns;          /* since when it leads; 0 = it has not looked yet */
    uint64_t offers_as_of;    /* the snapshot in which offers were looked at last */
    struct op_making *making; /* ResourceAdjustments that calls are making, by their `next` */
};

/* --- who may --- */

struct op_access {
    const char *verb, *group, *resource;
    struct str ns, name;
};

typedef void (*op_answerer)(struct op *op, struct op_call *c, struct str ns, struct str name);

/*
 * Go on with `then`, now or later, when the caller may do this; else answer 403, or 503 when nobody
 * can say. What `own` says is everybody's own business, a pod may do in its own namespace; with a
 * reporter (call->speaker) only when it is that pod itself.
 */
void op_permit(struct op *op, struct op_call *c, const struct op_access *a, bool own,
               op_answerer then);

/* True: answered, for another replica has to, or nobody knows which. */
bool op_redirect(struct op *op, struct op_call *c);

/* --- answers --- */

void op_policy_put(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_policy_get(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_policy_delete(struct op *op, struct op_call *c, struct str ns, struct str name);
/* Store what the policies' statuses are by now, where they are apart from the objects. */
void op_policies_tick(struct op *op, uint64_t now_ns, int64_t now_us);

void op_lock_report(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_hierarchy(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_deadlock_claim(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_deadlock_get(struct op *op, struct op_call *c, struct str ns, struct str name);

void op_affinity(struct op *op, struct op_call *c, struct str ns, struct str node);
void op_qos_class(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_bandwidth(struct op *op, struct op_call *c, struct str ns, struct str node);
void op_signal_put(struct op *op, struct op_call *c, struct str ns, struct str name);

/* GetNodeAffinity's weights of the QoS classes: the larger, the more important. */
enum { OP_QOS_GUARANTEED = 100, OP_QOS_BURSTABLE = 50, OP_QOS_BEST_EFFORT = 10 };

/* 429 and false when this caller, or this reporter, calls too often. */
bool op_within_rate(struct op *op, struct op_call *c, struct str ns, struct str pod,
                    struct str container);

/* --- what callers send --- */

/* An object with a spec, or the spec alone. */
struct op_sent {
    struct str spec;                       /* compact; followed by 64 readable bytes */
    struct str resource_version, ns, name; /* as the body has them, else empty */
};

/* All: 0; -EINVAL it is no object; -ENOMEM. Everything lives in the arena. */
int op_read_sent(struct op_sent *out, struct str json, struct arena *a, struct err *err) MUST_CHECK;

/* {"spec": ...}, so that the errors of a decoder name fields as the object has them. */
int op_wrap_spec(struct str *out, struct str spec, struct arena *a, struct err *err) MUST_CHECK;

/* Has the stored object this compact spec already? */
int op_same_spec(bool *out, const struct op_object *old, struct str spec, struct arena *a,
                 struct err *err) MUST_CHECK;

/* Answer 200 with a Status that says Success. */
void op_succeed(struct op_call *c);

/* --- adjustments --- */

void op_adjust_post(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_adjust_accept(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_adjust_get(struct op *op, struct op_call *c, struct str ns, struct str name);
void op_adjust_delete(struct op *op, struct op_call *c, struct str ns, struct str name);

/* Judge those that were not yet, or not as they are now; withdraw offers that are no more. */
void op_adjustments_tick(struct op *op, uint64_t now_ns, int64_t now_us);

/* --- deadlocks --- */

void op_cases_tick(struct op *op, uint64_t now_ns, int64_t now_us);
void op_cases_done(struct op *op);

/* Close the reports of deadlocks that nobody has spoken of for ten minutes. */
void op_silent_tick(struct op *op, uint64_t now_ns, int64_t now_us);

/* --- policies --- */

void op_conflicts_tick(struct op *op, uint64_t now_ns, int64_t now_us);

/* --- storing --- */

/* An object to be written, with what is known of it; `old` may be NULL. */
struct writer_object op_object_like(enum op_kind kind, struct str ns, struct str name,
                                    const struct op_object *old);

/* The HTTP status for a failure of the writer. */
int op_writer_status(int rc);

/* JSON without blanks between tokens. */
void op_compact(struct buf *out, struct str json);

/* A condition of a status; `since_us` is its last transition. */
struct op_condition {
    const char *type, *status, *reason;
    const char *message;
    int64_t since_us, generation;
};
struct emit;
void op_put_condition(struct emit *e, const struct op_condition *c);

#endif
