/* SPDX-License-Identifier: Apache-2.0 */
/* The score terms that are pure formulas: locality, freshness. */
#include "base/attr.h"
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

static void work_away_from_preferred_zones_counts_as_the_way_there(void **state)
{
    static const uint32_t d[] = {10, 12, 32, 12, 10, 32, 32, 28, 10}; /* not symmetric */
    const struct topo_matrix dist = {.n = 3, .d = d};
    uint32_t away[3];

    score_away(away, &dist, 1 << 0);
    assert_int_equal(away[0], 0);
    assert_int_equal(away[1], 2);
    assert_int_equal(away[2], 22);
    score_away(away, &dist, 1 << 0 | 1 << 1);
    assert_int_equal(away[2], 18); /* zone 1 is nearer than zone 0 */
    /* all local in zone 2: 10 + 18 = 28; 10000 / 28 = 357.1 */
    const struct score_split split = {
        .cpu = (uint32_t[]){0, 0, 4}, .mem = (uint32_t[]){0, 0, 1}, .away = away};
    assert_int_equal(score_locality(&dist, &split), 357);
}

/* Two zones with CPUs and DRAM, and one of CXL memory behind zone 1. */
static struct topo_zone hmat[] = {
    {.memory_bytes = 1, .read_latency_ns = 100, .write_latency_ns = 120},
    {.memory_bytes = 1, .read_latency_ns = 110, .write_latency_ns = 110},
    {.memory_bytes = 1, .read_latency_ns = 220},
};
static const uint32_t slit[] = {10, 20, 28, 20, 10, 14, 28, 14, 10};

static void measured_latencies_replace_distances(void **state)
{
    const struct topo_machine m = {.n_zones = 3, .zones = hmat, .distances = {3, slit}};
    uint32_t d[9];

    /* L = 110, zone 2 has 220 from zone 1 (14): from zone 0 twice the distance, 440 */
    assert_true(score_access(d, &m, 3));
    const uint32_t want[] = {10, 20, 40, 20, 10, 20, 28, 14, 14};
    /* row 2 has no CPUs and is never asked; to zone 2 itself 220 * 10 / 14 = 157: 14.3 */
    assert_memory_equal(d, want, sizeof(want));
}

static void latency_and_bandwidth_count_alike(void **state)
{
    struct topo_zone zones[3];
    const struct topo_machine m = {.n_zones = 3, .zones = zones, .distances = {3, slit}};
    uint32_t d[9];

    for (int i = 0; i < 3; i++) {
        zones[i] = hmat[i];
        zones[i].read_bandwidth_mbs = i == 2 ? 30000 : 120000;
    }
    /* zone 2 from zone 1: latency 2, bandwidth 4 times as bad: 30; from zone 0 both twice: 60 */
    assert_true(score_access(d, &m, 3));
    assert_int_equal(d[5], 30);
    assert_int_equal(d[2], 60);
    assert_int_equal(d[0], 10);
    assert_int_equal(d[1], 20);
    zones[1].read_bandwidth_mbs = 0; /* one zone does not say: bandwidth is left out */
    assert_true(score_access(d, &m, 3));
    assert_int_equal(d[5], 20);
    zones[2].read_latency_ns = 0; /* and nothing is left: SLIT */
    assert_false(score_access(d, &m, 3));
    assert_memory_equal(d, slit, sizeof(slit));
    zones[2].memory_bytes = 0; /* without memory it need not say */
    assert_true(score_access(d, &m, 3));
    assert_int_equal(d[5], slit[5]);
}

static void measured_figures_stay_on_the_scale(void **state)
{
    struct topo_zone zones[] = {{.memory_bytes = 1, .read_latency_ns = 100},
                                {.memory_bytes = 1, .read_latency_ns = 50},
                                {.memory_bytes = 1, .read_latency_ns = UINT32_MAX}};
    const struct topo_machine m = {.n_zones = 3, .zones = zones, .distances = {3, slit}};
    uint32_t d[9];

    /* zone 1 has no CPUs and is faster than what a CPU has beside it: 10, not less */
    assert_true(score_access(d, &m, 1));
    assert_int_equal(d[1], 10);
    assert_int_equal(d[2], 255);
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
        cmocka_unit_test(work_away_from_preferred_zones_counts_as_the_way_there),
        cmocka_unit_test(measured_latencies_replace_distances),
        cmocka_unit_test(latency_and_bandwidth_count_alike),
        cmocka_unit_test(measured_figures_stay_on_the_scale),
        cmocka_unit_test(freshness_falls_with_age_and_with_every_assumption),
    };

    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
