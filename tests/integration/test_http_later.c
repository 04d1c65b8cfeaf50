/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered later, from another thread, while their peers do as they like. */
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/http.h"
#include "tests/support/raw.h"

enum { MIB = 1024 * 1024, BIG_BYTES = 8 * MIB, KEPT_MAX = 64 };

#define LATER(rest) "POST /later HTTP/1.1\r\nHost: n\r\nX-Name: me\r\n" rest

/* ---- the server's side: what is kept until the test lets go of it ---- */

static struct kept {
    const struct http_request *req;
    struct http_reply *reply;
    char *note; /* in the request's arena */
} kept[KEPT_MAX];
static unsigned n_kept;
static unsigned deadline_ms;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void later(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    char *const note = arena_array(req->arena, 8, 1);

    (void)ctx;
    memcpy(note, "noted: ", 8);
    http_defer(reply, deadline_ms);
    pthread_mutex_lock(&lock);
    kept[n_kept++] = (struct kept){req, reply, note};
    pthread_cond_broadcast(&more);
    pthread_mutex_unlock(&lock);
}

static void at_once(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_defer(reply, 1000);
    http_add(reply, "at once", 7);
    http_finish(reply);
}

/* Called again and again, on the server's thread: answers at the third time. */
static struct {
    struct http_reply *reply;
    pthread_t thread;
    _Atomic unsigned calls;
    unsigned last;
    bool for_ever;
} due;

static void on_due(void *ctx, bool last)
{
    assert_ptr_equal(ctx, &due);
    assert_true(last || pthread_equal(due.thread, pthread_self()));
    due.calls++;
    due.last += last;
    if (!last && (due.for_ever || due.calls < 3)) {
        http_call_in(due.reply, 1, on_due, ctx);
        return;
    }
    http_add(due.reply, "in time", 7);
    http_finish(due.reply);
}

static void in_a_moment(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    due.reply = reply;
    due.thread = pthread_self();
    due.calls = due.last = 0;
    http_defer(reply, 20000);
    http_call_in(reply, 1, on_due, &due);
}

static void ok(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_add(reply, "ok", 2);
}

static const struct http_route routes[] = {
    {"/later", HTTP_POST, false, later, NULL},
    {"/at-once", HTTP_GET, false, at_once, NULL},
    {"/in-a-moment", HTTP_GET, false, in_a_moment, NULL},
    {"/ok", HTTP_GET, false, ok, NULL},
};

static struct http_server *start(unsigned wait_ms, unsigned drain_ms)
{
    const struct http_limits limits = {
        .body_bytes = BIG_BYTES, .drain_ms = drain_ms, .connections = KEPT_MAX + 1};
    struct http_server *s = NULL;
    struct err err = {0};

    deadline_ms = wait_ms;
    n_kept = 0;
    if (http_server_new(&s, "test", routes, ARRAY_LEN(routes), &limits, &err) < 0 ||
        http_server_listen(s, "127.0.0.1:0", &err) < 0 || http_server_start(s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void wait_until_kept(unsigned n)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RAW_PATIENCE_MS / 1000;
    pthread_mutex_lock(&lock);
    while (n_kept < n)
        assert_int_equal(pthread_cond_timedwait(&more, &lock, &until), 0);
    pthread_mutex_unlock(&lock);
}

/* Arena, header and body are all still there: "noted: me BODY". */
static void let_go(unsigned i)
{
    struct str value = STR("");
    struct http_reply *const reply = kept[i].reply;

    assert_int_equal(http_header(kept[i].req, "x-name", &value), 1);
    http_add(reply, kept[i].note, 7);
    http_add(reply, value.p, value.n);
    http_add(reply, " ", 1);
    http_add_ref(reply, kept[i].req->body.p, kept[i].req->body.n);
    http_finish(reply);
}

static void expect_ok(int fd)
{
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "ok");
}

/* ---- the facts ---- */

static void an_answer_from_another_thread_keeps_the_connection(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s), other = raw_dial(s);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        raw_say(fd, LATER("Content-Length: 5\r\n\r\nhello"));
        wait_until_kept(i + 1);
        expect_ok(other); /* nobody else waits */
        let_go(i);
        const struct raw_answer a = raw_hear(fd);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "noted: me hello");
        assert_false(a.close);
    }
    expect_ok(fd);
    close(fd);
    close(other);
    http_server_free(s);
}

