/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Topology Manager's merge as a fold over sets of masks, against the kubelet's own way: every
 * permutation of the cartesian product, one after the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/kubelet_merge.h"
#include "scoring/mask_set.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 4000, MAX_LISTS = 4, MAX_HINTS = 24, MAX_ZONES = 8 };

struct hint {
    bool nil, preferred;
    uint64_t mask;
};

struct list {
    uint32_t n;
    struct hint hint[MAX_HINTS];
};

struct naive {
    const struct node_view *node;
    struct list lists[MAX_LISTS];
    uint32_t n_lists, b;
    struct hint best;
    bool any, crash;
};

static int count(uint64_t m)
{
    return __builtin_popcountll(m);
}

/* The list of a zone's distances has n entries and is indexed by zone id, holes or not. */
static double mean_distance(const struct node_view *node, uint64_t mask, bool *crash)
{
    const uint32_t n = node->machine.n_zones;
    double sum = 0, pairs = 0;

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            const uint32_t id = node->machine.zones[j].id;

            if (!(mask >> i & 1) || !(mask >> j & 1))
                continue;
            if (id >= n)
                *crash = true;
            else
                sum += node->machine.distances.d[i * n + id];
            pairs++;
        }
    }
    return sum / pairs;
}

static uint64_t compare(const struct node_view *node, uint64_t cur, uint64_t cand, bool *crash)
{
    if (count(cur) != count(cand))
        return count(cur) < count(cand) ? cur : cand;
    if (cur != cand && node->kubelet.prefer_closest &&
        node->kubelet.policy != KUBELET_POLICY_SINGLE_NUMA_NODE) {
        const double a = mean_distance(node, cur, crash), b = mean_distance(node, cand, crash);

        if (a < b || b < a)
            return a < b ? cur : cand;
    }
    return cur < cand ? cur : cand;
}

/* HintMerger.compare of topologymanager/policy.go, in its order of cases. */
static void consider(struct naive *v, uint64_t mask, bool preferred)
{
    const int n = count(v->best.mask), k = count(mask), b = (int)v->b;
    bool take;

    if (!mask)
        return;
    if (!v->any || preferred != v->best.preferred) {
        take = !v->any || preferred;
    } else if (preferred || n > b) {
        take = compare(v->node, v->best.mask, mask, &v->crash) == mask;
    } else if (n == b) {
        take = k == b && compare(v->node, v->best.mask, mask, &v->crash) == mask;
    } else if (k > b) {
        take = false;
    } else if (k == b || k != n) {
        take = k == b || k > n;
    } else {
        take = compare(v->node, v->best.mask, mask, &v->crash) == mask;
    }
    if (take)
        v->best = (struct hint){false, preferred, mask};
    v->any = true;
}

static void product(struct naive *v, uint32_t i, uint64_t mask, bool preferred, uint64_t first)
{
    if (i == v->n_lists) {
        consider(v, mask, preferred);
        return;
    }
    assert_true(i < ARRAY_LEN(v->lists));
    for (uint32_t k = 0; k < v->lists[i].n; k++) {
        const struct hint *const h = &v->lists[i].hint[k];

        if (h->nil)
            product(v, i + 1, mask, preferred && h->preferred, first);
        else
            product(v, i + 1, mask & h->mask,
                    preferred && h->preferred && (!first || first == h->mask),
                    first ? first : h->mask);
    }
}

static struct kubelet_merge_result naive_merge(struct naive *v)
{
    const uint64_t all = (UINT64_C(1) << v->node->machine.n_zones) - 1;
    const enum kubelet_policy policy = v->node->kubelet.policy;
    struct kubelet_merge_result r = {0};

    for (uint32_t i = 0; i < v->n_lists; i++) {
        uint32_t least = 0, n = 0;

        for (uint32_t k = 0; k < v->lists[i].n; k++) {
            const struct hint h = v->lists[i].hint[k];

            if (!h.nil && (!least || (uint32_t)count(h.mask) < least))
                least = (uint32_t)count(h.mask);
            if (policy != KUBELET_POLICY_SINGLE_NUMA_NODE ||
                (h.preferred && (h.nil || count(h.mask) == 1)))
                v->lists[i].hint[n++] = h;
        }
        v->lists[i].n = n;
        v->b = least > v->b ? least : v->b;
    }
    product(v, 0, all, true, 0);
    r.hint = (struct kubelet_hint){true, v->any && v->best.preferred, v->any ? v->best.mask : all};
    r.admit = r.hint.preferred || policy == KUBELET_POLICY_BEST_EFFORT;
    if (policy == KUBELET_POLICY_SINGLE_NUMA_NODE && r.hint.affinity == all)
        r.hint = (struct kubelet_hint){.preferred = r.hint.preferred};
    return r;
}

/* IterateBitMasks: narrow masks first, those of one size by their ascending elements. */
static int by_iteration(const void *pa, const void *pb)
{
    const struct hint *const a = pa, *const b = pb;
    const uint64_t differ = a->mask ^ b->mask, lowest = differ & -differ;

    if (count(a->mask) != count(b->mask))
        return count(a->mask) - count(b->mask);
    return a->mask & lowest ? -1 : 1;
}

