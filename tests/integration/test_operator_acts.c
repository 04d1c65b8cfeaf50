/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator ends a pod of a deadlock, as a real process over an API server that is told what to
 * answer: once, the right one, and only where both the setting and the policy say so.
 */
#include "tests/support/test.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/fake_lease.h"
#include "tests/support/fake_store.h"
#include "tests/support/live_operator.h"

enum { PATIENCE_MS = 90000 };
enum { NODES, PODS, NAMESPACES, POLICIES, DEADLOCKS };

#define OURS "orchestration.gokore.io/v1beta1"
#define POD  "/api/v1/namespaces/bank/pods/teller-0"

static const struct fake_kind kinds[] = {
    {"/api/v1/nodes", "v1", "Node", false},
    {"/api/v1/pods", "v1", "Pod", false},
    {"/api/v1/namespaces", "v1", "Namespace", false},
    {"/apis/" OURS "/concurrencypolicies", OURS, "ConcurrencyPolicy", true},
    {"/apis/" OURS "/deadlockreports", OURS, "DeadlockReport", true},
};

/* What the API server says to evictions: in this order, the last one from then on. */
enum answer { TAKEN, BUDGET, CONFLICT, BROKEN, BROKEN_BUT_DONE, ABSENT };

static struct live_operator o;

static struct {
    _Atomic(const enum answer *) answers;
    atomic_int evictions, others; /* with the right preconditions, and all others */
    atomic_bool gone;
    int sequence;
} w;

/* --- the API server --- */

static int say(struct buf *out, int code, const char *cause)
{
    buf_printf(out,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"%s\",\"code\":%d,"
               "\"details\":{\"causes\":[{\"reason\":\"%s\"}]}}",
               code < 300 ? "Success" : "Failure", code, cause);
    return code;
}

static int evict(const char *target, struct str body, struct buf *out)
{
    static const char want[] = "\"preconditions\":{\"uid\":\"u-0\",\"resourceVersion\":\"77\"}";
    const bool right =
        strcmp(target, POD "/eviction") == 0 && memmem(body.p, body.n, want, sizeof(want) - 1);
    const int i = atomic_fetch_add(right ? &w.evictions : &w.others, 1);
    const enum answer *const answers = atomic_load(&w.answers);
    int last = 0;

    if (!right)
        return say(out, 409, "");
    while (last < i && answers[last] != TAKEN)
        last++;
    switch (answers[last]) {
    case TAKEN:
        atomic_store(&w.gone, true);
        return say(out, 201, "");
    case BUDGET:
        return say(out, 429, "DisruptionBudget");
    case CONFLICT:
        atomic_store(&w.gone, true); /* by somebody else */
        return say(out, 409, "");
    case BROKEN_BUT_DONE:
        atomic_store(&w.gone, true);
        return say(out, 500, "");
    case BROKEN:
        return say(out, 500, "");
    case ABSENT:
        return say(out, 404, "");
    }
    return 500;
}

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    if (fake_store_lets_in(target, out))
        return 201;
    if (strstr(target, "/leases"))
        return fake_lease_handle(NULL, method, target, body, out);
    if (strstr(target, "/eviction"))
        return evict(target, body, out);
    if (strcmp(target, POD) == 0 && strcmp(method, "GET") == 0) {
        if (atomic_load(&w.gone))
            return say(out, 404, "");
        buf_text(out, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"teller-0\",\"uid\":\"u-0\","
                      "\"resourceVersion\":\"77\"}}");
        return 200;
    }
    return fake_store_handle(ctx, method, target, body, out);
}

static void put_tellers(void)
{
    for (int i = 0; i < 4; i++) {
        char text[700], name[32];

        (void)snprintf(name, sizeof(name), "teller-%d", i);
        (void)snprintf(
            text, sizeof(text),
            "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'bank','uid':"
            "'u-%d','creationTimestamp':'2026-01-01T00:00:00Z','ownerReferences':[{'apiVersion':"
            "'apps/v1','kind':'ReplicaSet','name':'teller','uid':'r','controller':true}]},'spec':{"
            "'nodeName':'cpu-1','containers':[{'name':'main'}]},'status':{'phase':'Running',"
            "'conditions':[{'type':'Ready','status':'True'}]}}",
            name, i);
        fake_store_put_text(o.api, PODS, "bank", name, text);
    }
}

