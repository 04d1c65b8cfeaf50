/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a list or a watch, the first one says which: cut into pieces of any length it is
 * split into the same values, and names are read from each without a step outside.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/scan.h"
#include "kube/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(void *ctx, enum kube_split_part part, struct str text)
{
    struct buf *const all = ctx;
    struct kube_name name;
    struct kube_event event;

    buf_printf(all, "%d ", part);
    buf_str(all, text);
    buf_text(all, "\n");
    if (kube_name_read(&name, text))
        assert(name.name.p >= text.p && name.name.p + name.name.n <= text.p + text.n);
    if (kube_list_read(&name, text))
        assert(name.version.n > 0);
    if (kube_event_read(&event, text) == 0)
        assert(event.object.p[0] == '{' && event.object.n < text.n);
    return 0;
}

/* Each piece lies in a block of its own, so that a step outside of it is seen. */
static int split(struct buf *out, enum kube_split_form form, const uint8_t *data, size_t size,
                 size_t step)
{
    struct kube_splitter s = {.form = form};
    int rc = 0;

    kube_split_begin(&s, form, 1000, see, out);
    for (size_t at = 0; rc == 0 && at < size; at += step) {
        const size_t n = step < size - at ? step : size - at;
        char *const piece = malloc(n);

        if (!piece)
            abort();
        memcpy(piece, data + at, n);
        rc = kube_split_feed(&s, piece, n);
        free(piece);
    }
    if (rc == 0)
        rc = kube_split_end(&s);
    kube_split_done(&s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, pieces = {0};

    if (size < 2)
        return 0;
    const enum kube_split_form form = data[0] & 1 ? KUBE_SPLIT_LIST : KUBE_SPLIT_EVENTS;
    const size_t step = 1 + data[0] / 2;
    const int rc = split(&whole, form, data + 1, size - 1, size);
    assert(split(&pieces, form, data + 1, size - 1, step) == rc);
    assert(whole.n == pieces.n && (whole.n == 0 || memcmp(whole.p, pieces.p, whole.n) == 0));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
