/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every recorded machine against facts stated by hand: read off lstopo and the recordings
 * themselves, not off this code.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "tests/support/data.h"
#include "topology/cpuset.h"
#include "topology/discover.h"
#include "topology/model.h"

static char *room;
static struct arena arena;
static char directory[64];

static int set_up(void **state)
{
    room = malloc(TOPO_DISCOVER_ARENA_BYTES);
    return room ? 0 : -1;
}

static int run_shell(const char *before, const char *a, const char *between, const char *b)
{
    char text[1024];

    assert_in_range(snprintf(text, sizeof(text), "%s '%s' %s '%s'", before, a, between, b), 1,
                    sizeof(text) - 1);
    return system(text);
}

/* A recording has thousands of files, which a disk takes its time to create. */
static void make_directory(void)
{
    const bool quick = access("/dev/shm", W_OK | X_OK) == 0;

    (void)snprintf(directory, sizeof(directory), "%s/numawise-machine-XXXXXX",
                   quick ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    assert_int_equal(run_shell("rm -rf", directory, "", directory), 0);
}

static int tear_down(void **state)
{
    free(room);
    return 0;
}

static int discover(struct topo_machine *m, enum topo_source_kind kind, const char *text,
                    struct err *err)
{
    const struct topo_source src = {.kind = kind, .text = text};

    arena_init(&arena, room, TOPO_DISCOVER_ARENA_BYTES);
    return topo_discover(m, &src, &arena, err);
}

/* A machine of tests/data/machines; a .tar.bz2 is unpacked for the time of the call. */
static struct topo_machine recorded(const char *name)
{
    struct topo_machine m = {0};
    struct err err = {0};
    char path[1024];
    int rc;

    assert_in_range(snprintf(path, sizeof(path), "%s/machines/%s", TEST_DATA, name), 1,
                    sizeof(path) - 1);
    if (str_ends(str_of(name), ".tar.bz2")) {
        make_directory();
        assert_int_equal(
            run_shell("tar --strip-components=1 --no-same-owner -xjf", path, "-C", directory), 0);
        rc = discover(&m, TOPO_SOURCE_FSROOT, directory, &err);
        remove_directory();
    } else {
        rc = discover(&m, TOPO_SOURCE_XML, path, &err);
    }
    if (rc < 0)
        fail_msg("%s: %s", name, err.text);
    return m;
}

/* --- facts about all of them --- */

static const struct facts {
    const char *name;
    uint32_t zones, cpus; /* CPUs that are online */
    bool has_distances;
    uint32_t nearest, farthest; /* of the distances between different zones */
    uint32_t gpus, nics, infiniband;
    uint64_t cpu_zones; /* by index */
} facts[] = {
    /* name                                zones cpus  distances      gpu nic ib  zones with CPUs */
    {"16amd64-4distances.xml", 8, 16, true, 20, 20, 0, 0, 0, 0xff},
    {"16amd64-8n2c-cpusets.xml", 5, 4, true, 20, 20, 0, 0, 0, 0x7},
    {"16intel64-manyVFs.xml", 2, 16, false, 20, 20, 0, 18, 0, 0x3},
    {"28intel64-2p2g7c-CoDgroups.v1.xml", 4, 28, true, 21, 31, 0, 2, 0, 0xf},
    {"32em64t-2n8c2t-pci-wholeio.xml", 2, 32, true, 20, 20, 4, 2, 1, 0x3},
    {"64intel64-fakeKNL-SNC4-hybrid.xml", 8, 64, false, 20, 20, 0, 0, 0, 0x0f},
    {"8intel64-4n2t-memattrs.xml", 4, 8, false, 20, 20, 0, 0, 0, 0xf},
    {"96em64t-4n4d3ca2co-pci.xml", 4, 96, true, 26, 26, 1, 8, 0, 0xf},
    {"memorysidecaches.xml", 4, 80, true, 11, 21, 0, 0, 0, 0xf},
    {"nvidiaDGX2.xml", 2, 4, true, 21, 21, 16, 0, 0, 0x3},
    {"power8gpudistances.xml", 2, 16, true, 40, 40, 4, 0, 0, 0x3},
    {"16amd64-4n4c-cgroup-distance-merge.tar.bz2", 4, 16, true, 20, 20, 0, 0, 0, 0xf},
    {"40intel64-2g2n4c+pcilocality.tar.bz2", 4, 40, true, 20, 20, 0, 4, 1, 0xf},
    {"48amd64-4pa2n6c-sparse.tar.bz2", 8, 48, true, 16, 22, 0, 0, 0, 0xff},
    {"64amd64-4s2n4ca2co.tar.bz2", 8, 64, true, 16, 22, 0, 0, 0, 0xff},
};

static uint32_t count_kind(const struct topo_machine *m, enum topo_device_kind kind)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_devices; i++)
        n += m->devices[i].kind == kind;
    return n;
}

