/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/context.h"
#include "cluster/snapshot.h"
#include "decide/offer.h"
#include "decide/room.h"
#include "decide/spread.h"
#include "kube/emit.h"
#include "kube/hints.h"
#include "scoring/pairs.h"
#include "topology/cpuset.h"

struct order {
    const struct decision *d;
    const struct str *names;
};

static int by_order(const void *x, const void *y, void *ctx)
{
    const struct order *const o = ctx;

    return decide_compare(o->d, o->names, *(const uint32_t *)x, *(const uint32_t *)y);
}

uint32_t report_order(uint32_t *out, const struct report *r)
{
    struct order order = {r->decision, r->ask->names};
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->decision->n; i++)
        if (!(r->decision->rows[i].marks & DECIDE_REPEATED) &&
            (r->only.n == 0 || str_eq(r->only, r->ask->names[i])))
            out[n++] = i;
    qsort_r(out, n, sizeof(*out), by_order, &order);
    return n;
}

/* "ns/name" */
static void put_pod_name(struct emit *e, struct str ns, struct str name)
{
    struct buf text = {0};

    buf_printf(&text, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    emit_text(e, buf_view(&text));
    e->out->failed |= text.failed;
    buf_free(&text);
}

/* The policy that counts, null where none does, and those that would if it were not there. */
static void put_policies(struct emit *e, const struct report_head *head)
{
    const struct score_policy *losers[REPORT_LOSERS];
    const uint32_t n =
        head->context ? cluster_context_losers(head->context, head->ns, losers, REPORT_LOSERS) : 0;

    emit_key(e, "policy");
    if (head->rules->policy)
        emit_text(e, head->rules->policy->name);
    else
        emit_null(e);
    emit_key(e, "conflictedPolicies"), emit_array(e);
    for (uint32_t i = 0; i < n && i < REPORT_LOSERS; i++)
        emit_text(e, losers[i]->name);
    emit_end(e);
}

void report_head_json(struct emit *e, const struct report_head *head)
{
    emit_key(e, "pod"), put_pod_name(e, head->ns, head->name);
    emit_key(e, "class"), emit_text(e, score_class_name(head->rules));
    emit_key(e, "qosClass"), emit_words(e, head->qos);
    put_policies(e, head);
    emit_key(e, "decision"), emit_text(e, head->id);
    emit_key(e, "snapshot"), emit_uint(e, head->generation);
    emit_key(e, "best");
    if (head->best)
        emit_text(e, *head->best);
    else
        emit_null(e);
    if (head->note.n)
        emit_key(e, "note"), emit_text(e, head->note);
}

static void put_ignored_hint(struct emit *e, const struct pod_hint *hint, const char *why)
{
    struct buf annotation = {0};

    kube_hint_annotation(&annotation, hint->key);
    emit_object(e);
    emit_key(e, "annotation"), emit_text(e, buf_view(&annotation));
    emit_key(e, "value"), emit_text(e, hint->value);
    emit_key(e, "why"), emit_words(e, why);
    emit_end(e);
    e->out->failed |= annotation.failed;
    buf_free(&annotation);
}

void report_hints_json(struct emit *e, const struct score_pod *pod, const struct score_rules *rules)
{
    emit_array(e);
    for (uint32_t i = 0; pod && i < pod->n_hints; i++) {
        struct err why;
        if (decide_hint_is_ignored(&pod->hints[i], rules, &why))
            put_ignored_hint(e, &pod->hints[i], why.text);
    }
    emit_end(e);
}

/* [0, 2]: Linux ids of a set of zones. */
static void put_zones(struct emit *e, const struct topo_machine *m, uint64_t zones)
{
    emit_array(e);
    for (uint32_t z = 0; z < m->n_zones; z++)
        if (zones >> z & 1)
            emit_uint(e, m->zones[z].id);
    emit_end(e);
}

/* {"1": 4}: how many in which zone. */
static void put_resource(struct emit *e, const struct node_view *v, const struct score_container *c,
                         const struct node_resource *resource)
{
    char zone[16];

    emit_object(e);
    for (uint32_t z = 0; z <= v->machine.n_zones; z++) {
        const uint32_t n = spread_devices(v, c, resource, z);
        if (n == 0)
            continue;
        if (z < v->machine.n_zones)
            (void)snprintf(zone, sizeof(zone), "%u", v->machine.zones[z].id);
        emit_key(e, z < v->machine.n_zones ? zone : "any"), emit_uint(e, n);
    }
    emit_end(e);
}

static void put_devices(struct emit *e, const struct node_view *v, const struct score_container *c)
{
    emit_object(e);
    for (uint32_t i = 0; i < v->n_resources; i++)
        if (spread_holds(v, c, &v->resources[i])) {
            emit_key_str(e, v->resources[i].name);
            put_resource(e, v, c, &v->resources[i]);
        }
    emit_end(e);
}

static void put_cpus(struct emit *e, const struct node_view *v, const uint64_t *cpus)
{
    struct buf list = {0};

    if (cpus)
        cpuset_format(&list, cpus, v->cpu_words);
    emit_text(e, buf_view(&list));
    e->out->failed |= list.failed;
    buf_free(&list);
}

static void put_pair(struct emit *e, const struct node_view *v, const struct score_pair *p)
{
    emit_object(e);
    emit_key(e, "gpu"), emit_text(e, v->devices[p->gpu].id);
    emit_key(e, "taken"), emit_uint(e, p->taken);
    emit_key(e, "nics"), emit_array(e);
    for (uint32_t i = 0; i < p->n_nics; i++)
        emit_text(e, p->nics[i]);
    emit_end(e);
    emit_key(e, "link"), emit_words(e, topo_link_text(p->link));
    emit_key(e, "odds"), emit_uint(e, p->odds);
    emit_end(e);
}

/* What the device plugin may make of it: "deviceOdds". */
static void put_odds(struct emit *e, const struct node_view *v, const struct score_device_tale *t)
{
    emit_key(e, "deviceOdds"), emit_object(e);
    emit_key(e, "exact"), emit_bool(e, t->odds.exact);
    if (t->has_value) {
        emit_key(e, "mean"), emit_uint(e, t->value);
        emit_key(e, "least"), emit_uint(e, t->odds.least);
        emit_key(e, "most"), emit_uint(e, t->odds.most);
    }
    if (t->n_pairs && (t->odds.exact || t->odds.sure))
        emit_key(e, "allFed"), emit_uint(e, t->odds.fed);
    emit_key(e, "pairs"), emit_array(e);
    for (uint32_t i = 0; i < t->n_pairs; i++)
        put_pair(e, v, &t->pairs[i]);
    emit_end(e);
    emit_end(e);
}

static void put_container(struct emit *e, const struct node_view *v, const struct pod_container *pc,
                          const struct score_container *c, const struct score_device_tale *tale)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, pc->name);
    emit_key(e, "init"), emit_bool(e, pc->kind != POD_APP);
    emit_key(e, "zones"), put_zones(e, &v->machine, spread_zones(v, c));
    emit_key(e, "preferred"), emit_bool(e, c->preferred);
    emit_key(e, "cpus"), put_cpus(e, v, c->cpus);
    emit_key(e, "memoryZones"), put_zones(e, &v->machine, spread_memory_zones(c));
    emit_key(e, "devices"), put_devices(e, v, c);
    if (tale->any)
        put_odds(e, v, tale);
    emit_end(e);
}

