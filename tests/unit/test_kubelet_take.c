/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs the static CPU manager picks, on machines small enough to do on paper. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_take.h"
#include "tests/support/test.h"
#include "topology/cpuset.h"

enum { CPUS = 64, ROOM = 1 << 16 };

struct fixture {
    struct arena a;
    struct node_view v;
    struct topo_cpu cpus[CPUS];
    struct topo_zone zones[12];
    struct kubelet_take take;
    uint64_t reserved[1];
    _Alignas(max_align_t) char room[ROOM];
};

/* A machine of no CPU yet. */
static void blank(struct fixture *f, uint32_t zones, uint32_t options)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->a, f->room, ROOM);
    f->v.machine = (struct topo_machine){.n_zones = zones, .zones = f->zones, .cpus = f->cpus};
    f->v.cpu_reserved = f->reserved;
    f->v.kubelet = (struct kubelet_config){.cpu_static = true, .cpu_options = options};
}

static void put(struct fixture *f, uint32_t cpu, struct topo_cpu what)
{
    while (f->v.machine.n_cpus < cpu)
        f->cpus[f->v.machine.n_cpus++] = (struct topo_cpu){TOPO_NONE, 0, 0, 0};
    f->cpus[cpu] = what;
    f->v.machine.n_cpus = cpu + 1 > f->v.machine.n_cpus ? cpu + 1 : f->v.machine.n_cpus;
}

static void ready(struct fixture *f)
{
    f->v.cpu_words = cpuset_words(f->v.machine.n_cpus);
    assert_int_equal(node_view_complete(&f->v, &f->a), 0);
    struct arena_parts parts = arena_parts(&f->a);
    kubelet_take_init(&f->take, &f->v, &parts);
    assert_int_equal(arena_seal(&parts), 0);
}

/*
 * A regular machine: cores 0.. in the order of zones, their second threads after all first ones,
 * `per_socket` zones a socket, an L3 group every `l3` cores.
 */
static void regular(struct fixture *f, uint32_t zones, uint32_t per_socket, uint32_t cores,
                    uint32_t threads, uint32_t l3, uint32_t options)
{
    const uint32_t all = zones * cores;

    blank(f, zones, options);
    for (uint32_t c = 0; c < all * threads; c++) {
        const uint16_t core = (uint16_t)(c % all), zone = (uint16_t)(core / cores);

        put(f, c,
            (struct topo_cpu){zone, (uint16_t)(zone / per_socket), core, (uint16_t)(core / l3)});
    }
    ready(f);
}

static void end(struct fixture *f)
{
    arena_rewind(&f->a, 0);
}

/* Take `count` of the CPUs in the list `free`: those in the list `want`, or NULL for a refusal. */
static void expect(struct fixture *f, const char *free, uint32_t count, const char *want)
{
    uint64_t available[1], into[1] = {UINT64_C(1) << 63};
    struct buf got = {0};

    assert_int_equal(cpuset_parse(available, 1, str_of(free), NULL), 0);
    if (!want) {
        assert_int_equal(kubelet_take_cpus(&f->take, available, count, into), KUBELET_TAKE_TOO_FEW);
        assert_true(into[0] == UINT64_C(1) << 63); /* untouched */
        return;
    }
    assert_int_equal(kubelet_take_cpus(&f->take, available, count, into), KUBELET_TAKEN);
    assert_true(into[0] >> 63); /* what was there stays */
    into[0] &= ~(UINT64_C(1) << 63);
    cpuset_format(&got, into, 1);
    buf_text(&got, "");
    assert_string_equal(got.p, want);
    buf_free(&got);
}

/* Two sockets, a zone each: cores 0-3 (siblings 8-11) and 4-7 (12-15). */
static void packed_takes_whole_zones_then_cores_then_threads(void **state)
{
    static struct fixture f;

    regular(&f, 2, 1, 4, 2, 4, 0);
    expect(&f, "0-15", 8, "0-3,8-11");
    expect(&f, "1-15", 8, "4-7,12-15"); /* the whole one, not the first one */
    expect(&f, "0-15", 2, "0,8");
    expect(&f, "0-15", 3, "0-1,8"); /* a core, then the first thread of the next */
    expect(&f, "0-15", 9, "0-4,8-11");
    expect(&f, "0-15", 16, "0-15");
    end(&f);
}

