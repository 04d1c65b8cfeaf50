/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet_take.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "topology/cpuset.h"

static const uint32_t LISTED = UINT32_C(1) << 31;

enum unit { UNIT_ZONE, UNIT_SOCKET, UNIT_L3, UNIT_CORE, UNIT_ALL };

/* One choice under way: the kubelet's cpuAccumulator. */
struct acc {
    const struct node_view *node;
    struct kubelet_take *room;
    uint64_t *free, *chosen;
    int64_t needed; /* an irregular machine can drive it below zero */
};

struct list {
    uint16_t *id;
    uint32_t n;
};

static uint16_t unit_of(const struct acc *a, uint32_t cpu, enum unit unit)
{
    const struct node_cpu *const c = &a->node->cpus.cpu[cpu];

    switch (unit) {
    case UNIT_ZONE:
        return c->zone;
    case UNIT_SOCKET:
        return c->socket;
    case UNIT_L3:
        return c->l3;
    case UNIT_CORE:
        return c->core;
    case UNIT_ALL:
        break;
    }
    return 0;
}

static uint32_t first_cpu(const struct acc *a, const uint64_t *set)
{
    return cpuset_next(set, a->node->cpu_words, 0);
}

static uint32_t next_cpu(const struct acc *a, const uint64_t *set, uint32_t cpu)
{
    return cpuset_next(set, a->node->cpu_words, cpu + 1);
}

static uint32_t end_cpu(const struct acc *a)
{
    return a->node->cpu_words * 64;
}

static bool satisfied(const struct acc *a)
{
    return a->needed < 1;
}

/* All CPUs of the machine in one unit, free or not. */
static uint32_t unit_size(const struct acc *a, enum unit unit, uint16_t id)
{
    const struct node_cpus *const c = &a->node->cpus;

    switch (unit) {
    case UNIT_ZONE:
        return c->zone_n[id];
    case UNIT_SOCKET:
        return c->socket_n[id];
    case UNIT_L3:
        return c->l3_n[id];
    case UNIT_CORE:
        return c->core_n[id];
    case UNIT_ALL:
        break;
    }
    return c->n_present;
}

static uint32_t unit_free(const struct acc *a, enum unit unit, uint16_t id)
{
    uint32_t n = 0;

    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c))
        n += unit_of(a, c, unit) == id;
    return n;
}

static void take_one(struct acc *a, uint32_t cpu)
{
    cpuset_add(a->chosen, cpu);
    cpuset_del(a->free, cpu);
    a->needed--;
}

/*
 * Take every CPU the machine has in the unit. The kubelet does not ask whether each is free: on a
 * machine with uneven sockets, whose "whole" size is an average, it takes CPUs of others.
 */
static void take_unit(struct acc *a, enum unit unit, uint16_t id)
{
    uint32_t left = unit_size(a, unit, id);

    for (uint32_t c = 0; left > 0; c++) {
        if (a->node->cpus.cpu[c].zone == TOPO_NONE || unit_of(a, c, unit) != id)
            continue;
        take_one(a, c);
        left--;
    }
}

/* Order ids by fewest free CPUs, then by id; lists are short and nearly sorted. */
static void sort_units(struct list *l, uint32_t from, const uint32_t *counts)
{
    for (uint32_t i = from + 1; i < l->n; i++) {
        const uint16_t id = l->id[i];
        uint32_t k = i;

        for (; k > from && (counts[l->id[k - 1]] > counts[id] ||
                            (counts[l->id[k - 1]] == counts[id] && l->id[k - 1] > id));
             k--)
            l->id[k] = l->id[k - 1];
        l->id[k] = id;
    }
}

/*
 * Append the units `inner` that have a free CPU inside the unit `id` of kind `outer`, ordered by
 * their free CPUs (in the whole unit, also outside of `outer`), then by id.
 */
static void add_units(struct acc *a, struct list *l, enum unit inner, enum unit outer, uint16_t id)
{
    uint32_t *const counts = a->room->counts;
    const uint32_t from = l->n;

    memset(counts, 0, a->node->machine.n_cpus * sizeof(*counts));
    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c)) {
        const uint16_t unit = unit_of(a, c, inner);
        const bool inside = outer == UNIT_ALL || unit_of(a, c, outer) == id;

        /* The upper half of a count says that the unit is listed. */
        if (inside && !(counts[unit] & LISTED)) {
            l->id[l->n++] = unit;
            counts[unit] |= LISTED;
        }
        counts[unit]++;
    }
    for (uint32_t i = from; i < l->n; i++)
        counts[l->id[i]] &= ~LISTED;
    sort_units(l, from, counts);
}

