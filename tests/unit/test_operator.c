/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's answers as plain functions: no sockets, a clock that is told, a store in memory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/cluster.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "tests/support/operator_bench.h"
#include "tests/support/schema.h"
#include "tests/support/test.h"

#define POLICY "/v1/lock-policies/bank/teller"
#define RULES  "{'qosClass':'Guaranteed','hierarchyRules':[{'name':'r','order':['a','b','c']}]}"

/* --- policies --- */

static void a_policy_is_stored_and_read(void **state)
{
    struct bench *const b = *state;

    fails(b, HTTP_GET, POLICY, "", 404, "");
    struct answer a = call(b, HTTP_PUT, POLICY, RULES);
    assert_int_equal(a.status, 201);
    assert_string_equal(text_at(&a, "metadata.namespace"), "bank");
    assert_string_equal(text_at(&a, "spec.hierarchyRules.0.order.2"), "c");
    assert_int_equal(json_integer_value(at(&a, "status.rules")), 1);
    assert_string_equal(text_at(&a, "status.conditions.1.type"), "HierarchyAcyclic");
    assert_string_equal(text_at(&a, "status.conditions.1.status"), "True");
    done(&a);
    a = call(b, HTTP_GET, POLICY, "");
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "metadata.uid"), "u-1");
    done(&a);
    a = call(b, HTTP_GET, "/v1/lock-hierarchy?namespace=bank", "");
    assert_int_equal(json_integer_value(at(&a, "levels.c")), 2);
    done(&a);
}

static void the_same_policy_again_changes_nothing(void **state)
{
    struct bench *const b = *state;

    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    assert_int_equal(b->puts, 1);
    succeeds(b, HTTP_PUT, POLICY,
             " { 'qosClass' : 'Guaranteed', 'hierarchyRules':[{'name':'r', "
             "'order':['a','b','c']}]}\n",
             200);
    assert_int_equal(b->puts, 1);
    succeeds(b, HTTP_PUT, POLICY, "{'qosClass':'Burstable'}", 200);
    assert_int_equal(b->puts, 2);
}

/* The whole object may be put, as kubectl prints it, with the version that it had. */
static void a_stale_version_is_a_conflict(void **state)
{
    struct bench *const b = *state;

    fails(b, HTTP_PUT, POLICY, "{'metadata':{'resourceVersion':'1'},'spec':{}}", 409,
          "metadata.resourceVersion");
    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    fails(b, HTTP_PUT, POLICY, "{'metadata':{'resourceVersion':'0'},'spec':{}}", 409,
          "metadata.resourceVersion");
    fails(b, HTTP_PUT, POLICY "?resourceVersion=0", "{}", 409, "metadata.resourceVersion");
    succeeds(b, HTTP_PUT, POLICY,
             "{'apiVersion':'concurrency.gokore.io/v1alpha1','kind':'LockPolicy','metadata':{"
             "'name':'teller','namespace':'bank','resourceVersion':'1'},'spec':{}}",
             200);
    fails(b, HTTP_DELETE, POLICY "?resourceVersion=1", "", 409, "metadata.resourceVersion");
    succeeds(b, HTTP_DELETE, POLICY "?resourceVersion=2", "", 200);
}

static void a_policy_that_is_wrong_names_its_field(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *field;
    } cases[] = {
        {"{'qosClass':'Gold'}", 422, "spec.qosClass"},
        {"{'hierarchyRules':[{'name':'r','order':['a','a']}]}", 422,
         "spec.hierarchyRules[0].order[1]"},
        {"{'hierarchyRule':[]}", 422, "spec.hierarchyRule"},
        {"{'spec':{'maxHoldTime':'5'}}", 422, "spec.maxHoldTime"},
        {"{'metadata':{'name':'other'},'spec':{}}", 422, "metadata.name"},
        {"{'metadata':{'namespace':'other'},'spec':{}}", 422, "metadata.namespace"},
        {"[]", 400, ""},
        {"{'qosClass':", 400, ""},
        {"", 400, ""},
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        fails(b, HTTP_PUT, POLICY, cases[i].body, cases[i].status, cases[i].field);
    fails(b, HTTP_PUT, "/v1/lock-policies/Bank/x", "{}", 400, "metadata.namespace");
    fails(b, HTTP_PUT, "/v1/lock-policies/bank/a%2fb", "{}", 400, "metadata.name");
    assert_int_equal(b->puts, 0);
    assert_null(b->op->book.spaces);
}

