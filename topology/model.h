/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as plain values: NUMA zones, distances, CPUs, memory, devices. Filled by
 * topology/discover.c (hwloc), by kube/ (NodeResourceTopology) and by tests; read by scoring/.
 *
 * Zones are addressed by index 0..n_zones-1, in the order of their Linux ids, because ids have
 * holes; a set of zones is a uint64_t with bit i for index i.
 */
#ifndef TOPOLOGY_MODEL_H
#define TOPOLOGY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct err;

enum {
    TOPO_LOCAL = 10,
    TOPO_REMOTE = 20, /* assumed where no distance is known */
    TOPO_UNREACHABLE = 255,
    TOPO_MAX_ZONES = 64,
    TOPO_NONE = 0xffff, /* no zone, socket, core or L3 */
};

/*
 * NUMA distances on the ACPI SLIT scale (ACPI 6.5, 5.2.17): no unit, 10 = local,
 * 255 = unreachable or from a zone without cores, such as CXL memory.
 */
struct topo_matrix {
    uint32_t n;        /* zones, 1..TOPO_MAX_ZONES */
    const uint32_t *d; /* [n*n], row = core's zone, column = memory's zone */
};

/*
 * Check the [n*n] distances `d` and copy them into `a`, where they live as long as it.
 *
 * Returns 0; -EINVAL (n out of range, diagonal not 10, another entry outside 10..255), with the
 * entry named in `err`; -ENOMEM (arena full). On failure `out` is untouched.
 */
int topo_matrix_init(struct topo_matrix *out, uint32_t n, const uint32_t *d, struct arena *a,
                     struct err *err) MUST_CHECK;

/* 10 on the diagonal, TOPO_REMOTE elsewhere: what is assumed where nothing is known. */
int topo_matrix_init_default(struct topo_matrix *out, uint32_t n, struct arena *a) MUST_CHECK;

/* One logical CPU. */
struct topo_cpu {
    uint16_t zone;   /* index; TOPO_NONE = there is no such CPU, or it is offline */
    uint16_t socket; /* id as the kernel gives it */
    uint16_t core;   /* lowest CPU id among its thread siblings, as the kubelet numbers cores */
    uint16_t l3;     /* id of the L3 cache (uncore) group */
};

/* Memory of one zone in one page size. */
struct topo_pages {
    uint64_t page_bytes; /* 2097152 for hugepages-2Mi */
    uint64_t count;
};

struct topo_zone {
    uint32_t id;           /* Linux NUMA id */
    uint16_t socket;       /* TOPO_NONE for a zone without CPUs that belongs to no package */
    uint64_t memory_bytes; /* everything in the zone, huge pages included */
    const struct topo_pages *hugepages; /* [n_hugepages], smallest page first */
    uint32_t n_hugepages;
    /* HMAT figures from the nearest initiator as the kernel gives them, 0 = unknown */
    uint32_t read_bandwidth_mbs, write_bandwidth_mbs, read_latency_ns, write_latency_ns;
};

enum topo_device_kind { TOPO_GPU, TOPO_NIC, TOPO_INFINIBAND, TOPO_STORAGE, TOPO_OTHER };

/* A PCI device that a pod may want near its CPUs. */
struct topo_device {
    struct str name; /* what the operating system calls it (eth0, mlx5_0), else its PCI address */
    enum topo_device_kind kind;
    struct str pci;         /* "0000:17:00.0", empty for devices that are not on PCI */
    uint64_t zones;         /* local zones by index, 0 = unknown */
    const struct str *path; /* [n_path] host bridge first: "0000:16", then bridges' addresses */
    uint32_t n_path;
    uint32_t speed_mbps; /* of a NIC's link in Mbit/s, 0 = unknown */
};

struct topo_machine {
    uint32_t n_zones;
    const struct topo_zone *zones; /* [n_zones] by ascending id */
    struct topo_matrix distances;  /* n = n_zones; see has_distances */
    bool has_distances;            /* false: distances are the default, 10 and TOPO_REMOTE */
    uint32_t n_cpus;               /* highest CPU id + 1, at most TOPO_MAX_CPUS */
    const struct topo_cpu *cpus;   /* [n_cpus] by CPU id */
    uint32_t n_devices;
    const struct topo_device *devices; /* [n_devices] by PCI address, then name */
    const uint32_t *link_mbs; /* [n_devices*n_devices] GPU link bandwidth MB/s, 0 = none; or NULL */
};

/* Index of the zone with this Linux id, or -1. */
int topo_zone_index(const struct topo_machine *m, uint32_t id);

/* Zones that have at least one CPU. */
uint64_t topo_cpu_zones(const struct topo_machine *m);

/* How two devices meet, nearest first, in the vocabulary of `nvidia-smi topo -m`. */
enum topo_link {
    TOPO_LINK_SELF,    /* X */
    TOPO_LINK_DIRECT,  /* NV: a link of their own */
    TOPO_LINK_SWITCH,  /* PIX: one bridge or switch between them */
    TOPO_LINK_BRIDGES, /* PXB: several bridges, not the host bridge */
    TOPO_LINK_ROOT,    /* PHB: the same host bridge */
    TOPO_LINK_ZONE,    /* NODE: other host bridges of one zone */
    TOPO_LINK_SOCKET,  /* SOCK: other zones of one socket (ours; nvidia-smi says SYS) */
    TOPO_LINK_FAR,     /* SYS: across sockets */
};

enum topo_link topo_device_link(const struct topo_machine *m, uint32_t a, uint32_t b);

/* The same for two places of which only the zones are known: ZONE, SOCKET or FAR. */
enum topo_link topo_zones_link(const struct topo_machine *m, uint64_t a, uint64_t b);
const char *topo_link_text(enum topo_link link);               /* "X", "NV", "PIX", ... */
const char *topo_device_kind_text(enum topo_device_kind kind); /* "gpu", "nic", ... */

#endif
