/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/victims.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/snapshot.h"
#include "kube/budget.h"
#include "scoring/evaluate.h"
#include "scoring/fit.h"
#include "scoring/without.h"

enum { PAIRS_MOST = 24 };

/* A set of pods that may go, in the words by which sets are compared: less is better. */
struct cost {
    int64_t violations;
    uint32_t n;
    int32_t highest; /* priority */
    int64_t sum;
    int64_t since_us; /* minus the start of the youngest: who began last is missed least */
};

struct search {
    const struct victims_ask *ask;
    struct arena *a;               /* scratch */
    uint32_t n;                    /* pods of the node: those of its view, then the plain ones */
    const struct score_pod **pods; /* [n] NULL: not known, or not lower */
    uint32_t *lower; /* [n_lower] places of those that may go, least important first */
    uint32_t n_lower;
    bool *gone;            /* [n] the set that is looked at */
    bool *best;            /* [n] the best one so far */
    struct cost best_cost; /* n = 0: there is none */
    int64_t *left;         /* [n_budgets] scratch */
    bool is_cut;           /* no looks are left */
    int rc;                /* -ENOMEM: everything after it is void */
};

static int64_t start_of(const struct score_pod *p)
{
    return p->bound_us ? p->bound_us : p->created_us;
}

/* ---- would it get in ---- */

/* As kube-scheduler counts, without those that are gone. */
static bool has_room(const struct search *s)
{
    const struct node_view *const v = s->ask->node;

    for (uint32_t i = 0; i < v->n_fits; i++) {
        const struct node_fit *const fit = &v->fits[i];
        const bool pods = str_is(fit->resource, "pods");
        int64_t used = fit->requested;
        const int64_t wants = pods ? 1 : score_requested(s->ask->pod, fit->resource);

        for (uint32_t k = 0; k < s->n; k++)
            if (s->gone[k])
                used -= pods ? 1 : score_requested(s->pods[k], fit->resource);
        if (wants > 0 && wants > fit->allocatable - used)
            return false;
    }
    return true;
}

static bool gets_in(struct search *s)
{
    bool in = false;

    if (*s->ask->looks == 0)
        s->is_cut = true;
    if (s->rc || s->is_cut || !has_room(s))
        return false;
    --*s->ask->looks;
    s->rc = score_fits_without(&in, s->ask->node, s->gone, s->ask->req, s->a);
    return s->rc == 0 && in;
}

/* ---- what it costs ---- */

/*
 * Those that are gone in the order of importance, the most important first, as kube-scheduler goes
 * through them: how many are more than a budget allows. `marks` [n], where not NULL, says who.
 */
static int64_t violations_of(const struct search *s, bool *marks)
{
    int64_t n = 0;

    for (uint32_t b = 0; b < s->ask->n_budgets; b++)
        s->left[b] = s->ask->budgets[b]->allowed;
    for (uint32_t i = s->n_lower; i-- > 0;) {
        bool violates = false;

        if (!s->gone[s->lower[i]])
            continue;
        for (uint32_t b = 0; b < s->ask->n_budgets; b++)
            if (kube_budget_counts(s->ask->budgets[b], s->pods[s->lower[i]]))
                violates |= --s->left[b] < 0;
        n += violates;
        if (marks)
            marks[s->lower[i]] = violates;
    }
    return n;
}

static struct cost cost_of(const struct search *s)
{
    struct cost c = {.violations = violations_of(s, NULL), .highest = INT32_MIN};
    int64_t youngest = INT64_MIN;

    for (uint32_t i = 0; i < s->n_lower; i++) {
        const struct score_pod *const p = s->pods[s->lower[i]];

        if (!s->gone[s->lower[i]])
            continue;
        c.n++;
        c.highest = p->priority > c.highest ? p->priority : c.highest;
        c.sum += p->priority;
        youngest = start_of(p) > youngest ? start_of(p) : youngest;
    }
    c.since_us = -(youngest + 1);
    return c;
}

static bool is_less(const struct cost *a, const struct cost *b)
{
    if (a->violations != b->violations)
        return a->violations < b->violations;
    if (a->n != b->n)
        return a->n < b->n;
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->sum != b->sum)
        return a->sum < b->sum;
    return a->since_us < b->since_us;
}

/* The set that is looked at lets the pod in: is it the best? */
static void note(struct search *s)
{
    const struct cost c = cost_of(s);

    if (s->best_cost.n > 0 && !is_less(&c, &s->best_cost))
        return;
    s->best_cost = c;
    memcpy(s->best, s->gone, s->n * sizeof(*s->gone));
}

