/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a pod of a deadlock: what keeps it from being done, what answers mean, and, carried out
 * over a store and an API server that are told what to do, what is sent and when.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "operator/act.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "tests/support/operator_bench.h"

#define S INT64_C(1000000)

/* --- guards --- */

static const struct act_facts all_well = {.on = true,
                                          .enforced = true,
                                          .evicts = true,
                                          .reachable = true,
                                          .elected = true,
                                          .leads = true,
                                          .same_epoch = true,
                                          .read = true,
                                          .closed = true,
                                          .confirmed = true,
                                          .lasts = true,
                                          .observed = true,
                                          .same_uid = true,
                                          .victim = VICTIM_MAY};

/* One thing that is wrong is enough, each time. */
static void every_guard_holds_by_itself(void **state)
{
#define WRONG(what, value, hold)                                                                   \
    do {                                                                                           \
        struct act_facts f = all_well;                                                             \
        f.what = value;                                                                            \
        assert_int_equal(act_look(&f), hold);                                                      \
    } while (0)
    (void)state;
    assert_int_equal(act_look(&all_well), ACT_GO);
    WRONG(on, false, ACT_OFF);
    WRONG(enforced, false, ACT_DRY_RUN);
    WRONG(evicts, false, ACT_STRATEGY);
    WRONG(reachable, false, ACT_UNREACHABLE);
    WRONG(elected, false, ACT_NO_LEASE);
    WRONG(leads, false, ACT_NOT_LEADER);
    WRONG(same_epoch, false, ACT_EPOCH);
    WRONG(read, false, ACT_UNREAD);
    WRONG(closed, false, ACT_OPEN);
    WRONG(age_ns, UINT64_C(120000000001), ACT_AGED);
    WRONG(age_ns, UINT64_C(120000000000), ACT_GO);
    WRONG(confirmed, false, ACT_UNCONFIRMED);
    WRONG(crosses, true, ACT_CROSSES);
    WRONG(lasts, false, ACT_OVER);
    WRONG(word_ns, UINT64_C(10000000001), ACT_SILENT);
    WRONG(word_ns, UINT64_C(10000000000), ACT_GO);
    WRONG(ended, true, ACT_ENDED);
    WRONG(attempts, 10, ACT_GIVEN_UP);
    WRONG(attempts, 9, ACT_GO);
    WRONG(waits, true, ACT_WAITS);
    WRONG(busy, true, ACT_BUSY);
    WRONG(in_hour, 30, ACT_MOST);
    WRONG(in_hour, 29, ACT_GO);
    WRONG(settles, true, ACT_SETTLES);
    WRONG(same_uid, false, ACT_OTHER_POD);
    for (int v = VICTIM_MAY + 1; v < VICTIM_VERDICTS; v++)
        WRONG(victim, (enum victim_verdict)v, ACT_PROTECTED);
#undef WRONG
}

/* Who reports a deadlock of others need not do so all the time. */
static void a_claim_stays_fresh_for_longer(void **state)
{
    struct act_facts f = all_well;

    (void)state;
    f.observed = false;
    f.word_ns = UINT64_C(30000000000);
    assert_int_equal(act_look(&f), ACT_GO);
    f.word_ns++;
    assert_int_equal(act_look(&f), ACT_SILENT);
}

/* --- the record --- */

static void a_record_is_read_as_it_was_written(void **state)
{
    const struct act_record r = {.outcome = ACT_REFUSED,
                                 .reason = "DisruptionBudget",
                                 .message = "a \"quoted\" text",
                                 .pod = "teller-0",
                                 .uid = "u-0",
                                 .node = "n1",
                                 .owner = "00000000000000ff",
                                 .intended_us = 1790000000 * S,
                                 .ended_us = 1790000001 * S,
                                 .retry_us = 1790000009 * S,
                                 .attempts = 3,
                                 .epoch = 7};
    struct act_record got;
    struct buf text = {0};
    struct emit e;

    (void)state;
    emit_init(&e, &text, false);
    emit_object(&e);
    emit_key(&e, "plan"), emit_object(&e), emit_end(&e);
    emit_key(&e, "act"), act_record_put(&e, &r);
    emit_end(&e);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    act_record_read(&got, (struct str){text.p, n});
    assert_int_equal(got.outcome, ACT_REFUSED);
    assert_string_equal(got.reason, r.reason);
    assert_string_equal(got.message, r.message);
    assert_string_equal(got.pod, r.pod);
    assert_string_equal(got.uid, r.uid);
    assert_string_equal(got.node, r.node);
    assert_string_equal(got.owner, r.owner);
    assert_int_equal(got.intended_us, r.intended_us);
    assert_int_equal(got.ended_us, r.ended_us);
    assert_int_equal(got.retry_us, r.retry_us);
    assert_int_equal(got.attempts, 3);
    assert_int_equal(got.epoch, 7);
    buf_free(&text);
}

