/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/context.h"

/* Objects are written with ' for ". */

enum { SWAPS = 1500, READERS = 3 };

static int64_t the_time; /* of the fake clock; one thread */

static int64_t fake_now(void)
{
    return the_time;
}

static _Thread_local struct cluster_pod room; /* for pods that are looked up */

struct bench {
    struct cluster *c;
    struct source_sink sink;
};

static int setup(void **state)
{
    static const struct cluster_options options = {
        .max_age_us = 60 * 1000000, .now_us = fake_now, .hash_key = {7, 9}};
    struct bench *const b = calloc(1, sizeof(*b));

    the_time = INT64_C(20781) * 86400 * 1000000; /* 2026-11-24T00:00:00Z */
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

static int send(struct bench *b, enum source_verb verb, enum source_kind kind, const char *type,
                const char *ns, const char *name, const char *text)
{
    const struct source_delta delta = {
        .verb = verb, .kind = kind, .type = str_of(type), .ns = str_of(ns), .name = str_of(name)};
    struct err err;

    return deliver_delta(&b->sink, delta, text ? text : "", &err);
}

static void settle(struct bench *b)
{
    b->sink.settled(b->sink.ctx);
}

static void put_node(struct bench *b, const char *name)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "{'metadata':{'name':'%s'}}", name);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_NODE, "Node", "", name, text), 0);
}

/* One zone of `cpus` CPUs; `attribute` is a JSON object or empty. */
static void put_nrt(struct bench *b, const char *name, const char *uid, int cpus,
                    const char *attribute)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','uid':'%s'},'attributes':[%s],'zones':[{'name':"
                   "'node-0','resources':[{'name':'cpu','capacity':'%d'}]}]}",
                   name, uid, attribute, cpus);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_NRT, "NodeResourceTopology", "", name, text), 0);
}

static void put_pod(struct bench *b, const char *name, const char *node, const char *phase)
{
    char text[256];

    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'namespace':'a','name':'%s'},'spec':{'nodeName':'%s','containers'"
        ":[{'name':'c','resources':{'limits':{'cpu':'1','memory':'1Gi'}}}]},'status':{'phase':"
        "'%s'}}",
        name, node, phase);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_POD, "Pod", "a", name, text), 0);
}

static struct node_view view(struct bench *b, const char *name)
{
    struct cluster_snapshot *const s = cluster_get(b->c);
    const struct node_view *const v = cluster_snapshot_find(s, str_of(name));

    assert_non_null(v);
    const struct node_view copy = *v; /* only its numbers are looked at */
    cluster_snapshot_unref(s);
    return copy;
}

static uint64_t generation(struct bench *b)
{
    struct cluster_snapshot *const s = cluster_get(b->c);
    const uint64_t g = cluster_snapshot_generation(s);

    cluster_snapshot_unref(s);
    return g;
}

static void a_new_cluster_has_an_empty_snapshot_and_is_not_synced(void **state)
{
    struct bench *const b = *state;
    struct cluster_snapshot *const s = cluster_get(b->c);

    assert_int_equal(cluster_snapshot_nodes(s), 0);
    assert_null(cluster_snapshot_find(s, STR("n1")));
    assert_null(cluster_snapshot_pod(s, STR("a"), STR("p"), &room));
    assert_false(cluster_is_synced(b->c));
    cluster_snapshot_unref(s);
    settle(b);
    assert_true(cluster_is_synced(b->c));
}

static void one_settled_makes_one_snapshot_of_all_deltas(void **state)
{
    struct bench *const b = *state;

    settle(b);
    const uint64_t before = generation(b);
    for (int i = 0; i < 700; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "n%d", i);
        put_node(b, name);
        put_nrt(b, name, "u", 1 + i, "");
    }
    assert_int_equal(generation(b), before);
    settle(b);
    assert_int_equal(generation(b), before + 1);
    struct cluster_snapshot *const s = cluster_get(b->c);
    assert_int_equal(cluster_snapshot_nodes(s), 700);
    for (uint32_t i = 1; i < 700; i++)
        assert_true(
            str_cmp(cluster_snapshot_node(s, i - 1)->name, cluster_snapshot_node(s, i)->name) < 0);
    for (int i = 0; i < 700; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(cluster_snapshot_find(s, str_of(name))->machine.n_cpus, 1 + i);
    }
    assert_null(cluster_snapshot_find(s, STR("n700")));
    cluster_snapshot_unref(s);
}

