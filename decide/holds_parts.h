/* SPDX-License-Identifier: Apache-2.0 */
/* What holds are made of; private to decide/holds.c and decide/beside.c. */
#ifndef DECIDE_HOLDS_PARTS_H
#define DECIDE_HOLDS_PARTS_H

#include <stdbool.h>

#include "decide/holds.h"

struct block;
struct cluster_context;
struct memo;
struct score_pod;

struct hold {
    uint64_t hash;     /* of the UID */
    struct block *pod; /* struct score_pod */
    uint32_t place;
    bool was_known; /* the pod was seen: when it is not any more, it is gone */
    uint64_t until_ns;
};

/* A node with holds on it. */
struct hold_place {
    uint32_t n;        /* holds; 0: the place is free */
    uint32_t position; /* in the roster of `serial` */
    char *node;        /* its name */
    /*
     * What answers beside these holds are remembered by: another number whenever anything that
     * they depend on may have changed, the node (`base`), its holds, the policies.
     */
    uint64_t base, revision;
};

struct holds {
    uint64_t for_ns;
    uint64_t counter;                /* of revisions */
    uint64_t generation;             /* of the snapshot that was looked at last */
    uint64_t serial;                 /* of its roster */
    struct cluster_context *context; /* its policies, referenced */
    uint32_t n;
    struct hold at[HOLDS_MOST]; /* [n] the oldest first */
    struct hold_place places[HOLDS_MOST];
    uint32_t n_nodes;
    uint64_t *bits;    /* [n_nodes / 64 + 1] positions with holds */
    struct memo *memo; /* answers beside holds, by place */
    struct holds_stats stats;
};

/* Which one is the pod's; h->n: none. */
uint32_t holds_find(const struct holds *h, struct str uid);

const struct score_pod *hold_pod(const struct hold *hold);

/* The place of a node at this position; it has one. */
uint32_t holds_place(const struct holds *h, uint32_t position);

static inline bool holds_has(const struct holds *h, uint32_t position)
{
    return position < h->n_nodes && h->bits[position / 64] >> position % 64 & 1;
}

#endif
