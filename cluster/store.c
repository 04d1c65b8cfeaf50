/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/siphash.h"
#include "cluster/nrt_code.h"
#include "cluster/pack.h"
#include "cluster/same.h"
#include "kube/object.h"
#include "kube/pod.h"

enum { FIRST_BUCKETS = 256, FIRST_SCRATCH = 128 * 1024 };
static const size_t max_scratch = (size_t)1 << 31;

/* --- decoding --- */

/* An object of the source as it was decoded, to be packed. */
struct decoded {
    enum source_kind kind;
    union {
        struct kube_node node;
        struct kube_nrt nrt;
        struct score_pod pod; /* of a workload: its template */
    };
    struct block *cpu_texts; /* of a NodeResourceTopology; a reference */
};

static int decode_into(struct decoded *d, struct str json, struct arena *a, struct err *err)
{
    if (d->kind == SOURCE_NODE)
        return kube_node_decode(&d->node, json, a, err);
    if (d->kind == SOURCE_NRT)
        return kube_nrt_decode(&d->nrt, json, a, err);
    if (d->kind == SOURCE_POD)
        return kube_pod_read(&d->pod, json, 0, a, err);
    return kube_pod_decode(&d->pod, json, a, err);
}

/* A node or its report; pods become records. */
struct packing {
    const struct decoded *decoded;
    struct str code; /* of a report */
};

static int pack_report(struct store_nrt *to, const struct packing *p, struct arena *a)
{
    const struct kube_nrt *const nrt = &p->decoded->nrt;

    to->has_generation = nrt->has_generation;
    to->generation = nrt->generation;
    return str_copy(&to->uid, nrt->meta.uid, a) || str_copy(&to->code, p->code, a) ? -ENOMEM : 0;
}

static int pack_into(void *ctx, struct arena *a, const void **out)
{
    const struct packing *const p = ctx;

    if (p->decoded->kind == SOURCE_NODE) {
        struct kube_node *const node = arena_array(a, 1, sizeof(*node));

        *out = node;
        return node ? pack_node(node, &p->decoded->node, a) : -ENOMEM;
    }
    struct store_nrt *const nrt = arena_array(a, 1, sizeof(*nrt));

    *out = nrt;
    return nrt ? pack_report(nrt, p, a) : -ENOMEM;
}

static int grow_scratch(struct store *s)
{
    const size_t room = s->scratch_room ? s->scratch_room * 2 : FIRST_SCRATCH;
    char *const p = room <= max_scratch ? malloc(room) : NULL;

    if (!p)
        return -ENOMEM;
    free(s->scratch);
    s->scratch = p;
    s->scratch_room = room;
    return 0;
}

/* Most machines are of a few models, and their CPU lists are kept once. */
static int share_cpu_texts(struct store *s, struct decoded *d, struct arena *a)
{
    struct str texts;

    if (nrt_cpu_texts(&texts, &d->nrt, a))
        return -ENOMEM;
    const struct intern_key key = {siphash13(s->key, texts), intern_same_text, &texts};
    return intern_get(&s->cpu_texts, &d->cpu_texts, &key, intern_copy_text, &texts, NULL);
}

/* The code of a report, in the buffer of the store. */
static int encode(struct store *s, struct str *out, struct decoded *d, struct arena *a)
{
    int rc = share_cpu_texts(s, d, a);

    s->code.n = 0;
    s->code.failed = false;
    if (rc == 0)
        rc = nrt_encode(&s->code, &d->nrt, a);
    *out = buf_view(&s->code);
    return rc;
}

static int decode_and_pack(struct store *s, struct block **out, struct decoded *d, struct str json,
                           size_t room, struct err *err)
{
    struct packing p = {.decoded = d};
    struct arena a;

    arena_init(&a, s->scratch, s->scratch_room);
    int rc = decode_into(d, json, &a, err);
    if (rc == 0 && d->kind == SOURCE_NRT)
        rc = encode(s, &p.code, d, &a);
    if (rc == 0)
        rc = block_new(out, room, pack_into, &p);
    if (rc == 0)
        (*out)->shared = d->cpu_texts;
    else
        block_unref(d->cpu_texts);
    d->cpu_texts = NULL;
    arena_rewind(&a, 0);
    return rc;
}

/* `old`: what this one replaces, or NULL. */
static int decode(struct store *s, struct block **out, const struct source_delta *delta,
                  const struct block *old, struct err *err)
{
    struct decoded d = {.kind = delta->kind};
    int rc;

    do
        rc = decode_and_pack(s, out, &d, delta->json, block_room_like(old), err);
    while (rc == -ENOMEM && grow_scratch(s) == 0);
    return rc == -ENOMEM ? err_set(err, rc, "no memory") : rc;
}

