/* SPDX-License-Identifier: Apache-2.0 */
/* What `serve` says about its listeners, and what each answers about itself. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/data.h"
#include "tests/support/prometheus.h"
#include "tests/support/server.h"

static struct test_server server;

static int start(void **state)
{
    test_server_start(&server, TEST_EXAMPLES "/cluster", NULL);
    return 0;
}

static int stop(void **state)
{
    return test_server_stop(&server, SIGTERM);
}

static void read_work(const struct test_server *s, const char *name, struct buf *out)
{
    char path[TEST_PATH_BYTES + 16];

    (void)snprintf(path, sizeof(path), "%s/%s", s->work, name);
    assert_int_equal(test_file_read(path, out), 0);
}

/* stdout is written right after the addresses: an answer alone does not say that it is there. */
static void stdout_has_one_line_a_listener(void **state)
{
    struct test_server s;
    struct buf want = {0}, got = {0};
    const char *const extra[] = {"--listen", "operator=off", NULL};
    char path[TEST_PATH_BYTES + 16];

    test_server_start(&s, TEST_EXAMPLES "/cluster", extra);
    buf_printf(&want, "extender http://127.0.0.1:%u/scheduler\nconsole http://127.0.0.1:%u\n",
               s.extender, s.console);
    assert_int_equal(s.operator_port, 0);
    (void)snprintf(path, sizeof(path), "%s/stdout", s.work);
    for (int i = 0; i < 500 && got.n < want.n; i++) {
        buf_free(&got);
        (void)usleep(10000);
        assert_int_equal(test_file_read(path, &got), 0);
    }
    assert_string_equal(got.p ? got.p : "", want.p);
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
    buf_free(&want);
    buf_free(&got);
}

static void the_addresses_file_holds_pid_and_urls(void **state)
{
    struct buf want = {0}, got = {0};

    buf_printf(&want,
               "{\"pid\":%d,\"extender\":\"http://127.0.0.1:%u/scheduler\","
               "\"operator\":\"http://127.0.0.1:%u\",\"console\":\"http://127.0.0.1:%u\"}\n",
               (int)server.pid, server.extender, server.operator_port, server.console);
    read_work(&server, "addresses", &got);
    assert_string_equal(got.p, want.p);
    buf_free(&want);
    buf_free(&got);
}

static void expect_get(const char *target, const char *text)
{
    const uint16_t ports[] = {server.extender, server.operator_port, server.console};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct buf b = {0};
        assert_int_equal(test_get(ports[i], target, &b), 200);
        assert_string_equal(b.p, text);
        buf_free(&b);
    }
}

static void an_excluded_check_is_named_as_such(void **state)
{
    expect_get("/readyz?exclude=shutdown", "ok");
    expect_get("/readyz?exclude=shutdown&verbose",
               "[+]ping ok\n[+]state-synced ok\n[+]shutdown excluded: ok\nreadyz check passed\n");
    expect_get("/readyz?verbose&exclude=ping&exclude=state-synced",
               "[+]ping excluded: ok\n[+]state-synced excluded: ok\n[+]shutdown ok\n"
               "readyz check passed\n");
    expect_get("/readyz?exclude=nothing&verbose",
               "[+]ping ok\n[+]state-synced ok\n[+]shutdown ok\nreadyz check passed\n");
    expect_get("/livez?verbose", "[+]ping ok\nlivez check passed\n");
}

static void the_metrics_page_is_prometheus_text(void **state)
{
    char why[PROMETHEUS_WHY_BYTES];
    struct buf b = {0};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(test_get(server.console, "/metrics", &b), 200);
        if (!prometheus_check(buf_view(&b), why))
            fail_msg("%s\n%s", why, b.p);
        /* The second time with something in the histogram. */
        const int fd = test_connect(server.extender);
        struct test_reply r;
        assert_true(test_send(fd, "POST", "/scheduler/filter", STR("{\"NodeNames\":[\"cpu-1\"]}")));
        assert_true(test_receive(fd, &r));
        test_reply_done(&r);
        (void)close(fd);
    }
    buf_free(&b);
}

