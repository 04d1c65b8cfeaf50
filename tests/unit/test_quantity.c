/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "kube/scan.h"
#include "tests/support/test.h"

static int64_t units(const char *text)
{
    int64_t v = -77;

    assert_int_equal(kube_quantity(str_of(text), KUBE_UNITS, &v, NULL), 0);
    return v;
}

static int64_t milli(const char *text)
{
    int64_t v = -77;

    assert_int_equal(kube_quantity(str_of(text), KUBE_MILLI, &v, NULL), 0);
    return v;
}

/* Those above are what Go says of them (Quantity.AsInt64 of the text as the API server keeps it).
 */
static void what_go_reads_into_64_bits_is_known(void **state)
{
    static const char *const
        yes[] = {"0",    "64Gi",       "1.5Gi",   "0.5Gi",  "2000m", "1e3",  "100T",
                 "99Ti", "99999999Mi", "99999Gi", "1024Gi", "1.0Ki", "1023", "123456789012345678"},
        *const no[] = {"128m", "1.3Gi",    "0.5", "1500m", "0.001Ki",  "1n",         "100Ti",
                       "1Pi",  "100001Gi", "1Ei", "1.5Pi", "131072Gi", "100000001Mi"};

    for (size_t i = 0; i < ARRAY_LEN(yes) + ARRAY_LEN(no); i++) {
        const bool want = i < ARRAY_LEN(yes);
        const char *const text = want ? yes[i] : no[i - ARRAY_LEN(yes)];
        int64_t v = 0;
        bool is_int64 = !want;

        assert_int_equal(kube_quantity_int64(str_of(text), &v, &is_int64, NULL), 0);
        assert_int_equal(v, units(text));
        if (is_int64 != want)
            fail_msg("%s", text);
    }
}

static void every_form_gives_the_value_worked_by_hand(void **state)
{
    static const struct {
        const char *text;
        int64_t units, milli;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"4", 4, 4000},
        {"+1", 1, 1000},
        {"-1", -1, -1000},
        {"007", 7, 7000},
        {"0.5", 1, 500}, /* units round away from zero */
        {"-0.5", -1, -500},
        {".5", 1, 500},
        {"5.", 5, 5000},
        {"1.0", 1, 1000},
        {"100m", 1, 100},
        {"1500m", 2, 1500},
        {"2000m", 2, 2000},
        {"-1500m", -2, -1500},
        {"1.5m", 1, 2}, /* 0.0015 = 1.5 thousandths */
        {"1u", 1, 1},
        {"1n", 1, 1},
        {"1000000n", 1, 1},
        {"1000001n", 1, 2},
        {"0.0000001", 1, 1},
        {"0.00000000000000000000000000001", 1, 1},
        {"0n", 0, 0},
        {"1k", 1000, 1000000},
        {"1M", 1000000, 1000000000},
        {"2G", 2000000000, 2000000000000},
        {"1T", 1000000000000, 1000000000000000},
        {"1P", 1000000000000000, 1000000000000000000},
        {"1.0001k", 1001, 1000100}, /* 1000.1 */
        {"1e3", 1000, 1000000},
        {"1E3", 1000, 1000000},
        {"12e6", 12000000, 12000000000},
        {"1e+2", 100, 100000},
        {"15e-1", 2, 1500},
        {"1e-20", 1, 1},
        {"0e99999999999999999999", 0, 0},
        {"0.000000000000000000000000000001e32", 100, 100000},
        {"1Ki", 1024, 1024000},
        {"-1Ki", -1024, -1024000},
        {"1Mi", 1048576, 1048576000},
        {"1.5Gi", 1610612736, 1610612736000}, /* 1.5 * 2^30 */
        {"0.1Ki", 103, 102400},               /* 102.4 */
        {"0.0001Ki", 1, 103},                 /* 0.1024; 102.4 thousandths */
        {"1Ti", 1099511627776, 1099511627776000},
        {"1Pi", 1125899906842624, 1125899906842624000},
        {"0.0000000000000000000000001Ei", 1, 1}, /* 2^60 * 10^-25 = 1.2e-7 */
        {"9223372036854775.807", 9223372036854776, INT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].text);
        assert_int_equal(units(cases[i].text), cases[i].units);
        assert_int_equal(milli(cases[i].text), cases[i].milli);
    }
}

static void the_ends_of_64_bits_are_reached_exactly(void **state)
{
    assert_int_equal(units("9223372036854775807"), INT64_MAX);
    assert_int_equal(units("-9223372036854775808"), INT64_MIN);
    assert_int_equal(units("9223372036854775806.1"), INT64_MAX);
    assert_int_equal(units("1E"), 1000000000000000000);
    assert_int_equal(units("7Ei"), INT64_C(7) << 60);
    assert_int_equal(units("9.223372036854775807E"), INT64_MAX);
}

static void what_does_not_fit_is_said(void **state)
{
    static const char *const cases[] = {
        "9223372036854775808",
        "9223372036854775807.1",
        "8Ei",
        "16Ei",
        "10E",
        "1e19",
        "-9223372036854775809",
        "99999999999999999999",
        "1e99999999999999999999",
        "-1e100",
        "1e18446744073709551617", /* an exponent of 2^64 + 1 is not one of 1 */
    };
    int64_t v = -77;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i]);
        assert_int_equal(kube_quantity(str_of(cases[i]), KUBE_UNITS, &v, &err), -E2BIG);
        assert_non_null(strstr(err.text, "64 bits"));
        assert_int_equal(v, -77);
    }
    assert_int_equal(kube_quantity(STR("9223372036854776"), KUBE_MILLI, &v, NULL), -E2BIG);
}

