/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server in a process of its own, with nodes, their NodeResourceTopologies and `pods` pods a
 * node, of about 5 KB each as a real one writes them; and what happens to them.
 */
#ifndef BENCH_WATCH_SERVER_H
#define BENCH_WATCH_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct watch_server {
    pid_t pid;
    uint16_t port;
    FILE *say, *hear;
};

/* Exits with a message on failure. */
void watch_server_start(struct watch_server *out, uint32_t nodes, uint32_t zones, uint32_t pods);
void watch_server_stop(struct watch_server *s);

/*
 * `rate` changes a second for `seconds`: most of them of pods' states, one in ten a pod that comes
 * or goes, one in fifty a new report of a node. Returns when it begins; watch_server_wait when it
 * is over, with the version that it led to.
 */
void watch_server_storm(struct watch_server *s, uint32_t rate, uint32_t seconds);
uint64_t watch_server_wait(struct watch_server *s);

/* Forget all versions and cut every connection: everybody lists again. */
void watch_server_forget(struct watch_server *s);

/* Whether since then a list of each kind was asked for. */
bool watch_server_listed(struct watch_server *s);

/* One line "NS/NAME UID" a pod on s->hear, and an empty one; then watch_server_wait. */
void watch_server_dump(struct watch_server *s);

#endif
