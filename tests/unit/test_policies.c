/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions under policies and hints, and what people read of them. */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

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
#include "tests/support/schema.h"

enum { ROOM = 256 * 1024 };

struct bench {
    struct cluster *cluster;
    struct source_sink sink;
    struct cluster_snapshot *snapshot;
    char *room;
    struct arena a;
};

static void deliver_policy(struct bench *b, const char *name, const char *spec)
{
    char text[2048];

    (void)snprintf(text, sizeof(text), "{'metadata':{'name':'%s'},'spec':{%s}}", name, spec);
    deliver(&b->sink, SOURCE_POLICY, "ConcurrencyPolicy", "", name, text);
}

/* Node "a": two zones of four CPUs, 21 apart, best-effort; node "bare": nothing known. */
static int setup(void **state)
{
    static const struct cluster_options options = {.max_age_us = 0};
    struct bench *const b = calloc(1, sizeof(*b));

    assert_int_equal(cluster_new(&b->cluster, &options, NULL), 0);
    b->sink = cluster_sink(b->cluster);
    b->room = malloc(ROOM);
    deliver(&b->sink, SOURCE_NODE, "Node", "", "a",
            "{'metadata':{'name':'a'},'status':{'capacity':{'cpu':'8','memory':'8Gi'},"
            "'allocatable':{'cpu':'8','memory':'8Gi'}}}");
    deliver(&b->sink, SOURCE_NRT, "NodeResourceTopology", "", "a",
            "{'metadata':{'name':'a'},'attributes':[{'name':'topologyManagerPolicy','value':"
            "'best-effort'}],'zones':[{'name':'node-0','costs':[{'name':'node-0','value':10},"
            "{'name':'node-1','value':21}],'resources':[{'name':'cpu','capacity':'4'}]},"
            "{'name':'node-1','costs':[{'name':'node-0','value':21},{'name':'node-1','value':10}],"
            "'resources':[{'name':'cpu','capacity':'4'}]}]}");
    deliver(&b->sink, SOURCE_NODE, "Node", "", "bare", "{'metadata':{'name':'bare'}}");
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    cluster_snapshot_unref(b->snapshot);
    cluster_free(b->cluster);
    free(b->room);
    free(b);
    return 0;
}

/* A Guaranteed pod of whole CPUs. */
struct pod {
    struct pod_amount amounts[2];
    struct pod_container container;
    struct pod_hint hints[8];
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
                                .n_containers = 1,
                                .hints = p->hints};
}

static void add_hint(struct pod *p, const char *key, const char *value)
{
    p->hints[p->pod.n_hints++] = (struct pod_hint){str_of(key), str_of(value)};
}

static const struct str sent[] = {{"a", 1}, {"bare", 4}, {"ghost", 5}};
static const struct decide_options options = {.mode = DECIDE_ENFORCE, .max_score = 10};

static struct decision decide(struct bench *b, const struct pod *p)
{
    const struct decide_ask ask = {.pod = &p->pod, .n = ARRAY_LEN(sent), .names = sent};
    struct decision d;

    b->sink.settled(b->sink.ctx);
    cluster_snapshot_unref(b->snapshot);
    b->snapshot = cluster_get(b->cluster);
    arena_init(&b->a, b->room, ROOM);
    assert_int_equal(decide_run(&d, &ask, b->snapshot, &options, &b->a, NULL), 0);
    return d;
}

/* The JSON, held against its schema. */
static json_t *read_json(struct bench *b, const struct pod *p)
{
    const struct decision d = decide(b, p);
    const struct decide_ask ask = {.pod = &p->pod, .n = ARRAY_LEN(sent), .names = sent};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    json_t *const schema = schema_read("explain.schema.json");
    struct buf text = {0};

    assert_int_equal(report_json(&text, &report, &b->a, NULL), 0);
    json_t *const j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    schema_expect(j, schema);
    json_decref(schema);
    buf_free(&text);
    return j;
}

