/* SPDX-License-Identifier: Apache-2.0 */
#include "net/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/guard_parts.h"
#include "net/server.h"
#include "net/tls.h"
#include "net/tls_session.h"

enum {
    BODY_BYTES_PER_TURN = 4 * 1024 * 1024, /* then the other connections have their turn */
    LINGER_BYTES = 1024 * 1024,
    LINGER_MS = 1000,
};

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

static void free_events(struct guard *g)
{
    struct event *const events[] = {g->read_ev, g->write_ev, g->timer_ev, g->again_ev};

    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (events[i])
            event_free(events[i]);
}

void guard_drop(struct guard *g)
{
    struct http_server *const s = g->server;
    evhtp_connection_t *const conn = g->conn;

    if (g->state == GUARD_GONE)
        return;
    g->state = GUARD_GONE;
    free_events(g);
    g->conn = NULL;
    answer_part(g);
    wire_done(&g->wire, conn != NULL);
    if (conn)
        evhtp_connection_free(conn);
    free(g->in);
    unlink_guard(g);
    peer_leave(g->peer);
    atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
    listen_resume_below_cap(s);
    server_drained(s);
}

void guard_settle(struct guard *g)
{
    if (g->state == GUARD_GONE)
        free(g);
}

void guard_set_timer(struct guard *g, enum guard_timer timer, unsigned ms)
{
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    if (g->timer == timer && timer != TIMER_IDLE && timer != TIMER_WRITE)
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
    answer_part(g);
    g->state = GUARD_LINGER;
    g->lingered = 0;
    wire_shut(&g->wire);
    guard_set_timer(g, TIMER_LINGER, LINGER_MS);
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
        guard_drop(g);
        return;
    }
    answer_part(g);
    forget_request(g);
    unlink_guard(g);
    link_guard(g);
    g->known = true;
    g->state = GUARD_HEAD;
    g->timer = TIMER_OFF; /* set anew before the turn ends */
}

void guard_flush(struct guard *g)
{
    switch (wire_write(&g->wire, bufferevent_get_output(g->bev))) {
    case WIRE_DONE:
        reply_written(g);
        break;
    case WIRE_AGAIN: /* a peer that takes nothing for so long is dropped */
        guard_set_timer(g, TIMER_WRITE, g->server->limits.write_ms);
        event_del(g->read_ev);
        event_add(g->write_ev, NULL);
        break;
    case WIRE_DEAD:
    default:
        guard_drop(g);
        break;
    }
}

/* ---- reading ---- */

static void count_failure(struct guard *g, enum http_tls_failure why)
{
    atomic_fetch_add_explicit(&g->server->tls_failures[why], 1, memory_order_relaxed);
}

/* true: the handshake is through. */
static bool shake_hands(struct guard *g)
{
    enum http_tls_failure why = HTTP_TLS_PROTOCOL;

    switch (tls_session_shake(g->wire.tls, &why)) {
    case WIRE_DONE:
        atomic_fetch_add_explicit(&g->server->handshakes, 1, memory_order_relaxed);
        g->state = GUARD_HEAD;
        return true;
    case WIRE_AGAIN:
        if (tls_session_is_full(g->wire.tls))
            event_add(g->write_ev, NULL);
        return false;
    case WIRE_DEAD:
    default: /* the alert is on its way: do not cut it off */
        count_failure(g, why);
        start_linger(g);
        return false;
    }
}

static bool send_continue(struct guard *g)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    evbuffer_add(bufferevent_get_output(g->bev), text, sizeof(text) - 1);
    return wire_write(&g->wire, bufferevent_get_output(g->bev)) == WIRE_DONE;
}

