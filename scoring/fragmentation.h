/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a node's whole zones a placement breaks up. */
#ifndef SCORING_FRAGMENTATION_H
#define SCORING_FRAGMENTATION_H

#include <stdint.h>

/* One resource over the zones of a node: free CPUs, free devices. */
struct score_stock {
    const uint32_t *whole;  /* [n] what the zone has for pods */
    const uint32_t *before; /* [n] free before the pod */
    const uint32_t *after;  /* [n] free after it, never more than before */
};

/*
 * SCORE_MAX = nothing broken, 0 = the whole of every zone used up.
 *
 *   fragmentation = 1000 * (1 - (W(before) - W(after)) / W(whole)),   W(x) = sum over zones of x^2
 *
 * rounded down. W counts the pairs of units that can still be handed out in one zone. Taking t
 * units where f are free costs about 2*f*t of them, so a pod costs least where it fills what is
 * already broken and most where it opens a whole zone. A node without the resource: SCORE_MAX.
 * Source: docs/scoring.md section 4. Total; counts up to 2^16, up to 64 zones.
 */
uint32_t score_fragmentation(const struct score_stock *stock, uint32_t n);

#endif
