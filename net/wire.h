/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one connection in and out, as they are or by TLS; the guard knows nothing below
 * this. One thread.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/wire_end.h"

struct evbuffer;
struct tls_session;

struct wire {
    int fd;
    struct tls_session *tls; /* NULL: as they are */
};

/*
 * Read at most `room` bytes, as many as are there. How many; 0: the peer's end. -WIRE_AGAIN: none
 * now. -WIRE_DEAD.
 */
ssize_t wire_read(struct wire *w, char *p, size_t room);

/* Send what is in `out`, and drain it of that. */
enum wire_end wire_write(struct wire *w, struct evbuffer *out);

/* Our last byte is sent; what still comes is read and dropped by the caller from `fd`. */
void wire_shut(struct wire *w);

/* The end, in any state. `is_open`: the descriptor is, and stays the caller's. */
void wire_done(struct wire *w, bool is_open);

/* wire_read has more, whatever the socket says. */
bool wire_has_more(const struct wire *w);

#endif
