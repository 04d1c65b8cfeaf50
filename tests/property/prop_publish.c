/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random machine in use is published and read back as every NodeResourceTopology is: the node has
 * just the CPUs, memory, groups, devices and holders that were published, and nothing is assumed.
 * Written again from the same facts in another order, it is the same bytes; as JSON, the same
 * object. Without the memory manager's counts, `available` is what the reader derives. So it is
 * where the agent takes the facts from the files of a kubelet.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/facts.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/node_build.h"
#include "kube/file.h"
#include "kube/nrt_emit.h"
#include "tests/support/data.h"
#include "tests/support/test.h"
#include "topology/cpuset.h"
#include "topology/model.h"

enum {
    ROUNDS = 1000,
    FILES_EVERY = 5, /* rounds */
    ROOM = 16 << 20,
    ZONES = 6,
    CORES = 40,
    CPUS = 2 * CORES,
    WORDS = (CPUS + 63) / 64,
    TYPES = 3,
    PCI = 6,
    DEVICES = PCI + 12,
    HOLDINGS = 12,
    NOBODY = HOLDINGS,
};

static const int64_t noon_us = INT64_C(1795521600) * 1000000; /* 2026-11-24T12:00:00Z */

/* In the order of a view. */
static const char *const types[TYPES] = {"memory", "hugepages-1Gi", "hugepages-2Mi"};
static const uint64_t page_bytes[TYPES] = {1, UINT64_C(1) << 30, UINT64_C(1) << 21};

/* What is drawn, in plain arrays. */
struct drawn {
    uint32_t n_zones, n_cores, n_cpus, n_pci, n_devices, n_holdings;
    bool memory_static;
    uint32_t kubelet[4]; /* policy, scope, cpu_static, full-pcpus-only */
    uint32_t id[ZONES], socket[ZONES], distance[ZONES * ZONES], assignments[ZONES];
    uint32_t figures[ZONES][4];
    uint64_t cells[ZONES];
    bool has[ZONES][TYPES];
    uint64_t total[ZONES][TYPES], allocatable[ZONES][TYPES], free[ZONES][TYPES];
    struct topo_cpu cpu[CPUS];
    bool reserved[CPUS];
    uint32_t owner[CPUS]; /* a holding, or NOBODY */
    uint32_t mbs[PCI * PCI];
    struct kube_nrt_device device[DEVICES]; /* the first n_pci are those of `pci` */
    uint32_t holder[DEVICES];               /* a holding, or NOBODY */
};

static uint64_t seed;
static struct arena facts, objects, view, scratch;
static struct drawn now;

static uint32_t draw(uint64_t below)
{
    return (uint32_t)test_random(&seed, below);
}

static bool one_in(uint64_t n)
{
    return draw(n) == 0;
}

static struct str text(const char *before, uint32_t n, const char *behind)
{
    char words[64];
    struct str copy;

    (void)snprintf(words, sizeof(words), "%s%u%s", before, n, behind);
    assert_int_equal(str_copy(&copy, str_of(words), &facts), 0);
    return copy;
}

static void *room(size_t n, size_t size)
{
    void *const p = arena_array(&facts, n, size);

    assert_non_null(p);
    return p;
}

/* --- drawing --- */

static void draw_zones(struct drawn *d)
{
    d->n_zones = 1 + draw(ZONES);
    for (uint32_t z = 0, id = 0; z < d->n_zones; z++) {
        d->id[z] = id += draw(3) + (z > 0);
        d->socket[z] = draw(4);
        for (uint32_t k = 0; k < 4; k++)
            d->figures[z][k] = one_in(2) ? draw(500000) : 0;
    }
    for (uint32_t i = 0; i < d->n_zones; i++) {
        for (uint32_t j = 0; j < d->n_zones; j++)
            d->distance[i * d->n_zones + j] = i == j ? TOPO_LOCAL : TOPO_LOCAL + 1 + draw(245);
    }
}

/* Threads of a core are one after the other, or all first ones come first. */
static void draw_cpus(struct drawn *d)
{
    const uint32_t threads = 1 + draw(2), in_l3 = 1 + draw(6), with_cpus = 1 + draw(d->n_zones);
    const bool near = one_in(2);

    d->n_cores = 1 + draw(CORES);
    d->n_cpus = d->n_cores * threads;
    for (uint32_t c = 0; c < d->n_cores; c++) {
        const uint32_t zone = c * with_cpus / d->n_cores;
        uint32_t lowest = TOPO_NONE;

        for (uint32_t t = 0; t < threads; t++) {
            const uint32_t cpu = near ? c * threads + t : c + t * d->n_cores;
            const bool offline = one_in(20);

            lowest = offline || lowest != TOPO_NONE ? lowest : cpu;
            d->cpu[cpu] = (struct topo_cpu){.zone = (uint16_t)(offline ? TOPO_NONE : zone),
                                            .socket = (uint16_t)d->socket[zone],
                                            .core = (uint16_t)lowest,
                                            .l3 = (uint16_t)(zone * 100 + c / in_l3)};
            d->reserved[cpu] = !offline && one_in(10);
            d->owner[cpu] = NOBODY;
        }
    }
    for (uint32_t z = 0; z < d->n_zones; z++) {
        bool has_cpus = false;

        for (uint32_t c = 0; c < d->n_cpus; c++)
            has_cpus = has_cpus || d->cpu[c].zone == z;
        if (!has_cpus)
            d->socket[z] = TOPO_NONE;
    }
}

