/* SPDX-License-Identifier: Apache-2.0 */
/* ConcurrencyPolicy, Signal, LockPolicy, ResourceAdjustment, DeadlockReport: what the decoders take
 * and refuse, and what comes of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/adjustment.h"
#include "kube/deadlock.h"
#include "kube/file.h"
#include "kube/lock_policy.h"
#include "kube/policy.h"
#include "kube/scan.h"
#include "kube/signal.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROOM = 1 << 20 };
static char room[ROOM];

#define POLICIES TEST_DATA "/policies/"

/* metadata.annotations.field */
static struct str field_of(struct str json, char *out, size_t n)
{
    const char *const at = memmem(json.p, json.n, "\"field\":\"", 9);
    const char *const end = at ? memchr(at + 9, '"', json.n) : NULL;

    if (!end || (size_t)(end - at - 9) >= n)
        return (struct str){0};
    memcpy(out, at + 9, (size_t)(end - at - 9));
    return (struct str){out, (size_t)(end - at - 9)};
}

static int decode(const struct kube_document *doc, struct err *err)
{
    struct score_policy policy;
    struct kube_signal signal;
    struct kube_lock_policy locks;
    struct kube_adjustment adjustment;
    struct kube_deadlock deadlock;
    struct arena a;

    arena_init(&a, room, ROOM);
    if (str_is(doc->meta.kind, KUBE_SIGNAL_KIND))
        return kube_signal_decode(&signal, doc->json, true, &a, err);
    if (str_is(doc->meta.kind, KUBE_LOCK_POLICY_KIND))
        return kube_lock_policy_decode(&locks, doc->json, true, &a, err);
    if (str_is(doc->meta.kind, KUBE_ADJUSTMENT_KIND))
        return kube_adjustment_decode(&adjustment, doc->json, true, &a, err);
    if (str_is(doc->meta.kind, KUBE_DEADLOCK_KIND))
        return kube_deadlock_decode(&deadlock, doc->json, true, &a, err);
    return kube_policy_decode(&policy, doc->json, true, &a, err);
}

static int expect_refusal(void *ctx, const struct kube_document *doc)
{
    struct err err = {0};
    char text[256];
    const struct str field = field_of(doc->json, text, sizeof(text));

    if (decode(doc, &err) == 0)
        fail_msg("%.*s passed", STR_ARG(doc->meta.name));
    if (field.n == 0 || strncmp(err.text, field.p, field.n))
        fail_msg("%.*s: not about %.*s: %s", STR_ARG(doc->meta.name), STR_ARG(field), err.text);
    ++*(int *)ctx;
    return 0;
}

static int expect_success(void *ctx, const struct kube_document *doc)
{
    struct err err = {0};

    if (decode(doc, &err))
        fail_msg("%.*s: %s", STR_ARG(doc->meta.name), err.text);
    ++*(int *)ctx;
    return 0;
}

static void problem(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    fail_msg("%s:%u:%u: %s", path, line, column, text);
}

static void each_broken_rule_is_refused_and_its_field_named(void **state)
{
    int n = 0;
    const struct kube_visitor visitor = {expect_refusal, problem, &n};

    assert_int_equal(kube_file_visit(POLICIES "invalid.yaml", &visitor, NULL), 0);
    assert_true(n >= 71);
    assert_int_equal(kube_file_visit(POLICIES "locks-invalid.yaml", &visitor, NULL), 0);
    assert_true(n >= 71 + 66);
}

static void the_ends_of_every_range_are_taken(void **state)
{
    int n = 0;
    const struct kube_visitor visitor = {expect_success, problem, &n};

    assert_int_equal(kube_file_visit(POLICIES "valid.yaml", &visitor, NULL), 0);
    assert_true(n >= 21);
    assert_int_equal(kube_file_visit(POLICIES "locks-valid.yaml", &visitor, NULL), 0);
    assert_true(n >= 21 + 14);
}

/* --- values --- */

static int policy_of(struct score_policy *out, const char *text, bool strict, struct arena *a,
                     struct err *err)
{
    char *const json = test_padded(str_of(text), ' ');
    int rc;

    for (char *p = json; *p && p < json + strlen(text); p++)
        *p = *p == '\'' ? '"' : *p;
    rc = kube_policy_decode(out, (struct str){json, strlen(text)}, strict, a, err);
    free(json);
    return rc;
}

