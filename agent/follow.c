/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/follow.h"

#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "kube/api.h"
#include "kube/reflector.h"

struct agent_follow {
    struct kube_api *api;
    struct buf collection;
    struct kube_reflector reflector;
    enum kube_reflector_trouble said;
    struct kube_call *call;
    struct event *timer;
    struct agent_names pods;
    void (*changed)(void *ctx);
    void *ctx;
};

static uint64_t now_ns(void)
{
    return clock_monotonic_ns() | 1; /* 0 means never */
}

/* --- what the reflector tells --- */

static void on_begin(void *ctx, bool again)
{
    agent_names_mark(&((struct agent_follow *)ctx)->pods);
}

static int on_upsert(void *ctx, const struct kube_name *name, struct str object)
{
    struct agent_follow *const f = ctx;
    const int rc = agent_names_put(&f->pods, name->ns, name->name, name->uid, object);

    if (rc > 0)
        f->changed(f->ctx);
    return rc < 0 ? rc : 0;
}

static void on_remove(void *ctx, const struct kube_name *name)
{
    struct agent_follow *const f = ctx;

    agent_names_remove(&f->pods, name->ns, name->name);
    f->changed(f->ctx);
}

static void on_end(void *ctx)
{
    struct agent_follow *const f = ctx;

    agent_names_sweep(&f->pods);
    f->changed(f->ctx);
}

static void on_odd(void *ctx, const struct kube_name *name, const char *why)
{
    log_line(LOG_LEVEL_WARN, "agent", "pods: %s", why);
}

/* --- asking --- */

static void drive(struct agent_follow *f);

static void look_at_trouble(struct agent_follow *f)
{
    const enum kube_reflector_trouble trouble = f->reflector.state.trouble;

    if (trouble == f->said)
        return;
    f->said = trouble;
    if (trouble == KUBE_REFLECT_FINE)
        log_line(LOG_LEVEL_INFO, "agent", "pods: followed again");
    else
        log_line(LOG_LEVEL_WARN, "agent", "%s; pods that are not known are not named",
                 f->reflector.last.text);
    f->changed(f->ctx);
}

static void on_started(void *ctx)
{
    struct agent_follow *const f = ctx;

    kube_reflector_started(&f->reflector, now_ns());
    look_at_trouble(f);
}

static int on_data(void *ctx, const char *bytes, size_t n)
{
    return kube_reflector_data(&((struct agent_follow *)ctx)->reflector, now_ns(), bytes, n);
}

static void on_answer(void *ctx, const struct kube_answer *answer)
{
    struct agent_follow *const f = ctx;

    f->call = NULL;
    kube_reflector_answered(&f->reflector, now_ns(), answer);
    look_at_trouble(f);
    drive(f);
}

static void wake_at(struct agent_follow *f, uint64_t now, uint64_t due)
{
    const uint64_t us = due > now ? (due - now) / 1000 + 1 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    (void)evtimer_add(f->timer, &t);
}

static void drive(struct agent_follow *f)
{
    const uint64_t now = now_ns();
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
    look_at_trouble(f);
    wake_at(f, now, now + UINT64_C(1000000000));
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    drive(ctx);
}

/* --- agent/follow.h --- */

int agent_follow_new(struct agent_follow **out, struct event_base *base, struct kube_api *api,
                     const char *node, void (*changed)(void *ctx), void *ctx, struct err *err)
{
    static const struct timeval at_once;
    struct agent_follow *const f = calloc(1, sizeof(*f));

    if (!f)
        return err_set(err, -ENOMEM, "no memory to follow pods");
    const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, f};
    f->api = api;
    f->changed = changed;
    f->ctx = ctx;
    f->said = KUBE_REFLECT_FINE;
    buf_printf(&f->collection, "/api/v1/pods?fieldSelector=spec.nodeName%%3D%s", node);
    kube_reflector_init(&f->reflector, f->collection.p, &sink,
                        (now_ns() ^ (uintptr_t)f) * UINT64_C(0x9e3779b97f4a7c15));
    f->timer = evtimer_new(base, on_timer, f);
    if (f->collection.failed || !f->timer || evtimer_add(f->timer, &at_once)) {
        agent_follow_free(f);
        return err_set(err, -ENOMEM, "no memory to follow pods");
    }
    *out = f;
    return 0;
}

void agent_follow_free(struct agent_follow *f)
{
    if (!f)
        return;
    if (f->call)
        kube_call_cancel(f->call);
    if (f->timer)
        event_free(f->timer);
    kube_reflector_done(&f->reflector);
    buf_free(&f->collection);
    agent_names_done(&f->pods);
    free(f);
}

const struct agent_names *agent_follow_names(const struct agent_follow *f)
{
    return &f->pods;
}

const struct kube_reflector *agent_follow_reflector(const struct agent_follow *f)
{
    return &f->reflector;
}
