/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/book.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/siphash.h"
#include "operator/locks/book_parts.h"

enum { FIRST_BUCKETS = 16, FIRST_TALLY = 8 };

/* --- namespaces --- */

void lock_book_init(struct lock_book *b, const uint64_t key[2])
{
    *b = (struct lock_book){.key = {key[0], key[1]}};
}

static struct lock_space **place_of(struct lock_space **at, struct str ns)
{
    while (*at && str_cmp((*at)->ns, ns) < 0)
        at = &(*at)->next;
    return at;
}

struct lock_space *lock_book_find(const struct lock_book *b, struct str ns)
{
    struct lock_space *s = b->spaces;

    while (s && !str_eq(s->ns, ns))
        s = s->next;
    return s;
}

/* A copy of `text` at `p`, terminated. */
static struct str put(char *p, struct str text)
{
    if (text.n)
        memcpy(p, text.p, text.n);
    p[text.n] = 0;
    return (struct str){p, text.n};
}

struct lock_space *lock_book_space(struct lock_book *b, struct str ns)
{
    struct lock_space *s = lock_book_find(b, ns), **at;

    if (s || b->n_spaces >= LIMIT_LOCK_SPACES)
        return s;
    s = calloc(1, sizeof(*s) + ns.n + 1);
    if (!s)
        return NULL;
    s->ns = put((char *)(s + 1), ns);
    s->last_reporter = &s->reporters;
    lock_order_init(&s->order, b->key);
    at = place_of(&b->spaces, ns);
    s->next = *at;
    *at = s;
    b->n_spaces++;
    return s;
}

static uint64_t size_of(const struct lock_space *s)
{
    return (uint64_t)s->order.graph.live_nodes + s->order.graph.live_edges + s->n_items;
}

static void free_space(struct lock_book *b, struct lock_space *s)
{
    struct lock_space **const at = place_of(&b->spaces, s->ns);

    *at = s->next;
    b->n_spaces--;
    lock_deadlocks_free(s);
    lock_order_done(&s->order);
    free(s->buckets);
    free(s);
}

void lock_book_tidy(struct lock_book *b, struct lock_space *s)
{
    if (!s->reporters && !s->order.policies && !s->deadlocks)
        free_space(b, s);
}

/* After a change: keep the sum. */
static void account(struct lock_book *b, struct lock_space *s, uint64_t before)
{
    b->n_all += size_of(s) - before;
    lock_book_tidy(b, s);
}

/* --- what one reporter counted --- */

static uint32_t tally_home(const struct lock_reporter *r, uint32_t edge)
{
    return (edge * UINT32_C(2654435761) >> 7) & r->tally_mask;
}

static struct lock_tally *tally_find(const struct lock_reporter *r, uint32_t edge)
{
    for (uint32_t i = tally_home(r, edge); r->tally; i = (i + 1) & r->tally_mask) {
        if (r->tally[i].edge == edge)
            return &r->tally[i];
        if (r->tally[i].edge == LOCK_NONE)
            return NULL;
    }
    return NULL;
}

static void tally_put(struct lock_reporter *r, struct lock_tally t)
{
    uint32_t i = tally_home(r, t.edge);

    while (r->tally[i].edge != LOCK_NONE)
        i = (i + 1) & r->tally_mask;
    r->tally[i] = t;
    r->n_tally++;
}

/* Room for `more` edges, at most half full. */
static int tally_reserve(struct lock_reporter *r, uint32_t more)
{
    struct lock_tally *const old = r->tally;
    const uint32_t old_room = old ? r->tally_mask + 1 : 0;
    uint32_t room = old_room ? old_room : FIRST_TALLY;

    while (room / 2 < r->n_tally + more)
        room *= 2;
    if (room == old_room)
        return 0;
    struct lock_tally *const tally = malloc(room * sizeof(*tally));
    if (!tally)
        return -ENOMEM;
    memset(tally, 0xff, room * sizeof(*tally));
    r->tally = tally;
    r->tally_mask = room - 1;
    r->n_tally = 0;
    for (uint32_t i = 0; i < old_room; i++) {
        if (old[i].edge != LOCK_NONE)
            tally_put(r, old[i]);
    }
    free(old);
    return 0;
}

