/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetNodeAffinity, GetQOSClass, bandwidth and signals that are pushed, of the example cluster. What
 * is expected is read off its manifests: CPUs that are free by zone, what holds them, its policy.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cluster/cluster.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "tests/support/operator_bench.h"
#include "tests/support/test.h"

#define EXAMPLES TEST_DATA "/../../deploy/examples/cluster"

/* Somebody of the namespace ml. */
static struct answer call_of_ml(struct bench *b, enum http_method m, const char *target,
                                const char *body)
{
    const struct op_caller ml = {.user = STR("system:serviceaccount:ml:embed"), .ns = STR("ml")};

    return call_as(b, &ml, m, target, body);
}

static int set_up(void **state)
{
    const int rc = operator_bench_set_up(state);

    if (rc == 0)
        read_directory(*state, EXAMPLES);
    return rc;
}

static int64_t number_at(const struct answer *a, const char *path)
{
    if (!json_is_integer(at(a, path)))
        fail_msg("%s is no integer in %s", path, a->text.p);
    return json_integer_value(at(a, path));
}

/* --- GetNodeAffinity --- */

static void expect_zones(const struct answer *a, int64_t node, const char *allowed)
{
    char text[64] = "";

    assert_int_equal(a->status, 200);
    assert_int_equal(number_at(a, "node"), node);
    for (size_t i = 0; i < json_array_size(at(a, "allowedNodes")); i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%lld", i ? "," : "",
                       (long long)json_integer_value(json_array_get(at(a, "allowedNodes"), i)));
    assert_string_equal(text, allowed);
}

/* gpu-1: of zone 0 64 CPUs are free or shared, of zone 1 all 96; 21 apart. */
static void a_node_says_where_most_is_free(void **state)
{
    struct bench *const b = *state;
    struct answer a = call(b, HTTP_GET, "/v1/node-affinity/gpu-1", "");

    expect_zones(&a, 1, "1,0");
    assert_int_equal(number_at(&a, "distanceMap.0"), 21);
    assert_int_equal(number_at(&a, "distanceMap.1"), 10);
    assert_int_equal(json_object_size(at(&a, "distanceMap")), 2);
    assert_int_equal(number_at(&a, "qosPriority.Guaranteed"), 100);
    assert_int_equal(number_at(&a, "qosPriority.Burstable"), 50);
    assert_int_equal(number_at(&a, "qosPriority.BestEffort"), 10);
    assert_true(number_at(&a, "snapshot") > 0);
    assert_true(json_is_null(at(&a, "ageMs"))); /* these recordings do not say when */
    done(&a);
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-77", "", 404, "");
    fails(b, HTTP_GET, "/v1/node-affinity/GPU_1", "", 400, "metadata.name");
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-1?pods=ml/embed-0", "", 400, "");
}

static void the_age_is_that_of_the_report(void **state)
{
    struct bench *const b = *state;
    char json[1024];

    (void)snprintf(json, sizeof(json),
                   "{'metadata':{'name':'old'},'attributes':["
                   "{'name':'topologyManagerPolicy','value':'restricted'},"
                   "{'name':'orchestration.gokore.io/observed-at','value':"
                   "'2026-09-21T14:13:19.500000Z'}],"
                   "'zones':[{'name':'node-0','type':'Node','resources':[{'name':'cpu',"
                   "'capacity':'4','allocatable':'4','available':'4'}]}]}");
    add_object(b, SOURCE_NODE, "Node", "", "old",
               "{'metadata':{'name':'old'},'status':{'capacity':{'cpu':'4','memory':'8Gi'},"
               "'allocatable':{'cpu':'4','memory':'8Gi'}}}");
    add_object(b, SOURCE_NRT, "NodeResourceTopology", "", "old", json);
    b->now_us = INT64_C(1790000000) * 1000000; /* 2026-09-21T14:13:20Z */
    struct answer a = call(b, HTTP_GET, "/v1/node-affinity/old", "");
    expect_zones(&a, 0, "0");
    assert_int_equal(number_at(&a, "ageMs"), 500);
    done(&a);
    a = call(b, HTTP_GET, "/v1/bandwidth/old", "");
    assert_int_equal(number_at(&a, "ageMs"), 500);
    done(&a);
    /* A node that has not told its topology. */
    add_object(b, SOURCE_NODE, "Node", "", "mute",
               "{'metadata':{'name':'mute'},'status':{'allocatable':{'cpu':'4','memory':'8Gi'}}}");
    fails(b, HTTP_GET, "/v1/node-affinity/mute", "", 503, "");
    fails(b, HTTP_GET, "/v1/bandwidth/mute", "", 503, "");
}

