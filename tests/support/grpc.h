/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server of a few lines, for tests: on a unix socket, HTTP/2 without TLS, one connection and
 * one call an answer, in the order in which they come. It reads frames only to know when the call
 * is there, and never says more than it was given.
 */
#ifndef TESTS_SUPPORT_GRPC_H
#define TESTS_SUPPORT_GRPC_H

#include <stdbool.h>
#include <stddef.h>

struct grpc_answer {
    bool not_found;      /* HTTP 404, and nothing else */
    bool silent;         /* closes the connection when the call is there */
    const void *body;    /* what stands in DATA frames, with its five bytes of head; or NULL */
    size_t n;            /* bytes of it */
    size_t zeros;        /* and so many behind it */
    const char *status;  /* grpc-status in the trailers; NULL: no trailers */
    const char *message; /* grpc-message; NULL: none */
};

struct grpc_server;

/* Listens when it returns, at `socket`; the answers outlive it. Fails the test when it cannot. */
struct grpc_server *grpc_start(const char *socket, const struct grpc_answer *answers, size_t n);

/* Waits until all were given, and removes the socket. */
void grpc_stop(struct grpc_server *s);

#endif
