/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console role, for people and their tools: decisions made lately, metrics, version. Reads
 * only; every answer is bounded by what is kept.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stddef.h>

#include "base/attr.h"
#include "console/page.h"
#include "net/http.h"

struct buf;
struct cluster;
struct err;
struct ring;

enum { CONSOLE_ROUTES = 5 + CONSOLE_PAGE_ROUTES, CONSOLE_METRICS = 8 };

/* Somebody who has metrics to tell: whole families in the Prometheus text format, any thread. */
struct console_metrics {
    void (*write)(void *ctx, struct buf *out);
    void *ctx;
};

struct console;

/* `cluster` and `ring` are borrowed and outlive it. 0, -ENOMEM. */
int console_new(struct console **out, struct cluster *cluster, struct ring *ring,
                struct err *err) MUST_CHECK;
void console_free(struct console *c); /* NULL is fine */

/* Before the server starts; at most CONSOLE_METRICS. */
void console_add_metrics(struct console *c, struct console_metrics metrics);

/*
 * /v1/decisions, /v1/decisions/{id}, /v1/decisions/{id}/bundle, /v1/mispredictions, /metrics,
 * /version. The routes borrow `c`. Errors have no body: 404 for an unknown decision, 400 for a
 * query that is not `pod=NS/NAME`, 403 on loopback where Host is the name of another site. But for
 * a bundle that cannot be had (409, 410) a Status says why.
 */
void console_routes(struct console *c, struct http_route out[CONSOLE_ROUTES]);

#endif
