/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet_compact.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/mask_set.h"

/* Zones that some provider other than the memory manager offers. */
static uint64_t offered(const struct node_view *node)
{
    uint64_t zones = node->cpus.zones;

    for (uint32_t r = 0; r < node->n_resources; r++)
        zones |= node->resources[r].zones;
    return zones;
}

bool kubelet_can_compact(const struct node_view *node, bool memory)
{
    const uint32_t n = node->machine.n_zones;

    for (uint32_t r = 0; r < node->n_resources; r++) {
        if (!node->resources[r].zones && node->resources[r].elsewhere)
            return false; /* offers sets of all zones */
    }
    return !memory && node->machine.zones[n - 1].id == n - 1 &&
           __builtin_popcountll(offered(node)) < MASK_SET_ZONES;
}

/* The bits of `zones` in the new numbering: ascending order stays ascending. */
static uint64_t squeeze(const struct kubelet_compact *c, uint64_t zones)
{
    uint64_t squeezed = 0;

    for (uint32_t i = 0; i < c->node.machine.n_zones; i++)
        squeezed |= (zones >> c->zone_of[i] & 1) << i;
    return squeezed;
}

static void choose_zones(struct kubelet_compact *c, const struct node_view *node)
{
    const uint64_t zones = offered(node);
    const uint32_t filler = (uint32_t)__builtin_ctzll(~zones);
    uint32_t n = 0;

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        if (z == filler)
            c->filler = UINT64_C(1) << n;
        if (z == filler || zones >> z & 1)
            c->zone_of[n++] = (uint8_t)z;
    }
    c->node.machine.n_zones = n;
}

static int squeeze_machine(struct kubelet_compact *c, const struct node_view *node, struct arena *a)
{
    struct topo_machine *const m = &c->node.machine;
    const uint32_t n = m->n_zones, all = node->machine.n_zones;
    struct topo_zone *const zones = arena_array(a, n, sizeof(*zones));
    uint32_t *const d = arena_array(a, (size_t)n * n, sizeof(*d));
    struct topo_cpu *const cpus = arena_array(a, m->n_cpus, sizeof(*cpus));
    uint16_t place[TOPO_MAX_ZONES] = {0};

    if (!zones || !d || !cpus)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        zones[i] = node->machine.zones[c->zone_of[i]];
        zones[i].id = i; /* ids and distances keep agreeing */
        place[c->zone_of[i]] = (uint16_t)i;
        for (uint32_t k = 0; k < n; k++)
            d[i * n + k] = node->machine.distances.d[(uint32_t)c->zone_of[i] * all + c->zone_of[k]];
    }
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        cpus[i] = node->machine.cpus[i];
        if (cpus[i].zone != TOPO_NONE)
            cpus[i].zone = place[cpus[i].zone];
    }
    m->zones = zones;
    m->distances = (struct topo_matrix){n, d};
    m->cpus = cpus;
    return 0;
}

static int squeeze_devices(struct kubelet_compact *c, const struct node_view *node, struct arena *a)
{
    struct node_resource *const resources = arena_array(a, node->n_resources, sizeof(*resources));
    struct node_device *const devices = arena_array(a, node->n_devices, sizeof(*devices));

    if (!resources || !devices)
        return -ENOMEM;
    for (uint32_t r = 0; r < node->n_resources; r++) {
        resources[r] = node->resources[r];
        resources[r].zones = squeeze(c, resources[r].zones);
    }
    for (uint32_t d = 0; d < node->n_devices; d++) {
        devices[d] = node->devices[d];
        devices[d].zones = squeeze(c, devices[d].zones);
    }
    c->node.resources = resources;
    c->node.devices = devices;
    return 0;
}

int kubelet_compact(struct kubelet_compact *out, const struct node_view *node, struct arena *a)
{
    *out = (struct kubelet_compact){.node = *node};
    choose_zones(out, node);
    if (squeeze_machine(out, node, a) || squeeze_devices(out, node, a))
        return -ENOMEM;
    return node_view_complete(&out->node, a);
}

void kubelet_expand(const struct kubelet_compact *c, const struct node_view *node,
                    struct score_container *containers, uint32_t n)
{
    const uint32_t zones = node->machine.n_zones;
    const uint64_t all = zones == 64 ? UINT64_MAX : (UINT64_C(1) << zones) - 1;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t *const affinity = &containers[i].affinity;
        uint64_t expanded = 0;

        for (uint32_t z = 0; z < c->node.machine.n_zones; z++)
            expanded |= (*affinity >> z & 1) << c->zone_of[z];
        /* No provider offers the filler: a mask that holds it is the default one. */
        *affinity = *affinity & c->filler ? all : expanded;
    }
}
