/* SPDX-License-Identifier: Apache-2.0 */
/* A closed-loop HTTP client like kube-scheduler's: one keep-alive connection, one call at a time.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"

/* Connect to 127.0.0.1:port; exits with a message when that fails. */
int load_connect(uint16_t port);

/*
 * Send the request and read the whole answer; `reply` receives its body. Returns the nanoseconds
 * from the first byte written to the last one read. Exits when the server breaks the rules.
 */
uint64_t load_call(int fd, struct str request, struct buf *reply);

/* A whole request of kube-scheduler's: POST /scheduler/VERB with this body. */
void load_request(struct buf *out, const char *verb, struct str body);

/* Durations of one kind of call. */
struct load_times {
    uint64_t *ns;
    size_t n, room;
};

void load_add(struct load_times *t, uint64_t ns);
void load_sort(struct load_times *t);
double load_us(const struct load_times *t, double quantile); /* after load_sort */
void load_free(struct load_times *t);

uint64_t load_cpu_ns(pid_t pid); /* CPU time of all threads so far */
uint64_t load_rss_kib(pid_t pid);

#endif
