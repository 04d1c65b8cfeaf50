/* SPDX-License-Identifier: Apache-2.0 */
/* When the agent looks and writes, by a clock of the test's own. */
#include "tests/support/test.h"

#include "agent/pace.h"

#define MS    UINT64_C(1000000)
#define S     (1000 * MS)
#define START (1000 * S)

/* Looked and written at START. */
static struct agent_pace settled(void)
{
    struct agent_pace p;

    agent_pace_init(&p, START, 7);
    assert_true(agent_pace_due(&p) == START);
    agent_pace_looked(&p, START);
    assert_true(agent_pace_must_write(&p, START));
    agent_pace_wrote(&p, START);
    return p;
}

static void without_news_it_looks_every_minute(void **state)
{
    struct agent_pace p = settled();

    assert_true(agent_pace_due(&p) == START + 60 * S);
    agent_pace_looked(&p, START + 60 * S);
    assert_false(agent_pace_must_write(&p, START + 60 * S));
    assert_true(agent_pace_due(&p) == START + 120 * S);
}

/* 120 s + 60 s would be the next poll; at 150 s what is written becomes old. */
static void what_is_written_is_renewed_before_it_is_old(void **state)
{
    struct agent_pace p = settled();

    agent_pace_looked(&p, START + 120 * S);
    assert_true(agent_pace_due(&p) == START + 150 * S);
    assert_false(agent_pace_must_write(&p, START + 150 * S - 1));
    assert_true(agent_pace_must_write(&p, START + 150 * S));
    agent_pace_looked(&p, START + 150 * S);
    agent_pace_wrote(&p, START + 150 * S);
    assert_true(agent_pace_due(&p) == START + 210 * S);
}

/* The kubelet writes three files for one pod; and one that never stops is looked at all the same.
 */
static void changes_are_gathered_for_50_ms_from_the_first(void **state)
{
    struct agent_pace p = settled();
    const uint64_t first = START + 10 * S;

    agent_pace_changed(&p, first);
    for (unsigned i = 1; i < 10; i++)
        agent_pace_changed(&p, first + i * 30 * MS);
    assert_true(agent_pace_due(&p) == first + 50 * MS);
    agent_pace_looked(&p, first + 50 * MS);
    agent_pace_changed(&p, first + 60 * MS);
    assert_true(agent_pace_due(&p) == first + 110 * MS);
}

static void two_writes_are_200_ms_apart(void **state)
{
    struct agent_pace p = settled();

    agent_pace_changed(&p, START + 1 * MS);
    assert_true(agent_pace_due(&p) == START + 200 * MS);
}

static void a_half_written_file_is_read_again_after_50_ms(void **state)
{
    struct agent_pace p;

    agent_pace_init(&p, START, 7); /* overdue, and still it waits */
    agent_pace_looked(&p, START);
    agent_pace_again(&p, START);
    assert_true(agent_pace_due(&p) == START + 50 * MS);
}

static void what_the_node_will_tell_is_looked_at_after_15_s(void **state)
{
    struct agent_pace p = settled();

    agent_pace_looked(&p, START + 1 * S);
    agent_pace_recount(&p, START + 1 * S);
    assert_true(agent_pace_due(&p) == START + 16 * S);
    agent_pace_changed(&p, START + 2 * S); /* and news at once */
    assert_true(agent_pace_due(&p) == START + 2 * S + 50 * MS);
}

/* 1, 2, 4, 8, 16, 30, 30 s, and up to as much again. */
static void failures_are_waited_out_longer_and_longer(void **state)
{
    static const unsigned want[] = {1, 2, 4, 8, 16, 30, 30};
    struct agent_pace p = settled();

    for (unsigned i = 0; i < 7; i++) {
        agent_pace_failed(&p, START, -1);
        agent_pace_changed(&p, START); /* news make it no sooner */
        assert_true(agent_pace_due(&p) >= START + want[i] * S);
        assert_true(agent_pace_due(&p) < START + 2 * want[i] * S);
    }
    agent_pace_wrote(&p, START + 60 * S);
    agent_pace_failed(&p, START + 70 * S, -1);
    assert_true(agent_pace_due(&p) < START + 72 * S);
}

static void a_server_that_says_when_is_obeyed(void **state)
{
    struct agent_pace p = settled();

    agent_pace_failed(&p, START, 45000);
    assert_true(agent_pace_due(&p) == START + 45 * S);
    agent_pace_failed(&p, START, 3600000); /* within reason */
    assert_true(agent_pace_due(&p) == START + 120 * S);
}

static void no_two_agents_wait_alike(void **state)
{
    struct agent_pace a, b;

    agent_pace_init(&a, START, 1);
    agent_pace_init(&b, START, 3);
    agent_pace_failed(&a, START, -1);
    agent_pace_failed(&b, START, -1);
    assert_true(agent_pace_due(&a) != agent_pace_due(&b));
}

/* Also of the first look, which is overdue: it must not spin. */
static void a_name_is_awaited_for_a_second(void **state)
{
    struct agent_pace p;

    agent_pace_init(&p, START, 7);
    agent_pace_looked(&p, START);
    assert_true(agent_pace_awaits(&p, START, true));
    assert_true(agent_pace_due(&p) == START + 1 * S);
    agent_pace_changed(&p, START + 300 * MS); /* the pod came, but it was another one */
    assert_true(agent_pace_due(&p) == START + 350 * MS);
    agent_pace_looked(&p, START + 350 * MS);
    assert_true(agent_pace_awaits(&p, START + 350 * MS, true));
    assert_true(agent_pace_due(&p) == START + 1 * S);
    agent_pace_looked(&p, START + 1 * S);
    assert_false(agent_pace_awaits(&p, START + 1 * S, true)); /* without it, then */
    assert_true(agent_pace_must_write(&p, START + 1 * S));
    agent_pace_wrote(&p, START + 1 * S);
    assert_false(agent_pace_awaits(&p, START + 9 * S, true)); /* it is known to be unknown */
    assert_false(agent_pace_awaits(&p, START + 10 * S, false));
    assert_true(agent_pace_awaits(&p, START + 11 * S, true)); /* the next one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_news_it_looks_every_minute),
        cmocka_unit_test(what_is_written_is_renewed_before_it_is_old),
        cmocka_unit_test(changes_are_gathered_for_50_ms_from_the_first),
        cmocka_unit_test(two_writes_are_200_ms_apart),
        cmocka_unit_test(a_half_written_file_is_read_again_after_50_ms),
        cmocka_unit_test(what_the_node_will_tell_is_looked_at_after_15_s),
        cmocka_unit_test(failures_are_waited_out_longer_and_longer),
        cmocka_unit_test(a_server_that_says_when_is_obeyed),
        cmocka_unit_test(no_two_agents_wait_alike),
        cmocka_unit_test(a_name_is_awaited_for_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
