/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "kube/scan_bytes.h"

#if defined(__SSE2__) && !defined(KUBE_SCAN_SCALAR)
#include <emmintrin.h>
#define WIDE_SSE2 1
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(KUBE_SCAN_SCALAR)
#include <arm_neon.h>
#define WIDE_NEON 1
#endif

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { MAX_PATH_KEY_BYTES = 64, MAX_PATH_BYTES = 160 };

/* --- bytes ------------------------------------------------------------------------------- */

static inline unsigned char at(const char *p, const char *end)
{
    return p < end ? (unsigned char)*p : 0; /* zero is legal nowhere outside of strings */
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

const char *scan_plain_scalar(const char *p, const char *end)
{
    while (p < end && is_plain((unsigned char)*p))
        p++;
    return p;
}

const char *scan_blank_scalar(const char *p, const char *end)
{
    while (p < end && is_blank((unsigned char)*p))
        p++;
    return p;
}

#if defined(WIDE_SSE2)

static inline const char *plain(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* Signed: below 0x20 takes in all bytes above 0x7f. */
        const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                                         _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                                      _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
        const unsigned mask = (unsigned)_mm_movemask_epi8(odd);

        if (mask) {
            p += __builtin_ctz(mask);
            return p < end ? p : end;
        }
    }
    return end;
}

static inline const char *blanks(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        const __m128i line = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                          _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        const __m128i space = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')),
                                           _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
        const unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(line, space)) ^ 0xffffU;

        if (mask) {
            p += __builtin_ctz(mask);
            return p < end ? p : end;
        }
    }
    return end;
}

#elif defined(WIDE_NEON)

/* Four bits a byte: the narrowing shift is NEON's movemask. */
static inline uint64_t nibbles(uint8x16_t hit)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
}

static inline const char *plain(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t odd =
            vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20)),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8('"')), vceqq_u8(x, vdupq_n_u8('\\'))));
        const uint64_t mask = nibbles(odd);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

static inline const char *blanks(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t blank =
            vorrq_u8(vorrq_u8(vceqq_u8(x, vdupq_n_u8('\n')), vceqq_u8(x, vdupq_n_u8('\r'))),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8(' ')), vceqq_u8(x, vdupq_n_u8('\t'))));
        const uint64_t mask = ~nibbles(blank);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

#else

static inline const char *plain(const char *p, const char *end)
{
    return scan_plain_scalar(p, end);
}

static inline const char *blanks(const char *p, const char *end)
{
    return scan_blank_scalar(p, end);
}

#endif

const char *scan_plain_wide(const char *p, const char *end)
{
    return plain(p, end);
}

const char *scan_blank_wide(const char *p, const char *end)
{
    return blanks(p, end);
}

/* Compact text has no blanks: look at one byte first. */
static inline const char *blank(const char *p, const char *end)
{
    return LIKELY(at(p, end) > ' ') ? p : blanks(p, end);
}

/* --- failures ---------------------------------------------------------------------------- */

/* A grammar error at `p`. Returns NULL, which the callers below pass up. */
static const char *bad(struct scan *s, const char *p, const char *what)
{
    if (s->err.code == 0)
        (void)err_set(&s->err, -EINVAL, "offset %zu: %s%s", (size_t)(p - s->text), what,
                      p >= s->stop ? ", found the end of the text" : "");
    s->pending = false;
    return NULL;
}

static const char *too_deep(struct scan *s, const char *p)
{
    if (s->err.code == 0)
        (void)err_set(&s->err, -E2BIG, "offset %zu: nested deeper than %d", (size_t)(p - s->text),
                      LIMIT_JSON_DEPTH);
    s->pending = false;
    return NULL;
}

