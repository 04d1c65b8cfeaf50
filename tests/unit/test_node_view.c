/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from a machine: dense numbers for its units, sizes, sums; and copies of a state. */
#include "scoring/node_view.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "tests/support/test.h"
#include "topology/cpuset.h"

enum { ROOM = 1 << 14 };

struct fixture {
    struct arena a;
    struct node_view v;
    uint64_t reserved[2];
    _Alignas(max_align_t) char room[ROOM];
};

static void complete(struct fixture *f, const struct topo_cpu *cpus, uint32_t n, uint32_t zones)
{
    arena_init(&f->a, f->room, ROOM);
    f->v = (struct node_view){.machine = {.n_zones = zones, .n_cpus = n, .cpus = cpus},
                              .cpu_words = cpuset_words(n),
                              .cpu_reserved = f->reserved};
    assert_int_equal(node_view_complete(&f->v, &f->a), 0);
}

#define ABSENT                                                                                     \
    {                                                                                              \
        TOPO_NONE, 3, 9, 9                                                                         \
    }

/* Ids as kernels give them: sockets 7 and 36, cores far apart, L3 ids beyond 64, absent CPUs. */
static const struct topo_cpu holes[] = {
    {1, 36, 400, 65535}, /* 0 */
    ABSENT,              /* 1 */
    {0, 7, 2, 64},       /* 2 */
    {0, 7, 2, 64},       /* 3 */
    {1, 36, 63, 130},    /* 4 */
    ABSENT,              /* 5 */
    {0, 7, 6, 64},       /* 6 */
};

static void units_are_numbered_in_the_order_of_their_ids(void **state)
{
    static struct fixture f;
    /* cores 2 6 63 400; L3 64 130 65535; sockets 7 36 */
    static const struct node_cpu want[] = {
        [0] = {1, 1, 3, 2}, [2] = {0, 0, 0, 0}, [3] = {0, 0, 0, 0},
        [4] = {1, 1, 2, 1}, [6] = {0, 0, 1, 0},
    };

    complete(&f, holes, ARRAY_LEN(holes), 2);
    for (uint32_t i = 0; i < ARRAY_LEN(holes); i++) {
        const struct node_cpu *const got = &f.v.cpus.cpu[i];

        assert_int_equal(got->zone, holes[i].zone);
        if (got->zone == TOPO_NONE)
            continue;
        assert_int_equal(got->socket, want[i].socket);
        assert_int_equal(got->core, want[i].core);
        assert_int_equal(got->l3, want[i].l3);
    }
    arena_rewind(&f.a, 0);
}

static void units_know_their_sizes_and_absent_cpus_count_nowhere(void **state)
{
    static struct fixture f;

    complete(&f, holes, ARRAY_LEN(holes), 2);
    const struct node_cpus *const c = &f.v.cpus;

    assert_int_equal(c->n_present, 5);
    assert_int_equal(c->n_sockets, 2);
    assert_int_equal(c->n_cores, 4);
    assert_int_equal(c->n_l3, 3);
    assert_true(c->socket_n[0] == 3 && c->socket_n[1] == 2);
    assert_true(c->core_n[0] == 2 && c->core_n[1] == 1 && c->core_n[2] == 1 && c->core_n[3] == 1);
    assert_true(c->l3_n[0] == 3 && c->l3_n[1] == 1 && c->l3_n[2] == 1);
    assert_true(c->zone_n[0] == 3 && c->zone_n[1] == 2);
    assert_int_equal(c->zone_set[0], 1 << 2 | 1 << 3 | 1 << 6);
    assert_int_equal(c->zone_set[1], 1 << 0 | 1 << 4);
    assert_int_equal(c->zones, 3);
    assert_int_equal(c->spread, 1);
    assert_false(c->regular); /* cores of 2 and 1 */
    arena_rewind(&f.a, 0);
}

