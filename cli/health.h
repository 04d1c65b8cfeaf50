/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /livez, /readyz and /healthz of a listener, in the form of Kubernetes' components: "ok", or with
 * `?verbose` a line a check. A failing one is 503.
 */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "net/http.h"

struct cluster;

enum { HEALTH_ROUTES = 3 };

/* Borrowed by the routes; outlives the servers. */
struct health {
    const struct cluster *cluster;
    atomic_bool stopping; /* set on SIGTERM: not ready from then on */
};

void health_routes(struct health *h, struct http_route out[HEALTH_ROUTES]);

#endif
