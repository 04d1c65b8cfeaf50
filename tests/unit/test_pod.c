/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/object.h"
#include "kube/scan.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static _Alignas(max_align_t) char room[1 << 20];

/* Decode into the room above; the text is gone before the pod is looked at. */
static int decode(struct score_pod *out, const char *text, struct err *err)
{
    char *const p = test_padded(str_of(text), '"');
    struct arena a;

    assert_non_null(p);
    arena_init(&a, room, sizeof(room));
    const int rc = kube_pod_decode(out, (struct str){p, strlen(text)}, &a, err);
    memset(p, 'x', strlen(text));
    free(p);
    return rc;
}

static struct score_pod decoded(const char *text)
{
    struct score_pod pod;
    struct err err = {.text = ""};
    const int rc = decode(&pod, text, &err);

    if (rc < 0)
        print_message("%s\n", err.text);
    assert_int_equal(rc, 0);
    return pod;
}

static void amount_is(const struct pod_amount *got, const char *name, int64_t amount)
{
    assert_true(str_is(got->resource, name));
    assert_int_equal(got->amount, amount);
}

static const char whole_pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"status\":{\"phase\":\"Failed\",\"reason\":"
    "\"TopologyAffinityError\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
    "\"lastTransitionTime\":\"2026-01-01T00:00:09Z\"},{\"lastTransitionTime\":"
    "\"1970-01-01T00:00:02Z\",\"status\":\"True\",\"type\":\"PodScheduled\"}],"
    "\"startTime\":\"1970-01-01T00:00:03Z\"},\"metadata\":{\"name\":\"train-0\",\"namespace\":"
    "\"ml\","
    "\"uid\":\"u-1\",\"creationTimestamp\":\"1970-01-01T00:00:01.5Z\",\"deletionTimestamp\":"
    "\"2026-01-01T00:00:00Z\",\"labels\":{\"a\":\"b\"},\"annotations\":{\"other\":\"x\","
    "\"orchestration.gokore.io/numa-policy\":\"single\",\"kubernetes.io/egress-bandwidth\":\"10M\","
    "\"orchestration.gokore.io/weights\":\"a\\u003db\\n\"}},\"spec\":{\"nodeName\":\"gpu-3\","
    "\"priority\":-5,\"containers\":[{\"name\":\"main\",\"restartPolicy\":\"Always\",\"resources\":"
    "{\"limits\":{\"cpu\":\"4\",\"memory\":\"8Gi\"},\"requests\":{\"memory\":\"4Gi\"}}},"
    "{\"name\":\"plain\"}],\"initContainers\":[{\"name\":\"fetch\",\"resources\":{\"requests\":"
    "{\"cpu\":0.25}}},{\"name\":\"ship\",\"restartPolicy\":\"Always\"}],\"overhead\":{\"cpu\":"
    "\"1\"},"
    "\"resources\":{\"limits\":{\"cpu\":\"6\"}},\"resourceClaims\":[{\"name\":\"gpu\"}]}}";

static void every_field_of_a_pod_is_read(void **state)
{
    const struct score_pod pod = decoded(whole_pod);

    assert_true(str_is(pod.ns, "ml") && str_is(pod.name, "train-0") && str_is(pod.uid, "u-1"));
    assert_true(str_is(pod.node, "gpu-3"));
    assert_true(str_is(pod.reason, "TopologyAffinityError"));
    assert_int_equal(pod.phase, POD_FAILED);
    assert_true(pod.deleting);
    assert_int_equal(pod.priority, -5);
    assert_int_equal(pod.created_us, 1500000);
    assert_int_equal(pod.bound_us, 2000000);
    assert_true(pod.has_claims && pod.has_pod_level);
    assert_int_equal(pod.n_pod_limits, 1);
    amount_is(&pod.pod_limits[0], "cpu", 6000);
    assert_int_equal(pod.n_pod_requests, 1);
    amount_is(&pod.pod_requests[0], "cpu", 6000);
    assert_int_equal(pod.n_hints, 3);
    assert_true(str_is(pod.hints[0].key, "numa-policy") && str_is(pod.hints[0].value, "single"));
    assert_true(str_is(pod.hints[1].key, "kubernetes.io/egress-bandwidth"));
    assert_true(str_is(pod.hints[1].value, "10M"));
    assert_true(str_is(pod.hints[2].value, "a=b\n"));
}

