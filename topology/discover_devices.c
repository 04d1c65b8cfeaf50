/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <hwloc.h>
#include <hwloc/distances.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "topology/discover.h"
#include "topology/discover_import.h"
#include "topology/model.h"

/* PCI class codes (PCI Code and ID Assignment Specification, section 1). */
enum {
    PCI_BASE_STORAGE = 0x01,
    PCI_BASE_NETWORK = 0x02,
    PCI_BASE_DISPLAY = 0x03,
    PCI_BASE_ACCELERATOR = 0x12,
    PCI_COPROCESSOR = 0x0b40,
    PCI_INFINIBAND = 0x0207,
    PCI_FABRIC = 0x0208,            /* Omni-Path */
    PCI_SERIAL_FIBRE = 0x0c04,      /* Fibre Channel: disks for us */
    PCI_SERIAL_INFINIBAND = 0x0c06, /* older adapters */
};

/* Everything found, before it is sorted; `objs` are the hwloc objects in the same order. */
struct found {
    struct topo_device *devices;
    hwloc_obj_t *objs;
    uint32_t n;
    const struct topo_machine *m;
    const struct topo_facts *facts;
    struct arena *a;
    struct err *err;
};

static int full(struct err *err)
{
    return err_set(err, -ENOMEM, "the devices do not fit into the memory set aside for them");
}

/* The graphics of a server's management controller compute nothing. */
static bool is_console_graphics(unsigned short vendor)
{
    static const unsigned short console[] = {
        0x102b, /* Matrox */
        0x1a03, /* ASPEED */
        0x126f, /* Silicon Motion */
        0x18ca, /* XGI */
        0x1013, /* Cirrus Logic, QEMU's default */
        0x1234, /* QEMU's standard VGA */
        0x19e5, /* Huawei iBMC */
    };

    for (size_t i = 0; i < ARRAY_LEN(console); i++) {
        if (vendor == console[i])
            return true;
    }
    return false;
}

/* The kind by PCI class, or -1 for what no pod asks for. */
static int kind_of_pci(const struct hwloc_pcidev_attr_s *pci)
{
    switch (pci->class_id) {
    case PCI_INFINIBAND:
    case PCI_FABRIC:
    case PCI_SERIAL_INFINIBAND:
        return TOPO_INFINIBAND;
    case PCI_SERIAL_FIBRE:
        return TOPO_STORAGE;
    case PCI_COPROCESSOR:
        return TOPO_OTHER;
    default:
        break;
    }
    switch (pci->class_id >> 8) {
    case PCI_BASE_STORAGE:
        return TOPO_STORAGE;
    case PCI_BASE_NETWORK:
        return TOPO_NIC;
    case PCI_BASE_DISPLAY:
        return is_console_graphics(pci->vendor_id) ? TOPO_OTHER : TOPO_GPU;
    case PCI_BASE_ACCELERATOR:
        return TOPO_GPU;
    default:
        return -1;
    }
}

static int kind_of_os(hwloc_obj_osdev_type_t type)
{
    switch (type) {
    case HWLOC_OBJ_OSDEV_NETWORK:
        return TOPO_NIC;
    case HWLOC_OBJ_OSDEV_OPENFABRICS:
        return TOPO_INFINIBAND;
    case HWLOC_OBJ_OSDEV_BLOCK:
        return TOPO_STORAGE;
    case HWLOC_OBJ_OSDEV_GPU:
    case HWLOC_OBJ_OSDEV_COPROC:
        return TOPO_GPU;
    case HWLOC_OBJ_OSDEV_DMA:
        break;
    }
    return -1;
}

static int add_bridge(struct str *out, const struct hwloc_bridge_attr_s *b, struct arena *a)
{
    char text[32];

    if (b->upstream_type == HWLOC_OBJ_BRIDGE_HOST)
        snprintf(text, sizeof(text), "%04x:%02x", (unsigned)b->downstream.pci.domain,
                 b->downstream.pci.secondary_bus);
    else
        snprintf(text, sizeof(text), "%04x:%02x:%02x.%01x", (unsigned)b->upstream.pci.domain,
                 b->upstream.pci.bus, b->upstream.pci.dev, b->upstream.pci.func);
    return topo_import_text(out, text, a);
}

