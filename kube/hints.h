/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hints of a pod: annotations with the prefix orchestration.gokore.io/ (contract section 4).
 * `check` refuses what does not parse, `explain` lists it, a decision ignores it.
 */
#ifndef KUBE_HINTS_H
#define KUBE_HINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "scoring/policy.h"
#include "scoring/request.h"

#define KUBE_HINT_PREFIX "orchestration.gokore.io/"

/* Kubernetes' own bandwidth annotations count alike; their keys are kept whole. */
#define KUBE_HINT_INGRESS "kubernetes.io/ingress-bandwidth"
#define KUBE_HINT_EGRESS  "kubernetes.io/egress-bandwidth"

struct buf;

/*
 * Is this hint (key without the prefix) one we know, and does its value parse? 0; -ENOENT: no such
 * hint, `err` says what was perhaps meant; -EINVAL: bad value, `err` says what is expected.
 */
int kube_hint_check(struct str key, struct str value, struct err *err) MUST_CHECK;

/* What the hints say; those that do not parse say nothing. Borrows from the pod. */
struct score_hints kube_hints_read(const struct score_pod *pod);

/* Append the annotation's name for a key of struct pod_hint. */
void kube_hint_annotation(struct buf *out, struct str key);

/* The pod says: leave me alone (`ignore: "true"`). */
bool kube_hints_ignore(const struct score_pod *pod);

#endif
