/* SPDX-License-Identifier: Apache-2.0 */
/* The score terms that are pure formulas: locality, fragmentation, freshness. */
#include "base/attr.h"
#include "scoring/fragmentation.h"
#include "scoring/freshness.h"
#include "scoring/locality.h"
#include "scoring/node_view.h"
#include "tests/support/test.h"

/* Not symmetric, so that a swap of rows and columns fails the test. */
static const uint32_t skewed[] = {10, 31, 21, 10};

static void locality_matches_splits_worked_by_hand(void **state)
{
    static const struct {
        uint32_t cpu[2], mem[2], want;
    } cases[] = {
        {{1, 0}, {1, 0}, 1000},   /* E = 10: all local */
        {{0, 8}, {4096, 0}, 476}, /* E = 21: 10000 / 21 = 476.2 */
        {{8, 0}, {0, 4096}, 322}, /* E = 31: 10000 / 31 = 322.6 */
        {{1, 1}, {1, 1}, 555},    /* E = (10 + 31 + 21 + 10) / 4 = 18; 10000 / 18 = 555.6 */
        {{3, 1}, {1, 0}, 784},    /* E = (3*10 + 21) / 4 = 12.75; 784.3 */
        {{1, 0}, {7, 9}, 458},    /* E = (7*10 + 9*31) / 16 = 21.8; 458.5 */
        {{1 << 20, 0}, {0, 1 << 24}, 322}, /* the largest sums */
    };
    const struct topo_matrix dist = {.n = 2, .d = skewed};

    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        const struct score_split split = {.cpu = cases[k].cpu, .mem = cases[k].mem};

        assert_int_equal(score_locality(&dist, &split), cases[k].want);
    }
}

static uint32_t broken(const uint32_t *whole, const uint32_t *before, const uint32_t *after)
{
    return score_fragmentation(&(struct score_stock){whole, before, after}, 2);
}

static void fragmentation_costs_least_where_it_fills_what_is_broken(void **state)
{
    static const uint32_t whole[] = {4, 4}; /* W = 32 */

    /* one unit out of a whole zone: (16 + 16) - (9 + 16) = 7; 1000 * 25 / 32 = 781.2 */
    assert_int_equal(broken(whole, (uint32_t[]){4, 4}, (uint32_t[]){3, 4}), 781);
    /* out of the broken zone of {4, 2}: 20 - 17 = 3; 29/32 = 906.2 */
    assert_int_equal(broken(whole, (uint32_t[]){4, 2}, (uint32_t[]){4, 1}), 906);
    /* the last one of a zone: 1 - 0; 31/32 = 968.7 */
    assert_int_equal(broken(whole, (uint32_t[]){1, 0}, (uint32_t[]){0, 0}), 968);
}

static void fragmentation_has_its_ends(void **state)
{
    static const uint32_t whole[] = {4, 4}, none[] = {0, 0};

    assert_int_equal(broken(whole, whole, none), 0);
    assert_int_equal(broken(whole, whole, whole), 1000);
    assert_int_equal(broken(none, none, none), 1000);
    /* a unit counted free that is beyond the whole cannot push it below 0 */
    assert_int_equal(broken(whole, (uint32_t[]){9, 0}, none), 0);
}

static void freshness_falls_with_age_and_with_every_assumption(void **state)
{
    const int64_t minute = 60000000;

    assert_int_equal(score_freshness(10 * minute, 10 * minute, 5 * minute, 0, false), 1000);
    /* half of the age allowed: 1000 - 500 / 2 */
    assert_int_equal(score_freshness(25 * minute / 2, 10 * minute, 5 * minute, 0, false), 750);
    assert_int_equal(score_freshness(99 * minute, 10 * minute, 5 * minute, 0, false), 500);
    /* a clock that runs ahead is not old */
    assert_int_equal(score_freshness(9 * minute, 10 * minute, 5 * minute, 0, false), 1000);
    assert_int_equal(score_freshness(99 * minute, 10 * minute, 0, 0, false), 1000);
    assert_int_equal(score_freshness(9, 8, 1, 0, false), 500); /* the least age there is */
    /* not said: 500; two assumptions: 1000 - 100; unknown zones: - 200 */
    assert_int_equal(score_freshness(99 * minute, 0, 5 * minute, 0, false), 500);
    assert_int_equal(score_freshness(minute, minute, minute,
                                     NODE_ASSUMED_RESERVED | NODE_ASSUMED_OPTIONS, false),
                     900);
    assert_int_equal(score_freshness(minute, minute, minute, 0, true), 800);
    assert_int_equal(score_freshness(99 * minute, 0, minute, 0x3f, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locality_matches_splits_worked_by_hand),
        cmocka_unit_test(fragmentation_costs_least_where_it_fills_what_is_broken),
        cmocka_unit_test(fragmentation_has_its_ends),
        cmocka_unit_test(freshness_falls_with_age_and_with_every_assumption),
    };

    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
