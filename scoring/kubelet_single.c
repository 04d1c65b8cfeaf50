/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hints and merge where single zones decide them, which is where most pods are. Of all sets of
 * zones only those of one are looked at: where all providers prefer the same one, no wider set is
 * better, and where they do not, most policies reject. The long way, over sets of masks, answers
 * what is left, and all that the exact admission asks; the two are compared by the recorded
 * admissions and by random ones.
 */
#include "scoring/kubelet_run.h"

/* What the providers asked so far agree on. */
struct agreement {
    uint64_t zones; /* that each prefers as a set of one */
    bool cares;     /* one of them has hints */
    bool narrow;    /* one of them prefers no wider set, or none at all */
};

static void agree(struct agreement *a, uint64_t zones, uint32_t width)
{
    a->zones &= zones;
    a->cares = true;
    a->narrow = a->narrow || width <= 1;
}

/* Of sets of one size the one with the shorter distances is better. */
static bool by_distance(const struct node_view *node)
{
    return node->kubelet.prefer_closest && node->kubelet.policy != KUBELET_POLICY_SINGLE_NUMA_NODE;
}

/* The lowest; by distance the one that is nearest to itself, though all should be alike. */
static uint64_t best_zone(const struct node_view *node, uint64_t zones)
{
    const struct topo_matrix *const d = &node->machine.distances;
    uint32_t best = (uint32_t)__builtin_ctzll(zones);

    for (uint64_t z = by_distance(node) ? zones : 0; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);

        if (d->d[zone * d->n + zone] < d->d[best * d->n + best])
            best = zone;
    }
    return UINT64_C(1) << best;
}

/* Nothing that only sets of masks can tell of this node. */
static bool is_plain(const struct kubelet_run *run)
{
    const struct node_view *const node = run->node;
    const uint32_t n = node->machine.n_zones;

    return !run->any_reuse_cpus && !run->any_reuse_devices && run->n_reuse == 0 &&
           (!by_distance(node) || node->machine.zones[n - 1].id < n) &&
           !(node->kubelet.cpu_options & KUBELET_ALIGN_BY_SOCKET);
}

static void ask_cpus(struct agreement *a, struct kubelet_run *run, uint32_t want)
{
    const struct node_cpus *const cpus = &run->node->cpus;
    uint64_t zones = 0;

    if (!run->node->kubelet.cpu_static || want == 0)
        return;
    const uint32_t width =
        kubelet_width(cpus->largest, (uint32_t)__builtin_popcountll(cpus->zones), want);
    const uint64_t *const pool = kubelet_cpu_pool(run);
    for (uint64_t z = width == 1 ? cpus->zones & a->zones : 0; z; z &= z - 1) {
        if (node_cpus_in(run->node, pool, (uint32_t)__builtin_ctzll(z)) >= want)
            zones |= z & -z;
    }
    agree(a, zones, width);
}

/* False: a device lies in several zones. */
static bool ask_devices(struct agreement *a, struct kubelet_run *run,
                        const struct kubelet_want *want)
{
    const struct node_view *const node = run->node;
    const struct node_resource *const r = kubelet_resource(node, want->name);
    const uint32_t n = node->machine.n_zones;
    uint64_t zones = 0;

    if (!r || (!r->zones && !r->elsewhere))
        return true;
    const uint32_t *const largest = node->device_largest + (size_t)(r - node->resources) * (n + 1);
    if (largest[0])
        return false;
    const uint64_t hosts = r->zones ? r->zones : (UINT64_C(1) << n) - 1;
    const uint32_t width =
        kubelet_width(largest, (uint32_t)__builtin_popcountll(r->zones), want->amount);
    if (kubelet_devices_usable(run, r, false) < want->amount) {
        agree(a, 0, 0);
        return true;
    }
    for (uint64_t z = width <= 1 ? hosts & a->zones : 0; z; z &= z - 1) {
        if (kubelet_devices_in(run, r, (uint32_t)__builtin_ctzll(z)) >= want->amount)
            zones |= z & -z;
    }
    agree(a, zones, width);
    return true;
}

/* The zones that have all of the memory free, and room for it. */
static uint64_t memory_zones(const struct kubelet_run *run, const struct kubelet_wants *wants,
                             uint64_t zones)
{
    const struct node_view *const node = run->node;
    const struct node_state *const s = run->state;

    for (uint32_t i = 0; i < wants->n_memory; i++) {
        const uint32_t type = kubelet_memory_type(node, &wants->memory[i]);
        const uint64_t want = wants->memory[i].amount;

        for (uint64_t z = zones; z; z &= z - 1) {
            const uint32_t zone = (uint32_t)__builtin_ctzll(z);
            const size_t at = (size_t)zone * node->n_memory_types + type;

            if (s->memory_free[at] < want || node->memory_allocatable[at] < want ||
                s->cells[zone] & (s->cells[zone] - 1))
                zones &= ~(z & -z);
        }
    }
    return zones;
}

enum kubelet_single kubelet_single_merge(struct kubelet_run *run, const struct kubelet_wants *wants,
                                         struct kubelet_hint *out)
{
    const enum kubelet_policy policy = run->node->kubelet.policy;
    const uint64_t all = (UINT64_C(1) << run->node->machine.n_zones) - 1;
    const bool memory = run->node->kubelet.memory_static && run->req->qos == POD_GUARANTEED &&
                        !wants->odd_memory && wants->n_memory > 0;
    struct agreement a = {.zones = all};

    if (!is_plain(run))
        return KUBELET_SINGLE_OPEN;
    ask_cpus(&a, run, wants->cpus);
    for (uint32_t i = 0; i < wants->n_devices; i++) {
        if (!ask_devices(&a, run, &wants->devices[i]))
            return KUBELET_SINGLE_OPEN;
    }
    if (!a.zones && policy == KUBELET_POLICY_BEST_EFFORT)
        return KUBELET_SINGLE_OPEN;
    if (memory) {
        const uint64_t zones = memory_zones(run, wants, a.zones);

        if (zones || memory_zones(run, wants, all))
            agree(&a, zones, 1);
        else if (a.zones) /* without a set of any size it would not care */
            return KUBELET_SINGLE_OPEN;
    }
    if (a.zones) {
        const uint64_t best = a.cares ? best_zone(run->node, a.zones) : all;
        const bool nil = policy == KUBELET_POLICY_SINGLE_NUMA_NODE && best == all;

        *out = (struct kubelet_hint){!nil, true, nil ? 0 : best};
        return KUBELET_SINGLE_FOUND;
    }
    return policy == KUBELET_POLICY_SINGLE_NUMA_NODE ||
                   (policy == KUBELET_POLICY_RESTRICTED && a.narrow)
               ? KUBELET_SINGLE_NONE
               : KUBELET_SINGLE_OPEN;
}
