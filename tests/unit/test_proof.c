/* SPDX-License-Identifier: Apache-2.0 */
/* Why a kubelet refuses, in words: zones that lack something, groups, else the rule. */
#include "scoring/proof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/one_node.h"
#include "topology/cpuset.h"

static const uint64_t GI = UINT64_C(1) << 30;

/* Zones 0 and 2: 4 CPUs each (0 reserved), 8 GiB less 1; a GPU in each, one of them sick. */
#define ZONE(id, d, c0, c1, c2, c3, more)                                                          \
    "{'id':" id ",'distances':[" d "],'cores':[{'socket':" id ",'uncore':" id ",'cpus':[" c0       \
    "]},{'socket':" id ",'uncore':" id ",'cpus':[" c1 "]},{'socket':" id ",'uncore':" id           \
    ",'cpus':[" c2 "]},{'socket':" id ",'uncore':" id ",'cpus':[" c3                               \
    "]}],'memory':{'total':8589934592,'reserved':1073741824}" more "}"
#define NODE(kubelet)                                                                              \
    "{'zones':[" ZONE(                                                                             \
        "0", "10,21", "0", "1", "2", "3",                                                          \
        ",'hugepages':{'hugepages-2Mi':{'total':0}}") "," ZONE("2", "21,10", "4", "5", "6", "7",   \
                                                               ",'hugepages':{'hugepages-2Mi':{'"  \
                                                               "total':2097152,'reserved':0}"      \
                                                               "}") "],"                           \
                                                                    "'devices':[{'resource':'x."   \
                                                                    "com/"                         \
                                                                    "far','id':'f','zones':[],'"   \
                                                                    "healthy':true},"              \
                                                                    "{'resource':'x.com/"          \
                                                                    "gpu','id':'g0','zones':[0],'" \
                                                                    "healthy':true},"              \
                                                                    "{'resource':'x.com/"          \
                                                                    "gpu','id':'g1','zones':[2],'" \
                                                                    "healthy':false},"             \
                                                                    "{'resource':'x.com/"          \
                                                                    "gpu','id':'g2','zones':[2],'" \
                                                                    "healthy':true}],"             \
                                                                    "'kubelet':{" kubelet          \
                                                                    ",'reservedCPUs':'0'}}"
#define ALL(policy)                                                                                \
    NODE("'topologyManagerPolicy':'" policy                                                        \
         "','cpuManagerPolicy':'static','memoryManagerPolicy':'Static'")
#define C(name, limits) "{'name':'" name "','limits':{" limits "}}"

static void expect(struct fixture *f, const char *message)
{
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(d.result.verdict, SCORE_REJECTED);
    assert_string_equal(d.message.p, message);
    assert_int_equal(d.message.n, strlen(message));
}

/* How every refusal ends whose reason is the init container's CPUs in zone N. */
#define PINNED(n)                                                                                  \
    "cpu: the init containers leave CPUs in zone " n ", which any set of zones must hold"

static void zones_are_named_by_their_ids(void **state)
{
    struct fixture f;

    ask(&f, ALL("single-numa-node"), POD("'cpu':'5','memory':'9Gi','x.com/gpu':'2'"));
    expect(&f, "zone 0: cpu needs 5, free 3 of 3; "
               "zone 0: memory needs 9663676416, free 7516192768 of 7516192768; "
               "zone 0: x.com/gpu needs 2, free 1 of 1; "
               "zone 2: cpu needs 5, free 4 of 4; "
               "zone 2: memory needs 9663676416, free 7514095616 of 7514095616; "
               "zone 2: x.com/gpu needs 2, free 1 of 2"); /* the sick one is of the two */
    end(&f);
}

static void what_is_held_is_not_free(void **state)
{
    struct fixture f;

    ask(&f, ALL("single-numa-node"), POD("'cpu':'4','memory':'1Gi','x.com/gpu':'1'"));
    cpuset_del(f.node.state.cpu_free, 7);
    cpuset_add(f.node.state.device_held, 1);
    f.node.state.memory_free[0] = GI - 1;
    expect(&f, "zone 0: cpu needs 4, free 3 of 3; "
               "zone 0: memory needs 1073741824, free 1073741823 of 7516192768; "
               "zone 0: x.com/gpu needs 1, free 0 of 1; "
               "zone 2: cpu needs 4, free 3 of 4");
    end(&f);
}

