/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to draw besides zones and CPUs: devices, and who holds what. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/topology_svg_parts.h"
#include "scoring/node_view.h"
#include "topology/cpuset.h"

/* --- words --- */

void svg_pod_letter(char out[8], uint32_t pod)
{
    const uint32_t i = pod - 1, round = i / 26;

    if (round)
        (void)snprintf(out, 8, "%c%u", (char)('A' + i % 26), (round + 1) % 1000);
    else
        (void)snprintf(out, 8, "%c", (char)('A' + i));
}

void svg_pod_class(char out[16], uint32_t pod)
{
    (void)snprintf(out, 16, "pod%u", (pod - 1) % SVG_COLORS);
}

bool svg_pod_holds(const struct svg_machine *p, uint32_t pod)
{
    const struct node_pod *const k = &p->view->pods[pod - 1];

    return k->n_holdings > 0 || k->placement == NODE_POD_UNPLACED;
}

void svg_short(char *out, size_t room, struct str name, size_t most)
{
    const size_t begin = most / 2, end = most - begin - 1;

    if (name.n <= most)
        (void)snprintf(out, room, "%.*s", STR_ARG(name));
    else
        (void)snprintf(out, room, "%.*s\u2026%.*s", (int)begin, name.p, (int)end,
                       name.p + name.n - end);
}

const char *svg_kind_text(enum topo_device_kind kind)
{
    static const char *const texts[] = {[TOPO_GPU] = "GPU",
                                        [TOPO_NIC] = "NIC",
                                        [TOPO_INFINIBAND] = "RDMA",
                                        [TOPO_STORAGE] = "disk",
                                        [TOPO_OTHER] = "other"};

    return texts[kind];
}

const char *svg_kind_class(enum topo_device_kind kind)
{
    static const char *const classes[] = {[TOPO_GPU] = "gpu",
                                          [TOPO_NIC] = "nic",
                                          [TOPO_INFINIBAND] = "rdma",
                                          [TOPO_STORAGE] = "disk",
                                          [TOPO_OTHER] = "other"};

    return classes[kind];
}

void svg_speed(char out[16], uint32_t mbps)
{
    if (mbps == 0)
        out[0] = 0;
    else if (mbps < 1000)
        (void)snprintf(out, 16, "%uM", mbps);
    else if (mbps % 1000 >= 100)
        (void)snprintf(out, 16, "%u.%uG", mbps / 1000, mbps % 1000 / 100);
    else
        (void)snprintf(out, 16, "%uG", mbps / 1000);
}

void svg_size(char out[24], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t unit = 1024;
    size_t i = 0;

    if (bytes == 0) {
        (void)snprintf(out, 24, "0");
        return;
    }
    while (i + 1 < ARRAY_LEN(units) && bytes / unit >= 1024) {
        unit *= 1024;
        i++;
    }
    const unsigned tenth = (unsigned)(bytes % unit / (unit / 1024) * 10 / 1024); /* 0..9 */
    if (tenth)
        (void)snprintf(out, 24, "%llu.%u %s", (unsigned long long)(bytes / unit), tenth % 10,
                       units[i]);
    else
        (void)snprintf(out, 24, "%llu %s", (unsigned long long)(bytes / unit), units[i]);
}

void svg_chip_words(char *out, size_t room, const struct svg_chip *c)
{
    char name[64], speed[16];

    svg_short(name, sizeof(name), c->name, SVG_NAME_CHARS);
    svg_speed(speed, c->speed_mbps);
    (void)snprintf(out, room, "%s%s%s%s%s", c->plain ? "" : svg_kind_text(c->kind),
                   c->plain ? "" : " ", name, speed[0] ? " " : "", speed);
}

/* --- devices --- */

/* The address of the text may still move: offsets first, pointers at the end. */
static struct str add_text(struct svg_machine *p, const struct topo_device *d)
{
    const size_t start = p->texts->n;

    for (uint32_t i = 0; i < d->n_path; i++) {
        buf_text(p->texts, i ? " > " : "");
        buf_str(p->texts, d->path[i]);
    }
    return (struct str){(const char *)(uintptr_t)start, p->texts->n - start};
}

