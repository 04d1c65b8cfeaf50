/* SPDX-License-Identifier: Apache-2.0 */
/* The operator over HTTP: the real program, a cluster directory that it writes into. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/support/api_doc.h"
#include "tests/support/data.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

static char dir[TEST_PATH_BYTES];
static struct test_server server;

static int set_up(void **state)
{
    (void)strcpy(dir, "/tmp/numawise-operator-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    test_copy_tree(TEST_EXAMPLES "/locks", dir);
    test_server_start(&server, dir, NULL);
    return 0;
}

static int tear_down(void **state)
{
    const int rc = test_server_stop(&server, SIGTERM);

    test_remove_tree(dir);
    return rc;
}

static int ask(const char *method, const char *target, const char *body, struct buf *out)
{
    const int fd = test_connect(server.operator_port);
    struct test_reply reply = {0};

    assert_true(test_send(fd, method, target, str_of(body)));
    assert_true(test_receive(fd, &reply));
    const int status = reply.status;
    api_doc_expect(method, target, status, buf_view(&reply.body));
    if (out) {
        buf_free(out);
        buf_str(out, buf_view(&reply.body));
        buf_text(out, "");
    }
    test_reply_done(&reply);
    (void)close(fd);
    return status;
}

#define TELLER "/v1/lock-policies/bank/teller"

static void a_policy_survives_a_restart(void **state)
{
    struct buf b = {0};

    assert_int_equal(
        ask("PUT", "/v1/lock-policies/bank/clerk",
            "{\"hierarchyRules\":[{\"name\":\"r\",\"order\":[\"audit.log\",\"tape\"]}]}", &b),
        201);
    assert_int_equal(ask("DELETE", TELLER, "", &b),
                     200); /* it stands in a file of somebody's own */
    assert_int_equal(test_server_stop(&server, SIGTERM), 0);
    test_server_start(&server, dir, NULL);
    assert_int_equal(ask("GET", "/v1/lock-policies/bank/clerk", "", &b), 200);
    assert_non_null(strstr(b.p, "\"resourceVersion\":\"1\""));
    assert_int_equal(ask("GET", TELLER, "", &b), 404);
    assert_int_equal(ask("GET", "/v1/lock-hierarchy?namespace=bank&format=text", "", &b), 200);
    assert_non_null(strstr(b.p, "2 lock classes on 2 levels"));
    buf_free(&b);
}

/* The file's owner changes it: that is picked up as any change is. */
static void a_file_that_changes_is_picked_up(void **state)
{
    struct buf b = {0};
    char path[TEST_PATH_BYTES * 2];

    (void)snprintf(path, sizeof(path), "%s/teller.yaml", dir);
    test_write(path,
               STR("apiVersion: concurrency.gokore.io/v1alpha1\nkind: LockPolicy\nmetadata: "
                   "{name: teller, namespace: bank}\nspec: {hierarchyRules: [{name: r, order: "
                   "[vault]}]}\n"));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ask("GET", "/v1/lock-hierarchy?namespace=bank&format=text", "", &b), 200);
        if (strstr(b.p, ": 1 lock classes"))
            break;
        (void)usleep(20000);
    }
    assert_non_null(strstr(b.p, "vault"));
    buf_free(&b);
}

/* A quota in a directory, where nobody counts, is counted. */
static void a_quota_in_a_file_counts(void **state)
{
    static const char body[] =
        "{\"target\":{\"name\":\"camera-gateway-0\"},\"cpuShares\":3072,\"dryRun\":true}";
    struct buf b = {0};
    char path[TEST_PATH_BYTES * 2];

    test_copy_tree(TEST_EXAMPLES "/cluster", dir);
    (void)snprintf(path, sizeof(path), "%s/quota.yaml", dir);
    test_write(path, STR("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: cpus, namespace: "
                         "edge}\nspec: {hard: {cpu: 2500m}}\n"));
    for (int i = 0; i < 400; i++) {
        if (ask("POST", "/v1/resource-adjustments/edge", body, &b) == 202 &&
            strstr(b.p, "ResourceQuota"))
            break;
        (void)usleep(20000);
    }
    assert_non_null(strstr(b.p, "ResourceQuota cpus: of cpu 2000m are used of 2500m, and 1000m "
                                "more are wanted"));
    buf_free(&b);
}

