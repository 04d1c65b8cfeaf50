/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/yaml.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "kube/yaml_scalar.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

/* All documents of a text, each followed by a line end; failures as "!LINE:COLUMN: text". */
static char *convert(struct str text)
{
    struct kube_yaml *const y = kube_yaml_new(text);
    struct buf all = {0};

    assert_non_null(y);
    buf_text(&all, "");
    for (int i = 0; i < 1000; i++) {
        struct kube_yaml_document d;
        struct kube_place place;
        struct err err;
        const int rc = kube_yaml_next(y, &d, &place, &err);

        if (rc == 0)
            break;
        if (rc > 0)
            buf_str(&all, d.json);
        else
            buf_printf(&all, "!%u:%u: %s", place.line, place.column, err.text);
        buf_text(&all, "\n");
    }
    kube_yaml_free(y);
    assert_false(all.failed);
    return all.p;
}

static void check(const char *yaml, const char *json)
{
    char *const got = convert(str_of(yaml));

    assert_string_equal(got, json);
    free(got);
}

static void structures_become_json(void **state)
{
    check("a: 1\nb:\n- x\n- - w\n  - {z: 1, w: [2, 3]}\nc: {}\nd: []\n",
          "{\"a\":1,\"b\":[\"x\",[\"w\",{\"z\":1,\"w\":[2,3]}]],\"c\":{},\"d\":[]}\n");
    check("", "");
    check("just text", "\"just text\"\n");
    check("{\"a\": [1, \"b\", null, true]}", "{\"a\":[1,\"b\",null,true]}\n");
    check("\xef\xbb\xbf"
          "a: 1\n",
          "{\"a\":1}\n");
    check("a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}\n");
}

static void block_scalars_keep_their_lines(void **state)
{
    check("a: |\n  x\n   y\n\n  z\nb: >-\n  one\n  two\n",
          "{\"a\":\"x\\u000a y\\u000a\\u000az\\u000a\",\"b\":\"one two\"}\n");
    check("a: \"tab\\tquote\\\"back\\\\slash\\0\"\n",
          "{\"a\":\"tab\\u0009quote\\\"back\\\\slash\\u0000\"}\n");
    check("a: gr\xc3\xbc\xc3\x9f\n", "{\"a\":\"gr\xc3\xbc\xc3\x9f\"}\n");
}

/* What go-yaml v2 makes of plain scalars, as kubectl does. */
static void plain_scalars_have_the_types_that_kubectl_gives_them(void **state)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"true", "true"},
        {"True", "true"},
        {"yes", "true"},
        {"on", "true"},
        {"y", "true"},
        {"NO", "false"},
        {"Off", "false"},
        {"N", "false"},
        {"yEs", "\"yEs\""},
        {"~", "null"},
        {"null", "null"},
        {"nULL", "\"nULL\""},
        {"0", "0"},
        {"-0", "0"},
        {"+12", "12"},
        {"-12", "-12"},
        {"1_000", "1000"},
        {"0x1F", "31"},
        {"-0x10", "-16"},
        {"0o17", "15"},
        {"017", "15"}, /* octal in YAML 1.1 */
        {"018", "18"}, /* no octal digit: a float with a zero in front */
        {"0b101", "5"},
        {"-0x8000000000000000", "-9223372036854775808"},
        {"0x", "\"0x\""},
        {"0xg", "\"0xg\""},
        {"18446744073709551615", "18446744073709551615"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"1.5", "1.5"},
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"5.", "5"},
        {"1e3", "1000"},
        {"1.25e-3", "1.25e-3"},
        {"00.25", "0.25"},
        {"1e400", "\"1e400\""}, /* no double holds it */
        {"1e", "\"1e\""},
        {".", "\".\""},
        {"-", "[null]"},
        {"1.2.3", "\"1.2.3\""},
        {"v1.36", "\"v1.36\""},
        {"8Gi", "\"8Gi\""},
        {"500m", "\"500m\""},
        {"12:30:45", "\"12:30:45\""}, /* base 60 is not supported */
        {"2026-11-24", "\"2026-11-24\""},
        {"2026-11-24T03:02:01Z", "\"2026-11-24T03:02:01Z\""},
        {"'5'", "\"5\""},
        {"\"true\"", "\"true\""},
        {"!!str 5", "\"5\""},
        {"!!int \"5\"", "5"},
        {"!!float 5", "5"},
        {"!!bool yes", "true"},
        {"!!null ''", "null"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[128];

        (void)snprintf(want, sizeof(want), "%s\n", cases[i].json);
        check(cases[i].yaml, want);
    }
}

