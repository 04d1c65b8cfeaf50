/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket: numeric addresses only, our own options, and when accepting pauses. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/guard.h"
#include "net/server.h"

enum {
    BACKLOG = 4096, /* concurrent binds of kube-scheduler open a connection each; the kernel caps */
    TURNS_OF = 32,  /* of so many places one is given up at a time */
    BACKOFF_MS = 100,
    PORT_MAX = 65535,
};

/* "1.2.3.4:5" or "[::1]:5" into its two halves. */
static int split_address(const char *address, char *host, size_t room, char *port, size_t port_room)
{
    struct str text = str_of(address);
    struct str name;
    uint64_t number;

    if (str_starts(text, "[")) {
        text.p++, text.n--;
        name = str_cut(&text, ']');
        if (!str_starts(text, ":"))
            return -EINVAL;
        text.p++, text.n--;
    } else {
        name = str_cut(&text, ':');
    }
    if (name.n == 0 || name.n >= room || text.n >= port_room || !str_u64(text, &number) ||
        number > PORT_MAX)
        return -EINVAL;
    snprintf(host, room, "%.*s", STR_ARG(name));
    snprintf(port, port_room, "%.*s", STR_ARG(text));
    return 0;
}

static int bind_and_listen(const struct addrinfo *at)
{
    const int on = 1;
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* Linux hands TCP_NODELAY on to every accepted socket. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int error = errno;
    close(fd);
    return -error;
}

int listen_socket(const char *address, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[80], port[8];

    if (split_address(address, host, sizeof(host), port, sizeof(port)) < 0 ||
        getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(err, -EINVAL,
                       "\"%s\" is not a numeric address and port, like 127.0.0.1:8787", address);
    const int fd = bind_and_listen(found);
    freeaddrinfo(found);
    if (fd >= 0)
        return fd;
    const int code = fd == -EADDRINUSE || fd == -EACCES ? fd : -EIO;
    return err_set(err, code, "cannot listen on %s: %s", address, strerror(-fd));
}

int listen_url(char out[SERVER_URL_BYTES], const char *scheme, int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof(at);
    char host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
        getnameinfo((struct sockaddr *)&at, n, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EIO;
    if (at.ss_family == AF_INET6)
        snprintf(out, SERVER_URL_BYTES, "%s://[%s]:%s", scheme, host, port);
    else
        snprintf(out, SERVER_URL_BYTES, "%s://%s:%s", scheme, host, port);
    return 0;
}

/* ---- when accepting pauses ---- */

static void look_again_in(struct http_server *s, unsigned ms)
{
    const struct timeval wait = {.tv_usec = (suseconds_t)ms * 1000};

    event_add(s->accept_again, &wait);
}

static void pause_accepting(struct http_server *s)
{
    s->accept_paused = true;
    evconnlistener_disable(s->htp->server);
}

static bool at_cap(const struct http_server *s)
{
    return atomic_load(&s->open) >= s->limits.connections;
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *const s = arg;

    (void)fd, (void)what;
    if (s->htp->server && at_cap(s))
        event_add(s->knock, NULL);
    else
        listen_resume_below_cap(s);
}

/* Those who only sit there do not lock the others out. */
static void on_knock(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *const s = arg;

    (void)fd, (void)what;
    s->turns_due = 0;
    if (!at_cap(s) || guard_make_room(s)) {
        listen_resume_below_cap(s);
        return;
    }
    s->turns_due = 1 + s->limits.connections / TURNS_OF;
    look_again_in(s, BACKOFF_MS);
}

/* Mostly out of descriptors: trying again at once would spin, unless one is given up for it. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct http_server *const s = ((evhtp_t *)arg)->arg;
    const bool out_of_files = errno == EMFILE || errno == ENFILE;

    (void)listener;
    pause_accepting(s);
    look_again_in(s, out_of_files && guard_make_room(s) ? 1 : BACKOFF_MS);
}

int listen_start(struct http_server *s, int fd)
{
    s->accept_again = evtimer_new(s->base, accept_again, s);
    s->knock = event_new(s->base, fd, EV_READ, on_knock, s);
    if (!s->accept_again || !s->knock || evhtp_accept_socket(s->htp, fd, 0) < 0)
        return -EIO;
    /* the listener's argument is evhtp's; the server is behind it */
    evconnlistener_set_error_cb(s->htp->server, on_accept_error);
    return 0;
}

void listen_pause_at_cap(struct http_server *s)
{
    if (!s->htp->server || !at_cap(s))
        return;
    pause_accepting(s);
    event_add(s->knock, NULL);
}

void listen_resume_below_cap(struct http_server *s)
{
    if (!s->accept_paused || !s->htp->server || at_cap(s))
        return;
    s->accept_paused = false;
    event_del(s->knock);
    evconnlistener_enable(s->htp->server);
}

void listen_stop(struct http_server *s)
{
    if (s->knock)
        event_free(s->knock);
    if (s->accept_again)
        event_free(s->accept_again);
    s->knock = s->accept_again = NULL;
    evhtp_unbind_socket(s->htp);
}
