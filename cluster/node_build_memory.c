/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a node as its memory manager counts it, and the check against the Node object. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/node_build_parts.h"

static bool is_memory(enum pod_resource_kind kind)
{
    return kind == POD_MEMORY || kind == POD_HUGEPAGES;
}

/* "memory" first, the rest in byte order. */
static int cmp_types(struct str x, struct str y)
{
    const bool mx = str_is(x, "memory"), my = str_is(y, "memory");

    return mx != my ? (mx ? -1 : 1) : str_cmp(x, y);
}

static uint32_t insert_type(struct str *names, uint32_t n, struct str name)
{
    uint32_t at = 0;

    while (at < n && cmp_types(names[at], name) < 0)
        at++;
    if (at < n && str_eq(names[at], name))
        return n;
    for (uint32_t i = n; i > at; i--)
        names[i] = names[i - 1];
    names[at] = name;
    return n + 1;
}

/* The attribute memory-free or hugepages-*-free of the zone; NULL where it has none. */
static const struct kube_nrt_free *find_free(const struct kube_nrt_zone *z, struct str type)
{
    for (uint32_t i = 0; i < z->n_free; i++) {
        if (str_eq(z->free[i].type, type))
            return &z->free[i];
    }
    return NULL;
}

/*
 * Zones that do not know a page size. What a zone has free, it lists for all sizes that it knows;
 * without that list, a size that is not there may just have no pages.
 */
static uint64_t lacking(const struct kube_nrt *nrt, struct str type)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; i < nrt->n_zones; i++) {
        const struct kube_nrt_zone *const z = &nrt->zones[i];

        if (find_free(z, STR("memory")) && !find_free(z, type) && !node_build_resource(z, type))
            zones |= UINT64_C(1) << i;
    }
    return zones;
}

static int fill_types(struct node_build *b)
{
    const struct kube_nrt *const nrt = b->nrt;
    uint32_t most = 1, n = 1;

    for (uint32_t z = 0; z < nrt->n_zones; z++)
        most += nrt->zones[z].n_resources;
    struct str *const names = arena_array(b->scratch, most, sizeof(*names));
    if (!names)
        return -ENOMEM;
    names[0] = STR("memory");
    for (uint32_t z = 0; z < nrt->n_zones; z++) {
        for (uint32_t i = 0; i < nrt->zones[z].n_resources; i++) {
            if (is_memory(nrt->zones[z].resources[i].kind))
                n = insert_type(names, n, nrt->zones[z].resources[i].name);
        }
    }
    struct node_memory_type *const types = arena_array(b->a, n, sizeof(*types));
    if (!types)
        return -ENOMEM;
    for (uint32_t t = 0; t < n; t++) {
        if (str_copy(&types[t].name, names[t], b->a))
            return -ENOMEM;
        types[t].lacking = lacking(nrt, types[t].name);
    }
    b->v.memory_types = types;
    b->v.n_memory_types = n;
    return 0;
}

/*
 * Whether what is free is worked out from the blocks that are listed. An exporter takes a block of
 * several zones off `available` in each of them, in full, or in the order of the pods: with the
 * blocks at hand we know better.
 */
static bool is_derived(const struct node_build *b, const struct kube_nrt_zone *z,
                       const struct kube_nrt_resource *r)
{
    return b->nrt->has_placements && is_memory(r->kind) && !find_free(z, r->name);
}

struct memory_arrays {
    uint64_t *total, *allocatable, *system, *free, *reserved; /* [Z*T] */
};

