/* SPDX-License-Identifier: Apache-2.0 */
/* net/ as a peer sees it: raw sockets against a real server in this process. */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/http.h"
#include "tests/support/raw.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum { MIB = 1024 * 1024, BIG_BYTES = 64 * MIB, PATIENCE_MS = RAW_PATIENCE_MS };

static char *big; /* BIG_BYTES of pattern() */

static char pattern(size_t at)
{
    return (char)('a' + at % 23);
}

/* ---- the server's side ---- */

static void echo(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    for (size_t i = 0; i < HTTP_BODY_PADDING; i++)
        if (req->body.p[req->body.n + i] != 0)
            abort(); /* cmocka's checks belong to the test's thread */
    http_add_ref(reply, req->body.p, req->body.n);
}

static void ok(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_content_type(reply, "text/plain");
    http_add(reply, "ok ", 3);
    http_add(reply, req->path.p, req->path.n);
    http_add(reply, "?", 1);
    http_add(reply, req->query.p, req->query.n);
}

static void unavailable(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_status(reply, 503);
}

static void everything(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_add_ref(reply, big, BIG_BYTES);
}

/* Takes all of the arena and answers with how many KiB that was. */
static void greedy(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    char *const out = http_reserve(reply, 32);
    unsigned kib = 0;

    (void)ctx;
    while (arena_array(req->arena, 1024, 1))
        kib++;
    http_commit(reply, (size_t)snprintf(out, 32, "%u", kib));
}

/* Mixed: copies, references below and above the size worth one, and one piece of 3 MiB. */
static void patchwork(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_add(reply, big, 1);
    http_add_ref(reply, big + 1, 10);
    http_add_ref(reply, big + 11, 5000);
    http_add_ref(reply, big + 5011, 5000);
    char *const piece = http_reserve(reply, 3 * MIB);
    memcpy(piece, big + 10011, 3 * MIB);
    http_commit(reply, 3 * MIB);
    http_add(reply, big + 10011 + 3 * MIB, 7);
}

static const struct http_route routes[] = {
    {"/echo", HTTP_POST, false, echo, NULL},
    {"/ok", HTTP_GET, false, ok, NULL},
    {"/query", HTTP_GET, true, ok, NULL},
    {"/below/", HTTP_GET, false, ok, NULL},
    {"/busy", HTTP_POST, false, unavailable, NULL},
    {"/big", HTTP_GET, false, everything, NULL},
    {"/greedy", HTTP_GET, false, greedy, NULL},
    {"/patchwork", HTTP_GET, false, patchwork, NULL},
};

static struct http_server *start(const char *address, struct http_limits limits)
{
    struct http_server *s = NULL;
    struct err err = {0};

    if (http_server_new(&s, "test", routes, ARRAY_LEN(routes), &limits, &err) < 0 ||
        http_server_listen(s, address, &err) < 0 || http_server_start(s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct http_server *start_usual(void)
{
    return start("127.0.0.1:0", (struct http_limits){.body_bytes = BIG_BYTES});
}

static void expect_ok(int fd)
{
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "ok /ok?");
}

static void expect_served(const struct http_server *s)
{
    const int fd = raw_dial(s);

    expect_ok(fd);
    close(fd);
}

/* Whatever libraries say on stderr between the two calls. */
static int silence_begin(int *kept)
{
    const int file = memfd_create("stderr", MFD_CLOEXEC);

    *kept = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    return file;
}

static void silence_end(int file, int kept)
{
    char text[200] = "";

    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_true(pread(file, text, sizeof(text) - 1, 0) >= 0);
    close(file);
    assert_string_equal(text, "");
}

/* ---- plain service ---- */

static void a_reply_has_its_exact_length_and_nothing_behind(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello");
    static const char want[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                               "Content-Type: application/json\r\n\r\nhello";
    char text[sizeof(want)] = "";
    assert_int_equal(recv(fd, text, sizeof(want) - 1, MSG_WAITALL), sizeof(want) - 1);
    assert_string_equal(text, want);
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void a_thousand_requests_use_one_connection(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);
    struct http_stats stats;

    (void)state;
    for (int i = 0; i < 1000; i++)
        expect_ok(fd);
    http_server_stats(s, &stats);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.requests, 1000);
    assert_int_equal(stats.rejected, 0);
    close(fd);
    http_server_free(s);
}

static void routes_match_exactly_or_by_prefix(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *body;
    } cases[] = {
        {"GET /ok HTTP/1.1\r\nHost: n\r\n\r\n", 200, "ok /ok?"},
        {"GET /okay HTTP/1.1\r\nHost: n\r\n\r\n", 404, ""},
        {"GET / HTTP/1.1\r\nHost: n\r\n\r\n", 404, ""},
        {"GET /below/a/b HTTP/1.1\r\nHost: n\r\n\r\n", 200, "ok /below/a/b?"},
        {"GET /below HTTP/1.1\r\nHost: n\r\n\r\n", 404, ""},
        {"GET /query?a=b&c HTTP/1.1\r\nHost: n\r\n\r\n", 200, "ok /query?a=b&c"},
        {"GET /query HTTP/1.1\r\nHost: n\r\n\r\n", 200, "ok /query?"},
        {"GET /ok?a HTTP/1.1\r\nHost: n\r\n\r\n", 400, ""},
        {"GET /ok? HTTP/1.1\r\nHost: n\r\n\r\n", 400, ""},
        {"GET /echo HTTP/1.1\r\nHost: n\r\n\r\n", 405, ""},
        {"HEAD /ok HTTP/1.1\r\nHost: n\r\n\r\n", 405, ""},
        {"POST /busy HTTP/1.1\r\nHost: n\r\nContent-Length: 1\r\n\r\n1", 503, ""},
    };
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s); /* all on one connection: none of these costs it */

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        raw_say(fd, cases[i].request);
        const struct raw_answer a = raw_hear(fd);
        assert_int_equal(a.status, cases[i].status);
        assert_string_equal(a.body, cases[i].body);
        assert_false(a.close);
        assert_int_equal(strstr(a.head, "Allow: ") != NULL, a.status == 405);
    }
    close(fd);
    http_server_free(s);
}

