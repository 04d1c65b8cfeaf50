/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/scoring [--json]: nanoseconds a decision, by zones and by providers, beside the kubelet's
 * own way, the cartesian product of all hints, written plainly and timed in the same run.
 *
 *   merge    hints of all providers and their merge, for one container, as score_node asks for
 *            them: what the goals are about
 *   product  the same hints merged permutation by permutation (up to 10^7 of them)
 *   choice   which CPUs the static CPU manager takes
 *   node     score_node: verdict and terms of one node, all of the above and the terms included
 *
 * Machines differ, and so does one machine by what else runs on it. So the same run also times a
 * fixed loop (`yardstick`), and each merge is told in iterations of it, too: those figures compare.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "scoring/demand.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"
#include "scoring/kubelet_run.h"
#include "scoring/mask_set.h"
#include "tests/vectors/vector_case.h"

enum {
    ROOM = 16 << 20,
    CORES = 16,
    PROVIDERS = 4,
    BATCH_NS = 30000,
    BATCH_MAX = 1000,
    YARDSTICKS = 1000,
    PRODUCT_MAX = 10000000
};
static const uint64_t measure_ns = 50000000; /* a figure is the best batch of this long */

/*
 * What a merge may take, in ns on the machine that the goals were set on, with CPU, memory and two
 * device resources.
 */
static const struct goal {
    uint32_t zones, providers;
    const char *policy;
    double ns;
} goals[] = {
    {2, 4, "single-numa-node", 300}, {8, 4, "single-numa-node", 450}, {2, 4, "restricted", 300},
    {8, 4, "restricted", 450},       {8, 4, "best-effort", 2000},
};

/* One line of the table. product_ns < 0: not run. */
struct row {
    uint32_t zones, providers;
    const char *policy;
    double merge, product, permutations, choice, node;
    const struct goal *goal; /* NULL: none is set */
};

enum { ROWS = 3 * 4 * PROVIDERS };

struct bench {
    struct arena a;
    char *room;
    json_t *node_json, *pod_json;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    struct score_demand demand;
    struct score_rules rules;
    struct node_state state;
    struct kubelet_answer answer;
    struct kubelet_run run;
};

/* Sockets of two zones, cores of two threads, 2 GPUs and 2 NICs a zone; a third of it is taken. */
static void write_node(struct buf *b, uint32_t zones, const char *policy)
{
    buf_text(b, "{'zones':[");
    for (uint32_t z = 0; z < zones; z++) {
        buf_printf(b, "%s{'id':%u,'distances':[", z ? "," : "", z);
        for (uint32_t k = 0; k < zones; k++)
            buf_printf(b, "%s%d", k ? "," : "", k == z ? 10 : k / 2 == z / 2 ? 12 : 32);
        buf_text(b, "],'cores':[");
        for (uint32_t c = 0; c < CORES; c++)
            buf_printf(b, "%s{'socket':%u,'uncore':%u,'cpus':[%u,%u]}", c ? "," : "", z / 2, z,
                       z * CORES + c, (zones + z) * CORES + c);
        buf_text(b, "],'memory':{'total':274877906944,'reserved':4294967296}}");
    }
    buf_text(b, "],'devices':[");
    for (uint32_t z = 0; z < zones; z++) {
        for (uint32_t d = 0; d < 2; d++)
            buf_printf(b,
                       "%s{'resource':'nvidia.com/gpu','id':'g%u%u','zones':[%u],'healthy':true},"
                       "{'resource':'rdma/hca','id':'n%u%u','zones':[%u],'healthy':true}",
                       z || d ? "," : "", z, d, z, z, d, z);
    }
    buf_printf(b,
               "],'kubelet':{'topologyManagerPolicy':'%s','topologyManagerScope':'container',"
               "'cpuManagerPolicy':'static','reservedCPUs':'0,%u','memoryManagerPolicy':'Static'}}",
               policy, zones * CORES);
}

static const char *pod_text(uint32_t providers, bool large)
{
    static const char *const small_pods[] = {
        "'cpu':'8','memory':'1Gi'", "'cpu':'8','memory':'16Gi'",
        "'cpu':'8','memory':'16Gi','nvidia.com/gpu':'1'",
        "'cpu':'8','memory':'16Gi','nvidia.com/gpu':'1','rdma/hca':'1'"};
    /* 40 CPUs need two zones, the rest one: nothing is preferred by all */
    static const char *const large_pods[] = {
        "'cpu':'40','memory':'1Gi'", "'cpu':'40','memory':'16Gi'",
        "'cpu':'40','memory':'16Gi','nvidia.com/gpu':'1'",
        "'cpu':'40','memory':'16Gi','nvidia.com/gpu':'1','rdma/hca':'2'"};
    static char text[256];

    (void)snprintf(text, sizeof(text), "{'uid':'p','containers':[{'name':'main','limits':{%s}}]}",
                   large ? large_pods[providers - 1] : small_pods[providers - 1]);
    return text;
}

