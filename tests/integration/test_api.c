/* SPDX-License-Identifier: Apache-2.0 */
/* The API client against an API server that can be told to misbehave, over plain HTTP and TLS. */
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/limits.h"
#include "kube/api.h"
#include "kube/kubeconfig.h"
#include "tests/support/fake_api.h"
#include "tests/support/pki.h"

enum { WAIT_S = 30, PATH_BYTES = 256 };

/* --- a client, its loop, and a server --- */

struct bench {
    char root[64];
    struct fake_api *server;
    struct kube_access access;
    struct event_base *base;
    struct event *tick;
    struct kube_api *api;
};

/* What came of one request. */
struct got {
    struct bench *b;
    bool done;
    int times, started, pieces;
    struct kube_answer answer;
    struct buf body;
    struct kube_call *call;
    struct kube_call *cancel; /* with the first piece */
    int refuse;               /* what `data` returns */
};

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
}

static void on_started(void *ctx)
{
    struct got *const g = ctx;

    assert_int_equal(g->pieces, 0);
    g->started++;
}

static int on_data(void *ctx, const char *p, size_t n)
{
    struct got *const g = ctx;

    assert_int_equal(g->started, 1);
    assert_true(n > 0);
    g->pieces++;
    buf_add(&g->body, p, n);
    if (g->cancel)
        kube_call_cancel(g->cancel);
    g->cancel = NULL;
    return g->refuse;
}

static void on_done(void *ctx, const struct kube_answer *answer)
{
    struct got *const g = ctx;

    g->times++;
    g->done = true;
    g->answer = *answer;
    if (!g->pieces)
        buf_str(&g->body, answer->body);
    for (size_t i = 0; answer->body.n && i < 64; i++) /* they can be read, says the sanitizer */
        g->answer.body.n += 0 * (size_t)answer->body.p[answer->body.n + i];
}

static struct bench *bench_new(const struct fake_api_options *options)
{
    struct bench *const b = calloc(1, sizeof(*b));
    static const struct timeval often = {.tv_usec = 2000};
    const char *const tmp = getenv("TMPDIR");

    assert_non_null(b);
    (void)snprintf(b->root, sizeof(b->root), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->root));
    b->base = event_base_new();
    b->tick = event_new(b->base, -1, EV_PERSIST, on_tick, NULL);
    assert_int_equal(event_add(b->tick, &often), 0);
    if (options) {
        b->server = fake_api_new(options);
        b->access.server = strdup(fake_api_url(b->server));
    }
    return b;
}

static void bench_open(struct bench *b, const struct kube_api_options *options)
{
    static const struct kube_api_options usual;
    struct err err;

    if (kube_api_new(&b->api, b->base, &b->access, options ? options : &usual, &err))
        fail_msg("%s", err.text);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    return remove(path);
}

