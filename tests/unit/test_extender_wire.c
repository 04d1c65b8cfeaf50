/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/extender_wire.h"
#include "kube/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/scan.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static _Alignas(max_align_t) char room[4 << 20];

/* The padded copies are kept until the test ends: results borrow from them. */
struct body {
    char *p;
    struct arena arena;
    struct kube_extender_args args;
    struct err err;
};

static int decode(struct body *b, const char *text)
{
    *b = (struct body){.p = test_padded(str_of(text), ']')};
    assert_non_null(b->p);
    arena_init(&b->arena, room, sizeof(room));
    return kube_extender_args_decode(&b->args, (struct str){b->p, strlen(text)}, NULL, &b->arena,
                                     &b->err);
}

static void done(struct body *b)
{
    free(b->p);
}

static void names_are_taken_in_order_decoded_and_quoted(void **state)
{
    struct body b;

    assert_int_equal(decode(&b, "{\"Pod\":{\"metadata\":{\"name\":\"p\"}},\"Nodes\":null,"
                                "\"NodeNames\":[\"n2\", \"n\\u0031\" ,\"\",null,\"gr\xc3\xbcn\"]}"),
                     0);
    assert_int_equal(b.args.mode, KUBE_ARGS_NAMES);
    assert_int_equal(b.args.n, 5);
    assert_true(str_is(b.args.names[0], "n2") && str_is(kube_args_quoted(&b.args, 0), "\"n2\""));
    assert_true(str_is(b.args.names[1], "n1") &&
                str_is(kube_args_quoted(&b.args, 1), "\"n\\u0031\""));
    assert_true(str_is(b.args.names[2], "") && str_is(kube_args_quoted(&b.args, 2), "\"\""));
    assert_true(str_is(b.args.names[3], "") && str_is(kube_args_quoted(&b.args, 3), "\"\""));
    assert_true(str_is(b.args.names[4], "gr\xc3\xbcn"));
    assert_null(b.args.items);
    assert_true(b.args.has_pod && str_is(b.args.pod.name, "p"));
    done(&b);
}

static void nodes_give_their_name_and_their_bytes(void **state)
{
    struct body b;

    assert_int_equal(
        decode(&b, "{\"NodeNames\":null,\"Nodes\":{\"metadata\":{\"name\":\"no\"},\"items\":[ "
                   "{\"metadata\":{\"labels\":{\"name\":\"no\"},\"name\":\"a\",\"x\":[1]},\"spec\":"
                   "{\"name\":\"no\"}} ,{\"spec\":{}},null,{\"metadata\":null},{\"metadata\":{"
                   "\"name\":\"\\u0062\"}}]},\"Pod\":{}}"),
        0);
    assert_int_equal(b.args.mode, KUBE_ARGS_NODES);
    assert_int_equal(b.args.n, 5);
    assert_true(str_is(b.args.names[0], "a") && str_is(kube_args_quoted(&b.args, 0), "\"a\""));
    assert_true(str_is(b.args.items[0],
                       "{\"metadata\":{\"labels\":{\"name\":\"no\"},\"name\":\"a\","
                       "\"x\":[1]},\"spec\":{\"name\":\"no\"}}"));
    assert_true(str_is(b.args.names[1], "") && str_is(b.args.items[1], "{\"spec\":{}}"));
    assert_true(str_is(b.args.names[2], "") && str_is(b.args.items[2], "null"));
    assert_true(str_is(b.args.names[3], "") && str_is(b.args.items[3], "{\"metadata\":null}"));
    assert_true(str_is(b.args.names[4], "b") &&
                str_is(kube_args_quoted(&b.args, 4), "\"\\u0062\""));
    done(&b);
}

static void null_and_absent_lists_are_empty(void **state)
{
    static const struct {
        const char *text;
        enum kube_args_mode mode;
    } cases[] = {
        {"{}", KUBE_ARGS_NAMES},
        {"{\"Pod\":null,\"Nodes\":null,\"NodeNames\":null}", KUBE_ARGS_NAMES},
        {"{\"NodeNames\":[]}", KUBE_ARGS_NAMES},
        {"{\"Nodes\":{}}", KUBE_ARGS_NODES},
        {"{\"Nodes\":{\"items\":null}}", KUBE_ARGS_NODES},
        {"{\"Nodes\":{\"items\":[{}]},\"NodeNames\":[]}", KUBE_ARGS_NAMES}, /* names win */
        {"{\"Nodes\":{\"items\":[{}]},\"Nodes\":null}", KUBE_ARGS_NAMES},
        {"{\"NodeNames\":[\"a\"],\"NodeNames\":null,\"Nodes\":{\"items\":[]}}", KUBE_ARGS_NODES},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct body b;

        assert_int_equal(decode(&b, cases[i].text), 0);
        assert_int_equal(b.args.mode, cases[i].mode);
        assert_int_equal(b.args.n, 0);
        assert_false(b.args.has_pod);
        assert_string_equal(b.args.pod_err.text, "Pod: none given");
        done(&b);
    }
}

