/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes kube-scheduler ask again about pods that filter refused on every node and that would be
 * admitted now. kube-scheduler keeps such a pod aside until something changes that it watches, and
 * reports of nodes, policies and signals it does not. It does watch CSIStorageCapacity objects, and
 * any change of one brings back all pods that an extender refused, and nobody else: so an object
 * that nobody else uses is touched (docs/operations.md).
 *
 * Everything is done on a thread of its own, with an API client of its own.
 */
#ifndef EXTENDER_RETRY_H
#define EXTENDER_RETRY_H

#include <stdint.h>

#include "base/attr.h"
#include "decide/decide.h"

struct cluster;
struct err;
struct ext_counters;
struct kube_access;
struct retry;

/* On the object: when it was touched. */
#define RETRY_ANNOTATION "orchestration.gokore.io/retry"

enum {
    RETRY_LOOK_MS = 500,      /* how often pods are looked at, where there are any */
    RETRY_SPEND_MS = 10,      /* and for how long: further ones next time */
    RETRY_PAUSE_MS = 2000,    /* between two touches */
    RETRY_FAILED_MS = 30000,  /* after one that failed */
    RETRY_REFUSED_MS = 600000 /* without the rule, or the object */
};

struct retry_options {
    const struct kube_access *access;
    struct cluster *cluster;
    struct ext_counters *counters;
    const char *object; /* NAMESPACE/NAME, as config_check lets pass */
    /* How pods are judged now. From any thread. */
    struct decide_options (*judge)(void *ctx);
    void *ctx;
};

/* Everything but `object` is borrowed and outlives it. 0, -ENOMEM, -EIO, or what kube_worker_new
   says. */
int retry_new(struct retry **out, const struct retry_options *options, struct err *err) MUST_CHECK;
void retry_free(struct retry *r); /* NULL is fine */

/* What filter has decided. On the listener's thread. */
void retry_tell(struct retry *r, const struct decision *d, const struct decide_ask *ask,
                enum decide_mode mode);

#endif