static void what_json_cannot_say_is_an_error_at_its_place(void **state)
{
    check("a: 1\nb: .inf\n", "!2:4: .inf: JSON has no such number\n");
    check("a: .nan", "!1:4: .nan: JSON has no such number\n");
    check("a: 0x1ffffffffffffffff", "!1:4: 0x1ffffffffffffffff: integer beyond 64 bits\n");
    check("a: -0x8000000000000001", "!1:4: -0x8000000000000001: integer beyond 64 bits\n");
    check("a: !!binary aGk=\n", "!1:4: tag binary does not fit the value\n");
    check("a: !mine x\n", "!1:4: tag !mine does not fit the value\n");
    check("a: !!int x\n", "!1:4: tag int does not fit the value\n");
    check("a: !!set {x}\n", "!1:4: tag set does not fit the value\n");
    check("? [a]\n: 1\n", "!1:3: a key must be text, a number or a boolean\n");
    check("~: 1\n", "!1:1: a key must be text, a number or a boolean\n");
}

static void keys_that_are_no_text_become_text(void **state)
{
    check("1: a\ntrue: b\n0x10: c\n1.5: d\n",
          "{\"1\":\"a\",\"true\":\"b\",\"16\":\"c\",\"1.5\":\"d\"}\n");
    check("a: &k name\nb:\n  *k : 1\n", "{\"a\":\"name\",\"b\":{\"name\":1}}\n");
}

static void a_key_that_comes_twice_is_an_error(void **state)
{
    check("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "!5:3: key \"c\" is given twice\n");
    check("1: a\n'1': b\n", "!2:1: key \"1\" is given twice\n");
    check("{a: 1, b: 2, a: 3, b: 4}", "!1:14: key \"a\" is given twice\n");
}

static void aliases_are_copies(void **state)
{
    check("a: &x [1, {b: 2}]\nc: *x\nd: *x\n",
          "{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}],\"d\":[1,{\"b\":2}]}\n");
    check("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}\n");
    check("a: *x\n", "!1:4: alias *x: no such anchor is complete before it\n");
    check("a: &x [*x]\n", "!1:8: alias *x: no such anchor is complete before it\n");
    check("a: &x 1\n---\nb: *x\n",
          "{\"a\":1}\n!3:4: alias *x: no such anchor is complete before it\n");
}

static void merges_add_what_the_mapping_does_not_have(void **state)
{
    check("base: &b {x: 1, v: 2}\nuse:\n  <<: *b\n  v: 3\n",
          "{\"base\":{\"x\":1,\"v\":2},\"use\":{\"v\":3,\"x\":1}}\n");
    check("use:\n  v: 3\n  <<: {x: 1, v: 2}\n", "{\"use\":{\"v\":3,\"x\":1}}\n");
    check("a: &a {x: 1}\nb: &b {x: 2, v: 2}\nc:\n  <<: [*a, *b]\n",
          "{\"a\":{\"x\":1},\"b\":{\"x\":2,\"v\":2},\"c\":{\"x\":1,\"v\":2}}\n");
    check("a: &a {x: 1}\nb: &b {<<: *a, v: 2}\nc: {<<: *b}\n",
          "{\"a\":{\"x\":1},\"b\":{\"v\":2,\"x\":1},\"c\":{\"v\":2,\"x\":1}}\n");
    check("a:\n  <<: 5\n", "!2:3: << takes a mapping or a list of mappings\n");
    check("a:\n  <<: [[{b: 1}]]\n", "!2:3: << takes a mapping or a list of mappings\n");
    check("a: {\"<<\": 5}\n", "{\"a\":{\"<<\":5}}\n");
}

static void documents_come_one_by_one(void **state)
{
    check("a: 1\n---\nb: 2\n--- {c: 3}\n---\n---\n# nothing\n---\nd: 4\n...\n---\ne: 5\n",
          "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n{\"d\":4}\n{\"e\":5}\n");
    check("%YAML 1.1\n---\na: 1\n", "{\"a\":1}\n");
    check("# comment\n%YAML 1.1\n# more\n---\na: 1\n---\nb: 2\n", "{\"a\":1}\n{\"b\":2}\n");
    check("a: |\n  text\n  ---\n  more\n---\nb: 1\n",
          "{\"a\":\"text\\u000a---\\u000amore\\u000a\"}\n{\"b\":1}\n");
    check("---x: 1\n", "{\"---x\":1}\n");
}

