/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/budget.h"
#include "scoring/request.h"
#include "tests/support/data.h"

static _Alignas(max_align_t) char room[16384];
static struct arena arena;

static int decode_in(struct kube_budget *out, const char *json, size_t size, struct err *err)
{
    char *const text = test_padded(str_of(json), 0);

    assert_non_null(text);
    arena_init(&arena, room, size);
    const int rc = kube_budget_decode(out, (struct str){text, strlen(json)}, &arena, err);
    free(text); /* what was read lives in the arena */
    return rc;
}

static void decode(struct kube_budget *out, const char *json)
{
    struct err err = {0};

    if (decode_in(out, json, sizeof(room), &err))
        fail_msg("%s: %s", json, err.text);
}

/* A pod `app=APP` of the namespace. */
static bool counts(const struct kube_budget *b, const char *ns, const char *name, const char *app)
{
    const uint64_t label = score_label(STR("app"), str_of(app));
    const struct score_pod pod = {
        .ns = str_of(ns), .name = str_of(name), .labels = {.at = &label, .n = 1}};

    return kube_budget_counts(b, &pod);
}

/* As kubectl get -o json of a cluster shows it, shortened. */
static const char whole[] =
    "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"web\","
    "\"namespace\":\"shop\",\"uid\":\"1\",\"resourceVersion\":\"7\"},\"spec\":{\"minAvailable\":2,"
    "\"selector\":{\"matchLabels\":{\"app\":\"web\"}}},\"status\":{\"conditions\":[{\"type\":"
    "\"DisruptionAllowed\",\"status\":\"True\"}],\"currentHealthy\":3,\"desiredHealthy\":2,"
    "\"disruptionsAllowed\":1,\"disruptedPods\":{\"web-7\":\"2026-01-01T00:00:00Z\",\"web-"
    "\\u0039\":"
    "\"2026-01-01T00:00:00Z\"},\"expectedPods\":3,\"observedGeneration\":1}}";

static void a_budget_counts_the_pods_it_selects(void **state)
{
    struct kube_budget b;

    (void)state;
    decode(&b, whole);
    assert_true(str_is(b.ns, "shop") && str_is(b.name, "web"));
    assert_int_equal(b.allowed, 1);
    assert_true(counts(&b, "shop", "web-1", "web"));
    assert_false(counts(&b, "shop", "web-1", "db"));
    assert_false(counts(&b, "other", "web-1", "web"));
}

static void pods_on_their_way_out_are_counted_already(void **state)
{
    struct kube_budget b;

    (void)state;
    decode(&b, whole);
    assert_false(counts(&b, "shop", "web-7", "web"));
    assert_false(counts(&b, "shop", "web-9", "web"));
    assert_true(counts(&b, "shop", "web-70", "web"));
}

/* In policy/v1 an empty selector is all pods; kube-scheduler counts by it for none. */
static void a_budget_without_selector_counts_nobody(void **state)
{
    static const char *const cases[] = {
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"},\"spec\":{}}",
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"},\"spec\":{\"selector\":null}}",
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"},\"spec\":{\"selector\":{}}}",
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"}}",
    };
    struct kube_budget b;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        decode(&b, cases[i]);
        assert_int_equal(b.allowed, 0);
        assert_false(counts(&b, "shop", "web-1", "web"));
    }
}

static void expressions_select_too(void **state)
{
    struct kube_budget b;

    (void)state;
    decode(&b, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{\"matchExpressions\":[{"
               "\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"db\"]}]}}}");
    assert_true(counts(&b, "default", "x", "web"));
    assert_false(counts(&b, "default", "x", "db"));
}

static void what_is_wrong_is_said_and_leaves_no_trace(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "offset 0"},
        {"[]", "expected an object"},
        {"{\"spec\":{\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Like\"}]}}}",
         "operator"},
        {"{\"status\":{\"disruptionsAllowed\":\"1\"}}", "disruptionsAllowed"},
        {"{\"status\":{\"disruptedPods\":[]}}", "disruptedPods"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_budget b = {.allowed = 77};
        struct err err = {0};
        assert_int_equal(decode_in(&b, cases[i].json, sizeof(room), &err), -EINVAL);
        assert_int_equal(b.allowed, 77);
        assert_int_equal(arena.used, 0);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: %s, not %s", cases[i].json, err.text, cases[i].text);
    }
}

static void every_arena_size_is_enough_or_leaves_no_trace(void **state)
{
    bool fits = false;

    (void)state;
    for (size_t n = 0; n < 8192; n += 8) {
        struct kube_budget b = {.allowed = 77};
        const int rc = decode_in(&b, whole, n, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(b.allowed, rc ? 77 : 1);
        assert_true(rc == 0 || arena.used == 0);
        fits |= rc == 0;
    }
    assert_true(fits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_counts_the_pods_it_selects),
        cmocka_unit_test(pods_on_their_way_out_are_counted_already),
        cmocka_unit_test(a_budget_without_selector_counts_nobody),
        cmocka_unit_test(expressions_select_too),
        cmocka_unit_test(what_is_wrong_is_said_and_leaves_no_trace),
        cmocka_unit_test(every_arena_size_is_enough_or_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
