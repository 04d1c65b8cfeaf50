/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attribute `pci`: where devices sit on PCI, how fast ports are, which GPUs are linked. Members
 * that nobody here knows are skipped. Where `kind` is missing, what has links is a GPU and what has
 * a speed a port.
 */
#include <errno.h>
#include <stdlib.h>

#include "kube/nrt_internal.h"

/* Of one node: virtual functions count. */
enum { MOST_DEVICES = 4096, MOST_PATH = 64, MOST_LINKS = 256 };

/* Room for what is due, entered by the caller; NULL: null, or failed. */
static void *room_for(struct nrt_reader *r, uint32_t *out_n, uint32_t most, size_t size)
{
    const enum scan_kind kind = scan_kind(&r->s);

    *out_n = 0;
    if ((kind == SCAN_ARRAY || kind == SCAN_OBJECT) && !scan_count(&r->s, out_n))
        return NULL;
    if (*out_n > most) {
        (void)scan_fail(&r->s, -E2BIG, "more than %u", most);
        return NULL;
    }
    return nrt_reader_room(r, *out_n, size);
}

/* Whether it is said. */
static bool read_kind(struct nrt_reader *r, struct kube_nrt_pci *d)
{
    struct str word;

    if (!scan_word(&r->s, &word))
        return false;
    d->kind = TOPO_OTHER; /* also a kind of a later version */
    for (int k = TOPO_GPU; k < TOPO_OTHER; k++) {
        if (str_is(word, topo_device_kind_text((enum topo_device_kind)k)))
            d->kind = (enum topo_device_kind)k;
    }
    return true;
}

static void read_path(struct nrt_reader *r, struct kube_nrt_pci *d)
{
    uint32_t room, n = 0;
    struct str *const path = room_for(r, &room, MOST_PATH, sizeof(*path));

    if (!path || !scan_array(&r->s))
        return;
    while (scan_item(&r->s) && n < room)
        (void)scan_text(&r->s, &path[n++], r->a);
    d->path = path;
    d->n_path = n;
}

static void read_zones(struct nrt_reader *r, struct kube_nrt_pci *d)
{
    d->zones = 0;
    if (!scan_array(&r->s))
        return;
    while (scan_item(&r->s)) {
        int64_t id;
        const int index =
            scan_int64(&r->s, &id) && id >= 0 ? nrt_zone_index(&r->ids, (uint64_t)id) : -1;

        if (index >= 0) /* what names another zone has no place that we know */
            d->zones |= UINT64_C(1) << index;
    }
}

static void read_u32(struct nrt_reader *r, uint32_t *out)
{
    int64_t v;

    if (!scan_int64(&r->s, &v))
        return;
    if (v > UINT32_MAX)
        (void)scan_fail(&r->s, -EINVAL, "not in 0..2^32-1");
    else
        *out = v > 0 ? (uint32_t)v : 0; /* the kernel says -1 of a port without a link */
}

static void read_links(struct nrt_reader *r, struct kube_nrt_pci *d)
{
    uint32_t room, n = 0;
    struct kube_nrt_link *const links = room_for(r, &room, MOST_LINKS, sizeof(*links));

    if (!links || !scan_object(&r->s))
        return;
    while (scan_key(&r->s) && n < room) {
        (void)scan_key_copy(&r->s, &links[n].to, r->a);
        read_u32(r, &links[n++].mbs);
    }
    d->links = links;
    d->n_links = n;
}

static void read_device(struct nrt_reader *r, struct kube_nrt_pci *d)
{
    struct scan *const s = &r->s;
    bool said = false;

    if (!scan_object(s)) {
        (void)scan_fail(s, -EINVAL, "expected an object");
        return;
    }
    while (scan_key(s)) {
        if (scan_at(s, "kind"))
            said = read_kind(r, d);
        else if (scan_at(s, "address"))
            (void)scan_text(s, &d->address, r->a);
        else if (scan_at(s, "path"))
            read_path(r, d);
        else if (scan_at(s, "zones"))
            read_zones(r, d);
        else if (scan_at(s, "name"))
            (void)scan_text(s, &d->name, r->a);
        else if (scan_at(s, "speed"))
            read_u32(r, &d->speed_mbps);
        else if (scan_at(s, "links"))
            read_links(r, d);
        else if (scan_at(s, "physfn"))
            (void)scan_text(s, &d->physfn, r->a);
        else if (scan_at(s, "bond"))
            (void)scan_text(s, &d->bond, r->a);
    }
    if (!said)
        d->kind = d->n_links ? TOPO_GPU : d->speed_mbps || d->name.n ? TOPO_NIC : TOPO_OTHER;
}

static int by_id(const void *x, const void *y)
{
    const struct kube_nrt_pci *const a = x, *const b = y;

    return str_cmp(a->id, b->id);
}

static const struct kube_nrt_pci *read_devices(struct nrt_reader *r, uint32_t *out_n)
{
    uint32_t room, n = 0;
    struct kube_nrt_pci *const list = room_for(r, &room, MOST_DEVICES, sizeof(*list));

    if (!list || !scan_object(&r->s)) {
        (void)scan_fail(&r->s, -EINVAL, "expected an object");
        return NULL;
    }
    while (scan_key(&r->s) && n < room) {
        (void)scan_key_copy(&r->s, &list[n].id, r->a);
        read_device(r, &list[n++]);
    }
    if (scan_failed(&r->s))
        return NULL;
    if (n > 1)
        qsort(list, n, sizeof(*list), by_id);
    for (uint32_t i = 1; i < n; i++) {
        if (str_eq(list[i].id, list[i - 1].id))
            (void)scan_fail(&r->s, -EINVAL, "%.*s is given twice", STR_ARG(list[i].id));
    }
    *out_n = n;
    return list;
}

int nrt_read_pci(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err)
{
    struct nrt_reader r;
    uint32_t n = 0;

    const int rc = nrt_reader_init(&r, nrt, value, a, err);
    if (rc)
        return err_wrap(err, rc, "attributes[" NRT_PREFIX "pci]");
    const struct kube_nrt_pci *const list = read_devices(&r, &n);
    if (nrt_reader_end(&r, "pci", err))
        return r.s.err.code;
    nrt->pci = list;
    nrt->n_pci = n;
    return 0;
}