static void tally_remove(struct lock_reporter *r, uint32_t edge)
{
    uint32_t hole = (uint32_t)(tally_find(r, edge) - r->tally);

    for (uint32_t i = (hole + 1) & r->tally_mask; r->tally[i].edge != LOCK_NONE;
         i = (i + 1) & r->tally_mask) {
        const uint32_t home = tally_home(r, r->tally[i].edge);

        if (((i - home) & r->tally_mask) < ((i - hole) & r->tally_mask))
            continue;
        r->tally[hole] = r->tally[i];
        hole = i;
    }
    r->tally[hole].edge = LOCK_NONE;
    r->n_tally--;
}

static void forget_tally(struct lock_space *s, struct lock_reporter *r)
{
    for (uint32_t i = 0; r->tally && i <= r->tally_mask; i++) {
        if (r->tally[i].edge != LOCK_NONE)
            lock_order_unsee(&s->order, r->tally[i].edge, r->tally[i].count);
    }
    free(r->tally);
    r->tally = NULL;
    r->n_tally = 0;
}

/* --- what is held and waited for --- */

static void drop_items(struct lock_space *s, const struct lock_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        lock_order_drop(&s->order, items[i].class_index);
}

static void free_state(struct lock_space *s, struct lock_state *state)
{
    if (!state)
        return;
    drop_items(s, state->held, state->n_held);
    drop_items(s, state->waiting, state->n_waiting);
    free(state);
}

static void set_state(struct lock_space *s, struct lock_reporter *r, struct lock_state *state)
{
    if (r->state) {
        s->n_items -= r->state->n_held + r->state->n_waiting;
        s->n_waiting -= r->state->n_waiting;
    }
    free_state(s, r->state);
    r->state = state;
    if (state) {
        s->n_items += state->n_held + state->n_waiting;
        s->n_waiting += state->n_waiting;
    }
}

/* A state under construction. */
struct build {
    struct lock_space *space;
    const struct lock_reporter *reporter;
    const struct lock_report *report;
    uint64_t now_ns;
    struct lock_state *state;
    char *text;          /* where the next string goes */
    uint32_t *by_thread; /* [mask + 1] thread by name, open addressing */
    uint32_t mask;
    struct err *err;
};

static uint32_t thread_of(struct build *b, struct str name)
{
    struct lock_state *const s = b->state;
    uint32_t i = (uint32_t)siphash13(b->space->order.key, name) & b->mask;

    while (b->by_thread[i] != LOCK_NONE && !str_eq(s->threads[b->by_thread[i]].name, name))
        i = (i + 1) & b->mask;
    if (b->by_thread[i] == LOCK_NONE) {
        b->by_thread[i] = s->n_threads;
        s->threads[s->n_threads++] = (struct lock_thread){put(b->text, name), LOCK_NONE};
        b->text += name.n + 1;
    }
    return b->by_thread[i];
}

/* Two locks are the same when scope, class and instance are; one of a process, and its reporter. */
static uint64_t hash_item(const struct build *b, const struct lock_claim *c, uint32_t class_index)
{
    const uint64_t key[2] = {b->space->order.key[0] ^ (c->shared ? 0 : b->reporter->serial),
                             b->space->order.key[1] ^ class_index};

    return siphash13(key, c->instance);
}

static int build_item(struct build *b, const char *list, uint32_t i, const struct lock_claim *c,
                      struct lock_item *out)
{
    if (c->since_ns > b->report->now_ns)
        return err_set(b->err, -EINVAL, "%s[%u].sinceNs: is after nowNs", list, i);
    const uint64_t ago = b->report->now_ns - c->since_ns;
    uint32_t class_index;
    const int rc = lock_order_take(&b->space->order, c->class_name, &class_index);
    if (rc)
        return rc;
    *out = (struct lock_item){.hash = hash_item(b, c, class_index),
                              .instance = put(b->text, c->instance),
                              .class_index = class_index,
                              .shared = c->shared,
                              .said_since_ns = c->since_ns,
                              .since_ns = ago < b->now_ns ? b->now_ns - ago : 0};
    b->text += c->instance.n + 1;
    out->thread = thread_of(b, c->thread);
    return 0;
}

