/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/amounts.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/quantity.h"
#include "kube/scan.h"

/* Where `name` is in the list, or n. */
static uint32_t find(const struct pod_amount *list, uint32_t n, struct str name)
{
    uint32_t i = 0;

    while (i < n && !str_eq(list[i].resource, name))
        i++;
    return i;
}

/* The resource under the scanner's current key; null is Go's zero quantity. `odd_memory` NULL: all
 * in thousandths. */
static bool read_one(struct scan *s, struct pod_amount *out, bool *odd_memory, struct arena *a)
{
    const bool milli = !odd_memory;
    bool is_int64 = true;

    *out = (struct pod_amount){0};
    if (!scan_key_copy(s, &out->resource, a))
        return false;
    out->kind = pod_resource_kind(out->resource);
    const bool read = milli || out->kind == POD_CPU
                          ? kube_quantity_scan(s, KUBE_MILLI, &out->amount)
                          : kube_quantity_scan_int64(s, &out->amount, &is_int64);
    if (!milli && (out->kind == POD_MEMORY || out->kind == POD_HUGEPAGES))
        *odd_memory = *odd_memory || !is_int64;
    return read || !scan_failed(s);
}

static bool read_entries(struct scan *s, struct pod_amount *list, uint32_t *out_n, bool *odd_memory,
                         struct arena *a)
{
    uint32_t n = 0;

    while (scan_key(s)) {
        struct pod_amount amount;

        if (!read_one(s, &amount, odd_memory, a))
            return false;
        const uint32_t i = find(list, n, amount.resource);
        list[i] = amount;
        n += i == n;
    }
    *out_n = n;
    return !scan_failed(s);
}

static bool read_list(struct scan *s, const struct pod_amount **out, uint32_t *out_n,
                      bool *odd_memory, struct arena *a)
{
    uint32_t n = 0;

    if (scan_kind(s) == SCAN_OBJECT && !scan_count(s, &n))
        return false;
    if (n > KUBE_AMOUNTS_MAX)
        return scan_fail(s, -E2BIG, "more than %d resources", KUBE_AMOUNTS_MAX);
    struct pod_amount *const list = arena_array(a, n, sizeof(*list));
    if (!list)
        return scan_fail(s, -ENOMEM, "no room for %u resources", n);
    if (scan_object(s)) {
        if (!read_entries(s, list, &n, odd_memory, a))
            return false;
    } else if (scan_failed(s)) {
        return false;
    }
    *out = list;
    *out_n = n;
    return true;
}

bool kube_amounts_read(struct scan *s, const struct pod_amount **out, uint32_t *out_n,
                       bool *odd_memory, struct arena *a)
{
    bool unread = false;

    return read_list(s, out, out_n, odd_memory ? odd_memory : &unread, a);
}

bool kube_amounts_read_milli(struct scan *s, const struct pod_amount **out, uint32_t *out_n,
                             struct arena *a)
{
    return read_list(s, out, out_n, NULL, a);
}

bool kube_amounts_default(const struct pod_amount **requests, uint32_t *n_requests,
                          const struct pod_amount *limits, uint32_t n_limits, struct arena *a)
{
    const uint32_t given = *n_requests;
    uint32_t missing = 0;

    for (uint32_t i = 0; i < n_limits; i++)
        missing += find(*requests, given, limits[i].resource) == given;
    if (missing == 0)
        return true;
    struct pod_amount *const list = arena_array(a, given + missing, sizeof(*list));
    if (!list)
        return false;
    uint32_t n = given;
    if (given > 0)
        memcpy(list, *requests, given * sizeof(*list));
    for (uint32_t i = 0; i < n_limits; i++) {
        if (find(*requests, given, limits[i].resource) == given)
            list[n++] = limits[i];
    }
    *requests = list;
    *n_requests = n;
    return true;
}
