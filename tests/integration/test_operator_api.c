/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator over an API server: what others apply there counts, what it writes appears there,
 * each with its status, and watches bring it all back.
 */
#include "tests/support/test.h"

#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/fake_store.h"
#include "tests/support/live_operator.h"

enum { PATIENCE_MS = 60000 };
enum {
    NODES,
    PODS,
    TOPOLOGIES,
    NAMESPACES,
    POLICIES,
    SIGNALS,
    LOCKS,
    ADJUSTMENTS,
    DEADLOCKS,
    QUOTAS,
    RANGES,
};

#define OURS  "orchestration.gokore.io/v1beta1"
#define LOCKY "concurrency.gokore.io/v1alpha1"

static const struct fake_kind kinds[] = {
    {"/api/v1/nodes", "v1", "Node", false},
    {"/api/v1/pods", "v1", "Pod", false},
    {"/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies", "topology.node.k8s.io/v1alpha2",
     "NodeResourceTopology", true},
    {"/api/v1/namespaces", "v1", "Namespace", false},
    {"/apis/" OURS "/concurrencypolicies", OURS, "ConcurrencyPolicy", true},
    {"/apis/" OURS "/signals", OURS, "Signal", true},
    {"/apis/" LOCKY "/lockpolicies", LOCKY, "LockPolicy", true},
    {"/apis/" OURS "/resourceadjustments", OURS, "ResourceAdjustment", true},
    {"/apis/" OURS "/deadlockreports", OURS, "DeadlockReport", true},
    {"/api/v1/resourcequotas", "v1", "ResourceQuota", false},
    {"/api/v1/limitranges", "v1", "LimitRange", false},
};

static struct live_operator o;
static const char *forbidden; /* a collection that may not be read; NULL: none */

/* --- the API server: everybody is root, and may do everything --- */

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    return fake_store_lets_in(target, out) ? 201
                                           : fake_store_handle(ctx, method, target, body, out);
}

static void put_file(const char *name)
{
    char path[TEST_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_EXAMPLES, name);
    fake_store_put_file(o.api, path);
}

static void put_teller(int i)
{
    char text[700], name[32];

    (void)snprintf(name, sizeof(name), "teller-%d", i);
    (void)snprintf(
        text, sizeof(text),
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'bank','uid':'u-%d',"
        "'creationTimestamp':'2026-01-01T00:00:00Z','ownerReferences':[{'apiVersion':'apps/v1',"
        "'kind':'ReplicaSet','name':'teller','uid':'r','controller':true}]},'spec':{'nodeName':"
        "'cpu-1','containers':[{'name':'main','resources':{'requests':{'cpu':'1'}}}]},'status':{"
        "'phase':'Running','conditions':[{'type':'Ready','status':'True'}]}}",
        name, i);
    fake_store_put_text(o.api, PODS, "bank", name, text);
}

/* --- the program --- */

static int start(void **state)
{
    live_operator_begin(&o, "operator", kinds, ARRAY_LEN(kinds), serve);
    if (forbidden)
        fake_api_fault(o.api, FAKE_STATUS, forbidden, FAKE_BOTH, FAKE_ALWAYS, 403, 0);
    put_file("cluster/nodes/cpu-1.yaml");
    put_file("locks/teller.yaml");
    for (int i = 0; i < 4; i++)
        put_teller(i);
    fake_store_put_text(o.api, POLICIES, "", "p",
                        "{'apiVersion':'" OURS
                        "','kind':'ConcurrencyPolicy','metadata':{'name':'p'},'spec':{"
                        "'deadlock':{'thresholdSeconds':1,'strategy':'EvictPod'}}}");
    live_operator_run(&o, NULL);
    return 0;
}

static int stop(void **state)
{
    live_operator_end(&o);
    return 0;
}

/* --- asking --- */

static int call(const char *method, const char *target, const char *body, struct buf *out)
{
    return live_operator_call(&o, method, target, body, out);
}

/* Until what is answered has this text. */
static void await_answer(const char *target, const char *text)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    struct buf b = {0};

    while (call("GET", target, "", &b) != 200 || !strstr(b.p, text)) {
        if (clock_monotonic_ns() > limit)
            fail_msg("%s: no \"%s\" in: %s", target, text, b.p);
        (void)poll(NULL, 0, 20);
    }
    buf_free(&b);
}

