/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/detect.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/siphash.h"
#include "operator/locks/book_parts.h"

/* A wait: a node of the graph. Its edges lead to the waits of the threads that hold its lock. */
struct wait {
    const struct lock_reporter *reporter;
    uint32_t item;   /* of reporter->state->waiting */
    uint32_t number; /* of Tarjan's algorithm; 0 = not yet */
    uint32_t low;
    uint32_t part;      /* strong component, LOCK_NONE = not closed */
    uint32_t distance;  /* of the search for a shortest circle; LOCK_NONE = not reached */
    uint32_t came_from; /* there */
    uint64_t rank;      /* an order that does not depend on who reported first */
};

/* A lock that a waiting thread holds, in a hash table by bucket. */
struct hold {
    const struct lock_reporter *reporter;
    const struct lock_item *item;
    uint32_t wait; /* of its thread */
    uint32_t next;
};

struct pass {
    struct lock_book *book;
    struct lock_space *space;
    uint64_t now_ns, interval_ns;
    struct wait *waits; /* [n_waits] */
    uint32_t n_waits;
    struct hold *holds; /* [n_holds] */
    uint32_t n_holds;
    uint32_t *buckets; /* [mask + 1] */
    uint32_t mask;
    uint32_t *stack, *call, *edge; /* [n_waits] each */
    uint32_t n_numbers, n_stack, depth;
};

/* --- the graph --- */

static const struct lock_item *item_of(const struct wait *w)
{
    return &w->reporter->state->waiting[w->item];
}

static bool same_lock(const struct wait *w, const struct hold *h)
{
    const struct lock_item *const a = item_of(w), *const b = h->item;

    return a->hash == b->hash && a->class_index == b->class_index && a->shared == b->shared &&
           (a->shared || w->reporter == h->reporter) && str_eq(a->instance, b->instance);
}

/* The first hold from `at` on that is one of the lock that `w` waits for. */
static uint32_t match(const struct pass *p, const struct wait *w, uint32_t at)
{
    while (at != LOCK_NONE && !same_lock(w, &p->holds[at]))
        at = p->holds[at].next;
    return at;
}

static uint32_t first_edge(const struct pass *p, const struct wait *w)
{
    return match(p, w, p->buckets[item_of(w)->hash & p->mask]);
}

static uint32_t next_edge(const struct pass *p, const struct wait *w, uint32_t edge)
{
    return match(p, w, p->holds[edge].next);
}

static uint64_t rank_of(const struct pass *p, const struct lock_reporter *r, uint32_t item)
{
    const struct lock_item *const w = &r->state->waiting[item];
    const uint64_t key[2] = {p->book->key[0] ^ r->serial, p->book->key[1]};

    return siphash13(key, r->state->threads[w->thread].name);
}

static void collect_waits(struct pass *p)
{
    for (struct lock_reporter *r = p->space->reporters; r; r = r->next) {
        r->first_wait = p->n_waits;
        for (uint32_t i = 0; r->state && i < r->state->n_waiting; i++)
            p->waits[p->n_waits++] = (struct wait){.reporter = r,
                                                   .item = i,
                                                   .part = LOCK_NONE,
                                                   .distance = LOCK_NONE,
                                                   .rank = rank_of(p, r, i)};
    }
}

/* What threads hold that do not wait can end any moment: it is no edge. */
static void collect_holds(struct pass *p)
{
    for (const struct lock_reporter *r = p->space->reporters; r; r = r->next) {
        for (uint32_t i = 0; r->state && i < r->state->n_held; i++) {
            const struct lock_item *const item = &r->state->held[i];
            const uint32_t wait = r->state->threads[item->thread].wait;
            uint32_t *const bucket = &p->buckets[item->hash & p->mask];

            if (wait == LOCK_NONE)
                continue;
            p->holds[p->n_holds] = (struct hold){r, item, r->first_wait + wait, *bucket};
            *bucket = p->n_holds++;
        }
    }
}

/* --- strong components: Tarjan's algorithm, without recursion --- */

