/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZONE_CORES = 16, ZONE_GPUS = 2, ZONE_NICS = 2, ZONE_GIB = 256 };

static _Noreturn void give_up(const char *what, const char *path)
{
    fprintf(stderr, "bench: %s %s\n", what, path);
    exit(1);
}

static void add_zone(struct buf *b, uint32_t zone, uint32_t zones, uint32_t held)
{
    const uint32_t first = zone * ZONE_CORES, sibling = zones * ZONE_CORES + first;
    const uint32_t cpus = 2 * ZONE_CORES - (zone == 0 ? 2 : 0);

    buf_printf(b, "%s{\"name\":\"node-%u\",\"type\":\"Node\",\"costs\":[", zone ? "," : "", zone);
    for (uint32_t k = 0; k < zones; k++)
        buf_printf(b, "%s{\"name\":\"node-%u\",\"value\":%u}", k ? "," : "", k,
                   k == zone           ? 10
                   : k / 2 == zone / 2 ? 12
                                       : 32);
    buf_printf(b,
               "],\"resources\":[{\"name\":\"cpu\",\"capacity\":\"%d\",\"allocatable\":\"%u\","
               "\"available\":\"%u\"},{\"name\":\"memory\",\"capacity\":\"%dGi\","
               "\"allocatable\":\"%dGi\",\"available\":\"%dGi\"}",
               2 * ZONE_CORES, cpus, cpus - held, ZONE_GIB, ZONE_GIB - 4, ZONE_GIB - 4);
    buf_printf(b,
               ",{\"name\":\"nvidia.com/gpu\",\"capacity\":\"%d\",\"allocatable\":\"%d\","
               "\"available\":\"%d\"},{\"name\":\"rdma/hca\",\"capacity\":\"%d\","
               "\"allocatable\":\"%d\",\"available\":\"%d\"}],\"attributes\":[",
               ZONE_GPUS, ZONE_GPUS, ZONE_GPUS, ZONE_NICS, ZONE_NICS, ZONE_NICS);
    buf_printf(b,
               "{\"name\":\"orchestration.gokore.io/socket\",\"value\":\"%u\"},"
               "{\"name\":\"orchestration.gokore.io/cpus\",\"value\":\"%u-%u,%u-%u\"},"
               "{\"name\":\"orchestration.gokore.io/free-cpus\",\"value\":\"%u-%u,%u-%u\"},"
               "{\"name\":\"orchestration.gokore.io/cores\",\"value\":\"",
               zone / 2, first, first + ZONE_CORES - 1, sibling, sibling + ZONE_CORES - 1, first,
               first + ZONE_CORES - 1 - held / 2, sibling, sibling + ZONE_CORES - 1 - held / 2);
    for (uint32_t c = 0; c < ZONE_CORES; c++)
        buf_printf(b, "%s%u,%u", c ? ";" : "", first + c, sibling + c);
    buf_text(b, "\"}]}");
}

static void add_attribute(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, ",{\"name\":\"orchestration.gokore.io/%s\",\"value\":\"%s\"}", name, value);
}

static void add_node(struct buf *b, uint32_t i, uint32_t zones, uint32_t round)
{
    const uint32_t cpus = zones * 2 * ZONE_CORES;

    buf_printf(b,
               "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\","
               "\"kind\":\"Node\",\"metadata\":{\"name\":\"node-%05u\"},\"status\":{\"capacity\":"
               "{\"cpu\":\"%u\",\"memory\":\"%uGi\",\"nvidia.com/gpu\":\"%u\",\"rdma/hca\":\"%u\"},"
               "\"allocatable\":{\"cpu\":\"%u\",\"memory\":\"%uGi\",\"nvidia.com/gpu\":\"%u\","
               "\"rdma/hca\":\"%u\"},\"nodeInfo\":{\"kubeletVersion\":\"v1.36.3\"}}},",
               i, cpus, zones * ZONE_GIB, zones * ZONE_GPUS, zones * ZONE_NICS, cpus - 2,
               zones * (ZONE_GIB - 4), zones * ZONE_GPUS, zones * ZONE_NICS);
    buf_printf(b,
               "{\"apiVersion\":\"topology.node.k8s.io/v1alpha2\",\"kind\":"
               "\"NodeResourceTopology\",\"metadata\":{\"name\":\"node-%05u\"},\"attributes\":["
               "{\"name\":\"topologyManagerPolicy\",\"value\":\"%s\"},"
               "{\"name\":\"topologyManagerScope\",\"value\":\"container\"}",
               i, i % 2 ? "restricted" : "single-numa-node");
    add_attribute(b, "cpu-manager-policy", "static");
    add_attribute(b, "memory-manager-policy", "Static");
    add_attribute(b, "cpu-manager-policy-options", "");
    add_attribute(b, "topology-manager-policy-options", "");
    char reserved[32];
    (void)snprintf(reserved, sizeof(reserved), "0,%u", zones * ZONE_CORES);
    add_attribute(b, "reserved-cpus", reserved);
    buf_text(b, "],\"zones\":[");
    for (uint32_t z = 0; z < zones; z++) /* the load of a zone depends on node and round */
        add_zone(b, z, zones, 2 * ((i * 7 + z * 3 + round * 5) % ZONE_CORES));
    buf_text(b, "]}]}");
}

void synth_change(const char *dir, uint32_t i, uint32_t zones, uint32_t round)
{
    struct buf b = {0};
    char path[512], temporary[540];

    add_node(&b, i, zones, round);
    (void)snprintf(path, sizeof(path), "%s/node-%05u.json", dir, i);
    (void)snprintf(temporary, sizeof(temporary), "%s/.node-%05u.tmp", dir, i);
    FILE *const f = fopen(temporary, "we");
    if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f) || rename(temporary, path))
        give_up("cannot write", path);
    buf_free(&b);
}

void synth_cluster(const char *dir, uint32_t nodes, uint32_t zones)
{
    for (uint32_t i = 0; i < nodes; i++)
        synth_change(dir, i, zones, 0);
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
                   k ? "requests" : "limits", cpus, (UINT64_C(1) << 30) + 4096 * shape, devices);
    buf_text(out, "}}],\"schedulerName\":\"default-scheduler\",\"priority\":0},\"status\":"
                  "{\"phase\":\"Pending\",\"qosClass\":\"Guaranteed\"}}");
}
