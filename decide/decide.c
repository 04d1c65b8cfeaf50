/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/decide.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/context.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/beside.h"
#include "decide/judge.h"
#include "decide/offer.h"
#include "decide/one.h"
#include "decide/shortlist.h"
#include "kube/hints.h"

const char *decide_pass_text(enum decide_pass pass)
{
    switch (pass) {
    case DECIDE_JUDGED:
        return "";
    case DECIDE_NOT_UNDERSTOOD:
        return "the pod was not understood: every node passes";
    case DECIDE_IGNORED:
        return "the hint orchestration.gokore.io/ignore is \"true\": every node passes";
    }
    return "";
}

bool decide_hint_is_ignored(const struct pod_hint *hint, const struct score_rules *rules,
                            struct err *why)
{
    if (kube_hint_check(hint->key, hint->value, why))
        return true;
    if (!str_is(hint->key, "qos-class") || rules->class_by_hint)
        return false;
    if (rules->policy)
        (void)err_set(why, -ENOENT, "policy %.*s has no class of this name",
                      STR_ARG(rules->policy->name));
    else
        (void)err_set(why, -ENOENT, "no policy counts in this namespace");
    return true;
}

const struct node_view *decide_node(const struct decision *d, uint32_t i)
{
    if (d->views)
        return d->views[i];
    return d->rows[i].position == DECIDE_NO_NODE
               ? NULL
               : cluster_snapshot_node(d->snapshot, d->rows[i].position);
}

const struct offer_lack *decide_lack(const struct decision *d, uint32_t i)
{
    return d->lacks ? d->lacks[i] : NULL;
}

bool decide_is_candidate(const struct decision *d, uint32_t i)
{
    return d->rows[i].verdict == SCORE_ADMITTED && !decide_lack(d, i);
}

int decide_compare(const struct decision *d, const struct str *names, uint32_t i, uint32_t j)
{
    const struct decide_row *const x = &d->rows[i], *const y = &d->rows[j];

    if (x->verdict != y->verdict)
        return x->verdict < y->verdict ? -1 : 1;
    if ((decide_lack(d, i) == NULL) != (decide_lack(d, j) == NULL))
        return decide_lack(d, i) ? 1 : -1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return str_cmp(names[i], names[j]);
}

/* Which candidates were named before: a bit a node, and a table of names that no node has. */
struct repeats {
    const struct cluster_snapshot *snapshot;
    const struct str *names;
    uint64_t *seen;
    uint32_t *slots; /* open addressing, index + 1 of the name; NULL until the first one */
    uint32_t mask;
};

static int repeats_init(struct repeats *r, const struct cluster_snapshot *snapshot,
                        const struct str *names, struct arena *a)
{
    *r = (struct repeats){.snapshot = snapshot, .names = names};
    r->seen = arena_array(a, cluster_snapshot_nodes(snapshot) / 64 + 1, sizeof(*r->seen));
    return r->seen ? 0 : -ENOMEM;
}

static int open_slots(struct repeats *r, uint32_t n, struct arena *a)
{
    uint64_t size = 2;

    while (size < 2 * (uint64_t)n)
        size *= 2;
    if (size > UINT32_MAX)
        return -ENOMEM;
    r->slots = arena_array(a, size, sizeof(*r->slots));
    r->mask = (uint32_t)(size - 1);
    return r->slots ? 0 : -ENOMEM;
}

/* Whether the name of candidate `i`, which no node has, came before. */
static bool stranger_again(struct repeats *r, uint32_t i)
{
    uint32_t at = (uint32_t)cluster_snapshot_hash(r->snapshot, r->names[i]) & r->mask;

    for (; r->slots[at]; at = (at + 1) & r->mask) {
        if (str_eq(r->names[i], r->names[r->slots[at] - 1]))
            return true;
    }
    r->slots[at] = i + 1;
    return false;
}

static bool node_again(struct repeats *r, uint32_t position)
{
    const uint64_t bit = UINT64_C(1) << position % 64, before = r->seen[position / 64] & bit;

    r->seen[position / 64] |= bit;
    return before;
}

/* Which node each name is; a name that the snapshot does not have is Unknown. */
static int find_rows(struct decide_row *rows, struct cluster_found *found,
                     const struct decide_ask *ask, const struct cluster_snapshot *snapshot,
                     struct arena *a)
{
    struct repeats repeats;
    bool again;

    if (repeats_init(&repeats, snapshot, ask->names, a))
        return -ENOMEM;
    if (ask->positions && ask->roster == cluster_snapshot_roster(snapshot)->serial)
        cluster_snapshot_find_at(found, snapshot, ask->positions, ask->n);
    else
        cluster_snapshot_find_all(found, snapshot, ask->names, ask->n);
    for (uint32_t i = 0; i < ask->n; i++) {
        if (!found[i].brief && !repeats.slots && open_slots(&repeats, ask->n, a))
            return -ENOMEM;
        again =
            found[i].brief ? node_again(&repeats, found[i].position) : stranger_again(&repeats, i);
        rows[i] =
            (struct decide_row){.position = found[i].brief ? found[i].position : DECIDE_NO_NODE,
                                .verdict = SCORE_UNKNOWN,
                                .marks = again ? DECIDE_REPEATED : 0};
    }
    return 0;
}

