/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an API server is reached, and as whom: from kubeconfig files by kubectl's rules, or from the
 * ServiceAccount of the pod this runs in. What is in files stays a path here and is read again when
 * it is used (kube/credentials.h); nothing connects yet.
 *
 * TLS is always verified. What would weaken that, or what is not supported, is refused with the
 * field's name, never passed over: insecure-skip-tls-verify, credential plugins (exec,
 * auth-provider), passwords, impersonation.
 */
#ifndef KUBE_KUBECONFIG_H
#define KUBE_KUBECONFIG_H

#include "base/attr.h"
#include "base/str.h"

struct err;

/* PEM: the text itself, or a file; both NULL = not given. Text wins, as in kubectl. */
struct kube_pem {
    char *text, *path;
};

/* All texts are on the heap and terminated; NULL = not set. */
struct kube_access {
    char *server;      /* "https://10.0.0.1:6443", without a slash at its end */
    char *server_name; /* that the certificate must have, where it is not the server's host */
    char *proxy;       /* "http://proxy:3128" */
    char *ns;          /* of the context, or the pod's own */
    char *from;        /* where this is from, for people: "context admin of FILE" */
    struct kube_pem ca, cert, key;
    char *token, *token_file; /* the file wins */
};

/*
 * The current context of one kubeconfig file, which must be there. Paths in it are relative to it.
 * 0; -EINVAL (`err`: "FILE:LINE:COLUMN: field: what is wrong"); -ENOTSUP (what it asks for is not
 * supported); -E2BIG; -ENOMEM; or the errno of reading it. `out` is written only on success.
 */
int kube_access_read(struct kube_access *out, const char *path, struct err *err) MUST_CHECK;

/* The same for text in memory; `path` is used in messages, and paths are relative to it. */
int kube_access_read_text(struct kube_access *out, struct str text, const char *path,
                          struct err *err) MUST_CHECK;

/*
 * The same from a list of files joined by ':', as in the variable KUBECONFIG. Files that are not
 * there are passed over, one at least must be. The first file that names a current context, and
 * the first that has an entry of a name, win.
 */
int kube_access_merge(struct kube_access *out, const char *list, struct err *err) MUST_CHECK;

#define KUBE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/*
 * The ServiceAccount in `dir` (KUBE_ACCOUNT_DIR); host and port are the variables
 * KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, NULL or empty outside of a pod: -ENOENT.
 * Else the errno of the file that cannot be read; -EINVAL.
 */
int kube_access_in_cluster(struct kube_access *out, const char *host, const char *port,
                           const char *dir, struct err *err) MUST_CHECK;

void kube_access_done(struct kube_access *a); /* secrets are wiped */

#endif
