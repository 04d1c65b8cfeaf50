/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/judge.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/snapshot.h"
#include "decide/crew.h"
#include "scoring/freshness.h"
#include "scoring/shape.h"

/* What an answer depends on besides the node: the request's shape, and the weights in its sum. */
static int key_of(struct str *out, const struct decision *d, struct arena *a)
{
    struct str shape;
    const int rc = score_shape(&shape, d->request, a);
    char *const p = rc ? NULL : arena_array(a, shape.n + sizeof(*d->weights), 1);

    if (!p)
        return -ENOMEM;
    memcpy(p, shape.p, shape.n);
    memcpy(p + shape.n, d->weights, sizeof(*d->weights));
    *out = (struct str){p, shape.n + sizeof(*d->weights)};
    return 0;
}

/* The answers remembered for the request's shape, which is `key`; NULL where nothing is. */
static int recall(struct memo_shape **out, struct str *key, const struct decision *d,
                  const struct decide_options *options, struct arena *a)
{
    *out = NULL;
    if (!options->memo)
        return 0;
    const int rc = key_of(key, d, a);
    if (rc == 0)
        *out = memo_find(options->memo, *key, cluster_snapshot_places(d->snapshot));
    return rc;
}

static uint32_t weighted_sum(const struct decision *d, const struct score_result *r)
{
    uint32_t sum = 0;

    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++)
        sum += r->known >> t & 1 ? (uint32_t)d->weights->w[t] * r->term[t] : 0;
    return sum;
}

struct memo_answer decide_answer(const struct decision *d, const struct score_result *r)
{
    return (struct memo_answer){.sum = weighted_sum(d, r),
                                .verdict = (uint8_t)r->verdict,
                                .reason = (uint8_t)r->reason,
                                .known = (uint8_t)r->known,
                                .interval = r->interval};
}

/* One node that must be judged, for itself and for those of the candidates that are like it. */
struct question {
    uint32_t row;
    struct memo_answer answer;
};

/* What is the same for all rows of one decision. */
struct judging {
    struct decision *d;
    struct decide_row *rows;
    const struct cluster_found *found;
    struct memo_shape *known; /* NULL: nothing is remembered, and each row is judged for itself */
    struct score_context context;
    enum score_reason refused; /* by every node, whatever is known of it */
    uint32_t freshness_weight;
    uint32_t open;              /* rows without an answer; `sum` of each: which question it is */
    struct question *questions; /* [n_questions] */
    uint32_t n_questions;
};

_Static_assert(!((DECIDE_REPEATED | DECIDE_LEFT_OUT | DECIDE_REFUSED | DECIDE_HELD) & DECIDE_OPEN),
               "marks differ");

/* --- what is remembered --- */

static inline void age_row(struct decide_row *row, const struct memo_answer *answer, int32_t aged,
                           uint32_t freshness_weight)
{
    if (aged == SCORE_AGED_OUT) {
        row->verdict = SCORE_UNKNOWN;
        row->reason = SCORE_STALE_TOPOLOGY;
        row->sum = row->known = 0;
        return;
    }
    row->verdict = answer->verdict;
    row->reason = answer->reason;
    row->known = answer->known;
    row->sum = answer->sum;
    if (aged >= 0) {
        row->known |= 1 << SCORE_FRESHNESS;
        row->sum += freshness_weight * (uint32_t)aged;
    }
}

void decide_fill_row(struct decide_row *row, const struct memo_answer *answer, int32_t aged,
                     uint32_t freshness_weight)
{
    age_row(row, answer, aged, freshness_weight);
}

/* The timeless answer, and what the clock makes of it. */
static void fill_row(const struct judging *j, uint32_t i, const struct memo_answer *answer)
{
    age_row(&j->rows[i], answer,
            score_node_clock((enum score_verdict)answer->verdict, (enum score_reason)answer->reason,
                             answer->interval, &j->found[i].brief->stamp, &j->context),
            j->freshness_weight);
}

/*
 * What is known of all nodes for one shape may be larger than the caches near the core: it is asked
 * for some rows before it is needed.
 */
static void look_ahead(const struct judging *j, uint32_t i)
{
    enum { AHEAD = 16 };

    if (i + AHEAD < j->d->n && j->found[i + AHEAD].brief)
        __builtin_prefetch(&j->known->answers[j->found[i + AHEAD].brief->like.slot]);
}

