/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/draw/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "operator/locks/graph.h"

enum { GAP = 26, LANE = 14 /* width of a line that crosses a row */, PADDING = 22, SWEEPS = 16 };
enum { MAX_CROSSINGS_OF_ROWS = 6000 /* points in rows, beyond which lines go straight */ };

/* A place in a row: a box, or a point of a line that goes on. */
struct slot {
    uint32_t box;        /* LOCK_NONE: a point */
    uint32_t line;       /* of a point */
    uint32_t row, place; /* its position in the row */
    double width, x;     /* centre */
    double key;          /* sort key; wanted centre */
    double weight;
    uint32_t first_up, n_up, first_down, n_down; /* neighbours in links[] */
};

struct link {
    uint32_t upper, lower; /* slots in neighbouring rows */
};

struct work {
    const struct lock_view *v;
    struct layout *l;
    uint32_t *box_of; /* [n_classes] */
    uint32_t *first;  /* [n_classes + 1] into the view's edges */
    uint64_t *reach;  /* [n_boxes * words] by basis edges */
    size_t words;
    struct slot *slots; /* [n_slots] boxes first */
    uint32_t n_slots, slot_room;
    struct link *links; /* [n_links] */
    uint32_t n_links, link_room;
    uint32_t *near;      /* [2 * n_links] neighbours of slots */
    uint32_t *order;     /* [n_slots] row after row */
    uint32_t *row_start; /* [n_rows + 1] into order */
    uint32_t *best;      /* [n_slots] the best order so far */
    double *sums;        /* [2 * n_slots] */
};

static void *array(size_t n, size_t size)
{
    return calloc(n + 1, size);
}

/* --- which classes and edges --- */

static uint32_t importance(const struct lock_view *v, uint32_t i)
{
    return v->classes[i].cyclic ? 0 : v->classes[i].declared ? 1 : 2;
}

/* The classes that are drawn, in the order of levels and names. */
static int choose(struct work *w)
{
    uint32_t room = LAYOUT_CLASSES, n = 0;

    w->box_of = array(w->v->n_classes, sizeof(*w->box_of));
    w->l->boxes = array(LAYOUT_CLASSES, sizeof(*w->l->boxes));
    if (!w->box_of || !w->l->boxes)
        return -ENOMEM;
    memset(w->box_of, 0xff, w->v->n_classes * sizeof(*w->box_of));
    for (uint32_t pass = 0; pass < 3; pass++) {
        for (uint32_t i = 0; i < w->v->n_classes && room; i++) {
            if (importance(w->v, i) == pass)
                w->box_of[i] = 0, room--;
        }
    }
    for (uint32_t level = 0; level < w->v->n_levels; level++) {
        for (uint32_t i = 0; i < w->v->n_classes; i++) {
            if (w->box_of[i] == LOCK_NONE || w->v->classes[i].level != level)
                continue;
            w->box_of[i] = n;
            w->l->boxes[n++].class_index = i;
        }
    }
    w->l->n_boxes = n;
    w->l->left_out_classes = w->v->n_classes - n;
    return 0;
}

static double width_of(struct str name)
{
    const size_t chars = name.n < LAYOUT_NAME_CHARS ? name.n : LAYOUT_NAME_CHARS;

    return (double)(chars * LAYOUT_CHAR_WIDTH_10) / 10 + PADDING;
}

/* A level that is too wide is cut into rows of about the same width, by name. */
static int cut_rows(struct work *w)
{
    struct layout *const l = w->l;
    uint32_t row = 0;

    l->row_level = array(l->n_boxes, sizeof(*l->row_level));
    if (!l->row_level)
        return -ENOMEM;
    for (uint32_t first = 0, end; first < l->n_boxes; first = end) {
        const uint32_t level = w->v->classes[l->boxes[first].class_index].level;
        double total = 0, used = 0;

        for (end = first;
             end < l->n_boxes && w->v->classes[l->boxes[end].class_index].level == level; end++) {
            l->boxes[end].width = width_of(w->v->classes[l->boxes[end].class_index].name);
            total += l->boxes[end].width + GAP;
        }
        const uint32_t rows = 1 + (uint32_t)(total / LAYOUT_ROW_WIDTH);
        for (uint32_t i = first; i < end; i++) {
            const uint32_t at = (uint32_t)(used * rows / total);

            l->boxes[i].row = row + (at < rows ? at : rows - 1);
            used += l->boxes[i].width + GAP;
            l->row_level[l->boxes[i].row] = level;
        }
        row = l->boxes[end - 1].row + 1;
    }
    l->n_rows = row;
    return 0;
}

