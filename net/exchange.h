/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one request and its reply: body, arena, reply. It lives until the last byte of the
 * reply is written, also when the connection dies first, and is then used again: a small request
 * costs no allocation of its own. One thread, the server's; what a deferred request consists of is
 * another's between http_defer and http_finish.
 */
#ifndef NET_EXCHANGE_H
#define NET_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "net/http.h"
#include "net/reply.h"

struct guard;
struct http_server;
struct identity;

struct exchange_pool {
    struct exchange *spare;
    unsigned spares;
    size_t arena_bytes; /* of each request, 0 = by the size of its body */
};

struct exchange {
    struct exchange *next; /* in the pool's list of spares, or in the server's of finished ones */
    struct exchange_pool *pool;
    unsigned refs;
    char *body; /* [body_bytes] and HTTP_BODY_PADDING zeros */
    size_t body_bytes, body_room;
    char *block; /* what the arena is made of */
    size_t block_room;
    struct arena arena;
    struct http_request request;
    struct http_reply reply;

    struct http_server *server; /* for http_finish */
    struct guard *guard;        /* whose request it is; NULL once the connection is gone */
    unsigned deadline_ms;       /* not 0: deferred, and not finished */
    char *head;                 /* what the request's slices point into, kept without the guard */
    struct identity *identity;  /* the same for its client */
    struct exchange *next_due;  /* in the server's list of those who wait to be called */
    void (*due)(void *ctx, bool last);
    void *due_ctx;
};

/* With one reference and room for a body of `body_bytes`; NULL when out of memory. */
struct exchange *exchange_new(struct exchange_pool *pool, size_t body_bytes);
void exchange_ref(struct exchange *x);
void exchange_unref(struct exchange *x); /* NULL is fine; the last one gives it back to its pool */
void exchange_pool_done(struct exchange_pool *pool); /* frees the spares */

#endif
