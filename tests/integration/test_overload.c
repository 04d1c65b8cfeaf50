/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real program beside clients that misuse its port. How fast it answers meanwhile is
 * bench/overload's; here it is that it answers, whom it parts with, and that all of it ends.
 */
#include "tests/support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/crowd.h"
#include "tests/support/data.h"
#include "tests/support/server.h"

enum {
    CAP = 1024, /* LIMIT_CONNECTIONS, as contract.md has it */
    IDLE = 10000,
    SLOW = 2000,
    PATIENCE_MS = 60000,
    TURN_MS = 20,
    OWN_FILES = 64,
    FEW_FILES = 24, /* connections that fit when the program runs out of descriptors */
};

#define CONFIG "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
#define CROWD  "127.0.0.2"

struct world {
    struct test_server server;
    char dir[TEST_PATH_BYTES], cluster[TEST_PATH_BYTES];
    unsigned files; /* descriptors of the server before anybody came */
    int fd;         /* a client that works, over one connection */
    struct buf question, answer;
};

static void start(struct world *w, const char *limits)
{
    char config[TEST_PATH_BYTES];
    const char *const extra[] = {"--config", config, NULL};
    const char *const base = getenv("TMPDIR");
    struct buf text = {0};

    *w = (struct world){.fd = -1};
    (void)snprintf(w->dir, sizeof(w->dir), "%s/numawise-overload-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    assert_true(snprintf(w->cluster, sizeof(w->cluster), "%s/cluster", w->dir) > 0);
    assert_true(snprintf(config, sizeof(config), "%s/config.yaml", w->dir) > 0);
    test_copy_tree(TEST_EXAMPLES "/cluster", w->cluster);
    buf_printf(&text, "%slimits: {%s}\n", CONFIG, limits);
    test_write(config, buf_view(&text));
    buf_free(&text);
    test_server_start(&w->server, w->cluster, extra);
    w->files = test_descriptors(w->server.pid);
    assert_int_equal(test_file_read(TEST_EXAMPLES "/requests/filter.body", &w->question), 0);
}

static void stop(struct world *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    assert_int_equal(test_server_stop(&w->server, SIGTERM), 0);
    test_remove_tree(w->dir);
    buf_free(&w->question);
    buf_free(&w->answer);
}

/* The whole answer over `fd`, the same as the first one. */
static void ask(struct world *w, int fd)
{
    struct test_reply r;

    assert_true(test_send(fd, "POST", "/scheduler/filter", buf_view(&w->question)));
    if (!test_receive(fd, &r))
        fail_msg("no answer");
    assert_int_equal(r.status, 200);
    assert_false(r.closes);
    if (!w->answer.n)
        buf_str(&w->answer, buf_view(&r.body));
    assert_true(str_eq(buf_view(&r.body), buf_view(&w->answer)));
    test_reply_done(&r);
}

static void ask_as_before(struct world *w)
{
    if (w->fd < 0)
        w->fd = test_connect(w->server.extender);
    assert_true(w->fd >= 0);
    ask(w, w->fd);
}

static void ask_anew(struct world *w)
{
    const int fd = test_connect(w->server.extender);

    assert_true(fd >= 0);
    ask(w, fd);
    (void)close(fd);
}

/* Until the server has at most `n` connections, or at least that many. */
static void await_connections(const struct world *w, unsigned n, bool at_most)
{
    unsigned open = 0;

    for (unsigned ms = 0; ms < PATIENCE_MS; ms += TURN_MS) {
        open = test_descriptors(w->server.pid) - w->files;
        if (at_most ? open <= n : open >= n)
            return;
        (void)poll(NULL, 0, TURN_MS);
    }
    fail_msg("%u connections, %s %u were expected", open, at_most ? "at most" : "at least", n);
}

/* The one that works, and one that comes anew, until the crowd is down to `n`. */
static void serve_until_crowd_is(struct world *w, struct crowd *c, uint32_t n)
{
    for (unsigned ms = 0; ms < PATIENCE_MS; ms += TURN_MS) {
        ask_as_before(w);
        ask_anew(w);
        crowd_look(c);
        if (c->open <= n)
            return;
        (void)poll(NULL, 0, TURN_MS);
    }
    fail_msg("%u of the crowd are still there, %u were expected", c->open, n);
}

/* ---- idle ---- */

static void of_10000_idle_connections_the_cap_stays_and_who_works_is_served(void **state)
{
    const uint32_t n = crowd_room(IDLE, OWN_FILES);
    struct world w;
    struct crowd c;

    start(&w, "");
    ask_as_before(&w);
    crowd_open(&c, n, w.server.extender, CROWD);
    serve_until_crowd_is(&w, &c, CAP - 1);
    for (int i = 0; i < 100; i++) {
        ask_as_before(&w);
        ask_anew(&w);
    }
    assert_true(test_descriptors(w.server.pid) <= w.files + CAP);
    crowd_look(&c);
    assert_int_equal(c.ended, n - c.open);
    crowd_close(&c);
    await_connections(&w, 1, true);
    stop(&w);
}

static void with_room_for_them_10000_idle_connections_all_stay(void **state)
{
    const uint32_t n = crowd_room(IDLE, OWN_FILES);
    struct world w;
    struct crowd c;

    start(&w, "connections: 12000");
    ask_as_before(&w);
    crowd_open(&c, n, w.server.extender, CROWD);
    await_connections(&w, n + 1, false);
    for (int i = 0; i < 100; i++) {
        ask_as_before(&w);
        ask_anew(&w);
    }
    crowd_look(&c);
    assert_int_equal(c.open, n);
    crowd_close(&c);
    await_connections(&w, 1, true);
    ask_as_before(&w);
    stop(&w);
}

/* ---- slow ---- */

static const char slow_head[] =
    "POST /scheduler/filter HTTP/1.1\r\nHost: numawise.example\r\nAccept: a/b, c/d\r\nX-Filler: "
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890";
static const char slow_body[] =
    "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":\"u\"},\"spec\":{"
    "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"30\"}}}]}},\"x\":[1,2";

/* Every second one has sent its head, and says its body by bytes; the others their head. */
static void start_bodies(struct crowd *c)
{
    static const char head[] = "POST /scheduler/filter HTTP/1.1\r\nHost: n\r\n"
                               "Content-Length: 100000\r\n\r\n";

    for (uint32_t i = 1; i < c->n; i += 2)
        (void)send(c->members[i].fd, head, sizeof(head) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void drip_until_all_are_gone(struct world *w, struct crowd *c)
{
    const struct str words[] = {STR(slow_head), STR(slow_body)};

    for (unsigned ms = 0; ms < PATIENCE_MS && c->open; ms += TURN_MS) {
        crowd_drip(c, words, ARRAY_LEN(words));
        ask_as_before(w);
        crowd_look(c);
        (void)poll(NULL, 0, TURN_MS);
    }
    assert_int_equal(c->open, 0);
}

static void slow_clients_hear_408_while_who_works_is_served(void **state)
{
    const uint32_t n = crowd_room(SLOW, OWN_FILES);
    struct world w;
    struct crowd c;

    start(&w, "connections: 4096, headTimeout: 1s, bodyTimeout: 1500ms");
    ask_as_before(&w);
    crowd_open(&c, n, w.server.extender, CROWD);
    await_connections(&w, n + 1, false);
    start_bodies(&c);
    drip_until_all_are_gone(&w, &c);
    assert_int_equal(c.told_408, n);
    await_connections(&w, 1, true);
    ask_anew(&w);
    crowd_close(&c);
    stop(&w);
}

/*
 * A crowd that fills the cap with requests that have just begun, and goes on coming: who sits idle
 * between two requests is the only one that is not at work.
 */
static void slow_clients_at_the_cap_push_out_each_other(void **state)
{
    enum { TURNS = 60, EACH = 50, FEW = 200 };
    static struct crowd crowds[TURNS];
    struct world w;

    (void)crowd_room(TURNS * EACH, OWN_FILES);
    start(&w, "connections: 200");
    ask_as_before(&w);
    for (int i = 0; i < TURNS; i++) {
        crowd_open(&crowds[i], EACH, w.server.extender, CROWD);
        (void)poll(NULL, 0, TURN_MS);
        crowd_say(&crowds[i], STR("POST /scheduler/filter HTTP/1.1\r\nHost: n\r\n"));
        (void)poll(NULL, 0, TURN_MS);
        ask_as_before(&w);
        ask_anew(&w);
        assert_true(test_descriptors(w.server.pid) <= w.files + FEW);
    }
    for (int i = 0; i < TURNS; i++)
        crowd_close(&crowds[i]);
    await_connections(&w, 1, true);
    stop(&w);
}

/* Ten times as many as have a place, each with a whole request: served, closed or told 503. */
static void a_flood_of_ten_times_the_cap_passes_by_who_works(void **state)
{
    enum { FEW = 100, FLOOD = 10 * FEW };
    struct buf request = {0};
    struct world w;
    struct crowd c;

    (void)crowd_room(FLOOD, OWN_FILES);
    start(&w, "connections: 100");
    ask_as_before(&w);
    buf_printf(&request,
               "POST /scheduler/filter HTTP/1.1\r\nHost: n\r\nContent-Length: %zu\r\n\r\n",
               w.question.n);
    buf_str(&request, buf_view(&w.question));
    for (int wave = 0; wave < 5; wave++) {
        crowd_open(&c, FLOOD, w.server.extender, CROWD);
        for (int i = 0; i < 20; i++) {
            crowd_say(&c, buf_view(&request));
            ask_as_before(&w);
            ask_anew(&w);
            assert_true(test_descriptors(w.server.pid) <= w.files + FEW);
        }
        crowd_close(&c);
        await_connections(&w, 1, true);
    }
    ask_as_before(&w);
    buf_free(&request);
    stop(&w);
}

/* ---- no descriptors left ---- */

static struct rlimit files_limit(pid_t pid, const rlim_t *soft)
{
    struct rlimit was, now;

    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &was), 0);
    now = was;
    if (soft) {
        now.rlim_cur = *soft;
        assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &now, NULL), 0);
    }
    return was;
}

