/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "topology/model.h"

static char room[64 * 1024];
static const uint32_t skewed[] = {10, 31, 21, 10};

static void a_matrix_keeps_rows_and_columns_apart(void **state)
{
    struct arena a;
    struct topo_matrix m;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(topo_matrix_init(&m, 2, skewed, &a, NULL), 0);
    assert_int_equal(m.n, 2);
    assert_ptr_not_equal(m.d, skewed);
    assert_int_equal(m.d[1], 31);
    assert_int_equal(m.d[2], 21);
}

static void a_bad_matrix_is_refused_and_the_entry_named(void **state)
{
    static const struct {
        uint32_t n, d[4];
        const char *named;
    } cases[] = {
        {0, {10}, "0 zones"},
        {65, {10}, "65 zones"},
        {2, {10, 20, 20, 11}, "[1][1]"},
        {2, {255, 20, 20, 10}, "[0][0]"},
        {2, {0, 20, 20, 10}, "[0][0]"},
        {2, {10, 9, 20, 10}, "[0][1]"},
        {2, {10, 20, 256, 10}, "[1][0]"},
        {2, {10, 0, 20, 10}, "[0][1]"},
    };

    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct arena a;
        struct err err = {0};
        struct topo_matrix m = {.n = 77};

        arena_init(&a, room, sizeof(room));
        assert_int_equal(topo_matrix_init(&m, cases[k].n, cases[k].d, &a, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[k].named));
        assert_int_equal(m.n, 77);
        assert_int_equal(arena_mark(&a), 0);
    }
}

static void both_ends_of_the_scale_are_distances(void **state)
{
    static const uint32_t d[] = {10, 10, 255, 10};
    struct arena a;
    struct topo_matrix m;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(topo_matrix_init(&m, 2, d, &a, NULL), 0);
}

static void sixty_four_zones_are_the_most(void **state)
{
    static uint32_t d[TOPO_MAX_ZONES * TOPO_MAX_ZONES];
    struct arena a;
    struct topo_matrix m;

    for (uint32_t i = 0; i < ARRAY_LEN(d); i++)
        d[i] = i / TOPO_MAX_ZONES == i % TOPO_MAX_ZONES ? 10 : 20;
    arena_init(&a, room, sizeof(room));
    assert_int_equal(topo_matrix_init(&m, TOPO_MAX_ZONES, d, &a, NULL), 0);
}

static void the_default_is_local_on_the_diagonal_and_remote_elsewhere(void **state)
{
    struct arena a;
    struct topo_matrix m;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(topo_matrix_init_default(&m, 3, &a), 0);
    assert_int_equal(m.n, 3);
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(m.d[i], i == 0 || i == 4 || i == 8 ? 10 : 20);
}

/* 2 x 2 distances are 16 bytes; a smaller arena leaves no trace. */
static void matrices_survive_every_arena_size(void **state)
{
    _Alignas(max_align_t) char buf[64];

    for (size_t size = 0; size <= sizeof(buf); size++) {
        struct topo_matrix m = {.n = 77}, def = {.n = 77};
        struct arena a;

        arena_init(&a, buf, size);
        const int rc = topo_matrix_init(&m, 2, skewed, &a, NULL);
        assert_int_equal(rc, size < 16 ? -ENOMEM : 0);
        assert_int_equal(m.n, rc < 0 ? 77 : 2);
        arena_rewind(&a, 0);
        arena_init(&a, buf, size);
        assert_int_equal(topo_matrix_init_default(&def, 2, &a), rc);
        assert_int_equal(def.n, rc < 0 ? 77 : 2);
        arena_rewind(&a, 0);
    }
}

/* Zones 0, 2, 5 and a CPU-less 7; sockets 0, 0, 1, none. */
static const struct topo_zone zones[] = {
    {.id = 0, .socket = 0},
    {.id = 2, .socket = 0},
    {.id = 5, .socket = 1},
    {.id = 7, .socket = TOPO_NONE},
};