static void every_answer_has_its_media_type(void **state)
{
    static const struct {
        const char *target, *type;
    } cases[] = {
        {"/v1/lock-hierarchy?format=svg&namespace=bank", "Content-Type: image/svg+xml\r\n"},
        {"/v1/lock-hierarchy?format=text", "Content-Type: text/plain; charset=utf-8\r\n"},
        {"/v1/lock-hierarchy", "Content-Type: application/json\r\n"},
        {"/v1/nothing", "Content-Type: application/json\r\n"},
        {"/openapi.json", "Content-Type: application/json\r\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const int fd = test_connect(server.operator_port);
        struct test_reply reply = {0};

        assert_true(test_send(fd, "GET", cases[i].target, STR("")));
        assert_true(test_receive(fd, &reply));
        buf_text(&reply.head, "");
        assert_non_null(strstr(reply.head.p, cases[i].type));
        test_reply_done(&reply);
        (void)close(fd);
    }
}

/* Two trackers, many reports on one connection, and the command line beside them. */
static void reports_come_in_and_the_hierarchy_goes_out(void **state)
{
    const char *url_args[] = {"numawise", "locks", "--server", NULL, "-n", "bank", NULL};
    struct buf out = {0}, err = {0};
    char body[512], url[64];

    for (int i = 1; i <= 40; i++) {
        (void)snprintf(body, sizeof(body),
                       "{\"reporter\":{\"namespace\":\"bank\",\"pod\":\"teller-%d\",\"epoch\":1},"
                       "\"sequence\":%d,\"nowNs\":%d,\"edges\":[{\"from\":\"%s\",\"to\":\"%s\"}]}",
                       i % 2, (i + 1) / 2, i, i % 2 ? "accounts" : "ledger",
                       i % 2 ? "ledger" : "accounts");
        assert_int_equal(ask("POST", "/v1/lock-reports", body, &out), 202);
        assert_string_equal(out.p, "{\"resend\":false}\n");
    }
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", server.operator_port);
    url_args[3] = url;
    buf_free(&out);
    buf_text(&out, "");
    buf_text(&err, "");
    assert_int_equal(test_run(url_args, &out, &err), 1); /* there is a cycle */
    assert_non_null(strstr(out.p, "violation: accounts was acquired while ledger was held, 20 "
                                  "times by 1 reporter, against the declared order"));
    buf_free(&out);
    buf_free(&err);
}

static void a_body_that_is_too_large_is_refused_before_it_is_read(void **state)
{
    struct buf body = {0};

    for (int i = 0; i < 40000; i++)
        buf_text(&body, "{\"reporter\":{\"namespace\":\"bank\",");
    buf_text(&body, "");
    assert_int_equal(ask("POST", "/v1/lock-reports", body.p, NULL), 413);
    buf_free(&body);
}

/* Without a question only who is on this machine. */
/* DNS rebinding: a stranger's name leads to this machine, and a browser runs his page. Nobody is
 * asked who he is here, so only who means this machine by its own names is served. */
static void a_name_of_somebody_else_leads_nowhere(void **state)
{
    static const struct {
        const char *host;
        int status;
    } cases[] = {{"localhost:8788", 404},        {"127.0.0.1", 404}, {"[::1]:8788", 404},
                 {"evil.example", 403},          {"", 403},          {"evil.example:8788", 403},
                 {"127.0.0.1.evil.example", 403}};
    static const char body[] = "{\"hierarchyRules\":[]}";
    char request[400];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const int fd = test_connect(server.operator_port);

        for (int puts = 0; puts < 2; puts++) {
            struct test_reply reply = {0};
            const bool refused = cases[i].status == 403;

            if (puts && !refused)
                continue;
            const int n = snprintf(request, sizeof(request),
                                   "%s /v1/lock-policies/bank/evil HTTP/1.1\r\nHost: %s\r\n"
                                   "Content-Length: %zu\r\n\r\n%s",
                                   puts ? "PUT" : "GET", cases[i].host, puts ? sizeof(body) - 1 : 0,
                                   puts ? body : "");
            assert_int_equal(write(fd, request, (size_t)n), n);
            assert_true(test_receive(fd, &reply));
            if (reply.status != cases[i].status)
                fail_msg("%s: %d", request, reply.status);
            api_doc_expect(puts ? "PUT" : "GET", "/v1/lock-policies/bank/evil", reply.status,
                           buf_view(&reply.body));
            buf_text(&reply.body, "");
            assert_true(!refused || strstr(reply.body.p, "\"message\": \"Host is the name of"));
            test_reply_done(&reply);
        }
        (void)close(fd);
    }
}

