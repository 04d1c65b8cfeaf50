/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /livez, /readyz and /healthz of a listener, in the form of Kubernetes' components: "ok", or with
 * `?verbose` a line a check. When one fails: 503, and every line with its reason. /readyz/NAME is
 * one check alone.
 */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/http.h"

struct cluster;

enum { HEALTH_ROUTES = 6, HEALTH_CHECKS = 16, HEALTH_WHY_BYTES = 128 };

struct health_check {
    const char *name; /* a literal without blanks */
    bool is_of_life;  /* a failure is mended by a restart only: of /livez, too */
    /* From any thread. When it is not good, `why` [HEALTH_WHY_BYTES] gets the reason. */
    bool (*is_good)(void *ctx, char *why);
    void *ctx;
};

/* Borrowed by the routes; outlives the servers. */
struct health {
    struct cluster *cluster;
    struct health_check checks[HEALTH_CHECKS];
    size_t n;
    atomic_bool stopping; /* set on SIGTERM: not ready from then on */
};

/* With the checks every program has: ping, shutdown; and, of a `cluster` (or NULL), state-synced.
 */
void health_init(struct health *h, struct cluster *cluster);

/* Before the servers start. */
void health_add(struct health *h, struct health_check check);

void health_routes(struct health *h, struct http_route out[HEALTH_ROUTES]);

#endif
