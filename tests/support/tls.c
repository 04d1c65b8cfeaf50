/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tls.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY_S = 24 * 60 * 60, PATH_BYTES = 512 };

static void add_name(X509_NAME *name, const char *what, const char *text)
{
    if (text)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, what, MBSTRING_UTF8,
                                                    (const unsigned char *)text, -1, -1, 0),
                         1);
}

static void add_extension(X509 *cert, X509 *by, int nid, const char *text)
{
    X509V3_CTX ctx;

    if (!text)
        return;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, by, cert, NULL, NULL, 0);
    X509_EXTENSION *const e = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

struct tls_pair tls_make(const struct tls_wish *wish, const struct tls_pair *by)
{
    static long serial = 1;
    struct tls_pair p = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
    const struct tls_pair *const signer = by ? by : &p;

    assert_true(p.cert && p.key);
    X509_set_version(p.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), wish->to_s ? wish->to_s : DAY_S);
    X509_set_pubkey(p.cert, p.key);
    X509_NAME *const subject = X509_get_subject_name(p.cert);
    for (size_t i = 0; i < 4; i++)
        add_name(subject, "O", wish->organizations[i]);
    add_name(subject, "CN", wish->common_name);
    X509_set_issuer_name(p.cert, X509_get_subject_name(signer->cert));
    add_extension(p.cert, signer->cert, NID_basic_constraints,
                  wish->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(p.cert, signer->cert, NID_subject_key_identifier, "hash");
    if (by) /* how two CAs of one name are told apart */
        add_extension(p.cert, signer->cert, NID_authority_key_identifier, "keyid");
    add_extension(p.cert, signer->cert, NID_ext_key_usage, wish->usage);
    add_extension(p.cert, signer->cert, NID_subject_alt_name, wish->names);
    assert_true(X509_sign(p.cert, signer->key, EVP_sha256()) > 0);
    return p;
}

void tls_pair_free(struct tls_pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct tls_pair){0};
}

static FILE *begin(char *temporary, const char *path)
{
    assert_true(snprintf(temporary, PATH_BYTES, "%s.new", path) < PATH_BYTES);
    FILE *const f = fopen(temporary, "we");
    assert_non_null(f);
    return f;
}

static void finish(FILE *f, const char *temporary, const char *path)
{
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(temporary, path), 0);
}

void tls_write_certs(const char *path, const struct tls_pair *first, const struct tls_pair *behind)
{
    char temporary[PATH_BYTES];
    FILE *const f = begin(temporary, path);

    assert_int_equal(PEM_write_X509(f, first->cert), 1);
    for (; behind && behind->cert; behind++)
        assert_int_equal(PEM_write_X509(f, behind->cert), 1);
    finish(f, temporary, path);
}

void tls_write_key(const char *path, const struct tls_pair *p, const char *password)
{
    char temporary[PATH_BYTES];
    FILE *const f = begin(temporary, path);

    assert_int_equal(PEM_write_PrivateKey(f, p->key, password ? EVP_aes_128_cbc() : NULL,
                                          (const unsigned char *)password,
                                          password ? (int)strlen(password) : 0, NULL, NULL),
                     1);
    finish(f, temporary, path);
}

/* ---- the client ---- */

static SSL_CTX *context(const struct tls_client *with)
{
    SSL_CTX *const ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0); /* what a client of ours offers is the test's */
    SSL_CTX_set_min_proto_version(ctx, with->version);
    SSL_CTX_set_max_proto_version(ctx, with->version);
    if (with->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, with->ciphers), 1);
    if (with->protocols)
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)with->protocols,
                                (unsigned)strlen(with->protocols));
    if (with->own) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, with->own->cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, with->own->key), 1);
    }
    if (with->between)
        assert_int_equal(SSL_CTX_add1_chain_cert(ctx, with->between->cert), 1);
    if (with->ca) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), with->ca->cert);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    return ctx;
}

SSL *tls_client_dial(int fd, const struct tls_client *with)
{
    SSL_CTX *const ctx = context(with);
    SSL *const ssl = SSL_new(ctx);

    SSL_CTX_free(ctx);
    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    if (with->ca)
        assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1"), 1);
    if (SSL_connect(ssl) == 1)
        return ssl;
    tls_client_drop(ssl);
    return NULL;
}

void tls_client_drop(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);

    SSL_free(ssl);
    (void)close(fd);
}

void tls_client_close(SSL *ssl)
{
    (void)SSL_shutdown(ssl);
    tls_client_drop(ssl);
}

bool tls_say(SSL *ssl, const char *p, size_t n)
{
    while (n > 0) {
        size_t sent = 0;
        if (SSL_write_ex(ssl, p, n, &sent) != 1)
            return false;
        p += sent;
        n -= sent;
    }
    return true;
}

int tls_hear(SSL *ssl, char *head, size_t head_room, char *body, size_t room)
{
    size_t n = 0, got;
    char waste[4096];

    memset(head, 0, head_room);
    while (n < head_room - 1 && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
        if (SSL_read_ex(ssl, head + n, 1, &got) != 1)
            return -1;
        n++;
    }
    const char *const length = strstr(head, "\r\nContent-Length: ");
    const size_t all = length ? strtoul(length + 18, NULL, 10) : 0;
    for (n = 0; n < all; n += got) {
        char *const to = n < room ? body + n : waste;
        const size_t want = n < room ? room - n : sizeof(waste);
        if (SSL_read_ex(ssl, to, want < all - n ? want : all - n, &got) != 1)
            return -1;
    }
    if (n < room)
        body[n] = '\0';
    return atoi(head + strlen("HTTP/1.1 "));
}