static void keys_fold_and_the_last_duplicate_wins(void **state)
{
    struct body b;

    assert_int_equal(decode(&b,
                            "{\"pod\":{\"metadata\":{\"name\":\"x\"}},\"NODENAMES\":[\"a\",\"b\"],"
                            "\"nodeNames\":[\"c\"],\"POD\":{\"MetaData\":{\"Name\":\"y\"}}}"),
                     0);
    assert_int_equal(b.args.n, 1);
    assert_true(str_is(b.args.names[0], "c"));
    assert_true(b.args.has_pod && str_is(b.args.pod.name, "y"));
    done(&b);

    assert_int_equal(decode(&b, "{\"nodes\":{\"ITEMS\":[{},{}],\"items\":[{\"METADATA\":{\"name\":"
                                "\"a\",\"NAME\":\"b\"}}]}}"),
                     0);
    assert_int_equal(b.args.n, 1);
    assert_true(str_is(b.args.names[0], "b"));
    done(&b);
}

static void a_pod_that_is_not_understood_is_no_error(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"NodeNames\":[\"a\"],\"Pod\":[]}", "Pod: expected an object, found an array"},
        {"{\"Pod\":{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"?\"}}}]}},"
         "\"NodeNames\":[\"a\"]}",
         "Pod: spec.containers[0].resources.limits.cpu: \"?\" is not a quantity"},
        {"{\"Pod\":null,\"NodeNames\":[\"a\"]}", "Pod: none given"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct body b;

        assert_int_equal(decode(&b, cases[i].text), 0);
        assert_int_equal(b.args.n, 1);
        assert_false(b.args.has_pod);
        assert_string_equal(b.args.pod_err.text, cases[i].why);
        done(&b);
    }
}

static void what_is_no_request_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "offset 0: expected a value, found the end of the text"},
        {"null", "expected an object, found null"},
        {"[]", "expected an object, found an array"},
        {"{}x", "offset 2: expected nothing more"},
        {"{\"NodeNames\":\"a\"}", "NodeNames: expected an array, found a string"},
        {"{\"NodeNames\":[\"a\",1]}", "NodeNames[1]: expected a string, found a number"},
        {"{\"Nodes\":[]}", "Nodes: expected an object, found an array"},
        {"{\"Nodes\":{\"items\":[{},7]}}", "Nodes.items[1]: expected an object, found a number"},
        {"{\"Nodes\":{\"items\":[{\"metadata\":{\"name\":1}}]}}",
         "Nodes.items[0].metadata.name: expected a string, found a number"},
        {"{\"Pod\":{\"a\":\"\xff\"}}", "offset 13: invalid UTF-8"},
        {"{\"Pod\":{\"a\":tru}}", "offset 12: expected a value"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct body b = {.p = NULL};

        assert_int_equal(decode(&b, cases[i].text), -EINVAL);
        assert_string_equal(b.err.text, cases[i].why);
        assert_int_equal(b.arena.used, 0);
        done(&b);
    }
}

static void lone_surrogates_pass_and_become_replacement_characters(void **state)
{
    struct body b;

    assert_int_equal(decode(&b, "{\"Pod\":{\"metadata\":{\"name\":\"\\udc00\"}},\"x\":\"\\ud800\","
                                "\"NodeNames\":[\"\\ud800\"]}"),
                     0);
    assert_true(str_is(b.args.names[0], "\xef\xbf\xbd"));
    assert_true(b.args.has_pod && str_is(b.args.pod.name, "\xef\xbf\xbd"));
    done(&b);
}

static void nesting_of_100000_is_refused(void **state)
{
    struct buf text = {0};
    struct body b;

    buf_text(&text, "{\"Pod\":");
    for (int i = 0; i < 100000; i++)
        buf_text(&text, "[");
    assert_int_equal(decode(&b, text.p), -E2BIG);
    assert_non_null(strstr(b.err.text, "nested deeper than 64"));
    done(&b);
    buf_free(&text);
}

/* --- recorded requests, against jansson --------------------------------------------------- */

static const char *json_name(const json_t *root, size_t i)
{
    const json_t *const names = json_object_get(root, "NodeNames");

    if (json_is_array(names))
        return json_string_value(json_array_get(names, i));
    const json_t *const items = json_object_get(json_object_get(root, "Nodes"), "items");
    const json_t *const meta = json_object_get(json_array_get(items, i), "metadata");
    return json_string_value(json_object_get(meta, "name"));
}

