/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/limit_range.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/amounts.h"
#include "kube/meta.h"
#include "kube/scan.h"
#include "scoring/fit.h"
#include "scoring/request.h"

/* --- decoding --- */

static bool read_limit(struct scan *s, struct kube_limit *l, struct arena *a)
{
    bool is_known = false;
    struct str word;

    *l = (struct kube_limit){.of_pod = false};
    if (!scan_object(s))
        return false;
    while (scan_key(s)) {
        if (scan_at(s, "type") && scan_word(s, &word)) {
            l->of_pod = str_is(word, "Pod");
            is_known = l->of_pod || str_is(word, "Container");
        } else if (scan_at(s, "min")) {
            (void)kube_amounts_read(s, &l->min, &l->n_min, NULL, a);
        } else if (scan_at(s, "max")) {
            (void)kube_amounts_read(s, &l->max, &l->n_max, NULL, a);
        } else if (scan_at(s, "default")) {
            (void)kube_amounts_read(s, &l->limit, &l->n_limit, NULL, a);
        } else if (scan_at(s, "defaultRequest")) {
            (void)kube_amounts_read(s, &l->request, &l->n_request, NULL, a);
        } else if (scan_at(s, "maxLimitRequestRatio")) {
            (void)kube_amounts_read_milli(s, &l->ratio, &l->n_ratio, a);
        }
    }
    return is_known && !scan_failed(s);
}

static bool complete(struct scan *s, struct kube_limit *l, struct arena *a)
{
    return l->of_pod ||
           (kube_amounts_default(&l->limit, &l->n_limit, l->max, l->n_max, a) &&
            kube_amounts_default(&l->request, &l->n_request, l->limit, l->n_limit, a) &&
            kube_amounts_default(&l->request, &l->n_request, l->min, l->n_min, a)) ||
           scan_fail(s, -ENOMEM, "no room in the arena");
}

static void read_limits(struct scan *s, struct kube_limit_range *r, struct arena *a)
{
    struct kube_limit *const at = kube_list_room(s, KUBE_LIMITS_MAX, sizeof(*at), "limits", a);

    if (!at)
        return;
    r->limits = at;
    r->n = 0;
    if (scan_array(s))
        while (scan_item(s))
            r->n += read_limit(s, &at[r->n], a) && complete(s, &at[r->n], a);
}

int kube_limit_range_decode(struct kube_limit_range *out, struct str json, struct arena *a,
                            struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_limit_range r = {.ns = STR("default")};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                kube_meta_names(&s, &r.ns, &r.name, a);
            else if (scan_at(&s, "spec") && scan_object(&s))
                while (scan_key(&s))
                    if (scan_at(&s, "limits"))
                        read_limits(&s, &r, a);
        }
    const int rc = kube_decode_end(&s, a, mark, err);
    if (rc == 0)
        *out = r;
    return rc;
}

/* --- defaults --- */

static int default_container(struct pod_container *c, const struct kube_limit *l, struct arena *a)
{
    return kube_amounts_default(&c->limits, &c->n_limits, l->limit, l->n_limit, a) &&
                   kube_amounts_default(&c->requests, &c->n_requests, l->request, l->n_request, a)
               ? 0
               : -ENOMEM;
}

int kube_limit_range_default(const struct score_pod **pod, const struct kube_limit_range *r,
                             struct arena *a)
{
    struct score_pod *const p = arena_array(a, 1, sizeof(*p));
    struct pod_container *const all = arena_array(a, (*pod)->n_containers, sizeof(*all));

    if (!p || !all)
        return -ENOMEM;
    *p = **pod;
    if (p->n_containers)
        memcpy(all, p->containers, p->n_containers * sizeof(*all));
    p->containers = all;
    for (uint32_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; !r->limits[i].of_pod && k < p->n_containers; k++) {
            if (default_container(&all[k], &r->limits[i], a))
                return -ENOMEM;
        }
    }
    *pod = p;
    return 0;
}

/* --- judging --- */

/* What one container, or the pod, asks for of one resource; -1 = it does not say. */
struct asked {
    struct str who; /* a container; empty: the pod */
    int64_t request, limit;
};

struct judge {
    const char *field; /* of the LimitRange */
    const struct pod_amount *rule;
    const struct asked *of;
    char *why;
    size_t room;
};

