/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/review.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROOM = 8192 };

/* JSON with ' for ". */
static char *padded(const char *json)
{
    char *const text = test_padded(str_of(json), '}');

    for (char *p = text; *p && p < text + strlen(json); p++)
        *p = *p == '\'' ? '"' : *p;
    return text;
}

static int read_token(struct kube_token_verdict *v, char **text, struct arena *a, const char *json,
                      struct err *err)
{
    *text = padded(json);
    return kube_token_review_read(v, (struct str){*text, strlen(json)}, "numawise", a, err);
}

#define USER                                                                                       \
    "'user':{'username':'system:serviceaccount:bank:teller','uid':'u-7','groups':"                 \
    "['system:serviceaccounts','system:authenticated'],'extra':{"                                  \
    "'authentication.kubernetes.io/pod-name':['teller-0'],"                                        \
    "'authentication.kubernetes.io/pod-uid':['p-1'],'x':['a','b']}}"
#define REVIEW(status)                                                                             \
    "{'kind':'TokenReview','apiVersion':'authentication.k8s.io/v1','spec':{'token':'t'},"          \
    "'status':{" status "}}"

static void the_question_has_the_token_and_the_audience(void **state)
{
    struct buf b = {0};

    kube_token_review(&b, STR("abc.d\"e"), "numawise");
    assert_string_equal(b.p, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\""
                             ",\"spec\":{\"token\":\"abc.d\\\"e\",\"audiences\":[\"numawise\"]}}");
    buf_free(&b);
}

static void a_token_of_a_pod_names_the_pod(void **state)
{
    char room[ROOM], *text;
    struct arena a;
    struct kube_token_verdict v;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        read_token(&v, &text, &a,
                   REVIEW("'authenticated':true,'audiences':['other','numawise']," USER), NULL),
        0);
    assert_true(v.authenticated);
    assert_true(str_is(v.user.name, "system:serviceaccount:bank:teller"));
    assert_true(str_is(v.user.uid, "u-7"));
    assert_true(str_is(v.user.groups, "[\"system:serviceaccounts\",\"system:authenticated\"]"));
    assert_true(str_starts(v.user.extra, "{\"authentication.kubernetes.io/pod-name\":"));
    assert_true(str_is(v.pod, "teller-0") && str_is(v.pod_uid, "p-1"));
    free(text);
}

static void whom_the_server_does_not_vouch_for_is_nobody(void **state)
{
    static const char *const cases[] = {
        REVIEW("'error':'invalid bearer token'"),
        REVIEW("'authenticated':false," USER ",'audiences':['numawise']"),
        REVIEW("'authenticated':null," USER ",'audiences':['numawise']"),
        /* Valid, but for somebody else; or by a server that does not look at audiences. */
        REVIEW("'authenticated':true,'audiences':['https://kubernetes.default.svc']," USER),
        REVIEW("'authenticated':true,'audiences':['numawise2','numawis']," USER),
        REVIEW("'authenticated':true,'audiences':[]," USER),
        REVIEW("'authenticated':true," USER),
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char room[ROOM], *text;
        struct arena a;
        struct kube_token_verdict v = {.authenticated = true, .pod = STR("x")};

        arena_init(&a, room, sizeof(room));
        assert_int_equal(read_token(&v, &text, &a, cases[i], NULL), 0);
        assert_false(v.authenticated);
        assert_int_equal(v.user.name.n + v.pod.n, 0);
        free(text);
    }
}

/* What is no answer lets nobody in, and turns nobody away either. */
static void what_is_no_answer_is_an_error(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{'kind':'TokenReview'}",
        "{'kind':'TokenReview','status':null}",
        "{'kind':'Status','status':'Failure'}",
        "{'kind':'SubjectAccessReview','status':{'authenticated':true}}",
        REVIEW("'authenticated':'true','audiences':['numawise']," USER),
        REVIEW("'authenticated':true,'audiences':['numawise'],'user':{'uid':'1'}"),
        REVIEW("'authenticated':true,'audiences':['numawise'],'user':{'username':''}"),
        REVIEW("'authenticated':true,'audiences':'numawise'," USER),
        REVIEW("'authenticated':true,'audiences':['numawise']," USER) "x",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char room[ROOM], *text;
        struct arena a;
        struct kube_token_verdict v = {.pod = STR("as it was")};
        struct err err = {0};

        arena_init(&a, room, sizeof(room));
        if (read_token(&v, &text, &a, cases[i], &err) != -EINVAL || !err.text[0])
            fail_msg("case %zu is taken for an answer", i);
        assert_true(str_is(v.pod, "as it was"));
        free(text);
    }
}

/* Two names are none: nothing may be chosen by whoever put them there. */
static void a_token_of_two_pods_is_of_none(void **state)
{
    char room[ROOM], *text;
    struct arena a;
    struct kube_token_verdict v;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        read_token(&v, &text, &a,
                   REVIEW("'authenticated':true,'audiences':['numawise'],'user':{'username':'u',"
                          "'extra':{'authentication.kubernetes.io/pod-name':['a','b'],"
                          "'authentication.kubernetes.io/pod-uid':[]}}"),
                   NULL),
        0);
    assert_true(v.authenticated);
    assert_int_equal(v.pod.n + v.pod_uid.n, 0);
    free(text);
}

