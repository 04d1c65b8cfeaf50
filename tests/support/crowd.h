/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections at a time that do little or harm, held by a test. */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct crowd_member {
    int fd;        /* -1 = closed */
    uint32_t sent; /* bytes of what it has to say */
};

struct crowd {
    struct crowd_member *members; /* [n] */
    uint32_t n;
    uint32_t open;     /* those the peer has not closed, also those it has not accepted */
    uint32_t ended;    /* closed by the peer without a word, or reset */
    uint32_t told_408; /* closed by the peer after "408 Request Timeout" */
    uint32_t told_503; /* the same with 503 */
    uint32_t odd;      /* anything else the peer said */
};

/*
 * How many of `want` connections this process may hold beside `others` descriptors. The limit is
 * raised as far as that goes; less than `want` is said on stderr.
 */
uint32_t crowd_room(uint32_t want, uint32_t others);

/* `n` connections to 127.0.0.1:port from `from` ("127.0.0.2"), none of which is waited for. */
void crowd_open(struct crowd *out, uint32_t n, uint16_t port, const char *from);

/* One more byte by each member: member i says say[i % n_say], once. */
void crowd_drip(struct crowd *c, const struct str *say, uint32_t n_say);

/* Each member sends all of `say` at once. */
void crowd_say(struct crowd *c, struct str say);

/* See who was closed, and with what word. Waits for nothing. */
void crowd_look(struct crowd *c);

void crowd_close(struct crowd *c);

/* CPU time of all threads of a process so far. */
uint64_t process_cpu_time_ns(pid_t pid);

#endif
