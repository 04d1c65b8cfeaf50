/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/node_build.h"
#include "cluster/snapshot_parts.h"
#include "cluster/store.h"

enum { FIRST_SCRATCH = 1 << 20 };
static const size_t max_scratch = (size_t)1 << 31;

struct cluster {
    struct cluster_options options;
    struct store store;
    bool nodes_changed;       /* a name came or went since the last snapshot */
    struct store_node *fresh; /* by next_dirty: views that the last snapshot does not have */
    uint64_t revision;
    const struct score_pod **pods; /* scratch for the pods of one node */
    uint32_t pods_room;
    char *scratch;
    size_t scratch_room;
    atomic_bool synced;
    pthread_mutex_t lock;             /* over `current`: held for a pointer and a count */
    struct cluster_snapshot *current; /* never NULL */
};

/* --- views --- */

struct build {
    struct cluster *c;
    const struct node_inputs *in;
    uint64_t revision;
};

static int grow_scratch(struct cluster *c)
{
    const size_t room = c->scratch_room ? c->scratch_room * 2 : FIRST_SCRATCH;
    char *const p = room <= max_scratch ? malloc(room) : NULL;

    if (!p)
        return -ENOMEM;
    free(c->scratch);
    c->scratch = p;
    c->scratch_room = room;
    return 0;
}

/* Which of two arenas was too small is not said: the scratch grows along with the block. */
static int build_into(void *ctx, struct arena *a, const void **out)
{
    const struct build *const b = ctx;
    struct node_view *const view = arena_array(a, 1, sizeof(*view));
    struct arena scratch;

    if (!view)
        return -ENOMEM;
    arena_init(&scratch, b->c->scratch, b->c->scratch_room);
    const int rc = node_build(view, b->in, a, &scratch);
    arena_rewind(&scratch, 0);
    if (rc == -ENOMEM && b->c->scratch_room / 16 < a->room)
        (void)grow_scratch(b->c);
    view->revision = b->revision;
    *out = view;
    return rc;
}

static int collect_pods(struct cluster *c, const struct store_node *n)
{
    uint32_t i = 0;

    if (n->n_pods > c->pods_room) {
        const uint32_t room = n->n_pods * 2;
        const struct score_pod **const pods =
            realloc(c->pods, room * sizeof(const struct score_pod *));

        if (!pods)
            return -ENOMEM;
        c->pods = pods;
        c->pods_room = room;
    }
    for (const struct store_pod *p = n->pods; p; p = p->next)
        c->pods[i++] = p->block->value;
    return 0;
}

static int64_t now_us(const struct cluster *c)
{
    return c->options.now_us ? c->options.now_us() : clock_realtime_us();
}

/* When the clock alone makes the view a different one. */
static int64_t next_check(const struct cluster *c, const struct node_view *v)
{
    if (c->options.max_age_us == 0 || v->observed_us == 0)
        return 0;
    if (v->knowledge == NODE_KNOWN)
        return v->observed_us + c->options.max_age_us + 1;
    if (v->knowledge == NODE_STALE && v->observed_us > now_us(c))
        return v->observed_us - NODE_BUILD_CLOCK_SLACK_US;
    return 0;
}

static int new_view(struct cluster *c, struct store_node *n, struct block **out)
{
    const int64_t now = now_us(c);
    const struct node_inputs in = {
        .name = n->name,
        .node = n->node->value,
        .nrt = n->nrt ? n->nrt->value : NULL,
        .pods = c->pods,
        .n_pods = n->n_pods,
        .pods_known = c->store.pods_known,
        .newest_generation = n->newest_generation,
        .now_us = now,
        .max_age_us = c->options.max_age_us,
    };
    struct build b = {c, &in, ++c->revision};

    return block_new(out, block_room_like(n->view), build_into, &b);
}

/* Build one node's view again; without memory for it the old one stays. */
static void refresh(struct cluster *c, struct store_node *n)
{
    struct block *view = NULL;

    if (!n->node) {
        c->nodes_changed = c->nodes_changed || n->view;
        block_unref(n->view);
        n->view = NULL;
        n->recheck_us = 0;
        store_prune(&c->store, n);
        return;
    }
    if (collect_pods(c, n) || new_view(c, n, &view)) {
        log_line(LOG_LEVEL_ERROR, "cluster", "node %.*s: no memory for its view", STR_ARG(n->name));
        return;
    }
    c->nodes_changed = c->nodes_changed || !n->view;
    block_unref(n->view);
    n->view = view;
    n->recheck_us = next_check(c, view->value);
    n->next_dirty = c->fresh;
    c->fresh = n;
}

/* --- snapshots --- */

static int cmp_views(const void *x, const void *y)
{
    const struct block *const a = *(struct block *const *)x, *const b = *(struct block *const *)y;

    return str_cmp(((const struct node_view *)a->value)->name,
                   ((const struct node_view *)b->value)->name);
}

static uint32_t count_views(const struct store *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i <= s->mask; i++) {
        for (const struct store_node *k = s->buckets[i]; k; k = k->next)
            n += k->view != NULL;
    }
    return n;
}

/* A new set of names: sort them and index them. */
static int fill_anew(const struct store *from, struct cluster_snapshot *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i <= from->mask; i++) {
        for (const struct store_node *k = from->buckets[i]; k; k = k->next) {
            if (k->view)
                s->views[n++] = block_ref(k->view);
        }
    }
    if (n)
        qsort(s->views, n, sizeof(struct block *), cmp_views);
    s->index = name_index_new(s->key, s->views, n);
    return s->index ? 0 : -ENOMEM;
}

