/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "kube/hints.h"

static int check(const char *key, const char *value)
{
    struct err err;

    return kube_hint_check(str_of(key), str_of(value), &err);
}

static void values_of_the_contract_parse(void **state)
{
    static const char *const good[][2] = {
        {"qos-class", "critical"},
        {"numa-policy", "single"},
        {"numa-policy", "closest"},
        {"numa-policy", "span<=2"},
        {"allowed-cross-access", "0%"},
        {"allowed-cross-access", "100%"},
        {"network-bandwidth", "10G"},
        {"network-bandwidth", "1.5Gi"},
        {"network-bandwidth", "100"},
        {"gpu-nic-affinity", "require"},
        {"gpu-nic-affinity", "none"},
        {"weights", "locality=40"},
        {"weights", "locality=40,devices=30"},
        {"max-locks", "0"},
        {"max-goroutines", "2147483647"},
        {"lock-policy", "my.policy-1"},
        {"ignore", "true"},
        {"ignore", "false"},
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(check(good[i][0], good[i][1]), 0);
}

static void other_values_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"qos-class", ""},
        {"qos-class", "Critical"},
        {"qos-class", "a..b"},
        {"qos-class", "-a"},
        {"qos-class", "a-.b"},
        {"numa-policy", "span<="},
        {"numa-policy", "span<=0"},
        {"numa-policy", "span<=65"},
        {"numa-policy", "Single"},
        {"allowed-cross-access", "101%"},
        {"allowed-cross-access", "15"},
        {"allowed-cross-access", "%"},
        {"network-bandwidth", "10GB"},
        {"network-bandwidth", "."},
        {"network-bandwidth", "-1"},
        {"network-bandwidth", ""},
        {"network-bandwidth", "1.2.3"},
        {"gpu-nic-affinity", "yes"},
        {"weights", ""},
        {"weights", "x"},
        {"weights", "locality"},
        {"weights", "locality=1,devices=2,locality=1"},
        {"weights", "locality="},
        {"weights", "locality=-1"},
        {"weights", "local=3"},
        {"max-locks", "many"},
        {"max-locks", "2147483648"},
        {"max-locks", "01"},
        {"lock-policy", "a_b"},
        {"ignore", "True"},
        {"ignore", "1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (check(bad[i][0], bad[i][1]) != -EINVAL)
            fail_msg("%s=%s passed", bad[i][0], bad[i][1]);
}

static void a_misspelled_hint_is_answered_with_the_right_one(void **state)
{
    struct err err;

    assert_int_equal(kube_hint_check(STR("numa-polcy"), STR("single"), &err), -ENOENT);
    assert_string_equal(err.text, "no such hint (did you mean \"numa-policy\"?)");
    assert_int_equal(kube_hint_check(STR("colour"), STR("red"), &err), -ENOENT);
    assert_string_equal(err.text, "no such hint");
}

static void only_the_exact_word_true_makes_a_pod_ignored(void **state)
{
    struct pod_hint hint = {STR("ignore"), STR("true")};
    const struct score_pod pod = {.hints = &hint, .n_hints = 1};
    const struct score_pod none = {.n_hints = 0};

    assert_true(kube_hints_ignore(&pod));
    assert_false(kube_hints_ignore(&none));
    hint.value = STR("false");
    assert_false(kube_hints_ignore(&pod));
    hint.value = STR("TRUE");
    assert_false(kube_hints_ignore(&pod));
    hint = (struct pod_hint){STR("weights"), STR("true")};
    assert_false(kube_hints_ignore(&pod));
}

static struct score_hints read_hints(const struct pod_hint *hints, uint32_t n)
{
    return kube_hints_read(&(struct score_pod){.hints = hints, .n_hints = n});
}

static void assert_nothing_said(const struct score_hints *h)
{
    assert_int_equal(h->qos_class.n, 0);
    assert_int_equal(h->numa, HINT_NUMA_NONE);
    assert_int_equal(h->allowed_cross_access, POLICY_NONE);
    assert_int_equal(h->network[NODE_INGRESS] + h->network[NODE_EGRESS], 0);
    assert_int_equal(h->gpu_nic, SCORE_GPU_NIC_UNSAID);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        assert_int_equal(h->weights.w[t], POLICY_NONE);
    assert_int_equal(h->max_locks, POLICY_NONE);
    assert_int_equal(h->max_goroutines, POLICY_NONE);
}

static void a_pod_without_hints_says_nothing(void **state)
{
    const struct score_hints none = read_hints(NULL, 0);

    assert_nothing_said(&none);
}

static void hints_become_values(void **state)
{
    const struct pod_hint hints[] = {
        {STR("qos-class"), STR("critical")},
        {STR("numa-policy"), STR("span<=3")},
        {STR("allowed-cross-access"), STR("15%")},
        {STR("gpu-nic-affinity"), STR("require")},
        {STR("weights"), STR("locality=40, freshness=0")},
        {STR("max-locks"), STR("12")},
        {STR("max-goroutines"), STR("9000")},
    };
    const struct score_hints h = read_hints(hints, ARRAY_LEN(hints));

    assert_true(str_is(h.qos_class, "critical"));
    assert_int_equal(h.numa, HINT_NUMA_SPAN);
    assert_int_equal(h.span, 3);
    assert_int_equal(h.allowed_cross_access, 15);
    assert_int_equal(h.gpu_nic, SCORE_GPU_NIC_REQUIRE);
    assert_int_equal(h.weights.w[SCORE_LOCALITY], 40);
    assert_int_equal(h.weights.w[SCORE_FRESHNESS], 0);
    assert_int_equal(h.weights.w[SCORE_DEVICES], POLICY_NONE);
    assert_int_equal(h.max_locks, 12);
    assert_int_equal(h.max_goroutines, 9000);
}

static void of_bandwidths_the_larger_counts_in_each_direction(void **state)
{
    const struct pod_hint hints[] = {
        {STR("network-bandwidth"), STR("10M")},
        {STR(KUBE_HINT_INGRESS), STR("25M")},
        {STR(KUBE_HINT_EGRESS), STR("1k")},
    };
    const struct score_hints h = read_hints(hints, ARRAY_LEN(hints));

    assert_int_equal(h.network[NODE_INGRESS], 25000000);
    assert_int_equal(h.network[NODE_EGRESS], 10000000);
}

static void what_does_not_parse_says_nothing(void **state)
{
    const struct pod_hint hints[] = {
        {STR("numa-policy"), STR("span<=0")},
        {STR("weights"), STR("locality=40,colour=3")},
        {STR("network-bandwidth"), STR("fast")},
        {STR("weight"), STR("locality=40")},
    };
    const struct score_hints h = read_hints(hints, ARRAY_LEN(hints));

    assert_nothing_said(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_contract_parse),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(a_misspelled_hint_is_answered_with_the_right_one),
        cmocka_unit_test(only_the_exact_word_true_makes_a_pod_ignored),
        cmocka_unit_test(a_pod_without_hints_says_nothing),
        cmocka_unit_test(hints_become_values),
        cmocka_unit_test(of_bandwidths_the_larger_counts_in_each_direction),
        cmocka_unit_test(what_does_not_parse_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
