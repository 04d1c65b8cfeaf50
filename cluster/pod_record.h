/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod as it is kept: some hundred bytes, for there are many. What the pods of a workload have
 * alike (containers, hints, priority) is kept once for all of them, labels and names of nodes
 * likewise. Immutable, shared with snapshots by a count. Opened it is a struct score_pod again.
 */
#ifndef CLUSTER_POD_RECORD_H
#define CLUSTER_POD_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/block.h"
#include "cluster/intern.h"
#include "cluster/snapshot.h"

struct pod_record {
    atomic_uint refs;
    uint16_t name_n;
    uint8_t uid_n; /* bytes of the uid behind the name: text, or 16 of a UUID */
    uint8_t phase : 3, rank : 3, deleting : 1, is_uuid : 1; /* rank 0 = Pod, see snapshot_rank */
    uint64_t hash;                                          /* of namespace and name */
    struct block *shape;  /* struct score_pod: all that is not here */
    struct block *labels; /* struct score_labels; NULL = none */
    struct block *node;   /* struct str; NULL = not bound */
    int64_t created_us, bound_us;
    char bytes[]; /* [name_n + uid_n] */
};

/* What records share. Zero-initialise; belongs to whoever makes records. */
struct pod_shapes {
    struct intern shapes, labels, nodes;
};
void pod_shapes_done(struct pod_shapes *s); /* records stay valid */

/* A record with one reference. `key` is for hashing. 0; -ENOMEM; -E2BIG: a name or uid is too long.
 */
int pod_record_new(struct pod_record **out, struct pod_shapes *shapes, const uint64_t key[2],
                   const struct score_pod *pod, uint64_t hash, uint32_t rank) MUST_CHECK;

/* Borrows from the record, and from `out` itself. */
void pod_record_open(const struct pod_record *r, struct cluster_pod *out);

struct str pod_record_name(const struct pod_record *r);
struct str pod_record_ns(const struct pod_record *r);
struct str pod_record_node(const struct pod_record *r); /* empty while it is not bound */

struct pod_record *pod_record_ref(struct pod_record *r);
void pod_record_unref(struct pod_record *r); /* from any thread; NULL is fine */

#endif
