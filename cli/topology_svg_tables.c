/* SPDX-License-Identifier: Apache-2.0 */
/* Below the machine: distances, how devices meet, and what the colors and letters say. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/svg.h"
#include "cli/topology_svg_parts.h"
#include "scoring/node_view.h"
#include "topology/cpuset.h"

enum { CELL_W = 38, CELL_H = 22, LABEL_W = 34, TITLE = 24, LINE = 20, KEY_GAP = 18 };

/* --- distances --- */

/* The same on every machine, so that pictures compare. */
static const char *shade(uint32_t d)
{
    return d <= TOPO_LOCAL ? "d0" : d <= 15 ? "d1" : d <= 20 ? "d2" : d <= 28 ? "d3" : "d4";
}

static double put_distances(const struct svg_machine *p, double x, double y, double *right)
{
    const struct topo_machine *const m = p->m;
    const double left = x + LABEL_W + 34, top = y + TITLE + 18;
    svg_words(p->out, "name", x, y + 14, "Distances");
    svg_words(p->out, "hint", x + 78, y + 14, "%s",
              m->has_distances ? "10 = local; row: the CPU's zone, column: the memory's"
                               : "not known: 10 and 20 are assumed");
    for (uint32_t i = 0; i < m->n_zones; i++) {
        svg_words(p->out, "text mid", left + (i + 0.5) * CELL_W, top - 5, "%u", m->zones[i].id);
        svg_words(p->out, "text right", left - 8, top + i * CELL_H + 15, "zone %u", m->zones[i].id);
        for (uint32_t j = 0; j < m->n_zones; j++) {
            const uint32_t d = m->distances.d[i * m->n_zones + j];

            svg_rect(p->out, shade(d), left + j * CELL_W, top + i * CELL_H, CELL_W, CELL_H, 0);
            svg_words(p->out, "mid", left + (j + 0.5) * CELL_W, top + i * CELL_H + 15, "%u", d);
        }
    }
    const double words =
                     x + 78 +
                     svg_width(STR("10 = local; row: the CPU's zone, column: the memory's"), 10),
                 cells = left + m->n_zones * CELL_W;
    *right = words > cells ? words : cells;
    return top + m->n_zones * CELL_H;
}

/* --- how devices meet --- */

static bool meets(const struct svg_chip *c)
{
    return c->index != UINT32_MAX &&
           (c->kind == TOPO_GPU || c->kind == TOPO_NIC || c->kind == TOPO_INFINIBAND);
}

static enum topo_link link_of(const struct svg_machine *p, const struct svg_chip *a,
                              const struct svg_chip *b)
{
    if (a == b)
        return TOPO_LINK_SELF;
    return p->view ? node_device_link(p->view, a->index, b->index)
                   : topo_device_link(p->m, a->index, b->index);
}

static const char *link_class(enum topo_link link)
{
    static const char *const classes[] = {"l-x",   "l-nv",   "l-pix",  "l-pxb",
                                          "l-phb", "l-node", "l-sock", "l-sys"};

    return classes[link];
}

static uint32_t collect(const struct svg_chip **out, const struct svg_machine *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n_chips; i++) {
        if (!meets(&p->chips[i]))
            continue;
        if (n < SVG_MEET_DEVICES)
            out[n] = &p->chips[i];
        n++;
    }
    return n;
}

