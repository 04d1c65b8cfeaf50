/* SPDX-License-Identifier: Apache-2.0 */
/* So many calls a second for each caller, by token buckets; the memory for it is fixed. */
#ifndef OPERATOR_RATE_H
#define OPERATOR_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_SETS = 1024, RATE_WAYS = 4 };

struct rate_bucket {
    uint64_t key; /* hash of the caller; 0 = free */
    uint64_t at_ns;
    uint64_t tokens_milli; /* thousandths of a call */
};

/* Zero-initialise. A caller that is forgotten for newer ones starts anew with a full bucket. */
struct rates {
    struct rate_bucket at[RATE_SETS][RATE_WAYS];
};

/*
 * May the caller `key` (a keyed hash, so that nobody chooses who shares a set with him) call now,
 * `per_s` times a second and `burst` at once? Takes a token when he may; else *out_wait_ms says
 * when the next one is there.
 */
bool rate_take(struct rates *r, uint64_t key, uint32_t per_s, uint32_t burst, uint64_t now_ns,
               uint32_t *out_wait_ms);

#endif
