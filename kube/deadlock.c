/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/deadlock.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define AT(member) .offset = offsetof(struct kube_deadlock, member)
#define IN(member) .offset = offsetof(struct deadlock_party, member)

static const char *const source_words[] = {"Observed", "Reported", NULL};
static const char *const scope_words[] = {"process", "shared", NULL};

/* clang-format off: one line a fact */
static const struct field table[] = {
    {"spec.source",
     "Observed: numawise found it in the reports of lock trackers; Reported: somebody said so.",
     FIELD_WORD, .words = source_words, .initial = -1, .required = true, AT(source)},
    {"spec.signature", "Of its lock classes: the same bug again has the same one.", FIELD_TEXT,
     .max = 64, AT(signature)},
    {"spec.cycle", "Each waits for what the next one holds, the last for what the first holds.",
     FIELD_OBJECTS, .most = DEADLOCK_PARTIES, .required = true, AT(cycle),
     .count = offsetof(struct kube_deadlock, n_cycle), .size = sizeof(struct deadlock_party)},
    {"spec.cycle[].namespace", "Of the pod.", FIELD_NAME, .required = true, IN(ns)},
    {"spec.cycle[].pod", "Whose thread it is.", FIELD_TEXT, .max = 253, .required = true, IN(pod)},
    {"spec.cycle[].container", "In which container.", FIELD_TEXT, .max = 63, IN(container)},
    {"spec.cycle[].thread", "As its reporter calls it.", FIELD_TEXT, .max = 128, IN(thread)},
    {"spec.cycle[].holds", "The lock that the one before waits for: class, or class/instance.",
     FIELD_TEXT, .max = 257, .required = true, IN(holds)},
    {"spec.cycle[].waitsFor", "The lock that it waits for.", FIELD_TEXT, .max = 257,
     .required = true, IN(waits_for)},
    {"spec.cycle[].scope",
     "Whether the lock it waits for is one of its process, or shared by pods of the namespace.",
     FIELD_WORD, .words = scope_words, .initial = DEADLOCK_PROCESS, IN(scope)},
    {"spec.firstSeen", "When it was seen first.", FIELD_TIME, AT(first_seen_us)},
};
/* clang-format on */

const struct fields kube_deadlock_fields = {table, ARRAY_LEN(table)};

static int check(const struct kube_deadlock *k, struct err *err)
{
    if (k->n_cycle == 0)
        return err_set(err, -EINVAL, "spec.cycle: is empty");
    for (uint32_t i = 0; i < k->n_cycle; i++) {
        const struct deadlock_party *const p = &k->cycle[i];

        if (!fields_is_subdomain(p->pod))
            return err_set(err, -EINVAL, "spec.cycle[%u].pod: not a name of a pod", i);
        if (p->holds.n == 0 || p->waits_for.n == 0)
            return err_set(err, -EINVAL, "spec.cycle[%u].%s: is empty", i,
                           p->holds.n ? "waitsFor" : "holds");
    }
    return 0;
}

int kube_deadlock_decode(struct kube_deadlock *out, struct str json, bool strict, struct arena *a,
                         struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_deadlock k = {0};
    int rc = fields_decode(&kube_deadlock_fields, strict, &k.meta, &k, json, a, err);

    if (rc == 0)
        rc = check(&k, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = k;
    return 0;
}

void kube_deadlock_reference(struct buf *out)
{
    buf_text(out,
             "# DeadlockReport\n"
             "\n"
             "`" KUBE_DEADLOCK_API
             "`, namespaced, short name `ndl`: evidence of a deadlock; its status says whether "
             "it is confirmed, what is planned, and in `act` what was done. numawise writes them, "
             "see [locks]"
             "(../locks.md); the schema with its rules: `deploy/crds/deadlockreports.yaml`.\n"
             "\n"
             "This page is printed from the table in `kube/deadlock.c`; a test fails when "
             "page, table and schema differ.\n"
             "\n");
    fields_print(out, &kube_deadlock_fields);
}
