/* SPDX-License-Identifier: Apache-2.0 */
/* What is published is read back by the decoder of every NodeResourceTopology. */
#include "tests/support/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/file.h"
#include "kube/nrt_emit.h"
#include "kube/object.h"
#include "topology/model.h"

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* Zone 0: cores 0,2 and 1,3, CPU 4 is offline; 512 pages of 2 MiB. Zone 9: memory only. */
static const struct topo_pages pages[] = {{2097152, 512}, {1073741824, 0}};
static const struct topo_pages no_pages[] = {{2097152, 0}, {1073741824, 0}};
static const struct topo_zone zones[] = {
    {.id = 0, .socket = 0, .memory_bytes = 8589934592, .hugepages = pages, .n_hugepages = 2},
    {.id = 9,
     .socket = TOPO_NONE,
     .memory_bytes = 1000000000000,
     .hugepages = no_pages,
     .n_hugepages = 2,
     .read_bandwidth_mbs = 22500,
     .write_latency_ns = 91},
};
static const uint32_t distances[] = {10, 17, 255, 10};
static const struct topo_cpu cpus[] = {
    {0, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 0, 0}, {0, 0, 1, 1}, {TOPO_NONE, 0xffff, 0xffff, 0xffff}};
static const struct str path[] = {T("0000:16"), T("0000:16:00.0")};
static const struct topo_device devices[] = {
    {.name = T("odd \"name\": #\\"),
     .kind = TOPO_GPU,
     .pci = T("0000:17:00.0"),
     .zones = 1,
     .path = path,
     .n_path = 2},
    {.name = T("eth0"), .kind = TOPO_NIC, .pci = T("0000:18:00.0"), .zones = 3, .speed_mbps = 400},
};
static const uint32_t links[] = {0, 25000, 0, 0};
static const struct topo_machine machine = {
    .n_zones = 2,
    .zones = zones,
    .distances = {2, distances},
    .has_distances = true,
    .n_cpus = 5,
    .cpus = cpus,
    .n_devices = 2,
    .devices = devices,
    .link_mbs = links,
};

static char room[1 << 18];

struct reading {
    struct kube_nrt nrt;
    struct buf pci, placements, devices; /* attributes */
    char owners[256];                    /* JSON; empty: none */
    uint32_t objects;
    struct arena arena;
    const struct kube_nrt_publication *p;
};

/* JSON says the same of each member as YAML does. */
static void same_as_json(const json_t *yaml, const struct kube_nrt_publication *p)
{
    struct buf text = {0};

    kube_nrt_emit_json(&text, p);
    assert_false(text.failed);
    json_t *const json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_true(json_equal(json, yaml));
    json_decref(json);
    buf_free(&text);
}

static int read_object(void *ctx, const struct kube_document *doc)
{
    struct reading *const r = ctx;
    struct err err = {0};
    json_t *const json = json_loadb(doc->json.p, doc->json.n, 0, NULL);
    json_t *attribute;
    size_t i;

    assert_non_null(json);
    same_as_json(json, r->p);
    char *const owners = json_dumps(
        json_object_get(json_object_get(json, "metadata"), "ownerReferences"), JSON_COMPACT);
    (void)snprintf(r->owners, sizeof(r->owners), "%s", owners ? owners : "");
    free(owners);
    json_array_foreach(json_object_get(json, "attributes"), i, attribute)
    {
        const char *const name = json_string_value(json_object_get(attribute, "name"));
        struct buf *const to = strcmp(name, "orchestration.gokore.io/pci") == 0 ? &r->pci
                               : strcmp(name, "orchestration.gokore.io/placements") == 0
                                   ? &r->placements
                               : strcmp(name, "orchestration.gokore.io/devices") == 0 ? &r->devices
                                                                                      : NULL;

        if (to)
            buf_text(to, json_string_value(json_object_get(attribute, "value")));
    }
    json_decref(json);
    if (kube_nrt_decode(&r->nrt, doc->json, &r->arena, &err) < 0)
        fail_msg("%s", err.text);
    r->objects++;
    return 0;
}

