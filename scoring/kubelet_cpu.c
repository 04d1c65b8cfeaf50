/* SPDX-License-Identifier: Apache-2.0 */
/* CPU Manager, static policy. k8s: cpumanager/policy_static.go. */
#include <string.h>

#include "scoring/kubelet_run.h"
#include "scoring/mask_set.h"
#include "topology/cpuset.h"

/* Of the pool to allocate from: default set - reserved + what init containers left. */
static uint64_t pool_word(const struct kubelet_run *run, uint32_t w)
{
    return (run->state->cpu_free[w] & ~run->node->cpu_reserved[w]) | run->reuse_cpus[w];
}

const uint64_t *kubelet_cpu_pool(struct kubelet_run *run)
{
    for (uint32_t w = 0; w < run->node->cpu_words; w++)
        run->cpu_scratch[w] = pool_word(run, w);
    return run->cpu_scratch;
}

static uint32_t sockets_in(const struct node_view *node, uint64_t zones)
{
    uint64_t seen[TOPO_MAX_CPUS / 64] = {0};
    uint32_t n = 0;

    for (uint32_t c = 0; c < node->machine.n_cpus; c++) {
        const struct node_cpu *const cpu = &node->cpus.cpu[c];

        if (cpu->zone == TOPO_NONE || !(zones >> cpu->zone & 1) || cpuset_has(seen, cpu->socket))
            continue;
        cpuset_add(seen, cpu->socket);
        n++;
    }
    return n;
}

/* align-by-socket: the mask spans no more sockets than the narrowest fit needs. */
static bool is_socket_aligned(const struct node_view *node, uint64_t mask, uint32_t width)
{
    const uint32_t zones = (uint32_t)__builtin_popcountll(node->cpus.zones);
    const uint32_t per_socket = zones / node->cpus.n_sockets;

    return per_socket && sockets_in(node, mask) == (width + per_socket - 1) / per_socket;
}

/* Masks that align-by-socket prefers although they are wider than need be. */
static void prefer_aligned(const struct node_view *node, struct kubelet_hints *list, uint32_t width)
{
    for (uint64_t m = 1; mask_set_next(list->masks, node->machine.n_zones, &m); m++) {
        if (is_socket_aligned(node, m, width))
            mask_set_add(list->preferred, m);
    }
}

/*
 * Every set of zones whose free CPUs suffice and that holds all reusable CPUs. The width that is
 * preferred counts all CPUs of the zones, free or not, reserved or not: the quirk by which a
 * request that no single zone can ever free is rejected for ever.
 */
void kubelet_cpu_hints(struct kubelet_run *run, const struct kubelet_wants *wants)
{
    const struct node_view *const node = run->node;
    const uint32_t n = node->machine.n_zones, want = wants->cpus;
    const uint64_t zones = node->cpus.zones;
    uint16_t free[MASK_SET_ZONES] = {0};
    uint64_t must = 0; /* zones of reusable CPUs */

    if (!node->kubelet.cpu_static || want == 0)
        return;
    struct kubelet_hints *const list = kubelet_new_list(run);
    const uint64_t *const pool = kubelet_cpu_pool(run);
    for (uint64_t z = zones; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);

        free[zone] = (uint16_t)node_cpus_in(node, pool, zone);
        if (run->any_reuse_cpus && node_cpus_in(node, run->reuse_cpus, zone))
            must |= UINT64_C(1) << zone;
    }
    const uint32_t width =
        kubelet_width(node->cpus.largest, (uint32_t)__builtin_popcountll(zones), want);
    mask_set_subsets(list->masks, n, zones);
    mask_set_keep_counts(list->masks, n, free, want);
    if (must)
        mask_set_keep_supersets(list->masks, n, must);
    list->impossible = kubelet_prefer(list, n, width);
    if (node->kubelet.cpu_options & KUBELET_ALIGN_BY_SOCKET)
        prefer_aligned(node, list, width);
}

