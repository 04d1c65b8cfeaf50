/* SPDX-License-Identifier: Apache-2.0 */
/* ConcurrencyPolicy orchestration.gokore.io/v1beta1. */
#ifndef KUBE_POLICY_H
#define KUBE_POLICY_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/fields.h"
#include "scoring/policy.h"

struct arena;
struct err;

#define KUBE_POLICY_API  "orchestration.gokore.io/v1beta1"
#define KUBE_POLICY_KIND "ConcurrencyPolicy"

/* The table: decoder, docs/reference/concurrency-policy.md and the CRD's schema say the same. */
extern const struct fields kube_policy_fields;

/*
 * As the decoders of kube/object.h; with `strict` an unknown field in spec is an error, too.
 * Beyond single fields: priorities and names of classes are unique, and no class bears the name
 * of one that is built in; a distance is 0 or at least 10.
 */
int kube_policy_decode(struct score_policy *out, struct str json, bool strict, struct arena *a,
                       struct err *err) MUST_CHECK;

/* The page. */
void kube_policy_reference(struct buf *out);

#endif
