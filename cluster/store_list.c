/* SPDX-License-Identifier: Apache-2.0 */
/* Policies, namespaces, signals, and what lies on shelves: few, and kept by name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/context.h"
#include "cluster/store.h"
#include "kube/budget.h"
#include "kube/limit_range.h"
#include "kube/namespace.h"
#include "kube/policy.h"
#include "kube/quota.h"
#include "kube/signal.h"

/* --- lists --- */

/* What lives in a namespace is kept by "ns/name". */
struct shelf_entry {
    union { /* first: what the block holds for others */
        struct kube_budget budget;
        struct kube_quota quota;
        struct kube_limit_range limit_range;
    };
    struct str key;
};

static bool is_on_shelf(enum source_kind kind)
{
    return kind >= SOURCE_BUDGET && kind < SOURCE_LOCK_POLICY;
}

enum { KEY_BYTES = 512 /* a namespace has 63 bytes at most, a name 253 */ };

static struct str shelf_key(char room[KEY_BYTES], struct str ns, struct str name)
{
    const int n = snprintf(room, KEY_BYTES, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));

    return (struct str){room, n < KEY_BYTES ? (size_t)n : KEY_BYTES - 1};
}

static struct str key_of(const struct source_delta *delta, char room[KEY_BYTES])
{
    return is_on_shelf(delta->kind) ? shelf_key(room, delta->ns, delta->name) : delta->name;
}

