/* SPDX-License-Identifier: Apache-2.0 */
/* Who is on the node: what is reported, what has ended since, what the emulation predicts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/node_build_parts.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "topology/cpuset.h"

/* --- holdings --- */

static int fill_cpus(struct node_build *b, struct node_holding *to,
                     const struct kube_nrt_holding *from, struct arena *a)
{
    if (from->cpus.n == 0)
        return 0;
    uint64_t *const set = arena_array(a, b->v.cpu_words, sizeof(*set));
    if (!set)
        return -ENOMEM;
    if (cpuset_parse(set, b->v.cpu_words, from->cpus, NULL) < 0)
        return node_build_refuse(b, NODE_NOT_MODELLED,
                                 "placements: %.*s/%.*s holds CPUs %.*s, which no zone has",
                                 STR_ARG(from->ns), STR_ARG(from->pod), STR_ARG(from->cpus));
    to->cpus = set;
    return 0;
}

static int fill_blocks(struct node_build *b, struct node_holding *to,
                       const struct kube_nrt_holding *from, struct arena *a)
{
    const uint32_t zones = b->v.machine.n_zones;
    struct node_block *const blocks = arena_array(a, from->n_blocks, sizeof(*blocks));

    if (!blocks)
        return -ENOMEM;
    to->blocks = blocks;
    for (uint32_t i = 0; i < from->n_blocks; i++) {
        const struct kube_nrt_block *const k = &from->blocks[i];

        if (zones < 64 && k->zones >> zones)
            return node_build_refuse(b, NODE_NOT_MODELLED,
                                     "placements: %.*s/%.*s holds memory of zones that are not "
                                     "there",
                                     STR_ARG(from->ns), STR_ARG(from->pod));
        for (uint32_t t = 0; t < b->v.n_memory_types; t++) {
            if (str_eq(b->v.memory_types[t].name, k->type))
                blocks[to->n_blocks++] = (struct node_block){k->zones, t, k->bytes};
        }
    }
    return 0;
}

static int fill_devices(struct node_build *b, struct node_holding *to,
                        const struct kube_nrt_holding *from, struct arena *a)
{
    if (from->n_devices == 0)
        return 0;
    uint64_t *const set = arena_array(a, node_device_words(&b->v), sizeof(*set));
    if (!set)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->n_devices; i++) {
        const int64_t d =
            node_build_find_device(&b->v, from->devices[i].resource, from->devices[i].id);

        if (d >= 0)
            cpuset_add(set, (uint32_t)d);
    }
    to->devices = set;
    return 0;
}

static int fill_holding(struct node_build *b, struct node_holding *to,
                        const struct kube_nrt_holding *from, struct arena *a)
{
    int rc = str_copy(&to->container, from->container, a);

    if (rc == 0)
        rc = fill_cpus(b, to, from, a);
    if (rc == 0)
        rc = fill_blocks(b, to, from, a);
    return rc ? rc : fill_devices(b, to, from, a);
}

/* --- pods --- */

static int fill_pod(struct node_pod *to, const struct score_pod *from,
                    enum node_pod_placement placement, struct arena *a)
{
    to->priority = from->priority;
    to->qos = pod_qos_of(from);
    to->placement = placement;
    return str_copy(&to->ns, from->ns, a) || str_copy(&to->name, from->name, a) ||
                   str_copy(&to->uid, from->uid, a)
               ? -ENOMEM
               : 0;
}

/* A pod that only the report knows. */
static int fill_reported(struct node_pod *to, const struct kube_nrt_holding *from, struct arena *a)
{
    to->qos = from->cpus.n || from->n_blocks ? POD_GUARANTEED : POD_BURSTABLE;
    to->placement = NODE_POD_OBSERVED;
    return str_copy(&to->ns, from->ns, a) || str_copy(&to->name, from->pod, a) ||
                   str_copy(&to->uid, from->uid, a)
               ? -ENOMEM
               : 0;
}

static bool same_pod(const struct kube_nrt_holding *h, const struct score_pod *p)
{
    return str_eq(h->ns, p->ns) && str_eq(h->pod, p->name) &&
           (h->uid.n == 0 || p->uid.n == 0 || str_eq(h->uid, p->uid));
}