static void no_problem(void *ctx, const char *file, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s:%u:%u: %s", file, line, column, text);
}

static void publish(struct reading *r, const struct kube_nrt_publication *p)
{
    const struct kube_visitor visitor = {read_object, no_problem, r};
    struct buf out = {0};

    *r = (struct reading){.p = p};
    arena_init(&r->arena, room, sizeof(room));
    kube_nrt_emit(&out, p);
    assert_false(out.failed);
    assert_int_equal(kube_text_visit(buf_view(&out), "x.yaml", &visitor, NULL), 0);
    assert_int_equal(r->objects, 1);
    buf_free(&out);
}

static const struct kube_nrt_resource *resource(const struct kube_nrt_zone *z, const char *name)
{
    for (uint32_t i = 0; i < z->n_resources; i++) {
        if (str_is(z->resources[i].name, name))
            return &z->resources[i];
    }
    return NULL;
}

static void assert_used(const struct kube_nrt_zone *z, const char *name, int64_t capacity,
                        int64_t allocatable, int64_t available)
{
    const struct kube_nrt_resource *const r = resource(z, name);

    assert_non_null(r);
    assert_int_equal(r->capacity, capacity);
    assert_int_equal(r->allocatable, allocatable);
    assert_int_equal(r->available, available);
}

static void assert_resource(const struct kube_nrt_zone *z, const char *name, int64_t capacity,
                            int64_t allocatable)
{
    assert_used(z, name, capacity, allocatable, allocatable);
}

static void a_published_machine_is_read_back(void **state)
{
    static const uint64_t reserved[] = {0x2}; /* CPU 1 */
    static const struct kube_nrt_attribute attributes[] = {
        {T("topologyManagerPolicy"), T("single-numa-node")},
        {T("orchestration.gokore.io/reserved-cpus"), T("1")},
    };
    const struct kube_nrt_publication p = {.machine = &machine,
                                           .node = T("a.b-c"),
                                           .attributes = attributes,
                                           .n_attributes = 2,
                                           .reserved = reserved};
    struct reading r;

    publish(&r, &p);
    assert_true(str_is(r.nrt.meta.name, "a.b-c"));
    assert_int_equal(r.nrt.kubelet.policy, KUBELET_POLICY_SINGLE_NUMA_NODE);
    assert_true(str_is(r.nrt.reserved_cpus, "1"));
    assert_int_equal(r.nrt.n_zones, 2);
    const struct kube_nrt_zone *const z = r.nrt.zones;
    assert_int_equal(z[0].id, 0);
    assert_int_equal(z[1].id, 9);
    assert_memory_equal(z[0].costs, &distances[0], 8);
    assert_memory_equal(z[1].costs, &distances[2], 8);
    assert_true(z[0].has_socket);
    assert_false(z[1].has_socket);
    assert_true(str_is(z[0].cpus, "0-3"));
    assert_true(str_is(z[0].cores, "0,2;1,3"));
    assert_true(str_is(z[0].l3, "0,2;1,3"));
    assert_true(str_is(z[1].cpus, ""));
    assert_int_equal(z[1].read_bandwidth_mbs, 22500);
    assert_int_equal(z[1].write_bandwidth_mbs, 0);
    assert_int_equal(z[1].write_latency_ns, 91);
    assert_resource(&z[0], "cpu", 4000, 3000); /* in thousandths; one is reserved */
    assert_resource(&z[1], "cpu", 0, 0);
    assert_resource(&z[0], "memory", 8589934592, 7516192768); /* less 512 * 2 MiB = 1 GiB */
    assert_resource(&z[1], "memory", 1000000000000, 1000000000000);
    assert_resource(&z[0], "hugepages-2Mi", 1073741824, 1073741824);
    assert_resource(&z[1], "hugepages-2Mi", 0, 0);
    assert_null(resource(&z[0], "hugepages-1Gi")); /* the machine has none */
    buf_free(&r.pci);
}

