/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "kube/emit.h"
#include "kube/object.h"
#include "kube/positions.h"
#include "scoring/fit.h"
#include "topology/cpuset.h"

/* Arena of one pod: its values, a row a node. */
enum { BASE_ARENA_BYTES = 16 * 1024 * 1024, NODE_ARENA_BYTES = 256, PADDING = 64 };
enum { FACTOR = 10 }; /* kube-scheduler's own scores go to 100, an extender's to 10 */

uint64_t simulate_random(uint64_t *state, uint64_t n)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) % n;
}

/* --- how broken --- */

static void add_zone(struct simulate_broken *sum, uint64_t free, uint64_t whole)
{
    sum->free_free += free * free;
    sum->free_whole += free * whole;
}

void simulate_broken_cpus(struct simulate_broken *sum, const struct node_view *node)
{
    if (node->knowledge != NODE_KNOWN)
        return;
    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        const uint64_t *const in = &node->cpus.zone_set[(size_t)z * node->cpu_words];
        uint64_t free = 0, whole = 0;

        for (uint32_t w = 0; w < node->cpu_words; w++) {
            const uint64_t usable = in[w] & ~node->cpu_reserved[w];

            whole += (uint64_t)__builtin_popcountll(usable);
            free += (uint64_t)__builtin_popcountll(usable & node->state.cpu_free[w]);
        }
        add_zone(sum, free, whole);
    }
}

static void add_resource(struct simulate_broken *sum, const struct node_view *node,
                         const struct node_resource *r)
{
    uint64_t free[TOPO_MAX_ZONES] = {0}, whole[TOPO_MAX_ZONES] = {0};

    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        const uint64_t zones = node->devices[d].zones;

        /* What lies in several zones is no part of any. */
        if (!node->devices[d].healthy || __builtin_popcountll(zones) != 1)
            continue;
        whole[__builtin_ctzll(zones)]++;
        free[__builtin_ctzll(zones)] += !cpuset_has(node->state.device_held, d);
    }
    for (uint32_t z = 0; z < node->machine.n_zones; z++)
        add_zone(sum, free[z], whole[z]);
}

void simulate_broken_devices(struct simulate_broken *sum, const struct node_view *node)
{
    for (uint32_t i = 0; node->knowledge == NODE_KNOWN && i < node->n_resources; i++)
        add_resource(sum, node, &node->resources[i]);
}

uint32_t simulate_broken(const struct simulate_broken *sum)
{
    return sum->free_whole ? (uint32_t)((sum->free_whole - sum->free_free) * 1000 / sum->free_whole)
                           : 0;
}

/* --- who chooses --- */

uint32_t simulate_least_allocated(const struct score_pod *pod, const struct node_view *node)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < node->n_fits; i++) {
        const struct node_fit *const f = &node->fits[i];
        const int64_t left = f->allocatable - f->requested - score_requested(pod, f->resource);

        if ((f->kind == POD_CPU || f->kind == POD_MEMORY) && left > 0)
            sum += left > INT64_MAX / 100 ? left / (f->allocatable / 100)
                                          : left * 100 / f->allocatable;
    }
    return (uint32_t)(sum / 2);
}

struct live {
    uint32_t ends;    /* the arrival before which it does */
    bool there, runs; /* not gone yet; and on a node */
    uint16_t shape;
};

struct simulation {
    const struct simulate_options *options;
    struct simulate_result *out;
    struct cluster *cluster;
    struct source_sink sink;
    struct cluster_snapshot *first, *snapshot; /* the first one has the names */
    struct memo *memo;
    struct str *names; /* [n] of the nodes */
    bool *used;        /* [n] */
    uint32_t n;
    struct live *pods; /* [options->pods] */
    uint32_t running;
    uint64_t distances, n_distances; /* thousandths */
    uint64_t ties;                   /* state of the numbers that break them */
    struct arena arena;
    void *room;
    struct buf json;
};

/* Is there room in sum, for every resource that is asked for? */
static bool has_room(const struct score_pod *pod, const struct node_view *node)
{
    int64_t requested;

    return node->n_fits && !score_fit(pod, node, &requested) && !score_fit_missing(pod, node).n;
}

/* Of equal totals any may win: each with the same chance, as kube-scheduler does. */
struct best {
    const struct node_view *node;
    uint32_t total, n;
};

