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

static void this_version_acts_on_ignore_alone(void **state)
{
    assert_true(kube_hint_is_acted_on(STR("ignore")));
    assert_false(kube_hint_is_acted_on(STR("weights")));
    assert_false(kube_hint_is_acted_on(STR("no-such")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_contract_parse),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(a_misspelled_hint_is_answered_with_the_right_one),
        cmocka_unit_test(only_the_exact_word_true_makes_a_pod_ignored),
        cmocka_unit_test(this_version_acts_on_ignore_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
