/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/weigh.h"

#include "base/attr.h"
#include "tests/support/test.h"

enum {
    LOCAL = 1 << SCORE_LOCALITY,
    FRAG = 1 << SCORE_FRAGMENTATION,
    FRESH = 1 << SCORE_FRESHNESS,
};

static void default_weights_sum_to_a_hundred_in_every_class(void **state)
{
    for (int class = SCORE_CLASS_DEFAULT; class <= SCORE_CLASS_BEST_EFFORT; class ++) {
        uint32_t sum = 0;

        for (int t = 0; t < SCORE_TERM_COUNT; t++)
            sum += score_default_weights((enum score_class) class)->w[t];
        assert_int_equal(sum, 100);
    }
    assert_int_equal(score_default_weights(SCORE_CLASS_CRITICAL)->w[SCORE_LOCALITY], 35);
    assert_int_equal(score_default_weights(SCORE_CLASS_BEST_EFFORT)->w[SCORE_FRAGMENTATION], 40);
    assert_int_equal(score_default_weights(SCORE_CLASS_DEFAULT)->w[SCORE_DEVICES], 25);
}

static void scores_are_weighted_means_rounded_down(void **state)
{
    const struct score_weights *const w = score_default_weights(SCORE_CLASS_DEFAULT);
    const uint16_t term[SCORE_TERM_COUNT] = {
        [SCORE_LOCALITY] = 1000, [SCORE_FRAGMENTATION] = 781, [SCORE_FRESHNESS] = 500};

    /* (30*1000 + 15*781 + 5*500) / 50 = (30000 + 11715 + 2500) / 50 = 884.3 */
    assert_int_equal(score_weigh(w, term, LOCAL | FRAG | FRESH, LOCAL | FRAG | FRESH), 884);
}

static void a_term_nobody_has_is_dropped_and_a_missing_one_counts_half(void **state)
{
    const struct score_weights *const w = score_default_weights(SCORE_CLASS_DEFAULT);
    const uint16_t term[SCORE_TERM_COUNT] = {[SCORE_LOCALITY] = 900, [SCORE_FRAGMENTATION] = 77};

    assert_int_equal(score_weigh(w, term, LOCAL, LOCAL), 900);
    /* (30*900 + 15*500) / 45 = 34500 / 45 = 766.7 */
    assert_int_equal(score_weigh(w, term, LOCAL, LOCAL | FRAG), 766);
    assert_int_equal(score_weigh(w, term, 0, 0), 500);
}

static void wire_scores_round_half_up_and_are_at_least_one(void **state)
{
    static const struct {
        uint32_t score, max, want;
    } cases[] = {
        {1000, 10, 10}, {950, 10, 10},  {949, 10, 9},   {50, 10, 1}, {49, 10, 1},      {0, 10, 1},
        {874, 10, 9},   {874, 100, 87}, {875, 100, 88}, {0, 100, 1}, {1000, 100, 100},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(score_wire(cases[i].score, cases[i].max), cases[i].want);
}

static void every_term_has_a_name_of_its_own(void **state)
{
    assert_string_equal(score_term_text(SCORE_LOCALITY), "locality");
    assert_string_equal(score_term_text(SCORE_DEVICES), "devices");
    assert_string_equal(score_term_text(SCORE_FRAGMENTATION), "fragmentation");
    assert_string_equal(score_term_text(SCORE_NETWORK), "network");
    assert_string_equal(score_term_text(SCORE_COMPUTE), "compute");
    assert_string_equal(score_term_text(SCORE_INTERFERENCE), "interference");
    assert_string_equal(score_term_text(SCORE_FRESHNESS), "freshness");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_weights_sum_to_a_hundred_in_every_class),
        cmocka_unit_test(scores_are_weighted_means_rounded_down),
        cmocka_unit_test(a_term_nobody_has_is_dropped_and_a_missing_one_counts_half),
        cmocka_unit_test(wire_scores_round_half_up_and_are_at_least_one),
        cmocka_unit_test(every_term_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("weigh", tests, NULL, NULL);
}