/* The text of the object in the API server; empty: none. */
static void stored(unsigned kind, const char *ns, const char *name, struct buf *out)
{
    const struct history *const h = fake_api_lock(o.api);

    out->n = 0;
    buf_str(out, history_object(h, kind, ns, name, history_version(h)));
    buf_add(out, "", 1);
    fake_api_unlock(o.api);
}

static void await_stored(unsigned kind, const char *ns, const char *name, const char *text)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    struct buf b = {0}, log = {0};

    for (stored(kind, ns, name, &b); !strstr(b.p, text); stored(kind, ns, name, &b)) {
        if (clock_monotonic_ns() > limit) {
            test_server_log(&o.server, &log);
            fail_msg("%s/%s: no \"%s\" in: %s\n%s", ns, name, text, b.p, log.p ? log.p : "");
        }
        (void)poll(NULL, 0, 20);
    }
    buf_free(&b);
}

/* --- tests --- */

static void policies_come_from_there_and_go_there(void **state)
{
    struct buf b = {0};

    await_answer("/v1/lock-hierarchy?namespace=bank", "\"accounts\"");
    await_stored(LOCKS, "bank", "teller", "\"type\":\"DeadlockFree\",\"status\":\"True\"");
    await_stored(LOCKS, "bank", "teller", "\"rules\":2");
    assert_int_equal(call("PUT", "/v1/lock-policies/bank/clerk",
                          "{'hierarchyRules':[{'name':'r','order':['tape','audit']}]}", &b),
                     201);
    stored(LOCKS, "bank", "clerk", &b);
    assert_non_null(strstr(b.p, "\"order\":[\"tape\",\"audit\"]"));
    assert_non_null(strstr(b.p, "\"generation\":1"));
    assert_int_equal(call("PUT", "/v1/lock-policies/bank/clerk",
                          "{'hierarchyRules':[{'name':'r','order':['tape','vault']}]}", &b),
                     200);
    stored(LOCKS, "bank", "clerk", &b);
    assert_non_null(strstr(b.p, "\"generation\":2"));
    /* Somebody else changes it meanwhile: then nobody's change is lost. */
    fake_store_put_text(
        o.api, LOCKS, "bank", "clerk",
        "{'apiVersion':'" LOCKY "','kind':'LockPolicy','metadata':{'name':'clerk','namespace':"
        "'bank'},'spec':{'hierarchyRules':[{'name':'r','order':['safe','vault']}]}}");
    await_answer("/v1/lock-hierarchy?namespace=bank", "\"safe\"");
    assert_int_equal(call("DELETE", "/v1/lock-policies/bank/clerk", "", &b), 200);
    stored(LOCKS, "bank", "clerk", &b);
    assert_int_equal(b.n, 1);
    /* Removed there: gone here. */
    struct history *const h = fake_api_lock(o.api);
    (void)history_delete(h, LOCKS, "bank", "teller");
    fake_api_unlock(o.api);
    await_answer("/v1/lock-hierarchy?namespace=bank", "\"levels\": {}");
    buf_free(&b);
}

static void say_deadlock(int sequence)
{
    char body[1024];

    (void)snprintf(body, sizeof(body),
                   "{'reporter':{'namespace':'bank','pod':'teller-0','epoch':1},'sequence':%d,"
                   "'nowNs':%llu,"
                   "'held':[{'class':'accounts','instance':'a','thread':7,'sinceNs':10},"
                   "{'class':'ledger','instance':'l','thread':8,'sinceNs':11}],"
                   "'waiting':[{'class':'ledger','instance':'l','thread':7,'sinceNs':20},"
                   "{'class':'accounts','instance':'a','thread':8,'sinceNs':30}]}",
                   sequence, (unsigned long long)clock_monotonic_ns());
    assert_int_equal(call("POST", "/v1/lock-reports", body, NULL), 202);
}

/* The name of the only DeadlockReport there; "" when there is none. */
static void note_key(void *ctx, struct str key, struct str text)
{
    const struct str slash = key;
    char *const out = ctx;

    for (size_t i = 0; i < slash.n; i++) {
        if (slash.p[i] == '/')
            (void)snprintf(out, 64, "%.*s", (int)(slash.n - i - 1), slash.p + i + 1);
    }
}

