/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of every score term, whatever the machine. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/compute.h"
#include "scoring/devices.h"
#include "scoring/fragmentation.h"
#include "scoring/freshness.h"
#include "scoring/interference.h"
#include "scoring/locality.h"
#include "scoring/network.h"
#include "scoring/weigh.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 20000, MAX_ZONES = 8 };

/* A random order of 0..n-1. */
static void shuffle(uint64_t *seed, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t k = (uint32_t)test_random(seed, i), was = order[i - 1];

        order[i - 1] = order[k];
        order[k] = was;
    }
}

static void locality_keeps_its_bounds_and_ignores_numbering(void **state)
{
    uint64_t seed = test_seed(7);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES);
        uint32_t d[MAX_ZONES * MAX_ZONES], cpu[MAX_ZONES], mem[MAX_ZONES], order[MAX_ZONES];
        uint32_t d2[MAX_ZONES * MAX_ZONES], cpu2[MAX_ZONES], mem2[MAX_ZONES], far = 10;

        shuffle(&seed, order, n);
        for (uint32_t i = 0; i < n; i++) {
            cpu[i] = (uint32_t)test_random(&seed, 100) + (i == 0);
            mem[i] = (uint32_t)test_random(&seed, 1 << 20) + (i == 0);
            for (uint32_t k = 0; k < n; k++) {
                d[i * n + k] = i == k ? 10 : 10 + (uint32_t)test_random(&seed, 246);
                far = d[i * n + k] > far ? d[i * n + k] : far;
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            cpu2[order[i]] = cpu[i];
            mem2[order[i]] = mem[i];
            for (uint32_t k = 0; k < n; k++)
                d2[order[i] * n + order[k]] = d[i * n + k];
        }
        const uint32_t got = score_locality(&(struct topo_matrix){n, d},
                                            &(struct score_split){.cpu = cpu, .mem = mem});

        assert_in_range(got, 10000 / far, 1000);
        assert_int_equal(got, score_locality(&(struct topo_matrix){n, d2},
                                             &(struct score_split){.cpu = cpu2, .mem = mem2}));
    }
}

enum { RESOURCES = 4 /* columns that are used */ };

static void draw_zone(struct frag_zone *z, uint64_t *seed)
{
    *z = (struct frag_zone){.whole = {0}};
    for (uint32_t c = 0; c < RESOURCES; c++) {
        z->whole[c] = (uint32_t)test_random(seed, 65);
        z->before[c] = (uint32_t)test_random(seed, z->whole[c] + 1);
        z->after[c] = (uint32_t)test_random(seed, z->before[c] + 1);
    }
}

static void draw_demand(struct score_demand *d, uint64_t *seed)
{
    *d = (struct score_demand){.serial = 1, .n = (uint32_t)test_random(seed, DEMAND_KINDS + 1)};
    for (uint32_t m = 0; m < d->n; m++) {
        d->kinds[m].weight = 1u << test_random(seed, 6);
        d->kinds[m].alone = test_random(seed, 8) == 0;
        for (uint32_t c = 0; c < RESOURCES; c++) {
            if (test_random(seed, 2))
                demand_put(&d->kinds[m], c, 1 + (uint32_t)test_random(seed, 100));
        }
    }
}

/* What a zone holds of a kind, by taking one pod after the other out of it. */
static uint32_t slots_slowly(const struct demand_kind *k, const uint32_t *have,
                             const struct frag_zone *z, const struct frag_ask *ask)
{
    uint32_t zones = 1, n = 0, left[FRAG_COLUMNS];

    for (uint32_t i = 0; i < k->n; i++) {
        if (ask->unbound >> k->wants[i].column & 1)
            continue;
        while (zones <= ask->most_zones &&
               k->wants[i].amount > zones * z->whole[k->wants[i].column])
            zones++;
    }
    if (zones > ask->most_zones)
        return 0;
    if (k->alone)
        return memcmp(have, z->whole, sizeof(z->whole)) == 0;
    memcpy(left, have, sizeof(left));
    for (;; n++) {
        bool any = false;

        for (uint32_t i = 0; i < k->n; i++) {
            const uint32_t c = k->wants[i].column, part = (k->wants[i].amount + zones - 1) / zones;

            if (ask->unbound >> c & 1)
                continue;
            if (left[c] < part)
                return n;
            left[c] -= part;
            any = true;
        }
        if (!any)
            return 0;
    }
}

