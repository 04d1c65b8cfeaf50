/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/alike.h"

#include "tests/support/data.h"
#include "tests/support/test.h"

enum { MOST = 1000 };

static struct alike_place take(struct alike_table *t, uint64_t which, uint32_t most)
{
    /* one bucket for many of them */
    const struct likeness likeness = {{which % 4, which}};
    struct alike_place place;

    assert_int_equal(alike_take(t, &place, &likeness, most), 0);
    return place;
}

static void nodes_that_are_alike_share_a_place(void **state)
{
    struct alike_table t = {0};
    const struct alike_place a = take(&t, 1, MOST), b = take(&t, 5, MOST), c = take(&t, 1, MOST);

    assert_int_equal(a.slot, c.slot);
    assert_int_equal(a.serial, c.serial);
    assert_int_not_equal(a.slot, b.slot);
    assert_true(b.serial > a.serial && a.serial > 0);
    assert_int_equal(t.in_use, 2);
    alike_drop(&t, a);
    assert_int_equal(t.in_use, 2);
    alike_drop(&t, c);
    assert_int_equal(t.in_use, 1);
    alike_done(&t);
}

/* A pod comes and goes: what was known of the node before counts again. */
static void who_comes_back_finds_its_place(void **state)
{
    struct alike_table t = {0};
    const struct alike_place empty = take(&t, 1, MOST), full = take(&t, 2, MOST);

    alike_drop(&t, empty);
    const struct alike_place again = take(&t, 1, MOST);
    assert_int_equal(again.slot, empty.slot);
    assert_int_equal(again.serial, empty.serial);
    alike_drop(&t, full);
    alike_drop(&t, again);
    alike_drop(&t, (struct alike_place){0}); /* a node that had no view */
    assert_int_equal(t.n, 2);
    assert_int_equal(t.in_use, 0);
    alike_done(&t);
}

static void the_place_that_was_idle_longest_is_given_again(void **state)
{
    struct alike_table t = {0};
    struct alike_place p[4];

    for (uint64_t i = 0; i < 4; i++)
        p[i] = take(&t, i, 4);
    alike_drop(&t, p[2]);
    alike_drop(&t, p[0]);
    alike_drop(&t, p[3]);
    assert_int_equal(take(&t, 0, 4).serial, p[0].serial); /* out of their middle */
    const struct alike_place fresh = take(&t, 8, 4), next = take(&t, 9, 4), more = take(&t, 10, 4);
    assert_int_equal(fresh.slot, p[2].slot);
    assert_true(fresh.serial > p[3].serial);
    assert_int_equal(next.slot, p[3].slot);
    assert_int_equal(more.slot, 4); /* none is idle: there are more than there should be */
    const struct alike_place late = take(&t, 2, 4);
    assert_int_equal(late.slot, 5); /* what was there is forgotten */
    assert_true(late.serial > more.serial);
    alike_done(&t);
}

/* Against a list that is searched from end to end. */
static void many_likenesses_come_and_go(void **state)
{
    enum { NODES = 300, TURNS = 50000, KINDS = 700 };
    static struct alike_place held[NODES];
    static uint64_t what[NODES], of_slot[NODES + 1];
    struct alike_table t = {0};
    uint64_t seed = test_seed(717);

    for (int i = 0; i < TURNS; i++) {
        const uint64_t node = test_random(&seed, NODES), kind = test_random(&seed, KINDS) + 1;
        const struct alike_place fresh = take(&t, kind, NODES);

        alike_drop(&t, held[node]);
        held[node] = fresh;
        what[node] = kind;
        assert_true(fresh.slot <= NODES);
        of_slot[fresh.slot] = kind;
        const uint64_t other = test_random(&seed, NODES);
        if (held[other].serial) {
            assert_int_equal(of_slot[held[other].slot], what[other]);
            assert_int_equal(held[other].serial == fresh.serial, what[other] == kind);
        }
    }
    alike_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_that_are_alike_share_a_place),
        cmocka_unit_test(who_comes_back_finds_its_place),
        cmocka_unit_test(the_place_that_was_idle_longest_is_given_again),
        cmocka_unit_test(many_likenesses_come_and_go),
    };

    return cmocka_run_group_tests_name("alike", tests, NULL, NULL);
}
