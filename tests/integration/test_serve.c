/* SPDX-License-Identifier: Apache-2.0 */
/* The real program over real sockets: what kube-scheduler would get, and what breaks nothing. */
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/support/answer.h"
#include "tests/support/data.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"

enum { MAX_SCORE = 10, WHY_BYTES = 256 };

#define FILTER     "/scheduler/filter"
#define PRIORITIZE "/scheduler/prioritize"

static struct test_server server; /* over the example cluster, for tests that change nothing */

static void read_example(const char *name, struct buf *out)
{
    char path[TEST_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_EXAMPLES, name);
    assert_int_equal(test_file_read(path, out), 0);
}

/* One POST on an open connection; returns the status, gives the body. */
static int post(int fd, const char *target, struct str body, struct buf *out)
{
    struct test_reply r;

    assert_true(test_send(fd, "POST", target, body));
    if (!test_receive(fd, &r))
        fail_msg("%s: no reply to a body of %zu bytes", target, body.n);
    const int status = r.status;
    assert_false(r.closes);
    buf_free(out);
    *out = r.body;
    r.body = (struct buf){0};
    test_reply_done(&r);
    return status;
}

static void expect_good(int fd, enum answer_verb verb, struct str body, const char *what)
{
    char why[WHY_BYTES];
    struct buf answer = {0};

    assert_int_equal(post(fd, verb == ANSWER_FILTER ? FILTER : PRIORITIZE, body, &answer), 200);
    if (answer_check(verb, body, buf_view(&answer), MAX_SCORE, why) != ANSWER_GOOD)
        fail_msg("%s: %s", what, why);
    buf_free(&answer);
}

static json_t *get_json(uint16_t port, const char *target)
{
    struct buf b = {0};
    json_error_t error;

    assert_int_equal(test_get(port, target, &b), 200);
    json_t *const j = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(j);
    buf_free(&b);
    return j;
}

static void health_of_every_role_is_ok(void **state)
{
    const uint16_t ports[] = {server.extender, server.operator_port, server.console};
    static const char *const paths[] = {"/livez", "/readyz", "/healthz"};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++)
        for (size_t k = 0; k < ARRAY_LEN(paths); k++) {
            struct buf b = {0};
            assert_int_equal(test_get(ports[i], paths[k], &b), 200);
            assert_string_equal(b.p, "ok");
            buf_free(&b);
        }
    struct buf b = {0};
    assert_int_equal(test_get(server.console, "/readyz?verbose", &b), 200);
    assert_non_null(strstr(b.p, "[+]state-synced ok\n"));
    assert_non_null(strstr(b.p, "readyz check passed\n"));
    buf_free(&b);
}

static void a_role_that_is_not_built_has_its_health_alone(void **state)
{
    assert_int_equal(test_get(server.operator_port, "/metrics", NULL), 404);
}

/* Refused at its head, so the connection may end: the body is not read. */
static void expect_refused(const char *target, int want)
{
    const int fd = test_connect(server.extender);
    struct test_reply r;

    assert_true(test_send(fd, "POST", target, STR("{}")));
    assert_true(test_receive(fd, &r));
    assert_int_equal(r.status, want);
    assert_int_equal(r.body.n, 0);
    test_reply_done(&r);
    (void)close(fd);
}

static void the_wrong_method_or_path_is_refused_without_a_body(void **state)
{
    struct buf b = {0};

    assert_int_equal(test_get(server.extender, FILTER, &b), 405);
    assert_int_equal(b.n, 0);
    expect_refused("/scheduler/bind", 404);
    expect_refused("/filter", 404);
    expect_refused(FILTER "?x", 400);
    buf_free(&b);
}

/* Small answers to small questions, byte for byte: never {} and never null. */
static void an_empty_question_gets_the_whole_form(void **state)
{
    static const char names[] = "{\"Nodes\":null,\"NodeNames\":[],\"FailedNodes\":{},"
                                "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}";
    static const char nodes[] = "{\"Nodes\":{\"metadata\":{},\"items\":[]},\"NodeNames\":null,"
                                "\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},"
                                "\"Error\":\"\"}";
    static const char *const questions[][2] = {
        {"{}", names},
        {"{\"NodeNames\":[]}", names},
        {"{\"Pod\":null,\"Nodes\":null,\"NodeNames\":null}", names},
        {"{\"Nodes\":{}}", nodes},
        {"{\"Nodes\":{\"items\":[]},\"NodeNames\":null}", nodes},
    };
    const int fd = test_connect(server.extender);
    struct buf b = {0};

    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        assert_int_equal(post(fd, FILTER, str_of(questions[i][0]), &b), 200);
        assert_string_equal(b.p, questions[i][1]);
        assert_int_equal(post(fd, PRIORITIZE, str_of(questions[i][0]), &b), 200);
        assert_string_equal(b.p, "[]");
    }
    buf_free(&b);
    (void)close(fd);
}

