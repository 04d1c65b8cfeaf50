/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there: one node as the kubelet on it sees it. Immutable once built (cluster/ builds a
 * new one when anything of the node changes); read by every request at once, without locks.
 *
 * The shape is that of the kubelet's own state (CPU bitmaps, device lists, memory groups), never
 * counts, so that its admission can be replayed exactly. Sizes: Z = machine.n_zones, T =
 * n_memory_types, W = cpu_words, D = n_devices.
 */
#ifndef SCORING_NODE_VIEW_H
#define SCORING_NODE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/request.h"
#include "topology/model.h"

struct arena;

enum kubelet_policy {
    KUBELET_POLICY_NONE,
    KUBELET_POLICY_BEST_EFFORT,
    KUBELET_POLICY_RESTRICTED,
    KUBELET_POLICY_SINGLE_NUMA_NODE,
};

enum kubelet_scope { KUBELET_SCOPE_CONTAINER, KUBELET_SCOPE_POD };

/* cpuManagerPolicyOptions */
enum {
    KUBELET_FULL_PCPUS_ONLY = 1 << 0,
    KUBELET_DISTRIBUTE_ACROSS_NUMA = 1 << 1,
    KUBELET_ALIGN_BY_SOCKET = 1 << 2,
    KUBELET_ALIGN_BY_UNCORECACHE = 1 << 3,
    KUBELET_STRICT_CPU_RESERVATION = 1 << 4,
    KUBELET_DISTRIBUTE_ACROSS_CORES = 1 << 5,
};

struct kubelet_config {
    enum kubelet_policy policy;
    enum kubelet_scope scope;
    bool prefer_closest;  /* topology manager option prefer-closest-numa-nodes */
    uint32_t max_zones;   /* option max-allowable-numa-nodes, default 8 */
    bool cpu_static;      /* cpuManagerPolicy: static */
    uint32_t cpu_options; /* KUBELET_FULL_PCPUS_ONLY | ... */
    bool memory_static;   /* memoryManagerPolicy: Static */
};

/* One memory resource: "memory" is always type 0, then hugepages-* in byte order of the name. */
struct node_memory_type {
    struct str name;
    uint64_t lacking; /* zones that do not know the page size at all, not even with 0 pages */
};

/* One resource of the device manager. */
struct node_resource {
    struct str name;   /* "nvidia.com/gpu" */
    uint32_t first, n; /* its devices: node_view.devices[first .. first+n-1] */
    uint64_t zones;    /* zones that host at least one of them */
    bool elsewhere;    /* some device is; without it, zones == 0 means that none has topology */
};

enum node_device_kind { NODE_DEVICE_OTHER, NODE_DEVICE_GPU, NODE_DEVICE_NIC };

struct node_device {
    struct str id;
    uint64_t zones; /* by index, 0 = no topology, or */
    bool elsewhere; /* in zones that the machine does not have */
    bool healthy;
    uint8_t kind;  /* enum node_device_kind; OTHER also where nobody says */
    uint8_t place; /* 1.. of the places of node_view.links; 0 = not known on PCI */
    uint16_t nic;  /* 1.. of node_view.nics whose port it is; 0 = none */
};

/* Places beyond which devices are told apart by their zones only. */
enum { NODE_MAX_PLACES = 64 };

/* A port of the node to the network. Bits per second; [2] by enum node_direction. */
enum node_direction { NODE_INGRESS, NODE_EGRESS };

struct node_nic {
    struct str name;
    uint64_t zones;        /* by index, 0 = not known */
    uint8_t place;         /* as in node_device */
    bool is_handed_out;    /* some device of a plugin is this port, or a virtual function of it */
    uint64_t capacity;     /* of the link, each direction; 0 = not known */
    uint64_t allocated[2]; /* requested by the pods that hold it */
    uint64_t measured;     /* the busier direction, by signals; see has_measured */
    bool has_measured;
};

/* How busy accelerators are, by signals that are not stale. */
struct node_load {
    bool has_utilization, has_queue;
    uint32_t utilization; /* permille */
    uint32_t queue;       /* how much waits */
};

