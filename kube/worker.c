/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "kube/api.h"

struct kube_worker {
    struct event_base *base;
    struct kube_api *api;
    struct event *wake, *tick_ev;
    int wake_fd;
    pthread_t thread;
    bool started;
    void (*tick)(void *ctx);
    void *ctx;
    pthread_mutex_t lock;
    struct kube_task *first, **last; /* posted, in order; under the lock */
    bool stops;                      /* under the lock */
};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct kube_worker *const w = arg;
    uint64_t n;

    (void)what;
    if (read(fd, &n, sizeof(n)) < 0)
        return;
    (void)pthread_mutex_lock(&w->lock);
    struct kube_task *task = w->first;
    w->first = NULL;
    w->last = &w->first;
    const bool stops = w->stops;
    (void)pthread_mutex_unlock(&w->lock);
    for (struct kube_task *next; task; task = next) {
        next = task->next; /* the task may be gone when it has run */
        task->run(task->ctx);
    }
    if (stops)
        (void)event_base_loopbreak(w->base);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct kube_worker *const w = arg;

    (void)fd, (void)what;
    w->tick(w->ctx);
}

static void *run(void *arg)
{
    const struct kube_worker *const w = arg;

    (void)event_base_dispatch(w->base);
    return NULL;
}

/* Signals are the main thread's. */
static int start(struct kube_worker *w, struct err *err)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return err_set(err, -EIO, "cannot start a thread: %s", strerror(rc));
    w->started = true;
    return 0;
}

static int fill(struct kube_worker *w, const struct kube_access *access, struct err *err)
{
    static const struct kube_api_options usual;

    w->base = event_base_new();
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!w->base || w->wake_fd < 0)
        return err_set(err, -EIO, "no event loop");
    w->wake = event_new(w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
    w->tick_ev = evtimer_new(w->base, on_tick, w);
    if (!w->wake || !w->tick_ev || event_add(w->wake, NULL))
        return err_set(err, -ENOMEM, "no memory for a worker");
    const int rc = kube_api_new(&w->api, w->base, access, &usual, err);
    return rc ? rc : start(w, err);
}

int kube_worker_new(struct kube_worker **out, const struct kube_access *access,
                    void (*tick)(void *ctx), void *ctx, struct err *err)
{
    struct kube_worker *const w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, -ENOMEM, "no memory for a worker");
    w->tick = tick;
    w->ctx = ctx;
    w->last = &w->first;
    (void)pthread_mutex_init(&w->lock, NULL);
    const int rc = fill(w, access, err);
    if (rc)
        kube_worker_free(w);
    else
        *out = w;
    return rc;
}

static void wake(struct kube_worker *w)
{
    const uint64_t one = 1;

    while (write(w->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

void kube_worker_free(struct kube_worker *w)
{
    if (!w)
        return;
    if (w->started) {
        (void)pthread_mutex_lock(&w->lock);
        w->stops = true;
        (void)pthread_mutex_unlock(&w->lock);
        wake(w);
        (void)pthread_join(w->thread, NULL);
    }
    kube_api_free(w->api);
    if (w->wake)
        event_free(w->wake);
    if (w->tick_ev)
        event_free(w->tick_ev);
    if (w->base)
        event_base_free(w->base);
    if (w->wake_fd >= 0)
        (void)close(w->wake_fd);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

void kube_worker_post(struct kube_worker *w, struct kube_task *task)
{
    task->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    *w->last = task;
    w->last = &task->next;
    (void)pthread_mutex_unlock(&w->lock);
    wake(w);
}

void kube_worker_tick_in(struct kube_worker *w, uint32_t ms)
{
    const struct timeval t = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    if (!evtimer_pending(w->tick_ev, NULL))
        (void)evtimer_add(w->tick_ev, &t);
}

struct kube_api *kube_worker_api(struct kube_worker *w)
{
    return w->api;
}