/* What cannot be stored was never declared, and what was declared before is so again. */
static void a_store_that_fails_leaves_everything_as_it_was(void **state)
{
    struct bench *const b = *state;

    b->fail_with = -ENOSPC;
    fails(b, HTTP_PUT, POLICY, RULES, 503, "");
    assert_null(b->op->book.spaces);
    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    b->fail_with = -ESTALE;
    fails(b, HTTP_PUT, POLICY, "{'hierarchyRules':[{'name':'r','order':['x','y']}]}", 409, "");
    struct answer a = call(b, HTTP_GET, "/v1/lock-hierarchy?namespace=bank", "");
    assert_non_null(at(&a, "levels.c"));
    assert_null(at(&a, "levels.x"));
    done(&a);
    b->fail_with = -EBUSY;
    fails(b, HTTP_DELETE, POLICY, "", 503, "");
    succeeds(b, HTTP_GET, POLICY, "", 200);
    succeeds(b, HTTP_DELETE, POLICY, "", 200);
    fails(b, HTTP_GET, POLICY, "", 404, "");
    fails(b, HTTP_DELETE, POLICY, "", 404, "");
}

static void policies_that_contradict_each_other_are_stored_with_a_warning(void **state)
{
    struct bench *const b = *state;

    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    struct answer a = call(b, HTTP_PUT, "/v1/lock-policies/bank/other",
                           "{'hierarchyRules':[{'name':'r','order':['c','a']}]}");
    assert_int_equal(a.status, 201);
    assert_non_null(strstr(a.warning.p, "contradict each other about a, b, c"));
    assert_string_equal(text_at(&a, "status.conditions.1.status"), "False");
    assert_string_equal(text_at(&a, "status.conditions.1.reason"), "PoliciesContradict");
    done(&a);
}

/* --- reports --- */

#define REPORTER "'reporter':{'namespace':'bank','pod':'teller-0','container':'m','epoch':1}"

static void reports_are_answered_as_the_contract_says(void **state)
{
    struct bench *const b = *state;
    struct answer a =
        call(b, HTTP_POST, "/v1/lock-reports",
             "{" REPORTER ",'sequence':1,'nowNs':5,'edges':[{'from':'a','to':'b','count':2}]}");

    assert_int_equal(a.status, 202);
    assert_true(json_is_false(at(&a, "resend")));
    done(&a);
    a = call(b, HTTP_POST, "/v1/lock-reports", "{" REPORTER ",'sequence':1,'nowNs':5}");
    assert_int_equal(a.status, 202);
    assert_true(json_is_false(at(&a, "resend")));
    done(&a);
    a = call(b, HTTP_POST, "/v1/lock-reports", "{" REPORTER ",'sequence':5,'nowNs':5}");
    assert_int_equal(a.status, 202);
    assert_true(json_is_true(at(&a, "resend")));
    assert_int_equal(json_integer_value(at(&a, "have")), 1);
    done(&a);
}

