/* SPDX-License-Identifier: Apache-2.0 */
/* Packages, and in them zones: memory, L3 groups of cores, devices. */
#include "cli/topology_svg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/svg.h"
#include "cli/topology_svg_parts.h"
#include "scoring/node_view.h"
#include "topology/cpuset.h"

enum {
    HEAD = 76,
    PAD = 10,
    ZONE_HEAD = 24,
    LINE = 16,
    L3_HEAD = 18,
    CORE_GAP = 3,
    MEMORY_BAR = 12,
    CHIP_HEIGHT = 20,
    CHIP_GAP = 5,
    PACKAGE_HEAD = 26,
    MAX_CORES_A_ROW = 16,
    MIN_ZONE_WIDTH = 250,
};

static const char style[] = "    .page { fill: #ffffff; }\n"
                            "    .package { fill: #eaeef2; stroke: #6e7781; }\n"
                            "    .zone { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }\n"
                            "    .l3 { fill: #f6f8fa; stroke: #d0d7de; }\n"
                            "    .free { fill: #ffffff; stroke: #8c959f; }\n"
                            "    .system { fill: #d0d7de; stroke: #6e7781; }\n"
                            "    .pod0 { fill: #ffd8a8; stroke: #8a4b00; }\n"
                            "    .pod1 { fill: #a5d8ff; stroke: #0b5394; }\n"
                            "    .pod2 { fill: #b2f2bb; stroke: #1b6e33; }\n"
                            "    .pod3 { fill: #eebefa; stroke: #7b2d8e; }\n"
                            "    .pod4 { fill: #fff3a3; stroke: #7a6a00; }\n"
                            "    .pod5 { fill: #ffc9c9; stroke: #a61e1e; }\n"
                            "    .pod6 { fill: #99e9f2; stroke: #0b6e7a; }\n"
                            "    .pod7 { fill: #d0bfff; stroke: #4b2fa6; }\n"
                            "    .bus { fill: none; stroke: #8c959f; }\n"
                            "    .bridge { fill: #eaeef2; stroke: #8c959f; }\n"
                            "    .chip { fill: #ffffff; stroke: #57606a; }\n"
                            "    .gpu { fill: #1a7f37; }\n"
                            "    .nic { fill: #0969da; }\n"
                            "    .rdma { fill: #8250df; }\n"
                            "    .disk { fill: #9a6700; }\n"
                            "    .other { fill: #6e7781; }\n"
                            "    .used { fill: #8c959f; }\n"
                            "    .bar { fill: #ffffff; stroke: #57606a; }\n"
                            "    .d0, .l-x { fill: #ffffff; stroke: #d0d7de; }\n"
                            "    .d1, .l-phb, .l-node { fill: #ddf4ff; stroke: #ffffff; }\n"
                            "    .d2, .l-pxb { fill: #b6e3ff; stroke: #ffffff; }\n"
                            "    .d3, .l-pix { fill: #80ccff; stroke: #ffffff; }\n"
                            "    .d4, .l-nv { fill: #54aeff; stroke: #ffffff; }\n"
                            "    .l-sock { fill: #fff1e5; stroke: #ffffff; }\n"
                            "    .l-sys { fill: #ffd8b5; stroke: #ffffff; }\n"
                            "    text { fill: #1f2328; font: 11px " SVG_SANS "; }\n"
                            "    .head { font: bold 17px " SVG_SANS "; }\n"
                            "    .text { fill: #424a53; font: 12px " SVG_SANS "; }\n"
                            "    .name { font: bold 13px " SVG_SANS "; }\n"
                            "    .right { text-anchor: end; }\n"
                            "    .mid { text-anchor: middle; }\n"
                            "    .hint { fill: #57606a; font: 10px " SVG_SANS "; }\n"
                            "    .cpu { font: 9.5px " SVG_SANS "; text-anchor: middle; }\n"
                            "    .own { font: bold 11px " SVG_SANS "; text-anchor: middle; }\n";

/* --- measures --- */

/* One L3 group of a zone, or all its cores where nothing is known of caches. */
struct l3 {
    uint16_t id;
    uint32_t cores, threads; /* most CPUs of one core */
};

struct zone_box {
    uint32_t zone;
    struct l3 *l3s; /* [n_l3s] by their first CPU */
    uint32_t n_l3s, per_row, l3_columns;
    double width, height, cores_height, l3_width;
};

