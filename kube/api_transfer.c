/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "kube/api_internal.h"
#include "kube/scan.h"

/*
 * The kernel's part in finding out that the other side is gone: after 30 s of silence it asks,
 * three times; what was sent is answered within 20 s.
 */
enum { ALIVE_IDLE_S = 30, ALIVE_EVERY_S = 5, ALIVE_TIMES = 3, UNANSWERED_MS = 20000 };

/* As much as curl takes from a connection at a time. */
enum { STREAM_BYTES = 128 * 1024 };

static const char json_type[] = "application/json";

/* --- where to --- */

/* "https://HOST:PORT/PREFIX" in parts; the host with its brackets. */
struct place {
    struct str scheme, host, port, prefix;
};

static struct place place_of(const char *server)
{
    struct str rest = str_of(strstr(server, "://") + 3);
    struct place p = {.scheme = {server, (size_t)(rest.p - server)}};
    const char *const slash = memchr(rest.p, '/', rest.n);

    if (slash) {
        p.prefix = (struct str){slash, (size_t)(rest.p + rest.n - slash)};
        rest.n = (size_t)(slash - rest.p);
    }
    const char *const bracket = memchr(rest.p, ']', rest.n);
    const char *const from = bracket ? bracket : rest.p;
    const char *const colon = memchr(from, ':', (size_t)(rest.p + rest.n - from));
    p.host = (struct str){rest.p, colon ? (size_t)(colon - rest.p) : rest.n};
    p.port = colon ? (struct str){colon + 1, (size_t)(rest.p + rest.n - colon - 1)} : STR("443");
    return p;
}

/*
 * curl checks the certificate against the host of the URL. Where another name is to be in it, that
 * is the URL's host, and the connection goes to the real one.
 */
static bool set_place(struct kube_call *call)
{
    const struct kube_access *const a = call->api->access;
    struct buf to = {0}, host = {0};

    if (!a->server_name) {
        buf_printf(&call->url, "%s%s", a->server, call->request.path);
        return !call->url.failed;
    }
    const struct place p = place_of(a->server);
    buf_printf(&call->url, "%.*s%s:%.*s%.*s%s", STR_ARG(p.scheme), a->server_name, STR_ARG(p.port),
               STR_ARG(p.prefix), call->request.path);
    buf_printf(&to, "%s:%.*s:%.*s:%.*s", a->server_name, STR_ARG(p.port), STR_ARG(p.host),
               STR_ARG(p.port));
    buf_printf(&host, "Host: %.*s:%.*s", STR_ARG(p.host), STR_ARG(p.port));
    if (!to.failed)
        call->connect_to = curl_slist_append(NULL, to.p);
    struct curl_slist *const more = host.failed ? NULL : curl_slist_append(call->headers, host.p);
    call->headers = more ? more : call->headers;
    const bool good = !call->url.failed && call->connect_to && more;
    buf_free(&to);
    buf_free(&host);
    return good;
}

static bool add_header(struct kube_call *call, const char *name, const char *value)
{
    struct buf b = {0};

    buf_printf(&b, "%s: %s", name, value);
    struct curl_slist *const more = b.failed ? NULL : curl_slist_append(call->headers, b.p);
    call->headers = more ? more : call->headers;
    if (b.p)
        explicit_bzero(b.p, b.n); /* it may be the token */
    buf_free(&b);
    return more != NULL;
}

static bool add_token(struct kube_call *call)
{
    const struct buf *const token = &call->api->credentials.token;
    struct buf value = {0};

    if (token->n == 0)
        return true;
    buf_text(&value, "Bearer ");
    buf_add(&value, token->p, token->n);
    const bool good = !value.failed && add_header(call, "Authorization", value.p);
    if (value.p)
        explicit_bzero(value.p, value.n);
    buf_free(&value);
    return good;
}

/* No "Expect: 100-continue": bodies are small, and a round trip is not. */
static bool set_headers(struct kube_call *call)
{
    const struct kube_request *const r = &call->request;

    return add_header(call, "Accept", r->accept ? r->accept : json_type) && add_token(call) &&
           add_header(call, "Expect", "") &&
           (r->body.n == 0 ||
            add_header(call, "Content-Type", r->content_type ? r->content_type : json_type));
}

/* --- what comes back --- */

