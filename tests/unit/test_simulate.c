/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation against a slow reference: integers for zones, which hold CPUs only, and the rules
 * as they are documented. Nodes are of a single-numa-node kubelet, whose CPU manager gives a pod of
 * k CPUs the lowest zone that has k free.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/simulate.h"
#include "kube/object.h"
#include "tests/support/data.h"

enum { NODES = 4, ZONES = 2, ZONE_CPUS = 8, MOST = 400, SHAPES = 3, TRIES = 3 };

/* --- a tiny cluster --- */

/* ' is ". */
static struct str json(char *out, const char *text)
{
    const size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    memset(out + n, 0, 64);
    return (struct str){out, n};
}

/* `memory` (GiB) only tells nodes apart for who adds up: no pod asks for any. */
static void add_node(const struct source_sink *sink, const char *name, unsigned memory)
{
    char text[4096];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'status':{'capacity':{'cpu':'17','memory':'%uGi',"
                   "'pods':'110'},'allocatable':{'cpu':'16','memory':'%uGi','pods':'110'}}}",
                   name, memory, memory);
    deliver(sink, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value':"
        "'single-numa-node'},{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'}"
        ",{'name':'orchestration.gokore.io/reserved-cpus','value':'0'}],'zones':["
        "{'name':'node-0','type':'Node','attributes':[{'name':'orchestration.gokore.io/cpus',"
        "'value':'0-8'}],'costs':[{'name':'node-0','value':10},{'name':'node-1','value':20}],"
        "'resources':[{'name':'cpu','capacity':'9','allocatable':'8','available':'8'}]},"
        "{'name':'node-1','type':'Node','attributes':[{'name':'orchestration.gokore.io/cpus',"
        "'value':'9-16'}],'costs':[{'name':'node-0','value':20},{'name':'node-1','value':10}],"
        "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'8'}]}]}",
        name);
    deliver(sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static struct cluster *new_cluster(void)
{
    const struct cluster_options options = {.rehearses = true};
    struct cluster *c;

    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    for (unsigned i = 0; i < NODES; i++) {
        const char name[] = {'n', (char)('0' + i), 0};

        add_node(&sink, name, 16);
    }
    sink.settled(sink.ctx);
    struct cluster_snapshot *const s = cluster_get(c);
    assert_int_equal(cluster_snapshot_nodes(s), NODES);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(cluster_snapshot_node(s, i)->knowledge, NODE_KNOWN);
    cluster_snapshot_unref(s);
    return c;
}

struct shapes {
    struct simulate_shape at[SHAPES];
    unsigned cpus[SHAPES];
    char text[SHAPES][1024];
    struct arena arena;
    char room[64 * 1024];
};

/* Deployments of pods of so many CPUs each, all Guaranteed. */
static void make_shapes(struct shapes *s, const unsigned *cpus, const uint32_t *shares, unsigned n)
{
    arena_init(&s->arena, s->room, sizeof(s->room));
    for (unsigned i = 0; i < n; i++) {
        char text[512];
        struct err err = {0};

        (void)snprintf(text, sizeof(text),
                       "{'kind':'Deployment','metadata':{'name':'w%u','namespace':'t'},'spec':{"
                       "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':"
                       "'c','resources':{'limits':{'cpu':'%u','memory':'64Mi'}}}]}}}}",
                       i, cpus[i]);
        s->cpus[i] = cpus[i];
        s->at[i] = (struct simulate_shape){
            .kind = STR("Deployment"), .json = json(s->text[i], text), .share = shares[i]};
        if (kube_pod_decode(&s->at[i].pod, s->at[i].json, &s->arena, &err))
            fail_msg("%s", err.text);
    }
}

static void free_shapes(struct shapes *s)
{
    arena_rewind(&s->arena, 0);
}

/* --- the reference --- */

struct world {
    unsigned free[NODES][ZONES];
    int node[MOST], zone[MOST]; /* of each pod, -1 = nowhere */
    unsigned shape[MOST], ends[MOST];
    uint64_t ties;
};

static unsigned node_free(const struct world *w, int node)
{
    return w->free[node][0] + w->free[node][1];
}

static int lowest_zone(const struct world *w, int node, unsigned cpus)
{
    return w->free[node][0] >= cpus ? 0 : w->free[node][1] >= cpus ? 1 : -1;
}

/* LeastAllocated: 16 CPUs a node; the memory is the same everywhere but for what pods take. */
static unsigned least(const struct world *w, const struct shapes *s, int node, unsigned cpus)
{
    unsigned pods = 0;

    for (unsigned i = 0; i < MOST; i++)
        pods += w->node[i] == node;
    return ((node_free(w, node) - cpus) * 100 / 16 +
            (16 * 1024 - 64 * (pods + 1)) * 100 / (16 * 1024)) /
           2;
}

/* The node that kube-scheduler alone would take: -1, none has room. */
static int reference_choice(struct world *w, const struct shapes *s, unsigned cpus)
{
    unsigned best = 0, n = 0;
    int choice = -1;

    for (int i = 0; i < NODES; i++) {
        if (node_free(w, i) < cpus)
            continue;
        const unsigned score = least(w, s, i, cpus);
        if (choice >= 0 && score < best)
            continue;
        n = choice >= 0 && score == best ? n + 1 : 1;
        if (n == 1 || simulate_random(&w->ties, n) == 0)
            choice = i;
        best = score;
    }
    return choice;
}

static void draw(struct world *w, const struct shapes *s, const struct simulate_options *o)
{
    uint64_t state = o->seed;
    unsigned shares = 0;

    for (unsigned i = 0; i < o->n_shapes; i++)
        shares += s->at[i].share;
    for (unsigned i = 0; i < o->pods; i++) {
        unsigned at = (unsigned)simulate_random(&state, shares), k = 0;

        while (at >= s->at[k].share)
            at -= s->at[k++].share;
        w->shape[i] = k;
        w->ends[i] = o->lifetime ? i + 1 + (unsigned)simulate_random(&state, 2 * o->lifetime - 1)
                                 : UINT32_MAX;
    }
}

static void start(struct world *w, const struct shapes *s, const struct simulate_options *o)
{
    for (int i = 0; i < NODES; i++)
        w->free[i][0] = w->free[i][1] = ZONE_CPUS;
    for (unsigned i = 0; i < MOST; i++)
        w->node[i] = w->zone[i] = -1;
    w->ties = o->seed ^ UINT64_C(0x746965732e746965);
    draw(w, s, o);
}

static void end_before(struct world *w, const struct shapes *s, unsigned now)
{
    for (unsigned i = 0; i < now; i++) {
        if (w->node[i] < 0 || w->ends[i] > now)
            continue;
        w->free[w->node[i]][w->zone[i]] += s->cpus[w->shape[i]];
        w->node[i] = -1;
    }
}

static void put(struct world *w, const struct shapes *s, unsigned pod, int node)
{
    const unsigned cpus = s->cpus[w->shape[pod]];

    w->node[pod] = node;
    w->zone[pod] = lowest_zone(w, node, cpus);
    assert_true(w->zone[pod] >= 0);
    w->free[node][w->zone[pod]] -= cpus;
}

/* 1000 * (1 - sum f*f / sum f*w) */
static unsigned broken(const struct world *w)
{
    unsigned ff = 0, fw = 0;

    for (int i = 0; i < NODES; i++)
        for (int z = 0; z < ZONES; z++) {
            ff += w->free[i][z] * w->free[i][z];
            fw += w->free[i][z] * ZONE_CPUS;
        }
    return fw ? (fw - ff) * 1000 / fw : 0;
}

/* --- the tests --- */

struct watch {
    struct world w;
    const struct shapes *s;
    const struct simulate_options *o;
    unsigned seen, refusals, unplaced;
};

/* Kube-scheduler alone: the same node as in the reference, and as many refusals on the way. */
static void compare_stock(void *ctx, uint32_t pod, uint32_t shape, const struct node_view *node,
                          uint32_t refusals)
{
    struct watch *const t = ctx;
    const unsigned cpus = t->s->cpus[shape];
    unsigned refused = 0;
    int choice = -1;

    end_before(&t->w, t->s, pod);
    assert_int_equal(shape, t->w.shape[pod]);
    while (refused < t->o->tries) {
        choice = reference_choice(&t->w, t->s, cpus);
        if (choice < 0 || lowest_zone(&t->w, choice, cpus) >= 0)
            break;
        refused++;
        choice = -1;
    }
    assert_int_equal(refusals, refused);
    if (choice < 0) {
        assert_null(node);
        t->unplaced++;
    } else {
        assert_non_null(node);
        assert_int_equal(node->name.p[1] - '0', choice);
        put(&t->w, t->s, pod, choice);
    }
    t->refusals += refused;
    t->seen++;
}

/* With numawise: never refused, and nowhere only if no zone anywhere holds it. */
static void compare_numawise(void *ctx, uint32_t pod, uint32_t shape, const struct node_view *node,
                             uint32_t refusals)
{
    struct watch *const t = ctx;
    const unsigned cpus = t->s->cpus[shape];

    end_before(&t->w, t->s, pod);
    assert_int_equal(shape, t->w.shape[pod]);
    assert_int_equal(refusals, 0);
    for (int i = 0; !node && i < NODES; i++)
        assert_true(lowest_zone(&t->w, i, cpus) < 0);
    if (node)
        put(&t->w, t->s, pod, node->name.p[1] - '0');
    t->unplaced += !node;
    t->seen++;
}

static void run(struct watch *t, struct simulate_result *r, struct simulate_options *o,
                const struct shapes *s)
{
    struct cluster *const c = new_cluster();
    struct err err = {0};

    *t = (struct watch){.s = s, .o = o};
    o->arrived = o->placer == SIMULATE_STOCK ? compare_stock : compare_numawise;
    o->ctx = t;
    start(&t->w, s, o);
    if (simulate_run(r, c, o, &err))
        fail_msg("%s", err.text);
    cluster_free(c);
}

/* What both say at the end. */
static void compare_end(const struct watch *t, const struct simulate_result *r)
{
    unsigned running = 0;

    for (unsigned i = 0; i < t->o->pods; i++)
        running += t->w.node[i] >= 0;
    assert_int_equal(t->seen, t->o->pods);
    assert_int_equal(r->arrived, t->o->pods);
    assert_int_equal(r->refusals, t->refusals);
    assert_int_equal(r->by_reason[SCORE_TOPOLOGY_AFFINITY_ERROR], t->refusals);
    assert_int_equal(r->pending + r->given_up, t->unplaced);
    assert_int_equal(r->placed, t->o->pods - t->unplaced);
    assert_int_equal(r->placed - r->ended, running);
    assert_int_equal(r->broken_cpus[0], 0);
    assert_int_equal(r->broken_cpus[1], broken(&t->w));
    assert_int_equal(r->zones[1], r->placed);
    assert_int_equal(r->distance, r->placed ? 10000 : 0); /* one zone: all accesses are local */
    assert_int_equal(r->points[r->n_points - 1].running, running);
    assert_int_equal(r->points[r->n_points - 1].broken, broken(&t->w));
    for (unsigned k = 0; k < t->o->n_shapes; k++) {
        unsigned room = 0;

        for (int i = 0; i < NODES; i++)
            room += lowest_zone(&t->w, i, t->s->cpus[k]) >= 0;
        assert_int_equal(r->shapes[k].room_after, room);
        assert_int_equal(r->shapes[k].room_before, NODES);
    }
}

static void small_clusters_go_as_in_the_reference(void **state)
{
    uint64_t seed = test_seed(8);

    for (int round = 0; round < 60; round++) {
        const unsigned cpus[SHAPES] = {1 + (unsigned)test_random(&seed, 3),
                                       3 + (unsigned)test_random(&seed, 3),
                                       5 + (unsigned)test_random(&seed, 4)};
        const uint32_t shares[SHAPES] = {1 + (uint32_t)test_random(&seed, 4), 2, 1};
        struct simulate_options o = {.n_shapes = SHAPES,
                                     .pods = 1 + (uint32_t)test_random(&seed, 60),
                                     .lifetime = (uint32_t)test_random(&seed, 3) * 6,
                                     .tries = 1 + (uint32_t)test_random(&seed, TRIES),
                                     .weight = 13,
                                     .max_score = 10,
                                     .seed = test_random(&seed, 1000)};
        static struct shapes s;

        make_shapes(&s, cpus, shares, SHAPES);
        o.shapes = s.at;
        for (int placer = 0; placer < 2; placer++) {
            struct simulate_result r;
            struct watch t;

            o.placer = (enum simulate_placer)placer;
            run(&t, &r, &o, &s);
            compare_end(&t, &r);
            simulate_result_done(&r);
        }
        free_shapes(&s);
    }
}

/*
 * By hand: pods of 5 CPUs on four nodes of 8 + 8. A zone holds one, so 8 fit. Kube-scheduler alone
 * puts 8 where the sums are lowest, two a node, one a zone: then each node has 6 free, 3 + 3, which
 * is enough by sum, and the ninth pod is refused at every one of its three tries.
 */
static void sums_are_refused_where_zones_are_broken(void **state)
{
    static struct shapes s;
    struct simulate_options o = {
        .n_shapes = 1, .pods = 9, .tries = 3, .weight = 13, .max_score = 10, .seed = 7};
    struct simulate_result r;
    struct watch t;

    make_shapes(&s, (const unsigned[]){5}, (const uint32_t[]){1}, 1);
    o.shapes = s.at;
    run(&t, &r, &o, &s);
    assert_int_equal(r.placed, 8);
    assert_int_equal(r.refusals, 3);
    assert_int_equal(r.given_up, 1);
    assert_int_equal(r.pending, 0);
    assert_int_equal(r.broken_cpus[1], 625); /* 3 of 8 free everywhere: 1 - 9/24 */
    assert_int_equal(r.cpu_mean, 625);       /* 10 of 16 */
    assert_int_equal(r.nodes_used, 4);
    assert_int_equal(r.shapes[0].room_after, 0);
    simulate_result_done(&r);
    o.placer = SIMULATE_NUMAWISE;
    run(&t, &r, &o, &s);
    assert_int_equal(r.placed, 8);
    assert_int_equal(r.refusals, 0);
    assert_int_equal(r.pending, 1);
    simulate_result_done(&r);
    free_shapes(&s);
}

/*
 * What a pod got it keeps: 6 CPUs in zone 0, then 6 in zone 1; when the first ends, the second
 * stays in zone 1, so a pod of 8 finds room in zone 0. One node.
 */
static void who_stays_keeps_his_zone(void **state)
{
    const struct cluster_options options = {.rehearses = true};
    struct cluster *c;

    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    add_node(&sink, "n0", 16);
    sink.settled(sink.ctx);
    for (int i = 0; i < 2; i++) {
        char text[512];
        const char name[] = {'p', (char)('0' + i), 0};

        (void)snprintf(text, sizeof(text),
                       "{'metadata':{'name':'%s'},'spec':{'nodeName':'n0','containers':[{'name':"
                       "'c','resources':{'limits':{'cpu':'6','memory':'1Gi'}}}]}}",
                       name);
        deliver(&sink, SOURCE_POD, "Pod", "default", name, text);
        sink.settled(sink.ctx);
    }
    const struct source_delta gone = {.verb = SOURCE_DELETE,
                                      .kind = SOURCE_POD,
                                      .type = STR("Pod"),
                                      .ns = STR("default"),
                                      .name = STR("p0")};
    struct cluster_snapshot *s = cluster_get(c);
    const struct node_view *v = cluster_snapshot_node(s, 0);
    assert_int_equal(v->n_pods, 2);
    assert_int_equal(node_pod_zones(v, &v->pods[0]), 1);
    assert_int_equal(node_pod_zones(v, &v->pods[1]), 2);
    cluster_snapshot_unref(s);
    assert_int_equal(sink.delta(sink.ctx, &gone, NULL), 0);
    sink.settled(sink.ctx);
    s = cluster_get(c);
    v = cluster_snapshot_node(s, 0);
    assert_int_equal(v->n_pods, 1);
    assert_int_equal(node_pod_zones(v, &v->pods[0]), 2);
    assert_int_equal(v->state.cpu_free[0], 0x181ff); /* 0-8, and 15-16 of zone 1 */
    cluster_snapshot_unref(s);
    cluster_free(c);
}

static void equal_input_gives_equal_results(void **state)
{
    static struct shapes s;
    struct simulate_options o = {.n_shapes = 2,
                                 .pods = 50,
                                 .lifetime = 10,
                                 .tries = 2,
                                 .weight = 13,
                                 .max_score = 10,
                                 .seed = 42,
                                 .placer = SIMULATE_NUMAWISE};
    struct simulate_result a, b;
    struct watch t;

    make_shapes(&s, (const unsigned[]){2, 5}, (const uint32_t[]){2, 1}, 2);
    o.shapes = s.at;
    run(&t, &a, &o, &s);
    run(&t, &b, &o, &s);
    assert_int_equal(a.n_points, b.n_points);
    assert_memory_equal(a.points, b.points, a.n_points * sizeof(*a.points));
    assert_int_equal(a.placed, b.placed);
    simulate_result_done(&a);
    simulate_result_done(&b);
    free_shapes(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters_go_as_in_the_reference),
        cmocka_unit_test(sums_are_refused_where_zones_are_broken),
        cmocka_unit_test(who_stays_keeps_his_zone),
        cmocka_unit_test(equal_input_gives_equal_results),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
