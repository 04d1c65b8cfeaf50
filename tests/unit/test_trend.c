/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "tests/support/data.h"
#include "tests/support/trend.h"

enum { SAMPLES = 60 };

/* Pairs 1-2, 1-3, 2-3 rise by 4, 3 and 2 a sample: the one in the middle. */
static void the_slope_is_the_median_of_the_pairs(void **state)
{
    static const double three[] = {1, 5, 7}, two[] = {3, 1};

    assert_true(trend_slope(three, 3) == 3);
    assert_true(trend_slope(two, 2) == -2);
}

static void a_line_has_its_own_slope_whatever_the_outliers(void **state)
{
    double y[SAMPLES];

    for (int i = 0; i < SAMPLES; i++)
        y[i] = i % 7 == 3 ? 1e6 : 20000 + 0.5 * i;
    assert_true(trend_slope(y, SAMPLES) > 0.4 && trend_slope(y, SAMPLES) < 0.6);
}

static void one_step_is_no_slope(void **state)
{
    for (int at = 1; at < SAMPLES; at++) {
        double y[SAMPLES];

        for (int i = 0; i < SAMPLES; i++)
            y[i] = i < at ? 20000 : 20512;
        assert_true(trend_slope(y, SAMPLES) * SAMPLES < 600);
        if (at < SAMPLES / 4 || at > 3 * SAMPLES / 4)
            assert_true(trend_slope(y, SAMPLES) == 0);
    }
}

/* Pages that come and go by the hundred do not hide a page that is lost with each sample. */
static void a_slow_loss_shows_through_noise(void **state)
{
    uint64_t seed = test_seed(20261125);
    double flat[SAMPLES], lost[SAMPLES];

    for (int i = 0; i < SAMPLES; i++) {
        flat[i] = 20000 + 4 * (double)test_random(&seed, 25);
        lost[i] = flat[i] + 16 * i;
    }
    assert_true(trend_slope(flat, SAMPLES) * SAMPLES < 60);
    assert_true(trend_slope(lost, SAMPLES) * SAMPLES > 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slope_is_the_median_of_the_pairs),
        cmocka_unit_test(a_line_has_its_own_slope_whatever_the_outliers),
        cmocka_unit_test(one_step_is_no_slope),
        cmocka_unit_test(a_slow_loss_shows_through_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
