/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/node_view.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/locality.h"
#include "topology/cpuset.h"

enum { IDS = 65536 }; /* values of a uint16_t */

enum unit { UNIT_SOCKET, UNIT_CORE, UNIT_L3 };

static uint16_t unit_id(const struct topo_cpu *c, enum unit unit)
{
    switch (unit) {
    case UNIT_SOCKET:
        return c->socket;
    case UNIT_CORE:
        return c->core;
    case UNIT_L3:
        break;
    }
    return c->l3;
}

static void set_unit(struct node_cpu *c, enum unit unit, uint16_t index)
{
    switch (unit) {
    case UNIT_SOCKET:
        c->socket = index;
        break;
    case UNIT_CORE:
        c->core = index;
        break;
    case UNIT_L3:
        c->l3 = index;
        break;
    }
}

/*
 * Number the ids of one kind of unit from 0 in ascending order; returns how many there are. The
 * CPUs of each are counted into `sizes`, which has room for one unit a CPU.
 */
static uint32_t number_units(struct node_cpu *out, const struct topo_machine *m, enum unit unit,
                             uint32_t *sizes)
{
    uint32_t n = 0;
    uint64_t seen[IDS / 64] = {0};
    uint16_t before[IDS / 64]; /* ids in earlier words */

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (m->cpus[i].zone != TOPO_NONE)
            cpuset_add(seen, unit_id(&m->cpus[i], unit));
    }
    for (uint32_t w = 0; w < IDS / 64; w++) {
        before[w] = (uint16_t)n;
        n += (uint32_t)__builtin_popcountll(seen[w]);
    }
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        const uint32_t id = unit_id(&m->cpus[i], unit);
        const uint64_t lower = seen[id / 64] & ((UINT64_C(1) << (id % 64)) - 1);

        const uint16_t index = (uint16_t)(before[id / 64] + __builtin_popcountll(lower));

        set_unit(&out[i], unit, index);
        if (m->cpus[i].zone != TOPO_NONE)
            sizes[index]++;
    }
    return n;
}

/* How zones and sockets lie in each other: the most zones of one socket, and the reverse. */
struct overlap {
    uint32_t zones, sockets;
};

static struct overlap overlap_of(const struct node_cpu *cpu, uint32_t n_cpus, uint64_t *pairs,
                                 uint32_t n_sockets)
{
    uint32_t sockets_of[TOPO_MAX_ZONES] = {0};
    struct overlap most = {1, 1};

    for (uint32_t i = 0; i < n_cpus; i++) {
        if (cpu[i].zone != TOPO_NONE)
            pairs[cpu[i].socket] |= UINT64_C(1) << cpu[i].zone;
    }
    for (uint32_t s = 0; s < n_sockets; s++) {
        const uint32_t zones = (uint32_t)__builtin_popcountll(pairs[s]);

        most.zones = zones > most.zones ? zones : most.zones;
        for (uint64_t z = pairs[s]; z; z &= z - 1) {
            const uint32_t sockets = ++sockets_of[__builtin_ctzll(z)];

            most.sockets = sockets > most.sockets ? sockets : most.sockets;
        }
    }
    return most;
}

/* largest[k] = what the k largest zones have together. */
static void sum_largest(uint32_t *largest, const uint32_t *zone_n, uint32_t zones)
{
    for (uint32_t z = 0; z < zones; z++) { /* insertion sort, then sums */
        uint32_t at = z + 1;

        for (; at > 1 && largest[at - 1] < zone_n[z]; at--)
            largest[at] = largest[at - 1];
        largest[at] = zone_n[z];
    }
    for (uint32_t k = 1; k <= zones; k++)
        largest[k] += largest[k - 1];
}

static void sum_devices(uint32_t *largest, const struct node_view *v, const struct node_resource *r)
{
    uint32_t zone_n[TOPO_MAX_ZONES] = {0};

    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        const uint64_t zones = v->devices[d].zones;

        if (zones & (zones - 1)) {
            largest[0] = UINT32_MAX;
            return;
        }
        if (zones)
            zone_n[__builtin_ctzll(zones)]++;
    }
    sum_largest(largest, zone_n, v->machine.n_zones);
}

/* Devices as sets: of `healthy` and of each zone. */
static void sort_devices(uint64_t *healthy, uint64_t *zone_set, const struct node_view *v)
{
    const uint32_t words = node_device_words(v);

    for (uint32_t d = 0; d < v->n_devices; d++) {
        if (v->devices[d].healthy)
            cpuset_add(healthy, d);
        for (uint64_t z = v->devices[d].zones; z; z &= z - 1)
            cpuset_add(zone_set + (size_t)__builtin_ctzll(z) * words, d);
    }
}

static bool all_equal(const uint32_t *sizes, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (sizes[i] != sizes[0])
            return false;
    }
    return true;
}

