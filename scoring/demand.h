/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pods of a cluster want of zones: the kinds of requests that run there or wait, by how
 * many pods are of each. Fragmentation asks it for whom a zone's free stock is still of use.
 * Filled by cluster/demand.c; immutable, part of what a decision depends on.
 */
#ifndef SCORING_DEMAND_H
#define SCORING_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    DEMAND_KINDS = 16,
    DEMAND_RESOURCES = 8,          /* of devices, over all kinds */
    DEMAND_NAME_BYTES = 96,        /* of such a resource's name */
    DEMAND_PARTS = 32,             /* the weight of a kind that every pod is of */
    DEMAND_MOST = (1 << 20) - 1,   /* of anything that is counted */
    DEMAND_MEMORY_BYTES = 1 << 24, /* memory is counted in steps of 16 MiB */
};

/* Resources that are counted by zone: exclusive CPUs, memory, devices by score_demand.resources. */
enum {
    DEMAND_CPUS,
    DEMAND_MEMORY,
    DEMAND_DEVICES,
    DEMAND_COLUMNS = DEMAND_DEVICES + DEMAND_RESOURCES
};

struct demand_want {
    uint32_t column, amount; /* 1..DEMAND_MOST */
    uint64_t inverse;        /* of the amount */
};

/* Pods that want the same for themselves, all containers together. */
struct demand_kind {
    uint32_t weight; /* 1, 2, 4 .. DEMAND_PARTS: docs/scoring.md 4 */
    bool alone;      /* of a class whose pods are alone in their zones */
    uint32_t n;
    struct demand_want wants[DEMAND_COLUMNS]; /* [n] by column */
};

struct demand_name {
    uint8_t n;
    char p[DEMAND_NAME_BYTES];
};

struct score_demand {
    uint64_t serial; /* within one cluster never the same for two different contents; 0 = nothing */
    uint32_t n, n_resources;
    struct demand_kind kinds[DEMAND_KINDS];         /* [n] the heaviest first */
    struct demand_name resources[DEMAND_RESOURCES]; /* [n_resources] by byte order */
};

static inline struct str demand_resource(const struct score_demand *d, uint32_t i)
{
    return (struct str){d->resources[i].p, d->resources[i].n};
}

/* One want more, behind those before it. */
static inline void demand_put(struct demand_kind *k, uint32_t column, uint32_t amount)
{
    k->wants[k->n++] = (struct demand_want){column, amount, (UINT64_C(1) << 40) / amount + 1};
}

/*
 * n / amount, rounded down, n up to DEMAND_MOST. The inverse is (2^40 + e) / amount, e up to
 * amount: what the product is off by is below 1 / amount, as n * e is below 2^40.
 */
static inline uint32_t demand_times(const struct demand_want *w, uint32_t n)
{
    return (uint32_t)(n * w->inverse >> 40);
}

#endif