/* A browser says for whose page it asks (Origin): none but that of the server itself may, and on
 * loopback its name must be one that nobody else can own (DNS rebinding). */
static void pages_of_other_sites_have_no_business_here(void **state)
{
    static const struct {
        const char *host, *origin;
        int status;
    } cases[] = {
        {"127.0.0.1:1", "http://127.0.0.1:1", 200},
        {"localhost:1", "http://localhost:1", 200},
        {"127.0.0.1:1", "http://evil.example", 403},
        {"127.0.0.1:1", "http://127.0.0.1:2", 403},
        {"127.0.0.1:1", "null", 403},
        {"127.0.0.1:1", "", 403},
        {"evil.example:1", "http://evil.example:1", 403},
        {"n", "http://n", 403},
        {"127.0.0.1:1", "http://127.0.0.1:1\r\nOrigin: http://127.0.0.1:1", 403},
    };
    struct http_server *const s = start_usual();
    char request[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(request, sizeof(request),
                       "POST /echo HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n"
                       "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n1",
                       cases[i].host, cases[i].origin);
        const int fd = raw_dial(s);
        raw_say(fd, request);
        if (raw_hear(fd).status != cases[i].status)
            fail_msg("%s", request);
        close(fd);
    }
    http_server_free(s);
}

static size_t say_why(int status, char *out, size_t room)
{
    return (size_t)snprintf(out, room, "{\"code\":%d}", status);
}

