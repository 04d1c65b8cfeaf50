/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/follower.h"

#include <errno.h>
#include <event2/event.h>

#include "base/clock.h"
#include "kube/api.h"

static void drive(struct kube_follower *f);

uint64_t kube_follower_now_ns(void)
{
    return clock_monotonic_ns() | 1;
}

static void on_started(void *ctx)
{
    struct kube_follower *const f = ctx;

    kube_reflector_started(&f->reflector, kube_follower_now_ns());
    f->heard(f->ctx);
}

static int on_data(void *ctx, const char *bytes, size_t n)
{
    struct kube_follower *const f = ctx;
    const int rc = kube_reflector_data(&f->reflector, kube_follower_now_ns(), bytes, n);

    f->heard(f->ctx);
    return rc;
}

static void on_answer(void *ctx, const struct kube_answer *answer)
{
    struct kube_follower *const f = ctx;

    f->call = NULL;
    kube_reflector_answered(&f->reflector, kube_follower_now_ns(), answer);
    f->heard(f->ctx);
    drive(f);
}

static void wake_at(struct kube_follower *f, uint64_t now, uint64_t due)
{
    const uint64_t us = due > now ? (due - now) / 1000 + 1 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    (void)evtimer_add(f->timer, &t);
}

static void drive(struct kube_follower *f)
{
    const uint64_t now = kube_follower_now_ns();
    struct kube_reflector_ask ask;
    uint64_t due;

    if (!kube_reflector_next(&f->reflector, now, &ask, &due)) {
        if (due < UINT64_MAX)
            wake_at(f, now, due);
        return;
    }
    const struct kube_request request = {.path = ask.path,
                                         .timeout_ms = ask.timeout_ms,
                                         .idle_ms = ask.idle_ms,
                                         .started = on_started,
                                         .data = on_data,
                                         .done = on_answer,
                                         .ctx = f};
    struct kube_answer refused = {.retry_after_ms = -1, .details = {.retry_after_s = -1}};
    if (kube_api_send(f->api, &request, &f->call, &refused.err) == 0)
        return;
    f->call = NULL;
    kube_reflector_answered(&f->reflector, now, &refused);
    f->heard(f->ctx);
    wake_at(f, now, now + UINT64_C(1000000000));
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    drive(ctx);
}

int kube_follower_init(struct kube_follower *f, struct event_base *base, struct kube_api *api,
                       const char *path, const struct kube_reflector_sink *sink, uint64_t seed,
                       void (*heard)(void *ctx), void *ctx)
{
    static const struct timeval at_once;

    f->api = api;
    f->call = NULL;
    f->heard = heard;
    f->ctx = ctx;
    kube_reflector_init(&f->reflector, path, sink, seed);
    f->timer = evtimer_new(base, on_timer, f);
    return f->timer && evtimer_add(f->timer, &at_once) == 0 ? 0 : -ENOMEM;
}

void kube_follower_done(struct kube_follower *f)
{
    if (f->call)
        kube_call_cancel(f->call);
    if (f->timer)
        event_free(f->timer);
    kube_reflector_done(&f->reflector);
}