static void bench_free(struct bench *b)
{
    kube_api_free(b->api);
    event_free(b->tick);
    event_base_free(b->base);
    if (b->server)
        fake_api_free(b->server);
    kube_access_done(&b->access);
    (void)nftw(b->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(b);
}

static int setup(void **state)
{
    static const struct fake_api_options plain;

    *state = bench_new(&plain);
    bench_open(*state, NULL);
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

static void in_root(const struct bench *b, const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s", b->root, name);
}

static void put(const struct bench *b, const char *name, const char *text)
{
    char path[PATH_BYTES];

    in_root(b, name, path);
    FILE *const f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void put_out(struct bench *b, struct got *g, const struct kube_request *like)
{
    struct kube_request r = *like;

    g->b = b;
    r.started = r.started ? r.started : on_started;
    r.done = on_done;
    r.ctx = g;
    assert_int_equal(kube_api_send(b->api, &r, &g->call, NULL), 0);
}

static void run_until(struct bench *b, const bool *done)
{
    const uint64_t limit = clock_monotonic_ns() + WAIT_S * UINT64_C(1000000000);

    while (!*done) {
        assert_true(clock_monotonic_ns() < limit);
        assert_int_equal(event_base_loop(b->base, EVLOOP_ONCE), 0);
    }
}

static void run_ms(struct bench *b, unsigned ms)
{
    const uint64_t end = clock_monotonic_ns() + ms * UINT64_C(1000000);

    while (clock_monotonic_ns() < end)
        assert_int_equal(event_base_loop(b->base, EVLOOP_ONCE), 0);
}

static struct got ask(struct bench *b, const struct kube_request *like)
{
    struct got g = {0};

    put_out(b, &g, like);
    run_until(b, &g.done);
    assert_int_equal(g.times, 1);
    return g;
}

static void assert_failed(struct bench *b, const char *path, int code, const char *text)
{
    const struct kube_request r = {.path = path};
    struct got g = ask(b, &r);

    assert_string_equal(g.answer.err.text, text);
    assert_int_equal(g.answer.err.code, code);
    buf_free(&g.body);
}

/* The same, where another library words the end of the text. */
static void assert_failed_like(struct bench *b, const char *path, int code, const char *begins)
{
    const struct kube_request r = {.path = path};
    struct got g = ask(b, &r);

    assert_int_equal(g.answer.status, 0);
    if (strncmp(g.answer.err.text, begins, strlen(begins)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", g.answer.err.text, begins);
    assert_int_equal(g.answer.err.code, code);
    buf_free(&g.body);
}

static int echo(void *ctx, const char *method, const char *target, struct str body, struct buf *out)
{
    buf_printf(out, "{\"method\":\"%s\",\"target\":\"%s\",\"body\":%.*s}", method, target,
               body.n ? (int)body.n : 4, body.n ? body.p : "null");
    return strcmp(method, "POST") == 0 ? 201 : 200;
}

/* --- requests --- */

static void a_request_says_who_asks_and_for_what(void **state)
{
    struct bench *const b = *state;
    const struct kube_request get = {.path = "/version?a=b"};
    struct buf head = {0}, body = {0};

    fake_api_handle(b->server, echo, NULL);
    struct got g = ask(b, &get);
    assert_int_equal(g.answer.status, 200);
    assert_int_equal(g.answer.err.code, 0);
    assert_int_equal(g.started, 1);
    assert_string_equal(g.body.p, "{\"method\":\"GET\",\"target\":\"/version?a=b\",\"body\":null}");
    fake_api_last(b->server, &head, &body);
    assert_non_null(strstr(head.p, "\r\nUser-Agent: numawise/"));
    assert_non_null(strstr(head.p, "\r\nAccept: application/json\r\n"));
    assert_null(strstr(head.p, "Authorization"));
    assert_null(strstr(head.p, "Content-Type"));
    assert_null(strstr(head.p, "Accept-Encoding"));
    buf_free(&g.body);
    buf_free(&head);
    buf_free(&body);
}

static void writes_carry_a_body_of_their_type(void **state)
{
    struct bench *const b = *state;
    const struct {
        enum kube_method method;
        const char *type, *line;
        int status;
    } cases[] = {
        {KUBE_POST, NULL, "\r\nContent-Type: application/json\r\n", 201},
        {KUBE_PUT, NULL, "\r\nContent-Type: application/json\r\n", 200},
        {KUBE_PATCH, KUBE_MERGE_PATCH, "\r\nContent-Type: application/merge-patch+json\r\n", 200},
        {KUBE_DELETE, NULL, "\r\nContent-Type: application/json\r\n", 200},
    };

    fake_api_handle(b->server, echo, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct kube_request r = {.method = cases[i].method,
                                       .path = "/api/v1/namespaces/a/pods/b",
                                       .content_type = cases[i].type,
                                       .body = STR("{\"x\":1}")};
        struct buf head = {0}, body = {0};
        char want[128];

        struct got g = ask(b, &r);
        assert_int_equal(g.answer.status, cases[i].status);
        (void)snprintf(want, sizeof(want),
                       "{\"method\":\"%s\",\"target\":\"/api/v1/namespaces/a/pods/b\",\"body\":"
                       "{\"x\":1}}",
                       kube_method_names[cases[i].method]);
        assert_string_equal(g.body.p, want);
        fake_api_last(b->server, &head, &body);
        assert_non_null(strstr(head.p, cases[i].line));
        assert_null(strstr(head.p, "Expect"));
        buf_free(&g.body);
        buf_free(&head);
        buf_free(&body);
    }
    const struct kube_request bare = {.method = KUBE_DELETE, .path = "/x"};
    struct got g = ask(b, &bare);
    assert_string_equal(g.body.p, "{\"method\":\"DELETE\",\"target\":\"/x\",\"body\":null}");
    buf_free(&g.body);
}

static void many_requests_at_once_are_each_answered(void **state)
{
    struct bench *const b = *state;
    static struct got all[LIMIT_API_CALLS];
    char path[32];
    struct err err;

    memset(all, 0, sizeof(all));
    fake_api_handle(b->server, echo, NULL);
    for (int i = 0; i < LIMIT_API_CALLS; i++) {
        (void)snprintf(path, sizeof(path), "/%d", i);
        const struct kube_request r = {.path = path};
        put_out(b, &all[i], &r);
    }
    const struct kube_request one_more = {.path = "/"};
    assert_int_equal(kube_api_send(b->api, &one_more, NULL, &err), -EBUSY);
    assert_string_equal(err.text, "256 requests are out already");
    for (int i = 0; i < LIMIT_API_CALLS; i++) {
        char want[96];

        run_until(b, &all[i].done);
        (void)snprintf(want, sizeof(want), "{\"method\":\"GET\",\"target\":\"/%d\",\"body\":null}",
                       i);
        assert_string_equal(all[i].body.p, want);
        buf_free(&all[i].body);
    }
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->open), 0);
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->requests[KUBE_GET][0]), LIMIT_API_CALLS);
}

static void paths_that_are_none_are_refused(void **state)
{
    struct bench *const b = *state;
    const struct kube_request bad[] = {{.path = "x"},
                                       {.path = "/a b"},
                                       {.path = "/a#b"},
                                       {.path = "/\xc3\xa4"},
                                       {.path = "/a\r\nHost: b"}};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(kube_api_send(b->api, &bad[i], NULL, NULL), -EINVAL);
}

/* --- errors --- */

static int refuse(void *ctx, const char *method, const char *target, struct str body,
                  struct buf *out)
{
    const int status = atoi(target + 1);

    history_status(out, status, "Why", "because of this", "Cause", 0);
    return status;
}

static void what_is_no_success_is_told_in_words(void **state)
{
    struct bench *const b = *state;

    fake_api_handle(b->server, refuse, NULL);
    assert_failed(b, "/400?x", -EINVAL, "GET /400: 400 Bad Request: because of this");
    assert_failed(b, "/401", -EACCES, "GET /401: 401 Unauthorized: because of this");
    assert_failed(b, "/403", -EACCES, "GET /403: 403 Forbidden: because of this");
    assert_failed(b, "/404", -ENOENT, "GET /404: 404 Not Found: because of this");
    assert_failed(b, "/409", -EEXIST, "GET /409: 409 Conflict: because of this");
    assert_failed(b, "/410", -ESTALE, "GET /410: 410 Gone: because of this");
    assert_failed(b, "/422", -EINVAL, "GET /422: 422 Unprocessable Entity: because of this");
    assert_failed(b, "/429", -EAGAIN, "GET /429: 429 Too Many Requests: because of this");
    assert_failed(b, "/500", -EAGAIN, "GET /500: 500 Internal Server Error: because of this");
    assert_failed(b, "/599", -EAGAIN, "GET /599: 599 : because of this");
    const struct kube_request r = {.path = "/429"};
    struct got g = ask(b, &r);
    assert_int_equal(g.answer.status, 429);
    assert_string_equal(g.answer.details.reason, "Why");
    assert_string_equal(g.answer.details.cause, "Cause");
    assert_int_equal(g.answer.details.code, 429);
    assert_true(g.answer.details.failed);
    assert_int_equal(g.answer.retry_after_ms, -1);
    assert_int_equal(g.started, 0);
    buf_free(&g.body);
}

static void what_no_api_server_says_is_refused(void **state)
{
    struct bench *const b = *state;

    fake_api_fault(b->server, FAKE_HTML, "/html", FAKE_BOTH, 1, 0, 0);
    fake_api_fault(b->server, FAKE_REDIRECT, "/away", FAKE_BOTH, 1, 0, 0);
    fake_api_fault(b->server, FAKE_GARBAGE, "/garbage", FAKE_BOTH, 1, 0, 0);
    fake_api_fault(b->server, FAKE_CLOSE, "/close", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    fake_api_fault(b->server, FAKE_RESET, "/reset", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    fake_api_fault(b->server, FAKE_CUT, "/cut", FAKE_BOTH, 1, 0, 0);
    fake_api_handle(b->server, echo, NULL);
    assert_failed(b, "/html", -EPROTO,
                  "GET /html: an answer that is not JSON: not from an API server, perhaps from a "
                  "proxy");
    assert_failed(b, "/away", -EPROTO, "GET /away: 302 a redirection, which is not followed");
    assert_failed_like(b, "/garbage", -EPROTO, "GET /garbage: ");
    assert_failed_like(b, "/close", -EHOSTUNREACH, "GET /close: ");
    assert_failed_like(b, "/reset", -EHOSTUNREACH, "GET /reset: ");
    assert_failed_like(b, "/cut", -EHOSTUNREACH, "GET /cut: ");
    fake_api_down(b->server);
    assert_failed_like(b, "/", -EHOSTUNREACH, "GET /: ");
    fake_api_up(b->server);
    const struct kube_request r = {.path = "/"};
    struct got g = ask(b, &r);
    assert_int_equal(g.answer.status, 200);
    buf_free(&g.body);
    assert_true(atomic_load(&kube_api_stats(b->api)->requests[KUBE_GET][KUBE_CODES - 1]) >= 5);
}

static void what_takes_too_long_is_given_up(void **state)
{
    struct bench *const b = *state;
    const struct kube_request whole = {.path = "/hang", .timeout_ms = 50},
                              idle = {.path = "/stall", .timeout_ms = 60000, .idle_ms = 50};

    fake_api_fault(b->server, FAKE_HANG, "/hang", FAKE_BOTH, 1, 0, 0);
    fake_api_fault(b->server, FAKE_STALL, "/stall", FAKE_BOTH, 1, 0, 0);
    fake_api_handle(b->server, echo, NULL);
    struct got g = ask(b, &whole);
    assert_int_equal(g.answer.err.code, -ETIMEDOUT);
    assert_string_equal(g.answer.err.text, "GET /hang: no answer in time");
    buf_free(&g.body);
    g = ask(b, &idle);
    assert_int_equal(g.answer.err.code, -ETIMEDOUT);
    assert_int_equal(g.answer.body.n, 0);
    buf_free(&g.body);
}

static void bodies_are_bounded(void **state)
{
    struct bench *const b = *state;
    const struct kube_request exact = {.path = "/a", .max_bytes = 42},
                              less = {.path = "/a", .max_bytes = 41};

    fake_api_handle(b->server, echo, NULL);
    struct got g = ask(b, &exact);
    assert_string_equal(g.body.p, "{\"method\":\"GET\",\"target\":\"/a\",\"body\":null}");
    assert_int_equal(g.body.n, 42);
    buf_free(&g.body);
    g = ask(b, &less);
    assert_int_equal(g.answer.err.code, -EFBIG);
    assert_string_equal(g.answer.err.text, "GET /a: the answer is too large");
    buf_free(&g.body);
}

static void a_server_that_says_when_is_asked_again_then(void **state)
{
    struct bench *const b = *state;
    struct kube_request r = {.path = "/busy", .retries = 2};

    fake_api_handle(b->server, echo, NULL);
    fake_api_fault(b->server, FAKE_STATUS, "/busy", FAKE_BOTH, 1, 429, 1);
    struct got g = ask(b, &r);
    assert_int_equal(g.answer.status, 200);
    buf_free(&g.body);
    assert_int_equal(fake_api_asked(b->server, "GET /busy"), 2);
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->retries), 1);

    r.timeout_ms = 500; /* no time to wait that long */
    fake_api_fault(b->server, FAKE_STATUS, "/busy", FAKE_BOTH, 1, 503, 1);
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 503);
    assert_int_equal(g.answer.retry_after_ms, 1000);
    buf_free(&g.body);

    r.timeout_ms = 0;
    fake_api_fault(b->server, FAKE_STATUS, "/busy", FAKE_BOTH, 1, 500, 0);
    g = ask(b, &r); /* it did not say when */
    assert_int_equal(g.answer.status, 500);
    buf_free(&g.body);
    r.retries = 0;
    fake_api_fault(b->server, FAKE_STATUS, "/busy", FAKE_BOTH, 1, 429, 1);
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 429);
    buf_free(&g.body);
}

