/* SPDX-License-Identifier: Apache-2.0 */
/* `explain --server` against the real program, and against servers that are something else. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/support/data.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"

#define POD "orderbook-7c5ddbdf54-9kx2m"

static struct test_server server;
static char console[TEST_URL_BYTES], extender[TEST_URL_BYTES];

static int start(void **state)
{
    char path[TEST_PATH_BYTES];
    struct buf body = {0};

    test_server_start(&server, TEST_EXAMPLES "/cluster", NULL);
    (void)snprintf(console, sizeof(console), "http://127.0.0.1:%u", server.console);
    (void)snprintf(extender, sizeof(extender), "http://127.0.0.1:%u", server.extender);
    (void)snprintf(path, sizeof(path), "%s/requests/filter.body", TEST_EXAMPLES);
    assert_int_equal(test_file_read(path, &body), 0);
    assert_int_equal(test_call(server.extender, "POST", "/scheduler/filter", buf_view(&body), NULL),
                     200);
    buf_free(&body);
    return 0;
}

static int stop(void **state)
{
    return test_server_stop(&server, SIGTERM);
}

/* What `numawise explain ARGS...` prints on stdout; the code and the stderr must be these. */
static void expect(const char *const *args, int code, const char *in_stderr, struct buf *out)
{
    struct buf text = {0};

    test_run_expect(args, code, in_stderr, &text);
    if (code > 1)
        assert_int_equal(text.n, 0);
    if (out)
        *out = text;
    else
        buf_free(&text);
}

#define EXPECT(code, in_stderr, out, ...)                                                          \
    expect((const char *const[]){"numawise", "explain", __VA_ARGS__, NULL}, code, in_stderr, out)

static json_t *decision(void)
{
    struct buf out = {0};

    EXPECT(0, "", &out, POD, "--server", console, "-o", "json");
    json_t *const j = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    buf_free(&out);
    return j;
}

static void json_is_what_the_server_says_byte_for_byte(void **state)
{
    json_t *const said = decision(), *const schema = schema_read("explain.schema.json");
    struct buf by_id = {0}, direct = {0};
    char target[TEST_PATH_BYTES];

    schema_expect(said, schema);
    assert_string_equal(json_string_value(json_object_get(said, "pod")), "default/" POD);
    const char *const id = json_string_value(json_object_get(said, "decision"));
    EXPECT(0, "", &by_id, "--decision", id, "--server", console, "-o", "json");
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s", id);
    assert_int_equal(test_get(server.console, target, &direct), 200);
    assert_int_equal(by_id.n, direct.n);
    assert_memory_equal(by_id.p, direct.p, direct.n);
    json_decref(said);
    json_decref(schema);
    buf_free(&by_id);
    buf_free(&direct);
}

static void the_table_tells_the_best_node_and_the_proof_of_the_refused(void **state)
{
    static const char *const texts[] = {
        "pod        default/" POD "  class default, QoS Guaranteed\n",
        "7 nodes: 6 admitted, 1 rejected, 0 unknown\n",
        "best       epyc-1, score ",
        "\nNODE      VERDICT   ZONES  SCORE  WIRE",
        "\ncpu-1     Rejected  -          -     -  TopologyAffinityError\n",
        "    zone 0: cpu needs 30, free ",
    };
    struct buf out = {0};

    EXPECT(0, "", &out, "default/" POD, "--server", console);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strstr(out.p, texts[i]))
            fail_msg("no \"%s\" in\n%s", texts[i], out.p);
    buf_free(&out);
}

static void one_node_alone_decides_the_exit_code(void **state)
{
    struct buf out = {0};

    EXPECT(1, "", &out, POD, "-n", "default", "--server", console, "--node", "cpu-1", "-o", "json");
    json_t *const j = json_loadb(out.p, out.n, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(j, "nodes")), 1);
    json_decref(j);
    buf_free(&out);
    EXPECT(0, "", &out, POD, "--server", console, "--node", "gpu-1");
    assert_null(strstr(out.p, "\nepyc-2 "));
    buf_free(&out);
    EXPECT(3, "no node \"gpu-9\"", NULL, POD, "--server", console, "--node", "gpu-9");
}

static void what_was_never_decided_is_a_no(void **state)
{
    EXPECT(1, "no decision about default/nope", NULL, "nope", "--server", console);
    EXPECT(1, "no decision about ml/" POD, NULL, POD, "-n", "ml", "--server", console);
    EXPECT(1, "no decision 01J9", NULL, "--decision", "01J9", "--server", console);
}

