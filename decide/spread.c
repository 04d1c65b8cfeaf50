/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/spread.h"

#include "base/attr.h"
#include "topology/cpuset.h"

uint64_t spread_memory_zones(const struct score_container *c)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; i < c->n_blocks; i++)
        zones |= c->blocks[i].zones;
    return zones;
}

static uint64_t cpu_zones(const struct node_view *v, const uint64_t *cpus)
{
    const uint32_t end = v->cpu_words * 64;
    uint64_t zones = 0;

    for (uint32_t c = cpuset_next(cpus, v->cpu_words, 0); c < end && c < v->machine.n_cpus;
         c = cpuset_next(cpus, v->cpu_words, c + 1))
        if (v->machine.cpus[c].zone != TOPO_NONE)
            zones |= UINT64_C(1) << v->machine.cpus[c].zone;
    return zones;
}

uint64_t spread_zones(const struct node_view *v, const struct score_container *c)
{
    uint64_t zones = spread_memory_zones(c);

    if (c->has_affinity)
        return c->affinity;
    if (c->cpus)
        zones |= cpu_zones(v, c->cpus);
    for (uint32_t d = 0; c->devices && d < v->n_devices; d++)
        if (cpuset_has(c->devices, d))
            zones |= v->devices[d].zones;
    return zones;
}

bool spread_holds(const struct node_view *v, const struct score_container *c,
                  const struct node_resource *resource)
{
    for (uint32_t d = resource->first; c->devices && d < resource->first + resource->n; d++)
        if (cpuset_has(c->devices, d))
            return true;
    return false;
}

uint32_t spread_devices(const struct node_view *v, const struct score_container *c,
                        const struct node_resource *resource, uint32_t zone)
{
    uint32_t n = 0;

    for (uint32_t d = resource->first; c->devices && d < resource->first + resource->n; d++) {
        const uint64_t zones = v->devices[d].zones;
        const uint32_t first = zones ? (uint32_t)__builtin_ctzll(zones) : v->machine.n_zones;
        n += first == zone && cpuset_has(c->devices, d);
    }
    return n;
}

const char *spread_assumed_text(uint32_t bit)
{
    static const char *const texts[SPREAD_ASSUMED] = {
        "cpuManagerPolicy", "memoryManagerPolicy", "reserved",
        "distances",        "threadSiblings",      "options",
        "kubeletVersion",   "memoryFree",          "topologyManagerPolicy",
    };

    return bit < SPREAD_ASSUMED ? texts[bit] : "";
}

const char *spread_certainty_text(uint32_t assumed, bool is_interval)
{
    if (is_interval)
        return "Interval";
    return assumed ? "Assumed" : "Exact";
}