static void a_report_that_is_wrong_names_its_field(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *field;
    } cases[] = {
        {"{'sequence':1,'nowNs':5}", 422, "reporter"},
        {"{'reporter':{'namespace':'bank','pod':'Bad_Pod'},'sequence':1,'nowNs':1}", 422,
         "reporter.pod"},
        {"{'reporter':{'namespace':'b/c','pod':'p'},'sequence':1,'nowNs':1}", 422,
         "reporter.namespace"},
        {"{" REPORTER ",'sequence':-1,'nowNs':5}", 422, "sequence"},
        {"{" REPORTER ",'sequence':1,'nowNs':'5'}", 422, "nowNs"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'heldd':[]}", 422, "heldd"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'held':[{'thread':'t','sinceNs':1}]}", 422,
         "held[0].class"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'held':[{'class':'a','thread':'t','sinceNs':6}]}",
         422, "held[0].sinceNs"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'held':[{'class':'a\\u0007','thread':'t',"
         "'sinceNs':1}]}",
         422, "held[0].class"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'held':[{'class':'a','thread':'t','sinceNs':1,"
         "'scope':'global'}]}",
         422, "held[0].scope"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'waiting':[{'class':'a','thread':'t','sinceNs':1},"
         "{'class':'b','thread':'t','sinceNs':1}]}",
         422, "waiting[1].thread"},
        {"{" REPORTER ",'sequence':1,'nowNs':5,'edges':[{'from':'a','to':'b','count':0}]}", 422,
         "edges[0].count"},
        {"{" REPORTER ",'sequence':1,'sequence':2,'nowNs':5}", 422, "sequence"},
        {"{" REPORTER ",'sequence':1,'nowNs':5} x", 400, ""},
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        fails(b, HTTP_POST, "/v1/lock-reports", cases[i].body, cases[i].status, cases[i].field);
    assert_null(b->op->book.spaces);
}

static void a_reporter_that_reports_too_often_waits(void **state)
{
    struct bench *const b = *state;
    const char *const body = "{" REPORTER ",'sequence':1,'nowNs':5}";
    int taken = 0;

    for (;; taken++) {
        struct answer a = call(b, HTTP_POST, "/v1/lock-reports", body);
        const bool limited = a.status == 429;

        assert_true(limited || a.status == 202);
        assert_true(!limited || a.retry_after_s == 1);
        assert_true(!limited || json_integer_value(at(&a, "details.retryAfterSeconds")) == 1);
        done(&a);
        if (limited)
            break;
        assert_in_range(taken, 0, 1000);
    }
    assert_int_equal(taken, 200);
    succeeds(b, HTTP_POST, "/v1/lock-reports", /* another one is not held up */
             "{'reporter':{'namespace':'bank','pod':'teller-1'},'sequence':1,'nowNs':5}", 202);
    b->now_ns += 20000000; /* 20 ms: one of fifty a second */
    succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
    fails(b, HTTP_POST, "/v1/lock-reports", body, 429, "");
}

/* However many containers he says he has: what he is known by counts. */
static void a_caller_that_calls_too_often_waits(void **state)
{
    struct bench *const b = *state;
    const struct op_caller one = {.user = STR("system:serviceaccount:shop:web"),
                                  .ns = STR("shop"),
                                  .pod = STR("web-0"),
                                  .pod_uid = STR("u0")};
    struct op_caller two = one;
    char body[160];

    two.pod = STR("web-1");
    two.pod_uid = STR("u1");
    for (int i = 0; i <= 401; i++) {
        const bool other = i == 401;

        (void)snprintf(body, sizeof(body),
                       "{'reporter':{'namespace':'shop','pod':'web-%d','container':'c%d'},"
                       "'sequence':1,'nowNs':5}",
                       other, i);
        struct answer a = call_as(b, other ? &two : &one, HTTP_POST, "/v1/lock-reports", body);
        assert_int_equal(a.status, i == 400 ? 429 : 202);
        assert_int_equal(a.retry_after_s, i == 400 ? 1 : 0);
        done(&a);
    }
    struct answer a = call_as(b, &one, HTTP_GET, "/v1/lock-hierarchy?namespace=shop", "");
    assert_int_equal(a.status, 429); /* whatever it is that he asks for */
    done(&a);
    b->now_ns += 5000000; /* 5 ms: one of two hundred a second */
    a = call_as(b, &one, HTTP_GET, "/v1/lock-hierarchy?namespace=shop", "");
    assert_int_equal(a.status, 200);
    done(&a);
}

/* --- the hierarchy --- */

static void the_hierarchy_comes_in_every_format(void **state)
{
    static const char *const formats[] = {"json", "text", "dot", "mermaid", "svg"};
    struct bench *const b = *state;
    json_t *const schema = schema_read("locks.schema.json");

    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        char target[128];

        (void)snprintf(target, sizeof(target), "/v1/lock-hierarchy?namespace=bank&format=%s",
                       formats[i]);
        struct answer a = call(b, HTTP_GET, target, "");
        assert_int_equal(a.status, 200);
        if (i == 0)
            schema_expect(a.json, schema);
        done(&a);
    }
    json_decref(schema);
    fails(b, HTTP_GET, "/v1/lock-hierarchy?format=png", "", 406, "format");
    fails(b, HTTP_GET, "/v1/lock-hierarchy?format=svg&format=dot", "", 400, "format");
    fails(b, HTTP_GET, "/v1/lock-hierarchy?namespace=%zz", "", 400, "namespace");
    fails(b, HTTP_GET, "/v1/lock-hierarchy?namespace=", "", 400, "namespace");
    fails(b, HTTP_GET, "/v1/lock-hierarchy?namespace=No%20Name", "", 400, "namespace");
    fails(b, HTTP_GET, "/v1/lock-hierarchy?namespace=a.b", "", 400, "namespace");
    succeeds(b, HTTP_PUT, "/v1/lock-policies/shop/p", "{}", 201);
    fails(b, HTTP_GET, "/v1/lock-hierarchy?format=svg", "", 400, "namespace");
    struct answer a = call(b, HTTP_GET, "/v1/lock-hierarchy", "");
    assert_int_equal(json_array_size(at(&a, "namespaces")), 2);
    done(&a);
    succeeds(b, HTTP_GET, "/v1/lock-hierarchy?namespace=empty&format=svg", "", 200);
}

static void unknown_calls_are_not_found(void **state)
{
    struct bench *const b = *state;

    fails(b, HTTP_GET, "/v1/", "", 404, "");
    fails(b, HTTP_GET, "/v1/lock-policy/bank/teller", "", 404, "");
    fails(b, HTTP_GET, "/v1/lock-policies/bank", "", 404, "");
    fails(b, HTTP_GET, "/v1/lock-policies/bank/a/b", "", 404, "");
    fails(b, HTTP_GET, "/v1/lock-reports", "", 405, "");
    fails(b, HTTP_PUT, "/v1/lock-hierarchy", "", 405, "");
}

/* --- deadlocks --- */

static void add_pod(struct bench *b, const char *ns, const char *name, const char *extra)
{
    struct buf text = {0};

    buf_printf(&text,
               "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"uid-%s\","
               "\"creationTimestamp\":\"2026-09-20T00:00:00Z\",\"ownerReferences\":[{\"kind\":"
               "\"ReplicaSet\",\"name\":\"%.6s\",\"controller\":true}]},\"spec\":{%s\"nodeName\":"
               "\"n1\",\"containers\":[{\"name\":\"m\"}]},\"status\":{\"phase\":\"Running\","
               "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
               ns, name, name, name, extra);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    const struct source_delta delta = {.kind = SOURCE_POD,
                                       .type = STR("Pod"),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {text.p, n}};
    assert_int_equal(b->sink.delta(b->sink.ctx, &delta, NULL), 0);
    b->sink.settled(b->sink.ctx);
    buf_free(&text);
}

static void wait_ms(struct bench *b, uint64_t ms)
{
    for (; ms > 0; ms -= ms < 250 ? ms : 250) {
        const uint64_t step = ms < 250 ? ms : 250;

        b->now_ns += step * 1000000;
        b->now_us += (int64_t)step * 1000;
        op_tick(b->op, b->now_ns, b->now_us);
    }
}

/* Two threads of teller-0, each with the lock that the other one wants. */
static void say_deadlock(struct bench *b, int sequence)
{
    char body[1024];

    (void)snprintf(body, sizeof(body),
                   "{" REPORTER ",'sequence':%d,'nowNs':%llu,"
                   "'held':[{'class':'accounts','instance':'a','thread':7,'sinceNs':10},"
                   "{'class':'ledger','instance':'l','thread':8,'sinceNs':11}],"
                   "'waiting':[{'class':'ledger','instance':'l','thread':7,'sinceNs':20},"
                   "{'class':'accounts','instance':'a','thread':8,'sinceNs':30}]}",
                   sequence, (unsigned long long)b->now_ns);
    succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
}

static void a_deadlock_is_planned_beyond_its_threshold(void **state)
{
    struct bench *const b = *state;

    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "teller-%d", i);
        add_pod(b, "bank", name, "");
    }
    say_deadlock(b, 1);
    wait_ms(b, 2000);
    say_deadlock(b, 2);
    wait_ms(b, 20000);
    assert_int_equal(b->puts, 0); /* confirmed, and not yet beyond 30 s */
    struct answer a = call(b, HTTP_GET, "/v1/lock-hierarchy?namespace=bank", "");
    assert_true(json_is_true(at(&a, "deadlocks.0.confirmed")));
    done(&a);

    wait_ms(b, 9000);
    a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    assert_int_equal(json_array_size(at(&a, "items")), 1);
    assert_string_equal(text_at(&a, "items.0.spec.source"), "Observed");
    assert_string_equal(text_at(&a, "items.0.spec.cycle.0.holds"), "accounts/a");
    assert_string_equal(text_at(&a, "items.0.spec.cycle.0.waitsFor"), "ledger/l");
    assert_string_equal(text_at(&a, "items.0.status.plan.victim"), "bank/teller-0");
    assert_string_equal(text_at(&a, "items.0.status.plan.uid"), "uid-teller-0");
    assert_string_equal(text_at(&a, "items.0.status.plan.mode"), "DryRun");
    assert_string_equal(text_at(&a, "items.0.status.conditions.0.status"), "True");
    assert_string_equal(text_at(&a, "items.0.status.conditions.1.reason"), "DryRun");
    assert_int_equal(json_integer_value(at(&a, "items.0.status.plan.budgets.2.left")), 0);
    assert_int_equal(json_integer_value(at(&a, "items.0.status.plan.budgets.1.left")), 4);
    done(&a);
    const int puts = b->puts;
    wait_ms(b, 5000);
    assert_int_equal(b->puts, puts); /* nothing new to say */

    succeeds(b, HTTP_POST, "/v1/lock-reports", "{" REPORTER ",'sequence':3,'nowNs':99999999999}",
             202);
    wait_ms(b, 500);
    a = call(b, HTTP_GET, "/v1/deadlocks", "");
    assert_string_equal(text_at(&a, "items.0.status.conditions.2.type"), "Resolved");
    assert_string_equal(text_at(&a, "items.0.status.conditions.2.status"), "True");
    done(&a);
}

