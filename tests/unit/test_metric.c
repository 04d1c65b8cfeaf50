/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <string.h>

#include "base/buf.h"
#include "base/metric.h"
#include "tests/support/prometheus.h"

#define MS UINT64_C(1000000)

static void expect_line(const struct buf *page, const char *line)
{
    if (!strstr(page->p, line))
        fail_msg("no %s in\n%s", line, page->p);
}

static void plain_figures_are_one_line_each(void **state)
{
    struct buf b = {0};
    char why[PROMETHEUS_WHY_BYTES];

    metric_counter(&b, "a_total", "A.", UINT64_MAX);
    metric_gauge(&b, "b", "B.", 1795639113.25);
    metric_gauge(&b, "c", "C.", 8388608);
    assert_string_equal(b.p, "# HELP a_total A.\n# TYPE a_total counter\na_total "
                             "18446744073709551615\n# HELP b B.\n# TYPE b gauge\nb "
                             "1795639113.25\n# HELP c C.\n# TYPE c gauge\nc 8388608\n");
    assert_true(prometheus_check(buf_view(&b), why));
    buf_free(&b);
}

/* 0.25 ms is in its own bucket, a nanosecond more in the next; six seconds are in none but +Inf. */
static void a_duration_is_in_the_first_bucket_that_holds_it(void **state)
{
    static struct metric_durations d;
    struct buf b = {0};
    char why[PROMETHEUS_WHY_BYTES];

    metric_add_duration(&d, 250000);
    metric_add_duration(&d, 250001);
    metric_add_duration(&d, 6000 * MS);
    metric_family(&b, "d_seconds", "histogram", "D.");
    metric_histogram(&b, "d_seconds", "verb=\"x\"", &d);
    metric_histogram(&b, "d_seconds", "verb=\"y\"", &(struct metric_durations){0});
    expect_line(&b, "\nd_seconds_bucket{verb=\"x\",le=\"0.00025\"} 1\n");
    expect_line(&b, "\nd_seconds_bucket{verb=\"x\",le=\"0.0005\"} 2\n");
    expect_line(&b, "\nd_seconds_bucket{verb=\"x\",le=\"5\"} 2\n");
    expect_line(&b, "\nd_seconds_bucket{verb=\"x\",le=\"+Inf\"} 3\n");
    expect_line(&b, "\nd_seconds_sum{verb=\"x\"} 6.000500001\n");
    expect_line(&b, "\nd_seconds_count{verb=\"x\"} 3\n");
    expect_line(&b, "\nd_seconds_count{verb=\"y\"} 0\n");
    assert_true(prometheus_check(buf_view(&b), why));
    buf_free(&b);
}

static void a_histogram_may_have_no_labels(void **state)
{
    static struct metric_durations d;
    struct buf b = {0};
    char why[PROMETHEUS_WHY_BYTES];

    metric_family(&b, "d_seconds", "histogram", "D.");
    metric_histogram(&b, "d_seconds", "", &d);
    expect_line(&b, "\nd_seconds_bucket{le=\"+Inf\"} 0\nd_seconds_sum 0.000000000\n"
                    "d_seconds_count 0\n");
    assert_true(prometheus_check(buf_view(&b), why));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_figures_are_one_line_each),
        cmocka_unit_test(a_duration_is_in_the_first_bucket_that_holds_it),
        cmocka_unit_test(a_histogram_may_have_no_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
