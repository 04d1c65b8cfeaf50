/* SPDX-License-Identifier: Apache-2.0 */
/* Pods whose zones nobody knows: filter on the best case, score on the worst. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/one_node.h"
#include "topology/cpuset.h"

#define WITH_NIC                                                                                   \
    TWO_ZONES_AND("{'resource':'a.com/nic','id':'n0','zones':[0],'healthy':true},",                \
                  "'topologyManagerPolicy':'single-numa-node'")

static struct score_result judge(struct fixture *f)
{
    struct score_result r;

    assert_int_equal(score_node(&r, f->req, &f->node, &no_clock, &f->a), 0);
    return r;
}

static void give_unplaced(struct fixture *f, struct node_pod *pod, uint32_t cpus,
                          const uint32_t *devices)
{
    *pod = (struct node_pod){.ns = STR("a"),
                             .name = STR("lost"),
                             .placement = NODE_POD_UNPLACED,
                             .cpus = cpus,
                             .devices = devices};
    f->node.pods = pod;
    f->node.n_pods = 1;
    f->node.n_unplaced = 1;
}

/*
 * 2 CPUs go to zone 0: of its 3 free 1 is left. At worst a/lost has one of them, and the pod takes
 * the last two.
 *   best   1000 - 1000 * (9 - 1) / (2 * 2 * 3) = 334
 *   worst  1000 - 1000 * (4 - 0) / (2 * 2 * 3) = 667: the zone was broken before
 * The lower one counts.
 */
static void the_worst_case_raises_no_term(void **state)
{
    struct fixture f;
    struct node_pod pod;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi'"));
    give_unplaced(&f, &pod, 1, NULL);
    const struct score_result r = judge(&f);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_true(r.interval);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 334);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000);
    end(&f);
}

/*
 * With 2 of zone 0's CPUs gone the pod goes to zone 1 at worst, of its 4 free 2 are left:
 * 1000 - 1000 * (16 - 4) / (2 * 2 * 4) = 250.
 */
static void at_worst_the_pod_finds_its_zone_taken(void **state)
{
    struct fixture f;
    struct node_pod pod;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi'"));
    give_unplaced(&f, &pod, 2, NULL);
    assert_int_equal(judge(&f).term[SCORE_FRAGMENTATION], 250);
    f.node.kubelet.cpu_static = false; /* it has no CPUs of its own then, nor has this one */
    assert_int_equal(judge(&f).term[SCORE_FRAGMENTATION], 1000);
    end(&f);
}

/* Both zones' CPUs: 4 are had in zone 1 only. Filter takes the best case, terms the worst. */
static void a_pod_that_would_not_fit_at_worst_passes_with_terms_of_0(void **state)
{
    struct fixture f;
    struct node_pod pod;

    ask(&f, SINGLE, POD("'cpu':'4','memory':'1Gi'"));
    give_unplaced(&f, &pod, 1, NULL);
    const struct score_result r = judge(&f);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 0);
    assert_int_equal(r.term[SCORE_LOCALITY], 0);
    assert_int_equal(r.known,
                     1 << SCORE_LOCALITY | 1 << SCORE_FRAGMENTATION | 1 << SCORE_FRESHNESS);
    end(&f);
}

/*
 * a/lost perhaps has CPUs 1 and 2 of zone 0; so 3 are had in zone 1 only, 4 -> 1. At worst it has
 * two of zone 1's, and then not those: 3 -> 0 in zone 0, and the pod gets in.
 *   best   1000 - 1000 * (16 - 1) / (2 * 3 * 4) = 375
 *   worst  1000 - 1000 * (9 - 0) / (2 * 3 * 3) = 500
 */
static void what_it_may_have_is_free_where_it_has_it_elsewhere(void **state)
{
    struct fixture f;
    struct node_pod pod;
    uint64_t cpus = 1U << 1 | 1U << 2;
    const struct node_holding holding = {.container = STR("main"), .cpus = &cpus};

    ask(&f, SINGLE, POD("'cpu':'3','memory':'1Gi'"));
    give_unplaced(&f, &pod, 2, NULL);
    pod.holdings = &holding;
    pod.n_holdings = 1;
    f.node.state.cpu_free[0] &= ~cpus;
    const struct score_result r = judge(&f);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_true(r.interval);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 375);
    end(&f);
}

/*
 * The GPU of zone 0 is a/lost's at worst: the pod takes that of zone 1. Its only GPU is 500 in
 * either. CPUs: 3 -> 2 of 3 at best, 5 / 6 = 833; 4 -> 3 of 4 at worst, 7 / 8 = 875. Less the
 * means: 334 and 313.
 */
static void devices_are_taken_too(void **state)
{
    struct fixture f;
    struct node_pod pod;
    const uint32_t devices[] = {1};

    ask(&f, SINGLE, POD("'cpu':'1','memory':'1Gi','example.com/gpu':'1'"));
    assert_int_equal(judge(&f).term[SCORE_FRAGMENTATION], 334);
    give_unplaced(&f, &pod, 0, devices);
    assert_int_equal(judge(&f).term[SCORE_FRAGMENTATION], 313);
    assert_int_equal(f.node.state.device_held[0], 0); /* the node itself is as it was */
    end(&f);
}

/* a/lost asks for more GPUs than there are: at worst it has both, and no device of another kind. */
static void only_devices_of_the_resource_are_taken(void **state)
{
    struct fixture f;
    struct node_pod pod;
    const uint32_t devices[] = {0, 3}; /* NICs, GPUs */

    ask(&f, WITH_NIC, POD("'cpu':'1','memory':'1Gi','a.com/nic':'1'"));
    give_unplaced(&f, &pod, 0, devices);
    const struct score_result r = judge(&f);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000); /* 0 where it is refused at worst */
    end(&f);
}

static void what_is_known_to_be_placed_costs_nothing(void **state)
{
    struct fixture f;
    struct node_pod pod;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi'"));
    give_unplaced(&f, &pod, 2, NULL);
    pod.placement = NODE_POD_COUNTED; /* in the sums already */
    f.node.n_unplaced = 0;
    assert_int_equal(judge(&f).term[SCORE_FRAGMENTATION], 334);
    assert_false(judge(&f).interval);
    end(&f);
}

static void an_interval_is_judged_in_any_arena_or_not_at_all(void **state)
{
    struct fixture f;
    struct node_pod pod;
    static _Alignas(max_align_t) char room[1 << 15];
    bool fitted = false;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi'"));
    give_unplaced(&f, &pod, 2, NULL);
    for (size_t n = 0; n <= sizeof(room); n += 64) {
        struct score_result r = {.verdict = SCORE_UNKNOWN};
        struct arena a;

        arena_init(&a, room, n);
        const int rc = score_node(&r, f.req, &f.node, &no_clock, &a);
        assert_true(rc == 0 || !fitted);
        fitted = rc == 0;
        assert_int_equal(r.verdict, rc ? SCORE_UNKNOWN : SCORE_ADMITTED);
        assert_int_equal(a.used, 0);
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_case_raises_no_term),
        cmocka_unit_test(at_worst_the_pod_finds_its_zone_taken),
        cmocka_unit_test(a_pod_that_would_not_fit_at_worst_passes_with_terms_of_0),
        cmocka_unit_test(what_it_may_have_is_free_where_it_has_it_elsewhere),
        cmocka_unit_test(devices_are_taken_too),
        cmocka_unit_test(only_devices_of_the_resource_are_taken),
        cmocka_unit_test(what_is_known_to_be_placed_costs_nothing),
        cmocka_unit_test(an_interval_is_judged_in_any_arena_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