/* CPUs of the sockets that the zones have CPUs of. */
static void pool_of_sockets(const struct node_view *node, const uint64_t *from, uint64_t zones,
                            uint64_t *into)
{
    uint64_t sockets[TOPO_MAX_CPUS / 64] = {0};

    memset(into, 0, node->cpu_words * sizeof(*into));
    for (uint32_t c = 0; c < node->machine.n_cpus; c++) {
        const struct node_cpu *const cpu = &node->cpus.cpu[c];

        if (cpu->zone != TOPO_NONE && zones >> cpu->zone & 1)
            cpuset_add(sockets, cpu->socket);
    }
    for (uint32_t c = 0; c < node->machine.n_cpus; c++) {
        const struct node_cpu *const cpu = &node->cpus.cpu[c];

        if (cpu->zone != TOPO_NONE && cpuset_has(from, c) && cpuset_has(sockets, cpu->socket))
            cpuset_add(into, c);
    }
}

/* Zones to take from first: those of the hint, with align-by-socket all of their sockets. */
static void aligned_pool(const struct kubelet_run *run, const uint64_t *from, uint64_t affinity,
                         uint64_t *into)
{
    const struct node_view *const node = run->node;

    if (node->kubelet.cpu_options & KUBELET_ALIGN_BY_SOCKET) {
        pool_of_sockets(node, from, affinity, into);
        return;
    }
    memset(into, 0, node->cpu_words * sizeof(*into));
    for (uint64_t z = affinity & node->cpus.zones; z; z &= z - 1) {
        const uint64_t *const in =
            &node->cpus.zone_set[(size_t)__builtin_ctzll(z) * node->cpu_words];

        for (uint32_t w = 0; w < node->cpu_words; w++)
            into[w] |= from[w] & in[w];
    }
}

static bool take(struct kubelet_run *run, const uint64_t *from, uint32_t count, uint64_t *into)
{
    switch (kubelet_take_cpus(kubelet_run_take(run), from, count, into)) {
    case KUBELET_TAKEN:
        return true;
    case KUBELET_TAKE_TOO_FEW:
        return kubelet_fail_unexpected(
            run, "not enough cpus available to satisfy request: requested=%u, available=%u", count,
            cpuset_count(from, run->node->cpu_words));
    case KUBELET_TAKE_UNEVEN:
        return kubelet_fail_unexpected(run, "accounting error, %s CPUs allocated, remaining: %lld",
                                       run->take.remaining > 0 ? "not enough" : "too many",
                                       (long long)run->take.remaining);
    case KUBELET_TAKE_TOO_MANY:
        return kubelet_fail(run, SCORE_TOO_MANY_ZONES,
                            "distribute-cpus-across-numa: too many ways to choose zones");
    case KUBELET_TAKE_ENDLESS:
        break;
    }
    return kubelet_fail(run, SCORE_KUBELET_CRASH,
                        "the kubelet never answers: distribute-cpus-across-numa goes round for "
                        "ever where half cores are free");
}

/* full-pcpus-only: whole cores or nothing. CPUs left by init containers do not count here. */
static bool whole_cores(struct kubelet_run *run, uint32_t want)
{
    const struct node_view *const node = run->node;
    const uint32_t threads = node->cpus.n_present / node->cpus.n_cores;
    uint32_t free = 0;

    if (want % threads != 0)
        return kubelet_fail(run, SCORE_SMT_ALIGNMENT_ERROR,
                            "SMT Alignment Error: requested %u cpus not multiple cpus per core "
                            "= %u",
                            want, threads);
    for (uint32_t w = 0; w < node->cpu_words; w++)
        free +=
            (uint32_t)__builtin_popcountll(run->state->cpu_free[w] & ~node->cpus.reserved_cores[w]);
    if (want > free)
        return kubelet_fail(run, SCORE_SMT_ALIGNMENT_ERROR,
                            "SMT Alignment Error: not enough free physical CPUs: available "
                            "physical CPUs = %u, requested CPUs = %u, CPUs per core = %u",
                            free, want, threads);
    return true;
}

/* Add to, or take off, what later containers of the pod may reuse. */
static void update_reuse(struct kubelet_run *run, uint32_t i, const uint64_t *got)
{
    const bool leaves = run->req->containers[i].kind == POD_INIT;

    if (!leaves && !run->any_reuse_cpus)
        return;
    run->any_reuse_cpus = true;
    for (uint32_t w = 0; w < run->node->cpu_words; w++) {
        if (leaves)
            run->reuse_cpus[w] |= got[w];
        else
            run->reuse_cpus[w] &= ~got[w];
    }
}

