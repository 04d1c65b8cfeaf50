/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that are not believed for a while: their kubelet has refused a pod that it was thought to
 * admit, so something there is not as it is known here, and the pod that replaces the failed one
 * should rather go elsewhere. They get the lowest score of those that admit; verdicts stay.
 * From any thread.
 */
#ifndef DECIDE_DOUBTS_H
#define DECIDE_DOUBTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct doubts;
struct err;
struct roster;

/* At a time; the oldest makes room. */
enum { DOUBTS_MOST = 64 };

/* None yet; each lasts for `for_ns` after the last refusal. 0, -ENOMEM. */
int doubts_new(struct doubts **out, uint64_t for_ns, struct err *err) MUST_CHECK;
void doubts_free(struct doubts *d); /* NULL is fine */

void doubts_add(struct doubts *d, struct str node, uint64_t now_ns);
void doubts_look(struct doubts *d, uint64_t now_ns); /* end those whose time is over */
uint32_t doubts_count(const struct doubts *d);

/* Set the bits of their positions in `bits` [roster->n / 64 + 1]. True when there is one. */
bool doubts_mark(struct doubts *d, const struct roster *roster, uint64_t *bits);

#endif