bool scan_failed(const struct scan *s)
{
    return s->err.code != 0;
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

/* --- tokens: each takes the place of the token and returns the place behind it, or NULL ------ */

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

static int hex_digit(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An escape sequence, `p` at the backslash; 0 when it is malformed. */
static size_t escape_bytes(const char *p, const char *end)
{
    switch (at(p + 1, end)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        for (int i = 2; i < 6; i++) {
            if (hex_digit(at(p + i, end)) < 0)
                return 0;
        }
        return 6;
    default:
        return 0;
    }
}

/* What stopped a run of plain bytes, other than the closing quote. */
static const char *odd_byte(struct scan *s, const char *p)
{
    const unsigned char c = at(p, s->stop);
    size_t n;

    if (p >= s->stop)
        return bad(s, p, "expected the end of the string");
    if (c == '\\') {
        n = escape_bytes(p, s->stop);
        return n ? p + n : bad(s, p, "not an escape sequence");
    }
    if (c < 0x20)
        return bad(s, p, "control character in a string");
    while (p < s->stop && (*p & 0x80)) {
        n = scan_utf8_bytes(p, s->stop);
        if (n == 0)
            return bad(s, p, "invalid UTF-8");
        p += n;
    }
    return p;
}

/* A string, `p` behind its opening quote. */
static inline const char *string(struct scan *s, const char *p)
{
    for (;;) {
        p = plain(p, s->stop);
        if (LIKELY(at(p, s->stop) == '"'))
            return p + 1;
        p = odd_byte(s, p);
        if (UNLIKELY(!p))
            return NULL;
    }
}

static const char *digits(struct scan *s, const char *p)
{
    if (!is_digit(at(p, s->stop)))
        return bad(s, p, "expected a digit");
    while (is_digit(at(p, s->stop)))
        p++;
    return p;
}

static const char *number(struct scan *s, const char *p)
{
    if (*p == '-')
        p++;
    if (at(p, s->stop) == '0')
        p++;
    else
        p = digits(s, p);
    if (p && at(p, s->stop) == '.')
        p = digits(s, p + 1);
    if (p && (at(p, s->stop) | 0x20) == 'e') {
        p++;
        if (at(p, s->stop) == '+' || at(p, s->stop) == '-')
            p++;
        p = digits(s, p);
    }
    return p;
}

static const char *word(struct scan *s, const char *p, const char *text, size_t n)
{
    if ((size_t)(s->stop - p) >= n && memcmp(p, text, n) == 0)
        return p + n;
    return bad(s, p, "expected a value");
}

/* A value that is neither object nor array. */
static inline const char *scalar(struct scan *s, const char *p)
{
    switch (at(p, s->stop)) {
    case '"':
        return string(s, p + 1);
    case 't':
        return word(s, p, "true", 4);
    case 'f':
        return word(s, p, "false", 5);
    case 'n':
        return word(s, p, "null", 4);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return number(s, p);
    default:
        return bad(s, p, "expected a value");
    }
}

/* Behind the closing quote of a key: the colon, and blanks on both sides. */
static inline const char *colon(struct scan *s, const char *p)
{
    p = blank(p, s->stop);
    if (UNLIKELY(at(p, s->stop) != ':'))
        return bad(s, p, "expected ':' after the key");
    return blank(p + 1, s->stop);
}

static inline const char *key_and_colon(struct scan *s, const char *p)
{
    if (UNLIKELY(at(p, s->stop) != '"'))
        return bad(s, p, "expected a key");
    p = string(s, p + 1);
    return LIKELY(p != NULL) ? colon(s, p) : NULL;
}

/* The containers that a skip has opened: a bit each, 1 = object, the innermost lowest. */
struct nest {
    uint64_t objects;
    uint32_t depth, room;
};

_Static_assert(LIMIT_JSON_DEPTH <= 64, "struct nest has 64 bits");

/*
 * Behind a value: close what closes, up to the next value. `*out_done` when the outermost one has
 * ended.
 */
static inline const char *close_up(struct scan *s, const char *p, struct nest *nest, bool *out_done)
{
    while (nest->depth > 0) {
        p = blank(p, s->stop);
        const bool object = nest->objects & 1;
        const unsigned char c = at(p, s->stop);

        if (LIKELY(c == ',')) {
            p = blank(p + 1, s->stop);
            return object ? key_and_colon(s, p) : p;
        }
        if (UNLIKELY(c != (object ? '}' : ']')))
            return bad(s, p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        nest->objects >>= 1;
        nest->depth--;
        p++;
    }
    *out_done = true;
    return p;
}

/* Open the container at `p`; where it is empty, `*out_empty` and the place behind it. */
static inline const char *open_up(struct scan *s, const char *p, struct nest *nest, bool *out_empty)
{
    const bool object = *p == '{';

    if (UNLIKELY(nest->depth == nest->room))
        return too_deep(s, p);
    p = blank(p + 1, s->stop);
    *out_empty = at(p, s->stop) == (object ? '}' : ']');
    if (*out_empty)
        return p + 1;
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    return object ? key_and_colon(s, p) : p;
}

/* Any value, `p` at its first byte. */
static const char *value(struct scan *s, const char *p)
{
    struct nest nest = {.room = LIMIT_JSON_DEPTH - s->depth};
    bool done = false;

    while (p) {
        const unsigned char c = at(p, s->stop);
        bool ended = true;

        p = c == '{' || c == '[' ? open_up(s, p, &nest, &ended) : scalar(s, p);
        if (UNLIKELY(!p))
            break;
        if (ended)
            p = close_up(s, p, &nest, &done);
        if (done)
            break;
    }
    return p;
}

/* --- pulling ----------------------------------------------------------------------------- */

void scan_init(struct scan *s, struct str text, uint32_t flags)
{
    /* The steps are written before they are read; clearing them would cost more than a pod. */
    s->key = (struct str){NULL, 0};
    s->p = s->text = text.n ? text.p : "";
    s->stop = s->p + text.n;
    s->flags = flags;
    s->depth = 0;
    s->pending = true;
    s->err.code = 0;
    s->err.text[0] = 0;
}

const char *scan_here(struct scan *s)
{
    s->p = blank(s->p, s->stop);
    return s->p;
}

enum scan_kind scan_kind(struct scan *s)
{
    if (scan_failed(s))
        return SCAN_NOTHING;
    assert(s->pending);
    switch (at(scan_here(s), s->stop)) {
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_ARRAY;
    case '"':
        return SCAN_STRING;
    case 't':
    case 'f':
        return SCAN_BOOL;
    case 'n':
        return SCAN_NULL;
    case '-':
        return SCAN_NUMBER;
    default:
        if (is_digit(at(s->p, s->stop)))
            return SCAN_NUMBER;
        (void)bad(s, s->p, "expected a value");
        return SCAN_NOTHING;
    }
}

/* Take what a token function returned as the new place. */
static bool advance(struct scan *s, const char *p)
{
    if (!p)
        return false;
    s->p = p;
    s->pending = false;
    return true;
}

bool scan_skip(struct scan *s)
{
    return !scan_failed(s) && (!s->pending || advance(s, value(s, scan_here(s))));
}

bool scan_raw(struct scan *s, struct str *out)
{
    const char *const from = scan_here(s);

    if (!scan_skip(s))
        return false;
    *out = (struct str){from, (size_t)(s->p - from)};
    return true;
}

static const char *kind_text(enum scan_kind kind)
{
    static const char *const text[] = {
        [SCAN_NOTHING] = "nothing",  [SCAN_NULL] = "null",       [SCAN_BOOL] = "a boolean",
        [SCAN_NUMBER] = "a number",  [SCAN_STRING] = "a string", [SCAN_ARRAY] = "an array",
        [SCAN_OBJECT] = "an object",
    };

    return text[kind];
}

/* True when a value of `kind` is due; null is read and gives false. */
static bool expect(struct scan *s, enum scan_kind kind)
{
    const enum scan_kind found = scan_kind(s);

    if (found == kind)
        return true;
    if (found == SCAN_NULL)
        (void)scan_skip(s);
    else if (found != SCAN_NOTHING)
        (void)scan_fail(s, -EINVAL, "expected %s, found %s", kind_text(kind), kind_text(found));
    return false;
}

static bool enter(struct scan *s, enum scan_kind kind)
{
    if (!expect(s, kind))
        return false;
    if (s->depth == LIMIT_JSON_DEPTH) {
        (void)too_deep(s, s->p);
        return false;
    }
    s->steps[s->depth++] = (struct scan_step){.is_object = kind == SCAN_OBJECT};
    return advance(s, s->p + 1);
}

bool scan_object(struct scan *s)
{
    return enter(s, SCAN_OBJECT);
}

bool scan_array(struct scan *s)
{
    return enter(s, SCAN_ARRAY);
}

/* To the next value of the innermost container; false, and out of it, behind the last one. */
static bool next(struct scan *s, char close, const char *what)
{
    struct scan_step *const step = &s->steps[s->depth - 1];

    if (s->pending && !scan_skip(s))
        return false;
    const unsigned char c = at(scan_here(s), s->stop);
    if (c == (unsigned char)close) {
        s->p++;
        s->depth--;
        return false;
    }
    if (step->count > 0) {
        if (c != ',')
            return bad(s, s->p, what) != NULL;
        s->p = blank(s->p + 1, s->stop);
    }
    if (step->count == UINT32_MAX)
        return scan_fail(s, -E2BIG, "too many values");
    step->count++;
    return true;
}

/* `raw` decoded, in `room` where it has escapes and fits. */
static struct str short_text(struct str raw, char room[SCAN_KEY_BYTES])
{
    if (LIKELY(raw.n == 0 || raw.n > SCAN_KEY_BYTES || !memchr(raw.p, '\\', raw.n)))
        return raw;
    return (struct str){room, scan_unescape(room, raw)};
}

static void set_key(struct scan *s, struct str raw)
{
    s->key = short_text(raw, s->key_room);
}

bool scan_key(struct scan *s)
{
    if (scan_failed(s))
        return false;
    assert(s->depth > 0 && s->steps[s->depth - 1].is_object);
    if (!next(s, '}', "expected ',' or '}'"))
        return false;
    if (at(s->p, s->stop) != '"')
        return bad(s, s->p, "expected a key") != NULL;
    const char *const from = s->p + 1, *const behind = string(s, from);
    if (!behind)
        return false;
    const struct str raw = {from, (size_t)(behind - 1 - from)};
    s->steps[s->depth - 1].key = raw;
    set_key(s, raw);
    if (!advance(s, colon(s, behind)))
        return false;
    s->pending = true;
    return true;
}

bool scan_item(struct scan *s)
{
    if (scan_failed(s))
        return false;
    assert(s->depth > 0 && !s->steps[s->depth - 1].is_object);
    s->pending = next(s, ']', "expected ',' or ']'");
    return s->pending;
}

bool scan_at(const struct scan *s, const char *name)
{
    const size_t n = strlen(name);

    if (s->key.n != n)
        return false;
    return s->flags & SCAN_FOLD ? strncasecmp(s->key.p, name, n) == 0
                                : memcmp(s->key.p, name, n) == 0;
}

bool scan_once(struct scan *s, uint64_t *seen, uint32_t bit)
{
    const uint64_t mask = UINT64_C(1) << bit;

    assert(bit < 64);
    if ((*seen & mask) && (s->flags & SCAN_STRICT))
        return scan_fail(s, -EINVAL, "given twice");
    *seen |= mask;
    return true;
}

/* Count the values of the container that was just entered, and leave it. */
static uint32_t count_values(struct scan *s, bool object)
{
    uint32_t n = 0;

    while (object ? scan_key(s) : scan_item(s))
        n++;
    return n;
}

bool scan_count(struct scan *s, uint32_t *out)
{
    const enum scan_kind kind = scan_kind(s);
    const char *const from = s->p;
    uint32_t n = 0;

    if (kind == SCAN_OBJECT || kind == SCAN_ARRAY) {
        if (enter(s, kind))
            n = count_values(s, kind == SCAN_OBJECT);
    } else if (kind != SCAN_NULL) {
        return expect(s, SCAN_ARRAY);
    }
    if (scan_failed(s))
        return false;
    s->p = from;
    s->pending = true;
    if (s->depth > 0 && s->steps[s->depth - 1].is_object)
        set_key(s, s->steps[s->depth - 1].key); /* keys inside may have used its room */
    *out = n;
    return true;
}

/* --- typed values ------------------------------------------------------------------------ */

bool scan_string(struct scan *s, struct str *out)
{
    if (!expect(s, SCAN_STRING))
        return false;
    const char *const from = s->p + 1;
    if (!advance(s, string(s, from)))
        return false;
    *out = (struct str){from, (size_t)(s->p - 1 - from)};
    return true;
}

static bool decode(struct scan *s, struct str *out, struct str raw, struct arena *a)
{
    char *const p = raw.n == SIZE_MAX ? NULL : arena_array(a, raw.n + 1, 1);

    if (!p)
        return scan_fail(s, -ENOMEM, "no room for a text of %zu bytes", raw.n);
    *out = (struct str){p, scan_unescape(p, raw)};
    return true;
}

bool scan_text(struct scan *s, struct str *out, struct arena *a)
{
    struct str raw;

    return scan_string(s, &raw) && decode(s, out, raw, a);
}

bool scan_word(struct scan *s, struct str *out)
{
    struct str raw;

    if (!scan_string(s, &raw))
        return false;
    *out = short_text(raw, s->word_room);
    return true;
}

bool scan_key_copy(struct scan *s, struct str *out, struct arena *a)
{
    return !scan_failed(s) && decode(s, out, s->steps[s->depth - 1].key, a);
}

bool scan_number(struct scan *s, struct str *out)
{
    if (!expect(s, SCAN_NUMBER))
        return false;
    const char *const from = s->p;
    if (!advance(s, number(s, from)))
        return false;
    *out = (struct str){from, (size_t)(s->p - from)};
    return true;
}

bool scan_scalar(struct scan *s, struct str *out, struct arena *a)
{
    return scan_kind(s) == SCAN_NUMBER ? scan_number(s, out) : scan_text(s, out, a);
}

bool scan_int64(struct scan *s, int64_t *out)
{
    struct str text;
    int64_t v = 0;

    if (!scan_number(s, &text))
        return false;
    const bool negative = text.p[0] == '-';
    for (size_t i = negative; i < text.n; i++) {
        const int digit = text.p[i] - '0';

        if (!is_digit((unsigned char)text.p[i]))
            return scan_fail(s, -EINVAL, "expected an integer");
        /* Downwards, as there is one more negative value than positive ones. */
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v))
            return scan_fail(s, -EINVAL, "does not fit into 64 bits");
    }
    if (!negative && v == INT64_MIN)
        return scan_fail(s, -EINVAL, "does not fit into 64 bits");
    *out = negative ? v : -v;
    return true;
}

bool scan_bool(struct scan *s, bool *out)
{
    if (!expect(s, SCAN_BOOL))
        return false;
    const bool yes = *s->p == 't';
    if (!scan_skip(s))
        return false;
    *out = yes;
    return true;
}

int scan_end(struct scan *s, struct err *err)
{
    if (s->pending)
        (void)scan_skip(s);
    if (!scan_failed(s)) {
        assert(s->depth == 0);
        if (scan_here(s) < s->stop)
            (void)bad(s, s->p, "expected nothing more");
    }
    if (scan_failed(s))
        return err_set(err, s->err.code, "%s", s->err.text);
    return 0;
}

/* --- escapes ----------------------------------------------------------------------------- */

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)hex_digit((unsigned char)p[i]);
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

    while (p < end) {
        const char *const slash = memchr(p, '\\', (size_t)(end - p));
        const size_t run = (size_t)((slash ? slash : end) - p);

        memcpy(out + n, p, run);
        n += run;
        p += run;
        if (!slash)
            break;
        if (p[1] == 'u') {
            n += put_utf8(out + n, unicode_escape(&p, end));
        } else {
            out[n++] = short_escape(p[1]);
            p += 2;
        }
    }
    return n;
}
