/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extender role: kube-scheduler's filter and prioritize, answered from memory. Reads snapshots
 * of the cluster, keeps each decision in the ring, counts for /metrics.
 */
#ifndef EXTENDER_EXTENDER_H
#define EXTENDER_EXTENDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "decide/decide.h"
#include "net/http.h"

struct buf;
struct cluster;
struct err;
struct kube_access;
struct recorder;
struct ring;
struct score_pod;

#define EXT_PREFIX "/scheduler" /* what urlPrefix ends with */

enum { EXT_ROUTES = 4 /* at most */ };

struct ext_settings {
    enum decide_mode mode;
    uint32_t max_score; /* 1..DECIDE_LIMIT_MAX_SCORE */
    int64_t max_age_us; /* topology.maxAge */
    uint32_t shortlist; /* 0 = none */
    bool decide;        /* prioritize gives one node a score */
    bool sparse_scores; /* prioritize leaves out the nodes with the lowest score */
};

struct ext;

/* `cluster` and `ring` are borrowed and outlive it; `ring` may be NULL. 0, -ENOMEM. */
int ext_new(struct ext **out, struct cluster *cluster, struct ring *ring,
            const struct ext_settings *settings, struct err *err) MUST_CHECK;
void ext_free(struct ext *e); /* NULL is fine */

/*
 * Serve bind, too, at the API server that `access` leads to, which is borrowed and outlives `e`.
 * Before ext_routes. An answer comes within `bind_ms`. 0, or what binder_new says.
 */
int ext_add_bind(struct ext *e, const struct kube_access *access, uint32_t bind_ms,
                 struct err *err) MUST_CHECK;

/*
 * Let up to `threads` (1..CREW_MOST) threads, the listener's among them, judge the nodes of one
 * call. Before ext_routes. 0, or what crew_new says.
 */
int ext_add_crew(struct ext *e, uint32_t threads, struct err *err) MUST_CHECK;

/*
 * A filter that would refuse every node waits up to `ms` for newer state, and is then worked out
 * once more: kube-scheduler asks about a pod that waits in the millisecond in which it sees another
 * one gone, and if we see it later, the refusal stands until the next change of the cluster. 0 =
 * no. Before ext_routes.
 */
void ext_add_second_look(struct ext *e, uint32_t ms);

/*
 * Make kube-scheduler ask again about pods that filter refused on every node, where they would be
 * admitted now, by a touch of `object` (extender/retry.h). Before ext_routes. 0, or what retry_new
 * says.
 */
int ext_add_retry(struct ext *e, const struct kube_access *access, const char *object,
                  struct err *err) MUST_CHECK;

/* Serve preempt, too. Before ext_routes. */
void ext_add_preempt(struct ext *e);

/*
 * A pod on a node has failed. Where its kubelet has refused it, though a decision had admitted it
 * there, that is counted, noted with the decision, told as an Event (`recorder` NULL: it is not),
 * and the node is in doubt for a while. On the recorder's thread.
 */
void ext_pod_failed(struct ext *e, const struct score_pod *pod, struct recorder *recorder);

/* The listener has stopped: what is not answered yet is answered now. */
void ext_stop(struct ext *e);

/* From any thread; the next request sees it. */
void ext_set(struct ext *e, const struct ext_settings *settings);

/* The routes to serve, and how many; they borrow `e`. */
size_t ext_routes(struct ext *e, struct http_route out[EXT_ROUTES]);

/* Append the role's families in the Prometheus text format. `ctx` is the ext; from any thread. */
void ext_metrics(void *ctx, struct buf *out);

#endif