static void a_broken_document_does_not_take_the_others_with_it(void **state)
{
    check("a: 1\n---\nb: [1\nc: 2\n---\nd: 4\n",
          "{\"a\":1}\n!4:2: did not find expected ',' or ']' (while parsing a flow sequence that "
          "starts at line 3)\n{\"d\":4}\n");
    check("a:\n\t- 1\n---\nb: 1\n",
          "!2:1: found character that cannot start any token (while scanning for the next token "
          "that starts at line 2)\n{\"b\":1}\n");
    check("a: 1\n---\nx: \"\xff\"\n---\nb: 1\n",
          "{\"a\":1}\n!3:5: invalid leading UTF-8 octet\n{\"b\":1}\n");
    check("a: 1\n---\nx: \x01\n---\nb: 1\n",
          "{\"a\":1}\n!3:4: control characters are not allowed\n{\"b\":1}\n");
}

static void values_know_their_place(void **state)
{
    static const char text[] = "# first\n---\na:\n  b: [x, yy]\n  c: {d: 1}\n";
    struct kube_yaml *const y = kube_yaml_new(STR(text));
    struct kube_yaml_document d;
    struct kube_place place;
    static const struct {
        const char *field;
        uint32_t line, column;
    } cases[] = {
        {"", 3, 1},       {"a", 4, 3},           {"a.b", 4, 6},      {"a.b[1]", 4, 10},
        {"a.c.d", 5, 10}, {"a.c.nothing", 5, 6}, {"a.b[7].x", 4, 6}, {"z", 3, 1},
    };

    assert_int_equal(kube_yaml_next(y, &d, &place, NULL), 1);
    assert_int_equal(d.place.line, 3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct str value = kube_json_find(d.json, str_of(cases[i].field));
        const struct kube_place at = kube_positions_find(d.positions, (size_t)(value.p - d.json.p));

        assert_int_equal(at.line, cases[i].line);
        assert_int_equal(at.column, cases[i].column);
    }
    kube_yaml_free(y);
}

/* Else finding the place of each item of a list in one line would take quadratic time. */
static void long_lines_are_noted_in_pieces(void **state)
{
    struct kube_positions p = {0};
    struct buf text = {0};

    for (int i = 0; i < 10000; i++)
        buf_text(&text, "x");
    buf_text(&text, "\nyy");
    kube_positions_index(&p, buf_view(&text));
    assert_int_equal(p.n, 4); /* 0, 4096, 8192, the second line */
    assert_int_equal(p.at[2].place.column, 8193);
    assert_int_equal(p.at[3].place.line, 2);
    kube_positions_free(&p);
    buf_free(&text);
}