static bool reaches(const struct work *w, uint32_t from, uint32_t to)
{
    return w->reach[from * w->words + to / 64] >> (to % 64) & 1;
}

/* Where the edges of each class begin; they are sorted by class. */
static int index_edges(struct work *w)
{
    w->first = array(w->v->n_classes + 1, sizeof(*w->first));
    if (!w->first)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->v->n_edges; i++)
        w->first[w->v->edges[i].from + 1]++;
    for (uint32_t i = 0; i < w->v->n_classes; i++)
        w->first[i + 1] += w->first[i];
    return 0;
}

/* Of every box what can be reached along the basis; from the last one up, which is by levels. */
static int find_reach(struct work *w)
{
    const uint32_t n = w->l->n_boxes;

    w->words = n / 64 + 1;
    w->reach = array((size_t)n * w->words, sizeof(*w->reach));
    if (!w->reach || index_edges(w))
        return -ENOMEM;
    for (uint32_t from = n; from-- > 0;) {
        const uint32_t c = w->l->boxes[from].class_index;
        uint64_t *const mine = w->reach + from * w->words;

        for (uint32_t i = w->first[c]; i < w->first[c + 1]; i++) {
            const uint32_t to = w->box_of[w->v->edges[i].to];

            if (!w->v->edges[i].basis || to == LOCK_NONE)
                continue;
            mine[to / 64] |= UINT64_C(1) << (to % 64);
            for (size_t k = 0; k < w->words; k++)
                mine[k] |= w->reach[to * w->words + k];
        }
    }
    return 0;
}

/* Does another way along the basis lead from one end to the other? */
static bool follows_from_others(const struct work *w, const struct lock_view_edge *e)
{
    const uint32_t to = w->box_of[e->to];

    for (uint32_t i = w->first[e->from]; e->basis && i < w->first[e->from + 1]; i++) {
        const uint32_t by = w->box_of[w->v->edges[i].to];

        if (w->v->edges[i].basis && by != LOCK_NONE && reaches(w, by, to))
            return true;
    }
    return false;
}

static int choose_lines(struct work *w)
{
    w->l->lines = array(w->v->n_edges, sizeof(*w->l->lines));
    if (!w->l->lines)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->v->n_edges; i++) {
        const struct lock_view_edge *const e = &w->v->edges[i];

        if (w->box_of[e->from] == LOCK_NONE || w->box_of[e->to] == LOCK_NONE)
            continue;
        if (follows_from_others(w, e))
            w->l->left_out_edges++;
        else
            w->l->lines[w->l->n_lines++] =
                (struct layout_line){.edge = i, .from = w->box_of[e->from], .to = w->box_of[e->to]};
    }
    return 0;
}

/* --- slots and links --- */

static uint32_t span_of(const struct work *w, const struct layout_line *line)
{
    const uint32_t a = w->l->boxes[line->from].row, b = w->l->boxes[line->to].row;

    return a < b ? b - a : a - b;
}

static int make_slots(struct work *w)
{
    struct layout *const l = w->l;
    size_t points = 0;

    for (uint32_t i = 0; i < l->n_lines; i++)
        points += span_of(w, &l->lines[i]) ? span_of(w, &l->lines[i]) - 1 : 0;
    if (points > MAX_CROSSINGS_OF_ROWS)
        points = 0;
    w->slot_room = l->n_boxes + (uint32_t)points;
    w->link_room = l->n_lines + (uint32_t)points;
    w->slots = array(w->slot_room, sizeof(*w->slots));
    w->links = array(w->link_room, sizeof(*w->links));
    w->near = array((size_t)w->link_room * 2, sizeof(*w->near));
    w->order = array(w->slot_room, sizeof(*w->order));
    w->best = array(w->slot_room, sizeof(*w->best));
    w->row_start = array(l->n_rows + 1, sizeof(*w->row_start));
    w->sums = array((size_t)w->slot_room * 2, sizeof(*w->sums));
    if (!w->slots || !w->links || !w->near || !w->order || !w->best || !w->row_start || !w->sums)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n_boxes; i++)
        w->slots[w->n_slots++] = (struct slot){
            .box = i, .row = l->boxes[i].row, .width = l->boxes[i].width + GAP, .weight = 1};
    return 0;
}

