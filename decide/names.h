/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node names as small numbers, counted by use: thousands of decisions name the same nodes, and each
 * keeps four bytes a node.
 */
#ifndef DECIDE_NAMES_H
#define DECIDE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

enum { NAMES_MAX = 1 << 18, NAMES_NONE = NAMES_MAX - 1 /* an id that is never given */ };

struct names_entry;

/* Zero-initialise. Not thread-safe. */
struct names {
    struct names_entry *entries; /* by id */
    uint32_t n_entries, room;
    uint32_t *buckets; /* [n_buckets] first id + 1 */
    uint32_t n_buckets;
    uint32_t free;   /* first unused id + 1 */
    uint64_t key[2]; /* of the hash: who asks about nodes may choose their names */
    size_t bytes;    /* of heap in use, names included */
    /* The names of one set of nodes by their places there; each is in use as long as it is here. */
    struct names_places {
        uint64_t serial; /* of the set, 0 = none */
        uint32_t n;
        uint32_t *ids; /* [n] NAMES_NONE until asked for */
    } places;
};

/* The id of `name`, with one use more; NAMES_NONE when out of memory or ids. */
uint32_t names_take(struct names *t, struct str name);

/* One use less; the last one frees the id. NAMES_NONE is fine. */
void names_drop(struct names *t, uint32_t id);

/*
 * The names of `n` nodes may from now on be asked for by place; `serial` says which set it is.
 * False, and nothing is known by place, when out of memory.
 */
bool names_set_places(struct names *t, uint64_t serial, uint32_t n);
void names_forget_places(struct names *t);

/* names_take for the name at `place` (below n): without looking at it from the second time on. */
uint32_t names_take_at(struct names *t, uint32_t place, struct str name);

/* The id if it is known by place already, else NAMES_NONE. */
uint32_t names_at(const struct names *t, uint32_t place);

/* "" for NAMES_NONE. Valid until the next names_take or names_drop. */
struct str names_get(const struct names *t, uint32_t id);

void names_done(struct names *t);

#endif