/* A server that tries to accept again and again works all the time. */
static void expect_no_spin(const struct world *w)
{
    const uint64_t cpu = process_cpu_time_ns(w->server.pid), start_ns = clock_monotonic_ns();

    (void)poll(NULL, 0, 1000);
    const uint64_t used = process_cpu_time_ns(w->server.pid) - cpu;
    const uint64_t took = clock_monotonic_ns() - start_ns;
    if (used > took / 4)
        fail_msg("%llu ms of work in %llu ms", (unsigned long long)used / 1000000,
                 (unsigned long long)took / 1000000);
}

static void out_of_descriptors(const char *limits, struct str say)
{
    enum { MANY = 500 };
    struct world w;
    struct crowd c;

    (void)crowd_room(MANY, OWN_FILES);
    start(&w, limits);
    ask_as_before(&w);
    const rlim_t few = w.files + FEW_FILES;
    const struct rlimit usual = files_limit(w.server.pid, &few);
    crowd_open(&c, MANY, w.server.extender, CROWD);
    crowd_say(&c, say);
    await_connections(&w, FEW_FILES - 8, false);
    for (int i = 0; i < 3; i++) {
        expect_no_spin(&w);
        ask_as_before(&w);
    }
    assert_true(test_descriptors(w.server.pid) <= few + 2); /* "." and ".." are counted */
    files_limit(w.server.pid, &usual.rlim_cur);
    ask_anew(&w);
    crowd_close(&c);
    await_connections(&w, 1, true);
    ask_as_before(&w);
    stop(&w);
}