static void the_specifications_example_says_what_it_says(void **state)
{
    struct score_policy p;
    struct arena a;

    arena_init(&a, room, ROOM);
    assert_int_equal(
        policy_of(&p,
                  "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ConcurrencyPolicy',"
                  "'metadata':{'name':'example','uid':'u','generation':3,"
                  "'creationTimestamp':'2026-11-24T00:00:01Z'},"
                  "'spec':{'numa':{'allowedCrossAccess':'15%','stealThreshold':5},"
                  "'qosClassMapping':[{'priority':0,'name':'critical','numaExclusive':true}]}}",
                  true, &a, NULL),
        0);
    assert_true(str_is(p.name, "example") && str_is(p.uid, "u"));
    assert_int_equal(p.generation, 3);
    assert_int_equal(p.created_us % 60000000, 1000000);
    assert_int_equal(p.allowed_cross_access, 15);
    assert_int_equal(p.steal_threshold, 5);
    assert_int_equal(p.allowed_distance, POLICY_NONE);
    assert_int_equal(p.unknown_topology, POLICY_PASS);
    assert_int_equal(p.n_classes, 1);
    assert_true(str_is(p.classes[0].name, "critical"));
    assert_true(p.classes[0].numa_exclusive);
    assert_false(p.classes[0].match.given);
    assert_int_equal(p.classes[0].weights.w[SCORE_DEVICES], POLICY_NONE);
    assert_int_equal(p.max_weight_shift, 1000);
    assert_int_equal(p.limits[POD_GUARANTEED].max_locks, POLICY_NONE);
    assert_int_equal(p.deadlock.strategy, POLICY_REPORT);
    assert_int_equal(p.deadlock.mode, POLICY_DRY_RUN);
    assert_int_equal(p.deadlock.per_node, 2);
}

static void classes_are_in_the_order_of_their_priority(void **state)
{
    struct score_policy p;
    struct arena a;

    arena_init(&a, room, ROOM);
    assert_int_equal(policy_of(&p,
                               "{'spec':{'qosClassMapping':[{'priority':9,'name':'c'},"
                               "{'name':'a','priority':0,'match':{'qosClasses':['BestEffort',"
                               "'Guaranteed'],'minPriority':-5}},{'priority':4,'name':'b',"
                               "'match':{},'weights':{'network':77}}]}}",
                               true, &a, NULL),
                     0);
    assert_true(str_is(p.classes[0].name, "a") && str_is(p.classes[1].name, "b") &&
                str_is(p.classes[2].name, "c"));
    assert_true(p.classes[0].match.given && p.classes[1].match.given);
    assert_int_equal(p.classes[0].match.qos, 1u << POD_BEST_EFFORT | 1u << POD_GUARANTEED);
    assert_int_equal(p.classes[0].match.min_priority, -5);
    assert_int_equal(p.classes[1].match.min_priority, POLICY_NONE);
    assert_int_equal(p.classes[1].weights.w[SCORE_NETWORK], 77);
}

static void fields_of_a_later_version_are_passed_over_unless_it_is_strict(void **state)
{
    static const char text[] = "{'spec':{'numa':{'allowedDistance':20,'colour':[{}]},'new':{}}}";
    struct score_policy p;
    struct arena a;
    struct err err;

    arena_init(&a, room, ROOM);
    assert_int_equal(policy_of(&p, text, false, &a, NULL), 0);
    assert_int_equal(p.allowed_distance, 20);
    assert_int_equal(policy_of(&p, text, true, &a, &err), -EINVAL);
    assert_string_equal(err.text, "spec.numa.colour: unknown field");
    assert_int_equal(policy_of(&p, "{'spec':{'numa':{'alowedDistance':20}}}", true, &a, &err),
                     -EINVAL);
    assert_string_equal(err.text, "spec.numa.alowedDistance: unknown field "
                                  "(did you mean \"allowedDistance\"?)");
    assert_int_equal(policy_of(&p, "{'spec':{'precedence':1,'precedence':1}}", false, &a, &err),
                     -EINVAL);
    assert_string_equal(err.text, "spec.precedence: given twice");
}

static int signal_of(struct kube_signal *out, const char *text, struct arena *a, struct err *err)
{
    char *const json = test_padded(str_of(text), ' ');

    for (char *p = json; p < json + strlen(text); p++)
        *p = *p == '\'' ? '"' : *p;
    const int rc = kube_signal_decode(out, (struct str){json, strlen(text)}, true, a, err);
    free(json);
    return rc;
}

static void a_signals_figures_are_found_by_node(void **state)
{
    struct kube_signal s;
    struct arena a;
    struct err err;

    arena_init(&a, room, ROOM);
    assert_int_equal(signal_of(&s,
                               "{'metadata':{'name':'net'},'spec':{'kind':'networkBandwidth',"
                               "'unit':'Mbps','observedAt':'1970-01-01T00:00:05Z',"
                               "'nodes':{'b':{'value':412,'devices':{'eth0':400,'eth1':12}},"
                               "'a':{'devices':{}}}}}",
                               &a, &err),
                     0);
    assert_int_equal(s.kind, SIGNAL_NETWORK);
    assert_int_equal(s.ttl_s, 60);
    assert_int_equal(s.observed_us, 5000000);
    assert_int_equal(s.nodes.n, 2);
    assert_int_equal(kube_signal_node(&s, STR("b"))->value, 412);
    assert_int_equal(kube_signal_node(&s, STR("b"))->devices[1].value, 12);
    assert_true(str_is(kube_signal_node(&s, STR("b"))->devices[1].id, "eth1"));
    assert_int_equal(kube_signal_node(&s, STR("a"))->value, FIELD_NONE);
    assert_null(kube_signal_node(&s, STR("c")));
    assert_int_equal(signal_of(&s,
                               "{'spec':{'kind':'computeQueue','unit':'count',"
                               "'nodes':{'a':{'value':1},'a':{'value':2}}}}",
                               &a, &err),
                     -EINVAL);
    assert_string_equal(err.text, "spec.nodes: a is given twice");
}

