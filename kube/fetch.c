/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum { TOKEN_BYTES = 64 * 1024, REDIRECTS = 2 };

static bool is_https(const char *url)
{
    return strncmp(url, "https://", 8) == 0;
}

int fetch_check(const char *url, struct err *err)
{
    const size_t skip = is_https(url) ? 8 : 7;

    if (!is_https(url) && strncmp(url, "http://", skip) != 0)
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
           !curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_https(url) ? "https" : "http") &&
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

/* "Authorization: Bearer TOKEN" of the file. */
static int read_token(struct buf *out, const char *path, struct err *err)
{
    FILE *const f = fopen(path, "re");
    char text[4096];
    size_t n;

    if (!f)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    buf_text(out, "Authorization: Bearer ");
    const size_t before = out->n;
    while ((n = fread(text, 1, sizeof(text), f)) > 0 && out->n < TOKEN_BYTES)
        buf_add(out, text, n);
    (void)fclose(f);
    while (out->n > before && isspace((unsigned char)out->p[out->n - 1]))
        out->n--;
    for (size_t i = before; i < out->n; i++) {
        if (!isgraph((unsigned char)out->p[i]))
            out->n = before;
    }
    buf_add(out, "", 1);
    if (out->failed)
        return err_set(err, -ENOMEM, "no memory for a token");
    return out->n > before + 1 && out->n < TOKEN_BYTES
               ? 0
               : err_set(err, -EINVAL, "%s: no token", path);
}

/* Whom to believe, and where to go. `*list` is to live as long as the transfer. */
static bool set_way(CURL *curl, const struct fetch_access *access, struct curl_slist **list)
{
    struct curl_blob pem = {.data = (void *)(uintptr_t)access->ca_pem.p,
                            .len = access->ca_pem.n,
                            .flags = CURL_BLOB_COPY};
    struct buf place = {0};

    /* those, and not the directory of everybody's as well */
    if ((access->ca_pem.n || access->ca_file) && curl_easy_setopt(curl, CURLOPT_CAPATH, NULL))
        return false;
    if (access->ca_pem.n && curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &pem))
        return false;
    if (!access->ca_pem.n && access->ca_file &&
        curl_easy_setopt(curl, CURLOPT_CAINFO, access->ca_file))
        return false;
    if (!access->connect_to)
        return true;
    buf_printf(&place, "::%s", access->connect_to);
    *list = place.failed ? NULL : curl_slist_append(NULL, place.p);
    buf_free(&place);
    return *list && !curl_easy_setopt(curl, CURLOPT_CONNECT_TO, *list);
}

static int show_oneself(CURL *curl, const char *url, const struct fetch_access *access,
                        struct curl_slist **headers, struct curl_slist **places, struct err *err)
{
    struct buf line = {0};
    int rc = access->token_file ? read_token(&line, access->token_file, err) : 0;

    if (rc == 0 && access->token_file && !(*headers = curl_slist_append(NULL, line.p)))
        rc = err_set(err, -ENOMEM, "no memory for a token");
    if (line.p)
        explicit_bzero(line.p, line.room);
    buf_free(&line);
    if (rc)
        return rc;
    const bool set =
        !curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) &&
        !curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, access->connect_to ? 0L : 1L) &&
        !curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS) &&
        !curl_easy_setopt(curl, CURLOPT_UNRESTRICTED_AUTH, 1L) &&
        !curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_https(url) ? "https" : "http") &&
        set_way(curl, access, places);
    return set ? 0 : err_set(err, -ENOMEM, "no memory to ask %s", url);
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
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, -EKEYREJECTED, "%s: its certificate is not believed: %s", url,
                       curl_easy_strerror(code));
    if (code == CURLE_URL_MALFORMAT)
        return err_set(err, -EINVAL, "%s: not an address", url);
    return err_set(err, -EHOSTUNREACH, "cannot reach %s: %s", url, curl_easy_strerror(code));
}

static int transfer(CURL *curl, const struct fetch *f, int *status, const char *url,
                    struct err *err)
{
    long code = 0;

    const CURLcode rc = curl_easy_perform(curl);
    if (rc)
        return explain(rc, f, url, err);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    *status = (int)code;
    return 0;
}

static int run(struct fetch *f, int *status, const char *full, const char *url,
               const struct fetch_access *access, struct err *err)
{
    CURL *const curl = curl_easy_init();
    struct curl_slist *headers = NULL, *places = NULL;

    if (!curl)
        return err_set(err, -ENOMEM, "no memory to ask %s", url);
    int rc = set_up(curl, full, f) ? 0 : err_set(err, -EINVAL, "%s: not an address", url);
    if (rc == 0 && access)
        rc = show_oneself(curl, url, access, &headers, &places, err);
    if (rc == 0)
        rc = transfer(curl, f, status, url, err);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    curl_slist_free_all(places);
    return rc;
}

int fetch_get(struct buf *out, int *status, const char *url, const char *target,
              const struct fetch_access *access, struct err *err)
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
        rc = run(&f, status, full.p, url, access, err);
    if (rc == 0)
        buf_str(out, buf_view(&f.body));
    buf_free(&full);
    buf_free(&f.body);
    return rc == 0 && out->failed ? err_set(err, -ENOMEM, "no memory for the answer") : rc;
}
