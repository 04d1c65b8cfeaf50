/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "cluster/roster.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { MOST = 3000, BYTES = 80 };

static const uint64_t key[2] = {UINT64_C(0x0123456789abcdef), 42};
static char texts[2 * MOST][BYTES];
static struct str names[2 * MOST], mixed[2 * MOST];

/* Names of any length, many of which differ in one byte somewhere. */
static struct str make_name(uint64_t *seed, uint32_t i)
{
    static const char *const around[][2] = {
        {"", ""},
        {"n", ""},
        {"node-000", ""},
        {"gpu-", ".rack-7.zone-b.example"},
        {"ip-10-0-", ".a-very-long-name-that-takes-five-words.internal"}};
    const uint64_t k = test_random(seed, ARRAY_LEN(around));

    (void)snprintf(texts[i], BYTES, "%s%u%s", around[k][0], i, around[k][1]);
    return str_of(texts[i]);
}

static int by_bytes(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void shuffle(uint64_t *seed, struct str *all, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t k = (uint32_t)test_random(seed, i);
        const struct str other = all[k];

        all[k] = all[i - 1];
        all[i - 1] = other;
    }
}

/* The first `n` names are there, the others are not; slowly. */
static uint32_t search(struct str name, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(names[i], name))
            return i;
    }
    return n;
}

static void try_with(uint64_t *seed, uint32_t n)
{
    static uint32_t found[2 * MOST];

    for (uint32_t i = 0; i < 2 * n; i++)
        names[i] = make_name(seed, i);
    shuffle(seed, names, 2 * n);
    qsort(names, n, sizeof(names[0]), by_bytes);
    struct roster *const roster = roster_new(key, names, n);
    assert_non_null(roster);
    memcpy(mixed, names, 2 * n * sizeof(names[0]));
    shuffle(seed, mixed, 2 * n);
    roster_find_all(found, roster, mixed, 2 * n);
    for (uint32_t i = 0; i < 2 * n; i++) {
        assert_int_equal(found[i], search(mixed[i], n));
        assert_int_equal(roster_find(roster, mixed[i]), found[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        assert_true(str_eq(roster_name(roster, i), names[i]));
    roster_unref(roster);
}

static void every_name_is_found_where_it_is_and_no_stranger(void **state)
{
    uint64_t seed = test_seed(20261126);

    for (uint32_t n = 0; n < 70; n++)
        try_with(&seed, n);
    try_with(&seed, MOST);
}

static void no_name_is_a_stranger_too(void **state)
{
    const struct str two[] = {str_of("a"), str_of("b")}, none = {"", 0};
    uint32_t found[1];
    struct roster *const roster = roster_new(key, two, 2);

    assert_non_null(roster);
    roster_find_all(found, roster, &none, 1);
    assert_int_equal(found[0], 2);
    roster_find_all(NULL, roster, NULL, 0);
    roster_unref(roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_where_it_is_and_no_stranger),
        cmocka_unit_test(no_name_is_a_stranger_too),
    };

    return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
