/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Lease: what is read is written in a form that is read as the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/lease.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(struct lease_record *out, const void *p, size_t n)
{
    char *const text = calloc(1, n + SCAN_PADDING_BYTES);

    if (!text)
        abort();
    if (n > 0)
        memcpy(text, p, n);
    const int rc = lease_decode(out, (struct str){text, n}, NULL);
    free(text);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lease_record r, again;
    struct buf b = {0};

    if (decode(&r, data, size) < 0)
        return 0;
    lease_encode_patch(&b, &r);
    assert(decode(&again, b.p, b.n) == 0);
    assert(r.duration_s == again.duration_s && r.transitions == again.transitions &&
           strcmp(r.holder, again.holder) == 0 && strcmp(r.version, again.version) == 0);
    buf_free(&b);
    return 0;
}