/* Zones contain sockets, or sockets contain zones (k8s: numaFirst, socketsFirst). */
static bool zones_first(const struct acc *a)
{
    return a->node->cpus.n_sockets >= (uint32_t)__builtin_popcountll(a->node->cpus.zones);
}

/* A list of the units of one kind, outer units in their order and inner ones within. */
static struct list ordered(struct acc *a, enum unit unit, uint16_t *room, uint16_t *outer_room)
{
    const bool zones = zones_first(a);
    const enum unit top = zones ? UNIT_ZONE : UNIT_SOCKET, second = zones ? UNIT_SOCKET : UNIT_ZONE;
    enum unit parent = UNIT_ALL;
    struct list l = {.id = room}, outer = {.id = outer_room};

    if (unit == second)
        parent = top;
    else if (unit == UNIT_L3)
        parent = UNIT_ZONE;
    else if (unit == UNIT_CORE)
        parent = second;
    if (parent == UNIT_ALL) {
        add_units(a, &l, unit, UNIT_ALL, 0);
        return l;
    }
    if (parent == top) {
        add_units(a, &outer, parent, UNIT_ALL, 0);
    } else {
        /* two levels up: the room for the result serves for the outermost list first */
        struct list outermost = {.id = room};

        add_units(a, &outermost, top, UNIT_ALL, 0);
        for (uint32_t i = 0; i < outermost.n; i++)
            add_units(a, &outer, parent, top, outermost.id[i]);
    }
    for (uint32_t i = 0; i < outer.n; i++)
        add_units(a, &l, unit, parent, outer.id[i]);
    return l;
}

/* Free CPUs at which the kubelet calls a unit whole: an average for sockets and cores. */
static uint32_t whole_size(const struct acc *a, enum unit unit, uint16_t id)
{
    const struct node_cpus *const c = &a->node->cpus;

    if (unit == UNIT_SOCKET)
        return c->n_present / c->n_sockets;
    if (unit == UNIT_CORE)
        return c->n_present / c->n_cores;
    return unit_size(a, unit, id);
}

/* Take whole free units while the need is at least as large as the unit. */
static void take_whole(struct acc *a, enum unit unit)
{
    struct list l = ordered(a, unit, a->room->units, a->room->inner);
    uint32_t n = 0;

    for (uint32_t i = 0; i < l.n; i++) { /* add_units has just counted what is free */
        if (a->room->counts[l.id[i]] == whole_size(a, unit, l.id[i]))
            l.id[n++] = l.id[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        if (a->needed >= (int64_t)unit_size(a, unit, l.id[i]))
            take_unit(a, unit, l.id[i]);
    }
}

/*
 * A part of one L3 group: its ceil(needed / threads) lowest cores that have free CPUs, when their
 * free CPUs are exactly what is needed; for an odd need one CPU too many is dropped.
 */
static void take_l3_part(struct acc *a, uint16_t l3)
{
    const int64_t threads = a->node->cpus.n_present / a->node->cpus.n_cores;
    const int64_t cores = (a->needed + threads - 1) / threads;
    uint16_t *const picked = a->room->inner;
    uint32_t *const seen = a->room->counts;
    int64_t n = 0, n_cores = 0;

    memset(seen, 0, a->node->machine.n_cpus * sizeof(*seen));
    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c)) {
        if (unit_of(a, c, UNIT_L3) == l3)
            seen[unit_of(a, c, UNIT_CORE)] = 1;
    }
    for (uint32_t core = 0; core < a->node->cpus.n_cores; core++)
        seen[core] = seen[core] && n_cores++ < cores ? 1 : 0;
    for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a); c = next_cpu(a, a->free, c)) {
        if (seen[unit_of(a, c, UNIT_CORE)])
            picked[n++] = (uint16_t)c;
    }
    if (a->needed % 2 != 0 && threads > 1 && n > a->needed)
        n--;
    if (n != a->needed)
        return;
    for (int64_t i = 0; i < n; i++)
        take_one(a, picked[i]);
}

static void take_l3(struct acc *a)
{
    const struct node_cpus *const cpus = &a->node->cpus;
    uint16_t *const order = a->room->units + (size_t)a->node->machine.n_cpus * cpus->spread;
    struct list l = ordered(a, UNIT_L3, a->room->units, a->room->inner);

    memcpy(order, l.id, l.n * sizeof(*order)); /* take_whole uses the first half of the room */
    for (uint32_t i = 0; i < l.n && !satisfied(a); i++) {
        if (a->needed >= (int64_t)(cpus->n_present / cpus->n_l3))
            take_whole(a, UNIT_L3);
        if (!satisfied(a))
            take_l3_part(a, order[i]);
    }
}