struct package {
    uint32_t socket; /* TOPO_NONE: none */
    uint32_t *zones; /* [n_zones] indices */
    uint32_t n_zones, columns;
    double width, height, x, y, zone_width, zone_height;
};

struct picture {
    struct svg_machine s;
    struct zone_box *zones; /* [m->n_zones] */
    struct package *packages;
    uint32_t n_packages;
    double width, height;
};

static bool in_zone(const struct topo_machine *m, uint32_t cpu, uint32_t zone)
{
    return m->cpus[cpu].zone == zone;
}

/* Core by core: the first CPU of each. */
static bool is_first(const struct topo_machine *m, uint32_t cpu)
{
    for (uint32_t i = m->cpus[cpu].core; i < cpu; i++) {
        if (m->cpus[i].zone != TOPO_NONE && m->cpus[i].core == m->cpus[cpu].core)
            return false;
    }
    return true;
}

static uint32_t threads_of(const struct topo_machine *m, uint32_t first)
{
    uint32_t n = 0;

    for (uint32_t i = first; i < m->n_cpus; i++)
        n += m->cpus[i].zone != TOPO_NONE && m->cpus[i].core == m->cpus[first].core;
    return n;
}

static int find_l3s(struct zone_box *box, const struct topo_machine *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_cpus; i++)
        n += in_zone(m, i, box->zone);
    box->l3s = calloc(n + 1, sizeof(*box->l3s));
    if (!box->l3s)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        uint32_t k = 0;

        if (!in_zone(m, i, box->zone) || !is_first(m, i))
            continue;
        while (k < box->n_l3s && box->l3s[k].id != m->cpus[i].l3)
            k++;
        if (k == box->n_l3s)
            box->l3s[box->n_l3s++] = (struct l3){.id = m->cpus[i].l3};
        const uint32_t threads = threads_of(m, i);
        box->l3s[k].cores++;
        box->l3s[k].threads = threads > box->l3s[k].threads ? threads : box->l3s[k].threads;
    }
    return 0;
}

static double core_height(const struct l3 *l)
{
    return l->threads * SVG_CELL_HEIGHT + CORE_GAP;
}

static double l3_height(const struct zone_box *box, const struct l3 *l)
{
    const uint32_t rows = (l->cores + box->per_row - 1) / box->per_row;

    return L3_HEAD + rows * core_height(l) + PAD - CORE_GAP;
}

static double row_height(const struct zone_box *box, uint32_t first)
{
    double most = 0;

    for (uint32_t k = first; k < first + box->l3_columns && k < box->n_l3s; k++) {
        const double h = l3_height(box, &box->l3s[k]);

        most = h > most ? h : most;
    }
    return most;
}

/* Small groups stand side by side; a large one is as wide as a row of cores may be. */
static void measure_cores(struct zone_box *box)
{
    uint32_t most = 1;

    for (uint32_t k = 0; k < box->n_l3s; k++)
        most = box->l3s[k].cores > most ? box->l3s[k].cores : most;
    box->per_row = most <= 8                 ? most
                   : most <= MAX_CORES_A_ROW ? (most + 1) / 2
                   : most <= 64              ? (most + 3) / 4
                                             : MAX_CORES_A_ROW;
    if (box->per_row > MAX_CORES_A_ROW)
        box->per_row = MAX_CORES_A_ROW;
    box->l3_width = 2 * PAD + box->per_row * (SVG_CELL_WIDTH + CORE_GAP) - CORE_GAP;
    box->l3_columns = box->n_l3s > 1 && box->per_row <= 4 ? 2 : 1;
    for (uint32_t k = 0; k < box->n_l3s; k += box->l3_columns)
        box->cores_height += row_height(box, k) + CHIP_GAP;
    const double cores = box->n_l3s ? 2 * PAD + box->l3_columns * (box->l3_width + CHIP_GAP) : 0;
    box->width = cores > MIN_ZONE_WIDTH ? cores : MIN_ZONE_WIDTH;
}

/* --- devices of a zone --- */

static double chip_width(const struct svg_chip *c)
{
    char words[128];

    svg_chip_words(words, sizeof(words), c);
    return 18 + svg_width(str_of(words), 11) + (c->pod ? 14 : 0);
}

