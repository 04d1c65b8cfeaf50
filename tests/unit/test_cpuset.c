/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "topology/cpuset.h"

enum { WORDS = 3 }; /* CPUs 0 .. 191 */

static void counting_adds_up_all_words(void **state)
{
    const uint64_t set[WORDS] = {0x5, 0, UINT64_C(1) << 63}; /* 0, 2, 191 */

    assert_int_equal(cpuset_count(set, WORDS), 3);
    assert_int_equal(cpuset_count(set, 1), 2);
    assert_int_equal(cpuset_count(set, 0), 0);
}

static void words_hold_sixty_four_cpus_each(void **state)
{
    assert_int_equal(cpuset_words(0), 0);
    assert_int_equal(cpuset_words(1), 1);
    assert_int_equal(cpuset_words(64), 1);
    assert_int_equal(cpuset_words(65), 2);
}

static void next_walks_over_word_borders_and_ends_after_the_last(void **state)
{
    uint64_t set[WORDS] = {0};

    cpuset_add(set, 3);
    cpuset_add(set, 63);
    cpuset_add(set, 64);
    cpuset_add(set, 191);
    assert_int_equal(cpuset_next(set, WORDS, 0), 3);
    assert_int_equal(cpuset_next(set, WORDS, 3), 3);
    assert_int_equal(cpuset_next(set, WORDS, 4), 63);
    assert_int_equal(cpuset_next(set, WORDS, 64), 64);
    assert_int_equal(cpuset_next(set, WORDS, 65), 191);
    assert_int_equal(cpuset_next(set, WORDS, 192), 192);
    assert_int_equal(cpuset_next(set, WORDS, 100000), 192);
    cpuset_del(set, 191);
    assert_int_equal(cpuset_next(set, WORDS, 65), 192);
    assert_int_equal(cpuset_next(set, 0, 0), 0);
}

static void a_list_is_read_as_written(void **state)
{
    static const struct {
        const char *list;
        uint64_t want[WORDS];
    } cases[] = {
        {"", {0}},
        {"\n", {0}},
        {"  ", {0}},
        {" \n", {0}},
        {"0", {1}},
        {"0\n", {1}},
        {"0-3,8", {0x10f}},
        {"0-3,8\n", {0x10f}},
        {" 0-3 , 8 ", {0x10f}},
        {"8,0-3", {0x10f}},
        {"1,1-2,2", {0x6}}, /* named twice */
        {"5-5", {0x20}},
        {"007", {0x80}},
        {"63-64", {UINT64_C(1) << 63, 1}},
        {"0-191", {UINT64_MAX, UINT64_MAX, UINT64_MAX}},
        {"191", {0, 0, UINT64_C(1) << 63}},
    };

    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        uint64_t set[WORDS] = {7, 7, 7}; /* must be cleared */

        assert_int_equal(cpuset_parse(set, WORDS, str_of(cases[k].list), NULL), 0);
        assert_memory_equal(set, cases[k].want, sizeof(set));
    }
}

static const char *const broken[] = {
    ",",   "0,",   ",0", "0,,1", "-",     "0-",  "-3",    "3-1", "1-2-3", "a",   "0x1",
    "1 2", "1 -2", "+1", "1.0",  "1-3:2", "1/2", "0\n\n", "\n0", "0\n,1", "all", "0;1",
};

static void a_broken_list_is_refused(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(broken); k++) {
        uint64_t set[WORDS];
        struct err err = {0};

        assert_int_equal(cpuset_parse(set, WORDS, str_of(broken[k]), &err), -EINVAL);
        assert_int_equal(err.code, -EINVAL);
        assert_int_equal(cpuset_span(str_of(broken[k]), NULL), -EINVAL);
    }
}

static void a_zero_byte_ends_nothing(void **state)
{
    uint64_t set[WORDS];

    assert_int_equal(cpuset_parse(set, WORDS, (struct str){"0\0001", 3}, NULL), -EINVAL);
    assert_int_equal(cpuset_parse(set, WORDS, (struct str){"0\0", 2}, NULL), -EINVAL);
}

static void an_id_beyond_the_words_is_too_big(void **state)
{
    static const char *const lists[] = {"192", "0-192", "4294967295", "4294967296",
                                        "99999999999999999999999999999999"};
    uint64_t set[WORDS];

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        assert_int_equal(cpuset_parse(set, WORDS, str_of(lists[k]), NULL), -E2BIG);
    assert_int_equal(cpuset_parse(set, 0, str_of("0"), NULL), -E2BIG);
    assert_int_equal(cpuset_parse(set, 0, str_of(""), NULL), 0);
}

static void the_span_is_one_more_than_the_highest_id(void **state)
{
    assert_int_equal(cpuset_span(str_of(""), NULL), 0);
    assert_int_equal(cpuset_span(str_of("0\n"), NULL), 1);
    assert_int_equal(cpuset_span(str_of("8-11,0-3"), NULL), 12);
    assert_int_equal(cpuset_span(str_of("4095"), NULL), 4096);
    assert_int_equal(cpuset_span(str_of("4096"), NULL), -E2BIG);
    assert_int_equal(cpuset_span(str_of("0-99999999999"), NULL), -E2BIG);
}

static void assert_format(const uint64_t *set, uint32_t words, const char *want)
{
    struct buf out = {0};

    buf_text(&out, "[");
    cpuset_format(&out, set, words);
    buf_text(&out, "]");
    assert_string_equal(out.p, want);
    buf_free(&out);
}

static void a_set_is_written_as_linux_writes_it(void **state)
{
    assert_format((uint64_t[]){0, 0}, 2, "[]");
    assert_format((uint64_t[]){0x10f, 0}, 2, "[0-3,8]");
    assert_format((uint64_t[]){0x3, 0}, 2, "[0-1]"); /* the kernel writes pairs as ranges too */
    assert_format((uint64_t[]){UINT64_C(1) << 63, 1}, 2, "[63-64]");
    assert_format((uint64_t[]){UINT64_MAX, UINT64_MAX}, 2, "[0-127]");
    assert_format((uint64_t[]){0x5, UINT64_C(1) << 63}, 2, "[0,2,127]");
}

/* Small enough to try every set: each is read back as it was written. */
static void every_set_of_ten_cpus_survives_a_round_trip(void **state)
{
    for (uint64_t set = 0; set < 1024; set++) {
        struct buf out = {0};
        uint64_t back[1];

        cpuset_format(&out, &set, 1);
        assert_int_equal(cpuset_parse(back, 1, buf_view(&out), NULL), 0);
        assert_int_equal(back[0], set);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_adds_up_all_words),
        cmocka_unit_test(words_hold_sixty_four_cpus_each),
        cmocka_unit_test(next_walks_over_word_borders_and_ends_after_the_last),
        cmocka_unit_test(a_list_is_read_as_written),
        cmocka_unit_test(a_broken_list_is_refused),
        cmocka_unit_test(a_zero_byte_ends_nothing),
        cmocka_unit_test(an_id_beyond_the_words_is_too_big),
        cmocka_unit_test(the_span_is_one_more_than_the_highest_id),
        cmocka_unit_test(a_set_is_written_as_linux_writes_it),
        cmocka_unit_test(every_set_of_ten_cpus_survives_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
