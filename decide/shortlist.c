/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/shortlist.h"

#include <stdbool.h>

#include "decide/decide.h"
#include "scoring/weigh.h"

static bool is_admitted(const struct decide_row *row)
{
    return row->verdict == SCORE_ADMITTED && !(row->marks & DECIDE_REPEATED);
}

/* Nodes that stand back for pods on their way are no places for the next one. */
static bool counts(const struct decide_row *row)
{
    return is_admitted(row) && !(row->marks & DECIDE_HELD);
}

/* Where the list ends. */
struct edge {
    uint32_t score; /* of the last one on it */
    uint32_t alike; /* candidates of that score */
    uint32_t room;  /* how many of them stay */
};

static struct edge find_edge(const struct decision *d, uint32_t k)
{
    uint32_t with[SCORE_MAX + 1] = {0}, above = 0, score = SCORE_MAX;

    for (uint32_t i = 0; i < d->n; i++)
        with[d->rows[i].score] += counts(&d->rows[i]);
    while (above + with[score] < k)
        above += with[score--];
    const uint32_t room = 2 * k - above;
    return (struct edge){score, with[score], room < with[score] ? room : with[score]};
}

/* Is the candidate that is the `nth` of its score within `room` places from `start` on, in a ring?
 */
static bool has_turn(const struct edge *edge, uint32_t start, uint32_t nth)
{
    return (nth + edge->alike - start) % edge->alike < edge->room;
}

uint32_t decide_shortlist(struct decide_row *rows, const struct decision *d,
                          const struct decide_options *options)
{
    uint32_t left_out = 0, nth = 0;

    if (options->shortlist == 0 || options->mode == DECIDE_SHADOW || !d->request ||
        d->counts[SCORE_ADMITTED] - d->n_held <= options->shortlist ||
        !score_request_is_placed(d->request))
        return 0;
    const struct edge edge = find_edge(d, options->shortlist);
    const uint32_t start = (uint32_t)(options->turn * edge.room % edge.alike);
    for (uint32_t i = 0; i < d->n; i++) {
        const bool stays =
            counts(&rows[i]) && (rows[i].score > edge.score ||
                                 (rows[i].score == edge.score && has_turn(&edge, start, nth++)));

        if (stays || rows[i].verdict == SCORE_REJECTED)
            continue;
        rows[i].marks |= DECIDE_LEFT_OUT;
        left_out += is_admitted(&rows[i]);
    }
    return left_out;
}
