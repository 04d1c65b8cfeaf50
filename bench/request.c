/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/request: where the time of filter and prioritize goes, without a network: decoding the
 * body, deciding, encoding the answer, keeping the decision. Median CPU time, so that what else
 * runs on the machine counts little.
 *
 *   warm  the same pod shapes come again and again
 *   cold  every pod is of a new shape
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "bench/load.h"
#include "bench/scratch.h"
#include "bench/synth.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "decide/decide.h"
#include "decide/holds.h"
#include "decide/memo.h"
#include "decide/record.h"
#include "decide/report.h"
#include "decide/ring.h"
#include "extender/answered.h"
#include "extender/encode.h"
#include "kube/extender_wire.h"
#include "kube/scan.h"
#include "net/reply.h"

enum { ARENA_BYTES = 64 << 20, MAX_AGE_US = 300 * 1000000 };
enum part { DECODE, DECIDE, ENCODE, KEEP, PARTS };
enum verb { FILTER, PRIORITIZE, VERBS };

struct options {
    uint32_t nodes, zones, shapes, streams;
    uint32_t sample;      /* of the nodes that a pod's calls name */
    uint32_t disturb_mib; /* memory that others use between two calls */
    uint32_t pairs;       /* instead of seconds, for who counts instructions; 0 = by the clock */
    double seconds;
    bool warm, cold, no_holds;
};

struct bench {
    struct options options;
    struct cluster *cluster;
    struct memo *memo;
    struct answered answered;
    struct holds *holds;
    struct ring *ring;
    struct http_reply reply;
    char *room;
    uint32_t *names_at; /* [nodes] where each name stands in `names` */
    struct buf names, list, pod, body;
    struct load_times times[VERBS][PARTS];
    uint64_t turn;
    char *disturbance;
};

static _Noreturn void give_up(const char *what, const struct err *err)
{
    fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Time since *at into `t` (NULL: it is not kept), and the clock anew. */
static void lap(struct load_times *t, uint64_t *at)
{
    const uint64_t now = cpu_ns();

    if (t)
        load_add(t, now - *at);
    *at = cpu_ns();
}

static void put_body(struct bench *b, struct str list)
{
    b->body.n = 0;
    buf_text(&b->body, "{\"Pod\":");
    buf_str(&b->body, buf_view(&b->pod));
    buf_text(&b->body, ",\"Nodes\":null,\"NodeNames\":");
    buf_str(&b->body, list);
    buf_text(&b->body, "}");
    const size_t n = b->body.n;
    for (int i = 0; i < SCAN_PADDING_BYTES; i++)
        buf_add(&b->body, "", 1);
    if (b->body.failed)
        give_up("out of memory", NULL);
    b->body.n = n;
}

/* The reply's bytes as one piece: names do not come by reference. */
static void copy_reply(struct buf *out, const struct http_reply *r)
{
    out->n = 0;
    for (size_t i = 0; i < r->n_runs; i++)
        buf_str(out, r->runs[i]);
}

/* Time of the parts goes to `times`, NULL = nowhere. */
static void call(struct bench *b, enum verb verb, struct load_times *times)
{
    struct cluster_snapshot *const s = cluster_get(b->cluster);
    struct kube_extender_args args;
    struct decide_options options = {
        .max_score = 10,
        .context = {.now_us = clock_realtime_us(), .max_age_us = MAX_AGE_US},
        .memo = b->memo,
        .holds = verb == PRIORITIZE && !b->options.no_holds ? b->holds : NULL,
        .turn = b->turn++};
    struct decision d;
    struct arena a;
    struct err err;
    uint64_t at = cpu_ns();

    arena_init(&a, b->room, ARENA_BYTES);
    if (kube_extender_args_decode(&args, buf_view(&b->body),
                                  verb == PRIORITIZE ? &b->answered.names : NULL, &a, &err) ||
        !args.has_pod)
        give_up("decode", &err);
    lap(times ? &times[DECODE] : NULL, &at);
    const struct decide_ask ask = {.pod = &args.pod,
                                   .n = args.n,
                                   .names = args.names,
                                   .positions = args.seen ? b->answered.positions : NULL,
                                   .roster = b->answered.roster};
    if (!b->options.no_holds)
        holds_look(b->holds, s, clock_monotonic_ns());
    if (decide_run(&d, &ask, s, &options, &a, &err))
        give_up("decide", &err);
    if (b->options.no_holds)
        ; /* what it was without them */
    else if (verb == FILTER)
        holds_filtered(b->holds, &d, &ask, clock_monotonic_ns());
    else
        holds_prioritized(b->holds, &d, &ask, clock_monotonic_ns());
    lap(times ? &times[DECIDE] : NULL, &at);
    reply_reset(&b->reply);
    if (verb == FILTER) {
        ext_encode_filter(&b->reply, &args, &d, DECIDE_ENFORCE);
        answered_keep(&b->answered, &args, &d, DECIDE_ENFORCE);
    } else {
        ext_encode_prioritize(&b->reply, &args, &d, false);
    }
    lap(times ? &times[ENCODE] : NULL, &at);
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    if (ring_add(b->ring, &report, verb == FILTER ? RECORD_FILTER : RECORD_PRIORITIZE,
                 options.context.now_us))
        give_up("a decision was lost", NULL);
    lap(times ? &times[KEEP] : NULL, &at);
    arena_rewind(&a, 0);
    cluster_snapshot_unref(s);
}

/*
 * The names as kube-scheduler sends them: it starts at another node each time, and its workers,
 * each with a stretch of nodes, run into each other.
 */
static void make_list(struct bench *b, uint64_t *seed)
{
    const uint32_t nodes = b->options.nodes, n = b->options.sample, streams = b->options.streams;
    uint32_t next[64], end[64], left = streams, start = (uint32_t)(*seed >> 33) % nodes;

    for (uint32_t k = 0; k < streams; k++) {
        next[k] = (uint32_t)((uint64_t)n * k / streams);
        end[k] = (uint32_t)((uint64_t)n * (k + 1) / streams);
    }
    b->list.n = 0;
    buf_text(&b->list, "[");
    while (left > 0) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        const uint32_t k = (uint32_t)(*seed >> 33) % left;
        const uint32_t i = (next[k]++ + start) % nodes;
        const char *const from = b->names.p + b->names_at[i];

        if (b->list.n > 1)
            buf_text(&b->list, ",");
        buf_add(&b->list, from, (size_t)(strchr(from + 1, '"') + 1 - from));
        if (next[k] == end[k]) {
            left--;
            next[k] = next[left];
            end[k] = end[left];
        }
    }
    buf_text(&b->list, "]");
}