static void zones_are_found_by_their_linux_id(void **state)
{
    const struct topo_machine m = {.n_zones = 4, .zones = zones};

    assert_int_equal(topo_zone_index(&m, 0), 0);
    assert_int_equal(topo_zone_index(&m, 2), 1);
    assert_int_equal(topo_zone_index(&m, 7), 3);
    assert_int_equal(topo_zone_index(&m, 1), -1);
    assert_int_equal(topo_zone_index(&m, UINT32_MAX), -1);
}

static void only_zones_with_an_online_cpu_are_cpu_zones(void **state)
{
    static const struct topo_cpu cpus[] = {{.zone = 2}, {.zone = TOPO_NONE}, {.zone = 0}};
    const struct topo_machine m = {.n_zones = 4, .zones = zones, .n_cpus = 3, .cpus = cpus};

    assert_int_equal(topo_cpu_zones(&m), 0x5); /* indices 0 and 2 */
}

#define PATH(...)                                                                                  \
    .path = (const struct str[]){__VA_ARGS__},                                                     \
    .n_path = sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str)
#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/*
 * One host bridge 0000:16 of zone 0: a root port 16:00.0 with a switch (up 17:00.0, down 18:00.0
 * and 18:01.0, below the latter a second switch), and a root port 16:01.0. Others elsewhere.
 */
static const struct topo_device devices[] = {
    {.zones = 1, PATH(S("0000:16"), S("16:00.0"), S("17:00.0"), S("18:00.0"))},
    {.zones = 1, PATH(S("0000:16"), S("16:00.0"), S("17:00.0"), S("18:01.0"))},
    {.zones = 1,
     PATH(S("0000:16"), S("16:00.0"), S("17:00.0"), S("18:01.0"), S("1a:00.0"), S("1b:00.0"))},
    {.zones = 1, PATH(S("0000:16"), S("16:01.0"))},
    {.zones = 1, PATH(S("0000:30"), S("16:00.0"))}, /* 4: another host bridge of zone 0 */
    {.zones = 2, PATH(S("0000:50"))},               /* 5: zone 2, same socket */
    {.zones = 4, PATH(S("0000:70"))},               /* 6: zone 5, other socket */
    {.zones = 8, PATH(S("0000:90"))},               /* 7: zone 7, which has no socket */
    {.zones = 0},                                   /* 8: nobody knows */
    {.zones = 3, PATH(S("0000:a0"))},               /* 9: a whole socket */
    {.zones = 8, PATH(S("0000:b0"))},               /* 10: zone 7 as well */
    {.zones = 1, PATH(S("0000:16"))},               /* 11: on the root itself */
    {.zones = 1, PATH(S("0000:16"))},               /* 12: likewise */
    {.zones = 1, PATH(S("0000:16"), S("16:01.0"))}, /* 13: second function of 3 */
};
enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

static struct topo_machine device_machine(void)
{
    return (struct topo_machine){
        .n_zones = 4, .zones = zones, .n_devices = DEVICES, .devices = devices};
}

static void two_devices_meet_where_their_paths_part(void **state)
{
    static const struct {
        uint32_t a, b;
        enum topo_link want;
    } cases[] = {
        {0, 0, TOPO_LINK_SELF},    {8, 8, TOPO_LINK_SELF},
        {0, 1, TOPO_LINK_SWITCH},  /* two ports of one switch */
        {3, 13, TOPO_LINK_SWITCH}, /* functions below one port */
        {0, 2, TOPO_LINK_BRIDGES}, /* a switch behind the switch */
        {1, 2, TOPO_LINK_BRIDGES}, /* two more bridges below the port of 1 */
        {0, 3, TOPO_LINK_ROOT},    {2, 3, TOPO_LINK_ROOT},
        {11, 12, TOPO_LINK_ROOT},  {0, 11, TOPO_LINK_ROOT},
        {0, 4, TOPO_LINK_ZONE}, /* equal bridge names below unequal roots do not count */
        {0, 5, TOPO_LINK_SOCKET},  {0, 6, TOPO_LINK_FAR},
        {6, 7, TOPO_LINK_FAR}, /* no socket is nobody's neighbour */
        {7, 10, TOPO_LINK_ZONE},   {0, 8, TOPO_LINK_FAR},
        {0, 9, TOPO_LINK_ZONE},    {6, 9, TOPO_LINK_FAR},
    };
    const struct topo_machine m = device_machine();

    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        assert_int_equal(topo_device_link(&m, cases[k].a, cases[k].b), cases[k].want);
        assert_int_equal(topo_device_link(&m, cases[k].b, cases[k].a), cases[k].want);
    }
}

