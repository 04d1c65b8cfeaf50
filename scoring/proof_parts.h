/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the proof share; private to scoring/proof*.c. */
#ifndef SCORING_PROOF_PARTS_H
#define SCORING_PROOF_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"

enum { PROOF_BYTES = 4096 };

/* Text that is cut at its end rather than failing. */
struct proof_text {
    char p[PROOF_BYTES];
    size_t n;
};

void proof_add(struct proof_text *t, const char *fmt, ...) PRINTF(2, 3);

/* Begin a clause: "; " behind another. */
void proof_clause(struct proof_text *t);

/* "zone 0" or "zones 0,1" */
void proof_zones(struct proof_text *t, const struct node_view *node, uint64_t zones);

/* The request that was refused, and what is there for it. */
struct proof_case {
    const struct node_view *node;
    const struct node_state *state; /* with what containers before it hold */
    const struct kubelet_wants *wants;
    const uint64_t *reuse; /* [W] CPUs that init containers leave to it, NULL = none */
};

/*
 * Of the policy restricted: resources that more zones have free than the fewest that have it at
 * all, and resources that all zones together have not. False when there is none.
 */
bool proof_widths(struct proof_text *t, const struct proof_case *c);

/*
 * The rule by which a set of zones that has room is not taken; also where no zone has room by
 * itself, but the request wants several.
 */
void proof_rule(struct proof_text *t, const struct proof_case *c, uint64_t roomy);

/* Is there a resource that needs several zones even where nothing is taken? */
bool proof_is_wide(const struct proof_case *c);

#endif
