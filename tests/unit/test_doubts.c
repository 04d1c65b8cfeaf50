/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdio.h>

#include "cluster/roster.h"
#include "decide/doubts.h"

enum { FOR_NS = 100 };

static struct doubts *doubts;
static struct roster *roster;

/* Positions 0, 1, 2. */
static const struct str names[] = {{"a", 1}, {"b", 1}, {"c", 1}};

static int setup(void **state)
{
    static const uint64_t key[2] = {1, 2};

    (void)state;
    roster = roster_new(key, names, 3);
    return roster ? doubts_new(&doubts, FOR_NS, NULL) : -1;
}

static int teardown(void **state)
{
    (void)state;
    roster_unref(roster);
    doubts_free(doubts);
    return 0;
}

static uint64_t marked(void)
{
    uint64_t bits = 0;
    const bool any = doubts_mark(doubts, roster, &bits);

    assert_int_equal(any, bits != 0);
    return bits;
}

static void a_node_is_in_doubt_for_a_while(void **state)
{
    (void)state;
    assert_int_equal(marked(), 0);
    doubts_add(doubts, STR("b"), 1000);
    assert_int_equal(marked(), 1 << 1);
    doubts_look(doubts, 1099);
    assert_int_equal(marked(), 1 << 1);
    doubts_look(doubts, 1100);
    assert_int_equal(marked(), 0);
    assert_int_equal(doubts_count(doubts), 0);
}

static void the_last_refusal_counts(void **state)
{
    (void)state;
    doubts_add(doubts, STR("b"), 1000);
    doubts_add(doubts, STR("c"), 1020);
    doubts_add(doubts, STR("b"), 1050);
    assert_int_equal(doubts_count(doubts), 2);
    doubts_look(doubts, 1120); /* c ends */
    assert_int_equal(marked(), 1 << 1);
    doubts_look(doubts, 1150);
    assert_int_equal(marked(), 0);
}

static void nodes_that_are_not_there_are_no_matter(void **state)
{
    (void)state;
    doubts_add(doubts, STR("elsewhere"), 0);
    doubts_add(doubts, STR(""), 0);
    assert_int_equal(doubts_count(doubts), 1);
    assert_int_equal(marked(), 0);
}

static void the_oldest_makes_room(void **state)
{
    char name[16];

    (void)state;
    doubts_add(doubts, STR("a"), 0);
    doubts_add(doubts, STR("b"), 0);
    for (int i = 0; i < DOUBTS_MOST - 1; i++) {
        (void)snprintf(name, sizeof(name), "n-%d", i);
        doubts_add(doubts, str_of(name), 0);
    }
    assert_int_equal(doubts_count(doubts), DOUBTS_MOST);
    assert_int_equal(marked(), 1 << 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_is_in_doubt_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_refusal_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_that_are_not_there_are_no_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_makes_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