/* A refusal has a body where somebody writes one, and HEAD has none all the same. */
static void a_refusal_says_what_somebody_writes(void **state)
{
    static const struct http_route one[] = {{"/ok", HTTP_GET, false, ok, NULL}};
    static const struct {
        const char *request;
        int status;
        const char *body;
        bool stays;
    } cases[] = {
        {"GET /no HTTP/1.1\r\nHost: n\r\n\r\n", 404, "{\"code\":404}", true},
        {"POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n", 405, "{\"code\":405}", true},
        {"HEAD /ok HTTP/1.1\r\nHost: n\r\n\r\n", 405, "", true},
        {"GET /ok?x HTTP/1.1\r\nHost: n\r\n\r\n", 400, "{\"code\":400}", true},
        {"GET /ok HTTP/3.0\r\nHost: n\r\n\r\n", 505, "{\"code\":505}", false},
        {"POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 9999999999\r\n\r\n", 413,
         "{\"code\":413}", false},
    };
    struct http_server *s;
    struct err err;

    (void)state;
    assert_int_equal(http_server_new(&s, "test", one, 1, NULL, &err), 0);
    http_server_refuse_with(s, say_why);
    assert_int_equal(http_server_listen(s, "127.0.0.1:0", &err), 0);
    assert_int_equal(http_server_start(s, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const int fd = raw_dial(s);

        raw_say(fd, cases[i].request);
        const struct raw_answer a = raw_hear(fd);
        if (a.status != cases[i].status || strcmp(a.body, cases[i].body) != 0)
            fail_msg("%s: %d %s", cases[i].request, a.status, a.body);
        if (cases[i].stays) {
            raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
            assert_int_equal(raw_hear(fd).status, 200);
        }
        close(fd);
    }
    http_server_free(s);
}

static void a_reply_in_pieces_arrives_in_order(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);
    const size_t whole = 10018 + 3 * MIB;

    (void)state;
    raw_say(fd, "GET /patchwork HTTP/1.1\r\nHost: n\r\n\r\n");
    const struct raw_answer a = raw_read_head(fd);
    assert_int_equal(a.n, whole);
    char *const got = malloc(whole);
    assert_non_null(got);
    assert_int_equal(recv(fd, got, whole, MSG_WAITALL), whole);
    assert_memory_equal(got, big, whole);
    free(got);
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void http_1_0_is_answered_and_closed_unless_kept(void **state)
{
    struct http_server *const s = start_usual();
    int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hi");
    raw_expect_closed(fd);

    fd = raw_dial(s);
    raw_say(fd, "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
    a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "Connection: keep-alive"));
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void a_client_that_wants_to_close_is_told_so_and_closed(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
                "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n"); /* the second one is too late */
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_true(a.close);
    raw_expect_closed(fd);
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

static void a_body_that_waits_for_100_is_called(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd,
            "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(raw_read_head(fd).status, 100);
    raw_say(fd, "hi");
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hi");
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void ipv6_is_served(void **state)
{
    struct http_server *s = NULL;
    struct err err = {0};
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(http_server_new(&s, "test", routes, ARRAY_LEN(routes), NULL, &err), 0);
    if (fd < 0 || http_server_listen(s, "[::1]:0", &err) < 0) {
        http_server_free(s);
        if (fd >= 0)
            close(fd);
        skip(); /* no IPv6 on this machine */
    }
    assert_int_equal(http_server_start(s, &err), 0);
    assert_int_equal(strncmp(http_server_url(s), "http://[::1]:", 13), 0);
    at.sin6_port = htons((uint16_t)atoi(http_server_url(s) + 13));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void only_numeric_addresses_are_listened_on(void **state)
{
    static const char *const wrong[] = {
        "localhost:0",     "127.0.0.1", "127.0.0.1:",  "127.0.0.1:http",
        "127.0.0.1:65536", ":8787",     "[::1]",       "::1:80",
        "[::1:80",         "",          "300.0.0.1:0", "127.0.0.1:-1"};
    struct http_server *s = NULL;
    struct err err;

    (void)state;
    assert_int_equal(http_server_new(&s, "test", routes, 1, NULL, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(http_server_listen(s, wrong[i], &err), -EINVAL);
    http_server_free(s);
}

static void a_taken_port_is_an_error(void **state)
{
    struct http_server *const first = start_usual();
    struct http_server *second = NULL;
    struct err err;

    (void)state;
    assert_int_equal(http_server_new(&second, "test", routes, 1, NULL, NULL), 0);
    assert_int_equal(http_server_listen(second, http_server_url(first) + strlen("http://"), &err),
                     -EADDRINUSE);
    http_server_free(second);
    http_server_free(first);
}

/* ---- splits and pipelines ---- */

static void a_request_split_at_any_byte_is_the_same(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 11\r\n\r\n"
                               "hello world";
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        raw_push(fd, text, cut);
        raw_sleep_ms(1);
        raw_push(fd, text + cut, sizeof(text) - 1 - cut);
        const struct raw_answer a = raw_hear(fd);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "hello world");
    }
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        raw_push(fd, text + i, 1);
    assert_string_equal(raw_hear(fd).body, "hello world");
    close(fd);
    http_server_free(s);
}

/* `n` requests with the bodies "0".."19" back to back. */
static size_t write_pipeline(char *out, size_t room, int n)
{
    size_t at = 0;

    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, room - at,
                               "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n%d",
                               i < 10 ? 1 : 2, i);
    return at;
}

static void expect_pipeline(int fd, int n)
{
    for (int i = 0; i < n; i++) {
        const struct raw_answer a = raw_hear(fd);
        assert_int_equal(a.status, 200);
        assert_int_equal(atoi(a.body), i);
    }
}

static void pipelined_requests_are_answered_in_order_and_in_silence(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);
    char text[4096];
    int kept;
    const int file = silence_begin(&kept);

    (void)state;
    for (int n = 1; n <= 20; n++) {
        raw_push(fd, text, write_pipeline(text, sizeof(text), n));
        expect_pipeline(fd, n);
    }
    for (size_t cut = 1; cut < write_pipeline(text, sizeof(text), 3); cut += 7) {
        const size_t whole = write_pipeline(text, sizeof(text), 3);
        raw_push(fd, text, cut);
        raw_sleep_ms(1);
        raw_push(fd, text + cut, whole - cut);
        expect_pipeline(fd, 3);
    }
    raw_say(fd, "\r\n"); /* a blank line before the next request, as old clients send */
    expect_ok(fd);
    silence_end(file, kept);
    close(fd);
    http_server_free(s);
}

static void a_pipeline_longer_than_the_head_buffer_is_answered(void **state)
{
    enum { REQUESTS = 3000 };
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);
    static const char one[] = "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\nhi";

    (void)state;
    for (int i = 0; i < REQUESTS; i++)
        raw_say(fd, one);
    for (int i = 0; i < REQUESTS; i++)
        assert_int_equal(raw_hear(fd).status, 200);
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

/* ---- hostile bytes ---- */

struct hostile {
    const char *bytes;
    size_t n; /* 0 = a string */
    int status;
};

#define HOSTILE(text, status)                                                                      \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }
#define POST "POST /echo HTTP/1.1\r\nHost: n\r\n"

static const struct hostile hostile[] = {
    HOSTILE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400), /* TLS */
    HOSTILE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    HOSTILE("GET /ok\r\n\r\n", 400),
    HOSTILE("GET /\n\n", 400),
    HOSTILE("GET /ok HTTP/1.1\r\n\r\n", 400),
    HOSTILE("GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    HOSTILE("GET http://n/ok HTTP/1.1\r\nHost: n\r\n\r\n", 400),
    HOSTILE("GET /ok HTTP/3.0\r\nHost: n\r\n\r\n", 505),
    HOSTILE("GET /ok HTTP/1.1\r\nHost: n\r\nX: a\r\n b\r\n\r\n", 400),
    HOSTILE("GET /ok HTTP/1.1\r\nHost: n\r\nX: a\0b\r\n\r\n", 400),
    HOSTILE("GET /o\0k HTTP/1.1\r\nHost: n\r\n\r\n", 400),
    HOSTILE("\0\0\0\0", 400),
    HOSTILE("{\"Pod\":{}}", 400),
    HOSTILE(POST "\r\n", 411),
    HOSTILE(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
    HOSTILE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 411),
    HOSTILE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 400),
    HOSTILE(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    HOSTILE(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    HOSTILE(POST "Content-Length : 5\r\n\r\nhello", 400),
    HOSTILE(POST "Content-Length: +5\r\n\r\nhello", 400),
    HOSTILE(POST "Content-Length: 18446744073709551621\r\n\r\nhello", 413),
    HOSTILE(POST "Content-Length: 67108865\r\n\r\n", 413), /* one more than the limit, unread */
    HOSTILE(POST "Content-Length: 5\r\nContent-Type: multipart\r\n\r\nhello", 415),
    HOSTILE(POST "Content-Length: 5\r\nExpect: bogus\r\n\r\nhello", 417),
    HOSTILE("POST /nowhere HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello", 404),
    HOSTILE("POST /nowhere HTTP/1.1\r\nHost: n\r\nContent-Length: 50000\r\n\r\n", 404),
    HOSTILE("POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 50000\r\n\r\nhello", 405),
    HOSTILE("POST /echo?x HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello", 400),
};

static void hostile_bytes_get_their_status_and_a_clean_end(void **state)
{
    struct http_server *const s = start_usual();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        const int fd = raw_dial(s);
        raw_push(fd, hostile[i].bytes, hostile[i].n);
        const struct raw_answer a = raw_hear(fd);
        if (a.status != hostile[i].status)
            fail_msg("%d instead of %d for: %s", a.status, hostile[i].status, hostile[i].bytes);
        assert_int_equal(a.n, 0);
        assert_true(a.close);
        raw_expect_closed(fd);
        expect_served(s);
    }
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

/* The same, behind a sound request in the same packet: the first is answered all the same. */
static void hostile_bytes_after_a_request_do_not_cost_its_reply(void **state)
{
    struct http_server *const s = start_usual();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        char text[1024] = "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
        const size_t n = strlen(text);
        const int fd = raw_dial(s);
        memcpy(text + n, hostile[i].bytes, hostile[i].n);
        raw_push(fd, text, n + hostile[i].n);
        assert_int_equal(raw_hear(fd).status, 200);
        assert_int_equal(raw_hear(fd).status, hostile[i].status);
        raw_expect_closed(fd);
    }
    http_server_free(s);
}

static void hostile_bytes_are_refused_at_any_split(void **state)
{
    struct http_server *const s = start_usual();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        for (size_t cut = 1; cut < hostile[i].n; cut += 3) {
            const int fd = raw_dial(s);
            raw_push(fd, hostile[i].bytes, cut);
            raw_push(fd, hostile[i].bytes + cut, hostile[i].n - cut);
            assert_int_equal(raw_hear(fd).status, hostile[i].status);
            close(fd);
        }
    }
    expect_served(s);
    http_server_free(s);
}

