/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of calls as plain values, strictly: unknown fields are errors with a suggestion. */
#ifndef OPERATOR_BODY_H
#define OPERATOR_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/deadlock.h"
#include "operator/locks/book.h"

struct arena;
struct err;
struct fields;

/* POST /v1/deadlocks: somebody says that threads are deadlocked. */
struct op_claim {
    struct str ns, pod, container; /* the reporter */
    uint64_t epoch, sequence, duration_ns;
    const struct deadlock_party *cycle; /* [n] of one pod each */
    uint32_t n;
};

/* The tables, for the test that holds openapi.json against them. */
extern const struct fields op_report_fields, op_claim_fields;

/*
 * All: 0; -EINVAL ("offset N: ..." where it is no JSON, else "FIELD: what is wrong"); -E2BIG (too
 * many of something, too deep); -ENOMEM. Everything lives in the arena; `out` is written only on
 * success. `body` is followed by 64 readable bytes.
 */
int op_body_report(struct lock_report *out, struct str body, struct arena *a,
                   struct err *err) MUST_CHECK;

/* Beyond fields: each waits for what the next one holds. */
int op_body_claim(struct op_claim *out, struct str body, struct arena *a,
                  struct err *err) MUST_CHECK;

#endif
