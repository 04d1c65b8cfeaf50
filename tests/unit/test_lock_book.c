/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "operator/locks/detect.h"
#include "tests/support/lock_text.h"
#include "tests/support/test.h"

static const uint64_t key[2] = {11, 22};

static int set_up(void **state)
{
    static struct lock_book book;

    lock_book_init(&book, key);
    *state = &book;
    return 0;
}

static int tear_down(void **state)
{
    lock_book_done(*state);
    return 0;
}

static struct lock_answer say(struct lock_book *b, uint64_t now, const char *text)
{
    struct lock_answer a;

    assert_int_equal(lock_text_say(b, now, text, &a), 0);
    return a;
}

static const struct lock_order *order_of(const struct lock_book *b, const char *ns)
{
    const struct lock_space *const s = lock_book_find(b, str_of(ns));

    assert_non_null(s);
    return &s->order;
}

/* Times the edge was seen; -1: there is none. */
static long long count_of(const struct lock_book *b, const char *from, const char *to)
{
    const struct lock_order *const o = order_of(b, "shop");
    const uint32_t x = lock_order_find(o, str_of(from)), y = lock_order_find(o, str_of(to));
    const uint32_t e =
        x == LOCK_NONE || y == LOCK_NONE ? LOCK_NONE : lock_graph_find(&o->graph, x, y);

    return e == LOCK_NONE ? -1 : (long long)o->edges[e].count;
}

/* --- reports --- */

static void a_duplicate_changes_nothing(void **state)
{
    struct lock_book *const b = *state;

    assert_int_equal(say(b, 10, "shop/a 1 1 at 5: A>B 3").receipt, LOCK_APPLIED);
    const struct lock_answer again = say(b, 11, "shop/a 1 1 at 5: A>B 3, C>D");
    assert_int_equal(again.receipt, LOCK_DUPLICATE);
    assert_int_equal(again.have, 1);
    assert_int_equal(count_of(b, "A", "B"), 3);
    assert_int_equal(count_of(b, "C", "D"), -1);
    assert_int_equal(b->duplicates, 1);
}

static void a_gap_asks_for_what_is_missing(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 10, "shop/a 1 1 at 5: A>B 3");
    const struct lock_answer gap = say(b, 11, "shop/a 1 3 at 7: A>B 4");
    assert_int_equal(gap.receipt, LOCK_GAP);
    assert_int_equal(gap.have, 1);
    assert_int_equal(count_of(b, "A", "B"), 3);
    assert_int_equal(say(b, 12, "shop/a 1 2 at 8: A>B 4").receipt, LOCK_APPLIED);
    assert_int_equal(count_of(b, "A", "B"), 7);
}

/* As after a restart of ours: whoever is unknown begins with its first report. */
static void an_unknown_reporter_begins_at_the_beginning(void **state)
{
    struct lock_book *const b = *state;
    const struct lock_answer gap = say(b, 10, "shop/a 1 17 at 5: A>B");

    assert_int_equal(gap.receipt, LOCK_GAP);
    assert_int_equal(gap.have, 0);
    assert_null(lock_book_find(b, STR("shop")));
}

static void a_new_epoch_takes_back_the_one_before(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 10, "shop/a 1 1 at 5: t holds A/1, A>B 3, B>C");
    (void)say(b, 10, "shop/b 1 1 at 5: A>B 2");
    assert_int_equal(say(b, 11, "shop/a 2 1 at 1: C>D").receipt, LOCK_APPLIED);
    assert_int_equal(count_of(b, "A", "B"), 2);
    assert_int_equal(count_of(b, "B", "C"), -1);
    assert_int_equal(count_of(b, "C", "D"), 1);
    assert_int_equal(lock_book_find(b, STR("shop"))->n_items, 0);
    assert_int_equal(say(b, 12, "shop/a 1 2 at 6: A>B").receipt, LOCK_DUPLICATE);
    assert_int_equal(count_of(b, "A", "B"), 2);
}