/* As many kinds of pods as are told apart, of each some in the cluster. */
static void want(struct bench *b)
{
    static const char *const names[] = {"nvidia.com/gpu", "rdma/hca"};
    struct score_demand *const d = &b->demand;

    *d = (struct score_demand){.serial = 1, .n = DEMAND_KINDS, .n_resources = 2};
    for (uint32_t i = 0; i < d->n_resources; i++) {
        d->resources[i].n = (uint8_t)strlen(names[i]);
        memcpy(d->resources[i].p, names[i], strlen(names[i]));
    }
    for (uint32_t i = 0; i < d->n; i++) {
        d->kinds[i].weight = 2;
        demand_put(&d->kinds[i], DEMAND_CPUS, 2 * (i + 1));
        demand_put(&d->kinds[i], DEMAND_MEMORY, 256 * (i + 1)); /* 4 GiB */
        for (uint32_t k = 0; k < i % 3; k++)
            demand_put(&d->kinds[i], DEMAND_DEVICES + k, 1);
    }
    b->rules = *b->req->rules;
    b->rules.demand = d;
    score_request_rule(b->req, &b->rules);
}

static void setup(struct bench *b, uint32_t zones, uint32_t providers, const char *policy)
{
    const bool large = strcmp(policy, "best-effort") == 0;
    struct buf text = {0};

    arena_init(&b->a, b->room, ROOM);
    write_node(&text, zones, policy);
    vector_node_text(&b->node, text.p, &b->node_json, &b->a);
    buf_free(&text);
    b->node.kubelet.memory_static = providers > 1;
    vector_pod_text(&b->pod, pod_text(providers, large), &b->pod_json, &b->a);
    int rc = score_request_init(&b->req, &b->pod, &b->a, NULL);
    if (rc == 0)
        want(b);
    if (rc == 0)
        rc = node_state_copy(&b->state, &b->node, &b->a);
    b->run = (struct kubelet_run){.node = &b->node,
                                  .state = &b->state,
                                  .req = b->req,
                                  .answer = &b->answer,
                                  .zones_only = true};
    if (rc == 0)
        rc = kubelet_run_init(&b->run, &b->a);
    assert(rc == 0);
}

static void teardown(struct bench *b)
{
    json_decref(b->node_json);
    json_decref(b->pod_json);
    arena_rewind(&b->a, 0);
}

/* --- what is timed --- */

static void time_merge(struct bench *b)
{
    struct kubelet_hint hint;

    (void)kubelet_run_merge(&b->run, &b->req->containers[0].wants, false, &hint);
}

static void time_choice(struct bench *b)
{
    uint64_t *const into = b->run.cpu_scratch;

    memset(into, 0, b->node.cpu_words * sizeof(*into));
    const enum kubelet_taken taken =
        kubelet_take_cpus(kubelet_run_take(&b->run), b->node.cpus.zone_set, 8, into);
    assert(taken == KUBELET_TAKEN);
}

static void time_node(struct bench *b)
{
    static const struct score_context no_clock;
    struct score_result result;
    const int rc = score_node(&result, b->req, &b->node, &no_clock, &b->a);

    assert(rc == 0);
}

/* The product: every permutation is ANDed and the best is kept, narrowest first. */
static uint64_t permute(const struct bench *b, uint32_t i, uint64_t mask, uint64_t best)
{
    const struct kubelet_hints *const list = &b->run.lists[i];

    if (i == b->run.n_lists)
        return mask && (!best || __builtin_popcountll(mask) < __builtin_popcountll(best)) ? mask
                                                                                          : best;
    if (list->any || list->impossible)
        return permute(b, i + 1, mask, best);
    for (uint64_t m = 1; mask_set_next(list->masks, b->node.machine.n_zones, &m); m++)
        best = permute(b, i + 1, mask & m, best);
    return best;
}

static volatile uint64_t sink;

static void time_product(struct bench *b)
{
    sink = permute(b, 0, (UINT64_C(1) << b->node.machine.n_zones) - 1, 0);
}

static double permutations(const struct bench *b)
{
    double n = 1;

    for (uint32_t i = 0; i < b->run.n_lists; i++) {
        double masks = 0;

        for (uint64_t m = 1; mask_set_next(b->run.lists[i].masks, b->node.machine.n_zones, &m); m++)
            masks++;
        n *= b->run.lists[i].any || b->run.lists[i].impossible ? 1 : masks;
    }
    return n;
}

/* A chain of shifts and exclusive ors, each of which waits for the one before: no memory. */
static void time_yardstick(struct bench *b)
{
    uint64_t x = sink | 1;

    (void)b;
    for (int i = 0; i < YARDSTICKS; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
    }
    sink = x;
}

static double batch_ns(struct bench *b, void (*call)(struct bench *), uint32_t n)
{
    const uint64_t start = clock_monotonic_ns();

    for (uint32_t i = 0; i < n; i++)
        call(b);
    return (double)(clock_monotonic_ns() - start);
}