/* The table of commands.md and the page name the same families; over a directory, not all. */
static void every_family_is_documented_and_every_documented_one_is_there(void **state)
{
    struct buf page = {0}, doc = {0};
    char why[PROMETHEUS_WHY_BYTES];

    assert_int_equal(test_get(server.console, "/metrics", &page), 200);
    assert_int_equal(test_file_read(TEST_DATA "/../../docs/reference/commands.md", &doc), 0);
    char *const table = strstr(doc.p, "\n### Metrics\n");
    assert_non_null(table);
    *strstr(table, "\nOver an API server") = 0;
    if (!prometheus_documented(buf_view(&page), str_of(table), why))
        fail_msg("%s", why);
    buf_free(&page);
    buf_free(&doc);
}

static double figure(const char *page, const char *name)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "\n%s ", name);
    const char *const at = strstr(page, line);
    assert_non_null(at);
    return atof(at + strlen(line));
}

static void the_process_tells_of_itself(void **state)
{
    struct buf page = {0};
    struct rlimit files;

    (void)state;
    assert_int_equal(test_get(server.console, "/metrics", &page), 200);
    const double open = figure(page.p, "process_open_fds");
    assert_in_range(open, test_descriptors(server.pid) - 4, test_descriptors(server.pid) + 4);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(figure(page.p, "process_max_fds"), files.rlim_max); /* raised at start */
    const double started = figure(page.p, "process_start_time_seconds");
    assert_in_range(time(NULL) - (time_t)started, 0, 600);
    const double resident = figure(page.p, "process_resident_memory_bytes");
    assert_in_range(resident, 1 << 20, 1 << 30);
    assert_true(figure(page.p, "process_virtual_memory_bytes") > resident);
    assert_true(figure(page.p, "process_cpu_seconds_total") > 0);
    /* 0: a sanitizer's allocator does not say */
    assert_in_range(figure(page.p, "numawise_heap_in_use_bytes"), 0, 1 << 30);
    buf_free(&page);
}

static void the_version_is_json_with_a_commit(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_int_equal(test_get(server.console, "/version", &b), 200);
    assert_non_null(strstr(b.p, "\"gitVersion\": \"v"));
    const char *const commit = strstr(b.p, "\"gitCommit\": \"");
    assert_non_null(commit);
    const size_t n = strspn(commit + 14, "0123456789abcdef");
    assert_true(n == 40 || n == 64 || strncmp(commit + 14, "unknown", 7) == 0);
    assert_non_null(strstr(b.p, "\"platform\": \"linux"));
    buf_free(&b);
}

static int ask(uint16_t port, const char *target, const char *host)
{
    const int fd = test_connect(port);
    struct test_reply reply;
    char request[256];

    const int n =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, host);
    assert_int_equal(write(fd, request, (size_t)n), n);
    assert_true(test_receive(fd, &reply));
    if (reply.status == 403)
        assert_int_equal(reply.body.n, 0);
    test_reply_done(&reply);
    (void)close(fd);
    return reply.status;
}

/* A page may be of this machine by a name of its own (DNS rebinding); it reads without an Origin.
 */
static void a_page_by_a_name_of_its_own_reads_nothing_of_the_console(void **state)
{
    static const char *const targets[] = {
        "/v1/decisions",

        "/v1/mispredictions", "/metrics", "/version", "/", "/page.js"};
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"127.0.0.1", 200},
        {"localhost:8789", 200},
        {"[::1]:8789", 200},
        {"evil.example", 403},
        {"evil.example:8789", 403},
        {"127.0.0.1.evil.example", 403},
        {"", 403},
        {"10.0.0.1", 403},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < ARRAY_LEN(targets); k++)
            if (ask(server.console, targets[k], cases[i].host) != cases[i].status)
                fail_msg("%s by \"%s\"", targets[k], cases[i].host);
        assert_int_equal(ask(server.console, "/livez", cases[i].host), 200);
    }
    assert_int_equal(ask(server.console, "/v1/decisions/01J9", "evil.example"), 403);
    assert_int_equal(ask(server.console, "/v1/decisions/01J9", "localhost"), 404);
    assert_int_equal(ask(server.console, "/v1/decisions/01J9/bundle", "evil.example"), 403);
    assert_int_equal(ask(server.console, "/v1/decisions/01J9/bundle", "localhost"), 404);
}

