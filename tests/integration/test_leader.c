/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election over HTTP, with a server that keeps one Lease. The last test has candidates in
 * processes of their own, one of which is stopped by SIGSTOP while it leads.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "kube/api.h"
#include "kube/kubeconfig.h"
#include "kube/leader.h"
#include "tests/support/fake_api.h"
#include "tests/support/fake_lease.h"

enum { PATIENCE_MS = 60000 };

#define LEASES FAKE_LEASES

/*
 * Short, for tests that wait until a lease has run out; and one that does not run out while a slow
 * machine is busy with something else, and is tried for as often.
 */
static const struct lease_times short_times = {3000, 2400, 400}, long_times = {120000, 90000, 400};

/* ---- a candidate in this process ---- */

struct candidate {
    struct kube_access access;
    struct event_base *base;
    struct kube_api *api;
    struct leader *leader;
    int changes, problems;
    bool leads, released;
    char problem[300];
};

static void on_changed(void *ctx, bool leads)
{
    struct candidate *const c = ctx;

    c->changes++;
    c->leads = leads;
}

static void on_problem(void *ctx, const char *text)
{
    struct candidate *const c = ctx;

    c->problems++;
    (void)snprintf(c->problem, sizeof(c->problem), "%s", text);
}

static void on_released(void *ctx)
{
    ((struct candidate *)ctx)->released = true;
}

