/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "operator/locks/detect.h"
#include "operator/locks/view.h"
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

static void say(struct lock_book *b, const char *text)
{
    assert_int_equal(lock_text_say(b, 1000, text, NULL), 0);
}

/* "A B C" */
static void declare(struct lock_book *b, const char *policy, const char *order)
{
    struct str names[8];
    struct lock_rule rule = {STR("rule"), names, 0};
    struct str rest = str_of(order);

    while (rest.n)
        names[rule.n++] = str_cut(&rest, ' ');
    assert_int_equal(lock_book_declare(b, STR("shop"), str_of(policy), &rule, 1, NULL), 0);
}

static struct lock_view *view(struct lock_book *b)
{
    struct lock_view *v;

    assert_int_equal(lock_view_new(&v, lock_book_find(b, STR("shop")), 2000), 0);
    return v;
}

/* "A0 B1 C2 | A>B= A>C+ | A>B>A": classes with levels; edges with + basis, ! violation, ~ of a
   cycle only; cycles. */
static void expect(struct lock_book *b, const char *want)
{
    struct lock_view *const v = view(b);
    struct buf text = {0};

    for (uint32_t i = 0; i < v->n_classes; i++)
        buf_printf(&text, "%.*s%u ", STR_ARG(v->classes[i].name), v->classes[i].level);
    buf_text(&text, "|");
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        assert_false(e->violation && e->basis);
        buf_printf(&text, " %.*s>%.*s%s", STR_ARG(v->classes[e->from].name),
                   STR_ARG(v->classes[e->to].name),
                   e->violation ? "!"
                   : e->basis   ? "+"
                                : "~");
    }
    buf_text(&text, " |");
    for (uint32_t i = 0; i < v->n_cycles; i++) {
        buf_text(&text, " ");
        for (uint32_t k = 0; k < v->cycles[i].n; k++)
            buf_printf(&text, "%.*s>", STR_ARG(v->classes[v->cycles[i].classes[k]].name));
        if (v->cycles[i].declared)
            buf_text(&text, "declared");
    }
    assert_string_equal(text.p, want);
    buf_free(&text);
    lock_view_free(v);
}

static void levels_are_longest_ways(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B D");
    declare(b, "q", "A D E");
    say(b, "shop/a 1 1 at 5: E>F, X>F");
    expect(b, "A0 B1 D2 E3 F4 X0 | A>B+ A>D+ B>D+ D>E+ E>F+ X>F+ |");
}

static void an_edge_against_the_declared_order_is_a_violation(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B C");
    say(b, "shop/a 1 1 at 5: A>C, C>A 4");
    expect(b, "A0 B1 C2 | A>B+ A>C+ B>C+ C>A! | A>C>");
}

/* A>C was seen and fits what is declared, but it is no part of it: C>A takes the blame alone. */
static void what_fits_the_declared_order_is_not_blamed(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B C");
    say(b, "shop/a 1 1 at 5: A>C, C>A 4");
    struct lock_view *const v = view(b);
    assert_int_equal(v->n_violations, 1);
    assert_true(v->edges[3].violation);
    assert_int_equal(v->edges[3].count, 4);
    lock_view_free(v);
}

/* Two observed edges that contradict each other, where nothing is declared: neither is to blame. */
static void an_inversion_without_declaration_is_a_potential_cycle(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 5: A>B");
    say(b, "shop/b 1 1 at 5: B>A, B>C");
    expect(b, "A0 B1 C2 | A>B+ B>A~ B>C+ | A>B>");
}

/* No edge alone is against A>B, together they are. */
/* What happens often is more likely meant than what happens once. */
static void the_frequent_way_counts_as_the_order(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 5: A>B 2, B>A 9, B>C 9, C>B 9");
    expect(b, "A1 B0 C1 | A>B~ B>A+ B>C+ C>B~ | A>B> B>C>");
}

/* The rare edge A>B fits what is declared, although B>A happens often: declared comes first. */
static void declared_comes_before_frequent(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A X B");
    say(b, "shop/a 1 1 at 5: A>B 1, B>A 9");
    expect(b, "A0 B2 X1 | A>B+ A>X+ B>A! X>B+ | A>B>");
}

static void a_way_round_is_a_potential_cycle(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B");
    say(b, "shop/a 1 1 at 5: B>C, C>A");
    expect(b, "A0 B1 C2 | A>B+ B>C+ C>A~ | A>B>C>");
}