/* It becomes part of a path: of a name that is none nothing is asked. */
static void what_is_no_name_of_a_pod_is_left_out(void **state)
{
    static const char *const names[] = {"../../secrets/s", "a/eviction", "A", "a?b",
                                        "a%2fb",           "..",         ""};
    char text[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct act_record r;

        memset(text, 0, sizeof(text));
        const int n =
            snprintf(text, sizeof(text) - 64,
                     "{\"act\":{\"outcome\":\"Intended\",\"pod\":\"%s\",\"uid\":\"u\"}}", names[i]);
        act_record_read(&r, (struct str){text, (size_t)n});
        assert_int_equal(r.outcome, ACT_INTENDED);
        assert_string_equal(r.pod, "");
        assert_string_equal(r.uid, "u");
    }
}

static void what_is_no_record_is_nothing(void **state)
{
    static const char *const texts[] = {"",
                                        "{}",
                                        "{\"act\":null}",
                                        "{\"act\":[]}",
                                        "{\"act\":7}",
                                        "{\"act\":{\"outcome\":\"Murdered\"}}",
                                        "{\"act\":{\"outcome\":\"Evicted\"}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char text[256] = "";
        struct act_record r;

        (void)snprintf(text, sizeof(text), "%s", texts[i]);
        act_record_read(&r, str_of(text));
        assert_int_equal(r.outcome, ACT_NOTHING);
    }
}

/* --- answers --- */

static struct act_record answered(int status, int code, const char *cause, int64_t retry_after_ms,
                                  int64_t attempts, bool *known)
{
    struct act_record r = {.outcome = ACT_INTENDED, .attempts = attempts};
    struct kube_answer a = {
        .status = status, .retry_after_ms = retry_after_ms, .err = {.code = code}};

    (void)snprintf(a.details.cause, sizeof(a.details.cause), "%s", cause);
    *known = act_take_answer(&r, &a, 1000 * S);
    return r;
}

static void answers_mean_what_the_api_says(void **state)
{
    static const struct {
        int status, code;
        const char *cause;
        int64_t retry_after_ms;
        enum act_outcome outcome;
        const char *reason;
        int64_t retry_s; /* from then on; 0 = not said */
    } cases[] = {
        {201, 0, "", -1, ACT_EVICTED, "Evicted", 0},
        {429, -EAGAIN, "DisruptionBudget", -1, ACT_REFUSED, "DisruptionBudget", 5},
        {429, -EAGAIN, "DisruptionBudget", 10000, ACT_REFUSED, "DisruptionBudget", 10},
        {429, -EAGAIN, "", 9999000, ACT_REFUSED, "Throttled", 300},
        {404, -ENOENT, "", -1, ACT_GONE, "NotFound", 0},
        {403, -EACCES, "", -1, ACT_REFUSED, "Forbidden", 600},
        {401, -EACCES, "", -1, ACT_REFUSED, "Forbidden", 600},
        {422, -EINVAL, "", -1, ACT_REFUSED, "Invalid", 600},
    };
    bool known;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct act_record r = answered(cases[i].status, cases[i].code, cases[i].cause,
                                             cases[i].retry_after_ms, 1, &known);

        assert_true(known);
        assert_int_equal(r.outcome, cases[i].outcome);
        assert_string_equal(r.reason, cases[i].reason);
        assert_int_equal(r.retry_us, cases[i].retry_s ? (1000 + cases[i].retry_s) * S : 0);
    }
    /* Nobody knows what these did. */
    static const int unknown[][2] = {{409, -EEXIST}, {500, -EAGAIN},  {503, -EAGAIN},
                                     {504, -EAGAIN}, {0, -ETIMEDOUT}, {0, -EHOSTUNREACH},
                                     {200, -EPROTO}};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        const struct act_record r = answered(unknown[i][0], unknown[i][1], "", -1, 1, &known);

        assert_false(known);
        assert_int_equal(r.outcome, ACT_INTENDED);
    }
    /* 5, 10, 20, ... seconds, at most five minutes */
    const struct act_record third = answered(429, -EAGAIN, "DisruptionBudget", -1, 3, &known);
    assert_int_equal(third.retry_us, 1020 * S);
    const struct act_record ninth = answered(429, -EAGAIN, "DisruptionBudget", -1, 9, &known);
    assert_int_equal(ninth.retry_us, 1160 * S);
}

/* 201, and in it a Status that says no: the pod has several PodDisruptionBudgets. */
static void a_failure_that_comes_as_a_success_is_one(void **state)
{
    char text[256] = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
                     "\"message\":\"more than one\",\"code\":500}";
    struct act_record r = {.outcome = ACT_INTENDED};
    const struct kube_answer a = {.status = 201, .body = {text, strlen(text)}};

    (void)state;
    assert_true(act_take_answer(&r, &a, 1000 * S));
    assert_int_equal(r.outcome, ACT_REFUSED);
    assert_string_equal(r.reason, "SeveralBudgets");
    assert_string_equal(r.message, "more than one");
}

