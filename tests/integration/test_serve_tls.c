/* SPDX-License-Identifier: Apache-2.0 */
/* The program with certificates: from the configuration to a client, and changes while it runs. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/data.h"
#include "tests/support/prometheus.h"
#include "tests/support/server.h"
#include "tests/support/tls.h"

enum { PATIENCE_MS = 20000 };

#define HEAD "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"

static struct {
    char dir[64], config[128];
    struct tls_pair ca, server, server2, scheduler, person;
} pki;

static void in(char out[128], const char *name)
{
    (void)snprintf(out, 128, "%s/%s", pki.dir, name);
}

/*
 * A mounted Secret: files are links into ..data, which is a link to a directory; a change is a new
 * directory and a new link renamed over ..data.
 */
static void write_secret(const char *version, const struct tls_pair *p)
{
    char dir[128], cert[160], key[160], ca[160], data[128], next[128];

    in(dir, version);
    assert_int_equal(mkdir(dir, 0700), 0);
    (void)snprintf(cert, sizeof(cert), "%s/tls.crt", dir);
    (void)snprintf(key, sizeof(key), "%s/tls.key", dir);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    tls_write_certs(cert, p, NULL);
    tls_write_key(key, p, NULL);
    tls_write_certs(ca, &pki.ca, NULL);
    in(data, "..data");
    in(next, "..next");
    assert_int_equal(symlink(version, next), 0);
    assert_int_equal(rename(next, data), 0);
}

static void write_config(const char *names)
{
    struct buf text = {0};

    buf_printf(&text, "%slisteners:\n", HEAD);
    buf_printf(&text,
               "  extender: {tls: {certFile: %s/tls.crt, keyFile: %s/tls.key, clientCAFile: "
               "%s/ca.crt, allowedNames: [%s]}}\n",
               pki.dir, pki.dir, pki.dir, names);
    buf_printf(&text, "  operator: {tls: {certFile: %s/tls.crt, keyFile: %s/tls.key}}\n", pki.dir,
               pki.dir);
    test_write(pki.config, buf_view(&text));
    buf_free(&text);
}

static int make_pki(void **state)
{
    static const char *const files[] = {"tls.crt", "tls.key", "ca.crt"};
    const struct tls_wish server = {.names = "IP:127.0.0.1"};
    const char *const base = getenv("TMPDIR");

    (void)state;
    (void)snprintf(pki.dir, sizeof(pki.dir), "%s/numawise-tls-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(pki.dir));
    in(pki.config, "config.yaml");
    pki.ca = tls_make(&(struct tls_wish){.common_name = "ca", .is_ca = true}, NULL);
    pki.server = tls_make(&server, &pki.ca);
    pki.server2 = tls_make(&server, &pki.ca);
    pki.scheduler = tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler"}, &pki.ca);
    pki.person = tls_make(&(struct tls_wish){.common_name = "person"}, &pki.ca);
    write_secret("..v1", &pki.server);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char link[128], target[64];
        in(link, files[i]);
        (void)snprintf(target, sizeof(target), "..data/%s", files[i]);
        assert_int_equal(symlink(target, link), 0);
    }
    return 0;
}

static int drop_pki(void **state)
{
    (void)state;
    tls_pair_free(&pki.ca);
    tls_pair_free(&pki.server);
    tls_pair_free(&pki.server2);
    tls_pair_free(&pki.scheduler);
    tls_pair_free(&pki.person);
    test_remove_tree(pki.dir);
    return 0;
}

static void start(struct test_server *s)
{
    const char *const extra[] = {"--config", pki.config, NULL};

    write_config("\"system:kube-scheduler\"");
    test_server_start(s, TEST_EXAMPLES "/cluster", extra);
}

/* The status of a filter call; -1: not let in. `shown` gets the server's certificate. */
static int filter(const struct test_server *s, const struct tls_pair *own, X509 **shown)
{
    struct buf body = {0}, request = {0};
    char head[1024], answer[8192];
    SSL *const ssl =
        tls_client_dial(test_connect(s->extender), &(struct tls_client){.own = own, .ca = &pki.ca});
    int status = -1;

    if (!ssl)
        return -1;
    assert_int_equal(test_file_read(TEST_EXAMPLES "/requests/filter.body", &body), 0);
    buf_printf(&request,
               "POST /scheduler/filter HTTP/1.1\r\nHost: n\r\nContent-Length: %zu\r\n\r\n", body.n);
    buf_str(&request, buf_view(&body));
    if (tls_say(ssl, request.p, request.n))
        status = tls_hear(ssl, head, sizeof(head), answer, sizeof(answer));
    if (status == 200)
        assert_non_null(strstr(answer, "\"NodeNames\""));
    if (shown)
        *shown = SSL_get1_peer_certificate(ssl);
    tls_client_close(ssl);
    buf_free(&body);
    buf_free(&request);
    return status;
}

static bool shows(const struct test_server *s, const struct tls_pair *p)
{
    X509 *shown = NULL;
    const int status = filter(s, &pki.scheduler, &shown);
    const bool same = shown && X509_cmp(shown, p->cert) == 0;

    assert_int_equal(status, 200);
    X509_free(shown);
    return same;
}