/* Where the name is or would be. */
static uint32_t place_of(const struct store_list *l, struct str name)
{
    uint32_t low = 0, high = l->n;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;

        if (str_cmp(l->at[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct store_named *find(const struct store_list *l, struct str name)
{
    const uint32_t i = place_of(l, name);

    return i < l->n && str_eq(l->at[i].name, name) ? &l->at[i] : NULL;
}

static struct str name_of(enum source_kind kind, const struct block *b)
{
    switch (kind) {
    case SOURCE_NAMESPACE:
        return ((const struct kube_namespace *)b->value)->name;
    case SOURCE_POLICY:
        return ((const struct score_policy *)b->value)->name;
    case SOURCE_BUDGET:
    case SOURCE_QUOTA:
    case SOURCE_LIMIT_RANGE:
        return ((const struct shelf_entry *)b->value)->key;
    case SOURCE_SIGNAL:
    case SOURCE_NODE:
    case SOURCE_NRT:
    case SOURCE_POD:
    case SOURCE_WORKLOAD:
    case SOURCE_LOCK_POLICY:
    case SOURCE_ADJUSTMENT:
    case SOURCE_DEADLOCK:
        break;
    }
    return ((const struct kube_signal *)b->value)->name;
}

/* 0, -ENOMEM. The list takes the reference. */
static int put(struct store_list *l, struct store_named object)
{
    struct store_named *const old = find(l, object.name);
    const uint32_t i = place_of(l, object.name);

    if (old) {
        block_unref(old->block);
        *old = object;
        return 0;
    }
    if (l->n == l->room) {
        const uint32_t room = l->room ? l->room * 2 : 8;
        struct store_named *const at = realloc(l->at, room * sizeof(*at));

        if (!at)
            return -ENOMEM;
        l->at = at;
        l->room = room;
    }
    memmove(&l->at[i + 1], &l->at[i], (l->n - i) * sizeof(*l->at));
    l->at[i] = object;
    l->n++;
    return 0;
}

static void drop(struct store_list *l, struct store_named *object)
{
    const uint32_t i = (uint32_t)(object - l->at);

    block_unref(object->block);
    memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof(*l->at));
    l->n--;
}

void store_list_done(struct store_list *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        block_unref(l->at[i].block);
    free(l->at);
}

/* --- decoding --- */

struct decode {
    enum source_kind kind;
    struct str json;
    struct err *err;
};

static int decode_on_shelf(const struct decode *d, struct shelf_entry *e, struct arena *a,
                           struct str *ns, struct str *name)
{
    int rc;

    if (d->kind == SOURCE_BUDGET) {
        rc = kube_budget_decode(&e->budget, d->json, a, d->err);
        *ns = e->budget.ns, *name = e->budget.name;
    } else if (d->kind == SOURCE_QUOTA) {
        rc = kube_quota_decode(&e->quota, d->json, a, d->err);
        *ns = e->quota.ns, *name = e->quota.name;
    } else {
        rc = kube_limit_range_decode(&e->limit_range, d->json, a, d->err);
        *ns = e->limit_range.ns, *name = e->limit_range.name;
    }
    return rc;
}

static int decode_entry(const struct decode *d, struct arena *a, const void **out)
{
    struct shelf_entry *const e = arena_array(a, 1, sizeof(*e));
    struct str ns, name;
    char room[KEY_BYTES];

    *out = e;
    if (!e)
        return -ENOMEM;
    memset(e, 0, sizeof(*e)); /* on failure a decoder writes nothing */
    const int rc = decode_on_shelf(d, e, a, &ns, &name);
    return rc ? rc : str_copy(&e->key, shelf_key(room, ns, name), a);
}

/* Straight into the block: there are few of them, and none is large but signals, which fill it. */
static int decode_into(void *ctx, struct arena *a, const void **out)
{
    const struct decode *const d = ctx;

    if (d->kind == SOURCE_NAMESPACE) {
        struct kube_namespace *const ns = arena_array(a, 1, sizeof(*ns));

        *out = ns;
        return ns ? kube_namespace_decode(ns, d->json, a, d->err) : -ENOMEM;
    }
    if (is_on_shelf(d->kind))
        return decode_entry(d, a, out);
    if (d->kind == SOURCE_POLICY) {
        struct context_policy *const p = arena_array(a, 1, sizeof(*p));

        *out = p;
        if (!p || str_copy(&p->json, d->json, a))
            return -ENOMEM;
        return kube_policy_decode(&p->policy, d->json, false, a, d->err);
    }
    struct kube_signal *const s = arena_array(a, 1, sizeof(*s));

    *out = s;
    return s ? kube_signal_decode(s, d->json, false, a, d->err) : -ENOMEM;
}

/* --- signals --- */

static const struct kube_signal *signal_of(const struct store_named *n)
{
    return n->block->value;
}

int64_t store_signal_ends_us(const struct store_named *n)
{
    const struct kube_signal *const s = signal_of(n);

    return (s->observed_us ? s->observed_us : n->received_us) + s->ttl_s * 1000000;
}

static bool same_figures(const struct signal_node *a, const struct signal_node *b)
{
    bool same = a->value == b->value && a->n_devices == b->n_devices;

    for (uint32_t i = 0; same && i < a->n_devices; i++)
        same = a->devices[i].value == b->devices[i].value &&
               str_eq(a->devices[i].id, b->devices[i].id);
    return same;
}

static void mark(struct store *s, struct str name)
{
    struct store_node *const n = store_find_node(s, name);

    if (n)
        store_mark(s, n);
}

/*
 * Mark the nodes of which `now` says something else than `before` did (NULL: nothing). Figures that
 * come again, before the last ones have grown too old, change no view.
 */
static void mark_changed(struct store *s, const struct signal_nodes *before,
                         const struct signal_nodes *now)
{
    static const struct signal_nodes none = {0};
    const struct signal_nodes *const x = before ? before : &none, *const y = now ? now : &none;
    uint32_t i = 0, k = 0;

    while (i < x->n || k < y->n) {
        const int order = i == x->n ? 1 : k == y->n ? -1 : str_cmp(x->at[i].name, y->at[k].name);

        if (order != 0 || !same_figures(&x->at[i], &y->at[k]))
            mark(s, order <= 0 ? x->at[i].name : y->at[k].name);
        i += order <= 0;
        k += order >= 0;
    }
}

static void note_signal(struct store *s, const struct store_named *old,
                        const struct store_named *now)
{
    const bool same_kind = old && now && signal_of(old)->kind == signal_of(now)->kind;
    const bool was_stale = old && store_signal_ends_us(old) < s->now_us;
    const struct signal_nodes *const before = old ? &signal_of(old)->nodes : NULL,
                                     *const after = now ? &signal_of(now)->nodes : NULL;

    if (same_kind && !was_stale) {
        mark_changed(s, before, after);
        return;
    }
    mark_changed(s, before, NULL);
    mark_changed(s, NULL, after);
}

/* --- deltas --- */

static struct store_list *list_of(struct store *s, enum source_kind kind)
{
    return kind == SOURCE_NAMESPACE ? &s->namespaces
           : kind == SOURCE_POLICY  ? &s->policies
           : is_on_shelf(kind)      ? &s->shelves[kind - SOURCE_BUDGET].list
                                    : &s->signals;
}

static void note(struct store *s, enum source_kind kind, const struct store_named *old,
                 const struct store_named *now)
{
    if (kind == SOURCE_SIGNAL)
        note_signal(s, old, now);
    else if (is_on_shelf(kind))
        s->shelves[kind - SOURCE_BUDGET].dirty = true;
    else
        s->context_dirty = true;
}

int store_apply_named(struct store *s, const struct source_delta *delta, struct err *err)
{
    struct store_list *const l = list_of(s, delta->kind);
    char room[KEY_BYTES];
    struct store_named *const old = find(l, key_of(delta, room));
    struct decode d = {.kind = delta->kind, .json = delta->json, .err = err};
    struct block *b = NULL;

    if (delta->verb == SOURCE_DELETE) {
        if (old) {
            note(s, delta->kind, old, NULL);
            drop(l, old);
        }
        return 0;
    }
    if (old && store_is_passed_over(s, &old->known, delta))
        return 0;
    const int rc = block_new(&b, block_room_like(old ? old->block : NULL), decode_into, &d);
    if (rc < 0)
        return rc == -ENOMEM ? err_set(err, rc, "no memory") : rc;
    struct store_named now = {
        .name = name_of(delta->kind, b),
        .block = b,
        .unlisted = delta->unlisted,
        .received_us = s->now_us,
    };
    store_note_version(&now.known, delta);
    note(s, delta->kind, old, &now);
    if (put(l, now) == 0)
        return 0;
    block_unref(b);
    return err_set(err, -ENOMEM, "no memory");
}

void store_begin_named(struct store *s, enum source_kind kind)
{
    struct store_list *const l = list_of(s, kind);

    for (uint32_t i = 0; i < l->n; i++)
        l->at[i].known.marked = !l->at[i].unlisted;
}

/* From the back, for those behind what is dropped move. */
void store_end_named(struct store *s, enum source_kind kind)
{
    struct store_list *const l = list_of(s, kind);

    if (is_on_shelf(kind))
        s->shelves[kind - SOURCE_BUDGET].dirty = true; /* also where there are none: it is known */
    for (uint32_t i = l->n; i-- > 0;) {
        if (!l->at[i].known.marked)
            continue;
        note(s, kind, &l->at[i], NULL);
        drop(l, &l->at[i]);
    }
}