/* The rows that are answered without looking at a node are; the others are open. */
static void recall_rows(struct judging *j)
{
    for (uint32_t i = 0; i < j->d->n; i++) {
        struct decide_row *const row = &j->rows[i];
        const struct cluster_brief *const brief = j->found[i].brief;
        const struct memo_answer *answer = NULL;

        if (j->known)
            look_ahead(j, i);
        if (row->marks & DECIDE_REPEATED)
            continue;
        if (!brief) {
            row->verdict = j->refused != SCORE_REASON_NONE ? SCORE_REJECTED : SCORE_UNKNOWN;
            row->reason = j->refused != SCORE_REASON_NONE ? (uint8_t)j->refused : SCORE_NO_TOPOLOGY;
            continue;
        }
        if (j->known)
            answer = memo_get(j->known, brief->like.slot, brief->like.serial);
        if (answer) {
            fill_row(j, i, answer);
        } else {
            row->marks |= DECIDE_OPEN;
            j->open++;
        }
    }
}

/* --- what must be found out --- */

/* The question that row `i` waits for, asked before or now; `asked` by place: its number + 1. */
static uint32_t question_of(struct judging *j, uint32_t i, uint32_t *asked)
{
    const struct alike_place like = j->found[i].brief->like;
    uint32_t *const before = asked ? &asked[like.slot] : NULL;

    if (before && *before &&
        j->found[j->questions[*before - 1].row].brief->like.serial == like.serial)
        return *before - 1;
    j->questions[j->n_questions++] = (struct question){.row = i};
    if (before)
        *before = j->n_questions;
    return j->n_questions - 1;
}

/* Of open rows that are alike one is judged. */
static int gather(struct judging *j, struct arena *a)
{
    const uint32_t places = cluster_snapshot_places(j->d->snapshot);
    uint32_t *const asked = j->known ? arena_array(a, places, sizeof(*asked)) : NULL;

    j->questions = arena_array(a, j->open, sizeof(*j->questions));
    if (!j->questions || (j->known && !asked))
        return -ENOMEM;
    for (uint32_t i = 0; i < j->d->n; i++) {
        if (j->rows[i].marks & DECIDE_OPEN)
            j->rows[i].sum = question_of(j, i, asked);
    }
    return 0;
}

static uint32_t position_of(const struct judging *j, uint32_t k)
{
    return j->rows[j->questions[k].row].position;
}

/*
 * The views of a large cluster lie in memory far away: while one is judged, that of the next
 * question and the struct of the one behind it are on their way.
 */
static void fetch_ahead(const struct judging *j, uint32_t k, uint32_t to)
{
    if (k + 2 < to)
        cluster_snapshot_prefetch(j->d->snapshot, position_of(j, k + 2));
    if (k + 1 < to)
        node_view_prefetch(cluster_snapshot_node(j->d->snapshot, position_of(j, k + 1)));
}

/* Questions from..to-1: the timeless answers. By several threads, each with its own `a`. */
static int answer_questions(void *ctx, uint32_t from, uint32_t to, struct arena *a)
{
    const struct judging *const j = ctx;

    for (uint32_t k = from; k < to; k++) {
        struct score_result r;

        fetch_ahead(j, k, to);
        const int rc = score_node_timeless(
            &r, j->d->request, cluster_snapshot_node(j->d->snapshot, position_of(j, k)), a);
        if (rc)
            return rc;
        j->questions[k].answer = decide_answer(j->d, &r);
    }
    return 0;
}

/* What a helper had too little room for, the caller does itself. */
static int find_out(struct judging *j, struct crew *crew, struct arena *a)
{
    int rc = gather(j, a);

    if (rc)
        return rc;
    rc = crew_share(crew, j->n_questions, answer_questions, j, a);
    return rc && crew ? answer_questions(j, 0, j->n_questions, a) : rc;
}

/* What was found out is remembered, and ages like what was remembered before. */
static void close_rows(const struct judging *j)
{
    for (uint32_t k = 0; j->known && k < j->n_questions; k++) {
        const struct alike_place like = j->found[j->questions[k].row].brief->like;

        memo_put(j->known, like.slot, like.serial, &j->questions[k].answer);
    }
    for (uint32_t i = 0; i < j->d->n; i++) {
        struct decide_row *const row = &j->rows[i];

        if (!(row->marks & DECIDE_OPEN))
            continue;
        row->marks &= (uint8_t)~DECIDE_OPEN;
        fill_row(j, i, &j->questions[row->sum].answer);
    }
}

int decide_judge(struct decision *d, struct decide_row *rows, const struct cluster_found *found,
                 const struct decide_options *options, struct str *key, struct arena *a)
{
    struct judging j = {.d = d,
                        .rows = rows,
                        .found = found,
                        .context = options->context,
                        .refused = score_request_refused(d->request),
                        .freshness_weight = d->weights->w[SCORE_FRESHNESS]};
    int rc = recall(&j.known, key, d, options, a);

    if (rc)
        return rc;
    j.context.age_rate = score_age_rate(j.context.max_age_us);
    recall_rows(&j);
    if (j.open == 0)
        return 0;
    rc = find_out(&j, options->crew, a);
    d->evaluated = j.n_questions;
    if (rc == 0)
        close_rows(&j);
    return rc;
}
