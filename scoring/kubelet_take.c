/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet_take.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet_take_parts.h"
#include "topology/cpuset.h"

static const uint32_t LISTED = UINT32_C(1) << 31;

enum unit { UNIT_ZONE, UNIT_SOCKET, UNIT_L3, UNIT_CORE, UNIT_ALL };

struct list {
    uint16_t *id;
    uint32_t n;
};

/* The ids of all CPUs in one kind of unit, not UNIT_ALL: that of CPU c stands at c * IDS. */
enum { IDS = sizeof(struct node_cpu) / sizeof(uint16_t) };
static inline const uint16_t *ids_of(const struct take_acc *a, enum unit unit)
{
    static const uint8_t at[] = {
        [UNIT_ZONE] = offsetof(struct node_cpu, zone) / sizeof(uint16_t),
        [UNIT_SOCKET] = offsetof(struct node_cpu, socket) / sizeof(uint16_t),
        [UNIT_L3] = offsetof(struct node_cpu, l3) / sizeof(uint16_t),
        [UNIT_CORE] = offsetof(struct node_cpu, core) / sizeof(uint16_t),
    };
    const void *const first = a->node->cpus.cpu;

    return (const uint16_t *)first + at[unit];
}

static uint16_t unit_of(const struct take_acc *a, uint32_t cpu, enum unit unit)
{
    return ids_of(a, unit)[(size_t)cpu * IDS];
}

static uint32_t first_cpu(const struct take_acc *a, const uint64_t *set)
{
    return cpuset_next(set, a->node->cpu_words, 0);
}

static uint32_t next_cpu(const struct take_acc *a, const uint64_t *set, uint32_t cpu)
{
    return cpuset_next(set, a->node->cpu_words, cpu + 1);
}

static uint32_t end_cpu(const struct take_acc *a)
{
    return a->node->cpu_words * 64;
}

bool take_satisfied(const struct take_acc *a)
{
    return a->needed < 1;
}

/* All CPUs of the machine in each unit of a kind, free or not. */
struct sizes {
    const uint32_t *of; /* [n] */
    uint32_t n;
};

static struct sizes sizes_of(const struct take_acc *a, enum unit unit)
{
    const struct node_cpus *const c = &a->node->cpus;

    switch (unit) {
    case UNIT_ZONE:
        return (struct sizes){c->zone_n, a->node->machine.n_zones};
    case UNIT_SOCKET:
        return (struct sizes){c->socket_n, c->n_sockets};
    case UNIT_L3:
        return (struct sizes){c->l3_n, c->n_l3};
    case UNIT_CORE:
        return (struct sizes){c->core_n, c->n_cores};
    case UNIT_ALL:
        break;
    }
    return (struct sizes){&c->n_present, 1};
}

/* Some unit of the kind has CPUs, and no more than are needed. */
static bool any_fits(const struct take_acc *a, struct sizes sizes)
{
    for (uint32_t i = 0; i < sizes.n; i++) {
        if (sizes.of[i] && a->needed >= (int64_t)sizes.of[i])
            return true;
    }
    return false;
}

static void take_one(struct take_acc *a, uint32_t cpu)
{
    cpuset_add(a->chosen, cpu);
    cpuset_del(a->free, cpu);
    a->needed--;
}

/*
 * Take every CPU the machine has in the units that are LISTED in `counts`; what is needed has been
 * lowered already. The kubelet does not ask whether each is free: on a machine with uneven sockets,
 * whose "whole" size is an average, it takes CPUs of others.
 */
static void take_listed(struct take_acc *a, enum unit unit)
{
    const struct node_cpu *const cpus = a->node->cpus.cpu;
    const uint16_t *const ids = ids_of(a, unit);
    const uint32_t *const counts = a->room->counts, n = a->node->machine.n_cpus;

    for (uint32_t c = 0; c < n; c++) {
        if (cpus[c].zone == TOPO_NONE || !(counts[ids[(size_t)c * IDS]] & LISTED))
            continue;
        cpuset_add(a->chosen, c);
        cpuset_del(a->free, c);
    }
}

/* Order ids by fewest free CPUs, then by id; lists are short and nearly sorted. */
static void sort_units(struct list *l, uint32_t from, const uint32_t *counts)
{
    for (uint32_t i = from + 1; i < l->n; i++) {
        const uint16_t id = l->id[i];
        uint32_t k = i;

        for (; k > from && (counts[l->id[k - 1]] > counts[id] ||
                            (counts[l->id[k - 1]] == counts[id] && l->id[k - 1] > id));
             k--)
            l->id[k] = l->id[k - 1];
        l->id[k] = id;
    }
}

