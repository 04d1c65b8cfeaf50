/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/discover_import.h"

#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <hwloc/distances.h>
#include <hwloc/linux.h>
#include <hwloc/memattrs.h>
#include <numa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "topology/cpuset.h"
#include "topology/discover.h"
#include "topology/model.h"

/* --- small things that the devices need too --- */

uint64_t topo_import_nodeset(const struct topo_machine *m, const struct hwloc_obj *obj)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (obj->nodeset && hwloc_bitmap_isset(obj->nodeset, m->zones[i].id))
            zones |= UINT64_C(1) << i;
    }
    return zones;
}

int topo_import_text(struct str *out, const char *text, struct arena *a)
{
    const size_t n = strnlen(text, TOPO_MAX_NAME_BYTES);
    char *const copy = arena_copy(a, text, n);

    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (copy[i] < 0x20 || copy[i] > 0x7e)
            copy[i] = '?';
    }
    *out = (struct str){copy, n};
    return 0;
}

static int64_t first_number(const char *path)
{
    char text[64] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const bool is_number = n > 0 && text[0] >= '0' && text[0] <= '9';
    const unsigned long value = is_number ? strtoul(text, NULL, 10) : 0;

    if (fd >= 0)
        close(fd);
    return is_number && value <= UINT32_MAX ? (int64_t)value : -1;
}

int64_t topo_import_number(const struct topo_facts *facts, const char *fmt, ...)
{
    char tail[512], path[1024];
    va_list args;

    if (!facts->root)
        return -1;
    va_start(args, fmt);
    const int n = vsnprintf(tail, sizeof(tail), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(tail))
        return -1;
    const int m = snprintf(path, sizeof(path), "%s%s", facts->root, tail);
    return m < 0 || (size_t)m >= sizeof(path) ? -1 : first_number(path);
}

static uint32_t clamp_u32(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static int full(struct err *err)
{
    return err_set(err, -ENOMEM, "the machine does not fit into the memory set aside for it");
}

/* --- zones --- */

static int by_os_index(const void *a, const void *b)
{
    const hwloc_obj_t x = *(const hwloc_obj_t *)a, y = *(const hwloc_obj_t *)b;

    return (x->os_index > y->os_index) - (x->os_index < y->os_index);
}

/* The NUMA nodes of the topology in the order of their Linux ids; their number or an error. */
static int list_nodes(hwloc_obj_t nodes[TOPO_MAX_ZONES], hwloc_topology_t hw, struct err *err)
{
    const int n = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_NUMANODE);

    if (n < 1)
        return err_set(err, -EPROTO, "there is no NUMA zone in it");
    if (n > TOPO_MAX_ZONES)
        return err_set(err, -E2BIG, "%d NUMA zones, at most %d are supported", n, TOPO_MAX_ZONES);
    for (int i = 0; i < n; i++) {
        nodes[i] = hwloc_get_obj_by_type(hw, HWLOC_OBJ_NUMANODE, (unsigned)i);
        if (!nodes[i] || !nodes[i]->attr)
            return err_set(err, -EPROTO, "a NUMA zone of it is broken");
    }
    qsort(nodes, (size_t)n, sizeof(*nodes), by_os_index);
    return n;
}

/* hwloc lists the normal page first; Linux never has huge pages smaller than that. */
static int import_pages(struct topo_zone *z, const struct hwloc_numanode_attr_s *attr,
                        struct arena *a, struct err *err)
{
    const uint32_t n = attr->page_types && attr->page_types_len > 1 ? attr->page_types_len - 1 : 0;

    if (n > TOPO_MAX_PAGE_SIZES)
        return err_set(err, -E2BIG, "%u page sizes in a zone", n);
    struct topo_pages *const pages = arena_array(a, n, sizeof(*pages));
    if (!pages)
        return full(err);
    for (uint32_t i = 0; i < n; i++)
        pages[i] = (struct topo_pages){.page_bytes = attr->page_types[i + 1].size,
                                       .count = attr->page_types[i + 1].count};
    z->hugepages = pages;
    z->n_hugepages = n;
    return 0;
}

