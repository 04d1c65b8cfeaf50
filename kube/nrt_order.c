/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/nrt_order.h"

#include <errno.h>
#include <stdlib.h>

#include "topology/model.h"

const void **nrt_sorted(const void *at, size_t n, size_t size,
                        int (*cmp)(const void *x, const void *y))
{
    const void **const list = calloc(n + 1, sizeof(*list));

    for (size_t i = 0; list && i < n; i++)
        list[i] = (const char *)at + i * size;
    if (list && n > 1)
        qsort(list, n, sizeof(*list), cmp);
    return list;
}

int nrt_cmp_types(struct str x, struct str y)
{
    const bool mx = str_is(x, "memory"), my = str_is(y, "memory");

    return mx != my ? (mx ? -1 : 1) : str_cmp(x, y);
}

static int cmp_devices(const void *x, const void *y)
{
    const struct kube_nrt_device *const a = *(const void *const *)x, *const b =
                                                                         *(const void *const *)y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

int nrt_cmp_uses(const void *x, const void *y)
{
    const struct kube_nrt_device_use *const a = *(const void *const *)x, *const b = *(
                                                                             const void *const *)y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

/* Pods of one name, of which one has gone or not yet come, one after the other. */
static int cmp_holdings(const void *x, const void *y)
{
    const struct kube_nrt_holding *const a = *(const void *const *)x, *const b =
                                                                          *(const void *const *)y;
    int c = str_cmp(a->ns, b->ns);

    c = c ? c : str_cmp(a->pod, b->pod);
    c = c ? c : str_cmp(a->uid, b->uid);
    return c ? c : str_cmp(a->container, b->container);
}

static int cmp_ids(const void *x, const void *y)
{
    const struct kube_nrt_pci_name *const a = *(const void *const *)x, *const b =
                                                                           *(const void *const *)y;
    const int c = str_cmp(a->id, b->id);

    return c ? c : str_cmp(a->address, b->address);
}

static void drop_twins(const void **devices)
{
    size_t n = 0;

    for (size_t i = 0; devices[i]; i++) {
        if (n == 0 || cmp_devices(&devices[n - 1], &devices[i]) != 0)
            devices[n++] = devices[i];
    }
    devices[n] = NULL;
}

bool nrt_same_pod(const struct kube_nrt_holding *a, const struct kube_nrt_holding *b)
{
    return str_eq(a->ns, b->ns) && str_eq(a->pod, b->pod) && (a->pod.n || str_eq(a->uid, b->uid));
}

/* A name stands for one pod: of several the first stays. So does an uid. */
static bool is_listed(const struct kube_nrt_holding *last, const struct kube_nrt_holding *h)
{
    return nrt_same_pod(last, h) &&
           (!str_eq(last->uid, h->uid) || str_eq(last->container, h->container));
}

static void choose_holdings(const void **holdings)
{
    size_t n = 0;

    for (size_t i = 0; holdings[i]; i++) {
        const struct kube_nrt_holding *const h = holdings[i];

        if ((h->pod.n || h->uid.n) && (n == 0 || !is_listed(holdings[n - 1], h)))
            holdings[n++] = holdings[i];
    }
    holdings[n] = NULL;
}

static int collect_held(struct nrt_order *o)
{
    const struct kube_nrt_publication *const p = o->p;
    size_t n = 0;

    for (uint32_t h = 0; h < p->n_holdings; h++)
        n += p->holdings[h].n_devices;
    o->held = calloc(n + 1, sizeof(*o->held));
    if (!o->held)
        return -ENOMEM;
    for (uint32_t h = 0; h < p->n_holdings; h++) {
        for (uint32_t i = 0; i < p->holdings[h].n_devices; i++)
            o->held[o->n_held++] = &p->holdings[h].devices[i];
    }
    if (o->n_held > 1)
        qsort(o->held, o->n_held, sizeof(*o->held), nrt_cmp_uses);
    return 0;
}

bool nrt_is_held(const struct nrt_order *o, const struct kube_nrt_device *d)
{
    const struct kube_nrt_device_use use = {d->resource, d->id};
    const void *const key = &use;

    return bsearch(&key, o->held, o->n_held, sizeof(*o->held), nrt_cmp_uses) != NULL;
}

/* What another device of the machine is called cannot be this one's name. */
static bool is_taken(const struct topo_machine *m, const struct kube_nrt_pci_name *name)
{
    for (uint32_t i = 0; i < m->n_devices; i++) {
        if (str_eq(m->devices[i].name, name->id) && !str_eq(m->devices[i].pci, name->address))
            return true;
    }
    return false;
}

/* One address has several ids where a plugin shares a device out; an id has one address. */
static void choose_names(struct nrt_order *o)
{
    size_t n = 0;
    struct str last = {0};

    for (size_t i = 0; o->pci_names[i]; i++) {
        const struct kube_nrt_pci_name *const name = o->pci_names[i];

        if ((i > 0 && str_eq(name->id, last)) || is_taken(o->p->machine, name))
            continue;
        last = name->id;
        o->pci_names[n++] = name;
    }
    o->pci_names[n] = NULL;
}

int nrt_order_init(struct nrt_order *o, const struct kube_nrt_publication *p)
{
    *o = (struct nrt_order){.p = p};
    o->devices = nrt_sorted(p->devices, p->n_devices, sizeof(*p->devices), cmp_devices);
    o->holdings = nrt_sorted(p->holdings, p->n_holdings, sizeof(*p->holdings), cmp_holdings);
    o->pci_names = nrt_sorted(p->pci_names, p->n_pci_names, sizeof(*p->pci_names), cmp_ids);
    if (!o->devices || !o->holdings || !o->pci_names)
        return -ENOMEM;
    drop_twins(o->devices);
    choose_holdings(o->holdings);
    choose_names(o);
    return collect_held(o);
}

void nrt_order_free(struct nrt_order *o)
{
    free(o->devices);
    free(o->holdings);
    free(o->held);
    free(o->pci_names);
}
