/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_text.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "kube/emit.h"
#include "topology/cpuset.h"
#include "topology/model.h"

enum {
    MAX_WORDS = TOPO_MAX_CPUS / 64,
    MATRIX_DEVICES = 64, /* a wider matrix is no longer read by a person */
};

static void collect_cpus(uint64_t set[MAX_WORDS], const struct topo_machine *m, uint64_t zones)
{
    memset(set, 0, MAX_WORDS * sizeof(*set));
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (m->cpus[i].zone != TOPO_NONE && zones >> m->cpus[i].zone & 1)
            cpuset_add(set, i);
    }
}

static void put_cpus(struct buf *out, const struct topo_machine *m, uint64_t zones)
{
    uint64_t set[MAX_WORDS];

    collect_cpus(set, m, zones);
    cpuset_format(out, set, MAX_WORDS);
}

static void put_zone_ids(struct buf *out, const struct topo_machine *m, uint64_t zones)
{
    const char *comma = "";

    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (zones >> i & 1) {
            buf_printf(out, "%s%u", comma, m->zones[i].id);
            comma = ",";
        }
    }
}

/* --- columns --- */

/* A table that grows cell by cell; columns are as wide as their widest cell. */
struct table {
    struct buf cells; /* zero-terminated texts, one after the other */
    uint32_t columns;
};

static void cell_end(struct table *t, size_t start)
{
    if (t->cells.n == start)
        buf_text(&t->cells, "-");
    buf_add(&t->cells, "", 1);
}

static void cell(struct table *t, const char *text)
{
    const size_t start = t->cells.n;

    buf_text(&t->cells, text);
    cell_end(t, start);
}

static void cell_str(struct table *t, struct str s)
{
    const size_t start = t->cells.n;

    buf_str(&t->cells, s);
    cell_end(t, start);
}

static void cell_number(struct table *t, uint64_t value, bool is_known)
{
    const size_t start = t->cells.n;

    if (is_known)
        buf_printf(&t->cells, "%" PRIu64, value);
    cell_end(t, start);
}

static size_t column_width(const struct table *t, uint32_t column)
{
    size_t width = 0, i = 0;

    for (const char *p = t->cells.p; p < t->cells.p + t->cells.n; p += strlen(p) + 1, i++) {
        if (i % t->columns == column && strlen(p) > width)
            width = strlen(p);
    }
    return width;
}

/* Two blanks between columns and none at the end of a line. Frees the table. */
static void put_table(struct buf *out, struct table *t)
{
    const char *p = t->cells.p;

    out->failed = out->failed || t->cells.failed;
    for (uint32_t i = 0; !out->failed && p < t->cells.p + t->cells.n; i++, p += strlen(p) + 1) {
        const uint32_t column = i % t->columns;
        const bool last = column + 1 == t->columns;
        const int width = last ? 0 : (int)column_width(t, column) + 2;

        buf_printf(out, "%-*s%s", width, p, last ? "\n" : "");
    }
    buf_free(&t->cells);
}

static void cell_cpus(struct table *t, const struct topo_machine *m, uint64_t zones)
{
    const size_t start = t->cells.n;

    put_cpus(&t->cells, m, zones);
    cell_end(t, start);
}

static void cell_zones(struct table *t, const struct topo_machine *m, uint64_t zones)
{
    const size_t start = t->cells.n;

    put_zone_ids(&t->cells, m, zones);
    cell_end(t, start);
}

/* --- zones --- */

/* In the largest unit with a fraction of at most one digit that a person wants to see. */
static void put_bytes(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    uint64_t unit = 1024;
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(units) && bytes / unit >= 1024) {
        unit *= 1024;
        i++;
    }
    const uint64_t whole = bytes / unit, tenth = bytes % unit / (unit / 1024) * 10 / 1024;
    buf_printf(out, tenth ? "%" PRIu64 ".%" PRIu64 " %s" : "%" PRIu64 "%.0" PRIu64 " %s", whole,
               tenth, units[i]);
}

static void cell_bytes(struct table *t, uint64_t bytes)
{
    const size_t start = t->cells.n;

    put_bytes(&t->cells, bytes);
    cell_end(t, start);
}

static void cell_pages(struct table *t, const struct topo_zone *z)
{
    const size_t start = t->cells.n;
    const char *comma = "";

    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (z->hugepages[i].count == 0)
            continue;
        buf_printf(&t->cells, "%s%" PRIu64 " x ", comma, z->hugepages[i].count);
        put_bytes(&t->cells, z->hugepages[i].page_bytes);
        comma = ", ";
    }
    cell_end(t, start);
}