/* Groups of neighbours. Something is kept back, else the memory manager would not have started. */
static void draw_memory(struct drawn *d)
{
    d->memory_static = !one_in(3);
    for (uint32_t z = 0, first = 0; z < d->n_zones; z++) {
        uint64_t huge = 0;

        first = one_in(3) ? first : z;
        for (uint32_t k = first; k <= z; k++)
            d->cells[k] = ((UINT64_C(1) << (z + 1)) - 1) >> first << first;
        d->assignments[z] = draw(5);
        for (uint32_t t = TYPES; t-- > 0;) {
            d->has[z][t] = t == 0 || !d->memory_static || !one_in(4);
            d->total[z][t] = d->has[z][t] ? page_bytes[t] * draw(t ? 20 : 1) : 0;
            huge += d->total[z][t];
            if (t == 0)
                d->total[z][t] = huge + (UINT64_C(1) << 30) + draw(1 << 30);
            d->allocatable[z][t] = d->total[z][t] - (t == 0 ? huge : 0);
            if (t == 0 && d->memory_static)
                d->allocatable[z][t] -= 1 + draw(1 << 20);
            d->free[z][t] = d->allocatable[z][t];
            if (d->memory_static && d->free[z][t])
                d->free[z][t] -= page_bytes[t] * draw(d->free[z][t] / page_bytes[t] + 1);
        }
    }
}

static uint64_t draw_zone_set(const struct drawn *d)
{
    const uint64_t all = (UINT64_C(1) << d->n_zones) - 1;

    return one_in(4) ? draw(all + 1) : UINT64_C(1) << draw(d->n_zones);
}

static void draw_devices(struct drawn *d)
{
    static const char *const resources[] = {"nvidia.com/gpu", "a.io/b", "a.io/a"};

    d->n_pci = draw(PCI + 1);
    d->n_devices = d->n_pci + draw(DEVICES - PCI + 1);
    for (uint32_t i = 0; i < d->n_devices; i++) {
        const bool gpu = i % 2 == 0; /* of those on PCI; the others are ports */
        const uint32_t resource = draw(3);
        const uint64_t zones = draw_zone_set(d);
        const bool nowhere = one_in(6), elsewhere = one_in(8), broken = one_in(5);

        d->device[i] = (struct kube_nrt_device){
            .resource =
                str_of(i < d->n_pci ? (gpu ? resources[0] : "x.io/port") : resources[resource]),
            .id = i >= d->n_pci ? text("d\"", i * 7919 % 100, "")
                  : gpu         ? text("GPU-", 9 - i, "")
                                : text("0000:", i, ":00.0"),
            .zones = nowhere ? 0 : zones,
            .elsewhere = elsewhere,
            .healthy = !broken};
        d->holder[i] = NOBODY;
    }
    for (uint32_t i = 0; i < d->n_pci; i++) {
        for (uint32_t k = 0; k < i; k++)
            d->mbs[i * d->n_pci + k] = d->mbs[k * d->n_pci + i] =
                i % 2 == 0 && k % 2 == 0 && one_in(2) ? 1 + draw(500000) : 0;
    }
}

static void draw_holders(struct drawn *d)
{
    d->n_holdings = draw(HOLDINGS + 1);
    for (uint32_t c = 0; d->n_holdings && c < d->n_cpus; c++) {
        if (d->cpu[c].zone != TOPO_NONE && !d->reserved[c] && one_in(2))
            d->owner[c] = draw(d->n_holdings);
    }
    for (uint32_t i = 0; d->n_holdings && i < d->n_devices; i++) {
        if (one_in(2))
            d->holder[i] = draw(d->n_holdings);
    }
}

static void draw_all(struct drawn *d)
{
    memset(d, 0, sizeof(*d));
    for (uint32_t k = 0; k < 4; k++)
        d->kubelet[k] = draw(k == 0 ? 4 : 2);
    draw_zones(d);
    draw_cpus(d);
    draw_memory(d);
    draw_devices(d);
    draw_holders(d);
}

/* --- the publication --- */

/* The CPUs that `is_one` picks, as a list. */
static struct str list_cpus(const struct drawn *d,
                            bool (*is_one)(const struct drawn *d, uint32_t cpu, uint32_t of),
                            uint32_t of)
{
    uint64_t set[WORDS] = {0};
    struct buf list = {0};
    struct str copy;

    for (uint32_t c = 0; c < d->n_cpus; c++) {
        if (is_one(d, c, of))
            cpuset_add(set, c);
    }
    cpuset_format(&list, set, WORDS);
    assert_int_equal(str_copy(&copy, buf_view(&list), &facts), 0);
    buf_free(&list);
    return copy;
}

static bool is_held_by(const struct drawn *d, uint32_t cpu, uint32_t holding)
{
    return d->owner[cpu] == holding;
}

static bool is_free_in(const struct drawn *d, uint32_t cpu, uint32_t zone)
{
    return d->cpu[cpu].zone == zone && d->owner[cpu] == NOBODY;
}

static bool is_reserved(const struct drawn *d, uint32_t cpu, uint32_t unused)
{
    (void)unused;
    return d->reserved[cpu];
}

static struct topo_pages *pages_of(const struct drawn *d, uint32_t zone)
{
    struct topo_pages *const pages = room(TYPES - 1, sizeof(*pages));

    for (uint32_t t = 1; t < TYPES; t++)
        pages[TYPES - 1 - t] =
            (struct topo_pages){page_bytes[t], d->total[zone][t] / page_bytes[t]};
    return pages;
}

static const struct topo_device *pci_of(const struct drawn *d)
{
    struct topo_device *const list = room(d->n_pci, sizeof(*list));

    for (uint32_t i = 0; i < d->n_pci; i++) {
        struct str *const path = room(2, sizeof(*path));

        const uint32_t zone = draw(d->n_zones), n_path = draw(3), speed = 1 + draw(400000);

        path[0] = text("0000:", draw(2), "");
        path[1] = text("0000:00:", draw(2), ".0");
        list[i] = (struct topo_device){.name = i % 2 ? text("eth", i, "") : text("card", i, ""),
                                       .kind = i % 2 ? TOPO_NIC : TOPO_GPU,
                                       .pci = text("0000:", i, ":00.0"),
                                       .zones = UINT64_C(1) << zone,
                                       .path = path,
                                       .n_path = n_path,
                                       .speed_mbps = i % 2 ? speed : 0};
    }
    return list;
}