static bool is_worth_a_look(const struct search *s)
{
    const struct cost c = cost_of(s);

    return s->best_cost.n == 0 || is_less(&c, &s->best_cost);
}

/* ---- the search ---- */

static void look_at_singles(struct search *s)
{
    for (uint32_t i = 0; i < s->n_lower; i++) {
        bool *const one = &s->gone[s->lower[i]];

        if (*one)
            continue;
        *one = true;
        if (is_worth_a_look(s) && gets_in(s))
            note(s);
        *one = false;
    }
}

static void look_at_pairs(struct search *s)
{
    for (uint32_t i = 0; i < s->n_lower && s->rc == 0; i++) {
        bool *const one = &s->gone[s->lower[i]];

        if (*one)
            continue;
        *one = true;
        for (uint32_t k = i + 1; k < s->n_lower; k++) {
            bool *const two = &s->gone[s->lower[k]];
            if (*two)
                continue;
            *two = true;
            if (is_worth_a_look(s) && gets_in(s))
                note(s);
            *two = false;
        }
        *one = false;
    }
}

/* Who can stay does, the most important first; of those whose end violates a budget, or not. */
static void let_stay(struct search *s, const bool *base, const bool *violating, bool of_those)
{
    for (uint32_t i = s->n_lower; i-- > 0;) {
        const uint32_t k = s->lower[i];

        if (base[k] || violating[k] != of_those)
            continue;
        s->gone[k] = false;
        s->gone[k] = !gets_in(s);
    }
}

/* All go, then most come back. `base` goes in any case. */
static void give_back(struct search *s, const bool *base)
{
    bool *const violating = arena_array(s->a, s->n, sizeof(*violating));

    if (!violating) {
        s->rc = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < s->n_lower; i++)
        s->gone[s->lower[i]] = true;
    if (!gets_in(s))
        return;
    (void)violations_of(s, violating);
    let_stay(s, base, violating, true);
    let_stay(s, base, violating, false);
    if (!s->is_cut)
        note(s);
}

/* ---- who is who ---- */

static int by_importance(const void *x, const void *y, void *search)
{
    const struct search *const s = search;
    const struct score_pod *const a = s->pods[*(const uint32_t *)x],
                                  *const b = s->pods[*(const uint32_t *)y];

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (start_of(a) != start_of(b))
        return start_of(a) > start_of(b) ? -1 : 1; /* who began earlier is more important */
    return str_cmp(a->uid, b->uid);
}

/* The pod in this place as the snapshot has it; NULL: it is not there any more. */
static const struct score_pod *pod_at(const struct search *s, uint32_t i, struct cluster_pod *room)
{
    const struct node_view *const v = s->ask->node;
    const struct score_pod *p;

    if (i >= v->n_pods) {
        p = cluster_snapshot_pod_at(s->ask->snapshot, v->plain[i - v->n_pods], room);
        return p && str_eq(p->node, v->name) ? p : NULL;
    }
    p = cluster_snapshot_pod(s->ask->snapshot, v->pods[i].ns, v->pods[i].name, room);
    return p && str_eq(p->uid, v->pods[i].uid) ? p : NULL;
}

/* `s->lower`: who is known and of lower priority. */
static int open_pods(struct search *s)
{
    struct cluster_pod *room = NULL;

    for (uint32_t i = 0; i < s->n; i++) {
        if (!room && !(room = arena_array(s->a, 1, sizeof(*room))))
            return -ENOMEM;
        const struct score_pod *const p = pod_at(s, i, room);
        if (!p || p->priority >= s->ask->pod->priority)
            continue;
        s->pods[i] = p;
        s->lower[s->n_lower++] = i;
        room = NULL; /* in use */
    }
    return 0;
}

static int prepare(struct search *s)
{
    s->n = s->ask->node->n_pods + s->ask->node->n_plain;
    s->pods = arena_array(s->a, s->n, sizeof(const struct score_pod *));
    s->lower = arena_array(s->a, s->n, sizeof(*s->lower));
    s->gone = arena_array(s->a, s->n, sizeof(*s->gone));
    s->best = arena_array(s->a, s->n, sizeof(*s->best));
    s->left = arena_array(s->a, s->ask->n_budgets, sizeof(*s->left));
    if (!s->pods || !s->lower || !s->gone || !s->best || !s->left || open_pods(s))
        return -ENOMEM;
    if (s->n_lower)
        qsort_r(s->lower, s->n_lower, sizeof(*s->lower), by_importance, s);
    return 0;
}