static uint32_t count_cpus(const struct topo_machine *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_cpus; i++)
        n += m->cpus[i].zone != TOPO_NONE;
    return n;
}

static void assert_distances(const struct topo_machine *m, const struct facts *f)
{
    uint32_t nearest = 256, farthest = 0;

    for (uint32_t i = 0; i < m->n_zones * m->n_zones; i++) {
        if (i / m->n_zones == i % m->n_zones)
            continue;
        nearest = m->distances.d[i] < nearest ? m->distances.d[i] : nearest;
        farthest = m->distances.d[i] > farthest ? m->distances.d[i] : farthest;
    }
    assert_int_equal(m->has_distances, f->has_distances);
    assert_int_equal(nearest, f->nearest);
    assert_int_equal(farthest, f->farthest);
}

static void every_recorded_machine_has_the_known_facts(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(facts); k++) {
        const struct facts *const f = &facts[k];
        const struct topo_machine m = recorded(f->name);

        print_message("%s\n", f->name);
        assert_int_equal(m.n_zones, f->zones);
        assert_int_equal(count_cpus(&m), f->cpus);
        assert_distances(&m, f);
        assert_int_equal(count_kind(&m, TOPO_GPU), f->gpus);
        assert_int_equal(count_kind(&m, TOPO_NIC), f->nics);
        assert_int_equal(count_kind(&m, TOPO_INFINIBAND), f->infiniband);
        assert_int_equal(topo_cpu_zones(&m), f->cpu_zones);
    }
}

/* --- facts about one of them --- */

static void assert_cpus(const struct topo_machine *m, uint32_t zone, const char *list)
{
    uint64_t want[TOPO_MAX_CPUS / 64];

    assert_int_equal(cpuset_parse(want, TOPO_MAX_CPUS / 64, str_of(list), NULL), 0);
    for (uint32_t cpu = 0; cpu < m->n_cpus; cpu++)
        assert_int_equal(m->cpus[cpu].zone == zone, cpuset_has(want, cpu));
}

static const struct topo_device *device(const struct topo_machine *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_devices; i++) {
        if (str_is(m->devices[i].name, name))
            return &m->devices[i];
    }
    fail_msg("no device %s", name);
    return NULL;
}

static enum topo_link link_of(const struct topo_machine *m, const char *a, const char *b)
{
    return topo_device_link(m, (uint32_t)(device(m, a) - m->devices),
                            (uint32_t)(device(m, b) - m->devices));
}

static void assert_path(const struct topo_device *d, const char *want)
{
    struct buf path = {0};

    for (uint32_t i = 0; i < d->n_path; i++)
        buf_printf(&path, "%s%.*s", i ? " " : "", STR_ARG(d->path[i]));
    assert_string_equal(path.p, want);
    buf_free(&path);
}

static void sparse_zone_ids_are_kept_and_addressed_by_index(void **state)
{
    static const uint32_t ids[] = {0, 1, 2, 33, 34, 45, 72, 73};
    const struct topo_machine m = recorded("48amd64-4pa2n6c-sparse.tar.bz2");

    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(m.zones[i].id, ids[i]);
        assert_int_equal(m.zones[i].socket, i / 2);
    }
    assert_cpus(&m, 3, "18-23");
    assert_int_equal(m.distances.d[0 * 8 + 3], 22); /* node0: 10 16 16 22 16 22 16 22 */
    assert_int_equal(m.distances.d[3 * 8 + 0], 22);
    assert_int_equal(m.distances.d[1 * 8 + 2], 22); /* node1: 16 10 22 16 ... */
    assert_int_equal(m.distances.d[2 * 8 + 6], 16); /* node2: 16 22 10 16 16 16 16 16 */
}

