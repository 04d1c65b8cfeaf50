/* SPDX-License-Identifier: Apache-2.0 */
/* From a whole request to its reply: the route, its handler now or later, evhtp's head. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/guard.h"
#include "net/guard_parts.h"
#include "net/identity.h"
#include "net/server.h"
#include "net/site.h"
#include "net/tls.h"
#include "net/tls_session.h"

/* For the heads that we write ourselves. */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Error";
}

void answer_part(struct guard *g)
{
    struct exchange *const x = g->exchange;

    if (x && x->deadline_ms > 0) {
        x->guard = NULL;
        x->identity = g->wire.tls ? tls_session_identity(g->wire.tls) : NULL;
        identity_ref(x->identity);
        x->head = g->in;
        g->in = NULL;
        g->in_n = 0;
    }
    exchange_unref(x);
    g->exchange = NULL;
}

static size_t refusal_body(const struct http_server *s, int status, char out[HTTP_REFUSAL_BYTES])
{
    return s->refusal ? s->refusal(status, out, HTTP_REFUSAL_BYTES) : 0;
}

void answer_refuse(struct guard *g, int status)
{
    struct evbuffer *const out = bufferevent_get_output(g->bev);
    char text[200], body[HTTP_REFUSAL_BYTES];
    const size_t bytes = refusal_body(g->server, status, body);
    const int n = snprintf(
        text, sizeof(text), "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
        status, reason_of(status), bytes, bytes ? "Content-Type: application/json\r\n" : "");

    atomic_fetch_add_explicit(&g->server->rejected, 1, memory_order_relaxed);
    g->state = GUARD_BUSY;
    g->close = true;
    evbuffer_add(out, text, (size_t)n);
    evbuffer_add(out, body, bytes);
    guard_flush(g);
}

/* ---- the route ---- */

static const struct http_route *find_route(const struct http_server *s, struct str path)
{
    for (size_t i = 0; i < s->n_routes; i++) {
        const size_t n = strlen(s->routes[i].path);
        const bool prefix = n > 1 && s->routes[i].path[n - 1] == '/';
        if (prefix ? str_starts(path, s->routes[i].path) : str_is(path, s->routes[i].path))
            return &s->routes[i];
    }
    return NULL;
}

/*
 * Nobody's page but our own has any business here. On loopback a name that leads to us may be a
 * stranger's, so that his page is ours by name, and what it only reads comes without an Origin.
 */
static bool is_of_other_site(const struct guard *g)
{
    const struct http_head *const h = &g->head;
    const bool astray = g->server->is_local && !site_is_local(h->host);

    return h->origin.p ? astray || !site_is_own(h->origin, h->host)
                       : astray && g->route && (g->route->methods & HTTP_HERE);
}

void answer_find_route(struct guard *g)
{
    g->route = find_route(g->server, g->head.path);
    if (is_of_other_site(g))
        g->refusal = 403;
    else if (!g->route)
        g->refusal = 404;
    else if (!(g->route->methods & g->head.method))
        g->refusal = 405;
    else
        g->refusal = g->head.has_query && !g->route->query ? 400 : 0;
}

/* ---- evhtp's part ---- */

static const char *allowed(unsigned methods)
{
    static const char *const names[16] = {"",
                                          "GET",
                                          "POST",
                                          "GET, POST",
                                          "PUT",
                                          "GET, PUT",
                                          "POST, PUT",
                                          "GET, POST, PUT",
                                          "DELETE",
                                          "GET, DELETE",
                                          "POST, DELETE",
                                          "GET, POST, DELETE",
                                          "PUT, DELETE",
                                          "GET, PUT, DELETE",
                                          "POST, PUT, DELETE",
                                          "GET, POST, PUT, DELETE"};

    return names[methods & 15];
}

static void release_reference(const void *p, size_t n, void *arg)
{
    (void)p, (void)n;
    exchange_unref(arg);
}

/* The reply's runs into evhtp's buffer, without a copy. false when out of memory. */
static bool hand_over(struct evbuffer *out, struct exchange *x)
{
    for (size_t i = 0; i < x->reply.n_runs; i++) {
        const struct str run = x->reply.runs[i];
        exchange_ref(x);
        if (evbuffer_add_reference(out, run.p, run.n, release_reference, x) < 0) {
            exchange_unref(x);
            return false;
        }
    }
    return true;
}

static void add_header(evhtp_request_t *req, const char *name, const char *value, bool copy)
{
    evhtp_headers_add_header(req->headers_out, evhtp_header_new(name, value, 0, copy));
}

