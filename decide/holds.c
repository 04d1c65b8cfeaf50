/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/holds_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/block.h"
#include "cluster/context.h"
#include "cluster/pack.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/decide.h"
#include "decide/memo.h"

enum { MEMO_BYTES = 512 * 1024, FIRST_POD_BYTES = 2048 };

int holds_new(struct holds **out, uint64_t for_ns, struct err *err)
{
    struct holds *const h = calloc(1, sizeof(*h));

    if (!h)
        return err_set(err, -ENOMEM, "no memory for pods on their way");
    h->for_ns = for_ns;
    const int rc = memo_new(&h->memo, MEMO_BYTES, 0, err);
    if (rc)
        free(h);
    else
        *out = h;
    return rc;
}

const struct holds_stats *holds_stats(const struct holds *h)
{
    return &h->stats;
}

const struct score_pod *hold_pod(const struct hold *hold)
{
    return hold->pod->value;
}

/* FNV-1a: equal hashes are compared whole. */
static uint64_t hash_of(struct str uid)
{
    uint64_t x = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < uid.n; i++)
        x = (x ^ (unsigned char)uid.p[i]) * UINT64_C(0x100000001b3);
    return x;
}

uint32_t holds_find(const struct holds *h, struct str uid)
{
    const uint64_t hash = h->n ? hash_of(uid) : 0;
    uint32_t i = 0;

    while (i < h->n && (h->at[i].hash != hash || !str_eq(hold_pod(&h->at[i])->uid, uid)))
        i++;
    return i;
}

struct str holds_node(const struct holds *h, struct str uid)
{
    const uint32_t i = holds_find(h, uid);

    return i < h->n ? str_of(h->places[h->at[i].place].node) : STR("");
}

uint32_t holds_place(const struct holds *h, uint32_t position)
{
    uint32_t k = 0;

    while (k < HOLDS_MOST && (h->places[k].n == 0 || h->places[k].position != position))
        k++;
    return k;
}

/* ---- the places ---- */

static void mark(struct holds *h, uint32_t position, bool on)
{
    const uint64_t bit = UINT64_C(1) << position % 64;

    if (position >= h->n_nodes)
        return;
    if (on)
        h->bits[position / 64] |= bit;
    else
        h->bits[position / 64] &= ~bit;
}

/* The place of the node, a new one where it has none; HOLDS_MOST: out of memory. */
static uint32_t enter(struct holds *h, struct str node, uint32_t position)
{
    uint32_t k = holds_place(h, position);

    if (k == HOLDS_MOST) {
        for (k = 0; h->places[k].n > 0; k++)
            assert(k + 1 < HOLDS_MOST); /* there are no more places than holds */
        char *const name = strndup(node.p, node.n);
        if (!name)
            return HOLDS_MOST;
        h->places[k] = (struct hold_place){.position = position, .node = name};
        mark(h, position, true);
    }
    h->places[k].n++;
    h->places[k].revision = ++h->counter;
    return k;
}

static void leave(struct holds *h, uint32_t k)
{
    struct hold_place *const place = &h->places[k];

    place->revision = ++h->counter;
    if (--place->n > 0)
        return;
    mark(h, place->position, false);
    free(place->node);
    place->node = NULL;
}

/* The one place where holds end; `take` is the one where they begin. */
static void end(struct holds *h, uint32_t i, enum hold_end why)
{
    leave(h, h->at[i].place);
    block_unref(h->at[i].pod);
    h->n--;
    memmove(&h->at[i], &h->at[i + 1], (h->n - i) * sizeof(h->at[0]));
    atomic_store(&h->stats.n, h->n);
    (void)atomic_fetch_add(&h->stats.ended[why], 1);
}

void holds_free(struct holds *h)
{
    if (!h)
        return;
    while (h->n)
        end(h, h->n - 1, HOLD_GONE);
    cluster_context_unref(h->context);
    memo_free(h->memo);
    free(h->bits);
    free(h);
}

/* ---- what has become of them ---- */

static bool is_over(struct hold *hold, const struct cluster_snapshot *s, enum hold_end *why)
{
    const struct score_pod *const pod = hold_pod(hold);
    struct cluster_pod room;
    const struct score_pod *const now = cluster_snapshot_pod(s, pod->ns, pod->name, &room);

    *why = HOLD_GONE;
    if (!now)
        return hold->was_known;
    if (!str_eq(now->uid, pod->uid) || now->deleting || pod_is_terminal(now))
        return true;
    hold->was_known = true;
    *why = HOLD_BOUND;
    return now->node.n > 0;
}

static void end_all(struct holds *h, enum hold_end why)
{
    while (h->n)
        end(h, h->n - 1, why);
}

/* Other nodes came or went, so that positions have moved. */
static void locate(struct holds *h, const struct cluster_snapshot *s)
{
    const struct roster *const roster = cluster_snapshot_roster(s);
    uint64_t *const bits = calloc(roster->n / 64 + 1, sizeof(*bits));

    free(h->bits);
    h->bits = bits;
    h->n_nodes = bits ? roster->n : 0;
    h->serial = roster->serial;
    if (!bits)
        end_all(h, HOLD_CROWDED);
    for (uint32_t k = 0; k < HOLDS_MOST; k++)
        if (h->places[k].n > 0) {
            h->places[k].position = roster_find(roster, str_of(h->places[k].node));
            mark(h, h->places[k].position, true);
        }
    for (uint32_t i = h->n; i-- > 0;)
        if (h->places[h->at[i].place].position >= h->n_nodes)
            end(h, i, HOLD_GONE);
}