static void put_containers(struct emit *e, const struct report *r, const struct node_view *v,
                           const struct score_detail *detail)
{
    emit_array(e);
    for (uint32_t i = 0; detail->containers && i < r->ask->pod->n_containers; i++)
        put_container(e, v, &r->ask->pod->containers[i], &detail->containers[i],
                      &detail->devices[i]);
    emit_end(e);
}

static void put_terms(struct emit *e, const struct score_result *result)
{
    emit_object(e);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        if (result->verdict == SCORE_ADMITTED && (result->known >> t & 1))
            emit_key(e, score_term_text((enum score_term)t)), emit_uint(e, result->term[t]);
    emit_end(e);
}

static void put_texts(struct emit *e, const struct str *texts, uint32_t n)
{
    emit_array(e);
    for (uint32_t i = 0; i < n; i++)
        emit_text(e, texts[i]);
    emit_end(e);
}

static void put_assumed(struct emit *e, uint32_t assumed)
{
    emit_array(e);
    for (uint32_t bit = 0; bit < SPREAD_ASSUMED; bit++)
        if (assumed >> bit & 1)
            emit_words(e, spread_assumed_text(bit));
    emit_end(e);
}

/* Pods of the node whose zones nobody knows. */
static void put_unplaced(struct emit *e, const struct node_view *v)
{
    emit_array(e);
    for (uint32_t i = 0; v && i < v->n_pods; i++)
        if (v->pods[i].placement == NODE_POD_UNPLACED)
            put_pod_name(e, v->pods[i].ns, v->pods[i].name);
    emit_end(e);
}

int report_detail(struct score_detail *out, const struct report *r, uint32_t i, struct arena *a)
{
    const struct decide_row *const row = &r->decision->rows[i];
    const struct node_view *const node = decide_node(r->decision, i);

    *out = (struct score_detail){.result = {.verdict = (enum score_verdict)row->verdict,
                                            .reason = (enum score_reason)row->reason}};
    if (!node) {
        out->message =
            row->reason == SCORE_NO_TOPOLOGY ? STR("there is no such node in this state") : STR("");
        return 0;
    }
    if (!r->decision->request)
        return 0;
    return score_node_explain(out, r->decision->request, node, &r->options->context, a);
}

/* Only where it is not offered: "offered": false, "notOffered": "..." */
static void put_lack(struct emit *e, const struct offer_lack *lack)
{
    struct buf text = {0};

    if (!lack)
        return;
    offer_text(&text, lack);
    emit_key(e, "offered"), emit_bool(e, false);
    emit_key(e, "notOffered"), emit_text(e, buf_view(&text));
    e->out->failed |= text.failed;
    buf_free(&text);
}

