/* SPDX-License-Identifier: Apache-2.0 */
#include "net/head.h"

#include <string.h>
#include <strings.h>

#include "net/http.h"
#include "net/site.h"

enum { BLANK_BYTES_MAX = 4 }; /* RFC 9112, 2.2 asks for one empty line; two do no harm */

/* What the header lines said, before it is judged as a whole. */
struct fields {
    unsigned hosts, lengths, encodings;
    bool close, keep_alive;
    bool expects, expects_100;
    bool multipart;
    struct str length, host, origin;
};

static bool is_same(struct str s, const char *lower)
{
    return s.n == strlen(lower) && strncasecmp(s.p, lower, s.n) == 0;
}

/* tchar of RFC 9110, 5.6.2 */
static bool is_token_byte(char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_byte(s.p[i]))
            return false;
    return s.n > 0;
}

/* A tab, a printable byte or one of 128..255 (RFC 9110, 5.5). */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == '#')
            return false;
    return s.n > 0 && s.p[0] == '/';
}

/* Enough to keep a second reader from seeing another authority here; not a full grammar. */
static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || strchr("/@?#\\\"<>,", s.p[i]) != NULL)
            return false;
    return true;
}

static unsigned method_of(struct str s)
{
    static const struct {
        const char *name;
        unsigned method;
    } known[] = {
        {"POST", HTTP_POST}, {"GET", HTTP_GET}, {"PUT", HTTP_PUT}, {"DELETE", HTTP_DELETE}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_is(s, known[i].name))
            return known[i].method;
    return 0;
}

/* 200, or what to answer. Any "HTTP/x" that is not 1.0 or 1.1 is 505: so the preface of HTTP/2. */
static int version_of(struct str s, bool *http10)
{
    *http10 = str_is(s, "HTTP/1.0");
    if (*http10 || str_is(s, "HTTP/1.1"))
        return 200;
    if (s.n != 8 || !str_starts(s, "HTTP/") || s.p[6] != '.')
        return 400;
    return s.p[5] >= '0' && s.p[5] <= '9' && s.p[7] >= '0' && s.p[7] <= '9' ? 505 : 400;
}

static int read_target(struct http_head *out, struct str target, size_t max)
{
    if (target.n > max)
        return 414;
    if (!is_target(target))
        return 400;
    out->query = target;
    out->path = str_cut(&out->query, '?');
    out->has_query = out->path.n < target.n;
    return 200;
}

static int read_request_line(struct http_head *out, struct str line,
                             const struct http_head_limits *limits)
{
    const struct str method = str_cut(&line, ' ');
    const struct str target = str_cut(&line, ' ');

    if (!is_token(method))
        return 400;
    const int version = version_of(line, &out->http10);
    if (version != 200)
        return version;
    out->method = method_of(method);
    out->bodiless = str_is(method, "HEAD");
    return read_target(out, target, limits->target_bytes);
}

static void read_connection(struct fields *f, struct str value)
{
    while (value.n > 0) {
        const struct str option = str_trim(str_cut(&value, ','));
        f->close |= is_same(option, "close");
        f->keep_alive |= is_same(option, "keep-alive");
    }
}

static int read_field(struct fields *f, struct str name, struct str value)
{
    if (is_same(name, "host")) {
        f->hosts++;
        f->host = value;
        return is_host(value) ? 200 : 400;
    }
    if (is_same(name, "content-length")) {
        f->lengths++;
        f->length = value;
    } else if (is_same(name, "transfer-encoding")) {
        f->encodings++;
    } else if (is_same(name, "connection")) {
        read_connection(f, value);
    } else if (is_same(name, "expect")) {
        f->expects_100 = is_same(value, "100-continue") && !f->expects;
        f->expects = true;
    } else if (is_same(name, "origin")) {
        f->origin = f->origin.p ? STR("null") : value; /* of two sites it is nobody's */
    } else if (is_same(name, "content-type")) {
        f->multipart |= value.n >= 9 && strncasecmp(value.p, "multipart", 9) == 0;
    }
    return 200;
}

/* `line` without its CRLF; a line that begins with a blank is a fold (RFC 9112, 5.2): no token. */
static int read_header_line(struct fields *f, struct str line)
{
    const char *const colon = memchr(line.p, ':', line.n);

    if (!colon)
        return 400;
    const struct str name = {line.p, (size_t)(colon - line.p)};
    const struct str value = str_trim((struct str){colon + 1, line.n - name.n - 1});
    if (!is_token(name) || !is_value(value))
        return 400;
    return read_field(f, name, value);
}

/* Digits alone. A number too large for 64 bits is larger than any limit. */
static int read_length(struct http_head *out, struct str digits, uint64_t max)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return 400;
        const uint64_t digit = (uint64_t)(digits.p[i] - '0');
        bytes = bytes > (UINT64_MAX - digit) / 10 ? UINT64_MAX : bytes * 10 + digit;
    }
    if (digits.n == 0)
        return 400;
    if (bytes > max)
        return 413;
    out->body_bytes = bytes;
    return 200;
}