static double kept_slowly(const struct frag_ask *ask)
{
    double own = 0, lost = 0, weights = 0;

    for (uint32_t m = 0; m < ask->demand->n; m++)
        weights += ask->demand->kinds[m].weight;
    for (uint32_t i = 0; i < ask->n_zones; i++) {
        const struct frag_zone *const z = &ask->zones[i];
        double mine = 0;

        for (uint32_t c = 0; c < RESOURCES; c++) {
            if (z->whole[c])
                mine = fmax(mine, (double)(z->before[c] - z->after[c]) / z->whole[c]);
        }
        own += mine;
        for (uint32_t m = 0; m < ask->demand->n; m++) {
            const struct demand_kind *const k = &ask->demand->kinds[m];
            const uint32_t whole = slots_slowly(k, z->whole, z, ask);
            const double gone =
                slots_slowly(k, z->before, z, ask) - (double)slots_slowly(k, z->after, z, ask);

            lost += whole ? k->weight * fmin(gone / whole, 2 * mine) : 0;
        }
    }
    return own > 0 && weights > 0 ? 1000 - 500 * lost / (weights * own) : 1000;
}

/* Shares are in 1/65536, so that it is off by a little where a pod takes next to nothing. */
static void fragmentation_keeps_what_a_slow_count_says(void **state)
{
    uint64_t seed = test_seed(16);
    struct frag_zone zones[MAX_ZONES];
    struct score_demand d;

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, 4);
        const struct frag_ask ask = {.zones = zones,
                                     .n_zones = n,
                                     .columns = FRAG_ALL,
                                     .demand = &d,
                                     .unbound = (uint32_t)test_random(&seed, 1 << RESOURCES),
                                     .most_zones = 1 + (uint32_t)test_random(&seed, 4)};
        struct frag_answer got;

        for (uint32_t i = 0; i < n; i++)
            draw_zone(&zones[i], &seed);
        draw_demand(&d, &seed);
        score_fragmentation(&got, NULL, &ask);
        assert_in_range(got.value, 0, SCORE_MAX);
        assert_in_range(got.filled, 0, SCORE_MAX);
        assert_in_range(got.kept, 0, SCORE_MAX);
        assert_true(fabs(got.kept - kept_slowly(&ask)) <= 2);
    }
}

static void fragmentation_ignores_numbering(void **state)
{
    uint64_t seed = test_seed(8);
    struct frag_zone zones[MAX_ZONES], moved[MAX_ZONES];
    struct score_demand d;

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES);
        struct frag_ask ask = {
            .zones = zones, .n_zones = n, .columns = FRAG_ALL, .demand = &d, .most_zones = n};
        struct frag_slots here[DEMAND_KINDS], there[DEMAND_KINDS];
        uint32_t order[MAX_ZONES];
        struct frag_answer a, b;

        shuffle(&seed, order, n);
        for (uint32_t i = 0; i < n; i++) {
            draw_zone(&zones[i], &seed);
            moved[order[i]] = zones[i];
        }
        draw_demand(&d, &seed);
        score_fragmentation(&a, here, &ask);
        ask.zones = moved;
        score_fragmentation(&b, there, &ask);
        assert_memory_equal(&a, &b, sizeof(a));
        assert_memory_equal(here, there, d.n * sizeof(here[0]));
    }
}