static void two_zones_without_a_socket_are_not_of_one_socket(void **state)
{
    static const struct topo_zone lone[] = {{.id = 0, .socket = TOPO_NONE},
                                            {.id = 1, .socket = TOPO_NONE}};
    static const struct topo_device two[] = {{.zones = 1}, {.zones = 2}};
    const struct topo_machine m = {.n_zones = 2, .zones = lone, .n_devices = 2, .devices = two};

    assert_int_equal(topo_device_link(&m, 0, 1), TOPO_LINK_FAR);
}

static void a_link_of_their_own_beats_every_path(void **state)
{
    static uint32_t link[DEVICES * DEVICES];
    struct topo_machine m = device_machine();

    link[0 * DEVICES + 6] = link[6 * DEVICES + 0] = 25000;
    m.link_mbs = link;
    assert_int_equal(topo_device_link(&m, 0, 6), TOPO_LINK_DIRECT);
    assert_int_equal(topo_device_link(&m, 6, 0), TOPO_LINK_DIRECT);
    assert_int_equal(topo_device_link(&m, 0, 1), TOPO_LINK_SWITCH);
    assert_int_equal(topo_device_link(&m, 6, 6), TOPO_LINK_SELF);
}

static void on_a_machine_of_one_zone_unknown_means_that_zone(void **state)
{
    static const struct topo_device two[] = {{.zones = 0}, {.zones = 1}};
    const struct topo_machine m = {.n_zones = 1, .zones = zones, .n_devices = 2, .devices = two};

    assert_int_equal(topo_device_link(&m, 0, 1), TOPO_LINK_ZONE);
}

static void links_and_kinds_have_the_words_people_know(void **state)
{
    assert_string_equal(topo_link_text(TOPO_LINK_SELF), "X");
    assert_string_equal(topo_link_text(TOPO_LINK_DIRECT), "NV");
    assert_string_equal(topo_link_text(TOPO_LINK_SWITCH), "PIX");
    assert_string_equal(topo_link_text(TOPO_LINK_BRIDGES), "PXB");
    assert_string_equal(topo_link_text(TOPO_LINK_ROOT), "PHB");
    assert_string_equal(topo_link_text(TOPO_LINK_ZONE), "NODE");
    assert_string_equal(topo_link_text(TOPO_LINK_SOCKET), "SOCK");
    assert_string_equal(topo_link_text(TOPO_LINK_FAR), "SYS");
    assert_string_equal(topo_device_kind_text(TOPO_GPU), "gpu");
    assert_string_equal(topo_device_kind_text(TOPO_NIC), "nic");
    assert_string_equal(topo_device_kind_text(TOPO_INFINIBAND), "infiniband");
    assert_string_equal(topo_device_kind_text(TOPO_STORAGE), "storage");
    assert_string_equal(topo_device_kind_text(TOPO_OTHER), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_keeps_rows_and_columns_apart),
        cmocka_unit_test(a_bad_matrix_is_refused_and_the_entry_named),
        cmocka_unit_test(both_ends_of_the_scale_are_distances),
        cmocka_unit_test(sixty_four_zones_are_the_most),
        cmocka_unit_test(the_default_is_local_on_the_diagonal_and_remote_elsewhere),
        cmocka_unit_test(matrices_survive_every_arena_size),
        cmocka_unit_test(zones_are_found_by_their_linux_id),
        cmocka_unit_test(only_zones_with_an_online_cpu_are_cpu_zones),
        cmocka_unit_test(two_devices_meet_where_their_paths_part),
        cmocka_unit_test(two_zones_without_a_socket_are_not_of_one_socket),
        cmocka_unit_test(a_link_of_their_own_beats_every_path),
        cmocka_unit_test(on_a_machine_of_one_zone_unknown_means_that_zone),
        cmocka_unit_test(links_and_kinds_have_the_words_people_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
