/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at this machine and its kubelet, and what is published of it: the machine is discovered
 * once, the kubelet read each time, and what its containers hold gets the names of their pods.
 */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/facts.h"
#include "agent/sick.h"
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "topology/model.h"

struct agent_names;
struct buf;
struct err;
struct topo_source;

struct agent_look {
    void *rooms[2];
    struct arena lasting, fresh; /* the machine's; and of the last look */
    struct topo_machine machine;
    char gpu_dir[512]; /* where the driver of this machine lists its GPUs (gpu_ids.h); or empty */
    struct agent_facts facts;
    const struct kube_nrt_holding *holdings; /* [n_holdings] of `facts`, with names where known */
    uint32_t n_holdings;
    const struct kube_nrt_pci_name *gpus; /* [n_gpus] */
    uint32_t n_gpus;
    struct agent_sick sick; /* what is not said of devices; its capacity is given from outside */
    uint32_t unnamed;       /* containers that hold something and whose pods are not known */
    int64_t observed_us;
};

int agent_look_init(struct agent_look *l, struct err *err) MUST_CHECK; /* 0, -ENOMEM */
void agent_look_done(struct agent_look *l);

/*
 * The machine, anew. Blocks. As topo_discover says; on failure the machine before stays, and with
 * it the rest is as of no look.
 */
int agent_look_discover(struct agent_look *l, const struct topo_source *source,
                        struct err *err) MUST_CHECK;

/*
 * Read the kubelet; as it was at `now_us`, or later. Blocks as agent_read, whose codes it returns.
 * The look before is gone in any case.
 */
int agent_look_read(struct agent_look *l, const struct agent_paths *paths,
                    const struct agent_names *pods, int64_t now_us, struct err *err) MUST_CHECK;

/* Who publishes it, and as the how-manieth. */
struct agent_label {
    struct str node;
    struct str owner_uid; /* the Node's, which is then the owner; or empty */
    uint64_t generation;  /* 0: neither that nor when it was observed */
    bool all_pods;        /* whose name is not known is no pod of the API server */
    bool json;            /* else YAML */
};

/*
 * Append the NodeResourceTopology of the last look. Without the names of all pods that hold
 * something it says how much is held, but not by whom, unless `all_pods`.
 */
void agent_look_emit(struct buf *out, const struct agent_look *l, const struct agent_label *label);

#endif
