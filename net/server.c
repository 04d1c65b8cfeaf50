/* SPDX-License-Identifier: Apache-2.0 */
/* A server's life: made, listening, running on its thread, draining, freed. */
#include "net/server.h"
#include "net/site.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/limits.h"
#include "net/guard.h"
#include "net/tls.h"

enum {
    ROUTE_PATH_BYTES = 200,
    HEAP_KEPT_BYTES = 256 * 1024 * 1024,
    MMAP_FROM_BYTES = 32 * 1024 * 1024, /* glibc's maximum */
    HEAVY_US = 100,
};

/* evhtp's and libevent's remarks on stderr are not lines of ours. */
static void say_nothing(int severity, const char *text)
{
    (void)severity, (void)text;
}

/* The usual soft limit of 1,024 is below the cap of one listener; poll and epoll know no limit. */
static void allow_descriptors(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

/*
 * Bodies of many MiB come and go a thousand times an hour; pages given back would be asked for
 * again. GLIBC_TUNABLES comes first: mallopt would overrule it.
 */
static void keep_heap(void)
{
    const char *const tunables = getenv("GLIBC_TUNABLES");

    if (tunables && strstr(tunables, "glibc.malloc."))
        return;
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, MMAP_FROM_BYTES);
    mallopt(M_TOP_PAD, 1024 * 1024);
}

void http_process_setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    event_set_log_callback(say_nothing);
    keep_heap();
}

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static size_t or_default_bytes(size_t value, size_t fallback)
{
    return value ? value : fallback;
}

static void set_limits(struct http_server *s, const struct http_limits *given)
{
    static const struct http_limits none;
    const struct http_limits *const l = given ? given : &none;

    s->limits = (struct http_limits){
        .head_bytes = or_default_bytes(l->head_bytes, LIMIT_HEAD_BYTES),
        .target_bytes = or_default_bytes(l->target_bytes, LIMIT_TARGET_BYTES),
        .body_bytes = or_default_bytes(l->body_bytes, LIMIT_BODY_BYTES),
        .arena_bytes = l->arena_bytes,
        .headers = or_default(l->headers, LIMIT_HEADERS),
        .connections = or_default(l->connections, LIMIT_CONNECTIONS),
        .head_ms = or_default(l->head_ms, LIMIT_HEAD_MS),
        .body_ms = or_default(l->body_ms, LIMIT_BODY_MS),
        .write_ms = or_default(l->write_ms, LIMIT_WRITE_MS),
        .idle_ms = or_default(l->idle_ms, LIMIT_IDLE_MS),
        .drain_ms = or_default(l->drain_ms, LIMIT_DRAIN_MS),
    };
    s->head_limits = (struct http_head_limits){.head_bytes = s->limits.head_bytes,
                                               .target_bytes = s->limits.target_bytes,
                                               .headers = s->limits.headers,
                                               .body_bytes = s->limits.body_bytes};
    s->pool.arena_bytes = l->arena_bytes;
}

static int copy_routes(struct http_server *s, const struct http_route *routes, size_t n)
{
    s->routes = calloc(n ? n : 1, sizeof(*s->routes));
    if (!s->routes)
        return -ENOMEM;
    for (; s->n_routes < n; s->n_routes++) {
        struct http_route *const copy = &s->routes[s->n_routes];
        *copy = routes[s->n_routes];
        assert(copy->handler && copy->path[0] == '/' && strlen(copy->path) < ROUTE_PATH_BYTES);
        copy->path = strdup(copy->path);
        if (!copy->path)
            return -ENOMEM;
    }
    return 0;
}

void server_drained(struct http_server *s)
{
    if (s->draining && atomic_load(&s->open) == 0)
        event_base_loopexit(s->base, NULL);
}

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    guard_drop_all(arg);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *const s = arg;
    const struct timeval wait = {.tv_sec = s->limits.drain_ms / 1000,
                                 .tv_usec = (suseconds_t)(s->limits.drain_ms % 1000) * 1000};

    (void)fd, (void)what;
    event_del(s->wake);
    s->draining = true;
    listen_stop(s);
    event_add(s->drain_end, &wait);
    guard_drain_all(s);
    server_drained(s);
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    uint64_t n;

    (void)what;
    if (read(fd, &n, sizeof(n)) > 0)
        answer_finished(arg);
}

/*
 * One thread owns the loop, so that libevent needs no locks. While it works for who is heavy it
 * looks every HEAVY_US whether somebody else came.
 */
static struct event_base *new_base(void)
{
    static const struct timeval heavy = {.tv_usec = HEAVY_US};
    struct event_config *const config = event_config_new();
    struct event_base *base = NULL;

    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_max_dispatch_interval(config, &heavy, -1, PEER_HEAVY) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    if (!base || event_base_priority_init(base, PEER_STANDINGS) == 0)
        return base;
    event_base_free(base);
    return NULL;
}

static int make_loop(struct http_server *s)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->base = new_base();
    if (s->wake_fd < 0 || s->finished_fd < 0 || !s->base)
        return -EIO;
    s->wake = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, on_stop, s);
    s->finished_ev = event_new(s->base, s->finished_fd, EV_READ | EV_PERSIST, on_finished, s);
    s->drain_end = evtimer_new(s->base, on_drain_end, s);
    s->htp = evhtp_new(s->base, s);
    if (!s->wake || !s->finished_ev || !s->drain_end || !s->htp || event_add(s->wake, NULL) < 0 ||
        event_add(s->finished_ev, NULL) < 0)
        return -EIO;
    evhtp_set_pre_accept_cb(s->htp, guard_before_accept, s);
    evhtp_set_post_accept_cb(s->htp, guard_after_accept, s);
    evhtp_set_gencb(s->htp, guard_answer, s);
    return 0;
}