/* A call's data is in no cache when it comes after what others have done on the same cores. */
static void disturb(struct bench *b)
{
    const size_t n = (size_t)b->options.disturb_mib << 20;

    for (size_t i = 0; i < n; i += 64)
        b->disturbance[i]++;
}

static struct str survivors(const struct buf *reply)
{
    const char *const at = memmem(reply->p, reply->n, "\"NodeNames\":[", 13);
    const char *const end = at ? memchr(at, ']', reply->n - (size_t)(at - reply->p)) : NULL;

    if (!end)
        give_up("filter does not answer with NodeNames", NULL);
    return (struct str){at + 12, (size_t)(end - at) - 11};
}

static void one_pod(struct bench *b, uint64_t shape, uint64_t *seed, bool timed)
{
    struct buf reply = {0};

    make_list(b, seed);
    b->pod.n = 0;
    synth_pod(&b->pod, shape);
    put_body(b, buf_view(&b->list));
    disturb(b);
    call(b, FILTER, timed ? b->times[FILTER] : NULL);
    copy_reply(&reply, &b->reply);
    put_body(b, survivors(&reply));
    disturb(b);
    call(b, PRIORITIZE, timed ? b->times[PRIORITIZE] : NULL);
    buf_free(&reply);
}

static void print(struct bench *b, const char *phase)
{
    static const char *const verbs[] = {"filter", "prioritize"};
    static const char *const parts[] = {"decode", "decide", "encode", "keep"};

    for (int v = 0; v < VERBS; v++) {
        double sum = 0;

        printf("%-5s %-10s", phase, verbs[v]);
        for (int p = 0; p < PARTS; p++) {
            struct load_times *const t = &b->times[v][p];

            load_sort(t);
            const double us = load_us(t, 0.5);
            printf("  %s %8.1f", parts[p], us);
            sum += us;
            load_free(t);
        }
        printf("  sum %8.1f us\n", sum);
    }
}

static void run(struct bench *b, bool cold)
{
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(b->options.seconds * 1e9);
    uint64_t seed = 7;

    for (uint32_t i = 0; !cold && i < b->options.shapes; i++)
        one_pod(b, i, &seed, false);
    for (uint64_t i = 0; b->options.pairs ? i < b->options.pairs : clock_monotonic_ns() < end; i++)
        one_pod(b, cold ? 1000003 + i : i % b->options.shapes, &seed, true);
    print(b, cold ? "cold" : "warm");
}