/* --- the breaker --- */

static void the_breaker_opens_when_a_fifth_fails(void **state)
{
    struct act_breaker b = {0};
    const uint64_t s = 1000000000;

    (void)state;
    act_breaker_sample(&b, 1 * s, 100, 50); /* whatever was before */
    act_breaker_sample(&b, 11 * s, 109, 59);
    assert_false(act_breaker_is_open(&b, 11 * s)); /* nine answers say nothing */
    act_breaker_sample(&b, 12 * s, 145, 59);
    assert_false(act_breaker_is_open(&b, 12 * s)); /* 9 of 45: a fifth, not more */
    act_breaker_sample(&b, 13 * s, 145, 60);
    assert_true(act_breaker_is_open(&b, 13 * s));
    assert_true(act_breaker_is_open(&b, 72 * s));
    for (uint64_t at = 14; at <= 140; at++)
        act_breaker_sample(&b, at * s, 145 + at, 60);
    assert_false(act_breaker_is_open(&b, 140 * s)); /* all has been well for a minute */
}

static void three_acts_that_fail_open_it_for_long(void **state)
{
    struct act_breaker b = {0};
    const struct act_record failed = {.outcome = ACT_FAILED},
                            forbidden = {.outcome = ACT_REFUSED, .reason = "Forbidden"},
                            budget = {.outcome = ACT_REFUSED, .reason = "DisruptionBudget"},
                            evicted = {.outcome = ACT_EVICTED};
    const uint64_t s = 1000000000;

    (void)state;
    act_breaker_acted(&b, s, &failed);
    act_breaker_acted(&b, s, &forbidden);
    act_breaker_acted(&b, s, &evicted);
    act_breaker_acted(&b, s, &failed);
    act_breaker_acted(&b, s, &forbidden);
    act_breaker_acted(&b, s, &budget);
    assert_false(act_breaker_is_open(&b, s));
    act_breaker_acted(&b, 2 * s, &failed);
    assert_true(act_breaker_is_open(&b, 601 * s));
    assert_false(act_breaker_is_open(&b, 602 * s));
}

/* --- carried out --- */

#define ENFORCE "'strategy':'EvictPod','mode':'Enforce'"

static void set_policy(struct bench *b, const char *deadlock)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ConcurrencyPolicy',"
                   "'metadata':{'name':'p'},'spec':{'deadlock':{%s}}}",
                   deadlock);
    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "p", text);
}

static void add_pod(struct bench *b, int i, const char *uid, const char *more)
{
    char text[1024], name[32];

    (void)snprintf(name, sizeof(name), "teller-%d", i);
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'bank','name':'%s','uid':'%s','creationTimestamp':"
                   "'2026-09-20T00:00:00Z'%s,'ownerReferences':[{'kind':'ReplicaSet','name':"
                   "'teller','controller':true}]},'spec':{'nodeName':'n1','containers':[{'name':"
                   "'m'}]},'status':{'phase':'Running','conditions':[{'type':'Ready','status':"
                   "'True'}]}}",
                   name, uid, more);
    add_object(b, SOURCE_POD, "Pod", "bank", name, text);
}

/* teller-0 reports again what it waits for, each second. */
static int sequence;

static void go_on(struct bench *b, int seconds)
{
    char body[1024];

    for (int i = 0; i < seconds; i++) {
        (void)snprintf(body, sizeof(body),
                       "{'reporter':{'namespace':'bank','pod':'teller-0','container':'main',"
                       "'epoch':1},'sequence':%d,'nowNs':%llu,"
                       "'held':[{'class':'accounts','instance':'a','thread':7,'sinceNs':10},"
                       "{'class':'ledger','instance':'l','thread':8,'sinceNs':11}],"
                       "'waiting':[{'class':'ledger','instance':'l','thread':7,'sinceNs':20},"
                       "{'class':'accounts','instance':'a','thread':8,'sinceNs':30}]}",
                       ++sequence, (unsigned long long)b->now_ns);
        succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
        for (int k = 0; k < 4; k++) {
            b->now_ns += 250000000;
            b->now_us += 250000;
            op_tick(b->op, b->now_ns, b->now_us);
        }
    }
}

static void begin_unread(struct bench *b)
{
    sequence = 0;
    for (int i = 0; i < 4; i++) {
        char uid[16];

        (void)snprintf(uid, sizeof(uid), "u-%d", i);
        add_pod(b, i, uid, "");
    }
    set_policy(b, ENFORCE);
    op_set_acting(b->op, true);
}

static void begin(struct bench *b)
{
    op_list(b->op, SOURCE_DEADLOCK, false);
    op_listed(b->op, SOURCE_DEADLOCK);
    begin_unread(b);
}

