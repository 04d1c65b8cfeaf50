/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where devices sit on PCI, and the node's network ports, from the attribute `pci`.
 *
 * Devices of a plugin are found there by id, or by PCI address (SR-IOV's plugin calls them so). A
 * virtual function is a device at the port it belongs to. What has one PCI address is one port
 * (an RDMA device and its Ethernet twin), and so are the ports of one bond: the bond's, as fast as
 * all together, though a single flow is only as fast as one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/node_build_parts.h"

#define MEGA UINT64_C(1000000)

/* What becomes of each entry of `pci`; all in scratch. */
struct survey {
    struct node_build *b;
    uint8_t *place;  /* [n_pci] 1.., 0 = none */
    uint16_t *nic;   /* [n_pci] 1.., 0 = no port */
    uint32_t *first; /* [n_places] an entry at the place */
    uint32_t *order; /* [n_pci] by address */
    uint32_t n_places;
    struct node_nic *nics; /* [n_pci] */
    uint32_t n_nics;
};

static bool is_port(const struct kube_nrt_pci *d)
{
    return d->kind == TOPO_NIC || d->kind == TOPO_INFINIBAND;
}

static bool same_path(const struct kube_nrt_pci *a, const struct kube_nrt_pci *b)
{
    bool same = a->n_path == b->n_path && a->zones == b->zones;

    for (uint32_t i = 0; same && i < a->n_path; i++)
        same = str_eq(a->path[i], b->path[i]);
    return same;
}

/* Ports at one place are alike; each GPU is at a place of its own, for its links are. */
static void find_places(struct survey *s)
{
    const struct kube_nrt_pci *const pci = s->b->nrt->pci;

    for (uint32_t i = 0; i < s->b->nrt->n_pci; i++) {
        uint32_t p = is_port(&pci[i]) ? 0 : s->n_places;

        if (!is_port(&pci[i]) && pci[i].kind != TOPO_GPU)
            continue;
        while (p < s->n_places &&
               !(is_port(&pci[s->first[p]]) && same_path(&pci[i], &pci[s->first[p]])))
            p++;
        if (p == NODE_MAX_PLACES)
            continue; /* told from others by its zones only */
        if (p == s->n_places)
            s->first[s->n_places++] = i;
        s->place[i] = (uint8_t)(p + 1);
    }
}

/* --- links --- */

static uint32_t mbs_between(const struct kube_nrt_pci *a, const struct kube_nrt_pci *b)
{
    for (uint32_t i = 0; i < a->n_links; i++) {
        if (str_eq(a->links[i].to, b->id))
            return a->links[i].mbs;
    }
    return 0;
}

/* Of two devices at one place. */
static enum topo_link link_within(const struct topo_machine *m, const struct topo_device *d)
{
    const struct topo_device two[] = {*d, *d};
    struct topo_machine pair = *m;

    pair.devices = two;
    pair.n_devices = 2;
    pair.link_mbs = NULL;
    return topo_device_link(&pair, 0, 1);
}

/* The places as a machine of one device each, which topology/ knows to compare. */
static int fill_links(struct survey *s)
{
    struct node_build *const b = s->b;
    const uint32_t n = s->n_places;
    struct topo_machine m = b->v.machine;
    struct topo_device *const devices = arena_array(b->scratch, n, sizeof(*devices));
    uint32_t *const mbs = arena_array(b->scratch, (size_t)n * n, sizeof(*mbs));
    uint8_t *const links = arena_array(b->a, (size_t)n * n, sizeof(*links));

    if (!devices || !mbs || !links)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct kube_nrt_pci *const d = &b->nrt->pci[s->first[i]];

        devices[i] = (struct topo_device){.path = d->path, .n_path = d->n_path, .zones = d->zones};
        for (uint32_t k = 0; k < n; k++)
            mbs[i * n + k] = mbs_between(d, &b->nrt->pci[s->first[k]]);
    }
    m.devices = devices;
    m.n_devices = n;
    m.link_mbs = mbs;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < n; k++)
            links[i * n + k] =
                (uint8_t)(i == k ? link_within(&m, &devices[i]) : topo_device_link(&m, i, k));
    }
    b->v.links = links;
    b->v.n_places = n;
    return 0;
}

/* --- ports --- */

static struct str port_name(const struct kube_nrt_pci *d)
{
    return d->bond.n ? d->bond : d->name.n ? d->name : d->id;
}

