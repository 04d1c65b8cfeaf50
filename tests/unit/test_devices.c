/* SPDX-License-Identifier: Apache-2.0 */
/* Devices by their links: choices of a plugin, parts, odds. All worked by hand. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/devices.h"
#include "scoring/pairs.h"
#include "tests/support/test.h"
#include "topology/cpuset.h"

/*
 * Two sockets of one zone each. Per zone two GPUs and two NICs; GPU i and NIC i are below one
 * switch, the two switches of a zone below one host bridge, GPUs of a zone linked directly.
 * Devices 0-3: GPUs, 4-7: NICs; places 1-8 in the same order; zones 0,0,1,1.
 */
enum { GPUS = 4, DEVICES = 8, ROOM = 4096 };

struct rig {
    struct node_view node;
    struct topo_zone zones[2];
    struct node_device devices[DEVICES];
    struct node_resource resources[2];
    struct node_nic nics[GPUS];
    uint8_t links[DEVICES * DEVICES];
    uint64_t held[1];
    uint32_t cpu[2];
    struct score_choice choices[2];
    struct score_device_ask ask;
    struct arena a;
    char room[ROOM];
};

static enum topo_link link_of(uint32_t a, uint32_t b)
{
    if (a % GPUS / 2 != b % GPUS / 2)
        return TOPO_LINK_FAR;
    if (a < GPUS && b < GPUS)
        return TOPO_LINK_DIRECT;
    return a % GPUS == b % GPUS ? TOPO_LINK_SWITCH : TOPO_LINK_ROOT;
}

/* A rig stands on the stack: what the arena has poisoned there goes with it. */
static void take_down(struct rig *r)
{
    arena_rewind(&r->a, 0);
}

static void set_up(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    arena_init(&r->a, r->room, ROOM);
    r->zones[0].socket = 0;
    r->zones[1].socket = 1;
    for (uint32_t d = 0; d < DEVICES; d++) {
        r->devices[d] = (struct node_device){.zones = d % GPUS < 2 ? 1 : 2,
                                             .healthy = true,
                                             .kind = d < GPUS ? NODE_DEVICE_GPU : NODE_DEVICE_NIC,
                                             .place = (uint8_t)(d + 1)};
        for (uint32_t e = 0; e < DEVICES; e++)
            r->links[d * DEVICES + e] = (uint8_t)link_of(d, e);
    }
    r->resources[0] =
        (struct node_resource){.name = STR("example.com/gpu"), .first = 0, .n = GPUS, .zones = 3};
    r->resources[1] = (struct node_resource){
        .name = STR("example.com/nic"), .first = GPUS, .n = GPUS, .zones = 3};
    r->node = (struct node_view){.machine = {.n_zones = 2, .zones = r->zones},
                                 .n_resources = 2,
                                 .resources = r->resources,
                                 .n_devices = DEVICES,
                                 .devices = r->devices,
                                 .n_places = DEVICES,
                                 .links = r->links};
    r->ask = (struct score_device_ask){.node = &r->node, .cpu = r->cpu, .choices = r->choices};
}

/* Take `gpus` and `nics` of each with an affinity for `zones`. */
static void take(struct rig *r, uint64_t zones, uint32_t gpus, uint32_t nics)
{
    const uint32_t want[] = {gpus, nics};

    r->ask.n = 0;
    assert_int_equal(node_view_finish(&r->node, &r->a), 0);
    for (uint32_t i = 0; i < 2; i++) {
        if (want[i])
            assert_int_equal(score_choice_init(&r->choices[r->ask.n++], &r->node, &r->resources[i],
                                               r->held, zones, want[i], &r->a),
                             0);
    }
}

static uint32_t value(const struct rig *r)
{
    uint32_t v = 7777;

    assert_true(score_devices(&v, &r->ask));
    return v;
}

static void a_choice_takes_the_zones_own_devices_first(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    take(&r, 1, 1, 2); /* one of the two GPUs of zone 0, both its NICs */
    assert_int_equal(r.choices[0].n_sure, 0);
    assert_int_equal(r.choices[0].pick, 1);
    assert_int_equal(r.choices[0].n_open, 2);
    assert_int_equal(r.choices[1].n_sure, 2);
    assert_int_equal(r.choices[1].n_open + r.choices[1].pick, 0);
    assert_int_equal(r.choices[1].sure[0], 4);
    cpuset_add(r.held, 0);
    r.devices[2].healthy = false;
    take(&r, 1, 2, 3); /* GPU 1 is left in zone 0, GPU 3 elsewhere; a third NIC of zone 1's two */
    assert_int_equal(r.choices[0].n_sure, 2);
    assert_int_equal(r.choices[0].sure[0], 1);
    assert_int_equal(r.choices[0].sure[1], 3);
    assert_int_equal(r.choices[0].pick, 0);
    assert_int_equal(r.choices[1].n_sure, 2);
    assert_int_equal(r.choices[1].n_open, 2);
    assert_int_equal(r.choices[1].pick, 1);
    take(&r, 0, 1, 0); /* no affinity: either of the two */
    assert_int_equal(r.choices[0].n_open, 2);
}

