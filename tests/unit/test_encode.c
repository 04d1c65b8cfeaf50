/* SPDX-License-Identifier: Apache-2.0 */
/* Answers byte for byte; the reply is a fake that joins the pieces. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "extender/encode.h"
#include "net/http.h"

struct http_reply {
    struct buf body;
    char *room;
    size_t reserved;
    unsigned refs;
    bool full; /* http_reserve fails */
};

void http_add(struct http_reply *r, const void *p, size_t n)
{
    buf_add(&r->body, p, n);
}

void http_add_ref(struct http_reply *r, const char *p, size_t n)
{
    r->refs++;
    buf_add(&r->body, p, n);
}

char *http_reserve(struct http_reply *r, size_t n)
{
    if (r->full)
        return NULL;
    r->reserved = n;
    r->room = malloc(n);
    assert_non_null(r->room);
    return r->room;
}

void http_commit(struct http_reply *r, size_t n)
{
    assert_true(n <= r->reserved);
    buf_add(&r->body, r->room, n);
    free(r->room);
    r->room = NULL;
}

enum { N = 5 };

/* Admitted, rejected, the first again, unknown, the second again. */
static const struct decide_row rows[N] = {
    {.verdict = SCORE_ADMITTED, .score = 870, .wire = 9},
    {.verdict = SCORE_REJECTED, .reason = SCORE_TOPOLOGY_AFFINITY_ERROR},
    {.verdict = SCORE_ADMITTED, .score = 870, .wire = 9, .marks = DECIDE_REPEATED},
    {.verdict = SCORE_UNKNOWN, .reason = SCORE_NO_TOPOLOGY},
    {.verdict = SCORE_REJECTED, .reason = SCORE_TOPOLOGY_AFFINITY_ERROR, .marks = DECIDE_REPEATED},
};
/* Names as they stand in the body, where quotes are around them. */
static const struct str raw[N] = {{&"\"a\""[1], 1},
                                  {&"\"b\\u00e9\""[1], 7},
                                  {&"\"a\""[1], 1},
                                  {&"\"c\""[1], 1},
                                  {&"\"b\\u00e9\""[1], 7}};
enum { RAW_BYTES = 3 + 9 + 3 + 3 + 9 };

static const struct decision decision = {.n = N, .rows = rows, .counts = {1, 1, 1}};

static void expect(struct http_reply *r, const char *want)
{
    assert_string_equal(r->body.p, want);
    assert_int_equal(r->body.n, strlen(want));
    assert_null(r->room);
    buf_free(&r->body);
    r->refs = 0;
}

static void filter_by_names_tells_every_candidate_once(void **state)
{
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &decision, DECIDE_ENFORCE);
    expect(&r, "{\"Nodes\":null,\"NodeNames\":[\"a\",\"c\"],\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{\"b\\u00e9\":\"numawise: TopologyAffinityError\"},"
               "\"Error\":\"\"}");
}

static void shadow_passes_everything(void **state)
{
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &decision, DECIDE_SHADOW);
    expect(&r, "{\"Nodes\":null,\"NodeNames\":[\"a\",\"b\\u00e9\",\"c\"],\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
}

/* A policy may refuse nodes that nothing is known of: the room for their reasons is counted, too.
 */
static void what_is_unknown_and_refused_fails_with_its_reason(void **state)
{
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = 2, .raw = raw, .quoted_bytes = 3 + 9};
    static const struct decide_row two[] = {
        {.verdict = SCORE_UNKNOWN, .reason = SCORE_NO_TOPOLOGY, .marks = DECIDE_REFUSED},
        {.verdict = SCORE_UNKNOWN, .reason = SCORE_STALE_TOPOLOGY, .marks = DECIDE_REFUSED}};
    const struct decision refused = {.n = 2, .rows = two, .counts = {0, 0, 2}, .refused = 2};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &refused, DECIDE_ENFORCE);
    expect(&r, "{\"Nodes\":null,\"NodeNames\":[],\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{\"a\":\"numawise: NoTopology\","
               "\"b\\u00e9\":\"numawise: StaleTopology\"},\"Error\":\"\"}");
    ext_encode_filter(&r, &args, &refused, DECIDE_SHADOW);
    expect(&r, "{\"Nodes\":null,\"NodeNames\":[\"a\",\"b\\u00e9\"],\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
}