/* How many holdings from `i` on are of one pod. */
static uint32_t group_length(const struct kube_nrt *nrt, uint32_t i)
{
    uint32_t n = 1;

    while (i + n < nrt->n_holdings && str_eq(nrt->holdings[i].ns, nrt->holdings[i + n].ns) &&
           str_eq(nrt->holdings[i].pod, nrt->holdings[i + n].pod))
        n++;
    return n;
}

/* The pods of the node while they are sorted out; all in scratch. */
struct crowd {
    const struct score_pod **waiting, **plain; /* not listed by the report */
    uint32_t n_waiting, n_plain;
    uint64_t *keys; /* [n_plain] */
    bool *listed;   /* [n_pods] */
    struct node_pod *out;
    const struct score_pod **from; /* what each was made of, NULL: known by the report only */
    uint32_t n_out;
};

static int add_observed(struct node_build *b, struct crowd *c, const struct score_pod *pod,
                        uint32_t first, uint32_t n)
{
    struct node_pod *const to = &c->out[c->n_out];
    const struct kube_nrt_holding *const from = &b->nrt->holdings[first];
    struct node_holding *const holdings = arena_array(b->a, n, sizeof(*holdings));
    int rc = pod ? fill_pod(to, pod, NODE_POD_OBSERVED, b->a) : fill_reported(to, from, b->a);

    c->from[c->n_out++] = pod;
    if (!holdings)
        return -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = fill_holding(b, &holdings[i], &from[i], b->a);
    to->holdings = holdings;
    to->n_holdings = n;
    return rc;
}

/* The pod has ended since the report: what it held is free at once. */
static int give_back(struct node_build *b, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        const size_t mark = arena_mark(b->scratch);
        struct node_holding h = {0};
        const int rc = fill_holding(b, &h, &b->nrt->holdings[i], b->scratch);

        if (rc)
            return rc;
        kubelet_release_holding(&b->v.state, &b->v, &h);
        arena_rewind(b->scratch, mark);
    }
    return 0;
}

/* The pod of a group of holdings, which is then listed; NULL when there is none. */
static const struct score_pod *find_pod(struct node_build *b, struct crowd *c,
                                        const struct kube_nrt_holding *h)
{
    for (uint32_t i = 0; i < b->in->n_pods; i++) {
        if (!same_pod(h, b->in->pods[i]))
            continue;
        c->listed[i] = true;
        return b->in->pods[i];
    }
    return NULL;
}

static int place_listed(struct node_build *b, struct crowd *c)
{
    int rc = 0;

    for (uint32_t i = 0, n; rc == 0 && i < b->nrt->n_holdings; i += n) {
        n = group_length(b->nrt, i);
        const struct score_pod *const pod = find_pod(b, c, &b->nrt->holdings[i]);

        rc = pod || !b->in->pods_known ? add_observed(b, c, pod, i, n) : give_back(b, i, n);
    }
    return rc;
}

/* --- prediction --- */

static int64_t since(const struct score_pod *p)
{
    return p->bound_us ? p->bound_us : p->created_us;
}

static int cmp_waiting(const void *x, const void *y)
{
    const struct score_pod *const a = *(const struct score_pod *const *)x;
    const struct score_pod *const b = *(const struct score_pod *const *)y;
    const int by_ns = str_cmp(a->ns, b->ns);

    if (since(a) != since(b))
        return since(a) < since(b) ? -1 : 1;
    return by_ns ? by_ns : str_cmp(a->name, b->name);
}

static const uint64_t *copy_set(const uint64_t *from, uint32_t words, struct arena *a)
{
    uint64_t *const to = arena_array(a, words, sizeof(*to));

    if (to && words)
        memcpy(to, from, words * sizeof(*to));
    return to;
}

static bool any_bit(const uint64_t *set, uint32_t words)
{
    for (uint32_t w = 0; set && w < words; w++) {
        if (set[w])
            return true;
    }
    return false;
}

