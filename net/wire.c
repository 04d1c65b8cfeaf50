/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>

#include "net/tls_session.h"

static ssize_t read_plain(int fd, char *p, size_t room)
{
    for (;;) {
        const ssize_t n = recv(fd, p, room, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN)
            return -WIRE_AGAIN;
        if (errno != EINTR)
            return -WIRE_DEAD;
    }
}

static enum wire_end write_plain(int fd, struct evbuffer *out)
{
    while (evbuffer_get_length(out) > 0) {
        evbuffer_unfreeze(out, 1);
        const int n = evbuffer_write(out, fd);
        const int error = errno;
        evbuffer_freeze(out, 1);
        if (n < 0 && error == EAGAIN)
            return WIRE_AGAIN;
        if (n < 0 && error != EINTR)
            return WIRE_DEAD;
    }
    return WIRE_DONE;
}

ssize_t wire_read(struct wire *w, char *p, size_t room)
{
    return w->tls ? tls_session_read(w->tls, p, room) : read_plain(w->fd, p, room);
}

enum wire_end wire_write(struct wire *w, struct evbuffer *out)
{
    return w->tls ? tls_session_write(w->tls, out) : write_plain(w->fd, out);
}

void wire_shut(struct wire *w)
{
    if (w->tls)
        tls_session_shut(w->tls);
    shutdown(w->fd, SHUT_WR);
}

void wire_done(struct wire *w, bool is_open)
{
    tls_session_free(w->tls, is_open ? w->fd : -1);
    w->tls = NULL;
}

bool wire_has_more(const struct wire *w)
{
    return w->tls && tls_session_has_more(w->tls);
}
