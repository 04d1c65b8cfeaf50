/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise locks` over directories. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

#define POLICY(ns, name, order)                                                                    \
    "apiVersion: concurrency.gokore.io/v1alpha1\nkind: LockPolicy\n"                               \
    "metadata: {name: " name ", namespace: " ns "}\n"                                              \
    "spec: {hierarchyRules: [{name: r, order: [" order "]}]}\n---\n"

static char dir[] = "/tmp/numawise-locks-XXXXXX";
static struct buf out, err;

static void write_file(const char *name, const char *text)
{
    char path[TEST_PATH_BYTES];

    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) > 0);
    test_write(path, str_of(text));
}

static int run(const char *a, const char *b, const char *c, const char *d)
{
    const char *const args[] = {"numawise", "locks", "--cluster", dir, a, b, c, d, NULL};

    buf_free(&out);
    buf_free(&err);
    buf_text(&out, "");
    buf_text(&err, "");
    return test_run(args, &out, &err);
}

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    buf_free(&out);
    buf_free(&err);
    test_remove_tree(dir);
    return 0;
}

static void the_exit_code_tells_of_cycles(void **state)
{
    write_file("a.yaml", POLICY("bank", "p", "a, b, c"));
    assert_int_equal(run(NULL, NULL, NULL, NULL), 0);
    assert_non_null(strstr(out.p, "namespace bank: 3 lock classes on 3 levels"));
    write_file("b.yaml", POLICY("bank", "q", "c, a"));
    assert_int_equal(run(NULL, NULL, NULL, NULL), 1);
    assert_non_null(strstr(out.p, "policies contradict each other: a -> b -> c -> a"));
    assert_int_equal(run("-n", "shop", NULL, NULL), 0);
    assert_non_null(strstr(out.p, "namespace shop: 0 lock classes"));
}

static void one_broken_policy_does_not_hide_the_others(void **state)
{
    write_file("b.yaml", POLICY("bank", "q", "c, c"));
    assert_int_equal(run(NULL, NULL, NULL, NULL), 0);
    assert_non_null(strstr(err.p, "b.yaml:4:"));
    assert_non_null(strstr(err.p, "spec.hierarchyRules[0].order[1]: given twice"));
    assert_non_null(strstr(out.p, "3 lock classes"));
}

static void json_of_one_and_of_all_namespaces(void **state)
{
    json_t *const schema = schema_read("locks.schema.json");

    write_file("b.yaml", POLICY("shop", "q", "u, v"));
    assert_int_equal(run("-o", "json", "-n", "shop"), 0);
    json_t *value = json_loads(out.p, 0, NULL);
    assert_non_null(value);
    schema_expect(value, schema);
    json_decref(value);
    assert_int_equal(run("-o", "json", NULL, NULL), 0);
    value = json_loads(out.p, 0, NULL);
    json_t *const list = json_object_get(value, "namespaces");
    assert_int_equal(json_array_size(list), 2);
    schema_expect(value, schema);
    json_decref(value);
    json_decref(schema);
}

static void a_drawing_is_of_one_namespace(void **state)
{
    assert_int_equal(run("-o", "svg", NULL, NULL), 2);
    assert_non_null(strstr(err.p, "of which namespace, bank, shop?"));
    assert_int_equal(run("-o", "svg", "-n", "bank"), 0);
    assert_int_equal(strncmp(out.p, "<svg ", 5), 0);
    assert_int_equal(run("-o", "mermaid", "-n", "bank"), 0);
    assert_int_equal(strncmp(out.p, "graph TD\n", 9), 0);
}

static void usage_is_checked(void **state)
{
    const char *const both[] = {"numawise", "locks",      "--cluster", dir,
                                "--server", "http://h:1", NULL};
    const char *const nothing[] = {"numawise", "locks", NULL};

    assert_int_equal(run("-o", "png", NULL, NULL), 2);
    assert_int_equal(run("more", NULL, NULL, NULL), 2);
    assert_int_equal(test_run(both, &out, &err), 2);
    assert_int_equal(test_run(nothing, &out, &err), 2);
}

static void a_directory_that_is_not_there_cannot_be_read(void **state)
{
    const char *const args[] = {"numawise", "locks", "--cluster", "/nowhere/at/all", NULL};

    assert_int_equal(test_run(args, &out, &err), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_code_tells_of_cycles),
        cmocka_unit_test(one_broken_policy_does_not_hide_the_others),
        cmocka_unit_test(json_of_one_and_of_all_namespaces),
        cmocka_unit_test(a_drawing_is_of_one_namespace),
        cmocka_unit_test(usage_is_checked),
        cmocka_unit_test(a_directory_that_is_not_there_cannot_be_read),
    };

    return cmocka_run_group_tests_name("locks", tests, set_up, tear_down);
}