static uint32_t count_bridges(hwloc_obj_t obj)
{
    uint32_t n = 0;

    for (hwloc_obj_t up = obj->parent; up; up = up->parent)
        n += up->type == HWLOC_OBJ_BRIDGE;
    return n;
}

static int set_path(struct topo_device *dev, hwloc_obj_t obj, struct found *f)
{
    uint32_t n = count_bridges(obj);
    struct str *const path = n > TOPO_MAX_PATH ? NULL : arena_array(f->a, n, sizeof(*path));

    if (n > TOPO_MAX_PATH)
        return err_set(f->err, -E2BIG, "%u bridges above a device", n);
    if (!path)
        return full(f->err);
    dev->path = path;
    dev->n_path = n;
    for (hwloc_obj_t up = obj->parent; up; up = up->parent) {
        if (up->type == HWLOC_OBJ_BRIDGE && add_bridge(&path[--n], &up->attr->bridge, f->a) < 0)
            return full(f->err);
    }
    return 0;
}

/* On a machine of several zones, a device of the whole machine has no known place. */
static uint64_t zones_of(const struct found *f, hwloc_obj_t obj)
{
    const hwloc_obj_t at = hwloc_get_non_io_ancestor_obj(f->facts->hwloc, obj);

    if (!at || (at->type == HWLOC_OBJ_MACHINE && f->m->n_zones > 1))
        return 0;
    return topo_import_nodeset(f->m, at);
}

static int set_pci_address(struct topo_device *dev, hwloc_obj_t obj, struct found *f)
{
    const struct hwloc_pcidev_attr_s *const pci = &obj->attr->pcidev;
    char text[32];

    if (obj->type != HWLOC_OBJ_PCI_DEVICE)
        return 0;
    snprintf(text, sizeof(text), "%04x:%02x:%02x.%01x", (unsigned)pci->domain, pci->bus, pci->dev,
             pci->func);
    return topo_import_text(&dev->pci, text, f->a) < 0 ? full(f->err) : 0;
}

/* Linux says Mbit/s for a network interface and Gbit/s for a port of an InfiniBand adapter. */
static uint32_t speed_of(const struct topo_facts *facts, enum topo_device_kind kind,
                         const char *name)
{
    int64_t mbps = 0;

    if (!name || strchr(name, '/'))
        return 0;
    if (kind == TOPO_NIC)
        mbps = topo_import_number(facts, "/sys/class/net/%s/speed", name);
    else if (kind == TOPO_INFINIBAND)
        mbps = topo_import_number(facts, "/sys/class/infiniband/%s/ports/1/rate", name) * 1000;
    return mbps > 0 && mbps < UINT32_MAX ? (uint32_t)mbps : 0; /* UINT32_MAX: link is down */
}

/* What device plugins report to the kubelet is the kernel's numa_node, where it has one. */
static uint64_t kernel_zones(const struct found *f, const struct topo_device *dev)
{
    const int64_t id = dev->pci.n == 0
                           ? -1
                           : topo_import_number(f->facts, "/sys/bus/pci/devices/%.*s/numa_node",
                                                STR_ARG(dev->pci));
    const int zone = id < 0 ? -1 : topo_zone_index(f->m, (uint32_t)id);

    return zone < 0 ? 0 : UINT64_C(1) << zone;
}

/* Add the device at `obj` under the name `name`, or under its PCI address. */
static int add(struct found *f, hwloc_obj_t obj, enum topo_device_kind kind, const char *name)
{
    if (f->n == TOPO_MAX_DEVICES)
        return err_set(f->err, -E2BIG, "more than %d devices", TOPO_MAX_DEVICES);
    struct topo_device *const dev = &f->devices[f->n];
    int rc = set_pci_address(dev, obj, f);
    if (rc == 0)
        rc = set_path(dev, obj, f);
    if (rc < 0)
        return rc;
    dev->kind = kind;
    dev->zones = kernel_zones(f, dev);
    if (dev->zones == 0)
        dev->zones = zones_of(f, obj);
    dev->speed_mbps = speed_of(f->facts, kind, name);
    dev->name = dev->pci;
    if (name && topo_import_text(&dev->name, name, f->a) < 0)
        return full(f->err);
    f->objs[f->n++] = obj;
    return 0;
}