static void parts_are_worked_by_hand(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    r.cpu[0] = 8;
    take(&r, 1, 2, 2);
    /* cpu 1000; peers 1000 (direct); feed: each GPU its NIC below one switch 1000 */
    assert_int_equal(value(&r), 1000);
    r.cpu[1] = 8; /* half of the CPUs are a socket away: (1000 + 400) / 2 = 700 */
    assert_int_equal(value(&r), (700 + 1000 + 1000) / 3);
    r.cpu[0] = 0; /* all of them: 400 */
    assert_int_equal(value(&r), 800);
    r.cpu[1] = 0; /* nowhere: no such part */
    assert_int_equal(value(&r), 1000);
}

static void a_choice_is_worth_its_mean(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    take(&r, 1, 1, 1);
    /* feed: the NIC of the GPU's switch half of the time: (1000 + 800) / 2 */
    assert_int_equal(value(&r), 900);
    take(&r, 3, 2, 0);
    /* peers: of the 6 pairs of 4 GPUs two are linked, four are far: (2 * 1000 + 4 * 400) / 6 */
    assert_int_equal(value(&r), 600);
    take(&r, 3, 1, 2);
    /* The best of any two NICs for GPU 0: below its switch when NIC 0 is taken, 3 of 6 pairs; else
       its root when NIC 1 is taken, 2 of 6; else far. (3 * 1000 + 2 * 800 + 400) / 6 = 833.3 */
    assert_int_equal(value(&r), 833);
    r.ask.gpu_nic = SCORE_GPU_NIC_REQUIRE; /* far counts 0: 4600 / 6 = 766.7 */
    assert_int_equal(value(&r), 766);
    r.ask.gpu_nic = SCORE_GPU_NIC_NONE;
    uint32_t v;
    assert_false(score_devices(&v, &r.ask)); /* no CPUs, one GPU, and the NIC does not matter */
}

static void what_is_sure_and_what_is_open_mix(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    take(&r, 1, 3, 0); /* 0 and 1 are sure, one of 2 and 3 comes along */
    /* pairs: (0,1) direct; both to the third one far: (1000 + 400 + 400) / 3 */
    assert_int_equal(value(&r), 600);
    r.cpu[0] = 1;
    /* cpu: 1000, 1000, 400: 800; with peers 600: 700 */
    assert_int_equal(value(&r), 700);
}

static void the_nodes_own_nics_feed_who_asks_for_it(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    for (uint32_t i = 0; i < GPUS; i++)
        r.nics[i] = (struct node_nic){.zones = i < 2 ? 1 : 2, .place = (uint8_t)(i + 5)};
    r.node.nics = r.nics;
    r.node.n_nics = 2; /* of zone 0 */
    r.cpu[0] = 1;
    take(&r, 1, 1, 0);
    assert_int_equal(value(&r), 1000); /* cpu only: nobody asked */
    r.ask.gpu_nic = SCORE_GPU_NIC_PREFER;
    assert_int_equal(value(&r), 1000);
    take(&r, 2, 1, 0); /* cpu 400, feed 400 */
    assert_int_equal(value(&r), 400);
    assert_false(score_device_feed_possible(&r.ask));
    take(&r, 0, 1, 0); /* any GPU: cpu 700, feed (1000 + 1000 + 400 + 400) / 4 */
    assert_int_equal(value(&r), 700);
    assert_true(score_device_feed_possible(&r.ask));
    take(&r, 0, 3, 0);
    assert_false(score_device_feed_possible(&r.ask));
}

static void odds_go_through_what_the_plugin_may_do(void **state)
{
    struct score_device_odds o;
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    take(&r, 1, 1, 1);
    score_device_odds(&o, &r.ask);
    assert_true(o.exact && o.sure && o.possible);
    assert_int_equal(o.fed, 1000); /* root at worst */
    assert_int_equal(o.least, 800);
    assert_int_equal(o.most, 1000);
    take(&r, 3, 2, 2);
    score_device_odds(&o, &r.ask);
    /* 36 pairs of subsets. Both GPUs in one zone (2 of 6): fed when a NIC of that zone is taken,
       5 of 6 pairs of NICs. GPUs in both zones (4 of 6): a NIC of each, 4 of 6. (10 + 16) / 36. */
    assert_true(o.exact && !o.sure && o.possible);
    assert_int_equal(o.fed, 722);
    assert_int_equal(o.most, 1000); /* a linked pair, each with a NIC below its switch */
    /* GPUs of both zones are far, 400; both NICs in one zone: (1000 + 400) / 2 = 700 */
    assert_int_equal(o.least, 550);
}

