/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/mask_set.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LOW = 6, LOW_BITS = 63 }; /* zones that a position inside a word stands for */

/* size_of_6[k]: the masks of 6 zones that have k of them. */
static const uint64_t size_of_6[LOW + 1] = {
    UINT64_C(0x0000000000000001), UINT64_C(0x0000000100010116), UINT64_C(0x0001011601161668),
    UINT64_C(0x0116166816686880), UINT64_C(0x1668688068808000), UINT64_C(0x6880800080000000),
    UINT64_C(0x8000000000000000),
};

/* has_zone[i]: the masks of 6 zones that contain zone i. */
static const uint64_t has_zone[LOW] = {
    UINT64_C(0xaaaaaaaaaaaaaaaa), UINT64_C(0xcccccccccccccccc), UINT64_C(0xf0f0f0f0f0f0f0f0),
    UINT64_C(0xff00ff00ff00ff00), UINT64_C(0xffff0000ffff0000), UINT64_C(0xffffffff00000000),
};

/* The masks of the low 6 zones inside `zones`. */
static uint64_t low_subsets(uint64_t zones)
{
    uint64_t set = 1;

    for (uint32_t i = 0; i < LOW; i++)
        set |= zones >> i & 1 ? set << (1u << i) : 0;
    return set;
}

void mask_set_subsets(uint64_t *set, uint32_t n, uint64_t zones)
{
    const uint64_t low = low_subsets(zones), high = zones >> LOW;

    for (uint32_t w = 0; w < mask_set_words(n); w++)
        set[w] = (w & ~high) == 0 ? low : 0;
    set[0] &= ~UINT64_C(1);
}

void mask_set_keep_supersets(uint64_t *set, uint32_t n, uint64_t zones)
{
    uint64_t low = UINT64_MAX;

    for (uint32_t i = 0; i < LOW; i++)
        low &= zones >> i & 1 ? has_zone[i] : UINT64_MAX;
    for (uint32_t w = 0; w < mask_set_words(n); w++)
        set[w] &= (zones >> LOW & ~(uint64_t)w) == 0 ? low : 0;
}

void mask_set_keep_touching(uint64_t *set, uint32_t n, uint64_t zones)
{
    const uint64_t apart = low_subsets(~zones & LOW_BITS);

    for (uint32_t w = 0; w < mask_set_words(n); w++)
        set[w] &= (w & (zones >> LOW)) == 0 ? ~apart : UINT64_MAX;
}

bool mask_set_is_full(const uint64_t *set, uint32_t n)
{
    const uint64_t all = n < LOW ? (UINT64_C(1) << (1u << n)) - 1 : UINT64_MAX;
    uint64_t lacks = (set[0] | 1) ^ all;

    for (uint32_t w = 1; w < mask_set_words(n); w++)
        lacks |= ~set[w];
    return lacks == 0;
}

void mask_set_close_down(uint64_t *set, uint32_t n)
{
    const uint32_t words = mask_set_words(n);

    for (uint32_t w = 0; w < words; w++) {
        for (uint32_t i = 0; i < LOW; i++)
            set[w] |= (set[w] & has_zone[i]) >> (1u << i);
    }
    for (uint32_t half = 1; half < words; half <<= 1) {
        for (uint32_t w = 0; w < words; w++)
            set[w] |= w & half ? 0 : set[w + half];
    }
}

static uint64_t size_word(uint32_t w, uint32_t k)
{
    const uint32_t high = (uint32_t)__builtin_popcount(w);

    return k >= high && k - high <= LOW ? size_of_6[k - high] : 0;
}

void mask_set_keep_size(uint64_t *set, uint32_t n, uint32_t k)
{
    for (uint32_t w = 0; w < mask_set_words(n); w++)
        set[w] &= size_word(w, k);
}

