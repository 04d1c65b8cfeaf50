/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/facts_held.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static int by_pod(const struct kube_nrt_holding *a, const struct kube_nrt_holding *b)
{
    int c = str_cmp(a->ns, b->ns);

    if (c == 0)
        c = str_cmp(a->pod, b->pod);
    return c ? c : str_cmp(a->uid, b->uid);
}

static int by_container(const void *x, const void *y)
{
    const struct kube_nrt_holding *const a = x, *const b = y;
    const int c = by_pod(a, b);

    return c ? c : str_cmp(a->container, b->container);
}

static int by_device(const void *x, const void *y)
{
    const struct kube_nrt_device_use *const a = x, *const b = y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

/* Of one container, in h[0..n). */
static int make_one(struct kube_nrt_holding *out, const struct kube_nrt_holding *h, uint32_t n,
                    struct arena *a)
{
    struct kube_nrt_holding one = h[0];
    size_t n_blocks = 0, n_devices = 0;

    for (uint32_t i = 0; i < n; i++) {
        n_blocks += h[i].n_blocks;
        n_devices += h[i].n_devices;
        if (h[i].cpus.n)
            one.cpus = h[i].cpus;
    }
    struct kube_nrt_block *const blocks = arena_array(a, n_blocks, sizeof(*blocks));
    struct kube_nrt_device_use *const devices = arena_array(a, n_devices, sizeof(*devices));
    if (!blocks || !devices)
        return -ENOMEM;
    one.blocks = blocks;
    one.devices = devices;
    one.n_blocks = one.n_devices = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t b = 0; b < h[i].n_blocks; b++)
            blocks[one.n_blocks++] = h[i].blocks[b];
        for (uint32_t d = 0; d < h[i].n_devices; d++)
            devices[one.n_devices++] = h[i].devices[d];
    }
    if (one.n_devices > 1)
        qsort(devices, one.n_devices, sizeof(*devices), by_device);
    *out = one;
    return 0;
}

/* Of the pod in h[0..n): what the first, when it is the pod as a whole, has for all of them. */
static void count_once(struct kube_nrt_holding *h, uint32_t n)
{
    if (h[0].container.n)
        return;
    for (uint32_t i = 1; i < n; i++) {
        if (h[0].cpus.n)
            h[i].cpus = (struct str){0};
        if (h[0].n_blocks)
            h[i].n_blocks = 0;
    }
}

static bool holds_something(const struct kube_nrt_holding *h)
{
    return h->cpus.n || h->n_blocks || h->n_devices;
}

int agent_held_fold(struct kube_nrt_holding *h, uint32_t n, struct arena *a)
{
    uint32_t containers = 0, kept = 0;

    if (n > 1)
        qsort(h, n, sizeof(*h), by_container);
    for (uint32_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && by_container(&h[i], &h[next]) == 0;)
            next++;
        if (make_one(&h[containers++], &h[i], next - i, a))
            return -ENOMEM;
    }
    for (uint32_t i = 0, next; i < containers; i = next) {
        for (next = i + 1; next < containers && by_pod(&h[i], &h[next]) == 0;)
            next++;
        count_once(&h[i], next - i);
    }
    for (uint32_t i = 0; i < containers; i++) {
        if (holds_something(&h[i]))
            h[kept++] = h[i];
    }
    return (int)kept;
}
