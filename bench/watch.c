/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from an API server to a decision, at scale: 5,000 nodes with their topologies and 150,000
 * pods over HTTP.
 *
 *   bench/watch [--nodes N] [--zones Z] [--pods P: on each node] [--rate R] [--seconds S]
 *
 * First the real program: how long until it has read everything, its memory then, and after
 * everything was listed again. Then its source in this process, which sees more: R changes a second
 * for S seconds; the lag is from a change until the snapshot that has it; in the end each pod is
 * compared with the server's. The server keeps every version: it takes some 2 GB.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "bench/watch_server.h"
#include "cluster/apiserver.h"
#include "cluster/cluster.h"
#include "cluster/snapshot_parts.h"
#include "kube/api.h"
#include "kube/kubeconfig.h"

enum { LAGS = 1 << 16, LOOK_MS = 20 };

struct options {
    uint32_t nodes, zones, pods, rate, seconds;
};

static uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* --- the real program --- */

static void write_kubeconfig(char *path, size_t room, uint16_t port)
{
    (void)snprintf(path, room, "%s/kubeconfig", scratch_path());
    FILE *const f = fopen(path, "we");

    if (!f)
        die("cannot write a kubeconfig");
    (void)fprintf(f,
                  "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
                  "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%u'}}]\n",
                  port);
    (void)fclose(f);
}

/* Wait until the process has used no CPU for half a second. */
static void wait_for_rest(pid_t pid)
{
    for (uint64_t before = 0, quiet = 0; quiet < 500 / LOOK_MS;) {
        const uint64_t cpu = process_cpu_ns(pid);

        quiet = cpu - before < UINT64_C(1000000) ? quiet + 1 : 0;
        before = cpu;
        (void)usleep(LOOK_MS * 1000);
    }
}

static double mib(uint64_t kib)
{
    return (double)kib / 1024;
}

static void measure_program(struct watch_server *server)
{
    char kubeconfig[540];
    struct program p;

    write_kubeconfig(kubeconfig, sizeof(kubeconfig), server->port);
    program_start_at(&p, "--kubeconfig", kubeconfig, scratch_path());
    const double sync_ms = p.start_ms, cpu_s = (double)process_cpu_ns(p.pid) / 1e9;
    wait_for_rest(p.pid);
    const uint64_t rss = process_kib(p.pid, "VmRSS"), peak = process_kib(p.pid, "VmHWM");
    (void)printf("the program: everything read after %.0f ms (%.2f s CPU), RSS %.1f MiB, peak %.1f "
                 "MiB\n",
                 sync_ms, cpu_s, mib(rss), mib(peak));
    watch_server_forget(server);
    while (!watch_server_listed(server)) /* the lists wait a little */
        (void)usleep(LOOK_MS * 1000);
    wait_for_rest(p.pid);
    (void)printf("  after everything was listed again: RSS %.1f MiB, peak %.1f MiB, %.2f s CPU\n",
                 mib(process_kib(p.pid, "VmRSS")), mib(process_kib(p.pid, "VmHWM")),
                 (double)process_cpu_ns(p.pid) / 1e9 - cpu_s);
    program_stop(&p);
}

/* --- its source, in this process --- */

/* In the way to the cluster: how old what comes is, and when it is to be seen. */
struct probe {
    struct source_sink inner;
    uint64_t oldest_ns; /* change that no snapshot has yet; 0 = none */
    uint64_t version;
    uint64_t deltas, settled;
    uint64_t last_settled_ns;
    uint32_t lags_ms[LAGS]; /* of each snapshot's oldest change */
    uint32_t n_lags;
    bool counting, synced;
};

