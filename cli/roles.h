/* SPDX-License-Identifier: Apache-2.0 */
/* The roles of `serve`: one listener with a thread of its own for each that is switched on. */
#ifndef CLI_ROLES_H
#define CLI_ROLES_H

#include "base/attr.h"
#include "base/config.h"
#include "base/str.h"
#include "cli/health.h"
#include "cli/listener.h"

struct adm;
struct cluster;
struct console;
struct err;
struct ext;
struct lock_names;
struct operator_loop;
struct ring;
struct serve_source;

struct roles {
    struct health health;
    struct ring *ring;
    struct ext *ext;
    struct adm *adm; /* NULL: off */
    struct console *console;
    struct operator_loop *op_loop; /* NULL: off */
    struct listener listeners[CONFIG_ROLES];
};

/* What roles read, borrowed until roles_stop. */
struct roles_state {
    struct cluster *cluster;
    const struct serve_source *source;
    struct operator_loop *op_loop; /* NULL: the operator is off */
    struct lock_names *locks;      /* NULL: admission is */
};

/* Listen and serve. On failure nothing is left running. 0, -EINVAL, -EADDRINUSE, -ENOMEM, ... */
int roles_start(struct roles *r, const struct numawise_config *config,
                const struct roles_state *state, struct err *err) MUST_CHECK;

/* Take over what a running server can change. */
void roles_reload(struct roles *r, const struct numawise_config *config);

/* Files of certificates may have changed. */
void roles_renew_certificates(struct roles *r, const struct numawise_config *config);

/* /readyz fails at once; what is in flight is answered; everything is freed. */
void roles_stop(struct roles *r);

/* One line a listener on stdout. */
void roles_announce(const struct roles *r);

/* Write the addresses as JSON to `path`, by rename. 0, -errno. */
int roles_write_addresses(const struct roles *r, const char *path, struct err *err) MUST_CHECK;

#endif
