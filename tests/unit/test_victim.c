/* SPDX-License-Identifier: Apache-2.0 */
#include "base/attr.h"
#include "operator/locks/victim.h"
#include "tests/support/test.h"

static const struct victim_rules rules = {.min_replicas = 2,
                                          .per_node = 2,
                                          .per_namespace_per_hour = 5,
                                          .per_workload_per_5_min = 1,
                                          .cooldown_s = 300};
enum { S = 1000000 };
static const int64_t now = INT64_C(1000000) * S;

static struct victim_candidate pod(const char *uid)
{
    return (struct victim_candidate){.uid = str_of(uid),
                                     .ns = 1,
                                     .node = 2,
                                     .owner = 3,
                                     .known = true,
                                     .qos = 1,
                                     .started_us = now - 3600 * (int64_t)S,
                                     .healthy = 5};
}

static int choose(const struct victim_log *log, const struct victim_candidate *c, uint32_t n,
                  enum victim_verdict *verdicts)
{
    return victim_choose(&rules, log, c, n, 77, now, verdicts);
}

/* Each difference decides against all that come after it. */
static void the_order_of_victims(void **state)
{
    static const struct victim_log none;
    enum victim_verdict v[2];
    struct victim_candidate c[2] = {pod("a"), pod("b")};

    assert_int_equal(choose(&none, c, 2, v), 0); /* the first uid */
    c[1].healthy = 6;
    assert_int_equal(choose(&none, c, 2, v), 1); /* more healthy ones are left */
    c[0].started_us += S;
    assert_int_equal(choose(&none, c, 2, v), 0); /* younger: less work is lost */
    c[1].qos = 0;
    assert_int_equal(choose(&none, c, 2, v), 1); /* a lower class */
    c[0].priority = -1;
    assert_int_equal(choose(&none, c, 2, v), 0); /* a lower priority */
}

static void what_protects_a_pod(void **state)
{
    static const struct {
        uint32_t trait;
        enum victim_verdict want;
    } cases[] = {
        {VICTIM_MIRROR, VICTIM_IS_MIRROR},     {VICTIM_DAEMON, VICTIM_IS_DAEMON},
        {VICTIM_BARE, VICTIM_IS_BARE},         {VICTIM_OPT_OUT, VICTIM_OPTED_OUT},
        {VICTIM_STORAGE, VICTIM_HAS_STORAGE},  {VICTIM_CLAIMS, VICTIM_HAS_CLAIMS},
        {VICTIM_CRITICAL, VICTIM_IS_CRITICAL}, {VICTIM_TERMINATING, VICTIM_ENDS},
    };
    static const struct victim_log none;
    enum victim_verdict v[2];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct victim_candidate c[2] = {pod("a"), pod("b")};

        c[0].priority = -5; /* it would be the one */
        c[0].traits = cases[i].trait;
        assert_int_equal(choose(&none, c, 2, v), 1);
        assert_int_equal(v[0], cases[i].want);
        assert_int_equal(v[1], VICTIM_MAY);
    }
}

static void unknown_young_and_last_pods_stay(void **state)
{
    static const struct victim_log none;
    struct victim_candidate c[4] = {pod("a"), pod("b"), pod("c"), pod("d")};
    enum victim_verdict v[4];

    c[0].known = false;
    c[1].started_us = now - (VICTIM_MIN_AGE_S - 1) * (int64_t)S;
    c[2].healthy = 2; /* one would be left, two must be */
    c[3].system = true;
    assert_int_equal(choose(&none, c, 4, v), -1);
    assert_int_equal(v[0], VICTIM_UNKNOWN);
    assert_int_equal(v[1], VICTIM_TOO_YOUNG);
    assert_int_equal(v[2], VICTIM_REPLICAS);
    assert_int_equal(v[3], VICTIM_IS_SYSTEM);
    c[1].started_us -= S;
    c[2].healthy = 3;
    assert_int_equal(choose(&none, c, 4, v), 1); /* the younger one of the two */
}

static void budgets_are_counted_and_come_back(void **state)
{
    static struct victim_log log;
    struct victim_budget left[VICTIM_BUDGETS];
    struct victim_candidate c = pod("a"), other = pod("b");
    enum victim_verdict v;

    log.n = log.next = 0;
    other.owner = 9;
    victim_note(&log, &other, 1, now - 299 * (int64_t)S);
    victim_note(&log, &other, 2, now - 10 * (int64_t)S);
    victim_budgets(&rules, &log, &c, now, left);
    assert_int_equal(left[0].left, 0);
    assert_int_equal(left[1].left, 3);
    assert_int_equal(left[2].left, 1);
    assert_int_equal(choose(&log, &c, 1, &v), -1);
    assert_int_equal(v, VICTIM_NODE_BUDGET);
    c.node = 8;
    assert_int_equal(choose(&log, &c, 1, &v), 0);
    for (int i = 0; i < 3; i++)
        victim_note(&log, &other, 3, now - 3599 * (int64_t)S);
    assert_int_equal(choose(&log, &c, 1, &v), -1);
    assert_int_equal(v, VICTIM_NAMESPACE_BUDGET);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + S, &v), 0); /* an hour later */
}

/* After one, two actions for the same deadlock: 5 and 10 minutes; after three, none for a day. */
static void a_workload_rests_longer_each_time(void **state)
{
    static struct victim_log log;
    const struct victim_candidate c = pod("a");
    enum victim_verdict v;

    log.n = log.next = 0;
    victim_note(&log, &c, 77, now);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 299 * (int64_t)S, &v), -1);
    assert_int_equal(v, VICTIM_COOLS_DOWN);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 300 * (int64_t)S, &v), 0);
    victim_note(&log, &c, 77, now + 300 * (int64_t)S);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 899 * (int64_t)S, &v), -1);
    assert_int_equal(v, VICTIM_COOLS_DOWN);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 900 * (int64_t)S, &v), 0);
    victim_note(&log, &c, 77, now + 900 * (int64_t)S);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 80000 * (int64_t)S, &v), -1);
    assert_int_equal(v, VICTIM_REPEATED);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 78, now + 80000 * (int64_t)S, &v), 0);
    assert_int_equal(victim_choose(&rules, &log, &c, 1, 77, now + 86400 * (int64_t)S, &v), 0);
}

static void one_owners_pods_are_systemic(void **state)
{
    struct victim_candidate c[2] = {pod("a"), pod("b")};

    assert_true(victim_is_systemic(c, 2));
    c[1].owner = 4;
    assert_false(victim_is_systemic(c, 2));
}

static void the_log_forgets_the_oldest(void **state)
{
    static struct victim_log log;
    struct victim_candidate c = pod("a"), other = pod("b");

    log.n = log.next = 0;
    other.owner = other.ns = other.node = 50;
    victim_note(&log, &c, 1, now);
    for (int i = 0; i < VICTIM_LOG; i++)
        victim_note(&log, &other, 1, now);
    assert_int_equal(log.n, VICTIM_LOG);
    struct victim_budget left[VICTIM_BUDGETS];
    victim_budgets(&rules, &log, &c, now + 1, left);
    assert_int_equal(left[2].left, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_victims),
        cmocka_unit_test(what_protects_a_pod),
        cmocka_unit_test(unknown_young_and_last_pods_stay),
        cmocka_unit_test(budgets_are_counted_and_come_back),
        cmocka_unit_test(a_workload_rests_longer_each_time),
        cmocka_unit_test(one_owners_pods_are_systemic),
        cmocka_unit_test(the_log_forgets_the_oldest),
    };

    return cmocka_run_group_tests_name("victim", tests, NULL, NULL);
}
