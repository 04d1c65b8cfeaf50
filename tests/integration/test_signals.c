/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that the real program asks a Prometheus for, over real HTTP and HTTPS: they count as
 * objects with the same figures do, grow stale, and what is wrong is said. Terms: docs/scoring.md,
 * section 14.
 */
#include "tests/support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/pki.h"
#include "tests/support/prometheus.h"
#include "tests/support/server.h"

enum { WAIT_MS = 60000 };

#define TOKEN "a-token-of-tests"

/* What it answers: for each query that begins with `query`; under the lock. */
struct answer {
    const char *query; /* as it comes in a form */
    int status;
    const char *json; /* with ' for " */
};

struct bench {
    char root[TEST_PATH_BYTES];
    struct fake_api *api;
    struct test_server server;
    pthread_mutex_t lock;
    struct answer answers[3];
    struct buf odd; /* requests that are none of this API */
};

#define VECTOR(elements)                                                                           \
    "{'status':'success','data':{'resultType':'vector','result':[" elements "]}}"
#define SAMPLE(node, device, value)                                                                \
    "{'metric':{'node':'" node "','device':'" device "'},'value':[1435781451.781,'" value "']}"

/* The figures of deploy/examples/cluster/signals.yaml for gpu-1, of which zone 1 has the latter. */
static const struct answer good[] = {
    {"query=a_port_s%5B1m%5D", 200,
     VECTOR(SAMPLE("gpu-1", "mlx5_0", "180000") "," SAMPLE(
         "gpu-1", "mlx5_1", "175000.2") "," SAMPLE("gpu-1", "mlx5_4", "59999.9"))},
    {"query=busy", 200,
     VECTOR(SAMPLE("gpu-1", "GPU-0", "940") "," SAMPLE("gpu-1", "GPU-4", "300") "," SAMPLE(
         "gpu-1", "GPU-5",
         "100") "," SAMPLE("gpu-1", "GPU-6",
                           "0") "," SAMPLE("gpu-1", "GPU-7",
                                           "0") "," SAMPLE("gpu-9", "GPU-7",
                                                           "0") "," SAMPLE("gpu-1", "GPU-1",
                                                                           "NaN"))},
};

static int on_request(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out)
{
    struct bench *const b = ctx;
    int status = 404;

    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < ARRAY_LEN(b->answers) && status == 404; i++) {
        const struct answer *const a = &b->answers[i];

        if (!a->query || !str_is(body, a->query))
            continue;
        status = a->status;
        buf_text(out, a->json);
    }
    if (status == 404 || strcmp(method, "POST") != 0 || strcmp(target, "/prom/api/v1/query") != 0)
        buf_printf(&b->odd, "%s %s %.*s\n", method, target, STR_ARG(body));
    (void)pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < out->n; i++)
        out->p[i] = out->p[i] == '\'' ? '"' : out->p[i];
    return status;
}

static void set_answers(struct bench *b, const struct answer *answers, size_t n)
{
    (void)pthread_mutex_lock(&b->lock);
    memset(b->answers, 0, sizeof(b->answers));
    memcpy(b->answers, answers, n * sizeof(*answers));
    (void)pthread_mutex_unlock(&b->lock);
}

static void path_to(char out[TEST_PATH_BYTES], const struct bench *b, const char *name)
{
    assert_true(snprintf(out, TEST_PATH_BYTES, "%.400s/%s", b->root, name) < TEST_PATH_BYTES);
}

/* "" for the address: the fake one. */
static void configure(struct bench *b, const char *address, const char *queries, const char *more)
{
    char config[TEST_PATH_BYTES];
    struct buf text = {0};

    path_to(config, b, "config.yaml");
    buf_printf(&text,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "signals:\n  prometheus:\n    address: %s/prom/\n    interval: 1s\n%s"
               "    queries:\n%s",
               address[0] ? address : fake_api_url(b->api), more, queries);
    test_write(config, buf_view(&text));
    buf_free(&text);
}

static void serve(struct bench *b, const char *queries, const char *more)
{
    char config[TEST_PATH_BYTES], cluster[TEST_PATH_BYTES];

    path_to(config, b, "config.yaml");
    path_to(cluster, b, "cluster");
    configure(b, "", queries, more);
    const char *const extra[] = {"--config", config, NULL};
    test_server_start(&b->server, cluster, extra);
}

static const char *const two = "      networkBandwidth: a_port_s[1m]\n"
                               "      computeUtilization: busy\n";