/* Would this client be let in today? */
static bool is_trusted_still(const struct guard *g)
{
    return !g->wire.tls || tls_trusts_alike(g->server->tls, tls_session_version(g->wire.tls));
}

/* evhtp calls this when it has understood our own request line. */
void guard_answer(evhtp_request_t *req, void *arg)
{
    const struct http_server *const s = arg;
    struct guard *const g = s->answering;
    struct http_reply *const reply = &g->exchange->reply;
    char length[24];

    assert(g && req->conn == g->conn);
    if (!hand_over(req->buffer_out, g->exchange)) {
        evbuffer_drain(req->buffer_out, evbuffer_get_length(req->buffer_out));
        reply->failed = true;
        reply_close(reply);
    }
    snprintf(length, sizeof(length), "%zu", reply->bytes);
    add_header(req, "Content-Length", length, true);
    add_header(req, "Content-Type", reply->type, false);
    for (unsigned i = 0; i < reply->n_fields; i++)
        add_header(req, reply->fields[i].name, reply->fields[i].value, false);
    if (g->refusal == 405 && g->route)
        add_header(req, "Allow", allowed(g->route->methods), false);
    g->close = g->head.close || s->draining || !is_trusted_still(g) || guard_gives_turn(g);
    if (g->close)
        req->flags &= (uint16_t)~EVHTP_REQ_FLAG_KEEPALIVE;
    g->answered = true;
    evhtp_send_reply(req, (evhtp_res)reply->status);
}

/* A request line of ours, with nothing in it that the client wrote. */
static int write_own_request(const struct guard *g, char *out, size_t room)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE"};
    const char *const method = g->head.method ? names[g->head.method] : "GET";
    const char *connection = "";

    if (g->head.close)
        connection = "Connection: close\r\n";
    else if (g->head.http10)
        connection = "Connection: keep-alive\r\n";
    return snprintf(out, room, "%s %s HTTP/1.%d\r\n%s\r\n", method, g->route ? g->route->path : "/",
                    g->head.http10 ? 0 : 1, connection);
}

/* evhtp has no words for some statuses, and gives those without a body a Content-Length. */
static bool needs_own_head(int status)
{
    return status == 204 || status == 304 || status == 422 || status == 429;
}

static bool write_own_head(const struct guard *g, struct evbuffer *out)
{
    const struct http_reply *const reply = &g->exchange->reply;
    bool ok = evbuffer_add_printf(out, "HTTP/1.%d %d %s\r\n", g->head.http10 ? 0 : 1, reply->status,
                                  reason_of(reply->status)) > 0;

    if (reply->status >= 400)
        ok &= evbuffer_add_printf(out, "Content-Length: %zu\r\nContent-Type: %s\r\n", reply->bytes,
                                  reply->type) > 0;
    for (unsigned i = 0; i < reply->n_fields; i++)
        ok &= evbuffer_add_printf(out, "%s: %s\r\n", reply->fields[i].name,
                                  reply->fields[i].value) > 0;
    if (g->close)
        ok &= evbuffer_add_printf(out, "Connection: close\r\n") > 0;
    else if (g->head.http10)
        ok &= evbuffer_add_printf(out, "Connection: keep-alive\r\n") > 0;
    return ok && evbuffer_add(out, "\r\n", 2) == 0;
}

/* Our head in the place of evhtp's, which ends at the first empty line. */
static bool replace_head(const struct guard *g)
{
    struct evbuffer *const out = bufferevent_get_output(g->bev), *const head = evbuffer_new();
    const struct evbuffer_ptr end = evbuffer_search(out, "\r\n\r\n", 4, NULL);
    bool ok = head && end.pos >= 0 && write_own_head(g, head);

    evbuffer_unfreeze(out, 1);
    ok = ok && evbuffer_drain(out, (size_t)end.pos + 4) == 0 &&
         evbuffer_prepend_buffer(out, head) == 0;
    evbuffer_freeze(out, 1);
    if (head)
        evbuffer_free(head);
    return ok;
}

/* Let evhtp make the head of the reply, and send it. */
static void send_reply(struct guard *g)
{
    struct evbuffer *const in = bufferevent_get_input(g->bev);
    char line[320];
    const int n = write_own_request(g, line, sizeof(line));

    assert(n > 0 && (size_t)n < sizeof(line));
    g->state = GUARD_BUSY;
    g->answered = false;
    reply_close(&g->exchange->reply);
    evbuffer_unfreeze(in, 0);
    const int added = evbuffer_add(in, line, (size_t)n);
    evbuffer_freeze(in, 0);
    if (added < 0) {
        answer_refuse(g, 503);
        return;
    }
    g->server->answering = g;
    g->evhtp_read(g->bev, g->conn);
    g->server->answering = NULL;
    if (!g->conn || !g->answered || (needs_own_head(g->exchange->reply.status) && !replace_head(g)))
        guard_drop(g);
    else
        guard_flush(g);
}