static int build_held(struct build *b)
{
    struct lock_state *const s = b->state;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->report->n_held; i++) {
        rc = build_item(b, "held", i, &b->report->held[i], &s->held[i]);
        s->n_held += rc == 0;
    }
    return rc;
}

static int build_waiting(struct build *b)
{
    struct lock_state *const s = b->state;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->report->n_waiting; i++) {
        struct lock_item *const w = &s->waiting[i];

        rc = build_item(b, "waiting", i, &b->report->waiting[i], w);
        s->n_waiting += rc == 0;
        if (rc == 0 && s->threads[w->thread].wait != LOCK_NONE)
            rc = err_set(b->err, -EINVAL, "waiting[%u].thread: waits already, waiting[%u]", i,
                         s->threads[w->thread].wait);
        else if (rc == 0)
            s->threads[w->thread].wait = i;
    }
    return rc;
}

static size_t text_bytes(const struct lock_claim *c, uint32_t n)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += c[i].instance.n + c[i].thread.n + 2;
    return bytes;
}

/* One block for everything: items, threads, strings. */
static struct lock_state *new_state(const struct lock_report *r, char **out_text)
{
    const size_t n = (size_t)r->n_held + r->n_waiting;
    const size_t text = text_bytes(r->held, r->n_held) + text_bytes(r->waiting, r->n_waiting);
    struct lock_state *const s =
        malloc(sizeof(*s) + n * (sizeof(*s->held) + sizeof(*s->threads)) + text);

    if (!s)
        return NULL;
    *s = (struct lock_state){.held = (struct lock_item *)(s + 1)};
    s->waiting = s->held + r->n_held;
    s->threads = (struct lock_thread *)(s->held + n);
    *out_text = (char *)(s->threads + n);
    return s;
}

static int build_state(struct build *b)
{
    const uint32_t n = b->report->n_held + b->report->n_waiting;
    uint32_t room = 16;
    int rc = 0;

    while (room / 2 < n)
        room *= 2;
    b->mask = room - 1;
    b->by_thread = malloc(room * sizeof(*b->by_thread));
    b->state = new_state(b->report, &b->text);
    if (!b->by_thread || !b->state) {
        rc = -ENOMEM;
    } else {
        memset(b->by_thread, 0xff, room * sizeof(*b->by_thread));
        rc = build_held(b);
        if (rc == 0)
            rc = build_waiting(b);
    }
    free(b->by_thread);
    if (rc) {
        free_state(b->space, b->state);
        b->state = NULL;
    }
    return rc;
}

/* --- reporters --- */

static uint64_t hash_reporter(const struct lock_space *s, struct str pod, struct str container)
{
    const uint64_t key[2] = {s->order.key[0], siphash13(s->order.key, pod)};

    return siphash13(key, container);
}

static struct lock_reporter *find_reporter(const struct lock_space *s, struct str pod,
                                           struct str container)
{
    const uint64_t hash = hash_reporter(s, pod, container);
    struct lock_reporter *r = s->buckets ? s->buckets[hash & s->bucket_mask] : NULL;

    while (r && (r->hash != hash || !str_eq(r->pod, pod) || !str_eq(r->container, container)))
        r = r->beside;
    return r;
}

static int grow_buckets(struct lock_space *s)
{
    const uint32_t n = s->buckets ? (s->bucket_mask + 1) * 2 : FIRST_BUCKETS;
    struct lock_reporter **const buckets = calloc(n, sizeof(struct lock_reporter *));

    if (!buckets)
        return -ENOMEM;
    for (struct lock_reporter *r = s->reporters; r; r = r->next) {
        r->beside = buckets[r->hash & (n - 1)];
        buckets[r->hash & (n - 1)] = r;
    }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_mask = n - 1;
    return 0;
}

