/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/request.h"

#include <string.h>

enum pod_resource_kind pod_resource_kind(struct str name)
{
    if (str_is(name, "cpu"))
        return POD_CPU;
    if (str_is(name, "memory"))
        return POD_MEMORY;
    if (str_starts(name, "hugepages-"))
        return POD_HUGEPAGES;
    /* Native resources have no slash; what has one belongs to a device plugin or to nobody. */
    return name.n && memchr(name.p, '/', name.n) ? POD_EXTENDED : POD_OTHER;
}

const char *pod_qos_text(enum pod_qos qos)
{
    static const char *const texts[] = {"BestEffort", "Burstable", "Guaranteed"};

    return texts[qos];
}

bool pod_is_terminal(const struct score_pod *pod)
{
    return pod->phase == POD_SUCCEEDED || pod->phase == POD_FAILED;
}

static bool any_device(const struct pod_amount *limits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (limits[i].kind == POD_EXTENDED && limits[i].amount > 0)
            return true;
    }
    return false;
}

bool pod_is_plain(const struct score_pod *pod)
{
    if (pod->has_claims || pod->has_pod_level || pod_qos_of(pod) == POD_GUARANTEED)
        return false;
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        if (any_device(pod->containers[i].limits, pod->containers[i].n_limits))
            return false;
    }
    return true;
}

/* Sums and presence of cpu and memory over containers: what the QoS rule looks at. */
struct qos_sums {
    int64_t request[2], limit[2]; /* [0] cpu, [1] memory */
    bool any;                     /* some request or limit above zero */
    bool every_limit;             /* every container limits both */
};

static void add_amounts(int64_t sum[2], const struct pod_amount *amounts, uint32_t n,
                        bool present[2])
{
    for (uint32_t i = 0; i < n; i++) {
        const enum pod_resource_kind kind = amounts[i].kind;

        if ((kind != POD_CPU && kind != POD_MEMORY) || amounts[i].amount <= 0)
            continue; /* zero counts as absent */
        const int k = kind == POD_MEMORY;
        if (__builtin_add_overflow(sum[k], amounts[i].amount, &sum[k]))
            sum[k] = INT64_MAX;
        present[k] = true;
    }
}

static void add_container(struct qos_sums *s, const struct pod_amount *requests,
                          uint32_t n_requests, const struct pod_amount *limits, uint32_t n_limits)
{
    bool requested[2] = {false, false}, limited[2] = {false, false};

    add_amounts(s->request, requests, n_requests, requested);
    add_amounts(s->limit, limits, n_limits, limited);
    s->any = s->any || requested[0] || requested[1] || limited[0] || limited[1];
    s->every_limit = s->every_limit && limited[0] && limited[1];
}

enum pod_qos pod_qos_of(const struct score_pod *pod)
{
    struct qos_sums s = {.every_limit = true};

    if (pod->has_pod_level) {
        add_container(&s, pod->pod_requests, pod->n_pod_requests, pod->pod_limits,
                      pod->n_pod_limits);
    } else {
        for (uint32_t i = 0; i < pod->n_containers; i++) {
            const struct pod_container *const c = &pod->containers[i];

            add_container(&s, c->requests, c->n_requests, c->limits, c->n_limits);
        }
    }
    if (!s.any)
        return POD_BEST_EFFORT;
    return s.every_limit && s.request[0] == s.limit[0] && s.request[1] == s.limit[1]
               ? POD_GUARANTEED
               : POD_BURSTABLE;
}
