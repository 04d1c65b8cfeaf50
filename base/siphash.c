/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void round_once(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round_once(v);
    v[0] ^= word;
}

/* Little-endian, whatever the machine; at most 8 bytes. */
static uint64_t load(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return le64toh(word);
}

uint64_t siphash13(const uint64_t key[2], struct str text)
{
    uint64_t v[4] = {
        UINT64_C(0x736f6d6570736575) ^ key[0],
        UINT64_C(0x646f72616e646f6d) ^ key[1],
        UINT64_C(0x6c7967656e657261) ^ key[0],
        UINT64_C(0x7465646279746573) ^ key[1],
    };
    size_t at = 0;

    if (text.n == 0)
        text.p = ""; /* it may be NULL, to which nothing can be added */
    for (; text.n - at >= 8; at += 8)
        absorb(v, load(text.p + at, 8));
    absorb(v, (uint64_t)(text.n & 0xff) << 56 | load(text.p + at, text.n - at));
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        round_once(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
