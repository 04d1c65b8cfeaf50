/* SPDX-License-Identifier: Apache-2.0 */
#include "net/guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/server.h"

enum {
    BODY_BYTES_PER_TURN = 4 * 1024 * 1024, /* then the other connections have their turn */
    LINGER_BYTES = 1024 * 1024,
    LINGER_MS = 1000,
    MAKE_ROOM_TRIES = 8, /* each may answer a request */
};

/* At the cap, who has been at one request for longer than this may lose the connection. */
#define SLOW_NS UINT64_C(1000000000)

enum guard_state {
    GUARD_HEAD,   /* between requests, or inside a head */
    GUARD_BODY,   /* the head is sound, its body comes */
    GUARD_BUSY,   /* a reply is on its way; nothing is read */
    GUARD_LINGER, /* our last byte is sent: read on a little, or the reset would eat the reply */
    GUARD_GONE,   /* everything released; freed when the callback returns */
};

/* What the timer is set for; a deadline that runs is not moved by more bytes. */
enum guard_timer { TIMER_OFF, TIMER_IDLE, TIMER_HEAD, TIMER_BODY, TIMER_LINGER };

struct guard {
    struct guard *next, **link; /* in the server's list, whose end is the last one answered */
    struct http_server *server;
    evhtp_connection_t *conn; /* NULL once evhtp freed it */
    struct bufferevent *bev;  /* the writing side; the reading side is ours */
    int fd;
    bufferevent_data_cb evhtp_read, evhtp_write;
    struct event *read_ev, *timer_ev;
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
    bool answered;
    bool known; /* had an answer before */
    bool close; /* after this reply */
    size_t lingered;
};

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {400, "Bad Request"},         {404, "Not Found"},
        {405, "Method Not Allowed"},  {408, "Request Timeout"},
        {411, "Length Required"},     {413, "Content Too Large"},
        {414, "URI Too Long"},        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},  {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Error";
}

