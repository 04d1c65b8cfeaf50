/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "console/query.h"

static void expect(const char *query, const char *want)
{
    struct query_pod pod;

    assert_int_equal(query_read_pod(&pod, str_of(query)), 0);
    assert_int_equal(pod.n, strlen(want));
    assert_memory_equal(pod.text, want, pod.n);
}

static void a_pod_is_named_with_or_without_namespace(void **state)
{
    expect("", "");
    expect("pod=ml/train-0", "ml/train-0");
    expect("pod=train-0", "default/train-0");
    expect("pod=ml%2Ftrain%2d0", "ml/train-0");
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {"pod", "pod=", "pods=a", "pod=%", "pod=%2", "pod=%zz", "=a"};
    char longest[QUERY_POD_BYTES + 8] = "pod=";
    struct query_pod pod;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (query_read_pod(&pod, str_of(bad[i])) != -EINVAL)
            fail_msg("%s passed", bad[i]);
    memset(longest + 4, 'a', QUERY_POD_BYTES);
    assert_int_equal(query_read_pod(&pod, (struct str){longest, 4 + QUERY_POD_BYTES}), -EINVAL);
    assert_int_equal(query_read_pod(&pod, (struct str){longest, QUERY_POD_BYTES}), -EINVAL);
    /* "default/" goes before it, and just fits. */
    assert_int_equal(query_read_pod(&pod, (struct str){longest, QUERY_POD_BYTES - 4}), 0);
    assert_int_equal(pod.n, QUERY_POD_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_named_with_or_without_namespace),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
