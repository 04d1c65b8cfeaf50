/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator resizes a pod for a ResourceAdjustment, as a real process over an API server that
 * plays the kubelet, too: once, for a caller who may do so himself, and only where both the setting
 * and the policy say so.
 */
#include "tests/support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/fake_lease.h"
#include "tests/support/fake_store.h"
#include "tests/support/live_operator.h"

enum { PATIENCE_MS = 90000 };
enum { NODES, PODS, NAMESPACES, POLICIES, ADJUSTMENTS, DEADLOCKS };

#define OURS "orchestration.gokore.io/v1beta1"
#define POD  "/api/v1/namespaces/bank/pods/teller-0"

static const struct fake_kind kinds[] = {
    {"/api/v1/nodes", "v1", "Node", false},
    {"/api/v1/pods", "v1", "Pod", false},
    {"/api/v1/namespaces", "v1", "Namespace", false},
    {"/apis/" OURS "/concurrencypolicies", OURS, "ConcurrencyPolicy", true},
    {"/apis/" OURS "/resourceadjustments", OURS, "ResourceAdjustment", true},
    {"/apis/" OURS "/deadlockreports", OURS, "DeadlockReport", true},
};

static struct live_operator o;

static struct {
    /* The pod, and what its kubelet does. */
    atomic_int cpu, granted, version;
    atomic_bool grants, infeasible;
    /* What the API server says. */
    atomic_bool may;   /* the caller may patch pods/resize */
    atomic_int broken; /* so many patches are done and answered by 500 */
    atomic_int patches, wrong, reviews;
} w;

/* --- the API server --- */

static void put_teller(void)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'teller-0','namespace':"
                   "'bank','uid':'u-0','creationTimestamp':'2026-01-01T00:00:00Z'},'spec':{"
                   "'nodeName':'n1','containers':[{'name':'main','resources':{'requests':{'cpu':"
                   "'%dm','memory':'64Mi'}}}]},'status':{'phase':'Running'}}",
                   atomic_load(&w.cpu));
    fake_store_put_text(o.api, PODS, "bank", "teller-0", text);
}

static int get_pod(struct buf *out)
{
    buf_printf(out,
               "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"teller-0\",\"uid\":\"u-0\","
               "\"resourceVersion\":\"%d\"},\"spec\":{\"containers\":[{\"name\":\"main\","
               "\"resources\":{\"requests\":{\"cpu\":\"%dm\",\"memory\":\"64Mi\"}}}]},\"status\":{"
               "\"containerStatuses\":[{\"name\":\"main\",\"allocatedResources\":{\"cpu\":\"%dm\","
               "\"memory\":\"64Mi\"}}],\"conditions\":[{\"type\":\"PodResizePending\",\"status\":"
               "\"%s\",\"reason\":\"Infeasible\",\"message\":\"no\"}]}}",
               atomic_load(&w.version), atomic_load(&w.cpu), atomic_load(&w.granted),
               atomic_load(&w.infeasible) && atomic_load(&w.cpu) != atomic_load(&w.granted)
                   ? "True"
                   : "False");
    return 200;
}

static const char *find(struct str body, const char *text)
{
    return body.p ? memmem(body.p, body.n, text, strlen(text)) : NULL;
}

static int patch_pod(struct str body, struct buf *out)
{
    char version[64];
    const char *const cpu = find(body, "\"requests\":{\"cpu\":\"");

    (void)snprintf(version, sizeof(version), "\"uid\":\"u-0\",\"resourceVersion\":\"%d\"",
                   atomic_load(&w.version));
    if (!cpu || !find(body, version)) {
        atomic_fetch_add(&w.wrong, 1);
        buf_text(out, "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":409}");
        return 409;
    }
    atomic_fetch_add(&w.patches, 1);
    atomic_store(&w.cpu, (int)strtol(cpu + 19, NULL, 10));
    atomic_fetch_add(&w.version, 1);
    if (atomic_load(&w.grants))
        atomic_store(&w.granted, atomic_load(&w.cpu));
    put_teller();
    if (atomic_load(&w.broken) > 0) {
        atomic_fetch_sub(&w.broken, 1);
        buf_text(out, "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":500}");
        return 500;
    }
    return get_pod(out);
}

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    if (strstr(target, "/subjectaccessreviews") &&
        find(body, "\"resource\":\"pods\",\"subresource\":\"resize\"")) {
        atomic_fetch_add(&w.reviews, 1);
        if (!find(body, "\"name\":\"teller-0\"") || !find(body, "\"verb\":\"patch\"") ||
            !find(body, "\"user\":\"root\""))
            atomic_fetch_add(&w.wrong, 1);
        buf_printf(out, "{\"kind\":\"SubjectAccessReview\",\"status\":{\"allowed\":%s}}",
                   atomic_load(&w.may) ? "true" : "false");
        return 201;
    }
    if (fake_store_lets_in(target, out))
        return 201;
    if (strstr(target, "/leases"))
        return fake_lease_handle(NULL, method, target, body, out);
    if (strcmp(target, POD) == 0 && strcmp(method, "GET") == 0)
        return get_pod(out);
    if (strcmp(target, POD "/resize") == 0 && strcmp(method, "PATCH") == 0)
        return patch_pod(body, out);
    return fake_store_handle(ctx, method, target, body, out);
}