static int setup_with(void **state, bool tls)
{
    struct bench *const b = calloc(1, sizeof(*b));
    const char *const tmp = getenv("TMPDIR");
    char path[TEST_PATH_BYTES], cert[TEST_PATH_BYTES], key[TEST_PATH_BYTES];
    struct fake_api_options options = {0};

    assert_non_null(b);
    (void)snprintf(b->root, sizeof(b->root), "%.300s/numawise-signals-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->root));
    assert_int_equal(pthread_mutex_init(&b->lock, NULL), 0);
    path_to(path, b, "cluster");
    test_copy_tree(TEST_EXAMPLES "/cluster", path);
    path_to(path, b, "cluster/signals.yaml");
    assert_int_equal(remove(path), 0);
    if (tls) {
        const struct pki_leaf leaf = {.cn = "p", .san = "DNS:localhost,IP:127.0.0.1"};

        path_to(path, b, "ca");
        struct pki *const ca = pki_new("monitoring", path);
        path_to(path, b, "server");
        pki_sign(ca, &leaf, path);
        pki_free(ca);
        path_to(cert, b, "server.crt");
        path_to(key, b, "server.key");
        options = (struct fake_api_options){.cert = cert, .key = key, .token = TOKEN};
    }
    b->api = fake_api_new(&options);
    fake_api_handle(b->api, on_request, b);
    set_answers(b, good, ARRAY_LEN(good));
    *state = b;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, false);
}

static int setup_tls(void **state)
{
    return setup_with(state, true);
}

static int teardown(void **state)
{
    struct bench *const b = *state;
    const int rc = b->server.pid ? test_server_stop(&b->server, SIGTERM) : 0;

    fake_api_free(b->api);
    (void)pthread_mutex_destroy(&b->lock);
    test_remove_tree(b->root);
    if (b->odd.n)
        fail_msg("%s", b->odd.p);
    buf_free(&b->odd);
    free(b);
    return rc;
}

/* --- what becomes of them --- */

static const char *const question =
    "{\"Pod\":{\"metadata\":{\"name\":\"stream\",\"namespace\":\"default\",\"annotations\":"
    "{\"orchestration.gokore.io/network-bandwidth\":\"100G\"}},\"spec\":{\"containers\":["
    "{\"name\":\"main\",\"resources\":{\"limits\":{\"cpu\":\"12\",\"memory\":\"48Gi\","
    "\"nvidia.com/gpu\":\"2\",\"rdma/hca\":\"1\"}}}]}},\"NodeNames\":[\"gpu-1\"]}";

/* How the pod fares on gpu-1 now. */
static json_t *decide(struct bench *b)
{
    struct buf out = {0}, err = {0};
    struct test_reply r;
    char url[64];

    const int fd = test_connect(b->server.extender);
    assert_true(test_send(fd, "POST", "/scheduler/filter", str_of(question)));
    assert_true(test_receive(fd, &r));
    assert_int_equal(r.status, 200);
    test_reply_done(&r);
    (void)close(fd);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", b->server.console);
    const char *const args[] = {"numawise", "explain", "stream", "--server",
                                url,        "-o",      "json",   NULL};
    if (test_run(args, &out, &err))
        fail_msg("%s", err.p);
    json_t *const j = json_loadb(out.p, out.n, 0, NULL);
    assert_non_null(j);
    buf_free(&out);
    buf_free(&err);
    return j;
}

/* A term in thousandths; -1 where it is not there. */
static int term(const json_t *decision, const char *name)
{
    const json_t *const node = json_array_get(json_object_get(decision, "nodes"), 0),
                        *const v = json_object_get(json_object_get(node, "terms"), name);

    return v ? (int)json_integer_value(v) : -1;
}

/* "a,b" */
static void stale_of(struct buf *out, const json_t *decision)
{
    const json_t *const node = json_array_get(json_object_get(decision, "nodes"), 0);
    size_t i;
    json_t *name;

    out->n = 0;
    buf_text(out, "");
    json_array_foreach(json_object_get(node, "staleSignals"), i, name)
        buf_printf(out, "%s%s", i ? "," : "", json_string_value(name));
}

static bool fares(struct bench *b, int network, int compute, const char *stale)
{
    json_t *const d = decide(b);
    struct buf names = {0};

    stale_of(&names, d);
    const bool is = term(d, "network") == network && term(d, "compute") == compute &&
                    strcmp(names.p, stale) == 0;
    json_decref(d);
    buf_free(&names);
    return is;
}

static bool page_has(struct bench *b, const char *line)
{
    struct buf page = {0};

    assert_int_equal(test_get(b->server.console, "/metrics", &page), 200);
    const bool has = strstr(page.p, line) != NULL;
    buf_free(&page);
    return has;
}

static bool log_has(struct bench *b, const char *words)
{
    struct buf log = {0};

    test_server_log(&b->server, &log);
    const bool has = log.p && strstr(log.p, words);
    buf_free(&log);
    return has;
}