static const char *text_at(const json_t *j, const char *key)
{
    const char *const s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static json_t *node_at(json_t *j, const char *name)
{
    json_t *const nodes = json_object_get(j, "nodes");
    size_t i;
    json_t *node;

    json_array_foreach(nodes, i, node)
    {
        if (strcmp(text_at(node, "name"), name) == 0)
            return node;
    }
    fail_msg("no node %s", name);
    return NULL;
}

#define SPECIFICATION                                                                              \
    "'numa':{'allowedCrossAccess':'15%','stealThreshold':5},"                                      \
    "'qosClassMapping':[{'priority':0,'name':'critical','numaExclusive':true}]"

static void the_specifications_example_changes_a_verdict(void **state)
{
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 8); /* four CPUs of each zone: five may be stolen */
    assert_int_equal(decide(b, &p).rows[0].verdict, SCORE_ADMITTED);
    deliver_policy(b, "example", SPECIFICATION);
    assert_int_equal(decide(b, &p).rows[0].verdict, SCORE_ADMITTED);
    deliver_policy(b, "example", "'numa':{'allowedCrossAccess':'15%','stealThreshold':3}");
    const struct decision d = decide(b, &p);
    assert_int_equal(d.rows[0].verdict, SCORE_REJECTED);
    assert_int_equal(d.rows[0].reason, SCORE_CROSS_ACCESS);
    json_t *const j = read_json(b, &p);
    assert_string_equal(text_at(j, "policy"), "example");
    assert_string_equal(text_at(node_at(j, "a"), "reason"), "CrossAccess");
    assert_string_equal(
        text_at(node_at(j, "a"), "message"),
        "4 of 8 CPUs are outside zone 0, 3 may be; 50.0% of the accesses cross zones, 15% may");
    json_decref(j);
    add_hint(&p, "allowed-cross-access", "50%");
    assert_int_equal(decide(b, &p).rows[0].verdict, SCORE_ADMITTED);
}

static void a_pod_names_its_class_and_people_read_it(void **state)
{
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 2);
    deliver_policy(b, "example", SPECIFICATION);
    deliver_policy(b, "zz", "'precedence':0");
    json_t *j = read_json(b, &p);
    assert_string_equal(text_at(j, "class"), "default");
    assert_int_equal(json_array_size(json_object_get(j, "conflictedPolicies")), 1);
    json_decref(j);
    add_hint(&p, "qos-class", "critical");
    j = read_json(b, &p);
    assert_string_equal(text_at(j, "class"), "critical");
    const json_t *const weights = json_object_get(node_at(j, "a"), "weights");
    assert_int_equal(json_integer_value(json_object_get(weights, "interference")), 10);
    assert_int_equal(json_array_size(json_object_get(j, "ignoredHints")), 0);
    json_decref(j);
    p.hints[0].value = STR("platinum");
    j = read_json(b, &p);
    assert_string_equal(text_at(j, "class"), "default");
    const json_t *const ignored = json_array_get(json_object_get(j, "ignoredHints"), 0);
    assert_string_equal(text_at(ignored, "why"), "policy example has no class of this name");
    json_decref(j);
    assert_int_equal(decide(b, &p).ignored_hints, 1);
}

static void each_weight_tells_its_source(void **state)
{
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 2);
    deliver_policy(b, "w",
                   "'weights':{'locality':50,'compute':1},'maxWeightShift':20,"
                   "'qosClassMapping':[{'priority':3,'name':'all','match':{},"
                   "'weights':{'compute':2}}]");
    add_hint(&p, "weights", "locality=60,devices=100");
    json_t *const j = read_json(b, &p);
    const json_t *const w = json_object_get(node_at(j, "a"), "weights"), *const from =
                                                                             json_object_get(
                                                                                 node_at(j, "a"),
                                                                                 "weightSource");
    static const struct {
        const char *term, *source;
        int weight;
    } want[] = {{"locality", "hint", 60},         {"devices", "bounded", 45},
                {"fragmentation", "default", 15}, {"network", "default", 10},
                {"compute", "class", 2},          {"interference", "default", 5},
                {"freshness", "default", 5}};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(json_integer_value(json_object_get(w, want[i].term)), want[i].weight);
        assert_string_equal(text_at(from, want[i].term), want[i].source);
    }
    json_decref(j);
}

