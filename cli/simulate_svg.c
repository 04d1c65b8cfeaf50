/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runs as a chart: three courses over the arrivals, and where the pods ended. Runs are told
 * apart by color, by dashes and by a word at the end of their line.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/svg.h"
#include "cli/simulate_report.h"

enum {
    MARGIN = 28,
    PANEL_WIDTH = 470,
    PANEL_HEIGHT = 210,
    PANEL_GAP = 44,
    AXIS_LEFT = 54, /* room for the numbers of an axis */
    AXIS_RIGHT = 66,
    TITLE = 44,
    HEAD = 118,
    BAR = 26,
    TICKS = 4,
    LABEL_LINE = 14,
};

static const char style[] =
    "    .page { fill: #ffffff; }\n"
    "    .plot { fill: #f6f8fa; }\n"
    "    .grid { stroke: #d0d7de; }\n"
    "    .axis { stroke: #57606a; }\n"
    "    .run0, .run1, .run2, .run3 { fill: none; stroke-width: 2.4; stroke-linejoin: round; }\n"
    "    .run0 { stroke: #d55e00; }\n"
    "    .run1 { stroke: #0072b2; }\n"
    "    .run2 { stroke: #b8860b; stroke-dasharray: 7 4; }\n"
    "    .run3 { stroke: #009e73; stroke-dasharray: 2 3; }\n"
    "    .end0 { fill: #a84600; }\n"
    "    .end1 { fill: #005a8c; }\n"
    "    .end2 { fill: #7a5900; }\n"
    "    .end3 { fill: #00694d; }\n"
    "    .one { fill: #4393c3; }\n"
    "    .two { fill: #92c5de; }\n"
    "    .more { fill: #d1e5f0; }\n"
    "    .pool { fill: #d0d7de; }\n"
    "    .left { fill: #fddbc7; stroke: #b2182b; stroke-dasharray: 4 2; }\n"
    "    .gone { fill: #f4a582; stroke: #b2182b; }\n"
    "    text { fill: #1f2328; font: 12px " SVG_SANS "; }\n"
    "    .head { font: bold 17px " SVG_SANS "; }\n"
    "    .text { fill: #424a53; }\n"
    "    .name { font: bold 13px " SVG_SANS "; }\n"
    "    .hint { fill: #57606a; font: 11px " SVG_SANS "; }\n"
    "    .right { fill: #57606a; font: 11px " SVG_SANS "; text-anchor: end; }\n"
    "    .mid { fill: #57606a; font: 11px " SVG_SANS "; text-anchor: middle; }\n"
    "    .value { font: 11px " SVG_SANS "; text-anchor: middle; }\n"
    "    .end { font: bold 12px " SVG_SANS "; }\n";

/* What a course shows of a point, in thousandths of what its axis counts; -1: nothing. */
typedef int64_t value_of(const struct simulate_point *p);

static int64_t refusals_of(const struct simulate_point *p)
{
    return (int64_t)p->refusals * 1000;
}

static int64_t broken_of(const struct simulate_point *p)
{
    return (int64_t)p->broken * 100; /* percent */
}

static int64_t distance_of(const struct simulate_point *p)
{
    return p->distance ? (int64_t)p->distance : -1;
}

struct panel {
    const char *title, *hint;
    value_of *value;
    int64_t least;      /* where the axis begins, thousandths */
    int decimals;       /* of the number at the end of a line */
    const char *suffix; /* of the axis' numbers */
};

static const struct panel panels[] = {
    {"Refused by kubelets", "pods, all so far", refusals_of, 0, 0, ""},
    {"Broken zones", "of a free CPU, how much of its zone is taken", broken_of, 0, 1, " %"},
    {"Access distance", "mean of the pods placed so far; 10 = all memory is local", distance_of,
     10000, 2, ""},
};

/* --- axes --- */

