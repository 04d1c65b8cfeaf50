/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server: one event loop and one thread a server, one server a role. libevent and
 * libevhtp stay behind this header, so that either can be replaced by editing one folder.
 *
 * A handler is called on the server's thread with the whole body, never blocks, and answers before
 * it returns or keeps the request for later (http_defer). A request's arena and body live until the
 * last byte of its reply is written.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct err;

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_PUT = 4, HTTP_DELETE = 8 };

enum { HTTP_HERE = 16 }; /* beside the methods of a route: see http_server_new */

/* Whom a client's verified certificate names. */
struct http_client {
    struct str common_name;          /* of its subject: the user, as Kubernetes reads it */
    const struct str *organizations; /* [n_organizations] of its subject: the groups */
    size_t n_organizations;
    const struct str *names; /* [n_names] its DNS names and URIs */
    size_t n_names;
};

struct http_request {
    enum http_method method;
    struct str path;   /* without the query */
    struct str query;  /* without '?', empty where the route takes none */
    struct str fields; /* the header lines, each with its CRLF: for http_header */
    struct str body;   /* contiguous, followed by HTTP_BODY_PADDING readable zero bytes */
    struct arena *arena;
    const struct http_client *client; /* NULL: the connection has no certificate of its client */
    const unsigned char *peer;        /* [HTTP_PEER_BYTES] whence it comes; for the handler alone */
    uint64_t start_ns;                /* monotonic, first byte of the head */
    uint64_t id;                      /* grows by one a request, for the log */
};

enum { HTTP_BODY_PADDING = 64, HTTP_REPLY_FIELDS = 4, HTTP_PEER_BYTES = 16 };

/*
 * How many header lines are called `name` (lower case; any case in the request), and the value of
 * the first in `*out`, without blanks around it. Trust no value of which there are two.
 */
unsigned http_header(const struct http_request *req, const char *name, struct str *out);

/* Does Host name this machine as only this machine is called: "localhost", 127.x.y.z, [::1]? */
bool http_is_for_loopback(const struct http_request *req);

/*
 * The reply under construction. Status 200 unless set; Content-Length is always exact. What is
 * added is sent with any status but 204 and 304. kube-scheduler keeps a connection after another
 * status than 200 only where the body is empty.
 */
struct http_reply;

void http_status(struct http_reply *r, int status);
void http_content_type(struct http_reply *r, const char *type); /* a literal; default JSON */

/*
 * One more header line, at most HTTP_REPLY_FIELDS: `name` is a literal, `value` is copied. A value
 * with a control byte turns the reply into a 503.
 */
void http_field(struct http_reply *r, const char *name, struct str value);

/* Append a copy. */
void http_add(struct http_reply *r, const void *p, size_t n);

/*
 * Room for at least `n` bytes in one piece; fill some of them and say how many with
 * http_commit. NULL when out of memory: the reply then turns into a 503.
 */
char *http_reserve(struct http_reply *r, size_t n);
void http_commit(struct http_reply *r, size_t n);

/* Append without copying bytes of the request's body or arena. */
void http_add_ref(struct http_reply *r, const char *p, size_t n);

/*
 * Called by a handler that cannot answer yet, before it returns. The request with its arena and
 * body, and `reply`, then belong to whoever answers, on any one thread, until that one calls
 * http_finish: once, and before http_server_free. A peer that hangs up changes nothing about this.
 * Without an answer within `deadline_ms` (at least 1) the peer gets 504 and loses its connection;
 * an answer that comes later is dropped.
 */
void http_defer(struct http_reply *reply, unsigned deadline_ms);
void http_finish(struct http_reply *reply);

/*
 * Of a deferred request, on the server's thread alone: call `fn` there in `ms`. It answers, or asks
 * to be called once more; `last`: the server has stopped, and it answers now. One at a time.
 */
void http_call_in(struct http_reply *reply, unsigned ms, void (*fn)(void *ctx, bool last),
                  void *ctx);

typedef void (*http_handler)(void *ctx, const struct http_request *req, struct http_reply *reply);

struct http_route {
    const char *path; /* exact, or a prefix when it ends in '/' and is longer than "/" */
    unsigned methods; /* HTTP_GET | HTTP_POST ... ; others answer 405. HTTP_HERE */
    bool query;       /* false: a '?' in the target answers 400 */
    http_handler handler;
    void *ctx;
};

/* All 0 = the default of base/limits.h. */
struct http_limits {
    size_t head_bytes, target_bytes, body_bytes, arena_bytes;
    unsigned headers, connections;
    unsigned head_ms, body_ms, write_ms, idle_ms, drain_ms;
};