int store_read_nrt(struct kube_nrt *out, const struct block *nrt, struct arena *a)
{
    const struct store_nrt *const from = nrt->value;

    return nrt_decode(out, from->code, *(const struct str *)nrt->shared->value, a);
}

/* --- nodes --- */

int store_init(struct store *s, const uint64_t key[2])
{
    memset(s, 0, sizeof(*s));
    s->key[0] = key[0];
    s->key[1] = key[1];
    s->mask = FIRST_BUCKETS - 1;
    s->buckets = calloc(FIRST_BUCKETS, sizeof(struct store_node *));
    return s->buckets ? grow_scratch(s) : -ENOMEM;
}

static void grow(struct store *s)
{
    const uint32_t mask = s->mask * 2 + 1;
    struct store_node **const buckets = calloc((size_t)mask + 1, sizeof(struct store_node *));

    if (!buckets)
        return; /* longer chains do no harm */
    for (uint32_t i = 0; i <= s->mask; i++) {
        for (struct store_node *n = s->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & mask];
            buckets[n->hash & mask] = n;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->mask = mask;
}

static struct store_node *find_node(const struct store *s, struct str name, uint64_t hash)
{
    struct store_node *n = s->buckets[hash & s->mask];

    while (n && (n->hash != hash || !str_eq(n->name, name)))
        n = n->next;
    return n;
}

struct store_node *store_find_node(const struct store *s, struct str name)
{
    return find_node(s, name, roster_hash(s->key, name));
}

static struct store_node *get_node(struct store *s, struct str name)
{
    const uint64_t hash = roster_hash(s->key, name);
    struct store_node *n = find_node(s, name, hash);

    if (n || !(n = calloc(1, sizeof(*n) + name.n + 1)))
        return n;
    char *const copy = (char *)(n + 1);
    if (name.n)
        memcpy(copy, name.p, name.n);
    n->name = (struct str){copy, name.n};
    n->hash = hash;
    n->next = s->buckets[hash & s->mask];
    s->buckets[hash & s->mask] = n;
    if (++s->n_nodes > s->mask)
        grow(s);
    return n;
}

void store_mark(struct store *s, struct store_node *n)
{
    if (!n || n->dirty)
        return;
    n->dirty = true;
    n->next_dirty = s->dirty;
    s->dirty = n;
}

struct store_node *store_next_dirty(struct store *s)
{
    struct store_node *const n = s->dirty;

    if (n) {
        s->dirty = n->next_dirty;
        n->dirty = false;
    }
    return n;
}

void store_prune(struct store *s, struct store_node *n)
{
    struct store_node **at = &s->buckets[n->hash & s->mask];

    if (n->node || n->nrt || n->n_pods || n->view || n->dirty)
        return;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    s->n_nodes--;
    free(n->pods);
    free(n);
}

static const struct store_nrt *nrt_of(const struct block *b)
{
    return b ? b->value : NULL;
}

/* A generation only grows, as long as the object is the same one. */
static void note_generation(struct store_node *n, const struct store_nrt *old,
                            const struct store_nrt *nrt)
{
    if (!old || !nrt || !str_eq(old->uid, nrt->uid))
        n->newest_generation = 0;
    if (nrt && nrt->has_generation && nrt->generation > n->newest_generation)
        n->newest_generation = nrt->generation;
}

bool store_is_passed_over(const struct store *s, struct store_known *k,
                          const struct source_delta *delta)
{
    k->marked = false;
    return k->version && delta->version && delta->version <= k->version &&
           !(s->again >> delta->kind & 1);
}

void store_note_version(struct store_known *k, const struct source_delta *delta)
{
    k->version = delta->version & (UINT64_MAX >> 1);
}

/* `b` replaces the Node or NodeResourceTopology; NULL removes it. */
static void set_node(struct store *s, struct store_node *n, enum source_kind kind, struct block *b)
{
    struct block **const slot = kind == SOURCE_NODE ? &n->node : &n->nrt;

    if (kind == SOURCE_NRT)
        note_generation(n, nrt_of(n->nrt), nrt_of(b));
    if (kind == SOURCE_NODE && *slot && b && same_node((*slot)->value, b->value)) {
        block_unref(b);
        return;
    }
    block_unref(*slot);
    *slot = b;
    store_mark(s, n);
}

static struct store_known *known_of(struct store_node *n, enum source_kind kind)
{
    return kind == SOURCE_NODE ? &n->node_known : &n->nrt_known;
}

static void remove_node(struct store *s, struct store_node *n, enum source_kind kind)
{
    *known_of(n, kind) = (struct store_known){.marked = false};
    set_node(s, n, kind, NULL);
}

static int apply_node(struct store *s, const struct source_delta *delta, struct err *err)
{
    const uint64_t hash = roster_hash(s->key, delta->name);
    struct store_node *n = find_node(s, delta->name, hash);
    struct block *b = NULL;

    if (delta->verb == SOURCE_DELETE) {
        if (n)
            remove_node(s, n, delta->kind);
        return 0;
    }
    if (n && store_is_passed_over(s, known_of(n, delta->kind), delta))
        return 0;
    const struct block *const old = !n ? NULL : delta->kind == SOURCE_NODE ? n->node : n->nrt;
    const int rc = decode(s, &b, delta, old, err);
    if (rc < 0)
        return rc;
    if (!n && !(n = get_node(s, delta->name))) {
        block_unref(b);
        return err_set(err, -ENOMEM, "no memory");
    }
    store_note_version(known_of(n, delta->kind), delta);
    set_node(s, n, delta->kind, b);
    return 0;
}

/* --- pods --- */

static uint32_t rank_of(const struct source_delta *delta)
{
    return delta->kind == SOURCE_POD ? 0 : snapshot_rank(delta->type);
}

static struct store_pod *find_pod(struct store_shard *shard, uint64_t hash, uint32_t rank,
                                  struct str ns, struct str name)
{
    for (uint32_t i = 0; i < shard->n; i++) {
        const struct pod_record *const r = shard->at[i].record;

        if (r->hash == hash && r->rank == rank && str_eq(pod_record_name(r), name) &&
            str_eq(pod_record_ns(r), ns))
            return &shard->at[i];
    }
    return NULL;
}

/* It holds something on its node, or may. */
static bool is_on_node(const struct pod_record *r)
{
    return r->rank == 0 && r->node && r->phase != POD_SUCCEEDED && r->phase != POD_FAILED;
}

/* Where its node has it. */
static struct pod_record **place_of(const struct store_node *n, const struct pod_record *r)
{
    struct pod_record **place = n->pods;

    while (*place != r)
        place++;
    return place;
}

static struct store_node *node_of(struct store *s, const struct pod_record *r)
{
    const struct str name = pod_record_node(r);

    return find_node(s, name, roster_hash(s->key, name));
}

static void detach(struct store *s, const struct pod_record *r)
{
    if (!is_on_node(r))
        return;
    struct store_node *const n = node_of(s, r);
    *place_of(n, r) = n->pods[--n->n_pods];
    store_mark(s, n);
}

/* Room for one more pod on its node: 0, -ENOMEM. */
static int make_place(struct store *s, const struct pod_record *r, struct store_node **out)
{
    struct store_node *const n = is_on_node(r) ? get_node(s, pod_record_node(r)) : NULL;

    *out = n;
    if (!n)
        return is_on_node(r) ? -ENOMEM : 0;
    if (n->n_pods < n->pods_room)
        return 0;
    const uint32_t room = n->pods_room + n->pods_room / 2 + 4;
    struct pod_record **const pods = realloc(n->pods, room * sizeof(struct pod_record *));
    if (!pods)
        return -ENOMEM;
    n->pods = pods;
    n->pods_room = room;
    return 0;
}

static void remove_pod(struct store *s, struct store_shard *shard, struct store_pod *p)
{
    struct pod_record *const r = p->record;

    detach(s, r);
    demand_drop(&s->demand, p->wants);
    *p = shard->at[--shard->n];
    shard->dirty = true;
    pod_record_unref(r);
}

static struct store_pod *add_pod(struct store_shard *shard)
{
    if (shard->n == shard->room) {
        const uint32_t room = shard->room + shard->room / 2 + 4;
        struct store_pod *const at = realloc(shard->at, room * sizeof(*at));

        if (!at)
            return NULL;
        shard->at = at;
        shard->room = room;
    }
    shard->at[shard->n] = (struct store_pod){.record = NULL};
    return &shard->at[shard->n++];
}

/* From now on a placement without its pod is one that has ended: every node looks again. */
static void learn_of_pods(struct store *s)
{
    if (s->pods_known)
        return;
    s->pods_known = true;
    for (uint32_t i = 0; i <= s->mask; i++) {
        for (struct store_node *n = s->buckets[i]; n; n = n->next)
            store_mark(s, n);
    }
}

/* `r` in the place of what `p` has, or as a new one. Takes `r`, unless it fails: 0, -ENOMEM. */
static int put_pod(struct store *s, struct store_shard *shard, struct store_pod *p,
                   struct pod_record *r, const struct demand_pod *want,
                   const struct source_delta *delta)
{
    struct store_node *n;
    int rc = make_place(s, r, &n);

    if (rc == 0 && !p && !(p = add_pod(shard)))
        rc = -ENOMEM;
    if (rc) {
        store_mark(s, n); /* it may have been made for this pod only: looked at, then pruned */
        return rc;
    }
    if (p->record) {
        detach(s, p->record);
        pod_record_unref(p->record);
    }
    p->record = r;
    demand_drop(&s->demand, p->wants);
    p->wants = demand_add(&s->demand, want);
    store_note_version(&p->known, delta);
    shard->dirty = true;
    if (n) {
        n->pods[n->n_pods++] = r;
        store_mark(s, n);
    }
    if (r->rank == 0)
        learn_of_pods(s);
    return 0;
}

/* What differs is of no interest to a node: it gets no new view. Takes `r`: 0. */
static int trade_pod(struct store *s, struct store_shard *shard, struct store_pod *p,
                     struct pod_record *r, const struct source_delta *delta)
{
    if (is_on_node(r))
        *place_of(node_of(s, r), p->record) = r;
    pod_record_unref(p->record);
    p->record = r;
    store_note_version(&p->known, delta);
    shard->dirty = true;
    return 0;
}

/* What was decoded into the scratch becomes a record. */
static int take_pod(struct store *s, struct store_shard *shard, struct store_pod *p, uint64_t hash,
                    const struct score_pod *pod, const struct source_delta *delta, struct arena *a,
                    struct err *err)
{
    struct demand_pod want = {.counts = false};
    struct pod_record *r;
    struct cluster_pod was;

    if (p)
        pod_record_open(p->record, &was);
    if (p && same_pod(&was.pod, pod)) {
        store_note_version(&p->known, delta);
        return 0;
    }
    const bool quiet = p && same_pod_for_node(&was.pod, pod);
    int rc = quiet || rank_of(delta) ? 0 : demand_pod_of(&want, pod, s->context, a);
    if (rc)
        return rc;
    rc = pod_record_new(&r, &s->shapes, s->key, pod, hash, rank_of(delta));
    if (rc == -E2BIG)
        return err_set(err, rc, "metadata: a name or uid is too long");
    if (rc)
        return rc;
    rc = quiet ? trade_pod(s, shard, p, r, delta) : put_pod(s, shard, p, r, &want, delta);
    if (rc)
        pod_record_unref(r);
    if (rc == 0 && s->failed && pod->phase == POD_FAILED && pod->node.n &&
        !(p && was.pod.phase == POD_FAILED))
        s->failed(s->failed_ctx, pod);
    return rc;
}

static int apply_pod(struct store *s, const struct source_delta *delta, struct err *err)
{
    const uint64_t hash = snapshot_pod_hash(s->key, delta->ns, delta->name);
    struct store_shard *const shard = &s->shards[hash % POD_SHARDS];
    struct store_pod *const p = find_pod(shard, hash, rank_of(delta), delta->ns, delta->name);
    int rc;

    if (delta->verb == SOURCE_DELETE) {
        if (p)
            remove_pod(s, shard, p);
        return 0;
    }
    if (p && store_is_passed_over(s, &p->known, delta))
        return 0;
    do {
        struct decoded d = {.kind = delta->kind};
        struct arena a;

        arena_init(&a, s->scratch, s->scratch_room);
        rc = decode_into(&d, delta->json, &a, err);
        if (rc == 0)
            rc = take_pod(s, shard, p, hash, &d.pod, delta, &a, err);
        arena_rewind(&a, 0);
    } while (rc == -ENOMEM && grow_scratch(s) == 0);
    return rc == -ENOMEM ? err_set(err, rc, "no memory") : rc;
}

/* One pod again; the scratch grows until it is enough. 0, -ENOMEM. */
static int count_pod(struct store *s, struct store_pod *p)
{
    struct demand_pod want;
    struct cluster_pod pod;
    struct arena a;
    int rc;

    pod_record_open(p->record, &pod);
    do {
        arena_init(&a, s->scratch, s->scratch_room);
        rc = demand_pod_of(&want, &pod.pod, s->context, &a);
        arena_rewind(&a, 0);
    } while (rc == -ENOMEM && grow_scratch(s) == 0);
    demand_drop(&s->demand, p->wants);
    p->wants = rc ? 0 : demand_add(&s->demand, &want);
    return rc;
}

int store_count_demand(struct store *s)
{
    int rc = 0;

    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        for (uint32_t k = 0; k < s->shards[i].n; k++) {
            if (s->shards[i].at[k].record->rank == 0 && count_pod(s, &s->shards[i].at[k]))
                rc = -ENOMEM;
        }
    }
    return rc;
}