static void devices_are_published_as_json_in_an_attribute(void **state)
{
    const struct kube_nrt_publication p = {.machine = &machine, .node = T("n")};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(
        r.pci.p,
        "{\"odd \\\"name\\\": #\\\\\":{\"kind\":\"gpu\",\"address\":\"0000:17:00.0\","
        "\"path\":[\"0000:16\",\"0000:16:00.0\"],\"zones\":[0],\"links\":{\"eth0\":25000}},"
        "\"eth0\":{\"kind\":\"nic\",\"address\":\"0000:18:00.0\",\"path\":[],\"zones\":[0,9],"
        "\"name\":\"eth0\",\"speed\":400}}");
    buf_free(&r.pci);
}

static void an_attribute_that_is_given_replaces_the_derived_one(void **state)
{
    static const struct kube_nrt_attribute given[] = {
        {T("orchestration.gokore.io/pci"), T("{\"a\": {\"address\": \"x\"}}")}};
    const struct kube_nrt_publication p = {
        .machine = &machine, .node = T("n"), .attributes = given, .n_attributes = 1};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(r.pci.p, "{\"a\": {\"address\": \"x\"}}"); /* once */
    buf_free(&r.pci);
}

static void costs_that_are_not_known_are_not_published(void **state)
{
    struct topo_machine bare = machine;
    const struct kube_nrt_publication p = {.machine = &bare, .node = T("n")};
    struct reading r;

    bare.has_distances = false;
    bare.n_devices = 0;
    publish(&r, &p);
    assert_null(r.nrt.zones[0].costs);
    assert_int_equal(r.pci.n, 0);
}

/* YAML would read these as a number, a boolean or null. */
static void node_names_stay_text(void **state)
{
    static const char *const names[] = {"1", "true", "null", "1e3", "0x10", "no"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct kube_nrt_publication p = {.machine = &machine, .node = str_of(names[i])};
        struct reading r;

        publish(&r, &p);
        assert_true(str_is(r.nrt.meta.name, names[i]));
        buf_free(&r.pci);
    }
}

/* Then it goes when its Node goes. */
static void the_node_owns_the_object_where_its_uid_is_known(void **state)
{
    const struct kube_nrt_publication p = {
        .machine = &machine, .node = STR("n-1"), .owner_uid = STR("6f1e")};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(
        r.owners, "[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n-1\",\"uid\":\"6f1e\"}]");
    buf_free(&r.pci);
    const struct kube_nrt_publication q = {.machine = &machine, .node = STR("n-1")};
    publish(&r, &q);
    assert_string_equal(r.owners, "");
    buf_free(&r.pci);
}

static void names_of_attributes_are_completed(void **state)
{
    struct kube_nrt_attribute a = {T("?"), T("?")};
    struct err err = {0};

    assert_int_equal(kube_nrt_attribute_check(&a, STR("generation"), STR("7"), NULL), 0);
    assert_true(str_is(a.name, "orchestration.gokore.io/generation"));
    assert_int_equal(
        kube_nrt_attribute_check(&a, STR("orchestration.gokore.io/pci"), STR("{}"), NULL), 0);
    assert_true(str_is(a.name, "orchestration.gokore.io/pci"));
    assert_int_equal(kube_nrt_attribute_check(&a, STR("topologyManagerScope"), STR("pod"), NULL),
                     0);
    assert_true(str_is(a.name, "topologyManagerScope"));
    assert_int_equal(kube_nrt_attribute_check(&a, STR("topologyManagerScop"), STR("pod"), &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, "topologyManagerScope"));
    assert_int_equal(kube_nrt_attribute_check(&a, STR("topologyManagerScope"), STR("p"), NULL),
                     -EINVAL);
    assert_true(str_is(a.name, "topologyManagerScope")); /* untouched */
}

/* --- a machine in use --- */

