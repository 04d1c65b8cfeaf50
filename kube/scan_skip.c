/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "kube/scan_internal.h"

/* --- tokens: each takes the place of the token and returns the place behind it, or NULL ------ */

/* An escape sequence, `p` at the backslash; 0 when it is malformed. */
static inline size_t escape_bytes(const char *p, const char *end)
{
    static const uint8_t bytes[256] = {
        ['"'] = 2, ['\\'] = 2, ['/'] = 2, ['b'] = 2, ['f'] = 2,
        ['n'] = 2, ['r'] = 2,  ['t'] = 2, ['u'] = 6,
    };
    const size_t n = bytes[at(p + 1, end)];

    for (size_t i = 2; i < n; i++) {
        if (scan_hex_digit(at(p + i, end)) < 0)
            return 0;
    }
    return n;
}

/* What stopped a run of plain bytes, other than the closing quote. */
static inline const char *odd_byte(struct scan *s, const char *p)
{
    const unsigned char c = at(p, s->stop);
    size_t n;

    if (p >= s->stop)
        return scan_bad(s, p, "expected the end of the string");
    if (c == '\\') {
        n = escape_bytes(p, s->stop);
        return n ? p + n : scan_bad(s, p, "not an escape sequence");
    }
    if (c < 0x20)
        return scan_bad(s, p, "control character in a string");
    while (p < s->stop && (*p & 0x80)) {
        n = scan_utf8_bytes(p, s->stop);
        if (n == 0)
            return scan_bad(s, p, "invalid UTF-8");
        p += n;
    }
    return p;
}

const char *scan_token_rest(struct scan *s, const char *p)
{
    while (at(p, s->stop) != '"') {
        p = odd_byte(s, p);
        if (UNLIKELY(!p))
            return NULL;
        p = scan_plain_wide(p, s->stop);
    }
    return p + 1;
}

static const char *digits(struct scan *s, const char *p)
{
    if (!is_digit(at(p, s->stop)))
        return scan_bad(s, p, "expected a digit");
    while (is_digit(at(p, s->stop)))
        p++;
    return p;
}

const char *scan_token_number(struct scan *s, const char *p)
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
    return scan_bad(s, p, "expected a value");
}

/* A value that is neither object nor array. */
static inline const char *scalar(struct scan *s, const char *p)
{
    switch (at(p, s->stop)) {
    case '"':
        return scan_token_string(s, p + 1);
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
        return scan_token_number(s, p);
    default:
        return scan_bad(s, p, "expected a value");
    }
}

static inline const char *key_and_colon(struct scan *s, const char *p)
{
    if (UNLIKELY(at(p, s->stop) != '"'))
        return scan_bad(s, p, "expected a key");
    p = scan_token_string(s, p + 1);
    return LIKELY(p != NULL) ? scan_token_colon(s, p) : NULL;
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
            return scan_bad(s, p, object ? "expected ',' or '}'" : "expected ',' or ']'");
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
        return scan_too_deep(s, p);
    p = blank(p + 1, s->stop);
    *out_empty = at(p, s->stop) == (object ? '}' : ']');
    if (*out_empty)
        return p + 1;
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    return object ? key_and_colon(s, p) : p;
}

/* Any value, `p` at its first byte. */
const char *scan_token_value(struct scan *s, const char *p)
{
    struct nest nest = {.room = s->deepest - s->depth};
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

/*
 * Plain strings side by side, `,"a","b"`, from `*p` on, which stands behind the closing quote of
 * another: a block at a time, so that where one ends does not wait for where the last one did.
 * Anything else, blanks too, ends them; `*p` is then behind the last one's closing quote.
 */
static uint32_t close_strings(const char **p, const char *end, struct str *out, uint32_t max)
{
    const char *behind = *p, *from = NULL; /* from: where the string begins that is open */
    uint32_t n = 0;

    for (const char *block = *p; block < end; block += SCAN_BLOCK_BYTES) {
        const struct scan_marks m = scan_marks_wide(block);

        for (uint64_t quotes = m.odd ? 0 : m.quotes; quotes; quotes &= quotes - 1) {
            const char *const quote = block + __builtin_ctzll(quotes);

            if (from) {
                if (quote >= end)
                    return n;
                out[n++] = (struct str){from, (size_t)(quote - from)};
                *p = behind = quote + 1;
                from = NULL;
            } else {
                if (n == max || quote != behind + 1 || *behind != ',')
                    return n;
                from = quote + 1;
            }
        }
        if (m.odd)
            break;
    }
    return n;
}

uint32_t scan_strings(struct scan *s, struct str *out, uint32_t max, bool *odd)
{
    struct scan_step *const step = &s->steps[s->depth - 1];
    const uint32_t before = step->count;
    uint32_t n = 0;

    assert(s->depth > 0 && !step->is_object && !s->pending);
    max = max < UINT32_MAX - before ? max : UINT32_MAX - before;
    while (n < max && s->err.code == 0) {
        const char *p = blank(s->p, s->stop);

        if (before + n > 0 && at(p, s->stop) != ',')
            break;
        if (before + n > 0)
            p = blank(p + 1, s->stop);
        if (at(p, s->stop) != '"')
            break;
        const char *const from = p + 1;
        p = scan_plain_wide(from, s->stop);
        if (UNLIKELY(at(p, s->stop) != '"')) {
            *odd = true;
            p = scan_token_rest(s, p);
            if (!p)
                break;
            p--;
        }
        out[n++] = (struct str){from, (size_t)(p - from)};
        s->p = p + 1;
        n += close_strings(&s->p, s->stop, out + n, max - n);
    }
    step->count = before + n;
    return n;
}
