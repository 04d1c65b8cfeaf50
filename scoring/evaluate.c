/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/evaluate.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/fragmentation.h"
#include "scoring/freshness.h"
#include "scoring/interval.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "scoring/locality.h"
#include "scoring/proof.h"
#include "topology/cpuset.h"

/* Why the emulation has no say, or SCORE_REASON_NONE. */
static enum score_reason no_say(const struct score_request *req, const struct node_view *node)
{
    switch (node->knowledge) {
    case NODE_NO_TOPOLOGY:
        return SCORE_NO_TOPOLOGY;
    case NODE_STALE:
        return SCORE_STALE_TOPOLOGY;
    case NODE_TOO_MANY_ZONES:
        return SCORE_TOO_MANY_ZONES;
    case NODE_NOT_MODELLED:
        return SCORE_NOT_MODELLED;
    case NODE_KNOWN:
        break;
    }
    if (req->pod->has_claims || req->pod->has_pod_level)
        return SCORE_NOT_MODELLED;
    return SCORE_REASON_NONE;
}

/* What of an admission the terms look at. */
struct outcome {
    const struct node_view *node;
    const struct score_request *req;
    const struct node_state *after;
    const struct kubelet_answer *answer;
};

static void count_cpus(const struct node_view *node, const uint64_t *set, uint32_t *by_zone)
{
    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        const uint64_t *const in = &node->cpus.zone_set[(size_t)z * node->cpu_words];

        by_zone[z] = 0;
        for (uint32_t w = 0; w < node->cpu_words; w++)
            by_zone[z] += (uint32_t)__builtin_popcountll(set[w] & in[w]);
    }
}

/* Bytes per zone, brought down to a sum that score_locality takes. */
static bool count_memory(const struct score_container *c, uint32_t n, uint32_t *by_zone)
{
    uint64_t bytes[TOPO_MAX_ZONES] = {0}, sum = 0;
    uint32_t shift = 0;

    for (uint32_t i = 0; i < c->n_blocks; i++) {
        /* A block over several zones says no more than that: equal parts. */
        const uint64_t part =
            c->blocks[i].bytes / (uint64_t)__builtin_popcountll(c->blocks[i].zones);

        for (uint64_t z = c->blocks[i].zones; z; z &= z - 1) {
            bytes[__builtin_ctzll(z)] += part;
            sum += part;
        }
    }
    while (sum >> shift > UINT64_C(1) << 23)
        shift++;
    for (uint32_t z = 0; z < n; z++)
        by_zone[z] = (uint32_t)(bytes[z] >> shift);
    return sum >> shift > 0;
}

/*
 * Where one container's threads and memory will be: its own CPUs, else wherever the shared pool
 * is; its blocks, else where its threads touch it first.
 */
static uint32_t container_locality(const struct outcome *o, const struct score_container *c)
{
    const uint32_t n = o->node->machine.n_zones;
    uint32_t cpu[TOPO_MAX_ZONES], mem[TOPO_MAX_ZONES], sum = 0;

    count_cpus(o->node, c->cpus ? c->cpus : o->after->cpu_free, cpu);
    for (uint32_t z = 0; z < n; z++)
        sum += cpu[z];
    if (sum == 0)
        return SCORE_NEUTRAL; /* no CPU left in the shared pool: nothing can be said */
    if (!count_memory(c, n, mem))
        memcpy(mem, cpu, n * sizeof(*mem));
    return score_locality(&o->node->machine.distances,
                          &(struct score_split){.cpu = cpu, .mem = mem});
}

static uint64_t weight_of(const struct pod_container *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].kind == POD_CPU && c->requests[i].amount > 0)
            return c->requests[i].amount < INT32_MAX ? (uint64_t)c->requests[i].amount : INT32_MAX;
    }
    return 1; /* no request: it counts, but hardly */
}

/* The mean over what runs for long, weighted by CPU request. */
static uint16_t pod_locality(const struct outcome *o)
{
    uint64_t sum = 0, weights = 0; /* n * 2^31 * 1000 */

    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const uint64_t w = weight_of(&o->req->pod->containers[i]);

        if (o->req->containers[i].kind == POD_INIT)
            continue;
        sum += w * container_locality(o, &o->answer->containers[i]);
        weights += w;
    }
    return (uint16_t)(weights ? sum / weights : SCORE_NEUTRAL);
}