static struct timeval ms_timeval(unsigned ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* ---- life ---- */

static void link_guard(struct guard *g)
{
    struct http_server *const s = g->server;

    g->next = NULL;
    g->link = s->guards_end;
    *g->link = g;
    s->guards_end = &g->next;
}

static void unlink_guard(struct guard *g)
{
    *g->link = g->next;
    if (g->next)
        g->next->link = g->link;
    else
        g->server->guards_end = g->link;
}

/*
 * Close the connection and release what it holds, except the guard itself: the callback that is
 * running still looks at it and frees it at its end.
 */
static void drop(struct guard *g)
{
    struct http_server *const s = g->server;
    evhtp_connection_t *const conn = g->conn;

    if (g->state == GUARD_GONE)
        return;
    g->state = GUARD_GONE;
    event_free(g->read_ev);
    event_free(g->timer_ev);
    g->conn = NULL;
    if (conn)
        evhtp_connection_free(conn);
    exchange_unref(g->exchange);
    free(g->in);
    unlink_guard(g);
    atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
    listen_resume_below_cap(s);
    server_drained(s);
}

/* The end of every callback. */
static void settle(struct guard *g)
{
    if (g->state == GUARD_GONE)
        free(g);
}

static void set_timer(struct guard *g, enum guard_timer timer, unsigned ms)
{
    const struct timeval tv = ms_timeval(ms);

    if (g->timer == timer && timer != TIMER_IDLE)
        return;
    g->timer = timer;
    if (timer == TIMER_OFF)
        event_del(g->timer_ev);
    else
        event_add(g->timer_ev, &tv);
}

/* ---- writing ---- */

static void start_linger(struct guard *g)
{
    exchange_unref(g->exchange);
    g->exchange = NULL;
    g->state = GUARD_LINGER;
    g->lingered = 0;
    shutdown(g->fd, SHUT_WR);
    set_timer(g, TIMER_LINGER, LINGER_MS);
    event_add(g->read_ev, NULL);
}

/* Take the bytes of the request that is done off the front of `in`. */
static void forget_request(struct guard *g)
{
    g->in_n -= g->head.head_bytes;
    memmove(g->in, g->in + g->head.head_bytes, g->in_n);
    if (g->in_n == 0) {
        free(g->in);
        g->in = NULL;
    }
    g->head = (struct http_head){0};
    g->scan = (struct http_head_scan){0};
    g->start_ns = clock_monotonic_ns();
}

/* The reply's last byte is with the kernel. */
static void reply_written(struct guard *g)
{
    if (g->close || g->server->draining) {
        start_linger(g);
        return;
    }
    g->evhtp_write(g->bev, g->conn); /* frees evhtp's request and makes its parser ready */
    if (!g->conn) {
        drop(g);
        return;
    }
    exchange_unref(g->exchange);
    g->exchange = NULL;
    forget_request(g);
    unlink_guard(g);
    link_guard(g);
    g->known = true;
    g->state = GUARD_HEAD;
    g->timer = TIMER_OFF; /* set anew before the turn ends */
}

/*
 * Write at once instead of waiting for the loop to say that one may; what does not fit is the
 * bufferevent's, with its timeout for a peer that takes nothing.
 */
static void flush(struct guard *g)
{
    struct evbuffer *const out = bufferevent_get_output(g->bev);

    while (evbuffer_get_length(out) > 0) {
        evbuffer_unfreeze(out, 1);
        const int n = evbuffer_write(out, g->fd);
        const int error = errno;
        evbuffer_freeze(out, 1);
        if (n > 0 || (n < 0 && error == EINTR))
            continue;
        if (n < 0 && error != EAGAIN) {
            drop(g);
            return;
        }
        set_timer(g, TIMER_OFF, 0);
        event_del(g->read_ev);
        bufferevent_enable(g->bev, EV_WRITE);
        return;
    }
    reply_written(g);
}

/* Answer without evhtp and end the connection. */
static void refuse(struct guard *g, int status)
{
    char text[160];
    const int n = snprintf(text, sizeof(text),
                           "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                           status, reason_of(status));

    atomic_fetch_add_explicit(&g->server->rejected, 1, memory_order_relaxed);
    g->state = GUARD_BUSY;
    g->close = true;
    evbuffer_add(bufferevent_get_output(g->bev), text, (size_t)n);
    flush(g);
}

/* ---- answering ---- */

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

static void run_handler(struct guard *g)
{
    struct http_server *const s = g->server;
    const struct http_request request = {
        .method = (enum http_method)g->head.method,
        .path = g->head.path,
        .query = g->head.query,
        .body = {g->exchange->body, g->exchange->body_bytes},
        .arena = &g->exchange->arena,
        .start_ns = g->start_ns,
        .id = atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed) + 1,
    };

    g->route->handler(g->route->ctx, &request, &g->exchange->reply);
}

void guard_answer(evhtp_request_t *req, void *arg)
{
    struct http_server *const s = arg;
    struct guard *const g = s->answering;
    struct http_reply *const reply = &g->exchange->reply;
    char length[24];

    assert(g && req->conn == g->conn);
    if (g->refusal) {
        http_status(reply, g->refusal);
        atomic_fetch_add_explicit(&s->rejected, 1, memory_order_relaxed);
    } else {
        run_handler(g);
    }
    reply_close(reply);
    if (!hand_over(req->buffer_out, g->exchange)) {
        evbuffer_drain(req->buffer_out, evbuffer_get_length(req->buffer_out));
        http_status(reply, 503);
        reply_close(reply);
    }
    snprintf(length, sizeof(length), "%zu", reply->bytes);
    add_header(req, "Content-Length", length, true);
    add_header(req, "Content-Type", reply->type, false);
    if (g->refusal == 405 && g->route)
        add_header(req, "Allow", allowed(g->route->methods), false);
    g->close = g->head.close || s->draining;
    if (g->close)
        req->flags &= (uint16_t)~EVHTP_REQ_FLAG_KEEPALIVE;
    g->answered = true;
    evhtp_send_reply(req, (evhtp_res)reply->status);
}

/* A request line of ours, with nothing in it that the client wrote. */
static int write_own_head(const struct guard *g, char *out, size_t room)
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

/* Head and body are here: let evhtp make the reply, and send it. */
static void answer(struct guard *g)
{
    struct evbuffer *const in = bufferevent_get_input(g->bev);
    char head[320];
    const int n = write_own_head(g, head, sizeof(head));

    assert(n > 0 && (size_t)n < sizeof(head));
    g->state = GUARD_BUSY;
    g->answered = false;
    evbuffer_unfreeze(in, 0);
    const int added = evbuffer_add(in, head, (size_t)n);
    evbuffer_freeze(in, 0);
    if (added < 0) {
        refuse(g, 503);
        return;
    }
    g->server->answering = g;
    g->evhtp_read(g->bev, g->conn);
    g->server->answering = NULL;
    if (!g->conn || !g->answered)
        drop(g);
    else
        flush(g);
}

/* ---- reading ---- */

/* Bytes read; 0 = the peer's end; -1 = none now; -2 = the connection is dead. */
static ssize_t receive(const struct guard *g, char *p, size_t room)
{
    for (;;) {
        const ssize_t n = recv(g->fd, p, room, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN)
            return -1;
        if (errno != EINTR)
            return -2;
    }
}

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

/* 0 when the request may reach its handler. */
static int refusal_of(const struct guard *g)
{
    if (!g->route)
        return 404;
    if (!(g->route->methods & g->head.method))
        return 405;
    return g->head.has_query && !g->route->query ? 400 : 0;
}

static bool send_continue(const struct guard *g)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    return send(g->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           (ssize_t)sizeof(text) - 1;
}

/* The head is sound. Refuse now, before the body is read, what would be refused after it. */
static void start_body(struct guard *g)
{
    g->route = find_route(g->server, g->head.path);
    g->refusal = refusal_of(g);
    if (g->refusal && g->head.body_bytes > 0) {
        refuse(g, g->refusal);
        return;
    }
    g->exchange = exchange_new(&g->server->pool, (size_t)g->head.body_bytes);
    if (!g->exchange) {
        refuse(g, 503);
        return;
    }
    const size_t after = g->in_n - g->head.head_bytes;
    g->body_n = after < g->exchange->body_bytes ? after : g->exchange->body_bytes;
    memcpy(g->exchange->body, g->in + g->head.head_bytes, g->body_n);
    g->in_n -= g->body_n;
    memmove(g->in + g->head.head_bytes, g->in + g->head.head_bytes + g->body_n,
            g->in_n - g->head.head_bytes);
    g->state = GUARD_BODY;
    if (g->head.expect_100 && g->body_n == 0 && g->head.body_bytes > 0 && !send_continue(g))
        drop(g);
}

static void read_body(struct guard *g)
{
    struct exchange *const x = g->exchange;
    size_t turn = 0;

    while (g->body_n < x->body_bytes && turn < BODY_BYTES_PER_TURN) {
        const ssize_t n = receive(g, x->body + g->body_n, x->body_bytes - g->body_n);
        if (n == -1)
            break;
        if (n == -2) {
            drop(g);
            return;
        }
        if (n == 0) {
            refuse(g, 400);
            return;
        }
        g->body_n += (size_t)n;
        turn += (size_t)n;
    }
    if (g->body_n == x->body_bytes)
        answer(g);
    else
        set_timer(g, TIMER_BODY, g->server->limits.body_ms);
}

/* One recv a turn. true when bytes came. */
static bool fill_in(struct guard *g)
{
    if (!g->in)
        g->in = malloc(g->server->limits.head_bytes);
    if (!g->in) {
        drop(g);
        return false;
    }
    const ssize_t n = receive(g, g->in + g->in_n, g->server->limits.head_bytes - g->in_n);
    if (n > 0) {
        if (g->in_n == 0)
            g->start_ns = clock_monotonic_ns();
        g->in_n += (size_t)n;
        return true;
    }
    if (n == 0 && g->in_n > 0)
        refuse(g, 400);
    else if (n != -1)
        drop(g);
    return false;
}

static void wait_for_head(struct guard *g)
{
    if (g->in_n > 0) {
        set_timer(g, TIMER_HEAD, g->server->limits.head_ms);
        return;
    }
    free(g->in);
    g->in = NULL;
    set_timer(g, TIMER_IDLE, g->server->limits.idle_ms);
}

/* Use the bytes there are; at most one recv a turn. false: wait for the socket. */
static bool read_head(struct guard *g, bool *may_read)
{
    const int status =
        g->in_n == 0 ? HTTP_HEAD_MORE
                     : http_head_read(&g->head, &g->scan, g->in, g->in_n, &g->server->head_limits);

    if (status == HTTP_HEAD_WHOLE) {
        start_body(g);
        return true;
    }
    if (status != HTTP_HEAD_MORE) {
        refuse(g, status);
        return false;
    }
    if (*may_read) {
        *may_read = false;
        if (fill_in(g))
            return true;
    }
    if (g->state == GUARD_HEAD)
        wait_for_head(g);
    return false;
}

static void linger(struct guard *g)
{
    char waste[16 * 1024];
    ssize_t n;

    while ((n = receive(g, waste, sizeof(waste))) > 0) {
        g->lingered += (size_t)n;
        if (g->lingered >= LINGER_BYTES) {
            event_del(g->read_ev); /* the timer ends it */
            return;
        }
    }
    if (n != -1)
        drop(g);
}

/* As far as the bytes that are there allow; pipelined requests are answered one after another. */
static void advance(struct guard *g)
{
    bool may_read = true;
    bool more = true;

    while (more) {
        switch (g->state) {
        case GUARD_HEAD:
            more = read_head(g, &may_read);
            break;
        case GUARD_BODY:
            read_body(g);
            more = g->state == GUARD_HEAD;
            break;
        case GUARD_LINGER:
            linger(g);
            more = false;
            break;
        case GUARD_BUSY:
        case GUARD_GONE:
        default:
            more = false;
            break;
        }
    }
}

/* ---- callbacks ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    advance(arg);
    settle(arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct guard *const g = arg;

    (void)fd, (void)what;
    g->timer = TIMER_OFF;
    if (g->state == GUARD_BODY || (g->state == GUARD_HEAD && g->in_n > 0))
        refuse(g, 408);
    else if (g->state != GUARD_BUSY)
        drop(g);
    settle(g);
}

/* The bufferevent wrote the rest of a reply. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct guard *const g = arg;

    bufferevent_disable(bev, EV_WRITE);
    event_add(g->read_ev, NULL);
    reply_written(g);
    if (g->state == GUARD_HEAD)
        advance(g);
    settle(g);
}

/* Writing failed, or the peer took nothing for write_ms. */
static void on_trouble(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)what;
    drop(arg);
    settle(arg);
}

