/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/amounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "kube/scan.h"
#include "tests/support/test.h"

/* Not on the stack: under AddressSanitizer an arena leaves poisoned gaps behind. */
static _Alignas(max_align_t) char room[65536];

struct source {
    char text[16384];
    struct scan s;
};

static void start(struct source *src, const char *text)
{
    const size_t n = strlen(text);

    assert_true(n + SCAN_PADDING_BYTES <= sizeof(src->text));
    memset(src->text, '1', sizeof(src->text));
    memcpy(src->text, text, n);
    scan_init(&src->s, (struct str){src->text, n}, 0);
}

static void check(const struct pod_amount *got, const char *name, enum pod_resource_kind kind,
                  int64_t amount)
{
    assert_true(str_is(got->resource, name));
    assert_int_equal(got->kind, kind);
    assert_int_equal(got->amount, amount);
}

static void each_resource_has_the_unit_of_its_kind(void **state)
{
    static const char text[] =
        "{\"cpu\":\"1500m\",\"memory\":\"1.5Gi\",\"hugepages-2Mi\":\"4Mi\",\"nvidia.com/gpu\":2,"
        "\"ephemeral-storage\":\"1k\",\"example.com/odd\":null}";
    const struct pod_amount *list;
    struct source src;
    struct arena a;
    uint32_t n;

    arena_init(&a, room, sizeof(room));
    start(&src, text);
    assert_true(kube_amounts_read(&src.s, &list, &n, NULL, &a));
    assert_int_equal(scan_end(&src.s, NULL), 0);
    assert_int_equal(n, 6);
    check(&list[0], "cpu", POD_CPU, 1500);
    check(&list[1], "memory", POD_MEMORY, 1610612736);
    check(&list[2], "hugepages-2Mi", POD_HUGEPAGES, 4194304);
    check(&list[3], "nvidia.com/gpu", POD_EXTENDED, 2);
    check(&list[4], "ephemeral-storage", POD_OTHER, 1000);
    check(&list[5], "example.com/odd", POD_EXTENDED, 0);
}

static void memory_that_the_kubelet_cannot_read_is_told(void **state)
{
    static const struct {
        const char *text;
        bool odd;
    } cases[] = {
        {"{\"cpu\":\"1500m\",\"memory\":\"1.5Gi\",\"x.com/a\":\"0.5\"}", false},
        {"{\"memory\":\"1.3Gi\",\"hugepages-2Mi\":\"4Mi\"}", true},
        {"{\"memory\":\"1Gi\",\"hugepages-2Mi\":\"1m\"}", true},
        {"{\"memory\":\"100Ti\"}", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct pod_amount *list;
        struct source src;
        struct arena a;
        uint32_t n;
        bool odd = false;

        arena_init(&a, room, sizeof(room));
        start(&src, cases[i].text);
        assert_true(kube_amounts_read(&src.s, &list, &n, &odd, &a));
        assert_int_equal(odd, cases[i].odd);
    }
}

static void the_last_of_equal_names_stays(void **state)
{
    const struct pod_amount *list;
    struct source src;
    struct arena a;
    uint32_t n;

    arena_init(&a, room, sizeof(room));
    start(&src, "{\"cpu\":1,\"memory\":2,\"c\\u0070u\":3}");
    assert_true(kube_amounts_read(&src.s, &list, &n, NULL, &a));
    assert_int_equal(n, 2);
    check(&list[0], "cpu", POD_CPU, 3000);
    check(&list[1], "memory", POD_MEMORY, 2);
}

static void null_is_an_empty_list(void **state)
{
    const struct pod_amount *list = NULL;
    struct source src;
    struct arena a;
    uint32_t n = 9;

    arena_init(&a, room, sizeof(room));
    start(&src, "null");
    assert_true(kube_amounts_read(&src.s, &list, &n, NULL, &a));
    assert_int_equal(n, 0);
    assert_int_equal(scan_end(&src.s, NULL), 0);
}

static void a_bad_amount_is_named(void **state)
{
    static const struct {
        const char *text, *why;
        int code;
    } cases[] = {
        {"{\"cpu\":\"x\"}", "cpu: \"x\" is not a quantity", -EINVAL},
        {"{\"cpu\":true}", "cpu: expected a string, found a boolean", -EINVAL},
        {"{\"memory\":\"-1\"}", "memory: must not be negative", -EINVAL},
        {"{\"a.b/c\":\"1e30\"}", "[a.b/c]: \"1e30\" does not fit into 64 bits", -E2BIG},
        {"[]", "expected an object, found an array", -EINVAL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct pod_amount *list = NULL;
        struct source src;
        struct arena a;
        struct err err;
        uint32_t n = 9;

        arena_init(&a, room, sizeof(room));
        start(&src, cases[i].text);
        assert_false(kube_amounts_read(&src.s, &list, &n, NULL, &a));
        assert_int_equal(scan_end(&src.s, &err), cases[i].code);
        assert_string_equal(err.text, cases[i].why);
        assert_null(list);
        assert_int_equal(n, 9);
    }
}

static void a_list_is_bounded(void **state)
{
    for (int n = KUBE_AMOUNTS_MAX; n <= KUBE_AMOUNTS_MAX + 1; n++) {
        char text[8192] = "{";
        const struct pod_amount *list;
        struct source src;
        struct arena a;
        uint32_t got;
        size_t at = 1;

        for (int i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"r%d\":1", i ? "," : "", i);
        (void)snprintf(text + at, sizeof(text) - at, "}");
        arena_init(&a, room, sizeof(room));
        start(&src, text);
        assert_int_equal(kube_amounts_read(&src.s, &list, &got, NULL, &a), n == KUBE_AMOUNTS_MAX);
        assert_int_equal(scan_end(&src.s, NULL), n == KUBE_AMOUNTS_MAX ? 0 : -E2BIG);
    }
}

static void missing_requests_equal_the_limits(void **state)
{
    const struct pod_amount limits[] = {{STR("cpu"), POD_CPU, 4000},
                                        {STR("memory"), POD_MEMORY, 10},
                                        {STR("a/b"), POD_EXTENDED, 2}};
    const struct pod_amount given[] = {{STR("memory"), POD_MEMORY, 5}};
    const struct pod_amount *requests = given;
    struct arena a;
    uint32_t n = 1;

    arena_init(&a, room, 8);
    assert_false(kube_amounts_default(&requests, &n, limits, 3, &a));
    assert_ptr_equal(requests, given);
    arena_init(&a, room, sizeof(room));
    assert_true(kube_amounts_default(&requests, &n, limits, 3, &a));
    assert_int_equal(n, 3);
    check(&requests[0], "memory", POD_MEMORY, 5);
    check(&requests[1], "cpu", POD_CPU, 4000);
    check(&requests[2], "a/b", POD_EXTENDED, 2);

    const struct pod_amount *const whole = requests;
    assert_true(kube_amounts_default(&requests, &n, limits, 3, &a));
    assert_ptr_equal(requests, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_resource_has_the_unit_of_its_kind),
        cmocka_unit_test(memory_that_the_kubelet_cannot_read_is_told),
        cmocka_unit_test(the_last_of_equal_names_stays),
        cmocka_unit_test(null_is_an_empty_list),
        cmocka_unit_test(a_bad_amount_is_named),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(missing_requests_equal_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
