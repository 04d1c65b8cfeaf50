/* SPDX-License-Identifier: Apache-2.0 */
/* What one container got on one node, in the terms people read: zones, devices a zone, doubts. */
#ifndef DECIDE_SPREAD_H
#define DECIDE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"
#include "scoring/verdict.h"

enum { SPREAD_ASSUMED = 9 }; /* bits of node_view.assumed */

/* The zones of the hint; where there was none, those of what the container holds (0 = any). */
uint64_t spread_zones(const struct node_view *v, const struct score_container *c);

uint64_t spread_memory_zones(const struct score_container *c);

/* Does the container hold a device of this resource? */
bool spread_holds(const struct node_view *v, const struct score_container *c,
                  const struct node_resource *resource);

/*
 * How many devices of the resource it holds in zone index `zone`; a device of several zones counts
 * in the first. zone = n_zones: devices without a zone.
 */
uint32_t spread_devices(const struct node_view *v, const struct score_container *c,
                        const struct node_resource *resource, uint32_t zone);

const char *spread_assumed_text(uint32_t bit);                         /* "distances", ... */
const char *spread_certainty_text(uint32_t assumed, bool is_interval); /* "Exact", ... */

#endif