/* "read/write", or "-" when neither is known. */
static void cell_pair(struct table *t, uint32_t read, uint32_t write)
{
    const size_t start = t->cells.n;

    if (read || write)
        buf_printf(&t->cells, "%u/%u", read, write);
    cell_end(t, start);
}

static bool has_attributes(const struct topo_machine *m)
{
    for (uint32_t i = 0; i < m->n_zones; i++) {
        const struct topo_zone *const z = &m->zones[i];

        if (z->read_bandwidth_mbs || z->write_bandwidth_mbs || z->read_latency_ns ||
            z->write_latency_ns)
            return true;
    }
    return false;
}

static void put_zones(struct buf *out, const struct topo_machine *m)
{
    const bool figures = has_attributes(m);
    struct table t = {.columns = figures ? 7 : 5};

    cell(&t, "ZONE"), cell(&t, "SOCKET"), cell(&t, "MEMORY"), cell(&t, "HUGE PAGES");
    if (figures)
        cell(&t, "READ/WRITE MB/s"), cell(&t, "READ/WRITE ns");
    cell(&t, "CPUS");
    for (uint32_t i = 0; i < m->n_zones; i++) {
        const struct topo_zone *const z = &m->zones[i];

        cell_number(&t, z->id, true);
        cell_number(&t, z->socket, z->socket != TOPO_NONE);
        cell_bytes(&t, z->memory_bytes);
        cell_pages(&t, z);
        if (figures) {
            cell_pair(&t, z->read_bandwidth_mbs, z->write_bandwidth_mbs);
            cell_pair(&t, z->read_latency_ns, z->write_latency_ns);
        }
        cell_cpus(&t, m, UINT64_C(1) << i);
    }
    put_table(out, &t);
}

static void put_distances(struct buf *out, const struct topo_machine *m)
{
    struct table t = {.columns = m->n_zones + 1};

    if (!m->has_distances) {
        buf_text(out, "\nDistances: not known.\n");
        return;
    }
    buf_text(out, "\nDistances (10 = local; a row is the CPU's zone, a column the memory's)\n");
    cell(&t, "ZONE");
    for (uint32_t i = 0; i < m->n_zones; i++)
        cell_number(&t, m->zones[i].id, true);
    for (uint32_t i = 0; i < m->n_zones; i++) {
        cell_number(&t, m->zones[i].id, true);
        for (uint32_t j = 0; j < m->n_zones; j++)
            cell_number(&t, m->distances.d[i * m->n_zones + j], true);
    }
    put_table(out, &t);
}

/* --- devices --- */

static void cell_path(struct table *t, const struct topo_device *d)
{
    const size_t start = t->cells.n;

    for (uint32_t i = 0; i < d->n_path; i++) {
        buf_text(&t->cells, i ? " > " : "");
        buf_str(&t->cells, d->path[i]);
    }
    cell_end(t, start);
}

static void put_devices(struct buf *out, const struct topo_machine *m)
{
    struct table t = {.columns = 6};

    if (m->n_devices == 0) {
        buf_text(out, "\nDevices: none.\n");
        return;
    }
    buf_text(out, "\nDevices\n");
    cell(&t, "NAME"), cell(&t, "KIND"), cell(&t, "PCI"), cell(&t, "ZONE"), cell(&t, "MBIT/s");
    cell(&t, "PATH");
    for (uint32_t i = 0; i < m->n_devices; i++) {
        const struct topo_device *const d = &m->devices[i];

        cell_str(&t, d->name);
        cell(&t, topo_device_kind_text(d->kind));
        cell_str(&t, d->pci);
        cell_zones(&t, m, d->zones);
        cell_number(&t, d->speed_mbps, d->speed_mbps > 0);
        cell_path(&t, d);
    }
    put_table(out, &t);
}

static const char legend[] = "\n"
                             "X    the device itself\n"
                             "NV   a link of their own, such as NVLink\n"
                             "PIX  one PCIe bridge or switch between them\n"
                             "PXB  several PCIe bridges, but not the host bridge\n"
                             "PHB  the same PCIe host bridge\n"
                             "NODE other host bridges of one NUMA zone\n"
                             "SOCK other NUMA zones of one socket\n"
                             "SYS  across sockets, or their place is not known\n";

