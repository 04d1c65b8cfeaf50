/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/locks: 10,000 lock classes and 100,000 observed edges, one after the other: the time of
 * each, by name as reports have them; then who waits for whom, over 100,000 holders and waiters.
 * Beside it in the same run the plain ways: for each edge a search whether its end leads back to
 * its start, for each waiter a walk along the chain of holders.
 *
 * Shapes: shallow (edges between any two classes of a hidden order), deep (only between near ones,
 * so that ways are long), tangled (no order at all: most classes end up on cycles).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/err.h"
#include "bench/load.h"
#include "operator/locks/detect.h"
#include "operator/locks/view.h"

enum { CLASSES = 10000, EDGES = 100000, SAMPLE = 200, THREADS = 50000, PODS = 50, RUNS = 21 };
enum { CHAIN = 100, CIRCLES = 10 };

enum shape { SHALLOW, DEEP, TANGLED, SHAPES };
static const char *const shape_names[SHAPES] = {"shallow", "deep", "tangled"};

struct figures {
    double insert[3], plain[3], view_ms;                    /* us: p50, p99, p99.9 */
    double detect_ms, walk_ms, first_ms, book_mib, rss_mib; /* of the waits */
};

static uint64_t state = 88172645463325252U;

static uint32_t draw(uint32_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717U >> 33) % below);
}

/* CPU time: what else runs on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* --- edges --- */

static char names[CLASSES][16];
static uint32_t hidden[CLASSES]; /* the order that edges mostly follow */

static void make_names(void)
{
    for (uint32_t i = 0; i < CLASSES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "class-%u", i);
        hidden[i] = i;
    }
    for (uint32_t i = CLASSES - 1; i > 0; i--) {
        const uint32_t k = draw(i + 1), swap = hidden[i];

        hidden[i] = hidden[k];
        hidden[k] = swap;
    }
}

static void draw_edge(enum shape shape, uint32_t *from, uint32_t *to)
{
    do {
        *from = draw(CLASSES);
        *to = shape == DEEP ? *from + 1 + draw(50) : draw(CLASSES);
    } while (*from == *to || *to >= CLASSES);
    if (shape == SHALLOW && *from > *to) {
        const uint32_t swap = *from;

        *from = *to;
        *to = swap;
    }
}

/* Does `from` lead to `to`? Depth first over everything. */
static bool plain_search(const struct lock_graph *g, uint32_t from, uint32_t to)
{
    static uint32_t stack[CLASSES], stamp[CLASSES + 1], stamps;
    uint32_t n = 1;

    stack[0] = from;
    stamp[from] = ++stamps;
    while (n > 0) {
        const uint32_t at = stack[--n];

        if (at == to)
            return true;
        for (uint32_t e = g->nodes[at].first_out; e != LOCK_NONE; e = g->edges[e].next_out) {
            if (stamp[g->edges[e].to] == stamps)
                continue;
            stamp[g->edges[e].to] = stamps;
            stack[n++] = g->edges[e].to;
        }
    }
    return false;
}

static void quantiles(struct load_times *t, double out[3])
{
    load_sort(t);
    out[0] = load_us(t, 0.5);
    out[1] = load_us(t, 0.99);
    out[2] = load_us(t, 0.999);
    load_free(t);
}

static void measure_edges(struct lock_book *b, enum shape shape, struct figures *f)
{
    struct lock_space *const s = lock_book_space(b, STR("bench"));
    struct lock_order *const o = &s->order;
    struct load_times ours = {0}, plain = {0};

    while (o->graph.live_edges < EDGES) {
        uint32_t from, to, edge;

        draw_edge(shape, &from, &to);
        const struct str a = str_of(names[hidden[from]]), z = str_of(names[hidden[to]]);
        const uint32_t x = lock_order_find(o, a), y = lock_order_find(o, z);
        if (x != LOCK_NONE && y != LOCK_NONE && lock_graph_find(&o->graph, x, y) != LOCK_NONE)
            continue;
        const bool sampled = o->graph.live_edges % SAMPLE == 0 && x != LOCK_NONE && y != LOCK_NONE;
        const uint64_t before = cpu_ns();
        const bool leads_back = sampled && plain_search(&o->graph, y, x);
        const uint64_t between = cpu_ns();
        if (lock_order_see(o, a, z, &edge))
            give_up("an edge was refused");
        load_add(&ours, cpu_ns() - between);
        if (sampled)
            load_add(&plain, between - before);
        if (sampled && leads_back != lock_graph_is_cyclic(&o->graph, edge))
            give_up("the two ways disagree");
    }
    quantiles(&ours, f->insert);
    quantiles(&plain, f->plain);
}

