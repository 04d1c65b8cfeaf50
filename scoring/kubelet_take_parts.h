/* SPDX-License-Identifier: Apache-2.0 */
/* What the packed and the distributed choice of CPUs share; private to kubelet_take*.c. */
#ifndef SCORING_KUBELET_TAKE_PARTS_H
#define SCORING_KUBELET_TAKE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/kubelet_take.h"

/* One choice under way: the kubelet's cpuAccumulator. */
struct take_acc {
    const struct node_view *node;
    struct kubelet_take *room;
    uint64_t *free, *chosen; /* [W] */
    int64_t needed;          /* an irregular machine can drive it below zero */
};

bool take_satisfied(const struct take_acc *a);

/*
 * The zones with free CPUs in the order of preference into `zones` [TOPO_MAX_ZONES]; returns how
 * many, 0 when one is there so often (odd machines) that they are more.
 */
uint32_t take_zones(struct take_acc *a, uint16_t *zones);
uint32_t take_zone_free(const struct take_acc *a, uint16_t zone);

/* takeByTopologyNUMAPacked; false: there are too few. */
bool take_packed(struct take_acc *a, bool by_l3);

/* takeByTopologyNUMADistributed: even shares over as few zones as will do. */
enum kubelet_taken take_distributed(struct take_acc *a);

#endif
