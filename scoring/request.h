/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked: a pod as plain values (filled by kube/), and the request the kubelet derives from
 * it (filled by score_request_init once per decision, read node by node).
 */
#ifndef SCORING_REQUEST_H
#define SCORING_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/labels.h"

struct arena;
struct err;

/* What a resource name means to the kubelet. */
enum pod_resource_kind {
    POD_CPU,       /* amount in thousandths of a CPU */
    POD_MEMORY,    /* bytes */
    POD_HUGEPAGES, /* bytes; the name says the page size */
    POD_EXTENDED,  /* count: vendor/device; a device where the node registers it, else ignored */
    POD_OTHER,     /* ephemeral-storage and the like: no zone, never read */
};

enum pod_resource_kind pod_resource_kind(struct str name);

struct pod_amount {
    struct str resource;
    enum pod_resource_kind kind;
    int64_t amount; /* in the unit of its kind, fractions rounded up; never negative */
};

enum pod_container_kind { POD_APP, POD_INIT, POD_SIDECAR /* init with restartPolicy Always */ };

struct pod_container {
    struct str name;
    enum pod_container_kind kind;
    bool restarts_for_cpu, restarts_for_memory; /* resizePolicy RestartContainer */
    bool odd_memory; /* memory or huge pages that are no whole number to the kubelet ("1.3Gi") */
    /* As the API server would store them: a request that is missing equals the limit. */
    const struct pod_amount *requests, *limits; /* [n_requests], [n_limits] */
    uint32_t n_requests, n_limits;
};

enum pod_qos { POD_BEST_EFFORT, POD_BURSTABLE, POD_GUARANTEED };
const char *pod_qos_text(enum pod_qos qos); /* "BestEffort", "Burstable", "Guaranteed" */

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_PHASE_UNKNOWN };

struct pod_hint {
    struct str key;   /* without the prefix orchestration.gokore.io/ */
    struct str value; /* decoded text */
};

/* What matters to who would end a pod, or change it; not to where it runs. */
enum pod_trait {
    POD_READY = 1 << 0,         /* condition Ready=True */
    POD_MIRROR = 1 << 1,        /* a static pod's picture */
    POD_LOCAL_STORAGE = 1 << 2, /* a volume emptyDir or hostPath */
    POD_CRITICAL = 1 << 3,      /* priority class system-cluster-critical or system-node-critical */
    POD_OF_DAEMON = 1 << 4,     /* its controller is a DaemonSet */
    POD_HAS_DEADLINE = 1 << 5,  /* spec.activeDeadlineSeconds */
};

/* A pod, or the template of a workload. Everything is borrowed from the arena it was decoded in. */
struct score_pod {
    struct str ns, name, uid; /* ns defaults to "default" */
    struct str node;          /* spec.nodeName, empty while pending */
    struct str reason;        /* status.reason of a failed pod: "TopologyAffinityError", ... */
    enum pod_phase phase;
    bool deleting; /* has a deletionTimestamp */
    int32_t priority;
    int64_t created_us; /* metadata.creationTimestamp, microseconds since 1970; 0 = absent */
    int64_t bound_us;   /* condition PodScheduled=True, else status.startTime; 0 = unknown */
    /* Init containers and sidecars first, in the order of the spec, then the app containers. */
    const struct pod_container *containers; /* [n_containers] */
    uint32_t n_containers;
    bool has_claims;    /* spec.resourceClaims is not empty (DRA) */
    bool has_pod_level; /* spec.resources (pod-level resources) is set */
    const struct pod_amount *pod_requests, *pod_limits; /* spec.resources */
    uint32_t n_pod_requests, n_pod_limits;
    uint32_t traits;              /* enum pod_trait */
    uint64_t priority_class;      /* score_label("PriorityClass", its name); 0 = none */
    uint64_t owner;               /* a hash of its controller's kind and name; 0 = it has none */
    const struct pod_hint *hints; /* [n_hints] annotations orchestration.gokore.io/... */
    uint32_t n_hints;
    struct score_labels labels;
};

/* Finished for good: it holds nothing that a scheduler must count. */
bool pod_is_terminal(const struct score_pod *pod);

/*
 * Whatever the kubelet's settings, such a pod holds nothing for itself: it is not Guaranteed, so
 * that no CPUs and no memory are its own, and it asks for no devices and no claims. Most pods are.
 */
bool pod_is_plain(const struct score_pod *pod);

/*
 * The pod's QoS class by the kubelet's rule (k8s.io/kubernetes pkg/apis/core/v1/helper/qos,
 * ComputePodQOS): cpu and memory of all containers, or of spec.resources where that is set.
 */
enum pod_qos pod_qos_of(const struct score_pod *pod);

#endif
