/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/object.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static char room[16 * 1024];

static int decode(struct kube_node *out, const char *json, size_t bytes, struct arena *a,
                  struct err *err)
{
    char *const padded = test_padded(str_of(json), '"');

    arena_init(a, room, bytes);
    const int rc = kube_node_decode(out, (struct str){padded, strlen(json)}, a, err);
    free(padded); /* nothing may point into the text */
    return rc;
}

static const char node[] =
    "{\"status\":{\"allocatable\":{\"cpu\":\"31500m\",\"memory\":\"250Gi\",\"nvidia.com/gpu\":8},"
    "\"capacity\":{\"cpu\":32},\"nodeInfo\":{\"kubeletVersion\":\"v1.36.3\",\"x\":[]},"
    "\"images\":[{\"names\":[\"a\"]}]},\"kind\":\"Node\",\"metadata\":{\"name\":\"gpu-\\u0031\","
    "\"labels\":{\"name\":\"no\"},\"uid\":\"u\",\"resourceVersion\":\"7\"},\"apiVersion\":\"v1\"}";

static void capacity_allocatable_and_version_are_read(void **state)
{
    struct kube_node n;
    struct arena a;

    assert_int_equal(decode(&n, node, sizeof(room), &a, NULL), 0);
    assert_true(str_is(n.meta.name, "gpu-1") && str_is(n.meta.kind, "Node"));
    assert_true(str_is(n.meta.api_version, "v1") && str_is(n.meta.uid, "u"));
    assert_true(str_is(n.meta.resource_version, "7"));
    assert_int_equal(n.meta.ns.n, 0);
    assert_true(str_is(n.kubelet_version, "v1.36.3"));
    assert_int_equal(n.n_capacity, 1);
    assert_int_equal(n.capacity[0].amount, 32000);
    assert_int_equal(n.n_allocatable, 3);
    assert_int_equal(n.allocatable[0].amount, 31500);
    assert_int_equal(n.allocatable[1].amount, INT64_C(250) << 30);
    assert_int_equal(n.allocatable[2].kind, POD_EXTENDED);
    assert_int_equal(n.allocatable[2].amount, 8);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"null", "expected an object"},
        {"[]", "expected an object, found an array"},
        {"{\"metadata\":{\"name\":5}}", "metadata.name: expected a string, found a number"},
        {"{\"status\":{\"capacity\":{\"cpu\":\"much\"}}}",
         "status.capacity.cpu: \"much\" is not a quantity"},
        {"{\"status\":{\"allocatable\":[]}}",
         "status.allocatable: expected an object, found an array"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kube_node n = {.n_capacity = 77};
        struct arena a;
        struct err err;

        assert_int_equal(decode(&n, cases[i].json, sizeof(room), &a, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(n.n_capacity, 77);
    }
}

static void every_arena_size_is_survived(void **state)
{
    bool enough = false;

    for (size_t bytes = 0; bytes <= sizeof(room); bytes++) {
        struct kube_node n = {.n_capacity = 77};
        struct arena a;
        const int rc = decode(&n, node, bytes, &a, NULL);

        assert_true(rc == 0 || (rc == -ENOMEM && !enough));
        assert_int_equal(n.n_capacity, rc < 0 ? 77 : 1);
        assert_true(rc == 0 || a.used == 0);
        enough = rc == 0;
    }
    assert_true(enough);
}

static void a_text_cut_anywhere_is_an_error(void **state)
{
    for (size_t n = 0; n < strlen(node); n++) {
        struct kube_node out;
        struct arena a;
        char *const padded = test_padded((struct str){node, n}, '}');

        arena_init(&a, room, sizeof(room));
        assert_int_equal(kube_node_decode(&out, (struct str){padded, n}, &a, NULL), -EINVAL);
        free(padded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_allocatable_and_version_are_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(every_arena_size_is_survived),
        cmocka_unit_test(a_text_cut_anywhere_is_an_error),
    };

    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
