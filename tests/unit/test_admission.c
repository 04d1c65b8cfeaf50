/* SPDX-License-Identifier: Apache-2.0 */
/* AdmissionReview: what is read of the question, and the answer word for word. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/admission.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROOM = 4096 };

#define REVIEW(request) "{'kind':'AdmissionReview','apiVersion':'admission.k8s.io/v1'" request "}"
#define REQUEST(more)   REVIEW(",'request':{'uid':'u','kind':{'kind':'Pod'}" more "}")

/* JSON with ' for "; the text lives until the next call. */
static int read_in(struct kube_admission *out, struct arena *a, const char *json, struct err *err)
{
    static char *text;

    free(text);
    text = test_padded(str_of(json), '}');
    for (char *p = text; p && p < text + strlen(json); p++)
        *p = *p == '\'' ? '"' : *p;
    return text ? kube_admission_decode(out, (struct str){text, strlen(json)}, a, err) : -ENOMEM;
}

static int read_review(struct kube_admission *out, const char *json, struct err *err)
{
    static _Alignas(16) char room[ROOM];
    static struct arena a;

    arena_init(&a, room, sizeof(room));
    return read_in(out, &a, json, err);
}

static bool is(struct str s, const char *text)
{
    return str_is(s, text);
}

static void the_review_of_kubernetes_own_tests_is_read(void **state)
{
    struct kube_admission ask;
    struct buf b = {0};
    struct arena a;
    static _Alignas(16) char room[ROOM];

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        test_data_read("kubernetes-objects/admission.k8s.io.v1.AdmissionReview.json", &b), 0);
    assert_int_equal(kube_admission_decode(&ask, buf_view(&b), &a, NULL), 0);
    assert_true(is(ask.uid, "uidValue") && is(ask.ns, "namespaceValue"));
    assert_true(is(ask.group, "groupValue") && is(ask.version, "versionValue"));
    assert_true(is(ask.kind, "kindValue") && is(ask.subresource, "subResourceValue"));
    assert_true(is(ask.name, "nameValue"));
    assert_int_equal(ask.operation, KUBE_OPERATION_OTHER);
    assert_true(str_starts(ask.object, "{") && str_ends(ask.object, "}"));
    assert_non_null(memmem(ask.old_object.p, ask.old_object.n, "CustomType", 10));
    buf_free(&b);
}

static void operations_and_absent_objects_are_told_apart(void **state)
{
    struct kube_admission ask;

    assert_int_equal(read_review(&ask, REQUEST(",'operation':'CREATE','object':{'a':[1]}"), NULL),
                     0);
    assert_int_equal(ask.operation, KUBE_OPERATION_CREATE);
    assert_true(is(ask.object, "{\"a\":[1]}"));
    assert_int_equal(ask.old_object.n, 0);
    assert_int_equal(
        read_review(&ask, REQUEST(",'operation':'UPDATE','object':null,'oldObject':{ }"), NULL), 0);
    assert_int_equal(ask.operation, KUBE_OPERATION_UPDATE);
    assert_int_equal(ask.object.n, 0);
    assert_true(is(ask.old_object, "{ }"));
    assert_int_equal(read_review(&ask, REQUEST(",'operation':'DELETE'"), NULL), 0);
    assert_int_equal(ask.operation, KUBE_OPERATION_OTHER);
}

