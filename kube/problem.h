/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with an object, field by field: `numawise check` prints it with a line of a file,
 * the admission webhook refuses the object for it. Both say the same, for it is said here.
 */
#ifndef KUBE_PROBLEM_H
#define KUBE_PROBLEM_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;
struct kube_nrt_attribute;
struct pod_hint;

/*
 * Is something wrong with this hint of a pod, or of the template of a workload of `kind`? As
 * kube_hint_check; then its field is appended: "metadata.annotations[orchestration.gokore.io/x]".
 */
int kube_hint_problem(struct buf *field, struct str kind, const struct pod_hint *hint,
                      struct err *err) MUST_CHECK;

/* The same of an attribute of a NodeResourceTopology; those without our prefix are others'. */
int kube_attribute_problem(struct buf *field, const struct kube_nrt_attribute *attribute,
                           struct err *err) MUST_CHECK;

/* Is it a kind that numawise defines (deploy/crds)? */
bool kube_is_own(struct str api_version, struct str kind);

/*
 * Decode an object of such a kind strictly. 0, or as its decoder: then `err` is "FIELD: what is
 * wrong". `scratch` is used and rewound.
 */
int kube_own_problem(struct str api_version, struct str kind, struct str json,
                     struct arena *scratch, struct err *err) MUST_CHECK;

#endif
