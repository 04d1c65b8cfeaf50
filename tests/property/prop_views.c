/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods, nodes and reports come, change and go, 10,000 times: what the cluster knows of each node is
 * at any time what one knows that is told everything at once, in any order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { CHANGES = 10000, EVERY = 25, NODES = 3, PODS = 18, OBJECTS = 2 * NODES + PODS, TEXT = 4096 };

static const int64_t noon_us = INT64_C(1795521600) * 1000000; /* 2026-11-24T12:00:00Z */

static int64_t now_us(void)
{
    return noon_us;
}

/* What there is: NODES nodes, their reports, PODS pods; empty text = not there. */
struct object {
    enum source_kind kind;
    char name[16], json[TEXT];
};

static struct object objects[OBJECTS];

static const char *type_of(enum source_kind kind)
{
    return kind == SOURCE_NODE ? "Node" : kind == SOURCE_NRT ? "NodeResourceTopology" : "Pod";
}

static void deliver(const struct source_sink *sink, const struct object *o)
{
    static const char *const ns[] = {"", "d"};
    struct err err = {0};
    const struct source_delta delta = {.verb = o->json[0] ? SOURCE_UPSERT : SOURCE_DELETE,
                                       .kind = o->kind,
                                       .type = str_of(type_of(o->kind)),
                                       .ns = str_of(ns[o->kind == SOURCE_POD]),
                                       .name = str_of(o->name),
                                       .json = str_of(o->json)};

    if (sink->delta(sink->ctx, &delta, &err))
        fail_msg("%s: %s\n%s", o->name, err.text, o->json);
}

/* A number below `below`: drawn one after the other, in an order that no compiler chooses. */
static unsigned draw(uint64_t *seed, uint64_t below)
{
    return (unsigned)test_random(seed, below);
}

/* JSON with ' for " and ` for \". */
static void set_text(struct object *o, const char *text)
{
    size_t n = 0;

    memset(o->json, 0, sizeof(o->json));
    for (const char *p = text; *p; p++) {
        if (*p == '`')
            o->json[n++] = '\\';
        o->json[n++] = (char)(*p == '\'' || *p == '`' ? '"' : *p);
        assert_true(n + 65 < sizeof(o->json));
    }
}

static void make_pod(struct object *o, uint64_t *seed)
{
    static const char *const phases[] = {"Running", "Running", "Running", "Succeeded", "Failed"};
    const unsigned cpus = draw(seed, 4), second = draw(seed, 60), uid = draw(seed, 2),
                   memory = 1 + draw(seed, 9), phase = draw(seed, 5), node = draw(seed, NODES);
    const bool bound = draw(seed, 6);
    char text[1024], where[32] = "";

    if (bound)
        (void)snprintf(where, sizeof(where), "'nodeName':'n%u',", node);
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'d','name':'%s','uid':'%s-%u'},'spec':{%s'containers':"
                   "[{'name':'m','resources':{'limits':{'cpu':'%u','memory':'%uGi'}}}]},'status':{"
                   "'phase':'%s','conditions':[{'type':'PodScheduled','status':'True',"
                   "'lastTransitionTime':'2026-11-24T11:59:%02uZ'}]}}",
                   o->name, o->name, uid, where, cpus, memory, phases[phase], second);
    set_text(o, text);
}

static void make_node(struct object *o)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'status':{'capacity':{'cpu':'16','memory':'16Gi'},"
                   "'allocatable':{'cpu':'14','memory':'14Gi'},'nodeInfo':{'kubeletVersion':"
                   "'v1.36.3'}}}",
                   o->name);
    set_text(o, text);
}

