/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the status of a DeadlockReport, as a pod and as the answer to an eviction: what is
 * read of an act can be written and read again, names a pod or nothing, and nothing but a uid that
 * was seen leads on.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "operator/act.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read, written and read again, is the same. */
static void write_again(const struct act_record *r)
{
    struct act_record again;
    struct buf text = {0};
    struct emit e;

    assert(strspn(r->pod, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(r->pod));
    emit_init(&e, &text, false);
    emit_object(&e);
    emit_key(&e, "act"), act_record_put(&e, r);
    emit_end(&e);
    const size_t n = text.n;
    buf_add(&text, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    assert(!text.failed);
    act_record_read(&again, (struct str){text.p, n});
    assert(again.outcome == r->outcome && again.attempts == r->attempts);
    assert(strcmp(again.pod, r->pod) == 0);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES);
    char version[ACT_VERSION_BYTES];
    struct act_record r;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    const struct kube_answer a = {.status = 200, .body = {text, size}, .retry_after_ms = -1};
    act_record_read(&r, a.body);
    if (r.outcome != ACT_NOTHING)
        write_again(&r);
    const enum act_sight sight = act_see(&a, "u-0", version);
    assert(sight != ACT_FORBIDDEN);
    if (sight == ACT_SAME || sight == ACT_ENDS) {
        assert(version[0] && memmem(text, size, version, strlen(version)));
        assert(memmem(text, size, "u-0", 3) || memmem(text, size, "\\u", 2));
    }
    r = (struct act_record){.outcome = ACT_INTENDED};
    assert(act_take_answer(&r, &a, 1000));
    assert(r.outcome == ACT_EVICTED || r.outcome == ACT_REFUSED);
    free(text);
    return 0;
}