static double put_meeting(const struct svg_machine *p, double x, double y, double *right)
{
    const struct svg_chip *c[SVG_MEET_DEVICES];
    const uint32_t n = collect(c, p);
    const double left = x + 140, top = y + TITLE + 18;
    char name[64];

    if (n < 2)
        return y;
    svg_words(p->out, "name", x, y + 14, "How devices meet");
    if (n > SVG_MEET_DEVICES) {
        svg_words(p->out, "text", x, y + 36, "%u devices are too many for a table", n);
        *right = x + 280;
        return y + 44;
    }
    for (uint32_t i = 0; i < n; i++) {
        svg_short(name, sizeof(name), c[i]->name, SVG_NAME_CHARS);
        svg_words(p->out, "text mid", left + (i + 0.5) * CELL_W, top - 5, "%u", i + 1);
        svg_words(p->out, "text right", left - 26, top + i * CELL_H + 15, "%s", name);
        svg_words(p->out, "text right", left - 6, top + i * CELL_H + 15, "%u", i + 1);
        for (uint32_t k = 0; k < n; k++) {
            const enum topo_link link = link_of(p, c[i], c[k]);

            svg_rect(p->out, link_class(link), left + k * CELL_W, top + i * CELL_H, CELL_W, CELL_H,
                     0);
            if (link != TOPO_LINK_SELF)
                svg_words(p->out, "mid", left + (k + 0.5) * CELL_W, top + i * CELL_H + 15, "%s",
                          topo_link_text(link));
        }
    }
    *right = left + n * CELL_W;
    return top + n * CELL_H;
}

/* What the shades of the matrix say, below it. */
static double put_link_key(const struct svg_machine *p, double x, double y, double *right)
{
    static const char *const words[] = {"",
                                        "a link of their own (NVLink)",
                                        "one PCIe bridge",
                                        "several bridges",
                                        "the same host bridge",
                                        "the same zone",
                                        "the same package",
                                        "across packages"};
    const struct svg_chip *c[SVG_MEET_DEVICES];
    const uint32_t n = collect(c, p);
    uint32_t seen = 0, shown = 0;

    if (n < 2 || n > SVG_MEET_DEVICES)
        return y;
    for (uint32_t i = 0; i < n * n; i++)
        seen |= 1u << link_of(p, c[i / n], c[i % n]);
    for (int link = TOPO_LINK_DIRECT; link <= TOPO_LINK_FAR; link++) {
        const double at = x + shown % 2 * 230, top = y + 8 + shown / 2 * (double)LINE;

        if (!(seen >> link & 1))
            continue;
        svg_rect(p->out, link_class((enum topo_link)link), at, top, CELL_W, 16, 0);
        svg_words(p->out, "mid", at + CELL_W / 2.0, top + 12, "%s",
                  topo_link_text((enum topo_link)link));
        svg_words(p->out, "text", at + CELL_W + 8, top + 12, "%s", words[link]);
        shown++;
    }
    if (x + 460 > *right)
        *right = x + 460;
    return y + 8 + (shown + 1) / 2 * (double)LINE;
}

double svg_tables(const struct svg_machine *p, double y, double *width)
{
    double right = SVG_MARGIN, end, other_right, other;

    end = put_distances(p, SVG_MARGIN, y, &right);
    double x = right + 40, top = y;
    other_right = x;
    if (x + 500 > *width && x + 140 + CELL_W * 4 > *width) { /* no room beside: below */
        x = SVG_MARGIN;
        top = end + 16;
        other_right = right;
    }
    other = put_meeting(p, x, top, &other_right);
    if (other > top)
        other = put_link_key(p, x, other, &other_right);
    right = other_right > right ? other_right : right;
    if (right + SVG_MARGIN > *width)
        *width = right + SVG_MARGIN;
    return other > end ? other : end;
}

/* --- the legend --- */

static double key(const struct svg_machine *p, const char *class_name, double x, double y,
                  const char *words)
{
    svg_rect(p->out, class_name, x, y, SVG_CELL_WIDTH, 14, 2);
    svg_words(p->out, "text", x + SVG_CELL_WIDTH + 8, y + 11, "%s", words);
    return x + SVG_CELL_WIDTH + 8 + svg_width(str_of(words), 12) + KEY_GAP;
}

