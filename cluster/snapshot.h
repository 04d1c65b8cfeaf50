/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster at one moment: an immutable table of reference-counted node views. cluster/ builds
 * the next one and swaps a pointer; a request takes one reference at its start and drops it at
 * its end.
 */
#ifndef CLUSTER_SNAPSHOT_H
#define CLUSTER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "cluster/alike.h"
#include "scoring/evaluate.h"
#include "scoring/node_view.h"
#include "scoring/request.h"

struct block;
struct kube_budget;
struct kube_limit_range;
struct kube_quota;
struct cluster_context;
struct roster;
struct cluster_snapshot; /* opaque */

struct cluster_snapshot *cluster_snapshot_ref(struct cluster_snapshot *s);
void cluster_snapshot_unref(struct cluster_snapshot *s); /* from any thread; NULL is fine */

uint64_t cluster_snapshot_generation(const struct cluster_snapshot *s); /* grows by one a swap */
uint32_t cluster_snapshot_nodes(const struct cluster_snapshot *s);

/* How many nodes differ in what they are judged by; the places of likenesses (cluster/alike.h). */
uint32_t cluster_snapshot_likenesses(const struct cluster_snapshot *s);
uint32_t cluster_snapshot_places(const struct cluster_snapshot *s); /* they lie below it */

/* Its policies and namespaces; never NULL. Whoever keeps it longer takes a reference. */
struct cluster_context *cluster_snapshot_context(const struct cluster_snapshot *s);

/* The i-th node in byte order of the names. */
const struct node_view *cluster_snapshot_node(const struct cluster_snapshot *s, uint32_t i);

/* The caches may fetch what stands first of it: the struct itself. It costs nothing to be wrong. */
void cluster_snapshot_prefetch(const struct cluster_snapshot *s, uint32_t i);

/* The block it lies in, and the names of all, for those who keep them longer than the snapshot. */
struct block *cluster_snapshot_node_block(const struct cluster_snapshot *s, uint32_t i);
struct roster *cluster_snapshot_roster(const struct cluster_snapshot *s);

/* NULL when there is no node of this name. O(1), by a keyed hash. */
const struct node_view *cluster_snapshot_find(const struct cluster_snapshot *s, struct str name);

/* A hash of any name with a key that nobody outside knows. */
uint64_t cluster_snapshot_hash(const struct cluster_snapshot *s, struct str name);

/* What of a node is needed to use a remembered answer: side by side with others, not its view. */
struct cluster_brief {
    struct alike_place like;
    struct score_stamp stamp;
};

struct cluster_found {
    const struct cluster_brief *brief; /* NULL: there is no node of this name */
    uint32_t position;                 /* as cluster_snapshot_node takes it */
};

/* Which nodes are at these positions; none at one that is not below the number of nodes. */
void cluster_snapshot_find_at(struct cluster_found *out, const struct cluster_snapshot *s,
                              const uint32_t *positions, uint32_t n);

/* Each of `n` names. O(n). */
void cluster_snapshot_find_all(struct cluster_found *out, const struct cluster_snapshot *s,
                               const struct str *names, uint32_t n);

/* Room for a pod of the source, which is kept in another form. */
enum { CLUSTER_POD_UID_BYTES = 40 };
struct cluster_pod {
    struct score_pod pod;
    char uid[CLUSTER_POD_UID_BYTES];
};

/*
 * A pod or workload template of the source by namespace and name: &room->pod, which borrows from
 * the snapshot and from `room`; NULL when there is none.
 */
const struct score_pod *cluster_snapshot_pod(const struct cluster_snapshot *s, struct str ns,
                                             struct str name, struct cluster_pod *room);

/* The kinds that have pods, in the order in which they answer for one name. */
enum { CLUSTER_POD_KINDS = 8 };
extern const char *const cluster_pod_kinds[CLUSTER_POD_KINDS];

/* The pod that a view of this snapshot has among its plain ones; NULL when it has ended. */
const struct score_pod *cluster_snapshot_pod_at(const struct cluster_snapshot *s, uint64_t key,
                                                struct cluster_pod *room);

/* The same of one kind: "Pod", "Deployment", ... */
const struct score_pod *cluster_snapshot_object(const struct cluster_snapshot *s, struct str kind,
                                                struct str ns, struct str name,
                                                struct cluster_pod *room);

/* Every pod, templates left out, in no order that means anything; until `fn` returns false. */
void cluster_snapshot_pods(const struct cluster_snapshot *s,
                           bool (*fn)(void *ctx, const struct score_pod *pod), void *ctx);

/* All PodDisruptionBudgets; NULL: nobody has told of any, and there may be some. */
const struct kube_budget *const *cluster_snapshot_budgets(const struct cluster_snapshot *s,
                                                          uint32_t *out_n);

/* All ResourceQuotas, and all LimitRanges, likewise; those of a namespace stand side by side. */
const struct kube_quota *const *cluster_snapshot_quotas(const struct cluster_snapshot *s,
                                                        uint32_t *out_n);
const struct kube_limit_range *const *
cluster_snapshot_limit_ranges(const struct cluster_snapshot *s, uint32_t *out_n);

#endif
