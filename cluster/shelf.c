/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/shelf.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/block.h"

struct shelf {
    atomic_uint refs;
    uint32_t n;
    struct block **blocks; /* [n] */
    const void *at[];      /* [n] what they hold */
};

struct shelf *shelf_new(struct block *const *blocks, uint32_t n)
{
    struct shelf *const s = calloc(1, sizeof(*s) + n * sizeof(s->at[0]));

    if (!s)
        return NULL;
    s->refs = 1;
    s->blocks = calloc(n + 1, sizeof(s->blocks[0]));
    if (!s->blocks) {
        free(s);
        return NULL;
    }
    for (; s->n < n; s->n++) {
        s->blocks[s->n] = block_ref(blocks[s->n]);
        s->at[s->n] = blocks[s->n]->value;
    }
    return s;
}

struct shelf *shelf_ref(struct shelf *s)
{
    if (s)
        (void)atomic_fetch_add(&s->refs, 1);
    return s;
}

void shelf_unref(struct shelf *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        block_unref(s->blocks[i]);
    free(s->blocks);
    free(s);
}

const void *const *shelf_list(const struct shelf *s, uint32_t *out_n)
{
    *out_n = s ? s->n : 0;
    return s ? s->at : NULL;
}
