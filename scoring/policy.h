/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConcurrencyPolicies as plain values (filled by kube/policy.c), and what the one that counts makes
 * of a pod: its class, its weights, what it may and may not. Worked out once per decision.
 */
#ifndef SCORING_POLICY_H
#define SCORING_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "scoring/demand.h"
#include "scoring/devices.h"
#include "scoring/labels.h"
#include "scoring/request.h"
#include "scoring/weigh.h"

/* An integer that may be absent. */
#define POLICY_NONE INT64_MIN

/* Weights that are given, POLICY_NONE elsewhere. */
struct policy_weights {
    int64_t w[SCORE_TERM_COUNT];
};

/* Who is in a class. */
struct policy_match {
    bool given;           /* false: only who names the class by the hint qos-class */
    uint32_t qos;         /* bit per pod_qos; 0 = any */
    int64_t min_priority; /* POLICY_NONE = any */
    struct score_selector pods;
};

struct policy_class {
    struct str name;
    int64_t priority; /* 0 = the most important */
    bool numa_exclusive;
    struct policy_match match;
    struct policy_weights weights;
};

/* Resources of one QoS class; POLICY_NONE = no limit. */
struct policy_limits {
    int64_t cpu_millicores, memory_mb, max_locks, max_goroutines;
};

enum policy_unknown { POLICY_PASS, POLICY_REJECT };
enum policy_strategy {
    POLICY_EVICT_POD,
    POLICY_THROTTLE_WORKERS,
    POLICY_ROTATE_NODES,
    POLICY_REPORT
};
enum policy_mode { POLICY_DRY_RUN, POLICY_ENFORCE };

/* What the operator role may do about a deadlock. */
struct policy_deadlock {
    int64_t threshold_s, strategy, mode; /* the latter two by their enums */
    int64_t min_replicas, per_node, per_namespace_per_hour, per_workload_per_5_min, cooldown_s;
};

/* What it may do for ResourceAdjustments. */
struct policy_adjustment {
    int64_t mode; /* enum policy_mode */
    int64_t per_namespace_per_hour, deadline_s;
};

struct score_policy {
    struct str name, uid;
    int64_t created_us, generation;
    int64_t precedence;
    struct score_selector namespaces; /* empty: all */
    int64_t allowed_cross_access;     /* percent */
    int64_t steal_threshold;          /* CPUs; POLICY_NONE: by QoS class, score_steal_default */
    int64_t allowed_distance;         /* SLIT; 0 and 10 both mean the same zone */
    const int64_t *preferred_zones;   /* [n_preferred_zones] Linux ids */
    uint32_t n_preferred_zones;
    int64_t unknown_topology;           /* enum policy_unknown */
    const struct policy_class *classes; /* [n_classes] by priority */
    uint32_t n_classes;
    struct policy_limits limits[3]; /* by pod_qos */
    struct policy_weights weights;
    int64_t max_weight_shift; /* by how much a pod may shift each weight */
    struct policy_deadlock deadlock;
    struct policy_adjustment adjustment;
};

/* CPUs that may come from other zones: Guaranteed 5, Burstable 3, BestEffort 1. */
uint32_t score_steal_default(enum pod_qos qos);

/* The order in which policies win: precedence, then the oldest, then the name. Like strcmp. */
int score_policy_compare(const struct score_policy *a, const struct score_policy *b);

/* In that order; borrowed. */
struct score_policies {
    const struct score_policy *const *at; /* [n] */
    uint32_t n;
};

/* The one that counts in a namespace of these labels; NULL when none does. */
const struct score_policy *score_policy_of(const struct score_policies *all,
                                           struct score_labels ns);

/* --- what a pod says for itself: its hints, as values (kube/hints.h) --- */

enum hint_numa { HINT_NUMA_NONE, HINT_NUMA_SINGLE, HINT_NUMA_CLOSEST, HINT_NUMA_SPAN };

struct score_hints {
    struct str qos_class; /* empty = not said */
    enum hint_numa numa;
    uint32_t span;                /* zones, with HINT_NUMA_SPAN */
    int64_t allowed_cross_access; /* percent; POLICY_NONE */
    uint64_t network[2];          /* bits/s by node_direction, 0 = nothing requested */
    enum score_gpu_nic gpu_nic;
    struct policy_weights weights;
    int64_t max_locks, max_goroutines; /* POLICY_NONE = not said */
};

/* Nothing said. */
struct score_hints score_no_hints(void);

/* --- what comes of both --- */

enum weight_source {
    WEIGHT_DEFAULT, /* contract.md 3 */
    WEIGHT_POLICY,  /* spec.weights */
    WEIGHT_CLASS,   /* weights of the class */
    WEIGHT_HINT,    /* the pod's own */
    WEIGHT_BOUNDED, /* the pod's own, brought back to the policy's bound */
};
const char *weight_source_text(enum weight_source source); /* "default", "policy", ... */

struct score_rules {
    const struct score_policy *policy; /* NULL: none counts */
    const struct policy_class *class;  /* NULL: none */
    bool class_by_hint;
    enum score_class row; /* whose default weights are the start */
    struct score_weights weights;
    uint8_t source[SCORE_TERM_COUNT]; /* enum weight_source */
    bool numa_exclusive, reject_unknown;
    int64_t cross_percent;    /* POLICY_NONE: may be anything */
    uint32_t steal_threshold; /* CPUs */
    int64_t allowed_distance; /* POLICY_NONE: any */
    const int64_t *preferred_zones;
    uint32_t n_preferred_zones;
    enum hint_numa numa;
    uint32_t span;
    enum score_gpu_nic gpu_nic;
    uint64_t network[2];
    int64_t locks, goroutines;         /* what the pod says it needs; POLICY_NONE */
    int64_t max_locks, max_goroutines; /* what its QoS class may have; POLICY_NONE */
    const struct score_demand *demand; /* of the cluster; NULL: nobody wants anything */
};

/* No policy, no hints: what a pod of this QoS class gets. */
void score_rules_default(struct score_rules *out, enum pod_qos qos);

/*
 * The rules of a pod under `policy` (NULL: none). The class is the one that the pod names, else the
 * first by priority that matches. A pod of a class of priority 0 that is Guaranteed is critical:
 * its weights start from that row. Over the row go the weights of the policy, then those of the
 * class, then the pod's, each brought to within max_weight_shift of what was there.
 */
void score_rules_of(struct score_rules *out, const struct score_policy *policy,
                    const struct score_pod *pod, enum pod_qos qos, const struct score_hints *hints);

/* "critical" by the policy, else the row's: "default", "best-effort". */
struct str score_class_name(const struct score_rules *rules);

/* Is a pod of a class that must be alone in its zones? Without its hints' other values. */
bool score_is_exclusive(const struct score_policy *policy, const struct score_pod *pod,
                        enum pod_qos qos, struct str class_hint);

#endif
