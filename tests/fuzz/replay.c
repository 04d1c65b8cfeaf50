/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds every file of the directories named on the command line to the fuzz target it is linked
 * with: the corpus as regression cases, under any compiler. Each input is a heap block of its own
 * size, so that AddressSanitizer sees a read past its end.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_BYTES = 65536 };

static int feed(const char *path)
{
    FILE *const f = fopen(path, "rbe");
    struct buf b = {0};
    static char step[STEP_BYTES];
    size_t n;

    if (!f)
        return -1;
    while ((n = fread(step, 1, sizeof(step), f)) > 0)
        buf_add(&b, step, n);
    (void)fclose(f);
    uint8_t *const data = malloc(b.n ? b.n : 1);
    if (!data || b.failed)
        abort();
    if (b.n > 0)
        memcpy(data, b.p, b.n);
    (void)LLVMFuzzerTestOneInput(data, b.n);
    free(data);
    buf_free(&b);
    return 0;
}

/* How many files of the directory were fed; -1 when one cannot be read. */
static int feed_all(const char *dir)
{
    DIR *const d = opendir(dir);
    int n = 0;

    if (!d)
        return -1;
    for (const struct dirent *e; n >= 0 && (e = readdir(d));) {
        struct buf path = {0};

        if (e->d_name[0] == '.')
            continue;
        buf_printf(&path, "%s/%s", dir, e->d_name);
        n = path.failed || feed(path.p) < 0 ? -1 : n + 1;
        buf_free(&path);
    }
    (void)closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        const int n = feed_all(argv[i]);

        if (n < 0) {
            (void)fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        (void)printf("%s: %d inputs\n", argv[i], n);
        if (n == 0)
            return 1; /* an empty corpus tests nothing */
    }
    return 0;
}
