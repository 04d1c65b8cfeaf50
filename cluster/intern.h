/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many objects have alike, kept once: blocks by a key of bytes that says all of their content.
 * For one thread; the blocks themselves go anywhere.
 */
#ifndef CLUSTER_INTERN_H
#define CLUSTER_INTERN_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "cluster/block.h"

struct intern_entry;

/* Zero-initialise; `key` is of the hash. */
struct intern {
    uint64_t key[2];
    struct intern_entry **buckets; /* [n_buckets] */
    uint32_t n_buckets, n;
    uint32_t sweep_at; /* number of entries at which those that nobody uses are dropped */
};

/* A reference to the block of this key; NULL when there is none yet. */
struct block *intern_find(struct intern *t, struct str key);

/*
 * Make the block of a key that intern_find does not know, by `fill` (block_new); `shared` (NULL is
 * fine) is what its value points into, too. A reference to it goes to `out`. 0, -ENOMEM.
 */
int intern_add(struct intern *t, struct block **out, struct str key, block_fill fill, void *ctx,
               struct block *shared) MUST_CHECK;

void intern_done(struct intern *t);

#endif
