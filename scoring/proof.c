/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/proof.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet_request.h"
#include "scoring/proof_parts.h"
#include "scoring/without.h"
#include "topology/cpuset.h"

enum { PROOF_HOLDERS = 3 };

void proof_add(struct proof_text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const int n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->n = t->n + (size_t)n < sizeof(t->p) ? t->n + (size_t)n : sizeof(t->p) - 1;
}

void proof_clause(struct proof_text *t)
{
    if (t->n)
        proof_add(t, "; ");
}

void proof_zones(struct proof_text *t, const struct node_view *node, uint64_t zones)
{
    const char *before = zones & (zones - 1) ? "zones " : "zone ";

    for (uint64_t z = zones; z; z &= z - 1, before = ",")
        proof_add(t, "%s%u", before, node->machine.zones[__builtin_ctzll(z)].id);
}

static void add_lack(struct proof_text *t, uint32_t zone_id, struct str resource, uint64_t need,
                     uint64_t have, uint64_t of)
{
    proof_clause(t);
    proof_add(t, "zone %u: %.*s needs %llu, free %llu of %llu", zone_id, STR_ARG(resource),
              (unsigned long long)need, (unsigned long long)have, (unsigned long long)of);
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

static bool cpu_lacks(struct proof_text *t, const struct node_view *node,
                      const struct node_state *state, uint32_t need, uint32_t zone)
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

static bool memory_lacks(struct proof_text *t, const struct node_view *node,
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

static bool devices_lack(struct proof_text *t, const struct node_view *node,
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
static uint64_t zones_with_room(struct proof_text *t, const struct node_view *node,
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

/* --- memory groups --- */

static bool holds_memory_in(const struct node_pod *pod, uint32_t zone)
{
    for (uint32_t h = 0; h < pod->n_holdings; h++) {
        for (uint32_t k = 0; k < pod->holdings[h].n_blocks; k++) {
            if (pod->holdings[h].blocks[k].zones >> zone & 1)
                return true;
        }
    }
    return false;
}

/* "held by ml/a, ml/b, ml/c and 2 more"; only a number where it is not known whose blocks they are
 */
static void add_holders(struct proof_text *t, const struct node_view *node,
                        const struct node_state *state, uint32_t zone)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < node->n_pods; i++) {
        const struct node_pod *const pod = &node->pods[i];

        if (!holds_memory_in(pod, zone))
            continue;
        if (n++ < PROOF_HOLDERS)
            proof_add(t, "%s%.*s/%.*s", n == 1 ? ", held by " : ", ", STR_ARG(pod->ns),
                      STR_ARG(pod->name));
    }
    if (n > PROOF_HOLDERS)
        proof_add(t, " and %u more", n - PROOF_HOLDERS);
    if (n == 0)
        proof_add(t,
                  state->assignments[zone] == 1 ? " until %u block ends" : " until %u blocks end",
                  state->assignments[zone]);
}

/* "zone 0: memory is in a group with zone 1, held by ml/a" */
static void add_group(struct proof_text *t, const struct node_view *node,
                      const struct node_state *state, uint32_t zone)
{
    proof_clause(t);
    proof_add(t, "zone %u: memory is in a group with ", node->machine.zones[zone].id);
    proof_zones(t, node, state->cells[zone] & ~(UINT64_C(1) << zone));
    if (node->state.cells[zone] == state->cells[zone])
        add_holders(t, node, state, zone);
    else
        proof_add(t, ", made by another container of this pod");
}

/* Groups that pods keep alive, each told once, at its lowest zone. */
static bool add_groups(struct proof_text *t, const struct node_view *node,
                       const struct node_state *state)
{
    bool any = false;

    for (uint32_t z = 0; node->kubelet.memory_static && z < node->machine.n_zones; z++) {
        const uint64_t cells = state->cells[z];

        if ((cells & (cells - 1)) == 0)
            continue;
        any = true;
        if (state->cells[__builtin_ctzll(cells)] != cells || (uint32_t)__builtin_ctzll(cells) == z)
            add_group(t, node, state, z);
    }
    return any;
}

/* CPUs that init containers leave to the one that was refused; NULL: no memory. */
static const uint64_t *reuse_of(const struct node_view *node, const struct score_request *req,
                                const struct kubelet_answer *answer, struct arena *a)
{
    uint64_t *const reuse = arena_array(a, node->cpu_words, sizeof(*reuse));

    for (uint32_t i = 0; reuse && answer->containers && i < req->n_containers; i++) {
        const uint64_t *const cpus = answer->containers[i].cpus;

        if (!answer->containers[i].hinted)
            break;
        for (uint32_t w = 0; cpus && w < node->cpu_words; w++)
            reuse[w] =
                req->containers[i].kind == POD_INIT ? reuse[w] | cpus[w] : reuse[w] & ~cpus[w];
    }
    return reuse;
}

/* What every zone lacks; else the rule by which a zone that has room, or zones together, are not
 * taken. */
static void add_affinity_proof(struct proof_text *t, const struct proof_case *c)
{
    const uint64_t roomy = zones_with_room(t, c->node, c->state, c->wants);
    const bool restricted = c->node->kubelet.policy == KUBELET_POLICY_RESTRICTED;

    if (restricted && proof_widths(t, c))
        return;
    if (roomy == 0 && !(restricted && proof_is_wide(c)))
        return;
    if (c->wants->n_memory == 0 || !add_groups(t, c->node, c->state))
        proof_rule(t, c, roomy);
}

/* --- an allocation that failed --- */

static bool devices_met(const struct node_view *node, const struct kubelet_want *want,
                        const uint64_t *got)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < node->n_resources; i++) {
        const struct node_resource *const r = &node->resources[i];

        for (uint32_t d = r->first; str_eq(r->name, want->name) && d < r->first + r->n; d++)
            n += got && cpuset_has(got, d);
    }
    return n >= want->amount;
}

