/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real program over an API server, a real one as far as sockets go, which changes, misbehaves
 * and goes away: what kube-scheduler is answered is what it would be over a directory with the same
 * objects, and it is answered all the time.
 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/fake_store.h"
#include "tests/support/prometheus.h"
#include "tests/support/server.h"

enum { WAIT_MS = 30000 };
enum { NODES, PODS, TOPOLOGIES, NAMESPACES, POLICIES, SIGNALS, KINDS };
enum { MISBEHAVING = 3 }; /* the first ones, when the server is bad */

static const struct fake_kind kinds[KINDS] = {
    {"/api/v1/nodes", "v1", "Node", false},
    {"/api/v1/pods", "v1", "Pod", false},
    {"/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies", "topology.node.k8s.io/v1alpha2",
     "NodeResourceTopology", true},
    {"/api/v1/namespaces", "v1", "Namespace", false},
    {"/apis/orchestration.gokore.io/v1beta1/concurrencypolicies", "orchestration.gokore.io/v1beta1",
     "ConcurrencyPolicy", true},
    {"/apis/orchestration.gokore.io/v1beta1/signals", "orchestration.gokore.io/v1beta1", "Signal",
     true},
};

/* --- an API server with the example cluster, and the program over it --- */

struct bench {
    struct fake_api *api;
    struct test_server server;
    char kubeconfig[TEST_PATH_BYTES];
    struct buf question; /* a filter request of the examples */
};

static void put_file(struct bench *b, const char *name)
{
    char path[TEST_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/cluster/%s.yaml", TEST_EXAMPLES, name);
    fake_store_put_file(b->api, path);
}

static void put_example(struct bench *b)
{
    static const char *const names[] = {"cpu-1",  "cpu-2", "edge-1", "epyc-1",
                                        "epyc-2", "gpu-1", "gpu-2",  "gpu-3"};
    char path[64];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "nodes/%s", names[i]);
        put_file(b, path);
        (void)snprintf(path, sizeof(path), "pods/%s", names[i]);
        put_file(b, path);
    }
    put_file(b, "policies");
    put_file(b, "signals");
}

static void write_kubeconfig(struct bench *b)
{
    test_temporary(b->kubeconfig, "live");
    fake_api_write_kubeconfig(b->api, b->kubeconfig);
}

static int setup(void **state)
{
    static const struct fake_api_options options = {.bookmark_ms = 200, .page = 3};
    struct bench *const b = calloc(1, sizeof(*b));
    char path[TEST_PATH_BYTES];

    b->api = fake_api_new(&options);
    fake_api_add_kinds(b->api, kinds, KINDS);
    put_example(b);
    write_kubeconfig(b);
    (void)snprintf(path, sizeof(path), "%s/requests/filter.body", TEST_EXAMPLES);
    assert_int_equal(test_file_read(path, &b->question), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    if (b->server.pid)
        assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    fake_api_free(b->api);
    (void)unlink(b->kubeconfig);
    buf_free(&b->question);
    free(b);
    return 0;
}

static void run(struct bench *b, const char *const *extra)
{
    const char *const source[] = {"--kubeconfig", b->kubeconfig, NULL};

    test_server_run(&b->server, source, extra);
}

static void start(struct bench *b)
{
    run(b, NULL);
    test_server_wait(&b->server);
}

/* A port that was free just now, for a listener that must be known before it is announced. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

/* --- asking --- */

static void filter_at(uint16_t port, struct str question, struct buf *out)
{
    assert_int_equal(test_call(port, "POST", "/scheduler/filter", question, out), 200);
}

static void filter(struct bench *b, struct buf *out)
{
    filter_at(b->server.extender, buf_view(&b->question), out);
}

static bool metric_is(uint16_t console, const char *line)
{
    struct buf page = {0};

    assert_int_equal(test_get(console, "/metrics", &page), 200);
    const char *const at = strstr(page.p, line);
    const bool is = at && (at == page.p || at[-1] == '\n') && at[strlen(line)] == '\n';
    buf_free(&page);
    return is;
}

static bool log_has(const struct test_server *s, const char *words)
{
    struct buf log = {0};

    test_server_log(s, &log);
    const bool has = log.n && strstr(log.p, words);
    buf_free(&log);
    return has;
}

struct wait {
    struct bench *b;
    const char *text;
};

static void wait_until(bool (*is_so)(struct wait *w), struct wait *w)
{
    const uint64_t limit = clock_monotonic_ns() + WAIT_MS * UINT64_C(1000000);

    while (!is_so(w)) {
        if (clock_monotonic_ns() > limit) {
            struct buf log = {0};

            test_server_log(&w->b->server, &log);
            fail_msg("not within %d ms: %s\n%s", WAIT_MS, w->text, log.p ? log.p : "");
        }
        (void)poll(NULL, 0, 10);
    }
}

static bool filter_says(struct wait *w)
{
    struct buf answer = {0};

    filter(w->b, &answer);
    const bool says = strstr(answer.p, w->text) != NULL;
    buf_free(&answer);
    return says;
}

static bool metric_says(struct wait *w)
{
    return metric_is(w->b->server.console, w->text);
}

static bool log_says(struct wait *w)
{
    return log_has(&w->b->server, w->text);
}

static void expect_filter(struct bench *b, const char *text)
{
    struct wait w = {b, text};

    wait_until(filter_says, &w);
}

static void expect_metric(struct bench *b, const char *line)
{
    struct wait w = {b, line};

    wait_until(metric_says, &w);
}

static void expect_log(struct bench *b, const char *words)
{
    struct wait w = {b, words};

    wait_until(log_says, &w);
}

static void expect_verbose(uint16_t port, int status, const char *line)
{
    struct buf text = {0};

    assert_int_equal(test_get(port, "/readyz?verbose", &text), status);
    if (!strstr(text.p, line))
        fail_msg("no line \"%s\" in:\n%s", line, text.p);
    buf_free(&text);
}

/* --- tests --- */

static void the_answer_is_that_over_a_directory_with_the_same_objects(void **state)
{
    struct bench *const b = *state;
    struct test_server directory;
    struct buf live = {0}, read = {0};

    start(b);
    test_server_start(&directory, TEST_EXAMPLES "/cluster", NULL);
    filter(b, &live);
    filter_at(directory.extender, buf_view(&b->question), &read);
    assert_string_equal(live.p, read.p);
    assert_non_null(strstr(live.p, "numawise: TopologyAffinityError")); /* it is a real one */
    expect_verbose(b->server.extender, 200,
                   "[+]nodes-synced ok\n[+]pods-synced ok\n[+]noderesourcetopologies-synced ok\n"
                   "[+]namespaces-synced ok\n[+]concurrencypolicies-synced ok\n"
                   "[+]signals-synced ok\n");
    expect_metric(b, "numawise_cache_synced{resource=\"pods\"} 1");
    expect_metric(b, "numawise_cache_degraded{resource=\"pods\",reason=\"unreachable\"} 0");
    char why[PROMETHEUS_WHY_BYTES];
    assert_int_equal(test_get(b->server.console, "/metrics", &live), 200);
    if (!prometheus_check(buf_view(&live), why))
        fail_msg("%s", why);
    read.n = 0;
    assert_int_equal(test_file_read(TEST_DATA "/../../docs/reference/commands.md", &read), 0);
    char *const table = strstr(read.p, "\n### Metrics\n");
    *strstr(table, "\nWith `signals.prometheus`") = 0;
    if (!prometheus_documented(buf_view(&live), str_of(table), why))
        fail_msg("%s", why);
    buf_free(&live);
    buf_free(&read);
    assert_int_equal(test_server_stop(&directory, SIGTERM), 0);
}

/* A topology on which the pod fits nowhere. */
static void shrink(struct bench *b, const char *node)
{
    struct history *const h = fake_api_lock(b->api);

    (void)history_put(h, TOPOLOGIES, "", node, NULL,
                      "'attributes':[{'name':'topologyManagerPolicy','value':'single-numa-node'}],"
                      "'zones':[{'name':'node-0','type':'Node','resources':[{'name':'cpu',"
                      "'capacity':'2','allocatable':'2','available':'2'}]}]");
    (void)history_put(h, NODES, "", node, NULL,
                      "'status':{'capacity':{'cpu':'2'},'allocatable':{'cpu':'2'}}");
    fake_api_unlock(b->api);
}

static void change_is_followed(struct bench *b, const char *node)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "\"%s\":\"numawise: TopologyAffinityError\"", node);
    shrink(b, node);
    expect_filter(b, text);
}

