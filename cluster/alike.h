/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place for each likeness of nodes (scoring/likeness.h), so that what was found out for one node
 * is found by all that are alike, and again by a node that comes back to where it was. For one
 * thread.
 */
#ifndef CLUSTER_ALIKE_H
#define CLUSTER_ALIKE_H

#include <stdint.h>

#include "base/attr.h"
#include "scoring/likeness.h"

/* Places are given again; the serial tells who has it now. */
struct alike_place {
    uint64_t serial; /* never the same for two likenesses, grows; 0 = none */
    uint32_t slot;   /* 0, 1, ... */
};

struct alike_entry {
    struct likeness likeness;
    uint64_t serial;
    uint32_t nodes;        /* that are so now; 0 = idle: it may be given to another likeness */
    uint32_t next;         /* of the bucket; all links are slot + 1, 0 = end */
    uint32_t newer, older; /* idle ones, by when they became so */
};

/* Zero-initialise. */
struct alike_table {
    struct alike_entry *at; /* [n] by slot */
    uint32_t n, room;
    uint32_t in_use;   /* of the n */
    uint32_t *buckets; /* [room] */
    uint32_t newest, oldest;
    uint64_t serials;
};

/*
 * The place of a likeness, for one more node. A new one goes to a new place while there are fewer
 * than `most`, then to that which has been idle longest. 0, -ENOMEM.
 */
int alike_take(struct alike_table *t, struct alike_place *out, const struct likeness *likeness,
               uint32_t most) MUST_CHECK;

/* One node less. A place that is none is fine. */
void alike_drop(struct alike_table *t, struct alike_place place);

void alike_done(struct alike_table *t);

#endif
