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
#include "cluster/alike.h"
#include "cluster/context.h"
#include "cluster/node_build.h"
#include "cluster/origin.h"
#include "cluster/shelf.h"
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
    struct cluster_pod *opened; /* [pods_room] scratch for the pods of one node */
    const struct score_pod **pods;
    uint64_t *keys; /* of the same */
    uint32_t pods_room;
    struct node_signal *signals; /* scratch for the signals about one node */
    uint32_t signals_room;
    struct intern layouts;                        /* node_build.h */
    struct alike_table alike;                     /* of the nodes that have a view */
    struct cluster_context *context;              /* never NULL */
    struct score_demand demands[CLUSTER_DEMANDS]; /* the last ones, by their serial */
    uint64_t n_demands;
    int64_t demand_due_us;          /* when the next one counts, if they come without end */
    struct shelf *shelves[SHELVES]; /* NULL: nobody has told of any */
    char *scratch;
    size_t scratch_room;
    atomic_bool synced;
    pthread_mutex_t lock;             /* over `current`: held for a pointer and a count */
    struct cluster_snapshot *current; /* never NULL */
};

/* --- views --- */

struct build {
    struct cluster *c;
    struct node_inputs *in;
    struct node_layouts *layouts; /* of `in` */
    const struct block *nrt;      /* of a struct store_nrt; NULL: no report */
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
    struct origin_view *const made = origin_view_new(b->in->n_pods, a);
    struct arena scratch;
    struct kube_nrt nrt;
    int rc = 0;

    if (!made)
        return -ENOMEM;
    struct node_view *const view = &made->view;
    block_unref(b->layouts->used); /* of an attempt that had not enough room */
    b->layouts->used = NULL;
    arena_init(&scratch, b->c->scratch, b->c->scratch_room);
    if (b->nrt)
        rc = store_read_nrt(&nrt, b->nrt, &scratch);
    b->in->nrt = b->nrt ? &nrt : NULL;
    if (rc == 0)
        rc = node_build(view, b->in, a, &scratch);
    arena_rewind(&scratch, 0);
    if (rc == -ENOMEM && b->c->scratch_room / 16 < a->room)
        (void)grow_scratch(b->c);
    view->revision = b->revision;
    *out = view;
    return rc;
}

static int collect_pods(struct cluster *c, const struct store_node *n)
{
    if (n->n_pods > c->pods_room) {
        const uint32_t room = n->n_pods * 2;
        struct cluster_pod *const opened = realloc(c->opened, room * sizeof(*opened));
        c->opened = opened ? opened : c->opened;
        const struct score_pod **const pods =
            realloc(c->pods, room * sizeof(const struct score_pod *));
        c->pods = pods ? pods : c->pods;
        uint64_t *const keys = realloc(c->keys, room * sizeof(*keys));
        c->keys = keys ? keys : c->keys;
        if (!opened || !pods || !keys)
            return -ENOMEM;
        c->pods_room = room;
    }
    for (uint32_t i = 0; i < n->n_pods; i++) {
        pod_record_open(n->pods[i], &c->opened[i]);
        c->pods[i] = &c->opened[i].pod;
        c->keys[i] = n->pods[i]->hash;
    }
    return 0;
}

/*
 * The signals that say something of the node, into the scratch. Returns how many, -ENOMEM; the time
 * at which the first of them grows too old goes to `out_ends_us`, 0 = none does.
 */
static int collect_signals(struct cluster *c, struct str node, int64_t now, int64_t *out_ends_us)
{
    const struct store_list *const all = &c->store.signals;
    int n = 0;

    *out_ends_us = 0;
    if (all->n > c->signals_room) {
        struct node_signal *const signals = realloc(c->signals, all->n * 2 * sizeof(*signals));

        if (!signals)
            return -ENOMEM;
        c->signals = signals;
        c->signals_room = all->n * 2;
    }
    for (uint32_t i = 0; i < all->n; i++) {
        const struct kube_signal *const s = all->at[i].block->value;
        const struct signal_node *const figures = kube_signal_node(s, node);
        const int64_t ends = store_signal_ends_us(&all->at[i]);

        if (!figures)
            continue;
        c->signals[n++] =
            (struct node_signal){s->name, (enum signal_kind)s->kind, ends < now, figures};
        if (ends >= now && (*out_ends_us == 0 || ends + 1 < *out_ends_us))
            *out_ends_us = ends + 1;
    }
    return n;
}

