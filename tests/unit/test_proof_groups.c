/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory groups and the pods that hold them open; and which resource it was when the kubelet's own
 * words do not say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/one_node.h"
#include "topology/cpuset.h"

static const uint64_t GiB = UINT64_C(1) << 30;

static void assert_refused(struct fixture *f, const char *message, const char *without)
{
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(d.result.verdict, SCORE_REJECTED);
    assert_string_equal(d.message.p, message);
    assert_int_equal(d.n_would_fit_without, without != NULL);
    if (without)
        assert_string_equal(d.would_fit_without[0].p, without);
}

/* Blocks over both zones: `n` of them hold `a` and `b` GiB of zones 0 and 1 in sum. */
static void join_zones(struct fixture *f, uint32_t n, uint64_t a, uint64_t b)
{
    struct node_state *const s = &f->node.state;

    s->cells[0] = s->cells[1] = 3;
    s->assignments[0] = s->assignments[1] = n;
    s->memory_free[0] -= a * GiB;
    s->memory_reserved[0] += a * GiB;
    s->memory_free[1] -= b * GiB;
    s->memory_reserved[1] += b * GiB;
}

/*
 * The large pod that made the group has ended; ml/small, which was squeezed in, has 1 GiB of zone
 * 0. Zone 1 is empty, and yet nothing may lie in it alone until ml/small ends.
 */
static void a_small_pod_that_holds_a_group_open_is_named(void **state)
{
    struct fixture f;
    static const uint64_t cpus[] = {1 << 3};
    const struct node_block block = {3, 0, GiB};
    const struct node_holding shared = {.container = STR("c"), .cpus = cpus},
                              grouped = {.container = STR("c"), .blocks = &block, .n_blocks = 1};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("other"), .holdings = &shared, .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("small"), .holdings = &grouped, .n_holdings = 1},
    };

    ask(&f, SINGLE, POD("'cpu':'1','memory':'7Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 2;
    f.node.state.cpu_free[0] &= ~cpus[0];
    join_zones(&f, 1, 1, 0);
    assert_refused(&f,
                   "zone 0: memory needs 7516192768, free 6442450944 of 7516192768; "
                   "zone 0: memory is in a group with zone 1, held by ml/small",
                   "ml/small");
    end(&f);
}

/* No single pod's end opens the group. */
static void three_of_many_holders_are_named(void **state)
{
    struct fixture f;
    const struct node_block block = {3, 0, GiB};
    const struct node_holding h = {.container = STR("c"), .blocks = &block, .n_blocks = 1};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("a"), .holdings = &h, .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("b"), .holdings = &h, .n_holdings = 1},
        {.ns = STR("x"), .name = STR("c"), .holdings = &h, .n_holdings = 1},
        {.ns = STR("x"), .name = STR("d"), .holdings = &h, .n_holdings = 1},
    };

    ask(&f, RESTRICTED, POD("'cpu':'1','memory':'1Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 4;
    join_zones(&f, 4, 4, 0);
    assert_refused(
        &f, "zone 0: memory is in a group with zone 1, held by ml/a, ml/b, x/c and 1 more", NULL);
    f.node.n_pods = 3;
    assert_refused(&f, "zone 0: memory is in a group with zone 1, held by ml/a, ml/b, x/c", NULL);
    end(&f);
}

static void blocks_of_nobody_are_counted(void **state)
{
    struct fixture f;

    ask(&f, RESTRICTED, POD("'cpu':'1','memory':'1Gi'"));
    join_zones(&f, 2, 1, 0);
    assert_refused(&f, "zone 0: memory is in a group with zone 1 until 2 blocks end", NULL);
    f.node.state.assignments[0] = 1;
    assert_refused(&f, "zone 0: memory is in a group with zone 1 until 1 block ends", NULL);
    end(&f);
}

/*
 * 5 CPUs and 10 GiB lie in both zones: 4 + 1 CPUs, 7 + 3 GiB. The second container finds zone 1
 * with room, but in the first one's group.
 */
static void a_group_of_the_pods_own_making_is_told_as_such(void **state)
{
    struct fixture f;

    ask(&f, RESTRICTED,
        "{'uid':'p','containers':[{'name':'one','limits':{'cpu':'5','memory':'10Gi'}},"
        "{'name':'two','limits':{'cpu':'500m','memory':'1Gi'}}]}");
    assert_refused(&f,
                   "zone 0: memory needs 1073741824, free 0 of 7516192768; "
                   "zone 0: memory is in a group with zone 1, made by another container of this "
                   "pod",
                   NULL);
    end(&f);
}

/* 2 CPUs are had, in zone 0, and so are the memory's hints; 15 of 14 GiB are not. */
static void memory_that_cannot_be_had_is_told_by_zone_behind_the_kubelets_words(void **state)
{
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'15Gi'"));
    assert_refused(&f,
                   "Allocate failed due to [memorymanager] failed to find NUMA nodes to extend the "
                   "current topology hint, which is unexpected; "
                   "zone 0: memory needs 16106127360, free 7516192768 of 7516192768; "
                   "zone 1: memory needs 16106127360, free 7516192768 of 7516192768",
                   NULL);
    end(&f);
}

/* k/k#110216: a small pod on each zone, 6 GiB free on both, and no group can be made. */
static void of_several_containers_the_one_that_failed_is_told_of(void **state)
{
    struct fixture f;

    ask(&f, BEST,
        "{'uid':'p','containers':[{'name':'one','limits':{'cpu':'2','memory':'1Gi'}},"
        "{'name':'two','limits':{'cpu':'1','memory':'8Gi'}}]}");
    f.node.state.assignments[1] = 1;
    f.node.state.memory_free[1] -= GiB;
    f.node.state.memory_reserved[1] += GiB;
    assert_refused(&f,
                   "Allocate failed due to [memorymanager] failed to find NUMA nodes to extend the "
                   "current topology hint, which is unexpected; "
                   "zone 0: memory needs 8589934592, free 6442450944 of 7516192768; "
                   "zone 1: memory needs 8589934592, free 6442450944 of 7516192768",
                   NULL);
    end(&f);
}

static void devices_that_cannot_be_had_are_told_by_zone(void **state)
{
    struct fixture f;
    struct score_detail d;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'3'"));
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_string_equal(score_reason_text(d.result.reason), "UnexpectedAdmissionError");
    assert_true(str_starts(d.message, "Allocate failed due to "));
    assert_non_null(strstr(d.message.p, ", which is unexpected; "
                                        "zone 0: example.com/gpu needs 3, free 1 of 1; "
                                        "zone 1: example.com/gpu needs 3, free 1 of 1"));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_pod_that_holds_a_group_open_is_named),
        cmocka_unit_test(three_of_many_holders_are_named),
        cmocka_unit_test(blocks_of_nobody_are_counted),
        cmocka_unit_test(a_group_of_the_pods_own_making_is_told_as_such),
        cmocka_unit_test(memory_that_cannot_be_had_is_told_by_zone_behind_the_kubelets_words),
        cmocka_unit_test(of_several_containers_the_one_that_failed_is_told_of),
        cmocka_unit_test(devices_that_cannot_be_had_are_told_by_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
