/* SPDX-License-Identifier: Apache-2.0 */
/* Fragmentation by hand: how full zones are that a pod takes from, and for whom they still do. */
#include <string.h>

#include "scoring/fragmentation.h"
#include "scoring/weigh.h"
#include "tests/support/test.h"

enum { GPU = DEMAND_DEVICES };

static void also(struct frag_zone *z, uint32_t column, uint32_t whole, uint32_t before,
                 uint32_t after)
{
    z->whole[column] = whole;
    z->before[column] = before;
    z->after[column] = after;
}

/* One zone with one resource; the next call has the same room. */
static struct frag_zone *zone(uint32_t column, uint32_t whole, uint32_t before, uint32_t after)
{
    static struct frag_zone z;

    memset(&z, 0, sizeof(z));
    also(&z, column, whole, before, after);
    return &z;
}

static struct frag_answer ask(const struct frag_zone *zones, uint32_t n,
                              const struct score_demand *d)
{
    struct frag_answer answer;

    score_fragmentation(
        &answer, NULL,
        &(struct frag_ask){
            .zones = zones, .n_zones = n, .columns = FRAG_ALL, .demand = d, .most_zones = 8});
    return answer;
}

static struct demand_kind *add(struct score_demand *d, uint32_t weight)
{
    struct demand_kind *const k = &d->kinds[d->n++];

    k->weight = weight;
    return k;
}

/* Of `n` CPUs each. */
static struct score_demand wants_cpus(uint32_t n)
{
    struct score_demand d = {.serial = 1};

    demand_put(add(&d, 32), DEMAND_CPUS, n);
    return d;
}

static void without_demand_it_is_how_full_the_zones_are(void **state)
{
    /* one of a whole zone of 4: (16 - 9) / (2 x 1 x 4) = 875 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 4, 3), 1, NULL).value, 125);
    /* one of its two left: (4 - 1) / 8 = 375 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 2, 1), 1, NULL).value, 625);
    /* the last one: 1 / 8 = 125; all of a whole one: 16 / (2 x 4 x 4) = 500 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 1, 0), 1, NULL).value, 875);
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 4, 0), 1, NULL).value, 500);
}

static void resources_count_alike_but_memory_does_not(void **state)
{
    struct frag_zone *const z = zone(DEMAND_CPUS, 4, 4, 3); /* 875 */

    also(z, GPU, 4, 1, 0);              /* 125; the mean of both 500 */
    also(z, DEMAND_MEMORY, 64, 64, 63); /* no part of it */
    also(z, GPU + 1, 9, 9, 9);          /* nothing is taken */
    assert_int_equal(ask(z, 1, NULL).value, 500);
}

static void zones_count_by_what_is_taken_there(void **state)
{
    const struct frag_zone zones[] = {*zone(DEMAND_CPUS, 4, 4, 0), *zone(DEMAND_CPUS, 4, 2, 1)};

    /* (16 - 0 + 4 - 1) / (2 x 4 x 4 + 2 x 1 x 4) = 19 / 40 = 475 */
    assert_int_equal(ask(zones, 2, NULL).value, 525);
}

static void who_takes_nothing_breaks_nothing(void **state)
{
    const struct score_demand d = wants_cpus(4);

    assert_int_equal(ask(NULL, 0, &d).value, 1000);
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 4, 4), 1, &d).value, 1000);
}

static void who_opens_a_zone_takes_it_from_those_who_want_all_of_it(void **state)
{
    const struct score_demand d = wants_cpus(4);
    /* 1 of 4 CPUs, and the only slot goes: 1 / 0.25 = 4, at most 2; 1000 - 500 x 2 */
    const struct frag_answer opens = ask(zone(DEMAND_CPUS, 4, 4, 3), 1, &d);
    const struct frag_answer fills = ask(zone(DEMAND_CPUS, 4, 3, 2), 1, &d);

    assert_int_equal(opens.kept, 0);
    assert_int_equal(opens.value, (125 + 0) / 2);
    /* a zone that is broken is of no use to them anyway; (9 - 4) / 8 = 625 */
    assert_int_equal(fills.kept, 1000);
    assert_int_equal(fills.value, (375 + 1000) / 2);
    /* what is taken is what is lost: 1000 - 500 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 4, 0), 1, &d).kept, 500);
}

static void slots_are_lost_where_a_request_ends(void **state)
{
    const struct score_demand d = wants_cpus(2); /* 4 slots in 8 CPUs */

    /* 3 of 8: slots 4 > 2, 2/4 = 0.5; own 3/8; 0.5 / 0.375 = 4/3; 1000 - 666 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 8, 8, 5), 1, &d).kept, 334);
    /* 3 of 7: slots 3 > 2, 0.25 / 0.375 = 2/3; 1000 - 333 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 8, 7, 4), 1, &d).kept, 667);
}

static void kinds_count_by_their_weight(void **state)
{
    struct score_demand d = wants_cpus(4);

    d.kinds[0].weight = 8;
    demand_put(add(&d, 24), DEMAND_CPUS, 1);
    /* own 1/4; of 4 CPUs: the slot, at most twice own; of 1: 1/4, once own:
       (8 x 2 + 24 x 1) / 32 = 1.25; 1000 - 625 */
    assert_int_equal(ask(zone(DEMAND_CPUS, 4, 4, 3), 1, &d).kept, 375);
}

