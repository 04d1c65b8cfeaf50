/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb preempt of the real program, asked as kube-scheduler asks. Every answer is one that
 * kube-scheduler survives (a null in it ends the scheduler, a node without victims or one that it
 * did not propose fails the pod's turn); and the answers are put to the test: those named are
 * deleted, and then the filter lets the pod in; where nobody was named, all that may go are
 * deleted, and it still does not.
 */
#include "tests/support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/server.h"

enum { NODE_KIND, POD_KIND, TOPOLOGY_KIND, BUDGET_KIND };
enum { NODES = 40, LODGERS = 10, ZONE_CPUS = 8, PATIENCE_MS = 30000, MUTATIONS = 400 };

#define HEAD "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"

/* A pod on a node, CPUs of one zone; the earlier ones began earlier. */
struct lodger {
    char name[16];
    unsigned cpus, zone;
    int priority;
    bool is_web; /* else db: each app has a budget */
    bool proposed;
};

struct lodging {
    char name[8];
    struct lodger at[LODGERS];
    unsigned n;
};

static struct {
    struct fake_api *api;
    struct test_server server;
    char kubeconfig[TEST_PATH_BYTES], config[TEST_PATH_BYTES];
    struct lodging nodes[NODES];
    int allowed[2]; /* disruptions: db, web */
} w;

/* ---- the cluster ---- */

static void put(unsigned kind, const char *ns, const char *name, struct buf *text)
{
    (void)history_put_text(fake_api_lock(w.api), kind, ns, name, buf_view(text));
    fake_api_unlock(w.api);
    buf_free(text);
}

/* Who holds which CPUs, as its kubelet would say; `out` is the inside of a JSON string. */
static void add_placements(const struct lodging *node, struct buf *out)
{
    unsigned next[2] = {0, ZONE_CPUS};

    for (unsigned i = 0; i < node->n; i++) {
        const struct lodger *const l = &node->at[i];
        const unsigned first = next[l->zone];

        next[l->zone] += l->cpus;
        buf_printf(out,
                   "%s\\\"ml/%s\\\":{\\\"uid\\\":\\\"uid-%s\\\",\\\"containers\\\":{\\\"main\\\":{"
                   "\\\"cpus\\\":\\\"%u-%u\\\"}}}",
                   i ? "," : "", l->name, l->name, first, first + l->cpus - 1);
    }
}

static void put_node(const struct lodging *node)
{
    struct buf text = {0};

    buf_printf(&text,
               "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\"},"
               "\"status\":{\"allocatable\":{\"cpu\":\"16\",\"memory\":\"64Gi\",\"pods\":\"110\"},"
               "\"capacity\":{\"cpu\":\"16\",\"memory\":\"64Gi\",\"pods\":\"110\"}}}",
               node->name);
    put(NODE_KIND, "", node->name, &text);
    buf_printf(&text, "{\"apiVersion\":\"topology.node.k8s.io/v1alpha2\",\"attributes\":["
                      "{\"name\":\"topologyManagerPolicy\",\"value\":\"single-numa-node\"},"
                      "{\"name\":\"topologyManagerScope\",\"value\":\"container\"},"
                      "{\"name\":\"orchestration.gokore.io/placements\",\"value\":\"{");
    add_placements(node, &text);
    buf_printf(&text,
               "}\"}],\"kind\":\"NodeResourceTopology\",\"metadata\":{\"name\":\"%s\"},"
               "\"zones\":[",
               node->name);
    for (int z = 0; z < 2; z++)
        buf_printf(&text,
                   "%s{\"attributes\":[{\"name\":\"orchestration.gokore.io/cpus\",\"value\":"
                   "\"%d-%d\"}],\"name\":\"node-%d\",\"resources\":[{\"allocatable\":\"8\","
                   "\"available\":\"8\",\"capacity\":\"8\",\"name\":\"cpu\"}],\"type\":\"Node\"}",
                   z ? "," : "", z * ZONE_CPUS, z * ZONE_CPUS + ZONE_CPUS - 1, z);
    buf_text(&text, "]}");
    put(TOPOLOGY_KIND, "", node->name, &text);
}

/* "" = no node yet. */
static void pod_text(struct buf *out, const struct lodger *l, const char *node, unsigned start)
{
    buf_printf(
        out,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"namespace\":"
        "\"ml\",\"uid\":\"uid-%s\",\"labels\":{\"app\":\"%s\"},\"creationTimestamp\":"
        "\"2026-01-01T00:00:%02uZ\"},\"spec\":{\"priority\":%d,\"nodeName\":\"%s\","
        "\"containers\":[{\"name\":\"main\",\"resources\":{\"requests\":{\"cpu\":\"%u\","
        "\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"%u\",\"memory\":\"1Gi\"}}}]},\"status\":{"
        "\"phase\":\"Running\",\"startTime\":\"2026-01-01T00:00:%02uZ\"}}",
        l->name, l->name, l->is_web ? "web" : "db", start, l->priority, node, l->cpus, l->cpus,
        start);
}

static void put_pod(const struct lodger *l, const char *node, unsigned start)
{
    struct buf text = {0};

    pod_text(&text, l, node, start);
    put(POD_KIND, "ml", l->name, &text);
}

static void put_budget(const char *app, int allowed)
{
    struct buf text = {0};

    buf_printf(&text,
               "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{"
               "\"name\":\"%s\",\"namespace\":\"ml\"},\"spec\":{\"selector\":{\"matchLabels\":{"
               "\"app\":\"%s\"}}},\"status\":{\"disruptionsAllowed\":%d}}",
               app, app, allowed);
    put(BUDGET_KIND, "ml", app, &text);
}

static void random_lodgers(struct lodging *node, unsigned number, uint64_t *seed)
{
    unsigned free[2] = {ZONE_CPUS, ZONE_CPUS};

    (void)snprintf(node->name, sizeof(node->name), "n%u", number);
    node->n = 0;
    for (int i = 0; i < LODGERS; i++) {
        struct lodger *const l = &node->at[node->n];
        *l = (struct lodger){.cpus = 1 + (unsigned)test_random(seed, 5),
                             .zone = (unsigned)test_random(seed, 2),
                             .priority = (int)test_random(seed, 4),
                             .is_web = test_random(seed, 2) == 0};
        if (l->cpus > free[l->zone])
            continue;
        free[l->zone] -= l->cpus;
        (void)snprintf(l->name, sizeof(l->name), "p%u-%u", number, node->n++);
    }
}

static void make_cluster(uint64_t *seed)
{
    const struct lodging mark = {.name = "mark"};

    for (unsigned i = 0; i < NODES; i++) {
        random_lodgers(&w.nodes[i], i, seed);
        put_node(&w.nodes[i]);
        for (unsigned k = 0; k < w.nodes[i].n; k++)
            put_pod(&w.nodes[i].at[k], w.nodes[i].name, k);
    }
    put_node(&mark);
    for (int app = 0; app < 2; app++) {
        w.allowed[app] = (int)test_random(seed, 3);
        put_budget(app ? "web" : "db", w.allowed[app]);
    }
}

/* ---- the program ---- */

static void start_with(const char *settings)
{
    static const struct fake_api_options options = {.bookmark_ms = 200};
    const char *const source[] = {"--kubeconfig", w.kubeconfig, NULL};
    const char *const extra[] = {"--config", w.config, NULL};
    uint64_t seed = test_seed(20261126);
    struct buf text = {0};

    w.api = fake_api_new(&options);
    struct history *const h = fake_api_lock(w.api);
    (void)history_kind(h, "/api/v1/nodes", "v1", "Node", false);
    (void)history_kind(h, "/api/v1/pods", "v1", "Pod", false);
    (void)history_kind(h, "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies",
                       "topology.node.k8s.io/v1alpha2", "NodeResourceTopology", true);
    (void)history_kind(h, "/apis/policy/v1/poddisruptionbudgets", "policy/v1",
                       "PodDisruptionBudget", false);
    fake_api_unlock(w.api);
    make_cluster(&seed);
    test_temporary(w.kubeconfig, "preempt");
    test_temporary(w.config, "preempt.yaml");
    fake_api_write_kubeconfig(w.api, w.kubeconfig);
    buf_printf(&text, HEAD "%s\n", settings);
    test_write(w.config, buf_view(&text));
    buf_free(&text);
    test_server_run(&w.server, source, extra);
    test_server_wait(&w.server);
}

static int start(void **state)
{
    (void)state;
    start_with("extender: {preempt: true}");
    return 0;
}

static int start_in_shadow(void **state)
{
    (void)state;
    start_with("extender: {preempt: true, mode: Shadow}");
    return 0;
}

static int start_without(void **state)
{
    (void)state;
    start_with("extender: {preempt: false}");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(test_server_stop(&w.server, SIGTERM), 0);
    fake_api_free(w.api);
    (void)unlink(w.kubeconfig);
    (void)unlink(w.config);
    return 0;
}

static double metric(const char *name)
{
    struct buf b = {0};

    assert_int_equal(test_get(w.server.console, "/metrics", &b), 200);
    const char *const at = strstr(b.p, name);
    assert_non_null(at);
    const double v = atof(at + strlen(name));
    buf_free(&b);
    return v;
}

#define PREEMPT_NODES(result)                                                                      \
    metric("numawise_extender_preempt_nodes_total{result=\"" result "\"} ")

/* ---- kube-scheduler's part: whom it would evict ---- */

static bool violates_of[LODGERS];

/* Room in sum is all it looks at, and who is more important stays, those under a budget first. */
static unsigned propose(struct lodging *node, const struct lodger *urgent)
{
    unsigned used = 0, others = 0, violations = 0;
    int left[2] = {w.allowed[0], w.allowed[1]};
    unsigned order[LODGERS], n = 0;

    for (unsigned i = 0; i < node->n; i++) {
        struct lodger *const l = &node->at[i];
        used += l->cpus;
        l->proposed = false;
        if (l->priority >= urgent->priority) {
            others += l->cpus;
            continue;
        }
        unsigned at = n++; /* the most important first; they stand in the order of their start */
        for (; at > 0 && node->at[order[at - 1]].priority < l->priority; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    if (used + urgent->cpus <= 2 * ZONE_CPUS || others + urgent->cpus > 2 * ZONE_CPUS)
        return 0;
    for (unsigned k = 0; k < n; k++)
        violates_of[order[k]] = --left[node->at[order[k]].is_web] < 0;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned k = 0; k < n; k++) {
            struct lodger *const l = &node->at[order[k]];
            if (violates_of[order[k]] != (pass == 0))
                continue;
            l->proposed = others + l->cpus + urgent->cpus > 2 * ZONE_CPUS;
            others += l->proposed ? 0 : l->cpus;
            violations += l->proposed && pass == 0;
        }
    return violations;
}

static unsigned proposed_on(const struct lodging *node)
{
    unsigned n = 0;

    for (unsigned i = 0; i < node->n; i++)
        n += node->at[i].proposed;
    return n;
}

/* The call in one of its forms, over all nodes with somebody to evict. */
static void question(struct buf *out, const struct lodger *urgent, bool whole)
{
    const char *sep = "";

    buf_text(out, "{\"Pod\":");
    pod_text(out, urgent, "", 59);
    buf_printf(out, ",\"%s\":null,\"%s\":{", whole ? "NodeNameToMetaVictims" : "NodeNameToVictims",
               whole ? "NodeNameToVictims" : "NodeNameToMetaVictims");
    for (unsigned i = 0; i < NODES; i++) {
        struct lodging *const node = &w.nodes[i];
        const unsigned violations = propose(node, urgent);
        const char *comma = "";

        if (proposed_on(node) == 0)
            continue;
        buf_printf(out, "%s\"%s\":{\"Pods\":[", sep, node->name);
        sep = ",";
        for (unsigned k = 0; k < node->n; k++) {
            if (!node->at[k].proposed)
                continue;
            buf_text(out, comma);
            comma = ",";
            if (whole)
                pod_text(out, &node->at[k], node->name, k);
            else
                buf_printf(out, "{\"UID\":\"uid-%s\"}", node->at[k].name);
        }
        buf_printf(out, "],\"NumPDBViolations\":%u}", violations);
    }
    buf_text(out, "}}");
}

static int ask(const char *target, struct str body, struct buf *out)
{
    return test_call(w.server.extender, "POST", target, body, out);
}

/*
 * An answer that kube-scheduler survives: one object of objects, each with at least one victim that
 * has a uid, and a count. To be released.
 */
static json_t *safe(struct str text)
{
    json_t *const answer = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *const nodes = json_object_get(answer, "NodeNameToMetaVictims");
    const char *name;
    json_t *node, *victim;
    size_t i;

    assert_true(json_is_object(nodes));
    assert_int_equal(json_object_size(answer), 1);
    json_object_foreach(nodes, name, node)
    {
        json_t *const pods = json_object_get(node, "Pods");
        assert_true(json_is_object(node) && json_is_array(pods));
        assert_true(json_array_size(pods) > 0);
        assert_true(json_is_integer(json_object_get(node, "NumPDBViolations")));
        json_array_foreach(pods, i, victim)
        {
            const char *const uid = json_string_value(json_object_get(victim, "UID"));
            assert_true(uid && *uid);
        }
    }
    json_incref(nodes);
    json_decref(answer);
    return nodes;
}

static json_t *preempt(struct str body)
{
    struct buf out = {0};

    assert_int_equal(ask("/scheduler/preempt", body, &out), 200);
    json_t *const nodes = safe(buf_view(&out));
    buf_free(&out);
    return nodes;
}

/* ---- the facts ---- */

static void off_there_is_no_such_verb(void **state)
{
    struct buf out = {0};

    (void)state;
    assert_int_equal(ask("/scheduler/preempt", STR("{}"), &out), 404);
    buf_free(&out);
}

/* kube-scheduler's words, with its nodes, which are not known here: they go back as they came. */
static void recorded(const char *file, json_t *want)
{
    struct buf message = {0};

    assert_int_equal(test_data_read(file, &message), 0);
    json_t *const got = preempt(test_http_body((struct str){message.p, message.n}));
    assert_true(json_equal(got, want));
    json_decref(got);
    buf_free(&message);
}

static void nodes_that_are_not_known_go_back_as_they_came(void **state)
{
    struct buf message = {0};

    (void)state;
    assert_int_equal(test_data_read("scheduler-requests/preempt-meta-victims.http", &message), 0);
    const struct str body = test_http_body((struct str){message.p, message.n});
    json_t *const asked = json_loadb(body.p, body.n, 0, NULL);
    json_t *const want = json_object_get(asked, "NodeNameToMetaVictims");
    assert_int_equal(json_object_size(want), 3);
    recorded("scheduler-requests/preempt-meta-victims.http", want);
    recorded("scheduler-requests/preempt-victims.http", want);
    json_decref(asked);
    buf_free(&message);
    assert_int_equal(PREEMPT_NODES("unjudged"), 6);
}

static struct lodger *lodger_of(struct lodging *node, const char *uid)
{
    for (unsigned i = 0; i < node->n; i++)
        if (strcmp(uid + 4, node->at[i].name) == 0)
            return &node->at[i];
    fail_msg("%s is not on %s", uid, node->name);
    return NULL;
}

static void end_pod(const struct lodger *l)
{
    assert_true(history_delete(fake_api_lock(w.api), POD_KIND, "ml", l->name) > 0);
    fake_api_unlock(w.api);
}

/* Those that are named are lower, each named once, and the count of violations is theirs. */
static void end_victims(struct lodging *node, const json_t *named, const struct lodger *urgent)
{
    int gone[2] = {0}, violations = 0;
    const json_t *const pods = json_object_get(named, "Pods");
    size_t i;
    const json_t *victim;

    json_array_foreach(pods, i, victim)
    {
        const char *const uid = json_string_value(json_object_get(victim, "UID"));
        const struct lodger *const l = lodger_of(node, uid);
        assert_true(l->priority < urgent->priority);
        gone[l->is_web]++;
        end_pod(l); /* a second time there is none to delete */
    }
    for (int app = 0; app < 2; app++)
        violations += gone[app] > w.allowed[app] ? gone[app] - w.allowed[app] : 0;
    assert_int_equal(json_integer_value(json_object_get(named, "NumPDBViolations")), violations);
}

static void end_all_lower(const struct lodging *node, const struct lodger *urgent)
{
    for (unsigned i = 0; i < node->n; i++)
        if (node->at[i].priority < urgent->priority)
            end_pod(&node->at[i]);
}

/* The filter's answer over all nodes, once all that was written before is known. */
static json_t *filter_then(const struct lodger *urgent)
{
    static const struct lodger marks[] = {{.name = "mark-0", .cpus = 8},
                                          {.name = "mark-1", .cpus = 8}};
    struct buf body = {0}, out = {0};
    json_t *passed = NULL;

    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        put_pod(&marks[i], "mark", (unsigned)i);
    buf_text(&body, "{\"Pod\":");
    pod_text(&body, urgent, "", 59);
    buf_text(&body, ",\"Nodes\":null,\"NodeNames\":[\"mark\"");
    for (unsigned i = 0; i < NODES; i++)
        buf_printf(&body, ",\"%s\"", w.nodes[i].name);
    buf_text(&body, "]}");
    for (int ms = 0; ms < PATIENCE_MS && !passed; ms += 10) {
        assert_int_equal(ask("/scheduler/filter", buf_view(&body), &out), 200);
        json_t *const answer = json_loadb(out.p, out.n, 0, NULL);
        json_t *const names = json_object_get(answer, "NodeNames");
        const char *const first = json_string_value(json_array_get(names, 0));
        if (!first || strcmp(first, "mark") != 0) {
            passed = names;
            json_incref(passed);
        } else {
            (void)poll(NULL, 0, 10);
        }
        json_decref(answer);
    }
    assert_non_null(passed);
    buf_free(&body);
    buf_free(&out);
    return passed;
}

static bool is_among(const json_t *names, const char *name)
{
    size_t i;
    const json_t *at;

    json_array_foreach(names, i, at)
    {
        if (strcmp(json_string_value(at), name) == 0)
            return true;
    }
    return false;
}

/* How many nodes were proposed, handed back, and not. */
struct tally {
    unsigned proposed, kept, dropped;
};

static struct tally prove(const struct lodger *urgent)
{
    struct buf body = {0};
    struct tally t = {0};

    question(&body, urgent, false);
    json_t *const answer = preempt(buf_view(&body));
    buf_free(&body);
    question(&body, urgent, true);
    json_t *const again = preempt(buf_view(&body));
    buf_free(&body);
    assert_true(json_equal(answer, again)); /* both forms are one question */
    json_decref(again);
    for (unsigned i = 0; i < NODES; i++) {
        struct lodging *const node = &w.nodes[i];
        const json_t *const named = json_object_get(answer, node->name);
        const bool proposed = proposed_on(node) > 0;

        t.proposed += proposed;
        t.kept += named != NULL;
        t.dropped += proposed && !named;
        assert_true(proposed || !named);
        if (named)
            end_victims(node, named, urgent);
        else if (proposed)
            end_all_lower(node, urgent);
    }
    json_t *const passed = filter_then(urgent);
    for (unsigned i = 0; i < NODES; i++) {
        const bool named = json_object_get(answer, w.nodes[i].name) != NULL;
        if (proposed_on(&w.nodes[i]) && is_among(passed, w.nodes[i].name) != named)
            fail_msg("%s: %s, and the filter says otherwise", w.nodes[i].name,
                     named ? "victims were named" : "nobody was named");
    }
    json_decref(passed);
    json_decref(answer);
    print_message("%u proposed, %u handed back, %u not\n", t.proposed, t.kept, t.dropped);
    assert_int_equal(PREEMPT_NODES("kept") + PREEMPT_NODES("changed"), 2 * t.kept);
    assert_int_equal(PREEMPT_NODES("useless"), 2 * t.dropped);
    return t;
}

static void with_the_victims_gone_it_gets_in(void **state)
{
    static const struct lodger urgent = {.name = "urgent", .cpus = 6, .priority = 3};

    (void)state;
    const struct tally t = prove(&urgent);
    assert_true(t.kept > NODES / 4);
    assert_true(PREEMPT_NODES("changed") > 0 && PREEMPT_NODES("kept") > 0);
}

/* A whole zone, and half of the pods are as important: on many nodes nothing helps. */
static void where_nobody_is_named_nobodys_end_would_help(void **state)
{
    static const struct lodger urgent = {.name = "urgent", .cpus = 8, .priority = 2};

    (void)state;
    const struct tally t = prove(&urgent);
    assert_true(t.kept > 0 && t.dropped > 0);
}

static void in_shadow_all_go_back_as_they_came(void **state)
{
    static const struct lodger urgent = {.name = "urgent", .cpus = 8, .priority = 2};
    struct buf body = {0};

    (void)state;
    question(&body, &urgent, false);
    json_t *const asked = json_loadb(body.p, body.n, 0, NULL), *const got =
                                                                   preempt(buf_view(&body));
    assert_true(json_equal(got, json_object_get(asked, "NodeNameToMetaVictims")));
    assert_true(json_object_size(got) > 0);
    json_decref(asked);
    json_decref(got);
    buf_free(&body);
}

static void what_is_no_call_is_answered_400_and_nothing(void **state)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{\"NodeNameToMetaVictims\":{\"n0\":{\"Pods\":[null]}}}",
        "{\"NodeNameToMetaVictims\":{\"n0\":{\"Pods\":[{}]}}}",
        "{\"NodeNameToVictims\":{\"n0\":{\"Pods\":[{\"metadata\":{\"name\":\"a\"}}]}}}",
        "{\"NodeNameToMetaVictims\":[\"n0\"]}",
        "{\"NodeNameToMetaVictims\":{}",
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_equal(ask("/scheduler/preempt", str_of(bodies[i]), &out), 400);
        assert_int_equal(out.n, 0);
    }
    assert_int_equal(metric("numawise_extender_requests_total{verb=\"preempt\",code=\"400\"} "),
                     ARRAY_LEN(bodies));
    buf_free(&out);
}

static void nulls_are_no_victims(void **state)
{
    static const char body[] =
        "{\"Pod\":null,\"NodeNameToVictims\":null,\"NodeNameToMetaVictims\":{"
        "\"n0\":null,\"n1\":{\"Pods\":null,\"NumPDBViolations\":0},\"n2\":{"
        "\"Pods\":[]},\"else\":{\"Pods\":[{\"UID\":\"a\"}]}}}";

    (void)state;
    json_t *const got = preempt(STR(body));
    assert_int_equal(json_object_size(got), 1); /* no pod is no reason to hold anybody up */
    assert_non_null(json_object_get(got, "else"));
    json_decref(got);
}

/* A byte or a piece of the call changed: it is answered, by what kube-scheduler survives. */
static void a_damaged_call_is_answered_safely(void **state)
{
    static const struct lodger urgent = {.name = "urgent", .cpus = 6, .priority = 3};
    uint64_t seed = test_seed(20261127);
    struct buf whole = {0}, body = {0}, out = {0};
    unsigned fine = 0, refused = 0;

    (void)state;
    question(&whole, &urgent, false);
    for (int i = 0; i < MUTATIONS; i++) {
        const size_t at = (size_t)test_random(&seed, whole.n);
        const size_t left_out = (size_t)test_random(&seed, 2) * test_random(&seed, 24);
        const size_t after = at + left_out < whole.n ? at + left_out : whole.n;

        body.n = 0;
        buf_str(&body, (struct str){whole.p, at});
        if (left_out == 0)
            buf_str(&body, (struct str){&"0\"{}[]:,nN\\"[test_random(&seed, 11)], 1});
        buf_str(&body, (struct str){whole.p + after, whole.n - after});
        const int status = ask("/scheduler/preempt", buf_view(&body), &out);
        assert_true(status == 200 || status == 400);
        if (status == 200)
            json_decref(safe(buf_view(&out)));
        fine += status == 200;
        refused += status == 400;
    }
    print_message("%u answered, %u refused\n", fine, refused);
    assert_true(fine > MUTATIONS / 20 && refused > MUTATIONS / 20);
    buf_free(&whole);
    buf_free(&body);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(off_there_is_no_such_verb, start_without, stop),
        cmocka_unit_test_setup_teardown(nodes_that_are_not_known_go_back_as_they_came, start, stop),
        cmocka_unit_test_setup_teardown(with_the_victims_gone_it_gets_in, start, stop),
        cmocka_unit_test_setup_teardown(where_nobody_is_named_nobodys_end_would_help, start, stop),
        cmocka_unit_test_setup_teardown(in_shadow_all_go_back_as_they_came, start_in_shadow, stop),
        cmocka_unit_test_setup_teardown(what_is_no_call_is_answered_400_and_nothing, start, stop),
        cmocka_unit_test_setup_teardown(nulls_are_no_victims, start, stop),
        cmocka_unit_test_setup_teardown(a_damaged_call_is_answered_safely, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
