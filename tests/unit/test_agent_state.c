/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of tests/data/kubelet-state were written by the kubelet's own types (v1.36.3:
 * cpumanager/state, memorymanager/state, devicemanager/checkpoint), checksums included.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kubelet_state.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/nrt_emit.h"
#include "tests/support/data.h"
#include "tests/support/two_zones.h"

#define TRAIN "6b7d1f6e-6f0c-4c1e-9d0e-0b6a1f1c2d3e"
#define DB    "a0a0a0a0-1111-4222-8333-944455556666"
#define LEVEL "c3c3c3c3-1111-4222-8333-944455556666"

enum { GIB = 1 << 30 };

static char room[64 * 1024];

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        assert_int_equal((s).n, strlen(text));                                                     \
        assert_memory_equal((s).p, (text), (s).n);                                                 \
    } while (0)

/* One of the three decoders, by what it reads. */
enum file { CPU, MEMORY, CHECKPOINT };

static int decode(enum file file, struct str json, struct arena *a, struct err *err)
{
    char *const text = test_padded(json, 'x');
    struct agent_cpu_state cpu;
    struct agent_memory_state memory;
    struct agent_checkpoint checkpoint;

    assert_non_null(text);
    const struct str padded = {text, json.n};
    const int rc = file == CPU ? agent_cpu_state_decode(&cpu, padded, a, err)
                   : file == MEMORY
                       ? agent_memory_state_decode(&memory, padded, two_zones(), a, err)
                       : agent_checkpoint_decode(&checkpoint, padded, two_zones(), a, err);
    free(text);
    return rc;
}

static const char *const files[] = {
    [CPU] = "kubelet-state/cpu_manager_state",
    [MEMORY] = "kubelet-state/memory_manager_state",
    [CHECKPOINT] = "kubelet-state/device-plugins/kubelet_internal_checkpoint",
};

static void cpus_are_held_by_containers(void **state)
{
    struct agent_cpu_state c;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(test_data_read(files[CPU], &text), 0);
    assert_int_equal(agent_cpu_state_decode(&c, buf_view(&text), &a, NULL), 0);
    buf_free(&text);
    assert_str(c.policy, "static");
    assert_str(c.default_cpus, "0,4-5,8-9");
    assert_int_equal(c.n_holdings, 3);
    assert_str(c.holdings[0].uid, TRAIN);
    assert_str(c.holdings[0].container, "main");
    assert_str(c.holdings[0].cpus, "1-3");
    assert_str(c.holdings[1].container, "sidecar");
    assert_str(c.holdings[1].cpus, "6");
    assert_str(c.holdings[2].uid, DB);
    assert_str(c.holdings[2].cpus, "7");
    assert_int_equal(c.holdings[2].ns.n + c.holdings[2].pod.n, 0);
}

static void a_pod_may_hold_cpus_and_memory_as_a_whole(void **state)
{
    struct agent_memory_state m;
    struct agent_cpu_state c;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(test_data_read("kubelet-state/cpu_manager_state.pods", &text), 0);
    assert_int_equal(agent_cpu_state_decode(&c, buf_view(&text), &a, NULL), 0);
    assert_int_equal(c.n_holdings, 2);
    assert_str(c.holdings[0].container, "a");
    assert_str(c.holdings[1].uid, LEVEL);
    assert_str(c.holdings[1].container, "");
    assert_str(c.holdings[1].cpus, "4-6");
    assert_int_equal(test_data_read("kubelet-state/memory_manager_state.pods", &text), 0);
    assert_int_equal(agent_memory_state_decode(&m, buf_view(&text), two_zones(), &a, NULL), 0);
    buf_free(&text);
    assert_int_equal(m.n_holdings, 1);
    assert_str(m.holdings[0].container, "");
    assert_int_equal(m.holdings[0].n_blocks, 1);
    assert_int_equal(m.holdings[0].blocks[0].zones, 1);
}

