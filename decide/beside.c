/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/beside.h"

#include <errno.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/decide.h"
#include "decide/doubts.h"
#include "decide/holds_parts.h"
#include "decide/judge.h"
#include "decide/memo.h"
#include "scoring/beside.h"
#include "scoring/freshness.h"
#include "scoring/policy.h"
#include "scoring/weigh.h"

/* A row of a node that is held for others, or in doubt: then it has no place. */
enum { IN_DOUBT = HOLDS_MOST };
struct held_row {
    uint32_t row, place;
    bool beside_own; /* the pod itself holds it, too */
};

struct looking {
    struct holds *h;   /* NULL: nobody is on the way */
    uint64_t *doubted; /* bits by position; NULL: no node is in doubt */
    struct decision *d;
    struct decide_row *rows;
    const struct decide_options *options;
    struct arena *a;
    struct str key;
    uint32_t own; /* the pod's own hold; h->n: it has none */
    struct held_row held[HOLDS_MOST + DOUBTS_MOST];
    uint32_t n;
    uint32_t best_free;       /* on the wire, of the nodes that nobody holds */
    bool is_open;             /* what follows is filled */
    struct memo_shape *known; /* NULL: nothing is remembered */
    struct score_scale scale;
    struct score_context context;
};

/* ---- who is where ---- */

static void note(struct looking *l, uint32_t i, uint32_t place)
{
    const bool own = l->own < l->h->n && l->h->at[l->own].place == place;

    if (l->h->places[place].n > own)
        l->held[l->n++] = (struct held_row){i, place, own};
    else if (l->rows[i].wire > l->best_free)
        l->best_free = l->rows[i].wire;
}

static void survey(struct looking *l)
{
    for (uint32_t i = 0; i < l->d->n; i++) {
        const struct decide_row *const row = &l->rows[i];

        if (row->wire == 0 || (row->marks & DECIDE_REPEATED))
            continue;
        if (l->doubted && l->doubted[row->position / 64] >> row->position % 64 & 1)
            l->held[l->n++] = (struct held_row){i, IN_DOUBT, false};
        else if (l->h && holds_has(l->h, row->position))
            note(l, i, holds_place(l->h, row->position));
        else if (row->wire > l->best_free)
            l->best_free = row->wire;
    }
}

/* ---- what a node is beside those who come ---- */

static void open_look(struct looking *l)
{
    if (l->is_open)
        return;
    l->is_open = true;
    l->known = l->key.n ? memo_find(l->h->memo, l->key, HOLDS_MOST) : NULL;
    score_scale_init(&l->scale, l->d->weights, l->d->any);
    l->context = l->options->context;
    l->context.age_rate = score_age_rate(l->context.max_age_us);
}

static bool is_exclusive(const struct cluster_context *context, const struct score_pod *pod)
{
    struct score_rules rules;

    if (!context || !cluster_context_has_exclusive(context))
        return false;
    cluster_context_rules(context, &rules, pod, pod_qos_of(pod));
    return rules.numa_exclusive;
}

static int evaluate(struct memo_answer *out, const struct looking *l, const struct held_row *held,
                    const struct node_view *node)
{
    struct score_guest guests[HOLDS_MOST];
    struct score_result r;
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->h->n; i++) {
        const struct score_pod *const pod = hold_pod(&l->h->at[i]);

        if (l->h->at[i].place == held->place && i != l->own)
            guests[n++] = (struct score_guest){pod, is_exclusive(l->d->context, pod)};
    }
    const int rc = score_beside(&r, l->d->request, node, guests, n, l->a);
    if (rc == 0)
        *out = decide_answer(l->d, &r);
    return rc;
}

/* The answer beside the others' holds; with the pod's own among them it is not remembered. */
static int answer_beside(struct memo_answer *out, struct looking *l, const struct held_row *held,
                         const struct node_view *node)
{
    struct hold_place *const place = &l->h->places[held->place];

    if (!l->known || held->beside_own)
        return evaluate(out, l, held, node);
    if (place->base != node->revision) {
        place->base = node->revision;
        place->revision = ++l->h->counter;
    }
    const struct memo_answer *const known = memo_get(l->known, held->place, place->revision);
    const int rc = known ? 0 : evaluate(out, l, held, node);
    if (known)
        *out = *known;
    else if (rc == 0)
        memo_put(l->known, held->place, place->revision, out);
    return rc;
}