static void packed_fills_what_is_broken_first(void **state)
{
    static struct fixture f;

    regular(&f, 2, 1, 4, 2, 4, 0);
    expect(&f, "0-8,10-15", 1, "1");        /* the other thread of 9 */
    expect(&f, "0-11,13-15", 1, "4");       /* the fuller zone before the emptier, lower one */
    expect(&f, "0-11,13-15", 2, "5,13");    /* whole cores there before its half one */
    expect(&f, "1,4,10", 2, "1,4");         /* zone 1 has one free, zone 0 two */
    expect(&f, "0-3,8-11,15", 3, "0,8,15"); /* the core is in zone 0, the single thread is not */
    end(&f);
}

static void too_few_are_refused_and_none_is_no_choice(void **state)
{
    static struct fixture f;

    regular(&f, 2, 1, 4, 2, 4, 0);
    expect(&f, "0-15", 17, NULL);
    expect(&f, "3", 2, NULL);
    expect(&f, "", 1, NULL);
    expect(&f, "", 0, "");
    expect(&f, "3", 1, "3");
    end(&f);
}

/* Two sockets of two zones of two cores: a socket is the larger unit. */
static void sockets_go_first_where_they_hold_several_zones(void **state)
{
    static struct fixture f;

    regular(&f, 4, 2, 2, 1, 2, 0);
    expect(&f, "0-7", 4, "0-3");
    expect(&f, "1-7", 4, "4-7");
    expect(&f, "1-7", 2, "2-3"); /* the whole zone of the fuller socket */
    expect(&f, "1-7", 3, "1-3"); /* then what is left of that socket */
    expect(&f, "0-7", 6, "0-5");
    expect(&f, "0,2,4-7", 1, "0");
    end(&f);
}

/* One zone of two sockets: the zone is the larger unit, a socket the next. */
static void zones_go_first_where_they_hold_several_sockets(void **state)
{
    static struct fixture f;

    blank(&f, 1, 0);
    for (uint16_t c = 0; c < 4; c++)
        put(&f, c, (struct topo_cpu){0, c / 2, c, 0});
    ready(&f);
    expect(&f, "0-3", 4, "0-3");
    expect(&f, "1-3", 2, "2-3");
    expect(&f, "1-3", 1, "1");
    end(&f);
}

/* One zone, L3 groups of cores 0, 1 (with 4, 5) and 2, 3 (with 6, 7). */
static void l3_groups_are_taken_whole_or_exactly(void **state)
{
    static struct fixture f;

    regular(&f, 1, 1, 4, 2, 2, KUBELET_ALIGN_BY_UNCORECACHE);
    expect(&f, "1-7", 4, "2-3,6-7"); /* the whole group, not the fuller one */
    expect(&f, "0-7", 2, "0,4");
    /* one core's worth of the first group is thread 4 alone: not exact, so the next group */
    expect(&f, "1-7", 2, "2,6");
    expect(&f, "0-7", 6, "0-2,4-6");
    expect(&f, "1-3,6-7", 6, NULL);
    end(&f);
}

static void an_odd_need_drops_one_thread_of_a_group(void **state)
{
    static struct fixture f;

    regular(&f, 1, 1, 4, 2, 2, KUBELET_ALIGN_BY_UNCORECACHE);
    expect(&f, "0-7", 3, "0-1,4"); /* cores 0 and 1 less the last, 5 */
    expect(&f, "1-7", 3, "1,4-5"); /* three as they are */
    /* Group 0 offers 1 and 4 for 3: no; group 1 offers all four, less 7. */
    expect(&f, "1-4,6-7", 3, "2-3,6");
    /* one: the lowest core of the fuller group has one thread */
    expect(&f, "1-7", 1, "4");
    end(&f);
}

static void without_threads_nothing_is_dropped(void **state)
{
    static struct fixture f;

    regular(&f, 1, 1, 4, 1, 2, KUBELET_ALIGN_BY_UNCORECACHE);
    expect(&f, "1-3", 1, "1");
    expect(&f, "1-3", 2, "2-3");
    expect(&f, "1-3", 3, "1-3");
    end(&f);
}

/* Two sockets of two zones of one group each: groups in the order of zones, and those of sockets.
 */
static void l3_groups_follow_their_zones(void **state)
{
    static struct fixture f;

    regular(&f, 4, 2, 2, 1, 2, KUBELET_ALIGN_BY_UNCORECACHE);
    expect(&f, "0-5,7", 1, "7"); /* socket 1 is fuller, and in it zone 3 */
    expect(&f, "0-4,7", 1, "4"); /* zones 2 and 3 have one each */
    end(&f);
}

