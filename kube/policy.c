/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/meta.h"

#define AT(member)    .offset = offsetof(struct score_policy, member)
#define COUNT(member) .count = offsetof(struct score_policy, member)
#define IN(member)    .offset = offsetof(struct policy_class, member)
#define LIMIT(qos, member)                                                                         \
    .offset = offsetof(struct score_policy, limits[qos]) + offsetof(struct policy_limits, member)

enum { MOST_WEIGHT = 1000, MOST_CLASSES = 16, MOST_ZONES = 64 };

static const char *const unknown_words[] = {"Pass", "Reject", NULL};
static const char *const qos_words[] = {"BestEffort", "Burstable", "Guaranteed", NULL};
static const char *const strategy_words[] = {"EvictPod", "ThrottleWorkers", "RotateNodes", "Report",
                                             NULL};
static const char *const mode_words[] = {"DryRun", "Enforce", NULL};

/* clang-format off: one line a fact */
#define WEIGHT(path, where, term)                                                                  \
    {                                                                                              \
        path, "Weight of this term.", FIELD_INTEGER,                                               \
            .max = MOST_WEIGHT, .initial = FIELD_NONE,                                             \
            .offset = (where) + offsetof(struct policy_weights, w[term])                           \
    }
#define WEIGHTS(path, where)                                                                       \
    WEIGHT(path ".locality", where, SCORE_LOCALITY),                                               \
        WEIGHT(path ".devices", where, SCORE_DEVICES),                                             \
        WEIGHT(path ".fragmentation", where, SCORE_FRAGMENTATION),                                 \
        WEIGHT(path ".network", where, SCORE_NETWORK),                                             \
        WEIGHT(path ".compute", where, SCORE_COMPUTE),                                             \
        WEIGHT(path ".interference", where, SCORE_INTERFERENCE),                                   \
        WEIGHT(path ".freshness", where, SCORE_FRESHNESS)
#define LIMITS(path, qos)                                                                          \
    {path, "Most that a pod of this QoS class may have.", FIELD_OBJECT, .offset = NO_FIELD},       \
        {path ".cpuMillicores", "CPU, in thousandths.", FIELD_INTEGER,                             \
         .max = 10000000,       .initial = FIELD_NONE,  LIMIT(qos, cpu_millicores)},               \
        {path ".memoryMB",      "Memory, in units of 2^20 bytes.",                                 \
         FIELD_INTEGER,         .max = 1 << 30,                                                    \
         .initial = FIELD_NONE, LIMIT(qos, memory_mb)},                                            \
        {path ".maxLocks",      "A pod whose hint max-locks says more is rejected (LockLimit).",   \
         FIELD_INTEGER,         .max = INT32_MAX,                                                  \
         .initial = FIELD_NONE, LIMIT(qos, max_locks)},                                            \
    {                                                                                              \
        path ".maxGoroutines",                                                                     \
            "A pod whose hint max-goroutines says more is rejected (GoroutineLimit).",             \
            FIELD_INTEGER, .max = INT32_MAX, .initial = FIELD_NONE, LIMIT(qos, max_goroutines)     \
    }