uint32_t mask_set_width(const uint64_t *set, uint32_t n)
{
    for (uint32_t k = 1; k <= n; k++) {
        for (uint32_t w = 0; w < mask_set_words(n); w++) {
            if (set[w] & size_word(w, k))
                return k;
        }
    }
    return 0;
}

bool mask_set_next(const uint64_t *set, uint32_t n, uint64_t *mask)
{
    const uint32_t words = mask_set_words(n);
    uint32_t w = (uint32_t)(*mask / 64);

    if (w >= words)
        return false;
    uint64_t rest = set[w] >> (*mask % 64) << (*mask % 64);
    while (!rest) {
        if (++w >= words)
            return false;
        rest = set[w];
    }
    *mask = (uint64_t)w * 64 + (uint64_t)__builtin_ctzll(rest);
    return true;
}

/* --- sums over masks --- */

static uint16_t plus(uint16_t a, uint16_t b)
{
    const uint32_t sum = (uint32_t)a + b;

    return sum > UINT16_MAX ? UINT16_MAX : (uint16_t)sum;
}

/* sums[m] for all masks: each zone doubles what is there, so that one pass adds side by side. */
static void sum_counts(uint16_t *sums, uint32_t n, const uint16_t *counts)
{
    sums[0] = 0;
    for (uint32_t z = 0; z < n; z++) {
        const uint32_t half = 1u << z;
        uint32_t i = 0;

#ifdef __SSE2__
        const __m128i add = _mm_set1_epi16((short)counts[z]);
        for (; i + 8 <= half; i += 8) {
            const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(sums + i));
            _mm_storeu_si128((__m128i *)(void *)(sums + half + i), _mm_adds_epu16(low, add));
        }
#endif
        for (; i < half; i++)
            sums[half + i] = plus(sums[i], counts[z]);
    }
}

/* The 64 masks from `sums` on that have at least `want`, which is at least 1. */
static uint64_t at_least(const uint16_t *sums, uint16_t want)
{
    uint64_t word = 0;

#ifdef __SSE2__
    const __m128i limit = _mm_set1_epi16((short)want), zero = _mm_setzero_si128();
    for (uint32_t i = 0; i < 64; i += 16) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(sums + i));
        const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(sums + i + 8));
        const __m128i enough = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_subs_epu16(limit, a), zero),
                                               _mm_cmpeq_epi16(_mm_subs_epu16(limit, b), zero));
        word |= (uint64_t)(uint32_t)_mm_movemask_epi8(enough) << i;
    }
#else
    for (uint32_t i = 0; i < 64; i++)
        word |= (uint64_t)(sums[i] >= want) << i;
#endif
    return word;
}

static void keep_at_least(uint64_t *set, uint32_t n, const uint16_t *sums, uint64_t want)
{
    for (uint32_t w = 0; w < mask_set_words(n); w++)
        set[w] &= want > UINT16_MAX ? 0 : at_least(sums + w * 64, (uint16_t)want);
}

void mask_set_keep_counts(uint64_t *set, uint32_t n, const uint16_t *counts, uint64_t want)
{
    uint16_t sums[MASK_SET_WORDS * 64];

    if (want == 0)
        return;
    if (n < LOW)
        memset(sums, 0, 64 * sizeof(*sums));
    sum_counts(sums, n, counts);
    keep_at_least(set, n, sums, want);
}

/* The masks from `sums` on, up to 64, that have at least `want`. */
static uint64_t bytes_at_least(const uint64_t *sums, uint32_t masks, uint64_t want)
{
    uint64_t word = 0;

    for (uint32_t i = 0; i < masks; i++)
        word |= (uint64_t)(sums[i] >= want) << i;
    return word;
}