static void a_deadlock_is_told_there(void **state)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    char name[64] = "";
    int sequence = 0;

    while (!name[0]) {
        say_deadlock(++sequence);
        const struct history *const h = fake_api_lock(o.api);
        history_each(h, DEADLOCKS, note_key, name);
        fake_api_unlock(o.api);
        assert_true(clock_monotonic_ns() < limit);
        (void)poll(NULL, 0, 200);
    }
    await_stored(DEADLOCKS, "bank", name, "\"victim\":\"bank/teller-0\"");
    await_stored(DEADLOCKS, "bank", name, "\"reason\":\"DryRun\"");
    await_stored(DEADLOCKS, "bank", name, "\"source\":\"Observed\"");
    await_answer("/v1/deadlocks/bank", name);
    await_stored(LOCKS, "bank", "teller", "\"reason\":\"CycleActive\"");
    /* Its pod ends: that is written, too. */
    struct history *const h = fake_api_lock(o.api);
    (void)history_delete(h, PODS, "bank", "teller-0");
    fake_api_unlock(o.api);
    await_stored(DEADLOCKS, "bank", name, "\"reason\":\"Gone\"");
}

/* teller-1 asks for one CPU; of the 124 of cpu-1 the tellers have four. */
static void adjustments_that_are_applied_are_answered_there(void **state)
{
    struct buf b = {0};

    fake_store_put_text(o.api, ADJUSTMENTS, "bank", "more",
                        "{'apiVersion':'" OURS
                        "','kind':'ResourceAdjustment','metadata':{'name':'more',"
                        "'namespace':'bank','generation':1},'spec':{'target':{'name':'teller-1'},"
                        "'cpuShares':124928}}");
    await_stored(ADJUSTMENTS, "bank", "more", "\"reason\":\"Deferred\"");
    fake_store_put_text(o.api, ADJUSTMENTS, "bank", "less",
                        "{'apiVersion':'" OURS
                        "','kind':'ResourceAdjustment','metadata':{'name':'less',"
                        "'namespace':'bank','generation':1},'spec':{'target':{'name':'teller-1'},"
                        "'cpuShares':123905,'negotiate':true}}");
    await_stored(ADJUSTMENTS, "bank", "less", "\"cpuShares\":123904"); /* 121 */
    assert_int_equal(call("POST", "/v1/resource-adjustments/bank",
                          "{'metadata':{'name':'asked'},'spec':{'target':{'name':'teller-1'},"
                          "'cpuShares':2048}}",
                          &b),
                     202);
    stored(ADJUSTMENTS, "bank", "asked", &b);
    assert_non_null(strstr(b.p, "\"outcome\":\"Feasible\""));
    assert_non_null(strstr(b.p, "\"path\":\"InPlace\""));
    assert_int_equal(call("DELETE", "/v1/resource-adjustments/bank/asked", "", &b), 200);
    stored(ADJUSTMENTS, "bank", "asked", &b);
    assert_int_equal(b.n, 1);
    buf_free(&b);
}

/* Until the answer to this adjustment, which nothing is stored of, has `text` in it. */
static void await_judgement(const char *body, const char *text)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    struct buf b = {0};

    while (call("POST", "/v1/resource-adjustments/bank", body, &b) != 202 || !strstr(b.p, text)) {
        if (clock_monotonic_ns() > limit)
            fail_msg("%s: no \"%s\" in: %s", body, text, b.p);
        (void)poll(NULL, 0, 20);
    }
    buf_free(&b);
}

/* A namespace may give less than the node has; what changes there is followed. */
static void quotas_and_limit_ranges_are_followed(void **state)
{
    static const char body[] =
        "{'target':{'name':'teller-1'},'cpuShares':8192,'negotiate':true,'dryRun':true}";

    await_judgement(body, "\"reason\":\"Fits\"");
    fake_store_put_text(
        o.api, QUOTAS, "bank", "cpus",
        "{'apiVersion':'v1','kind':'ResourceQuota','metadata':{'name':'cpus','namespace':'bank'},"
        "'spec':{'hard':{'requests.cpu':'10'}},'status':{'hard':{'requests.cpu':'10'},'used':{"
        "'requests.cpu':'4'}}}");
    await_judgement(body, "ResourceQuota cpus: of requests.cpu 4000m are used of 10000m, and "
                          "7000m more are wanted");
    await_judgement(body, "\"cpuShares\":7168"); /* 1 + 6 */
    fake_store_put_text(
        o.api, RANGES, "bank", "sizes",
        "{'apiVersion':'v1','kind':'LimitRange','metadata':{'name':'sizes','namespace':'bank'},"
        "'spec':{'limits':[{'type':'Container','min':{'cpu':'2'}}]}}");
    await_judgement("{'target':{'name':'teller-1'},'cpuShares':1025,'dryRun':true}",
                    "LimitRange sizes: min cpu 2000m, and the request of container main: 1001m");
    struct history *const h = fake_api_lock(o.api);
    (void)history_delete(h, QUOTAS, "bank", "cpus");
    fake_api_unlock(o.api);
    await_judgement(body, "\"reason\":\"Fits\"");
}