/* Of two zones alike, what is taken costs less where less is free. */
static void filling_a_broken_zone_is_never_worse(void **state)
{
    uint64_t seed = test_seed(8);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t whole = 1 + (uint32_t)test_random(&seed, 64),
                       take = 1 + (uint32_t)test_random(&seed, whole);
        struct score_demand d = {.serial = 1, .n = 1, .kinds[0].weight = 1};
        uint32_t last = 0;

        demand_put(&d.kinds[0], DEMAND_CPUS, whole); /* all of it */
        for (uint32_t before = whole; before >= take; before--) {
            const struct frag_zone z = {
                .whole = {whole}, .before = {before}, .after = {before - take}};
            struct frag_answer got;

            score_fragmentation(
                &got, NULL,
                &(struct frag_ask){
                    .zones = &z, .n_zones = 1, .columns = FRAG_ALL, .demand = &d, .most_zones = 1});
            assert_in_range(got.value, last, SCORE_MAX);
            last = got.value;
        }
    }
}

static void freshness_never_rises_with_age_or_doubt(void **state)
{
    uint64_t seed = test_seed(9);

    for (int round = 0; round < ROUNDS; round++) {
        const int64_t max = (int64_t)test_random(&seed, 1000000), now = 5000000;
        const int64_t old = 1 + (int64_t)test_random(&seed, 4000000),
                      young = old + (int64_t)test_random(&seed, 1000000);
        const uint32_t assumed = (uint32_t)test_random(&seed, 64);
        const uint32_t a = score_freshness(now, old, max, assumed, false),
                       b = score_freshness(now, young, max, assumed, false);

        assert_in_range(a, 0, b);
        assert_in_range(b, 0, SCORE_MAX);
        assert_in_range(score_freshness(now, old, max, assumed | 1, true), 0, a);
    }
}

/* --- devices --- */

enum { MOST_GPUS = 6, MOST_NICS = 6, MOST_DEVICES = MOST_GPUS + MOST_NICS };

/* A random machine with GPUs and NICs; the order of zones and of devices is the caller's. */
struct rig {
    struct node_view node;
    struct topo_zone zones[MAX_ZONES];
    struct node_device devices[MOST_DEVICES];
    struct node_resource resources[2];
    struct node_nic nics[MOST_NICS];
    uint8_t links[MOST_DEVICES * MOST_DEVICES];
    uint32_t cpu[MAX_ZONES];
    struct score_choice choices[2];
    uint32_t lists[2][MOST_DEVICES];
    struct score_device_ask ask;
};

static enum topo_link random_link(uint64_t *seed)
{
    return (enum topo_link)(TOPO_LINK_DIRECT +
                            test_random(seed, TOPO_LINK_FAR - TOPO_LINK_DIRECT + 1));
}

static void fill_links(uint64_t *seed, struct rig *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k <= i; k++)
            r->links[i * n + k] = r->links[k * n + i] = (uint8_t)random_link(seed);
    }
}

/* Split the resource's devices at random; something is taken, not everything is open. */
static void choose(uint64_t *seed, struct rig *r, uint32_t which)
{
    const struct node_resource *const res = &r->resources[which];
    struct score_choice *const c = &r->choices[which];
    uint32_t order[MOST_DEVICES];

    shuffle(seed, order, res->n);
    for (uint32_t i = 0; i < res->n; i++)
        r->lists[which][i] = res->first + order[i];
    *c = (struct score_choice){.resource = res, .sure = r->lists[which]};
    c->n_sure = (uint32_t)test_random(seed, res->n + 1);
    c->open = r->lists[which] + c->n_sure;
    c->n_open = (uint32_t)test_random(seed, res->n - c->n_sure + 1);
    c->pick = c->n_open > 1 ? 1 + (uint32_t)test_random(seed, c->n_open - 1) : 0;
    if (c->pick == 0) {
        c->n_open = 0;
        c->n_sure += c->n_sure == 0;
    }
}