static void offer(struct simulation *s, struct best *b, const struct node_view *node,
                  uint32_t total)
{
    if (b->node && total < b->total)
        return;
    b->n = b->node && total == b->total ? b->n + 1 : 1;
    if (b->n == 1 || simulate_random(&s->ties, b->n) == 0)
        b->node = node;
    b->total = total;
}

static const struct node_view *choose_by_sums(struct simulation *s, const struct score_pod *pod)
{
    struct best b = {0};

    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *const node = cluster_snapshot_node(s->snapshot, i);

        if (has_room(pod, node))
            offer(s, &b, node, simulate_least_allocated(pod, node));
    }
    return b.node;
}

/* The extender's part in kube-scheduler's sum of scores. */
static int choose_with_numawise(struct simulation *s, const struct score_pod *pod,
                                const struct node_view **out, struct err *err)
{
    const struct simulate_options *const o = s->options;
    const struct decide_ask ask = {.pod = pod, .n = s->n, .names = s->names};
    const struct decide_options options = {
        .mode = DECIDE_ENFORCE, .max_score = o->max_score, .memo = s->memo};
    struct decision d;
    struct best b = {0};
    const int rc = decide_run(&d, &ask, s->snapshot, &options, &s->arena, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *const node = decide_node(&d, i);

        if (decide_passes(&d.rows[i], DECIDE_ENFORCE) && has_room(pod, node))
            offer(s, &b, node,
                  d.rows[i].wire * FACTOR * o->weight + simulate_least_allocated(pod, node));
    }
    *out = b.node;
    return 0;
}

/* --- what the kubelet does --- */

/* Of the kubelet alone: no policy, no hint, and no neighbour that wants to be alone has a say. */
static int ask_kubelet(struct simulation *s, struct score_result *out, const struct score_pod *pod,
                       const struct node_view *node, struct err *err)
{
    const struct score_context ctx = {0};
    const size_t mark = arena_mark(&s->arena);
    struct node_view bare = *node;
    struct score_request *req;
    int rc = score_request_init(&req, pod, &s->arena, err);

    bare.exclusive_zones = 0;
    if (rc == 0)
        rc = score_node(out, req, &bare, &ctx, &s->arena);
    arena_rewind(&s->arena, mark);
    return rc ? err_set(err, rc, "no memory to judge a node") : 0;
}

/* --- pods that come and go --- */

static struct str pod_name(char room[280], const struct score_pod *pod, uint32_t i)
{
    const int n = snprintf(room, 280, "%.*s-sim-%u", STR_ARG(pod->name), i);

    return (struct str){room, n < 280 ? (size_t)n : 279};
}

/* The value of a key in an object; empty when it has none. */
static struct str member(struct str object, const char *key)
{
    struct str name = {0}, value;

    for (size_t at = 0;
         object.n && object.p[0] == '{' && kube_json_step(object, &at, &name, &value);)
        if (str_is((struct str){name.p + 1, name.n - 2}, key))
            return value;
    return (struct str){0};
}

static void copy_member(struct emit *e, struct str object, const char *key)
{
    const struct str value = member(object, key);

    if (value.n)
        emit_key(e, key), emit_raw(e, value);
}

/* The template as a pod that runs on the node, or, without one, waits. */
static void put_pod(struct simulation *s, const struct simulate_shape *shape, struct str name,
                    struct str node)
{
    const struct str template = kube_pod_template(shape->kind, shape->json);
    const struct str meta = member(template, "metadata"), spec = member(template, "spec");
    struct str key = {0}, value;
    struct emit e;

    s->json.n = 0;
    emit_init(&e, &s->json, false);
    emit_object(&e);
    emit_key(&e, "kind"), emit_words(&e, "Pod");
    emit_key(&e, "metadata");
    emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, name);
    emit_key(&e, "namespace"), emit_text(&e, shape->pod.ns);
    emit_key(&e, "uid"), emit_text(&e, name);
    copy_member(&e, meta, "labels");
    copy_member(&e, meta, "annotations");
    emit_end(&e);
    emit_key(&e, "spec");
    emit_object(&e);
    if (node.n)
        emit_key(&e, "nodeName"), emit_text(&e, node);
    for (size_t at = 0; spec.n && kube_json_step(spec, &at, &key, &value);) {
        key = (struct str){key.p + 1, key.n - 2};
        if (!str_is(key, "nodeName"))
            emit_key_str(&e, key), emit_raw(&e, value);
    }
    emit_end(&e);
    emit_key(&e, "status");
    emit_object(&e);
    emit_key(&e, "phase"), emit_words(&e, node.n ? "Running" : "Pending");
    emit_end(&e);
    emit_end(&e);
}

