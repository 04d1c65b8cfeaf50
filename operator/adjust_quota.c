/* SPDX-License-Identifier: Apache-2.0 */
/* AdjustResources: what the LimitRanges and ResourceQuotas of the namespace say. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/limit_range.h"
#include "kube/quota.h"
#include "operator/adjust_parts.h"

/* --- what there is --- */

struct counting {
    const struct adjust_quota *quotas; /* [n] */
    uint32_t n;
};

/* Of what nobody says how much is taken: as kube-controller-manager would count. */
static bool count_pod(void *ctx, const struct score_pod *pod)
{
    const struct counting *const c = ctx;

    for (uint32_t i = 0; i < c->n; i++) {
        const struct kube_quota *const q = c->quotas[i].quota;

        if (pod_is_terminal(pod) || !kube_quota_covers(q, pod))
            continue;
        for (uint32_t k = 0; k < q->n; k++) {
            int64_t *const used = &c->quotas[i].used[k];

            if (q->entries[k].used < 0 &&
                __builtin_add_overflow(*used, kube_quota_usage(&q->entries[k], pod), used))
                *used = INT64_MAX;
        }
    }
    return true;
}

static int read_quotas(struct judge *j)
{
    uint32_t all, n = 0, first = 0;
    bool says_all = true;
    const struct kube_quota *const *const list = cluster_snapshot_quotas(j->s, &all);

    for (uint32_t i = 0; i < all; i++) {
        if (!str_eq(list[i]->ns, j->pod->ns))
            continue;
        first = n++ ? first : i;
    }
    struct adjust_quota *const quotas = arena_array(j->a, n, sizeof(*quotas));
    if (!quotas)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct kube_quota *const q = list[first + i];

        quotas[i] = (struct adjust_quota){q, arena_array(j->a, q->n, sizeof(int64_t))};
        if (!quotas[i].used)
            return -ENOMEM;
        for (uint32_t k = 0; k < q->n; k++) {
            says_all = says_all && q->entries[k].used >= 0;
            quotas[i].used[k] = q->entries[k].used >= 0 ? q->entries[k].used : 0;
        }
    }
    j->quotas = quotas;
    j->n_quotas = n;
    if (!says_all)
        cluster_snapshot_pods(j->s, count_pod, &(struct counting){quotas, n});
    return 0;
}

static void read_ranges(struct judge *j)
{
    uint32_t all;
    const struct kube_limit_range *const *const list = cluster_snapshot_limit_ranges(j->s, &all);

    for (uint32_t i = 0; i < all; i++) {
        if (!str_eq(list[i]->ns, j->pod->ns))
            continue;
        j->ranges = j->n_ranges++ ? j->ranges : &list[i];
    }
}

int adjust_read_limits(struct judge *j)
{
    int rc = read_quotas(j);

    read_ranges(j);
    for (uint32_t i = 0; rc == 0 && !j->is_pod && i < j->n_ranges; i++)
        rc = kube_limit_range_default(&j->pod, j->ranges[i], j->a);
    return rc;
}

/* --- what it says --- */

static bool say_quota(struct judge *j, const struct adjust_quota *q, uint32_t k, int64_t more)
{
    const struct kube_quota_entry *const e = &q->quota->entries[k];
    const int64_t unit = e->kind == POD_MEMORY ? ADJUST_MB : 1;
    const char *const suffix = e->kind == POD_MEMORY ? "Mi" : e->kind == POD_CPU ? "m" : "";

    adjust_say(j, "ResourceQuota",
               "ResourceQuota %.*s: of %.*s %lld%s are used of %lld%s, and %lld%s more are wanted",
               STR_ARG(q->quota->name), STR_ARG(e->name), (long long)(q->used[k] / unit), suffix,
               (long long)(e->hard / unit), suffix, (long long)((more + unit - 1) / unit), suffix);
    return false;
}

static bool check_quota(struct judge *j, const struct score_pod *p, const struct adjust_quota *q)
{
    const bool had = kube_quota_covers(q->quota, j->pod);

    for (uint32_t k = 0; k < q->quota->n; k++) {
        const struct kube_quota_entry *const e = &q->quota->entries[k];
        const struct pod_container *const silent = kube_quota_unsaid(e, p);
        const int64_t more = kube_quota_usage(e, p) - (had ? kube_quota_usage(e, j->pod) : 0);

        if (silent) {
            adjust_say(j, "ResourceQuota",
                       "ResourceQuota %.*s: every container must set %.*s, and %.*s does not",
                       STR_ARG(q->quota->name), STR_ARG(e->name), STR_ARG(silent->name));
            return false;
        }
        if (more > 0 && (q->used[k] > e->hard || more > e->hard - q->used[k]))
            return say_quota(j, q, k, more);
    }
    return true;
}

bool adjust_check_limits(struct judge *j, const struct score_pod *p)
{
    char why[256];

    for (uint32_t i = 0; i < j->n_ranges; i++) {
        if (kube_limit_range_allows(j->ranges[i], p, why, sizeof(why)))
            continue;
        adjust_say(j, "LimitRange", "LimitRange %.*s: %s", STR_ARG(j->ranges[i]->name), why);
        return false;
    }
    for (uint32_t i = 0; i < j->n_quotas; i++) {
        if (kube_quota_covers(j->quotas[i].quota, p) && !check_quota(j, p, &j->quotas[i]))
            return false;
    }
    return true;
}
