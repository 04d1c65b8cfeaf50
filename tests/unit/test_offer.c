/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes kube-scheduler would not even ask about. */
#include "decide/offer.h"

#include "base/arena.h"
#include "base/buf.h"
#include "decide/decide.h"
#include "tests/support/test.h"

enum { NODES = 4, ROOM = 4096 };

static const struct str names[NODES] = {{"gpu", 3}, {"full", 4}, {"plain", 5}, {"bare", 4}};
static const struct node_fit gpu_fits[] = {{{"cpu", 3}, POD_CPU, 8000, 6000},
                                           {{"nvidia.com/gpu", 14}, POD_EXTENDED, 4, 3},
                                           {{"pods", 4}, POD_OTHER, 110, 3}};
static const struct node_fit full_fits[] = {{{"cpu", 3}, POD_CPU, 8000, 6500},
                                            {{"nvidia.com/gpu", 14}, POD_EXTENDED, 4, 0},
                                            {{"pods", 4}, POD_OTHER, 110, 3}};
static const struct node_fit plain_fits[] = {{{"cpu", 3}, POD_CPU, 8000, 0},
                                             {{"pods", 4}, POD_OTHER, 3, 3}};
static const struct node_view nodes[NODES] = {{.fits = gpu_fits, .n_fits = 3},
                                              {.fits = full_fits, .n_fits = 3},
                                              {.fits = plain_fits, .n_fits = 2},
                                              {.n_fits = 0}};

static const struct node_view *const all[NODES] = {&nodes[0], &nodes[1], &nodes[2], &nodes[3]};

/* Lacks of the four nodes, all admitted, for a pod with one container that requests `amounts`. */
static void offer(const struct offer_lack *lacks[NODES], const struct pod_amount *amounts,
                  uint32_t n, struct arena *a)
{
    static const struct decide_row rows[NODES]; /* zero is SCORE_ADMITTED */
    const struct pod_container c = {.requests = amounts, .n_requests = n};
    const struct score_pod pod = {.containers = &c, .n_containers = 1};
    const struct decide_ask ask = {.pod = &pod, .n = NODES, .names = names};

    assert_int_equal(offer_rows(lacks, rows, all, &ask, a), 0);
}

static void assert_lack(const struct offer_lack *lack, const char *want)
{
    struct buf text = {0};

    assert_non_null(lack);
    offer_text(&text, lack);
    assert_string_equal(text.p, want);
    buf_free(&text);
}

static void sums_and_missing_resources_hold_a_node_back(void **state)
{
    static _Alignas(max_align_t) char room[ROOM];
    const struct pod_amount wants[] = {{{"cpu", 3}, POD_CPU, 2000},
                                       {{"nvidia.com/gpu", 14}, POD_EXTENDED, 1}};
    const struct offer_lack *lacks[NODES];
    struct arena a;

    arena_init(&a, room, ROOM);
    offer(lacks, wants, 2, &a);
    assert_null(lacks[0]); /* 6000 + 2000 = 8000, 3 + 1 = 4: just fits */
    assert_lack(lacks[1], "cpu needs 2, free 1500m of 8");
    assert_lack(lacks[2], "pods needs 1, free 0 of 3"); /* before the missing GPU */
    assert_null(lacks[3]);                              /* it says nothing of itself */
    arena_rewind(&a, 0);
}

static void a_resource_that_only_others_have_is_missing(void **state)
{
    static _Alignas(max_align_t) char room[ROOM];
    const struct pod_amount wants[] = {{{"nvidia.com/gpu", 14}, POD_EXTENDED, 2},
                                       {{"example.com/licence", 19}, POD_EXTENDED, 1}};
    const struct pod_container c = {.requests = wants, .n_requests = 2};
    const struct score_pod pod = {.containers = &c, .n_containers = 1};
    const struct node_view other = {.fits = plain_fits, .n_fits = 1};
    const struct decide_row rows[2] = {{.verdict = SCORE_ADMITTED}, {.verdict = SCORE_ADMITTED}};
    const struct node_view *const two[] = {&nodes[1], &other};
    const struct offer_lack *lacks[2];
    struct arena a;

    arena_init(&a, room, ROOM);
    const struct decide_ask ask = {.pod = &pod, .n = 2, .names = names};
    assert_int_equal(offer_rows(lacks, rows, two, &ask, &a), 0);
    assert_null(lacks[0]); /* no node has the licence: it is no matter of nodes */
    assert_lack(lacks[1], "nvidia.com/gpu needs 2, free 0 of 0");
    arena_rewind(&a, 0);
}

static void who_is_rejected_or_unknown_is_not_looked_at(void **state)
{
    static _Alignas(max_align_t) char room[ROOM];
    const struct pod_amount wants[] = {{{"cpu", 3}, POD_CPU, 9000}};
    const struct pod_container c = {.requests = wants, .n_requests = 1};
    const struct score_pod pod = {.containers = &c, .n_containers = 1};
    struct decide_row rows[2] = {{.verdict = SCORE_REJECTED}, {.verdict = SCORE_UNKNOWN}};
    const struct node_view *const two[] = {&nodes[0], NULL};
    const struct offer_lack *lacks[2];
    const struct decide_ask ask = {.pod = &pod, .n = 2, .names = names};
    struct arena a;

    arena_init(&a, room, 0); /* nothing is needed where nothing is kept */
    assert_int_equal(offer_rows(lacks, rows, two, &ask, &a), 0);
    assert_null(lacks[0]);
    rows[0].verdict = SCORE_ADMITTED;
    assert_int_equal(offer_rows(lacks, rows, two, &ask, &a), -12); /* -ENOMEM */
}

static void admitted_nodes_without_room_come_behind_those_with_room(void **state)
{
    static const struct offer_lack lack = {{"cpu", 3}, POD_CPU, 1000, 0, 0};
    static const struct offer_lack *const lacks[] = {&lack, NULL};
    const struct decide_row rows[] = {{.score = 900}, {.score = 100}};
    const struct decision d = {.n = 2, .rows = rows, .lacks = lacks};

    assert_true(decide_compare(&d, names, 0, 1) > 0);
    assert_true(decide_compare(&d, names, 1, 0) < 0);
    assert_false(decide_is_candidate(&d, 0));
    assert_true(decide_is_candidate(&d, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_missing_resources_hold_a_node_back),
        cmocka_unit_test(a_resource_that_only_others_have_is_missing),
        cmocka_unit_test(who_is_rejected_or_unknown_is_not_looked_at),
        cmocka_unit_test(admitted_nodes_without_room_come_behind_those_with_room),
    };

    return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