static void init_containers_come_first_and_requests_follow_limits(void **state)
{
    const struct score_pod pod = decoded(whole_pod);
    const struct pod_container *const c = pod.containers;

    assert_int_equal(pod.n_containers, 4);
    assert_true(str_is(c[0].name, "fetch") && c[0].kind == POD_INIT);
    assert_int_equal(c[0].n_requests, 1);
    amount_is(&c[0].requests[0], "cpu", 250);
    assert_int_equal(c[0].n_limits, 0);
    assert_true(str_is(c[1].name, "ship") && c[1].kind == POD_SIDECAR);
    assert_true(str_is(c[2].name, "main") && c[2].kind == POD_APP); /* its policy is no sidecar's */
    assert_int_equal(c[2].n_limits, 2);
    assert_int_equal(c[2].n_requests, 2);
    amount_is(&c[2].requests[0], "memory", INT64_C(4) << 30);
    amount_is(&c[2].requests[1], "cpu", 4000);
    assert_true(str_is(c[3].name, "plain") && c[3].kind == POD_APP);
    assert_int_equal(c[3].n_requests + c[3].n_limits, 0);
}

static void what_is_absent_or_null_has_its_default(void **state)
{
    static const char *const same[] = {
        "{}",
        "{\"metadata\":null,\"spec\":null,\"status\":null,\"kind\":null}",
        "{\"metadata\":{\"name\":null,\"namespace\":\"\",\"uid\":null,\"creationTimestamp\":null,"
        "\"deletionTimestamp\":null,\"annotations\":null},\"spec\":{\"containers\":null,"
        "\"initContainers\":null,\"nodeName\":null,\"priority\":null,\"resources\":{\"limits\":"
        "null},"
        "\"resourceClaims\":[],\"overhead\":null},\"status\":{\"phase\":\"\",\"conditions\":null,"
        "\"startTime\":null,\"reason\":null}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        const struct score_pod pod = decoded(same[i]);

        assert_true(str_is(pod.ns, "default"));
        assert_int_equal(pod.name.n + pod.uid.n + pod.node.n + pod.reason.n, 0);
        assert_int_equal(pod.phase, POD_PENDING);
        assert_false(pod.deleting || pod.has_claims || pod.has_pod_level);
        assert_int_equal(pod.priority, 0);
        assert_int_equal(pod.created_us, 0);
        assert_int_equal(pod.bound_us, 0);
        assert_int_equal(pod.n_containers + pod.n_hints, 0);
    }
    assert_int_equal(
        decoded("{\"spec\":{\"containers\":[null,{\"resources\":null}]}}").n_containers, 2);
}

static void bound_is_the_condition_else_the_start(void **state)
{
    assert_int_equal(decoded("{\"status\":{\"startTime\":\"1970-01-01T00:00:03Z\"}}").bound_us,
                     3000000);
    assert_int_equal(decoded("{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
                             "\"False\",\"lastTransitionTime\":\"1970-01-01T00:00:09Z\"}]}}")
                         .bound_us,
                     0);
}

static void phases_have_their_names(void **state)
{
    static const struct {
        const char *text;
        enum pod_phase want;
    } cases[] = {
        {"Pending", POD_PENDING},       {"Running", POD_RUNNING},
        {"Succeeded", POD_SUCCEEDED},   {"Failed", POD_FAILED},
        {"Unknown", POD_PHASE_UNKNOWN}, {"failed", POD_PHASE_UNKNOWN},
        {"R\\u0075nning", POD_RUNNING},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "{\"status\":{\"phase\":\"%s\"}}", cases[i].text);
        assert_int_equal(decoded(text).phase, cases[i].want);
    }
}

