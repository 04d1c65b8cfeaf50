/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directed graph whose strong components are kept in topological order from edge to edge. After
 * Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs" (JEA 2006):
 * an edge against the order moves only what lies between its ends. Two things are added: the order
 * is one of components instead of nodes, so that it stays exact where there are cycles already; and
 * of the two searches that they do, the one that ends first is enough. order.c keeps the lock
 * classes of a namespace in it.
 */
#ifndef OPERATOR_LOCKS_GRAPH_H
#define OPERATOR_LOCKS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define LOCK_NONE UINT32_MAX /* an enum constant is an int */

/* Nodes and edges are indices that stay the same for life; freed ones are used again. */
struct lock_graph_node {
    uint32_t comp;        /* index into comps: one of its members; LOCK_NONE = not in use */
    uint32_t next_member; /* of the component; of the free list */
    uint32_t first_out, first_in;
};

struct lock_graph_edge {
    uint32_t from, to; /* from = LOCK_NONE: not in use, `to` is the next free one */
    uint32_t next_out, prev_out, next_in, prev_in;
};

struct lock_graph_comp {
    uint64_t label;      /* grows along the list: every edge between components goes upwards */
    uint32_t prev, next; /* of the list of all, in topological order */
    uint32_t first_member, size;
    uint32_t also; /* of the components to look at again; of the parts of one that fell apart */
    uint8_t mark;  /* of a search under way */
    bool dirty;    /* lost an edge inside: may have fallen apart */
};

/* Reading the arrays is part of the interface; changing them is not. */
struct lock_graph {
    struct lock_graph_node *nodes; /* [n_nodes] in use and free */
    struct lock_graph_comp *comps; /* [n_nodes] */
    struct lock_graph_edge *edges; /* [n_edges] in use and free */
    uint32_t n_nodes, node_room, free_node, live_nodes;
    uint32_t n_edges, edge_room, free_edge, live_edges;
    uint32_t first, last; /* component in topological order */
    uint64_t spreads;     /* how often all labels were given anew */
    uint32_t *table;      /* [table_mask + 1] edge by its ends */
    uint32_t table_mask;
    uint32_t *scratch; /* [6 * node_room] */
    uint32_t dirty;    /* list by comps[].also */
    uint64_t secret;   /* nobody chooses ends that collide in the table */
};

/* No memory is taken before the first node. */
void lock_graph_init(struct lock_graph *g, uint64_t secret);
void lock_graph_done(struct lock_graph *g);

/* A node without edges. 0, -ENOMEM. */
int lock_graph_add_node(struct lock_graph *g, uint32_t *out) MUST_CHECK;

/* Takes back a node that has no edges. */
void lock_graph_remove_node(struct lock_graph *g, uint32_t node);

/*
 * The edge from -> to, which is not there yet. 0, -ENOMEM.
 */
int lock_graph_add(struct lock_graph *g, uint32_t from, uint32_t to, uint32_t *out) MUST_CHECK;

/* O(1); what it means for the order waits until the next lock_graph_settle. */
void lock_graph_remove(struct lock_graph *g, uint32_t edge);

/*
 * Look again at components that lost edges inside: linear in them. lock_graph_add does it first; so
 * must whoever reads components after a removal.
 */
void lock_graph_settle(struct lock_graph *g);

/* LOCK_NONE when there is none. */
uint32_t lock_graph_find(const struct lock_graph *g, uint32_t from, uint32_t to);

/* Does the edge lie on a cycle (an edge from a node to itself does)? Of a settled graph. */
bool lock_graph_is_cyclic(const struct lock_graph *g, uint32_t edge);

/* Bytes on the heap. */
size_t lock_graph_bytes(const struct lock_graph *g);

/* Every invariant, by assert; linear, for tests. */
void lock_graph_check(const struct lock_graph *g);

#endif
