/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/nrt_emit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "kube/nrt_doc.h"
#include "kube/nrt_order.h"
#include "topology/cpuset.h"
#include "topology/model.h"

#define PREFIX "orchestration.gokore.io/"

/* --- attributes --- */

static void put_attribute(struct nrt_doc *d, const char *name, struct str value)
{
    nrt_doc_item(d);
    nrt_doc_word(d, "name", name);
    nrt_doc_text(d, "value", value);
    nrt_doc_item_end(d);
}

static void put_number(struct nrt_doc *d, const char *name, uint64_t value)
{
    nrt_doc_item(d);
    nrt_doc_word(d, "name", name);
    nrt_doc_digits(d, "value", value);
    nrt_doc_item_end(d);
}

static bool has_attribute(const struct kube_nrt_publication *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_attributes; i++) {
        if (str_is(p->attributes[i].name, name))
            return true;
    }
    return false;
}

static void put_given(struct nrt_doc *d, const struct kube_nrt_attribute *at)
{
    CLEANUP(buf_free) struct buf name = {0};

    buf_str(&name, at->name);
    put_attribute(d, name.p ? name.p : "", at->value);
}

static void put_observed(struct nrt_doc *d, int64_t us)
{
    char text[32];

    clock_format_rfc3339(text, us);
    put_attribute(d, PREFIX "observed-at", str_of(text));
}

static void put_payload(struct nrt_doc *d, const char *name, const struct nrt_order *o,
                        void (*put)(struct buf *json, const struct nrt_order *o))
{
    CLEANUP(buf_free) struct buf json = {0};

    put(&json, o);
    d->json.out->failed = d->json.out->failed || json.failed;
    put_attribute(d, name, buf_view(&json));
}

/* What is given stands above what is derived. */
static void put_attributes(struct nrt_doc *d, const struct nrt_order *o)
{
    const struct kube_nrt_publication *const p = o->p;
    const bool observed = p->observed_us && !has_attribute(p, PREFIX "observed-at");
    const bool generation = p->generation && !has_attribute(p, PREFIX "generation");
    const bool placements = p->has_placements && !has_attribute(p, PREFIX "placements");
    const bool devices = p->has_devices && !has_attribute(p, PREFIX "devices");
    const bool pci = p->machine->n_devices > 0 && !has_attribute(p, PREFIX "pci");

    if (p->n_attributes == 0 && !observed && !generation && !placements && !devices && !pci)
        return;
    nrt_doc_list(d, "attributes");
    for (uint32_t i = 0; i < p->n_attributes; i++)
        put_given(d, &p->attributes[i]);
    if (observed)
        put_observed(d, p->observed_us);
    if (generation)
        put_number(d, PREFIX "generation", p->generation);
    if (placements)
        put_payload(d, PREFIX "placements", o, nrt_put_placements);
    if (devices)
        put_payload(d, PREFIX "devices", o, nrt_put_devices);
    if (pci)
        put_payload(d, PREFIX "pci", o, nrt_put_pci);
    nrt_doc_list_end(d);
}

/* --- attributes of zones --- */

enum { MAX_WORDS = TOPO_MAX_CPUS / 64 };

/* What a zone's CPUs are listed by. */
enum group { GROUP_ALL, GROUP_CORE, GROUP_L3 };

static uint16_t group_of(const struct topo_cpu *cpu, enum group by)
{
    return by == GROUP_CORE ? cpu->core : by == GROUP_L3 ? cpu->l3 : 0;
}

/* The CPUs of one group of a zone; the lowest of them. */
static uint32_t collect(uint64_t set[MAX_WORDS], const struct topo_machine *m, uint32_t zone,
                        enum group by, uint16_t value)
{
    for (uint32_t i = 0; i < MAX_WORDS; i++)
        set[i] = 0;
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (m->cpus[i].zone == zone && group_of(&m->cpus[i], by) == value)
            cpuset_add(set, i);
    }
    return cpuset_next(set, MAX_WORDS, 0);
}