static void count_rows(struct decision *d, struct decide_row *rows)
{
    for (uint32_t i = 0; i < d->n; i++) {
        struct decide_row *const row = &rows[i];

        if (row->marks & DECIDE_REPEATED)
            continue;
        if (row->verdict == SCORE_UNKNOWN && d->rules->reject_unknown) {
            row->marks |= DECIDE_REFUSED;
            d->refused++;
        }
        d->counts[row->verdict]++;
        d->any |= row->verdict == SCORE_ADMITTED ? row->known : 0;
    }
}

static void weigh(const struct decision *d, struct decide_row *rows, uint32_t max_score)
{
    struct score_scale scale;

    score_scale_init(&scale, d->weights, d->any);
    for (uint32_t i = 0; i < d->n; i++) {
        struct decide_row *const row = &rows[i];

        if (row->verdict != SCORE_ADMITTED)
            continue;
        const uint32_t score = score_scale(&scale, row->sum, row->known);
        row->score = (uint16_t)score;
        row->wire = (uint16_t)score_wire(score, max_score);
    }
}

static enum decide_pass why_pass(const struct score_pod *pod)
{
    if (!pod)
        return DECIDE_NOT_UNDERSTOOD;
    return kube_hints_ignore(pod) ? DECIDE_IGNORED : DECIDE_JUDGED;
}

/* Whom kube-scheduler would not offer. */
static int ask_offers(struct decision *d, const struct decide_ask *ask, struct arena *a)
{
    const struct node_view **const nodes = arena_array(a, d->n, sizeof(*nodes));
    const struct offer_lack **const lacks = arena_array(a, d->n, sizeof(*lacks));

    if (!nodes || !lacks)
        return -ENOMEM;
    for (uint32_t i = 0; i < d->n; i++)
        nodes[i] = decide_node(d, i);
    const int rc = offer_rows(lacks, d->rows, nodes, ask, a);
    for (uint32_t i = 0; rc == 0 && i < d->n; i++)
        d->no_room += lacks[i] && !(d->rows[i].marks & DECIDE_REPEATED);
    d->lacks = lacks;
    return rc;
}

static int ask_scoring(struct decision *d, struct decide_row *rows,
                       const struct cluster_found *found, const struct decide_ask *ask,
                       const struct decide_options *options, struct arena *a, struct err *err)
{
    struct score_request *request;
    struct str key = {0};
    int rc = score_request_init(&request, ask->pod, a, err);

    if (rc)
        return rc;
    d->request = request;
    d->any = options->terms;
    score_request_rule(request, d->rules);
    rc = decide_judge(d, rows, found, options, &key, a);
    if (rc == 0)
        count_rows(d, rows);
    if (rc == 0 && options->offers)
        rc = ask_offers(d, ask, a);
    if (rc == 0) {
        weigh(d, rows, options->max_score);
        rc = decide_beside(d, rows, ask, options, key, a);
    }
    if (rc == 0 && options->one) {
        d->one = decide_one(rows, d->n, cluster_snapshot_hash(d->snapshot, ask->pod->uid),
                            options->max_score);
        d->decides = d->one < d->n;
    }
    return rc ? err_set(err, rc, "no memory to judge %u nodes", ask->n) : 0;
}

/* What policies and hints make of the pod; of one that is not judged nothing. 0, -ENOMEM. */
static int lay_down_rules(struct decision *d, const struct score_pod *pod, struct arena *a)
{
    struct score_rules *const rules = arena_array(a, 1, sizeof(*rules));

    if (!rules)
        return -ENOMEM;
    if (d->pass == DECIDE_JUDGED)
        cluster_context_rules(d->context, rules, pod, d->qos);
    else
        score_rules_default(rules, POD_BURSTABLE);
    d->rules = rules;
    d->weights = &rules->weights;
    for (uint32_t i = 0; pod && i < pod->n_hints; i++) {
        struct err why;

        d->ignored_hints += decide_hint_is_ignored(&pod->hints[i], rules, &why);
    }
    return 0;
}

/* Nobody is judged: all are Unknown. */
static void count_unknown(struct decision *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        d->counts[SCORE_UNKNOWN] += !(d->rows[i].marks & DECIDE_REPEATED);
}

int decide_run(struct decision *out, const struct decide_ask *ask,
               const struct cluster_snapshot *snapshot, const struct decide_options *options,
               struct arena *a, struct err *err)
{
    struct decision d = {
        .snapshot = snapshot,
        .generation = cluster_snapshot_generation(snapshot),
        .pass = why_pass(ask->pod),
        .qos = ask->pod ? pod_qos_of(ask->pod) : POD_BEST_EFFORT,
        .context = cluster_snapshot_context(snapshot),
        .n = ask->n,
    };
    struct decide_row *const rows = arena_array(a, ask->n, sizeof(*rows));
    struct cluster_found *const found = arena_array(a, ask->n, sizeof(*found));

    assert(options->max_score >= 1 && options->max_score <= DECIDE_LIMIT_MAX_SCORE);
    if (!rows || !found || lay_down_rules(&d, ask->pod, a) ||
        find_rows(rows, found, ask, snapshot, a))
        return err_set(err, -ENOMEM, "no memory for %u candidates", ask->n);
    d.rows = rows;
    if (d.pass == DECIDE_JUDGED) {
        const int rc = ask_scoring(&d, rows, found, ask, options, a, err);
        if (rc)
            return rc;
    } else {
        count_unknown(&d);
    }
    d.left_out = decide_shortlist(rows, &d, options);
    *out = d;
    return 0;
}