static void machine_chips(struct svg_machine *p)
{
    for (uint32_t i = 0; i < p->m->n_devices; i++) {
        const struct topo_device *const d = &p->m->devices[i];

        p->chips[p->n_chips++] = (struct svg_chip){
            .name = d->name,
            .group = d->n_path ? d->path[0] : (struct str){0},
            .path = add_text(p, d),
            .kind = d->kind,
            .zones = d->zones,
            .speed_mbps = d->speed_mbps,
            .index = i,
        };
    }
    for (uint32_t i = 0; i < p->n_chips; i++)
        p->chips[i].path.p = p->texts->p ? p->texts->p + (uintptr_t)p->chips[i].path.p : "";
}

static enum topo_device_kind kind_of(const struct node_device *d)
{
    return d->kind == NODE_DEVICE_GPU   ? TOPO_GPU
           : d->kind == NODE_DEVICE_NIC ? TOPO_INFINIBAND
                                        : TOPO_OTHER;
}

/* What plugins hand out, and the ports that they do not. */
static void view_chips(struct svg_machine *p)
{
    const struct node_view *const v = p->view;

    for (uint32_t r = 0; r < v->n_resources; r++) {
        for (uint32_t d = v->resources[r].first; d < v->resources[r].first + v->resources[r].n; d++)
            p->chips[p->n_chips++] = (struct svg_chip){
                .name = v->devices[d].id,
                .group = v->resources[r].name,
                .plain = true,
                .kind = kind_of(&v->devices[d]),
                .zones = v->devices[d].zones,
                .index = d,
            };
    }
    for (uint32_t i = 0; i < v->n_nics; i++) {
        if (v->nics[i].is_handed_out)
            continue;
        p->chips[p->n_chips++] = (struct svg_chip){
            .name = v->nics[i].name,
            .group = STR("port that all pods share"),
            .plain = true,
            .kind = TOPO_NIC,
            .zones = v->nics[i].zones,
            .speed_mbps = (uint32_t)(v->nics[i].capacity / 1000000),
            .index = UINT32_MAX,
        };
    }
}

static int by_place(const void *x, const void *y)
{
    const struct svg_chip *const a = x, *const b = y;
    int c;

    if (a->zones != b->zones)
        return a->zones < b->zones ? -1 : 1;
    if ((c = str_cmp(a->group, b->group)) || (c = str_cmp(a->path, b->path)))
        return c;
    return a->index != b->index ? a->index < b->index ? -1 : 1 : str_cmp(a->name, b->name);
}

/* --- pods --- */

static void give_devices(struct svg_machine *p, const uint64_t *devices, uint32_t pod)
{
    for (uint32_t i = 0; devices && i < p->n_chips; i++) {
        if (p->chips[i].index < p->view->n_devices && cpuset_has(devices, p->chips[i].index))
            p->chips[i].pod = pod;
    }
}

static void give(struct svg_machine *p, uint32_t pod)
{
    const struct node_pod *const k = &p->view->pods[pod - 1];

    for (uint32_t h = 0; h < k->n_holdings; h++) {
        for (uint32_t cpu = 0; k->holdings[h].cpus && cpu < p->m->n_cpus; cpu++)
            if (cpuset_has(k->holdings[h].cpus, cpu))
                p->cpu_pod[cpu] = (uint16_t)pod;
        give_devices(p, k->holdings[h].devices, pod);
    }
}

int svg_survey(struct svg_machine *p)
{
    const size_t most = p->view ? p->view->n_devices + p->view->n_nics : p->m->n_devices;

    p->chips = calloc(most + 1, sizeof(*p->chips));
    p->cpu_pod = p->view ? calloc(p->m->n_cpus + 1, sizeof(*p->cpu_pod)) : NULL;
    if (!p->chips || (p->view && !p->cpu_pod))
        return -ENOMEM;
    if (p->view)
        view_chips(p);
    else
        machine_chips(p);
    qsort(p->chips, p->n_chips, sizeof(*p->chips), by_place);
    for (uint32_t i = 0; p->view && i < p->view->n_pods && i < UINT16_MAX; i++)
        give(p, i + 1);
    return p->texts->failed ? -ENOMEM : 0;
}

void svg_survey_done(struct svg_machine *p)
{
    free(p->chips);
    free(p->cpu_pod);
}