/* What the emulation gave one container, as a holding; *used stays false when it is nothing. */
static int keep_container(struct node_build *b, struct node_holding *to, struct str name,
                          const struct score_container *from, bool *used)
{
    const uint32_t words = b->v.cpu_words, device_words = node_device_words(&b->v);
    struct node_block *blocks;

    *used = any_bit(from->cpus, words) || any_bit(from->devices, device_words) || from->n_blocks;
    if (!*used)
        return 0;
    if (any_bit(from->cpus, words) && !(to->cpus = copy_set(from->cpus, words, b->a)))
        return -ENOMEM;
    if (any_bit(from->devices, device_words) &&
        !(to->devices = copy_set(from->devices, device_words, b->a)))
        return -ENOMEM;
    if (!(blocks = arena_array(b->a, from->n_blocks, sizeof(*blocks))))
        return -ENOMEM;
    if (from->n_blocks)
        memcpy(blocks, from->blocks, from->n_blocks * sizeof(*blocks));
    to->blocks = blocks;
    to->n_blocks = from->n_blocks;
    return str_copy(&to->container, name, b->a);
}

static int keep_answer(struct node_build *b, struct node_pod *to, const struct score_pod *pod,
                       const struct kubelet_answer *answer)
{
    struct node_holding *const holdings = arena_array(b->a, pod->n_containers, sizeof(*holdings));

    if (!holdings)
        return -ENOMEM;
    to->holdings = holdings;
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        bool used;

        if (keep_container(b, &holdings[to->n_holdings], pod->containers[i].name,
                           &answer->containers[i], &used))
            return -ENOMEM;
        to->n_holdings += used;
    }
    return 0;
}

static void copy_state(struct node_state *to, const struct node_state *from,
                       const struct node_view *v)
{
    const size_t zones = v->machine.n_zones, types = zones * v->n_memory_types;

    memcpy(to->memory_free, from->memory_free, types * sizeof(uint64_t));
    memcpy(to->memory_reserved, from->memory_reserved, types * sizeof(uint64_t));
    memcpy(to->assignments, from->assignments, zones * sizeof(uint32_t));
    memcpy(to->cells, from->cells, zones * sizeof(uint64_t));
    memcpy(to->cpu_free, from->cpu_free, v->cpu_words * sizeof(uint64_t));
    memcpy(to->device_held, from->device_held, node_device_words(v) * sizeof(uint64_t));
}

/* A pod of which only what it asks for is known for certain: its zones are not. */
static int keep_request(struct node_build *b, struct node_pod *to, const struct score_request *req)
{
    const struct kubelet_wants *const whole = &req->whole;
    uint32_t *const devices = arena_array(b->a, b->v.n_resources, sizeof(*devices));

    if (!devices)
        return -ENOMEM;
    for (uint32_t r = 0; r < b->v.n_resources; r++) {
        for (uint32_t i = 0; i < whole->n_devices; i++) {
            if (str_eq(whole->devices[i].name, b->v.resources[r].name))
                devices[r] = (uint32_t)whole->devices[i].amount;
        }
    }
    to->placement = NODE_POD_UNPLACED;
    b->v.n_unplaced++;
    to->cpus = whole->cpus;
    to->devices = devices;
    return 0;
}

/* Bound while nobody looked on: somebody may have been there and gone, and moved it elsewhere. */
static bool is_in_doubt(const struct node_build *b, const struct score_pod *pod)
{
    return pod->bound_us && pod->bound_us < b->in->since_us;
}

/* Let the emulated kubelet admit the pod. Where it would not, the state stays as it was. */
static int replay(struct node_build *b, struct node_pod *to, const struct score_pod *pod)
{
    const size_t mark = arena_mark(b->scratch);
    struct score_request *req;
    struct kubelet_answer answer;
    struct node_state before;
    int rc = node_state_copy(&before, &b->v, b->scratch);

    if (rc == 0)
        rc = score_request_init(&req, pod, b->scratch, NULL);
    if (rc == 0)
        rc = kubelet_admit(&b->v.state, &b->v, req, &answer, b->scratch);
    if (rc == 0 && answer.verdict == SCORE_ADMITTED) {
        kubelet_start(&b->v.state, &b->v, req, answer.containers);
        rc = keep_answer(b, to, pod, &answer);
        if (rc == 0 && to->n_holdings && is_in_doubt(b, pod))
            rc = keep_request(b, to, req);
    } else if (rc == 0) {
        copy_state(&b->v.state, &before, &b->v);
        rc = keep_request(b, to, req);
    }
    arena_rewind(b->scratch, mark);
    return rc;
}

