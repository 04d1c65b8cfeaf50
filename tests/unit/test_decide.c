/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions over a cluster small enough to work out by hand. */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "decide/report.h"
#include "tests/support/deliver.h"
#include "tests/support/schema.h"

enum { ROOM = 256 * 1024, COLUMNS = 120 };

static struct cluster *cluster;
static struct cluster_snapshot *snapshot;
static char *room;

/* Two zones of four CPUs each, one thread a core, nothing reserved; single-numa-node. */
static void deliver_machine(const struct source_sink *sink, const char *name)
{
    char text[2048];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'status':{"
                   "'capacity':{'cpu':'8','memory':'8Gi'},'allocatable':{'cpu':'8',"
                   "'memory':'8Gi'}}}",
                   name);
    deliver(sink, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(
        text, sizeof(text),
        "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology','metadata':{"
        "'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value':'single-numa-node'},"
        "{'name':'topologyManagerScope','value':'container'}],'zones':[{'name':'node-0','type':"
        "'Node','resources':[{'name':'cpu','capacity':'4','allocatable':'4','available':'4'}]},"
        "{'name':'node-1','type':'Node','resources':[{'name':'cpu','capacity':'4','allocatable':"
        "'4','available':'4'}]}]}",
        name);
    deliver(sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static int setup(void **state)
{
    static const struct cluster_options options = {.max_age_us = 0};

    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(cluster);
    deliver_machine(&sink, "a");
    deliver_machine(&sink, "b");
    deliver(&sink, SOURCE_NODE, "Node", "", "bare",
            "{'apiVersion':'v1','kind':'Node','metadata':{'name':'bare'},'status':{}}");
    sink.settled(sink.ctx);
    snapshot = cluster_get(cluster);
    room = malloc(ROOM);
    return room ? 0 : -1;
}

static int teardown(void **state)
{
    cluster_snapshot_unref(snapshot);
    cluster_free(cluster);
    free(room);
    return 0;
}

/* A Guaranteed pod of one container; millicores and bytes. */
struct pod {
    struct pod_amount amounts[2];
    struct pod_container container;
    struct pod_hint hint;
    struct score_pod pod;
};

static void make_pod(struct pod *p, int64_t cpus)
{
    *p = (struct pod){
        .amounts = {{STR("cpu"), POD_CPU, cpus * 1000}, {STR("memory"), POD_MEMORY, 1 << 30}}};
    p->container = (struct pod_container){.name = STR("main"),
                                          .kind = POD_APP,
                                          .requests = p->amounts,
                                          .limits = p->amounts,
                                          .n_requests = 2,
                                          .n_limits = 2};
    p->pod = (struct score_pod){.ns = STR("ml"),
                                .name = STR("train-0"),
                                .uid = STR("u"),
                                .containers = &p->container,
                                .n_containers = 1};
}

static const struct str sent[] = {{"b", 1}, {"ghost", 5}, {"a", 1},     {"bare", 4},
                                  {"b", 1}, {"ghost", 5}, {"other", 5}, {"a", 1}};
enum { SENT = 8 };

static const struct decide_options options = {.mode = DECIDE_ENFORCE, .max_score = 10};

static struct decision decide(const struct score_pod *pod, struct arena *a)
{
    const struct decide_ask ask = {.pod = pod, .n = SENT, .names = sent};
    struct decision d;

    arena_init(a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, snapshot, &options, a, NULL), 0);
    return d;
}

static void every_candidate_is_judged_in_the_order_sent(void **state)
{
    struct arena a;
    struct pod p;

    make_pod(&p, 3); /* fits one zone of four */
    const struct decision d = decide(&p.pod, &a);
    assert_int_equal(d.rows[0].verdict, SCORE_ADMITTED);
    assert_int_equal(d.rows[1].verdict, SCORE_UNKNOWN);
    assert_int_equal(d.rows[1].reason, SCORE_NO_TOPOLOGY);
    assert_int_equal(d.rows[2].verdict, SCORE_ADMITTED);
    assert_int_equal(d.rows[3].reason, SCORE_NO_TOPOLOGY);
    assert_int_equal(d.qos, POD_GUARANTEED);
    assert_int_equal(d.generation, cluster_snapshot_generation(snapshot));
    for (uint32_t i = 0; i < SENT; i++) {
        const bool admitted =
            d.rows[i].verdict == SCORE_ADMITTED && !(d.rows[i].marks & DECIDE_REPEATED);
        assert_true(admitted ? d.rows[i].wire >= 1 && d.rows[i].wire <= 10
                             : d.rows[i].marks & DECIDE_REPEATED || d.rows[i].wire == 0);
    }
    /* Equal machines, equal scores. */
    assert_int_equal(d.rows[0].score, d.rows[2].score);
}

/* The terms that count are those that some admitted candidate has; the wire rounds to nearest. */
static void scores_are_weighed_over_the_terms_that_are_there(void **state)
{
    struct arena a;
    struct pod p;

    make_pod(&p, 3);
    const struct decision d = decide(&p.pod, &a);
    struct score_result result;
    const struct score_result *const r = &result;
    uint32_t sum = 0, weights = 0;
    assert_int_equal(score_node(&result, d.request, decide_node(&d, 0), &options.context, &a), 0);
    assert_true(r->known >> SCORE_LOCALITY & 1);
    assert_int_equal(d.any, r->known);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        if (r->known >> t & 1) {
            sum += (uint32_t)d.weights->w[t] * r->term[t];
            weights += d.weights->w[t];
        }
    assert_int_equal(d.rows[0].score, sum / weights);
    assert_int_equal(d.rows[0].wire, (sum / weights * 10 + 500) / 1000);
}

static void a_name_that_comes_again_is_marked_and_counted_once(void **state)
{
    static const bool want[SENT] = {false, false, false, false, true, true, false, true};
    struct arena a;
    struct pod p;

    make_pod(&p, 3);
    const struct decision d = decide(&p.pod, &a);
    for (uint32_t i = 0; i < SENT; i++)
        assert_int_equal(d.rows[i].marks & DECIDE_REPEATED, want[i]);
    assert_int_equal(d.counts[SCORE_ADMITTED], 2); /* a, b */
    assert_int_equal(d.counts[SCORE_UNKNOWN], 3);  /* ghost, bare, other */
    assert_int_equal(d.counts[SCORE_REJECTED], 0);
}

static void what_no_zone_holds_is_refused_and_shadow_passes_it(void **state)
{
    struct arena a;
    struct pod p;

    make_pod(&p, 6); /* the node has 8, each zone 4 */
    const struct decision d = decide(&p.pod, &a);
    assert_int_equal(d.rows[0].verdict, SCORE_REJECTED);
    assert_int_equal(d.rows[0].reason, SCORE_TOPOLOGY_AFFINITY_ERROR);
    assert_int_equal(d.counts[SCORE_REJECTED], 2);
    assert_false(decide_passes(&d.rows[0], DECIDE_ENFORCE));
    assert_true(decide_passes(&d.rows[0], DECIDE_SHADOW));
    assert_true(decide_passes(&d.rows[1], DECIDE_ENFORCE));
}

static void pods_that_are_ignored_or_not_understood_pass_unscored(void **state)
{
    struct arena a;
    struct pod p;

    make_pod(&p, 6);
    p.hint = (struct pod_hint){STR("ignore"), STR("true")};
    p.pod.hints = &p.hint;
    p.pod.n_hints = 1;
    for (int i = 0; i < 2; i++) {
        const struct decision d = decide(i ? &p.pod : NULL, &a);
        assert_int_equal(d.pass, i ? DECIDE_IGNORED : DECIDE_NOT_UNDERSTOOD);
        for (uint32_t k = 0; k < SENT; k++) {
            assert_true(decide_passes(&d.rows[k], DECIDE_ENFORCE));
            assert_int_equal(d.rows[k].wire, 0);
        }
    }
}

static void people_read_the_admitted_first(void **state)
{
    static const char *const want[] = {"a", "b", "bare", "ghost", "other"};
    uint32_t order[SENT];
    struct arena a;
    struct pod p;

    make_pod(&p, 3);
    const struct decision d = decide(&p.pod, &a);
    const struct decide_ask ask = {.pod = &p.pod, .n = SENT, .names = sent};
    struct report report = {.ask = &ask, .decision = &d, .options = &options};
    assert_int_equal(report_order(order, &report), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_true(str_is(sent[order[i]], want[i]));
    report.only = STR("ghost");
    assert_int_equal(report_order(order, &report), 1);
    assert_int_equal(order[0], 1);
}

/* Whatever room there is: an answer, or -ENOMEM and no trace. */
static void a_decision_survives_every_arena_size(void **state)
{
    const struct decide_ask none = {.n = SENT, .names = sent};
    unsigned full = 0, done = 0;
    struct pod p;

    make_pod(&p, 3);
    const struct decide_ask ask = {.pod = &p.pod, .n = SENT, .names = sent};
    for (size_t n = 0; n < 16384; n += n < 2048 ? 1 : 64) {
        struct decision d = {.n = 77};
        struct arena a;
        arena_init(&a, room, n);
        const int rc = decide_run(&d, n % 2 ? &ask : &none, snapshot, &options, &a, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(d.n, rc ? 77 : SENT);
        full += rc != 0;
        done += rc == 0;
    }
    assert_true(full && done);
}

static json_t *report_of(const struct score_pod *pod)
{
    const struct decide_ask ask = {.pod = pod, .n = SENT, .names = sent};
    struct arena a;
    const struct decision d = decide(pod, &a);
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    struct buf text = {0};

    assert_int_equal(report_json(&text, &report, &a, NULL), 0);
    json_t *const j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    buf_free(&text);
    return j;
}

static void json_is_what_its_schema_says(void **state)
{
    json_t *const schema = schema_read("explain.schema.json");
    struct pod p;

    for (int64_t cpus = 0; cpus <= 9; cpus += 3) {
        make_pod(&p, cpus);
        p.hint = (struct pod_hint){STR("weigts"), STR("x\"\n")};
        p.pod.hints = &p.hint;
        p.pod.n_hints = 1;
        json_t *const j = report_of(&p.pod);
        schema_expect(j, schema);
        assert_int_equal(json_array_size(json_object_get(j, "ignoredHints")), 1);
        assert_int_equal(json_is_null(json_object_get(j, "best")), cpus > 4);
        json_decref(j);
    }
    json_t *const j = report_of(NULL);
    schema_expect(j, schema);
    json_decref(j);
    json_decref(schema);
}

static void the_table_tells_each_node_and_the_proof_within_120_columns(void **state)
{
    struct arena a;
    struct buf text = {0};
    struct pod p;

    make_pod(&p, 6);
    const struct decision d = decide(&p.pod, &a);
    const struct decide_ask ask = {.pod = &p.pod, .n = SENT, .names = sent};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    assert_int_equal(report_table(&text, &report, &a, NULL), 0);
    assert_non_null(strstr(text.p, "pod        ml/train-0  class default, QoS Guaranteed\n"));
    assert_non_null(strstr(text.p, "best       none: no node admits the pod\n"));
    assert_non_null(strstr(text.p, "\n    zone 0: cpu needs 6, free 4 of 4\n"
                                   "    zone 1: cpu needs 6, free 4 of 4\n"));
    for (const char *line = text.p; line && *line; line = strchr(line, '\n'), line += !!line)
        assert_true(strcspn(line, "\n") <= COLUMNS);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_candidate_is_judged_in_the_order_sent),
        cmocka_unit_test(scores_are_weighed_over_the_terms_that_are_there),
        cmocka_unit_test(a_name_that_comes_again_is_marked_and_counted_once),
        cmocka_unit_test(what_no_zone_holds_is_refused_and_shadow_passes_it),
        cmocka_unit_test(pods_that_are_ignored_or_not_understood_pass_unscored),
        cmocka_unit_test(people_read_the_admitted_first),
        cmocka_unit_test(a_decision_survives_every_arena_size),
        cmocka_unit_test(json_is_what_its_schema_says),
        cmocka_unit_test(the_table_tells_each_node_and_the_proof_within_120_columns),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