/* Regular is what has sockets of one size and cores of one size, whatever its zones. */
static void a_machine_is_regular_where_its_averages_are_true(void **state)
{
    static struct fixture f;
    struct topo_cpu cpus[] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 2, 0}, {0, 0, 2, 0},
                              {1, 1, 4, 1}, {1, 1, 4, 1}, {2, 1, 6, 1}, {2, 1, 6, 1}};
    /* zones of two sockets each; then one more zone than sockets, the first in two of them */
    const struct topo_cpu wide[] = {{0, 0, 0, 0}, {0, 1, 1, 0}, {1, 2, 2, 1}, {1, 3, 3, 1}};
    const struct topo_cpu twice[] = {{0, 0, 0, 0}, {0, 1, 1, 0}, {1, 0, 2, 1}, {2, 1, 3, 1}};

    complete(&f, wide, ARRAY_LEN(wide), 2);
    assert_true(f.v.cpus.regular);
    arena_rewind(&f.a, 0);
    complete(&f, twice, ARRAY_LEN(twice), 3);
    assert_false(f.v.cpus.regular);
    arena_rewind(&f.a, 0);

    complete(&f, cpus, ARRAY_LEN(cpus), 3);
    assert_true(f.v.cpus.regular);
    arena_rewind(&f.a, 0);
    cpus[7].core = 7; /* a core less, a core more */
    complete(&f, cpus, ARRAY_LEN(cpus), 3);
    assert_false(f.v.cpus.regular);
    arena_rewind(&f.a, 0);
    cpus[7] = (struct topo_cpu){2, 0, 6, 1}; /* sockets of 5 and 3, and zone 2 is in both */
    complete(&f, cpus, ARRAY_LEN(cpus), 3);
    assert_false(f.v.cpus.regular);
    arena_rewind(&f.a, 0);
}

static void sockets_may_be_uneven_where_no_zone_is_in_two(void **state)
{
    static struct fixture f;
    struct topo_cpu cpus[] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 2, 0},
                              {1, 0, 2, 0}, {2, 1, 4, 1}, {2, 1, 4, 1}}; /* sockets of 4 and 2 */

    complete(&f, cpus, ARRAY_LEN(cpus), 3);
    assert_true(f.v.cpus.regular);
    assert_int_equal(f.v.cpus.spread, 2); /* the zones of socket 0 */
    arena_rewind(&f.a, 0);
    cpus[3].core = 3; /* cores of 1, 1, 2, 2 */
    complete(&f, cpus, ARRAY_LEN(cpus), 3);
    assert_false(f.v.cpus.regular);
    arena_rewind(&f.a, 0);
}

static void sets_of_zones_go_on_in_the_next_word(void **state)
{
    static struct fixture f;
    struct topo_cpu cpus[70];

    for (uint16_t i = 0; i < 70; i++)
        cpus[i] = (struct topo_cpu){i >= 66, i >= 66, i, 0};
    complete(&f, cpus, 70, 2);
    assert_true(f.v.cpus.zone_set[0] == UINT64_MAX && f.v.cpus.zone_set[1] == 3);
    assert_true(f.v.cpus.zone_set[2] == 0 && f.v.cpus.zone_set[3] == 0x3c);
    arena_rewind(&f.a, 0);
}

static void the_largest_zones_come_first_in_the_sums(void **state)
{
    static struct fixture f;
    /* zones of 1, 3, 0, 2 CPUs */
    static const struct topo_cpu cpus[] = {{0, 0, 0, 0}, {1, 0, 1, 0}, {1, 0, 2, 0},
                                           {1, 0, 3, 0}, {3, 0, 4, 0}, {3, 0, 5, 0}};
    static const uint32_t want[] = {0, 3, 5, 6, 6};

    complete(&f, cpus, ARRAY_LEN(cpus), 4);
    for (uint32_t k = 0; k <= 4; k++)
        assert_int_equal(f.v.cpus.largest[k], want[k]);
    assert_int_equal(f.v.cpus.zones, 1 << 0 | 1 << 1 | 1 << 3); /* zone 2 is memory only */
    arena_rewind(&f.a, 0);
}

static void a_reserved_cpu_reserves_its_whole_core(void **state)
{
    static struct fixture f;

    f.reserved[0] = 1 << 3 | 1 << 5; /* 5 does not exist */
    complete(&f, holes, ARRAY_LEN(holes), 2);
    assert_int_equal(f.v.cpus.reserved_cores[0], 1 << 2 | 1 << 3);
    arena_rewind(&f.a, 0);
    f.reserved[0] = 0;
}

static uint32_t spread(struct fixture *f, const struct topo_cpu *cpus, uint32_t n, uint32_t zones)
{
    complete(f, cpus, n, zones);
    const uint32_t got = f->v.cpus.spread;
    arena_rewind(&f->a, 0);
    return got;
}