static void rules_that_contradict_each_other_are_told(void **state)
{
    struct lock_book *const b = *state;

    declare(b, "p", "A B C");
    declare(b, "q", "B A D");
    expect(b, "A0 B0 C1 D1 | A>B~ A>D+ B>A~ B>C+ | A>B>declared");
}

static void a_class_within_itself_is_a_cycle_of_one(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 5: A>A, A>B");
    expect(b, "A0 B1 | A>A~ A>B+ | A>");
}

static void cycles_that_share_a_class_are_two(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 5: B>A, A>B, B>C, C>B, C>D, D>A");
    expect(b, "A0 B1 C2 D3 | A>B+ B>A~ B>C+ C>B~ C>D+ D>A~ | A>B> B>C> A>B>C>D>");
}

static void classes_that_are_only_held_have_a_level_too(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 5: t holds A/1");
    expect(b, "A0 | |");
}

/* The same things said in another order, by others, give the same view. */
static void the_view_does_not_depend_on_the_order_of_events(void **state)
{
    struct lock_book *const b = *state;
    const char *const want = "A0 B1 C2 D0 E1 | A>B+ B>C+ C>A! D>E+ E>D~ | D>E> A>B>C>";

    say(b, "shop/a 1 1 at 5: C>A, D>E, E>D");
    declare(b, "p", "A B C");
    expect(b, want);
    lock_book_end_pod(b, STR("shop"), STR("a"));
    say(b, "shop/z 1 1 at 5: E>D");
    say(b, "shop/y 1 1 at 5: D>E");
    say(b, "shop/x 1 1 at 5: C>A");
    lock_book_withdraw(b, STR("shop"), STR("p"));
    declare(b, "q", "B C");
    declare(b, "p", "A B");
    expect(b, want);
}

static void deadlocks_are_shown_with_their_parties(void **state)
{
    struct lock_book *const b = *state;

    say(b, "shop/a 1 1 at 50: t1 holds A/1 since 10, t1 waits B/1 since 20, "
           "t2 holds B/1 since 11, t2 waits A/1 since 30");
    assert_int_equal(lock_book_detect(b, 1000, 10), 0);
    struct lock_view *const v = view(b);
    assert_int_equal(v->n_deadlocks, 1);
    assert_false(v->deadlocks[0].confirmed);
    assert_int_equal(v->deadlocks[0].duration_ns, 1020); /* from 1000 - 20 to 2000 */
    assert_int_equal(v->deadlocks[0].parties[0].waits_ns, 1030);
    assert_true(str_is(v->deadlocks[0].parties[0].thread, "t1"));
    assert_true(str_is(v->deadlocks[0].parties[1].waits, "A"));
    lock_view_free(v);
}

/* Everybody after everybody: the search ends, and says that it did not look everywhere. */
static void a_thicket_is_looked_at_in_part(void **state)
{
    static struct lock_seen edges[200 * 40];
    static char names[200][8];
    struct lock_book *const b = *state;
    struct lock_report r = {.ns = STR("shop"), .pod = STR("a"), .sequence = 1, .edges = edges};
    struct lock_answer a;

    for (int i = 0; i < 200; i++)
        (void)snprintf(names[i], sizeof(names[i]), "%03d", i);
    for (int i = 0; i < 200; i++) {
        for (int k = 1; k <= 40; k++)
            edges[r.n_edges++] =
                (struct lock_seen){str_of(names[i]), str_of(names[(i + k * k) % 200]), 1};
    }
    assert_int_equal(lock_book_report(b, &r, 1, &a, NULL), 0);
    struct lock_view *const v = view(b);
    assert_int_equal(v->n_cycles, LOCK_VIEW_CYCLES);
    assert_true(v->more);
    lock_view_free(v);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(levels_are_longest_ways),
        T(an_edge_against_the_declared_order_is_a_violation),
        T(what_fits_the_declared_order_is_not_blamed),
        T(an_inversion_without_declaration_is_a_potential_cycle),
        T(the_frequent_way_counts_as_the_order),
        T(declared_comes_before_frequent),
        T(a_way_round_is_a_potential_cycle),
        T(rules_that_contradict_each_other_are_told),
        T(a_class_within_itself_is_a_cycle_of_one),
        T(cycles_that_share_a_class_are_two),
        T(classes_that_are_only_held_have_a_level_too),
        T(the_view_does_not_depend_on_the_order_of_events),
        T(deadlocks_are_shown_with_their_parties),
        T(a_thicket_is_looked_at_in_part),
    };
#undef T

    return cmocka_run_group_tests_name("lock view", tests, NULL, NULL);
}
