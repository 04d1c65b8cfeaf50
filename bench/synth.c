/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ZONE_CORES = 16, ZONE_GPUS = 2, NODE_NICS = 2, ZONE_GIB = 256, SYSTEM_GIB = 4 };
static const uint64_t gib = UINT64_C(1) << 30;

bool synth_unlike;
const char *synth_policy;

/* What running pods hold of a zone: this many CPUs from its end, half of them siblings. */
static uint32_t held_cpus(uint32_t i, uint32_t zone, uint32_t round)
{
    return 2 * ((i * 7 + zone * 3 + round * 5) % ZONE_CORES);
}

/* Of memory a GiB a CPU, and what tells nodes apart. */
static uint64_t held_bytes(uint32_t i, uint32_t held)
{
    return held * gib + (synth_unlike && held ? (uint64_t)i << 18 : 0);
}

/* The zone of NIC k. */
static uint32_t nic_zone(uint32_t k, uint32_t zones)
{
    return k * zones / NODE_NICS;
}

static uint32_t zone_nics(uint32_t zone, uint32_t zones)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < NODE_NICS; k++)
        n += nic_zone(k, zones) == zone;
    return n;
}

/* --- zones --- */

static void add_attribute(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, ",{\"name\":\"orchestration.gokore.io/%s\",\"value\":\"%s\"}", name, value);
}

static void add_resource(struct buf *b, const char *name, uint64_t capacity, uint64_t allocatable,
                         uint64_t available)
{
    buf_printf(b,
               "{\"name\":\"%s\",\"capacity\":\"%" PRIu64 "\",\"allocatable\":\"%" PRIu64
               "\",\"available\":\"%" PRIu64 "\"}",
               name, capacity, allocatable, available);
}

static void add_resources(struct buf *b, uint32_t i, uint32_t zone, uint32_t zones, uint32_t held)
{
    const uint32_t cpus = 2 * ZONE_CORES - (zone == 0 ? 2 : 0), nics = zone_nics(zone, zones);
    const uint64_t memory = (ZONE_GIB - SYSTEM_GIB) * gib;

    buf_text(b, "],\"resources\":[");
    add_resource(b, "cpu", 2 * ZONE_CORES, cpus, cpus - held);
    buf_text(b, ",");
    add_resource(b, "memory", ZONE_GIB * gib, memory, memory - held_bytes(i, held));
    buf_text(b, ",");
    add_resource(b, "nvidia.com/gpu", ZONE_GPUS, ZONE_GPUS, ZONE_GPUS);
    if (nics) {
        buf_text(b, ",");
        add_resource(b, "rdma/hca", nics, nics, nics);
    }
}

static void add_cpu_attributes(struct buf *b, uint32_t zone, uint32_t zones, uint32_t held)
{
    const uint32_t first = zone * ZONE_CORES, sibling = zones * ZONE_CORES + first;
    const uint32_t last = ZONE_CORES - 1;

    buf_printf(b,
               "],\"attributes\":[{\"name\":\"orchestration.gokore.io/socket\",\"value\":\"%u\"},"
               "{\"name\":\"orchestration.gokore.io/cpus\",\"value\":\"%u-%u,%u-%u\"},"
               "{\"name\":\"orchestration.gokore.io/free-cpus\",\"value\":\"%u-%u,%u-%u\"},"
               "{\"name\":\"orchestration.gokore.io/l3\",\"value\":\"%u-%u,%u-%u\"},"
               "{\"name\":\"orchestration.gokore.io/cores\",\"value\":\"",
               zone / 2, first, first + last, sibling, sibling + last, first,
               first + last - held / 2, sibling, sibling + last - held / 2, first, first + last,
               sibling, sibling + last);
    for (uint32_t c = 0; c < ZONE_CORES; c++)
        buf_printf(b, "%s%u,%u", c ? ";" : "", first + c, sibling + c);
    buf_text(b, "\"}");
}

static void add_zone(struct buf *b, uint32_t i, uint32_t zone, uint32_t zones, uint32_t held)
{
    char text[32];

    buf_printf(b, "%s{\"name\":\"node-%u\",\"type\":\"Node\",\"costs\":[", zone ? "," : "", zone);
    for (uint32_t k = 0; k < zones; k++)
        buf_printf(b, "%s{\"name\":\"node-%u\",\"value\":%u}", k ? "," : "", k,
                   k == zone           ? 10
                   : k / 2 == zone / 2 ? 12
                                       : 32);
    add_resources(b, i, zone, zones, held);
    add_cpu_attributes(b, zone, zones, held);
    (void)snprintf(text, sizeof(text), "%u", zone);
    add_attribute(b, "memory-cells", text);
    add_attribute(b, "memory-assignments", held ? "1" : "0");
    (void)snprintf(text, sizeof(text), "%" PRIu64,
                   (ZONE_GIB - SYSTEM_GIB) * gib - held_bytes(i, held));
    add_attribute(b, "memory-free", text);
    buf_text(b, "]}");
}

