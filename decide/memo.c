/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/memo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct entry {
    struct memo_shape shape;
    struct entry *newer, *older; /* by use */
    struct entry *next;          /* of the bucket */
    size_t bytes;
    struct str key; /* behind the answers */
    uint64_t hash;
    struct memo_answer answers[];
};

enum { BUCKETS = 1024 };

struct memo {
    size_t max_bytes, bytes;
    uint32_t least_shapes;
    struct entry *newest, *oldest;
    uint64_t shapes, evicted;
    struct entry *buckets[BUCKETS];
};

int memo_new(struct memo **out, size_t max_bytes, uint32_t least_shapes, struct err *err)
{
    struct memo *const m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, -ENOMEM, "no memory for the memory of answers");
    m->max_bytes = max_bytes;
    m->least_shapes = least_shapes;
    *out = m;
    return 0;
}

static void unlink_use(struct memo *m, struct entry *s)
{
    *(s->newer ? &s->newer->older : &m->newest) = s->older;
    *(s->older ? &s->older->newer : &m->oldest) = s->newer;
}

static void link_use(struct memo *m, struct entry *s)
{
    s->newer = NULL;
    s->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = s;
    m->newest = s;
}

static struct entry **bucket_of(struct memo *m, uint64_t hash)
{
    return &m->buckets[hash % BUCKETS];
}

/* The one place where shapes leave; `add` is the one where they come. */
static void take_out(struct memo *m, struct entry *s)
{
    struct entry **link = bucket_of(m, s->hash);

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    unlink_use(m, s);
    m->bytes -= s->bytes;
    m->shapes--;
}

static void drop(struct memo *m, struct entry *s)
{
    take_out(m, s);
    free(s);
}

static void add(struct memo *m, struct entry *s)
{
    struct entry **const bucket = bucket_of(m, s->hash);

    s->next = *bucket;
    *bucket = s;
    link_use(m, s);
    m->bytes += s->bytes;
    m->shapes++;
}

void memo_free(struct memo *m)
{
    while (m && m->oldest)
        drop(m, m->oldest);
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

/* May a shape of so many bytes be there? Then older ones have made room for it. */
static bool make_room(struct memo *m, size_t bytes)
{
    const size_t needed = m->least_shapes * bytes;
    const size_t most = needed > m->max_bytes ? needed : m->max_bytes;

    if (bytes > most)
        return false;
    while (m->bytes + bytes > most) {
        drop(m, m->oldest);
        m->evicted++;
    }
    return true;
}

static struct entry *make(struct memo *m, struct str key, uint64_t hash, uint32_t places)
{
    const size_t bytes = sizeof(struct entry) + places * sizeof(struct memo_answer) + key.n;
    struct entry *const s = make_room(m, bytes) ? calloc(1, bytes) : NULL;

    if (!s)
        return NULL;
    char *const text = (char *)(s->answers + places);
    memcpy(text, key.p, key.n);
    s->bytes = bytes;
    s->shape = (struct memo_shape){.n = places, .answers = s->answers};
    s->key = (struct str){text, key.n};
    s->hash = hash;
    add(m, s);
    return s;
}

/*
 * The same shape with more places, a quarter more at the least: likenesses come one by one. Where
 * there is no room for it what was known is forgotten.
 */
static struct entry *grow(struct memo *m, struct entry *before, struct str key, uint32_t places)
{
    const uint32_t ahead = before->shape.n + before->shape.n / 4;

    take_out(m, before);
    struct entry *const made = make(m, key, before->hash, places > ahead ? places : ahead);
    if (made) {
        made->shape.base = before->shape.base;
        memcpy(made->answers, before->answers, before->shape.n * sizeof(before->answers[0]));
    }
    free(before);
    return made;
}

struct memo_shape *memo_find(struct memo *m, struct str shape, uint32_t places)
{
    const uint64_t hash = hash_of(shape);
    struct entry *s = *bucket_of(m, hash);

    while (s && (s->hash != hash || !str_eq(s->key, shape)))
        s = s->next;
    if (!s) {
        s = make(m, shape, hash, places);
    } else if (s->shape.n < places) {
        s = grow(m, s, shape, places);
    } else {
        unlink_use(m, s);
        link_use(m, s);
    }
    return s ? &s->shape : NULL;
}

/* Make room for stamps around `serial`; what was remembered by other ones is forgotten. */
static void rebase(struct memo_shape *s, uint64_t serial)
{
    const uint64_t half = UINT64_C(1) << 31;

    memset(s->answers, 0, s->n * sizeof(s->answers[0]));
    s->base = serial > half ? serial - half : 0;
}

void memo_put(struct memo_shape *s, uint32_t place, uint64_t serial,
              const struct memo_answer *answer)
{
    assert(place < s->n && serial != 0);
    if (serial > s->base && !memo_stamp(s, serial))
        rebase(s, serial);
    s->answers[place] = *answer;
    s->answers[place].stamp = memo_stamp(s, serial); /* 0: too old, it stays unknown */
}

void memo_stats(const struct memo *m, struct memo_stats *out)
{
    *out = (struct memo_stats){m->shapes, m->bytes, m->evicted};
}