static void changes_are_followed(void **state)
{
    struct bench *const b = *state;

    start(b);
    change_is_followed(b, "epyc-2");
    change_is_followed(b, "gpu-1");
    struct history *const h = fake_api_lock(b->api);
    assert_true(history_delete(h, TOPOLOGIES, "", "gpu-1") > 0); /* then nothing is known of it */
    fake_api_unlock(b->api);
    struct wait w = {b, "\"gpu-1\":"};
    const uint64_t limit = clock_monotonic_ns() + WAIT_MS * UINT64_C(1000000);
    while (filter_says(&w))
        assert_true(clock_monotonic_ns() < limit);
    assert_int_equal(fake_api_asked(b->api, "GET /api/v1/nodes?limit="), 3); /* eight, by three */
}

static void readiness_follows_what_was_read(void **state)
{
    struct bench *const b = *state;
    const uint16_t port = free_port();
    char listen[64];

    (void)snprintf(listen, sizeof(listen), "console=127.0.0.1:%u", port);
    const char *const extra[] = {"--listen", listen, NULL};
    fake_api_fault(b->api, FAKE_HANG, "/api/v1/pods", FAKE_LISTS, FAKE_ALWAYS, 0, 0);
    run(b, extra);
    const uint64_t limit = clock_monotonic_ns() + WAIT_MS * UINT64_C(1000000);
    for (int fd; (fd = test_connect(port)) < 0 || close(fd);)
        assert_true(clock_monotonic_ns() < limit);
    while (!metric_is(port, "numawise_cache_synced{resource=\"nodes\"} 1"))
        assert_true(clock_monotonic_ns() < limit);
    expect_verbose(port, 503, "[-]state-synced failed: the cluster has not been listed yet\n");
    expect_verbose(port, 503,
                   "[+]nodes-synced ok\n[-]pods-synced failed: they have not been listed yet\n");
    expect_verbose(port, 503, "readyz check failed\n");
    struct buf text = {0};
    assert_int_equal(test_get(port, "/readyz", &text), 503); /* and says why, asked or not */
    assert_non_null(strstr(text.p, "[-]pods-synced failed"));
    assert_int_equal(test_get(port, "/livez", &text), 200);
    buf_free(&text);
    fake_api_heal(b->api);
    test_server_wait(&b->server);
    expect_verbose(b->server.console, 200, "[+]pods-synced ok\n");
    expect_verbose(b->server.console, 200, "readyz check passed\n");
}

static void a_missing_definition_degrades_what_needs_it_and_nothing_else(void **state)
{
    struct bench *const b = *state;
    struct buf answer = {0};

    fake_api_fault(b->api, FAKE_STATUS, kinds[TOPOLOGIES].path, FAKE_BOTH, FAKE_ALWAYS, 404, 0);
    start(b);
    filter(b, &answer);
    assert_non_null(strstr(answer.p, "\"FailedAndUnresolvableNodes\":{}")); /* all pass */
    expect_verbose(b->server.console, 200, "[+]noderesourcetopologies-synced ok\n");
    expect_metric(b, "numawise_cache_degraded{resource=\"noderesourcetopologies\","
                     "reason=\"absent\"} 1");
    expect_metric(b, "numawise_cache_synced{resource=\"noderesourcetopologies\"} 0");
    expect_log(b, "this API server has no noderesourcetopologies: its CustomResourceDefinition is "
                  "not installed");
    fake_api_heal(b->api); /* it was installed meanwhile */
    expect_filter(b, "numawise: TopologyAffinityError");
    expect_metric(b, "numawise_cache_degraded{resource=\"noderesourcetopologies\","
                     "reason=\"absent\"} 0");
    buf_free(&answer);
}