static int deliver(struct simulation *s, enum source_verb verb, uint32_t i, struct str node,
                   struct err *err)
{
    static const char padding[PADDING] = {0};
    const struct simulate_shape *const shape = &s->options->shapes[s->pods[i].shape];
    char room[280];
    struct source_delta delta = {.verb = verb,
                                 .kind = SOURCE_POD,
                                 .type = STR("Pod"),
                                 .ns = shape->pod.ns,
                                 .name = pod_name(room, &shape->pod, i)};

    if (verb == SOURCE_UPSERT) {
        put_pod(s, shape, delta.name, node);
        const size_t n = s->json.n;
        buf_add(&s->json, padding, sizeof(padding));
        if (s->json.failed)
            return err_set(err, -ENOMEM, "no memory for a pod");
        delta.json = (struct str){s->json.p, n};
    }
    return s->sink.delta(s->sink.ctx, &delta, err);
}

static void settle(struct simulation *s)
{
    s->sink.settled(s->sink.ctx);
    cluster_snapshot_unref(s->snapshot);
    s->snapshot = cluster_get(s->cluster);
}

/* Whose time is over before arrival `now`. */
static int end_pods(struct simulation *s, uint32_t now, struct err *err)
{
    const uint32_t longest = 2 * s->options->lifetime; /* who is older has ended */
    bool any = false;

    for (uint32_t i = now > longest ? now - longest : 0; longest && i < now; i++) {
        if (!s->pods[i].there || s->pods[i].ends > now)
            continue;
        const int rc = deliver(s, SOURCE_DELETE, i, (struct str){0}, err);
        if (rc)
            return rc;
        s->running -= s->pods[i].runs;
        s->out->ended += s->pods[i].runs;
        s->pods[i].there = s->pods[i].runs = false;
        any = true;
    }
    if (any)
        settle(s);
    return 0;
}

static void note_zones(struct simulation *s, uint32_t i, struct str node)
{
    const struct node_view *const v = cluster_snapshot_find(s->snapshot, node);
    const struct score_pod *const pod = &s->options->shapes[s->pods[i].shape].pod;
    char room[280];
    const struct str name = pod_name(room, pod, i);
    int zones = 0;

    for (uint32_t k = 0; v->knowledge == NODE_KNOWN && k < v->n_pods; k++)
        if (str_eq(v->pods[k].name, name) && str_eq(v->pods[k].ns, pod->ns))
            zones = __builtin_popcountll(node_pod_zones(v, &v->pods[k]));
    s->out->zones[zones < SIMULATE_ZONE_BINS ? zones : SIMULATE_ZONE_BINS - 1]++;
}

