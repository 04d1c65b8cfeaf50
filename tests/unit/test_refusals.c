/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that every node refused: a pod wants 4 CPUs of one zone, and a node has two zones of 6 CPUs
 * together. Which zone has how many is what its report says alone. The clock is the test's.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "extender/refusals.h"

enum { ROOM = 4 * 1024 * 1024, MANY = 700 };

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static struct cluster *cluster;
static struct source_sink sink;
static struct memo *memo;
static char *room;
static struct arena arena;
static struct refusals refusals;
static uint64_t now_ns;

/* ---- the cluster ---- */

/* A report: one zone of so many CPUs, and one of the rest of 6. */
static void report(const char *name, unsigned cpus)
{
    char text[1024];
    size_t n = (size_t)snprintf(
        text, sizeof(text),
        "{'metadata':{'name':'%s'},'attributes':[{'name':'topologyManagerPolicy',"
        "'value':'single-numa-node'},{'name':'topologyManagerScope','value':'container'},{'name':"
        "'orchestration.gokore.io/placements','value':'{}'}],'zones':[",
        name);

    for (unsigned z = 0; z < 2; z++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{'name':'node-%u','type':'Node','resources':[{'name':'cpu',"
                              "'capacity':'%u','allocatable':'%u','available':'%u'}]}",
                              z ? "," : "", z, z ? 6 - cpus : cpus, z ? 6 - cpus : cpus,
                              z ? 6 - cpus : cpus);
    (void)snprintf(text + n, sizeof(text) - n, "]}");
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static void put_node(const char *name, unsigned cpus)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'status':{'allocatable':{'cpu':'6','memory':'64Gi',"
                   "'pods':'110'},'capacity':{'cpu':'6','memory':'64Gi','pods':'110'}}}",
                   name);
    deliver(&sink, SOURCE_NODE, "Node", "", name, text);
    report(name, cpus);
}

static void put_pod(const char *name, const char *uid, const char *node)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','namespace':'ml','uid':'%s'},'spec':{'nodeName':'%s',"
                   "'containers':[{'name':'c','resources':{'limits':{'cpu':'4','memory':'1Gi'}}}]}"
                   "}",
                   name, uid, node);
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
    assert_int_equal(memo_new(&memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, NULL), 0);
    room = malloc(ROOM);
    assert_non_null(room);
    arena_init(&arena, room, ROOM);
    refusals = (struct refusals){.first = NULL};
    now_ns = 1000 * S;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    refusals_done(&refusals);
    memo_free(memo);
    cluster_free(cluster);
    free(room);
    return 0;
}

/* ---- what the extender does ---- */

static const struct decide_options options = {.max_score = DECIDE_DEFAULT_MAX_SCORE};

/* Filter is asked about the nodes for the pod of the cluster; whether it was kept as refused. */
static bool ask(const char *pod, const struct str *names, uint32_t n)
{
    struct cluster_snapshot *const s = cluster_get(cluster);
    struct cluster_pod of;
    struct decide_ask ask = {.names = names, .n = n};
    struct decision d;

    ask.pod = cluster_snapshot_pod(s, STR("ml"), str_of(pod), &of);
    assert_non_null(ask.pod);
    assert_int_equal(decide_run(&d, &ask, s, &options, &arena, NULL), 0);
    const bool refused = refusal_is_one(&d, DECIDE_ENFORCE);
    if (refused) {
        struct refusal *const f = refusal_new(&d, &ask);
        assert_non_null(f);
        refusals_put(&refusals, f, now_ns);
    }
    cluster_snapshot_unref(s);
    arena_rewind(&arena, 0);
    return refused;
}

/* A look of the worker after `ms` more; how many are due then. */
static uint32_t due_after(uint64_t ms)
{
    struct cluster_snapshot *const s = cluster_get(cluster);
    struct decide_options with = options;

    now_ns += ms * MS;
    with.memo = memo;
    refusals_sweep(&refusals, s, now_ns);
    while (refusals_look(&refusals, s, &with, &arena, now_ns))
        assert_int_equal(arena.used, 0);
    cluster_snapshot_unref(s);
    return refusals_due(&refusals, now_ns);
}

static const struct str pair[] = {{"one", 3}, {"two", 3}};

/* A pod `a` that both nodes refuse, for they have 3 CPUs a zone. */
static void refuse_a(void)
{
    put_node("one", 3);
    put_node("two", 3);
    put_pod("a", "uid-a", "");
    settle();
    assert_true(ask("a", pair, 2));
}

/* ---- tests ---- */

static void a_report_alone_makes_it_due_a_second_later(void **state)
{
    refuse_a();
    assert_int_equal(due_after(5000), 0);
    report("two", 4);
    settle();
    assert_int_equal(due_after(500), 0); /* seen now: kube-scheduler may ask by itself */
    assert_int_equal(due_after(999), 0);
    assert_int_equal(due_after(1), 1);
}

static void what_fits_for_a_moment_only_is_not_due(void **state)
{
    refuse_a();
    report("two", 4);
    settle();
    assert_int_equal(due_after(500), 0);
    report("two", 3);
    settle();
    assert_int_equal(due_after(2000), 0);
    report("two", 5);
    settle();
    assert_int_equal(due_after(2000), 0);
    assert_int_equal(due_after(1000), 1);
}

/* kube-scheduler's own filters took the others out, or its sample did. */
static void only_nodes_that_were_asked_about_count(void **state)
{
    refuse_a();
    assert_true(ask("a", &pair[0], 1));
    report("two", 5);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 0);
    report("one", 5);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 1);
}

