/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/quantity.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "kube/scan.h"

/*
 * A quantity taken apart: 0.whole fraction * 10^point * 2^shift, where the digits are those of
 * `whole` followed by those of `fraction`, and `point` is how many of them stand before the point.
 */
struct parts {
    bool negative;
    struct str whole, fraction;
    int64_t point;
    uint32_t shift;
};

/* Exponents beyond this give 0, 1 or an overflow whatever the digits (a body has < 2^27 bytes). */
enum { EXPONENT_MAX = 1000000000 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str take_digits(struct str *rest)
{
    struct str digits = {rest->p, 0};

    while (digits.n < rest->n && is_digit(rest->p[digits.n]))
        digits.n++;
    if (digits.n > 0) /* the text that has none may be NULL */
        *rest = (struct str){rest->p + digits.n, rest->n - digits.n};
    return digits;
}

/* +1, -1, or 0 when there is no sign; it is taken off. */
static int take_sign(struct str *rest)
{
    if (rest->n == 0 || (rest->p[0] != '+' && rest->p[0] != '-'))
        return 0;
    const int sign = rest->p[0] == '-' ? -1 : 1;
    *rest = (struct str){rest->p + 1, rest->n - 1};
    return sign;
}

/* "e3", "E-12": what follows the letter. */
static bool take_exponent(struct str text, int64_t *out)
{
    const int sign = take_sign(&text);
    const struct str digits = take_digits(&text);
    int64_t v = 0;

    if (digits.n == 0 || text.n > 0)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        v = v * 10 + (digits.p[i] - '0');
        if (v > EXPONENT_MAX)
            v = EXPONENT_MAX;
    }
    *out = sign < 0 ? -v : v;
    return true;
}

/* The suffix: decimal exponent or power of two. */
static bool read_suffix(struct str text, int64_t *out_exponent, uint32_t *out_shift)
{
    static const struct {
        char text[3];
        int8_t exponent;
        uint8_t shift;
    } suffixes[] = {
        {"", 0, 0},    {"Ki", 0, 10}, {"Mi", 0, 20}, {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50},
        {"Ei", 0, 60}, {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},
        {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},
    };

    *out_exponent = 0;
    *out_shift = 0;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (str_is(text, suffixes[i].text)) {
            *out_exponent = suffixes[i].exponent;
            *out_shift = suffixes[i].shift;
            return true;
        }
    }
    return (text.p[0] == 'e' || text.p[0] == 'E') &&
           take_exponent((struct str){text.p + 1, text.n - 1}, out_exponent);
}

static bool take_apart(struct parts *out, struct str text)
{
    struct parts parts = {.negative = take_sign(&text) < 0};
    int64_t exponent;

    parts.whole = take_digits(&text);
    if (text.n > 0 && text.p[0] == '.') {
        text = (struct str){text.p + 1, text.n - 1};
        parts.fraction = take_digits(&text);
    }
    if (parts.whole.n + parts.fraction.n == 0 || !read_suffix(text, &exponent, &parts.shift))
        return false;
    parts.point = (int64_t)parts.whole.n + exponent;
    *out = parts;
    return true;
}

static uint32_t digit_at(const struct parts *q, int64_t i)
{
    const size_t at = (size_t)i;

    return (uint32_t)((at < q->whole.n ? q->whole.p[at] : q->fraction.p[at - q->whole.n]) - '0');
}

/* The digits before the point, times 2^shift. False when that overflows 64 bits. */
static bool whole_part(const struct parts *q, int64_t n_digits, uint64_t *out)
{
    uint64_t v = 0;

    for (int64_t i = 0; i < q->point; i++) {
        const bool padding = i >= n_digits;

        if (padding && v == 0)
            break;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, padding ? 0 : digit_at(q, i), &v))
            return false;
    }
    return !__builtin_mul_overflow(v, UINT64_C(1) << q->shift, out);
}

/*
 * The digits behind the point, times 2^shift, rounded up. From the last digit to the first:
 * x = (d * 2^shift + x) / 10; whatever a division drops only decides the rounding. x stays below
 * 2^shift, at most 2^60, so d * 2^shift + x is below 10 * 2^60 < 2^64.
 */