static void recording_order_does_not_change_the_order_of_zones(void **state)
{
    /* lstopo shows P#1 P#0 P#2 P#5 P#4 P#3 P#6 P#7, two CPUs each */
    const struct topo_machine m = recorded("16amd64-4distances.xml");

    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(m.zones[i].id, i);
    assert_cpus(&m, 0, "2-3");
    assert_cpus(&m, 1, "0-1");
    assert_cpus(&m, 3, "10-11");
    assert_int_equal(m.zones[0].memory_bytes, 8587984896);
    assert_int_equal(m.zones[0].socket, 1);
}

static void distances_follow_zones_and_not_the_matrix(void **state)
{
    /* hwloc has the zones in the order 0 2 1 3; d(0,2) = 11 in one socket, d(0,1) = 21 across */
    const struct topo_machine m = recorded("memorysidecaches.xml");

    assert_int_equal(m.distances.d[0 * 4 + 2], 11);
    assert_int_equal(m.distances.d[0 * 4 + 1], 21);
    assert_int_equal(m.zones[2].socket, 0);
    assert_int_equal(m.zones[1].socket, 1);
    assert_cpus(&m, 3, "3,7,11,15,19,23,27,31,35,39,43,47,51,55,59,63,67,71,75,79");
}

static void high_bandwidth_memory_is_a_zone_without_cpus(void **state)
{
    const struct topo_machine m = recorded("64intel64-fakeKNL-SNC4-hybrid.xml");

    assert_cpus(&m, 0, "0-3,16-19,32-35,48-51");
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(m.zones[i].read_bandwidth_mbs, 22500);
        assert_int_equal(m.zones[i + 4].read_bandwidth_mbs, 90000);
        assert_int_equal(m.zones[i + 4].write_bandwidth_mbs, 90000);
        assert_int_equal(m.zones[i + 4].read_latency_ns, 0);
        assert_int_equal(m.zones[i + 4].memory_bytes, 2147483648);
        assert_int_equal(m.zones[i + 4].socket, 0);
    }
}

static void attributes_other_than_bandwidth_and_latency_are_not_taken_for_them(void **state)
{
    const struct topo_machine m = recorded("8intel64-4n2t-memattrs.xml");

    assert_int_equal(m.zones[0].read_bandwidth_mbs, 0);
    assert_int_equal(m.zones[1].read_bandwidth_mbs, 20);
    assert_int_equal(m.zones[3].read_latency_ns, 0); /* foobar has latencies by the dozen */
    assert_int_equal(m.zones[0].socket, TOPO_NONE);
}

static void cpus_that_are_offline_belong_to_no_zone(void **state)
{
    const struct topo_machine m = recorded("nvidiaDGX2.xml"); /* cut to CPUs 0-1, 24-25 */

    assert_int_equal(m.n_cpus, 26);
    assert_cpus(&m, 0, "0-1");
    assert_cpus(&m, 1, "24-25");
    assert_int_equal(m.cpus[2].socket, TOPO_NONE);
    assert_int_equal(m.cpus[2].core, TOPO_NONE);
    assert_int_equal(m.cpus[24].socket, 1);
}

static void gpus_behind_one_nvswitch_plane_are_linked(void **state)
{
    const struct topo_machine m = recorded("nvidiaDGX2.xml");

    /* six switches on each board with 25000 MB/s to each of its eight GPUs */
    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t j = 0; j < 16; j++)
            assert_int_equal(m.link_mbs[i * 16 + j], i != j && i / 8 == j / 8 ? 150000 : 0);
    }
    assert_int_equal(link_of(&m, "nvml0", "nvml7"), TOPO_LINK_DIRECT);
    assert_int_equal(link_of(&m, "nvml0", "nvml8"), TOPO_LINK_FAR);
    assert_path(device(&m, "nvml3"),
                "0000:2b 0000:2b:00.0 0000:2c:00.0 0000:2d:0c.0 0000:37:00.0 0000:38:10.0");
    assert_int_equal(device(&m, "nvml8")->zones, 0x2);
}

