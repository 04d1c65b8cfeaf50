/* SPDX-License-Identifier: Apache-2.0 */
/* Device plugin resources of a node: listed by the attribute `devices`, else made up by number. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/node_build_parts.h"
#include "topology/cpuset.h"

enum { MAX_DEVICES = 65536 };

/* One device before it has its place in the order. */
struct draft {
    struct str resource, id;
    uint64_t zones;
    bool elsewhere, healthy, held;
};

struct drafts {
    struct draft *at; /* in scratch */
    uint32_t n;
};

static bool in_a_zone(const struct kube_nrt *nrt, struct str resource)
{
    for (uint32_t z = 0; z < nrt->n_zones; z++) {
        if (node_build_resource(&nrt->zones[z], resource))
            return true;
    }
    return false;
}

static bool is_loose(const struct node_build *b, const struct pod_amount *r)
{
    return r->kind == POD_EXTENDED && r->amount > 0 && r->amount <= NODE_BUILD_LOOSE_DEVICES &&
           !in_a_zone(b->nrt, r->resource);
}

/* How many devices must be made up; more than MAX_DEVICES is no machine. */
static uint64_t count_synthetic(const struct node_build *b)
{
    const struct kube_node *const node = b->in->node;
    uint64_t n = 0;

    for (uint32_t z = 0; z < b->nrt->n_zones; z++) {
        const struct kube_nrt_zone *const zone = &b->nrt->zones[z];

        for (uint32_t i = 0; i < zone->n_resources; i++) {
            if (zone->resources[i].kind != POD_EXTENDED)
                continue;
            if (zone->resources[i].capacity > MAX_DEVICES)
                return MAX_DEVICES + 1;
            n += (uint64_t)zone->resources[i].capacity;
        }
    }
    for (uint32_t i = 0; node && i < node->n_allocatable; i++)
        n += is_loose(b, &node->allocatable[i]) ? (uint64_t)node->allocatable[i].amount : 0;
    return n;
}

/* "node-0/3": the k-th device of the zone; "/3": of no zone. */
static int add_made_up(struct node_build *b, struct drafts *d, struct draft like, const char *zone,
                       uint32_t k)
{
    char id[48];
    const int n = snprintf(id, sizeof(id), "%s/%u", zone, k);

    like.id = (struct str){id, (size_t)n};
    if (str_copy(&like.id, like.id, b->scratch))
        return -ENOMEM;
    d->at[d->n++] = like;
    return 0;
}

/* The last ones are broken, the last healthy ones held: any would do. */
static int add_zone_resource(struct node_build *b, struct drafts *d, uint32_t zone,
                             const struct kube_nrt_resource *r)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "node-%u", b->nrt->zones[zone].id);
    for (uint32_t k = 0; k < r->capacity; k++) {
        const struct draft like = {.resource = r->name,
                                   .zones = UINT64_C(1) << zone,
                                   .healthy = k < r->allocatable,
                                   .held = k >= r->available && k < r->allocatable};

        if (add_made_up(b, d, like, name, k))
            return -ENOMEM;
    }
    return 0;
}

static int make_up(struct node_build *b, struct drafts *d)
{
    const struct kube_node *const node = b->in->node;

    for (uint32_t z = 0; z < b->nrt->n_zones; z++) {
        const struct kube_nrt_zone *const zone = &b->nrt->zones[z];

        for (uint32_t i = 0; i < zone->n_resources; i++) {
            if (zone->resources[i].kind == POD_EXTENDED &&
                add_zone_resource(b, d, z, &zone->resources[i]))
                return -ENOMEM;
        }
    }
    for (uint32_t i = 0; node && i < node->n_allocatable; i++) {
        const struct pod_amount *const r = &node->allocatable[i];
        const struct draft like = {.resource = r->resource, .healthy = true};

        for (uint32_t k = 0; is_loose(b, r) && k < r->amount; k++) {
            if (add_made_up(b, d, like, "", k))
                return -ENOMEM;
        }
    }
    return 0;
}

static void take_over(struct node_build *b, struct drafts *d)
{
    const uint32_t zones = b->nrt->n_zones;
    const uint64_t all = zones == 64 ? UINT64_MAX : (UINT64_C(1) << zones) - 1;

    for (uint32_t i = 0; i < b->nrt->n_devices; i++) {
        const struct kube_nrt_device *const from = &b->nrt->devices[i];

        d->at[d->n++] = (struct draft){.resource = from->resource,
                                       .id = from->id,
                                       .zones = from->zones & all,
                                       .elsewhere = from->elsewhere,
                                       .healthy = from->healthy};
    }
}

