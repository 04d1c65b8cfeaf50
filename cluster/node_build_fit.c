/* SPDX-License-Identifier: Apache-2.0 */
/* What kube-scheduler counts of a node: what the Node offers, what its pods request in sum. */
#include <errno.h>

#include "base/arena.h"
#include "cluster/node_build_parts.h"
#include "scoring/fit.h"

static int64_t requested(const struct node_inputs *in, struct str resource)
{
    int64_t sum = 0;

    if (str_is(resource, "pods"))
        return in->n_pods;
    for (uint32_t i = 0; i < in->n_pods; i++) {
        if (__builtin_add_overflow(sum, score_requested(in->pods[i], resource), &sum))
            return INT64_MAX;
    }
    return sum;
}

int node_build_fit(struct node_build *b)
{
    const struct kube_node *const node = b->in->node;
    const uint32_t n = node ? node->n_allocatable : 0;
    struct node_fit *const fits = arena_array(b->a, n, sizeof(*fits));

    if (!fits)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct pod_amount *const has = &node->allocatable[i];

        fits[i] = (struct node_fit){.kind = has->kind,
                                    .allocatable = has->amount,
                                    .requested = requested(b->in, has->resource)};
        if (str_copy(&fits[i].resource, has->resource, b->a))
            return -ENOMEM;
    }
    b->v.fits = fits;
    b->v.n_fits = n;
    return 0;
}
