/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/without.h"

#include <errno.h>

#include "base/arena.h"
#include "scoring/constraint.h"
#include "scoring/kubelet.h"
#include "scoring/outcome.h"

static int leave_out(struct node_view *out, const struct node_view *node, const bool *gone,
                     struct arena *a)
{
    struct node_pod *const pods = arena_array(a, node->n_pods, sizeof(*pods));
    struct node_view v = *node;

    if (!pods || node_state_copy(&v.state, node, a))
        return -ENOMEM;
    v.pods = pods;
    v.n_pods = 0;
    for (uint32_t i = 0; i < node->n_pods; i++) {
        const struct node_pod *const pod = &node->pods[i];

        if (!gone[i]) {
            pods[v.n_pods++] = *pod;
            continue;
        }
        for (uint32_t k = 0; k < pod->n_holdings; k++)
            kubelet_release_holding(&v.state, node, &pod->holdings[k]);
    }
    v.exclusive_zones = node_exclusive_zones(&v);
    *out = v;
    return 0;
}

static int fits(bool *out, const struct node_view *v, const struct score_request *req,
                struct arena *a)
{
    struct kubelet_answer answer;
    struct node_state after;
    struct outcome o;

    if (node_state_copy(&after, v, a) || kubelet_admit(&after, v, req, &answer, a))
        return -ENOMEM;
    *out = answer.verdict == SCORE_ADMITTED;
    if (*out && outcome_init(&o, v, req, &after, &answer, a))
        return -ENOMEM;
    *out = *out && constraint_of_placement(&o, NULL) == SCORE_REASON_NONE;
    return 0;
}

int score_fits_without(bool *out, const struct node_view *node, const bool *gone,
                       const struct score_request *req, struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct node_view v;
    int rc = leave_out(&v, node, gone, scratch);

    if (rc == 0)
        rc = fits(out, &v, req, scratch);
    arena_rewind(scratch, mark);
    return rc;
}