static void a_kind_needs_all_that_it_wants_in_the_zone(void **state)
{
    struct score_demand d = {.serial = 1};
    struct demand_kind *const k = add(&d, 32);
    struct frag_zone *z = zone(DEMAND_CPUS, 32, 32, 24);

    demand_put(k, DEMAND_CPUS, 4);
    demand_put(k, GPU, 2);
    /* 8 CPUs of 32 leave enough for the two that the 4 GPUs are for */
    also(z, GPU, 4, 4, 4);
    assert_int_equal(ask(z, 1, &d).kept, 1000);
    /* where no GPUs are left, nobody misses the CPUs */
    also(z, GPU, 4, 1, 1);
    assert_int_equal(ask(z, 1, &d).kept, 1000);
    /* 26 of 32 leave 6 CPUs, for one: 1/2 is lost for 26/32; 0.615; 1000 - 307 */
    z = zone(DEMAND_CPUS, 32, 32, 6);
    also(z, GPU, 4, 4, 4);
    assert_int_equal(ask(z, 1, &d).kept, 693);
    /* a node without GPUs is not theirs */
    assert_int_equal(ask(zone(DEMAND_CPUS, 32, 32, 6), 1, &d).kept, 1000);
}

static void what_a_node_binds_to_no_zone_is_not_asked_for(void **state)
{
    struct score_demand d = {.serial = 1};
    struct demand_kind *const k = add(&d, 32);
    struct frag_answer answer;
    const struct frag_zone *const z = zone(DEMAND_CPUS, 4, 4, 3);
    struct frag_ask a = {.zones = z,
                         .n_zones = 1,
                         .columns = FRAG_ALL,
                         .demand = &d,
                         .unbound = 1u << DEMAND_MEMORY,
                         .most_zones = 1};

    demand_put(k, DEMAND_CPUS, 4);
    demand_put(k, DEMAND_MEMORY, 100);
    score_fragmentation(&answer, NULL, &a);
    assert_int_equal(answer.kept, 0);
    /* who wants nothing that counts loses nothing */
    a.unbound |= 1u << DEMAND_CPUS;
    score_fragmentation(&answer, NULL, &a);
    assert_int_equal(answer.kept, 1000);
}

static void a_kind_wider_than_a_zone_counts_by_its_parts(void **state)
{
    const struct score_demand d = wants_cpus(60); /* of zones of 32: two, 30 in each */
    struct frag_slots slots;
    struct frag_answer answer;
    struct frag_ask a = {.zones = zone(DEMAND_CPUS, 32, 32, 16),
                         .n_zones = 1,
                         .columns = FRAG_ALL,
                         .demand = &d,
                         .most_zones = 8};

    score_fragmentation(&answer, &slots, &a);
    assert_int_equal(answer.kept, 0); /* half of the zone, all of the slot */
    assert_int_equal(slots.zones, 2);
    assert_int_equal(slots.before, 1);
    assert_int_equal(slots.after, 0);
    assert_int_equal(slots.whole, 1);
    /* a kubelet that admits to single zones only never has them */
    a.most_zones = 1;
    score_fragmentation(&answer, &slots, &a);
    assert_int_equal(answer.kept, 1000);
    assert_int_equal(slots.zones, 0);
}

static void who_must_be_alone_loses_a_zone_that_is_all_free(void **state)
{
    struct score_demand d = wants_cpus(2);
    struct frag_zone *z = zone(DEMAND_CPUS, 8, 8, 4);

    d.kinds[0].alone = true;
    /* half of the zone, all of its use: 1 / 0.5 = 2 */
    assert_int_equal(ask(z, 1, &d).kept, 0);
    assert_int_equal(ask(zone(DEMAND_CPUS, 8, 7, 3), 1, &d).kept, 1000);
    /* a device that is held is enough */
    z = zone(DEMAND_CPUS, 8, 8, 4);
    also(z, GPU, 2, 1, 1);
    assert_int_equal(ask(z, 1, &d).kept, 1000);
}

static void quotients_are_exact(void **state)
{
    static const uint32_t amounts[] = {1, 2, 3, 7, 30, 1000, 65537, DEMAND_MOST - 1, DEMAND_MOST};

    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        struct demand_kind k = {.n = 0};

        demand_put(&k, 0, amounts[i]);
        for (uint32_t n = 0; n <= DEMAND_MOST; n++) {
            if (demand_times(&k.wants[0], n) != n / amounts[i])
                fail_msg("%u / %u", n, amounts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_demand_it_is_how_full_the_zones_are),
        cmocka_unit_test(resources_count_alike_but_memory_does_not),
        cmocka_unit_test(zones_count_by_what_is_taken_there),
        cmocka_unit_test(who_takes_nothing_breaks_nothing),
        cmocka_unit_test(who_opens_a_zone_takes_it_from_those_who_want_all_of_it),
        cmocka_unit_test(slots_are_lost_where_a_request_ends),
        cmocka_unit_test(kinds_count_by_their_weight),
        cmocka_unit_test(a_kind_needs_all_that_it_wants_in_the_zone),
        cmocka_unit_test(what_a_node_binds_to_no_zone_is_not_asked_for),
        cmocka_unit_test(a_kind_wider_than_a_zone_counts_by_its_parts),
        cmocka_unit_test(who_must_be_alone_loses_a_zone_that_is_all_free),
        cmocka_unit_test(quotients_are_exact),
    };

    return cmocka_run_group_tests_name("fragmentation", tests, NULL, NULL);
}
