/* SPDX-License-Identifier: Apache-2.0 */
/* A directory as NVIDIA's driver shows it, and the ids of a device plugin. */
#include "tests/support/test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/gpu_ids.h"
#include "base/arena.h"
#include "kube/nrt_emit.h"

static char dir[64], memory[1 << 16];
static struct arena a;

static int setup(void **state)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/numawise-gpus-XXXXXX");
    arena_init(&a, memory, sizeof(memory));
    return mkdtemp(dir) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    arena_rewind(&a, 0);
    return nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void give(const char *address, const char *information)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, address);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/%s/information", dir, address);
    FILE *const f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(information, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void give_gpu(const char *address, const char *uuid)
{
    char information[512];

    (void)snprintf(information, sizeof(information),
                   "Model: \t\t NVIDIA H100\nIRQ:   \t\t 16\nGPU UUID: \t %s\n"
                   "Bus Location: \t %s\nDevice Minor: \t 0\n",
                   uuid, address);
    give(address, information);
}

static const struct kube_nrt_device devices[] = {
    {.resource = {"nvidia.com/gpu", 14}, .id = {"GPU-b2", 6}},
    {.resource = {"nvidia.com/gpu", 14}, .id = {"GPU-a1::0", 9}},
    {.resource = {"nvidia.com/gpu", 14}, .id = {"GPU-a1::1", 9}},
    {.resource = {"nvidia.com/gpu", 14}, .id = {"GPU-a1:2", 8}},
    {.resource = {"nvidia.com/gpu", 14}, .id = {"GPU-a", 5}},
    {.resource = {"nvidia.com/gpu", 14}, .id = {"MIG-a1", 6}},
    {.resource = {"x.io/y", 6}, .id = {NULL, 0}},
};
enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

static void ids_of_plugins_are_found_on_pci(void **state)
{
    const struct kube_nrt_pci_name *names;
    uint32_t n;

    give_gpu("0000:17:00.0", "GPU-a1");
    give_gpu("0001:9a:00.0", "GPU-b2");
    assert_int_equal(agent_gpu_ids(&names, &n, dir, devices, DEVICES, &a), 0);
    assert_int_equal(n, 3);
    assert_true(str_is(names[0].id, "GPU-b2"));
    assert_true(str_is(names[0].address, "0001:9a:00.0"));
    assert_true(str_is(names[1].id, "GPU-a1::0"));
    assert_true(str_is(names[1].address, "0000:17:00.0"));
    assert_true(str_is(names[2].id, "GPU-a1::1"));
}

/* A GPU that nobody has opened yet has a UUID of question marks. */
static void what_the_driver_does_not_know_is_left_out(void **state)
{
    static char large[AGENT_GPU_FILE_BYTES + 64];
    const struct kube_nrt_device unknown = {.id = {"GPU-??", 6}};
    const struct kube_nrt_pci_name *names;
    uint32_t n = 7;

    (void)snprintf(large, sizeof(large), "GPU UUID: GPU-b2\n%*s", AGENT_GPU_FILE_BYTES, "");
    give_gpu("0000:17:00.0", "GPU-??");
    give("0000:18:00.0", "Model: GPU UUID: GPU-b2\nGPU UUID:\n");
    give("0000:19:00.0", large);
    give_gpu("0000:1A:00.0", "GPU-b2"); /* no address as sysfs writes it */
    assert_int_equal(agent_gpu_ids(&names, &n, dir, devices, DEVICES, &a), 0);
    assert_int_equal(n, 0);
    assert_int_equal(agent_gpu_ids(&names, &n, dir, &unknown, 1, &a), 0);
    assert_int_equal(n, 0);
}

static void without_the_driver_there_are_none(void **state)
{
    const struct kube_nrt_pci_name *names;
    uint32_t n = 7;

    assert_int_equal(agent_gpu_ids(&names, &n, "/nowhere", devices, DEVICES, &a), 0);
    assert_int_equal(n, 0);
}

static void a_full_arena_is_told(void **state)
{
    const struct kube_nrt_pci_name *names = NULL;
    uint32_t n = 7;
    struct arena small;

    arena_init(&small, memory, 1024);
    assert_int_equal(agent_gpu_ids(&names, &n, dir, devices, DEVICES, &small), -ENOMEM);
    assert_null(names);
    assert_int_equal(n, 7);
    arena_rewind(&small, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_of_plugins_are_found_on_pci, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_driver_does_not_know_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_driver_there_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_arena_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