static uint64_t fraction_part(const struct parts *q, int64_t n_digits, bool *out_rounded)
{
    uint64_t x = 0;
    bool dropped = false;

    for (int64_t i = n_digits; i-- > (q->point > 0 ? q->point : 0);) {
        x += (uint64_t)digit_at(q, i) << q->shift;
        dropped |= x % 10 != 0;
        x /= 10;
    }
    for (int64_t i = q->point; i < 0 && x > 0; i++) { /* zeros right behind the point */
        dropped |= x % 10 != 0;
        x /= 10;
    }
    *out_rounded = dropped;
    return x + dropped;
}

static bool magnitude(const struct parts *q, uint64_t *out, bool *out_rounded)
{
    const int64_t n_digits = (int64_t)(q->whole.n + q->fraction.n);
    uint64_t whole;

    return whole_part(q, n_digits, &whole) &&
           !__builtin_add_overflow(whole, fraction_part(q, n_digits, out_rounded), out);
}

enum { SHOWN_BYTES = 40 };

static int refuse(struct err *err, int code, struct str text, const char *why)
{
    const bool cut = text.n > SHOWN_BYTES;

    return err_set(err, code, "\"%.*s%s\" %s", cut ? SHOWN_BYTES : (int)text.n,
                   text.n ? text.p : "", cut ? "..." : "", why);
}

/*
 * Go reads a binary quantity the fast way, as an integer, only while 15 - digits - 3/10 of the
 * exponent - 1 is not negative. The API server has written it with the largest suffix that fits.
 */
static bool has_many_digits(uint64_t v)
{
    uint32_t thousands = v ? (uint32_t)__builtin_ctzll(v) / 10 : 0, digits = 0;

    thousands = thousands < 6 ? thousands : 6;
    for (uint64_t left = v >> 10 * thousands; left > 0; left /= 10)
        digits++;
    return thousands > 0 && digits + 3 * thousands > 14;
}

static int read_text(struct str text, enum kube_quantity_scale scale, int64_t *out, bool *out_int64,
                     struct err *err)
{
    struct parts q;
    uint64_t v;
    bool rounded;

    if (!take_apart(&q, text))
        return refuse(err, -EINVAL, text, "is not a quantity");
    if (scale == KUBE_MILLI)
        q.point += 3;
    if (!magnitude(&q, &v, &rounded) || v > (uint64_t)INT64_MAX + q.negative)
        return refuse(err, -E2BIG, text, "does not fit into 64 bits");
    *out = q.negative ? (int64_t)-v : (int64_t)v;
    *out_int64 = !rounded && (q.shift == 0 || !has_many_digits(v));
    return 0;
}

int kube_quantity(struct str text, enum kube_quantity_scale scale, int64_t *out, struct err *err)
{
    bool is_int64;

    return read_text(text, scale, out, &is_int64, err);
}

int kube_quantity_int64(struct str text, int64_t *out, bool *out_int64, struct err *err)
{
    return read_text(text, KUBE_UNITS, out, out_int64, err);
}

enum { ESCAPED_BYTES = 256 };

static bool scan_value(struct scan *s, enum kube_quantity_scale scale, int64_t *out,
                       bool *out_int64)
{
    const bool is_number = scan_kind(s) == SCAN_NUMBER;
    char room[ESCAPED_BYTES];
    struct err err;
    struct str text;
    int64_t v;
    bool is_int64;

    if (is_number ? !scan_number(s, &text) : !scan_string(s, &text))
        return false;
    if (text.n && text.n <= ESCAPED_BYTES && memchr(text.p, '\\', text.n))
        text = (struct str){room, scan_unescape(room, text)};
    const int rc = read_text(text, scale, &v, &is_int64, &err);
    if (rc < 0)
        return scan_fail(s, rc, "%s", err.text);
    if (v < 0)
        return scan_fail(s, -EINVAL, "must not be negative");
    *out = v;
    *out_int64 = is_int64;
    return true;
}

bool kube_quantity_scan(struct scan *s, enum kube_quantity_scale scale, int64_t *out)
{
    bool is_int64;

    return scan_value(s, scale, out, &is_int64);
}

bool kube_quantity_scan_int64(struct scan *s, int64_t *out, bool *out_int64)
{
    return scan_value(s, KUBE_UNITS, out, out_int64);
}