static void discover(struct pass *p, uint32_t w)
{
    p->waits[w].number = p->waits[w].low = ++p->n_numbers;
    p->stack[p->n_stack++] = w;
    p->call[p->depth] = w;
    p->edge[p->depth++] = first_edge(p, &p->waits[w]);
}

static void close_part(struct pass *p, uint32_t root)
{
    uint32_t w;

    do {
        w = p->stack[--p->n_stack];
        p->waits[w].part = root;
    } while (w != root);
}

static void back_up(struct pass *p, uint32_t w)
{
    const uint32_t low = p->waits[w].low;

    p->depth--;
    if (low == p->waits[w].number)
        close_part(p, w);
    else if (low < p->waits[p->call[p->depth - 1]].low)
        p->waits[p->call[p->depth - 1]].low = low;
}

static void visit(struct pass *p, uint32_t start)
{
    discover(p, start);
    while (p->depth > 0) {
        const uint32_t w = p->call[p->depth - 1], edge = p->edge[p->depth - 1];

        if (edge == LOCK_NONE) {
            back_up(p, w);
            continue;
        }
        const uint32_t to = p->holds[edge].wait;
        p->edge[p->depth - 1] = next_edge(p, &p->waits[w], edge);
        if (p->waits[to].number == 0)
            discover(p, to);
        else if (p->waits[to].part == LOCK_NONE && p->waits[to].number < p->waits[w].low)
            p->waits[w].low = p->waits[to].number;
    }
}

/* --- one circle of a component --- */

static bool less(const struct pass *p, uint32_t a, uint32_t b)
{
    return p->waits[a].rank < p->waits[b].rank || (p->waits[a].rank == p->waits[b].rank && a < b);
}

/*
 * The shortest circle through `start`, in its component, into stack[], `start` first; of several
 * the one that comes first by rank. Returns its length, 0 when there is none.
 */
static uint32_t find_circle(struct pass *p, uint32_t start)
{
    uint32_t *const queue = p->call, n = 1, last = LOCK_NONE;

    queue[0] = start;
    p->waits[start].distance = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct wait *const w = &p->waits[queue[i]];

        if (last != LOCK_NONE && w->distance > p->waits[last].distance)
            break;
        for (uint32_t e = first_edge(p, w); e != LOCK_NONE; e = next_edge(p, w, e)) {
            const uint32_t k = p->holds[e].wait;
            struct wait *const to = &p->waits[k];

            if (k == start) {
                last = last == LOCK_NONE || less(p, queue[i], last) ? queue[i] : last;
            } else if (to->part == w->part && to->distance == LOCK_NONE) {
                to->distance = w->distance + 1;
                to->came_from = queue[i];
                queue[n++] = k;
            } else if (to->part == w->part && to->distance == w->distance + 1 &&
                       less(p, queue[i], to->came_from)) {
                to->came_from = queue[i];
            }
        }
    }
    if (last == LOCK_NONE)
        return 0;
    const uint32_t length = p->waits[last].distance + 1;
    for (uint32_t i = length; i-- > 0; last = p->waits[last].came_from)
        p->stack[i] = last;
    return length;
}

/* --- what is kept of it --- */

static const struct lock_item *holding(const struct pass *p, uint32_t waiter, uint32_t holder)
{
    uint32_t e = first_edge(p, &p->waits[waiter]);

    while (p->holds[e].wait != holder)
        e = next_edge(p, &p->waits[waiter], e);
    return p->holds[e].item;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

/* Sums and products do not depend on where the circle begins. */
static uint64_t fingerprint(const struct pass *p, uint32_t n)
{
    uint64_t sum = n;

    for (uint32_t i = 0; i < n; i++) {
        const struct wait *const w = &p->waits[p->stack[i]];
        const struct lock_item *const waits = item_of(w), *const held =
                                                              holding(p, p->stack[(i + n - 1) % n],
                                                                      p->stack[i]);
        uint64_t h = mix(w->rank, w->reporter->epoch);

        h = mix(mix(h, waits->hash), waits->said_since_ns);
        sum += mix(mix(h, held->hash), held->said_since_ns);
    }
    return sum;
}

static uint64_t signature(const struct pass *p, uint32_t n)
{
    uint64_t sum = n;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t c = item_of(&p->waits[p->stack[i]])->class_index;

        sum += mix(1, p->space->order.classes[c].hash);
    }
    return sum;
}