/* --- streams --- */

static void add_pods(struct bench *b, int n)
{
    struct history *const h = fake_api_lock(b->server);
    const unsigned pods = history_kind(h, "/api/v1/pods", "v1", "Pod", false);
    char name[16];

    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        (void)history_put(h, pods, "a", name, NULL, "'spec':{}");
    }
    fake_api_unlock(b->server);
}

static void a_stream_comes_in_pieces_as_they_are_sent(void **state)
{
    struct bench *const b = *state;
    const struct kube_request r = {
        .path = "/api/v1/pods?watch=1&resourceVersion=100", .timeout_ms = 60000, .data = on_data};
    struct got g = {0};

    add_pods(b, 2);
    put_out(b, &g, &r);
    while (g.body.n == 0 || !strstr(g.body.p, "p1"))
        run_ms(b, 1);
    assert_false(g.done);
    struct history *const h = fake_api_lock(b->server);
    (void)history_delete(h, 0, "a", "p0");
    fake_api_unlock(b->server);
    while (!strstr(g.body.p, "DELETED"))
        run_ms(b, 1);
    fake_api_cut(b->server);
    run_until(b, &g.done);
    assert_int_equal(g.answer.err.code, -EHOSTUNREACH);
    assert_int_equal(g.answer.body.n, 0);
    buf_free(&g.body);
}