/* The least of 1, 2, 5 times a power of ten of which `ticks` cover the span. */
static int64_t step_of(int64_t span, int ticks)
{
    int64_t unit = 1;

    for (;; unit *= 10) {
        if (unit * ticks >= span)
            return unit;
        if (2 * unit * ticks >= span)
            return 2 * unit;
        if (5 * unit * ticks >= span)
            return 5 * unit;
    }
}

struct axes {
    double x, y, width, height; /* of the plot */
    int64_t least, most;        /* thousandths */
    uint32_t pods;
};

static double x_of(const struct axes *a, uint32_t arrived)
{
    return a->x + a->width * arrived / a->pods;
}

static double y_of(const struct axes *a, int64_t v)
{
    return a->y + a->height - a->height * (double)(v - a->least) / (double)(a->most - a->least);
}

static void put_number(char out[32], int64_t v, int decimals)
{
    if (decimals == 0)
        (void)snprintf(out, 32, "%lld", (long long)(v / 1000));
    else if (decimals == 1)
        (void)snprintf(out, 32, "%lld.%lld", (long long)(v / 1000), (long long)(v % 1000 / 100));
    else
        (void)snprintf(out, 32, "%lld.%02lld", (long long)(v / 1000), (long long)(v % 1000 / 10));
}

/* As many as the step needs. */
static int decimals_of(int64_t step)
{
    return step % 1000 == 0 ? 0 : step % 100 == 0 ? 1 : 2;
}

static void put_axes(struct buf *out, const struct axes *a, const struct panel *p, int64_t step)
{
    const int64_t across = step_of((int64_t)a->pods * 1000, 5) / 1000;
    const uint32_t x_step = across > 0 ? (uint32_t)across : 1;
    char number[32];

    svg_rect(out, "plot", a->x, a->y, a->width, a->height, 0);
    for (int64_t v = a->least; v <= a->most; v += step) {
        put_number(number, v, decimals_of(step));
        svg_line(out, "grid", a->x, y_of(a, v), a->x + a->width, y_of(a, v));
        svg_words(out, "right", a->x - 7, y_of(a, v) + 4, "%s%s", number, p->suffix);
    }
    for (uint32_t n = 0; n <= a->pods; n += x_step)
        svg_words(out, "mid", x_of(a, n), a->y + a->height + 17, "%u", n);
    svg_line(out, "axis", a->x, a->y + a->height, a->x + a->width, a->y + a->height);
    svg_words(out, "mid", a->x + a->width / 2, a->y + a->height + 33, "pods arrived");
}

/* --- courses --- */

static int64_t highest(const struct simulate_report *r, const struct panel *p)
{
    int64_t most = p->least;

    for (uint32_t i = 0; i < r->n_runs; i++) {
        for (uint32_t k = 0; k < r->runs[i].result.n_points; k++) {
            const int64_t v = p->value(&r->runs[i].result.points[k]);
            most = v > most ? v : most;
        }
    }
    return most;
}

static void put_course(struct buf *out, const struct axes *a, const struct panel *p,
                       const struct simulate_result *r, uint32_t run)
{
    const char *word = "M";

    buf_printf(out, "  <path class=\"run%u\" d=\"", run);
    for (uint32_t k = 0; k < r->n_points; k++) {
        const int64_t v = p->value(&r->points[k]);

        if (v < 0)
            continue;
        buf_printf(out, "%s%.1f,%.1f", word, x_of(a, r->points[k].arrived), y_of(a, v));
        word = " L";
    }
    buf_text(out, word[0] == 'M' ? "M0,0" : "");
    buf_text(out, "\"/>\n");
}

