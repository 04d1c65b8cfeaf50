/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A remembered answer, be it of another node that is alike, equals a computed one, after any change
 * of node, pod, policy, namespace, signal or clock: a cluster changes at random while pods of few
 * shapes ask, with a memory so small that it forgets. Nor does it matter how many threads compute.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/crew.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "tests/support/data.h"
#include "tests/support/random_cluster.h"
#include "tests/support/test.h"

enum { ROUNDS = 3000, ROOM = 1 << 20, MEMO_BYTES = 4096, MAX_AGE_US = 100000000 };

static int64_t the_time;

static int64_t now_us(void)
{
    return the_time;
}

static void assert_same(const struct decision *x, const struct decision *y)
{
    assert_int_equal(x->any, y->any);
    for (uint32_t i = 0; i < x->n; i++) {
        const struct decide_row *const a = &x->rows[i], *const b = &y->rows[i];

        assert_int_equal(a->verdict, b->verdict);
        assert_int_equal(a->reason, b->reason);
        assert_int_equal(a->known, b->known);
        assert_int_equal(a->sum, b->sum);
        assert_int_equal(a->score, b->score);
        assert_int_equal(a->wire, b->wire);
    }
}

/* Pairs of names whose nodes are taken for each other. */
static uint64_t pairs_alike(const struct cluster_snapshot *s)
{
    struct cluster_found found[RANDOM_NAMES];
    uint64_t n = 0;

    cluster_snapshot_find_all(found, s, random_names, RANDOM_NAMES);
    for (uint32_t i = 0; i < RANDOM_NAMES; i++) {
        for (uint32_t k = 0; k < i; k++)
            n += found[i].brief && found[k].brief &&
                 found[i].brief->like.serial == found[k].brief->like.serial &&
                 cluster_snapshot_node(s, found[i].position)->knowledge == NODE_KNOWN;
    }
    return n;
}

/* Where the names were when they were asked about last; the second way of asking says so. */
static struct {
    uint32_t positions[RANDOM_NAMES];
    uint64_t roster, holds, moved;
} last;

static void remember_positions(const struct decision *d, const struct cluster_snapshot *s)
{
    const uint64_t roster = cluster_snapshot_roster(s)->serial;

    last.holds += last.roster == roster;
    last.moved += last.roster != roster;
    last.roster = roster;
    for (uint32_t i = 0; i < d->n; i++)
        last.positions[i] = d->rows[i].position;
}

static uint64_t ask_both_ways(struct cluster *c, struct memo *memo, struct crew *crew,
                              uint64_t *seed, char *room)
{
    struct cluster_snapshot *const s = cluster_get(c);
    struct decide_options options = {.max_score = 100,
                                     .context = {.now_us = the_time, .max_age_us = MAX_AGE_US}};
    struct decision plain, remembered;
    struct random_pod p;
    struct arena a;

    random_pod(&p, seed);
    struct decide_ask ask = {.pod = &p.pod, .n = RANDOM_NAMES, .names = random_names};
    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&plain, &ask, s, &options, &a, NULL), 0);
    options.memo = memo;
    ask.positions = last.positions;
    ask.roster = last.roster;
    options.crew = test_random(seed, 2) ? crew : NULL;
    assert_int_equal(decide_run(&remembered, &ask, s, &options, &a, NULL), 0);
    assert_same(&remembered, &plain);
    assert_true(remembered.evaluated <= plain.evaluated);
    remember_positions(&remembered, s);
    arena_rewind(&a, 0);
    const uint64_t alike = pairs_alike(s);
    cluster_snapshot_unref(s);
    return alike;
}

static void remembered_answers_equal_computed_ones(void **state)
{
    const struct cluster_options options = {.max_age_us = MAX_AGE_US, .now_us = now_us};
    uint64_t seed = test_seed(606), alike = 0;
    struct cluster *c;
    struct memo *memo;
    struct crew *crew;
    char *const room = malloc(ROOM);

    assert_non_null(room);
    the_time = random_observed_us;
    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    assert_int_equal(memo_new(&memo, MEMO_BYTES, 0, NULL), 0);
    assert_int_equal(crew_new(&crew, 2, 1, NULL), 0); /* for a single open node, too */
    const struct source_sink sink = cluster_sink(c);
    for (int i = 0; i < ROUNDS; i++) {
        if (test_random(&seed, 3) == 0)
            random_change(&sink, &seed);
        the_time += (int64_t)test_random(&seed, 200000);
        if (test_random(&seed, 8) == 0)
            cluster_tick(c); /* signals grow too old */
        alike += ask_both_ways(c, memo, crew, &seed, room);
    }
    print_message("%" PRIu64 " pairs of nodes were alike\n", alike);
    assert_true(alike > ROUNDS / 10);
    assert_true(last.holds > ROUNDS / 10 && last.moved > ROUNDS / 100);
    struct memo_stats stats;
    memo_stats(memo, &stats);
    assert_true(stats.evicted > 0 && stats.bytes <= MEMO_BYTES); /* it did forget */
    crew_free(crew);
    memo_free(memo);
    cluster_free(c);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(remembered_answers_equal_computed_ones)};

    return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}
