/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock order of one namespace: its lock classes, what LockPolicies declare and what reporters
 * saw, in one graph. book.c fills it from reports, operator/ from policies; view.c reads it.
 */
#ifndef OPERATOR_LOCKS_ORDER_H
#define OPERATOR_LOCKS_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "operator/locks/graph.h"

struct err;

/* A lock class: all locks that the source takes at one place, "db.pool". Index = graph node. */
struct lock_class {
    struct str name; /* on the heap */
    uint64_t hash;
    uint32_t refs; /* rules, edges and holders that name it; 0 = not in use */
    uint32_t next; /* of the bucket */
};

/* What is known of an edge. Index = graph edge. It goes when neither number is left. */
struct lock_order_edge {
    uint32_t declared;  /* rules in which one follows the other */
    uint32_t reporters; /* who saw it */
    uint64_t count;     /* times seen, by all of them */
};

/* One rule of a LockPolicy: order[0] is acquired first. */
struct lock_rule {
    struct str name;
    const struct str *order; /* [n] each class once */
    uint32_t n;
};

/* What one policy has declared, by classes. */
struct lock_declared_rule {
    struct str name;
    uint32_t *classes; /* [n] */
    uint32_t n;
};

struct lock_policy {
    struct lock_policy *next;
    struct str name;
    struct lock_declared_rule *rules; /* [n] */
    uint32_t n;
};

struct lock_order {
    struct lock_graph graph;
    struct lock_class *classes;    /* [class_room] */
    struct lock_order_edge *edges; /* [edge_room] */
    uint32_t class_room, edge_room;
    uint32_t *buckets; /* [bucket_mask + 1] */
    uint32_t bucket_mask;
    struct lock_policy *policies; /* list */
    uint64_t key[2];
    uint64_t generation; /* grows with every change of what is declared or seen */
};

void lock_order_init(struct lock_order *o, const uint64_t key[2]);
void lock_order_done(struct lock_order *o);

/* The class of this name; LOCK_NONE when there is none. */
uint32_t lock_order_find(const struct lock_order *o, struct str name);

/*
 * A reference to the class of this name, made when it is new; given back by lock_order_drop.
 * 0; -E2BIG: LIMIT_LOCK_CLASSES are there; -ENOMEM.
 */
int lock_order_take(struct lock_order *o, struct str name, uint32_t *out) MUST_CHECK;
void lock_order_drop(struct lock_order *o, uint32_t class_index);

/*
 * One reporter more has seen `from` held while `to` was acquired; given back, with all it
 * counted, by lock_order_unsee. lock_order_count adds what was seen since. 0; -E2BIG:
 * LIMIT_LOCK_EDGES or LIMIT_LOCK_CLASSES are there; -ENOMEM.
 */
int lock_order_see(struct lock_order *o, struct str from, struct str to, uint32_t *out) MUST_CHECK;
void lock_order_count(struct lock_order *o, uint32_t edge, uint64_t count);
void lock_order_unsee(struct lock_order *o, uint32_t edge, uint64_t count);

/*
 * What the policy `name` declares, instead of what it did; n = 0 is a policy without rules.
 * 0; -E2BIG; -ENOMEM; then nothing has changed.
 */
int lock_order_declare(struct lock_order *o, struct str name, const struct lock_rule *rules,
                       uint32_t n, struct err *err) MUST_CHECK;
void lock_order_withdraw(struct lock_order *o, struct str name); /* unknown: nothing */

/* Bytes on the heap, about. */
size_t lock_order_bytes(const struct lock_order *o);

#endif