static void the_best_case_is_found_without_going_through_all(void **state)
{
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    take(&r, 3, 3, 1); /* one NIC feeds the two GPUs of its root at most */
    assert_false(score_device_feed_possible(&r.ask));
    take(&r, 3, 3, 2);
    assert_true(score_device_feed_possible(&r.ask));
    take(&r, 1, 2, 1);
    assert_true(score_device_feed_possible(&r.ask));
    for (uint32_t d = GPUS; d < DEVICES; d++)
        r.devices[d].zones = d % GPUS < 2 ? 2 : 1;
    for (uint32_t d = 0; d < GPUS; d++)
        r.devices[d].kind = NODE_DEVICE_OTHER; /* PCI does not tell: nothing can be refused */
    assert_true(score_device_feed_possible(&r.ask));
}

/* A third choice, of which nothing is known: not every subset is gone through. */
static void what_is_sure_is_found_without_going_through_all(void **state)
{
    struct score_device_odds o;
    struct score_choice three[3];
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    for (int sure = 0; sure < 2; sure++) {
        take(&r, sure ? 1 : 3, 1, 1);
        memcpy(three, r.choices, sizeof(r.choices));
        three[2] = r.choices[1];
        r.ask.choices = three;
        r.ask.n = 3;
        score_device_odds(&o, &r.ask);
        assert_false(o.exact);
        assert_int_equal(o.sure, sure);
        assert_int_equal(o.fed, sure ? 1000 : 0);
        assert_true(o.possible);
        r.ask.choices = r.choices;
    }
}

static void expect_pair(const struct score_pair *p, uint32_t gpu, uint32_t taken,
                        enum topo_link link, uint32_t odds, const char *nics)
{
    char list[64] = "";

    for (uint32_t i = 0; i < p->n_nics; i++)
        (void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%.*s", i ? "," : "",
                       STR_ARG(p->nics[i]));
    assert_int_equal(p->gpu, gpu);
    assert_int_equal(p->taken, taken);
    assert_int_equal(p->link, link);
    assert_int_equal(p->odds, odds);
    assert_string_equal(list, nics);
}

static void pairs_are_told_with_their_odds(void **state)
{
    static const char *const names[] = {"g0", "g1", "g2", "g3", "n0", "n1", "n2", "n3"};
    struct score_device_tale t;
    CLEANUP(take_down) struct rig r;

    set_up(&r);
    for (uint32_t d = 0; d < DEVICES; d++)
        r.devices[d].id = str_of(names[d]);
    take(&r, 1, 3, 1); /* both GPUs of zone 0, one of zone 1; a NIC of zone 0 */
    assert_int_equal(score_device_tell(&t, &r.ask, &r.a), 0);
    assert_true(t.any && t.has_value && t.odds.exact);
    assert_int_equal(t.n_pairs, 4);
    expect_pair(&t.pairs[0], 0, 1000, TOPO_LINK_SWITCH, 500, "n0");
    expect_pair(&t.pairs[1], 1, 1000, TOPO_LINK_SWITCH, 500, "n1");
    expect_pair(&t.pairs[2], 2, 500, TOPO_LINK_FAR, 1000, "n0,n1");
    expect_pair(&t.pairs[3], 3, 500, TOPO_LINK_FAR, 1000, "n0,n1");
    assert_int_equal(t.odds.fed, 0); /* the third is far from every one */
    take(&r, 3, 1, 2);               /* any GPU, two NICs of four: 1 - C(3,2)/C(4,2) */
    assert_int_equal(score_device_tell(&t, &r.ask, &r.a), 0);
    expect_pair(&t.pairs[3], 3, 250, TOPO_LINK_SWITCH, 500, "n3");
    r.ask.gpu_nic = SCORE_GPU_NIC_NONE; /* nobody wants to know */
    assert_int_equal(score_device_tell(&t, &r.ask, &r.a), 0);
    assert_true(t.any && t.n_pairs == 0);
    /* no NIC of its own: the node's */
    r.nics[0] = (struct node_nic){.name = STR("eth0"), .place = 5};
    r.nics[1] = (struct node_nic){.name = STR("eth1"), .place = 7};
    r.node.nics = r.nics;
    r.node.n_nics = 2;
    r.ask.gpu_nic = SCORE_GPU_NIC_PREFER;
    take(&r, 1, 1, 0);
    assert_int_equal(score_device_tell(&t, &r.ask, &r.a), 0);
    assert_int_equal(t.n_pairs, 2);
    expect_pair(&t.pairs[0], 0, 500, TOPO_LINK_SWITCH, 1000, "eth0");
    expect_pair(&t.pairs[1], 1, 500, TOPO_LINK_ROOT, 1000, "eth0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_choice_takes_the_zones_own_devices_first),
        cmocka_unit_test(parts_are_worked_by_hand),
        cmocka_unit_test(a_choice_is_worth_its_mean),
        cmocka_unit_test(what_is_sure_and_what_is_open_mix),
        cmocka_unit_test(the_nodes_own_nics_feed_who_asks_for_it),
        cmocka_unit_test(odds_go_through_what_the_plugin_may_do),
        cmocka_unit_test(the_best_case_is_found_without_going_through_all),
        cmocka_unit_test(what_is_sure_is_found_without_going_through_all),
        cmocka_unit_test(pairs_are_told_with_their_odds),
    };

    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
