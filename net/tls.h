/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listener shows to its clients and asks of them: settings and files become a version, each
 * connection keeps the one it began with, and the next version is swapped in beside them.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "base/attr.h"
#include "net/http.h"

struct err;

enum { TLS_FILE_BYTES = 1024 * 1024, TLS_DIGEST_BYTES = 32 };

/* Immutable but for `refs`. */
struct tls_version {
    atomic_uint refs;
    SSL_CTX *ctx;
    char **allowed_names; /* [n_allowed_names] */
    size_t n_allowed_names;
    int verify; /* SSL_VERIFY_...; 0 = nobody is asked for a certificate */
    int64_t expires_s;
    unsigned char trust[TLS_DIGEST_BYTES]; /* of CA and names: whom it lets in */
};

struct tls;

/* No version yet. NULL when out of memory. */
struct tls *tls_new(void);
void tls_free(struct tls *t); /* NULL is fine */

/* See http_server_secure. */
int tls_use(struct tls *t, const struct http_tls *settings, struct err *err) MUST_CHECK;

/* The newest version, with a reference; NULL before the first. From any thread. */
struct tls_version *tls_get(struct tls *t);
void tls_version_unref(struct tls_version *v); /* NULL is fine */

/* Does the newest version let in the same clients as `v`? */
bool tls_trusts_alike(struct tls *t, const struct tls_version *v);

#endif
