/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a ResourceAdjustment: what was judged, why nothing is done, and what was done. What
 * is read of one is never a reason to do something: whoever may write it may write anything.
 */
#ifndef OPERATOR_ADJUST_STATUS_H
#define OPERATOR_ADJUST_STATUS_H

#include <stdint.h>

#include "operator/adjust.h"
#include "operator/resize.h"

struct arena;
struct buf;

/* Why what would be done is not; `reason` NULL: nothing is against it. */
struct adjust_held {
    const char *reason, *words; /* words empty: the plan says enough */
};

/* What a stored status says; `observed` -1: there is none. Not to be copied. */
struct adjust_told {
    int64_t observed, until_us;
    struct adjust_answer answer; /* without `resize` */
    char reason[128];            /* answer.reason points here */
    char held[64];               /* the reason of ActionSuppressed; empty: there is none */
    struct resize_record act;
};

/* `act` may be NULL. An offer, unless it is taken, stands from `now_us` on. */
void adjust_status_put(struct buf *out, const struct adjust_answer *a,
                       const struct adjust_held *held, const struct resize_record *act,
                       int64_t generation, int64_t now_us);
void adjust_status_read(struct adjust_told *out, struct str json, struct arena *a);

#endif