static void settled_without_a_change_makes_no_snapshot(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    settle(b);
    const uint64_t before = generation(b);
    settle(b);
    assert_int_equal(generation(b), before);
}

static void only_the_changed_node_gets_a_new_view(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_node(b, "n2");
    settle(b);
    struct cluster_snapshot *const before = cluster_get(b->c);
    put_nrt(b, "n2", "u", 4, "");
    settle(b);
    struct cluster_snapshot *const after = cluster_get(b->c);
    assert_ptr_equal(cluster_snapshot_node(before, 0), cluster_snapshot_node(after, 0));
    assert_ptr_not_equal(cluster_snapshot_node(before, 1), cluster_snapshot_node(after, 1));
    assert_int_not_equal(cluster_snapshot_node(before, 1)->revision,
                         cluster_snapshot_node(after, 1)->revision);
    assert_int_equal(cluster_snapshot_node(before, 1)->knowledge, NODE_NO_TOPOLOGY);
    assert_int_equal(cluster_snapshot_node(after, 1)->knowledge, NODE_KNOWN);
    cluster_snapshot_unref(before);
    cluster_snapshot_unref(after);
}

static void a_snapshot_outlives_its_nodes_and_the_cluster(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_pod(b, "p", "n1", "Running");
    settle(b);
    struct cluster_snapshot *const s = cluster_get(b->c);
    assert_int_equal(send(b, SOURCE_DELETE, SOURCE_NODE, "Node", "", "n1", NULL), 0);
    assert_int_equal(send(b, SOURCE_DELETE, SOURCE_POD, "Pod", "a", "p", NULL), 0);
    settle(b);
    struct cluster_snapshot *const now = cluster_get(b->c);
    assert_int_equal(cluster_snapshot_nodes(now), 0);
    assert_null(cluster_snapshot_pod(now, STR("a"), STR("p"), &room));
    cluster_snapshot_unref(now);
    cluster_free(b->c);
    b->c = NULL;
    assert_true(str_is(cluster_snapshot_find(s, STR("n1"))->name, "n1"));
    assert_true(str_is(cluster_snapshot_pod(s, STR("a"), STR("p"), &room)->node, "n1"));
    cluster_snapshot_unref(s);
}

static void a_report_or_a_pod_alone_makes_no_node(void **state)
{
    struct bench *const b = *state;

    put_nrt(b, "n1", "u", 4, "");
    put_pod(b, "p", "n2", "Running");
    settle(b);
    struct cluster_snapshot *s = cluster_get(b->c);
    assert_int_equal(cluster_snapshot_nodes(s), 0);
    cluster_snapshot_unref(s);
    put_node(b, "n1"); /* in any order */
    put_node(b, "n2");
    settle(b);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
    assert_int_equal(view(b, "n1").n_pods, 0);
}

