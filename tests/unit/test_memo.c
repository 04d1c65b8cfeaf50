/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/memo.h"

#include "tests/support/test.h"

enum { NODES = 10 };

static const struct score_result admitted = {
    .verdict = SCORE_ADMITTED,
    .interval = true,
    .known = 1 << SCORE_LOCALITY | 1 << SCORE_FRAGMENTATION,
    .term = {[SCORE_LOCALITY] = 987, [SCORE_FRAGMENTATION] = 654}};

static void an_answer_is_known_for_its_revision_only(void **state)
{
    struct memo *m;
    struct score_result got = {.reason = SCORE_KUBELET_CRASH};

    assert_int_equal(memo_new(&m, 1 << 16, NULL), 0);
    struct memo_shape *const s = memo_find(m, STR("shape"), NODES);
    assert_false(memo_get(s, 3, 7, &got));
    assert_int_equal(got.reason, SCORE_KUBELET_CRASH); /* untouched */
    memo_put(s, 3, 7, &admitted);
    assert_true(memo_get(s, 3, 7, &got));
    assert_int_equal(got.verdict, SCORE_ADMITTED);
    assert_int_equal(got.reason, SCORE_REASON_NONE);
    assert_true(got.interval);
    assert_int_equal(got.known, admitted.known);
    assert_memory_equal(got.term, admitted.term, sizeof(got.term));
    assert_false(memo_get(s, 3, 8, &got));
    assert_false(memo_get(s, 4, 7, &got));
    memo_free(m);
}

static void equal_shapes_share_answers_and_others_do_not(void **state)
{
    struct memo *m;
    struct score_result got;

    assert_int_equal(memo_new(&m, 1 << 16, NULL), 0);
    memo_put(memo_find(m, STR("one"), NODES), 0, 1, &admitted);
    assert_false(memo_get(memo_find(m, STR("two"), NODES), 0, 1, &got));
    assert_true(memo_get(memo_find(m, STR("one"), NODES), 0, 1, &got));
    /* another number of nodes: positions have moved */
    assert_false(memo_get(memo_find(m, STR("one"), NODES + 1), 0, 1, &got));
    memo_free(m);
}

static void the_shape_used_least_recently_makes_room(void **state)
{
    struct memo *m;
    struct memo_stats stats;
    struct score_result got;

    assert_int_equal(memo_new(&m, 1 << 16, NULL), 0);
    (void)memo_find(m, STR("a"), NODES);
    memo_stats(m, &stats);
    const size_t one = stats.bytes;
    memo_free(m);

    assert_int_equal(memo_new(&m, 2 * one, NULL), 0); /* room for two of them */
    memo_put(memo_find(m, STR("a"), NODES), 0, 1, &admitted);
    memo_put(memo_find(m, STR("b"), NODES), 0, 1, &admitted);
    (void)memo_find(m, STR("a"), NODES); /* b is the older one now */
    (void)memo_find(m, STR("c"), NODES);
    memo_stats(m, &stats);
    assert_int_equal(stats.shapes, 2);
    assert_int_equal(stats.evicted, 1);
    assert_true(stats.bytes <= 2 * one);
    assert_true(memo_get(memo_find(m, STR("a"), NODES), 0, 1, &got));
    assert_false(memo_get(memo_find(m, STR("b"), NODES), 0, 1, &got));
    memo_free(m);
}

static void a_cluster_beyond_the_limit_is_not_remembered(void **state)
{
    struct memo *m;

    assert_int_equal(memo_new(&m, 1000, NULL), 0);
    assert_null(memo_find(m, STR("a"), 1000));
    assert_non_null(memo_find(m, STR("a"), 1));
    memo_free(m);
    memo_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_known_for_its_revision_only),
        cmocka_unit_test(equal_shapes_share_answers_and_others_do_not),
        cmocka_unit_test(the_shape_used_least_recently_makes_room),
        cmocka_unit_test(a_cluster_beyond_the_limit_is_not_remembered),
    };

    return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}