/* ml/embed-0 holds CPUs 1-12 and 97-108 of gpu-1, which are in zone 0. */
static void a_pod_is_where_its_cpus_are(void **state)
{
    struct bench *const b = *state;
    struct answer a = call(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/embed-0", "");

    expect_zones(&a, 0, "0,1");
    done(&a);
    a = call_of_ml(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml%2Fembed-0", "");
    expect_zones(&a, 0, "0,1");
    done(&a);
    a = call_of_ml(b, HTTP_GET, "/v1/node-affinity/cpu-1?pod=trading/risk-0", "");
    assert_int_equal(a.status, 403);
    done(&a);
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/nobody", "", 404, "pod");
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml", "", 400, "pod");
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/a/b", "", 400, "pod");
    fails(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=/a", "", 400, "pod");
}

/* On gpu-1 a pod that wants 70 CPUs for itself fits zone 1 alone: of zone 0 62 are left. */
static void a_pod_that_is_elsewhere_is_where_it_would_be_put(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_POD, "Pod", "ml", "big",
               "{'metadata':{'namespace':'ml','name':'big'},'spec':{'containers':[{'name':'m',"
               "'resources':{'limits':{'cpu':'70','memory':'1Gi'}}}]}}");
    struct answer a = call(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/big", "");
    expect_zones(&a, 1, "1,0");
    done(&a);
}

/* Beyond the distance that the policy allows no zone is offered. */
static void the_policy_bounds_the_distance(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "near",
               "{'metadata':{'name':'near','generation':4},'spec':{'numa':{'allowedDistance':20},"
               "'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'ml'}}}}");
    struct answer a = call(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/embed-0", "");
    expect_zones(&a, 0, "0");
    assert_int_equal(number_at(&a, "distanceMap.1"), 21);
    done(&a);
    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "near",
               "{'metadata':{'name':'near','generation':5},'spec':{'numa':{'allowedDistance':21},"
               "'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'ml'}}}}");
    a = call(b, HTTP_GET, "/v1/node-affinity/gpu-1?pod=ml/embed-0", "");
    expect_zones(&a, 0, "0,1");
    done(&a);
}

/* --- GetQOSClass --- */

static void a_class_comes_with_its_reason(void **state)
{
    struct bench *const b = *state;
    struct answer a = call(b, HTTP_GET, "/v1/qos-class/trading/matching-0", "");

    assert_string_equal(text_at(&a, "class"), "default");
    assert_string_equal(text_at(&a, "qosClass"), "Guaranteed");
    assert_true(json_is_null(at(&a, "priority")));
    assert_string_equal(text_at(&a, "why"), "no class of ConcurrencyPolicy trading matches: the "
                                            "class of Guaranteed pods");
    done(&a);
    a = call(b, HTTP_GET, "/v1/qos-class/ml/embed-0", "");
    assert_string_equal(text_at(&a, "why"),
                        "no ConcurrencyPolicy is for its namespace: the class of Guaranteed pods");
    assert_null(at(&a, "policyGeneration"));
    done(&a);
    add_object(b, SOURCE_POD, "Pod", "trading", "fast",
               "{'metadata':{'namespace':'trading','name':'fast','annotations':{"
               "'orchestration.gokore.io/qos-class':'critical'}},'spec':{'containers':[{'name':'m',"
               "'resources':{'requests':{'cpu':'1'}}}]}}");
    a = call(b, HTTP_GET, "/v1/qos-class/trading/fast", "");
    assert_string_equal(text_at(&a, "class"), "critical");
    assert_string_equal(text_at(&a, "qosClass"), "Burstable");
    assert_int_equal(number_at(&a, "priority"), 0);
    assert_string_equal(text_at(&a, "why"),
                        "its hint qos-class names critical of ConcurrencyPolicy trading");
    done(&a);
    fails(b, HTTP_GET, "/v1/qos-class/trading/nobody", "", 404, "");
    a = call_of_ml(b, HTTP_GET, "/v1/qos-class/trading/fast", "");
    assert_int_equal(a.status, 403);
    done(&a);
    a = call_of_ml(b, HTTP_GET, "/v1/qos-class/ml/embed-0", "");
    assert_int_equal(a.status, 200);
    done(&a);
}

static void a_class_that_matches_says_so(void **state)
{
    struct bench *const b = *state;

    add_object(
        b, SOURCE_POLICY, "ConcurrencyPolicy", "", "all",
        "{'metadata':{'name':'all','generation':9},'spec':{'precedence':5,'qosClassMapping':["
        "{'priority':0,'name':'first','match':{'minPriority':2000}},"
        "{'priority':3,'name':'second','match':{'qosClasses':['Guaranteed']}}]}}");
    struct answer a = call(b, HTTP_GET, "/v1/qos-class/trading/matching-0", "");
    assert_string_equal(text_at(&a, "class"), "second");
    assert_int_equal(number_at(&a, "priority"), 3);
    assert_int_equal(number_at(&a, "policyGeneration"), 9);
    assert_string_equal(text_at(&a, "why"),
                        "second is the first class of ConcurrencyPolicy all that matches");
    done(&a);
}

/* --- bandwidth --- */

/* cpu-1 has one port of 25 Gbit/s; trading/matching-0 asks for 20 of them and holds no port. */
static void bandwidth_is_told_by_port_and_by_whom(void **state)
{
    struct bench *const b = *state;
    struct answer a = call(b, HTTP_GET, "/v1/bandwidth/cpu-1", "");

    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "unit"), "Mbps");
    assert_int_equal(json_array_size(at(&a, "nics")), 1);
    assert_string_equal(text_at(&a, "nics.0.name"), "eth0");
    assert_int_equal(number_at(&a, "nics.0.capacity"), 25000);
    assert_int_equal(number_at(&a, "nics.0.allocated.egress"), 0);
    assert_true(json_is_null(at(&a, "nics.0.measured")));
    assert_int_equal(number_at(&a, "shared.ingress"), 20000);
    assert_int_equal(number_at(&a, "shared.egress"), 20000);
    assert_int_equal(json_array_size(at(&a, "pods")), 1);
    assert_string_equal(text_at(&a, "pods.0.namespace"), "trading");
    assert_string_equal(text_at(&a, "pods.0.name"), "matching-0");
    assert_int_equal(number_at(&a, "pods.0.requested.ingress"), 20000);
    done(&a);
    a = call_of_ml(b, HTTP_GET, "/v1/bandwidth/cpu-1", "");
    assert_int_equal(number_at(&a, "pods.0.requested.ingress"), 20000);
    assert_null(strstr(a.text.p, "matching")); /* whose it is, is no business of others */
    assert_null(strstr(a.text.p, "trading"));
    done(&a);
    a = call(b, HTTP_GET, "/v1/bandwidth/gpu-1", "");
    assert_int_equal(json_array_size(at(&a, "nics")), 9);
    assert_string_equal(text_at(&a, "nics.1.name"), "mlx5_0");
    assert_int_equal(number_at(&a, "nics.1.measured"), 180000);
    assert_true(json_is_true(at(&a, "nics.1.handedOut")));
    done(&a);
}