static void errors_are_not_streamed(void **state)
{
    struct bench *const b = *state;
    const struct kube_request r = {.path = "/404", .data = on_data};

    fake_api_handle(b->server, refuse, NULL);
    struct got g = ask(b, &r);
    assert_int_equal(g.pieces, 0);
    assert_int_equal(g.answer.status, 404);
    assert_string_equal(g.answer.details.message, "because of this");
    buf_free(&g.body);
}

static void a_receiver_may_refuse(void **state)
{
    struct bench *const b = *state;
    const struct kube_request r = {.path = "/x", .data = on_data};
    struct got g = {.refuse = -ENOTSUP};

    fake_api_handle(b->server, echo, NULL);
    put_out(b, &g, &r);
    run_until(b, &g.done);
    assert_int_equal(g.answer.err.code, -ENOTSUP);
    assert_int_equal(g.pieces, 1);
    buf_free(&g.body);
}

static void a_call_may_be_cancelled_at_any_time(void **state)
{
    struct bench *const b = *state;
    const struct kube_request quick = {.path = "/x"}, stream = {.path = "/x", .data = on_data},
                              hang = {.path = "/hang"};
    struct got before = {0}, inside = {0}, during = {0}, last = {0};

    fake_api_handle(b->server, echo, NULL);
    fake_api_fault(b->server, FAKE_HANG, "/hang", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    put_out(b, &before, &quick);
    kube_call_cancel(before.call);
    put_out(b, &inside, &stream);
    inside.cancel = inside.call;
    put_out(b, &during, &hang);
    while (fake_api_asked(b->server, "GET /hang") == 0 || inside.pieces == 0)
        run_ms(b, 1);
    kube_call_cancel(during.call);
    put_out(b, &last, &quick);
    run_until(b, &last.done);
    run_ms(b, 20);
    assert_int_equal(before.times + inside.times + during.times, 0);
    assert_int_equal(fake_api_asked(b->server, "GET /x"), 2);
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->open), 0);
    buf_free(&inside.body);
    buf_free(&last.body);
}

