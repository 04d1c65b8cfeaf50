/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/prometheus.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

enum { MAX_SERIES = 4096, MAX_FAMILIES = 256, VALUE_BYTES = 64 };

/* The text so far. */
struct page {
    struct str series[MAX_SERIES];     /* name and labels */
    struct str families[MAX_FAMILIES]; /* the last one is open */
    size_t n_series, n_families;
    struct str type; /* of the open family; empty before its TYPE */
    /* Of the histogram series being read; bucket labels without le. */
    struct str labels;
    double le, count;
    bool in_buckets, had_inf, had_sum;
    char *why;
};

static bool PRINTF(2, 3) wrong(struct page *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(p->why, PROMETHEUS_WHY_BYTES, fmt, ap);
    va_end(ap);
    return false;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalpha((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != ':' &&
            (i == 0 || !isdigit((unsigned char)s.p[i])))
            return false;
    return s.n > 0;
}

static bool is_histogram(const struct page *p)
{
    return str_is(p->type, "histogram");
}

/* Nothing of the open histogram may be missing. */
static bool close_histogram(struct page *p)
{
    if (p->in_buckets)
        return wrong(p, "buckets without a _count: {%.*s}", STR_ARG(p->labels));
    return true;
}

static bool read_help(struct page *p, struct str rest)
{
    const struct str name = str_cut(&rest, ' ');

    if (!close_histogram(p))
        return false;
    if (!is_name(name) || rest.n == 0)
        return wrong(p, "a HELP without name or text");
    for (size_t i = 0; i < p->n_families; i++)
        if (str_eq(p->families[i], name))
            return wrong(p, "%.*s has two HELPs", STR_ARG(name));
    if (p->n_families == MAX_FAMILIES)
        return wrong(p, "too many families");
    p->families[p->n_families++] = name;
    p->type = STR("");
    return true;
}

static bool read_type(struct page *p, struct str rest)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const struct str name = str_cut(&rest, ' ');

    if (p->n_families == 0 || !str_eq(p->families[p->n_families - 1], name))
        return wrong(p, "TYPE %.*s does not follow its HELP", STR_ARG(name));
    if (p->type.n)
        return wrong(p, "%.*s has two TYPEs", STR_ARG(name));
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_is(rest, types[i]))
            p->type = rest;
    return p->type.n ? true : wrong(p, "TYPE %.*s: %.*s", STR_ARG(name), STR_ARG(rest));
}

/* a="b",c="d": takes one pair off. */
static bool take_label(struct str *rest, struct str *name, struct str *value)
{
    *name = str_cut(rest, '=');
    if (!is_name(*name) || rest->n < 2 || rest->p[0] != '"')
        return false;
    size_t i = 1;
    while (i < rest->n && rest->p[i] != '"')
        i += rest->p[i] == '\\' ? 2 : 1;
    if (i >= rest->n)
        return false;
    *value = (struct str){rest->p + 1, i - 1};
    *rest = (struct str){rest->p + i + 1, rest->n - i - 1};
    if (rest->n == 0)
        return true;
    if (rest->p[0] != ',' || rest->n == 1)
        return false;
    *rest = (struct str){rest->p + 1, rest->n - 1};
    return true;
}

/* `le` must be the last label here; `others` is what stands before it. */
static bool read_labels(struct page *p, struct str labels, struct str *others, struct str *le)
{
    struct str rest = labels, name, value;

    *others = labels;
    *le = STR("");
    while (rest.n) {
        const size_t before = labels.n - rest.n;
        if (!take_label(&rest, &name, &value))
            return wrong(p, "labels {%.*s}", STR_ARG(labels));
        if (!str_is(name, "le"))
            continue;
        if (rest.n)
            return wrong(p, "le is not the last label: {%.*s}", STR_ARG(labels));
        *le = value;
        *others = (struct str){labels.p, before ? before - 1 : 0};
    }
    return true;
}

static bool to_number(struct str s, double *out)
{
    char text[VALUE_BYTES], *end;

    if (s.n == 0 || s.n >= sizeof(text) || isspace((unsigned char)s.p[0]))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *out = strtod(text, &end);
    return *end == 0;
}

static bool bucket(struct page *p, struct str others, struct str le, double value)
{
    double bound;

    if (!to_number(le, &bound))
        return wrong(p, "a bucket with le=\"%.*s\"", STR_ARG(le));
    if (!p->in_buckets) {
        p->in_buckets = true;
        p->labels = others;
        p->had_inf = p->had_sum = false;
    } else if (!str_eq(others, p->labels) || bound <= p->le || value < p->count) {
        return wrong(p, "bucket {%.*s} le %.*s does not rise", STR_ARG(others), STR_ARG(le));
    }
    p->le = bound;
    p->count = value;
    p->had_inf = isinf(bound);
    return true;
}