static evhtp_res on_connection_end(evhtp_connection_t *conn, void *arg)
{
    struct guard *const g = arg;

    (void)conn;
    g->conn = NULL;
    return EVHTP_RES_OK;
}

evhtp_res guard_before_accept(evhtp_connection_t *conn, void *arg)
{
    struct http_server *const s = arg;
    const uint64_t open = atomic_load_explicit(&s->open, memory_order_relaxed);

    (void)conn;
    return open < s->limits.connections && !s->draining ? EVHTP_RES_OK : EVHTP_RES_ERROR;
}

static bool make_events(struct guard *g)
{
    g->read_ev = event_new(g->server->base, g->fd, EV_READ | EV_PERSIST, on_readable, g);
    g->timer_ev = evtimer_new(g->server->base, on_deadline, g);
    if (g->read_ev && g->timer_ev && event_add(g->read_ev, NULL) == 0)
        return true;
    if (g->read_ev)
        event_free(g->read_ev);
    if (g->timer_ev)
        event_free(g->timer_ev);
    return false;
}

/* Reading and the callbacks become ours; evhtp's are called by us, when there is a request. */
static void take_over(struct guard *g)
{
    const struct timeval write = ms_timeval(g->server->limits.write_ms);

    bufferevent_getcb(g->bev, &g->evhtp_read, &g->evhtp_write, NULL, NULL);
    bufferevent_setcb(g->bev, NULL, on_written, on_trouble, g);
    bufferevent_disable(g->bev, EV_READ | EV_WRITE);
    bufferevent_set_timeouts(g->bev, NULL, &write);
    bufferevent_set_max_single_write(g->bev, 1024 * 1024);
    evhtp_connection_set_hook(g->conn, evhtp_hook_on_connection_fini, (evhtp_hook)on_connection_end,
                              g);
}

