/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/nrt_code.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/object.h"

/* Texts that came lately are a number: resources, namespaces, places on PCI. */
enum { RECENT = 64 };

/* Numbers are written seven bits a byte, the lowest first. */
struct code {
    struct buf *out; /* NULL: reading */
    struct str in;   /* what is left to read; the code is our own, and whole */
    struct str cpus; /* what of the CPU texts is left */
    struct arena *a;
    bool failed;
    char staged[256]; /* [n_staged] written, and not in `out` yet: most of it are single bytes */
    size_t n_staged;
    struct str recent[RECENT];
    unsigned char marks[RECENT]; /* mark_of each of them */
    unsigned n_recent;
};

/* --- what it is made of --- */

static void flush(struct code *c)
{
    buf_add(c->out, c->staged, c->n_staged);
    c->n_staged = 0;
}

static void put(struct code *c, uint64_t v)
{
    enum { MOST = 10 };

    if (c->failed)
        return;
    if (c->n_staged > sizeof(c->staged) - MOST)
        flush(c);
    do {
        c->staged[c->n_staged++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
}

static uint64_t get(struct code *c)
{
    uint64_t v = 0;
    unsigned char byte = c->failed ? 0 : 0x80; /* after a failure nobody knows where it stands */

    for (unsigned shift = 0; byte & 0x80; shift += 7) {
        assert(c->in.n > 0);
        byte = (unsigned char)*c->in.p;
        v |= (uint64_t)(byte & 0x7f) << shift;
        c->in.p++, c->in.n--;
    }
    return v;
}

static void u64(struct code *c, uint64_t *v)
{
    if (c->out)
        put(c, *v);
    else
        *v = get(c);
}

static void u32(struct code *c, uint32_t *v)
{
    uint64_t wide = *v;

    u64(c, &wide);
    *v = (uint32_t)wide;
}

/* Small ones of either sign are short. */
static void i64(struct code *c, int64_t *v)
{
    uint64_t folded = (uint64_t)*v << 1 ^ (uint64_t)(*v >> 63);

    u64(c, &folded);
    *v = (int64_t)(folded >> 1 ^ (0 - (folded & 1)));
}

static void flag(struct code *c, bool *v)
{
    uint64_t wide = *v;

    u64(c, &wide);
    *v = wide;
}

/* What tells most texts apart. */
static unsigned char mark_of(struct str s)
{
    return (unsigned char)(s.n ? s.n * 37 + (unsigned char)s.p[s.n - 1] : 0);
}

static void remember(struct code *c, struct str s)
{
    c->marks[c->n_recent % RECENT] = mark_of(s);
    c->recent[c->n_recent++ % RECENT] = s;
}

/* 1 + its place among the recent ones; or 0, its length and its bytes. */
static void put_text(struct code *c, struct str s)
{
    const unsigned known = c->n_recent < RECENT ? c->n_recent : RECENT;
    const unsigned char mark = mark_of(s);

    for (unsigned i = 0; i < known; i++) {
        const unsigned char *const at = memchr(c->marks + i, mark, known - i);

        if (!at)
            break;
        i = (unsigned)(at - c->marks);
        if (str_eq(c->recent[i], s)) {
            put(c, 1 + i);
            return;
        }
    }
    put(c, 0);
    put(c, s.n);
    flush(c);
    buf_str(c->out, s);
    remember(c, s);
}

static struct str get_text(struct code *c)
{
    const uint64_t place = get(c);

    if (place)
        return c->recent[place - 1];
    const size_t n = (size_t)get(c);
    assert(n <= c->in.n);
    const struct str s = {n ? c->in.p : NULL, n};
    c->in.p += n, c->in.n -= n;
    remember(c, s);
    return s;
}

static void text(struct code *c, struct str *s)
{
    if (c->out)
        put_text(c, *s);
    else
        *s = get_text(c);
}

/* Only its length; the bytes are among the CPU texts, in their order. */
static void cpu_text(struct code *c, struct str *s)
{
    uint64_t n = s->n;

    u64(c, &n);
    if (c->out)
        return;
    assert(n < c->cpus.n);
    *s = (struct str){n ? c->cpus.p : NULL, (size_t)n};
    c->cpus.p += n + 1, c->cpus.n -= (size_t)n + 1;
}

/* Of `n` elements, which is known: the list itself, in the arena where it is read. */
static void *list(struct code *c, const void *from, uint32_t n, size_t size)
{
    void *const to = c->failed ? NULL : arena_array(c->a, n, size);

    if (!to)
        c->failed = true;
    else if (c->out && n)
        memcpy(to, from, n * size);
    return to;
}

static uint32_t length(struct code *c, uint32_t *n)
{
    u32(c, n);
    return c->failed ? 0 : *n;
}

/* --- the walk: lists are copied, so that writing may pass through the same fields --- */

static void walk_resource(struct code *c, struct kube_nrt_resource *r)
{
    uint32_t kind = r->kind;

    text(c, &r->name);
    u32(c, &kind);
    r->kind = (enum pod_resource_kind)kind;
    i64(c, &r->capacity);
    i64(c, &r->allocatable);
    i64(c, &r->available);
    flag(c, &r->has_capacity);
}

static void walk_zone(struct code *c, struct kube_nrt_zone *z, uint32_t n_zones)
{
    bool has_costs = z->costs;

    u32(c, &z->id);
    flag(c, &has_costs);
    if (has_costs) {
        uint32_t *const costs = list(c, z->costs, n_zones, sizeof(*costs));
        for (uint32_t i = 0; costs && i < n_zones; i++)
            u32(c, &costs[i]);
        z->costs = costs;
    }
    const uint32_t n_resources = length(c, &z->n_resources);
    struct kube_nrt_resource *const resources =
        list(c, z->resources, n_resources, sizeof(*resources));
    for (uint32_t i = 0; resources && i < n_resources; i++)
        walk_resource(c, &resources[i]);
    z->resources = resources;
    flag(c, &z->has_socket);
    flag(c, &z->has_assignments);
    flag(c, &z->has_free_cpus);
    u32(c, &z->socket);
    u32(c, &z->assignments);
    cpu_text(c, &z->cpus);
    cpu_text(c, &z->cores);
    cpu_text(c, &z->l3);
    text(c, &z->free_cpus);
    u64(c, &z->cells);
    const uint32_t n_free = length(c, &z->n_free);
    struct kube_nrt_free *const frees = list(c, z->free, n_free, sizeof(*frees));
    for (uint32_t i = 0; frees && i < n_free; i++) {
        text(c, &frees[i].type);
        u64(c, &frees[i].bytes);
    }
    z->free = frees;
    u32(c, &z->read_bandwidth_mbs);
    u32(c, &z->write_bandwidth_mbs);
    u32(c, &z->read_latency_ns);
    u32(c, &z->write_latency_ns);
}

static void walk_device(struct code *c, struct kube_nrt_device *d)
{
    text(c, &d->resource);
    text(c, &d->id);
    u64(c, &d->zones);
    flag(c, &d->elsewhere);
    flag(c, &d->healthy);
}

static void walk_holding(struct code *c, struct kube_nrt_holding *h)
{
    text(c, &h->ns);
    text(c, &h->pod);
    text(c, &h->uid);
    text(c, &h->container);
    text(c, &h->cpus);
    const uint32_t n_blocks = length(c, &h->n_blocks);
    struct kube_nrt_block *const blocks = list(c, h->blocks, n_blocks, sizeof(*blocks));
    for (uint32_t i = 0; blocks && i < n_blocks; i++) {
        u64(c, &blocks[i].zones);
        text(c, &blocks[i].type);
        u64(c, &blocks[i].bytes);
    }
    h->blocks = blocks;
    const uint32_t n_devices = length(c, &h->n_devices);
    struct kube_nrt_device_use *const uses = list(c, h->devices, n_devices, sizeof(*uses));
    for (uint32_t i = 0; uses && i < n_devices; i++) {
        text(c, &uses[i].resource);
        text(c, &uses[i].id);
    }
    h->devices = uses;
}

static void walk_pci(struct code *c, struct kube_nrt_pci *d)
{
    uint32_t kind = d->kind;

    text(c, &d->id);
    u32(c, &kind);
    d->kind = (enum topo_device_kind)kind;
    text(c, &d->address);
    const uint32_t n_path = length(c, &d->n_path);
    struct str *const path = list(c, d->path, n_path, sizeof(*path));
    for (uint32_t i = 0; path && i < n_path; i++)
        text(c, &path[i]);
    d->path = path;
    const uint32_t n_links = length(c, &d->n_links);
    struct kube_nrt_link *const links = list(c, d->links, n_links, sizeof(*links));
    for (uint32_t i = 0; links && i < n_links; i++) {
        text(c, &links[i].to);
        u32(c, &links[i].mbs);
    }
    d->links = links;
    u64(c, &d->zones);
    text(c, &d->name);
    u32(c, &d->speed_mbps);
    text(c, &d->physfn);
    text(c, &d->bond);
}

static void walk_kubelet(struct code *c, struct kubelet_config *k)
{
    uint32_t policy = k->policy, scope = k->scope;

    u32(c, &policy);
    u32(c, &scope);
    k->policy = (enum kubelet_policy)policy;
    k->scope = (enum kubelet_scope)scope;
    flag(c, &k->prefer_closest);
    u32(c, &k->max_zones);
    flag(c, &k->cpu_static);
    u32(c, &k->cpu_options);
    flag(c, &k->memory_static);
}

static void walk_lists(struct code *c, struct kube_nrt *n)
{
    /* Too many zones are none, and only their number is known. */
    bool has_zones = n->zones;
    u32(c, &n->n_zones);
    flag(c, &has_zones);
    const uint32_t n_zones = has_zones ? n->n_zones : 0;
    struct kube_nrt_zone *const zones = list(c, n->zones, n_zones, sizeof(*zones));
    for (uint32_t i = 0; zones && i < n_zones; i++)
        walk_zone(c, &zones[i], n_zones);
    n->zones = has_zones ? zones : NULL;

    const uint32_t n_devices = length(c, &n->n_devices);
    struct kube_nrt_device *const devices = list(c, n->devices, n_devices, sizeof(*devices));
    for (uint32_t i = 0; devices && i < n_devices; i++)
        walk_device(c, &devices[i]);
    n->devices = devices;

    const uint32_t n_holdings = length(c, &n->n_holdings);
    struct kube_nrt_holding *const holdings = list(c, n->holdings, n_holdings, sizeof(*holdings));
    for (uint32_t i = 0; holdings && i < n_holdings; i++)
        walk_holding(c, &holdings[i]);
    n->holdings = holdings;

    const uint32_t n_pci = length(c, &n->n_pci);
    struct kube_nrt_pci *const pci = list(c, n->pci, n_pci, sizeof(*pci));
    for (uint32_t i = 0; pci && i < n_pci; i++)
        walk_pci(c, &pci[i]);
    n->pci = pci;
}

/* Whoever adds a field to one of these adds it to the walk; `attributes` are not kept. */
_Static_assert(sizeof(void *) != 8 ||
                   (sizeof(struct kube_nrt) == 288 && sizeof(struct kube_nrt_zone) == 144 &&
                    sizeof(struct kube_nrt_resource) == 56 &&
                    sizeof(struct kube_nrt_device) == 48 &&
                    sizeof(struct kube_nrt_holding) == 112 && sizeof(struct kube_nrt_block) == 32 &&
                    sizeof(struct kube_nrt_pci) == 128 && sizeof(struct kubelet_config) == 28),
               "the walk knows every field");

static void walk(struct code *c, struct kube_nrt *n)
{
    bool *const flags[] = {&n->has_policy,         &n->has_scope,       &n->has_topology_options,
                           &n->has_max_zones,      &n->has_cpu_manager, &n->has_cpu_options,
                           &n->has_memory_manager, &n->has_reserved,    &n->has_placements,
                           &n->has_devices,        &n->has_generation};

    text(c, &n->meta.uid);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        flag(c, flags[i]);
    walk_kubelet(c, &n->kubelet);
    text(c, &n->reserved_cpus);
    i64(c, &n->observed_us);
    u64(c, &n->generation);
    text(c, &n->unknown_setting);
    walk_lists(c, n);
}

/* --- nrt_code.h --- */

int nrt_cpu_texts(struct str *out, const struct kube_nrt *nrt, struct arena *a)
{
    const uint32_t n_zones = nrt->zones ? nrt->n_zones : 0;
    size_t bytes = 0;

    for (uint32_t i = 0; i < n_zones; i++)
        bytes += nrt->zones[i].cpus.n + nrt->zones[i].cores.n + nrt->zones[i].l3.n + 3;
    char *const all = arena_array(a, bytes, 1), *at = all;
    if (!all)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_zones; i++) {
        const struct str parts[] = {nrt->zones[i].cpus, nrt->zones[i].cores, nrt->zones[i].l3};

        for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
            if (parts[k].n)
                memcpy(at, parts[k].p, parts[k].n);
            at += parts[k].n + 1; /* behind each a zero, which none of them has */
        }
    }
    *out = (struct str){all, bytes};
    return 0;
}

int nrt_encode(struct buf *out, const struct kube_nrt *nrt, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct code c = {.out = out, .a = a};
    struct kube_nrt n = *nrt;

    walk(&c, &n);
    flush(&c);
    arena_rewind(a, mark);
    return c.failed || out->failed ? -ENOMEM : 0;
}

int nrt_decode(struct kube_nrt *out, struct str code, struct str cpu_texts, struct arena *a)
{
    struct code c = {.in = code, .cpus = cpu_texts, .a = a};
    struct kube_nrt n = {.n_zones = 0};

    walk(&c, &n);
    if (c.failed)
        return -ENOMEM;
    *out = n;
    return 0;
}