int http_server_new(struct http_server **out, const char *role, const struct http_route *routes,
                    size_t n_routes, const struct http_limits *limits, struct err *err)
{
    struct http_server *const s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(err, -ENOMEM, "no memory for the %s server", role);
    s->wake_fd = s->finished_fd = -1;
    pthread_mutex_init(&s->finished_lock, NULL);
    s->guards_end = &s->guards;
    set_limits(s, limits);
    int rc = copy_routes(s, routes, n_routes);
    if (rc == 0)
        rc = make_loop(s);
    if (rc < 0) {
        http_server_free(s);
        return err_set(err, rc, "cannot make the %s server", role);
    }
    *out = s;
    return 0;
}

void http_server_refuse_with(struct http_server *s, http_refusal *refusal)
{
    s->refusal = refusal;
}

int http_server_secure(struct http_server *s, const struct http_tls *tls, struct err *err)
{
    if (s->tls)
        return tls_use(s->tls, tls, err);
    assert(!s->htp->server);
    struct tls *const t = tls_new();
    if (!t)
        return err_set(err, -ENOMEM, "no memory for TLS");
    const int rc = tls_use(t, tls, err);
    if (rc < 0)
        tls_free(t);
    else
        s->tls = t;
    return rc;
}

int http_server_listen(struct http_server *s, const char *address, struct err *err)
{
    assert(!s->htp->server && !s->started);
    const int fd = listen_socket(address, err);

    if (fd < 0)
        return fd;
    if (listen_url(s->url, s->tls ? "https" : "http", fd) < 0 || listen_start(s, fd) < 0) {
        close(fd);
        return err_set(err, -EIO, "cannot listen on %s", address);
    }
    s->is_local = site_is_local(str_of(strstr(s->url, "://") + 3));
    return 0;
}

const char *http_server_url(const struct http_server *s)
{
    return s->url;
}

static void *run(void *arg)
{
    struct http_server *const s = arg;

    event_base_dispatch(s->base);
    event_base_loop(s->base, EVLOOP_NONBLOCK); /* what evhtp freed is closed one turn later */
    return NULL;
}

/* Signals are the main thread's. */
int http_server_start(struct http_server *s, struct err *err)
{
    sigset_t all, before;

    assert(!s->started);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, rc == ENOMEM || rc == EAGAIN ? -ENOMEM : -EIO,
                       "cannot start a thread: %s", strerror(rc));
    s->started = true;
    return 0;
}

void http_server_stop(struct http_server *s)
{
    const uint64_t one = 1;

    if (!s->started || s->stopped)
        return;
    while (write(s->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    pthread_join(s->thread, NULL);
    answer_due(s); /* whose peers are gone */
    s->stopped = true;
}

static void free_routes(struct http_server *s)
{
    for (size_t i = 0; i < s->n_routes; i++)
        free((char *)(uintptr_t)s->routes[i].path);
    free(s->routes);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    http_server_stop(s);
    answer_finished(s);
    assert(!s->guards && s->away == 0);
    if (s->htp) {
        listen_stop(s);
        evhtp_free(s->htp);
    }
    if (s->wake)
        event_free(s->wake);
    if (s->finished_ev)
        event_free(s->finished_ev);
    if (s->drain_end)
        event_free(s->drain_end);
    if (s->base)
        event_base_free(s->base); /* last: it closes what evhtp left for the next turn */
    exchange_pool_done(&s->pool);
    tls_free(s->tls);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->finished_fd >= 0)
        close(s->finished_fd);
    pthread_mutex_destroy(&s->finished_lock);
    free_routes(s);
    free(s);
}

const char *const http_tls_failure_names[HTTP_TLS_FAILURES] = {
    [HTTP_TLS_NO_CERTIFICATE] = "no_certificate",
    [HTTP_TLS_UNTRUSTED] = "untrusted",
    [HTTP_TLS_VALIDITY] = "validity",
    [HTTP_TLS_NAME] = "name",
    [HTTP_TLS_CLIENT] = "client",
    [HTTP_TLS_PROTOCOL] = "protocol",
    [HTTP_TLS_DEADLINE] = "deadline",
};

static int64_t expires_s(struct tls *t)
{
    struct tls_version *const v = t ? tls_get(t) : NULL;
    const int64_t at = v ? v->expires_s : 0;

    tls_version_unref(v);
    return at;
}

void http_server_stats(const struct http_server *s, struct http_stats *out)
{
    *out = (struct http_stats){
        .connections = atomic_load_explicit(&s->connections, memory_order_relaxed),
        .open = atomic_load_explicit(&s->open, memory_order_relaxed),
        .requests = atomic_load_explicit(&s->requests, memory_order_relaxed),
        .rejected = atomic_load_explicit(&s->rejected, memory_order_relaxed),
        .handshakes = atomic_load_explicit(&s->handshakes, memory_order_relaxed),
        .certificate_expires_s = expires_s(s->tls),
    };
    for (int i = 0; i < HTTP_TLS_FAILURES; i++)
        out->tls_failures[i] = atomic_load_explicit(&s->tls_failures[i], memory_order_relaxed);
}