static void note_age(struct probe *p, struct str json)
{
    static const char field[] = "\"annotations\":{\"t\":\"";
    const char *const at = memmem(json.p, json.n < 1024 ? json.n : 1024, field, sizeof(field) - 1);
    const uint64_t t = at ? strtoull(at + sizeof(field) - 1, NULL, 10) : 0;

    if (t && (p->oldest_ns == 0 || t < p->oldest_ns))
        p->oldest_ns = t;
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct probe *const p = ctx;

    p->deltas++;
    if (p->counting && delta->verb == SOURCE_UPSERT && delta->kind == SOURCE_POD)
        note_age(p, delta->json);
    if (delta->version > p->version)
        p->version = delta->version;
    return p->inner.delta(p->inner.ctx, delta, err);
}

static void on_begin(void *ctx, enum source_kind kind, bool again)
{
    struct probe *const p = ctx;

    p->inner.begin(p->inner.ctx, kind, again);
}

static void on_end(void *ctx, enum source_kind kind)
{
    struct probe *const p = ctx;

    p->inner.end(p->inner.ctx, kind);
}

static void on_settled(void *ctx)
{
    struct probe *const p = ctx;

    p->inner.settled(p->inner.ctx);
    p->settled++;
    p->last_settled_ns = clock_monotonic_ns();
    if (p->counting && p->oldest_ns && p->n_lags < LAGS)
        p->lags_ms[p->n_lags++] = (uint32_t)((p->last_settled_ns - p->oldest_ns) / 1000000);
    p->oldest_ns = 0;
}

static void on_synced(void *ctx)
{
    struct probe *const p = ctx;

    p->synced = true;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
}

/* The loop, until nothing has come for a second. */
static void run_until_quiet(struct event_base *base, const struct probe *p)
{
    for (uint64_t before = UINT64_MAX, since = now_ms(); now_ms() - since < 1000;) {
        (void)event_base_loop(base, EVLOOP_ONCE);
        if (p->deltas != before || p->oldest_ns)
            since = now_ms();
        before = p->deltas;
    }
}

static int by_value(const void *x, const void *y)
{
    const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return (a > b) - (a < b);
}

/* Each pod of the server, and no other. Returns how many there are. */
static uint64_t compare(struct watch_server *server, struct cluster *cluster, uint64_t *out_wrong)
{
    struct cluster_snapshot *const s = cluster_get(cluster);
    char line[256];
    uint64_t n = 0, wrong = 0, held = 0;

    watch_server_dump(server);
    while (fgets(line, sizeof(line), server->hear) && line[0] != '\n') {
        struct str rest = {line, strcspn(line, "\n")};
        struct str key = str_cut(&rest, ' ');
        const struct str ns = str_cut(&key, '/');
        struct cluster_pod room;
        const struct score_pod *const pod = cluster_snapshot_pod(s, ns, key, &room);

        n++;
        wrong += !pod || !str_eq(pod->uid, rest);
    }
    for (uint32_t i = 0; i < POD_SHARDS; i++)
        held += s->pods->shards[i] ? s->pods->shards[i]->n : 0;
    wrong += held != n;
    (void)watch_server_wait(server);
    cluster_snapshot_unref(s);
    *out_wrong = wrong;
    return n;
}

static void storm(struct watch_server *server, struct event_base *base, struct probe *p,
                  struct cluster *cluster, const struct options *o)
{
    const uint64_t cpu = process_cpu_ns(getpid()), settled = p->settled, deltas = p->deltas;
    const uint64_t from = now_ms(), rss = process_kib(getpid(), "VmRSS");
    uint64_t wrong;

