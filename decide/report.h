/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decision in words: the JSON of the contract (section 2) and the table of `explain`, both from
 * what score_node_explain says about each node.
 */
#ifndef DECIDE_REPORT_H
#define DECIDE_REPORT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/decide.h"

struct arena;
struct buf;
struct cluster_context;
struct emit;
struct err;

/* What is told. Borrowed. */
struct report {
    const struct decide_ask *ask;
    const struct decision *decision;
    const struct decide_options *options;
    struct str id;   /* of the decision in the ring, empty when it was made for this report */
    struct str note; /* said in the header, may be empty */
    struct str only; /* tell of this node alone; empty: of every candidate */
};

/* Append one JSON object and a newline. `scratch` is used and rewound. 0, -ENOMEM. */
int report_json(struct buf *out, const struct report *r, struct arena *scratch,
                struct err *err) MUST_CHECK;

/* Append lines of at most 120 columns (longer where a name alone is). 0, -ENOMEM. */
int report_table(struct buf *out, const struct report *r, struct arena *scratch,
                 struct err *err) MUST_CHECK;

/*
 * The indices of the candidates to tell of, repeated ones left out, in the order people read them
 * (decide_compare). `out` has room for decision->n. Returns how many.
 */
uint32_t report_order(uint32_t *out, const struct report *r);

/*
 * Into an open object: the members of one node that do not depend on the other candidates.
 * 0, -ENOMEM (nothing written).
 */
int report_node_json(struct emit *e, const struct report *r, uint32_t i,
                     struct arena *scratch) MUST_CHECK;

/* The members that do: the weights and where they come from (NULL: left out), the scores. */
void report_score_json(struct emit *e, const struct score_rules *rules, uint32_t score,
                       uint32_t wire);

/* The members before "nodes": who asked, of what class, seen in which snapshot. */
struct report_head {
    struct str ns, name, id;
    const struct score_rules *rules;
    struct cluster_context *context; /* NULL: no policies */
    const char *qos;
    uint64_t generation;
    const struct str *best; /* NULL: no node admits */
    struct str note;
};
void report_head_json(struct emit *e, const struct report_head *head);

/*
 * What is said about candidate `i`; of a node that the snapshot does not have, or a pod that was
 * not judged, only the verdict. Everything it points to lives in `a`. 0, -ENOMEM.
 */
int report_detail(struct score_detail *out, const struct report *r, uint32_t i,
                  struct arena *a) MUST_CHECK;

/* An array: the hints of the pod that nothing is done with, and why. */
void report_hints_json(struct emit *e, const struct score_pod *pod,
                       const struct score_rules *rules);

/* Policies that lose in the pod's namespace; as many of them as are told. */
enum { REPORT_LOSERS = 8 };

#endif