static void a_workload_gives_the_pod_of_its_template(void **state)
{
    static const char inner[] =
        "{\"metadata\":{\"name\":\"no\",\"namespace\":\"no\",\"uid\":\"no\","
        "\"annotations\":{\"orchestration.gokore.io/ignore\":\"true\"}},"
        "\"spec\":{\"containers\":[{\"name\":\"c\"}]},"
        "\"status\":{\"phase\":\"Failed\"}}";
    static const struct {
        const char *kind, *before, *after;
    } cases[] = {
        {"Deployment", "\"spec\":{\"replicas\":2,\"template\":", "}"},
        {"ReplicaSet", "\"spec\":{\"template\":", "}"},
        {"StatefulSet", "\"spec\":{\"template\":", "}"},
        {"DaemonSet", "\"spec\":{\"template\":", "}"},
        {"Job", "\"spec\":{\"template\":", ",\"backoffLimit\":1}"},
        {"CronJob",
         "\"spec\":{\"jobTemplate\":{\"metadata\":{\"name\":\"no\"},\"spec\":{\"template\":",
         "}}}"},
        {"PodTemplate", "\"template\":", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];

        /* The kind stands last: where the pod is must not depend on order. */
        (void)snprintf(text, sizeof(text),
                       "{%s%s%s,\"metadata\":{\"name\":\"w\",\"namespace\":\"ns\",\"uid\":\"u\","
                       "\"annotations\":{\"orchestration.gokore.io/weights\":\"no\"}},"
                       "\"status\":{\"phase\":\"Failed\"},\"kind\":\"%s\"}",
                       cases[i].before, inner, cases[i].after, cases[i].kind);
        const struct score_pod pod = decoded(text);
        assert_true(str_is(pod.name, "w") && str_is(pod.ns, "ns") && pod.uid.n == 0);
        assert_int_equal(pod.n_containers, 1);
        assert_true(str_is(pod.containers[0].name, "c"));
        assert_int_equal(pod.n_hints, 1);
        assert_true(str_is(pod.hints[0].key, "ignore"));
        assert_int_equal(pod.phase, POD_PENDING);
        assert_true(kube_is_workload(str_of(cases[i].kind)));
    }
    assert_true(kube_is_workload(STR("Pod")));
    assert_false(kube_is_workload(STR("Node")) || kube_is_workload(STR("")));
}

static void a_bad_field_is_named(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"null", "expected an object, found null"},
        {"[]", "expected an object, found an array"},
        {"{\"kind\":\"Node\"}", "kind: \"Node\" has no pod"},
        {"{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"4x\"}}}]}}",
         "spec.containers[0].resources.limits.cpu: \"4x\" is not a quantity"},
        {"{\"spec\":{\"initContainers\":[{},{\"resources\":{\"requests\":{\"memory\":\"-1\"}}}]}}",
         "spec.initContainers[1].resources.requests.memory: must not be negative"},
        {"{\"spec\":{\"containers\":{}}}", "spec.containers: expected an array, found an object"},
        {"{\"spec\":{\"containers\":[1]}}",
         "spec.containers[0]: expected an object, found a number"},
        {"{\"spec\":{\"priority\":2147483648}}", "spec.priority: does not fit into 32 bits"},
        {"{\"spec\":{\"priority\":1.5}}", "spec.priority: expected an integer"},
        {"{\"spec\":{\"resourceClaims\":{}}}",
         "spec.resourceClaims: expected an array, found an object"},
        {"{\"metadata\":{\"name\":7}}", "metadata.name: expected a string, found a number"},
        {"{\"metadata\":{\"annotations\":{\"orchestration.gokore.io/ignore\":true}}}",
         "metadata.annotations[orchestration.gokore.io/ignore]: expected a string, found a "
         "boolean"},
        {"{\"metadata\":{\"creationTimestamp\":\"yesterday\"}}",
         "metadata.creationTimestamp: expected a time such as 2026-11-24T03:02:01Z"},
        {"{\"status\":{\"conditions\":[{\"type\":1}]}}",
         "status.conditions[0].type: expected a string, found a number"},
        {"{\"kind\":\"CronJob\",\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":"
         "{\"containers\":[{\"name\":1}]}}}}}}",
         "spec.jobTemplate.spec.template.spec.containers[0].name: expected a string, found a "
         "number"},
        {"{\"spec\":{\"x\":[1,}}", "offset 16: expected a value"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct score_pod pod = {.priority = 77};
        struct err err;

        assert_int_equal(decode(&pod, cases[i].text, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].why);
        assert_int_equal(pod.priority, 77);
    }
}

