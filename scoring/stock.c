/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/stock.h"

#include <string.h>

#include "scoring/kubelet_request.h"
#include "scoring/outcome.h"

/* Whose devices the columns from DEMAND_DEVICES on count; NULL: the node has none with zones. */
struct columns {
    const struct node_resource *at[FRAG_COLUMNS]; /* where `devices` has the column's bit */
    uint32_t devices, unbound;
};

static const struct score_demand *demand_of(const struct outcome *o)
{
    return o->req->rules->demand;
}

/* --- zones --- */

static uint32_t steps(uint64_t bytes)
{
    const uint64_t n = bytes >> 63 ? 0 : bytes / DEMAND_MEMORY_BYTES; /* allocatable may wrap */

    return n < DEMAND_MOST ? (uint32_t)n : DEMAND_MOST;
}

/* Free is never more than the whole, and no less than after. */
static void put(struct frag_zone *z, uint32_t column, uint32_t whole, uint32_t before,
                uint32_t after)
{
    z->whole[column] = whole;
    z->before[column] = before < whole ? before : whole;
    z->after[column] = after < z->before[column] ? after : z->before[column];
}

static void put_cpus(struct frag_zone *out, const struct outcome *o, uint32_t zone)
{
    const struct node_view *const node = o->node;
    const uint64_t *const in = &node->cpus.zone_set[(size_t)zone * node->cpu_words];
    uint32_t whole = 0, before = 0, after = 0;

    for (uint32_t w = 0; w < node->cpu_words; w++) {
        const uint64_t usable = in[w] & ~node->cpu_reserved[w];

        whole += (uint32_t)__builtin_popcountll(usable);
        before += (uint32_t)__builtin_popcountll(usable & node->state.cpu_free[w]);
        after += (uint32_t)__builtin_popcountll(usable & o->after->cpu_free[w]);
    }
    put(out, DEMAND_CPUS, whole, before, after);
}

static void put_memory(struct frag_zone *out, const struct outcome *o, uint32_t zone)
{
    const size_t at = (size_t)zone * o->node->n_memory_types;

    put(out, DEMAND_MEMORY, steps(o->node->memory_allocatable[at]),
        steps(o->node->state.memory_free[at]), steps(o->after->memory_free[at]));
}

static void put_devices(struct frag_zone *out, const struct outcome *o, uint32_t zone,
                        const struct node_resource *r, uint32_t column)
{
    const struct node_view *const node = o->node;
    const uint64_t *const in = node->device_zone_set + (size_t)zone * node_device_words(node);
    uint32_t whole = 0, before = 0, after = 0;

    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++) {
        const uint64_t there = node_resource_word(r, w) & in[w] & node->device_healthy[w];

        whole += (uint32_t)__builtin_popcountll(there);
        before += (uint32_t)__builtin_popcountll(there & ~node->state.device_held[w]);
        after += (uint32_t)__builtin_popcountll(there & ~o->after->device_held[w]);
    }
    put(out, column, whole, before, after);
}

static void put_zone(struct frag_zone *out, const struct outcome *o, uint32_t zone,
                     const struct columns *columns)
{
    memset(out, 0, sizeof(*out));
    if (o->node->kubelet.cpu_static)
        put_cpus(out, o, zone);
    if (o->node->kubelet.memory_static)
        put_memory(out, o, zone);
    for (uint32_t bits = columns->devices; bits; bits &= bits - 1) {
        const uint32_t c = (uint32_t)__builtin_ctz(bits);

        put_devices(out, o, zone, columns->at[c], c);
    }
    if (o->req->rules->numa_exclusive) /* nobody else gets anything there */
        memset(out->after, 0, sizeof(out->after));
}

/* --- columns --- */

static void put_column(struct columns *out, uint32_t column, const struct node_resource *r)
{
    out->at[column] = r;
    out->devices |= 1u << column;
}

/* A resource of the demand, where the node has it; others of the node stay marked in `rest`. */
static void find_resource(struct columns *out, const struct node_view *node, struct str name,
                          uint32_t column, uint64_t *rest)
{
    for (uint32_t r = 0; r < node->n_resources; r++) {
        if (!str_eq(node->resources[r].name, name))
            continue;
        *rest &= r < 64 ? ~(UINT64_C(1) << r) : UINT64_MAX;
        if (node->resources[r].zones)
            put_column(out, column, &node->resources[r]);
        else
            out->unbound |= 1u << column;
        return;
    }
}

static bool is_taken(const struct outcome *o, const struct node_resource *r)
{
    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++) {
        if ((o->after->device_held[w] ^ o->node->state.device_held[w]) & node_resource_word(r, w))
            return true;
    }
    return false;
}

/* What the pod takes and nobody else wants. */
static void add_taken(struct columns *out, const struct outcome *o, uint64_t rest)
{
    uint32_t c = DEMAND_COLUMNS;

    for (uint32_t r = 0; r < o->node->n_resources && r < 64 && c < FRAG_COLUMNS; r++) {
        if (rest >> r & 1 && o->node->resources[r].zones && is_taken(o, &o->node->resources[r]))
            put_column(out, c++, &o->node->resources[r]);
    }
}

static void choose_columns(struct columns *out, const struct outcome *o)
{
    const struct score_demand *const demand = demand_of(o);
    uint64_t rest = UINT64_MAX;

    out->devices = 0;
    out->unbound = (!o->node->kubelet.cpu_static ? 1u << DEMAND_CPUS : 0) |
                   (!o->node->kubelet.memory_static ? 1u << DEMAND_MEMORY : 0);
    for (uint32_t i = 0; demand && i < demand->n_resources; i++)
        find_resource(out, o->node, demand_resource(demand, i), DEMAND_DEVICES + i, &rest);
    if (o->req->whole.n_devices)
        add_taken(out, o, rest);
}

void stock_of(struct stock *out, const struct outcome *o)
{
    const bool single = o->node->kubelet.policy == KUBELET_POLICY_SINGLE_NUMA_NODE;
    struct columns columns;

    choose_columns(&columns, o);
    out->ask =
        (struct frag_ask){.zones = out->zones,
                          .columns = columns.devices | 1u << DEMAND_CPUS | 1u << DEMAND_MEMORY,
                          .demand = demand_of(o),
                          .unbound = columns.unbound,
                          .most_zones = single ? 1 : o->node->machine.n_zones};
    for (uint64_t z = o->zones; z; z &= z - 1)
        put_zone(&out->zones[out->ask.n_zones++], o, (uint32_t)__builtin_ctzll(z), &columns);
}