static void the_end_of_a_pod_takes_back_all_it_said(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 10, "shop/a 1 1 at 5: t holds A/1, u waits A/1, A>B 3");
    (void)say(b, 10, "shop/b 1 1 at 5: A>B 2");
    lock_book_end_pod(b, STR("other"), STR("a"));
    assert_int_equal(count_of(b, "A", "B"), 5);
    lock_book_end_pod(b, STR("shop"), STR("a"));
    assert_int_equal(count_of(b, "A", "B"), 2);
    assert_int_equal(lock_book_find(b, STR("shop"))->n_waiting, 0);
    lock_book_end_pod(b, STR("shop"), STR("b"));
    assert_null(lock_book_find(b, STR("shop")));
    assert_int_equal(b->n_all, 0);
}

static void silent_reporters_are_forgotten(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 10, "shop/a 1 1 at 5: A>B");
    (void)say(b, 20, "shop/b 1 1 at 5: A>B");
    lock_book_forget(b, 20);
    assert_int_equal(count_of(b, "A", "B"), 1);
}

static void namespaces_do_not_see_each_other(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 10, "shop/a 1 1 at 5: A>B");
    (void)say(b, 10, "bank/a 1 1 at 5: B>A");
    assert_int_equal(say(b, 10, "bank/b 1 1 at 5: B>A").inversions, 0);
    assert_int_equal(order_of(b, "bank")->graph.live_edges, 1);
}

static void an_inversion_is_told_once(void **state)
{
    struct lock_book *const b = *state;

    assert_int_equal(say(b, 10, "shop/a 1 1 at 5: A>B, B>C").inversions, 0);
    const struct lock_answer bad = say(b, 10, "shop/b 1 1 at 5: C>A");
    assert_int_equal(bad.inversions, 1);
    assert_int_equal(lock_graph_find(&order_of(b, "shop")->graph,
                                     lock_order_find(order_of(b, "shop"), STR("C")),
                                     lock_order_find(order_of(b, "shop"), STR("A"))),
                     bad.inversion);
    assert_int_equal(say(b, 10, "shop/c 1 1 at 5: C>A").inversions, 0);
}

static int refused(struct lock_book *b, const char *text, const char *why)
{
    struct lock_answer a;
    struct lock_text t;
    struct err err = {.text = ""};

    lock_text_read(&t, text);
    const int rc = lock_book_report(b, &t.report, 10, &a, &err);
    assert_string_equal(err.text, why);
    return rc;
}

static void a_report_that_makes_no_sense_is_not_taken_in_half(void **state)
{
    struct lock_book *const b = *state;

    assert_int_equal(
        refused(b, "shop/a 1 1 at 5: t holds A/1 since 6", "held[0].sinceNs: is after nowNs"),
        -EINVAL);
    assert_null(lock_book_find(b, STR("shop")));
    (void)say(b, 10, "shop/a 1 1 at 5: A>B");
    assert_int_equal(refused(b, "shop/a 1 2 at 5: t waits A/1, u waits A/1, t waits B/1, B>C",
                             "waiting[2].thread: waits already, waiting[0]"),
                     -EINVAL);
    assert_int_equal(order_of(b, "shop")->graph.live_edges, 1);
    assert_int_equal(order_of(b, "shop")->graph.live_nodes, 2);
    assert_int_equal(say(b, 10, "shop/a 1 2 at 5: B>C").receipt, LOCK_APPLIED);
}

