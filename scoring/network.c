/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/network.h"

#include "scoring/weigh.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint32_t permille_left(uint64_t capacity, uint64_t used, uint64_t need)
{
    return (uint32_t)((wide)minus(minus(capacity, used), need) * SCORE_MAX / capacity);
}

uint32_t score_nic_headroom(const struct node_nic *nic, const uint64_t need[2])
{
    uint32_t least = SCORE_MAX;

    for (int d = 0; d < 2; d++) {
        const uint64_t asked = nic->allocated[d];
        const uint64_t used = nic->has_measured && nic->measured > asked ? nic->measured : asked;
        const uint32_t left = permille_left(nic->capacity, used, need[d]);

        least = left < least ? left : least;
    }
    return least;
}

uint64_t score_nic_free(const struct node_nic *nic, enum node_direction direction)
{
    return minus(nic->capacity, nic->allocated[direction]);
}

uint32_t score_nic_nearness(const struct node_view *node, const struct node_nic *nic,
                            const uint32_t *cpu)
{
    static const uint32_t values[] = {
        [TOPO_LINK_ZONE] = 1000, [TOPO_LINK_SOCKET] = 900, [TOPO_LINK_FAR] = 800};
    uint64_t sum = 0, cpus = 0;

    for (uint32_t z = 0; z < node->machine.n_zones && nic->zones; z++) {
        if (cpu[z] == 0)
            continue;
        sum += (uint64_t)cpu[z] *
               values[topo_zones_link(&node->machine, UINT64_C(1) << z, nic->zones)];
        cpus += cpu[z];
    }
    return cpus ? (uint32_t)(sum / cpus) : SCORE_MAX;
}

static bool is_shared(const struct node_nic *nic)
{
    return nic->capacity > 0 && !nic->is_handed_out;
}

bool score_network_room(struct score_network_room *out, const struct node_view *node,
                        enum node_direction direction)
{
    struct score_network_room room = {0};

    for (uint32_t i = 0; i < node->n_nics; i++) {
        if (!is_shared(&node->nics[i]))
            continue;
        room.capacity += node->nics[i].capacity;
        room.fastest =
            node->nics[i].capacity > room.fastest ? node->nics[i].capacity : room.fastest;
    }
    room.free = minus(room.capacity, node->network_shared[direction]);
    *out = room;
    return room.capacity > 0;
}

/* The port with its part of what pods without ports of their own have requested. */
static struct node_nic with_part(const struct node_view *node, const struct node_nic *nic,
                                 uint64_t capacity)
{
    struct node_nic port = *nic;

    for (int d = 0; d < 2; d++)
        port.allocated[d] += (uint64_t)((wide)node->network_shared[d] * nic->capacity / capacity);
    return port;
}

bool score_network_shared(uint32_t *out, const struct node_view *node, const uint32_t *cpu,
                          const uint64_t need[2])
{
    struct score_network_room room;
    uint32_t best = 0;

    if (!score_network_room(&room, node, NODE_INGRESS))
        return false;
    for (uint32_t i = 0; i < node->n_nics; i++) {
        if (!is_shared(&node->nics[i]))
            continue;
        const struct node_nic port = with_part(node, &node->nics[i], room.capacity);
        const uint32_t value =
            score_nic_headroom(&port, need) * score_nic_nearness(node, &port, cpu) / SCORE_MAX;

        best = value > best ? value : best;
    }
    *out = best;
    return true;
}
