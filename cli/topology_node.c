/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "cli/source.h"
#include "cluster/snapshot.h"
#include "cluster/source.h"
#include "kube/nrt_emit.h"
#include "kube/object.h"
#include "kube/scan.h"
#include "scoring/node_view.h"

#define OURS "orchestration.gokore.io/"

/* What a decoded report, and what is made of it, take for each byte of its text at most. */
enum { ARENA_PER_BYTE = 16, ARENA_LEAST_BYTES = 256 * 1024 };

/* --- the report: of all that is read, the one object --- */

struct report {
    struct str node;
    struct buf json; /* of its NodeResourceTopology, empty when it has none */
    struct arena arena;
    void *room;
};

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    static const char zeros[SCAN_PADDING_BYTES];
    struct report *const r = ctx;

    if (delta->kind != SOURCE_NRT || !str_eq(delta->name, r->node))
        return 0;
    buf_free(&r->json);
    if (delta->verb == SOURCE_UPSERT) {
        buf_str(&r->json, delta->json);
        buf_add(&r->json, zeros, sizeof(zeros));
        r->json.n -= r->json.failed ? 0 : sizeof(zeros);
    }
    return 0;
}

static int open_arena(struct report *r, struct err *err)
{
    const size_t room = ARENA_LEAST_BYTES + r->json.n * ARENA_PER_BYTE;

    r->room = r->json.failed ? NULL : malloc(room);
    if (!r->room)
        return err_set(err, -ENOMEM, "no memory");
    arena_init(&r->arena, r->room, room);
    return 0;
}

/* --- its devices --- */

static uint64_t zones_of(const struct topo_machine *m, const struct kube_nrt *nrt, uint64_t zones)
{
    uint64_t out = 0;

    for (uint64_t z = zones; z; z &= z - 1) {
        const int index = topo_zone_index(m, nrt->zones[__builtin_ctzll(z)].id);

        out |= index < 0 ? 0 : UINT64_C(1) << index;
    }
    return out;
}

static int by_address(const void *x, const void *y)
{
    const struct kube_nrt_pci *const a = x, *const b = y;
    const int by_pci = str_cmp(a->address, b->address);

    return by_pci ? by_pci : str_cmp(a->id, b->id);
}

static uint32_t link_to(const struct kube_nrt_pci *from, struct str to)
{
    for (uint32_t i = 0; i < from->n_links; i++)
        if (str_eq(from->links[i].to, to))
            return from->links[i].mbs;
    return 0;
}

static bool has_links(const struct kube_nrt_pci *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].n_links)
            return true;
    return false;
}

static int put_links(struct topo_machine *m, const struct kube_nrt_pci *list, struct arena *a)
{
    const uint32_t n = m->n_devices;
    uint32_t *const mbs = arena_array(a, (size_t)n * n, sizeof(*mbs));

    for (uint32_t i = 0; mbs && i < n * n; i++)
        mbs[i] = link_to(&list[i / n], list[i % n].id);
    m->link_mbs = mbs;
    return mbs ? 0 : -ENOMEM;
}

static int put_devices(struct topo_machine *m, const struct kube_nrt *nrt, struct arena *a)
{
    struct kube_nrt_pci *const list = arena_array(a, nrt->n_pci, sizeof(*list));
    struct topo_device *const devices = arena_array(a, nrt->n_pci, sizeof(*devices));

    if (nrt->n_pci == 0)
        return 0;
    if (!list || !devices)
        return -ENOMEM;
    memcpy(list, nrt->pci, nrt->n_pci * sizeof(*list));
    qsort(list, nrt->n_pci, sizeof(*list), by_address);
    for (uint32_t i = 0; i < nrt->n_pci; i++)
        devices[i] = (struct topo_device){
            .name = list[i].name.n ? list[i].name : list[i].id,
            .kind = list[i].kind,
            .pci = list[i].address,
            .zones = zones_of(m, nrt, list[i].zones),
            .path = list[i].path,
            .n_path = list[i].n_path,
            .speed_mbps = list[i].speed_mbps,
        };
    m->devices = devices;
    m->n_devices = nrt->n_pci;
    return has_links(list, nrt->n_pci) ? put_links(m, list, a) : 0;
}

/* --- its settings --- */

/* The rest says what is there at one moment, or is the machine's. */
static bool is_setting(struct str name)
{
    static const char *const names[] = {
        "topologyManagerPolicy",
        "topologyManagerScope",
        "topologyManagerMaxNUMANodes",
        "topologyManagerOptionPreferClosestNumaNodes",
        OURS "topology-manager-policy-options",
        OURS "cpu-manager-policy",
        OURS "cpu-manager-policy-options",
        OURS "memory-manager-policy",
        OURS "reserved-cpus",
        OURS "devices",
        OURS "pci",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

static int put_settings(struct topology_node *n, const struct kube_nrt *nrt, struct arena *a)
{
    struct kube_nrt_attribute *const list = arena_array(a, nrt->n_attributes, sizeof(*list));

    if (!list && nrt->n_attributes)
        return -ENOMEM;
    for (uint32_t i = 0; i < nrt->n_attributes; i++) {
        const struct kube_nrt_attribute *const at = &nrt->attributes[i];
        struct kube_nrt_attribute checked;

        if (is_setting(at->name) && !kube_nrt_attribute_check(&checked, at->name, at->value, NULL))
            list[n->n_settings++] = checked;
    }
    n->settings = list;
    return 0;
}

/* --- both --- */

static int read_report(struct topology_node *n, struct report *r, struct err *err)
{
    struct kube_nrt nrt;

    if (r->json.n == 0)
        return 0;
    int rc = open_arena(r, err);
    if (rc == 0)
        rc = kube_nrt_decode(&nrt, buf_view(&r->json), &r->arena, err);
    if (rc == 0 && nrt.zones &&
        (put_devices(&n->machine, &nrt, &r->arena) || put_settings(n, &nrt, &r->arena)))
        rc = err_set(err, -ENOMEM, "no memory");
    return rc;
}

static const struct node_view *find(const struct cluster_snapshot *snapshot, const char *dir,
                                    const char *node, struct err *err)
{
    const struct node_view *const view = cluster_snapshot_find(snapshot, str_of(node));

    if (!view)
        err_set(err, -ENOENT, "there is no node \"%s\" in %s", node, dir);
    else if (view->machine.n_zones == 0)
        err_set(err, -ENOENT, "node \"%s\": %.*s", node, STR_ARG(view->why_unknown));
    return view && view->machine.n_zones > 0 ? view : NULL;
}

int topology_visit_node(const char *dir, const char *node,
                        int (*visit)(const struct topology_node *n, void *ctx), void *ctx,
                        struct err *err)
{
    struct report report = {.node = str_of(node)};
    const struct source_sink sink = {.delta = on_delta, .ctx = &report};
    struct numawise_config config;
    struct source source = {0};

    config_init(&config);
    config.topology_max_age_ms = 0; /* an old description is still a description */
    int rc = config_set_text(&config, config_find(STR("source.cluster")), str_of(dir), err);
    if (rc == 0)
        rc = source_read(&source, &config, clock_realtime_us(), NULL, &sink, err);
    if (rc == 0) {
        const struct node_view *const view = find(source.snapshot, dir, node, err);
        struct topology_node n = {.view = view};

        rc = view ? 0 : -ENOENT;
        if (view) {
            n.machine = view->machine;
            rc = read_report(&n, &report, err);
        }
        if (rc == 0)
            rc = visit(&n, ctx);
        source_done(&source);
    }
    buf_free(&report.json);
    free(report.room);
    return rc;
}
