/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as ExtenderArgs: what is accepted has its names, quotes and items inside the body. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/extender_wire.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static void check(const struct kube_extender_args *args, struct str body)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < args->n; i++) {
        const struct str q = kube_args_quoted(args, i);

        bytes += q.n;
        assert(q.n >= 2 && q.p[0] == '"' && q.p[q.n - 1] == '"');
        assert(args->names[i].n <= q.n - 2);
        if (!args->items)
            continue;
        const struct str item = args->items[i];
        struct scan s;

        assert(item.p >= body.p && item.p + item.n <= body.p + body.n);
        scan_init(&s, item, 0); /* sent back as it stands: must be whole */
        assert(scan_end(&s, NULL) == 0);
    }
    assert(bytes <= args->quoted_bytes);
    assert((args->items != NULL) == (args->mode == KUBE_ARGS_NODES));
    assert(args->has_pod || args->pod_err.text[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES), *const room = malloc(ROOM);
    struct kube_extender_args args;
    struct arena a;
    struct err err = {.code = 0};

    if (!text || !room)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, ']', SCAN_PADDING_BYTES);
    arena_init(&a, room, ROOM);
    const struct str body = {text, size};
    if (kube_extender_args_decode(&args, body, &a, &err) == 0)
        check(&args, body);
    else
        assert(a.used == 0 && err.text[0] != 0);
    free(room);
    free(text);
    return 0;
}
