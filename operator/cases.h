/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlocks that are followed: found in lock reports, or reported by somebody. Each is told in a
 * DeadlockReport; once it is confirmed and beyond its threshold a plan says what would be done.
 */
#ifndef OPERATOR_CASES_H
#define OPERATOR_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/deadlock.h"
#include "operator/acting.h"
#include "operator/locks/victim.h"

struct buf;
struct op;

enum { CASE_NAME_BYTES = 32 };

struct op_case {
    struct op_case *next;
    char name[CASE_NAME_BYTES]; /* of the DeadlockReport: from what it consists of */
    struct str ns;              /* where it is told; in the block, as all below */
    enum deadlock_source source;
    uint64_t signature;             /* of its lock classes */
    struct deadlock_party *parties; /* [n] */
    uint64_t *epochs, *sequences;   /* [n] of the newest word of each party's pod */
    uint64_t spoke;                 /* bit per party whose pod has spoken */
    uint32_t n;
    bool crosses;  /* over namespaces: never acted on */
    uint32_t pods; /* distinct ones */
    uint64_t first_ns, last_ns;
    int64_t first_us, last_us;
    uint64_t sightings;
    uint64_t duration_ns; /* when it was seen last */
    bool confirmed, planned, resolved;
    bool present; /* the book has it in this pass */
    int64_t confirmed_us, planned_us, resolved_us;
    /* The plan. */
    int victim; /* party, -1 = none */
    enum victim_verdict verdicts[DEADLOCK_PARTIES];
    struct victim_budget budgets[VICTIM_BUDGETS];
    bool systemic;
    char victim_uid[64], why[256];
    struct case_act act;
    bool dirty, writing; /* the object is to be stored; is being stored */
    uint32_t failures;   /* of storing it, one after the other */
    uint64_t retry_ns;   /* not before that again */
};

/* "spec" and "status" of its DeadlockReport as JSON. */
void case_spec(struct buf *out, const struct op_case *k);
void case_status(struct buf *out, const struct op *op, const struct op_case *k);

/* Who would have to end, at this moment; fills the plan. */
void case_plan(struct op *op, struct op_case *k, int64_t now_us);

/* Who would have to end by this log, or, with a uid, whether that pod still may. */
struct case_choice {
    int victim;                                     /* party, -1 = none */
    int party;                                      /* the victim, or the one of that uid */
    enum victim_verdict verdicts[DEADLOCK_PARTIES]; /* [n] of the case */
    enum victim_verdict verdict;                    /* of that party; of none: why of the first */
    bool found;                                     /* there is a pod of that uid */
    bool settles;                                   /* a pod of it ends, or was acted on */
    char uid[64], node[254];
    uint64_t owner; /* as score_pod has it */
};
void case_choose(const struct op *op, const struct op_case *k, const struct victim_log *log,
                 const char *uid, int64_t now_us, struct case_choice *out);
bool case_is_planned_so(const struct op_case *k, const struct case_choice *choice);

struct op_case *op_case_find(const struct op *op, struct str ns, struct str name);

/* What the policy of its namespace says of deadlocks. */
struct case_rules {
    struct victim_rules victim;
    uint64_t threshold_ns;
    const char *strategy, *mode;
    bool evicts, enforced;
};
struct case_rules case_rules(const struct op *op, struct str ns);

#endif
