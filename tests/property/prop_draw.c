/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random hierarchies: what is drawn does not depend on the order in which it was reported; boxes
 * keep apart; lines run between boxes, not through them.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "operator/draw/draw.h"
#include "operator/draw/layout.h"
#include "operator/locks/detect.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 400, CLASSES = 40, EDGES = 90, PODS = 5 };

static const uint64_t key[2] = {5, 6};
static char names[CLASSES][48];

static void make_names(void)
{
    for (int i = 0; i < CLASSES; i++)
        (void)snprintf(names[i], sizeof(names[i]), "%.*sclass%d", i,
                       "a.long.name.of.a.lock.that.goes.on", i);
}

struct event {
    uint32_t pod, from, to;
    uint64_t count;
};

struct scene {
    struct event events[EDGES];
    uint32_t n, chain[3][6], n_chain[3];
};

static void random_scene(struct scene *s, uint64_t *seed)
{
    const uint64_t classes = 2 + test_random(seed, CLASSES - 1);

    memset(s, 0, sizeof(*s));
    s->n = 1 + (uint32_t)test_random(seed, EDGES);
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t from = test_random(seed, classes), to = test_random(seed, classes);

        if (from > to && test_random(seed, 8)) { /* mostly in order */
            const uint64_t swap = from;

            from = to;
            to = swap;
        }
        s->events[i] = (struct event){(uint32_t)test_random(seed, PODS), (uint32_t)from,
                                      (uint32_t)to, 1 + test_random(seed, 9)};
    }
    for (int p = 0; p < 3; p++) {
        uint64_t at = test_random(seed, 4);

        for (; at < classes && s->n_chain[p] < 6; at += 1 + test_random(seed, classes / 4 + 1))
            s->chain[p][s->n_chain[p]++] = (uint32_t)at;
    }
}

static void declare(struct lock_book *b, const struct scene *s, int p)
{
    struct str order[6];
    const struct lock_rule rule = {STR("r"), order, s->n_chain[p]};

    for (uint32_t i = 0; i < rule.n; i++)
        order[i] = str_of(names[s->chain[p][i]]);
    assert_int_equal(lock_book_declare(b, STR("ns"),
                                       str_of(p == 0   ? "p"
                                              : p == 1 ? "q"
                                                       : "r"),
                                       &rule, 1, NULL),
                     0);
}

/* Events one by one; the other way round when `backward`, and policies before instead of after. */
static struct lock_view *view(struct lock_book *b, const struct scene *s, bool backward)
{
    static const char *const pods[PODS] = {"a", "b", "c", "d", "e"};
    uint64_t sequence[PODS] = {0};
    struct lock_view *v;
    struct lock_answer a;

    lock_book_init(b, key);
    for (int p = 0; p < 3 && backward; p++)
        declare(b, s, p);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct event *const e = &s->events[backward ? s->n - 1 - i : i];
        const struct lock_seen seen = {str_of(names[e->from]), str_of(names[e->to]), e->count};
        const struct lock_report r = {.ns = STR("ns"),
                                      .pod = str_of(pods[e->pod]),
                                      .sequence = ++sequence[e->pod],
                                      .edges = &seen,
                                      .n_edges = 1};

        assert_int_equal(lock_book_report(b, &r, 1, &a, NULL), 0);
    }
    for (int p = 2; p >= 0 && !backward; p--)
        declare(b, s, p);
    assert_int_equal(lock_view_new(&v, b->spaces, 1), 0);
    v->generation = 0; /* it counts events */
    return v;
}

static void what_is_drawn_does_not_depend_on_the_order_of_events(void **state)
{
    uint64_t seed = test_seed(20261130);

    make_names();
    for (int i = 0; i < ROUNDS; i++) {
        struct lock_book one, two;
        struct scene s;

        random_scene(&s, &seed);
        struct lock_view *const v = view(&one, &s, false), *const w = view(&two, &s, true);
        for (int f = 0; f < DRAW_FORMATS; f++) {
            struct buf x = {0}, y = {0};

            assert_int_equal(draw(&x, v, (enum draw_format)f), 0);
            assert_int_equal(draw(&y, w, (enum draw_format)f), 0);
            assert_int_equal(x.n, y.n);
            assert_memory_equal(x.p, y.p, x.n);
            buf_free(&x);
            buf_free(&y);
        }
        lock_view_free(v);
        lock_view_free(w);
        lock_book_done(&one);
        lock_book_done(&two);
    }
}

static void check_view(const struct lock_view *v)
{
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        if (e->basis)
            assert_true(v->classes[e->from].level < v->classes[e->to].level);
        if (e->violation)
            assert_true(v->classes[e->from].level > v->classes[e->to].level);
    }
}

static void check_boxes(const struct layout *l, const struct lock_view *v)
{
    for (uint32_t i = 0; i < l->n_boxes; i++) {
        const struct layout_box *const a = &l->boxes[i];

        assert_int_equal(l->row_level[a->row], v->classes[a->class_index].level);
        assert_true(a->x >= 0 && a->x + a->width <= l->width);
        for (uint32_t k = i + 1; k < l->n_boxes; k++) {
            const struct layout_box *const b = &l->boxes[k];

            assert_true(a->row != b->row || a->x + a->width < b->x || b->x + b->width < a->x);
        }
    }
}

static void check_lines(const struct layout *l)
{
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const struct layout_line *const line = &l->lines[i];
        const struct layout_box *const a = &l->boxes[line->from], *const b = &l->boxes[line->to];
        const uint32_t span = a->row < b->row ? b->row - a->row : a->row - b->row;

        assert_true(line->from_x > a->x && line->from_x < a->x + a->width);
        assert_true(line->to_x > b->x && line->to_x < b->x + b->width);
        assert_int_equal(line->n, span ? span - 1 : 0);
        for (uint32_t k = 0; k < line->n; k++) {
            const struct layout_point *const p = &line->points[k];

            assert_int_equal(p->row, a->row < b->row ? a->row + k + 1 : a->row - k - 1);
            for (uint32_t j = 0; j < l->n_boxes; j++) {
                const struct layout_box *const box = &l->boxes[j];

                assert_true(box->row != p->row || p->x < box->x || p->x > box->x + box->width);
            }
        }
    }
}

static void boxes_and_lines_keep_apart(void **state)
{
    uint64_t seed = test_seed(20261131);
    uint32_t wide = 0;

    make_names();
    for (int i = 0; i < ROUNDS; i++) {
        struct lock_book b;
        struct scene s;
        struct layout *l;

        random_scene(&s, &seed);
        struct lock_view *const v = view(&b, &s, false);
        check_view(v);
        assert_int_equal(layout_new(&l, v), 0);
        assert_int_equal(l->n_boxes, v->n_classes);
        assert_true(l->n_lines + l->left_out_edges == v->n_edges);
        check_boxes(l, v);
        check_lines(l);
        wide += l->n_rows > v->n_levels;
        layout_free(l);
        lock_view_free(v);
        lock_book_done(&b);
    }
    assert_in_range(wide, ROUNDS / 20, ROUNDS); /* levels of several rows happen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_drawn_does_not_depend_on_the_order_of_events),
        cmocka_unit_test(boxes_and_lines_keep_apart)};

    return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
