/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there: the names of one set of nodes in byte order, close together, and where each one is.
 * cluster.c makes one when a name comes or goes; all snapshots in between share it.
 */
#ifndef CLUSTER_ROSTER_H
#define CLUSTER_ROSTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"

struct roster_slot {
    uint32_t tag;      /* upper half of the hash */
    uint32_t position; /* 1.., 0 = empty */
};

struct roster {
    atomic_uint refs;
    uint32_t n, mask;          /* names; slots - 1 */
    uint64_t serial;           /* never the same for two rosters of a process, never 0 */
    uint64_t key[2];           /* of the hash */
    struct roster_slot *slots; /* [mask + 1] open addressing, linear probing, half full */
    uint32_t *guesses;  /* [mask + 1] position + 1, 0 = empty: fours, by a hash without a key */
    size_t bytes;       /* of all of it */
    const uint32_t *at; /* [n + 1] where each name begins in `names` */
    const char *names;
};

/* A copy of `names`, which are in byte order; one reference. NULL when the heap is empty. */
struct roster *roster_new(const uint64_t key[2], const struct str *names, uint32_t n);
struct roster *roster_ref(struct roster *r);
void roster_unref(struct roster *r); /* from any thread; NULL is fine */

struct str roster_name(const struct roster *r, uint32_t position);

/*
 * Where the name is, n when it is not there. Most names are where a quick hash says; for the others
 * one with a key is asked, which nobody can choose names against.
 */
uint32_t roster_find(const struct roster *r, struct str name);

/*
 * Likewise each of `n` names, to out [n]. Quicker than one by one: in a large cluster nothing of it
 * is in a cache near the core when a call comes, so that many are waited for at once.
 */
void roster_find_all(uint32_t *out, const struct roster *r, const struct str *names, uint32_t n);

uint64_t roster_hash(const uint64_t key[2], struct str name);

#endif