static void a_pod_answers_before_a_workload_of_its_name(void **state)
{
    struct bench *const b = *state;
    static const char *const template =
        "{'kind':'%s','metadata':{'namespace':'a','name':'web'},'spec':{'template':{'spec':"
        "{'priority':%d,'containers':[{'name':'c'}]}}}}";
    char text[256];

    (void)snprintf(text, sizeof(text), template, "StatefulSet", 1);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_WORKLOAD, "StatefulSet", "a", "web", text), 0);
    (void)snprintf(text, sizeof(text), template, "Deployment", 2);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_WORKLOAD, "Deployment", "a", "web", text), 0);
    put_pod(b, "web", "", "Pending");
    for (int round = 0; round < 4; round++) {
        static const int priority[] = {0, 2, 1};
        static const struct {
            enum source_kind kind;
            const char *type;
        } gone[] = {
            {SOURCE_POD, "Pod"}, {SOURCE_WORKLOAD, "Deployment"}, {SOURCE_WORKLOAD, "StatefulSet"}};

        settle(b);
        struct cluster_snapshot *const s = cluster_get(b->c);
        const struct score_pod *const p = cluster_snapshot_pod(s, STR("a"), STR("web"), &room);
        if (round < 3)
            assert_int_equal(p->priority, priority[round]);
        else
            assert_null(p);
        cluster_snapshot_unref(s);
        if (round < 3)
            assert_int_equal(
                send(b, SOURCE_DELETE, gone[round].kind, gone[round].type, "a", "web", NULL), 0);
    }
}

static void a_pod_counts_on_its_node_until_it_ends(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_node(b, "n2");
    put_nrt(b, "n1", "u", 4, "");
    put_nrt(b, "n2", "u", 4, "");
    put_pod(b, "p", "n1", "Running");
    put_pod(b, "q", "n1", "Running");
    settle(b);
    assert_int_equal(view(b, "n1").n_pods, 2);
    put_pod(b, "p", "n2", "Running"); /* cannot happen, but must not hurt */
    settle(b);
    assert_int_equal(view(b, "n1").n_pods, 1);
    assert_int_equal(view(b, "n2").n_pods, 1);
    put_pod(b, "p", "n2", "Failed");
    put_pod(b, "q", "n1", "Succeeded");
    settle(b);
    assert_int_equal(view(b, "n1").n_pods, 0);
    assert_int_equal(view(b, "n2").n_pods, 0);
}

static void an_object_that_does_not_decode_leaves_the_last_good_one(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, "");
    settle(b);
    const uint64_t before = generation(b);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_NRT, "NodeResourceTopology", "", "n1",
                          "{'metadata':{'name':'n1'},'zones':[{'name':'zone'}]}"),
                     -EINVAL);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_NODE, "Node", "", "n9", "{"), -EINVAL);
    settle(b);
    assert_int_equal(generation(b), before);
    assert_int_equal(view(b, "n1").machine.n_cpus, 4);
}

#define GENERATION(n) "{'name':'orchestration.gokore.io/generation','value':'" #n "'}"

static void a_generation_may_not_go_back_within_one_object(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, GENERATION(5));
    settle(b);
    put_nrt(b, "n1", "u", 4, GENERATION(4));
    settle(b);
    assert_int_equal(view(b, "n1").knowledge, NODE_STALE);
    put_nrt(b, "n1", "u", 4, GENERATION(5));
    settle(b);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
    put_nrt(b, "n1", "other", 4, GENERATION(1)); /* a new object counts anew */
    settle(b);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
}

static void a_tick_makes_old_reports_stale_and_nothing_else(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_node(b, "n2");
    put_nrt(b, "n1", "u", 4,
            "{'name':'orchestration.gokore.io/observed-at','value':'2026-11-24T00:00:00Z'}");
    put_nrt(b, "n2", "u", 4, "");
    settle(b);
    const uint64_t before = generation(b);
    the_time += 60 * 1000000; /* exactly maxAge */
    cluster_tick(b->c);
    assert_int_equal(generation(b), before);
    the_time += 1;
    cluster_tick(b->c);
    assert_int_equal(generation(b), before + 1);
    assert_int_equal(view(b, "n1").knowledge, NODE_STALE);
    assert_int_equal(view(b, "n2").knowledge, NODE_KNOWN);
    the_time += 1000000;
    cluster_tick(b->c);
    assert_int_equal(generation(b), before + 1);
}