static void endless_headers_are_cut_off(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n");
    for (int i = 0; i < 5000; i++)
        raw_say(fd, "Xxxxxxxxxxxxx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
    assert_int_equal(raw_hear(fd).status, 431);
    raw_expect_closed(fd);
    expect_served(s);
    http_server_free(s);
}

static void an_endless_request_line_is_cut_off(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /");
    for (int i = 0; i < 2000; i++)
        raw_say(fd, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(raw_hear(fd).status, 414);
    raw_expect_closed(fd);
    http_server_free(s);
}

/* The answer reaches a client that goes on sending a body nobody wants. */
static void an_unread_body_does_not_eat_the_answer(void **state)
{
    static const char *const heads[] = {
        "POST /nowhere HTTP/1.1\r\nHost: n\r\nContent-Length: 900000\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 900000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 900000000\r\n\r\n"};
    static const int status[] = {404, 405, 413};
    struct http_server *const s = start_usual();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const int fd = raw_dial(s);
        raw_say(fd, heads[i]);
        raw_push(fd, big, 900000);
        assert_int_equal(raw_hear(fd).status, status[i]);
        raw_expect_closed(fd);
        expect_served(s);
    }
    http_server_free(s);
}

/* ---- time ---- */

/* Send `text` a byte at a time until the server answers; it never gets to the end. */
static struct raw_answer trickle(int fd, const char *text)
{
    for (size_t i = 0; i < strlen(text); i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        raw_push(fd, text + i, 1);
        if (poll(&p, 1, 10) > 0)
            break;
    }
    return raw_hear(fd);
}

static void a_slow_head_or_body_meets_its_deadline_though_bytes_come(void **state)
{
    struct http_server *const s =
        start("127.0.0.1:0", (struct http_limits){.head_ms = 150, .body_ms = 150});
    char text[2200] = "GET /ok HTTP/1.1\r\nHost: n\r\nX: ";

    (void)state;
    memset(text + strlen(text), 'x', 2000);
    int fd = raw_dial(s);
    assert_int_equal(trickle(fd, text).status, 408);
    raw_expect_closed(fd);

    fd = raw_dial(s);
    raw_say(fd, "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 9000\r\n\r\n");
    assert_int_equal(trickle(fd, text).status, 408);
    raw_expect_closed(fd);

    fd = raw_dial(s); /* also behind a request that was served */
    expect_ok(fd);
    assert_int_equal(trickle(fd, text).status, 408);
    raw_expect_closed(fd);
    expect_served(s);
    http_server_free(s);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.idle_ms = 100});
    const int fresh = raw_dial(s);
    const int used = raw_dial(s);

    (void)state;
    expect_ok(used);
    raw_expect_closed(fresh);
    raw_expect_closed(used);
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