/*
 * Nanoseconds a call: the best of many batches, as other work can only make it slower. A batch is
 * long enough for the clock and short enough to fall between two interruptions.
 */
static double best_ns(struct bench *b, void (*call)(struct bench *))
{
    const uint64_t end = clock_monotonic_ns() + measure_ns;
    double best = 1e18;
    uint32_t n = 1;

    while (batch_ns(b, call, n) < BATCH_NS && n < BATCH_MAX)
        n *= 2;
    do {
        const double ns = batch_ns(b, call, n) / n;

        best = ns < best ? ns : best;
    } while (clock_monotonic_ns() < end);
    return best;
}

static const struct goal *goal_of(uint32_t zones, uint32_t providers, const char *policy)
{
    for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
        if (goals[i].zones == zones && goals[i].providers == providers &&
            strcmp(goals[i].policy, policy) == 0)
            return &goals[i];
    }
    return NULL;
}

static struct row measure(struct bench *b, uint32_t zones, uint32_t providers, const char *policy)
{
    struct row r = {.zones = zones,
                    .providers = providers,
                    .policy = policy,
                    .goal = goal_of(zones, providers, policy)};

    setup(b, zones, providers, policy);
    r.merge = best_ns(b, time_merge);
    b->run.zones_only = false; /* the lists that the product is made of */
    time_merge(b);
    r.permutations = permutations(b);
    r.product = r.permutations <= PRODUCT_MAX ? best_ns(b, time_product) : -1;
    r.choice = best_ns(b, time_choice);
    r.node = best_ns(b, time_node);
    teardown(b);
    return r;
}

/* --- what is printed --- */

static void print_json(const struct row *r, double yardstick, bool first)
{
    printf("%s{\"zones\": %u, \"providers\": %u, \"policy\": \"%s\", \"merge_ns\": %.0f, "
           "\"product_ns\": %.0f, \"permutations\": %.0f, \"choice_ns\": %.0f, \"node_ns\": %.0f, "
           "\"yardstick_ns\": %.3f, \"goal_ns\": ",
           first ? "" : ",\n", r->zones, r->providers, r->policy, r->merge, r->product,
           r->permutations, r->choice, r->node, yardstick);
    printf(r->goal ? "%.0f}" : "null}", r->goal ? r->goal->ns : 0);
}

static void print_head(double yardstick)
{
    printf("yardstick: %.2f ns an iteration of a fixed loop\n\n", yardstick);
    printf("zones providers  policy            merge ns  iterations     product ns      ratio   "
           "choice     node\n");
}

static void print_row(const struct row *r, double yardstick)
{
    printf("%5u %9u  %-16s %9.0f %11.0f ", r->zones, r->providers, r->policy, r->merge,
           r->merge / yardstick);
    if (r->product >= 0)
        printf("%14.0f %9.1fx", r->product, r->product / r->merge);
    else
        printf("%14s %10s", "not run", "");
    printf(" %8.0f %8.0f%s\n", r->choice, r->node, r->goal ? "  <- goal" : "");
}

/* The rows that are asked about. */
static void print_goals(const struct row *rows, double yardstick)
{
    printf(
        "\nthe goals, in ns on the machine they were set on: hints and merge, of CPU, memory and "
        "two devices\n\n");
    printf("zones providers  policy               goal  merge ns  iterations\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct row *const r = &rows[i];

        if (r->goal)
            printf("%5u %9u  %-16s %8.0f  %8.0f %11.0f  %s\n", r->zones, r->providers, r->policy,
                   r->goal->ns, r->merge, r->merge / yardstick,
                   r->merge <= r->goal->ns ? "met here" : "not met here");
    }
}

static void measure_all(struct bench *b, struct row *rows)
{
    static const char *const policies[] = {"single-numa-node", "restricted", "best-effort"};
    static const uint32_t zones[] = {1, 2, 4, 8};

    for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
        for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
            for (uint32_t k = 1; k <= PROVIDERS; k++)
                *rows++ = measure(b, zones[z], k, policies[p]);
        }
    }
}

int main(int argc, char **argv)
{
    const bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    static struct row rows[ROWS];
    struct bench b = {.room = malloc(ROOM)};

    if (argc > 1 && !json) {
        fprintf(stderr, "usage: bench/scoring [--json]\n");
        return 2;
    }
    assert(b.room);
    /* before and after: the quieter moment counts, as it does for the rows */
    const double before = best_ns(&b, time_yardstick) / YARDSTICKS;
    measure_all(&b, rows);
    const double after = best_ns(&b, time_yardstick) / YARDSTICKS;
    const double yardstick = after < before ? after : before;

    if (json)
        printf("[");
    else
        print_head(yardstick);
    for (uint32_t i = 0; i < ROWS; i++) {
        if (json)
            print_json(&rows[i], yardstick, i == 0);
        else
            print_row(&rows[i], yardstick);
    }
    if (json)
        printf("]\n");
    else
        print_goals(rows, yardstick);
    free(b.room);
    return 0;
}
