/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that their plugin has registered and that are not healthy stand in none of the kubelet's
 * files unless somebody holds them, yet the kubelet counts them where it looks how few zones could
 * do. So those that were healthy once are remembered, with their zones. Whether one that is not
 * said any more is sick or has gone, the capacity of the Node tells, which counts the sick ones.
 */
#ifndef AGENT_SICK_H
#define AGENT_SICK_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct arena;

/* With more of them none is remembered. */
enum { AGENT_SICK_MAX = 4096 };

/* Zero-initialise. */
struct agent_sick {
    struct kube_nrt_device *seen; /* [n] by resource, then id; each one's texts are a block */
    size_t n;
    struct pod_amount *capacity; /* [n_capacity] of the Node; each one's resource is a block */
    size_t n_capacity;
    uint32_t missing; /* how many of the seen ones were not said in the last look */
};

/* The Node's status.capacity. -ENOMEM: none is known then, and what is missing is left out. */
int agent_sick_capacity(struct agent_sick *s, const struct pod_amount *capacity,
                        uint32_t n) MUST_CHECK;

/*
 * What the kubelet says of its devices, [*n] by resource and id, and those that are sick as well,
 * into `a`: of a resource whose capacity is as many more as are missing. Where it is as many as are
 * said, the missing ones are gone and forgotten; else nothing is known of them. 0 or -ENOMEM.
 */
int agent_sick_join(struct agent_sick *s, const struct kube_nrt_device **devices, uint32_t *n,
                    struct arena *a) MUST_CHECK;

/* The devices, whose zones are of one machine. */
void agent_sick_forget(struct agent_sick *s);
void agent_sick_done(struct agent_sick *s);

#endif
