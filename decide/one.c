/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/one.h"

#include <stdbool.h>

#include "decide/decide.h"

static bool is_admitted(const struct decide_row *row)
{
    return row->verdict == SCORE_ADMITTED && !(row->marks & DECIDE_REPEATED);
}

/* A pod on its way, or a doubt, has lowered what is on the wire: that goes before the score. */
static uint32_t rank(const struct decide_row *row)
{
    return (uint32_t)row->wire << 16 | row->score;
}

uint32_t decide_one(struct decide_row *rows, uint32_t n, uint64_t lot, uint32_t max_score)
{
    uint32_t best = 0, equal = 0, one = n;

    for (uint32_t i = 0; i < n; i++) {
        if (!is_admitted(&rows[i]))
            continue;
        if (equal == 0 || rank(&rows[i]) > best) {
            best = rank(&rows[i]);
            equal = 0;
        }
        equal += rank(&rows[i]) == best;
    }
    if (equal == 0)
        return n;
    uint32_t left = (uint32_t)(lot % equal);
    for (uint32_t i = 0; i < n && one == n; i++)
        if (is_admitted(&rows[i]) && rank(&rows[i]) == best && left-- == 0)
            one = i;
    for (uint32_t i = 0; i < n; i++)
        rows[i].wire = i == one ? (uint16_t)max_score : 0;
    return one;
}
