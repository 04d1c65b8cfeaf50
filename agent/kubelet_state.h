/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files in which the kubelet's managers keep who holds what, from JSON. They are the only place
 * where memory groups and numbers of assignments stand.
 *
 * Each carries a checksum: FNV-1a over Go's own printing of the kubelet's structs, types and all. A
 * kubelet that starts and finds another one refuses to run until the file is gone; it is not
 * looked at here, because printing like that would tie us to the layout of one version's structs.
 * The kubelet writes a new file and renames it over the old one, so that a half of one is seen only
 * after a crash, or through a copy that somebody else makes: that is -EAGAIN here.
 *
 * Every decoder: `json` is followed by 64 readable bytes; 0; -EAGAIN: no JSON as a whole; -EINVAL:
 * JSON that such a file cannot be, `err` names the field; -E2BIG: nested too deep; -ENOMEM: the
 * arena is full. `out` is written only on success and lives in `a`. Zones are indices in `m`.
 * What is held has uid and container set, ns and pod empty, in no order. A container with an empty
 * name is the pod as a whole (podEntries: what its containers share, theirs included).
 */
#ifndef AGENT_KUBELET_STATE_H
#define AGENT_KUBELET_STATE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct arena;
struct err;
struct kube_nrt_zone_use;
struct topo_machine;

/* cpu_manager_state */
struct agent_cpu_state {
    struct str policy;       /* that the kubelet runs with: "none", "static" */
    struct str default_cpus; /* CPU list: those of the pods that have none for themselves */
    const struct kube_nrt_holding *holdings; /* [n_holdings] */
    uint32_t n_holdings;
};

/* memory_manager_state */
struct agent_memory_state {
    struct str policy;                     /* "None", "Static" */
    const struct kube_nrt_zone_use *zones; /* [m->n_zones]; without free CPUs, which it has not */
    const struct kube_nrt_holding *holdings;
    uint32_t n_holdings;
};

/*
 * device-plugins/kubelet_internal_checkpoint. The devices are those that the kubelet took as
 * healthy when it wrote the file, whose zones it does not say, and those that are given out, with
 * their zones; of these the healthy ones are both. Others have no place in the file.
 */
struct agent_checkpoint {
    const struct kube_nrt_holding *holdings; /* [n_holdings], one per container and resource */
    uint32_t n_holdings;
    const struct kube_nrt_device *devices; /* [n_devices] by resource, then id */
    uint32_t n_devices;
};

int agent_cpu_state_decode(struct agent_cpu_state *out, struct str json, struct arena *a,
                           struct err *err) MUST_CHECK;
int agent_memory_state_decode(struct agent_memory_state *out, struct str json,
                              const struct topo_machine *m, struct arena *a,
                              struct err *err) MUST_CHECK;
int agent_checkpoint_decode(struct agent_checkpoint *out, struct str json,
                            const struct topo_machine *m, struct arena *a,
                            struct err *err) MUST_CHECK;

/*
 * Sort by resource and id, and make one of those that are the same: the zones of both, healthy if
 * either is. Returns how many are left.
 */
uint32_t agent_devices_fold(struct kube_nrt_device *d, uint32_t n);

#endif