/* How much a name of hwloc's tells a person about a GPU: the vendor's own first. */
static int gpu_name_rank(const char *name)
{
    static const char *const known[] = {"nvml", "rsmi", "ze", "cuda", "card"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strncmp(name, known[i], strlen(known[i])) == 0)
            return (int)i;
    }
    return ARRAY_LEN(known);
}

static bool is_better_name(enum topo_device_kind kind, const char *name, const char *than)
{
    if (!than)
        return true;
    const int a = kind == TOPO_GPU ? gpu_name_rank(name) : 0;
    const int b = kind == TOPO_GPU ? gpu_name_rank(than) : 0;
    return a != b ? a < b : strcmp(name, than) < 0;
}

/* The name of a device that is one whatever the operating system makes of it. */
static const char *best_name(hwloc_obj_t obj, enum topo_device_kind kind)
{
    const char *best = NULL;

    for (hwloc_obj_t os = obj->io_first_child; os; os = os->next_sibling) {
        if (os->type == HWLOC_OBJ_OS_DEVICE && os->name && is_better_name(kind, os->name, best))
            best = os->name;
    }
    return best;
}

/* One entry for each interface of `type` on a network adapter; how many there were, or an error. */
static int add_ports(struct found *f, hwloc_obj_t obj, enum topo_device_kind kind,
                     hwloc_obj_osdev_type_t type)
{
    int n = 0;

    for (hwloc_obj_t os = obj->io_first_child; os; os = os->next_sibling) {
        if (os->type != HWLOC_OBJ_OS_DEVICE || os->attr->osdev.type != type || !os->name)
            continue;
        const int rc = add(f, obj, kind, os->name);
        if (rc < 0)
            return rc;
        n++;
    }
    return n;
}

/* An Ethernet adapter is known by its interfaces (eth0), an InfiniBand adapter as mlx5_0. */
static int add_network(struct found *f, hwloc_obj_t obj, enum topo_device_kind kind)
{
    const bool ib = kind == TOPO_INFINIBAND;
    const hwloc_obj_osdev_type_t fabric = HWLOC_OBJ_OSDEV_OPENFABRICS;
    int n = add_ports(f, obj, kind, ib ? fabric : HWLOC_OBJ_OSDEV_NETWORK);

    if (n == 0)
        n = add_ports(f, obj, kind, ib ? HWLOC_OBJ_OSDEV_NETWORK : fabric);
    return n == 0 ? add(f, obj, kind, NULL) : n;
}

static int add_pci(struct found *f, hwloc_obj_t obj)
{
    const int kind = kind_of_pci(&obj->attr->pcidev);

    if (kind < 0)
        return 0;
    if (kind == TOPO_NIC || kind == TOPO_INFINIBAND)
        return add_network(f, obj, (enum topo_device_kind)kind);
    return add(f, obj, (enum topo_device_kind)kind, best_name(obj, (enum topo_device_kind)kind));
}

/* Devices that no PCI function carries, such as persistent memory and platform adapters. */
static int add_os(struct found *f, hwloc_obj_t obj)
{
    const int kind = kind_of_os(obj->attr->osdev.type);

    if (kind < 0 || !obj->name || (obj->parent && obj->parent->type == HWLOC_OBJ_PCI_DEVICE) ||
        (obj->parent && obj->parent->type == HWLOC_OBJ_OS_DEVICE))
        return 0;
    return add(f, obj, (enum topo_device_kind)kind, obj->name);
}

static int find_all(struct found *f)
{
    hwloc_topology_t hw = f->facts->hwloc;
    int rc = 0;

    for (hwloc_obj_t o = NULL; rc >= 0 && (o = hwloc_get_next_pcidev(hw, o));)
        rc = add_pci(f, o);
    for (hwloc_obj_t o = NULL; rc >= 0 && (o = hwloc_get_next_osdev(hw, o));)
        rc = add_os(f, o);
    return rc < 0 ? rc : 0;
}

/* --- order --- */

