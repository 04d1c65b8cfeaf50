/* SPDX-License-Identifier: Apache-2.0 */
/* Zones, distances and CPUs of a node, from the zones of its NodeResourceTopology. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/siphash.h"
#include "cluster/intern.h"
#include "cluster/node_build_parts.h"
#include "kube/quantity.h"
#include "topology/cpuset.h"

static const struct str cpu_name = {"cpu", 3};
static const struct str memory_name = {"memory", 6};

/* --- zones --- */

/* "hugepages-2Mi" -> 2097152; 0 when it is none. */
static uint64_t page_bytes(struct str name)
{
    int64_t bytes = 0;
    const size_t skip = strlen("hugepages-");

    if (!str_starts(name, "hugepages-") ||
        kube_quantity((struct str){name.p + skip, name.n - skip}, KUBE_UNITS, &bytes, NULL) < 0)
        return 0;
    return bytes > 0 ? (uint64_t)bytes : 0;
}

static void insert_pages(struct topo_pages *pages, uint32_t n, struct topo_pages p)
{
    while (n > 0 && pages[n - 1].page_bytes > p.page_bytes) {
        pages[n] = pages[n - 1];
        n--;
    }
    pages[n] = p;
}

static int fill_zone(struct node_build *b, struct topo_zone *to, const struct kube_nrt_zone *from,
                     uint32_t index)
{
    const struct kube_nrt_resource *const memory = node_build_resource(from, memory_name);
    const struct kube_nrt_resource *const cpu = node_build_resource(from, cpu_name);
    struct topo_pages *const pages = arena_array(b->a, from->n_resources, sizeof(*pages));

    if (!pages)
        return -ENOMEM;
    *to = (struct topo_zone){.id = from->id,
                             .socket = TOPO_NONE,
                             .memory_bytes = memory ? (uint64_t)memory->capacity : 0,
                             .hugepages = pages,
                             .read_bandwidth_mbs = from->read_bandwidth_mbs,
                             .write_bandwidth_mbs = from->write_bandwidth_mbs,
                             .read_latency_ns = from->read_latency_ns,
                             .write_latency_ns = from->write_latency_ns};
    for (uint32_t i = 0; i < from->n_resources; i++) {
        const uint64_t size = page_bytes(from->resources[i].name);

        if (size)
            insert_pages(pages, to->n_hugepages++,
                         (struct topo_pages){size, (uint64_t)from->resources[i].capacity / size});
    }
    if (from->has_socket && from->socket < TOPO_NONE)
        to->socket = (uint16_t)from->socket;
    else if (from->cpus.n || (cpu && cpu->capacity > 0))
        to->socket = (uint16_t)index; /* one zone a socket: the usual machine */
    return 0;
}

static bool costs_given(const struct kube_nrt *nrt)
{
    for (uint32_t i = 0; i < nrt->n_zones; i++) {
        if (!nrt->zones[i].costs)
            return false;
    }
    return true;
}

static int fill_distances(struct node_build *b)
{
    const uint32_t n = b->nrt->n_zones;
    struct topo_machine *const m = &b->v.machine;
    const size_t mark = arena_mark(b->scratch);
    uint32_t *const d = arena_array(b->scratch, (size_t)n * n, sizeof(*d));
    int rc = d ? -EINVAL : -ENOMEM;

    if (d && costs_given(b->nrt)) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(d + (size_t)i * n, b->nrt->zones[i].costs, n * sizeof(*d));
        rc = topo_matrix_init(&m->distances, n, d, b->a, NULL);
    }
    arena_rewind(b->scratch, mark);
    m->has_distances = rc == 0;
    if (rc != -EINVAL)
        return rc;
    b->v.assumed |= NODE_ASSUMED_DISTANCES;
    return topo_matrix_init_default(&m->distances, n, b->a);
}

static int fill_zones(struct node_build *b)
{
    const uint32_t n = b->nrt->n_zones;
    struct topo_zone *const zones = arena_array(b->a, n, sizeof(*zones));

    if (!zones)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (fill_zone(b, &zones[i], &b->nrt->zones[i], i))
            return -ENOMEM;
    }
    b->v.machine.n_zones = n;
    b->v.machine.zones = zones;
    return fill_distances(b);
}

/* --- CPUs --- */

static uint32_t whole_cpus(int64_t milli)
{
    return milli <= 0                     ? 0
           : milli / 1000 > TOPO_MAX_CPUS ? TOPO_MAX_CPUS + 1
                                          : (uint32_t)(milli / 1000);
}

