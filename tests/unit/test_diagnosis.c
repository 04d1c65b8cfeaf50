/* SPDX-License-Identifier: Apache-2.0 */
/* What `check` tells of a node: two zones of four CPUs and 7 GiB, memory manager Static. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "decide/diagnosis.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 20 };

#define ZONE(id, first)                                                                            \
    "{'id':" #id ",'distances':[10,21],'cores':[{'socket':" #id ",'uncore':" #id                   \
    ",'cpus':[" #first "]},{'socket':" #id ",'uncore':" #id ",'cpus':[1" #first "]}],"             \
    "'memory':{'total':8589934592,'reserved':1073741824},"                                         \
    "'hugepages':{'hugepages-2Mi':{'total':0,'reserved':0}}}"
#define NODE(scope)                                                                                \
    "{'zones':[" ZONE(0, 0) "," ZONE(                                                              \
        1, 1) "],'devices':[{'resource':'x.com/gpu','id':'g0',"                                    \
              "'zones':[0],'healthy':true}],'kubelet':{'topologyManagerPolicy':'best-effort',"     \
              "'topologyManagerScope':'" scope "','cpuManagerPolicy':'static','reservedCPUs':'0'," \
              "'memoryManagerPolicy':'Static'}}"

static const uint64_t GiB = UINT64_C(1) << 30;

static struct fixture {
    struct arena a;
    struct node_view node;
    json_t *json;
    char *room;
    struct buf told; /* "kind: text\n" each */
} f;

static int setup(void **state)
{
    f = (struct fixture){.room = malloc(ROOM)};
    assert_non_null(f.room);
    arena_init(&f.a, f.room, ROOM);
    vector_node_text(&f.node, NODE("container"), &f.json, &f.a);
    f.node.name = STR("n");
    f.node.blocks_known = true;
    return 0;
}

static int teardown(void **state)
{
    json_decref(f.json);
    arena_rewind(&f.a, 0);
    free(f.room);
    buf_free(&f.told);
    return 0;
}

static void on_finding(void *ctx, enum diagnosis_kind kind, struct str text)
{
    static const char *const kinds[] = {"unknown",      "too wide", "no start", "contradicted",
                                        "unplaced",     "assumed",  "group",    "held open",
                                        "broken group", "stranded"};

    buf_printf(ctx, "%s: %.*s\n", kinds[kind], STR_ARG(text));
}

static void assert_told(const char *want)
{
    f.told.n = 0;
    diagnose_node(&f.node, on_finding, &f.told);
    assert_string_equal(f.told.n ? f.told.p : "", want);
}

/* A pod of one container with a block; it is put on the node, whose state stays as it is. */
static void add_pod(const char *name, uint64_t zones, uint32_t type, uint64_t bytes)
{
    struct node_pod *const pods = arena_array(&f.a, f.node.n_pods + 1, sizeof(*pods));
    struct node_holding *const h = arena_array(&f.a, 1, sizeof(*h));
    struct node_block *const block = arena_array(&f.a, 1, sizeof(*block));

    assert_true(pods && h && block);
    *block = (struct node_block){zones, type, bytes};
    *h = (struct node_holding){.blocks = block, .n_blocks = 1};
    for (uint32_t i = 0; i < f.node.n_pods; i++)
        memcpy(&pods[i], &f.node.pods[i], sizeof(*pods));
    pods[f.node.n_pods] =
        (struct node_pod){.ns = STR("ml"), .name = str_of(name), .holdings = h, .n_holdings = 1};
    f.node.pods = pods;
    f.node.n_pods++;
}

/* What zones 0 and 1 have reserved of memory, and blocks; a group where `cells` is 3. */
static void set_state(uint64_t cells, uint32_t n0, uint32_t n1, uint64_t r0, uint64_t r1)
{
    struct node_state *const s = &f.node.state;

    s->cells[0] = cells == 3 ? 3 : 1;
    s->cells[1] = cells == 3 ? 3 : 2;
    s->assignments[0] = n0;
    s->assignments[1] = n1;
    s->memory_reserved[0] = r0 * GiB;
    s->memory_reserved[f.node.n_memory_types] = r1 * GiB;
    s->memory_free[0] = (7 - r0) * GiB;
    s->memory_free[f.node.n_memory_types] = (7 - r1) * GiB;
}