static const char *resolved_of(struct bench *b, char out[64])
{
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    const size_t n = json_array_size(at(&a, "items.0.status.conditions"));
    char path[64];

    assert_int_equal(json_array_size(at(&a, "items")), 1);
    (void)snprintf(path, sizeof(path), "items.0.status.conditions.%zu.type", n - 1);
    assert_string_equal(text_at(&a, path), "Resolved");
    (void)snprintf(path, sizeof(path), "items.0.status.conditions.%zu.reason", n - 1);
    (void)snprintf(out, 64, "%s", text_at(&a, path));
    assert_string_equal(text_at(&a, "items.0.status.plan.mode"), "DryRun"); /* the rest stays */
    done(&a);
    return out;
}

/* After a restart, or under another leader: what lasts is told again, and what is not has ended. */
static void a_report_that_nobody_speaks_of_is_closed(void **state)
{
    struct bench *const b = *state;
    char text[64];

    add_pod(b, "bank", "teller-0", "");
    say_deadlock(b, 1);
    wait_ms(b, 2000);
    say_deadlock(b, 2);
    wait_ms(b, 30000);
    assert_string_equal(resolved_of(b, text), "Active");
    op_resign(b->op);
    wait_ms(b, 599000);
    assert_string_equal(resolved_of(b, text), "Active");
    const int puts = b->puts;
    b->fail_with = -ENOSPC;
    wait_ms(b, 3000);
    b->fail_with = 0;
    assert_string_equal(resolved_of(b, text), "Active");
    wait_ms(b, 62000);
    assert_string_equal(resolved_of(b, text), "Silent");
    const int after = b->puts;
    assert_true(after > puts);
    wait_ms(b, 120000);
    assert_int_equal(b->puts, after);
}

