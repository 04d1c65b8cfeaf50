/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of zone masks, by hand: which masks of a handful of zones are in, written as lists. */
#include <string.h>

#include "base/attr.h"
#include "scoring/mask_set.h"
#include "tests/support/test.h"

/* Bit m for the mask m: {1, 2, 3} = 0b1110. */
static uint64_t subsets(uint32_t n, uint64_t zones)
{
    uint64_t set[MASK_SET_WORDS];

    mask_set_subsets(set, n, zones);
    return set[0];
}

static void a_set_has_a_bit_per_mask_and_a_word_per_64(void **state)
{
    assert_int_equal(mask_set_words(1), 1);
    assert_int_equal(mask_set_words(6), 1);
    assert_int_equal(mask_set_words(7), 2);
    assert_int_equal(mask_set_words(12), 64);
    assert_int_equal(MASK_SET_WORDS, 64);
}

static void a_mask_is_added_found_and_deleted_in_its_own_word(void **state)
{
    uint64_t set[4] = {0};

    mask_set_add(set, 255);
    mask_set_add(set, 64);
    assert_true(set[0] == 0 && set[1] == 1 && set[2] == 0 && set[3] == UINT64_C(1) << 63);
    assert_true(mask_set_has(set, 255) && mask_set_has(set, 64) && !mask_set_has(set, 65));
    mask_set_del(set, 64);
    mask_set_del(set, 0); /* was not there */
    assert_true(set[1] == 0 && !mask_set_has(set, 64));
}

static void subsets_are_all_masks_inside_but_not_the_empty_one(void **state)
{
    assert_int_equal(subsets(1, 1), 1 << 1);
    assert_int_equal(subsets(2, 3), 1 << 1 | 1 << 2 | 1 << 3);
    assert_int_equal(subsets(3, 5), 1 << 1 | 1 << 4 | 1 << 5); /* zones 0 and 2 */
    assert_int_equal(subsets(3, 0), 0);
}

static void subsets_reach_into_the_words_of_the_high_zones(void **state)
{
    uint64_t set[MASK_SET_WORDS];

    memset(set, 0xff, sizeof(set)); /* what was there does not matter */
    mask_set_subsets(set, 8, 1 << 1 | 1 << 7);
    assert_true(set[0] == (UINT64_C(1) << 2));                    /* {1} */
    assert_true(set[1] == 0);                                     /* with zone 6 */
    assert_true(set[2] == (UINT64_C(1) << 0 | UINT64_C(1) << 2)); /* {7}, {1,7} */
    assert_true(set[3] == 0);
    assert_true(set[4] == UINT64_MAX); /* beyond 8 zones: not written */
}

static void supersets_contain_all_that_is_asked(void **state)
{
    uint64_t set[4];

    mask_set_subsets(set, 3, 7);
    mask_set_keep_supersets(set, 3, 5);
    assert_int_equal(set[0], 1 << 5 | 1 << 7);
    mask_set_keep_supersets(set, 3, 0); /* nothing asked: all stay */
    assert_int_equal(set[0], 1 << 5 | 1 << 7);
    mask_set_subsets(set, 8, 255);
    mask_set_keep_supersets(set, 8, 1 << 7 | 1 << 0);
    assert_true(set[0] == 0 && set[1] == 0);
    assert_true(set[2] == UINT64_C(0xaaaaaaaaaaaaaaaa)); /* every second mask has zone 0 */
    assert_true(set[3] == UINT64_C(0xaaaaaaaaaaaaaaaa));
}

static void touching_masks_share_a_zone(void **state)
{
    uint64_t set[2];

    mask_set_subsets(set, 3, 7);
    mask_set_keep_touching(set, 3, 5); /* all but {1} */
    assert_int_equal(set[0], 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7);
    mask_set_keep_touching(set, 3, 0); /* nothing touches nothing */
    assert_int_equal(set[0], 0);
    mask_set_subsets(set, 7, 127);
    mask_set_keep_touching(set, 7, 1 << 6);
    assert_true(set[0] == 0 && set[1] == UINT64_MAX);
}