/* The names of the snapshot before: order and index stay. */
static void fill_again(const struct store_node *fresh, struct cluster_snapshot *s,
                       const struct cluster_snapshot *before)
{
    s->index = name_index_ref(before->index);
    for (uint32_t i = 0; i < s->n; i++)
        s->views[i] = before->views[i];
    for (const struct store_node *n = fresh; n; n = n->next_dirty)
        s->views[snapshot_position(before, n->name, n->hash)] = n->view;
    for (uint32_t i = 0; i < s->n; i++)
        (void)block_ref(s->views[i]);
}

static void swap(struct cluster *c, struct cluster_snapshot *s)
{
    struct cluster_snapshot *const before = c->current;

    (void)pthread_mutex_lock(&c->lock);
    c->current = s;
    (void)pthread_mutex_unlock(&c->lock);
    cluster_snapshot_unref(before);
}

static int publish(struct cluster *c)
{
    struct store *const store = &c->store;
    const uint32_t n = c->nodes_changed ? count_views(store) : c->current->n;
    struct cluster_snapshot *const s = snapshot_new(store->key, n);
    int rc = s ? 0 : -ENOMEM;

    for (uint32_t i = 0; rc == 0 && i < POD_SHARDS; i++) {
        rc = store_publish_shard(store, i);
        s->shards[i] = rc ? NULL : pod_shard_ref(store->shards[i].published);
    }
    if (rc == 0 && c->nodes_changed)
        rc = fill_anew(store, s);
    else if (rc == 0)
        fill_again(c->fresh, s, c->current);
    if (rc) {
        cluster_snapshot_unref(s);
        return rc;
    }
    s->generation = c->current->generation + 1;
    swap(c, s);
    return 0;
}

static bool any_shard_dirty(const struct store *s)
{
    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        if (s->shards[i].dirty)
            return true;
    }
    return false;
}

/* One swap for all that came since the last one; none when nothing did. */
static void settle(struct cluster *c, bool always)
{
    bool changed = always || c->nodes_changed || any_shard_dirty(&c->store);

    for (struct store_node *n; (n = store_next_dirty(&c->store)); changed = true)
        refresh(c, n);
    const bool failed = changed && publish(c);
    if (failed)
        log_line(LOG_LEVEL_ERROR, "cluster", "no memory for a snapshot: the last one stays");
    c->nodes_changed = failed; /* then the next one is made from all nodes */
    c->fresh = NULL;
}

/* --- cluster.h --- */

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct cluster *const c = ctx;

    return store_apply(&c->store, delta, err);
}

static void on_settled(void *ctx)
{
    struct cluster *const c = ctx;

    settle(c, !atomic_load(&c->synced));
    atomic_store(&c->synced, true);
}

struct source_sink cluster_sink(struct cluster *c)
{
    return (struct source_sink){.delta = on_delta, .settled = on_settled, .ctx = c};
}

struct cluster_snapshot *cluster_get(struct cluster *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct cluster_snapshot *const s = cluster_snapshot_ref(c->current);
    (void)pthread_mutex_unlock(&c->lock);
    return s;
}

bool cluster_is_synced(const struct cluster *c)
{
    return atomic_load(&c->synced);
}

void cluster_tick(struct cluster *c)
{
    const int64_t now = now_us(c);

    for (uint32_t i = 0; i <= c->store.mask; i++) {
        for (struct store_node *n = c->store.buckets[i]; n; n = n->next) {
            if (n->recheck_us && n->recheck_us <= now)
                store_mark(&c->store, n);
        }
    }
    if (c->store.dirty && atomic_load(&c->synced))
        settle(c, false);
}

/* A view of which nobody knows when it was observed never ages. */
static bool has_age(const struct store_node *n)
{
    return n->view && ((const struct node_view *)n->view->value)->observed_us != 0;
}

void cluster_set_max_age(struct cluster *c, int64_t us)
{
    if (us == c->options.max_age_us)
        return;
    c->options.max_age_us = us;
    for (uint32_t i = 0; i <= c->store.mask; i++) {
        for (struct store_node *n = c->store.buckets[i]; n; n = n->next) {
            if (has_age(n))
                store_mark(&c->store, n);
        }
    }
    if (c->store.dirty && atomic_load(&c->synced))
        settle(c, false);
}

static int start(struct cluster *c, const struct cluster_options *options)
{
    c->options = *options;
    if (store_init(&c->store, options->hash_key) || grow_scratch(c) ||
        !(c->current = snapshot_new(options->hash_key, 0)))
        return -ENOMEM;
    c->current->index = name_index_new(options->hash_key, NULL, 0);
    return c->current->index && pthread_mutex_init(&c->lock, NULL) == 0 ? 0 : -ENOMEM;
}

int cluster_new(struct cluster **out, const struct cluster_options *options, struct err *err)
{
    struct cluster *const c = calloc(1, sizeof(*c));

    if (!c || start(c, options)) {
        cluster_free(c);
        return err_set(err, -ENOMEM, "no memory");
    }
    *out = c;
    return 0;
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    cluster_snapshot_unref(c->current);
    store_done(&c->store);
    free(c->pods);
    free(c->scratch);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}
