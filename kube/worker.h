/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API client with a thread and a loop of its own, for those who have none and must not wait:
 * what is posted runs there one after the other.
 */
#ifndef KUBE_WORKER_H
#define KUBE_WORKER_H

#include <stdint.h>

#include "base/attr.h"

struct err;
struct kube_access;
struct kube_api;
struct kube_worker;

/* Something to do on the worker's thread; the poster's memory, until it is done. */
struct kube_task {
    struct kube_task *next; /* the worker's */
    void (*run)(void *ctx);
    void *ctx;
};

/*
 * `tick` is called on the worker's thread when kube_worker_tick_in said so. `access` is borrowed
 * and outlives it. 0, -ENOMEM, -EIO, or what kube_api_new says.
 */
int kube_worker_new(struct kube_worker **out, const struct kube_access *access,
                    void (*tick)(void *ctx), void *ctx, struct err *err) MUST_CHECK;

/* What was posted before is done first; calls that are out end without a word. NULL is fine. */
void kube_worker_free(struct kube_worker *w);

/* From any thread. */
void kube_worker_post(struct kube_worker *w, struct kube_task *task);

/* On the worker's thread. A tick that is due earlier stays. */
void kube_worker_tick_in(struct kube_worker *w, uint32_t ms);
struct kube_api *kube_worker_api(struct kube_worker *w);

#endif
