/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals for which it does not do to say what each zone lacks: the rules of the Topology Manager.
 * Three zones 0, 1 and 3 of 4 CPUs (CPU 0 is reserved) and 7 GiB; 4 MiB of huge pages in 0 and 1;
 * two GPUs in 0 and one in 1; a NIC in 3; a wide device in 0 and 1, another one in 1.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"
#include "topology/cpuset.h"

enum { ROOM = 1 << 20, TYPES = 2 };
static const uint64_t GI = UINT64_C(1) << 30, MI = 1 << 20;

#define CORE(id, cpu) "{'socket':" id ",'uncore':" id ",'cpus':[" cpu "]}"
#define CORES(id, a, b, c, d)                                                                      \
    "'cores':[" CORE(id, a) "," CORE(id, b) "," CORE(id, c) "," CORE(id, d) "]"
#define ZONE(id, cores, pages)                                                                     \
    "{'id':" id ",'distances':[10,10,10]," cores                                                   \
    ",'memory':{'total':8594128896,'reserved':1073741824},"                                        \
    "'hugepages':{'hugepages-2Mi':{'total':" pages ",'reserved':0}}}"
#define ZONE_0 ZONE("0", CORES("0", "0", "1", "2", "3"), "4194304")
#define ZONE_1 ZONE("1", CORES("1", "4", "5", "6", "7"), "4194304")
#define ZONE_3 ZONE("3", CORES("3", "8", "9", "10", "11"), "0")
#define DEVICE(resource, id, zones)                                                                \
    "{'resource':'x.com/" resource "','id':'" id "','zones':[" zones "],'healthy':true}"
#define GPUS DEVICE("gpu", "g0", "0") "," DEVICE("gpu", "g1", "0") "," DEVICE("gpu", "g2", "1")
#define WIDE DEVICE("wide", "w", "0,1") "," DEVICE("wide", "x", "1")
#define NODE(policy)                                                                               \
    "{'zones':[" ZONE_0 "," ZONE_1 "," ZONE_3 "],"                                                 \
    "'devices':[" GPUS                                                                             \
    "," DEVICE("nic", "n", "3") "," WIDE "],"                                                      \
                                "'kubelet':{'topologyManagerPolicy':'" policy                      \
                                "','cpuManagerPolicy':'static',"                                   \
                                "'memoryManagerPolicy':'Static','reservedCPUs':'0'}}"
#define C(name, limits) "{'name':'" name "','limits':{" limits "}}"
#define POD(limits)     "{'uid':'p','containers':[" C("main", limits) "]}"
#define INIT(init, main)                                                                           \
    "{'uid':'p','initContainers':[" C("i", init) "],'containers':[" C("main", main) "]}"

static struct fixture {
    struct arena a;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    json_t *node_json, *pod_json;
    char *room;
} f;

static void ask(const char *node, const char *pod)
{
    vector_node_text(&f.node, node, &f.node_json, &f.a);
    vector_pod_text(&f.pod, pod, &f.pod_json, &f.a);
    assert_int_equal(score_request_init(&f.req, &f.pod, &f.a, NULL), 0);
}

static int setup(void **state)
{
    f = (struct fixture){.room = malloc(ROOM)};
    arena_init(&f.a, f.room, ROOM);
    return f.room ? 0 : -1;
}

static int teardown(void **state)
{
    json_decref(f.node_json);
    json_decref(f.pod_json);
    arena_rewind(&f.a, 0);
    free(f.room);
    return 0;
}

static void expect(const char *message)
{
    const struct score_context no_clock = {0};
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(d.result.reason, SCORE_TOPOLOGY_AFFINITY_ERROR);
    assert_string_equal(d.message.p, message);
}

static void take_cpu(uint32_t cpu)
{
    cpuset_del(f.node.state.cpu_free, cpu);
}

/* --- the width counts what is there, free or not --- */

/* 7 of 4 + 4 are two zones; with a CPU less in each, only three have so many. */
static void more_zones_than_would_do_on_an_empty_machine_are_refused(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'7','memory':'1Gi'"));
    take_cpu(4);
    take_cpu(8);
    expect("zone 0: cpu needs 7, free 3 of 3; zone 1: cpu needs 7, free 3 of 4; "
           "zone 3: cpu needs 7, free 3 of 4; "
           "restricted: 2 zones have enough cpu, free or not, so 3 are refused");
}