static unsigned descriptors(void)
{
    DIR *const d = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static void freeing_ends_everything_and_leaves_nothing(void **state)
{
    struct bench *const b = *state;
    const struct kube_request hang = {.path = "/hang"};
    struct got g[3] = {{0}};

    kube_api_free(b->api);
    fake_api_fault(b->server, FAKE_HANG, "/hang", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    const unsigned before = descriptors();
    for (int round = 0; round < 3; round++) {
        bench_open(b, NULL);
        for (int i = 0; i < round; i++)
            put_out(b, &g[i], &hang);
        run_ms(b, 20);
        kube_api_free(b->api);
        b->api = NULL;
    }
    run_ms(b, 20);
    fake_api_heal(b->server);
    fake_api_down(b->server); /* its own ends */
    assert_true(descriptors() <= before);
    fake_api_up(b->server);
    assert_int_equal(g[0].times + g[1].times, 0);
}

/* --- tokens --- */

static void bench_with_token(struct bench *b, const char *file)
{
    char path[PATH_BYTES];

    kube_api_free(b->api);
    in_root(b, file, path);
    b->access.token_file = strdup(path);
    bench_open(b, NULL);
}

static void a_token_is_sent_and_read_again_when_it_is_refused(void **state)
{
    struct bench *const b = *state;
    const struct kube_request r = {.method = KUBE_POST, .path = "/x", .body = STR("{}")};

    fake_api_handle(b->server, echo, NULL);
    put(b, "token", "one\n");
    bench_with_token(b, "token");
    fake_api_set_token(b->server, "one");
    struct got g = ask(b, &r);
    assert_int_equal(g.answer.status, 201);
    buf_free(&g.body);
    /* The kubelet has written a new one: nobody notices. */
    put(b, "token", "two");
    fake_api_set_token(b->server, "two");
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 201);
    buf_free(&g.body);
    assert_int_equal(fake_api_asked(b->server, "POST /x"), 3);
    /* The old one is all there is: it is said, and not tried for ever. */
    fake_api_set_token(b->server, "three");
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 401);
    buf_free(&g.body);
    assert_int_equal(fake_api_asked(b->server, "POST /x"), 4);
    put(b, "token", "three");
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 201);
    buf_free(&g.body);
}

