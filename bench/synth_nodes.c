/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node objects as kube-scheduler sends them where the extender is not nodeCacheCapable: labels of
 * feature discovery, annotations with JSON inside, managedFields, conditions, fifty images. About
 * 16.4 KB each, as recorded (tests/data/scheduler-requests).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/attr.h"
#include "bench/synth.h"

enum { IMAGES = 54 };

static const char *const labels[] = {
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "example.com/rack",
    "feature.node.kubernetes.io/cpu-cpuid.AMXBF16",
    "feature.node.kubernetes.io/cpu-cpuid.AMXINT8",
    "feature.node.kubernetes.io/cpu-cpuid.AVX512F",
    "feature.node.kubernetes.io/cpu-cpuid.AVX512VNNI",
    "feature.node.kubernetes.io/cpu-cpuid.VMX",
    "feature.node.kubernetes.io/cpu-hardware_multithreading",
    "feature.node.kubernetes.io/kernel-config.NO_HZ_FULL",
    "feature.node.kubernetes.io/memory-numa",
    "feature.node.kubernetes.io/network-sriov.capable",
    "feature.node.kubernetes.io/pci-0300_10de.present",
    "feature.node.kubernetes.io/storage-nonrotationaldisk",
    "feature.node.kubernetes.io/system-os_release.ID.debian",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node-role.kubernetes.io/worker",
    "node.kubernetes.io/instance-type",
    "nvidia.com/gpu.count",
    "nvidia.com/gpu.family",
    "nvidia.com/gpu.memory",
    "nvidia.com/gpu.present",
    "nvidia.com/gpu.product",
    "topology.k8s.io/topology-manager-policy",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
};

static const char *const conditions[][3] = {
    {"NetworkUnavailable", "NetworkIsUp", "The network of this node is up"},
    {"MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
    {"DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
    {"PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
    {"Ready", "KubeletReady", "kubelet is posting ready status"},
};

static const char annotations[] =
    "\"annotations\":{\"csi.volume.kubernetes.io/nodeid\":\"{\\\"csi.example.com\\\":"
    "\\\"3c6ef3729e22\\\",\\\"nfs.csi.k8s.io\\\":\\\"worker.example.internal\\\"}\","
    "\"kubeadm.alpha.kubernetes.io/cri-socket\":\"unix:///run/containerd/containerd.sock\","
    "\"nfd.node.kubernetes.io/worker.version\":\"v0.17.0\",\"node.alpha.kubernetes.io/ttl\":\"0\","
    "\"volumes.kubernetes.io/controller-managed-attach-detach\":\"true\"}";

/* Any well-mixed 64 bits of x (the finalizer of splitmix64). */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void add_meta(struct buf *b, uint32_t i)
{
    buf_printf(b,
               "{\"metadata\":{\"name\":\"node-%05u\",\"uid\":\"00000000-0000-4000-a000-%012u\","
               "\"resourceVersion\":\"%u\",\"creationTimestamp\":\"2026-11-23T20:08:57Z\","
               "\"labels\":{",
               i, i, 1000 + i);
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        buf_printf(b, "%s\"%s\":\"true\"", k ? "," : "", labels[k]);
    buf_printf(b, "},%s,\"managedFields\":[{\"manager\":\"kubelet\",\"operation\":\"Update\",",
               annotations);
    buf_text(b, "\"apiVersion\":\"v1\",\"time\":\"2026-11-23T20:08:57Z\",\"fieldsType\":"
                "\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{}");
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        buf_printf(b, ",\"f:%s\":{}", labels[k]);
    buf_text(b, "}},\"f:spec\":{\"f:podCIDRs\":{\".\":{},\"v:\\\"10.128.0.0/24\\\"\":{}}}}}]},");
}

static void add_images(struct buf *b, uint32_t i)
{
    for (uint32_t k = 0; k < IMAGES; k++) {
        const uint64_t x = mixed(i * UINT64_C(1000) + k);

        buf_printf(b, "%s{\"names\":[\"registry.example.internal/platform/service-%02u@sha256:",
                   k ? "," : "", k * 7 % 97);
        for (uint64_t part = 0; part < 4; part++)
            buf_printf(b, "%016" PRIx64, mixed(x + part));
        buf_printf(b,
                   "\",\"registry.example.internal/platform/service-%02u:v1.%u.%u\"],"
                   "\"sizeBytes\":%u}",
                   k * 7 % 97, k % 13, k % 5, 900000000 - 16000000 * k);
    }
}

static void add_status(struct buf *b, uint32_t i)
{
    static const char amounts[] =
        "{\"cpu\":\"126\",\"ephemeral-storage\":\"1700Gi\",\"hugepages-1Gi\":\"0\","
        "\"hugepages-2Mi\":\"0\",\"memory\":\"1008Gi\",\"nvidia.com/gpu\":\"8\",\"pods\":\"250\","
        "\"rdma/hca\":\"2\"}";

    buf_printf(b,
               "\"spec\":{\"podCIDR\":\"10.128.0.0/24\",\"podCIDRs\":[\"10.128.0.0/24\"]},"
               "\"status\":{\"capacity\":%s,\"allocatable\":%s,\"conditions\":[",
               amounts, amounts);
    for (size_t k = 0; k < ARRAY_LEN(conditions); k++)
        buf_printf(b,
                   "%s{\"type\":\"%s\",\"status\":\"False\",\"lastHeartbeatTime\":"
                   "\"2026-07-23T10:00:00Z\",\"lastTransitionTime\":\"2026-07-23T10:00:00Z\","
                   "\"reason\":\"%s\",\"message\":\"%s\"}",
                   k ? "," : "", conditions[k][0], conditions[k][1], conditions[k][2]);
    buf_printf(b,
               "],\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.64.%u.%u\"}],"
               "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":10250}},\"nodeInfo\":{"
               "\"machineID\":\"%016" PRIx64 "\",\"kernelVersion\":\"6.12.41+deb13-amd64\","
               "\"osImage\":\"Debian GNU/Linux 13 (trixie)\",\"containerRuntimeVersion\":"
               "\"containerd://2.1.4\",\"kubeletVersion\":\"v1.36.3\",\"operatingSystem\":"
               "\"linux\",\"architecture\":\"amd64\"},\"images\":[",
               i / 256 % 256, i % 256, mixed(i));
    add_images(b, i);
    buf_text(b, "]}}");
}

void synth_nodes(struct buf *out, uint32_t nodes)
{
    buf_text(out, "{\"metadata\":{},\"items\":[");
    for (uint32_t i = 0; i < nodes; i++) {
        buf_text(out, i ? "," : "");
        add_meta(out, i);
        add_status(out, i);
    }
    buf_text(out, "]}");
}
