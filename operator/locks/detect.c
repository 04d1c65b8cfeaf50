/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/detect.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/siphash.h"
#include "operator/locks/book_parts.h"

/* A wait of some thread. */
struct wait {
    const struct lock_reporter *reporter;
    uint32_t item; /* of reporter->state->waiting */
    uint32_t lock; /* what it waits for; LOCK_NONE = nobody who waits holds it */
    uint64_t rank; /* an order that does not depend on who reported first; 0 = not yet made */
};

/* A lock that a waiting thread holds, and in holders[] the waits of all such threads. */
struct lock {
    const struct lock_reporter *reporter; /* of one holder, whose item says which lock it is */
    const struct lock_item *item;
    uint32_t first, n; /* of holders[] */
};

/*
 * A node of the graph: waits first, then locks. A wait leads to its lock, a lock to the waits of
 * its holders, so that there are no more edges than items, however many wait for however many.
 */
struct node {
    uint32_t number; /* of Tarjan's algorithm; 0 = not yet */
    uint32_t low;
    uint32_t part;      /* strong component; LOCK_NONE = not closed */
    uint32_t distance;  /* of the search for a shortest circle; LOCK_NONE = not reached */
    uint32_t came_from; /* there */
};

struct hold {
    uint32_t lock, wait;
};

struct slot {
    uint64_t hash;
    uint32_t lock; /* LOCK_NONE = empty */
};

struct pass {
    struct lock_book *book;
    struct lock_space *space;
    uint64_t now_ns, interval_ns;
    struct wait *waits; /* [n_waits] */
    struct lock *locks; /* [n_locks] */
    struct hold *holds; /* [n_holds] */
    uint32_t *holders;  /* [n_holds] waits, lock by lock */
    struct node *nodes; /* [n_waits + n_locks] */
    struct slot *slots; /* [mask + 1] locks by hash, open addressing */
    uint32_t n_waits, n_locks, n_holds, mask;
    uint32_t *stack, *call, *edge; /* [n_waits + n_locks] each */
    uint32_t n_numbers, n_stack, depth;
};

/* --- the graph --- */

static const struct lock_item *item_of(const struct wait *w)
{
    return &w->reporter->state->waiting[w->item];
}

static bool same_lock(const struct lock *l, const struct lock_reporter *r,
                      const struct lock_item *item)
{
    const struct lock_item *const a = l->item;

    return a->class_index == item->class_index && a->shared == item->shared &&
           (a->shared || l->reporter == r) && str_eq(a->instance, item->instance);
}

/*
 * Where the lock is in the table, or would be. Nobody outside can make two hashes meet, and if two
 * do by chance, `note` sees it: here the hash says which lock it is, without touching its text.
 */
static struct slot *find_slot(const struct pass *p, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & p->mask;

    while (p->slots[i].lock != LOCK_NONE && p->slots[i].hash != hash)
        i = (i + 1) & p->mask;
    return &p->slots[i];
}

/* The wait of the thread that holds the item; LOCK_NONE: it runs, and can let go any moment. */
static uint32_t wait_of(const struct lock_reporter *r, const struct lock_item *item)
{
    const uint32_t wait = r->state->threads[item->thread].wait;

    return wait == LOCK_NONE ? LOCK_NONE : r->first_wait + wait;
}

static void collect_waits(struct pass *p)
{
    for (struct lock_reporter *r = p->space->reporters; r; r = r->next) {
        r->first_wait = p->n_waits;
        for (uint32_t i = 0; r->state && i < r->state->n_waiting; i++)
            p->waits[p->n_waits++] = (struct wait){.reporter = r, .item = i};
    }
}

/* What waiting threads hold: holds[] for now, in the order of the reports. */
static void collect_locks(struct pass *p)
{
    for (const struct lock_reporter *r = p->space->reporters; r; r = r->next) {
        for (uint32_t i = 0; r->state && i < r->state->n_held; i++) {
            const struct lock_item *const item = &r->state->held[i];
            const uint32_t wait = wait_of(r, item);

            if (wait == LOCK_NONE)
                continue;
            struct slot *const slot = find_slot(p, item->hash);
            if (slot->lock == LOCK_NONE) {
                *slot = (struct slot){item->hash, p->n_locks};
                p->locks[p->n_locks++] = (struct lock){.reporter = r, .item = item};
            }
            p->locks[slot->lock].n++;
            p->holds[p->n_holds++] = (struct hold){slot->lock, wait};
        }
    }
}

/* The same lock by lock, and who waits for which. */
static void collect_holders(struct pass *p)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < p->n_locks; i++) {
        p->locks[i].first = at;
        at += p->locks[i].n;
        p->locks[i].n = 0;
    }
    for (uint32_t i = 0; i < p->n_holds; i++) {
        struct lock *const l = &p->locks[p->holds[i].lock];

        p->holders[l->first + l->n++] = p->holds[i].wait;
    }
    for (uint32_t i = 0; i < p->n_waits; i++)
        p->waits[i].lock = find_slot(p, item_of(&p->waits[i])->hash)->lock;
}

