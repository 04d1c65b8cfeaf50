/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tar.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

/* The header; octal digits, each number with its end. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char linked[100], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155];
    char rest[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK_BYTES, "a header is a block");

/* --- paths --- */

static bool is_plain(char c)
{
    return isalnum((unsigned char)c) || strchr("._-%", c);
}

/* "a/b": relative, no part empty, "." or "..". */
static bool is_safe(struct str path)
{
    if (path.n == 0)
        return false;
    for (size_t from = 0, to; from <= path.n; from = to + 1) {
        for (to = from; to < path.n && path.p[to] != '/'; to++)
            if (path.p[to] == 0 || !is_plain(path.p[to]))
                return false;
        const struct str part = {path.p + from, to - from};
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
    }
    return true;
}

/* Where the prefix ends, at a slash; 0: all is name; -1: there is no room. */
static long split(struct str path)
{
    const size_t name = sizeof(((struct header *)0)->name),
                 prefix = sizeof(((struct header *)0)->prefix);

    if (path.n <= name)
        return 0;
    for (size_t i = path.n - name - 1; i <= prefix && i < path.n; i++)
        if (path.p[i] == '/')
            return (long)i;
    return -1;
}

/* --- writing --- */

static unsigned sum_of(const struct header *h)
{
    const unsigned char *const p = (const unsigned char *)h;
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof(*h); i++) {
        const bool own = i >= offsetof(struct header, checksum) &&
                         i < offsetof(struct header, checksum) + sizeof(h->checksum);
        sum += own ? ' ' : p[i];
    }
    return sum;
}

/* `room` - 1 octal digits and a zero. */
static void put_octal(char *to, size_t room, uint64_t v)
{
    to[room - 1] = 0;
    for (size_t i = room - 1; i-- > 0; v >>= 3)
        to[i] = (char)('0' + (v & 7));
}

static void pad(struct buf *out, size_t n)
{
    static const char zeros[TAR_BLOCK_BYTES];

    buf_add(out, zeros, (TAR_BLOCK_BYTES - n % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES);
}

int tar_add(struct buf *out, struct str path, struct str text, int64_t mtime_s)
{
    struct header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    const long cut = is_safe(path) ? split(path) : 0;

    if (!is_safe(path))
        return -EINVAL;
    if (cut < 0)
        return -ENAMETOOLONG;
    const size_t from = cut ? (size_t)cut + 1 : 0;
    memcpy(h.prefix, path.p, (size_t)cut);
    memcpy(h.name, path.p + from, path.n - from);
    put_octal(h.mode, sizeof(h.mode), 0644);
    put_octal(h.uid, sizeof(h.uid), 0);
    put_octal(h.gid, sizeof(h.gid), 0);
    put_octal(h.size, sizeof(h.size), text.n);
    put_octal(h.mtime, sizeof(h.mtime), mtime_s > 0 ? (uint64_t)mtime_s : 0);
    put_octal(h.major, sizeof(h.major), 0);
    put_octal(h.minor, sizeof(h.minor), 0);
    put_octal(h.checksum, sizeof(h.checksum) - 1, sum_of(&h));
    h.checksum[sizeof(h.checksum) - 1] = ' ';
    buf_add(out, &h, sizeof(h));
    buf_str(out, text);
    pad(out, text.n);
    return 0;
}

void tar_end(struct buf *out)
{
    static const char zeros[2 * TAR_BLOCK_BYTES];

    buf_add(out, zeros, sizeof(zeros));
}

/* --- reading --- */

/* Octal digits up to a zero or blank. */
static bool read_octal(const char *from, size_t room, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < room && from[i] >= '0' && from[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(from[i] - '0');
    *out = v;
    return i > 0 && (i == room || from[i] == 0 || from[i] == ' ');
}

static void add_text(char *out, size_t *n, const char *from, size_t room)
{
    const size_t some = strnlen(from, room);

    memcpy(out + *n, from, some);
    *n += some;
}

/* "prefix/name" */
static size_t path_of(char path[TAR_PATH_BYTES], const struct header *h)
{
    size_t n = 0;

    add_text(path, &n, h->prefix, sizeof(h->prefix));
    if (n)
        path[n++] = '/';
    add_text(path, &n, h->name, sizeof(h->name));
    path[n] = 0;
    return n;
}

static int wrong(const struct tar_reader *r, const char *what, struct err *err)
{
    return err_set(err, -EPROTO, "archive, at byte %zu: %s", r->at, what);
}

static bool is_empty(const struct header *h)
{
    static const struct header none;

    return memcmp(h, &none, sizeof(none)) == 0;
}

/* The header that is due; 0 at the end. */
static int read_header(const struct tar_reader *r, struct str tar, struct header *h, uint64_t *size,
                       struct err *err)
{
    uint64_t sum = 0;

    if (tar.n - r->at < sizeof(*h))
        return wrong(r, "it is cut off", err);
    memcpy(h, tar.p + r->at, sizeof(*h));
    if (is_empty(h))
        return 0;
    if (!read_octal(h->checksum, sizeof(h->checksum), &sum) || sum != sum_of(h) ||
        memcmp(h->magic, "ustar", 5) != 0 || !read_octal(h->size, sizeof(h->size), size))
        return wrong(r, "this is no header", err);
    if (*size > tar.n - r->at - sizeof(*h))
        return wrong(r, "it is cut off", err);
    return 1;
}

int tar_next(struct tar_reader *r, struct str tar, char path[TAR_PATH_BYTES], struct str *text,
             struct err *err)
{
    char whole[TAR_PATH_BYTES];
    struct header h;
    uint64_t size = 0;
    int rc;

    while ((rc = read_header(r, tar, &h, &size, err)) > 0) {
        const size_t start = r->at + sizeof(h), padded = (size + 511) / 512 * 512;
        size_t n = path_of(whole, &h);
        const bool is_file = h.type == '0' || h.type == 0;

        if (!is_file && h.type != '5')
            return wrong(r, "neither a file nor a directory", err);
        if (h.type == '5' && n && whole[n - 1] == '/')
            n--;
        if (!is_safe((struct str){whole, n}))
            return wrong(r, "a path that leads elsewhere", err);
        if (++r->n > TAR_MOST_FILES)
            return wrong(r, "too many files", err);
        r->at = padded < tar.n - start ? start + padded : tar.n;
        if (!is_file)
            continue;
        memcpy(path, whole, n + 1);
        *text = (struct str){tar.p + start, size};
        return 1;
    }
    return rc;
}
