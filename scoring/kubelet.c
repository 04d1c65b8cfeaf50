/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet_compact.h"
#include "scoring/kubelet_run.h"
#include "topology/cpuset.h"

static bool refuse_locality(struct kubelet_run *run)
{
    return kubelet_fail(run, SCORE_TOPOLOGY_AFFINITY_ERROR,
                        "Resources cannot be allocated with Topology locality");
}

bool kubelet_run_merge(struct kubelet_run *run, const struct kubelet_wants *wants, bool whole,
                       struct kubelet_hint *out)
{
    run->n_lists = 0;
    if (!kubelet_zones_fit(run))
        return false;
    if (run->zones_only) {
        if (!kubelet_memory_exists(run, wants, UINT64_MAX))
            return false;
        const enum kubelet_single found = kubelet_single_merge(run, wants, out);
        if (found != KUBELET_SINGLE_OPEN)
            return found == KUBELET_SINGLE_FOUND || refuse_locality(run);
    }
    kubelet_run_lists(run);
    kubelet_device_hints(run, wants, whole);
    kubelet_cpu_hints(run, wants);
    if (!kubelet_memory_hints(run, wants))
        return false;
    const struct kubelet_merge_result r =
        kubelet_merge(run->node, run->lists, run->n_lists, run->counts);
    if (r.crash)
        return kubelet_fail(run, SCORE_KUBELET_CRASH,
                            "the kubelet dies: prefer-closest-numa-nodes on a machine with holes "
                            "in its zone ids");
    if (!r.admit)
        return refuse_locality(run);
    *out = r.hint;
    return true;
}

static void store_hint(struct kubelet_run *run, uint32_t i, struct kubelet_hint hint)
{
    struct score_container *const c = &run->answer->containers[i];

    c->hinted = true;
    c->has_affinity = hint.has_affinity;
    c->affinity = hint.affinity;
    c->preferred = hint.preferred;
}

static bool allocate(struct kubelet_run *run, uint32_t i)
{
    return kubelet_device_allocate(run, i) && kubelet_cpu_allocate(run, i) &&
           kubelet_memory_allocate(run, i);
}

static bool admit_containers(struct kubelet_run *run)
{
    const bool hints = run->node->kubelet.policy != KUBELET_POLICY_NONE;
    const bool whole = hints && run->node->kubelet.scope == KUBELET_SCOPE_POD;
    struct kubelet_hint hint = {0};

    if (whole && !kubelet_run_merge(run, &run->req->whole, true, &hint))
        return false;
    for (uint32_t i = 0; i < run->req->n_containers; i++) {
        if (hints && !whole &&
            !kubelet_run_merge(run, &run->req->containers[i].wants, false, &hint))
            return false;
        if (hints)
            store_hint(run, i, hint);
        if (!allocate(run, i))
            return false;
    }
    return true;
}

/* More zones than hints are worked out over: without those that no provider offers, if that helps.
 */
static int admit_compact(struct kubelet_run *run, struct arena *a)
{
    const struct node_view *const node = run->node;
    const bool memory = node->kubelet.memory_static && run->req->qos == POD_GUARANTEED;
    struct kubelet_compact *const compact = arena_array(a, 1, sizeof(*compact));

    if (!compact)
        return -ENOMEM;
    if (!kubelet_can_compact(node, memory)) {
        (void)kubelet_fail(run, SCORE_TOO_MANY_ZONES,
                           "%u zones: sets of more than %d are not worked out",
                           node->machine.n_zones, KUBELET_HINT_ZONES);
        return 0;
    }
    if (kubelet_compact(compact, node, a))
        return -ENOMEM;
    run->node = &compact->node;
    if (kubelet_run_init(run, a))
        return -ENOMEM;
    (void)admit_containers(run);
    kubelet_expand(compact, node, run->answer->containers, run->req->n_containers);
    return 0;
}

static int admit(struct kubelet_run *run, struct kubelet_answer *out, struct arena *a)
{
    const struct node_view *const node = run->node;

    out->verdict = SCORE_ADMITTED;
    out->reason = SCORE_REASON_NONE;
    out->message[0] = 0;
    out->containers = NULL;
    const char *const broken = kubelet_start_error(node);
    if (broken) {
        (void)kubelet_fail(run, SCORE_KUBELET_CRASH, "the kubelet does not start: %s", broken);
        return 0;
    }
    if (kubelet_needs_hints(run) && node->machine.n_zones > KUBELET_HINT_ZONES)
        return admit_compact(run, a);
    if (kubelet_run_init(run, a))
        return -ENOMEM;
    (void)admit_containers(run);
    return 0;
}

int kubelet_admit(struct node_state *state, const struct node_view *node,
                  const struct score_request *req, struct kubelet_answer *out, struct arena *a)
{
    struct kubelet_run run = {.node = node, .state = state, .req = req, .answer = out};

    return admit(&run, out, a);
}

