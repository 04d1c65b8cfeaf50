/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator over a block of the caller's: one per request, one per object that is replaced
 * as a whole. Nothing in it is freed one by one.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"

struct arena {
    char *base;
    size_t room; /* bytes of base */
    size_t used;
};

/* Use the `room` bytes at `base`, which stay the caller's and outlive everything in the arena. */
void arena_init(struct arena *a, void *base, size_t room);

/*
 * `n` zeroed elements of `size` bytes, aligned for any type; n = 0 gives a valid pointer.
 * Returns NULL when the arena is full (or n * size overflows); the arena is then unchanged.
 * Under AddressSanitizer each block is followed by a poisoned gap.
 */
void *arena_array(struct arena *a, size_t n, size_t size);

/* Copy `n` bytes and a terminating zero. NULL when full. */
char *arena_copy(struct arena *a, const void *p, size_t n);

/*
 * All that is left, for a list whose length is known at its end only: `*out_n` elements of `size`
 * bytes, not zeroed. Nothing else may be taken until arena_close, which keeps the first `n`.
 */
void *arena_open(struct arena *a, size_t size, size_t *out_n);
void arena_close(struct arena *a, const void *list, size_t n, size_t size);

/*
 * Many small arrays in one go, not zeroed: taken like elements of arena_array, but whether there
 * was room for all of them arena_seal says (0, -ENOMEM: the arena is unchanged). Until then nothing
 * may be written there, and nothing else be taken. NULL where the arena has already run out.
 */
struct arena_parts {
    struct arena *a;
    size_t used; /* as if there were room */
};
struct arena_parts arena_parts(struct arena *a);
void *arena_part(struct arena_parts *p, size_t n, size_t size);
int arena_seal(const struct arena_parts *p) MUST_CHECK;

/* Bytes that a part may take beyond its own, for alignment and AddressSanitizer's gap. */
enum { ARENA_PART_SLACK = 80 };

/* Where the arena stands; arena_rewind goes back there and drops what came later. */
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark);

#endif