/* The k-th node that `node` leads to; LOCK_NONE behind the last. */
static uint32_t successor(const struct pass *p, uint32_t node, uint32_t k)
{
    if (node < p->n_waits)
        return k == 0 && p->waits[node].lock != LOCK_NONE ? p->n_waits + p->waits[node].lock
                                                          : LOCK_NONE;
    const struct lock *const l = &p->locks[node - p->n_waits];
    return k < l->n ? p->holders[l->first + k] : LOCK_NONE;
}

/* The same for Tarjan's algorithm, which has no need to stop at locks with one holder. */
static uint32_t next_node(const struct pass *p, uint32_t node, uint32_t k)
{
    const uint32_t to = successor(p, node, k);

    return to != LOCK_NONE && node < p->n_waits && p->locks[to - p->n_waits].n == 1
               ? p->holders[p->locks[to - p->n_waits].first]
               : to;
}

/* --- strong components: Tarjan's algorithm, without recursion --- */

static void discover(struct pass *p, uint32_t node)
{
    p->nodes[node].number = p->nodes[node].low = ++p->n_numbers;
    p->stack[p->n_stack++] = node;
    p->call[p->depth] = node;
    p->edge[p->depth++] = 0;
}

static void close_part(struct pass *p, uint32_t root)
{
    uint32_t node;

    do {
        node = p->stack[--p->n_stack];
        p->nodes[node].part = root;
    } while (node != root);
}

static void back_up(struct pass *p, uint32_t node)
{
    const uint32_t low = p->nodes[node].low;

    p->depth--;
    if (low == p->nodes[node].number)
        close_part(p, node);
    else if (low < p->nodes[p->call[p->depth - 1]].low)
        p->nodes[p->call[p->depth - 1]].low = low;
}

static void visit(struct pass *p, uint32_t start)
{
    discover(p, start);
    while (p->depth > 0) {
        const uint32_t node = p->call[p->depth - 1];
        const uint32_t to = next_node(p, node, p->edge[p->depth - 1]++);

        if (to == LOCK_NONE)
            back_up(p, node);
        else if (p->nodes[to].number == 0)
            discover(p, to);
        else if (p->nodes[to].part == LOCK_NONE && p->nodes[to].number < p->nodes[node].low)
            p->nodes[node].low = p->nodes[to].number;
    }
}

/* --- one circle of a component --- */

static uint64_t rank_of(struct pass *p, uint32_t wait)
{
    struct wait *const w = &p->waits[wait];

    if (w->rank == 0) {
        const uint64_t key[2] = {p->book->key[0] ^ w->reporter->serial, p->book->key[1]};

        w->rank = siphash13(key, w->reporter->state->threads[item_of(w)->thread].name) | 1;
    }
    return w->rank;
}

static bool less(struct pass *p, uint32_t a, uint32_t b)
{
    const uint64_t x = rank_of(p, a), y = rank_of(p, b);

    return x < y || (x == y && a < b);
}

/* Of two ways that are as long, the one by the wait that comes first; locks have one way each. */
static void reach(struct pass *p, uint32_t from, uint32_t to, uint32_t *queue, uint32_t *n)
{
    struct node *const t = &p->nodes[to];

    if (t->part != p->nodes[from].part)
        return;
    if (t->distance == LOCK_NONE) {
        t->distance = p->nodes[from].distance + 1;
        t->came_from = from;
        queue[(*n)++] = to;
    } else if (to >= p->n_waits && t->distance == p->nodes[from].distance + 1 &&
               less(p, from, t->came_from)) {
        t->came_from = from;
    }
}

/*
 * The shortest circle through the wait `start`, in its component, into stack[], waits only, `start`
 * first. Returns how many.
 */
static uint32_t find_circle(struct pass *p, uint32_t start)
{
    uint32_t *const queue = p->call, n = 1, last = LOCK_NONE;

    queue[0] = start;
    p->nodes[start].distance = 0;
    for (uint32_t i = 0; i < n && last == LOCK_NONE; i++) {
        for (uint32_t k = 0, to; (to = successor(p, queue[i], k)) != LOCK_NONE; k++) {
            if (to == start)
                last = queue[i]; /* a lock */
            else
                reach(p, queue[i], to, queue, &n);
        }
    }
    const uint32_t length = (p->nodes[last].distance + 1) / 2;
    uint32_t at = p->nodes[last].came_from;
    for (uint32_t i = length; i-- > 0;) {
        p->stack[i] = at;
        if (i > 0)
            at = p->nodes[p->nodes[at].came_from].came_from;
    }
    return length;
}

/* --- what is kept of it --- */

