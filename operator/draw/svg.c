/* SPDX-License-Identifier: Apache-2.0 */
/* The hierarchy as a picture that needs nothing but a browser: levels as bands, violations red,
 * cycles thick. */
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/svg.h"
#include "operator/draw/draw.h"
#include "operator/draw/layout.h"

enum {
    MARGIN = 24,
    GUTTER = 96, /* the levels' names */
    HEAD = 84,
    ROW_GAP = 34,   /* between two rows of a level */
    LEVEL_GAP = 58, /* between two levels: lines turn there */
    BAND = 20,      /* a band reaches this far over its rows */
    TEXT_LINE = 20,
    MIN_WIDTH = 720,
    FINDINGS = 12, /* sentences of each kind */
    KEY_CHAR = 7,  /* of a letter of the text */
};

struct picture {
    struct buf *out;
    const struct lock_view *v;
    const struct layout *l;
    double left; /* of the first box */
    double width, height;
    double bottom; /* of the last band */
};

static const char style[] =
    "    .page { fill: #ffffff; }\n"
    "    .band { fill: #f6f8fa; }\n"
    "    .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }\n"
    "    .seen { stroke-dasharray: 4 3; }\n"
    "    .bad { fill: #fff8c5; stroke: #9a6700; stroke-width: 2; }\n"
    "    .line { fill: none; stroke: #57606a; stroke-width: 1.3; }\n"
    "    .observed { stroke: #8c959f; stroke-dasharray: 5 3; }\n"
    "    .cycle { stroke: #9a6700; stroke-width: 3.4; }\n"
    "    .violation { stroke: #cf222e; stroke-width: 3.4; stroke-dasharray: none; }\n"
    "    .tip { fill: #57606a; }\n"
    "    .tip-observed { fill: #8c959f; }\n"
    "    .tip-cycle { fill: #9a6700; }\n"
    "    .tip-violation { fill: #cf222e; }\n"
    "    .name { fill: #1f2328; font: 12px \"DejaVu Sans Mono\", Menlo, Consolas, monospace;\n"
    "            text-anchor: middle; }\n"
    "    .head { fill: #1f2328; font: bold 16px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .text { fill: #424a53; font: 12px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .level { fill: #57606a; font: bold 12px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .hint { fill: #6e7781; font: 10px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .wrong { fill: #cf222e; font: 12px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .maybe { fill: #9a6700; font: 12px \"DejaVu Sans\", Verdana, sans-serif; }\n"
    "    .count { fill: #cf222e; font: bold 11px \"DejaVu Sans\", Verdana, sans-serif;\n"
    "             stroke: #ffffff; stroke-width: 4; paint-order: stroke; text-anchor: middle; }\n"
    "    @media (prefers-color-scheme: dark) {\n"
    "      .page { fill: #0d1117; }\n"
    "      .band { fill: #161b22; }\n"
    "      .box { fill: #0d1117; stroke: #8b949e; }\n"
    "      .bad { fill: #2b230a; stroke: #d29922; }\n"
    "      .line { stroke: #8b949e; }\n"
    "      .observed { stroke: #6e7681; }\n"
    "      .cycle { stroke: #d29922; }\n"
    "      .violation { stroke: #ff7b72; }\n"
    "      .tip { fill: #8b949e; }\n"
    "      .tip-observed { fill: #6e7681; }\n"
    "      .tip-cycle { fill: #d29922; }\n"
    "      .tip-violation { fill: #ff7b72; }\n"
    "      .name, .head { fill: #e6edf3; }\n"
    "      .text { fill: #b1bac4; }\n"
    "      .level, .hint { fill: #8b949e; }\n"
    "      .wrong { fill: #ff7b72; }\n"
    "      .maybe { fill: #d29922; }\n"
    "      .count { fill: #ff7b72; stroke: #0d1117; }\n"
    "    }\n";

/* --- text --- */

/* Long names lose their middle: begin and end say most. */
static void put_short(struct buf *out, struct str s)
{
    const size_t begin = LAYOUT_NAME_CHARS / 2, end = LAYOUT_NAME_CHARS - begin - 1;

    if (s.n <= LAYOUT_NAME_CHARS) {
        svg_text(out, s);
        return;
    }
    svg_text(out, (struct str){s.p, begin});
    buf_text(out, "\u2026");
    svg_text(out, (struct str){s.p + s.n - end, end});
}

