/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace v1, as far as policies select by it. */
#ifndef KUBE_NAMESPACE_H
#define KUBE_NAMESPACE_H

#include "base/attr.h"
#include "base/str.h"
#include "scoring/labels.h"

struct arena;
struct err;

struct kube_namespace {
    struct str name;
    struct score_labels
        labels; /* kubernetes.io/metadata.name among them, as the API server has it */
};

/* The label that every namespace has. */
uint64_t kube_namespace_label(struct str name);

/* As the decoders of kube/object.h. */
int kube_namespace_decode(struct kube_namespace *out, struct str json, struct arena *a,
                          struct err *err) MUST_CHECK;

#endif