static const struct topo_machine *machine_of(const struct drawn *d)
{
    struct topo_machine *const m = room(1, sizeof(*m));
    struct topo_zone *const zones = room(d->n_zones, sizeof(*zones));

    for (uint32_t z = 0; z < d->n_zones; z++)
        zones[z] = (struct topo_zone){.id = d->id[z],
                                      .socket = (uint16_t)d->socket[z],
                                      .memory_bytes = d->total[z][0],
                                      .hugepages = pages_of(d, z),
                                      .n_hugepages = TYPES - 1,
                                      .read_bandwidth_mbs = d->figures[z][0],
                                      .write_bandwidth_mbs = d->figures[z][1],
                                      .read_latency_ns = d->figures[z][2],
                                      .write_latency_ns = d->figures[z][3]};
    *m = (struct topo_machine){.n_zones = d->n_zones,
                               .zones = zones,
                               .distances = {d->n_zones, d->distance},
                               .has_distances = true,
                               .n_cpus = d->n_cpus,
                               .cpus = d->cpu,
                               .n_devices = d->n_pci,
                               .devices = pci_of(d),
                               .link_mbs = d->mbs};
    return m;
}

static const struct kube_nrt_zone_use *use_of(const struct drawn *d)
{
    struct kube_nrt_zone_use *const use = room(d->n_zones, sizeof(*use));

    for (uint32_t z = 0; z < d->n_zones; z++) {
        struct kube_nrt_memory *const memory = room(TYPES, sizeof(*memory));

        use[z] = (struct kube_nrt_zone_use){.has_free_cpus = true,
                                            .free_cpus = list_cpus(d, is_free_in, z)};
        if (!d->memory_static)
            continue;
        use[z].cells = d->cells[z];
        use[z].has_assignments = true;
        use[z].assignments = d->assignments[z];
        use[z].memory = memory;
        for (uint32_t t = 0; t < TYPES; t++) {
            if (d->has[z][t])
                memory[use[z].n_memory++] = (struct kube_nrt_memory){
                    str_of(types[t]), d->total[z][t], d->allocatable[z][t], d->free[z][t]};
        }
    }
    return use;
}

/* A container each: three of them are a pod, two pods a namespace. */
static struct kube_nrt_holding *holdings_of(const struct drawn *d)
{
    struct kube_nrt_holding *const list = room(d->n_holdings, sizeof(*list));

    for (uint32_t h = 0; h < d->n_holdings; h++) {
        struct kube_nrt_device_use *const uses = room(d->n_devices, sizeof(*uses));
        struct kube_nrt_block *const blocks = room(TYPES, sizeof(*blocks));
        const uint32_t n_blocks = draw(TYPES + 1);

        list[h] = (struct kube_nrt_holding){.ns = text("n", h / 6, ""),
                                            .pod = text("p", h / 3, ""),
                                            .uid = text("uid-", h / 3, ""),
                                            .container = text("c", h, ""),
                                            .cpus = list_cpus(d, is_held_by, h),
                                            .blocks = blocks,
                                            .n_blocks = d->memory_static ? n_blocks : 0,
                                            .devices = uses};
        for (uint32_t b = 0; b < list[h].n_blocks; b++) {
            const uint64_t zones = draw_zone_set(d),
                           bytes = page_bytes[b] * draw(b ? 10 : 1U << 31);

            blocks[b] = (struct kube_nrt_block){zones ? zones : 1, str_of(types[b]), bytes};
        }
        for (uint32_t i = 0; i < d->n_devices; i++) {
            if (d->holder[i] == h)
                uses[list[h].n_devices++] =
                    (struct kube_nrt_device_use){d->device[i].resource, d->device[i].id};
        }
    }
    return list;
}

static const struct kube_nrt_attribute *settings_of(const struct drawn *d, uint32_t *out_n)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    const struct kube_nrt_attribute list[] = {
        {STR("topologyManagerPolicy"), str_of(policies[d->kubelet[0]])},
        {STR("topologyManagerScope"), str_of(d->kubelet[1] ? "pod" : "container")},
        {STR("orchestration.gokore.io/cpu-manager-policy"),
         str_of(d->kubelet[2] ? "static" : "none")},
        {STR("orchestration.gokore.io/cpu-manager-policy-options"),
         str_of(d->kubelet[3] ? "full-pcpus-only=true" : "")},
        {STR("orchestration.gokore.io/memory-manager-policy"),
         str_of(d->memory_static ? "Static" : "None")},
        {STR("orchestration.gokore.io/reserved-cpus"), list_cpus(d, is_reserved, 0)},
    };
    struct kube_nrt_attribute *const copy = room(sizeof(list) / sizeof(list[0]), sizeof(*copy));

    *out_n = sizeof(list) / sizeof(list[0]);
    memcpy(copy, list, sizeof(list));
    return copy;
}

static struct kube_nrt_publication publication_of(const struct drawn *d)
{
    uint64_t *const reserved = room(WORDS, sizeof(*reserved));
    struct kube_nrt_pci_name *const names = room(d->n_pci, sizeof(*names));
    const struct topo_machine *const machine = machine_of(d);
    const struct kube_nrt_holding *const holdings = holdings_of(d);
    const uint32_t age_us = draw(1000000), generation = 1 + draw(100);
    struct kube_nrt_publication p = {.machine = machine,
                                     .node = STR("n1"),
                                     .reserved = reserved,
                                     .devices = d->device,
                                     .n_devices = d->n_devices,
                                     .has_devices = true,
                                     .holdings = holdings,
                                     .n_holdings = d->n_holdings,
                                     .has_placements = true,
                                     .use = use_of(d),
                                     .pci_names = names,
                                     .observed_us = noon_us - age_us,
                                     .generation = generation};

