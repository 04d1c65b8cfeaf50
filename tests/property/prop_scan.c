/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner against jansson on mutated bodies. Where the two may differ, and only there:
 * numbers out of jansson's range, a zero byte in a key, lone surrogates, nesting over
 * LIMIT_JSON_DEPTH. Built twice: with the wide loops and with the scalar ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "kube/scan.h"
#include "kube/scan_bytes.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { BODY_MAX = 8192, ROUNDS = 20000 };

static uint64_t state;

static size_t any(size_t below)
{
    return (size_t)test_random(&state, below);
}

/* --- mutation ------------------------------------------------------------------------------ */

static const char *const words[] = {
    "null",
    "true",
    "fals",
    "-",
    "0",
    "1e5",
    "0.5e-3",
    "9007199254740993",
    "931907e485",
    "\"",
    "\\",
    "\\u0000",
    "\\ud83d\\ude80",
    "\\ud800",
    "\\udc00",
    "\\x",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "{}",
    "[]",
    "\"a\":",
    "\"a\":1,",
    " ",
    "\n",
    "\t",
    "\x01",
    "\x80",
    "\xc3\xa9",
    "\xed\xa0\x80",
    "\xf0\x9f\x9a\x80",
    "[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{\"a\":",
    "}}}}",
};

/* Replace text[at..at+n) by `with`. */
static void splice(char *text, size_t *size, size_t at, size_t n, struct str with)
{
    if (*size - n + with.n > BODY_MAX)
        return;
    memmove(text + at + with.n, text + at + n, *size - at - n);
    memcpy(text + at, with.p, with.n);
    *size += with.n - n;
}

static void mutate(char *text, size_t *size)
{
    const size_t at = any(*size + 1), left = *size - at;
    char copy[32];

    switch (any(6)) {
    case 0: /* another byte */
        if (left)
            text[at] = (char)any(256);
        break;
    case 1: /* one bit */
        if (left)
            text[at] = (char)(text[at] ^ 1 << any(8));
        break;
    case 2: /* a token in between, or over some bytes */
    case 3:
        splice(text, size, at, any((left < 4 ? left : 4) + 1),
               str_of(words[any(ARRAY_LEN(words))]));
        break;
    case 4: /* bytes gone */
        splice(text, size, at, any((left < 24 ? left : 24) + 1), STR(""));
        break;
    default: /* bytes twice */
        memcpy(copy, text + at, left < sizeof(copy) ? left : sizeof(copy));
        splice(text, size, at, 0, (struct str){copy, left < sizeof(copy) ? left : sizeof(copy)});
        break;
    }
}

/* --- the three judges ---------------------------------------------------------------------- */

static int skim(struct str text)
{
    struct scan s;

    scan_init(&s, text, 0);
    return scan_end(&s, NULL);
}

/*
 * Everything by pulling: each container is entered, each scalar read by its typed reader; with
 * `at_most` > 0 strings of arrays are taken that many at a time.
 */
static int walk(struct str text, uint32_t at_most)
{
    bool objects[LIMIT_JSON_DEPTH];
    uint32_t depth = 0;
    struct scan s;
    struct str word;
    bool due = true, yes, odd = false;
    struct str strings[8];

    scan_init(&s, text, 0);
    while (due || depth > 0) {
        if (due) {
            const enum scan_kind kind = scan_kind(&s);

            if (kind == SCAN_OBJECT ? scan_object(&s) : kind == SCAN_ARRAY && scan_array(&s))
                objects[depth++] = kind == SCAN_OBJECT;
            else if (kind == SCAN_STRING)
                (void)scan_word(&s, &word);
            else if (kind == SCAN_NUMBER)
                (void)scan_number(&s, &word);
            else if (kind == SCAN_BOOL)
                (void)scan_bool(&s, &yes);
            else
                (void)scan_skip(&s);
        }
        if (depth == 0)
            break;
        if (at_most > 0 && !objects[depth - 1] && !scan_failed(&s))
            (void)scan_strings(&s, strings, at_most, &odd);
        due = objects[depth - 1] ? scan_key(&s) : scan_item(&s);
        depth -= !due;
    }
    return scan_end(&s, NULL);
}

