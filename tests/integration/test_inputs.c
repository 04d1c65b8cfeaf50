/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes publish, from the file to what `explain` says: reports as exporters write them, the
 * attributes that complete them, reports that are not believed, a machine of 36 zones.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

static char dir[] = "/tmp/numawise-inputs-XXXXXX";
static json_t *answer; /* of the last explain */

static void write_file(const char *name, struct str text)
{
    char path[TEST_PATH_BYTES];

    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) > 0);
    test_write(path, text);
}

/* The report of tests/data/reports with `from` made `to`; "" leaves it as it is. */
static void give_report(const char *name, const char *from, const char *to)
{
    char path[TEST_PATH_BYTES];
    struct buf text = {0}, changed = {0};

    assert_true(snprintf(path, sizeof(path), "reports/%s", name) > 0);
    assert_int_equal(test_data_read(path, &text), 0);
    const char *const at = *from ? strstr(text.p, from) : NULL;
    if (*from && !at)
        fail_msg("%s is not in %s", from, name);
    buf_add(&changed, text.p, at ? (size_t)(at - text.p) : text.n);
    if (at)
        buf_printf(&changed, "%s%s", to, at + strlen(from));
    write_file("report.yaml", buf_view(&changed));
    buf_free(&text);
    buf_free(&changed);
}

/* A pod with these limits; bound to a node with this uid, or only asked about. */
static void put_pod(struct buf *out, const char *name, const char *uid, const char *node,
                    const char *limits)
{
    buf_printf(out,
               "apiVersion: v1\nkind: Pod\nmetadata: {namespace: ml, name: %s, uid: %s}\n"
               "spec:\n  containers:\n  - name: main\n    resources: {limits: {%s}}\n",
               name, uid, limits);
    if (node)
        buf_printf(out, "  nodeName: %s\nstatus: {phase: Running}\n", node);
    buf_text(out, "---\n");
}

/* What explain says of the one node about a pod with these limits. */
static json_t *explain(const char *limits)
{
    char pod[TEST_PATH_BYTES];
    const char *const args[] = {"numawise", "explain", "-f",   pod, "--cluster",
                                dir,        "-o",      "json", NULL};
    struct buf text = {0}, out = {0}, err = {0};

    put_pod(&text, "ask", "ask", NULL, limits);
    assert_true(snprintf(pod, sizeof(pod), "%s.pod.yaml", dir) > 0);
    test_write(pod, buf_view(&text));
    (void)test_run(args, &out, &err);
    json_decref(answer);
    answer = json_loadb(out.p, out.n, 0, NULL);
    if (!answer)
        fail_msg("%s", err.p);
    json_t *const schema = schema_read("explain.schema.json");
    schema_expect(answer, schema);
    json_decref(schema);
    (void)remove(pod);
    buf_free(&text);
    buf_free(&out);
    buf_free(&err);
    return json_array_get(json_object_get(answer, "nodes"), 0);
}

static void assert_text(const json_t *node, const char *key, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(node, key)), want);
}

/* A member as compact JSON. */
static void assert_json(const json_t *node, const char *key, const char *want)
{
    char *const got = json_dumps(json_object_get(node, key), JSON_COMPACT | JSON_ENCODE_ANY);

    assert_string_equal(got, want);
    free(got);
}

static void assert_verdict(const json_t *node, const char *verdict, const char *reason,
                           const char *message)
{
    assert_text(node, "message", message);
    assert_text(node, "reason", reason);
    assert_text(node, "verdict", verdict);
}

static const json_t *container(const json_t *node)
{
    return json_array_get(json_object_get(node, "containers"), 0);
}

static int setup(void **state)
{
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    test_remove_tree(dir);
    json_decref(answer);
    answer = NULL;
    return 0;
}

/* --- as exporters write them --- */

/* 4 CPUs and 1 GPU are left in zone 0, 12 and 2 in zone 1. */
static void a_report_of_nfd_is_assumed_and_each_assumption_named(void **state)
{
    give_report("nfd.yaml", "", "");
    const json_t *const node = explain("cpu: 8, memory: 8Gi, nvidia.com/gpu: 1");

    assert_verdict(node, "Admitted", "", "");
    assert_text(node, "certainty", "Assumed");
    assert_json(node, "assumed",
                "[\"cpuManagerPolicy\",\"memoryManagerPolicy\",\"reserved\",\"threadSiblings\","
                "\"options\"]");
    assert_json(container(node), "zones", "[1]");
    assert_json(container(node), "devices", "{\"nvidia.com/gpu\":{\"1\":1}}");
    assert_verdict(explain("cpu: 13, memory: 8Gi"), "Rejected", "TopologyAffinityError",
                   "zone 0: cpu needs 13, free 4 of 14; zone 1: cpu needs 13, free 12 of 16");
}

