/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes `placements`, `devices` and `pci` of contract.md section 5, as JSON. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "kube/emit.h"
#include "kube/nrt_order.h"
#include "topology/model.h"

static void emit_zones(struct emit *e, const struct topo_machine *m, uint64_t zones, bool elsewhere)
{
    emit_key(e, "zones");
    emit_array(e);
    if (elsewhere)
        emit_int(e, -1); /* no zone has this id */
    for (uint32_t z = 0; z < m->n_zones; z++) {
        if (zones >> z & 1)
            emit_uint(e, m->zones[z].id);
    }
    emit_end(e);
}

/* --- placements --- */

static int cmp_blocks(const void *x, const void *y)
{
    const struct kube_nrt_block *const a = *(const void *const *)x, *const b =
                                                                        *(const void *const *)y;
    const int c = nrt_cmp_types(a->type, b->type);

    if (c)
        return c;
    return a->zones != b->zones ? (a->zones > b->zones) - (a->zones < b->zones)
                                : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static void emit_blocks(struct emit *e, const struct topo_machine *m,
                        const struct kube_nrt_holding *h)
{
    const void **const blocks = nrt_sorted(h->blocks, h->n_blocks, sizeof(*h->blocks), cmp_blocks);

    e->out->failed = e->out->failed || !blocks;
    emit_key(e, "memory");
    emit_array(e);
    for (uint32_t i = 0; blocks && i < h->n_blocks; i++) {
        const struct kube_nrt_block *const b = blocks[i];

        emit_object(e);
        emit_zones(e, m, b->zones, false);
        emit_key(e, "type"), emit_text(e, b->type);
        emit_key(e, "bytes"), emit_uint(e, b->bytes);
        emit_end(e);
    }
    emit_end(e);
    free(blocks);
}

static void emit_uses(struct emit *e, const struct kube_nrt_holding *h)
{
    const void **const uses =
        nrt_sorted(h->devices, h->n_devices, sizeof(*h->devices), nrt_cmp_uses);
    const struct kube_nrt_device_use *last = NULL;

    e->out->failed = e->out->failed || !uses;
    emit_key(e, "devices");
    emit_object(e);
    for (uint32_t i = 0; uses && i < h->n_devices; i++) {
        const struct kube_nrt_device_use *const use = uses[i];

        if (!last || !str_eq(last->resource, use->resource)) {
            if (last)
                emit_end(e);
            emit_key_str(e, use->resource);
            emit_array(e);
        }
        emit_text(e, use->id);
        last = use;
    }
    if (last)
        emit_end(e);
    emit_end(e);
    free(uses);
}

static void emit_container(struct emit *e, const struct topo_machine *m,
                           const struct kube_nrt_holding *h)
{
    emit_key_str(e, h->container);
    emit_object(e);
    if (h->cpus.n)
        emit_key(e, "cpus"), emit_text(e, h->cpus);
    if (h->n_blocks)
        emit_blocks(e, m, h);
    if (h->n_devices)
        emit_uses(e, h);
    emit_end(e);
}

static void emit_pod_key(struct emit *e, const struct kube_nrt_holding *h)
{
    CLEANUP(buf_free) struct buf key = {0};

    buf_str(&key, h->pod.n ? h->ns : STR(KUBE_NRT_NO_NAMESPACE));
    buf_text(&key, "/");
    buf_str(&key, h->pod.n ? h->pod : h->uid);
    e->out->failed = e->out->failed || key.failed;
    emit_key_str(e, buf_view(&key));
}

void nrt_put_placements(struct buf *json, const struct nrt_order *o)
{
    const struct kube_nrt_holding *last = NULL;
    struct emit e;

    emit_init(&e, json, false);
    emit_object(&e);
    for (const void **at = o->holdings; *at; at++) {
        const struct kube_nrt_holding *const h = *at;

        if (!last || !nrt_same_pod(last, h)) {
            if (last)
                emit_end(&e), emit_end(&e);
            emit_pod_key(&e, h);
            emit_object(&e);
            if (h->uid.n)
                emit_key(&e, "uid"), emit_text(&e, h->uid);
            emit_key(&e, "containers");
            emit_object(&e);
        }
        emit_container(&e, o->p->machine, h);
        last = h;
    }
    if (last)
        emit_end(&e), emit_end(&e);
    emit_end(&e);
}

/* --- devices --- */

void nrt_put_devices(struct buf *json, const struct nrt_order *o)
{
    const struct kube_nrt_device *last = NULL;
    struct emit e;

    emit_init(&e, json, false);
    emit_object(&e);
    for (const void **at = o->devices; *at; at++) {
        const struct kube_nrt_device *const d = *at;

        if (!last || !str_eq(last->resource, d->resource)) {
            if (last)
                emit_end(&e);
            emit_key_str(&e, d->resource);
            emit_array(&e);
        }
        emit_object(&e);
        emit_key(&e, "id"), emit_text(&e, d->id);
        emit_zones(&e, o->p->machine, d->zones, d->elsewhere);
        emit_key(&e, "healthy"), emit_bool(&e, d->healthy);
        emit_end(&e);
        last = d;
    }
    if (last)
        emit_end(&e);
    emit_end(&e);
}

/* --- pci --- */

/*
 * What device `i` of the machine is called: as plugins name it, each of them in turn, else as the
 * system does, once. NULL behind the last name. Of devices at one address (a port and its RDMA
 * twin) the first one has the plugins' names.
 */
static const struct str *name_of(const struct nrt_order *o, uint32_t i, size_t turn)
{
    const struct topo_device *const d = &o->p->machine->devices[i];
    size_t n = 0;

    if (d->pci.n && (i == 0 || !str_eq(o->p->machine->devices[i - 1].pci, d->pci))) {
        for (const void **at = o->pci_names; *at; at++) {
            const struct kube_nrt_pci_name *const name = *at;

            if (str_eq(name->address, d->pci) && n++ == turn)
                return &name->id;
        }
    }
    return n == 0 && turn == 0 ? &d->name : NULL;
}

static void emit_links(struct emit *e, const struct nrt_order *o, uint32_t i)
{
    const struct topo_machine *const m = o->p->machine;
    const struct str *name;

    emit_key(e, "links");
    emit_object(e);
    for (uint32_t j = 0; j < m->n_devices; j++) {
        const uint32_t mbs = m->link_mbs[i * m->n_devices + j];

        if (mbs == 0 || j == i)
            continue;
        for (size_t turn = 0; (name = name_of(o, j, turn)); turn++) {
            emit_key_str(e, *name);
            emit_uint(e, mbs);
        }
    }
    emit_end(e);
}

static void emit_device(struct emit *e, const struct nrt_order *o, uint32_t i, struct str name)
{
    const struct topo_machine *const m = o->p->machine;
    const struct topo_device *const d = &m->devices[i];

    emit_key_str(e, name);
    emit_object(e);
    emit_key(e, "kind"), emit_words(e, topo_device_kind_text(d->kind));
    emit_key(e, "address"), emit_text(e, d->pci);
    emit_key(e, "path");
    emit_array(e);
    for (uint32_t k = 0; k < d->n_path; k++)
        emit_text(e, d->path[k]);
    emit_end(e);
    emit_zones(e, m, d->zones, false);
    if (d->kind == TOPO_NIC || d->kind == TOPO_INFINIBAND) {
        emit_key(e, "name"), emit_text(e, d->name);
        emit_key(e, "speed"), emit_uint(e, d->speed_mbps);
    }
    if (d->kind == TOPO_GPU && m->link_mbs)
        emit_links(e, o, i);
    emit_end(e);
}

void nrt_put_pci(struct buf *json, const struct nrt_order *o)
{
    const struct str *name;
    struct emit e;

    emit_init(&e, json, false);
    emit_object(&e);
    for (uint32_t i = 0; i < o->p->machine->n_devices; i++) {
        for (size_t turn = 0; (name = name_of(o, i, turn)); turn++)
            emit_device(&e, o, i, *name);
    }
    emit_end(&e);
}
