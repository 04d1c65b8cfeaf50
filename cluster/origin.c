/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/origin.h"

#include "base/arena.h"
#include "cluster/block.h"
#include "cluster/pod_record.h"
#include "cluster/store.h"

struct origin_view *origin_view_new(uint32_t n_pods, struct arena *a)
{
    struct origin_view *const v = arena_array(a, 1, sizeof(*v));
    const struct pod_record **const pods =
        v ? arena_array(a, n_pods, sizeof(const struct pod_record *)) : NULL;

    if (!pods)
        return NULL;
    v->origin.pods = pods;
    return v;
}

static void drop(const void *value)
{
    const struct origin *const o = &((const struct origin_view *)value)->origin;

    block_unref(o->node);
    block_unref(o->nrt);
    for (uint32_t i = 0; i < o->n_pods; i++)
        pod_record_unref((struct pod_record *)(uintptr_t)o->pods[i]);
}

static size_t block_bytes(const struct block *b)
{
    return b ? sizeof(*b) + b->used : 0;
}

/* A shape that others have, too, is most likely there anyway. */
static size_t record_bytes(const struct pod_record *r)
{
    return sizeof(*r) + r->name_n + r->uid_n +
           (block_is_alone(r->shape) ? block_bytes(r->shape) : 0);
}

void origin_keep(struct block *view, const struct store_node *n, int64_t since_us, bool pods_known)
{
    struct origin *const o = &((struct origin_view *)(uintptr_t)view->value)->origin;

    o->node = block_ref(n->node);
    o->nrt = n->nrt ? block_ref(n->nrt) : NULL;
    o->since_us = since_us;
    o->pods_known = pods_known;
    o->bytes = block_bytes(o->node) + block_bytes(o->nrt);
    for (uint32_t i = 0; i < n->n_pods; i++) {
        o->pods[i] = pod_record_ref(n->pods[i]);
        o->bytes += record_bytes(n->pods[i]);
    }
    o->n_pods = n->n_pods;
    view->drop = drop;
}

const struct origin *origin_of(const struct block *view)
{
    return view->drop == drop ? &((const struct origin_view *)view->value)->origin : NULL;
}