static void put_matrix(struct buf *out, const struct topo_machine *m)
{
    struct table t = {.columns = m->n_devices + 3};

    if (m->n_devices < 2)
        return;
    if (m->n_devices > MATRIX_DEVICES) {
        buf_printf(out, "\nHow devices meet: %u devices are too many for a table.\n", m->n_devices);
        return;
    }
    buf_text(out, "\nHow devices meet\n");
    cell(&t, " ");
    for (uint32_t i = 0; i < m->n_devices; i++)
        cell_str(&t, m->devices[i].name);
    cell(&t, "ZONE AFFINITY"), cell(&t, "CPU AFFINITY");
    for (uint32_t i = 0; i < m->n_devices; i++) {
        cell_str(&t, m->devices[i].name);
        for (uint32_t j = 0; j < m->n_devices; j++)
            cell(&t, topo_link_text(topo_device_link(m, i, j)));
        cell_zones(&t, m, m->devices[i].zones);
        cell_cpus(&t, m, m->devices[i].zones);
    }
    put_table(out, &t);
    buf_text(out, legend);
}

void topology_table(struct buf *out, const struct topo_machine *m)
{
    put_zones(out, m);
    put_distances(out, m);
    put_devices(out, m);
    put_matrix(out, m);
}

/* --- JSON --- */

static void emit_zone(struct emit *e, const struct topo_machine *m, uint32_t i)
{
    CLEANUP(buf_free) struct buf cpus = {0};

    put_cpus(&cpus, m, UINT64_C(1) << i);
    emit_object(e);
    emit_key(e, "id"), emit_uint(e, m->zones[i].id);
    emit_key(e, "socket");
    if (m->zones[i].socket == TOPO_NONE)
        emit_null(e);
    else
        emit_uint(e, m->zones[i].socket);
    emit_key(e, "cpus"), emit_text(e, buf_view(&cpus));
    emit_key(e, "memoryBytes"), emit_uint(e, m->zones[i].memory_bytes);
    emit_end(e);
    e->out->failed = e->out->failed || cpus.failed;
}

static void emit_distances(struct emit *e, const struct topo_machine *m)
{
    if (!m->has_distances) {
        emit_null(e);
        return;
    }
    emit_array(e);
    for (uint32_t i = 0; i < m->n_zones; i++) {
        emit_array(e);
        for (uint32_t j = 0; j < m->n_zones; j++)
            emit_uint(e, m->distances.d[i * m->n_zones + j]);
        emit_end(e);
    }
    emit_end(e);
}

static void emit_device(struct emit *e, const struct topo_machine *m, const struct topo_device *d)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, d->name);
    emit_key(e, "kind"), emit_words(e, topo_device_kind_text(d->kind));
    emit_key(e, "pci");
    if (d->pci.n)
        emit_text(e, d->pci);
    else
        emit_null(e);
    emit_key(e, "zones");
    emit_array(e);
    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (d->zones >> i & 1)
            emit_uint(e, m->zones[i].id);
    }
    emit_end(e);
    emit_key(e, "path");
    emit_array(e);
    for (uint32_t i = 0; i < d->n_path; i++)
        emit_text(e, d->path[i]);
    emit_end(e);
    emit_end(e);
}

static void emit_known(struct emit *e, const char *key, uint32_t value)
{
    if (value)
        emit_key(e, key), emit_uint(e, value);
}

static void emit_attributes(struct emit *e, const struct topo_zone *z)
{
    if (!z->read_bandwidth_mbs && !z->write_bandwidth_mbs && !z->read_latency_ns &&
        !z->write_latency_ns)
        return;
    emit_object(e);
    emit_key(e, "zone"), emit_uint(e, z->id);
    emit_known(e, "readBandwidthMBs", z->read_bandwidth_mbs);
    emit_known(e, "writeBandwidthMBs", z->write_bandwidth_mbs);
    emit_known(e, "readLatencyNs", z->read_latency_ns);
    emit_known(e, "writeLatencyNs", z->write_latency_ns);
    emit_end(e);
}

void topology_json(struct buf *out, const struct topo_machine *m)
{
    struct emit e;

    emit_init(&e, out, true);
    emit_object(&e);
    emit_key(&e, "zones");
    emit_array(&e);
    for (uint32_t i = 0; i < m->n_zones; i++)
        emit_zone(&e, m, i);
    emit_end(&e);
    emit_key(&e, "distances");
    emit_distances(&e, m);
    emit_key(&e, "devices");
    emit_array(&e);
    for (uint32_t i = 0; i < m->n_devices; i++)
        emit_device(&e, m, &m->devices[i]);
    emit_end(&e);
    emit_key(&e, "memattrs");
    emit_array(&e);
    for (uint32_t i = 0; i < m->n_zones; i++)
        emit_attributes(&e, &m->zones[i]);
    emit_end(&e);
    emit_end(&e);
    buf_text(out, "\n");
}
