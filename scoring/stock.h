/* SPDX-License-Identifier: Apache-2.0 */
/* What an admission leaves in the zones, as fragmentation asks for it. Private to scoring/. */
#ifndef SCORING_STOCK_H
#define SCORING_STOCK_H

#include "scoring/demand.h"
#include "scoring/fragmentation.h"
#include "topology/model.h"

struct outcome;

struct stock {
    struct frag_ask ask; /* of what follows, and the demand of the outcome's rules */
    struct frag_zone zones[TOPO_MAX_ZONES];
};

/*
 * Left out is what the node's kubelet does not bind to zones: CPUs without the static CPU Manager,
 * memory without the static Memory Manager, devices without topology; and of resources of devices
 * that only this pod wants those beyond the first six.
 */
void stock_of(struct stock *out, const struct outcome *o);

#endif
