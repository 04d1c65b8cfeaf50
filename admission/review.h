/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object before it is stored: is what it says to numawise well-formed, and what is it to know?
 * Pods and workloads by their hints, the kinds of our own by all they say.
 */
#ifndef ADMISSION_REVIEW_H
#define ADMISSION_REVIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "admission/outlook.h"
#include "base/attr.h"
#include "kube/admission.h"

struct adm_findings;
struct arena;
struct cluster_snapshot;
struct err;
struct lock_names;

/* What it is judged by. */
struct adm_world {
    const struct cluster_snapshot *snapshot; /* NULL: the cluster has not been read yet */
    struct lock_names *locks;                /* NULL: nobody knows LockPolicies */
    struct adm_foresight *foresight;         /* NULL: nothing is said about room */
    int64_t now_us, max_age_us;
    uint64_t (*now_ns)(void); /* monotonic; what foresight may cost is measured by it */
};

/* How it was gone about. */
struct adm_review {
    bool
        looked_at; /* false: another kind, operation or subresource; or nothing of it has changed */
    enum adm_outlook outlook;
};

/*
 * Findings about the object of `ask`. What was stored before with a hint that does not parse stays:
 * on an update only what has changed is refused, and of an object on its way out nothing. 0,
 * -ENOMEM.
 */
int adm_look_at(struct adm_review *out, struct adm_findings *findings,
                const struct kube_admission *ask, const struct adm_world *world, struct arena *a,
                struct err *err) MUST_CHECK;

#endif
