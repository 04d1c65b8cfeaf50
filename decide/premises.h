/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision of a server depends on besides objects, settings and the clock: premises.json of
 * a bundle. Without one a decision is about all there is.
 */
#ifndef DECIDE_PREMISES_H
#define DECIDE_PREMISES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/demand.h"

struct arena;
struct buf;
struct err;

struct premises {
    int64_t since_us;           /* cluster_options: when the server began to look on; 0 = always */
    uint32_t terms;             /* decide_options: terms that other candidates had */
    struct score_demand demand; /* what all pods of the cluster wanted of zones */
};

void premises_emit(struct buf *out, const struct premises *p);

/* `json` is followed by SCAN_PADDING_BYTES. 0; -EINVAL, -E2BIG, and `err` names the field; -ENOMEM.
 */
int premises_read(struct premises *out, struct str json, struct arena *scratch,
                  struct err *err) MUST_CHECK;

#endif
