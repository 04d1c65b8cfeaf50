/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the scanner runs wide (SSE2, NEON) where the machine can, and the scalar twins. Apart so
 * that a test compares them byte by byte; scan.c is the only other reader.
 */
#ifndef KUBE_SCAN_BYTES_H
#define KUBE_SCAN_BYTES_H

#include <stddef.h>
#include <stdint.h>

/*
 * The first byte in p..end that is '"', '\', below 0x20 or above 0x7f; `end` when there is none.
 * The wide one reads up to 15 bytes behind `end`.
 */
const char *scan_plain_scalar(const char *p, const char *end);
const char *scan_plain_wide(const char *p, const char *end);

/* The first byte in p..end that is not a JSON blank; `end` when there is none. */
const char *scan_blank_scalar(const char *p, const char *end);
const char *scan_blank_wide(const char *p, const char *end);

/* A bit for each of the SCAN_BLOCK_BYTES bytes from `p` on, the first one lowest. */
enum { SCAN_BLOCK_BYTES = 64 };
struct scan_marks {
    uint64_t quotes; /* '"' */
    uint64_t odd;    /* what else ends a run of plain bytes, as above */
};
struct scan_marks scan_marks_scalar(const char *p);
struct scan_marks scan_marks_wide(const char *p);

/*
 * The length of the UTF-8 sequence of two to four bytes at `p` < `end` (Unicode 15, table 3-7);
 * 0 when it is malformed.
 */
size_t scan_utf8_bytes(const char *p, const char *end);

#endif
