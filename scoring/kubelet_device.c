/* SPDX-License-Identifier: Apache-2.0 */
/* Device Manager. k8s: devicemanager/topology_hints.go, manager.go. */
#include <string.h>

#include "scoring/kubelet_run.h"
#include "topology/cpuset.h"

static const struct node_resource *find_resource(const struct node_view *node, struct str name)
{
    for (uint32_t r = 0; r < node->n_resources; r++) {
        if (str_eq(node->resources[r].name, name))
            return &node->resources[r];
    }
    return NULL; /* no plugin ever registered it here: not the device manager's business */
}

static bool is_free(const struct kubelet_run *run, uint32_t d)
{
    return run->node->devices[d].healthy && !cpuset_has(run->state->device_held, d);
}

/* sums[m] = how many of the counted zone sets lie inside m; in place over the subsets. */
static void count_subsets(uint64_t *sums, uint32_t zones)
{
    const uint64_t masks = UINT64_C(1) << zones;

    for (uint64_t bit = 1; bit < masks; bit <<= 1) {
        for (uint64_t m = 0; m < masks; m++) {
            if (m & bit)
                sums[m] += sums[m ^ bit];
        }
    }
}

/* What there is of one resource. */
struct stock {
    uint64_t all, usable; /* devices with topology: registered; free or reusable */
    uint64_t *apart_all;  /* [2^zones] of them, those that lie inside a mask */
    uint64_t *apart_usable;
    const struct node_device *must[64]; /* reusable ones with topology */
    uint32_t n_must;
};

static bool must_all_touch(const struct stock *s, uint64_t mask)
{
    for (uint32_t i = 0; i < s->n_must; i++) {
        if (!(s->must[i]->zones & mask))
            return false;
    }
    return true;
}

static void take_stock(struct kubelet_run *run, const struct node_resource *r, bool whole,
                       struct stock *s)
{
    const uint32_t zones = run->node->machine.n_zones;
    const size_t masks = (size_t)1 << zones;

    *s = (struct stock){.apart_all = run->sums, .apart_usable = run->sums + masks};
    memset(run->sums, 0, 2 * masks * sizeof(*run->sums));
    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        const struct node_device *const device = &run->node->devices[d];
        const bool reused = !whole && cpuset_has(run->reuse_devices, d);

        if (!device->zones)
            continue;
        s->all++;
        s->apart_all[device->zones]++;
        if (reused && s->n_must < 64)
            s->must[s->n_must++] = device;
        if (reused || is_free(run, d)) {
            s->usable++;
            s->apart_usable[device->zones]++;
        }
    }
    count_subsets(s->apart_all, zones);
    count_subsets(s->apart_usable, zones);
}

/*
 * Masks run over the zones that host a device of the resource (v1.36). The width counts every
 * registered device, unhealthy and held ones too. A limit of 0 makes hints like any other.
 */
static void resource_hints(struct kubelet_run *run, const struct node_resource *r, uint64_t want,
                           bool whole, struct kubelet_hints *list)
{
    const uint64_t zones = r->zones, full = (UINT64_C(1) << run->node->machine.n_zones) - 1;
    uint32_t width = (uint32_t)__builtin_popcountll(zones);
    struct stock s;
    uint64_t mask = 0;
    bool any = false;

    take_stock(run, r, whole, &s);
    do {
        const uint32_t size =
            (uint32_t)__builtin_popcountll(mask = (mask - zones) & zones); /* next subset */

        if (s.all - s.apart_all[full & ~mask] >= want && size < width)
            width = size;
        if (s.usable - s.apart_usable[full & ~mask] >= want && must_all_touch(&s, mask)) {
            list->masks[mask / 64] |= UINT64_C(1) << (mask % 64);
            any = true;
        }
    } while (mask != zones);
    list->impossible = !any;
    mask = 0;
    do {
        mask = (mask - zones) & zones;
        if ((uint32_t)__builtin_popcountll(mask) == width)
            list->preferred[mask / 64] |= list->masks[mask / 64] & UINT64_C(1) << (mask % 64);
    } while (mask != zones);
}

