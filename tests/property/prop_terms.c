/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of every score term, whatever the machine. */
#include <string.h>

#include "scoring/fragmentation.h"
#include "scoring/freshness.h"
#include "scoring/locality.h"
#include "scoring/weigh.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 20000, MAX_ZONES = 8 };

/* A random order of 0..n-1. */
static void shuffle(uint64_t *seed, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t k = (uint32_t)test_random(seed, i), was = order[i - 1];

        order[i - 1] = order[k];
        order[k] = was;
    }
}

static void locality_keeps_its_bounds_and_ignores_numbering(void **state)
{
    uint64_t seed = test_seed(7);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES);
        uint32_t d[MAX_ZONES * MAX_ZONES], cpu[MAX_ZONES], mem[MAX_ZONES], order[MAX_ZONES];
        uint32_t d2[MAX_ZONES * MAX_ZONES], cpu2[MAX_ZONES], mem2[MAX_ZONES], far = 10;

        shuffle(&seed, order, n);
        for (uint32_t i = 0; i < n; i++) {
            cpu[i] = (uint32_t)test_random(&seed, 100) + (i == 0);
            mem[i] = (uint32_t)test_random(&seed, 1 << 20) + (i == 0);
            for (uint32_t k = 0; k < n; k++) {
                d[i * n + k] = i == k ? 10 : 10 + (uint32_t)test_random(&seed, 246);
                far = d[i * n + k] > far ? d[i * n + k] : far;
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            cpu2[order[i]] = cpu[i];
            mem2[order[i]] = mem[i];
            for (uint32_t k = 0; k < n; k++)
                d2[order[i] * n + order[k]] = d[i * n + k];
        }
        const uint32_t got =
            score_locality(&(struct topo_matrix){n, d}, &(struct score_split){cpu, mem});

        assert_in_range(got, 10000 / far, 1000);
        assert_int_equal(
            got, score_locality(&(struct topo_matrix){n, d2}, &(struct score_split){cpu2, mem2}));
    }
}

static void fragmentation_falls_with_every_further_unit(void **state)
{
    uint64_t seed = test_seed(8);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES);
        uint32_t whole[MAX_ZONES], before[MAX_ZONES], after[MAX_ZONES], last = SCORE_MAX;

        for (uint32_t i = 0; i < n; i++) {
            whole[i] = (uint32_t)test_random(&seed, 129);
            before[i] = after[i] = (uint32_t)test_random(&seed, whole[i] + 1);
        }
        const struct score_stock stock = {whole, before, after};
        for (int take = 0; take < 8; take++) {
            const uint32_t got = score_fragmentation(&stock, n);
            const uint32_t z = (uint32_t)test_random(&seed, n);

            assert_in_range(got, 0, last);
            last = got;
            after[z] -= after[z] > 0;
        }
    }
}

static void freshness_never_rises_with_age_or_doubt(void **state)
{
    uint64_t seed = test_seed(9);

    for (int round = 0; round < ROUNDS; round++) {
        const int64_t max = (int64_t)test_random(&seed, 1000000), now = 5000000;
        const int64_t old = 1 + (int64_t)test_random(&seed, 4000000),
                      young = old + (int64_t)test_random(&seed, 1000000);
        const uint32_t assumed = (uint32_t)test_random(&seed, 64);
        const uint32_t a = score_freshness(now, old, max, assumed, false),
                       b = score_freshness(now, young, max, assumed, false);

        assert_in_range(a, 0, b);
        assert_in_range(b, 0, SCORE_MAX);
        assert_in_range(score_freshness(now, old, max, assumed | 1, true), 0, a);
    }
}

static void a_weighed_score_lies_between_its_terms(void **state)
{
    uint64_t seed = test_seed(10);

    for (int round = 0; round < ROUNDS; round++) {
        struct score_weights w;
        uint16_t term[SCORE_TERM_COUNT];
        const uint32_t any = (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT),
                       known = any & (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT);
        uint32_t low = SCORE_MAX, high = 0;

        for (int t = 0; t < SCORE_TERM_COUNT; t++) {
            w.w[t] = (uint16_t)test_random(&seed, 101);
            term[t] = (uint16_t)test_random(&seed, SCORE_MAX + 1);
            const uint32_t counts = known >> t & 1 ? term[t] : SCORE_NEUTRAL;
            if (any >> t & 1) {
                low = counts < low ? counts : low;
                high = counts > high ? counts : high;
            }
        }
        if (low > SCORE_NEUTRAL || any == 0)
            low = SCORE_NEUTRAL; /* all weights may be 0 */
        if (high < SCORE_NEUTRAL)
            high = SCORE_NEUTRAL;
        assert_in_range(score_weigh(&w, term, known, any), low, high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locality_keeps_its_bounds_and_ignores_numbering),
        cmocka_unit_test(fragmentation_falls_with_every_further_unit),
        cmocka_unit_test(freshness_never_rises_with_age_or_doubt),
        cmocka_unit_test(a_weighed_score_lies_between_its_terms),
    };

    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
