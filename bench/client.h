/* SPDX-License-Identifier: Apache-2.0 */
/* What kube-scheduler asks for one pod: filter over all nodes, prioritize over what is left. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "bench/load.h"

enum client_verb { CLIENT_FILTER, CLIENT_PRIORITIZE, CLIENT_VERBS };

/* Filter, prioritize, and both together as one pod sees them. */
struct client_times {
    struct load_times of[CLIENT_VERBS + 1];
    uint64_t cpu_ns[CLIENT_VERBS + 1]; /* of the server, summed over all calls */
};
enum { CLIENT_PAIR = CLIENT_VERBS };

/* Body and answer of one call in bytes, for a floor that moves as many. */
struct client_sizes {
    size_t body, reply;
};

struct client {
    struct load load;
    pid_t pid;       /* whose CPU time is taken; 0 = nobody's */
    bool by_nodes;   /* whole Node objects instead of names */
    struct buf list; /* every node: the JSON array of names, or the NodeList */
    struct buf pod;
};

/*
 * One pod of that shape. Adds to `times` and writes sizes[CLIENT_VERBS], each where not NULL.
 * Exits with a message when an answer is not what kube-scheduler takes.
 */
void client_pair(struct client *c, uint64_t shape, struct client_times *times,
                 struct client_sizes *sizes);

/* The same calls with bodies and answers of those sizes, to a server that does not look at them. */
void client_floor_pair(struct client *c, uint64_t shape, const struct client_sizes *sizes,
                       struct client_times *times);

void client_times_done(struct client_times *t); /* sorted, and CPU time per call */

#endif
