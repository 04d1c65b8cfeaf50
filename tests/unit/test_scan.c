/* SPDX-License-Identifier: Apache-2.0 */
/* Built twice: against the wide loops, and (test_scan_scalar) against their scalar twins. */
#include "kube/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

/* Skip `text` as a whole; what follows it is `fill`. */
static int skim(struct str text, char fill, struct err *err)
{
    char *const p = test_padded(text, fill);
    struct scan s;

    assert_non_null(p);
    scan_init(&s, (struct str){p, text.n}, 0);
    const int rc = scan_end(&s, err);
    free(p);
    return rc;
}

static void the_whole_grammar_is_taken(void **state)
{
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10",
        "-12.50",
        "1e5",
        "1E+5",
        "0.0e-9",
        "\"\"",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"a\":[]}",
        " \t\r\n[ 1 , 2 ] \n",
        "{ \"a\" : 1 , \"b\" : {} }",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"\\u0000\"",
        "\"gr\xc3\xbc\xc3\x9f \xe7\xac\xac\xe4\xba\x8c\xe8\xa1\x8c \xf0\x9f\x9a\x80\"",
        "\"\x7f\"",
        "{\"a\":1,\"a\":2}",
        "[1,\"a\",null,true,{\"b\":[false]},-1.5e-3]",
        "\"\xf4\x8f\xbf\xbf\"",
        "\"\xed\x9f\xbf\xee\x80\x80\"",
        "\"01234567890123456789\\n01234567890123456789\"",
    };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (const char *fill = "\"0 ,}]e\\\x80"; *fill; fill++)
            assert_int_equal(skim(str_of(good[i]), *fill, &err), 0);
    }
}

static void what_breaks_the_grammar_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "offset 0: expected a value, found the end of the text"},
        {"  ", "offset 2: expected a value, found the end of the text"},
        {"nul", "offset 0: expected a value"},
        {"True", "offset 0: expected a value"},
        {"[1,]", "offset 3: expected a value"},
        {"[,1]", "offset 1: expected a value"},
        {"[1 2]", "offset 3: expected ',' or ']'"},
        {"[1", "offset 2: expected ',' or ']', found the end of the text"},
        {"[1}", "offset 2: expected ',' or ']'"},
        {"{\"a\":1]", "offset 6: expected ',' or '}'"},
        {"{\"a\" 1}", "offset 5: expected ':' after the key"},
        {"{\"a\":}", "offset 5: expected a value"},
        {"{\"a\":1,}", "offset 7: expected a key"},
        {"{a:1}", "offset 1: expected a key"},
        {"{,}", "offset 1: expected a key"},
        {"{1:2}", "offset 1: expected a key"},
        {"1 2", "offset 2: expected nothing more"},
        {"[]]", "offset 2: expected nothing more"},
        {"01", "offset 1: expected nothing more"},
        {"-", "offset 1: expected a digit, found the end of the text"},
        {"+1", "offset 0: expected a value"},
        {".5", "offset 0: expected a value"},
        {"5.", "offset 2: expected a digit, found the end of the text"},
        {"[1.]", "offset 3: expected a digit"},
        {"1e", "offset 2: expected a digit, found the end of the text"},
        {"[1e+]", "offset 4: expected a digit"},
        {"0x1", "offset 1: expected nothing more"},
        {"NaN", "offset 0: expected a value"},
        {"'a'", "offset 0: expected a value"},
        {"\"a", "offset 2: expected the end of the string, found the end of the text"},
        {"\"\\", "offset 1: not an escape sequence"},
        {"\"\\x\"", "offset 1: not an escape sequence"},
        {"\"\\u12g4\"", "offset 1: not an escape sequence"},
        {"\"\\u12", "offset 1: not an escape sequence"},
        {"\"a\nb\"", "offset 2: control character in a string"},
        {"\"\x1f\"", "offset 1: control character in a string"},
        {"\"0123456789abcdef0123456789abcde\x01\"", "offset 32: control character in a string"},
        {"[1]\xef\xbb\xbf", "offset 3: expected nothing more"},
        {"\xef\xbb\xbf[]", "offset 0: expected a value"},
        {"/**/1", "offset 0: expected a value"},
    };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (const char *fill = "\"0 ,}]e\\"; *fill; fill++) {
            assert_int_equal(skim(str_of(bad[i].text), *fill, &err), -EINVAL);
            assert_memory_equal(err.text, bad[i].why, strlen(bad[i].why));
        }
    }
    assert_int_equal(skim((struct str){"\"a\0b\"", 5}, '"', &err), -EINVAL);
    assert_int_equal(skim((struct str){"[1\0]", 4}, ' ', &err), -EINVAL);
}

