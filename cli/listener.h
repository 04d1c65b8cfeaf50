/* SPDX-License-Identifier: Apache-2.0 */
/* One listener between the configuration and net/: its limits, its TLS, its figures. */
#ifndef CLI_LISTENER_H
#define CLI_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/config.h"
#include "net/http.h"

struct buf;
struct err;

/* A listener that is switched on. */
struct listener {
    struct http_server *server;  /* NULL: off */
    bool is_secure;              /* TLS since the start, and so until the end */
    _Atomic uint64_t reloads[2]; /* certificates and names taken over, and refused */
};

struct http_limits listener_limits(const struct numawise_config *c, enum config_role role);

/* Show the certificate that the configuration names, if any. Before it listens. */
int listener_secure(struct listener *l, const struct numawise_config *c, enum config_role role,
                    struct err *err) MUST_CHECK;

/* The same again when files or settings may have changed: what cannot be used is logged. */
void listener_renew(struct listener *l, const struct numawise_config *c, enum config_role role);

/* The families of all listeners, [CONFIG_ROLES], in the Prometheus text format. */
void listener_metrics(const struct listener *all, struct buf *out);

#endif
