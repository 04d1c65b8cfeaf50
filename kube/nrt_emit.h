/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NodeResourceTopology (v1alpha2) of a machine, with the attributes of contract.md section 5:
 * what `numawise topology -o manifest` prints and the agent publishes.
 */
#ifndef KUBE_NRT_EMIT_H
#define KUBE_NRT_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct buf;
struct err;
struct topo_machine;

/*
 * Memory of one type in one zone as the kubelet's memory manager counts it (memoryMap of its
 * state), bytes. Stands above what the machine says: that may have changed since it started.
 */
struct kube_nrt_memory {
    struct str type; /* "memory", "hugepages-2Mi" */
    uint64_t total;
    uint64_t allocatable; /* without what is reserved for the system, and without huge pages */
    uint64_t free;
};

/* What is used of one zone. */
struct kube_nrt_zone_use {
    uint64_t cells; /* the zones of its memory group by index, its own too; 0 = not said */
    bool has_assignments, has_free_cpus;
    uint32_t assignments;
    const struct kube_nrt_memory *memory; /* [n_memory] every type that the state has */
    uint32_t n_memory;
    struct str free_cpus; /* CPU list: those of the zone that no container holds for itself */
};

/* The device of a plugin that is a PCI device of the machine. */
struct kube_nrt_pci_name {
    struct str id;      /* as its plugin names it: "GPU-8d1c..." */
    struct str address; /* "0000:17:00.0" */
};

/*
 * What is published. Of an idle machine, the first part alone: available = allocatable, and zones
 * have cpu, memory and huge pages only. Zones are addressed by their index in the machine.
 */
struct kube_nrt_publication {
    const struct topo_machine *machine;
    struct str node;      /* the Node's name */
    struct str owner_uid; /* of the Node, which then owns the object; or empty */
    const struct kube_nrt_attribute *attributes; /* [n_attributes], written in this order */
    uint32_t n_attributes;
    const uint64_t *reserved; /* [cpuset_words(machine->n_cpus)] CPUs that no pod gets; or NULL */
    /* Of a machine in use. NULL, 0 and false: not known, and nothing is written of it. */
    const struct kube_nrt_device *devices; /* [n_devices] in any order */
    uint32_t n_devices;
    bool has_devices; /* those are all */
    /*
     * [n_holdings] in any order, a container each. Of a pod that has ended, and of which the
     * kubelet remembers no more than the uid, ns and pod are empty: it is listed as
     * KUBE_NRT_NO_NAMESPACE/UID, and readers give back what it holds, as the kubelet does at the
     * next admission.
     */
    const struct kube_nrt_holding *holdings;
    uint32_t n_holdings;
    bool has_placements; /* those are all, and are listed; else they are only counted */
    const struct kube_nrt_zone_use *use;       /* [machine->n_zones] or NULL */
    const struct kube_nrt_pci_name *pci_names; /* [n_pci_names] */
    uint32_t n_pci_names;
    int64_t observed_us; /* when all that was so, Unix time in microseconds; 0 = not written */
    uint64_t generation; /* 0 = not written */
};

/*
 * Append the object as YAML; every string from outside is quoted. Resources per zone:
 *
 *   cpu        capacity = online CPUs, allocatable = those that are not reserved, available = of
 *              these the ones that no container holds for itself
 *   memory,    as the memory manager counts where use[].memory says it; else of the machine:
 *   hugepages  capacity = everything, allocatable = of memory without the huge pages, for each size
 *              of which the machine has a page; available = less the blocks of `holdings`, of one
 *              zone first, then those of several from the lowest zone up
 *   others     in each zone that hosts a device: capacity = registered, allocatable = healthy,
 *              available = healthy and not held
 *
 * The attributes observed-at, generation, placements, devices and pci are derived unless
 * `attributes` has them. Equal facts give equal bytes, in whatever order they are listed: whether
 * anything has changed is seen by what is written with observed_us and generation 0. Of two pods of
 * one name, the one that has gone or has not come yet perhaps, placements list one. A full heap
 * shows as out->failed.
 */
void kube_nrt_emit(struct buf *out, const struct kube_nrt_publication *p);

/* The same object as JSON, for an API server. */
void kube_nrt_emit_json(struct buf *out, const struct kube_nrt_publication *p);

/*
 * Check an attribute as a person gives it: the prefix orchestration.gokore.io/ may be left out.
 * `out` borrows the value and has the whole name. 0; -ENOENT (no such attribute; `err` says which
 * one may be meant); -EINVAL (a value that it cannot have).
 */
int kube_nrt_attribute_check(struct kube_nrt_attribute *out, struct str name, struct str value,
                             struct err *err) MUST_CHECK;

/* No namespace can be called so. */
#define KUBE_NRT_NO_NAMESPACE "_"

#define KUBE_NRT_RESERVED_CPUS "orchestration.gokore.io/reserved-cpus"

#endif
