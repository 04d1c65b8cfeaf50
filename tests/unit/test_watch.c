/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/scan.h"
#include "kube/watch.h"
#include "tests/support/data.h"

/* What a stream was split into, a line a value: "E {...}". */
struct told {
    struct buf text;
    int end_with;
};

static int tell(void *ctx, enum kube_split_part part, struct str text)
{
    struct told *const t = ctx;
    unsigned sum = 0;

    for (size_t i = 0; i < SCAN_PADDING_BYTES; i++) /* readable, says the sanitizer */
        sum += (unsigned char)text.p[text.n + i];
    buf_printf(&t->text, "%c %.*s\n", "EIML"[part], STR_ARG(text));
    return sum == 1 ? 1 : t->end_with;
}

/* Feed in pieces of the lengths `first`, then `step`; each piece is a heap block of its own. */
static int split(struct told *t, enum kube_split_form form, size_t max, struct str text,
                 size_t first, size_t step)
{
    struct kube_splitter s = {.form = form};
    int rc = 0;

    kube_split_begin(&s, form, max, tell, t);
    for (size_t at = 0; rc == 0 && at < text.n;) {
        const size_t want = at == 0 && first ? first : step;
        const size_t n = want < text.n - at ? want : text.n - at;
        char *const piece = malloc(n);

        memcpy(piece, text.p + at, n);
        rc = kube_split_feed(&s, piece, n);
        free(piece);
        at += n;
    }
    if (rc == 0)
        rc = kube_split_end(&s);
    kube_split_done(&s);
    return rc;
}

