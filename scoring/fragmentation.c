/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/fragmentation.h"

#include <string.h>

#include "scoring/weigh.h"

enum { SHARE_BITS = 16, MOST_LOST = 2 /* for what the pod takes itself */ };

/* Divisions of 64 bits take several times as long as those of 32, which do for nearly all. */
static uint64_t share_of(uint32_t part, uint32_t whole)
{
    if (part < 1u << (32 - SHARE_BITS))
        return (part << SHARE_BITS) / whole;
    return ((uint64_t)part << SHARE_BITS) / whole;
}

/* --- filled --- */

/* How free the zones are of one resource that is taken, on average while the pod goes in; 0..1000.
 */
static uint32_t openness(const struct frag_ask *ask, uint32_t column)
{
    uint64_t squares = 0, taken = 0; /* at most 64 * 2^41 */

    for (uint32_t i = 0; i < ask->n_zones; i++) {
        const uint64_t b = ask->zones[i].before[column], a = ask->zones[i].after[column];

        squares += b * b - a * a;
        taken += 2 * (b - a) * ask->zones[i].whole[column];
    }
    if (taken <= UINT32_MAX / SCORE_MAX) /* see share_of */
        return (uint32_t)squares * SCORE_MAX / (uint32_t)taken;
    return (uint32_t)(squares * SCORE_MAX / taken);
}

/* Memory is left out: how much of it goes with a CPU or a device differs from pod to pod. */
static uint32_t filled(const struct frag_ask *ask, uint32_t taken)
{
    uint32_t sum = 0, n = 0;

    for (uint32_t bits = taken & ~(1u << DEMAND_MEMORY); bits; bits &= bits - 1) {
        sum += openness(ask, (uint32_t)__builtin_ctz(bits));
        n++;
    }
    return n ? SCORE_MAX - sum / n : SCORE_MAX;
}

/* --- kept --- */

/* Pods of one kind that a zone has room for. */
struct room {
    uint32_t before, after, whole;
    uint32_t zones; /* that one of them would be in; 0: it cannot be */
};

/* The least of some resources; where there are none UINT32_MAX: nothing bound to zones is wanted.
 */
static inline uint32_t fits(const struct demand_kind *k, const uint32_t *have, uint32_t unbound)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < k->n && least; i++) {
        const uint32_t n = demand_times(&k->wants[i], have[k->wants[i].column]);

        if (!(unbound >> k->wants[i].column & 1))
            least = n < least ? n : least;
    }
    return least;
}

/* In how many zones like this one a pod of the kind would be, 0: in none. */
static uint32_t zones_for(const struct demand_kind *k, const struct frag_zone *z,
                          const struct frag_ask *ask)
{
    uint32_t most = 1;

    for (uint32_t i = 0; i < k->n; i++) {
        const struct demand_want *const w = &k->wants[i];
        const uint32_t whole = z->whole[w->column];

        if (w->amount <= whole || ask->unbound >> w->column & 1)
            continue;
        const uint32_t n = whole ? (w->amount + whole - 1) / whole : UINT32_MAX;
        most = n > most ? n : most;
    }
    return most <= ask->most_zones ? most : 0;
}

/* What one of them wants in each of so many zones. */
static struct demand_kind part_of(const struct demand_kind *k, uint32_t zones)
{
    struct demand_kind part = {.n = 0};

    for (uint32_t i = 0; i < k->n; i++)
        demand_put(&part, k->wants[i].column, (k->wants[i].amount + zones - 1) / zones);
    return part;
}

/* Only where all is free somebody can be alone. */
static struct room room_alone(const struct frag_zone *z, uint32_t zones)
{
    struct room room = {1, 1, 1, zones};

    for (uint32_t c = 0; c < FRAG_COLUMNS; c++) {
        room.before &= z->before[c] == z->whole[c];
        room.after &= z->after[c] == z->whole[c];
    }
    return room;
}

/* The rare kinds: alone, wider than the zone, or not for it. */
static struct room room_for(const struct demand_kind *k, const struct frag_zone *z,
                            const struct frag_ask *ask)
{
    const uint32_t zones = zones_for(k, z, ask);

    if (zones == 0)
        return (struct room){0};
    if (k->alone)
        return room_alone(z, zones);
    const struct demand_kind part = part_of(k, zones);
    return (struct room){fits(&part, z->before, ask->unbound), fits(&part, z->after, ask->unbound),
                         fits(&part, z->whole, ask->unbound), zones};
}

