/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of zone masks. Over n zones there are 2^n masks; a set of them is 2^n bits, bit m for the
 * mask m: 256 bits for 8 zones. What the kubelet does mask by mask, one after the other, is done
 * here 64 masks at a time. All functions take the number of zones, 1..MASK_SET_ZONES; the bits of
 * a set beyond 2^n are 0.
 */
#ifndef SCORING_MASK_SET_H
#define SCORING_MASK_SET_H

#include <stdbool.h>
#include <stdint.h>

enum { MASK_SET_ZONES = 12, MASK_SET_WORDS = 1 << (MASK_SET_ZONES - 6) };

static inline uint32_t mask_set_words(uint32_t n)
{
    return n <= 6 ? 1 : 1u << (n - 6);
}

static inline bool mask_set_has(const uint64_t *set, uint64_t mask)
{
    return set[mask / 64] >> (mask % 64) & 1;
}

static inline void mask_set_add(uint64_t *set, uint64_t mask)
{
    set[mask / 64] |= UINT64_C(1) << (mask % 64);
}

static inline void mask_set_del(uint64_t *set, uint64_t mask)
{
    set[mask / 64] &= ~(UINT64_C(1) << (mask % 64));
}

/* set = every mask inside `zones`, without the empty one */
void mask_set_subsets(uint64_t *set, uint32_t n, uint64_t zones);

/* Keep the masks that contain all of `zones`; that share a zone with `zones`. */
void mask_set_keep_supersets(uint64_t *set, uint32_t n, uint64_t zones);
void mask_set_keep_touching(uint64_t *set, uint32_t n, uint64_t zones);

/* Whether every mask but the empty one is there. */
bool mask_set_is_full(const uint64_t *set, uint32_t n);

/* Add all masks inside those that are there. */
void mask_set_close_down(uint64_t *set, uint32_t n);

/* Keep the masks of k zones. */
void mask_set_keep_size(uint64_t *set, uint32_t n, uint32_t k);

/* Zones of the narrowest mask, 0 for the empty set. */
uint32_t mask_set_width(const uint64_t *set, uint32_t n);

/* The smallest mask >= *mask into *mask; false when there is none. */
bool mask_set_next(const uint64_t *set, uint32_t n, uint64_t *mask);

/*
 * Keep the masks whose zones have at least `want` together. Counts [n] are at most 65535, their
 * sums saturate there. Bytes: by_zone[z * stride], sums wrap as the kubelet's uint64 do; `sums` is
 * scratch of 2^n entries, left with the sums.
 */
void mask_set_keep_counts(uint64_t *set, uint32_t n, const uint16_t *counts, uint64_t want);
void mask_set_keep_bytes(uint64_t *set, uint32_t n, const uint64_t *by_zone, uint32_t stride,
                         uint64_t want, uint64_t *sums);

/*
 * Keep the masks that at least `want` of the things touch. inside[m] says how many things lie in
 * exactly the zones m (2^n entries); it is used up.
 */
void mask_set_keep_touched(uint64_t *set, uint32_t n, uint16_t *inside, uint64_t want);

/* into = {a AND b : a in into, b in other}; `counts` is scratch of 2 * 2^n entries. */
void mask_set_and_all(uint64_t *into, const uint64_t *other, uint32_t n, uint32_t *counts);

#endif