static size_t json_count(const json_t *root)
{
    const json_t *const names = json_object_get(root, "NodeNames");

    return json_is_array(names)
               ? json_array_size(names)
               : json_array_size(json_object_get(json_object_get(root, "Nodes"), "items"));
}

static void equal_to_jansson(const struct kube_extender_args *args, struct str body)
{
    json_t *const root = json_loadb(body.p, body.n, 0, NULL);

    assert_non_null(root);
    assert_int_equal(args->n, json_count(root));
    for (uint32_t i = 0; i < args->n; i++)
        assert_true(str_is(args->names[i], json_name(root, i)));
    const json_t *const pod = json_object_get(root, "Pod");
    const json_t *const meta = json_object_get(pod, "metadata");
    const json_t *const spec = json_object_get(pod, "spec");
    assert_true(args->has_pod);
    assert_true(str_is(args->pod.name, json_string_value(json_object_get(meta, "name"))));
    assert_true(str_is(args->pod.uid, json_string_value(json_object_get(meta, "uid"))));
    assert_int_equal(args->pod.n_containers,
                     json_array_size(json_object_get(spec, "containers")) +
                         json_array_size(json_object_get(spec, "initContainers")));
    assert_int_equal(args->pod.priority, json_integer_value(json_object_get(spec, "priority")));
    json_decref(root);
}

static void quotes_and_items_lie_in_the_body(const struct kube_extender_args *args, struct str body)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < args->n; i++) {
        const struct str q = kube_args_quoted(args, i);

        bytes += q.n;
        assert_true(q.p >= body.p && q.p + q.n <= body.p + body.n);
        assert_true(q.p[0] == '"' && q.p[q.n - 1] == '"' && q.n == args->names[i].n + 2);
        assert_memory_equal(q.p + 1, args->names[i].p, args->names[i].n);
        if (args->items) {
            const struct str item = args->items[i];

            assert_true(item.p < q.p && q.p + q.n < item.p + item.n);
            assert_true(item.p[0] == '{' && item.p[item.n - 1] == '}');
        }
    }
    assert_true(bytes <= args->quoted_bytes);
}

/* How the list starts and how the body ends in kube-scheduler's own order of the keys. */
static const char start[] = "\"Nodes\":{\"metadata\":{},\"items\":[";
static const char end[] = "]},\"NodeNames\":null}";

static void recorded(const char *verb, const char *mode, unsigned n, char pod, const char *suffix)
{
    char path[128];
    struct kube_extender_args args;
    struct buf message = {0};
    struct arena a;
    struct err err;

    (void)snprintf(path, sizeof(path), "scheduler-requests/%s-%s-%u-%c.http%s", verb, mode, n, pod,
                   suffix);
    assert_int_equal(test_data_read(path, &message), 0);
    const struct str body = test_http_body(buf_view(&message));
    arena_init(&a, room, sizeof(room));
    assert_int_equal(kube_extender_args_decode(&args, body, NULL, &a, &err), 0);
    assert_int_equal(args.n, n);
    assert_true(a.used <= 128 * n + 65536 + 48 * 8192); /* the header's bound; pods have 8 KiB */
    quotes_and_items_lie_in_the_body(&args, body);
    if (body.n < 10 << 20) {
        equal_to_jansson(&args, body);
    } else { /* jansson would take seconds and 400 MB: memmem finds the first and the last */
        assert_true(str_starts(args.items[0], "{\"metadata\":{\"name\":\"worker-"));
        assert_ptr_equal(args.items[0].p,
                         (char *)memmem(body.p, body.n, start, strlen(start)) + strlen(start));
        assert_ptr_equal(args.items[n - 1].p + args.items[n - 1].n, body.p + body.n - strlen(end));
    }
    buf_free(&message);
}

static void every_recorded_request_gives_the_names_that_were_sent(void **state)
{
    static const char *const verbs[] = {"filter", "prioritize"};

    for (size_t v = 0; v < 2; v++) {
        for (char pod = 'a'; pod <= 'c'; pod++) {
            recorded(verbs[v], "names", 3, pod, "");
            recorded(verbs[v], "names", 100, pod, "");
            recorded(verbs[v], "names", 500, pod, "");
            recorded(verbs[v], "names", 5000, pod, ".xz");
            recorded(verbs[v], "full", 3, pod, "");
            recorded(verbs[v], "full", 100, pod, ".xz");
            recorded(verbs[v], "full", 500, pod, ".xz");
        }
        recorded(verbs[v], "full", 5000, 'a', ".xz");
    }
}