static void what_is_no_review_is_answered_with_the_field(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "offset 0"},
        {"[]", "expected an AdmissionReview"},
        {"null", "expected an AdmissionReview"},
        {"{}", "apiVersion: is missing"},
        {"{'apiVersion':'admission.k8s.io/v1'}", "kind: is missing"},
        {"{'apiVersion':'admission.k8s.io/v1beta1','kind':'AdmissionReview'}",
         "apiVersion: expected admission.k8s.io/v1, found \"admission.k8s.io/v1beta1\""},
        {"{'apiVersion':'admission.k8s.io/v1','kind':'Review'}",
         "kind: expected AdmissionReview, found \"Review\""},
        {REVIEW(""), "request: is missing"},
        {REVIEW(",'request':null"), "request.uid: is missing"},
        {REVIEW(",'request':{'uid':''}"), "request.uid: not 1 to 128 bytes"},
        {REVIEW(",'request':{'uid':'u'}"), "request.kind.kind: is missing"},
        {REQUEST(",'uid':'v'"), "request.uid: given twice"},
        {REQUEST(",'object':{},'object':{}"), "request.object: given twice"},
        {REQUEST(",'object':'x'"), "request.object: expected an object"},
        {REQUEST(",'oldObject':[]"), "request.oldObject: expected an object"},
        {REQUEST("") "x", "offset"},
    };
    struct kube_admission ask;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_review(&ask, cases[i].json, &err), -EINVAL);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: %s", cases[i].json, err.text);
    }
}

static void a_review_survives_every_arena_size(void **state)
{
    static const char json[] = REQUEST(",'name':'n','namespace':'ns','operation':'CREATE'");
    static _Alignas(16) char room[512];
    bool fits = false;

    for (size_t n = 0; n <= sizeof(room); n++) {
        struct kube_admission ask = {.uid = STR("before")};
        struct arena a;

        arena_init(&a, room, n);
        const int rc = read_in(&ask, &a, json, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_true(rc == 0 || (is(ask.uid, "before") && arena_mark(&a) == 0));
        assert_true(rc == 0 || !fits);
        fits = rc == 0;
    }
    assert_true(fits);
}

static void the_answer_says_the_uid_and_no_more_than_there_is(void **state)
{
    const struct kube_admission ask = {.uid = STR("u\"1"), .kind = STR("Pod"), .name = STR("p")};
    const struct str warnings[] = {STR("numawise: a\nb \xc3\xa9")};
    struct kube_verdict v = {.allowed = true};
    struct buf b = {0};

    kube_admission_answer(&b, &ask, &v);
    assert_string_equal(b.p, "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                             "\"response\":{\"uid\":\"u\\\"1\",\"allowed\":true}}");
    buf_free(&b);
    v.warnings = warnings;
    v.n_warnings = 1;
    kube_admission_answer(&b, &ask, &v);
    assert_non_null(strstr(b.p, "\"allowed\":true,\"warnings\":[\"numawise: a?b ??\"]}}"));
    buf_free(&b);
}

static void a_refusal_names_each_field(void **state)
{
    const struct kube_admission ask = {
        .uid = STR("u"), .group = STR("apps"), .kind = STR("Deployment"), .name = STR("web")};
    const struct kube_cause causes[] = {{STR("spec.a"), STR("no")}, {STR("spec.b"), STR("nor")}};
    const struct kube_verdict v = {.code = 422,
                                   .reason = "Invalid",
                                   .message = STR("spec.a: no; spec.b: nor"),
                                   .causes = causes,
                                   .n_causes = 2};
    struct buf b = {0};

    kube_admission_answer(&b, &ask, &v);
    assert_non_null(strstr(
        b.p,
        "\"allowed\":false,\"status\":{\"status\":\"Failure\",\"message\":\"spec.a: no; spec.b: "
        "nor\",\"reason\":\"Invalid\",\"details\":{\"name\":\"web\",\"group\":\"apps\",\"kind\":"
        "\"Deployment\",\"causes\":[{\"reason\":\"FieldValueInvalid\",\"message\":\"no\",\"field\":"
        "\"spec.a\"},{\"reason\":\"FieldValueInvalid\",\"message\":\"nor\",\"field\":\"spec.b\"}]},"
        "\"code\":422}}}"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_review_of_kubernetes_own_tests_is_read),
        cmocka_unit_test(operations_and_absent_objects_are_told_apart),
        cmocka_unit_test(what_is_no_review_is_answered_with_the_field),
        cmocka_unit_test(a_review_survives_every_arena_size),
        cmocka_unit_test(the_answer_says_the_uid_and_no_more_than_there_is),
        cmocka_unit_test(a_refusal_names_each_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
