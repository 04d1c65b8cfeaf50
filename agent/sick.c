/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sick.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kubelet_state.h"
#include "base/arena.h"
#include "scoring/request.h"

static int compare(const void *x, const void *y)
{
    const struct kube_nrt_device *const a = x, *const b = y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

/* Both texts are one block, which begins with the resource. */
static int copy(struct kube_nrt_device *out, const struct kube_nrt_device *from)
{
    char *const p = malloc(from->resource.n + from->id.n + 1);

    if (!p)
        return -ENOMEM;
    memcpy(p, from->resource.p, from->resource.n);
    memcpy(p + from->resource.n, from->id.p, from->id.n);
    *out = *from;
    out->resource.p = p;
    out->id.p = p + from->resource.n;
    return 0;
}

static void drop(struct kube_nrt_device *d)
{
    free((void *)(uintptr_t)d->resource.p);
}

void agent_sick_forget(struct agent_sick *s)
{
    for (size_t i = 0; i < s->n; i++)
        drop(&s->seen[i]);
    free(s->seen);
    s->seen = NULL;
    s->n = 0;
    s->missing = 0;
}

static void forget_capacity(struct agent_sick *s)
{
    for (size_t i = 0; i < s->n_capacity; i++)
        free((void *)(uintptr_t)s->capacity[i].resource.p);
    free(s->capacity);
    s->capacity = NULL;
    s->n_capacity = 0;
}

void agent_sick_done(struct agent_sick *s)
{
    agent_sick_forget(s);
    forget_capacity(s);
}

int agent_sick_capacity(struct agent_sick *s, const struct pod_amount *capacity, uint32_t n)
{
    forget_capacity(s);
    s->capacity = calloc(n ? n : 1, sizeof(*s->capacity));
    for (uint32_t i = 0; s->capacity && i < n; i++) {
        const struct str name = capacity[i].resource;
        char *const p = malloc(name.n + 1);

        if (!p)
            break;
        memcpy(p, name.p, name.n);
        s->capacity[i] = capacity[i];
        s->capacity[i].resource.p = p;
        s->n_capacity++;
    }
    if (s->capacity && s->n_capacity == n)
        return 0;
    forget_capacity(s);
    return -ENOMEM;
}

/* -1: not known. */
static int64_t capacity_of(const struct agent_sick *s, struct str resource)
{
    for (size_t i = 0; i < s->n_capacity; i++) {
        if (str_eq(s->capacity[i].resource, resource))
            return s->capacity[i].amount;
    }
    return -1;
}

static uint32_t count_of(const struct kube_nrt_device *d, uint32_t n, struct str resource)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += str_eq(d[i].resource, resource);
    return sum;
}

/*
 * Remember the healthy ones of `d` [n], too, in order: both lists are in it. A failure leaves none
 * remembered, and is none of the look.
 */
static void remember(struct agent_sick *s, const struct kube_nrt_device *d, uint32_t n)
{
    struct kube_nrt_device *const all = calloc(s->n + n + 1, sizeof(*all));
    size_t kept = 0, i = 0;
    uint32_t k = 0;
    bool good = all;

    while (good && (i < s->n || k < n)) {
        const int c = i == s->n ? 1 : k == n ? -1 : compare(&s->seen[i], &d[k]);

        if (c <= 0) {
            all[kept] = s->seen[i++];
            if (c == 0 && d[k].healthy) {
                all[kept].zones = d[k].zones;
                all[kept].elsewhere = d[k].elsewhere;
            }
            k += c == 0;
            kept++;
        } else if (d[k++].healthy) {
            good = copy(&all[kept], &d[k - 1]) == 0;
            kept += good;
        }
    }
    for (; all && i < s->n; i++) /* where it went wrong */
        all[kept++] = s->seen[i];
    if (!all) {
        agent_sick_forget(s);
        return;
    }
    free(s->seen);
    s->seen = all;
    s->n = kept;
    if (!good || kept > AGENT_SICK_MAX)
        agent_sick_forget(s);
}

static bool is_said(const struct kube_nrt_device *d, uint32_t n, const struct kube_nrt_device *one)
{
    return n && bsearch(one, d, n, sizeof(*d), compare);
}

/* Of the seen ones from `i` on, those of one resource that are not said: how many, to `*end`. */
static uint32_t missing_of(const struct agent_sick *s, size_t i, size_t *end,
                           const struct kube_nrt_device *d, uint32_t n)
{
    uint32_t sum = 0;
    size_t k = i;

    for (; k < s->n && str_eq(s->seen[k].resource, s->seen[i].resource); k++)
        sum += !is_said(d, n, &s->seen[k]);
    *end = k;
    return sum;
}

int agent_sick_join(struct agent_sick *s, const struct kube_nrt_device **devices, uint32_t *n,
                    struct arena *a)
{
    const struct kube_nrt_device *const said = *devices;
    const uint32_t n_said = *n;
    uint32_t all = n_said;
    size_t kept = 0, end = 0;

    remember(s, said, n_said);
    struct kube_nrt_device *const out = arena_array(a, n_said + s->n, sizeof(*out));
    if (!out)
        return -ENOMEM;
    if (n_said)
        memcpy(out, said, n_said * sizeof(*out));
    s->missing = 0;
    for (size_t i = 0; i < s->n; i = end) {
        const uint32_t missing = missing_of(s, i, &end, said, n_said);
        const int64_t capacity = missing ? capacity_of(s, s->seen[i].resource) : 0;
        const int64_t there = missing ? count_of(said, n_said, s->seen[i].resource) : 0;

        for (size_t k = i; k < end; k++) {
            const bool is_missing = missing && !is_said(said, n_said, &s->seen[k]);

            if (is_missing && capacity == there) {
                drop(&s->seen[k]);
                continue;
            }
            s->missing += is_missing;
            s->seen[kept] = s->seen[k];
            if (is_missing && capacity == there + missing) {
                out[all] = s->seen[kept];
                out[all++].healthy = false;
            }
            kept++;
        }
    }
    s->n = kept;
    *devices = out;
    *n = agent_devices_fold(out, all);
    return 0;
}