static void a_type_of_memory_is_told_from_another(void **state)
{
    struct fixture f;

    ask(&f, ALL("single-numa-node"),
        POD("'cpu':'4','memory':'1Gi','hugepages-2Mi':'2Mi','x.com/gpu':'1'"));
    cpuset_del(f.node.state.cpu_free, 7);
    expect(&f, "zone 0: cpu needs 4, free 3 of 3; "
               "zone 0: hugepages-2Mi needs 2097152, free 0 of 0; "
               "zone 2: cpu needs 4, free 3 of 4");
    end(&f);
}

static void managers_that_are_off_lack_nothing(void **state)
{
    struct fixture f;

    /* The GPU alone decides: two are nowhere together. A resource without zones says nothing. */
    ask(&f, NODE("'topologyManagerPolicy':'single-numa-node'"),
        POD("'cpu':'50','memory':'50Gi','x.com/far':'1','x.com/gpu':'2'"));
    expect(&f, "zone 0: x.com/gpu needs 2, free 1 of 1; zone 2: x.com/gpu needs 2, free 1 of 2");
    end(&f);
}

static void where_every_zone_lacks_something_no_rule_is_named(void **state)
{
    struct fixture f;

    /* CPUs are only in zone 2, memory only in zone 0, and each zone says so: no rule needed. */
    ask(&f, ALL("single-numa-node"), POD("'cpu':'4','memory':'1Gi'"));
    f.node.state.memory_free[2] = 0; /* zone-major, two types: memory of the second zone */
    expect(&f, "zone 0: cpu needs 4, free 3 of 3; "
               "zone 2: memory needs 1073741824, free 0 of 7514095616");
    end(&f);
}

static void expect_start(struct fixture *f, const char *start)
{
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(d.result.verdict, SCORE_REJECTED);
    assert_true(str_starts(d.message, start));
    assert_null(strstr(d.message.p, "restricted:")); /* the group is reason enough */
}

static void a_living_group_is_told_in_place_of_the_rule(void **state)
{
    struct fixture f;

    ask(&f, ALL("restricted"), POD("'cpu':'1','memory':'1Gi'"));
    f.node.state.cells[0] = f.node.state.cells[1] = 3;
    f.node.state.assignments[0] = 2;
    f.node.state.assignments[1] = 1;
    expect_start(&f, "zone 0: memory is in a group ");
    f.node.state.memory_free[0] = 0;
    expect_start(&f, "zone 0: memory needs 1073741824, free 0 of 7516192768; "
                     "zone 0: memory is in a group ");
    end(&f);
}

/* A container that must lie in zone 0 by its init container's CPUs, which zone 0 cannot serve. */
#define INIT_PULLS                                                                                 \
    "{'uid':'p','initContainers':[" C("i", "'cpu':'1','memory':'1Gi'") "],'containers':[" C(       \
        "a", "'cpu':'4','memory':'1Gi'") "]}"

static void where_a_zone_has_room_the_rule_is_named(void **state)
{
    static const char want[] = "zone 0: cpu needs 4, free 2 of 3; " PINNED("0");
    struct fixture f;

    /* Zone 2 has 4 CPUs free; but the init container's CPU of zone 0 must be among them. */
    ask(&f, ALL("single-numa-node"), INIT_PULLS);
    expect(&f, want);
    end(&f);
    ask(&f, ALL("restricted"), INIT_PULLS);
    expect(&f, want);
    end(&f);
}

