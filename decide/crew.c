/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"

/* Of each helper: what one node's judgement needs; of it only what is used takes memory. */
enum { SCRATCH_BYTES = 2 * 1024 * 1024 };

/* What is shared out. */
struct job {
    crew_work *work;
    void *ctx;
    uint32_t n;
    atomic_uint next; /* item */
    atomic_int rc;    /* the first error */
};

struct helper {
    struct crew *crew;
    pthread_t thread;
    char *room;
};

struct crew {
    pthread_mutex_t lock; /* of the four below */
    pthread_cond_t wake, done;
    struct job *job; /* NULL: nothing that one may still join */
    uint64_t turn;   /* one a job, so that nobody joins the same one twice */
    uint32_t busy;   /* helpers that have joined */
    bool end;
    uint32_t least, n;
    struct helper helpers[CREW_MOST - 1];
};

static void take_pieces(struct job *job, struct arena *scratch)
{
    while (atomic_load_explicit(&job->rc, memory_order_relaxed) == 0) {
        const uint32_t from = atomic_fetch_add(&job->next, CREW_PIECE);
        int rc, none = 0;

        if (from >= job->n)
            return;
        rc = job->work(job->ctx, from, job->n - from < CREW_PIECE ? job->n : from + CREW_PIECE,
                       scratch);
        if (rc)
            (void)atomic_compare_exchange_strong(&job->rc, &none, rc);
    }
}

static void *help(void *ctx)
{
    struct helper *const me = ctx;
    struct crew *const c = me->crew;
    struct arena scratch;
    uint64_t seen = 0;

    arena_init(&scratch, me->room, SCRATCH_BYTES);
    pthread_mutex_lock(&c->lock);
    while (!c->end) {
        struct job *const job = c->turn != seen ? c->job : NULL;

        seen = c->turn;
        if (!job) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        c->busy++;
        pthread_mutex_unlock(&c->lock);
        take_pieces(job, &scratch);
        pthread_mutex_lock(&c->lock);
        if (--c->busy == 0)
            pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int crew_share(struct crew *c, uint32_t n, crew_work *work, void *ctx, struct arena *a)
{
    struct job job = {.work = work, .ctx = ctx, .n = n};

    if (!c || n < c->least)
        return work(ctx, 0, n, a);

    pthread_mutex_lock(&c->lock);
    c->job = &job;
    c->turn++;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    take_pieces(&job, a);
    pthread_mutex_lock(&c->lock);
    c->job = NULL;
    while (c->busy)
        pthread_cond_wait(&c->done, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return atomic_load(&job.rc);
}

/* Signals are the main thread's. */
static int start(struct helper *h)
{
    sigset_t all, before;
    int rc;

    h->room = malloc(SCRATCH_BYTES);
    if (!h->room)
        return -ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = -pthread_create(&h->thread, NULL, help, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        free(h->room);
    return rc;
}

int crew_new(struct crew **out, uint32_t helpers, uint32_t least, struct err *err)
{
    struct crew *const c = calloc(1, sizeof(*c));

    if (!c)
        return err_set(err, -ENOMEM, "no memory for threads that judge");
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->done, NULL);
    c->least = least;
    for (; c->n < helpers && c->n < CREW_MOST - 1; c->n++) {
        struct helper *const h = &c->helpers[c->n];

        h->crew = c;
        const int rc = start(h);
        if (rc) {
            crew_free(c);
            return err_set(err, rc, "no thread to judge: %s", strerror(-rc));
        }
    }
    *out = c;
    return 0;
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->end = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (uint32_t i = 0; i < c->n; i++) {
        pthread_join(c->helpers[i].thread, NULL);
        free(c->helpers[i].room);
    }
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The CPUs' worth of time that the container may use, 0 = as much as there is. */
static uint32_t quota(void)
{
    unsigned long long share, period;
    FILE *const f = fopen("/sys/fs/cgroup/cpu.max", "re");
    const int n = f ? fscanf(f, "%llu %llu", &share, &period) : 0; /* "max 100000" has no number */

    if (f)
        (void)fclose(f);
    if (n != 2 || period == 0)
        return 0;
    return share < period ? 1 : share / period > CREW_MOST ? CREW_MOST : (uint32_t)(share / period);
}

uint32_t crew_size(void)
{
    const uint32_t allowed = quota();
    cpu_set_t set;
    uint32_t n;

    CPU_ZERO(&set);
    n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    n = allowed && allowed < n ? allowed : n;
    return n < 1 ? 1 : n > CREW_MOST ? CREW_MOST : n;
}