/* Some pods are listed, of this node or not, running or not, with what they may hold. */
static size_t put_placements(char *out, size_t room, uint64_t *seed)
{
    size_t n =
        (size_t)snprintf(out, room, ",{'name':'orchestration.gokore.io/placements','value':'{");

    for (unsigned i = 0, k = 0; i < PODS; i++) {
        if (test_random(seed, 5))
            continue;
        const bool wide = draw(seed, 3) == 0;
        const unsigned uid = draw(seed, 2), cpu = draw(seed, 16);

        n += (size_t)snprintf(out + n, room - n,
                              "%s`d/p%u`:{`uid`:`p%u-%u`,`containers`:{`m`:{`cpus`:`%u`,`memory`:"
                              "[{`zones`:[%s],`type`:`memory`,`bytes`:%u000000000}]}}}",
                              k++ ? "," : "", i, i, uid, cpu, wide ? "0,1" : "1", wide ? 8 : 1);
    }
    return n + (size_t)snprintf(out + n, room - n, "}'}");
}

static void make_report(struct object *o, uint64_t *seed)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    const unsigned policy = draw(seed, 4), second = draw(seed, 60), cpus = draw(seed, 8),
                   memory = draw(seed, 8);
    char text[TEXT], placements[TEXT] = "";

    if (test_random(seed, 2))
        (void)put_placements(placements, sizeof(placements), seed);
    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'name':'%s','uid':'u'},'attributes':[{'name':'topologyManagerPolicy','value':"
        "'%s'},{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'},{'name':"
        "'orchestration.gokore.io/memory-manager-policy','value':'Static'},{'name':"
        "'orchestration.gokore.io/reserved-cpus','value':'0,8'},{'name':"
        "'orchestration.gokore.io/observed-at','value':'2026-11-24T11:59:%02uZ'}%s],'zones':[{"
        "'name':'node-0','attributes':[{'name':'orchestration.gokore.io/cpus','value':'0-7'}],"
        "'resources':[{'name':'cpu','capacity':'8','allocatable':'7','available':'%u'},{'name':"
        "'memory','capacity':'8Gi','allocatable':'7Gi','available':'%uGi'}]},{'name':'node-1',"
        "'attributes':[{'name':'orchestration.gokore.io/cpus','value':'8-15'}],'resources':[{"
        "'name':'cpu','capacity':'8','allocatable':'7','available':'7'},{'name':'memory',"
        "'capacity':'8Gi','allocatable':'7Gi','available':'7Gi'}]}]}",
        o->name, policies[policy], second, placements, cpus, memory);
    set_text(o, text);
}

static void change(struct object *o, uint64_t *seed)
{
    const bool gone = test_random(seed, o->kind == SOURCE_POD ? 3 : 20) == 0;

    if (gone)
        o->json[0] = 0;
    else if (o->kind == SOURCE_NODE)
        make_node(o);
    else if (o->kind == SOURCE_NRT)
        make_report(o, seed);
    else
        make_pod(o, seed);
}

static void init_objects(void)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        struct object *const o = &objects[i];
        const bool pod = i >= 2 * NODES;

        *o = (struct object){.kind = pod ? SOURCE_POD : i < NODES ? SOURCE_NODE : SOURCE_NRT};
        (void)snprintf(o->name, sizeof(o->name), pod ? "p%u" : "n%u",
                       pod ? i - 2 * NODES : i % NODES);
    }
}

/* --- comparing --- */

static void expect_same_pods(const struct node_view *a, const struct node_view *b)
{
    assert_int_equal(a->n_pods, b->n_pods);
    assert_int_equal(a->n_unplaced, b->n_unplaced);
    for (uint32_t i = 0; i < a->n_pods; i++) {
        assert_true(str_eq(a->pods[i].name, b->pods[i].name));
        assert_true(str_eq(a->pods[i].uid, b->pods[i].uid));
        assert_int_equal(a->pods[i].placement, b->pods[i].placement);
        assert_int_equal(a->pods[i].n_holdings, b->pods[i].n_holdings);
    }
}

static void expect_same_state(const struct node_view *a, const struct node_view *b)
{
    const size_t zones = a->machine.n_zones, types = zones * a->n_memory_types;
    const struct node_state *const x = &a->state, *const y = &b->state;

    assert_int_equal(zones, b->machine.n_zones);
    assert_int_equal(a->n_memory_types, b->n_memory_types);
    assert_memory_equal(x->cpu_free, y->cpu_free, a->cpu_words * sizeof(uint64_t));
    assert_memory_equal(x->memory_free, y->memory_free, types * sizeof(uint64_t));
    assert_memory_equal(x->memory_reserved, y->memory_reserved, types * sizeof(uint64_t));
    assert_memory_equal(x->assignments, y->assignments, zones * sizeof(uint32_t));
    assert_memory_equal(x->cells, y->cells, zones * sizeof(uint64_t));
}

