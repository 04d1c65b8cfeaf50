/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "tests/support/test.h"

enum { ROOM = 1024 };
static _Alignas(max_align_t) char room[ROOM];

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
    struct arena a;

    memset(room, 'x', sizeof(room));
    arena_init(&a, room, sizeof(room));
    char *const one = arena_array(&a, 3, 1);
    uint64_t *const two = arena_array(&a, 2, sizeof(*two));
    assert_non_null(one);
    assert_non_null(two);
    assert_int_equal((uintptr_t)two % _Alignof(max_align_t), 0);
    assert_true((char *)two >= one + 3);
    assert_memory_equal(one, "\0\0\0", 3);
    assert_true(two[0] == 0 && two[1] == 0);
    assert_string_equal(arena_copy(&a, "abc", 2), "ab");
}

static void a_full_arena_says_so_and_stays_as_it_was(void **state)
{
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_non_null(arena_array(&a, 1, 100));
    const size_t used = arena_mark(&a);
    assert_null(arena_array(&a, 1, ROOM));
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    assert_null(arena_copy(&a, room, SIZE_MAX));
    assert_int_equal(arena_mark(&a), used);
    arena_rewind(&a, 0);
    assert_non_null(arena_array(&a, 1, ROOM));
}

static void a_list_takes_what_it_turns_out_to_need(void **state)
{
    struct arena a;
    size_t n = 0;

    arena_init(&a, room, sizeof(room));
    assert_non_null(arena_array(&a, 5, 1));
    const size_t before = arena_mark(&a);
    uint32_t *const list = arena_open(&a, sizeof(*list), &n);
    assert_true(n >= (ROOM - 64) / sizeof(*list) && n <= ROOM / sizeof(*list));
    for (uint32_t i = 0; i < n; i++)
        list[i] = i;
    arena_close(&a, list, 7, sizeof(*list));
    assert_true(arena_mark(&a) >= before + 7 * sizeof(*list));
    char *const next = arena_array(&a, 4, 1);
    assert_non_null(next);
    assert_true(next >= (char *)&list[7]);
    assert_int_equal(list[6], 6);
    arena_rewind(&a, before);
    assert_ptr_equal(arena_open(&a, sizeof(*list), &n), list);
}

/* Whatever is left, the list has room for just so many. */
static void a_list_fits_into_every_room(void **state)
{
    for (size_t bytes = 0; bytes < 64; bytes++) {
        struct arena a;
        size_t n = 99;

        arena_init(&a, room, bytes);
        uint64_t *const list = arena_open(&a, sizeof(*list), &n);
        assert_int_equal(n, bytes / sizeof(*list));
        arena_close(&a, list, n, sizeof(*list));
        assert_true(arena_mark(&a) <= bytes);
    }
}

/* Two arrays and a gap between them, or an arena as it was. */
static void parts_are_all_there_or_none(void **state)
{
    unsigned sealed = 0;

    for (size_t bytes = 0; bytes < 128; bytes++) {
        struct arena a;

        arena_init(&a, room, bytes);
        struct arena_parts parts = arena_parts(&a);
        uint64_t *const two = arena_part(&parts, 2, sizeof(*two));
        char *const five = arena_part(&parts, 5, 1);
        if (arena_seal(&parts)) {
            assert_int_equal(arena_mark(&a), 0);
            assert_true(bytes < 16 + 16 + 64);
            continue;
        }
        sealed++;
        two[1] = 7;
        memset(five, 'x', 5);
        assert_true(five >= (char *)&two[2] && five + 5 <= room + bytes);
        assert_int_equal((uintptr_t)five % _Alignof(max_align_t), 0);
        char *const next = arena_array(&a, 1, 1);
        assert_true(!next || next >= five + 5);
        arena_rewind(&a, 0);
    }
    assert_true(sealed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(a_full_arena_says_so_and_stays_as_it_was),
        cmocka_unit_test(a_list_takes_what_it_turns_out_to_need),
        cmocka_unit_test(a_list_fits_into_every_room),
        cmocka_unit_test(parts_are_all_there_or_none),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
