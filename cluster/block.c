/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/block.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"

enum {
    FIRST_ROOM = 64 * 1024,
    HEADER = (sizeof(struct block) + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1),
};
static const size_t max_room = (size_t)1 << 31;

/*
 * Sizes are few, so that what replaces a block fits into the hole that another one has left: a
 * cluster's views are built again and again, among many things that stay.
 */
static size_t round_up(size_t n)
{
    const size_t step = n < 2048 ? 16 : 256;

    return (n + step - 1) / step * step;
}

static int fill_once(struct block **out, size_t room, size_t *used, block_fill fill, void *ctx)
{
    struct block *const b = malloc(HEADER + room);
    const void *value = NULL;
    struct arena a;

    if (!b)
        return -ENOMEM;
    arena_init(&a, (char *)b + HEADER, room);
    const int rc = fill(ctx, &a, &value);
    *used = arena_mark(&a);
    arena_rewind(&a, *used);
    if (rc < 0) {
        free(b);
        return rc;
    }
    atomic_init(&b->refs, 1);
    b->used = (uint32_t)*used;
    b->value = value;
    b->shared = NULL;
    b->drop = NULL;
    *out = b;
    return 0;
}

/*
 * Give back what is behind the last byte used. The value's pointers only survive where the heap
 * shrinks a block in its place, as glibc does; NULL: it did not (or could not), and the value must
 * be built again.
 */
static struct block *shrink(struct block *b, size_t used)
{
    b->shared = b; /* so that a block which has moved is known by it */
    struct block *const after = realloc(b, HEADER + round_up(used));

    if (!after || after->shared != after) {
        free(after ? after : b);
        return NULL;
    }
    after->shared = NULL;
    return after;
}

int block_new(struct block **out, size_t room, block_fill fill, void *ctx)
{
    struct block *b = NULL;
    size_t used = 0;
    int rc;

    room = round_up(room ? room : FIRST_ROOM);
    while ((rc = fill_once(&b, room, &used, fill, ctx)) == -ENOMEM && room < max_room)
        room *= 2;
    if (rc < 0)
        return rc;
    b = shrink(b, used);
    if (!b && (rc = fill_once(&b, room, &used, fill, ctx)) < 0)
        return rc;
    *out = b;
    return 0;
}

size_t block_room_like(const struct block *b)
{
    return b ? round_up(b->used) : 0;
}

struct block *block_ref(struct block *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

bool block_is_alone(const struct block *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
}

void block_unref(struct block *b)
{
    while (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) {
        struct block *const shared = b->shared;

        if (b->drop)
            b->drop(b->value);
        free(b);
        b = shared;
    }
}