static int64_t now_us(const struct cluster *c)
{
    return c->options.at_us    ? c->options.at_us
           : c->options.now_us ? c->options.now_us()
                               : clock_realtime_us();
}

/* When the clock alone makes the view a different one. */
static int64_t next_check(const struct cluster *c, const struct node_view *v)
{
    if (v->observed_us == 0)
        return 0;
    if (v->knowledge == NODE_KNOWN)
        return c->options.max_age_us ? v->observed_us + c->options.max_age_us + 1 : 0;
    if (v->knowledge == NODE_STALE && v->observed_us > now_us(c))
        return v->observed_us - NODE_BUILD_CLOCK_SLACK_US;
    return 0;
}

/* Also when the view must be looked at again because a signal grows too old: `out_ends_us`. */
static int new_view(struct cluster *c, struct store_node *n, struct block **out,
                    int64_t *out_ends_us)
{
    const int64_t now = now_us(c);
    const int n_signals = collect_signals(c, n->name, now, out_ends_us);
    struct node_layouts layouts = {
        .known = &c->layouts, .key = c->options.hash_key, .texts = n->nrt ? n->nrt->shared : NULL};
    struct node_inputs in = {
        .name = n->name,
        .node = n->node->value,
        .pods = c->pods,
        .keys = c->keys,
        .n_pods = n->n_pods,
        .pods_known = c->store.pods_known,
        .context = c->context,
        .signals = c->signals,
        .n_signals = (uint32_t)n_signals,
        .layouts = &layouts,
        .before = c->options.rehearses && n->view ? n->view->value : NULL,
        .newest_generation = n->newest_generation,
        .now_us = now,
        .max_age_us = c->options.max_age_us,
        .since_us = c->options.since_us,
    };
    struct build b = {c, &in, &layouts, n->nrt, ++c->revision};

    if (n_signals < 0)
        return -ENOMEM;
    const int rc = block_new(out, block_room_like(n->view), build_into, &b);
    if (rc == 0) {
        (*out)->shared = layouts.used;
        origin_keep(*out, n, c->options.since_us, c->store.pods_known);
    } else {
        block_unref(layouts.used);
    }
    return rc;
}

/* Of two times of which 0 is never. */
static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static void tell_unusable(const struct cluster *c, const struct block *before,
                          const struct node_view *view)
{
    const struct node_view *const was = before ? before->value : NULL;

    if (c->options.unusable &&
        (view->knowledge == NODE_STALE || view->knowledge == NODE_NOT_MODELLED) &&
        (!was || was->knowledge != view->knowledge))
        c->options.unusable(c->options.ctx, view);
}

/* What is known of nodes alike to the new view holds for this one from now on. */
static int move_place(struct cluster *c, struct store_node *n, const struct block *view)
{
    const struct likeness likeness = node_likeness(view->value, c->options.hash_key);
    struct alike_place place;
    const int rc = alike_take(&c->alike, &place, &likeness, c->store.n_nodes);

    if (rc)
        return rc;
    alike_drop(&c->alike, n->like);
    n->like = place;
    return 0;
}

/* Build one node's view again; without memory for it the old one stays. */
static void refresh(struct cluster *c, struct store_node *n)
{
    struct block *view = NULL;
    int64_t ends_us;

    if (!n->node) {
        c->nodes_changed = c->nodes_changed || n->view;
        block_unref(n->view);
        n->view = NULL;
        alike_drop(&c->alike, n->like);
        n->like = (struct alike_place){0};
        n->recheck_us = 0;
        store_prune(&c->store, n);
        return;
    }
    if (collect_pods(c, n) || new_view(c, n, &view, &ends_us) || move_place(c, n, view)) {
        block_unref(view);
        log_line(LOG_LEVEL_ERROR, "cluster", "node %.*s: no memory for its view", STR_ARG(n->name));
        return;
    }
    c->nodes_changed = c->nodes_changed || !n->view;
    tell_unusable(c, n->view, view->value);
    block_unref(n->view);
    n->view = view;
    n->recheck_us = earlier(next_check(c, view->value), ends_us);
    n->next_dirty = c->fresh;
    c->fresh = n;
}