static void the_width_of_memory_is_that_of_all_its_types(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'1','memory':'1Gi','hugepages-2Mi':'4Mi'"));
    f.node.state.memory_free[0 * TYPES + 1] = 2 * MI;
    f.node.state.memory_free[1 * TYPES + 1] = 2 * MI;
    expect("zone 0: hugepages-2Mi needs 4194304, free 2097152 of 4194304; "
           "zone 1: hugepages-2Mi needs 4194304, free 2097152 of 4194304; "
           "zone 3: hugepages-2Mi needs 4194304, free 0 of 0; "
           "restricted: 1 zone has enough hugepages-2Mi and memory, free or not, so 2 are refused");
}

static void the_width_of_devices_counts_held_ones(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'1','memory':'1Gi','x.com/gpu':'2'"));
    cpuset_add(f.node.state.device_held, 0);
    expect("zone 0: x.com/gpu needs 2, free 1 of 2; zone 1: x.com/gpu needs 2, free 1 of 1; "
           "zone 3: x.com/gpu needs 2, free 0 of 0; "
           "restricted: 1 zone has enough x.com/gpu, free or not, so 2 are refused");
}

static void the_same_under_single_numa_node_is_no_matter_of_width(void **state)
{
    ask(NODE("single-numa-node"), POD("'cpu':'4','memory':'1Gi'"));
    take_cpu(4);
    take_cpu(8);
    expect("zone 0: cpu needs 4, free 3 of 3; zone 1: cpu needs 4, free 3 of 4; "
           "zone 3: cpu needs 4, free 3 of 4");
}

/* --- all zones together --- */

static void what_all_zones_together_lack_is_told_of_them_together(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'12','memory':'1Gi'"));
    expect("zone 0: cpu needs 12, free 3 of 3; zone 1: cpu needs 12, free 4 of 4; "
           "zone 3: cpu needs 12, free 4 of 4; zones 0,1,3 together: cpu needs 12, free 11 of 11");
}

/* Devices only of the zones that have any; 4 GPUs are nowhere. */
static void devices_are_told_of_the_zones_that_have_them(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'1','memory':'1Gi','x.com/gpu':'4'"));
    cpuset_add(f.node.state.device_held, 0);
    expect("zone 0: x.com/gpu needs 4, free 1 of 2; zone 1: x.com/gpu needs 4, free 1 of 1; "
           "zone 3: x.com/gpu needs 4, free 0 of 0; "
           "zones 0,1 together: x.com/gpu needs 4, free 2 of 3");
}

/* Two cannot be told together: the resource is in one zone, which says so itself. */
static void of_one_zone_nothing_is_told_twice(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'1','memory':'1Gi','x.com/nic':'2'"));
    expect("zone 0: x.com/nic needs 2, free 0 of 0; zone 1: x.com/nic needs 2, free 0 of 0; "
           "zone 3: x.com/nic needs 2, free 1 of 1");
}

/* Devices that lie in several zones do not add up: nothing is claimed of them. */
static void of_devices_of_several_zones_no_width_is_told(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'1','memory':'1Gi','x.com/wide':'3'"));
    expect("zone 0: x.com/wide needs 3, free 1 of 1; zone 1: x.com/wide needs 3, free 2 of 2; "
           "zone 3: x.com/wide needs 3, free 0 of 0");
}

/* --- the same zones for all --- */

static void resources_of_different_width_are_told_with_their_widths(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'2','memory':'15Gi','x.com/gpu':'3'"));
    expect("zone 0: memory needs 16106127360, free 7516192768 of 7516192768; "
           "zone 0: x.com/gpu needs 3, free 2 of 2; "
           "zone 1: memory needs 16106127360, free 7516192768 of 7516192768; "
           "zone 1: x.com/gpu needs 3, free 1 of 1; "
           "zone 3: memory needs 16106127360, free 7520387072 of 7520387072; "
           "zone 3: x.com/gpu needs 3, free 0 of 0; "
           "restricted: all must take the same zones, but cpu takes 1, memory takes 3, "
           "x.com/gpu takes 2");
}