static void the_last_of_duplicate_keys_wins(void **state)
{
    const struct score_pod pod =
        decoded("{\"spec\":{\"priority\":1,\"containers\":[{},{}],\"priority\":2,\"containers\":["
                "{\"name\":\"a\"}]},\"metadata\":{\"name\":\"x\",\"annotations\":{"
                "\"orchestration.gokore.io/ignore\":\"1\",\"orchestration.gokore.io/\\u0069gnore\":"
                "\"2\"},\"name\":\"y\"}}");

    assert_int_equal(pod.priority, 2);
    assert_int_equal(pod.n_containers, 1);
    assert_true(str_is(pod.name, "y"));
    assert_int_equal(pod.n_hints, 1);
    assert_true(str_is(pod.hints[0].value, "2"));
}

static void keys_fold_only_where_asked(void **state)
{
    static const char text[] = "{\"KIND\":\"Node\",\"Metadata\":{\"NAME\":\"a\"}}";
    char *const p = test_padded(STR(text), ' ');
    struct score_pod pod;
    struct arena a;

    assert_non_null(p);
    arena_init(&a, room, sizeof(room));
    assert_int_equal(kube_pod_read(&pod, (struct str){p, sizeof(text) - 1}, SCAN_FOLD, &a, NULL),
                     0);
    assert_true(str_is(pod.name, "a"));
    assert_int_equal(kube_pod_read(&pod, (struct str){p, sizeof(text) - 1}, 0, &a, NULL), 0);
    assert_int_equal(pod.name.n, 0);
    free(p);
}

static void too_many_hints_are_refused(void **state)
{
    for (int n = KUBE_HINTS_MAX; n <= KUBE_HINTS_MAX + 1; n++) {
        struct buf b = {0};
        struct score_pod pod;

        buf_text(&b, "{\"metadata\":{\"annotations\":{");
        for (int i = 0; i < n; i++)
            buf_printf(&b, "%s\"orchestration.gokore.io/h%d\":\"\"", i ? "," : "", i);
        buf_text(&b, "}}}");
        assert_int_equal(decode(&pod, b.p, NULL), n == KUBE_HINTS_MAX ? 0 : -E2BIG);
        buf_free(&b);
    }
}

static void too_many_containers_are_refused(void **state)
{
    static const char *const lists[] = {"containers", "initContainers"};

    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        for (int n = KUBE_CONTAINERS_MAX; n <= KUBE_CONTAINERS_MAX + 1; n++) {
            struct buf b = {0};
            struct score_pod pod;

            buf_printf(&b, "{\"spec\":{\"%s\":[{}", lists[k]);
            for (int i = 1; i < n; i++)
                buf_text(&b, ",{}");
            buf_text(&b, "]}}");
            assert_int_equal(decode(&pod, b.p, NULL), n == KUBE_CONTAINERS_MAX ? 0 : -E2BIG);
            buf_free(&b);
        }
    }
}