/* Without their links the GPUs of the DGX-2 meet in switches. */
static void pcie_switches_are_told_from_host_bridges(void **state)
{
    struct topo_machine m = recorded("nvidiaDGX2.xml");

    m.link_mbs = NULL;
    assert_int_equal(link_of(&m, "nvml0", "nvml1"), TOPO_LINK_SWITCH);
    assert_int_equal(link_of(&m, "nvml0", "nvml2"), TOPO_LINK_BRIDGES);
    assert_int_equal(link_of(&m, "nvml0", "nvml4"), TOPO_LINK_ZONE);
    assert_int_equal(link_of(&m, "nvml0", "nvml8"), TOPO_LINK_FAR);
}

static void links_between_gpus_and_packages_are_left_out(void **state)
{
    const struct topo_machine m = recorded("power8gpudistances.xml");

    assert_int_equal(m.n_devices, 4); /* eight co-processor names, four functions */
    assert_int_equal(m.link_mbs[0 * 4 + 1], 40000);
    assert_int_equal(m.link_mbs[0 * 4 + 2], 0);
    assert_int_equal(m.link_mbs[0 * 4 + 0], 0); /* 1000000 to itself is no link */
    assert_int_equal(m.link_mbs[3 * 4 + 2], 40000);
    assert_string_equal(m.devices[0].name.p, "nvml0"); /* rather than cuda0 or opencl0d0 */
    assert_cpus(&m, 1, "80-81,88-89,96-97,104-105");
    assert_int_equal(m.cpus[81].core, 80);
}

static void threads_of_one_core_share_the_lowest_id(void **state)
{
    const struct topo_machine m = recorded("32em64t-2n8c2t-pci-wholeio.xml");

    assert_cpus(&m, 0, "0-7,16-23");
    for (uint32_t cpu = 0; cpu < 32; cpu++) {
        assert_int_equal(m.cpus[cpu].core, cpu % 16);
        assert_int_equal(m.cpus[cpu].l3, cpu % 16 / 8);
        assert_int_equal(m.cpus[cpu].socket, cpu % 16 / 8);
    }
}

static void an_infiniband_adapter_is_one_device_by_its_own_name(void **state)
{
    const struct topo_machine m = recorded("32em64t-2n8c2t-pci-wholeio.xml");

    assert_int_equal(device(&m, "mlx5_0")->kind, TOPO_INFINIBAND);
    assert_int_equal(device(&m, "mlx5_0")->zones, 0x2);
    assert_int_equal(device(&m, "eth1")->kind, TOPO_NIC);
    assert_int_equal(device(&m, "sda")->kind, TOPO_STORAGE);
    assert_int_equal(device(&m, "0000:05:03.0")->kind, TOPO_OTHER); /* Matrox: the console */
    assert_int_equal(link_of(&m, "eth0", "eth1"), TOPO_LINK_SWITCH);
    assert_int_equal(link_of(&m, "eth0", "cuda0"), TOPO_LINK_ROOT);
    assert_int_equal(link_of(&m, "mlx5_0", "cuda0"), TOPO_LINK_SWITCH);
    assert_int_equal(link_of(&m, "mlx5_0", "sda"), TOPO_LINK_FAR);
}

static void virtual_functions_are_devices_by_their_address(void **state)
{
    const struct topo_machine m = recorded("16intel64-manyVFs.xml");

    assert_int_equal(device(&m, "0000:0b:00.3")->kind, TOPO_NIC);
    assert_string_equal(device(&m, "eth4")->pci.p, "0000:0b:00.0");
    assert_int_equal(link_of(&m, "eth4", "0000:0b:00.3"), TOPO_LINK_SWITCH);
    assert_int_equal(link_of(&m, "eth4", "eth5"), TOPO_LINK_SWITCH);
    assert_int_equal(link_of(&m, "eth4", "eth0"), TOPO_LINK_ROOT);
    assert_int_equal(link_of(&m, "eth4", "eth6"), TOPO_LINK_FAR);
}