void kubelet_device_hints(struct kubelet_run *run, const struct kubelet_wants *wants, bool whole)
{
    for (uint32_t i = 0; i < wants->n_devices; i++) {
        const struct node_resource *const r = find_resource(run->node, wants->devices[i].name);
        uint64_t usable = 0;

        if (!r)
            continue;
        struct kubelet_hints *const list = kubelet_new_list(run);
        if (!r->zones) {
            list->any = true;
            continue;
        }
        for (uint32_t d = r->first; d < r->first + r->n; d++)
            usable += is_free(run, d) || (!whole && cpuset_has(run->reuse_devices, d));
        if (usable < wants->devices[i].amount)
            list->impossible = true;
        else
            resource_hints(run, r, wants->devices[i].amount, whole, list);
    }
}

/*
 * Move up to `need` of the devices that pass into `got`, lowest ids first: what a plugin that
 * answers GetPreferredAllocation with the lowest ids does; which one of a zone a real plugin picks
 * is its own choice.
 */
static uint64_t pick(struct kubelet_run *run, const struct node_resource *r, uint64_t need,
                     uint64_t *got, uint64_t touching, bool reuse)
{
    for (uint32_t d = r->first; d < r->first + r->n && need > 0; d++) {
        const bool usable = reuse ? cpuset_has(run->reuse_devices, d) : is_free(run, d);

        if (!usable || cpuset_has(got, d))
            continue;
        if (touching && !(run->node->devices[d].zones & touching))
            continue;
        cpuset_add(got, d);
        cpuset_add(run->state->device_held, d);
        need--;
    }
    return need;
}

static bool allocate_one(struct kubelet_run *run, uint32_t i, const struct kubelet_want *want,
                         uint64_t *got)
{
    const struct node_resource *const r = find_resource(run->node, want->name);
    const struct kubelet_hint *const hint = &run->hint[i];
    uint64_t need = want->amount, healthy = 0, free = 0;

    if (!r)
        return true;
    for (uint32_t d = r->first; d < r->first + r->n; d++)
        healthy += run->node->devices[d].healthy;
    if (healthy == 0)
        return kubelet_fail_unexpected(
            run, "no healthy devices present; cannot allocate unhealthy devices %.*s",
            STR_ARG(want->name));
    need = pick(run, r, need, got, 0, true);
    for (uint32_t d = r->first; d < r->first + r->n; d++)
        free += is_free(run, d);
    if (need > free)
        return kubelet_fail_unexpected(
            run,
            "requested number of devices unavailable for %.*s. Requested: %llu, Available: %llu",
            STR_ARG(want->name), (unsigned long long)need, (unsigned long long)free);
    if (hint->has_affinity && r->zones)
        need = pick(run, r, need, got, hint->affinity, false);
    (void)pick(run, r, need, got, 0, false);
    return true;
}

bool kubelet_device_allocate(struct kubelet_run *run, uint32_t i)
{
    const struct kubelet_wants *const wants = &run->req->containers[i].wants;
    const uint32_t words = node_device_words(run->node);
    uint64_t *const devices = run->devices[i];

    for (uint32_t k = 0; k < wants->n_devices; k++) {
        uint64_t *const got = run->device_scratch;

        memset(got, 0, words * sizeof(*got));
        if (!allocate_one(run, i, &wants->devices[k], got))
            return false;
        for (uint32_t w = 0; w < words; w++) {
            devices[w] |= got[w];
            if (got[w])
                run->answer->containers[i].devices = devices;
        }
    }
    for (uint32_t w = 0; w < words; w++) {
        if (run->req->containers[i].kind == POD_INIT)
            run->reuse_devices[w] |= devices[w];
        else
            run->reuse_devices[w] &= ~devices[w];
    }
    return true;
}
