/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the boxes and lines of a layered drawing go: classes in rows, one or more a level, lines
 * from row to row, passing between the boxes of rows they cross. Pure; svg.c draws it.
 *
 * The steps are Sugiyama's (Sugiyama, Tagawa, Toda: "Methods for visual understanding of
 * hierarchical system structures", 1981): rows are given by the levels; the order in a row by
 * sweeps over the means of neighbours; the places by sweeps of least squares that keep the order.
 */
#ifndef OPERATOR_DRAW_LAYOUT_H
#define OPERATOR_DRAW_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "operator/locks/view.h"

/* All lengths are pixels. */
enum {
    LAYOUT_CLASSES = 300,    /* drawn at most: those on cycles first, then what is declared */
    LAYOUT_ROW_WIDTH = 1500, /* a level that is wider gets more rows */
    LAYOUT_BOX_HEIGHT = 28,
    LAYOUT_CHAR_WIDTH_10 = 73, /* tenths: of a monospaced letter at 12 px */
    LAYOUT_NAME_CHARS = 32,    /* longer names are cut in the middle */
};

struct layout_box {
    uint32_t class_index; /* of the view */
    uint32_t row;
    double x, width; /* left edge */
};

/* A point where a line crosses a row. */
struct layout_point {
    double x;
    uint32_t row;
};

struct layout_line {
    uint32_t edge;               /* of the view */
    uint32_t from, to;           /* boxes */
    double from_x, to_x;         /* where it leaves and enters, on the edges that face each other */
    struct layout_point *points; /* [n] between them, in the direction of the line */
    uint32_t n;
};

struct layout {
    struct layout_box *boxes;  /* [n_boxes] */
    struct layout_line *lines; /* [n_lines] */
    uint32_t *row_level;       /* [n_rows] */
    uint32_t n_boxes, n_lines, n_rows;
    double width;
    uint32_t left_out_classes, left_out_edges; /* edges that follow from others are left out */
};

/* 0, -ENOMEM. */
int layout_new(struct layout **out, const struct lock_view *v) MUST_CHECK;
void layout_free(struct layout *l); /* NULL is fine */

#endif
