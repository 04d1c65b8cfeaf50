/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/pins.h"

#include "tests/support/data.h"
#include "tests/support/test.h"

static void a_thing_counts_once_however_many_hold_it(void **state)
{
    struct pins p = {0};
    const char x = 'x', y = 'y';

    assert_true(pins_take(&p, &x, 100));
    const size_t table = p.bytes - 100;
    assert_true(pins_take(&p, &x, 100) && pins_take(&p, &y, 7));
    assert_int_equal(p.bytes, table + 107);
    pins_drop(&p, &x);
    assert_int_equal(p.bytes, table + 107);
    pins_drop(&p, &x);
    assert_int_equal(p.bytes, table + 7);
    pins_drop(&p, &y);
    assert_int_equal(p.bytes, table);
    pins_done(&p);
    assert_int_equal(p.bytes, 0);
}

enum { THINGS = 700, ROUNDS = 200000 };

/* Users of many things come and go; an array says how many each has. */
static void what_is_held_is_what_was_taken_and_not_dropped(void **state)
{
    static struct {
        _Alignas(16) char thing[16];
        unsigned users;
    } things[THINGS];
    uint64_t seed = test_seed(31);
    struct pins p = {0};
    size_t held = 0;

    for (int i = 0; i < ROUNDS; i++) {
        /* The number held rises and falls, so that the table fills and empties. */
        const unsigned k = (unsigned)test_random(&seed, THINGS), bytes = k + 1;
        const bool take = test_random(&seed, 100) < (i / 20000 % 2 ? 45U : 55U);

        if (take) {
            assert_true(pins_take(&p, things[k].thing, bytes));
            held += things[k].users++ ? 0 : bytes;
        } else if (things[k].users) {
            pins_drop(&p, things[k].thing);
            held -= --things[k].users ? 0 : bytes;
        }
        assert_true(p.bytes >= held);
        if (i % 1000 == 0 && p.room)
            assert_int_equal((p.bytes - held) % p.room, 0); /* the rest is the table */
    }
    for (unsigned k = 0; k < THINGS; k++)
        while (things[k].users--)
            pins_drop(&p, things[k].thing);
    assert_int_equal(p.n, 0);
    pins_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thing_counts_once_however_many_hold_it),
        cmocka_unit_test(what_is_held_is_what_was_taken_and_not_dropped),
    };

    return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
