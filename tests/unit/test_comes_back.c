/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When which resource comes back (docs/scoring.md): a pod of each fate, asked for CPUs, memory and
 * devices, on a node that lists its placements and on one that does not.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster.h"

/* Objects are written with ' for " and ` for \", so that they can be read here. */

enum { MIDNIGHT_DAYS = 20781 }; /* 2026-11-24 */

static const int64_t GiB = INT64_C(1) << 30;

static int64_t fixed_now(void)
{
    return (int64_t)MIDNIGHT_DAYS * 86400 * 1000000;
}

struct bench {
    struct cluster *c;
    struct source_sink sink;
};

static int setup(void **state)
{
    static const struct cluster_options options = {.now_us = fixed_now, .hash_key = {1, 2}};
    struct bench *const b = calloc(1, sizeof(*b));

    assert_int_equal(cluster_new(&b->c, &options, NULL), 0);
    b->sink = cluster_sink(b->c);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    cluster_free(b->c);
    free(b);
    return 0;
}

static void send(struct bench *b, enum source_kind kind, const char *type, const char *ns,
                 const char *name, const char *text)
{
    deliver(&b->sink, kind, type, ns, name, text ? text : "");
}

/* One zone: CPUs 0-3 (0 reserved), 8 GiB less 1, GPUs g0 and g1. Static managers. */
#define ATTRIBUTE(name, value) "{'name':'orchestration.gokore.io/" name "','value':'" value "'}"
#define REPORT(more, cpu, memory, gpu)                                                             \
    "{'metadata':{'name':'n1','uid':'u'},'attributes':["                                           \
    "{'name':'topologyManagerPolicy','value':'single-numa-node'}," ATTRIBUTE(                      \
        "cpu-manager-policy", "static") "," ATTRIBUTE("memory-manager-policy",                     \
                                                      "Static") "," ATTRIBUTE("reserved-cpus",     \
                                                                              "0") more            \
        "],'zones':[{'name':'node-0','attributes':[" ATTRIBUTE(                                    \
            "cpus",                                                                                \
            "0-3") "],'resources':[{'name':'cpu','capacity':'4','allocatable':'3',"                \
                   "'available':'" cpu                                                             \
                   "'},{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'" memory \
                   "'},{'name':'x.org/gpu','capacity':'2','allocatable':'2','available':'" gpu     \
                   "'}]}]}"
/* a/x has CPUs 1 and 2, 2 GiB and g1. */
#define PLACED                                                                                     \
    "," ATTRIBUTE(                                                                                 \
        "devices",                                                                                 \
        "{`x.org/gpu`:[{`id`:`g0`,`zones`:[0]},{`id`:`g1`,`zones`:[0]}]}") "," ATTRIBUTE("placeme" \
                                                                                         "nts",    \
                                                                                         "{`a/"    \
                                                                                         "x`:{`"   \
                                                                                         "uid`:`"  \
                                                                                         "ux`,`"   \
                                                                                         "contain" \
                                                                                         "ers`:{`" \
                                                                                         "main`:{" \
                                                                                         "`cpus`:" \
                                                                                         "`1-2`,`" \
                                                                                         "memory`" \
                                                                                         ":[{`"    \
                                                                                         "zones`:" \
                                                                                         "[0],"    \
                                                                                         "`type`:" \
                                                                                         "`memory" \
                                                                                         "`,`"     \
                                                                                         "bytes`:" \
                                                                                         "2147483" \
                                                                                         "648}],`" \
                                                                                         "devices" \
                                                                                         "`:{`x."  \
                                                                                         "org/"    \
                                                                                         "gpu`:[`" \
                                                                                         "g1`]}}}" \
                                                                                         "}}")

static void put_pod(struct bench *b, const char *meta, const char *status)
{
    char text[1024];

    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'namespace':'a','name':'x','uid':'ux'%s},'spec':{'nodeName':'n1',"
        "'containers':[{'name':'main','resources':{'limits':{'cpu':'2','memory':'2Gi','x.org/gpu':"
        "'1'},'requests':{'cpu':'2','memory':'2Gi','x.org/gpu':'1'}}}]},'status':{%s}}",
        meta, status);
    send(b, SOURCE_POD, "Pod", "a", "x", text);
}

/* A running pod on a node with that report. */
static void begin(struct bench *b, const char *report)
{
    send(b, SOURCE_NODE, "Node", "", "n1", "{'metadata':{'name':'n1'}}");
    send(b, SOURCE_NRT, "NodeResourceTopology", "", "n1", report);
    put_pod(b, "", "'phase':'Running'");
    b->sink.settled(b->sink.ctx);
}