static const struct field table[] = {
    {"spec.precedence",
     "Of several policies for one namespace the highest counts, then the oldest, then the first "
     "by name; the others are Conflicted.",
     FIELD_INTEGER, .min = -1000000, .max = 1000000, AT(precedence)},
    {"spec.namespaceSelector", "The namespaces it is for; without it all.", FIELD_SELECTOR,
     AT(namespaces)},

    {"spec.numa", "Where a pod's CPUs, memory and devices may be.", FIELD_OBJECT,
     .offset = NO_FIELD},
    {"spec.numa.allowedCrossAccess",
     "Most of a pod's memory accesses that may cross zones, where its placement counts as "
     "cross-zone (stealThreshold); more is rejected (CrossAccess).",
     FIELD_PERCENT, .max = 100, .initial = FIELD_NONE, AT(allowed_cross_access)},
    {"spec.numa.stealThreshold",
     "CPUs that may come from other zones than the pod's main one before the placement counts as "
     "cross-zone; without it 5, 3 and 1 for Guaranteed, Burstable and BestEffort.",
     FIELD_INTEGER, .max = 4096, .initial = FIELD_NONE, AT(steal_threshold)},
    {"spec.numa.allowedDistance",
     "Most distance (ACPI SLIT) between two zones that a pod uses; 0 and 10 both mean the same "
     "zone. More is rejected (AllowedDistance).",
     FIELD_INTEGER, .max = 255, .initial = FIELD_NONE, AT(allowed_distance)},
    {"spec.numa.preferredZones",
     "Linux ids of zones to land in; work elsewhere counts, in the term locality, as if it had to "
     "reach over to the nearest of them.",
     FIELD_INTEGERS, .max = 1023, .most = MOST_ZONES, AT(preferred_zones),
     COUNT(n_preferred_zones)},
    {"spec.numa.unknownTopology",
     "What becomes of nodes that nothing is known of: Pass, with the lowest score, or Reject.",
     FIELD_WORD, .words = unknown_words, .initial = POLICY_PASS, AT(unknown_topology)},

    {"spec.qosClassMapping",
     "Classes of pods. A pod is of the class that its hint qos-class names, else of the first by "
     "priority whose match holds.",
     FIELD_OBJECTS, .most = MOST_CLASSES, AT(classes), COUNT(n_classes),
     .size = sizeof(struct policy_class)},
    {"spec.qosClassMapping[].priority",
     "0 is the most important; no two alike. Guaranteed pods of a class of priority 0 start from "
     "the weights of critical ones.",
     FIELD_INTEGER, .max = 1000, .required = true, IN(priority)},
    {"spec.qosClassMapping[].name", "Unique; not default or best-effort, which are built in.",
     FIELD_NAME, .required = true, IN(name)},
    {"spec.qosClassMapping[].numaExclusive",
     "Its pods are alone in the zones where they have something for themselves: rejected "
     "(NumaExclusive) where others have, and others where they are.",
     FIELD_BOOL, IN(numa_exclusive)},
    {"spec.qosClassMapping[].match",
     "Who is in the class; all that is given must hold, an empty one holds for every pod. Without "
     "it only pods that name the class are.",
     FIELD_OBJECT, IN(match.given)},
    {"spec.qosClassMapping[].match.qosClasses", "One of these QoS classes.", FIELD_WORDS,
     .words = qos_words, IN(match.qos)},
    {"spec.qosClassMapping[].match.minPriority", "At least this priority (spec.priority).",
     FIELD_INTEGER, .min = INT32_MIN, .max = INT32_MAX, .initial = FIELD_NONE,
     IN(match.min_priority)},
    {"spec.qosClassMapping[].match.podSelector", "Labels of the pod.", FIELD_SELECTOR,
     IN(match.pods)},
    {"spec.qosClassMapping[].weights", "Over the weights of the policy.", FIELD_OBJECT,
     .offset = NO_FIELD},
    WEIGHTS("spec.qosClassMapping[].weights", offsetof(struct policy_class, weights)),

    {"spec.weights", "Over the default weights, for every class.", FIELD_OBJECT,
     .offset = NO_FIELD},
    WEIGHTS("spec.weights", offsetof(struct score_policy, weights)),
    {"spec.maxWeightShift",
     "By how much a pod's hint weights may raise or lower each weight; 0: not at all.",
     FIELD_INTEGER, .max = MOST_WEIGHT, .initial = MOST_WEIGHT, AT(max_weight_shift)},

    {"spec.qosPolicy", "Limits by QoS class.", FIELD_OBJECT, .offset = NO_FIELD},
    LIMITS("spec.qosPolicy.guaranteed", POD_GUARANTEED),
    LIMITS("spec.qosPolicy.burstable", POD_BURSTABLE),
    LIMITS("spec.qosPolicy.bestEffort", POD_BEST_EFFORT),

    {"spec.deadlock", "What may be done about a deadlock.", FIELD_OBJECT, .offset = NO_FIELD},
    {"spec.deadlock.thresholdSeconds", "How long a cycle must have lasted.", FIELD_INTEGER,
     .min = 1, .max = 86400, .initial = 30, AT(deadlock.threshold_s)},
    {"spec.deadlock.strategy", "What is done then.", FIELD_WORD, .words = strategy_words,
     .initial = POLICY_REPORT, AT(deadlock.strategy)},
    {"spec.deadlock.mode", "DryRun plans and says; Enforce acts.", FIELD_WORD, .words = mode_words,
     .initial = POLICY_DRY_RUN, AT(deadlock.mode)},
    {"spec.deadlock.minReplicas", "Healthy pods of the owner that must be left.", FIELD_INTEGER,
     .max = 1000, .initial = 2, AT(deadlock.min_replicas)},
    {"spec.deadlock.perNode", "Actions at a time on one node.", FIELD_INTEGER, .min = 1, .max = 100,
     .initial = 2, AT(deadlock.per_node)},
    {"spec.deadlock.perNamespacePerHour", "Actions in one namespace.", FIELD_INTEGER, .min = 1,
     .max = 1000, .initial = 5, AT(deadlock.per_namespace_per_hour)},
    {"spec.deadlock.perWorkloadPer5Min", "Actions on one workload.", FIELD_INTEGER, .min = 1,
     .max = 100, .initial = 1, AT(deadlock.per_workload_per_5_min)},
    {"spec.deadlock.cooldownSeconds", "Rest after an action on a workload.", FIELD_INTEGER,
     .max = 86400, .initial = 300, AT(deadlock.cooldown_s)},

    {"spec.adjustment", "What may be done for ResourceAdjustments.", FIELD_OBJECT,
     .offset = NO_FIELD},
    {"spec.adjustment.mode", "DryRun judges and says; Enforce resizes pods in place.", FIELD_WORD,
     .words = mode_words, .initial = POLICY_DRY_RUN, AT(adjustment.mode)},
    {"spec.adjustment.perNamespacePerHour", "Resizes in one namespace.", FIELD_INTEGER, .min = 1,
     .max = 1000, .initial = 10, AT(adjustment.per_namespace_per_hour)},
    {"spec.adjustment.deadlineSeconds",
     "How long a kubelet is waited for; then the pod gets its former size back.", FIELD_INTEGER,
     .min = 10, .max = 86400, .initial = 300, AT(adjustment.deadline_s)},
};
/* clang-format on */

