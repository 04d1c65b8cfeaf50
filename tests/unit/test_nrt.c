/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/file.h"
#include "kube/object.h"
#include "tests/support/data.h"
#include "tests/support/test.h"
#include "topology/model.h"

static char room[1 << 20];

struct attempt {
    size_t bytes; /* of the arena */
    struct arena arena;
    struct kube_nrt nrt;
    struct err err;
    int rc;
    uint32_t line, column; /* of the error's field */
};

static int decode(void *ctx, const struct kube_document *doc)
{
    struct attempt *const t = ctx;
    arena_init(&t->arena, room, t->bytes);
    t->rc = kube_nrt_decode(&t->nrt, doc->json, &t->arena, &t->err);
    if (t->rc < 0) {
        const char *const colon = strstr(t->err.text, ": ");
        const struct str field = {t->err.text, colon ? (size_t)(colon - t->err.text) : 0};

        kube_document_locate(doc, field, &t->line, &t->column);
    }
    return 0;
}

static void no_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%u:%u: %s", line, column, text);
}

static struct attempt attempt(const char *yaml, size_t bytes)
{
    struct attempt t = {.bytes = bytes, .rc = 1, .nrt = {.n_zones = 77}};
    const struct kube_visitor visitor = {decode, no_problem, &t};
    char *const padded = test_padded(str_of(yaml), ']');

    assert_int_equal(
        kube_text_visit((struct str){padded, strlen(yaml)}, "nrt.yaml", &visitor, NULL), 0);
    free(padded);
    assert_int_not_equal(t.rc, 1);
    return t;
}

static struct kube_nrt read_nrt(const char *yaml)
{
    const struct attempt t = attempt(yaml, sizeof(room));

    if (t.rc < 0)
        fail_msg("%s", t.err.text);
    return t.nrt;
}

static void refused(const char *yaml, uint32_t line, uint32_t column, const char *text)
{
    const struct attempt t = attempt(yaml, sizeof(room));

    assert_string_equal(t.rc < 0 ? t.err.text : "accepted", text);
    assert_int_equal(t.line, line);
    assert_int_equal(t.column, column);
    assert_int_equal(t.nrt.n_zones, 77); /* untouched */
}

#define HEAD "apiVersion: topology.node.k8s.io/v1alpha2\nkind: NodeResourceTopology\n"

/* As node-feature-discovery's topology updater writes it: zones in any order, names behind. */
static const char nfd[] =
    HEAD "metadata:\n"
         "  name: worker-1\n"
         "  ownerReferences:\n"
         "  - {apiVersion: v1, kind: Namespace, name: nfd, uid: u1}\n"
         "topologyPolicies: [SingleNUMANodePodLevel]\n"
         "attributes:\n"
         "- {name: topologyManagerPolicy, value: single-numa-node}\n"
         "- {name: topologyManagerScope, value: pod}\n"
         "- {name: nodeTopologyPodsFingerprint, value: pfp0v0013ef4}\n"
         "zones:\n"
         "- name: node-2\n"
         "  type: Node\n"
         "  costs:\n"
         "  - {name: node-2, value: 10}\n"
         "  - {name: node-0, value: 21}\n"
         "  - {name: node-7, value: 99}\n"
         "  resources:\n"
         "  - {allocatable: '30', available: '28', capacity: '32', name: cpu}\n"
         "  - {available: 16G, capacity: 64Gi, name: memory}\n"
         "- name: node-0\n"
         "  type: Node\n"
         "  costs:\n"
         "  - {name: node-0, value: 10}\n"
         "  - {name: node-2, value: 31}\n"
         "  resources:\n"
         "  - {name: nvidia.com/gpu, allocatable: 4, available: 1, capacity: 4}\n"
         "  - {name: hugepages-2Mi, allocatable: 4Mi}\n"
         "  - {name: cpu, available: 1500m}\n";

static void what_nfd_writes_is_read(void **state)
{
    const struct kube_nrt nrt = read_nrt(nfd);

    assert_true(str_is(nrt.meta.name, "worker-1"));
    assert_true(nrt.has_policy && nrt.has_scope);
    assert_int_equal(nrt.kubelet.policy, KUBELET_POLICY_SINGLE_NUMA_NODE);
    assert_int_equal(nrt.kubelet.scope, KUBELET_SCOPE_POD);
    assert_int_equal(nrt.kubelet.max_zones, 8);
    assert_int_equal(nrt.unknown_setting.n, 0);
    assert_false(nrt.has_cpu_manager || nrt.has_placements || nrt.has_devices ||
                 nrt.has_topology_options || nrt.has_max_zones || nrt.has_reserved ||
                 nrt.has_generation);
    assert_int_equal(nrt.n_zones, 2);
    assert_int_equal(nrt.zones[0].id, 0);
    assert_int_equal(nrt.zones[1].id, 2);
}

