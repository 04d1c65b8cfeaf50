/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/preempt_wire.h"
#include "tests/support/data.h"

enum { ROOM = 256 * 1024 };

static _Alignas(max_align_t) char room[ROOM];
static struct arena arena;

static int decode(struct kube_preempt_args *out, const char *json, struct err *err)
{
    char *const text = test_padded(str_of(json), 0);

    assert_non_null(text);
    arena_init(&arena, room, ROOM);
    const int rc = kube_preempt_decode(out, (struct str){text, strlen(json)}, &arena, err);
    free(text); /* what was read lives in the arena */
    return rc;
}

static const struct kube_victims *victims_of(const struct kube_preempt_args *args, const char *node)
{
    for (uint32_t i = 0; i < args->n; i++)
        if (str_is(args->nodes[i].node, node))
            return &args->nodes[i];
    fail_msg("no node %s", node);
    return NULL;
}

/* ---- what kube-scheduler sends ---- */

/* Both recordings are of one moment. */
static void recorded(const char *file)
{
    struct kube_preempt_args args;
    struct buf message = {0};
    struct err err = {0};

    assert_int_equal(test_data_read(file, &message), 0);
    arena_init(&arena, room, ROOM);
    if (kube_preempt_decode(&args, test_http_body((struct str){message.p, message.n}), &arena,
                            &err))
        fail_msg("%s: %s", file, err.text);
    buf_free(&message);
    assert_true(args.has_pod && str_is(args.pod.name, "urgent"));
    assert_true(str_is(args.pod.ns, "default") && args.pod.priority == 100000);
    assert_int_equal(args.n, 3);
    for (uint32_t i = 0; i < args.n; i++) {
        assert_int_equal(args.nodes[i].n, 2);
        assert_int_equal(args.nodes[i].violations, 1);
    }
    const struct kube_victims *const v = victims_of(&args, "worker-00001.dc1.example.internal");
    assert_true(str_is(v->uids[0], "f8276b82-087e-4931-87d4-9be7c6e637e2"));
    assert_true(str_is(v->uids[1], "9da2d6ef-c631-422c-a665-0f395995a5a0"));
}

static void both_recorded_forms_name_the_same_victims(void **state)
{
    (void)state;
    recorded("scheduler-requests/preempt-meta-victims.http");
    recorded("scheduler-requests/preempt-victims.http");
}

#define POD "\"Pod\":{\"metadata\":{\"name\":\"p\",\"namespace\":\"ml\",\"uid\":\"u\"},\"spec\":{}}"

static void keys_fold_case_and_null_is_absent(void **state)
{
    struct kube_preempt_args args;
    struct err err = {0};

    (void)state;
    assert_int_equal(decode(&args,
                            "{" POD ",\"nodenametovictims\":null,\"NODENAMETOMETAVICTIMS\":{\"n\":{"
                            "\"pods\":[{\"uid\":\"a\\u0062\"}],\"numpdbviolations\":7},\"m\":null,"
                            "\"o\":{\"Pods\":null}},\"more\":[]}",
                            &err),
                     0);
    assert_int_equal(args.n, 3);
    assert_true(str_is(args.nodes[0].node, "n") && args.nodes[0].n == 1);
    assert_true(str_is(args.nodes[0].uids[0], "ab") && args.nodes[0].violations == 7);
    assert_int_equal(args.nodes[1].n, 0);
    assert_int_equal(args.nodes[2].n, 0);
    assert_int_equal(decode(&args, "{}", &err), 0);
    assert_int_equal(args.n, 0);
    assert_false(args.has_pod);
    assert_string_equal(args.pod_err.text, "Pod: none given");
}

static void names_win_over_whole_pods(void **state)
{
    struct kube_preempt_args args;
    struct err err = {0};

    (void)state;
    assert_int_equal(
        decode(&args,
               "{" POD ",\"NodeNameToMetaVictims\":{\"a\":{\"Pods\":[{\"UID\":\"1\"}]}},"
               "\"NodeNameToVictims\":{\"b\":{\"Pods\":[{\"metadata\":{\"uid\":\"2\"}}]"
               "}}}",
               &err),
        0);
    assert_int_equal(args.n, 1);
    assert_true(str_is(args.nodes[0].node, "a") && str_is(args.nodes[0].uids[0], "1"));
}

