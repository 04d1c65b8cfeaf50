/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pod of a deadlock would have to end, and whether it may: one victim a cycle, chosen among
 * those that nothing protects, within budgets. Pure; what was done before is in the log.
 */
#ifndef OPERATOR_LOCKS_VICTIM_H
#define OPERATOR_LOCKS_VICTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* What protects a pod. */
enum victim_trait {
    VICTIM_MIRROR = 1 << 0,      /* a static pod: its kubelet brings it back */
    VICTIM_DAEMON = 1 << 1,      /* of a DaemonSet */
    VICTIM_BARE = 1 << 2,        /* nobody would make it again */
    VICTIM_OPT_OUT = 1 << 3,     /* annotation orchestration.gokore.io/ignore */
    VICTIM_STORAGE = 1 << 4,     /* data on its node */
    VICTIM_CLAIMS = 1 << 5,      /* ResourceClaims */
    VICTIM_CRITICAL = 1 << 6,    /* system-cluster-critical, system-node-critical */
    VICTIM_TERMINATING = 1 << 7, /* ends already */
};

struct victim_candidate {
    struct str uid;
    uint64_t ns, node, owner; /* hashes; equal = the same; node 0 = none */
    uint64_t id;              /* a hash of uid; 0 = it is not asked for */
    bool known;               /* there is such a pod */
    bool system;              /* in kube-system */
    uint32_t traits;
    int32_t priority;
    uint32_t qos;       /* 0 BestEffort, 1 Burstable, 2 Guaranteed */
    int64_t started_us; /* since 1970; 0 = unknown, taken for long ago */
    uint32_t healthy;   /* pods of its owner that are ready, itself included */
};

/* Of ConcurrencyPolicy spec.deadlock. */
struct victim_rules {
    uint32_t min_replicas;           /* healthy ones that must be left */
    uint32_t per_node;               /* actions on a node within five minutes */
    uint32_t per_namespace_per_hour; /* actions */
    uint32_t per_workload_per_5_min; /* actions */
    int64_t cooldown_s;              /* rest of a workload; doubles with each repetition */
};

enum {
    VICTIM_MIN_AGE_S = 120,
    VICTIM_REPEATS = 3, /* so often the same deadlock leads to an action within a day */
    VICTIM_LOG = 1024,
};

enum victim_verdict {
    VICTIM_MAY,
    VICTIM_UNKNOWN,
    VICTIM_ENDS,
    VICTIM_IS_MIRROR,
    VICTIM_IS_DAEMON,
    VICTIM_IS_SYSTEM,
    VICTIM_IS_CRITICAL,
    VICTIM_IS_BARE,
    VICTIM_OPTED_OUT,
    VICTIM_HAS_STORAGE,
    VICTIM_HAS_CLAIMS,
    VICTIM_TOO_YOUNG,
    VICTIM_REPLICAS,
    VICTIM_NODE_BUDGET,
    VICTIM_NAMESPACE_BUDGET,
    VICTIM_WORKLOAD_BUDGET,
    VICTIM_COOLS_DOWN,
    VICTIM_REPEATED, /* the circuit is open: acting has not helped */
    VICTIM_VERDICTS,
};
extern const char *const victim_reasons[VICTIM_VERDICTS]; /* "MinReplicas", ... */
extern const char *const victim_words[VICTIM_VERDICTS];   /* "too few healthy replicas ...", ... */

/* Actions that were taken, or planned as if they were; the newest VICTIM_LOG. Zero-initialise. */
struct victim_action {
    int64_t at_us;
    uint64_t ns, node, owner, signature, id;
};
struct victim_log {
    struct victim_action at[VICTIM_LOG];
    uint32_t n, next;
};
void victim_note(struct victim_log *log, const struct victim_candidate *c, uint64_t signature,
                 int64_t now_us);

/* Was this pod, by the hash of its uid, acted on? And how much was done to all since then? */
bool victim_was_acted_on(const struct victim_log *log, uint64_t id);
uint32_t victim_acts_since(const struct victim_log *log, int64_t since_us);

/* What is left of the budgets for `c`: [node, namespace, workload]. */
struct victim_budget {
    uint32_t left, most;
};
enum { VICTIM_BUDGETS = 3 };
extern const char *const victim_budget_names[VICTIM_BUDGETS];
void victim_budgets(const struct victim_rules *rules, const struct victim_log *log,
                    const struct victim_candidate *c, int64_t now_us,
                    struct victim_budget out[VICTIM_BUDGETS]);

/*
 * The one of c[n] to end: of those that may, the lowest priority, then the lowest QoS class, then
 * the youngest, then the one whose owner has most healthy pods, then the first uid. Its index,
 * or -1; verdicts[n] say of each whether it may.
 */
int victim_choose(const struct victim_rules *rules, const struct victim_log *log,
                  const struct victim_candidate *c, uint32_t n, uint64_t signature, int64_t now_us,
                  enum victim_verdict *verdicts);

/* All of one owner: the fault is the workload's own, ending one pod will not mend it. */
bool victim_is_systemic(const struct victim_candidate *c, uint32_t n);

#endif