static double metric(const struct test_server *s, const char *line)
{
    struct buf b = {0};
    char why[PROMETHEUS_WHY_BYTES];

    assert_int_equal(test_get(s->console, "/metrics", &b), 200);
    if (!prometheus_check(buf_view(&b), why))
        fail_msg("%s", why);
    const char *const at = strstr(b.p, line);
    if (!at)
        fail_msg("no %s in\n%s", line, b.p);
    const double value = atof(at + strlen(line));
    buf_free(&b);
    return value;
}

static void kube_scheduler_is_let_in_by_name_and_nobody_else(void **state)
{
    struct test_server s;
    struct buf b = {0};
    char path[TEST_PATH_BYTES + 16];

    (void)state;
    start(&s);
    (void)snprintf(path, sizeof(path), "%s/addresses", s.work);
    assert_int_equal(test_file_read(path, &b), 0);
    assert_non_null(strstr(b.p, "\"extender\":\"https://127.0.0.1:"));
    assert_non_null(strstr(b.p, "\"operator\":\"https://127.0.0.1:"));
    assert_non_null(strstr(b.p, "\"console\":\"http://127.0.0.1:"));
    assert_int_equal(filter(&s, &pki.scheduler, NULL), 200);
    assert_int_equal(filter(&s, &pki.person, NULL), -1);
    assert_int_equal(filter(&s, NULL, NULL), -1);
    assert_true(metric(&s, "numawise_http_tls_handshakes_total{listener=\"extender\"} ") >= 1);
    assert_true(metric(&s, "numawise_http_tls_handshake_failures_total{listener=\"extender\","
                           "reason=\"name\"} ") == 1);
    assert_true(metric(&s, "numawise_http_tls_handshake_failures_total{listener=\"extender\","
                           "reason=\"no_certificate\"} ") == 1);
    const double left =
        metric(&s, "numawise_http_certificate_expiry_timestamp_seconds{listener=\"extender\"} ") -
        (double)time(NULL);
    assert_true(left > 86000 && left <= 86400);
    /* the operator's asks for none */
    SSL *const ssl =
        tls_client_dial(test_connect(s.operator_port), &(struct tls_client){.ca = &pki.ca});
    assert_non_null(ssl);
    tls_client_close(ssl);
    buf_free(&b);
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
}

static void a_secret_that_is_mounted_anew_is_picked_up(void **state)
{
    struct test_server s;

    (void)state;
    start(&s);
    assert_true(shows(&s, &pki.server));
    write_secret("..v2", &pki.server2);
    for (int ms = 0; ms < PATIENCE_MS && !shows(&s, &pki.server2); ms += 20)
        (void)usleep(20000);
    assert_true(shows(&s, &pki.server2));
    assert_true(metric(&s, "numawise_http_certificate_reloads_total{listener=\"extender\","
                           "result=\"ok\"} ") == 1);
    /* a broken one: the old one stays, and it is counted */
    char key[128];
    in(key, "..data/tls.key");
    tls_write_key(key, &pki.server, NULL);
    assert_int_equal(kill(s.pid, SIGHUP), 0);
    for (int ms = 0; ms < PATIENCE_MS &&
                     metric(&s, "numawise_http_certificate_reloads_total{listener=\"extender\","
                                "result=\"failed\"} ") < 1;
         ms += 20)
        (void)usleep(20000);
    assert_true(shows(&s, &pki.server2));
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
}

static void names_are_taken_from_a_changed_configuration(void **state)
{
    struct test_server s;

    (void)state;
    write_secret("..v3", &pki.server);
    start(&s);
    assert_int_equal(filter(&s, &pki.person, NULL), -1);
    write_config("person");
    for (int ms = 0; ms < PATIENCE_MS && filter(&s, &pki.person, NULL) != 200; ms += 20)
        (void)usleep(20000);
    assert_int_equal(filter(&s, &pki.person, NULL), 200);
    assert_int_equal(filter(&s, &pki.scheduler, NULL), -1);
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
}

static void expect_end(const char *config, int code, const char *text)
{
    const char *const args[] = {"numawise", "serve",    "--cluster", TEST_EXAMPLES "/cluster",
                                "--config", pki.config, NULL};
    struct buf out = {0}, err = {0};

    test_write(pki.config, str_of(config));
    assert_int_equal(test_run(args, &out, &err), code);
    if (!err.p || !strstr(err.p, text))
        fail_msg("%s", err.p ? err.p : "silence");
    buf_free(&out);
    buf_free(&err);
}

static void what_cannot_be_used_keeps_it_from_starting(void **state)
{
    (void)state;
    expect_end(HEAD "listeners: {console: {tls: {certFile: /nowhere/c, keyFile: /nowhere/k}}}\n", 3,
               "listener console: /nowhere/c: No such file or directory");
    expect_end(HEAD "listeners: {console: {tls: {certFile: /nowhere/c}}}\n", 2,
               "listeners.console.tls.certFile: there is no keyFile beside it");
    expect_end(HEAD "listeners: {admission: {address: '127.0.0.1:0'}}\n", 2,
               "the API server calls webhooks by TLS only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kube_scheduler_is_let_in_by_name_and_nobody_else),
        cmocka_unit_test(a_secret_that_is_mounted_anew_is_picked_up),
        cmocka_unit_test(names_are_taken_from_a_changed_configuration),
        cmocka_unit_test(what_cannot_be_used_keeps_it_from_starting),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