static void random_rig(uint64_t *seed, struct rig *r)
{
    const uint32_t zones = 1 + (uint32_t)test_random(seed, MAX_ZONES);
    const uint32_t gpus = 1 + (uint32_t)test_random(seed, MOST_GPUS),
                   nics = 1 + (uint32_t)test_random(seed, MOST_NICS), n = gpus + nics;

    memset(r, 0, sizeof(*r));
    for (uint32_t z = 0; z < zones; z++) {
        r->zones[z].socket = (uint16_t)test_random(seed, 3);
        r->cpu[z] = (uint32_t)test_random(seed, 9);
    }
    for (uint32_t d = 0; d < n; d++)
        r->devices[d] = (struct node_device){.zones = UINT64_C(1) << test_random(seed, zones),
                                             .healthy = true,
                                             .kind = d < gpus ? NODE_DEVICE_GPU : NODE_DEVICE_NIC,
                                             .place = test_random(seed, 8) ? (uint8_t)(d + 1) : 0};
    fill_links(seed, r, n);
    r->resources[0] = (struct node_resource){.first = 0, .n = gpus, .zones = 1};
    r->resources[1] = (struct node_resource){.first = gpus, .n = nics, .zones = 1};
    choose(seed, r, 0);
    choose(seed, r, 1);
    r->node = (struct node_view){.machine = {.n_zones = zones, .zones = r->zones},
                                 .devices = r->devices,
                                 .n_devices = n,
                                 .n_places = n,
                                 .links = r->links};
    r->ask = (struct score_device_ask){
        .node = &r->node,
        .cpu = r->cpu,
        .choices = r->choices,
        .n = 1 + (uint32_t)test_random(seed, 2),
        .gpu_nic = (enum score_gpu_nic)test_random(seed, SCORE_GPU_NIC_NONE + 1)};
}

/* The same machine with zones and devices in another order. */
static void renumber(uint64_t *seed, struct rig *to, const struct rig *from)
{
    const uint32_t n = from->node.n_devices, zones = from->node.machine.n_zones;
    uint32_t zone[MAX_ZONES], place[MOST_DEVICES], device[MOST_DEVICES];

    *to = *from;
    shuffle(seed, zone, zones);
    shuffle(seed, place, n);
    for (uint32_t i = 0; i < 2; i++) { /* devices stay inside their resource */
        const struct node_resource *const r = &from->resources[i];

        shuffle(seed, device + r->first, r->n);
        for (uint32_t d = r->first; d < r->first + r->n; d++)
            device[d] += r->first;
    }
    for (uint32_t z = 0; z < zones; z++) {
        to->zones[zone[z]] = from->zones[z];
        to->cpu[zone[z]] = from->cpu[z];
    }
    for (uint32_t d = 0; d < n; d++) {
        struct node_device *const at = &to->devices[device[d]];

        *at = from->devices[d];
        at->zones = UINT64_C(1) << zone[__builtin_ctzll(from->devices[d].zones)];
        at->place = at->place ? (uint8_t)(place[at->place - 1] + 1) : 0;
        for (uint32_t e = 0; e < n; e++)
            to->links[place[d] * n + place[e]] = from->links[d * n + e];
    }
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < from->resources[i].n; k++)
            to->lists[i][k] = device[from->lists[i][k]];
        to->choices[i].resource = &to->resources[i];
        to->choices[i].sure = to->lists[i];
        to->choices[i].open = to->lists[i] + to->choices[i].n_sure;
    }
    to->node.machine.zones = to->zones;
    to->node.devices = to->devices;
    to->node.links = to->links;
    to->ask.node = &to->node;
    to->ask.cpu = to->cpu;
    to->ask.choices = to->choices;
}

static void devices_keep_their_bounds_and_ignore_numbering(void **state)
{
    uint64_t seed = test_seed(11);

    for (int round = 0; round < ROUNDS; round++) {
        struct rig r, other;
        uint32_t got = 0, again = 0;

        random_rig(&seed, &r);
        renumber(&seed, &other, &r);
        assert_int_equal(score_devices(&got, &r.ask), score_devices(&again, &other.ask));
        assert_in_range(got, 0, SCORE_MAX);
        assert_int_equal(got, again);
    }
}

/* Is bit i of `subset` among what is taken? */
static struct score_choice made(const struct score_choice *c, uint32_t subset, uint32_t *room)
{
    struct score_choice out = {.resource = c->resource, .sure = room, .n_sure = c->n_sure};

