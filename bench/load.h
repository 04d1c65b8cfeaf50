/* SPDX-License-Identifier: Apache-2.0 */
/* A closed-loop HTTP client like kube-scheduler's: one keep-alive connection, one call at a time.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct load {
    int fd;
    char *in; /* the last answer; grows, so that memory is touched once */
    size_t room;
};

/* Connect to 127.0.0.1:port; exits with a message when that fails. */
void load_open(struct load *l, uint16_t port);
void load_close(struct load *l);

/*
 * POST /scheduler/VERB with the parts as its body, and read the whole answer; `reply` receives its
 * body, valid until the next call. Returns the nanoseconds from the first byte written to the last
 * one read. Exits when the server breaks the rules.
 */
enum { LOAD_PARTS = 6 };
uint64_t load_call(struct load *l, const char *verb, const struct str *parts, uint32_t n,
                   struct str *reply);

/* Durations of one kind of call. */
struct load_times {
    uint64_t *ns;
    size_t n, room;
};

void load_add(struct load_times *t, uint64_t ns);
void load_sort(struct load_times *t);
double load_us(const struct load_times *t, double quantile); /* after load_sort */
void load_free(struct load_times *t);

#endif