static void add_link(struct work *w, uint32_t upper, uint32_t lower)
{
    w->links[w->n_links++] = (struct link){upper, lower};
}

/* The points of one line, from its upper end down; the line owns as many, in its direction. */
static int make_points(struct work *w, uint32_t i)
{
    struct layout_line *const line = &w->l->lines[i];
    const bool down = w->l->boxes[line->from].row < w->l->boxes[line->to].row;
    const uint32_t upper = down ? line->from : line->to, lower = down ? line->to : line->from;
    const uint32_t span = span_of(w, line);
    uint32_t last = upper;

    if (span == 0)
        return 0;
    if (span > 1 && w->n_slots + span - 1 > w->slot_room)
        return 0; /* too many: it goes straight */
    line->points = array(span, sizeof(*line->points));
    if (!line->points)
        return -ENOMEM;
    line->n = span - 1;
    for (uint32_t k = 1; k < span; k++) {
        w->slots[w->n_slots] = (struct slot){.box = LOCK_NONE,
                                             .line = i,
                                             .row = w->l->boxes[upper].row + k,
                                             .width = LANE,
                                             .weight = 3}; /* straight lines are easy to follow */
        add_link(w, last, w->n_slots);
        last = w->n_slots++;
    }
    add_link(w, last, lower);
    return 0;
}

static void index_neighbours(struct work *w)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < w->n_links; i++) {
        w->slots[w->links[i].lower].n_up++;
        w->slots[w->links[i].upper].n_down++;
    }
    for (uint32_t i = 0; i < w->n_slots; i++) {
        w->slots[i].first_up = at;
        at += w->slots[i].n_up;
        w->slots[i].first_down = at;
        at += w->slots[i].n_down;
        w->slots[i].n_up = w->slots[i].n_down = 0;
    }
    for (uint32_t i = 0; i < w->n_links; i++) {
        struct slot *const a = &w->slots[w->links[i].upper], *const b =
                                                                 &w->slots[w->links[i].lower];

        w->near[a->first_down + a->n_down++] = w->links[i].lower;
        w->near[b->first_up + b->n_up++] = w->links[i].upper;
    }
}

/* --- the order in the rows --- */

static void fill_rows(struct work *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++)
        w->row_start[w->slots[i].row + 1]++;
    for (uint32_t r = 0; r < w->l->n_rows; r++)
        w->row_start[r + 1] += w->row_start[r];
    for (uint32_t i = 0; i < w->n_slots; i++) {
        struct slot *const s = &w->slots[i];

        s->place = w->best[s->row]++; /* best: a counter a row, for now */
        w->order[w->row_start[s->row] + s->place] = i;
    }
}

