/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/budgets.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/block.h"
#include "kube/budget.h"

struct cluster_budgets {
    atomic_uint refs;
    uint32_t n;
    struct block **blocks;          /* [n] */
    const struct kube_budget *at[]; /* [n] what they hold */
};

struct cluster_budgets *cluster_budgets_new(struct block *const *blocks, uint32_t n)
{
    struct cluster_budgets *const b = calloc(1, sizeof(*b) + n * sizeof(b->at[0]));

    if (!b)
        return NULL;
    b->refs = 1;
    b->blocks = calloc(n + 1, sizeof(b->blocks[0]));
    if (!b->blocks) {
        free(b);
        return NULL;
    }
    for (; b->n < n; b->n++) {
        b->blocks[b->n] = block_ref(blocks[b->n]);
        b->at[b->n] = blocks[b->n]->value;
    }
    return b;
}

struct cluster_budgets *cluster_budgets_ref(struct cluster_budgets *b)
{
    if (b)
        (void)atomic_fetch_add(&b->refs, 1);
    return b;
}

void cluster_budgets_unref(struct cluster_budgets *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    for (uint32_t i = 0; i < b->n; i++)
        block_unref(b->blocks[i]);
    free(b->blocks);
    free(b);
}

const struct kube_budget *const *cluster_budgets_list(const struct cluster_budgets *b,
                                                      uint32_t *out_n)
{
    *out_n = b ? b->n : 0;
    return b ? b->at : NULL;
}