static uint32_t position_of(const struct simulation *s, struct str node)
{
    uint32_t low = 0, high = s->n;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;

        if (str_cmp(s->names[mid], node) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The kubelet lets it in, or nobody knows that it would not. */
static int place(struct simulation *s, uint32_t i, const struct node_view *node,
                 const struct score_result *r, struct err *err)
{
    struct simulate_result *const out = s->out;
    const int rc = deliver(s, SOURCE_UPSERT, i, node->name, err);

    if (rc)
        return rc;
    const uint32_t at = position_of(s, node->name);
    settle(s); /* `node` is gone */
    out->placed++;
    out->shapes[s->pods[i].shape].placed++;
    out->blind += r->verdict == SCORE_UNKNOWN;
    if (r->verdict == SCORE_ADMITTED && r->term[SCORE_LOCALITY]) {
        s->distances += UINT64_C(10) * SCORE_MAX * 1000 / r->term[SCORE_LOCALITY];
        s->n_distances++;
    }
    s->used[at] = true;
    s->pods[i].there = s->pods[i].runs = true;
    s->running++;
    note_zones(s, i, s->names[at]);
    return 0;
}

/* It stays pending: no node has it, but it is there. */
static int leave(struct simulation *s, uint32_t i, struct err *err)
{
    const int rc = deliver(s, SOURCE_UPSERT, i, (struct str){0}, err);

    if (rc)
        return rc;
    settle(s);
    s->pods[i].there = true;
    return 0;
}

static int choose(struct simulation *s, const struct score_pod *pod, const struct node_view **out,
                  struct err *err)
{
    *out = NULL;
    if (s->options->placer == SIMULATE_NUMAWISE)
        return choose_with_numawise(s, pod, out, err);
    *out = choose_by_sums(s, pod);
    return 0;
}

static void refuse(struct simulation *s, uint32_t shape, enum score_reason reason)
{
    s->out->refusals++;
    s->out->by_reason[reason]++;
    s->out->shapes[shape].refusals++;
}

static int arrive(struct simulation *s, uint32_t i, struct err *err)
{
    const struct simulate_options *const o = s->options;
    const uint32_t shape = s->pods[i].shape, before = s->out->refusals;
    const struct score_pod *const pod = &o->shapes[shape].pod;
    const struct node_view *node = NULL;
    struct score_result r = {.verdict = SCORE_REJECTED};
    int rc = 0;

    s->out->arrived++;
    s->out->shapes[shape].arrived++;
    for (uint32_t k = 0; rc == 0 && k < o->tries && r.verdict == SCORE_REJECTED; k++) {
        arena_rewind(&s->arena, 0);
        rc = choose(s, pod, &node, err);
        if (rc || !node)
            break;
        rc = ask_kubelet(s, &r, pod, node, err);
        if (rc == 0 && r.verdict == SCORE_REJECTED)
            refuse(s, shape, r.reason);
    }
    if (rc)
        return rc;
    const bool placed = node && r.verdict != SCORE_REJECTED;
    const struct str name = placed ? s->names[position_of(s, node->name)] : (struct str){0};
    s->out->pending += !node;
    s->out->given_up += node && !placed;
    rc = placed ? place(s, i, node, &r, err) : leave(s, i, err);
    if (rc)
        return rc;
    if (o->arrived)
        o->arrived(o->ctx, i, shape, placed ? cluster_snapshot_find(s->snapshot, name) : NULL,
                   s->out->refusals - before);
    return 0;
}

/* --- figures --- */

static void take_broken(const struct simulation *s, uint32_t *out_cpus, uint32_t *out_devices)
{
    struct simulate_broken cpus = {0}, devices = {0};

    for (uint32_t i = 0; i < s->n; i++) {
        simulate_broken_cpus(&cpus, cluster_snapshot_node(s->snapshot, i));
        if (out_devices)
            simulate_broken_devices(&devices, cluster_snapshot_node(s->snapshot, i));
    }
    *out_cpus = simulate_broken(&cpus);
    if (out_devices)
        *out_devices = simulate_broken(&devices);
}

static uint32_t mean_distance(const struct simulation *s)
{
    return s->n_distances ? (uint32_t)(s->distances / s->n_distances) : 0;
}

static void take_point(struct simulation *s)
{
    struct simulate_result *const out = s->out;
    struct simulate_point *const p = &out->points[out->n_points++];

    *p = (struct simulate_point){.arrived = out->arrived,
                                 .running = s->running,
                                 .refusals = out->refusals,
                                 .unplaced = out->pending + out->given_up,
                                 .distance = mean_distance(s)};
    take_broken(s, &p->broken, NULL);
}

/* Nodes that would take one more of each shape. */
static int take_room(struct simulation *s, bool after, struct err *err)
{
    for (uint32_t k = 0; k < s->options->n_shapes; k++) {
        const struct score_pod *const pod = &s->options->shapes[k].pod;
        struct simulate_shape_result *const out = &s->out->shapes[k];

        arena_rewind(&s->arena, 0);
        for (uint32_t i = 0; i < s->n; i++) {
            const struct node_view *const node = cluster_snapshot_node(s->snapshot, i);
            struct score_result r;

            if (!has_room(pod, node))
                continue;
            const int rc = ask_kubelet(s, &r, pod, node, err);
            if (rc)
                return rc;
            *(after ? &out->room_after : &out->room_before) += r.verdict == SCORE_ADMITTED;
        }
    }
    return 0;
}

static void take_nodes(struct simulation *s)
{
    struct simulate_result *const out = s->out;
    uint64_t sum = 0, n = 0;

    out->nodes = s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *const v = cluster_snapshot_node(s->snapshot, i);

        out->unknown_nodes += v->knowledge != NODE_KNOWN;
        out->nodes_used += s->used[i];
        for (uint32_t k = 0; k < v->n_fits; k++) {
            const struct node_fit *const f = &v->fits[k];

            if (f->kind != POD_CPU || f->allocatable <= 0)
                continue;
            const uint32_t share = (uint32_t)(f->requested * 1000 / f->allocatable);
            if (n == 0 || share < out->cpu_least)
                out->cpu_least = share;
            if (share > out->cpu_most)
                out->cpu_most = share;
            sum += share;
            n++;
        }
    }
    out->cpu_mean = n ? (uint32_t)(sum / n) : 0;
}

/* --- the whole --- */

/* Who comes and how long he stays, before anything is placed: the same for every placer. */
static void draw_arrivals(struct simulation *s)
{
    const struct simulate_options *const o = s->options;
    uint64_t state = o->seed, shares = 0;

    for (uint32_t k = 0; k < o->n_shapes; k++)
        shares += o->shapes[k].share;
    for (uint32_t i = 0; i < o->pods; i++) {
        uint64_t at = simulate_random(&state, shares);
        uint16_t k = 0;

        for (; at >= o->shapes[k].share; k++)
            at -= o->shapes[k].share;
        s->pods[i].shape = k;
        if (o->lifetime)
            s->pods[i].ends =
                i + 1 + (uint32_t)simulate_random(&state, 2 * (uint64_t)o->lifetime - 1);
    }
}

static int prepare(struct simulation *s, struct err *err)
{
    const struct simulate_options *const o = s->options;

    s->first = cluster_get(s->cluster);
    s->snapshot = cluster_snapshot_ref(s->first);
    s->n = cluster_snapshot_nodes(s->snapshot);
    const size_t room = BASE_ARENA_BYTES + (size_t)s->n * NODE_ARENA_BYTES;
    s->names = calloc(s->n + 1, sizeof(*s->names));
    s->used = calloc(s->n + 1, sizeof(*s->used));
    s->pods = calloc(o->pods, sizeof(*s->pods));
    s->room = malloc(room);
    s->out->points = calloc(2 * SIMULATE_POINTS + 2, sizeof(*s->out->points));
    s->out->shapes = calloc(o->n_shapes, sizeof(*s->out->shapes));
    if (s->room)
        arena_init(&s->arena, s->room, room);
    if (!s->names || !s->used || !s->pods || !s->room || !s->out->points || !s->out->shapes)
        return err_set(err, -ENOMEM, "no memory for %u pods on %u nodes", o->pods, s->n);
    for (uint32_t i = 0; i < s->n; i++)
        s->names[i] = cluster_snapshot_node(s->first, i)->name;
    draw_arrivals(s);
    s->ties = o->seed ^ UINT64_C(0x746965732e746965);
    return memo_new(&s->memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, err);
}

static int run(struct simulation *s, struct err *err)
{
    const struct simulate_options *const o = s->options;
    const uint32_t step = (o->pods + SIMULATE_POINTS - 1) / SIMULATE_POINTS;
    int rc = take_room(s, false, err);

    take_broken(s, &s->out->broken_cpus[0], &s->out->broken_devices[0]);
    take_point(s);
    for (uint32_t i = 0; rc == 0 && i < o->pods; i++) {
        rc = end_pods(s, i, err);
        if (rc == 0)
            rc = arrive(s, i, err);
        if (rc == 0 && ((i + 1) % step == 0 || i + 1 == o->pods))
            take_point(s);
    }
    if (rc == 0)
        rc = take_room(s, true, err);
    take_broken(s, &s->out->broken_cpus[1], &s->out->broken_devices[1]);
    take_nodes(s);
    s->out->distance = mean_distance(s);
    return rc;
}

static void done(struct simulation *s)
{
    cluster_snapshot_unref(s->snapshot);
    cluster_snapshot_unref(s->first);
    memo_free(s->memo);
    buf_free(&s->json);
    free(s->names);
    free(s->used);
    free(s->pods);
    if (s->room)
        arena_rewind(&s->arena, 0);
    free(s->room);
}

int simulate_run(struct simulate_result *out, struct cluster *cluster,
                 const struct simulate_options *options, struct err *err)
{
    struct simulate_result result = {0};
    struct simulation s = {
        .options = options, .out = &result, .cluster = cluster, .sink = cluster_sink(cluster)};
    int rc = prepare(&s, err);

    if (rc == 0)
        rc = run(&s, err);
    done(&s);
    if (rc)
        simulate_result_done(&result);
    else
        *out = result;
    return rc;
}

void simulate_result_done(struct simulate_result *r)
{
    free(r->points);
    free(r->shapes);
    *r = (struct simulate_result){0};
}