evhtp_res guard_after_accept(evhtp_connection_t *conn, void *arg)
{
    struct http_server *const s = arg;
    struct guard *const g = calloc(1, sizeof(*g));

    if (!g)
        return EVHTP_RES_ERROR;
    g->server = s;
    g->conn = conn;
    g->bev = evhtp_connection_get_bev(conn);
    g->fd = bufferevent_getfd(g->bev);
    if (!make_events(g)) {
        free(g);
        return EVHTP_RES_ERROR;
    }
    (void)fcntl(g->fd, F_SETFD, FD_CLOEXEC);
    take_over(g);
    link_guard(g);
    set_timer(g, TIMER_IDLE, s->limits.idle_ms);
    atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
    listen_pause_at_cap(s);
    return EVHTP_RES_OK;
}

/* Is the server waiting for this peer, and was it long enough when a request is under way? */
static bool may_lose(const struct guard *g, uint64_t now_ns)
{
    switch (g->state) {
    case GUARD_LINGER:
        return true;
    case GUARD_HEAD:
        return g->in_n == 0 || now_ns - g->start_ns > SLOW_NS;
    case GUARD_BODY:
    case GUARD_BUSY:
        return now_ns - g->start_ns > SLOW_NS;
    case GUARD_GONE:
    default:
        return false;
    }
}