/*
 * The CPU lists of all groups of a zone, joined by ';' in the order of their first CPUs. Nothing
 * when a CPU of the zone is in no group. Quadratic in the CPUs of a zone: a few hundred at most.
 */
static void list_groups(struct buf *out, const struct topo_machine *m, uint32_t zone, enum group by)
{
    const size_t start = out->n;

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        uint64_t set[MAX_WORDS];

        if (m->cpus[i].zone != zone)
            continue;
        if (group_of(&m->cpus[i], by) == TOPO_NONE) {
            buf_free(out);
            return;
        }
        if (collect(set, m, zone, by, group_of(&m->cpus[i], by)) != i)
            continue; /* its group was written with its first CPU */
        buf_text(out, out->n > start ? ";" : "");
        cpuset_format(out, set, MAX_WORDS);
    }
}

static void put_groups(struct nrt_doc *d, const struct topo_machine *m, uint32_t zone,
                       enum group by, const char *name)
{
    CLEANUP(buf_free) struct buf list = {0};

    list_groups(&list, m, zone, by);
    d->json.out->failed = d->json.out->failed || list.failed;
    if (list.n > 0 || by == GROUP_ALL)
        put_attribute(d, name, buf_view(&list));
}

static void put_known(struct nrt_doc *d, const char *name, uint32_t value)
{
    if (value)
        put_number(d, name, value);
}

static void put_cells(struct nrt_doc *d, const struct topo_machine *m, uint64_t cells)
{
    CLEANUP(buf_free) struct buf ids = {0};

    for (uint32_t z = 0; z < m->n_zones; z++) {
        if (cells >> z & 1)
            buf_printf(&ids, "%s%u", ids.n ? "," : "", m->zones[z].id);
    }
    d->json.out->failed = d->json.out->failed || ids.failed;
    put_attribute(d, PREFIX "memory-cells", buf_view(&ids));
}

/* --- memory --- */

static int cmp_memory(const void *x, const void *y)
{
    const struct kube_nrt_memory *const a = *(const void *const *)x, *const b =
                                                                         *(const void *const *)y;

    return nrt_cmp_types(a->type, b->type);
}

/* By type; NULL: no memory, which shows as out->failed. To be freed. */
static const void **sorted_memory(struct nrt_doc *d, const struct kube_nrt_zone_use *use)
{
    const void **const list =
        nrt_sorted(use->memory, use->n_memory, sizeof(*use->memory), cmp_memory);

    d->json.out->failed = d->json.out->failed || !list;
    return list;
}

static void put_free_memory(struct nrt_doc *d, const struct kube_nrt_zone_use *use)
{
    const void **const list = sorted_memory(d, use);

    for (const void **at = list; at && *at; at++) {
        const struct kube_nrt_memory *const m = *at;
        CLEANUP(buf_free) struct buf name = {0};

        buf_text(&name, PREFIX);
        buf_str(&name, m->type);
        buf_text(&name, "-free");
        d->json.out->failed = d->json.out->failed || name.failed;
        nrt_doc_item(d);
        nrt_doc_text(d, "name", buf_view(&name));
        nrt_doc_digits(d, "value", m->free);
        nrt_doc_item_end(d);
    }
    free(list);
}

static uint64_t page_count(const struct topo_zone *z, uint64_t page_bytes)
{
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (z->hugepages[i].page_bytes == page_bytes)
            return z->hugepages[i].count;
    }
    return 0;
}

static bool machine_has_pages(const struct topo_machine *m, uint64_t page_bytes)
{
    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (page_count(&m->zones[i], page_bytes) > 0)
            return true;
    }
    return false;
}

/* What zones without a memory manager's state have of one type. */
struct memory_type {
    struct str name;
    uint64_t page_bytes; /* 0 = memory */
};

static uint64_t capacity_of(const struct topo_zone *z, const struct memory_type *t)
{
    return t->page_bytes ? t->page_bytes * page_count(z, t->page_bytes) : z->memory_bytes;
}