static void a_pod_that_is_not_understood_passes_everywhere(void **state)
{
    static const char *const bodies[] = {
        "{\"NodeNames\":[\"gpu-1\",\"cpu-1\"]}",
        "{\"Pod\":null,\"NodeNames\":[\"gpu-1\",\"cpu-1\"]}",
        "{\"Pod\":7,\"NodeNames\":[\"gpu-1\",\"cpu-1\"]}",
        "{\"Pod\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":"
        "{\"cpu\":\"lots\"}}}]}},\"NodeNames\":[\"gpu-1\",\"cpu-1\"]}",
        "{\"Pod\":{\"metadata\":{\"name\":\"x\",\"annotations\":{\"orchestration.gokore.io/"
        "ignore\":\"true\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":"
        "{\"cpu\":\"9000\",\"memory\":\"1Gi\"}}}]}},\"NodeNames\":[\"gpu-1\",\"cpu-1\"]}",
    };
    const int fd = test_connect(server.extender);
    struct buf b = {0};

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_equal(post(fd, FILTER, str_of(bodies[i]), &b), 200);
        assert_string_equal(b.p, "{\"Nodes\":null,\"NodeNames\":[\"gpu-1\",\"cpu-1\"],"
                                 "\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},"
                                 "\"Error\":\"\"}");
        assert_int_equal(post(fd, PRIORITIZE, str_of(bodies[i]), &b), 200);
        assert_string_equal(b.p, "[{\"Host\":\"gpu-1\",\"Score\":0},"
                                 "{\"Host\":\"cpu-1\",\"Score\":0}]");
    }
    buf_free(&b);
    (void)close(fd);
}

static void names_come_back_as_they_were_written_and_once(void **state)
{
    const int fd = test_connect(server.extender);
    struct buf b = {0};

    assert_int_equal(
        post(fd, FILTER,
             STR("{\"nodenames\":[\"\\u0061\",\"a\",\"z\\\"\\\\\",\"\xc3\xa9\",\"z\\u0022\\\\\"]}"),
             &b),
        200);
    assert_string_equal(b.p, "{\"Nodes\":null,\"NodeNames\":[\"\\u0061\",\"z\\\"\\\\\",\"\xc3\xa9\""
                             "],\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},"
                             "\"Error\":\"\"}");
    buf_free(&b);
    (void)close(fd);
}

static bool is_recorded_verb(const char *name, enum answer_verb *out)
{
    *out = strncmp(name, "filter-", 7) == 0 ? ANSWER_FILTER : ANSWER_PRIORITIZE;
    return strncmp(name, "filter-", 7) == 0 || strncmp(name, "prioritize-", 11) == 0;
}

/* Everything recorded from kube-scheduler v1.36.3, over one connection. */
static void every_recorded_request_gets_an_answer_kube_scheduler_takes(void **state)
{
    const int fd = test_connect(server.extender);
    DIR *const d = opendir(TEST_DATA "/scheduler-requests");
    unsigned n = 0;

    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char path[TEST_PATH_BYTES];
        enum answer_verb verb;
        struct buf message = {0};
        if (!is_recorded_verb(e->d_name, &verb))
            continue;
        (void)snprintf(path, sizeof(path), "scheduler-requests/%s", e->d_name);
        assert_int_equal(test_data_read(path, &message), 0);
        expect_good(fd, verb, test_http_body(buf_view(&message)), e->d_name);
        buf_free(&message);
        n++;
    }
    assert_true(n >= 40);
    (void)closedir(d);
    (void)close(fd);
}

static void the_example_pod_is_refused_where_its_kubelet_would(void **state)
{
    const int fd = test_connect(server.extender);
    struct buf body = {0}, answer = {0};
    char why[WHY_BYTES];

    read_example("requests/filter.body", &body);
    assert_int_equal(post(fd, FILTER, buf_view(&body), &answer), 200);
    if (answer_check(ANSWER_FILTER, buf_view(&body), buf_view(&answer), MAX_SCORE, why))
        fail_msg("%s", why);
    assert_non_null(strstr(answer.p, "\"cpu-1\":\"numawise: TopologyAffinityError\""));
    buf_free(&body);
    buf_free(&answer);
    (void)close(fd);
}

