/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod reduced to what the kubelet's managers ask of it: whole CPUs, memory by type, devices by
 * resource, per container and for the pod. Made once per decision; the same for every node.
 */
#ifndef SCORING_KUBELET_REQUEST_H
#define SCORING_KUBELET_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "scoring/policy.h"
#include "scoring/request.h"

struct kubelet_want {
    struct str name;     /* of a memory type or a device resource */
    uint64_t amount;     /* bytes or devices */
    bool is_main_memory; /* "memory": type 0 of every node */
};

struct kubelet_wants {
    /* Exclusive CPUs: the request of a Guaranteed pod's container when it is a whole number, else
       0 (k8s: cpumanager/policy_static.go guaranteedCPUs). */
    uint32_t cpus;
    /* memory and hugepages-* requests, of Guaranteed pods only (memorymanager
     * getRequestedResources) */
    const struct kubelet_want *memory; /* [n_memory] by name */
    uint32_t n_memory;
    bool odd_memory; /* one of them is no whole number to the kubelet, which then asks for none */
    /* Limits of extended resources, of every QoS class (devicemanager getContainerDeviceRequest) */
    const struct kubelet_want *devices; /* [n_devices] by name */
    uint32_t n_devices;
};

struct kubelet_container {
    enum pod_container_kind kind;
    struct kubelet_wants wants;
};

struct score_request {
    const struct score_pod *pod;
    const struct score_rules *rules; /* never NULL */
    enum pod_qos qos;
    uint32_t n_containers;
    const struct kubelet_container *containers; /* [n_containers] in admission order */
    /*
     * The pod as a whole, for scope pod: per resource the larger of what the ordinary init
     * containers need at any time and what runs for long (app + sidecars). Memory only of types
     * that an app container asks for (memorymanager getPodRequestedResources).
     */
    struct kubelet_wants whole;
    /* Of the widest request: hint lists that it takes, and memory blocks. */
    uint32_t most_lists, most_blocks;
};

#endif