static void fill_zone(struct node_build *b, const struct memory_arrays *m, uint32_t zone)
{
    const struct kube_nrt_zone *const z = &b->nrt->zones[zone];
    const uint32_t n = b->v.n_memory_types;
    uint64_t huge = 0;

    for (uint32_t t = n; t-- > 0;) { /* hugepages first: they are part of the memory's total */
        const struct kube_nrt_resource *const r = node_build_resource(z, b->v.memory_types[t].name);
        const size_t at = (size_t)zone * n + t;

        if (!r)
            continue;
        const uint64_t total = (uint64_t)r->capacity, usable = (uint64_t)r->allocatable;
        const uint64_t others = t == 0 ? huge : 0;
        m->total[at] = total;
        m->allocatable[at] = usable;
        m->system[at] = total > usable + others ? total - usable - others : 0;
        const struct kube_nrt_free *const fact = find_free(z, r->name);

        m->free[at] = fact ? fact->bytes : (uint64_t)r->available;
        m->reserved[at] = usable > m->free[at] ? usable - m->free[at] : 0;
        huge += t == 0 ? 0 : total;
    }
}

/* One block as the memory manager takes it: from its lowest zones first, as much as each has. */
static void take_block(const struct node_build *b, uint64_t *left,
                       const struct kube_nrt_block *block)
{
    const uint32_t n = b->v.n_memory_types;
    uint64_t need = block->bytes;
    uint32_t t = 0;

    while (t < n && !str_eq(b->v.memory_types[t].name, block->type))
        t++;
    for (uint64_t z = t < n ? block->zones : 0; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);

        if (zone >= b->nrt->n_zones)
            break; /* told where the pod is built */
        uint64_t *const here = &left[(size_t)zone * n + t];
        const uint64_t part = *here < need ? *here : need;

        *here -= part;
        need -= part;
    }
}

/* Blocks of one zone come first: what they take can be nowhere else. */
static void take_blocks(const struct node_build *b, uint64_t *left)
{
    for (int wide = 0; wide < 2; wide++) {
        for (uint32_t h = 0; h < b->nrt->n_holdings; h++) {
            const struct kube_nrt_holding *const from = &b->nrt->holdings[h];

            for (uint32_t k = 0; k < from->n_blocks; k++) {
                const uint64_t zones = from->blocks[k].zones;

                if ((zones & (zones - 1)) != 0 ? wide : !wide)
                    take_block(b, left, &from->blocks[k]);
            }
        }
    }
}

/* What is free where only the blocks say it. */
static int derive_free(struct node_build *b, const struct memory_arrays *m)
{
    const uint32_t n = b->v.n_memory_types;
    const size_t all = (size_t)b->nrt->n_zones * n;
    uint64_t *const left = arena_array(b->scratch, all, sizeof(*left));

    if (!left)
        return -ENOMEM;
    memcpy(left, m->allocatable, all * sizeof(*left));
    take_blocks(b, left);
    for (uint32_t z = 0; z < b->nrt->n_zones; z++) {
        const struct kube_nrt_zone *const zone = &b->nrt->zones[z];

        for (uint32_t t = 0; t < n; t++) {
            const size_t at = (size_t)z * n + t;
            const struct kube_nrt_resource *const r =
                node_build_resource(zone, b->v.memory_types[t].name);

            if (!r || !is_derived(b, zone, r))
                continue;
            m->free[at] = left[at];
            m->reserved[at] = m->allocatable[at] - left[at];
        }
    }
    return 0;
}

/*
 * How the memory of a living group is spread over its zones depends on all that came and went
 * there: without the attribute it is a guess.
 */
static void assume_groups(struct node_build *b, const uint64_t *cells)
{
    for (uint32_t z = 0; b->v.kubelet.memory_static && z < b->nrt->n_zones; z++) {
        const struct kube_nrt_zone *const zone = &b->nrt->zones[z];

        for (uint32_t i = 0; (cells[z] & (cells[z] - 1)) != 0 && i < zone->n_resources; i++) {
            if (is_memory(zone->resources[i].kind) && !find_free(zone, zone->resources[i].name))
                b->v.assumed |= NODE_ASSUMED_MEMORY_FREE;
        }
    }
}