static void a_good_token_outlives_a_bad_file(void **state)
{
    struct bench *const b = *state;
    const struct kube_request r = {.path = "/x"};

    fake_api_handle(b->server, echo, NULL);
    put(b, "token", "one");
    bench_with_token(b, "token");
    put(b, "token", "");
    fake_api_set_token(b->server, "other");
    struct got g = ask(b, &r); /* reads the file again, to no avail */
    assert_int_equal(g.answer.status, 401);
    buf_free(&g.body);
    fake_api_set_token(b->server, "one");
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 200);
    buf_free(&g.body);
    assert_true(atomic_load(&kube_api_stats(b->api)->credential_failures) > 0);
}

/* --- silence --- */

static void silence_is_asked_about_and_then_given_up(void **state)
{
    struct bench *const b = *state;
    const struct kube_api_options quick = {.silence_ms = 60, .probe_ms = 60};
    const struct kube_request watch = {
        .path = "/api/v1/pods?watch=1&resourceVersion=100", .timeout_ms = 60000, .data = on_data};
    struct got g = {0};

    kube_api_free(b->api);
    bench_open(b, &quick);
    add_pods(b, 1);
    fake_api_handle(b->server, echo, NULL);
    put_out(b, &g, &watch);
    run_ms(b, 600); /* silent, but it answers */
    assert_false(g.done);
    assert_true(fake_api_asked(b->server, "GET /version") >= 2);
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->connections_lost), 0);
    fake_api_fault(b->server, FAKE_HANG, "/version", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    run_until(b, &g.done);
    assert_int_equal(g.answer.err.code, -ETIMEDOUT);
    assert_string_equal(g.answer.err.text,
                        "GET /api/v1/pods: the server is silent: the connection is given up");
    assert_int_equal(atomic_load(&kube_api_stats(b->api)->connections_lost), 1);
    buf_free(&g.body);
    /* And on a new connection all is well. */
    fake_api_heal(b->server);
    const struct kube_request r = {.path = "/x"};
    g = ask(b, &r);
    assert_int_equal(g.answer.status, 200);
    buf_free(&g.body);
}

static void nothing_is_asked_where_nothing_is_awaited(void **state)
{
    struct bench *const b = *state;
    const struct kube_api_options quick = {.silence_ms = 20, .probe_ms = 20};

    kube_api_free(b->api);
    bench_open(b, &quick);
    run_ms(b, 200);
    assert_int_equal(fake_api_asked(b->server, "GET"), 0);
}

/* --- TLS --- */

/* A bench with a server that has a certificate for `san`, and a client that believes ca.crt. */
static struct bench *tls_bench(const struct pki_leaf *leaf, const char *client_ca)
{
    struct bench *const b = bench_new(NULL);
    char ca[PATH_BYTES], server[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES], other[PATH_BYTES];

    in_root(b, "ca", ca);
    in_root(b, "server", server);
    in_root(b, "server.crt", cert);
    in_root(b, "server.key", key);
    struct pki *const pki = pki_new("test CA", ca);
    pki_sign(pki, leaf, server);
    pki_free(pki);
    if (client_ca)
        in_root(b, client_ca, other);
    const struct fake_api_options options = {
        .cert = cert, .key = key, .client_ca = client_ca ? other : NULL};
    b->server = fake_api_new(&options);
    b->access.server = strdup(fake_api_url(b->server));
    in_root(b, "ca.crt", ca);
    b->access.ca.path = strdup(ca);
    fake_api_handle(b->server, echo, NULL);
    return b;
}