static void put_chip(const struct picture *p, const struct svg_chip *c, double x, double y)
{
    char words[128], class_name[16] = "chip", letter[8];
    const double width = chip_width(c);

    svg_chip_words(words, sizeof(words), c);
    if (c->pod)
        svg_pod_class(class_name, c->pod);
    svg_rect(p->s.out, class_name, x, y, width, CHIP_HEIGHT, 3);
    svg_rect(p->s.out, svg_kind_class(c->kind), x, y, 5, CHIP_HEIGHT, 0);
    svg_words(p->s.out, "device", x + 10, y + 14, "%s", words);
    if (!c->pod)
        return;
    svg_pod_letter(letter, c->pod);
    svg_words(p->s.out, "own", x + width - 10, y + 14, "%s", letter);
}

static bool same_group(const struct svg_chip *a, const struct svg_chip *b)
{
    return a->zones == b->zones && str_eq(a->group, b->group);
}

static bool same_bridge(const struct svg_chip *a, const struct svg_chip *b)
{
    return same_group(a, b) && str_eq(a->path, b->path);
}

/* Chips from left to right, then below; those under one bridge in a box. */
struct flow {
    const struct picture *p; /* what is drawn; NULL: only measured */
    double left, right, x, y;
};

static void flow_one(struct flow *f, const struct svg_chip *c, uint32_t n, bool boxed)
{
    double width = 8;

    for (uint32_t i = 0; i < n; i++)
        width += chip_width(&c[i]) + CHIP_GAP;
    if (f->x > f->left && f->x + width > f->right) {
        f->x = f->left;
        f->y += CHIP_HEIGHT + 2 * CHIP_GAP;
    }
    if (f->p && boxed)
        svg_rect(f->p->s.out, "bridge", f->x - 3, f->y - 3, width - 6, CHIP_HEIGHT + 6, 4);
    for (uint32_t i = 0; i < n; i++) {
        if (f->p)
            put_chip(f->p, &c[i], f->x, f->y);
        f->x += chip_width(&c[i]) + CHIP_GAP;
    }
    f->x += boxed ? 6 : 2;
}

/* As many chips below one bridge as fit into a row. */
static uint32_t fitting(const struct flow *f, const struct svg_chip *c, uint32_t n)
{
    double width = 8;
    uint32_t i = 0;

    for (; i < n; i++) {
        width += chip_width(&c[i]) + CHIP_GAP;
        if (i > 0 && width > f->right - f->left)
            break;
    }
    return i;
}

/* One bus, or one resource of a plugin. Returns where it ends. */
static double put_group(const struct picture *p, bool draw, const struct svg_chip *c, uint32_t n,
                        double x, double y, double width)
{
    const uint32_t shown = n > SVG_GROUP_CHIPS ? SVG_GROUP_CHIPS - 1 : n;
    struct flow f = {draw ? p : NULL, x + 8, x + width - 4, x + 8, y + LINE + 2};

    for (uint32_t i = 0, k; i < shown; i += k) {
        for (k = 1; i + k < shown && c[i].path.n && same_bridge(&c[i], &c[i + k]);)
            k++;
        const bool boxed = k > 1 || (i && c[i].path.n && same_bridge(&c[i - 1], &c[i]));
        k = fitting(&f, &c[i], k);
        flow_one(&f, &c[i], k, boxed);
    }
    if (shown < n) {
        if (f.x + 70 > f.right) {
            f.x = f.left;
            f.y += CHIP_HEIGHT + 2 * CHIP_GAP;
        }
        if (draw)
            svg_words(p->s.out, "text", f.x, f.y + 14, "and %u more", n - shown);
    }
    const double end = f.y + CHIP_HEIGHT + 6;
    if (draw) {
        svg_rect(p->s.out, "bus", x, y, width, end - y, 4);
        if (p->s.view)
            svg_words(p->s.out, "hint", x + 8, y + 12, "%.*s",
                      STR_ARG(c->group.n ? c->group : STR("no resource")));
        else
            svg_words(p->s.out, "hint", x + 8, y + 12, "%s%.*s", c->group.n ? "PCI " : "not on PCI",
                      STR_ARG(c->group));
    }
    return end + CHIP_GAP;
}

