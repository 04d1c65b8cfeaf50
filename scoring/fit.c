/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/fit.h"

#include <stddef.h>

static const struct pod_amount *find(const struct pod_amount *amounts, uint32_t n,
                                     struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(amounts[i].resource, resource))
            return &amounts[i];
    }
    return NULL;
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Of init containers at their worst moment, or of what runs for long. */
static int64_t sum(const struct score_pod *pod, struct str resource, bool limits, bool *out_set)
{
    int64_t init = 0, sidecars = 0, apps = 0;

    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];
        const struct pod_amount *const r = limits ? find(c->limits, c->n_limits, resource)
                                                  : find(c->requests, c->n_requests, resource);
        const int64_t amount = r ? r->amount : 0;

        *out_set = *out_set || r;

        if (c->kind == POD_APP)
            apps = plus(apps, amount);
        else if (c->kind == POD_SIDECAR)
            sidecars = plus(sidecars, amount);
        else if (plus(sidecars, amount) > init)
            init = plus(sidecars, amount);
    }
    const int64_t running = plus(apps, sidecars);
    return init > running ? init : running;
}

int64_t score_requested(const struct score_pod *pod, struct str resource)
{
    const struct pod_amount *const level = find(pod->pod_requests, pod->n_pod_requests, resource);
    bool is_set = false;

    return pod->has_pod_level && level ? level->amount : sum(pod, resource, false, &is_set);
}

int64_t score_limited(const struct score_pod *pod, struct str resource, bool *out_set)
{
    const struct pod_amount *const level = find(pod->pod_limits, pod->n_pod_limits, resource);

    *out_set = pod->has_pod_level && level;
    return *out_set ? level->amount : sum(pod, resource, true, out_set);
}

const struct node_fit *score_fit(const struct score_pod *pod, const struct node_view *node,
                                 int64_t *out_requested)
{
    for (uint32_t i = 0; i < node->n_fits; i++) {
        const struct node_fit *const fit = &node->fits[i];
        const int64_t wants =
            str_is(fit->resource, "pods") ? 1 : score_requested(pod, fit->resource);

        if (wants > 0 && plus(fit->requested, wants) > fit->allocatable) {
            *out_requested = wants;
            return fit;
        }
    }
    return NULL;
}

static bool lists(const struct node_view *node, struct str resource)
{
    for (uint32_t i = 0; i < node->n_fits; i++) {
        if (str_eq(node->fits[i].resource, resource))
            return true;
    }
    return false;
}

struct str score_fit_missing(const struct score_pod *pod, const struct node_view *node)
{
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];

        for (uint32_t k = 0; k < c->n_requests; k++) {
            const struct pod_amount *const r = &c->requests[k];

            if (r->kind == POD_EXTENDED && r->amount > 0 && !lists(node, r->resource))
                return r->resource;
        }
    }
    return (struct str){0};
}
