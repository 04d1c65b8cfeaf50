/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NodeResourceTopology (v1alpha2) of a machine, with the attributes of contract.md section 5:
 * what `numawise topology -o manifest` prints and the agent publishes.
 */
#ifndef KUBE_NRT_EMIT_H
#define KUBE_NRT_EMIT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct buf;
struct err;
struct topo_machine;

/*
 * What is published. Of an idle machine: available = allocatable. Nothing is known of what pods
 * hold, nor of device plugins, so zones have cpu, memory and huge pages only.
 */
struct kube_nrt_publication {
    const struct topo_machine *machine;
    struct str node;                             /* the Node's name */
    const struct kube_nrt_attribute *attributes; /* [n_attributes], written in this order */
    uint32_t n_attributes;
    const uint64_t *reserved; /* [cpuset_words(machine->n_cpus)] CPUs that no pod gets; or NULL */
};

/*
 * Append the object as YAML; every string is quoted. Resources per zone:
 *
 *   cpu        capacity = online CPUs, allocatable = those that are not reserved
 *   memory     capacity = everything, allocatable = without the huge pages
 *   hugepages  bytes, for each size of which the machine has a page
 *
 * The attribute `pci` is derived from the devices unless `attributes` has one. A full heap shows
 * as out->failed.
 */
void kube_nrt_emit(struct buf *out, const struct kube_nrt_publication *p);

/*
 * Check an attribute as a person gives it: the prefix orchestration.gokore.io/ may be left out.
 * `out` borrows the value and has the whole name. 0; -ENOENT (no such attribute; `err` says which
 * one may be meant); -EINVAL (a value that it cannot have).
 */
int kube_nrt_attribute_check(struct kube_nrt_attribute *out, struct str name, struct str value,
                             struct err *err) MUST_CHECK;

#define KUBE_NRT_RESERVED_CPUS "orchestration.gokore.io/reserved-cpus"

#endif
