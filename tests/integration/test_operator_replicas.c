/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two operators over one API server, real processes: one leads by the Lease, the other one sends
 * callers there; the leader goes, or is stopped for a while, and what trackers know is told again.
 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "operator/client.h"
#include "tests/support/api_doc.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/fake_lease.h"
#include "tests/support/fake_store.h"
#include "tests/support/server.h"

enum { PATIENCE_MS = 90000, PODS = 1, PATH_ROOM = TEST_PATH_BYTES + 32 };

static const struct fake_kind kinds[] = {
    {"/api/v1/nodes", "v1", "Node", false},
    {"/api/v1/pods", "v1", "Pod", false},
    {"/apis/concurrency.gokore.io/v1alpha1/lockpolicies", "concurrency.gokore.io/v1alpha1",
     "LockPolicy", true},
};

struct replica {
    struct test_server server;
    char config[PATH_ROOM], url[64];
};

static struct {
    struct fake_api *api;
    char kubeconfig[TEST_PATH_BYTES], token[PATH_ROOM];
    bool without_leases;
    struct replica a, b;
} w;

/* --- the API server: everybody is root --- */

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    if (fake_store_lets_in(target, out))
        return 201;
    if (strstr(target, "/leases"))
        return w.without_leases ? 403 : fake_lease_handle(NULL, method, target, body, out);
    return fake_store_handle(ctx, method, target, body, out);
}

static int start(void **state)
{
    static const struct fake_api_options options = {.bookmark_ms = 200};
    char path[TEST_PATH_BYTES];

    fake_lease_clear();
    w.api = fake_api_new(&options);
    fake_api_add_kinds(w.api, kinds, ARRAY_LEN(kinds));
    struct history *const h = fake_api_lock(w.api);
    (void)history_put(h, PODS, "bank", "teller-0", "u-0",
                      "'spec':{'containers':[{'name':'m'}]},'status':{'phase':'Running'}");
    fake_api_unlock(w.api);
    (void)snprintf(path, sizeof(path), "%s/locks/teller.yaml", TEST_EXAMPLES);
    fake_store_put_file(w.api, path);
    fake_api_handle(w.api, serve, w.api);
    test_temporary(w.kubeconfig, "replicas");
    (void)snprintf(w.token, sizeof(w.token), "%s.token", w.kubeconfig);
    fake_api_write_kubeconfig(w.api, w.kubeconfig);
    test_write(w.token, STR("tok"));
    (void)state;
    return 0;
}

static int start_without_leases(void **state)
{
    w.without_leases = true;
    return start(state);
}

static int stop(void **state)
{
    struct replica *const both[] = {&w.a, &w.b};

    (void)state;
    for (int i = 0; i < 2; i++) {
        if (both[i]->server.pid)
            assert_int_equal(test_server_stop(&both[i]->server, SIGTERM), 0);
        both[i]->server.pid = 0;
        (void)unlink(both[i]->config);
    }
    fake_api_free(w.api);
    (void)unlink(w.kubeconfig);
    (void)unlink(w.token);
    w.without_leases = false;
    return 0;
}

/* --- the replicas --- */

/* Its URL must be known before it has its port: one that the kernel has just called free. */
static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

static void start_replica(struct replica *r, const char *name)
{
    const unsigned port = free_port();
    char listen[48], text[256];

    (void)snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u", port);
    (void)snprintf(r->config, sizeof(r->config), "%s.%s", w.kubeconfig, name);
    (void)snprintf(text, sizeof(text),
                   "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
                   "operator: {lease: sys/numawise, advertise: '%s'}\n",
                   r->url);
    test_write(r->config, str_of(text));
    (void)snprintf(listen, sizeof(listen), "operator=127.0.0.1:%u", port);
    const char *const source[] = {"--kubeconfig", w.kubeconfig, NULL};
    const char *const extra[] = {"--config", r->config, "--listen", listen, NULL};
    test_server_run(&r->server, source, extra);
    test_server_wait(&r->server);
}