static uint64_t allocatable_of(const struct topo_zone *z, const struct memory_type *t)
{
    uint64_t huge = 0;

    for (uint32_t i = 0; !t->page_bytes && i < z->n_hugepages; i++)
        huge += z->hugepages[i].page_bytes * z->hugepages[i].count;
    const uint64_t all = capacity_of(z, t);
    return huge < all ? all - huge : 0;
}

/* One block as the memory manager takes it: from its lowest zones first, as much as each has. */
static void take_block(uint64_t left[TOPO_MAX_ZONES], const struct topo_machine *m,
                       const struct kube_nrt_block *block)
{
    uint64_t need = block->bytes;

    for (uint32_t z = 0; z < m->n_zones; z++) {
        const uint64_t part = block->zones >> z & 1 ? (left[z] < need ? left[z] : need) : 0;

        left[z] -= part;
        need -= part;
    }
}

/* Those of one zone, or of several. */
static void take_blocks(uint64_t left[TOPO_MAX_ZONES], const struct nrt_order *o,
                        const struct memory_type *t, bool wide)
{
    for (const void **at = o->holdings; *at; at++) {
        const struct kube_nrt_holding *const h = *at;

        for (uint32_t k = 0; k < h->n_blocks; k++) {
            const uint64_t zones = h->blocks[k].zones;

            if (((zones & (zones - 1)) != 0) == wide && str_eq(h->blocks[k].type, t->name))
                take_block(left, o->p->machine, &h->blocks[k]);
        }
    }
}

/*
 * What the blocks leave of a type in each zone: those of one zone first, for what they take can be
 * nowhere else. node-feature-discovery splits a block of several zones as here, but takes blocks as
 * the pods come; resource-topology-exporter takes it off each of its zones, in full. Who reads
 * `placements` derives what is said here (cluster/node_build_memory.c).
 */
static void left_of(uint64_t left[TOPO_MAX_ZONES], const struct nrt_order *o,
                    const struct memory_type *t)
{
    const struct topo_machine *const m = o->p->machine;

    for (uint32_t z = 0; z < m->n_zones; z++)
        left[z] = allocatable_of(&m->zones[z], t);
    take_blocks(left, o, t, false);
    take_blocks(left, o, t, true);
}

/* --- resources of zones --- */

struct amounts {
    uint64_t capacity, allocatable, available;
};

/* Names that are not ours are quoted. */
static void put_resource(struct nrt_doc *d, const char *known, struct str name,
                         struct amounts amounts)
{
    nrt_doc_item(d);
    if (known)
        nrt_doc_word(d, "name", known);
    else
        nrt_doc_text(d, "name", name);
    nrt_doc_digits(d, "capacity", amounts.capacity);
    nrt_doc_digits(d, "allocatable", amounts.allocatable);
    nrt_doc_digits(d, "available", amounts.available);
    nrt_doc_item_end(d);
}

/* The CPUs that some container holds are taken out of `free`. */
static void take_cpus(uint64_t free[MAX_WORDS], const struct kube_nrt_publication *p)
{
    for (uint32_t h = 0; h < p->n_holdings; h++) {
        uint64_t set[MAX_WORDS];

        if (cpuset_parse(set, MAX_WORDS, p->holdings[h].cpus, NULL) < 0)
            continue;
        for (uint32_t w = 0; w < MAX_WORDS; w++)
            free[w] &= ~set[w];
    }
}

static void put_cpus(struct nrt_doc *d, const struct kube_nrt_publication *p, uint32_t zone)
{
    const struct kube_nrt_zone_use *const use = p->use ? &p->use[zone] : NULL;
    uint64_t set[MAX_WORDS], free[MAX_WORDS];
    struct amounts n = {0};

    for (uint32_t w = 0; w < MAX_WORDS; w++)
        free[w] = UINT64_MAX;
    if (!use || !use->has_free_cpus || cpuset_parse(free, MAX_WORDS, use->free_cpus, NULL) < 0)
        take_cpus(free, p);
    collect(set, p->machine, zone, GROUP_ALL, 0);
    for (uint32_t i = 0; i < p->machine->n_cpus; i++) {
        const bool is_ours = cpuset_has(set, i) && !(p->reserved && cpuset_has(p->reserved, i));

        n.capacity += cpuset_has(set, i);
        n.allocatable += is_ours;
        n.available += is_ours && cpuset_has(free, i);
    }
    put_resource(d, "cpu", (struct str){0}, n);
}

