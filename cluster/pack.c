/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pack.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/same.h"
#include "kube/object.h"
#include "scoring/request.h"

enum { RECENT = 8 };

/* Texts lie side by side in `text`; one that came lately (a resource, a namespace) is shared. */
struct pack {
    struct arena *a;
    char *text; /* NULL: only count */
    size_t n;
    const char *cpu_texts; /* what of the shared ones comes next */
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

/* Room for as much text as `count`, which only counted, has found: each once. */
static bool open_text(struct pack *p, const struct pack *count)
{
    p->text = count->failed ? NULL : arena_array(p->a, count->n, 1);
    p->failed = !p->text;
    return p->text;
}

/* --- a Node --- */

/* Where it is kept says what it is called; its version would make it another one with each beat. */
static void pack_meta(struct pack *p, struct kube_meta *m)
{
    *m = (struct kube_meta){.uid = put(p, m->uid)};
}

static const struct pod_amount *pack_amounts(struct pack *p, const struct pod_amount *from,
                                             uint32_t n)
{
    struct pod_amount *const to = copy(p, from, n, sizeof(*to));

    for (uint32_t i = 0; to && i < n; i++)
        to[i].resource = put(p, from[i].resource);
    return to;
}

/* Of a Guaranteed pod requests and limits are one list, of many nodes all is allocatable. */
static void pack_two(struct pack *p, const struct pod_amount **x, uint32_t nx,
                     const struct pod_amount **y, uint32_t ny)
{
    const bool same = same_amounts(*x, nx, *y, ny);

    *x = pack_amounts(p, *x, nx);
    *y = same ? *x : pack_amounts(p, *y, ny);
}

static void pack_node_parts(struct pack *p, struct kube_node *n)
{
    pack_meta(p, &n->meta);
    n->kubelet_version = put(p, n->kubelet_version);
    pack_two(p, &n->capacity, n->n_capacity, &n->allocatable, n->n_allocatable);
}

int pack_node(struct kube_node *out, const struct kube_node *from, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct pack count = {.a = a}, p = {.a = a};
    struct kube_node n = *from;

    pack_node_parts(&count, &n);
    arena_rewind(a, mark);
    n = *from;
    if (open_text(&p, &count))
        pack_node_parts(&p, &n);
    if (p.failed)
        return -ENOMEM;
    *out = n;
    return 0;
}

/* --- a NodeResourceTopology --- */

/* The next of the CPU texts; each ends with a byte that none of them has. */
static struct str borrow(struct pack *p, struct str s)
{
    const struct str to = {p->cpu_texts, s.n};

    p->cpu_texts += s.n + 1;
    return to;
}

static size_t cpu_text_bytes(const struct kube_nrt *n)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < n->n_zones; i++)
        bytes += n->zones[i].cpus.n + n->zones[i].cores.n + n->zones[i].l3.n + 3;
    return bytes;
}

int pack_cpu_texts(struct str *out, const struct kube_nrt *from, struct arena *a)
{
    const size_t bytes = from->zones ? cpu_text_bytes(from) : 0;
    char *const text = arena_array(a, bytes, 1), *at = text;

    if (!text)
        return -ENOMEM;
    for (uint32_t i = 0; bytes && i < from->n_zones; i++) {
        const struct str parts[] = {from->zones[i].cpus, from->zones[i].cores, from->zones[i].l3};

        for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
            if (parts[k].n)
                memcpy(at, parts[k].p, parts[k].n);
            at += parts[k].n + 1; /* behind each a zero */
        }
    }
    *out = (struct str){text, bytes};
    return 0;
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
    z->free_cpus = put(p, z->free_cpus);
    z->cpus = borrow(p, z->cpus);
    z->cores = borrow(p, z->cores);
    z->l3 = borrow(p, z->l3);
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

static void pack_pci(struct pack *p, struct kube_nrt_pci *d)
{
    struct str *const path = copy(p, d->path, d->n_path, sizeof(*path));
    struct kube_nrt_link *const links = copy(p, d->links, d->n_links, sizeof(*links));

    d->id = put(p, d->id);
    d->address = put(p, d->address);
    d->name = put(p, d->name);
    d->physfn = put(p, d->physfn);
    d->bond = put(p, d->bond);
    for (uint32_t i = 0; path && i < d->n_path; i++)
        path[i] = put(p, path[i]);
    for (uint32_t i = 0; links && i < d->n_links; i++)
        links[i].to = put(p, links[i].to);
    d->path = path;
    d->links = links;
}

static void pack_nrt_parts(struct pack *p, struct kube_nrt *n)
{
    struct kube_nrt_zone *const zones = copy(p, n->zones, n->n_zones, sizeof(*zones));
    struct kube_nrt_device *const devices = copy(p, n->devices, n->n_devices, sizeof(*devices));
    struct kube_nrt_holding *const holdings =
        copy(p, n->holdings, n->n_holdings, sizeof(*holdings));
    struct kube_nrt_pci *const pci = copy(p, n->pci, n->n_pci, sizeof(*pci));

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
    for (uint32_t i = 0; pci && i < n->n_pci; i++)
        pack_pci(p, &pci[i]);
    n->zones = zones;
    n->devices = devices;
    n->holdings = holdings;
    n->pci = pci;
}

int pack_nrt(struct kube_nrt *out, const struct kube_nrt *from, const char *cpu_texts,
             struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct pack count = {.a = a, .cpu_texts = cpu_texts}, p = {.a = a, .cpu_texts = cpu_texts};
    struct kube_nrt n = *from;

    pack_nrt_parts(&count, &n);
    arena_rewind(a, mark);
    n = *from;
    if (open_text(&p, &count))
        pack_nrt_parts(&p, &n);
    if (p.failed)
        return -ENOMEM;
    *out = n;
    return 0;
}

/* --- a pod --- */

static void pack_container(struct pack *p, struct pod_container *c)
{
    c->name = put(p, c->name);
    pack_two(p, &c->requests, c->n_requests, &c->limits, c->n_limits);
}

static void pack_pod_parts(struct pack *p, struct score_pod *pod)
{
    struct pod_container *const containers =
        copy(p, pod->containers, pod->n_containers, sizeof(*containers));
    struct pod_hint *const hints = copy(p, pod->hints, pod->n_hints, sizeof(*hints));
    uint64_t *const labels = copy(p, pod->labels.at, pod->labels.n, sizeof(*labels));

    pod->ns = put(p, pod->ns);
    pod->name = put(p, pod->name);
    pod->uid = put(p, pod->uid);
    pod->node = put(p, pod->node);
    pod->reason = put(p, pod->reason);
    for (uint32_t i = 0; containers && i < pod->n_containers; i++)
        pack_container(p, &containers[i]);
    for (uint32_t i = 0; hints && i < pod->n_hints; i++) {
        hints[i].key = put(p, hints[i].key);
        hints[i].value = put(p, hints[i].value);
    }
    pod->containers = containers;
    pod->hints = hints;
    pod->labels.at = labels;
    pack_two(p, &pod->pod_requests, pod->n_pod_requests, &pod->pod_limits, pod->n_pod_limits);
}

int pack_pod(struct score_pod *out, const struct score_pod *from, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct pack count = {.a = a}, p = {.a = a};
    struct score_pod pod = *from;

    pack_pod_parts(&count, &pod);
    arena_rewind(a, mark);
    pod = *from;
    if (open_text(&p, &count))
        pack_pod_parts(&p, &pod);
    if (p.failed)
        return -ENOMEM;
    *out = pod;
    return 0;
}