/* What the namespace may and what is measured: of the objects as they are just then. */
static void policies_namespaces_and_signals_count(void **state)
{
    static const char *const limit = "'qosPolicy':{'guaranteed':{'maxLocks':4}}";
    static const char *const pod =
        "{\"Pod\":{\"metadata\":{\"namespace\":\"ml\",\"name\":\"p\",\"uid\":\"u\",\"annotations\":"
        "{\"orchestration.gokore.io/max-locks\":\"5\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
        "\"resources\":{\"requests\":{\"cpu\":\"4\",\"memory\":\"1Gi\"},"
        "\"limits\":{\"cpu\":\"4\",\"memory\":\"1Gi\"}}}]}},\"NodeNames\":[\"gpu-1\"]}";
    struct bench *const b = *state;
    char rest[256];

    b->question.n = 0;
    buf_text(&b->question, pod);
    start(b);
    expect_filter(b, "\"NodeNames\":[\"gpu-1\"]");
    (void)snprintf(rest, sizeof(rest),
                   "'spec':{'namespaceSelector':{'matchLabels':{'tier':'gold'}},%s}", limit);
    struct history *h = fake_api_lock(b->api);
    (void)history_put(h, POLICIES, "", "gold", NULL, rest);
    (void)history_put_text(h, NAMESPACES, "", "ml",
                           STR("{\"metadata\":{\"name\":\"ml\",\"labels\":{\"tier\":\"gold\"}}}"));
    fake_api_unlock(b->api);
    expect_filter(b, "\"gpu-1\":\"numawise: LockLimit\"");
    h = fake_api_lock(b->api);
    assert_true(history_delete(h, POLICIES, "", "gold") > 0);
    fake_api_unlock(b->api);
    expect_filter(b, "\"NodeNames\":[\"gpu-1\"]");
    expect_metric(b, "numawise_cache_synced{resource=\"signals\"} 1");
}

static bool policy_says(struct bench *b, const char *policy, const char *text)
{
    const struct history *const h = fake_api_lock(b->api);
    const struct str now = history_object(h, POLICIES, "", policy, history_version(h));
    const bool says = now.n && memmem(now.p, now.n, text, strlen(text)) != NULL;

    fake_api_unlock(b->api);
    return says;
}

static void await_policy(struct bench *b, const char *policy, const char *text)
{
    const uint64_t limit = clock_monotonic_ns() + WAIT_MS * UINT64_C(1000000);

    while (!policy_says(b, policy, text)) {
        if (clock_monotonic_ns() > limit)
            fail_msg("not within %d ms: %s of %s", WAIT_MS, text, policy);
        (void)poll(NULL, 0, 10);
    }
}

static void put_policy(struct bench *b, const char *name, int precedence)
{
    char rest[64];

    (void)snprintf(rest, sizeof(rest), "'spec':{'precedence':%d}", precedence);
    struct history *const h = fake_api_lock(b->api);
    (void)history_put(h, POLICIES, "", name, NULL, rest);
    (void)history_put_text(h, NAMESPACES, "", "ml", STR("{\"metadata\":{\"name\":\"ml\"}}"));
    fake_api_unlock(b->api);
}

/* The operator tells policies in their conditions whether they count. */
static void a_policy_that_loses_is_told_so(void **state)
{
    struct bench *const b = *state;

    fake_api_handle(b->api, fake_store_handle, b->api);
    put_policy(b, "first", 100);
    start(b);
    await_policy(b, "first", "\"reason\":\"NoConflict\"");
    put_policy(b, "second", 200);
    await_policy(b, "first", "\"message\":\"second counts in namespace ml\"");
    await_policy(b, "second", "\"reason\":\"NoConflict\"");
    assert_int_equal(fake_api_asked(b->api, "PUT /apis/orchestration.gokore.io/v1beta1/"
                                            "concurrencypolicies/second "),
                     0); /* the status alone */
}

static void a_cluster_without_our_definitions_is_served(void **state)
{
    struct bench *const b = *state;
    struct buf answer = {0};

    fake_api_fault(b->api, FAKE_STATUS, kinds[POLICIES].path, FAKE_BOTH, FAKE_ALWAYS, 404, 0);
    fake_api_fault(b->api, FAKE_STATUS, kinds[SIGNALS].path, FAKE_BOTH, FAKE_ALWAYS, 404, 0);
    fake_api_fault(b->api, FAKE_STATUS, kinds[NAMESPACES].path, FAKE_BOTH, FAKE_ALWAYS, 403, 0);
    start(b);
    filter(b, &answer);
    assert_non_null(strstr(answer.p, "numawise: TopologyAffinityError"));
    expect_log(b, "until then no policy counts");
    expect_log(b, "{apiGroups: [\\\"\\\"], resources: [namespaces], verbs: [list, watch]}");
    buf_free(&answer);
}

static void a_missing_rule_is_named(void **state)
{
    struct bench *const b = *state;

    fake_api_fault(b->api, FAKE_STATUS, kinds[TOPOLOGIES].path, FAKE_BOTH, FAKE_ALWAYS, 403, 0);
    start(b);
    expect_log(b, "{apiGroups: [\\\"topology.node.k8s.io\\\"], resources: "
                  "[noderesourcetopologies], verbs: [list, watch]}");
    expect_metric(b, "numawise_cache_degraded{resource=\"noderesourcetopologies\","
                     "reason=\"forbidden\"} 1");
    fake_api_heal(b->api);
    expect_filter(b, "numawise: TopologyAffinityError");
}