struct sorted {
    struct topo_device device;
    hwloc_obj_t obj;
};

static int by_address_then_name(const void *a, const void *b)
{
    const struct sorted *const x = a, *const y = b;
    const int c = str_cmp(x->device.pci, y->device.pci);

    return c ? c : str_cmp(x->device.name, y->device.name);
}

static int sort(struct found *f)
{
    struct sorted *const all = arena_array(f->a, f->n, sizeof(*all));

    if (!all)
        return full(f->err);
    for (uint32_t i = 0; i < f->n; i++)
        all[i] = (struct sorted){f->devices[i], f->objs[i]};
    qsort(all, f->n, sizeof(*all), by_address_then_name);
    for (uint32_t i = 0; i < f->n; i++) {
        f->devices[i] = all[i].device;
        f->objs[i] = all[i].obj;
    }
    return 0;
}

/* --- links between GPUs --- */

enum { NOT_A_DEVICE = -1 };

static int device_of(const struct found *f, hwloc_obj_t obj)
{
    while (obj && obj->type == HWLOC_OBJ_OS_DEVICE && obj->parent &&
           (obj->parent->type == HWLOC_OBJ_PCI_DEVICE || obj->parent->type == HWLOC_OBJ_OS_DEVICE))
        obj = obj->parent;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->objs[i] == obj)
            return (int)i;
    }
    return NOT_A_DEVICE;
}

static bool is_switch(hwloc_obj_t obj)
{
    return obj && obj->subtype && strcmp(obj->subtype, "NVSwitch") == 0;
}

/*
 * What two objects can exchange through switches: the smaller of what each has towards the
 * switches that both reach.
 */
static uint64_t switched(const struct hwloc_distances_s *d, unsigned i, unsigned j)
{
    uint64_t up = 0, down = 0;

    for (unsigned k = 0; k < d->nbobjs; k++) {
        const uint64_t to = d->values[i * d->nbobjs + k], from = d->values[k * d->nbobjs + j];

        if (!is_switch(d->objs[k]) || to == 0 || from == 0)
            continue;
        up += to;
        down += from;
    }
    return up < down ? up : down;
}

static void copy_links(uint32_t *links, const struct found *f, const struct hwloc_distances_s *d)
{
    for (unsigned i = 0; i < d->nbobjs; i++) {
        const int row = device_of(f, d->objs[i]);

        for (unsigned j = 0; row >= 0 && j < d->nbobjs; j++) {
            const int column = device_of(f, d->objs[j]);
            const uint64_t direct = d->values[i * d->nbobjs + j];

            if (column < 0 || column == row)
                continue;
            const uint64_t mbs = direct ? direct : switched(d, i, j);
            links[(uint32_t)row * f->n + (uint32_t)column] =
                mbs > UINT32_MAX ? UINT32_MAX : (uint32_t)mbs;
        }
    }
}

static int find_links(struct topo_machine *m, const struct found *f)
{
    static const char *const names[] = {"NVLinkBandwidth", "XGMIBandwidth"};
    uint32_t *links = NULL;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct hwloc_distances_s *d = NULL;
        unsigned n = 1;

        if (hwloc_distances_get_by_name(f->facts->hwloc, names[i], &n, &d, 0) < 0 || n == 0 || !d)
            continue;
        if (!links)
            links = arena_array(f->a, (size_t)f->n * f->n, sizeof(*links));
        if (!links)
            return full(f->err);
        copy_links(links, f, d);
    }
    m->link_mbs = links;
    return 0;
}

int topo_import_devices(struct topo_machine *m, const struct topo_facts *facts, struct arena *a,
                        struct err *err)
{
    struct found f = {.m = m, .facts = facts, .a = a, .err = err};

    f.devices = arena_array(a, TOPO_MAX_DEVICES, sizeof(*f.devices));
    f.objs = arena_array(a, TOPO_MAX_DEVICES, sizeof(*f.objs));
    if (!f.devices || !f.objs)
        return full(err);
    int rc = find_all(&f);
    if (rc == 0)
        rc = sort(&f);
    if (rc < 0)
        return rc;
    m->n_devices = f.n;
    m->devices = f.devices;
    return find_links(m, &f);
}
