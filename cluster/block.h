/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An immutable value with everything it points to in one block of the heap, and a count of who
 * uses it: decoded objects and node views, which snapshots share.
 */
#ifndef CLUSTER_BLOCK_H
#define CLUSTER_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct arena;

struct block {
    atomic_uint refs;
    uint32_t used;        /* bytes behind this header that the value takes */
    const void *value;    /* what the fill function built, inside the block */
    struct block *shared; /* referenced: what else the value points into, with others; or NULL */
    void (*drop)(const void *value); /* gives back what else the value holds; or NULL */
};

/*
 * Build a value in the arena and put its address into `out_value`. 0, -ENOMEM (asked again with
 * more room), another negative errno (given up).
 */
typedef int (*block_fill)(void *ctx, struct arena *a, const void **out_value);

/*
 * A block with one reference. `room` is a first guess of the bytes needed, 0 = none; what is not
 * used is given back. 0; -ENOMEM; else what `fill` returned.
 */
int block_new(struct block **out, size_t room, block_fill fill, void *ctx) MUST_CHECK;

/* A guess for what replaces `b`: most often it is as large. NULL is fine. */
size_t block_room_like(const struct block *b);

struct block *block_ref(struct block *b);
bool block_is_alone(const struct block *b); /* there is one reference */
void block_unref(struct block *b);          /* from any thread; NULL is fine */

#endif