const struct fields kube_policy_fields = {table, ARRAY_LEN(table)};

/* --- beyond single fields --- */

static int refuse_class(uint32_t i, const char *why, struct err *err)
{
    return err_set(err, -EINVAL, "spec.qosClassMapping[%u]%s", i, why);
}

static int check_classes(const struct score_policy *p, struct err *err)
{
    for (uint32_t i = 0; i < p->n_classes; i++) {
        const struct policy_class *const c = &p->classes[i];

        if (str_is(c->name, "default") || str_is(c->name, "best-effort"))
            return refuse_class(i, ".name: this class is built in", err);
        for (uint32_t k = 0; k < i; k++) {
            if (str_eq(c->name, p->classes[k].name))
                return refuse_class(i, ".name: another class has it", err);
            if (c->priority == p->classes[k].priority)
                return refuse_class(i, ".priority: another class has it", err);
        }
    }
    return 0;
}

static int check(const struct score_policy *p, struct err *err)
{
    if (p->allowed_distance > 0 && p->allowed_distance < TOPO_LOCAL)
        return err_set(err, -EINVAL, "spec.numa.allowedDistance: a distance is 0 or at least %d",
                       TOPO_LOCAL);
    return check_classes(p, err);
}

static int by_priority(const void *x, const void *y)
{
    const struct policy_class *const a = x, *const b = y;

    return (a->priority > b->priority) - (a->priority < b->priority);
}

/* --- the object --- */

int kube_policy_decode(struct score_policy *out, struct str json, bool strict, struct arena *a,
                       struct err *err)
{
    const size_t mark = arena_mark(a);
    struct score_policy p = {0};
    struct kube_meta meta = {0};
    int rc = fields_decode(&kube_policy_fields, strict, &meta, &p, json, a, err);

    if (rc == 0)
        rc = check(&p, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    /* the list is ours, fresh from the arena */
    if (p.n_classes)
        qsort((struct policy_class *)(uintptr_t)p.classes, p.n_classes, sizeof(*p.classes),
              by_priority);
    p.name = meta.name;
    p.uid = meta.uid;
    p.created_us = meta.created_us;
    p.generation = meta.generation;
    *out = p;
    return 0;
}

void kube_policy_reference(struct buf *out)
{
    buf_text(out,
             "# ConcurrencyPolicy\n"
             "\n"
             "`" KUBE_POLICY_API "`, cluster scoped, short name `cpol`. What it means: "
             "[how a node is judged and scored](../scoring.md); the schema with its rules: "
             "`deploy/crds/concurrencypolicies.yaml`. `numawise check FILE` validates one without "
             "a cluster.\n"
             "\n"
             "This page is printed from the table in `kube/policy.c`; a test fails when page, "
             "table and schema differ.\n"
             "\n");
    fields_print(out, &kube_policy_fields);
}
