/* SPDX-License-Identifier: Apache-2.0 */
/* Device Manager. k8s: devicemanager/topology_hints.go, manager.go. */
#include <string.h>

#include "scoring/kubelet_run.h"
#include "scoring/mask_set.h"
#include "topology/cpuset.h"

const struct node_resource *kubelet_resource(const struct node_view *node, struct str name)
{
    for (uint32_t r = 0; r < node->n_resources; r++) {
        if (str_eq(node->resources[r].name, name))
            return &node->resources[r];
    }
    return NULL;
}

/* Word `w` of the resource's devices that are healthy and held by nobody. */
static uint64_t free_word(const struct kubelet_run *run, const struct node_resource *r, uint32_t w)
{
    return node_resource_word(r, w) & run->node->device_healthy[w] & ~run->state->device_held[w];
}

static uint32_t count_free(const struct kubelet_run *run, const struct node_resource *r)
{
    uint32_t n = 0;

    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++)
        n += (uint32_t)__builtin_popcountll(free_word(run, r, w));
    return n;
}

static uint32_t count_in(const struct node_view *node, const struct node_resource *r,
                         const uint64_t *set, uint32_t zone)
{
    const uint64_t *const in = node->device_zone_set + (size_t)zone * node_device_words(node);
    uint32_t n = 0;

    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++)
        n += (uint32_t)__builtin_popcountll(set[w] & in[w]);
    return n;
}

uint32_t kubelet_devices_in(const struct kubelet_run *run, const struct node_resource *r,
                            uint32_t zone)
{
    return count_in(run->node, r, run->device_scratch, zone);
}

/* The sums over the richest zones of a resource. */
static const uint32_t *largest_of(const struct node_view *node, const struct node_resource *r)
{
    return node->device_largest + (size_t)(r - node->resources) * (node->machine.n_zones + 1);
}

/* Some device of the resource lies in several zones. */
static bool lies_across(const struct node_view *node, const struct node_resource *r)
{
    return largest_of(node, r)[0] != 0;
}

/*
 * Keep the masks that at least `want` of the `counted` devices touch. Devices of one zone add up
 * zone by zone; those of several are counted by where they lie.
 */
static void keep_touched(const struct kubelet_run *run, const struct node_resource *r,
                         const uint64_t *counted, uint64_t want, uint64_t *set)
{
    const struct node_view *const node = run->node;
    const uint32_t n = node->machine.n_zones;
    uint16_t by_zone[MASK_SET_ZONES] = {0}, inside[MASK_SET_WORDS * 64];

    if (!lies_across(node, r)) {
        for (uint64_t z = r->zones; z; z &= z - 1) {
            const uint32_t zone = (uint32_t)__builtin_ctzll(z);

            by_zone[zone] = (uint16_t)count_in(node, r, counted, zone);
        }
        mask_set_keep_counts(set, n, by_zone, want);
        return;
    }
    memset(inside, 0, ((size_t)1 << n) * sizeof(*inside));
    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        if (node->devices[d].zones && cpuset_has(counted, d))
            inside[node->devices[d].zones]++;
    }
    mask_set_keep_touched(set, n, inside, want);
}

static bool is_reused(const struct kubelet_run *run, uint32_t d)
{
    return run->any_reuse_devices && cpuset_has(run->reuse_devices, d);
}

uint32_t kubelet_devices_usable(struct kubelet_run *run, const struct node_resource *r, bool whole)
{
    const bool reuse = run->any_reuse_devices && !whole;
    uint32_t n = 0;

    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++) {
        uint64_t *const word = &run->device_scratch[w];

        *word = free_word(run, r, w);
        *word |= reuse ? run->reuse_devices[w] & node_resource_word(r, w) : 0;
        n += (uint32_t)__builtin_popcountll(*word);
    }
    return n;
}

/* The width counts every registered device, unhealthy and held ones too. */
static uint32_t device_width(struct kubelet_run *run, const struct node_resource *r, uint64_t want)
{
    const uint32_t n = run->node->machine.n_zones, hosts = (uint32_t)__builtin_popcountll(r->zones);
    uint64_t could[MASK_SET_WORDS];

    if (want == 0)
        return 1;
    if (!lies_across(run->node, r))
        return kubelet_width(largest_of(run->node, r), hosts, want);
    mask_set_subsets(could, n, r->zones);
    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++)
        run->device_scratch[w] = node_resource_word(r, w);
    keep_touched(run, r, run->device_scratch, want, could);
    const uint32_t width = mask_set_width(could, n);
    return width ? width : hosts;
}

