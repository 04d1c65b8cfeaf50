/* SPDX-License-Identifier: Apache-2.0 */
/* The terms that ask how busy a node is: network, compute, interference. */
#include <string.h>

#include "base/attr.h"
#include "scoring/compute.h"
#include "scoring/interference.h"
#include "scoring/network.h"
#include "tests/support/test.h"

#define GBIT UINT64_C(1000000000)

static void headroom_is_what_the_tighter_direction_leaves(void **state)
{
    struct node_nic nic = {.capacity = 100 * GBIT, .allocated = {10 * GBIT, 40 * GBIT}};

    /* in: 100 - 10 - 20 = 70; out: 100 - 40 - 5 = 55 */
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){20 * GBIT, 5 * GBIT}), 550);
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){0, 60 * GBIT}), 0);
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){UINT64_MAX, 0}), 0);
    /* measured more than requested: 100 - 50 - 0 = 50 in both */
    nic.measured = 50 * GBIT;
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){0, 0}), 600);
    nic.has_measured = true;
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){0, 0}), 500);
    nic.measured = 200 * GBIT;
    assert_int_equal(score_nic_headroom(&nic, (uint64_t[]){0, 0}), 0);
    assert_int_equal(score_nic_free(&nic, NODE_INGRESS), 90 * GBIT);
    nic.allocated[NODE_EGRESS] = 101 * GBIT;
    assert_int_equal(score_nic_free(&nic, NODE_EGRESS), 0);
}

/* Zones 0 and 1 of socket 0, zone 2 of socket 1; a port in each of zones 0 and 2. */
static const struct topo_zone three[] = {{.socket = 0}, {.socket = 0}, {.socket = 1}};

static void the_best_port_is_near_and_has_room(void **state)
{
    struct node_nic nics[] = {{.zones = 1, .capacity = 10 * GBIT},
                              {.zones = 4, .capacity = 30 * GBIT},
                              {.zones = 4, .capacity = 90 * GBIT, .is_handed_out = true},
                              {.zones = 1}}; /* of unknown speed */
    struct node_view node = {.machine = {.n_zones = 3, .zones = three}, .n_nics = 4, .nics = nics};
    uint32_t got;

    /* From zone 0, 4 Gbit/s: port 0 600 * 1000, port 1 26/30 = 866 * 800 / 1000 = 692 */
    assert_true(
        score_network_shared(&got, &node, (uint32_t[]){4, 0, 0}, (uint64_t[]){4 * GBIT, 0}));
    assert_int_equal(got, 692);
    /* 1 Gbit/s: 900 against 966 * 800 / 1000 = 772 */
    assert_true(score_network_shared(&got, &node, (uint32_t[]){4, 0, 0}, (uint64_t[]){0, GBIT}));
    assert_int_equal(got, 900);
    /* half in zone 1, same socket, half in zone 2: port 0 (900 + 800) / 2 = 850: 765; port 1
       (800 + 1000) / 2 = 900: 966 * 900 / 1000 = 869 */
    assert_true(score_network_shared(&got, &node, (uint32_t[]){0, 4, 4}, (uint64_t[]){0, GBIT}));
    assert_int_equal(got, 869);
    /* Others have requested 20 of the 40: a half of each port. CPUs anywhere: 15 - 1 of 30 = 466 */
    node.network_shared[NODE_EGRESS] = 20 * GBIT;
    assert_true(score_network_shared(&got, &node, (uint32_t[]){0, 0, 0}, (uint64_t[]){0, GBIT}));
    assert_int_equal(got, 466);
    node.n_nics = 0;
    assert_false(score_network_shared(&got, &node, (uint32_t[]){4, 0, 0}, (uint64_t[]){0, 0}));
}

static void the_room_of_shared_ports_is_what_requests_leave(void **state)
{
    const struct node_nic nics[] = {{.capacity = 10 * GBIT}, {.capacity = 25 * GBIT}};
    const struct node_view node = {
        .n_nics = 2, .nics = nics, .network_shared = {40 * GBIT, 5 * GBIT}};
    struct score_network_room room;

    assert_true(score_network_room(&room, &node, NODE_EGRESS));
    assert_int_equal(room.capacity, 35 * GBIT);
    assert_int_equal(room.free, 30 * GBIT);
    assert_int_equal(room.fastest, 25 * GBIT);
    assert_true(score_network_room(&room, &node, NODE_INGRESS));
    assert_int_equal(room.free, 0);
}

static void compute_is_the_mean_of_what_is_measured(void **state)
{
    struct score_compute c = {0};
    uint32_t got = 7777;

    assert_false(score_compute(&got, &c));
    assert_int_equal(got, 7777);
    c = (struct score_compute){.has_utilization = true, .utilization = 250};
    assert_true(score_compute(&got, &c));
    assert_int_equal(got, 750);
    c.has_queue = true;
    c.queue = 3; /* a quarter: (750 + 250) / 2 */
    assert_true(score_compute(&got, &c));
    assert_int_equal(got, 500);
    c.queue = 2; /* (750 + 333) / 2 = 541.5 */
    assert_true(score_compute(&got, &c));
    assert_int_equal(got, 541);
    c = (struct score_compute){.has_queue = true, .queue = UINT32_MAX};
    assert_true(score_compute(&got, &c));
    assert_int_equal(got, 0);
    c = (struct score_compute){.has_utilization = true, .utilization = 1001};
    assert_true(score_compute(&got, &c));
    assert_int_equal(got, 0);
}

static void pressure_weighs_neighbours_by_their_class(void **state)
{
    assert_int_equal(score_qos_priority(POD_GUARANTEED), 100);
    assert_int_equal(score_qos_priority(POD_BURSTABLE), 50);
    assert_int_equal(score_qos_priority(POD_BEST_EFFORT), 10);
    /* 8 exclusive CPUs of 16: 8000 * 100 / (100 * 16) = 500; Burstable with 8 of 16: 250 */
    assert_int_equal(score_pressure(8000 * 100, 16), 500);
    assert_int_equal(score_pressure(8000 * 50, 16), 250);
    assert_int_equal(score_pressure(3333 * 10, 16), 20);
    assert_int_equal(score_pressure(99000 * 100, 16), 1000);
    assert_int_equal(score_pressure(1, 0), 0);
}

static void interference_is_felt_where_the_pod_runs(void **state)
{
    static const uint16_t pressure[] = {500, 100};

    assert_int_equal(score_interference((uint32_t[]){8, 0}, pressure, 2), 750);
    assert_int_equal(score_interference((uint32_t[]){0, 8}, pressure, 2), 950);
    /* (3 * 500 + 100) / 4 = 400 */
    assert_int_equal(score_interference((uint32_t[]){3, 1}, pressure, 2), 800);
    assert_int_equal(score_interference((uint32_t[]){0, 0}, pressure, 2), 1000);
    assert_int_equal(score_interference((uint32_t[]){1, 0}, (const uint16_t[]){1000, 0}, 2), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headroom_is_what_the_tighter_direction_leaves),
        cmocka_unit_test(the_best_port_is_near_and_has_room),
        cmocka_unit_test(the_room_of_shared_ports_is_what_requests_leave),
        cmocka_unit_test(compute_is_the_mean_of_what_is_measured),
        cmocka_unit_test(pressure_weighs_neighbours_by_their_class),
        cmocka_unit_test(interference_is_felt_where_the_pod_runs),
    };

    return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
