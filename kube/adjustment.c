/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/adjustment.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define AT(member) .offset = offsetof(struct kube_adjustment, member)

static const char *const target_words[] = {"Pod",       "Deployment", "StatefulSet", "ReplicaSet",
                                           "DaemonSet", "Job",        NULL};
static const char *const qos_words[] = {"BestEffort", "Burstable", "Guaranteed", NULL};

/* clang-format off: one line a fact */
static const struct field table[] = {
    {"spec.target", "What is to be adjusted, in the namespace of this object.", FIELD_OBJECT,
     .required = true, .offset = NO_FIELD},
    {"spec.target.kind", "Of a workload the pods that it makes from then on are meant.", FIELD_WORD,
     .words = target_words, .initial = TARGET_POD, AT(target_kind)},
    {"spec.target.name", "Its name.", FIELD_TEXT, .max = 253, .required = true, AT(target_name)},
    {"spec.target.uid", "Its uid, so that no other one of the same name is meant.", FIELD_TEXT,
     .max = 64, AT(target_uid)},
    {"spec.target.container", "Which container; without it the only one.", FIELD_NAME,
     AT(container)},
    {"spec.cpuShares",
     "CPU as cgroup v1 shares: 1024 are a CPU, rounded to the nearest thousandth.", FIELD_INTEGER,
     .min = 2, .max = 262144, .initial = FIELD_NONE, AT(cpu_shares)},
    {"spec.memoryMB", "Memory, in units of 2^20 bytes.", FIELD_INTEGER, .min = 1, .max = 1 << 30,
     .initial = FIELD_NONE, AT(memory_mb)},
    {"spec.gpuSlots", "Whole devices of the accelerator that the container has, or would have.",
     FIELD_INTEGER, .max = 1024, .initial = FIELD_NONE, AT(gpu_slots)},
    {"spec.lockLimit", "Locks at a time (hint max-locks).", FIELD_INTEGER, .max = INT32_MAX,
     .initial = FIELD_NONE, AT(lock_limit)},
    {"spec.priority", "A PriorityClass; of a pod that exists it cannot change.", FIELD_TEXT,
     .max = 253, AT(priority)},
    {"spec.minQOS", "The QoS class that the pod must still have.", FIELD_WORD, .words = qos_words,
     .initial = FIELD_NONE, AT(min_qos)},
    {"spec.negotiate", "Where it cannot be had: offer the most that can.", FIELD_BOOL,
     AT(negotiate)},
    {"spec.dryRun", "Say what would be, and no more.", FIELD_BOOL, AT(dry_run)},
};
/* clang-format on */

const struct fields kube_adjustment_fields = {table, ARRAY_LEN(table)};

const char *adjustment_target_text(int64_t kind)
{
    return target_words[kind];
}

int64_t adjustment_millicores(int64_t cpu_shares)
{
    return (cpu_shares * 1000 + 512) / 1024;
}

static int check(const struct kube_adjustment *k, struct err *err)
{
    if (!fields_is_subdomain(k->target_name))
        return err_set(err, -EINVAL, "spec.target.name: not a name of an object");
    if (k->cpu_shares == FIELD_NONE && k->memory_mb == FIELD_NONE && k->gpu_slots == FIELD_NONE &&
        k->lock_limit == FIELD_NONE && k->priority.n == 0 && k->min_qos == FIELD_NONE)
        return err_set(err, -EINVAL, "spec: asks for nothing");
    return 0;
}

int kube_adjustment_decode(struct kube_adjustment *out, struct str json, bool strict,
                           struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_adjustment k = {0};
    int rc = fields_decode(&kube_adjustment_fields, strict, &k.meta, &k, json, a, err);

    if (rc == 0)
        rc = check(&k, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = k;
    return 0;
}

bool kube_adjustment_same(const struct kube_adjustment *x, const struct kube_adjustment *y)
{
    return x->target_kind == y->target_kind && str_eq(x->target_name, y->target_name) &&
           str_eq(x->target_uid, y->target_uid) && str_eq(x->container, y->container) &&
           x->cpu_shares == y->cpu_shares && x->memory_mb == y->memory_mb &&
           x->gpu_slots == y->gpu_slots && x->lock_limit == y->lock_limit &&
           str_eq(x->priority, y->priority) && x->min_qos == y->min_qos &&
           x->negotiate == y->negotiate && x->dry_run == y->dry_run;
}

void kube_adjustment_reference(struct buf *out)
{
    buf_text(out, "# ResourceAdjustment\n"
                  "\n"
                  "`" KUBE_ADJUSTMENT_API
                  "`, namespaced, short name `nadj`: other resources that somebody asks for a "
                  "workload. The schema with its rules: `deploy/crds/resourceadjustments.yaml`.\n"
                  "\n"
                  "This page is printed from the table in `kube/adjustment.c`; a test fails when "
                  "page, table and schema differ.\n"
                  "\n");
    fields_print(out, &kube_adjustment_fields);
}
