/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One candidate for a Lease at an API server: kube/lease.h on an event loop. Everything is for the
 * thread of the loop except where it says otherwise.
 *
 * It needs `get`, `create` and `patch` on leases.coordination.k8s.io in its namespace.
 */
#ifndef KUBE_LEADER_H
#define KUBE_LEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "kube/lease.h"

struct buf;
struct err;
struct event_base;
struct kube_api;
struct leader;

/* All texts are copied. */
struct leader_options {
    const char *ns, *name; /* of the Lease */
    const char *identity;  /* nobody else's, also not our own before a restart */
    struct lease_times times;
    /*
     * Both may be NULL, and may not free it. It leads from now on, or no longer (it may have acted
     * less long).
     */
    void (*changed)(void *ctx, bool leads);
    /* What keeps it from knowing, once per spell of trouble, for people. */
    void (*problem)(void *ctx, const char *text);
    void *ctx;
};

/*
 * Begins with the loop's next turn. `api` and `base` are borrowed and outlive it. 0; -EINVAL
 * (times, texts too long); -ENOMEM.
 */
int leader_new(struct leader **out, struct kube_api *api, struct event_base *base,
               const struct leader_options *options, struct err *err) MUST_CHECK;
void leader_free(struct leader *l); /* at once, without a release. NULL is fine */

/*
 * Give it up. From here on leader_may_act is false; `done` is called once, on the loop, when others
 * need not wait any more or that cannot be had.
 */
void leader_release(struct leader *l, void (*done)(void *ctx), void *ctx);

/*
 * From any thread, right before each act: may it be done? What was begun is protected by
 * preconditions on what is acted on (uid, resourceVersion), for no clock can do that.
 */
bool leader_may_act(const struct leader *l);

/* leaseTransitions since it leads: what was decided under a smaller one is another's. Any thread.
 */
int32_t leader_epoch(const struct leader *l);

/*
 * From any thread. False when it is still the holder long after it should have renewed or noticed
 * that it cannot: the loop is stuck, and a restart mends it. `why` [room] says so.
 */
bool leader_is_healthy(const struct leader *l, char *why, size_t room);

/* Whose lease it is, as far as is known; empty: nobody's. Of the loop's thread, until its next
 * turn. */
const char *leader_holder(const struct leader *l);

/* leader_election_master_status and leader_election_slowpath_total, as client-go names them. */
void leader_metrics(const struct leader *l, struct buf *out);

#endif
