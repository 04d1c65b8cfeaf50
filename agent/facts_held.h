/* SPDX-License-Identifier: Apache-2.0 */
/* What several sources say of one container, as one. For facts.c. */
#ifndef AGENT_FACTS_HELD_H
#define AGENT_FACTS_HELD_H

#include <stdint.h>

#include "base/attr.h"
#include "kube/object.h"

struct arena;

/*
 * Sort the `n` by pod and container, and make one of those that are of the same container: its
 * CPUs, the blocks and devices of all. Where a pod holds CPUs or memory as a whole (an empty
 * container's name), those of its containers are a part of that and not counted again. What then
 * holds nothing is dropped. Returns how many are left, or -ENOMEM.
 */
int agent_held_fold(struct kube_nrt_holding *h, uint32_t n, struct arena *a) MUST_CHECK;

#endif
