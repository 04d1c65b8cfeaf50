/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes objects numawise reads, as plain values, and their decoders from JSON text.
 * Pods become scoring's struct score_pod; everything borrows from the arena, never from the text.
 *
 * Every decoder: unknown fields are skipped; 0, -EINVAL (not valid JSON, wrong type, bad value;
 * `err` names the field as "spec.containers[0].resources.limits.cpu"), -E2BIG (over a limit),
 * -ENOMEM (arena full). `out` is written only on success.
 */
#ifndef KUBE_OBJECT_H
#define KUBE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/node_view.h"
#include "scoring/request.h"

struct arena;
struct buf;
struct err;

/* What every object has. */
struct kube_meta {
    struct str api_version, kind; /* empty inside extender bodies */
    struct str ns, name, uid;     /* ns is empty for cluster scoped kinds */
    struct str resource_version;
    int64_t created_us, generation; /* 0 = not said */
};

struct kube_node {
    struct kube_meta meta;
    struct str kubelet_version; /* "v1.36.3" */
    const struct pod_amount *capacity, *allocatable;
    uint32_t n_capacity, n_allocatable;
};

/* --- NodeResourceTopology topology.node.k8s.io/v1alpha2 with the attributes of contract.md 5 ---
 */

struct kube_nrt_resource {
    struct str name;
    enum pod_resource_kind kind;
    int64_t capacity, allocatable, available; /* cpu in thousandths; missing ones equal the next
                                                 in the order capacity, allocatable, available */
    bool has_capacity;                        /* said, not taken from the next */
};

struct kube_nrt_free {
    struct str type; /* "memory", "hugepages-2Mi" */
    uint64_t bytes;
};

struct kube_nrt_zone {
    uint32_t id;           /* of "node-<id>" */
    const uint32_t *costs; /* [n_zones] in the order of the zones; NULL = none given */
    const struct kube_nrt_resource *resources;
    uint32_t n_resources;
    /* Attributes orchestration.gokore.io/...; text is checked to parse, empty = absent. */
    bool has_socket, has_assignments, has_free_cpus;
    uint32_t socket, assignments;
    struct str cpus, free_cpus;       /* CPU lists */
    struct str cores, l3;             /* CPU lists joined by ';' */
    uint64_t cells;                   /* zone indices; 0 = absent */
    const struct kube_nrt_free *free; /* memory-free, hugepages-*-free */
    uint32_t n_free;
    uint32_t read_bandwidth_mbs, write_bandwidth_mbs, read_latency_ns, write_latency_ns;
};

struct kube_nrt_device {
    struct str resource, id;
    uint64_t zones; /* indices */
    bool elsewhere; /* names a zone, too, that the machine does not have */
    bool healthy;
};

struct kube_nrt_block {
    uint64_t zones; /* indices */
    struct str type;
    uint64_t bytes;
};

struct kube_nrt_device_use {
    struct str resource, id;
};

/* What one container of one pod holds, from the attribute `placements`. */
struct kube_nrt_holding {
    struct str ns, pod, uid, container;
    struct str cpus; /* CPU list, empty = shared pool */
    const struct kube_nrt_block *blocks;
    uint32_t n_blocks;
    const struct kube_nrt_device_use *devices;
    uint32_t n_devices;
};

/* An attribute of the object; the name is whole, with its prefix. */
struct kube_nrt_attribute {
    struct str name, value;
};

/* The link of a GPU to a peer. */
struct kube_nrt_link {
    struct str to; /* id */
    uint32_t mbs;  /* MB/s */
};

/* One device on PCI, from the attribute `pci`. */
struct kube_nrt_pci {
    struct str id; /* as in `devices` where a plugin hands it out, else what the system calls it */
    enum topo_device_kind kind;
    struct str address;                /* "0000:17:00.0" */
    const struct str *path;            /* [n_path] host bridge first */
    const struct kube_nrt_link *links; /* [n_links] of a GPU */
    uint32_t n_path, n_links;
    uint64_t zones;      /* indices */
    struct str name;     /* of a port: "eth0" */
    uint32_t speed_mbps; /* of a port's link, 0 = not known */
    struct str physfn;   /* of a virtual function: address of the port it belongs to */
    struct str bond;     /* the bond that the port is part of */
};

struct kube_nrt {
    struct kube_meta meta;
    bool has_policy, has_scope;
    struct kubelet_config kubelet; /* defaults where nothing is said: none, container, max 8 */
    bool has_topology_options, has_max_zones;
    bool has_cpu_manager, has_cpu_options, has_memory_manager, has_reserved, has_placements,
        has_devices, has_generation;
    struct str reserved_cpus;
    int64_t observed_us; /* 0 = absent */
    uint64_t generation;
    struct str unknown_setting; /* a policy or option we do not know: NODE_NOT_MODELLED; else "" */
    const struct kube_nrt_zone *zones; /* [n_zones] by ascending id */
    uint32_t n_zones; /* over TOPO_MAX_ZONES: `zones` is NULL, nothing of zones is decoded */
    const struct kube_nrt_device *devices; /* by resource, then id */
    uint32_t n_devices;
    const struct kube_nrt_holding *holdings; /* by ns, pod; the containers of a pod together */
    uint32_t n_holdings;
    const struct kube_nrt_pci *pci; /* by id */
    uint32_t n_pci;
    /* The object's attributes as they are written; of one that was decoded alone. */
    const struct kube_nrt_attribute *attributes;
    uint32_t n_attributes;
};

/* Of JSON that is known to be valid: what stands behind all three fields is not looked at. */
int kube_meta_decode(struct kube_meta *out, struct str json, struct arena *a,
                     struct err *err) MUST_CHECK;
int kube_node_decode(struct kube_node *out, struct str json, struct arena *a,
                     struct err *err) MUST_CHECK;
int kube_nrt_decode(struct kube_nrt *out, struct str json, struct arena *a,
                    struct err *err) MUST_CHECK;

/*
 * A Pod, or the pod template of a workload (Deployment, ReplicaSet, StatefulSet, DaemonSet, Job,
 * CronJob, PodTemplate): the template takes namespace and name of the workload and has no uid.
 */
int kube_pod_decode(struct score_pod *out, struct str json, struct arena *a,
                    struct err *err) MUST_CHECK;

/* True for Pod and the kinds above. */
bool kube_is_workload(struct str kind);

/*
 * Append the path from the root of such an object to what has the pod's metadata and spec: "" of a
 * Pod, "spec.template." of a Deployment.
 */
void kube_pod_path(struct buf *out, struct str kind);

/*
 * Of the JSON of such an object, which decodes: what has the pod's metadata and spec, the object
 * itself or its template. A slice of `json`.
 */
struct str kube_pod_template(struct str kind, struct str json);

#endif
