/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: what was asked for is refused, what was there stays
 * whole, and the same thing asked again with memory there gives the same result. Linked with --wrap
 * for malloc, calloc and realloc.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "operator/locks/detect.h"
#include "operator/locks/view.h"
#include "tests/support/lock_text.h"
#include "tests/support/test.h"

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);

static long left = -1; /* allocations that succeed; -1 = all */

static bool may(void)
{
    if (left > 0)
        left--;
    return left != 0;
}

void *__wrap_malloc(size_t n)
{
    return may() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return may() ? __real_realloc(p, n) : NULL;
}

static const char *const reports[] = {
    "shop/a 1 1 at 50: t1 holds A/1, t1 waits B/1, t2 holds B/1, t2 waits A/1, A>B, B>A, B>C",
    "shop/b 1 1 at 50: t1 holds A/x!, C>D, D>E, E>F, F>G, G>H, H>I, I>J, J>K, K>L, L>M, M>N, N>O",
    "shop/a 1 2 at 99: t1 holds A/1, t1 waits B/1, t2 holds B/1, t2 waits A/1, O>P, P>Q, Q>A",
    "bank/a 1 1 at 50: A>B",
    "shop/b 2 1 at 50: A>B",
};

enum { STEPS = 5 + 1 + 1 + 1 };

static int declare(struct lock_book *b)
{
    struct str order[] = {STR("A"), STR("B"), STR("Z")};
    const struct lock_rule rules[] = {{STR("one"), order, 3}, {STR("two"), order + 1, 2}};

    return lock_book_declare(b, STR("shop"), STR("p"), rules, 2, NULL);
}

static int look(struct lock_book *b)
{
    struct lock_view *v;
    struct lock_space *const s = lock_book_find(b, STR("shop"));
    const int rc = s ? lock_view_new(&v, s, 500) : 0;

    if (rc == 0 && s)
        lock_view_free(v);
    return rc;
}

static int step(struct lock_book *b, int i)
{
    if (i < 5)
        return lock_text_say(b, (uint64_t)(100 + i * 100), reports[i], NULL);
    if (i == 5)
        return declare(b);
    return i == 6 ? lock_book_detect(b, 1000, 1) : look(b);
}

static void check(struct lock_book *b)
{
    for (struct lock_space *s = b->spaces; s; s = s->next) {
        lock_graph_settle(&s->order.graph);
        lock_graph_check(&s->order.graph);
    }
}

static void every_allocation_may_fail(void **state)
{
    static const uint64_t key[2] = {1, 2};
    long n = 1;

    for (bool failed = true; failed; n++) {
        struct lock_book b;

        failed = false;
        lock_book_init(&b, key);
        left = n;
        for (int i = 0; i < STEPS; i++) {
            const int rc = step(&b, i);

            if (rc == 0)
                continue;
            left = -1;
            failed = true;
            assert_int_equal(rc, -ENOMEM);
            check(&b);
            assert_int_equal(step(&b, i), 0);
        }
        left = -1;
        check(&b);
        const struct lock_space *const s = lock_book_find(&b, STR("shop"));
        assert_int_equal(s->order.graph.live_edges, 7); /* AB BA BC OP PQ QA BZ */
        lock_book_done(&b);
    }
    assert_in_range(n, 50, 500); /* so many allocations there are, about */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};

    return cmocka_run_group_tests_name("lock memory", tests, NULL, NULL);
}
