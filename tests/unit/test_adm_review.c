/* SPDX-License-Identifier: Apache-2.0 */
/* What is found about objects before they are stored, over clusters of one to three nodes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission/findings.h"
#include "admission/lock_names.h"
#include "admission/review.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "tests/support/data.h"
#include "tests/support/deliver.h"
#include "tests/support/test.h"

enum { ROOM = 1 << 20 };

/* --- the world: two zones of four CPUs, 0 and 4 of them reserved --- */

#define ATTRIBUTE(name, value) "{'name':'orchestration.gokore.io/" name "','value':'" value "'}"
#define NODE(name)                                                                                 \
    "{'metadata':{'name':'" name "'},'status':{'capacity':{'cpu':'8','memory':'16Gi'},"            \
    "'allocatable':{'cpu':'6','memory':'16Gi'},'nodeInfo':{'kubeletVersion':'v1.36.3'}}}"
#define ZONE(id, all, free, left)                                                                  \
    "{'name':'node-" id "','type':'Node','costs':[{'name':'node-0','value':10},"                   \
    "{'name':'node-1','value':10}],'attributes':[" ATTRIBUTE("socket", id) "," ATTRIBUTE(          \
        "cpus",                                                                                    \
        all) "," ATTRIBUTE("free-cpus",                                                            \
                           free) "," ATTRIBUTE("cores", all                                        \
                                               "") "],'resources':[{'name':'cpu','capacity':'4','" \
                                                   "allocatable':'3','available':'" left "'},"     \
                                                   "{'name':'memory','capacity':'8Gi','"           \
                                                   "allocatable':'8Gi','available':'8Gi'}]}"
/* Pod ml/a has CPUs 1 and 2, ml/b has 5: zone 0 has one left, zone 1 two. */
#define REPORT(name, zones)                                                                                                                                                            \
    "{'metadata':{'name':'" name "'},'attributes':[{'name':'topologyManagerPolicy','value':"                                                                                           \
    "'single-numa-node'}," ATTRIBUTE("cpu-manager-policy", "static") "," ATTRIBUTE(                                                                                                    \
        "memory-manager-policy",                                                                                                                                                       \
        "None") "," ATTRIBUTE("reserved-cpus",                                                                                                                                         \
                              "0,4") "," ATTRIBUTE("cpu-manager-policy-options",                                                                                                       \
                                                   "") "," ATTRIBUTE("topology-manager-policy-"                                                                                        \
                                                                     "options",                                                                                                        \
                                                                     "") "," ATTRIBUTE("devices",                                                                                      \
                                                                                       "{}") "," ATTRIBUTE("placements",                                                               \
                                                                                                           "{`ml/a`:{`uid`:`ua`,`containers`:{`m`:{`cpus`:`1-2`}}},"                   \
                                                                                                           "`ml/b`:{`uid`:`ub`,`containers`:{`m`:{`cpus`:`5`}}}}") "],'zones':[" zones \
                                                                                                                                                                   "]}"
#define HOLDER(name, uid, node, cpus)                                                              \
    "{'metadata':{'namespace':'ml','name':'" name "','uid':'" uid "'},'spec':{'nodeName':'" node   \
    "','containers':[{'name':'m','resources':{'limits':{'cpu':'" cpus "','memory':'1Gi'}}}]},"     \
    "'status':{'phase':'Running'}}"

struct world {
    struct cluster *cluster;
    struct source_sink sink;
    struct lock_names *locks;
    struct adm_foresight foresight;
    char *room;
    struct buf said;
};

static uint64_t clock_ns;

static uint64_t now_ns(void)
{
    return clock_ns;
}

