/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
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

static int pack_into(void *ctx, struct arena *a, const void **out)
{
    const struct decoded *const d = ctx;

    if (d->kind == SOURCE_NODE) {
        struct kube_node *const node = arena_array(a, 1, sizeof(*node));

        *out = node;
        return node ? pack_node(node, &d->node, a) : -ENOMEM;
    }
    if (d->kind == SOURCE_NRT) {
        struct kube_nrt *const nrt = arena_array(a, 1, sizeof(*nrt));

        *out = nrt;
        return nrt ? pack_nrt(nrt, &d->nrt, d->cpu_texts->value, a) : -ENOMEM;
    }
    struct score_pod *const pod = arena_array(a, 1, sizeof(*pod));

    *out = pod;
    return pod ? pack_pod(pod, &d->pod, a) : -ENOMEM;
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

static int copy_into(void *ctx, struct arena *a, const void **out)
{
    const struct str *const text = ctx;

    *out = arena_copy(a, text->p, text->n);
    return *out ? 0 : -ENOMEM;
}

/* Most machines are of a few models, and their CPU lists are kept once. */
static int share_cpu_texts(struct store *s, struct decoded *d, struct arena *a)
{
    struct str texts;

    if (pack_cpu_texts(&texts, &d->nrt, a))
        return -ENOMEM;
    d->cpu_texts = intern_find(&s->cpu_texts, texts);
    return d->cpu_texts ? 0
                        : intern_add(&s->cpu_texts, &d->cpu_texts, texts, copy_into, &texts, NULL);
}

static int decode_and_pack(struct store *s, struct block **out, struct decoded *d, struct str json,
                           size_t room, struct err *err)
{
    struct arena a;

    arena_init(&a, s->scratch, s->scratch_room);
    int rc = decode_into(d, json, &a, err);
    if (rc == 0 && d->kind == SOURCE_NRT)
        rc = share_cpu_texts(s, d, &a);
    if (rc == 0)
        rc = block_new(out, room, pack_into, d);
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

/* --- nodes --- */

int store_init(struct store *s, const uint64_t key[2])
{
    memset(s, 0, sizeof(*s));
    s->key[0] = key[0];
    s->key[1] = key[1];
    s->cpu_texts = (struct intern){.key = {key[0], key[1]}};
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

    if (n->node || n->nrt || n->pods || n->view || n->dirty)
        return;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    s->n_nodes--;
    free(n);
}

static const struct kube_nrt *nrt_of(const struct block *b)
{
    return b ? b->value : NULL;
}

/* A generation only grows, as long as the object is the same one. */
static void note_generation(struct store_node *n, const struct kube_nrt *old,
                            const struct kube_nrt *nrt)
{
    if (!old || !nrt || !str_eq(old->meta.uid, nrt->meta.uid))
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

/* The order in which kinds answer for one name. */
static uint32_t rank_of(const struct source_delta *delta)
{
    static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet",  "ReplicaSet",
                                        "Job",        "CronJob",     "PodTemplate"};
    uint32_t i = 0;

    if (delta->kind == SOURCE_POD)
        return 0;
    while (i < ARRAY_LEN(kinds) && !str_is(delta->type, kinds[i]))
        i++;
    return i + 1;
}

static const struct score_pod *pod_of(const struct store_pod *p)
{
    return p->block->value;
}

static struct store_pod **find_pod(struct store_shard *shard, uint64_t hash, uint32_t rank,
                                   struct str ns, struct str name)
{
    for (uint32_t i = 0; i < shard->n; i++) {
        const struct store_pod *const p = shard->at[i];

        if (p->hash == hash && p->rank == rank && str_eq(pod_of(p)->name, name) &&
            str_eq(pod_of(p)->ns, ns))
            return &shard->at[i];
    }
    return NULL;
}

static void detach(struct store *s, struct store_pod *p)
{
    struct store_node *const n = p->node;

    if (!n)
        return;
    if (p->prev)
        p->prev->next = p->next;
    else
        n->pods = p->next;
    if (p->next)
        p->next->prev = p->prev;
    n->n_pods--;
    p->node = NULL;
    p->prev = p->next = NULL;
    store_mark(s, n);
}

static void attach(struct store *s, struct store_pod *p, struct store_node *n)
{
    if (!n)
        return;
    p->node = n;
    p->next = n->pods;
    if (n->pods)
        n->pods->prev = p;
    n->pods = p;
    n->n_pods++;
    store_mark(s, n);
}

static void remove_pod(struct store *s, struct store_shard *shard, struct store_pod **at)
{
    struct store_pod *const p = *at;

    detach(s, p);
    *at = shard->at[--shard->n];
    shard->dirty = true;
    block_unref(p->block);
    free(p);
}

static struct store_pod *add_pod(struct store_shard *shard, uint64_t hash, uint32_t rank)
{
    struct store_pod *const p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    if (shard->n == shard->room) {
        const uint32_t room = shard->room ? shard->room * 2 : 4;
        struct store_pod **const at = realloc(shard->at, room * sizeof(struct store_pod *));

        if (!at) {
            free(p);
            return NULL;
        }
        shard->at = at;
        shard->room = room;
    }
    p->hash = hash;
    p->rank = rank;
    shard->at[shard->n++] = p;
    return p;
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

/* The node that a pod holds something on; *failed when there is no memory for its record. */
static struct store_node *node_of_pod(struct store *s, const struct score_pod *pod, uint32_t rank,
                                      bool *failed)
{
    if (rank > 0 || pod->node.n == 0 || pod_is_terminal(pod))
        return NULL;
    struct store_node *const n = get_node(s, pod->node);
    *failed = !n;
    return n;
}

/* What differs is of no interest to any node: it gets no new view. Takes `b`. */
static void take_traits(struct store_shard *shard, struct store_pod *p, struct block *b)
{
    const struct score_pod *const was = pod_of(p), *const is = b->value;
    struct block *drop = b;

    if (was->traits != is->traits || was->owner != is->owner) {
        drop = p->block;
        p->block = b;
        shard->dirty = true;
    }
    block_unref(drop);
}

/* Takes `b`, unless it returns NULL: no memory. */
static struct store_pod *put_pod(struct store *s, struct store_shard *shard, struct store_pod *p,
                                 uint64_t hash, uint32_t rank, struct block *b)
{
    bool failed = false;
    struct store_node *const n = node_of_pod(s, b->value, rank, &failed);

    if (failed || (!p && !(p = add_pod(shard, hash, rank)))) {
        store_mark(s, n); /* it may have been made for this pod only: looked at, then pruned */
        return NULL;
    }
    if (p->block && same_pod(p->block->value, b->value)) {
        take_traits(shard, p, b);
        return p;
    }
    detach(s, p);
    block_unref(p->block);
    p->block = b;
    attach(s, p, n);
    shard->dirty = true;
    if (rank == 0)
        learn_of_pods(s);
    return p;
}

static int apply_pod(struct store *s, const struct source_delta *delta, struct err *err)
{
    const uint64_t hash = snapshot_pod_hash(s->key, delta->ns, delta->name);
    struct store_shard *const shard = &s->shards[hash % POD_SHARDS];
    const uint32_t rank = rank_of(delta);
    struct store_pod **const at = find_pod(shard, hash, rank, delta->ns, delta->name);
    struct block *b = NULL;

    if (delta->verb == SOURCE_DELETE) {
        if (at)
            remove_pod(s, shard, at);
        return 0;
    }
    if (at && store_is_passed_over(s, &(*at)->known, delta))
        return 0;
    const int rc = decode(s, &b, delta, at ? (*at)->block : NULL, err);
    if (rc < 0)
        return rc;
    struct store_pod *const p = put_pod(s, shard, at ? *at : NULL, hash, rank, b);
    if (!p) {
        block_unref(b);
        return err_set(err, -ENOMEM, "no memory");
    }
    store_note_version(&p->known, delta);
    return 0;
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
            s->shards[i].at[k]->known.marked = s->shards[i].at[k]->rank == 0;
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
            if (shard->at[k]->known.marked)
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
    struct pod_shard *const shard =
        malloc(sizeof(*shard) + from->n * sizeof(struct pod_shard_entry));
    if (!shard)
        return -ENOMEM;
    atomic_init(&shard->refs, 1);
    shard->n = from->n;
    for (uint32_t k = 0; k < from->n; k++) {
        const struct store_pod *const p = from->at[k];

        shard->at[k] = (struct pod_shard_entry){p->hash, p->rank, block_ref(p->block)};
    }
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
    free(n);
}

void store_done(struct store *s)
{
    for (uint32_t i = 0; i < POD_SHARDS; i++) {
        for (uint32_t k = 0; k < s->shards[i].n; k++) {
            block_unref(s->shards[i].at[k]->block);
            free(s->shards[i].at[k]);
        }
        free(s->shards[i].at);
        pod_shard_unref(s->shards[i].published);
    }
    for (uint32_t i = 0; s->buckets && i <= s->mask; i++) {
        for (struct store_node *n = s->buckets[i], *next; n; n = next) {
            next = n->next;
            free_node(n);
        }
    }
    store_list_done(&s->policies);
    store_list_done(&s->namespaces);
    store_list_done(&s->signals);
    store_list_done(&s->budgets);
    intern_done(&s->cpu_texts);
    free(s->buckets);
    free(s->scratch);
}