int kubelet_admit_zones(struct node_state *state, const struct node_view *node,
                        const struct score_request *req, struct kubelet_answer *out,
                        struct arena *a)
{
    struct kubelet_run run = {
        .node = node, .state = state, .req = req, .answer = out, .zones_only = true};

    return admit(&run, out, a);
}

void kubelet_start(struct node_state *state, const struct node_view *node,
                   const struct score_request *req, struct score_container *containers)
{
    for (uint32_t i = 0; i + 1 < req->n_containers; i++) {
        if (req->containers[i].kind != POD_INIT)
            continue;
        kubelet_memory_release(state, node, containers[i].blocks, containers[i].n_blocks);
        containers[i].n_blocks = 0;
    }
}

static void release(struct node_state *state, const struct node_view *node, const uint64_t *cpus,
                    const uint64_t *devices, const struct node_block *blocks, uint32_t n_blocks)
{
    for (uint32_t w = 0; cpus && w < node->cpu_words; w++)
        state->cpu_free[w] |= cpus[w];
    for (uint32_t w = 0; devices && w < node_device_words(node); w++)
        state->device_held[w] &= ~devices[w];
    kubelet_memory_release(state, node, blocks, n_blocks);
}

void kubelet_release(struct node_state *state, const struct node_view *node,
                     const struct score_container *c)
{
    release(state, node, c->cpus, c->devices, c->blocks, c->n_blocks);
}

void kubelet_release_holding(struct node_state *state, const struct node_view *node,
                             const struct node_holding *h)
{
    release(state, node, h->cpus, h->devices, h->blocks, h->n_blocks);
}

static bool nothing_reserved(const struct node_view *node)
{
    for (uint32_t w = 0; w < node->cpu_words; w++) {
        if (node->cpu_reserved[w])
            return false;
    }
    return true;
}

static bool no_memory_reserved(const struct node_view *node)
{
    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        if (node->memory_system[(size_t)z * node->n_memory_types])
            return false;
    }
    return true;
}

const char *kubelet_start_error(const struct node_view *node)
{
    const struct kubelet_config *const k = &node->kubelet;
    const uint32_t o = k->cpu_static ? k->cpu_options : 0;
    /* Nobody published what is reserved: the kubelet knows better than a guess. */
    const bool reserved_known = !(node->assumed & NODE_ASSUMED_RESERVED);

    /* With policy none nobody looks at the topology manager's options. */
    if (k->policy != KUBELET_POLICY_NONE && k->max_zones < 8)
        return "max-allowable-numa-nodes is below 8";
    if (k->policy != KUBELET_POLICY_NONE && node->machine.n_zones > k->max_zones)
        return "more zones than max-allowable-numa-nodes";
    if (reserved_known && k->cpu_static && nothing_reserved(node))
        return "the static CPU manager policy needs reserved CPUs";
    if (reserved_known && k->memory_static && no_memory_reserved(node))
        return "the Static memory manager policy needs reserved memory";
    if (o & KUBELET_ALIGN_BY_SOCKET && k->policy == KUBELET_POLICY_SINGLE_NUMA_NODE)
        return "align-by-socket does not go with single-numa-node";
    if (o & KUBELET_ALIGN_BY_SOCKET &&
        node->cpus.n_sockets > (uint32_t)__builtin_popcountll(node->cpus.zones))
        return "align-by-socket does not go with more sockets than zones with CPUs";
    if (o & KUBELET_DISTRIBUTE_ACROSS_CORES &&
        o & (KUBELET_FULL_PCPUS_ONLY | KUBELET_DISTRIBUTE_ACROSS_NUMA |
             KUBELET_ALIGN_BY_UNCORECACHE))
        return "distribute-cpus-across-cores does not go with the other options";
    if (o & KUBELET_ALIGN_BY_UNCORECACHE && o & KUBELET_DISTRIBUTE_ACROSS_NUMA)
        return "prefer-align-cpus-by-uncorecache does not go with distribute-cpus-across-numa";
    return NULL;
}

int kubelet_choose_reserved(uint64_t *out, const struct node_view *node, uint32_t count,
                            struct arena *a)
{
    struct kubelet_take take;
    const size_t mark = arena_mark(a);
    uint64_t *const all = arena_array(a, node->cpu_words, sizeof(*all));
    struct arena_parts parts = arena_parts(a);
    int rc = -ENOMEM;

    kubelet_take_init(&take, node, &parts);
    if (all && arena_seal(&parts) == 0) {
        for (uint32_t c = 0; c < node->machine.n_cpus; c++) {
            if (node->cpus.cpu[c].zone != TOPO_NONE)
                cpuset_add(all, c);
        }
        rc = kubelet_take_cpus(&take, all, count, out) == KUBELET_TAKEN &&
                     cpuset_count(out, node->cpu_words) == count
                 ? 0
                 : -ENOENT;
    }
    arena_rewind(a, mark);
    return rc;
}
