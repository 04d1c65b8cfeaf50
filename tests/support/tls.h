/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, and a TLS client that does as it is told. Fails the test. */
#ifndef TESTS_SUPPORT_TLS_H
#define TESTS_SUPPORT_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

/* A certificate with its key (P-256). */
struct tls_pair {
    X509 *cert;
    EVP_PKEY *key;
};

/* All of it may be 0: then nobody in particular, for a day, not a CA, for any use. */
struct tls_wish {
    const char *common_name;
    const char *organizations[4];
    const char *names; /* "DNS:a,URI:spiffe://b,IP:127.0.0.1" */
    const char *usage; /* "serverAuth" */
    bool is_ca;
    long from_s, to_s; /* from now; to_s 0 = a day */
};

/* Signed by `by`, or by itself where that is NULL. */
struct tls_pair tls_make(const struct tls_wish *wish, const struct tls_pair *by);
void tls_pair_free(struct tls_pair *p);

/* Files, PEM, by rename; `behind`: more certificates after the first, ended by one without. */
void tls_write_certs(const char *path, const struct tls_pair *first, const struct tls_pair *behind);
void tls_write_key(const char *path, const struct tls_pair *p, const char *password);

/* What a client brings along. */
struct tls_client {
    const struct tls_pair *own;     /* NULL: no certificate */
    const struct tls_pair *between; /* what leads from it to the CA; NULL: nothing */
    const struct tls_pair *ca;      /* whom it believes; NULL: everybody */
    int version;                    /* TLS1_2_VERSION: that one only; 0: what there is */
    const char *ciphers;            /* for TLS 1.2 and below */
    const char *protocols;          /* ALPN, "\x02h2" */
};

/*
 * A session over `fd`, which it takes over; NULL: refused. With TLS 1.3 a refusal of the client's
 * certificate comes only with the first read.
 */
SSL *tls_client_dial(int fd, const struct tls_client *with);
void tls_client_close(SSL *ssl); /* as one should */
void tls_client_drop(SSL *ssl);  /* without a word */

bool tls_say(SSL *ssl, const char *p, size_t n); /* false: it does not go out */

/* The reply's status, -1: the connection ended instead. Its body in `body` as far as it fits. */
int tls_hear(SSL *ssl, char *head, size_t head_room, char *body, size_t room);

#endif
