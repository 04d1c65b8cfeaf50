/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a call of bind: what is accepted stands in a path without leaving its place there.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/binding.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(max_align_t) char room[64 * 1024];
    char *const text = calloc(1, size + SCAN_PADDING_BYTES);
    struct kube_binding b;
    struct buf path = {0}, body = {0};
    struct arena a;
    unsigned slashes = 0;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    arena_init(&a, room, sizeof(room));
    if (kube_binding_decode(&b, (struct str){text, size}, &a, NULL) == 0) {
        kube_binding_path(&path, &b);
        for (size_t i = 0; i < path.n; i++) {
            slashes += path.p[i] == '/';
            assert(path.p[i] > ' ' && path.p[i] != '?' && path.p[i] != '%' && path.p[i] != '#');
        }
        assert(slashes == 7 && !strstr(path.p, "/../"));
        kube_binding_encode(&body, &b, "a", b.pod);
        assert(body.n > 0 && body.p[body.n - 1] == '}');
    }
    buf_free(&path);
    buf_free(&body);
    free(text);
    return 0;
}