/* Where the node publishes no groups, those that the listed blocks make. */
static void count_blocks(const struct node_build *b, uint32_t *assignments, uint64_t *cells)
{
    const struct kube_nrt *const nrt = b->nrt;

    for (uint32_t h = 0; h < nrt->n_holdings; h++) {
        for (uint32_t k = 0; k < nrt->holdings[h].n_blocks; k++) {
            const uint64_t zones = nrt->holdings[h].blocks[k].zones;

            for (uint64_t z = zones; z; z &= z - 1) {
                const uint32_t zone = (uint32_t)__builtin_ctzll(z);

                if (zone >= nrt->n_zones)
                    break;
                if (!nrt->zones[zone].has_assignments)
                    assignments[zone]++;
                if (!nrt->zones[zone].cells)
                    cells[zone] = zones;
            }
        }
    }
}

/*
 * A Static memory manager does not start without reserved memory, and this one runs: zones that
 * have as much for pods as there is do not tell what is reserved.
 */
static void assume_reserved(struct node_build *b, const uint64_t *system)
{
    for (uint32_t z = 0; z < b->nrt->n_zones; z++) {
        if (system[(size_t)z * b->v.n_memory_types])
            return;
    }
    if (b->v.kubelet.memory_static)
        b->v.assumed |= NODE_ASSUMED_RESERVED;
}

static bool assignments_given(const struct kube_nrt *nrt)
{
    for (uint32_t z = 0; z < nrt->n_zones; z++) {
        if (!nrt->zones[z].has_assignments)
            return false;
    }
    return true;
}

int node_build_memory(struct node_build *b)
{
    const uint32_t zones = b->nrt->n_zones;
    int rc = fill_types(b);
    const size_t n = (size_t)zones * b->v.n_memory_types;
    struct memory_arrays m = {0};

    if (rc)
        return rc;
    m.total = arena_array(b->a, n, sizeof(uint64_t));
    m.allocatable = arena_array(b->a, n, sizeof(uint64_t));
    m.system = arena_array(b->a, n, sizeof(uint64_t));
    m.free = arena_array(b->a, n, sizeof(uint64_t));
    m.reserved = arena_array(b->a, n, sizeof(uint64_t));
    uint32_t *const assignments = arena_array(b->a, zones, sizeof(*assignments));
    uint64_t *const cells = arena_array(b->a, zones, sizeof(*cells));
    if (!m.total || !m.allocatable || !m.system || !m.free || !m.reserved || !assignments || !cells)
        return -ENOMEM;
    for (uint32_t z = 0; z < zones; z++) {
        const struct kube_nrt_zone *const from = &b->nrt->zones[z];

        fill_zone(b, &m, z);
        assignments[z] = from->has_assignments ? from->assignments : 0;
        cells[z] = from->cells ? from->cells : UINT64_C(1) << z;
    }
    count_blocks(b, assignments, cells);
    b->v.blocks_known = b->nrt->has_placements || assignments_given(b->nrt);
    assume_groups(b, cells);
    assume_reserved(b, m.system);
    if (b->nrt->has_placements && derive_free(b, &m))
        return -ENOMEM;
    b->v.memory_total = m.total;
    b->v.memory_allocatable = m.allocatable;
    b->v.memory_system = m.system;
    b->v.state.memory_free = m.free;
    b->v.state.memory_reserved = m.reserved;
    b->v.state.assignments = assignments;
    b->v.state.cells = cells;
    return 0;
}

/* --- do the figures fit each other? (design.md 2.2) --- */

/* Is `available` looked at? Exporters get it wrong where a block lies in several zones. */
static bool counts_available(const struct node_build *b, const struct kube_nrt_zone *z,
                             const struct kube_nrt_resource *r)
{
    if (is_memory(r->kind))
        return !is_derived(b, z, r) && !find_free(z, r->name);
    if (r->kind == POD_CPU)
        return !b->nrt->has_placements && !z->has_free_cpus;
    return !b->nrt->has_devices || !b->nrt->has_placements;
}

