/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that a server has to bear: a child process with as many connections as it is told. */
#ifndef BENCH_ATTACK_H
#define BENCH_ATTACK_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

enum attack_kind {
    ATTACK_IDLE,  /* connected and silent */
    ATTACK_SLOW,  /* a third each: a byte of a head, a byte of a body every 100 ms, nothing read */
    ATTACK_FLOOD, /* every connection asks again as soon as it has its answer */
    ATTACK_KINDS,
};

struct attack_counts {
    _Atomic uint64_t open; /* now, also those the server has not accepted */
    _Atomic uint64_t opened, closed, answered, refused;
};

struct attack {
    pid_t pid;
    struct attack_counts *counts; /* shared with the child */
};

/*
 * `n` connections to 127.0.0.1:port from the address `from`; what the server closes is opened
 * again, at most REOPEN_PER_S a second. `request` is a whole HTTP request.
 */
void attack_start(struct attack *out, enum attack_kind kind, uint32_t n, uint16_t port,
                  const char *from, struct str request);
void attack_stop(struct attack *a); /* all connections at once; the counts stay */

#endif