/* --- the program --- */

static void set_policy(const char *adjustment)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'" OURS "','kind':'ConcurrencyPolicy','metadata':{'name':'p'},"
                   "'spec':{'adjustment':{%s}}}",
                   adjustment);
    fake_store_put_text(o.api, POLICIES, "", "p", text);
}

static int start(void **state)
{
    (void)state;
    atomic_store(&w.cpu, 250);
    atomic_store(&w.granted, 250);
    atomic_store(&w.version, 77);
    atomic_store(&w.grants, true);
    atomic_store(&w.infeasible, false);
    atomic_store(&w.may, true);
    atomic_store(&w.broken, 0);
    atomic_store(&w.patches, 0);
    atomic_store(&w.wrong, 0);
    atomic_store(&w.reviews, 0);
    fake_lease_clear();
    live_operator_begin(&o, "resize", kinds, ARRAY_LEN(kinds), serve);
    fake_store_put_text(o.api, NODES, "", "n1",
                        "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'},'status':{"
                        "'allocatable':{'cpu':'8','memory':'16Gi','pods':'110'}}}");
    put_teller();
    set_policy("'mode':'Enforce'");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    live_operator_end(&o);
    assert_int_equal(atomic_load(&w.wrong), 0);
    return 0;
}

/* --- asking --- */

static int call(const char *method, const char *target, const char *body)
{
    return live_operator_call(&o, method, target, body, NULL);
}

#define CALL "/v1/resource-adjustments/bank"

/* Until it leads, and has read the pod, it says 503, 307 or 404. */
static void ask(void)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    int status;

    while ((status = call("POST", CALL,
                          "{'metadata':{'name':'wanted'},'spec':{'target':{'name':'teller-0'},"
                          "'cpuShares':512}}")) != 202) {
        if (clock_monotonic_ns() > limit)
            fail_msg("it is not taken: %d", status);
        (void)poll(NULL, 0, 100);
    }
}

/* Until the stored object has all of these texts. */
static void await_all(const char *const *texts)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);

    for (;;) {
        struct buf all = {0}, log = {0};
        bool found = true;

        const struct history *const h = fake_api_lock(o.api);
        buf_str(&all, history_object(h, ADJUSTMENTS, "bank", "wanted", history_version(h)));
        fake_api_unlock(o.api);
        buf_add(&all, "", 1);
        for (int i = 0; texts[i]; i++)
            found = found && strstr(all.p, texts[i]);
        if (!found && clock_monotonic_ns() > limit) {
            test_server_log(&o.server, &log);
            fail_msg("no %s in %s\n%s", texts[0], all.p, log.p ? log.p : "");
        }
        buf_free(&all);
        if (found)
            return;
        (void)poll(NULL, 0, 50);
    }
}