/* Devices of exactly these zones. */
static double put_devices(const struct picture *p, bool draw, uint64_t zones, double x, double y,
                          double width)
{
    for (uint32_t i = 0, n; i < p->s.n_chips; i += n) {
        n = 1;
        if (p->s.chips[i].zones != zones)
            continue;
        while (i + n < p->s.n_chips && same_group(&p->s.chips[i], &p->s.chips[i + n]))
            n++;
        y = put_group(p, draw, &p->s.chips[i], n, x, y, width);
    }
    return y;
}

/* --- cores --- */

static void put_cpu(const struct picture *p, uint32_t cpu, double x, double y)
{
    const uint32_t pod = p->s.cpu_pod ? p->s.cpu_pod[cpu] : 0;
    const bool reserved = p->s.view && cpuset_has(p->s.view->cpu_reserved, cpu);
    char class_name[16], letter[8];

    (void)snprintf(class_name, sizeof(class_name), "%s", reserved ? "system" : "free");
    if (pod)
        svg_pod_class(class_name, pod);
    buf_printf(p->s.out, "  <g><title>CPU %u</title>\n", cpu);
    svg_rect(p->s.out, class_name, x, y, SVG_CELL_WIDTH, SVG_CELL_HEIGHT, 2);
    if (pod) {
        svg_pod_letter(letter, pod);
        svg_words(p->s.out, "own", x + SVG_CELL_WIDTH / 2.0, y + 13, "%s", letter);
    } else {
        svg_words(p->s.out, "cpu", x + SVG_CELL_WIDTH / 2.0, y + 13, "%u", cpu);
    }
    buf_text(p->s.out, "  </g>\n");
}

static void put_core(const struct picture *p, uint32_t first, double x, double y)
{
    const struct topo_machine *const m = p->s.m;

    for (uint32_t i = first; i < m->n_cpus; i++) {
        if (m->cpus[i].zone == TOPO_NONE || m->cpus[i].core != m->cpus[first].core)
            continue;
        put_cpu(p, i, x, y);
        y += SVG_CELL_HEIGHT;
    }
}

static void put_l3_name(const struct picture *p, const struct zone_box *box, const struct l3 *l,
                        double x, double y)
{
    const struct topo_machine *const m = p->s.m;
    uint64_t set[TOPO_MAX_CPUS / 64] = {0};
    struct buf list = {0};

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (in_zone(m, i, box->zone) && m->cpus[i].l3 == l->id)
            cpuset_add(set, i);
    }
    cpuset_format(&list, set, cpuset_words(m->n_cpus));
    const size_t most = (size_t)((box->l3_width - 2 * PAD) / svg_width(STR("0"), 10)) - 8;
    svg_words(p->s.out, "hint", x, y, "%s %.*s%s", l->id == TOPO_NONE ? "CPUs" : "L3, CPUs",
              (int)(list.n < most ? list.n : most), list.p ? list.p : "",
              list.n > most ? "\u2026" : "");
    p->s.out->failed = p->s.out->failed || list.failed;
    buf_free(&list);
}

static void put_l3(const struct picture *p, const struct zone_box *box, const struct l3 *l,
                   double x, double y)
{
    const struct topo_machine *const m = p->s.m;
    uint32_t n = 0;

    svg_rect(p->s.out, "l3", x, y, box->l3_width, l3_height(box, l), 4);
    put_l3_name(p, box, l, x + PAD, y + 13);
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (!in_zone(m, i, box->zone) || m->cpus[i].l3 != l->id || !is_first(m, i))
            continue;
        put_core(p, i, x + PAD + n % box->per_row * (double)(SVG_CELL_WIDTH + CORE_GAP),
                 y + L3_HEAD + n / box->per_row * core_height(l));
        n++;
    }
}

/* --- zones --- */

static bool has_figures(const struct topo_zone *z)
{
    return z->read_bandwidth_mbs || z->write_bandwidth_mbs || z->read_latency_ns ||
           z->write_latency_ns;
}

static uint64_t memory_taken(const struct node_view *v, uint32_t zone)
{
    const uint64_t at = (uint64_t)zone * v->n_memory_types;

    return v->state.memory_reserved[at];
}

static bool shows_memory(const struct picture *p, uint32_t zone)
{
    const struct node_view *const v = p->s.view;

    return v && v->kubelet.memory_static &&
           v->memory_allocatable[(uint64_t)zone * v->n_memory_types] > 0;
}

static uint32_t page_lines(const struct topo_zone *z)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < z->n_hugepages; i++)
        n += z->hugepages[i].count > 0;
    return n;
}

