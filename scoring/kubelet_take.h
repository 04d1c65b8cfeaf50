/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPUs the static CPU Manager picks out of those that are free: packed (whole zones, sockets,
 * L3 groups and cores first) or distributed over zones. k8s: cpumanager/cpu_assignment.go.
 */
#ifndef SCORING_KUBELET_TAKE_H
#define SCORING_KUBELET_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/node_view.h"

struct arena;

/* Room for one choice; reused from call to call. */
struct kubelet_take {
    const struct node_view *node;
    uint64_t *free[2];   /* [W] what is left to take: of the choice, and of one packed inside it */
    uint64_t *chosen[2]; /* [W] */
    uint32_t *counts;    /* [n_cpus] free CPUs per unit */
    uint16_t *units;     /* [2 * n_cpus * spread] ids in order of preference */
    uint16_t *inner;     /* [same] */
};

int kubelet_take_init(struct kubelet_take *t, const struct node_view *node,
                      struct arena *a) MUST_CHECK;

/*
 * Choose `count` of the `available` CPUs [W] by the node's options and add them to `into` [W].
 * False when there are too few, or when the kubelet's own bookkeeping would not come out even; then
 * `into` is untouched. On an irregular machine the kubelet may choose CPUs that are not available:
 * so does this.
 */
bool kubelet_take_cpus(struct kubelet_take *t, const uint64_t *available, uint32_t count,
                       uint64_t *into);

#endif