static void nothing_is_said_of_a_sound_node(void **state)
{
    add_pod("a", 1, 0, 2 * GiB);
    set_state(0, 1, 0, 2, 0);
    assert_told("");
}

static void small_pods_that_hold_a_group_open_are_named(void **state)
{
    add_pod("a", 3, 0, GiB);
    set_state(3, 1, 1, 1, 0);
    assert_told("held open: memory of zones 0,1 is one group, held open by ml/a (1Gi), which does "
                "not need it\n");
    add_pod("b", 3, 0, 7 * GiB); /* just one zone's worth */
    set_state(3, 2, 2, 7, 1);
    assert_told("held open: memory of zones 0,1 is one group, held open by ml/a (1Gi), ml/b (7Gi), "
                "none of which needs it\n");
}

static void a_pod_that_needs_the_group_is_told_apart_from_those_that_will_keep_it(void **state)
{
    add_pod("big", 3, 0, 7 * GiB + 1);
    set_state(3, 1, 1, 7, 1);
    f.node.state.memory_reserved[f.node.n_memory_types] = 1;
    assert_told("group: memory of zones 0,1 is one group for ml/big (7516192769)\n");
    add_pod("small", 3, 0, GiB);
    set_state(3, 2, 2, 7, 1);
    assert_told("group: memory of zones 0,1 is one group for ml/big (7516192769); kept by ml/small "
                "(1Gi) when that has ended\n");
}

/* Two containers of 4 GiB each fit into a zone each, but under scope pod they are asked as one. */
static void with_scope_pod_the_containers_of_a_pod_are_counted_together(void **state)
{
    const struct node_block blocks[] = {{3, 0, 4 * GiB}, {3, 0, 4 * GiB}};
    const struct node_holding h[] = {{.blocks = &blocks[0], .n_blocks = 1},
                                     {.blocks = &blocks[1], .n_blocks = 1}};
    const struct node_pod pod = {
        .ns = STR("ml"), .name = STR("two"), .holdings = h, .n_holdings = 2};

    f.node.pods = &pod;
    f.node.n_pods = 1;
    set_state(3, 2, 2, 7, 1);
    assert_told("held open: memory of zones 0,1 is one group, held open by ml/two (8Gi), which "
                "does not need it\n");
    f.node.kubelet.scope = KUBELET_SCOPE_POD;
    assert_told("group: memory of zones 0,1 is one group for ml/two (8Gi)\n");
}

/* There are no huge pages in any single zone: who has some needs the group. */
static void each_type_of_memory_counts(void **state)
{
    add_pod("pages", 3, 1, 2 << 20);
    set_state(3, 1, 1, 0, 0);
    f.node.state.memory_reserved[1] = 2 << 20;
    assert_told("group: memory of zones 0,1 is one group for ml/pages (hugepages-2Mi 2Mi)\n");
}

static void blocks_of_pods_that_are_not_known_are_counted(void **state)
{
    set_state(3, 2, 2, 2, 0);
    assert_told("held open: memory of zones 0,1 is one group, held open by 2 blocks of pods that "
                "are not known\n");
    set_state(3, 1, 1, 2, 0);
    assert_told("held open: memory of zones 0,1 is one group, held open by 1 block of pods that "
                "are not known\n");
}

/* Pods that have CPUs only, or memory elsewhere, have no part in a group. */
static void who_has_no_memory_in_the_group_is_not_named(void **state)
{
    const uint64_t cpu = 1 << 10; /* the second CPU of zone 0 */
    const struct node_block block = {3, 0, GiB};
    const struct node_holding h[] = {{.cpus = &cpu}, {.blocks = &block, .n_blocks = 1}};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("cpus"), .holdings = &h[0], .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("a"), .holdings = &h[1], .n_holdings = 1}};

    f.node.pods = pods;
    f.node.n_pods = 2;
    f.node.state.cpu_free[0] &= ~cpu;
    set_state(3, 1, 1, 1, 0);
    assert_told("held open: memory of zones 0,1 is one group, held open by ml/a (1Gi), which does "
                "not need it\n");
    /* two blocks where one is known: whose the other is decides what is lost */
    set_state(3, 2, 2, 3, 0);
    assert_told("held open: memory of zones 0,1 is one group, held open by ml/a (1Gi), which does "
                "not need it\n");
}

