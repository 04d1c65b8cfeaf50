/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/scan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/scan_internal.h"

static uint32_t deepest = LIMIT_JSON_DEPTH;

void scan_limit_depth(uint32_t depth)
{
    assert(depth > 0 && depth <= LIMIT_JSON_DEPTH);
    deepest = depth;
}

void scan_init(struct scan *s, struct str text, uint32_t flags)
{
    /* The steps are written before they are read; clearing them would cost more than a pod. */
    s->key = (struct str){NULL, 0};
    s->p = s->text = text.n ? text.p : "";
    s->stop = s->p + text.n;
    s->flags = flags;
    s->depth = 0;
    s->deepest = deepest;
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
        (void)scan_bad(s, s->p, "expected a value");
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
    return !scan_failed(s) && (!s->pending || advance(s, scan_token_value(s, scan_here(s))));
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
    if (s->depth == s->deepest) {
        (void)scan_too_deep(s, s->p);
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
            return scan_bad(s, s->p, what) != NULL;
        s->p = blank(s->p + 1, s->stop);
    }
    if (step->count == UINT32_MAX)
        return scan_fail(s, -E2BIG, "too many values");
    step->count++;
    return true;
}

/*
 * The string from `from` on, behind its opening quote: `raw`, and whether it has escapes or other
 * bytes than ASCII. The place behind it; NULL on failure.
 */
static inline const char *take_string(struct scan *s, const char *from, struct str *raw, bool *odd)
{
    const char *p = scan_plain_wide(from, s->stop);

    *odd = UNLIKELY(at(p, s->stop) != '"');
    p = *odd ? scan_token_rest(s, p) : p + 1;
    if (LIKELY(p != NULL))
        *raw = (struct str){from, (size_t)(p - 1 - from)};
    return p;
}

/* `raw` decoded, in `room` where it has escapes and fits. */
static inline struct str short_text(struct str raw, bool odd, char room[SCAN_KEY_BYTES])
{
    if (LIKELY(!odd || raw.n > SCAN_KEY_BYTES))
        return raw;
    return (struct str){room, scan_unescape(room, raw)};
}

bool scan_key(struct scan *s)
{
    if (scan_failed(s))
        return false;
    assert(s->depth > 0 && s->steps[s->depth - 1].is_object);
    if (!next(s, '}', "expected ',' or '}'"))
        return false;
    if (at(s->p, s->stop) != '"')
        return scan_bad(s, s->p, "expected a key") != NULL;
    struct str *const raw = &s->steps[s->depth - 1].key;
    bool odd;
    const char *const behind = take_string(s, s->p + 1, raw, &odd);
    if (!behind)
        return false;
    s->key = short_text(*raw, odd, s->key_room);
    if (!advance(s, scan_token_colon(s, behind)))
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
        s->key = short_text(s->steps[s->depth - 1].key, true, s->key_room); /* others were there */
    *out = n;
    return true;
}

/* --- typed values ------------------------------------------------------------------------ */

static inline bool read_string(struct scan *s, struct str *raw, bool *odd)
{
    return expect(s, SCAN_STRING) && advance(s, take_string(s, s->p + 1, raw, odd));
}

bool scan_string(struct scan *s, struct str *out)
{
    bool odd;

    return read_string(s, out, &odd);
}

static bool decode(struct scan *s, struct str *out, struct str raw, bool odd, struct arena *a)
{
    char *const p = raw.n == SIZE_MAX ? NULL : arena_array(a, raw.n + 1, 1);

    if (!p)
        return scan_fail(s, -ENOMEM, "no room for a text of %zu bytes", raw.n);
    if (!odd)
        memcpy(p, raw.p, raw.n);
    *out = (struct str){p, odd ? scan_unescape(p, raw) : raw.n};
    return true;
}

bool scan_text(struct scan *s, struct str *out, struct arena *a)
{
    struct str raw;
    bool odd;

    return read_string(s, &raw, &odd) && decode(s, out, raw, odd, a);
}

bool scan_word(struct scan *s, struct str *out)
{
    struct str raw;
    bool odd;

    if (!read_string(s, &raw, &odd))
        return false;
    *out = short_text(raw, odd, s->word_room);
    return true;
}

bool scan_key_copy(struct scan *s, struct str *out, struct arena *a)
{
    return !scan_failed(s) && decode(s, out, s->steps[s->depth - 1].key, true, a);
}

bool scan_number(struct scan *s, struct str *out)
{
    if (!expect(s, SCAN_NUMBER))
        return false;
    const char *const from = s->p;
    if (!advance(s, scan_token_number(s, from)))
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
            (void)scan_bad(s, s->p, "expected nothing more");
    }
    if (scan_failed(s))
        return err_set(err, s->err.code, "%s", s->err.text);
    return 0;
}