static struct str name_of(const struct picture *p, uint32_t class_index)
{
    return p->v->classes[class_index].name;
}

/* --- where things are --- */

static double top_of(const struct picture *p, uint32_t row)
{
    double y = HEAD + BAND;

    for (uint32_t r = 1; r <= row; r++)
        y += LAYOUT_BOX_HEIGHT +
             (p->l->row_level[r] == p->l->row_level[r - 1] ? ROW_GAP : LEVEL_GAP);
    return y;
}

static double bottom_of(const struct picture *p, uint32_t row)
{
    return top_of(p, row) + LAYOUT_BOX_HEIGHT;
}

/* --- bands and boxes --- */

static void put_bands(const struct picture *p)
{
    for (uint32_t first = 0, end; first < p->l->n_rows; first = end) {
        const uint32_t level = p->l->row_level[first];

        for (end = first; end < p->l->n_rows && p->l->row_level[end] == level;)
            end++;
        const double y = top_of(p, first) - BAND, height = bottom_of(p, end - 1) + BAND - y;
        buf_printf(p->out,
                   "  <rect class=\"band\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                   "rx=\"6\"/>\n",
                   MARGIN / 2, y, p->width - MARGIN, height);
        buf_printf(p->out, "  <text class=\"level\" x=\"%d\" y=\"%.1f\">level %u</text>\n", MARGIN,
                   y + BAND + 18, level);
        if (level == 0)
            buf_printf(p->out, "  <text class=\"hint\" x=\"%d\" y=\"%.1f\">acquired first</text>\n",
                       MARGIN, y + BAND + 34);
    }
}

