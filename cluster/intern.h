/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many objects have alike, kept once: CPU lists of a machine model, what the pods of a
 * workload say, names of nodes. For one thread; the blocks themselves go anywhere.
 */
#ifndef CLUSTER_INTERN_H
#define CLUSTER_INTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/block.h"

struct intern_slot {
    uint64_t hash;
    struct block *block; /* NULL = free */
};

/* Zero-initialise. It holds a reference to each value, and drops those that nobody else holds. */
struct intern {
    struct intern_slot *slots; /* [mask + 1] */
    uint32_t mask, n;
    uint32_t sweep_at; /* number of values at which those that nobody uses are dropped */
};

/* What is looked for: `hash` is of all that `same` compares. */
struct intern_key {
    uint64_t hash;
    bool (*same)(const void *value, const void *key);
    const void *key;
};

/*
 * A reference to the value that is the same as the key, or that `fill` makes (block_new); `shared`
 * (NULL is fine) is what a new one points into, too. It goes to `out`. 0, -ENOMEM, or what `fill`
 * returned.
 */
int intern_get(struct intern *t, struct block **out, const struct intern_key *key, block_fill fill,
               void *ctx, struct block *shared) MUST_CHECK;

/* For values that are a struct str: `same`, and the copy of a struct str `ctx`. */
bool intern_same_text(const void *value, const void *key);
int intern_copy_text(void *ctx, struct arena *a, const void **out);

void intern_done(struct intern *t);

#endif
