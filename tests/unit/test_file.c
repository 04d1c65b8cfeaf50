/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

/* What a walk told, a line a call; and the document whose fields the test wants to locate. */
struct told {
    struct buf text;
    const char *locate; /* field, or NULL */
    int end_with;
};

static int told_object(void *ctx, const struct kube_document *doc)
{
    struct told *const t = ctx;

    buf_printf(&t->text, "%u:%u %.*s %.*s %.*s/%.*s", doc->line, doc->column,
               STR_ARG(doc->meta.api_version), STR_ARG(doc->meta.kind), STR_ARG(doc->meta.ns),
               STR_ARG(doc->meta.name));
    if (t->locate) {
        uint32_t line, column;

        kube_document_locate(doc, str_of(t->locate), &line, &column);
        buf_printf(&t->text, " @%u:%u", line, column);
    }
    buf_text(&t->text, "\n");
    return t->end_with;
}

static void told_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                         const char *text)
{
    struct told *const t = ctx;

    buf_printf(&t->text, "!%s:%u:%u: %s\n", path, line, column, text);
}

static void check(const char *text, const char *path, const char *locate, const char *want)
{
    struct told t = {.locate = locate};
    const struct kube_visitor visitor = {told_object, told_problem, &t};
    char *const padded = test_padded(str_of(text), '}');

    buf_text(&t.text, "");
    assert_int_equal(kube_text_visit((struct str){padded, strlen(text)}, path, &visitor, NULL), 0);
    assert_string_equal(t.text.p, want);
    free(padded);
    buf_free(&t.text);
}

static void documents_of_both_formats_are_visited(void **state)
{
    check("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n---\nkind: Pod\nmetadata: {name: b, "
          "namespace: ns}\n",
          "f.yaml", "metadata.name", "1:1 v1 Node /a @4:9\n6:1  Pod ns/b @7:18\n");
    check("{\"kind\": \"Node\",\n \"metadata\": {\"name\": \"a\"}}\n\n {\"kind\":\"Pod\"}",
          "f.json", "metadata.name", "1:1  Node /a @2:23\n4:2  Pod / @4:2\n");
}

static void lists_are_visited_item_by_item(void **state)
{
    check(
        "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata:\n    name: a\n- kind: "
        "Pod\n  metadata: {name: b}\nkind: List\n",
        "f.yml", "metadata.name", "3:3 v1 Node /a @6:11\n7:3  Pod /b @8:20\n");
    check("{\"kind\":\"List\",\"items\":[{\"kind\":\"A\"},\n{\"kind\":\"B\"}]}", "f.json", NULL,
          "1:25  A /\n2:1  B /\n");
    check("kind: List\nitems:\n- kind: List\n  items:\n  - {kind: A}\n- {kind: B}\n", "f.yaml",
          NULL, "5:5  A /\n6:3  B /\n");
    check("kind: List\nitems: []\n", "f.yaml", NULL, "");
}

static void items_of_a_typed_list_get_its_kind(void **state)
{
    check("apiVersion: v1\nkind: PodList\nitems:\n- metadata:\n    name: a\n- metadata:\n    name: "
          "b\n",
          "f.yaml", "metadata.name", "4:3 v1 Pod /a @5:11\n6:3 v1 Pod /b @7:11\n");
    check("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\n\"items\":[ { } ,\n "
          "{\"metadata\":{\"name\":\"x\"}}]}",
          "f.json", "metadata.name", "2:11 v1 Pod / @2:11\n3:2 v1 Pod /x @3:22\n");
}

static int decode_kind(void *ctx, const struct kube_document *doc)
{
    json_t *const j = json_loadb(doc->json.p, doc->json.n, JSON_REJECT_DUPLICATES, NULL);

    assert_string_equal(json_string_value(json_object_get(j, "kind")), "Deployment");
    assert_string_equal(json_string_value(json_object_get(j, "apiVersion")), "apps/v1");
    json_decref(j);
    ++*(int *)ctx;
    return 0;
}

static void the_text_of_such_an_item_says_its_kind(void **state)
{
    int n = 0;
    const struct kube_visitor visitor = {decode_kind, NULL, &n};
    static const char text[] =
        "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: a}\n- {}\n";
    char *const padded = test_padded(STR(text), 'x');

    assert_int_equal(kube_text_visit((struct str){padded, strlen(text)}, "f.yaml", &visitor, NULL),
                     0);
    assert_int_equal(n, 2);
    free(padded);
}

