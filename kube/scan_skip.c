/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "kube/scan_bytes.h"
#include "kube/scan_internal.h"

#if defined(__SSE2__) && !defined(KUBE_SCAN_SCALAR)
#include <emmintrin.h>
#define WIDE_SSE2 1
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(KUBE_SCAN_SCALAR)
#include <arm_neon.h>
#define WIDE_NEON 1
#endif

/* --- bytes ------------------------------------------------------------------------------- */

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

const char *scan_plain_scalar(const char *p, const char *end)
{
    while (p < end && is_plain((unsigned char)*p))
        p++;
    return p;
}

const char *scan_blank_scalar(const char *p, const char *end)
{
    while (p < end && is_blank((unsigned char)*p))
        p++;
    return p;
}

struct scan_marks scan_marks_scalar(const char *p)
{
    struct scan_marks m = {0};

    for (unsigned i = 0; i < SCAN_BLOCK_BYTES; i++) {
        const unsigned char c = (unsigned char)p[i];

        m.quotes |= (uint64_t)(c == '"') << i;
        m.odd |= (uint64_t)(c != '"' && !is_plain(c)) << i;
    }
    return m;
}

#if defined(WIDE_SSE2)

static inline struct scan_marks marks(const char *p)
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

static inline const char *plain(const char *p, const char *end)
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

static inline const char *blanks(const char *p, const char *end)
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

#elif defined(WIDE_NEON)

/* Four bits a byte: the narrowing shift is NEON's movemask. */
static inline uint64_t nibbles(uint8x16_t hit)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
}

/* A bit a byte: each byte keeps its own bit of eight, and neighbours are added up. */
static inline uint64_t bits(const uint8x16_t hit[4])
{
    static const uint8_t own[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(own);
    const uint8x16_t low = vpaddq_u8(vandq_u8(hit[0], bit), vandq_u8(hit[1], bit));
    const uint8x16_t high = vpaddq_u8(vandq_u8(hit[2], bit), vandq_u8(hit[3], bit));
    const uint8x16_t all = vpaddq_u8(low, high);

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

static inline struct scan_marks marks(const char *p)
{
    uint8x16_t quote[4], odd[4];

    for (unsigned i = 0; i < 4; i++) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)(p + 16 * i));

        quote[i] = vceqq_u8(x, vdupq_n_u8('"'));
        odd[i] = vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20)),
                          vceqq_u8(x, vdupq_n_u8('\\')));
    }
    return (struct scan_marks){bits(quote), bits(odd)};
}

static inline const char *plain(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t odd =
            vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20)),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8('"')), vceqq_u8(x, vdupq_n_u8('\\'))));
        const uint64_t mask = nibbles(odd);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

static inline const char *blanks(const char *p, const char *end)
{
    for (; p < end; p += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)(const void *)p);
        const uint8x16_t blank =
            vorrq_u8(vorrq_u8(vceqq_u8(x, vdupq_n_u8('\n')), vceqq_u8(x, vdupq_n_u8('\r'))),
                     vorrq_u8(vceqq_u8(x, vdupq_n_u8(' ')), vceqq_u8(x, vdupq_n_u8('\t'))));
        const uint64_t mask = ~nibbles(blank);

        if (mask) {
            p += __builtin_ctzll(mask) / 4;
            return p < end ? p : end;
        }
    }
    return end;
}

#else

static inline struct scan_marks marks(const char *p)
{
    return scan_marks_scalar(p);
}

static inline const char *plain(const char *p, const char *end)
{
    return scan_plain_scalar(p, end);
}

static inline const char *blanks(const char *p, const char *end)
{
    return scan_blank_scalar(p, end);
}

#endif

const char *scan_plain_wide(const char *p, const char *end)
{
    return plain(p, end);
}

const char *scan_blank_wide(const char *p, const char *end)
{
    return blanks(p, end);
}

struct scan_marks scan_marks_wide(const char *p)
{
    return marks(p);
}

/* Compact text has no blanks: look at one byte first. */
static inline const char *blank(const char *p, const char *end)
{
    return LIKELY(at(p, end) > ' ') ? p : blanks(p, end);
}

