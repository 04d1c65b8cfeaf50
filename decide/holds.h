/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods on their way: kube-scheduler has been told of a node and will most likely bind them there,
 * but the binding is not seen yet. For so long the next pod of the kind should rather go elsewhere,
 * or both count on the last place. A hold is keyed by the pod's UID, lasts for a bounded time, and
 * only ever lowers what prioritize says of the node to others: filter answers from what is there.
 *
 * It ends when the pod is seen bound or gone, when a later decision about the pod says otherwise,
 * and after its time. For one thread, but for the figures.
 */
#ifndef DECIDE_HOLDS_H
#define DECIDE_HOLDS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct cluster_snapshot;
struct decide_ask;
struct decision;
struct err;
struct holds;

/* At a time; the oldest makes room. kube-scheduler has some dozens under way at its fastest. */
enum { HOLDS_MOST = 128 };

/* None yet; each lasts for at most `for_ns`. 0, -ENOMEM. */
int holds_new(struct holds **out, uint64_t for_ns, struct err *err) MUST_CHECK;
void holds_free(struct holds *h); /* NULL is fine */

/* End those whose pods are bound or gone, and those whose time is over. Before each decision. */
void holds_look(struct holds *h, const struct cluster_snapshot *s, uint64_t now_ns);

/*
 * A decision about the pod of `ask`, over the snapshot that was looked at last. Of filter: where a
 * single node passes, prioritize will not be called, and the pod goes there; where none does, it
 * goes nowhere. Of prioritize: it goes to the node that is better than all others on the wire;
 * where several are, kube-scheduler draws lots, and nothing is held. Without memory nothing is held
 * either.
 */
void holds_filtered(struct holds *h, const struct decision *d, const struct decide_ask *ask,
                    uint64_t now_ns);
void holds_prioritized(struct holds *h, const struct decision *d, const struct decide_ask *ask,
                       uint64_t now_ns);

struct str holds_node(const struct holds *h, struct str uid); /* "" = nothing is held for it */

enum hold_end {
    HOLD_BOUND,
    HOLD_GONE, /* the pod, or the node */
    HOLD_EXPIRED,
    HOLD_REPLACED, /* by a later decision about the pod */
    HOLD_CROWDED,  /* there were HOLDS_MOST */
    HOLD_ENDS,
};

struct holds_stats {
    atomic_uint_fast32_t n;
    atomic_uint_fast64_t taken, ended[HOLD_ENDS];
};
const struct holds_stats *holds_stats(const struct holds *h);

#endif
