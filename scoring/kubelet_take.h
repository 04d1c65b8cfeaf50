/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPUs the static CPU Manager picks out of those that are free: packed (whole zones, sockets,
 * L3 groups and cores first) or distributed over zones. k8s: cpumanager/cpu_assignment.go.
 */
#ifndef SCORING_KUBELET_TAKE_H
#define SCORING_KUBELET_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/node_view.h"

struct arena_parts;

enum kubelet_taken {
    KUBELET_TAKEN,
    KUBELET_TAKE_TOO_FEW, /* "not enough cpus available to satisfy request" */
    KUBELET_TAKE_UNEVEN,  /* the kubelet's bookkeeping does not come out even: "accounting error" */
    KUBELET_TAKE_TOO_MANY, /* more ways to choose zones than are tried here */
    KUBELET_TAKE_ENDLESS,  /* the kubelet turns in circles and never answers */
};

/* Room for one choice; reused from call to call. */
struct kubelet_take {
    const struct node_view *node;
    uint64_t *sets; /* [4*W] left to take and chosen: of the choice, and of one packed inside it */
    uint32_t *counts;  /* [n_cpus or n_zones, the larger] free CPUs per unit */
    uint16_t *units;   /* [2 * n_cpus * spread] ids in order of preference */
    uint16_t *inner;   /* [same] */
    int64_t remaining; /* after KUBELET_TAKE_UNEVEN: CPUs too few, negative: too many */
};

/* Its arrays are parts that the caller seals, of at most so many bytes. */
size_t kubelet_take_bytes(const struct node_view *node);
void kubelet_take_init(struct kubelet_take *t, const struct node_view *node,
                       struct arena_parts *parts);

/*
 * Choose `count` of the `available` CPUs [W] by the node's options and add them to `into` [W],
 * which is untouched on anything but KUBELET_TAKEN. On an irregular machine the kubelet may choose
 * CPUs that are not available, and more or fewer than asked for: so does this.
 */
enum kubelet_taken kubelet_take_cpus(struct kubelet_take *t, const uint64_t *available,
                                     uint32_t count, uint64_t *into) MUST_CHECK;

#endif
