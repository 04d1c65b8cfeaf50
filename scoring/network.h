/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the network is left. */
#ifndef SCORING_NETWORK_H
#define SCORING_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"

/*
 * Headroom of a port that carries `need` more, permille of its link, the tighter direction:
 *
 *   used     = the larger of what pods there have requested and what is measured
 *   headroom = 1000 * (capacity - used - need) / capacity, at least 0, rounded down
 *
 * A measurement has no direction and counts in both. SCORE_MAX when the capacity is not known
 * would be a lie: the caller leaves such ports out.
 */
uint32_t score_nic_headroom(const struct node_nic *nic, const uint64_t need[2]);

/* What a port has left of its link for requests alone, bits/s. */
uint64_t score_nic_free(const struct node_nic *nic, enum node_direction direction);

/*
 * How near a port is to CPUs in the zones with cpu[z] > 0 ([Z], by their share), permille: same
 * zone 1000, same socket 900, elsewhere 800; 1000 where the port's zones or the CPUs are not known.
 * A packet crosses the machine once, a GPU's transfer all the time: less steep than devices.h.
 */
uint32_t score_nic_nearness(const struct node_view *node, const struct node_nic *nic,
                            const uint32_t *cpu);

/*
 * The network term of a pod that takes no port for itself: over the ports of known speed that are
 * not handed out to pods, headroom * nearness / 1000, the best. What other such pods have
 * requested (`shared`) is spread over these ports by their speed. False: there are none.
 */
bool score_network_shared(uint32_t *out, const struct node_view *node, const uint32_t *cpu,
                          const uint64_t need[2]);

/*
 * Could the shared ports carry `need` in one direction, by requests? The best case: together they
 * have so much left, and one is as fast. True also where no speed is known.
 */
struct score_network_room {
    uint64_t capacity, free; /* of all shared ports together, bits/s */
    uint64_t fastest;        /* of one */
};
bool score_network_room(struct score_network_room *out, const struct node_view *node,
                        enum node_direction direction);

#endif