static void a_report_that_is_told_again_stays(void **state)
{
    struct bench *const b = *state;
    char text[64];

    add_pod(b, "bank", "teller-0", "");
    say_deadlock(b, 1);
    wait_ms(b, 2000);
    say_deadlock(b, 2);
    wait_ms(b, 30000);
    op_resign(b->op);
    for (int i = 3; i < 30; i++) { /* from 1 on, as it is asked to */
        say_deadlock(b, i - 2);
        wait_ms(b, 30000);
    }
    assert_string_equal(resolved_of(b, text), "Active");
}

static void nobody_is_the_victim_where_nothing_may_be_ended(void **state)
{
    struct bench *const b = *state;

    add_pod(b, "bank", "teller-0", ""); /* the only one of its owner */
    say_deadlock(b, 1);
    wait_ms(b, 2000);
    say_deadlock(b, 2);
    wait_ms(b, 30000);
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    assert_string_equal(text_at(&a, "items.0.status.plan.victim"), "");
    assert_string_equal(text_at(&a, "items.0.status.conditions.1.reason"), "MinReplicas");
    assert_non_null(strstr(text_at(&a, "items.0.status.plan.spared.0.why"), "too few healthy"));
    done(&a);
}

#define CYCLE                                                                                      \
    "'cycle':[{'namespace':'bank','pod':'teller-0','thread':'1','holds':'a','waitsFor':'b',"       \
    "'scope':'shared'},{'namespace':'bank','pod':'teller-1','thread':'1','holds':'b',"             \
    "'waitsFor':'a','scope':'shared'}]"

static int claim(struct bench *b, const char *pod, int sequence, const char *cycle)
{
    char body[1024];

    (void)snprintf(body, sizeof(body),
                   "{'reporter':{'namespace':'bank','pod':'%s','epoch':1},'sequence':%d,%s,"
                   "'durationNs':60000000000}",
                   pod, sequence, cycle);
    struct answer a = call(b, HTTP_POST, "/v1/deadlocks", body);
    const int status = a.status;
    done(&a);
    return status;
}

static const char *condition(struct bench *b, const char *path)
{
    static char text[128];
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");

    (void)snprintf(text, sizeof(text), "%s", text_at(&a, path));
    done(&a);
    return text;
}

#define CONFIRMED "items.0.status.conditions.0.status"

static void a_claim_is_evidence_and_confirmed_by_two_parties(void **state)
{
    struct bench *const b = *state;

    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "teller-%d", i);
        add_pod(b, "bank", name, "");
    }
    assert_int_equal(claim(b, "teller-0", 1, CYCLE), 202);
    assert_string_equal(condition(b, CONFIRMED), "False");
    assert_string_equal(condition(b, "items.0.spec.source"), "Reported");
    assert_int_equal(claim(b, "teller-0", 1, CYCLE), 200); /* a duplicate */
    wait_ms(b, 2000);
    assert_int_equal(claim(b, "teller-0", 1, CYCLE), 200);
    assert_int_equal(claim(b, "teller-0", 2, CYCLE), 200); /* the accuser alone */
    wait_ms(b, 1000);
    assert_string_equal(condition(b, CONFIRMED), "False");
    assert_int_equal(claim(b, "teller-1", 1, CYCLE), 200);
    wait_ms(b, 1000);
    assert_string_equal(condition(b, CONFIRMED), "True");
    assert_string_equal(condition(b, "items.0.status.plan.victim"), "bank/teller-0");
}

/* It does not matter from which of its parties on a circle is told. */
static void a_cycle_told_the_other_way_round_is_the_same(void **state)
{
    struct bench *const b = *state;

    assert_int_equal(claim(b, "teller-0", 1, CYCLE), 202);
    assert_int_equal(
        claim(b, "teller-1", 1,
              "'cycle':[{'namespace':'bank','pod':'teller-1','thread':'1','holds':'b',"
              "'waitsFor':'a','scope':'shared'},{'namespace':'bank','pod':'teller-0','thread':'1',"
              "'holds':'a','waitsFor':'b','scope':'shared'}]"),
        200);
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks", "");
    assert_int_equal(json_array_size(at(&a, "items")), 1);
    done(&a);
}

