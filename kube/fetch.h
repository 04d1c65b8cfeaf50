/* SPDX-License-Identifier: Apache-2.0 */
/* One answer from another numawise over HTTP, for the command line. Blocks; one call at a time. */
#ifndef KUBE_FETCH_H
#define KUBE_FETCH_H

#include "base/attr.h"

struct buf;
struct err;

enum { FETCH_MAX_BYTES = 16 * 1024 * 1024, FETCH_MAX_MS = 5000, FETCH_URL_BYTES = 2048 };

/*
 * Is `url` the address of a listener: http://HOST[:PORT], a slash at its end allowed, nothing
 * behind it? 0; -EINVAL says what is wrong with it.
 */
int fetch_check(const char *url, struct err *err) MUST_CHECK;

/*
 * GET what is at `target` ("/v1/...") of the listener `url`. Goes there and nowhere else: redirects
 * are not followed, no proxy is used. 0: `*status` and the body appended to `out`, whatever the
 * status is. -EHOSTUNREACH: no connection, or it ended before a whole answer; -ETIMEDOUT after
 * FETCH_MAX_MS; -EFBIG: more than FETCH_MAX_BYTES; -EINVAL: no such address; -ENOMEM.
 */
int fetch_get(struct buf *out, int *status, const char *url, const char *target,
              struct err *err) MUST_CHECK;

/* Append `text` so that it can stand in a target: all but letters, digits, "-._~/" escaped. */
void fetch_escape(struct buf *out, const char *text);

#endif