static void spread_is_the_widest_overlap_of_sockets_and_zones(void **state)
{
    static struct fixture f;
    static const struct topo_cpu one_socket[] = {{0, 0, 0, 0}, {1, 0, 1, 0}, {2, 0, 2, 0}},
                                 one_zone[] = {{0, 0, 0, 0}, {0, 1, 1, 0}, {0, 2, 2, 0}},
                                 crossed[] = {{0, 0, 0, 0}, {0, 1, 1, 0}, {1, 0, 2, 0}, ABSENT},
                                 plain[] = {{0, 0, 0, 0}, {1, 1, 1, 0}, ABSENT};

    assert_int_equal(spread(&f, one_socket, 3, 3), 3); /* three zones of a socket */
    assert_int_equal(spread(&f, one_zone, 3, 1), 3);   /* three sockets of a zone */
    assert_int_equal(spread(&f, crossed, 4, 2), 2);
    assert_int_equal(spread(&f, plain, 3, 2), 1);
    assert_int_equal(spread(&f, plain, 0, 1), 1); /* no CPU at all */
}

static void a_view_is_complete_in_any_arena_or_untouched(void **state)
{
    static struct fixture f;
    static _Alignas(max_align_t) char room[2048];
    bool fitted = false;

    complete(&f, holes, ARRAY_LEN(holes), 2);
    for (size_t n = 0; n <= sizeof(room); n += 8) {
        struct node_view v = f.v;
        struct arena a;

        memset(&v.cpus, 0, sizeof(v.cpus));
        arena_init(&a, room, n);
        const int rc = node_view_complete(&v, &a);

        assert_true(rc == 0 || (rc == -ENOMEM && !fitted));
        assert_int_equal(v.cpus.n_present, rc == 0 ? 5 : 0);
        fitted = rc == 0;
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    arena_rewind(&f.a, 0);
}

static void a_copied_state_is_equal_and_apart(void **state)
{
    static struct fixture f;
    static _Alignas(max_align_t) char room[2048];
    uint64_t cpu_free[] = {0x55}, memory_free[] = {1, 2, 3, 4}, memory_reserved[] = {5, 6, 7, 8},
             cells[] = {3, 3}, device_held[] = {9, 10};
    uint32_t assignments[] = {11, 12};
    bool fitted = false;

    complete(&f, holes, ARRAY_LEN(holes), 2);
    f.v.n_memory_types = 2;
    f.v.n_devices = 65;
    f.v.state = (struct node_state){cpu_free,    memory_free, memory_reserved,
                                    assignments, cells,       device_held};
    for (size_t n = 0; n <= sizeof(room); n += 8) {
        struct node_state s = {0};
        struct arena a;

        arena_init(&a, room, n);
        const int rc = node_state_copy(&s, &f.v, &a);

        assert_true(rc == 0 || (rc == -ENOMEM && !fitted && !s.cpu_free));
        fitted = rc == 0;
        if (rc == 0) {
            assert_memory_equal(s.cpu_free, cpu_free, sizeof(cpu_free));
            assert_memory_equal(s.memory_free, memory_free, sizeof(memory_free));
            assert_memory_equal(s.memory_reserved, memory_reserved, sizeof(memory_reserved));
            assert_memory_equal(s.assignments, assignments, sizeof(assignments));
            assert_memory_equal(s.cells, cells, sizeof(cells));
            assert_memory_equal(s.device_held, device_held, sizeof(device_held));
            s.cells[0] = s.memory_free[0] = 99;
            assert_true(cells[0] == 3 && memory_free[0] == 1);
        }
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    arena_rewind(&f.a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_numbered_in_the_order_of_their_ids),
        cmocka_unit_test(units_know_their_sizes_and_absent_cpus_count_nowhere),
        cmocka_unit_test(a_machine_is_regular_where_its_averages_are_true),
        cmocka_unit_test(sockets_may_be_uneven_where_no_zone_is_in_two),
        cmocka_unit_test(sets_of_zones_go_on_in_the_next_word),
        cmocka_unit_test(the_largest_zones_come_first_in_the_sums),
        cmocka_unit_test(a_reserved_cpu_reserves_its_whole_core),
        cmocka_unit_test(spread_is_the_widest_overlap_of_sockets_and_zones),
        cmocka_unit_test(a_view_is_complete_in_any_arena_or_untouched),
        cmocka_unit_test(a_copied_state_is_equal_and_apart),
    };

    return cmocka_run_group_tests_name("node_view", tests, NULL, NULL);
}