/* The best value over all initiators is that of the nearest one. 0 = the firmware says nothing. */
static uint32_t attribute_of(hwloc_topology_t hw, hwloc_obj_t node, hwloc_memattr_id_t id,
                             hwloc_memattr_id_t either_way)
{
    struct hwloc_location from;
    hwloc_uint64_t value = 0;

    if (hwloc_memattr_get_best_initiator(hw, id, node, 0, &from, &value) < 0 &&
        hwloc_memattr_get_best_initiator(hw, either_way, node, 0, &from, &value) < 0)
        return 0;
    return clamp_u32(value);
}

static void import_attributes(struct topo_zone *z, hwloc_topology_t hw, hwloc_obj_t node)
{
    const hwloc_memattr_id_t bandwidth = HWLOC_MEMATTR_ID_BANDWIDTH;
    const hwloc_memattr_id_t latency = HWLOC_MEMATTR_ID_LATENCY;

    z->read_bandwidth_mbs = attribute_of(hw, node, HWLOC_MEMATTR_ID_READ_BANDWIDTH, bandwidth);
    z->write_bandwidth_mbs = attribute_of(hw, node, HWLOC_MEMATTR_ID_WRITE_BANDWIDTH, bandwidth);
    z->read_latency_ns = attribute_of(hw, node, HWLOC_MEMATTR_ID_READ_LATENCY, latency);
    z->write_latency_ns = attribute_of(hw, node, HWLOC_MEMATTR_ID_WRITE_LATENCY, latency);
}

static uint16_t index_of(const struct hwloc_obj *obj)
{
    if (!obj)
        return TOPO_NONE;
    const unsigned id = obj->os_index != HWLOC_UNKNOWN_INDEX ? obj->os_index : obj->logical_index;
    return id < TOPO_NONE ? (uint16_t)id : TOPO_NONE;
}

static uint16_t socket_of(hwloc_topology_t hw, hwloc_obj_t obj)
{
    return index_of(hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_PACKAGE, obj));
}

static int import_zones(struct topo_machine *m, hwloc_topology_t hw, struct arena *a,
                        struct err *err)
{
    hwloc_obj_t nodes[TOPO_MAX_ZONES];
    const int n = list_nodes(nodes, hw, err);

    if (n < 0)
        return n;
    struct topo_zone *const zones = arena_array(a, (size_t)n, sizeof(*zones));
    if (!zones)
        return full(err);
    for (int i = 0; i < n; i++) {
        zones[i].id = nodes[i]->os_index;
        zones[i].socket = socket_of(hw, nodes[i]);
        zones[i].memory_bytes = nodes[i]->attr->numanode.local_memory;
        import_attributes(&zones[i], hw, nodes[i]);
        const int rc = import_pages(&zones[i], &nodes[i]->attr->numanode, a, err);
        if (rc < 0)
            return rc;
    }
    m->n_zones = (uint32_t)n;
    m->zones = zones;
    return 0;
}

/* --- CPUs --- */

static int find_span(uint32_t *out, hwloc_topology_t hw, struct err *err)
{
    uint32_t span = 0;

    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu));) {
        if (pu->os_index >= TOPO_MAX_CPUS)
            return err_set(err, -E2BIG, "CPU %u, at most %d CPUs are supported", pu->os_index,
                           TOPO_MAX_CPUS);
        span = pu->os_index + 1 > span ? pu->os_index + 1 : span;
    }
    *out = span;
    return span ? 0 : err_set(err, -EPROTO, "there is no CPU in it");
}

static uint16_t core_of(hwloc_topology_t hw, hwloc_obj_t pu)
{
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_CORE, pu);
    const int first = core && core->cpuset ? hwloc_bitmap_first(core->cpuset) : -1;

    return first >= 0 && (unsigned)first < pu->os_index ? (uint16_t)first : (uint16_t)pu->os_index;
}

