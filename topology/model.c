/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/model.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"

static int check_entry(uint32_t n, const uint32_t *d, uint32_t row, uint32_t column,
                       struct err *err)
{
    const uint32_t value = d[row * n + column];

    if (row == column && value != TOPO_LOCAL)
        return err_set(err, -EINVAL, "distance [%u][%u] is %u, a zone's distance to itself is %d",
                       row, column, value, TOPO_LOCAL);
    if (value < TOPO_LOCAL || value > TOPO_UNREACHABLE)
        return err_set(err, -EINVAL, "distance [%u][%u] is %u, not in %d..%d", row, column, value,
                       TOPO_LOCAL, TOPO_UNREACHABLE);
    return 0;
}

int topo_matrix_init(struct topo_matrix *out, uint32_t n, const uint32_t *d, struct arena *a,
                     struct err *err)
{
    if (n < 1 || n > TOPO_MAX_ZONES)
        return err_set(err, -EINVAL, "%u zones, not in 1..%d", n, TOPO_MAX_ZONES);
    for (uint32_t i = 0; i < n * n; i++) {
        const int rc = check_entry(n, d, i / n, i % n, err);
        if (rc < 0)
            return rc;
    }

    uint32_t *const copy = arena_array(a, (size_t)n * n, sizeof(*copy));
    if (!copy)
        return err_set(err, -ENOMEM, "no room for %u x %u distances", n, n);
    memcpy(copy, d, (size_t)n * n * sizeof(*copy));
    *out = (struct topo_matrix){.n = n, .d = copy};
    return 0;
}

int topo_matrix_init_default(struct topo_matrix *out, uint32_t n, struct arena *a)
{
    assert(n >= 1 && n <= TOPO_MAX_ZONES);
    uint32_t *const d = arena_array(a, (size_t)n * n, sizeof(*d));

    if (!d)
        return -ENOMEM;
    for (uint32_t i = 0; i < n * n; i++)
        d[i] = i / n == i % n ? TOPO_LOCAL : TOPO_REMOTE;
    *out = (struct topo_matrix){.n = n, .d = d};
    return 0;
}

int topo_zone_index(const struct topo_machine *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (m->zones[i].id == id)
            return (int)i;
    }
    return -1;
}

uint64_t topo_cpu_zones(const struct topo_machine *m)
{
    uint64_t zones = 0;

    for (uint32_t cpu = 0; cpu < m->n_cpus; cpu++) {
        if (m->cpus[cpu].zone != TOPO_NONE)
            zones |= UINT64_C(1) << m->cpus[cpu].zone;
    }
    return zones;
}

static uint32_t shared_path(const struct topo_device *a, const struct topo_device *b)
{
    const uint32_t n = a->n_path < b->n_path ? a->n_path : b->n_path;
    uint32_t i = 0;

    while (i < n && str_eq(a->path[i], b->path[i]))
        i++;
    return i;
}

/*
 * A PCIe switch is one port up and one port down per device: devices whose paths part at most one
 * bridge above each of them meet in one switch.
 */
static enum topo_link path_link(const struct topo_device *a, const struct topo_device *b,
                                uint32_t shared)
{
    if (shared == 1)
        return TOPO_LINK_ROOT;
    return a->n_path - shared <= 1 && b->n_path - shared <= 1 ? TOPO_LINK_SWITCH
                                                              : TOPO_LINK_BRIDGES;
}

/* On a machine with one zone nothing can be elsewhere. */
static uint64_t known_zones(const struct topo_machine *m, uint64_t zones)
{
    return zones == 0 && m->n_zones == 1 ? 1 : zones;
}

static bool share_socket(const struct topo_machine *m, uint64_t a, uint64_t b)
{
    for (uint64_t i = a; i; i &= i - 1) {
        const uint16_t socket = m->zones[__builtin_ctzll(i)].socket;

        for (uint64_t j = b; j && socket != TOPO_NONE; j &= j - 1) {
            if (m->zones[__builtin_ctzll(j)].socket == socket)
                return true;
        }
    }
    return false;
}

enum topo_link topo_zones_link(const struct topo_machine *m, uint64_t a, uint64_t b)
{
    a = known_zones(m, a);
    b = known_zones(m, b);
    if (a & b)
        return TOPO_LINK_ZONE;
    return share_socket(m, a, b) ? TOPO_LINK_SOCKET : TOPO_LINK_FAR;
}

enum topo_link topo_device_link(const struct topo_machine *m, uint32_t a, uint32_t b)
{
    assert(a < m->n_devices && b < m->n_devices);
    const struct topo_device *const da = &m->devices[a], *const db = &m->devices[b];
    const uint32_t shared = shared_path(da, db);

    if (a == b)
        return TOPO_LINK_SELF;
    if (m->link_mbs && m->link_mbs[a * m->n_devices + b] > 0)
        return TOPO_LINK_DIRECT;
    if (shared > 0)
        return path_link(da, db, shared);
    return topo_zones_link(m, da->zones, db->zones);
}

const char *topo_link_text(enum topo_link link)
{
    static const char *const text[] = {
        [TOPO_LINK_SELF] = "X",      [TOPO_LINK_DIRECT] = "NV", [TOPO_LINK_SWITCH] = "PIX",
        [TOPO_LINK_BRIDGES] = "PXB", [TOPO_LINK_ROOT] = "PHB",  [TOPO_LINK_ZONE] = "NODE",
        [TOPO_LINK_SOCKET] = "SOCK", [TOPO_LINK_FAR] = "SYS",
    };

    assert((size_t)link < ARRAY_LEN(text));
    return text[link];
}

const char *topo_device_kind_text(enum topo_device_kind kind)
{
    static const char *const text[] = {
        [TOPO_GPU] = "gpu",         [TOPO_NIC] = "nic",     [TOPO_INFINIBAND] = "infiniband",
        [TOPO_STORAGE] = "storage", [TOPO_OTHER] = "other",
    };

    assert((size_t)kind < ARRAY_LEN(text));
    return text[kind];
}
