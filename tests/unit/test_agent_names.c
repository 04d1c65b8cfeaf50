/* SPDX-License-Identifier: Apache-2.0 */
/* What the pods of a node are called. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "agent/names.h"

/* Put a pod whose annotations are these (with ' for "). */
static int put(struct agent_names *p, const char *ns, const char *name, const char *uid,
               const char *annotations)
{
    char text[1024] = {0};

    (void)snprintf(text, sizeof(text) - 64,
                   "{'spec':{'x':[1]},'metadata':{'name':'%s','annotations':%s},'status':{}}", name,
                   annotations);
    for (char *at = text; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    return agent_names_put(p, str_of(ns), str_of(name), str_of(uid),
                           (struct str){text, strlen(text)});
}

static const struct agent_name *by_uid(const struct agent_names *p, const char *uid)
{
    return agent_names_find(p, str_of(uid), (struct str){0}, (struct str){0});
}

static void a_uid_has_the_name_of_its_pod(void **state)
{
    struct agent_names p = {0};

    assert_int_equal(put(&p, "ml", "a", "u1", "{}"), 1);
    assert_int_equal(put(&p, "ml", "b", "u2", "null"), 1);
    assert_true(str_is(by_uid(&p, "u2")->name, "b"));
    assert_true(str_is(by_uid(&p, "u2")->ns, "ml"));
    assert_null(by_uid(&p, "u3"));
    const struct agent_name *const a = agent_names_find(&p, (struct str){0}, STR("ml"), STR("a"));
    assert_true(str_is(a->uid, "u1"));
    assert_null(agent_names_find(&p, (struct str){0}, STR("web"), STR("a")));
    agent_names_done(&p);
}

/* Nothing has to be looked at again because a status has changed. */
static void the_same_again_is_nothing_new(void **state)
{
    struct agent_names p = {0};

    assert_int_equal(put(&p, "ml", "a", "u1", "{}"), 1);
    assert_int_equal(put(&p, "ml", "a", "u1", "{'more':'x'}"), 0);
    assert_int_equal(put(&p, "ml", "a", "u9", "{}"), 1); /* made anew under its name */
    assert_null(by_uid(&p, "u1"));
    assert_int_equal(p.n, 1);
    agent_names_done(&p);
}

/* The kubelet calls a pod from a file by a hash, of which the API server's copy tells. */
static void a_pod_from_a_file_is_known_by_the_kubelets_uid(void **state)
{
    struct agent_names p = {0};

    assert_int_equal(put(&p, "kube-system", "etcd-n1", "u1",
                         "{'a':'b','kubernetes.io/config.mirror':'5eaf','kubernetes.io/config.hash'"
                         ":'other'}"),
                     1);
    assert_null(by_uid(&p, "u1"));
    assert_true(str_is(by_uid(&p, "5eaf")->uid, "u1"));
    agent_names_done(&p);
}

static void what_a_list_does_not_have_is_gone(void **state)
{
    struct agent_names p = {0};
    char name[16];

    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        assert_int_equal(put(&p, "ml", name, name, "{}"), 1);
    }
    agent_names_mark(&p);
    assert_int_equal(put(&p, "ml", "p7", "p7", "{}"), 0);
    assert_int_equal(put(&p, "ml", "p150", "other", "{}"), 1);
    agent_names_sweep(&p);
    assert_int_equal(p.n, 2);
    assert_non_null(by_uid(&p, "p7"));
    assert_non_null(by_uid(&p, "other"));
    agent_names_remove(&p, STR("ml"), STR("p7"));
    agent_names_remove(&p, STR("ml"), STR("p8"));
    assert_int_equal(p.n, 1);
    assert_null(by_uid(&p, "p7"));
    agent_names_done(&p);
}

/* Then it is a pod without annotations; its name came from elsewhere. */
static void a_text_that_does_not_parse_is_a_pod_all_the_same(void **state)
{
    struct agent_names p = {0};

    assert_int_equal(put(&p, "ml", "a", "u1", "{'kubernetes.io/config.mirror':'x'"), 1);
    assert_true(str_is(by_uid(&p, "u1")->name, "a"));
    agent_names_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uid_has_the_name_of_its_pod),
        cmocka_unit_test(the_same_again_is_nothing_new),
        cmocka_unit_test(a_pod_from_a_file_is_known_by_the_kubelets_uid),
        cmocka_unit_test(what_a_list_does_not_have_is_gone),
        cmocka_unit_test(a_text_that_does_not_parse_is_a_pod_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
