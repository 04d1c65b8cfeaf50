/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "cluster/context.h"
#include "cluster/shelf.h"
#include "cluster/snapshot_parts.h"

/* --- parts --- */

static void take(atomic_uint *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* Whether this was the last reference. */
static bool drop(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

struct pod_shard *pod_shard_ref(struct pod_shard *shard)
{
    if (shard)
        take(&shard->refs);
    return shard;
}

void pod_shard_unref(struct pod_shard *shard)
{
    if (!shard || !drop(&shard->refs))
        return;
    for (uint32_t i = 0; i < shard->n; i++)
        pod_record_unref(shard->at[i]);
    free(shard);
}

struct pod_table *pod_table_new(void)
{
    struct pod_table *const table = calloc(1, sizeof(*table));

    if (table)
        atomic_init(&table->refs, 1);
    return table;
}

struct pod_table *pod_table_ref(struct pod_table *table)
{
    take(&table->refs);
    return table;
}

void pod_table_unref(struct pod_table *table)
{
    if (!table || !drop(&table->refs))
        return;
    for (uint32_t i = 0; i < POD_SHARDS; i++)
        pod_shard_unref(table->shards[i]);
    free(table);
}

static const struct node_view *view_of(const struct block *b)
{
    return b->value;
}

struct snapshot_page *snapshot_page_new(void)
{
    struct snapshot_page *const page = calloc(1, sizeof(*page));

    if (page)
        atomic_init(&page->refs, 1);
    return page;
}

struct snapshot_page *snapshot_page_copy(const struct snapshot_page *page)
{
    struct snapshot_page *const copy = snapshot_page_new();

    for (uint32_t i = 0; copy && i < PAGE_NODES; i++) {
        copy->briefs[i] = page->briefs[i];
        copy->views[i] = page->views[i] ? block_ref(page->views[i]) : NULL;
    }
    return copy;
}

void snapshot_page_put(struct snapshot_page *page, uint32_t at, struct block *view,
                       struct alike_place like)
{
    block_unref(page->views[at]);
    page->views[at] = block_ref(view);
    page->briefs[at] = (struct cluster_brief){like, score_stamp_of(view_of(view))};
}

struct snapshot_page *snapshot_page_ref(struct snapshot_page *page)
{
    take(&page->refs);
    return page;
}

void snapshot_page_unref(struct snapshot_page *page)
{
    if (!page || !drop(&page->refs))
        return;
    for (uint32_t i = 0; i < PAGE_NODES; i++)
        block_unref(page->views[i]);
    free(page);
}

struct cluster_snapshot *snapshot_new(struct roster *roster, struct pod_table *pods,
                                      struct cluster_context *context)
{
    const uint32_t n_pages = roster ? (roster->n + PAGE_NODES - 1) / PAGE_NODES : 0;
    struct cluster_snapshot *const s =
        roster && pods ? calloc(1, sizeof(*s) + n_pages * sizeof(s->pages[0])) : NULL;

    if (!s) {
        roster_unref(roster);
        pod_table_unref(pods);
        cluster_context_unref(context);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->roster = roster;
    s->pods = pods;
    s->context = context;
    s->n_pages = n_pages;
    return s;
}

uint64_t snapshot_pod_hash(const uint64_t key[2], struct str ns, struct str name)
{
    const uint64_t second[2] = {key[1], siphash13(key, ns)};

    return siphash13(second, name);
}

/* --- snapshot.h --- */

struct cluster_snapshot *cluster_snapshot_ref(struct cluster_snapshot *s)
{
    take(&s->refs);
    return s;
}

void cluster_snapshot_unref(struct cluster_snapshot *s)
{
    if (!s || !drop(&s->refs))
        return;
    for (uint32_t i = 0; i < s->n_pages; i++)
        snapshot_page_unref(s->pages[i]);
    pod_table_unref(s->pods);
    roster_unref(s->roster);
    cluster_context_unref(s->context);
    for (int i = 0; i < SHELVES; i++)
        shelf_unref(s->shelves[i]);
    free(s);
}

struct cluster_context *cluster_snapshot_context(const struct cluster_snapshot *s)
{
    return s->context;
}

const struct kube_budget *const *cluster_snapshot_budgets(const struct cluster_snapshot *s,
                                                          uint32_t *out_n)
{
    return (const struct kube_budget *const *)shelf_list(s->shelves[0], out_n);
}

const struct kube_quota *const *cluster_snapshot_quotas(const struct cluster_snapshot *s,
                                                        uint32_t *out_n)
{
    return (const struct kube_quota *const *)shelf_list(s->shelves[SOURCE_QUOTA - SOURCE_BUDGET],
                                                        out_n);
}

const struct kube_limit_range *const *
cluster_snapshot_limit_ranges(const struct cluster_snapshot *s, uint32_t *out_n)
{
    return (const struct kube_limit_range *const *)shelf_list(
        s->shelves[SOURCE_LIMIT_RANGE - SOURCE_BUDGET], out_n);
}

uint64_t cluster_snapshot_generation(const struct cluster_snapshot *s)
{
    return s->generation;
}

uint32_t cluster_snapshot_nodes(const struct cluster_snapshot *s)
{
    return s->roster->n;
}

uint32_t cluster_snapshot_likenesses(const struct cluster_snapshot *s)
{
    return s->n_likenesses;
}

uint32_t cluster_snapshot_places(const struct cluster_snapshot *s)
{
    return s->n_places;
}

struct block *cluster_snapshot_node_block(const struct cluster_snapshot *s, uint32_t i)
{
    return s->pages[i / PAGE_NODES]->views[i % PAGE_NODES];
}

struct roster *cluster_snapshot_roster(const struct cluster_snapshot *s)
{
    return s->roster;
}

const struct node_view *cluster_snapshot_node(const struct cluster_snapshot *s, uint32_t i)
{
    return view_of(cluster_snapshot_node_block(s, i));
}

void cluster_snapshot_prefetch(const struct cluster_snapshot *s, uint32_t i)
{
    const char *const block = (const char *)cluster_snapshot_node_block(s, i);

    for (size_t at = 0; at < sizeof(struct block) + sizeof(struct node_view); at += 64)
        __builtin_prefetch(block + at);
}

const struct node_view *cluster_snapshot_find(const struct cluster_snapshot *s, struct str name)
{
    const uint32_t i = roster_find(s->roster, name);

    return i < s->roster->n ? cluster_snapshot_node(s, i) : NULL;
}

uint64_t cluster_snapshot_hash(const struct cluster_snapshot *s, struct str name)
{
    return roster_hash(s->roster->key, name);
}

void cluster_snapshot_find_at(struct cluster_found *out, const struct cluster_snapshot *s,
                              const uint32_t *positions, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = positions[k];
        const struct cluster_brief *const brief =
            i < s->roster->n ? &s->pages[i / PAGE_NODES]->briefs[i % PAGE_NODES] : NULL;

        __builtin_prefetch(brief);
        out[k] = (struct cluster_found){brief, i};
    }
}

void cluster_snapshot_find_all(struct cluster_found *out, const struct cluster_snapshot *s,
                               const struct str *names, uint32_t n)
{
    enum { BATCH = 64 };
    uint32_t positions[BATCH];

    for (uint32_t k = 0; k < n; k += BATCH) {
        const uint32_t some = n - k < BATCH ? n - k : BATCH;

        roster_find_all(positions, s->roster, names + k, some);
        cluster_snapshot_find_at(out + k, s, positions, some);
    }
}

const char *const cluster_pod_kinds[CLUSTER_POD_KINDS] = {
    "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "PodTemplate"};

uint32_t snapshot_rank(struct str kind)
{
    uint32_t i = 0;

    while (i < CLUSTER_POD_KINDS && !str_is(kind, cluster_pod_kinds[i]))
        i++;
    return i;
}

const struct score_pod *cluster_snapshot_object(const struct cluster_snapshot *s, struct str kind,
                                                struct str ns, struct str name,
                                                struct cluster_pod *room)
{
    const uint64_t hash = snapshot_pod_hash(s->roster->key, ns, name);
    const struct pod_shard *const shard = s->pods->shards[hash % POD_SHARDS];
    const uint32_t rank = snapshot_rank(kind);

    for (uint32_t i = 0; shard && i < shard->n; i++) {
        const struct pod_record *const r = shard->at[i];

        if (r->hash != hash || r->rank != rank || !str_eq(pod_record_name(r), name) ||
            !str_eq(pod_record_ns(r), ns))
            continue;
        pod_record_open(r, room);
        return &room->pod;
    }
    return NULL;
}

const struct score_pod *cluster_snapshot_pod(const struct cluster_snapshot *s, struct str ns,
                                             struct str name, struct cluster_pod *room)
{
    const uint64_t hash = snapshot_pod_hash(s->roster->key, ns, name);
    const struct pod_shard *const shard = s->pods->shards[hash % POD_SHARDS];
    const struct pod_record *best = NULL;

    for (uint32_t i = 0; shard && i < shard->n; i++) {
        const struct pod_record *const r = shard->at[i];

        if (r->hash == hash && (!best || r->rank < best->rank) &&
            str_eq(pod_record_name(r), name) && str_eq(pod_record_ns(r), ns))
            best = r;
    }
    if (!best)
        return NULL;
    pod_record_open(best, room);
    return &room->pod;
}

const struct score_pod *cluster_snapshot_pod_at(const struct cluster_snapshot *s, uint64_t key,
                                                struct cluster_pod *room)
{
    const struct pod_shard *const shard = s->pods->shards[key % POD_SHARDS];

    for (uint32_t i = 0; shard && i < shard->n; i++) {
        if (shard->at[i]->hash == key && shard->at[i]->rank == 0) {
            pod_record_open(shard->at[i], room);
            return &room->pod;
        }
    }
    return NULL;
}

void cluster_snapshot_pods(const struct cluster_snapshot *s,
                           bool (*fn)(void *ctx, const struct score_pod *pod), void *ctx)
{
    struct cluster_pod room;

    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        const struct pod_shard *const shard = s->pods->shards[i];

        for (uint32_t k = 0; shard && k < shard->n; k++) {
            if (shard->at[k]->rank > 0)
                continue;
            pod_record_open(shard->at[k], &room);
            if (!fn(ctx, &room.pod))
                return;
        }
    }
}
