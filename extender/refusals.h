/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that filter has refused on every node, and whether a node of those would admit them now:
 * state alone, the clock is an argument. extender/retry.c keeps it on its thread; a refusal is made
 * on that of the listener.
 *
 * A pod is looked at once for each snapshot. Admitted for a while and not asked about since, it is
 * due: kube-scheduler is to be made to ask again. After that it is not due before the cluster has
 * changed and a time has passed that doubles with each time, for it may be kube-scheduler's own
 * filters that keep it waiting.
 */
#ifndef EXTENDER_REFUSALS_H
#define EXTENDER_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/decide.h"

struct arena;
struct cluster_snapshot;
struct decision;
struct refusal;

enum {
    REFUSALS_MOST = 256,        /* the one asked about longest ago makes room */
    REFUSALS_FOR_S = 600,       /* not asked about for so long: others keep it waiting */
    REFUSALS_SETTLE_MS = 1000,  /* what kube-scheduler sees, too, it asks about by itself */
    REFUSALS_AGAIN_MS = 2000,   /* between two times for one pod, doubled each time, up to */
    REFUSALS_AGAIN_MOST_S = 300 /* when kube-scheduler asks by itself; after that it begins anew */
};

/* Did filter refuse every candidate, for what may change? */
bool refusal_is_one(const struct decision *d, enum decide_mode mode);

/* What is kept of a refusal, on the heap; NULL without memory. O(candidates). */
struct refusal *refusal_new(const struct decision *d, const struct decide_ask *ask);
void refusal_free(struct refusal *f); /* NULL is fine */

/* Zero-initialise. */
struct refusals {
    struct refusal *first;
    uint32_t n;
};
void refusals_done(struct refusals *r);

/* Take over one more. What was known of the pod before is replaced, but for when it was due. */
void refusals_put(struct refusals *r, struct refusal *f, uint64_t now_ns);

/*
 * The pod passes now. False: it is not here. `out_ns`: since it was last due, for kube-scheduler
 * often asks before it is known here that it was made to; 0: it was not.
 */
bool refusals_pass(struct refusals *r, struct str uid, uint64_t now_ns, uint64_t *out_ns);

/* Forget those who are bound, gone, or not asked about any more. */
void refusals_sweep(struct refusals *r, const struct cluster_snapshot *s, uint64_t now_ns);

/*
 * Judge the pod that was judged longest ago, if that was over an older snapshot: whether some node
 * admits it on which it was refused. False: there is none. `a` is rewound.
 */
bool refusals_look(struct refusals *r, const struct cluster_snapshot *s,
                   const struct decide_options *options, struct arena *a, uint64_t now_ns);

/* Filter lets everybody pass by now, in Shadow: all are as if a node admitted them. */
void refusals_admit_all(struct refusals *r, uint64_t now_ns);

/* How many are due: kube-scheduler is now made to ask about these. */
uint32_t refusals_due(struct refusals *r, uint64_t now_ns);

/* It was made to ask about those who were due when asked last, or (`failed`) could not be. */
void refusals_made(struct refusals *r, bool failed, uint64_t now_ns);

#endif
