/* SPDX-License-Identifier: Apache-2.0 */
/* The admission webhook as an API server calls it: the real program, HTTPS, AdmissionReviews. */
#include "tests/support/test.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kube/file.h"
#include "tests/support/data.h"
#include "tests/support/prometheus.h"
#include "tests/support/server.h"
#include "tests/support/tls.h"

enum { PATIENCE_MS = 60000, ANSWER_BYTES = 64 * 1024 };

static struct {
    char dir[TEST_PATH_BYTES / 4], cluster[TEST_PATH_BYTES / 2], config[TEST_PATH_BYTES / 2];
    struct tls_pair ca, own;
    struct test_server server;
} world;

static void in(char *out, size_t room, const char *name)
{
    assert_true((size_t)snprintf(out, room, "%s/%s", world.dir, name) < room);
}

static void write_config(const char *more)
{
    struct buf text = {0};

    buf_printf(&text,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "listeners: {admission: {address: '127.0.0.1:0', tls: {certFile: %s/tls.crt, "
               "keyFile: %s/tls.key}}}\n%s",
               world.dir, world.dir, more);
    test_write(world.config, buf_view(&text));
    buf_free(&text);
}

static int set_up(void **state)
{
    const char *const base = getenv("TMPDIR"), *const extra[] = {"--config", world.config, NULL};
    char path[TEST_PATH_BYTES];

    (void)snprintf(world.dir, sizeof(world.dir), "%s/numawise-webhook-XXXXXX",
                   base ? base : "/tmp");
    if (!mkdtemp(world.dir))
        return -1;
    in(world.cluster, sizeof(world.cluster), "cluster");
    in(world.config, sizeof(world.config), "config.yaml");
    world.ca = tls_make(&(struct tls_wish){.common_name = "ca", .is_ca = true}, NULL);
    world.own = tls_make(&(struct tls_wish){.names = "IP:127.0.0.1"}, &world.ca);
    in(path, sizeof(path), "tls.crt");
    tls_write_certs(path, &world.own, NULL);
    in(path, sizeof(path), "tls.key");
    tls_write_key(path, &world.own, NULL);
    write_config("");
    test_copy_tree(TEST_EXAMPLES "/cluster", world.cluster);
    test_server_start(&world.server, world.cluster, extra);
    return 0;
}

static int tear_down(void **state)
{
    const int rc = test_server_stop(&world.server, SIGTERM);

    tls_pair_free(&world.ca);
    tls_pair_free(&world.own);
    test_remove_tree(world.dir);
    return rc;
}

/* --- calls --- */

static SSL *dial(void)
{
    SSL *const ssl = tls_client_dial(test_connect(world.server.admission),
                                     &(struct tls_client){.ca = &world.ca});

    assert_non_null(ssl);
    return ssl;
}

/* One request over `ssl`; what came back replaces `out`. */
static int say(SSL *ssl, const char *method, const char *target, struct str body, struct buf *out)
{
    static char head[2048], answer[ANSWER_BYTES];
    struct buf request = {0};

    buf_printf(&request,
               "%s %s HTTP/1.1\r\nHost: numawise.numawise-system.svc\r\nContent-Type: "
               "application/json\r\nContent-Length: %zu\r\n\r\n",
               method, target, body.n);
    buf_str(&request, body);
    assert_true(tls_say(ssl, request.p, request.n));
    const int status = tls_hear(ssl, head, sizeof(head), answer, sizeof(answer));
    out->n = 0;
    buf_text(out, answer);
    buf_free(&request);
    return status;
}

static int post(struct str body, struct buf *out)
{
    SSL *const ssl = dial();
    const int status = say(ssl, "POST", "/validate?timeout=2s", body, out);

    tls_client_close(ssl);
    return status;
}