/* Names of edges up to the limit, then one more: it is refused whole, and room comes back. */
static void a_namespace_has_a_bound(void **state)
{
    struct lock_book *const b = *state;
    static char names[LIMIT_LOCK_CLASSES / 2][2][16];
    static struct lock_seen edges[LIMIT_LOCK_CLASSES / 2];
    struct lock_report r = {.ns = STR("shop"),
                            .pod = STR("a"),
                            .container = STR("main"),
                            .sequence = 1,
                            .edges = edges,
                            .n_edges = LIMIT_LOCK_CLASSES / 2};
    struct lock_answer a;
    struct err err;

    for (uint32_t i = 0; i < r.n_edges; i++) {
        for (int k = 0; k < 2; k++)
            (void)snprintf(names[i][k], sizeof(names[i][k]), "%c%u", 'a' + k, i);
        edges[i] = (struct lock_seen){str_of(names[i][0]), str_of(names[i][1]), 1};
    }
    assert_int_equal(lock_book_report(b, &r, 1, &a, &err), 0);
    assert_int_equal(refused(b, "shop/b 1 1 at 5: a1>b2, x>y",
                             "the namespace has 16384 lock classes and 8192 edges already"),
                     -E2BIG);
    assert_int_equal(order_of(b, "shop")->graph.live_edges, 8192); /* nor is a1>b2 there */
    assert_int_equal(lock_book_find(b, STR("shop"))->n_reporters, 1);
    lock_book_end_pod(b, STR("shop"), STR("a"));
    (void)say(b, 10, "shop/b 1 1 at 5: a1>b2, x>y");
}

/* --- policies --- */

static void declare(struct lock_book *b, const char *policy, const char *order)
{
    struct str names[8];
    struct lock_rule rule = {STR("rule"), names, 0};
    struct str rest = str_of(order);
    struct err err;

    while (rest.n)
        names[rule.n++] = str_cut(&rest, ' ');
    assert_int_equal(lock_book_declare(b, STR("shop"), str_of(policy), &rule, 1, &err), 0);
}

static void what_is_declared_can_be_changed_and_withdrawn(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B C");
    declare(b, "q", "B C D");
    assert_int_equal(order_of(b, "shop")->graph.live_edges, 3);
    assert_int_equal(say(b, 10, "shop/a 1 1 at 5: C>A").inversions, 1);
    declare(b, "p", "A B");
    assert_int_equal(order_of(b, "shop")->graph.live_edges, 4); /* AB, BC, CD, CA */
    lock_book_withdraw(b, STR("shop"), STR("q"));
    lock_book_withdraw(b, STR("shop"), STR("q"));
    assert_int_equal(order_of(b, "shop")->graph.live_edges, 2); /* AB, CA */
    lock_book_withdraw(b, STR("shop"), STR("p"));
    assert_int_equal(order_of(b, "shop")->graph.live_nodes, 2);
    lock_book_end_pod(b, STR("shop"), STR("a"));
    assert_null(lock_book_find(b, STR("shop")));
}

/* --- deadlocks --- */

enum { INTERVAL = 100 };

static uint32_t detect(struct lock_book *b, uint64_t now)
{
    const struct lock_space *s;

    assert_int_equal(lock_book_detect(b, now, INTERVAL), 0);
    s = lock_book_find(b, STR("shop"));
    return s ? s->n_deadlocks : 0;
}

static const struct lock_deadlock *only(const struct lock_book *b)
{
    const struct lock_space *const s = lock_book_find(b, STR("shop"));

    assert_int_equal(s->n_deadlocks, 1);
    return s->deadlocks;
}

