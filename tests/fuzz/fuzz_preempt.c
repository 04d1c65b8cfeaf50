/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a call of preempt: what is accepted names its victims, and what goes back is read as
 * the same nodes with the same victims, those without any left out.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/preempt_wire.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct kube_preempt_args *went, const struct kube_preempt_args *came)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < went->n; i++) {
        const struct kube_victims *const v = &went->nodes[i];
        if (v->n == 0)
            continue;
        assert(at < came->n);
        const struct kube_victims *const w = &came->nodes[at++];
        assert(str_eq(v->node, w->node) && v->n == w->n && v->violations == w->violations);
        for (uint32_t k = 0; k < v->n; k++)
            assert(v->uids[k].n > 0 && str_eq(v->uids[k], w->uids[k]));
    }
    assert(at == came->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char padding[SCAN_PADDING_BYTES];
    static _Alignas(max_align_t) char room[256 * 1024], again_room[256 * 1024];
    char *const text = calloc(1, size + SCAN_PADDING_BYTES);
    struct kube_preempt_args args, again;
    struct buf out = {0};
    struct arena a, b;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    arena_init(&a, room, sizeof(room));
    arena_init(&b, again_room, sizeof(again_room));
    if (kube_preempt_decode(&args, (struct str){text, size}, &a, NULL) == 0) {
        kube_preempt_encode(&out, args.nodes, args.n);
        const size_t n = out.n;
        buf_add(&out, padding, sizeof(padding));
        if (kube_preempt_decode(&again, (struct str){out.p, n}, &b, NULL))
            abort();
        compare(&args, &again);
    }
    buf_free(&out);
    free(text);
    return 0;
}
