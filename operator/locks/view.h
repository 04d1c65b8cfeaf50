/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock hierarchy of a namespace at one moment, as people and drawings want it: classes with
 * their levels, edges, what contradicts the declared order, potential cycles, deadlocks. Sorted, so
 * that the same state gives the same view whatever the order it came in.
 *
 * Levels: 0 is acquired first; a class stands one below the lowest of those before it (longest
 * path), over the edges of the *basis*: what is declared; what was seen between classes that are on
 * no common cycle; and of what was seen within a cycle, as much as fits, the most frequent first,
 * for what happens often is more likely meant. Edges outside the basis do not fit the order: an
 * observed one against a declared way is a violation; the others are part of a potential cycle.
 */
#ifndef OPERATOR_LOCKS_VIEW_H
#define OPERATOR_LOCKS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct lock_space;

struct lock_view_class {
    struct str name;
    uint32_t level;
    bool declared; /* a rule names it */
    bool cyclic;   /* on a potential cycle */
};

struct lock_view_edge {
    uint32_t from, to; /* classes */
    bool declared;
    bool basis;     /* it goes from a level to a higher one, and levels come from such edges */
    bool violation; /* observed, against a declared way from `to` to `from` */
    bool cyclic;    /* on a potential cycle */
    uint32_t reporters;
    uint64_t count; /* times observed, 0 = only declared */
};

/* A potential cycle: `classes` in the order of acquisition, the first by name first. */
struct lock_view_cycle {
    uint32_t *classes; /* [n] */
    uint32_t n;
    bool declared; /* the rules of policies contradict each other: every edge is declared */
};

struct lock_view_party {
    struct str pod, container, thread;
    struct str holds, holds_instance, waits, waits_instance;
    bool holds_shared, waits_shared;
    uint64_t waits_ns; /* how long */
};

struct lock_view_deadlock {
    struct lock_view_party *parties; /* [n] each waits for what the next one holds */
    uint32_t n;
    bool confirmed;
    uint64_t duration_ns; /* since the last wait began */
};

enum { LOCK_VIEW_CYCLES = 100 };

struct lock_view {
    struct str ns;
    uint64_t generation;
    struct lock_view_class *classes;      /* [n_classes] by name */
    struct lock_view_edge *edges;         /* [n_edges] by from, to */
    struct lock_view_cycle *cycles;       /* [n_cycles] by length, then classes */
    struct lock_view_deadlock *deadlocks; /* [n_deadlocks] confirmed first, then longest first */
    uint32_t n_classes, n_edges, n_levels, n_violations, n_cycles, n_deadlocks, n_reporters;
    char *text; /* of names */
    bool more;  /* there are more cycles or violations than were looked for */
};

/*
 * At `now_ns` by the book's clock; everything is the view's own. Linear but for cycles and
 * violations, whose search is bounded (`more` says so). 0, -ENOMEM.
 */
int lock_view_new(struct lock_view **out, struct lock_space *space, uint64_t now_ns) MUST_CHECK;
void lock_view_free(struct lock_view *v); /* NULL is fine */

/* An empty view of a namespace of which nothing is known. */
int lock_view_empty(struct lock_view **out, struct str ns) MUST_CHECK;

#endif