static void zones_around_several_packages_have_the_lowest_of_them(void **state)
{
    const struct topo_machine m = recorded("96em64t-4n4d3ca2co-pci.xml");

    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(m.zones[i].socket, 4 * i);
    assert_int_equal(device(&m, "eth7")->zones, 0x8);
    assert_int_equal(link_of(&m, "sda", "eth0"), TOPO_LINK_ZONE); /* two host bridges of zone 0 */
}

/* sys/bus/pci/devices/.../numa_node is 2 for 43:00.0 and -1 for the others. */
static void the_kernels_word_on_a_devices_zone_is_taken(void **state)
{
    const struct topo_machine m = recorded("40intel64-2g2n4c+pcilocality.tar.bz2");

    assert_int_equal(device(&m, "qib0")->kind, TOPO_INFINIBAND);
    assert_int_equal(device(&m, "qib0")->zones, 0x4);
    assert_int_equal(device(&m, "qib0")->speed_mbps, 40000);
    assert_int_equal(device(&m, "eth0")->zones, 0);
    assert_int_equal(device(&m, "eth0")->speed_mbps, 1000);
    assert_int_equal(device(&m, "eth3")->speed_mbps, 0);
    assert_cpus(&m, 2, "2,6,10,14,18,22,26,30,34,38");
}

/* The recorder ran in a cgroup with 2 of 4 zones; the kubelet sees all. */
static void a_cgroup_does_not_hide_zones(void **state)
{
    const struct topo_machine m = recorded("16amd64-4n4c-cgroup-distance-merge.tar.bz2");

    assert_cpus(&m, 0, "0-3");
    assert_int_equal(m.zones[3].n_hugepages, 1);
    assert_int_equal(m.zones[3].hugepages[0].page_bytes, 2097152);
    assert_int_equal(m.zones[3].hugepages[0].count, 512);
    assert_int_equal(m.zones[3].memory_bytes, 8589934592);
}

static void zones_left_out_of_a_recording_take_their_cpus_along(void **state)
{
    const struct topo_machine m = recorded("16amd64-8n2c-cpusets.xml");

    assert_int_equal(m.zones[0].id, 1);
    assert_int_equal(m.zones[4].id, 5);
    assert_cpus(&m, 0, "2-3");
    assert_int_equal(m.cpus[0].zone, TOPO_NONE); /* of zone 0 */
    assert_int_equal(m.cpus[0].core, TOPO_NONE);
}

/* --- recordings with one thing changed --- */

static char *write_file(const char *text, size_t n)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/file.xml", directory);
    FILE *const f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* `now` is as long as `was`. */
static struct topo_machine changed(const char *name, const char *was, const char *now)
{
    struct topo_machine m = {0};
    struct buf text = {0};

    assert_int_equal(test_data_read(name, &text), 0);
    char *const at = memmem(text.p, text.n, was, strlen(was));
    assert_non_null(at);
    assert_int_equal(strlen(was), strlen(now));
    memcpy(at, now, strlen(now));
    make_directory();
    const int rc = discover(&m, TOPO_SOURCE_XML, write_file(text.p, text.n), NULL);
    remove_directory();
    buf_free(&text);
    assert_int_equal(rc, 0);
    return m;
}

static void rows_of_distances_stay_rows(void **state)
{
    const struct topo_machine m =
        changed("machines/nvidiaDGX2.xml", ">10 21 21 10 <", ">10 21 31 10 <");

    assert_int_equal(m.distances.d[0 * 2 + 1], 21);
    assert_int_equal(m.distances.d[1 * 2 + 0], 31);
}

static void memory_out_of_reach_keeps_its_255(void **state)
{
    const char *const row = ">10 21 11 21 21 10 21 11 11 21 <";
    const struct topo_machine m =
        changed("machines/memorysidecaches.xml", row, ">10 255 11 21 21 10 21 11 11 21<");

    assert_true(m.has_distances);
    assert_int_equal(m.distances.d[0 * 4 + 1], 255);
    assert_int_equal(m.distances.d[1 * 4 + 0], 21);
}