/* Also what the listener refuses before it is a call. */
static void every_failure_is_a_status(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *reason;
    } cases[] = {
        {"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "NotFound"},
        {"GET /v1/nope HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "NotFound"},
        {"PUT /openapi.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405,
         "MethodNotAllowed"},
        {"POST /v1/lock-reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n",
         413, "RequestEntityTooLarge"},
        {"POST /v1/lock-reports HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
         411, "Unknown"},
        {"GET /v1/deadlocks HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
         403, "Forbidden"},
        {"what is this\r\n\r\n", 400, "BadRequest"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const int fd = test_connect(server.operator_port);
        const size_t n = strlen(cases[i].request);
        struct test_reply r = {0};

        assert_int_equal(write(fd, cases[i].request, n), n);
        assert_true(test_receive(fd, &r));
        json_t *const status = json_loadb(r.body.p ? r.body.p : "", r.body.n, 0, NULL);
        if (r.status != cases[i].status || !status)
            fail_msg("%s: %d %.*s", cases[i].request, r.status, (int)r.body.n,
                     r.body.n ? r.body.p : "");
        assert_string_equal(json_string_value(json_object_get(status, "kind")), "Status");
        assert_string_equal(json_string_value(json_object_get(status, "reason")), cases[i].reason);
        assert_int_equal(json_integer_value(json_object_get(status, "code")), r.status);
        assert_true(strlen(json_string_value(json_object_get(status, "message"))) > 0);
        json_decref(status);
        test_reply_done(&r);
        (void)close(fd);
    }
}

static void an_address_for_everybody_needs_certificates(void **state)
{
    const char *const args[] = {
        "numawise", "serve",        "--cluster", dir,           "--listen", "operator=0.0.0.0:0",
        "--listen", "extender=off", "--listen",  "console=off", NULL};
    struct buf out = {0}, err = {0};

    buf_text(&out, "");
    buf_text(&err, "");
    assert_int_equal(test_run(args, &out, &err), 2);
    assert_non_null(strstr(err.p, "listeners.operator.address: 0.0.0.0:0 is not on this machine "
                                  "alone: it needs listeners.operator.tls.clientCAFile"));
    buf_free(&out);
    buf_free(&err);
}

/* mlx5_0 of the example carries 180000 by a manifest; of two figures the larger one counts. */
static void a_pushed_signal_counts_as_one_that_was_read(void **state)
{
    struct buf b = {0};

    test_copy_tree(TEST_EXAMPLES "/cluster", dir);
    assert_int_equal(ask("PUT", "/v1/signals/nics",
                         "{\"kind\":\"networkBandwidth\",\"unit\":\"Mbps\",\"ttlSeconds\":86400,"
                         "\"nodes\":{\"gpu-1\":{\"devices\":{\"mlx5_0\":187654}}}}",
                         &b),
                     204);
    for (int i = 0; i < 1500; i++) {
        (void)ask("GET", "/v1/bandwidth/gpu-1", "", &b); /* 404 until the manifests are read */
        if (strstr(b.p, "\"measured\": 187654"))
            break;
        (void)usleep(20000);
    }
    assert_non_null(strstr(b.p, "\"measured\": 187654"));
    assert_non_null(strstr(b.p, "\"measured\": 175000"));
    buf_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_policy_survives_a_restart),
        T(a_file_that_changes_is_picked_up),
        T(a_quota_in_a_file_counts),
        T(every_answer_has_its_media_type),
        T(reports_come_in_and_the_hierarchy_goes_out),
        T(a_body_that_is_too_large_is_refused_before_it_is_read),
        T(a_name_of_somebody_else_leads_nowhere),
        T(every_failure_is_a_status),
        T(an_address_for_everybody_needs_certificates),
        T(a_pushed_signal_counts_as_one_that_was_read),
    };
#undef T

    return cmocka_run_group_tests_name("operator http", tests, NULL, NULL);
}