static double above_cores(const struct picture *p, uint32_t zone)
{
    const struct topo_zone *const z = &p->s.m->zones[zone];

    return ZONE_HEAD + (has_figures(z) ? LINE : 0) + (double)LINE * page_lines(z) +
           (shows_memory(p, zone) ? MEMORY_BAR + LINE + 4 : 0);
}

static double zone_height(const struct picture *p, uint32_t zone)
{
    const struct zone_box *const box = &p->zones[zone];
    const double top = above_cores(p, zone) + box->cores_height;

    return put_devices(p, false, UINT64_C(1) << zone, PAD, top, box->width - 2 * PAD) + PAD - 4;
}

static void put_memory(const struct picture *p, uint32_t zone, double x, double y, double width)
{
    const struct node_view *const v = p->s.view;
    const uint64_t of = v->memory_allocatable[(uint64_t)zone * v->n_memory_types];
    const uint64_t taken = memory_taken(v, zone) < of ? memory_taken(v, zone) : of;
    char a[24], b[24];

    svg_size(a, taken);
    svg_size(b, of);
    svg_rect(p->s.out, "bar", x, y, width, MEMORY_BAR, 2);
    if (taken)
        svg_rect(p->s.out, "used", x, y, width * (double)taken / (double)of, MEMORY_BAR, 2);
    svg_words(p->s.out, "hint", x, y + MEMORY_BAR + 12, "memory: pods hold %s of %s", a, b);
}

/* What of it is known. */
static void put_figures(const struct picture *p, const struct topo_zone *z, double x, double y)
{
    struct buf words = {0};

    if (z->read_bandwidth_mbs || z->write_bandwidth_mbs)
        buf_printf(&words, "%.1f / %.1f GB/s", z->read_bandwidth_mbs / 1000.0,
                   z->write_bandwidth_mbs / 1000.0);
    if (z->read_latency_ns || z->write_latency_ns)
        buf_printf(&words, "%s%u / %u ns", words.n ? ", " : "", z->read_latency_ns,
                   z->write_latency_ns);
    buf_text(&words, " (read / write)");
    svg_words(p->s.out, "hint", x, y, "%.*s", STR_ARG(buf_view(&words)));
    p->s.out->failed = p->s.out->failed || words.failed;
    buf_free(&words);
}

static double put_zone_words(const struct picture *p, uint32_t zone, double x, double y,
                             double width)
{
    const struct topo_zone *const z = &p->s.m->zones[zone];
    char size[24];

    svg_size(size, z->memory_bytes);
    svg_words(p->s.out, "name", x, y + 17, "NUMA zone %u", z->id);
    svg_words(p->s.out, "text right", x + width, y + 17, "%s",
              z->memory_bytes ? size : "no memory");
    y += ZONE_HEAD;
    if (has_figures(z)) {
        put_figures(p, z, x, y + 11);
        y += LINE;
    }
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (z->hugepages[i].count == 0)
            continue;
        svg_size(size, z->hugepages[i].page_bytes);
        svg_words(p->s.out, "hint", x, y + 11, "%llu huge pages of %s",
                  (unsigned long long)z->hugepages[i].count, size);
        y += LINE;
    }
    return y;
}

static void put_zone(const struct picture *p, uint32_t zone, double x, double y, double height)
{
    const struct zone_box *const box = &p->zones[zone];
    const double inner = box->width - 2 * PAD;
    double at;

    svg_rect(p->s.out, "zone", x, y, box->width, height, 6);
    at = put_zone_words(p, zone, x + PAD, y, inner);
    if (shows_memory(p, zone))
        put_memory(p, zone, x + PAD, at, inner);
    at = y + above_cores(p, zone);
    for (uint32_t k = 0; k < box->n_l3s; k += box->l3_columns) {
        for (uint32_t c = 0; c < box->l3_columns && k + c < box->n_l3s; c++)
            put_l3(p, box, &box->l3s[k + c], x + PAD + c * (box->l3_width + CHIP_GAP), at);
        at += row_height(box, k) + CHIP_GAP;
    }
    (void)put_devices(p, true, UINT64_C(1) << zone, x + PAD, at, inner);
}

/* --- packages --- */