#define UNTIL(...) await_all((const char *const[]){__VA_ARGS__, NULL})
#define FIGURE(outcome, n)                                                                         \
    test_await_figure(o.server.console, PATIENCE_MS,                                               \
                      "numawise_operator_actions_total{kind=\"ResizePod\",outcome=\"" outcome      \
                      "\"} " #n "\n")

/* --- tests --- */

/* Nothing while it is off; a changed file turns it on; then once, the right one. */
static void it_resizes_once_and_only_when_it_is_told_to(void **state)
{
    (void)state;
    set_policy("");
    live_operator_run(&o, "DryRun");
    ask();
    UNTIL("\"ActionSuppressed\"", "\"reason\":\"DryRun\"", "would resize container main");
    live_operator_configure(&o, "Enforce");
    test_await_figure(o.server.console, PATIENCE_MS, "numawise_operator_acting 1\n");
    UNTIL("spec.adjustment.mode of the policy is DryRun");
    assert_int_equal(atomic_load(&w.reviews), 0);
    set_policy("'mode':'Enforce'");
    UNTIL("\"outcome\":\"Applied\"", "\"requestedBy\":\"root\"", "\"attempts\":1,");
    FIGURE("Applied", 1);
    assert_int_equal(atomic_load(&w.patches), 1);
    assert_int_equal(atomic_load(&w.cpu), 500);
    assert_true(atomic_load(&w.reviews) > 0);
    for (int i = 0; i < 5; i++)
        ask(); /* whatever is asked now */
    UNTIL("\"outcome\":\"Applied\"", "\"attempts\":1,");
    assert_int_equal(atomic_load(&w.patches), 1);
    assert_true(fake_api_asked(o.api, "POST /apis/events.k8s.io/v1/namespaces/bank/events") >= 1);
}

/* An object that somebody applies, and a caller who may not resize the pod himself. */
static void nobody_gets_what_he_may_not_do_himself(void **state)
{
    (void)state;
    atomic_store(&w.may, false);
    live_operator_run(&o, "Enforce");
    fake_store_put_text(o.api, ADJUSTMENTS, "bank", "wanted",
                        "{'apiVersion':'" OURS "','kind':'ResourceAdjustment','metadata':{'name':"
                        "'wanted','namespace':'bank','uid':'a-1','generation':1},'spec':{'target':{"
                        "'name':'teller-0'},'cpuShares':512}}");
    UNTIL("\"reason\":\"NotAskedFor\"");
    assert_int_equal(atomic_load(&w.reviews), 0);
    assert_int_equal(call("POST", CALL "/wanted/accept", ""), 202);
    UNTIL("\"reason\":\"RequesterMayNot\"");
    assert_int_equal(atomic_load(&w.patches), 0);
    atomic_store(&w.may, true);
    assert_int_equal(call("POST", CALL "/wanted/accept", ""), 202);
    UNTIL("\"outcome\":\"Applied\"");
    assert_int_equal(atomic_load(&w.patches), 1);
}

static void what_the_kubelet_refuses_is_given_back(void **state)
{
    (void)state;
    atomic_store(&w.grants, false);
    atomic_store(&w.infeasible, true);
    live_operator_run(&o, "Enforce");
    ask();
    UNTIL("\"outcome\":\"Reverted\"", "\"reason\":\"KubeletInfeasible\"",
          "\"outcome\":\"Infeasible\"");
    assert_int_equal(atomic_load(&w.patches), 2);
    assert_int_equal(atomic_load(&w.cpu), 250);
    FIGURE("Reverted", 1);
}

static void what_nobody_answers_is_found_out(void **state)
{
    (void)state;
    atomic_store(&w.broken, 1);
    live_operator_run(&o, "Enforce");
    ask();
    UNTIL("\"outcome\":\"Applied\"");
    assert_int_equal(atomic_load(&w.patches), 1);
}

/* Killed while the kubelet is waited for: the next one goes on, and sends nothing. */
static void who_comes_after_a_crash_goes_on(void **state)
{
    (void)state;
    atomic_store(&w.grants, false);
    live_operator_run(&o, "Enforce");
    ask();
    UNTIL("\"outcome\":\"Requested\"");
    assert_int_equal(test_server_stop(&o.server, SIGKILL), 128 + SIGKILL);
    atomic_store(&w.granted, 500);
    live_operator_run(&o, "Enforce");
    UNTIL("\"outcome\":\"Applied\"");
    assert_int_equal(atomic_load(&w.patches), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(it_resizes_once_and_only_when_it_is_told_to),
        T(nobody_gets_what_he_may_not_do_himself),
        T(what_the_kubelet_refuses_is_given_back),
        T(what_nobody_answers_is_found_out),
        T(who_comes_after_a_crash_goes_on),
    };
#undef T

    return cmocka_run_group_tests_name("the operator resizes", tests, NULL, NULL);
}