/* Two zones each: GPUs in 0 and 1, CPUs in 1 and 3. */
static void resources_of_one_width_may_still_have_no_zones_in_common(void **state)
{
    ask(NODE("restricted"), POD("'cpu':'5','memory':'9Gi','x.com/gpu':'3'"));
    for (uint32_t c = 1; c < 4; c++)
        take_cpu(c);
    expect("zone 0: cpu needs 5, free 0 of 3; "
           "zone 0: memory needs 9663676416, free 7516192768 of 7516192768; "
           "zone 0: x.com/gpu needs 3, free 2 of 2; zone 1: cpu needs 5, free 4 of 4; "
           "zone 1: memory needs 9663676416, free 7516192768 of 7516192768; "
           "zone 1: x.com/gpu needs 3, free 1 of 1; zone 3: cpu needs 5, free 4 of 4; "
           "zone 3: memory needs 9663676416, free 7520387072 of 7520387072; "
           "zone 3: x.com/gpu needs 3, free 0 of 0; "
           "restricted: no set of zones is preferred by every resource at once");
}

/* --- init containers --- */

static void cpus_that_an_init_container_leaves_are_named(void **state)
{
    static const char pod[] = INIT("'cpu':'1','memory':'1Gi'", "'cpu':'4','memory':'1Gi'");
    static const char want[] = "zone 0: cpu needs 4, free 2 of 3; "
                               "cpu: the init containers leave CPUs in zone 0, which any set of "
                               "zones must hold";

    ask(NODE("restricted"), pod);
    expect(want);
    json_decref(f.node_json);
    json_decref(f.pod_json);
    ask(NODE("single-numa-node"), pod);
    expect(want);
}

/* What it leaves is free for the next: with it, zone 0 has the 3 that are needed. */
static void what_an_init_container_leaves_counts_as_free(void **state)
{
    ask(NODE("restricted"), INIT("'cpu':'3','memory':'1Gi'", "'cpu':'8','memory':'1Gi'"));
    take_cpu(4);
    expect("zone 0: cpu needs 8, free 0 of 3; zone 1: cpu needs 8, free 3 of 4; "
           "zone 3: cpu needs 8, free 4 of 4; "
           "restricted: 2 zones have enough cpu, free or not, so 3 are refused");
}

/* --- who is told of --- */

static void of_two_containers_the_first_that_was_refused_is_told_of(void **state)
{
    ask(NODE("single-numa-node"),
        "{'uid':'p','containers':[" C("a", "'cpu':'5','memory':'1Gi'") "," C(
            "b", "'cpu':'6','memory':'1Gi'") "]}");
    expect("zone 0: cpu needs 5, free 3 of 3; zone 1: cpu needs 5, free 4 of 4; "
           "zone 3: cpu needs 5, free 4 of 4");
}

/* A pod whose memory lies in zone 3 has nothing to do with the group of 0 and 1. */
static void only_those_with_memory_in_the_group_hold_it(void **state)
{
    const struct node_block apart = {4, 0, GI}, small = {3, 0, GI};
    const struct node_holding h[] = {{.blocks = &apart, .n_blocks = 1},
                                     {.blocks = &small, .n_blocks = 1}};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("apart"), .holdings = &h[0], .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("small"), .holdings = &h[1], .n_holdings = 1}};

    ask(NODE("single-numa-node"), POD("'cpu':'1','memory':'7Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 2;
    f.node.state.cells[0] = f.node.state.cells[1] = 3;
    f.node.state.assignments[0] = f.node.state.assignments[1] = f.node.state.assignments[2] = 1;
    f.node.state.memory_free[0] -= GI;
    f.node.state.memory_reserved[0] += GI;
    f.node.state.memory_free[2 * TYPES] -= GI;
    f.node.state.memory_reserved[2 * TYPES] += GI;
    expect("zone 0: memory needs 7516192768, free 6442450944 of 7516192768; "
           "zone 3: memory needs 7516192768, free 6446645248 of 7520387072; "
           "zone 0: memory is in a group with zone 1, held by ml/small");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(more_zones_than_would_do_on_an_empty_machine_are_refused),
        T(the_width_of_memory_is_that_of_all_its_types),
        T(the_width_of_devices_counts_held_ones),
        T(the_same_under_single_numa_node_is_no_matter_of_width),
        T(what_all_zones_together_lack_is_told_of_them_together),
        T(devices_are_told_of_the_zones_that_have_them),
        T(of_one_zone_nothing_is_told_twice),
        T(of_devices_of_several_zones_no_width_is_told),
        T(resources_of_different_width_are_told_with_their_widths),
        T(resources_of_one_width_may_still_have_no_zones_in_common),
        T(cpus_that_an_init_container_leaves_are_named),
        T(what_an_init_container_leaves_counts_as_free),
        T(of_two_containers_the_first_that_was_refused_is_told_of),
        T(only_those_with_memory_in_the_group_hold_it),
    };

    return cmocka_run_group_tests_name("proof_rules", tests, NULL, NULL);
}
