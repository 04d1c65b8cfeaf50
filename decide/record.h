/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a decision: the best nodes and one sample per reason in full, four bytes for each
 * node. One block of memory, so that keeping, copying and dropping it are one call each.
 */
#ifndef DECIDE_RECORD_H
#define DECIDE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/decide.h"
#include "decide/names.h"

struct arena;
struct buf;
struct emit;
struct report;

enum {
    RECORD_BEST = 16,
    RECORD_DETAILS = RECORD_BEST + SCORE_REASONS,
    RECORD_ID_BYTES = 26, /* text of a ULID */
};

enum record_verb { RECORD_FILTER = 1 << 0, RECORD_PRIORITIZE = 1 << 1, RECORD_EXPLAIN = 1 << 2 };

/* One node: id of its name 18 bits, reason 4, score 10. */
uint32_t record_cell(uint32_t name, enum score_reason reason, uint32_t score);
uint32_t record_cell_name(uint32_t cell);
enum score_reason record_cell_reason(uint32_t cell);
uint32_t record_cell_score(uint32_t cell);

/* A node told in full: a JSON object of what report_node_json says. */
struct record_detail {
    uint32_t cell;    /* index */
    uint32_t at, len; /* in the record's text */
};

struct record {
    struct record *older, *newer; /* the ring's */
    size_t bytes;                 /* of the whole block */
    char id[RECORD_ID_BYTES + 1];
    int64_t time_us;
    unsigned verbs; /* of enum record_verb */
    enum decide_pass pass;
    enum pod_qos qos;
    enum score_class class;
    enum decide_mode mode;
    uint32_t max_score;
    uint64_t generation;
    uint32_t counts[3];
    uint32_t n_cells, n_details;
    uint32_t n_left_out; /* nodes for which there was no room */
    uint32_t ns_bytes, name_bytes, uid_bytes, hints_bytes, text_bytes;
    uint32_t data[]; /* cells, details, then the texts */
};

/* Parts of a record; data[0 .. n_cells-1] are the cells, in the order the nodes were sent. */
const struct record_detail *record_details(const struct record *r);
struct str record_ns(const struct record *r);
struct str record_name(const struct record *r);
struct str record_uid(const struct record *r);
struct str record_hints(const struct record *r); /* JSON array, report_hints_json */
struct str record_text(const struct record *r);  /* what details point into */

enum score_verdict record_cell_verdict(const struct record *r, uint32_t cell);

/* What goes into a record. Borrowed. */
struct record_input {
    const struct report *report;
    const char *id; /* RECORD_ID_BYTES */
    int64_t time_us;
    unsigned verb;
};

/*
 * Make a record on the heap; `text` is working space (emptied first), `scratch` is used and
 * rewound, names are taken from `names`. Nodes that cannot be explained for lack of memory have
 * no detail. `with_cells` false leaves out all but the detailed nodes. NULL when out of memory.
 */
struct record *record_new(const struct record_input *in, struct names *names, bool with_cells,
                          struct buf *text, struct arena *scratch);
void record_free(struct record *r, struct names *names); /* NULL is fine */

/*
 * Take the scores of a later decision about the same pod and snapshot: its nodes must be some of
 * the record's, in the same order. False, and nothing changed, when they are not.
 */
bool record_join(struct record *r, const struct record_input *in, const struct names *names);

/* Members of its line in a list. `best`: name of the best node, NULL when none admits. */
void record_summary_json(struct emit *e, const struct record *r, const struct str *best);

/* Append one JSON object and a newline. `name_of`: [n_cells] the names of the cells. */
void record_json(struct buf *out, const struct record *r, const struct str *name_of);

#endif