static bool is_success(CURL *easy)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static bool is_json(CURL *easy)
{
    const char *type = NULL;
    const size_t n = sizeof(json_type) - 1;

    (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    return type && strncasecmp(type, json_type, n) == 0 && !isalnum((unsigned char)type[n]);
}

/* Nobody took JSON for something else: that a proxy's page is no list is seen at its head. */
static bool is_wanted(const struct kube_call *call)
{
    long status = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 204 || call->request.accept || is_json(call->easy);
}

static size_t end_with(struct kube_call *call, int rc)
{
    if (call->rc == 0)
        call->rc = rc;
    return 0; /* curl takes any other number than that of the bytes for a failure */
}

static size_t collect(struct kube_call *call, const char *p, size_t n, size_t max, bool cut)
{
    if (n > max - call->body.n && !cut)
        return end_with(call, -EFBIG);
    const size_t take = n < max - call->body.n ? n : max - call->body.n;
    buf_add(&call->body, p, take);
    return call->body.failed ? end_with(call, -ENOMEM) : n;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct kube_call *const call = ctx;
    const struct kube_request *const r = &call->request;

    if (call->state == CALL_CANCELLED || call->rc)
        return 0;
    api_heard(call);
    if (!call->is_2xx)
        return collect(call, p, n, LIMIT_API_ERROR_BYTES, true);
    if (!r->data)
        return collect(call, p, n, r->max_bytes ? r->max_bytes : LIMIT_API_ANSWER_BYTES, false);
    const int rc = r->data(r->ctx, p, n);
    return rc ? end_with(call, rc) : call->state == CALL_CANCELLED ? 0 : n;
}

/* A line of the head; the empty one ends it. 1xx have heads of their own. */
static size_t on_head(char *p, size_t size, size_t n, void *ctx)
{
    struct kube_call *const call = ctx;
    const struct kube_request *const r = &call->request;

    if (call->state == CALL_CANCELLED || call->rc)
        return 0;
    api_heard(call);
    if (n > 2 || call->is_2xx || !is_success(call->easy))
        return n;
    if (!is_wanted(call))
        return end_with(call, -EPROTO);
    call->is_2xx = true;
    if (r->started)
        r->started(r->ctx);
    return call->state == CALL_CANCELLED ? 0 : n;
}

/* --- the transfer --- */

static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    const int idle = ALIVE_IDLE_S, every = ALIVE_EVERY_S, times = ALIVE_TIMES, one = 1;
    const unsigned unanswered = UNANSWERED_MS;

    /* Where the kernel does not know one of them, the pulse finds out alone. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof(unanswered));
    return CURL_SOCKOPT_OK;
}

static bool set_blob(CURL *easy, CURLoption option, const struct buf *b)
{
    struct curl_blob blob = {.data = b->p, .len = b->n, .flags = CURL_BLOB_COPY};

    return b->n == 0 || !curl_easy_setopt(easy, option, &blob);
}

/*
 * Certificates as text, not as names of files: a connection is used again only where they are the
 * same, so that a changed file means a new connection.
 */
static bool set_tls(struct kube_call *call)
{
    const struct kube_credentials *const c = &call->api->credentials;
    CURL *const e = call->easy;

    return !curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) &&
           !curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) &&
           !curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           set_blob(e, CURLOPT_CAINFO_BLOB, &c->ca) &&
           /* that one, and not the directory of everybody's as well */
           (c->ca.n == 0 || !curl_easy_setopt(e, CURLOPT_CAPATH, NULL)) &&
           set_blob(e, CURLOPT_SSLCERT_BLOB, &c->cert) && set_blob(e, CURLOPT_SSLKEY_BLOB, &c->key);
}

static bool set_body(struct kube_call *call)
{
    const struct kube_request *const r = &call->request;
    CURL *const e = call->easy;

    if (r->method == KUBE_GET && r->body.n == 0)
        return !curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    return !curl_easy_setopt(e, CURLOPT_POST, 1L) &&
           !curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body.n ? r->body.p : "") &&
           !curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n) &&
           !curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, kube_method_names[r->method]);
}

static bool set_manners(struct kube_call *call)
{
    const struct kube_api *const api = call->api;
    CURL *const e = call->easy;
    const char *const proxy = api->access->proxy;
    /* Wait for a connection that many can share; plain HTTP has none, and a hung one no end. */
    const long share = strncasecmp(api->access->server, "https:", 6) == 0;

    return !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) &&
           !curl_easy_setopt(e, CURLOPT_PROXY, proxy ? proxy : "") &&
           !curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L) &&
           !curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
           !curl_easy_setopt(e, CURLOPT_PIPEWAIT, share) &&
           !curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)api->options.connect_ms) &&
           !curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket) &&
           !curl_easy_setopt(e, CURLOPT_USERAGENT, "numawise/" NUMAWISE_VERSION " (linux)");
}