/* --- signals --- */

#define SIGNAL "/v1/signals/nics"
#define FIGURES                                                                                    \
    "{'kind':'networkBandwidth','unit':'Mbps','ttlSeconds':60,'nodes':{'gpu-3':{'value':412,"      \
    "'devices':{'mlx5_0':412}}}}"

static void a_signal_is_stored_with_its_time(void **state)
{
    struct bench *const b = *state;

    succeeds(b, HTTP_PUT, SIGNAL, FIGURES, 204);
    buf_text(&b->stored, "");
    assert_non_null(strstr(b->stored.p, "\"kind\":\"Signal\""));
    assert_non_null(strstr(b->stored.p, "\"observedAt\":\"2026-09-21T14:13:20"));
    assert_non_null(strstr(b->stored.p, "\"mlx5_0\":412"));
    const struct op_object *const x =
        op_objects_find(&b->op->objects, OP_SIGNAL, (struct str){0}, STR("nics"));
    assert_non_null(x);
    /* Who says when it was measured is believed. */
    succeeds(b, HTTP_PUT, SIGNAL,
             "{'kind':'networkBandwidth','unit':'Mbps','observedAt':'2026-09-21T14:13:00Z',"
             "'nodes':{'gpu-3':{'value':400}}}",
             204);
    buf_text(&b->stored, "");
    assert_non_null(strstr(b->stored.p, "\"observedAt\":\"2026-09-21T14:13:00Z\""));
    assert_null(strstr(b->stored.p, "14:13:20"));
    assert_int_equal(b->puts, 2);
    assert_int_equal(b->op->objects.n[OP_SIGNAL], 1);
}