/* Zones with CPUs that are taken from first. */
static uint64_t hinted_zones(const struct kubelet_run *run, uint32_t i)
{
    const struct kubelet_hint hint = kubelet_run_hint(run, i);

    return run->node->cpus.zones & (hint.has_affinity ? hint.affinity : UINT64_MAX);
}

/*
 * Whatever CPUs of the hinted zone container i gets, no later container can tell: none wants CPUs
 * of its own, and only an irregular machine or a distributed choice would reach beyond the zone.
 * Where init containers left CPUs, it matters which: those it reuses are not taken twice.
 */
static bool is_open(const struct kubelet_run *run, uint32_t i)
{
    const uint64_t zones = hinted_zones(run, i);

    if (!run->zones_only || run->any_reuse_cpus || !run->node->cpus.regular || !zones ||
        (zones & (zones - 1)) != 0 ||
        run->node->kubelet.cpu_options & (KUBELET_DISTRIBUTE_ACROSS_NUMA | KUBELET_ALIGN_BY_SOCKET))
        return false;
    for (uint32_t k = i + 1; k < run->req->n_containers; k++) {
        if (run->req->containers[k].wants.cpus)
            return false;
    }
    return true;
}

/* The lowest `n` members of a set, or all. */
static uint64_t lowest(uint64_t set, uint32_t n)
{
    uint64_t rest = set;

    if ((uint32_t)__builtin_popcountll(set) <= n)
        return set;
    for (; n > 0; n--)
        rest &= rest - 1;
    return set & ~rest;
}

/* Any `want` CPUs of the one zone into `got`; false when it has too few: the rest decides. */
static bool take_any(const struct kubelet_run *run, uint32_t i, uint32_t want, uint64_t *got)
{
    const uint32_t words = run->node->cpu_words,
                   zone = (uint32_t)__builtin_ctzll(hinted_zones(run, i));
    const uint64_t *const in = &run->node->cpus.zone_set[(size_t)zone * words];

    for (uint32_t w = 0; w < words; w++) {
        got[w] = lowest(pool_word(run, w) & in[w], want);
        want -= (uint32_t)__builtin_popcountll(got[w]);
    }
    return want == 0;
}

/* The kubelet's choice: of the hinted zones first, then of all. */
static bool choose(struct kubelet_run *run, uint32_t i, uint32_t want, uint64_t *got)
{
    const struct kubelet_hint hint = kubelet_run_hint(run, i);
    const uint32_t words = run->node->cpu_words;
    uint64_t *const from = run->cpu_scratch, *const aligned = from + words;

    (void)kubelet_cpu_pool(run);
    memset(got, 0, words * sizeof(*got));
    if (hint.has_affinity) {
        aligned_pool(run, from, hint.affinity, aligned);
        const uint32_t there = cpuset_count(aligned, words);

        if (!take(run, aligned, want < there ? want : there, got))
            return false;
    }
    for (uint32_t w = 0; w < words; w++)
        from[w] &= ~got[w];
    const uint32_t have = cpuset_count(got, words);
    return have >= want || take(run, from, want - have, got);
}

bool kubelet_cpu_allocate(struct kubelet_run *run, uint32_t i)
{
    const struct node_view *const node = run->node;
    const uint32_t want = run->req->containers[i].wants.cpus, words = node->cpu_words;
    uint64_t *const got = kubelet_run_cpus(run, i);

    if (!node->kubelet.cpu_static || want == 0)
        return true; /* the shared pool */
    if (node->kubelet.cpu_options & KUBELET_FULL_PCPUS_ONLY && !whole_cores(run, want))
        return false;
    if (!(is_open(run, i) && take_any(run, i, want, got)) && !choose(run, i, want, got))
        return false;

    for (uint32_t w = 0; w < words; w++)
        run->state->cpu_free[w] &= ~got[w];
    run->answer->containers[i].cpus = got;
    update_reuse(run, i, got);
    return true;
}