static void spread_over_cores_takes_first_threads(void **state)
{
    static struct fixture f;

    regular(&f, 1, 1, 4, 2, 4, KUBELET_DISTRIBUTE_ACROSS_CORES);
    expect(&f, "0-7", 3, "0-2");
    expect(&f, "1,4-7", 2, "1,4");
    expect(&f, "0-7", 8, "0-7");
    end(&f);
}

/* A socket of 3 and one of 5 CPUs: "whole" is the average, 4. */
static void uneven_sockets_are_whole_at_the_average(void **state)
{
    static struct fixture f;

    blank(&f, 1, 0);
    for (uint16_t c = 0; c < 8; c++)
        put(&f, c, (struct topo_cpu){0, c > 2, c, 0});
    ready(&f);
    expect(&f, "0-6", 5, "3-7"); /* 7 is somebody else's: the kubelet takes it all the same */
    expect(&f, "0-2,7", 3, "0-1,7");
    end(&f);
}

/* Cores {0,1} and {2,3} with two threads, {4} and {5} with one: "whole" is one. */
static void uneven_cores_are_whole_at_the_average(void **state)
{
    static struct fixture f;

    blank(&f, 1, 0);
    for (uint16_t c = 0; c < 6; c++)
        put(&f, c, (struct topo_cpu){0, 0, c < 4 ? c / 2 * 2 : c, 0});
    ready(&f);
    expect(&f, "0,2-5", 2, "0-1"); /* 1 is somebody else's */
    expect(&f, "0,2-5", 1, "4");   /* core 0 is larger than one */
    end(&f);
}

