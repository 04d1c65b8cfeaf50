/* SPDX-License-Identifier: Apache-2.0 */
/* DeadlockReport orchestration.gokore.io/v1beta1: evidence of a deadlock, and what is planned. */
#ifndef KUBE_DEADLOCK_H
#define KUBE_DEADLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/fields.h"
#include "kube/object.h"

struct arena;
struct buf;
struct err;

#define KUBE_DEADLOCK_API  "orchestration.gokore.io/v1beta1"
#define KUBE_DEADLOCK_KIND "DeadlockReport"

enum { DEADLOCK_PARTIES = 64 };
enum deadlock_source { DEADLOCK_OBSERVED, DEADLOCK_REPORTED };
enum deadlock_scope { DEADLOCK_PROCESS, DEADLOCK_SHARED };

struct deadlock_party {
    struct str ns, pod, container, thread;
    struct str holds, waits_for;
    int64_t scope; /* enum deadlock_scope, of what it waits for */
};

struct kube_deadlock {
    struct kube_meta meta;
    int64_t source;       /* enum deadlock_source */
    struct str signature; /* of the lock classes: the same bug again has the same one */
    const struct deadlock_party *cycle; /* [n_cycle] each waits for what the next one holds */
    uint32_t n_cycle;
    int64_t first_seen_us; /* 0 = not said */
};

extern const struct fields kube_deadlock_fields;

/* As the decoders of kube/object.h; with `strict` an unknown field in spec is an error, too. */
int kube_deadlock_decode(struct kube_deadlock *out, struct str json, bool strict, struct arena *a,
                         struct err *err) MUST_CHECK;

/* The page docs/reference/deadlock-report.md. */
void kube_deadlock_reference(struct buf *out);

#endif