static bool set_callbacks(struct kube_call *call)
{
    CURL *const e = call->easy;

    return !curl_easy_setopt(e, CURLOPT_PRIVATE, call) &&
           !curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error) &&
           !curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes) &&
           !curl_easy_setopt(e, CURLOPT_WRITEDATA, call) &&
           !curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head) &&
           !curl_easy_setopt(e, CURLOPT_HEADERDATA, call) &&
           (!call->request.data || !curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)STREAM_BYTES));
}

int transfer_start(struct kube_call *call)
{
    call->code = CURLE_OK;
    call->rc = 0;
    call->is_2xx = false;
    call->error[0] = 0;
    call->body.n = 0;
    call->easy = curl_easy_init();
    if (call->easy && set_headers(call) && set_place(call) && set_callbacks(call) &&
        set_tls(call) && set_manners(call) && set_body(call) &&
        !curl_easy_setopt(call->easy, CURLOPT_URL, call->url.p) &&
        !curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) &&
        (!call->connect_to || !curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to)))
        return 0;
    transfer_end(call);
    return -ENOMEM;
}

void transfer_end(struct kube_call *call)
{
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    call->easy = NULL;
    call->headers = call->connect_to = NULL;
    buf_free(&call->url);
}

/* --- in words --- */

/* "GET /api/v1/nodes", without the query. */
static struct str asked(const struct kube_call *call)
{
    return (struct str){call->request.path, strcspn(call->request.path, "?")};
}

static int say(const struct kube_call *call, struct err *err, int code, const char *why)
{
    return err_set(err, code, "%s %.*s: %s", kube_method_names[call->request.method],
                   STR_ARG(asked(call)), why);
}

static void explain_own(const struct kube_call *call, struct err *err)
{
    const char *why = call->error[0] ? call->error : strerror(-call->rc);

    if (call->rc == -EPROTO && !call->is_2xx)
        why = "an answer that is not JSON: not from an API server, perhaps from a proxy";
    else if (call->rc == -EFBIG)
        why = "the answer is too large";
    else if (call->rc == -ETIMEDOUT)
        why = "no answer in time";
    else if (call->rc == -ECONNABORTED)
        why = "the server is silent: the connection is given up";
    (void)say(call, err, call->rc == -ECONNABORTED ? -ETIMEDOUT : call->rc, why);
}

static int code_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return -EKEYREJECTED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return -EPROTO;
    default:
        return -EHOSTUNREACH;
    }
}

static int code_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 410:
        return -ESTALE;
    case 429:
        return -EAGAIN;
    default:
        return status >= 500 ? -EAGAIN : status >= 400 ? -EINVAL : -EPROTO;
    }
}

static const char *name_of_status(int status)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {{400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {409, "Conflict"},
                 {410, "Gone"},
                 {422, "Unprocessable Entity"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].status == status)
            return names[i].name;
    return status >= 300 && status < 400 ? "a redirection, which is not followed" : "";
}

static void explain_status(const struct kube_call *call, const struct kube_answer *a,
                           struct err *err)
{
    char why[sizeof(a->details.message) + 64];

    (void)snprintf(why, sizeof(why), "%d %s%s%s", a->status, name_of_status(a->status),
                   a->details.message[0] ? ": " : "", a->details.message);
    (void)say(call, err, code_of_status(a->status), why);
}

static void read_retry_after(const struct kube_call *call, struct kube_answer *out)
{
    curl_off_t seconds = 0;

    out->retry_after_ms = -1;
    if (!curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &seconds) && seconds > 0)
        out->retry_after_ms = seconds > INT32_MAX ? INT64_C(1000) * INT32_MAX : seconds * 1000;
    else if (out->details.retry_after_s > 0)
        out->retry_after_ms = out->details.retry_after_s * 1000;
}

static bool pad(struct buf *b)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = b->n;

    buf_add(b, zeros, sizeof(zeros));
    b->n = n;
    return !b->failed;
}

void transfer_answer(struct kube_call *call, struct kube_answer *out)
{
    long status = 0;

    *out = (struct kube_answer){.retry_after_ms = -1, .details = {.retry_after_s = -1}};
    if (call->easy)
        (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->rc) {
        explain_own(call, &out->err);
    } else if (call->code) {
        (void)say(call, &out->err, code_of(call->code),
                  call->error[0] ? call->error : curl_easy_strerror(call->code));
    } else if (!pad(&call->body)) {
        (void)say(call, &out->err, -ENOMEM, "no memory for the answer");
    } else {
        out->status = (int)status;
        out->body = buf_view(&call->body);
        if (!call->is_2xx) {
            (void)kube_status_decode(&out->details, out->body);
            read_retry_after(call, out);
            explain_status(call, out, &out->err);
        }
    }
}
