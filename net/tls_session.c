/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "net/identity.h"
#include "net/tls.h"

enum {
    RECORD_BYTES = 16 * 1024,
    RECORD_ROOM = RECORD_BYTES + 512, /* with its head, tag and padding */
    PIECE_BYTES = 128 * 1024,         /* one recv, one send */
};

/* Bytes of the socket: what came and is not decrypted, or is encrypted and not sent. */
struct piece {
    char *p; /* [PIECE_BYTES], NULL while empty */
    size_t at, n;
};

struct tls_session {
    SSL *ssl;
    struct tls_version *version;
    int fd;
    struct piece in, out;
    struct identity *identity;
    enum http_tls_failure why; /* what the look at the certificate found */
    bool has_more;
    bool is_broken; /* the socket failed */
};

static bool make_room(struct piece *b, size_t room)
{
    if (!b->p) {
        b->p = malloc(PIECE_BYTES);
        b->at = b->n = 0;
    } else if (b->at > 0 && PIECE_BYTES - b->n < room) {
        memmove(b->p, b->p + b->at, b->n - b->at);
        b->n -= b->at;
        b->at = 0;
    }
    return b->p && PIECE_BYTES - b->n >= room;
}

static void release_if_empty(struct piece *b)
{
    if (b->at < b->n)
        return;
    free(b->p);
    *b = (struct piece){0};
}

/* ---- the socket, as OpenSSL sees it ---- */

/* true: bytes came. `is_broken` says the end, too. */
static bool fill(struct tls_session *s)
{
    ssize_t n;

    if (!make_room(&s->in, 1))
        return false;
    do
        n = recv(s->fd, s->in.p + s->in.n, PIECE_BYTES - s->in.n, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        s->in.n += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        s->is_broken = true;
    return n > 0;
}

static int read_in(BIO *bio, char *p, int room)
{
    struct tls_session *const s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (s->in.at == s->in.n && !fill(s)) {
        if (!s->is_broken)
            BIO_set_retry_read(bio);
        return s->is_broken ? 0 : -1;
    }
    const size_t there = s->in.n - s->in.at;
    const size_t n = there < (size_t)room ? there : (size_t)room;
    memcpy(p, s->in.p + s->in.at, n);
    s->in.at += n;
    if (s->in.at == s->in.n)
        s->in.at = s->in.n = 0;
    return (int)n;
}

/* What is encrypted goes out as far as the socket takes it. */
static enum wire_end push(struct tls_session *s)
{
    while (s->out.at < s->out.n) {
        const ssize_t n =
            send(s->fd, s->out.p + s->out.at, s->out.n - s->out.at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            s->out.at += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            return WIRE_AGAIN;
        else if (n < 0 && errno != EINTR)
            return WIRE_DEAD;
    }
    s->out.at = s->out.n = 0;
    return WIRE_DONE;
}

/*
 * There is always room: before a record is made, push has seen to it. Only a client that makes us
 * answer its messages without ever reading fills it, and loses its connection.
 */
static int write_out(BIO *bio, const char *p, int n)
{
    struct tls_session *const s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (n < 0 || !make_room(&s->out, (size_t)n)) {
        s->is_broken = true;
        return -1;
    }
    memcpy(s->out.p + s->out.n, p, (size_t)n);
    s->out.n += (size_t)n;
    return n;
}

static long control(BIO *bio, int what, long number, void *p)
{
    (void)bio, (void)number, (void)p;
    return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP; /* nothing to do, successfully */
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "numawise");
    if (!method)
        return;
    BIO_meth_set_read(method, read_in);
    BIO_meth_set_write(method, write_out);
    BIO_meth_set_ctrl(method, control);
}

/* ---- who may come in ---- */

static enum http_tls_failure failure_of(int error)
{
    return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID
               ? HTTP_TLS_VALIDITY
               : HTTP_TLS_UNTRUSTED;
}

/* OpenSSL has its verdict on one certificate of the chain; the client's own comes last. */
static int look_at(int is_good, X509_STORE_CTX *store)
{
    SSL *const ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *const s = SSL_get_app_data(ssl);

    if (!is_good) {
        s->why = failure_of(X509_STORE_CTX_get_error(store));
        return 0;
    }
    if (X509_STORE_CTX_get_error_depth(store) > 0)
        return 1;
    identity_unref(s->identity);
    s->identity = identity_new(X509_STORE_CTX_get_current_cert(store));
    const struct tls_version *const v = s->version;
    if (s->identity && (v->n_allowed_names == 0 ||
                        identity_is_allowed(s->identity, v->allowed_names, v->n_allowed_names)))
        return 1;
    s->why = HTTP_TLS_NAME;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static enum http_tls_failure reason_of(const struct tls_session *s)
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error);

    if (s->why != HTTP_TLS_FAILURES)
        return s->why;
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return HTTP_TLS_NO_CERTIFICATE;
    /* an alert of the client's: its number and SSL_AD_REASON_OFFSET */
    if (s->is_broken || reason >= SSL_AD_REASON_OFFSET)
        return HTTP_TLS_CLIENT;
    return HTTP_TLS_PROTOCOL;
}

/* ---- the session ---- */