static void the_rule_follows_what_is_lacking_elsewhere(void **state)
{
    struct fixture f;

    ask(&f, ALL("restricted"),
        "{'uid':'p','initContainers':[" C("i", "'cpu':'1','memory':'1Gi'") "],'containers':[" C(
            "a", "'cpu':'1','memory':'1Gi','x.com/gpu':'1'") "]}");
    /* The init container's CPU is in zone 0, whose GPU is held: zone 0 lacks it, zone 2 has it. */
    cpuset_add(f.node.state.device_held, 1);
    expect(&f, "zone 0: x.com/gpu needs 1, free 0 of 1; " PINNED("0"));
    end(&f);
    ask(&f, NODE("'topologyManagerPolicy':'single-numa-node','cpuManagerPolicy':'static'"),
        "{'uid':'p','initContainers':[" C("i", "'cpu':'3','memory':'1Gi'") "],'containers':[" C(
            "a", "'cpu':'1','memory':'1Gi','x.com/gpu':'1'") "]}");
    cpuset_del(f.node.state.cpu_free, 1);    /* the init container goes to zone 2 */
    cpuset_add(f.node.state.device_held, 3); /* and zone 2's GPU is held */
    expect(&f, "zone 2: x.com/gpu needs 1, free 0 of 2; " PINNED("2"));
    end(&f);
}

static void a_pod_is_judged_as_a_whole_in_scope_pod(void **state)
{
    struct fixture f;

    ask(&f,
        NODE("'topologyManagerPolicy':'single-numa-node','topologyManagerScope':'pod',"
             "'cpuManagerPolicy':'static'"),
        "{'uid':'p','containers':[" C("a", "'cpu':'3','memory':'1Gi'") "," C(
            "b", "'cpu':'2','memory':'1Gi'") "]}");
    expect(&f, "zone 0: cpu needs 5, free 3 of 3; zone 2: cpu needs 5, free 4 of 4");
    end(&f);
}

static void the_container_that_failed_is_the_one_told_of(void **state)
{
    struct fixture f;

    ask(&f, NODE("'topologyManagerPolicy':'single-numa-node','cpuManagerPolicy':'static'"),
        "{'uid':'p','containers':[" C("a", "'cpu':'2','memory':'1Gi'") "," C(
            "b", "'cpu':'5','memory':'1Gi'") "," C("c", "'cpu':'6','memory':'1Gi'") "]}");
    expect(&f, "zone 0: cpu needs 5, free 1 of 3; zone 2: cpu needs 5, free 4 of 4");
    end(&f);
}

static void devices_that_were_got_are_not_what_is_lacking(void **state)
{
    struct fixture f;

    ask(&f, NODE("'topologyManagerPolicy':'none','cpuManagerPolicy':'static'"),
        POD("'cpu':'8','memory':'1Gi','x.com/gpu':'2'"));
    expect(&f, "Allocate failed due to not enough cpus available to satisfy request: requested=8, "
               "available=7, which is unexpected; zone 0: cpu needs 8, free 3 of 3; "
               "zone 2: cpu needs 8, free 4 of 4");
    cpuset_add(f.node.state.device_held, 1); /* now the devices come first */
    expect(&f, "Allocate failed due to requested number of devices unavailable for x.com/gpu. "
               "Requested: 2, Available: 1, which is unexpected; "
               "zone 0: x.com/gpu needs 2, free 0 of 1; zone 2: x.com/gpu needs 2, free 1 of 2");
    end(&f);
}

/* 64 zones that lack memory and devices: some 90 bytes each, more than the 4096 of a proof. */
static void a_long_proof_is_cut_at_its_end(void **state)
{
    static const uint64_t none[2 * TOPO_MAX_ZONES];
    struct fixture f;
    struct topo_zone zones[TOPO_MAX_ZONES];
    const struct kubelet_answer answer = {.verdict = SCORE_REJECTED,
                                          .reason = SCORE_TOPOLOGY_AFFINITY_ERROR};
    struct node_state lacking;
    struct str out = {0};

    ask(&f,
        NODE("'topologyManagerPolicy':'restricted','topologyManagerScope':'pod',"
             "'memoryManagerPolicy':'Static'"),
        POD("'cpu':'1','memory':'1Gi','x.com/gpu':'9'"));
    for (uint32_t z = 0; z < TOPO_MAX_ZONES; z++)
        zones[z] = (struct topo_zone){.id = z};
    f.node.machine.n_zones = TOPO_MAX_ZONES;
    f.node.machine.zones = zones;
    f.node.memory_allocatable = none;
    f.node.cpus.zone_set = none;
    lacking = f.node.state;
    memcpy(&lacking.memory_free, &(const uint64_t *){none}, sizeof(lacking.memory_free));
    assert_int_equal(score_proof(&out, &f.node, &lacking, f.req, &answer, &f.a), 0);
    assert_int_equal(out.n, 4095);
    assert_int_equal(strlen(out.p), 4095);
    assert_memory_equal(out.p,
                        "zone 0: memory needs 1073741824, free 0 of 0; zone 0: x.com/gpu needs 9, "
                        "free 1 of 1; zone 1: memory",
                        100);
    end(&f);
}

