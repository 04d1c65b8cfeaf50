/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the terminating zero. */
static bool grow(struct buf *b, size_t n)
{
    size_t want;

    if (b->failed || __builtin_add_overflow(b->n, n, &want) || want > SIZE_MAX / 4) {
        b->failed = true;
        return false;
    }
    if (want + 1 <= b->room)
        return true;
    size_t room = b->room ? b->room : 256;
    while (room < want + 1)
        room *= 2;
    char *const p = realloc(b->p, room);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->room = room;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (!grow(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
}

void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (grow(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_bytes(struct buf *b, uint64_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti"};
    size_t u = 0;

    while (bytes && bytes % 1024 == 0 && u + 1 < ARRAY_LEN(units)) {
        bytes /= 1024;
        u++;
    }
    buf_printf(b, "%" PRIu64 "%s", bytes, units[u]);
}

struct str buf_view(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}
