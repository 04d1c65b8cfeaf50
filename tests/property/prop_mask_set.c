/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation on sets of zone masks against the same mask by mask, for 1..12 zones. */
#include <string.h>

#include "scoring/mask_set.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROUNDS = 4000, MASKS = 1 << MASK_SET_ZONES, GUARD = 0x5a };

/* A set, the same as one flag a mask, and a word behind that nobody may touch. */
struct both {
    uint32_t n;
    uint64_t fast[MASK_SET_WORDS + 1];
    bool slow[MASKS];
};

static uint32_t bits(uint64_t m)
{
    return (uint32_t)__builtin_popcountll(m);
}

/* Empty, full, single, or about one in `rare` masks. */
static void fill(struct both *b, uint32_t n, uint64_t *seed)
{
    const uint64_t kind = test_random(seed, 8), rare = 1 + test_random(seed, 64),
                   one = test_random(seed, UINT64_C(1) << n);

    memset(b, 0, sizeof(*b));
    b->n = n;
    b->fast[mask_set_words(n)] = GUARD;
    for (uint64_t m = 0; m < UINT64_C(1) << n; m++) {
        b->slow[m] = kind == 0   ? false
                     : kind == 1 ? true
                     : kind == 2 ? m == one
                                 : test_random(seed, rare) == 0;
        if (b->slow[m])
            mask_set_add(b->fast, m);
    }
}

static void expect_equal(const struct both *b)
{
    for (uint64_t m = 0; m < UINT64_C(1) << b->n; m++)
        assert_int_equal(mask_set_has(b->fast, m), b->slow[m]);
    if (b->n < 6)
        assert_true(b->fast[0] >> (1u << b->n) == 0);
    assert_true(b->fast[mask_set_words(b->n)] == GUARD);
}

static uint32_t zones_of_round(int round)
{
    return 1 + (uint32_t)round % MASK_SET_ZONES;
}

static void masks_are_kept_by_their_zones(void **state)
{
    uint64_t seed = test_seed(11);
    static struct both b;

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = zones_of_round(round), k = (uint32_t)test_random(&seed, n + 2);
        const uint64_t zones = test_random(&seed, UINT64_C(1) << n), what = test_random(&seed, 4);

        fill(&b, n, &seed);
        if (what == 0)
            mask_set_subsets(b.fast, n, zones);
        else if (what == 1)
            mask_set_keep_supersets(b.fast, n, zones);
        else if (what == 2)
            mask_set_keep_touching(b.fast, n, zones);
        else
            mask_set_keep_size(b.fast, n, k);
        for (uint64_t m = 0; m < UINT64_C(1) << n; m++)
            b.slow[m] = what == 0   ? m != 0 && (m & ~zones) == 0
                        : what == 1 ? b.slow[m] && (zones & ~m) == 0
                        : what == 2 ? b.slow[m] && (zones & m) != 0
                                    : b.slow[m] && bits(m) == k;
        expect_equal(&b);
    }
}

static void width_and_next_find_what_a_walk_finds(void **state)
{
    uint64_t seed = test_seed(12);
    static struct both b;

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = zones_of_round(round);
        const uint64_t masks = UINT64_C(1) << n, from = test_random(&seed, masks + 70);
        uint32_t width = 0;
        uint64_t got = from, want = from;

        fill(&b, n, &seed);
        for (uint64_t m = 1; m < masks; m++)
            width = b.slow[m] && (!width || bits(m) < width) ? bits(m) : width;
        assert_int_equal(mask_set_width(b.fast, n), width);
        while (want < masks && !b.slow[want])
            want++;
        assert_int_equal(mask_set_next(b.fast, n, &got), want < masks);
        if (want < masks)
            assert_int_equal(got, want);
        expect_equal(&b);
    }
}

static uint64_t naive_sum(const uint64_t *by_zone, uint64_t m)
{
    uint64_t sum = 0;

    for (; m; m &= m - 1)
        sum += by_zone[__builtin_ctzll(m)];
    return sum;
}

/* Counts up to 65535 that saturate in sums, bytes up to 2^64 that wrap; small ones most often. */
static uint64_t some_amount(uint64_t *seed, bool bytes, bool wide)
{
    if (!wide)
        return test_random(seed, 9);
    return bytes ? test_random(seed, UINT64_MAX) << 11 | test_random(seed, 2048)
                 : test_random(seed, 65536);
}