/* As the memory manager counts it. */
static void put_counted_memory(struct nrt_doc *d, const struct kube_nrt_zone_use *use)
{
    const void **const list = sorted_memory(d, use);

    for (const void **at = list; at && *at; at++) {
        const struct kube_nrt_memory *const m = *at;

        put_resource(d, NULL, m->type, (struct amounts){m->total, m->allocatable, m->free});
    }
    free(list);
}

static void put_memory_type(struct nrt_doc *d, const struct nrt_order *o, uint32_t zone,
                            const struct memory_type *t, const char *known)
{
    const struct topo_zone *const z = &o->p->machine->zones[zone];
    uint64_t left[TOPO_MAX_ZONES];

    left_of(left, o, t);
    put_resource(d, known, t->name,
                 (struct amounts){capacity_of(z, t), allocatable_of(z, t), left[zone]});
}

/* hugepages-2Mi, in the largest unit that divides the size, as the kubelet names them. */
static void put_pages(struct nrt_doc *d, const struct nrt_order *o, uint32_t zone,
                      uint64_t page_bytes)
{
    CLEANUP(buf_free) struct buf name = {0};

    buf_text(&name, "hugepages-");
    buf_bytes(&name, page_bytes);
    d->json.out->failed = d->json.out->failed || name.failed;
    if (!name.failed) {
        const struct memory_type t = {buf_view(&name), page_bytes};

        put_memory_type(d, o, zone, &t, name.p);
    }
}

static void put_memory(struct nrt_doc *d, const struct nrt_order *o, uint32_t zone)
{
    const struct topo_zone *const z = &o->p->machine->zones[zone];
    const struct memory_type memory = {STR("memory"), 0};

    if (o->p->use && o->p->use[zone].n_memory) {
        put_counted_memory(d, &o->p->use[zone]);
        return;
    }
    put_memory_type(d, o, zone, &memory, "memory");
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (machine_has_pages(o->p->machine, z->hugepages[i].page_bytes))
            put_pages(d, o, zone, z->hugepages[i].page_bytes);
    }
}

/* A device of several zones stands in each of them, one without topology in none. */
static void put_devices(struct nrt_doc *d, const struct nrt_order *o, uint32_t zone)
{
    const struct kube_nrt_device *last = NULL;
    struct amounts n = {0};

    for (const void **at = o->devices; *at; at++) {
        const struct kube_nrt_device *const one = *at;

        if (!(one->zones >> zone & 1))
            continue;
        if (last && !str_eq(last->resource, one->resource)) {
            put_resource(d, NULL, last->resource, n);
            n = (struct amounts){0};
        }
        n.capacity++;
        n.allocatable += one->healthy;
        n.available += one->healthy && !nrt_is_held(o, one);
        last = one;
    }
    if (last)
        put_resource(d, NULL, last->resource, n);
}

/* --- zones --- */

static void put_use(struct nrt_doc *d, const struct topo_machine *m,
                    const struct kube_nrt_zone_use *use)
{
    if (use->has_free_cpus)
        put_attribute(d, PREFIX "free-cpus", use->free_cpus);
    if (use->cells)
        put_cells(d, m, use->cells);
    if (use->has_assignments)
        put_number(d, PREFIX "memory-assignments", use->assignments);
    put_free_memory(d, use);
}