/* --- snapshots --- */

static bool any_shard_dirty(const struct store *s)
{
    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        if (s->shards[i].dirty)
            return true;
    }
    return false;
}

static int by_name(const void *x, const void *y)
{
    const struct store_node *const a = *(struct store_node *const *)x,
                                   *const b = *(struct store_node *const *)y;

    return str_cmp(a->name, b->name);
}

/* The nodes that have a view, in byte order of their names. NULL: out of memory. */
static struct store_node **sorted_nodes(const struct store *s, uint32_t *out_n)
{
    struct store_node **const nodes = malloc((s->n_nodes + 1) * sizeof(struct store_node *));
    uint32_t n = 0;

    for (uint32_t i = 0; nodes && i <= s->mask; i++) {
        for (struct store_node *k = s->buckets[i]; k; k = k->next) {
            if (k->view)
                nodes[n++] = k;
        }
    }
    if (n)
        qsort(nodes, n, sizeof(struct store_node *), by_name);
    *out_n = n;
    return nodes;
}

static struct roster *make_roster(const struct store *s, struct store_node *const *nodes,
                                  uint32_t n)
{
    struct str *const names = malloc((n + 1) * sizeof(*names));

    for (uint32_t i = 0; names && i < n; i++)
        names[i] = nodes[i]->name;
    struct roster *const roster = names ? roster_new(s->key, names, n) : NULL;
    free(names);
    return roster;
}

/* A new set of names: sort them and index them. */
static struct cluster_snapshot *made_anew(const struct store *s, struct pod_table *pods,
                                          struct cluster_context *context)
{
    uint32_t n = 0;
    struct store_node **const nodes = sorted_nodes(s, &n);
    struct cluster_snapshot *snapshot =
        snapshot_new(nodes ? make_roster(s, nodes, n) : NULL, pods, cluster_context_ref(context));

    for (uint32_t i = 0; snapshot && i < n; i++) {
        if (i % PAGE_NODES == 0 && !(snapshot->pages[i / PAGE_NODES] = snapshot_page_new())) {
            cluster_snapshot_unref(snapshot);
            snapshot = NULL;
            break;
        }
        snapshot_page_put(snapshot->pages[i / PAGE_NODES], i % PAGE_NODES, nodes[i]->view,
                          nodes[i]->like);
    }
    free(nodes);
    return snapshot;
}

/* The page that holds `position`, for this snapshot alone. NULL: out of memory. */
static struct snapshot_page *own_page(struct cluster_snapshot *s,
                                      const struct cluster_snapshot *before, uint32_t position)
{
    struct snapshot_page **const page = &s->pages[position / PAGE_NODES];

    if (*page == before->pages[position / PAGE_NODES]) {
        struct snapshot_page *const copy = snapshot_page_copy(*page);

        if (copy)
            snapshot_page_unref(*page);
        *page = copy ? copy : *page;
        return copy;
    }
    return *page;
}

/* The names of the snapshot before: all pages without a fresh view stay. */
static struct cluster_snapshot *made_again(const struct store_node *fresh, struct pod_table *pods,
                                           struct cluster_context *context,
                                           const struct cluster_snapshot *before)
{
    struct cluster_snapshot *const s =
        snapshot_new(roster_ref(before->roster), pods, cluster_context_ref(context));

    for (uint32_t i = 0; s && i < s->n_pages; i++)
        s->pages[i] = snapshot_page_ref(before->pages[i]);
    for (const struct store_node *n = fresh; s && n; n = n->next_dirty) {
        const uint32_t position = roster_find(s->roster, n->name);
        struct snapshot_page *const page = own_page(s, before, position);

        if (!page) {
            cluster_snapshot_unref(s);
            return NULL;
        }
        snapshot_page_put(page, position % PAGE_NODES, n->view, n->like);
    }
    return s;
}

static void swap(struct cluster *c, struct cluster_snapshot *s)
{
    struct cluster_snapshot *const before = c->current;

    (void)pthread_mutex_lock(&c->lock);
    c->current = s;
    (void)pthread_mutex_unlock(&c->lock);
    cluster_snapshot_unref(before);
}

/*
 * The pods as they are now: the table of the snapshot before where none has changed. After a
 * failure nobody knows what it shows, and nodes_changed says so.
 */