static const struct kube_nrt_block blocks[] = {
    {.zones = 1, .type = T("hugepages-2Mi"), .bytes = 2097152},
    {.zones = 3, .type = T("memory"), .bytes = 8000000000}, /* more than zone 0 has */
    {.zones = 1, .type = T("memory"), .bytes = 516192768},
};
static const struct kube_nrt_device_use uses[] = {{T("x.io/b"), T("1")}, {T("x.io/a"), T("GPU-1")}};
static const struct kube_nrt_holding holdings[] = {
    {.ns = T("z"), .pod = T("p"), .uid = T("u2"), .container = T("c"), .cpus = T("1,3")},
    {.ns = T("a"),
     .pod = T("p"),
     .uid = T("u1"),
     .container = T("d"),
     .blocks = blocks,
     .n_blocks = 3},
    {.ns = T("a"),
     .pod = T("p"),
     .uid = T("u1"),
     .container = T("c"),
     .devices = uses,
     .n_devices = 2},
};
static const struct kube_nrt_device plugins[] = {
    {.resource = T("x.io/b"), .id = T("2"), .zones = 0, .healthy = true},
    {.resource = T("x.io/b"), .id = T("1"), .zones = 3, .healthy = true},
    {.resource = T("x.io/a"), .id = T("GPU-2"), .elsewhere = true},
    {.resource = T("x.io/a"), .id = T("GPU-1"), .zones = 1, .healthy = true},
    {.resource = T("x.io/a"), .id = T("GPU-3"), .zones = 1},
};

static struct kube_nrt_publication in_use(void)
{
    return (struct kube_nrt_publication){.machine = &machine,
                                         .node = T("n"),
                                         .devices = plugins,
                                         .n_devices = 5,
                                         .has_devices = true,
                                         .holdings = holdings,
                                         .n_holdings = 3,
                                         .has_placements = true};
}

static void reading_free(struct reading *r)
{
    buf_free(&r->pci);
    buf_free(&r->placements);
    buf_free(&r->devices);
}

static void what_is_held_is_not_available(void **state)
{
    const struct kube_nrt_publication p = in_use();
    struct reading r;

    publish(&r, &p);
    const struct kube_nrt_zone *const z = r.nrt.zones;
    assert_used(&z[0], "cpu", 4000, 4000, 2000);
    /* zone 0: 8 GiB - 1 GiB of pages, less 516192768 of its own and, of 8e9 in both, the 7e9 left
       there; zone 9 has the 1e9 that remain */
    assert_used(&z[0], "memory", 8589934592, 7516192768, 0);
    assert_used(&z[1], "memory", 1000000000000, 1000000000000, 999000000000);
    assert_used(&z[0], "hugepages-2Mi", 1073741824, 1073741824, 1071644672);
    assert_used(&z[0], "x.io/a", 2, 1, 0); /* GPU-3 is broken, GPU-1 held */
    assert_used(&z[0], "x.io/b", 1, 1, 0);
    assert_used(&z[1], "x.io/b", 1, 1, 0); /* the same one */
    assert_null(resource(&z[1], "x.io/a"));
    assert_false(z[0].has_free_cpus || z[0].has_assignments || z[0].cells || z[0].n_free);
    reading_free(&r);
}

/* Some of the holders are known, or all without their names. */
static void what_is_held_by_nobody_knows_whom_is_not_available(void **state)
{
    struct kube_nrt_publication p = in_use();
    struct reading r;

    p.has_placements = false;
    publish(&r, &p);
    assert_false(r.nrt.has_placements);
    assert_used(&r.nrt.zones[0], "cpu", 4000, 4000, 2000);
    assert_used(&r.nrt.zones[1], "memory", 1000000000000, 1000000000000, 999000000000);
    assert_used(&r.nrt.zones[0], "x.io/a", 2, 1, 0);
    reading_free(&r);
}