static void random_list(uint64_t *seed, uint32_t zones, struct kubelet_hints *fast,
                        struct list *slow)
{
    const uint64_t kind = test_random(seed, 8), masks = UINT64_C(1) << zones;
    /* few hints have little in common: the narrowest may meet nowhere */
    const uint64_t most = test_random(seed, 2) ? MAX_HINTS : 3;

    memset(fast->masks, 0, mask_set_words(zones) * sizeof(uint64_t));
    memset(fast->preferred, 0, mask_set_words(zones) * sizeof(uint64_t));
    fast->any = kind == 0;
    fast->impossible = kind == 1;
    slow->n = 0;
    if (kind < 2) {
        slow->hint[slow->n++] = (struct hint){true, kind == 0, 0};
        return;
    }
    const bool every = kind == 2 && masks <= MAX_HINTS;
    for (uint64_t tries = every ? masks - 1 : 1 + test_random(seed, most); tries > 0; tries--) {
        const uint64_t m = every ? tries : 1 + test_random(seed, masks - 1);
        const bool preferred = test_random(seed, 3) == 0;

        if (fast->masks[m / 64] >> (m % 64) & 1)
            continue;
        fast->masks[m / 64] |= UINT64_C(1) << (m % 64);
        fast->preferred[m / 64] |= (uint64_t)preferred << (m % 64);
        slow->hint[slow->n++] = (struct hint){false, preferred, m};
    }
    qsort(slow->hint, slow->n, sizeof(slow->hint[0]), by_iteration);
}

/* `holes`: zone ids leave gaps, so that some lie beyond the number of zones. */
static bool one_round(uint64_t *seed, bool holes)
{
    static uint64_t sets[MAX_LISTS][2][4];
    static uint32_t counts[2 << MAX_ZONES];
    struct kubelet_hints fast[MAX_LISTS];
    struct topo_zone zones[MAX_ZONES] = {0};
    uint32_t d[MAX_ZONES * MAX_ZONES];
    struct node_view node = {.machine = {.zones = zones}};
    struct naive v = {.node = &node, .n_lists = (uint32_t)test_random(seed, MAX_LISTS + 1)};
    const uint32_t n = node.machine.n_zones = 1 + (uint32_t)test_random(seed, MAX_ZONES);

    for (uint32_t i = 0; i < n; i++) {
        zones[i].id = i == 0 ? 0 : zones[i - 1].id + 1 + (holes && test_random(seed, 4) == 0);
        for (uint32_t k = 0; k < n; k++)
            d[i * n + k] = i == k ? 10 : 11 + (uint32_t)test_random(seed, 4);
    }
    node.machine.distances = (struct topo_matrix){n, d};
    node.kubelet.policy = (enum kubelet_policy)(1 + test_random(seed, 3));
    node.kubelet.prefer_closest = test_random(seed, 2);
    for (uint32_t i = 0; i < v.n_lists; i++) {
        fast[i].masks = sets[i][0];
        fast[i].preferred = sets[i][1];
        random_list(seed, n, &fast[i], &v.lists[i]);
    }
    const struct kubelet_merge_result got = kubelet_merge(&node, fast, v.n_lists, counts),
                                      want = naive_merge(&v);

    assert_int_equal(got.crash, v.crash);
    assert_true(holes || !v.crash);
    if (v.crash)
        return true;
    assert_int_equal(got.admit, want.admit);
    if (!want.admit)
        return false; /* nobody looks at the hint of a refusal */
    assert_int_equal(got.hint.preferred, want.hint.preferred);
    assert_int_equal(got.hint.has_affinity, want.hint.has_affinity);
    assert_int_equal(got.hint.affinity, want.hint.affinity);
    return false;
}

/* {0,1} or {2,3,4}, {5,6} or {2,3,4}: two zones are what each needs, and they meet in three. */
static void lists_may_meet_in_more_zones_than_any_needs(void **state)
{
    uint64_t a[2] = {UINT64_C(1) << 0x03 | UINT64_C(1) << 0x1c, 0},
             b[2] = {UINT64_C(1) << 0x1c, UINT64_C(1) << (0x60 - 64)}, none[2] = {0};
    static uint32_t counts[2 << 7];
    const struct kubelet_hints lists[] = {{.masks = a, .preferred = none},
                                          {.masks = b, .preferred = none}};
    const struct node_view node = {.machine = {.n_zones = 7},
                                   .kubelet = {.policy = KUBELET_POLICY_BEST_EFFORT}};
    const struct kubelet_merge_result r = kubelet_merge(&node, lists, 2, counts);

    assert_true(r.admit && r.hint.has_affinity && !r.hint.preferred);
    assert_int_equal(r.hint.affinity, 0x1c);
}

static void the_fold_equals_the_product(void **state)
{
    uint64_t seed = test_seed(20261124);

    for (int i = 0; i < ROUNDS; i++)
        (void)one_round(&seed, false);
}

static void holes_in_the_ids_crash_just_where_the_kubelet_does(void **state)
{
    uint64_t seed = test_seed(20261125);
    uint32_t crashes = 0;

    for (int i = 0; i < ROUNDS; i++)
        crashes += one_round(&seed, true);
    assert_in_range(crashes, ROUNDS / 50, ROUNDS / 2); /* both happen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_may_meet_in_more_zones_than_any_needs),
        cmocka_unit_test(the_fold_equals_the_product),
        cmocka_unit_test(holes_in_the_ids_crash_just_where_the_kubelet_does)};

    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
