/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/cpuset.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum { SHOWN_BYTES = 60 }; /* of a list in an error's text */

uint32_t cpuset_count(const uint64_t *set, uint32_t words)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < words; i++)
        n += (uint32_t)__builtin_popcountll(set[i]);
    return n;
}

uint32_t cpuset_next(const uint64_t *set, uint32_t words, uint32_t from)
{
    for (uint32_t i = from / 64; i < words; i++) {
        const uint64_t skip = i == from / 64 ? UINT64_MAX << (from % 64) : UINT64_MAX;

        if (set[i] & skip)
            return i * 64 + (uint32_t)__builtin_ctzll(set[i] & skip);
    }
    return words * 64;
}

struct range {
    uint32_t first, last;
};

/* Digits only; saturates, so that an absurd id is "too big" and not a syntax error. */
static bool read_id(struct str s, uint32_t *out)
{
    uint32_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        const uint32_t digit = (uint32_t)(s.p[i] - '0');
        v = v > (UINT32_MAX - 9) / 10 ? UINT32_MAX : v * 10 + digit;
    }
    *out = v;
    return s.n > 0;
}

static bool read_range(struct str s, struct range *out)
{
    const bool is_range = s.n && memchr(s.p, '-', s.n);
    const struct str first = str_cut(&s, '-');

    if (!read_id(first, &out->first))
        return false;
    out->last = out->first;
    return !is_range || (read_id(s, &out->last) && out->first <= out->last);
}

static struct str shown(struct str s)
{
    return (struct str){s.p, s.n < SHOWN_BYTES ? s.n : SHOWN_BYTES};
}

/* Digits from `*p` on, at most 8 of them; false: there is none, or one more. */
static bool quick_id(const char **p, const char *end, uint32_t *out)
{
    const char *const from = *p, *const most = end - from > 8 ? from + 8 : end;
    uint32_t v = 0;

    for (; *p < most && **p >= '0' && **p <= '9'; (*p)++)
        v = v * 10 + (uint32_t)(**p - '0');
    *out = v;
    return *p > from && (*p == end || **p < '0' || **p > '9');
}

/* As next_range, where the range is written as the kernel does: most are, and there are many. */
static bool quick_range(struct str *rest, bool *more, uint32_t limit, struct range *out)
{
    const char *p = rest->p, *const end = rest->p + rest->n;
    struct range r;

    if (!quick_id(&p, end, &r.first))
        return false;
    r.last = r.first;
    if (p < end && *p == '-' && (p++, !quick_id(&p, end, &r.last)))
        return false;
    if (r.last < r.first || r.last >= limit || (p < end && *p != ','))
        return false;
    *more = p < end;
    *rest = (struct str){p + *more, (size_t)(end - p) - *more};
    *out = r;
    return true;
}

/*
 * Take the next range off `*rest`. Returns 1, 0 at the end, -EINVAL, or -E2BIG for an id that is
 * not below `limit`. `*more` says whether another range must follow; it starts as false.
 */
static int next_range(struct str *rest, bool *more, uint32_t limit, struct range *out,
                      struct err *err)
{
    if (rest->n == 0 && !*more)
        return 0;
    if (rest->n && quick_range(rest, more, limit, out))
        return 1;
    *more = rest->n && memchr(rest->p, ',', rest->n);
    const struct str part = str_trim(str_cut(rest, ','));

    if (!read_range(part, out))
        return err_set(err, -EINVAL, "\"%.*s\" is not a CPU id or range of a list like \"0-3,8\"",
                       STR_ARG(shown(part)));
    if (out->last >= limit)
        return err_set(err, -E2BIG, "CPU \"%.*s\" is beyond the limit of %u CPUs",
                       STR_ARG(shown(part)), limit);
    return 1;
}

/* Without the newline that files below /sys end with, and blanks at both ends. */
static struct str list_body(struct str list)
{
    if (list.n && list.p[list.n - 1] == '\n')
        list.n--;
    return str_trim(list);
}

int cpuset_parse(uint64_t *set, uint32_t words, struct str list, struct err *err)
{
    struct str rest = list_body(list);
    bool more = false;
    struct range r;
    int rc;

    if (words)
        memset(set, 0, words * sizeof(*set));
    while ((rc = next_range(&rest, &more, words * 64, &r, err)) > 0) {
        for (uint32_t cpu = r.first; cpu <= r.last; cpu++)
            cpuset_add(set, cpu);
    }
    return rc;
}

int cpuset_span(struct str list, struct err *err)
{
    struct str rest = list_body(list);
    bool more = false;
    struct range r;
    uint32_t span = 0;
    int rc;

    while ((rc = next_range(&rest, &more, TOPO_MAX_CPUS, &r, err)) > 0)
        span = r.last + 1 > span ? r.last + 1 : span;
    return rc < 0 ? rc : (int)span;
}

/* The end (exclusive) of the run of set bits that starts at `cpu`. */
static uint32_t run_end(const uint64_t *set, uint32_t words, uint32_t cpu)
{
    while (cpu < words * 64 && cpuset_has(set, cpu))
        cpu++;
    return cpu;
}

void cpuset_format(struct buf *out, const uint64_t *set, uint32_t words)
{
    uint32_t cpu = cpuset_next(set, words, 0);
    const char *comma = "";

    while (cpu < words * 64) {
        const uint32_t end = run_end(set, words, cpu);

        buf_printf(out, "%s%u", comma, cpu);
        if (end > cpu + 1)
            buf_printf(out, "-%u", end - 1);
        comma = ",";
        cpu = cpuset_next(set, words, end);
    }
}