/* What changes with every admission: plain arrays, so that a copy is a few hundred bytes. */
struct node_state {
    uint64_t *cpu_free;        /* [W] CPUs nobody holds exclusively; reserved ones included */
    uint64_t *memory_free;     /* [Z*T] bytes, zone-major: zone * T + type */
    uint64_t *memory_reserved; /* [Z*T] bytes */
    uint32_t *assignments;     /* [Z] memory blocks that touch the zone */
    uint64_t *cells;           /* [Z] the memory group of the zone, itself included */
    uint64_t *device_held;     /* [(D+63)/64] devices some container holds */
};

/* A block of memory that one container holds. */
struct node_block {
    uint64_t zones;
    uint32_t type;
    uint64_t bytes;
};

/* What one container of a running pod holds. */
struct node_holding {
    struct str container;
    const uint64_t *cpus;            /* [W] exclusive CPUs, NULL = shared pool */
    const struct node_block *blocks; /* [n_blocks] */
    uint32_t n_blocks;
    const uint64_t *devices; /* [(D+63)/64], NULL = none */
};

enum node_pod_placement {
    NODE_POD_OBSERVED,  /* reported by the node: `holdings` are facts */
    NODE_POD_PREDICTED, /* bound after the report: `holdings` are the emulation's */
    NODE_POD_COUNTED,   /* in the report's sums, its zones are not known */
    NODE_POD_UNPLACED,  /* holds something somewhere; where, is not known or not certain */
};

/* A pod on the node that has not ended, and is not plain (pod_is_plain) unless it is reported. */
struct node_pod {
    struct str ns, name, uid;
    int32_t priority;
    enum pod_qos qos;
    enum node_pod_placement placement;
    bool exclusive;                      /* of a class whose pods are alone in their zones */
    const struct node_holding *holdings; /* [n_holdings] */
    uint32_t n_holdings;
    /* UNPLACED: what it holds for itself somewhere, in `holdings` perhaps. */
    uint32_t cpus;           /* exclusive CPUs */
    const uint32_t *devices; /* [n_resources], NULL = none */
};

/* A resource of the Node object as kube-scheduler counts it, in the unit of its kind. */
struct node_fit {
    struct str resource;
    enum pod_resource_kind kind;
    int64_t allocatable;
    int64_t requested; /* by the pods that are bound to the node and have not ended */
};

enum node_knowledge {
    NODE_KNOWN,
    NODE_NO_TOPOLOGY, /* there is no NodeResourceTopology for it */
    NODE_STALE,       /* older than topology.maxAge, or from an older configuration */
    NODE_TOO_MANY_ZONES,
    NODE_NOT_MODELLED, /* a kubelet setting that the emulation does not know */
};

/* The kubelet that is emulated: 1.36, and what its patch releases leave alone. */
#define NODE_KUBELET_MINOR "v1.36"

/* Inputs that were defaults because the node does not publish them (contract: `assumed`). */
enum {
    NODE_ASSUMED_CPU_POLICY = 1 << 0,    /* static where the topology policy is not none */
    NODE_ASSUMED_MEMORY_POLICY = 1 << 1, /* None */
    NODE_ASSUMED_RESERVED = 1 << 2,      /* capacity - allocatable, lowest cores */
    NODE_ASSUMED_DISTANCES = 1 << 3,     /* 10 and 20 */
    NODE_ASSUMED_SIBLINGS = 1 << 4,      /* one thread a core: SMT rules unchecked */
    NODE_ASSUMED_OPTIONS = 1 << 5,       /* no options */
    NODE_ASSUMED_VERSION = 1 << 6,       /* a kubelet of NODE_KUBELET_MINOR */
    NODE_ASSUMED_MEMORY_FREE = 1 << 7,   /* how a group's memory is spread over its zones */
    NODE_ASSUMED_POLICY = 1 << 8,        /* topology manager policy none */
};

