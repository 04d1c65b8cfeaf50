/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU Manager option distribute-cpus-across-numa. k8s: cpumanager/cpu_assignment.go. */
#include <math.h>
#include <string.h>

#include "scoring/kubelet_take_parts.h"
#include "topology/cpuset.h"

/*
 * Choices of zones tried before we give up, which takes more than 10 zones: the kubelet itself
 * would be busy for minutes.
 */
enum { MOST_TRIALS = 1 << 18 };

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

static double deviation(const int64_t *free, uint64_t zones)
{
    const int n = __builtin_popcountll(zones);
    double sum = 0, squares = 0;

    for (uint64_t z = zones; z; z &= z - 1)
        sum += (double)free[__builtin_ctzll(z)];
    const double mean = round3(sum / n);
    for (uint64_t z = zones; z; z &= z - 1) {
        const double off = (double)free[__builtin_ctzll(z)] - mean;

        squares += off * off;
    }
    return round3(sqrt(squares / n));
}

/* What is known while one number k of zones is tried. */
struct spread_try {
    /* All zones with free CPUs, in order; where sockets reach over zones one may be there twice. */
    const uint16_t *zones;
    uint32_t n_zones, trials;
    uint64_t all; /* the same as a set */
    int64_t needed, group;
    int64_t free[TOPO_MAX_ZONES]; /* free CPUs by zone */
    struct combos combo, subset;
    double best;
    struct stored best_combo, best_rest;
    enum kubelet_taken stop; /* TAKEN: go on */
};

/*
 * Take the rest in groups, round about, from the zones that still have one. False: none has, and
 * the kubelet goes round for ever. It only asked whether the zones have that many CPUs, not whether
 * they are in whole groups.
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

/* CPUs of zones, of which one that is there twice counts once. */
static int64_t free_in(const struct spread_try *t, const uint16_t *zones, uint32_t n)
{
    uint64_t seen = 0;
    int64_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!(seen >> zones[i] & 1))
            sum += t->free[zones[i]];
        seen |= UINT64_C(1) << zones[i];
    }
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
        return deviation(after, t->all);
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
            t->trials++;
            memcpy(left, after, sizeof(left));
            if (sum_of(left, t->subset.ids, k) < rest)
                continue;
            if (!deal_rest(left, t->subset.ids, k, rest, t->group)) {
                t->stop = KUBELET_TAKE_ENDLESS;
                return best;
            }
            const double balance = deviation(left, t->all);
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
    t->trials++;
    if (free_in(t, t->combo.ids, t->combo.k) < t->needed)
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
        if (t->trials > MOST_TRIALS)
            t->stop = KUBELET_TAKE_TOO_MANY;
    } while (t->stop == KUBELET_TAKEN && combos_next(&t->combo));
}

/* Pick `count` packed CPUs out of one zone's free ones. */
static void take_in_zone(struct take_acc *a, uint16_t zone, int64_t count)
{
    const uint32_t words = a->node->cpu_words;
    const uint64_t *const set = &a->node->cpus.zone_set[(size_t)zone * words];
    uint64_t *const own = a->room->sets + 2 * (size_t)words;
    struct take_acc in = {a->node, a->room, own, own + words, count};

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

static enum kubelet_taken take_spread(struct take_acc *a, struct spread_try *t)
{
    const struct stored combo = t->best_combo, rest_zones = t->best_rest;
    const int64_t share = t->needed / combo.n / t->group * t->group;
    int64_t rest = t->needed - share * combo.n;

    for (uint32_t i = 0; i < combo.n; i++)
        take_in_zone(a, combo.ids[i], share);
    while (rest > 0) {
        const int64_t before = rest;

        for (uint32_t i = 0; i < rest_zones.n && rest > 0; i++) {
            if ((int64_t)take_zone_free(a, rest_zones.ids[i]) < t->group)
                continue;
            take_in_zone(a, rest_zones.ids[i], t->group);
            rest -= t->group;
        }
        if (rest == before)
            return KUBELET_TAKE_ENDLESS;
    }
    return a->needed == 0 ? KUBELET_TAKEN : KUBELET_TAKE_UNEVEN;
}

/* The least and most zones worth trying (rangeNUMANodesNeededToSatisfy). */
static void zone_range(const struct take_acc *a, uint32_t n_free_zones, int64_t group,
                       uint32_t *out_min, uint32_t *out_max)
{
    const int64_t zones = __builtin_popcountll(a->node->cpus.zones);
    const int64_t groups = ((int64_t)a->node->cpus.n_present - 1) / group + 1;
    const int64_t per_zone = (groups - 1) / zones + 1;
    const int64_t needed = (a->needed - 1) / group + 1;

    *out_min = (uint32_t)((needed - 1) / per_zone + 1);
    *out_max = (uint32_t)(needed < n_free_zones ? needed : n_free_zones);
}

static enum kubelet_taken packed_instead(struct take_acc *a)
{
    return take_packed(a, false) ? KUBELET_TAKEN : KUBELET_TAKE_TOO_FEW;
}

enum kubelet_taken take_distributed(struct take_acc *a)
{
    const struct node_cpus *const cpus = &a->node->cpus;
    const bool cores = a->node->kubelet.cpu_options & KUBELET_FULL_PCPUS_ONLY;
    struct spread_try t = {.needed = a->needed,
                           .group = cores ? cpus->n_present / cpus->n_cores : 1};
    uint16_t zones[TOPO_MAX_ZONES];
    uint32_t least, most;

    if (a->needed % t.group != 0)
        return packed_instead(a);
    if (take_satisfied(a))
        return KUBELET_TAKEN;
    if (a->needed > (int64_t)cpuset_count(a->free, a->node->cpu_words))
        return KUBELET_TAKE_TOO_FEW;
    t.n_zones = take_zones(a, zones);
    t.zones = zones;
    if (t.n_zones == 0)
        return KUBELET_TAKE_TOO_MANY;
    for (uint32_t i = 0; i < t.n_zones; i++) {
        t.free[zones[i]] = take_zone_free(a, zones[i]);
        t.all |= UINT64_C(1) << zones[i];
    }
    zone_range(a, (uint32_t)__builtin_popcountll(t.all), t.group, &least, &most);
    for (uint32_t k = least; k <= most; k++) {
        try_k(&t, k);
        if (t.stop != KUBELET_TAKEN)
            return t.stop;
        if (t.best_combo.set)
            return take_spread(a, &t);
    }
    return packed_instead(a);
}
