/* SPDX-License-Identifier: Apache-2.0 */
/* One request against one node: verdict, terms, proof. Machines small enough to do on paper. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/proof.h"
#include "tests/support/test.h"
#include "tests/vectors/one_node.h"
#include "topology/cpuset.h"

static void an_admitted_pod_has_its_terms_worked_by_hand(void **state)
{
    struct fixture f;
    struct score_result r;
    struct score_detail d;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'1'"));
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000); /* one zone for CPUs and memory */
    /* CPUs of zone 0: 3 -> 1 of 3, (9 - 1) / (2 * 2 * 3) = 666; its GPU: 1 -> 0, 1 / 2 = 500;
       1000 - 1166 / 2 */
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 417);
    assert_int_equal(r.term[SCORE_FRESHNESS], 500); /* it does not say when it was observed */
    assert_int_equal(r.term[SCORE_DEVICES], 1000);  /* the GPU of the zone that the CPUs are of */
    assert_int_equal(r.known, 1 << SCORE_LOCALITY | 1 << SCORE_DEVICES | 1 << SCORE_FRAGMENTATION |
                                  1 << SCORE_FRESHNESS);
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(d.message.n, 0);
    assert_true(d.containers[0].hinted && d.containers[0].preferred);
    assert_int_equal(d.containers[0].affinity, 1);
    assert_int_equal(d.containers[0].cpus[0], 1 << 1 | 1 << 2); /* 0 is reserved */
    assert_int_equal(d.containers[0].blocks[0].zones, 1);
    assert_int_equal(d.containers[0].devices[0], 1);
    end(&f);
}

static void a_pod_over_two_zones_is_farther_from_its_memory(void **state)
{
    struct fixture f;
    struct score_result r;

    /* 6 CPUs: single zones hold 3 and 4. CPUs 1-3 and 4-6; memory in equal parts:
       E = (3*1*10 + 3*1*21 + 3*1*21 + 3*1*10) / (6*2) = 186/12 = 15.5; 10000/15.5 = 645.2 */
    ask(&f, BEST, POD("'cpu':'6','memory':'10Gi'"));
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    assert_int_equal(r.term[SCORE_LOCALITY], 645);
    end(&f);
}

static void a_refusal_names_what_each_zone_lacks(void **state)
{
    struct fixture f;
    struct score_detail d;

    ask(&f, SINGLE, POD("'cpu':'5','memory':'1Gi','example.com/gpu':'2'"));
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(d.result.verdict, SCORE_REJECTED);
    assert_string_equal(score_reason_text(d.result.reason), "TopologyAffinityError");
    assert_string_equal(d.message.p, "zone 0: cpu needs 5, free 3 of 3; "
                                     "zone 0: example.com/gpu needs 2, free 1 of 1; "
                                     "zone 1: cpu needs 5, free 4 of 4; "
                                     "zone 1: example.com/gpu needs 2, free 1 of 1");
    assert_int_equal(d.result.known, 0);
    assert_null(d.containers);
    assert_int_equal(d.n_would_fit_without, 0);
    end(&f);
}

static void a_width_that_counts_taken_cpus_is_named_as_the_rule(void **state)
{
    struct fixture f;
    struct score_detail d;
    struct node_view *v = &f.node;

    /* 4 CPUs have width 1 (zones of 4), but zone 0 keeps one for the system and zone 1 lost one. */
    ask(&f, RESTRICTED, POD("'cpu':'4','memory':'1Gi'"));
    cpuset_del(v->state.cpu_free, 7);
    assert_int_equal(score_node_explain(&d, f.req, v, &no_clock, &f.a), 0);
    assert_int_equal(d.result.reason, SCORE_TOPOLOGY_AFFINITY_ERROR);
    assert_string_equal(d.message.p,
                        "zone 0: cpu needs 4, free 3 of 3; zone 1: cpu needs 4, free 3 of 4; "
                        "restricted: 1 zone has enough cpu, free or not, so 2 are refused");
    end(&f);
}