static const struct pki_leaf good_leaf = {.cn = "kubernetes",
                                          .san = "DNS:kubernetes.default,IP:127.0.0.1"};

static void assert_answers(struct bench *b)
{
    const struct kube_request r = {.path = "/x"};
    struct got g = ask(b, &r);

    assert_string_equal(g.answer.err.text, "");
    assert_int_equal(g.answer.status, 200);
    buf_free(&g.body);
}

static void a_certificate_of_the_ca_is_believed(void **state)
{
    struct bench *const b = tls_bench(&good_leaf, NULL);

    bench_open(b, NULL);
    assert_answers(b);
    bench_free(b);
}

static void another_ca_is_not_believed(void **state)
{
    struct bench *const b = tls_bench(&good_leaf, NULL);
    char ca[PATH_BYTES];

    in_root(b, "ca", ca);
    struct pki *const other = pki_new("test CA", ca);
    bench_open(b, NULL);
    assert_failed_like(b, "/x", -EKEYREJECTED, "GET /x: SSL certificate problem: ");
    assert_int_equal(fake_api_asked(b->server, "GET"), 0);
    pki_free(other);
    bench_free(b);
}

static void another_name_is_not_believed(void **state)
{
    static const struct pki_leaf leaf = {.cn = "127.0.0.1", .san = "DNS:kubernetes,IP:127.0.0.2"};
    struct bench *const b = tls_bench(&leaf, NULL);

    bench_open(b, NULL);
    assert_failed_like(b, "/x", -EKEYREJECTED, "GET /x: SSL: no alternative certificate subject");
    assert_int_equal(fake_api_asked(b->server, "GET"), 0);
    bench_free(b);
}

static void an_expired_certificate_is_not_believed(void **state)
{
    static const struct pki_leaf leaf = {
        .cn = "kubernetes", .san = "IP:127.0.0.1", .from_s = -7200, .to_s = -3600};
    struct bench *const b = tls_bench(&leaf, NULL);

    bench_open(b, NULL);
    assert_failed_like(b, "/x", -EKEYREJECTED,
                       "GET /x: SSL certificate problem: certificate has expired");
    bench_free(b);
}

static void a_named_server_is_reached_where_it_is(void **state)
{
    static const struct pki_leaf leaf = {.cn = "x", .san = "DNS:kubernetes.default"};
    struct bench *const b = tls_bench(&leaf, NULL);
    struct buf head = {0}, body = {0};
    char want[64];

    b->access.server_name = strdup("kubernetes.default");
    bench_open(b, NULL);
    assert_answers(b);
    fake_api_last(b->server, &head, &body);
    (void)snprintf(want, sizeof(want), "\r\nHost: 127.0.0.1:%u\r\n", fake_api_port(b->server));
    assert_non_null(strstr(head.p, want));
    buf_free(&head);
    buf_free(&body);
    kube_api_free(b->api);
    free(b->access.server_name);
    b->access.server_name = strdup("kubernetes.other");
    bench_open(b, NULL);
    assert_failed_like(b, "/x", -EKEYREJECTED, "GET /x: SSL: ");
    bench_free(b);
}

static void give_client(struct bench *b, struct pki *pki, const char *cn)
{
    const struct pki_leaf leaf = {.cn = cn, .org = "system:masters", .client = 1};
    char path[PATH_BYTES];

    in_root(b, "client", path);
    pki_sign(pki, &leaf, path);
}