static void set_up(struct bench *b)
{
    const struct cluster_options options = {.max_age_us = MAX_AGE_US};
    struct directory *directory;
    struct err err;

    scratch_make();
    synth_cluster(scratch_cluster(), b->options.nodes, b->options.zones, SYNTH_JSON);
    if (cluster_new(&b->cluster, &options, &err))
        give_up("cluster", &err);
    const struct source_sink sink = cluster_sink(b->cluster);
    if (directory_open(&directory, scratch_cluster(), NULL, &sink, NULL, NULL, &err))
        give_up("directory", &err);
    directory_close(directory);
    if (memo_new(&b->memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, &err) ||
        holds_new(&b->holds, LIMIT_HOLD_MS * UINT64_C(1000000), &err) ||
        ring_new(&b->ring, RING_DEFAULT_BYTES, &err))
        give_up("memory", &err);
    synth_names(&b->names, b->options.nodes);
    b->room = malloc(ARENA_BYTES);
    b->names_at = calloc(b->options.nodes, sizeof(*b->names_at));
    b->disturbance = calloc(b->options.disturb_mib + 1, 1 << 20);
    if (!b->room || !b->names_at || !b->disturbance)
        give_up("out of memory", NULL);
    uint32_t at = 1; /* ["a","b"]: behind the bracket */
    for (uint32_t i = 0; i < b->options.nodes; i++) {
        b->names_at[i] = at;
        at = (uint32_t)(strchr(b->names.p + at + 1, '"') - b->names.p) + 2;
    }
}

static double number(const char *option, const char *text, double least, double most)
{
    char *end;
    const double v = strtod(text, &end);

    if (*end || end == text || v < least || v > most) {
        fprintf(stderr, "bench: --%s takes %.0f to %.0f\n", option, least, most);
        exit(2);
    }
    return v;
}

static const char *policy(const char *text)
{
    static const char *const all[] = {"none", "best-effort", "restricted", "single-numa-node"};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (strcmp(text, all[i]) == 0)
            return text;
    }
    fprintf(stderr, "bench: --policy takes none, best-effort, restricted, single-numa-node\n");
    exit(2);
}

static struct options read_options(int argc, char **argv)
{
    static const struct option longs[] = {{"nodes", required_argument, NULL, 'n'},
                                          {"zones", required_argument, NULL, 'z'},
                                          {"shapes", required_argument, NULL, 's'},
                                          {"streams", required_argument, NULL, 'w'},
                                          {"sample", required_argument, NULL, 'm'},
                                          {"disturb", required_argument, NULL, 'd'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"phase", required_argument, NULL, 'p'},
                                          {"pairs", required_argument, NULL, 'i'},
                                          {"no-holds", no_argument, NULL, 'h'},
                                          {"unlike", no_argument, NULL, 'u'},
                                          {"policy", required_argument, NULL, 'k'},
                                          {0}};
    struct options o = {.nodes = 5000,
                        .zones = 4,
                        .shapes = 32,
                        .streams = 1,
                        .seconds = 3,
                        .warm = true,
                        .cold = true};

    for (int c, i = 0; (c = getopt_long(argc, argv, "", longs, &i)) != -1;) {
        if (c == 'n')
            o.nodes = (uint32_t)number("nodes", optarg, 1, 99999);
        else if (c == 'z')
            o.zones = (uint32_t)number("zones", optarg, 1, 8);
        else if (c == 's')
            o.shapes = (uint32_t)number("shapes", optarg, 1, 10000);
        else if (c == 'w')
            o.streams = (uint32_t)number("streams", optarg, 1, 64);
        else if (c == 'm')
            o.sample = (uint32_t)number("sample", optarg, 1, 99999);
        else if (c == 'd')
            o.disturb_mib = (uint32_t)number("disturb", optarg, 0, 4096);
        else if (c == 'i')
            o.pairs = (uint32_t)number("pairs", optarg, 1, 1000000);
        else if (c == 'h')
            o.no_holds = true;
        else if (c == 'u')
            synth_unlike = true;
        else if (c == 'k')
            synth_policy = policy(optarg);
        else if (c == 't')
            o.seconds = number("seconds", optarg, 0, 86400);
        else if (c == 'p' && (strcmp(optarg, "warm") == 0 || strcmp(optarg, "cold") == 0))
            o.warm = !(o.cold = optarg[0] == 'c');
        else
            exit(2);
    }
    o.sample = o.sample && o.sample < o.nodes ? o.sample : o.nodes;
    o.streams = o.streams < o.sample ? o.streams : o.sample;
    return o;
}

int main(int argc, char **argv)
{
    static struct bench b;

    b.options = read_options(argc, argv);
    set_up(&b);
    printf("%u of %u names, %u zones, %u shapes, in %u streams; microseconds\n", b.options.sample,
           b.options.nodes, b.options.zones, b.options.shapes, b.options.streams);
    if (b.options.warm)
        run(&b, false);
    if (b.options.cold)
        run(&b, true);
    return 0;
}
