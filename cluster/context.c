/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/context.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/block.h"
#include "kube/hints.h"
#include "kube/namespace.h"

struct cluster_context {
    atomic_uint refs;
    bool has_exclusive;
    size_t bytes;
    struct score_demand demand;
    uint32_t n_policies, n_namespaces;
    const struct score_policy **policies; /* [n_policies] in the order in which they win */
    struct block **namespaces;            /* [n_namespaces] by name */
    struct block **policy_blocks;         /* [n_policies] */
};

static int by_rank(const void *x, const void *y)
{
    return score_policy_compare(*(const struct score_policy *const *)x,
                                *(const struct score_policy *const *)y);
}

static const struct kube_namespace *namespace_of(const struct block *b)
{
    return b->value;
}

static int by_name(const void *x, const void *y)
{
    return str_cmp(namespace_of(*(struct block *const *)x)->name,
                   namespace_of(*(struct block *const *)y)->name);
}

static bool has_exclusive(const struct score_policy *p)
{
    for (uint32_t i = 0; i < p->n_classes; i++) {
        if (p->classes[i].numa_exclusive)
            return true;
    }
    return false;
}

static struct block *take(struct cluster_context *c, struct block *b)
{
    c->bytes += sizeof(*b) + b->used;
    return block_ref(b);
}

static void fill(struct cluster_context *c, struct block *const *policies,
                 struct block *const *namespaces)
{
    for (uint32_t i = 0; i < c->n_policies; i++) {
        c->policy_blocks[i] = take(c, policies[i]);
        c->policies[i] = policies[i]->value;
        c->has_exclusive = c->has_exclusive || has_exclusive(c->policies[i]);
    }
    for (uint32_t i = 0; i < c->n_namespaces; i++)
        c->namespaces[i] = take(c, namespaces[i]);
    if (c->n_policies)
        qsort(c->policies, c->n_policies, sizeof(const struct score_policy *), by_rank);
    if (c->n_namespaces)
        qsort(c->namespaces, c->n_namespaces, sizeof(struct block *), by_name);
}

struct cluster_context *cluster_context_new(struct block *const *policies, uint32_t n_policies,
                                            struct block *const *namespaces, uint32_t n_namespaces)
{
    const size_t pointers = (size_t)2 * n_policies + n_namespaces;
    struct cluster_context *const c = calloc(1, sizeof(*c) + pointers * sizeof(void *));

    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->bytes = sizeof(*c) + pointers * sizeof(void *);
    c->n_policies = n_policies;
    c->n_namespaces = n_namespaces;
    c->policies = (const struct score_policy **)(c + 1);
    c->policy_blocks = (struct block **)(void *)(c->policies + n_policies);
    c->namespaces = c->policy_blocks + n_policies;
    fill(c, policies, namespaces);
    return c;
}

void cluster_context_set_demand(struct cluster_context *c, const struct score_demand *demand)
{
    c->demand = *demand;
}

const struct score_demand *cluster_context_demand(const struct cluster_context *c)
{
    return &c->demand;
}

struct cluster_context *cluster_context_ref(struct cluster_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void cluster_context_unref(struct cluster_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < c->n_policies; i++)
        block_unref(c->policy_blocks[i]);
    for (uint32_t i = 0; i < c->n_namespaces; i++)
        block_unref(c->namespaces[i]);
    free(c);
}

size_t cluster_context_bytes(const struct cluster_context *c)
{
    return c->bytes;
}

bool cluster_context_has_exclusive(const struct cluster_context *c)
{
    return c->has_exclusive;
}

bool cluster_context_labels(const struct cluster_context *c, struct str ns,
                            struct score_labels *out)
{
    uint32_t low = 0, high = c->n_namespaces;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const struct kube_namespace *const at = namespace_of(c->namespaces[mid]);
        const int order = str_cmp(at->name, ns);

        if (order == 0) {
            *out = at->labels;
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* The labels; of a namespace that is not there the one that each has, in `room`. */
static struct score_labels labels_of(const struct cluster_context *c, struct str ns, uint64_t *room)
{
    struct score_labels labels;

    if (cluster_context_labels(c, ns, &labels))
        return labels;
    *room = kube_namespace_label(ns);
    return (struct score_labels){room, 1};
}

uint32_t cluster_context_policies(const struct cluster_context *c)
{
    return c->n_policies;
}

const struct context_policy *cluster_context_policy_at(const struct cluster_context *c, uint32_t i)
{
    return c->policy_blocks[i]->value;
}

const struct score_policy *cluster_context_policy(const struct cluster_context *c, struct str ns)
{
    const struct score_policies all = {c->policies, c->n_policies};
    uint64_t room;

    return c->n_policies ? score_policy_of(&all, labels_of(c, ns, &room)) : NULL;
}

uint32_t cluster_context_losers(const struct cluster_context *c, struct str ns,
                                const struct score_policy **out, uint32_t room)
{
    uint64_t label;
    const struct score_labels labels = labels_of(c, ns, &label);
    uint32_t n = 0;
    bool won = false;

    for (uint32_t i = 0; i < c->n_policies; i++) {
        if (!score_selects(&c->policies[i]->namespaces, labels))
            continue;
        if (won && n < room)
            out[n] = c->policies[i];
        n += won;
        won = true;
    }
    return n;
}

uint32_t cluster_context_namespaces(const struct cluster_context *c)
{
    return c->n_namespaces;
}

struct cluster_standing *cluster_context_standings(const struct cluster_context *c, uint32_t *out_n)
{
    struct cluster_standing *const all = calloc(c->n_policies + 1, sizeof(*all));

    for (uint32_t i = 0; all && i < c->n_policies; i++)
        all[i].policy = c->policies[i];
    for (uint32_t k = 0; all && k < c->n_namespaces; k++) {
        const struct kube_namespace *const ns = namespace_of(c->namespaces[k]);
        const struct score_policy *winner = NULL;

        for (uint32_t i = 0; i < c->n_policies; i++) {
            if (!score_selects(&c->policies[i]->namespaces, ns->labels))
                continue;
            if (winner && all[i].loses++ == 0) {
                all[i].ns = ns->name;
                all[i].winner = winner;
            }
            winner = winner ? winner : c->policies[i];
        }
    }
    *out_n = c->n_policies;
    return all;
}

void cluster_context_rules(const struct cluster_context *c, struct score_rules *out,
                           const struct score_pod *pod, enum pod_qos qos)
{
    const struct score_hints hints = kube_hints_read(pod);

    score_rules_of(out, c ? cluster_context_policy(c, pod->ns) : NULL, pod, qos, &hints);
    out->demand = c ? &c->demand : NULL;
}