/* The view to go on from; NULL: there is none, or it is of another machine. */
static const struct node_view *before_of(const struct node_build *b)
{
    const struct node_view *const v = b->in->before;

    return v && v->knowledge == NODE_KNOWN && v->machine.n_zones == b->v.machine.n_zones &&
                   v->cpu_words == b->v.cpu_words && v->n_memory_types == b->v.n_memory_types &&
                   v->n_devices == b->v.n_devices && v->n_resources == b->v.n_resources
               ? v
               : NULL;
}

static bool is_replayed(const struct node_build *b, const struct score_pod *p)
{
    return b->nrt->has_placements || before_of(b) ||
           (p->bound_us && b->nrt->observed_us && p->bound_us > b->nrt->observed_us);
}

static void take_plain(const struct node_build *b, struct crowd *c, uint32_t i)
{
    c->keys[c->n_plain] = b->in->keys ? b->in->keys[i] : 0;
    c->plain[c->n_plain++] = b->in->pods[i];
}

/* --- going on from an earlier view --- */

/* What the report knows stays; who was replayed stays as long as he is among the pods. */
static bool has_gone(const struct node_pod *was, const struct score_pod *pod)
{
    return !pod && (was->placement == NODE_POD_PREDICTED || was->placement == NODE_POD_UNPLACED);
}

static int keep_holding(struct node_build *b, struct node_holding *to,
                        const struct node_holding *from)
{
    struct node_block *const blocks = arena_array(b->a, from->n_blocks, sizeof(*blocks));

    if (!blocks || str_copy(&to->container, from->container, b->a))
        return -ENOMEM;
    if (from->n_blocks)
        memcpy(blocks, from->blocks, from->n_blocks * sizeof(*blocks));
    to->blocks = blocks;
    to->n_blocks = from->n_blocks;
    if (from->cpus && !(to->cpus = copy_set(from->cpus, b->v.cpu_words, b->a)))
        return -ENOMEM;
    return from->devices && !(to->devices = copy_set(from->devices, node_device_words(&b->v), b->a))
               ? -ENOMEM
               : 0;
}

static int keep_pod(struct node_build *b, struct node_pod *to, const struct node_pod *was)
{
    struct node_holding *const holdings = arena_array(b->a, was->n_holdings, sizeof(*holdings));
    uint32_t *devices;

    *to = (struct node_pod){.priority = was->priority,
                            .qos = was->qos,
                            .placement = was->placement,
                            .holdings = holdings,
                            .n_holdings = was->n_holdings,
                            .cpus = was->cpus};
    if (!holdings || str_copy(&to->ns, was->ns, b->a) || str_copy(&to->name, was->name, b->a) ||
        str_copy(&to->uid, was->uid, b->a))
        return -ENOMEM;
    for (uint32_t i = 0; i < was->n_holdings; i++) {
        if (keep_holding(b, &holdings[i], &was->holdings[i]))
            return -ENOMEM;
    }
    b->v.n_unplaced += was->placement == NODE_POD_UNPLACED;
    if (!was->devices)
        return 0;
    if (!(devices = arena_array(b->a, b->v.n_resources, sizeof(*devices))))
        return -ENOMEM;
    memcpy(devices, was->devices, b->v.n_resources * sizeof(*devices));
    to->devices = devices;
    return 0;
}

/* The pod, which is then listed; NULL when there is none. */
static const struct score_pod *find_kept(struct node_build *b, struct crowd *c,
                                         const struct node_pod *was)
{
    const struct kube_nrt_holding like = {.ns = was->ns, .pod = was->name, .uid = was->uid};

    return find_pod(b, c, &like);
}