#ifdef __SSE2__
/* The same for 64 masks whose sums, like `want`, are below 2^63: the sign of the difference. */
static uint64_t bytes_at_least_64(const uint64_t *sums, uint64_t want)
{
    const __m128i limit = _mm_set1_epi64x((long long)want);
    uint64_t less = 0;

    for (uint32_t i = 0; i < 64; i += 4) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(sums + i));
        const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(sums + i + 2));
        const int low = _mm_movemask_pd(_mm_castsi128_pd(_mm_sub_epi64(a, limit)));
        const int high = _mm_movemask_pd(_mm_castsi128_pd(_mm_sub_epi64(b, limit)));

        less |= (uint64_t)(unsigned)(low | high << 2) << i;
    }
    return ~less;
}
#endif

static void sum_bytes(uint64_t *sums, uint32_t n, const uint64_t *by_zone, uint32_t stride)
{
    sums[0] = 0;
    for (uint32_t z = 0; z < n; z++) {
        const uint64_t here = by_zone[(uint64_t)z * stride];
        const uint32_t half = 1u << z;
        uint32_t i = 0;

#ifdef __SSE2__
        const __m128i add = _mm_set1_epi64x((long long)here);
        for (; i + 2 <= half; i += 2) {
            const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(sums + i));
            _mm_storeu_si128((__m128i *)(void *)(sums + half + i), _mm_add_epi64(low, add));
        }
#endif
        for (; i < half; i++)
            sums[half + i] = sums[i] + here;
    }
}

void mask_set_keep_bytes(uint64_t *set, uint32_t n, const uint64_t *by_zone, uint32_t stride,
                         uint64_t want, uint64_t *sums)
{
    uint64_t largest = want;

    for (uint32_t z = 0; z < n; z++)
        largest |= by_zone[(uint64_t)z * stride];
    sum_bytes(sums, n, by_zone, stride);
    /* Amounts that wrapped lie near 2^64, and their sums anywhere: those are compared plainly. */
    const bool plain = n < LOW || largest >> (63 - MASK_SET_ZONES) != 0;
    for (uint32_t w = 0; w < mask_set_words(n); w++) {
#ifdef __SSE2__
        if (!plain) {
            set[w] &= bytes_at_least_64(sums + w * 64, want);
            continue;
        }
#endif
        set[w] &= bytes_at_least(sums + w * 64, n < LOW ? 1u << n : 64, want);
    }
    (void)plain;
}

void mask_set_keep_touched(uint64_t *set, uint32_t n, uint16_t *inside, uint64_t want)
{
    uint16_t touching[MASK_SET_WORDS * 64] = {0};
    const uint32_t masks = 1u << n;

    if (want == 0)
        return;
    /* inside[m] becomes the number of things that lie within m. */
    for (uint32_t bit = 1; bit < masks; bit <<= 1) {
        for (uint32_t m = 0; m < masks; m++)
            inside[m] = m & bit ? plus(inside[m], inside[m ^ bit]) : inside[m];
    }
    for (uint32_t m = 0; m < masks; m++)
        touching[m] = (uint16_t)(inside[masks - 1] - inside[masks - 1 - m]);
    keep_at_least(set, n, touching, want);
}

/* --- AND of two sets --- */

#ifdef __SSE2__
/*
 * For up to 8 zones a count is at most 256 * 255 and fits into 16 bits: eight masks at a time. The
 * three lowest zones are bits inside a vector, the others distances between vectors.
 */
enum { SMALL = 8, SMALL_VECTORS = (1 << SMALL) / 8 };

/* Add (or take off) in each vector what lies 1, 2 and 4 masks further, where the zone is absent. */
static inline __attribute__((always_inline)) __m128i fold_up(__m128i v,
                                                             __m128i (*op)(__m128i, __m128i))
{
    v = op(v, _mm_srli_epi32(v, 16));
    v = op(v, _mm_srli_epi64(v, 32));
    return op(v, _mm_srli_si128(v, 8));
}

static inline __m128i add16(__m128i a, __m128i b)
{
    return _mm_add_epi16(a, b);
}

static inline __m128i sub16(__m128i a, __m128i b)
{
    return _mm_sub_epi16(a, b);
}