/* Units of any kind: there may be more zones than CPUs. */
static size_t most_units(const struct topo_machine *m)
{
    return m->n_cpus > m->n_zones ? m->n_cpus : m->n_zones;
}

/* The free CPUs of each unit of a kind into `counts`. */
static void count_free(struct take_acc *a, enum unit unit)
{
    const uint16_t *const ids = ids_of(a, unit);
    const uint32_t n = sizes_of(a, unit).n;
    uint32_t *const counts = a->room->counts;

    for (uint32_t z = 0; unit == UNIT_ZONE && z < n; z++)
        counts[z] = node_cpus_in(a->node, a->free, z);
    if (unit == UNIT_ZONE)
        return;
    memset(counts, 0, n * sizeof(*counts));
    for (uint32_t w = 0; w < a->node->cpu_words; w++) {
        for (uint64_t free = a->free[w]; free; free &= free - 1)
            counts[ids[(w * 64 + (size_t)__builtin_ctzll(free)) * IDS]]++;
    }
}

/* Append the units `inner` that have a free CPU inside the unit `id` of kind `outer`. */
static void list_inside(struct take_acc *a, struct list *l, enum unit inner, enum unit outer,
                        uint16_t id)
{
    const size_t words = a->node->cpu_words;
    const uint64_t *const zone = outer == UNIT_ZONE ? a->node->cpus.zone_set + id * words : NULL;
    const uint16_t *const ids = ids_of(a, inner), *const outer_ids = ids_of(a, outer);
    uint32_t *const counts = a->room->counts;
    const uint32_t from = l->n;

    for (size_t w = 0; w < words; w++) {
        for (uint64_t free = a->free[w] & (zone ? zone[w] : UINT64_MAX); free; free &= free - 1) {
            const size_t c = (w * 64 + (size_t)__builtin_ctzll(free)) * IDS;

            /* The upper half of a count says that the unit is listed. */
            if ((!zone && outer_ids[c] != id) || counts[ids[c]] & LISTED)
                continue;
            l->id[l->n++] = ids[c];
            counts[ids[c]] |= LISTED;
        }
    }
    for (uint32_t i = from; i < l->n; i++)
        counts[l->id[i]] &= ~LISTED;
}

/*
 * The same in their order, for which they are counted: by their free CPUs (in the whole unit, also
 * outside of `outer`), then by id. `sockets`: find_sockets, for zones inside of a socket.
 */
static void add_units(struct take_acc *a, struct list *l, enum unit inner, enum unit outer,
                      uint16_t id, const uint64_t *sockets)
{
    const bool by_count = outer == UNIT_ALL, by_socket = inner == UNIT_ZONE && !by_count;
    const uint32_t from = l->n, n = by_count || by_socket ? sizes_of(a, inner).n : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (by_count ? a->room->counts[i] > 0 : sockets[i] >> id & 1)
            l->id[l->n++] = (uint16_t)i;
    }
    if (!by_count && !by_socket)
        list_inside(a, l, inner, outer, id);
    sort_units(l, from, a->room->counts);
}

/* Zones contain sockets, or sockets contain zones (k8s: numaFirst, socketsFirst). */
static bool zones_first(const struct take_acc *a)
{
    return a->node->cpus.n_sockets >= (uint32_t)__builtin_popcountll(a->node->cpus.zones);
}

/*
 * In which sockets the free CPUs of each zone are. Where sockets contain zones they are fewer, so
 * that a word holds them.
 */
static void find_sockets(const struct take_acc *a, uint64_t *out)
{
    const struct node_cpu *const cpus = a->node->cpus.cpu;

    memset(out, 0, a->node->machine.n_zones * sizeof(*out));
    for (uint32_t w = 0; w < a->node->cpu_words; w++) {
        for (uint64_t free = a->free[w]; free; free &= free - 1) {
            const struct node_cpu *const c = &cpus[w * 64 + (uint32_t)__builtin_ctzll(free)];

            out[c->zone] |= UINT64_C(1) << c->socket;
        }
    }
}

/* A list of the units of one kind, outer units in their order and inner ones within. */
static struct list ordered(struct take_acc *a, enum unit unit, uint16_t *room, uint16_t *outer_room)
{
    const bool zones = zones_first(a);
    const enum unit top = zones ? UNIT_ZONE : UNIT_SOCKET, second = zones ? UNIT_SOCKET : UNIT_ZONE;
    enum unit parent = UNIT_ALL;
    struct list l = {.id = room}, outer = {.id = outer_room};
    uint64_t sockets[TOPO_MAX_ZONES];