static void take_single(struct acc *a)
{
    const bool spread = a->node->kubelet.cpu_options & KUBELET_DISTRIBUTE_ACROSS_CORES;
    const enum unit unit = spread ? UNIT_SOCKET : UNIT_CORE;
    const struct list l = ordered(a, unit, a->room->units, a->room->inner);

    for (uint32_t i = 0; i < l.n && !satisfied(a); i++) {
        for (uint32_t c = first_cpu(a, a->free); c < end_cpu(a) && !satisfied(a);
             c = next_cpu(a, a->free, c)) {
            if (unit_of(a, c, unit) == l.id[i])
                take_one(a, c);
        }
    }
}

/* takeByTopologyNUMAPacked */
static bool take_packed(struct acc *a, bool by_l3)
{
    const bool zones = zones_first(a);

    if (satisfied(a))
        return true;
    if (a->needed > (int64_t)cpuset_count(a->free, a->node->cpu_words))
        return false;
    take_whole(a, zones ? UNIT_ZONE : UNIT_SOCKET);
    if (!satisfied(a))
        take_whole(a, zones ? UNIT_SOCKET : UNIT_ZONE);
    if (!satisfied(a) && by_l3)
        take_l3(a);
    if (!satisfied(a) && !(a->node->kubelet.cpu_options & KUBELET_DISTRIBUTE_ACROSS_CORES))
        take_whole(a, UNIT_CORE);
    if (!satisfied(a))
        take_single(a);
    return satisfied(a);
}

/* --- distribute-cpus-across-numa --- */

/*
 * The kubelet builds the combinations of zones by appending to one Go slice, whose array is shared
 * by all combinations with the same first elements: a combination it has stored as the best is
 * overwritten by later ones. Arrays are replaced only when they are full, at lengths 0, 1, 2, 4, 8,
 * ...; `array` numbers them, so that one knows whether a stored combination is still being written.
 */
struct combos {
    const uint16_t *of; /* [n] */
    uint32_t n, k;
    uint32_t at[TOPO_MAX_ZONES];        /* positions of the current combination */
    uint16_t ids[TOPO_MAX_ZONES];       /* the combination */
    uint32_t array[TOPO_MAX_ZONES + 1]; /* number of the array that holds the first i elements */
    uint32_t arrays;
};

static void combos_fill(struct combos *c, uint32_t from)
{
    for (uint32_t i = from; i < c->k; i++) {
        const bool full = (i & (i - 1)) == 0; /* 0, 1, 2, 4, 8 elements: append makes a new array */

        if (i > from)
            c->at[i] = c->at[i - 1] + 1;
        c->ids[i] = c->of[c->at[i]];
        c->array[i + 1] = full ? ++c->arrays : c->array[i];
    }
}

static bool combos_first(struct combos *c, const uint16_t *of, uint32_t n, uint32_t k)
{
    *c = (struct combos){.of = of, .n = n, .k = k};
    if (k < 1 || k > n)
        return false;
    combos_fill(c, 0);
    return true;
}

static bool combos_next(struct combos *c)
{
    for (uint32_t i = c->k; i-- > 0;) {
        if (c->at[i] + (c->k - i) < c->n) {
            c->at[i]++;
            combos_fill(c, i);
            return true;
        }
    }
    return false;
}

/* A combination the kubelet remembers, by reference to an array that may still change. */
struct stored {
    uint32_t n, array;
    bool set;
    uint16_t ids[TOPO_MAX_ZONES];
};

static void stored_set(struct stored *s, const struct combos *c)
{
    s->set = true;
    s->n = c->k;
    s->array = c->array[c->k];
    memcpy(s->ids, c->ids, c->k * sizeof(*s->ids));
}

static void stored_follow(struct stored *s, const struct combos *c)
{
    if (s->set && s->array == c->array[c->k])
        memcpy(s->ids, c->ids, c->k * sizeof(*s->ids));
}

/* Rounded to three decimals, as the kubelet rounds both the mean and the deviation. */
static double round3(double x)
{
    return round(x * 1000) / 1000;
}

static double deviation(const int64_t *free, const uint16_t *zones, uint32_t n)
{
    double sum = 0, squares = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (double)free[zones[i]];
    const double mean = round3(sum / n);
    for (uint32_t i = 0; i < n; i++)
        squares += ((double)free[zones[i]] - mean) * ((double)free[zones[i]] - mean);
    return round3(sqrt(squares / n));
}