static uint64_t lost_rarely(const struct demand_kind *k, const struct frag_zone *z,
                            const struct frag_ask *ask)
{
    const struct room room = room_for(k, z, ask);

    return room.before > room.after ? share_of(room.before - room.after, room.whole) : 0;
}

/* The share of a whole zone's slots that the kind loses in this one. */
static inline uint64_t lost(const struct demand_kind *k, const struct frag_zone *z,
                            const struct frag_ask *ask)
{
    uint32_t before = UINT32_MAX, after = UINT32_MAX, whole = UINT32_MAX;

    if (k->alone)
        return lost_rarely(k, z, ask);
    for (uint32_t i = 0; i < k->n; i++) {
        const struct demand_want *const w = &k->wants[i];

        if (ask->unbound >> w->column & 1)
            continue;
        const uint32_t b = demand_times(w, z->before[w->column]);
        const uint32_t a = demand_times(w, z->after[w->column]);
        const uint32_t all = demand_times(w, z->whole[w->column]);
        before = b < before ? b : before;
        after = a < after ? a : after;
        whole = all < whole ? all : whole;
    }
    if (!whole)
        return lost_rarely(k, z, ask);
    return before == after ? 0 : share_of(before - after, whole);
}

/* The same for those who tell of it. */
static void add_slots(struct frag_slots *slots, const struct frag_ask *ask)
{
    const uint32_t n = ask->demand ? ask->demand->n : 0;

    if (n)
        memset(slots, 0, n * sizeof(*slots));
    for (uint32_t m = 0; m < n; m++) {
        for (uint32_t i = 0; i < ask->n_zones; i++) {
            const struct room room = room_for(&ask->demand->kinds[m], &ask->zones[i], ask);

            if (room.zones == 0 || room.whole == UINT32_MAX)
                continue;
            slots[m].before += room.before;
            slots[m].after += room.after;
            slots[m].whole += room.whole;
            slots[m].zones = room.zones > slots[m].zones ? room.zones : slots[m].zones;
        }
    }
}

/* Of the resource that the pod takes most of; `taken` gets the bits of all that it takes. */
static uint64_t own_share(uint32_t *taken, const struct frag_zone *z, uint32_t columns)
{
    uint64_t most = 0;

    for (uint32_t bits = columns; bits; bits &= bits - 1) {
        const uint32_t c = (uint32_t)__builtin_ctz(bits);

        if (z->before[c] == z->after[c])
            continue;
        const uint64_t share = share_of(z->before[c] - z->after[c], z->whole[c]);
        most = share > most ? share : most;
        *taken |= 1u << c;
    }
    return most;
}

/* The losses of all kinds by their weights, each at most MOST_LOST times what the pod takes. */
static uint64_t losses(const struct frag_zone *z, uint64_t own, const struct frag_ask *ask)
{
    const struct score_demand *const d = ask->demand;
    uint64_t sum = 0; /* at most 16 * 2^5 * 2^17 */

    for (uint32_t m = 0; m < d->n; m++) {
        const uint64_t share = lost(&d->kinds[m], z, ask);

        sum += d->kinds[m].weight * (share < MOST_LOST * own ? share : MOST_LOST * own);
    }
    return sum;
}

void score_fragmentation(struct frag_answer *out, struct frag_slots *slots,
                         const struct frag_ask *ask)
{
    const uint32_t n = ask->demand ? ask->demand->n : 0;
    struct frag_answer answer = {SCORE_MAX, SCORE_MAX, SCORE_MAX};
    uint64_t own = 0, sum = 0, weights = 0;
    uint32_t taken = 0;

    for (uint32_t i = 0; i < ask->n_zones; i++) {
        const uint64_t share = own_share(&taken, &ask->zones[i], ask->columns);

        own += share;
        sum += n && share ? losses(&ask->zones[i], share, ask) : 0;
    }
    for (uint32_t m = 0; own && m < n; m++)
        weights += ask->demand->kinds[m].weight;
    if (own)
        answer.value = answer.filled = filled(ask, taken);
    if (own && weights) {
        answer.kept = SCORE_MAX - (uint32_t)(sum * (SCORE_MAX / MOST_LOST) / (weights * own));
        answer.value = (answer.filled + answer.kept) / 2;
    }
    if (slots)
        add_slots(slots, ask);
    *out = answer;
}
