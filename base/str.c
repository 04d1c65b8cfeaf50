/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"

struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

bool str_starts(struct str s, const char *prefix)
{
    const size_t n = strlen(prefix);

    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool str_ends(struct str s, const char *suffix)
{
    const size_t n = strlen(suffix);

    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

int str_cmp(struct str a, struct str b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

int str_copy(struct str *out, struct str s, struct arena *a)
{
    const char *const p = arena_copy(a, s.p, s.n);

    if (!p)
        return -ENOMEM;
    *out = (struct str){p, s.n};
    return 0;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *const at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    const struct str head = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

    *rest = at ? (struct str){at + 1, rest->n - head.n - 1} : (struct str){NULL, 0};
    return head;
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

enum { WORD_MAX = 63 }; /* longer names are not guessed at */

/* Levenshtein distance without regard to case; one row is enough. */
static size_t edits(struct str a, struct str b)
{
    size_t row[WORD_MAX + 1];

    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            const bool same = strncasecmp(&a.p[i - 1], &b.p[j - 1], 1) == 0;
            const size_t swap = diagonal + (same ? 0 : 1);
            const size_t gap = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);

            diagonal = row[j];
            row[j] = swap < gap ? swap : gap;
        }
    }
    return row[b.n];
}

const char *str_nearest(struct str s, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t best_edits = s.n <= 4 ? 2 : 3;

    if (s.n > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const struct str word = str_of(words[i]);
        const size_t d = word.n > WORD_MAX ? best_edits : edits(s, word);

        if (d < best_edits) {
            best_edits = d;
            best = words[i];
        }
    }
    return best;
}