static void a_client_that_takes_nothing_is_dropped(void **state)
{
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.write_ms = 200});
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_int_equal(raw_read_head(fd).status, 200);
    raw_wait_until_open(s, 0);
    close(fd);
    expect_served(s);
    http_server_free(s);
}

/* ---- half-closes and resets ---- */

static void a_client_that_has_said_all_still_gets_its_answer(void **state)
{
    struct http_server *const s = start_usual();
    int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_int_equal(raw_hear(fd).status, 200);
    raw_expect_closed(fd);

    static const char *const halves[] = {"GET /ok HT", POST "Content-Length: 5\r\n\r\nhel"};
    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        fd = raw_dial(s);
        raw_say(fd, halves[i]);
        shutdown(fd, SHUT_WR);
        assert_int_equal(raw_hear(fd).status, 400);
        raw_expect_closed(fd);
    }
    fd = raw_dial(s);
    shutdown(fd, SHUT_WR);
    raw_expect_closed(fd);
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

static void a_reset_in_any_state_leaves_nothing_behind(void **state)
{
    static const char *const said[] = {
        "",
        "G",
        "GET /ok HTTP/1.1\r\nHost: n\r\n",
        POST "Content-Length: 500\r\n\r\n",
        POST "Content-Length: 500\r\n\r\nhello",
        POST "Content-Length: 500\r\nExpect: 100-continue\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n",
        "GET /big HTTP/1.1\r\nHost: n\r\n\r\n",
        "GET /big HTTP/1.1\r\nHost: n\r\n\r\nGET /big HTTP/1.1\r\nHost: n\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
        "nonsense",
        "POST /nowhere HTTP/1.1\r\nHost: n\r\nContent-Length: 500\r\n\r\nhello",
    };
    struct http_server *const s = start_usual();

    (void)state;
    for (unsigned wait = 0; wait <= 10; wait += 5) {
        for (size_t i = 0; i < ARRAY_LEN(said); i++) {
            const int fd = raw_dial(s);
            raw_say(fd, said[i]);
            raw_sleep_ms(wait);
            raw_reset(fd);
        }
        expect_served(s);
    }
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

/* ---- many, large, too many ---- */

static void connections_opened_and_closed_at_random_are_all_released(void **state)
{
    enum { PEERS = 64, STEPS = 4000 };
    const char *const given = getenv("NUMAWISE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct http_server *const s = start_usual();
    int peers[PEERS];

    (void)state;
    print_message("seed %u\n", seed);
    for (int i = 0; i < PEERS; i++)
        peers[i] = -1;
    for (int step = 0; step < STEPS; step++) {
        int *const fd = &peers[rand_r(&seed) % PEERS];
        const int what = rand_r(&seed) % 8;
        if (*fd < 0) {
            *fd = raw_dial(s);
        } else if (what < 4) {
            expect_ok(*fd);
        } else {
            if (what == 5)
                raw_say(*fd, "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Le");
            if (what == 6)
                raw_say(*fd, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
            if (what == 7)
                raw_reset(*fd);
            else
                close(*fd);
            *fd = -1;
        }
    }
    for (int i = 0; i < PEERS; i++)
        if (peers[i] >= 0)
            close(peers[i]);
    raw_wait_until_open(s, 0);
    expect_served(s);
    http_server_free(s);
}

struct sending {
    int fd;
};

static void *send_big(void *arg)
{
    const struct sending *const sending = arg;

    raw_push(sending->fd, big, BIG_BYTES);
    return NULL;
}

static size_t peak_rss_kib(void)
{
    FILE *const f = fopen("/proc/self/status", "re");
    char line[200];
    size_t kib = 0;

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static void read_big(int fd)
{
    static char piece[256 * 1024];

    for (size_t at = 0; at < BIG_BYTES;) {
        const size_t left = BIG_BYTES - at;
        const ssize_t n = recv(fd, piece, left < sizeof(piece) ? left : sizeof(piece), 0);
        assert_true(n > 0);
        assert_memory_equal(piece, big + at, (size_t)n);
        at += (size_t)n;
    }
}

/* In and out by reference: the body exists once in the server, and nowhere else. */
static void a_body_of_64_mib_goes_in_and_out_without_a_second_copy(void **state)
{
    /* a small arena, as MALLOC_PERTURB_ (meson sets it) touches all of what is allocated */
    struct http_server *const s =
        start("127.0.0.1:0", (struct http_limits){.body_bytes = BIG_BYTES, .arena_bytes = 65536});
    struct sending sending = {.fd = raw_dial(s)};
    const size_t before = peak_rss_kib();
    pthread_t sender;
    char head[128];

    (void)state;
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n",
             BIG_BYTES);
    raw_say(sending.fd, head);
    assert_int_equal(pthread_create(&sender, NULL, send_big, &sending), 0);
    const struct raw_answer a = raw_read_head(sending.fd);
    pthread_join(sender, NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.n, BIG_BYTES);
    read_big(sending.fd);
    if (!SANITIZED) /* their shadow memory counts too */
        assert_in_range(peak_rss_kib() - before, 0, BIG_BYTES / 1024 * 3 / 2);
    expect_ok(sending.fd);
    close(sending.fd);
    http_server_free(s);
}

static uint64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The kernel's buffers are full, more requests wait behind: no spinning, and all in order. */
static void a_slow_reader_gets_everything_in_the_end(void **state)
{
    struct http_server *const s = start_usual();
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, "GET /big HTTP/1.1\r\nHost: n\r\n\r\nGET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    raw_sleep_ms(100); /* the reply is stuck half way, the second request is read already */
    assert_int_equal(raw_read_head(fd).n, BIG_BYTES);
    read_big(fd);
    assert_string_equal(raw_hear(fd).body, "ok /ok?");

    raw_say(fd, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
    raw_sleep_ms(100);
    raw_say(fd, "GET /below/x HTTP/1.1\r\nHost: n\r\n\r\n"); /* stays in the socket */
    const uint64_t cpu = cpu_ms();
    raw_sleep_ms(400);
    assert_in_range(cpu_ms() - cpu, 0, 80); /* nothing to do, so nothing done */
    assert_int_equal(raw_read_head(fd).n, BIG_BYTES);
    read_big(fd);
    assert_string_equal(raw_hear(fd).body, "ok /below/x?");

    raw_say(fd, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
    raw_sleep_ms(100);
    assert_int_equal(raw_read_head(fd).n, BIG_BYTES);
    read_big(fd);
    raw_sleep_ms(50); /* the server has written all and waits for the next one */
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void a_full_arena_is_the_handlers_to_say(void **state)
{
    struct http_server *const s =
        start("127.0.0.1:0", (struct http_limits){.arena_bytes = 256 * 1024});
    const int fd = raw_dial(s);

    (void)state;
    for (int i = 0; i < 3; i++) { /* each request has all of it again */
        raw_say(fd, "GET /greedy HTTP/1.1\r\nHost: n\r\n\r\n");
        const struct raw_answer a = raw_hear(fd);
        assert_int_equal(a.status, 200);
        assert_in_range(atoi(a.body), 250, 256); /* a little less where gaps are poisoned */
    }
    close(fd);
    http_server_free(s);
}

/* At the cap with all of them at work: half a request each, and not for long. */
static void at_the_cap_further_connections_wait_their_turn(void **state)
{
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.connections = 3});
    int first[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        first[i] = raw_dial(s);
        raw_say(first[i], "GET /ok HTTP/1.1\r\n");
    }
    raw_wait_until_open(s, 3);
    const int late = raw_dial(s); /* the kernel takes it, the server does not */
    struct pollfd p = {.fd = late, .events = POLLIN};
    raw_say(late, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_int_equal(poll(&p, 1, 100), 0);
    assert_int_equal(raw_open_connections(s), 3);
    close(first[0]);
    assert_int_equal(raw_hear(late).status, 200);
    raw_say(first[1], "Host: n\r\n\r\n");
    assert_int_equal(raw_hear(first[1]).status, 200);
    close(first[1]);
    close(first[2]);
    close(late);
    http_server_free(s);
}

static void at_the_cap_who_never_asked_goes_first_then_who_asked_longest_ago(void **state)
{
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.connections = 3});
    const int early = raw_dial(s), silent = raw_dial(s);

    (void)state;
    expect_ok(early); /* after the silent one was accepted, or not: it asked, that one did not */
    const int later = raw_dial(s);
    expect_ok(later);
    raw_wait_until_open(s, 3);
    const int fourth = raw_dial(s);
    expect_ok(fourth);
    raw_expect_closed(silent);
    expect_ok(early);
    const int fifth = raw_dial(s);
    expect_ok(fifth);
    raw_expect_closed(later);
    expect_ok(early);
    expect_ok(fourth);
    assert_int_equal(raw_open_connections(s), 3);
    close(early);
    close(fourth);
    close(fifth);
    http_server_free(s);
}

/* Hundreds that do nothing pass through a server of eight; one that works keeps its place. */
static void a_crowd_of_idle_connections_does_not_push_out_one_that_works(void **state)
{
    enum { CROWD = 300 };
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.connections = 8});
    const int mine = raw_dial(s);
    int crowd[CROWD];

    (void)state;
    expect_ok(mine);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = raw_dial(s);
        if (i % 16 == 0)
            expect_ok(mine);
    }
    expect_served(s); /* and one that comes behind the crowd has its turn */
    expect_ok(mine);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    close(mine);
    http_server_free(s);
}

