/* SPDX-License-Identifier: Apache-2.0 */
/* What a console says about decisions (docs/reference/explain.schema.json), as plain values. */
#ifndef KUBE_DECISION_JSON_H
#define KUBE_DECISION_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/weigh.h"

struct arena;
struct buf;
struct err;

struct told_devices {
    struct str resource, zone; /* zone: "1", or "any" */
    int64_t count;
};

struct told_container {
    struct str name, cpus, zones, memory_zones; /* lists: "0,2" */
    bool init, preferred;
    uint32_t n_devices;
    struct told_devices *devices;
};

struct told_node {
    struct str name, verdict, reason, message;
    struct str not_offered; /* empty where it is offered */
    struct str zones;       /* of all its containers, "0,2" */
    int64_t score, wire;
    int64_t terms[SCORE_TERM_COUNT]; /* permille, -1 = the node lacks it */
    uint32_t n_containers, n_without;
    struct told_container *containers;
    struct str *without; /* [n_without] */
};

struct told_hint {
    struct str annotation, why;
};

/*
 * One decision. Texts live in the arena and hold no control characters (a question mark stands for
 * each), so that they can be shown on a terminal.
 */
struct told_decision {
    struct str pod, class, qos, id, note, time, best; /* best: empty when none */
    struct str policy;                                /* empty: none */
    bool has_best;
    int64_t snapshot, left_out;
    uint32_t n_hints, n_nodes;
    struct told_hint *hints;
    struct told_node *nodes;
};

/* 0; -EPROTO: not JSON, or not a decision; -ENOMEM: the arena or the heap is full. */
int decision_decode(struct told_decision *out, struct str json, struct arena *a,
                    struct err *err) MUST_CHECK;

/*
 * Of the list of decisions: the id of the first, the newest; empty when there is none. -EPROTO:
 * this is no such list; -ENOMEM.
 */
int decision_first(struct str *id, struct str json, struct arena *a, struct err *err) MUST_CHECK;

/*
 * Is what `now` says of its nodes, some of them, what `said` says of them: every member, but not
 * the names of decision and snapshot, and where `said` has a node that pods were on their way to,
 * was in doubt, or alone was chosen, not the scores on the wire? 0; -EDOM: no, `err` says what
 * differs; -EPROTO; -ENOMEM.
 */
int decision_compare(struct str said, struct str now, struct err *err) MUST_CHECK;

/* Append the decision again with the node `name` alone. 0, -EPROTO, -ENOMEM. */
int decision_only(struct buf *out, struct str json, const char *name, struct err *err) MUST_CHECK;

#endif