/* The last value of each run, moved apart where they would lie on top of each other. */
static void put_ends(struct buf *out, const struct axes *a, const struct panel *p,
                     const struct simulate_report *r)
{
    double at[SIMULATE_RUNS];
    uint32_t order[SIMULATE_RUNS], n = 0;

    for (uint32_t i = 0; i < r->n_runs; i++) {
        const struct simulate_result *const k = &r->runs[i].result;
        const int64_t v = p->value(&k->points[k->n_points - 1]);
        uint32_t j = n;

        if (v < 0)
            continue;
        at[i] = y_of(a, v) + 4;
        for (; j > 0 && at[order[j - 1]] > at[i]; j--)
            order[j] = order[j - 1];
        order[j] = i;
        n++;
    }
    for (uint32_t j = 1; j < n; j++) {
        if (at[order[j]] < at[order[j - 1]] + LABEL_LINE)
            at[order[j]] = at[order[j - 1]] + LABEL_LINE;
    }
    const double below = n ? at[order[n - 1]] - (a->y + a->height + 6) : 0;
    for (uint32_t j = 0; j < n; j++) {
        const uint32_t i = order[j];
        const struct simulate_result *const k = &r->runs[i].result;
        char number[32], class_name[16];

        put_number(number, p->value(&k->points[k->n_points - 1]), p->decimals);
        (void)snprintf(class_name, sizeof(class_name), "end end%u", i);
        svg_words(out, class_name, a->x + a->width + 8, at[i] - (below > 0 ? below : 0), "%s%s",
                  number, p->suffix);
    }
}

static void put_panel(struct buf *out, const struct simulate_report *r, const struct panel *p,
                      double x, double y)
{
    const int64_t most = highest(r, p), span = most - p->least;
    const int64_t step = step_of(span > 1000 || p->least ? span > 0 ? span : 1000 : 4000, TICKS);
    const int64_t steps = span > 0 ? (span + step - 1) / step : TICKS;
    const struct axes a = {.x = x + AXIS_LEFT,
                           .y = y + TITLE,
                           .width = PANEL_WIDTH - AXIS_LEFT - AXIS_RIGHT,
                           .height = PANEL_HEIGHT,
                           .least = p->least,
                           .most = p->least + (steps > 0 ? steps : 1) * step,
                           .pods = r->pods};

    svg_words(out, "name", x, y + 14, "%s", p->title);
    svg_words(out, "hint", x, y + 31, "%s", p->hint);
    put_axes(out, &a, p, step);
    for (uint32_t i = r->n_runs; i-- > 0;)
        put_course(out, &a, p, &r->runs[i].result, i);
    put_ends(out, &a, p, r);
}

/* --- where they ended --- */

struct part {
    const char *class_name, *words;
};