/* By what the thread of the wait `holder` holds the lock that `waiter` waits for, or NULL. */
static const struct lock_item *holding(const struct pass *p, uint32_t waiter, uint32_t holder)
{
    const struct wait *const h = &p->waits[holder];
    const struct lock *const l = &p->locks[p->waits[waiter].lock];
    const struct lock_state *const state = h->reporter->state;
    const uint32_t thread = item_of(h)->thread;

    for (uint32_t i = 0; i < state->n_held; i++) {
        if (state->held[i].thread == thread && state->held[i].hash == l->item->hash &&
            same_lock(l, h->reporter, &state->held[i]))
            return &state->held[i];
    }
    return NULL;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

/* Sums and products do not depend on where the circle begins. */
static uint64_t fingerprint(struct pass *p, uint32_t n)
{
    uint64_t sum = n;

    for (uint32_t i = 0; i < n; i++) {
        const struct wait *const w = &p->waits[p->stack[i]];
        const struct lock_item *const waits = item_of(w), *const held =
                                                              holding(p, p->stack[(i + n - 1) % n],
                                                                      p->stack[i]);
        uint64_t h = mix(rank_of(p, p->stack[i]), w->reporter->epoch);

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
static uint32_t first_party(struct pass *p, uint32_t n)
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
                                            .waits_since_ns = item_of(w)->since_ns,
                                            .said_held_ns = held->said_since_ns,
                                            .said_waits_ns = item_of(w)->said_since_ns};
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

/* Do the hashes mean what they seem to? */
static bool is_circle(const struct pass *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct wait *const w = &p->waits[p->stack[i]];

        if (!same_lock(&p->locks[w->lock], w->reporter, item_of(w)) ||
            !holding(p, p->stack[i], p->stack[(i + 1) % n]))
            return false;
    }
    return true;
}

/* The circle stack[n], known or new. */
static int note(struct pass *p, uint32_t n)
{
    struct lock_space *const s = p->space;
    struct lock_deadlock *d = s->deadlocks;

    if (!is_circle(p, n))
        return 0;
    const uint64_t print = fingerprint(p, n);

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
    const size_t nodes = (size_t)waits + holds;
    uint32_t slots = 16;

    while (slots / 2 < holds)
        slots *= 2;
    const size_t bytes = waits * sizeof(*p->waits) +
                         holds * (sizeof(*p->locks) + sizeof(*p->holders) + sizeof(*p->holds)) +
                         nodes * (sizeof(*p->nodes) + 3 * sizeof(uint32_t)) +
                         slots * sizeof(*p->slots) + 9 * 16;
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
    p->locks = carve(&at, holds, sizeof(*p->locks));
    p->holders = carve(&at, holds, sizeof(*p->holders));
    p->holds = carve(&at, holds, sizeof(*p->holds));
    p->nodes = carve(&at, nodes, sizeof(*p->nodes));
    p->slots = carve(&at, slots, sizeof(*p->slots));
    p->stack = carve(&at, nodes, sizeof(*p->stack));
    p->call = carve(&at, nodes, sizeof(*p->call));
    p->edge = carve(&at, nodes, sizeof(*p->edge));
    p->mask = slots - 1;
    memset(p->slots, 0xff, slots * sizeof(*p->slots));
    return 0;
}

static void find_parts(struct pass *p)
{
    const uint32_t n = p->n_waits + p->n_locks;

    for (uint32_t i = 0; i < n; i++)
        p->nodes[i] = (struct node){.part = LOCK_NONE, .distance = LOCK_NONE};
    for (uint32_t i = 0; i < p->n_waits; i++) {
        if (p->nodes[i].number == 0)
            visit(p, i);
    }
    for (uint32_t i = 0; i < p->n_locks; i++) { /* that were passed by */
        if (p->locks[i].n == 1)
            p->nodes[p->n_waits + i].part = p->nodes[p->holders[p->locks[i].first]].part;
    }
}

/*
 * Of each component with a circle the wait that comes first by rank, at its root's place in
 * edge[]. A wait is of one exactly where its lock is of the same.
 */
static void choose_starts(struct pass *p)
{
    const uint32_t n = p->n_waits + p->n_locks;

    for (uint32_t i = 0; i < n; i++)
        p->edge[i] = LOCK_NONE;
    for (uint32_t i = 0; i < p->n_waits; i++) {
        const uint32_t lock = p->waits[i].lock, part = p->nodes[i].part;

        if (lock == LOCK_NONE || p->nodes[p->n_waits + lock].part != part)
            continue;
        if (p->edge[part] == LOCK_NONE || less(p, i, p->edge[part]))
            p->edge[part] = i;
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
    collect_locks(p);
    collect_holders(p);
    find_parts(p);
    choose_starts(p);
    for (uint32_t i = 0; rc == 0 && i < p->n_waits + p->n_locks; i++) {
        if (p->edge[i] != LOCK_NONE)
            rc = note(p, find_circle(p, p->edge[i]));
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