static void problems_name_file_line_column_and_field(void **state)
{
    check("kind: Pod\nmetadata:\n  name: 5\n---\nkind: Node\n", "d/f.yaml", NULL,
          "!d/f.yaml:3:9: metadata.name: expected a string, found a number\n5:1  Node /\n");
    check("kind: List\nitems:\n- kind: [x]\n- metadata: {}\n- kind: Node\n", "f.yaml", NULL,
          "!f.yaml:3:9: kind: expected a string, found an array\n!f.yaml:4:3: kind: missing\n5:3  "
          "Node /\n");
    check("just text\n", "f.yaml", NULL, "!f.yaml:1:1: expected an object, found a string\n");
    check("{\"kind\":\"Node\"}\n{\"kind\": nul}", "f.json", NULL,
          "1:1  Node /\n!f.json:2:10: expected a value\n");
    check("{\"kind\":\"Pod\",\n\"metadata\":{\"uid\":[]}} {\"kind\":\"Node\"}", "f.json", NULL,
          "!f.json:2:19: metadata.uid: expected a string, found an array\n2:24  Node /\n");
    check("a: [\n---\nkind: Node\n", "f.yaml", NULL,
          "!f.yaml:2:1: did not find expected node content (while parsing a flow node that starts "
          "at line 2)\n3:1  Node /\n");
}

/* Characters count, not bytes; and a line may be longer than what is noted of it. */
static void columns_count_characters_in_long_lines(void **state)
{
    struct buf text = {0};

    buf_text(&text, "{\"kind\":\"List\",\"x\":\"");
    for (int i = 0; i < 5000; i++)
        buf_text(&text, "\xc3\xa9");
    buf_text(&text, "\",\"items\":[{\"kind\":\"A\"}]}");
    /* 20 characters, 5000, then 11: the item is the next */
    check(text.p, "f.json", NULL, "1:5032  A /\n");
    buf_free(&text);
}

/* The names of a list and its items are kept in 16 KiB, whatever the number of items. */
static void a_list_may_be_long(void **state)
{
    struct buf text = {0};
    struct told t = {0};
    const struct kube_visitor visitor = {told_object, told_problem, &t};

    buf_text(&text, "kind: List\nitems:\n");
    for (int i = 0; i < 2000; i++)
        buf_text(&text, "- {kind: Pod, metadata: {name: a-name-of-some-length}}\n");
    assert_int_equal(kube_text_visit(buf_view(&text), "f.yaml", &visitor, NULL), 0);
    assert_int_equal(strncmp(t.text.p, "3:3  Pod /a-name", 16), 0);
    assert_null(strchr(t.text.p, '!'));
    buf_free(&t.text);
    buf_free(&text);
}

static void a_visitor_can_end_the_walk(void **state)
{
    struct told t = {.end_with = 7};
    const struct kube_visitor visitor = {told_object, NULL, &t};
    static const char text[] = "kind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n";
    char *const padded = test_padded(STR(text), 0);

    assert_int_equal(kube_text_visit((struct str){padded, strlen(text)}, "f.yaml", &visitor, NULL),
                     7);
    assert_string_equal(t.text.p, "2:9  A /\n");
    buf_free(&t.text);
    free(padded);
}

static void only_regular_files_are_read(void **state)
{
    const struct kube_visitor visitor = {told_object, NULL, NULL};
    char dir[] = "/tmp/numawise-file-XXXXXX", pipe_path[64];
    struct err err;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", dir);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(kube_file_visit(pipe_path, &visitor, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(kube_file_visit(dir, &visitor, &err), -EISDIR);
    assert_int_equal(unlink(pipe_path), 0);
    assert_int_equal(kube_file_visit(pipe_path, &visitor, &err), -ENOENT);
    assert_int_equal(rmdir(dir), 0);
}

static void a_file_over_the_limit_is_not_read(void **state)
{
    const struct kube_visitor visitor = {told_object, NULL, NULL};
    char path[] = "/tmp/numawise-file-XXXXXX";
    const int fd = mkstemp(path);
    struct err err;

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0); /* a hole of a TiB */
    assert_int_equal(kube_file_visit(path, &visitor, &err), -E2BIG);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

/* --- one fully populated object of each kind, as Kubernetes' own tests have them --- */

static const char *const kinds[] = {
    "admission.k8s.io.v1.AdmissionReview",
    "coordination.k8s.io.v1.Lease",
    "core.v1.Binding",
    "core.v1.Event",
    "core.v1.Namespace",
    "core.v1.Node",
    "core.v1.Pod",
    "policy.v1.Eviction",
    "resource.k8s.io.v1.ResourceSlice",
};

static int load_document(void *ctx, const struct kube_document *doc)
{
    json_t **const out = ctx;

    assert_null(*out);
    *out = json_loadb(doc->json.p, doc->json.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(*out);
    assert_true(doc->meta.kind.n > 0 && doc->meta.api_version.n > 0);
    return 0;
}

static void no_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s:%u:%u: %s", path, line, column, text);
}