/*
 * Once, first thing in main: a peer that hangs up is an error code and not a signal, the heap is
 * not given back and taken again with every request, libevent keeps quiet, and the soft limit of
 * descriptors rises to the hard one.
 */
void http_process_setup(void);

struct http_server;

/* Writes a body, JSON, that goes with a refusal of this status; returns its bytes, at most `room`.
 */
typedef size_t http_refusal(int status, char *out, size_t room);
enum { HTTP_REFUSAL_BYTES = 512 };

/*
 * A server with these routes (copied; `ctx` is borrowed), not listening yet.
 * Unknown paths answer 404; what a browser sends for another site's page (Origin) answers 403, and
 * on loopback every name but those of http_is_for_loopback is another site. With a route that has
 * HTTP_HERE such a name answers 403 there without an Origin, too: a browser sends none with the GET
 * of a page that is its own by name. Returns 0, -ENOMEM, -EIO.
 */
int http_server_new(struct http_server **out, const char *role, const struct http_route *routes,
                    size_t n_routes, const struct http_limits *limits, struct err *err) MUST_CHECK;

/*
 * What the server refuses by itself (404, 413, ...) has no body, for kube-scheduler's sake, unless
 * somebody writes one. Before the server listens.
 */
void http_server_refuse_with(struct http_server *s, http_refusal *refusal);

/*
 * Bind and listen on "127.0.0.1:8787", "[::1]:0" (port 0: the kernel chooses).
 * -EINVAL (not a numeric address and port), -EADDRINUSE, -EACCES, -EIO.
 */
int http_server_listen(struct http_server *s, const char *address, struct err *err) MUST_CHECK;

/* All texts are copied. */
struct http_tls {
    const char
        *cert_file; /* PEM, the listener's certificate first, then those that lead to its CA */
    const char *key_file;
    const char *client_ca_file;       /* NULL: nobody is asked for a certificate */
    const char *const *allowed_names; /* [n_allowed_names]; none: all that the CA vouches for */
    size_t n_allowed_names;
    bool client_optional; /* who shows no certificate is let in, and is nobody */
};

/*
 * TLS 1.2 or 1.3 from now on: for a server that does not listen yet, and again, from any one
 * thread, when settings or files have changed. A client must show a certificate that a CA of
 * client_ca_file vouches for and that has an allowed name: its common name, or a DNS name or URI of
 * its subjectAltName, exactly, DNS names in lower case. Connections stay; those that were let in
 * under another CA or other names end with their next reply.
 *
 * 1: changed; 0: settings and files are those of the last call. Otherwise what was in force stays:
 * -EINVAL (`err` names the file and what is wrong with it: also that the key belongs to another
 * certificate, and, when there is one to keep, that the new one has expired or is not valid yet),
 * -errno of a file that cannot be read, -ENOMEM.
 */
int http_server_secure(struct http_server *s, const struct http_tls *tls,
                       struct err *err) MUST_CHECK;

/* "http://127.0.0.1:43117", "https://...", valid as long as the server. */
const char *http_server_url(const struct http_server *s);

/* Start the server's thread. */
int http_server_start(struct http_server *s, struct err *err) MUST_CHECK;

/*
 * Stop accepting, answer what is in flight with "Connection: close", close idle connections,
 * wait at most drain_ms, join the thread. Safe to call once, from another thread.
 */
void http_server_stop(struct http_server *s);
void http_server_free(struct http_server *s); /* NULL is fine; stops first */

/* Why a handshake failed. */
enum http_tls_failure {
    HTTP_TLS_NO_CERTIFICATE, /* the client has none */
    HTTP_TLS_UNTRUSTED,      /* it is not vouched for, or not for clients */
    HTTP_TLS_VALIDITY,       /* it has expired or is not valid yet */
    HTTP_TLS_NAME,           /* none of its names is allowed */
    HTTP_TLS_CLIENT,         /* the client does not take ours, or broke off */
    HTTP_TLS_PROTOCOL,       /* another version or cipher, or no TLS at all */
    HTTP_TLS_DEADLINE,
    HTTP_TLS_FAILURES, /* how many */
};
extern const char *const http_tls_failure_names[HTTP_TLS_FAILURES]; /* "no_certificate", ... */

/* Figures for /metrics and tests; each is read atomically, not all at one moment. */
struct http_stats {
    uint64_t connections, open, requests, rejected;
    uint64_t handshakes, tls_failures[HTTP_TLS_FAILURES];
    int64_t certificate_expires_s; /* Unix time; 0 without TLS */
};
void http_server_stats(const struct http_server *s, struct http_stats *out);

#endif