    memcpy(room, c->sure, c->n_sure * sizeof(*room));
    for (uint32_t i = 0; i < c->n_open; i++) {
        if (subset >> i & 1)
            room[out.n_sure++] = c->open[i];
    }
    return out;
}

static bool is_subset(const struct score_choice *c, uint32_t subset)
{
    return (uint32_t)__builtin_popcount(subset) == c->pick;
}

/* Every subset one by one: each mean is rounded down, so the mean of means may be a little less. */
static void the_expected_value_is_the_mean_over_all_choices(void **state)
{
    uint64_t seed = test_seed(12);

    for (int round = 0; round < ROUNDS / 20; round++) {
        uint64_t sum = 0, n = 0;
        uint32_t expected, least = SCORE_MAX, most = 0, room[2][MOST_DEVICES];
        struct score_device_odds odds;
        struct rig r;

        random_rig(&seed, &r);
        struct score_device_ask one = r.ask;
        struct score_choice choices[2];
        one.choices = choices;
        if (!score_devices(&expected, &r.ask))
            continue;
        for (uint32_t a = 0; a < 1u << r.choices[0].n_open; a++) {
            for (uint32_t b = 0; b < 1u << r.choices[1].n_open; b++) {
                uint32_t value = 0;

                if (!is_subset(&r.choices[0], a) || !is_subset(&r.choices[1], b))
                    continue;
                choices[0] = made(&r.choices[0], a, room[0]);
                choices[1] = made(&r.choices[1], b, room[1]);
                assert_true(score_devices(&value, &one));
                sum += value;
                least = value < least ? value : least;
                most = value > most ? value : most;
                n++;
            }
        }
        assert_in_range(expected, sum / n - (sum / n > 3 ? 3 : sum / n), sum / n + 3);
        score_device_odds(&odds, &r.ask);
        assert_true(odds.exact);
        assert_int_equal(odds.least, least);
        assert_int_equal(odds.most, most);
        assert_true(odds.least <= expected + 3 && expected <= odds.most + 3);
    }
}

/* Roots are an equivalence, as on real machines: then the best case is exact. */
static void the_best_case_is_what_going_through_all_finds(void **state)
{
    uint64_t seed = test_seed(13);
    uint32_t yes = 0, no = 0;

    for (int round = 0; round < ROUNDS / 20; round++) {
        struct score_device_odds odds;
        uint32_t root[MOST_DEVICES];
        struct rig r;

        random_rig(&seed, &r);
        for (uint32_t d = 0; d < r.node.n_devices; d++) {
            root[d] = (uint32_t)test_random(&seed, 4);
            r.devices[d].place = (uint8_t)(d + 1);
        }
        for (uint32_t d = 0; d < r.node.n_devices; d++) {
            for (uint32_t e = 0; e < r.node.n_devices; e++)
                r.links[d * r.node.n_devices + e] =
                    root[d] == root[e] ? TOPO_LINK_ROOT : TOPO_LINK_FAR;
        }
        score_device_odds(&odds, &r.ask);
        assert_int_equal(score_device_feed_possible(&r.ask), odds.possible);
        yes += odds.possible;
        no += !odds.possible;
    }
    assert_true(yes > 100 && no > 100);
}

/* --- load --- */

