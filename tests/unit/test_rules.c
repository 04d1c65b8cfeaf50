/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy and a pod's hints make of a pod: labels, classes, weights, limits. */
#include <string.h>

#include "base/attr.h"
#include "scoring/policy.h"
#include "tests/support/test.h"

/* --- labels --- */

static bool selects(enum score_operator op, const char *key, const char *value,
                    struct score_labels labels)
{
    const uint64_t want = score_label(str_of(key), str_of(value ? value : ""));
    const struct score_requirement r = {.op = op,
                                        .key = score_label(str_of(key), STR("")),
                                        .values = &want,
                                        .n_values = value != 0};

    return score_selects(&(struct score_selector){&r, 1}, labels);
}

static void selectors_hold_as_kubernetes_has_them(void **state)
{
    const uint64_t at[] = {score_label(STR("app"), STR("web")), score_label(STR("tier"), STR(""))};
    const struct score_labels labels = {at, 2};

    assert_true(selects(SCORE_IN, "app", "web", labels));
    assert_false(selects(SCORE_IN, "app", "db", labels));
    assert_false(selects(SCORE_IN, "web", "app", labels));
    assert_true(selects(SCORE_IN, "tier", "", labels));
    assert_false(selects(SCORE_NOT_IN, "app", "web", labels));
    assert_true(selects(SCORE_NOT_IN, "app", "db", labels));
    assert_true(selects(SCORE_NOT_IN, "missing", "db", labels));
    assert_true(selects(SCORE_EXISTS, "tier", NULL, labels));
    assert_false(selects(SCORE_EXISTS, "ap", NULL, labels));
    assert_false(selects(SCORE_DOES_NOT_EXIST, "app", NULL, labels));
    assert_true(selects(SCORE_DOES_NOT_EXIST, "missing", NULL, labels));
    assert_true(score_selects(&(struct score_selector){0}, (struct score_labels){0}));
}

static void all_requirements_of_a_selector_must_hold(void **state)
{
    const uint64_t web = score_label(STR("app"), STR("web"));
    const struct score_requirement two[] = {
        {.op = SCORE_IN, .key = web, .values = &web, .n_values = 1},
        {.op = SCORE_DOES_NOT_EXIST, .key = score_label(STR("canary"), STR(""))},
    };
    const uint64_t both[] = {web, score_label(STR("canary"), STR("yes"))};

    assert_true(score_selects(&(struct score_selector){two, 2}, (struct score_labels){both, 1}));
    assert_false(score_selects(&(struct score_selector){two, 2}, (struct score_labels){both, 2}));
}

/* --- policies --- */

static struct policy_weights none(void)
{
    return score_no_hints().weights;
}

/* A policy that says nothing. */
static struct score_policy plain(const char *name)
{
    struct score_policy p = {.name = str_of(name),
                             .allowed_cross_access = POLICY_NONE,
                             .steal_threshold = POLICY_NONE,
                             .allowed_distance = POLICY_NONE,
                             .weights = none(),
                             .max_weight_shift = 1000};

    for (int q = 0; q < 3; q++)
        p.limits[q] = (struct policy_limits){POLICY_NONE, POLICY_NONE, POLICY_NONE, POLICY_NONE};
    return p;
}

static void precedence_then_age_then_name_decides(void **state)
{
    struct score_policy a = plain("a"), b = plain("b");

    assert_true(score_policy_compare(&a, &b) < 0);
    b.created_us = -1;
    assert_true(score_policy_compare(&a, &b) > 0);
    a.precedence = 1;
    assert_true(score_policy_compare(&a, &b) < 0);
    b.precedence = 2;
    assert_true(score_policy_compare(&a, &b) > 0);
}

static void the_first_policy_that_selects_the_namespace_counts(void **state)
{
    const uint64_t team = score_label(STR("team"), STR("ml"));
    const struct score_requirement ml = {
        .op = SCORE_IN, .key = team, .values = &team, .n_values = 1};
    struct score_policy narrow = plain("narrow"), wide = plain("wide");
    const struct score_policy *const order[] = {&narrow, &wide};
    const struct score_policies all = {order, 2}, one = {order, 1};

    narrow.namespaces = (struct score_selector){&ml, 1};
    assert_ptr_equal(score_policy_of(&all, (struct score_labels){&team, 1}), &narrow);
    assert_ptr_equal(score_policy_of(&all, (struct score_labels){0}), &wide);
    assert_null(score_policy_of(&one, (struct score_labels){0}));
}

static const uint64_t gold[] = {0x1234567000000001};

