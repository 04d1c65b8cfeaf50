/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edges come and go in random graphs; after each step the components must be those that brute force
 * finds (who reaches whom, by transitive closure), and their order topological. NUMAWISE_GRAPHS
 * sets how many graphs; a million take about a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operator/locks/graph.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { GRAPHS = 20000, MAX_NODES = 12, BIG_NODES = 60 };

struct naive {
    uint32_t n;
    uint64_t out[BIG_NODES];   /* bit per edge */
    uint64_t reach[BIG_NODES]; /* bit per node that a way leads to */
};

static void close_naive(struct naive *v)
{
    memcpy(v->reach, v->out, sizeof(v->out));
    for (uint32_t k = 0; k < v->n; k++) {
        for (uint32_t i = 0; i < v->n; i++) {
            if (v->reach[i] >> k & 1)
                v->reach[i] |= v->reach[k];
        }
    }
}

static bool on_cycle(const struct naive *v, uint32_t from, uint32_t to)
{
    return from == to || v->reach[to] >> from & 1;
}

static void compare(const struct lock_graph *g, struct naive *v, const uint32_t *node)
{
    close_naive(v);
    lock_graph_check(g);
    for (uint32_t i = 0; i < v->n; i++) {
        for (uint32_t k = 0; k < v->n; k++) {
            const uint32_t edge = lock_graph_find(g, node[i], node[k]);
            const bool together = i == k || (v->reach[i] >> k & 1 && v->reach[k] >> i & 1);

            assert_int_equal(edge != LOCK_NONE, v->out[i] >> k & 1);
            assert_int_equal(g->nodes[node[i]].comp == g->nodes[node[k]].comp, together);
            if (edge != LOCK_NONE)
                assert_int_equal(lock_graph_is_cyclic(g, edge), on_cycle(v, i, k));
        }
    }
}

/* A node whose edges all go, and that comes again. */
static void replace(struct lock_graph *g, struct naive *v, uint32_t *node, uint32_t i)
{
    for (uint32_t k = 0; k < v->n; k++) {
        uint32_t e = lock_graph_find(g, node[i], node[k]);

        if (e != LOCK_NONE)
            lock_graph_remove(g, e);
        e = lock_graph_find(g, node[k], node[i]);
        if (e != LOCK_NONE)
            lock_graph_remove(g, e);
        v->out[k] &= ~(UINT64_C(1) << i);
    }
    v->out[i] = 0;
    lock_graph_remove_node(g, node[i]);
    assert_int_equal(lock_graph_add_node(g, &node[i]), 0);
}

static void step(struct lock_graph *g, struct naive *v, uint32_t *node, uint64_t *seed)
{
    const uint32_t i = (uint32_t)test_random(seed, v->n), k = (uint32_t)test_random(seed, v->n);
    uint32_t e = lock_graph_find(g, node[i], node[k]);

    if (test_random(seed, 40) == 0) {
        replace(g, v, node, i);
    } else if (e != LOCK_NONE) {
        lock_graph_remove(g, e);
        v->out[i] &= ~(UINT64_C(1) << k);
    } else {
        assert_int_equal(lock_graph_add(g, node[i], node[k], &e), 0);
        v->out[i] |= UINT64_C(1) << k;
    }
}

/* `every`: how many steps between two comparisons. Returns whether there ever was a cycle. */
static bool one_graph(uint64_t *seed, uint32_t n, uint32_t steps, uint32_t every)
{
    struct lock_graph g;
    struct naive v = {.n = n};
    uint32_t node[BIG_NODES];
    bool cyclic = false;

    lock_graph_init(&g, *seed);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(lock_graph_add_node(&g, &node[i]), 0);
    for (uint32_t i = 1; i <= steps; i++) {
        step(&g, &v, node, seed);
        if (i % every && i < steps)
            continue;
        lock_graph_settle(&g);
        compare(&g, &v, node);
        for (uint32_t k = 0; k < n; k++)
            cyclic = cyclic || v.reach[k] >> k & 1;
    }
    lock_graph_done(&g);
    return cyclic;
}

static void components_are_those_of_brute_force(void **state)
{
    const long graphs = getenv("NUMAWISE_GRAPHS") ? atol(getenv("NUMAWISE_GRAPHS")) : GRAPHS;
    uint64_t seed = test_seed(20261126);
    long cyclic = 0;

    for (long i = 0; i < graphs; i++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MAX_NODES);

        cyclic += one_graph(&seed, n, 1 + (uint32_t)test_random(&seed, 3 * n),
                            1 + (uint32_t)test_random(&seed, n));
    }
    printf("%ld graphs, %ld with a cycle\n", graphs, cyclic);
    assert_in_range(cyclic, graphs / 10, graphs - graphs / 10); /* both happen */
}

/* Long ones, where components of many nodes grow and fall apart. */
static void components_are_those_of_brute_force_in_large_graphs(void **state)
{
    uint64_t seed = test_seed(20261127);

    for (int i = 0; i < 60; i++)
        (void)one_graph(&seed, BIG_NODES, 600, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_are_those_of_brute_force),
        cmocka_unit_test(components_are_those_of_brute_force_in_large_graphs)};

    return cmocka_run_group_tests_name("lock graph", tests, NULL, NULL);
}