struct reply {
    int status;
    char head[1024], body[4096];
};

static int ask(const struct replica *r, const char *method, const char *target, const char *body,
               struct reply *out)
{
    const int fd = test_connect(r->server.operator_port);
    struct test_reply reply = {0};
    struct buf b = {0};

    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer tok\r\n", method,
               target);
    if (strcmp(method, "GET") != 0)
        buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body);
    assert_int_equal(send(fd, b.p, b.n, MSG_NOSIGNAL), b.n);
    assert_true(test_receive(fd, &reply));
    out->status = reply.status;
    (void)snprintf(out->head, sizeof(out->head), "%.*s", (int)reply.head.n, reply.head.p);
    (void)snprintf(out->body, sizeof(out->body), "%.*s", (int)reply.body.n, reply.body.p);
    test_reply_done(&reply);
    buf_free(&b);
    (void)close(fd);
    api_doc_expect(method, target, out->status, str_of(out->body));
    return out->status;
}

#define REPORTS   "/v1/lock-reports"
#define HIERARCHY "/v1/lock-hierarchy?namespace=bank&format=text"

static int report(const struct replica *r, int sequence, struct reply *out)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"reporter\":{\"namespace\":\"bank\",\"pod\":\"teller-0\",\"epoch\":1},"
                   "\"sequence\":%d,\"nowNs\":9,\"edges\":[{\"from\":\"ledger\",\"to\":"
                   "\"accounts\",\"count\":1}]}",
                   sequence);
    return ask(r, "POST", REPORTS, body, out);
}

/* Until a report of this number is answered so; the last answer. */
static void await_report(const struct replica *r, int sequence, int status, struct reply *out)
{
    const uint64_t limit = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);

    while (report(r, sequence, out) != status) {
        if (clock_monotonic_ns() > limit)
            fail_msg("%d instead of %d: %s", out->status, status, out->body);
        (void)poll(NULL, 0, 50);
    }
}

static void expect_sent_to(const struct replica *to, const struct reply *r, const char *target)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "Location: %s%s\r\n", to->url, target);
    if (r->status != 307 || !strstr(r->head, line) ||
        !strstr(r->body, "\"message\": \"the replica that leads answers this: "))
        fail_msg("%d, no %s in %s%s", r->status, line, r->head, r->body);
}

static void expect_order(const struct replica *r, const char *text)
{
    struct reply got;

    if (ask(r, "GET", HIERARCHY, "", &got) != 200 || !strstr(got.body, text))
        fail_msg("no \"%s\": %d: %s", text, got.status, got.body);
}

/* --- tests --- */

static void one_leads_and_the_other_sends_there(void **state)
{
    struct reply r;
    char holder[FAKE_LEASE_HOLDER_BYTES];

    (void)state;
    start_replica(&w.a, "a");
    await_report(&w.a, 1, 202, &r);
    fake_lease_holder(holder);
    assert_int_equal(strncmp(holder, w.a.url, strlen(w.a.url)), 0);
    start_replica(&w.b, "b");
    await_report(&w.b, 2, 307, &r);
    expect_sent_to(&w.a, &r, REPORTS);
    (void)ask(&w.b, "GET", HIERARCHY, "", &r);
    expect_sent_to(&w.a, &r, HIERARCHY);
    (void)ask(&w.b, "PUT", "/v1/lock-policies/bank/x", "{\"hierarchyRules\":[]}", &r);
    expect_sent_to(&w.a, &r, "/v1/lock-policies/bank/x");
    /* What all know alike, any one tells. */
    assert_int_equal(ask(&w.b, "GET", "/v1/lock-policies/bank/teller", "", &r), 200);
    assert_int_equal(ask(&w.b, "GET", "/v1/qos-class/bank/teller-0", "", &r), 200);
    /* Report 2 was not lost, for it was never taken: it is told where it counts. */
    assert_int_equal(report(&w.a, 2, &r), 202);
    assert_string_equal(r.body, "{\"resend\":false}\n");
    expect_order(&w.a, "violation: accounts was acquired while ledger was held, 2 times");

    /* It goes, and need not be waited for; the other one asks for what was told before. */
    assert_int_equal(test_server_stop(&w.a.server, SIGTERM), 0);
    w.a.server.pid = 0;
    await_report(&w.b, 3, 202, &r);
    assert_string_equal(r.body, "{\"resend\":true,\"have\":0}\n");
    assert_int_equal(report(&w.b, 1, &r), 202);
    expect_order(&w.b, "violation: accounts was acquired while ledger was held, 1 time");
}