/* --- tokens: each takes the place of the token and returns the place behind it, or NULL ------ */

/* An escape sequence, `p` at the backslash; 0 when it is malformed. */
static size_t escape_bytes(const char *p, const char *end)
{
    switch (at(p + 1, end)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        for (int i = 2; i < 6; i++) {
            if (scan_hex_digit(at(p + i, end)) < 0)
                return 0;
        }
        return 6;
    default:
        return 0;
    }
}

/* What stopped a run of plain bytes, other than the closing quote. */
static const char *odd_byte(struct scan *s, const char *p)
{
    const unsigned char c = at(p, s->stop);
    size_t n;

    if (p >= s->stop)
        return scan_bad(s, p, "expected the end of the string");
    if (c == '\\') {
        n = escape_bytes(p, s->stop);
        return n ? p + n : scan_bad(s, p, "not an escape sequence");
    }
    if (c < 0x20)
        return scan_bad(s, p, "control character in a string");
    while (p < s->stop && (*p & 0x80)) {
        n = scan_utf8_bytes(p, s->stop);
        if (n == 0)
            return scan_bad(s, p, "invalid UTF-8");
        p += n;
    }
    return p;
}

/* A string, `p` behind its opening quote. */
static inline const char *string(struct scan *s, const char *p)
{
    for (;;) {
        p = plain(p, s->stop);
        if (LIKELY(at(p, s->stop) == '"'))
            return p + 1;
        p = odd_byte(s, p);
        if (UNLIKELY(!p))
            return NULL;
    }
}

static const char *digits(struct scan *s, const char *p)
{
    if (!is_digit(at(p, s->stop)))
        return scan_bad(s, p, "expected a digit");
    while (is_digit(at(p, s->stop)))
        p++;
    return p;
}

const char *scan_token_number(struct scan *s, const char *p)
{
    if (*p == '-')
        p++;
    if (at(p, s->stop) == '0')
        p++;
    else
        p = digits(s, p);
    if (p && at(p, s->stop) == '.')
        p = digits(s, p + 1);
    if (p && (at(p, s->stop) | 0x20) == 'e') {
        p++;
        if (at(p, s->stop) == '+' || at(p, s->stop) == '-')
            p++;
        p = digits(s, p);
    }
    return p;
}

static const char *word(struct scan *s, const char *p, const char *text, size_t n)
{
    if ((size_t)(s->stop - p) >= n && memcmp(p, text, n) == 0)
        return p + n;
    return scan_bad(s, p, "expected a value");
}

/* A value that is neither object nor array. */
static inline const char *scalar(struct scan *s, const char *p)
{
    switch (at(p, s->stop)) {
    case '"':
        return string(s, p + 1);
    case 't':
        return word(s, p, "true", 4);
    case 'f':
        return word(s, p, "false", 5);
    case 'n':
        return word(s, p, "null", 4);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_token_number(s, p);
    default:
        return scan_bad(s, p, "expected a value");
    }
}

/* Behind the closing quote of a key: the colon, and blanks on both sides. */
static inline const char *colon(struct scan *s, const char *p)
{
    p = blank(p, s->stop);
    if (UNLIKELY(at(p, s->stop) != ':'))
        return scan_bad(s, p, "expected ':' after the key");
    return blank(p + 1, s->stop);
}

static inline const char *key_and_colon(struct scan *s, const char *p)
{
    if (UNLIKELY(at(p, s->stop) != '"'))
        return scan_bad(s, p, "expected a key");
    p = string(s, p + 1);
    return LIKELY(p != NULL) ? colon(s, p) : NULL;
}

/* The containers that a skip has opened: a bit each, 1 = object, the innermost lowest. */
struct nest {
    uint64_t objects;
    uint32_t depth, room;
};

_Static_assert(LIMIT_JSON_DEPTH <= 64, "struct nest has 64 bits");

/*
 * Behind a value: close what closes, up to the next value. `*out_done` when the outermost one has
 * ended.
 */
