/* SPDX-License-Identifier: Apache-2.0 */
/* PodDisruptionBudget policy/v1, as kube-scheduler counts by it when it preempts. */
#ifndef KUBE_BUDGET_H
#define KUBE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/labels.h"

struct arena;
struct err;
struct score_pod;

#define KUBE_BUDGET_KIND "PodDisruptionBudget"
#define KUBE_BUDGET_API  "policy/v1"

struct kube_budget {
    struct str ns, name;
    struct score_selector selector;
    bool selects;                /* false: no or an empty selector, which is nobody's here */
    int64_t allowed;             /* status.disruptionsAllowed */
    const struct str *disrupted; /* [n_disrupted] pods that are on their way out, already counted */
    uint32_t n_disrupted;
};

/* As the decoders of kube/object.h. */
int kube_budget_decode(struct kube_budget *out, struct str json, struct arena *a,
                       struct err *err) MUST_CHECK;

/* Does the pod's end take one of what is allowed? */
bool kube_budget_counts(const struct kube_budget *b, const struct score_pod *pod);

#endif
