/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How near pods come to their memory where the score decides alone: small random clusters, pods one
 * after the other, each where it scores best among the nodes whose kubelet and sums take it. Beside
 * it the best of all nodes, found by trying each and measuring the mean access distance of what its
 * kubelet would hand out, in floating point and without a term. docs/scoring.md, section 15.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "scoring/kubelet.h"
#include "tests/support/data.h"
#include "tests/support/test.h"
#include "topology/cpuset.h"

enum { CLUSTERS = 200, PODS = 16, MOST_NODES = 6, MOST_ZONES = 4, ROOM = 1 << 22, SEED = 2020 };

enum { NEAR, ANY = 5 };

/* How a node is picked. */
static const struct way {
    const char *what;
    bool locality_alone;
    uint32_t wire; /* pick at random among those equal on a wire of so many points; 0: by score */
} ways[] = {
    [NEAR] = {"locality alone", true, 0},       {"locality alone, wire of 100", true, 100},
    {"locality alone, wire of 10", true, 10},   {"default weights", false, 0},
    {"default weights, wire of 10", false, 10}, [ANY] = {"any node that takes it", true, 1},
};

/* Sums over pods. */
struct sums {
    double got, best;
    unsigned pods, refused;
};

struct bench {
    struct cluster *c;
    struct source_sink sink;
    uint32_t n_nodes;
    struct str names[MOST_NODES];
    char room[MOST_NODES][16];
};

/* --- a cluster --- */

static void deliver(struct bench *b, enum source_kind kind, const char *type, const char *ns,
                    const char *name, struct buf *json)
{
    static const char zeros[64];
    const size_t n = json->n;
    struct err err = {0};

    for (size_t i = 0; i < n; i++) /* ' is ", ` is \" made of two bytes already */
        json->p[i] = json->p[i] == '\'' ? '"' : json->p[i];
    buf_add(json, zeros, sizeof(zeros));
    const struct source_delta delta = {.kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {json->p, n}};
    if (b->sink.delta(b->sink.ctx, &delta, &err))
        fail_msg("%s %s: %s", type, name, err.text);
    buf_free(json);
}

static void add_zone(struct buf *out, uint32_t z, uint32_t zones, uint32_t cpus, unsigned gi,
                     const uint32_t *d)
{
    const unsigned first = z * cpus;

    buf_printf(out,
               "%s{'name':'node-%u','type':'Node','attributes':[{'name':'orchestration.gokore.io/"
               "socket','value':'%u'},{'name':'orchestration.gokore.io/cpus','value':'%u-%u'},{"
               "'name':'orchestration.gokore.io/free-cpus','value':'%u-%u'},{'name':"
               "'orchestration.gokore.io/memory-cells','value':'%u'},{'name':"
               "'orchestration.gokore.io/memory-assignments','value':'0'},{'name':"
               "'orchestration.gokore.io/memory-free','value':'%llu'}],'costs':[",
               z ? "," : "", z, z / 2, first, first + cpus - 1, first, first + cpus - 1, z,
               (unsigned long long)gi << 30);
    for (uint32_t i = 0; i < zones; i++)
        buf_printf(out, "%s{'name':'node-%u','value':%u}", i ? "," : "", i, d[z * MOST_ZONES + i]);
    buf_printf(out,
               "],'resources':[{'name':'cpu','capacity':'%u','allocatable':'%u','available':'%u'},"
               "{'name':'memory','capacity':'%uGi','allocatable':'%uGi','available':'%uGi'}]}",
               cpus, z ? cpus : cpus - 1, z ? cpus : cpus - 1, gi + 1, gi, gi);
}