    p->counting = true;
    watch_server_storm(server, o->rate, o->seconds);
    while (now_ms() - from < o->seconds * UINT64_C(1000))
        (void)event_base_loop(base, EVLOOP_ONCE);
    const uint64_t version = watch_server_wait(server), ended = now_ms();
    while (p->version < version && now_ms() - ended < 60000)
        (void)event_base_loop(base, EVLOOP_ONCE);
    const uint64_t late = now_ms() - ended;
    run_until_quiet(base, p);
    qsort(p->lags_ms, p->n_lags, sizeof(p->lags_ms[0]), by_value);
    const uint64_t pods = compare(server, cluster, &wrong);
    (void)printf("storm: %" PRIu64 " changes at %u a second, %" PRIu64
                 " snapshots, %.0f %% of a CPU\n",
                 p->deltas - deltas, o->rate, p->settled - settled,
                 (double)(process_cpu_ns(getpid()) - cpu) / 1e7 / o->seconds);
    if (p->n_lags)
        (void)printf(
            "  lag from change to snapshot: median %u ms, 99 %% %u ms, most %u ms; the last "
            "one %" PRIu64 " ms after the storm\n",
            p->lags_ms[p->n_lags / 2], p->lags_ms[p->n_lags * 99 / 100], p->lags_ms[p->n_lags - 1],
            late);
    (void)printf("  %" PRIu64 " pods as the server has them, %" PRIu64
                 " not; RSS %.1f -> %.1f MiB\n",
                 pods - wrong, wrong, mib(rss), mib(process_kib(getpid(), "VmRSS")));
    if (wrong)
        die("the cache is not what the server has");
}

static void measure_source(struct watch_server *server, const struct options *o)
{
    static struct probe p;
    static const struct timeval often = {.tv_usec = LOOK_MS * 1000};
    static const struct kube_api_options usual;
    const struct cluster_options options = {.hash_key = {1, 2}};
    const struct source_sink sink = {on_delta, on_begin, on_end, on_settled, &p};
    const struct apiserver_options told = {.synced = on_synced, .ctx = &p};
    char url[64];
    struct kube_access access = {.server = url};
    struct event_base *const base = event_base_new();
    struct event *const tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct cluster *cluster;
    struct kube_api *api;
    struct apiserver *source;

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", server->port);
    log_setup(LOG_LEVEL_ERROR, false);
    if (event_add(tick, &often) || cluster_new(&cluster, &options, NULL) ||
        kube_api_new(&api, base, &access, &usual, NULL))
        die("no memory");
    p.inner = cluster_sink(cluster);
    const uint64_t from = now_ms(), rss = process_kib(getpid(), "VmRSS");
    if (apiserver_new(&source, base, api, &sink, &told, NULL))
        die("no memory");
    while (!p.synced)
        (void)event_base_loop(base, EVLOOP_ONCE);
    (void)printf("its source alone: everything read after %" PRIu64
                 " ms, RSS %.1f MiB above %.1f\n",
                 now_ms() - from, mib(process_kib(getpid(), "VmRSS") - rss), mib(rss));
    storm(server, base, &p, cluster, o);
    apiserver_free(source);
    kube_api_free(api);
    cluster_free(cluster);
    event_free(tick);
    event_base_free(base);
}

static void read_args(struct options *o, int argc, char **argv)
{
    static const char *const names[] = {"--nodes", "--zones", "--pods", "--rate", "--seconds"};
    uint32_t *const values[] = {&o->nodes, &o->zones, &o->pods, &o->rate, &o->seconds};

    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;

        while (k < 5 && strcmp(argv[i], names[k]) != 0)
            k++;
        if (k == 5 || i + 1 == argc || (*values[k] = (uint32_t)atoi(argv[i + 1])) == 0)
            die("usage: watch [--nodes N] [--zones Z] [--pods P] [--rate R] [--seconds S]");
    }
}

int main(int argc, char **argv)
{
    struct options o = {.nodes = 5000, .zones = 4, .pods = 30, .rate = 10000, .seconds = 10};
    struct watch_server server;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    read_args(&o, argc, argv);
    scratch_make();
    watch_server_start(&server, o.nodes, o.zones, o.pods);
    (void)printf("%u nodes of %u zones, %u pods\n", o.nodes, o.zones, o.nodes * o.pods);
    measure_program(&server);
    measure_source(&server, &o);
    watch_server_stop(&server);
    return 0;
}
