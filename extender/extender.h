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
struct ring;

#define EXT_PREFIX "/scheduler" /* what urlPrefix ends with */

enum { EXT_ROUTES = 2 };

struct ext_settings {
    enum decide_mode mode;
    uint32_t max_score; /* 1..DECIDE_LIMIT_MAX_SCORE */
    int64_t max_age_us; /* topology.maxAge */
    uint32_t shortlist; /* 0 = none */
};

struct ext;

/* `cluster` and `ring` are borrowed and outlive it; `ring` may be NULL. 0, -ENOMEM. */
int ext_new(struct ext **out, struct cluster *cluster, struct ring *ring,
            const struct ext_settings *settings, struct err *err) MUST_CHECK;
void ext_free(struct ext *e); /* NULL is fine */

/* From any thread; the next request sees it. */
void ext_set(struct ext *e, const struct ext_settings *settings);

/* The routes to serve; they borrow `e`. */
void ext_routes(struct ext *e, struct http_route out[EXT_ROUTES]);

/* Append the role's families in the Prometheus text format. `ctx` is the ext; from any thread. */
void ext_metrics(void *ctx, struct buf *out);

#endif
