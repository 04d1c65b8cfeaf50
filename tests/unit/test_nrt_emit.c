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
    struct buf pci;   /* the attribute */
    char owners[256]; /* JSON; empty: none */
    uint32_t objects;
    struct arena arena;
};

static int read_object(void *ctx, const struct kube_document *doc)
{
    struct reading *const r = ctx;
    struct err err = {0};
    json_t *const json = json_loadb(doc->json.p, doc->json.n, 0, NULL);
    json_t *attribute;
    size_t i;

    assert_non_null(json);
    char *const owners = json_dumps(
        json_object_get(json_object_get(json, "metadata"), "ownerReferences"), JSON_COMPACT);
    (void)snprintf(r->owners, sizeof(r->owners), "%s", owners ? owners : "");
    free(owners);
    json_array_foreach(json_object_get(json, "attributes"), i, attribute)
    {
        if (strcmp(json_string_value(json_object_get(attribute, "name")),
                   "orchestration.gokore.io/pci") == 0)
            buf_text(&r->pci, json_string_value(json_object_get(attribute, "value")));
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

    *r = (struct reading){0};
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

static void assert_resource(const struct kube_nrt_zone *z, const char *name, int64_t capacity,
                            int64_t allocatable)
{
    const struct kube_nrt_resource *const r = resource(z, name);

    assert_non_null(r);
    assert_int_equal(r->capacity, capacity);
    assert_int_equal(r->allocatable, allocatable);
    assert_int_equal(r->available, allocatable);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