/* Eight of each container: a request and a limit each for four resources. */
static void too_many_requests_and_limits_are_refused(void **state)
{
    enum { EACH = 8, MOST = KUBE_POD_AMOUNTS_MAX / EACH };
    static const char four[] = "{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\"}";

    for (int more = 0; more <= 1; more++) {
        struct buf b = {0};
        struct score_pod pod;

        buf_text(&b, "{\"spec\":{\"initContainers\":[{\"resources\":{\"limits\":{");
        buf_text(&b, more ? "\"a\":\"1\"}}}],\"containers\":[" : "}}}],\"containers\":[");
        for (int i = 0; i < MOST; i++)
            buf_printf(&b, "%s{\"resources\":{\"requests\":%s,\"limits\":%s}}", i ? "," : "", four,
                       four);
        buf_text(&b, "]}}");
        assert_int_equal(decode(&pod, b.p, NULL), more ? -E2BIG : 0);
        buf_free(&b);
    }
}

/* Fault injection: whatever room the arena has, the decoder succeeds or leaves no trace. */
static void every_arena_size_succeeds_or_leaves_no_trace(void **state)
{
    char *const p = test_padded(STR(whole_pod), '{');
    size_t first = 0;

    assert_non_null(p);
    for (size_t size = 0; size <= 8192; size++) {
        struct score_pod pod = {.priority = 77};
        struct err err = {.text = ""};
        struct arena a;

        arena_init(&a, room, size);
        const int rc = kube_pod_decode(&pod, (struct str){p, sizeof(whole_pod) - 1}, &a, &err);
        if (rc == 0) {
            first = first ? first : size;
            assert_int_equal(pod.n_containers, 4);
        } else {
            assert_int_equal(rc, -ENOMEM);
            assert_int_equal(first, 0); /* more room never fails again */
            assert_int_equal(pod.priority, 77);
            assert_int_equal(a.used, 0);
            assert_true(err.text[0] != 0);
        }
    }
    assert_true(first > 0);
    free(p);
}

static void traits_say_who_would_miss_it(void **state)
{
    const struct score_pod bare = decoded("{\"metadata\":{\"name\":\"a\"},\"spec\":{}}");
    const struct score_pod a = decoded(
        "{\"metadata\":{\"name\":\"a\",\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"},"
        "\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\"},{\"kind\":\"DaemonSet\","
        "\"name\":\"d\",\"controller\":true}]},\"spec\":{\"priorityClassName\":"
        "\"system-node-critical\",\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]},"
        "\"status\":{\"conditions\":[{\"status\":\"True\",\"type\":\"Ready\"}]}}");
    const struct score_pod b = decoded(
        "{\"metadata\":{\"name\":\"b\",\"ownerReferences\":[{\"controller\":true,\"name\":\"d\","
        "\"kind\":\"ReplicaSet\"}]},\"spec\":{\"priorityClassName\":\"high\",\"volumes\":"
        "[{\"configMap\":{}}]},\"status\":{\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"False\"}]}}");

    assert_int_equal(bare.traits, 0);
    assert_int_equal(bare.owner, 0);
    assert_int_equal(a.traits,
                     POD_READY | POD_MIRROR | POD_LOCAL_STORAGE | POD_CRITICAL | POD_OF_DAEMON);
    assert_int_equal(b.traits, 0);
    assert_true(a.owner && b.owner && a.owner != b.owner); /* of one name, but another kind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_pod_is_read),
        cmocka_unit_test(init_containers_come_first_and_requests_follow_limits),
        cmocka_unit_test(what_is_absent_or_null_has_its_default),
        cmocka_unit_test(bound_is_the_condition_else_the_start),
        cmocka_unit_test(traits_say_who_would_miss_it),
        cmocka_unit_test(phases_have_their_names),
        cmocka_unit_test(a_workload_gives_the_pod_of_its_template),
        cmocka_unit_test(a_bad_field_is_named),
        cmocka_unit_test(the_last_of_duplicate_keys_wins),
        cmocka_unit_test(keys_fold_only_where_asked),
        cmocka_unit_test(too_many_hints_are_refused),
        cmocka_unit_test(too_many_containers_are_refused),
        cmocka_unit_test(too_many_requests_and_limits_are_refused),
        cmocka_unit_test(every_arena_size_succeeds_or_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