static void a_policy_may_refuse_what_nothing_is_known_of(void **state)
{
    struct bench *const b = *state;
    struct buf table = {0};
    struct pod p;

    make_pod(&p, 2);
    deliver_policy(b, "strict", "'numa':{'unknownTopology':'Reject'}");
    const struct decision d = decide(b, &p);
    const struct decide_ask ask = {.pod = &p.pod, .n = ARRAY_LEN(sent), .names = sent};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(d.rows[i].verdict, SCORE_UNKNOWN);
        assert_false(decide_passes(&d.rows[i], DECIDE_ENFORCE));
        assert_true(decide_passes(&d.rows[i], DECIDE_SHADOW));
    }
    assert_true(decide_passes(&d.rows[0], DECIDE_ENFORCE));
    assert_int_equal(d.refused, 2);
    assert_int_equal(d.counts[SCORE_UNKNOWN], 2);
    assert_int_equal(report_table(&table, &report, &b->a, NULL), 0);
    assert_non_null(strstr(table.p, "policy     strict\n"));
    assert_non_null(strstr(table.p, "NoTopology, which the policy refuses\n"));
    buf_free(&table);
    json_t *const j = read_json(b, &p);
    assert_true(json_is_true(json_object_get(node_at(j, "ghost"), "refusedByPolicy")));
    assert_null(json_object_get(node_at(j, "a"), "refusedByPolicy"));
    json_decref(j);
}

static void limits_of_a_class_hold_everywhere(void **state)
{
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 2);
    deliver_policy(b, "limits", "'qosPolicy':{'guaranteed':{'maxLocks':10,'maxGoroutines':100}}");
    add_hint(&p, "max-locks", "10");
    assert_int_equal(decide(b, &p).rows[0].verdict, SCORE_ADMITTED);
    p.hints[0].value = STR("11");
    const struct decision d = decide(b, &p);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(d.rows[i].verdict, SCORE_REJECTED);
        assert_int_equal(d.rows[i].reason, SCORE_LOCK_LIMIT);
    }
    assert_int_equal(d.counts[SCORE_REJECTED], 3);
    json_t *const j = read_json(b, &p);
    assert_string_equal(text_at(node_at(j, "a"), "message"),
                        "max-locks is 11, the QoS class may have 10");
    json_decref(j);
}

static void signals_are_scored_and_old_ones_listed(void **state)
{
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 2);
    deliver(&b->sink, SOURCE_SIGNAL, "Signal", "", "load",
            "{'metadata':{'name':'load'},'spec':{'kind':'computeUtilization','unit':'permille',"
            "'nodes':{'a':{'value':400}}}}");
    deliver(
        &b->sink, SOURCE_SIGNAL, "Signal", "", "old",
        "{'metadata':{'name':'old'},'spec':{'kind':'computeQueue','unit':'count','ttlSeconds':1,"
        "'observedAt':'2000-01-01T00:00:00Z','nodes':{'a':{'value':400}}}}");
    json_t *const j = read_json(b, &p);
    const json_t *const a = node_at(j, "a");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a, "terms"), "compute")),
                     600);
    assert_string_equal(json_string_value(json_array_get(json_object_get(a, "staleSignals"), 0)),
                        "old");
    json_decref(j);
}

static void hints_that_say_nothing_are_named_as_they_stand_on_the_pod(void **state)
{
    static const char *const want[] = {"orchestration.gokore.io/qos-class",
                                       "kubernetes.io/egress-bandwidth",
                                       "orchestration.gokore.io/lock-policy"}; /* no name */
    struct bench *const b = *state;
    struct pod p;

    make_pod(&p, 2);
    add_hint(&p, "qos-class", "critical");
    add_hint(&p, "kubernetes.io/egress-bandwidth", "fast");
    add_hint(&p, "lock-policy", "not mine");
    add_hint(&p, "max-locks", "5");
    add_hint(&p, "kubernetes.io/ingress-bandwidth", "1M");
    json_t *const j = read_json(b, &p);
    const json_t *const ignored = json_object_get(j, "ignoredHints");
    assert_int_equal(json_array_size(ignored), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text_at(json_array_get(ignored, i), "annotation"), want[i]);
    assert_string_equal(text_at(json_array_get(ignored, 0), "why"),
                        "no policy counts in this namespace");
    json_decref(j);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_specifications_example_changes_a_verdict),
        T(a_pod_names_its_class_and_people_read_it),
        T(each_weight_tells_its_source),
        T(a_policy_may_refuse_what_nothing_is_known_of),
        T(limits_of_a_class_hold_everywhere),
        T(signals_are_scored_and_old_ones_listed),
        T(hints_that_say_nothing_are_named_as_they_stand_on_the_pod),
    };

    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