static struct pod_table *current_pods(struct cluster *c)
{
    if (!c->nodes_changed && !any_shard_dirty(&c->store))
        return pod_table_ref(c->current->pods);
    struct pod_table *const table = pod_table_new();
    for (uint32_t i = 0; table && i < POD_SHARDS; i++) {
        if (store_publish_shard(&c->store, i)) {
            pod_table_unref(table);
            return NULL;
        }
        table->shards[i] = pod_shard_ref(c->store.shards[i].published);
    }
    return table;
}

static int publish(struct cluster *c)
{
    struct pod_table *const pods = current_pods(c);
    struct cluster_snapshot *const s = c->nodes_changed
                                           ? made_anew(&c->store, pods, c->context)
                                           : made_again(c->fresh, pods, c->context, c->current);

    if (!s)
        return -ENOMEM;
    for (int i = 0; i < SHELVES; i++)
        s->shelves[i] = shelf_ref(c->shelves[i]);
    s->generation = c->current->generation + 1;
    s->n_places = c->alike.n;
    s->n_likenesses = c->alike.in_use;
    swap(c, s);
    return 0;
}

static void mark_all(struct cluster *c)
{
    for (uint32_t i = 0; i <= c->store.mask; i++) {
        for (struct store_node *n = c->store.buckets[i]; n; n = n->next)
            store_mark(&c->store, n);
    }
}

static struct cluster_context *make_context(const struct store *s)
{
    const uint32_t n = s->policies.n + s->namespaces.n;
    struct block **const blocks = malloc((n + 1) * sizeof(struct block *));
    struct cluster_context *context = NULL;

    for (uint32_t i = 0; blocks && i < n; i++)
        blocks[i] =
            i < s->policies.n ? s->policies.at[i].block : s->namespaces.at[i - s->policies.n].block;
    if (blocks)
        context =
            cluster_context_new(blocks, s->policies.n, blocks + s->policies.n, s->namespaces.n);
    free(blocks);
    return context;
}

static bool same_demand(const struct score_demand *x, const struct score_demand *y)
{
    return x->n == y->n && x->n_resources == y->n_resources &&
           memcmp(x->kinds, y->kinds, sizeof(x->kinds)) == 0 &&
           memcmp(x->resources, y->resources, sizeof(x->resources)) == 0;
}

/*
 * What pods want now. One of the last demands that has come back has its serial again, and the
 * answers that are remembered of it still count.
 */
static const struct score_demand *current_demand(struct cluster *c)
{
    struct score_demand now;

    if (c->options.demand)
        return c->options.demand;
    demand_rank(&now, &c->store.demand);
    for (uint32_t i = 0; i < CLUSTER_DEMANDS; i++) {
        if (same_demand(&c->demands[i], &now))
            return &c->demands[i]; /* of none at all: the serial is 0 */
    }
    now.serial = ++c->n_demands;
    c->demands[now.serial % CLUSTER_DEMANDS] = now;
    return &c->demands[now.serial % CLUSTER_DEMANDS];
}

/* Other policies: which pods must be alone is part of views, and of what pods want. */
static void follow_exclusive(struct cluster *c, const struct cluster_context *context)
{
    c->store.context = context;
    if (!cluster_context_has_exclusive(c->context) && !cluster_context_has_exclusive(context))
        return;
    mark_all(c);
    if (store_count_demand(&c->store))
        log_line(LOG_LEVEL_ERROR, "cluster", "no memory to count what some pods want");
}

/* Have there been few enough new ones lately? A clock that was set back has forgotten. */
static bool is_demand_due(const struct cluster *c)
{
    const int64_t every = c->options.demand_every_us, ahead = c->demand_due_us - now_us(c);

    return ahead <= (CLUSTER_DEMANDS - 1) * every || ahead > (CLUSTER_DEMANDS + 1) * every;
}

static void put_off_demand(struct cluster *c)
{
    const int64_t every = c->options.demand_every_us, now = now_us(c), due = c->demand_due_us;
    const bool counts = due > now && due <= now + CLUSTER_DEMANDS * every;

    c->demand_due_us = (counts ? due : now) + every;
}