static void the_recorded_guaranteed_pod_has_all_its_parts(void **state)
{
    struct buf message = {0};
    struct kube_extender_args args;
    struct arena a;

    assert_int_equal(test_data_read("scheduler-requests/filter-names-3-b.http", &message), 0);
    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        kube_extender_args_decode(&args, test_http_body(buf_view(&message)), NULL, &a, NULL), 0);
    const struct pod_container *const c = args.pod.containers;
    assert_int_equal(args.pod.n_containers, 4);
    assert_true(str_is(c[0].name, "fetch") && c[0].kind == POD_INIT);
    assert_true(str_is(c[1].name, "log-shipper") && c[1].kind == POD_SIDECAR);
    assert_true(str_is(c[2].name, "worker") && c[2].n_requests == 5);
    assert_true(str_is(c[2].requests[0].resource, "cpu") && c[2].requests[0].amount == 16000);
    assert_int_equal(c[2].requests[1].amount, INT64_C(512) << 20); /* hugepages-2Mi */
    assert_int_equal(c[2].requests[2].amount, INT64_C(64) << 30);  /* memory */
    assert_int_equal(c[2].requests[3].amount, 2);                  /* nvidia.com/gpu */
    assert_true(str_is(c[3].name, "metrics") && c[3].kind == POD_APP);
    assert_int_equal(args.pod.n_hints, 4);
    assert_int_equal(args.pod.priority, 100000);
    buf_free(&message);
}

static void the_dearest_body_stays_within_the_arena_bound(void **state)
{
    enum { CONTAINERS = KUBE_CONTAINERS_MAX, NAMES = 10000 };
    struct buf text = {0};
    struct body b;

    buf_text(&text, "{\"NodeNames\":[\"\"");
    for (int i = 1; i < NAMES; i++)
        buf_text(&text, ",\"\"");
    buf_text(&text, "],\"Pod\":");
    const size_t before = text.n;
    buf_text(&text, "{\"spec\":{\"containers\":[{}");
    for (int i = 1; i < CONTAINERS; i++)
        buf_text(&text, ",{}");
    buf_text(&text, "]}}");
    const size_t pod = text.n - before;
    buf_text(&text, "}");
    assert_int_equal(decode(&b, text.p), 0);
    assert_int_equal(b.args.n, NAMES);
    assert_int_equal(b.args.pod.n_containers, CONTAINERS);
    assert_true(b.arena.used <= 128 * NAMES + 65536 + 48 * pod);
    done(&b);
    buf_free(&text);
}

static void a_request_cut_at_any_byte_is_refused_without_trace(void **state)
{
    struct buf message = {0};

    assert_int_equal(test_data_read("scheduler-requests/filter-names-3-b.http", &message), 0);
    const struct str body = test_http_body(buf_view(&message));
    for (size_t n = 0; n < body.n; n++) {
        struct kube_extender_args args = {.n = 77};
        struct arena a;

        arena_init(&a, room, sizeof(room));
        assert_int_equal(kube_extender_args_decode(&args, (struct str){body.p, n}, NULL, &a, NULL),
                         -EINVAL);
        assert_int_equal(args.n, 77);
        assert_int_equal(a.used, 0);
    }
    buf_free(&message);
}

/* Fault injection: whatever room the arena has, the decoder succeeds or leaves no trace. */
static void every_arena_size_succeeds_or_leaves_no_trace(void **state)
{
    static const char *const files[] = {"scheduler-requests/filter-names-3-b.http",
                                        "scheduler-requests/filter-full-3-b.http"};

    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        struct buf message = {0};
        size_t first = 0;

        assert_int_equal(test_data_read(files[f], &message), 0);
        const struct str body = test_http_body(buf_view(&message));
        for (size_t size = 0; size <= 32768; size += size < 16384 ? 7 : 1) {
            struct kube_extender_args args = {.n = 77};
            struct arena a;

            arena_init(&a, room, size);
            const int rc = kube_extender_args_decode(&args, body, NULL, &a, NULL);
            first = rc == 0 && first == 0 ? size : first;
            assert_int_equal(rc, first ? 0 : -ENOMEM);
            assert_int_equal(args.n, first ? 3 : 77);
            assert_true(rc == 0 ? args.has_pod : a.used == 0);
        }
        assert_true(first > 0);
        buf_free(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_taken_in_order_decoded_and_quoted),
        cmocka_unit_test(nodes_give_their_name_and_their_bytes),
        cmocka_unit_test(null_and_absent_lists_are_empty),
        cmocka_unit_test(keys_fold_and_the_last_duplicate_wins),
        cmocka_unit_test(a_pod_that_is_not_understood_is_no_error),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(lone_surrogates_pass_and_become_replacement_characters),
        cmocka_unit_test(nesting_of_100000_is_refused),
        cmocka_unit_test(every_recorded_request_gives_the_names_that_were_sent),
        cmocka_unit_test(the_recorded_guaranteed_pod_has_all_its_parts),
        cmocka_unit_test(the_dearest_body_stays_within_the_arena_bound),
        cmocka_unit_test(a_request_cut_at_any_byte_is_refused_without_trace),
        cmocka_unit_test(every_arena_size_succeeds_or_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
