/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decisions depend on that belongs to no node: the policies, in the order in which they win,
 * the labels of the namespaces, and what pods want of zones. Immutable; snapshots share it as long
 * as it does not change.
 */
#ifndef CLUSTER_CONTEXT_H
#define CLUSTER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/policy.h"

struct block;
struct cluster_context;

/* A policy as the store keeps it: with its text, for its selectors are kept as hashes only. */
struct context_policy {
    struct score_policy policy; /* first: what the block holds for others */
    struct str json;
};

/*
 * Of blocks that hold a struct score_policy [n_policies] and a struct kube_namespace
 * [n_namespaces], which it references; in any order. One reference. NULL: out of memory.
 */
struct cluster_context *cluster_context_new(struct block *const *policies, uint32_t n_policies,
                                            struct block *const *namespaces, uint32_t n_namespaces);
/* Of a context that nobody else has yet. Copied. */
void cluster_context_set_demand(struct cluster_context *c, const struct score_demand *demand);
const struct score_demand *cluster_context_demand(const struct cluster_context *c); /* never NULL */
struct cluster_context *cluster_context_ref(struct cluster_context *c);
void cluster_context_unref(struct cluster_context *c);         /* from any thread; NULL is fine */
size_t cluster_context_bytes(const struct cluster_context *c); /* what it keeps alive */

/* The policy that counts in a namespace; NULL: none. A namespace that is not there has its name. */
const struct score_policy *cluster_context_policy(const struct cluster_context *c, struct str ns);

/*
 * Policies that select the namespace, too, but lose to the one that counts (Conflicted): the first
 * `room` of them into `out`. Returns how many there are.
 */
uint32_t cluster_context_losers(const struct cluster_context *c, struct str ns,
                                const struct score_policy **out, uint32_t room);

uint32_t cluster_context_namespaces(const struct cluster_context *c); /* that are there */
/* The labels of a namespace; false: it is not there. */
bool cluster_context_labels(const struct cluster_context *c, struct str ns,
                            struct score_labels *out);

/* The i-th of its policies. Only of a context whose blocks are the store's. */
uint32_t cluster_context_policies(const struct cluster_context *c);
const struct context_policy *cluster_context_policy_at(const struct cluster_context *c, uint32_t i);

/* How one policy fares in the namespaces that are there. */
struct cluster_standing {
    const struct score_policy *policy;
    uint32_t loses;                    /* in how many it is selected and another one counts */
    struct str ns;                     /* the first of these, by name */
    const struct score_policy *winner; /* who counts there */
};

/* Of all policies, [*out_n]; to be freed. What it points to lives as long as `c`. NULL: out of
   memory. */
struct cluster_standing *cluster_context_standings(const struct cluster_context *c,
                                                   uint32_t *out_n) MUST_CHECK;

/* Does some policy have a class whose pods must be alone? */
bool cluster_context_has_exclusive(const struct cluster_context *c);

/* Everything that the policy that counts and the pod's hints make of it. `c` may be NULL. */
void cluster_context_rules(const struct cluster_context *c, struct score_rules *out,
                           const struct score_pod *pod, enum pod_qos qos);

#endif