#define POD_0 "/api/v1/namespaces/bank/pods/teller-0"
#define SEEN  "{'metadata':{'uid':'u-0','resourceVersion':'41'}}"

static void expect_ask(const struct bench *b, unsigned i, enum kube_method method, const char *path)
{
    if (i >= b->n_asks)
        fail_msg("nothing more is asked than %u", b->n_asks);
    assert_int_equal(b->asks[i].method, method);
    assert_string_equal(b->asks[i].path.p, path);
}

/* A member of the only report's status.act. */
static const char *act_of(struct bench *b, const char *key)
{
    static char text[300];
    char path[64];
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");

    (void)snprintf(path, sizeof(path), "items.0.status.act.%s", key);
    assert_int_equal(json_array_size(at(&a, "items")), 1);
    (void)snprintf(text, sizeof(text), "%s", text_at(&a, path));
    done(&a);
    return text;
}

static const char *suppressed(struct bench *b, const char *key)
{
    static char text[300];
    char path[64];
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");

    assert_string_equal(text_at(&a, "items.0.status.conditions.1.type"), "ActionSuppressed");
    (void)snprintf(path, sizeof(path), "items.0.status.conditions.1.%s", key);
    (void)snprintf(text, sizeof(text), "%s", text_at(&a, path));
    done(&a);
    return text;
}

static void the_intention_is_stored_before_anything_is_asked(void **state)
{
    struct bench *const b = *state;

    begin(b);
    b->epoch = 4;
    go_on(b, 28);
    assert_int_equal(b->n_asks, 0);
    go_on(b, 5);
    assert_int_equal(b->n_asks, 1);
    expect_ask(b, 0, KUBE_GET, POD_0);
    assert_string_equal(act_of(b, "outcome"), "Intended");
    assert_string_equal(act_of(b, "uid"), "u-0");
    assert_string_equal(act_of(b, "node"), "n1");
    assert_string_equal(suppressed(b, "status"), "False");

    answer_ask(b, 0, 200, 0, SEEN);
    expect_ask(b, 1, KUBE_POST, POD_0 "/eviction");
    assert_string_equal(b->asks[1].body.p,
                        "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{"
                        "\"name\":\"teller-0\",\"namespace\":\"bank\"},\"deleteOptions\":{"
                        "\"preconditions\":{\"uid\":\"u-0\",\"resourceVersion\":\"41\"}}}");
    assert_string_equal(act_of(b, "outcome"), "Intended");
    answer_ask(b, 1, 201, 0, "{'kind':'Status','status':'Success'}");
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Evicted");
    assert_string_equal(suppressed(b, "reason"), "Evicted");
    assert_non_null(strstr(b->told.p, "DeadlockEvicted bank/teller-0 u-0: "));
    go_on(b, 1200); /* and never again for this report, whatever is reported */
    assert_int_equal(b->n_asks, 2);
}

static void a_store_that_fails_keeps_it_from_being_done(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 28);
    b->fail_with = -ESTALE;
    go_on(b, 4);
    assert_int_equal(b->n_asks, 0); /* somebody else may have recorded one */
    go_on(b, 8);
    assert_int_equal(b->n_asks, 1); /* nobody has */
    expect_ask(b, 0, KUBE_GET, POD_0);
}

static void nothing_is_done_unless_both_say_so(void **state)
{
    struct bench *const b = *state;

    begin(b);
    op_set_acting(b->op, false);
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(suppressed(b, "reason"), "DryRun");
    assert_string_equal(suppressed(b, "message"), "operator.act is DryRun");
    set_policy(b, "'strategy':'EvictPod'");
    op_set_acting(b->op, true);
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(suppressed(b, "message"), "spec.deadlock.mode of the policy is DryRun");
    set_policy(b, "'strategy':'RotateNodes','mode':'Enforce'");
    go_on(b, 10);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(suppressed(b, "reason"), "StrategyNotCarriedOut");
    set_policy(b, ENFORCE);
    go_on(b, 10);
    assert_int_equal(b->n_asks, 1); /* switched on, it is done */
}

/* What may happen between the intention and the call. */
static void change_mode(struct bench *b)
{
    set_policy(b, "'strategy':'EvictPod'");
}

static void change_strategy(struct bench *b)
{
    set_policy(b, "'mode':'Enforce'");
}

static void raise_threshold(struct bench *b)
{
    set_policy(b, ENFORCE ",'thresholdSeconds':3600");
}

static void replace_pod(struct bench *b)
{
    add_pod(b, 0, "u-9", "");
}

static void opt_out(struct bench *b)
{
    add_pod(b, 0, "u-0", ",'annotations':{'orchestration.gokore.io/ignore':'true'}");
}

static void end_pod(struct bench *b)
{
    add_pod(b, 0, "u-0", ",'deletionTimestamp':'2026-09-21T00:00:00Z'");
}