/* The response to the review of an object that is created; to be released. */
static json_t *review(const char *group, const char *version, const char *kind, struct str object)
{
    struct buf body = {0}, out = {0};

    buf_printf(&body,
               "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{"
               "\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\",\"kind\":{\"group\":\"%s\","
               "\"version\":\"%s\",\"kind\":\"%s\"},\"name\":\"x\",\"namespace\":\"ml\","
               "\"operation\":\"CREATE\",\"userInfo\":{\"username\":\"jane\"},\"object\":%.*s,"
               "\"oldObject\":null,\"dryRun\":false}}",
               group, version, kind, STR_ARG(object));
    assert_int_equal(post(buf_view(&body), &out), 200);
    json_t *const all = json_loads(out.p, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(all);
    assert_string_equal(json_string_value(json_object_get(all, "apiVersion")),
                        "admission.k8s.io/v1");
    assert_string_equal(json_string_value(json_object_get(all, "kind")), "AdmissionReview");
    json_t *const response = json_incref(json_object_get(all, "response"));
    assert_string_equal(json_string_value(json_object_get(response, "uid")),
                        "705ab4f5-6393-11e8-b7cc-42010a800002");
    json_decref(all);
    buf_free(&body);
    buf_free(&out);
    return response;
}

/* The first warning with this text in it; NULL: there is none. */
static const char *warning(json_t *response, const char *text)
{
    json_t *const list = json_object_get(response, "warnings");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (strstr(json_string_value(json_array_get(list, i)), text))
            return json_string_value(json_array_get(list, i));
    return NULL;
}

static bool is_allowed(json_t *response)
{
    return json_is_true(json_object_get(response, "allowed"));
}

#define POD(annotations, cpu)                                                                      \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"namespace\":\"ml\","   \
    "\"annotations\":{" annotations "}},\"spec\":{\"containers\":[{\"name\":\"m\",\"image\":"      \
    "\"i\",\"resources\":{\"limits\":{\"cpu\":\"" cpu "\",\"memory\":\"1Gi\"}}}]}}"
#define HINT(name, value) "\"orchestration.gokore.io/" name "\":\"" value "\""

/* --- facts --- */

static void a_bad_hint_is_refused_and_named(void **state)
{
    json_t *const r = review("", "v1", "Pod",
                             STR(POD(HINT("numa-policy", "one") "," HINT("max-locks", "x"), "1")));
    json_t *const status = json_object_get(r, "status"), *const causes = json_object_get(
                                                             json_object_get(status, "details"),
                                                             "causes");

    assert_false(is_allowed(r));
    assert_int_equal(json_integer_value(json_object_get(status, "code")), 422);
    assert_string_equal(json_string_value(json_object_get(status, "reason")), "Invalid");
    assert_string_equal(
        json_string_value(json_object_get(status, "message")),
        "metadata.annotations[orchestration.gokore.io/numa-policy]: not single, closest or "
        "span<=N; metadata.annotations[orchestration.gokore.io/max-locks]: not an integer from 0 "
        "to 2147483647");
    assert_int_equal(json_array_size(causes), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(causes, 1), "field")),
                        "metadata.annotations[orchestration.gokore.io/max-locks]");
    json_decref(r);
}

static int explain(const char *object)
{
    char path[TEST_PATH_BYTES];
    struct buf out = {0}, err = {0};

    in(path, sizeof(path), "pod.json");
    test_write(path, str_of(object));
    const char *const args[] = {"numawise",  "explain",     "-f", path,
                                "--cluster", world.cluster, NULL};
    const int code = test_run(args, &out, &err);
    assert_true(code == 0 || code == 1);
    buf_free(&out);
    buf_free(&err);
    return code;
}

/* Guaranteed pods of all widths: the warning comes where explain finds no node, and only there. */
static void it_warns_where_explain_finds_no_node(void **state)
{
    static const char *const pods[] = {POD("", "1"),  POD("", "8"),   POD("", "30"), POD("", "40"),
                                       POD("", "62"), POD("", "100"), POD("", "400")};
    unsigned nowhere = 0;

    for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
        json_t *const r = review("", "v1", "Pod", str_of(pods[i]));
        const bool warned = warning(r, "numawise: none of 8 nodes admits this pod") != NULL;

        assert_true(is_allowed(r));
        if (warned != (explain(pods[i]) == 1))
            fail_msg("%s: %s", pods[i], json_dumps(r, 0));
        nowhere += warned;
        json_decref(r);
    }
    assert_true(nowhere > 0 && nowhere < ARRAY_LEN(pods));
}

static const char *group_of(struct str kind)
{
    return str_is(kind, "Pod")                              ? ""
           : str_is(kind, "Job") || str_is(kind, "CronJob") ? "batch"
                                                            : "apps";
}