static void a_kubelet_error_is_its_own_proof(void **state)
{
    struct fixture f;
    struct score_detail d;

    /* No zones hold 8 CPUs; memory alone is hinted to zone 0, whose 3 CPUs are taken first: the
       kubelet then speaks of the rest only. */
    ask(&f, BEST, POD("'cpu':'8','memory':'1Gi'"));
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_string_equal(score_reason_text(d.result.reason), "UnexpectedAdmissionError");
    assert_string_equal(d.message.p,
                        "Allocate failed due to not enough cpus available to satisfy request: "
                        "requested=5, available=4, which is unexpected; "
                        "zone 0: cpu needs 8, free 3 of 3; zone 1: cpu needs 8, free 4 of 4");
    end(&f);
}

static void a_page_size_the_machine_lacks_is_a_crash(void **state)
{
    struct fixture f;
    struct score_result r;

    ask(&f, SINGLE, POD("'cpu':'1','memory':'1Gi','hugepages-1Gi':'1Gi'"));
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.verdict, SCORE_REJECTED);
    assert_string_equal(score_reason_wire(r.reason), "numawise: KubeletCrash");
    end(&f);
}

static void one_pod_whose_end_would_help_is_named(void **state)
{
    struct fixture f;
    struct score_detail d;
    static const uint64_t cpus[] = {1 << 4 | 1 << 5}, others[] = {1 << 1};
    const struct node_holding small = {.container = STR("c"), .cpus = others},
                              big = {.container = STR("c"), .cpus = cpus};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("small"), .holdings = &small, .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("unplaced"), .placement = NODE_POD_UNPLACED},
        {.ns = STR("ml"), .name = STR("big"), .holdings = &big, .n_holdings = 1},
    };

    ask(&f, SINGLE, POD("'cpu':'4','memory':'1Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 3;
    f.node.n_unplaced = 1;
    f.node.state.cpu_free[0] &= ~(cpus[0] | others[0]);
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(d.result.verdict, SCORE_REJECTED);
    assert_true(d.result.interval);
    assert_int_equal(d.n_would_fit_without, 1);
    assert_string_equal(d.would_fit_without[0].p, "ml/big");
    end(&f);
}

static enum score_reason reason_of(struct fixture *f, const struct score_context *ctx)
{
    struct score_result r;

    assert_int_equal(score_node(&r, f->req, &f->node, ctx, &f->a), 0);
    assert_int_equal(r.verdict, r.reason == SCORE_REASON_NONE ? SCORE_ADMITTED : SCORE_UNKNOWN);
    return r.reason;
}

static void what_is_not_known_is_said_and_not_guessed(void **state)
{
    struct fixture f;
    const struct score_context now = {.now_us = 1000, .max_age_us = 100};

    ask(&f, SINGLE, POD("'cpu':'1','memory':'1Gi'"));
    assert_int_equal(reason_of(&f, &now), SCORE_REASON_NONE);
    f.node.observed_us = 900;
    assert_int_equal(reason_of(&f, &now), SCORE_REASON_NONE);
    f.node.observed_us = 899;
    assert_int_equal(reason_of(&f, &now), SCORE_STALE_TOPOLOGY);
    f.node.observed_us = 0;
    f.pod.has_claims = true;
    assert_int_equal(reason_of(&f, &now), SCORE_NOT_MODELLED);
    f.pod.has_claims = false;
    f.pod.has_pod_level = true;
    assert_int_equal(reason_of(&f, &now), SCORE_NOT_MODELLED);
    f.pod.has_pod_level = false;
    f.node.knowledge = NODE_NO_TOPOLOGY;
    assert_int_equal(reason_of(&f, &now), SCORE_NO_TOPOLOGY);
    f.node.knowledge = NODE_STALE;
    assert_int_equal(reason_of(&f, &now), SCORE_STALE_TOPOLOGY);
    f.node.knowledge = NODE_TOO_MANY_ZONES;
    assert_int_equal(reason_of(&f, &now), SCORE_TOO_MANY_ZONES);
    f.node.knowledge = NODE_NOT_MODELLED;
    assert_int_equal(reason_of(&f, &now), SCORE_NOT_MODELLED);
    end(&f);
}

static void options_that_exclude_each_other_keep_a_kubelet_from_starting(void **state)
{
    struct fixture f;

    ask(&f, SINGLE, POD("'cpu':'1','memory':'1Gi'"));
    assert_null(kubelet_start_error(&f.node));
    f.node.kubelet.max_zones = 7;
    assert_non_null(kubelet_start_error(&f.node));
    f.node.kubelet.max_zones = 8;
    f.node.kubelet.cpu_options = KUBELET_ALIGN_BY_SOCKET;
    assert_non_null(kubelet_start_error(&f.node));
    f.node.kubelet.policy = KUBELET_POLICY_RESTRICTED;
    assert_null(kubelet_start_error(&f.node));
    f.node.kubelet.cpu_options = KUBELET_DISTRIBUTE_ACROSS_CORES | KUBELET_FULL_PCPUS_ONLY;
    assert_non_null(kubelet_start_error(&f.node));
    f.node.kubelet.cpu_options = KUBELET_ALIGN_BY_UNCORECACHE | KUBELET_DISTRIBUTE_ACROSS_NUMA;
    assert_non_null(kubelet_start_error(&f.node));
    f.node.kubelet.cpu_static = false; /* options of a policy that is off do not count */
    assert_null(kubelet_start_error(&f.node));
    end(&f);
}

static void what_is_reserved_must_be_known_before_it_can_be_missing(void **state)
{
    struct fixture f;
    static const uint64_t none[] = {0};

    ask(&f, SINGLE, POD("'cpu':'1','memory':'1Gi'"));
    f.node.cpu_reserved = none;
    assert_non_null(kubelet_start_error(&f.node));
    f.node.assumed = NODE_ASSUMED_RESERVED;
    assert_null(kubelet_start_error(&f.node));
    end(&f);
}

/* Whatever room there is: an answer, or -ENOMEM without a trace in node or arena. */
static void a_node_is_judged_in_any_arena_or_not_at_all(void **state)
{
    struct fixture f;
    static _Alignas(max_align_t) char room[1 << 15];
    bool fitted = false;

    ask(&f, SINGLE, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'1'"));
    for (size_t n = 0; n <= sizeof(room); n += 64) {
        struct score_result r = {.verdict = SCORE_UNKNOWN};
        struct arena a;

        arena_init(&a, room, n);
        if (score_node(&r, f.req, &f.node, &no_clock, &a) == 0) {
            assert_int_equal(r.verdict, SCORE_ADMITTED);
            fitted = true;
        } else {
            assert_int_equal(r.verdict, SCORE_UNKNOWN);
            assert_false(fitted);
        }
        assert_int_equal(a.used, 0);
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

static void an_explanation_needs_room_or_says_so(void **state)
{
    struct fixture f;
    static _Alignas(max_align_t) char room[1 << 15];
    bool fitted = false;

    ask(&f, SINGLE, POD("'cpu':'5','memory':'1Gi'"));
    for (size_t n = 0; n <= sizeof(room); n += 64) {
        struct score_detail d = {.result = {.interval = true}};
        struct arena a;

        arena_init(&a, room, n);
        if (score_node_explain(&d, f.req, &f.node, &no_clock, &a) == 0) {
            assert_true(d.message.n > 0);
            fitted = true;
        } else {
            assert_true(d.result.interval);
            assert_false(fitted);
        }
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_admitted_pod_has_its_terms_worked_by_hand),
        cmocka_unit_test(a_pod_over_two_zones_is_farther_from_its_memory),
        cmocka_unit_test(a_refusal_names_what_each_zone_lacks),
        cmocka_unit_test(a_width_that_counts_taken_cpus_is_named_as_the_rule),
        cmocka_unit_test(a_kubelet_error_is_its_own_proof),
        cmocka_unit_test(a_page_size_the_machine_lacks_is_a_crash),
        cmocka_unit_test(one_pod_whose_end_would_help_is_named),
        cmocka_unit_test(what_is_not_known_is_said_and_not_guessed),
        cmocka_unit_test(options_that_exclude_each_other_keep_a_kubelet_from_starting),
        cmocka_unit_test(what_is_reserved_must_be_known_before_it_can_be_missing),
        cmocka_unit_test(a_node_is_judged_in_any_arena_or_not_at_all),
        cmocka_unit_test(an_explanation_needs_room_or_says_so),
    };

    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