/* What is known while one number k of zones is tried. */
struct spread_try {
    const uint16_t *zones; /* all zones with free CPUs, in order */
    uint32_t n_zones;
    int64_t needed, group;
    int64_t free[TOPO_MAX_ZONES]; /* free CPUs by zone */
    struct combos combo, subset;
    double best;
    struct stored best_combo, best_rest;
};

/* Take the rest in groups, round about, from the zones that still have one; false = it never ends
 */
static bool deal_rest(int64_t *free, const uint16_t *zones, uint32_t n, int64_t rest, int64_t group)
{
    while (rest > 0) {
        const int64_t before = rest;

        for (uint32_t i = 0; i < n && rest > 0; i++) {
            if (free[zones[i]] < group)
                continue;
            free[zones[i]] -= group;
            rest -= group;
        }
        if (rest == before)
            return false;
    }
    return true;
}

static int64_t sum_of(const int64_t *free, const uint16_t *zones, uint32_t n)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += free[zones[i]];
    return sum;
}

/* The best zones for the rest of one combination; `after` is what an even share leaves. */
static double best_rest(struct spread_try *t, const int64_t *after, int64_t rest,
                        struct stored *out)
{
    uint16_t roomy[TOPO_MAX_ZONES];
    uint32_t n = 0;
    double best = HUGE_VAL;

    if (rest == 0)
        return deviation(after, t->zones, t->n_zones);
    for (uint32_t i = 0; i < t->combo.k; i++) {
        if (after[t->combo.ids[i]] >= t->group)
            roomy[n++] = t->combo.ids[i];
    }
    for (uint32_t k = n; k >= 1; k--) {
        if (!combos_first(&t->subset, roomy, n, k))
            continue;
        struct stored here = {0};
        do {
            int64_t left[TOPO_MAX_ZONES];

            stored_follow(&here, &t->subset);
            memcpy(left, after, sizeof(left));
            if (sum_of(left, t->subset.ids, k) < rest ||
                !deal_rest(left, t->subset.ids, k, rest, t->group))
                continue;
            const double balance = deviation(left, t->zones, t->n_zones);
            if (balance < best) {
                best = balance;
                stored_set(&here, &t->subset);
            }
        } while (combos_next(&t->subset));
        if (here.set)
            *out = here;
    }
    return best;
}

/* Judge the current combination; returns with the best of this k updated. */
static void try_combo(struct spread_try *t)
{
    const int64_t k = t->combo.k;
    const int64_t share = t->needed / k / t->group * t->group;
    int64_t groups = 0, after[TOPO_MAX_ZONES];
    struct stored rest = {0};

    memcpy(after, t->free, sizeof(after));
    if (sum_of(t->free, t->combo.ids, t->combo.k) < t->needed)
        return;
    for (uint32_t i = 0; i < t->combo.k; i++) {
        groups += t->free[t->combo.ids[i]] / t->group;
        after[t->combo.ids[i]] -= share;
    }
    if (groups * t->group < t->needed)
        return;
    for (uint32_t i = 0; i < t->combo.k; i++) {
        if (after[t->combo.ids[i]] < 0)
            return;
    }
    const double balance = best_rest(t, after, t->needed - share * k, &rest);
    if (balance < t->best) {
        t->best = balance;
        t->best_rest = rest;
        stored_set(&t->best_combo, &t->combo);
    }
}

static void try_k(struct spread_try *t, uint32_t k)
{
    t->best = HUGE_VAL;
    t->best_combo.set = false;
    if (!combos_first(&t->combo, t->zones, t->n_zones, k))
        return;
    do {
        stored_follow(&t->best_combo, &t->combo);
        if (t->best == 0)
            return; /* looked at only after one more combination was written */
        try_combo(t);
    } while (combos_next(&t->combo));
}

/* Pick `count` packed CPUs out of one zone's free ones. */
static void take_in_zone(struct acc *a, uint16_t zone, int64_t count)
{
    const uint32_t words = a->node->cpu_words;
    const uint64_t *const set = &a->node->cpus.zone_set[(size_t)zone * words];
    struct acc in = {a->node, a->room, a->room->free[1], a->room->chosen[1], count};

    for (uint32_t w = 0; w < words; w++) {
        in.free[w] = a->free[w] & set[w];
        in.chosen[w] = 0;
    }
    if (!take_packed(&in, false))
        return;
    for (uint32_t w = 0; w < words; w++) {
        a->needed -= __builtin_popcountll(in.chosen[w]);
        a->chosen[w] |= in.chosen[w];
        a->free[w] &= ~in.chosen[w];
    }
}

