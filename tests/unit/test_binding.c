/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/binding.h"

static _Alignas(max_align_t) char room[8192];

static int decode(struct kube_binding *out, const char *json, struct err *err)
{
    static struct arena a;
    char text[1024] = {0};

    arena_init(&a, room, sizeof(room));
    (void)snprintf(text, sizeof(text) - 64, "%s", json);
    return kube_binding_decode(out, (struct str){text, strlen(text)}, &a, err);
}

static void what_kube_scheduler_sends_is_read(void **state)
{
    struct kube_binding b;
    struct err err;
    struct buf text = {0};

    (void)state;
    assert_int_equal(decode(&b,
                            "{\"PodName\":\"train-0\",\"PodNamespace\":\"ml\",\"PodUID\":\"7b0e\","
                            "\"Node\":\"worker-00003.dc1.example.internal\"}",
                            &err),
                     0);
    kube_binding_path(&text, &b);
    assert_string_equal(text.p, "/api/v1/namespaces/ml/pods/train-0/binding");
    buf_free(&text);
    kube_binding_pod_path(&text, &b);
    assert_string_equal(text.p, "/api/v1/namespaces/ml/pods/train-0");
    buf_free(&text);
    kube_binding_encode(&text, &b, "x/y", STR("{\"a\":[0]}"));
    assert_string_equal(
        text.p,
        "{\"apiVersion\":\"v1\",\"kind\":\"Binding\",\"metadata\":{\"name\":\"train-0\","
        "\"namespace\":\"ml\",\"uid\":\"7b0e\",\"annotations\":{\"x/y\":\"{\\\"a\\\":[0]}\"}},"
        "\"target\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":"
        "\"worker-00003.dc1.example.internal\"}}");
    buf_free(&text);
    kube_binding_encode(&text, &b, "x/y", STR(""));
    assert_null(strstr(text.p, "annotations"));
    buf_free(&text);
}

static void keys_are_read_as_in_go(void **state)
{
    struct kube_binding b;
    struct err err;

    (void)state;
    assert_int_equal(decode(&b,
                            " {\"podname\":\"a\",\"PODNAMESPACE\":\"b\",\"podUid\":\"c\",\"NODE\":"
                            "\"d\",\"node\":\"e\",\"else\":[{}]} ",
                            &err),
                     0);
    assert_true(str_is(b.node, "e") && str_is(b.pod, "a") && str_is(b.ns, "b") &&
                str_is(b.uid, "c"));
}

static void what_is_no_name_is_named(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "offset 0: expected a value"},
        {"[]", "expected an object"},
        {"{}", "PodName: missing"},
        {"{\"PodName\":\"a\"}", "PodNamespace: missing"},
        {"{\"PodName\":\"a\",\"PodNamespace\":\"b\"}", "PodUID: missing"},
        {"{\"PodName\":\"a\",\"PodNamespace\":\"b\",\"PodUID\":\"c\",\"Node\":null}",
         "Node: missing"},
        {"{\"PodName\":\"a/b\"}", "PodName: no name of an object"},
        {"{\"PodName\":\"..\"}", "PodName: no name of an object"},
        {"{\"PodName\":\"a\\u0000\"}", "PodName: no name of an object"},
        {"{\"PodName\":\"a b\"}", "PodName: no name of an object"},
        {"{\"PodName\":\"a\",\"PodNamespace\":\"%2e\"}", "PodNamespace: no name of an object"},
    };
    struct kube_binding b;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(decode(&b, cases[i].json, &err), -EINVAL);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s, not %s", err.text, cases[i].text);
    }
}

static void every_arena_size_is_enough_or_leaves_no_trace(void **state)
{
    static const char json[] =
        "{\"PodName\":\"a\",\"PodNamespace\":\"b\",\"PodUID\":\"c\",\"Node\":\"d\"}";
    char text[sizeof(json) + 64] = {0};
    bool fits = false;

    (void)state;
    memcpy(text, json, sizeof(json));
    for (size_t n = 0; n < 512; n++) {
        struct arena a;
        struct kube_binding b = {.ns = STR("before")};
        arena_init(&a, room, n);
        const int rc = kube_binding_decode(&b, (struct str){text, sizeof(json) - 1}, &a, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        if (rc) {
            assert_int_equal(a.used, 0);
            assert_true(str_is(b.ns, "before"));
        }
        fits |= rc == 0;
    }
    assert_true(fits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_kube_scheduler_sends_is_read),
        cmocka_unit_test(keys_are_read_as_in_go),
        cmocka_unit_test(what_is_no_name_is_named),
        cmocka_unit_test(every_arena_size_is_enough_or_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
