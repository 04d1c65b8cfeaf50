/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of tests/data/kubelet-state: zone ids 0 and 2, CPUs 0-4 and 5-9. */
#ifndef TESTS_SUPPORT_TWO_ZONES_H
#define TESTS_SUPPORT_TWO_ZONES_H

#include "topology/model.h"

static inline const struct topo_machine *two_zones(void)
{
    static const struct topo_zone zones[] = {{.id = 0, .socket = 0, .memory_bytes = 17179869184},
                                             {.id = 2, .socket = 1, .memory_bytes = 17179869184}};
    static const uint32_t distances[] = {10, 20, 20, 10};
    static const struct topo_cpu cpus[] = {{0, 0, 0, 0}, {0, 0, 1, 0}, {0, 0, 2, 0}, {0, 0, 3, 0},
                                           {0, 0, 4, 0}, {1, 1, 5, 1}, {1, 1, 6, 1}, {1, 1, 7, 1},
                                           {1, 1, 8, 1}, {1, 1, 9, 1}};
    static const struct topo_machine machine = {
        .n_zones = 2, .zones = zones, .distances = {2, distances}, .n_cpus = 10, .cpus = cpus};

    return &machine;
}

#endif
