/* SPDX-License-Identifier: Apache-2.0 */
/* What check and the admission webhook say of an object: the field, and what is wrong. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/object.h"
#include "kube/problem.h"
#include "scoring/request.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static void expect_hint(const char *kind, const char *key, const char *value, int code,
                        const char *field, const char *why)
{
    const struct pod_hint hint = {str_of(key), str_of(value)};
    struct buf b = {0};
    struct err err = {0};

    assert_int_equal(kube_hint_problem(&b, str_of(kind), &hint, &err), code);
    assert_string_equal(b.p ? b.p : "", field);
    assert_string_equal(err.text, why);
    buf_free(&b);
}

static void a_hint_is_named_where_it_stands(void **state)
{
    expect_hint("Pod", "numa-policy", "single", 0, "", "");
    expect_hint("Pod", "numa-policy", "one", -EINVAL,
                "metadata.annotations[orchestration.gokore.io/numa-policy]",
                "not single, closest or span<=N");
    expect_hint("Deployment", "ignore", "yes", -EINVAL,
                "spec.template.metadata.annotations[orchestration.gokore.io/ignore]",
                "not \"true\" or \"false\"");
    expect_hint("PodTemplate", "max-lock", "1", -ENOENT,
                "template.metadata.annotations[orchestration.gokore.io/max-lock]",
                "no such hint (did you mean \"max-locks\"?)");
    expect_hint("CronJob", "kubernetes.io/egress-bandwidth", "x", -EINVAL,
                "spec.jobTemplate.spec.template.metadata.annotations[kubernetes.io/"
                "egress-bandwidth]",
                "not a quantity in bits per second, like 10M");
}

static void attributes_of_others_are_not_judged(void **state)
{
    const struct kube_nrt_attribute others = {STR("example.com/reserved-cpus"), STR("x")},
                                    good = {STR("orchestration.gokore.io/reserved-cpus"),
                                            STR("0,4")},
                                    bad = {STR("orchestration.gokore.io/reserved-cpus"), STR("x")};
    struct buf b = {0};

    assert_int_equal(kube_attribute_problem(&b, &others, NULL), 0);
    assert_int_equal(kube_attribute_problem(&b, &good, NULL), 0);
    assert_int_equal(b.n, 0);
    assert_int_equal(kube_attribute_problem(&b, &bad, NULL), -EINVAL);
    assert_string_equal(b.p, "attributes[orchestration.gokore.io/reserved-cpus]");
    buf_free(&b);
}

static void a_kind_of_our_own_is_decoded_strictly_and_leaves_no_trace(void **state)
{
    static const char json[] = "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"numas\":{}}}";
    char *const text = test_padded(str_of(json), '}');
    static _Alignas(16) char room[8192];
    struct arena a;
    struct err err;
    const struct str api = STR("orchestration.gokore.io/v1beta1"), kind = STR("ConcurrencyPolicy");

    arena_init(&a, room, sizeof(room));
    assert_true(kube_is_own(api, kind));
    assert_false(kube_is_own(STR("orchestration.gokore.io/v1"), kind));
    assert_false(kube_is_own(STR("v1"), STR("Pod")));
    assert_int_equal(kube_own_problem(api, kind, (struct str){text, sizeof(json) - 1}, &a, &err),
                     -EINVAL);
    assert_string_equal(err.text, "spec.numas: unknown field (did you mean \"numa\"?)");
    assert_int_equal(arena_mark(&a), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_is_named_where_it_stands),
        cmocka_unit_test(attributes_of_others_are_not_judged),
        cmocka_unit_test(a_kind_of_our_own_is_decoded_strictly_and_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