/* Heads and bodies that do not come on give their places up after a second, not after their
 * deadlines. */
/* Both were answered and are idle; the crowd at 127.0.0.2 came later. */
static void at_the_cap_the_address_with_most_connections_gives_one_up(void **state)
{
    struct http_server *const s = start("127.0.0.1:0", (struct http_limits){.connections = 4});
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(0x7f000002)}};
    const int mine = raw_dial(s);
    int crowd[3];

    (void)state;
    expect_ok(mine);
    for (int i = 0; i < 3; i++) {
        crowd[i] = raw_new_socket();
        assert_int_equal(bind(crowd[i], (const struct sockaddr *)&from, sizeof(from)), 0);
        assert_int_equal(raw_try_connect(s, crowd[i]), 0);
        expect_ok(crowd[i]);
    }
    expect_served(s);
    raw_expect_closed(crowd[0]);
    expect_ok(mine);
    expect_ok(crowd[1]);
    close(mine);
    close(crowd[1]);
    close(crowd[2]);
    http_server_free(s);
}

static void slow_requests_do_not_hold_the_cap_until_their_deadlines(void **state)
{
    enum { PLACES = 4 };
    struct http_server *const s =
        start("127.0.0.1:0",
              (struct http_limits){.connections = PLACES, .head_ms = 600000, .body_ms = 600000});
    int slow[PLACES];

    (void)state;
    for (int i = 0; i < PLACES; i++) {
        slow[i] = raw_dial(s);
        raw_say(slow[i], i % 2 ? "GET /ok HTT"
                               : "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\n1");
    }
    raw_wait_until_open(s, PLACES);
    expect_served(s); /* patience of the socket: 20 s, far below the deadlines */
    for (int i = 0; i < PLACES; i++)
        close(slow[i]);
    http_server_free(s);
}

