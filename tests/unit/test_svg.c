/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <string.h>

#include "base/buf.h"
#include "base/svg.h"

static void assert_text(const char *given, const char *shown)
{
    struct buf out = {0};

    svg_text(&out, str_of(given));
    assert_string_equal(out.p, shown);
    buf_free(&out);
}

static void names_cannot_be_markup(void **state)
{
    assert_text("a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c'");
    assert_text("tab\tline\nbell\a", "tab?line?bell?");
    assert_text("caf\xc3\xa9", "caf??"); /* one byte each: names are ASCII */
}

/* Our own words may have a cross, an arrow, an ellipsis; half of a sign is none. No trigraphs. */
static void words_may_have_signs_and_nothing_that_is_no_utf8(void **state)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"3 \u00d7 4 \u2192 \u2026", ">3 \u00d7 4 \u2192 \u2026<"},
        {"<\xc3", ">&lt;?<"},
        {"\xe2\x80", ">?"
                     "?<"},
        {"\xe2\x80z", ">??z<"},
        {"\xed\xa0\x80", ">??"
                         "?<"}, /* half of a surrogate pair */
        {"\xc0\xaf", ">?"
                     "?<"}, /* '/' in two bytes */
        {"\xf0\x9f\x98\x80", ">???"
                             "?<"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};

        svg_words(&out, "name", 1, 2.25, "%s", cases[i].given);
        assert_non_null(strstr(out.p, "<text class=\"name\" x=\"1.0\" y=\"2.2\">"));
        if (!strstr(out.p, cases[i].shown))
            fail_msg("%s", out.p);
        buf_free(&out);
    }
}

/* What does not fit into a line is cut, and what is left is whole. */
static void long_words_are_cut(void **state)
{
    struct buf out = {0};
    char text[3000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    svg_words(&out, "name", 0, 0, "%s", text);
    assert_true(out.n < 1200);
    assert_string_equal(out.p + out.n - 8, "</text>\n");
    buf_free(&out);
}

/* By hand: 640 + 360 + 700 thousandths of 10 px; a sign of three bytes is one letter. */
static void widths_add_up(void **state)
{
    assert_true(svg_width(STR("1.A"), 10) == 17.0);
    assert_true(svg_width(STR("\u2026"), 10) == svg_width(STR("a"), 10));
    assert_true(svg_width(STR(""), 10) == 0);
}

static void a_picture_opens_with_title_and_page(void **state)
{
    struct buf out = {0};

    svg_open(&out, 100, 50, STR("a & b"), STR("what"), "    .page { fill: #ffffff; }\n");
    svg_rect(&out, "box", 1, 2, 3, 4, 0);
    svg_rect(&out, "box", 1, 2, 3, 4, 5);
    svg_line(&out, "line", 1, 2, 3, 4);
    svg_close(&out);
    assert_string_equal(
        out.p,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 50\" width=\"100\" "
        "height=\"50\" role=\"img\" aria-labelledby=\"title desc\">\n"
        "  <title id=\"title\">a &amp; b</title>\n  <desc id=\"desc\">what</desc>\n"
        "  <style>\n    .page { fill: #ffffff; }\n  </style>\n"
        "  <rect class=\"page\" x=\"0.0\" y=\"0.0\" width=\"100.0\" height=\"50.0\"/>\n"
        "  <rect class=\"box\" x=\"1.0\" y=\"2.0\" width=\"3.0\" height=\"4.0\"/>\n"
        "  <rect class=\"box\" x=\"1.0\" y=\"2.0\" width=\"3.0\" height=\"4.0\" rx=\"5.0\"/>\n"
        "  <line class=\"line\" x1=\"1.0\" y1=\"2.0\" x2=\"3.0\" y2=\"4.0\"/>\n</svg>\n");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_cannot_be_markup),
        cmocka_unit_test(words_may_have_signs_and_nothing_that_is_no_utf8),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(widths_add_up),
        cmocka_unit_test(a_picture_opens_with_title_and_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