static int on_workload(void *ctx, const struct kube_document *doc)
{
    unsigned *const n = ctx;
    char kind[64];

    (void)snprintf(kind, sizeof(kind), "%.*s", STR_ARG(doc->meta.kind));
    if (!kube_is_workload(doc->meta.kind))
        return 0;
    json_t *const r = review(group_of(doc->meta.kind), "v1", kind, doc->json);
    assert_true(is_allowed(r));
    assert_null(warning(r, "not understood"));
    assert_null(warning(r, "metadata.annotations"));
    json_decref(r);
    (*n)++;
    return 0;
}

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s: %s", path, text);
}

static void the_examples_are_let_in(void **state)
{
    static const char *const names[] = {"cache",  "dpdk",   "gateway", "inference", "latency",
                                        "ledger", "stream", "train",   "web"};
    unsigned n = 0;
    const struct kube_visitor visitor = {on_workload, on_problem, &n};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[TEST_PATH_BYTES];

        (void)snprintf(path, sizeof(path), TEST_EXAMPLES "/workloads/%s.yaml", names[i]);
        assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
    }
    assert_true(n >= ARRAY_LEN(names));
}

/* In the words of `numawise check`. */
static void a_field_of_our_own_kinds_is_refused_as_check_does(void **state)
{
    static const char object[] =
        "{\"apiVersion\":\"concurrency.gokore.io/v1alpha1\",\"kind\":\"LockPolicy\",\"metadata\":{"
        "\"name\":\"x\",\"namespace\":\"ml\"},\"spec\":{\"hierarchyRule\":[]}}";
    char path[TEST_PATH_BYTES];
    struct buf out = {0}, err = {0};
    json_t *const r = review("concurrency.gokore.io", "v1alpha1", "LockPolicy", str_of(object));
    const char *const message =
        json_string_value(json_object_get(json_object_get(r, "status"), "message"));

    assert_false(is_allowed(r));
    in(path, sizeof(path), "locks.json");
    test_write(path, str_of(object));
    const char *const args[] = {"numawise", "check", path, NULL};
    assert_int_equal(test_run(args, &out, &err), 1);
    if (!strstr(out.p, message) || !strstr(message, "did you mean \"hierarchyRules\"?"))
        fail_msg("%s\n%s", message, out.p);
    json_decref(r);
    buf_free(&out);
    buf_free(&err);
}

static bool is_warned(struct str object, const char *text)
{
    json_t *const r = review("", "v1", "Pod", object);
    const bool warned = warning(r, text) != NULL;

    assert_true(is_allowed(r));
    json_decref(r);
    return warned;
}

static void expect_soon(struct str object, const char *text, bool warned)
{
    for (int ms = 0; ms < PATIENCE_MS && is_warned(object, text) != warned; ms += 20)
        (void)usleep(20000);
    assert_true(is_warned(object, text) == warned);
}

static void a_lock_policy_that_comes_is_known(void **state)
{
    static const struct str pod = {POD(HINT("lock-policy", "teller"), "1"),
                                   sizeof(POD(HINT("lock-policy", "teller"), "1")) - 1};
    static const char text[] = "there is no LockPolicy \"teller\" in namespace ml";
    char path[TEST_PATH_BYTES];

    assert_true(is_warned(pod, text));
    in(path, sizeof(path), "cluster/teller.yaml");
    test_write(path, STR("apiVersion: concurrency.gokore.io/v1alpha1\nkind: LockPolicy\nmetadata: "
                         "{name: teller, namespace: ml}\nspec: {hierarchyRules: [{name: r, order: "
                         "[vault]}]}\n"));
    expect_soon(pod, text, false);
    assert_int_equal(unlink(path), 0);
    expect_soon(pod, text, true);
}

static void predictions_can_be_switched_off_while_it_runs(void **state)
{
    static const struct str pod = {POD("", "400"), sizeof(POD("", "400")) - 1};
    static const char text[] = "none of 8 nodes admits this pod";

    assert_true(is_warned(pod, text));
    write_config("admission: {predict: false}\n");
    expect_soon(pod, text, false);
    write_config("");
    expect_soon(pod, text, true);
}