int store_apply(struct store *s, const struct source_delta *delta, struct err *err)
{
    switch (delta->kind) {
    case SOURCE_NODE:
    case SOURCE_NRT:
        return apply_node(s, delta, err);
    case SOURCE_POD:
    case SOURCE_WORKLOAD:
        return apply_pod(s, delta, err);
    case SOURCE_NAMESPACE:
    case SOURCE_POLICY:
    case SOURCE_SIGNAL:
    case SOURCE_BUDGET:
    case SOURCE_QUOTA:
    case SOURCE_LIMIT_RANGE:
    case SOURCE_LOCK_POLICY:
    case SOURCE_ADJUSTMENT:
    case SOURCE_DEADLOCK:
        break; /* the last three do not come here */
    }
    return store_apply_named(s, delta, err);
}

/* --- lists --- */

static void mark_nodes(struct store *s, enum source_kind kind)
{
    for (uint32_t i = 0; i <= s->mask; i++)
        for (struct store_node *n = s->buckets[i]; n; n = n->next)
            known_of(n, kind)->marked = kind == SOURCE_NODE ? n->node : n->nrt;
}

static void mark_pods(struct store *s)
{
    for (uint32_t i = 0; i < POD_SHARDS; i++)
        for (uint32_t k = 0; k < s->shards[i].n; k++)
            s->shards[i].at[k].known.marked = s->shards[i].at[k].record->rank == 0;
}

