/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb preempt of kube-scheduler's extenders: ExtenderPreemptionArgs in, in both of its forms,
 * ExtenderPreemptionResult out, which has one. kube-scheduler follows every pointer of the result
 * unchecked: a null in it ends the scheduler, so none can be written here.
 */
#ifndef KUBE_PREEMPT_WIRE_H
#define KUBE_PREEMPT_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "scoring/request.h"

struct arena;
struct buf;

/* A node with those that would have to go. */
struct kube_victims {
    struct str node;
    const struct str *uids; /* [n] */
    uint32_t n;
    int64_t violations; /* NumPDBViolations */
};

/* Strings live in the arena. */
struct kube_preempt_args {
    uint32_t n;
    const struct kube_victims *nodes; /* [n] in the order sent; of one name the last counts in Go */
    bool has_pod;                     /* false: `pod_err` says why the Pod was not understood */
    struct score_pod pod;
    struct err pod_err;
};

/*
 * `body` is followed by SCAN_PADDING_BYTES. Victims are named by their UID in
 * NodeNameToMetaVictims, or are whole pods in NodeNameToVictims; the first wins where both are
 * given. Keys fold case, null is as good as absent. 0; -EINVAL (no JSON, no object, a victim
 * without a uid); -E2BIG; -ENOMEM.
 */
int kube_preempt_decode(struct kube_preempt_args *out, struct str body, struct arena *a,
                        struct err *err) MUST_CHECK;

/* Nodes without victims are left out. */
void kube_preempt_encode(struct buf *out, const struct kube_victims *nodes, uint32_t n);

#endif