static void put_node(struct bench *b, uint64_t *seed, uint32_t i)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    static const uint32_t widths[] = {1, 2, 2, 4};
    const uint32_t zones = widths[test_random(seed, ARRAY_LEN(widths))],
                   cpus = 4 + 2 * (uint32_t)test_random(seed, 3);
    uint32_t d[MOST_ZONES * MOST_ZONES], gi[MOST_ZONES], all = 0;
    const char *const policy = policies[test_random(seed, ARRAY_LEN(policies))];
    const bool by_pod = test_random(seed, 2), memory_static = test_random(seed, 2);
    struct buf node = {0}, nrt = {0};

    for (uint32_t x = 0; x < zones; x++) {
        gi[x] = 16 + (uint32_t)test_random(seed, 17);
        all += gi[x];
        for (uint32_t y = 0; y <= x; y++)
            d[x * MOST_ZONES + y] = d[y * MOST_ZONES + x] =
                x == y ? 10 : 11 + (uint32_t)test_random(seed, 30);
    }
    (void)snprintf(b->room[i], sizeof(b->room[i]), "n%u", i);
    b->names[i] = str_of(b->room[i]);
    buf_printf(&node,
               "{'metadata':{'name':'n%u'},'status':{'capacity':{'cpu':'%u','memory':'%uGi',"
               "'pods':'110'},'allocatable':{'cpu':'%u','memory':'%uGi','pods':'110'}}}",
               i, zones * cpus, all + zones, zones * cpus - 1, all);
    deliver(b, SOURCE_NODE, "Node", "", b->room[i], &node);
    buf_printf(&nrt,
               "{'metadata':{'name':'n%u'},'attributes':[{'name':'topologyManagerPolicy','value':"
               "'%s'},{'name':'topologyManagerScope','value':'%s'},{'name':"
               "'orchestration.gokore.io/cpu-manager-policy','value':'static'},{'name':"
               "'orchestration.gokore.io/memory-manager-policy','value':'%s'},{'name':"
               "'orchestration.gokore.io/reserved-cpus','value':'0'},{'name':"
               "'orchestration.gokore.io/placements','value':'{}'}],'zones':[",
               i, policy, by_pod ? "pod" : "container", memory_static ? "Static" : "None");
    for (uint32_t z = 0; z < zones; z++)
        add_zone(&nrt, z, zones, cpus, gi[z], d);
    buf_text(&nrt, "]}");
    deliver(b, SOURCE_NRT, "NodeResourceTopology", "", b->room[i], &nrt);
}

static void put_policy(struct bench *b)
{
    struct buf text = {0};

    buf_text(&text, "{'metadata':{'name':'near'},'spec':{'weights':{'locality':100,'devices':0,"
                    "'fragmentation':0,'network':0,'compute':0,'interference':0,'freshness':0}}}");
    deliver(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "near", &text);
}

static void open_cluster(struct bench *b, uint64_t *seed, bool locality_alone)
{
    static const struct cluster_options options = {.hash_key = {1, 2}};

    assert_int_equal(cluster_new(&b->c, &options, NULL), 0);
    b->sink = cluster_sink(b->c);
    b->n_nodes = 3 + (uint32_t)test_random(seed, MOST_NODES - 2);
    for (uint32_t i = 0; i < b->n_nodes; i++)
        put_node(b, seed, i);
    if (locality_alone)
        put_policy(b);
    b->sink.settled(b->sink.ctx);
}

/* --- pods --- */

struct some_pod {
    struct pod_amount amounts[2][2];
    struct pod_container c[2];
    struct score_pod pod;
};

/* Guaranteed with whole CPUs, or with parts of them, or Burstable. */
static void random_pod(struct some_pod *p, uint64_t *seed)
{
    const uint32_t n = 1 + (test_random(seed, 3) == 0);

    memset(p, 0, sizeof(*p));
    for (uint32_t i = 0; i < n; i++) {
        const int64_t milli = test_random(seed, 5) ? 1000 * (int64_t)(1 + test_random(seed, 10))
                                                   : 250 * (int64_t)(1 + test_random(seed, 8));

        p->amounts[i][0] = (struct pod_amount){STR("cpu"), POD_CPU, milli};
        p->amounts[i][1] = (struct pod_amount){STR("memory"), POD_MEMORY,
                                               (int64_t)(1 + test_random(seed, 12)) << 30};
        p->c[i] = (struct pod_container){.name = i ? STR("b") : STR("a"),
                                         .kind = POD_APP,
                                         .requests = p->amounts[i],
                                         .n_requests = 2,
                                         .limits = p->amounts[i],
                                         .n_limits = test_random(seed, 6) ? 2 : 0};
    }
    p->pod = (struct score_pod){
        .ns = STR("d"), .name = STR("p"), .uid = STR("u"), .containers = p->c, .n_containers = n};
}