static void an_object_that_is_broken_is_told_and_the_rest_works(void **state)
{
    struct bench *const b = *state;

    start(b);
    struct history *const h = fake_api_lock(b->api);
    (void)history_put(h, PODS, "ml", "broken", NULL, "'spec':{'priority':'high'}");
    fake_api_unlock(b->api);
    expect_log(b, "pods ml/broken: spec.priority: expected a number, found a string");
    expect_metric(b, "numawise_cache_undecodable_total{resource=\"pods\"} 1");
    change_is_followed(b, "epyc-2");
}

/* A pod on cpu-1 that holds two of its CPUs, bound at this time. */
static void put_holder(struct bench *b, const char *name, const char *bound)
{
    char rest[640];

    (void)snprintf(rest, sizeof(rest),
                   "'spec':{'nodeName':'cpu-1','containers':[{'name':'c','resources':{'limits':{"
                   "'cpu':'2','memory':'1Gi'},'requests':{'cpu':'2','memory':'1Gi'}}}]},'status':{"
                   "'phase':'Running','conditions':[{'type':'PodScheduled','status':'True',"
                   "'lastTransitionTime':'%s'}]}",
                   bound);
    struct history *const h = fake_api_lock(b->api);
    (void)history_put(h, PODS, "ml", name, NULL, rest);
    fake_api_unlock(b->api);
}

enum { ID_BYTES = 32 };

static void newest_id(struct bench *b, char id[ID_BYTES])
{
    static const char key[] = "\"decision\": \"";
    struct buf list = {0};

    assert_int_equal(test_get(b->server.console, "/v1/decisions", &list), 200);
    const char *const at = strstr(list.p, key);
    assert_non_null(at);
    const char *const text = at + sizeof(key) - 1;
    (void)snprintf(id, ID_BYTES, "%.*s", (int)strcspn(text, "\""), text);
    buf_free(&list);
}

/* The newest decision in full, made anew. */
static void decide_anew(struct bench *b, struct buf *out)
{
    char id[ID_BYTES], path[128];

    filter(b, out);
    newest_id(b, id);
    (void)snprintf(path, sizeof(path), "/v1/decisions/%s", id);
    out->n = 0;
    assert_int_equal(test_get(b->server.console, path, out), 200);
}

static bool is_in_doubt(struct wait *w)
{
    struct buf decision = {0};

    decide_anew(w->b, &decision);
    const bool doubt = strstr(decision.p, w->text) != NULL;
    buf_free(&decision);
    return doubt;
}

static bool is_certain(struct wait *w)
{
    return !is_in_doubt(w);
}

/*
 * Somebody was bound before we looked, and no report lists him: who was there before him and has
 * gone, nobody knows. Of who comes later we know it.
 */
static void what_was_bound_meanwhile_is_in_doubt(void **state)
{
    struct bench *const b = *state;
    struct wait away = {b, "\"ml/away\""}, later = {b, "\"ml/later\""};

    put_holder(b, "away", "2026-01-01T00:00:00Z");
    start(b);
    wait_until(is_in_doubt, &away);
    put_holder(b, "later", "2199-01-01T00:00:00Z");
    expect_metric(b, "reflector_events_total{resource=\"pods\"} 1");
    assert_true(is_certain(&later));
    struct history *const h = fake_api_lock(b->api);
    assert_true(history_delete(h, PODS, "ml", "away") > 0);
    fake_api_unlock(b->api);
    wait_until(is_certain, &away);
}

static void get_bundle(struct bench *b, const char *id, struct buf *out)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "/v1/decisions/%s/bundle", id);
    assert_int_equal(test_get(b->server.console, path, out), 200);
}

/* What was in doubt then is so in what replays the decision, though nobody doubts it now. */
static void what_was_in_doubt_replays_so(void **state)
{
    struct bench *const b = *state;
    struct wait away = {b, "\"ml/away\""};
    struct buf before = {0}, after = {0}, out = {0}, err = {0};
    char id[ID_BYTES], url[64], dir[TEST_PATH_BYTES + 16];

    put_holder(b, "away", "2026-01-01T00:00:00Z");
    start(b);
    wait_until(is_in_doubt, &away);
    newest_id(b, id);
    get_bundle(b, id, &before);
    struct history *const h = fake_api_lock(b->api);
    assert_true(history_delete(h, PODS, "ml", "away") > 0);
    fake_api_unlock(b->api);
    wait_until(is_certain, &away);
    get_bundle(b, id, &after);
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.p, after.p, before.n);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", b->server.console);
    (void)snprintf(dir, sizeof(dir), "%s/bundle", b->server.work);
    const char *const get[] = {"numawise", "explain",  "--decision", id,  "--server",
                               url,        "--bundle", dir,          NULL};
    const char *const replay[] = {"numawise", "explain", "--replay", dir, "-o", "json", NULL};
    assert_int_equal(test_run(get, &out, &err), 0);
    buf_free(&out);
    assert_int_equal(test_run(replay, &out, &err), 0);
    assert_non_null(strstr(out.p, away.text));
    buf_free(&before);
    buf_free(&after);
    buf_free(&out);
    buf_free(&err);
}