static void load_keeps_its_bounds_and_ignores_numbering(void **state)
{
    uint64_t seed = test_seed(14);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES), ports = 4;
        struct topo_zone zones[MAX_ZONES] = {0}, zones2[MAX_ZONES] = {0};
        struct node_nic nics[4] = {0}, nics2[4] = {0};
        uint32_t cpu[MAX_ZONES], cpu2[MAX_ZONES], zone[MAX_ZONES], port[4], got = 0, again = 0;
        uint16_t pressure[MAX_ZONES], pressure2[MAX_ZONES];
        const uint64_t need[] = {test_random(&seed, 100), test_random(&seed, 100)};

        shuffle(&seed, zone, n);
        shuffle(&seed, port, ports);
        for (uint32_t z = 0; z < n; z++) {
            zones[z].socket = zones2[zone[z]].socket = (uint16_t)test_random(&seed, 3);
            cpu[z] = cpu2[zone[z]] = (uint32_t)test_random(&seed, 65);
            pressure[z] = pressure2[zone[z]] = (uint16_t)test_random(&seed, 1001);
        }
        for (uint32_t i = 0; i < ports; i++) {
            const uint32_t at = (uint32_t)test_random(&seed, n);

            nics[i] = (struct node_nic){.capacity = test_random(&seed, 3) * 100,
                                        .zones = UINT64_C(1) << at,
                                        .measured = test_random(&seed, 200),
                                        .has_measured = test_random(&seed, 2),
                                        .is_handed_out = test_random(&seed, 3) == 0};
            nics2[port[i]] = nics[i];
            nics2[port[i]].zones = UINT64_C(1) << zone[at];
        }
        struct node_view v = {.machine = {.n_zones = n, .zones = zones},
                              .n_nics = ports,
                              .nics = nics,
                              .network_shared = {test_random(&seed, 300), 7}};
        struct node_view v2 = v;
        v2.machine.zones = zones2;
        v2.nics = nics2;
        assert_int_equal(score_network_shared(&got, &v, cpu, need),
                         score_network_shared(&again, &v2, cpu2, need));
        assert_in_range(got, 0, SCORE_MAX);
        assert_int_equal(got, again);
        got = score_interference(cpu, pressure, n);
        assert_in_range(got, 0, SCORE_MAX);
        assert_int_equal(got, score_interference(cpu2, pressure2, n));
    }
}

static void compute_never_rises_with_load(void **state)
{
    uint64_t seed = test_seed(15);

    for (int round = 0; round < ROUNDS; round++) {
        struct score_compute c = {.has_utilization = test_random(&seed, 2),
                                  .utilization = (uint32_t)test_random(&seed, 1200),
                                  .has_queue = test_random(&seed, 2),
                                  .queue = (uint32_t)test_random(&seed, 100)};
        uint32_t got = 0, busier = 0;

        const bool known = score_compute(&got, &c);
        c.utilization += 10;
        c.queue++;
        assert_int_equal(score_compute(&busier, &c), known);
        assert_in_range(got, 0, SCORE_MAX);
        assert_in_range(busier, 0, got);
    }
}

static void measured_distances_ignore_numbering(void **state)
{
    uint64_t seed = test_seed(16);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_ZONES);
        struct topo_zone zones[MAX_ZONES] = {0}, zones2[MAX_ZONES] = {0};
        uint32_t d[MAX_ZONES * MAX_ZONES], d2[MAX_ZONES * MAX_ZONES], order[MAX_ZONES],
            got[MAX_ZONES * MAX_ZONES], again[MAX_ZONES * MAX_ZONES];
        uint64_t cpus = 1, cpus2 = 0;

        shuffle(&seed, order, n);
        for (uint32_t i = 0; i < n; i++) {
            zones[i].memory_bytes = 1;
            zones[i].read_latency_ns = (uint32_t)test_random(&seed, 400) + (round % 8 > 0);
            zones[i].read_bandwidth_mbs = (uint32_t)test_random(&seed, 200000) + (round % 8 > 1);
            zones2[order[i]] = zones[i];
            cpus |= test_random(&seed, 2) << i;
            for (uint32_t k = 0; k < n; k++)
                d2[order[i] * n + order[k]] = d[i * n + k] =
                    i == k ? 10 : 10 + (uint32_t)test_random(&seed, 246);
        }
        for (uint32_t i = 0; i < n; i++)
            cpus2 |= (cpus >> i & 1) << order[i];
        assert_int_equal(
            score_access(got,
                         &(struct topo_machine){.n_zones = n, .zones = zones, .distances = {n, d}},
                         cpus),
            score_access(
                again, &(struct topo_machine){.n_zones = n, .zones = zones2, .distances = {n, d2}},
                cpus2));
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t k = 0; k < n; k++) {
                assert_in_range(got[i * n + k], 10, 255);
                assert_int_equal(got[i * n + k], again[order[i] * n + order[k]]);
            }
        }
    }
}

