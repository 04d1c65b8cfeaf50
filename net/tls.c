/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/err.h"

enum { CHAIN_DEPTH = 8, CLIENT_CHAIN_BYTES = 32 * 1024 };

struct tls {
    pthread_mutex_t lock;
    struct tls_version *newest;           /* under the lock */
    unsigned char seen[TLS_DIGEST_BYTES]; /* settings and files of the last tls_use, good or bad */
};

/* One file, whole. The key's bytes are wiped. */
struct file {
    const char *path; /* NULL: not set */
    unsigned char *p;
    size_t n;
};

struct files {
    struct file cert, key, ca;
};

static void free_file(struct file *f)
{
    if (f->p)
        OPENSSL_cleanse(f->p, f->n);
    free(f->p);
}

static void free_files(struct files *f)
{
    free_file(&f->cert);
    free_file(&f->key);
    free_file(&f->ca);
}

static void close_file(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

static int read_file(struct file *out, const char *path, struct err *err)
{
    CLEANUP(close_file) FILE *f = NULL;

    if (!path || !path[0])
        return 0;
    out->path = path;
    f = fopen(path, "re");
    if (!f)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    out->p = malloc(TLS_FILE_BYTES + 1);
    if (!out->p)
        return err_set(err, -ENOMEM, "%s: no memory", path);
    setvbuf(f, NULL, _IONBF, 0); /* no second copy of a key */
    out->n = fread(out->p, 1, TLS_FILE_BYTES + 1, f);
    if (ferror(f))
        return err_set(err, -EIO, "%s: %s", path, strerror(errno));
    if (out->n > TLS_FILE_BYTES)
        return err_set(err, -EINVAL, "%s: larger than %d bytes", path, TLS_FILE_BYTES);
    return 0;
}

static int read_files(struct files *out, const struct http_tls *settings, struct err *err)
{
    int rc = read_file(&out->cert, settings->cert_file, err);

    if (rc == 0)
        rc = read_file(&out->key, settings->key_file, err);
    if (rc == 0)
        rc = read_file(&out->ca, settings->client_ca_file, err);
    return rc;
}

/* ---- digests: has anything changed ---- */

static void add(EVP_MD_CTX *md, const void *p, size_t n)
{
    const uint64_t length = n;

    EVP_DigestUpdate(md, &length, sizeof(length));
    EVP_DigestUpdate(md, p, n);
}

static bool digest(unsigned char out[TLS_DIGEST_BYTES], const struct files *f,
                   const struct http_tls *settings, bool trust_only)
{
    EVP_MD_CTX *const md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    if (ok) {
        if (!trust_only) {
            add(md, f->cert.p, f->cert.n);
            add(md, f->key.p, f->key.n);
        }
        add(md, f->ca.p, f->ca.n);
        for (size_t i = 0; i < settings->n_allowed_names; i++)
            add(md, settings->allowed_names[i], strlen(settings->allowed_names[i]));
        add(md, &settings->client_optional, sizeof(settings->client_optional));
        ok = EVP_DigestFinal_ex(md, out, NULL) == 1;
    }
    EVP_MD_CTX_free(md);
    return ok;
}

/* ---- a version ---- */

void tls_version_unref(struct tls_version *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    SSL_CTX_free(v->ctx);
    for (size_t i = 0; i < v->n_allowed_names; i++)
        free(v->allowed_names[i]);
    free(v->allowed_names);
    free(v);
}

/* OpenSSL's own reason, in words. */
static const char *openssl_reason(void)
{
    const char *const reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "unknown error";
}

/* Nobody can be asked for a password. */
static int no_password(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

static BIO *bio_of(const struct file *f)
{
    return BIO_new_mem_buf(f->p, (int)f->n);
}

/* Does the file hold more after what was read, and was it read without an error? */
static bool is_end_of_pem(void)
{
    const unsigned long error = ERR_peek_last_error();
    const bool end =
        ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (end)
        ERR_clear_error();
    return end;
}

static int wrong(struct err *err, const struct file *f, const char *what)
{
    return err_set(err, -EINVAL, "%s: %s (%s)", f->path, what, openssl_reason());
}

static int use_certificate(struct tls_version *v, const struct file *f, struct err *err)
{
    BIO *const bio = bio_of(f);
    X509 *const leaf = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL) : NULL;
    struct tm tm;
    int rc = 0;

    if (!leaf || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1)
        rc = wrong(err, f, "no certificate in it");
    else if (SSL_CTX_use_certificate(v->ctx, leaf) != 1)
        rc = wrong(err, f, "the certificate cannot be used");
    else
        v->expires_s = timegm(&tm);
    X509_free(leaf);
    while (rc == 0) {
        X509 *const next = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        if (!next) {
            rc = is_end_of_pem() ? 0 : wrong(err, f, "broken behind the first certificate");
            break;
        }
        if (SSL_CTX_add0_chain_cert(v->ctx, next) != 1) {
            X509_free(next);
            rc = wrong(err, f, "a certificate behind the first cannot be used");
        }
    }
    BIO_free(bio);
    return rc;
}

static int use_key(struct tls_version *v, const struct files *f, struct err *err)
{
    BIO *const bio = bio_of(&f->key);
    EVP_PKEY *const key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    int rc = 0;

    BIO_free(bio);
    if (!key)
        rc = wrong(err, &f->key, "no private key in it that opens without a password");
    else if (SSL_CTX_use_PrivateKey(v->ctx, key) != 1 || SSL_CTX_check_private_key(v->ctx) != 1)
        rc = err_set(err, -EINVAL, "%s: not the key of the certificate in %s", f->key.path,
                     f->cert.path);
    EVP_PKEY_free(key);
    return rc;
}

/* Any certificate of the file is trusted as it stands, as in Go: also one that is no root. */
static int use_client_ca(struct tls_version *v, const struct file *f, struct err *err)
{
    X509_STORE *const store = SSL_CTX_get_cert_store(v->ctx);
    BIO *const bio = bio_of(f);
    unsigned n = 0;
    int rc = 0;

    while (rc == 0) {
        X509 *const ca = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
        if (!ca) {
            rc = is_end_of_pem() && n > 0 ? 0 : wrong(err, f, "no certificate of a CA in it");
            break;
        }
        if (X509_STORE_add_cert(store, ca) != 1 || SSL_CTX_add_client_CA(v->ctx, ca) != 1)
            rc = wrong(err, f, "a certificate cannot be used");
        X509_free(ca);
        n++;
    }
    BIO_free(bio);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    v->verify = SSL_VERIFY_PEER;
    return rc;
}

static int copy_names(struct tls_version *v, const struct http_tls *settings, struct err *err)
{
    v->allowed_names = calloc(settings->n_allowed_names + 1, sizeof(*v->allowed_names));
    if (!v->allowed_names)
        return err_set(err, -ENOMEM, "no memory for names");
    for (; v->n_allowed_names < settings->n_allowed_names; v->n_allowed_names++) {
        v->allowed_names[v->n_allowed_names] = strdup(settings->allowed_names[v->n_allowed_names]);
        if (!v->allowed_names[v->n_allowed_names])
            return err_set(err, -ENOMEM, "no memory for names");
    }
    return 0;
}

/* We speak HTTP/1.1, whatever else is offered; who offers no protocol means it, too. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;

    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/*
 * Forward secrecy and AEAD only. No session is resumed: Go's clients do not unless they are told
 * to, and so nobody comes in by a ticket whose certificate would no longer be let in.
 */
static SSL_CTX *new_context(void)
{
    /* AES-128 first, as Go has it: the faster one */
    static const char suites_13[] =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
    static const char suites_12[] =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20";
    SSL_CTX *const ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_BYTES);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_ciphersuites(ctx, suites_13) == 1 &&
        SSL_CTX_set_cipher_list(ctx, suites_12) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static int build(struct tls_version *v, const struct files *f, const struct http_tls *settings,
                 struct err *err)
{
    int rc = copy_names(v, settings, err);

    ERR_clear_error();
    if (rc == 0 && !(v->ctx = new_context()))
        rc = err_set(err, -EIO, "TLS cannot be set up (%s)", openssl_reason());
    if (rc == 0)
        rc = use_certificate(v, &f->cert, err);
    if (rc == 0)
        rc = use_key(v, f, err);
    if (rc == 0 && f->ca.path)
        rc = use_client_ca(v, &f->ca, err);
    if (f->ca.path && !settings->client_optional)
        v->verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    ERR_clear_error();
    return rc;
}

static int new_version(struct tls_version **out, const struct files *f,
                       const struct http_tls *settings, struct err *err)
{
    struct tls_version *const v = calloc(1, sizeof(*v));

    if (!v)
        return err_set(err, -ENOMEM, "no memory for a certificate");
    v->refs = 1;
    const int rc = digest(v->trust, f, settings, true) ? build(v, f, settings, err)
                                                       : err_set(err, -EIO, "no SHA-256");
    if (rc == 0)
        *out = v;
    else
        tls_version_unref(v);
    return rc;
}

/* ---- the newest version ---- */

struct tls *tls_new(void)
{
    struct tls *const t = calloc(1, sizeof(*t));

    if (t)
        pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    tls_version_unref(t->newest);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

struct tls_version *tls_get(struct tls *t)
{
    pthread_mutex_lock(&t->lock);
    struct tls_version *const v = t->newest;
    if (v)
        atomic_fetch_add(&v->refs, 1);
    pthread_mutex_unlock(&t->lock);
    return v;
}

bool tls_trusts_alike(struct tls *t, const struct tls_version *v)
{
    pthread_mutex_lock(&t->lock);
    const bool alike = t->newest == v || memcmp(t->newest->trust, v->trust, TLS_DIGEST_BYTES) == 0;
    pthread_mutex_unlock(&t->lock);
    return alike;
}

/* A certificate outside its time does not replace one that may still be good. */
static int check_time(const struct tls_version *v, const struct file *f, struct err *err)
{
    const X509 *const leaf = SSL_CTX_get0_certificate(v->ctx);

    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        return err_set(err, -EINVAL, "%s: the certificate has expired", f->path);
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
        return err_set(err, -EINVAL, "%s: the certificate is not valid yet", f->path);
    return 0;
}

static void publish(struct tls *t, struct tls_version *v)
{
    pthread_mutex_lock(&t->lock);
    struct tls_version *const before = t->newest;
    t->newest = v;
    pthread_mutex_unlock(&t->lock);
    tls_version_unref(before);
}

int tls_use(struct tls *t, const struct http_tls *settings, struct err *err)
{
    CLEANUP(free_files) struct files f = {0};
    unsigned char all[TLS_DIGEST_BYTES];
    struct tls_version *next = NULL;
    int rc = read_files(&f, settings, err);

    if (rc)
        return rc;
    if (!f.cert.path || !f.key.path)
        return err_set(err, -EINVAL, "a certificate without a key, or a key without a certificate");
    if (!f.ca.path && settings->n_allowed_names > 0)
        return err_set(err, -EINVAL, "allowed names without the CA of the clients");
    if (!digest(all, &f, settings, false))
        return err_set(err, -EIO, "no SHA-256");
    if (memcmp(all, t->seen, sizeof(all)) == 0)
        return 0;
    memcpy(t->seen, all, sizeof(all));
    rc = new_version(&next, &f, settings, err);
    if (rc == 0 && t->newest)
        rc = check_time(next, &f.cert, err);
    if (rc) {
        tls_version_unref(next);
        return rc;
    }
    publish(t, next);
    return 1;
}