static void open_candidate(struct candidate *c, const char *url, const char *identity,
                           const struct lease_times *times)
{
    const struct leader_options options = {.ns = "sys",
                                           .name = "numawise",
                                           .identity = identity,
                                           .times = *times,
                                           .changed = on_changed,
                                           .problem = on_problem,
                                           .ctx = c};
    static const struct kube_api_options usual;
    struct err err = {0};

    *c = (struct candidate){.base = event_base_new()};
    c->access.server = strdup(url);
    if (kube_api_new(&c->api, c->base, &c->access, &usual, &err) ||
        leader_new(&c->leader, c->api, c->base, &options, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static void close_candidate(struct candidate *c)
{
    leader_free(c->leader);
    kube_api_free(c->api);
    event_base_free(c->base);
    kube_access_done(&c->access);
}

/* Turns of the loop until `*what` is `want`. */
static void turn_until(struct candidate *c, const bool *what, bool want)
{
    const uint64_t end = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);

    while (*what != want && clock_monotonic_ns() < end) {
        (void)event_base_loop(c->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(*what, want);
}

/* ---- the facts ---- */

/* The head and body of the last request, which is to be a renewal: before it may be others. */
static void turn_until_renewed(struct candidate *c, struct fake_api *f, int patches,
                               struct buf *head, struct buf *body)
{
    const uint64_t end = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);

    do {
        (void)event_base_loop(c->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        (void)poll(NULL, 0, 1);
        buf_free(head);
        buf_free(body);
        fake_api_last(f, head, body);
    } while ((fake_lease_patches() < patches || strncmp(head->p, "PATCH ", 6) != 0) &&
             clock_monotonic_ns() < end);
}

static void who_is_alone_leads_and_renews(void **state)
{
    struct fake_api *const f = *state;
    struct candidate c;
    struct buf head = {0}, body = {0};
    char who[64];

    fake_lease_clear();
    open_candidate(&c, fake_api_url(f), "a", &long_times);
    assert_false(leader_may_act(c.leader));
    turn_until(&c, &c.leads, true);
    assert_true(leader_may_act(c.leader));
    fake_lease_holder(who);
    assert_string_equal(who, "a");
    turn_until_renewed(&c, f, 3, &head, &body);
    assert_non_null(strstr(head.p, "PATCH " LEASES "/numawise "));
    assert_non_null(strcasestr(head.p, "content-type: application/merge-patch+json"));
    assert_non_null(strstr(body.p, "\"resourceVersion\":\""));
    buf_free(&body);
    leader_metrics(c.leader, &body);
    assert_non_null(strstr(body.p, "leader_election_slowpath_total{name=\"numawise\"} "));
    assert_non_null(strstr(body.p, "leader_election_master_status{name=\"numawise\"} "));
    assert_true(leader_is_healthy(c.leader, who, sizeof(who)));
    close_candidate(&c);
    buf_free(&head);
    buf_free(&body);
}

static void what_is_released_goes_to_the_next(void **state)
{
    struct fake_api *const f = *state;
    struct candidate a, b;
    char who[64];

    fake_lease_clear();
    open_candidate(&a, fake_api_url(f), "a", &long_times);
    turn_until(&a, &a.leads, true);
    open_candidate(&b, fake_api_url(f), "b", &long_times);
    leader_release(a.leader, on_released, &a);
    assert_false(leader_may_act(a.leader));
    turn_until(&a, &a.released, true);
    assert_false(a.leads);
    fake_lease_holder(who);
    assert_string_equal(who, "");
    turn_until(&b, &b.leads, true);
    assert_int_equal(leader_epoch(b.leader), 1);
    close_candidate(&a);
    close_candidate(&b);
}

static void without_the_server_it_stops_acting_and_says_so_once(void **state)
{
    struct fake_api *const f = *state;
    struct candidate c;

    fake_lease_clear();
    open_candidate(&c, fake_api_url(f), "a", &short_times);
    turn_until(&c, &c.leads, true);
    fake_api_down(f);
    const int before = c.problems;
    turn_until(&c, &c.leads, false);
    assert_false(leader_may_act(c.leader));
    assert_in_range(c.problems - before, 0, 2); /* though it asked every 0.4 s */
    assert_true(c.problems > 0);
    fake_api_up(f);
    turn_until(&c, &c.leads, true);
    assert_true(c.changes >= 3);
    close_candidate(&c);
}

static void what_the_server_refuses_is_told(void **state)
{
    struct fake_api *const f = *state;
    struct candidate c;
    bool told = false;

    fake_lease_clear();
    fake_api_fault(f, FAKE_STATUS, LEASES, FAKE_BOTH, FAKE_ALWAYS, 403, 0);
    open_candidate(&c, fake_api_url(f), "a", &long_times);
    const uint64_t end = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    while (!told && clock_monotonic_ns() < end) {
        (void)event_base_loop(c.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        told = c.problems > 0;
    }
    assert_non_null(strstr(c.problem, "GET " LEASES "/numawise: 403"));
    assert_false(c.leads);
    fake_api_heal(f);
    turn_until(&c, &c.leads, true);
    close_candidate(&c);
}

static void it_may_be_freed_at_any_moment(void **state)
{
    struct fake_api *const f = *state;
    struct candidate c;

    for (int turns = 0; turns < 30; turns++) {
        fake_lease_clear();
        open_candidate(&c, fake_api_url(f), "a", &short_times);
        for (int i = 0; i < turns; i++)
            (void)event_base_loop(c.base, EVLOOP_NONBLOCK | EVLOOP_ONCE), (void)poll(NULL, 0, 1);
        if (turns % 3 == 0)
            leader_release(c.leader, on_released, &c);
        close_candidate(&c);
    }
}

static void names_and_times_are_checked(void **state)
{
    struct leader_options options = {
        .ns = "sys", .name = "n", .identity = "a", .times = short_times};
    struct event_base *const base = event_base_new();
    struct leader *l;
    struct err err;

    (void)state;
    options.ns = "a/b";
    assert_int_equal(leader_new(&l, NULL, base, &options, &err), -EINVAL);
    assert_string_equal(err.text, "namespace of the lease: \"a/b\" is no name of an object");
    options.ns = "sys", options.name = "";
    assert_int_equal(leader_new(&l, NULL, base, &options, &err), -EINVAL);
    options.name = "n", options.identity = "";
    assert_int_equal(leader_new(&l, NULL, base, &options, &err), -EINVAL);
    options.identity = "a", options.times.renew_ms = 3000;
    assert_int_equal(leader_new(&l, NULL, base, &options, &err), -EINVAL);
    event_base_free(base);
}

/* ---- candidates in processes of their own ---- */

/* Something done by who leads. `at` is from before the question whether it may. */
struct act {
    uint64_t at;
    int64_t epoch;
};

/* The program itself, started as: test_leader URL IDENTITY. Its acts go to stdout. */
static int act_for_ever(const char *url, const char *identity)
{
    struct candidate c;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_candidate(&c, url, identity, &short_times);
    for (;;) {
        (void)event_base_loop(c.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        const struct act act = {clock_boottime_ns(), leader_epoch(c.leader)};
        if (leader_may_act(c.leader) && write(STDOUT_FILENO, &act, sizeof(act)) < 0)
            return 0;
        (void)poll(NULL, 0, 2);
    }
}

enum { EPOCHS = 64 };

struct process {
    pid_t pid;
    int acts; /* its stdout */
    struct act last;
    uint64_t first[EPOCHS], until[EPOCHS]; /* its acts by epoch; 0: none */
};

static void start_process(struct process *p, const char *url, const char *identity)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *p = (struct process){.pid = fork(), .acts = ends[0]};
    if (p->pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execl("/proc/self/exe", "test_leader", url, identity, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    (void)close(ends[1]);
}

static void stop_process(struct process *p)
{
    (void)kill(p->pid, SIGKILL);
    (void)waitpid(p->pid, NULL, 0);
    (void)close(p->acts);
}

/* What it has done meanwhile. */
static void read_acts(struct process *p)
{
    struct act act;

    while (read(p->acts, &act, sizeof(act)) == (ssize_t)sizeof(act)) {
        assert_in_range(act.epoch, 0, EPOCHS - 1);
        if (p->first[act.epoch] == 0)
            p->first[act.epoch] = act.at;
        p->until[act.epoch] = act.at;
        p->last = act;
    }
}

static bool has_acted(const struct process *p, int64_t epoch)
{
    return p->last.at > 0 && p->last.epoch >= epoch;
}

/* Until it has acted in `epoch` or a later one. */
static void wait_for_act(struct process *p, int64_t epoch)
{
    for (int ms = 0; ms < PATIENCE_MS && !has_acted(p, epoch); ms += 5) {
        (void)poll(NULL, 0, 5);
        read_acts(p);
    }
    assert_true(has_acted(p, epoch));
}

/* For so long somebody acts, who is not said. */
static void let_act(struct process *a, struct process *b, uint64_t ms)
{
    const uint64_t until =
        (a->last.at > b->last.at ? a->last.at : b->last.at) + ms * UINT64_C(1000000);

    for (int waited = 0; waited < PATIENCE_MS && a->last.at < until && b->last.at < until;
         waited += 5) {
        (void)poll(NULL, 0, 5);
        read_acts(a);
        read_acts(b);
    }
    assert_true(a->last.at >= until || b->last.at >= until);
}

/* Each epoch is one's alone, and ends before a later one begins. */
static void assert_one_at_a_time(const struct process *a, const struct process *b)
{
    for (int i = 0; i < EPOCHS; i++) {
        if (a->until[i] == 0)
            continue;
        for (int k = 0; k < EPOCHS; k++) {
            if (b->until[k] == 0)
                continue;
            assert_int_not_equal(i, k);
            if (i < k)
                assert_true(a->until[i] < b->first[k]);
            else
                assert_true(b->until[k] < a->first[i]);
        }
    }
}

/*
 * On a machine that is busy elsewhere who leads may lose the lease at any time: what holds then,
 * too, is that acts of two never mix.
 */
static void a_stopped_process_does_nothing_when_it_goes_on(void **state)
{
    struct fake_api *const f = *state;
    struct process a, b;

    fake_lease_clear();
    start_process(&a, fake_api_url(f), "a");
    wait_for_act(&a, 0);
    start_process(&b, fake_api_url(f), "b");
    assert_int_equal(kill(a.pid, SIGSTOP), 0);
    wait_for_act(&b, a.last.epoch + 1); /* it has waited for the whole duration */
    assert_int_equal(kill(a.pid, SIGCONT), 0);
    let_act(&a, &b, 1500); /* b, and a looks on */
    assert_one_at_a_time(&a, &b);
    assert_int_equal(kill(b.pid, SIGSTOP), 0); /* and back */
    read_acts(&b);
    wait_for_act(&a, b.last.epoch + 1);
    assert_int_equal(kill(b.pid, SIGCONT), 0);
    let_act(&a, &b, 500);
    assert_one_at_a_time(&a, &b);
    stop_process(&a);
    stop_process(&b);
}

static int start(void **state)
{
    static const struct fake_api_options options;
    struct fake_api *const f = fake_api_new(&options);

    fake_api_handle(f, fake_lease_handle, NULL);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    fake_api_free(*state);
    fake_lease_clear();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_alone_leads_and_renews),
        cmocka_unit_test(what_is_released_goes_to_the_next),
        cmocka_unit_test(without_the_server_it_stops_acting_and_says_so_once),
        cmocka_unit_test(what_the_server_refuses_is_told),
        cmocka_unit_test(it_may_be_freed_at_any_moment),
        cmocka_unit_test(names_and_times_are_checked),
        cmocka_unit_test(a_stopped_process_does_nothing_when_it_goes_on),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 3)
        return act_for_ever(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, start, stop);
}
