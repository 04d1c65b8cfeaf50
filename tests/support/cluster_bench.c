/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster_bench.h"

#include "tests/support/test.h"

#include <event2/event.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "topology/cpuset.h"

static int forward(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct cluster_bench *const b = ctx;

    *(delta->verb == SOURCE_UPSERT ? &b->upserts : &b->deletes) += 1;
    return b->inner.delta(b->inner.ctx, delta, err);
}

static void settled(void *ctx)
{
    struct cluster_bench *const b = ctx;

    b->settled++;
    b->inner.settled(b->inner.ctx);
}

static void note_problem(void *ctx, const char *text)
{
    struct cluster_bench *const b = ctx;

    buf_text(&b->problems, text);
    buf_text(&b->problems, "\n");
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what, (void)ctx;
}

struct cluster_bench *cluster_bench_new(void)
{
    static const struct cluster_options options = {.hash_key = {3, 5}};
    static const struct timeval often = {.tv_usec = 5000};
    struct cluster_bench *const b = calloc(1, sizeof(*b));
    const char *const tmp = getenv("TMPDIR");

    assert_non_null(b);
    (void)snprintf(b->root, sizeof(b->root), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->root));
    b->base = event_base_new();
    b->tick = event_new(b->base, -1, EV_PERSIST, on_tick, NULL);
    assert_int_equal(event_add(b->tick, &often), 0);
    assert_int_equal(cluster_new(&b->cluster, &options, NULL), 0);
    b->inner = cluster_sink(b->cluster);
    return b;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    (void)remove(path);
    return 0;
}

void cluster_bench_free(struct cluster_bench *b)
{
    directory_close(b->directory);
    event_free(b->tick);
    event_base_free(b->base);
    cluster_free(b->cluster);
    buf_free(&b->problems);
    (void)nftw(b->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(b);
}

static void make_parents(char *path, size_t root)
{
    for (char *p = path + root + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = 0;
        (void)mkdir(path, 0755);
        *p = '/';
    }
}

static void write_to(const char *path, const char *text)
{
    FILE *const f = fopen(path, "w");

    assert_non_null(f);
    for (const char *p = text; *p; p++)
        (void)fputc(*p == '\'' ? '"' : *p, f);
    assert_int_equal(fclose(f), 0);
}

void cluster_bench_write(const struct cluster_bench *b, const char *path, const char *text)
{
    char full[256];

    (void)snprintf(full, sizeof(full), "%s/%s", b->root, path);
    make_parents(full, strlen(b->root));
    write_to(full, text);
}

void cluster_bench_replace(const struct cluster_bench *b, const char *path, const char *text)
{
    char full[256], other[300];

    (void)snprintf(full, sizeof(full), "%s/%s", b->root, path);
    make_parents(full, strlen(b->root));
    (void)snprintf(other, sizeof(other), "%s.tmp", full);
    write_to(other, text);
    assert_int_equal(rename(other, full), 0);
}

void cluster_bench_remove(const struct cluster_bench *b, const char *path)
{
    char full[256];

    (void)snprintf(full, sizeof(full), "%s/%s", b->root, path);
    (void)remove(full);
}

void cluster_bench_follow(struct cluster_bench *b)
{
    const struct source_sink sink = {.delta = forward, .settled = settled, .ctx = b};

    assert_int_equal(directory_open(&b->directory, b->root, b->base, &sink, note_problem, b, NULL),
                     0);
}

bool cluster_bench_wait(struct cluster_bench *b, bool (*done)(struct cluster_bench *b, void *ctx),
                        void *ctx)
{
    const uint64_t limit = clock_monotonic_ns() + UINT64_C(10000000000);

    while (!done(b, ctx)) {
        if (clock_monotonic_ns() > limit)
            return false;
        (void)event_base_loop(b->base, EVLOOP_ONCE);
    }
    return true;
}

int cluster_bench_cpus(struct cluster_bench *b, const char *node)
{
    struct cluster_snapshot *const s = cluster_get(b->cluster);
    const struct node_view *const v = cluster_snapshot_find(s, str_of(node));
    const int n = !v ? -1 : v->knowledge == NODE_KNOWN ? (int)v->machine.n_cpus : 0;

    cluster_snapshot_unref(s);
    return n;
}

static void render_node(struct buf *out, const struct node_view *v)
{
    buf_printf(out, "%.*s %d \"%.*s\"", STR_ARG(v->name), v->knowledge, STR_ARG(v->why_unknown));
    if (v->knowledge == NODE_KNOWN) {
        buf_printf(out, " assumed %x free ", v->assumed);
        cpuset_format(out, v->state.cpu_free, v->cpu_words);
        for (uint32_t z = 0; z < v->machine.n_zones; z++)
            buf_printf(out, " memory %llu",
                       (unsigned long long)v->state.memory_free[z * v->n_memory_types]);
        for (uint32_t i = 0; i < v->n_pods; i++) {
            buf_printf(out, " %.*s/%.*s:%d:", STR_ARG(v->pods[i].ns), STR_ARG(v->pods[i].name),
                       v->pods[i].placement);
            if (v->pods[i].n_holdings && v->pods[i].holdings[0].cpus)
                cpuset_format(out, v->pods[i].holdings[0].cpus, v->cpu_words);
        }
    }
    buf_text(out, "\n");
}

void cluster_bench_render(struct cluster *c, struct buf *out)
{
    struct cluster_snapshot *const s = cluster_get(c);

    for (uint32_t i = 0; i < cluster_snapshot_nodes(s); i++)
        render_node(out, cluster_snapshot_node(s, i));
    cluster_snapshot_unref(s);
}
