/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, PATH_BYTES = 512 };

struct pki {
    EVP_PKEY *key;
    X509 *cert;
};

static void must(int good)
{
    if (!good)
        abort();
}

static FILE *open_file(char *temporary, char *final, const char *path, const char *suffix)
{
    (void)snprintf(final, PATH_BYTES, "%s.%s", path, suffix);
    (void)snprintf(temporary, PATH_BYTES, "%s.%s.tmp", path, suffix);
    FILE *const f = fopen(temporary, "we");
    must(f != NULL);
    return f;
}

static void close_file(FILE *f, const char *temporary, const char *final)
{
    must(fclose(f) == 0 && rename(temporary, final) == 0);
}

static void write_cert(const char *path, X509 *cert)
{
    char temporary[PATH_BYTES], final[PATH_BYTES];
    FILE *const f = open_file(temporary, final, path, "crt");

    must(PEM_write_X509(f, cert));
    close_file(f, temporary, final);
}

static void write_key(const char *path, EVP_PKEY *key)
{
    char temporary[PATH_BYTES], final[PATH_BYTES];
    FILE *const f = open_file(temporary, final, path, "key");

    must(PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    close_file(f, temporary, final);
}

static X509 *make_cert(EVP_PKEY *key, const char *cn, const char *org, int64_t from_s, int64_t to_s)
{
    static atomic_long serial = 1000;
    X509 *const x = X509_new();

    must(x && X509_set_version(x, X509_VERSION_3) &&
         ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1)) &&
         X509_gmtime_adj(X509_getm_notBefore(x), (long)from_s) &&
         X509_gmtime_adj(X509_getm_notAfter(x), (long)to_s) && X509_set_pubkey(x, key));
    X509_NAME *const name = X509_get_subject_name(x);
    if (org)
        must(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)org, -1,
                                        -1, 0));
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1,
                                    0));
    return x;
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *const e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

struct pki *pki_new(const char *name, const char *path)
{
    struct pki *const p = calloc(1, sizeof(*p));

    must(p != NULL);
    p->key = EVP_EC_gen("P-256");
    must(p->key != NULL);
    p->cert = make_cert(p->key, name, NULL, -DAY_S, DAY_S);
    must(X509_set_issuer_name(p->cert, X509_get_subject_name(p->cert)));
    extend(p->cert, p->cert, NID_basic_constraints, "critical,CA:TRUE");
    extend(p->cert, p->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    extend(p->cert, p->cert, NID_subject_key_identifier, "hash");
    must(X509_sign(p->cert, p->key, EVP_sha256()));
    write_cert(path, p->cert);
    return p;
}

void pki_free(struct pki *p)
{
    if (!p)
        return;
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    free(p);
}

void pki_sign(struct pki *p, const struct pki_leaf *leaf, const char *path)
{
    const int now = leaf->from_s == 0 && leaf->to_s == 0;
    EVP_PKEY *const key = EVP_EC_gen("P-256");

    must(key != NULL);
    X509 *const x =
        make_cert(key, leaf->cn, leaf->org, now ? -DAY_S : leaf->from_s, now ? DAY_S : leaf->to_s);
    must(X509_set_issuer_name(x, X509_get_subject_name(p->cert)));
    extend(x, p->cert, NID_basic_constraints, "critical,CA:FALSE");
    extend(x, p->cert, NID_key_usage, "critical,digitalSignature");
    extend(x, p->cert, NID_ext_key_usage, leaf->client ? "clientAuth" : "serverAuth");
    extend(x, p->cert, NID_authority_key_identifier, "keyid");
    if (leaf->san)
        extend(x, p->cert, NID_subject_alt_name, leaf->san);
    must(X509_sign(x, p->key, EVP_sha256()));
    write_cert(path, x);
    write_key(path, key);
    X509_free(x);
    EVP_PKEY_free(key);
}
