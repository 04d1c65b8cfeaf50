/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two questions to an API server about somebody who calls: whose token is it (TokenReview of
 * authentication.k8s.io/v1), and may he do this (SubjectAccessReview of authorization.k8s.io/v1).
 * Texts only; kube/api.h carries them.
 */
#ifndef KUBE_REVIEW_H
#define KUBE_REVIEW_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;

#define KUBE_TOKEN_REVIEWS  "/apis/authentication.k8s.io/v1/tokenreviews"
#define KUBE_ACCESS_REVIEWS "/apis/authorization.k8s.io/v1/subjectaccessreviews"

/* Somebody as the API server knows him. */
struct kube_user {
    struct str name; /* "system:serviceaccount:bank:teller" */
    struct str uid;
    struct str groups; /* JSON list of texts; empty = none */
    struct str extra;  /* JSON object of such lists; empty = none */
};

struct kube_token_verdict {
    bool authenticated; /* else the rest is empty */
    struct kube_user user;
    struct str pod, pod_uid; /* that the token is bound to; empty = to none */
};

/* The body that asks whose `token` it is, issued for `audience`. */
void kube_token_review(struct buf *out, struct str token, const char *audience);

/*
 * The answer. Only a token that the server says is for `audience` counts: one that does not know
 * audiences says nothing of them. Texts are in `a`. 0; -EINVAL: it is no answer, `err` says why;
 * -ENOMEM.
 */
int kube_token_review_read(struct kube_token_verdict *out, struct str json, const char *audience,
                           struct arena *a, struct err *err) MUST_CHECK;

/* What somebody wants to do, to a resource as rules name it ("pods/resize"); empty namespace: in
 * all of them; empty name: to all objects. */
struct kube_attributes {
    const char *verb, *group, *resource;
    struct str ns, name;
};

void kube_access_review(struct buf *out, const struct kube_user *user,
                        const struct kube_attributes *wish);

/* 0; -EINVAL: it is no answer. */
int kube_access_review_read(bool *out_allowed, struct str json, struct err *err) MUST_CHECK;

/* The namespace of "system:serviceaccount:NAMESPACE:NAME"; empty: it is no ServiceAccount. */
struct str kube_account_namespace(struct str user);

#endif
