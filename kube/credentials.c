/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/credentials.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "kube/file.h"

static void wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->room);
    buf_free(b);
}

void kube_credentials_init(struct kube_credentials *c, const struct kube_access *access)
{
    *c = (struct kube_credentials){.access = access};
}

void kube_credentials_done(struct kube_credentials *c)
{
    wipe(&c->token);
    wipe(&c->ca);
    wipe(&c->cert);
    wipe(&c->key);
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return s.n > 0;
}

/* Without blanks and line ends around it. */
static struct str trimmed(struct str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]))
        s.p++, s.n--;
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

static int read_file(struct buf *out, const char *path, struct err *err)
{
    const int rc = kube_file_read(path, out, err);

    if (rc == 0 && out->n > KUBE_SECRET_BYTES)
        return err_set(err, -E2BIG, "%s: larger than %d bytes", path, KUBE_SECRET_BYTES);
    return rc;
}

/* `fresh` for `*to`, whose bytes are wiped. */
static void replace(struct buf *to, struct buf *fresh)
{
    wipe(to);
    *to = *fresh;
    *fresh = (struct buf){0};
}

static int read_token(struct kube_credentials *c, struct err *err)
{
    const struct kube_access *const a = c->access;
    struct buf text = {0}, token = {0};
    int rc = 0;

    if (a->token_file)
        rc = read_file(&text, a->token_file, err);
    else
        buf_text(&text, a->token ? a->token : "");
    const struct str only = trimmed(buf_view(&text));
    if (rc == 0 && a->token_file && !is_token(only))
        rc = err_set(err, -EINVAL, "%s: holds no token", a->token_file);
    buf_str(&token, only);
    if (rc == 0 && (text.failed || token.failed))
        rc = err_set(err, -ENOMEM, "no memory for the token");
    if (rc == 0)
        replace(&c->token, &token);
    wipe(&text);
    wipe(&token);
    return rc;
}

static int read_pem(struct buf *to, const struct kube_pem *pem, struct err *err)
{
    struct buf text = {0};
    int rc = 0;

    if (pem->text)
        buf_text(&text, pem->text);
    else if (pem->path)
        rc = read_file(&text, pem->path, err);
    if (rc == 0 && pem->path && !pem->text && !(text.n && memmem(text.p, text.n, "-----BEGIN", 10)))
        rc = err_set(err, -EINVAL, "%s: not PEM", pem->path);
    if (rc == 0 && text.failed)
        rc = err_set(err, -ENOMEM, "no memory for certificates");
    if (rc == 0)
        replace(to, &text);
    wipe(&text);
    return rc;
}

static bool wants(const struct kube_pem *pem)
{
    return pem->text || pem->path;
}

/* All three or none: a certificate goes with its key. */
static int read_pems(struct kube_credentials *c, struct err *err)
{
    const struct kube_access *const a = c->access;
    struct buf ca = {0}, cert = {0}, key = {0};
    int rc = wants(&a->ca) ? read_pem(&ca, &a->ca, err) : 0;

    if (rc == 0 && wants(&a->cert))
        rc = read_pem(&cert, &a->cert, err);
    if (rc == 0 && wants(&a->key))
        rc = read_pem(&key, &a->key, err);
    if (rc == 0) {
        replace(&c->ca, &ca);
        replace(&c->cert, &cert);
        replace(&c->key, &key);
    }
    wipe(&ca);
    wipe(&cert);
    wipe(&key);
    return rc;
}

static bool is_due(uint64_t read_ns, uint64_t now_ns, unsigned seconds)
{
    return read_ns == 0 || now_ns - read_ns >= seconds * UINT64_C(1000000000);
}

/* Was there ever all that is needed? */
static bool has_pems(const struct kube_credentials *c)
{
    const struct kube_access *const a = c->access;

    return (!wants(&a->ca) || c->ca.n) && (!wants(&a->cert) || (c->cert.n && c->key.n));
}

int kube_credentials_refresh(struct kube_credentials *c, uint64_t now_ns, struct err *err)
{
    int rc = 0;

    if (is_due(c->token_ns, now_ns, KUBE_TOKEN_S)) {
        rc = read_token(c, err);
        c->failures += rc != 0;
        if (rc && c->token.n == 0)
            return rc;
        c->token_ns = now_ns;
    }
    if (is_due(c->pem_ns, now_ns, KUBE_PEM_S)) {
        rc = read_pems(c, err);
        c->failures += rc != 0;
        if (rc && !has_pems(c))
            return rc;
        c->pem_ns = now_ns;
    }
    return 0;
}

void kube_credentials_doubt_token(struct kube_credentials *c)
{
    c->token_ns = 0;
}

void kube_credentials_doubt_pem(struct kube_credentials *c)
{
    c->pem_ns = 0;
}
