/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions of which not all is kept: what replays them all the same, and what does not. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/block.h"
#include "cluster/cluster.h"
#include "cluster/origin.h"
#include "decide/decide.h"
#include "decide/record.h"
#include "decide/replay.h"
#include "decide/report.h"
#include "decide/ring.h"
#include "tests/support/deliver.h"

/* 2026-11-24T05:20:00Z */
#define NOW_US (INT64_C(1795497600) * 1000000)

enum { NODES = RECORD_BEST + 2, ROOM = 1 << 20 };

static char room[ROOM];

static void put_node(const struct source_sink *sink, unsigned i)
{
    char name[16], text[1024];

    (void)snprintf(name, sizeof(name), "n%02u", i);
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'status':{'allocatable':{'cpu':'8'}}}", name);
    deliver(sink, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value'"
                   ":'single-numa-node'}],'zones':[{'name':'node-0','type':'Node','resources':["
                   "{'name':'cpu','capacity':'8','allocatable':'8','available':'8'}]}]}",
                   name);
    deliver(sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

/* All alike but the last one, of which alone it is known how busy it is: wholly. */
static struct cluster *a_cluster(void)
{
    static const struct cluster_options options = {.at_us = NOW_US,
                                                   .max_age_us = INT64_C(300) * 1000000};
    struct cluster *c = NULL;

    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    for (unsigned i = 0; i < NODES; i++)
        put_node(&sink, i);
    deliver(&sink, SOURCE_SIGNAL, "Signal", "", "busy",
            "{'metadata':{'name':'busy'},'spec':{'kind':'computeUtilization','unit':'permille',"
            "'nodes':{'n17':{'value':1000}}}}");
    sink.settled(sink.ctx);
    return c;
}

/* What is kept of one decision: its record, to be dropped, and what is said of it. */
static struct record *decided(const struct cluster *c, struct ring *ring, const char *node,
                              struct buf *said)
{
    struct cluster_snapshot *const s = cluster_get((struct cluster *)(uintptr_t)c);
    static const struct pod_amount amounts[] = {{{"cpu", 3}, POD_CPU, 2000},
                                                {{"memory", 6}, POD_MEMORY, 1 << 30}};
    static const struct pod_container container = {
        .name = {"c", 1}, .requests = amounts, .limits = amounts, .n_requests = 2, .n_limits = 2};
    const struct score_pod pod = {.ns = STR("d"),
                                  .name = STR("p"),
                                  .uid = STR("u"),
                                  .containers = &container,
                                  .n_containers = 1};
    const struct decide_options options = {
        .max_score = 1000, .context = {.now_us = NOW_US, .max_age_us = INT64_C(300) * 1000000}};
    struct str names[NODES];
    struct decision d;
    struct arena a;
    struct decide_ask ask = {.pod = &pod, .n = NODES, .names = names};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    struct buf list = {0};

    for (uint32_t i = 0; i < NODES; i++)
        names[i] = cluster_snapshot_node(s, i)->name;
    if (node) {
        names[0] = str_of(node);
        ask.n = 1;
    }
    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, s, &options, &a, NULL), 0);
    assert_int_equal(ring_add(ring, &report, RECORD_FILTER, NOW_US), 0);
    arena_rewind(&a, 0);
    assert_int_equal(ring_list(ring, STR(""), &list), 0);
    char *const id = strstr(list.p, "\"decision\": \"") + sizeof("\"decision\": \"") - 1;
    id[RECORD_ID_BYTES] = 0;
    assert_int_equal(ring_render(ring, str_of(id), said, &a), 0);
    struct record *const record = ring_take(ring, str_of(id));
    assert_non_null(record);
    assert_null(ring_take(ring, STR("01J9")));
    buf_free(&list);
    cluster_snapshot_unref(s);
    return record;
}

static const struct replay_file *find(const struct replay_files *f, const char *path)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->at[i].path.p, path) == 0)
            return &f->at[i];
    return NULL;
}

struct bench {
    struct cluster *cluster;
    struct ring *ring;
    struct record *record;
    struct replay_files files;
    struct buf said;
    struct err err;
};

static struct bench start(const char *node)
{
    struct bench b = {.cluster = a_cluster()};

    assert_int_equal(ring_new(&b.ring, RING_DEFAULT_BYTES, NULL), 0);
    b.record = decided(b.cluster, b.ring, node, &b.said);
    return b;
}

