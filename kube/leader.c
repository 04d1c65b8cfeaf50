/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/leader.h"

#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metric.h"
#include "kube/api.h"

enum { NAME_BYTES = 254, PATH_BYTES = 2 * NAME_BYTES + 80, STUCK_MS = 20000 };

#define MS UINT64_C(1000000)

struct leader {
    struct kube_api *api;
    struct leader_options options; /* its texts are the two below */
    char ns[NAME_BYTES], name[NAME_BYTES];
    struct lease lease;
    struct event *timer;
    struct kube_call *call; /* what is out */
    uint64_t random;
    bool led;       /* what `changed` was told last */
    bool is_silent; /* the trouble was told */
    void (*released)(void *ctx);
    void *released_ctx;
    /* For any thread. */
    atomic_uint_fast64_t acts_until_ns; /* 0: it does not lead */
    atomic_int_fast32_t epoch;
    atomic_uint_fast64_t slow_paths;
};

static uint32_t draw(struct leader *l)
{
    l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(l->random >> 32);
}

/* ---- what others see ---- */

static void publish(struct leader *l)
{
    const struct lease *const lease = &l->lease;
    const uint64_t until = lease->renewed_ns + lease->times.renew_ms * MS;

    atomic_store(&l->epoch, lease->seen.transitions);
    atomic_store(&l->acts_until_ns, lease->leads ? until : 0);
    atomic_store(&l->slow_paths, lease->slow_paths);
    if (lease->leads == l->led)
        return;
    l->led = lease->leads;
    if (l->options.changed)
        l->options.changed(l->options.ctx, l->led);
}

bool leader_may_act(const struct leader *l)
{
    return clock_boottime_ns() < atomic_load(&l->acts_until_ns);
}

int32_t leader_epoch(const struct leader *l)
{
    return (int32_t)atomic_load(&l->epoch);
}

const char *leader_holder(const struct leader *l)
{
    return l->lease.seen.holder;
}

bool leader_is_healthy(const struct leader *l, char *why, size_t room)
{
    const uint64_t until = atomic_load(&l->acts_until_ns), now = clock_boottime_ns();

    if (until == 0 || now < until + STUCK_MS * MS)
        return true;
    (void)snprintf(why, room, "leads, and has not looked at its lease for %llu s",
                   (unsigned long long)((now - until) / 1000 / MS));
    return false;
}

void leader_metrics(const struct leader *l, struct buf *out)
{
    static const char status[] = "leader_election_master_status",
                      slow[] = "leader_election_slowpath_total";

    metric_family(out, status, "gauge", "1: it holds the lease and may act.");
    buf_printf(out, "%s{name=\"%s\"} %d\n", status, l->name, leader_may_act(l));
    metric_family(out, slow, "counter", "Renewals for which the lease had to be read first.");
    buf_printf(out, "%s{name=\"%s\"} %llu\n", slow, l->name,
               (unsigned long long)atomic_load(&l->slow_paths));
}

/* ---- the loop ---- */

static void go_on(struct leader *l);

static void tell(struct leader *l, const char *text)
{
    if (!l->is_silent && l->options.problem)
        l->options.problem(l->options.ctx, text);
    l->is_silent = true;
}

static enum lease_outcome outcome_of(struct leader *l, const struct kube_answer *answer,
                                     struct lease_record *got)
{
    struct err err = answer->err;

    if (err.code == -ENOENT)
        return LEASE_MISSING;
    if (err.code == -EEXIST)
        return LEASE_CONFLICT;
    if (err.code == 0 && lease_decode(got, answer->body, &err) == 0) {
        l->is_silent = false;
        return LEASE_OK;
    }
    if (answer->err.code == 0)
        (void)err_wrap(&err, err.code, "the lease %s/%s", l->ns, l->name);
    tell(l, err.text);
    return LEASE_FAILED;
}

static void on_done(void *ctx, const struct kube_answer *answer)
{
    struct leader *const l = ctx;
    struct lease_record got = {0};
    const enum lease_outcome outcome = outcome_of(l, answer, &got);

    l->call = NULL;
    lease_answer(&l->lease, outcome, &got, clock_boottime_ns(), draw(l));
    go_on(l);
}

