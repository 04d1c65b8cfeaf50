/* SPDX-License-Identifier: Apache-2.0 */
/* The checker itself: what it must take and what it must refuse. */
#include "tests/support/test.h"

#include "base/attr.h"
#include "tests/support/prometheus.h"

#define COUNTER   "# HELP a Some.\n# TYPE a counter\n"
#define HISTOGRAM "# HELP h Some.\n# TYPE h histogram\n"

static void a_sound_page_is_taken(void **state)
{
    static const char *const pages[] = {
        COUNTER "a 1\n",
        COUNTER "a{x=\"1\"} 1\na{x=\"2\",y=\"q\\\"}\"} 2.5e3\n",
        COUNTER "# HELP b Gauge.\n# TYPE b gauge\nb -1\n",
        COUNTER,
        HISTOGRAM "h_bucket{v=\"f\",le=\"0.1\"} 1\nh_bucket{v=\"f\",le=\"+Inf\"} 3\n"
                  "h_sum{v=\"f\"} 0.5\nh_count{v=\"f\"} 3\n",
    };
    char why[PROMETHEUS_WHY_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (!prometheus_check(str_of(pages[i]), why))
            fail_msg("%s: %s", pages[i], why);
}

static void a_broken_page_is_refused(void **state)
{
    static const char *const pages[] = {
        "",
        "a 1\n",
        COUNTER "a 1",
        COUNTER "a 1\na 2\n",
        COUNTER "a -1\n",
        COUNTER "a x\n",
        COUNTER "b 1\n",
        COUNTER "a{x} 1\n",
        COUNTER "a{x=\"1} 1\n",
        COUNTER "a 1\n" COUNTER,
        "# TYPE a counter\n# HELP a Some.\na 1\n",
        HISTOGRAM "h_bucket{le=\"0.1\"} 1\n",
        HISTOGRAM "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        HISTOGRAM "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        HISTOGRAM "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        HISTOGRAM "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
        HISTOGRAM "h_bucket{le=\"+Inf\"} 1\nh_count 1\n",
    };
    char why[PROMETHEUS_WHY_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (prometheus_check(str_of(pages[i]), why))
            fail_msg("taken: %s", pages[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_page_is_taken),
        cmocka_unit_test(a_broken_page_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
