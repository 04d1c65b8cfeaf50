/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A remembered answer equals a computed one, after any change of node, pod or clock: a cluster
 * changes at random while pods of few shapes ask, with a memory so small that it forgets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 3000, NODES = 7, ROOM = 1 << 20, MEMO_BYTES = 4096, MAX_AGE_US = 100000000 };

static int64_t the_time = INT64_C(1795500000) * 1000000;

static int64_t now_us(void)
{
    return the_time;
}

static void deliver(const struct source_sink *sink, enum source_verb verb, enum source_kind kind,
                    const char *type, const char *ns, const char *name, const char *text)
{
    char json[4096] = {0};
    struct err err = {0};

    assert_true(strlen(text) + 64 <= sizeof(json));
    for (size_t i = 0; text[i]; i++)
        json[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    const struct source_delta delta = {.verb = verb,
                                       .kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {json, strlen(json)}};
    if (sink->delta(sink->ctx, &delta, &err))
        fail_msg("%s %s: %s", type, name, err.text);
}

static void change_node(const struct source_sink *sink, uint64_t *seed)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    char name[16], text[3000];
    const unsigned free0 = (unsigned)test_random(seed, 9), free1 = (unsigned)test_random(seed, 9);

    (void)snprintf(name, sizeof(name), "n%u", (unsigned)test_random(seed, NODES));
    if (test_random(seed, 12) == 0) {
        deliver(sink, SOURCE_DELETE, SOURCE_NODE, "Node", "", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'status':{'capacity':"
                   "{'cpu':'16','memory':'32Gi'},'allocatable':{'cpu':'16','memory':'32Gi'}}}",
                   name);
    deliver(sink, SOURCE_UPSERT, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(
        text, sizeof(text),
        "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology','metadata':{"
        "'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value':'%s'},{'name':"
        "'topologyManagerScope','value':'%s'}%s],'zones':[{'name':'node-0','type':'Node',"
        "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'%u'},{'name':"
        "'memory','capacity':'16Gi','allocatable':'14Gi','available':'%uGi'}]},{'name':'node-1',"
        "'type':'Node','resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':"
        "'%u'},{'name':'example.com/gpu','capacity':'2','allocatable':'2','available':'%u'}]}]}",
        name, policies[test_random(seed, 4)], test_random(seed, 2) ? "pod" : "container",
        test_random(seed, 2) ? ",{'name':'orchestration.gokore.io/observed-at','value':"
                               "'2026-11-24T05:20:00.000000Z'}"
                             : "",
        free0, (unsigned)test_random(seed, 15), free1, (unsigned)test_random(seed, 3));
    deliver(sink, SOURCE_UPSERT, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

/* Few shapes, so that they come again: 1 to 2 containers, some with a GPU, some Burstable. */
struct asked {
    struct pod_amount amounts[2][3];
    struct pod_container c[2];
    struct score_pod pod;
};

static void make_pod(struct asked *p, uint64_t *seed)
{
    const uint32_t n = 1 + (uint32_t)test_random(seed, 2);

    memset(p, 0, sizeof(*p));
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t amounts = test_random(seed, 3) == 0 ? 3 : 2;

        p->amounts[i][0] =
            (struct pod_amount){STR("cpu"), POD_CPU, 500 * (int64_t)(1 + test_random(seed, 12))};
        p->amounts[i][1] = (struct pod_amount){STR("memory"), POD_MEMORY,
                                               (int64_t)(1 + test_random(seed, 3)) << 30};
        p->amounts[i][2] = (struct pod_amount){STR("example.com/gpu"), POD_EXTENDED, 1};
        p->c[i] = (struct pod_container){
            .name = STR("c"),
            .kind = n == 2 && i == 0 ? (test_random(seed, 2) ? POD_INIT : POD_SIDECAR) : POD_APP,
            .requests = p->amounts[i],
            .n_requests = amounts,
            .limits = p->amounts[i],
            .n_limits = test_random(seed, 8) ? amounts : 1};
    }
    p->pod = (struct score_pod){.ns = STR("d"),
                                .name = STR("p"),
                                .uid = STR("u"),
                                .containers = p->c,
                                .n_containers = n,
                                .has_claims = test_random(seed, 40) == 0,
                                .has_pod_level = test_random(seed, 40) == 0};
}

static void assert_same(const struct decision *x, const struct decision *y)
{
    assert_int_equal(x->any, y->any);
    for (uint32_t i = 0; i < x->n; i++) {
        const struct decide_row *const a = &x->rows[i], *const b = &y->rows[i];

        assert_int_equal(a->verdict, b->verdict);
        assert_int_equal(a->reason, b->reason);
        assert_int_equal(a->known, b->known);
        assert_int_equal(a->sum, b->sum);
        assert_int_equal(a->score, b->score);
        assert_int_equal(a->wire, b->wire);
    }
}

static void ask_both_ways(struct cluster *c, struct memo *memo, uint64_t *seed, char *room)
{
    static const struct str names[] = {{"n0", 2}, {"n1", 2}, {"n2", 2},    {"n3", 2},
                                       {"n4", 2}, {"n5", 2}, {"ghost", 5}, {"n6", 2}};
    struct cluster_snapshot *const s = cluster_get(c);
    struct decide_options options = {.max_score = 100,
                                     .context = {.now_us = the_time, .max_age_us = MAX_AGE_US}};
    struct decision plain, remembered;
    struct asked p;
    struct arena a;

    make_pod(&p, seed);
    const struct decide_ask ask = {.pod = &p.pod, .n = ARRAY_LEN(names), .names = names};
    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&plain, &ask, s, &options, &a, NULL), 0);
    options.memo = memo;
    assert_int_equal(decide_run(&remembered, &ask, s, &options, &a, NULL), 0);
    assert_same(&remembered, &plain);
    arena_rewind(&a, 0);
    cluster_snapshot_unref(s);
}

static void remembered_answers_equal_computed_ones(void **state)
{
    const struct cluster_options options = {.max_age_us = MAX_AGE_US, .now_us = now_us};
    uint64_t seed = test_seed(606);
    struct cluster *c;
    struct memo *memo;
    char *const room = malloc(ROOM);

    assert_non_null(room);
    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    assert_int_equal(memo_new(&memo, MEMO_BYTES, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    for (int i = 0; i < ROUNDS; i++) {
        if (test_random(&seed, 3) == 0) {
            change_node(&sink, &seed);
            sink.settled(sink.ctx);
        }
        the_time += (int64_t)test_random(&seed, 200000);
        ask_both_ways(c, memo, &seed, room);
    }
    struct memo_stats stats;
    memo_stats(memo, &stats);
    assert_true(stats.evicted > 0 && stats.bytes <= MEMO_BYTES); /* it did forget */
    memo_free(memo);
    cluster_free(c);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(remembered_answers_equal_computed_ones)};

    return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}