/* ---- the handler, now or later ---- */

static const struct http_client *client_of(const struct guard *g)
{
    const struct identity *const id = g->wire.tls ? tls_session_identity(g->wire.tls) : NULL;

    return id ? &id->client : NULL;
}

static void run_handler(struct guard *g)
{
    struct http_server *const s = g->server;
    struct exchange *const x = g->exchange;

    x->server = s;
    x->guard = g;
    x->request = (struct http_request){
        .method = (enum http_method)g->head.method,
        .path = g->head.path,
        .query = g->head.query,
        .fields = g->head.fields,
        .body = {x->body, x->body_bytes},
        .arena = &x->arena,
        .client = client_of(g),
        .peer = g->address,
        .start_ns = g->start_ns,
        .id = atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed) + 1,
    };
    g->route->handler(g->route->ctx, &x->request, &x->reply);
}

void answer_request(struct guard *g)
{
    if (g->refusal) {
        char body[HTTP_REFUSAL_BYTES];

        http_status(&g->exchange->reply, g->refusal);
        if (!g->head.bodiless)
            http_add(&g->exchange->reply, body, refusal_body(g->server, g->refusal, body));
        atomic_fetch_add_explicit(&g->server->rejected, 1, memory_order_relaxed);
    } else {
        run_handler(g);
    }
    if (g->exchange->deadline_ms == 0) {
        send_reply(g);
        return;
    }
    g->state = GUARD_AWAY;
    event_del(g->read_ev); /* what a client sends meanwhile waits in the socket */
    guard_set_timer(g, TIMER_AWAY, g->exchange->deadline_ms);
}

static struct exchange *exchange_of(struct http_reply *reply)
{
    return (struct exchange *)(void *)((char *)reply - offsetof(struct exchange, reply));
}

void http_defer(struct http_reply *reply, unsigned deadline_ms)
{
    struct exchange *const x = exchange_of(reply);

    assert(deadline_ms > 0 && x->deadline_ms == 0);
    x->deadline_ms = deadline_ms;
    exchange_ref(x);
    x->server->away++;
}

void http_finish(struct http_reply *reply)
{
    struct exchange *const x = exchange_of(reply);
    struct http_server *const s = x->server;
    const uint64_t one = 1;

    pthread_mutex_lock(&s->finished_lock);
    x->next = s->finished;
    s->finished = x;
    /* under the lock: once it is free the server may be, too */
    while (write(s->finished_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    pthread_mutex_unlock(&s->finished_lock);
}

static void call_due(struct exchange *x, bool last)
{
    struct exchange **link = &x->server->due;

    while (*link != x)
        link = &(*link)->next_due;
    *link = x->next_due;
    x->due(x->due_ctx, last);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    call_due(arg, false);
}

void http_call_in(struct http_reply *reply, unsigned ms, void (*fn)(void *ctx, bool last),
                  void *ctx)
{
    struct exchange *const x = exchange_of(reply);
    struct http_server *const s = x->server;
    const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    assert(x->deadline_ms > 0);
    x->due = fn;
    x->due_ctx = ctx;
    x->next_due = s->due;
    s->due = x;
    if (event_base_once(s->base, -1, EV_TIMEOUT, on_due, x, &in) < 0)
        call_due(x, true); /* no memory for a timer */
}

void answer_due(struct http_server *s)
{
    while (s->due)
        call_due(s->due, true);
}

static void finish(struct exchange *x)
{
    struct guard *const g = x->guard;

    x->deadline_ms = 0;
    x->server->away--;
    if (g) {
        guard_set_timer(g, TIMER_OFF, 0);
        event_add(g->read_ev, NULL);
        send_reply(g);
        if (g->state == GUARD_HEAD)
            guard_advance(g);
        guard_settle(g);
    }
    exchange_unref(x);
}

void answer_finished(struct http_server *s)
{
    pthread_mutex_lock(&s->finished_lock);
    struct exchange *x = s->finished;
    s->finished = NULL;
    pthread_mutex_unlock(&s->finished_lock);
    for (struct exchange *next; x; x = next) {
        next = x->next;
        finish(x);
    }
}