static int make_reporter(struct lock_book *b, struct lock_space *s, struct str pod,
                         struct str container, struct lock_reporter **out, struct err *err)
{
    if (s->n_reporters >= LIMIT_LOCK_REPORTERS)
        return err_set(err, -E2BIG, "the namespace has %u reporters, which is all", s->n_reporters);
    if (s->n_reporters >= (s->buckets ? s->bucket_mask : 0) && grow_buckets(s))
        return -ENOMEM;
    struct lock_reporter *const r = calloc(1, sizeof(*r) + pod.n + container.n + 2);
    if (!r)
        return -ENOMEM;
    r->pod = put((char *)(r + 1), pod);
    r->container = put((char *)(r + 1) + pod.n + 1, container);
    r->hash = hash_reporter(s, pod, container);
    r->serial = ++b->serial;
    r->beside = s->buckets[r->hash & s->bucket_mask];
    s->buckets[r->hash & s->bucket_mask] = r;
    *s->last_reporter = r;
    s->last_reporter = &r->next;
    s->n_reporters++;
    *out = r;
    return 0;
}

/* Everything a reporter said is taken back. */
static void empty_reporter(struct lock_space *s, struct lock_reporter *r)
{
    set_state(s, r, NULL);
    forget_tally(s, r);
    s->changed = true;
}

static void free_reporter(struct lock_space *s, struct lock_reporter **at)
{
    struct lock_reporter *const r = *at, **beside = &s->buckets[r->hash & s->bucket_mask];

    empty_reporter(s, r);
    *at = r->next;
    if (!r->next)
        s->last_reporter = at;
    while (*beside != r)
        beside = &(*beside)->beside;
    *beside = r->beside;
    s->n_reporters--;
    free(r);
}

static void remove_reporter(struct lock_space *s, const struct lock_reporter *r)
{
    struct lock_reporter **at = &s->reporters;

    while (*at != r)
        at = &(*at)->next;
    free_reporter(s, at);
}

/* --- a report --- */

/* Edges that the reporter had not told of before; [n] is how many of the report are through. */
static void unsee(struct lock_space *s, struct lock_reporter *r, const uint32_t *fresh, uint32_t n)
{
    while (n-- > 0) {
        tally_remove(r, fresh[n]);
        lock_order_unsee(&s->order, fresh[n], 0);
    }
}

static uint32_t known_edge(const struct lock_space *s, const struct lock_seen *e)
{
    const uint32_t from = lock_order_find(&s->order, e->from),
                   to = lock_order_find(&s->order, e->to);

    return from == LOCK_NONE || to == LOCK_NONE ? LOCK_NONE
                                                : lock_graph_find(&s->order.graph, from, to);
}

/* See what is new. fresh[*n] are the edges that the reporter had not told of. */
static int see_edges(struct lock_space *s, struct lock_reporter *r,
                     const struct lock_report *report, uint32_t *fresh, uint32_t *n)
{
    int rc = tally_reserve(r, report->n_edges);

    for (uint32_t i = 0; rc == 0 && i < report->n_edges; i++) {
        uint32_t edge = known_edge(s, &report->edges[i]);

        if (edge != LOCK_NONE && tally_find(r, edge))
            continue;
        rc = lock_order_see(&s->order, report->edges[i].from, report->edges[i].to, &edge);
        if (rc)
            break;
        tally_put(r, (struct lock_tally){edge, 0});
        fresh[(*n)++] = edge;
    }
    if (rc)
        unsee(s, r, fresh, *n);
    return rc;
}

static void count_edges(struct lock_space *s, struct lock_reporter *r,
                        const struct lock_report *report)
{
    for (uint32_t i = 0; i < report->n_edges; i++) {
        const uint32_t edge = known_edge(s, &report->edges[i]);
        struct lock_tally *const t = tally_find(r, edge);
        const uint64_t room = UINT64_MAX / LIMIT_LOCK_REPORTERS - t->count;
        const uint64_t more = report->edges[i].count < room ? report->edges[i].count : room;

        t->count += more; /* so bounded, the sum over all reporters does not overflow */
        lock_order_count(&s->order, edge, more);
    }
}

static void find_inversions(struct lock_space *s, const uint32_t *fresh, uint32_t n,
                            struct lock_answer *out)
{
    lock_graph_settle(&s->order.graph);
    for (uint32_t i = 0; i < n; i++) {
        if (s->order.edges[fresh[i]].reporters != 1 ||
            !lock_graph_is_cyclic(&s->order.graph, fresh[i]))
            continue;
        if (out->inversions++ == 0)
            out->inversion = fresh[i];
    }
}