static inline const char *close_up(struct scan *s, const char *p, struct nest *nest, bool *out_done)
{
    while (nest->depth > 0) {
        p = blank(p, s->stop);
        const bool object = nest->objects & 1;
        const unsigned char c = at(p, s->stop);

        if (LIKELY(c == ',')) {
            p = blank(p + 1, s->stop);
            return object ? key_and_colon(s, p) : p;
        }
        if (UNLIKELY(c != (object ? '}' : ']')))
            return scan_bad(s, p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        nest->objects >>= 1;
        nest->depth--;
        p++;
    }
    *out_done = true;
    return p;
}

/* Open the container at `p`; where it is empty, `*out_empty` and the place behind it. */
static inline const char *open_up(struct scan *s, const char *p, struct nest *nest, bool *out_empty)
{
    const bool object = *p == '{';

    if (UNLIKELY(nest->depth == nest->room))
        return scan_too_deep(s, p);
    p = blank(p + 1, s->stop);
    *out_empty = at(p, s->stop) == (object ? '}' : ']');
    if (*out_empty)
        return p + 1;
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    return object ? key_and_colon(s, p) : p;
}

/* Any value, `p` at its first byte. */
const char *scan_token_value(struct scan *s, const char *p)
{
    struct nest nest = {.room = LIMIT_JSON_DEPTH - s->depth};
    bool done = false;

    while (p) {
        const unsigned char c = at(p, s->stop);
        bool ended = true;

        p = c == '{' || c == '[' ? open_up(s, p, &nest, &ended) : scalar(s, p);
        if (UNLIKELY(!p))
            break;
        if (ended)
            p = close_up(s, p, &nest, &done);
        if (done)
            break;
    }
    return p;
}

const char *scan_token_string(struct scan *s, const char *p)
{
    return string(s, p);
}

const char *scan_token_colon(struct scan *s, const char *p)
{
    return colon(s, p);
}

/*
 * Plain strings side by side, `,"a","b"`, from `*p` on, which stands behind the closing quote of
 * another: a block at a time, so that where one ends does not wait for where the last one did.
 * Anything else, blanks too, ends them; `*p` is then behind the last one's closing quote.
 */
static uint32_t close_strings(const char **p, const char *end, struct str *out, uint32_t max)
{
    const char *behind = *p, *from = NULL; /* from: where the string begins that is open */
    uint32_t n = 0;

    for (const char *block = *p; block < end; block += SCAN_BLOCK_BYTES) {
        const struct scan_marks m = marks(block);

        for (uint64_t quotes = m.odd ? 0 : m.quotes; quotes; quotes &= quotes - 1) {
            const char *const quote = block + __builtin_ctzll(quotes);

            if (from) {
                if (quote >= end)
                    return n;
                out[n++] = (struct str){from, (size_t)(quote - from)};
                *p = behind = quote + 1;
                from = NULL;
            } else {
                if (n == max || quote != behind + 1 || *behind != ',')
                    return n;
                from = quote + 1;
            }
        }
        if (m.odd)
            break;
    }
    return n;
}

uint32_t scan_strings(struct scan *s, struct str *out, uint32_t max, bool *odd)
{
    struct scan_step *const step = &s->steps[s->depth - 1];
    const uint32_t before = step->count;
    uint32_t n = 0;

    assert(s->depth > 0 && !step->is_object && !s->pending);
    max = max < UINT32_MAX - before ? max : UINT32_MAX - before;
    while (n < max && s->err.code == 0) {
        const char *p = blank(s->p, s->stop);

        if (before + n > 0 && at(p, s->stop) != ',')
            break;
        if (before + n > 0)
            p = blank(p + 1, s->stop);
        if (at(p, s->stop) != '"')
            break;
        const char *const from = p + 1;
        p = plain(from, s->stop);
        if (UNLIKELY(at(p, s->stop) != '"')) {
            *odd = true;
            p = string(s, p);
            if (!p)
                break;
            p--;
        }
        out[n++] = (struct str){from, (size_t)(p - from)};
        s->p = p + 1;
        n += close_strings(&s->p, s->stop, out + n, max - n);
    }
    step->count = before + n;
    return n;
}
