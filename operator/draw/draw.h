/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock hierarchy to look at: JSON and text for tools and terminals; DOT, Mermaid and SVG as
 * drawings. The same view gives the same bytes.
 */
#ifndef OPERATOR_DRAW_DRAW_H
#define OPERATOR_DRAW_DRAW_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "operator/locks/view.h"

struct buf;
struct emit;

enum draw_format { DRAW_TEXT, DRAW_JSON, DRAW_DOT, DRAW_MERMAID, DRAW_SVG, DRAW_FORMATS };

extern const char *const draw_names[DRAW_FORMATS]; /* "text", "json", ... */
extern const char *const draw_types[DRAW_FORMATS]; /* media types */

/* DRAW_FORMATS when there is no format of this name. */
enum draw_format draw_format_of(struct str name);

/* Mermaid, whose readers lay out in the browser: this many edges at most, and says so. */
enum { DRAW_MERMAID_EDGES = 200 };

/*
 * One namespace, appended to `out` with a line end. Out of memory shows in out->failed, and as
 * -ENOMEM from the SVG, which needs memory of its own.
 */
int draw(struct buf *out, const struct lock_view *v, enum draw_format format) MUST_CHECK;

/* The object alone, for answers that hold several. */
void draw_json_object(struct emit *e, const struct lock_view *v);

/* "A -> B -> A" */
void draw_cycle(struct buf *out, const struct lock_view *v, const struct lock_view_cycle *c,
                const char *arrow);

/* "1.2 s", "450 ms", "3 min" */
void draw_duration(struct buf *out, uint64_t ns);

/* By format; draw() calls them. */
void draw_text(struct buf *out, const struct lock_view *v);
void draw_json(struct buf *out, const struct lock_view *v);
void draw_dot(struct buf *out, const struct lock_view *v);
void draw_mermaid(struct buf *out, const struct lock_view *v);
int draw_svg(struct buf *out, const struct lock_view *v) MUST_CHECK;

#endif
