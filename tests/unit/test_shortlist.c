/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the admitted nodes are handed back. */
#include "decide/shortlist.h"

#include <string.h>

#include "base/arena.h"
#include "decide/decide.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { MANY = 200, ROOM = 4096 };

static struct score_request *request_of(const struct pod_amount *amounts, uint32_t n)
{
    static _Alignas(max_align_t) char room[ROOM];
    static struct pod_container c;
    static struct score_pod pod;
    struct score_request *request;
    struct arena a;

    c = (struct pod_container){.name = STR("c"),
                               .kind = POD_APP,
                               .requests = amounts,
                               .n_requests = n,
                               .limits = amounts,
                               .n_limits = n};
    pod = (struct score_pod){.containers = &c, .n_containers = 1};
    arena_init(&a, room, ROOM);
    assert_int_equal(score_request_init(&request, &pod, &a, NULL), 0);
    return request;
}

static const struct pod_amount placed[] = {{{"cpu", 3}, POD_CPU, 4000},
                                           {{"memory", 6}, POD_MEMORY, 1 << 30}};
static const struct pod_amount shared[] = {{{"cpu", 3}, POD_CPU, 500}};

/* Marks of `n` rows that score `scores`, as a text: '+' stays, '-' left out. */
static void list(const uint16_t *scores, uint32_t n, uint32_t k, uint64_t turn,
                 const struct score_request *request, char *out)
{
    struct decide_row rows[MANY] = {{0}};
    struct decision d = {.request = request, .n = n, .rows = rows, .counts = {n}};
    uint32_t left_out = 0;

    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct decide_row){.verdict = SCORE_ADMITTED, .score = scores[i]};
    const uint32_t said = decide_shortlist(
        rows, &d, &(struct decide_options){.max_score = 10, .shortlist = k, .turn = turn});
    for (uint32_t i = 0; i < n; i++) {
        out[i] = rows[i].marks & DECIDE_LEFT_OUT ? '-' : '+';
        left_out += out[i] == '-';
    }
    out[n] = 0;
    assert_int_equal(said, left_out);
}

static void the_best_stay_and_all_that_score_as_the_last_of_them(void **state)
{
    const struct score_request *const r = request_of(placed, 2);
    static const uint16_t scores[] = {500, 900, 700, 900, 700, 100, 700, 800};
    char got[MANY + 1];

    list(scores, 8, 3, 0, r, got); /* 900 900 800 */
    assert_string_equal(got, "-+-+---+");
    list(scores, 8, 4, 0, r, got); /* and the three of 700: 6 <= 2 * 4 */
    assert_string_equal(got, "-++++-++");
    list(scores, 8, 1, 0, r, got); /* both of 900: 2 <= 2 * 1 */
    assert_string_equal(got, "-+-+----");
    list(scores, 8, 8, 0, r, got); /* no more than are asked for */
    assert_string_equal(got, "++++++++");
    list(scores, 8, 0, 0, r, got); /* no shortlist */
    assert_string_equal(got, "++++++++");
}

static void alike_ones_take_turns(void **state)
{
    const struct score_request *const r = request_of(placed, 2);
    static const uint16_t scores[] = {600, 600, 900, 600, 600, 600};
    char got[MANY + 1];

    /* Two asked for: the 900, and of five at 600 three, for 2 * 2 is the most. */
    list(scores, 6, 2, 0, r, got);
    assert_string_equal(got, "++++--");
    list(scores, 6, 2, 1, r, got); /* begins at the fourth of them, and goes round */
    assert_string_equal(got, "+-+-++");
    list(scores, 6, 2, 2, r, got); /* at 6 mod 5 = the second */
    assert_string_equal(got, "-++++-");
}

/* Against counting: none that is left out scores higher than one that stays. */
static void no_better_node_is_left_out(void **state)
{
    const struct score_request *const r = request_of(placed, 2);
    uint64_t seed = test_seed(88);
    uint32_t uses[MANY] = {0};
    char got[MANY + 1];

    for (int round = 0; round < 3000; round++) {
        const uint32_t n = 1 + (uint32_t)test_random(&seed, MANY),
                       k = 1 + (uint32_t)test_random(&seed, 20),
                       levels = 1 + (uint32_t)test_random(&seed, 12);
        uint32_t worst = SCORE_MAX, best_out = 0, stay = 0;
        uint16_t scores[MANY];

        for (uint32_t i = 0; i < n; i++)
            scores[i] = (uint16_t)(1000 / levels * (1 + test_random(&seed, levels)));
        list(scores, n, k, test_random(&seed, 1000), r, got);
        for (uint32_t i = 0; i < n; i++) {
            stay += got[i] == '+';
            if (got[i] == '+' && scores[i] < worst)
                worst = scores[i];
            if (got[i] == '-' && scores[i] > best_out)
                best_out = scores[i];
        }
        assert_true(stay >= (k < n ? k : n) && (stay == n || stay <= 2 * k));
        assert_true(best_out <= worst);
    }
    for (uint32_t turn = 0; turn < MANY; turn++) { /* alike nodes: each gets its turns */
        uint16_t scores[100];
        for (uint32_t i = 0; i < 100; i++)
            scores[i] = 700;
        list(scores, 100, 4, turn, r, got);
        for (uint32_t i = 0; i < 100; i++)
            uses[i] += got[i] == '+';
    }
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(uses[i], MANY * 8 / 100);
}

static void the_list_stays_whole_where_topology_does_not_matter(void **state)
{
    static const uint16_t scores[] = {100, 200, 300, 400};
    char got[MANY + 1];

    list(scores, 4, 1, 0, request_of(shared, 1), got); /* Burstable: the shared pool */
    assert_string_equal(got, "++++");
    list(scores, 4, 1, 0, NULL, got); /* not judged */
    assert_string_equal(got, "++++");
}

static void refused_ones_stay_refused_unknown_ones_are_left_out(void **state)
{
    struct decide_row rows[] = {{.verdict = SCORE_REJECTED},
                                {.verdict = SCORE_UNKNOWN},
                                {.verdict = SCORE_ADMITTED, .score = 5},
                                {.verdict = SCORE_ADMITTED, .score = 9},
                                {.verdict = SCORE_ADMITTED, .score = 9, .marks = DECIDE_REPEATED}};
    const struct decision d = {
        .request = request_of(placed, 2), .n = 5, .rows = rows, .counts = {2, 1, 1}};
    struct decide_options options = {.max_score = 10, .shortlist = 1, .mode = DECIDE_SHADOW};

    assert_int_equal(decide_shortlist(rows, &d, &options), 0); /* Shadow changes nothing */
    options.mode = DECIDE_ENFORCE;
    assert_int_equal(decide_shortlist(rows, &d, &options), 1);
    assert_int_equal(rows[0].marks, 0);
    assert_int_equal(rows[1].marks, DECIDE_LEFT_OUT);
    assert_int_equal(rows[2].marks, DECIDE_LEFT_OUT);
    assert_int_equal(rows[3].marks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_stay_and_all_that_score_as_the_last_of_them),
        cmocka_unit_test(alike_ones_take_turns),
        cmocka_unit_test(no_better_node_is_left_out),
        cmocka_unit_test(the_list_stays_whole_where_topology_does_not_matter),
        cmocka_unit_test(refused_ones_stay_refused_unknown_ones_are_left_out),
    };

    return cmocka_run_group_tests_name("shortlist", tests, NULL, NULL);
}
