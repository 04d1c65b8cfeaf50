/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy, or the pod itself, forbids beyond what its kubelet does. Private to scoring/. */
#ifndef SCORING_CONSTRAINT_H
#define SCORING_CONSTRAINT_H

#include "base/err.h"
#include "scoring/verdict.h"

struct outcome;
struct score_rules;

/* Words for a person, into `why` where that is not NULL. */
struct constraint_text {
    char p[ERR_TEXT_BYTES];
};

/*
 * What does not depend on a node: LOCK_LIMIT or GOROUTINE_LIMIT where the pod says that it needs
 * more than its QoS class may have; else NONE.
 */
enum score_reason constraint_of_pod(const struct score_rules *rules, struct constraint_text *why);

/*
 * The first of these that an admission breaks, else NONE. The best case counts: what is only
 * possible refuses nothing. Distances are ACPI SLIT.
 *
 *   NUMA_EXCLUSIVE     the pod's class must be alone and somebody holds CPUs, memory or devices in
 *                      a zone where it would have some, or the other way round. The shared pool
 *                      holds no zone.
 *   CROSS_ACCESS       more CPUs than stealThreshold are outside the zone that has most of the
 *                      pod's, and of the accesses of the containers with CPUs of their own, by
 *                      their CPUs, a larger share than allowedCrossAccess crosses zones
 *   ALLOWED_DISTANCE   two zones of what the pod has for itself are farther apart
 *   NUMA_POLICY        the hint numa-policy: the zones that the pod uses, those of the shared pool
 *                      included where a container has no CPUs of its own, are more than one, more
 *                      than N, or not the closest ones of as many; or gpu-nic-affinity: require
 *                      where no choice of devices gives each GPU a NIC below its root
 *   NETWORK_BANDWIDTH  the requested bandwidth is more than what requests have left: of the ports
 *                      that the pod takes, of the shared ones together, or than the fastest
 */
enum score_reason constraint_of_placement(const struct outcome *o, struct constraint_text *why);

#endif