static struct package *package_of(struct picture *p, uint32_t socket)
{
    for (uint32_t i = 0; i < p->n_packages; i++) {
        if (p->packages[i].socket == socket)
            return &p->packages[i];
    }
    p->packages[p->n_packages] = (struct package){.socket = socket};
    return &p->packages[p->n_packages++];
}

static int find_packages(struct picture *p)
{
    const uint32_t n = p->s.m->n_zones;

    p->packages = calloc(n, sizeof(*p->packages));
    p->zones = calloc(n, sizeof(*p->zones));
    if (!p->packages || !p->zones)
        return -ENOMEM;
    for (uint32_t z = 0; z < n; z++) {
        struct package *const k = package_of(p, p->s.m->zones[z].socket);

        if (!k->zones && !(k->zones = calloc(n, sizeof(*k->zones))))
            return -ENOMEM;
        k->zones[k->n_zones++] = z;
        p->zones[z].zone = z;
        if (find_l3s(&p->zones[z], p->s.m))
            return -ENOMEM;
        measure_cores(&p->zones[z]);
    }
    return 0;
}

/* The packages of the row at `y`, which ends before `end`, become as high as the highest. */
static void stretch(struct picture *p, uint32_t end, double y, double height)
{
    for (uint32_t i = 0; i < end; i++) {
        struct package *const k = &p->packages[i];
        const uint32_t rows = (k->n_zones + k->columns - 1) / k->columns;

        if (k->y < y)
            continue;
        k->height = height;
        k->zone_height = (height - PACKAGE_HEAD) / rows - SVG_GAP;
    }
}

/* All zones are as wide as the widest, those of a package as high as the highest. */
static void measure(struct picture *p)
{
    double width = 0, x = SVG_MARGIN, y = HEAD, row = 0;

    for (uint32_t z = 0; z < p->s.m->n_zones; z++)
        width = p->zones[z].width > width ? p->zones[z].width : width;
    for (uint32_t z = 0; z < p->s.m->n_zones; z++) {
        struct zone_box *const box = &p->zones[z];

        box->width = width;
        box->l3_width =
            (width - 2 * PAD - (box->l3_columns - 1) * CHIP_GAP) / (double)box->l3_columns;
    }
    for (uint32_t i = 0; i < p->n_packages; i++) {
        struct package *const k = &p->packages[i];
        const uint32_t fit = (uint32_t)((SVG_PAGE_WIDTH - SVG_GAP) / (width + SVG_GAP));

        k->columns = fit < 1 ? 1 : fit < k->n_zones ? fit : k->n_zones;
        if (k->n_zones > k->columns) /* even rows: 8 of at most 5 are 4 and 4 */
            k->columns = (k->n_zones + (k->n_zones - 1) / k->columns) /
                         ((k->n_zones + k->columns - 1) / k->columns);
        for (uint32_t z = 0; z < k->n_zones; z++) {
            const double h = zone_height(p, k->zones[z]);
            k->zone_height = h > k->zone_height ? h : k->zone_height;
        }
        const uint32_t rows = (k->n_zones + k->columns - 1) / k->columns;
        k->width = SVG_GAP + k->columns * (width + SVG_GAP);
        k->height = PACKAGE_HEAD + rows * (k->zone_height + SVG_GAP);
        if (x > SVG_MARGIN && x + k->width > SVG_MARGIN + SVG_PAGE_WIDTH) {
            stretch(p, i, y, row);
            x = SVG_MARGIN;
            y += row + SVG_GAP;
            row = 0;
        }
        k->x = x;
        k->y = y;
        x += k->width + SVG_GAP;
        row = k->height > row ? k->height : row;
        p->width = x - SVG_GAP + SVG_MARGIN > p->width ? x - SVG_GAP + SVG_MARGIN : p->width;
    }
    stretch(p, p->n_packages, y, row);
    p->height = y + row;
}

static void put_package(const struct picture *p, const struct package *k)
{
    svg_rect(p->s.out, "package", k->x, k->y, k->width, k->height, 8);
    if (k->socket == TOPO_NONE)
        svg_words(p->s.out, "name", k->x + SVG_GAP, k->y + 18, "memory without CPUs");
    else
        svg_words(p->s.out, "name", k->x + SVG_GAP, k->y + 18, "Package %u", k->socket);
    for (uint32_t i = 0; i < k->n_zones; i++) {
        const double x = k->x + SVG_GAP + i % k->columns * (p->zones[0].width + SVG_GAP);
        const double y = k->y + PACKAGE_HEAD + i / k->columns * (k->zone_height + SVG_GAP);

        put_zone(p, k->zones[i], x, y, k->zone_height);
    }
}