static uint32_t cpu_fragmentation(const struct outcome *o)
{
    const struct node_view *const node = o->node;
    uint32_t whole[TOPO_MAX_ZONES], before[TOPO_MAX_ZONES], after[TOPO_MAX_ZONES];

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        const uint64_t *const in = &node->cpus.zone_set[(size_t)z * node->cpu_words];

        whole[z] = before[z] = after[z] = 0;
        for (uint32_t w = 0; w < node->cpu_words; w++) {
            const uint64_t usable = in[w] & ~node->cpu_reserved[w];

            whole[z] += (uint32_t)__builtin_popcountll(usable);
            before[z] += (uint32_t)__builtin_popcountll(usable & node->state.cpu_free[w]);
            after[z] += (uint32_t)__builtin_popcountll(usable & o->after->cpu_free[w]);
        }
    }
    return score_fragmentation(&(struct score_stock){whole, before, after}, node->machine.n_zones);
}

static uint32_t device_fragmentation(const struct outcome *o, const struct node_resource *r)
{
    const struct node_view *const node = o->node;
    uint32_t whole[TOPO_MAX_ZONES] = {0}, before[TOPO_MAX_ZONES] = {0}, after[TOPO_MAX_ZONES] = {0};

    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        const uint64_t zones = node->devices[d].zones;

        for (uint64_t z = node->devices[d].healthy ? zones : 0; z; z &= z - 1) {
            whole[__builtin_ctzll(z)]++;
            before[__builtin_ctzll(z)] += !cpuset_has(node->state.device_held, d);
            after[__builtin_ctzll(z)] += !cpuset_has(o->after->device_held, d);
        }
    }
    return score_fragmentation(&(struct score_stock){whole, before, after}, node->machine.n_zones);
}

static bool takes(const struct kubelet_wants *w, const struct node_resource *r)
{
    for (uint32_t i = 0; i < w->n_devices; i++) {
        if (w->devices[i].amount > 0 && str_eq(w->devices[i].name, r->name))
            return r->zones != 0;
    }
    return false;
}

/* The mean over the resources that the pod takes for itself; nothing taken breaks nothing. */
static uint16_t pod_fragmentation(const struct outcome *o)
{
    const struct kubelet_wants *const whole = &o->req->whole;
    uint32_t sum = 0, n = 0;

    if (whole->cpus && o->node->kubelet.cpu_static) {
        sum += cpu_fragmentation(o);
        n++;
    }
    for (uint32_t i = 0; i < o->node->n_resources; i++) {
        if (!takes(whole, &o->node->resources[i]))
            continue;
        sum += device_fragmentation(o, &o->node->resources[i]);
        n++;
    }
    return (uint16_t)(n ? sum / n : SCORE_MAX);
}

static void set_term(struct score_result *r, enum score_term term, uint32_t value)
{
    r->term[term] = (uint16_t)value;
    r->known |= 1u << term;
}

/* The terms that no clock changes. */
static void fill_terms(struct score_result *r, const struct outcome *o)
{
    set_term(r, SCORE_LOCALITY, pod_locality(o));
    set_term(r, SCORE_FRAGMENTATION, pod_fragmentation(o));
}

/*
 * Filter on the best case, score on the worst (docs/scoring.md 6): no term is better than with the
 * pods whose zones nobody knows in this one's place. Where that leaves no room for it, terms are 0.
 */
static int lower_to_worst(struct score_result *r, const struct outcome *best, struct arena *a)
{
    struct score_result worst = {.verdict = SCORE_ADMITTED};
    struct kubelet_answer answer;
    struct node_state after;
    struct node_view view;

    if (score_worst_view(&view, best->node, best->answer, best->req->n_containers, a) ||
        node_state_copy(&after, &view, a) || kubelet_admit(&after, &view, best->req, &answer, a))
        return -ENOMEM;
    if (answer.verdict == SCORE_ADMITTED)
        fill_terms(&worst, &(struct outcome){&view, best->req, &after, &answer});
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        r->term[t] = worst.term[t] < r->term[t] ? worst.term[t] : r->term[t];
    return 0;
}

/*
 * Verdict, timeless terms, and the admission they come from, which lives in `a`. `zones_only`: the
 * CPUs inside a zone may be any, for nobody will read them.
 */
static int judge(struct score_result *out, struct outcome *o, struct node_state *state,
                 struct kubelet_answer *answer, bool zones_only, struct arena *a)
{
    struct score_result r = {.reason = no_say(o->req, o->node)};

    if (r.reason != SCORE_REASON_NONE) {
        r.verdict = SCORE_UNKNOWN;
        *out = r;
        return 0;
    }
    if (node_state_copy(state, o->node, a) ||
        (zones_only ? kubelet_admit_zones : kubelet_admit)(state, o->node, o->req, answer, a))
        return -ENOMEM;
    o->after = state;
    o->answer = answer;
    r.verdict = answer->verdict;
    r.reason = answer->reason;
    r.interval = o->node->n_unplaced > 0;
    if (r.verdict == SCORE_ADMITTED) {
        fill_terms(&r, o);
        if (r.interval && lower_to_worst(&r, o, a))
            return -ENOMEM;
    }
    *out = r;
    return 0;
}