static void costs_stand_in_the_order_of_the_zones(void **state)
{
    const struct kube_nrt nrt = read_nrt(nfd);

    assert_int_equal(nrt.zones[0].costs[0], 10);
    assert_int_equal(nrt.zones[0].costs[1], 31);
    assert_int_equal(nrt.zones[1].costs[0], 21); /* node-7 is not there and skipped */
    assert_int_equal(nrt.zones[1].costs[1], 10);
}

static void resources_have_the_unit_of_their_kind(void **state)
{
    const struct kube_nrt nrt = read_nrt(nfd);
    const struct kube_nrt_resource *const two = nrt.zones[1].resources;
    const struct kube_nrt_resource *const zero = nrt.zones[0].resources;

    assert_int_equal(nrt.zones[1].n_resources, 2);
    assert_int_equal(two[0].kind, POD_CPU);
    assert_int_equal(two[0].capacity, 32000);
    assert_int_equal(two[0].allocatable, 30000);
    assert_int_equal(two[0].available, 28000);
    assert_int_equal(two[1].capacity, INT64_C(64) << 30);
    assert_int_equal(two[1].allocatable, INT64_C(16000000000)); /* missing: as available */
    assert_int_equal(two[1].available, INT64_C(16000000000));
    assert_int_equal(zero[0].kind, POD_EXTENDED);
    assert_int_equal(zero[0].available, 1);
    assert_int_equal(zero[1].kind, POD_HUGEPAGES);
    assert_int_equal(zero[1].capacity, 4 << 20); /* missing: as allocatable */
    assert_int_equal(zero[1].available, 4 << 20);
    assert_int_equal(zero[2].capacity, 1500);
}

static void missing_costs_are_none_or_255(void **state)
{
    const struct kube_nrt nrt =
        read_nrt(HEAD "zones:\n"
                      "- {name: node-0}\n"
                      "- {name: node-1, costs: [{name: node-0, value: 20}]}\n"
                      "- {name: node-3, costs: []}\n");

    assert_null(nrt.zones[0].costs);
    assert_int_equal(nrt.zones[1].costs[0], 20);
    assert_int_equal(nrt.zones[1].costs[1], 10);  /* to itself */
    assert_int_equal(nrt.zones[1].costs[2], 255); /* nothing is said */
    assert_null(nrt.zones[2].costs);
}

/* As resource-topology-exporter does: attributes only, an empty zone still there with cpu 0. */
static void what_resource_topology_exporter_writes_is_read(void **state)
{
    const struct kube_nrt nrt = read_nrt(
        HEAD
        "metadata:\n"
        "  annotations: {k8stopoawareschedwg/rte-update: periodic}\n"
        "  name: worker-2\n"
        "attributes:\n"
        "- {name: topologyManagerPolicy, value: restricted}\n"
        "- {name: topologyManagerScope, value: container}\n"
        "- {name: topologyManagerMaxNUMANodes, value: '12'}\n"
        "- {name: topologyManagerOptionPreferClosestNumaNodes, value: 'true'}\n"
        "- {name: nodeTopologyPodsFingerprintMethod, value: with-exclusive-resources}\n"
        "topologyPolicies: [RestrictedContainerLevel]\n"
        "zones:\n"
        "- {name: node-0, type: Node, resources: [{name: cpu, capacity: '0', allocatable: '0', "
        "available: '0'}]}\n");

    assert_int_equal(nrt.kubelet.policy, KUBELET_POLICY_RESTRICTED);
    assert_int_equal(nrt.kubelet.scope, KUBELET_SCOPE_CONTAINER);
    assert_int_equal(nrt.kubelet.max_zones, 12);
    assert_true(nrt.has_max_zones);
    assert_true(nrt.kubelet.prefer_closest && nrt.has_topology_options);
    assert_int_equal(nrt.zones[0].resources[0].capacity, 0);
}