void store_begin(struct store *s, enum source_kind kind, bool again)
{
    s->again = again ? s->again | 1U << kind : s->again & ~(1U << kind);
    if (kind == SOURCE_POD)
        mark_pods(s);
    else if (kind == SOURCE_NODE || kind == SOURCE_NRT)
        mark_nodes(s, kind);
    else
        store_begin_named(s, kind);
}

static void sweep_nodes(struct store *s, enum source_kind kind)
{
    for (uint32_t i = 0; i <= s->mask; i++)
        for (struct store_node *n = s->buckets[i]; n; n = n->next)
            if (known_of(n, kind)->marked)
                remove_node(s, n, kind);
}

/* From the back: what is removed is replaced by the last one. */
static void sweep_pods(struct store *s)
{
    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        struct store_shard *const shard = &s->shards[i];

        for (uint32_t k = shard->n; k-- > 0;)
            if (shard->at[k].known.marked)
                remove_pod(s, shard, &shard->at[k]);
    }
}

void store_end(struct store *s, enum source_kind kind)
{
    s->again &= ~(1U << kind);
    if (kind == SOURCE_POD)
        sweep_pods(s);
    else if (kind == SOURCE_NODE || kind == SOURCE_NRT)
        sweep_nodes(s, kind);
    else
        store_end_named(s, kind);
}

