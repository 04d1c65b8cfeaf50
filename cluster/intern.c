/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

struct intern_entry {
    struct intern_entry *next;
    uint64_t hash;
    struct block *block; /* one reference is the table's */
    size_t n;
    char key[]; /* [n] */
};

enum { FIRST_BUCKETS = 64 };

static struct intern_entry **bucket_of(const struct intern *t, uint64_t hash)
{
    return &t->buckets[hash & (t->n_buckets - 1)];
}

struct block *intern_find(struct intern *t, struct str key)
{
    const uint64_t hash = siphash13(t->key, key);
    struct intern_entry *e = t->buckets ? *bucket_of(t, hash) : NULL;

    while (e && (e->hash != hash || !str_eq((struct str){e->key, e->n}, key)))
        e = e->next;
    return e ? block_ref(e->block) : NULL;
}

/* Of blocks that only the table refers to nobody can take another reference meanwhile. */
static void sweep(struct intern *t)
{
    for (uint32_t i = 0; i < t->n_buckets; i++) {
        for (struct intern_entry **at = &t->buckets[i], *e; (e = *at);) {
            if (!block_is_alone(e->block)) {
                at = &e->next;
                continue;
            }
            *at = e->next;
            block_unref(e->block);
            free(e);
            t->n--;
        }
    }
    t->sweep_at = 2 * t->n + FIRST_BUCKETS;
}

/* As many buckets as entries; where there is no memory, longer chains do no harm. */
static void grow(struct intern *t)
{
    const uint32_t n = t->n_buckets ? t->n_buckets * 2 : FIRST_BUCKETS;
    struct intern wider = *t;

    wider.buckets = calloc(n, sizeof(struct intern_entry *));
    if (!wider.buckets)
        return;
    wider.n_buckets = n;
    for (uint32_t i = 0; i < t->n_buckets; i++) {
        for (struct intern_entry *e = t->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = *bucket_of(&wider, e->hash);
            *bucket_of(&wider, e->hash) = e;
        }
    }
    free(t->buckets);
    *t = wider;
}

int intern_add(struct intern *t, struct block **out, struct str key, block_fill fill, void *ctx,
               struct block *shared)
{
    struct intern_entry *const e = malloc(sizeof(*e) + key.n);
    int rc = -ENOMEM;

    if (t->n >= t->sweep_at)
        sweep(t);
    if (t->n >= t->n_buckets)
        grow(t);
    if (e && t->buckets)
        rc = block_new(&e->block, 0, fill, ctx);
    if (rc) {
        free(e);
        return rc;
    }
    e->block->shared = shared ? block_ref(shared) : NULL;
    e->hash = siphash13(t->key, key);
    e->n = key.n;
    if (key.n)
        memcpy(e->key, key.p, key.n);
    e->next = *bucket_of(t, e->hash);
    *bucket_of(t, e->hash) = e;
    t->n++;
    *out = block_ref(e->block);
    return 0;
}

void intern_done(struct intern *t)
{
    for (uint32_t i = 0; i < t->n_buckets; i++) {
        for (struct intern_entry *e = t->buckets[i], *next; e; e = next) {
            next = e->next;
            block_unref(e->block);
            free(e);
        }
    }
    free(t->buckets);
    *t = (struct intern){0};
}