/* CPUs that a zone without the attribute `cpus` has by its capacity. */
static uint32_t unnamed_cpus(const struct kube_nrt_zone *z)
{
    const struct kube_nrt_resource *const r = node_build_resource(z, cpu_name);

    return r && z->cpus.n == 0 ? whole_cpus(r->capacity) : 0;
}

/* The highest CPU id plus one; ids that are made up come behind those that are given. */
static int count_cpus(struct node_build *b, uint32_t *out_named, uint32_t *out_all)
{
    uint32_t named = 0, unnamed = 0;

    for (uint32_t i = 0; i < b->nrt->n_zones; i++) {
        const int span = cpuset_span(b->nrt->zones[i].cpus, NULL);

        if (span < 0)
            return node_build_refuse(b, NODE_NOT_MODELLED, "zone %u: cpus is beyond %d CPUs",
                                     b->nrt->zones[i].id, TOPO_MAX_CPUS);
        named = (uint32_t)span > named ? (uint32_t)span : named;
        unnamed += unnamed_cpus(&b->nrt->zones[i]);
    }
    if (named + unnamed > TOPO_MAX_CPUS)
        return node_build_refuse(b, NODE_NOT_MODELLED, "more than %d CPUs", TOPO_MAX_CPUS);
    *out_named = named;
    *out_all = named + unnamed;
    return 0;
}

/* The CPUs of a machine, and what follows from them. */
struct layout {
    uint32_t n_cpus, words;
    struct topo_cpu *cpus; /* [n_cpus] */
    struct node_cpus derived;
    uint32_t assumed;
    struct str key; /* of one that machines share */
};

static int place_cpu(struct node_build *b, struct layout *l, uint32_t cpu, uint32_t zone)
{
    struct topo_cpu *const c = &l->cpus[cpu];

    if (c->zone != TOPO_NONE)
        return node_build_refuse(b, NODE_NOT_MODELLED, "CPU %u is in zone %u and in zone %u", cpu,
                                 b->nrt->zones[c->zone].id, b->nrt->zones[zone].id);
    *c = (struct topo_cpu){.zone = (uint16_t)zone,
                           .socket = b->v.machine.zones[zone].socket,
                           .core = (uint16_t)cpu,
                           .l3 = TOPO_NONE};
    return 0;
}

/* Give every CPU of each set of `sets` the lowest id of the set: as its core, or as its L3. */
static void join_sets(struct layout *l, struct str sets, uint64_t *set, bool cores)
{
    while (sets.n) {
        if (cpuset_parse(set, l->words, str_cut(&sets, ';'), NULL) < 0)
            continue; /* names CPUs that no zone has */
        uint32_t first = cpuset_next(set, l->words, 0);

        for (uint32_t c = first; c < l->n_cpus; c = cpuset_next(set, l->words, c + 1)) {
            if (cores)
                l->cpus[c].core = (uint16_t)first;
            else
                l->cpus[c].l3 = (uint16_t)first;
        }
    }
}

/* `set` is scratch. */
static int fill_zone_cpus(struct node_build *b, struct layout *l, uint32_t zone, uint32_t *unnamed,
                          uint64_t *set)
{
    const struct kube_nrt_zone *const z = &b->nrt->zones[zone];
    const uint32_t n = unnamed_cpus(z), first = *unnamed;
    int rc = cpuset_parse(set, l->words, z->cpus, NULL);
    uint32_t lowest;

    if (rc < 0)
        return node_build_refuse(b, NODE_NOT_MODELLED, "zone %u: cpus does not parse", z->id);
    for (uint32_t i = 0; i < n; i++)
        cpuset_add(set, (*unnamed)++);
    lowest = cpuset_next(set, l->words, 0);
    for (uint32_t c = lowest; rc == 0 && c < l->words * 64; c = cpuset_next(set, l->words, c + 1)) {
        rc = place_cpu(b, l, c, zone);
        l->cpus[c].l3 = (uint16_t)lowest; /* one L3 a zone unless more is said */
    }
    if (rc == 0 && z->cores.n == 0 && (z->cpus.n || *unnamed > first))
        l->assumed |= NODE_ASSUMED_SIBLINGS;
    return rc;
}

