/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AdmissionReview admission.k8s.io/v1: what an API server asks a webhook about an object before it
 * stores it, and the answer.
 */
#ifndef KUBE_ADMISSION_H
#define KUBE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;

enum kube_operation { KUBE_OPERATION_OTHER, KUBE_OPERATION_CREATE, KUBE_OPERATION_UPDATE };

/* The request of a review. Texts are in the arena, objects are slices of the body. */
struct kube_admission {
    struct str uid;                  /* to be said again in the answer */
    struct str group, version, kind; /* of the objects; the group of a Pod is empty */
    struct str subresource;          /* "status"; empty: the object itself */
    struct str ns, name;             /* name: empty where the API server makes it */
    enum kube_operation operation;
    struct str object, old_object; /* JSON objects; empty: null, or not there */
};

/*
 * 0; -EINVAL (no JSON; not an AdmissionReview of this version with a request; a field that is
 * looked at is given twice, missing or of a wrong type: `err` names it as "request.uid"); -E2BIG;
 * -ENOMEM. `json` is followed by SCAN_PADDING_BYTES; on failure arena and `out` are as before.
 */
int kube_admission_decode(struct kube_admission *out, struct str json, struct arena *a,
                          struct err *err) MUST_CHECK;

/* One thing that an object is refused for. */
struct kube_cause {
    struct str field, message; /* "spec.numa.stealThreshold", "expected an integer" */
};

struct kube_verdict {
    /* Refused: code, reason ("Invalid") and a sentence; kubectl prints kind, name and causes. */
    bool allowed;
    int code;
    const char *reason;
    struct str message;
    const struct kube_cause *causes; /* [n_causes] */
    uint32_t n_causes;
    const struct str *warnings; /* [n_warnings] a line for the client each */
    uint32_t n_warnings;
};

/*
 * Append the AdmissionReview that answers `ask`. A warning goes into an HTTP header: what is no
 * printable ASCII becomes '?'.
 */
void kube_admission_answer(struct buf *out, const struct kube_admission *ask,
                           const struct kube_verdict *verdict);

#endif