static struct str put(char **at, struct str text)
{
    char *const p = *at;

    if (text.n)
        memcpy(p, text.p, text.n);
    p[text.n] = 0;
    *at += text.n + 1;
    return (struct str){p, text.n};
}

static struct lock_use put_use(const struct pass *p, char **at, const struct lock_item *item)
{
    return (struct lock_use){put(at, p->space->order.classes[item->class_index].name),
                             put(at, item->instance), item->shared};
}

static size_t use_bytes(const struct pass *p, const struct lock_item *item)
{
    return p->space->order.classes[item->class_index].name.n + item->instance.n + 2;
}

static struct str thread_of(const struct wait *w)
{
    return w->reporter->state->threads[item_of(w)->thread].name;
}

static size_t text_bytes(const struct pass *p, uint32_t n)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct wait *const w = &p->waits[p->stack[i]];

        /* Each lock is there twice: as what one waits for and what the next one holds. */
        bytes += w->reporter->pod.n + w->reporter->container.n + thread_of(w).n + 3 +
                 2 * use_bytes(p, item_of(w));
    }
    return bytes;
}

/* The one that has waited longest comes first. */
static uint32_t first_party(const struct pass *p, uint32_t n)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i < n; i++) {
        const uint64_t a = item_of(&p->waits[p->stack[i]])->since_ns,
                       b = item_of(&p->waits[p->stack[first]])->since_ns;

        if (a < b || (a == b && less(p, p->stack[i], p->stack[first])))
            first = i;
    }
    return first;
}

static struct lock_deadlock *make(struct pass *p, uint32_t n)
{
    struct lock_deadlock *const d = malloc(sizeof(*d) + n * sizeof(*d->parties) + text_bytes(p, n));
    const uint32_t first = first_party(p, n);

    if (!d)
        return NULL;
    *d = (struct lock_deadlock){.signature = signature(p, n),
                                .id = ++p->book->serial,
                                .first_ns = p->now_ns,
                                .parties = (struct lock_party *)(d + 1),
                                .n = n};
    char *text = (char *)(d->parties + n);
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = (first + k) % n;
        const struct wait *const w = &p->waits[p->stack[i]];
        const struct lock_item *const held = holding(p, p->stack[(i + n - 1) % n], p->stack[i]);

        d->parties[k] = (struct lock_party){.pod = put(&text, w->reporter->pod),
                                            .container = put(&text, w->reporter->container),
                                            .thread = put(&text, thread_of(w)),
                                            .epoch = w->reporter->epoch,
                                            .holds = put_use(p, &text, held),
                                            .waits = put_use(p, &text, item_of(w)),
                                            .held_since_ns = held->since_ns,
                                            .waits_since_ns = item_of(w)->since_ns};
        if (d->parties[k].waits_since_ns > d->since_ns)
            d->since_ns = d->parties[k].waits_since_ns;
    }
    return d;
}

/* Has every reporter of the circle spoken again, an interval after it was first seen? */
static bool spoke_again(const struct pass *p, uint32_t n, uint64_t first_ns)
{
    for (uint32_t i = 0; i < n; i++) {
        if (p->waits[p->stack[i]].reporter->received_ns < first_ns + p->interval_ns)
            return false;
    }
    return true;
}

/* The circle stack[n], known or new. */
static int note(struct pass *p, uint32_t n)
{
    struct lock_space *const s = p->space;
    const uint64_t print = fingerprint(p, n);
    struct lock_deadlock *d = s->deadlocks;

    while (d && d->fingerprint != print)
        d = d->next;
    if (d) {
        d->seen = true;
        if (d->confirmed_ns == 0 && spoke_again(p, n, d->first_ns)) {
            d->confirmed_ns = p->now_ns;
            p->book->confirmed++;
        }
        return 0;
    }
    if (s->n_deadlocks >= LIMIT_LOCK_DEADLOCKS)
        return 0; /* so many are enough to say that something is wrong */
    d = make(p, n);
    if (!d)
        return -ENOMEM;
    d->fingerprint = print;
    d->seen = true;
    d->next = s->deadlocks;
    s->deadlocks = d;
    s->n_deadlocks++;
    return 0;
}