/* explain and the extender ask the same code: every node's verdict and wire score agree. */
static void explain_and_serve_agree(void **state)
{
    const int fd = test_connect(server.extender);
    const char *const args[] = {"numawise",  "explain",
                                "-f",        TEST_EXAMPLES "/workloads/latency.yaml",
                                "--cluster", TEST_EXAMPLES "/cluster",
                                "-o",        "json",
                                NULL};
    struct buf body = {0}, filtered = {0}, scored = {0}, out = {0}, err = {0};
    json_t *node, *score;
    size_t i, k, compared = 0;

    assert_int_equal(test_run(args, &out, &err), 0);
    read_example("requests/filter.body", &body);
    assert_int_equal(post(fd, FILTER, buf_view(&body), &filtered), 200);
    assert_int_equal(post(fd, PRIORITIZE, buf_view(&body), &scored), 200);
    json_t *const said = json_loadb(out.p, out.n, 0, NULL);
    json_t *const failed = json_loadb(filtered.p, filtered.n, 0, NULL);
    json_t *const scores = json_loadb(scored.p, scored.n, 0, NULL);
    const json_t *const refused = json_object_get(failed, "FailedAndUnresolvableNodes");
    json_array_foreach(scores, i, score)
    {
        const char *const name = json_string_value(json_object_get(score, "Host"));
        json_array_foreach(json_object_get(said, "nodes"), k, node)
        {
            if (strcmp(name, json_string_value(json_object_get(node, "name"))) != 0)
                continue;
            const char *const verdict = json_string_value(json_object_get(node, "verdict"));
            const json_t *const why = json_object_get(refused, name);
            assert_int_equal(strcmp(verdict, "Rejected") == 0, why != NULL);
            assert_int_equal(json_integer_value(json_object_get(score, "Score")),
                             json_integer_value(json_object_get(node, "wireScore")));
            compared++;
        }
    }
    assert_true(compared >= 7 && compared == json_array_size(scores));
    json_decref(said);
    json_decref(failed);
    json_decref(scores);
    buf_free(&body);
    buf_free(&filtered);
    buf_free(&scored);
    buf_free(&out);
    buf_free(&err);
    (void)close(fd);
}

static void a_decision_is_read_back_from_the_console(void **state)
{
    const int fd = test_connect(server.extender);
    struct buf body = {0}, answer = {0};
    char target[TEST_PATH_BYTES];

    read_example("requests/filter.body", &body);
    assert_int_equal(post(fd, FILTER, buf_view(&body), &answer), 200);
    assert_int_equal(post(fd, PRIORITIZE, buf_view(&body), &answer), 200);
    json_t *const list =
        get_json(server.console, "/v1/decisions?pod=default/orderbook-7c5ddbdf54-9kx2m");
    const json_t *const line = json_array_get(json_object_get(list, "decisions"), 0);
    const char *const id = json_string_value(json_object_get(line, "decision"));
    assert_non_null(id);
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s", id);
    json_t *const whole = get_json(server.console, target);
    json_t *const schema = schema_read("explain.schema.json");
    schema_expect(whole, schema);
    json_decref(schema);
    assert_string_equal(json_string_value(json_object_get(whole, "decision")), id);
    assert_string_equal(json_string_value(json_object_get(whole, "qosClass")), "Guaranteed");
    assert_true(json_array_size(json_object_get(whole, "nodes")) >= 7);
    assert_int_equal(test_get(server.console, "/v1/decisions/01J9", NULL), 404);
    assert_int_equal(test_get(server.console, "/v1/decisions?node=x", NULL), 400);
    json_decref(whole);
    json_decref(list);
    buf_free(&body);
    buf_free(&answer);
    (void)close(fd);
}

/* The value of one sample in a Prometheus text; -1 when it is not there. */
static double sample(const char *name)
{
    struct buf b = {0};
    double value = -1;

    assert_int_equal(test_get(server.console, "/metrics", &b), 200);
    const char *const line = strstr(b.p, name);
    if (line)
        value = strtod(line + strlen(name), NULL);
    buf_free(&b);
    return value;
}

static void metrics_count_the_calls(void **state)
{
    static const char good[] = "\nnumawise_extender_requests_total{verb=\"filter\",code=\"200\"} ";
    static const char bad[] = "\nnumawise_extender_requests_total{verb=\"filter\",code=\"400\"} ";
    const int fd = test_connect(server.extender);
    const double before = sample(good), before_bad = sample(bad);
    struct buf b = {0};

    assert_int_equal(post(fd, FILTER, STR("{}"), &b), 200);
    assert_int_equal(post(fd, FILTER, STR("{"), &b), 400);
    assert_true(sample(good) == before + 1);
    assert_true(sample(bad) == before_bad + 1);
    assert_true(sample("\nnumawise_snapshot_nodes ") == 8);
    assert_true(sample("\nnumawise_snapshot_likenesses ") == 8); /* each is another one */
    buf_free(&b);
    (void)close(fd);
}

/* What the directory's reading and connections of earlier tests may hold for a moment. */
enum { PASSING_DESCRIPTORS = 8 };

