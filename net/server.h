/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of net/ share: the server as its loop's thread sees it. Filled by server.c and
 * listen.c, read by guard.c. Nothing outside net/ includes this.
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <evhtp.h>

#include "base/attr.h"
#include "net/exchange.h"
#include "net/head.h"
#include "net/http.h"
#include "net/peer.h"

struct err;
struct guard;
struct tls;

enum { SERVER_URL_BYTES = 96 };

struct http_server {
    struct event_base *base;
    evhtp_t *htp;
    struct tls *tls;           /* NULL: without */
    http_refusal *refusal;     /* NULL: refusals have no body */
    struct http_route *routes; /* [n_routes], paths owned */
    size_t n_routes;
    struct http_limits limits; /* every field set */
    struct http_head_limits head_limits;
    struct exchange_pool pool;
    struct peers peers;
    struct guard *guards; /* every open connection, the longest without an answer first */
    struct guard **guards_end;
    struct guard *answering; /* the one whose request evhtp is working on */
    uint64_t away;           /* deferred requests that are not finished */
    struct exchange *due;    /* of these, who is to be called */
    pthread_mutex_t finished_lock;
    struct exchange *finished; /* by http_finish, not yet answered; under the lock */
    int finished_fd;           /* eventfd: there are some */
    struct event *finished_ev;
    bool accept_paused; /* at the cap, or out of descriptors */
    unsigned turns_due; /* at the cap nobody could be parted with: so many replies are the last */
    struct event *accept_again, *knock; /* knock: at the cap somebody waits to be accepted */
    int wake_fd;                        /* eventfd: stop */
    struct event *wake, *drain_end;
    bool draining;
    pthread_t thread;
    bool started, stopped;
    char url[SERVER_URL_BYTES];
    bool is_local; /* it listens on an address of this machine alone */
    _Atomic uint64_t connections, open, requests, rejected, handshakes;
    _Atomic uint64_t tls_failures[HTTP_TLS_FAILURES];
};

/* listen.c: a bound socket (not listening) for "1.2.3.4:5" or "[::1]:5", or negative errno. */
int listen_socket(const char *address, struct err *err) MUST_CHECK;
/* Where it is; 0 or -EIO. */
int listen_url(char out[SERVER_URL_BYTES], const char *scheme, int fd) MUST_CHECK;
int listen_start(struct http_server *s, int fd) MUST_CHECK; /* owns fd on success; 0 or -EIO */
void listen_pause_at_cap(struct http_server *s);
void listen_resume_below_cap(struct http_server *s);
void listen_stop(struct http_server *s);

/* server.c: the last connection of a server that drains is gone */
void server_drained(struct http_server *s);

#endif