static void an_answer_before_the_handler_returns_is_sent(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s);

    (void)state;
    for (int i = 0; i < 100; i++) {
        raw_say(fd, "GET /at-once HTTP/1.1\r\nHost: n\r\n\r\n");
        assert_string_equal(raw_hear(fd).body, "at once");
    }
    close(fd);
    http_server_free(s);
}

static void a_handler_is_called_again_on_its_thread(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s), other = raw_dial(s);

    (void)state;
    due.for_ever = false;
    for (int i = 0; i < 20; i++) {
        raw_say(fd, "GET /in-a-moment HTTP/1.1\r\nHost: n\r\n\r\n");
        expect_ok(other); /* nobody else waits */
        assert_string_equal(raw_hear(fd).body, "in time");
        assert_int_equal(due.calls, 3);
        assert_int_equal(due.last, 0);
    }
    close(fd);
    close(other);
    http_server_free(s);
}

/* Its peer is gone, and so is the loop: it is told, and nothing is left behind. */
static void who_waits_to_be_called_is_called_at_the_end(void **state)
{
    struct http_server *const s = start(20000, 50);
    const int fd = raw_dial(s), other = raw_dial(s);

    (void)state;
    due.for_ever = true;
    due.calls = 0;
    raw_say(fd, "GET /in-a-moment HTTP/1.1\r\nHost: n\r\n\r\n");
    for (int ms = 0; ms < RAW_PATIENCE_MS && due.calls < 2; ms++)
        raw_sleep_ms(1);
    expect_ok(other);
    close(fd);
    close(other);
    http_server_stop(s);
    assert_int_equal(due.last, 1);
    http_server_free(s);
}

static void what_is_sent_behind_a_deferred_request_waits_for_it(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, LATER("Content-Length: 1\r\n\r\n1") "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n" LATER(
                    "Content-Length: 1\r\n\r\n2"));
    wait_until_kept(1);
    raw_say(fd, "GET /ok HTTP/1.1\r\nHost: n\r\n\r\n");
    raw_sleep_ms(20);
    assert_int_equal(n_kept, 1);
    let_go(0);
    assert_string_equal(raw_hear(fd).body, "noted: me 1");
    assert_string_equal(raw_hear(fd).body, "ok");
    wait_until_kept(2);
    let_go(1);
    assert_string_equal(raw_hear(fd).body, "noted: me 2");
    assert_string_equal(raw_hear(fd).body, "ok");
    close(fd);
    http_server_free(s);
}

static void a_peer_that_has_said_all_gets_its_answer(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, LATER("Content-Length: 0\r\n\r\n"));
    shutdown(fd, SHUT_WR);
    wait_until_kept(1);
    raw_sleep_ms(20);
    let_go(0);
    assert_string_equal(raw_hear(fd).body, "noted: me ");
    raw_expect_closed(fd);
    http_server_free(s);
}

static void a_peer_that_hangs_up_leaves_the_request_whole(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int reset = raw_dial(s), closed = raw_dial(s);

    (void)state;
    raw_say(reset, LATER("Content-Length: 5\r\n\r\nhello"));
    wait_until_kept(1);
    raw_say(closed, LATER("Content-Length: 5\r\n\r\nhello"));
    wait_until_kept(2);
    raw_reset(reset);
    close(closed);
    raw_sleep_ms(20);
    let_go(0);
    let_go(1);
    raw_wait_until_open(s, 0);
    const int fd = raw_dial(s);
    expect_ok(fd);
    close(fd);
    http_server_free(s);
}

static void without_an_answer_the_peer_gets_504_and_a_late_one_is_dropped(void **state)
{
    struct http_server *const s = start(30, 0);
    const int fd = raw_dial(s), gone = raw_dial(s);

    (void)state;
    raw_say(fd, LATER("Content-Length: 5\r\n\r\nhello"));
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, 504);
    assert_true(a.close);
    raw_expect_closed(fd);
    raw_say(gone, LATER("Content-Length: 5\r\n\r\nhello"));
    wait_until_kept(2);
    raw_reset(gone);
    raw_wait_until_open(s, 0);
    let_go(0); /* body, arena and head outlived the connection */
    let_go(1);
    const int again = raw_dial(s);
    expect_ok(again);
    close(again);
    http_server_free(s);
}

