/* SPDX-License-Identifier: Apache-2.0 */
#include "net/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/identity.h"

enum {
    MIB = 1024 * 1024,
    SPARES_MAX = 4,
    BODY_ROOM_MIN = 16 * 1024,
    BODY_BYTES_KEPT = 4 * MIB,     /* a spare with more room than this stays only if it is alone */
    ARENA_BYTES_MIN = MIB,         /* 15,000 names with a verdict each fit beside a small body */
    ARENA_BYTES_PER_BODY_BYTE = 2, /* a decoded object is never larger than twice its text */
    ARENA_BYTES_MAX = 257 * MIB,
};

/* Under AddressSanitizer nothing is used again, so that use after the reply is found. */
#if defined(__SANITIZE_ADDRESS__)
#define REUSE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REUSE false
#endif
#endif
#ifndef REUSE
#define REUSE true
#endif

/* Untouched pages of a block cost nothing, so generous is fine. */
static size_t arena_room(const struct exchange_pool *pool, size_t body_bytes)
{
    if (pool->arena_bytes > 0)
        return pool->arena_bytes;
    if (body_bytes > (ARENA_BYTES_MAX - ARENA_BYTES_MIN) / ARENA_BYTES_PER_BODY_BYTE)
        return ARENA_BYTES_MAX;
    return ARENA_BYTES_MIN + body_bytes * ARENA_BYTES_PER_BODY_BYTE;
}

/* At least `n` bytes at *p; what was there is lost. Grows in powers of two while small. */
static bool grow(char **p, size_t *room, size_t n)
{
    size_t wanted = BODY_ROOM_MIN;

    if (*room >= n)
        return true;
    while (REUSE && wanted < n && wanted < BODY_BYTES_KEPT)
        wanted *= 2;
    if (wanted < n || !REUSE)
        wanted = n;
    free(*p);
    *p = malloc(wanted);
    *room = *p ? wanted : 0;
    return *p != NULL;
}

static void destroy(struct exchange *x)
{
    reply_done(&x->reply);
    free(x->block);
    free(x->body);
    free(x);
}

static struct exchange *take(struct exchange_pool *pool)
{
    struct exchange *const x = pool->spare;

    if (!x)
        return calloc(1, sizeof(*x));
    pool->spare = x->next;
    pool->spares--;
    return x;
}

struct exchange *exchange_new(struct exchange_pool *pool, size_t body_bytes)
{
    const size_t arena_bytes = arena_room(pool, body_bytes);
    struct exchange *const x = take(pool);

    if (!x)
        return NULL;
    if (body_bytes > SIZE_MAX - HTTP_BODY_PADDING ||
        !grow(&x->body, &x->body_room, body_bytes + HTTP_BODY_PADDING) ||
        !grow(&x->block, &x->block_room, arena_bytes)) {
        destroy(x);
        return NULL;
    }
    x->next = NULL;
    x->pool = pool;
    x->refs = 1;
    x->guard = NULL;
    x->deadline_ms = 0;
    x->body_bytes = body_bytes;
    memset(x->body + body_bytes, 0, HTTP_BODY_PADDING);
    arena_init(&x->arena, x->block, arena_bytes);
    reply_reset(&x->reply);
    return x;
}

void exchange_ref(struct exchange *x)
{
    x->refs++;
}

void exchange_unref(struct exchange *x)
{
    if (!x)
        return;
    assert(x->refs > 0);
    if (--x->refs > 0)
        return;
    struct exchange_pool *const pool = x->pool;
    free(x->head);
    x->head = NULL;
    identity_unref(x->identity);
    x->identity = NULL;
    arena_rewind(&x->arena, 0);
    if (!REUSE || pool->spares >= SPARES_MAX ||
        (pool->spares > 0 && x->body_room + x->block_room > 4 * BODY_BYTES_KEPT)) {
        destroy(x);
        return;
    }
    reply_reset(&x->reply);
    x->next = pool->spare;
    pool->spare = x;
    pool->spares++;
}

void exchange_pool_done(struct exchange_pool *pool)
{
    while (pool->spare)
        destroy(take(pool));
}