static void lose_replicas(struct bench *b)
{
    add_pod(b, 2, "u-2", ",'deletionTimestamp':'2026-09-21T00:00:00Z'");
    add_pod(b, 3, "u-3", ",'deletionTimestamp':'2026-09-21T00:00:00Z'");
}

static void fall_silent(struct bench *b)
{
    b->now_ns += UINT64_C(11000000000); /* no tick, no report */
    op_tick(b->op, b->now_ns, b->now_us);
}

static void go_on_working(struct bench *b)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{'reporter':{'namespace':'bank','pod':'teller-0','container':'main','epoch':1},"
                   "'sequence':%d,'nowNs':%llu}",
                   ++sequence, (unsigned long long)b->now_ns);
    succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
    op_tick(b->op, b->now_ns, b->now_us);
}

static void everything_fails(struct bench *b)
{
    b->answered += 100;
    b->failed += 50;
    op_tick(b->op, b->now_ns, b->now_us);
}

static void all_is_looked_at_again_right_before_the_call(void **state)
{
    static void (*const meanwhile[])(struct bench *) = {
        lose_lease,      change_epoch, switch_off,    change_mode,     change_strategy,
        raise_threshold, age_pods,     replace_pod,   opt_out,         end_pod,
        lose_replicas,   fall_silent,  go_on_working, everything_fails};

    for (size_t i = 0; i < ARRAY_LEN(meanwhile); i++) {
        struct bench *b;

        (void)state;
        assert_int_equal(operator_bench_set_up((void **)&b), 0);
        begin(b);
        go_on(b, 33);
        assert_int_equal(b->n_asks, 1);
        meanwhile[i](b);
        answer_ask(b, 0, 200, 0, SEEN);
        if (b->n_asks != 1)
            fail_msg("case %zu: it is done all the same", i);
        assert_int_equal(operator_bench_tear_down((void **)&b), 0);
    }
}

