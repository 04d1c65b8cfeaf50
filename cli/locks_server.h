/* SPDX-License-Identifier: Apache-2.0 */
/* The lock hierarchy as a running operator knows it. */
#ifndef CLI_LOCKS_SERVER_H
#define CLI_LOCKS_SERVER_H

#include "kube/fetch.h"
#include "operator/draw/draw.h"

struct locks_server {
    const char *url;
    const char *ns; /* NULL: all that may be seen */
    struct fetch_access access;
};

/* Print what it answers; the exit code, 1 when it tells of a cycle or deadlock. */
int locks_from_server(const struct locks_server *server, enum draw_format format);

#endif
