/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a certificate names. Pure: OpenSSL's object in, texts out. */
#ifndef NET_IDENTITY_H
#define NET_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/types.h>

#include "net/http.h"

enum { IDENTITY_ORGANIZATIONS = 16, IDENTITY_NAMES = 32, IDENTITY_TEXT_BYTES = 2048 };

/* Shared by the connection and the requests that outlive it, on the server's thread. */
struct identity {
    unsigned refs;
    struct http_client client; /* points into the rest */
    struct str organizations[IDENTITY_ORGANIZATIONS];
    struct str names[IDENTITY_NAMES];
    char text[IDENTITY_TEXT_BYTES];
    size_t text_n;
};

/*
 * With one reference; NULL when out of memory. What does not fit, or holds a zero byte, is left
 * out: it can then not be allowed by mistake. DNS names are in lower case. Of several common names
 * the last counts, as for Go's crypto/x509.
 */
struct identity *identity_new(const X509 *certificate);
void identity_ref(struct identity *id);   /* NULL is fine */
void identity_unref(struct identity *id); /* NULL is fine */

/* Is the common name, a DNS name or a URI among the `n` allowed ones? */
bool identity_is_allowed(const struct identity *id, char *const *allowed, size_t n);

#endif