/* --- whose end would help --- */

static void would_fit_without_needs_room_or_says_so(void **state)
{
    struct fixture f;
    static const uint64_t cpus[] = {0x30}, none[] = {0};
    const struct node_holding big = {.cpus = cpus}, nothing = {.cpus = none};
    const struct node_pod pods[] = {
        {.ns = STR("a"), .name = STR("x"), .holdings = &nothing, .n_holdings = 1},
        {.ns = STR("b"), .name = STR("y"), .holdings = &big, .n_holdings = 1},
        {.ns = STR("c"), .name = STR("z"), .holdings = &big, .n_holdings = 1}};
    static _Alignas(max_align_t) char room[1 << 14];
    bool fitted = false;

    ask(&f, ALL("single-numa-node"), POD("'cpu':'4','memory':'1Gi'"));
    f.node.pods = pods;
    f.node.n_pods = 3;
    f.node.state.cpu_free[0] &= ~UINT64_C(0x30);
    for (size_t n = 0; n <= sizeof(room); n += 16) {
        const struct str *who = NULL;
        uint32_t many = 9;
        struct arena a;

        arena_init(&a, room, n);
        const int rc = score_would_fit_without(&who, &many, &f.node, f.req, &a);

        assert_true(rc == 0 || (rc == -ENOMEM && !fitted));
        fitted = rc == 0;
        if (rc == 0) {
            assert_int_equal(many, 1); /* the first that helps */
            assert_true(str_is(who[0], "b/y"));
        } else {
            assert_true(!who && many == 0);
        }
        assert_int_equal(f.node.state.cpu_free[0], 0xcf);
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

static void nobody_helps_a_pod_that_is_too_large(void **state)
{
    struct fixture f;
    static const uint64_t cpus[] = {0x30};
    const struct node_holding big = {.cpus = cpus};
    const struct node_pod pod = {
        .ns = STR("b"), .name = STR("y"), .holdings = &big, .n_holdings = 1};
    const struct str *who = NULL;
    uint32_t many = 9;

    ask(&f, ALL("single-numa-node"), POD("'cpu':'5','memory':'1Gi'"));
    f.node.pods = &pod;
    f.node.n_pods = 1;
    assert_int_equal(score_would_fit_without(&who, &many, &f.node, f.req, &f.a), 0);
    assert_true(!who && many == 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_are_named_by_their_ids),
        cmocka_unit_test(what_is_held_is_not_free),
        cmocka_unit_test(a_type_of_memory_is_told_from_another),
        cmocka_unit_test(managers_that_are_off_lack_nothing),
        cmocka_unit_test(where_every_zone_lacks_something_no_rule_is_named),
        cmocka_unit_test(a_living_group_is_told_in_place_of_the_rule),
        cmocka_unit_test(where_a_zone_has_room_the_rule_is_named),
        cmocka_unit_test(the_rule_follows_what_is_lacking_elsewhere),
        cmocka_unit_test(a_pod_is_judged_as_a_whole_in_scope_pod),
        cmocka_unit_test(the_container_that_failed_is_the_one_told_of),
        cmocka_unit_test(devices_that_were_got_are_not_what_is_lacking),
        cmocka_unit_test(a_long_proof_is_cut_at_its_end),
        cmocka_unit_test(would_fit_without_needs_room_or_says_so),
        cmocka_unit_test(nobody_helps_a_pod_that_is_too_large),
    };

    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