static void distributed_takes_even_shares(void **state)
{
    static struct fixture f;

    regular(&f, 2, 1, 4, 1, 4, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    expect(&f, "0-7", 4, "0-3"); /* one zone is enough */
    expect(&f, "0-7", 6, "0-2,4-6");
    expect(&f, "0-7", 5, "0-2,4-5"); /* the odd one from the first */
    expect(&f, "0-7", 8, "0-7");
    expect(&f, "0-7", 9, NULL);
    expect(&f, "0-7", 0, "");
    expect(&f, "0-3,4", 5, "0-4"); /* no even shares: packed */
    end(&f);
}

static void distributed_balances_what_is_left(void **state)
{
    static struct fixture f;

    /* Zones of 4 with 4, 2, 4 free. Five: two of the outer zones each leaves {2,2,2}, and the odd
       one {1,2,2}; every pair with the middle zone is worse. */
    regular(&f, 3, 1, 4, 1, 4, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    expect(&f, "0-5,8-11", 5, "0-2,8-9");
    expect(&f, "0-5,8-11", 4, "0-3");
    expect(&f, "0-11", 10, "0-6,8-10");
    end(&f);
}

/* Zones of 2 and 6 CPUs hold 4 on average: five are never looked for in one zone. */
static void distributed_thinks_zones_are_even(void **state)
{
    static struct fixture f;

    blank(&f, 2, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    for (uint16_t c = 0; c < 8; c++)
        put(&f, c, (struct topo_cpu){c > 1, c > 1, c, c > 1});
    ready(&f);
    expect(&f, "0-7", 5, "0-4"); /* two each, the odd one where there is room */
    expect(&f, "0-7", 4, "2-5");
    end(&f);
}

/* Zones of 5 and 4 CPUs hold 4.5 on average, rounded up 5: so many are looked for in one zone. */
static void distributed_rounds_the_size_of_a_zone_up(void **state)
{
    static struct fixture f;

    blank(&f, 2, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    for (uint16_t c = 0; c < 9; c++)
        put(&f, c, (struct topo_cpu){c > 4, c > 4, c, c > 4});
    ready(&f);
    expect(&f, "0-8", 5, "0-4");
    end(&f);
}

static void distributed_moves_whole_cores_when_told(void **state)
{
    static struct fixture f;

    regular(&f, 2, 1, 2, 2, 2, KUBELET_DISTRIBUTE_ACROSS_NUMA | KUBELET_FULL_PCPUS_ONLY);
    expect(&f, "0-7", 6, "0-2,4-6"); /* a core each and the odd core from the first zone */
    expect(&f, "0-7", 5, "0-2,4-5"); /* not whole cores: packed */
    expect(&f, "0-7", 8, "0-7");
    end(&f);
}

/*
 * Six zones of 4. Four of them at 4 each: {0,1,2,3} is the first of equals, but its list lives in
 * an array that {0,1,2,5} was written into last (corrections.md of the recorded vectors, row 11).
 */
static void four_of_six_zones_are_not_those_that_were_best(void **state)
{
    static struct fixture f;

    regular(&f, 6, 1, 4, 1, 4, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    expect(&f, "0-23", 16, "0-11,20-23");
    /* 3 each, and the odd one still from the best that was found */
    expect(&f, "0-23", 13, "0-6,8-10,20-22");
    expect(&f, "0-23", 12, "0-11"); /* three, two and five are not affected */
    expect(&f, "0-23", 8, "0-7");
    expect(&f, "0-23", 20, "0-19");
    expect(&f, "0-23", 24, "0-23");
    end(&f);
}

static enum kubelet_taken take(struct fixture *f, const char *free, uint32_t count)
{
    uint64_t available[1], into[1] = {0};

    assert_int_equal(cpuset_parse(available, 1, str_of(free), NULL), 0);
    const enum kubelet_taken taken = kubelet_take_cpus(&f->take, available, count, into);
    assert_true(taken == KUBELET_TAKEN || into[0] == 0);
    return taken;
}

/*
 * Three zones of 3 and five of 2 in another socket, and zone 0 alone in a third with 4: only zones
 * 0 to 3 can give 3 each. The list that was stored ends with zone 8 when it is used, where there
 * are 2: nothing is taken there.
 */
static void an_overwritten_choice_may_not_come_out_even(void **state)
{
    static const uint32_t zones[][2] = {{0, 4}, {1, 3}, {1, 3}, {1, 3}, {2, 2},
                                        {2, 2}, {2, 2}, {2, 2}, {2, 2}}; /* socket, CPUs */
    static struct fixture f;
    uint32_t cpu = 0;

    blank(&f, 9, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    for (uint16_t z = 0; z < 9; z++) {
        for (uint32_t i = 0; i < zones[z][1]; i++, cpu++)
            put(&f, cpu, (struct topo_cpu){z, (uint16_t)zones[z][0], (uint16_t)cpu, z});
    }
    ready(&f);
    assert_int_equal(take(&f, "0-22", 12), KUBELET_TAKE_UNEVEN);
    assert_int_equal(f.take.remaining, 3);
    end(&f);
}

/*
 * Whole cores over zones with 5, 5, 4 and 2 CPUs free: 14 are 2 in each zone and 6 more. Zones 0
 * and 1 have 6 left between them, but only one core each: dealing three cores there never ends.
 */
static void half_cores_are_dealt_for_ever(void **state)
{
    static struct fixture f;

    regular(&f, 4, 1, 3, 2, 3, KUBELET_DISTRIBUTE_ACROSS_NUMA | KUBELET_FULL_PCPUS_ONLY);
    assert_int_equal(take(&f, "1-2,4-5,7-8,11-17,19-20,23", 14), KUBELET_TAKE_ENDLESS);
    expect(&f, "1-2,4-5,7-8,11-17,19-20,23", 4, "1-2,13-14");
    end(&f);
}

/* 12 zones in 2 sockets of which each has a CPU in every zone: too many ways to choose 8 of 24. */
static void more_choices_than_are_tried_are_no_choice(void **state)
{
    static struct fixture f;

    blank(&f, 12, KUBELET_DISTRIBUTE_ACROSS_NUMA);
    for (uint16_t c = 0; c < 24; c++)
        put(&f, c, (struct topo_cpu){c / 2, c % 2, c, c / 2});
    ready(&f);
    assert_int_equal(take(&f, "0-23", 23), KUBELET_TAKE_TOO_MANY);
    end(&f);
}

/* Zones are units, too: five of them and two CPUs. */
static void there_may_be_more_zones_than_cpus(void **state)
{
    static struct fixture f;

    blank(&f, 5, 0);
    put(&f, 0, (struct topo_cpu){3, 0, 0, 0});
    put(&f, 1, (struct topo_cpu){4, 1, 1, 1});
    ready(&f);
    expect(&f, "0-1", 1, "0");
    expect(&f, "1", 1, "1");
    expect(&f, "0-1", 2, "0-1");
    end(&f);
}

/*
 * Two zones that both sockets have CPUs in: 0, 1, 4, 7 and 2, 3, 5, 6; socket 0 has 1, 3, 4, 7. The
 * kubelet deals out the sockets of zone 0, then those of zone 1, and counts again what it has.
 */
static void a_socket_of_two_zones_is_dealt_out_twice(void **state)
{
    static const uint16_t zone[] = {0, 0, 1, 1, 0, 1, 1, 0}, socket[] = {1, 0, 1, 0, 0, 1, 1, 0};
    static struct fixture f;

    blank(&f, 2, KUBELET_DISTRIBUTE_ACROSS_CORES);
    for (uint16_t c = 0; c < ARRAY_LEN(zone); c++)
        put(&f, c, (struct topo_cpu){zone[c], socket[c], c, 0});
    ready(&f);
    /* zone 0 has fewer: socket 0 with 1 and 3, in zone 1 socket 0 again, then 2 of socket 1 */
    expect(&f, "1-3,5", 2, "1,3");
    expect(&f, "1-3,5", 3, "1,3"); /* one of them counted twice */
    expect(&f, "1-3,5", 4, "1,3");
    end(&f);
}

static void reserved_cpus_are_chosen_as_any_others(void **state)
{
    static struct fixture f;
    uint64_t out[1] = {0};

    regular(&f, 2, 1, 4, 2, 4, 0);
    assert_int_equal(kubelet_choose_reserved(out, &f.v, 3, &f.a), 0);
    assert_int_equal(out[0], 1 << 0 | 1 << 1 | 1 << 8);
    assert_int_equal(kubelet_choose_reserved(out, &f.v, 17, &f.a), -ENOENT);
    end(&f);
}

static void absent_cpus_are_not_reserved(void **state)
{
    static struct fixture f;
    uint64_t out[1] = {0};

    blank(&f, 1, 0);
    put(&f, 2, (struct topo_cpu){0, 0, 2, 0});
    put(&f, 5, (struct topo_cpu){0, 0, 5, 0});
    ready(&f);
    assert_int_equal(kubelet_choose_reserved(out, &f.v, 2, &f.a), 0);
    assert_int_equal(out[0], 1 << 2 | 1 << 5);
    assert_int_equal(kubelet_choose_reserved(out, &f.v, 3, &f.a), -ENOENT);
    end(&f);
}

static void a_choice_needs_room_or_says_so(void **state)
{
    static struct fixture f;
    static _Alignas(max_align_t) char room[4096];
    bool fitted = false;

    regular(&f, 2, 1, 4, 2, 4, 0);
    for (size_t n = 0; n <= sizeof(room); n += 8) {
        struct arena a;
        uint64_t out[1] = {0};

        arena_init(&a, room, n);
        const int rc = kubelet_choose_reserved(out, &f.v, 2, &a);

        assert_true(rc == 0 || (rc == -ENOMEM && out[0] == 0 && !fitted));
        fitted = rc == 0;
        assert_int_equal(a.used, 0);
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_takes_whole_zones_then_cores_then_threads),
        cmocka_unit_test(packed_fills_what_is_broken_first),
        cmocka_unit_test(too_few_are_refused_and_none_is_no_choice),
        cmocka_unit_test(sockets_go_first_where_they_hold_several_zones),
        cmocka_unit_test(zones_go_first_where_they_hold_several_sockets),
        cmocka_unit_test(l3_groups_are_taken_whole_or_exactly),
        cmocka_unit_test(an_odd_need_drops_one_thread_of_a_group),
        cmocka_unit_test(without_threads_nothing_is_dropped),
        cmocka_unit_test(l3_groups_follow_their_zones),
        cmocka_unit_test(spread_over_cores_takes_first_threads),
        cmocka_unit_test(uneven_sockets_are_whole_at_the_average),
        cmocka_unit_test(uneven_cores_are_whole_at_the_average),
        cmocka_unit_test(distributed_takes_even_shares),
        cmocka_unit_test(distributed_balances_what_is_left),
        cmocka_unit_test(distributed_thinks_zones_are_even),
        cmocka_unit_test(distributed_rounds_the_size_of_a_zone_up),
        cmocka_unit_test(distributed_moves_whole_cores_when_told),
        cmocka_unit_test(four_of_six_zones_are_not_those_that_were_best),
        cmocka_unit_test(an_overwritten_choice_may_not_come_out_even),
        cmocka_unit_test(half_cores_are_dealt_for_ever),
        cmocka_unit_test(more_choices_than_are_tried_are_no_choice),
        cmocka_unit_test(there_may_be_more_zones_than_cpus),
        cmocka_unit_test(a_socket_of_two_zones_is_dealt_out_twice),
        cmocka_unit_test(reserved_cpus_are_chosen_as_any_others),
        cmocka_unit_test(absent_cpus_are_not_reserved),
        cmocka_unit_test(a_choice_needs_room_or_says_so),
    };

    return cmocka_run_group_tests_name("kubelet_take", tests, NULL, NULL);
}
