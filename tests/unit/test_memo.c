/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/memo.h"

#include "tests/support/test.h"

enum { PLACES = 10 };

static const struct memo_answer admitted = {
    .sum = 98765, .verdict = 0, .reason = 3, .known = 5, .interval = true};

static void an_answer_is_known_for_its_serial_only(void **state)
{
    struct memo *m;

    assert_int_equal(memo_new(&m, 1 << 16, 0, NULL), 0);
    struct memo_shape *const s = memo_find(m, STR("shape"), PLACES);
    assert_null(memo_get(s, 3, 7));
    memo_put(s, 3, 7, &admitted);
    const struct memo_answer *const got = memo_get(s, 3, 7);
    assert_non_null(got);
    assert_int_equal(got->sum, 98765);
    assert_int_equal(got->reason, 3);
    assert_int_equal(got->known, 5);
    assert_true(got->interval);
    assert_null(memo_get(s, 3, 8));
    assert_null(memo_get(s, 4, 7));
    memo_free(m);
}

/* Stamps have 32 bits, serials 64: two that differ by 2^32 are never taken for each other. */
static void serials_far_apart_are_told_from_each_other(void **state)
{
    const uint64_t wide = UINT64_C(1) << 32, late = 5 * wide + 11;
    struct memo *m;

    assert_int_equal(memo_new(&m, 1 << 16, 0, NULL), 0);
    struct memo_shape *const s = memo_find(m, STR("shape"), PLACES);
    memo_put(s, 0, 11, &admitted);
    assert_null(memo_get(s, 0, 11 + wide));
    assert_null(memo_get(s, 0, 10 + wide));
    memo_put(s, 1, late, &admitted); /* too far for one base: it moves */
    assert_non_null(memo_get(s, 1, late));
    assert_null(memo_get(s, 1, late - wide));
    assert_null(memo_get(s, 0, 11));
    memo_put(s, 2, 12, &admitted); /* far below the base: not remembered, and nothing is lost */
    assert_null(memo_get(s, 2, 12));
    assert_non_null(memo_get(s, 1, late));
    memo_put(s, 3, late - 1000, &admitted);
    assert_non_null(memo_get(s, 3, late - 1000));
    assert_null(memo_get(s, 4, late - (UINT64_C(1) << 31) - 1)); /* stamp 0 is no answer */
    memo_free(m);
}

static void equal_shapes_share_answers_and_others_do_not(void **state)
{
    struct memo *m;

    assert_int_equal(memo_new(&m, 1 << 16, 0, NULL), 0);
    memo_put(memo_find(m, STR("one"), PLACES), 0, 1, &admitted);
    assert_null(memo_get(memo_find(m, STR("two"), PLACES), 0, 1));
    assert_non_null(memo_get(memo_find(m, STR("one"), PLACES), 0, 1));
    memo_free(m);
}

/* Likenesses come one by one. */
static void more_places_keep_what_is_known(void **state)
{
    struct memo_stats stats;
    struct memo *m;

    assert_int_equal(memo_new(&m, 4000, 0, NULL), 0);
    memo_put(memo_find(m, STR("one"), PLACES), 9, 1, &admitted);
    struct memo_shape *const s = memo_find(m, STR("one"), PLACES + 1);
    assert_int_equal(s->n, 12); /* a quarter more at the least */
    assert_non_null(memo_get(s, 9, 1));
    for (uint32_t i = PLACES; i < s->n; i++)
        assert_null(memo_get(s, i, 1));
    assert_ptr_equal(memo_find(m, STR("one"), PLACES), s); /* fewer are no reason to forget */
    memo_stats(m, &stats);
    assert_int_equal(stats.shapes, 1);
    assert_int_equal(stats.evicted, 0);
    memo_put(memo_find(m, STR("other"), PLACES), 0, 1, &admitted);
    assert_non_null(memo_get(memo_find(m, STR("one"), 310), 9, 1)); /* the other makes room */
    memo_stats(m, &stats);
    assert_int_equal(stats.shapes, 1);
    assert_int_equal(stats.evicted, 1);
    assert_null(memo_find(m, STR("one"), 400)); /* there is none: all is forgotten */
    assert_null(memo_get(memo_find(m, STR("one"), 310), 9, 1));
    memo_free(m);
}

static void the_shape_used_least_recently_makes_room(void **state)
{
    struct memo *m;
    struct memo_stats stats;

    assert_int_equal(memo_new(&m, 1 << 16, 0, NULL), 0);
    (void)memo_find(m, STR("a"), PLACES);
    memo_stats(m, &stats);
    const size_t one = stats.bytes;
    memo_free(m);

    assert_int_equal(memo_new(&m, 2 * one, 0, NULL), 0); /* room for two of them */
    memo_put(memo_find(m, STR("a"), PLACES), 0, 1, &admitted);
    memo_put(memo_find(m, STR("b"), PLACES), 0, 1, &admitted);
    (void)memo_find(m, STR("a"), PLACES); /* b is the older one now */
    (void)memo_find(m, STR("c"), PLACES);
    memo_stats(m, &stats);
    assert_int_equal(stats.shapes, 2);
    assert_int_equal(stats.evicted, 1);
    assert_true(stats.bytes <= 2 * one);
    assert_non_null(memo_get(memo_find(m, STR("a"), PLACES), 0, 1));
    assert_null(memo_get(memo_find(m, STR("b"), PLACES), 0, 1));
    memo_free(m);
}

static void places_beyond_the_limit_are_not_remembered(void **state)
{
    struct memo *m;

    assert_int_equal(memo_new(&m, 1000, 0, NULL), 0);
    assert_null(memo_find(m, STR("a"), 1000));
    assert_non_null(memo_find(m, STR("a"), 1));
    memo_free(m);
    memo_free(NULL);
}

/* Whatever it costs in bytes: as many as are asked for in turn. */
static void the_least_number_of_shapes_has_room_for_any_places(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct memo_stats stats;
    struct memo *m;

    assert_int_equal(memo_new(&m, 1000, 3, NULL), 0);
    for (uint32_t i = 0; i < 3; i++)
        memo_put(memo_find(m, str_of(names[i]), 1000), 0, 1, &admitted);
    for (uint32_t i = 0; i < 3; i++)
        assert_non_null(memo_get(memo_find(m, str_of(names[i]), 1000), 0, 1));
    (void)memo_find(m, STR("d"), 1000);
    memo_stats(m, &stats);
    assert_int_equal(stats.shapes, 3);
    assert_int_equal(stats.evicted, 1);
    assert_null(memo_get(memo_find(m, STR("a"), 1000), 0, 1));
    memo_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_known_for_its_serial_only),
        cmocka_unit_test(serials_far_apart_are_told_from_each_other),
        cmocka_unit_test(equal_shapes_share_answers_and_others_do_not),
        cmocka_unit_test(more_places_keep_what_is_known),
        cmocka_unit_test(the_shape_used_least_recently_makes_room),
        cmocka_unit_test(places_beyond_the_limit_are_not_remembered),
        cmocka_unit_test(the_least_number_of_shapes_has_room_for_any_places),
    };

    return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}
