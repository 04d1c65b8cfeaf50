/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/emit.h"

#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/test.h"

static void some_of_everything(struct emit *e)
{
    emit_object(e);
    emit_key(e, "n"), emit_int(e, INT64_MIN);
    emit_key(e, "u"), emit_uint(e, UINT64_MAX);
    emit_key(e, "empty"), emit_array(e), emit_end(e);
    emit_key(e, "none"), emit_object(e), emit_end(e);
    emit_key(e, "list"), emit_array(e);
    emit_bool(e, true), emit_bool(e, false), emit_null(e), emit_words(e, NULL);
    emit_array(e), emit_array(e), emit_int(e, 1), emit_end(e);
    emit_array(e), emit_int(e, 2), emit_end(e), emit_end(e);
    emit_object(e), emit_key_str(e, STR("a\"b")), emit_raw(e, STR("[1]")), emit_end(e);
    emit_end(e);
    emit_end(e);
}

static void compact_and_pretty_are_as_written_by_hand(void **state)
{
    static const char compact[] =
        "{\"n\":-9223372036854775808,\"u\":18446744073709551615,\"empty\":[],\"none\":{},"
        "\"list\":[true,false,null,\"\",[[1],[2]],{\"a\\\"b\":[1]}]}";
    static const char pretty[] = "{\n"
                                 "  \"n\": -9223372036854775808,\n"
                                 "  \"u\": 18446744073709551615,\n"
                                 "  \"empty\": [],\n"
                                 "  \"none\": {},\n"
                                 "  \"list\": [\n"
                                 "    true,\n"
                                 "    false,\n"
                                 "    null,\n"
                                 "    \"\",\n"
                                 "    [\n"
                                 "      [\n"
                                 "        1\n"
                                 "      ],\n"
                                 "      [\n"
                                 "        2\n"
                                 "      ]\n"
                                 "    ],\n"
                                 "    {\n"
                                 "      \"a\\\"b\": [1]\n"
                                 "    }\n"
                                 "  ]\n"
                                 "}";

    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        struct emit e;

        emit_init(&e, &b, i == 1);
        assert_false(emit_is_done(&e));
        some_of_everything(&e);
        assert_true(emit_is_done(&e));
        assert_string_equal(b.p, i == 1 ? pretty : compact);
        buf_free(&b);
    }
}

static void text_is_escaped(void **state)
{
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
        {{"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{"\0\x01\x0b\x1f\x7f", 5}, "\"\\u0000\\u0001\\u000b\\u001f\x7f\""},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "\"gr\xc3\xbc\xc3\x9f\""},
        {{"\xf0\x9f\x9a\x80", 4}, "\"\xf0\x9f\x9a\x80\""},
        {{"a\xff"
          "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},                                 /* cut */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        struct emit e;

        emit_init(&e, &b, false);
        emit_text(&e, cases[i].text);
        assert_string_equal(b.p, cases[i].want);
        buf_free(&b);
    }
}

static void every_byte_comes_back_through_another_parser(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        const char text[3] = {'x', (char)c, 'y'};
        struct buf b = {0};
        struct emit e;

        emit_init(&e, &b, c & 1);
        emit_array(&e);
        emit_text(&e, (struct str){text, 3});
        emit_end(&e);
        json_t *const root = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
        assert_non_null(root);
        json_t *const got = json_array_get(root, 0);
        assert_int_equal(json_string_length(got), c < 0x80 ? 3 : 5);
        if (c < 0x80)
            assert_memory_equal(json_string_value(got), text, 3);
        else
            assert_memory_equal(json_string_value(got), "x\xef\xbf\xbdy", 5);
        json_decref(root);
        buf_free(&b);
    }
}

static void nesting_reaches_its_bound(void **state)
{
    struct buf b = {0};
    struct emit e;

    emit_init(&e, &b, false);
    for (int i = 1; i < EMIT_MAX_DEPTH; i++)
        emit_array(&e);
    emit_uint(&e, 1);
    for (int i = 1; i < EMIT_MAX_DEPTH; i++)
        emit_end(&e);
    assert_true(emit_is_done(&e));
    assert_int_equal(b.n, 2 * (EMIT_MAX_DEPTH - 1) + 1);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_and_pretty_are_as_written_by_hand),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(every_byte_comes_back_through_another_parser),
        cmocka_unit_test(nesting_reaches_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