static void what_is_no_review_gets_a_sentence(void **state)
{
    static const struct {
        const char *method, *target, *body, *text;
        int status;
    } cases[] = {
        {"POST", "/validate", "", "offset 0", 400},
        {"POST", "/validate", "{}", "apiVersion: is missing", 400},
        {"POST", "/validate?timeout=2s",
         "{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"kind\":\"AdmissionReview\"}",
         "apiVersion: expected admission.k8s.io/v1, found \"admission.k8s.io/v1beta1\"", 400},
        {"POST", "/validate/x", "{}", "", 404},
        {"GET", "/validate", "", "", 405},
        {"GET", "/readyz", "", "ok", 200},
    };
    struct buf out = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SSL *const ssl = dial();
        const int status = say(ssl, cases[i].method, cases[i].target, str_of(cases[i].body), &out);

        if (status != cases[i].status || !strstr(out.p, cases[i].text))
            fail_msg("%s %s: %d %s", cases[i].target, cases[i].body, status, out.p);
        tls_client_close(ssl);
    }
    buf_free(&out);
}

/* Deeper than limits.jsonNesting, and larger than limits.body.admission. */
static void too_much_is_refused(void **state)
{
    struct buf body = {0}, out = {0};
    static char head[2048], answer[ANSWER_BYTES];
    static const char large[] =
        "POST /validate HTTP/1.1\r\nHost: n\r\nContent-Length: 3145729\r\n\r\n";

    buf_text(&body, "{\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"object\":");
    for (int i = 0; i < 80; i++)
        buf_text(&body, "{\"a\":");
    assert_int_equal(post(buf_view(&body), &out), 400);
    SSL *const ssl = dial();
    assert_true(tls_say(ssl, large, sizeof(large) - 1));
    assert_int_equal(tls_hear(ssl, head, sizeof(head), answer, sizeof(answer)), 413);
    tls_client_close(ssl);
    buf_free(&body);
    buf_free(&out);
}

/* The families of this listener's own, as commands.md has them. */
static void expect_documented(struct str page)
{
    struct buf doc = {0}, table = {0};
    char why[PROMETHEUS_WHY_BYTES];

    assert_int_equal(test_file_read(TEST_DATA "/../../docs/reference/commands.md", &doc), 0);
    char *const all = strstr(doc.p, "\n### Metrics\n"), *const api = strstr(all, "\nOver an API"),
                *const own = strstr(all, "\nWith the listener `admission`");
    *strstr(own, "\n## ") = 0;
    buf_add(&table, all, (size_t)(api - all));
    buf_text(&table, own);
    if (!prometheus_documented(page, buf_view(&table), why))
        fail_msg("%s", why);
    buf_free(&doc);
    buf_free(&table);
}

/* Many reviews over one connection, as the API server has it, and all of them are counted. */
static void a_connection_serves_many_reviews(void **state)
{
    static const char body[] =
        "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":"
        "\"u\",\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"ConfigMap\"},\"operation\":"
        "\"CREATE\",\"object\":{}}}";
    static const char family[] = "numawise_admission_reviews_total{result=\"passed\"} ";
    char why[PROMETHEUS_WHY_BYTES];
    struct buf out = {0};
    SSL *const ssl = dial();

    for (int i = 0; i < 200; i++) {
        assert_int_equal(say(ssl, "POST", "/validate?timeout=2s", STR(body), &out), 200);
        assert_non_null(strstr(out.p, "\"response\":{\"uid\":\"u\",\"allowed\":true}"));
    }
    tls_client_close(ssl);
    out.n = 0;
    assert_int_equal(test_get(world.server.console, "/metrics", &out), 200);
    if (!prometheus_check(buf_view(&out), why))
        fail_msg("%s", why);
    expect_documented(buf_view(&out));
    const char *const at = strstr(out.p, family);
    assert_non_null(at);
    assert_int_equal(atoi(at + strlen(family)), 200);
    assert_non_null(strstr(out.p, "numawise_admission_reviews_total{result=\"denied\"} 2\n"));
    assert_null(strstr(out.p, "numawise_admission_predictions_total{result=\"nowhere\"} 0\n"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_hint_is_refused_and_named),
        cmocka_unit_test(it_warns_where_explain_finds_no_node),
        cmocka_unit_test(the_examples_are_let_in),
        cmocka_unit_test(a_field_of_our_own_kinds_is_refused_as_check_does),
        cmocka_unit_test(a_lock_policy_that_comes_is_known),
        cmocka_unit_test(predictions_can_be_switched_off_while_it_runs),
        cmocka_unit_test(what_is_no_review_gets_a_sentence),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_connection_serves_many_reviews),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