#define EVENTUALLY(b, condition)                                                                   \
    do {                                                                                           \
        const uint64_t limit = clock_monotonic_ns() + WAIT_MS * UINT64_C(1000000);                 \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ns() > limit) {                                                    \
                struct buf log = {0};                                                              \
                test_server_log(&(b)->server, &log);                                               \
                fail_msg("not within %d ms: %s\n%s", WAIT_MS, #condition, log.p ? log.p : "");     \
            }                                                                                      \
            (void)poll(NULL, 0, 10);                                                               \
        }                                                                                          \
    } while (0)

/* --- tests --- */

static void what_is_asked_for_counts_as_objects_do(void **state)
{
    struct bench *const b = *state;
    struct buf page = {0}, doc = {0}, table = {0};
    char why[PROMETHEUS_WHY_BYTES];

    serve(b, two, "    timeToLive: 1h\n");
    EVENTUALLY(b, fares(b, 712, 900, ""));
    assert_true(log_has(b, ": asking for signals"));
    EVENTUALLY(b, page_has(b, "numawise_prometheus_samples{signal=\"networkBandwidth\"} 3\n"));
    EVENTUALLY(b, page_has(b, "numawise_prometheus_samples{signal=\"computeUtilization\"} 6\n"));
    assert_true(
        page_has(b, "numawise_prometheus_samples_left_out{signal=\"computeUtilization\"} 1\n"));
    EVENTUALLY(b,
               page_has(b, "numawise_prometheus_unknown_nodes{signal=\"computeUtilization\"} 1\n"));
    assert_true(log_has(b, "signals.prometheus.queries.computeUtilization: samples without label "
                           "node, or whose value is no figure: they are left out"));
    assert_false(page_has(b, "signal=\"computeQueue\"")); /* nobody asked */
    assert_int_equal(test_get(b->server.console, "/metrics", &page), 200);
    assert_int_equal(test_file_read(TEST_DATA "/../../docs/reference/commands.md", &doc), 0);
    char *const all = strstr(doc.p, "\n### Metrics\n"), *const api = strstr(all, "\nOver an API"),
                *const more = strstr(all, "\nWith `signals.prometheus`");
    *strstr(more, "\nWith the listener `admission`") = 0;
    buf_add(&table, all, (size_t)(api - all));
    buf_text(&table, more);
    if (!prometheus_check(buf_view(&page), why) ||
        !prometheus_documented(buf_view(&page), buf_view(&table), why))
        fail_msg("%s", why);
    buf_free(&page);
    buf_free(&doc);
    buf_free(&table);
}

/* No port is busy, all accelerators are. */
static const struct answer later[] = {
    {"query=a_port_s%5B1m%5D", 200, VECTOR("")},
    {"query=busy", 200, VECTOR("{'metric':{'node':'gpu-1'},'value':[1,'1000']}")},
};

static void new_figures_take_the_place_of_the_last_ones(void **state)
{
    struct bench *const b = *state;

    serve(b, two, "    timeToLive: 1h\n");
    EVENTUALLY(b, fares(b, 712, 900, ""));
    set_answers(b, later, ARRAY_LEN(later));
    EVENTUALLY(b, fares(b, 750, 0, "")); /* (400 - 100) / 400 of each port; all accelerators busy */
}

static void without_answers_they_grow_stale_and_come_back(void **state)
{
    struct bench *const b = *state;

    serve(b, two, "    timeToLive: 1s\n");
    EVENTUALLY(b, fares(b, 712, 900, ""));
    fake_api_down(b->api);
    EVENTUALLY(b, fares(b, 750, -1, "prometheus:computeUtilization,prometheus:networkBandwidth"));
    EVENTUALLY(b, log_has(b, "signals.prometheus.queries.networkBandwidth: POST /api/v1/query: "));
    assert_false(page_has(
        b,
        "numawise_prometheus_queries_total{signal=\"networkBandwidth\",result=\"failure\"} 0\n"));
    assert_int_equal(test_get(b->server.extender, "/readyz", NULL), 200);
    fake_api_up(b->api);
    EVENTUALLY(b, fares(b, 712, 900, ""));
    EVENTUALLY(b, log_has(b, "signals.prometheus.queries.networkBandwidth: 3 samples, all right"));
}