static void a_weighed_score_lies_between_its_terms(void **state)
{
    uint64_t seed = test_seed(10);

    for (int round = 0; round < ROUNDS; round++) {
        struct score_weights w;
        uint16_t term[SCORE_TERM_COUNT];
        const uint32_t any = (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT),
                       known = any & (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT);
        uint32_t low = SCORE_MAX, high = 0;

        for (int t = 0; t < SCORE_TERM_COUNT; t++) {
            w.w[t] = (uint16_t)test_random(&seed, 101);
            term[t] = (uint16_t)test_random(&seed, SCORE_MAX + 1);
            const uint32_t counts = known >> t & 1 ? term[t] : SCORE_NEUTRAL;
            if (any >> t & 1) {
                low = counts < low ? counts : low;
                high = counts > high ? counts : high;
            }
        }
        if (low > SCORE_NEUTRAL || any == 0)
            low = SCORE_NEUTRAL; /* all weights may be 0 */
        if (high < SCORE_NEUTRAL)
            high = SCORE_NEUTRAL;
        assert_in_range(score_weigh(&w, term, known, any), low, high);
    }
}

/* 1000 - 500 * age / max by plain division, from microseconds to years, also where it comes out
 * even. */
static void freshness_divides_as_division_does(void **state)
{
    uint64_t seed = test_seed(12);

    for (int round = 0; round < ROUNDS; round++) {
        const int64_t unit = (int64_t)1 << test_random(&seed, 40);
        const int64_t max = unit * (1 + (int64_t)test_random(&seed, 8000)),
                      age = test_random(&seed, 2) ? max / 500 * (int64_t)test_random(&seed, 501)
                                                  : (int64_t)test_random(&seed, (uint64_t)max + 1);

        assert_int_equal(score_freshness(1 + age, 1, max, 0, false), 1000 - age * 500 / max);
    }
}

/* The plain division, with weights as large as they can be. */
static void a_scale_divides_as_division_does(void **state)
{
    uint64_t seed = test_seed(11);

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t any = (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT),
                       known = any & (uint32_t)test_random(&seed, 1 << SCORE_TERM_COUNT);
        const uint64_t most = test_random(&seed, 2) ? 65536 : 4;
        uint32_t sum = 0, with_missing = 0, total = 0;
        struct score_weights w;
        struct score_scale scale;

        for (int t = 0; t < SCORE_TERM_COUNT; t++) {
            w.w[t] = (uint16_t)test_random(&seed, most);
            const uint32_t term = (uint32_t)test_random(&seed, SCORE_MAX + 1);
            sum += known >> t & 1 ? w.w[t] * term : 0;
            with_missing += any >> t & 1 ? w.w[t] * (known >> t & 1 ? term : SCORE_NEUTRAL) : 0;
            total += any >> t & 1 ? w.w[t] : 0;
        }
        score_scale_init(&scale, &w, any);
        assert_int_equal(score_scale(&scale, sum, known),
                         total ? with_missing / total : SCORE_NEUTRAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locality_keeps_its_bounds_and_ignores_numbering),
        cmocka_unit_test(fragmentation_keeps_what_a_slow_count_says),
        cmocka_unit_test(fragmentation_ignores_numbering),
        cmocka_unit_test(filling_a_broken_zone_is_never_worse),
        cmocka_unit_test(freshness_never_rises_with_age_or_doubt),
        cmocka_unit_test(devices_keep_their_bounds_and_ignore_numbering),
        cmocka_unit_test(the_expected_value_is_the_mean_over_all_choices),
        cmocka_unit_test(the_best_case_is_what_going_through_all_finds),
        cmocka_unit_test(load_keeps_its_bounds_and_ignores_numbering),
        cmocka_unit_test(compute_never_rises_with_load),
        cmocka_unit_test(measured_distances_ignore_numbering),
        cmocka_unit_test(a_weighed_score_lies_between_its_terms),
        cmocka_unit_test(a_scale_divides_as_division_does),
        cmocka_unit_test(freshness_divides_as_division_does),
    };

    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