static void the_deprecated_policy_counts_where_attributes_are_silent(void **state)
{
    static const struct {
        const char *text;
        enum kubelet_policy policy;
        enum kubelet_scope scope;
        bool has_scope;
    } cases[] = {
        {"None", KUBELET_POLICY_NONE, KUBELET_SCOPE_CONTAINER, false},
        {"BestEffort", KUBELET_POLICY_BEST_EFFORT, KUBELET_SCOPE_CONTAINER, false},
        {"BestEffortPodLevel", KUBELET_POLICY_BEST_EFFORT, KUBELET_SCOPE_POD, true},
        {"Restricted", KUBELET_POLICY_RESTRICTED, KUBELET_SCOPE_CONTAINER, false},
        {"RestrictedContainerLevel", KUBELET_POLICY_RESTRICTED, KUBELET_SCOPE_CONTAINER, true},
        {"SingleNUMANodeContainerLevel", KUBELET_POLICY_SINGLE_NUMA_NODE, KUBELET_SCOPE_CONTAINER,
         true},
        {"SingleNUMANodePodLevel", KUBELET_POLICY_SINGLE_NUMA_NODE, KUBELET_SCOPE_POD, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), HEAD "topologyPolicies: [%s]\n", cases[i].text);
        const struct kube_nrt nrt = read_nrt(text);
        assert_true(nrt.has_policy);
        assert_int_equal(nrt.kubelet.policy, cases[i].policy);
        assert_int_equal(nrt.kubelet.scope, cases[i].scope);
        assert_int_equal(nrt.has_scope, cases[i].has_scope);
    }
    const struct kube_nrt nrt =
        read_nrt(HEAD "topologyPolicies: [RestrictedPodLevel]\nattributes:\n"
                      "- {name: topologyManagerPolicy, value: best-effort}\n");
    assert_int_equal(nrt.kubelet.policy, KUBELET_POLICY_BEST_EFFORT);
    assert_int_equal(nrt.kubelet.scope, KUBELET_SCOPE_POD); /* only the list says the scope */
}

static void settings_that_nobody_knows_are_remembered(void **state)
{
    static const struct {
        const char *attribute, *value, *want;
    } cases[] = {
        {"topologyManagerPolicy", "optimal", "topologyManagerPolicy=optimal"},
        {"topologyManagerScope", "node", "topologyManagerScope=node"},
        {"orchestration.gokore.io/cpu-manager-policy", "dynamic",
         "orchestration.gokore.io/cpu-manager-policy=dynamic"},
        {"orchestration.gokore.io/memory-manager-policy", "BestEffort",
         "orchestration.gokore.io/memory-manager-policy=BestEffort"},
        {"orchestration.gokore.io/cpu-manager-policy-options", "full-pcpus-only=true,new=true",
         "new=true"},
        {"orchestration.gokore.io/cpu-manager-policy-options", "full-pcpus-only=maybe",
         "full-pcpus-only=maybe"},
        {"orchestration.gokore.io/topology-manager-policy-options", "other=1", "other=1"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];

        (void)snprintf(text, sizeof(text), HEAD "attributes:\n- {name: %s, value: \"%s\"}\n",
                       cases[i].attribute, cases[i].value);
        const struct kube_nrt nrt = read_nrt(text);
        if (!str_is(nrt.unknown_setting, cases[i].want))
            fail_msg("%.*s", STR_ARG(nrt.unknown_setting));
    }
    assert_true(str_is(read_nrt(HEAD "topologyPolicies: [Other]\n").unknown_setting,
                       "topologyPolicies=Other"));
}

#define OURS "orchestration.gokore.io/"