static inline __attribute__((always_inline)) void fold_all(__m128i *v, uint32_t vectors,
                                                           __m128i (*op)(__m128i, __m128i))
{
    for (uint32_t i = 0; i < vectors; i++)
        v[i] = fold_up(v[i], op);
    for (uint32_t half = 1; half < vectors; half <<= 1) {
        for (uint32_t m = 0; m < vectors; m += 2 * half) {
            for (uint32_t i = m; i < m + half; i++)
                v[i] = op(v[i], v[i + half]);
        }
    }
}

/* Bits to counts of supersets. */
static void small_supersets(__m128i *v, const uint64_t *set, uint32_t vectors)
{
    const __m128i bit = _mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128), one = _mm_set1_epi16(1);

    for (uint32_t i = 0; i < vectors; i++) {
        const __m128i byte = _mm_set1_epi16((short)(set[i / 8] >> (i % 8 * 8) & 0xff));

        v[i] = _mm_and_si128(_mm_cmpeq_epi16(_mm_and_si128(byte, bit), bit), one);
    }
    fold_all(v, vectors, add16);
}

static void small_and_all(uint64_t *into, const uint64_t *other, uint32_t n)
{
    const uint32_t vectors = n <= 3 ? 1 : 1u << (n - 3);
    __m128i counts[SMALL_VECTORS], more[SMALL_VECTORS];
    const __m128i zero = _mm_setzero_si128();

    small_supersets(counts, into, vectors);
    small_supersets(more, other, vectors);
    for (uint32_t i = 0; i < vectors; i++)
        counts[i] = _mm_mullo_epi16(counts[i], more[i]);
    fold_all(counts, vectors, sub16);
    memset(into, 0, mask_set_words(n) * sizeof(*into));
    for (uint32_t i = 0; i < vectors; i++) {
        const __m128i none = _mm_packs_epi16(_mm_cmpeq_epi16(counts[i], zero), zero);
        const uint64_t some = ~(uint64_t)(uint32_t)_mm_movemask_epi8(none) & 0xff;

        into[i / 8] |= some << (i % 8 * 8);
    }
}
#endif

static void count_supersets(uint32_t *counts, const uint64_t *set, uint32_t masks)
{
    for (uint32_t m = 0; m < masks; m++)
        counts[m] = (uint32_t)(set[m / 64] >> (m % 64) & 1);
    for (uint32_t half = 1; half < masks; half <<= 1) {
        for (uint32_t m = 0; m < masks; m += 2 * half) {
            for (uint32_t i = m; i < m + half; i++)
                counts[i] += counts[i + half];
        }
    }
}

/*
 * Counting supersets turns the pairwise AND into a product (the zeta transform over supersets),
 * taken back by inclusion and exclusion: n * 2^n steps instead of 4^n. Products stay below 2^24,
 * and the differences are exact in unsigned arithmetic.
 */
static void large_and_all(uint64_t *into, const uint64_t *other, uint32_t n, uint32_t *counts)
{
    const uint32_t masks = 1u << n;
    uint32_t *const more = counts + masks;

    count_supersets(counts, into, masks);
    count_supersets(more, other, masks);
    for (uint32_t m = 0; m < masks; m++)
        counts[m] *= more[m];
    for (uint32_t half = 1; half < masks; half <<= 1) {
        for (uint32_t m = 0; m < masks; m += 2 * half) {
            for (uint32_t i = m; i < m + half; i++)
                counts[i] -= counts[i + half];
        }
    }
    memset(into, 0, mask_set_words(n) * sizeof(*into));
    for (uint32_t m = 0; m < masks; m++)
        into[m / 64] |= (uint64_t)(counts[m] != 0) << (m % 64);
}

void mask_set_and_all(uint64_t *into, const uint64_t *other, uint32_t n, uint32_t *counts)
{
#ifdef __SSE2__
    if (n <= SMALL) {
        small_and_all(into, other, n);
        return;
    }
#endif
    large_and_all(into, other, n, counts);
}