/* 0 or -EINVAL as jansson says; 1 where it has a limit that the grammar has not. */
static int oracle(struct str text)
{
    json_error_t error;
    json_t *const root = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (root) {
        json_decref(root);
        return 0;
    }
    const enum json_error_code code = json_error_code(&error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
                   strncmp(error.text, "invalid Unicode", 15) == 0
               ? 1
               : -EINVAL;
}

static unsigned accepted, refused;

static void judge(struct str text)
{
    char *const p = test_padded(text, (char)any(256));

    assert_non_null(p);
    const struct str padded = {p, text.n};
    const int rc = skim(padded), want = oracle(padded);
    assert_int_equal(walk(padded, 0), rc);
    assert_int_equal(walk(padded, 1 + (uint32_t)any(8)), rc);
    if (rc != -E2BIG && want != 1)
        assert_int_equal(rc, want);
    accepted += rc == 0;
    refused += rc != 0;
    free(p);
}

static void mutated_bodies_are_judged_as_jansson_does(void **unused)
{
    static const char *const seeds[] = {
        "scheduler-requests/filter-names-3-a.http",
        "scheduler-requests/filter-names-3-b.http",
        "scheduler-requests/filter-names-100-a.http",
        "scheduler-requests/preempt-meta-victims.http",
    };
    static char text[BODY_MAX];

    state = test_seed(20261124);
    for (size_t i = 0; i < ROUNDS; i++) {
        static struct buf messages[ARRAY_LEN(seeds)];
        const size_t k = any(ARRAY_LEN(seeds));

        if (!messages[k].p)
            assert_int_equal(test_data_read(seeds[k], &messages[k]), 0);
        struct str body = test_http_body(buf_view(&messages[k]));
        size_t size = body.n;
        memcpy(text, body.p, size);
        for (size_t n = any(4); n-- > 0;)
            mutate(text, &size);
        judge((struct str){text, size});
        if (i == ROUNDS - 1) {
            for (size_t m = 0; m < ARRAY_LEN(seeds); m++)
                buf_free(&messages[m]);
        }
    }
    /* A test that only ever sees one answer would prove little. */
    print_message("%u accepted, %u refused\n", accepted, refused);
    assert_true(accepted > ROUNDS / 10 && refused > ROUNDS / 10);
}

static void token_soup_is_judged_as_jansson_does(void **unused)
{
    char text[256];

    state = test_seed(7);
    for (size_t i = 0; i < ROUNDS * 5; i++) {
        size_t size = 0;

        for (size_t n = any(7); n-- > 0;) {
            const struct str word = str_of(words[any(ARRAY_LEN(words))]);

            memcpy(text + size, word.p, word.n);
            size += word.n;
        }
        judge((struct str){text, size});
    }
}

/* --- decoding ------------------------------------------------------------------------------ */

static void texts_decode_as_in_jansson(void **unused)
{
    static const char *const pieces[] = {
        "a",
        "bc",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\r",
        "\\t",
        "\\u0041",
        "\\u00fc",
        "\\u7b2c",
        "\\uD83D\\uDE80",
        "\\u0000",
        "\xc3\xbc",
        "\xf0\x9f\x9a\x80",
        "0123456789abcdefg",
    };
    unsigned compared = 0;

    state = test_seed(11);
    for (size_t i = 0; i < ROUNDS; i++) {
        char text[512] = "\"", got[512];
        size_t size = 1;

        for (size_t n = any(20); n-- > 0;) {
            const struct str piece = str_of(pieces[any(ARRAY_LEN(pieces))]);

            memcpy(text + size, piece.p, piece.n);
            size += piece.n;
        }
        text[size++] = '"';
        json_t *const want = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(want);
        const size_t n = scan_unescape(got, (struct str){text + 1, size - 2});
        assert_int_equal(n, json_string_length(want));
        assert_memory_equal(got, json_string_value(want), n);
        json_decref(want);
        compared++;
    }
    assert_int_equal(compared, ROUNDS);
}

/* --- wide and scalar ----------------------------------------------------------------------- */

static char odd_or_plain(void)
{
    static const char odd[] = {'"',    '\\',   0,   0x1f, 0x20, 0x21, 0x7f,
                               '\x80', '\xff', ' ', '\n', '\r', '\t'};

    return any(24) == 0 ? odd[any(sizeof(odd))] : any(3) ? 'a' : ' ';
}

/* And nothing is written behind as many bytes as there are to read. */
static void copies_are_equal(const char *p, const char *end)
{
    char got[129] = {0}, want[129];
    const size_t room = (size_t)(end - p), n = scan_copy_scalar(want, p, end);

    got[room] = '#';
    assert_int_equal(scan_copy_wide(got, p, end), n);
    assert_memory_equal(got, want, n);
    assert_int_equal(got[room], '#');
}

static void wide_loops_equal_scalar_ones_at_every_alignment(void **unused)
{
    _Alignas(64) static char text[256];

    state = test_seed(13);
    for (size_t round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = round % 3 ? odd_or_plain() : any(40) ? " \n\t\r"[any(4)] : (char)any(256);
        for (size_t from = 0; from < 64; from++) {
            const char *const p = text + from, *const end = p + any(128);

            assert_ptr_equal(scan_plain_wide(p, end), scan_plain_scalar(p, end));
            assert_ptr_equal(scan_blank_wide(p, end), scan_blank_scalar(p, end));
            assert_int_equal(scan_marks_wide(p).quotes, scan_marks_scalar(p).quotes);
            assert_int_equal(scan_marks_wide(p).odd, scan_marks_scalar(p).odd);
            copies_are_equal(p, end);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_bodies_are_judged_as_jansson_does),
        cmocka_unit_test(token_soup_is_judged_as_jansson_does),
        cmocka_unit_test(texts_decode_as_in_jansson),
        cmocka_unit_test(wide_loops_equal_scalar_ones_at_every_alignment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