static void put_box(const struct picture *p, const struct layout_box *b)
{
    const struct lock_view_class *const c = &p->v->classes[b->class_index];
    const double x = p->left + b->x, y = top_of(p, b->row);

    buf_text(p->out, "  <g><title>");
    svg_text(p->out, c->name);
    buf_printf(p->out, ", level %u%s</title>", c->level,
               c->declared ? ", declared" : ", observed only");
    buf_printf(p->out,
               "<rect class=\"box%s%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
               "rx=\"5\"/>",
               c->declared ? "" : " seen", c->cyclic ? " bad" : "", x, y, b->width,
               LAYOUT_BOX_HEIGHT);
    buf_printf(p->out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", x + b->width / 2, y + 18);
    put_short(p->out, c->name);
    buf_text(p->out, "</text></g>\n");
}

/* --- lines --- */

enum kind { PLAIN, OBSERVED, CYCLE, VIOLATION, KINDS };
static const char *const kind_class[KINDS] = {"line", "line observed", "line cycle",
                                              "line violation"};
static const char *const kind_tip[KINDS] = {"tip", "tip-observed", "tip-cycle", "tip-violation"};

static enum kind kind_of(const struct lock_view_edge *e)
{
    if (e->violation)
        return VIOLATION;
    if (e->cyclic)
        return CYCLE;
    return e->declared ? PLAIN : OBSERVED;
}

static void put_tips(struct buf *out)
{
    buf_text(out, "  <defs>\n");
    for (int k = 0; k < KINDS; k++)
        buf_printf(out,
                   "    <marker id=\"%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" "
                   "markerWidth=\"%d\" markerHeight=\"%d\" markerUnits=\"userSpaceOnUse\" "
                   "orient=\"auto\"><path class=\"%s\" d=\"M0,0 L10,5 L0,10 z\"/></marker>\n",
                   kind_tip[k], k < CYCLE ? 8 : 12, k < CYCLE ? 8 : 12, kind_tip[k]);
    buf_text(out, "  </defs>\n");
}

/* On to (x, y), leaving and arriving upright. */
static void bend(struct buf *out, double from_x, double from_y, double x, double y)
{
    const double half = (from_y + y) / 2;

    buf_printf(out, " C%.1f,%.1f %.1f,%.1f %.1f,%.1f", from_x, half, x, half, x, y);
}

/* Between boxes of one row: below it. A class within itself: a loop at its right side. */
static void put_flat(const struct picture *p, const struct layout_line *line)
{
    const struct layout_box *const b = &p->l->boxes[line->from];
    const double y = bottom_of(p, b->row);

    if (line->from == line->to) {
        const double x = p->left + b->x + b->width, middle = y - (double)LAYOUT_BOX_HEIGHT / 2;

        buf_printf(p->out, "M%.1f,%.1f c16,-12 16,24 2,12", x, middle - 6);
        return;
    }
    buf_printf(p->out, "M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f", p->left + line->from_x, y,
               p->left + line->from_x, y + 34, p->left + line->to_x, y + 34, p->left + line->to_x,
               y);
}

static void put_path(const struct picture *p, const struct layout_line *line)
{
    const uint32_t from = p->l->boxes[line->from].row, to = p->l->boxes[line->to].row;
    const bool down = from < to;
    double x = p->left + line->from_x, y = down ? bottom_of(p, from) : top_of(p, from);

    if (from == to) {
        put_flat(p, line);
        return;
    }
    buf_printf(p->out, "M%.1f,%.1f", x, y);
    for (uint32_t i = 0; i < line->n; i++) { /* straight through each row on the way */
        const struct layout_point *const at = &line->points[i];
        const double next = p->left + at->x;

        bend(p->out, x, y, next, down ? top_of(p, at->row) : bottom_of(p, at->row));
        y = down ? bottom_of(p, at->row) : top_of(p, at->row);
        buf_printf(p->out, " V%.1f", y);
        x = next;
    }
    bend(p->out, x, y, p->left + line->to_x, down ? top_of(p, to) : bottom_of(p, to));
}

static void put_line(const struct picture *p, const struct layout_line *line)
{
    const struct lock_view_edge *const e = &p->v->edges[line->edge];
    const enum kind kind = kind_of(e);

    buf_text(p->out, "  <g><title>");
    svg_text(p->out, name_of(p, e->from));
    buf_text(p->out, ", then ");
    svg_text(p->out, name_of(p, e->to));
    buf_printf(p->out, "%s; observed %llu times by %u</title><path class=\"%s\" d=\"",
               e->declared ? ": declared" : "", (unsigned long long)e->count, e->reporters,
               kind_class[kind]);
    put_path(p, line);
    buf_printf(p->out, "\" marker-end=\"url(#%s)\"/></g>\n", kind_tip[kind]);
}

/* How often a violation was seen, where its line begins. */
static void put_count(const struct picture *p, const struct layout_line *line)
{
    const struct lock_view_edge *const e = &p->v->edges[line->edge];
    const uint32_t from = p->l->boxes[line->from].row, to = p->l->boxes[line->to].row;

    if (!e->violation)
        return;
    buf_printf(p->out, "  <text class=\"count\" x=\"%.1f\" y=\"%.1f\">%llu\u00d7</text>\n",
               p->left + line->from_x, from > to ? top_of(p, from) - 10 : bottom_of(p, from) + 18,
               (unsigned long long)e->count);
}

/* What is wrong lies on top. */
static void put_lines(const struct picture *p)
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (uint32_t i = 0; i < p->l->n_lines; i++) {
            if (kind_of(&p->v->edges[p->l->lines[i].edge]) == (enum kind)kind)
                put_line(p, &p->l->lines[i]);
        }
    }
}

/* --- words --- */

static void count_of(struct buf *out, uint32_t n, const char *one, const char *many)
{
    buf_printf(out, "%u %s", n, n == 1 ? one : many);
}

static void put_summary(struct buf *out, const struct lock_view *v)
{
    count_of(out, v->n_classes, "lock class", "lock classes");
    buf_text(out, " on ");
    count_of(out, v->n_levels, "level", "levels");
    buf_text(out, ", seen by ");
    count_of(out, v->n_reporters, "reporter", "reporters");
    buf_text(out, "; ");
    count_of(out, v->n_violations, "violation", "violations");
    buf_text(out, ", ");
    count_of(out, v->n_cycles, "potential cycle", "potential cycles");
    buf_text(out, ", ");
    count_of(out, v->n_deadlocks, "deadlock", "deadlocks");
}

