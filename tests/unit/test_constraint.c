/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy or the pod itself forbids, on machines small enough to do on paper. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/constraint.h"
#include "scoring/evaluate.h"
#include "scoring/policy.h"
#include "scoring/shape.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"
#include "topology/cpuset.h"

enum { ROOM = 1 << 20 };

/*
 * Three zones of 8 CPUs without SMT (0-7, 8-15, 16-23) on three sockets, CPU 0 reserved; distances
 * 0-1 21, 0-2 21, 1-2 31; a GPU in each of zones 0 and 1.
 */
#define CORE(s, c)           "{'socket':" #s ",'uncore':" #s ",'cpus':[" #c "]}"
#define CORES(s, a, b, c, d) CORE(s, a) "," CORE(s, b) "," CORE(s, c) "," CORE(s, d)
#define ZONE(id, distances, cores)                                                                 \
    "{'id':" id ",'distances':[" distances "],'cores':[" cores "],"                                \
    "'memory':{'total':17179869184,'reserved':1073741824}}"
#define ZONE_0 ZONE("0", "10,21,21", CORES(0, 0, 1, 2, 3) "," CORES(0, 4, 5, 6, 7))
#define ZONE_1 ZONE("1", "21,10,31", CORES(1, 8, 9, 10, 11) "," CORES(1, 12, 13, 14, 15))
#define ZONE_4 ZONE("4", "21,31,10", CORES(2, 16, 17, 18, 19) "," CORES(2, 20, 21, 22, 23))
#define GPU(id, zone)                                                                              \
    "{'resource':'example.com/gpu','id':'" id "','zones':[" zone "],'healthy':true}"
#define NODE(kubelet)                                                                              \
    "{'zones':[" ZONE_0 "," ZONE_1 "," ZONE_4                                                      \
    "],'devices':[" GPU("g0", "0") "," GPU("g1", "1") "],'kubelet':{" kubelet                      \
                                                      ",'reservedCPUs':'0'}}"
#define BEST NODE("'topologyManagerPolicy':'best-effort','cpuManagerPolicy':'static'")
#define NONE NODE("'topologyManagerPolicy':'none','cpuManagerPolicy':'none'")

#define POD(limits) "{'uid':'p','containers':[{'name':'main','limits':{" limits "}}]}"

struct fixture {
    struct arena a;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    struct score_rules rules;
    json_t *node_json, *pod_json;
    char *room;
};

static void ask(struct fixture *f, const char *node, const char *pod)
{
    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, node, &f->node_json, &f->a);
    vector_pod_text(&f->pod, pod, &f->pod_json, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
    score_rules_default(&f->rules, score_request_qos(f->req));
    score_request_rule(f->req, &f->rules);
}

static void end(struct fixture *f)
{
    json_decref(f->node_json);
    json_decref(f->pod_json);
    arena_rewind(&f->a, 0);
    free(f->room);
}

