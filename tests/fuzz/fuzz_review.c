/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an API server's word on a caller: nobody is let in but by a plain yes. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/review.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts of the answer go into the next question, which must be JSON again. */
static void ask_on(const struct kube_user *user)
{
    const struct kube_attributes wish = {"get", "g", "r", STR("ns"), STR("name")};
    struct buf text = {0};
    struct scan s;
    struct err err;

    kube_access_review(&text, user, &wish);
    const size_t n = text.n;
    buf_add(&text, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    assert(!text.failed);
    scan_init(&s, (struct str){text.p, n}, 0);
    (void)scan_skip(&s);
    const int rc = scan_end(&s, &err);
    assert(rc == 0 || rc == -E2BIG); /* what was nested deeply is nested deeper now */
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES), *const room = malloc(1 << 16);
    struct kube_token_verdict v;
    struct arena a;
    bool allowed;

    if (!text || !room)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    arena_init(&a, room, 1 << 16);
    const struct str json = {text, size};
    if (kube_token_review_read(&v, json, "numawise", &a, NULL) == 0 && v.authenticated) {
        assert(v.user.name.n > 0 && memmem(text, size, "numawise", 8));
        assert(memmem(text, size, "true", 4));
        ask_on(&v.user);
    }
    if (kube_access_review_read(&allowed, json, NULL) == 0 && allowed)
        assert(memmem(text, size, "true", 4));
    free(room);
    free(text);
    return 0;
}
