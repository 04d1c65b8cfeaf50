/* SPDX-License-Identifier: Apache-2.0 */
/* LockPolicy concurrency.gokore.io/v1alpha1: in which order locks are to be acquired, and how. */
#ifndef KUBE_LOCK_POLICY_H
#define KUBE_LOCK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/fields.h"
#include "kube/object.h"
#include "scoring/policy.h"

struct arena;
struct buf;
struct err;

#define KUBE_LOCK_POLICY_API  "concurrency.gokore.io/v1alpha1"
#define KUBE_LOCK_POLICY_KIND "LockPolicy"

/* A name of a lock class, as reports have it too: printable ASCII, no blanks at its ends. */
enum { LOCK_POLICY_NAME_BYTES = 128, LOCK_POLICY_RULES = 64, LOCK_POLICY_ORDER = 64 };

enum lock_fallback { LOCK_STEAL, LOCK_WAIT, LOCK_ANY_NODE };

struct lock_policy_rule {
    struct str name;
    const struct str *order; /* [n_order] acquired first to last */
    uint32_t n_order;
};

/* FIELD_NONE: not said; kube_lock_policy_defaults has what the class then stands for. */
struct kube_lock_policy {
    struct kube_meta meta;
    int64_t qos; /* enum pod_qos */
    const struct lock_policy_rule *rules;
    uint32_t n_rules;
    struct {
        bool given, required;
        const int64_t *preferred_nodes; /* Linux ids of NUMA zones */
        uint32_t n_preferred_nodes;
        int64_t allowed_distance; /* ACPI SLIT; 0 = the same zone */
        int64_t fallback;         /* enum lock_fallback */
    } numa;
    int64_t max_hold_ms;
    int64_t attempts, backoff_ms, jitter_percent;
    struct score_selector pods;
};

struct lock_defaults {
    int64_t wait_ms, attempts, steals, backoff_ms;
    int64_t max_hold_ms; /* FIELD_NONE: as long as it takes */
};
struct lock_defaults kube_lock_policy_defaults(int64_t qos);

extern const struct fields kube_lock_policy_fields;

/*
 * As the decoders of kube/object.h; with `strict` an unknown field in spec is an error, too.
 * Beyond single fields: names of rules are unique.
 */
int kube_lock_policy_decode(struct kube_lock_policy *out, struct str json, bool strict,
                            struct arena *a, struct err *err) MUST_CHECK;

/* The page docs/reference/lock-policy.md. */
void kube_lock_policy_reference(struct buf *out);

#endif
