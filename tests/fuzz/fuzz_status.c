/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what an API server says of a failure: texts are whole and within their room. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kube/scan.h"
#include "kube/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES);
    struct kube_status s;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    memset(&s, 0xff, sizeof(s));
    const bool is = kube_status_decode(&s, (struct str){text, size});
    assert(memchr(s.reason, 0, sizeof(s.reason)) && memchr(s.cause, 0, sizeof(s.cause)) &&
           memchr(s.message, 0, sizeof(s.message)));
    assert(s.code < 1000 && s.retry_after_s >= -1);
    assert(is || (!s.failed && s.code == 0 && !s.reason[0] && s.retry_after_s == -1));
    free(text);
    return 0;
}