static void placements_and_devices_are_sorted(void **state)
{
    struct kube_nrt_publication p = in_use();
    struct kube_nrt_holding turned[] = {holdings[2], holdings[0], holdings[1]};
    struct buf one = {0}, other = {0};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(
        r.placements.p,
        "{\"a/p\":{\"uid\":\"u1\",\"containers\":{"
        "\"c\":{\"devices\":{\"x.io/a\":[\"GPU-1\"],\"x.io/b\":[\"1\"]}},"
        "\"d\":{\"memory\":[{\"zones\":[0],\"type\":\"memory\",\"bytes\":516192768},"
        "{\"zones\":[0,9],\"type\":\"memory\",\"bytes\":8000000000},"
        "{\"zones\":[0],\"type\":\"hugepages-2Mi\",\"bytes\":2097152}]}}},"
        "\"z/p\":{\"uid\":\"u2\",\"containers\":{\"c\":{\"cpus\":\"1,3\"}}}}");
    assert_string_equal(r.devices.p,
                        "{\"x.io/a\":[{\"id\":\"GPU-1\",\"zones\":[0],\"healthy\":true},"
                        "{\"id\":\"GPU-2\",\"zones\":[-1],\"healthy\":false},"
                        "{\"id\":\"GPU-3\",\"zones\":[0],\"healthy\":false}],"
                        "\"x.io/b\":[{\"id\":\"1\",\"zones\":[0,9],\"healthy\":true},"
                        "{\"id\":\"2\",\"zones\":[],\"healthy\":true}]}");
    reading_free(&r);
    kube_nrt_emit(&one, &p);
    p.holdings = turned;
    kube_nrt_emit(&other, &p);
    assert_string_equal(one.p, other.p);
    buf_free(&one);
    buf_free(&other);
}

static void an_empty_machine_lists_nobody(void **state)
{
    const struct kube_nrt_publication p = {
        .machine = &machine, .node = T("n"), .has_devices = true, .has_placements = true};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(r.placements.p, "{}");
    assert_string_equal(r.devices.p, "{}");
    assert_true(r.nrt.has_placements && r.nrt.has_devices);
    reading_free(&r);
}

/* The one that is there and the one that it replaces: a name in `placements` stands for one. */
static void of_two_pods_of_one_name_one_is_listed(void **state)
{
    static const struct kube_nrt_holding both[] = {
        {.ns = T("a"), .pod = T("p"), .uid = T("u2"), .container = T("d"), .cpus = T("3")},
        {.ns = T("a"), .pod = T("p"), .uid = T("u1"), .container = T("c"), .cpus = T("1")},
    };
    struct kube_nrt_publication p = in_use();
    struct reading r;

    p.holdings = both;
    p.n_holdings = 2;
    publish(&r, &p);
    assert_string_equal(r.placements.p,
                        "{\"a/p\":{\"uid\":\"u1\",\"containers\":{\"c\":{\"cpus\":\"1\"}}}}");
    assert_used(&r.nrt.zones[0], "cpu", 4000, 4000, 2000);
    reading_free(&r);
}

/* The kubelet forgets it at the next admission; nobody knows its name any more. */
static void a_pod_that_has_ended_is_listed_by_its_uid(void **state)
{
    static const struct kube_nrt_holding some[] = {
        {.uid = T("u2"), .container = T("c"), .cpus = T("3")},
        {.container = T("c"), .cpus = T("2")}, /* whose this is, cannot be said */
        {.uid = T("u1"), .container = T("c"), .cpus = T("1")},
        {.ns = T("a"), .pod = T("p"), .container = T("c"), .cpus = T("0")},
    };
    struct kube_nrt_publication p = in_use();
    struct reading r;

    p.holdings = some;
    p.n_holdings = 4;
    publish(&r, &p);
    assert_string_equal(r.placements.p,
                        "{\"_/u1\":{\"uid\":\"u1\",\"containers\":{\"c\":{\"cpus\":\"1\"}}},"
                        "\"_/u2\":{\"uid\":\"u2\",\"containers\":{\"c\":{\"cpus\":\"3\"}}},"
                        "\"a/p\":{\"containers\":{\"c\":{\"cpus\":\"0\"}}}}");
    assert_used(&r.nrt.zones[0], "cpu", 4000, 4000, 0);
    reading_free(&r);
}