static void add_amounts(struct buf *out, const struct pod_amount *a, uint32_t n)
{
    if (n)
        buf_printf(out, "{'cpu':'%lldm','memory':'%lld'}", (long long)a[0].amount,
                   (long long)a[1].amount);
    else
        buf_text(out, "{}");
}

/* It runs there now. */
static void bind_pod(struct bench *b, const struct some_pod *p, unsigned serial, struct str node)
{
    struct buf text = {0};
    char name[16];

    (void)snprintf(name, sizeof(name), "p%u", serial);
    buf_printf(&text,
               "{'metadata':{'namespace':'d','name':'%s','uid':'%s','creationTimestamp':"
               "'2026-11-24T05:%02u:00Z'},'spec':{'nodeName':'%.*s','containers':[",
               name, name, serial, STR_ARG(node));
    for (uint32_t i = 0; i < p->pod.n_containers; i++) {
        buf_printf(&text, "%s{'name':'%.*s','resources':{'requests':", i ? "," : "",
                   STR_ARG(p->c[i].name));
        add_amounts(&text, p->c[i].requests, p->c[i].n_requests);
        buf_text(&text, ",'limits':");
        add_amounts(&text, p->c[i].limits, p->c[i].n_limits);
        buf_text(&text, "}}");
    }
    buf_text(&text, "]},'status':{'phase':'Running'}}");
    deliver(b, SOURCE_POD, "Pod", "d", name, &text);
    b->sink.settled(b->sink.ctx);
}

/* --- the slow reference --- */

/* Mean access distance of one container: each of its CPUs reads all of its memory alike. */
static double container_distance(const struct node_view *v, const struct node_state *after,
                                 const struct score_container *got)
{
    const uint64_t *const cpus = got->cpus ? got->cpus : after->cpu_free;
    double cpu[MOST_ZONES] = {0}, mem[MOST_ZONES] = {0}, n_cpu = 0, n_mem = 0, sum = 0;

    for (uint32_t k = 0; k < v->machine.n_cpus; k++) {
        if (!cpuset_has(cpus, k))
            continue;
        cpu[v->cpus.cpu[k].zone]++;
        n_cpu++;
    }
    for (uint32_t i = 0; i < got->n_blocks; i++) {
        for (uint32_t z = 0; z < v->machine.n_zones; z++) {
            if (got->blocks[i].zones >> z & 1)
                mem[z] += (double)got->blocks[i].bytes /
                          (double)__builtin_popcountll(got->blocks[i].zones);
        }
        n_mem += (double)got->blocks[i].bytes;
    }
    if (n_mem <= 0) { /* where its threads touch it first */
        memcpy(mem, cpu, sizeof(mem));
        n_mem = n_cpu;
    }
    for (uint32_t i = 0; i < v->machine.n_zones; i++) {
        for (uint32_t k = 0; k < v->machine.n_zones; k++)
            sum += cpu[i] * mem[k] * v->machine.distances.d[i * v->machine.n_zones + k];
    }
    return sum / (n_cpu * n_mem);
}

/* Of the pod on the node: over its containers by CPU request. Negative: its kubelet refuses it. */
static double distance(const struct node_view *v, const struct score_pod *pod, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct kubelet_answer answer;
    struct score_request *req;
    struct node_state after;
    double sum = 0, weights = 0;

    assert_int_equal(score_request_init(&req, pod, a, NULL), 0);
    assert_int_equal(node_state_copy(&after, v, a), 0);
    assert_int_equal(kubelet_admit(&after, v, req, &answer, a), 0);
    for (uint32_t i = 0; i < pod->n_containers && answer.verdict == SCORE_ADMITTED; i++) {
        const double weight = (double)pod->containers[i].requests[0].amount;

        sum += weight * container_distance(v, &after, &answer.containers[i]);
        weights += weight;
    }
    arena_rewind(a, mark);
    return weights > 0 ? sum / weights : -1;
}