/* Scope and policy from topologyPolicies alone, as older ones write it. */
static void a_report_with_the_deprecated_policies_alone_is_read(void **state)
{
    give_report("nfd.yaml",
                "  - name: topologyManagerScope\n    value: container\n"
                "  - name: topologyManagerPolicy\n    value: single-numa-node\n",
                "");
    assert_verdict(explain("cpu: 13, memory: 8Gi"), "Rejected", "TopologyAffinityError",
                   "zone 0: cpu needs 13, free 4 of 14; zone 1: cpu needs 13, free 12 of 16");
}

static void a_report_of_rte_is_assumed_and_so_is_another_kubelet(void **state)
{
    give_report("rte.yaml", "", "");
    const json_t *const node = explain("cpu: 5, memory: 8Gi");

    assert_verdict(node, "Admitted", "", "");
    assert_json(container(node), "zones", "[1]");
    assert_json(node, "assumed",
                "[\"cpuManagerPolicy\",\"memoryManagerPolicy\",\"reserved\",\"threadSiblings\","
                "\"options\",\"kubeletVersion\"]");
    give_report("rte.yaml", "v1.34.4", "v1.36.0");
    assert_json(explain("cpu: 5, memory: 8Gi"), "assumed",
                "[\"cpuManagerPolicy\",\"memoryManagerPolicy\",\"reserved\",\"threadSiblings\","
                "\"options\"]");
}

/* --- completed by our attributes --- */

static void a_report_with_all_attributes_is_exact(void **state)
{
    give_report("exact.yaml", "", "");
    const json_t *node = explain("cpu: 4, memory: 8Gi");

    assert_text(node, "certainty", "Exact");
    assert_json(node, "assumed", "[]");
    assert_verdict(node, "Rejected", "TopologyAffinityError",
                   "zone 0: memory needs 8589934592, free 0 of 30064771072; "
                   "zone 0: memory is in a group with zone 1, held by ml/big");
    assert_json(node, "wouldFitWithout", "[\"ml/big\"]");
    node = explain("cpu: 3, memory: 40Gi"); /* memory that is nowhere has no say before */
    assert_verdict(node, "Rejected", "SMTAlignmentError",
                   "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2");
    node = explain("cpu: 4"); /* Burstable: nothing of its own */
    assert_verdict(node, "Admitted", "", "");
}

/*
 * 20 GiB over both zones, taken off each in full: 8 seem left in each, but 28 + 28 - 20 = 36 are in
 * both. A pod that needs both zones gets 30 of them.
 */
static void memory_that_an_exporter_counts_twice_is_put_right_with_placements(void **state)
{
#define STATIC_MEMORY                                                                              \
    "attributes:\n- {name: orchestration.gokore.io/memory-manager-policy, value: Static}\n"
#define BLOCK                                                                                      \
    "- name: orchestration.gokore.io/placements\n"                                                 \
    "  value: '{\"ml/big\": {\"containers\": {\"main\": {\"memory\": [{\"zones\": [0, 1], "        \
    "\"type\": \"memory\", \"bytes\": 21474836480}]}}}}'\n"
    give_report("rte.yaml", "attributes:\n", STATIC_MEMORY);
    const json_t *node = explain("cpu: 10, memory: 30Gi");
    assert_text(node, "reason", "UnexpectedAdmissionError");
    give_report("rte.yaml", "attributes:\n", STATIC_MEMORY BLOCK);
    node = explain("cpu: 10, memory: 30Gi");
    assert_verdict(node, "Admitted", "", "");
    assert_json(container(node), "memoryZones", "[0,1]");
    assert_json(node, "assumed",
                "[\"cpuManagerPolicy\",\"reserved\",\"threadSiblings\",\"options\","
                "\"kubeletVersion\",\"memoryFree\"]");
}

