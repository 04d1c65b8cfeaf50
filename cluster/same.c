/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/same.h"

#include <string.h>

#include "base/siphash.h"
#include "kube/object.h"
#include "scoring/request.h"

bool same_amounts(const struct pod_amount *x, uint32_t nx, const struct pod_amount *y, uint32_t ny)
{
    bool same = nx == ny;

    for (uint32_t i = 0; same && i < nx; i++)
        same = x[i].kind == y[i].kind && x[i].amount == y[i].amount &&
               str_eq(x[i].resource, y[i].resource);
    return same;
}

bool same_node(const struct kube_node *x, const struct kube_node *y)
{
    return str_eq(x->meta.uid, y->meta.uid) && str_eq(x->kubelet_version, y->kubelet_version) &&
           same_amounts(x->capacity, x->n_capacity, y->capacity, y->n_capacity) &&
           same_amounts(x->allocatable, x->n_allocatable, y->allocatable, y->n_allocatable);
}

/* Whoever adds a field to it looks at same_pod, and at what cluster/pod_record.c keeps apart. */
_Static_assert(sizeof(struct score_pod) == 208 || sizeof(void *) != 8, "same_pod knows all of it");

static bool same_containers(const struct score_pod *x, const struct score_pod *y)
{
    bool same = x->n_containers == y->n_containers;

    for (uint32_t i = 0; same && i < x->n_containers; i++) {
        const struct pod_container *const a = &x->containers[i], *const b = &y->containers[i];

        same = a->kind == b->kind && a->odd_memory == b->odd_memory &&
               a->restarts_for_cpu == b->restarts_for_cpu &&
               a->restarts_for_memory == b->restarts_for_memory && str_eq(a->name, b->name) &&
               same_amounts(a->requests, a->n_requests, b->requests, b->n_requests) &&
               same_amounts(a->limits, a->n_limits, b->limits, b->n_limits);
    }
    return same;
}

static bool same_hints(const struct score_pod *x, const struct score_pod *y)
{
    bool same = x->n_hints == y->n_hints;

    for (uint32_t i = 0; same && i < x->n_hints; i++)
        same = str_eq(x->hints[i].key, y->hints[i].key) &&
               str_eq(x->hints[i].value, y->hints[i].value);
    return same;
}

bool same_labels(const struct score_labels *x, const struct score_labels *y)
{
    return x->n == y->n && (x->n == 0 || memcmp(x->at, y->at, x->n * sizeof(*x->at)) == 0);
}

bool same_pod_for_node(const struct score_pod *x, const struct score_pod *y)
{
    return str_eq(x->ns, y->ns) && str_eq(x->name, y->name) && str_eq(x->uid, y->uid) &&
           str_eq(x->node, y->node) && str_eq(x->reason, y->reason) && x->phase == y->phase &&
           x->deleting == y->deleting && x->priority == y->priority &&
           x->created_us == y->created_us && x->bound_us == y->bound_us &&
           x->has_claims == y->has_claims && x->has_pod_level == y->has_pod_level &&
           same_containers(x, y) &&
           same_amounts(x->pod_requests, x->n_pod_requests, y->pod_requests, y->n_pod_requests) &&
           same_amounts(x->pod_limits, x->n_pod_limits, y->pod_limits, y->n_pod_limits) &&
           same_hints(x, y) && same_labels(&x->labels, &y->labels);
}

bool same_pod(const struct score_pod *x, const struct score_pod *y)
{
    return x->traits == y->traits && x->owner == y->owner &&
           x->priority_class == y->priority_class && same_pod_for_node(x, y);
}

/* --- the hash --- */

struct mix {
    uint64_t key, state;
};

static void mix_bytes(struct mix *m, struct str s)
{
    const uint64_t key[2] = {m->key, m->state};

    m->state = siphash13(key, s);
}

static void mix_numbers(struct mix *m, const int64_t *at, size_t n)
{
    mix_bytes(m, (struct str){(const char *)at, n * sizeof(*at)});
}

static void mix_amounts(struct mix *m, const struct pod_amount *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        mix_bytes(m, at[i].resource);
        mix_numbers(m, &at[i].amount, 1);
    }
}

uint64_t same_pod_hash(const uint64_t key[2], const struct score_pod *p)
{
    const int64_t numbers[] = {p->phase,
                               p->deleting,
                               p->priority,
                               p->created_us,
                               p->bound_us,
                               p->has_claims,
                               p->n_containers,
                               p->n_hints,
                               p->n_pod_requests,
                               p->n_pod_limits,
                               p->traits,
                               (int64_t)p->owner,
                               (int64_t)p->priority_class};
    const struct str texts[] = {p->ns, p->name, p->uid, p->node, p->reason};
    struct mix m = {key[0], key[1]};

    mix_numbers(&m, numbers, ARRAY_LEN(numbers));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mix_bytes(&m, texts[i]);
    for (uint32_t i = 0; i < p->n_containers; i++) {
        const struct pod_container *const c = &p->containers[i];

        mix_bytes(&m, c->name);
        mix_amounts(&m, c->requests, c->n_requests);
        mix_amounts(&m, c->limits, c->n_limits);
    }
    for (uint32_t i = 0; i < p->n_hints; i++)
        mix_bytes(&m, p->hints[i].value);
    return m.state;
}
