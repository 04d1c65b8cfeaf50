/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard as its own files see it: guard.c reads and keeps the deadlines, answer.c turns a whole
 * request into a reply, crowd.c is about all connections of a server at a time.
 */
#ifndef NET_GUARD_PARTS_H
#define NET_GUARD_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <evhtp.h>

#include "net/exchange.h"
#include "net/head.h"
#include "net/http.h"
#include "net/peer.h"
#include "net/wire.h"

enum guard_state {
    GUARD_HELLO,  /* the handshake of TLS */
    GUARD_HEAD,   /* between requests, or inside a head */
    GUARD_BODY,   /* the head is sound, its body comes */
    GUARD_AWAY,   /* deferred: somebody else answers; nothing is read */
    GUARD_BUSY,   /* a reply is on its way; nothing is read */
    GUARD_LINGER, /* our last byte is sent: read on a little, or the reset would eat the reply */
    GUARD_GONE,   /* everything released; freed when the callback returns */
};

/* What the timer is set for; a deadline that runs is not moved by more bytes. */
enum guard_timer {
    TIMER_OFF,
    TIMER_IDLE,
    TIMER_HELLO,
    TIMER_HEAD,
    TIMER_BODY,
    TIMER_AWAY,
    TIMER_WRITE,
    TIMER_LINGER,
};

struct guard {
    struct guard *next, **link; /* in the server's list, whose end is the last one answered */
    struct http_server *server;
    struct peer *peer;
    unsigned char address[PEER_ADDRESS_BYTES];
    evhtp_connection_t *conn; /* NULL once evhtp freed it */
    struct bufferevent *bev;  /* evhtp's; its two buffers are used, it never reads or writes */
    bufferevent_data_cb evhtp_read, evhtp_write;
    struct wire wire;
    struct event *read_ev, *write_ev, *timer_ev;
    struct event *again_ev; /* TLS alone: the next turn, for bytes the socket no longer has */
    enum guard_state state;
    enum guard_timer timer;

    char *in; /* [limits.head_bytes] bytes not yet used, NULL while there are none */
    size_t in_n;
    struct http_head_scan scan;
    struct http_head head; /* its slices point into `in`, whose head stays until the reply */
    uint64_t start_ns;

    const struct http_route *route;
    int refusal; /* the answer without a handler, 0 = the route's */
    struct exchange *exchange;
    size_t body_n;
    bool answered; /* evhtp made the reply */
    bool known;    /* had an answer before */
    bool close;    /* after this reply */
    size_t lingered;
};

/* guard.c */

/*
 * Close the connection and release what it holds, except the guard itself: the callback that is
 * running still looks at it and frees it at its end, with guard_settle.
 */
void guard_drop(struct guard *g);
void guard_settle(struct guard *g);

/* As far as the bytes that are there allow; pipelined requests are answered one after another. */
void guard_advance(struct guard *g);

/* TIMER_IDLE and TIMER_WRITE begin anew, any other goes on when it runs already. */
void guard_set_timer(struct guard *g, enum guard_timer timer, unsigned ms);

/*
 * Send what is in the output buffer, at once as far as the socket takes it; then the next request,
 * or the end of the connection.
 */
void guard_flush(struct guard *g);

/* answer.c */

/* The route of the head that was read, and why it is refused: `route` and `refusal`. */
void answer_find_route(struct guard *g);

/* Head and body are here. */
void answer_request(struct guard *g);

/* Answer without evhtp and end the connection. */
void answer_refuse(struct guard *g, int status);

/* The guard and the exchange part; a deferred one keeps the head that its request points into. */
void answer_part(struct guard *g);

/* crowd.c */

/* Somebody waits at the cap, all are at work, and this one is of the address that has most: its
   reply that is being made is to be the last of the connection. */
bool guard_gives_turn(const struct guard *g);

#endif