static int go_on(struct node_build *b, struct crowd *c, const struct node_view *before)
{
    copy_state(&b->v.state, &before->state, &b->v);
    for (uint32_t i = 0; i < before->n_pods; i++) {
        const struct node_pod *const was = &before->pods[i];
        const struct score_pod *const pod = find_kept(b, c, was);

        for (uint32_t k = 0; has_gone(was, pod) && k < was->n_holdings; k++)
            kubelet_release_holding(&b->v.state, &b->v, &was->holdings[k]);
        if (has_gone(was, pod))
            continue;
        c->from[c->n_out] = pod;
        if (keep_pod(b, &c->out[c->n_out++], was))
            return -ENOMEM;
    }
    return 0;
}

static int place_waiting(struct node_build *b, struct crowd *c)
{
    int rc = 0;

    for (uint32_t i = 0; i < b->in->n_pods; i++) {
        if (c->listed[i])
            continue;
        if (pod_is_plain(b->in->pods[i]))
            take_plain(b, c, i);
        else
            c->waiting[c->n_waiting++] = b->in->pods[i];
    }
    if (c->n_waiting)
        qsort(c->waiting, c->n_waiting, sizeof(struct score_pod *), cmp_waiting);
    for (uint32_t i = 0; rc == 0 && i < c->n_waiting; i++) {
        struct node_pod *const to = &c->out[c->n_out];
        const bool predict = is_replayed(b, c->waiting[i]);

        c->from[c->n_out++] = c->waiting[i];
        rc = fill_pod(to, c->waiting[i], predict ? NODE_POD_PREDICTED : NODE_POD_COUNTED, b->a);
        if (rc == 0 && predict)
            rc = replay(b, to, c->waiting[i]);
    }
    return rc;
}

static int cmp_pods(const void *x, const void *y)
{
    const struct node_pod *const a = x, *const b = y;
    const int by_ns = str_cmp(a->ns, b->ns), by_name = str_cmp(a->name, b->name);

    return by_ns ? by_ns : by_name ? by_name : str_cmp(a->uid, b->uid);
}

/* As many as there are, for good. */
static int keep_pods(struct node_build *b, const struct crowd *c)
{
    struct node_pod *const pods = arena_array(b->a, c->n_out, sizeof(*pods));

    uint64_t *const plain = arena_array(b->a, c->n_plain, sizeof(*plain));

    if (!pods || !plain)
        return -ENOMEM;
    if (c->n_out)
        memcpy(pods, c->out, c->n_out * sizeof(*pods));
    if (c->n_plain)
        memcpy(plain, c->keys, c->n_plain * sizeof(*plain));
    b->v.pods = pods;
    b->v.n_pods = c->n_out;
    b->v.plain = plain;
    b->v.n_plain = c->n_plain;
    return 0;
}

int node_build_pods(struct node_build *b)
{
    const uint32_t n = b->in->n_pods;
    /* A group of holdings is one pod; without known pods each may be one that we do not see. */
    const struct node_view *const before = before_of(b);
    const size_t most = (size_t)n + (before              ? before->n_pods
                                     : b->in->pods_known ? 0
                                                         : b->nrt->n_holdings);
    struct crowd c = {
        .waiting = arena_array(b->scratch, n, sizeof(*c.waiting)),
        .plain = arena_array(b->scratch, n, sizeof(*c.plain)),
        .keys = arena_array(b->scratch, n, sizeof(*c.keys)),
        .listed = arena_array(b->scratch, n, sizeof(*c.listed)),
        .out = arena_array(b->scratch, most, sizeof(*c.out)),
        .from = arena_array(b->scratch, most, sizeof(*c.from)),
    };

    if (!c.waiting || !c.plain || !c.keys || !c.listed || !c.out || !c.from)
        return -ENOMEM;
    int rc = before ? go_on(b, &c, before) : place_listed(b, &c);
    if (rc == 0)
        rc = place_waiting(b, &c);
    if (rc == 0)
        rc = node_build_load(b, c.out, c.from, c.n_out, c.plain, c.n_plain);
    if (c.n_out)
        qsort(c.out, c.n_out, sizeof(*c.out), cmp_pods);
    return rc ? rc : keep_pods(b, &c);
}