static void forget_unseen(struct pass *p)
{
    for (struct lock_deadlock **at = &p->space->deadlocks, *d; (d = *at);) {
        if (d->seen) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        p->space->n_deadlocks--;
        p->book->passed += d->confirmed_ns == 0;
        p->book->ended += d->confirmed_ns != 0;
        free(d);
    }
}

void lock_deadlocks_free(struct lock_space *s)
{
    for (struct lock_deadlock *d = s->deadlocks, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    s->deadlocks = NULL;
    s->n_deadlocks = 0;
}

/* --- a pass over one namespace --- */

static void *carve(char **at, size_t n, size_t size)
{
    char *const p = *at;

    *at += (n * size + 15) & ~(size_t)15;
    return p;
}

/* All arrays of a pass in one block, which is kept for the next one. */
static int prepare(struct pass *p)
{
    const uint32_t waits = p->space->n_waiting, holds = p->space->n_items - waits;
    uint32_t buckets = 16;

    while (buckets < holds)
        buckets *= 2;
    const size_t bytes = waits * (sizeof(*p->waits) + 3 * sizeof(uint32_t)) +
                         holds * sizeof(*p->holds) + buckets * sizeof(uint32_t) + 6 * 16;
    const size_t room = bytes / sizeof(uint32_t) + 1;
    if (room > p->book->scratch_room) {
        free(p->book->scratch);
        p->book->scratch = malloc(room * sizeof(uint32_t));
        p->book->scratch_room = p->book->scratch ? room : 0;
    }
    if (!p->book->scratch)
        return -ENOMEM;
    char *at = (char *)p->book->scratch;
    p->waits = carve(&at, waits, sizeof(*p->waits));
    p->holds = carve(&at, holds, sizeof(*p->holds));
    p->buckets = carve(&at, buckets, sizeof(*p->buckets));
    p->stack = carve(&at, waits, sizeof(*p->stack));
    p->call = carve(&at, waits, sizeof(*p->call));
    p->edge = carve(&at, waits, sizeof(*p->edge));
    p->mask = buckets - 1;
    memset(p->buckets, 0xff, buckets * sizeof(*p->buckets));
    return 0;
}

/* Of each component the wait that comes first by rank, at its root's place in edge[]. */
static void choose_starts(struct pass *p)
{
    for (uint32_t i = 0; i < p->n_waits; i++)
        p->edge[i] = LOCK_NONE;
    for (uint32_t i = 0; i < p->n_waits; i++) {
        uint32_t *const start = &p->edge[p->waits[i].part];

        if (*start == LOCK_NONE || less(p, i, *start))
            *start = i;
    }
}

static int look_at(struct pass *p)
{
    int rc = prepare(p);

    if (rc)
        return rc;
    for (struct lock_deadlock *d = p->space->deadlocks; d; d = d->next)
        d->seen = false;
    collect_waits(p);
    collect_holds(p);
    for (uint32_t i = 0; i < p->n_waits; i++) {
        if (p->waits[i].number == 0)
            visit(p, i);
    }
    choose_starts(p);
    for (uint32_t i = 0; rc == 0 && i < p->n_waits; i++) {
        const uint32_t n = p->edge[i] == LOCK_NONE ? 0 : find_circle(p, p->edge[i]);

        if (n)
            rc = note(p, n);
    }
    if (rc == 0)
        forget_unseen(p);
    return rc;
}

int lock_book_detect(struct lock_book *b, uint64_t now_ns, uint64_t interval_ns)
{
    int rc = 0;

    for (struct lock_space *s = b->spaces, *next; s; s = next) {
        struct pass p = {.book = b, .space = s, .now_ns = now_ns, .interval_ns = interval_ns};

        next = s->next;
        if (!s->changed)
            continue;
        if (look_at(&p))
            rc = -ENOMEM;
        else
            s->changed = false;
        lock_book_tidy(b, s);
    }
    return rc;
}
