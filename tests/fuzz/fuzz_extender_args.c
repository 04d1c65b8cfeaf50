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

/* The same body where its list of names is expected: nothing else comes of it. */
static void check_expected(const struct kube_extender_args *args, struct str body)
{
    static char room[ROOM];
    uint32_t *const at = calloc(args->n + 1, sizeof(*at));
    const char *const from = args->n ? args->raw[0].p - 1 : NULL;
    struct kube_extender_args again;
    bool plain = args->mode == KUBE_ARGS_NAMES && args->names == args->raw && from;
    struct arena a;

    if (!at)
        abort();
    for (uint32_t i = 0; plain && i < args->n; i++) {
        at[i] = (uint32_t)(args->raw[i].p - from);
        plain = i == 0 || args->raw[i].p == args->raw[i - 1].p + args->raw[i - 1].n + 3;
    }
    if (plain) {
        const struct str last = args->raw[args->n - 1];
        const struct str list = {from, (size_t)(last.p + last.n + 1 - from)};
        const struct kube_seen_names expected = {list, args->n, at};

        at[args->n] = (uint32_t)list.n + 2;
        arena_init(&a, room, sizeof(room));
        const int rc = kube_extender_args_decode(&again, body, &expected, &a, NULL);
        assert(rc == 0 && again.n == args->n && again.quoted_bytes == args->quoted_bytes);
        for (uint32_t i = 0; i < args->n; i++)
            assert(again.names[i].p == args->names[i].p && again.names[i].n == args->names[i].n);
    }
    free(at);
}

static void check_all(const struct kube_extender_args *args, struct str body)
{
    check(args, body);
    check_expected(args, body);
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
    if (kube_extender_args_decode(&args, body, NULL, &a, &err) == 0)
        check_all(&args, body);
    else
        assert(a.used == 0 && err.text[0] != 0);
    free(room);
    free(text);
    return 0;
}