/* From the CPU lists to CPUs, and to what follows from them; all of it in `a`. */
static int lay_out(struct node_build *b, struct layout *l, struct arena *a)
{
    const struct kube_nrt *const nrt = b->nrt;
    struct topo_machine m = b->v.machine;
    uint32_t unnamed = 0;
    int rc = count_cpus(b, &unnamed, &l->n_cpus);

    if (rc)
        return rc;
    l->words = cpuset_words(l->n_cpus);
    l->assumed = 0;
    m.n_cpus = l->n_cpus;
    m.cpus = l->cpus = arena_array(a, l->n_cpus, sizeof(*l->cpus));
    uint64_t *const set = arena_array(b->scratch, l->words, sizeof(*set));
    if (!l->cpus || !set)
        return -ENOMEM;
    for (uint32_t c = 0; c < l->n_cpus; c++)
        l->cpus[c] = (struct topo_cpu){TOPO_NONE, TOPO_NONE, TOPO_NONE, TOPO_NONE};
    for (uint32_t z = 0; rc == 0 && z < nrt->n_zones; z++)
        rc = fill_zone_cpus(b, l, z, &unnamed, set);
    for (uint32_t z = 0; rc == 0 && z < nrt->n_zones; z++) {
        join_sets(l, nrt->zones[z].cores, set, true);
        join_sets(l, nrt->zones[z].l3, set, false);
    }
    return rc ? rc : node_cpus_init(&l->derived, &m, a);
}

static void take_layout(struct node_build *b, const struct layout *l)
{
    b->v.machine.n_cpus = l->n_cpus;
    b->v.machine.cpus = b->cpus = l->cpus;
    b->v.cpu_words = l->words;
    b->v.cpus = l->derived;
    b->v.assumed |= l->assumed;
}

/* --- layouts that machines share --- */

struct shared_layout {
    struct node_build *b;
    struct str key;
};

static int lay_out_block(void *ctx, struct arena *a, const void **out)
{
    const struct shared_layout *const from = ctx;
    struct layout *const l = arena_array(a, 1, sizeof(*l));

    *out = l;
    return l && str_copy(&l->key, from->key, a) == 0 ? lay_out(from->b, l, a) : -ENOMEM;
}

static bool is_layout(const void *value, const void *key)
{
    return str_eq(((const struct layout *)value)->key, *(const struct str *)key);
}

/* All that a layout depends on: the lists, which are shared, and what stands for those not given.
 */
static int layout_key(struct str *out, const struct node_build *b, const struct block *texts)
{
    const uint32_t n = b->nrt->n_zones;
    uint64_t *const key = arena_array(b->scratch, n + (size_t)1, sizeof(*key));

    if (!key)
        return -ENOMEM;
    key[0] = (uint64_t)(uintptr_t)texts;
    for (uint32_t z = 0; z < n; z++)
        key[z + 1] = (uint64_t)b->v.machine.zones[z].socket << 32 | unnamed_cpus(&b->nrt->zones[z]);
    *out = (struct str){(const char *)key, (n + (size_t)1) * sizeof(*key)};
    return 0;
}

static int fill_cpus(struct node_build *b)
{
    struct node_layouts *const shared = b->in->layouts;
    struct shared_layout want = {.b = b};
    struct layout own;
    int rc;

    if (!shared || !shared->texts) {
        rc = lay_out(b, &own, b->a);
        if (rc == 0)
            take_layout(b, &own);
        return rc;
    }
    rc = layout_key(&want.key, b, shared->texts);
    if (rc)
        return rc;
    const struct intern_key key = {siphash13(shared->key, want.key), is_layout, &want.key};
    rc = intern_get(shared->known, &shared->used, &key, lay_out_block, &want, shared->texts);
    if (rc == 0)
        take_layout(b, shared->used->value);
    return rc;
}

/* --- reserved CPUs --- */

/* The lowest cores of a zone, thread by thread, until `n` CPUs are reserved. */
static void reserve_lowest(const struct node_build *b, uint64_t *set, uint32_t zone, uint32_t n)
{
    const struct topo_cpu *const cpus = b->cpus;
    const uint32_t n_cpus = b->v.machine.n_cpus;

    for (uint32_t core = 0; n && core < n_cpus; core++) {
        for (uint32_t c = core; n && c < n_cpus; c++) {
            if (cpus[c].zone != zone || cpus[c].core != core)
                continue;
            cpuset_add(set, c);
            n--;
        }
    }
}

static bool all_present(const struct node_build *b, const uint64_t *set)
{
    for (uint32_t c = 0; c < b->v.cpu_words * 64; c++) {
        if (cpuset_has(set, c) && (c >= b->v.machine.n_cpus || b->cpus[c].zone == TOPO_NONE))
            return false;
    }
    return true;
}

