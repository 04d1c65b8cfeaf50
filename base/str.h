/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes, not terminated; whoever made it says how long it lives. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct arena;

struct str {
    const char *p; /* NULL only when n = 0 */
    size_t n;
};

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""
#define STR(text)                                                                                  \
    (struct str)                                                                                   \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

struct str str_of(const char *text); /* strlen; NULL gives the empty string */
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool str_is(struct str a, const char *text);
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
int str_cmp(struct str a, struct str b); /* byte order, as LC_ALL=C sort; shorter first on ties */

/* A copy in the arena, terminated by a zero that n does not count. 0 or -ENOMEM. */
int str_copy(struct str *out, struct str s, struct arena *a) MUST_CHECK;

/* Everything before the first `sep`, which is taken off `*rest` together with the separator. */
struct str str_cut(struct str *rest, char sep);
struct str str_trim(struct str s); /* without spaces and tabs at both ends */

/* A decimal integer without sign, blanks or leading zeros other than "0" itself. */
bool str_u64(struct str s, uint64_t *out) MUST_CHECK;

/*
 * The nearest of the `n` words for a "did you mean": at most 2 edits away (1 for words of up to
 * 4 bytes), NULL when none is. Ties: the first in the list.
 */
const char *str_nearest(struct str s, const char *const *words, size_t n);

#endif