static const struct part parts[] = {
    {"one", "in one zone"},       {"two", "in two"},
    {"more", "in more"},          {"pool", "in no zone of their own"},
    {"left", "no node was left"}, {"gone", "refused each time"},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static void part_counts(uint32_t out[PARTS], const struct simulate_result *r)
{
    const uint32_t counts[PARTS] = {r->zones[1], r->zones[2], r->zones[3],
                                    r->zones[0], r->pending,  r->given_up};

    memcpy(out, counts, sizeof(counts));
}

static void put_bar(struct buf *out, const struct simulate_report *r, uint32_t run, double x,
                    double y, double width)
{
    uint32_t counts[PARTS];
    double at = x;

    part_counts(counts, &r->runs[run].result);
    for (int k = 0; k < PARTS; k++) {
        const double w = width * counts[k] / r->pods;
        char number[16];

        (void)snprintf(number, sizeof(number), "%u", counts[k]);
        if (counts[k] == 0)
            continue;
        svg_rect(out, parts[k].class_name, at, y, w, BAR, 0);
        if (w > svg_width(str_of(number), 11) + 4)
            svg_words(out, "value", at + w / 2, y + 17, "%s", number);
        at += w;
    }
}

static void put_part_key(struct buf *out, const struct simulate_report *r, double x, double y,
                         double right)
{
    const double left = x;

    for (int k = 0; k < PARTS; k++) {
        const double width = 18 + svg_width(str_of(parts[k].words), 11) + 14;
        bool any = false;

        for (uint32_t i = 0; i < r->n_runs; i++) {
            uint32_t counts[PARTS];

            part_counts(counts, &r->runs[i].result);
            any = any || counts[k];
        }
        if (!any)
            continue;
        if (x > left && x + width > right) {
            x = left;
            y += 18;
        }
        svg_rect(out, parts[k].class_name, x, y, 12, 12, 0);
        svg_words(out, "hint", x + 18, y + 10, "%s", parts[k].words);
        x += width;
    }
}

static void run_name(char *out, size_t room, const struct simulate_run *run)
{
    (void)snprintf(out, room, "%s%s%s", simulate_placer_text(run->placer),
                   run->setup[0] ? ", " : "", run->setup);
}

static void put_ending(struct buf *out, const struct simulate_report *r, double x, double y)
{
    const double width = PANEL_WIDTH - 12;
    char name[160];

    svg_words(out, "name", x, y + 14, "Where the pods ended");
    svg_words(out, "hint", x, y + 31, "of all that arrived");
    y += TITLE;
    for (uint32_t i = 0; i < r->n_runs; i++) {
        run_name(name, sizeof(name), &r->runs[i]);
        svg_words(out, "text", x, y + 12, "%s", name);
        put_bar(out, r, i, x, y + 18, width);
        y += 18 + BAR + 10;
    }
    put_part_key(out, r, x, y + 6, x + width);
}

/* --- the whole --- */

static void put_key(struct buf *out, const struct simulate_report *r)
{
    double x = MARGIN;
    char name[160];

    for (uint32_t i = 0; i < r->n_runs; i++) {
        run_name(name, sizeof(name), &r->runs[i]);
        buf_printf(out, "  <path class=\"run%u\" d=\"M%.1f,88 h30\"/>\n", i, x);
        svg_words(out, "text", x + 38, 92, "%s", name);
        x += 38 + svg_width(str_of(name), 12) + 24;
    }
}

static double key_width(const struct simulate_report *r)
{
    double x = 2 * MARGIN;
    char name[160];

    for (uint32_t i = 0; i < r->n_runs; i++) {
        run_name(name, sizeof(name), &r->runs[i]);
        x += 38 + svg_width(str_of(name), 12) + 24;
    }
    return x;
}

static void put_subtitle(struct buf *out, const struct simulate_report *r)
{
    buf_printf(out, "%u pods of %u %s; seed %llu", r->pods, r->n_shapes,
               r->n_shapes == 1 ? "workload" : "workloads", (unsigned long long)r->seed);
    if (r->lifetime)
        buf_printf(out, "; each stays for %u arrivals on average", r->lifetime);
    buf_printf(out, "; a pod that a kubelet refuses is made up to %u times", r->tries);
}

void simulate_svg(struct buf *out, const struct simulate_report *r)
{
    const double down = TITLE + PANEL_HEIGHT + PANEL_GAP + 24;
    const double bars = TITLE + r->n_runs * (18.0 + BAR + 10) + 48;
    const double height = HEAD + down + (bars > down - 24 ? bars : down - 24),
                 wide = 2 * MARGIN + 2 * PANEL_WIDTH + 20;
    const double key = key_width(r), width = key > wide ? key : wide;
    const double right = MARGIN + PANEL_WIDTH + 20;
    struct buf title = {0}, subtitle = {0};

    buf_printf(&title, "%u pods on %u nodes", r->pods, r->runs[0].result.nodes);
    if (r->n_runs == 2)
        buf_printf(&title, ": %lld refusals avoided", (long long)simulate_avoided(r));
    put_subtitle(&subtitle, r);
    svg_open(out, width, height, buf_view(&title), buf_view(&subtitle), style);
    svg_words(out, "head", MARGIN, 36, "%.*s", STR_ARG(buf_view(&title)));
    svg_words(out, "text", MARGIN, 60, "%.*s", STR_ARG(buf_view(&subtitle)));
    put_key(out, r);
    put_panel(out, r, &panels[0], MARGIN, HEAD);
    put_panel(out, r, &panels[1], right, HEAD);
    put_panel(out, r, &panels[2], MARGIN, HEAD + down);
    put_ending(out, r, right, HEAD + down);
    svg_close(out);
    out->failed = out->failed || title.failed || subtitle.failed;
    buf_free(&title);
    buf_free(&subtitle);
}
