/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>

ssize_t wire_read(struct wire *w, char *p, size_t room)
{
    for (;;) {
        const ssize_t n = recv(w->fd, p, room, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN)
            return -WIRE_AGAIN;
        if (errno != EINTR)
            return -WIRE_DEAD;
    }
}

enum wire_end wire_write(struct wire *w, struct evbuffer *out)
{
    while (evbuffer_get_length(out) > 0) {
        evbuffer_unfreeze(out, 1);
        const int n = evbuffer_write(out, w->fd);
        const int error = errno;
        evbuffer_freeze(out, 1);
        if (n < 0 && error == EAGAIN)
            return WIRE_AGAIN;
        if (n < 0 && error != EINTR)
            return WIRE_DEAD;
    }
    return WIRE_DONE;
}

void wire_shut(struct wire *w)
{
    shutdown(w->fd, SHUT_WR);
}