static int cmp_drafts(const void *x, const void *y)
{
    const struct draft *const a = x, *const b = y;
    const int by_resource = str_cmp(a->resource, b->resource);

    return by_resource ? by_resource : str_cmp(a->id, b->id);
}

static int write_devices(struct node_build *b, const struct drafts *d)
{
    uint32_t n_resources = 0;

    for (uint32_t i = 0; i < d->n; i++)
        n_resources += i == 0 || !str_eq(d->at[i].resource, d->at[i - 1].resource);
    struct node_resource *const resources = arena_array(b->a, n_resources, sizeof(*resources));
    struct node_device *const devices = arena_array(b->a, d->n, sizeof(*devices));
    uint64_t *const held = arena_array(b->a, (d->n + 63) / 64, sizeof(*held));
    if (!resources || !devices || !held)
        return -ENOMEM;
    struct node_resource *r = resources;
    for (uint32_t i = 0; i < d->n; i++) {
        const struct draft *const from = &d->at[i];

        if (i > 0 && !str_eq(from->resource, d->at[i - 1].resource))
            r++;
        if (r->n++ == 0) {
            r->first = i;
            if (str_copy(&r->name, from->resource, b->a))
                return -ENOMEM;
        }
        r->zones |= from->zones;
        r->elsewhere = r->elsewhere || from->elsewhere;
        devices[i] = (struct node_device){
            .zones = from->zones, .elsewhere = from->elsewhere, .healthy = from->healthy};
        if (str_copy(&devices[i].id, from->id, b->a))
            return -ENOMEM;
        if (from->held)
            cpuset_add(held, i);
    }
    b->v.resources = resources;
    b->v.n_resources = n_resources;
    b->v.devices = b->device = devices;
    b->v.n_devices = d->n;
    b->v.state.device_held = held;
    return 0;
}

int64_t node_build_find_device(const struct node_view *v, struct str resource, struct str id)
{
    for (uint32_t r = 0; r < v->n_resources; r++) {
        if (!str_eq(v->resources[r].name, resource))
            continue;
        for (uint32_t d = v->resources[r].first; d < v->resources[r].first + v->resources[r].n;
             d++) {
            if (str_eq(v->devices[d].id, id))
                return d;
        }
    }
    return -1;
}

static void hold_listed(struct node_build *b)
{
    for (uint32_t i = 0; i < b->nrt->n_holdings; i++) {
        const struct kube_nrt_holding *const h = &b->nrt->holdings[i];

        for (uint32_t k = 0; k < h->n_devices; k++) {
            const int64_t d =
                node_build_find_device(&b->v, h->devices[k].resource, h->devices[k].id);

            if (d >= 0)
                cpuset_add(b->v.state.device_held, (uint32_t)d);
        }
    }
}

/* Devices have names, but nobody says which are held: the last ones of each zone. */
static void hold_by_number(struct node_build *b, const struct node_resource *r, uint32_t zone)
{
    const struct kube_nrt_resource *const from = node_build_resource(&b->nrt->zones[zone], r->name);
    int64_t left = from ? from->allocatable - from->available : 0;

    for (uint32_t d = r->first + r->n; d-- > r->first;) {
        const bool here = b->device[d].zones >> zone & 1;

        if (here && cpuset_has(b->v.state.device_held, d))
            left--; /* by another zone of the same device */
    }
    for (uint32_t d = r->first + r->n; left > 0 && d-- > r->first;) {
        const bool here = b->device[d].zones >> zone & 1;

        if (!here || !b->device[d].healthy || cpuset_has(b->v.state.device_held, d))
            continue;
        cpuset_add(b->v.state.device_held, d);
        left--;
    }
}

int node_build_devices(struct node_build *b)
{
    const uint64_t most = b->nrt->has_devices ? b->nrt->n_devices : count_synthetic(b);
    struct drafts d = {0};

    if (most > MAX_DEVICES)
        return node_build_refuse(b, NODE_NOT_MODELLED, "more than %d devices", MAX_DEVICES);
    d.at = arena_array(b->scratch, most, sizeof(*d.at));
    if (!d.at)
        return -ENOMEM;
    if (b->nrt->has_devices)
        take_over(b, &d);
    else if (make_up(b, &d))
        return -ENOMEM;
    if (d.n)
        qsort(d.at, d.n, sizeof(*d.at), cmp_drafts);
    if (write_devices(b, &d))
        return -ENOMEM;
    if (!b->nrt->has_devices)
        return 0;
    if (b->nrt->has_placements) {
        hold_listed(b);
        return 0;
    }
    for (uint32_t r = 0; r < b->v.n_resources; r++) {
        for (uint32_t z = 0; z < b->nrt->n_zones; z++)
            hold_by_number(b, &b->v.resources[r], z);
    }
    return 0;
}
