/* SPDX-License-Identifier: Apache-2.0 */
/* One pod on one node, once more, right before it is bound there. */
#ifndef EXTENDER_RECHECK_H
#define EXTENDER_RECHECK_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/decide.h"

struct arena;
struct err;

struct recheck {
    enum score_verdict verdict;
    enum score_reason reason;
    /*
     * Admitted: the zones that each container of the pod will have, as JSON: {"main": [0, 2]}, by
     * Linux id; those without a zone of their own are left out. Rejected: why, for a person.
     */
    struct str zones, why;
};

/* Texts live in `a`. 0, -ENOMEM. */
int recheck(struct recheck *out, const struct cluster_snapshot *snapshot,
            const struct score_pod *pod, struct str node, const struct decide_options *options,
            struct arena *a, struct err *err) MUST_CHECK;

#endif