/*
 * The CPUs once more, in the form the CPU manager thinks in: dense indices in the order of the
 * ids, so that "lowest id first" is "lowest index first". Filled by node_view_complete.
 */
struct node_cpu {
    uint16_t zone, socket, core, l3; /* zone TOPO_NONE: there is no such CPU */
};

struct node_cpus {
    uint32_t n_present, n_sockets, n_cores, n_l3;
    /* A choice of CPUs out of one zone stays among those offered: every core has as many CPUs as
       the others, and no zone lies in several sockets, or those are alike and as many as zones. */
    bool regular;
    uint64_t zones;                           /* zones that have CPUs */
    const struct node_cpu *cpu;               /* [n_cpus] */
    const uint64_t *zone_set;                 /* [Z*W] the CPUs of each zone */
    const uint32_t *zone_n;                   /* [Z] how many they are, reserved ones included */
    const uint32_t *largest;                  /* [Z+1] CPUs of the k largest zones together */
    const uint32_t *socket_n, *core_n, *l3_n; /* [n_sockets], [n_cores], [n_l3] likewise */
    const uint64_t *reserved_cores;           /* [W] all thread siblings of reserved CPUs */
    /* Most zones of one socket, or sockets of one zone: how often one unit can turn up in a list of
       units by their outer units, where a socket shares several zones with others. */
    uint32_t spread;
};

struct node_view {
    struct str name;
    uint64_t revision; /* never the same for two different contents */
    enum node_knowledge knowledge;
    struct str why_unknown; /* words for a person, empty when NODE_KNOWN */
    uint32_t assumed;       /* NODE_ASSUMED_... */
    int64_t observed_us;    /* when the node's data was taken, 0 = not said */
    uint32_t n_fits;
    const struct node_fit *fits; /* of the Node object; known also where the topology is not */

    /* Below: only meaningful when NODE_KNOWN. */
    struct topo_machine machine;
    struct kubelet_config kubelet;
    uint32_t cpu_words;           /* W = cpuset_words(machine.n_cpus) */
    const uint64_t *cpu_reserved; /* [W] */
    uint32_t n_memory_types;      /* T, at least 1 */
    const struct node_memory_type *memory_types;
    const uint64_t *memory_allocatable; /* [Z*T] as the memory manager sees it; may wrap */
    const uint64_t *memory_total;       /* [Z*T] */
    const uint64_t *memory_system;      /* [Z*T] reserved for the system */
    uint32_t n_resources;
    const struct node_resource *resources; /* by byte order of the name */
    uint32_t n_devices;
    const struct node_device *devices; /* within a resource by byte order of the id */
    /*
     * Devices that are at one place on PCI (virtual functions of a port) are alike to all others.
     * [n_places^2] enum topo_link; on the diagonal that of two devices at the place.
     */
    uint32_t n_places;
    const uint8_t *links;
    uint32_t n_nics;
    const struct node_nic *nics; /* by PCI address */
    uint64_t network_shared[2];  /* requested by the pods that hold no port, bits/s */
    struct node_state state;
    bool blocks_known; /* the report says which memory blocks there are, or how many */
    uint32_t n_pods;   /* those that may hold something for themselves */
    const struct node_pod *pods;
    uint32_t n_plain;      /* the others: pods that are plain and not reported */
    const uint64_t *plain; /* [n_plain] each by the key that its snapshot knows it by */
    uint32_t
        n_unplaced; /* of the pods: what is said of the node is an interval where there are any */
    uint64_t exclusive_zones; /* where pods that must be alone hold something */
    const uint16_t *pressure; /* [Z] permille, scoring/interference.h; NULL = not known */
    struct node_load load;    /* of the node as a whole */
    const struct node_load *device_load; /* [D]; NULL = none is known */
    uint32_t n_stale;
    const struct str *stale; /* [n_stale] names of signals about the node that no longer count */
    /* Derived: see node_view_complete. */
    struct node_cpus cpus;
    struct topo_matrix access; /* what locality counts by: measured latencies, else distances */
    /* [n_resources*(Z+1)] devices of the k zones that host most of the resource, together;
       UINT32_MAX at k = 0 when a device lies in several zones, for then zones do not add up */
    const uint32_t *device_largest;
    const uint64_t *device_healthy;  /* [(D+63)/64] */
    const uint64_t *device_zone_set; /* [Z*(D+63)/64] the devices that touch each zone */
};