static void a_pod_is_of_the_class_it_names_or_the_first_that_matches(void **state)
{
    const struct score_requirement is_gold = {.op = SCORE_EXISTS, .key = gold[0]};
    const struct policy_class classes[] = {
        {.name = STR("critical"),
         .priority = 0,
         .numa_exclusive = true,
         .weights = none(),
         .match.min_priority = POLICY_NONE},
        {.name = STR("gold"),
         .priority = 3,
         .weights = none(),
         .match = {true, 1u << POD_GUARANTEED, 100, {&is_gold, 1}}},
        {.name = STR("rest"),
         .priority = 9,
         .weights = none(),
         .match = {.given = true, .min_priority = POLICY_NONE}},
    };
    struct score_policy p = plain("p");
    struct score_pod pod = {.priority = 100, .labels = {gold, 1}};
    struct score_hints hints = score_no_hints();
    struct score_rules r;

    p.classes = classes;
    p.n_classes = 3;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_ptr_equal(r.class, &classes[1]);
    assert_false(r.class_by_hint);
    assert_true(str_is(score_class_name(&r), "gold"));
    score_rules_of(&r, &p, &pod, POD_BURSTABLE, &hints);
    assert_ptr_equal(r.class, &classes[2]);
    pod.priority = 99;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_ptr_equal(r.class, &classes[2]);
    pod.priority = 100;
    pod.labels.n = 0;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_ptr_equal(r.class, &classes[2]);
    /* the one without match is for those who name it */
    hints.qos_class = STR("critical");
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_ptr_equal(r.class, &classes[0]);
    assert_true(r.class_by_hint && r.numa_exclusive);
    assert_true(score_is_exclusive(&p, &pod, POD_GUARANTEED, STR("critical")));
    assert_false(score_is_exclusive(&p, &pod, POD_GUARANTEED, STR("")));
    assert_false(score_is_exclusive(NULL, &pod, POD_GUARANTEED, STR("critical")));
    /* a name that the policy does not have says nothing */
    hints.qos_class = STR("platinum");
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_ptr_equal(r.class, &classes[2]);
    assert_false(r.class_by_hint);
}

static void without_a_policy_the_qos_class_decides(void **state)
{
    const struct score_pod pod = {0};
    const struct score_hints hints = score_no_hints();
    struct score_rules r;

    score_rules_of(&r, NULL, &pod, POD_BEST_EFFORT, &hints);
    assert_true(str_is(score_class_name(&r), "best-effort"));
    assert_int_equal(r.weights.w[SCORE_FRAGMENTATION], 40);
    assert_int_equal(r.source[SCORE_FRAGMENTATION], WEIGHT_DEFAULT);
    assert_int_equal(r.steal_threshold, 1);
    assert_int_equal(r.cross_percent, POLICY_NONE);
    assert_int_equal(r.max_locks, POLICY_NONE);
    score_rules_of(&r, NULL, &pod, POD_BURSTABLE, &hints);
    assert_true(str_is(score_class_name(&r), "default"));
    assert_int_equal(r.steal_threshold, 3);
    score_rules_of(&r, NULL, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.steal_threshold, 5);
}

/* critical 35, 25, 10, 10, 5, 10, 5 */
static void weights_are_laid_over_each_other(void **state)
{
    struct policy_class class = {.name = STR("critical"),
                                 .weights = none(),
                                 .match = {.given = true, .min_priority = POLICY_NONE}};
    struct score_policy p = plain("p");
    const struct score_pod pod = {0};
    struct score_hints hints = score_no_hints();
    struct score_rules r;

    p.classes = &class;
    p.n_classes = 1;
    p.weights.w[SCORE_LOCALITY] = 50;
    p.weights.w[SCORE_DEVICES] = 51;
    class.weights.w[SCORE_DEVICES] = 60;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.row, SCORE_CLASS_CRITICAL);
    assert_int_equal(r.weights.w[SCORE_LOCALITY], 50);
    assert_int_equal(r.source[SCORE_LOCALITY], WEIGHT_POLICY);
    assert_int_equal(r.weights.w[SCORE_DEVICES], 60);
    assert_int_equal(r.source[SCORE_DEVICES], WEIGHT_CLASS);
    assert_int_equal(r.weights.w[SCORE_INTERFERENCE], 10);
    assert_int_equal(r.source[SCORE_INTERFERENCE], WEIGHT_DEFAULT);
    /* only Guaranteed pods of it are critical, and only where it is the most important class */
    score_rules_of(&r, &p, &pod, POD_BURSTABLE, &hints);
    assert_int_equal(r.row, SCORE_CLASS_DEFAULT);
    class.priority = 1;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.row, SCORE_CLASS_DEFAULT);
    assert_int_equal(r.weights.w[SCORE_INTERFERENCE], 5);
}

