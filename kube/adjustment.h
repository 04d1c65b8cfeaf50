/* SPDX-License-Identifier: Apache-2.0 */
/* ResourceAdjustment orchestration.gokore.io/v1beta1: other resources that somebody asks for. */
#ifndef KUBE_ADJUSTMENT_H
#define KUBE_ADJUSTMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/fields.h"
#include "kube/object.h"

struct arena;
struct buf;
struct err;

#define KUBE_ADJUSTMENT_API  "orchestration.gokore.io/v1beta1"
#define KUBE_ADJUSTMENT_KIND "ResourceAdjustment"

enum adjustment_target {
    TARGET_POD,
    TARGET_DEPLOYMENT,
    TARGET_STATEFUL_SET,
    TARGET_REPLICA_SET,
    TARGET_DAEMON_SET,
    TARGET_JOB,
};
const char *adjustment_target_text(int64_t kind);

/* FIELD_NONE: stays as it is. */
struct kube_adjustment {
    struct kube_meta meta;
    int64_t target_kind; /* enum adjustment_target */
    struct str target_name, target_uid, container;
    int64_t cpu_shares; /* cgroup v1 */
    int64_t memory_mb;  /* 2^20 bytes */
    int64_t gpu_slots, lock_limit;
    struct str priority; /* a PriorityClass; empty = stays */
    int64_t min_qos;     /* enum pod_qos */
    bool negotiate, dry_run;
};

/* Thousandths of a CPU: shares * 1000 / 1024, to nearest. */
int64_t adjustment_millicores(int64_t cpu_shares);

extern const struct fields kube_adjustment_fields;

/*
 * As the decoders of kube/object.h; with `strict` an unknown field in spec is an error, too.
 * Beyond single fields: something must be asked for.
 */
int kube_adjustment_decode(struct kube_adjustment *out, struct str json, bool strict,
                           struct arena *a, struct err *err) MUST_CHECK;

/* Do both ask for the same? Whatever is said by leaving it out. */
bool kube_adjustment_same(const struct kube_adjustment *x, const struct kube_adjustment *y);

/* The page docs/reference/resource-adjustment.md. */
void kube_adjustment_reference(struct buf *out);

#endif