/*
 * Fill what follows from the rest; zones and counts of resources stay the builder's.
 * Whoever builds a view calls it before anything is admitted there, and again when CPUs or what is
 * reserved of them, or devices changed; the arrays live in `a`. 0, -ENOMEM.
 */
int node_view_complete(struct node_view *v, struct arena *a) MUST_CHECK;

/*
 * The same in two steps, of which the first looks at zones and CPUs of the machine alone, so that
 * machines that have them alike can share it: all of node_cpus but reserved_cores, and the rest.
 */
int node_cpus_init(struct node_cpus *out, const struct topo_machine *m, struct arena *a) MUST_CHECK;
int node_view_finish(struct node_view *v, struct arena *a) MUST_CHECK;

/* The caches may fetch what of a node is read to judge it and lies outside the struct. */
void node_view_prefetch(const struct node_view *v);

/* A copy of the node's state that may be changed; lives in `a`. 0, -ENOMEM. */
int node_state_copy(struct node_state *out, const struct node_view *v, struct arena *a) MUST_CHECK;

/* Zones in which a pod holds something for itself: CPUs, memory, devices. */
uint64_t node_pod_zones(const struct node_view *v, const struct node_pod *pod);

/* The zones of all pods that must be alone: what exclusive_zones says. */
uint64_t node_exclusive_zones(const struct node_view *v);

/* Zones that CPUs [W], or devices [(D+63)/64], are in; NULL is none. */
uint64_t node_cpu_zones(const struct node_view *v, const uint64_t *cpus);
uint64_t node_device_zones(const struct node_view *v, const uint64_t *devices);

/* How two devices meet: by their places on PCI where both are known, else by their zones. */
enum topo_link node_device_link(const struct node_view *v, uint32_t a, uint32_t b);
enum topo_link node_nic_link(const struct node_view *v, uint32_t device, uint32_t nic);

/* The device words of a node: (D+63)/64. */
static inline uint32_t node_device_words(const struct node_view *v)
{
    return (v->n_devices + 63) / 64;
}

/* How many CPUs of the set [W] are in the zone. */
static inline uint32_t node_cpus_in(const struct node_view *v, const uint64_t *set, uint32_t zone)
{
    const uint64_t *const in = &v->cpus.zone_set[(size_t)zone * v->cpu_words];
    uint32_t n = 0;

    for (uint32_t w = 0; w < v->cpu_words; w++)
        n += (uint32_t)__builtin_popcountll(set[w] & in[w]);
    return n;
}

/* Word `w` of a set of devices in which just those are that touch one of the zones. */
static inline uint64_t node_touching_word(const struct node_view *v, uint64_t zones, uint32_t w)
{
    uint64_t word = 0;

    for (uint64_t z = zones; z; z &= z - 1)
        word |= v->device_zone_set[(size_t)__builtin_ctzll(z) * node_device_words(v) + w];
    return word;
}

/* The words of a set of devices that a resource lies in: from the first to before the end. */
static inline uint32_t node_resource_first(const struct node_resource *r)
{
    return r->first / 64;
}
static inline uint32_t node_resource_end(const struct node_resource *r)
{
    return (r->first + r->n + 63) / 64;
}

/* Word `w` of a set of devices in which just those of the resource are, which has some there. */
static inline uint64_t node_resource_word(const struct node_resource *r, uint32_t w)
{
    const uint32_t skip = r->first > w * 64 ? r->first - w * 64 : 0, end = r->first + r->n - w * 64;

    return (end < 64 ? (UINT64_C(1) << end) - 1 : UINT64_MAX) >> skip << skip;
}

#endif
