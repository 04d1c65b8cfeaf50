/* SPDX-License-Identifier: Apache-2.0 */
#include "base/svg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { WORDS_BYTES = 1024 };

/*
 * How many bytes of `s` are a sign that our own words may have: of the blocks to U+07FF, or of
 * punctuation and arrows (U+2000 to U+2FFF), in UTF-8. 0: none.
 */
static size_t sign_length(struct str s)
{
    const unsigned char *const p = (const unsigned char *)s.p;

    if (s.n >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf && p[1] >> 6 == 2)
        return 2;
    return s.n >= 3 && p[0] == 0xe2 && p[1] >> 6 == 2 && p[2] >> 6 == 2 ? 3 : 0;
}

static void put_byte(struct buf *out, char c)
{
    if (c == '&')
        buf_text(out, "&amp;");
    else if (c == '<')
        buf_text(out, "&lt;");
    else if (c == '>')
        buf_text(out, "&gt;");
    else if (c == '"')
        buf_text(out, "&quot;");
    else if (c < 0x20 || c > 0x7e)
        buf_text(out, "?");
    else
        buf_add(out, &c, 1);
}

static void put_escaped(struct buf *out, struct str s, bool signs)
{
    for (size_t i = 0, n; i < s.n; i += n ? n : 1) {
        n = signs ? sign_length((struct str){s.p + i, s.n - i}) : 0;
        if (n)
            buf_add(out, s.p + i, n);
        else
            put_byte(out, s.p[i]);
    }
}

void svg_text(struct buf *out, struct str s)
{
    put_escaped(out, s, false);
}

void svg_open(struct buf *out, double width, double height, struct str title, struct str desc,
              const char *style)
{
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
               "width=\"%.0f\" height=\"%.0f\" role=\"img\" aria-labelledby=\"title desc\">\n"
               "  <title id=\"title\">",
               width, height, width, height);
    svg_text(out, title);
    buf_text(out, "</title>\n  <desc id=\"desc\">");
    svg_text(out, desc);
    buf_printf(out, "</desc>\n  <style>\n%s  </style>\n", style);
    svg_rect(out, "page", 0, 0, width, height, 0);
}

void svg_close(struct buf *out)
{
    buf_text(out, "</svg>\n");
}

void svg_words(struct buf *out, const char *class_name, double x, double y, const char *fmt, ...)
{
    char text[WORDS_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(out, "  <text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class_name, x, y);
    put_escaped(out, str_of(text), true);
    buf_text(out, "</text>\n");
}

void svg_rect(struct buf *out, const char *class_name, double x, double y, double width,
              double height, double radius)
{
    buf_printf(out, "  <rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
               class_name, x, y, width, height);
    if (radius > 0)
        buf_printf(out, " rx=\"%.1f\"", radius);
    buf_text(out, "/>\n");
}

void svg_line(struct buf *out, const char *class_name, double x1, double y1, double x2, double y2)
{
    buf_printf(out, "  <line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
               class_name, x1, y1, x2, y2);
}

/* In thousandths of the font size, of DejaVu Sans; what is no ASCII counts as one wide letter. */
static unsigned advance(char c)
{
    if (c >= '0' && c <= '9')
        return 640;
    if (strchr("ijl.,:;|!'()[] /I", c))
        return 360;
    if (strchr("ftrJ-", c))
        return 410;
    if (strchr("mwMWQ%@", c))
        return 920;
    return c >= 'A' && c <= 'Z' ? 700 : ((unsigned char)c & 0xc0) == 0x80 ? 0 : 620;
}

double svg_width(struct str text, double font_size)
{
    unsigned sum = 0;

    for (size_t i = 0; i < text.n; i++)
        sum += text.p[i] ? advance(text.p[i]) : 0;
    return sum * font_size / 1000;
}