static void a_claim_that_is_no_circle_is_refused(void **state)
{
    struct bench *const b = *state;

    fails(b, HTTP_POST, "/v1/deadlocks",
          "{" REPORTER ",'sequence':1,'cycle':[{'namespace':'bank','pod':'p','holds':'a',"
          "'waitsFor':'b'}]}",
          422, "cycle[0].holds");
    fails(b, HTTP_POST, "/v1/deadlocks", "{" REPORTER ",'sequence':1,'cycle':[]}", 422, "cycle");
    assert_int_equal(b->puts, 0);
}

/* --- attacks --- */

/* T6: a workload accuses pods of others, as often as it likes, alone and under many names. */
static void forged_reports_do_not_choose_victims(void **state)
{
    struct bench *const b = *state;
    const char *const foreign =
        "'cycle':[{'namespace':'bank','pod':'teller-0','holds':'a','waitsFor':'b'},"
        "{'namespace':'shop','pod':'web-0','holds':'b','waitsFor':'a'}]";

    for (int i = 0; i < 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "teller-%d", i);
        add_pod(b, "bank", name, "");
        (void)snprintf(name, sizeof(name), "web-%d", i);
        add_pod(b, "shop", name, "");
    }
    /* Pods of another namespace alone: refused, for a stranger has no say there. */
    fails(b, HTTP_POST, "/v1/deadlocks",
          "{" REPORTER ",'sequence':1,'cycle':[{'namespace':'shop','pod':'web-0','holds':'a',"
          "'waitsFor':'a'}]}",
          403, "cycle");
    /* Over two namespaces: told, and never acted on, whoever says it how often. */
    for (int i = 1; i < 40; i++) {
        (void)claim(b, "teller-0", i, foreign);
        wait_ms(b, 1000);
    }
    assert_string_equal(condition(b, "items.0.status.plan.victim"), "");
    /* One's own namespace: an accuser alone is not enough, however often and for how long. */
    for (int i = 1; i < 90; i++) {
        (void)claim(b, "teller-2", i, CYCLE); /* is not even part of it */
        (void)claim(b, "teller-0", i, CYCLE);
        wait_ms(b, 1000);
    }
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    for (size_t i = 0; i < json_array_size(at(&a, "items")); i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "items.%zu.status.plan.victim", i);
        assert_string_equal(text_at(&a, path), "");
    }
    done(&a);
}

/* T6 by lock reports: holding what others wait for makes a circle only with waits of their own. */
static void forged_locks_need_the_victims_own_words(void **state)
{
    struct bench *const b = *state;
    const char *const forged =
        "{'reporter':{'namespace':'bank','pod':'mallory','epoch':1},'sequence':%d,'nowNs':%llu,"
        "'held':[{'class':'b','instance':'1','scope':'shared','thread':'m','sinceNs':1}],"
        "'waiting':[{'class':'a','instance':'1','scope':'shared','thread':'m','sinceNs':1}]}";
    const char *const honest =
        "{'reporter':{'namespace':'bank','pod':'alice','epoch':1},'sequence':%d,'nowNs':%llu,"
        "'held':[{'class':'a','instance':'1','scope':'shared','thread':'x','sinceNs':%llu}]}";
    char body[512];

    for (int i = 1; i < 100; i++) {
        const unsigned long long now = b->now_ns;

        (void)snprintf(body, sizeof(body), forged, i, now);
        succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
        (void)snprintf(body, sizeof(body), honest, i, now, now);
        succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
        wait_ms(b, 1000);
    }
    assert_int_equal(b->op->book.confirmed, 0);
    assert_int_equal(b->puts, 0);
}

/* T7: who speaks for one namespace neither sees nor changes another, and does not crowd it out. */
static void a_namespace_has_no_say_in_another(void **state)
{
    struct bench *const b = *state;
    const struct op_caller shop = {
        .user = STR("system:serviceaccount:shop:web"), .ns = STR("shop"), .pod = STR("web-0")};
    static const struct {
        enum http_method method;
        const char *target, *body;
    } calls[] = {
        {HTTP_GET, POLICY, ""},
        {HTTP_PUT, POLICY, "{}"},
        {HTTP_DELETE, POLICY, ""},
        {HTTP_GET, "/v1/lock-hierarchy?namespace=bank", ""},
        {HTTP_GET, "/v1/lock-hierarchy", ""},
        {HTTP_GET, "/v1/deadlocks", ""},
        {HTTP_GET, "/v1/deadlocks/bank", ""},
        {HTTP_POST, "/v1/lock-reports", "{" REPORTER ",'sequence':1,'nowNs':5}"},
        {HTTP_POST, "/v1/deadlocks", "{" REPORTER ",'sequence':1," CYCLE "}"},
    };

    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct answer a = call_as(b, &shop, calls[i].method, calls[i].target, calls[i].body);

        if (a.status != 403)
            fail_msg("%s: %d", calls[i].target, a.status);
        assert_null(strstr(a.text.p, "\"a\"")); /* no lock class of the other shows */
        done(&a);
    }
    assert_int_equal(b->puts, 1);
    struct answer a = call_as(
        b, &shop, HTTP_POST, "/v1/lock-reports",
        "{'reporter':{'namespace':'shop','pod':'web-0'},'sequence':1,'nowNs':5,'edges':[{'from':"
        "'c','to':'a'}]}");
    assert_int_equal(a.status, 202);
    done(&a);
    a = call(b, HTTP_GET, "/v1/lock-hierarchy?namespace=bank", "");
    assert_int_equal(json_array_size(at(&a, "violations")), 0);
    done(&a);
}

