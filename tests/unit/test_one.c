/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "decide/decide.h"
#include "decide/one.h"

#define ADMITTED(wire_, score_)                                                                    \
    {                                                                                              \
        .verdict = SCORE_ADMITTED, .wire = (wire_), .score = (score_)                              \
    }
#define REJECTED                                                                                   \
    {                                                                                              \
        .verdict = SCORE_REJECTED, .reason = SCORE_TOPOLOGY_AFFINITY_ERROR                         \
    }

static void expect_wire(const struct decide_row *rows, uint32_t n, uint32_t one)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(rows[i].wire, i == one ? 10 : 0);
}

static void the_best_alone_gets_a_score(void **state)
{
    struct decide_row rows[] = {ADMITTED(7, 700), ADMITTED(9, 912), REJECTED, ADMITTED(9, 905)};

    (void)state;
    assert_int_equal(decide_one(rows, 4, 5, 10), 1);
    expect_wire(rows, 4, 1);
}

/* Somebody is on the way to the first, so that it is worth less to this one. */
static void what_was_lowered_goes_behind(void **state)
{
    struct decide_row rows[] = {ADMITTED(3, 990), ADMITTED(8, 801)};

    (void)state;
    assert_int_equal(decide_one(rows, 2, 0, 10), 1);
    expect_wire(rows, 2, 1);
}

static void among_equals_the_lot_decides(void **state)
{
    unsigned times[4] = {0};

    (void)state;
    for (uint64_t lot = 0; lot < 30; lot++) {
        struct decide_row rows[] = {ADMITTED(9, 900), ADMITTED(9, 899), ADMITTED(9, 900),
                                    ADMITTED(9, 900)};
        const uint32_t one = decide_one(rows, 4, lot, 10);

        expect_wire(rows, 4, one);
        times[one]++;
    }
    assert_int_equal(times[0], 10);
    assert_int_equal(times[1], 0);
    assert_int_equal(times[2], 10);
    assert_int_equal(times[3], 10);
}

/* Unknown nodes have 0 on the wire as ever, and a name that came twice counts once. */
static void where_none_admits_nothing_is_decided(void **state)
{
    struct decide_row rows[] = {{.verdict = SCORE_UNKNOWN}, REJECTED, ADMITTED(9, 900)};

    (void)state;
    rows[2].marks = DECIDE_REPEATED;
    assert_int_equal(decide_one(rows, 3, 1, 10), 3);
    assert_int_equal(rows[2].wire, 9);
    assert_int_equal(decide_one(rows, 0, 1, 10), 0);
}

/* Just more than 1200, which is what kube-scheduler's own plugins have at most. */
static void the_least_weight_outweighs_all_others(void **state)
{
    static const uint32_t scores[] = {1, 9, 10, 12, 13, 60, 100};

    (void)state;
    assert_int_equal(DECIDE_LEAST_WEIGHT(10), 13);
    assert_int_equal(DECIDE_LEAST_WEIGHT(100), 2);
    for (size_t i = 0; i < ARRAY_LEN(scores); i++) {
        assert_true(DECIDE_LEAST_WEIGHT(scores[i]) * scores[i] * 10 > 1200);
        assert_true((DECIDE_LEAST_WEIGHT(scores[i]) - 1) * scores[i] * 10 <= 1200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_alone_gets_a_score),
        cmocka_unit_test(what_was_lowered_goes_behind),
        cmocka_unit_test(among_equals_the_lot_decides),
        cmocka_unit_test(where_none_admits_nothing_is_decided),
        cmocka_unit_test(the_least_weight_outweighs_all_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
