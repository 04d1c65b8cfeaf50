/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet_merge.h"

#include <string.h>

#include "scoring/mask_set.h"

enum { CRASH_STEPS = 1 << 20 }; /* permutations followed before a possible crash counts as one */

static uint32_t bits(uint64_t mask)
{
    return (uint32_t)__builtin_popcountll(mask);
}

/*
 * Sum of the distances of all ordered pairs in the mask, the diagonal included. The kubelet looks
 * distances up by zone id in a list that has one entry per zone, so with holes in the ids it reads
 * another zone's distance, or beyond the end: then *crash.
 */
static uint64_t distance_sum(const struct node_view *node, uint64_t mask, bool *crash)
{
    const struct topo_machine *const m = &node->machine;
    uint64_t sum = 0;

    for (uint64_t rows = mask; rows; rows &= rows - 1) {
        const uint32_t row = (uint32_t)__builtin_ctzll(rows);

        for (uint64_t cols = mask; cols; cols &= cols - 1) {
            const uint32_t id = m->zones[__builtin_ctzll(cols)].id;

            if (id >= m->n_zones)
                *crash = true;
            else
                sum += m->distances.d[row * m->n_zones + id];
        }
    }
    return sum;
}

/* compareMasks: the better of two different masks that are equally preferred. */
static uint64_t better_mask(const struct node_view *node, uint64_t cur, uint64_t cand, bool *crash)
{
    if (bits(cur) != bits(cand))
        return bits(cand) < bits(cur) ? cand : cur;
    if (cur != cand && node->kubelet.prefer_closest &&
        node->kubelet.policy != KUBELET_POLICY_SINGLE_NUMA_NODE) {
        const uint64_t a = distance_sum(node, cur, crash), b = distance_sum(node, cand, crash);

        if (a != b)
            return a < b ? cur : cand; /* equal counts: no need to divide by |m|^2 */
    }
    return cand < cur ? cand : cur;
}

/*
 * Of two hints that are not preferred: the one whose size is nearest to `b`, the size that the
 * most demanding resource needs at least; below b the wider, above it the narrower.
 */
static uint64_t better_unpreferred(const struct node_view *node, uint64_t cur, uint64_t cand,
                                   uint32_t b, bool *crash)
{
    const uint32_t n = bits(cur), k = bits(cand);

    if (n > b)
        return better_mask(node, cur, cand, crash);
    if (n == b)
        return k != b ? cur : better_mask(node, cur, cand, crash);
    if (k > b)
        return cur;
    if (k == b || k > n)
        return cand;
    return k < n ? cur : better_mask(node, cur, cand, crash);
}

/* The best of the masks of k zones; 0 when there is none. Without distances the lowest. */
static uint64_t best_of_size(const struct node_view *node, const uint64_t *set, uint32_t k)
{
    const uint32_t zones = node->machine.n_zones;
    uint64_t some[MASK_SET_WORDS], best = 0;
    bool crash = false;

    memcpy(some, set, mask_set_words(zones) * sizeof(*some));
    mask_set_keep_size(some, zones, k);
    for (uint64_t m = 1; mask_set_next(some, zones, &m); m++) {
        best = best ? better_mask(node, best, m, &crash) : m;
        if (!node->kubelet.prefer_closest)
            break;
    }
    return best;
}

/* max over the lists of the size of their narrowest mask (maxOfMinAffinityCounts) */
static uint32_t widest_need(const struct kubelet_hints *lists, uint32_t n, uint32_t zones)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (lists[i].any || lists[i].impossible)
            continue;
        const uint32_t least = mask_set_width(lists[i].masks, zones);

        most = least > most ? least : most;
    }
    return most;
}

/*
 * A merged hint is preferred only where every list prefers the very same mask (or does not care):
 * the intersection. Returns 0 when there is none, `all` when nobody cares.
 */
static uint64_t best_preferred(const struct node_view *node, const struct kubelet_hints *lists,
                               uint32_t n, uint64_t all)
{
    const uint32_t zones = node->machine.n_zones, words = mask_set_words(zones);
    uint64_t common[MASK_SET_WORDS];
    bool cares = false;

    for (uint32_t i = 0; i < n; i++) {
        if (lists[i].impossible)
            return 0;
        if (lists[i].any)
            continue;
        for (uint32_t w = 0; w < words; w++)
            common[w] = cares ? common[w] & lists[i].preferred[w] : lists[i].preferred[w];
        cares = true;
    }
    if (!cares)
        return all;
    if (node->kubelet.policy == KUBELET_POLICY_SINGLE_NUMA_NODE)
        mask_set_keep_size(common, zones, 1);
    return best_of_size(node, common, mask_set_width(common, zones));
}

static bool has_masks(const struct kubelet_hints *list)
{
    return !list->any && !list->impossible;
}

static bool any_is_full(const struct kubelet_hints *lists, uint32_t n, uint32_t zones)
{
    for (uint32_t i = 0; i < n; i++) {
        if (has_masks(&lists[i]) && mask_set_is_full(lists[i].masks, zones))
            return true;
    }
    return false;
}

/*
 * What the masks of all lists can meet in, the empty mask aside. Where one list has every mask, the
 * others meet it in all that is inside theirs, and each of those in what the next has around it.
 */
