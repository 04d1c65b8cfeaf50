/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reply under construction: runs of bytes in order, some of our own blocks, some borrowed from
 * the request. http.h has what handlers call; this is what the server calls.
 */
#ifndef NET_REPLY_H
#define NET_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "net/http.h"

struct reply_block;

struct reply_field {
    const char *name;
    const char *value;
};

struct http_reply {
    int status;
    const char *type;
    bool failed;                                  /* out of memory, or not sound: becomes a 503 */
    size_t bytes;                                 /* sum of all runs */
    struct reply_field fields[HTTP_REPLY_FIELDS]; /* [n_fields] */
    unsigned n_fields;
    struct str *runs; /* [n_runs], room for runs_room */
    size_t n_runs, runs_room;
    struct reply_block *blocks; /* newest first; the runs of our own bytes point into them */
};

/* Ready for the next request; keeps a block and the table of runs for it. Zeroed memory is fine. */
void reply_reset(struct http_reply *r);
void reply_done(struct http_reply *r); /* frees everything */

/* No more changes: what failed becomes an empty 503, and 204 and 304 lose their body. */
void reply_close(struct http_reply *r);

#endif