/* --- attributes of the node: JSON inside a string --- */

static void add_placements(struct buf *b, uint32_t i, uint32_t zones, uint32_t round)
{
    bool any = false;

    buf_text(b, ",{\"name\":\"orchestration.gokore.io/placements\",\"value\":\"{");
    for (uint32_t z = 0; z < zones; z++) {
        const uint32_t held = held_cpus(i, z, round), end = (z + 1) * ZONE_CORES;
        const uint32_t siblings = zones * ZONE_CORES;

        if (!held)
            continue;
        buf_printf(
            b,
            "%s\\\"bench/holder-%u-%u\\\":{\\\"uid\\\":\\\"00000000-0000-4000-9%03u-%012u"
            "\\\",\\\"containers\\\":{\\\"main\\\":{\\\"cpus\\\":\\\"%u-%u,%u-%u\\\","
            "\\\"memory\\\":[{\\\"zones\\\":[%u],\\\"type\\\":\\\"memory\\\",\\\"bytes\\\":%" PRIu64
            "}]}}}",
            any ? "," : "", i, z, z, i, end - held / 2, end - 1, siblings + end - held / 2,
            siblings + end - 1, z, held_bytes(i, held));
        any = true;
    }
    buf_text(b, "}\"}");
}

static void add_devices(struct buf *b, uint32_t zones)
{
    buf_text(b, ",{\"name\":\"orchestration.gokore.io/devices\",\"value\":\"{"
                "\\\"nvidia.com/gpu\\\":[");
    for (uint32_t k = 0; k < zones * ZONE_GPUS; k++)
        buf_printf(b, "%s{\\\"id\\\":\\\"GPU-%u\\\",\\\"zones\\\":[%u],\\\"healthy\\\":true}",
                   k ? "," : "", k, k / ZONE_GPUS);
    buf_text(b, "],\\\"rdma/hca\\\":[");
    for (uint32_t k = 0; k < NODE_NICS; k++)
        buf_printf(b, "%s{\\\"id\\\":\\\"mlx5_%u\\\",\\\"zones\\\":[%u],\\\"healthy\\\":true}",
                   k ? "," : "", k, nic_zone(k, zones));
    buf_text(b, "]}\"}");
}

/* The first GPU of a zone shares its NIC's switch; each GPU is linked to its neighbour. */
static void add_pci(struct buf *b, uint32_t zones)
{
    buf_text(b, ",{\"name\":\"orchestration.gokore.io/pci\",\"value\":\"{");
    for (uint32_t k = 0; k < zones * ZONE_GPUS; k++)
        buf_printf(
            b,
            "%s\\\"GPU-%u\\\":{\\\"kind\\\":\\\"gpu\\\",\\\"address\\\":\\\"0000:%02x:00.0"
            "\\\",\\\"path\\\":[\\\"0000:%02x\\\",\\\"0000:%02x:01.0\\\"],\\\"zones\\\":[%u],"
            "\\\"links\\\":{\\\"GPU-%u\\\":450000}}",
            k ? "," : "", k, 0x10 * (k / 2) + 3 + k % 2, 0x10 * (k / 2), 0x10 * (k / 2) + k % 2,
            k / ZONE_GPUS, k ^ 1);
    for (uint32_t k = 0; k < NODE_NICS; k++)
        buf_printf(
            b,
            ",\\\"mlx5_%u\\\":{\\\"kind\\\":\\\"infiniband\\\",\\\"address\\\":\\\"0000:%02x:"
            "00.0\\\",\\\"path\\\":[\\\"0000:%02x\\\",\\\"0000:%02x:01.0\\\"],\\\"zones\\\":"
            "[%u],\\\"name\\\":\\\"mlx5_%u\\\",\\\"speed\\\":400000}",
            k, 0x10 * nic_zone(k, zones) + 5, 0x10 * nic_zone(k, zones), 0x10 * nic_zone(k, zones),
            nic_zone(k, zones), k);
    buf_text(b, "}\"}");
}

static void add_observed(struct buf *b, uint32_t round)
{
    struct timespec now;
    struct tm day;
    char text[64];
    size_t n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &day);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &day);
    (void)snprintf(text + n, sizeof(text) - n, ".%06ldZ", now.tv_nsec / 1000);
    add_attribute(b, "observed-at", text);
    (void)snprintf(text, sizeof(text), "%u", round + 1);
    add_attribute(b, "generation", text);
}

