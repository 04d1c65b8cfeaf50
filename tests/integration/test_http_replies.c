/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler sees of a request's head, and what it can say in a reply's, as a peer sees it. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/http.h"
#include "tests/support/raw.h"

/* "/status/NNN": that status, with a body and two header lines. */
static void status(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_status(reply, atoi(req->path.p + strlen("/status/")));
    http_field(reply, "Location", STR("http://127.0.0.1:1/elsewhere"));
    http_field(reply, "Retry-After", STR("7"));
    http_add(reply, "{\"a\":1}", 7);
}

/* How often "x-name" is there, and the first of it. */
static void name(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    struct str value = STR("none");
    char *const out = http_reserve(reply, 300);

    (void)ctx;
    const unsigned n = http_header(req, "x-name", &value);
    http_commit(reply, (size_t)snprintf(out, 300, "%u %.*s", n, STR_ARG(value)));
}

static void split(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_add(reply, "never sent", 10);
    http_field(reply, "Location", STR("/a\r\nSet-Cookie: b"));
}

/* Method and body back. */
static void mirror(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_add(reply, req->method == HTTP_PUT ? "PUT " : "DELETE ", req->method == HTTP_PUT ? 4 : 7);
    http_add_ref(reply, req->body.p, req->body.n);
}

static const struct http_route routes[] = {
    {"/status/", HTTP_GET, false, status, NULL},
    {"/name", HTTP_GET, false, name, NULL},
    {"/split", HTTP_GET, false, split, NULL},
    {"/mirror", HTTP_PUT | HTTP_DELETE, false, mirror, NULL},
};

static int start(void **state)
{
    struct http_server *s = NULL;
    struct err err = {0};

    if (http_server_new(&s, "test", routes, ARRAY_LEN(routes), NULL, &err) < 0 ||
        http_server_listen(s, "127.0.0.1:0", &err) < 0 || http_server_start(s, &err) < 0)
        fail_msg("%s", err.text);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    http_server_free(*state);
    return 0;
}

static struct raw_answer ask(int fd, const char *rest)
{
    raw_say(fd, rest);
    return raw_hear(fd);
}

static void any_status_keeps_its_body_and_its_connection(void **state)
{
    static const struct {
        const char *request, *line;
    } cases[] = {
        {"GET /status/200 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
        {"GET /status/201 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 201 Created\r\n"},
        {"GET /status/202 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 202 Accepted\r\n"},
        {"GET /status/307 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 307 Temporary Redirect\r\n"},
        {"GET /status/403 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n"},
        {"GET /status/409 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 409 Conflict\r\n"},
        {"GET /status/422 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 422 Unprocessable Content\r\n"},
        {"GET /status/429 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 429 Too Many Requests\r\n"},
        {"GET /status/503 HTTP/1.1\r\nHost: n\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n"},
    };
    const int fd = raw_dial(*state);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct raw_answer a = ask(fd, cases[i].request);
        assert_int_equal(strncmp(a.head, cases[i].line, strlen(cases[i].line)), 0);
        assert_string_equal(a.body, "{\"a\":1}");
        assert_non_null(strstr(a.head, "\r\nContent-Type: application/json\r\n"));
        assert_non_null(strstr(a.head, "\r\nLocation: http://127.0.0.1:1/elsewhere\r\n"));
        assert_non_null(strstr(a.head, "\r\nRetry-After: 7\r\n"));
        assert_false(a.close);
    }
    close(fd);
}

/* RFC 9110, 8.6: no Content-Length in a 204; 15.4.5: a 304 has no content. */
static void a_status_without_content_has_neither_body_nor_length(void **state)
{
    static const int without[] = {204, 304};
    const int fd = raw_dial(*state);

    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        char request[64];
        (void)snprintf(request, sizeof(request), "GET /status/%d HTTP/1.1\r\nHost: n\r\n\r\n",
                       without[i]);
        const struct raw_answer a = ask(fd, request);
        assert_int_equal(a.status, without[i]);
        assert_null(strstr(a.head, "Content-"));
        assert_non_null(strstr(a.head, "\r\nRetry-After: 7\r\n"));
        /* the next reply begins where this head ended */
        assert_string_equal(ask(fd, "GET /name HTTP/1.1\r\nHost: n\r\n\r\n").body, "0 none");
    }
    const struct raw_answer last =
        ask(fd, "GET /status/204 HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
    assert_int_equal(last.status, 204);
    assert_true(last.close);
    raw_expect_closed(fd);
    const int old = raw_dial(*state);
    const struct raw_answer kept =
        ask(old, "GET /status/429 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(strncmp(kept.head, "HTTP/1.0 429 Too Many Requests\r\n", 32), 0);
    assert_non_null(strstr(kept.head, "\r\nConnection: keep-alive\r\n"));
    close(old);
}

static void a_header_is_found_by_any_case_and_counted(void **state)
{
    static const struct {
        const char *lines, *want;
    } cases[] = {
        {"", "0 none"},
        {"X-Name: a b\r\n", "1 a b"},
        {"x-NAME:\t a:b \r\n", "1 a:b"},
        {"x-name:\r\n", "1 "},
        {"x-names: a\r\nxx-name: b\r\nHosts: x-name: c\r\n", "0 none"},
        {"A: b\r\nx-name: one\r\nB: c\r\nX-Name: two\r\n", "2 one"},
    };
    const int fd = raw_dial(*state);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[256];
        (void)snprintf(request, sizeof(request), "GET /name HTTP/1.1\r\nHost: n\r\n%s\r\n",
                       cases[i].lines);
        assert_string_equal(ask(fd, request).body, cases[i].want);
    }
    close(fd);
}

static void a_value_that_would_make_another_line_is_not_sent(void **state)
{
    const int fd = raw_dial(*state);
    const struct raw_answer a = ask(fd, "GET /split HTTP/1.1\r\nHost: n\r\n\r\n");

    assert_int_equal(a.status, 503);
    assert_int_equal(a.n, 0);
    assert_null(strstr(a.head, "Set-Cookie"));
    assert_null(strstr(a.head, "Location"));
    close(fd);
}

static void put_and_delete_may_have_a_body(void **state)
{
    const int fd = raw_dial(*state);

    assert_string_equal(
        ask(fd, "PUT /mirror HTTP/1.1\r\nHost: n\r\nContent-Length: 3\r\n\r\nabc").body, "PUT abc");
    assert_string_equal(
        ask(fd, "DELETE /mirror HTTP/1.1\r\nHost: n\r\nContent-Length: 3\r\n\r\nabc").body,
        "DELETE abc");
    assert_string_equal(ask(fd, "DELETE /mirror HTTP/1.1\r\nHost: n\r\n\r\n").body, "DELETE ");
    const struct raw_answer a = ask(fd, "GET /mirror HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_int_equal(a.status, 405);
    assert_non_null(strstr(a.head, "\r\nAllow: PUT, DELETE\r\n"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_status_keeps_its_body_and_its_connection),
        cmocka_unit_test(a_status_without_content_has_neither_body_nor_length),
        cmocka_unit_test(a_header_is_found_by_any_case_and_counted),
        cmocka_unit_test(a_value_that_would_make_another_line_is_not_sent),
        cmocka_unit_test(put_and_delete_may_have_a_body),
    };

    http_process_setup();
    return cmocka_run_group_tests(tests, start, stop);
}