static int take_in(struct lock_book *b, struct lock_space *s, struct lock_reporter *r,
                   const struct lock_report *report, uint64_t now_ns, struct lock_answer *out,
                   struct err *err)
{
    struct build build = {
        .space = s, .reporter = r, .report = report, .now_ns = now_ns, .err = err};
    uint32_t *const fresh = malloc((report->n_edges + 1) * sizeof(*fresh)), n = 0;
    int rc = fresh ? build_state(&build) : -ENOMEM;

    if (rc == 0)
        rc = see_edges(s, r, report, fresh, &n);
    if (rc == 0) {
        count_edges(s, r, report);
        find_inversions(s, fresh, n, out);
        s->changed = s->changed || s->n_waiting || build.state->n_waiting || s->deadlocks;
        set_state(s, r, build.state);
    } else {
        free_state(s, build.state);
    }
    free(fresh);
    return rc;
}

static int check_room(const struct lock_book *b, const struct lock_space *s,
                      const struct lock_reporter *r, const struct lock_report *report,
                      struct err *err)
{
    const uint32_t had = r && r->state ? r->state->n_held + r->state->n_waiting : 0;
    const uint32_t now = report->n_held + report->n_waiting;

    if (s->n_items - had + now > LIMIT_LOCK_ITEMS)
        return err_set(err, -E2BIG, "the namespace's pods hold and wait for %u locks already",
                       s->n_items);
    if (b->n_all - had + now + report->n_edges > LIMIT_LOCK_ALL_ITEMS)
        return err_set(err, -E2BIG, "no room: all reporters together told of too many locks");
    return 0;
}

/* What the pair (epoch, sequence) says about a report. */
static enum lock_receipt receive(const struct lock_reporter *r, const struct lock_report *report)
{
    if (!r || report->epoch > r->epoch)
        return report->sequence <= 1 ? LOCK_APPLIED : LOCK_GAP;
    if (report->epoch < r->epoch || report->sequence <= r->sequence)
        return LOCK_DUPLICATE;
    return report->sequence == r->sequence + 1 ? LOCK_APPLIED : LOCK_GAP;
}

static int report_full(const struct lock_space *s, int rc, struct err *err)
{
    if (rc == -E2BIG)
        return err_set(err, rc, "the namespace has %u lock classes and %u edges already",
                       s->order.graph.live_nodes, s->order.graph.live_edges);
    return rc == -ENOMEM ? err_set(err, rc, "no memory") : rc;
}

static int apply(struct lock_book *b, struct lock_space *s, struct lock_reporter *r,
                 const struct lock_report *report, uint64_t now_ns, struct lock_answer *out,
                 struct err *err)
{
    const bool is_new = !r;

    if (r && report->epoch > r->epoch) {
        empty_reporter(s, r);
        r->epoch = report->epoch;
        r->sequence = 0; /* of the new epoch nothing is known yet */
    }
    int rc = check_room(b, s, r, report, err);
    if (rc)
        return rc;
    if (!r && (rc = make_reporter(b, s, report->pod, report->container, &r, err)))
        return rc;
    rc = take_in(b, s, r, report, now_ns, out, err);
    if (rc) {
        if (is_new)
            remove_reporter(s, r);
        return report_full(s, rc, err);
    }
    r->epoch = report->epoch;
    r->sequence = report->sequence;
    r->received_ns = now_ns;
    r->goroutines = report->goroutines;
    r->locks = report->locks;
    return 0;
}

int lock_book_report(struct lock_book *b, const struct lock_report *report, uint64_t now_ns,
                     struct lock_answer *out, struct err *err)
{
    struct lock_space *const s = lock_book_space(b, report->ns);
    struct lock_answer answer = {.inversion = LOCK_NONE};
    int rc = 0;