static void reserve_cores(uint64_t *out, const struct node_view *v, const struct node_cpu *cpu,
                          bool *reserved_core)
{
    const uint32_t n = v->machine.n_cpus;

    for (uint32_t i = 0; i < n; i++) {
        if (cpu[i].zone != TOPO_NONE && cpuset_has(v->cpu_reserved, i))
            reserved_core[cpu[i].core] = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (cpu[i].zone != TOPO_NONE && reserved_core[cpu[i].core])
            cpuset_add(out, i);
    }
}

/* Most machines say nothing of latencies, and need no second matrix. */
static int complete_access(struct node_view *v, struct arena *a)
{
    const uint32_t n = v->machine.n_zones;
    const size_t mark = arena_mark(a);
    uint32_t *const d = arena_array(a, (size_t)n * n, sizeof(*d));

    v->access = v->machine.distances;
    if (!d)
        return -ENOMEM;
    if (v->access.n && score_access(d, &v->machine, v->cpus.zones))
        v->access.d = d;
    else
        arena_rewind(a, mark);
    return 0;
}

int node_cpus_init(struct node_cpus *out, const struct topo_machine *m, struct arena *a)
{
    const uint32_t words = cpuset_words(m->n_cpus), zones = m->n_zones;
    struct node_cpu *const cpu = arena_array(a, m->n_cpus, sizeof(*cpu));
    uint64_t *const set = arena_array(a, (size_t)zones * words, sizeof(*set));
    uint32_t *const zone_n = arena_array(a, zones, sizeof(*zone_n));
    uint32_t *const largest = arena_array(a, (size_t)zones + 1, sizeof(*largest));
    uint32_t *const sockets = arena_array(a, m->n_cpus, sizeof(*sockets));
    uint32_t *const cores = arena_array(a, m->n_cpus, sizeof(*cores));
    uint32_t *const l3 = arena_array(a, m->n_cpus, sizeof(*l3));
    const size_t mark = arena_mark(a);
    uint64_t *const zones_of = arena_array(a, m->n_cpus, sizeof(*zones_of));
    struct node_cpus c = {.cpu = cpu,
                          .zone_set = set,
                          .zone_n = zone_n,
                          .largest = largest,
                          .socket_n = sockets,
                          .core_n = cores,
                          .l3_n = l3};

    if (!largest || !sockets || !cores || !l3 || !cpu || !set || !zone_n || !zones_of)
        return -ENOMEM;
    c.n_sockets = number_units(cpu, m, UNIT_SOCKET, sockets);
    c.n_cores = number_units(cpu, m, UNIT_CORE, cores);
    c.n_l3 = number_units(cpu, m, UNIT_L3, l3);
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        const uint16_t zone = cpu[i].zone = m->cpus[i].zone;

        if (zone == TOPO_NONE)
            continue;
        c.n_present++;
        c.zones |= UINT64_C(1) << zone;
        zone_n[zone]++;
        cpuset_add(&set[(size_t)zone * words], i);
    }
    sum_largest(largest, zone_n, zones);
    const struct overlap most = overlap_of(cpu, m->n_cpus, zones_of, c.n_sockets);
    /* a zone that is in two of fewer sockets than zones is gone through twice, and counted so */
    const bool whole_sockets =
        all_equal(sockets, c.n_sockets) && c.n_sockets >= (uint32_t)__builtin_popcountll(c.zones);
    c.regular = (most.sockets == 1 || whole_sockets) && all_equal(cores, c.n_cores);
    c.spread = most.zones > most.sockets ? most.zones : most.sockets;
    arena_rewind(a, mark);
    *out = c;
    return 0;
}

int node_view_finish(struct node_view *v, struct arena *a)
{
    const uint32_t zones = v->machine.n_zones;
    uint64_t *const reserved = arena_array(a, v->cpu_words, sizeof(*reserved));
    uint32_t *const device_largest =
        arena_array(a, v->n_resources * ((size_t)zones + 1), sizeof(*device_largest));
    uint64_t *const healthy = arena_array(a, node_device_words(v), sizeof(*healthy));
    uint64_t *const zone_set =
        arena_array(a, (size_t)zones * node_device_words(v), sizeof(*zone_set));
    const size_t mark = arena_mark(a);
    bool *const reserved_core = arena_array(a, v->machine.n_cpus, sizeof(*reserved_core));

    if (!reserved || !device_largest || !healthy || !zone_set || !reserved_core)
        return -ENOMEM;
    reserve_cores(reserved, v, v->cpus.cpu, reserved_core);
    arena_rewind(a, mark);
    for (uint32_t r = 0; r < v->n_resources; r++)
        sum_devices(device_largest + r * ((size_t)zones + 1), v, &v->resources[r]);
    sort_devices(healthy, zone_set, v);
    v->device_healthy = healthy;
    v->device_zone_set = zone_set;
    v->cpus.reserved_cores = reserved;
    v->device_largest = device_largest;
    return complete_access(v, a);
}

int node_view_complete(struct node_view *v, struct arena *a)
{
    const size_t mark = arena_mark(a);
    const struct node_cpus before = v->cpus;
    int rc = node_cpus_init(&v->cpus, &v->machine, a);

    if (rc == 0)
        rc = node_view_finish(v, a);
    if (rc) {
        v->cpus = before;
        arena_rewind(a, mark);
    }
    return rc;
}