static void malformed_utf8_is_refused(void **state)
{
    /* Unicode 15, table 3-7: each line breaks one of its rules. */
    static const char *const bad[] = {
        "\x80", /* continuation first */
        "\xbf",
        "\xc0\x80", /* overlong */
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3", /* cut */
        "\xe2\x82",
        "\xf0\x9f\x9a",
        "\xc3(",
        "\xe2(\xa1",
        "\xf0\x9f(\x80",
        "\xc3\xa9\x80", /* one too many */
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (int before = 0; before < 20; before++) {
            char text[64];
            const int n = snprintf(text, sizeof(text), "\"%.*s%s\"", before,
                                   "aaaaaaaaaaaaaaaaaaaaaaaa", bad[i]);
            struct err err;

            assert_int_equal(skim((struct str){text, (size_t)n}, '\x80', &err), -EINVAL);
            assert_non_null(strstr(err.text, "invalid UTF-8"));
        }
    }
}

/* A scanner over a literal; the literal gets its 64 bytes by being part of a larger array. */
struct source {
    char text[512 + SCAN_PADDING_BYTES];
    struct scan s;
};

static struct scan *source(struct source *src, const char *text, uint32_t flags)
{
    const size_t n = strlen(text);

    assert_true(n <= 512);
    memset(src->text, '"', sizeof(src->text));
    memcpy(src->text, text, n);
    scan_init(&src->s, (struct str){src->text, n}, flags);
    return &src->s;
}

