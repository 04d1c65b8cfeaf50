/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb bind: is the pod still admitted by what is there now, then its Binding at the API
 * server, with the predicted zones as an annotation in the same write. The calls are answered
 * later, by a thread with an API client of its own, so that filter waits for none of this.
 *
 * A node has one binding under way at a time, until the pod is seen there: each is checked against
 * all that came before. Where that takes long, or nobody knows what came of a binding, the API
 * server is asked who is on the node, and nobody is bound there before all of them are seen.
 * Success is said only when the API server has said it, or shows the pod on that node; an answer
 * comes within bind_ms, whatever the API server does.
 */
#ifndef EXTENDER_BIND_H
#define EXTENDER_BIND_H

#include <stdint.h>

#include "base/attr.h"
#include "decide/decide.h"

struct binder;
struct cluster;
struct err;
struct ext_counters;
struct http_reply;
struct http_request;
struct kube_access;

/* On the pod, by the Binding: {"CONTAINER": [zones]} by Linux id. */
#define BIND_ZONES_ANNOTATION "orchestration.gokore.io/predicted-zones"

struct binder_options {
    const struct kube_access *access;
    struct cluster *cluster;
    struct ext_counters *counters;
    uint32_t
        bind_ms; /* from the request to its answer: shorter than kube-scheduler's httpTimeout */
    /* How pods are judged now. From any thread. */
    struct decide_options (*judge)(void *ctx);
    void *ctx;
};

/* Everything is borrowed and outlives it. 0, -ENOMEM, -EIO, or what kube_worker_new says. */
int binder_new(struct binder **out, const struct binder_options *options,
               struct err *err) MUST_CHECK;

/* A handler's part, on the listener's thread. */
void binder_take(struct binder *b, const struct http_request *req, struct http_reply *reply);

/* The listener has stopped: what is not answered yet gets an error. Then nothing is taken. */
void binder_stop(struct binder *b);
void binder_free(struct binder *b); /* NULL is fine; stops first */

#endif