static int set_up(void **state)
{
    struct world *const w = calloc(1, sizeof(*w));
    const struct cluster_options options = {.max_age_us = 0};

    assert_non_null(w);
    w->room = malloc(ROOM);
    assert_non_null(w->room);
    assert_int_equal(cluster_new(&w->cluster, &options, NULL), 0);
    assert_int_equal(lock_names_new(&w->locks, NULL), 0);
    assert_int_equal(adm_foresight_init(&w->foresight, NULL), 0);
    const struct source_sink inner = cluster_sink(w->cluster);
    w->sink = lock_names_sink(w->locks, &inner);
    clock_ns = 1000000000;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *const w = *state;

    adm_foresight_done(&w->foresight);
    cluster_free(w->cluster);
    lock_names_free(w->locks);
    buf_free(&w->said);
    free(w->room);
    free(w);
    return 0;
}

static void add_node(struct world *w)
{
    deliver(&w->sink, SOURCE_NODE, "Node", "", "n1", NODE("n1"));
    deliver(&w->sink, SOURCE_NRT, "NodeResourceTopology", "", "n1",
            REPORT("n1", ZONE("0", "0-3", "0,3", "1") "," ZONE("1", "4-7", "4,6-7", "2")));
    deliver(&w->sink, SOURCE_POD, "Pod", "ml", "a", HOLDER("a", "ua", "n1", "2"));
    deliver(&w->sink, SOURCE_POD, "Pod", "ml", "b", HOLDER("b", "ub", "n1", "1"));
    w->sink.settled(w->sink.ctx);
}

/* --- reviews --- */

static char *json_of(const char *text)
{
    char *const json = test_padded(str_of(text), '}');

    assert_non_null(json);
    for (char *p = json; p < json + strlen(text); p++)
        *p = *p == '\'' ? '"' : *p;
    return json;
}

static int look_in(struct world *w, struct adm_review *review, struct adm_findings *f,
                   struct kube_admission ask, const char *object, const char *old, struct arena *a)
{
    char *const text = json_of(object), *const before = json_of(old);
    struct cluster_snapshot *const snapshot =
        cluster_is_synced(w->cluster) ? cluster_get(w->cluster) : NULL;
    const struct adm_world world = {.snapshot = snapshot,
                                    .locks = w->locks,
                                    .foresight = &w->foresight,
                                    .now_us = 1,
                                    .now_ns = now_ns};
    struct err err;

    ask.object = (struct str){text, strlen(object)};
    ask.old_object = (struct str){before, strlen(old)};
    const int rc = adm_look_at(review, f, &ask, &world, a, &err);
    cluster_snapshot_unref(snapshot);
    free(before);
    free(text);
    return rc;
}

/* "field: what is wrong" and "! warning", a line each. */
static void expect_ask(struct world *w, struct kube_admission ask, const char *object,
                       const char *old, const char *want)
{
    struct adm_review review;
    struct arena a;

    arena_init(&a, w->room, ROOM);
    struct adm_findings f = {.arena = &a};
    assert_int_equal(look_in(w, &review, &f, ask, object, old, &a), 0);
    w->said.n = 0;
    buf_text(&w->said, "");
    for (uint32_t i = 0; i < f.n_causes; i++)
        buf_printf(&w->said, "%.*s: %.*s\n", STR_ARG(f.causes[i].field),
                   STR_ARG(f.causes[i].message));
    for (uint32_t i = 0; i < f.n_warnings; i++) {
        assert_true(f.warnings[i].n <= ADM_WARNING_BYTES);
        buf_printf(&w->said, "! %.*s\n", STR_ARG(f.warnings[i]));
    }
    if (!str_is(buf_view(&w->said), want))
        fail_msg("%s\n%s\ninstead of\n%s", object, w->said.n ? w->said.p : "", want);
}

static const struct kube_admission pod = {
    .kind = {"Pod", 3}, .version = {"v1", 2}, .ns = {"ml", 2}, .operation = KUBE_OPERATION_CREATE};

static void expect(struct world *w, const char *object, const char *want)
{
    expect_ask(w, pod, object, "", want);
}