/* The first entry, in the order of their addresses, that has this one or a later one. */
static uint32_t lower_bound(const struct survey *s, struct str address)
{
    uint32_t low = 0, high = s->b->nrt->n_pci;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;

        if (str_cmp(s->b->nrt->pci[s->order[mid]].address, address) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/*
 * What tells ports apart: the bond that an entry is in, or its twin of the same address, or the
 * port it is a virtual function of; else the port's address; else the id.
 */
static struct str port_key(const struct survey *s, const struct kube_nrt_pci *d)
{
    const struct kube_nrt *const nrt = s->b->nrt;
    const struct str address = d->physfn.n ? d->physfn : d->address;

    if (d->bond.n || !address.n)
        return d->bond.n ? d->bond : d->id;
    for (uint32_t o = lower_bound(s, address); o < nrt->n_pci; o++) {
        const struct kube_nrt_pci *const other = &nrt->pci[s->order[o]];

        if (!str_eq(other->address, address))
            break;
        if (other->bond.n && is_port(other))
            return other->bond;
    }
    return address;
}

/* An Ethernet name says more than that of its RDMA twin. */
static bool is_better_name(const struct kube_nrt_pci *now, const struct kube_nrt_pci *d)
{
    return now->physfn.n ? !d->physfn.n : now->kind == TOPO_INFINIBAND && d->kind == TOPO_NIC;
}

/* Its part in the port: of twins the faster one counts, ports of a bond add up. */
struct port_draft {
    struct str key;
    uint32_t namer;   /* entry */
    struct str last;  /* address that was counted last */
    uint64_t counted; /* its Mbit/s */
};

static void join_port(struct node_nic *nic, struct port_draft *p, const struct survey *s,
                      uint32_t i)
{
    const struct kube_nrt_pci *const d = &s->b->nrt->pci[i], *const namer =
                                                                 &s->b->nrt->pci[p->namer];

    nic->zones |= d->zones;
    if (d->physfn.n)
        return; /* shares what its port has */
    if (p->last.n && str_eq(p->last, d->address)) {
        const uint64_t more = d->speed_mbps > p->counted ? d->speed_mbps - p->counted : 0;

        nic->capacity += more * MEGA;
        p->counted += more;
    } else {
        nic->capacity += d->speed_mbps * MEGA;
        p->counted = d->speed_mbps;
        p->last = d->address;
    }
    if (is_better_name(namer, d)) {
        p->namer = i;
        nic->name = port_name(d);
        nic->place = s->place[i];
    }
}

static int by_address(const void *x, const void *y, void *ctx)
{
    const struct kube_nrt_pci *const pci = ctx;
    const struct kube_nrt_pci *const a = &pci[*(const uint32_t *)x], *const b =
                                                                         &pci[*(const uint32_t *)y];
    const int c = str_cmp(a->address, b->address);

    return c ? c : str_cmp(a->id, b->id);
}

/* In the order of their addresses, so that twins come one after the other. */
static int find_ports(struct survey *s)
{
    struct node_build *const b = s->b;
    const uint32_t n = b->nrt->n_pci;
    struct port_draft *const drafts = arena_array(b->scratch, n, sizeof(*drafts));

    if (!drafts)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        s->order[i] = i;
    qsort_r(s->order, n, sizeof(*s->order), by_address, (void *)(uintptr_t)b->nrt->pci);
    for (uint32_t o = 0; o < n; o++) {
        const uint32_t i = s->order[o];
        const struct kube_nrt_pci *const d = &b->nrt->pci[i];
        const struct str key = port_key(s, d);
        uint32_t p = 0;

        if (!is_port(d))
            continue;
        while (p < s->n_nics && !str_eq(drafts[p].key, key))
            p++;
        if (p == s->n_nics) {
            drafts[p] = (struct port_draft){.key = key, .namer = i};
            s->nics[s->n_nics++] = (struct node_nic){.name = port_name(d), .place = s->place[i]};
        }
        join_port(&s->nics[p], &drafts[p], s, i);
        s->nic[i] = (uint16_t)(p + 1);
    }
    return 0;
}

/* --- devices --- */

static int by_id(const void *x, const void *y)
{
    const struct kube_nrt_pci *const a = x, *const b = y;

    return str_cmp(a->id, b->id);
}

/* The entry that is the device, by id or by PCI address; -1 when there is none. */
static int64_t find_entry(const struct survey *s, struct str id)
{
    const struct kube_nrt *const nrt = s->b->nrt;
    const struct kube_nrt_pci like = {.id = id};
    const struct kube_nrt_pci *const found =
        bsearch(&like, nrt->pci, nrt->n_pci, sizeof(like), by_id);
    const uint32_t o = found ? 0 : lower_bound(s, id);

    if (found)
        return found - nrt->pci;
    return o < nrt->n_pci && str_eq(nrt->pci[s->order[o]].address, id) ? (int64_t)s->order[o] : -1;
}

static void fill_devices(struct survey *s)
{
    struct node_build *const b = s->b;

    for (uint32_t d = 0; d < b->v.n_devices; d++) {
        const int64_t i = find_entry(s, b->device[d].id);

        if (i < 0)
            continue;
        const enum topo_device_kind kind = b->nrt->pci[i].kind;
        b->device[d].kind = (uint8_t)(kind == TOPO_GPU           ? NODE_DEVICE_GPU
                                      : is_port(&b->nrt->pci[i]) ? NODE_DEVICE_NIC
                                                                 : NODE_DEVICE_OTHER);
        b->device[d].place = s->place[i];
        b->device[d].nic = s->nic[i];
        if (s->nic[i])
            s->nics[s->nic[i] - 1].is_handed_out = true;
    }
}

/* --- the whole --- */

static int keep_ports(struct survey *s)
{
    struct node_build *const b = s->b;
    struct node_nic *const nics = arena_array(b->a, s->n_nics, sizeof(*nics));

    if (!nics)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->n_nics; i++) {
        nics[i] = s->nics[i];
        if (str_copy(&nics[i].name, s->nics[i].name, b->a))
            return -ENOMEM;
    }
    b->v.nics = b->nic = nics;
    b->v.n_nics = s->n_nics;
    return 0;
}

int node_build_places(struct node_build *b)
{
    const uint32_t n = b->nrt->n_pci;
    struct survey s = {.b = b,
                       .place = arena_array(b->scratch, n, sizeof(*s.place)),
                       .nic = arena_array(b->scratch, n, sizeof(*s.nic)),
                       .first = arena_array(b->scratch, NODE_MAX_PLACES, sizeof(*s.first)),
                       .order = arena_array(b->scratch, n, sizeof(*s.order)),
                       .nics = arena_array(b->scratch, n, sizeof(*s.nics))};

    if (n == 0)
        return 0;
    if (!s.place || !s.nic || !s.first || !s.order || !s.nics)
        return -ENOMEM;
    find_places(&s);
    if (fill_links(&s) || find_ports(&s))
        return -ENOMEM;
    fill_devices(&s);
    return keep_ports(&s);
}
