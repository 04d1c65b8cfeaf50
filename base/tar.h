/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives in the ustar format (POSIX.1-2017, pax "ustar Interchange Format"): plain files only,
 * written by one numawise, read by another that does not trust it.
 */
#ifndef BASE_TAR_H
#define BASE_TAR_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;

enum {
    TAR_PATH_BYTES = 257,   /* of a path, its end included: 155 + "/" + 100 */
    TAR_BLOCK_BYTES = 512,  /* everything is padded to this */
    TAR_MOST_FILES = 16384, /* of one archive that is read */
};

/*
 * Append a file. The path is relative, and neither it nor a part of it is "." or "..". 0; -EINVAL:
 * no such path; -ENAMETOOLONG: the format has no room for it. A full heap shows as out->failed.
 */
int tar_add(struct buf *out, struct str path, struct str text, int64_t mtime_s) MUST_CHECK;

void tar_end(struct buf *out); /* the two empty blocks */

/* Zero-initialise. */
struct tar_reader {
    size_t at;  /* where the next header is */
    uint32_t n; /* files so far */
};

/*
 * The next file: `path`, terminated, and `text`, a slice of `tar`. Directories are passed over.
 * 1; 0 at the end. -EPROTO, and `err` says what is wrong with what: cut off, a damaged header,
 * anything but plain files and directories, a path that is absolute, leads out of where it is
 * unpacked, or has bytes besides letters, digits, "._-%" and "/".
 */
int tar_next(struct tar_reader *r, struct str tar, char path[TAR_PATH_BYTES], struct str *text,
             struct err *err) MUST_CHECK;

#endif