/* The verdict of both doors; a rejection's reason and words. */
static void expect(struct fixture *f, enum score_reason reason, const char *message)
{
    const struct score_context no_clock = {0};
    struct score_result r;
    struct score_detail d;

    assert_int_equal(score_node(&r, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(score_node_explain(&d, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(r.reason, reason);
    assert_int_equal(d.result.reason, reason);
    assert_int_equal(r.verdict, reason == SCORE_REASON_NONE ? SCORE_ADMITTED : SCORE_REJECTED);
    assert_int_equal(d.result.verdict, r.verdict);
    assert_string_equal(d.message.n ? d.message.p : "", message);
    assert_int_equal(r.known != 0, r.verdict == SCORE_ADMITTED);
}

/* --- CrossAccess --- */

static void a_few_cpus_from_elsewhere_are_no_cross_access(void **state)
{
    struct fixture f;

    /* 12 CPUs: zones have 7, 8, 8; 8 of one and 4 of another; memory where the CPUs are:
       far = 2 * 8 * 4 / 144 = 44.4% */
    ask(&f, BEST, POD("'cpu':'12','memory':'1Gi'"));
    f.rules.cross_percent = 15;
    f.rules.steal_threshold = 4;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.steal_threshold = 3;
    expect(&f, SCORE_CROSS_ACCESS,
           "4 of 12 CPUs are outside zone 1, 3 may be; 44.5% of the accesses cross zones, 15% may");
    f.rules.cross_percent = 44; /* 44.4 is more */
    expect(&f, SCORE_CROSS_ACCESS,
           "4 of 12 CPUs are outside zone 1, 3 may be; 44.5% of the accesses cross zones, 44% may");
    f.rules.cross_percent = 45;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.cross_percent = POLICY_NONE;
    f.rules.steal_threshold = 0;
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

static void containers_that_are_each_local_do_not_cross(void **state)
{
    struct fixture f;

    ask(&f, BEST,
        "{'uid':'p','containers':[{'name':'a','limits':{'cpu':'8','memory':'1Gi'}},"
        "{'name':'b','limits':{'cpu':'8','memory':'1Gi'}}]}");
    f.rules.cross_percent = 0;
    f.rules.steal_threshold = 0;
    expect(&f, SCORE_REASON_NONE, ""); /* eight in zone 1, eight in zone 4, no access crosses */
    end(&f);
}

static void a_pod_on_the_shared_pool_cannot_be_said_to_cross(void **state)
{
    struct fixture f;

    ask(&f, NONE, POD("'cpu':'12','memory':'1Gi'"));
    f.rules.cross_percent = 0;
    f.rules.steal_threshold = 0;
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

/* --- AllowedDistance --- */

static void zones_may_only_be_so_far_apart(void **state)
{
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'16','memory':'1Gi'")); /* zones 1 and 4: both are whole */
    f.rules.allowed_distance = 31;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.allowed_distance = 30;
    expect(&f, SCORE_ALLOWED_DISTANCE, "zones 1 and 4 are 31 apart, 30 may be");
    f.rules.allowed_distance = 0;
    expect(&f, SCORE_ALLOWED_DISTANCE, "zones 1 and 4 are 31 apart, 10 may be");
    f.rules.allowed_distance = 10;
    expect(&f, SCORE_ALLOWED_DISTANCE, "zones 1 and 4 are 31 apart, 10 may be");
    end(&f);
    ask(&f, BEST, POD("'cpu':'8','memory':'1Gi'"));
    f.rules.allowed_distance = 0;
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

/* --- NumaPolicy --- */

static void a_pod_may_ask_for_fewer_zones_than_its_kubelet_cares_for(void **state)
{
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'16','memory':'1Gi'"));
    f.rules.numa = HINT_NUMA_SINGLE;
    expect(&f, SCORE_NUMA_POLICY, "the pod would use zones 1,4 (numa-policy: single)");
    f.rules.numa = HINT_NUMA_SPAN;
    f.rules.span = 2;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.span = 1;
    expect(&f, SCORE_NUMA_POLICY, "the pod would use zones 1,4 (numa-policy: span<=1)");
    /* zones 0 and 1, or 0 and 4, are 21 apart, these 31 */
    f.rules.numa = HINT_NUMA_CLOSEST;
    expect(&f, SCORE_NUMA_POLICY, "the pod would use zones 1,4 (numa-policy: closest)");
    end(&f);
    ask(&f, BEST, POD("'cpu':'15','memory':'1Gi'"));
    for (uint32_t c = 16; c < 18; c++)
        cpuset_del(f.node.state.cpu_free, c);
    f.rules.numa = HINT_NUMA_CLOSEST; /* 7 of zone 0 and 8 of zone 1 */
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

static void who_floats_uses_every_zone_of_the_pool(void **state)
{
    struct fixture f;

    ask(&f, NONE, POD("'cpu':'2','memory':'1Gi'"));
    f.rules.numa = HINT_NUMA_SINGLE;
    expect(&f, SCORE_NUMA_POLICY,
           "the pod would use zones 0,1,4 (numa-policy: single); "
           "a container without CPUs of its own runs wherever the shared pool is");
    end(&f);
    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi'"));
    f.rules.numa = HINT_NUMA_SINGLE;
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

static void gpus_that_must_have_a_nic_are_refused_where_none_can(void **state)
{
    const struct node_nic far[] = {{.name = STR("eth0"), .zones = 1 << 2}};
    static const uint8_t links[] = {TOPO_LINK_ROOT, TOPO_LINK_FAR, TOPO_LINK_FAR, TOPO_LINK_ROOT};
    struct node_device devices[2];
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'1'"));
    memcpy(devices, f.node.devices, sizeof(devices));
    devices[0].kind = devices[1].kind = NODE_DEVICE_GPU;
    f.node.devices = devices;
    f.node.nics = far;
    f.node.n_nics = 1;
    f.rules.gpu_nic = SCORE_GPU_NIC_REQUIRE;
    expect(&f, SCORE_NUMA_POLICY,
           "no choice of devices gives each GPU a NIC below its root (gpu-nic-affinity: require)");
    f.rules.gpu_nic = SCORE_GPU_NIC_PREFER;
    expect(&f, SCORE_REASON_NONE, "");
    struct node_nic near = far[0];
    near.place = devices[0].place = 1;
    devices[1].place = 2;
    f.node.nics = &near;
    f.node.links = links;
    f.node.n_places = 2;
    f.rules.gpu_nic =
        SCORE_GPU_NIC_REQUIRE; /* GPU 0 is below the NIC's root, and its zone is hit */
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

/* --- NumaExclusive --- */

static void who_must_be_alone_needs_zones_nobody_holds(void **state)
{
    static const uint64_t cpus[] = {1 << 8 | 1 << 9};
    const struct node_holding held = {.container = STR("c"), .cpus = cpus};
    struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("other"), .holdings = &held, .n_holdings = 1}};
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'7','memory':'1Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 1;
    f.node.state.cpu_free[0] &= ~cpus[0];
    f.rules.numa_exclusive = true;
    expect(&f, SCORE_REASON_NONE, ""); /* 7 of zone 0 */
    end(&f);
    ask(&f, BEST, POD("'cpu':'12','memory':'1Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 1;
    f.node.state.cpu_free[0] &= ~cpus[0];
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.numa_exclusive = true; /* 8 of zone 4 and 4 of another: by the kubelet zone 1 */
    expect(&f, SCORE_NUMA_EXCLUSIVE, "zone 1: held by ml/other");
    f.node.n_pods = 0;
    expect(&f, SCORE_NUMA_EXCLUSIVE, "zone 1: held by a pod that is not known");
    end(&f);
}

static void nobody_comes_to_who_must_be_alone(void **state)
{
    static const uint64_t cpus[] = {0xff00};
    const struct node_holding held = {.container = STR("c"), .cpus = cpus};
    struct node_pod pods[] = {{.ns = STR("ml"),
                               .name = STR("alone"),
                               .exclusive = true,
                               .holdings = &held,
                               .n_holdings = 1}};
    struct score_detail d;
    const struct score_context no_clock = {0};
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'2'"));
    f.node.pods = pods;
    f.node.n_pods = 1;
    f.node.state.cpu_free[0] &= ~cpus[0];
    f.node.exclusive_zones = node_exclusive_zones(&f.node);
    assert_int_equal(f.node.exclusive_zones, 1 << 1);
    /* the second GPU is in zone 1, and nowhere else */
    expect(&f, SCORE_NUMA_EXCLUSIVE, "zone 1: held by ml/alone, which must be alone");
    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(d.n_would_fit_without, 1);
    assert_string_equal(d.would_fit_without[0].p, "ml/alone");
    end(&f);
    /* who holds nothing comes everywhere */
    ask(&f, NONE, POD("'cpu':'2'"));
    f.node.exclusive_zones = 7;
    expect(&f, SCORE_REASON_NONE, "");
    end(&f);
}

/* --- NetworkBandwidth --- */

#define GBIT UINT64_C(1000000000)

static void bandwidth_must_fit_what_requests_have_left(void **state)
{
    const struct node_nic nics[] = {{.name = STR("eth0"), .zones = 1, .capacity = 10 * GBIT},
                                    {.name = STR("eth1"), .zones = 2, .capacity = 25 * GBIT},
                                    {.name = STR("eth2"), .zones = 2}};
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi'"));
    f.rules.network[NODE_EGRESS] = 20 * GBIT;
    expect(&f, SCORE_REASON_NONE, ""); /* nobody says how fast the node is */
    f.node.nics = nics;
    f.node.n_nics = 3;
    expect(&f, SCORE_REASON_NONE, "");
    f.node.network_shared[NODE_EGRESS] = 16 * GBIT;
    expect(&f, SCORE_NETWORK_BANDWIDTH, "network: egress needs 20G, free 19G of 35G");
    f.node.network_shared[NODE_EGRESS] = 0;
    f.rules.network[NODE_INGRESS] = 30 * GBIT;
    expect(&f, SCORE_NETWORK_BANDWIDTH,
           "network: ingress needs 30G, free 35G of 35G; "
           "the fastest port has 25G");
    end(&f);
}

static void bandwidth_is_spread_over_the_ports_a_pod_takes(void **state)
{
    struct node_nic nics[] = {{.name = STR("mlx5_0"), .zones = 1, .capacity = 10 * GBIT},
                              {.name = STR("mlx5_1"), .zones = 2, .capacity = 10 * GBIT}};
    struct node_device devices[2];
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'2'"));
    memcpy(devices, f.node.devices, sizeof(devices)); /* call them ports */
    for (uint32_t i = 0; i < 2; i++) {
        devices[i].kind = NODE_DEVICE_NIC;
        devices[i].nic = (uint16_t)(i + 1);
    }
    f.node.devices = devices;
    f.node.nics = nics;
    f.node.n_nics = 2;
    f.rules.network[NODE_INGRESS] = 20 * GBIT;
    expect(&f, SCORE_REASON_NONE, "");
    nics[1].allocated[NODE_INGRESS] = GBIT;
    expect(&f, SCORE_NETWORK_BANDWIDTH,
           "mlx5_0: ingress needs 10G, free 10G of 10G; "
           "mlx5_1: ingress needs 10G, free 9G of 10G");
    end(&f);
    /* one of two: the best case is the one with room */
    ask(&f, NONE, POD("'cpu':'2','memory':'1Gi','example.com/gpu':'1'"));
    f.node.devices = devices;
    f.node.nics = nics;
    f.node.n_nics = 2;
    f.rules.network[NODE_INGRESS] = 10 * GBIT;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.network[NODE_INGRESS] = 10 * GBIT + 1;
    expect(&f, SCORE_NETWORK_BANDWIDTH,
           "mlx5_0: ingress needs 10000000001, free 10G of 10G; "
           "mlx5_1: ingress needs 10000000001, free 9G of 10G");
    end(&f);
}

/* --- limits --- */

static void limits_hold_on_every_node_whatever_is_known_of_it(void **state)
{
    const struct score_context clock = {.now_us = 1000, .max_age_us = 1};
    struct score_result r;
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi'"));
    f.rules.locks = 101;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.max_locks = 101;
    expect(&f, SCORE_REASON_NONE, "");
    f.rules.max_locks = 100;
    expect(&f, SCORE_LOCK_LIMIT, "max-locks is 101, the QoS class may have 100");
    f.rules.locks = 0;
    f.rules.max_goroutines = 5;
    f.rules.goroutines = 6;
    expect(&f, SCORE_GOROUTINE_LIMIT, "max-goroutines is 6, the QoS class may have 5");
    f.node.knowledge = NODE_NO_TOPOLOGY;
    expect(&f, SCORE_GOROUTINE_LIMIT, "max-goroutines is 6, the QoS class may have 5");
    f.node.knowledge = NODE_KNOWN;
    f.node.observed_us = 1;
    assert_int_equal(score_node(&r, f.req, &f.node, &clock, &f.a), 0);
    assert_int_equal(r.verdict, SCORE_REJECTED);
    end(&f);
}

/* --- preferred zones, shape --- */

static void work_away_from_preferred_zones_is_less_local(void **state)
{
    static const int64_t four[] = {4, 7}; /* there is no zone 7 */
    const struct score_context no_clock = {0};
    struct score_result r;
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'7','memory':'1Gi'"));
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000);
    f.rules.preferred_zones = four;
    f.rules.n_preferred_zones = 2;
    /* all in zone 0, which is 21 from zone 4: 10 + 11 = 21; 10000 / 21 = 476.2 */
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_LOCALITY], 476);
    f.rules.preferred_zones = four + 1;
    f.rules.n_preferred_zones = 1;
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_LOCALITY], 1000);
    end(&f);
}

static struct str shape(struct fixture *f)
{
    struct str s;

    assert_int_equal(score_shape(&s, f->req, &f->a), 0);
    return s;
}

/* Whatever of the rules an answer depends on is in the key under which it is remembered. */
static void every_rule_is_part_of_the_shape(void **state)
{
    static const int64_t zones[] = {1, 2};
    struct fixture f;

    ask(&f, BEST, POD("'cpu':'2','memory':'1Gi'"));
    const struct str plain = shape(&f);
    const struct score_rules same = f.rules;
    assert_true(str_eq(plain, shape(&f)));
    f.rules.numa_exclusive = true;
    assert_false(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.cross_percent = 15;
    assert_false(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.steal_threshold++;
    assert_false(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.allowed_distance = 0;
    assert_false(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.preferred_zones = zones, f.rules.n_preferred_zones = 2;
    const struct str two = shape(&f);
    assert_false(str_eq(plain, two));
    f.rules.n_preferred_zones = 1;
    assert_false(str_eq(two, shape(&f)));
    f.rules = same, f.rules.numa = HINT_NUMA_SPAN, f.rules.span = 2;
    const struct str span = shape(&f);
    assert_false(str_eq(plain, span));
    f.rules.span = 3;
    assert_false(str_eq(span, shape(&f)));
    f.rules = same, f.rules.gpu_nic = SCORE_GPU_NIC_NONE;
    assert_false(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.network[NODE_INGRESS] = 1;
    const struct str in = shape(&f);
    assert_false(str_eq(plain, in));
    f.rules = same, f.rules.network[NODE_EGRESS] = 1;
    assert_false(str_eq(plain, shape(&f)) || str_eq(in, shape(&f)));
    f.rules = same, f.rules.locks = 2, f.rules.max_locks = 1;
    assert_false(str_eq(plain, shape(&f)));
    f.rules.max_locks = 2; /* within the limit: as if nothing were said */
    assert_true(str_eq(plain, shape(&f)));
    f.rules = same, f.rules.goroutines = 2, f.rules.max_goroutines = 1;
    assert_false(str_eq(plain, shape(&f)));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_cpus_from_elsewhere_are_no_cross_access),
        cmocka_unit_test(containers_that_are_each_local_do_not_cross),
        cmocka_unit_test(a_pod_on_the_shared_pool_cannot_be_said_to_cross),
        cmocka_unit_test(zones_may_only_be_so_far_apart),
        cmocka_unit_test(a_pod_may_ask_for_fewer_zones_than_its_kubelet_cares_for),
        cmocka_unit_test(who_floats_uses_every_zone_of_the_pool),
        cmocka_unit_test(gpus_that_must_have_a_nic_are_refused_where_none_can),
        cmocka_unit_test(who_must_be_alone_needs_zones_nobody_holds),
        cmocka_unit_test(nobody_comes_to_who_must_be_alone),
        cmocka_unit_test(bandwidth_must_fit_what_requests_have_left),
        cmocka_unit_test(bandwidth_is_spread_over_the_ports_a_pod_takes),
        cmocka_unit_test(limits_hold_on_every_node_whatever_is_known_of_it),
        cmocka_unit_test(work_away_from_preferred_zones_is_less_local),
        cmocka_unit_test(every_rule_is_part_of_the_shape),
    };

    return cmocka_run_group_tests_name("constraint", tests, NULL, NULL);
}