static void put_zone_attributes(struct nrt_doc *d, const struct kube_nrt_publication *p,
                                uint32_t zone)
{
    const struct topo_machine *const m = p->machine;
    const struct topo_zone *const z = &m->zones[zone];

    nrt_doc_list(d, "attributes");
    if (z->socket != TOPO_NONE)
        put_number(d, PREFIX "socket", z->socket);
    put_groups(d, m, zone, GROUP_ALL, PREFIX "cpus");
    put_groups(d, m, zone, GROUP_CORE, PREFIX "cores");
    put_groups(d, m, zone, GROUP_L3, PREFIX "l3");
    put_known(d, PREFIX "read-bandwidth", z->read_bandwidth_mbs);
    put_known(d, PREFIX "write-bandwidth", z->write_bandwidth_mbs);
    put_known(d, PREFIX "read-latency", z->read_latency_ns);
    put_known(d, PREFIX "write-latency", z->write_latency_ns);
    if (p->use)
        put_use(d, m, &p->use[zone]);
    nrt_doc_list_end(d);
}

/* The name of a zone: node-<Linux id>. */
static void put_zone_name(struct nrt_doc *d, const struct topo_machine *m, uint32_t zone)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "node-%u", m->zones[zone].id);
    nrt_doc_word(d, "name", name);
}

static void put_costs(struct nrt_doc *d, const struct topo_machine *m, uint32_t zone)
{
    if (!m->has_distances)
        return;
    nrt_doc_list(d, "costs");
    for (uint32_t j = 0; j < m->n_zones; j++) {
        nrt_doc_item(d);
        put_zone_name(d, m, j);
        nrt_doc_uint(d, "value", m->distances.d[zone * m->n_zones + j]);
        nrt_doc_item_end(d);
    }
    nrt_doc_list_end(d);
}

static void put_zone(struct nrt_doc *d, const struct nrt_order *o, uint32_t zone)
{
    nrt_doc_item(d);
    put_zone_name(d, o->p->machine, zone);
    nrt_doc_word(d, "type", "Node");
    put_zone_attributes(d, o->p, zone);
    put_costs(d, o->p->machine, zone);
    nrt_doc_list(d, "resources");
    put_cpus(d, o->p, zone);
    put_memory(d, o, zone);
    put_devices(d, o, zone);
    nrt_doc_list_end(d);
    nrt_doc_item_end(d);
}

/* The object goes when its Node goes. */
static void put_owner(struct nrt_doc *d, const struct kube_nrt_publication *p)
{
    nrt_doc_list(d, "ownerReferences");
    nrt_doc_item(d);
    nrt_doc_word(d, "apiVersion", "v1");
    nrt_doc_word(d, "kind", "Node");
    nrt_doc_text(d, "name", p->node);
    nrt_doc_text(d, "uid", p->owner_uid);
    nrt_doc_item_end(d);
    nrt_doc_list_end(d);
}

static void put_object(struct nrt_doc *d, const struct nrt_order *o)
{
    nrt_doc_word(d, "apiVersion", "topology.node.k8s.io/v1alpha2");
    nrt_doc_word(d, "kind", "NodeResourceTopology");
    nrt_doc_object(d, "metadata");
    nrt_doc_text(d, "name", o->p->node);
    if (o->p->owner_uid.n)
        put_owner(d, o->p);
    nrt_doc_object_end(d);
    put_attributes(d, o);
    nrt_doc_list(d, "zones");
    for (uint32_t i = 0; i < o->p->machine->n_zones; i++)
        put_zone(d, o, i);
    nrt_doc_list_end(d);
}

static void put_document(struct buf *out, const struct kube_nrt_publication *p, bool yaml)
{
    struct nrt_order o;
    struct nrt_doc d;

    if (nrt_order_init(&o, p)) {
        out->failed = true;
    } else {
        nrt_doc_begin(&d, out, yaml);
        put_object(&d, &o);
        nrt_doc_end(&d);
    }
    nrt_order_free(&o);
}

void kube_nrt_emit(struct buf *out, const struct kube_nrt_publication *p)
{
    put_document(out, p, true);
}

void kube_nrt_emit_json(struct buf *out, const struct kube_nrt_publication *p)
{
    put_document(out, p, false);
}
