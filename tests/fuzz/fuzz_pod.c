/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a pod or a workload: what is accepted keeps the promises of scoring/request.h. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/object.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 18 };

static void check_amounts(const struct pod_amount *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert(list[i].amount >= 0);
        assert(list[i].kind == pod_resource_kind(list[i].resource));
    }
}

static void check(const struct score_pod *pod)
{
    bool apps = false;

    assert(pod->ns.n > 0);
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];

        assert(c->n_requests >= c->n_limits);
        assert(c->kind == POD_APP || !apps);
        apps |= c->kind == POD_APP;
        check_amounts(c->requests, c->n_requests);
        check_amounts(c->limits, c->n_limits);
    }
    check_amounts(pod->pod_requests, pod->n_pod_requests);
    check_amounts(pod->pod_limits, pod->n_pod_limits);
    for (uint32_t i = 0; i < pod->n_hints; i++)
        assert(pod->hints[i].key.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES), *const room = malloc(ROOM);
    struct score_pod pod;
    struct arena a;
    struct err err = {.code = 0};

    if (!text || !room)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    arena_init(&a, room, ROOM);
    const int rc = kube_pod_decode(&pod, (struct str){text, size}, &a, &err);
    memset(text, 'x', size); /* the pod does not borrow from the text */
    if (rc == 0)
        check(&pod);
    else
        assert(a.used == 0 && err.text[0] != 0);
    free(room);
    free(text);
    return 0;
}