static int by_key(const void *x, const void *y, void *ctx)
{
    const struct slot *const slots = ctx, *const a = &slots[*(const uint32_t *)x],
                             *const b = &slots[*(const uint32_t *)y];

    if (a->key < b->key || a->key > b->key)
        return a->key < b->key ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* Sort a row by the mean place of the neighbours above or below; who has none stays about. */
static void sort_row(struct work *w, uint32_t row, bool up)
{
    const uint32_t first = w->row_start[row], n = w->row_start[row + 1] - first;

    for (uint32_t i = first; i < first + n; i++) {
        struct slot *const s = &w->slots[w->order[i]];
        const uint32_t *const near = w->near + (up ? s->first_up : s->first_down);
        const uint32_t k = up ? s->n_up : s->n_down;

        s->key = k ? 0 : s->place;
        for (uint32_t j = 0; j < k; j++)
            s->key += (double)w->slots[near[j]].place / k;
    }
    qsort_r(w->order + first, n, sizeof(*w->order), by_key, w->slots);
    for (uint32_t i = 0; i < n; i++)
        w->slots[w->order[first + i]].place = i;
}

static uint64_t crossings_below(const struct work *w, uint32_t row)
{
    uint64_t n = 0;

    for (uint32_t i = w->row_start[row]; i < w->row_start[row + 1]; i++) {
        const struct slot *const a = &w->slots[w->order[i]];

        for (uint32_t k = i + 1; k < w->row_start[row + 1]; k++) {
            const struct slot *const b = &w->slots[w->order[k]];

            for (uint32_t p = 0; p < a->n_down; p++) {
                for (uint32_t q = 0; q < b->n_down; q++)
                    n += w->slots[w->near[a->first_down + p]].place >
                         w->slots[w->near[b->first_down + q]].place;
            }
        }
    }
    return n;
}

static uint64_t crossings(const struct work *w)
{
    uint64_t n = 0;

    for (uint32_t r = 0; r < w->l->n_rows; r++)
        n += crossings_below(w, r);
    return n;
}

static void order_rows(struct work *w)
{
    const size_t bytes = w->n_slots * sizeof(*w->order);
    uint64_t least = crossings(w);

    memcpy(w->best, w->order, bytes);
    for (uint32_t sweep = 0; sweep < SWEEPS && least; sweep++) {
        for (uint32_t i = 0; i < w->l->n_rows; i++)
            sort_row(w, sweep % 2 ? w->l->n_rows - 1 - i : i, sweep % 2 == 0);
        const uint64_t now = crossings(w);
        if (now < least) {
            least = now;
            memcpy(w->best, w->order, bytes);
        }
    }
    memcpy(w->order, w->best, bytes);
    for (uint32_t r = 0; r < w->l->n_rows; r++) {
        for (uint32_t i = w->row_start[r]; i < w->row_start[r + 1]; i++)
            w->slots[w->order[i]].place = i - w->row_start[r];
    }
}

/* --- the places --- */

/*
 * The centres nearest to those wanted, by weighted least squares, that keep the order and the
 * widths: with what lies to its left taken off each, it is a regression to a rising sequence, which
 * pooling neighbours that fall solves (Barlow et al., 1972).
 */
static void place_row(struct work *w, uint32_t row)
{
    const uint32_t first = w->row_start[row], n = w->row_start[row + 1] - first;
    double *const sum = w->sums, *const weight = w->sums + w->slot_room;
    uint32_t *const start = w->best; /* of each pool */
    double left = 0;
    uint32_t pools = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct slot *const s = &w->slots[w->order[first + i]];

        if (i > 0)
            left += (w->slots[w->order[first + i - 1]].width + s->width) / 2;
        sum[pools] = (s->key - left) * s->weight;
        weight[pools] = s->weight;
        start[pools++] = i;
        while (pools > 1 &&
               sum[pools - 2] * weight[pools - 1] >= sum[pools - 1] * weight[pools - 2]) {
            sum[pools - 2] += sum[pools - 1];
            weight[pools - 2] += weight[pools - 1];
            pools--;
        }
    }
    left = 0;
    for (uint32_t i = 0, pool = 0; i < n; i++) {
        struct slot *const s = &w->slots[w->order[first + i]];

        if (i > 0)
            left += (w->slots[w->order[first + i - 1]].width + s->width) / 2;
        pool += pool + 1 < pools && start[pool + 1] == i;
        s->x = sum[pool] / weight[pool] + left;
    }
}

/* `sides`: 1 = wanted is the mean of the neighbours above, 2 = below, 3 = of both. */
static void want(struct work *w, uint32_t row, uint32_t sides)
{
    for (uint32_t i = w->row_start[row]; i < w->row_start[row + 1]; i++) {
        struct slot *const s = &w->slots[w->order[i]];
        const uint32_t up = sides & 1 ? s->n_up : 0, down = sides & 2 ? s->n_down : 0;

        s->key = up + down ? 0 : s->x;
        for (uint32_t k = 0; k < up; k++)
            s->key += w->slots[w->near[s->first_up + k]].x / (up + down);
        for (uint32_t k = 0; k < down; k++)
            s->key += w->slots[w->near[s->first_down + k]].x / (up + down);
    }
}

static void place_rows(struct work *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++)
        w->slots[i].key = 0; /* around a common middle */
    for (uint32_t r = 0; r < w->l->n_rows; r++)
        place_row(w, r);
    for (uint32_t sweep = 0; sweep < SWEEPS; sweep++) {
        const uint32_t sides = sweep + 4 >= SWEEPS ? 3 : 1 + sweep % 2;

        for (uint32_t i = 0; i < w->l->n_rows; i++) {
            const uint32_t row = sweep % 2 ? w->l->n_rows - 1 - i : i;

            want(w, row, sides);
            place_row(w, row);
        }
    }
}