static void who_passes_or_has_a_node_or_is_gone_is_forgotten(void **state)
{
    uint64_t since_ns = 1;

    refuse_a();
    assert_false(refusals_pass(&refusals, STR("uid-b"), now_ns, &since_ns));
    assert_true(refusals_pass(&refusals, STR("uid-a"), now_ns, &since_ns));
    assert_int_equal(since_ns, 0); /* nobody had to be told */
    assert_int_equal(refusals.n, 0);

    assert_true(ask("a", pair, 2));
    put_pod("a", "uid-a", "one");
    settle();
    assert_int_equal(due_after(0), 0);
    assert_int_equal(refusals.n, 0);

    put_pod("a", "uid-a2", "");
    settle();
    assert_true(ask("a", pair, 2));
    (void)due_after(0);
    assert_int_equal(refusals.n, 1);
    put_pod("a", "uid-a3", ""); /* another one of this name */
    settle();
    (void)due_after(0);
    assert_int_equal(refusals.n, 0);

    assert_true(ask("a", pair, 2));
    (void)due_after(0);
    deliver(&sink, SOURCE_POD, "Pod", "ml", "a", "");
    settle();
    (void)due_after(0);
    assert_int_equal(refusals.n, 0);
}

static void what_admits_is_no_refusal(void **state)
{
    static const struct str unknown[] = {{"three", 5}};

    refuse_a();
    report("two", 4);
    settle();
    assert_false(ask("a", pair, 2));
    assert_false(ask("a", unknown, 1)); /* what is not known passes */
}

static void put_policy(const char *unknown)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ConcurrencyPolicy',"
                   "'metadata':{'name':'strict'},'spec':{'numa':{'unknownTopology':'%s'}}}",
                   unknown);
    deliver(&sink, SOURCE_POLICY, "ConcurrencyPolicy", "", "strict", text);
}

/* A policy refuses nodes of which nothing is known. */
static void a_report_that_appears_makes_it_due(void **state)
{
    put_policy("Reject");
    put_node("one", 3);
    put_node("two", 4);
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", "two", "");
    put_pod("a", "uid-a", "");
    settle();
    assert_true(ask("a", pair, 2));
    put_policy("Pass"); /* it would pass on the second, but nobody knows whether it fits */
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 0);
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
}

static void where_everybody_passes_all_are_due(void **state)
{
    refuse_a();
    assert_int_equal(due_after(0), 0);
    refusals_admit_all(&refusals, now_ns);
    refusals_admit_all(&refusals, now_ns + 500 * MS);
    now_ns += 999 * MS;
    assert_int_equal(refusals_due(&refusals, now_ns), 0);
    now_ns += 1 * MS;
    assert_int_equal(refusals_due(&refusals, now_ns), 1);
}

/*
 * kube-scheduler's own filters keep it waiting, while the cluster changes all the time: due after
 * 1 s, and then after 2, 4, 8, 16, 32, 64, 128 and 256 s more, 511 s in sum. The next pause is 300
 * s: by then it is forgotten, 600 s after it was asked about.
 */
static void in_a_busy_cluster_it_is_due_more_and_more_seldom(void **state)
{
    static const unsigned at_s[] = {1, 3, 7, 15, 31, 63, 127, 255, 511};
    uint64_t from_ns;
    size_t n = 0;

    refuse_a();
    for (unsigned i = 0; i < 2000; i++) {
        report("two", i % 2 ? 5 : 4);
        settle();
        if (i == 0)
            from_ns = now_ns;
        if (due_after(i ? 500 : 0)) {
            assert_true(n < sizeof(at_s) / sizeof(at_s[0]));
            assert_int_equal(now_ns - from_ns, at_s[n] * S);
            refusals_made(&refusals, false, now_ns);
            n++;
        }
    }
    assert_int_equal(n, sizeof(at_s) / sizeof(at_s[0]));
    assert_int_equal(refusals.n, 0);
}