static void escapes_decode_as_in_go(void **state)
{
    static const struct {
        const char *text;
        struct str want;
    } cases[] = {
        {"\"\"", {"", 0}},
        {"\"plain\"", {"plain", 5}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {"\"\\/\b\f\n\r\t", 8}},
        {"\"a\\u003cb\\u003E\"", {"a<b>", 4}},
        {"\"\\u00e9\"", {"\xc3\xa9", 2}},
        {"\"\\u7b2c\"", {"\xe7\xac\xac", 3}},
        {"\"\\ud83d\\ude80!\"", {"\xf0\x9f\x9a\x80!", 5}},
        {"\"\\udbff\\udfff\"", {"\xf4\x8f\xbf\xbf", 4}},
        {"\"\\ud800\"", {"\xef\xbf\xbd", 3}}, /* alone */
        {"\"\\ud800x\"", {"\xef\xbf\xbdx", 4}},
        {"\"\\udc00\\ud800\"", {"\xef\xbf\xbd\xef\xbf\xbd", 6}}, /* the wrong way round */
        {"\"\\udc00\\udc00\"", {"\xef\xbf\xbd\xef\xbf\xbd", 6}},
        {"\"\\ud800\\u0041\"",
         {"\xef\xbf\xbd"
          "A",
          4}},
        {"\"\\ud800\\ud83d\\ude80\"", {"\xef\xbf\xbd\xf0\x9f\x9a\x80", 7}},
        {"\"\\ud83d\\n\"", {"\xef\xbf\xbd\n", 4}},
        {"\"x\\u0000y\"", {"x\0y", 3}},
        {"\"\\u0080\\u07ff\\u0800\\uffff\"", {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 10}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static _Alignas(max_align_t) char room[256];
        struct source src;
        struct arena a;
        struct str got;

        arena_init(&a, room, sizeof(room));
        struct scan *const s = source(&src, cases[i].text, 0);
        assert_true(scan_text(s, &got, &a));
        assert_int_equal(got.n, cases[i].want.n);
        assert_memory_equal(got.p, cases[i].want.p, got.n);
        assert_int_equal(scan_end(s, NULL), 0);
    }
}

static void integers_have_a_range_and_no_fraction(void **state)
{
    static const struct {
        const char *text, *why;
        int64_t want;
    } cases[] = {
        {"0", NULL, 0},
        {"-0", NULL, 0},
        {"42", NULL, 42},
        {"9223372036854775807", NULL, INT64_MAX},
        {"-9223372036854775808", NULL, INT64_MIN},
        {"9223372036854775808", "does not fit into 64 bits", 0},
        {"-9223372036854775809", "does not fit into 64 bits", 0},
        {"100000000000000000000", "does not fit into 64 bits", 0},
        {"1.0", "expected an integer", 0},
        {"1e2", "expected an integer", 0},
        {"\"1\"", "expected a number, found a string", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct source src;
        struct err err;
        int64_t v = -77;
        struct scan *const s = source(&src, cases[i].text, 0);

        assert_int_equal(scan_int64(s, &v), cases[i].why == NULL);
        assert_int_equal(scan_end(s, &err), cases[i].why ? -EINVAL : 0);
        assert_int_equal(v, cases[i].why ? -77 : cases[i].want);
        if (cases[i].why)
            assert_string_equal(err.text, cases[i].why);
    }
}

static void a_number_of_20000_digits_is_legal_and_no_integer(void **state)
{
    enum { DIGITS = 20000 };
    char *const p = malloc(DIGITS + SCAN_PADDING_BYTES);
    struct str raw;
    struct scan s;
    struct err err;
    int64_t v = -77;

    assert_non_null(p);
    memset(p, '9', DIGITS + SCAN_PADDING_BYTES);
    scan_init(&s, (struct str){p, DIGITS}, 0);
    assert_true(scan_number(&s, &raw));
    assert_int_equal(raw.n, DIGITS);
    assert_int_equal(scan_end(&s, NULL), 0);
    scan_init(&s, (struct str){p, DIGITS}, 0);
    assert_false(scan_int64(&s, &v));
    assert_int_equal(scan_end(&s, &err), -EINVAL);
    assert_int_equal(v, -77);
    free(p);
}

/* `depth` times "[" or {"a":, a 1, and the closing ones if wanted. */
static void nested(struct buf *b, size_t depth, bool objects, bool closed)
{
    for (size_t i = 0; i < depth; i++)
        buf_text(b, objects ? "{\"a\":" : "[");
    buf_text(b, "1");
    for (size_t i = 0; closed && i < depth; i++)
        buf_text(b, objects ? "}" : "]");
    assert_false(b->failed);
}

static void nesting_ends_at_the_limit(void **state)
{
    static const struct {
        size_t depth;
        int want;
    } cases[] = {{LIMIT_JSON_DEPTH, 0}, {LIMIT_JSON_DEPTH + 1, -E2BIG}, {100000, -E2BIG}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int objects = 0; objects < 2; objects++) {
            struct buf b = {0};
            struct err err = {.text = ""};

            nested(&b, cases[i].depth, objects, true);
            assert_int_equal(skim(buf_view(&b), ' ', &err), cases[i].want);
            if (cases[i].want < 0)
                assert_non_null(strstr(err.text, "nested deeper than 64"));
            buf_free(&b);
        }
    }
    assert_int_equal(skim(STR("[[[["), '[', NULL), -EINVAL);
}

static void the_limit_can_be_lower(void **state)
{
    struct buf allowed = {0}, deeper = {0};
    struct err err = {.text = ""};

    nested(&allowed, 32, true, true);
    nested(&deeper, 33, true, true);
    scan_limit_depth(32);
    assert_int_equal(skim(buf_view(&allowed), ' ', &err), 0);
    assert_int_equal(skim(buf_view(&deeper), ' ', &err), -E2BIG);
    assert_non_null(strstr(err.text, "nested deeper than 32"));
    scan_limit_depth(LIMIT_JSON_DEPTH);
    assert_int_equal(skim(buf_view(&deeper), ' ', &err), 0);
    buf_free(&allowed);
    buf_free(&deeper);
}

static void what_is_entered_counts_towards_the_nesting(void **state)
{
    for (size_t entered = 0; entered <= LIMIT_JSON_DEPTH; entered++) {
        for (size_t depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
            struct buf b = {0};
            struct scan s;

            nested(&b, depth, false, true);
            char *const p = test_padded(buf_view(&b), ']');
            assert_non_null(p);
            scan_init(&s, (struct str){p, b.n}, 0);
            for (size_t i = 0; i < entered; i++)
                assert_true(scan_array(&s) && scan_item(&s));
            if (entered == LIMIT_JSON_DEPTH) /* entering has the same limit as skipping */
                assert_int_equal(scan_kind(&s) == SCAN_ARRAY && scan_array(&s), false);
            (void)scan_skip(&s);
            for (size_t i = 0; i < entered; i++)
                assert_false(scan_item(&s));
            assert_int_equal(scan_end(&s, NULL), depth > LIMIT_JSON_DEPTH ? -E2BIG : 0);
            free(p);
            buf_free(&b);
        }
    }
}

static void a_body_cut_at_any_byte_is_refused(void **state)
{
    struct buf message = {0};
    struct err err;

    assert_int_equal(test_data_read("scheduler-requests/filter-names-3-b.http", &message), 0);
    const struct str body = test_http_body(buf_view(&message));
    assert_true(body.n > 4000);
    for (size_t n = 0; n < body.n; n++) {
        struct scan s;

        /* What follows is the rest of the body: looking at it would show. */
        scan_init(&s, (struct str){body.p, n}, 0);
        assert_int_equal(scan_end(&s, &err), -EINVAL);
        assert_int_equal(skim((struct str){body.p, n}, '"', &err), -EINVAL);
        assert_non_null(strstr(err.text, "offset "));
    }
    assert_int_equal(skim(body, '"', NULL), 0);
    buf_free(&message);
}

static void values_are_pulled_in_order_and_the_rest_is_skipped(void **state)
{
    struct source src;
    struct scan *const s =
        source(&src,
               "{\"skipped\":{\"x\":[1,{\"y\":\"]\"}]},\"n\": 7 ,\"list\":[true,\"a\","
               "[3],4],\"nothing\":null,\"raw\": [1, 2] ,\"end\":\"z\"}",
               0);
    struct str word = {NULL, 0}, raw = {NULL, 0};
    int64_t n = 0, four = 0;
    bool yes = false, left = true;

    assert_int_equal(scan_kind(s), SCAN_OBJECT);
    assert_true(scan_object(s));
    while (scan_key(s)) {
        if (scan_at(s, "n"))
            assert_true(scan_int64(s, &n));
        else if (scan_at(s, "nothing"))
            assert_false(scan_bool(s, &left)); /* null: absent */
        else if (scan_at(s, "raw"))
            assert_true(scan_raw(s, &raw));
        else if (scan_at(s, "end"))
            assert_true(scan_word(s, &word));
        else if (scan_at(s, "list")) {
            assert_true(scan_array(s));
            assert_true(scan_item(s) && scan_bool(s, &yes));
            assert_true(scan_item(s)); /* unread */
            assert_true(scan_item(s)); /* unread, an array */
            assert_true(scan_item(s) && scan_int64(s, &four));
            assert_false(scan_item(s));
        }
    }
    assert_int_equal(scan_end(s, NULL), 0);
    assert_int_equal(n, 7);
    assert_int_equal(four, 4);
    assert_true(yes && left);
    assert_true(str_is(raw, "[1, 2]"));
    assert_true(str_is(word, "z"));
}

static void pulling_is_as_strict_as_skipping(void **state)
{
    static const char *const bad[] = {
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":1",
        "{\"a\":1]",
        "{,}",
        "{\"a\":1}}",
        "{\"a\" 1}",
        "{\"a\":[1 2]}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1}",
        "{\"a\":[1",
        "{\"\x01\":1}",
        "{\"a\":\"\\q\"}",
        "{\"\xff\":1}",
        "{a:1}",
        "{",
        "{\"a",
        "{\"a\":[",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct source src;
        struct scan *const s = source(&src, bad[i], 0);

        if (scan_object(s)) {
            while (scan_key(s)) {
                if (scan_kind(s) == SCAN_ARRAY && scan_array(s)) {
                    while (scan_item(s))
                        (void)scan_skip(s);
                }
            }
        }
        assert_int_equal(scan_end(s, NULL), -EINVAL);
    }
}

static void failure_sticks_and_the_first_one_is_told(void **state)
{
    struct source src;
    struct scan *const s = source(&src, "{\"spec\":{\"n\":\"x\",\"m\":1,}}", 0);
    struct str text = {NULL, 0};
    struct err err;
    int64_t v = -77;
    uint32_t count = 9;
    bool b = false;

    assert_true(scan_object(s) && scan_key(s) && scan_object(s) && scan_key(s));
    assert_false(scan_int64(s, &v));
    assert_true(scan_failed(s));
    assert_false(scan_key(s) || scan_item(s) || scan_object(s) || scan_array(s) || scan_skip(s));
    assert_false(scan_string(s, &text) || scan_raw(s, &text) || scan_bool(s, &b));
    assert_false(scan_count(s, &count) || scan_number(s, &text) || scan_word(s, &text));
    assert_false(scan_fail(s, -ENOMEM, "later"));
    assert_int_equal(scan_kind(s), SCAN_NOTHING);
    assert_int_equal(scan_end(s, &err), -EINVAL);
    assert_string_equal(err.text, "spec.n: expected a number, found a string");
    assert_int_equal(v, -77);
    assert_int_equal(count, 9);
}

static void failures_name_the_field(void **state)
{
    struct source src;
    struct scan *s = source(&src,
                            "{\"spec\":{\"containers\":[{},{\"resources\":{\"limits\":{\"cpu\":1,"
                            "\"nvidia.com/gpu\":2}}}]}}",
                            0);
    char path[128];
    struct err err;

    assert_int_equal(scan_path(s, path, sizeof(path)), 0);
    assert_true(scan_object(s) && scan_key(s) && scan_object(s) && scan_key(s) && scan_array(s));
    (void)scan_path(s, path, sizeof(path));
    assert_string_equal(path, "spec.containers");
    assert_true(scan_item(s) && scan_skip(s) && scan_item(s) && scan_object(s) && scan_key(s));
    assert_true(scan_object(s) && scan_key(s) && scan_object(s) && scan_key(s));
    (void)scan_path(s, path, sizeof(path));
    assert_string_equal(path, "spec.containers[1].resources.limits.cpu");
    assert_true(scan_key(s));
    (void)scan_path(s, path, sizeof(path));
    assert_string_equal(path, "spec.containers[1].resources.limits[nvidia.com/gpu]");
    assert_int_equal(scan_path(s, path, 8), 7);
    assert_string_equal(path, "spec.co");
    assert_false(scan_fail(s, -E2BIG, "too %s", "many"));
    assert_int_equal(scan_end(s, &err), -E2BIG);
    assert_string_equal(err.text, "spec.containers[1].resources.limits[nvidia.com/gpu]: too many");
}

static void keys_match_exactly_or_folded(void **state)
{
    struct source src;
    struct scan *s = source(&src, "{\"NODENAMES\":1,\"\\u004eodeNames\":2,\"Node\":3}", 0);

    assert_true(scan_object(s) && scan_key(s));
    assert_false(scan_at(s, "NodeNames"));
    assert_true(scan_key(s) && scan_at(s, "NodeNames"));
    assert_true(scan_key(s) && !scan_at(s, "NodeNames"));

    s = source(&src, "{\"NODENAMES\":1,\"\\u004eodeNames\":2,\"Node\":3}", SCAN_FOLD);
    assert_true(scan_object(s) && scan_key(s) && scan_at(s, "NodeNames"));
    assert_true(scan_key(s) && scan_at(s, "nodenames"));
    assert_true(scan_key(s) && !scan_at(s, "NodeNames"));
}

static void a_key_given_twice_fails_only_where_strict(void **state)
{
    for (uint32_t flags = 0; flags <= SCAN_STRICT; flags += SCAN_STRICT) {
        struct source src;
        struct scan *const s = source(&src, "{\"a\":1,\"b\":1,\"a\":1}", flags);
        struct err err = {.text = ""};
        uint64_t seen = 0;

        assert_true(scan_object(s));
        while (scan_key(s))
            (void)scan_once(s, &seen, scan_at(s, "a") ? 0 : 63);
        assert_int_equal(scan_end(s, &err), flags ? -EINVAL : 0);
        assert_string_equal(err.text, flags ? "a: given twice" : "");
    }
}

static void strings_of_an_array_come_in_bulk(void **state)
{
    struct source src;
    struct scan *const s = source(&src, "[\"a\" , \"bc\",\"\",\"d\\n\",7,\"e\",[\"f\"],\"g\" ]", 0);
    struct str got[4];
    bool odd = false;

    assert_true(scan_array(s));
    assert_int_equal(scan_strings(s, got, 2, &odd), 2);
    assert_true(str_is(got[0], "a") && str_is(got[1], "bc") && !odd);
    assert_int_equal(scan_strings(s, got, 4, &odd), 2); /* a number stops it */
    assert_true(str_is(got[0], "") && str_is(got[1], "d\\n") && odd);
    assert_int_equal(scan_strings(s, got, 4, &odd), 0);
    assert_true(scan_item(s) && scan_kind(s) == SCAN_NUMBER && scan_skip(s));
    assert_int_equal(scan_strings(s, got, 4, &odd), 1);
    assert_true(str_is(got[0], "e"));
    assert_true(scan_item(s) && scan_array(s));
    assert_int_equal(scan_strings(s, got, 4, &odd), 1);
    assert_false(scan_item(s));
    assert_int_equal(scan_strings(s, got, 4, &odd), 1);
    assert_int_equal(scan_strings(s, got, 4, &odd), 0);
    assert_false(scan_item(s));
    assert_int_equal(scan_end(s, NULL), 0);
}

static void counting_looks_ahead_and_reads_nothing(void **state)
{
    struct source src;
    struct scan *const s = source(
        &src, "{\"\\u0061\":{\"\\u0062\":[1,2,[3]],\"c\":{}},\"e\":[],\"f\":null,\"g\":1}", 0);
    uint32_t n = 9;
    struct err err;

    assert_true(scan_count(s, &n));
    assert_int_equal(n, 4);
    assert_true(scan_object(s) && scan_key(s) && scan_count(s, &n));
    assert_int_equal(n, 2);
    assert_true(scan_at(s, "a")); /* counting decoded keys of its own */
    assert_true(scan_object(s) && scan_key(s) && scan_at(s, "b") && scan_count(s, &n));
    assert_int_equal(n, 3);
    assert_true(scan_key(s) && scan_count(s, &n));
    assert_int_equal(n, 0);
    assert_false(scan_key(s));
    assert_true(scan_key(s) && scan_count(s, &n) && n == 0);
    assert_true(scan_key(s) && scan_count(s, &n) && n == 0);
    assert_true(scan_key(s));
    assert_false(scan_count(s, &n));
    assert_int_equal(scan_end(s, &err), -EINVAL);
    assert_string_equal(err.text, "g: expected an array, found a number");
}

static void texts_survive_every_arena_size(void **state)
{
    static _Alignas(max_align_t) char room[64];

    for (size_t size = 0; size <= sizeof(room); size++) {
        struct source src;
        struct scan *const s = source(&src, "{\"k\\n\":\"twelve \\u0062ytes\"}", 0);
        struct str key = {NULL, 0}, text = {NULL, 0};
        struct arena a;
        struct err err;

        arena_init(&a, room, size);
        assert_true(scan_object(s) && scan_key(s));
        const bool ok = scan_key_copy(s, &key, &a) && scan_text(s, &text, &a);
        assert_false(ok && scan_key(s));
        assert_int_equal(scan_end(s, &err), ok ? 0 : -ENOMEM);
        assert_int_equal(key.n, key.p ? 2 : 0);
        assert_int_equal(text.n, ok ? 12 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_grammar_is_taken),
        cmocka_unit_test(what_breaks_the_grammar_is_refused_with_its_place),
        cmocka_unit_test(malformed_utf8_is_refused),
        cmocka_unit_test(escapes_decode_as_in_go),
        cmocka_unit_test(integers_have_a_range_and_no_fraction),
        cmocka_unit_test(a_number_of_20000_digits_is_legal_and_no_integer),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(the_limit_can_be_lower),
        cmocka_unit_test(what_is_entered_counts_towards_the_nesting),
        cmocka_unit_test(a_body_cut_at_any_byte_is_refused),
        cmocka_unit_test(values_are_pulled_in_order_and_the_rest_is_skipped),
        cmocka_unit_test(pulling_is_as_strict_as_skipping),
        cmocka_unit_test(failure_sticks_and_the_first_one_is_told),
        cmocka_unit_test(failures_name_the_field),
        cmocka_unit_test(keys_match_exactly_or_folded),
        cmocka_unit_test(a_key_given_twice_fails_only_where_strict),
        cmocka_unit_test(strings_of_an_array_come_in_bulk),
        cmocka_unit_test(counting_looks_ahead_and_reads_nothing),
        cmocka_unit_test(texts_survive_every_arena_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