/* --- one pod --- */

/* Which node; `n_nodes` when none takes it. */
static uint32_t pick(const struct bench *b, const struct decision *d, const struct way *way,
                     uint64_t *luck)
{
    uint32_t best = b->n_nodes, equals = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++) {
        if (!decide_is_candidate(d, i))
            continue;
        if (best == b->n_nodes || (way->wire ? d->rows[i].wire > d->rows[best].wire
                                             : decide_compare(d, b->names, i, best) < 0)) {
            best = i;
            equals = 1;
        } else if (way->wire && d->rows[i].wire == d->rows[best].wire &&
                   test_random(luck, ++equals) == 0) {
            best = i;
        }
    }
    return best;
}

static void place_one(struct bench *b, const struct some_pod *p, unsigned serial,
                      const struct way *way, uint64_t *luck, struct sums *sums, char *room)
{
    const struct decide_options options = {.max_score = way->wire ? way->wire : 10, .offers = true};
    const struct decide_ask ask = {.pod = &p->pod, .n = b->n_nodes, .names = b->names};
    struct cluster_snapshot *const s = cluster_get(b->c);
    double best = -1, got = -1;
    struct decision d;
    struct arena a;

    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, s, &options, &a, NULL), 0);
    const uint32_t chosen = pick(b, &d, way, luck);
    for (uint32_t i = 0; i < b->n_nodes; i++) {
        if (!decide_is_candidate(&d, i))
            continue;
        const double e = distance(decide_node(&d, i), &p->pod, &a);

        assert_true(e >= 10);
        best = best < 0 || e < best ? e : best;
        got = i == chosen ? e : got;
    }
    cluster_snapshot_unref(s);
    if (chosen == b->n_nodes) {
        sums->refused++;
        return;
    }
    sums->pods++;
    sums->got += got;
    sums->best += best;
    bind_pod(b, p, serial, b->names[chosen]);
}

/* The table; with the usual seed it is that of the documentation. */
static void tell(const struct sums *sums, bool documented)
{
    struct buf doc = {0};

    assert_int_equal(test_file_read(TEST_DATA "/../../docs/scoring.md", &doc), 0);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct buf row = {0};

        buf_printf(&row, "| %s | %.2f | %.2f | %.1f %% |\n", ways[w].what,
                   sums[w].got / sums[w].pods, sums[w].best / sums[w].pods,
                   100 * (sums[w].got / sums[w].best - 1));
        print_message("%s", row.p);
        if (documented && !strstr(doc.p, row.p))
            fail_msg("not in docs/scoring.md: %s", row.p);
        buf_free(&row);
    }
    buf_free(&doc);
}

static void locality_alone_comes_within_two_percent_of_the_nearest_node(void **state)
{
    const uint64_t seed = test_seed(SEED);
    struct sums sums[ARRAY_LEN(ways)] = {{0}};
    char *const room = malloc(ROOM);

    assert_non_null(room);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        uint64_t at = seed, luck = seed ^ 77; /* the same clusters and pods each way */

        for (int i = 0; i < CLUSTERS; i++) {
            struct bench b;
            uint64_t pods = at + 1 + (uint64_t)i;

            open_cluster(&b, &at, ways[w].locality_alone);
            for (unsigned k = 0; k < PODS; k++) {
                struct some_pod p;

                random_pod(&p, &pods);
                place_one(&b, &p, k, &ways[w], &luck, &sums[w], room);
            }
            cluster_free(b.c);
        }
    }
    free(room);
    tell(sums, seed == SEED);
    assert_true(sums[NEAR].pods > CLUSTERS * PODS / 4);
    assert_true(sums[NEAR].refused > 0);
    assert_true(sums[NEAR].got <= 1.02 * sums[NEAR].best);
    assert_true(sums[ANY].got > 1.02 * sums[ANY].best); /* there is something to choose */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locality_alone_comes_within_two_percent_of_the_nearest_node),
    };

    return cmocka_run_group_tests_name("distance", tests, NULL, NULL);
}