static void a_set_closed_downwards_has_all_that_is_inside(void **state)
{
    uint64_t set[4] = {0, 0, 0, UINT64_C(1) << 0x21}; /* zones 0, 5, 6, 7 of 8 */
    uint64_t all[2] = {UINT64_MAX & ~UINT64_C(1), UINT64_MAX};

    (void)state;
    mask_set_close_down(set, 8);
    for (uint32_t w = 0; w < 4; w++) /* none, 0, 5, 0 and 5: with and without 6, 7 */
        assert_true(set[w] == (UINT64_C(1) | 1u << 1 | UINT64_C(1) << 0x20 | UINT64_C(1) << 0x21));
    assert_true(mask_set_is_full(all, 7));
    all[0] &= ~(UINT64_C(1) << 63);
    assert_false(mask_set_is_full(all, 7));
    all[0] = 0xe; /* 1, 2, 3: of two zones */
    assert_true(mask_set_is_full(all, 2));
    assert_false(mask_set_is_full(all, 3));
}

static void sizes_and_widths_count_zones(void **state)
{
    uint64_t set[MASK_SET_WORDS];

    mask_set_subsets(set, 3, 7);
    assert_int_equal(mask_set_width(set, 3), 1);
    mask_set_keep_size(set, 3, 2);
    assert_int_equal(set[0], 1 << 3 | 1 << 5 | 1 << 6);
    assert_int_equal(mask_set_width(set, 3), 2);
    mask_set_keep_size(set, 3, 3);
    assert_int_equal(set[0], 0);
    assert_int_equal(mask_set_width(set, 3), 0);
    memset(set, 0, sizeof(set));
    mask_set_add(set, 0xfff);
    assert_int_equal(mask_set_width(set, 12), 12);
    mask_set_add(set, 0xff0); /* 8 zones: two low, six high */
    assert_int_equal(mask_set_width(set, 12), 8);
    mask_set_keep_size(set, 12, 12);
    assert_true(set[63] == UINT64_C(1) << 63);
}

static void next_walks_the_masks_upwards(void **state)
{
    uint64_t set[MASK_SET_WORDS] = {0}, m = 1;

    assert_false(mask_set_next(set, 12, &m));
    mask_set_add(set, 3);
    mask_set_add(set, 63);
    mask_set_add(set, 200);
    for (m = 1; m < 4; m++) {
        uint64_t at = m;

        assert_true(mask_set_next(set, 8, &at));
        assert_int_equal(at, 3);
    }
    assert_true(mask_set_next(set, 8, &m) && m == 63);
    m++;
    assert_true(mask_set_next(set, 8, &m) && m == 200);
    m++;
    assert_false(mask_set_next(set, 8, &m));
    m = 256; /* beyond the set */
    assert_false(mask_set_next(set, 8, &m));
    m = 64; /* the one word of 6 zones ends there */
    assert_false(mask_set_next(set, 6, &m));
}

static void counts_of_zones_add_up_and_saturate(void **state)
{
    uint64_t set[2];
    const uint16_t counts[] = {3, 4, 0}, huge[] = {65535, 65535, 1};

    mask_set_subsets(set, 3, 7);
    mask_set_keep_counts(set, 3, counts, 4);
    assert_int_equal(set[0], 1 << 2 | 1 << 3 | 1 << 6 | 1 << 7);
    mask_set_keep_counts(set, 3, counts, 7);
    assert_int_equal(set[0], 1 << 3 | 1 << 7);
    mask_set_keep_counts(set, 3, counts, 8);
    assert_int_equal(set[0], 0);
    mask_set_subsets(set, 3, 7);
    mask_set_keep_counts(set, 3, huge, 65535); /* 131070 is not 65534 */
    assert_int_equal(set[0], 0xff & ~(1 << 0 | 1 << 4));
    mask_set_keep_counts(set, 3, huge, 65536); /* more than can be counted */
    assert_int_equal(set[0], 0);
}

