/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/data.h"

#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { PADDING_BYTES = 64, STEP_BYTES = 1 << 16 };

static int read_plain(FILE *f, struct buf *out)
{
    char step[STEP_BYTES];
    size_t n;

    while ((n = fread(step, 1, sizeof(step), f)) > 0)
        buf_add(out, step, n);
    return ferror(f) ? -EIO : 0;
}

static int unpack(struct str packed, struct buf *out)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    uint8_t step[STEP_BYTES];
    lzma_ret rc = lzma_stream_decoder(&stream, UINT64_MAX, 0);

    stream.next_in = (const uint8_t *)(const void *)packed.p;
    stream.avail_in = packed.n;
    while (rc == LZMA_OK) {
        stream.next_out = step;
        stream.avail_out = sizeof(step);
        rc = lzma_code(&stream, LZMA_FINISH);
        buf_add(out, step, sizeof(step) - stream.avail_out);
    }
    lzma_end(&stream);
    return rc == LZMA_STREAM_END ? 0 : -EINVAL;
}

static int add_padding(struct buf *out)
{
    static const char zeros[PADDING_BYTES];

    buf_add(out, zeros, sizeof(zeros));
    if (out->failed)
        return -ENOMEM;
    out->n -= sizeof(zeros);
    return 0;
}

int test_file_read(const char *path, struct buf *out)
{
    FILE *const f = fopen(path, "rbe");
    struct buf packed = {0};

    buf_free(out);
    if (!f)
        return -errno;
    const bool is_xz = str_ends(str_of(path), ".xz");
    int rc = read_plain(f, is_xz ? &packed : out);
    (void)fclose(f);
    if (rc == 0 && is_xz)
        rc = unpack(buf_view(&packed), out);
    buf_free(&packed);
    return rc < 0 ? rc : add_padding(out);
}

int test_data_read(const char *relative_path, struct buf *out)
{
    struct buf path = {0};

    buf_printf(&path, "%s/%s", TEST_DATA, relative_path);
    const int rc = path.failed ? -ENOMEM : test_file_read(path.p, out);
    buf_free(&path);
    return rc;
}

char *test_padded(struct str text, char fill)
{
    char *const p = malloc(text.n + PADDING_BYTES);

    if (!p)
        return NULL;
    if (text.n > 0)
        memcpy(p, text.p, text.n);
    memset(p + text.n, fill, PADDING_BYTES);
    return p;
}

struct str test_http_body(struct str message)
{
    const char *const at = memmem(message.p, message.n, "\r\n\r\n", 4);

    return at ? (struct str){at + 4, message.n - (size_t)(at + 4 - message.p)}
              : (struct str){NULL, 0};
}

uint64_t test_seed(uint64_t otherwise)
{
    const char *const text = getenv("NUMAWISE_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 10) : otherwise;

    (void)printf("NUMAWISE_SEED=%llu\n", (unsigned long long)seed);
    return seed ? seed : 1; /* a state of zero would stay zero */
}

uint64_t test_random(uint64_t *state, uint64_t below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(2685821657736338717) >> 11) % below;
}