int score_node_timeless(struct score_result *out, const struct score_request *req,
                        const struct node_view *node, struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct outcome o = {.node = node, .req = req};
    struct kubelet_answer answer;
    struct node_state state;

    const int rc = judge(out, &o, &state, &answer, true, scratch);
    arena_rewind(scratch, mark);
    return rc;
}

struct score_stamp score_stamp_of(const struct node_view *node)
{
    return (struct score_stamp){node->observed_us, (uint16_t)node->assumed,
                                node->knowledge == NODE_KNOWN};
}

static bool is_stale(const struct score_stamp *stamp, const struct score_context *ctx)
{
    return stamp->known && ctx->max_age_us > 0 && stamp->observed_us > 0 &&
           ctx->now_us - stamp->observed_us > ctx->max_age_us;
}

struct score_aged score_node_clock(enum score_verdict verdict, enum score_reason reason,
                                   bool interval, const struct score_stamp *stamp,
                                   const struct score_context *ctx)
{
    struct score_aged r = {.verdict = (uint8_t)verdict, .reason = (uint8_t)reason};

    /* What is unknown for another reason stays that; too many zones is the emulation's word. */
    if (verdict == SCORE_UNKNOWN && reason != SCORE_TOO_MANY_ZONES)
        return r;
    if (is_stale(stamp, ctx))
        return (struct score_aged){
            .verdict = SCORE_UNKNOWN, .reason = SCORE_STALE_TOPOLOGY, .stale = true};
    if (verdict == SCORE_ADMITTED) {
        r.has_freshness = true;
        r.freshness = (uint16_t)score_freshness(ctx->now_us, stamp->observed_us, ctx->max_age_us,
                                                stamp->assumed, interval);
    }
    return r;
}

/* The clock's part into the timeless one. */
static void age(struct score_result *r, const struct node_view *node,
                const struct score_context *ctx)
{
    const struct score_stamp stamp = score_stamp_of(node);
    const struct score_aged aged =
        score_node_clock(r->verdict, r->reason, r->interval, &stamp, ctx);

    if (aged.stale)
        *r = (struct score_result){.interval = r->interval};
    r->verdict = (enum score_verdict)aged.verdict;
    r->reason = (enum score_reason)aged.reason;
    if (aged.has_freshness)
        set_term(r, SCORE_FRESHNESS, aged.freshness);
}

int score_node(struct score_result *out, const struct score_request *req,
               const struct node_view *node, const struct score_context *ctx, struct arena *scratch)
{
    struct score_result r;
    const int rc = score_node_timeless(&r, req, node, scratch);

    if (rc)
        return rc;
    age(&r, node, ctx);
    *out = r;
    return 0;
}

/* Words for a node that we know nothing of, or a pod that is not modelled. */
static struct str unknown_message(const struct score_detail *d, const struct score_request *req,
                                  const struct node_view *node)
{
    if (node->why_unknown.n)
        return node->why_unknown;
    if (d->result.reason == SCORE_STALE_TOPOLOGY)
        return STR("the node's topology was observed longer ago than topology.maxAge");
    if (d->result.reason == SCORE_NO_TOPOLOGY)
        return STR("there is no NodeResourceTopology of this name");
    if (req->pod->has_claims)
        return STR("resource claims (DRA) are not modelled");
    return STR("pod-level resources are not modelled");
}

int score_node_explain(struct score_detail *out, const struct score_request *req,
                       const struct node_view *node, const struct score_context *ctx,
                       struct arena *a)
{
    struct outcome o = {.node = node, .req = req};
    struct score_detail d = {0};
    struct kubelet_answer answer = {.message = ""};
    struct node_state state;

    if (judge(&d.result, &o, &state, &answer, false, a))
        return -ENOMEM;
    age(&d.result, node, ctx);
    if (d.result.verdict == SCORE_ADMITTED) {
        d.containers = answer.containers;
    } else if (d.result.reason == SCORE_TOO_MANY_ZONES && answer.message[0]) {
        if (str_copy(&d.message, str_of(answer.message), a))
            return -ENOMEM;
    } else if (d.result.verdict == SCORE_UNKNOWN) {
        d.message = unknown_message(&d, req, node);
    } else if (score_proof(&d.message, node, &state, req, &answer, a) ||
               score_would_fit_without(&d.would_fit_without, &d.n_would_fit_without, node, req,
                                       a)) {
        return -ENOMEM;
    }
    *out = d;
    return 0;
}
