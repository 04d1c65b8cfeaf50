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

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The byte at `p`, 0 at the end: zero is legal nowhere outside of strings. */
static inline unsigned char at(const char *p, const char *end)
{
    return p < end ? (unsigned char)*p : 0;
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
 * Each takes the place of a token and returns the place behind it, NULL on failure: a string (`p`
 * behind the opening quote), a number (`p` at a digit or '-'), the colon with blanks on both sides,
 * any value (`p` at its first byte).
 */
const char *scan_token_string(struct scan *s, const char *p);
const char *scan_token_number(struct scan *s, const char *p);
const char *scan_token_colon(struct scan *s, const char *p);
const char *scan_token_value(struct scan *s, const char *p);

#endif