/* Caches have no id in older recordings, so all are numbered in hwloc's order. */
static uint16_t l3_of(hwloc_topology_t hw, hwloc_obj_t pu)
{
    const hwloc_obj_t l3 = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_L3CACHE, pu);

    return l3 && l3->logical_index < TOPO_NONE ? (uint16_t)l3->logical_index : TOPO_NONE;
}

/*
 * hwloc also gives CPUs to memory that has none in Linux (it means "near"), so two zones may claim
 * one. Such memory is numbered after the zones with CPUs on real machines: the lowest id wins.
 */
static uint16_t claimed_zone(const struct topo_machine *m, hwloc_topology_t hw, unsigned cpu)
{
    for (uint32_t i = 0; i < m->n_zones; i++) {
        const hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(hw, m->zones[i].id);

        if (node && node->cpuset && hwloc_bitmap_isset(node->cpuset, cpu))
            return (uint16_t)i;
    }
    return TOPO_NONE;
}

static int import_cpus(struct topo_machine *m, hwloc_topology_t hw, struct arena *a,
                       struct err *err)
{
    const int rc = find_span(&m->n_cpus, hw, err);

    if (rc < 0)
        return rc;
    struct topo_cpu *const cpus = arena_array(a, m->n_cpus, sizeof(*cpus));
    if (!cpus)
        return full(err);
    for (uint32_t i = 0; i < m->n_cpus; i++)
        cpus[i] = (struct topo_cpu){TOPO_NONE, TOPO_NONE, TOPO_NONE, TOPO_NONE};
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu));) {
        struct topo_cpu *const cpu = &cpus[pu->os_index];

        cpu->zone = claimed_zone(m, hw, pu->os_index);
        cpu->socket = socket_of(hw, pu);
        cpu->core = core_of(hw, pu);
        cpu->l3 = l3_of(hw, pu);
    }
    m->cpus = cpus;
    return 0;
}

/* Where Linux itself can be asked, its word replaces the guess. */
static void ask_linux_for_zone(struct topo_machine *m, struct topo_cpu *cpus, uint32_t zone,
                               const char *root, hwloc_bitmap_t map)
{
    char path[1024];
    const int n = snprintf(path, sizeof(path), "%s/sys/devices/system/node/node%u/cpumap", root,
                           m->zones[zone].id);

    if (n < 0 || (size_t)n >= sizeof(path) || hwloc_linux_read_path_as_cpumask(path, map) < 0)
        return;
    for (uint32_t cpu = 0; cpu < m->n_cpus; cpu++) {
        if (cpus[cpu].core == TOPO_NONE)
            continue; /* offline */
        if (hwloc_bitmap_isset(map, cpu))
            cpus[cpu].zone = (uint16_t)zone;
    }
}

static void ask_linux(struct topo_machine *m, const struct topo_facts *facts)
{
    /* the array is ours until the machine is handed out */
    struct topo_cpu *const cpus = (struct topo_cpu *)(uintptr_t)m->cpus;
    hwloc_bitmap_t map = facts->root ? hwloc_bitmap_alloc() : NULL;

    for (uint32_t i = 0; map && i < m->n_zones; i++)
        ask_linux_for_zone(m, cpus, i, facts->root, map);
    hwloc_bitmap_free(map);
}

/* A CPU whose zone was left out of a recording is as good as offline. */
static void drop_homeless(struct topo_machine *m)
{
    struct topo_cpu *const cpus = (struct topo_cpu *)(uintptr_t)m->cpus;

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (cpus[i].zone == TOPO_NONE)
            cpus[i] = (struct topo_cpu){TOPO_NONE, TOPO_NONE, TOPO_NONE, TOPO_NONE};
    }
}

/* A zone outside all packages, or around several, takes the lowest of its CPUs' sockets. */
static void complete_sockets(struct topo_machine *m)
{
    struct topo_zone *const zones = (struct topo_zone *)(uintptr_t)m->zones;

    for (uint32_t cpu = 0; cpu < m->n_cpus; cpu++) {
        const struct topo_cpu *const c = &m->cpus[cpu];

        if (c->zone != TOPO_NONE && c->socket < zones[c->zone].socket)
            zones[c->zone].socket = c->socket; /* TOPO_NONE is the largest */
    }
}

