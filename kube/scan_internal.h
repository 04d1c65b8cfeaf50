/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the scanner's files: scan.c pulls values, scan_skip.c knows the tokens and skips,
 * scan_text.c decodes texts and words failures.
 */
#ifndef KUBE_SCAN_INTERNAL_H
#define KUBE_SCAN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "kube/scan.h"
#include "kube/scan_bytes.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The byte at `p`, 0 at the end: zero is legal nowhere outside of strings. */
static inline unsigned char at(const char *p, const char *end)
{
    return p < end ? (unsigned char)*p : 0;
}

/* Compact text has no blanks: look at one byte first. */
static inline const char *blank(const char *p, const char *end)
{
    return LIKELY(at(p, end) > ' ') ? p : scan_blank_wide(p, end);
}

static inline bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, -1 for another byte. */
int scan_hex_digit(unsigned char c);

/* Fail with a grammar error at `p`, or a nesting too deep there. Both return NULL. */
const char *scan_bad(struct scan *s, const char *p, const char *what);
const char *scan_too_deep(struct scan *s, const char *p);

/*
 * Each takes the place of a token and returns the place behind it, NULL on failure: what is left of
 * a string from a byte on that is not plain, a number (`p` at a digit or '-'), the colon with
 * blanks on both sides, any value (`p` at its first byte).
 */
const char *scan_token_rest(struct scan *s, const char *p);
const char *scan_token_number(struct scan *s, const char *p);
const char *scan_token_value(struct scan *s, const char *p);

/* A string, `p` behind its opening quote. */
static inline const char *scan_token_string(struct scan *s, const char *p)
{
    p = scan_plain_wide(p, s->stop);
    return LIKELY(at(p, s->stop) == '"') ? p + 1 : scan_token_rest(s, p);
}

/* Behind the closing quote of a key: the colon, and blanks on both sides. */
static inline const char *scan_token_colon(struct scan *s, const char *p)
{
    p = blank(p, s->stop);
    if (UNLIKELY(at(p, s->stop) != ':'))
        return scan_bad(s, p, "expected ':' after the key");
    return blank(p + 1, s->stop);
}

#endif
