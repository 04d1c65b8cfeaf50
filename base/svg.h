/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few words of SVG that our pictures are made of, with escapes. Lengths are pixels. What a
 * picture looks like is said by classes, in a style sheet that its writer gives along.
 */
#ifndef BASE_SVG_H
#define BASE_SVG_H

#include "base/attr.h"
#include "base/str.h"

struct buf;

/* Fonts of every picture, for the style sheets: of words and of names. */
#define SVG_SANS "\"DejaVu Sans\", Verdana, sans-serif"
#define SVG_MONO "\"DejaVu Sans Mono\", Menlo, Consolas, monospace"

/*
 * Begin a picture: title and description for who cannot see it, the style sheet (the rules alone),
 * and a background of the class "page". svg_close ends it, with a line end.
 */
void svg_open(struct buf *out, double width, double height, struct str title, struct str desc,
              const char *style);
void svg_close(struct buf *out);

/* Text inside an element: markup escaped; it is printable ASCII, anything else shows as '?'. */
void svg_text(struct buf *out, struct str s);

/* A line of text of at most 1023 bytes, escaped; signs such as a cross or an arrow may be in it. */
void svg_words(struct buf *out, const char *class_name, double x, double y, const char *fmt, ...)
    PRINTF(5, 6);

void svg_rect(struct buf *out, const char *class_name, double x, double y, double width,
              double height, double radius);
void svg_line(struct buf *out, const char *class_name, double x1, double y1, double x2, double y2);

/* About how wide the text is in SVG_SANS at this size, rather a little more. */
double svg_width(struct str text, double font_size);

#endif