static void memory_has_groups_assignments_and_blocks(void **state)
{
    struct agent_memory_state m;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(test_data_read(files[MEMORY], &text), 0);
    assert_int_equal(agent_memory_state_decode(&m, buf_view(&text), two_zones(), &a, NULL), 0);
    buf_free(&text);
    assert_str(m.policy, "Static");
    /* Zone ids 0 and 2 are the indices 0 and 1. */
    assert_int_equal(m.zones[0].cells, 3);
    assert_int_equal(m.zones[1].cells, 3);
    assert_true(m.zones[0].has_assignments && m.zones[1].has_assignments);
    assert_int_equal(m.zones[0].assignments, 2);
    assert_int_equal(m.zones[1].assignments, 1);
    assert_false(m.zones[0].has_free_cpus);
    assert_int_equal(m.zones[0].n_memory, 2);
    assert_str(m.zones[0].memory[0].type, "hugepages-2Mi");
    assert_int_equal(m.zones[0].memory[0].free, 512 << 20);
    assert_str(m.zones[0].memory[1].type, "memory");
    assert_int_equal(m.zones[0].memory[1].total, UINT64_C(16) * GIB);
    assert_int_equal(m.zones[0].memory[1].allocatable, UINT64_C(15) * GIB);
    assert_int_equal(m.zones[0].memory[1].free, 0);
    assert_int_equal(m.zones[1].memory[1].free, UINT64_C(11) * GIB);
    assert_int_equal(m.n_holdings, 1);
    assert_str(m.holdings[0].uid, TRAIN);
    assert_int_equal(m.holdings[0].n_blocks, 2);
    assert_int_equal(m.holdings[0].blocks[0].zones, 3);
    assert_str(m.holdings[0].blocks[0].type, "memory");
    assert_int_equal(m.holdings[0].blocks[0].bytes, UINT64_C(20) * GIB);
    assert_int_equal(m.holdings[0].blocks[1].zones, 1);
    assert_str(m.holdings[0].blocks[1].type, "hugepages-2Mi");
}

static void assert_device(const struct kube_nrt_device *d, const char *resource, const char *id,
                          uint64_t zones, bool healthy)
{
    assert_str(d->resource, resource);
    assert_str(d->id, id);
    assert_int_equal(d->zones, zones);
    assert_int_equal(d->healthy, healthy);
    assert_false(d->elsewhere);
}

static void devices_are_registered_and_given_out(void **state)
{
    struct agent_checkpoint c;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(test_data_read(files[CHECKPOINT], &text), 0);
    assert_int_equal(agent_checkpoint_decode(&c, buf_view(&text), two_zones(), &a, NULL), 0);
    buf_free(&text);
    assert_int_equal(c.n_holdings, 3);
    assert_str(c.holdings[0].uid, TRAIN);
    assert_str(c.holdings[0].container, "main");
    assert_int_equal(c.holdings[0].n_devices, 2);
    assert_str(c.holdings[0].devices[1].resource, "nvidia.com/gpu");
    assert_str(c.holdings[0].devices[1].id, "GPU-1");
    assert_int_equal(c.holdings[1].n_devices, 1); /* n0 stands under both of its zones */
    assert_str(c.holdings[2].uid, DB);
    assert_str(c.holdings[2].devices[0].id, "f1");
    /* f1 is given out and not registered; GPU-2 is nobody's, so that its zone is not known. */
    assert_int_equal(c.n_devices, 6);
    assert_device(&c.devices[0], "example.com/fuse", "f0", 0, true);
    assert_device(&c.devices[1], "example.com/fuse", "f1", 0, false);
    assert_device(&c.devices[2], "example.com/nic", "n0", 3, true);
    assert_device(&c.devices[3], "nvidia.com/gpu", "GPU-0", 1, true);
    assert_device(&c.devices[4], "nvidia.com/gpu", "GPU-1", 2, true);
    assert_device(&c.devices[5], "nvidia.com/gpu", "GPU-2", 0, true);
}

static void a_zone_that_the_machine_has_not_is_elsewhere(void **state)
{
    static const char json[] =
        "{\"Data\":{\"PodDeviceEntries\":[{\"PodUID\":\"u\",\"ContainerName\":\"c\","
        "\"ResourceName\":\"r/d\",\"DeviceIDs\":{\"0\":[\"x\"],\"1\":[\"x\"]}}],"
        "\"RegisteredDevices\":null}}";
    char *const text = test_padded((struct str){json, sizeof(json) - 1}, 0);
    struct agent_checkpoint c;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        agent_checkpoint_decode(&c, (struct str){text, sizeof(json) - 1}, two_zones(), &a, NULL),
        0);
    free(text);
    assert_int_equal(c.n_devices, 1);
    assert_int_equal(c.devices[0].zones, 1);
    assert_true(c.devices[0].elsewhere);
}

static void whatever_part_of_a_file_is_there_asks_to_be_read_again(void **state)
{
    for (enum file f = CPU; f <= CHECKPOINT; f++) {
        struct buf text = {0};
        struct arena a;

        assert_int_equal(test_data_read(files[f], &text), 0);
        for (size_t n = 0; n < text.n; n++) {
            arena_init(&a, room, sizeof(room));
            assert_int_equal(decode(f, (struct str){text.p, n}, &a, NULL), -EAGAIN);
        }
        buf_free(&text);
    }
}