static void a_thousand_calls_use_one_connection_and_leak_no_descriptor(void **state)
{
    const int fd = test_connect(server.extender);
    struct buf message = {0};

    assert_int_equal(test_data_read("scheduler-requests/filter-names-100-b.http", &message), 0);
    const struct str body = test_http_body(buf_view(&message));
    expect_good(fd, ANSWER_FILTER, body, "first");
    const unsigned before = test_descriptors(server.pid);
    for (int i = 0; i < 500; i++) {
        expect_good(fd, ANSWER_FILTER, body, "filter");
        expect_good(fd, ANSWER_PRIORITIZE, body, "prioritize");
    }
    assert_in_range(test_descriptors(server.pid), 0, before + PASSING_DESCRIPTORS);
    buf_free(&message);
    (void)close(fd);
}

/* The next request on the same connection is served. */
static void expect_status_then_service(int fd, struct str body, int want, const char *what)
{
    struct buf b = {0};
    const int status = post(fd, FILTER, body, &b);

    if (status != want)
        fail_msg("%s: status %d, expected %d", what, status, want);
    if (want != 200)
        assert_int_equal(b.n, 0);
    assert_int_equal(post(fd, FILTER, STR("{\"NodeNames\":[\"x\"]}"), &b), 200);
    buf_free(&b);
}

