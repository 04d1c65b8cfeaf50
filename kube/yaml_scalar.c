/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/yaml_scalar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"

static const struct {
    const char *word;
    enum yaml_kind kind;
    const char *json;
} words[] = {
    {"true", YAML_KIND_BOOL, "true"},    {"True", YAML_KIND_BOOL, "true"},
    {"TRUE", YAML_KIND_BOOL, "true"},    {"yes", YAML_KIND_BOOL, "true"},
    {"Yes", YAML_KIND_BOOL, "true"},     {"YES", YAML_KIND_BOOL, "true"},
    {"on", YAML_KIND_BOOL, "true"},      {"On", YAML_KIND_BOOL, "true"},
    {"ON", YAML_KIND_BOOL, "true"},      {"y", YAML_KIND_BOOL, "true"},
    {"Y", YAML_KIND_BOOL, "true"},       {"false", YAML_KIND_BOOL, "false"},
    {"False", YAML_KIND_BOOL, "false"},  {"FALSE", YAML_KIND_BOOL, "false"},
    {"no", YAML_KIND_BOOL, "false"},     {"No", YAML_KIND_BOOL, "false"},
    {"NO", YAML_KIND_BOOL, "false"},     {"off", YAML_KIND_BOOL, "false"},
    {"Off", YAML_KIND_BOOL, "false"},    {"OFF", YAML_KIND_BOOL, "false"},
    {"n", YAML_KIND_BOOL, "false"},      {"N", YAML_KIND_BOOL, "false"},
    {"~", YAML_KIND_NULL, "null"},       {"null", YAML_KIND_NULL, "null"},
    {"Null", YAML_KIND_NULL, "null"},    {"NULL", YAML_KIND_NULL, "null"},
    {".nan", YAML_KIND_NOT_FINITE, ""},  {".NaN", YAML_KIND_NOT_FINITE, ""},
    {".NAN", YAML_KIND_NOT_FINITE, ""},  {".inf", YAML_KIND_NOT_FINITE, ""},
    {".Inf", YAML_KIND_NOT_FINITE, ""},  {".INF", YAML_KIND_NOT_FINITE, ""},
    {"+.inf", YAML_KIND_NOT_FINITE, ""}, {"+.Inf", YAML_KIND_NOT_FINITE, ""},
    {"+.INF", YAML_KIND_NOT_FINITE, ""}, {"-.inf", YAML_KIND_NOT_FINITE, ""},
    {"-.Inf", YAML_KIND_NOT_FINITE, ""}, {"-.INF", YAML_KIND_NOT_FINITE, ""},
};

enum { WORD_MAX = 5, NUMBER_MAX = 100 };

static bool resolve_word(struct str text, struct buf *out, enum yaml_kind *out_kind)
{
    if (text.n > WORD_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (words[i].word[0] == text.p[0] && str_is(text, words[i].word)) {
            buf_text(out, words[i].json);
            *out_kind = words[i].kind;
            return true;
        }
    }
    return false;
}

/* A number without its underscores, sign apart. */
struct digits {
    bool negative;
    char text[NUMBER_MAX + 1];
    size_t n;
};

static bool take_digits(struct digits *d, struct str text)
{
    *d = (struct digits){0};
    if (text.n > NUMBER_MAX)
        return false;
    if (text.p[0] == '-' || text.p[0] == '+') {
        d->negative = text.p[0] == '-';
        text = (struct str){text.p + 1, text.n - 1};
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '_')
            d->text[d->n++] = text.p[i];
    }
    return d->n > 0;
}