/* Nothing is loaded from elsewhere, run from within a text, or shown in somebody's frame. */
static void the_page_is_files_of_the_program(void **state)
{
    static const struct {
        const char *target, *type, *has;
    } files[] = {
        {"/", "text/html", "<script src=\"page.js\" defer></script>"},
        {"/page.css", "text/css", "prefers-color-scheme"},
        {"/page.js", "text/javascript", "\"use strict\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        const int fd = test_connect(server.console);
        struct test_reply reply;
        char type[64];

        (void)snprintf(type, sizeof(type), "Content-Type: %s; charset=utf-8\r\n", files[i].type);
        assert_true(test_send(fd, "GET", files[i].target, STR("")));
        assert_true(test_receive(fd, &reply));
        assert_int_equal(reply.status, 200);
        assert_non_null(strstr(reply.head.p, type));
        assert_non_null(strstr(reply.head.p, "Content-Security-Policy: default-src 'none'; "));
        assert_non_null(strstr(reply.head.p, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(reply.body.p, files[i].has));
        assert_null(strstr(reply.body.p, "http://"));
        assert_null(strstr(reply.body.p, "innerHTML"));
        test_reply_done(&reply);
        (void)close(fd);
    }
    assert_int_equal(test_get(server.console, "/index.html", NULL), 404);
    assert_int_equal(test_get(server.extender, "/", NULL), 404);
}

/* `limits.target`, to the byte. */
static void a_longer_target_is_taken_where_the_configuration_says_so(void **state)
{
    char config[TEST_PATH_BYTES + 16], target[4096];
    const char *const extra[] = {"--config", config, NULL};
    struct test_server s;

    (void)state;
    (void)snprintf(config, sizeof(config), "%s/config.yaml", server.work);
    test_write(config, STR("apiVersion: numawise.config.gokore.io/v1alpha1\n"
                           "kind: NumawiseConfiguration\nlimits: {target: 2Ki}\n"));
    test_server_start(&s, TEST_EXAMPLES "/cluster", extra);
    memset(target, 'a', sizeof(target));
    memcpy(target, "/livez?", 7);
    for (size_t n = 2047; n <= 2049; n++) {
        char cut[4096];

        (void)snprintf(cut, sizeof(cut), "%.*s", (int)n, target);
        assert_int_equal(test_get(s.console, cut, NULL), n > 2048 ? 414 : 200);
    }
    target[1025] = 0;
    assert_int_equal(test_get(server.console, target, NULL), 414);
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
}

/* Kinds that nobody here uses are passed over, and counted. */
static void what_the_directory_has_is_counted(void **state)
{
    char dir[] = "/tmp/numawise-listeners-XXXXXX", path[TEST_PATH_BYTES];
    struct buf log = {0};
    struct test_server s;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/a.yaml", dir);
    test_write(path, STR("{kind: Node, apiVersion: v1, metadata: {name: one}}\n---\n"
                         "{kind: Secret, apiVersion: v1, metadata: {name: two}}\n---\n"
                         "{kind: Service, apiVersion: v1, metadata: {name: three}}\n"));
    test_server_start(&s, dir, NULL);
    test_server_log(&s, &log);
    assert_non_null(strstr(log.p, "1 nodes; 1 objects in 1 files, 2 of other kinds, 0 problems"));
    assert_int_equal(test_server_stop(&s, SIGTERM), 0);
    test_remove_tree(dir);
    buf_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stdout_has_one_line_a_listener),
        cmocka_unit_test(the_addresses_file_holds_pid_and_urls),
        cmocka_unit_test(an_excluded_check_is_named_as_such),
        cmocka_unit_test(the_metrics_page_is_prometheus_text),
        cmocka_unit_test(every_family_is_documented_and_every_documented_one_is_there),
        cmocka_unit_test(the_process_tells_of_itself),
        cmocka_unit_test(the_version_is_json_with_a_commit),
        cmocka_unit_test(the_page_is_files_of_the_program),
        cmocka_unit_test(a_longer_target_is_taken_where_the_configuration_says_so),
        cmocka_unit_test(what_the_directory_has_is_counted),
        cmocka_unit_test(a_page_by_a_name_of_its_own_reads_nothing_of_the_console),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