static void a_large_answer_comes_later_whole(void **state)
{
    struct http_server *const s = start(20000, 0);
    const int fd = raw_dial(s);
    char *const body = malloc(BIG_BYTES), *const got = malloc(BIG_BYTES);

    (void)state;
    assert_true(body && got);
    for (size_t i = 0; i < BIG_BYTES; i++)
        body[i] = (char)('a' + i % 23);
    char head[200];
    (void)snprintf(head, sizeof(head), LATER("Content-Length: %d\r\n\r\n"), BIG_BYTES);
    raw_say(fd, head);
    raw_push(fd, body, BIG_BYTES);
    wait_until_kept(1);
    let_go(0);
    assert_int_equal(raw_read_head(fd).n, BIG_BYTES + 10);
    assert_int_equal(recv(fd, got, 10, MSG_WAITALL), 10);
    assert_int_equal(recv(fd, got, BIG_BYTES, MSG_WAITALL), BIG_BYTES);
    assert_memory_equal(got, body, BIG_BYTES);
    expect_ok(fd);
    close(fd);
    free(body);
    free(got);
    http_server_free(s);
}

static void *let_go_of_a_quarter(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; i < KEPT_MAX; i += 4)
        let_go(KEPT_MAX - 1 - i);
    return NULL;
}

static void many_are_answered_by_many_threads(void **state)
{
    struct http_server *const s = start(20000, 0);
    int fd[KEPT_MAX];
    pthread_t threads[4];

    (void)state;
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        fd[i] = raw_dial(s);
        raw_say(fd[i], LATER("Content-Length: 1\r\n\r\n1"));
    }
    wait_until_kept(KEPT_MAX);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, let_go_of_a_quarter, (void *)i), 0);
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        assert_string_equal(raw_hear(fd[i]).body, "noted: me 1");
        expect_ok(fd[i]);
        close(fd[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    http_server_free(s);
}

/* ---- stopping ---- */

static void *stop(void *arg)
{
    http_server_stop(arg);
    return NULL;
}

static void a_stop_waits_for_answers_that_come_in_time(void **state)
{
    struct http_server *const s = start(20000, 20000);
    const int fd = raw_dial(s);
    pthread_t stopper;

    (void)state;
    raw_say(fd, LATER("Content-Length: 1\r\n\r\n1"));
    wait_until_kept(1);
    assert_int_equal(pthread_create(&stopper, NULL, stop, s), 0);
    raw_sleep_ms(20);
    assert_int_equal(raw_open_connections(s), 1);
    let_go(0);
    const struct raw_answer a = raw_hear(fd);
    assert_string_equal(a.body, "noted: me 1");
    assert_true(a.close);
    raw_expect_closed(fd);
    pthread_join(stopper, NULL);
    http_server_free(s);
}

static void a_stop_does_not_wait_for_ever_and_the_answer_may_come_after_it(void **state)
{
    struct http_server *const s = start(20000, 30);
    const int fd = raw_dial(s);

    (void)state;
    raw_say(fd, LATER("Content-Length: 5\r\n\r\nhello"));
    wait_until_kept(1);
    http_server_stop(s);
    assert_int_equal(raw_open_connections(s), 0);
    let_go(0);
    close(fd);
    http_server_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_from_another_thread_keeps_the_connection),
        cmocka_unit_test(an_answer_before_the_handler_returns_is_sent),
        cmocka_unit_test(a_handler_is_called_again_on_its_thread),
        cmocka_unit_test(who_waits_to_be_called_is_called_at_the_end),
        cmocka_unit_test(what_is_sent_behind_a_deferred_request_waits_for_it),
        cmocka_unit_test(a_peer_that_has_said_all_gets_its_answer),
        cmocka_unit_test(a_peer_that_hangs_up_leaves_the_request_whole),
        cmocka_unit_test(without_an_answer_the_peer_gets_504_and_a_late_one_is_dropped),
        cmocka_unit_test(a_large_answer_comes_later_whole),
        cmocka_unit_test(many_are_answered_by_many_threads),
        cmocka_unit_test(a_stop_waits_for_answers_that_come_in_time),
        cmocka_unit_test(a_stop_does_not_wait_for_ever_and_the_answer_may_come_after_it),
    };

    http_process_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