    for (uint32_t c = 0; c < d->n_cpus; c++) {
        if (d->reserved[c])
            cpuset_add(reserved, c);
    }
    for (uint32_t i = 0; i < d->n_pci; i += 2) /* ports are known by their addresses */
        names[p.n_pci_names++] =
            (struct kube_nrt_pci_name){d->device[i].id, p.machine->devices[i].pci};
    p.attributes = settings_of(d, &p.n_attributes);
    return p;
}

/* --- reading --- */

static int read_object(void *ctx, const struct kube_document *doc)
{
    struct str *const json = ctx;

    return str_copy(json, doc->json, &objects);
}

static void no_problem(void *ctx, const char *file, uint32_t line, uint32_t column,
                       const char *words)
{
    fail_msg("%s:%u:%u: %s", file, line, column, words);
}

/* The JSON is the YAML's. */
static void decode(struct kube_nrt *out, const struct kube_nrt_publication *p)
{
    struct str from_yaml = {0};
    const struct kube_visitor visitor = {read_object, no_problem, &from_yaml};
    struct buf yaml = {0}, json = {0};
    struct err err = {0};

    kube_nrt_emit(&yaml, p);
    kube_nrt_emit_json(&json, p);
    assert_false(yaml.failed || json.failed);
    char *const padded = test_padded(buf_view(&yaml), 0);
    assert_int_equal(kube_text_visit((struct str){padded, yaml.n}, "x.yaml", &visitor, NULL), 0);
    json_t *const x = json_loadb(from_yaml.p, from_yaml.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *const y = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    assert_true(x && y && json_equal(x, y));
    json_decref(x);
    json_decref(y);
    free(padded);
    char *const body = test_padded(buf_view(&json), '"');
    if (kube_nrt_decode(out, (struct str){body, json.n}, &objects, &err))
        fail_msg("%s\n%s", err.text, json.p);
    free(body);
    buf_free(&yaml);
    buf_free(&json);
}

/* A Node that says the same sums. */
static struct kube_node node_of(const struct drawn *d)
{
    struct pod_amount *const has = arena_array(&objects, 2, sizeof(*has));
    struct pod_amount *const may = arena_array(&objects, 2, sizeof(*may));
    uint32_t resource = 0;

    has[0] = may[0] = (struct pod_amount){.resource = STR("cpu"), .kind = POD_CPU};
    for (uint32_t c = 0; c < d->n_cpus; c++) {
        has[0].amount += d->cpu[c].zone == TOPO_NONE ? 0 : 1000;
        may[0].amount += d->cpu[c].zone == TOPO_NONE || d->reserved[c] ? 0 : 1000;
    }
    has[1] = may[1] = (struct pod_amount){.resource = STR("a.io/a"), .kind = POD_EXTENDED};
    for (uint32_t i = 0; i < d->n_devices; i++) {
        const bool is_one = str_is(d->device[i].resource, "a.io/a");

        resource += is_one;
        has[1].amount += is_one;
        may[1].amount += is_one && d->device[i].healthy;
    }
    const uint32_t n = resource ? 2 : 1;
    return (struct kube_node){.kubelet_version = STR("v1.36.3"),
                              .capacity = has,
                              .allocatable = may,
                              .n_capacity = n,
                              .n_allocatable = n};
}

static void build(struct node_view *out, const struct drawn *d, const struct kube_nrt *nrt)
{
    const struct kube_node node = node_of(d);
    const struct node_inputs in = {
        .name = STR("n1"), .node = &node, .nrt = nrt, .now_us = noon_us, .max_age_us = 2000000};

    arena_rewind(&view, 0);
    assert_int_equal(node_build(out, &in, &view, &scratch), 0);
    if (out->knowledge != NODE_KNOWN)
        fail_msg("%.*s", STR_ARG(out->why_unknown));
}

/* --- comparing --- */

static void same_machine(const struct drawn *d, const struct node_view *v)
{
    assert_int_equal(v->machine.n_zones, d->n_zones);
    assert_true(v->machine.has_distances);
    for (uint32_t z = 0; z < d->n_zones; z++) {
        const struct topo_zone *const zone = &v->machine.zones[z];

        assert_int_equal(zone->id, d->id[z]);
        assert_int_equal(zone->socket, d->socket[z]);
        assert_int_equal(zone->memory_bytes, d->total[z][0]);
        assert_int_equal(zone->read_bandwidth_mbs, d->figures[z][0]);
        assert_int_equal(zone->write_bandwidth_mbs, d->figures[z][1]);
        assert_int_equal(zone->read_latency_ns, d->figures[z][2]);
        assert_int_equal(zone->write_latency_ns, d->figures[z][3]);
        for (uint32_t k = 0; k < d->n_zones; k++)
            assert_int_equal(v->machine.distances.d[z * d->n_zones + k],
                             d->distance[z * d->n_zones + k]);
    }
}

static void same_settings(const struct drawn *d, const struct node_view *v)
{
    assert_int_equal(v->kubelet.policy, d->kubelet[0]);
    assert_int_equal(v->kubelet.scope, d->kubelet[1]);
    assert_int_equal(v->kubelet.cpu_static, d->kubelet[2]);
    assert_int_equal(v->kubelet.cpu_options, d->kubelet[3] ? KUBELET_FULL_PCPUS_ONLY : 0);
    assert_int_equal(v->kubelet.memory_static, d->memory_static);
}

/* The lowest CPU that shares the L3 of this one. */
static uint32_t first_of_l3(const struct drawn *d, uint32_t cpu)
{
    uint32_t c = 0;

    while (d->cpu[c].zone == TOPO_NONE || d->cpu[c].l3 != d->cpu[cpu].l3)
        c++;
    return c;
}

static void same_cpus(const struct drawn *d, const struct node_view *v)
{
    for (uint32_t c = 0; c < d->n_cpus || c < v->machine.n_cpus; c++) {
        const bool is_there = c < d->n_cpus && d->cpu[c].zone != TOPO_NONE;

        if (c >= v->machine.n_cpus) {
            assert_false(is_there);
            continue;
        }
        const struct topo_cpu *const cpu = &v->machine.cpus[c];

        assert_int_equal(cpu->zone, is_there ? d->cpu[c].zone : TOPO_NONE);
        assert_int_equal(cpuset_has(v->state.cpu_free, c), is_there && d->owner[c] == NOBODY);
        assert_int_equal(cpuset_has(v->cpu_reserved, c), is_there && d->reserved[c]);
        if (!is_there)
            continue;
        assert_int_equal(cpu->socket, d->socket[d->cpu[c].zone]);
        assert_int_equal(cpu->core, d->cpu[c].core);
        assert_int_equal(cpu->l3, first_of_l3(d, c));
    }
}

static void same_memory(const struct drawn *d, const struct node_view *v)
{
    for (uint32_t i = 0; i < v->n_memory_types; i++) {
        uint32_t t = 0;

        while (!str_is(v->memory_types[i].name, types[t]))
            assert_true(++t < TYPES);
        for (uint32_t z = 0; z < d->n_zones; z++) {
            const size_t at = (size_t)z * v->n_memory_types + i;
            uint64_t huge = 0;

            for (uint32_t k = 1; t == 0 && k < TYPES; k++)
                huge += d->total[z][k];
            assert_int_equal(v->memory_types[i].lacking >> z & 1, !d->has[z][t]);
            assert_int_equal(v->memory_total[at], d->total[z][t]);
            assert_int_equal(v->memory_allocatable[at], d->allocatable[z][t]);
            assert_int_equal(v->memory_system[at], d->total[z][t] - huge - d->allocatable[z][t]);
            assert_int_equal(v->state.memory_free[at], d->free[z][t]);
            assert_int_equal(v->state.memory_reserved[at], d->allocatable[z][t] - d->free[z][t]);
        }
    }
    for (uint32_t t = 0; t < TYPES; t++) {
        bool known = false, any = t == 0;

        for (uint32_t i = 0; i < v->n_memory_types; i++)
            known = known || str_is(v->memory_types[i].name, types[t]);
        for (uint32_t z = 0; z < d->n_zones; z++)
            any = any || (d->memory_static ? d->has[z][t] : d->total[z][t] > 0);
        assert_int_equal(known, any);
    }
    for (uint32_t z = 0; d->memory_static && z < d->n_zones; z++) {
        assert_int_equal(v->state.assignments[z], d->assignments[z]);
        assert_int_equal(v->state.cells[z], d->cells[z]);
    }
}

/* Where the device stands in the view. */
static uint32_t find_device(const struct node_view *v, struct str resource, struct str id)
{
    for (uint32_t r = 0; r < v->n_resources; r++) {
        const struct node_resource *const from = &v->resources[r];

        for (uint32_t i = from->first; i < from->first + from->n; i++) {
            if (str_eq(from->name, resource) && str_eq(v->devices[i].id, id))
                return i;
        }
    }
    fail_msg("no device %.*s", STR_ARG(id));
    return 0;
}

static void same_devices(const struct drawn *d, const struct kube_nrt_publication *p,
                         const struct node_view *v)
{
    uint32_t at[DEVICES];

    assert_int_equal(v->n_devices, d->n_devices);
    for (uint32_t i = 0; i < d->n_devices; i++) {
        at[i] = find_device(v, d->device[i].resource, d->device[i].id);
        const struct node_device *const one = &v->devices[at[i]];

        assert_int_equal(one->zones, d->device[i].zones);
        assert_int_equal(one->elsewhere, d->device[i].elsewhere);
        assert_int_equal(one->healthy, d->device[i].healthy);
        assert_int_equal(cpuset_has(v->state.device_held, at[i]), d->holder[i] != NOBODY);
        assert_int_equal(one->kind, i >= d->n_pci ? NODE_DEVICE_OTHER
                                    : i % 2       ? NODE_DEVICE_NIC
                                                  : NODE_DEVICE_GPU);
        if (i < d->n_pci && i % 2)
            assert_int_equal(v->nics[one->nic - 1].capacity,
                             UINT64_C(1000000) * p->machine->devices[i].speed_mbps);
    }
    for (uint32_t i = 0; i < d->n_pci; i++) {
        for (uint32_t k = 0; k < d->n_pci; k++)
            assert_int_equal(node_device_link(v, at[i], at[k]), topo_device_link(p->machine, i, k));
    }
}

static void same_holding(const struct drawn *d, const struct kube_nrt_holding *from, uint32_t h,
                         const struct node_view *v, const struct node_holding *to)
{
    for (uint32_t c = 0; c < v->machine.n_cpus; c++)
        assert_int_equal(to->cpus && cpuset_has(to->cpus, c), d->owner[c] == h);
    for (uint32_t i = 0; i < d->n_devices; i++) {
        const uint32_t at = find_device(v, d->device[i].resource, d->device[i].id);

        assert_int_equal(to->devices && cpuset_has(to->devices, at), d->holder[i] == h);
    }
    for (uint32_t b = 0, k; b < from->n_blocks; b++) {
        for (k = 0; k < to->n_blocks; k++) {
            if (str_eq(v->memory_types[to->blocks[k].type].name, from->blocks[b].type))
                break;
        }
        if (k == to->n_blocks) { /* no zone has the type */
            for (uint32_t t = 0; t < v->n_memory_types; t++)
                assert_false(str_eq(v->memory_types[t].name, from->blocks[b].type));
            continue;
        }
        assert_int_equal(to->blocks[k].zones, from->blocks[b].zones);
        assert_int_equal(to->blocks[k].bytes, from->blocks[b].bytes);
    }
}

/* Whether the report has the container; a kubelet forgets those that hold nothing (`all` false). */
static bool is_reported(const struct kube_nrt_holding *h, bool all)
{
    return all || h->cpus.n || h->n_blocks || h->n_devices;
}

static void same_pods(const struct drawn *d, const struct kube_nrt_holding *from, bool all,
                      const struct node_view *v)
{
    uint32_t found = 0, reported = 0, pods = 0;

    for (uint32_t h = 0, last = HOLDINGS; h < d->n_holdings; h++) {
        const bool is_one = is_reported(&from[h], all);

        reported += is_one;
        pods += is_one && h / 3 != last;
        last = is_one ? h / 3 : last;
    }
    assert_int_equal(v->n_pods, pods);
    assert_int_equal(v->n_unplaced, 0);
    for (uint32_t i = 0; i < v->n_pods; i++) {
        const struct node_pod *const pod = &v->pods[i];

        assert_int_equal(pod->placement, NODE_POD_OBSERVED);
        for (uint32_t h = 0; h < d->n_holdings; h++) {
            if (!str_eq(from[h].uid, pod->uid))
                continue;
            assert_true(str_eq(from[h].ns, pod->ns) && str_eq(from[h].pod, pod->name));
            for (uint32_t k = 0; k < pod->n_holdings; k++) {
                if (str_eq(pod->holdings[k].container, from[h].container)) {
                    same_holding(d, &from[h], h, v, &pod->holdings[k]);
                    found++;
                }
            }
        }
    }
    assert_int_equal(found, reported);
}

/* --- the rules --- */

static void what_is_published_is_read_back(const struct drawn *d,
                                           const struct kube_nrt_publication *p)
{
    struct kube_nrt nrt;
    struct node_view v;

    arena_rewind(&objects, 0);
    decode(&nrt, p);
    build(&v, d, &nrt);
    assert_int_equal(v.assumed, 0);
    assert_int_equal(v.observed_us, p->observed_us);
    assert_int_equal(nrt.generation, p->generation);
    for (uint32_t z = 0; z < d->n_zones; z++)
        assert_true(nrt.zones[z].has_free_cpus);
    same_machine(d, &v);
    same_settings(d, &v);
    same_cpus(d, &v);
    same_memory(d, &v);
    same_devices(d, p, &v);
    same_pods(d, p->holdings, true, &v);
}

static void same_amounts(const struct kube_nrt_resource *r, int64_t capacity, int64_t allocatable,
                         int64_t available)
{
    assert_true(r->has_capacity);
    assert_int_equal(r->capacity, capacity);
    assert_int_equal(r->allocatable, allocatable);
    assert_int_equal(r->available, available);
}

static void same_cpu_amounts(const struct drawn *d, uint32_t zone,
                             const struct kube_nrt_resource *r)
{
    int64_t all = 0, may = 0, free = 0;

    for (uint32_t c = 0; c < d->n_cpus; c++) {
        const bool here = d->cpu[c].zone == zone, ours = here && !d->reserved[c];

        all += here ? 1000 : 0;
        may += ours ? 1000 : 0;
        free += ours && d->owner[c] == NOBODY ? 1000 : 0;
    }
    same_amounts(r, all, may, free);
}

static void same_device_amounts(const struct drawn *d, uint32_t zone,
                                const struct kube_nrt_resource *r)
{
    int64_t all = 0, healthy = 0, free = 0;

    for (uint32_t i = 0; i < d->n_devices; i++) {
        const bool here = str_eq(d->device[i].resource, r->name) && d->device[i].zones >> zone & 1;

        all += here;
        healthy += here && d->device[i].healthy;
        free += here && d->device[i].healthy && d->holder[i] == NOBODY;
    }
    assert_true(all > 0);
    same_amounts(r, all, healthy, free);
}

/* Whoever knows nothing of our attributes reads resources alone. */
static void what_is_available_is_what_is_free(const struct drawn *d,
                                              const struct kube_nrt_publication *from)
{
    struct kube_nrt_publication p = *from;
    struct kube_nrt nrt;
    struct node_view v;

    arena_rewind(&objects, 0);
    p.use = NULL;
    decode(&nrt, &p);
    build(&v, d, &nrt);
    same_cpus(d, &v);
    for (uint32_t z = 0; z < d->n_zones; z++) {
        assert_false(nrt.zones[z].has_free_cpus);
        for (uint32_t i = 0; i < nrt.zones[z].n_resources; i++) {
            const struct kube_nrt_resource *const r = &nrt.zones[z].resources[i];

            if (r->kind == POD_CPU)
                same_cpu_amounts(d, z, r);
            if (r->kind == POD_EXTENDED)
                same_device_amounts(d, z, r);
            for (uint32_t t = 0; t < v.n_memory_types; t++) {
                const size_t at = z * v.n_memory_types + t;

                if (str_eq(v.memory_types[t].name, r->name))
                    same_amounts(r, (int64_t)v.memory_total[at], (int64_t)v.memory_allocatable[at],
                                 (int64_t)v.state.memory_free[at]);
            }
        }
    }
}

/* The pods of `from` but the first one, whose name the kubelet has forgotten. */
static void what_an_ended_pod_held_is_free(const struct drawn *d,
                                           const struct kube_nrt_publication *from)
{
    struct kube_nrt_publication p = *from;
    struct kube_nrt_holding *const holdings = room(p.n_holdings, sizeof(*holdings));
    struct score_pod *const pods = room(HOLDINGS, sizeof(*pods));
    const struct score_pod *list[HOLDINGS];
    struct node_inputs in = {
        .name = STR("n1"), .pods = list, .now_us = noon_us, .pods_known = true};
    struct kube_nrt nrt;
    struct node_view v;

    arena_rewind(&objects, 0);
    for (uint32_t h = 0; h < p.n_holdings; h++) {
        holdings[h] = p.holdings[h];
        if (h < 3) {
            holdings[h].ns = holdings[h].pod = (struct str){0};
        } else if (h % 3 == 0) {
            pods[h] = (struct score_pod){
                .ns = holdings[h].ns, .name = holdings[h].pod, .uid = holdings[h].uid};
            list[in.n_pods++] = &pods[h];
        }
    }
    p.holdings = holdings;
    decode(&nrt, &p);
    in.nrt = &nrt;
    arena_rewind(&view, 0);
    assert_int_equal(node_build(&v, &in, &view, &scratch), 0);
    assert_int_equal(v.knowledge, NODE_KNOWN);
    assert_int_equal(v.n_pods, in.n_pods);
    for (uint32_t c = 0; c < v.machine.n_cpus; c++)
        assert_int_equal(cpuset_has(v.state.cpu_free, c),
                         d->cpu[c].zone != TOPO_NONE && (d->owner[c] == NOBODY || d->owner[c] < 3));
    for (uint32_t i = 0; i < d->n_devices; i++)
        assert_int_equal(cpuset_has(v.state.device_held,
                                    find_device(&v, d->device[i].resource, d->device[i].id)),
                         d->holder[i] != NOBODY && d->holder[i] >= 3);
}

/* `n` elements in another order. */
static const void *shuffled(const void *from, uint32_t n, size_t size)
{
    char *const list = room(n, size);

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t k = draw(i + 1);

        memmove(list + i * size, list + k * size, size);
        memcpy(list + k * size, (const char *)from + i * size, size);
    }
    return list;
}

