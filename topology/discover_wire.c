/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as bytes: a magic word, then counts and fields in order, integers little-endian,
 * strings with a one-byte length. The sender may have been a process with broken memory, so
 * nothing is believed.
 */
#include "topology/discover.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "topology/cpuset.h"
#include "topology/model.h"

static const char magic[] = "numawise machine 1";

/* --- writing --- */

static void put(struct buf *out, uint64_t value, uint32_t bytes)
{
    char le[8];

    for (uint32_t i = 0; i < bytes; i++)
        le[i] = (char)(value >> (8 * i) & 0xff);
    buf_add(out, le, bytes);
}

static void put_str(struct buf *out, struct str s)
{
    put(out, s.n, 1);
    buf_str(out, s);
}

static void put_zone(struct buf *out, const struct topo_zone *z)
{
    put(out, z->id, 4);
    put(out, z->socket, 2);
    put(out, z->memory_bytes, 8);
    put(out, z->read_bandwidth_mbs, 4);
    put(out, z->write_bandwidth_mbs, 4);
    put(out, z->read_latency_ns, 4);
    put(out, z->write_latency_ns, 4);
    put(out, z->n_hugepages, 1);
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        put(out, z->hugepages[i].page_bytes, 8);
        put(out, z->hugepages[i].count, 8);
    }
}

static void put_distances(struct buf *out, const struct topo_machine *m)
{
    put(out, m->has_distances, 1);
    for (uint32_t i = 0; m->has_distances && i < m->n_zones * m->n_zones; i++)
        put(out, m->distances.d[i], 1);
}

static void put_cpus(struct buf *out, const struct topo_machine *m)
{
    put(out, m->n_cpus, 2);
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        put(out, m->cpus[i].zone, 2);
        put(out, m->cpus[i].socket, 2);
        put(out, m->cpus[i].core, 2);
        put(out, m->cpus[i].l3, 2);
    }
}

static void put_device(struct buf *out, const struct topo_device *d)
{
    put_str(out, d->name);
    put(out, d->kind, 1);
    put_str(out, d->pci);
    put(out, d->zones, 8);
    put(out, d->speed_mbps, 4);
    put(out, d->n_path, 1);
    for (uint32_t i = 0; i < d->n_path; i++)
        put_str(out, d->path[i]);
}

/* Row, column and value of each link; few pairs have one. */
static void put_links(struct buf *out, const struct topo_machine *m)
{
    const uint32_t all = m->link_mbs ? m->n_devices * m->n_devices : 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < all; i++)
        n += m->link_mbs[i] > 0;
    put(out, n, 4);
    for (uint32_t i = 0; i < all; i++) {
        if (m->link_mbs[i] == 0)
            continue;
        put(out, i / m->n_devices, 2);
        put(out, i % m->n_devices, 2);
        put(out, m->link_mbs[i], 4);
    }
}

void topo_wire_encode(struct buf *out, const struct topo_machine *m)
{
    buf_add(out, magic, sizeof(magic));
    put(out, m->n_zones, 1);
    for (uint32_t i = 0; i < m->n_zones; i++)
        put_zone(out, &m->zones[i]);
    put_distances(out, m);
    put_cpus(out, m);
    put(out, m->n_devices, 2);
    for (uint32_t i = 0; i < m->n_devices; i++)
        put_device(out, &m->devices[i]);
    put_links(out, m);
}

/* --- reading --- */

/* The first failure sticks; what is read after it is zero and goes nowhere. */
struct reader {
    struct str left;
    struct arena *a;
    struct err *err;
    int rc;
};

static void fail(struct reader *r, const char *what)
{
    if (r->rc == 0)
        r->rc = err_set(r->err, -EPROTO, "the imported machine makes no sense: %s", what);
}

static void *take_array(struct reader *r, size_t n, size_t size)
{
    void *const p = r->rc == 0 ? arena_array(r->a, n, size) : NULL;

    if (r->rc == 0 && !p)
        r->rc = err_set(r->err, -ENOMEM, "no room for the machine's description");
    return p;
}