/*
 * The hints out of what is usable (in scratch). Masks run over the zones that host a device of the
 * resource (v1.36), over all where every device names zones that are not there. A limit of 0 makes
 * hints like any other.
 */
static void resource_hints(struct kubelet_run *run, const struct node_resource *r, uint64_t want,
                           bool whole, struct kubelet_hints *list)
{
    const uint32_t n = run->node->machine.n_zones;

    mask_set_subsets(list->masks, n, r->zones ? r->zones : (UINT64_C(1) << n) - 1);
    keep_touched(run, r, run->device_scratch, want, list->masks);
    for (uint32_t d = r->first; !whole && run->any_reuse_devices && d < r->first + r->n; d++) {
        const struct node_device *const device = &run->node->devices[d];

        if (is_reused(run, d) && (device->zones || device->elsewhere))
            mask_set_keep_touching(list->masks, n, device->zones);
    }
    list->impossible = kubelet_prefer(list, n, device_width(run, r, want));
}

void kubelet_device_hints(struct kubelet_run *run, const struct kubelet_wants *wants, bool whole)
{
    for (uint32_t i = 0; i < wants->n_devices; i++) {
        const struct node_resource *const r = kubelet_resource(run->node, wants->devices[i].name);

        if (!r)
            continue;
        struct kubelet_hints *const list = kubelet_new_list(run);
        if (!r->zones && !r->elsewhere) {
            list->any = true;
            continue;
        }
        if (kubelet_devices_usable(run, r, whole) < wants->devices[i].amount)
            list->impossible = true;
        else
            resource_hints(run, r, wants->devices[i].amount, whole, list);
    }
}

/*
 * Move up to `need` of the devices that touch the zones (UINT64_MAX: of all), or of those that may
 * be reused, into `got`, lowest ids first: what a plugin that answers GetPreferredAllocation with
 * the lowest ids does; which one of a zone a real plugin picks is its own choice.
 */
static uint64_t pick(struct kubelet_run *run, const struct node_resource *r, uint64_t need,
                     uint64_t *got, uint64_t touching, bool reuse)
{
    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++) {
        uint64_t from = reuse ? run->reuse_devices[w] & node_resource_word(r, w) & ~got[w]
                              : free_word(run, r, w);

        from &= touching == UINT64_MAX ? touching : node_touching_word(run->node, touching, w);
        for (; from && need > 0; from &= from - 1, need--) {
            got[w] |= from & -from;
            run->state->device_held[w] |= from & -from;
        }
    }
    return need;
}

static bool allocate_one(struct kubelet_run *run, uint32_t i, const struct kubelet_want *want,
                         uint64_t *got)
{
    const struct node_resource *const r = kubelet_resource(run->node, want->name);
    const struct kubelet_hint hint = kubelet_run_hint(run, i);
    uint64_t need = want->amount, healthy = 0;

    if (!r)
        return true;
    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++)
        healthy |= run->node->device_healthy[w] & node_resource_word(r, w);
    if (healthy == 0)
        return kubelet_fail_unexpected(
            run, "no healthy devices present; cannot allocate unhealthy devices %.*s",
            STR_ARG(want->name));
    if (run->any_reuse_devices)
        need = pick(run, r, need, got, UINT64_MAX, true);
    const uint32_t free = count_free(run, r);
    if (need > free)
        return kubelet_fail_unexpected(
            run,
            "requested number of devices unavailable for %.*s. Requested: %llu, Available: %llu",
            STR_ARG(want->name), (unsigned long long)need, (unsigned long long)free);
    if (hint.has_affinity && r->zones)
        need = pick(run, r, need, got, hint.affinity, false);
    if (need)
        (void)pick(run, r, need, got, UINT64_MAX, false);
    return true;
}

bool kubelet_device_allocate(struct kubelet_run *run, uint32_t i)
{
    const struct kubelet_wants *const wants = &run->req->containers[i].wants;
    const uint32_t words = node_device_words(run->node);
    uint64_t *const devices = kubelet_run_devices(run, i);

    if (wants->n_devices == 0)
        return true;
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
    run->any_reuse_devices = run->any_reuse_devices || run->req->containers[i].kind == POD_INIT;
    for (uint32_t w = 0; w < words; w++) {
        if (run->req->containers[i].kind == POD_INIT)
            run->reuse_devices[w] |= devices[w];
        else
            run->reuse_devices[w] &= ~devices[w];
    }
    return true;
}
