/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding a pod to a node: what kube-scheduler asks an extender (ExtenderBindingArgs and
 * ExtenderBindingResult of k8s.io/kube-scheduler/extender/v1), and what the API server is asked.
 */
#ifndef KUBE_BINDING_H
#define KUBE_BINDING_H

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;

/* Texts live in the arena; each is a name that Kubernetes has, so that it may stand in a path. */
struct kube_binding {
    struct str ns, pod, uid, node;
};

/*
 * Keys fold case and the last of equal ones wins, as in Go. `body` is followed by
 * SCAN_PADDING_BYTES. 0; -EINVAL (no JSON, or a name that is missing or is none: `err` says which);
 * -E2BIG; -ENOMEM.
 */
int kube_binding_decode(struct kube_binding *out, struct str body, struct arena *a,
                        struct err *err) MUST_CHECK;

/* The Binding with the pod's uid as its precondition; the annotation goes on to the pod. */
void kube_binding_encode(struct buf *out, const struct kube_binding *b, const char *annotation,
                         struct str value /* empty: none */);

/* "/api/v1/namespaces/NS/pods/POD/binding", or without "/binding" the pod's. */
void kube_binding_path(struct buf *out, const struct kube_binding *b);
void kube_binding_pod_path(struct buf *out, const struct kube_binding *b);

/* The list of the pods that are on the node. */
void kube_binding_node_path(struct buf *out, const struct kube_binding *b);

#endif