/* Two threads of one process, two mutexes, opposite order. */
static void opposite_order_is_confirmed_when_it_is_seen_again(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000,
              "shop/a 1 1 at 50: t1 holds A/1 since 10, t1 waits B/1 since 20, "
              "t2 holds B/1 since 11, t2 waits A/1 since 30");
    assert_int_equal(detect(b, 1001), 1);
    assert_int_equal(only(b)->confirmed_ns, 0);
    assert_int_equal(only(b)->since_ns, 980); /* the later wait began 20 before the report */
    assert_int_equal(only(b)->n, 2);
    assert_true(str_is(only(b)->parties[0].thread, "t1")); /* waits longest */
    assert_true(str_is(only(b)->parties[0].waits.class_name, "B"));
    assert_true(str_is(only(b)->parties[0].holds.class_name, "A"));
    assert_true(str_is(only(b)->parties[1].holds.class_name, "B"));

    assert_int_equal(detect(b, 5000), 1);
    assert_int_equal(only(b)->confirmed_ns, 0); /* nobody has spoken since */
    (void)say(b, 1050,
              "shop/a 1 2 at 100: t1 holds A/1 since 10, t1 waits B/1 since 20, "
              "t2 holds B/1 since 11, t2 waits A/1 since 30");
    assert_int_equal(detect(b, 1060), 1);
    assert_int_equal(only(b)->confirmed_ns, 0); /* too soon: 1050 < 1001 + 100 */
    (void)say(b, 1101,
              "shop/a 1 3 at 151: t1 holds A/1 since 10, t1 waits B/1 since 20, "
              "t2 holds B/1 since 11, t2 waits A/1 since 30");
    assert_int_equal(detect(b, 1102), 1);
    assert_int_equal(only(b)->confirmed_ns, 1102);
    assert_int_equal(b->confirmed, 1);

    (void)say(b, 1200, "shop/a 1 4 at 250: t2 holds B/1 since 11");
    assert_int_equal(detect(b, 1201), 0);
    assert_int_equal(b->ended, 1);
}

/* Any progress on any edge makes it another circle, whose time begins anew. */
static void progress_cancels(void **state)
{
    static const char *const changed[] = {
        "t1 holds A/1 since 10, t1 waits B/1 since 21, t2 holds B/1 since 11, t2 waits A/1 since "
        "30",
        "t1 holds A/1 since 12, t1 waits B/1 since 20, t2 holds B/1 since 11, t2 waits A/1 since "
        "30",
        "t1 holds A/1 since 10, t1 waits B/1 since 20, t2 holds B/1 since 11, t2 waits A/1 since "
        "31",
        "t1 holds A/1 since 10, t1 waits B/1 since 20, t2 holds B/1 since 13, t2 waits A/1 since "
        "30",
    };

    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        struct lock_book b;
        char text[512];

        lock_book_init(&b, key);
        (void)say(&b, 1000,
                  "shop/a 1 1 at 50: t1 holds A/1 since 10, t1 waits B/1 since 20, "
                  "t2 holds B/1 since 11, t2 waits A/1 since 30");
        assert_int_equal(detect(&b, 1000), 1);
        (void)snprintf(text, sizeof(text), "shop/a 1 2 at 250: %s", changed[i]);
        (void)say(&b, 1200, text);
        assert_int_equal(detect(&b, 1200), 1);
        assert_int_equal(only(&b)->first_ns, 1200);
        assert_int_equal(only(&b)->confirmed_ns, 0);
        assert_int_equal(b.passed, 1);
        lock_book_done(&b);
    }
    (void)state;
}

static void a_new_epoch_is_not_the_same_circle(void **state)
{
    struct lock_book *const b = *state;
    const char *const one =
        "shop/a 1 1 at 50: t1 holds A/1, t1 waits B/1, t2 holds B/1, t2 waits A/1";
    const char *const two =
        "shop/a 2 1 at 50: t1 holds A/1, t1 waits B/1, t2 holds B/1, t2 waits A/1";

    (void)say(b, 1000, one);
    assert_int_equal(detect(b, 1000), 1);
    (void)say(b, 1200, two);
    assert_int_equal(detect(b, 1200), 1);
    assert_int_equal(only(b)->confirmed_ns, 0);
}