static void add_node(struct buf *b, uint32_t i, uint32_t zones)
{
    const uint32_t cpus = zones * 2 * ZONE_CORES, gpus = zones * ZONE_GPUS;

    buf_printf(
        b,
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"node-%05u\"},"
        "\"status\":{\"capacity\":{\"cpu\":\"%u\",\"memory\":\"%uGi\",\"pods\":\"250\","
        "\"nvidia.com/gpu\":\"%u\",\"rdma/hca\":\"%d\"},\"allocatable\":{\"cpu\":\"%u\","
        "\"memory\":\"%uGi\",\"pods\":\"250\",\"nvidia.com/gpu\":\"%u\",\"rdma/hca\":\"%d\"},"
        "\"nodeInfo\":{\"kubeletVersion\":\"v1.36.3\"}}}",
        i, cpus, zones * ZONE_GIB, gpus, NODE_NICS, cpus - 2, zones * (ZONE_GIB - SYSTEM_GIB), gpus,
        NODE_NICS);
}

static void add_topology(struct buf *b, uint32_t i, uint32_t zones, uint32_t round)
{
    char reserved[32];

    buf_printf(b,
               "{\"apiVersion\":\"topology.node.k8s.io/v1alpha2\",\"kind\":"
               "\"NodeResourceTopology\",\"metadata\":{\"name\":\"node-%05u\"},\"attributes\":["
               "{\"name\":\"topologyManagerPolicy\",\"value\":\"%s\"},"
               "{\"name\":\"topologyManagerScope\",\"value\":\"container\"}",
               i,
               synth_policy ? synth_policy
               : i % 2      ? "restricted"
                            : "single-numa-node");
    add_attribute(b, "cpu-manager-policy", "static");
    add_attribute(b, "memory-manager-policy", "Static");
    add_attribute(b, "cpu-manager-policy-options", "");
    add_attribute(b, "topology-manager-policy-options", "");
    (void)snprintf(reserved, sizeof(reserved), "0,%u", zones * ZONE_CORES);
    add_attribute(b, "reserved-cpus", reserved);
    add_observed(b, round);
    add_placements(b, i, zones, round);
    add_devices(b, zones);
    add_pci(b, zones);
    buf_text(b, "],\"zones\":[");
    for (uint32_t z = 0; z < zones; z++)
        add_zone(b, i, z, zones, held_cpus(i, z, round));
    buf_text(b, "]}");
}

void synth_node(struct buf *out, uint32_t i, uint32_t zones, uint32_t round)
{
    buf_text(out, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
    add_node(out, i, zones);
    buf_text(out, ",");
    add_topology(out, i, zones, round);
    buf_text(out, "]}");
}

void synth_names(struct buf *out, uint32_t nodes)
{
    buf_text(out, "[");
    for (uint32_t i = 0; i < nodes; i++)
        buf_printf(out, "%s\"node-%05u\"", i ? "," : "", i);
    buf_text(out, "]");
}

void synth_pod(struct buf *out, uint64_t shape)
{
    const unsigned cpus = (unsigned)(1 + shape % 24);
    char devices[96] = "";

    if (shape % 4 == 1)
        (void)snprintf(devices, sizeof(devices), ",\"nvidia.com/gpu\":\"%u\"",
                       (unsigned)(1 + shape / 4 % 2));
    if (shape % 4 == 3)
        (void)snprintf(devices, sizeof(devices), ",\"nvidia.com/gpu\":\"1\",\"rdma/hca\":\"1\"");
    buf_printf(out,
               "{\"metadata\":{\"name\":\"p-%" PRIu64 "\",\"namespace\":\"bench\",\"uid\":"
               "\"00000000-0000-4000-8000-%012" PRIu64 "\",\"creationTimestamp\":"
               "\"2026-11-24T00:00:00Z\",\"labels\":{\"app\":\"bench\"}},\"spec\":{\"containers\":"
               "[{\"name\":\"main\",\"image\":\"registry.example/bench:1\",\"resources\":{",
               shape, shape);
    for (int k = 0; k < 2; k++)
        buf_printf(out, "%s\"%s\":{\"cpu\":\"%u\",\"memory\":\"%" PRIu64 "\"%s}", k ? "," : "",
                   k ? "requests" : "limits", cpus, gib + 4096 * shape, devices);
    buf_text(out, "}}],\"schedulerName\":\"default-scheduler\",\"priority\":0},\"status\":"
                  "{\"phase\":\"Pending\",\"qosClass\":\"Guaranteed\"}}");
}