/* T4: names that are markup, commands or lines of a log come to nothing. */
static void names_carry_no_commands(void **state)
{
    static const char *const nasty[] = {
        "</text><script>alert(1)</script>",
        "a\\u001b[2Jb",
        "a\\nwarn forged line",
        "\\u202eabc",
        "a\\u0000b",
        "${jndi:ldap://x}",
        "%n%n%n",
        "'; DROP TABLE locks",
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(nasty); i++) {
        char body[512];

        (void)snprintf(body, sizeof(body),
                       "{'reporter':{'namespace':'bank','pod':'p%zu'},'sequence':1,'nowNs':5,"
                       "'edges':[{'from':'ok','to':\"%s\"}]}",
                       i, nasty[i]);
        struct answer a = call(b, HTTP_POST, "/v1/lock-reports", body);
        assert_true(a.status == 202 || a.status == 422 || a.status == 400);
        done(&a);
    }
    for (int i = 0; i < 5; i++) {
        static const char *const formats[] = {"json", "text", "dot", "mermaid", "svg"};
        char target[128];

        (void)snprintf(target, sizeof(target), "/v1/lock-hierarchy?namespace=bank&format=%s",
                       formats[i]);
        struct answer a = call(b, HTTP_GET, target, "");
        assert_int_equal(a.status, 200);
        assert_true(i < 4 || !strstr(a.text.p, "<script")); /* only a drawing is markup */
        for (size_t k = 0; k < a.text.n; k++) {
            const unsigned char c = (unsigned char)a.text.p[k];

            assert_true(c == '\n' || (c >= 0x20 && c != 0x7f));
        }
        done(&a);
    }
}

/* --- the status of a policy --- */

/* It is written when it has changed, and a condition says since when it is as it is. */
static void a_policy_is_told_how_its_namespace_stands(void **state)
{
    struct bench *const b = *state;

    succeeds(b, HTTP_PUT, POLICY, RULES, 201);
    wait_ms(b, 6000);
    assert_int_equal(b->puts, 2);
    buf_text(&b->stored, "");
    assert_non_null(strstr(b->stored.p, "\"violations\":0"));
    assert_non_null(strstr(b->stored.p, "\"generation\":1")); /* the spec is as it was */
    wait_ms(b, 12000);
    assert_int_equal(b->puts, 2);
    succeeds(b, HTTP_POST, "/v1/lock-reports",
             "{" REPORTER ",'sequence':1,'nowNs':5,'edges':[{'from':'b','to':'a'}]}", 202);
    wait_ms(b, 6000);
    assert_int_equal(b->puts, 3);
    buf_text(&b->stored, "");
    assert_non_null(strstr(b->stored.p, "\"violations\":1,\"cycles\":1"));
    assert_non_null(strstr(b->stored.p, "\"type\":\"DeadlockFree\",\"status\":\"True\""));
    char *const first = strstr(b->stored.p, "lastTransitionTime");
    assert_non_null(first); /* five seconds after the start, when it was first told */
    assert_int_equal(strncmp(first, "lastTransitionTime\":\"2026-09-21T14:13:25", 38), 0);
    b->op->options.writer.status_apart = false;
    succeeds(b, HTTP_POST, "/v1/lock-reports",
             "{" REPORTER ",'sequence':2,'nowNs':6,'edges':[{'from':'c','to':'a'}]}", 202);
    wait_ms(b, 6000);
    assert_int_equal(b->puts, 3);
}

/* --- lists of a source --- */

static void tell(struct bench *b, const char *name, const char *version, const char *order)
{
    struct buf text = {0};

    buf_printf(&text,
               "{\"metadata\":{\"namespace\":\"bank\",\"name\":\"%s\",\"resourceVersion\":\"%s\"},"
               "\"spec\":{\"hierarchyRules\":[{\"name\":\"r\",\"order\":[%s]}]}}",
               name, version, order);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    const struct source_delta delta = {.kind = SOURCE_LOCK_POLICY,
                                       .ns = STR("bank"),
                                       .name = str_of(name),
                                       .resource_version = str_of(version),
                                       .json = {text.p, n}};
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    buf_free(&text);
}