/* Amounts as people write them. */
static void put_amount(char out[32], const struct pod_amount *of, int64_t amount)
{
    if (of->kind == POD_CPU)
        (void)snprintf(out, 32, "%lldm", (long long)amount);
    else if (amount % (1 << 20) == 0 && amount)
        (void)snprintf(out, 32, "%lldMi", (long long)(amount >> 20));
    else
        (void)snprintf(out, 32, "%lld", (long long)amount);
}

static bool refuse(const struct judge *j, const char *what, int64_t amount)
{
    char rule[32], has[48];

    put_amount(rule, j->rule, j->rule->amount);
    if (amount < 0)
        (void)snprintf(has, sizeof(has), "none is set");
    else
        put_amount(has, j->rule, amount);
    (void)snprintf(j->why, j->room, "%s %.*s %s, and the %s of %s%.*s: %s", j->field,
                   STR_ARG(j->rule->resource), rule, what, j->of->who.n ? "container " : "the pod",
                   STR_ARG(j->of->who), has);
    return false;
}

static bool is_enough(const struct judge *j)
{
    const int64_t least = j->rule->amount;

    if (j->of->request < least) /* also where there is none */
        return refuse(j, "request", j->of->request);
    return j->of->limit < 0 || j->of->limit >= least || refuse(j, "limit", j->of->limit);
}

static bool is_within(const struct judge *j)
{
    const int64_t most = j->rule->amount;

    if (j->of->limit < 0 || j->of->limit > most)
        return refuse(j, "limit", j->of->limit);
    return j->of->request <= most || refuse(j, "request", j->of->request);
}

/* limit / request <= ratio, in doubles as the API server divides. */
static bool is_in_proportion(const struct judge *j)
{
    const struct asked *const of = j->of;

    if (of->request > 0 && of->limit > 0 &&
        (double)of->limit / (double)of->request * 1000 <= (double)j->rule->amount)
        return true;
    (void)snprintf(j->why, j->room, "%s %.*s %lld.%03lld, and of %s%.*s the limit is beyond that",
                   j->field, STR_ARG(j->rule->resource), (long long)(j->rule->amount / 1000),
                   (long long)(j->rule->amount % 1000), j->of->who.n ? "container " : "the pod",
                   STR_ARG(j->of->who));
    return false;
}

typedef struct asked (*ask)(const void *of, struct str resource);

static int64_t amount_of(const struct pod_amount *at, uint32_t n, struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(at[i].resource, resource))
            return at[i].amount;
    }
    return -1;
}

static struct asked ask_container(const void *of, struct str resource)
{
    const struct pod_container *const c = of;

    return (struct asked){c->name, amount_of(c->requests, c->n_requests, resource),
                          amount_of(c->limits, c->n_limits, resource)};
}

static struct asked ask_pod(const void *of, struct str resource)
{
    const struct score_pod *const pod = of;
    bool has_request = false, has_limit;
    const int64_t limit = score_limited(pod, resource, &has_limit);

    for (uint32_t i = 0; i < pod->n_containers; i++)
        has_request |=
            amount_of(pod->containers[i].requests, pod->containers[i].n_requests, resource) >= 0;
    has_request |= amount_of(pod->pod_requests, pod->n_pod_requests, resource) >= 0;
    return (struct asked){
        {0}, has_request ? score_requested(pod, resource) : -1, has_limit ? limit : -1};
}

static bool allows(const struct kube_limit *l, const void *of, ask f, char *why, size_t room)
{
    const struct {
        const char *field;
        const struct pod_amount *at;
        uint32_t n;
        bool (*holds)(const struct judge *j);
    } rules[] = {{"min", l->min, l->n_min, is_enough},
                 {"max", l->max, l->n_max, is_within},
                 {"maxLimitRequestRatio", l->ratio, l->n_ratio, is_in_proportion}};

    for (size_t r = 0; r < ARRAY_LEN(rules); r++) {
        for (uint32_t i = 0; i < rules[r].n; i++) {
            const struct asked asked = f(of, rules[r].at[i].resource);
            const struct judge j = {rules[r].field, &rules[r].at[i], &asked, why, room};

            if (!rules[r].holds(&j))
                return false;
        }
    }
    return true;
}

bool kube_limit_range_allows(const struct kube_limit_range *r, const struct score_pod *pod,
                             char *why, size_t room)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct kube_limit *const l = &r->limits[i];

        if (l->of_pod && !allows(l, pod, ask_pod, why, room))
            return false;
        for (uint32_t k = 0; !l->of_pod && k < pod->n_containers; k++) {
            if (!allows(l, &pod->containers[k], ask_container, why, room))
                return false;
        }
    }
    return true;
}