/* Take every free descriptor; how many that were. */
static int take_descriptors(int *taken, int room)
{
    int n = 0;

    while (n < room && (taken[n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
        n++;
    assert_true(n < room);
    return n;
}

static void out_of_descriptors_the_server_waits_and_recovers(void **state)
{
    enum { PEERS = 8, LEFT = 3 };
    struct http_server *const s = start_usual();
    struct rlimit before, tight;
    int fd[PEERS], taken[200];

    (void)state;
    for (int i = 0; i < PEERS; i++)
        fd[i] = raw_new_socket();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fd[PEERS - 1] + 1 + LEFT;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    const int n = take_descriptors(taken, (int)ARRAY_LEN(taken));
    for (int i = n - LEFT; i < n; i++)
        close(taken[i]);
    for (int i = 0; i < PEERS; i++) {
        assert_int_equal(raw_try_connect(s, fd[i]), 0);
        raw_say(fd[i], i < LEFT ? "GET /ok HTTP/1.1\r\n" : "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    }
    raw_wait_until_open(s, LEFT);
    const uint64_t cpu = cpu_ms();
    raw_sleep_ms(400);
    assert_in_range(cpu_ms() - cpu, 0, 200); /* spinning would have used all of the 400 */
    assert_int_equal(raw_open_connections(s), LEFT);
    for (int i = 0; i < LEFT; i++) {
        raw_say(fd[i], "Host: n\r\n\r\n");
        assert_int_equal(raw_hear(fd[i]).status, 200);
    }
    for (int i = LEFT; i < PEERS; i++) /* those who have their answer give up their places */
        assert_int_equal(raw_hear(fd[i]).status, 200);
    for (int i = 0; i < n - LEFT; i++)
        close(taken[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < PEERS; i++)
        close(fd[i]);
    http_server_free(s);
}

/* ---- stopping ---- */

static void *stop(void *arg)
{
    http_server_stop(arg);
    return NULL;
}

static void wait_until_refused(const struct http_server *s)
{
    for (unsigned ms = 0; ms < PATIENCE_MS; ms += 2) {
        const int fd = raw_new_socket();
        const int rc = raw_try_connect(s, fd);
        close(fd);
        if (rc < 0)
            return;
        raw_sleep_ms(2);
    }
    fail_msg("still accepting");
}

static void a_stop_answers_what_is_in_flight_and_closes_the_idle(void **state)
{
    struct http_server *const s = start_usual();
    const int idle = raw_dial(s), fresh = raw_dial(s), half = raw_dial(s), body = raw_dial(s),
              reading = raw_dial(s);
    pthread_t stopper;

    (void)state;
    expect_ok(idle);
    raw_say(half, "GET /ok HTTP/1.1\r\nHos");
    raw_say(body, POST "Content-Length: 5\r\n\r\nhel");
    raw_say(reading, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_int_equal(raw_read_head(reading).status, 200);
    raw_wait_until_open(s, 5);
    raw_sleep_ms(20); /* let the halves arrive */
    assert_int_equal(pthread_create(&stopper, NULL, stop, s), 0);
    wait_until_refused(s);

    raw_expect_closed(idle);
    raw_expect_closed(fresh);
    raw_say(half, "t: n\r\n\r\n");
    struct raw_answer a = raw_hear(half);
    assert_int_equal(a.status, 200);
    assert_true(a.close);
    raw_expect_closed(half);
    raw_say(body, "lo");
    a = raw_hear(body);
    assert_int_equal(a.status, 200);
    assert_true(a.close);
    assert_string_equal(a.body, "hello");
    raw_expect_closed(body);
    read_big(reading);
    raw_expect_closed(reading);
    pthread_join(stopper, NULL);
    assert_int_equal(raw_open_connections(s), 0);
    http_server_free(s);
}

static void a_stop_does_not_wait_for_ever(void **state)
{
    struct http_server *const s =
        start("127.0.0.1:0", (struct http_limits){.body_bytes = 1000, .drain_ms = 100});
    const int half = raw_dial(s), body = raw_dial(s), reading = raw_dial(s);

    (void)state;
    raw_say(half, "GET /ok HTTP/1.1\r\nHos");
    raw_say(body, POST "Content-Length: 5\r\n\r\nhel");
    raw_say(reading, "GET /big HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_int_equal(raw_read_head(reading).status, 200);
    raw_wait_until_open(s, 3);
    http_server_stop(s);
    assert_int_equal(raw_open_connections(s), 0);
    close(half);
    close(body);
    close(reading);
    http_server_free(s);
}

static void a_server_is_freed_at_any_point_of_its_life(void **state)
{
    struct http_server *s = NULL;
    struct err err;

    (void)state;
    http_server_free(NULL);
    assert_int_equal(http_server_new(&s, "test", routes, 1, NULL, &err), 0);
    http_server_stop(s);
    http_server_free(s);
    assert_int_equal(http_server_new(&s, "test", routes, 1, NULL, &err), 0);
    assert_int_equal(http_server_listen(s, "127.0.0.1:0", &err), 0);
    const int fd = raw_dial(s); /* waits in the backlog */
    http_server_free(s);
    close(fd);
    s = start_usual();
    http_server_stop(s);
    http_server_stop(s);
    http_server_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_its_exact_length_and_nothing_behind),
        cmocka_unit_test(a_thousand_requests_use_one_connection),
        cmocka_unit_test(routes_match_exactly_or_by_prefix),
        cmocka_unit_test(pages_of_other_sites_have_no_business_here),
        cmocka_unit_test(a_refusal_says_what_somebody_writes),
        cmocka_unit_test(a_reply_in_pieces_arrives_in_order),
        cmocka_unit_test(http_1_0_is_answered_and_closed_unless_kept),
        cmocka_unit_test(a_client_that_wants_to_close_is_told_so_and_closed),
        cmocka_unit_test(a_body_that_waits_for_100_is_called),
        cmocka_unit_test(ipv6_is_served),
        cmocka_unit_test(only_numeric_addresses_are_listened_on),
        cmocka_unit_test(a_taken_port_is_an_error),
        cmocka_unit_test(a_request_split_at_any_byte_is_the_same),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_and_in_silence),
        cmocka_unit_test(a_pipeline_longer_than_the_head_buffer_is_answered),
        cmocka_unit_test(hostile_bytes_get_their_status_and_a_clean_end),
        cmocka_unit_test(hostile_bytes_after_a_request_do_not_cost_its_reply),
        cmocka_unit_test(hostile_bytes_are_refused_at_any_split),
        cmocka_unit_test(endless_headers_are_cut_off),
        cmocka_unit_test(an_endless_request_line_is_cut_off),
        cmocka_unit_test(an_unread_body_does_not_eat_the_answer),
        cmocka_unit_test(a_slow_head_or_body_meets_its_deadline_though_bytes_come),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_client_that_takes_nothing_is_dropped),
        cmocka_unit_test(a_client_that_has_said_all_still_gets_its_answer),
        cmocka_unit_test(a_reset_in_any_state_leaves_nothing_behind),
        cmocka_unit_test(connections_opened_and_closed_at_random_are_all_released),
        cmocka_unit_test(a_body_of_64_mib_goes_in_and_out_without_a_second_copy),
        cmocka_unit_test(a_slow_reader_gets_everything_in_the_end),
        cmocka_unit_test(a_full_arena_is_the_handlers_to_say),
        cmocka_unit_test(at_the_cap_further_connections_wait_their_turn),
        cmocka_unit_test(at_the_cap_who_never_asked_goes_first_then_who_asked_longest_ago),
        cmocka_unit_test(a_crowd_of_idle_connections_does_not_push_out_one_that_works),
        cmocka_unit_test(at_the_cap_the_address_with_most_connections_gives_one_up),
        cmocka_unit_test(slow_requests_do_not_hold_the_cap_until_their_deadlines),
        cmocka_unit_test(out_of_descriptors_the_server_waits_and_recovers),
        cmocka_unit_test(a_stop_answers_what_is_in_flight_and_closes_the_idle),
        cmocka_unit_test(a_stop_does_not_wait_for_ever),
        cmocka_unit_test(a_server_is_freed_at_any_point_of_its_life),
    };

    http_process_setup();
    big = malloc(BIG_BYTES);
    if (!big)
        return 1;
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = pattern(i);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(big);
    return failed;
}