static void json_cut_at_every_byte_is_a_400(void **state)
{
    static const char body[] =
        "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":{\"containers\":[{\"name\":"
        "\"c\",\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}},\"Nodes\":null,\"NodeNames\":[\"a\","
        "\"\\u00e9\"]}";
    const int fd = test_connect(server.extender);

    for (size_t n = 0; n < sizeof(body) - 1; n++)
        expect_status_then_service(fd, (struct str){body, n}, 400, "cut");
    expect_status_then_service(fd, STR(body), 200, "whole");
    (void)close(fd);
}

static struct str repeat(struct buf *b, const char *before, const char *piece, int n,
                         const char *after)
{
    b->n = 0;
    buf_text(b, before);
    for (int i = 0; i < n; i++)
        buf_text(b, piece);
    buf_text(b, after);
    return buf_view(b);
}

static void hostile_json_gets_its_status_and_the_next_request_is_served(void **state)
{
    enum { DEEP = 100000, DIGITS = 20000 };
    const int fd = test_connect(server.extender);
    struct buf b = {0};

    expect_status_then_service(fd, repeat(&b, "", "[", DEEP, ""), 400, "arrays, open");
    expect_status_then_service(fd, repeat(&b, "{\"x\":", "[", DEEP, ""), 400, "arrays in a field");
    expect_status_then_service(fd, repeat(&b, "", "{\"Pod\":", DEEP, ""), 400, "objects");
    expect_status_then_service(fd, repeat(&b, "{\"x\":", "9", DIGITS, "}"), 200, "a long number");
    expect_status_then_service(fd, repeat(&b, "{\"NodeNames\":", "9", DIGITS, "}"), 400,
                               "a long number for a list");
    expect_status_then_service(
        fd, repeat(&b, "{\"NodeNames\":[\"a\"],", "\"NodeNames\":[\"b\"],", 100, "\"x\":1}"), 200,
        "duplicate keys");
    expect_status_then_service(fd, STR("{\"NodeNames\":[\"\\ud800\"]}"), 200, "a lone surrogate");
    expect_status_then_service(fd, STR("{\"NodeNames\":[\"\xff\"]}"), 400, "invalid UTF-8");
    expect_status_then_service(fd, STR("{\"NodeNames\":[\"\xc0\xaf\"]}"), 400, "overlong UTF-8");
    expect_status_then_service(fd, STR("{\"NodeNames\":[\"\n\"]}"), 400, "a raw control character");
    expect_status_then_service(fd, STR("{\"NodeNames\":[1]}"), 400, "a number for a name");
    expect_status_then_service(fd, STR("null"), 400, "null");
    expect_status_then_service(fd, STR("[]"), 400, "an array");
    expect_status_then_service(fd, STR(""), 400, "nothing");
    expect_status_then_service(fd, STR("{} x"), 400, "something behind");
    buf_free(&b);
    (void)close(fd);
}

/* One random change: flip, drop, insert, copy a piece, cut. */
static void mutate(struct buf *b, uint64_t *seed)
{
    static const char *const pieces[] = {
        "null",           "{}",         "[]",  "\"\"",     ",",    "\\u0000",
        "\"NodeNames\":", "\"Nodes\":", "1e9", "\"Pod\":", "\xff", "true"};
    const size_t at = b->n ? (size_t)test_random(seed, b->n) : 0;
    struct buf next = {0};

    buf_add(&next, b->p, at);
    switch (test_random(seed, 5)) {
    case 0: /* another byte */
        buf_printf(&next, "%c", (int)test_random(seed, 127) + 1);
        buf_add(&next, b->p + at + 1, b->n > at ? b->n - at - 1 : 0);
        break;
    case 1: /* a hole */
        if (at + 4 < b->n)
            buf_add(&next, b->p + at + 4, b->n - at - 4);
        break;
    case 2: /* something put in */
        buf_text(&next, pieces[test_random(seed, ARRAY_LEN(pieces))]);
        buf_add(&next, b->p + at, b->n - at);
        break;
    case 3: /* a piece twice */
        buf_add(&next, b->p + at / 2, at - at / 2);
        buf_add(&next, b->p + at, b->n - at);
        break;
    default: /* cut */
        break;
    }
    buf_free(b);
    *b = next;
}

static bool has_surrogate(const struct buf *b)
{
    return b->n && (memmem(b->p, b->n, "\\ud", 3) || memmem(b->p, b->n, "\\uD", 3));
}

static unsigned judge_mutant(int fd, const struct buf *body, enum answer_verb verb, int round)
{
    char why[WHY_BYTES];
    struct buf answer = {0};
    const int status =
        post(fd, verb == ANSWER_FILTER ? FILTER : PRIORITIZE, buf_view(body), &answer);
    const struct str view = status == 200 ? buf_view(&answer) : STR("-");
    const enum answer_verdict v = answer_check(verb, buf_view(body), view, MAX_SCORE, why);

    if (status == 400 && answer.n)
        fail_msg("round %d: a 400 with a body", round);
    if (status != 400 && status != 200)
        fail_msg("round %d: status %d", round, status);
    if (status == 200 && v == ANSWER_BAD && !has_surrogate(body))
        fail_msg("round %d: %s\nrequest: %.*s\nanswer: %.*s", round, why, (int)body->n, body->p,
                 (int)answer.n, answer.p);
    if (status == 400 && v != ANSWER_NO_REQUEST && !has_surrogate(body))
        fail_msg("round %d: a 400 for a request that is well formed: %.*s", round, (int)body->n,
                 body->p);
    buf_free(&answer);
    return status == 200;
}

/* The odd answers that hang pods or crash kube-scheduler cannot be had by any question. */
static void whatever_is_asked_the_answer_is_one_kube_scheduler_takes(void **state)
{
    static const char *const files[] = {"filter-names-3-a.http", "filter-names-3-b.http",
                                        "prioritize-names-3-c.http"};
    static const char tiny[] =
        "{\"Pod\":{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]}},"
        "\"Nodes\":{\"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"gpu-1\"}},{\"metadata\":"
        "{\"name\":\"x\"}}]},\"NodeNames\":null}";
    const int fd = test_connect(server.extender);
    const int rounds = getenv("NUMAWISE_ROUNDS") ? atoi(getenv("NUMAWISE_ROUNDS")) : 5000;
    uint64_t seed = test_seed(20261124);
    struct buf bodies[ARRAY_LEN(files) + 1] = {0};
    unsigned passed = 0;

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[TEST_PATH_BYTES];
        struct buf message = {0};
        (void)snprintf(path, sizeof(path), "scheduler-requests/%s", files[i]);
        assert_int_equal(test_data_read(path, &message), 0);
        buf_str(&bodies[i], test_http_body(buf_view(&message)));
        buf_free(&message);
    }
    buf_text(&bodies[ARRAY_LEN(files)], tiny);
    for (int round = 0; round < rounds; round++) {
        struct buf body = {0};
        buf_str(&body, buf_view(&bodies[test_random(&seed, ARRAY_LEN(bodies))]));
        for (uint64_t n = 1 + test_random(&seed, 3); n; n--)
            mutate(&body, &seed);
        passed += judge_mutant(fd, &body, round % 2 ? ANSWER_FILTER : ANSWER_PRIORITIZE, round);
        buf_free(&body);
    }
    /* Both kinds were seen, or the test tests nothing. */
    assert_true(passed > 0 && (int)passed < rounds);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        buf_free(&bodies[i]);
    (void)close(fd);
}

/* --- servers of their own --- */

struct own {
    struct test_server server;
    char dir[TEST_PATH_BYTES]; /* a copy of the example cluster, and a configuration */
    char cluster[TEST_PATH_BYTES], config[TEST_PATH_BYTES];
};