/* default 30, 25, 15, 10, 10, 5, 5 */
static void a_pod_shifts_weights_within_the_policys_bound(void **state)
{
    struct score_policy p = plain("p");
    const struct score_pod pod = {0};
    struct score_hints hints = score_no_hints();
    struct score_rules r;

    hints.weights.w[SCORE_LOCALITY] = 45;
    hints.weights.w[SCORE_DEVICES] = 0;
    hints.weights.w[SCORE_FRESHNESS] = 15;
    score_rules_of(&r, NULL, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.weights.w[SCORE_LOCALITY], 45);
    assert_int_equal(r.weights.w[SCORE_DEVICES], 0);
    assert_int_equal(r.source[SCORE_DEVICES], WEIGHT_HINT);
    assert_int_equal(r.weights.w[SCORE_NETWORK], 10); /* what is not named keeps its weight */
    p.max_weight_shift = 10;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.weights.w[SCORE_LOCALITY], 40);
    assert_int_equal(r.source[SCORE_LOCALITY], WEIGHT_BOUNDED);
    assert_int_equal(r.weights.w[SCORE_DEVICES], 15);
    assert_int_equal(r.source[SCORE_DEVICES], WEIGHT_BOUNDED);
    assert_int_equal(r.weights.w[SCORE_FRESHNESS], 15);
    assert_int_equal(r.source[SCORE_FRESHNESS], WEIGHT_HINT);
    p.max_weight_shift = 0;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.weights.w[SCORE_LOCALITY], 30);
    assert_int_equal(r.source[SCORE_LOCALITY], WEIGHT_BOUNDED);
    assert_string_equal(weight_source_text(WEIGHT_BOUNDED), "bounded");
}

static void limits_come_from_the_policy_and_the_rest_from_the_pod(void **state)
{
    static const int64_t zones[] = {1};
    struct score_policy p = plain("p");
    const struct score_pod pod = {0};
    struct score_hints hints = score_no_hints();
    struct score_rules r;

    p.allowed_cross_access = 15;
    p.steal_threshold = 0;
    p.allowed_distance = 21;
    p.preferred_zones = zones;
    p.n_preferred_zones = 1;
    p.unknown_topology = POLICY_REJECT;
    p.limits[POD_GUARANTEED].max_locks = 100;
    p.limits[POD_BURSTABLE].max_goroutines = 7;
    hints.max_locks = 200;
    hints.numa = HINT_NUMA_SPAN;
    hints.span = 2;
    hints.gpu_nic = SCORE_GPU_NIC_REQUIRE;
    hints.network[NODE_EGRESS] = 5;
    score_rules_of(&r, &p, &pod, POD_GUARANTEED, &hints);
    assert_int_equal(r.cross_percent, 15);
    assert_int_equal(r.steal_threshold, 0);
    assert_int_equal(r.allowed_distance, 21);
    assert_int_equal(r.n_preferred_zones, 1);
    assert_true(r.reject_unknown);
    assert_int_equal(r.locks, 200);
    assert_int_equal(r.max_locks, 100);
    assert_int_equal(r.max_goroutines, POLICY_NONE);
    assert_int_equal(r.numa, HINT_NUMA_SPAN);
    assert_int_equal(r.span, 2);
    assert_int_equal(r.gpu_nic, SCORE_GPU_NIC_REQUIRE);
    assert_int_equal(r.network[NODE_EGRESS], 5);
    hints.allowed_cross_access = 50; /* what it does to itself is the pod's own business */
    score_rules_of(&r, &p, &pod, POD_BURSTABLE, &hints);
    assert_int_equal(r.cross_percent, 50);
    assert_int_equal(r.max_goroutines, 7);
    assert_int_equal(r.max_locks, POLICY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_hold_as_kubernetes_has_them),
        cmocka_unit_test(all_requirements_of_a_selector_must_hold),
        cmocka_unit_test(precedence_then_age_then_name_decides),
        cmocka_unit_test(the_first_policy_that_selects_the_namespace_counts),
        cmocka_unit_test(a_pod_is_of_the_class_it_names_or_the_first_that_matches),
        cmocka_unit_test(without_a_policy_the_qos_class_decides),
        cmocka_unit_test(weights_are_laid_over_each_other),
        cmocka_unit_test(a_pod_shifts_weights_within_the_policys_bound),
        cmocka_unit_test(limits_come_from_the_policy_and_the_rest_from_the_pod),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