static void renew_context(struct holds *h, const struct cluster_snapshot *s)
{
    struct cluster_context *const context = cluster_snapshot_context(s);

    if (context == h->context)
        return;
    cluster_context_unref(h->context);
    h->context = cluster_context_ref(context);
    for (uint32_t k = 0; k < HOLDS_MOST; k++)
        h->places[k].revision = ++h->counter;
}

void holds_look(struct holds *h, const struct cluster_snapshot *s, uint64_t now_ns)
{
    enum hold_end why;

    for (uint32_t i = h->n; i-- > 0;)
        if (h->at[i].until_ns <= now_ns)
            end(h, i, HOLD_EXPIRED);
    if (cluster_snapshot_generation(s) == h->generation && h->bits)
        return;
    h->generation = cluster_snapshot_generation(s);
    if (cluster_snapshot_roster(s)->serial != h->serial || !h->bits)
        locate(h, s);
    renew_context(h, s);
    for (uint32_t i = h->n; i-- > 0;)
        if (is_over(&h->at[i], s, &why))
            end(h, i, why);
}

/* ---- new ones ---- */

static int pack_into(void *ctx, struct arena *a, const void **out)
{
    struct score_pod *const pod = arena_array(a, 1, sizeof(*pod));

    *out = pod;
    return pod ? pack_pod(pod, ctx, a) : -ENOMEM;
}

static void begin(struct holds *h, const struct score_pod *pod, struct str node, uint32_t position,
                  uint64_t now_ns)
{
    struct hold hold = {.hash = hash_of(pod->uid), .until_ns = now_ns + h->for_ns};

    if (h->n == HOLDS_MOST)
        end(h, 0, HOLD_CROWDED);
    if (block_new(&hold.pod, FIRST_POD_BYTES, pack_into, (void *)(uintptr_t)pod))
        return;
    hold.place = enter(h, node, position);
    if (hold.place == HOLDS_MOST) {
        block_unref(hold.pod);
        return;
    }
    h->at[h->n++] = hold;
    atomic_store(&h->stats.n, h->n);
    (void)atomic_fetch_add(&h->stats.taken, 1);
}

static void drop(struct holds *h, struct str uid)
{
    const uint32_t i = holds_find(h, uid);

    if (i < h->n)
        end(h, i, HOLD_REPLACED);
}

/* The pod goes to the node of row `i`. What a pod asks for does not change while it is pending. */
static void take(struct holds *h, const struct decision *d, const struct decide_ask *ask,
                 uint32_t i, uint64_t now_ns)
{
    const uint32_t k = holds_find(h, ask->pod->uid), position = d->rows[i].position;

    if (k < h->n && h->places[h->at[k].place].position == position) {
        h->at[k].until_ns = now_ns + h->for_ns;
        return;
    }
    if (k < h->n)
        end(h, k, HOLD_REPLACED);
    begin(h, ask->pod, ask->names[i], position, now_ns);
}

static bool is_held_for(const struct decision *d, const struct decide_ask *ask)
{
    return d->request && ask->pod->uid.n > 0 && score_request_is_placed(d->request);
}

/* The only one that passes; d->n: there are none, or several. */
static uint32_t find_only(const struct decision *d, uint32_t *passes)
{
    uint32_t at = d->n;

    *passes = d->counts[SCORE_ADMITTED] - d->left_out + d->counts[SCORE_UNKNOWN] - d->refused;
    for (uint32_t i = 0; *passes == 1 && i < d->n && at == d->n; i++)
        if (d->rows[i].verdict == SCORE_ADMITTED &&
            !(d->rows[i].marks & (DECIDE_REPEATED | DECIDE_LEFT_OUT)))
            at = i;
    return at;
}

void holds_filtered(struct holds *h, const struct decision *d, const struct decide_ask *ask,
                    uint64_t now_ns)
{
    uint32_t passes;

    if (!is_held_for(d, ask))
        return;
    const uint32_t only = find_only(d, &passes);
    if (only < d->n)
        take(h, d, ask, only, now_ns);
    else if (passes <= 1)
        drop(h, ask->pod->uid);
}

/* The row with the highest score on the wire; d->n: none, or several. Repeated ones have none. */
static uint32_t find_first(const struct decision *d)
{
    uint32_t best = 1, at = d->n;

    for (uint32_t i = 0; i < d->n; i++)
        best = d->rows[i].wire > best ? d->rows[i].wire : best;
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->rows[i].wire != best)
            continue;
        if (at < d->n)
            return d->n;
        at = i;
    }
    return at;
}

void holds_prioritized(struct holds *h, const struct decision *d, const struct decide_ask *ask,
                       uint64_t now_ns)
{
    if (!is_held_for(d, ask))
        return;
    const uint32_t first = find_first(d);
    if (first < d->n)
        take(h, d, ask, first, now_ns);
    else
        drop(h, ask->pod->uid);
}
