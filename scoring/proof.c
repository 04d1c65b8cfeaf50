/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/proof.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet_request.h"
#include "topology/cpuset.h"

enum { PROOF_BYTES = 4096 };

/* Text that is cut at its end rather than failing. */
struct text {
    char p[PROOF_BYTES];
    size_t n;
};

static void add(struct text *t, const char *fmt, ...) PRINTF(2, 3);

static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const int n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->n = t->n + (size_t)n < sizeof(t->p) ? t->n + (size_t)n : sizeof(t->p) - 1;
}

static void add_lack(struct text *t, uint32_t zone_id, struct str resource, uint64_t need,
                     uint64_t have, uint64_t of)
{
    add(t, "%szone %u: %.*s needs %llu, free %llu of %llu", t->n ? "; " : "", zone_id,
        STR_ARG(resource), (unsigned long long)need, (unsigned long long)have,
        (unsigned long long)of);
}

/* The request that met the refusal: the first container without a hint, or the whole pod. */
static const struct kubelet_wants *refused(const struct node_view *node,
                                           const struct score_request *req,
                                           const struct kubelet_answer *answer)
{
    if (node->kubelet.scope == KUBELET_SCOPE_POD)
        return &req->whole;
    for (uint32_t i = 0; i < req->n_containers; i++) {
        if (!answer->containers[i].hinted)
            return &req->containers[i].wants;
    }
    return &req->whole;
}

static bool cpu_lacks(struct text *t, const struct node_view *node, const struct node_state *state,
                      uint32_t need, uint32_t zone)
{
    const uint64_t *const in = &node->cpus.zone_set[(size_t)zone * node->cpu_words];
    uint32_t have = 0, of = 0;

    for (uint32_t w = 0; w < node->cpu_words; w++) {
        const uint64_t usable = in[w] & ~node->cpu_reserved[w];

        of += (uint32_t)__builtin_popcountll(usable);
        have += (uint32_t)__builtin_popcountll(usable & state->cpu_free[w]);
    }
    if (!node->kubelet.cpu_static || have >= need)
        return false;
    add_lack(t, node->machine.zones[zone].id, STR("cpu"), need, have, of);
    return true;
}

static bool memory_lacks(struct text *t, const struct node_view *node,
                         const struct node_state *state, const struct kubelet_want *want,
                         uint32_t zone)
{
    for (uint32_t type = 0; node->kubelet.memory_static && type < node->n_memory_types; type++) {
        const size_t at = (size_t)zone * node->n_memory_types + type;

        if (!str_eq(node->memory_types[type].name, want->name) ||
            state->memory_free[at] >= want->amount)
            continue;
        add_lack(t, node->machine.zones[zone].id, want->name, want->amount, state->memory_free[at],
                 node->memory_allocatable[at]);
        return true;
    }
    return false;
}

static bool devices_lack(struct text *t, const struct node_view *node,
                         const struct node_state *state, const struct kubelet_want *want,
                         uint32_t zone)
{
    for (uint32_t i = 0; i < node->n_resources; i++) {
        const struct node_resource *const r = &node->resources[i];
        uint64_t have = 0, of = 0;

        if (!str_eq(r->name, want->name) || !r->zones)
            continue;
        for (uint32_t d = r->first; d < r->first + r->n; d++) {
            if (!(node->devices[d].zones >> zone & 1))
                continue;
            of++;
            have += node->devices[d].healthy && !cpuset_has(state->device_held, d);
        }
        if (have >= want->amount)
            return false;
        add_lack(t, node->machine.zones[zone].id, want->name, want->amount, have, of);
        return true;
    }
    return false;
}

/* Zones that could take the whole of `wants` by their free amounts; the others say what they lack.
 */