static void another_order_gives_the_same_bytes(const struct kube_nrt_publication *from)
{
    struct kube_nrt_publication p = *from;
    struct kube_nrt_holding *const holdings = room(p.n_holdings, sizeof(*holdings));
    struct buf one = {0}, other = {0};

    for (uint32_t h = 0; h < p.n_holdings; h++) {
        holdings[h] = p.holdings[h];
        holdings[h].blocks =
            shuffled(holdings[h].blocks, holdings[h].n_blocks, sizeof(*holdings[h].blocks));
        holdings[h].devices =
            shuffled(holdings[h].devices, holdings[h].n_devices, sizeof(*holdings[h].devices));
    }
    p.holdings = shuffled(holdings, p.n_holdings, sizeof(*p.holdings));
    p.devices = shuffled(p.devices, p.n_devices, sizeof(*p.devices));
    p.pci_names = shuffled(p.pci_names, p.n_pci_names, sizeof(*p.pci_names));
    kube_nrt_emit_json(&one, from);
    kube_nrt_emit_json(&other, &p);
    assert_string_equal(one.p, other.p);
    buf_free(&one);
    buf_free(&other);
}

/* --- from the files of a kubelet --- */

static char kubelet_dir[64], plugins[128];

static void write_file(const char *name, struct buf *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", kubelet_dir, name);
    FILE *const f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
    assert_int_equal(fclose(f), 0);
    buf_free(text);
}

