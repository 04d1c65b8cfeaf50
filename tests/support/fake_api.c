/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_api.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"

enum { FAULTS = 32, LINES_BYTES = 1 << 20, HEAD_BYTES = 65536, EVENTS = 256, TEXT = 512 };

struct fault {
    enum fake_fault fault;
    enum fake_which which;
    char prefix[128];
    int times, arg, seconds;
};

struct connection {
    struct connection *next;
    struct fake_api *f;
    int fd;
    SSL *ssl;
    pthread_t thread;
    bool ended; /* its thread can be joined */
    atomic_bool cut;
};

struct fake_api {
    struct fake_api_options options;
    char url[64], token[TEXT];
    uint16_t port;
    int listener;
    SSL_CTX *tls;
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *connections;
    struct history *history;
    struct fault faults[FAULTS];
    unsigned n_faults, heals;
    bool stopping, down;
    fake_api_handler handler;
    void *handler_ctx;
    struct buf lines, head, body;
};

/* One request. */
struct request {
    struct connection *c;
    char method[16], target[8192];
    struct buf head, body;
    struct fault fault; /* times 0: none */
};

/* --- bytes --- */

static bool send_all(struct connection *c, const char *p, size_t n)
{
    while (n) {
        const ssize_t sent = c->ssl ? SSL_write(c->ssl, p, n > 16384 ? 16384 : (int)n)
                                    : send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0 && !(sent < 0 && !c->ssl && errno == EINTR))
            return false;
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static ssize_t receive(struct connection *c, char *p, size_t n)
{
    ssize_t got;

    if (c->ssl)
        return SSL_read(c->ssl, p, (int)n);
    while ((got = recv(c->fd, p, n, 0)) < 0 && errno == EINTR)
        ;
    return got;
}

static bool send_head(struct connection *c, int status, const char *type, const char *more,
                      ssize_t length)
{
    struct buf b = {0};

    buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Type: %s\r\n%s", status, type, more);
    if (length < 0)
        buf_text(&b, "Transfer-Encoding: chunked\r\n\r\n");
    else
        buf_printf(&b, "Content-Length: %zd\r\n\r\n", length);
    const bool good = send_all(c, b.p, b.n);
    buf_free(&b);
    return good;
}

static bool send_chunk(struct connection *c, struct str s)
{
    struct buf b = {0};

    buf_printf(&b, "%zx\r\n", s.n);
    buf_str(&b, s);
    buf_text(&b, "\r\n");
    const bool good = send_all(c, b.p, b.n);
    buf_free(&b);
    return good;
}

static bool answer(struct connection *c, int status, struct str body, const char *more)
{
    return send_head(c, status, "application/json", more, (ssize_t)body.n) &&
           send_all(c, body.p, body.n);
}

static bool answer_status(struct connection *c, int code, const char *reason, const char *message,
                          const char *more)
{
    struct buf b = {0};

    history_status(&b, code, reason, message, "", 0);
    const bool good = answer(c, code, buf_view(&b), more);
    buf_free(&b);
    return good;
}

/* --- reading a request --- */

static bool read_head(struct request *r)
{
    char c;

    while (r->head.n < 4 || memcmp(r->head.p + r->head.n - 4, "\r\n\r\n", 4) != 0) {
        if (r->head.n > HEAD_BYTES || receive(r->c, &c, 1) <= 0)
            return false;
        buf_add(&r->head, &c, 1);
    }
    return sscanf(r->head.p, "%15s %8191s", r->method, r->target) == 2;
}

static const char *header(const struct request *r, const char *name)
{
    const size_t n = strlen(name);

    for (const char *line = strstr(r->head.p, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
            return line + 2 + n + 1 + strspn(line + 2 + n + 1, " ");
    return NULL;
}

static bool read_body(struct request *r)
{
    const char *const length = header(r, "Content-Length");
    size_t left = length ? strtoul(length, NULL, 10) : 0;
    char piece[16384];

    while (left) {
        const ssize_t got = receive(r->c, piece, left < sizeof(piece) ? left : sizeof(piece));
        if (got <= 0)
            return false;
        buf_add(&r->body, piece, (size_t)got);
        left -= (size_t)got;
    }
    return true;
}

/* --- the query --- */

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The parameter, unescaped, in `room`. */
static struct str parameter(const char *target, const char *name, char *room, size_t n)
{
    struct str rest = str_of(strchr(target, '?'));

    rest.p += rest.n > 0;
    rest.n -= rest.n > 0;
    while (rest.n) {
        struct str value = str_cut(&rest, '&');
        size_t used = 0;
        if (!str_is(str_cut(&value, '='), name))
            continue;
        for (size_t i = 0; i < value.n && used < n; i++) {
            const bool escaped = value.p[i] == '%' && i + 2 < value.n;
            const int byte = escaped ? hex(value.p[i + 1]) * 16 + hex(value.p[i + 2]) : value.p[i];
            room[used++] = (char)(byte & 0xff);
            i += escaped ? 2 : 0;
        }
        return (struct str){room, used};
    }
    return (struct str){0};
}

static uint32_t number(const char *target, const char *name)
{
    char room[32];
    uint64_t v = 0;

    return str_u64(parameter(target, name, room, sizeof(room)), &v) ? (uint32_t)v : 0;
}

static bool is_watch(const char *target)
{
    char room[32];
    const struct str v = parameter(target, "watch", room, sizeof(room));

    return str_is(v, "1") || str_is(v, "true");
}

/* --- waiting --- */

static void deadline_in(struct timespec *out, uint64_t ms)
{
    (void)clock_gettime(CLOCK_MONOTONIC, out);
    out->tv_sec += (time_t)(ms / 1000);
    out->tv_nsec += (long)(ms % 1000) * 1000000;
    out->tv_sec += out->tv_nsec / 1000000000;
    out->tv_nsec %= 1000000000;
}

static bool is_past(const struct timespec *at)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

/* Under the lock: until something changed, or the time. False: this connection is to end. */
static bool wait_until(struct connection *c, const struct timespec *at)
{
    if (!c->f->stopping && !atomic_load(&c->cut))
        (void)pthread_cond_timedwait(&c->f->changed, &c->f->lock, at);
    return !c->f->stopping && !atomic_load(&c->cut);
}

static void hang(struct connection *c)
{
    struct fake_api *const f = c->f;
    struct timespec at;

    (void)pthread_mutex_lock(&f->lock);
    const unsigned heals = f->heals;
    do
        deadline_in(&at, 60000);
    while (f->heals == heals && wait_until(c, &at));
    (void)pthread_mutex_unlock(&f->lock);
}

static void pause_ms(struct connection *c, int ms)
{
    struct timespec at;

    deadline_in(&at, (uint64_t)ms);
    (void)pthread_mutex_lock(&c->f->lock);
    while (!is_past(&at) && wait_until(c, &at))
        ;
    (void)pthread_mutex_unlock(&c->f->lock);
}

/* --- lists and watches --- */

/* The whole answer, or half of it where the fault says so. False: the connection ends. */
static bool give(struct request *r, int status, struct str body, const char *more)
{
    const enum fake_fault fault = r->fault.fault;

    if (r->fault.times == 0 || (fault != FAKE_STALL && fault != FAKE_CUT))
        return answer(r->c, status, body, more);
    (void)(send_head(r->c, status, "application/json", more, (ssize_t)body.n) &&
           send_all(r->c, body.p, body.n / 2));
    if (fault == FAKE_STALL)
        hang(r->c);
    return false;
}

static bool serve_list(struct request *r, unsigned kind)
{
    struct fake_api *const f = r->c->f;
    char from[64], version[64];
    struct history_query q = {
        .limit = number(r->target, "limit"),
        .from = parameter(r->target, "continue", from, sizeof(from)),
        .version = parameter(r->target, "resourceVersion", version, sizeof(version))};
    struct buf body = {0};

    if (f->options.page && (q.limit == 0 || q.limit > f->options.page))
        q.limit = f->options.page;
    if (f->options.whole_at_zero && str_is(q.version, "0"))
        q.limit = 0;
    (void)pthread_mutex_lock(&f->lock);
    const int status = history_list(f->history, kind, &q, &body);
    (void)pthread_mutex_unlock(&f->lock);
    const bool good = give(r, status, buf_view(&body), "");
    buf_free(&body);
    return good;
}

/* What there is to say now, under the lock. False: the watch is over. */
static bool more_events(struct request *r, struct history_watch *w, struct buf *out,
                        struct timespec *bookmark, const struct timespec *end)
{
    struct fake_api *const f = r->c->f;
    const uint32_t every = f->options.bookmark_ms;

    if (!history_watch_more(f->history, w, EVENTS, out))
        return false;
    if (every && is_past(bookmark)) {
        history_bookmark(f->history, w, out);
        deadline_in(bookmark, every);
    }
    if (!is_past(end))
        return true;
    if (strstr(r->target, "allowWatchBookmarks"))
        history_bookmark(f->history, w, out);
    return false;
}

static bool stream(struct request *r, struct history_watch *w)
{
    struct fake_api *const f = r->c->f;
    const uint32_t seconds = number(r->target, "timeoutSeconds");
    const bool silent = r->fault.times && r->fault.fault == FAKE_LONG_SILENCE;
    struct timespec end, bookmark;
    bool open = true, good = true;

    deadline_in(&end, seconds ? seconds * UINT64_C(1000) : 1800000);
    deadline_in(&bookmark, f->options.bookmark_ms);
    while (open && good) {
        struct buf out = {0};

        (void)pthread_mutex_lock(&f->lock);
        if (!silent)
            open = more_events(r, w, &out, &bookmark, &end);
        if (open && out.n == 0)
            good = wait_until(r->c, f->options.bookmark_ms && !silent ? &bookmark : &end);
        (void)pthread_mutex_unlock(&f->lock);
        if (out.n)
            good = send_chunk(r->c, buf_view(&out));
        buf_free(&out);
    }
    return good && send_all(r->c, "0\r\n\r\n", 5);
}

static bool serve_watch(struct request *r, unsigned kind)
{
    struct fake_api *const f = r->c->f;
    char version[64];
    struct history_watch w;
    struct buf body = {0};

    (void)pthread_mutex_lock(&f->lock);
    const int status = history_watch_open(
        f->history, kind, parameter(r->target, "resourceVersion", version, sizeof(version)), &w,
        &body);
    (void)pthread_mutex_unlock(&f->lock);
    bool good;
    if (status != 200)
        good = give(r, status, buf_view(&body), "");
    else
        good = send_head(r->c, 200, "application/json", "", -1) && stream(r, &w);
    buf_free(&body);
    return good;
}

/* An ERROR event, and the end. */
static bool error_event(struct connection *c, int code)
{
    struct buf b = {0};

    buf_text(&b, "{\"type\":\"ERROR\",\"object\":");
    history_status(&b, code, code == 410 ? "Expired" : "InternalError", "told to", "", 0);
    b.n--; /* the line end */
    buf_text(&b, "}\n");
    const bool good = send_head(c, 200, "application/json", "", -1) &&
                      send_chunk(c, buf_view(&b)) && send_all(c, "0\r\n\r\n", 5);
    buf_free(&b);
    return good;
}

/* --- faults --- */

static void reset(struct connection *c)
{
    const struct linger now = {1, 0};

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static bool fail_with_status(struct request *r)
{
    char more[64] = "";

    if (r->fault.seconds)
        (void)snprintf(more, sizeof(more), "Retry-After: %d\r\n", r->fault.seconds);
    return answer_status(r->c, r->fault.arg, r->fault.arg == 403 ? "Forbidden" : "", "told to",
                         more);
}

static bool too_large(struct connection *c)
{
    struct buf b = {0};

    history_status(&b, 504, "Timeout", "Too large resource version", "ResourceVersionTooLarge", 1);
    const bool good = answer(c, 504, buf_view(&b), "");
    buf_free(&b);
    return good;
}

static bool say(struct connection *c, const char *type, const char *more, const char *body)
{
    return send_head(c, 200, type, more, (ssize_t)strlen(body)) && send_all(c, body, strlen(body));
}

/* `*out_goes_on`: it is no answer of its own, only a way of giving one. */
static bool commit_fault(struct request *r, bool *out_goes_on)
{
    struct connection *const c = r->c;

    switch (r->fault.fault) {
    case FAKE_STATUS:
        return fail_with_status(r);
    case FAKE_GONE:
        return answer_status(c, 410, "Expired", "told to", "");
    case FAKE_TOO_LARGE:
        return too_large(c);
    case FAKE_GONE_EVENT:
        return error_event(c, 410);
    case FAKE_ERROR_EVENT:
        return error_event(c, 500);
    case FAKE_RESET:
        reset(c);
        return false;
    case FAKE_CLOSE:
        return false;
    case FAKE_HANG:
        hang(c);
        return false;
    case FAKE_HTML:
        return say(c, "text/html; charset=utf-8", "", "<html><body>Log in</body></html>");
    case FAKE_REDIRECT:
        return send_head(c, 302, "text/plain", "Location: http://127.0.0.1:1/\r\n", 0);
    case FAKE_EMPTY:
        return answer(c, 200, STR(""), "");
    case FAKE_GARBAGE:
        (void)send_all(c, "\x16\x03\x01 what is HTTP?\r\n\r\n", 22);
        return false;
    case FAKE_NOT_JSON:
        return say(c, "application/json", "", "metadata: {}\nitems: []\n");
    case FAKE_GZIP:
        return say(c, "application/json", "Content-Encoding: gzip\r\n", "\x1f\x8b\x08");
    case FAKE_SLOW:
        pause_ms(c, r->fault.arg);
        break;
    case FAKE_STALL:
    case FAKE_CUT:
    case FAKE_LONG_SILENCE:
        break;
    }
    *out_goes_on = true;
    return true;
}

static bool fits(const struct fault *fault, const struct request *r)
{
    const bool watch = is_watch(r->target);

    return fault->times && strncmp(r->target, fault->prefix, strlen(fault->prefix)) == 0 &&
           (fault->which == FAKE_BOTH || (fault->which == FAKE_WATCHES) == watch);
}

/* Under the lock. */
static void choose_fault(struct request *r)
{
    struct fake_api *const f = r->c->f;

    for (unsigned i = 0; i < f->n_faults; i++) {
        if (!fits(&f->faults[i], r))
            continue;
        r->fault = f->faults[i];
        if (f->faults[i].times > 0)
            f->faults[i].times--;
        return;
    }
}

/* --- requests --- */

static void record(struct request *r)
{
    struct fake_api *const f = r->c->f;

    if (f->lines.n < LINES_BYTES)
        buf_printf(&f->lines, "%s %s\n", r->method, r->target);
    f->head.n = f->body.n = 0;
    buf_str(&f->head, buf_view(&r->head));
    buf_str(&f->body, buf_view(&r->body));
}

static bool is_allowed(const struct request *r)
{
    const char *const said = header(r, "Authorization");
    const size_t n = strlen(r->c->f->token);

    return n == 0 || (said && strncmp(said, "Bearer ", 7) == 0 &&
                      strncmp(said + 7, r->c->f->token, n) == 0 && said[7 + n] == '\r');
}

static bool serve_other(struct request *r)
{
    struct fake_api *const f = r->c->f;
    struct buf out = {0};

    if (!f->handler)
        return answer_status(r->c, 404, "NotFound", "the server could not find it", "");
    const int status = f->handler(f->handler_ctx, r->method, r->target, buf_view(&r->body), &out);
    const bool good = give(r, status, buf_view(&out), "");
    buf_free(&out);
    return good;
}

static bool serve(struct request *r)
{
    struct fake_api *const f = r->c->f;
    bool goes_on = false;

    (void)pthread_mutex_lock(&f->lock);
    record(r);
    choose_fault(r);
    const bool allowed = is_allowed(r);
    const int kind = history_find(f->history, (struct str){r->target, strcspn(r->target, "?")});
    (void)pthread_mutex_unlock(&f->lock);
    if (!allowed)
        return answer_status(r->c, 401, "Unauthorized", "Unauthorized", "");
    if (r->fault.times) {
        const bool good = commit_fault(r, &goes_on);
        if (!goes_on)
            return good;
    }
    if (kind < 0 || strcmp(r->method, "GET") != 0)
        return serve_other(r);
    return is_watch(r->target) ? serve_watch(r, (unsigned)kind) : serve_list(r, (unsigned)kind);
}

static void serve_all(struct connection *c)
{
    bool good = true;

    while (good) {
        struct request r = {.c = c};

        good = read_head(&r) && read_body(&r) && serve(&r);
        buf_free(&r.head);
        buf_free(&r.body);
    }
}

static void *run_connection(void *ctx)
{
    struct connection *const c = ctx;
    struct fake_api *const f = c->f;

    if (f->tls) {
        c->ssl = SSL_new(f->tls);
        (void)SSL_set_fd(c->ssl, c->fd);
    }
    if (!c->ssl || SSL_accept(c->ssl) == 1)
        serve_all(c);
    if (c->ssl) {
        (void)SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    (void)pthread_mutex_lock(&f->lock);
    (void)close(c->fd);
    c->fd = -1;
    c->ended = true;
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* --- connections --- */

/* Under the lock. */
static void reap(struct fake_api *f)
{
    for (struct connection **at = &f->connections; *at;) {
        struct connection *const c = *at;

        if (!c->ended) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        (void)pthread_mutex_unlock(&f->lock); /* nobody else links or unlinks */
        (void)pthread_join(c->thread, NULL);
        (void)pthread_mutex_lock(&f->lock);
        free(c);
    }
}

static void add_connection(struct fake_api *f, int fd)
{
    struct connection *const c = calloc(1, sizeof(*c));
    const int one = 1;

    assert(c);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->f = f;
    c->fd = fd;
    c->next = f->connections;
    f->connections = c;
    if (pthread_create(&c->thread, NULL, run_connection, c))
        abort();
}

/* The one who links and unlinks connections, until it is joined. */
static void *run_acceptor(void *ctx)
{
    struct fake_api *const f = ctx;

    for (;;) {
        const int fd = accept(f->listener, NULL, NULL);

        (void)pthread_mutex_lock(&f->lock);
        const bool stopping = f->stopping, down = f->down;
        if (!stopping && fd >= 0) {
            reap(f);
            add_connection(f, fd);
        }
        (void)pthread_mutex_unlock(&f->lock);
        if (stopping || (down && fd < 0))
            return NULL;
    }
}

/* Under the lock. */
static void cut_all(struct fake_api *f)
{
    for (struct connection *c = f->connections; c; c = c->next) {
        atomic_store(&c->cut, true);
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
    (void)pthread_cond_broadcast(&f->changed);
}

static void listen_on(struct fake_api *f, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t n = sizeof(at);
    const int one = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (f->listener < 0 || bind(f->listener, (const struct sockaddr *)&at, n) ||
        listen(f->listener, 128) || getsockname(f->listener, (struct sockaddr *)&at, &n))
        abort();
    f->port = ntohs(at.sin_port);
    if (pthread_create(&f->acceptor, NULL, run_acceptor, f))
        abort();
}

static SSL_CTX *tls_of(const struct fake_api_options *o)
{
    SSL_CTX *const t = SSL_CTX_new(TLS_server_method());

    if (!t || SSL_CTX_use_certificate_chain_file(t, o->cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(t, o->key, SSL_FILETYPE_PEM) != 1)
        abort();
    if (o->client_ca) {
        if (SSL_CTX_load_verify_locations(t, o->client_ca, NULL) != 1)
            abort();
        SSL_CTX_set_verify(t, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return t;
}

struct fake_api *fake_api_new(const struct fake_api_options *options)
{
    struct fake_api *const f = calloc(1, sizeof(*f));
    pthread_condattr_t monotonic;

    assert(f);
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write */
    f->options = *options;
    if (options->token)
        (void)snprintf(f->token, sizeof(f->token), "%s", options->token);
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&f->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    f->history = history_new();
    f->tls = options->cert ? tls_of(options) : NULL;
    listen_on(f, 0);
    (void)snprintf(f->url, sizeof(f->url), "%s://127.0.0.1:%u", f->tls ? "https" : "http", f->port);
    return f;
}

/* Nobody accepts any more; every connection is cut and its thread joined. */
static void stop_listening(struct fake_api *f)
{
    (void)shutdown(f->listener, SHUT_RDWR);
    (void)pthread_join(f->acceptor, NULL);
    (void)close(f->listener);
    (void)pthread_mutex_lock(&f->lock);
    cut_all(f);
    while (f->connections) {
        struct connection *const c = f->connections;

        f->connections = c->next;
        (void)pthread_mutex_unlock(&f->lock);
        (void)pthread_join(c->thread, NULL);
        (void)pthread_mutex_lock(&f->lock);
        free(c);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void fake_api_down(struct fake_api *f)
{
    (void)pthread_mutex_lock(&f->lock);
    f->down = true;
    (void)pthread_mutex_unlock(&f->lock);
    stop_listening(f);
}

void fake_api_up(struct fake_api *f)
{
    f->down = false;
    listen_on(f, f->port);
}

void fake_api_free(struct fake_api *f)
{
    (void)pthread_mutex_lock(&f->lock);
    f->stopping = true;
    const bool listening = !f->down;
    (void)pthread_mutex_unlock(&f->lock);
    if (listening)
        stop_listening(f);
    history_free(f->history);
    SSL_CTX_free(f->tls);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    buf_free(&f->lines);
    buf_free(&f->head);
    buf_free(&f->body);
    free(f);
}

/* --- fake_api.h --- */

uint16_t fake_api_port(const struct fake_api *f)
{
    return f->port;
}

const char *fake_api_url(const struct fake_api *f)
{
    return f->url;
}

void fake_api_write_kubeconfig(const struct fake_api *f, const char *path)
{
    FILE *const file = fopen(path, "we");

    if (!file)
        abort();
    (void)fprintf(file,
                  "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
                  "clusters: [{name: c, cluster: {server: '%s'}}]\n",
                  fake_api_url(f));
    if (fclose(file))
        abort();
}

struct history *fake_api_lock(struct fake_api *f)
{
    (void)pthread_mutex_lock(&f->lock);
    return f->history;
}

void fake_api_unlock(struct fake_api *f)
{
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
}

void fake_api_add_kinds(struct fake_api *f, const struct fake_kind *kinds, size_t n)
{
    struct history *const h = fake_api_lock(f);

    for (size_t k = 0; k < n; k++)
        (void)history_kind(h, kinds[k].path, kinds[k].api_version, kinds[k].kind, kinds[k].sorted);
    fake_api_unlock(f);
}

void fake_api_set_token(struct fake_api *f, const char *token)
{
    (void)fake_api_lock(f);
    (void)snprintf(f->token, sizeof(f->token), "%s", token);
    fake_api_unlock(f);
}

void fake_api_fault(struct fake_api *f, enum fake_fault fault, const char *prefix,
                    enum fake_which which, int times, int arg, int seconds)
{
    (void)fake_api_lock(f);
    unsigned i = 0;
    while (i < f->n_faults && f->faults[i].times)
        i++;
    assert(i < FAULTS);
    f->faults[i] = (struct fault){fault, which, "", times, arg, seconds};
    (void)snprintf(f->faults[i].prefix, sizeof(f->faults[i].prefix), "%s", prefix);
    f->n_faults += i == f->n_faults;
    fake_api_unlock(f);
}

void fake_api_heal(struct fake_api *f)
{
    (void)fake_api_lock(f);
    f->n_faults = 0;
    f->heals++;
    fake_api_unlock(f);
}

void fake_api_cut(struct fake_api *f)
{
    (void)fake_api_lock(f);
    cut_all(f);
    fake_api_unlock(f);
}

void fake_api_handle(struct fake_api *f, fake_api_handler handler, void *ctx)
{
    (void)fake_api_lock(f);
    f->handler = handler;
    f->handler_ctx = ctx;
    fake_api_unlock(f);
}

unsigned fake_api_asked(struct fake_api *f, const char *line)
{
    const size_t n = strlen(line);
    unsigned times = 0;

    (void)fake_api_lock(f);
    for (const char *p = f->lines.n ? f->lines.p : ""; *p; p = strchr(p, '\n') + 1)
        times += strncmp(p, line, n) == 0;
    fake_api_unlock(f);
    return times;
}

void fake_api_lines(struct fake_api *f, struct buf *out)
{
    (void)fake_api_lock(f);
    buf_str(out, buf_view(&f->lines));
    fake_api_unlock(f);
}

void fake_api_last(struct fake_api *f, struct buf *head, struct buf *body)
{
    (void)fake_api_lock(f);
    buf_str(head, buf_view(&f->head));
    buf_str(body, buf_view(&f->body));
    fake_api_unlock(f);
}