static int judge_framing(struct http_head *out, const struct fields *f, uint64_t body_max)
{
    if (f->lengths > 1 || (f->lengths > 0 && f->encodings > 0))
        return 400;
    if (f->encodings > 0)
        return 411;
    if (f->lengths == 1)
        return read_length(out, f->length, body_max);
    return out->method == HTTP_POST || out->method == HTTP_PUT ? 411 : 200;
}

static int judge(struct http_head *out, const struct fields *f, uint64_t body_max)
{
    if (f->hosts > 1 || (f->hosts == 0 && !out->http10))
        return 400;
    const int framing = judge_framing(out, f, body_max);
    if (framing != 200)
        return framing;
    if (f->multipart)
        return 415;
    if (f->expects && !f->expects_100)
        return 417;
    /* HTTP/1.0 knows no 100 Continue: RFC 9110, 10.1.1 has the server ignore the wish. */
    out->expect_100 = f->expects_100 && !out->http10;
    out->close = f->close || (out->http10 && !f->keep_alive);
    out->host = f->host;
    out->origin = f->origin;
    return HTTP_HEAD_WHOLE;
}

/* Up to the next CRLF; the scan has seen that no CR or LF stands alone. */
static struct str next_line(struct str *rest)
{
    struct str line = str_cut(rest, '\n');

    line.n--;
    return line;
}

/* `text` ends with the empty line. */
static int read_whole(struct http_head *out, struct str text, const struct http_head_limits *limits)
{
    struct fields f = {0};
    unsigned n = 0;
    int status = read_request_line(out, next_line(&text), limits);

    out->fields = (struct str){text.p, text.n - 2};
    while (status == 200) {
        const struct str line = next_line(&text);
        if (line.n == 0)
            return judge(out, &f, limits->body_bytes);
        if (++n > limits->headers)
            return 431;
        status = read_header_line(&f, line);
    }
    return status;
}

/* Skip what may stand before the request line. 200 when its first byte is there and is a letter. */
static int skip_blank(struct http_head_scan *scan, const char *p, size_t n)
{
    while (scan->at < n && (p[scan->at] == '\r' || p[scan->at] == '\n')) {
        if (++scan->at > BLANK_BYTES_MAX)
            return 400;
        scan->blank = scan->at;
    }
    if (scan->at == n)
        return HTTP_HEAD_MORE;
    return p[scan->at] >= 'A' && p[scan->at] <= 'Z' ? 200 : 400;
}

/*
 * Look for the empty line, each byte once. 200 with scan->at behind it; 400 for a lone CR or LF
 * and for control bytes, at once and not at the deadline.
 */
static int find_end(struct http_head_scan *scan, const char *p, size_t n)
{
    while (scan->at < n) {
        const unsigned char c = (unsigned char)p[scan->at];
        const char before = scan->at > scan->blank ? p[scan->at - 1] : '\0';
        if ((c == '\n') != (before == '\r') || (c < 0x20 && c != '\r' && c != '\n' && c != '\t'))
            return 400;
        scan->at++;
        if (c != '\n')
            continue;
        if (scan->line && p[scan->at - 3] == '\n')
            return 200;
        scan->line = true;
    }
    return HTTP_HEAD_MORE;
}

static int too_long(const struct http_head_scan *scan)
{
    return scan->line ? 431 : 414;
}

int http_head_read(struct http_head *out, struct http_head_scan *scan, const char *p, size_t n,
                   const struct http_head_limits *limits)
{
    const size_t seen = n < limits->head_bytes ? n : limits->head_bytes;
    struct http_head head = {0};
    int status = scan->at == scan->blank ? skip_blank(scan, p, seen) : 200;

    if (status == 200)
        status = find_end(scan, p, seen);
    if (status == HTTP_HEAD_MORE && seen == limits->head_bytes)
        return too_long(scan);
    if (status != 200)
        return status;
    head.head_bytes = scan->at;
    status = read_whole(&head, (struct str){p + scan->blank, scan->at - scan->blank}, limits);
    if (status == HTTP_HEAD_WHOLE)
        *out = head;
    return status;
}

bool http_is_for_loopback(const struct http_request *req)
{
    struct str host;

    return http_header(req, "host", &host) == 1 && site_is_local(host);
}

unsigned http_header(const struct http_request *req, const char *name, struct str *out)
{
    struct str rest = req->fields;
    unsigned n = 0;

    while (rest.n > 0) {
        struct str line = next_line(&rest);
        const struct str found = str_cut(&line, ':');
        if (is_same(found, name) && n++ == 0)
            *out = str_trim(line);
    }
    return n;
}