static void other_settings_count_without_a_restart(void **state)
{
    struct bench *const b = *state;
    char config[TEST_PATH_BYTES];

    serve(b, two, "    timeToLive: 1h\n");
    EVENTUALLY(b, fares(b, 712, 900, ""));
    /* what is not asked any more is gone, not stale */
    configure(b, "", "      networkBandwidth: a_port_s[1m]\n", "    timeToLive: 1h\n");
    EVENTUALLY(b, fares(b, 712, -1, ""));
    assert_true(page_has(b, "numawise_prometheus_samples{signal=\"networkBandwidth\"} "));
    EVENTUALLY(b, !page_has(b, "{signal=\"computeUtilization\"}"));
    /* nobody at all */
    path_to(config, b, "config.yaml");
    test_write(config, STR("apiVersion: numawise.config.gokore.io/v1alpha1\n"
                           "kind: NumawiseConfiguration\n"));
    EVENTUALLY(b, fares(b, 750, -1, ""));
    assert_false(page_has(b, "numawise_prometheus_"));
    configure(b, "", two, "    timeToLive: 1h\n");
    EVENTUALLY(b, fares(b, 712, 900, ""));
    /* settings that cannot be: the ones before stay, and go on */
    configure(b, "https://127.0.0.1:1", two, "    caFile: /nowhere/ca.crt\n");
    EVENTUALLY(b, log_has(b, "the settings before stay: signals.prometheus: "));
    set_answers(b, later, ARRAY_LEN(later));
    EVENTUALLY(b, fares(b, 750, 0, ""));
}

static void what_prometheus_refuses_is_told_in_its_words(void **state)
{
    static const struct answer bad[] = {
        {"query=a_port_s%5B1m%5D", 200,
         "{'status':'success','data':{'resultType':'matrix','result':[]}}"},
        {"query=busy", 400,
         "{'status':'error','errorType':'bad_data','error':'invalid parameter query: 1:5: no'}"},
        {"query=up", 200, VECTOR(SAMPLE("10.0.0.1:9100", "eth0", "5"))},
    };
    struct bench *const b = *state;

    set_answers(b, bad, ARRAY_LEN(bad));
    serve(b,
          "      networkBandwidth: a_port_s[1m]\n      computeUtilization: busy\n"
          "      computeQueue: up\n",
          "");
    EVENTUALLY(b, log_has(b, "signals.prometheus.queries.networkBandwidth: data.resultType: a "
                             "matrix; the query must give an instant vector"));
    EVENTUALLY(b, log_has(b, "signals.prometheus.queries.computeUtilization: 400: invalid "
                             "parameter query: 1:5: no"));
    EVENTUALLY(b, log_has(b, "signals.prometheus.queries.computeQueue: the cluster has no node of "
                             "the answer, such as 10.0.0.1:9100"));
    EVENTUALLY(b, page_has(b, "numawise_prometheus_unknown_nodes{signal=\"computeQueue\"} 1\n"));
    assert_true(fares(b, 750, -1, ""));
}

/* Whatever it does, kube-scheduler is answered; and it is asked again. */
static void a_prometheus_that_misbehaves_hurts_nobody(void **state)
{
    static const enum fake_fault faults[] = {FAKE_HTML,     FAKE_CUT,   FAKE_RESET,   FAKE_GARBAGE,
                                             FAKE_REDIRECT, FAKE_EMPTY, FAKE_NOT_JSON};
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        fake_api_fault(b->api, faults[i], "/prom/", FAKE_BOTH, 2, 0, 0);
    serve(b, two, "    timeToLive: 1h\n");
    assert_true(fares(b, 750, -1, "") || fares(b, 712, 900, "")); /* answered at once */
    EVENTUALLY(b, fares(b, 712, 900, ""));
}

static void a_token_goes_over_tls_that_is_verified(void **state)
{
    struct bench *const b = *state;
    char ca[TEST_PATH_BYTES], token[TEST_PATH_BYTES];
    struct buf more = {0};

    path_to(ca, b, "ca.crt");
    path_to(token, b, "token");
    test_write(token, STR(TOKEN "\n"));
    buf_printf(&more, "    timeToLive: 1h\n    caFile: %s\n    tokenFile: %s\n", ca, token);
    serve(b, two, more.p);
    EVENTUALLY(b, fares(b, 712, 900, ""));
    buf_free(&more);
    assert_int_equal(test_server_stop(&b->server, SIGTERM), 0);
    serve(b, two, ""); /* a CA that nobody trusts */
    EVENTUALLY(b,
               log_has(b, "signals.prometheus.queries.computeUtilization: POST /api/v1/query: "));
    assert_true(fares(b, 750, -1, ""));
}

int main(void)
{
#define T(test, set) cmocka_unit_test_setup_teardown(test, set, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_asked_for_counts_as_objects_do, setup),
        T(new_figures_take_the_place_of_the_last_ones, setup),
        T(without_answers_they_grow_stale_and_come_back, setup),
        T(other_settings_count_without_a_restart, setup),
        T(what_prometheus_refuses_is_told_in_its_words, setup),
        T(a_prometheus_that_misbehaves_hurts_nobody, setup),
        T(a_token_goes_over_tls_that_is_verified, setup_tls),
    };

    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