static void a_lock_policy_says_what_it_says(void **state)
{
    static const char text[] =
        "{'metadata':{'name':'teller','namespace':'bank'},'spec':{'qosClass':'Guaranteed',"
        "'hierarchyRules':[{'name':'transfer','order':['accounts','ledger']}],"
        "'numaAffinity':{'required':true,'preferredNodes':[1],'fallbackStrategy':'Wait'},"
        "'maxHoldTime':'1m30s','retryPolicy':{'attempts':4,'backoffBase':'15ms'}}}";
    struct kube_lock_policy p;
    bool fitted = false;

    for (size_t n = 0; n < 4096 && !fitted; n += 8) {
        char *const json = test_padded(str_of(text), ' ');
        struct arena a;

        for (size_t i = 0; i < strlen(text); i++)
            json[i] = json[i] == '\'' ? '"' : json[i];
        arena_init(&a, room, n);
        const int rc =
            kube_lock_policy_decode(&p, (struct str){json, strlen(text)}, true, &a, NULL);
        free(json);
        assert_true(rc == 0 || (rc == -ENOMEM && arena_mark(&a) == 0));
        fitted = rc == 0;
    }
    assert_true(fitted && str_is(p.meta.ns, "bank"));
    assert_int_equal(p.qos, POD_GUARANTEED);
    assert_int_equal(p.n_rules, 1);
    assert_int_equal(p.rules[0].n_order, 2);
    assert_true(str_is(p.rules[0].order[1], "ledger"));
    assert_true(p.numa.given && p.numa.required);
    assert_int_equal(p.numa.preferred_nodes[0], 1);
    assert_int_equal(p.numa.allowed_distance, FIELD_NONE);
    assert_int_equal(p.numa.fallback, LOCK_WAIT);
    assert_int_equal(p.max_hold_ms, 90000);
    assert_int_equal(p.attempts, 4);
    assert_int_equal(p.backoff_ms, 15);
    assert_int_equal(p.jitter_percent, FIELD_NONE);
}

/* cpuShares * 1000 / 1024, to nearest. */
static void shares_are_thousandths_of_a_cpu(void **state)
{
    assert_int_equal(adjustment_millicores(1024), 1000);
    assert_int_equal(adjustment_millicores(2), 2); /* 1.95 */
    assert_int_equal(adjustment_millicores(3), 3); /* 2.93 */
    assert_int_equal(adjustment_millicores(2048), 2000);
    assert_int_equal(adjustment_millicores(1536), 1500);
    assert_int_equal(adjustment_millicores(100), 98); /* 97.66 */
    assert_int_equal(adjustment_millicores(262144), 256000);
}

/* Whatever room there is: success, or no trace. */
static void every_arena_size_succeeds_or_leaves_no_trace(void **state)
{
    static const char text[] =
        "{'metadata':{'name':'n','uid':'u'},'spec':{'namespaceSelector':{'matchLabels':{'a':'b'},"
        "'matchExpressions':[{'key':'k','operator':'In','values':['x']}]},"
        "'numa':{'preferredZones':[0,1]},'qosClassMapping':[{'name':'c','priority':1}]}}";
    static const char figures[] =
        "{'metadata':{'name':'n'},'spec':{'kind':'computeQueue','unit':'count',"
        "'nodes':{'a':{'devices':{'x':1}}}}}";
    bool fitted = false;

    for (size_t n = 0; n < 8192 && !fitted; n += 8) {
        struct score_policy p = {.precedence = 77};
        struct kube_signal s = {.ttl_s = 77};
        struct arena a;

        arena_init(&a, room, n);
        const int rc = policy_of(&p, text, true, &a, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(p.precedence, rc ? 77 : 0);
        assert_true(rc == 0 || arena_mark(&a) == 0);
        arena_rewind(&a, 0);
        const int rc2 = signal_of(&s, figures, &a, NULL);
        assert_true(rc2 == 0 || rc2 == -ENOMEM);
        assert_int_equal(s.ttl_s, rc2 ? 77 : 60);
        assert_true(rc2 == 0 || arena_mark(&a) == 0);
        fitted = rc == 0 && rc2 == 0;
    }
    assert_true(fitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_rule_is_refused_and_its_field_named),
        cmocka_unit_test(the_ends_of_every_range_are_taken),
        cmocka_unit_test(the_specifications_example_says_what_it_says),
        cmocka_unit_test(classes_are_in_the_order_of_their_priority),
        cmocka_unit_test(fields_of_a_later_version_are_passed_over_unless_it_is_strict),
        cmocka_unit_test(a_signals_figures_are_found_by_node),
        cmocka_unit_test(a_lock_policy_says_what_it_says),
        cmocka_unit_test(shares_are_thousandths_of_a_cpu),
        cmocka_unit_test(every_arena_size_succeeds_or_leaves_no_trace),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