#define HINTED(hints)     "{'metadata':{'annotations':{" hints "}},'spec':{}}"
#define HINT(name, value) "'orchestration.gokore.io/" name "':'" value "'"
#define AT(name)          "metadata.annotations[orchestration.gokore.io/" name "]: "
#define NEEDS(cpus)                                                                                \
    "'spec':{'containers':[{'name':'m','resources':{'limits':{'cpu':'" cpus "','memory':'1Gi'}}}]" \
    "}"
#define POD(cpus) "{'metadata':{'name':'x'}," NEEDS(cpus) "}"

/* --- hints --- */

static void every_hint_that_does_not_parse_is_named(void **state)
{
    expect(*state, HINTED(HINT("numa-policy", "one") "," HINT("max-locks", "-1")),
           AT("numa-policy") "not single, closest or span<=N\n" AT(
               "max-locks") "not an integer from 0 to 2147483647\n");
    expect(*state, HINTED(HINT("numa-policy", "single")), "");
    expect(*state, "{'metadata':{},'spec':{}}", "");
}

static void what_is_not_ours_to_refuse_is_warned_of(void **state)
{
    expect(*state, HINTED(HINT("max-lock", "1")),
           "! numawise: " AT("max-lock") "no such hint (did you mean \"max-locks\"?)\n");
    expect(*state, HINTED("'kubernetes.io/egress-bandwidth':'x'"),
           "! numawise: metadata.annotations[kubernetes.io/egress-bandwidth]: not a quantity in "
           "bits per second, like 10M\n");
    expect(*state, "{'spec':{'containers':[{'name':'m','resources':{'limits':{'cpu':'two'}}}]}}",
           "! numawise: not understood, it would pass on every node: "
           "spec.containers[0].resources.limits.cpu: \"two\" is not a quantity\n");
}

static void who_is_left_alone_hears_nothing(void **state)
{
    expect(*state, HINTED(HINT("ignore", "true") "," HINT("numa-policy", "one")), "");
    expect(*state, HINTED("'kubernetes.io/config.mirror':'x'," HINT("numa-policy", "one")), "");
    expect(*state,
           "{'metadata':{'deletionTimestamp':'2026-11-24T03:02:01Z','annotations':{" HINT(
               "numa-policy", "one") "}},'spec':{}}",
           "");
    expect(*state, HINTED(HINT("ignore", "yes")), AT("ignore") "not \"true\" or \"false\"\n");
}

static void what_was_stored_before_stays(void **state)
{
    struct kube_admission ask = pod;
    static const char old[] = HINTED(HINT("numa-policy", "one") "," HINT("max-locks", "1"));

    ask.operation = KUBE_OPERATION_UPDATE;
    expect_ask(*state, ask, old, old,
               "! numawise: " AT("numa-policy") "not single, closest or span<=N\n");
    expect_ask(*state, ask, HINTED(HINT("numa-policy", "two") "," HINT("max-locks", "1")), old,
               AT("numa-policy") "not single, closest or span<=N\n");
    expect_ask(*state, ask, HINTED(HINT("numa-policy", "one") "," HINT("max-locks", "x")), old,
               AT("max-locks") "not an integer from 0 to 2147483647\n"
                               "! numawise: " AT("numa-policy") "not single, closest or "
                                                                "span<=N\n");
    ask.operation = KUBE_OPERATION_OTHER;
    expect_ask(*state, ask, HINTED(HINT("numa-policy", "two")), old, "");
}

#define OWNED(api, kind, hints)                                                                    \
    "{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':'Node','name':'n'},{'apiVersion':"  \
    "'" api "','kind':'" kind "','name':'o','controller':true}],'annotations':{" hints             \
    "}},'spec':{}}"

