/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between kube/nrt_emit.c, which writes the object, and kube/nrt_emit_payload.c, which writes JSON
 * inside its attributes: what is published, in the order in which it is written, so that equal
 * facts give equal bytes however they were gathered. Nobody else includes this.
 */
#ifndef KUBE_NRT_ORDER_H
#define KUBE_NRT_ORDER_H

#include <stddef.h>

#include "base/attr.h"
#include "kube/nrt_emit.h"

struct buf;

/* Each list ends with NULL. */
struct nrt_order {
    const struct kube_nrt_publication *p;
    const void **devices;   /* struct kube_nrt_device by resource, then id; none twice */
    const void **holdings;  /* struct kube_nrt_holding by ns, pod, container; a name is one pod */
    const void **held;      /* struct kube_nrt_device_use of all of them by resource, then id */
    const void **pci_names; /* struct kube_nrt_pci_name by id; none twice */
    size_t n_held;
};

/* 0, -ENOMEM; to be freed either way. */
int nrt_order_init(struct nrt_order *o, const struct kube_nrt_publication *p) MUST_CHECK;
void nrt_order_free(struct nrt_order *o);

/* Of one pod: by name, or by uid where the name is not known. */
bool nrt_same_pod(const struct kube_nrt_holding *a, const struct kube_nrt_holding *b);

bool nrt_is_held(const struct nrt_order *o, const struct kube_nrt_device *d);

/* The `n` elements of `size` bytes at `at` as a list of pointers; NULL: no memory. */
const void **nrt_sorted(const void *at, size_t n, size_t size,
                        int (*cmp)(const void *x, const void *y));

/* For nrt_sorted: struct kube_nrt_device_use by resource, then id. */
int nrt_cmp_uses(const void *x, const void *y);

/* "memory" first, the rest in byte order. */
int nrt_cmp_types(struct str x, struct str y);

/* The values of the attributes; a full heap shows as json->failed. */
void nrt_put_placements(struct buf *json, const struct nrt_order *o);
void nrt_put_devices(struct buf *json, const struct nrt_order *o);
void nrt_put_pci(struct buf *json, const struct nrt_order *o);

#endif
