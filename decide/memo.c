/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/memo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* A score_result without the clock's part, small: a cluster of nodes should fit into a cache. */
struct cell {
    uint64_t revision; /* 0 = empty: revisions start at 1 */
    uint8_t verdict, reason, known, interval;
    uint16_t locality, fragmentation;
};

/* Terms that are remembered; a test fails when score_node_timeless knows another one. */
static const uint32_t kept_terms = 1u << SCORE_LOCALITY | 1u << SCORE_FRAGMENTATION;

struct memo_shape {
    struct memo_shape *newer, *older; /* by use */
    size_t bytes;
    struct str key; /* behind the cells */
    uint64_t hash;
    uint32_t nodes;
    struct cell cells[];
};

struct memo {
    size_t max_bytes, bytes;
    struct memo_shape *newest, *oldest;
    uint64_t shapes, evicted;
};

int memo_new(struct memo **out, size_t max_bytes, struct err *err)
{
    struct memo *const m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, -ENOMEM, "no memory for the memory of answers");
    m->max_bytes = max_bytes;
    *out = m;
    return 0;
}

/* The one place where shapes leave the list; `add` is the one where they enter. */
static void drop(struct memo *m, struct memo_shape *s)
{
    *(s->newer ? &s->newer->older : &m->newest) = s->older;
    *(s->older ? &s->older->newer : &m->oldest) = s->newer;
    m->bytes -= s->bytes;
    m->shapes--;
}

static void add(struct memo *m, struct memo_shape *s)
{
    s->newer = NULL;
    s->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = s;
    m->newest = s;
    m->bytes += s->bytes;
    m->shapes++;
}

void memo_free(struct memo *m)
{
    while (m && m->oldest) {
        struct memo_shape *const s = m->oldest;

        drop(m, s);
        free(s);
    }
    free(m);
}

/* FNV-1a: shapes are few, are compared whole, and a collision costs a comparison. */
static uint64_t hash_of(struct str key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static struct memo_shape *make(struct memo *m, struct str key, uint64_t hash, uint32_t nodes)
{
    const size_t cells = (size_t)nodes * sizeof(struct cell);
    const size_t bytes = sizeof(struct memo_shape) + cells + key.n;

    if (bytes > m->max_bytes)
        return NULL;
    while (m->bytes + bytes > m->max_bytes) {
        struct memo_shape *const oldest = m->oldest;

        drop(m, oldest);
        free(oldest);
        m->evicted++;
    }
    struct memo_shape *const s = calloc(1, bytes);
    if (!s)
        return NULL;
    char *const text = (char *)s + sizeof(*s) + cells;
    memcpy(text, key.p, key.n);
    s->bytes = bytes;
    s->key = (struct str){text, key.n};
    s->hash = hash;
    s->nodes = nodes;
    add(m, s);
    return s;
}

struct memo_shape *memo_find(struct memo *m, struct str shape, uint32_t nodes)
{
    const uint64_t hash = hash_of(shape);

    for (struct memo_shape *s = m->newest; s; s = s->older) {
        if (s->hash != hash || !str_eq(s->key, shape))
            continue;
        drop(m, s);
        if (s->nodes != nodes) { /* nodes came or went: positions have moved anyway */
            free(s);
            break;
        }
        add(m, s);
        return s;
    }
    return make(m, shape, hash, nodes);
}

bool memo_get(const struct memo_shape *s, uint32_t position, uint64_t revision,
              struct score_result *out)
{
    assert(position < s->nodes);
    const struct cell *const c = &s->cells[position];

    if (c->revision != revision)
        return false;
    *out = (struct score_result){.verdict = (enum score_verdict)c->verdict,
                                 .reason = (enum score_reason)c->reason,
                                 .interval = c->interval,
                                 .known = c->known};
    out->term[SCORE_LOCALITY] = c->locality;
    out->term[SCORE_FRAGMENTATION] = c->fragmentation;
    return true;
}

void memo_put(struct memo_shape *s, uint32_t position, uint64_t revision,
              const struct score_result *result)
{
    assert(position < s->nodes && revision != 0 && (result->known & ~kept_terms) == 0);
    s->cells[position] = (struct cell){.revision = revision,
                                       .verdict = (uint8_t)result->verdict,
                                       .reason = (uint8_t)result->reason,
                                       .known = (uint8_t)result->known,
                                       .interval = result->interval,
                                       .locality = result->term[SCORE_LOCALITY],
                                       .fragmentation = result->term[SCORE_FRAGMENTATION]};
}

void memo_stats(const struct memo *m, struct memo_stats *out)
{
    *out = (struct memo_stats){m->shapes, m->bytes, m->evicted};
}