static const char full[] = HEAD
    "metadata: {name: gpu-0, resourceVersion: '812'}\n"
    "attributes:\n"
    "- {name: topologyManagerPolicy, value: restricted}\n"
    "- {name: topologyManagerScope, value: pod}\n"
    "- {name: " OURS "cpu-manager-policy, value: static}\n"
    "- {name: " OURS "cpu-manager-policy-options, value: "
    "'full-pcpus-only=true,align-by-socket=false,distribute-cpus-across-numa=true'}\n"
    "- {name: " OURS "memory-manager-policy, value: Static}\n"
    "- {name: " OURS "topology-manager-policy-options, value: "
    "'prefer-closest-numa-nodes=true,max-allowable-numa-nodes=10'}\n"
    "- {name: " OURS "reserved-cpus, value: '0,32'}\n"
    "- {name: " OURS "observed-at, value: '2026-11-24T03:02:01.123456Z'}\n"
    "- {name: " OURS "generation, value: '17'}\n"
    "- name: " OURS "placements\n"
    "  value: '{\"ml/b\": {\"uid\": \"u-2\", \"containers\": {\"side\": {}, \"main\": {\"cpus\": "
    "\"2-5\", \"memory\": [{\"zones\": [0, 4], \"type\": \"memory\", \"bytes\": 1073741824}], "
    "\"devices\": {\"nvidia.com/gpu\": [\"GPU-1\", \"GPU-0\"]}}}}, \"ml/a\": {\"uid\": \"u-1\", "
    "\"containers\": {\"main\": {\"cpus\": \"\", \"later\": 1}}}}'\n"
    "- name: " OURS "devices\n"
    "  value: '{\"nvidia.com/gpu\": [{\"id\": \"GPU-1\", \"zones\": [4], \"healthy\": false}, "
    "{\"id\": \"GPU-0\", \"zones\": [0]}], \"a.io/nic\": [{\"id\": \"n\", \"zones\": []}]}'\n"
    "- {name: " OURS "pci, value: '{\"GPU-0\": {\"address\": \"0000:17:00.0\"}}'}\n"
    "zones:\n"
    "- name: node-4\n"
    "  attributes:\n"
    "  - {name: " OURS "memory-cells, value: '0,4'}\n"
    "  - {name: " OURS "read-latency, value: '250'}\n"
    "- name: node-0\n"
    "  attributes:\n"
    "  - {name: " OURS "socket, value: '1'}\n"
    "  - {name: " OURS "cpus, value: '0-15,32-47'}\n"
    "  - {name: " OURS "free-cpus, value: ''}\n"
    "  - {name: " OURS "cores, value: '0,32;1,33'}\n"
    "  - {name: " OURS "l3, value: '0-7,32-39;8-15,40-47'}\n"
    "  - {name: " OURS "memory-cells, value: '4, 0'}\n"
    "  - {name: " OURS "memory-assignments, value: '3'}\n"
    "  - {name: " OURS "memory-free, value: '18446744073709551615'}\n"
    "  - {name: " OURS "hugepages-2Mi-free, value: '4194304'}\n"
    "  - {name: " OURS "read-bandwidth, value: '120000'}\n"
    "  - {name: " OURS "write-bandwidth, value: '110000'}\n"
    "  - {name: " OURS "read-latency, value: '90'}\n"
    "  - {name: " OURS "write-latency, value: '95'}\n"
    "  - {name: " OURS "from-tomorrow, value: x}\n";

static void our_settings_complete_the_node(void **state)
{
    const struct kube_nrt nrt = read_nrt(full);

    assert_true(nrt.has_cpu_manager && nrt.kubelet.cpu_static);
    assert_true(nrt.has_cpu_options);
    assert_int_equal(nrt.kubelet.cpu_options,
                     KUBELET_FULL_PCPUS_ONLY | KUBELET_DISTRIBUTE_ACROSS_NUMA);
    assert_true(nrt.has_memory_manager && nrt.kubelet.memory_static);
    assert_true(nrt.has_topology_options && nrt.kubelet.prefer_closest);
    assert_int_equal(nrt.kubelet.max_zones, 10);
    assert_true(nrt.has_reserved && str_is(nrt.reserved_cpus, "0,32"));
    assert_int_equal(nrt.observed_us, INT64_C(1795489321123456)); /* date -u -d @1795489321 */
    assert_true(nrt.has_generation && nrt.generation == 17);
    assert_int_equal(nrt.unknown_setting.n, 0);
    assert_true(str_is(nrt.meta.resource_version, "812"));
}