/* Devices of no zone or of several, below the packages. */
static double put_far_devices(const struct picture *p, double y)
{
    const double width = p->width - 2 * SVG_MARGIN;
    uint64_t last = 0;
    bool first = true;

    for (uint32_t i = 0; i < p->s.n_chips; i++) {
        const uint64_t zones = p->s.chips[i].zones;

        if (__builtin_popcountll(zones) == 1 || (!first && zones == last))
            continue;
        if (first || zones != last)
            svg_words(p->s.out, "name", SVG_MARGIN, y + 16, "%s",
                      zones ? "Devices of several zones" : "Devices without a zone");
        y = put_devices(p, true, zones, SVG_MARGIN, y + 24, width) + 4;
        first = false;
        last = zones;
    }
    return y;
}

/* --- the whole --- */

static void count(struct buf *out, uint32_t n, const char *one, const char *many)
{
    buf_printf(out, "%u %s", n, n == 1 ? one : many);
}

static void put_summary(struct buf *out, const struct picture *p)
{
    const struct topo_machine *const m = p->s.m;
    uint32_t cpus = 0, cores = 0, sockets = 0;
    uint64_t memory = 0;
    char size[24];

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        cpus += m->cpus[i].zone != TOPO_NONE;
        cores += m->cpus[i].zone != TOPO_NONE && is_first(m, i);
    }
    for (uint32_t z = 0; z < m->n_zones; z++)
        memory += m->zones[z].memory_bytes;
    for (uint32_t i = 0; i < p->n_packages; i++)
        sockets += p->packages[i].socket != TOPO_NONE;
    svg_size(size, memory);
    count(out, sockets, "package", "packages");
    buf_text(out, ", ");
    count(out, m->n_zones, "NUMA zone", "NUMA zones");
    buf_text(out, ", ");
    count(out, cores, "core", "cores");
    buf_text(out, ", ");
    count(out, cpus, "CPU", "CPUs");
    buf_printf(out, ", %s, ", size);
    count(out, p->s.n_chips, "device", "devices");
    if (p->s.view) {
        buf_text(out, ", ");
        count(out, p->s.view->n_pods + p->s.view->n_plain, "pod", "pods");
    }
}

static void put_all(struct picture *p, struct str title, struct buf *out)
{
    struct buf body = {0}, summary = {0};
    double y = p->height + SVG_GAP;

    p->s.out = &body;
    for (uint32_t i = 0; i < p->n_packages; i++)
        put_package(p, &p->packages[i]);
    y = put_far_devices(p, y);
    y = svg_legend(&p->s, y + 4, &p->width);
    y = svg_tables(&p->s, y + 14, &p->width);
    put_summary(&summary, p);
    const double head = 2 * SVG_MARGIN + svg_width(buf_view(&summary), 12);
    p->width = head > p->width ? head : p->width;
    svg_open(out, p->width, y + SVG_MARGIN - 8, title, buf_view(&summary), style);
    svg_words(out, "head", SVG_MARGIN, 36, "%.*s", STR_ARG(title));
    svg_words(out, "text", SVG_MARGIN, 58, "%.*s", STR_ARG(buf_view(&summary)));
    buf_str(out, buf_view(&body));
    svg_close(out);
    out->failed = out->failed || body.failed || summary.failed;
    buf_free(&body);
    buf_free(&summary);
}

int topology_svg(struct buf *out, const struct topo_machine *m, struct str title,
                 const struct node_view *view)
{
    struct buf texts = {0};
    struct picture p = {.s = {.m = m, .view = view, .texts = &texts}};
    int rc = find_packages(&p);

    if (rc == 0)
        rc = svg_survey(&p.s);
    if (rc == 0) {
        measure(&p);
        put_all(&p, title, out);
        rc = out->failed ? -ENOMEM : 0;
    }
    for (uint32_t i = 0; p.packages && i < p.n_packages; i++)
        free(p.packages[i].zones);
    for (uint32_t z = 0; p.zones && z < m->n_zones; z++)
        free(p.zones[z].l3s);
    free(p.packages);
    free(p.zones);
    svg_survey_done(&p.s);
    buf_free(&texts);
    return rc;
}