static void a_new_age_counts_at_once_in_both_directions(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_node(b, "n2");
    put_nrt(b, "n1", "u", 4,
            "{'name':'orchestration.gokore.io/observed-at','value':'2026-11-24T00:00:00Z'}");
    put_nrt(b, "n2", "u", 4, "");
    the_time += 30 * 1000000;
    settle(b);
    const uint64_t before = generation(b);
    cluster_set_max_age(b->c, 60 * 1000000); /* as it is */
    assert_int_equal(generation(b), before);
    cluster_set_max_age(b->c, 29 * 1000000);
    assert_int_equal(generation(b), before + 1);
    assert_int_equal(view(b, "n1").knowledge, NODE_STALE);
    assert_int_equal(view(b, "n2").knowledge, NODE_KNOWN);
    cluster_set_max_age(b->c, 40 * 1000000);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
    the_time += 10 * 1000000 + 1;
    cluster_tick(b->c); /* by the new age, not the first */
    assert_int_equal(view(b, "n1").knowledge, NODE_STALE);
    cluster_set_max_age(b->c, 0);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
    the_time += INT64_C(86400) * 1000000;
    cluster_tick(b->c);
    assert_int_equal(view(b, "n1").knowledge, NODE_KNOWN);
}

/* --- threads --- */

struct readers {
    struct cluster *c;
    atomic_bool stop;
    atomic_uint wrong;
};

/* Both nodes are changed in each batch, to the same number of CPUs: a mix must never be seen. */
static void *read_on(void *ctx)
{
    struct readers *const r = ctx;
    uint64_t last = 0;

    while (!atomic_load(&r->stop)) {
        struct cluster_snapshot *const s = cluster_get(r->c);
        const struct node_view *const a = cluster_snapshot_find(s, STR("n1"));
        const struct node_view *const b = cluster_snapshot_find(s, STR("n2"));
        const uint64_t generation_now = cluster_snapshot_generation(s);

        if (!a || !b || a->machine.n_cpus != b->machine.n_cpus || generation_now < last ||
            !cluster_snapshot_pod(s, STR("a"), STR("p"), &room))
            atomic_fetch_add(&r->wrong, 1);
        last = generation_now;
        cluster_snapshot_unref(s);
    }
    return NULL;
}

static void readers_see_whole_snapshots_while_the_writer_swaps(void **state)
{
    struct bench *const b = *state;
    struct readers r = {.c = b->c};
    pthread_t thread[READERS];

    put_node(b, "n1");
    put_node(b, "n2");
    put_pod(b, "p", "n1", "Running");
    settle(b);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &r), 0);
    for (int i = 0; i < SWAPS; i++) {
        put_nrt(b, "n1", "u", 1 + i % 9, "");
        put_nrt(b, "n2", "u", 1 + i % 9, "");
        put_pod(b, "p", i % 2 ? "n1" : "n2", "Running");
        if (i % 50 == 0) { /* another set of names */
            put_node(b, "n3");
            settle(b);
            assert_int_equal(send(b, SOURCE_DELETE, SOURCE_NODE, "Node", "", "n3", NULL), 0);
        }
        settle(b);
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(atomic_load(&r.wrong), 0);
}

/* --- signals --- */

static void put_signal(struct bench *b, const char *name, const char *nodes, const char *more)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'spec':{'kind':'computeUtilization','unit':"
                   "'permille','ttlSeconds':10,'nodes':{%s}%s}}",
                   name, nodes, more);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_SIGNAL, "Signal", "", name, text), 0);
    settle(b);
}

