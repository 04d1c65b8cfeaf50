/* SPDX-License-Identifier: Apache-2.0 */
/* The PodDisruptionBudgets at one moment; immutable, snapshots share it. */
#ifndef CLUSTER_BUDGETS_H
#define CLUSTER_BUDGETS_H

#include <stdint.h>

struct block;
struct cluster_budgets;
struct kube_budget;

/*
 * Of `n` blocks that hold a struct kube_budget, which it references. One reference. NULL: out of
 * memory.
 */
struct cluster_budgets *cluster_budgets_new(struct block *const *blocks, uint32_t n);
struct cluster_budgets *cluster_budgets_ref(struct cluster_budgets *b); /* NULL is fine */
void cluster_budgets_unref(struct cluster_budgets *b); /* from any thread; NULL is fine */

const struct kube_budget *const *cluster_budgets_list(const struct cluster_budgets *b,
                                                      uint32_t *out_n);

#endif
