/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/status.h"
#include "tests/support/data.h"

/* JSON with ' for ". */
static bool decode(struct kube_status *out, const char *json)
{
    char *const text = test_padded(str_of(json), '}');

    for (char *p = text; *p && p < text + strlen(json); p++)
        *p = *p == '\'' ? '"' : *p;
    const bool is = kube_status_decode(out, (struct str){text, strlen(json)});
    free(text);
    return is;
}

static void a_failure_says_why(void **state)
{
    struct kube_status s;

    assert_true(decode(&s, "{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Failure',"
                           "'message':'too \\u00e4ld','reason':'Expired','details':{'name':'x',"
                           "'causes':[{'message':'m','reason':'A'},{'reason':'B'}],"
                           "'retryAfterSeconds':7},'code':410}"));
    assert_true(s.failed);
    assert_int_equal(s.code, 410);
    assert_string_equal(s.reason, "Expired");
    assert_string_equal(s.message, "too \xc3\xa4ld");
    assert_string_equal(s.cause, "A");
    assert_int_equal(s.retry_after_s, 7);
    assert_true(decode(&s, "{'status':'Success','kind':'Status'}"));
    assert_false(s.failed);
    assert_int_equal(s.code, 0);
    assert_string_equal(s.reason, "");
    assert_int_equal(s.retry_after_s, -1);
}

static void what_is_no_status_says_nothing(void **state)
{
    static const char *const others[] = {"",
                                         "[]",
                                         "null",
                                         "{}",
                                         "{'kind':'Pod','status':'Failure','code':5}",
                                         "{'kind':'Status'",
                                         "{'kind':['Status']}",
                                         "<html>"};
    struct kube_status s;

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        memset(&s, 0xff, sizeof(s));
        assert_false(decode(&s, others[i]));
        assert_false(s.failed);
        assert_int_equal(s.code, 0);
        assert_string_equal(s.message, "");
        assert_int_equal(s.retry_after_s, -1);
    }
}

static void fields_of_a_wrong_type_count_as_not_said(void **state)
{
    struct kube_status s;

    assert_true(decode(&s, "{'kind':'Status','code':'410','reason':5,'message':{},'status':[],"
                           "'details':{'retryAfterSeconds':-1,'causes':{}}}"));
    assert_int_equal(s.code, 0);
    assert_string_equal(s.reason, "");
    assert_int_equal(s.retry_after_s, -1);
    assert_true(decode(&s, "{'kind':'Status','code':1.5,'details':{'retryAfterSeconds':1e9,"
                           "'causes':[1,{'reason':null}]}}"));
    assert_int_equal(s.code, 0);
    assert_int_equal(s.retry_after_s, -1);
    assert_true(decode(&s, "{'kind':'Status','code':123456789012345678901,'details':'x'}"));
    assert_int_equal(s.code, 0);
}

static void long_texts_are_cut_between_characters(void **state)
{
    struct buf json = {0};
    struct kube_status s;

    buf_text(&json, "{'kind':'Status','message':'x");
    for (int i = 0; i < 200; i++)
        buf_text(&json, "\xc3\xa4");
    buf_text(&json, "'}");
    assert_true(decode(&s, json.p));
    assert_int_equal(strlen(s.message), KUBE_STATUS_TEXT_BYTES - 1); /* 1 + 99 * 2 */
    buf_free(&json);
    buf_text(&json, "{'kind':'Status','message':'");
    for (int i = 0; i < 200; i++)
        buf_text(&json, "\\ud83d\\ude00"); /* four bytes in UTF-8 */
    buf_text(&json, "'}");
    assert_true(decode(&s, json.p));
    assert_int_equal(strlen(s.message), 196);
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_says_why),
        cmocka_unit_test(what_is_no_status_says_nothing),
        cmocka_unit_test(fields_of_a_wrong_type_count_as_not_said),
        cmocka_unit_test(long_texts_are_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
