/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/roster.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

static uint64_t load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Names are short: two loads that may overlap are quicker than a call of memcmp. */
static bool same_bytes(const char *a, const char *b, size_t n)
{
    if (n < 8)
        return memcmp(a, b, n) == 0;
    for (size_t i = 0; i + 8 < n; i += 8) {
        if (load8(a + i) != load8(b + i))
            return false;
    }
    return load8(a + n - 8) == load8(b + n - 8);
}

/* Is it the one at this position (below n)? Reads no byte outside of either. */
static bool is_at(const struct roster *r, uint32_t position, struct str name)
{
    const uint32_t at = r->at[position];

    return r->at[position + 1] - at == name.n && same_bytes(r->names + at, name.p, name.n);
}

struct str roster_name(const struct roster *r, uint32_t position)
{
    const uint32_t at = r->at[position];

    return (struct str){r->names + at, r->at[position + 1] - at};
}

uint64_t roster_hash(const uint64_t key[2], struct str name)
{
    return siphash13(key, name);
}

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t x, uint64_t y)
{
    const wide product = (wide)x * y;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Every byte counts, for the names of a cluster often differ in the middle alone. */
static inline uint64_t quick_hash(struct str name)
{
    static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = name.n ^ UINT64_C(0xe7037ed1a0b428db), word = 0;

    if (name.n < 8) {
        memcpy(&word, name.p, name.n);
        return fold(word ^ odd, h);
    }
    for (size_t i = 0; i + 16 < name.n; i += 16)
        h = fold(load8(name.p + i) ^ odd, load8(name.p + i + 8) ^ h);
    word = load8(name.n <= 16 ? name.p : name.p + name.n - 16);
    return fold(word ^ odd, load8(name.p + name.n - 8) ^ h);
}

/* A guess is a position + 1 below bits of the hash that did not choose its place; 0 = none. */
enum { GUESS_BITS = 20, GUESS_MAX = (1 << GUESS_BITS) - 1 };

/* The four guesses among which the name may be, side by side. */
static uint32_t *guesses_for(const struct roster *r, uint64_t hash)
{
    return &r->guesses[(uint32_t)hash & r->mask & ~UINT32_C(3)];
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) & ~(uint32_t)GUESS_MAX;
}

/* Of five names that want one place four have it; the fifth is left to the key. */
static void add_guess(struct roster *r, struct str name, uint32_t position)
{
    const uint64_t hash = quick_hash(name);
    uint32_t *const four = guesses_for(r, hash);
    uint32_t k = 0;

    while (k < 3 && four[k])
        k++;
    if (position < GUESS_MAX)
        four[k] = tag_of(hash) | (position + 1);
}

/* A position that the name of this quick hash may be at, n when there is none. */
static inline uint32_t guess(const struct roster *r, uint64_t hash)
{
    const uint32_t *const four = guesses_for(r, hash), tag = tag_of(hash);
    uint32_t one = four[0];

    for (uint32_t k = 1; k < 4; k++)
        one = ((four[k] ^ tag) & ~(uint32_t)GUESS_MAX) == 0 ? four[k] : one;
    return one & GUESS_MAX ? (one & GUESS_MAX) - 1 : r->n;
}

static uint32_t find_by_key(const struct roster *r, struct str name)
{
    const uint64_t hash = roster_hash(r->key, name);

    for (uint32_t at = (uint32_t)hash & r->mask; r->slots[at].position; at = (at + 1) & r->mask) {
        const uint32_t i = r->slots[at].position - 1;

        if (r->slots[at].tag == (uint32_t)(hash >> 32) && is_at(r, i, name))
            return i;
    }
    return r->n;
}

static uint32_t find_guessed(const struct roster *r, struct str name, uint32_t i)
{
    return i < r->n && is_at(r, i, name) ? i : find_by_key(r, name);
}

uint32_t roster_find(const struct roster *r, struct str name)
{
    return find_guessed(r, name, guess(r, quick_hash(name)));
}

enum { BATCH = 32 };

/* Each step for all names before the next one: what it reads is on its way since the last. */
static void find_batch(uint32_t *out, const struct roster *r, const struct str *names, uint32_t n)
{
    uint64_t hashes[BATCH];

    for (uint32_t k = 0; k < n; k++) {
        hashes[k] = quick_hash(names[k]);
        __builtin_prefetch(guesses_for(r, hashes[k]));
    }
    for (uint32_t k = 0; k < n; k++) {
        out[k] = guess(r, hashes[k]);
        __builtin_prefetch(&r->at[out[k]]);
    }
    for (uint32_t k = 0; k < n; k++)
        __builtin_prefetch(r->names + r->at[out[k]]);
    for (uint32_t k = 0; k < n; k++)
        out[k] = find_guessed(r, names[k], out[k]);
}

void roster_find_all(uint32_t *out, const struct roster *r, const struct str *names, uint32_t n)
{
    for (uint32_t k = 0; k < n; k += BATCH)
        find_batch(out + k, r, names + k, n - k < BATCH ? n - k : BATCH);
}

static void fill(struct roster *r, const struct str *names, uint32_t *at, char *text)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < r->n; i++) {
        const uint64_t hash = roster_hash(r->key, names[i]);
        uint32_t slot = (uint32_t)hash & r->mask;

        while (r->slots[slot].position)
            slot = (slot + 1) & r->mask;
        r->slots[slot] = (struct roster_slot){(uint32_t)(hash >> 32), i + 1};
        add_guess(r, names[i], i);
        at[i] = used;
        if (names[i].n)
            memcpy(text + used, names[i].p, names[i].n);
        used += (uint32_t)names[i].n;
    }
    at[r->n] = used;
}

/* So that four guesses, 16 bytes, lie in one line of the cache. */
enum { HEAD = (sizeof(struct roster) + 15) / 16 * 16 };

struct roster *roster_new(const uint64_t key[2], const struct str *names, uint32_t n)
{
    static _Atomic uint64_t serials;
    uint64_t slots = 8, text = 1;

    while (slots / 2 < n)
        slots *= 2;
    for (uint32_t i = 0; i < n; i++)
        text += names[i].n;
    const size_t before_guesses = HEAD + slots * sizeof(struct roster_slot);
    const size_t before_at = before_guesses + slots * sizeof(uint32_t);
    const size_t before_text = before_at + ((size_t)n + 1) * sizeof(uint32_t);
    struct roster *const r =
        slots <= UINT32_MAX && text < UINT32_MAX ? calloc(1, before_text + text) : NULL;
    if (!r)
        return NULL;
    uint32_t *const at = (uint32_t *)(void *)((char *)r + before_at);
    atomic_init(&r->refs, 1);
    r->n = n;
    r->mask = (uint32_t)slots - 1;
    r->bytes = before_text + text;
    r->serial = atomic_fetch_add(&serials, 1) + 1;
    r->key[0] = key[0];
    r->key[1] = key[1];
    r->slots = (struct roster_slot *)(void *)((char *)r + HEAD);
    r->guesses = (uint32_t *)(void *)((char *)r + before_guesses);
    r->at = at;
    r->names = (const char *)r + before_text;
    fill(r, names, at, (char *)r + before_text);
    return r;
}

struct roster *roster_ref(struct roster *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void roster_unref(struct roster *r)
{
    if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        free(r);
}