int store_publish_shard(struct store *s, uint32_t i)
{
    struct store_shard *const from = &s->shards[i];

    if (!from->dirty)
        return 0;
    struct pod_shard *const shard = malloc(sizeof(*shard) + from->n * sizeof(struct pod_record *));
    if (!shard)
        return -ENOMEM;
    atomic_init(&shard->refs, 1);
    shard->n = from->n;
    for (uint32_t k = 0; k < from->n; k++)
        shard->at[k] = pod_record_ref(from->at[k].record);
    pod_shard_unref(from->published);
    from->published = shard;
    from->dirty = false;
    return 0;
}

static void free_node(struct store_node *n)
{
    block_unref(n->node);
    block_unref(n->nrt);
    block_unref(n->view);
    free(n->pods);
    free(n);
}

void store_done(struct store *s)
{
    demand_table_done(&s->demand);
    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        for (uint32_t k = 0; k < s->shards[i].n; k++)
            pod_record_unref(s->shards[i].at[k].record);
        free(s->shards[i].at);
        pod_shard_unref(s->shards[i].published);
    }
    for (uint32_t i = 0; s->buckets && i <= s->mask; i++) {
        for (struct store_node *n = s->buckets[i], *next; n; n = next) {
            next = n->next;
            free_node(n);
        }
    }
    pod_shapes_done(&s->shapes);
    store_list_done(&s->policies);
    store_list_done(&s->namespaces);
    store_list_done(&s->signals);
    for (int i = 0; i < SHELVES; i++)
        store_list_done(&s->shelves[i].list);
    intern_done(&s->cpu_texts);
    free(s->buckets);
    free(s->scratch);
    buf_free(&s->code);
}
