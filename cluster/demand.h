/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many pods there are of each kind (scoring/demand.h), counted as they come and go. What comes
 * of it depends on the pods alone, not on the order in which they came: shares are rounded down to
 * powers of two, so that it seldom changes.
 */
#ifndef CLUSTER_DEMAND_H
#define CLUSTER_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/demand.h"

struct arena;
struct cluster_context;
struct score_pod;

/* Bounds of the table: pods of a kind beyond them are not counted. */
enum { DEMAND_TABLE_KINDS = 4096, DEMAND_TABLE_NAMES = 64 };

/* What one pod wants. */
struct demand_pod {
    bool counts; /* false: nothing for itself, or it has ended */
    uint32_t cpus, memory;
    bool alone;
    uint32_t n_devices;
    struct {
        struct str name; /* borrowed */
        uint32_t amount;
    } devices[DEMAND_RESOURCES]; /* by name */
};

struct demand_table {
    struct demand_entry *at; /* [n] kinds; of one that nobody is of, its place is taken again */
    uint32_t n, room;
    struct demand_name names[DEMAND_TABLE_NAMES]; /* [n_names] */
    uint32_t n_names;
    uint64_t pods;
    bool changed; /* since the caller last said false */
};

/* `context`: whose policies say who must be alone; NULL: nobody. 0; -ENOMEM (`a` is full). */
int demand_pod_of(struct demand_pod *out, const struct score_pod *pod,
                  const struct cluster_context *context, struct arena *a) MUST_CHECK;

/* Count it. Returns a number for demand_drop; 0: it is not counted. */
uint32_t demand_add(struct demand_table *t, const struct demand_pod *pod);
void demand_drop(struct demand_table *t, uint32_t kind); /* 0 is fine */

/* The heaviest kinds. `out` is filled to its last byte, its serial with 0. */
void demand_rank(struct score_demand *out, const struct demand_table *t);

void demand_table_done(struct demand_table *t);

#endif