static bool is_demand_new(struct cluster *c)
{
    const struct score_demand *const is = cluster_context_demand(c->context);

    if (!c->store.demand.changed || !is_demand_due(c))
        return false; /* it is looked at again */
    c->store.demand.changed = false;
    if (current_demand(c)->serial == is->serial)
        return false;
    put_off_demand(c);
    return true;
}

/*
 * Policies, namespaces and what pods want, as they are now. All of it but who must be alone is the
 * request's, no part of views. True when there is a new context.
 */
static bool renew_context(struct cluster *c)
{
    const bool is_new = c->store.context_dirty || is_demand_new(c);
    struct cluster_context *const context = is_new ? make_context(&c->store) : NULL;

    if (is_new && !context) {
        log_line(LOG_LEVEL_ERROR, "cluster", "no memory for the policies: the last ones stay");
        c->store.demand.changed = true;
    }
    if (!context)
        return false;
    if (c->store.context_dirty)
        follow_exclusive(c, context);
    cluster_context_set_demand(context, current_demand(c));
    c->store.demand.changed = false;
    cluster_context_unref(c->context);
    c->context = context;
    c->store.context = context;
    c->store.context_dirty = false;
    return true;
}

/* True when there is a new list; what it says is no part of any view. */
static bool renew_shelf(struct shelf **shelf, struct store_shelf *from)
{
    const struct store_list *const l = &from->list;
    struct block **const blocks = from->dirty ? malloc((l->n + 1) * sizeof(struct block *)) : NULL;

    if (!blocks)
        return false;
    for (uint32_t i = 0; i < l->n; i++)
        blocks[i] = l->at[i].block;
    struct shelf *const made = shelf_new(blocks, l->n);
    free(blocks);
    if (!made)
        return false;
    shelf_unref(*shelf);
    *shelf = made;
    from->dirty = false;
    return true;
}

static bool renew_shelves(struct cluster *c)
{
    bool renewed = false;

    for (int i = 0; i < SHELVES; i++)
        renewed |= renew_shelf(&c->shelves[i], &c->store.shelves[i]);
    return renewed;
}

/* One swap for all that came since the last one; none when nothing did. */
static void settle(struct cluster *c, bool always)
{
    const bool renewed = renew_context(c), stocked = renew_shelves(c);
    bool changed = renewed || stocked || always || c->nodes_changed || any_shard_dirty(&c->store);

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

    c->store.now_us = now_us(c);
    return delta->kind < SOURCE_LOCK_POLICY ? store_apply(&c->store, delta, err) : 0;
}

static void on_begin(void *ctx, enum source_kind kind, bool again)
{
    struct cluster *const c = ctx;

    if (kind < SOURCE_LOCK_POLICY)
        store_begin(&c->store, kind, again);
}

static void on_end(void *ctx, enum source_kind kind)
{
    struct cluster *const c = ctx;

    c->store.now_us = now_us(c);
    if (kind < SOURCE_LOCK_POLICY)
        store_end(&c->store, kind);
}

static void on_settled(void *ctx)
{
    struct cluster *const c = ctx;

    settle(c, !atomic_load(&c->synced));
    atomic_store(&c->synced, true);
}

struct source_sink cluster_sink(struct cluster *c)
{
    return (struct source_sink){
        .delta = on_delta, .begin = on_begin, .end = on_end, .settled = on_settled, .ctx = c};
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
    if ((c->store.dirty || c->store.demand.changed) && atomic_load(&c->synced))
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
    c->context = cluster_context_new(NULL, 0, NULL, 0);
    if (!c->context || store_init(&c->store, options->hash_key) || grow_scratch(c))
        return -ENOMEM;
    if (options->demand)
        cluster_context_set_demand(c->context, options->demand);
    c->store.failed = options->failed;
    c->store.failed_ctx = options->ctx;
    c->current = snapshot_new(roster_new(options->hash_key, NULL, 0), pod_table_new(),
                              cluster_context_ref(c->context));
    return c->current && pthread_mutex_init(&c->lock, NULL) == 0 ? 0 : -ENOMEM;
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
    intern_done(&c->layouts);
    alike_done(&c->alike);
    cluster_context_unref(c->context);
    for (int i = 0; i < SHELVES; i++)
        shelf_unref(c->shelves[i]);
    free(c->opened);
    free(c->pods);
    free(c->keys);
    free(c->signals);
    free(c->scratch);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}