static bool take_spread(struct acc *a, struct spread_try *t)
{
    const struct stored combo = t->best_combo, rest_zones = t->best_rest;
    const int64_t share = t->needed / combo.n / t->group * t->group;
    int64_t rest = t->needed - share * combo.n;

    for (uint32_t i = 0; i < combo.n; i++)
        take_in_zone(a, combo.ids[i], share);
    while (rest > 0) {
        const int64_t before = rest;

        for (uint32_t i = 0; i < rest_zones.n && rest > 0; i++) {
            if ((int64_t)unit_free(a, UNIT_ZONE, rest_zones.ids[i]) < t->group)
                continue;
            take_in_zone(a, rest_zones.ids[i], t->group);
            rest -= t->group;
        }
        if (rest == before)
            return false; /* the kubelet would turn in circles here */
    }
    return satisfied(a);
}

/* The least and most zones worth trying (rangeNUMANodesNeededToSatisfy). */
static void zone_range(const struct acc *a, uint32_t n_free_zones, int64_t group, uint32_t *out_min,
                       uint32_t *out_max)
{
    const int64_t zones = __builtin_popcountll(a->node->cpus.zones);
    const int64_t groups = ((int64_t)a->node->cpus.n_present - 1) / group + 1;
    const int64_t per_zone = (groups - 1) / zones + 1;
    const int64_t needed = (a->needed - 1) / group + 1;

    *out_min = (uint32_t)((needed - 1) / per_zone + 1);
    *out_max = (uint32_t)(needed < n_free_zones ? needed : n_free_zones);
}

/* takeByTopologyNUMADistributed */
static bool take_distributed(struct acc *a)
{
    const struct node_cpus *const cpus = &a->node->cpus;
    const bool cores = a->node->kubelet.cpu_options & KUBELET_FULL_PCPUS_ONLY;
    struct spread_try t = {.needed = a->needed,
                           .group = cores ? cpus->n_present / cpus->n_cores : 1};
    uint16_t zones[TOPO_MAX_ZONES];
    uint32_t least, most;

    if (a->needed % t.group != 0)
        return take_packed(a, false);
    if (satisfied(a))
        return true;
    if (a->needed > (int64_t)cpuset_count(a->free, a->node->cpu_words))
        return false;
    const struct list l = ordered(a, UNIT_ZONE, a->room->units, a->room->inner);
    assert(l.n <= TOPO_MAX_ZONES);
    memcpy(zones, l.id, l.n * sizeof(*zones));
    t.zones = zones;
    t.n_zones = l.n;
    for (uint32_t i = 0; i < l.n; i++)
        t.free[zones[i]] = unit_free(a, UNIT_ZONE, zones[i]);
    zone_range(a, l.n, t.group, &least, &most);
    for (uint32_t k = least; k <= most; k++) {
        try_k(&t, k);
        if (t.best_combo.set)
            return take_spread(a, &t);
    }
    return take_packed(a, false);
}

int kubelet_take_init(struct kubelet_take *t, const struct node_view *node, struct arena *a)
{
    const size_t words = node->cpu_words, n = node->machine.n_cpus;
    struct kubelet_take room = {
        .node = node,
        .free = {arena_array(a, words, sizeof(uint64_t)), arena_array(a, words, sizeof(uint64_t))},
        .chosen = {arena_array(a, words, sizeof(uint64_t)),
                   arena_array(a, words, sizeof(uint64_t))},
        .counts = arena_array(a, n + 1, sizeof(uint32_t)),
        .units = arena_array(a, 2 * n * node->cpus.spread + TOPO_MAX_ZONES, sizeof(uint16_t)),
        .inner = arena_array(a, n * node->cpus.spread + TOPO_MAX_ZONES, sizeof(uint16_t)),
    };

    if (!room.free[0] || !room.free[1] || !room.chosen[0] || !room.chosen[1] || !room.counts ||
        !room.units || !room.inner)
        return -ENOMEM;
    *t = room;
    return 0;
}

bool kubelet_take_cpus(struct kubelet_take *t, const uint64_t *available, uint32_t count,
                       uint64_t *into)
{
    const struct kubelet_config *const k = &t->node->kubelet;
    const uint32_t words = t->node->cpu_words;
    struct acc a = {t->node, t, t->free[0], t->chosen[0], count};

    memcpy(a.free, available, words * sizeof(*a.free));
    memset(a.chosen, 0, words * sizeof(*a.chosen));
    const bool done = k->cpu_options & KUBELET_DISTRIBUTE_ACROSS_NUMA
                          ? take_distributed(&a)
                          : take_packed(&a, k->cpu_options & KUBELET_ALIGN_BY_UNCORECACHE);
    if (!done)
        return false;
    for (uint32_t w = 0; w < words; w++)
        into[w] |= a.chosen[w];
    return true;
}
