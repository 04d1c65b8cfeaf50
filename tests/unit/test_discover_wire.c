/* SPDX-License-Identifier: Apache-2.0 */
/* The format on the pipe: what goes in comes out, and nothing else is believed. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "topology/discover.h"
#include "topology/model.h"

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct topo_pages pages[] = {{2097152, 512}, {1073741824, 3}};
static const struct topo_zone zones[] = {
    {.id = 0, .socket = 0, .memory_bytes = 8589934592, .hugepages = pages, .n_hugepages = 2},
    {.id = 33,
     .socket = TOPO_NONE,
     .memory_bytes = 1,
     .read_bandwidth_mbs = 22500,
     .write_bandwidth_mbs = 11250,
     .read_latency_ns = 90,
     .write_latency_ns = 91},
};
static const uint32_t distances[] = {10, 255, 20, 10};
static const struct topo_cpu cpus[] = {
    {0, 0, 0, 5}, {TOPO_NONE, TOPO_NONE, TOPO_NONE, TOPO_NONE}, {0, 1, 0, TOPO_NONE}};
static const struct str path[] = {T("0000:16"), T("0000:16:00.0")};
static const struct topo_device devices[] = {
    {.name = T("nvml0"),
     .kind = TOPO_GPU,
     .pci = T("0000:17:00.0"),
     .zones = 1,
     .path = path,
     .n_path = 2},
    {.name = T("dax0"), .kind = TOPO_OTHER, .pci = T(""), .zones = 3, .speed_mbps = 4000000000},
};
static const uint32_t links[] = {0, 25000, 24000, 0};

static const struct topo_machine whole = {
    .n_zones = 2,
    .zones = zones,
    .distances = {2, distances},
    .has_distances = true,
    .n_cpus = 3,
    .cpus = cpus,
    .n_devices = 2,
    .devices = devices,
    .link_mbs = links,
};

static void assert_device(const struct topo_device *got, const struct topo_device *want)
{
    assert_true(str_eq(got->name, want->name));
    assert_int_equal(got->kind, want->kind);
    assert_true(str_eq(got->pci, want->pci));
    assert_int_equal(got->zones, want->zones);
    assert_int_equal(got->speed_mbps, want->speed_mbps);
    assert_int_equal(got->n_path, want->n_path);
    for (uint32_t i = 0; i < want->n_path; i++)
        assert_true(str_eq(got->path[i], want->path[i]));
}

static void assert_zone(const struct topo_zone *got, const struct topo_zone *want)
{
    assert_int_equal(got->id, want->id);
    assert_int_equal(got->socket, want->socket);
    assert_int_equal(got->memory_bytes, want->memory_bytes);
    assert_int_equal(got->read_bandwidth_mbs, want->read_bandwidth_mbs);
    assert_int_equal(got->write_bandwidth_mbs, want->write_bandwidth_mbs);
    assert_int_equal(got->read_latency_ns, want->read_latency_ns);
    assert_int_equal(got->write_latency_ns, want->write_latency_ns);
    assert_int_equal(got->n_hugepages, want->n_hugepages);
    if (want->n_hugepages)
        assert_memory_equal(got->hugepages, want->hugepages, sizeof(pages));
}

static void assert_whole(const struct topo_machine *got)
{
    assert_int_equal(got->n_zones, 2);
    assert_zone(&got->zones[0], &zones[0]);
    assert_zone(&got->zones[1], &zones[1]);
    assert_true(got->has_distances);
    assert_int_equal(got->distances.n, 2);
    assert_memory_equal(got->distances.d, distances, sizeof(distances));
    assert_int_equal(got->n_cpus, 3);
    assert_memory_equal(got->cpus, cpus, sizeof(cpus));
    assert_int_equal(got->n_devices, 2);
    assert_device(&got->devices[0], &devices[0]);
    assert_device(&got->devices[1], &devices[1]);
    assert_memory_equal(got->link_mbs, links, sizeof(links));
}

static char room[1 << 20];

static void what_is_written_is_read(void **state)
{
    struct topo_machine m = {0};
    struct buf wire = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    topo_wire_encode(&wire, &whole);
    assert_int_equal(topo_wire_decode(&m, buf_view(&wire), &a, NULL), 0);
    assert_whole(&m);
    arena_rewind(&a, 0);
    buf_free(&wire);
}

static void without_distances_and_links_the_defaults_are_made(void **state)
{
    struct topo_machine bare = whole, m = {0};
    struct buf wire = {0};
    struct arena a;

    bare.has_distances = false;
    bare.link_mbs = NULL;
    arena_init(&a, room, sizeof(room));
    topo_wire_encode(&wire, &bare);
    assert_int_equal(topo_wire_decode(&m, buf_view(&wire), &a, NULL), 0);
    assert_false(m.has_distances);
    assert_int_equal(m.distances.d[0], TOPO_LOCAL);
    assert_int_equal(m.distances.d[1], TOPO_REMOTE);
    assert_null(m.link_mbs);
    arena_rewind(&a, 0);
    buf_free(&wire);
}

/* Success or no trace, whatever room there is; and there is a size from which it is success. */
static void decoding_survives_every_arena_size(void **state)
{
    struct buf wire = {0};
    int rc = -ENOMEM;

    topo_wire_encode(&wire, &whole);
    for (size_t size = 0; size < 8192 && rc != 0; size++) {
        struct topo_machine m = {.n_zones = 77};
        struct arena a;

        arena_init(&a, room, size);
        rc = topo_wire_decode(&m, buf_view(&wire), &a, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        if (rc < 0) {
            assert_int_equal(m.n_zones, 77);
            assert_int_equal(arena_mark(&a), 0);
        } else {
            assert_whole(&m);
        }
        arena_rewind(&a, 0);
    }
    assert_int_equal(rc, 0);
    buf_free(&wire);
}

static int decode(struct str bytes)
{
    struct topo_machine m = {.n_zones = 77};
    struct err err = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    const int rc = topo_wire_decode(&m, bytes, &a, &err);
    if (rc < 0) {
        assert_int_equal(m.n_zones, 77);
        assert_int_equal(arena_mark(&a), 0);
        assert_int_not_equal(err.text[0], 0);
    }
    arena_rewind(&a, 0);
    return rc;
}

static void a_machine_cut_anywhere_is_refused(void **state)
{
    struct buf wire = {0};

    topo_wire_encode(&wire, &whole);
    for (size_t n = 0; n < wire.n; n++) {
        char *const exact = malloc(n + 1); /* AddressSanitizer sees who reads further */

        assert_non_null(exact);
        memcpy(exact, wire.p, n);
        assert_int_equal(decode((struct str){exact, n}), -EPROTO);
        free(exact);
    }
    buf_add(&wire, "", 1);
    assert_int_equal(decode(buf_view(&wire)), -EPROTO); /* something follows */
    buf_free(&wire);
}

/* Each byte, each value: a machine or a refusal. */
static void no_single_byte_can_do_harm(void **state)
{
    struct buf wire = {0};

    topo_wire_encode(&wire, &whole);
    for (size_t i = 0; i < wire.n; i++) {
        const char was = wire.p[i];

        for (int value = 0; value < 256; value++) {
            wire.p[i] = (char)value;
            const int rc = decode(buf_view(&wire));
            assert_true(rc == 0 || rc == -EPROTO);
        }
        wire.p[i] = was;
    }
    buf_free(&wire);
}

static int decode_machine(const struct topo_machine *m)
{
    struct buf wire = {0};

    topo_wire_encode(&wire, m);
    const int rc = decode(buf_view(&wire));
    buf_free(&wire);
    return rc;
}

static void references_to_nothing_are_refused(void **state)
{
    static const struct topo_zone same[] = {{.id = 3}, {.id = 3}};
    static const struct topo_cpu lost[] = {{2, 0, 0, 0}, {0}, {0}};
    static const struct topo_cpu core[] = {{0, 0, 3, 0}, {0}, {0}};
    static const struct topo_device far[] = {{.name = T("a"), .zones = 4}, {.name = T("b")}};
    static const struct topo_device control[] = {{.name = T("a\n")}, {.name = T("b")}};
    static const uint32_t bad[] = {10, 9, 20, 10};
    struct topo_machine m = whole;

    m.zones = same;
    assert_int_equal(decode_machine(&m), -EPROTO);
    m = whole, m.cpus = lost;
    assert_int_equal(decode_machine(&m), -EPROTO);
    m = whole, m.cpus = core;
    assert_int_equal(decode_machine(&m), -EPROTO);
    m = whole, m.devices = far;
    assert_int_equal(decode_machine(&m), -EPROTO);
    m = whole, m.devices = control;
    assert_int_equal(decode_machine(&m), -EPROTO);
    m = whole, m.distances.d = bad;
    assert_int_equal(decode_machine(&m), -EPROTO);
    assert_int_equal(decode_machine(&whole), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(without_distances_and_links_the_defaults_are_made),
        cmocka_unit_test(decoding_survives_every_arena_size),
        cmocka_unit_test(a_machine_cut_anywhere_is_refused),
        cmocka_unit_test(no_single_byte_can_do_harm),
        cmocka_unit_test(references_to_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
