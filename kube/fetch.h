/* SPDX-License-Identifier: Apache-2.0 */
/* One answer from another numawise over HTTP, for the command line. Blocks; one call at a time. */
#ifndef KUBE_FETCH_H
#define KUBE_FETCH_H

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;

enum { FETCH_MAX_BYTES = 16 * 1024 * 1024, FETCH_MAX_MS = 5000, FETCH_URL_BYTES = 2048 };

/* How to show oneself, to a listener that asks who calls. */
struct fetch_access {
    const char *token_file; /* a bearer token; NULL: none */
    const char *ca_file;    /* for https, PEM: whom to believe; NULL: the system's */
    struct str ca_pem;      /* the same as text, which then stands above the file; or empty */
    /*
     * "ADDR:PORT" to connect to instead of the URL's: what is there has to have a certificate for
     * the URL's host, and nothing is followed from there. NULL: where the URL says.
     */
    const char *connect_to;
};

/*
 * Is `url` the address of a listener: http[s]://HOST[:PORT], a slash at its end allowed, nothing
 * behind it? 0; -EINVAL says what is wrong with it.
 */
int fetch_check(const char *url, struct err *err) MUST_CHECK;

/*
 * GET what is at `target` ("/v1/...") of the listener `url`. No proxy is used. Without `access` it
 * goes there and nowhere else; with one (else NULL) also to the replica that answers in its place
 * (redirects), with the token, and never away from TLS. 0: `*status` and the body appended to
 * `out`, whatever the status is. -EHOSTUNREACH: no connection, or it ended before a whole answer;
 * -EKEYREJECTED: its certificate is not believed; -ETIMEDOUT after FETCH_MAX_MS; -EFBIG: more than
 * FETCH_MAX_BYTES; -EINVAL: no such address, or the file has no token; -ENOMEM; -errno of a file.
 */
int fetch_get(struct buf *out, int *status, const char *url, const char *target,
              const struct fetch_access *access, struct err *err) MUST_CHECK;

/* Append `text` so that it can stand in a target: all but letters, digits, "-._~/" escaped. */
void fetch_escape(struct buf *out, const char *text);

#endif
