/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a ResourceQuota and as a LimitRange, and what they say of a pod. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/limit_range.h"
#include "kube/quota.h"
#include "kube/scan.h"
#include "scoring/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct score_pod *pod, struct str text, struct arena *a)
{
    struct kube_quota q;
    struct kube_limit_range r;
    char why[64];

    if (kube_quota_decode(&q, text, a, NULL) == 0) {
        (void)kube_quota_covers(&q, pod);
        for (uint32_t i = 0; i < q.n; i++) {
            assert(q.entries[i].hard >= 0 && q.entries[i].used >= -1);
            assert(kube_quota_usage(&q.entries[i], pod) >= 0);
            (void)kube_quota_unsaid(&q.entries[i], pod);
        }
    }
    arena_rewind(a, 0);
    if (kube_limit_range_decode(&r, text, a, NULL) == 0) {
        const struct score_pod *made = pod;

        why[0] = 0;
        assert(kube_limit_range_allows(&r, pod, why, sizeof(why)) == (why[0] == 0));
        if (kube_limit_range_default(&made, &r, a) == 0)
            assert(made->n_containers == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(max_align_t) char room[256 * 1024];
    const struct pod_amount amounts[] = {{STR("cpu"), POD_CPU, 1500},
                                         {STR("memory"), POD_MEMORY, INT64_MAX}};
    const struct pod_container container = {
        .name = STR("c"), .requests = amounts, .limits = amounts, .n_requests = 2, .n_limits = 1};
    const struct score_pod pod = {
        .ns = STR("default"), .containers = &container, .n_containers = 1};
    char *const text = calloc(1, size + SCAN_PADDING_BYTES);
    struct arena a;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    arena_init(&a, room, sizeof(room));
    judge(&pod, (struct str){text, size}, &a);
    free(text);
    return 0;
}
