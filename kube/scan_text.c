/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "kube/scan_internal.h"

enum { MAX_PATH_KEY_BYTES = 64, MAX_PATH_BYTES = 160 };

/* --- failures ---------------------------------------------------------------------------- */

const char *scan_bad(struct scan *s, const char *p, const char *what)
{
    if (s->err.code == 0)
        (void)err_set(&s->err, -EINVAL, "offset %zu: %s%s", (size_t)(p - s->text), what,
                      p >= s->stop ? ", found the end of the text" : "");
    s->pending = false;
    return NULL;
}

const char *scan_too_deep(struct scan *s, const char *p)
{
    if (s->err.code == 0)
        (void)err_set(&s->err, -E2BIG, "offset %zu: nested deeper than %u", (size_t)(p - s->text),
                      s->deepest);
    s->pending = false;
    return NULL;
}

static size_t put(char *out, size_t room, size_t n, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && n + 1 < room; i++) {
        const unsigned char c = (unsigned char)text[i];

        out[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    return n;
}

static bool is_plain_key(struct str key)
{
    for (size_t i = 0; i < key.n; i++) {
        const unsigned char c = (unsigned char)key.p[i];

        if (!is_digit(c) && (unsigned)((c | 0x20) - 'a') >= 26 && c != '_' && c != '-')
            return false;
    }
    return key.n > 0;
}

static size_t put_key(char *out, size_t room, size_t n, struct str key)
{
    const bool bare = is_plain_key(key);
    const size_t bytes = key.n < MAX_PATH_KEY_BYTES ? key.n : MAX_PATH_KEY_BYTES;

    if (!bare || n > 0)
        n = put(out, room, n, bare ? "." : "[", 1);
    n = put(out, room, n, key.p, bytes);
    return bare ? n : put(out, room, n, "]", 1);
}

size_t scan_path(const struct scan *s, char *out, size_t room)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->depth; i++) {
        const struct scan_step *const step = &s->steps[i];
        char index[16];

        if (step->count == 0)
            break;
        if (step->is_object) {
            n = put_key(out, room, n, step->key);
        } else {
            const int bytes = snprintf(index, sizeof(index), "[%u]", step->count - 1);
            n = put(out, room, n, index, (size_t)bytes);
        }
    }
    out[n] = 0;
    return n;
}

bool scan_fail(struct scan *s, int code, const char *fmt, ...)
{
    char path[MAX_PATH_BYTES];
    va_list ap;

    if (s->err.code != 0)
        return false;
    s->pending = false;
    va_start(ap, fmt);
    (void)vsnprintf(s->err.text, sizeof(s->err.text), fmt, ap);
    va_end(ap);
    if (scan_path(s, path, sizeof(path)) > 0)
        (void)err_wrap(&s->err, code, "%s", path);
    s->err.code = code;
    return false;
}

/* --- UTF-8 and escapes -------------------------------------------------------------------- */

static bool in_range(const char *p, const char *end, unsigned char low, unsigned char high)
{
    const unsigned char c = at(p, end);

    return c >= low && c <= high;
}

size_t scan_utf8_bytes(const char *p, const char *end)
{
    const unsigned char c = (unsigned char)*p;

    if (c >= 0xc2 && c <= 0xdf)
        return in_range(p + 1, end, 0x80, 0xbf) ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        const unsigned char low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;
        return in_range(p + 1, end, low, high) && in_range(p + 2, end, 0x80, 0xbf) ? 3 : 0;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        const unsigned char low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;
        return in_range(p + 1, end, low, high) && in_range(p + 2, end, 0x80, 0xbf) &&
                       in_range(p + 3, end, 0x80, 0xbf)
                   ? 4
                   : 0;
    }
    return 0;
}

int scan_hex_digit(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)scan_hex_digit((unsigned char)p[i]);
    return v;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static bool is_low_surrogate(const char *p, const char *end)
{
    return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (hex4(p + 2) & 0xfc00) == 0xdc00;
}

/* The code point of a \u escape at `p`; a pair of surrogates is one, a lone one is U+FFFD. */
static uint32_t unicode_escape(const char **p, const char *end)
{
    const uint32_t c = hex4(*p + 2);

    *p += 6;
    if ((c & 0xf800) != 0xd800)
        return c;
    if (c >= 0xdc00 || !is_low_surrogate(*p, end))
        return 0xfffd;
    const uint32_t low = hex4(*p + 2);
    *p += 6;
    return 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
}

static char short_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quote, backslash, slash */
    }
}

size_t scan_unescape(char *out, struct str raw)
{
    const char *p = raw.p, *const end = raw.p + raw.n;
    size_t n = 0;

    for (;;) {
        const size_t run = scan_copy_wide(out + n, p, end);

        n += run;
        p += run;
        if (p == end)
            return n;
        if (p[1] == 'u') {
            n += put_utf8(out + n, unicode_escape(&p, end));
        } else {
            out[n++] = short_escape(p[1]);
            p += 2;
        }
    }
}
