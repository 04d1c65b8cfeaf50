/* SPDX-License-Identifier: Apache-2.0 */
/* The least an HTTP server can do: read the bytes of a request, write as many as the answer had. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A child process with an epoll server on a port the kernel chose. The k-th request is answered
 * with lengths[k % n] bytes of body. It ends when it is killed, or with its parent.
 */
pid_t floor_start(const size_t *lengths, size_t n, uint16_t *out_port);

#endif