    if (!s)
        return err_set(err, b->n_spaces >= LIMIT_LOCK_SPACES ? -E2BIG : -ENOMEM,
                       "no room for another namespace: there are %u", b->n_spaces);
    const uint64_t before = size_of(s);
    struct lock_reporter *const r = find_reporter(s, report->pod, report->container);
    answer.receipt = receive(r, report);
    if (answer.receipt == LOCK_APPLIED)
        rc = apply(b, s, r, report, now_ns, &answer, err);
    answer.have = answer.receipt == LOCK_APPLIED   ? report->sequence
                  : r && r->epoch == report->epoch ? r->sequence
                                                   : 0;
    b->reports += rc == 0 && answer.receipt == LOCK_APPLIED;
    b->duplicates += answer.receipt == LOCK_DUPLICATE;
    b->gaps += answer.receipt == LOCK_GAP;
    b->refused += rc != 0;
    account(b, s, before);
    if (rc == 0)
        *out = answer;
    return rc;
}

/* --- what ends --- */

static void end_reporters(struct lock_book *b, struct lock_space *s,
                          bool (*ends)(const struct lock_reporter *r, const void *ctx),
                          const void *ctx)
{
    const uint64_t before = size_of(s);

    for (struct lock_reporter **at = &s->reporters; *at;) {
        if (ends(*at, ctx))
            free_reporter(s, at);
        else
            at = &(*at)->next;
    }
    account(b, s, before);
}

static bool is_of_pod(const struct lock_reporter *r, const void *pod)
{
    return str_eq(r->pod, *(const struct str *)pod);
}

static bool is_older(const struct lock_reporter *r, const void *before_ns)
{
    return r->received_ns < *(const uint64_t *)before_ns;
}

void lock_book_end_pod(struct lock_book *b, struct str ns, struct str pod)
{
    struct lock_space *const s = lock_book_find(b, ns);

    if (s)
        end_reporters(b, s, is_of_pod, &pod);
}

void lock_book_forget(struct lock_book *b, uint64_t before_ns)
{
    for (struct lock_space *s = b->spaces, *next; s; s = next) {
        next = s->next;
        end_reporters(b, s, is_older, &before_ns);
    }
}

/* --- policies --- */

int lock_book_declare(struct lock_book *b, struct str ns, struct str policy,
                      const struct lock_rule *rules, uint32_t n, struct err *err)
{
    struct lock_space *const s = lock_book_space(b, ns);

    if (!s)
        return err_set(err, b->n_spaces >= LIMIT_LOCK_SPACES ? -E2BIG : -ENOMEM,
                       "no room for another namespace: there are %u", b->n_spaces);
    const uint64_t before = size_of(s);
    const int rc = lock_order_declare(&s->order, policy, rules, n, err);
    account(b, s, before);
    return rc;
}

void lock_book_withdraw(struct lock_book *b, struct str ns, struct str policy)
{
    struct lock_space *const s = lock_book_find(b, ns);

    if (!s)
        return;
    const uint64_t before = size_of(s);
    lock_order_withdraw(&s->order, policy);
    account(b, s, before);
}

/* --- all of it --- */

void lock_book_done(struct lock_book *b)
{
    while (b->spaces) {
        struct lock_space *const s = b->spaces;

        while (s->reporters)
            free_reporter(s, &s->reporters);
        free_space(b, s);
    }
    free(b->scratch);
    lock_book_init(b, b->key);
}

static size_t reporter_bytes(const struct lock_reporter *r)
{
    const struct lock_state *const s = r->state;
    size_t n = sizeof(*r) + r->pod.n + r->container.n + 2;

    if (r->tally)
        n += (r->tally_mask + 1) * sizeof(*r->tally);
    if (!s)
        return n;
    n += sizeof(*s) + ((size_t)s->n_held + s->n_waiting) * (sizeof(*s->held) + sizeof(*s->threads));
    for (uint32_t i = 0; i < s->n_held + s->n_waiting; i++)
        n += s->held[i].instance.n + 1;
    for (uint32_t i = 0; i < s->n_threads; i++)
        n += s->threads[i].name.n + 1;
    return n;
}

size_t lock_book_bytes(const struct lock_book *b)
{
    size_t n = b->scratch_room * sizeof(*b->scratch);

    for (const struct lock_space *s = b->spaces; s; s = s->next) {
        n += sizeof(*s) + s->ns.n + 1 + lock_order_bytes(&s->order);
        for (const struct lock_reporter *r = s->reporters; r; r = r->next)
            n += reporter_bytes(r);
    }
    return n;
}