static void stop(struct bench *b)
{
    replay_files_done(&b->files);
    record_unref(b->record);
    buf_free(&b->said);
    ring_free(b->ring);
    cluster_free(b->cluster);
}

/*
 * The last node counts with its load, worse than the 500 that the others have instead: it is not
 * among the best, and makes their scores what they are.
 */
static void terms_of_nodes_that_are_not_kept_count(void **state)
{
    struct bench b = start(NULL);

    assert_int_equal(replay_record(&b.files, b.record, buf_view(&b.said), &b.err), 0);
    assert_non_null(find(&b.files, "cluster/Node/_n00.json"));
    assert_null(find(&b.files, "cluster/Node/_n17.json"));
    assert_non_null(strstr(find(&b.files, REPLAY_PREMISES)->text.p, "\"compute\""));
    stop(&b);
}

/* The proof of the above, and that what is made is held against what was said. */
static void what_does_not_come_out_again_is_refused(void **state)
{
    struct bench b = start(NULL);

    atomic_store(&b.record->terms, 0);
    assert_int_equal(replay_record(&b.files, b.record, buf_view(&b.said), &b.err), -EDOM);
    assert_string_equal(b.err.text, "n00: score differs");
    stop(&b);
}

/* The cluster is gone, and with it all that holds objects but the decision. */
static void what_a_decision_keeps_is_enough(void **state)
{
    struct bench b = start("n17");

    cluster_free(b.cluster);
    b.cluster = NULL;
    assert_int_equal(replay_record(&b.files, b.record, buf_view(&b.said), &b.err), 0);
    assert_non_null(find(&b.files, "cluster/Node/_n17.json"));
    assert_null(find(&b.files, "cluster/Node/_n00.json"));
    assert_string_equal(find(&b.files, REPLAY_CLOCK)->text.p, "2026-11-24T05:20:00.000000Z\n");
    assert_non_null(strstr(find(&b.files, REPLAY_CONFIG)->text.p, "  maxScore: 1000\n"));
    assert_non_null(strstr(find(&b.files, REPLAY_CONFIG)->text.p, "  maxAge: 5m\n"));
    assert_true(str_eq(buf_view(&find(&b.files, REPLAY_DECISION)->text), buf_view(&b.said)));
    stop(&b);
}

static void what_views_were_made_of_counts_in_the_bytes(void **state)
{
    struct bench b = start(NULL);
    struct ring_stats stats;
    size_t views = 0, origins = 0;

    for (uint32_t k = 0; k < b.record->n_details; k++) {
        const struct block *const view = b.record->details[k].view;

        views += sizeof(*view) + view->used;
        origins += origin_of(view)->bytes;
    }
    ring_stats(b.ring, &stats);
    assert_int_equal(b.record->n_details, RECORD_BEST);
    assert_true(origins > RECORD_BEST * 100); /* a Node and a report each */
    assert_true(stats.bytes >= b.record->bytes + views + origins);
    stop(&b);
}

static void what_is_not_kept_in_full_cannot_be_had(void **state)
{
    struct bench b = start(NULL);

    record_trim(b.record, 0); /* as the ring does where there is no room */
    assert_int_equal(replay_record(&b.files, b.record, buf_view(&b.said), &b.err), -ESTALE);
    assert_string_equal(b.err.text, "no node is told in full any more");
    stop(&b);
}

static void a_bundle_has_a_bound(void **state)
{
    struct bench b = start(NULL);

    buf_printf(&b.said, "%*s", REPLAY_MOST_BYTES, "");
    assert_int_equal(replay_record(&b.files, b.record, buf_view(&b.said), &b.err), -EFBIG);
    stop(&b);
}

/*
 * A report lists a pod that holds all CPUs. Where no pods are known it may be there, and the node
 * refuses; where some are, and not this one, it has ended. A bundle has none of the others.
 */