static int fill_reserved(struct node_build *b)
{
    uint64_t *const set = arena_array(b->a, b->v.cpu_words, sizeof(*set));

    if (!set)
        return -ENOMEM;
    b->v.cpu_reserved = set;
    if (b->nrt->has_reserved) {
        if (cpuset_parse(set, b->v.cpu_words, b->nrt->reserved_cpus, NULL) < 0 ||
            !all_present(b, set))
            return node_build_refuse(b, NODE_NOT_MODELLED,
                                     "reserved-cpus %.*s names CPUs that no zone has",
                                     STR_ARG(b->nrt->reserved_cpus));
        return 0;
    }
    b->v.assumed |= NODE_ASSUMED_RESERVED;
    for (uint32_t z = 0; z < b->nrt->n_zones; z++) {
        const struct kube_nrt_resource *const r = node_build_resource(&b->nrt->zones[z], cpu_name);

        if (r && r->capacity > r->allocatable)
            reserve_lowest(b, set, z, whole_cpus(r->capacity - r->allocatable + 999));
    }
    return 0;
}

int node_build_machine(struct node_build *b)
{
    int rc = fill_zones(b);

    if (rc == 0)
        rc = fill_cpus(b);
    return rc ? rc : fill_reserved(b);
}

/* --- who is free --- */

static int take_listed(struct node_build *b, uint64_t *free)
{
    const struct kube_nrt *const nrt = b->nrt;
    uint64_t *const set = arena_array(b->scratch, b->v.cpu_words, sizeof(*set));

    if (!set)
        return -ENOMEM;
    for (uint32_t i = 0; i < nrt->n_holdings; i++) {
        if (cpuset_parse(set, b->v.cpu_words, nrt->holdings[i].cpus, NULL) < 0)
            continue; /* told where the pod is built */
        for (uint32_t w = 0; w < b->v.cpu_words; w++)
            free[w] &= ~set[w];
    }
    return 0;
}

/* Which CPUs of a zone are held is not said, only how many: any will do, the highest here. */
static void take_highest(const struct node_build *b, uint64_t *free, uint32_t zone)
{
    const struct kube_nrt_resource *const r = node_build_resource(&b->nrt->zones[zone], cpu_name);
    uint32_t held =
        r && r->allocatable > r->available ? whole_cpus(r->allocatable - r->available + 999) : 0;

    for (uint32_t c = b->v.machine.n_cpus; held && c-- > 0;) {
        if (b->cpus[c].zone != zone || cpuset_has(b->v.cpu_reserved, c))
            continue;
        cpuset_del(free, c);
        held--;
    }
}

/* free-cpus says it of its zone. */
static int set_free(struct node_build *b, uint64_t *free, uint32_t zone, uint64_t *set)
{
    const struct kube_nrt_zone *const z = &b->nrt->zones[zone];

    if (cpuset_parse(set, b->v.cpu_words, z->free_cpus, NULL) < 0)
        return node_build_refuse(b, NODE_NOT_MODELLED,
                                 "zone %u: free-cpus %.*s names no CPUs of it", z->id,
                                 STR_ARG(z->free_cpus));
    for (uint32_t c = 0; c < b->v.machine.n_cpus; c++) {
        const bool here = b->cpus[c].zone == zone;

        if (cpuset_has(set, c) && !here)
            return node_build_refuse(b, NODE_NOT_MODELLED,
                                     "zone %u: free-cpus names CPU %u, which is not in it", z->id,
                                     c);
        if (here && !cpuset_has(set, c))
            cpuset_del(free, c);
        else if (here)
            cpuset_add(free, c);
    }
    return 0;
}

int node_build_cpu_free(struct node_build *b)
{
    const uint32_t words = b->v.cpu_words;
    uint64_t *const free = arena_array(b->a, words, sizeof(*free));
    uint64_t *const set = arena_array(b->scratch, words, sizeof(*set));
    int rc = 0;

    if (!free || !set)
        return -ENOMEM;
    for (uint32_t c = 0; c < b->v.machine.n_cpus; c++) {
        if (b->cpus[c].zone != TOPO_NONE)
            cpuset_add(free, c);
    }
    if (b->nrt->has_placements)
        rc = take_listed(b, free);
    for (uint32_t z = 0; rc == 0 && z < b->nrt->n_zones; z++) {
        if (b->nrt->zones[z].has_free_cpus)
            rc = set_free(b, free, z, set);
        else if (!b->nrt->has_placements)
            take_highest(b, free, z);
    }
    b->v.state.cpu_free = free;
    return rc;
}