static void every_arena_size_gives_all_or_nothing(void **state)
{
    for (enum file f = CPU; f <= CHECKPOINT; f++) {
        struct buf text = {0};
        int rc = -ENOMEM;

        assert_int_equal(test_data_read(files[f], &text), 0);
        for (size_t n = 0; n < sizeof(room) && rc; n += 8) {
            struct arena a;

            arena_init(&a, room, n);
            rc = decode(f, buf_view(&text), &a, NULL);
            assert_true(rc == 0 || (rc == -ENOMEM && a.used == 0));
        }
        assert_int_equal(rc, 0);
        buf_free(&text);
    }
}

static void what_such_a_file_cannot_be_names_the_field(void **state)
{
    static const struct {
        enum file file;
        const char *json, *says;
    } cases[] = {
        {CPU, "{}", "policyName is missing"},
        {CPU, "[]", "expected an object"},
        {CPU, "{\"policyName\": 1}", "policyName: "},
        {CPU, "{\"policyName\":\"static\",\"defaultCpuSet\":\"3-1\"}", "defaultCpuSet: "},
        {CPU, "{\"policyName\":\"static\",\"entries\":{\"u\":{\"c\":\"x\"}}}", "entries.u.c: "},
        {CPU, "{\"policyName\":\"static\",\"entries\":{\"docker-id\":\"1\"}}", "entries.docker-id"},
        {MEMORY, "{\"policyName\":\"Static\",\"machineState\":{\"1\":{}}}",
         "machineState.1: the machine has no zone 1"},
        {MEMORY, "{\"policyName\":\"Static\",\"machineState\":{\"-1\":{}}}",
         "machineState.-1: not a zone"},
        {MEMORY, "{\"policyName\":\"Static\",\"machineState\":{\"0\":{\"cells\":[0,7]}}}",
         "machineState.0.cells[1]: the machine has no zone 7"},
        {MEMORY,
         "{\"policyName\":\"Static\",\"machineState\":{\"0\":{\"numberOfAssignments\":-1}}}",
         "machineState.0.numberOfAssignments: "},
        {MEMORY,
         "{\"policyName\":\"Static\",\"machineState\":{\"0\":{\"memoryMap\":"
         "{\"memory\":{\"free\":-1}}}}}",
         "machineState.0.memoryMap.memory.free: "},
        {MEMORY, "{\"policyName\":\"Static\",\"entries\":{\"u\":{\"c\":[{\"type\":\"memory\"}]}}}",
         "a block without numaAffinity"},
        {CHECKPOINT, "{}", "Data is missing"},
        {CHECKPOINT, "{\"Data\":{\"PodDeviceEntries\":[{\"PodUID\":\"u\"}]}}",
         "PodUID, ContainerName or ResourceName is missing"},
        {CHECKPOINT, "{\"Data\":{\"RegisteredDevices\":{\"r\":[7]}}}",
         "Data.RegisteredDevices.r[0]: "},
        {CHECKPOINT, "{\"Data\":{\"RegisteredDevices\":{\"r\":{\"a\":1}}}}",
         "Data.RegisteredDevices.r: "},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct arena a;

        arena_init(&a, room, sizeof(room));
        assert_int_equal(decode(cases[i].file, str_of(cases[i].json), &a, &err), -EINVAL);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s\nsays: %s", cases[i].json, err.text);
        assert_int_equal(a.used, 0);
    }
}

/* More reserved than there is: 0 - 1 GiB in 64 bits. The kubelet works on with that. */
static void an_amount_below_zero_is_a_very_large_one(void **state)
{
    static const char json[] = "{\"policyName\":\"Static\",\"machineState\":{\"0\":{\"memoryMap\":"
                               "{\"memory\":{\"free\":18446744072635809792}}}}}";
    char *const text = test_padded((struct str){json, sizeof(json) - 1}, 0);
    struct agent_memory_state m;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        agent_memory_state_decode(&m, (struct str){text, sizeof(json) - 1}, two_zones(), &a, NULL),
        0);
    free(text);
    assert_int_equal(m.zones[0].memory[0].free, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_are_held_by_containers),
        cmocka_unit_test(a_pod_may_hold_cpus_and_memory_as_a_whole),
        cmocka_unit_test(memory_has_groups_assignments_and_blocks),
        cmocka_unit_test(devices_are_registered_and_given_out),
        cmocka_unit_test(a_zone_that_the_machine_has_not_is_elsewhere),
        cmocka_unit_test(whatever_part_of_a_file_is_there_asks_to_be_read_again),
        cmocka_unit_test(every_arena_size_gives_all_or_nothing),
        cmocka_unit_test(what_such_a_file_cannot_be_names_the_field),
        cmocka_unit_test(an_amount_below_zero_is_a_very_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