static void a_signal_counts_until_it_is_too_old(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, "");
    put_node(b, "n2");
    put_nrt(b, "n2", "u", 4, "");
    settle(b);
    const uint64_t other = view(b, "n2").revision;
    assert_false(view(b, "n1").load.has_utilization);
    put_signal(b, "busy", "'n1':{'value':700},'elsewhere':{'value':1}", "");
    assert_int_equal(view(b, "n1").load.utilization, 700);
    assert_int_equal(view(b, "n2").revision, other); /* nobody spoke of it */
    the_time += 10 * 1000000;
    cluster_tick(b->c);
    assert_true(view(b, "n1").load.has_utilization);
    the_time += 1;
    cluster_tick(b->c);
    assert_false(view(b, "n1").load.has_utilization);
    assert_int_equal(view(b, "n1").n_stale, 1);
    put_signal(b, "busy", "'n1':{'value':700},'elsewhere':{'value':1}", ""); /* the same again */
    assert_true(view(b, "n1").load.has_utilization);
    assert_int_equal(view(b, "n1").n_stale, 0);
    assert_int_equal(send(b, SOURCE_DELETE, SOURCE_SIGNAL, "Signal", "", "busy", NULL), 0);
    settle(b);
    assert_false(view(b, "n1").load.has_utilization);
}

static void figures_that_come_again_change_no_view(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, "");
    put_node(b, "n2");
    put_nrt(b, "n2", "u", 4, "");
    put_signal(b, "busy", "'n1':{'value':700},'n2':{'devices':{'g':5}}", "");
    const uint64_t one = view(b, "n1").revision, two = view(b, "n2").revision;
    the_time += 9 * 1000000;
    put_signal(b, "busy", "'n2':{'devices':{'g':6}},'n1':{'value':700}", "");
    assert_int_equal(view(b, "n1").revision, one);
    assert_int_not_equal(view(b, "n2").revision, two);
    the_time += 9 * 1000000; /* the first ones would have ended by now */
    cluster_tick(b->c);
    assert_true(view(b, "n1").load.has_utilization);
    put_signal(b, "busy", "'n2':{'devices':{'g':6}}", ""); /* nothing of n1 any more */
    assert_false(view(b, "n1").load.has_utilization);
}

static void a_signal_says_itself_when_it_was_observed(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, "");
    put_signal(b, "old", "'n1':{'value':1}", ",'observedAt':'2026-11-23T23:59:49Z'");
    assert_false(view(b, "n1").load.has_utilization); /* eleven seconds before midnight */
    assert_int_equal(view(b, "n1").n_stale, 1);
    put_signal(b, "old", "'n1':{'value':1}", ",'observedAt':'2026-11-23T23:59:50Z'");
    assert_true(view(b, "n1").load.has_utilization);
}

/* --- policies --- */

static void put_policy(struct bench *b, const char *spec)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "{'metadata':{'name':'p'},'spec':{%s}}", spec);
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_POLICY, "ConcurrencyPolicy", "", "p", text), 0);
    settle(b);
}

static const struct score_policy *policy_of(struct cluster_snapshot *s, const char *ns)
{
    return cluster_context_policy(cluster_snapshot_context(s), str_of(ns));
}

static void a_snapshot_keeps_the_policies_it_was_made_with(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n1");
    put_nrt(b, "n1", "u", 4, "");
    put_policy(b, "'precedence':1");
    const uint64_t revision = view(b, "n1").revision;
    struct cluster_snapshot *const before = cluster_get(b->c);
    put_policy(b, "'precedence':2,'namespaceSelector':{'matchLabels':{'team':'a'}}");
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_NAMESPACE, "Namespace", "", "x",
                          "{'metadata':{'name':'x','labels':{'team':'a'}}}"),
                     0);
    settle(b);
    struct cluster_snapshot *const after = cluster_get(b->c);
    assert_int_equal(policy_of(before, "y")->precedence, 1);
    assert_int_equal(policy_of(after, "x")->precedence, 2);
    assert_null(policy_of(after, "y"));
    /* who must be alone is in the views, nothing else of a policy */
    assert_int_equal(view(b, "n1").revision, revision);
    put_policy(b, "'qosClassMapping':[{'name':'c','priority':1,'numaExclusive':true}]");
    assert_int_not_equal(view(b, "n1").revision, revision);
    assert_int_equal(send(b, SOURCE_DELETE, SOURCE_POLICY, "ConcurrencyPolicy", "", "p", NULL), 0);
    settle(b);
    struct cluster_snapshot *const last = cluster_get(b->c);
    assert_null(policy_of(last, "x"));
    cluster_snapshot_unref(before);
    cluster_snapshot_unref(after);
    cluster_snapshot_unref(last);
}