/* 9 would be nearer than local. */
static void a_table_that_is_no_slit_is_not_taken_for_one(void **state)
{
    const struct topo_machine m =
        changed("machines/memorysidecaches.xml", ">10 21 11 21 21 ", ">10 255 11 21 9 ");

    assert_false(m.has_distances);
    assert_int_equal(m.distances.d[0 * 4 + 1], TOPO_REMOTE);
}

/* Two GPUs with a link to one package have no link of their own because of it. */
static void only_switches_join_links(void **state)
{
    const struct topo_machine m =
        changed("machines/power8gpudistances.xml", ">1000000 40000 0 0 40000 0 40000 1000000 0 0 <",
                ">1000000 00000 0 0 40000 0 00000 1000000 0 0 <");

    assert_int_equal(m.link_mbs[0 * 4 + 1], 0);
    assert_int_equal(m.link_mbs[2 * 4 + 3], 40000);
}

/* --- other sources --- */

static void a_description_makes_a_machine(void **state)
{
    struct topo_machine m;

    assert_int_equal(
        discover(&m, TOPO_SOURCE_SYNTHETIC, "package:2 numa:2(memory=8GiB) core:4 pu:2", NULL), 0);
    assert_int_equal(m.n_zones, 4);
    assert_int_equal(m.n_cpus, 32);
    assert_false(m.has_distances);
    assert_int_equal(m.zones[3].socket, 1);
    assert_int_equal(m.zones[3].memory_bytes, 8589934592);
    assert_cpus(&m, 3, "24-31");
    assert_int_equal(m.cpus[31].core, 30);
}

