/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of the cluster as its one writer keeps them: each decoded in a block of its own,
 * pods hung on their nodes, and what changed since the last snapshot marked.
 */
#ifndef CLUSTER_STORE_H
#define CLUSTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "cluster/alike.h"
#include "cluster/block.h"
#include "cluster/demand.h"
#include "cluster/intern.h"
#include "cluster/snapshot_parts.h"
#include "cluster/source.h"

struct arena;
struct err;
struct kube_nrt;

/* What a source said of an object. */
struct store_known {
    uint64_t version : 63; /* 0 = not to be compared */
    bool marked : 1;       /* not yet named by the list that is under way */
};

/* A NodeResourceTopology: what is asked of it, and all of it in code (nrt_code.h). */
struct store_nrt {
    struct str uid;
    bool has_generation;
    uint64_t generation;
    struct str code;
};

/* All that bears one node's name; lives while any of it does. */
struct store_node {
    struct store_node *next;       /* of the hash bucket */
    struct store_node *next_dirty; /* valid while `dirty` */
    bool dirty;
    uint64_t hash;
    struct block *node, *nrt; /* struct kube_node, struct store_nrt; NULL = not there */
    struct store_known node_known, nrt_known;
    struct pod_record **pods; /* [n_pods] bound here and not ended; the shards hold them */
    uint32_t n_pods, pods_room;
    uint64_t newest_generation; /* of NodeResourceTopologies with the uid of this one */
    struct block *view;         /* struct node_view; NULL without a Node */
    struct alike_place like;    /* of the view */
    int64_t recheck_us;         /* when the clock changes what is known; 0 = never */
    struct str name;            /* behind this struct */
};

/* One pod, or one workload's template. */
struct store_pod {
    struct pod_record *record;
    struct store_known known;
    uint32_t wants; /* of demand_add */
};

struct store_shard {
    struct store_pod *at; /* [n] */
    uint32_t n, room;
    bool dirty;
    struct pod_shard *published;
};

/* An object that bears a name in no namespace, besides nodes: policies, namespaces, signals. */
struct store_named {
    struct str name;
    struct store_known known;
    struct block *block;
    bool unlisted;       /* struct source_delta */
    int64_t received_us; /* when it came */
};

struct store_list {
    struct store_named *at; /* [n] in the order of their names */
    uint32_t n, room;
};

/* Objects that live in namespaces, kept by "ns/name". */
struct store_shelf {
    struct store_list list;
    bool dirty; /* one changed, or they were listed */
};

struct store {
    uint64_t key[2];
    struct store_node **buckets; /* [mask + 1] */
    uint32_t mask, n_nodes;
    struct store_node *dirty; /* list by next_dirty */
    bool pods_known;          /* a pod was ever seen */
    uint32_t again;           /* kinds (1 << kind) whose list brings older versions, too */
    struct intern cpu_texts;  /* of NodeResourceTopologies: pack.h; what their blocks share */
    char *scratch;            /* [scratch_room] for decoding */
    size_t scratch_room;
    struct buf code; /* for encoding */
    struct pod_shapes shapes;
    struct store_shard shards[POD_SHARDS];
    struct demand_table demand;            /* of the pods */
    const struct cluster_context *context; /* borrowed: who must be alone; NULL: nobody */
    struct store_list policies, namespaces, signals;
    struct store_shelf shelves[SHELVES];
    bool context_dirty;                                     /* a policy or namespace changed */
    void (*failed)(void *ctx, const struct score_pod *pod); /* cluster.h; NULL: nobody asks */
    void *failed_ctx;
    int64_t now_us; /* set before each delta: when what comes is received */
};

int store_init(struct store *s, const uint64_t key[2]) MUST_CHECK; /* 0, -ENOMEM */
void store_done(struct store *s);

/* All of a NodeResourceTopology that the store keeps, in `a`. 0, -ENOMEM. */
int store_read_nrt(struct kube_nrt *out, const struct block *nrt, struct arena *a) MUST_CHECK;

/* A delta of a source; see struct source_sink. On failure nothing has changed. */
int store_apply(struct store *s, const struct source_delta *delta, struct err *err) MUST_CHECK;

/* A list of all objects of a kind, see struct source_sink. */
void store_begin(struct store *s, enum source_kind kind, bool again);
void store_end(struct store *s, enum source_kind kind);

/*
 * Something is said of an object that is known: it is not gone. True where it is known to be so, or
 * a later version of it is.
 */
bool store_is_passed_over(const struct store *s, struct store_known *k,
                          const struct source_delta *delta);
void store_note_version(struct store_known *k, const struct source_delta *delta);

/* Of store_list.c: the same for policies, namespaces and signals. */
int store_apply_named(struct store *s, const struct source_delta *delta,
                      struct err *err) MUST_CHECK;
void store_begin_named(struct store *s, enum source_kind kind);
void store_end_named(struct store *s, enum source_kind kind);
void store_list_done(struct store_list *l);

/* Count anew what pods want: the context is another one. 0; -ENOMEM, then some are not counted. */
int store_count_demand(struct store *s) MUST_CHECK;

/* The node of this name; NULL. */
struct store_node *store_find_node(const struct store *s, struct str name);

/* When a signal's figures leave the score. */
int64_t store_signal_ends_us(const struct store_named *signal);

void store_mark(struct store *s, struct store_node *n); /* its view must be built again */

/* Take the next marked node off the list; NULL at the end. */
struct store_node *store_next_dirty(struct store *s);

/* Forget a node that nothing bears the name of any more. */
void store_prune(struct store *s, struct store_node *n);

/* The published form of a shard, made anew where it changed. 0, -ENOMEM. */
int store_publish_shard(struct store *s, uint32_t i) MUST_CHECK;

#endif
