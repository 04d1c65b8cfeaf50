/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb preempt: kube-scheduler proposes for some nodes whom it would evict to make room in sum;
 * what goes back are those nodes on which it helps, and on each the victims whose end lets the pod
 * in, as few and as unimportant as can be.
 */
#ifndef EXTENDER_PREEMPT_H
#define EXTENDER_PREEMPT_H

#include "base/attr.h"
#include "decide/decide.h"
#include "kube/preempt_wire.h"

struct arena;
struct err;
struct ext_counters;

/* Sets of pods looked at in a call: a fifth of a second. Then nodes go back as they came. */
enum { PREEMPT_LOOKS = 20000 };

/*
 * The nodes to hand back into `out` [args->n], and how many; they live in `a`, `args` and the
 * snapshot. In Shadow, and for a pod that is not judged, all of them as they came. 0, -ENOMEM.
 */
int preempt_choose(struct kube_victims *out, uint32_t *out_n, const struct kube_preempt_args *args,
                   const struct cluster_snapshot *snapshot, const struct decide_options *options,
                   struct ext_counters *counters, struct arena *a, struct err *err) MUST_CHECK;

#endif