static void filter_by_objects_hands_back_what_was_sent(void **state)
{
    static const char body[] = "[{\"x\":0},{\"x\":1},{\"x\":2},\n{\"x\":3},{\"x\":4}]";
    const struct str items[N] = {
        {body + 1, 7}, {body + 9, 7}, {body + 17, 7}, {body + 26, 7}, {body + 34, 7}};
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NODES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES, .items = items};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &decision, DECIDE_ENFORCE);
    assert_int_equal(r.refs, 2);
    expect(&r, "{\"Nodes\":{\"metadata\":{},\"items\":[{\"x\":0},{\"x\":3}]},\"NodeNames\":null,"
               "\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{\"b\\u00e9\":\"numawise: TopologyAffinityError\"},"
               "\"Error\":\"\"}");
}

/* 0 and 1 stand side by side and go out as one piece; 3 has blanks before it. */
static void neighbours_go_out_as_one_piece(void **state)
{
    static const char body[] = "[{\"x\":0},{\"x\":1},{\"x\":2},\n{\"x\":3},{\"x\":4}]";
    const struct str items[N] = {
        {body + 1, 7}, {body + 9, 7}, {body + 17, 7}, {body + 26, 7}, {body + 34, 7}};
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NODES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES, .items = items};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &decision, DECIDE_SHADOW);
    assert_int_equal(r.refs, 2);
    expect(&r, "{\"Nodes\":{\"metadata\":{},\"items\":[{\"x\":0},{\"x\":1},{\"x\":3}]},"
               "\"NodeNames\":null,\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},"
               "\"Error\":\"\"}");
}

/* A blank behind the comma: the two are not one piece, and the answer has no blank. */
static void survivors_with_a_blank_between_them_go_out_without_it(void **state)
{
    static const struct decide_row two[] = {{.wire = 1}, {.wire = 1}};
    static const char body[] = "[{\"x\":0}, {\"x\":1} ,{\"x\":2}]";
    const struct str items[] = {{body + 1, 7}, {body + 10, 7}};
    const struct decision d = {.n = 2, .rows = two};
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NODES, .n = 2, .raw = raw, .quoted_bytes = RAW_BYTES, .items = items};
    struct http_reply r = {0};

    ext_encode_filter(&r, &args, &d, DECIDE_ENFORCE);
    assert_int_equal(r.refs, 2);
    expect(&r, "{\"Nodes\":{\"metadata\":{},\"items\":[{\"x\":0},{\"x\":1}]},\"NodeNames\":null,"
               "\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
}

static void no_candidates_is_an_empty_list_never_null(void **state)
{
    const struct decision none = {.n = 0};
    const struct kube_extender_args names = {.mode = KUBE_ARGS_NAMES};
    const struct kube_extender_args nodes = {.mode = KUBE_ARGS_NODES};
    struct http_reply r = {0};

    ext_encode_filter(&r, &names, &none, DECIDE_ENFORCE);
    expect(&r, "{\"Nodes\":null,\"NodeNames\":[],\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
    ext_encode_filter(&r, &nodes, &none, DECIDE_ENFORCE);
    expect(&r, "{\"Nodes\":{\"metadata\":{},\"items\":[]},\"NodeNames\":null,\"FailedNodes\":{},"
               "\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}");
    ext_encode_prioritize(&r, &names, &none, false);
    expect(&r, "[]");
}

static void prioritize_scores_every_candidate_once(void **state)
{
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES};
    struct http_reply r = {0};

    ext_encode_prioritize(&r, &args, &decision, false);
    expect(&r, "[{\"Host\":\"a\",\"Score\":9},{\"Host\":\"b\\u00e9\",\"Score\":0},"
               "{\"Host\":\"c\",\"Score\":0}]");
}