static void measure_view(struct lock_book *b, struct figures *f)
{
    struct lock_view *v;
    const uint64_t before = cpu_ns();

    if (lock_view_new(&v, b->spaces, 0))
        give_up("no view");
    f->view_ms = (double)(cpu_ns() - before) / 1e6;
    lock_view_free(v);
}

/* --- waits --- */

/*
 * Thread i holds lock i and waits for lock i + 1 of its chain of CHAIN threads; the last one of a
 * chain waits for nothing, or, in CIRCLES of the chains, for the first lock.
 */
static void report_waits(struct lock_book *b, uint64_t sequence, uint64_t now)
{
    static char locks[THREADS][12];
    static struct lock_claim held[THREADS / PODS], waiting[THREADS / PODS];

    for (uint32_t p = 0; p < PODS; p++) {
        char pod[16];
        struct lock_answer answer;
        struct lock_report r = {.ns = STR("bench"),
                                .container = STR("main"),
                                .sequence = sequence,
                                .now_ns = 1000 + now,
                                .held = held,
                                .waiting = waiting};

        (void)snprintf(pod, sizeof(pod), "pod-%u", p);
        r.pod = str_of(pod);
        for (uint32_t i = p; i < THREADS; i += PODS) { /* a chain goes over all pods */
            const uint32_t chain = i / CHAIN;
            const bool last = i % CHAIN == CHAIN - 1;
            const uint32_t next = last ? chain * CHAIN : i + 1;

            (void)snprintf(locks[i], sizeof(locks[i]), "%u", i);
            (void)snprintf(locks[next], sizeof(locks[next]), "%u", next);
            const struct str class_name = str_of(names[hidden[i % CLASSES]]);
            held[r.n_held++] =
                (struct lock_claim){class_name, str_of(locks[i]), str_of(locks[i]), true, 1};
            if (!last || chain < CIRCLES)
                waiting[r.n_waiting++] =
                    (struct lock_claim){str_of(names[hidden[next % CLASSES]]), str_of(locks[next]),
                                        str_of(locks[i]), true, 2};
        }
        if (lock_book_report(b, &r, now, &answer, NULL) || answer.receipt != LOCK_APPLIED)
            give_up("a report was refused");
    }
}

/* From each waiter along the holders until the chain ends or comes back; who holds is known. */
static uint32_t walk(const uint32_t *next, uint32_t *seen)
{
    uint32_t circles = 0;

    for (uint32_t i = 0; i < THREADS; i++)
        seen[i] = LOCK_NONE;
    for (uint32_t i = 0; i < THREADS; i++) {
        uint32_t at = i;

        while (at != LOCK_NONE && seen[at] != i) {
            seen[at] = i;
            at = next[at];
        }
        circles += at == i;
    }
    return circles;
}

static double measure_walk(void)
{
    uint32_t *const next = malloc(2 * THREADS * sizeof(*next)), *const seen = next + THREADS;
    struct load_times t = {0};

    if (!next)
        give_up("no memory");
    for (uint32_t i = 0; i < THREADS; i++) {
        const bool last = i % CHAIN == CHAIN - 1;

        next[i] = !last ? i + 1 : i / CHAIN < CIRCLES ? i + 1 - CHAIN : LOCK_NONE;
    }
    for (int i = 0; i < RUNS; i++) {
        const uint64_t before = cpu_ns();

        if (walk(next, seen) != CIRCLES * CHAIN)
            give_up("the walk found other circles");
        load_add(&t, cpu_ns() - before);
    }
    load_sort(&t);
    const double ms = load_us(&t, 0.5) / 1000;
    load_free(&t);
    free(next);
    return ms;
}