/* --- distances --- */

enum { MAX_MATRICES = 32, NOT_SAID = 0 };

static bool is_slit(const struct hwloc_distances_s *d, const char *name)
{
    const unsigned long want = HWLOC_DISTANCES_KIND_FROM_OS | HWLOC_DISTANCES_KIND_MEANS_LATENCY;

    if (name)
        return strcmp(name, "NUMALatency") == 0;
    return (d->kind & want) == want; /* files of hwloc 1 name nothing */
}

/* Into `out` by zone index; pairs that the matrix leaves out stay as they are. */
static void copy_distances(uint32_t *out, const struct topo_machine *m,
                           const struct hwloc_distances_s *d)
{
    for (unsigned i = 0; i < d->nbobjs; i++) {
        for (unsigned j = 0; j < d->nbobjs; j++) {
            const int row = d->objs[i] ? topo_zone_index(m, d->objs[i]->os_index) : -1;
            const int column = d->objs[j] ? topo_zone_index(m, d->objs[j]->os_index) : -1;

            if (row >= 0 && column >= 0)
                out[(uint32_t)row * m->n_zones + (uint32_t)column] =
                    clamp_u32(d->values[i * d->nbobjs + j]);
        }
    }
}

static bool from_hwloc(uint32_t *out, const struct topo_machine *m, hwloc_topology_t hw)
{
    struct hwloc_distances_s *found[MAX_MATRICES];
    unsigned n = MAX_MATRICES;
    bool any = false;

    if (hwloc_distances_get_by_type(hw, HWLOC_OBJ_NUMANODE, &n, found, 0, 0) < 0)
        return false;
    for (unsigned i = 0; i < n && i < MAX_MATRICES; i++) {
        if (!any && is_slit(found[i], hwloc_distances_get_name(hw, found[i]))) {
            copy_distances(out, m, found[i]);
            any = true;
        }
    }
    return any;
}

/* libnuma reads the same table itself: the second witness for this machine only. */
static bool from_libnuma(uint32_t *out, const struct topo_machine *m)
{
    if (numa_available() < 0)
        return false;
    for (uint32_t i = 0; i < m->n_zones * m->n_zones; i++) {
        const int d =
            numa_distance((int)m->zones[i / m->n_zones].id, (int)m->zones[i % m->n_zones].id);
        if (d <= 0)
            return false;
        out[i] = (uint32_t)d;
    }
    return true;
}

/* Tables with other numbers are broken firmware or another scale: better none than those. */
static int import_distances(struct topo_machine *m, const struct topo_facts *facts, struct arena *a,
                            struct err *err)
{
    const bool here = facts->root && facts->root[0] == '\0';
    uint32_t d[TOPO_MAX_ZONES * TOPO_MAX_ZONES];

    for (uint32_t i = 0; i < m->n_zones * m->n_zones; i++)
        d[i] = i / m->n_zones == i % m->n_zones ? TOPO_LOCAL : TOPO_REMOTE;
    if (from_hwloc(d, m, facts->hwloc) || (here && from_libnuma(d, m))) {
        const int rc = topo_matrix_init(&m->distances, m->n_zones, d, a, NULL);
        m->has_distances = rc == 0;
        if (rc != -EINVAL)
            return rc < 0 ? full(err) : 0;
    }
    return topo_matrix_init_default(&m->distances, m->n_zones, a) < 0 ? full(err) : 0;
}

int topo_import_machine(struct topo_machine *out, const struct topo_facts *facts, struct arena *a,
                        struct err *err)
{
    struct topo_machine m = {0};
    int rc = import_zones(&m, facts->hwloc, a, err);

    if (rc == 0)
        rc = import_cpus(&m, facts->hwloc, a, err);
    if (rc < 0)
        return rc;
    ask_linux(&m, facts);
    drop_homeless(&m);
    complete_sockets(&m);
    rc = import_distances(&m, facts, a, err);
    if (rc == 0)
        *out = m;
    return rc;
}
