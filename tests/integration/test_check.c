/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise check DIR`: what it tells of the nodes that the objects of a directory make up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

#define NODE(name)                                                                                 \
    "apiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n"                                     \
    "status: {capacity: {cpu: '8', memory: 16Gi}, nodeInfo: {kubeletVersion: v1.36.3}}\n---\n"
#define NRT(name)                                                                                  \
    "apiVersion: topology.node.k8s.io/v1alpha2\nkind: NodeResourceTopology\n"                      \
    "metadata: {name: " name "}\n"
#define ATTRIBUTE(name, value) "- {name: orchestration.gokore.io/" name ", value: '" value "'}\n"
#define ZONE(id, cpus, cores, attributes)                                                          \
    "- name: node-" id "\n  type: Node\n"                                                          \
    "  costs: [{name: node-0, value: 10}, {name: node-1, value: 10}]\n"                            \
    "  attributes:\n  " ATTRIBUTE("socket", id) "  " ATTRIBUTE("cpus", cpus) "  " ATTRIBUTE(       \
        "free-cpus", cpus) "  " ATTRIBUTE("cores", cores) attributes                               \
        "  resources:\n"                                                                           \
        "  - {name: cpu, capacity: '4', allocatable: '4', available: '4'}\n"                       \
        "  - {name: memory, capacity: 8Gi, allocatable: 7Gi, available: 6Gi}\n"
#define GROUPED(free)                                                                              \
    "  " ATTRIBUTE("memory-cells", "0,1") "  " ATTRIBUTE("memory-assignments",                     \
                                                         "1") "  " ATTRIBUTE("memory-free", free)
#define EXACT(name, extra)                                                                         \
    NRT(name)                                                                                      \
    "attributes:\n- {name: topologyManagerPolicy, value: restricted}\n" ATTRIBUTE(                 \
        "cpu-manager-policy", "static") ATTRIBUTE("memory-manager-policy", "Static")               \
        ATTRIBUTE("reserved-cpus", "0") extra "zones:\n"
#define BARE(name, observed)                                                                       \
    NRT(name)                                                                                      \
    "attributes:\n- {name: topologyManagerPolicy, value: restricted}\n" observed                   \
    "zones:\n- name: node-0\n  type: Node\n  resources:\n"                                         \
    "  - {name: cpu, capacity: '8', allocatable: '8', available: '8'}\n"

static char dir[] = "/tmp/numawise-check-XXXXXX";
static struct buf out, err;

static void write_file(const char *name, const char *text)
{
    char path[TEST_PATH_BYTES];

    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) > 0);
    test_write(path, (struct str){text, strlen(text)});
}

static void check_of(const char *path, int code)
{
    const char *const args[] = {"numawise", "check", path, NULL};

    buf_free(&out);
    buf_free(&err);
    buf_text(&out, "");
    buf_text(&err, "");
    assert_int_equal(test_run(args, &out, &err), code);
}

static void check(int code)
{
    check_of(dir, code);
}

/* Lines of `want` begin with the directory, written "D/". */
static void assert_says(const char *want)
{
    struct buf whole = {0};

    buf_text(&whole, "");
    for (const char *p = want; *p; p++) {
        if (strncmp(p, "D/", 2) == 0)
            buf_printf(&whole, "%s", dir);
        buf_add(&whole, strncmp(p, "D/", 2) == 0 ? p + 1 : p, 1);
        p += strncmp(p, "D/", 2) == 0;
    }
    assert_string_equal(out.p ? out.p : "", whole.p);
    buf_free(&whole);
}

static int setup(void **state)
{
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    test_remove_tree(dir);
    buf_free(&out);
    buf_free(&err);
    return 0;
}

static void a_group_that_a_small_pod_holds_open_is_a_warning_and_no_error(void **state)
{
    write_file("a.yaml",
               NODE("grouped") EXACT(
                   "grouped",
                   ATTRIBUTE("placements",
                             "{\"ml/small\": {\"containers\": {\"main\": {\"memory\": [{\"zones\": "
                             "[0, 1], \"type\": \"memory\", \"bytes\": 1073741824}]}}}}"))
                   ZONE("0", "0-3", "0;1;2;3", GROUPED("6442450944"))
                       ZONE("1", "4-7", "4;5;6;7", GROUPED("7516192768")));
    check(0);
    assert_says("D/a.yaml:6:1: warning: node grouped: memory of zones 0,1 is one group, held open "
                "by ml/small (1Gi), which does not need it\n");
    assert_string_equal(err.p, "1 node: 1 Exact\n"
                               "1 files, 2 objects checked, 0 of other kinds, 0 problems, "
                               "1 warnings\n");
}

static void nodes_of_which_the_same_is_assumed_are_told_together(void **state)
{
    write_file("a.yaml", NODE("a") NODE("b") NODE("c") BARE("a", "") "---\n" BARE(
                             "b", "") "---\n" BARE("c", ATTRIBUTE("cpu-manager-policy", "static")));
    check(0);
    assert_says("note: Assumed (cpuManagerPolicy, memoryManagerPolicy, reserved, distances, "
                "threadSiblings, options), 2 nodes: a, b\n"
                "note: Assumed (memoryManagerPolicy, reserved, distances, threadSiblings), "
                "1 node: c\n");
    assert_non_null(strstr(err.p, "3 nodes: 3 Assumed\n"));
}

static void what_a_server_would_call_unknown_is_a_warning_where_it_stands(void **state)
{
    write_file(
        "a.yaml",
        NODE("bare") NODE("wide") NRT(
            "wide") "zones:\n- name: node-0\n  type: Node\n"
                    "  resources:\n"
                    "  - {name: cpu, capacity: '9', allocatable: '9', available: '9'}\n---\n" NODE(
                        "old") BARE("old",
                                    ATTRIBUTE("observed-at",
                                              "2026-01-01T00:00:00.000000Z")) "---\n" NODE("fast")
                        BARE("fast", ATTRIBUTE("observed-at",
                                               "2126-01-01T00:00:00.000000Z")) "---\n" BARE("gone",
                                                                                            ""));
    check(0);
    assert_says("D/a.yaml:1:1: warning: node bare: NoTopology: there is no NodeResourceTopology\n"
                "D/a.yaml:42:1: warning: node fast: StaleTopology: observed at "
                "2126-01-01T00:00:00.000000Z, which is in the future\n"
                "D/a.yaml:11:1: warning: node wide: NotModelled: cpu: the zones have 9 "
                "together, the Node has 8\n"
                "D/a.yaml:54:1: warning: node gone: there is no Node of this name\n"
                "note: Assumed (cpuManagerPolicy, memoryManagerPolicy, reserved, distances, "
                "threadSiblings, options), 1 node: old\n"
                "note: observed more than 5m ago, StaleTopology for a server (topology.maxAge), "
                "1 node: old\n");
    assert_non_null(strstr(err.p, "4 nodes: 1 Assumed, 3 Unknown\n"));
    assert_non_null(strstr(err.p, "0 problems, 4 warnings\n"));
}

static void an_object_that_is_there_twice_is_a_warning_and_a_broken_one_is_told_once(void **state)
{
    write_file("a.yaml", NODE("a") BARE("a", ""));
    write_file("b.yaml", NODE("a") "apiVersion: v1\nkind: Node\nmetadata: {name: b}\n"
                                   "status: {capacity: {cpu: many}}\n");
    check(1);
    assert_non_null(strstr(out.p, "b.yaml:9:26: status.capacity.cpu"));
    assert_null(strstr(strstr(out.p, "b.yaml:9:26:") + 1, "b.yaml:9:26:"));
    assert_non_null(strstr(out.p, "b.yaml:1:1: warning: Node a is also in a.yaml"));
    assert_non_null(strstr(err.p, "1 problems, 1 warnings\n"));
    struct buf slash = {0}; /* another name of the same directory */
    buf_printf(&slash, "%s/", dir);
    check_of(slash.p, 1);
    assert_non_null(strstr(err.p, "1 problems, 1 warnings\n"));
    buf_free(&slash);
}

static void a_directory_without_nodes_has_nothing_to_tell(void **state)
{
    write_file("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: "
                         "[{name: c}]}\n");
    check(0);
    assert_says("");
    assert_string_equal(err.p, "1 files, 1 objects checked, 0 of other kinds, 0 problems\n");
}

#define POLICY(name, spec)                                                                         \
    "apiVersion: orchestration.gokore.io/v1beta1\nkind: ConcurrencyPolicy\n"                       \
    "metadata: {name: " name "}\nspec:\n" spec "---\n"

static void a_policy_that_does_not_count_is_told_where_it_stands(void **state)
{
    write_file("a.yaml",
               POLICY("all", "  precedence: -1\n") POLICY(
                   "one", "  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ml}}\n")
                   POLICY("none", "  namespaceSelector: {matchLabels: {tier: gold}}\n"));
    check(0);
    assert_says(""); /* nothing is in ml */
    write_file("b.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ml}\n"
                         "spec: {containers: [{name: c}]}\n---\n"
                         "apiVersion: v1\nkind: Namespace\n"
                         "metadata: {name: web, labels: {tier: gold}}\n");
    check(0);
    assert_says("D/a.yaml:1:1: warning: policy all: Conflicted: one counts in namespace ml, "
                "none counts in namespace web\n");
    assert_string_equal(err.p, "2 files, 5 objects checked, 0 of other kinds, 0 problems, "
                               "1 warnings\n");
}

static void policies_and_signals_are_checked_field_by_field(void **state)
{
    write_file(
        "a.yaml",
        POLICY("a", "  numa: {stealThreshold: many}\n") POLICY(
            "b",
            "  numa: {steal: 5}\n") "apiVersion: orchestration.gokore.io/v1beta1\nkind: Signal\n"
                                    "metadata: {name: s}\nspec: {kind: computeQueue, unit: count, "
                                    "ttlSeconds: 0, "
                                    "nodes: {}}\n");
    check(1);
    assert_non_null(strstr(out.p, "a.yaml:5:26: spec.numa.stealThreshold: "));
    assert_non_null(strstr(out.p, "a.yaml:11:17: spec.numa.steal: "));
    assert_non_null(strstr(out.p, "spec.ttlSeconds: "));
    assert_non_null(strstr(err.p, "3 objects checked, 0 of other kinds, 3 problems"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void a_weight_that_is_too_low_for_decide_is_noted(void **state)
{
    static const struct {
        const char *extender, *says;
    } cases[] = {
        {"{decide: true}", "note: extender.decide: with a weight below 13 in kube-scheduler's "},
        {"{decide: true, maxScore: 100}", "note: extender.decide: with a weight below 2 in "},
        {"{maxScore: 100}", NULL},
    };
    char text[256], path[TEST_PATH_BYTES];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/config.yaml", dir);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text),
                       "apiVersion: numawise.config.gokore.io/v1alpha1\n"
                       "kind: NumawiseConfiguration\nextender: %s\n",
                       cases[i].extender);
        write_file("config.yaml", text);
        check_of(path, 0);
        assert_int_equal(strstr(out.p, "note: ") != NULL, cases[i].says != NULL);
        if (cases[i].says)
            assert_non_null(strstr(out.p, cases[i].says));
    }
    (void)unlink(path);
}

/* Those of Kubernetes have their own names, and each is told of at its own place. */
static void a_hint_is_named_as_it_is_written(void **state)
{
    write_file("a.yaml", "kind: Pod\napiVersion: v1\nmetadata:\n  name: p\n  annotations:\n"
                         "    kubernetes.io/ingress-bandwidth: 10M\n"
                         "    kubernetes.io/egress-bandwidth: fast\n"
                         "    orchestration.gokore.io/max-locks: few\n"
                         "spec: {containers: [{name: c}]}\n");
    check(1);
    assert_says("D/a.yaml:7:37: metadata.annotations[kubernetes.io/egress-bandwidth]: not a "
                "quantity in bits per second, like 10M\n"
                "D/a.yaml:8:40: metadata.annotations[orchestration.gokore.io/max-locks]: not an "
                "integer from 0 to 2147483647\n");
}

/* In YAML no key comes twice; in JSON one may. */
static void a_hint_that_is_given_twice_is_named(void **state)
{
    write_file("a.json",
               "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\n"
               "\"annotations\":{\"orchestration.gokore.io/max-locks\":\"5\",\"a\":\"1\",\n"
               "\"a\":\"2\",\"orchestration.gokore.io/max-locks\":\"6\"}},\n"
               "\"spec\":{\"containers\":[{\"name\":\"c\"}]}}\n");
    check(1);
    assert_non_null(strstr(out.p,
                           ": metadata.annotations[orchestration.gokore.io/max-locks]: given "
                           "twice\n"));
    assert_null(strchr(strchr(out.p, '\n') + 1, '\n')); /* once, and of nothing else */
}

/* What it cannot mean would be a node that is not modelled. */
static void an_attribute_that_nobody_knows_is_named(void **state)
{
    write_file("a.yaml",
               "kind: NodeResourceTopology\napiVersion: topology.node.k8s.io/v1alpha2\n"
               "metadata: {name: node}\nattributes:\n"
               "- {name: orchestration.gokore.io/memory-manager-polcy, value: None}\n"
               "- {name: orchestration.gokore.io/cpu-manager-policy, value: Static}\n"
               "- {name: example.com/mine, value: '1'}\n"
               "zones:\n- {name: node-0, type: Node, resources: [{name: cpu, capacity: '4', "
               "allocatable: '4', available: '4'}]}\n");
    check(1);
    assert_non_null(strstr(out.p,
                           "/a.yaml:5:3: attributes[orchestration.gokore.io/"
                           "memory-manager-polcy]: unknown attribute \"memory-manager-polcy\" "
                           "(did you mean \"memory-manager-policy\"?)\n"));
    assert_non_null(strstr(out.p, "/a.yaml:6:3: attributes[orchestration.gokore.io/"
                                  "cpu-manager-policy]: cpu-manager-policy: \"Static\" is not one "
                                  "of: none static"));
    assert_null(strstr(out.p, "example.com"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_hint_is_named_as_it_is_written),
        T(an_attribute_that_nobody_knows_is_named),
        T(a_hint_that_is_given_twice_is_named),
        T(a_group_that_a_small_pod_holds_open_is_a_warning_and_no_error),
        T(nodes_of_which_the_same_is_assumed_are_told_together),
        T(what_a_server_would_call_unknown_is_a_warning_where_it_stands),
        T(an_object_that_is_there_twice_is_a_warning_and_a_broken_one_is_told_once),
        T(a_directory_without_nodes_has_nothing_to_tell),
        T(a_policy_that_does_not_count_is_told_where_it_stands),
        T(policies_and_signals_are_checked_field_by_field),
        T(a_weight_that_is_too_low_for_decide_is_noted),
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
