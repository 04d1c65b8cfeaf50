/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reader of a request's head (RFC 9112, 2 to 5), pure: bytes in, verdict and facts out.
 * Nothing that two readers could understand differently gets through; the guard acts on the facts
 * and no other parser ever sees the client's bytes.
 */
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct http_head_limits {
    size_t head_bytes;   /* from the first byte to the end of the empty line */
    size_t target_bytes; /* path, '?' and query */
    unsigned headers;
    uint64_t body_bytes; /* the largest Content-Length */
};

/* What the guard needs to know; the slices point into the bytes that were read. */
struct http_head {
    unsigned method; /* enum http_method, 0 = another token */
    struct str path; /* begins with '/' */
    struct str query;
    struct str fields; /* the header lines, each with its CRLF */
    struct str host;   /* empty: none, or an empty one */
    struct str origin; /* of the page that a browser sends it for; p NULL = no header says so */
    bool has_query;    /* a '?' is there, even with nothing behind it */
    bool http10;
    bool bodiless;   /* HEAD: no reply has a body, whatever Content-Length says */
    bool close;      /* the client wants this to be the last request of the connection */
    bool expect_100; /* it waits for "100 Continue" before the body */
    uint64_t body_bytes;
    size_t head_bytes; /* how many bytes the head took, blank lines before it included */
};

/* How far a head has been looked at while its bytes trickle in. Zero-initialise for each head. */
struct http_head_scan {
    size_t blank; /* bytes of blank lines before the request line */
    size_t at;    /* everything before was looked at */
    bool line;    /* the request line is complete */
};

enum { HTTP_HEAD_MORE = 0, HTTP_HEAD_WHOLE = 200 };

/*
 * Look at the `n` bytes read so far; call again with more of the same bytes after HTTP_HEAD_MORE.
 *
 * HTTP_HEAD_MORE     not complete, nothing wrong yet
 * HTTP_HEAD_WHOLE    complete and sound, `out` is written
 * 400 411 413 414 415 417 431 505   refuse with this status; the connection cannot be used further
 */
int http_head_read(struct http_head *out, struct http_head_scan *scan, const char *p, size_t n,
                   const struct http_head_limits *limits);

#endif