/* However it is cut in two, and byte by byte. Texts have ' for ". */
static void check(enum kube_split_form form, const char *quoted, int want_rc,
                  const char *quoted_want)
{
    char *const text = strdup(quoted), *const want = strdup(quoted_want);
    const size_t n = strlen(text);

    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    for (char *p = want; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    for (size_t first = 0; first <= n; first++) {
        struct told t = {.end_with = 0};

        buf_text(&t.text, "");
        const int rc = split(&t, form, 1 << 20, (struct str){text, n}, first, first ? n : 1);
        if (rc != want_rc || strcmp(t.text.p, want) != 0)
            fail_msg("cut at %zu: %d\n%s", first, rc, t.text.p);
        buf_free(&t.text);
    }
    free(text);
    free(want);
}

static void events_come_one_by_one_wherever_the_stream_is_cut(void **state)
{
    check(KUBE_SPLIT_EVENTS, "", 0, "");
    check(KUBE_SPLIT_EVENTS, " \n\r\t", 0, "");
    check(KUBE_SPLIT_EVENTS, "{}", 0, "E {}\n");
    check(KUBE_SPLIT_EVENTS, "{'a':1}\n{'b':{'c':[{}]}}\n", 0, "E {'a':1}\nE {'b':{'c':[{}]}}\n");
    check(KUBE_SPLIT_EVENTS, "{'a':1}{'b':2}  {'c':3}", 0, "E {'a':1}\nE {'b':2}\nE {'c':3}\n");
    check(KUBE_SPLIT_EVENTS, "{\n 'a' : '}]{[' ,\n'b\\\\\\'}':'\\\\' }\n", 0,
          "E {\n 'a' : '}]{[' ,\n'b\\\\\\'}':'\\\\' }\n");
    /* Long enough for the wide loop, with bytes that stop it. */
    check(KUBE_SPLIT_EVENTS,
          "{'k':'0123456789012345678901234567890123456789012345678901234567890123456789\xc3\xa4"
          "0123456789012345678901234567890123456789\\'01234567890123456789}'}\n{'x':'y'}\n",
          0,
          "E {'k':'0123456789012345678901234567890123456789012345678901234567890123456789\xc3\xa4"
          "0123456789012345678901234567890123456789\\'01234567890123456789}'}\nE {'x':'y'}\n");
}

static void a_list_gives_its_items_and_its_metadata(void **state)
{
    check(KUBE_SPLIT_LIST,
          "{'kind':'PodList','apiVersion':'v1','metadata':{'resourceVersion':'7'},"
          "'items':[{'metadata':{'name':'a'}},\n {'b':['items',{}]} , {}]}\n",
          0,
          "M {'resourceVersion':'7'}\nI {'metadata':{'name':'a'}}\nI {'b':['items',{}]}\nI {}\n");
    check(KUBE_SPLIT_LIST,
          "{'apiVersion':'x/v1','items':[{'a':1}],'kind':'XList','metadata':{'continue':'c'}}", 0,
          "I {'a':1}\nM {'continue':'c'}\n");
    check(KUBE_SPLIT_LIST, "{'items':[],'metadata':{}}", 0, "M {}\n");
    check(KUBE_SPLIT_LIST, "{'items':null,'metadata':null}", 0, "M null\n");
    check(KUBE_SPLIT_LIST, " { } ", 0, "");
    /* Only the list's own keys count, and only as they stand. */
    check(KUBE_SPLIT_LIST,
          "{'x':{'items':[{}],'metadata':{}},'n':-1.5e3,'t':true ,'f':false,'s':'items',"
          "'itemsandmore1234567890':[{}],'it\\u0065ms':[{}],'Items':[{}],'e':[]}",
          0, "");
}

static void what_is_no_stream_of_events_is_refused(void **state)
{
    check(KUBE_SPLIT_EVENTS, "[]", -EPROTO, "");
    check(KUBE_SPLIT_EVENTS, "<html>", -EPROTO, "");
    check(KUBE_SPLIT_EVENTS, "{}\nnull", -EPROTO, "E {}\n");
    check(KUBE_SPLIT_EVENTS, "{'a':1", -EPROTO, "");
    check(KUBE_SPLIT_EVENTS, "{'a':'", -EPROTO, "");
    check(KUBE_SPLIT_EVENTS, "{}}", -EPROTO, "E {}\n");
}

static void what_is_no_list_is_refused(void **state)
{
    check(KUBE_SPLIT_LIST, "", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "[]", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'items':[{}]", -EPROTO, "I {}\n");
    check(KUBE_SPLIT_LIST, "{'items':[{},]}", -EPROTO, "I {}\n");
    check(KUBE_SPLIT_LIST, "{'items':[,{}]}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'items':[{} {}]}", -EPROTO, "I {}\n");
    check(KUBE_SPLIT_LIST, "{'items':[1]}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'items':[null]}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'a':1,}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{,'a':1}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'a' 1}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'a':}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{'a':1]", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{a:1}", -EPROTO, "");
    check(KUBE_SPLIT_LIST, "{}{}", -EPROTO, "");
}

static void values_have_a_bound_and_the_stream_goes_on(void **state)
{
    struct told t = {.end_with = 0};
    struct buf text = {0};

    /* 8 + 30 + 2 = 40 bytes, and one more */
    buf_text(&text, "{\"a\":\"123456789012345678901234567890\"}\n");
    buf_text(&text, "{\"a\":\"1234567890123456789012345678901\"}\n{\"b\":1}\n");
    const size_t step[] = {1, 7, 39, 1000};
    for (size_t i = 0; i < ARRAY_LEN(step); i++) {
        t.text.n = 0;
        assert_int_equal(split(&t, KUBE_SPLIT_EVENTS, 38, buf_view(&text), 0, step[i]), 0);
        assert_string_equal(t.text.p,
                            "E {\"a\":\"123456789012345678901234567890\"}\n"
                            "L {\"a\":\"1234567890123456789012345678901\"}\nE {\"b\":1}\n");
    }
    /* Of one that is far too large only the head is there. */
    text.n = 0;
    buf_text(&text, "{\"items\":[{\"metadata\":{\"name\":\"a\"},\"x\":\"");
    for (int i = 0; i < 3000; i++)
        buf_text(&text, "0123456789");
    buf_text(&text, "\"},{}]}");
    for (size_t i = 0; i < ARRAY_LEN(step); i++) {
        t.text.n = 0;
        assert_int_equal(split(&t, KUBE_SPLIT_LIST, 20000, buf_view(&text), 0, step[i]), 0);
        assert_int_equal(t.text.n, 2 + KUBE_SPLIT_HEAD_BYTES + 1 + 5);
        assert_memory_equal(t.text.p, "L {\"metadata\":{\"name\":\"a\"},\"x\":\"0123456789", 40);
        assert_memory_equal(t.text.p + t.text.n - 6, "\nI {}\n", 6);
    }
    buf_free(&text);
    buf_free(&t.text);
}

static void a_receiver_may_end_it(void **state)
{
    struct told t = {.end_with = -ENOTSUP};

    assert_int_equal(split(&t, KUBE_SPLIT_EVENTS, 100, STR("{}{}"), 0, 1), -ENOTSUP);
    assert_string_equal(t.text.p, "E {}\n");
    buf_free(&t.text);
}

/* --- names and events --- */

static bool read_name(struct kube_name *out, const char *quoted, char **text)
{
    *text = test_padded(str_of(quoted), '"');
    for (size_t i = 0; i < strlen(quoted); i++)
        (*text)[i] = quoted[i] == '\'' ? '"' : quoted[i];
    return kube_name_read(out, (struct str){*text, strlen(quoted)});
}

static void an_object_says_what_it_is_called(void **state)
{
    struct kube_name n;
    char *text;

    assert_true(read_name(&n,
                          "{'kind':'Pod','metadata':{'labels':{'name':'no'},'name':'a','namespace':"
                          "'ns','uid':'u-1','resourceVersion':'18446744073709551615'},'spec':{}}",
                          &text));
    assert_true(str_is(n.name, "a") && str_is(n.ns, "ns") && str_is(n.uid, "u-1"));
    assert_true(n.number == UINT64_MAX);
    free(text);
    /* Behind the metadata nothing is looked at: the head of an object is enough. */
    assert_true(
        read_name(&n, "{'metadata':{'name':'a','resourceVersion':'x'},'spec':{'half':", &text));
    assert_true(str_is(n.version, "x"));
    assert_int_equal(n.number, 0);
    free(text);
    static const char *const nameless[] = {
        "",
        "[]",
        "{}",
        "{'metadata':{}}",
        "{'metadata':null}",
        "{'metadata':{'name':5}}",
        "{'spec':{}}",
        "{'metadata':{'name':'a\\u0062'}}",
        "{'metadata':{'name':''}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(nameless); i++) {
        assert_false(read_name(&n, nameless[i], &text));
        free(text);
    }
}

static void a_list_says_its_version(void **state)
{
    struct kube_name n;
    char *const good = test_padded(STR("{\"resourceVersion\":\"12\",\"continue\":\"abc==\"}"), 'x');
    char *const bad = test_padded(STR("{\"continue\":\"abc\"}"), 'x');

    assert_true(
        kube_list_read(&n, (struct str){good, strlen("{\"resourceVersion\":\"12\",\"continue"
                                                     "\":\"abc==\"}")}));
    assert_int_equal(n.number, 12);
    assert_true(str_is(n.more, "abc=="));
    assert_false(kube_list_read(&n, (struct str){bad, strlen("{\"continue\":\"abc\"}")}));
    assert_false(kube_list_read(&n, (struct str){bad, 0}));
    free(good);
    free(bad);
}

static int read_event(struct kube_event *out, const char *quoted, char **text)
{
    *text = test_padded(str_of(quoted), '"');
    for (size_t i = 0; i < strlen(quoted); i++)
        (*text)[i] = quoted[i] == '\'' ? '"' : quoted[i];
    return kube_event_read(out, (struct str){*text, strlen(quoted)});
}

static void an_event_has_a_type_and_an_object(void **state)
{
    static const struct {
        const char *type;
        enum kube_event_type want;
    } types[] = {{"ADDED", KUBE_EVENT_ADDED},     {"MODIFIED", KUBE_EVENT_MODIFIED},
                 {"DELETED", KUBE_EVENT_DELETED}, {"BOOKMARK", KUBE_EVENT_BOOKMARK},
                 {"ERROR", KUBE_EVENT_ERROR},     {"added", KUBE_EVENT_OTHER},
                 {"SOMETHING", KUBE_EVENT_OTHER}};
    struct kube_event e;
    char quoted[128], *text;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        for (int turned = 0; turned < 2; turned++) {
            (void)snprintf(quoted, sizeof(quoted),
                           turned ? "{'object':{'a':[1]},'type':'%s'}"
                                  : "{'type':'%s','object':{'a':[1]}}",
                           types[i].type);
            assert_int_equal(read_event(&e, quoted, &text), 0);
            assert_int_equal(e.type, types[i].want);
            assert_true(str_is(e.object, "{\"a\":[1]}"));
            free(text);
        }
    }
    static const char *const bad[] = {"{}",
                                      "{'type':'ADDED'}",
                                      "{'object':{}}",
                                      "{'type':5,'object':{}}",
                                      "{'type':'ADDED','object':[]}",
                                      "{'type':'ADDED','object':null}",
                                      "{'type':'A','object':{]}",
                                      "{'type':'ADDED','object':{}}x",
                                      "{'type':'','object':{}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(read_event(&e, bad[i], &text), -EPROTO);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_one_by_one_wherever_the_stream_is_cut),
        cmocka_unit_test(a_list_gives_its_items_and_its_metadata),
        cmocka_unit_test(what_is_no_stream_of_events_is_refused),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(values_have_a_bound_and_the_stream_goes_on),
        cmocka_unit_test(a_receiver_may_end_it),
        cmocka_unit_test(an_object_says_what_it_is_called),
        cmocka_unit_test(a_list_says_its_version),
        cmocka_unit_test(an_event_has_a_type_and_an_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
