/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/rate.h"

enum { CALL = 1000 /* thousandths */ };

/* His bucket, else a full one in the place of who has not called for longest. */
static struct rate_bucket *bucket_of(struct rates *r, uint64_t key, uint32_t burst, uint64_t now_ns)
{
    struct rate_bucket *const set = r->at[key % RATE_SETS], *oldest = set;

    for (int i = 0; i < RATE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].key == 0 || (oldest->key && set[i].at_ns < oldest->at_ns))
            oldest = &set[i];
    }
    *oldest = (struct rate_bucket){key, now_ns, (uint64_t)burst * CALL};
    return oldest;
}

bool rate_take(struct rates *r, uint64_t key, uint32_t per_s, uint32_t burst, uint64_t now_ns,
               uint32_t *out_wait_ms)
{
    struct rate_bucket *const b = bucket_of(r, key | 1, burst, now_ns);
    const uint64_t passed_us = now_ns > b->at_ns ? (now_ns - b->at_ns) / 1000 : 0;
    const uint64_t most = (uint64_t)burst * CALL;
    /* A bucket that was idle is full; the bound keeps the product small. */
    const uint64_t more = passed_us >= most * 1000 ? most : passed_us * per_s / 1000;

    if (more > 0) { /* else what has passed counts next time */
        b->tokens_milli = b->tokens_milli + more < most ? b->tokens_milli + more : most;
        b->at_ns = now_ns;
    }
    if (b->tokens_milli >= CALL) {
        b->tokens_milli -= CALL;
        return true;
    }
    *out_wait_ms = (uint32_t)((CALL - b->tokens_milli + per_s - 1) / per_s);
    return false;
}