/* Large ones and odd ones are read, what is beyond the limit is left out; the watch goes on. */
static void large_objects_are_taken_or_left_out_one_by_one(void **state)
{
    enum { MANY = 10000, LARGE = 5 << 20, TOO_LARGE = 17 << 20 };
    struct bench *const b = *state;
    struct buf rest = {0};

    start(b);
    for (int i = 0; i < 3; i++) {
        static const size_t bytes[] = {1 << 20, LARGE, TOO_LARGE};

        rest.n = 0;
        buf_text(&rest, "'spec':{'nodeName':'cpu-1','containers':[]},'odd':'");
        for (size_t n = 0; n < bytes[i]; n += 16)
            buf_text(&rest, "0123456789abcdef");
        buf_text(&rest, "'");
        struct history *const h = fake_api_lock(b->api);
        (void)history_put(h, PODS, "ml", i == 0 ? "a" : i == 1 ? "b" : "c", NULL, rest.p);
        fake_api_unlock(b->api);
    }
    rest.n = 0;
    buf_text(&rest, "'spec':{'nodeName':'cpu-1','containers':[]}");
    for (int i = 0; i < MANY; i++)
        buf_printf(&rest, ",'unknown%d':{'deep':[%d,{}]}", i, i);
    struct history *const h = fake_api_lock(b->api);
    (void)history_put(h, PODS, "ml", "d", NULL, rest.p);
    fake_api_unlock(b->api);
    expect_metric(b, "reflector_events_total{resource=\"pods\"} 3"); /* not the third one */
    expect_metric(b, "reflector_left_out_total{resource=\"pods\"} 1");
    expect_metric(b, "numawise_cache_undecodable_total{resource=\"pods\"} 0");
    change_is_followed(b, "epyc-2");
    buf_free(&rest);
}

