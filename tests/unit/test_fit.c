/* SPDX-License-Identifier: Apache-2.0 */
/* What kube-scheduler counts: a pod's requests against what a Node has left in sum. */
#include "scoring/fit.h"

#include "base/attr.h"
#include "tests/support/test.h"

#define GPU STR("x.com/gpu")

static struct pod_amount gpu(int64_t n)
{
    return (struct pod_amount){STR("x.com/gpu"), POD_EXTENDED, n};
}

/* What a pod of these containers requests of x.com/gpu. */
static int64_t requested(const enum pod_container_kind *kinds, const int64_t *amounts, uint32_t n)
{
    struct pod_amount list[4];
    struct pod_container c[4] = {0};

    for (uint32_t i = 0; i < n; i++) {
        list[i] = gpu(amounts[i]);
        c[i] = (struct pod_container){.kind = kinds[i], .requests = &list[i], .n_requests = 1};
    }
    return score_requested(&(struct score_pod){.containers = c, .n_containers = n}, GPU);
}

static void the_worst_moment_counts(void **state)
{
    static const struct {
        uint32_t n;
        enum pod_container_kind kinds[4];
        int64_t amounts[4], want;
    } cases[] = {
        {0, {0}, {0}, 0},
        {2, {POD_APP, POD_APP}, {2, 3}, 5},
        {2, {POD_INIT, POD_APP}, {7, 3}, 7},
        {2, {POD_INIT, POD_APP}, {2, 3}, 3},
        {3, {POD_INIT, POD_INIT, POD_APP}, {5, 4, 3}, 5}, /* one after the other */
        {2, {POD_SIDECAR, POD_APP}, {2, 3}, 5},
        /* a sidecar runs beside the init containers after it, not beside those before */
        {3, {POD_SIDECAR, POD_INIT, POD_APP}, {2, 4, 1}, 6},
        {3, {POD_INIT, POD_SIDECAR, POD_APP}, {4, 2, 1}, 4},
        {2, {POD_APP, POD_APP}, {INT64_MAX, 1}, INT64_MAX}, /* saturates */
        {2, {POD_SIDECAR, POD_INIT}, {INT64_MAX, 1}, INT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(requested(cases[i].kinds, cases[i].amounts, cases[i].n), cases[i].want);
}

static void what_is_not_named_is_not_requested(void **state)
{
    const struct pod_amount cpu = {STR("cpu"), POD_CPU, 1000};
    const struct pod_container c = {.requests = &cpu, .n_requests = 1};
    const struct score_pod pod = {.containers = &c, .n_containers = 1};

    assert_int_equal(score_requested(&pod, GPU), 0);
    assert_int_equal(score_requested(&pod, STR("cpu")), 1000);
}

static void pod_level_requests_take_the_place_of_the_sum(void **state)
{
    const struct pod_amount four = {STR("x.com/gpu"), POD_EXTENDED, 4}, nine = gpu(9);
    const struct pod_container c = {.requests = &four, .n_requests = 1};
    struct score_pod pod = {.containers = &c,
                            .n_containers = 1,
                            .has_pod_level = true,
                            .pod_requests = &nine,
                            .n_pod_requests = 1};

    assert_int_equal(score_requested(&pod, GPU), 9);
    pod.n_pod_requests = 0; /* this resource is not among them */
    assert_int_equal(score_requested(&pod, GPU), 4);
    pod.n_pod_requests = 1;
    pod.has_pod_level = false;
    assert_int_equal(score_requested(&pod, GPU), 4);
}

static const struct node_fit *fit(int64_t allocatable, int64_t taken, int64_t wants, int64_t *out)
{
    static struct node_fit fits[2];
    const struct pod_amount amount = gpu(wants);
    const struct pod_container c = {.requests = &amount, .n_requests = 1};

    fits[0] = (struct node_fit){STR("memory"), POD_MEMORY, 0, 5}; /* overdrawn, not asked for */
    fits[1] = (struct node_fit){STR("x.com/gpu"), POD_EXTENDED, allocatable, taken};
    return score_fit(&(struct score_pod){.containers = &c, .n_containers = 1},
                     &(struct node_view){.fits = fits, .n_fits = 2}, out);
}

static void a_pod_fits_into_what_is_left(void **state)
{
    int64_t wants = -1;

    assert_null(fit(8, 6, 2, &wants));
    assert_null(fit(8, 9, 0, &wants)); /* wants nothing */
    assert_int_equal(wants, -1);       /* untouched */
    const struct node_fit *const short_of = fit(8, 6, 3, &wants);
    assert_non_null(short_of);
    assert_true(str_is(short_of->resource, "x.com/gpu"));
    assert_int_equal(wants, 3);
    assert_non_null(fit(INT64_MAX - 1, INT64_MAX - 1, 2, &wants)); /* does not wrap */
}

static void every_pod_counts_as_one_of_the_pods(void **state)
{
    struct node_fit fits[] = {{STR("pods"), POD_OTHER, 110, 109}};
    const struct node_view node = {.fits = fits, .n_fits = 1};
    const struct score_pod pod = {0};
    int64_t wants = 0;

    assert_null(score_fit(&pod, &node, &wants));
    fits[0].requested = 110;
    assert_ptr_equal(score_fit(&pod, &node, &wants), &fits[0]);
    assert_int_equal(wants, 1);
    assert_null(score_fit(&pod, &(struct node_view){0}, &wants)); /* says nothing of itself */
}

static void an_extended_resource_that_the_node_does_not_list_is_missing(void **state)
{
    const struct pod_amount list[] = {{STR("cpu"), POD_CPU, 5},
                                      {STR("y.com/off"), POD_EXTENDED, 0},
                                      {STR("x.com/gpu"), POD_EXTENDED, 1},
                                      {STR("x.com/nic"), POD_EXTENDED, 1}};
    const struct pod_container c[] = {{.requests = list, .n_requests = 2},
                                      {.requests = list + 2, .n_requests = 2}};
    const struct score_pod pod = {.containers = c, .n_containers = 2};
    const struct node_fit fits[] = {{STR("x.com/gpu"), POD_EXTENDED, 8, 0},
                                    {STR("x.com/nic"), POD_EXTENDED, 8, 0}};
    struct node_view node = {.fits = fits, .n_fits = 2};

    assert_int_equal(score_fit_missing(&pod, &node).n, 0);
    node.n_fits = 1;
    assert_true(str_is(score_fit_missing(&pod, &node), "x.com/nic"));
    node.n_fits = 0;
    assert_true(str_is(
        score_fit_missing(&(struct score_pod){.containers = c + 1, .n_containers = 1}, &node),
        "x.com/gpu"));
    assert_true(str_is(score_fit_missing(&pod, &node), "x.com/gpu")); /* the first */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_moment_counts),
        cmocka_unit_test(what_is_not_named_is_not_requested),
        cmocka_unit_test(pod_level_requests_take_the_place_of_the_sum),
        cmocka_unit_test(a_pod_fits_into_what_is_left),
        cmocka_unit_test(every_pod_counts_as_one_of_the_pods),
        cmocka_unit_test(an_extended_resource_that_the_node_does_not_list_is_missing),
    };

    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