static void this_machine_can_be_read(void **state)
{
    struct topo_machine m;
    struct err err = {0};

    if (discover(&m, TOPO_SOURCE_HERE, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_in_range(m.n_zones, 1, TOPO_MAX_ZONES);
    assert_int_equal(count_cpus(&m), sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_not_equal(topo_cpu_zones(&m), 0);
}

static void the_environment_gives_no_orders(void **state)
{
    struct topo_machine m;

    setenv("HWLOC_SYNTHETIC", "package:7 core:1 pu:1", 1);
    assert_int_equal(discover(&m, TOPO_SOURCE_SYNTHETIC, "package:2 core:1 pu:1", NULL), 0);
    assert_int_equal(m.n_cpus, 2);
    assert_int_equal(discover(&m, TOPO_SOURCE_HERE, NULL, NULL), 0);
    assert_int_equal(count_cpus(&m), sysconf(_SC_NPROCESSORS_ONLN));
    unsetenv("HWLOC_SYNTHETIC");
    assert_null(getenv("HWLOC_FSROOT")); /* nor does the importer leave any */
}

/* --- refusals --- */

static void assert_refused(enum topo_source_kind kind, const char *text, int code,
                           const char *words)
{
    struct topo_machine m = {.n_zones = 77};
    struct err err = {0};

    assert_int_equal(discover(&m, kind, text, &err), code);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, text));
    assert_non_null(strstr(err.text, words));
    assert_int_equal(m.n_zones, 77);
}

static void assert_text_refused(const char *text, const char *words)
{
    make_directory();
    assert_refused(TOPO_SOURCE_XML, write_file(text, strlen(text)), -EPROTO, words);
    remove_directory();
}

static void what_is_not_there_or_no_topology_is_refused_by_name(void **state)
{
    assert_refused(TOPO_SOURCE_XML, "/nonexistent.xml", -ENOENT, "No such file");
    assert_refused(TOPO_SOURCE_XML, "/tmp", -EISDIR, "directory");
    assert_text_refused("", "empty");
    assert_text_refused("not XML at all", "hwloc cannot read");
    assert_text_refused("<?xml version=\"1.0\"?><html/>", "hwloc cannot read");
    assert_text_refused("<?xml version=\"1.0\"?>\n<topology version=\"3.0\">\n</topology>\n",
                        "hwloc 3");
    assert_refused(TOPO_SOURCE_SYNTHETIC, "nonsense:2", -EINVAL, "does not understand");
    assert_refused(TOPO_SOURCE_FSROOT, "/nonexistent", -ENOENT, "No such file");
    assert_refused(TOPO_SOURCE_FSROOT, "/dev", -ENOENT, "sys/devices/system/cpu");
}

static void machines_beyond_the_limits_are_refused(void **state)
{
    assert_refused(TOPO_SOURCE_SYNTHETIC, "numa:65 pu:1", -E2BIG, "65 NUMA zones");
    assert_refused(TOPO_SOURCE_SYNTHETIC, "numa:1 core:64 pu:65", -E2BIG, "4096 CPUs");
}

/* A pipe that nobody writes to hangs whoever reads it. */
static void a_source_that_hangs_is_given_up(void **state)
{
    struct topo_source src = {.kind = TOPO_SOURCE_XML, .limit_ms = 200};
    struct topo_machine m = {.n_zones = 77};
    struct err err = {0};
    char path[256];

    make_directory();
    (void)snprintf(path, sizeof(path), "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    src.text = path;
    arena_init(&arena, room, TOPO_DISCOVER_ARENA_BYTES);
    assert_int_equal(topo_discover(&m, &src, &arena, &err), -ETIMEDOUT);
    remove_directory();
    assert_non_null(strstr(err.text, "200 ms"));
    assert_int_equal(m.n_zones, 77);
}

static void a_small_arena_is_an_error_and_leaves_no_trace(void **state)
{
    const struct topo_source src = {.kind = TOPO_SOURCE_SYNTHETIC, .text = "numa:2 pu:2"};
    struct topo_machine m = {.n_zones = 77};
    struct arena a;

    arena_init(&a, room, 64);
    assert_int_equal(topo_discover(&m, &src, &a, NULL), -ENOMEM);
    assert_int_equal(m.n_zones, 77);
    assert_int_equal(arena_mark(&a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_machine_has_the_known_facts),
        cmocka_unit_test(sparse_zone_ids_are_kept_and_addressed_by_index),
        cmocka_unit_test(recording_order_does_not_change_the_order_of_zones),
        cmocka_unit_test(distances_follow_zones_and_not_the_matrix),
        cmocka_unit_test(high_bandwidth_memory_is_a_zone_without_cpus),
        cmocka_unit_test(attributes_other_than_bandwidth_and_latency_are_not_taken_for_them),
        cmocka_unit_test(cpus_that_are_offline_belong_to_no_zone),
        cmocka_unit_test(gpus_behind_one_nvswitch_plane_are_linked),
        cmocka_unit_test(pcie_switches_are_told_from_host_bridges),
        cmocka_unit_test(links_between_gpus_and_packages_are_left_out),
        cmocka_unit_test(threads_of_one_core_share_the_lowest_id),
        cmocka_unit_test(an_infiniband_adapter_is_one_device_by_its_own_name),
        cmocka_unit_test(virtual_functions_are_devices_by_their_address),
        cmocka_unit_test(zones_around_several_packages_have_the_lowest_of_them),
        cmocka_unit_test(the_kernels_word_on_a_devices_zone_is_taken),
        cmocka_unit_test(a_cgroup_does_not_hide_zones),
        cmocka_unit_test(zones_left_out_of_a_recording_take_their_cpus_along),
        cmocka_unit_test(rows_of_distances_stay_rows),
        cmocka_unit_test(memory_out_of_reach_keeps_its_255),
        cmocka_unit_test(a_table_that_is_no_slit_is_not_taken_for_one),
        cmocka_unit_test(only_switches_join_links),
        cmocka_unit_test(a_description_makes_a_machine),
        cmocka_unit_test(this_machine_can_be_read),
        cmocka_unit_test(the_environment_gives_no_orders),
        cmocka_unit_test(what_is_not_there_or_no_topology_is_refused_by_name),
        cmocka_unit_test(machines_beyond_the_limits_are_refused),
        cmocka_unit_test(a_source_that_hangs_is_given_up),
        cmocka_unit_test(a_small_arena_is_an_error_and_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
