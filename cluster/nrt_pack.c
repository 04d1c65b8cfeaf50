/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/nrt_pack.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/object.h"

enum { RECENT = 8 };

/* Texts lie side by side in `text`; one that came lately (a resource, a namespace) is shared. */
struct pack {
    struct arena *a;
    char *text; /* NULL: only count */
    size_t n;
    struct str from[RECENT], to[RECENT];
    unsigned next;
    bool failed;
};

static struct str put(struct pack *p, struct str s)
{
    struct str to = {p->text ? p->text + p->n : s.p, s.n};

    if (s.n == 0)
        return (struct str){0};
    for (unsigned i = 0; i < RECENT; i++) {
        if (str_eq(p->from[i], s))
            return p->to[i];
    }
    if (p->text)
        memcpy(p->text + p->n, s.p, s.n);
    p->n += s.n;
    p->from[p->next % RECENT] = s;
    p->to[p->next++ % RECENT] = to;
    return to;
}

static void *copy(struct pack *p, const void *from, size_t n, size_t size)
{
    void *const to = p->failed ? NULL : arena_array(p->a, n, size);

    if (!to)
        p->failed = true;
    else if (n)
        memcpy(to, from, n * size);
    return to;
}

static void pack_zone(struct pack *p, struct kube_nrt_zone *z, uint32_t n_zones)
{
    struct kube_nrt_resource *const resources =
        copy(p, z->resources, z->n_resources, sizeof(*resources));
    struct kube_nrt_free *const frees = copy(p, z->free, z->n_free, sizeof(*frees));

    if (z->costs)
        z->costs = copy(p, z->costs, n_zones, sizeof(*z->costs));
    for (uint32_t i = 0; resources && i < z->n_resources; i++)
        resources[i].name = put(p, resources[i].name);
    for (uint32_t i = 0; frees && i < z->n_free; i++)
        frees[i].type = put(p, frees[i].type);
    z->resources = resources;
    z->free = frees;
    z->cpus = put(p, z->cpus);
    z->free_cpus = put(p, z->free_cpus);
    z->cores = put(p, z->cores);
    z->l3 = put(p, z->l3);
}

static void pack_holding(struct pack *p, struct kube_nrt_holding *h)
{
    struct kube_nrt_block *const blocks = copy(p, h->blocks, h->n_blocks, sizeof(*blocks));
    struct kube_nrt_device_use *const uses = copy(p, h->devices, h->n_devices, sizeof(*uses));

    h->ns = put(p, h->ns);
    h->pod = put(p, h->pod);
    h->uid = put(p, h->uid);
    h->container = put(p, h->container);
    h->cpus = put(p, h->cpus);
    for (uint32_t i = 0; blocks && i < h->n_blocks; i++)
        blocks[i].type = put(p, blocks[i].type);
    for (uint32_t i = 0; uses && i < h->n_devices; i++) {
        uses[i].resource = put(p, uses[i].resource);
        uses[i].id = put(p, uses[i].id);
    }
    h->blocks = blocks;
    h->devices = uses;
}

static void pack_meta(struct pack *p, struct kube_meta *m)
{
    m->api_version = put(p, m->api_version);
    m->kind = put(p, m->kind);
    m->ns = put(p, m->ns);
    m->name = put(p, m->name);
    m->uid = put(p, m->uid);
    m->resource_version = put(p, m->resource_version);
}

static void pack_all(struct pack *p, struct kube_nrt *n)
{
    struct kube_nrt_zone *const zones = copy(p, n->zones, n->n_zones, sizeof(*zones));
    struct kube_nrt_device *const devices = copy(p, n->devices, n->n_devices, sizeof(*devices));
    struct kube_nrt_holding *const holdings =
        copy(p, n->holdings, n->n_holdings, sizeof(*holdings));

    pack_meta(p, &n->meta);
    n->reserved_cpus = put(p, n->reserved_cpus);
    n->unknown_setting = put(p, n->unknown_setting);
    for (uint32_t i = 0; zones && i < n->n_zones; i++)
        pack_zone(p, &zones[i], n->n_zones);
    for (uint32_t i = 0; devices && i < n->n_devices; i++) {
        devices[i].resource = put(p, devices[i].resource);
        devices[i].id = put(p, devices[i].id);
    }
    for (uint32_t i = 0; holdings && i < n->n_holdings; i++)
        pack_holding(p, &holdings[i]);
    n->zones = zones;
    n->devices = devices;
    n->holdings = holdings;
}

int nrt_pack(struct kube_nrt *out, const struct kube_nrt *from, struct arena *a,
             struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct pack count = {.a = scratch}, p = {.a = a};
    struct kube_nrt n = *from;

    pack_all(&count, &n); /* how much text there is, each once */
    arena_rewind(scratch, mark);
    n = *from;
    p.text = count.failed ? NULL : arena_array(a, count.n, 1);
    if (!p.text)
        return -ENOMEM;
    pack_all(&p, &n);
    if (p.failed)
        return -ENOMEM;
    *out = n;
    return 0;
}