static void prefetch(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const char *)from + at);
}

void node_view_prefetch(const struct node_view *v)
{
    const size_t types = (size_t)v->machine.n_zones * v->n_memory_types * sizeof(uint64_t);

    if (v->knowledge != NODE_KNOWN)
        return;
    prefetch(v->state.cpu_free, v->cpu_words * sizeof(uint64_t));
    prefetch(v->state.memory_free, types);
    prefetch(v->state.memory_reserved, types);
    prefetch(v->state.assignments, v->machine.n_zones * sizeof(uint32_t));
    prefetch(v->state.cells, v->machine.n_zones * sizeof(uint64_t));
    prefetch(v->cpu_reserved, v->cpu_words * sizeof(uint64_t));
    prefetch(v->memory_allocatable, types);
    prefetch(v->resources, v->n_resources * sizeof(*v->resources));
    prefetch(v->devices, v->n_devices * sizeof(*v->devices));
    prefetch(v->nics, v->n_nics * sizeof(*v->nics));
    prefetch(v->device_largest, 1);
    prefetch(v->device_healthy, 1);
    prefetch(v->device_zone_set, 1);
    prefetch(v->access.d, 1);
    prefetch(v->machine.zones, 1);
    prefetch(v->memory_types, 1);
}

/* `n` words of `from` at `*at`, which moves behind them. */
static uint64_t *copied(uint64_t **at, const uint64_t *from, size_t n)
{
    uint64_t *const to = *at;

    if (n)
        memcpy(to, from, n * sizeof(*to));
    *at += n;
    return to;
}

int node_state_copy(struct node_state *out, const struct node_view *v, struct arena *a)
{
    const size_t zones = v->machine.n_zones, types = zones * v->n_memory_types,
                 devices = node_device_words(v);
    const struct node_state *const from = &v->state;
    struct arena_parts parts = arena_parts(a);
    uint64_t *at = arena_part(&parts, v->cpu_words + 2 * types + 2 * zones + devices, sizeof(*at));

    if (arena_seal(&parts))
        return -ENOMEM;
    out->cpu_free = copied(&at, from->cpu_free, v->cpu_words);
    out->memory_free = copied(&at, from->memory_free, types);
    out->memory_reserved = copied(&at, from->memory_reserved, types);
    out->cells = copied(&at, from->cells, zones);
    out->device_held = copied(&at, from->device_held, devices);
    out->assignments = (uint32_t *)at;
    memcpy(out->assignments, from->assignments, zones * sizeof(*out->assignments));
    return 0;
}

uint64_t node_cpu_zones(const struct node_view *v, const uint64_t *cpus)
{
    uint64_t zones = 0;

    for (uint32_t z = 0; cpus && z < v->machine.n_zones; z++) {
        const uint64_t *const in = &v->cpus.zone_set[(size_t)z * v->cpu_words];

        for (uint32_t w = 0; w < v->cpu_words; w++)
            zones |= (uint64_t)((cpus[w] & in[w]) != 0) << z;
    }
    return zones;
}

uint64_t node_device_zones(const struct node_view *v, const uint64_t *devices)
{
    uint64_t zones = 0;

    for (uint32_t w = 0; devices && w < node_device_words(v); w++) {
        for (uint64_t bits = devices[w]; bits; bits &= bits - 1)
            zones |= v->devices[w * 64 + (uint32_t)__builtin_ctzll(bits)].zones;
    }
    return zones;
}

uint64_t node_pod_zones(const struct node_view *v, const struct node_pod *pod)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; i < pod->n_holdings; i++) {
        const struct node_holding *const h = &pod->holdings[i];

        zones |= node_cpu_zones(v, h->cpus) | node_device_zones(v, h->devices);
        for (uint32_t b = 0; b < h->n_blocks; b++)
            zones |= h->blocks[b].zones;
    }
    return zones;
}

uint64_t node_exclusive_zones(const struct node_view *v)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; i < v->n_pods; i++)
        zones |= v->pods[i].exclusive ? node_pod_zones(v, &v->pods[i]) : 0;
    return zones;
}

/* Of two things at these places and in these zones. */
static enum topo_link place_link(const struct node_view *v, uint8_t a, uint8_t b, uint64_t zones_a,
                                 uint64_t zones_b)
{
    if (a && b)
        return (enum topo_link)v->links[(a - 1) * v->n_places + b - 1u];
    return topo_zones_link(&v->machine, zones_a, zones_b);
}

enum topo_link node_device_link(const struct node_view *v, uint32_t a, uint32_t b)
{
    const struct node_device *const x = &v->devices[a], *const y = &v->devices[b];

    return a == b ? TOPO_LINK_SELF : place_link(v, x->place, y->place, x->zones, y->zones);
}

enum topo_link node_nic_link(const struct node_view *v, uint32_t device, uint32_t nic)
{
    const struct node_device *const x = &v->devices[device];
    const struct node_nic *const y = &v->nics[nic];

    return place_link(v, x->place, y->place, x->zones, y->zones);
}