static void put_node(struct emit *e, const struct report *r, uint32_t i,
                     const struct score_detail *detail)
{
    const struct node_view *const v = decide_node(r->decision, i);
    const uint32_t assumed = v && r->decision->request ? v->assumed : 0;

    emit_key(e, "name"), emit_text(e, r->ask->names[i]);
    emit_key(e, "verdict"), emit_words(e, score_verdict_text(detail->result.verdict));
    emit_key(e, "reason"), emit_words(e, score_reason_text(detail->result.reason));
    emit_key(e, "message"), emit_text(e, detail->message);
    put_lack(e, decide_lack(r->decision, i));
    if (r->decision->rows[i].marks & DECIDE_REFUSED)
        emit_key(e, "refusedByPolicy"), emit_bool(e, true);
    emit_key(e, "certainty"),
        emit_words(e, spread_certainty_text(assumed, detail->result.interval));
    emit_key(e, "assumed"), put_assumed(e, assumed);
    emit_key(e, "unplacedPods"), put_unplaced(e, detail->result.interval ? v : NULL);
    emit_key(e, "staleSignals"), put_texts(e, v ? v->stale : NULL, v ? v->n_stale : 0);
    emit_key(e, "containers"), put_containers(e, r, v, detail);
    emit_key(e, "terms"), put_terms(e, &detail->result);
    if (detail->fragmentation) {
        emit_key(e, "fragmentation");
        room_json(e, detail->fragmentation, r->decision->rules->demand);
    }
    emit_key(e, "wouldFitWithout");
    put_texts(e, detail->would_fit_without, detail->n_would_fit_without);
}

int report_node_json(struct emit *e, const struct report *r, uint32_t i, struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct score_detail detail;
    const int rc = report_detail(&detail, r, i, scratch);

    if (rc == 0)
        put_node(e, r, i, &detail);
    arena_rewind(scratch, mark);
    return rc;
}

static void put_weights(struct emit *e, const struct score_rules *rules)
{
    emit_key(e, "weights"), emit_object(e);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        emit_key(e, score_term_text((enum score_term)t)), emit_uint(e, rules->weights.w[t]);
    emit_end(e);
    emit_key(e, "weightSource"), emit_object(e);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        emit_key(e, score_term_text((enum score_term)t)),
            emit_words(e, weight_source_text((enum weight_source)rules->source[t]));
    emit_end(e);
}

void report_score_json(struct emit *e, const struct score_rules *rules, uint32_t score,
                       uint32_t wire)
{
    if (rules)
        put_weights(e, rules);
    emit_key(e, "score"), emit_uint(e, score);
    emit_key(e, "wireScore"), emit_uint(e, wire);
}

static int put_nodes(struct emit *e, const struct report *r, const uint32_t *order, uint32_t n,
                     struct arena *scratch)
{
    int rc = 0;

    emit_array(e);
    for (uint32_t k = 0; rc == 0 && k < n; k++) {
        const struct decide_row *const row = &r->decision->rows[order[k]];
        const bool admits = row->verdict == SCORE_ADMITTED;
        emit_object(e);
        rc = report_node_json(e, r, order[k], scratch);
        report_score_json(e, admits ? r->decision->rules : NULL, row->score, row->wire);
        emit_end(e);
    }
    emit_end(e);
    return rc;
}

static struct report_head head_of(const struct report *r, const uint32_t *order, uint32_t n)
{
    const struct decision *const d = r->decision;
    const struct score_pod *const pod = r->ask->pod;
    const bool admits = n && decide_is_candidate(d, order[0]);

    return (struct report_head){
        .ns = pod ? pod->ns : STR(""),
        .name = pod ? pod->name : STR(""),
        .id = r->id,
        .rules = d->rules,
        .context = d->context,
        .qos = pod_qos_text(d->qos),
        .generation = d->generation,
        .best = admits ? &r->ask->names[order[0]] : NULL,
        .note = r->note,
    };
}

int report_json(struct buf *out, const struct report *r, struct arena *scratch, struct err *err)
{
    const size_t mark = arena_mark(scratch);
    uint32_t *const order = arena_array(scratch, r->decision->n, sizeof(*order));
    struct emit e;

    if (!order)
        return err_set(err, -ENOMEM, "no memory to report on %u nodes", r->decision->n);
    const uint32_t n = report_order(order, r);
    const struct report_head head = head_of(r, order, n);
    emit_init(&e, out, true);
    emit_object(&e);
    report_head_json(&e, &head);
    emit_key(&e, "ignoredHints"), report_hints_json(&e, r->ask->pod, r->decision->rules);
    emit_key(&e, "nodes");
    const int rc = put_nodes(&e, r, order, n, scratch);
    emit_end(&e);
    buf_text(out, "\n");
    arena_rewind(scratch, mark);
    return rc || out->failed ? err_set(err, -ENOMEM, "no memory for the report") : 0;
}
