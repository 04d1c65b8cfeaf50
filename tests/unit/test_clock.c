/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>

#include "tests/support/test.h"

static int64_t at(const char *text)
{
    int64_t us = -1;

    assert_int_equal(clock_parse_rfc3339(str_of(text), &us), 0);
    return us;
}

/* Seconds by `date -u -d TEXT +%s`. */
static void times_are_read(void **state)
{
    assert_int_equal(at("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(at("2026-11-24T03:02:01.123456789Z"), INT64_C(1795489321123456));
    assert_int_equal(at("2026-11-24T05:32:01.5+02:30"), INT64_C(1795489321500000));
    assert_int_equal(at("1969-12-31T23:59:59.5Z"), -500000);
    assert_int_equal(at("0026-07-23T11:25:56Z"), INT64_C(-61329098044000000));
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2026-11-24",
        "2026-11-24T03:02:01",
        "2026-13-24T03:02:01Z",
        "2026-11-24T24:02:01Z",
        "2026-11-24T03:02:01.Z",
        "26-11-24T03:02:01Z",
        "2026-11-24T03:02:01Zulu",
        "9999-12-31T23:59:59-00:01", /* in UTC the year 10000 */
        "0000-01-01T00:00:00+00:01",
    };
    int64_t us;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(clock_parse_rfc3339(str_of(texts[i]), &us), -EINVAL);
}

static void what_is_written_is_read_as_the_same(void **state)
{
    static const char *const texts[] = {
        "0000-01-01T00:00:00.000000Z", "0026-07-23T11:25:56.000001Z", "1969-12-31T23:59:59.999999Z",
        "2026-11-24T03:02:01.123456Z", "9999-12-31T23:59:59.999999Z",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char out[32];

        clock_format_rfc3339(out, at(texts[i]));
        assert_string_equal(out, texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(what_is_written_is_read_as_the_same),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