static void meet(uint64_t *meets, const struct kubelet_hints *lists, uint32_t n, uint32_t zones,
                 uint32_t *counts)
{
    const uint32_t words = mask_set_words(zones);
    const bool inside = any_is_full(lists, n, zones);
    bool first = true;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t masks[MASK_SET_WORDS];

        if (!has_masks(&lists[i]))
            continue;
        memcpy(masks, lists[i].masks, words * sizeof(*masks));
        if (inside)
            mask_set_close_down(masks, zones);
        if (!first && !inside)
            mask_set_and_all(meets, masks, zones, counts);
        for (uint32_t w = 0; w < words && (first || inside); w++)
            meets[w] = first ? masks[w] : meets[w] & masks[w];
        first = false;
    }
}

/* No mask is preferred by all: the best of everything the lists' masks can meet in. */
static uint64_t best_unpreferred(const struct node_view *node, const struct kubelet_hints *lists,
                                 uint32_t n, uint64_t all, uint32_t *counts)
{
    const uint32_t zones = node->machine.n_zones, b = widest_need(lists, n, zones);
    uint64_t meets[MASK_SET_WORDS], best = 0;

    if (b == 0)
        return all; /* nobody has a mask */
    meet(meets, lists, n, zones, counts);
    /* The order of better_unpreferred: of size b, else the widest below it, else the narrowest. */
    for (uint32_t k = b; k >= 1 && !best; k--)
        best = best_of_size(node, meets, k);
    for (uint32_t k = b + 1; k <= zones && !best; k++)
        best = best_of_size(node, meets, k);
    return best ? best : all;
}

/* The kubelet's own walk, for the one thing that depends on its order: whether it crashes. */
struct walk {
    const struct node_view *node;
    const struct kubelet_hints *lists;
    uint32_t n, b, steps;
    struct kubelet_hint best; /* has_affinity: something survived */
    bool crash;
};

static void walk_meet(struct walk *w, uint64_t mask, bool preferred)
{
    if (!mask)
        return;
    if (!w->best.has_affinity || (preferred && !w->best.preferred))
        w->best = (struct kubelet_hint){true, preferred, mask};
    else if (preferred == w->best.preferred)
        w->best.affinity =
            preferred ? better_mask(w->node, w->best.affinity, mask, &w->crash)
                      : better_unpreferred(w->node, w->best.affinity, mask, w->b, &w->crash);
}

/*
 * The next mask in the kubelet's order (IterateBitMasks): narrow first, masks of one size by their
 * ascending elements. The last element that can still move up moves, those behind it follow.
 */
static bool combination_next(uint64_t *mask, uint32_t zones)
{
    const uint64_t m = *mask;
    uint32_t behind = 0;

    for (uint32_t top = zones; top-- > 0;) {
        if (!(m >> top & 1))
            continue;
        if (top + behind + 1 < zones) {
            const uint64_t moved = ((UINT64_C(1) << (behind + 1)) - 1) << (top + 1);

            *mask = (m & ((UINT64_C(1) << top) - 1)) | moved;
            return true;
        }
        behind++;
    }
    *mask = (UINT64_C(1) << (behind + 1)) - 1;
    return behind < zones;
}

static void walk_list(struct walk *w, uint32_t i, uint64_t mask, uint64_t first, bool preferred)
{
    if (w->crash)
        return;
    if (i == w->n) {
        walk_meet(w, mask, preferred);
        w->crash = w->crash || ++w->steps > CRASH_STEPS;
        return;
    }
    const struct kubelet_hints *const list = &w->lists[i];
    if (list->any || list->impossible) {
        walk_list(w, i + 1, mask, first, preferred && list->any);
        return;
    }
    uint64_t m = 1;
    do {
        if (!mask_set_has(list->masks, m))
            continue;
        const bool liked = mask_set_has(list->preferred, m);

        walk_list(w, i + 1, mask & m, first ? first : m,
                  preferred && liked && (!first || first == m));
    } while (combination_next(&m, w->node->machine.n_zones));
}

/* Only a kubelet that compares distances by id, on a machine whose ids reach beyond their count. */
static bool may_crash(const struct node_view *node)
{
    const struct topo_machine *const m = &node->machine;

    return node->kubelet.prefer_closest &&
           node->kubelet.policy != KUBELET_POLICY_SINGLE_NUMA_NODE &&
           m->zones[m->n_zones - 1].id >= m->n_zones;
}

struct kubelet_merge_result kubelet_merge(const struct node_view *node,
                                          const struct kubelet_hints *lists, uint32_t n,
                                          uint32_t *counts)
{
    const uint64_t all = (UINT64_C(1) << node->machine.n_zones) - 1;
    const enum kubelet_policy policy = node->kubelet.policy;
    struct kubelet_merge_result r = {.admit = true};

    if (may_crash(node)) {
        struct walk w = {.node = node,
                         .lists = lists,
                         .n = n,
                         .b = widest_need(lists, n, node->machine.n_zones)};

        walk_list(&w, 0, all, 0, true);
        if (w.crash) {
            r.crash = true;
            return r;
        }
    }
    r.hint = (struct kubelet_hint){.has_affinity = true,
                                   .affinity = best_preferred(node, lists, n, all)};
    r.hint.preferred = r.hint.affinity != 0;
    if (!r.hint.preferred) {
        r.admit = policy == KUBELET_POLICY_BEST_EFFORT;
        r.hint.affinity = r.admit ? best_unpreferred(node, lists, n, all, counts) : all;
    }
    /* single-numa-node stores "any zone" as nil, so on a machine of one zone it always does */
    if (policy == KUBELET_POLICY_SINGLE_NUMA_NODE && r.hint.affinity == all)
        r.hint = (struct kubelet_hint){.preferred = r.hint.preferred};
    return r;
}
