/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All objects of a kind that belongs to no node, at one moment; immutable, snapshots share it:
 * PodDisruptionBudgets, ResourceQuotas, LimitRanges.
 */
#ifndef CLUSTER_SHELF_H
#define CLUSTER_SHELF_H

#include <stdint.h>

struct block;
struct shelf;

/* Of `n` blocks, which it references. One reference. NULL: out of memory. */
struct shelf *shelf_new(struct block *const *blocks, uint32_t n);
struct shelf *shelf_ref(struct shelf *s); /* NULL is fine */
void shelf_unref(struct shelf *s);        /* from any thread; NULL is fine */

/* [*out_n] what the blocks hold. */
const void *const *shelf_list(const struct shelf *s, uint32_t *out_n);

#endif