static void what_the_memory_manager_counts_stands_above_the_machine(void **state)
{
    static const struct kube_nrt_memory memory[] = {
        {T("hugepages-2Mi"), 2097152, 2097152, 0},
        {T("memory"), 8000000000, 7000000000, 6000000000},
    };
    static const struct kube_nrt_zone_use use[] = {
        {.cells = 3,
         .has_assignments = true,
         .has_free_cpus = true,
         .assignments = 7,
         .memory = memory,
         .n_memory = 2,
         .free_cpus = T("0")},
        {.has_free_cpus = true},
    };
    struct kube_nrt_publication p = in_use();
    struct reading r;

    p.use = use;
    p.generation = 12;
    p.observed_us = 1795521600123456; /* 20,781 days and a half since 1970 */
    publish(&r, &p);
    const struct kube_nrt_zone *const z = r.nrt.zones;
    assert_used(&z[0], "memory", 8000000000, 7000000000, 6000000000);
    assert_used(&z[0], "hugepages-2Mi", 2097152, 2097152, 0);
    assert_used(&z[0], "cpu", 4000, 4000, 1000);
    assert_true(str_is(z[0].free_cpus, "0"));
    assert_int_equal(z[0].cells, 3);
    assert_true(z[0].has_assignments && !z[1].has_assignments);
    assert_int_equal(z[0].assignments, 7);
    assert_int_equal(z[0].n_free, 2);
    assert_true(str_is(z[0].free[0].type, "memory"));
    assert_int_equal(z[0].free[0].bytes, 6000000000);
    assert_int_equal(z[0].free[1].bytes, 0);
    assert_true(z[1].has_free_cpus && z[1].free_cpus.n == 0);
    assert_int_equal(z[1].cells, 0);
    assert_int_equal(r.nrt.generation, 12);
    assert_int_equal(r.nrt.observed_us, 1795521600123456);
    reading_free(&r);
}

/* An address with two ids, one that nobody has, and an id that is another device's name. */
static void plugins_name_devices_on_pci(void **state)
{
    static const struct kube_nrt_pci_name names[] = {
        {T("GPU-1::1"), T("0000:17:00.0")}, {T("GPU-1"), T("0000:17:00.0")},
        {T("GPU-9"), T("0000:99:00.0")},    {T("eth0"), T("0000:17:00.0")},
        {T("p0"), T("0000:18:00.0")},
    };
    struct kube_nrt_publication p = {
        .machine = &machine, .node = T("n"), .pci_names = names, .n_pci_names = 5};
    struct reading r;

    publish(&r, &p);
    assert_string_equal(
        r.pci.p,
        "{\"GPU-1\":{\"kind\":\"gpu\",\"address\":\"0000:17:00.0\","
        "\"path\":[\"0000:16\",\"0000:16:00.0\"],\"zones\":[0],\"links\":{\"p0\":25000}},"
        "\"GPU-1::1\":{\"kind\":\"gpu\",\"address\":\"0000:17:00.0\","
        "\"path\":[\"0000:16\",\"0000:16:00.0\"],\"zones\":[0],\"links\":{\"p0\":25000}},"
        "\"p0\":{\"kind\":\"nic\",\"address\":\"0000:18:00.0\",\"path\":[],\"zones\":[0,9],"
        "\"name\":\"eth0\",\"speed\":400}}");
    reading_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_machine_is_read_back),
        cmocka_unit_test(devices_are_published_as_json_in_an_attribute),
        cmocka_unit_test(an_attribute_that_is_given_replaces_the_derived_one),
        cmocka_unit_test(costs_that_are_not_known_are_not_published),
        cmocka_unit_test(node_names_stay_text),
        cmocka_unit_test(the_node_owns_the_object_where_its_uid_is_known),
        cmocka_unit_test(names_of_attributes_are_completed),
        cmocka_unit_test(what_is_held_is_not_available),
        cmocka_unit_test(what_is_held_by_nobody_knows_whom_is_not_available),
        cmocka_unit_test(placements_and_devices_are_sorted),
        cmocka_unit_test(an_empty_machine_lists_nobody),
        cmocka_unit_test(of_two_pods_of_one_name_one_is_listed),
        cmocka_unit_test(a_pod_that_has_ended_is_listed_by_its_uid),
        cmocka_unit_test(what_the_memory_manager_counts_stands_above_the_machine),
        cmocka_unit_test(plugins_name_devices_on_pci),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