static void groups_that_do_not_agree_are_told(void **state)
{
    add_pod("a", 3, 0, 3 * GiB);
    set_state(3, 1, 1, 3, 0);
    f.node.state.cells[1] = 2; /* zone 0 says it belongs to zone 1, which knows nothing of it */
    assert_told("broken group: memory of zone 0 is in a group of zones 0,1, of which not all "
                "agree: such a kubelet may not start again\n");
    f.node.state.cells[1] = 3;
    f.node.state.assignments[1] = 0; /* a group without a block */
    assert_told("broken group: memory of zone 0 is in a group of zones 0,1, of which not all "
                "agree: such a kubelet may not start again\n");
}

static void memory_that_no_block_accounts_for_is_stranded(void **state)
{
    set_state(0, 0, 0, 0, 2);
    assert_told("stranded: 2Gi of memory in zone 1 is reserved by nobody, until the kubelet starts "
                "without its memory_manager_state\n");
    add_pod("a", 2, 0, 2 * GiB);
    set_state(0, 0, 1, 0, 3);
    assert_told("stranded: 1Gi of memory in zone 1 is reserved by nobody, until the kubelet starts "
                "without its memory_manager_state\n");
    set_state(0, 0, 1, 0, 2);
    assert_told("");
}

/* Where the memory of a group lies is its own matter: only the sum over its zones counts. */
static void in_a_group_the_sum_over_its_zones_counts(void **state)
{
    add_pod("big", 3, 0, 8 * GiB);
    set_state(3, 1, 1, 3, 5);
    assert_told("group: memory of zones 0,1 is one group for ml/big (8Gi)\n");
    set_state(3, 1, 1, 4, 6);
    assert_told("group: memory of zones 0,1 is one group for ml/big (8Gi)\n"
                "stranded: 2Gi of memory in zones 0,1 are reserved by nobody, until the kubelet "
                "starts without its memory_manager_state\n");
}

static void nothing_is_stranded_where_not_all_blocks_are_known(void **state)
{
    set_state(0, 0, 1, 0, 2); /* somebody's block: no pod is known */
    assert_told("");
    set_state(0, 0, 0, 0, 2);
    f.node.blocks_known = false; /* what is reserved follows from sums that were published */
    assert_told("");
    f.node.blocks_known = true;
    f.node.kubelet.memory_static = false;
    assert_told("");
}

static void what_two_pods_hold_is_contradicted(void **state)
{
    const uint64_t cpu = 1 << 1, device = 1;
    const struct node_holding h[] = {{.cpus = &cpu}, {.cpus = &cpu, .devices = &device}};
    const struct node_pod pods[] = {
        {.ns = STR("ml"), .name = STR("a"), .holdings = &h[0], .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("b"), .holdings = &h[1], .n_holdings = 1},
        {.ns = STR("ml"), .name = STR("c"), .holdings = &h[1], .n_holdings = 1}};

    f.node.pods = pods;
    f.node.n_pods = 1;
    assert_told("contradicted: CPU 1 is held by ml/a and free by free-cpus\n");
    f.node.state.cpu_free[0] &= ~cpu;
    assert_told("");
    f.node.n_pods = 2;
    assert_told("contradicted: CPU 1 is held by ml/a and by ml/b\n");
    f.node.n_pods = 3;
    assert_told("contradicted: CPU 1 is held by ml/a and by ml/b\n"
                "contradicted: device g0 is held by ml/b and by ml/c\n");
}

