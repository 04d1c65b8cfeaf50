/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random reports against slow models: what is known of every edge is what the living reporters and
 * policies said; circles of waiting threads are those that a transitive closure finds.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "operator/locks/detect.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static const uint64_t key[2] = {3, 4};

/* --- edges --- */

enum { CLASSES = 7, PODS = 4, POLICIES = 3, STEPS = 300, BOOKS = 60 };

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};

struct model {
    uint64_t epoch[PODS], sequence[PODS];
    uint64_t count[PODS][CLASSES][CLASSES]; /* 0 = not said */
    uint8_t chain[POLICIES][CLASSES];
    uint32_t n_chain[POLICIES];
};

static uint32_t declared(const struct model *m, uint32_t from, uint32_t to)
{
    uint32_t n = 0;

    for (int p = 0; p < POLICIES; p++) {
        for (uint32_t i = 0; i + 1 < m->n_chain[p]; i++)
            n += m->chain[p][i] == from && m->chain[p][i + 1] == to;
    }
    return n;
}

static void compare(const struct lock_book *b, const struct model *m)
{
    struct lock_space *const s = lock_book_find(b, STR("ns"));

    if (s) {
        lock_graph_settle(&s->order.graph);
        lock_graph_check(&s->order.graph);
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        for (uint32_t k = 0; k < CLASSES; k++) {
            const uint32_t from = s ? lock_order_find(&s->order, str_of(names[i])) : LOCK_NONE,
                           to = s ? lock_order_find(&s->order, str_of(names[k])) : LOCK_NONE;
            const uint32_t e = from == LOCK_NONE || to == LOCK_NONE
                                   ? LOCK_NONE
                                   : lock_graph_find(&s->order.graph, from, to);
            uint64_t count = 0, reporters = 0;

            for (int p = 0; p < PODS; p++) {
                count += m->count[p][i][k];
                reporters += m->count[p][i][k] > 0;
            }
            assert_int_equal(e != LOCK_NONE, reporters || declared(m, i, k));
            if (e == LOCK_NONE)
                continue;
            assert_int_equal(s->order.edges[e].count, count);
            assert_int_equal(s->order.edges[e].reporters, reporters);
            assert_int_equal(s->order.edges[e].declared, declared(m, i, k));
        }
    }
}

static void say_edges(struct lock_book *b, struct model *m, uint64_t *seed, uint32_t pod)
{
    struct lock_seen edges[8];
    struct lock_answer a;
    const bool restart = m->sequence[pod] == 0 || test_random(seed, 8) == 0;
    struct lock_report r = {.ns = STR("ns"),
                            .pod = str_of(names[pod]),
                            .epoch = m->epoch[pod] += restart,
                            .sequence = m->sequence[pod] = restart ? 1 : m->sequence[pod] + 1,
                            .edges = edges,
                            .n_edges = (uint32_t)test_random(seed, ARRAY_LEN(edges))};

    if (restart)
        memset(m->count[pod], 0, sizeof(m->count[pod]));
    for (uint32_t i = 0; i < r.n_edges; i++) {
        const uint64_t from = test_random(seed, CLASSES), to = test_random(seed, CLASSES);

        edges[i] =
            (struct lock_seen){str_of(names[from]), str_of(names[to]), 1 + test_random(seed, 5)};
        m->count[pod][from][to] += edges[i].count;
    }
    assert_int_equal(lock_book_report(b, &r, 1, &a, NULL), 0);
    assert_int_equal(a.receipt, LOCK_APPLIED);
}

static void declare(struct lock_book *b, struct model *m, uint64_t *seed, uint32_t policy)
{
    struct str order[CLASSES];
    const struct lock_rule rule = {STR("r"), order, (uint32_t)test_random(seed, CLASSES + 1)};
    uint8_t *const chain = m->chain[policy];

    for (uint8_t i = 0; i < CLASSES; i++)
        chain[i] = i;
    for (uint32_t i = 0; i < rule.n; i++) { /* a random choice, in random order */
        const uint64_t k = i + test_random(seed, CLASSES - i);
        const uint8_t swap = chain[i];

        chain[i] = chain[k];
        chain[k] = swap;
        order[i] = str_of(names[chain[i]]);
    }
    m->n_chain[policy] = rule.n;
    assert_int_equal(lock_book_declare(b, STR("ns"), str_of(names[policy]), &rule, 1, NULL), 0);
}

static void step(struct lock_book *b, struct model *m, uint64_t *seed)
{
    const uint32_t pod = (uint32_t)test_random(seed, PODS);
    const uint32_t policy = (uint32_t)test_random(seed, POLICIES);

    switch (test_random(seed, 8)) {
    case 0:
        declare(b, m, seed, policy);
        break;
    case 1:
        lock_book_withdraw(b, STR("ns"), str_of(names[policy]));
        m->n_chain[policy] = 0;
        break;
    case 2:
        lock_book_end_pod(b, STR("ns"), str_of(names[pod]));
        memset(m->count[pod], 0, sizeof(m->count[pod]));
        m->sequence[pod] = 0;
        break;
    default:
        say_edges(b, m, seed, pod);
    }
}

static void edges_are_what_the_living_said(void **state)
{
    uint64_t seed = test_seed(20261128);

    for (int i = 0; i < BOOKS; i++) {
        struct lock_book b;
        struct model m = {.epoch = {0}};

        lock_book_init(&b, key);
        for (int k = 0; k < STEPS; k++) {
            step(&b, &m, &seed);
            compare(&b, &m);
        }
        for (int p = 0; p < PODS; p++)
            lock_book_end_pod(&b, STR("ns"), str_of(names[p]));
        for (int p = 0; p < POLICIES; p++)
            lock_book_withdraw(&b, STR("ns"), str_of(names[p]));
        assert_int_equal(b.n_all, 0);
        assert_null(b.spaces);
        lock_book_done(&b);
    }
}

