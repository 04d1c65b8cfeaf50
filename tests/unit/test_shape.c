/* SPDX-License-Identifier: Apache-2.0 */
/* Equal shapes get equal answers: whatever an answer depends on must tell two shapes apart. */
#include "scoring/shape.h"

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "scoring/policy.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 15 };

static _Alignas(max_align_t) char rooms[2][ROOM];

struct shaped {
    struct arena a;
    json_t *keep;
    struct score_pod pod;
    struct str shape;
};

static void shape_of(struct shaped *s, char *room, const char *pod, bool claims, bool level)
{
    struct score_request *req;

    arena_init(&s->a, room, ROOM);
    vector_pod_text(&s->pod, pod, &s->keep, &s->a);
    s->pod.has_claims = claims;
    s->pod.has_pod_level = level;
    assert_int_equal(score_request_init(&req, &s->pod, &s->a, NULL), 0);
    assert_int_equal(score_shape(&s->shape, req, &s->a), 0);
}

static bool same(const char *x, const char *y, bool claims, bool level)
{
    struct shaped a, b;

    shape_of(&a, rooms[0], x, false, false);
    shape_of(&b, rooms[1], y, claims, level);
    const bool equal = str_eq(a.shape, b.shape);
    json_decref(a.keep);
    json_decref(b.keep);
    arena_rewind(&a.a, 0);
    arena_rewind(&b.a, 0);
    return equal;
}

#define POD(limits) "{'uid':'a','containers':[{'name':'x','limits':{" limits "}}]}"
static const char base[] = POD("'cpu':'2','memory':'1Gi','example.com/gpu':'1'");

static void names_and_order_of_resources_do_not_count(void **state)
{
    assert_true(same(base, base, false, false));
    assert_true(same(base,
                     "{'uid':'other','containers':[{'name':'y','limits':{'example.com/gpu':'1',"
                     "'memory':'1073741824','cpu':'2000m'}}]}",
                     false, false));
}

static void everything_an_answer_depends_on_counts(void **state)
{
    static const char *const others[] = {
        POD("'cpu':'3','memory':'1Gi','example.com/gpu':'1'"),
        POD("'cpu':'2500m','memory':'1Gi','example.com/gpu':'1'"),
        POD("'cpu':'2','memory':'2Gi','example.com/gpu':'1'"),
        POD("'cpu':'2','memory':'1Gi','example.com/gpu':'2'"),
        POD("'cpu':'2','memory':'1Gi','example.com/nic':'1'"),
        POD("'cpu':'2','memory':'1Gi'"),
        POD("'cpu':'2','memory':'1Gi','hugepages-2Mi':'2Mi','example.com/gpu':'1'"),
        POD("'cpu':'2','example.com/gpu':'1'"), /* Burstable */
        "{'uid':'a','containers':[{'name':'x','limits':{'cpu':'2','memory':'1Gi',"
        "'example.com/gpu':'1'}},{'name':'y','limits':{'cpu':'2','memory':'1Gi'}}]}",
        "{'uid':'a','initContainers':[{'name':'i','limits':{'cpu':'2','memory':'1Gi',"
        "'example.com/gpu':'1'}}],'containers':[]}",
        "{'uid':'a','initContainers':[{'name':'i','restartPolicy':'Always','limits':{'cpu':'2',"
        "'memory':'1Gi','example.com/gpu':'1'}}],'containers':[]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(same(base, others[i], false, false));
        for (size_t k = 0; k < i; k++)
            assert_false(same(others[k], others[i], false, false));
    }
    assert_false(same(base, base, true, false));
    assert_false(same(base, base, false, true));
    /* The CPU request weighs locality where it gives no CPUs of its own. */
    assert_false(same("{'uid':'a','containers':[{'name':'x','requests':{'cpu':'500m'}}]}",
                      "{'uid':'a','containers':[{'name':'x','requests':{'cpu':'250m'}}]}", false,
                      false));
}

/* The shape of a pod in a cluster that wants this; NULL: nothing. */
static bool same_beside(const char *pod, const struct score_demand *x, const struct score_demand *y)
{
    const struct score_demand *const demands[] = {x, y};
    struct str shapes[2];
    struct shaped s[2];

    for (int i = 0; i < 2; i++) {
        struct score_rules rules;
        struct score_request *req;

        shape_of(&s[i], rooms[i], pod, false, false);
        assert_int_equal(score_request_init(&req, &s[i].pod, &s[i].a, NULL), 0);
        score_rules_default(&rules, POD_GUARANTEED);
        rules.demand = demands[i];
        score_request_rule(req, &rules);
        assert_int_equal(score_shape(&shapes[i], req, &s[i].a), 0);
        json_decref(s[i].keep);
    }
    const bool equal = str_eq(shapes[0], shapes[1]);
    arena_rewind(&s[0].a, 0);
    arena_rewind(&s[1].a, 0);
    return equal;
}

static void what_others_want_counts_for_who_takes_something(void **state)
{
    static const struct score_demand one = {.serial = 1}, two = {.serial = 2};

    assert_true(same_beside(base, &one, &one));
    assert_false(same_beside(base, &one, &two));
    assert_false(same_beside(base, &one, NULL));
    assert_true(same_beside(POD("'memory':'1Gi'"), &one, &two));
}

static void a_shape_needs_room_or_is_not_made(void **state)
{
    struct score_request *req;
    struct shaped s;
    bool fitted = false;

    shape_of(&s, rooms[0], base, false, false);
    assert_int_equal(score_request_init(&req, &s.pod, &s.a, NULL), 0);
    for (size_t n = 0; n <= 512; n += 8) {
        struct str shape = {0};
        struct arena a;

        arena_init(&a, rooms[1], n);
        if (score_shape(&shape, req, &a) == 0) {
            assert_true(str_eq(shape, s.shape));
            fitted = true;
        } else {
            assert_null(shape.p);
            assert_false(fitted);
        }
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    json_decref(s.keep);
    arena_rewind(&s.a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_order_of_resources_do_not_count),
        cmocka_unit_test(everything_an_answer_depends_on_counts),
        cmocka_unit_test(what_others_want_counts_for_who_takes_something),
        cmocka_unit_test(a_shape_needs_room_or_is_not_made),
    };

    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
