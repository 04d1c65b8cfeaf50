/* SPDX-License-Identifier: Apache-2.0 */
/* Why a kubelet refuses, in the grammar of contract.md 2. For explain, not for the hot path. */
#ifndef SCORING_PROOF_H
#define SCORING_PROOF_H

#include "base/attr.h"
#include "base/str.h"
#include "scoring/kubelet.h"

struct arena;
struct score_request;

/*
 * The proof of a rejection, in `a`, clauses joined by "; ":
 *   TopologyAffinityError      "zone N: RESOURCE needs A, free B of T" where zones lack something;
 *                              where that is not all, "zone N: memory is in a group with zone M,
 *                              held by NS/POD" (up to three pods), or the rule that refuses: what
 *                              all zones together lack, the width by total, different widths,
 *                              CPUs of init containers (docs/scoring.md 2)
 *   UnexpectedAdmissionError   the kubelet's text, then the zones' lack of what was not allocated,
 *                              and groups where that is memory
 *   else                       the kubelet's text
 * `state` is what kubelet_admit left behind.
 * 0, -ENOMEM.
 */
int score_proof(struct str *out, const struct node_view *node, const struct node_state *state,
                const struct score_request *req, const struct kubelet_answer *answer,
                struct arena *a) MUST_CHECK;

/*
 * Running pods any one of which, if it ended, would let the request in: the first, or none.
 * `out` has room for one "ns/name" in `a`. 0, -ENOMEM.
 */
int score_would_fit_without(const struct str **out, uint32_t *out_n, const struct node_view *node,
                            const struct score_request *req, struct arena *a) MUST_CHECK;

#endif
