/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made in a test: CAs, and what they sign. P-256; times are relative to now. */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

#include <stdint.h>

/* An authority; its certificate is written to PATH.crt. NULL: abort. */
struct pki;
struct pki *pki_new(const char *name, const char *path);
void pki_free(struct pki *p);

struct pki_leaf {
    const char *cn;
    const char *san;      /* "DNS:localhost,IP:127.0.0.1"; NULL = none */
    const char *org;      /* O=..., NULL = none */
    int client;           /* else a server's */
    int64_t from_s, to_s; /* validity, from now; both 0 = from a day ago to a day from now */
};

/* Write PATH.crt and PATH.key, each by rename. */
void pki_sign(struct pki *p, const struct pki_leaf *leaf, const char *path);

#endif
