/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More hands for one request. A pod of a new shape has thousands of nodes to be judged, each for
 * itself, while kube-scheduler waits: the cores that it leaves idle share them.
 */
#ifndef DECIDE_CREW_H
#define DECIDE_CREW_H

#include <stdint.h>

#include "base/attr.h"

struct arena;
struct crew;
struct err;

enum {
    CREW_MOST = 4,               /* threads that judge, the caller's included */
    CREW_PIECE = 32,             /* items that one takes at a time: some 50 us of judging */
    CREW_LEAST = 8 * CREW_PIECE, /* with fewer all is done before the others have woken */
};

/* Items from..to-1. `scratch` is the thread's own. Returns 0, or why it could not: < 0. */
typedef int crew_work(void *ctx, uint32_t from, uint32_t to, struct arena *scratch);

/*
 * `helpers` (1..CREW_MOST - 1) threads that wait for work; they are not woken for fewer items than
 * `least`. 0, -ENOMEM, -EAGAIN: no thread.
 */
int crew_new(struct crew **out, uint32_t helpers, uint32_t least, struct err *err) MUST_CHECK;
void crew_free(struct crew *c); /* NULL is fine; not while it is shared */

/*
 * Do items 0..n-1 in pieces: the caller with `a`, and
 * whoever of the crew wakes in time beside it; who comes late finds nothing to do and is not waited
 * for. One caller at a time. `c` NULL: the caller alone. Returns 0 when all is done, else the first
 * error: then some pieces are not.
 */
int crew_share(struct crew *c, uint32_t n, crew_work *work, void *ctx, struct arena *a) MUST_CHECK;

/* How many threads may judge: as many as there are CPUs for this process, at most CREW_MOST. */
uint32_t crew_size(void);

#endif