static void a_broken_policy_leaves_the_last_good_one(void **state)
{
    struct bench *const b = *state;

    put_policy(b, "'precedence':1");
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_POLICY, "ConcurrencyPolicy", "", "p",
                          "{'metadata':{'name':'p'},'spec':{'precedence':'high'}}"),
                     -EINVAL);
    settle(b);
    struct cluster_snapshot *const s = cluster_get(b->c);
    assert_int_equal(policy_of(s, "x")->precedence, 1);
    cluster_snapshot_unref(s);
}

static bool count_ready(void *ctx, const struct score_pod *pod)
{
    *(int *)ctx += (pod->traits & POD_READY) != 0;
    return true;
}

/* Readiness is of interest to some, but to no node: no view is built for it. */
static void a_pod_that_becomes_ready_leaves_its_node_as_it_is(void **state)
{
    struct bench *const b = *state;
    const char *const ready = "{'metadata':{'namespace':'a','name':'p'},'spec':{'nodeName':'n1',"
                              "'containers':[{'name':'c','resources':{'limits':{'cpu':'1',"
                              "'memory':'1Gi'}}}]},'status':{'phase':'Running','conditions':[{'"
                              "type':'Ready','status':'True'}]}}";
    int n = 0;

    put_node(b, "n1");
    put_pod(b, "p", "n1", "Running");
    settle(b);
    const uint64_t revision = view(b, "n1").revision;
    assert_int_equal(send(b, SOURCE_UPSERT, SOURCE_POD, "Pod", "a", "p", ready), 0);
    settle(b);
    assert_int_equal(view(b, "n1").revision, revision);
    struct cluster_snapshot *const s = cluster_get(b->c);
    cluster_snapshot_pods(s, count_ready, &n);
    cluster_snapshot_unref(s);
    assert_int_equal(n, 1);
}

/* What a node was is idle, and given to what it becomes. */
static void a_node_that_changes_has_one_likeness(void **state)
{
    struct bench *const b = *state;

    put_node(b, "n");
    for (int cpus = 1; cpus <= 50; cpus++) {
        put_nrt(b, "n", "u", cpus, "");
        settle(b);
    }
    struct cluster_snapshot *const s = cluster_get(b->c);
    assert_int_equal(cluster_snapshot_likenesses(s), 1);
    assert_true(cluster_snapshot_places(s) <= 2);
    cluster_snapshot_unref(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_new_cluster_has_an_empty_snapshot_and_is_not_synced),
        T(one_settled_makes_one_snapshot_of_all_deltas),
        T(settled_without_a_change_makes_no_snapshot),
        T(only_the_changed_node_gets_a_new_view),
        T(a_pod_that_becomes_ready_leaves_its_node_as_it_is),
        T(a_snapshot_outlives_its_nodes_and_the_cluster),
        T(a_report_or_a_pod_alone_makes_no_node),
        T(a_pod_answers_before_a_workload_of_its_name),
        T(a_pod_counts_on_its_node_until_it_ends),
        T(an_object_that_does_not_decode_leaves_the_last_good_one),
        T(a_generation_may_not_go_back_within_one_object),
        T(a_tick_makes_old_reports_stale_and_nothing_else),
        T(a_new_age_counts_at_once_in_both_directions),
        T(readers_see_whole_snapshots_while_the_writer_swaps),
        T(a_signal_counts_until_it_is_too_old),
        T(figures_that_come_again_change_no_view),
        T(a_signal_says_itself_when_it_was_observed),
        T(a_snapshot_keeps_the_policies_it_was_made_with),
        T(a_broken_policy_leaves_the_last_good_one),
        cmocka_unit_test_setup_teardown(a_node_that_changes_has_one_likeness, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
