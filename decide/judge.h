/* SPDX-License-Identifier: Apache-2.0 */
/* How an answer about a node becomes a row; private to decide/. */
#ifndef DECIDE_JUDGE_H
#define DECIDE_JUDGE_H

#include <stdint.h>

#include "decide/decide.h"
#include "decide/memo.h"

/* What is remembered of a node's timeless part. */
struct memo_answer decide_answer(const struct decision *d, const struct score_result *r);

/* `aged`: what the clock makes of the answer (score_node_clock). */
void decide_fill_row(struct decide_row *row, const struct memo_answer *answer, int32_t aged,
                     uint32_t freshness_weight);

#endif