static void in_a_quiet_cluster_it_is_due_once(void **state)
{
    refuse_a();
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
    refusals_made(&refusals, true, now_ns); /* the API server was away */
    assert_int_equal(due_after(1000), 1);
    refusals_made(&refusals, false, now_ns);
    for (int i = 0; i < 100; i++)
        assert_int_equal(due_after(5000), 0);
    report("two", 5);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
}

/* Admitted, asked about, refused, again and again: the pauses grow all the same. */
static void refused_anew_it_is_due_no_sooner(void **state)
{
    refuse_a();
    for (uint64_t pause_s = 1; pause_s <= 8; pause_s *= 2) { /* 1, then 2, 4 and 8 */
        report("two", 4);
        settle();
        (void)due_after(0);
        assert_int_equal(due_after(pause_s * 1000 - 1), 0);
        assert_int_equal(due_after(1), 1);
        refusals_made(&refusals, false, now_ns);
        report("two", 3);
        settle();
        assert_true(ask("a", pair, 2));
    }
    now_ns += 301 * S; /* long ago: it begins anew */
    assert_true(ask("a", pair, 2));
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(999), 0);
    assert_int_equal(due_after(1), 1);
    refusals_made(&refusals, false, now_ns);
    report("two", 5);
    settle();
    assert_int_equal(due_after(1999), 0);
    assert_int_equal(due_after(1), 1);
}

static void since_when_it_was_told_is_known(void **state)
{
    uint64_t since_ns = 0;

    refuse_a();
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
    assert_true(refusals_pass(&refusals, STR("uid-a"), now_ns + 7, &since_ns));
    assert_int_equal(since_ns, 7);
    refusals_made(&refusals, false, now_ns + 8); /* it was quicker than the API server's answer */

    report("two", 3);
    settle();
    assert_true(ask("a", pair, 2));
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
    refusals_made(&refusals, true, now_ns);
    assert_true(refusals_pass(&refusals, STR("uid-a"), now_ns + 7, &since_ns));
    assert_int_equal(since_ns, 0);
}

/* Nodes move to other places in the order of names; those that were asked about are the same. */
static void nodes_that_come_and_go_change_nothing(void **state)
{
    refuse_a();
    put_node("aaa", 5); /* not asked about */
    put_node("zzz", 5);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 0);
    deliver(&sink, SOURCE_NODE, "Node", "", "one", "");
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", "one", "");
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 0);
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(5000), 1);
}

/* Many nodes, of which the last alone admits it in the end: they are judged in several goes. */
static void every_node_is_looked_at(void **state)
{
    static char names[MANY][8];
    static struct str all[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%03u", i);
        all[i] = str_of(names[i]);
        put_node(names[i], 3);
    }
    put_pod("a", "uid-a", "");
    settle();
    assert_true(ask("a", all, MANY));
    assert_int_equal(due_after(5000), 0);
    report(names[MANY - 1], 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), 1);
}

/* The one that was asked about longest ago makes room. */
static void there_are_only_so_many(void **state)
{
    uint64_t since_ns;
    char name[16], uid[16];

    refuse_a();
    for (unsigned i = 0; i < REFUSALS_MOST; i++) {
        (void)snprintf(name, sizeof(name), "p%u", i);
        (void)snprintf(uid, sizeof(uid), "uid-%u", i);
        put_pod(name, uid, "");
        settle();
        if (i == REFUSALS_MOST - 1)
            assert_true(ask("p0", pair, 2)); /* once more: then it is the next one */
        assert_true(ask(name, pair, 2));
    }
    assert_int_equal(refusals.n, REFUSALS_MOST);
    assert_false(refusals_pass(&refusals, STR("uid-a"), now_ns, &since_ns));
    put_pod("q", "uid-q", "");
    settle();
    assert_true(ask("q", pair, 2));
    assert_true(refusals_pass(&refusals, STR("uid-0"), now_ns, &since_ns));
    assert_false(refusals_pass(&refusals, STR("uid-1"), now_ns, &since_ns));
    report("two", 4);
    settle();
    (void)due_after(0);
    assert_int_equal(due_after(1000), REFUSALS_MOST - 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_report_alone_makes_it_due_a_second_later),
        T(what_fits_for_a_moment_only_is_not_due),
        T(only_nodes_that_were_asked_about_count),
        T(who_passes_or_has_a_node_or_is_gone_is_forgotten),
        T(what_admits_is_no_refusal),
        T(a_report_that_appears_makes_it_due),
        T(where_everybody_passes_all_are_due),
        T(in_a_busy_cluster_it_is_due_more_and_more_seldom),
        T(in_a_quiet_cluster_it_is_due_once),
        T(refused_anew_it_is_due_no_sooner),
        T(since_when_it_was_told_is_known),
        T(nodes_that_come_and_go_change_nothing),
        T(every_node_is_looked_at),
        T(there_are_only_so_many),
    };
#undef T

    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
