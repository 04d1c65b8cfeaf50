/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers remembered by request shape and likeness of nodes (cluster/alike.h). Pods come in shapes:
 * a ReplicaSet asks the same a thousand times, prioritize asks again what filter has just answered;
 * and nodes are alike. A remembered answer is exact: the shape holds all of the pod and its weights
 * that it depends on, the likeness all of the node, and what the clock changes is not remembered.
 * For one thread.
 */
#ifndef DECIDE_MEMO_H
#define DECIDE_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct memo;

/* 60 shapes on 5,000 nodes none of which are alike; on more nodes more room, for at least as many
   shapes as there may be. */
enum { MEMO_DEFAULT_BYTES = 4 * 1024 * 1024, MEMO_DEFAULT_SHAPES = 64 };

/* What is remembered of one likeness: 12 bytes, so that many answers fit into a cache. */
struct memo_answer {
    uint32_t stamp; /* the memo's own */
    uint32_t sum;   /* of weight * term over the terms in `known` */
    uint8_t verdict, reason, known;
    bool interval;
};

/* The answers for one shape; the memo's own, read here because it is read for every candidate. */
struct memo_shape {
    uint64_t base;               /* of the stamps; set with the first answer */
    uint32_t n;                  /* at least the highest place + 1 */
    struct memo_answer *answers; /* [n] by place */
};

/*
 * An empty memory of at most `max_bytes` (of shapes and answers), or of `least_shapes` shapes with
 * all places where these need more: shapes asked for in turn, of which one too few has room, would
 * all be forgotten before they come again. 0, -ENOMEM.
 */
int memo_new(struct memo **out, size_t max_bytes, uint32_t least_shapes,
             struct err *err) MUST_CHECK;
void memo_free(struct memo *m); /* NULL is fine */

/*
 * The answers for a shape where there are `places` places, made where there are none yet; the
 * shapes used least recently make room. NULL when there is no room for so many places at all. Valid
 * until the next call.
 */
struct memo_shape *memo_find(struct memo *m, struct str shape, uint32_t places);

/*
 * A stamp is how far a serial lies above the shape's base, plus 1; 0 = no stamp: the serial is
 * below the base or 2^32 above it.
 */
static inline uint32_t memo_stamp(const struct memo_shape *s, uint64_t serial)
{
    return serial - s->base < UINT32_MAX ? (uint32_t)(serial - s->base) + 1 : 0;
}

/*
 * The timeless answer of a place (0..places-1); NULL when that of this serial, which says who has
 * the place, is not known. Serials are never 0.
 */
static inline const struct memo_answer *memo_get(const struct memo_shape *s, uint32_t place,
                                                 uint64_t serial)
{
    const struct memo_answer *const a = &s->answers[place];
    return a->stamp && a->stamp == memo_stamp(s, serial) ? a : NULL;
}
void memo_put(struct memo_shape *s, uint32_t place, uint64_t serial,
              const struct memo_answer *answer);

struct memo_stats {
    uint64_t shapes, bytes, evicted;
};
void memo_stats(const struct memo *m, struct memo_stats *out);

#endif
