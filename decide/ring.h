/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions made lately, within a fixed number of bytes: the oldest go first. The extender's
 * thread adds, the console's reads; readers hold the lock for one bounded copy.
 */
#ifndef DECIDE_RING_H
#define DECIDE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/verdict.h"

struct arena;
struct buf;
struct err;
struct report;
struct record;
struct ring;

enum {
    RING_DEFAULT_BYTES = 8 * 1024 * 1024,
    RING_LEAST_BYTES = 64 * 1024,
    RING_LIST = 500,
    RING_CASES = 64
};

/* `max_bytes`, at least RING_LEAST_BYTES, bounds all it keeps. 0, -EINVAL, -ENOMEM. */
int ring_new(struct ring **out, size_t max_bytes, struct err *err) MUST_CHECK;
void ring_free(struct ring *r); /* NULL is fine */

/* Change the bound; the oldest decisions go at once. Same limits as ring_new. */
int ring_resize(struct ring *r, size_t max_bytes, struct err *err) MUST_CHECK;

/*
 * Keep what was decided. `verb` is one of enum record_verb. A prioritize about the pod and the
 * snapshot of a recent filter joins its record. A decision too large loses the nodes that are not
 * told in full, then some of those. 0; -E2BIG (out of memory, or it did not fit even so).
 */
int ring_add(struct ring *r, const struct report *report, unsigned verb, int64_t now_us) MUST_CHECK;

/*
 * Append {"decisions": [...]}: newest first, at most RING_LIST; of one pod when `pod` is not empty
 * ("ns/name"). 0, -ENOMEM.
 */
int ring_list(struct ring *r, struct str pod, struct buf *out) MUST_CHECK;

/*
 * Append the decision as the contract's JSON (section 2). `scratch` is used and rewound: without
 * room there, nodes are told in short. 0, -ENOENT, -ENOMEM.
 */
int ring_render(struct ring *r, struct str id, struct buf *out, struct arena *scratch) MUST_CHECK;

/* A decision that is kept, with a reference for the caller; NULL when it is not. */
struct record *ring_take(struct ring *r, struct str id);

/*
 * The pod of this UID was refused by the kubelet of `node`: the newest decision that admitted it
 * there says so from now on. Its id into `id` (RECORD_ID_BYTES + 1). Where the node is told in full
 * there, that becomes a case, which outlives the decision. 0, -ENOENT: there is none.
 */
int ring_contradict(struct ring *r, struct str uid, struct str node, enum score_reason reason,
                    char *id);

/*
 * Append the cases (decide/kubelet_case.h), a line each, oldest first: at most RING_CASES, which
 * take at most an eighth of the bytes. 0, -ENOMEM.
 */
int ring_cases(struct ring *r, struct buf *out) MUST_CHECK;

/* Figures, all of one moment. */
struct ring_stats {
    size_t bytes, max_bytes; /* bytes: records, and the views and names they keep alive */
    uint64_t kept, added, evicted, lost;
    uint64_t cases, cases_lost; /* kept now; those there were no data or no room for */
};
void ring_stats(struct ring *r, struct ring_stats *out);

#endif
