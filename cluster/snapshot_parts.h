/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot is made of; private to cluster/. Each part is shared with the snapshots before
 * and after it as long as it does not change: a swap copies pointers, never nodes or pods.
 */
#ifndef CLUSTER_SNAPSHOT_PARTS_H
#define CLUSTER_SNAPSHOT_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "cluster/block.h"

/* Pods and workload templates lie in this many lists by the hash of namespace and name. */
enum { POD_SHARDS = 1024 };

struct pod_shard_entry {
    uint64_t hash;
    uint32_t rank;     /* 0 = Pod; else the place of the workload's kind, store.c */
    struct block *pod; /* struct score_pod */
};

struct pod_shard {
    atomic_uint refs;
    uint32_t n;
    struct pod_shard_entry at[]; /* [n] */
};

/* Name to position, for one set of nodes: open addressing, linear probing, half full. */
struct name_slot {
    uint32_t tag;      /* upper half of the hash */
    uint32_t position; /* 1.., 0 = empty */
};

struct name_index {
    atomic_uint refs;
    uint32_t mask;            /* slots - 1 */
    struct name_slot slots[]; /* [mask + 1] */
};

struct cluster_snapshot {
    atomic_uint refs;
    uint32_t n;
    uint64_t generation;
    uint64_t key[2];
    struct name_index *index;
    struct block **views;                 /* [n] struct node_view, by byte order of the names */
    struct pod_shard *shards[POD_SHARDS]; /* NULL = empty */
};

/* The hash of "ns/name" or of a node's name (`ns` empty). */
uint64_t snapshot_hash(const uint64_t key[2], struct str ns, struct str name);

/* An index over `views`, with one reference; NULL when the heap is empty. */
struct name_index *name_index_new(const uint64_t key[2], struct block *const *views, uint32_t n);
struct name_index *name_index_ref(struct name_index *index);
void name_index_unref(struct name_index *index);

/* Where the node of this name and hash is; s->n when there is none. */
uint32_t snapshot_position(const struct cluster_snapshot *s, struct str name, uint64_t hash);

/* Room for `n` views and no references taken yet; NULL when the heap is empty. */
struct cluster_snapshot *snapshot_new(const uint64_t key[2], uint32_t n);

struct pod_shard *pod_shard_ref(struct pod_shard *shard); /* NULL is fine */
void pod_shard_unref(struct pod_shard *shard);

#endif
