/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard of one connection: it reads the socket, keeps the deadlines, refuses what is not sound
 * and hands evhtp one request at a time, written anew by us, so that evhtp's parser never sees a
 * byte of the client's. The states are HEAD -> BODY -> (AWAY ->) BUSY -> HEAD, or -> LINGER ->
 * gone.
 */
#ifndef NET_GUARD_H
#define NET_GUARD_H

#include <stdbool.h>

#include <evhtp.h>

struct http_server;

/* evhtp's callbacks; `arg` is the server. */
evhtp_res guard_before_accept(evhtp_connection_t *conn, void *arg);
evhtp_res guard_after_accept(evhtp_connection_t *conn, void *arg);
void guard_answer(evhtp_request_t *req, void *arg);

/*
 * Close the connection that is missed least: idle, or at one request for over a second; never
 * answered before answered, then of the address that has most, then the longest without an answer.
 * Where one address has more than half of all places, it is one of its own. false: all are at work.
 */
bool guard_make_room(struct http_server *s);

/* Answer what http_finish was called for. */
void answer_finished(struct http_server *s);

/* The loop has ended: call whoever waits to be called. */
void answer_due(struct http_server *s);

/* The server drains: idle connections close, the others after the reply they are at. */
void guard_drain_all(struct http_server *s);
/* Close every connection now. */
void guard_drop_all(struct http_server *s);

#endif