/* Mark those that were proposed; false: one of them is not known, or not lower. */
static bool mark_proposed(struct search *s, bool *marks)
{
    for (uint32_t k = 0; k < s->ask->n; k++) {
        bool found = false;
        for (uint32_t i = 0; i < s->n_lower && !found; i++) {
            found = str_eq(s->pods[s->lower[i]]->uid, s->ask->uids[k]);
            marks[s->lower[i]] |= found;
        }
        if (!found)
            return false;
    }
    return true;
}

/* ---- the answer ---- */

static int keep_proposed(struct victims *out, const struct victims_ask *ask,
                         enum victims_answer answer)
{
    *out = (struct victims){
        .answer = answer, .uids = ask->uids, .n = ask->n, .violations = ask->violations};
    return 0;
}

/* Without budgets: kube-scheduler's count for whom it proposed, and anybody else may be one. */
static int64_t violations_without_budgets(const struct search *s, const bool *proposed)
{
    int64_t kept = 0, others = 0;

    for (uint32_t i = 0; i < s->n_lower; i++) {
        kept += s->best[s->lower[i]] && proposed[s->lower[i]];
        others += s->best[s->lower[i]] && !proposed[s->lower[i]];
    }
    return (kept < s->ask->violations ? kept : s->ask->violations) + others;
}

static int say(struct victims *out, const struct search *s, const bool *proposed, struct arena *a)
{
    struct str *const uids = arena_array(a, s->best_cost.n, sizeof(*uids));
    bool same = s->best_cost.n == s->ask->n;
    uint32_t n = 0;

    if (!uids)
        return -ENOMEM;
    for (uint32_t i = s->n_lower; i-- > 0;) {
        if (!s->best[s->lower[i]])
            continue;
        if (str_copy(&uids[n++], s->pods[s->lower[i]]->uid, a))
            return -ENOMEM;
        same = same && proposed[s->lower[i]];
    }
    assert(n == s->best_cost.n);
    *out =
        (struct victims){.answer = same ? VICTIMS_KEPT : VICTIMS_CHANGED,
                         .uids = uids,
                         .n = n,
                         .violations = s->ask->budgets ? s->best_cost.violations
                                                       : violations_without_budgets(s, proposed)};
    return 0;
}

/* Nobody was found; but was everybody looked at? */
static int keep_or_drop(struct victims *out, const struct victims_ask *ask, const struct search *s)
{
    if (s->is_cut)
        return keep_proposed(out, ask, VICTIMS_UNJUDGED);
    *out = (struct victims){.answer = VICTIMS_USELESS};
    return 0;
}

static void search_all(struct search *s, const bool *base)
{
    if (s->n_lower <= PAIRS_MOST) {
        look_at_singles(s);
        if (s->best_cost.n == 0 || s->best_cost.violations > 0)
            look_at_pairs(s);
    }
    if (s->rc == 0 && (s->best_cost.n == 0 || s->best_cost.violations > 0))
        give_back(s, base);
}

static int choose(struct victims *out, const struct victims_ask *ask, struct arena *a,
                  struct arena *scratch)
{
    struct search s = {.ask = ask, .a = scratch};

    if (prepare(&s))
        return -ENOMEM;
    bool *const proposed = arena_array(scratch, s.n, sizeof(*proposed)), *const base = arena_array(
                                                                             scratch, s.n,
                                                                             sizeof(*base));
    if (!proposed || !base)
        return -ENOMEM;
    if (!mark_proposed(&s, proposed))
        return keep_proposed(out, ask, VICTIMS_UNJUDGED);
    if (has_room(&s)) {
        memcpy(base, proposed, s.n * sizeof(*base));
        memcpy(s.gone, proposed, s.n * sizeof(*base));
        if (gets_in(&s))
            return keep_proposed(out, ask, ask->n ? VICTIMS_KEPT : VICTIMS_NEEDLESS);
    }
    search_all(&s, base);
    if (s.rc)
        return s.rc;
    if (s.best_cost.n > 0)
        return say(out, &s, proposed, a);
    return keep_or_drop(out, ask, &s);
}

int victims_choose(struct victims *out, const struct victims_ask *ask, struct arena *a,
                   struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);

    if (ask->node->knowledge != NODE_KNOWN)
        return keep_proposed(out, ask, VICTIMS_UNJUDGED);
    const int rc = choose(out, ask, a, scratch);
    arena_rewind(scratch, mark);
    return rc;
}