/* What the container did not get from the manager that failed; managers are asked in this order. */
static struct kubelet_wants unmet(const struct node_view *node, const struct kubelet_wants *wants,
                                  const struct score_container *got)
{
    for (uint32_t i = 0; i < wants->n_devices; i++) {
        if (!devices_met(node, &wants->devices[i], got->devices))
            return (struct kubelet_wants){.devices = &wants->devices[i], .n_devices = 1};
    }
    if (wants->cpus && node->kubelet.cpu_static && !got->cpus)
        return (struct kubelet_wants){.cpus = wants->cpus};
    if (node->kubelet.memory_static && got->n_blocks < wants->n_memory)
        return (struct kubelet_wants){.memory = wants->memory, .n_memory = wants->n_memory};
    return (struct kubelet_wants){0};
}

/*
 * The kubelet's text speaks of no resource by name: say which zones lack what. What the container
 * got from the managers before the one that failed is not in its way.
 */
static void add_allocation_proof(struct proof_text *t, const struct node_view *node,
                                 const struct node_state *state, const struct score_request *req,
                                 const struct kubelet_answer *answer)
{
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_wants left =
            unmet(node, &req->containers[i].wants, &answer->containers[i]);

        if (!left.cpus && !left.n_memory && !left.n_devices)
            continue;
        (void)zones_with_room(t, node, state, &left);
        if (left.n_memory)
            (void)add_groups(t, node, state);
        return;
    }
}

int score_proof(struct str *out, const struct node_view *node, const struct node_state *state,
                const struct score_request *req, const struct kubelet_answer *answer,
                struct arena *a)
{
    struct proof_text t = {.n = 0};

    if (answer->reason == SCORE_TOPOLOGY_AFFINITY_ERROR) {
        const struct proof_case c = {.node = node,
                                     .state = state,
                                     .wants = refused(node, req, answer),
                                     .reuse = reuse_of(node, req, answer, a)};

        if (!c.reuse)
            return -ENOMEM;
        add_affinity_proof(&t, &c);
    } else {
        proof_add(&t, "%s", answer->message);
    }
    if (answer->reason == SCORE_UNEXPECTED_ADMISSION_ERROR)
        add_allocation_proof(&t, node, state, req, answer);
    return str_copy(out, (struct str){t.p, t.n}, a);
}

int score_would_fit_without(const struct str **out, uint32_t *out_n, const struct node_view *node,
                            const struct score_request *req, struct arena *a)
{
    bool *const gone = arena_array(a, node->n_pods, sizeof(*gone));

    *out = NULL;
    *out_n = 0;
    if (!gone)
        return -ENOMEM;
    for (uint32_t i = 0; i < node->n_pods; i++) {
        const struct node_pod *const pod = &node->pods[i];
        bool fits = false;

        if (pod->n_holdings == 0)
            continue;
        gone[i] = true;
        if (score_fits_without(&fits, node, gone, req, a))
            return -ENOMEM;
        gone[i] = false;
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