static void write_config(const struct drawn *d)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    const struct str reserved = list_cpus(d, is_reserved, 0);
    struct buf out = {0};

    buf_printf(&out,
               "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
               "cpuManagerPolicy: static\nmemoryManagerPolicy: %s\n"
               "topologyManagerPolicy: %s\ntopologyManagerScope: %s\n",
               d->memory_static ? "Static" : "None", policies[d->kubelet[0]],
               d->kubelet[1] ? "pod" : "container");
    if (d->kubelet[3])
        buf_text(&out, "cpuManagerPolicyOptions:\n  full-pcpus-only: \"true\"\n");
    if (reserved.n)
        buf_printf(&out, "reservedSystemCPUs: \"%.*s\"\n", STR_ARG(reserved));
    write_file("config.yaml", &out);
}

static bool is_shared(const struct drawn *d, uint32_t cpu, uint32_t unused)
{
    (void)unused;
    return d->cpu[cpu].zone != TOPO_NONE && d->owner[cpu] == NOBODY;
}

/* The containers of a pod come one after the other. */
static void begin_container(struct buf *out, const struct kube_nrt_holding *h, struct str *last)
{
    if (!str_eq(*last, h->uid))
        buf_printf(out, "%s\"%.*s\":{", last->n ? "}," : "", STR_ARG(h->uid));
    else
        buf_text(out, ",");
    buf_printf(out, "\"%.*s\":", STR_ARG(h->container));
    *last = h->uid;
}