static SSL *new_ssl(struct tls_session *s, const struct tls_version *v)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL *const ssl = SSL_new(v->ctx);

    pthread_once(&once, make_method);
    BIO *const bio = method ? BIO_new(method) : NULL;
    if (!ssl || !bio) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, s);
    SSL_set_accept_state(ssl);
    return ssl;
}

struct tls_session *tls_session_new(struct tls_version *v, int fd)
{
    struct tls_session *const s = calloc(1, sizeof(*s));

    if (s) {
        s->fd = fd;
        s->version = v;
        s->why = HTTP_TLS_FAILURES;
        s->ssl = new_ssl(s, v);
    }
    if (s && s->ssl) {
        if (v->verify)
            SSL_set_verify(s->ssl, v->verify, look_at);
        return s;
    }
    free(s);
    tls_version_unref(v);
    return NULL;
}

void tls_session_free(struct tls_session *s, int fd)
{
    if (!s)
        return;
    s->fd = fd;
    if (fd >= 0)
        tls_session_shut(s);
    SSL_free(s->ssl);
    free(s->in.p);
    free(s->out.p);
    identity_unref(s->identity);
    tls_version_unref(s->version);
    free(s);
}

enum wire_end tls_session_shake(struct tls_session *s, enum http_tls_failure *why)
{
    ERR_clear_error();
    const int rc = SSL_do_handshake(s->ssl);
    const bool goes_on = rc == 1 || SSL_get_error(s->ssl, rc) == SSL_ERROR_WANT_READ;
    const enum wire_end sent = push(s);

    release_if_empty(&s->in);
    release_if_empty(&s->out);
    if (!goes_on)
        *why = reason_of(s);
    else if (sent == WIRE_DEAD)
        *why = HTTP_TLS_CLIENT;
    ERR_clear_error();
    if (!goes_on || sent == WIRE_DEAD)
        return WIRE_DEAD;
    s->has_more = rc == 1;
    return rc == 1 && sent == WIRE_DONE ? WIRE_DONE : WIRE_AGAIN;
}

ssize_t tls_session_read(struct tls_session *s, char *p, size_t room)
{
    size_t n = 0;
    int error = SSL_ERROR_NONE;

    ERR_clear_error();
    while (n < room && error == SSL_ERROR_NONE) {
        size_t got = 0;
        const int rc = SSL_read_ex(s->ssl, p + n, room - n, &got);
        n += got;
        if (rc != 1)
            error = SSL_get_error(s->ssl, rc);
    }
    s->has_more = error == SSL_ERROR_NONE;
    s->is_broken |= error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
    release_if_empty(&s->in);
    if (s->out.n > 0 && push(s) == WIRE_DEAD) /* an answer of TLS itself, to a key update */
        s->is_broken = true;
    release_if_empty(&s->out);
    ERR_clear_error();
    if (n > 0)
        return (ssize_t)n;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    return error == SSL_ERROR_WANT_READ ? -WIRE_AGAIN : -WIRE_DEAD;
}

/* One record of what stands first in `out`, which is thawed; small pieces of it together. */
static bool encrypt(struct tls_session *s, struct evbuffer *out)
{
    struct evbuffer_iovec first;
    char together[RECORD_BYTES];
    const size_t all = evbuffer_get_length(out);
    size_t n = all < RECORD_BYTES ? all : RECORD_BYTES, written = 0;
    const char *p = together;

    if (evbuffer_peek(out, (ssize_t)n, NULL, &first, 1) < 1)
        return false;
    if (first.iov_len >= n)
        p = first.iov_base;
    else if (evbuffer_copyout(out, together, n) != (ssize_t)n)
        return false;
    return SSL_write_ex(s->ssl, p, n, &written) == 1 && evbuffer_drain(out, written) == 0;
}

static bool encrypt_a_piece(struct tls_session *s, struct evbuffer *out)
{
    bool ok = true;

    evbuffer_unfreeze(out, 1);
    while (ok && evbuffer_get_length(out) > 0 && make_room(&s->out, RECORD_ROOM))
        ok = encrypt(s, out);
    evbuffer_freeze(out, 1);
    return ok;
}

enum wire_end tls_session_write(struct tls_session *s, struct evbuffer *out)
{
    enum wire_end end;

    ERR_clear_error();
    do
        end = encrypt_a_piece(s, out) ? push(s) : WIRE_DEAD;
    while (end == WIRE_DONE && evbuffer_get_length(out) > 0);
    ERR_clear_error();
    release_if_empty(&s->out);
    return end;
}

void tls_session_shut(struct tls_session *s)
{
    ERR_clear_error();
    if (!s->is_broken && SSL_is_init_finished(s->ssl))
        (void)SSL_shutdown(s->ssl); /* nothing when it was said before */
    (void)push(s);
    ERR_clear_error();
}

bool tls_session_has_more(const struct tls_session *s)
{
    return s->has_more;
}

bool tls_session_is_full(const struct tls_session *s)
{
    return s->out.at < s->out.n;
}

struct identity *tls_session_identity(const struct tls_session *s)
{
    return s->identity;
}

const struct tls_version *tls_session_version(const struct tls_session *s)
{
    return s->version;
}