static void that_pods_are_known_is_kept(void **state)
{
    for (int known = 0; known < 2; known++) {
        struct bench b = {.cluster = a_cluster()};
        const struct source_sink sink = cluster_sink(b.cluster);

        deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", "n03",
                "{'metadata':{'name':'n03'},'attributes':[{'name':'topologyManagerPolicy','value':"
                "'single-numa-node'},{'name':'orchestration.gokore.io/placements','value':"
                "'{`d/held`:{`containers`:{`c`:{`cpus`:`0-7`}}}}'}],'zones':[{'name':'node-0',"
                "'type':'Node','resources':[{'name':'cpu','capacity':'8','allocatable':'8',"
                "'available':'0'}]}]}");
        if (known)
            deliver(&sink, SOURCE_POD, "Pod", "d", "other",
                    "{'metadata':{'namespace':'d','name':'other'},'spec':{'nodeName':'n04',"
                    "'containers':[{'name':'c'}]}}");
        sink.settled(sink.ctx);
        assert_int_equal(ring_new(&b.ring, RING_DEFAULT_BYTES, NULL), 0);
        b.record = decided(b.cluster, b.ring, "n03", &b.said);
        assert_non_null(strstr(b.said.p, known ? "\"Admitted\"" : "\"Rejected\""));
        if (replay_record(&b.files, b.record, buf_view(&b.said), &b.err))
            fail_msg("%s", b.err.text);
        assert_int_equal(known, find(&b.files, "cluster/Pod/d_p.json") != NULL);
        stop(&b);
    }
}

static void put_generation(const struct source_sink *sink, const char *generation)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'n04','uid':'x'},'attributes':[{'name':"
                   "'orchestration.gokore.io/generation','value':'%s'}],'zones':[{'name':'node-0',"
                   "'type':'Node'}]}",
                   generation);
    deliver(sink, SOURCE_NRT, "NodeResourceTopology", "", "n04", text);
}

/* That a report is older than one that is gone is nothing that objects say. */
static void a_node_that_is_unknown_for_what_is_gone_is_left_out(void **state)
{
    struct bench b = {.cluster = a_cluster()};
    const struct source_sink sink = cluster_sink(b.cluster);

    put_generation(&sink, "5");
    put_generation(&sink, "3");
    sink.settled(sink.ctx);
    assert_int_equal(ring_new(&b.ring, RING_DEFAULT_BYTES, NULL), 0);
    b.record = decided(b.cluster, b.ring, NULL, &b.said);
    assert_non_null(strstr(b.said.p, "\"StaleTopology\""));
    if (replay_record(&b.files, b.record, buf_view(&b.said), &b.err))
        fail_msg("%s", b.err.text);
    assert_true(find(&b.files, "cluster/Node/_n04.json")->left_out);
    assert_true(find(&b.files, "cluster/NodeResourceTopology/_n04.json")->left_out);
    assert_false(find(&b.files, "cluster/Node/_n00.json")->left_out);
    stop(&b);
}

/* --- names --- */

static void expect_place(struct str ns, struct str name, const char *want)
{
    struct buf out = {0};

    replay_place(&out, STR("Pod"), ns, name);
    assert_string_equal(out.p, want);
    buf_free(&out);
}

static void places_are_safe_and_never_too_long(void **state)
{
    char name[300];
    struct buf x = {0}, y = {0};

    expect_place(STR("ml"), STR("train-0"), "Pod/ml_train-0.json");
    expect_place(STR(""), STR("../../etc"), "Pod/_..%2F..%2Fetc.json");
    expect_place(STR("a_b"), STR("c d"), "Pod/a%5Fb_c%20d.json");
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    replay_place(&x, STR("Pod"), STR("ns"), str_of(name));
    name[sizeof(name) - 2] = 'y';
    replay_place(&y, STR("Pod"), STR("ns"), str_of(name));
    assert_int_equal(x.n, sizeof("Pod/") - 1 + REPLAY_NAME_BYTES - 1);
    assert_int_equal(y.n, x.n);
    assert_string_not_equal(x.p, y.p);
    buf_free(&x);
    buf_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_of_nodes_that_are_not_kept_count),
        cmocka_unit_test(what_does_not_come_out_again_is_refused),
        cmocka_unit_test(what_a_decision_keeps_is_enough),
        cmocka_unit_test(what_views_were_made_of_counts_in_the_bytes),
        cmocka_unit_test(what_is_not_kept_in_full_cannot_be_had),
        cmocka_unit_test(a_bundle_has_a_bound),
        cmocka_unit_test(that_pods_are_known_is_kept),
        cmocka_unit_test(a_node_that_is_unknown_for_what_is_gone_is_left_out),
        cmocka_unit_test(places_are_safe_and_never_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