static int start_without_a_rule(void **state)
{
    forbidden = kinds[QUOTAS].path;
    return start(state);
}

/* Then what is asked is judged without them, and the log says which rule it is. */
static void a_rule_that_is_missing_takes_only_its_part(void **state)
{
    struct buf log = {0}, page = {0};

    await_judgement("{'target':{'name':'teller-1'},'cpuShares':8192,'dryRun':true}",
                    "\"reason\":\"Fits\"");
    test_server_log(&o.server, &log);
    assert_non_null(strstr(log.p, "{apiGroups: [\\\"\\\"], resources: [resourcequotas], verbs: "
                                  "[list, watch]}; until then what is asked for a pod is judged "
                                  "without them"));
    assert_int_equal(test_get(o.server.console, "/metrics", &page), 200);
    buf_text(&page, "");
    assert_non_null(strstr(page.p, "numawise_cache_degraded{resource=\"resourcequotas\","
                                   "reason=\"forbidden\"} 1"));
    buf_free(&log);
    buf_free(&page);
}

static void a_signal_goes_there_and_comes_back(void **state)
{
    assert_int_equal(call("PUT", "/v1/signals/nics",
                          "{'kind':'networkBandwidth','unit':'Mbps','ttlSeconds':3600,'nodes':{"
                          "'cpu-1':{'devices':{'eth0':12345}}}}",
                          NULL),
                     204);
    await_stored(SIGNALS, "", "nics", "\"eth0\":12345");
    await_answer("/v1/bandwidth/cpu-1", "\"measured\": 12345");
}

/* What it may not write is said; when it may, it is written. */
static void what_is_refused_is_told_and_tried_again(void **state)
{
    struct buf b = {0};

    fake_api_fault(o.api, FAKE_STATUS, "/apis/" LOCKY "/namespaces/", FAKE_BOTH, FAKE_ALWAYS, 403,
                   0);
    fake_api_fault(o.api, FAKE_STATUS, "/apis/" OURS "/namespaces/", FAKE_BOTH, FAKE_ALWAYS, 403,
                   0);
    assert_int_equal(call("PUT", "/v1/lock-policies/bank/clerk", "{}", &b), 503);
    assert_non_null(strstr(b.p, "POST /apis/" LOCKY "/namespaces/bank/lockpolicies: 403"));
    assert_int_equal(call("GET", "/v1/lock-policies/bank/clerk", "", &b), 404);
    fake_store_put_text(o.api, ADJUSTMENTS, "bank", "more",
                        "{'apiVersion':'" OURS
                        "','kind':'ResourceAdjustment','metadata':{'name':'more',"
                        "'namespace':'bank','generation':1},'spec':{'target':{'name':'teller-1'},"
                        "'cpuShares':2048}}");
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    while (fake_api_asked(o.api, "PUT /apis/" OURS "/namespaces/bank/resourceadjustments/more/"
                                 "status") < 1) {
        assert_true(clock_monotonic_ns() < limit);
        (void)poll(NULL, 0, 20);
    }
    fake_api_heal(o.api);
    await_stored(ADJUSTMENTS, "bank", "more", "\"outcome\":\"Feasible\"");
    buf_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(policies_come_from_there_and_go_there),
        T(a_deadlock_is_told_there),
        T(adjustments_that_are_applied_are_answered_there),
        T(a_signal_goes_there_and_comes_back),
        T(what_is_refused_is_told_and_tried_again),
        T(quotas_and_limit_ranges_are_followed),
        cmocka_unit_test_setup_teardown(a_rule_that_is_missing_takes_only_its_part,
                                        start_without_a_rule, stop),
    };
#undef T

    return cmocka_run_group_tests_name("operator over an API server", tests, NULL, NULL);
}
