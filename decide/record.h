/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a decision: four bytes for each node, and of the best nodes and one sample per
 * reason the views that were judged. Views never change, so what is said about them is worked out
 * when somebody reads it, and is what was decided.
 */
#ifndef DECIDE_RECORD_H
#define DECIDE_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/decide.h"

struct arena;
struct block;
struct buf;
struct cluster_context;
struct emit;
struct report;
struct roster;

enum {
    RECORD_BEST = 16,
    RECORD_DETAILS = RECORD_BEST + SCORE_REASONS,
    RECORD_ID_BYTES = 26, /* text of a ULID */
};

enum record_verb { RECORD_FILTER = 1 << 0, RECORD_PRIORITIZE = 1 << 1, RECORD_EXPLAIN = 1 << 2 };

/* One node: its place among the record's names 17 bits, reason 5, score 10. */
enum { RECORD_NO_PLACE = (1 << 17) - 1 /* the name did not fit */ };
static inline uint32_t record_cell(uint32_t place, enum score_reason reason, uint32_t score)
{
    return place | (uint32_t)reason << 17 | score << 22;
}
static inline uint32_t record_cell_place(uint32_t cell)
{
    return cell & RECORD_NO_PLACE;
}
static inline enum score_reason record_cell_reason(uint32_t cell)
{
    return (enum score_reason)(cell >> 17 & 31);
}
static inline uint32_t record_cell_score(uint32_t cell)
{
    return cell >> 22;
}

/* A node told in full. */
struct record_detail {
    uint32_t cell;      /* index */
    struct block *view; /* struct node_view, referenced; NULL: the snapshot had none */
};

/* A node whose wire score was lowered: for pods on their way to it, or (0) it was in doubt. */
struct record_held {
    uint32_t cell; /* index */
    uint16_t wire, pods;
};

/*
 * All but `verbs`, `cells`, `terms`, `decided`, `contradicted` and the links stays as it is made.
 * Everything that an answer depends on is here, by value or by reference: whoever makes answers
 * depend on more adds it here.
 */
struct record {
    struct record *older, *newer; /* the ring's */
    atomic_uint refs;
    size_t bytes; /* of its own: without views and roster, which others share */
    char id[RECORD_ID_BYTES + 1];
    int64_t time_us;
    unsigned verbs; /* of enum record_verb */
    enum decide_pass pass;
    enum pod_qos qos;
    enum decide_mode mode;
    uint32_t max_score;
    atomic_uint terms; /* bit per score_term that some admitted candidate had */
    struct score_context context;
    struct cluster_context *policies; /* referenced; NULL: there were none */
    uint64_t generation;
    uint32_t counts[3];
    uint32_t n_left_out; /* nodes for which there was no room */
    struct block *pod;   /* struct score_pod; NULL: it was not understood */
    /* Places are those of the roster, NULL = none, and behind them those of names of its own. */
    struct roster *roster;
    uint32_t n_names;
    const struct str *names; /* [n_names] */
    uint32_t n_cells;
    uint32_t *cells;          /* [n_cells] in the order the nodes were sent */
    atomic_uint decided;      /* 0, or 1 + index of the cell that alone got a score on the wire */
    atomic_uint contradicted; /* 0, or reason + (place << 5): that kubelet refused the pod */
    uint32_t n_held;
    const struct record_held *held; /* [n_held] by cell */
    uint32_t n_details;
    struct record_detail details[RECORD_DETAILS]; /* the best ones, best first, then samples */
};

/* What goes into a record. Borrowed. */
struct record_input {
    const struct report *report;
    const char *id; /* RECORD_ID_BYTES */
    int64_t time_us;
    unsigned verb;
};

/*
 * Make a record on the heap, with one reference. `whole`: with every node, names by the
 * snapshot's roster; else with those that are told in full and their names. NULL when out of
 * memory.
 */
struct record *record_new(const struct record_input *in, bool whole);
struct record *record_ref(struct record *r);
void record_unref(struct record *r); /* from any thread; NULL is fine */

/* Tell only the first `n` of its details in full. */
void record_trim(struct record *r, uint32_t n);

struct str record_cell_name(const struct record *r, uint32_t cell); /* "" when it did not fit */
enum score_verdict record_cell_verdict(const struct record *r, uint32_t cell);

/* "" where the pod was not understood. */
struct str record_ns(const struct record *r);
struct str record_name(const struct record *r);
struct str record_uid(const struct record *r);

/*
 * Take the scores of a later decision about the same pod and snapshot: its nodes must be some of
 * the record's, in the same order, and none of them held. False, and nothing changed, when that is
 * not so.
 */
bool record_join(struct record *r, const struct record_input *in);

/* Did it admit the pod of this UID on the node? Then it is noted that its kubelet did not. */
bool record_contradict(struct record *r, struct str uid, struct str node, enum score_reason reason);

/* The node as it was judged; NULL where it is not told in full. */
const struct node_view *record_view(const struct record *r, struct str node);

/* Members of its line in a list. `best`: name of the best node, NULL when none admits. */
void record_summary_json(struct emit *e, const struct record *r, unsigned verbs,
                         const struct str *best);

/*
 * Append one JSON object and a newline. `verbs` and `cells` [n_cells] as they were when the ring
 * was locked. `scratch` is used and rewound; without room there, nodes are told in short.
 */
void record_json(struct buf *out, const struct record *r, unsigned verbs, const uint32_t *cells,
                 struct arena *scratch);

#endif
