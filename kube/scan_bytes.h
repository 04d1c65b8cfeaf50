/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the scanner runs wide (SSE2, NEON) where the machine can, and the scalar twins, which a
 * test compares byte by byte. Inline: tokens are short, and a call costs as much as a key.
 *
 * scan_plain_*: the first byte in p..end that is '"', '\', below 0x20 or above 0x7f; `end` when
 * there is none. scan_blank_*: the first that is not a JSON blank. The wide ones read up to 15
 * bytes behind `end`. scan_marks_*: of a block.
 * scan_copy_*: copies p..end up to the first backslash, how many bytes; the wide one may write what
 * follows, too, no further than it reads.
 */
#ifndef KUBE_SCAN_BYTES_H
#define KUBE_SCAN_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__) && !defined(KUBE_SCAN_SCALAR)
#include <emmintrin.h>
#define WIDE_SSE2 1
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(KUBE_SCAN_SCALAR)
#include <arm_neon.h>
#define WIDE_NEON 1
#endif

/* A bit for each of the SCAN_BLOCK_BYTES bytes from `p` on, the first one lowest. */
enum { SCAN_BLOCK_BYTES = 64 };
struct scan_marks {
    uint64_t quotes; /* '"' */
    uint64_t odd;    /* what else ends a run of plain bytes, as above */
};

/*
 * The length of the UTF-8 sequence of two to four bytes at `p` < `end` (Unicode 15, table 3-7);
 * 0 when it is malformed.
 */
size_t scan_utf8_bytes(const char *p, const char *end);

static inline bool scan_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline bool scan_is_blank(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *scan_plain_scalar(const char *p, const char *end)
{
    while (p < end && scan_is_plain((unsigned char)*p))
        p++;
    return p;
}

static inline const char *scan_blank_scalar(const char *p, const char *end)
{
    while (p < end && scan_is_blank((unsigned char)*p))
        p++;
    return p;
}

static inline size_t scan_copy_scalar(char *out, const char *p, const char *end)
{
    size_t n = 0;

    for (; p + n < end && p[n] != '\\'; n++)
        out[n] = p[n];
    return n;
}

static inline struct scan_marks scan_marks_scalar(const char *p)
{
    struct scan_marks m = {0};

    for (unsigned i = 0; i < SCAN_BLOCK_BYTES; i++) {
        const unsigned char c = (unsigned char)p[i];

        m.quotes |= (uint64_t)(c == '"') << i;
        m.odd |= (uint64_t)(c != '"' && !scan_is_plain(c)) << i;
    }
    return m;
}

#if defined(WIDE_SSE2)

static inline struct scan_marks scan_marks_wide(const char *p)
{
    struct scan_marks m = {0};

    for (unsigned i = 0; i < SCAN_BLOCK_BYTES; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                                         _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        const __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));

        m.quotes |= (uint64_t)(unsigned)_mm_movemask_epi8(quote) << i;
        m.odd |= (uint64_t)(unsigned)_mm_movemask_epi8(odd) << i;
    }
    return m;
}

static inline const char *scan_plain_wide(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* Signed: below 0x20 takes in all bytes above 0x7f. */
        const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                                         _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                                      _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
        const unsigned mask = (unsigned)_mm_movemask_epi8(odd);

        if (mask) {
            p += __builtin_ctz(mask);
            return p < end ? p : end;
        }
    }
    return end;
}

static inline const char *scan_blank_wide(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        const __m128i line = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                          _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        const __m128i space = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')),
                                           _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
        const unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(line, space)) ^ 0xffffU;

        if (mask) {
            p += __builtin_ctz(mask);
            return p < end ? p : end;
        }
    }
    return end;
}

static inline size_t scan_copy_wide(char *out, const char *p, const char *end)
{
    size_t n = 0;

    for (; end - p - (ptrdiff_t)n >= 16; n += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + n));
        const __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
        const unsigned mask = (unsigned)_mm_movemask_epi8(slash);

        _mm_storeu_si128((__m128i *)(void *)(out + n), x);
        if (mask)
            return n + (size_t)__builtin_ctz(mask);
    }
    return n + scan_copy_scalar(out + n, p + n, end);
}

#elif defined(WIDE_NEON)

/* Four bits a byte: the narrowing shift is NEON's movemask. */
static inline uint64_t scan_nibbles(uint8x16_t hit)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
}

/* A bit a byte: each byte keeps its own bit of eight, and neighbours are added up. */
static inline uint64_t scan_bits(const uint8x16_t hit[4])
{
    static const uint8_t own[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(own);
    const uint8x16_t low = vpaddq_u8(vandq_u8(hit[0], bit), vandq_u8(hit[1], bit));
    const uint8x16_t high = vpaddq_u8(vandq_u8(hit[2], bit), vandq_u8(hit[3], bit));
    const uint8x16_t all = vpaddq_u8(low, high);

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

static inline struct scan_marks scan_marks_wide(const char *p)
{
    uint8x16_t quote[4], odd[4];

    for (unsigned i = 0; i < 4; i++) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)(p + 16 * i));

        quote[i] = vceqq_u8(x, vdupq_n_u8('"'));
        odd[i] = vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20)),
                          vceqq_u8(x, vdupq_n_u8('\\')));
    }
    return (struct scan_marks){scan_bits(quote), scan_bits(odd)};
}

static inline const char *scan_plain_wide(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t odd =
            vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20)),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8('"')), vceqq_u8(x, vdupq_n_u8('\\'))));
        const uint64_t mask = scan_nibbles(odd);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

static inline const char *scan_blank_wide(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t blank =
            vorrq_u8(vorrq_u8(vceqq_u8(x, vdupq_n_u8('\n')), vceqq_u8(x, vdupq_n_u8('\r'))),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8(' ')), vceqq_u8(x, vdupq_n_u8('\t'))));
        const uint64_t mask = ~scan_nibbles(blank);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

static inline size_t scan_copy_wide(char *out, const char *p, const char *end)
{
    size_t n = 0;

    for (; end - p - (ptrdiff_t)n >= 16; n += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)(p + n));
        const uint64_t mask = scan_nibbles(vceqq_u8(x, vdupq_n_u8('\\')));

        vst1q_u8((uint8_t *)(void *)(out + n), x);
        if (mask)
            return n + (size_t)__builtin_ctzll(mask) / 4;
    }
    return n + scan_copy_scalar(out + n, p + n, end);
}

#else

static inline struct scan_marks scan_marks_wide(const char *p)
{
    return scan_marks_scalar(p);
}

static inline const char *scan_plain_wide(const char *p, const char *end)
{
    return scan_plain_scalar(p, end);
}

static inline const char *scan_blank_wide(const char *p, const char *end)
{
    return scan_blank_scalar(p, end);
}

static inline size_t scan_copy_wide(char *out, const char *p, const char *end)
{
    return scan_copy_scalar(out, p, end);
}

#endif

#endif