/* --- the program --- */

static int start(void **state)
{
    (void)state;
    atomic_store(&w.evictions, 0);
    atomic_store(&w.others, 0);
    atomic_store(&w.gone, false);
    w.sequence = 0;
    fake_lease_clear();
    live_operator_begin(&o, "acts", kinds, ARRAY_LEN(kinds), serve);
    put_tellers();
    fake_store_put_text(
        o.api, POLICIES, "", "p",
        "{'apiVersion':'" OURS "','kind':'ConcurrencyPolicy','metadata':{'name':'p'},'spec':{"
        "'deadlock':{'thresholdSeconds':1,'strategy':'EvictPod','mode':'Enforce'}}}");
    return 0;
}

static void run(const char *act, const enum answer *answers)
{
    atomic_store(&w.answers, answers);
    live_operator_run(&o, act);
}

static int stop(void **state)
{
    (void)state;
    live_operator_end(&o);
    return 0;
}

/* Two threads of teller-0 wait for each other, still. */
static void report(void)
{
    char body[1024];

    (void)snprintf(body, sizeof(body),
                   "{'reporter':{'namespace':'bank','pod':'teller-0','epoch':1},'sequence':%d,"
                   "'nowNs':%llu,"
                   "'held':[{'class':'accounts','instance':'a','thread':7,'sinceNs':10},"
                   "{'class':'ledger','instance':'l','thread':8,'sinceNs':11}],"
                   "'waiting':[{'class':'ledger','instance':'l','thread':7,'sinceNs':20},"
                   "{'class':'accounts','instance':'a','thread':8,'sinceNs':30}]}",
                   w.sequence + 1, (unsigned long long)clock_monotonic_ns());
    if (live_operator_call(&o, "POST", "/v1/lock-reports", body, NULL) == 202)
        w.sequence++; /* until it leads: 503 */
}

static void note_report(void *ctx, struct str key, struct str text)
{
    struct buf *const out = ctx;

    (void)key;
    buf_str(out, text);
}

/* Report on until the stored report has all of these texts. */
static void report_until(const char *const *texts)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);

    for (;;) {
        struct buf all = {0};
        bool found = true;

        report();
        const struct history *const h = fake_api_lock(o.api);
        history_each(h, DEADLOCKS, note_report, &all);
        fake_api_unlock(o.api);
        buf_add(&all, "", 1);
        for (int i = 0; texts[i]; i++)
            found = found && strstr(all.p, texts[i]);
        if (!found && clock_monotonic_ns() > limit)
            fail_msg("no %s in %s", texts[0], all.p);
        buf_free(&all);
        if (found)
            return;
        (void)poll(NULL, 0, 200);
    }
}

