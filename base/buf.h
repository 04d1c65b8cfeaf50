/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer on the heap, for output that people read. Not for the hot path. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/* Zero-initialise. `failed` sticks: after it nothing more is added, and the caller looks once. */
struct buf {
    char *p; /* zero-terminated once anything was added */
    size_t n;
    size_t room;
    bool failed;
};

void buf_add(struct buf *b, const void *p, size_t n);
void buf_text(struct buf *b, const char *text);
void buf_str(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Bytes in the largest unit that gives a whole number: "512Mi", "1536", "0". */
void buf_bytes(struct buf *b, uint64_t bytes);
struct str buf_view(const struct buf *b); /* valid until the next change */
void buf_free(struct buf *b);             /* leaves an empty buffer */

#endif
