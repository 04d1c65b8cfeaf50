/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/snapshot.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cluster/siphash.h"
#include "cluster/snapshot_parts.h"

/* --- parts --- */

/* Whether this was the last reference. */
static bool drop(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

struct pod_shard *pod_shard_ref(struct pod_shard *shard)
{
    if (shard)
        atomic_fetch_add_explicit(&shard->refs, 1, memory_order_relaxed);
    return shard;
}

void pod_shard_unref(struct pod_shard *shard)
{
    if (!shard || !drop(&shard->refs))
        return;
    for (uint32_t i = 0; i < shard->n; i++)
        block_unref(shard->at[i].pod);
    free(shard);
}

uint64_t snapshot_hash(const uint64_t key[2], struct str ns, struct str name)
{
    const uint64_t second[2] = {key[1], ns.n ? siphash13(key, ns) : key[0]};

    return siphash13(second, name);
}

static const struct node_view *view_of(const struct block *b)
{
    return b->value;
}

struct name_index *name_index_new(const uint64_t key[2], struct block *const *views, uint32_t n)
{
    uint32_t slots = 8;

    while (slots / 2 < n)
        slots *= 2;
    struct name_index *const index = calloc(1, sizeof(*index) + slots * sizeof(struct name_slot));
    if (!index)
        return NULL;
    atomic_init(&index->refs, 1);
    index->mask = slots - 1;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t hash = snapshot_hash(key, (struct str){0}, view_of(views[i])->name);
        uint32_t at = (uint32_t)hash & index->mask;

        while (index->slots[at].position)
            at = (at + 1) & index->mask;
        index->slots[at] = (struct name_slot){(uint32_t)(hash >> 32), i + 1};
    }
    return index;
}

struct name_index *name_index_ref(struct name_index *index)
{
    atomic_fetch_add_explicit(&index->refs, 1, memory_order_relaxed);
    return index;
}

void name_index_unref(struct name_index *index)
{
    if (index && drop(&index->refs))
        free(index);
}

uint32_t snapshot_position(const struct cluster_snapshot *s, struct str name, uint64_t hash)
{
    const struct name_index *const index = s->index;

    for (uint32_t at = (uint32_t)hash & index->mask; index->slots[at].position;
         at = (at + 1) & index->mask) {
        const uint32_t i = index->slots[at].position - 1;

        if (index->slots[at].tag == (uint32_t)(hash >> 32) &&
            str_eq(view_of(s->views[i])->name, name))
            return i;
    }
    return s->n;
}

struct cluster_snapshot *snapshot_new(const uint64_t key[2], uint32_t n)
{
    struct cluster_snapshot *const s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->key[0] = key[0];
    s->key[1] = key[1];
    s->n = n;
    s->views = calloc(n ? n : 1, sizeof(struct block *));
    if (s->views)
        return s;
    free(s);
    return NULL;
}

/* --- snapshot.h --- */

struct cluster_snapshot *cluster_snapshot_ref(struct cluster_snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void cluster_snapshot_unref(struct cluster_snapshot *s)
{
    if (!s || !drop(&s->refs))
        return;
    for (uint32_t i = 0; i < s->n; i++)
        block_unref(s->views[i]);
    for (uint32_t i = 0; i < POD_SHARDS; i++)
        pod_shard_unref(s->shards[i]);
    name_index_unref(s->index);
    free(s->views);
    free(s);
}

uint64_t cluster_snapshot_generation(const struct cluster_snapshot *s)
{
    return s->generation;
}

uint32_t cluster_snapshot_nodes(const struct cluster_snapshot *s)
{
    return s->n;
}

const struct node_view *cluster_snapshot_node(const struct cluster_snapshot *s, uint32_t i)
{
    return view_of(s->views[i]);
}

uint32_t cluster_snapshot_position(const struct cluster_snapshot *s, struct str name)
{
    const uint32_t i = snapshot_position(s, name, snapshot_hash(s->key, (struct str){0}, name));

    return i < s->n ? i : UINT32_MAX;
}

const struct node_view *cluster_snapshot_find(const struct cluster_snapshot *s, struct str name)
{
    const uint32_t i = cluster_snapshot_position(s, name);

    return i < s->n ? view_of(s->views[i]) : NULL;
}

const struct score_pod *cluster_snapshot_pod(const struct cluster_snapshot *s, struct str ns,
                                             struct str name)
{
    const uint64_t hash = snapshot_hash(s->key, ns, name);
    const struct pod_shard *const shard = s->shards[hash % POD_SHARDS];
    const struct score_pod *best = NULL;
    uint32_t rank = UINT32_MAX;

    for (uint32_t i = 0; shard && i < shard->n; i++) {
        const struct pod_shard_entry *const e = &shard->at[i];
        const struct score_pod *const pod = e->pod->value;

        if (e->hash != hash || e->rank >= rank || !str_eq(pod->name, name) || !str_eq(pod->ns, ns))
            continue;
        best = pod;
        rank = e->rank;
    }
    return best;
}
