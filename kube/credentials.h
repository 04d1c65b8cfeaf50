/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets of a struct kube_access as they are now: what lies in files is read again in time,
 * for tokens and certificates rotate while we run. Read by kube/api.c only.
 *
 * What was good last stays when a file cannot be read or holds nonsense.
 */
#ifndef KUBE_CREDENTIALS_H
#define KUBE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "kube/kubeconfig.h"

struct err;

/* A token is believed for a minute less ten seconds, certificates for five minutes, as in Go. */
enum { KUBE_TOKEN_S = 50, KUBE_PEM_S = 300, KUBE_SECRET_BYTES = 1024 * 1024 };

struct kube_credentials {
    const struct kube_access *access;
    struct buf token, ca, cert, key; /* n = 0: none */
    uint64_t token_ns, pem_ns;       /* when they were read; 0 = not yet, or not to be believed */
    uint64_t failures;               /* to read a file again */
};

/* `access` is borrowed and outlives it. */
void kube_credentials_init(struct kube_credentials *c, const struct kube_access *access);
void kube_credentials_done(struct kube_credentials *c); /* wipes */

/*
 * Read again what is due at `now_ns` (monotonic, never 0). 0; -errno or -EINVAL, with the file in
 * `err`, where something is needed and was never good.
 */
int kube_credentials_refresh(struct kube_credentials *c, uint64_t now_ns,
                             struct err *err) MUST_CHECK;

/* The server did not believe the token, or the certificates: read them again with the next use. */
void kube_credentials_doubt_token(struct kube_credentials *c);
void kube_credentials_doubt_pem(struct kube_credentials *c);

#endif