/* Down, or only silent: kube-scheduler is answered as before, from what is known. */
static void answers_do_not_wait_for_the_api_server(void **state)
{
    struct bench *const b = *state;
    struct buf before = {0}, answer = {0};

    start(b);
    filter(b, &before);
    fake_api_down(b->api);
    expect_log(b, "nodes: GET /api/v1/nodes: ");
    for (int i = 0; i < 20; i++) {
        filter(b, &answer);
        assert_string_equal(answer.p, before.p);
    }
    expect_metric(b, "numawise_cache_degraded{resource=\"pods\",reason=\"unreachable\"} 1");
    expect_verbose(b->server.extender, 200, "[+]pods-synced ok\n"); /* stale, and said so */
    shrink(b, "epyc-2");                                            /* while nobody looks */
    fake_api_up(b->api);
    expect_filter(b, "\"epyc-2\":\"numawise: TopologyAffinityError\"");
    expect_log(b, "nodes: followed again");
    fake_api_fault(b->api, FAKE_HANG, "/", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    fake_api_cut(b->api);
    filter(b, &before);
    for (int i = 0; i < 20; i++) {
        filter(b, &answer);
        assert_string_equal(answer.p, before.p);
    }
    fake_api_heal(b->api);
    change_is_followed(b, "gpu-1");
    buf_free(&before);
    buf_free(&answer);
}

struct misbehaviour {
    enum fake_fault fault;
    enum fake_which which;
    int arg, seconds;
};

/* Nodes, pods and topologies meet one each, when they come back after their connections were cut.
 */
static void misbehave(struct bench *b, const struct misbehaviour *three)
{
    for (unsigned k = 0; k < MISBEHAVING; k++)
        fake_api_fault(b->api, three[k].fault, kinds[k].path, three[k].which, 1, three[k].arg,
                       three[k].seconds);
    fake_api_cut(b->api);
}

/* Everything is followed again, each kind by itself. */
static void expect_health(struct bench *b)
{
    char line[128];

    for (unsigned k = 0; k < KINDS; k++) {
        (void)snprintf(line, sizeof(line),
                       "numawise_cache_degraded{resource=\"%s\",reason=\"unreachable\"} 0",
                       strrchr(kinds[k].path, '/') + 1);
        expect_metric(b, line);
    }
}

static void whatever_the_server_did_it_is_followed_afterwards(void **state)
{
    static const struct misbehaviour all[][MISBEHAVING] = {
        {{FAKE_STATUS, FAKE_BOTH, 429, 1},
         {FAKE_STATUS, FAKE_BOTH, 500, 0},
         {FAKE_GONE, FAKE_WATCHES, 0, 0}},
        {{FAKE_GONE_EVENT, FAKE_WATCHES, 0, 0},
         {FAKE_STATUS, FAKE_BOTH, 401, 0},
         {FAKE_ERROR_EVENT, FAKE_WATCHES, 0, 0}},
        {{FAKE_TOO_LARGE, FAKE_BOTH, 0, 0},
         {FAKE_RESET, FAKE_BOTH, 0, 0},
         {FAKE_HTML, FAKE_BOTH, 0, 0}},
        {{FAKE_EMPTY, FAKE_BOTH, 0, 0},
         {FAKE_REDIRECT, FAKE_BOTH, 0, 0},
         {FAKE_NOT_JSON, FAKE_BOTH, 0, 0}},
        {{FAKE_GARBAGE, FAKE_BOTH, 0, 0},
         {FAKE_GZIP, FAKE_BOTH, 0, 0},
         {FAKE_CLOSE, FAKE_BOTH, 0, 0}},
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        start(b);
        misbehave(b, all[i]);
        change_is_followed(b, "epyc-2");
        expect_health(b);
        assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
        b->server.pid = 0;
        put_file(b, "nodes/epyc-2");
    }
}

static void a_server_that_went_back_is_followed(void **state)
{
    struct bench *const b = *state;
    struct buf before = {0};

    start(b);
    filter(b, &before);
    struct history *h = fake_api_lock(b->api);
    const uint64_t version = history_version(h);
    fake_api_unlock(b->api);
    change_is_followed(b, "epyc-2");
    h = fake_api_lock(b->api);
    history_rewind(h, version);
    fake_api_unlock(b->api);
    expect_filter(b, before.p);
    expect_log(b, "noderesourcetopologies: the API server went back to an older state");
    expect_metric(b, "reflector_rewound_total{resource=\"noderesourcetopologies\"} 1");
    change_is_followed(b, "gpu-1");
    buf_free(&before);
}

/* A pod of four CPUs, of which cpu-1 has none when it is shrunk. */
static const char of_cpu_1[] =
    "{\"Pod\":{\"metadata\":{\"name\":\"late\",\"namespace\":\"ml\",\"uid\":\"late\"},\"spec\":{"
    "\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"4\",\"memory\":\"1Gi\"}}}"
    "]}},"
    "\"Nodes\":null,\"NodeNames\":[\"cpu-1\"]}";

static void start_with(struct bench *b, const char *extender)
{
    char path[TEST_PATH_BYTES + 8];
    const char *const extra[] = {"--config", path, NULL};
    struct buf text = {0};

    (void)snprintf(path, sizeof(path), "%s.yaml", b->kubeconfig);
    buf_printf(&text,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "extender: {%s}\n",
               extender);
    test_write(path, buf_view(&text));
    buf_free(&text);
    run(b, extra);
    test_server_wait(&b->server);
    (void)unlink(path);
    buf_str(&text, str_of(of_cpu_1));
    buf_free(&b->question);
    b->question = text;
}

static double figure(struct bench *b, const char *series)
{
    struct buf page = {0};

    assert_int_equal(test_get(b->server.console, "/metrics", &page), 200);
    const char *const at = strstr(page.p, series);
    assert_non_null(at);
    const double v = atof(at + strlen(series));
    buf_free(&page);
    return v;
}

#define LOOKS(result) figure(b, "numawise_extender_second_looks_total{result=\"" result "\"} ")

/* Asked before the news are there, kube-scheduler gets the answer that they make. */
static void news_that_come_within_moments_are_waited_for(void **state)
{
    struct bench *const b = *state;
    unsigned passed = 0;

    start_with(b, "secondLook: 5s");
    for (int i = 0; i < 20 && LOOKS("admitted") == 0; i++) {
        const int fd = test_connect(b->server.extender);
        struct test_reply r;

        change_is_followed(b, "cpu-1");
        assert_true(test_send(fd, "POST", "/scheduler/filter", buf_view(&b->question)));
        expect_metric(b, "numawise_extender_requests_in_flight{verb=\"filter\"} 1");
        put_file(b, "nodes/cpu-1");
        assert_true(test_receive(fd, &r)); /* where all is slow, 5 s may be over before */
        passed += strstr(r.body.p, "\"NodeNames\":[\"cpu-1\"]") != NULL;
        test_reply_done(&r);
        (void)close(fd);
    }
    assert_true(LOOKS("admitted") == 1 && passed > 0);
    expect_metric(b, "numawise_extender_requests_in_flight{verb=\"filter\"} 0");
}

/* Where there are none the refusal stands; and not more than a tenth of the time is waited. */
static void a_refusal_is_waited_with_for_a_tenth_of_the_time_at_most(void **state)
{
    struct bench *const b = *state;
    struct buf answer = {0};

    start_with(b, "");
    const uint64_t from = clock_monotonic_ns();
    change_is_followed(b, "cpu-1");
    for (int i = 0; i < 60; i++)
        filter(b, &answer);
    const double most = 10 + (double)(clock_monotonic_ns() - from) / 1e8 + 1;
    assert_non_null(strstr(answer.p, "\"cpu-1\":\"numawise: TopologyAffinityError\""));
    assert_true(LOOKS("same") >= 1);
    assert_true(LOOKS("same") + LOOKS("refused") <= most);
    buf_free(&answer);
    assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    start_with(b, "secondLook: 0s"); /* or never */
    change_is_followed(b, "cpu-1");
    assert_true(LOOKS("same") + LOOKS("refused") + LOOKS("admitted") == 0);
}

/* ---- kube-scheduler is made to ask again ---- */

#define RETRY_PATH                                                                                 \
    "/apis/storage.k8s.io/v1/namespaces/numawise-system/csistoragecapacities/numawise-retry"

static struct {
    pthread_mutex_t lock;
    int answer;
    unsigned patches;
    char body[256]; /* of the last one */
} touches = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int take_touch(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out)
{
    int status = 404;

    (void)ctx;
    pthread_mutex_lock(&touches.lock);
    if (strcmp(method, "PATCH") == 0 && strcmp(target, RETRY_PATH) == 0) {
        status = touches.answer;
        touches.patches++;
        (void)snprintf(touches.body, sizeof(touches.body), "%.*s", STR_ARG(body));
    }
    pthread_mutex_unlock(&touches.lock);
    history_status(out, status, status < 300 ? "" : "Odd", "the reason of the server", "", 0);
    return status;
}

static unsigned touched(void)
{
    pthread_mutex_lock(&touches.lock);
    const unsigned n = touches.patches;
    pthread_mutex_unlock(&touches.lock);
    return n;
}

/* The pod of the question is there, too, and cpu-1 refuses it. */
static void start_with_a_refusal(struct bench *b, const char *settings, int answer)
{
    fake_api_handle(b->api, take_touch, NULL);
    touches.answer = answer;
    touches.patches = 0;
    (void)history_put(fake_api_lock(b->api), PODS, "ml", "late", "late",
                      "'spec':{'containers':[{'name':'c','resources':{'limits':{'cpu':'4',"
                      "'memory':'1Gi'}}}]}");
    fake_api_unlock(b->api);
    start_with(b, settings);
    change_is_followed(b, "cpu-1");
}

#define WITH_RETRY         "retry: numawise-system/numawise-retry"
#define RETRIES(result, n) "numawise_extender_retries_total{result=\"" result "\"} " #n

static void kube_scheduler_is_told_of_a_refused_pod_that_fits_now(void **state)
{
    struct bench *const b = *state;
    struct buf answer = {0};

    start_with_a_refusal(b, WITH_RETRY, 200);
    expect_metric(b, "numawise_extender_refused_pods 1");
    assert_int_equal(touched(), 0);
    put_file(b, "nodes/cpu-1"); /* and then nobody asks */
    expect_metric(b, RETRIES("sent", 1));
    assert_int_equal(touched(), 1);
    pthread_mutex_lock(&touches.lock);
    assert_non_null(strstr(touches.body, "{\"metadata\":{\"annotations\":{"
                                         "\"orchestration.gokore.io/retry\":\"20"));
    pthread_mutex_unlock(&touches.lock);
    filter(b, &answer); /* it asks */
    assert_non_null(strstr(answer.p, "\"NodeNames\":[\"cpu-1\"]"));
    expect_metric(b, "numawise_extender_refused_pods 0");
    expect_metric(b, "numawise_extender_retry_duration_seconds_count 1");
    assert_int_equal(touched(), 1);
    buf_free(&answer);
}

/* The settings alone change: the mode in which every node passes. */
static void in_shadow_the_refused_ones_come_back(void **state)
{
    char path[TEST_PATH_BYTES + 8];
    struct bench *const b = *state;

    start_with_a_refusal(b, WITH_RETRY, 200);
    expect_metric(b, "numawise_extender_refused_pods 1");
    (void)snprintf(path, sizeof(path), "%s.yaml", b->kubeconfig);
    test_write(path, STR("apiVersion: numawise.config.gokore.io/v1alpha1\n"
                         "kind: NumawiseConfiguration\n"
                         "extender: {mode: Shadow, " WITH_RETRY "}\n"));
    expect_metric(b, RETRIES("sent", 1));
    (void)unlink(path);
}

/* It is said once, and not tried again and again. */
static void without_the_rule_it_is_not_told(void **state)
{
    static const int answers[] = {403, 404};
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        start_with_a_refusal(b, WITH_RETRY, answers[i]);
        put_file(b, "nodes/cpu-1");
        expect_metric(b, RETRIES("forbidden", 1));
        expect_log(b, "extender.retry needs the CSIStorageCapacity "
                      "numawise-system/numawise-retry, and the verb patch on it");
        expect_metric(b, "numawise_extender_refused_pods 1");
        assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
        b->server.pid = 0;
        assert_int_equal(touched(), 1);
    }
}