/* What is held of CPUs 1-3 and of the GPUs, in numbers, and GiB of memory. */
static void assert_held(struct bench *b, uint32_t cpus, int64_t gib, uint32_t devices)
{
    b->sink.settled(b->sink.ctx);
    struct cluster_snapshot *const s = cluster_get(b->c);
    const struct node_view *const v = cluster_snapshot_find(s, STR("n1"));

    assert_int_equal(v->knowledge, NODE_KNOWN);
    assert_int_equal(3 - __builtin_popcountll(v->state.cpu_free[0] & 0xe), cpus);
    assert_int_equal(v->state.memory_free[0], (7 - gib) * GiB);
    assert_int_equal(v->state.memory_reserved[0], gib * GiB);
    assert_int_equal(__builtin_popcountll(v->state.device_held[0]), devices);
    cluster_snapshot_unref(s);
}

static void assert_all_held(struct bench *b)
{
    assert_held(b, 2, 2, 1);
}

static void assert_all_back(struct bench *b)
{
    assert_held(b, 0, 0, 0);
}

static const char listed[] = REPORT(PLACED, "1", "5Gi", "1");
static const char summed[] = REPORT("", "1", "5Gi", "1");
static const char summed_free[] = REPORT("", "3", "7Gi", "2");
static const char summed_before[] =
    REPORT("," ATTRIBUTE("observed-at", "2026-11-23T23:00:00Z"), "3", "7Gi", "2");

/* --- with placements --- */

static void what_an_exited_pod_held_comes_back_at_once(void **state)
{
    static const char *const statuses[] = {"'phase':'Succeeded'", "'phase':'Failed'"};
    struct bench *const b = *state;

    for (size_t i = 0; i < 2; i++) {
        begin(b, listed);
        assert_all_held(b);
        put_pod(b, "", statuses[i]);
        assert_all_back(b);
    }
}

/* Also where the report has caught what it had got before it was refused. */
static void what_a_rejected_pod_held_comes_back_at_once(void **state)
{
    struct bench *const b = *state;

    begin(b, listed);
    put_pod(b, "", "'phase':'Failed','reason':'TopologyAffinityError'");
    assert_all_back(b);
}

static void what_a_terminating_pod_holds_stays_held(void **state)
{
    struct bench *const b = *state;

    begin(b, listed);
    put_pod(b, ",'deletionTimestamp':'2026-11-24T00:00:00Z'", "'phase':'Running'");
    assert_all_held(b);
    put_pod(b, ",'deletionTimestamp':'2026-11-24T00:00:00Z'", "'phase':'Succeeded'");
    assert_all_back(b);
}

static void what_a_deleted_pod_held_comes_back_at_once(void **state)
{
    struct bench *const b = *state;

    begin(b, listed);
    send(b, SOURCE_POD, "Pod", "a", "x", NULL);
    assert_all_back(b);
}

/* --- without --- */

/* Nobody says what of `available` is whose. */
static void without_placements_the_next_report_gives_back(void **state)
{
    static const char *const ends[] = {"'phase':'Succeeded'",
                                       "'phase':'Failed','reason':'TopologyAffinityError'", NULL};
    struct bench *const b = *state;

    for (size_t i = 0; i < 3; i++) {
        begin(b, summed);
        assert_all_held(b);
        if (ends[i])
            put_pod(b, "", ends[i]);
        else
            send(b, SOURCE_POD, "Pod", "a", "x", NULL);
        assert_all_held(b);
        send(b, SOURCE_NRT, "NodeResourceTopology", "", "n1", summed_free);
        assert_all_back(b);
    }
}

static void without_placements_a_terminating_pod_holds_what_the_report_says(void **state)
{
    struct bench *const b = *state;

    begin(b, summed);
    put_pod(b, ",'deletionTimestamp':'2026-11-24T00:00:00Z'", "'phase':'Running'");
    assert_all_held(b);
}

/* It is not in the report's sums: what it holds is our own arithmetic, and goes with it. */
static void what_was_predicted_after_the_report_comes_back_at_once(void **state)
{
#define BOUND                                                                                      \
    "'conditions':[{'type':'PodScheduled','status':'True','lastTransitionTime':"                   \
    "'2026-11-23T23:30:00Z'}],"
    static const char *const ends[] = {BOUND "'phase':'Succeeded'",
                                       BOUND "'phase':'Failed','reason':'TopologyAffinityError'",
                                       NULL};
    struct bench *const b = *state;

    for (size_t i = 0; i < 3; i++) {
        begin(b, summed_before);
        assert_all_back(b); /* since when it is bound is not known: in the sums */
        put_pod(b, "", BOUND "'phase':'Running'");
        assert_all_held(b);
        put_pod(b, ",'deletionTimestamp':'2026-11-24T00:00:00Z'", BOUND "'phase':'Running'");
        assert_all_held(b);
        if (ends[i])
            put_pod(b, "", ends[i]);
        else
            send(b, SOURCE_POD, "Pod", "a", "x", NULL);
        assert_all_back(b);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_an_exited_pod_held_comes_back_at_once),
        T(what_a_rejected_pod_held_comes_back_at_once),
        T(what_a_terminating_pod_holds_stays_held),
        T(what_a_deleted_pod_held_comes_back_at_once),
        T(without_placements_the_next_report_gives_back),
        T(without_placements_a_terminating_pod_holds_what_the_report_says),
        T(what_was_predicted_after_the_report_comes_back_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
