/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise explain --server`: a decision that a running server made, read back. */
#ifndef CLI_EXPLAIN_SERVER_H
#define CLI_EXPLAIN_SERVER_H

#include <stdbool.h>

#include "base/attr.h"

struct buf;
struct bundle;
struct err;
struct told_decision;

struct explain_server {
    const char *url;      /* of the console */
    const char *pod, *ns; /* NAME or NS/NAME; ns NULL: "default" */
    const char *decision; /* or its id */
    const char *node;     /* only this one, NULL: all */
    bool json;
    struct bundle *bundle; /* what replays it goes there, and is moved into place; NULL: nowhere */
};

/*
 * Print the decision on stdout. 0: some node admits, or the pod was not judged; 1: no node does.
 * -ENOENT: there is no such decision; -ENOTUNIQ: the decision has no such node; -EINVAL: the URL or
 * the id is none; else the server could not be read, or has no bundle of it.
 */
int explain_server(const struct explain_server *ask, struct err *err) MUST_CHECK;

/* Append the table: a header, what the best node gives, one row a node. `only`: NULL for all. */
void explain_table(struct buf *out, const struct told_decision *d, const char *only);

#endif
