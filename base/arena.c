/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
/* As wide as an element, so that whichever member of the one behind the last is read, it is seen.
 */
static size_t gap_behind(size_t element)
{
    return element < 16 ? 16 : element < 64 ? element : 64;
}
static void open_block(void *p, size_t n)
{
    ASAN_UNPOISON_MEMORY_REGION(p, n);
}
static void close_block(void *p, size_t n)
{
    ASAN_POISON_MEMORY_REGION(p, n);
}
#else
static size_t gap_behind(size_t element)
{
    (void)element;
    return 0;
}
static void open_block(void *p, size_t n)
{
    (void)p, (void)n;
}
static void close_block(void *p, size_t n)
{
    (void)p, (void)n;
}
#endif

enum { ALIGN = _Alignof(max_align_t) };
_Static_assert((int)ARENA_PART_SLACK >= 64 + ALIGN - 1, "the widest gap, and what rounds it up");

void arena_init(struct arena *a, void *base, size_t room)
{
    *a = (struct arena){.base = base, .room = room};
}

/* Bytes to skip until the next block may begin. */
static size_t padding(const struct arena *a)
{
    return (size_t)(-((uintptr_t)a->base + a->used) & (ALIGN - 1));
}

/* The arena now ends, after a gap, behind the block that ends at `end`. */
static void end_at(struct arena *a, char *end, size_t element)
{
    const size_t after = a->room - (size_t)(end - a->base), full = gap_behind(element);
    const size_t gap = after < full ? after : full;

    close_block(end, gap);
    a->used = a->room - after + gap;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    const size_t pad = padding(a), left = a->room - a->used;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes) || pad > left || bytes > left - pad)
        return NULL;
    char *const p = a->base + a->used + pad;
    open_block(p, bytes);
    memset(p, 0, bytes);
    end_at(a, p + bytes, size);
    return p;
}

void *arena_open(struct arena *a, size_t size, size_t *out_n)
{
    const size_t left = a->room - a->used, pad = padding(a) < left ? padding(a) : left;
    char *const p = a->base + a->used + pad;

    open_block(p, left - pad);
    *out_n = (left - pad) / size;
    return p;
}

void arena_close(struct arena *a, const void *list, size_t n, size_t size)
{
    char *const end = a->base + ((const char *)list - a->base) + n * size;

    close_block(end, a->room - (size_t)(end - a->base));
    end_at(a, end, size);
}

struct arena_parts arena_parts(struct arena *a)
{
    open_block(a->base + a->used, a->room - a->used);
    return (struct arena_parts){a, a->used + padding(a)};
}

void *arena_part(struct arena_parts *p, size_t n, size_t size)
{
    const size_t from = p->used, gap = gap_behind(size);
    size_t bytes;

    const bool wraps = __builtin_mul_overflow(n, size, &bytes);
    assert(!wraps && bytes <= SIZE_MAX / 4); /* many of them still add up */
    const size_t end = from + bytes;
    p->used = (end + gap + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (end > p->a->room)
        return NULL;
    close_block(p->a->base + end, gap < p->a->room - end ? gap : p->a->room - end);
    return p->a->base + from;
}

int arena_seal(const struct arena_parts *p)
{
    struct arena *const a = p->a;

    if (p->used > a->room) {
        close_block(a->base + a->used, a->room - a->used);
        return -ENOMEM;
    }
    a->used = p->used;
    return 0;
}

char *arena_copy(struct arena *a, const void *p, size_t n)
{
    char *const copy = n == SIZE_MAX ? NULL : arena_array(a, n + 1, 1);

    if (copy && n > 0)
        memcpy(copy, p, n);
    return copy;
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    close_block(a->base + mark, a->used - mark);
    a->used = mark;
    if (mark == 0)
        open_block(a->base, a->room); /* the block goes back to its owner whole */
}