static void flags_that_do_not_go_together_are_usage(void **state)
{
    EXPECT(2, "-f and --server", NULL, "-f", "x.yaml", "--server", console);
    EXPECT(2, "--cluster and --server", NULL, "p", "--cluster", "x", "--server", console);
    EXPECT(2, "--config and --server", NULL, "p", "--config", "x", "--server", console);
    EXPECT(2, "either a POD or --decision", NULL, "--server", console);
    EXPECT(2, "either a POD or --decision", NULL, "p", "--decision", "01", "--server", console);
    EXPECT(2, "needs --server", NULL, "--decision", "01");
    EXPECT(2, "-n does not go", NULL, "a/p", "-n", "a", "--server", console);
    EXPECT(2, "not the id", NULL, "--decision", "../x", "--server", console);
    EXPECT(2, "not http://", NULL, "p", "--server", "ftp://127.0.0.1:1");
    EXPECT(2, "not http://", NULL, "p", "--server", "file:///etc/passwd");
    EXPECT(2, "not http://", NULL, "p", "--server", "http://a@127.0.0.1:1");
    EXPECT(2, "not http://", NULL, "p", "--server", "http://127.0.0.1:1/scheduler");
}

static void another_listener_is_no_console(void **state)
{
    EXPECT(3, "give the console's address", NULL, POD, "--server", extender);
    EXPECT(3, "give the console's address", NULL, "--decision", "01", "--server", extender);
}

static void no_proxy_of_the_environment_is_asked(void **state)
{
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    EXPECT(0, "", NULL, POD, "--server", console);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

/* --- servers that say what they like --- */

static void answer(void *ctx, int fd, const char *request)
{
    const struct buf *const text = ctx;

    (void)test_send_bytes(fd, buf_view(text));
}

/* `head`, then `fill` bytes of blanks. */
static void expect_of(const char *head, int fill, int code, const char *why)
{
    char url[TEST_URL_BYTES];
    struct buf text = {0};

    buf_printf(&text, "%s%*s", head, fill, "");
    const pid_t pid = test_strange_start(answer, &text, url);
    EXPECT(code, why, NULL, "p", "--server", url);
    EXPECT(code, why, NULL, "--decision", "01", "--server", url);
    test_strange_stop(pid);
    buf_free(&text);
}

static void expect_of_pod(const char *head, const char *why)
{
    char url[TEST_URL_BYTES];
    struct buf text = {0};

    buf_text(&text, head);
    const pid_t pid = test_strange_start(answer, &text, url);
    EXPECT(3, why, NULL, "p", "--server", url);
    test_strange_stop(pid);
    buf_free(&text);
}

static void a_strange_server_is_an_error_and_nothing_else(void **state)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n";
    static const char *const bodies[] = {
        "",
        "x",
        "{",
        "[]",
        "null",
        "{}",
        "7",
        "{\"decisions\":{}}",
        "{\"decisions\":[7]}",
        "{\"decisions\":[{\"decision\":7}],\"pod\":7}",
    };
    char head[256];

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        (void)snprintf(head, sizeof(head), "%s%s", ok, bodies[i]);
        expect_of(head, 0, 3, "the answer is not a");
    }
    (void)snprintf(head, sizeof(head), "%s{\"decisions\":[{\"decision\":\"../x\"}]}", ok);
    expect_of_pod(head, "no id");
    expect_of("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 0, 3, "status 500");
    expect_of("HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0, 3,
              "status 302");
    expect_of("SSH-2.0-x\r\n", 0, 3, "cannot reach");
    expect_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", 0, 3, "cannot reach");
    expect_of("", 0, 3, "cannot reach");
}

static void an_oversized_answer_is_not_read_to_its_end(void **state)
{
    expect_of("HTTP/1.1 200 OK\r\n\r\n", 17 << 20, 3, "larger than 16 MiB");
    expect_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", 0, 3, "larger than 16 MiB");
}

static void a_server_that_is_gone_cannot_be_reached(void **state)
{
    struct buf nothing = {0};
    char url[TEST_URL_BYTES];

    test_strange_stop(test_strange_start(answer, &nothing, url));
    EXPECT(3, "cannot reach", NULL, POD, "--server", url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_what_the_server_says_byte_for_byte),
        cmocka_unit_test(the_table_tells_the_best_node_and_the_proof_of_the_refused),
        cmocka_unit_test(one_node_alone_decides_the_exit_code),
        cmocka_unit_test(what_was_never_decided_is_a_no),
        cmocka_unit_test(flags_that_do_not_go_together_are_usage),
        cmocka_unit_test(another_listener_is_no_console),
        cmocka_unit_test(no_proxy_of_the_environment_is_asked),
        cmocka_unit_test(a_strange_server_is_an_error_and_nothing_else),
        cmocka_unit_test(an_oversized_answer_is_not_read_to_its_end),
        cmocka_unit_test(a_server_that_is_gone_cannot_be_reached),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