static void it_survives_every_arena_size(void **state)
{
    const char *const json = REVIEW("'authenticated':true,'audiences':['numawise']," USER);

    for (size_t room_bytes = 0; room_bytes < 600; room_bytes++) {
        char *const room = malloc(room_bytes + 1), *text;
        struct kube_token_verdict v = {.pod = STR("as it was")};
        struct arena a;

        arena_init(&a, room, room_bytes);
        const int rc = read_token(&v, &text, &a, json, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_true(str_is(v.pod, rc ? "as it was" : "teller-0"));
        free(text);
        free(room);
    }
}

static void the_second_question_is_what_the_server_said_before(void **state)
{
    const struct kube_user user = {STR("jane"), STR("7"), STR("[\"dev\"]"), STR("{\"k\":[\"v\"]}")};
    const struct kube_user plain = {.name = STR("cert")};
    const struct kube_attributes one = {"get", "concurrency.gokore.io", "lockpolicies", STR("bank"),
                                        STR("teller")};
    const struct kube_attributes all = {.verb = "get", .group = "", .resource = "nodes"};
    struct buf b = {0};

    kube_access_review(&b, &user, &one);
    assert_string_equal(
        b.p, "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\","
             "\"spec\":{\"user\":\"jane\",\"uid\":\"7\",\"groups\":[\"dev\"],\"extra\":{\"k\":"
             "[\"v\"]},\"resourceAttributes\":{\"verb\":\"get\",\"group\":"
             "\"concurrency.gokore.io\",\"resource\":\"lockpolicies\",\"namespace\":\"bank\","
             "\"name\":\"teller\"}}}");
    buf_free(&b);
    kube_access_review(&b, &plain, &all);
    assert_string_equal(
        b.p, "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\","
             "\"spec\":{\"user\":\"cert\",\"resourceAttributes\":{\"verb\":\"get\",\"group\":\"\","
             "\"resource\":\"nodes\"}}}");
    buf_free(&b);
}

static void only_a_plain_yes_is_a_yes(void **state)
{
    static const struct {
        const char *json;
        int rc;
        bool allowed;
    } cases[] = {
        {"{'kind':'SubjectAccessReview','status':{'allowed':true,'reason':'RBAC: ok'}}", 0, true},
        {"{'kind':'SubjectAccessReview','status':{'allowed':false}}", 0, false},
        {"{'kind':'SubjectAccessReview','status':{'allowed':true,'denied':true}}", 0, false},
        {"{'kind':'SubjectAccessReview','status':{'allowed':false,'evaluationError':'x'}}", 0,
         false},
        {"{'kind':'SubjectAccessReview','status':{}}", -EINVAL, false},
        {"{'kind':'SubjectAccessReview','status':{'allowed':null}}", -EINVAL, false},
        {"{'kind':'SubjectAccessReview','status':{'allowed':1}}", -EINVAL, false},
        {"{'kind':'TokenReview','status':{'allowed':true}}", -EINVAL, false},
        {"{'kind':'SubjectAccessReview'}", -EINVAL, false},
        {"<html>", -EINVAL, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *const text = padded(cases[i].json);
        bool allowed = false;

        assert_int_equal(
            kube_access_review_read(&allowed, (struct str){text, strlen(cases[i].json)}, NULL),
            cases[i].rc);
        assert_int_equal(allowed, cases[i].allowed);
        free(text);
    }
}

static void only_a_service_account_has_a_namespace(void **state)
{
    static const struct {
        const char *user, *ns;
    } cases[] = {
        {"system:serviceaccount:bank:teller", "bank"},
        {"system:serviceaccount:bank:a:b", "bank"},
        {"system:serviceaccount:bank", ""},
        {"system:serviceaccount:bank:", ""},
        {"system:serviceaccount::teller", ""},
        {"system:node:bank:teller", ""},
        {"xsystem:serviceaccount:bank:teller", ""},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(str_is(kube_account_namespace(str_of(cases[i].user)), cases[i].ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_has_the_token_and_the_audience),
        cmocka_unit_test(a_token_of_a_pod_names_the_pod),
        cmocka_unit_test(whom_the_server_does_not_vouch_for_is_nobody),
        cmocka_unit_test(what_is_no_answer_is_an_error),
        cmocka_unit_test(a_token_of_two_pods_is_of_none),
        cmocka_unit_test(it_survives_every_arena_size),
        cmocka_unit_test(the_second_question_is_what_the_server_said_before),
        cmocka_unit_test(only_a_plain_yes_is_a_yes),
        cmocka_unit_test(only_a_service_account_has_a_namespace),
    };

    return cmocka_run_group_tests_name("review", tests, NULL, NULL);
}
