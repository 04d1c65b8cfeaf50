/* SPDX-License-Identifier: Apache-2.0 */
/* Follows the files of all listeners' certificates, as the configuration names them. */
#ifndef CLI_CERTIFICATE_WATCH_H
#define CLI_CERTIFICATE_WATCH_H

#include "base/config.h"

struct event_base;
struct watch;

enum { CERTIFICATE_FILES = 3 * CONFIG_ROLES };

/* Zero-initialise. */
struct certificate_watch {
    struct watch *files[CERTIFICATE_FILES]; /* NULL: not followed */
};

/*
 * From now on `changed` is called on the loop when one of the files has changed, or those of a
 * configuration before no longer. A file that cannot be followed is logged: SIGHUP still works.
 */
void certificate_watch_set(struct certificate_watch *w, const struct numawise_config *c,
                           struct event_base *base, void (*changed)(void *ctx), void *ctx);
void certificate_watch_done(struct certificate_watch *w);

#endif