static void nothing_wanted_keeps_all_masks(void **state)
{
    uint64_t set[1];
    uint16_t none[] = {0, 0, 0, 0, 0, 0, 0, 0};

    mask_set_subsets(set, 3, 7);
    mask_set_keep_counts(set, 3, none, 0);
    assert_int_equal(set[0], 0xfe);
    mask_set_keep_touched(set, 3, none, 0);
    assert_int_equal(set[0], 0xfe);
}

static void bytes_have_a_stride_and_wrap_as_uint64_do(void **state)
{
    uint64_t set[1], sums[8];
    const uint64_t two_types[] = {5, 99, 7, 99}, wrapped[] = {UINT64_MAX, 2};

    mask_set_subsets(set, 2, 3);
    mask_set_keep_bytes(set, 2, two_types, 2, 7, sums);
    assert_int_equal(set[0], 1 << 2 | 1 << 3);
    assert_int_equal(sums[1], 5);
    assert_int_equal(sums[3], 12);
    mask_set_subsets(set, 2, 3);
    mask_set_keep_bytes(set, 2, wrapped, 1, 2, sums);
    assert_int_equal(set[0], 1 << 1 | 1 << 2); /* 2^64 - 1 + 2 = 1 < 2 */
    mask_set_keep_bytes(set, 2, wrapped, 1, 0, sums);
    assert_int_equal(set[0], 1 << 1 | 1 << 2);
}

static void things_are_touched_where_they_lie(void **state)
{
    uint64_t set[1];
    /* two things in {0}, one in {0,1}, one in {2} */
    uint16_t inside[8] = {[1] = 2, [3] = 1, [4] = 1}, again[8], huge[8] = {[1] = 65535, [2] = 9};

    memcpy(again, inside, sizeof(inside));
    mask_set_subsets(set, 3, 7);
    mask_set_keep_touched(set, 3, inside, 2);
    /* {0} 3, {1} 1, {0,1} 3, {2} 1, {0,2} 4, {1,2} 2, all 4 */
    assert_int_equal(set[0], 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7);
    mask_set_keep_touched(set, 3, again, 4);
    assert_int_equal(set[0], 1 << 5 | 1 << 7);
    mask_set_subsets(set, 3, 7);
    mask_set_keep_touched(set, 3, huge, 65536);
    assert_int_equal(set[0], 0);
}

static void the_and_of_two_sets_meets_pair_by_pair(void **state)
{
    uint64_t into[1] = {1 << 3 | 1 << 4};
    uint32_t counts[16];
    const uint64_t other[] = {1 << 1 | 1 << 5}, none[] = {0};

    mask_set_and_all(into, other, 3, counts);
    /* 3&1 = 1, 3&5 = 1, 4&1 = 0, 4&5 = 4 */
    assert_int_equal(into[0], 1 << 0 | 1 << 1 | 1 << 4);
    mask_set_and_all(into, none, 3, counts);
    assert_int_equal(into[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_has_a_bit_per_mask_and_a_word_per_64),
        cmocka_unit_test(a_mask_is_added_found_and_deleted_in_its_own_word),
        cmocka_unit_test(subsets_are_all_masks_inside_but_not_the_empty_one),
        cmocka_unit_test(subsets_reach_into_the_words_of_the_high_zones),
        cmocka_unit_test(supersets_contain_all_that_is_asked),
        cmocka_unit_test(touching_masks_share_a_zone),
        cmocka_unit_test(a_set_closed_downwards_has_all_that_is_inside),
        cmocka_unit_test(sizes_and_widths_count_zones),
        cmocka_unit_test(next_walks_the_masks_upwards),
        cmocka_unit_test(counts_of_zones_add_up_and_saturate),
        cmocka_unit_test(nothing_wanted_keeps_all_masks),
        cmocka_unit_test(bytes_have_a_stride_and_wrap_as_uint64_do),
        cmocka_unit_test(things_are_touched_where_they_lie),
        cmocka_unit_test(the_and_of_two_sets_meets_pair_by_pair),
    };

    return cmocka_run_group_tests_name("mask_set", tests, NULL, NULL);
}