static void our_zone_attributes_are_read(void **state)
{
    const struct kube_nrt nrt = read_nrt(full);
    const struct kube_nrt_zone *const z = &nrt.zones[0];

    assert_int_equal(z->id, 0);
    assert_true(z->has_socket && z->socket == 1);
    assert_true(str_is(z->cpus, "0-15,32-47"));
    assert_true(z->has_free_cpus && z->free_cpus.n == 0);
    assert_true(str_is(z->cores, "0,32;1,33"));
    assert_true(str_is(z->l3, "0-7,32-39;8-15,40-47"));
    assert_int_equal(z->cells, 3); /* zones 0 and 4 have index 0 and 1 */
    assert_true(z->has_assignments && z->assignments == 3);
    assert_int_equal(z->n_free, 2);
    assert_true(str_is(z->free[0].type, "memory") && z->free[0].bytes == UINT64_MAX);
    assert_true(str_is(z->free[1].type, "hugepages-2Mi") && z->free[1].bytes == 4194304);
    assert_int_equal(z->read_bandwidth_mbs, 120000);
    assert_int_equal(z->write_bandwidth_mbs, 110000);
    assert_int_equal(z->read_latency_ns, 90);
    assert_int_equal(z->write_latency_ns, 95);
    assert_int_equal(nrt.zones[1].read_latency_ns, 250);
    assert_int_equal(nrt.zones[1].cells, 3);
    assert_false(nrt.zones[1].has_socket || nrt.zones[1].has_free_cpus);
}

static void placements_come_by_pod(void **state)
{
    const struct kube_nrt nrt = read_nrt(full);
    const struct kube_nrt_holding *const h = nrt.holdings;

    assert_true(nrt.has_placements);
    assert_int_equal(nrt.n_holdings, 3);
    assert_true(str_is(h[0].pod, "a") && str_is(h[0].ns, "ml") && str_is(h[0].uid, "u-1"));
    assert_int_equal(h[0].cpus.n, 0);
    assert_true(str_is(h[1].pod, "b") && str_is(h[1].container, "main"));
    assert_true(str_is(h[1].cpus, "2-5"));
    assert_int_equal(h[1].n_blocks, 1);
    assert_int_equal(h[1].blocks[0].zones, 3);
    assert_true(str_is(h[1].blocks[0].type, "memory"));
    assert_int_equal(h[1].blocks[0].bytes, 1073741824);
    assert_int_equal(h[1].n_devices, 2);
    assert_true(str_is(h[1].devices[0].resource, "nvidia.com/gpu"));
    assert_true(str_is(h[1].devices[0].id, "GPU-1"));
    assert_true(str_is(h[2].container, "side") && str_is(h[2].uid, "u-2"));
    assert_int_equal(h[2].n_blocks + h[2].n_devices, 0);
}