static void out_of_descriptors_by_idle_connections_it_neither_spins_nor_stops(void **state)
{
    out_of_descriptors("", STR(""));
}

/* ---- the cap ---- */

static void at_the_cap_newcomers_are_served_one_after_the_other(void **state)
{
    enum { SMALL = 8, NEWCOMERS = 100 };
    struct world w;
    int idle[NEWCOMERS];

    start(&w, "connections: 8");
    ask_as_before(&w);
    for (int i = 0; i < NEWCOMERS; i++) {
        idle[i] = test_connect(w.server.extender);
        ask(&w, idle[i]);
        ask_as_before(&w); /* asked last, so never the one to go */
        assert_true(test_descriptors(w.server.pid) <= w.files + SMALL);
    }
    for (int i = 0; i < NEWCOMERS; i++)
        (void)close(idle[i]);
    await_connections(&w, 1, true);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_10000_idle_connections_the_cap_stays_and_who_works_is_served),
        cmocka_unit_test(with_room_for_them_10000_idle_connections_all_stay),
        cmocka_unit_test(slow_clients_hear_408_while_who_works_is_served),
        cmocka_unit_test(slow_clients_at_the_cap_push_out_each_other),
        cmocka_unit_test(a_flood_of_ten_times_the_cap_passes_by_who_works),
        cmocka_unit_test(out_of_descriptors_by_idle_connections_it_neither_spins_nor_stops),
        cmocka_unit_test(at_the_cap_newcomers_are_served_one_after_the_other),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
