/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one connection in and out; the guard knows nothing below this. One thread. */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stddef.h>
#include <sys/types.h>

struct evbuffer;

enum wire_end {
    WIRE_DONE,  /* all written */
    WIRE_AGAIN, /* when the socket says so */
    WIRE_DEAD,  /* the connection is of no more use */
};

struct wire {
    int fd;
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

#endif