static void any_number_of_pods_is_read(void **state)
{
    const struct kube_nrt nrt =
        read_nrt(HEAD "attributes:\n- name: " OURS
                      "placements\n  value: '{\"b/x\": {\"containers\": {\"1\": {}, \"0\": {}}}, "
                      "\"a/z\": {\"containers\": {\"2\": {}}}, \"a/y\": {}, "
                      "\"a/x\": {\"containers\": {\"3\": {}}}}'\n");
    static const char *const want[] = {"3", "2", "0", "1"};

    assert_int_equal(nrt.n_holdings, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(str_is(nrt.holdings[i].container, want[i]));
}

static void devices_come_by_resource_and_id(void **state)
{
    const struct kube_nrt nrt = read_nrt(full);
    const struct kube_nrt_device *const d = nrt.devices;

    assert_true(nrt.has_devices);
    assert_int_equal(nrt.n_devices, 3);
    assert_true(str_is(d[0].resource, "a.io/nic") && d[0].zones == 0 && d[0].healthy);
    assert_true(str_is(d[1].id, "GPU-0") && d[1].zones == 1 && d[1].healthy);
    assert_true(str_is(d[2].id, "GPU-1") && d[2].zones == 2 && !d[2].healthy);
}

/* The kubelet leaves them aside, where a plugin gives a zone that the machine does not have. */
static void devices_may_be_in_zones_that_are_not_there(void **state)
{
    const struct kube_nrt nrt =
        read_nrt(HEAD "attributes:\n- name: " OURS
                      "devices\n  value: '{\"a/b\": [{\"id\": \"x\", \"zones\": [0, 7]}, "
                      "{\"id\": \"y\", \"zones\": [-1]}, {\"id\": \"z\"}]}'\n"
                      "zones:\n- {name: node-0}\n");

    assert_int_equal(nrt.n_devices, 3);
    assert_true(nrt.devices[0].zones == 1 && nrt.devices[0].elsewhere);
    assert_true(nrt.devices[1].zones == 0 && nrt.devices[1].elsewhere);
    assert_true(nrt.devices[2].zones == 0 && !nrt.devices[2].elsewhere);
}

static void errors_name_the_field_and_its_place(void **state)
{
    refused(HEAD "zones:\n- {name: socket-0}\n", 4, 10,
            "zones[0].name: \"socket-0\" is not node-<N>");
    refused(HEAD "zones:\n- {type: Node}\n", 4, 3, "zones[0]: no name");
    refused(HEAD "zones:\n- {name: node-1}\n- {name: node-1}\n", 4, 3,
            "zones[node-1]: given twice");
    refused(HEAD "zones:\n- name: node-0\n  costs: [{name: node-0, value: 300}]\n", 5, 33,
            "zones[0].costs[0].value: a distance is 10..255");
    refused(HEAD "zones:\n- name: node-0\n  resources: [{name: cpu, capacity: 1x}]\n", 5, 37,
            "zones[0].resources[0].capacity: \"1x\" is not a quantity");
    refused(HEAD "zones:\n- name: node-0\n  resources: [{name: cpu}]\n", 5, 15,
            "zones[0].resources[0]: neither capacity nor allocatable nor available");
    refused(HEAD "attributes:\n- name: topologyManagerMaxNUMANodes\n  value: many\n", 4, 3,
            "attributes[topologyManagerMaxNUMANodes]: \"many\" is not an integer");
    refused(HEAD "attributes: [{name: " OURS "observed-at, value: noon}]\n", 3, 14,
            "attributes[" OURS "observed-at]: \"noon\" is not a time (RFC 3339)");
    refused(HEAD
            "zones:\n- {name: node-0}\n- name: node-1\n  attributes:\n  - {name: x, value: z}\n"
            "  - {name: " OURS "memory-cells, value: '1,5'}\n",
            8, 5, "zones[node-1].attributes[" OURS "memory-cells]: \"5\" is not the id of a zone");
    refused(HEAD "zones: [{name: node-0, attributes: [{name: " OURS "memory-free, value: 1Gi}]}]\n",
            3, 37,
            "zones[node-0].attributes[" OURS "memory-free]: \"1Gi\" is not an integer (bytes)");
}

static void sockets_leave_room_for_none(void **state)
{
    refused(HEAD "zones: [{name: node-0, attributes: [{name: " OURS "socket, value: '65535'}]}]\n",
            3, 37,
            "zones[node-0].attributes[" OURS "socket]: \"65535\" is not an integer in range");
}

static void placement(const char *json, const char *text)
{
    struct buf yaml = {0};
    char want[240];

    buf_printf(&yaml,
               HEAD "zones: [{name: node-0}]\nattributes:\n- name: " OURS
                    "placements\n  value: '%s'\n",
               json);
    (void)snprintf(want, sizeof(want), "attributes[" OURS "placements]%s", text);
    refused(yaml.p, 5, 3, want);
    buf_free(&yaml);
}

static void errors_inside_an_attribute_name_the_way_down(void **state)
{
    placement("[]", ": expected an object, found an array");
    placement("null", ": expected an object, found null");
    placement("{\"a/b\": {\"uid\": \"u\", \"uid\": \"u\"}}", "[a/b].uid: given twice");
    placement("{\"a/b\": {\"containers\": {\"c\": {}}}, \"a/b\": {\"containers\": {\"c\": {}}}}",
              "[a/b]: container c is given twice");
    placement("{\"a/b\": {},}", ": offset 11: expected a key");
    placement("{\"a\": {}}", ".a: expected \"namespace/name\"");
    placement("{\"/a\": {}}", "[/a]: expected \"namespace/name\"");
    placement("{\"ml/a\": 5}", "[ml/a]: expected an object, found a number");
    placement("{\"ml/a\": {\"uid\": 5}}", "[ml/a].uid: expected a string, found a number");
    placement("{\"ml/a\": {\"containers\": []}}",
              "[ml/a].containers: expected an object, found an array");
    placement("{\"ml/a\": {\"containers\": {\"main\": 1}}}",
              "[ml/a].containers.main: expected an object, found a number");
    placement("{\"ml/a\": {\"containers\": {\"main\": {\"cpus\": 5}}}}",
              "[ml/a].containers.main.cpus: expected a string, found a number");
    placement("{\"ml/a\": {\"containers\": {\"main\": {\"memory\": [{\"zones\": [0]}]}}}}",
              "[ml/a].containers.main.memory[0]: type is missing");
    placement(
        "{\"ml/a\": {\"containers\": {\"main\": {\"memory\": [{\"type\": \"memory\", \"zones\": "
        "[0, 9]}]}}}}",
        "[ml/a].containers.main.memory[0].zones[1]: there is no such zone");
    placement(
        "{\"ml/a\": {\"containers\": {\"main\": {\"memory\": [{\"type\": \"memory\", \"zones\": "
        "[0], \"bytes\": -1}]}}}}",
        "[ml/a].containers.main.memory[0].bytes: less than nothing");
    placement(
        "{\"ml/a\": {\"containers\": {\"main\": {\"devices\": {\"nvidia.com/gpu\": [5]}}}}}",
        "[ml/a].containers.main.devices[nvidia.com/gpu][0]: expected a string, found a number");
}

static void a_device_given_twice_is_refused(void **state)
{
    refused(HEAD "attributes:\n- name: " OURS
                 "devices\n  value: '{\"a/b\": [{\"id\": \"x\"}, {\"id\": \"x\"}]}'\n",
            4, 3, "attributes[" OURS "devices][a/b]: device x is given twice");
}

/* The API foresees sockets and dies; they are no NUMA zones, whatever they are called. */
static void zones_of_another_type_are_left_out(void **state)
{
    const struct kube_nrt nrt =
        read_nrt(HEAD "zones:\n"
                      "- {name: socket-0, type: Socket, attributes: [{name: x, value: y}]}\n"
                      "- {name: node-1, type: Node}\n"
                      "- {name: node-0, costs: [{name: node-1, value: 20}]}\n"
                      "- {type: Die, resources: [{name: cpu, capacity: '4'}], name: node-7}\n");

    assert_int_equal(nrt.n_zones, 2);
    assert_int_equal(nrt.zones[0].id, 0);
    assert_int_equal(nrt.zones[0].costs[1], 20);
    assert_int_equal(nrt.zones[1].id, 1);
    refused(HEAD "zones:\n- {name: socket-0, type: Node}\n", 4, 10,
            "zones[0].name: \"socket-0\" is not node-<N>");
}

static void zones_over_the_bound_are_only_counted(void **state)
{
    for (int n = TOPO_MAX_ZONES; n <= TOPO_MAX_ZONES + 1; n++) {
        struct buf yaml = {0};

        buf_text(&yaml, HEAD "zones:\n");
        for (int i = 0; i < n; i++)
            buf_printf(&yaml, "- {name: node-%d}\n", i);
        const struct attempt t = attempt(yaml.p, sizeof(room));
        assert_int_equal(t.rc, 0);
        assert_int_equal(t.nrt.n_zones, n);
        assert_int_equal(t.nrt.zones == NULL, n > TOPO_MAX_ZONES);
        buf_free(&yaml);
    }
}

/* Whatever room the arena has, decoding succeeds or leaves no trace. */
static void every_arena_size_is_survived(void **state)
{
    size_t enough = 0;

    for (size_t bytes = 0; bytes <= sizeof(room) && !enough; bytes += 8) {
        const struct attempt t = attempt(full, bytes);

        if (t.rc == 0) {
            enough = bytes;
            assert_int_equal(t.nrt.n_holdings, 3);
            continue;
        }
        assert_int_equal(t.rc, -ENOMEM);
        assert_int_equal(t.arena.used, 0);
        assert_int_equal(t.nrt.n_zones, 77);
    }
    assert_true(enough > 1000);
}

/* An object of two zones, 0 and 4, with `pci` as it stands in the attribute. */
static int pci_of(struct kube_nrt *out, const char *pci, struct arena *a, struct err *err)
{
    struct buf text = {0};
    char *json;

    buf_text(&text, "{\"metadata\":{\"name\":\"n\"},\"attributes\":[{\"name\":\"" OURS
                    "pci\",\"value\":\"");
    for (; *pci; pci++)
        buf_text(&text, *pci == '\'' ? "\\\"" : (char[]){*pci, 0});
    buf_text(&text, "\"}],\"zones\":[{\"name\":\"node-0\"},{\"name\":\"node-4\"}]}");
    json = test_padded(buf_view(&text), '"');
    const int rc = kube_nrt_decode(out, (struct str){json, text.n}, a, err);
    free(json);
    buf_free(&text);
    return rc;
}

static void places_on_pci_are_read_by_id(void **state)
{
    static char space[1 << 16];
    struct kube_nrt nrt;
    struct arena a;

    arena_init(&a, space, sizeof(space));
    assert_int_equal(
        pci_of(&nrt,
               "{'mlx5_0':{'kind':'infiniband','address':'0000:18:00.0','path':"
               "['0000:15','0000:15:01.0'],'zones':[4,9],'name':'mlx5_0','speed':400000,"
               "'later':{}},'GPU-0':{'links':{'GPU-1':450000},'zones':[0]},"
               "'eth0':{'speed':-1,'name':'eth0'},'x':{},'vf':{'kind':'nic','physfn':"
               "'0000:18:00.0','bond':'bond0'},'card':{'kind':'hologram'}}",
               &a, NULL),
        0);
    assert_int_equal(nrt.n_pci, 6);
    assert_true(str_is(nrt.pci[0].id, "GPU-0"));
    assert_int_equal(nrt.pci[0].kind, TOPO_GPU); /* it has links */
    assert_int_equal(nrt.pci[0].zones, 1);
    assert_true(str_is(nrt.pci[0].links[0].to, "GPU-1"));
    assert_int_equal(nrt.pci[0].links[0].mbs, 450000);
    assert_int_equal(nrt.pci[1].kind, TOPO_OTHER); /* of a later version */
    assert_int_equal(nrt.pci[2].kind, TOPO_NIC);   /* it has the name of a port */
    assert_int_equal(nrt.pci[2].speed_mbps, 0);
    assert_int_equal(nrt.pci[3].kind, TOPO_INFINIBAND);
    assert_int_equal(nrt.pci[3].zones, 2); /* there is no zone 9 */
    assert_int_equal(nrt.pci[3].n_path, 2);
    assert_int_equal(nrt.pci[3].speed_mbps, 400000);
    assert_true(str_is(nrt.pci[4].physfn, "0000:18:00.0") && str_is(nrt.pci[4].bond, "bond0"));
    assert_int_equal(nrt.pci[5].kind, TOPO_OTHER);
}

static void broken_places_name_the_way_down(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "attributes[" OURS "pci]: "},
        {"{'a':1}", "attributes[" OURS "pci].a: "},
        {"{'a':{'path':[1]}}", "attributes[" OURS "pci].a.path[0]: "},
        {"{'a':{'speed':'fast'}}", "attributes[" OURS "pci].a.speed: "},
        {"{'a':{'links':{'b':4294967296}}}", "attributes[" OURS "pci].a.links.b: "},
        {"{'a':{},'a':{}}", "attributes[" OURS "pci]: "},
        {"{'a':{}", "attributes[" OURS "pci]: offset "},
    };
    static char space[1 << 16];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        struct kube_nrt nrt;
        struct arena a;

        arena_init(&a, space, sizeof(space));
        assert_int_equal(pci_of(&nrt, bad[i][0], &a, &err), -EINVAL);
        if (strncmp(err.text, bad[i][1], strlen(bad[i][1])))
            fail_msg("%s: %s", bad[i][0], err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nfd_writes_is_read),
        cmocka_unit_test(costs_stand_in_the_order_of_the_zones),
        cmocka_unit_test(resources_have_the_unit_of_their_kind),
        cmocka_unit_test(missing_costs_are_none_or_255),
        cmocka_unit_test(what_resource_topology_exporter_writes_is_read),
        cmocka_unit_test(the_deprecated_policy_counts_where_attributes_are_silent),
        cmocka_unit_test(settings_that_nobody_knows_are_remembered),
        cmocka_unit_test(our_settings_complete_the_node),
        cmocka_unit_test(our_zone_attributes_are_read),
        cmocka_unit_test(placements_come_by_pod),
        cmocka_unit_test(any_number_of_pods_is_read),
        cmocka_unit_test(devices_come_by_resource_and_id),
        cmocka_unit_test(devices_may_be_in_zones_that_are_not_there),
        cmocka_unit_test(errors_name_the_field_and_its_place),
        cmocka_unit_test(sockets_leave_room_for_none),
        cmocka_unit_test(errors_inside_an_attribute_name_the_way_down),
        cmocka_unit_test(a_device_given_twice_is_refused),
        cmocka_unit_test(zones_of_another_type_are_left_out),
        cmocka_unit_test(zones_over_the_bound_are_only_counted),
        cmocka_unit_test(every_arena_size_is_survived),
        cmocka_unit_test(places_on_pci_are_read_by_id),
        cmocka_unit_test(broken_places_name_the_way_down),
    };

    return cmocka_run_group_tests_name("nrt", tests, NULL, NULL);
}