/* Three pods in a circle over shared locks: every one of them must speak again. */
static void a_circle_over_pods_needs_all_of_them(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000, "shop/a 1 1 at 50: t holds L/1! since 1, t waits L/2! since 20");
    (void)say(b, 1000, "shop/b 1 1 at 90: t holds L/2! since 1, t waits L/3! since 70");
    assert_int_equal(detect(b, 1000), 0);
    (void)say(b, 1000, "shop/c 1 1 at 10: t holds L/3! since 1, t waits L/1! since 5");
    assert_int_equal(detect(b, 1000), 1);
    assert_int_equal(only(b)->n, 3);
    assert_int_equal(only(b)->since_ns, 995);
    (void)say(b, 1200, "shop/a 1 2 at 250: t holds L/1! since 1, t waits L/2! since 20");
    (void)say(b, 1200, "shop/b 1 2 at 290: t holds L/2! since 1, t waits L/3! since 70");
    assert_int_equal(detect(b, 1200), 1);
    assert_int_equal(only(b)->confirmed_ns, 0);
    (void)say(b, 1300, "shop/c 1 2 at 310: t holds L/3! since 1, t waits L/1! since 5");
    assert_int_equal(detect(b, 1300), 1);
    assert_int_equal(only(b)->confirmed_ns, 1300);
    lock_book_end_pod(b, STR("shop"), STR("b"));
    assert_int_equal(detect(b, 1301), 0);
}

/* The same address in two processes is two locks; the same key of a shared class is one. */
static void process_locks_stay_within_their_reporter(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000, "shop/a 1 1 at 50: t holds A/1, t waits B/1");
    (void)say(b, 1000, "shop/b 1 1 at 50: t holds B/1, t waits A/1");
    assert_int_equal(detect(b, 1000), 0);
    (void)say(b, 1000, "shop/c 1 1 at 50: t holds A/1!, t waits B/1!");
    (void)say(b, 1000, "shop/d 1 1 at 50: t holds B/1, t waits A/1!");
    assert_int_equal(detect(b, 1000), 0);
    (void)say(b, 1000, "shop/e 1 1 at 50: t holds B/1!, t waits A/1!");
    assert_int_equal(detect(b, 1000), 1);
}

static void a_thread_may_wait_for_itself(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000, "shop/a 1 1 at 50: t holds A/1, t waits A/1");
    assert_int_equal(detect(b, 1000), 1);
    assert_int_equal(only(b)->n, 1);
}

/* A lock with two readers is free only when both let go: the circle through one is enough. */
static void one_of_several_holders_closes_the_circle(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000,
              "shop/a 1 1 at 50: r1 holds A/1, r2 holds A/1, r2 holds B/1, "
              "w waits A/1, w holds C/1, r2 waits C/1");
    assert_int_equal(detect(b, 1000), 1);
    assert_int_equal(only(b)->n, 2);
}

/* Who only waits behind a deadlock is not of it, and a chain that ends is none. */
static void chains_are_no_deadlock(void **state)
{
    struct lock_book *const b = *state;

    (void)say(b, 1000, "shop/a 1 1 at 50: t1 holds A/1, t2 holds B/1, t2 waits A/1, t3 waits B/1");
    assert_int_equal(detect(b, 1000), 0);
    (void)say(b, 1000,
              "shop/a 1 2 at 50: t1 holds A/1, t1 waits B/1, t2 holds B/1, t2 waits A/1, "
              "t3 holds C/1, t3 waits B/1, t4 waits C/1");
    assert_int_equal(detect(b, 1000), 1);
    assert_int_equal(only(b)->n, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_duplicate_changes_nothing),
        T(a_gap_asks_for_what_is_missing),
        T(an_unknown_reporter_begins_at_the_beginning),
        T(a_new_epoch_takes_back_the_one_before),
        T(the_end_of_a_pod_takes_back_all_it_said),
        T(silent_reporters_are_forgotten),
        T(namespaces_do_not_see_each_other),
        T(an_inversion_is_told_once),
        T(a_report_that_makes_no_sense_is_not_taken_in_half),
        T(a_namespace_has_a_bound),
        T(what_is_declared_can_be_changed_and_withdrawn),
        T(opposite_order_is_confirmed_when_it_is_seen_again),
        T(progress_cancels),
        T(a_new_epoch_is_not_the_same_circle),
        T(a_circle_over_pods_needs_all_of_them),
        T(process_locks_stay_within_their_reporter),
        T(a_thread_may_wait_for_itself),
        T(one_of_several_holders_closes_the_circle),
        T(chains_are_no_deadlock),
    };
#undef T

    return cmocka_run_group_tests_name("lock book", tests, NULL, NULL);
}
