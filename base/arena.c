/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
void arena_open_block(void *p, size_t n)
{
    ASAN_UNPOISON_MEMORY_REGION(p, n);
}
void arena_close_block(void *p, size_t n)
{
    ASAN_POISON_MEMORY_REGION(p, n);
}
#endif

_Static_assert((int)ARENA_PART_SLACK >= 64 + ARENA_ALIGN - 1,
               "the widest gap, and what rounds it up");

void arena_init(struct arena *a, void *base, size_t room)
{
    *a = (struct arena){.base = base, .room = room};
}

/* The arena now ends, after a gap, behind the block that ends at `end`. */
static void end_at(struct arena *a, char *end, size_t element)
{
    const size_t after = a->room - (size_t)(end - a->base), full = arena_gap(element);
    const size_t gap = after < full ? after : full;

    arena_close_block(end, gap);
    a->used = a->room - after + gap;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    const size_t pad = arena_padding(a), left = a->room - a->used;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes) || pad > left || bytes > left - pad)
        return NULL;
    char *const p = a->base + a->used + pad;
    arena_open_block(p, bytes);
    memset(p, 0, bytes);
    end_at(a, p + bytes, size);
    return p;
}

void *arena_open(struct arena *a, size_t size, size_t *out_n)
{
    const size_t left = a->room - a->used, pad = arena_padding(a) < left ? arena_padding(a) : left;
    char *const p = a->base + a->used + pad;

    arena_open_block(p, left - pad);
    *out_n = (left - pad) / size;
    return p;
}

void arena_close(struct arena *a, const void *list, size_t n, size_t size)
{
    char *const end = a->base + ((const char *)list - a->base) + n * size;

    arena_close_block(end, a->room - (size_t)(end - a->base));
    end_at(a, end, size);
}

char *arena_copy(struct arena *a, const void *p, size_t n)
{
    char *const copy = n == SIZE_MAX ? NULL : arena_array(a, n + 1, 1);

    if (copy && n > 0)
        memcpy(copy, p, n);
    return copy;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    arena_close_block(a->base + mark, a->used - mark);
    a->used = mark;
    if (mark == 0)
        arena_open_block(a->base, a->room); /* the block goes back to its owner whole */
}