/* Whatever the API server does with it, filter answers, and the program ends when it is to. */
static void a_server_that_hangs_holds_up_nobody(void **state)
{
    struct bench *const b = *state;
    struct buf answer = {0};

    start_with_a_refusal(b, WITH_RETRY, 200);
    fake_api_fault(b->api, FAKE_HANG, RETRY_PATH, FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    put_file(b, "nodes/cpu-1");
    while (fake_api_asked(b->api, "PATCH " RETRY_PATH) == 0)
        (void)poll(NULL, 0, 5);
    filter(b, &answer);
    assert_non_null(strstr(answer.p, "\"NodeNames\":[\"cpu-1\"]"));
    buf_free(&answer);
    assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    b->server.pid = 0;
}

/* A pod that is on a node by now is nobody's business any more. */
static void nobody_is_told_of_a_pod_that_has_a_node(void **state)
{
    struct bench *const b = *state;

    start_with_a_refusal(b, WITH_RETRY, 200);
    expect_metric(b, "numawise_extender_refused_pods 1");
    (void)history_put(fake_api_lock(b->api), PODS, "ml", "late", "late",
                      "'spec':{'nodeName':'cpu-2','containers':[{'name':'c'}]}");
    fake_api_unlock(b->api);
    expect_metric(b, "numawise_extender_refused_pods 0");
    put_file(b, "nodes/cpu-1");
    expect_filter(b, "\"NodeNames\":[\"cpu-1\"]");
    assert_int_equal(touched(), 0);
}

static void by_default_nobody_is_told(void **state)
{
    struct bench *const b = *state;

    start_with_a_refusal(b, "", 200);
    put_file(b, "nodes/cpu-1");
    expect_filter(b, "\"NodeNames\":[\"cpu-1\"]");
    expect_metric(b, RETRIES("sent", 0));
    expect_metric(b, "numawise_extender_refused_pods 0");
    assert_int_equal(touched(), 0);
}

/* ---- Events ---- */

static struct {
    pthread_mutex_t lock;
    int answer; /* to a POST */
    unsigned posts, patches;
    char path[256], body[2048]; /* of the last one */
} events = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int take_event(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out)
{
    const bool is_patch = strcmp(method, "PATCH") == 0;
    int status = 404;

    (void)ctx;
    pthread_mutex_lock(&events.lock);
    if (strncmp(target, "/apis/events.k8s.io/v1/namespaces/default/events", 48) == 0) {
        status = is_patch ? 200 : events.answer;
        events.posts += !is_patch;
        events.patches += is_patch;
        (void)snprintf(events.path, sizeof(events.path), "%s", target);
        (void)snprintf(events.body, sizeof(events.body), "%.*s", STR_ARG(body));
    }
    pthread_mutex_unlock(&events.lock);
    history_status(out, status, status < 300 ? "" : "Odd", "the reason of the server", "", 0);
    return status;
}

/* Filter admits it on the node, and the node's kubelet refuses it. */
static void mispredict(struct bench *b, const char *pod, const char *node)
{
    struct buf answer = {0};

    b->question.n = 0;
    buf_printf(&b->question,
               "{\"Pod\":{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ml\",\"uid\":\"uid-%s\"},"
               "\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"2\","
               "\"memory\":\"1Gi\"}}}]}},\"Nodes\":null,\"NodeNames\":[\"%s\"]}",
               pod, pod, node);
    filter(b, &answer);
    assert_non_null(strstr(answer.p, "\"FailedAndUnresolvableNodes\":{}"));
    buf_free(&answer);
    char uid[64], rest[256];
    (void)snprintf(uid, sizeof(uid), "uid-%s", pod);
    (void)snprintf(rest, sizeof(rest),
                   "'spec':{'nodeName':'%s','containers':[{'name':'c'}]},"
                   "'status':{'phase':'Failed','reason':'TopologyAffinityError'}",
                   node);
    (void)history_put(fake_api_lock(b->api), PODS, "ml", pod, uid, rest);
    fake_api_unlock(b->api);
}

#define EVENTS(result, n) "numawise_events_total{result=\"" result "\"} " #n

static void an_event_tells_where_a_kubelet_says_otherwise(void **state)
{
    struct bench *const b = *state;

    fake_api_handle(b->api, take_event, NULL);
    events.answer = 201;
    events.posts = events.patches = 0;
    start(b);
    mispredict(b, "one", "cpu-1");
    expect_metric(b, EVENTS("sent", 1));
    pthread_mutex_lock(&events.lock);
    json_t *const e = json_loads(events.body, JSON_REJECT_DUPLICATES, NULL);
    pthread_mutex_unlock(&events.lock);
    assert_string_equal(json_string_value(json_object_get(e, "reason")), "AdmissionMispredicted");
    assert_string_equal(json_string_value(json_object_get(json_object_get(e, "regarding"), "name")),
                        "cpu-1");
    assert_string_equal(json_string_value(json_object_get(json_object_get(e, "related"), "name")),
                        "one");
    const char *const note = json_string_value(json_object_get(e, "note"));
    assert_non_null(strstr(note, "ml/one: the kubelet says TopologyAffinityError, decision "));
    json_decref(e);
    mispredict(b, "two", "cpu-1"); /* the same within a minute */
    expect_metric(b, EVENTS("repeated", 1));
    assert_int_equal(events.posts, 1);

    /* another replica has told it: one more of the series */
    pthread_mutex_lock(&events.lock);
    events.answer = 409;
    pthread_mutex_unlock(&events.lock);
    mispredict(b, "three", "cpu-2");
    expect_metric(b, EVENTS("sent", 2));
    pthread_mutex_lock(&events.lock);
    assert_int_equal(events.patches, 1);
    assert_non_null(strstr(events.path, "/events/cpu-2."));
    assert_non_null(strstr(events.body, "{\"series\":{\"count\":2,\"lastObservedTime\":\"20"));
    pthread_mutex_unlock(&events.lock);
}

/* Everything else works, and it is not tried again and again. */
static void without_the_rule_no_events_are_written(void **state)
{
    struct bench *const b = *state;

    fake_api_handle(b->api, take_event, NULL);
    events.answer = 403;
    events.posts = events.patches = 0;
    start(b);
    mispredict(b, "one", "cpu-1");
    expect_metric(b, EVENTS("forbidden", 1));
    expect_log(b, "no Events are written; the rule for them is {apiGroups: [events.k8s.io], "
                  "resources: [events], verbs: [create, patch]}");
    mispredict(b, "two", "cpu-2");
    expect_metric(b, EVENTS("forbidden", 2));
    assert_int_equal(events.posts, 1);
    expect_metric(b, "numawise_mispredictions_total{reason=\"TopologyAffinityError\"} 2");
}

static void sigterm_ends_it_whatever_is_awaited(void **state)
{
    struct bench *const b = *state;

    start(b);
    fake_api_fault(b->api, FAKE_HANG, "/", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    fake_api_cut(b->api);
    expect_log(b, "nodes: ");
    const uint64_t from = clock_monotonic_ns();
    assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    b->server.pid = 0;
    assert_true(clock_monotonic_ns() - from < UINT64_C(10000000000));
    const unsigned asked = fake_api_asked(b->api, "GET /api/v1/pods");
    run(b, NULL); /* and before it has read anything */
    while (fake_api_asked(b->api, "GET /api/v1/pods") == asked)
        (void)poll(NULL, 0, 5);
    assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    b->server.pid = 0;
}

static void without_flags_the_variable_says_where(void **state)
{
    struct bench *const b = *state;
    const char *const source[] = {NULL};

    assert_int_equal(setenv("KUBECONFIG", b->kubeconfig, 1), 0);
    test_server_run(&b->server, source, NULL);
    test_server_wait(&b->server);
    assert_int_equal(unsetenv("KUBECONFIG"), 0);
    expect_filter(b, "numawise: TopologyAffinityError");
    expect_log(b, ": reading, as context a of ");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_answer_is_that_over_a_directory_with_the_same_objects),
        T(changes_are_followed),
        T(readiness_follows_what_was_read),
        T(a_missing_definition_degrades_what_needs_it_and_nothing_else),
        T(policies_namespaces_and_signals_count),
        T(a_policy_that_loses_is_told_so),
        T(a_cluster_without_our_definitions_is_served),
        T(a_missing_rule_is_named),
        T(an_object_that_is_broken_is_told_and_the_rest_works),
        T(what_was_bound_meanwhile_is_in_doubt),
        T(what_was_in_doubt_replays_so),
        T(large_objects_are_taken_or_left_out_one_by_one),
        T(answers_do_not_wait_for_the_api_server),
        T(whatever_the_server_did_it_is_followed_afterwards),
        T(a_server_that_went_back_is_followed),
        T(news_that_come_within_moments_are_waited_for),
        T(a_refusal_is_waited_with_for_a_tenth_of_the_time_at_most),
        T(kube_scheduler_is_told_of_a_refused_pod_that_fits_now),
        T(in_shadow_the_refused_ones_come_back),
        T(without_the_rule_it_is_not_told),
        T(a_server_that_hangs_holds_up_nobody),
        T(nobody_is_told_of_a_pod_that_has_a_node),
        T(by_default_nobody_is_told),
        T(an_event_tells_where_a_kubelet_says_otherwise),
        T(without_the_rule_no_events_are_written),
        T(sigterm_ends_it_whatever_is_awaited),
        T(without_flags_the_variable_says_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