/* Who never had an answer comes before all who had one: a crowd of those cannot push these out. */
static struct guard *least_missed(const struct http_server *s)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct guard *known = NULL;

    for (struct guard *g = s->guards; g; g = g->next) {
        if ((g->known && known) || !may_lose(g, now_ns))
            continue;
        if (!g->known)
            return g;
        known = g;
    }
    return known;
}

bool guard_make_room(struct http_server *s)
{
    for (int i = 0; i < MAKE_ROOM_TRIES; i++) {
        struct guard *const g = least_missed(s);

        if (!g)
            return false;
        const uint64_t since = g->start_ns;
        if (g->state == GUARD_HEAD && g->in_n == 0)
            advance(g); /* a request may be waiting in the socket: then it is another's turn */
        if (g->state == GUARD_GONE || g->start_ns == since) {
            drop(g);
            settle(g);
            return true;
        }
    }
    return false;
}

void guard_drain_all(struct http_server *s)
{
    for (struct guard *g = s->guards, *next; g; g = next) {
        next = g->next;
        if (g->state == GUARD_HEAD)
            advance(g); /* a request may be waiting in the socket */
        if (g->state == GUARD_HEAD && g->in_n == 0)
            drop(g);
        settle(g);
    }
}

void guard_drop_all(struct http_server *s)
{
    for (struct guard *g = s->guards, *next; g; g = next) {
        next = g->next;
        drop(g);
        settle(g);
    }
}
