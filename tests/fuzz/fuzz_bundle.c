/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the archive that a server sends, and as what a bundle's premises are read from. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/tar.h"
#include "decide/premises.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is given out lies in the archive, and leads nowhere else. */
static void unpack(struct str tar)
{
    struct tar_reader reader = {0};
    char path[TAR_PATH_BYTES];
    struct err err = {.code = 0};
    struct str text;
    int rc;

    while ((rc = tar_next(&reader, tar, path, &text, &err)) > 0) {
        assert(text.p >= tar.p && text.n <= tar.n && text.p + text.n <= tar.p + tar.n);
        assert(strlen(path) > 0 && path[0] != '/' && strcmp(path, "..") != 0);
        assert(strncmp(path, "../", 3) != 0 && !strstr(path, "/../") && !strstr(path, "//"));
    }
    assert(rc == 0 || err.text[0]);
}

static void read_premises(struct str text)
{
    char *const json = malloc(text.n + SCAN_PADDING_BYTES);
    _Alignas(max_align_t) char room[512];
    struct premises p;
    struct arena a;
    struct err err = {.code = 0};

    if (!json)
        abort();
    if (text.n)
        memcpy(json, text.p, text.n);
    memset(json + text.n, '"', SCAN_PADDING_BYTES);
    arena_init(&a, room, sizeof(room));
    if (premises_read(&p, (struct str){json, text.n}, &a, &err) == 0) {
        assert(p.demand.n <= DEMAND_KINDS && p.demand.n_resources <= DEMAND_RESOURCES);
        for (uint32_t i = 0; i < p.demand.n; i++)
            for (uint32_t k = 0; k < p.demand.kinds[i].n; k++)
                assert(p.demand.kinds[i].wants[k].column < DEMAND_DEVICES + p.demand.n_resources);
    } else {
        assert(err.text[0]);
    }
    assert(arena_mark(&a) == 0);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};

    unpack(text);
    read_premises(text);
    return 0;
}