static void a_signal_that_is_wrong_names_its_field(void **state)
{
    static const struct {
        const char *body, *field;
        int status;
    } cases[] = {
        {"{'unit':'Mbps','nodes':{}}", "spec.kind", 422},
        {"{'kind':'networkBandwidth','unit':'permille','nodes':{}}", "spec.unit", 422},
        {"{'kind':'speed','unit':'Mbps','nodes':{}}", "spec.kind", 422},
        {"{'kind':'computeQueue','unit':'count','ttlSeconds':0,'nodes':{}}", "spec.ttlSeconds",
         422},
        {"{'kind':'computeQueue','unit':'count','nodes':3}", "spec.nodes", 422},
        {"{'kind':'computeQueue','unit':'count','nodes':{'a':{'value':1e99}}}",
         "spec.nodes.a.value", 422},
        {"{'kind':'computeQueue','unit':'count','nodes':{},'tl':4}", "spec.tl", 422},
        {"{'kind':'computeQueue','unit':'count','observedAt':'soon','nodes':{}}", "spec.observedAt",
         422},
        {"[]", "", 400},
        {"{", "", 400},
        {"", "", 400},
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        fails(b, HTTP_PUT, SIGNAL, cases[i].body, cases[i].status, cases[i].field);
    fails(b, HTTP_PUT, "/v1/signals/Nics", FIGURES, 400, "metadata.name");
    fails(b, HTTP_PUT, "/v1/signals/a/b", FIGURES, 404, "");
    assert_int_equal(b->puts, 0);
    b->fail_with = -ENOSPC;
    fails(b, HTTP_PUT, SIGNAL, FIGURES, 503, "");
    assert_int_equal(b->op->objects.n[OP_SIGNAL], 0);
}

static void signals_are_bounded_in_number_and_in_time(void **state)
{
    struct bench *const b = *state;
    char target[64];
    int at_once = 0;

    for (int i = 0; i < LIMIT_OPERATOR_SIGNALS; i++) {
        (void)snprintf(target, sizeof(target), "/v1/signals/s%d", i);
        succeeds(b, HTTP_PUT, target, FIGURES, 204);
    }
    fails(b, HTTP_PUT, SIGNAL, FIGURES, 429, "");
    succeeds(b, HTTP_PUT, "/v1/signals/s7", FIGURES, 204); /* one that there is */
    for (struct answer a; at_once < 1000; at_once++) {
        a = call(b, HTTP_PUT, "/v1/signals/s8", FIGURES);
        const bool waits = a.status == 429 && a.retry_after_s > 0;

        done(&a);
        if (waits)
            break;
    }
    assert_true(at_once > 10 && at_once < 1000);
    struct answer a = call_of_ml(b, HTTP_PUT, "/v1/signals/s7", FIGURES);
    assert_int_equal(a.status, 403); /* figures of nodes are no namespace's business */
    done(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_node_says_where_most_is_free),
        T(the_age_is_that_of_the_report),
        T(a_pod_is_where_its_cpus_are),
        T(a_pod_that_is_elsewhere_is_where_it_would_be_put),
        T(the_policy_bounds_the_distance),
        T(a_class_comes_with_its_reason),
        T(a_class_that_matches_says_so),
        T(bandwidth_is_told_by_port_and_by_whom),
        T(a_signal_is_stored_with_its_time),
        T(a_signal_that_is_wrong_names_its_field),
        T(signals_are_bounded_in_number_and_in_time),
    };
#undef T

    return cmocka_run_group_tests_name("operator reads", tests, NULL, NULL);
}
