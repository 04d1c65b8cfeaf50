/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot is made of; private to cluster/. Each part is shared with the snapshots before
 * and after it as long as it does not change: a swap copies a pointer per page, never nodes or
 * pods, and whoever drops the last reference to a snapshot has as little to do.
 */
#ifndef CLUSTER_SNAPSHOT_PARTS_H
#define CLUSTER_SNAPSHOT_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "cluster/block.h"
#include "cluster/pod_record.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "cluster/source.h"

/*
 * Pods and workload templates lie in this many lists by the hash of namespace and name: a change
 * copies one of them, a swap all their addresses.
 */
enum { POD_SHARDS = 4096 };

struct pod_shard {
    atomic_uint refs;
    uint32_t n;
    struct pod_record *at[]; /* [n] */
};

struct pod_table {
    atomic_uint refs;
    struct pod_shard *shards[POD_SHARDS]; /* NULL = empty */
};

/* Views of PAGE_NODES nodes side by side, and of each what every request reads. */
enum { PAGE_NODES = 64 };

struct snapshot_page {
    atomic_uint refs;
    struct cluster_brief briefs[PAGE_NODES];
    struct block *views[PAGE_NODES]; /* struct node_view; NULL behind the last one */
};

enum { SHELVES = SOURCE_LIMIT_RANGE - SOURCE_BUDGET + 1 };

struct cluster_snapshot {
    atomic_uint refs;
    uint64_t generation;
    uint32_t n_places, n_likenesses; /* likenesses have places below n_places */
    struct roster *roster;
    struct pod_table *pods;
    struct cluster_context *context;
    struct shelf *shelves[SHELVES]; /* by source_kind from SOURCE_BUDGET on; NULL: not known */
    uint32_t n_pages;
    struct snapshot_page *pages[]; /* [n_pages] views in the roster's order */
};

/* Of "Pod", "Deployment", ...: the lower answers for a name that several have. */
uint32_t snapshot_rank(struct str kind);

/* The hash of "ns/name" of a pod or workload. */
uint64_t snapshot_pod_hash(const uint64_t key[2], struct str ns, struct str name);

/* A snapshot of these parts; takes the references, also when it fails. NULL: the heap is empty. */
struct cluster_snapshot *snapshot_new(struct roster *roster, struct pod_table *pods,
                                      struct cluster_context *context);

/* A page without views and with one reference; NULL when the heap is empty. */
struct snapshot_page *snapshot_page_new(void);
struct snapshot_page *snapshot_page_copy(const struct snapshot_page *page);
struct snapshot_page *snapshot_page_ref(struct snapshot_page *page);
void snapshot_page_unref(struct snapshot_page *page); /* NULL is fine */
void snapshot_page_put(struct snapshot_page *page, uint32_t at, struct block *view,
                       struct alike_place like);

struct pod_table *pod_table_new(void); /* empty, one reference; NULL when the heap is empty */
struct pod_table *pod_table_ref(struct pod_table *table);
void pod_table_unref(struct pod_table *table); /* NULL is fine */

struct pod_shard *pod_shard_ref(struct pod_shard *shard); /* NULL is fine */
void pod_shard_unref(struct pod_shard *shard);

#endif