static void what_is_looked_at_must_be_the_pod(void **state)
{
    static const struct {
        int status, code;
        const char *body, *outcome, *reason;
    } cases[] = {
        {200, 0, "{'metadata':{'uid':'u-9','resourceVersion':'41'}}", "Gone", "NotFound"},
        {200, 0,
         "{'metadata':{'uid':'u-0','resourceVersion':'41','deletionTimestamp':"
         "'2026-09-21T00:00:00Z'}}",
         "Gone", "Terminating"},
        {404, -ENOENT, "{}", "Gone", "NotFound"},
        {403, -EACCES, "{}", "Refused", "Forbidden"},
        {500, -EAGAIN, "{}", "Suppressed", "NotSeen"},
        {0, -ETIMEDOUT, "", "Suppressed", "NotSeen"},
        {200, 0, "{'metadata':{}}", "Suppressed", "NotSeen"},
        {200, 0, "[", "Suppressed", "NotSeen"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench *b;

        (void)state;
        assert_int_equal(operator_bench_set_up((void **)&b), 0);
        begin(b);
        go_on(b, 33);
        answer_ask(b, 0, cases[i].status, cases[i].code, cases[i].body);
        go_on(b, 1);
        assert_int_equal(b->n_asks, 1);
        assert_string_equal(act_of(b, "outcome"), cases[i].outcome);
        assert_string_equal(act_of(b, "reason"), cases[i].reason);
        assert_string_equal(suppressed(b, "status"), "True");
        assert_int_equal(operator_bench_tear_down((void **)&b), 0);
    }
}

static void a_budget_that_is_used_up_is_waited_for(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    answer_ask(b, 0, 200, 0, SEEN);
    answer_ask(b, 1, 429, -EAGAIN,
               "{'kind':'Status','apiVersion':'v1','status':'Failure','code':429,'details':{"
               "'causes':[{'reason':'DisruptionBudget'}],'retryAfterSeconds':20}}");
    go_on(b, 15);
    assert_int_equal(b->n_asks, 2);
    assert_string_equal(act_of(b, "outcome"), "Refused");
    assert_string_equal(suppressed(b, "reason"), "DisruptionBudget");
    go_on(b, 12);
    assert_int_equal(b->n_asks, 3); /* once more, from the intention on */
    expect_ask(b, 2, KUBE_GET, POD_0);
    answer_ask(b, 2, 200, 0, SEEN);
    answer_ask(b, 3, 201, 0, "{}");
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Evicted");
}

/* 500, or no answer at all: nobody knows, so it is looked until that is clear. */
static void an_answer_that_is_lost_is_found_out(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    answer_ask(b, 0, 200, 0, SEEN);
    answer_ask(b, 1, 0, -ETIMEDOUT, "");
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Intended");
    expect_ask(b, 2, KUBE_GET, POD_0);
    answer_ask(b, 2, 200, 0, SEEN);
    go_on(b, 6);
    expect_ask(b, 3, KUBE_GET, POD_0);
    answer_ask(b, 3, 404, -ENOENT, "{}");
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Evicted");
    assert_string_equal(act_of(b, "reason"), "FoundGone");
}

static void a_pod_that_is_still_there_was_not_ended(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    answer_ask(b, 0, 200, 0, SEEN);
    answer_ask(b, 1, 500, -EAGAIN, "{}");
    for (int i = 0; i < 100 && strcmp(act_of(b, "outcome"), "Intended") == 0; i++) {
        go_on(b, 1);
        if (b->asks[b->n_asks - 1].done)
            answer_ask(b, b->n_asks - 1, 200, 0, SEEN);
        b->n_asks = b->n_asks > 2 ? 2 : b->n_asks; /* room for the next */
        for (unsigned k = 2; k < 4; k++) {
            buf_free(&b->asks[k].path);
            buf_free(&b->asks[k].body);
        }
    }
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Failed");
    assert_string_equal(act_of(b, "reason"), "NoAnswer");
    assert_non_null(strstr(b->told.p, "DeadlockNotEvicted"));
}

/* 409: the pod has changed since it was looked at, or is another one. */
static void a_conflict_is_looked_into(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    answer_ask(b, 0, 200, 0, SEEN);
    answer_ask(b, 1, 409, -EEXIST, "{}");
    go_on(b, 1);
    answer_ask(b, 2, 200, 0, SEEN);
    go_on(b, 1);
    assert_string_equal(act_of(b, "outcome"), "Suppressed");
    assert_string_equal(act_of(b, "reason"), "Changed");
    go_on(b, 16);
    expect_ask(b, 3, KUBE_GET, POD_0); /* again, with what it is now */
}

/* Another leader, or this one before a crash, meant to do it: that is found out before all else. */
static void an_intention_that_is_found_is_not_repeated(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    assert_int_equal(b->n_asks, 1);
    op_resign(b->op);
    answer_ask(b, 0, 200, 0, SEEN); /* too late */
    assert_int_equal(b->n_asks, 1);
    sequence = 0;
    b->epoch++;
    go_on(b, 40);
    assert_int_equal(b->n_asks, 2); /* what has become of the pod? */
    expect_ask(b, 1, KUBE_GET, POD_0);
    answer_ask(b, 1, 404, -ENOENT, "{}");
    go_on(b, 5);
    assert_string_equal(act_of(b, "outcome"), "Evicted");
    assert_int_equal(b->n_asks, 2);
}

/* As long as nobody may look at the pod it is not known; but it is only this report that waits. */
static void an_intention_that_may_not_be_looked_into_waits_alone(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    op_resign(b->op);
    answer_ask(b, 0, 200, 0, SEEN);
    sequence = 0;
    b->epoch++;
    go_on(b, 40);
    answer_ask(b, 1, 403, -EACCES, "{}");
    assert_int_not_equal(b->op->acts.busy, 0);
    for (int i = 0; i < 200 && b->op->acts.busy; i++) {
        go_on(b, 1);
        if (b->n_asks > 2 && b->asks[2].done)
            answer_ask(b, 2, 403, -EACCES, "{}");
        for (unsigned k = 2; k < 4; k++) {
            buf_free(&b->asks[k].path);
            buf_free(&b->asks[k].body);
        }
        b->n_asks = b->n_asks > 2 ? 2 : b->n_asks; /* room for the next */
    }
    assert_int_equal(b->op->acts.busy, 0);
    assert_string_equal(act_of(b, "outcome"), "Intended");
    go_on(b, 6);
    answer_ask(b, 2, 404, -ENOENT, "{}");
    go_on(b, 5);
    assert_string_equal(act_of(b, "outcome"), "Evicted");
}

/* Somebody has written an intention about what is no pod: nothing is asked, and nothing is done. */
static void a_forged_intention_leads_nowhere(void **state)
{
    struct bench *const b = *state;

    begin(b);
    op_set_acting(b->op, false);
    go_on(b, 33);
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    json_t *const report = json_incref(json_array_get(json_object_get(a.json, "items"), 0));
    json_object_set_new(json_object_get(report, "status"), "act",
                        json_pack("{s:s,s:s,s:s,s:i}", "outcome", "Intended", "pod",
                                  "../../secrets/s", "uid", "u-0", "attempts", 1));
    char *const text = json_dumps(report, JSON_COMPACT), room[8192] = "";
    const size_t n = strlen(text);

    assert_true(n + 64 < sizeof(room));
    memcpy(room, text, n);
    const struct source_delta delta = {
        .kind = SOURCE_DEADLOCK,
        .ns = STR("bank"),
        .name =
            str_of(json_string_value(json_object_get(json_object_get(report, "metadata"), "name"))),
        .resource_version = STR("9999"),
        .json = {room, n}};
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    op_set_acting(b->op, true);
    go_on(b, 200);
    assert_int_equal(b->n_asks, 0);
    json_decref(report);
    free(text);
    done(&a);
}

/* Room for what is asked next. */
static void forget_asks(struct bench *b)
{
    for (unsigned i = 0; i < b->n_asks; i++) {
        assert_null(b->asks[i].done);
        buf_free(&b->asks[i].path);
        buf_free(&b->asks[i].body);
    }
    b->n_asks = 0;
}

static void it_is_given_up_after_ten_attempts(void **state)
{
    struct bench *const b = *state;

    begin(b);
    for (int i = 0; i < 10; i++) {
        for (int s = 0; s < 400 && b->n_asks == 0; s++)
            go_on(b, 1);
        answer_ask(b, 0, 200, 0, SEEN);
        answer_ask(b, 1, 429, -EAGAIN, "{}");
        forget_asks(b);
    }
    go_on(b, 1800);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(act_of(b, "outcome"), "Refused");
}

static void without_a_lease_nothing_is_done(void **state)
{
    struct bench *const b = *state;

    begin(b);
    b->op->options.leads = NULL;
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(suppressed(b, "reason"), "NoLease");
}

static void it_is_another_pod_by_now(void **state)
{
    struct bench *const b = *state;

    begin(b);
    go_on(b, 33);
    replace_pod(b);
    answer_ask(b, 0, 200, 0, SEEN);
    go_on(b, 1);
    assert_int_equal(b->n_asks, 1);
    assert_string_equal(act_of(b, "message"), "it is another pod by now");
}

/* The report of an act that was done, `ago_s` before the bench began. */
static void tell_act(struct bench *b, const char *ns, const char *name, const char *uid, int ago_s)
{
    char text[1200] = "", when[40];

    clock_format_rfc3339(when, b->now_us - ago_s * S);
    const int n = snprintf(
        text, sizeof(text) - 64,
        "{\"apiVersion\":\"orchestration.gokore.io/v1beta1\",\"kind\":\"DeadlockReport\","
        "\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"u\"},\"spec\":{\"source\":"
        "\"Observed\",\"signature\":\"1\",\"cycle\":[]},\"status\":{\"act\":{\"outcome\":"
        "\"Evicted\","
        "\"pod\":\"p\",\"uid\":\"%s\",\"node\":\"n9\",\"owner\":\"77\",\"attempts\":1,"
        "\"intendedAt\":"
        "\"%s\"}}}",
        name, ns, uid, when);
    const struct source_delta delta = {
        .kind = SOURCE_DEADLOCK, .ns = str_of(ns), .name = str_of(name), .json = {text, (size_t)n}};
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
}

static void thirty_acts_in_an_hour_are_enough(void **state)
{
    struct bench *const b = *state;

    begin(b);
    for (int i = 0; i < 30; i++) {
        char ns[16], uid[16];

        (void)snprintf(ns, sizeof(ns), "other-%d", i);
        (void)snprintf(uid, sizeof(uid), "x-%d", i);
        tell_act(b, ns, "deadlock-1", uid, 60);
    }
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    assert_string_equal(suppressed(b, "reason"), "GlobalBudget");
    go_on(b, 3540);
    assert_int_equal(b->n_asks, 1);
}

/* teller-0 and teller-1 wait for each other. */
static void go_on_both(struct bench *b, int seconds)
{
    char body[1024];

    for (int i = 0; i < seconds; i++) {
        sequence++;
        for (int p = 0; p < 2; p++) {
            (void)snprintf(body, sizeof(body),
                           "{'reporter':{'namespace':'bank','pod':'teller-%d','container':'main',"
                           "'epoch':1},'sequence':%d,'nowNs':%llu,"
                           "'held':[{'class':'row','instance':'%d','thread':7,'sinceNs':10,"
                           "'scope':'shared'}],"
                           "'waiting':[{'class':'row','instance':'%d','thread':7,'sinceNs':20,"
                           "'scope':'shared'}]}",
                           p, sequence, (unsigned long long)b->now_ns, p, 1 - p);
            succeeds(b, HTTP_POST, "/v1/lock-reports", body, 202);
        }
        for (int k = 0; k < 4; k++) {
            b->now_ns += 250000000;
            b->now_us += 250000;
            op_tick(b->op, b->now_ns, b->now_us);
        }
    }
}

/* Of two pods one alone ends: while one of them ends, or was acted on, the other one stays. */
static void what_becomes_of_one_is_awaited(void **state)
{
    struct bench *const b = *state;

    (void)state;
    begin(b);
    tell_act(b, "bank", "deadlock-1", "u-1", 7200); /* no budget counts that any more */
    go_on_both(b, 60);
    assert_int_equal(b->n_asks, 0);
    tell_act(b, "bank", "deadlock-1", "u-77", 7200);
    add_pod(b, 1, "u-1", ",'deletionTimestamp':'2026-09-21T00:00:00Z'");
    go_on_both(b, 10);
    assert_int_equal(b->n_asks, 0);
    add_pod(b, 1, "u-1", "");
    go_on_both(b, 10);
    assert_int_equal(b->n_asks, 1);
}

/* What was done is read from the reports, whoever has done it. */
static void budgets_are_counted_from_the_reports(void **state)
{
    struct bench *const b = *state;

    begin(b);
    char text[1024], when[32] = "2026-09-21T14:13:20.000000Z"; /* the bench's start */
    (void)snprintf(text, sizeof(text),
                   "{\"apiVersion\":\"orchestration.gokore.io/"
                   "v1beta1\",\"kind\":\"DeadlockReport\",\"metadata\":{\"name\":\"deadlock-1\","
                   "\"namespace\":\"bank\",\"uid\":\"u\"},"
                   "\"spec\":{\"source\":\"Observed\",\"signature\":\"1\",\"cycle\":[]},"
                   "\"status\":{\"act\":{\"outcome\":\"Evicted\",\"pod\":\"other-0\",\"uid\":"
                   "\"u-x\",\"node\":\"n1\",\"owner\":\"77\",\"attempts\":1,\"intendedAt\":\"%s\"}"
                   "}}",
                   when);
    const size_t n = strlen(text);
    for (int i = 0; i < 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "deadlock-%d", i);
        char copy[1200] = "";
        (void)snprintf(copy, sizeof(copy), "%s", text);
        const struct source_delta delta = {
            .kind = SOURCE_DEADLOCK, .ns = STR("bank"), .name = str_of(name), .json = {copy, n}};
        assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    }
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0); /* two on the node within five minutes */
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    assert_int_equal(json_array_size(at(&a, "items")), 3);
    assert_string_equal(text_at(&a, "items.2.status.conditions.1.reason"), "NodeBudget");
    done(&a);
    go_on(b, 260);
    assert_int_equal(b->n_asks, 1);
}