static void put_head(const struct picture *p)
{
    struct buf title = {0}, desc = {0};

    buf_text(&title, "Lock hierarchy of namespace ");
    buf_str(&title, p->v->ns);
    put_summary(&desc, p->v);
    svg_open(p->out, p->width, p->height, buf_view(&title), buf_view(&desc), style);
    put_tips(p->out);
    svg_words(p->out, "head", MARGIN, 36, "%.*s", STR_ARG(buf_view(&title)));
    svg_words(p->out, "text", MARGIN, 60, "%.*s", STR_ARG(buf_view(&desc)));
    p->out->failed = p->out->failed || title.failed || desc.failed;
    buf_free(&title);
    buf_free(&desc);
}

/* One entry of the key; begins a new line where the last one is full. */
static void put_key_entry(const struct picture *p, double *x, double *y, const char *sign,
                          const char *words)
{
    const double width = 44 + KEY_CHAR * (double)str_of(words).n + 24;

    if (*x + width > p->width && *x > MARGIN) {
        *x = MARGIN;
        *y += TEXT_LINE;
    }
    buf_printf(p->out,
               "  <g transform=\"translate(%.1f,%.1f)\">%s<text class=\"text\" x=\"42\" "
               "y=\"4\">%s</text></g>\n",
               *x, *y, sign, words);
    *x += width;
}

/* Returns its last line. */
static double put_key(const struct picture *p)
{
    static const char *const words[KINDS] = {"declared", "observed", "on a cycle",
                                             "against the declared order"};
    double x = MARGIN, y = p->bottom + 26;

    put_key_entry(p, &x, &y,
                  "<rect class=\"box\" x=\"2\" y=\"-7\" width=\"30\" height=\"14\" rx=\"3\"/>",
                  "class of a LockPolicy");
    put_key_entry(p, &x, &y,
                  "<rect class=\"box seen\" x=\"2\" y=\"-7\" width=\"30\" height=\"14\" rx=\"3\"/>",
                  "only observed");
    for (int k = 0; k < KINDS; k++) {
        char sign[160];

        (void)snprintf(sign, sizeof(sign),
                       "<path class=\"%s\" d=\"M0,0 h34\" marker-end=\"url(#%s)\"/>", kind_class[k],
                       kind_tip[k]);
        put_key_entry(p, &x, &y, sign, words[k]);
    }
    return y;
}

/* A sentence below the drawing. */
static void begin_finding(const struct picture *p, const char *class_name, double *y, int indent)
{
    *y += TEXT_LINE;
    buf_printf(p->out, "  <text class=\"%s\" x=\"%d\" y=\"%.1f\">", class_name, MARGIN + indent,
               *y);
}

static void end_finding(const struct picture *p)
{
    buf_text(p->out, "</text>\n");
}

static void put_party(const struct picture *p, const struct lock_view_deadlock *d, uint32_t i)
{
    const struct lock_view_party *const a = &d->parties[i], *const b = &d->parties[(i + 1) % d->n];

    svg_text(p->out, a->pod);
    buf_text(p->out, " thread ");
    svg_text(p->out, a->thread);
    buf_text(p->out, " waits for ");
    svg_text(p->out, a->waits);
    buf_text(p->out, "/");
    svg_text(p->out, a->waits_instance);
    buf_text(p->out, ", held by ");
    svg_text(p->out, b->pod);
    buf_text(p->out, " thread ");
    svg_text(p->out, b->thread);
}

static void put_deadlocks(const struct picture *p, double *y)
{
    for (uint32_t i = 0; i < p->v->n_deadlocks && i < FINDINGS; i++) {
        const struct lock_view_deadlock *const d = &p->v->deadlocks[i];

        begin_finding(p, "wrong", y, 0);
        buf_printf(p->out, "Deadlock, %s, for ", d->confirmed ? "confirmed" : "seen once");
        draw_duration(p->out, d->duration_ns);
        buf_text(p->out, ":");
        end_finding(p);
        for (uint32_t k = 0; k < d->n && k < FINDINGS; k++) {
            begin_finding(p, "wrong", y, 16);
            put_party(p, d, k);
            end_finding(p);
        }
    }
}

static void put_violations(const struct picture *p, double *y)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->v->n_edges && n < FINDINGS; i++) {
        const struct lock_view_edge *const e = &p->v->edges[i];

        if (!e->violation)
            continue;
        begin_finding(p, "wrong", y, 0);
        svg_text(p->out, name_of(p, e->to));
        buf_text(p->out, " was acquired while ");
        svg_text(p->out, name_of(p, e->from));
        buf_printf(p->out, " was held, %llu\u00d7 by ", (unsigned long long)e->count);
        count_of(p->out, e->reporters, "reporter", "reporters");
        buf_text(p->out, ", against the declared order");
        end_finding(p);
        n++;
    }
}