/* A tracker knows one address, and that of the Service may lead to either. */
static void a_tracker_follows_to_the_leader(void **state)
{
    static const struct lock_client_class accounts = {.name = "accounts"},
                                          vault = {.name = "vault"};
    struct lock_client *c = NULL;
    struct reply r;
    int one, two;

    (void)state;
    start_replica(&w.a, "a");
    await_report(&w.a, 1, 202, &r);
    start_replica(&w.b, "b");
    await_report(&w.b, 1, 307, &r);
    const struct lock_client_options options = {.url = w.b.url,
                                                .ns = "bank",
                                                .pod = "teller-0",
                                                .container = "m",
                                                .token_file = w.token,
                                                .interval_ms = 60000};
    assert_int_equal(lock_client_open(&c, &options), 0);
    lock_client_got(c, &accounts, &one);
    lock_client_got(c, &vault, &two);
    assert_int_equal(lock_client_flush(c), 0);
    expect_order(&w.a, "vault");
    lock_client_release(c, &vault, &two);
    lock_client_close(c);
}

/* `numawise locks` of a server that wants a token, by way of the other replica. */
static void people_look_with_a_token(void **state)
{
    struct reply r;

    (void)state;
    start_replica(&w.a, "a");
    await_report(&w.a, 1, 202, &r);
    start_replica(&w.b, "b");
    await_report(&w.b, 1, 307, &r);
    const struct {
        const char *server, *token;
        int code;
        const char *text;
    } cases[] = {
        {w.a.url, w.token, 1, "violation: accounts was acquired while ledger was held, 1 time"},
        {w.b.url, w.token, 1, "violation: accounts was acquired while ledger was held, 1 time"},
        {w.a.url, NULL, 3, "it is not said who calls"},
        {w.a.url, "/nowhere", 3, "/nowhere: No such file"},
        {"http://10.0.0.1:1", w.token, 2, "a token is shown to this machine only"},
        {"http://localhost.evil.example", w.token, 2, "a token is shown to this machine only"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const args[] = {"numawise",
                                    "locks",
                                    "-n",
                                    "bank",
                                    "--server",
                                    cases[i].server,
                                    cases[i].token ? "--token-file" : NULL,
                                    cases[i].token,
                                    NULL};
        struct buf out = {0}, err = {0};

        if (test_run(args, &out, &err) != cases[i].code)
            fail_msg("%s: %s", cases[i].server, err.p ? err.p : "");
        buf_str(&out, buf_view(&err));
        buf_text(&out, "");
        if (!strstr(out.p, cases[i].text))
            fail_msg("no %s in %s", cases[i].text, out.p);
        buf_free(&out);
        buf_free(&err);
    }
}

/* Stopped for longer than its lease lasts, and then going on as if nothing had been. */
static void a_leader_that_was_asleep_leads_no_more(void **state)
{
    struct reply r;

    (void)state;
    start_replica(&w.a, "a");
    await_report(&w.a, 1, 202, &r);
    start_replica(&w.b, "b");
    await_report(&w.b, 1, 307, &r);
    test_await_figure(w.a.server.console, PATIENCE_MS,
                      "leader_election_master_status{name=\"numawise\"} 1\n");
    test_await_figure(w.a.server.console, PATIENCE_MS, "numawise_lock_reporters 1\n");
    assert_int_equal(kill(w.a.server.pid, SIGSTOP), 0);
    await_report(&w.b, 1, 202, &r);
    assert_int_equal(kill(w.a.server.pid, SIGCONT), 0);
    const int first = report(&w.a, 2, &r);
    assert_true(first == 307 || first == 503);
    await_report(&w.a, 2, 307, &r);
    expect_sent_to(&w.b, &r, REPORTS);
    test_await_figure(w.a.server.console, PATIENCE_MS,
                      "leader_election_master_status{name=\"numawise\"} 0\n");
    test_await_figure(w.a.server.console, PATIENCE_MS,
                      "numawise_lock_reporters 0\n"); /* it has forgotten what it was told */
    test_await_figure(w.b.server.console, PATIENCE_MS, "numawise_lock_reporters 1\n");
}

static void without_a_lease_nobody_leads(void **state)
{
    struct reply r;
    struct buf log = {0};

    (void)state;
    start_replica(&w.a, "a");
    await_report(&w.a, 1, 503, &r);
    assert_non_null(strstr(r.head, "Retry-After: 2\r\n"));
    assert_non_null(strstr(r.body, "no replica leads now"));
    assert_int_equal(ask(&w.a, "GET", "/v1/qos-class/bank/teller-0", "", &r), 200);
    for (int ms = 0; ms < PATIENCE_MS && !(log.p && strstr(log.p, "the lease sys/numawise: GET "));
         ms += 20) {
        buf_free(&log);
        test_server_log(&w.a.server, &log);
        (void)poll(NULL, 0, 20);
    }
    assert_non_null(strstr(log.p, "the lease sys/numawise: GET "));
    buf_free(&log);
}

static void what_is_wrong_with_a_lease_is_said(void **state)
{
    static const struct {
        const char *operator, * source, *text;
    } cases[] = {
        {"lease: sys/numawise, advertise: 'http://127.0.0.1:1'", "--cluster",
         "operator.lease: a cluster directory has one operator"},
        {"lease: numawise, advertise: 'http://127.0.0.1:1'", "--kubeconfig",
         "operator.lease: \"numawise\" is not NAMESPACE/NAME"},
        {"lease: sys/numawise", "--kubeconfig", "operator.advertise: with operator.lease"},
        {"lease: sys/numawise, advertise: 'http://127.0.0.1:1/v1'", "--kubeconfig",
         "operator.advertise: with operator.lease"},
    };
    char path[PATH_ROOM], text[256];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s.yaml", w.kubeconfig);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const bool is_directory = strcmp(cases[i].source, "--cluster") == 0;
        const char *const args[] = {
            "numawise",    "serve",         "--config",
            path,          cases[i].source, is_directory ? TEST_EXAMPLES "/locks" : w.kubeconfig,
            "--listen",    "extender=off",  "--listen",
            "console=off", "--listen",      "operator=127.0.0.1:0",
            NULL};
        struct buf out = {0}, err = {0};

        (void)snprintf(text, sizeof(text),
                       "apiVersion: numawise.config.gokore.io/v1alpha1\n"
                       "kind: NumawiseConfiguration\noperator: {%s}\n",
                       cases[i].operator);
        test_write(path, str_of(text));
        assert_int_not_equal(test_run(args, &out, &err), 0);
        buf_text(&err, "");
        if (!strstr(err.p, cases[i].text))
            fail_msg("no %s in %s", cases[i].text, err.p);
        buf_free(&out);
        buf_free(&err);
    }
    (void)unlink(path);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(one_leads_and_the_other_sends_there),
        T(a_tracker_follows_to_the_leader),
        T(people_look_with_a_token),
        T(a_leader_that_was_asleep_leads_no_more),
        cmocka_unit_test_setup_teardown(without_a_lease_nobody_leads, start_without_leases, stop),
        T(what_is_wrong_with_a_lease_is_said),
    };
#undef T

    return cmocka_run_group_tests_name("operator replicas", tests, NULL, NULL);
}