/* The base that the prefix says, and the length of the prefix; decimal has none. */
static unsigned base_of(const struct digits *d, size_t *out_prefix)
{
    *out_prefix = 0;
    if (d->n < 2 || d->text[0] != '0')
        return 10;
    *out_prefix = 2;
    switch (d->text[1] | 0x20) {
    case 'x':
        return 16;
    case 'o':
        return 8;
    case 'b':
        return 2;
    default:
        *out_prefix = 1;
        return 8;
    }
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

static bool all_digits(const struct digits *d, size_t from, unsigned base)
{
    for (size_t i = from; i < d->n; i++) {
        if (digit_value(d->text[i]) >= base)
            return false;
    }
    return d->n > from;
}

static enum yaml_kind write_based(const struct digits *d, size_t from, unsigned base,
                                  struct buf *out)
{
    uint64_t v = 0;

    for (size_t i = from; i < d->n; i++) {
        if (__builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, digit_value(d->text[i]), &v))
            return YAML_KIND_TOO_LARGE;
    }
    if (d->negative && v > UINT64_C(1) << 63)
        return YAML_KIND_TOO_LARGE;
    buf_printf(out, "%s%" PRIu64, d->negative && v ? "-" : "", v);
    return YAML_KIND_INT;
}

static enum yaml_kind resolve_int(const struct digits *d, struct buf *out)
{
    size_t prefix;
    const unsigned base = base_of(d, &prefix);

    if (!all_digits(d, prefix, base))
        return YAML_KIND_STRING;
    if (base != 10)
        return write_based(d, prefix, base, out);
    if (d->negative && !str_is((struct str){d->text, d->n}, "0"))
        buf_text(out, "-");
    buf_add(out, d->text, d->n);
    return YAML_KIND_INT;
}

static size_t count_decimals(const char *p)
{
    return strspn(p, "0123456789");
}

/* [digits][.digits][e[sign]digits] with a digit before the exponent, whole text. */
static bool is_float(const char *p)
{
    const size_t whole = count_decimals(p);

    p += whole;
    if (*p == '.') {
        const size_t fraction = count_decimals(p + 1);

        if (whole + fraction == 0)
            return false;
        p += 1 + fraction;
    } else if (whole == 0) {
        return false;
    }
    if ((*p | 0x20) == 'e') {
        p++;
        p += *p == '+' || *p == '-';
        if (count_decimals(p) == 0)
            return false;
        p += count_decimals(p);
    }
    return *p == 0;
}

/* YAML's floats may lack digits that JSON wants and have zeros that it does not. */
static void write_float(const char *p, bool negative, struct buf *out)
{
    while (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
        p++;
    const size_t whole = count_decimals(p);

    buf_text(out, negative ? "-" : "");
    buf_add(out, whole ? p : "0", whole ? whole : 1);
    p += whole;
    if (*p == '.') {
        const size_t fraction = count_decimals(p + 1);

        buf_add(out, p, fraction ? fraction + 1 : 0);
        p += 1 + fraction;
    }
    buf_text(out, p);
}

static enum yaml_kind resolve_float(const struct digits *d, struct buf *out)
{
    if (!is_float(d->text))
        return YAML_KIND_STRING;
    const double v = strtod(d->text, NULL);
    if (!isfinite(v))
        return YAML_KIND_STRING;
    if (v < 9007199254740992.0 && v == floor(v)) /* 2^53 */
        buf_printf(out, "%s%.0f", d->negative ? "-" : "", v);
    else
        write_float(d->text, d->negative, out);
    return YAML_KIND_FLOAT;
}

enum yaml_kind yaml_resolve(struct str text, struct buf *out)
{
    enum yaml_kind kind = YAML_KIND_STRING;
    struct digits d;

    if (text.n == 0) {
        buf_text(out, "null");
        return YAML_KIND_NULL;
    }
    if (resolve_word(text, out, &kind))
        return kind;
    if (!strchr("+-.0123456789", text.p[0]) || !text.p[0] || !take_digits(&d, text))
        return YAML_KIND_STRING;
    if (text.p[0] != '.')
        kind = resolve_int(&d, out);
    return kind == YAML_KIND_STRING ? resolve_float(&d, out) : kind;
}

void yaml_quote(struct buf *out, struct str text)
{
    size_t from = 0;

    buf_text(out, "\"");
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(out, text.p + from, i - from);
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else
            buf_printf(out, "\\u%04x", c);
        from = i + 1;
    }
    buf_add(out, text.p + from, text.n - from);
    buf_text(out, "\"");
}
