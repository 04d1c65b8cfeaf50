/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person who runs a cluster should know about one node: what is not known of it, what its
 * report contradicts, memory that pods cannot have. For `check`; no request asks for it.
 */
#ifndef DECIDE_DIAGNOSIS_H
#define DECIDE_DIAGNOSIS_H

#include "base/str.h"
#include "scoring/node_view.h"

enum diagnosis_kind {
    DIAGNOSIS_UNKNOWN,      /* "StaleTopology: generation 3 after 4": every pod passes there */
    DIAGNOSIS_TOO_WIDE,     /* the same for the pods that need zones worked out */
    DIAGNOSIS_NO_START,     /* its kubelet would not start: every pod is refused */
    DIAGNOSIS_CONTRADICTED, /* two parts of the report say different things */
    DIAGNOSIS_UNPLACED,     /* pods whose zones are not known: Interval */
    DIAGNOSIS_ASSUMED,      /* "cpuManagerPolicy, reserved": the text says only which */
    DIAGNOSIS_GROUP,        /* zones are one memory group, and a pod needs it */
    DIAGNOSIS_HELD_OPEN,    /* the same, and none of its pods does */
    DIAGNOSIS_BROKEN_GROUP, /* groups that do not agree with themselves */
    DIAGNOSIS_STRANDED,     /* memory that nobody has and nobody gets */
};

/* Called with each finding; the text lives until it returns. */
typedef void (*diagnosis_tell)(void *ctx, enum diagnosis_kind kind, struct str text);

void diagnose_node(const struct node_view *node, diagnosis_tell tell, void *ctx);

#endif