    if (unit == second)
        parent = top;
    else if (unit == UNIT_L3)
        parent = UNIT_ZONE;
    else if (unit == UNIT_CORE)
        parent = second;
    if (parent == UNIT_ALL) {
        count_free(a, unit);
        add_units(a, &l, unit, UNIT_ALL, 0, NULL);
        return l;
    }
    if (!zones)
        find_sockets(a, sockets);
    count_free(a, top);
    if (parent == top) {
        add_units(a, &outer, parent, UNIT_ALL, 0, NULL);
    } else {
        /* two levels up: the room for the result serves for the outermost list first */
        struct list outermost = {.id = room};

        add_units(a, &outermost, top, UNIT_ALL, 0, NULL);
        count_free(a, parent);
        for (uint32_t i = 0; i < outermost.n; i++)
            add_units(a, &outer, parent, top, outermost.id[i], sockets);
    }
    count_free(a, unit);
    for (uint32_t i = 0; i < outer.n; i++)
        add_units(a, &l, unit, parent, outer.id[i], sockets);
    return l;
}

/* Free CPUs at which the kubelet calls a unit whole: an average for sockets and cores. */
static uint32_t whole_size(const struct take_acc *a, enum unit unit, uint16_t id)
{
    const struct node_cpus *const c = &a->node->cpus;

    if (unit == UNIT_SOCKET)
        return c->n_present / c->n_sockets;
    if (unit == UNIT_CORE)
        return c->n_present / c->n_cores;
    return sizes_of(a, unit).of[id];
}

/* Take whole free units while the need is at least as large as the unit. */
static void take_whole(struct take_acc *a, enum unit unit)
{
    const struct sizes sizes = sizes_of(a, unit);
    const int64_t before = a->needed;

    if (!any_fits(a, sizes))
        return;
    const struct list l = ordered(a, unit, a->room->units, a->room->inner);
    for (uint32_t i = 0; i < l.n; i++) { /* what is free has just been counted */
        uint32_t *const free = &a->room->counts[l.id[i]];

        if ((*free & ~LISTED) != whole_size(a, unit, l.id[i]) ||
            a->needed < (int64_t)sizes.of[l.id[i]])
            continue;
        a->needed -= sizes.of[l.id[i]];
        *free |= LISTED;
    }
    if (a->needed < before)
        take_listed(a, unit);
}

/*
 * A part of one L3 group: its ceil(needed / threads) lowest cores that have free CPUs, when their
 * free CPUs are exactly what is needed; for an odd need one CPU too many is dropped.
 */
static void take_l3_part(struct take_acc *a, uint16_t l3)
{
    const int64_t threads = a->node->cpus.n_present / a->node->cpus.n_cores;
    const int64_t cores = (a->needed + threads - 1) / threads;
    uint16_t *const picked = a->room->inner;
    uint32_t *const seen = a->room->counts;
    int64_t n = 0, n_cores = 0;

    memset(seen, 0, a->node->machine.n_cpus * sizeof(*seen));
    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c)) {
        if (unit_of(a, c, UNIT_L3) == l3)
            seen[unit_of(a, c, UNIT_CORE)] = 1;
    }
    for (uint32_t core = 0; core < a->node->cpus.n_cores; core++)
        seen[core] = seen[core] && n_cores++ < cores ? 1 : 0;
    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c)) {
        if (seen[unit_of(a, c, UNIT_CORE)])
            picked[n++] = (uint16_t)c;
    }
    if (a->needed % 2 != 0 && threads > 1 && n > a->needed)
        n--;
    if (n != a->needed)
        return;
    for (int64_t i = 0; i < n; i++)
        take_one(a, picked[i]);
}

static void take_l3(struct take_acc *a)
{
    const struct node_cpus *const cpus = &a->node->cpus;
    uint16_t *const order = a->room->units + (size_t)a->node->machine.n_cpus * cpus->spread;
    struct list l = ordered(a, UNIT_L3, a->room->units, a->room->inner);

    memcpy(order, l.id, l.n * sizeof(*order)); /* take_whole uses the first half of the room */
    for (uint32_t i = 0; i < l.n && !take_satisfied(a); i++) {
        if (a->needed >= (int64_t)(cpus->n_present / cpus->n_l3))
            take_whole(a, UNIT_L3);
        if (!take_satisfied(a))
            take_l3_part(a, order[i]);
    }
}