static double detect_once(struct lock_book *b, uint64_t now)
{
    const uint64_t before = cpu_ns();

    b->spaces->changed = true;
    if (lock_book_detect(b, now, 1000000))
        give_up("no memory to look for deadlocks");
    if (b->spaces->n_deadlocks != CIRCLES)
        give_up("other deadlocks than there are");
    return (double)(cpu_ns() - before) / 1e6;
}

static void measure_waits(struct lock_book *b, struct figures *f)
{
    struct load_times t = {0};
    struct rusage usage;

    report_waits(b, 1, 10);
    f->first_ms = detect_once(b, 10);
    for (int i = 0; i < RUNS; i++)
        load_add(&t, (uint64_t)(detect_once(b, 11 + (uint64_t)i) * 1e6));
    load_sort(&t);
    f->detect_ms = load_us(&t, 0.99) / 1000;
    load_free(&t);
    f->walk_ms = measure_walk();
    f->book_mib = (double)lock_book_bytes(b) / (1 << 20);
    (void)getrusage(RUSAGE_SELF, &usage);
    f->rss_mib = (double)usage.ru_maxrss / 1024;
}

/* --- the whole --- */

static void print_table(const struct figures f[SHAPES])
{
    printf("%-8s %s\n", "",
           "insert us: p50   p99  p99.9 | a plain search us: p50      p99    p99.9 |"
           " whole view ms");
    for (int i = 0; i < SHAPES; i++)
        printf("%-8s %14.2f %6.1f %6.1f | %22.1f %8.1f %8.1f | %8.1f\n", shape_names[i],
               f[i].insert[0], f[i].insert[1], f[i].insert[2], f[i].plain[0], f[i].plain[1],
               f[i].plain[2], f[i].view_ms);
    printf(
        "\n100,000 holders and waiters: detection %.2f ms (p99; first time %.2f), plain walk %.2f "
        "ms\nmemory: %.1f MiB for classes, edges and waits; the process at most %.1f MiB\n",
        f[SHALLOW].detect_ms, f[SHALLOW].first_ms, f[SHALLOW].walk_ms, f[SHALLOW].book_mib,
        f[SHALLOW].rss_mib);
}

static void print_json(const struct figures f[SHAPES])
{
    printf("{\"classes\": %d, \"edges\": %d, \"waits\": %d", CLASSES, EDGES, 2 * THREADS);
    for (int i = 0; i < SHAPES; i++)
        printf(", \"%s\": {\"insert\": {\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f}, "
               "\"plain\": {\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f}, "
               "\"view_ms\": %.2f}",
               shape_names[i], f[i].insert[0], f[i].insert[1], f[i].insert[2], f[i].plain[0],
               f[i].plain[1], f[i].plain[2], f[i].view_ms);
    printf(", \"detect\": {\"p99_ms\": %.3f, \"first_ms\": %.3f, \"walk_ms\": %.3f}, "
           "\"book_mib\": %.2f, \"rss_mib\": %.2f}\n",
           f[SHALLOW].detect_ms, f[SHALLOW].first_ms, f[SHALLOW].walk_ms, f[SHALLOW].book_mib,
           f[SHALLOW].rss_mib);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {0}};
    static const uint64_t key[2] = {1, 2};
    struct figures f[SHAPES] = {0};
    bool json = false;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c != 'j')
            return 2;
        json = true;
    }
    make_names();
    for (int i = 0; i < SHAPES; i++) { /* the first one's memory is the process's */
        struct lock_book b;

        lock_book_init(&b, key);
        measure_edges(&b, (enum shape)i, &f[i]);
        if (i == SHALLOW)
            measure_waits(&b, &f[i]);
        measure_view(&b, &f[i]);
        /* The edges belong to no reporter: taken back by hand. */
        struct lock_space *const s = lock_book_space(&b, STR("bench"));
        for (uint32_t e = 0; e < s->order.graph.n_edges; e++)
            if (s->order.graph.edges[e].from != LOCK_NONE)
                lock_order_unsee(&s->order, e, 0);
        lock_book_done(&b);
    }
    (json ? print_json : print_table)(f);
    return 0;
}