static void put_holdings(struct buf *out, const struct svg_machine *p, const struct node_pod *k)
{
    uint64_t cpus[TOPO_MAX_CPUS / 64] = {0}, memory = 0;
    uint32_t devices = 0;
    char size[24];

    for (uint32_t h = 0; h < k->n_holdings; h++) {
        const struct node_holding *const g = &k->holdings[h];

        for (uint32_t w = 0; g->cpus && w < p->view->cpu_words; w++)
            cpus[w] |= g->cpus[w];
        for (uint32_t b = 0; b < g->n_blocks; b++)
            memory += g->blocks[b].bytes;
        if (g->devices)
            devices += cpuset_count(g->devices, node_device_words(p->view));
    }
    const uint32_t n = cpuset_count(cpus, p->view->cpu_words);
    if (k->placement == NODE_POD_UNPLACED)
        buf_text(out, "its zones are not known");
    if (n) {
        buf_printf(out, "%u CPUs (", n);
        cpuset_format(out, cpus, p->view->cpu_words);
        buf_text(out, ")");
    }
    if (memory) {
        svg_size(size, memory);
        buf_printf(out, "%s%s", n ? ", " : "", size);
    }
    if (devices)
        buf_printf(out, "%s%u %s", n || memory ? ", " : "", devices,
                   devices == 1 ? "device" : "devices");
}

static double put_pod(const struct svg_machine *p, uint32_t pod, double y, double *width)
{
    const struct node_pod *const k = &p->view->pods[pod - 1];
    struct buf words = {0};
    char class_name[16], letter[8];

    buf_printf(&words, "%.*s/%.*s: ", STR_ARG(k->ns), STR_ARG(k->name));
    put_holdings(&words, p, k);
    svg_pod_class(class_name, pod);
    svg_pod_letter(letter, pod);
    svg_rect(p->out, class_name, SVG_MARGIN, y, SVG_CELL_WIDTH, 16, 2);
    svg_words(p->out, "own", SVG_MARGIN + SVG_CELL_WIDTH / 2.0, y + 12, "%s", letter);
    svg_words(p->out, "text", SVG_MARGIN + SVG_CELL_WIDTH + 8, y + 12, "%.*s",
              STR_ARG(buf_view(&words)));
    const double end = 2 * SVG_MARGIN + SVG_CELL_WIDTH + 8 + svg_width(buf_view(&words), 12);
    *width = end > *width ? end : *width;
    p->out->failed = p->out->failed || words.failed;
    buf_free(&words);
    return y + LINE;
}

static double put_pods(const struct svg_machine *p, double y, double *width)
{
    uint32_t told = 0, left_out = 0, others = p->view->n_plain;

    for (uint32_t i = 1; i <= p->view->n_pods; i++) {
        if (!svg_pod_holds(p, i))
            others++;
        else if (told == SVG_PODS)
            left_out++;
        else {
            y = put_pod(p, i, y, width);
            told++;
        }
    }
    if (left_out) {
        svg_words(p->out, "text", SVG_MARGIN, y + 12, "and %u more", left_out);
        y += LINE;
    }
    if (others) {
        svg_words(p->out, "text", SVG_MARGIN, y + 12,
                  "%u more %s nothing alone and %s on the free CPUs", others,
                  others == 1 ? "pod holds" : "pods hold", others == 1 ? "runs" : "run");
        y += LINE;
    }
    return y;
}

double svg_legend(const struct svg_machine *p, double y, double *width)
{
    double x = SVG_MARGIN;
    uint32_t kinds = 0;

    for (uint32_t i = 0; i < p->n_chips; i++)
        kinds |= 1u << p->chips[i].kind;
    x = key(p, "free", x, y, p->view ? "CPU, free" : "CPU");
    if (p->view)
        x = key(p, "system", x, y, "CPU of the system (reserved)");
    x = key(p, "l3", x, y, "cores that share an L3 cache");
    for (int k = TOPO_GPU; k <= TOPO_OTHER; k++) {
        if (kinds >> k & 1)
            x = key(p, svg_kind_class((enum topo_device_kind)k), x, y,
                    svg_kind_text((enum topo_device_kind)k));
    }
    if (!p->view && p->n_chips)
        x = key(p, "bridge", x, y, "below one PCIe bridge");
    *width = x + SVG_MARGIN - KEY_GAP > *width ? x + SVG_MARGIN - KEY_GAP : *width;
    y += LINE + 4;
    return p->view ? put_pods(p, y, width) : y;
}
