/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/outcome.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet_request.h"
#include "topology/cpuset.h"

/* The CPUs of the set by zone, and the zones that have some; returns how many they are. */
static uint32_t count_cpus(const struct node_view *node, const uint64_t *set, uint32_t *by_zone,
                           uint64_t *out_zones)
{
    const uint32_t all = cpuset_count(set, node->cpu_words);
    uint64_t zones = 0;
    uint32_t sum = 0;

    memset(by_zone, 0, node->machine.n_zones * sizeof(*by_zone));
    for (uint64_t z = node->cpus.zones; z && sum < all; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);
        const uint32_t n = by_zone[zone] = node_cpus_in(node, set, zone);

        zones |= n ? z & -z : 0;
        sum += n;
    }
    *out_zones = zones;
    return sum;
}

/* Bytes per zone, brought down to a sum that score_locality takes; the zones, 0: there are none. */
static uint64_t count_memory(const struct score_container *c, uint32_t n, uint32_t *by_zone)
{
    uint64_t bytes[TOPO_MAX_ZONES], sum = 0, zones = 0;
    uint32_t shift = 0;

    for (uint32_t i = 0; i < c->n_blocks; i++) {
        /* A block over several zones says no more than that: equal parts. */
        const uint64_t part =
            c->blocks[i].bytes / (uint64_t)__builtin_popcountll(c->blocks[i].zones);

        for (uint64_t z = c->blocks[i].zones; z; z &= z - 1) {
            const uint32_t zone = (uint32_t)__builtin_ctzll(z);

            bytes[zone] = (zones >> zone & 1 ? bytes[zone] : 0) + part;
            sum += part;
            zones |= z & -z;
        }
    }
    if (sum >> 24)
        shift = 40 - (uint32_t)__builtin_clzll(sum); /* to 24 bits */
    shift += sum >> shift > UINT64_C(1) << 23;
    memset(by_zone, 0, n * sizeof(*by_zone));
    for (uint64_t z = zones; z; z &= z - 1)
        by_zone[__builtin_ctzll(z)] = (uint32_t)(bytes[__builtin_ctzll(z)] >> shift);
    return sum >> shift > 0 ? zones : 0;
}

static uint64_t weight_of(const struct pod_container *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].kind == POD_CPU && c->requests[i].amount > 0)
            return c->requests[i].amount < INT32_MAX ? (uint64_t)c->requests[i].amount : INT32_MAX;
    }
    return 1; /* no request: it counts, but hardly */
}

static const struct node_resource *find_resource(const struct node_view *node, struct str name)
{
    for (uint32_t r = 0; r < node->n_resources; r++) {
        if (str_eq(node->resources[r].name, name))
            return &node->resources[r];
    }
    return NULL;
}

static int choose(struct outcome_container *c, const struct node_view *node,
                  const struct kubelet_wants *wants, const struct score_container *got,
                  const uint64_t *held, struct arena *a)
{
    struct score_choice *const choices = arena_array(a, wants->n_devices, sizeof(*choices));

    if (!choices)
        return -ENOMEM;
    for (uint32_t i = 0; i < wants->n_devices; i++) {
        const struct node_resource *const r = find_resource(node, wants->devices[i].name);
        const uint64_t zones = got->hinted && got->has_affinity ? got->affinity : 0;

        if (!r || wants->devices[i].amount == 0)
            continue;
        if (score_choice_init(&choices[c->n_choices++], node, r, held, r->zones ? zones : 0,
                              (uint32_t)wants->devices[i].amount, a))
            return -ENOMEM;
    }
    c->choices = choices;
    return 0;
}

/*
 * Where one container's threads and memory will be: its own CPUs, else wherever the shared pool
 * is; its blocks, else where its threads touch it first.
 */
static void place(struct outcome_container *c, const struct outcome *o, uint32_t i, uint32_t *cpu,
                  uint32_t *memory)
{
    const struct score_container *const got = &o->answer->containers[i];
    const uint32_t zones = o->node->machine.n_zones;

    c->runs = o->req->containers[i].kind != POD_INIT;
    c->has_own = got->cpus != NULL;
    c->cpu = cpu;
    c->memory = memory;
    c->cpus = count_cpus(o->node, got->cpus ? got->cpus : o->after->cpu_free, cpu, &c->cpu_zones);
    c->weight = weight_of(&o->req->pod->containers[i]);
    c->memory_zones = count_memory(got, zones, memory);
    if (!c->memory_zones) {
        c->memory_zones = c->cpu_zones;
        memcpy(memory, cpu, zones * sizeof(*memory));
    }
}

static void add_zones(struct outcome *o, const struct outcome_container *c,
                      const struct score_container *got)
{
    if (!c->runs)
        return;
    o->zones |= c->has_own ? c->cpu_zones : 0;
    if (got->devices)
        o->zones |= node_device_zones(o->node, got->devices);
    o->floating |= c->has_own ? 0 : c->cpu_zones;
    for (uint32_t i = 0; i < got->n_blocks; i++)
        o->zones |= got->blocks[i].zones;
}

static void hold(uint64_t *held, uint32_t words, const uint64_t *devices)
{
    for (uint32_t w = 0; devices && w < words; w++)
        held[w] |= devices[w];
}

int outcome_init(struct outcome *out, const struct node_view *node, const struct score_request *req,
                 const struct node_state *after, const struct kubelet_answer *answer,
                 struct arena *a)
{
    const uint32_t words = req->whole.n_devices ? node_device_words(node) : 0;
    const size_t n = req->n_containers, zones = node->machine.n_zones;
    struct arena_parts parts = arena_parts(a);
    struct outcome_container *const containers = arena_part(&parts, n, sizeof(*containers));
    uint32_t *const by_zone = arena_part(&parts, n * 2 * zones, sizeof(*by_zone));
    uint64_t *const held = arena_part(&parts, words, sizeof(*held));
    struct outcome o = {
        .node = node, .req = req, .after = after, .answer = answer, .containers = containers};

    if (arena_seal(&parts))
        return -ENOMEM;
    memset(containers, 0, n * sizeof(*containers));
    for (uint32_t w = 0; w < words; w++)
        held[w] = node->state.device_held[w];
    for (uint32_t i = 0; i < req->n_containers; i++) {
        struct outcome_container *const c = &containers[i];
        const struct kubelet_wants *const wants = &req->containers[i].wants;

        place(c, &o, i, by_zone + i * 2 * zones, by_zone + (i * 2 + 1) * zones);
        if (wants->n_devices && choose(c, node, wants, &answer->containers[i], held, a))
            return -ENOMEM;
        if (c->runs)
            hold(held, words, answer->containers[i].devices);
        add_zones(&o, c, &answer->containers[i]);
    }
    *out = o;
    return 0;
}