static void fields_are_found_by_index_name_and_key(void **state)
{
    static const char json[] =
        "{\"spec\":{\"a.b/c\":{\"d\":1},\"a\":{\"b\":2},\"list\":[{\"name\":\"one\",\"v\":3},"
        "{\"v\":4,\"name\":\"two\"}],\"limits\":{\"nvidia.com/gpu\":5}},\"x\":6,\"x.y\":7}";
    static const struct {
        const char *field, *value;
    } cases[] = {
        {"spec.a.b/c.d", "1"},
        {"spec.a.b", "2"},
        {"x", "6"},
        {"x.y", "7"},
        {"spec.list[0].v", "3"},
        {"spec.list[two].v", "4"},
        {"spec.limits[nvidia.com/gpu]", "5"},
        {"spec.limits.nvidia.com/gpu", "5"},
        {"spec.limits.\"nvidia.com/gpu\"", "5"},
        {"spec.limits.\"nvidia.com", "{\"nvidia.com/gpu\":5}"},
        {"spec.list[", "[{\"name\":\"one\",\"v\":3},{\"v\":4,\"name\":\"two\"}]"},
        {"spec.list[three].v", "[{\"name\":\"one\",\"v\":3},{\"v\":4,\"name\":\"two\"}]"},
        {"spec..limits[nvidia.com/gpu].deeper", "5"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct str got = kube_json_find(STR(json), str_of(cases[i].field));

        if (!str_is(got, cases[i].value))
            fail_msg("%s: %.*s", cases[i].field, STR_ARG(got));
    }
}

/* Each level names the one before it ten times: 10^30 values from 400 bytes. */
static void an_alias_bomb_is_refused(void **state)
{
    struct buf text = {0};

    buf_text(&text, "l0: &l0 [x, x]\n");
    for (int i = 1; i <= 30; i++) {
        buf_printf(&text, "l%d: &l%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_printf(&text, "%s*l%d", k ? ", " : "", i - 1);
        buf_text(&text, "]\n");
    }
    char *const got = convert(buf_view(&text));
    assert_non_null(strstr(got, "anchors and aliases add up to more than 4194304 bytes"));
    assert_true(strlen(got) < 200);
    free(got);
    buf_free(&text);
}

/* One anchor of 100 KiB, fifty times: 5 MiB without a second anchor. */
static void many_aliases_of_one_anchor_are_refused(void **state)
{
    struct buf text = {0};

    buf_text(&text, "a: &a ");
    for (int i = 0; i < 100 * 1024; i++)
        buf_text(&text, "x");
    buf_text(&text, "\nb:\n");
    for (int i = 0; i < 50; i++)
        buf_text(&text, "- *a\n");
    char *const got = convert(buf_view(&text));
    /* the anchor itself, then 39 aliases of 102402 + 64 bytes: the 40th goes over 4194304 */
    assert_string_equal(got, "!42:3: anchors and aliases add up to more than 4194304 bytes\n");
    free(got);
    buf_free(&text);
}

static void too_many_anchors_are_refused(void **state)
{
    struct buf text = {0};

    for (int i = 0; i <= KUBE_YAML_ANCHORS; i++)
        buf_printf(&text, "- &a%d x\n", i);
    char *const got = convert(buf_view(&text));
    assert_string_equal(got, "!1001:3: more than 1000 anchors\n");
    free(got);
    buf_free(&text);
}

/* 64 levels are in, 65 are out, whether written or by alias. */
static void nesting_has_a_bound(void **state)
{
    for (int levels = LIMIT_JSON_DEPTH; levels <= LIMIT_JSON_DEPTH + 1; levels++) {
        struct buf text = {0};

        for (int i = 0; i < levels; i++)
            buf_text(&text, "[");
        for (int i = 0; i < levels; i++)
            buf_text(&text, "]");
        char *const got = convert(buf_view(&text));
        if (levels == LIMIT_JSON_DEPTH)
            assert_int_equal(strlen(got), (size_t)levels * 2 + 1);
        else
            assert_string_equal(got, "!1:65: nested deeper than 64\n");
        free(got);
        buf_free(&text);
    }
    struct buf text = {0};
    buf_text(&text, "- &a [[]]\n- ");
    for (int i = 0; i < LIMIT_JSON_DEPTH - 2; i++)
        buf_text(&text, "[");
    buf_text(&text, "*a");
    char *const got = convert(buf_view(&text));
    assert_non_null(strstr(got, "nested deeper than 64"));
    free(got);
    buf_free(&text);
}

static void a_hundred_thousand_brackets_are_harmless(void **state)
{
    struct buf text = {0};

    for (int i = 0; i < 100000; i++)
        buf_text(&text, "[");
    char *const got = convert(buf_view(&text));
    assert_int_equal(got[0], '!');
    free(got);
    buf_free(&text);
}

/* Whatever comes out is JSON that jansson reads, however the text is cut. */
static void cut(const char *name)
{
    struct buf text = {0};

    assert_int_equal(test_data_read(name, &text), 0);
    for (size_t n = 0; n <= text.n; n++) {
        char *const copy = malloc(n + 1);

        memcpy(copy, text.p, n);
        struct kube_yaml *const y = kube_yaml_new((struct str){copy, n});
        struct kube_yaml_document d;
        struct kube_place place;
        int rc;

        while ((rc = kube_yaml_next(y, &d, &place, NULL)) != 0) {
            json_t *const j = rc > 0 ? json_loadb(d.json.p, d.json.n,
                                                  JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL)
                                     : NULL;

            assert_true(rc < 0 || j);
            json_decref(j);
        }
        kube_yaml_free(y);
        free(copy);
    }
    buf_free(&text);
}

static void a_text_cut_anywhere_gives_json_or_an_error(void **state)
{
    cut("kubernetes-objects/core.v1.Node.yaml");
    cut("kubernetes-objects/core.v1.Event.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures_become_json),
        cmocka_unit_test(block_scalars_keep_their_lines),
        cmocka_unit_test(plain_scalars_have_the_types_that_kubectl_gives_them),
        cmocka_unit_test(what_json_cannot_say_is_an_error_at_its_place),
        cmocka_unit_test(keys_that_are_no_text_become_text),
        cmocka_unit_test(a_key_that_comes_twice_is_an_error),
        cmocka_unit_test(aliases_are_copies),
        cmocka_unit_test(merges_add_what_the_mapping_does_not_have),
        cmocka_unit_test(documents_come_one_by_one),
        cmocka_unit_test(a_broken_document_does_not_take_the_others_with_it),
        cmocka_unit_test(values_know_their_place),
        cmocka_unit_test(long_lines_are_noted_in_pieces),
        cmocka_unit_test(fields_are_found_by_index_name_and_key),
        cmocka_unit_test(an_alias_bomb_is_refused),
        cmocka_unit_test(many_aliases_of_one_anchor_are_refused),
        cmocka_unit_test(too_many_anchors_are_refused),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(a_hundred_thousand_brackets_are_harmless),
        cmocka_unit_test(a_text_cut_anywhere_gives_json_or_an_error),
    };

    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
