/* SPDX-License-Identifier: Apache-2.0 */
/* What a placement leaves of the zones that it takes from, and for whom. */
#ifndef SCORING_FRAGMENTATION_H
#define SCORING_FRAGMENTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/demand.h"

/* Resources that zones have: those of the demand, and others that the pod takes. */
enum { FRAG_COLUMNS = DEMAND_COLUMNS + 6, FRAG_ALL = (1 << FRAG_COLUMNS) - 1 };

/* One zone from which the pod takes something. */
struct frag_zone {
    uint32_t whole[FRAG_COLUMNS];  /* what it has for pods, up to DEMAND_MOST; 0: it has none */
    uint32_t before[FRAG_COLUMNS]; /* free of it without the pod, at most whole */
    uint32_t after[FRAG_COLUMNS];  /* and with it, at most before */
};

struct frag_ask {
    const struct frag_zone *zones; /* [n_zones] */
    uint32_t n_zones;
    uint32_t columns;                  /* bit per column: the others of all zones are 0 */
    const struct score_demand *demand; /* NULL: nobody wants anything */
    uint32_t unbound;    /* bit per column: this node gives it out without regard to zones */
    uint32_t most_zones; /* that one pod may be spread over, at least 1 */
};

/* Room for pods of one kind, in all these zones; of one that takes k zones for parts of 1/k. */
struct frag_slots {
    uint32_t before, after, whole;
    uint32_t zones; /* k, at least 1; 0: such zones cannot hold it */
};

struct frag_answer {
    uint32_t value, filled, kept; /* 0..1000; kept is 1000 where nobody wants anything */
};

/* What is said about it. */
struct frag_tale {
    struct frag_answer answer;
    struct frag_slots slots[DEMAND_KINDS]; /* by the kinds of the demand */
};

/*
 * The mean of two parts, each 0..SCORE_MAX, or `filled` alone where nobody wants
 * anything.
 *
 *   filled = 1000 * (1 - mean over resources taken of  sum(b^2 - a^2) / (2 * sum((b - a) * w)))
 *
 * with b free before, a after, w whole, sums over the zones, of CPUs and devices: how taken a zone
 * is, on average while the pod goes in. 1000 = it takes the last of zones that are broken, 500 =
 * all of whole ones, 0 = a crumb of a whole one. The sum over all sizes s of what is free for a
 * request of s (f where f >= s, else 0) is f^2: every size is as likely here.
 *
 *   kept = 1000 - 500 * sum(weight_m * min(lost_m, 2 * own)) / (sum(weight_m) * own)
 *
 * with own = what the pod takes of its zones, as a share of them, of the resource that it takes
 * most of; lost_m = (slots_m before - after) / slots_m of the zone when whole; slots = how many
 * pods of kind m the zone has room for; over several zones all three are sums. 1000 = nobody
 * loses anything, 500 = others lose as much as it takes, 0 = twice as much. A kind that is wider
 * than a zone counts by its part of each of as few zones as hold it; one that such zones cannot
 * hold loses nothing. Shares are in 1/65536, rounded down.
 *
 * Source: docs/scoring.md section 4, after the expected fragmentation over a workload's kinds of
 * Weng et al., Beware of Fragmentation, USENIX ATC 2023. Total; up to 64 zones. A pod that
 * takes nothing: SCORE_MAX. `slots` [demand->n] may be NULL.
 */
void score_fragmentation(struct frag_answer *out, struct frag_slots *slots,
                         const struct frag_ask *ask);

#endif
