/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers remembered by request shape and node revision. Pods come in shapes: a ReplicaSet asks the
 * same a thousand times, prioritize asks again what filter has just answered. A remembered answer
 * is exact: the shape holds all of the pod that it depends on, the revision changes with anything
 * of the node, and what the clock changes is not remembered. For one thread.
 */
#ifndef DECIDE_MEMO_H
#define DECIDE_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/evaluate.h"

struct err;
struct memo;
struct memo_shape;

enum { MEMO_DEFAULT_BYTES = 16 * 1024 * 1024 };

/* An empty memory of at most `max_bytes` (of shapes and answers). 0, -ENOMEM. */
int memo_new(struct memo **out, size_t max_bytes, struct err *err) MUST_CHECK;
void memo_free(struct memo *m); /* NULL is fine */

/*
 * The answers for a shape on a cluster of `nodes` nodes, made where there are none yet; the shapes
 * used least recently make room. NULL when there is no room for so many nodes at all. Valid until
 * the next call.
 */
struct memo_shape *memo_find(struct memo *m, struct str shape, uint32_t nodes);

/*
 * The timeless answer for the node at `position` in the snapshot (0..nodes-1); false, with `out`
 * untouched, when that of this revision is not known. Revisions are never 0.
 */
bool memo_get(const struct memo_shape *s, uint32_t position, uint64_t revision,
              struct score_result *out);
void memo_put(struct memo_shape *s, uint32_t position, uint64_t revision,
              const struct score_result *result);

struct memo_stats {
    uint64_t shapes, bytes, evicted;
};
void memo_stats(const struct memo *m, struct memo_stats *out);

#endif
