/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lock_policy.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"

#define AT(member)    .offset = offsetof(struct kube_lock_policy, member)
#define COUNT(member) .count = offsetof(struct kube_lock_policy, member)

enum { MOST_HOLD_MS = 3600 * 1000 };

static const char *const qos_words[] = {"BestEffort", "Burstable", "Guaranteed", NULL};
static const char *const fallback_words[] = {"Steal", "Wait", "AnyNode", NULL};

/* clang-format off: one line a fact */
static const struct field table[] = {
    {"spec.qosClass",
     "What holders of these locks are, which stands for what is not said below (next table).",
     FIELD_WORD, .words = qos_words, .initial = POD_BURSTABLE, AT(qos)},
    {"spec.hierarchyRules",
     "Orders of acquisition. All policies of a namespace together must not contradict each other.",
     FIELD_OBJECTS, .most = LOCK_POLICY_RULES, AT(rules), COUNT(n_rules),
     .size = sizeof(struct lock_policy_rule)},
    {"spec.hierarchyRules[].name", "Unique in the policy.", FIELD_NAME, .required = true,
     .offset = offsetof(struct lock_policy_rule, name)},
    {"spec.hierarchyRules[].order",
     "Lock classes; who holds one may acquire those that follow it, not those before.", FIELD_TEXTS,
     .max = LOCK_POLICY_NAME_BYTES, .most = LOCK_POLICY_ORDER, .required = true,
     .offset = offsetof(struct lock_policy_rule, order),
     .count = offsetof(struct lock_policy_rule, n_order)},

    {"spec.numaAffinity", "Where the threads that share these locks belong.", FIELD_OBJECT,
     AT(numa.given)},
    {"spec.numaAffinity.required", "Whether it must be kept, or only tried.", FIELD_BOOL,
     AT(numa.required)},
    {"spec.numaAffinity.preferredNodes", "Linux ids of NUMA zones.", FIELD_INTEGERS, .max = 1023,
     .most = 64, AT(numa.preferred_nodes), COUNT(numa.n_preferred_nodes)},
    {"spec.numaAffinity.allowedDistance",
     "Most distance (ACPI SLIT) between zones of threads that share a lock; 0 is the same zone.",
     FIELD_INTEGER, .max = 255, .initial = FIELD_NONE, AT(numa.allowed_distance)},
    {"spec.numaAffinity.fallbackStrategy",
     "What a thread does that cannot be there: Steal CPUs of a near zone, Wait, or run on AnyNode.",
     FIELD_WORD, .words = fallback_words, .initial = LOCK_STEAL, AT(numa.fallback)},

    {"spec.maxHoldTime", "How long one of these locks may be held.", FIELD_DURATION, .min = 1,
     .max = MOST_HOLD_MS, .initial = FIELD_NONE, AT(max_hold_ms)},
    {"spec.retryPolicy", "How to try again where a lock was not to be had in time.", FIELD_OBJECT,
     .offset = NO_FIELD},
    {"spec.retryPolicy.attempts", "Tries in all.", FIELD_INTEGER, .min = 1, .max = 5,
     .initial = FIELD_NONE, AT(attempts)},
    {"spec.retryPolicy.backoffBase", "Pause before the second try; it doubles.", FIELD_DURATION,
     .min = 1, .max = MOST_HOLD_MS, .initial = FIELD_NONE, AT(backoff_ms)},
    {"spec.retryPolicy.jitterPercent", "How much of a pause is random.", FIELD_INTEGER, .max = 100,
     .initial = FIELD_NONE, AT(jitter_percent)},
    {"spec.podSelector", "The pods that it is for; without it all that name it.", FIELD_SELECTOR,
     AT(pods)},
};
/* clang-format on */

const struct fields kube_lock_policy_fields = {table, ARRAY_LEN(table)};

struct lock_defaults kube_lock_policy_defaults(int64_t qos)
{
    static const struct lock_defaults by_class[] = {
        [POD_BEST_EFFORT] = {100, 1, 1, 50, 50},
        [POD_BURSTABLE] = {200, 2, 3, 30, 100},
        [POD_GUARANTEED] = {500, 3, 5, 15, FIELD_NONE},
    };

    return by_class[qos];
}

static int check(const struct kube_lock_policy *p, struct err *err)
{
    for (uint32_t i = 0; i < p->n_rules; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (str_eq(p->rules[i].name, p->rules[k].name))
                return err_set(err, -EINVAL, "spec.hierarchyRules[%u].name: another rule has it",
                               i);
        }
    }
    return 0;
}

int kube_lock_policy_decode(struct kube_lock_policy *out, struct str json, bool strict,
                            struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_lock_policy p = {0};
    int rc = fields_decode(&kube_lock_policy_fields, strict, &p.meta, &p, json, a, err);

    if (rc == 0)
        rc = check(&p, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = p;
    return 0;
}

static void print_ms(struct buf *out, int64_t ms)
{
    if (ms == FIELD_NONE)
        buf_text(out, "as long as it takes");
    else
        config_format_duration(out, ms);
}

void kube_lock_policy_reference(struct buf *out)
{
    buf_text(out, "# LockPolicy\n"
                  "\n"
                  "`" KUBE_LOCK_POLICY_API
                  "`, namespaced, short name `lpol`. What becomes of it: [locks](../locks.md); the "
                  "schema with its rules: `deploy/crds/lockpolicies.yaml`. `numawise check FILE` "
                  "validates one without a cluster.\n"
                  "\n"
                  "This page is printed from the table in `kube/lock_policy.c`; a test fails when "
                  "page, table and schema differ.\n"
                  "\n");
    fields_print(out, &kube_lock_policy_fields);
    buf_text(out, "\nWhat is not said follows from the class. numawise does not acquire locks: "
                  "these figures are for the libraries that do.\n"
                  "\n"
                  "| class | waits | attempts | steals | backoffBase | maxHoldTime |\n"
                  "|---|---|---|---|---|---|\n");
    for (int qos = POD_GUARANTEED; qos >= POD_BEST_EFFORT; qos--) {
        const struct lock_defaults d = kube_lock_policy_defaults(qos);

        buf_printf(out, "| `%s` | ", qos_words[qos]);
        print_ms(out, d.wait_ms);
        buf_printf(out, " | %lld | %lld | ", (long long)d.attempts, (long long)d.steals);
        print_ms(out, d.backoff_ms);
        buf_text(out, " | ");
        print_ms(out, d.max_hold_ms);
        buf_text(out, " |\n");
    }
}