/* --- the result --- */

static void take_places(struct work *w)
{
    double least = 0;

    for (uint32_t i = 0; i < w->n_slots; i++) {
        const double left = w->slots[i].x - w->slots[i].width / 2;

        least = i == 0 || left < least ? left : least;
    }
    for (uint32_t i = 0; i < w->n_slots; i++) {
        struct slot *const s = &w->slots[i];

        s->x -= least;
        w->l->width = s->x + s->width / 2 > w->l->width ? s->x + s->width / 2 : w->l->width;
        if (s->box == LOCK_NONE) {
            struct layout_line *const line = &w->l->lines[s->line];
            const uint32_t from = w->l->boxes[line->from].row;
            const uint32_t at = (from < s->row ? s->row - from : from - s->row) - 1;

            line->points[at] = (struct layout_point){s->x, s->row};
        } else {
            w->l->boxes[s->box].x = s->x - w->l->boxes[s->box].width / 2;
        }
    }
}

/* One end of a line on one side of a box. */
struct port {
    double towards; /* where the line goes */
    double *x;
    uint32_t box;
    bool below;
    uint32_t tie;
};

static int by_port(const void *x, const void *y)
{
    const struct port *const a = x, *const b = y;

    if (a->box != b->box)
        return a->box < b->box ? -1 : 1;
    if (a->below != b->below)
        return a->below ? 1 : -1;
    if (a->towards < b->towards || a->towards > b->towards)
        return a->towards < b->towards ? -1 : 1;
    return a->tie < b->tie ? -1 : a->tie > b->tie;
}

static double middle(const struct layout_box *b)
{
    return b->x + b->width / 2;
}

/* Lines leave and enter side by side, in the order of where they go. */
static int make_ports(struct layout *l)
{
    struct port *const ports = array((size_t)l->n_lines * 2, sizeof(*ports));
    uint32_t n = 0;

    if (!ports)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n_lines; i++) {
        struct layout_line *const line = &l->lines[i];
        const struct layout_box *const a = &l->boxes[line->from], *const b = &l->boxes[line->to];

        ports[n] = (struct port){line->n ? line->points[0].x : middle(b), &line->from_x, line->from,
                                 a->row <= b->row, n};
        n++;
        ports[n] = (struct port){line->n ? line->points[line->n - 1].x : middle(a), &line->to_x,
                                 line->to, a->row >= b->row, n};
        n++;
    }
    qsort(ports, n, sizeof(*ports), by_port);
    for (uint32_t first = 0, end; first < n; first = end) {
        const struct layout_box *const b = &l->boxes[ports[first].box];

        for (end = first; end < n && ports[end].box == ports[first].box &&
                          ports[end].below == ports[first].below;)
            end++;
        for (uint32_t i = first; i < end; i++)
            *ports[i].x = b->x + b->width * (i - first + 1) / (end - first + 1);
    }
    free(ports);
    return 0;
}

static int build(struct work *w)
{
    int rc = choose(w);

    if (rc == 0)
        rc = cut_rows(w);
    if (rc == 0)
        rc = find_reach(w);
    if (rc == 0)
        rc = choose_lines(w);
    if (rc == 0)
        rc = make_slots(w);
    for (uint32_t i = 0; rc == 0 && i < w->l->n_lines; i++)
        rc = make_points(w, i);
    if (rc)
        return rc;
    index_neighbours(w);
    fill_rows(w);
    order_rows(w);
    place_rows(w);
    take_places(w);
    return make_ports(w->l);
}

int layout_new(struct layout **out, const struct lock_view *v)
{
    struct work w = {.v = v, .l = calloc(1, sizeof(*w.l))};
    const int rc = w.l ? build(&w) : -ENOMEM;

    free(w.box_of);
    free(w.first);
    free(w.reach);
    free(w.slots);
    free(w.links);
    free(w.near);
    free(w.order);
    free(w.row_start);
    free(w.best);
    free(w.sums);
    if (rc)
        layout_free(w.l);
    else
        *out = w.l;
    return rc;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; l->lines && i < l->n_lines; i++)
        free(l->lines[i].points);
    free(l->boxes);
    free(l->lines);
    free(l->row_level);
    free(l);
}
