/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods on their way. Nodes have zones of 4 CPUs, single-numa-node, static; a pod of 4 CPUs takes a
 * zone. Wire scores go to 1000, so that nodes differ; the clock is the test's.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/beside.h"
#include "decide/decide.h"
#include "decide/holds.h"
#include "decide/memo.h"
#include "scoring/beside.h"
#include "tests/support/data.h"

enum { ROOM = 4 * 1024 * 1024, MAX_SCORE = 1000, FOR_NS = 1000, STEPS = 3000, NODES = 12 };

static struct cluster *cluster;
static struct source_sink sink;
static struct holds *holds;
static struct memo *memo;
static char *room;
static struct arena arena;

/* ---- the cluster ---- */

/* Zones of so many CPUs. */
static void put_zones(const char *name, unsigned zones, unsigned cpus)
{
    char text[4096];
    size_t n;

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'status':{'allocatable':{'cpu':'%u','memory':'64Gi',"
                   "'pods':'110'},'capacity':{'cpu':'%u','memory':'64Gi','pods':'110'}}}",
                   name, cpus * zones, cpus * zones);
    deliver(&sink, SOURCE_NODE, "Node", "", name, text);
    n = (size_t)snprintf(text, sizeof(text),
                         "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':"
                         "'NodeResourceTopology','metadata':{'name':'%s'},'attributes':[{'name':"
                         "'topologyManagerPolicy','value':'single-numa-node'},{'name':"
                         "'topologyManagerScope','value':'container'},{'name':"
                         "'orchestration.gokore.io/placements','value':'{}'}],'zones':[",
                         name);
    for (unsigned z = 0; z < zones; z++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{'name':'node-%u','type':'Node','resources':[{'name':'cpu',"
                              "'capacity':'%u','allocatable':'%u','available':'%u'}]}",
                              z ? "," : "", z, cpus, cpus, cpus);
    (void)snprintf(text + n, sizeof(text) - n, "]}");
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static void put_node(const char *name, unsigned zones)
{
    put_zones(name, zones, 4);
}

/* "" = on no node yet. */
static void put_pod(const char *name, const char *uid, unsigned cpus, const char *node,
                    const char *phase)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','namespace':'ml','uid':'%s'},'spec':{'nodeName':'%s',"
                   "'containers':[{'name':'c','resources':{'requests':{'cpu':'%u','memory':'1Gi'},"
                   "'limits':{'cpu':'%u','memory':'1Gi'}}}]},'status':{'phase':'%s'}}",
                   name, uid, node, cpus, cpus, phase);
    deliver(&sink, SOURCE_POD, "Pod", "ml", name, text);
}

static void settle(void)
{
    sink.settled(sink.ctx);
}

static int setup(void **state)
{
    static const struct cluster_options options = {.max_age_us = 0};

    (void)state;
    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    sink = cluster_sink(cluster);
    assert_int_equal(holds_new(&holds, FOR_NS, NULL), 0);
    assert_int_equal(memo_new(&memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, NULL), 0);
    room = malloc(ROOM);
    assert_non_null(room);
    arena_init(&arena, room, ROOM);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    holds_free(holds);
    memo_free(memo);
    cluster_free(cluster);
    free(room);
    return 0;
}

/* ---- decisions ---- */

struct asking {
    struct cluster_snapshot *snapshot;
    struct pod_amount amounts[2];
    struct pod_container container;
    struct score_pod pod;
    struct decide_ask ask;
    struct decision d;
};

/* A pod of `cpus` about `names` [n], beside whom is on its way at `now_ns`. */
static void ask_with(struct asking *q, const char *uid, unsigned cpus, const struct str *names,
                     uint32_t n, uint64_t now_ns, struct memo *remembers)
{
    const struct decide_options options = {
        .max_score = MAX_SCORE, .memo = remembers, .holds = holds};

    q->amounts[0] = (struct pod_amount){STR("cpu"), POD_CPU, cpus * 1000};
    q->amounts[1] = (struct pod_amount){STR("memory"), POD_MEMORY, 1 << 30};
    q->container = (struct pod_container){.name = STR("c"),
                                          .kind = POD_APP,
                                          .requests = q->amounts,
                                          .limits = q->amounts,
                                          .n_requests = 2,
                                          .n_limits = 2};
    q->pod = (struct score_pod){.ns = STR("ml"),
                                .name = str_of(uid),
                                .uid = str_of(uid),
                                .containers = &q->container,
                                .n_containers = 1};
    q->snapshot = cluster_get(cluster);
    q->ask = (struct decide_ask){.pod = &q->pod, .n = n, .names = names};
    holds_look(holds, q->snapshot, now_ns);
    assert_int_equal(decide_run(&q->d, &q->ask, q->snapshot, &options, &arena, NULL), 0);
}

static void end(struct asking *q)
{
    cluster_snapshot_unref(q->snapshot);
    arena_rewind(&arena, 0);
}

static const struct str pair[] = {{"one", 3}, {"two", 3}};

/* prioritize about both nodes: their wire scores. */
static void prioritize(const char *uid, unsigned cpus, uint64_t now_ns, uint32_t wire[2])
{
    struct asking q;

    ask_with(&q, uid, cpus, pair, 2, now_ns, memo);
    assert_int_equal(q.d.counts[SCORE_ADMITTED], 2); /* filter knows nothing of holds */
    wire[0] = q.d.rows[0].wire;
    wire[1] = q.d.rows[1].wire;
    holds_prioritized(holds, &q.d, &q.ask, now_ns);
    end(&q);
}

static void filter(const char *uid, unsigned cpus, const struct str *names, uint32_t n,
                   uint64_t now_ns)
{
    struct asking q;

    ask_with(&q, uid, cpus, names, n, now_ns, memo);
    holds_filtered(holds, &q.d, &q.ask, now_ns);
    end(&q);
}

static unsigned held(void)
{
    return (unsigned)atomic_load(&holds_stats(holds)->n);
}

static unsigned ended(enum hold_end why)
{
    return (unsigned)atomic_load(&holds_stats(holds)->ended[why]);
}

static void assert_held(const char *uid, const char *node)
{
    assert_true(str_is(holds_node(holds, str_of(uid)), node));
}

/* A node with one zone, which a pod of 4 CPUs all but fills, and one with two, of which one is in
   use, and it fills the other. */
static void put_pair(void)
{
    put_zones("one", 1, 6);
    put_node("two", 2);
    put_pod("lodger", "lodger", 2, "two", "Running");
    settle();
}

/* ---- the facts ---- */

static void two_pods_do_not_both_count_on_the_last_place(void **state)
{
    uint32_t first[2], second[2];

    (void)state;
    put_pair();
    prioritize("a", 4, 0, first);
    assert_int_not_equal(first[0], first[1]);
    const unsigned best = first[1] > first[0];
    assert_held("a", best ? "two" : "one");
    prioritize("b", 4, 0, second); /* both nodes had one zone of 4 left, and one has none now */
    assert_int_equal(second[best], 1);
    assert_int_equal(second[!best], first[!best]);
    assert_held("b", best ? "one" : "two");
    assert_int_equal(held(), 2);
}

static void its_own_hold_is_no_hindrance(void **state)
{
    uint32_t first[2], again[2];

    (void)state;
    put_pair();
    prioritize("a", 4, 0, first);
    prioritize("a", 4, 500, again); /* it did not come to a binding, and here it is again */
    assert_int_equal(first[0], again[0]);
    assert_int_equal(first[1], again[1]);
    assert_int_equal(held(), 1);
    prioritize("b", 1, 1400, again); /* its time runs from the second decision */
    assert_true(held() >= 1);
    assert_true(holds_node(holds, STR("a")).n > 0);
}

static void a_single_node_left_by_filter_is_held(void **state)
{
    uint32_t wire[2], free[2];

    (void)state;
    put_pair();
    prioritize("-", 4, 0, free);
    filter("a", 4, pair, 1, FOR_NS); /* and nobody else is on the way any more */
    assert_held("a", "one");
    prioritize("b", 4, FOR_NS, wire);
    assert_true(wire[0] < wire[1]);
    assert_int_equal(wire[1], free[1]);
    filter("a", 4, pair, 2, FOR_NS); /* prioritize will say */
    assert_held("a", "one");
    filter("a", 8, pair, 2, FOR_NS); /* it fits nowhere */
    assert_held("a", "");
    assert_int_equal(ended(HOLD_REPLACED), 1);
}

static void where_several_are_best_nothing_is_held(void **state)
{
    uint32_t wire[2];

    (void)state;
    put_node("one", 2);
    put_node("two", 2);
    settle();
    prioritize("a", 4, 0, wire);
    assert_int_equal(wire[0], wire[1]);
    assert_int_equal(held(), 0);
    prioritize("", 4, 0, wire); /* nor for a pod without a UID */
    assert_int_equal(held(), 0);
}

/* Both nodes are alike; one is held. */
static void of_nodes_as_good_the_held_one_stands_back_by_one(void **state)
{
    uint32_t alone[2], beside[2];

    (void)state;
    put_node("one", 2);
    put_node("two", 2);
    settle();
    prioritize("-", 1, 0, alone);
    filter("a", 1, pair, 1, 0);
    prioritize("b", 1, 0, beside);
    assert_int_equal(beside[0], alone[0] - 1);
    assert_int_equal(beside[1], alone[1]);
    assert_held("b", "two");
}

static void a_hold_ends_when_the_pod_is_bound_or_gone(void **state)
{
    struct asking q;
    static const char *const ends[] = {"bound", "deleted", "replaced", "failed"};

    (void)state;
    put_pair();
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        put_pod(ends[i], ends[i], 1, "", "Pending");
        settle();
        filter(ends[i], 1, pair, 1, i); /* seen once while it is pending */
        filter("other", 1, pair + 1, 1, i);
        assert_held(ends[i], "one");
    }
    put_pod("bound", "bound", 1, "two", "Pending");
    deliver(&sink, SOURCE_POD, "Pod", "ml", "deleted", "");
    put_pod("replaced", "another", 1, "", "Pending");
    put_pod("failed", "failed", 1, "", "Failed");
    settle();
    ask_with(&q, "-", 1, pair, 2, 10, memo);
    end(&q);
    assert_int_equal(ended(HOLD_BOUND), 1);
    assert_int_equal(ended(HOLD_GONE), 3);
    assert_int_equal(held(), 1); /* "other", of which nobody has heard yet */
    deliver(&sink, SOURCE_NODE, "Node", "", "two", "");
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", "two", "");
    settle();
    ask_with(&q, "-", 1, pair, 2, 10, memo);
    end(&q);
    assert_int_equal(held(), 0);
    assert_int_equal(ended(HOLD_GONE), 4);
}

/* As a gang that is tried and given up: filter upon filter, and never a binding. */
static void filters_without_a_binding_leave_nothing(void **state)
{
    char uid[16];
    uint32_t before[2], after[2];

    (void)state;
    put_pair();
    prioritize("-", 4, 0, before);
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(uid, sizeof(uid), "gang-%u", i);
        filter(uid, 1, pair, 1, FOR_NS + i);
    }
    assert_int_equal(held(), 50);
    prioritize("-", 4, 2 * FOR_NS + 50, after);
    assert_int_equal(before[0], after[0]);
    assert_int_equal(before[1], after[1]);
    assert_int_equal(held(), 1); /* its own */
    assert_int_equal(ended(HOLD_EXPIRED), 51);
}

static void there_are_so_many_and_no_more(void **state)
{
    char uid[16];

    (void)state;
    put_pair();
    for (unsigned i = 0; i < HOLDS_MOST + 72; i++) {
        (void)snprintf(uid, sizeof(uid), "p-%u", i);
        filter(uid, 1, pair + i % 2, 1, 0);
    }
    assert_int_equal(held(), HOLDS_MOST);
    assert_int_equal(ended(HOLD_CROWDED), 72);
    assert_held("p-71", "");
    assert_held("p-72", "one");
}

/* A pod of the shared pool needs no zone. */
static void who_gets_nothing_of_its_own_holds_nothing(void **state)
{
    struct asking q;

    (void)state;
    put_pair();
    ask_with(&q, "a", 1, pair, 1, 0, memo);
    q.amounts[0].amount = 500;
    q.container.n_requests = q.container.n_limits = 1;
    const struct decide_options options = {.max_score = MAX_SCORE};
    assert_int_equal(decide_run(&q.d, &q.ask, q.snapshot, &options, &arena, NULL), 0);
    holds_filtered(holds, &q.d, &q.ask, 0);
    end(&q);
    assert_int_equal(held(), 0);
}

/* A pod on its way counts as it will when it has come. */
static void beside_a_pod_is_as_with_it(void **state)
{
    struct score_result beside, with;
    struct asking guest, q;

    (void)state;
    put_pair();
    ask_with(&guest, "guest", 2, pair, 2, 0, NULL);
    const struct score_guest guests[] = {{&guest.pod, false}};
    for (unsigned cpus = 1; cpus <= 4; cpus++) {
        const size_t mark = arena_mark(&arena);
        put_pod("guest", "guest", 2, "", "Pending"); /* it is counted among those who want zones */
        settle();
        ask_with(&q, "new", cpus, pair, 2, 0, NULL);
        assert_int_equal(
            score_beside(&beside, q.d.request, decide_node(&q.d, 1), guests, 1, &arena), 0);
        cluster_snapshot_unref(q.snapshot);
        put_pod("guest", "guest", 2, "two", "Pending");
        settle();
        ask_with(&q, "new", cpus, pair, 2, 0, NULL);
        assert_int_equal(score_node_timeless(&with, q.d.request, decide_node(&q.d, 1), &arena), 0);
        assert_int_equal(beside.verdict, with.verdict);
        assert_int_equal(beside.reason, with.reason);
        assert_int_equal(beside.term[SCORE_LOCALITY], with.term[SCORE_LOCALITY]);
        assert_int_equal(beside.term[SCORE_FRAGMENTATION], with.term[SCORE_FRAGMENTATION]);
        cluster_snapshot_unref(q.snapshot);
        deliver(&sink, SOURCE_POD, "Pod", "ml", "guest", "");
        settle();
        arena_rewind(&arena, mark);
    }
    end(&guest);
}

/* ---- at random: what is remembered is what would be worked out ---- */

static struct str names[NODES];
static char texts[NODES][8];

static void change_something(uint64_t *seed, unsigned step)
{
    char name[16], node[8];

    (void)snprintf(name, sizeof(name), "p-%u", (unsigned)test_random(seed, 20));
    (void)snprintf(node, sizeof(node), "n%02u", (unsigned)test_random(seed, NODES));
    if (test_random(seed, 3) == 0)
        deliver(&sink, SOURCE_POD, "Pod", "ml", name, "");
    else
        put_pod(name, name, 1 + step % 4, test_random(seed, 2) ? node : "", "Pending");
    if (test_random(seed, 40) == 0)
        put_node(node, 1 + (unsigned)test_random(seed, 3));
    settle();
}

static void assert_same(const struct decision *a, const struct decision *b)
{
    assert_int_equal(a->n_held, b->n_held);
    for (uint32_t i = 0; i < a->n; i++) {
        assert_int_equal(a->rows[i].wire, b->rows[i].wire);
        assert_int_equal(a->rows[i].score, b->rows[i].score);
        assert_int_equal(a->rows[i].marks, b->rows[i].marks);
    }
}

static void remembered_answers_are_those_that_would_be_worked_out(void **state)
{
    uint64_t seed = test_seed(20261127), lowered = 0, now = 0;
    struct asking known, fresh;

    (void)state;
    for (uint32_t i = 0; i < NODES; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "n%02u", i);
        names[i] = str_of(texts[i]);
        put_node(texts[i], 1 + i % 3);
    }
    settle();
    for (unsigned step = 0; step < STEPS; step++) {
        char uid[16];
        const unsigned cpus = 1 + (unsigned)test_random(&seed, 4);
        const uint32_t first = (uint32_t)test_random(&seed, NODES - 1);
        const uint32_t n = 1 + (uint32_t)test_random(&seed, NODES - first);

        (void)snprintf(uid, sizeof(uid), "u-%u", (unsigned)test_random(&seed, 30));
        if (test_random(&seed, 4) == 0)
            change_something(&seed, step);
        now += test_random(&seed, 100);
        ask_with(&known, uid, cpus, names + first, n, now, memo);
        ask_with(&fresh, uid, cpus, names + first, n, now, NULL);
        assert_same(&known.d, &fresh.d);
        lowered += known.d.n_held;
        for (uint32_t i = 0; i < n; i++) /* nobody is refused, or let in, by a hold */
            assert_true((known.d.rows[i].wire > 0) == (known.d.rows[i].verdict == SCORE_ADMITTED));
        holds_filtered(holds, &known.d, &known.ask, now);
        if (n > 1)
            holds_prioritized(holds, &known.d, &known.ask, now);
        cluster_snapshot_unref(known.snapshot);
        end(&fresh);
    }
    assert_true(lowered > STEPS / 4); /* or it says nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_pods_do_not_both_count_on_the_last_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(its_own_hold_is_no_hindrance, setup, teardown),
        cmocka_unit_test_setup_teardown(a_single_node_left_by_filter_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(where_several_are_best_nothing_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(of_nodes_as_good_the_held_one_stands_back_by_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_hold_ends_when_the_pod_is_bound_or_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_without_a_binding_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(there_are_so_many_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(who_gets_nothing_of_its_own_holds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(beside_a_pod_is_as_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(remembered_answers_are_those_that_would_be_worked_out,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