static void write_cpu_state(const struct drawn *d, const struct kube_nrt_publication *p)
{
    struct buf out = {0};
    struct str last = {0};

    buf_printf(&out, "{\"policyName\":\"static\",\"defaultCpuSet\":\"%.*s\",\"entries\":{",
               STR_ARG(list_cpus(d, is_shared, 0)));
    for (uint32_t h = 0; h < p->n_holdings; h++) {
        if (p->holdings[h].cpus.n == 0)
            continue;
        begin_container(&out, &p->holdings[h], &last);
        buf_printf(&out, "\"%.*s\"", STR_ARG(p->holdings[h].cpus));
    }
    buf_text(&out, last.n ? "}},\"checksum\":1}" : "},\"checksum\":1}");
    write_file("cpu_manager_state", &out);
}

static void put_ids(struct buf *out, const struct drawn *d, uint64_t zones)
{
    const char *comma = "";

    buf_text(out, "[");
    for (uint64_t z = zones; z; z &= z - 1) {
        buf_printf(out, "%s%u", comma, d->id[__builtin_ctzll(z)]);
        comma = ",";
    }
    buf_text(out, "]");
}

static void put_table(struct buf *out, const struct drawn *d, uint32_t z)
{
    uint64_t huge = 0;

    for (uint32_t t = TYPES; t-- > 0;) {
        const unsigned long long total = d->total[z][t], usable = d->allocatable[z][t],
                                 free = d->free[z][t], others = t == 0 ? huge : 0;

        huge += d->total[z][t];
        if (d->has[z][t])
            buf_printf(out,
                       "\"%s\":{\"total\":%llu,\"systemReserved\":%llu,\"allocatable\":%llu,"
                       "\"reserved\":%llu,\"free\":%llu}%s",
                       types[t], total, total - usable - others, usable, usable - free, free,
                       t ? "," : "");
    }
}