/* 0, or why it did not go out. */
static int ask(struct leader *l, enum lease_step step, const struct lease_record *r)
{
    CLEANUP(buf_free) struct buf body = {0};
    char path[PATH_BYTES];
    struct err err = {0};

    (void)snprintf(path, sizeof(path), "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
                   l->ns, step == LEASE_CREATE ? "" : "/", step == LEASE_CREATE ? "" : l->name);
    if (step == LEASE_CREATE)
        lease_encode(&body, l->ns, l->name, r);
    else if (step == LEASE_UPDATE)
        lease_encode_patch(&body, r);
    const struct kube_request request = {
        .method = step == LEASE_GET      ? KUBE_GET
                  : step == LEASE_CREATE ? KUBE_POST
                                         : KUBE_PATCH,
        .path = path,
        .body = buf_view(&body),
        .content_type = step == LEASE_UPDATE ? KUBE_MERGE_PATCH : NULL,
        .timeout_ms = lease_timeout_ms(&l->lease),
        .done = on_done,
        .ctx = l,
    };
    const int rc = body.failed ? err_set(&err, -ENOMEM, "no memory for a lease")
                               : kube_api_send(l->api, &request, &l->call, &err);
    if (rc)
        tell(l, err.text);
    return rc;
}

static void wait_until(struct leader *l, uint64_t now_ns, uint64_t until_ns)
{
    const uint64_t us = until_ns > now_ns ? (until_ns - now_ns) / 1000 + 1 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    if (until_ns == UINT64_MAX)
        (void)evtimer_del(l->timer);
    else
        (void)evtimer_add(l->timer, &t);
}

/* The last: it may free the leader. */
static void say_released(struct leader *l)
{
    void (*const done)(void *ctx) = l->released;

    l->released = NULL;
    if (done)
        done(l->released_ctx);
}

static void go_on(struct leader *l)
{
    struct lease_record r;
    uint64_t until = UINT64_MAX;
    enum lease_step step = LEASE_WAIT;
    const uint64_t now = clock_boottime_ns();

    do {
        step = lease_next(&l->lease, now, clock_realtime_us(), &r, &until);
        if (step != LEASE_WAIT && step != LEASE_DONE && ask(l, step, &r) < 0)
            lease_answer(&l->lease, LEASE_FAILED, NULL, now, draw(l));
        else
            break;
    } while (true);
    publish(l);
    if (step == LEASE_DONE) {
        (void)evtimer_del(l->timer);
        say_released(l);
        return;
    }
    if (step != LEASE_WAIT) /* and then the deadline, while the answer is waited for */
        (void)lease_next(&l->lease, now, 0, &r, &until);
    wait_until(l, now, until);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    go_on(ctx);
}

/* ---- life ---- */

static int copy(char out[NAME_BYTES], const char *text, const char *what, struct err *err)
{
    const size_t n = strlen(text);

    if (n == 0 || n >= NAME_BYTES || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") != n)
        return err_set(err, -EINVAL, "%s of the lease: \"%s\" is no name of an object", what, text);
    memcpy(out, text, n + 1);
    return 0;
}

static int fill(struct leader *l, const struct leader_options *options, struct err *err)
{
    int rc = lease_check(&options->times, err);

    if (rc == 0)
        rc = copy(l->ns, options->ns, "namespace", err);
    if (rc == 0)
        rc = copy(l->name, options->name, "name", err);
    if (rc == 0 && (!options->identity[0] || strlen(options->identity) >= LEASE_HOLDER_BYTES))
        rc = err_set(err, -EINVAL, "identity for the lease: empty, or too long");
    if (rc == 0)
        lease_init(&l->lease, options->identity, &options->times);
    return rc;
}

int leader_new(struct leader **out, struct kube_api *api, struct event_base *base,
               const struct leader_options *options, struct err *err)
{
    struct leader *const l = calloc(1, sizeof(*l));

    if (!l)
        return err_set(err, -ENOMEM, "no memory for leader election");
    l->api = api;
    l->options = *options;
    l->random = clock_boottime_ns() ^ (uint64_t)(uintptr_t)l;
    int rc = fill(l, options, err);
    if (rc == 0 && !(l->timer = evtimer_new(base, on_timer, l)))
        rc = err_set(err, -ENOMEM, "no memory for leader election");
    if (rc) {
        leader_free(l);
        return rc;
    }
    wait_until(l, 0, 0);
    *out = l;
    return 0;
}

void leader_free(struct leader *l)
{
    if (!l)
        return;
    if (l->call)
        kube_call_cancel(l->call);
    if (l->timer)
        event_free(l->timer);
    free(l);
}

void leader_release(struct leader *l, void (*done)(void *ctx), void *ctx)
{
    l->released = done;
    l->released_ctx = ctx;
    lease_release(&l->lease, clock_boottime_ns());
    atomic_store(&l->acts_until_ns, 0);
    wait_until(l, 0, 0);
}