static void put_cycles(const struct picture *p, double *y)
{
    for (uint32_t i = 0; i < p->v->n_cycles && i < FINDINGS; i++) {
        struct buf line = {0};

        begin_finding(p, "maybe", y, 0);
        buf_text(p->out, p->v->cycles[i].declared ? "Policies contradict each other: "
                                                  : "Potential cycle: ");
        draw_cycle(&line, p->v, &p->v->cycles[i], " > ");
        svg_text(p->out, buf_view(&line));
        p->out->failed = p->out->failed || line.failed;
        buf_free(&line);
        end_finding(p);
    }
}

static void put_left_out(const struct picture *p, double *y)
{
    if (p->l->left_out_edges) {
        begin_finding(p, "text", y, 0);
        count_of(p->out, p->l->left_out_edges, "edge that follows", "edges that follow");
        buf_text(p->out, " from others not drawn");
        end_finding(p);
    }
    if (p->l->left_out_classes) {
        begin_finding(p, "text", y, 0);
        count_of(p->out, p->l->left_out_classes, "class", "classes");
        buf_text(p->out, " not drawn: the other formats have all");
        end_finding(p);
    }
}

/* Returns the lowest line. */
static double put_findings(const struct picture *p, double y)
{
    y += 10;
    put_deadlocks(p, &y);
    put_violations(p, &y);
    put_cycles(p, &y);
    put_left_out(p, &y);
    return y;
}

/* --- the whole --- */

/* The longest sentence, about: a cycle with the long names it has. */
static double longest_sentence(const struct lock_view *v)
{
    size_t chars = 0;

    for (uint32_t i = 0; i < v->n_cycles && i < FINDINGS; i++) {
        size_t n = 40;

        for (uint32_t k = 0; k < v->cycles[i].n; k++)
            n += v->classes[v->cycles[i].classes[k]].name.n + 3;
        chars = n > chars ? n : chars;
    }
    for (uint32_t i = 0; i < v->n_deadlocks && i < FINDINGS; i++) {
        for (uint32_t k = 0; k < v->deadlocks[i].n && k < FINDINGS; k++) {
            const struct lock_view_party *const p = &v->deadlocks[i].parties[k];
            const size_t n = 48 + 2 * (p->pod.n + p->thread.n) + p->waits.n + p->waits_instance.n;

            chars = n > chars ? n : chars;
        }
    }
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const e = &v->edges[i];
        const size_t n = 92 + v->classes[e->from].name.n + v->classes[e->to].name.n;

        chars = e->violation && n > chars ? n : chars;
    }
    return 2 * MARGIN + KEY_CHAR * (double)chars;
}

static void measure(struct picture *p)
{
    const double drawn = GUTTER + p->l->width + MARGIN, longest = longest_sentence(p->v);

    p->left = GUTTER;
    p->width = drawn > MIN_WIDTH ? drawn : MIN_WIDTH;
    if (longest > p->width)
        p->width = longest;
    if (drawn < p->width)
        p->left += (p->width - drawn) / 2;
    p->bottom = p->l->n_rows ? bottom_of(p, p->l->n_rows - 1) + BAND : HEAD;
}

int draw_svg(struct buf *out, const struct lock_view *v)
{
    struct layout *l;
    struct buf words = {0};
    const int rc = layout_new(&l, v);

    if (rc)
        return rc;
    struct picture p = {.out = &words, .v = v, .l = l};
    measure(&p);
    p.height = put_findings(&p, put_key(&p)) + MARGIN;
    p.out = out;
    put_head(&p);
    put_bands(&p);
    put_lines(&p);
    for (uint32_t i = 0; i < l->n_boxes; i++)
        put_box(&p, &l->boxes[i]);
    for (uint32_t i = 0; i < l->n_lines; i++)
        put_count(&p, &l->lines[i]);
    buf_str(out, buf_view(&words));
    svg_close(out);
    out->failed = out->failed || words.failed;
    buf_free(&words);
    layout_free(l);
    return out->failed ? -ENOMEM : 0;
}
