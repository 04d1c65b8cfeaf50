/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/evaluate.h"

#include <errno.h>

#include "base/arena.h"
#include "scoring/constraint.h"
#include "scoring/freshness.h"
#include "scoring/interval.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "scoring/outcome.h"
#include "scoring/pairs.h"
#include "scoring/proof.h"
#include "scoring/stock.h"
#include "scoring/terms.h"

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

/*
 * Filter on the best case, score on the worst (docs/scoring.md 6): no term is better than with the
 * pods whose zones nobody knows in this one's place. Where that leaves no room for it, terms are 0.
 */
static int lower_to_worst(struct score_result *r, const struct outcome *best, struct arena *a)
{
    uint16_t worst[SCORE_TERM_COUNT] = {0};
    struct kubelet_answer answer;
    struct node_state after;
    struct node_view view;
    struct outcome o;

    if (score_worst_view(&view, best->node, best->answer, best->req->n_containers, a) ||
        node_state_copy(&after, &view, a) || kubelet_admit(&after, &view, best->req, &answer, a))
        return -ENOMEM;
    if (answer.verdict == SCORE_ADMITTED) {
        if (outcome_init(&o, &view, best->req, &after, &answer, a))
            return -ENOMEM;
        (void)score_terms(worst, &o);
    }
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        r->term[t] = worst[t] < r->term[t] ? worst[t] : r->term[t];
    return 0;
}

enum score_reason score_request_refused(const struct score_request *req)
{
    return constraint_of_pod(req->rules, NULL);
}

/* Room for one verdict and what it comes from. */
struct trial {
    struct node_state after;
    struct kubelet_answer answer;
    struct outcome outcome; /* meaningful when the kubelet admits */
};

/* The kubelet admits: what policy and pod say to it, and the terms. */
static int look_closer(struct score_result *r, struct trial *t, const struct score_request *req,
                       const struct node_view *node, struct arena *a)
{
    if (outcome_init(&t->outcome, node, req, &t->after, &t->answer, a))
        return -ENOMEM;
    r->reason = constraint_of_placement(&t->outcome, NULL);
    if (r->reason != SCORE_REASON_NONE) {
        r->verdict = SCORE_REJECTED;
        return 0;
    }
    r->known = score_terms(r->term, &t->outcome);
    return r->interval ? lower_to_worst(r, &t->outcome, a) : 0;
}

/*
 * Verdict, timeless terms, and the admission they come from, which lives in `a`. `zones_only`: the
 * CPUs inside a zone may be any, for nobody will read them.
 */
static int judge(struct score_result *out, struct trial *t, const struct score_request *req,
                 const struct node_view *node, bool zones_only, struct arena *a)
{
    struct score_result r = {.verdict = SCORE_REJECTED, .reason = score_request_refused(req)};

    if (r.reason == SCORE_REASON_NONE && (r.reason = no_say(req, node)) != SCORE_REASON_NONE)
        r.verdict = SCORE_UNKNOWN;
    if (r.reason != SCORE_REASON_NONE) {
        *out = r;
        return 0;
    }
    if (node_state_copy(&t->after, node, a) ||
        (zones_only ? kubelet_admit_zones : kubelet_admit)(&t->after, node, req, &t->answer, a))
        return -ENOMEM;
    r.verdict = t->answer.verdict;
    r.reason = t->answer.reason;
    r.interval = node->n_unplaced > 0;
    if (r.verdict == SCORE_ADMITTED && look_closer(&r, t, req, node, a))
        return -ENOMEM;
    *out = r;
    return 0;
}