/* On the wire, and no more than without them. */
static int wire_beside(uint32_t *out, struct looking *l, const struct held_row *held)
{
    const struct decide_row *const before = &l->rows[held->row];
    const struct node_view *const node = cluster_snapshot_node(l->d->snapshot, before->position);
    const struct score_stamp stamp = score_stamp_of(node);
    struct decide_row row = *before;
    struct memo_answer answer;

    open_look(l);
    const int rc = answer_beside(&answer, l, held, node);
    if (rc)
        return rc;
    decide_fill_row(&row, &answer,
                    score_node_clock((enum score_verdict)answer.verdict,
                                     (enum score_reason)answer.reason, answer.interval, &stamp,
                                     &l->context),
                    l->d->weights->w[SCORE_FRESHNESS]);
    *out = 1;
    if (row.verdict == SCORE_ADMITTED && (row.known & ~l->d->any) == 0)
        *out = score_wire(score_scale(&l->scale, row.sum, row.known), l->options->max_score);
    if (*out > before->wire)
        *out = before->wire;
    return 0;
}

/* ---- the scores ---- */

static int lower(struct looking *l, const struct held_row *held)
{
    const uint32_t behind = l->best_free > 1 ? l->best_free - 1 : 1;
    struct decide_row *const row = &l->rows[held->row];
    uint32_t wire = row->wire;

    if (held->place == IN_DOUBT) {
        row->marks |= wire > 1 ? DECIDE_HELD : 0;
        row->wire = 1;
        return 0;
    }
    if (wire < l->best_free)
        return 0;
    const int rc = wire > l->best_free ? wire_beside(&wire, l, held) : 0;
    if (rc)
        return rc;
    if (wire <= l->best_free && wire > behind)
        wire = behind;
    if (wire < row->wire)
        row->marks |= DECIDE_HELD;
    row->wire = (uint16_t)wire;
    return 0;
}

/* Which rows were lowered, for those who tell of the decision. */
static int tell(struct looking *l)
{
    struct decide_held *const out = arena_array(l->a, l->n, sizeof(*out));
    uint32_t n = 0;

    if (!out)
        return -ENOMEM;
    for (uint32_t k = 0; k < l->n; k++) {
        const struct held_row *const held = &l->held[k];
        const bool doubted = held->place == IN_DOUBT;

        if (l->rows[held->row].marks & DECIDE_HELD)
            out[n++] = (struct decide_held){
                held->row, doubted ? 0 : l->h->places[held->place].n - held->beside_own, doubted};
    }
    l->d->held = out;
    l->d->n_held = n;
    return 0;
}

/* Which nodes are in doubt. */
static int look_up_doubts(struct looking *l)
{
    const struct roster *const roster = cluster_snapshot_roster(l->d->snapshot);
    struct doubts *const doubts = l->options->doubts;

    if (!doubts || doubts_count(doubts) == 0)
        return 0;
    uint64_t *const bits = arena_array(l->a, roster->n / 64 + 1, sizeof(*bits));
    if (!bits)
        return -ENOMEM;
    l->doubted = doubts_mark(doubts, roster, bits) ? bits : NULL;
    return 0;
}

static bool has_holds(const struct holds *h, const struct decision *d)
{
    return h && h->n > 0 && h->serial == cluster_snapshot_roster(d->snapshot)->serial;
}

int decide_beside(struct decision *d, struct decide_row *rows, const struct decide_ask *ask,
                  const struct decide_options *options, struct str key, struct arena *a)
{
    struct looking l = {.d = d, .rows = rows, .options = options, .a = a, .key = key};

    if (!score_request_is_placed(d->request))
        return 0;
    if (has_holds(options->holds, d)) {
        l.h = options->holds;
        l.own = holds_find(l.h, ask->pod->uid);
    }
    if (look_up_doubts(&l))
        return -ENOMEM;
    if (!l.h && !l.doubted)
        return 0;
    survey(&l);
    for (uint32_t k = 0; k < l.n; k++)
        if (lower(&l, &l.held[k]))
            return -ENOMEM;
    return l.n ? tell(&l) : 0;
}