/* Of 9, 4, 4 and 7 kube-scheduler reads 5 and 3: what it adds up is less by 4 for all. */
static void sparse_scores_are_those_above_the_lowest(void **state)
{
    static const struct str four[] = {
        {&"\"a\""[1], 1}, {&"\"b\""[1], 1}, {&"\"c\""[1], 1}, {&"\"d\""[1], 1}};
    const struct decide_row sent[] = {{.verdict = SCORE_ADMITTED, .wire = 9},
                                      {.verdict = SCORE_ADMITTED, .wire = 4},
                                      {.verdict = SCORE_ADMITTED, .wire = 4},
                                      {.verdict = SCORE_ADMITTED, .wire = 7}};
    const struct decision d = {.n = 4, .rows = sent}, alike = {.n = 2, .rows = sent + 1};
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = 4, .raw = four, .quoted_bytes = 12};
    struct http_reply r = {0};

    ext_encode_prioritize(&r, &args, &d, true);
    expect(&r, "[{\"Host\":\"a\",\"Score\":5},{\"Host\":\"d\",\"Score\":3}]");
    ext_encode_prioritize(&r, &args, &alike, true);
    expect(&r, "[]");
    ext_encode_prioritize(&r, &args, &decision, true); /* 9, 0, 0, and one that is repeated */
    expect(&r, "[{\"Host\":\"a\",\"Score\":9}]");
}

static void scores_of_several_digits_are_whole(void **state)
{
    const struct decide_row one = {.verdict = SCORE_ADMITTED, .wire = 1000};
    const struct decision d = {.n = 1, .rows = &one};
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = 1, .raw = raw, .quoted_bytes = RAW_BYTES};
    struct http_reply r = {0};

    ext_encode_prioritize(&r, &args, &d, false);
    expect(&r, "[{\"Host\":\"a\",\"Score\":1000}]");
}

static void a_full_reply_is_left_to_the_server(void **state)
{
    const struct kube_extender_args args = {
        .mode = KUBE_ARGS_NAMES, .n = N, .raw = raw, .quoted_bytes = RAW_BYTES};
    struct http_reply r = {.full = true};

    ext_encode_filter(&r, &args, &decision, DECIDE_ENFORCE);
    ext_encode_prioritize(&r, &args, &decision, false);
    assert_int_equal(r.body.n, 0);
}

static void the_answer_to_bind_is_one_text(void **state)
{
    struct http_reply r = {0};

    ext_encode_bind(&r, "");
    assert_string_equal(r.body.p, "{\"Error\":\"\"}");
    buf_free(&r.body);
    ext_encode_bind(&r, "numawise: \"x\"\nno");
    assert_string_equal(r.body.p, "{\"Error\":\"numawise: \\\"x\\\"\\nno\"}");
    buf_free(&r.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_to_bind_is_one_text),
        cmocka_unit_test(filter_by_names_tells_every_candidate_once),
        cmocka_unit_test(shadow_passes_everything),
        cmocka_unit_test(what_is_unknown_and_refused_fails_with_its_reason),
        cmocka_unit_test(filter_by_objects_hands_back_what_was_sent),
        cmocka_unit_test(neighbours_go_out_as_one_piece),
        cmocka_unit_test(survivors_with_a_blank_between_them_go_out_without_it),
        cmocka_unit_test(no_candidates_is_an_empty_list_never_null),
        cmocka_unit_test(prioritize_scores_every_candidate_once),
        cmocka_unit_test(sparse_scores_are_those_above_the_lowest),
        cmocka_unit_test(scores_of_several_digits_are_whole),
        cmocka_unit_test(a_full_reply_is_left_to_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