/* Free CPUs of one unit, the lowest first, as long as they are needed. */
static void take_free_of(struct take_acc *a, const uint16_t *ids, uint16_t id)
{
    for (uint32_t w = 0; w < a->node->cpu_words; w++) {
        for (uint64_t free = a->free[w]; free && !take_satisfied(a); free &= free - 1) {
            const uint32_t c = w * 64 + (uint32_t)__builtin_ctzll(free);

            if (ids[(size_t)c * IDS] == id)
                take_one(a, c);
        }
    }
}

static void take_single(struct take_acc *a)
{
    const bool spread = a->node->kubelet.cpu_options & KUBELET_DISTRIBUTE_ACROSS_CORES;
    const enum unit unit = spread ? UNIT_SOCKET : UNIT_CORE;
    const struct list l = ordered(a, unit, a->room->units, a->room->inner);

    for (uint32_t i = 0; i < l.n && !take_satisfied(a); i++) {
        uint32_t *const count = &a->room->counts[l.id[i]];
        const int64_t again = *count & ~LISTED;

        /* Where a unit is listed twice, so are its CPUs: the second time they are only counted. */
        if (*count & LISTED)
            a->needed -= again < a->needed ? again : a->needed;
        else
            take_free_of(a, ids_of(a, unit), l.id[i]);
        *count |= LISTED;
    }
}

bool take_packed(struct take_acc *a, bool by_l3)
{
    const bool zones = zones_first(a);

    if (take_satisfied(a))
        return true;
    if (a->needed > (int64_t)cpuset_count(a->free, a->node->cpu_words))
        return false;
    take_whole(a, zones ? UNIT_ZONE : UNIT_SOCKET);
    if (!take_satisfied(a))
        take_whole(a, zones ? UNIT_SOCKET : UNIT_ZONE);
    if (!take_satisfied(a) && by_l3)
        take_l3(a);
    if (!take_satisfied(a) && !(a->node->kubelet.cpu_options & KUBELET_DISTRIBUTE_ACROSS_CORES))
        take_whole(a, UNIT_CORE);
    if (!take_satisfied(a))
        take_single(a);
    return take_satisfied(a);
}

uint32_t take_zones(struct take_acc *a, uint16_t *zones)
{
    const struct list l = ordered(a, UNIT_ZONE, a->room->units, a->room->inner);

    if (l.n > TOPO_MAX_ZONES)
        return 0;
    memcpy(zones, l.id, l.n * sizeof(*zones));
    return l.n;
}

uint32_t take_zone_free(const struct take_acc *a, uint16_t zone)
{
    return node_cpus_in(a->node, a->free, zone);
}

/* Ids of `units` and `inner`: lists by outer units, beyond one for each CPU on odd machines. */
static size_t most_listed(const struct node_view *node)
{
    return (size_t)node->machine.n_cpus * node->cpus.spread + TOPO_MAX_ZONES;
}

size_t kubelet_take_bytes(const struct node_view *node)
{
    return 4 * sizeof(uint64_t) * node->cpu_words + sizeof(uint32_t) * most_units(&node->machine) +
           3 * sizeof(uint16_t) * most_listed(node) + 4 * ARENA_PART_SLACK;
}

void kubelet_take_init(struct kubelet_take *t, const struct node_view *node,
                       struct arena_parts *parts)
{
    *t = (struct kubelet_take){
        .node = node,
        .sets = arena_part(parts, 4 * (size_t)node->cpu_words, sizeof(uint64_t)),
        .counts = arena_part(parts, most_units(&node->machine), sizeof(uint32_t)),
        .units = arena_part(parts, 2 * most_listed(node), sizeof(uint16_t)),
        .inner = arena_part(parts, most_listed(node), sizeof(uint16_t)),
    };
}

enum kubelet_taken kubelet_take_cpus(struct kubelet_take *t, const uint64_t *available,
                                     uint32_t count, uint64_t *into)
{
    const struct kubelet_config *const k = &t->node->kubelet;
    const uint32_t words = t->node->cpu_words;
    struct take_acc a = {t->node, t, t->sets, t->sets + words, count};

    memcpy(a.free, available, words * sizeof(*a.free));
    memset(a.chosen, 0, words * sizeof(*a.chosen));
    enum kubelet_taken taken;

    if (k->cpu_options & KUBELET_DISTRIBUTE_ACROSS_NUMA)
        taken = take_distributed(&a);
    else
        taken = take_packed(&a, k->cpu_options & KUBELET_ALIGN_BY_UNCORECACHE)
                    ? KUBELET_TAKEN
                    : KUBELET_TAKE_TOO_FEW;
    t->remaining = a.needed;
    for (uint32_t w = 0; w < words && taken == KUBELET_TAKEN; w++)
        into[w] |= a.chosen[w];
    return taken;
}
