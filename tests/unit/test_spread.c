/* SPDX-License-Identifier: Apache-2.0 */
/* Two zones of four CPUs; three GPUs: one in zone 0, one in both, one without a zone; a NIC in 1.
 */
#include "tests/support/test.h"

#include "decide/spread.h"

static const struct topo_cpu cpus[] = {{.zone = 0}, {.zone = 0}, {.zone = 0}, {.zone = 0},
                                       {.zone = 1}, {.zone = 1}, {.zone = 1}, {.zone = TOPO_NONE}};
static const struct node_device devices[] = {
    {.zones = 1}, {.zones = 3}, {.zones = 0}, {.zones = 2}};
static const struct node_resource resources[] = {{.first = 0, .n = 3}, {.first = 3, .n = 1}};
static const struct node_view view = {.machine = {.n_zones = 2, .n_cpus = 8, .cpus = cpus},
                                      .cpu_words = 1,
                                      .n_resources = 2,
                                      .resources = resources,
                                      .n_devices = 4,
                                      .devices = devices};

static void the_hint_counts_before_what_is_held(void **state)
{
    static const uint64_t held = 1 << 4;
    const struct score_container c = {.has_affinity = true, .affinity = 1, .cpus = &held};

    assert_int_equal(spread_zones(&view, &c), 1);
}

static void without_a_hint_the_zones_are_those_of_what_is_held(void **state)
{
    static const uint64_t one_cpu = 1 << 5, no_zone = 1 << 7, nic = 1 << 3;
    static const struct node_block block = {.zones = 1};
    const struct score_container nothing = {0}, cpu = {.cpus = &one_cpu},
                                 offline = {.cpus = &no_zone}, device = {.devices = &nic},
                                 memory = {.blocks = &block, .n_blocks = 1};

    assert_int_equal(spread_zones(&view, &nothing), 0);
    assert_int_equal(spread_zones(&view, &cpu), 2);
    assert_int_equal(spread_zones(&view, &offline), 0);
    assert_int_equal(spread_zones(&view, &device), 2);
    assert_int_equal(spread_zones(&view, &memory), 1);
    assert_int_equal(spread_memory_zones(&memory), 1);
}

/* A device of both zones counts in the first; one of no zone counts as "any", index 2. */
static void each_device_counts_in_one_zone(void **state)
{
    static const uint64_t all_gpus = 7, last = 4;
    const struct score_container c = {.devices = &all_gpus}, d = {.devices = &last};

    assert_int_equal(spread_devices(&view, &c, &resources[0], 0), 2);
    assert_int_equal(spread_devices(&view, &c, &resources[0], 1), 0);
    assert_int_equal(spread_devices(&view, &c, &resources[0], 2), 1);
    assert_int_equal(spread_devices(&view, &d, &resources[0], 0), 0);
    assert_true(spread_holds(&view, &c, &resources[0]));
    assert_false(spread_holds(&view, &c, &resources[1]));
}

static void certainty_is_the_worst_that_is_known(void **state)
{
    assert_string_equal(spread_certainty_text(0, false), "Exact");
    assert_string_equal(spread_certainty_text(1, false), "Assumed");
    assert_string_equal(spread_certainty_text(1, true), "Interval");
    assert_string_equal(spread_assumed_text(3), "distances");
    assert_string_equal(spread_assumed_text(6), "kubeletVersion");
    assert_string_equal(spread_assumed_text(7), "memoryFree");
    assert_string_equal(spread_assumed_text(8), "topologyManagerPolicy");
    assert_string_equal(spread_assumed_text(SPREAD_ASSUMED), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hint_counts_before_what_is_held),
        cmocka_unit_test(without_a_hint_the_zones_are_those_of_what_is_held),
        cmocka_unit_test(each_device_counts_in_one_zone),
        cmocka_unit_test(certainty_is_the_worst_that_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
