/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses one of the kubelet's state files, or what it says of its settings; the
 * rest is it. What is read names zones of the machine and CPU lists only, and of the devices no two
 * are the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kubelet_config.h"
#include "agent/kubelet_state.h"
#include "base/arena.h"
#include "kube/nrt_emit.h"
#include "kube/scan.h"
#include "tests/support/two_zones.h"
#include "topology/cpuset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1024 * 1024, ZONES = 3 };

static void check_holdings(const struct kube_nrt_holding *h, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert(cpuset_span(h[i].cpus, NULL) >= 0);
        for (uint32_t b = 0; b < h[i].n_blocks; b++)
            assert(h[i].blocks[b].zones && !(h[i].blocks[b].zones & ~(uint64_t)ZONES));
        for (uint32_t d = 0; d < h[i].n_devices; d++)
            assert(h[i].devices[d].resource.n);
    }
}

static void check_cpu(struct str json, struct arena *a)
{
    struct agent_cpu_state c;

    if (agent_cpu_state_decode(&c, json, a, NULL) == 0)
        check_holdings(c.holdings, c.n_holdings);
}

static void check_memory(struct str json, struct arena *a)
{
    struct agent_memory_state m;

    if (agent_memory_state_decode(&m, json, two_zones(), a, NULL))
        return;
    check_holdings(m.holdings, m.n_holdings);
    for (uint32_t z = 0; z < two_zones()->n_zones; z++) {
        assert(!(m.zones[z].cells & ~(uint64_t)ZONES));
        for (uint32_t i = 0; i < m.zones[z].n_memory; i++)
            assert(m.zones[z].memory[i].free <= INT64_MAX);
    }
}

static void check_checkpoint(struct str json, struct arena *a)
{
    struct agent_checkpoint c;

    if (agent_checkpoint_decode(&c, json, two_zones(), a, NULL))
        return;
    check_holdings(c.holdings, c.n_holdings);
    for (uint32_t i = 1; i < c.n_devices; i++) {
        const int order = str_cmp(c.devices[i - 1].resource, c.devices[i].resource);

        assert(order < 0 || (order == 0 && str_cmp(c.devices[i - 1].id, c.devices[i].id) < 0));
    }
}

static void check_settings(struct str json, struct arena *a)
{
    struct agent_config c;

    if (agent_configz_decode(&c, json, a, NULL))
        return;
    assert(c.topology_policy.n && c.topology_scope.n && c.cpu_policy.n && c.memory_policy.n);
    assert(cpuset_span(c.reserved_cpus, NULL) >= 0 && c.reserved_milli >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const check[])(struct str json, struct arena * a) = {
        check_cpu, check_memory, check_checkpoint, check_settings};
    static char room[ROOM];
    struct arena a;

    if (size == 0)
        return 0;
    char *const text = calloc(1, size - 1 + SCAN_PADDING_BYTES);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    arena_init(&a, room, sizeof(room));
    check[data[0] % ARRAY_LEN(check)]((struct str){text, size - 1}, &a);
    free(text);
    return 0;
}