static void start_own(struct own *o, const char *config)
{
    const char *const extra[] = {"--config", o->config, NULL};
    const char *const base = getenv("TMPDIR");

    (void)snprintf(o->dir, sizeof(o->dir), "%s/numawise-own-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(o->dir));
    assert_true(snprintf(o->cluster, sizeof(o->cluster), "%s/cluster", o->dir) > 0);
    assert_true(snprintf(o->config, sizeof(o->config), "%s/config.yaml", o->dir) > 0);
    test_copy_tree(TEST_EXAMPLES "/cluster", o->cluster);
    test_write(o->config, str_of(config));
    test_server_start(&o->server, o->cluster, extra);
}

static void stop_own(struct own *o, int signal)
{
    assert_int_equal(test_server_stop(&o->server, signal), 0);
    test_remove_tree(o->dir);
}

#define CONFIG "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"

static const char ask_cpu_1[] =
    "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":\"u\"},\"spec\":{"
    "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"30\",\"memory\":"
    "\"1Gi\"},\"limits\":{\"cpu\":\"30\",\"memory\":\"1Gi\"}}}]}},\"NodeNames\":[\"cpu-1\"]}";

/* Ask until the answer has `text`, at most 10 s: changes come by inotify, a moment later. */
static void await_answer(const struct own *o, const char *text)
{
    const int fd = test_connect(o->server.extender);
    struct buf b = {0};

    for (int i = 0; i < 500; i++) {
        assert_int_equal(post(fd, FILTER, STR(ask_cpu_1), &b), 200);
        if (strstr(b.p, text)) {
            buf_free(&b);
            (void)close(fd);
            return;
        }
        (void)poll(NULL, 0, 20);
    }
    fail_msg("the answer stays %s", b.p);
}

static void a_changed_cluster_directory_is_picked_up(void **state)
{
    struct own o;
    char node[TEST_PATH_BYTES], away[TEST_PATH_BYTES];

    start_own(&o, CONFIG);
    await_answer(&o, "\"cpu-1\":\"numawise: TopologyAffinityError\"");
    /* Without its manifests the node is not known, and so it passes. */
    assert_true(snprintf(node, sizeof(node), "%s/nodes/cpu-1.yaml", o.cluster) > 0);
    assert_true(snprintf(away, sizeof(away), "%s/cpu-1.away", o.dir) > 0);
    assert_int_equal(rename(node, away), 0);
    await_answer(&o, "\"NodeNames\":[\"cpu-1\"]");
    assert_int_equal(rename(away, node), 0);
    await_answer(&o, "\"cpu-1\":\"numawise: TopologyAffinityError\"");
    stop_own(&o, SIGTERM);
}

static void a_changed_configuration_is_followed_and_a_broken_one_is_not(void **state)
{
    struct own o;

    start_own(&o, CONFIG);
    await_answer(&o, "\"cpu-1\":\"numawise: TopologyAffinityError\"");
    test_write(o.config, STR(CONFIG "extender:\n  mode: Shadow\n"));
    await_answer(&o, "\"NodeNames\":[\"cpu-1\"]");
    test_write(o.config, STR(CONFIG "extender:\n  mode: Shadwo\n"));
    assert_int_equal(kill(o.server.pid, SIGHUP), 0);
    await_answer(&o, "\"NodeNames\":[\"cpu-1\"]");
    test_write(o.config, STR(CONFIG "extender:\n  mode: Enforce\n"));
    assert_int_equal(kill(o.server.pid, SIGHUP), 0);
    await_answer(&o, "\"cpu-1\":\"numawise: TopologyAffinityError\"");
    stop_own(&o, SIGINT);
}

static double sample_of(const struct own *o, const char *name)
{
    struct buf b = {0};

    assert_int_equal(test_get(o->server.console, "/metrics", &b), 200);
    const char *const line = strstr(b.p, name);
    assert_non_null(line);
    const double value = strtod(line + strlen(name), NULL);
    buf_free(&b);
    return value;
}

/* What Enforce would have done is counted by reason, and the decision says both. */
static void shadow_refuses_nothing_and_says_what_it_would_have(void **state)
{
    static const char shadowed[] =
        "\nnumawise_extender_shadow_rejections_total{reason=\"TopologyAffinityError\"} ";
    static const char rejected[] =
        "\nnumawise_extender_rejections_total{reason=\"TopologyAffinityError\"} ";
    struct own o;
    struct buf b = {0};
    char target[64];

    start_own(&o, CONFIG "extender:\n  mode: Shadow\n");
    const int fd = test_connect(o.server.extender);
    assert_int_equal(post(fd, FILTER, STR(ask_cpu_1), &b), 200);
    assert_string_equal(b.p, "{\"Nodes\":null,\"NodeNames\":[\"cpu-1\"],\"FailedNodes\":{},"
                             "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
    assert_int_equal(post(fd, FILTER, STR(ask_cpu_1), &b), 200);
    assert_int_equal(sample_of(&o, shadowed), 2);
    assert_int_equal(sample_of(&o, rejected), 0);
    assert_int_equal(test_get(o.server.console, "/v1/decisions", &b), 200);
    const char *const id = strstr(b.p, "\"decision\": \"");
    assert_non_null(id);
    (void)snprintf(target, sizeof(target), "/v1/decisions/%.26s", id + 13);
    assert_int_equal(test_get(o.server.console, target, &b), 200);
    assert_non_null(strstr(b.p, "\"mode\": \"Shadow\""));
    assert_non_null(strstr(b.p, "\"verdict\": \"Rejected\""));
    assert_non_null(strstr(b.p, "\"reason\": \"TopologyAffinityError\""));
    test_write(o.config, STR(CONFIG "extender:\n  mode: Enforce\n"));
    await_answer(&o, "\"cpu-1\":\"numawise: TopologyAffinityError\"");
    assert_true(sample_of(&o, rejected) >= 1);
    (void)close(fd);
    buf_free(&b);
    stop_own(&o, SIGTERM);
}

enum { IN_FLIGHT = 8 };

/* Requests were sent before the signal; each is answered whole, or its connection just ends. */
static void on_sigterm_requests_in_flight_are_answered_and_the_exit_code_is_0(void **state)
{
    struct buf message = {0};
    struct own o;
    int fds[IN_FLIGHT], answered = 0;

    assert_int_equal(test_data_read("scheduler-requests/filter-names-5000-b.http.xz", &message), 0);
    const struct str body = test_http_body(buf_view(&message));
    start_own(&o, CONFIG);
    for (int i = 0; i < IN_FLIGHT; i++) {
        fds[i] = test_connect(o.server.extender);
        expect_good(fds[i], ANSWER_FILTER, body, "before");
        assert_true(test_send(fds[i], "POST", FILTER, body));
    }
    assert_int_equal(kill(o.server.pid, SIGTERM), 0);
    for (int i = 0; i < IN_FLIGHT; i++) {
        char why[WHY_BYTES];
        struct test_reply r;
        if (test_receive(fds[i], &r)) {
            assert_int_equal(answer_check(ANSWER_FILTER, body, buf_view(&r.body), MAX_SCORE, why),
                             ANSWER_GOOD);
            test_reply_done(&r);
            answered++;
        }
        (void)close(fds[i]);
    }
    assert_true(answered > 0);
    stop_own(&o, 0);
    buf_free(&message);
}

static void expect_run(const char *const *args, int code, const char *in_stderr)
{
    struct buf out = {0}, err = {0};

    const int got = test_run(args, &out, &err);
    if (got != code || !strstr(err.p ? err.p : "", in_stderr))
        fail_msg("%s %s: code %d, expected %d; stderr: %s", args[1] ? args[1] : "",
                 args[1] && args[2] ? args[2] : "", got, code, err.p ? err.p : "");
    buf_free(&out);
    buf_free(&err);
}

static void commands_say_what_is_wrong_with_them(void **state)
{
    static const struct {
        const char *args[8];
        int code;
        const char *text;
    } runs[] = {
        {{"numawise"}, 2, "usage: numawise COMMAND"},
        {{"/usr/bin/kubectl-numawise"}, 2, "usage: kubectl numawise COMMAND"},
        {{"kubectl-numawise", "check"}, 2, "See \"kubectl numawise check --help\"."},
        {{"numawise", "exlain"}, 2, "did you mean \"explain\"?"},
        {{"numawise", "serve", "--clustr", "x"}, 2, "did you mean \"--cluster\"?"},
        {{"numawise", "serve", "--cluster"}, 2, "a value is missing"},
        {{"numawise", "serve", "--cluster", "/no/such"}, 3, "/no/such"},
        {{"numawise", "serve"}, 3, "no source: give --cluster DIR or --kubeconfig FILE"},
        {{"numawise", "serve", "--kubeconfig", "/no/such"}, 3, "/no/such: No such file"},
        {{"numawise", "serve", "--kubeconfig", "x", "--cluster", "y"}, 2, "one of them"},
        {{"numawise", "explain", "a"}, 3, "no --cluster DIR"},
        {{"numawise", "serve", "--listen", "extnder=off"}, 2, "did you mean \"extender\"?"},
        {{"numawise", "serve", "--listen", "extender=here"}, 2, "extender"},
        {{"numawise", "serve", "--config", "/no/such.yaml"}, 3, "/no/such.yaml"},
        {{"numawise", "explain"}, 2, "Name a POD"},
        {{"numawise", "explain", "a", "b"}, 2, "one POD at a time"},
        {{"numawise", "explain", "a", "--cluster", TEST_EXAMPLES "/cluster"}, 3, "default/a"},
        {{"numawise", "explain", "a", "-o", "yaml"}, 2, "neither table nor json"},
        {{"numawise", "explain", "-f", "/no/such.yaml", "--cluster", TEST_EXAMPLES "/cluster"},
         3,
         "/no/such.yaml"},
        {{"numawise", "check"}, 2, "Name a FILE"},
        {{"numawise", "check", "/no/such"}, 3, "/no/such"},
        {{"numawise", "check", TEST_EXAMPLES}, 0, " 0 problems"},
        {{"numawise", "locks"}, 2, "of what?"},
    };

    (void)unsetenv("KUBECONFIG"); /* whoever tests may have a cluster */
    (void)unsetenv("KUBERNETES_SERVICE_HOST");
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        expect_run(runs[i].args, runs[i].code, runs[i].text);
}

static void an_answer_of_no_is_exit_code_1(void **state)
{
    const char *const args[] = {"numawise",  "explain",
                                "-f",        TEST_EXAMPLES "/workloads/latency.yaml",
                                "--cluster", TEST_EXAMPLES "/cluster",
                                "--node",    "cpu-1",
                                NULL};
    struct buf out = {0}, err = {0};

    assert_int_equal(test_run(args, &out, &err), 1);
    assert_non_null(strstr(out.p, "TopologyAffinityError"));
    assert_non_null(strstr(out.p, "cpu needs 30, free"));
    buf_free(&out);
    buf_free(&err);
}

static void check_names_file_line_column_field_and_the_likely_word(void **state)
{
    static const char text[] = "apiVersion: v1\n"
                               "kind: Pod\n"
                               "metadata:\n"
                               "  name: p\n"
                               "  annotations:\n"
                               "    orchestration.gokore.io/numa-polcy: single\n"
                               "    orchestration.gokore.io/max-locks: many\n"
                               "spec:\n"
                               "  containers:\n"
                               "  - name: c\n"
                               "---\n" CONFIG "extender:\n"
                               "  mod: Shadow\n";
    char dir[] = "/tmp/numawise-check-XXXXXX", path[TEST_PATH_BYTES];
    const char *const args[] = {"numawise", "check", dir, NULL};
    struct buf out = {0}, err = {0};

    assert_non_null(mkdtemp(dir));
    assert_true(snprintf(path, sizeof(path), "%s/a.yaml", dir) > 0);
    test_write(path, STR(text));
    assert_int_equal(test_run(args, &out, &err), 1);
    if (!strstr(out.p, "a.yaml:6:") || !strstr(out.p, "did you mean \"numa-policy\"") ||
        !strstr(out.p, "a.yaml:7:") || !strstr(out.p, "an integer"))
        fail_msg("%s%s", out.p, err.p);
    test_remove_tree(dir);
    buf_free(&out);
    buf_free(&err);
}

static int start(void **state)
{
    test_server_start(&server, TEST_EXAMPLES "/cluster", NULL);
    return 0;
}

static int stop(void **state)
{
    return test_server_stop(&server, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_of_every_role_is_ok),
        cmocka_unit_test(a_role_that_is_not_built_has_its_health_alone),
        cmocka_unit_test(the_wrong_method_or_path_is_refused_without_a_body),
        cmocka_unit_test(an_empty_question_gets_the_whole_form),
        cmocka_unit_test(a_pod_that_is_not_understood_passes_everywhere),
        cmocka_unit_test(names_come_back_as_they_were_written_and_once),
        cmocka_unit_test(every_recorded_request_gets_an_answer_kube_scheduler_takes),
        cmocka_unit_test(the_example_pod_is_refused_where_its_kubelet_would),
        cmocka_unit_test(explain_and_serve_agree),
        cmocka_unit_test(a_decision_is_read_back_from_the_console),
        cmocka_unit_test(metrics_count_the_calls),
        cmocka_unit_test(a_thousand_calls_use_one_connection_and_leak_no_descriptor),
        cmocka_unit_test(json_cut_at_every_byte_is_a_400),
        cmocka_unit_test(hostile_json_gets_its_status_and_the_next_request_is_served),
        cmocka_unit_test(whatever_is_asked_the_answer_is_one_kube_scheduler_takes),
        cmocka_unit_test(a_changed_cluster_directory_is_picked_up),
        cmocka_unit_test(shadow_refuses_nothing_and_says_what_it_would_have),
        cmocka_unit_test(a_changed_configuration_is_followed_and_a_broken_one_is_not),
        cmocka_unit_test(on_sigterm_requests_in_flight_are_answered_and_the_exit_code_is_0),
        cmocka_unit_test(commands_say_what_is_wrong_with_them),
        cmocka_unit_test(an_answer_of_no_is_exit_code_1),
        cmocka_unit_test(check_names_file_line_column_field_and_the_likely_word),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