/* The head is sound. Refuse now, before the body is read, what would be refused after it. */
static void start_body(struct guard *g)
{
    answer_find_route(g);
    if (g->refusal && g->head.body_bytes > 0) {
        answer_refuse(g, g->refusal);
        return;
    }
    g->exchange = exchange_new(&g->server->pool, (size_t)g->head.body_bytes);
    if (!g->exchange) {
        answer_refuse(g, 503);
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
        guard_drop(g);
}

static void read_body(struct guard *g)
{
    struct exchange *const x = g->exchange;
    size_t turn = 0;

    while (g->body_n < x->body_bytes && turn < BODY_BYTES_PER_TURN) {
        const ssize_t n = wire_read(&g->wire, x->body + g->body_n, x->body_bytes - g->body_n);
        if (n == -WIRE_AGAIN)
            break;
        if (n == -WIRE_DEAD) {
            guard_drop(g);
            return;
        }
        if (n == 0) {
            answer_refuse(g, 400);
            return;
        }
        g->body_n += (size_t)n;
        turn += (size_t)n;
    }
    if (g->body_n == x->body_bytes)
        answer_request(g);
    else
        guard_set_timer(g, TIMER_BODY, g->server->limits.body_ms);
}

/* One read a turn. true when bytes came. */
static bool fill_in(struct guard *g)
{
    if (!g->in)
        g->in = malloc(g->server->limits.head_bytes);
    if (!g->in) {
        guard_drop(g);
        return false;
    }
    const ssize_t n = wire_read(&g->wire, g->in + g->in_n, g->server->limits.head_bytes - g->in_n);
    if (n > 0) {
        if (g->in_n == 0)
            g->start_ns = clock_monotonic_ns();
        g->in_n += (size_t)n;
        return true;
    }
    if (n == 0 && g->in_n > 0)
        answer_refuse(g, 400);
    else if (n != -WIRE_AGAIN)
        guard_drop(g);
    return false;
}

static void wait_for_head(struct guard *g)
{
    if (g->in_n > 0) {
        guard_set_timer(g, TIMER_HEAD, g->server->limits.head_ms);
        return;
    }
    free(g->in);
    g->in = NULL;
    guard_set_timer(g, TIMER_IDLE, g->server->limits.idle_ms);
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
        answer_refuse(g, status);
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

    while ((n = recv(g->wire.fd, waste, sizeof(waste), MSG_DONTWAIT)) > 0) {
        g->lingered += (size_t)n;
        if (g->lingered >= LINGER_BYTES) {
            event_del(g->read_ev); /* the timer ends it */
            return;
        }
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        guard_drop(g);
}

void guard_advance(struct guard *g)
{
    static const struct timeval next_turn;
    bool may_read = true;
    bool more = true;

    while (more) {
        switch (g->state) {
        case GUARD_HELLO:
            more = shake_hands(g);
            break;
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
        case GUARD_AWAY:
        case GUARD_BUSY:
        case GUARD_GONE:
        default:
            more = false;
            break;
        }
    }
    if ((g->state == GUARD_HEAD || g->state == GUARD_BODY) && wire_has_more(&g->wire))
        event_add(g->again_ev, &next_turn);
}

/* ---- callbacks ---- */

/* The server's time from `since_ns` on was this peer's; who takes too much waits for the others. */
static void charge(struct guard *g, uint64_t since_ns)
{
    const uint64_t now_ns = clock_monotonic_ns();

    peer_charge(g->peer, now_ns - since_ns, now_ns);
    if (g->state != GUARD_GONE)
        (void)event_priority_set(g->read_ev,
                                 (int)peer_standing(&g->server->peers, g->peer, now_ns));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct guard *const g = arg;
    const uint64_t since_ns = clock_monotonic_ns();

    (void)fd, (void)what;
    guard_advance(g);
    charge(g, since_ns);
    guard_settle(g);
}

/* Room for the rest of a reply. */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct guard *const g = arg;
    const uint64_t since_ns = clock_monotonic_ns();

    (void)fd, (void)what;
    if (g->state != GUARD_HELLO)
        guard_flush(g);
    if (g->state == GUARD_HEAD)
        event_add(g->read_ev, NULL);
    if (g->state == GUARD_HEAD || g->state == GUARD_HELLO)
        guard_advance(g);
    charge(g, since_ns);
    guard_settle(g);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct guard *const g = arg;

    (void)fd, (void)what;
    g->timer = TIMER_OFF;
    if (g->state == GUARD_BODY || (g->state == GUARD_HEAD && g->in_n > 0))
        answer_refuse(g, 408);
    else if (g->state == GUARD_AWAY)
        answer_refuse(g, 504);
    else {
        if (g->state == GUARD_HELLO)
            count_failure(g, HTTP_TLS_DEADLINE);
        guard_drop(g);
    }
    guard_settle(g);
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
    struct event_base *const base = g->server->base;

    g->read_ev = event_new(base, g->wire.fd, EV_READ | EV_PERSIST, on_readable, g);
    g->write_ev = event_new(base, g->wire.fd, EV_WRITE, on_writable, g);
    g->timer_ev = evtimer_new(base, on_deadline, g);
    if (g->wire.tls && !(g->again_ev = evtimer_new(base, on_readable, g)))
        return false;
    return g->read_ev && g->write_ev && g->timer_ev && event_add(g->read_ev, NULL) == 0;
}

/* All reading and writing is ours; evhtp's callbacks are called by us, when there is a request. */
static void take_over(struct guard *g)
{
    bufferevent_getcb(g->bev, &g->evhtp_read, &g->evhtp_write, NULL, NULL);
    bufferevent_setcb(g->bev, NULL, NULL, NULL, g);
    bufferevent_disable(g->bev, EV_READ | EV_WRITE);
    evhtp_connection_set_hook(g->conn, evhtp_hook_on_connection_fini, (evhtp_hook)on_connection_end,
                              g);
}

static bool start_tls(struct guard *g)
{
    g->state = g->server->tls ? GUARD_HELLO : GUARD_HEAD;
    if (g->server->tls)
        g->wire.tls = tls_session_new(tls_get(g->server->tls), g->wire.fd);
    return !g->server->tls || g->wire.tls;
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
    g->wire.fd = bufferevent_getfd(g->bev);
    g->start_ns = clock_monotonic_ns();
    if (!start_tls(g) || !make_events(g)) {
        free_events(g);
        wire_done(&g->wire, true);
        free(g);
        return EVHTP_RES_ERROR;
    }
    (void)fcntl(g->wire.fd, F_SETFD, FD_CLOEXEC);
    take_over(g);
    link_guard(g);
    g->peer = peer_enter(&s->peers, conn->saddr);
    peer_address(g->address, conn->saddr);
    if (g->state == GUARD_HELLO)
        guard_set_timer(g, TIMER_HELLO, s->limits.head_ms);
    else
        guard_set_timer(g, TIMER_IDLE, s->limits.idle_ms);
    atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
    listen_pause_at_cap(s);
    return EVHTP_RES_OK;
}
