/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/podresources.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

enum { SAID_BYTES = 120, URL_BYTES = 128 };

/* One call. */
struct call {
    struct buf body;
    bool too_big;
    char status[8];        /* grpc-status, from the trailers; empty: there was none */
    char said[SAID_BYTES]; /* grpc-message */
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct call *const c = ctx;

    c->too_big = n > LIMIT_PODRESOURCES_BYTES - c->body.n;
    if (c->too_big)
        return 0;
    buf_add(&c->body, p, n);
    return c->body.failed ? 0 : n;
}

/* The value of the header "NAME: value" into `out`, as far as there is room, printable. */
static void take_header(char *out, size_t room, const char *name, const char *p, size_t n)
{
    const size_t skip = strlen(name);
    size_t kept = 0;

    if (n < skip + 1 || strncasecmp(p, name, skip) != 0 || p[skip] != ':')
        return;
    for (size_t i = skip + 1; i < n && kept < room - 1; i++) {
        if (isgraph((unsigned char)p[i]) || (p[i] == ' ' && kept))
            out[kept++] = p[i];
    }
    out[kept] = 0;
}

/* Of the head and of the trailers, which come the same way. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct call *const c = ctx;

    take_header(c->status, sizeof(c->status), "grpc-status", p, n);
    take_header(c->said, sizeof(c->said), "grpc-message", p, n);
    return n;
}

/* A frame around a message without fields. */
static const char nothing[5] = {0};

static bool set_up(CURL *curl, struct call *c, const char *socket, const char *url,
                   const struct curl_slist *headers)
{
    return !curl_easy_setopt(curl, CURLOPT_URL, url) &&
           !curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") &&
           !curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) &&
           !curl_easy_setopt(curl, CURLOPT_PROXY, "") &&
           !curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                             (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) &&
           !curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)LIMIT_PODRESOURCES_MS) &&
           !curl_easy_setopt(curl, CURLOPT_USERAGENT, "numawise/" NUMAWISE_VERSION) &&
           !curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) &&
           !curl_easy_setopt(curl, CURLOPT_POST, 1L) &&
           !curl_easy_setopt(curl, CURLOPT_POSTFIELDS, nothing) &&
           !curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)sizeof(nothing)) &&
           !curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(curl, CURLOPT_HEADERDATA, c) &&
           !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
}

static int explain(CURLcode code, const struct call *c, struct err *err)
{
    if (c->too_big)
        return err_set(err, -EFBIG, "the answer is larger than %d MiB",
                       LIMIT_PODRESOURCES_BYTES / 1024 / 1024);
    if (c->body.failed || code == CURLE_OUT_OF_MEMORY)
        return err_set(err, -ENOMEM, "no memory for the answer");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, -ETIMEDOUT, "no whole answer within %d s",
                       LIMIT_PODRESOURCES_MS / 1000);
    return err_set(err, -EHOSTUNREACH, "%s", curl_easy_strerror(code));
}

static int check_answer(CURL *curl, const struct call *c, struct err *err)
{
    long http = 0;

    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    if (http != 200)
        return err_set(err, -EPROTO, "HTTP %ld, which is no answer of gRPC", http);
    if (c->status[0] == 0)
        return err_set(err, -EPROTO, "an answer without grpc-status");
    if (strcmp(c->status, "0") != 0)
        return err_set(err, -EPROTO, "gRPC code %s: %s", c->status, c->said);
    return 0;
}

static int ask(struct call *c, const char *socket, const char *method,
               const struct curl_slist *headers, struct err *err)
{
    CURL *const curl = curl_easy_init();
    char url[URL_BYTES];
    struct str message = {0};

    (void)snprintf(url, sizeof(url), "http://localhost/v1.PodResourcesLister/%s", method);
    if (!curl || !set_up(curl, c, socket, url, headers)) {
        curl_easy_cleanup(curl);
        return err_set(err, -ENOMEM, "no memory to ask");
    }
    const CURLcode code = curl_easy_perform(curl);
    int rc = code ? explain(code, c, err) : check_answer(curl, c, err);
    curl_easy_cleanup(curl);
    if (rc == 0)
        rc = agent_grpc_message(&message, buf_view(&c->body), err);
    if (rc == 0) {
        memmove(c->body.p, message.p, message.n);
        c->body.n = message.n;
    }
    return rc;
}

int agent_podresources_ask(struct buf *out, const char *socket, const char *method, struct err *err)
{
    static const char *const lines[] = {"Content-Type: application/grpc", "TE: trailers",
                                        "grpc-timeout: 5S", "Expect:"};
    struct curl_slist *headers = NULL;
    struct call c = {0};
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(lines) && rc == 0; i++) {
        struct curl_slist *const more = curl_slist_append(headers, lines[i]);

        if (more)
            headers = more;
        else
            rc = err_set(err, -ENOMEM, "no memory to ask");
    }
    if (rc == 0)
        rc = ask(&c, socket, method, headers, err);
    if (rc == 0)
        buf_str(out, buf_view(&c.body));
    if (rc == 0 && out->failed)
        rc = err_set(err, -ENOMEM, "no memory for the answer");
    if (rc)
        (void)err_wrap(err, rc, "%s: %s", socket, method);
    curl_slist_free_all(headers);
    buf_free(&c.body);
    return rc;
}