static void sums_over_zones_equal_adding_them_up(void **state)
{
    uint64_t seed = test_seed(13);
    static struct both b;
    static uint64_t sums[MASKS];

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = zones_of_round(round), stride = 1 + (uint32_t)test_random(&seed, 3);
        const bool bytes = test_random(&seed, 2), wide = test_random(&seed, 4) == 0;
        uint64_t by_zone[MASK_SET_ZONES], strided[MASK_SET_ZONES * 3] = {0};
        uint16_t counts[MASK_SET_ZONES];
        for (uint32_t z = 0; z < n; z++) {
            by_zone[z] = strided[(size_t)z * stride] = some_amount(&seed, bytes, wide);
            counts[z] = (uint16_t)by_zone[z];
        }
        const uint64_t near = naive_sum(by_zone, test_random(&seed, UINT64_C(1) << n)),
                       want = test_random(&seed, 4) == 0
                                  ? test_random(&seed, 20)
                                  : near + test_random(&seed, 3) - (near > 0);
        fill(&b, n, &seed);
        memset(sums, 0xa5, sizeof(sums)); /* scratch holds anything */
        if (bytes)
            mask_set_keep_bytes(b.fast, n, strided, stride, want, sums);
        else
            mask_set_keep_counts(b.fast, n, counts, want);
        for (uint64_t m = 0; m < UINT64_C(1) << n; m++) {
            const uint64_t sum = naive_sum(by_zone, m);

            /* counts saturate at 65535: what is more than that is not there */
            b.slow[m] = b.slow[m] && sum >= want && (bytes || want <= 65535);
            if (bytes)
                assert_true(sums[m] == sum);
        }
        expect_equal(&b);
    }
}

static void things_in_several_zones_are_counted_once(void **state)
{
    uint64_t seed = test_seed(14);
    static struct both b;
    static uint16_t inside[MASKS];
    uint64_t thing[40];

    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = zones_of_round(round), things = (uint32_t)test_random(&seed, 41);
        const uint64_t want = test_random(&seed, things + 3);

        memset(inside, 0, sizeof(inside));
        for (uint32_t i = 0; i < things; i++) {
            thing[i] = 1 + test_random(&seed, (UINT64_C(1) << n) - 1);
            inside[thing[i]]++;
        }
        fill(&b, n, &seed);
        mask_set_keep_touched(b.fast, n, inside, want);
        for (uint64_t m = 0; m < UINT64_C(1) << n; m++) {
            uint64_t touched = 0;

            for (uint32_t i = 0; i < things; i++)
                touched += (thing[i] & m) != 0;
            b.slow[m] = b.slow[m] && touched >= want;
        }
        expect_equal(&b);
    }
}

static void the_and_of_two_sets_is_the_and_of_all_pairs(void **state)
{
    uint64_t seed = test_seed(15);
    static struct both a, b;
    static bool meets[MASKS];
    static uint32_t counts[2 * MASKS];

    for (int round = 0; round < 600; round++) {
        const uint32_t n = zones_of_round(round);

        fill(&a, n, &seed);
        fill(&b, n, &seed);
        memset(meets, 0, sizeof(meets));
        for (uint64_t i = 0; i < UINT64_C(1) << n; i++) {
            for (uint64_t k = 0; a.slow[i] && k < UINT64_C(1) << n; k++)
                meets[i & k] |= b.slow[k];
        }
        memcpy(a.slow, meets, sizeof(meets));
        mask_set_and_all(a.fast, b.fast, n, counts);
        expect_equal(&a);
        expect_equal(&b);
    }
}

static void what_is_inside_is_found_by_looking_at_all_pairs(void **state)
{
    uint64_t seed = test_seed(16);
    static struct both b;
    static bool inside[MASKS];

    for (int round = 0; round < 600; round++) {
        const uint32_t n = 1 + (uint32_t)round % 9;
        bool full = true;

        fill(&b, n, &seed);
        memset(inside, 0, sizeof(inside));
        for (uint64_t m = 0; m < UINT64_C(1) << n; m++) {
            for (uint64_t k = m; !inside[m] && k < UINT64_C(1) << n; k++)
                inside[m] = b.slow[k] && (m & ~k) == 0;
            full = full && (m == 0 || b.slow[m]);
        }
        assert_int_equal(mask_set_is_full(b.fast, n), full);
        mask_set_close_down(b.fast, n);
        memcpy(b.slow, inside, sizeof(inside));
        expect_equal(&b);
    }
}

/* All 4096 masks twice: the largest products the inclusion and exclusion has to take back. */
static void the_and_of_two_full_sets_is_full(void **state)
{
    static struct both a;
    static uint32_t counts[2 * MASKS];
    uint64_t other[MASK_SET_WORDS];

    memset(other, 0xff, sizeof(other));
    memset(&a, 1, sizeof(a));
    a.n = MASK_SET_ZONES;
    memcpy(a.fast, other, sizeof(other));
    a.fast[MASK_SET_WORDS] = GUARD;
    mask_set_and_all(a.fast, other, a.n, counts);
    expect_equal(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_are_kept_by_their_zones),
        cmocka_unit_test(width_and_next_find_what_a_walk_finds),
        cmocka_unit_test(sums_over_zones_equal_adding_them_up),
        cmocka_unit_test(things_in_several_zones_are_counted_once),
        cmocka_unit_test(the_and_of_two_sets_is_the_and_of_all_pairs),
        cmocka_unit_test(what_is_inside_is_found_by_looking_at_all_pairs),
        cmocka_unit_test(the_and_of_two_full_sets_is_full),
    };

    return cmocka_run_group_tests_name("mask_set", tests, NULL, NULL);
}
