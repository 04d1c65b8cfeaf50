/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kubelet said of a pod that was thought to be admitted there, as one of the recorded
 * admissions that the emulation is held against (tests/data/kubelet-vectors): the node in the state
 * in which it was judged, the pod, and of the answer what is known.
 */
#ifndef DECIDE_KUBELET_CASE_H
#define DECIDE_KUBELET_CASE_H

#include <stdint.h>

#include "base/str.h"
#include "scoring/node_view.h"
#include "scoring/request.h"
#include "scoring/verdict.h"

struct buf;

/* Borrowed. */
struct kubelet_case {
    struct str name, why; /* `why` is for a person */
    const struct node_view *node;
    const struct score_pod *pod;
    enum score_reason reason; /* of the kubelet; NONE: it has admitted the pod */
};

/* Append one line of JSON. `node` must be NODE_KNOWN. A full heap is the buffer's to say. */
void kubelet_case_json(struct buf *out, const struct kubelet_case *c);

#endif
