/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vectors/vector_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/data.h"

/*
 * The kubelet's unsigned 64-bit amounts can lie beyond what jansson reads: write those above 2^63
 * as the negative number of the same bits, in place.
 */
static void fold_unsigned(char *p, const char *end)
{
    while (p < end) {
        char *const from = p;

        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p - from >= 19) {
            char digits[24] = {0}, folded[24];

            memcpy(digits, from, (size_t)(p - from < 23 ? p - from : 23));
            const uint64_t v = strtoull(digits, NULL, 10);
            const int n = snprintf(folded, sizeof(folded), "%" PRId64, (int64_t)v);

            if (v > INT64_MAX) {
                memset(from, ' ', (size_t)(p - from));
                memcpy(from, folded, (size_t)n);
            }
        }
        p = p == from ? p + 1 : p;
    }
}

json_t *vector_line(char *line, size_t n, json_error_t *error)
{
    fold_unsigned(line, line + n);
    return json_loadb(line, n, 0, error);
}

static int each_line(struct str text, const char *path,
                     void (*visit)(void *ctx, const json_t *vector), void *ctx)
{
    while (text.n > 0) {
        const struct str line = str_cut(&text, '\n');
        json_error_t e;

        if (line.n == 0)
            continue;
        json_t *const vector = vector_line((char *)(uintptr_t)line.p, line.n, &e);
        if (!vector) {
            fprintf(stderr, "%s: %s\n", path, e.text);
            return -1;
        }
        visit(ctx, vector);
        json_decref(vector);
    }
    return 0;
}

int vector_file_each(const char *path, void (*visit)(void *ctx, const json_t *vector), void *ctx)
{
    struct buf text = {0};

    if (test_file_read(path, &text)) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    const int rc = each_line(buf_view(&text), path, visit, ctx);
    buf_free(&text);
    return rc;
}