static const char *take_bytes(struct reader *r, size_t n)
{
    const char *const p = r->left.p;

    if (r->rc == 0 && r->left.n < n)
        fail(r, "it is cut short");
    if (r->rc < 0)
        return NULL;
    r->left.p += n;
    r->left.n -= n;
    return p;
}

static uint64_t take(struct reader *r, uint32_t bytes)
{
    const char *const p = take_bytes(r, bytes);
    uint64_t value = 0;

    for (uint32_t i = 0; p && i < bytes; i++)
        value |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return value;
}

static uint32_t take_u32(struct reader *r)
{
    return (uint32_t)take(r, 4);
}

static uint32_t take_count(struct reader *r, uint32_t bytes, uint32_t min, uint32_t max,
                           const char *what)
{
    const uint32_t n = (uint32_t)take(r, bytes);

    if (n < min || n > max)
        fail(r, what);
    return r->rc == 0 ? n : 0;
}

static bool is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    }
    return true;
}

static struct str take_str(struct reader *r)
{
    const size_t n = take_count(r, 1, 0, TOPO_MAX_NAME_BYTES, "a name is too long");
    const char *const p = take_bytes(r, n);
    struct str out = {NULL, 0};

    if (!p)
        return out;
    if (!is_plain(p, n))
        fail(r, "a name is not printable ASCII");
    else if (str_copy(&out, (struct str){p, n}, r->a) < 0)
        r->rc = err_set(r->err, -ENOMEM, "no room for the machine's description");
    return out;
}

static void take_zone(struct reader *r, struct topo_zone *z)
{
    z->id = take_u32(r);
    z->socket = (uint16_t)take(r, 2);
    z->memory_bytes = take(r, 8);
    z->read_bandwidth_mbs = take_u32(r);
    z->write_bandwidth_mbs = take_u32(r);
    z->read_latency_ns = take_u32(r);
    z->write_latency_ns = take_u32(r);
    const uint32_t n = take_count(r, 1, 0, TOPO_MAX_PAGE_SIZES, "too many page sizes");
    struct topo_pages *const pages = take_array(r, n, sizeof(*pages));
    for (uint32_t i = 0; r->rc == 0 && i < n; i++) {
        pages[i] = (struct topo_pages){.page_bytes = take(r, 8), .count = take(r, 8)};
        if (pages[i].page_bytes == 0 || (i > 0 && pages[i].page_bytes <= pages[i - 1].page_bytes))
            fail(r, "page sizes do not ascend");
        uint64_t bytes;
        if (__builtin_mul_overflow(pages[i].page_bytes, pages[i].count, &bytes) ||
            bytes > INT64_MAX)
            fail(r, "more huge pages than memory can be");
    }
    z->hugepages = pages;
    z->n_hugepages = n;
}

static void take_zones(struct reader *r, struct topo_machine *m)
{
    const uint32_t n = take_count(r, 1, 1, TOPO_MAX_ZONES, "the number of zones");
    struct topo_zone *const zones = take_array(r, n, sizeof(*zones));

    for (uint32_t i = 0; r->rc == 0 && i < n; i++) {
        take_zone(r, &zones[i]);
        if (r->rc == 0 && i > 0 && zones[i].id <= zones[i - 1].id)
            fail(r, "two zones have one id");
        if (r->rc == 0 && zones[i].memory_bytes > INT64_MAX)
            fail(r, "a zone has more memory than there can be");
    }
    m->n_zones = n;
    m->zones = zones;
}

static void take_distances(struct reader *r, struct topo_machine *m)
{
    uint32_t d[TOPO_MAX_ZONES * TOPO_MAX_ZONES];

    m->has_distances = take_count(r, 1, 0, 1, "distances are there or not");
    for (uint32_t i = 0; m->has_distances && i < m->n_zones * m->n_zones; i++)
        d[i] = (uint32_t)take(r, 1);
    if (r->rc < 0)
        return;
    if (m->has_distances)
        r->rc = topo_matrix_init(&m->distances, m->n_zones, d, r->a, r->err);
    else
        r->rc = topo_matrix_init_default(&m->distances, m->n_zones, r->a);
    if (r->rc == -EINVAL)
        r->rc = err_wrap(r->err, -EPROTO, "the imported machine makes no sense");
}