static void put_machine_state(struct buf *out, const struct drawn *d)
{
    for (uint32_t z = 0; d->memory_static && z < d->n_zones; z++) {
        buf_printf(out, "%s\"%u\":{\"numberOfAssignments\":%u,\"memoryMap\":{", z ? "," : "",
                   d->id[z], d->assignments[z]);
        put_table(out, d, z);
        buf_text(out, "},\"cells\":");
        put_ids(out, d, d->cells[z]);
        buf_text(out, "}");
    }
}

static void put_blocks(struct buf *out, const struct drawn *d, const struct kube_nrt_holding *h)
{
    buf_text(out, "[");
    for (uint32_t b = 0; b < h->n_blocks; b++) {
        buf_printf(out, "%s{\"numaAffinity\":", b ? "," : "");
        put_ids(out, d, h->blocks[b].zones);
        buf_printf(out, ",\"type\":\"%.*s\",\"size\":%llu}", STR_ARG(h->blocks[b].type),
                   (unsigned long long)h->blocks[b].bytes);
    }
    buf_text(out, "]");
}

static void write_memory_state(const struct drawn *d, const struct kube_nrt_publication *p)
{
    struct buf out = {0};
    struct str last = {0};

    buf_printf(&out, "{\"policyName\":\"%s\",\"machineState\":{",
               d->memory_static ? "Static" : "None");
    put_machine_state(&out, d);
    buf_text(&out, "},\"entries\":{");
    for (uint32_t h = 0; h < p->n_holdings; h++) {
        if (p->holdings[h].n_blocks == 0)
            continue;
        begin_container(&out, &p->holdings[h], &last);
        put_blocks(&out, d, &p->holdings[h]);
    }
    buf_text(&out, last.n ? "}},\"checksum\":1}" : "},\"checksum\":1}");
    write_file("memory_manager_state", &out);
}

/* The agent asks the API server for the names of pods. */
static const struct kube_nrt_holding *with_names(const struct agent_facts *f,
                                                 const struct kube_nrt_publication *p)
{
    struct kube_nrt_holding *const list = room(f->n_holdings, sizeof(*list));

    for (uint32_t i = 0; i < f->n_holdings; i++) {
        uint32_t h = 0;

        list[i] = f->holdings[i];
        while (!str_eq(p->holdings[h].uid, list[i].uid))
            assert_true(++h < p->n_holdings);
        list[i].ns = p->holdings[h].ns;
        list[i].pod = p->holdings[h].pod;
    }
    return list;
}

/* Nobody has registered a device: whose zones they are, only its socket tells. */
static void what_a_kubelet_keeps_is_read_back(struct drawn *d)
{
    struct agent_paths paths;
    struct agent_facts f;
    struct kube_nrt nrt;
    struct node_view v;
    struct err err = {0};

    d->n_pci = d->n_devices = 0;
    d->kubelet[2] = 1; /* else no CPU would be held */
    const struct kube_nrt_publication from = publication_of(d);
    write_config(d);
    write_cpu_state(d, &from);
    write_memory_state(d, &from);
    assert_int_equal(agent_paths_under(&paths, kubelet_dir, plugins, &facts), 0);
    paths.podresources = NULL;
    if (agent_read(&f, &paths, from.machine, &facts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(f.lacking.n, 0);
    const struct kube_nrt_publication p = {.machine = from.machine,
                                           .node = from.node,
                                           .attributes = f.attributes,
                                           .n_attributes = f.n_attributes,
                                           .reserved = f.reserved,
                                           .devices = f.devices,
                                           .n_devices = f.n_devices,
                                           .has_devices = f.has_devices,
                                           .holdings = with_names(&f, &from),
                                           .n_holdings = f.n_holdings,
                                           .has_placements = f.has_holdings,
                                           .use = f.zones};
    arena_rewind(&objects, 0);
    decode(&nrt, &p);
    build(&v, d, &nrt);
    assert_int_equal(v.assumed, 0);
    same_machine(d, &v);
    same_settings(d, &v);
    same_cpus(d, &v);
    same_memory(d, &v);
    same_pods(d, from.holdings, false, &v);
}

static void enter_directory(void)
{
    const char *const tmp = getenv("TMPDIR");

    (void)snprintf(kubelet_dir, sizeof(kubelet_dir), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(kubelet_dir));
    (void)snprintf(plugins, sizeof(plugins), "%s/device-plugins", kubelet_dir);
    assert_int_equal(mkdir(plugins, 0700), 0);
}

static void leave_directory(void)
{
    static const char *const names[] = {"/device-plugins", "/config.yaml", "/cpu_manager_state",
                                        "/memory_manager_state", ""};
    char path[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", kubelet_dir, names[i]);
        assert_int_equal(remove(path), 0);
    }
}

/* --- the whole --- */

static void a_machine_in_use_is_read_back_as_it_was_published(void **state)
{
    enter_directory();
    seed = test_seed(20261126);
    for (int i = 0; i < ROUNDS; i++) {
        arena_rewind(&facts, 0);
        draw_all(&now);
        const struct kube_nrt_publication p = publication_of(&now);

        what_is_published_is_read_back(&now, &p);
        what_is_available_is_what_is_free(&now, &p);
        what_an_ended_pod_held_is_free(&now, &p);
        another_order_gives_the_same_bytes(&p);
        if (i % FILES_EVERY == 0)
            what_a_kubelet_keeps_is_read_back(&now);
    }
    leave_directory();
}

int main(void)
{
    struct arena *const all[] = {&facts, &objects, &view, &scratch};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_in_use_is_read_back_as_it_was_published),
    };

    for (size_t i = 0; i < 4; i++)
        arena_init(all[i], malloc(ROOM), ROOM);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < 4; i++) {
        arena_rewind(all[i], 0);
        free(all[i]->base);
    }
    return failed;
}