/* The pods of what was let in come in; those of what nobody looks at are looked at themselves. */
static void a_workload_that_is_there_does_not_stand_still(void **state)
{
    static const char why[] = AT("numa-policy") "not single, closest or span<=N\n";
    static const char warned[] = "! numawise: " AT("numa-policy") "not single, closest or "
                                                                  "span<=N\n";

    expect(*state, OWNED("apps/v1", "ReplicaSet", HINT("numa-policy", "one")), warned);
    expect(*state, OWNED("batch/v1", "Job", HINT("numa-policy", "one")), warned);
    expect(*state, OWNED("kubeflow.org/v1", "MPIJob", HINT("numa-policy", "one")), why);
    expect(*state, OWNED("batch.volcano.sh/v1", "Job", HINT("numa-policy", "one")), why);
    expect(*state, OWNED("v1", "ReplicationController", HINT("numa-policy", "one")), why);
}

static void templates_are_pods_where_the_kind_is_kubernetes_own(void **state)
{
    static const struct {
        const char *group, *kind, *before, *behind, *field;
    } kinds[] = {
        {"apps", "Deployment", "{'spec':{'template':", "}}", "spec.template."},
        {"apps", "StatefulSet", "{'spec':{'template':", "}}", "spec.template."},
        {"apps", "DaemonSet", "{'spec':{'template':", "}}", "spec.template."},
        {"apps", "ReplicaSet", "{'spec':{'template':", "}}", "spec.template."},
        {"batch", "Job", "{'spec':{'template':", "}}", "spec.template."},
        {"batch", "CronJob", "{'spec':{'jobTemplate':{'spec':{'template':", "}}}}",
         "spec.jobTemplate.spec.template."},
        {"", "PodTemplate", "{'template':", "}", "template."},
        {"batch.volcano.sh", "Job", "{'spec':{'template':", "}}", NULL},
        {"example.com", "Pod", "{'spec':{'template':", "}}", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct kube_admission ask = pod;
        struct buf object = {0}, want = {0};

        ask.group = str_of(kinds[i].group);
        ask.kind = str_of(kinds[i].kind);
        buf_printf(&object, "{'kind':'%s',%s" HINTED(HINT("numa-policy", "one")) "%s",
                   kinds[i].kind, kinds[i].before + 1, kinds[i].behind);
        buf_text(&want, "");
        if (kinds[i].field)
            buf_printf(&want, "%s" AT("numa-policy") "not single, closest or span<=N\n",
                       kinds[i].field);
        expect_ask(*state, ask, object.p, "", want.n ? want.p : "");
        buf_free(&object);
        buf_free(&want);
    }
}

static void of_subresources_those_count_that_change_containers(void **state)
{
    static const struct {
        const char *name;
        bool counts;
    } cases[] = {{"status", false},
                 {"eviction", false},
                 {"binding", false},
                 {"resize", true},
                 {"ephemeralcontainers", true}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_admission ask = pod;

        ask.subresource = str_of(cases[i].name);
        expect_ask(*state, ask, HINTED(HINT("ignore", "x")), "",
                   cases[i].counts ? AT("ignore") "not \"true\" or \"false\"\n" : "");
    }
}

static void names_that_there_are_not_are_warned_of(void **state)
{
    struct world *const w = *state;
    static const char text[] = HINTED(HINT("lock-policy", "teller"));

    expect(w, text, ""); /* nobody has told yet which there are */
    w->sink.settled(w->sink.ctx);
    expect(w, text,
           "! numawise: orchestration.gokore.io/lock-policy: there is no LockPolicy \"teller\" in "
           "namespace ml\n");
    deliver(&w->sink, SOURCE_LOCK_POLICY, "LockPolicy", "other", "teller", "{}");
    deliver(&w->sink, SOURCE_LOCK_POLICY, "LockPolicy", "ml", "teller", "{}");
    expect(w, text, "");
    deliver(&w->sink, SOURCE_LOCK_POLICY, "LockPolicy", "ml", "teller", "");
    assert_true(lock_names_lack(w->locks, STR("ml"), STR("teller")));
    expect(w, HINTED(HINT("qos-class", "gold")),
           "! numawise: orchestration.gokore.io/qos-class: \"gold\": no policy counts in this "
           "namespace\n");
}

/* A list that does not name it says that it is gone; before its end nothing is certain. */
static void a_list_tells_which_lock_policies_are_gone(void **state)
{
    struct world *const w = *state;
    const struct source_sink *const s = &w->sink;

    s->begin(s->ctx, SOURCE_LOCK_POLICY, false);
    s->settled(s->ctx);
    assert_false(lock_names_lack(w->locks, STR("ml"), STR("a")));
    deliver(s, SOURCE_LOCK_POLICY, "LockPolicy", "ml", "a", "{}");
    deliver(s, SOURCE_LOCK_POLICY, "LockPolicy", "ml", "b", "{}");
    s->end(s->ctx, SOURCE_LOCK_POLICY);
    assert_true(lock_names_lack(w->locks, STR("ml"), STR("c")));
    assert_false(lock_names_lack(w->locks, STR("ml"), STR("a")));
    s->begin(s->ctx, SOURCE_LOCK_POLICY, false);
    deliver(s, SOURCE_LOCK_POLICY, "LockPolicy", "ml", "b", "{}");
    s->end(s->ctx, SOURCE_LOCK_POLICY);
    assert_true(lock_names_lack(w->locks, STR("ml"), STR("a")));
    assert_false(lock_names_lack(w->locks, STR("ml"), STR("b")));
}

/* --- kinds of our own --- */

#define POLICY(spec) "{'metadata':{'name':'p'},'spec':{" spec "}}"

static void a_kind_of_our_own_is_judged_as_check_does(void **state)
{
    struct kube_admission ask = {.group = STR("orchestration.gokore.io"),
                                 .version = STR("v1beta1"),
                                 .kind = STR("ConcurrencyPolicy"),
                                 .operation = KUBE_OPERATION_CREATE};
    static const char bad[] = POLICY("'numas':{}");

    expect_ask(*state, ask, POLICY(""), "", "");
    expect_ask(*state, ask, bad, "", "spec.numas: unknown field (did you mean \"numa\"?)\n");
    ask.operation = KUBE_OPERATION_UPDATE;
    expect_ask(*state, ask, bad, bad, ""); /* a finalizer that goes */
    expect_ask(*state, ask, bad, POLICY(""),
               "spec.numas: unknown field (did you mean \"numa\"?)\n");
    ask.subresource = STR("status");
    expect_ask(*state, ask, bad, POLICY(""), "");
    ask.subresource = STR("");
    ask.version = STR("v2");
    expect_ask(*state, ask, bad, POLICY(""), "");
}

static void a_report_is_judged_by_our_attributes(void **state)
{
    const struct kube_admission ask = {.group = STR("topology.node.k8s.io"),
                                       .version = STR("v1alpha2"),
                                       .kind = STR("NodeResourceTopology"),
                                       .operation = KUBE_OPERATION_CREATE};

    expect_ask(*state, ask,
               "{'metadata':{'name':'n'},'zones':[],'attributes':[" ATTRIBUTE(
                   "reserved-cpus", "0") ",{'name':'example.com/reserved-cpus','value':'x'}]}",
               "", "");
    expect_ask(
        *state, ask,
        "{'metadata':{'name':'n'},'zones':[],'attributes':[" ATTRIBUTE("reserved-cpu", "0") "]}",
        "",
        "attributes[orchestration.gokore.io/reserved-cpu]: unknown attribute \"reserved-cpu\" (did "
        "you mean \"reserved-cpus\"?)\n");
}

/* --- where there is room --- */

/* Zone 0: CPUs 1-3 less 1-2 of ml/a; zone 1: CPUs 5-7 less 5 of ml/b. */
static void room_is_foretold_as_explain_would(void **state)
{
    struct world *const w = *state;

    add_node(w);
    expect(w, POD("2"), "");
    expect(w, POD("3"),
           "! numawise: the only node does not admit this pod now: TopologyAffinityError on 1 "
           "(zone 0: cpu needs 3, free 1 of 3; zone 1: cpu needs 3, free 2 of 3)\n");
    /* two zones have six, one zone never has */
    expect(w, POD("4"),
           "! numawise: the only node does not admit this pod, and none would if it were empty: "
           "TopologyAffinityError on 1 (zone 0: cpu needs 4, free 1 of 3; zone 1: cpu needs 4, "
           "free 2 of 3)\n");
}

static void a_node_of_which_nothing_is_known_is_told_apart(void **state)
{
    struct world *const w = *state;

    deliver(&w->sink, SOURCE_NODE, "Node", "", "n2", NODE("n2"));
    w->sink.settled(w->sink.ctx);
    expect(w, POD("3"), ""); /* of no node it is known that it refuses */
    add_node(w);
    expect(w, POD("4"),
           "! numawise: none of 2 nodes admits this pod now: TopologyAffinityError on 1 (zone 0: "
           "cpu needs 4, free 1 of 3; zone 1: cpu needs 4, free 2 of 3), NoTopology on 1 (where it "
           "passes)\n");
}

/* Without a topology policy the kubelet of n3 takes what its CPUs in sum do not have. */
static void reasons_share_the_line(void **state)
{
    struct world *const w = *state;

    deliver(&w->sink, SOURCE_NODE, "Node", "", "n3", NODE("n3"));
    deliver(&w->sink, SOURCE_NRT, "NodeResourceTopology", "", "n3",
            "{'metadata':{'name':'n3'},'attributes':[{'name':'topologyManagerPolicy','value':"
            "'none'}," ATTRIBUTE("cpu-manager-policy", "none") "],'zones':[" ZONE(
                "0", "0-3", "0-3", "4") "," ZONE("1", "4-7", "4-7", "4") "]}");
    add_node(w);
    expect(w, POD("7"),
           "! numawise: none of 2 nodes admits this pod, and none would if it were empty: no room "
           "in sum on 1 (cpu needs 7, free 6 of 6), TopologyAffinityError on 1 (zone 0: cpu needs "
           "7, free 1 of 3; ...)\n");
}

static void who_would_not_read_it_is_not_told(void **state)
{
    struct world *const w = *state;
    struct kube_admission ask = pod;

    add_node(w);
    expect(w,
           "{'metadata':{'name':'x','ownerReferences':[{'kind':'Sheet','name':'r',"
           "'controller':true}]}," NEEDS("4") "}",
           "");
    expect(w,
           "{'metadata':{'name':'x'},'spec':{'nodeName':'n1','containers':[{'name':'m',"
           "'resources':{'limits':{'cpu':'4','memory':'1Gi'}}}]}}",
           "");
    /* Burstable: the kubelet asks no zone about it */
    expect(w,
           "{'metadata':{'name':'x'},'spec':{'containers':[{'name':'m','resources':{'requests':{"
           "'cpu':'4'}}}]}}",
           "");
    ask.operation = KUBE_OPERATION_UPDATE;
    expect_ask(w, ask, POD("4"), POD("4"), "");
}

#define WEB(replicas, cpus)                                                                        \
    "{'kind':'Deployment','metadata':{'name':'web'},'spec':{'replicas':" replicas                  \
    ",'template':{'metadata':{}," NEEDS(cpus) "}}}"

static void a_workload_is_told_when_its_template_changes(void **state)
{
    struct world *const w = *state;
    struct kube_admission ask = pod;
    static const char told[] =
        "! numawise: the only node does not admit its pods now: TopologyAffinityError on 1 (zone "
        "0: cpu needs 3, free 1 of 3; zone 1: cpu needs 3, free 2 of 3)\n";

    add_node(w);
    ask.group = STR("apps");
    ask.kind = STR("Deployment");
    expect_ask(w, ask, WEB("1", "3"), "", told);
    ask.operation = KUBE_OPERATION_UPDATE;
    expect_ask(w, ask, WEB("2", "3"), WEB("1", "3"), "");
    expect_ask(w, ask, WEB("1", "3"), WEB("1", "1"), told);
}

/* Half of the time, and 200 ms of it in one go. */
static void predictions_take_a_share_of_the_time(void **state)
{
    struct world *const w = *state;
    struct adm_foresight *const f = &w->foresight;
    const uint64_t ms = 1000000;

    assert_true(adm_has_time(f, clock_ns));
    adm_spent(f, 150 * ms);
    assert_true(adm_has_time(f, clock_ns));
    adm_spent(f, 500 * ms);
    assert_false(adm_has_time(f, clock_ns));
    add_node(w);
    expect(w, POD("4"), "");
    clock_ns += 2 * ms;
    assert_true(adm_has_time(f, clock_ns));
    adm_spent(f, ms);
    assert_false(adm_has_time(f, clock_ns));
    clock_ns += 3600 * 1000 * ms;
    assert_true(adm_has_time(f, clock_ns));
    adm_spent(f, 200 * ms);
    assert_false(adm_has_time(f, clock_ns));
}

/* --- bounds --- */

static void what_is_found_is_bounded(void **state)
{
    struct world *const w = *state;
    struct arena a;
    struct kube_verdict v;
    char longer[400];

    arena_init(&a, w->room, ROOM);
    struct adm_findings f = {.arena = &a};
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    for (int i = 0; i < ADM_CAUSES + 3; i++)
        adm_refuse(&f, STR("f"), "no");
    for (int i = 0; i < ADM_WARNINGS + 3; i++)
        adm_warn(&f, "%s", longer);
    assert_int_equal(adm_verdict(&v, &f), 0);
    assert_false(v.allowed);
    assert_int_equal(v.code, 422);
    assert_int_equal(v.n_causes, ADM_CAUSES);
    assert_true(str_ends(v.message, "; f: no; and 3 more"));
    assert_int_equal(v.n_warnings, ADM_WARNINGS);
    assert_int_equal(v.warnings[0].n, ADM_WARNING_BYTES);
    assert_true(str_starts(v.warnings[0], "numawise: xxx") && str_ends(v.warnings[0], "x..."));
    assert_true(ADM_WARNINGS * ADM_WARNING_BYTES <= 4096);
}

static void a_review_survives_every_arena_size(void **state)
{
    struct world *const w = *state;
    uint32_t answered = 0;

    add_node(w);
    for (size_t n = 0; n < 64 * 1024; n += n < 4096 ? 32 : 512) {
        struct adm_review review;
        struct kube_verdict v;
        struct arena a;

        arena_init(&a, w->room, n);
        struct adm_findings f = {.arena = &a};
        int rc = look_in(w, &review, &f, pod,
                         "{'metadata':{'annotations':{" HINT("max-lock", "1") "}}," NEEDS("4") "}",
                         "", &a);
        if (rc == 0)
            rc = adm_verdict(&v, &f);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_true(rc == 0 || answered == 0);
        answered += rc == 0;
        if (rc == 0)
            assert_int_equal(v.n_warnings, 2);
    }
    assert_true(answered > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_hint_that_does_not_parse_is_named),
        TEST(what_is_not_ours_to_refuse_is_warned_of),
        TEST(who_is_left_alone_hears_nothing),
        TEST(what_was_stored_before_stays),
        TEST(a_workload_that_is_there_does_not_stand_still),
        TEST(templates_are_pods_where_the_kind_is_kubernetes_own),
        TEST(of_subresources_those_count_that_change_containers),
        TEST(names_that_there_are_not_are_warned_of),
        TEST(a_list_tells_which_lock_policies_are_gone),
        TEST(a_kind_of_our_own_is_judged_as_check_does),
        TEST(a_report_is_judged_by_our_attributes),
        TEST(room_is_foretold_as_explain_would),
        TEST(a_node_of_which_nothing_is_known_is_told_apart),
        TEST(reasons_share_the_line),
        TEST(who_would_not_read_it_is_not_told),
        TEST(a_workload_is_told_when_its_template_changes),
        TEST(predictions_take_a_share_of_the_time),
        TEST(what_is_found_is_bounded),
        TEST(a_review_survives_every_arena_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