/* --- circles --- */

enum { THREADS = 4, LOCKS = 9, ALL = PODS * THREADS, ROUNDS = 4000 };

/* Locks 0..5 are a process's own, the others are shared. */
struct scene {
    bool holds[ALL][LOCKS];
    int waits[ALL]; /* -1 = runs */
    uint32_t pods;
};

static bool is_shared(int lock)
{
    return lock >= 6;
}

static bool blocks(const struct scene *s, int waiter, int holder)
{
    const int lock = s->waits[waiter];

    return lock >= 0 && s->holds[holder][lock] &&
           (is_shared(lock) || waiter / THREADS == holder / THREADS);
}

static struct lock_claim claim(int thread, int lock, uint64_t since)
{
    return (struct lock_claim){.class_name = str_of(names[lock / 2]),
                               .instance = str_of(lock % 2 ? "1" : "2"),
                               .thread = str_of(names[thread % THREADS]),
                               .shared = is_shared(lock),
                               .since_ns = since};
}

static void say_scene(struct lock_book *b, const struct scene *s, uint64_t sequence, uint64_t now)
{
    for (uint32_t p = 0; p < s->pods; p++) {
        struct lock_claim held[THREADS * LOCKS], waiting[THREADS];
        struct lock_report r = {.ns = STR("ns"),
                                .pod = str_of(names[p]),
                                .sequence = sequence,
                                .now_ns = 100 + now,
                                .held = held,
                                .waiting = waiting};
        struct lock_answer a;

        for (int t = (int)p * THREADS; t < ((int)p + 1) * THREADS; t++) {
            for (int l = 0; l < LOCKS; l++) {
                if (s->holds[t][l])
                    held[r.n_held++] = claim(t, l, 1);
            }
            if (s->waits[t] >= 0)
                waiting[r.n_waiting++] = claim(t, s->waits[t], 2);
        }
        assert_int_equal(lock_book_report(b, &r, now, &a, NULL), 0);
    }
}

static int number_of(const struct lock_party *p)
{
    int pod = 0, thread = 0;

    while (!str_is(p->pod, names[pod]))
        pod++;
    while (!str_is(p->thread, names[thread]))
        thread++;
    return pod * THREADS + thread;
}

static void close_over(const struct scene *s, uint32_t reach[ALL])
{
    const int n = (int)s->pods * THREADS;

    for (int i = 0; i < n; i++) {
        reach[i] = 0;
        for (int k = 0; k < n; k++)
            reach[i] |= (uint32_t)blocks(s, i, k) << k;
    }
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < n; i++)
            reach[i] |= reach[i] >> k & 1 ? reach[k] : 0;
    }
}

/* Each circle is one, and there is just one for each set of threads that wait for each other. */
static uint32_t judge(const struct lock_space *space, const struct scene *s)
{
    uint32_t reach[ALL], left = 0, circles = 0;

    close_over(s, reach);
    for (uint32_t i = 0; i < s->pods * THREADS; i++)
        left |= (reach[i] >> i & 1) << i;
    for (const struct lock_deadlock *d = space ? space->deadlocks : NULL; d; d = d->next) {
        const int first = number_of(&d->parties[0]);
        uint32_t seen = 0;

        for (uint32_t i = 0; i < d->n; i++) {
            const int a = number_of(&d->parties[i]), b = number_of(&d->parties[(i + 1) % d->n]);

            assert_true(blocks(s, a, b));
            assert_false(seen >> a & 1);
            seen |= UINT32_C(1) << a;
        }
        assert_true(left >> first & 1); /* no other circle of the same threads */
        for (uint32_t i = 0; i < s->pods * THREADS; i++) {
            if (reach[first] >> i & 1 && reach[i] >> first & 1)
                left &= ~(UINT32_C(1) << i);
        }
        circles++;
    }
    assert_int_equal(left, 0);
    assert_int_equal(circles, space ? space->n_deadlocks : 0);
    return circles;
}

static void random_scene(struct scene *s, uint64_t *seed)
{
    const uint64_t density = 2 + test_random(seed, 12);

    memset(s, 0, sizeof(*s));
    s->pods = 1 + (uint32_t)test_random(seed, PODS);
    for (uint32_t t = 0; t < s->pods * THREADS; t++) {
        for (int l = 0; l < LOCKS; l++)
            s->holds[t][l] = test_random(seed, density) == 0;
        s->waits[t] = (int)test_random(seed, LOCKS + 3) - 3;
        if (s->waits[t] < 0)
            s->waits[t] = -1;
    }
}

static void circles_are_those_of_brute_force(void **state)
{
    uint64_t seed = test_seed(20261129);
    uint32_t with = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct lock_book b;
        struct scene s;

        lock_book_init(&b, key);
        random_scene(&s, &seed);
        say_scene(&b, &s, 1, 10);
        assert_int_equal(lock_book_detect(&b, 10, 5), 0);
        const uint32_t n = judge(b.spaces, &s);
        with += n > 0;
        say_scene(&b, &s, 2, 15);
        assert_int_equal(lock_book_detect(&b, 15, 5), 0);
        assert_int_equal(judge(b.spaces, &s), n);
        assert_int_equal(b.confirmed, n); /* nothing has changed: all of them */
        lock_book_done(&b);
    }
    printf("%d scenes, %u with a circle\n", ROUNDS, with);
    assert_in_range(with, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(edges_are_what_the_living_said),
                                       cmocka_unit_test(circles_are_those_of_brute_force)};

    return cmocka_run_group_tests_name("lock book", tests, NULL, NULL);
}
