/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to kube-scheduler, written by hand: ExtenderFilterResult and HostPriorityList of
 * k8s.io/kube-scheduler/extender/v1, always in their full form. `{}` and `null` would mean "no node
 * fits" there, an unknown name fails the whole call, so every name goes out as it came in, once.
 */
#ifndef EXTENDER_ENCODE_H
#define EXTENDER_ENCODE_H

#include "decide/decide.h"
#include "kube/extender_wire.h"

struct http_reply;

/*
 * Survivors as names or, in the NODES mode, as the objects that were sent (not copied: the body
 * lives as long as the reply). Rejections are "unresolvable": evicting pods is not our answer, and
 * kube-scheduler's dry run would never ask us.
 */
void ext_encode_filter(struct http_reply *reply, const struct kube_extender_args *args,
                       const struct decision *d, enum decide_mode mode);

/*
 * One entry a name: integers 0..max_score. `sparse`: only the names above the lowest score, less
 * that score. kube-scheduler adds 0 for a name that is not there, so that the sums of all nodes are
 * lower by the same, and the choice is the same; each entry costs it about a microsecond.
 */
void ext_encode_prioritize(struct http_reply *reply, const struct kube_extender_args *args,
                           const struct decision *d, bool sparse);

/* ExtenderBindingResult: an empty error says that the pod is bound, and nothing else does. */
void ext_encode_bind(struct http_reply *reply, const char *error);

#endif