struct seen {
    uint32_t known, predicted, unplaced, observed, grouped;
};

static void expect_same(const struct cluster_snapshot *a, const struct cluster_snapshot *b,
                        struct seen *seen)
{
    assert_int_equal(cluster_snapshot_nodes(a), cluster_snapshot_nodes(b));
    for (uint32_t i = 0; i < cluster_snapshot_nodes(a); i++) {
        const struct node_view *const x = cluster_snapshot_node(a, i), *const y =
                                                                           cluster_snapshot_node(b,
                                                                                                 i);

        assert_true(str_eq(x->name, y->name));
        assert_int_equal(x->knowledge, y->knowledge);
        assert_true(str_eq(x->why_unknown, y->why_unknown));
        if (x->knowledge != NODE_KNOWN)
            continue;
        assert_int_equal(x->assumed, y->assumed);
        expect_same_pods(x, y);
        expect_same_state(x, y);
        seen->known++;
        seen->grouped += x->state.cells[0] == 3;
        for (uint32_t k = 0; k < x->n_pods; k++) {
            seen->predicted += x->pods[k].placement == NODE_POD_PREDICTED;
            seen->unplaced += x->pods[k].placement == NODE_POD_UNPLACED;
            seen->observed += x->pods[k].placement == NODE_POD_OBSERVED;
        }
    }
}

/* Another cluster that is told all there is, in a random order. */
static void expect_as_told_at_once(struct cluster *c, uint64_t *seed, struct seen *seen)
{
    const struct cluster_options options = {.now_us = now_us, .max_age_us = 60 * INT64_C(1000000)};
    uint32_t order[OBJECTS];
    struct cluster *fresh;

    assert_int_equal(cluster_new(&fresh, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(fresh);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        const uint32_t k = (uint32_t)test_random(seed, i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    /* that pods are known at all is remembered: one that comes and goes says so */
    const struct object ghost = {.kind = SOURCE_POD, .name = "ghost"};
    struct object *const there = calloc(1, sizeof(*there));
    assert_non_null(there);
    *there = ghost;
    make_pod(there, seed);
    deliver(&sink, there);
    deliver(&sink, &ghost);
    free(there);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        if (objects[order[i]].json[0])
            deliver(&sink, &objects[order[i]]);
    }
    sink.settled(sink.ctx);
    struct cluster_snapshot *const a = cluster_get(c), *const b = cluster_get(fresh);
    expect_same(a, b, seen);
    cluster_snapshot_unref(a);
    cluster_snapshot_unref(b);
    cluster_free(fresh);
}

static void what_was_told_bit_by_bit_equals_what_is_told_at_once(void **state)
{
    const struct cluster_options options = {.now_us = now_us, .max_age_us = 60 * INT64_C(1000000)};
    uint64_t seed = test_seed(20261127);
    struct seen seen = {0};
    struct cluster *c;

    init_objects();
    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        change(&objects[i], &seed);
        deliver(&sink, &objects[i]);
    }
    for (uint32_t i = 1; i <= CHANGES; i++) {
        struct object *const o = &objects[test_random(&seed, OBJECTS)];

        change(o, &seed);
        deliver(&sink, o);
        if (test_random(&seed, 3) == 0)
            sink.settled(sink.ctx);
        if (i % EVERY)
            continue;
        sink.settled(sink.ctx);
        expect_as_told_at_once(c, &seed, &seen);
    }
    cluster_free(c);
    /* all of it occurred */
    assert_true(seen.known > CHANGES / EVERY && seen.predicted > 500 && seen.observed > 30);
    assert_true(seen.unplaced > 50 && seen.grouped > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_bit_by_bit_equals_what_is_told_at_once)};

    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