static void a_client_certificate_is_shown_and_changes_with_its_file(void **state)
{
    struct bench *const plain = bench_new(NULL);
    char clients[PATH_BYTES], path[PATH_BYTES];

    in_root(plain, "clients", clients);
    struct pki *const pki = pki_new("client CA", clients);
    (void)strcat(clients, ".crt");
    /* The server wants certificates of that CA, which lies elsewhere. */
    char cert[PATH_BYTES], key[PATH_BYTES], ca[PATH_BYTES], server[PATH_BYTES];
    in_root(plain, "ca", ca);
    in_root(plain, "server", server);
    in_root(plain, "server.crt", cert);
    in_root(plain, "server.key", key);
    struct pki *const servers = pki_new("test CA", ca);
    pki_sign(servers, &good_leaf, server);
    const struct fake_api_options options = {.cert = cert, .key = key, .client_ca = clients};
    plain->server = fake_api_new(&options);
    fake_api_handle(plain->server, echo, NULL);
    plain->access.server = strdup(fake_api_url(plain->server));
    in_root(plain, "ca.crt", path);
    plain->access.ca.path = strdup(path);
    bench_open(plain, NULL);
    const struct kube_request r = {.path = "/x"};
    struct got g = ask(plain, &r); /* without one it gets nowhere */
    assert_int_equal(g.answer.status, 0);
    assert_true(g.answer.err.code < 0);
    buf_free(&g.body);
    assert_int_equal(fake_api_asked(plain->server, "GET"), 0);
    kube_api_free(plain->api);

    /* One of another CA neither; and once the file has a good one, it is used. */
    in_root(plain, "client.crt", path);
    plain->access.cert.path = strdup(path);
    in_root(plain, "client.key", path);
    plain->access.key.path = strdup(path);
    give_client(plain, servers, "admin");
    bench_open(plain, NULL);
    g = ask(plain, &r);
    assert_int_equal(g.answer.status, 0);
    buf_free(&g.body);
    give_client(plain, pki, "admin");
    kube_api_free(plain->api);
    bench_open(plain, NULL);
    assert_answers(plain);
    pki_free(servers);
    pki_free(pki);
    bench_free(plain);
}

static void what_is_needed_and_not_there_is_said_at_once(void **state)
{
    static const struct kube_api_options usual;
    struct bench *const b = *state;
    struct err err;
    char path[PATH_BYTES], want[PATH_BYTES + 64];

    in_root(b, "none", path);
    kube_api_free(b->api);
    b->api = NULL;
    b->access.token_file = strdup(path);
    assert_int_equal(kube_api_new(&b->api, b->base, &b->access, &usual, &err), -ENOENT);
    (void)snprintf(want, sizeof(want), "%s: No such file or directory", path);
    assert_string_equal(err.text, want);
    put(b, "none", " \n");
    assert_int_equal(kube_api_new(&b->api, b->base, &b->access, &usual, &err), -EINVAL);
    (void)snprintf(want, sizeof(want), "%s: holds no token", path);
    assert_string_equal(err.text, want);
    put(b, "none", "t");
    b->access.ca.path = strdup(path);
    assert_int_equal(kube_api_new(&b->api, b->base, &b->access, &usual, &err), -EINVAL);
    (void)snprintf(want, sizeof(want), "%s: not PEM", path);
    assert_string_equal(err.text, want);
}

int main(void)
{
#define USUAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        USUAL(a_request_says_who_asks_and_for_what),
        USUAL(writes_carry_a_body_of_their_type),
        USUAL(many_requests_at_once_are_each_answered),
        USUAL(paths_that_are_none_are_refused),
        USUAL(what_is_no_success_is_told_in_words),
        USUAL(what_no_api_server_says_is_refused),
        USUAL(what_takes_too_long_is_given_up),
        USUAL(bodies_are_bounded),
        USUAL(a_server_that_says_when_is_asked_again_then),
        USUAL(a_stream_comes_in_pieces_as_they_are_sent),
        USUAL(errors_are_not_streamed),
        USUAL(a_receiver_may_refuse),
        USUAL(a_call_may_be_cancelled_at_any_time),
        USUAL(freeing_ends_everything_and_leaves_nothing),
        USUAL(a_token_is_sent_and_read_again_when_it_is_refused),
        USUAL(a_good_token_outlives_a_bad_file),
        USUAL(silence_is_asked_about_and_then_given_up),
        USUAL(nothing_is_asked_where_nothing_is_awaited),
        USUAL(what_is_needed_and_not_there_is_said_at_once),
        cmocka_unit_test(a_certificate_of_the_ca_is_believed),
        cmocka_unit_test(another_ca_is_not_believed),
        cmocka_unit_test(another_name_is_not_believed),
        cmocka_unit_test(an_expired_certificate_is_not_believed),
        cmocka_unit_test(a_named_server_is_reached_where_it_is),
        cmocka_unit_test(a_client_certificate_is_shown_and_changes_with_its_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