static void a_pod_that_is_not_understood_is_no_failure(void **state)
{
    struct kube_preempt_args args;
    struct err err = {0};

    (void)state;
    assert_int_equal(decode(&args,
                            "{\"Pod\":{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{"
                            "\"cpu\":\"much\"}}}]}},\"NodeNameToMetaVictims\":{\"a\":{\"Pods\":[{"
                            "\"UID\":\"1\"}]}}}",
                            &err),
                     0);
    assert_false(args.has_pod);
    assert_non_null(strstr(args.pod_err.text, "cpu"));
    assert_int_equal(args.n, 1);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "offset 0"},
        {"null", "expected an object"},
        {"[1]", "expected an object"},
        {"{\"NodeNameToMetaVictims\":[]}", "NodeNameToMetaVictims"},
        {"{\"NodeNameToMetaVictims\":{\"n\":7}}", "NodeNameToMetaVictims.n"},
        {"{\"NodeNameToMetaVictims\":{\"n\":{\"Pods\":[null]}}}", "a victim without a uid"},
        {"{\"NodeNameToMetaVictims\":{\"n\":{\"Pods\":[{\"UID\":\"\"}]}}}",
         "a victim without a uid"},
        {"{\"NodeNameToVictims\":{\"n\":{\"Pods\":[{\"metadata\":{}}]}}}",
         "a victim without a uid"},
        {"{\"NodeNameToVictims\":{\"n\":{\"Pods\":[{\"metadata\":{\"uid\":1}}]}}}", "uid"},
        {"{\"NodeNameToMetaVictims\":{\"n\":{\"NumPDBViolations\":1.5}}}", "NumPDBViolations"},
        {"{} {}", "offset 3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_preempt_args args = {.n = 77};
        struct err err = {0};
        assert_int_equal(decode(&args, cases[i].json, &err), -EINVAL);
        assert_int_equal(args.n, 77);
        assert_int_equal(arena.used, 0);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: %s, not %s", cases[i].json, err.text, cases[i].text);
    }
}

static void every_arena_size_is_enough_or_leaves_no_trace(void **state)
{
    static const char json[] = "{" POD ",\"NodeNameToVictims\":{\"n\":{\"Pods\":[{\"metadata\":{"
                               "\"uid\":\"a\\n\"}},{\"metadata\":{\"uid\":\"b\"}}]},\"m\":{}}}";
    char *const text = test_padded(STR(json), 0);
    bool fits = false;

    (void)state;
    assert_non_null(text);
    for (size_t n = 0; n < 4096; n += 8) {
        struct kube_preempt_args args = {.n = 77};
        arena_init(&arena, room, n);
        const int rc =
            kube_preempt_decode(&args, (struct str){text, sizeof(json) - 1}, &arena, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(args.n, rc ? 77 : 2);
        assert_true(rc == 0 || arena.used == 0);
        assert_true(rc != 0 || args.has_pod);
        fits |= rc == 0;
    }
    assert_true(fits);
    free(text);
}

/* ---- what goes back ---- */

static void the_answer_has_no_null_and_no_node_without_victims(void **state)
{
    const struct str uids[] = {STR("a\"b"), STR("c")};
    const struct kube_victims nodes[] = {
        {STR("n-1"), uids, 2, 1}, {STR("n-2"), NULL, 0, 3}, {STR("n\\3"), uids + 1, 1, 0}};
    struct buf out = {0};

    (void)state;
    kube_preempt_encode(&out, nodes, ARRAY_LEN(nodes));
    assert_string_equal(out.p,
                        "{\"NodeNameToMetaVictims\":{\"n-1\":{\"Pods\":[{\"UID\":\"a\\\"b\"},{"
                        "\"UID\":\"c\"}],\"NumPDBViolations\":1},\"n\\\\3\":{\"Pods\":[{\"UID\":"
                        "\"c\"}],\"NumPDBViolations\":0}}}");
    buf_free(&out);
    kube_preempt_encode(&out, NULL, 0);
    assert_string_equal(out.p, "{\"NodeNameToMetaVictims\":{}}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_recorded_forms_name_the_same_victims),
        cmocka_unit_test(keys_fold_case_and_null_is_absent),
        cmocka_unit_test(names_win_over_whole_pods),
        cmocka_unit_test(a_pod_that_is_not_understood_is_no_failure),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(every_arena_size_is_enough_or_leaves_no_trace),
        cmocka_unit_test(the_answer_has_no_null_and_no_node_without_victims),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
