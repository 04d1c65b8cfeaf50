/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator over a block of the caller's: one per request, one per object that is replaced
 * as a whole. Nothing in it is freed one by one.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

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
static inline struct arena_parts arena_parts(struct arena *a);
static inline void *arena_part(struct arena_parts *p, size_t n, size_t size);
static inline int arena_seal(const struct arena_parts *p) MUST_CHECK;

/* Bytes that a part may take beyond its own, for alignment and AddressSanitizer's gap. */
enum { ARENA_PART_SLACK = 80 };

/* Where the arena stands; arena_rewind goes back there and drops what came later. */
static inline size_t arena_mark(const struct arena *a)
{
    return a->used;
}
void arena_rewind(struct arena *a, size_t mark);

/* --- what is short enough to stand where it is called: a node is judged in some ten arrays --- */

enum { ARENA_ALIGN = _Alignof(max_align_t) };

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
void arena_open_block(void *p, size_t n);
void arena_close_block(void *p, size_t n);
/* As wide as an element, so that whichever member of the one behind the last is read, it is seen.
 */
static inline size_t arena_gap(size_t element)
{
    return element < 16 ? 16 : element < 64 ? element : 64;
}
#else
static inline void arena_open_block(void *p, size_t n)
{
    (void)p, (void)n;
}
static inline void arena_close_block(void *p, size_t n)
{
    (void)p, (void)n;
}
static inline size_t arena_gap(size_t element)
{
    (void)element;
    return 0;
}
#endif

/* Bytes to skip until the next block may begin. */
static inline size_t arena_padding(const struct arena *a)
{
    return (size_t)(-((uintptr_t)a->base + a->used) & (ARENA_ALIGN - 1));
}

static inline struct arena_parts arena_parts(struct arena *a)
{
    arena_open_block(a->base + a->used, a->room - a->used);
    return (struct arena_parts){a, a->used + arena_padding(a)};
}

static inline void *arena_part(struct arena_parts *p, size_t n, size_t size)
{
    const size_t from = p->used, gap = arena_gap(size);
    size_t bytes;

    const int wraps = __builtin_mul_overflow(n, size, &bytes);
    assert(!wraps && bytes <= SIZE_MAX / 4); /* many of them still add up */
    const size_t end = from + bytes;
    p->used = (end + gap + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (end > p->a->room)
        return NULL;
    arena_close_block(p->a->base + end, gap < p->a->room - end ? gap : p->a->room - end);
    return p->a->base + from;
}

static inline int arena_seal(const struct arena_parts *p)
{
    struct arena *const a = p->a;

    if (p->used > a->room) {
        arena_close_block(a->base + a->used, a->room - a->used);
        return -ENOMEM;
    }
    a->used = p->used;
    return 0;
}

#endif
