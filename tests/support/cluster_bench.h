/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for a test, and a cluster that follows it on a loop. */
#ifndef TESTS_SUPPORT_CLUSTER_BENCH_H
#define TESTS_SUPPORT_CLUSTER_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"

struct event;
struct event_base;

struct cluster_bench {
    char root[64]; /* below TMPDIR or /tmp */
    struct event_base *base;
    struct event *tick; /* wakes the loop, so that a wait looks at its condition and its limit */
    struct cluster *cluster;
    struct source_sink inner;
    struct directory *directory;
    uint64_t upserts, deletes, settled;
    struct buf problems; /* one line each */
};

struct cluster_bench *cluster_bench_new(void); /* fails the test when it cannot */
void cluster_bench_free(struct cluster_bench *b);

/* Write ROOT/path; directories are made. JSON with ' for " in a file of any suffix. */
void cluster_bench_write(const struct cluster_bench *b, const char *path, const char *text);
/* The same through a temporary file and rename. */
void cluster_bench_replace(const struct cluster_bench *b, const char *path, const char *text);
void cluster_bench_remove(const struct cluster_bench *b, const char *path);

/* Open the directory and follow it. */
void cluster_bench_follow(struct cluster_bench *b);

/* Run the loop until `done`, at most ten seconds: false. */
bool cluster_bench_wait(struct cluster_bench *b, bool (*done)(struct cluster_bench *b, void *ctx),
                        void *ctx);

/* The CPUs of a node's one zone: what tests change. -1: no such node; 0: no topology. */
int cluster_bench_cpus(struct cluster_bench *b, const char *node);

/* All nodes of a cluster in words, without revisions. */
void cluster_bench_render(struct cluster *c, struct buf *out);

#endif