int score_node_timeless(struct score_result *out, const struct score_request *req,
                        const struct node_view *node, struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct trial t;

    const int rc = judge(out, &t, req, node, true, scratch);
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

int32_t score_node_clock(enum score_verdict verdict, enum score_reason reason, bool interval,
                         const struct score_stamp *stamp, const struct score_context *ctx)
{
    /* What is unknown for another reason stays that; too many zones is the emulation's word. */
    if (verdict == SCORE_UNKNOWN && reason != SCORE_TOO_MANY_ZONES)
        return SCORE_UNAGED;
    if (reason == SCORE_LOCK_LIMIT || reason == SCORE_GOROUTINE_LIMIT)
        return SCORE_UNAGED; /* whatever the node */
    if (is_stale(stamp, ctx))
        return SCORE_AGED_OUT;
    if (verdict != SCORE_ADMITTED)
        return SCORE_UNAGED;
    return (int32_t)score_freshness_by(ctx->age_rate, ctx->now_us, stamp->observed_us,
                                       ctx->max_age_us, stamp->assumed, interval);
}

/* The clock's part into the timeless one. */
static void age(struct score_result *r, const struct node_view *node,
                const struct score_context *ctx)
{
    const struct score_stamp stamp = score_stamp_of(node);
    struct score_context clock = *ctx;

    clock.age_rate = score_age_rate(ctx->max_age_us);
    const int32_t aged = score_node_clock(r->verdict, r->reason, r->interval, &stamp, &clock);

    if (aged == SCORE_AGED_OUT) {
        *r = (struct score_result){
            .verdict = SCORE_UNKNOWN, .reason = SCORE_STALE_TOPOLOGY, .interval = r->interval};
    } else if (aged >= 0) {
        r->term[SCORE_FRESHNESS] = (uint16_t)aged;
        r->known |= 1u << SCORE_FRESHNESS;
    }
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

/* Words for a rejection, and the pod whose end would help. */
static int tell_rejection(struct score_detail *d, const struct trial *t,
                          const struct score_request *req, const struct node_view *node,
                          struct arena *a)
{
    struct constraint_text why = {.p = ""};

    if (constraint_of_pod(req->rules, &why) != SCORE_REASON_NONE)
        return str_copy(&d->message, str_of(why.p), a);
    if (t->answer.verdict != SCORE_ADMITTED) {
        if (score_proof(&d->message, node, &t->after, req, &t->answer, a))
            return -ENOMEM;
    } else {
        (void)constraint_of_placement(&t->outcome, &why);
        if (str_copy(&d->message, str_of(why.p), a))
            return -ENOMEM;
    }
    return score_would_fit_without(&d->would_fit_without, &d->n_would_fit_without, node, req, a);
}

/* What the plugins may make of an admission. */
static int tell_devices(struct score_detail *d, const struct outcome *o, struct arena *a)
{
    const uint32_t n = o->req->pod->n_containers;
    struct score_device_tale *const tales = arena_array(a, n, sizeof(*tales));

    if (!tales)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct score_device_ask ask;

        if (score_terms_devices(&ask, o, i) && score_device_tell(&tales[i], &ask, a))
            return -ENOMEM;
    }
    d->devices = tales;
    return 0;
}

/* For whom there is room before and after, in the zones that the pod takes from. */
static int tell_fragmentation(struct score_detail *d, const struct outcome *o, struct arena *a)
{
    struct frag_tale *const tale = o->zones ? arena_array(a, 1, sizeof(*tale)) : NULL;
    struct stock stock;

    if (o->zones == 0)
        return 0;
    if (!tale)
        return -ENOMEM;
    stock_of(&stock, o);
    score_fragmentation(&tale->answer, tale->slots, &stock.ask);
    d->fragmentation = tale;
    return 0;
}

int score_node_explain(struct score_detail *out, const struct score_request *req,
                       const struct node_view *node, const struct score_context *ctx,
                       struct arena *a)
{
    struct trial t = {.answer.message = ""};
    struct score_detail d = {0};

    if (judge(&d.result, &t, req, node, false, a))
        return -ENOMEM;
    age(&d.result, node, ctx);
    if (d.result.verdict == SCORE_ADMITTED) {
        d.containers = t.answer.containers;
        if (tell_devices(&d, &t.outcome, a) || tell_fragmentation(&d, &t.outcome, a))
            return -ENOMEM;
    } else if (d.result.reason == SCORE_TOO_MANY_ZONES && t.answer.message[0]) {
        if (str_copy(&d.message, str_of(t.answer.message), a))
            return -ENOMEM;
    } else if (d.result.verdict == SCORE_UNKNOWN) {
        d.message = unknown_message(&d, req, node);
    } else if (tell_rejection(&d, &t, req, node, a)) {
        return -ENOMEM;
    }
    *out = d;
    return 0;
}
