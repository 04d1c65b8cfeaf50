/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of candidates become answers: remembered ones, and new ones for each likeness of nodes that
 * nothing is known of. Private to decide/.
 */
#ifndef DECIDE_JUDGE_H
#define DECIDE_JUDGE_H

#include <stdint.h>

#include "base/attr.h"
#include "decide/decide.h"
#include "decide/memo.h"

struct arena;
struct cluster_found;

/* Marks of rows beyond those of decide.h, while they are judged. */
enum { DECIDE_OPEN = 1 << 7 /* no answer yet */ };

/*
 * Verdict, reason, terms and sum of each row that is no repetition; `found` [d->n] says which nodes
 * they are. What an answer depends on besides the node goes to `key`, where there is a memo. 0,
 * -ENOMEM.
 */
int decide_judge(struct decision *d, struct decide_row *rows, const struct cluster_found *found,
                 const struct decide_options *options, struct str *key, struct arena *a) MUST_CHECK;

/* What is remembered of a node's timeless part. */
struct memo_answer decide_answer(const struct decision *d, const struct score_result *r);

/* `aged`: what the clock makes of the answer (score_node_clock). */
void decide_fill_row(struct decide_row *row, const struct memo_answer *answer, int32_t aged,
                     uint32_t freshness_weight);

#endif