/* ml/odd runs with 3 CPUs where only whole cores are given out: nobody knows where. */
static void a_running_pod_that_cannot_be_placed_makes_it_an_interval(void **state)
{
    struct buf pods = {0};

    give_report("exact.yaml", "", "");
    put_pod(&pods, "big", "b1", "exact-1", "cpu: 6, memory: 30Gi");
    put_pod(&pods, "odd", "o1", "exact-1", "cpu: 3, memory: 1Gi");
    write_file("pods.yaml", buf_view(&pods));
    const json_t *const node = explain("cpu: 1");

    assert_text(node, "certainty", "Interval");
    assert_json(node, "unplacedPods", "[\"ml/odd\"]");
    assert_verdict(node, "Admitted", "", "");
    buf_free(&pods);
}

/* --- not believed --- */

static void reports_that_cannot_be_right_are_unknown_with_the_reason(void **state)
{
    static const struct {
        const char *from, *to, *reason, *message;
    } cases[] = {
        {"{cpu: \"16\", memory: 67108864Ki}", "{cpu: \"15\", memory: 67108864Ki}", "NotModelled",
         "cpu: the zones have 16 together, the Node has 15"},
        {"{cpu: \"14\", memory: 58720256Ki}", "{cpu: \"17\", memory: 58720256Ki}", "NotModelled",
         "cpu: the zones have 16 together, the Node offers 17"},
        {"capacity: {cpu: \"16\", memory: 67108864Ki}", "capacity: {cpu: \"16\", memory: 60Gi}",
         "NotModelled", "memory: the zones have 68719476736 together, the Node has 64424509440"},
        {"capacity: 32Gi, allocatable: 28Gi", "capacity: 32Gi, allocatable: 33Gi", "NotModelled",
         "zone 0: memory: available 0, allocatable 35433480192, capacity 34359738368 do not fit "
         "each other"},
        {"{name: orchestration.gokore.io/generation, value: \"3\"}",
         "{name: orchestration.gokore.io/observed-at, value: \"2126-08-01T00:00:00Z\"}",
         "StaleTopology", "observed at 2126-08-01T00:00:00.000000Z, which is in the future"},
        {"{name: orchestration.gokore.io/generation, value: \"3\"}",
         "{name: orchestration.gokore.io/observed-at, value: \"2026-01-01T00:00:00Z\"}",
         "StaleTopology", "observed at 2026-01-01T00:00:00.000000Z, over 300 s ago"},
        {"value: restricted", "value: strictest", "NotModelled", "topologyManagerPolicy=strictest"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        give_report("exact.yaml", cases[i].from, cases[i].to);
        assert_verdict(explain("cpu: 2, memory: 1Gi"), "Unknown", cases[i].reason,
                       cases[i].message);
    }
}

/* --- 36 zones --- */

/*
 * A server of two sockets and four GPUs, each of which brings eight zones of memory (its instances)
 * and none of CPUs; two more zones are empty. Two GPUs hang on each socket.
 */
static void give_gpu_server(const char *attributes)
{
    struct buf b = {0};

    buf_text(&b, "apiVersion: v1\nkind: Node\nmetadata: {name: gb}\nstatus:\n"
                 "  capacity: {cpu: '144', memory: 1344Gi, nvidia.com/gpu: '4'}\n"
                 "  allocatable: {cpu: '142', memory: 1300Gi, nvidia.com/gpu: '4'}\n"
                 "  nodeInfo: {kubeletVersion: v1.36.3}\n---\n"
                 "apiVersion: topology.node.k8s.io/v1alpha2\nkind: NodeResourceTopology\n"
                 "metadata: {name: gb}\nattributes:\n");
    buf_printf(&b, "- {name: topologyManagerScope, value: container}\n%szones:\n", attributes);
    for (int z = 0; z < 36; z++) {
        buf_printf(&b, "- name: node-%d\n  type: Node\n  costs: [", z);
        for (int k = 0; k < 36; k++)
            buf_printf(&b, "%s{name: node-%d, value: %d}", k ? ", " : "", k,
                       k == z                       ? 10
                       : k < 2 && z < 2             ? 40
                       : (k - 2) / 8 == (z - 2) / 8 ? 11
                                                    : 80);
        buf_text(&b, "]\n  resources:\n");
        if (z < 2)
            buf_printf(&b,
                       "  - {name: cpu, capacity: '72', allocatable: '%d', available: '%d'}\n"
                       "  - {name: memory, capacity: 480Gi, allocatable: 470Gi, available: 470Gi}\n"
                       "  - {name: nvidia.com/gpu, capacity: '2', allocatable: '2', available: "
                       "'2'}\n",
                       z ? 72 : 70, z ? 72 : 70);
        else
            buf_printf(&b,
                       "  - {name: memory, capacity: %dGi, allocatable: %dGi, available: "
                       "%dGi}\n",
                       z < 34 ? 12 : 0, z < 34 ? 12 : 0, z < 34 ? 12 : 0);
    }
    write_file("gb.yaml", buf_view(&b));
    buf_free(&b);
}

#define STRICT "- {name: topologyManagerPolicy, value: single-numa-node}\n"
#define ALLOWED                                                                                    \
    "- {name: orchestration.gokore.io/topology-manager-policy-options, value: "                    \
    "max-allowable-numa-nodes=36}\n"
#define STATIC                                                                                     \
    "- {name: orchestration.gokore.io/cpu-manager-policy, value: static}\n"                        \
    "- {name: orchestration.gokore.io/reserved-cpus, value: 0-1}\n"

static void a_gpu_server_of_36_zones_is_judged_by_the_zones_that_matter(void **state)
{
    give_gpu_server(STRICT ALLOWED STATIC);
    const json_t *node = explain("cpu: 72, memory: 100Gi, nvidia.com/gpu: 2");

    assert_verdict(node, "Admitted", "", "");
    assert_json(container(node), "zones", "[1]");
    assert_json(container(node), "devices", "{\"nvidia.com/gpu\":{\"1\":2}}");
    node = explain("cpu: 8, memory: 100Gi, nvidia.com/gpu: 3");
    assert_text(node, "reason", "TopologyAffinityError");
    assert_non_null(strstr(json_string_value(json_object_get(node, "message")),
                           "zone 0: nvidia.com/gpu needs 3, free 2 of 2; "
                           "zone 1: nvidia.com/gpu needs 3, free 2 of 2; zone 2: cpu needs 8"));
    give_gpu_server("- {name: topologyManagerPolicy, value: restricted}\n" ALLOWED STATIC);
    node = explain("cpu: 142, memory: 100Gi, nvidia.com/gpu: 4"); /* two zones are the least */
    assert_verdict(node, "Admitted", "", "");
    assert_json(container(node), "zones", "[0,1]");
    give_gpu_server("- {name: topologyManagerPolicy, value: best-effort}\n" ALLOWED STATIC);
    node = explain("cpu: 71, memory: 100Gi, nvidia.com/gpu: 3");
    assert_verdict(node, "Admitted", "", "");
    assert_json(container(node), "zones", "[0,1]");
}

static void without_its_options_the_server_is_assumed_to_run(void **state)
{
    give_gpu_server(STRICT); /* as exporters write it */
    const json_t *const node = explain("cpu: 72, memory: 100Gi, nvidia.com/gpu: 2");

    assert_verdict(node, "Admitted", "", "");
    assert_text(node, "certainty", "Assumed");
}

static void what_does_not_fit_36_zones_is_said(void **state)
{
    give_gpu_server(STRICT STATIC); /* options there are none: at most 8 zones */
    assert_verdict(explain("cpu: 1, memory: 1Gi"), "Rejected", "KubeletCrash",
                   "the kubelet does not start: more zones than max-allowable-numa-nodes");
    give_gpu_server(STRICT ALLOWED STATIC
                    "- {name: orchestration.gokore.io/memory-manager-policy, value: Static}\n");
    assert_verdict(explain("cpu: 1, memory: 1Gi"), "Unknown", "TooManyZones",
                   "36 zones: sets of more than 12 are not worked out");
    assert_verdict(explain("cpu: 1"), "Admitted", "", ""); /* Burstable: no memory of its own */
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_report_of_nfd_is_assumed_and_each_assumption_named),
        T(a_report_with_the_deprecated_policies_alone_is_read),
        T(a_report_of_rte_is_assumed_and_so_is_another_kubelet),
        T(a_report_with_all_attributes_is_exact),
        T(memory_that_an_exporter_counts_twice_is_put_right_with_placements),
        T(a_running_pod_that_cannot_be_placed_makes_it_an_interval),
        T(reports_that_cannot_be_right_are_unknown_with_the_reason),
        T(a_gpu_server_of_36_zones_is_judged_by_the_zones_that_matter),
        T(without_its_options_the_server_is_assumed_to_run),
        T(what_does_not_fit_36_zones_is_said),
    };

    return cmocka_run_group_tests_name("inputs", tests, NULL, NULL);
}