static void without_reports_that_were_read_nothing_is_done(void **state)
{
    struct bench *const b = *state;

    begin_unread(b);
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    op_list(b->op, SOURCE_DEADLOCK, false);
    op_listed(b->op, SOURCE_DEADLOCK);
    go_on(b, 6);
    assert_int_equal(b->n_asks, 1);
}

/* It is there all the same: not acted on, and when the threshold is lower again it is. */
static void a_threshold_that_is_raised_ends_no_deadlock(void **state)
{
    struct bench *const b = *state;

    begin(b);
    op_set_acting(b->op, false);
    go_on(b, 33);
    raise_threshold(b);
    op_set_acting(b->op, true);
    go_on(b, 20);
    struct answer a = call(b, HTTP_GET, "/v1/deadlocks/bank", "");
    assert_non_null(strstr(a.text.p, "\"Active\""));
    assert_null(strstr(a.text.p, "\"Gone\""));
    done(&a);
    assert_int_equal(b->n_asks, 0);
    set_policy(b, ENFORCE);
    go_on(b, 10);
    assert_int_equal(b->n_asks, 1);
}

int main(void)
{
#define B(f) cmocka_unit_test_setup_teardown(f, operator_bench_set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_guard_holds_by_itself),
        cmocka_unit_test(a_claim_stays_fresh_for_longer),
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_name_of_a_pod_is_left_out),
        cmocka_unit_test(what_is_no_record_is_nothing),
        cmocka_unit_test(answers_mean_what_the_api_says),
        cmocka_unit_test(a_failure_that_comes_as_a_success_is_one),
        cmocka_unit_test(the_breaker_opens_when_a_fifth_fails),
        cmocka_unit_test(three_acts_that_fail_open_it_for_long),
        B(the_intention_is_stored_before_anything_is_asked),
        B(a_store_that_fails_keeps_it_from_being_done),
        B(nothing_is_done_unless_both_say_so),
        B(a_threshold_that_is_raised_ends_no_deadlock),
        cmocka_unit_test(all_is_looked_at_again_right_before_the_call),
        cmocka_unit_test(what_is_looked_at_must_be_the_pod),
        B(a_budget_that_is_used_up_is_waited_for),
        B(an_answer_that_is_lost_is_found_out),
        B(a_pod_that_is_still_there_was_not_ended),
        B(a_conflict_is_looked_into),
        B(an_intention_that_is_found_is_not_repeated),
        B(an_intention_that_may_not_be_looked_into_waits_alone),
        B(it_is_given_up_after_ten_attempts),
        B(without_a_lease_nothing_is_done),
        B(it_is_another_pod_by_now),
        B(thirty_acts_in_an_hour_are_enough),
        B(what_becomes_of_one_is_awaited),
        B(a_forged_intention_leads_nowhere),
        B(budgets_are_counted_from_the_reports),
        B(without_reports_that_were_read_nothing_is_done),
    };
#undef B

    return cmocka_run_group_tests_name("acting on deadlocks", tests, NULL, NULL);
}