static void take_cpus(struct reader *r, struct topo_machine *m)
{
    const uint32_t n = take_count(r, 2, 1, TOPO_MAX_CPUS, "the number of CPUs");
    struct topo_cpu *const cpus = take_array(r, n, sizeof(*cpus));

    for (uint32_t i = 0; r->rc == 0 && i < n; i++) {
        cpus[i].zone = (uint16_t)take(r, 2);
        cpus[i].socket = (uint16_t)take(r, 2);
        cpus[i].core = (uint16_t)take(r, 2);
        cpus[i].l3 = (uint16_t)take(r, 2);
        if (cpus[i].zone != TOPO_NONE && cpus[i].zone >= m->n_zones)
            fail(r, "a CPU is in a zone that is not there");
        if (cpus[i].core != TOPO_NONE && cpus[i].core >= n)
            fail(r, "a core is named after a CPU that is not there");
    }
    m->n_cpus = n;
    m->cpus = cpus;
}

static void take_device(struct reader *r, struct topo_machine *m, struct topo_device *d)
{
    d->name = take_str(r);
    d->kind = take_count(r, 1, TOPO_GPU, TOPO_OTHER, "a device is of no known kind");
    d->pci = take_str(r);
    d->zones = take(r, 8);
    d->speed_mbps = take_u32(r);
    if (m->n_zones < 64 && d->zones >> m->n_zones)
        fail(r, "a device is near a zone that is not there");
    d->n_path = take_count(r, 1, 0, TOPO_MAX_PATH, "a device has too long a path");
    struct str *const path = take_array(r, d->n_path, sizeof(*path));
    for (uint32_t i = 0; r->rc == 0 && i < d->n_path; i++)
        path[i] = take_str(r);
    d->path = path;
}

static void take_devices(struct reader *r, struct topo_machine *m)
{
    const uint32_t n = take_count(r, 2, 0, TOPO_MAX_DEVICES, "the number of devices");
    struct topo_device *const devices = take_array(r, n, sizeof(*devices));

    for (uint32_t i = 0; r->rc == 0 && i < n; i++)
        take_device(r, m, &devices[i]);
    m->n_devices = n;
    m->devices = devices;
}

static void take_links(struct reader *r, struct topo_machine *m)
{
    const uint32_t n = take_count(r, 4, 0, m->n_devices * m->n_devices, "the number of links");
    uint32_t *const links = n ? take_array(r, (size_t)m->n_devices * m->n_devices, 4) : NULL;

    for (uint32_t i = 0; r->rc == 0 && i < n; i++) {
        const uint32_t row = (uint32_t)take(r, 2), column = (uint32_t)take(r, 2);
        const uint32_t value = take_u32(r);

        if (row >= m->n_devices || column >= m->n_devices)
            fail(r, "a link leads to a device that is not there");
        else
            links[row * m->n_devices + column] = value;
    }
    m->link_mbs = links;
}

int topo_wire_decode(struct topo_machine *out, struct str bytes, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reader r = {.left = bytes, .a = a, .err = err};
    struct topo_machine m = {0};
    const char *const word = take_bytes(&r, sizeof(magic));

    if (word && memcmp(word, magic, sizeof(magic)) != 0)
        fail(&r, "it is not one of ours");
    take_zones(&r, &m);
    take_distances(&r, &m);
    take_cpus(&r, &m);
    take_devices(&r, &m);
    take_links(&r, &m);
    if (r.left.n > 0)
        fail(&r, "something follows it");
    if (r.rc < 0) {
        arena_rewind(a, mark);
        return r.rc;
    }
    *out = m;
    return 0;
}