static bool histogram_part(struct page *p, struct str part, struct str others, struct str le,
                           double value)
{
    if (str_is(part, "_bucket"))
        return bucket(p, others, le, value);
    if (!p->in_buckets || le.n || !str_eq(others, p->labels))
        return wrong(p, "%.*s {%.*s} without its buckets", STR_ARG(part), STR_ARG(others));
    if (str_is(part, "_sum")) {
        p->had_sum = true;
        return true;
    }
    if (!str_is(part, "_count"))
        return wrong(p, "a histogram has no %.*s", STR_ARG(part));
    p->in_buckets = false;
    if (!p->had_inf || !p->had_sum || value != p->count)
        return wrong(p, "{%.*s}: +Inf, _sum and _count do not agree", STR_ARG(others));
    return true;
}

static bool keep_series(struct page *p, struct str series)
{
    for (size_t i = 0; i < p->n_series; i++)
        if (str_eq(p->series[i], series))
            return wrong(p, "twice: %.*s", STR_ARG(series));
    if (p->n_series == MAX_SERIES)
        return wrong(p, "too many series");
    p->series[p->n_series++] = series;
    return true;
}

static struct str before_last_blank(struct str line)
{
    size_t n = line.n;

    while (n > 0 && line.p[n - 1] != ' ')
        n--;
    return (struct str){line.p, n ? n - 1 : 0};
}

static bool read_sample(struct page *p, struct str line)
{
    const struct str series = before_last_blank(line);
    struct str name = series, labels = STR(""), others, le;
    double value;

    if (!series.n || !to_number((struct str){line.p + series.n + 1, line.n - series.n - 1}, &value))
        return wrong(p, "no value: %.*s", STR_ARG(line));
    const char *const brace = memchr(series.p, '{', series.n);
    if (brace) {
        name.n = (size_t)(brace - series.p);
        if (series.p[series.n - 1] != '}')
            return wrong(p, "an open brace: %.*s", STR_ARG(line));
        labels = (struct str){brace + 1, series.n - name.n - 2};
    }
    if (p->n_families == 0 || p->type.n == 0)
        return wrong(p, "before its HELP and TYPE: %.*s", STR_ARG(line));
    const struct str family = p->families[p->n_families - 1];
    const bool fits = is_histogram(p) ? name.n > family.n : name.n == family.n;
    if (!is_name(name) || !fits || memcmp(name.p, family.p, family.n) != 0)
        return wrong(p, "not of family %.*s: %.*s", STR_ARG(family), STR_ARG(line));
    if (!keep_series(p, series) || !read_labels(p, labels, &others, &le))
        return false;
    if (isnan(value) || (!str_is(p->type, "gauge") && value < 0))
        return wrong(p, "a count below 0: %.*s", STR_ARG(line));
    const struct str part = {name.p + family.n, name.n - family.n};
    return is_histogram(p) ? histogram_part(p, part, others, le, value) : true;
}

static bool read_line(struct page *p, struct str line)
{
    static const char help[] = "# HELP ", type[] = "# TYPE ";
    const size_t skip = sizeof(help) - 1;

    if (str_starts(line, help))
        return read_help(p, (struct str){line.p + skip, line.n - skip});
    if (str_starts(line, type))
        return read_type(p, (struct str){line.p + skip, line.n - skip});
    if (line.n == 0 || line.p[0] == '#')
        return wrong(p, "neither HELP, TYPE nor sample: \"%.*s\"", STR_ARG(line));
    return read_sample(p, line);
}

bool prometheus_check(struct str text, char *why)
{
    struct page *const p = calloc(1, sizeof(*p));
    bool good = p != NULL;

    if (!p)
        return false;
    p->why = why;
    if (text.n == 0 || text.p[text.n - 1] != '\n')
        good = wrong(p, "the last line has no end");
    while (good && text.n)
        good = read_line(p, str_cut(&text, '\n'));
    good = good && close_histogram(p);
    free(p);
    return good;
}

/* --- families in a document --- */

static bool stands(struct str text, const char *before, struct str name, char after)
{
    char want[160];
    const int n = snprintf(want, sizeof(want), "%s%.*s%c", before, STR_ARG(name), after);

    return memmem(text.p, text.n, want, (size_t)n) != NULL;
}

static bool is_ours(struct str name)
{
    return str_starts(name, "numawise_") || str_starts(name, "process_") ||
           str_starts(name, "reflector_") || str_starts(name, "rest_client_");
}

bool prometheus_documented(struct str page, struct str document, char *why)
{
    for (struct str rest = page, line, name; rest.n;) {
        line = str_cut(&rest, '\n');
        if (!str_starts(line, "# TYPE "))
            continue;
        line.p += 7, line.n -= 7;
        name = str_cut(&line, ' ');
        if (!stands(document, "`", name, '`')) {
            (void)snprintf(why, PROMETHEUS_WHY_BYTES, "%.*s is not documented", STR_ARG(name));
            return false;
        }
    }
    for (struct str rest = document, name; rest.n;) {
        (void)str_cut(&rest, '`');
        name = str_cut(&rest, '`');
        if (is_ours(name) && !stands(page, "# TYPE ", name, ' ')) {
            (void)snprintf(why, PROMETHEUS_WHY_BYTES, "%.*s is not on the page", STR_ARG(name));
            return false;
        }
    }
    return true;
}
