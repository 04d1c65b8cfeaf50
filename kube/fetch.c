/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

static const char scheme[] = "http://";

int fetch_check(const char *url, struct err *err)
{
    const size_t skip = sizeof(scheme) - 1;

    if (strncmp(url, scheme, skip) != 0)
        return err_set(err, -EINVAL, "%s: not http://HOST:PORT", url);
    const size_t host = strcspn(url + skip, "/?#@\\");
    const char *const rest = url + skip + host;
    if (host == 0 || (*rest && strcmp(rest, "/") != 0))
        return err_set(err, -EINVAL, "%s: not http://HOST:PORT, with nothing behind it", url);
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return err_set(err, -EINVAL, "a blank or control character in the URL");
    return 0;
}

void fetch_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-._~/", c)))
            buf_add(out, text, 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* One transfer. */
struct fetch {
    struct buf body;
    bool too_big;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch *const f = ctx;

    f->too_big = n > FETCH_MAX_BYTES - f->body.n;
    if (f->too_big)
        return 0;
    buf_add(&f->body, p, n);
    return f->body.failed ? 0 : n;
}

static bool set_up(CURL *curl, const char *url, struct fetch *f)
{
    return !curl_easy_setopt(curl, CURLOPT_URL, url) &&
           !curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") &&
           !curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) &&
           !curl_easy_setopt(curl, CURLOPT_PROXY, "") && /* none, whatever the environment says */
           !curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)FETCH_MAX_MS) &&
           !curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)FETCH_MAX_BYTES) &&
           !curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L) &&
           !curl_easy_setopt(curl, CURLOPT_USERAGENT, "numawise/" NUMAWISE_VERSION) &&
           !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
}

static int explain(CURLcode code, const struct fetch *f, const char *url, struct err *err)
{
    if (f->too_big || code == CURLE_FILESIZE_EXCEEDED)
        return err_set(err, -EFBIG, "%s: the answer is larger than %d MiB", url,
                       FETCH_MAX_BYTES / 1024 / 1024);
    if (f->body.failed || code == CURLE_OUT_OF_MEMORY)
        return err_set(err, -ENOMEM, "no memory for the answer of %s", url);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, -ETIMEDOUT, "%s: no whole answer within %d s", url,
                       FETCH_MAX_MS / 1000);
    if (code == CURLE_URL_MALFORMAT)
        return err_set(err, -EINVAL, "%s: not an address", url);
    return err_set(err, -EHOSTUNREACH, "cannot reach %s: %s", url, curl_easy_strerror(code));
}

static int transfer(CURL *curl, struct fetch *f, int *status, const char *full, const char *url,
                    struct err *err)
{
    long code = 0;

    if (!set_up(curl, full, f))
        return err_set(err, -EINVAL, "%s: not an address", url);
    const CURLcode rc = curl_easy_perform(curl);
    if (rc)
        return explain(rc, f, url, err);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    *status = (int)code;
    return 0;
}

static int run(struct fetch *f, int *status, const char *full, const char *url, struct err *err)
{
    CURL *const curl = curl_easy_init();

    if (!curl)
        return err_set(err, -ENOMEM, "no memory to ask %s", url);
    const int rc = transfer(curl, f, status, full, url, err);
    curl_easy_cleanup(curl);
    return rc;
}

int fetch_get(struct buf *out, int *status, const char *url, const char *target, struct err *err)
{
    struct buf full = {0};
    struct fetch f = {0};
    int rc = fetch_check(url, err);

    if (rc)
        return rc;
    buf_add(&full, url, strlen(url) - (url[strlen(url) - 1] == '/'));
    buf_text(&full, target);
    if (full.failed)
        rc = err_set(err, -ENOMEM, "no memory to ask %s", url);
    else if (full.n > FETCH_URL_BYTES)
        rc = err_set(err, -EINVAL, "what is asked for is longer than %d bytes", FETCH_URL_BYTES);
    else
        rc = run(&f, status, full.p, url, err);
    if (rc == 0)
        buf_str(out, buf_view(&f.body));
    buf_free(&full);
    buf_free(&f.body);
    return rc == 0 && out->failed ? err_set(err, -ENOMEM, "no memory for the answer") : rc;
}