static int check_zone(struct node_build *b, const struct kube_nrt_zone *z)
{
    for (uint32_t i = 0; i < z->n_resources; i++) {
        const struct kube_nrt_resource *const r = &z->resources[i];
        const int64_t available = counts_available(b, z, r) ? r->available : 0;

        if (r->allocatable > r->capacity || available > r->allocatable)
            return node_build_refuse(b, NODE_NOT_MODELLED,
                                     "zone %u: %.*s: available %lld, allocatable %lld, capacity "
                                     "%lld do not fit each other",
                                     z->id, STR_ARG(r->name), (long long)r->available,
                                     (long long)r->allocatable, (long long)r->capacity);
    }
    return 0;
}

/*
 * Saturates: figures come from outside. False where no zone lists the resource; `all`: or where one
 * that does leaves open how much it has.
 */
static bool sum_capacity(const struct kube_nrt *nrt, struct str name, bool all, int64_t *sum)
{
    bool listed = false, said = true;

    *sum = 0;
    for (uint32_t z = 0; z < nrt->n_zones; z++) {
        const struct kube_nrt_resource *const r = node_build_resource(&nrt->zones[z], name);

        listed = listed || r;
        said = said && (!r || r->has_capacity);
        if (r && __builtin_add_overflow(*sum, r->capacity, sum))
            *sum = INT64_MAX;
    }
    return listed && (said || !all);
}

static bool sum_listed(const struct kube_nrt *nrt, struct str name, int64_t *sum)
{
    *sum = 0;
    for (uint32_t i = 0; i < nrt->n_devices; i++)
        *sum += str_eq(nrt->devices[i].resource, name);
    return *sum > 0;
}

/* A device of several zones stands in each of them, so only a list of devices can be counted. */
static bool sum_zones(const struct kube_nrt *nrt, const struct pod_amount *have, bool all,
                      int64_t *sum)
{
    if (have->kind == POD_OTHER)
        return false;
    return have->kind == POD_EXTENDED ? sum_listed(nrt, have->resource, sum)
                                      : sum_capacity(nrt, have->resource, all, sum);
}

struct amount_text {
    char p[32];
};

/* "8", "7500m" of cpu */
static struct amount_text text_of(enum pod_resource_kind kind, int64_t amount)
{
    const bool thousandths = kind == POD_CPU && amount % 1000 != 0;
    struct amount_text t;

    (void)snprintf(t.p, sizeof(t.p), "%lld%s",
                   (long long)(kind == POD_CPU && !thousandths ? amount / 1000 : amount),
                   thousandths ? "m" : "");
    return t;
}

static int contradict(struct node_build *b, int64_t sum, const struct pod_amount *have,
                      const char *verb)
{
    return node_build_refuse(b, NODE_NOT_MODELLED,
                             "%.*s: the zones have %s together, the Node %s %s",
                             STR_ARG(have->resource), text_of(have->kind, sum).p, verb,
                             text_of(have->kind, have->amount).p);
}

/*
 * Whether the zones hold more than the Node says it has, or less than it offers to pods. MemTotal
 * of the zones and of the machine are read by different ways and differ by some pages: 1/64 of
 * slack.
 */
static int check_amount(struct node_build *b, const struct pod_amount *have, bool offered)
{
    const int64_t slack = have->kind == POD_MEMORY ? have->amount / 64 : 0;
    int64_t sum;

    if (!sum_zones(b->nrt, have, offered, &sum))
        return 0;
    if (offered)
        return sum < have->amount - slack ? contradict(b, sum, have, "offers") : 0;
    return sum - slack > have->amount ? contradict(b, sum, have, "has") : 0;
}

int node_build_check(struct node_build *b)
{
    const struct kube_node *const node = b->in->node;
    int rc = 0;

    for (uint32_t z = 0; rc == 0 && z < b->nrt->n_zones; z++)
        rc = check_zone(b, &b->nrt->zones[z]);
    for (uint32_t i = 0; rc == 0 && node && i < node->n_capacity; i++)
        rc = check_amount(b, &node->capacity[i], false);
    for (uint32_t i = 0; rc == 0 && node && i < node->n_allocatable; i++)
        rc = check_amount(b, &node->allocatable[i], true);
    return rc;
}