static void what_is_no_quantity_is_refused(void **state)
{
    static const char *const cases[] = {
        "",     "Ki",   "m",    "e3",    "+",     "-",   ".",   "1e",    "1e+", "--1",
        "+-1",  "1 ",   " 1",   "1K",    "1ki",   "1mi", "1g",  "1.1.M", "1,5", "0x10",
        "1e3k", "1Kii", "1E3i", "1e1.5", "1_000", "NaN", "inf", "1Mi ",  "1..", "-.e3",
    };
    int64_t v = -77;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i]);
        assert_int_equal(kube_quantity(str_of(cases[i]), KUBE_UNITS, &v, &err), -EINVAL);
        assert_non_null(strstr(err.text, "is not a quantity"));
        assert_int_equal(v, -77);
    }
    assert_int_equal(kube_quantity((struct str){NULL, 0}, KUBE_UNITS, &v, NULL), -EINVAL);
}

static void twenty_thousand_digits_are_read_to_the_last(void **state)
{
    static char text[20002];
    int64_t v;

    /* 0.000...01: rounded up; with one more digit in front: 1.000...01 */
    memset(text, '0', sizeof(text));
    text[1] = '.';
    text[sizeof(text) - 1] = '1';
    assert_int_equal(kube_quantity((struct str){text, sizeof(text)}, KUBE_UNITS, &v, NULL), 0);
    assert_int_equal(v, 1);
    text[0] = '1';
    assert_int_equal(kube_quantity((struct str){text, sizeof(text)}, KUBE_UNITS, &v, NULL), 0);
    assert_int_equal(v, 2);
    text[sizeof(text) - 1] = '0';
    assert_int_equal(kube_quantity((struct str){text, sizeof(text)}, KUBE_UNITS, &v, NULL), 0);
    assert_int_equal(v, 1);
    text[1] = '0';
    assert_int_equal(kube_quantity((struct str){text, sizeof(text)}, KUBE_UNITS, &v, NULL), -E2BIG);
}

/* A reference for few digits, where n is below 10^6 * 2^30 < 2^50. */
static int64_t slow_milli(uint32_t digits, uint32_t point, uint32_t shift)
{
    const uint64_t n = (uint64_t)digits * 1000 << shift;
    uint64_t d = 1;

    for (uint32_t i = 0; i < point; i++)
        d *= 10;
    return (int64_t)((n + d - 1) / d);
}

static void all_small_decimals_equal_long_division(void **state)
{
    static const char *const suffixes[] = {"", "Ki", "Mi", "Gi"};

    for (uint32_t digits = 0; digits < 1000; digits++) {
        for (uint32_t point = 0; point <= 6; point++) {
            for (uint32_t k = 0; k < ARRAY_LEN(suffixes); k++) {
                char text[32];
                uint32_t scale = 1;

                for (uint32_t i = 0; i < point; i++)
                    scale *= 10;
                const int n = snprintf(text, sizeof(text), "%u.%0*u%s", digits / scale, (int)point,
                                       digits % scale, suffixes[k]);
                if (point == 0)
                    (void)snprintf(text, sizeof(text), "%u%s", digits, suffixes[k]);
                assert_true(n > 0 && n < 32);
                assert_int_equal(milli(text), slow_milli(digits, point, 10 * k));
            }
        }
    }
}

static void a_scanner_gives_quantities_of_strings_and_numbers(void **state)
{
    static const char text[] = "[\"1500m\", 2, 0.5, 1e3, \"\\u0031k\", null, \"-1\"]"
                               "                                                                ";
    static const int64_t want[] = {1500, 2000, 500, 1000000, 1000000};
    struct scan s;
    int64_t v = -77;
    struct err err;

    scan_init(&s, (struct str){text, sizeof(text) - 65}, 0);
    assert_true(scan_array(&s));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(scan_item(&s));
        assert_true(kube_quantity_scan(&s, KUBE_MILLI, &v));
        assert_int_equal(v, want[i]);
    }
    assert_true(scan_item(&s));
    assert_false(kube_quantity_scan(&s, KUBE_MILLI, &v)); /* null: absent */
    assert_false(scan_failed(&s));
    assert_true(scan_item(&s));
    assert_false(kube_quantity_scan(&s, KUBE_MILLI, &v));
    assert_int_equal(scan_end(&s, &err), -EINVAL);
    assert_string_equal(err.text, "[6]: must not be negative");
    assert_int_equal(v, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_go_reads_into_64_bits_is_known),
        cmocka_unit_test(every_form_gives_the_value_worked_by_hand),
        cmocka_unit_test(the_ends_of_64_bits_are_reached_exactly),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(what_is_no_quantity_is_refused),
        cmocka_unit_test(twenty_thousand_digits_are_read_to_the_last),
        cmocka_unit_test(all_small_decimals_equal_long_division),
        cmocka_unit_test(a_scanner_gives_quantities_of_strings_and_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