static json_t *load(const char *kind, const char *suffix)
{
    char path[256];
    json_t *j = NULL;
    const struct kube_visitor visitor = {load_document, no_problem, &j};

    (void)snprintf(path, sizeof(path), TEST_DATA "/kubernetes-objects/%s.%s", kind, suffix);
    assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
    assert_non_null(j);
    return j;
}

static void yaml_and_json_of_each_kind_are_the_same_object(void **state)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        json_t *const from_json = load(kinds[i], "json"), *const from_yaml = load(kinds[i], "yaml");

        if (!json_equal(from_json, from_yaml))
            fail_msg("%s", kinds[i]);
        json_decref(from_json);
        json_decref(from_yaml);
    }
}

struct decoded {
    char room[64 * 1024];
    struct arena arena;
    struct kube_node node;
    struct score_pod pod;
};

static int decode(void *ctx, const struct kube_document *doc)
{
    struct decoded *const d = ctx;
    struct err err;
    int rc;

    arena_init(&d->arena, d->room, sizeof(d->room));
    if (str_is(doc->meta.kind, "Node"))
        rc = kube_node_decode(&d->node, doc->json, &d->arena, &err);
    else
        rc = kube_pod_decode(&d->pod, doc->json, &d->arena, &err);
    if (rc < 0)
        fail_msg("%s: %s", doc->path, err.text);
    return 0;
}

static void decode_file(struct decoded *d, const char *name)
{
    char path[256];
    const struct kube_visitor visitor = {decode, no_problem, d};

    (void)snprintf(path, sizeof(path), TEST_DATA "/kubernetes-objects/%s", name);
    assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
}

static struct decoded a, b;

static void both_forms_of_the_node_decode_alike(void **state)
{
    decode_file(&a, "core.v1.Node.json");
    decode_file(&b, "core.v1.Node.yaml");
    assert_true(str_is(a.node.meta.name, "nameValue"));
    assert_true(str_is(a.node.kubelet_version, "kubeletVersionValue"));
    assert_true(str_eq(a.node.kubelet_version, b.node.kubelet_version));
    assert_int_equal(a.node.n_capacity, 1);
    assert_int_equal(b.node.n_capacity, 1);
    assert_true(str_is(a.node.capacity[0].resource, "capacityKey"));
    assert_int_equal(a.node.capacity[0].amount, 0);
    assert_true(str_eq(a.node.allocatable[0].resource, b.node.allocatable[0].resource));
    assert_true(str_eq(a.node.meta.resource_version, b.node.meta.resource_version));
}

static void both_forms_of_the_pod_decode_alike(void **state)
{
    decode_file(&a, "core.v1.Pod.json");
    decode_file(&b, "core.v1.Pod.yaml");
    assert_true(str_is(a.pod.name, "nameValue"));
    assert_true(str_eq(a.pod.name, b.pod.name) && str_eq(a.pod.ns, b.pod.ns));
    assert_true(str_eq(a.pod.node, b.pod.node) && str_eq(a.pod.uid, b.pod.uid));
    assert_int_equal(a.pod.n_containers, b.pod.n_containers);
    assert_true(a.pod.n_containers >= 2);
    for (uint32_t i = 0; i < a.pod.n_containers; i++) {
        const struct pod_container *const x = &a.pod.containers[i], *const y = &b.pod.containers[i];

        assert_true(str_eq(x->name, y->name));
        assert_int_equal(x->n_requests, y->n_requests);
        assert_int_equal(x->kind, y->kind);
    }
    assert_int_equal(a.pod.created_us, b.pod.created_us);
    assert_int_equal(a.pod.priority, b.pod.priority);
    assert_int_equal(a.pod.deleting, b.pod.deleting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_of_both_formats_are_visited),
        cmocka_unit_test(lists_are_visited_item_by_item),
        cmocka_unit_test(items_of_a_typed_list_get_its_kind),
        cmocka_unit_test(the_text_of_such_an_item_says_its_kind),
        cmocka_unit_test(problems_name_file_line_column_and_field),
        cmocka_unit_test(columns_count_characters_in_long_lines),
        cmocka_unit_test(a_list_may_be_long),
        cmocka_unit_test(a_visitor_can_end_the_walk),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(a_file_over_the_limit_is_not_read),
        cmocka_unit_test(yaml_and_json_of_each_kind_are_the_same_object),
        cmocka_unit_test(both_forms_of_the_node_decode_alike),
        cmocka_unit_test(both_forms_of_the_pod_decode_alike),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