/* 13 zones, CPUs in the first two: only the memory manager offers sets of all of them. */
static void more_zones_than_sets_are_worked_out_of_are_told(void **state)
{
    struct topo_zone zones[13] = {0};
    uint64_t cells[13], bytes[13 * 2] = {0};
    uint32_t none[13] = {0};

    for (uint32_t z = 0; z < 13; z++) {
        zones[z].id = z;
        cells[z] = UINT64_C(1) << z;
    }
    f.node.machine.zones = zones;
    f.node.machine.n_zones = f.node.kubelet.max_zones = 13;
    f.node.memory_system = f.node.memory_allocatable = bytes;
    f.node.state.cells = cells;
    f.node.state.assignments = none;
    f.node.state.memory_free = f.node.state.memory_reserved = bytes;
    f.node.assumed = NODE_ASSUMED_RESERVED;
    assert_told("too wide: TooManyZones: 13 zones, sets of more than 12 are not worked out for the "
                "Static memory manager\nassumed: reserved\n");
    f.node.kubelet.memory_static = false;
    assert_told("assumed: reserved\n");
    f.node.cpus.zones = (1 << 13) - 1; /* CPUs in all of them */
    assert_told("too wide: TooManyZones: 13 zones, sets of more than 12 are not worked out\n"
                "assumed: reserved\n");
    f.node.machine.n_zones = 12; /* just as many as are */
    assert_told("assumed: reserved\n");
    f.node.machine.n_zones = 13;
    f.node.kubelet.policy = KUBELET_POLICY_NONE;
    assert_told("assumed: reserved\n");
}

static void what_is_not_known_is_told_with_its_reason(void **state)
{
    f.node.assumed = NODE_ASSUMED_RESERVED | NODE_ASSUMED_VERSION;
    assert_told("assumed: reserved, kubeletVersion\n");
    f.node.kubelet.max_zones = 7;
    assert_told("no start: its kubelet does not start: max-allowable-numa-nodes is below 8\n"
                "assumed: reserved, kubeletVersion\n");
    f.node.knowledge = NODE_STALE;
    f.node.why_unknown = STR("generation 3 after 4");
    assert_told("unknown: StaleTopology: generation 3 after 4\n");
    f.node.knowledge = NODE_TOO_MANY_ZONES;
    assert_told("unknown: TooManyZones: generation 3 after 4\n");
}

static void pods_without_zones_are_named_up_to_a_number(void **state)
{
    static const char *const names[] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8",
                                        "p9", "pa", "pb", "pc", "pd", "pe", "pf", "pg", "ph"};
    struct node_pod pods[18];

    for (uint32_t i = 0; i < 18; i++)
        pods[i] = (struct node_pod){
            .ns = STR("d"), .name = str_of(names[i]), .placement = NODE_POD_UNPLACED};
    f.node.pods = pods;
    f.node.n_pods = 2;
    assert_told("unplaced: zones are not known of d/p0, d/p1\n");
    f.node.n_pods = 18;
    assert_told("unplaced: zones are not known of d/p0, d/p1, d/p2, d/p3, d/p4, d/p5, d/p6, d/p7, "
                "d/p8, d/p9, d/pa, d/pb, d/pc, d/pd, d/pe, d/pf and 2 more\n");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_is_said_of_a_sound_node),
        T(small_pods_that_hold_a_group_open_are_named),
        T(a_pod_that_needs_the_group_is_told_apart_from_those_that_will_keep_it),
        T(with_scope_pod_the_containers_of_a_pod_are_counted_together),
        T(each_type_of_memory_counts),
        T(blocks_of_pods_that_are_not_known_are_counted),
        T(who_has_no_memory_in_the_group_is_not_named),
        T(groups_that_do_not_agree_are_told),
        T(more_zones_than_sets_are_worked_out_of_are_told),
        T(memory_that_no_block_accounts_for_is_stranded),
        T(in_a_group_the_sum_over_its_zones_counts),
        T(nothing_is_stranded_where_not_all_blocks_are_known),
        T(what_two_pods_hold_is_contradicted),
        T(what_is_not_known_is_told_with_its_reason),
        T(pods_without_zones_are_named_up_to_a_number),
    };

    return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
