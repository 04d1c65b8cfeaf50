/* SPDX-License-Identifier: Apache-2.0 */
/* Reads files below tests/data/ for tests; the name of an .xz file gives its unpacked content. */
#ifndef TESTS_SUPPORT_DATA_H
#define TESTS_SUPPORT_DATA_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;

/*
 * Replace what `out` holds by the file's content, which at least 64 readable zero bytes follow (as
 * the scanner wants). 0; -errno when it cannot be read; -EINVAL when an .xz file is damaged.
 */
int test_data_read(const char *relative_path, struct buf *out) MUST_CHECK;

/* The same for any path. */
int test_file_read(const char *path, struct buf *out) MUST_CHECK;

/*
 * A heap copy of `text` followed by exactly 64 bytes of `fill`: AddressSanitizer sees who reads
 * further. To be freed; NULL when the heap is full.
 */
char *test_padded(struct str text, char fill);

/* The body of a recorded HTTP message: what follows the empty line. */
struct str test_http_body(struct str message);

/*
 * The seed of a property test: NUMAWISE_SEED, else `otherwise`; printed either way.
 * test_random steps the state (xorshift64*) and gives a number below `below`.
 */
uint64_t test_seed(uint64_t otherwise);
uint64_t test_random(uint64_t *state, uint64_t below);

#endif