static int classes(struct bench *b)
{
    struct answer a = call(b, HTTP_GET, "/v1/lock-hierarchy?namespace=bank", "");
    const int n = (int)json_object_size(at(&a, "levels"));

    done(&a);
    return n;
}

/* What a list does not name is gone, and so is the order of locks that it declared. */
static void what_a_list_leaves_out_is_gone(void **state)
{
    struct bench *const b = *state;

    tell(b, "p1", "5", "\"a\",\"b\"");
    tell(b, "p2", "6", "\"c\",\"d\"");
    tell(b, "p1", "4", "\"a\",\"b\",\"x\",\"y\""); /* older than what is known */
    assert_int_equal(classes(b), 4);
    op_list(b->op, SOURCE_LOCK_POLICY, false);
    tell(b, "p1", "5", "\"a\",\"b\"");
    op_listed(b->op, SOURCE_LOCK_POLICY);
    assert_int_equal(classes(b), 2);
    succeeds(b, HTTP_GET, "/v1/lock-policies/bank/p1", "", 200);
    fails(b, HTTP_GET, "/v1/lock-policies/bank/p2", "", 404, "");
    /* A backup was put back: lower versions are right. */
    op_list(b->op, SOURCE_LOCK_POLICY, true);
    tell(b, "p1", "2", "\"a\",\"b\",\"x\"");
    op_listed(b->op, SOURCE_LOCK_POLICY);
    assert_int_equal(classes(b), 3);
    op_list(b->op, SOURCE_LOCK_POLICY, false);
    op_listed(b->op, SOURCE_LOCK_POLICY);
    assert_int_equal(classes(b), 0);
    op_list(b->op, SOURCE_NODE, false); /* not of the operator */
    op_listed(b->op, SOURCE_NODE);
}

/* A store that fails is tried again, after a while. */
static void a_report_that_is_not_stored_is_tried_again(void **state)
{
    struct bench *const b = *state;

    add_pod(b, "bank", "teller-0", "");
    for (int i = 0; i < 4; i++) {
        say_deadlock(b, i + 1);
        wait_ms(b, 250);
    }
    b->fail_with = -EAGAIN; /* of the first write alone */
    for (int i = 4; b->puts == 0 && i < 400; i++) {
        say_deadlock(b, i + 1);
        wait_ms(b, 250);
    }
    assert_int_equal(b->puts, 1);
    assert_int_equal(b->op->objects.n[OP_DEADLOCK], 0);
    wait_ms(b, 500);
    assert_int_equal(b->puts, 1);
    wait_ms(b, 1500);
    assert_true(b->puts > 1);
    assert_int_equal(b->op->objects.n[OP_DEADLOCK], 1);
}

/* --- pods that end --- */

static void the_end_of_a_pod_takes_its_locks_along(void **state)
{
    struct bench *const b = *state;

    add_pod(b, "bank", "teller-0", "");
    say_deadlock(b, 1);
    wait_ms(b, 1000);
    assert_int_equal(b->op->book.spaces->n_reporters, 1);
    const struct source_delta gone = {.verb = SOURCE_DELETE,
                                      .kind = SOURCE_POD,
                                      .type = STR("Pod"),
                                      .ns = STR("bank"),
                                      .name = STR("teller-0")};
    assert_int_equal(b->sink.delta(b->sink.ctx, &gone, NULL), 0);
    b->sink.settled(b->sink.ctx);
    wait_ms(b, 1500);
    assert_null(b->op->book.spaces);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, operator_bench_set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_policy_is_stored_and_read),
        T(the_same_policy_again_changes_nothing),
        T(a_stale_version_is_a_conflict),
        T(a_policy_that_is_wrong_names_its_field),
        T(a_store_that_fails_leaves_everything_as_it_was),
        T(policies_that_contradict_each_other_are_stored_with_a_warning),
        T(reports_are_answered_as_the_contract_says),
        T(a_report_that_is_wrong_names_its_field),
        T(a_reporter_that_reports_too_often_waits),
        T(a_caller_that_calls_too_often_waits),
        T(the_hierarchy_comes_in_every_format),
        T(unknown_calls_are_not_found),
        T(a_deadlock_is_planned_beyond_its_threshold),
        T(a_report_that_nobody_speaks_of_is_closed),
        T(a_report_that_is_told_again_stays),
        T(nobody_is_the_victim_where_nothing_may_be_ended),
        T(a_claim_is_evidence_and_confirmed_by_two_parties),
        T(a_cycle_told_the_other_way_round_is_the_same),
        T(a_claim_that_is_no_circle_is_refused),
        T(forged_reports_do_not_choose_victims),
        T(forged_locks_need_the_victims_own_words),
        T(a_namespace_has_no_say_in_another),
        T(names_carry_no_commands),
        T(a_policy_is_told_how_its_namespace_stands),
        T(what_a_list_leaves_out_is_gone),
        T(a_report_that_is_not_stored_is_tried_again),
        T(the_end_of_a_pod_takes_its_locks_along),
    };
#undef T

    return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