#define UNTIL(...) report_until((const char *const[]){__VA_ARGS__, NULL})
#define FIGURE(outcome, n)                                                                         \
    test_await_figure(o.server.console, PATIENCE_MS,                                               \
                      "numawise_operator_actions_total{kind=\"EvictPod\",outcome=\"" outcome       \
                      "\"} " #n "\n")

/* --- tests --- */

/* Nothing while it is off; a changed file turns it on; then once, the right one. */
static void it_acts_once_and_only_when_it_is_told_to(void **state)
{
    static const enum answer answers[] = {TAKEN};

    (void)state;
    run("DryRun", answers);
    UNTIL("\"reason\":\"DryRun\"", "operator.act is DryRun", "\"victim\":\"bank/teller-0\"");
    assert_int_equal(atomic_load(&w.evictions), 0);
    live_operator_configure(&o, "Enforce");
    test_await_figure(o.server.console, PATIENCE_MS, "numawise_operator_acting 1\n");
    UNTIL("\"outcome\":\"Evicted\"", "\"uid\":\"u-0\"", "\"attempts\":1,");
    FIGURE("Evicted", 1);
    for (int i = 0; i < 40; i++) { /* whatever is said of it now */
        report();
        (void)poll(NULL, 0, 200);
    }
    assert_int_equal(atomic_load(&w.evictions), 1);
    assert_int_equal(atomic_load(&w.others), 0);
    assert_true(fake_api_asked(o.api, "POST /apis/events.k8s.io/v1/namespaces/bank/events") >= 1);
}

/* A budget that is used up is waited for, with the time the API says at the least. */
static void a_refusal_is_tried_again_later(void **state)
{
    static const enum answer answers[] = {BUDGET, TAKEN};

    (void)state;
    run("Enforce", answers);
    UNTIL("\"outcome\":\"Refused\"", "\"reason\":\"DisruptionBudget\"", "\"retryAt\":");
    assert_int_equal(atomic_load(&w.evictions), 1);
    UNTIL("\"outcome\":\"Evicted\"", "\"attempts\":2,");
    assert_int_equal(atomic_load(&w.evictions), 2);
}

static void a_conflict_ends_it(void **state)
{
    static const enum answer answers[] = {CONFLICT, TAKEN};

    (void)state;
    run("Enforce", answers);
    UNTIL("\"outcome\":\"Gone\"");
    assert_int_equal(atomic_load(&w.evictions), 1);
}

static void an_absent_pod_ends_it(void **state)
{
    static const enum answer answers[] = {ABSENT, TAKEN};

    (void)state;
    run("Enforce", answers);
    UNTIL("\"outcome\":\"Gone\"", "\"reason\":\"NotFound\"");
    assert_int_equal(atomic_load(&w.evictions), 1);
}

/* 500, and done all the same; and no answer at all. */
static void what_nobody_answers_is_found_out(void **state)
{
    static const enum answer answers[] = {BROKEN_BUT_DONE, TAKEN};

    (void)state;
    run("Enforce", answers);
    UNTIL("\"outcome\":\"Evicted\"", "\"reason\":\"FoundGone\"");
    assert_int_equal(atomic_load(&w.evictions), 1);
}

/* The call hangs until nobody waits for it any more; the pod is there, so it was not ended. */
static void a_call_that_hangs_is_looked_into(void **state)
{
    static const enum answer answers[] = {TAKEN};

    (void)state;
    run("Enforce", answers);
    fake_api_fault(o.api, FAKE_HANG, POD "/eviction", FAKE_BOTH, 1, 0, 0);
    UNTIL("\"outcome\":\"Intended\"", "\"reason\":\"NoAnswer\"");
    assert_int_equal(atomic_load(&w.evictions), 0);
    atomic_store(&w.gone, true); /* it was done after all */
    UNTIL("\"outcome\":\"Evicted\"", "\"reason\":\"FoundGone\"");
    assert_int_equal(atomic_load(&w.evictions), 0);
}

/* The switch, while the API server refuses: from then on nothing is asked. */
static void it_is_turned_off_by_a_changed_file(void **state)
{
    static const enum answer answers[] = {BUDGET, BUDGET, BUDGET, BUDGET, BUDGET, BUDGET, TAKEN};

    (void)state;
    run("Enforce", answers);
    UNTIL("\"outcome\":\"Refused\"");
    live_operator_configure(&o, "DryRun");
    test_await_figure(o.server.console, PATIENCE_MS, "numawise_operator_acting 0\n");
    const int before = atomic_load(&w.evictions);
    for (int i = 0; i < 60; i++) {
        report();
        (void)poll(NULL, 0, 200);
    }
    assert_int_equal(atomic_load(&w.evictions), before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(it_acts_once_and_only_when_it_is_told_to),
        T(a_refusal_is_tried_again_later),
        T(a_conflict_ends_it),
        T(an_absent_pod_ends_it),
        T(what_nobody_answers_is_found_out),
        T(a_call_that_hangs_is_looked_into),
        T(it_is_turned_off_by_a_changed_file),
    };
#undef T

    return cmocka_run_group_tests_name("the operator acts", tests, NULL, NULL);
}