static uint64_t zones_with_room(struct text *t, const struct node_view *node,
                                const struct node_state *state, const struct kubelet_wants *wants)
{
    uint64_t roomy = 0;

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        bool lacks = wants->cpus && cpu_lacks(t, node, state, wants->cpus, z);

        for (uint32_t i = 0; i < wants->n_memory; i++)
            lacks = memory_lacks(t, node, state, &wants->memory[i], z) || lacks;
        for (uint32_t i = 0; i < wants->n_devices; i++)
            lacks = devices_lack(t, node, state, &wants->devices[i], z) || lacks;
        roomy |= (uint64_t)!lacks << z;
    }
    return roomy;
}

/* Zones tied into memory groups that small pods keep alive. */
static bool add_groups(struct text *t, const struct node_view *node, const struct node_state *state)
{
    bool any = false;

    for (uint32_t z = 0; node->kubelet.memory_static && z < node->machine.n_zones; z++) {
        const uint64_t cells = state->cells[z];

        if ((cells & (cells - 1)) == 0)
            continue;
        add(t, "%szone %u: memory is in a group of %d zones until %u blocks end", t->n ? "; " : "",
            node->machine.zones[z].id, __builtin_popcountll(cells), state->assignments[z]);
        any = true;
    }
    return any;
}

static const char *policy_rule(const struct node_view *node)
{
    return node->kubelet.policy == KUBELET_POLICY_SINGLE_NUMA_NODE
               ? "single-numa-node: no zone is preferred by every resource at once"
               : "restricted: no set of zones is preferred by every resource at once (the width "
                 "that is preferred counts all CPUs and devices, free or not)";
}

/* A container that fits by free amounts is refused by a rule. */
static void add_affinity_proof(struct text *t, const struct node_view *node,
                               const struct node_state *state, const struct kubelet_wants *wants)
{
    const uint64_t roomy = zones_with_room(t, node, state, wants);

    if (roomy == 0)
        return;
    const bool grouped = add_groups(t, node, state);
    if (!grouped)
        add(t, "%s%s", t->n ? "; " : "", policy_rule(node));
}

int score_proof(struct str *out, const struct node_view *node, const struct node_state *state,
                const struct score_request *req, const struct kubelet_answer *answer,
                struct arena *a)
{
    struct text t = {.n = 0};

    if (answer->reason == SCORE_TOPOLOGY_AFFINITY_ERROR)
        add_affinity_proof(&t, node, state, refused(node, req, answer));
    else
        add(&t, "%s", answer->message);
    return str_copy(out, (struct str){t.p, t.n}, a);
}

static int fits_without(bool *out, const struct node_view *node, const struct node_pod *pod,
                        const struct score_request *req, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct kubelet_answer answer;
    struct node_state state;

    if (node_state_copy(&state, node, a))
        return -ENOMEM;
    for (uint32_t i = 0; i < pod->n_holdings; i++)
        kubelet_release_holding(&state, node, &pod->holdings[i]);
    if (kubelet_admit(&state, node, req, &answer, a))
        return -ENOMEM;
    *out = answer.verdict == SCORE_ADMITTED;
    arena_rewind(a, mark);
    return 0;
}

int score_would_fit_without(const struct str **out, uint32_t *out_n, const struct node_view *node,
                            const struct score_request *req, struct arena *a)
{
    *out = NULL;
    *out_n = 0;
    for (uint32_t i = 0; i < node->n_pods; i++) {
        const struct node_pod *const pod = &node->pods[i];
        bool fits = false;

        if (pod->n_holdings == 0)
            continue;
        if (fits_without(&fits, node, pod, req, a))
            return -ENOMEM;
        if (!fits)
            continue;
        struct str *const name = arena_array(a, 1, sizeof(*name));
        char *const p = arena_array(a, pod->ns.n + pod->name.n + 2, 1);

        if (!name || !p)
            return -ENOMEM;
        memcpy(p, pod->ns.p, pod->ns.n);
        p[pod->ns.n] = '/';
        memcpy(p + pod->ns.n + 1, pod->name.p, pod->name.n);
        *name = (struct str){p, pod->ns.n + 1 + pod->name.n};
        *out = name;
        *out_n = 1;
        return 0;
    }
    return 0;
}
