/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/names.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"

struct names_entry {
    char *text; /* NULL: the id is free */
    uint32_t n;
    uint32_t uses;
    uint32_t hash;
    uint32_t next; /* in the bucket or the list of free ids, id + 1 */
};

enum { FIRST_ROOM = 256, HEAP_OVERHEAD = 16 };

static uint32_t hash_of(const struct names *t, struct str s)
{
    return (uint32_t)siphash13(t->key, s);
}

static uint32_t *bucket_of(const struct names *t, uint32_t hash)
{
    return &t->buckets[hash & (t->n_buckets - 1)];
}

static void link_all(struct names *t)
{
    memset(t->buckets, 0, t->n_buckets * sizeof(*t->buckets));
    for (uint32_t id = 0; id < t->n_entries; id++) {
        if (!t->entries[id].text)
            continue;
        uint32_t *const bucket = bucket_of(t, t->entries[id].hash);
        t->entries[id].next = *bucket;
        *bucket = id + 1;
    }
}

/* Twice the room, as many buckets as entries. False when out of memory or ids. */
static bool grow(struct names *t)
{
    const uint32_t room = t->room ? t->room * 2 : FIRST_ROOM;
    struct names_entry *entries;
    uint32_t *buckets;

    if (room > NAMES_MAX)
        return false;
    /* Without randomness a zero key: then only who knows it can make names collide. */
    if (t->room == 0 && getrandom(t->key, sizeof(t->key), GRND_NONBLOCK) < 0)
        memset(t->key, 0, sizeof(t->key));
    entries = realloc(t->entries, room * sizeof(*entries));
    if (!entries)
        return false;
    t->entries = entries;
    buckets = realloc(t->buckets, room * sizeof(*buckets));
    if (!buckets)
        return false;
    t->bytes += (room - t->room) * (sizeof(*entries) + sizeof(*buckets));
    t->buckets = buckets;
    t->n_buckets = room;
    t->room = room;
    link_all(t);
    return true;
}

static uint32_t find(const struct names *t, struct str name, uint32_t hash)
{
    for (uint32_t at = *bucket_of(t, hash); at; at = t->entries[at - 1].next) {
        const struct names_entry *const e = &t->entries[at - 1];
        if (e->hash == hash && e->n == name.n && memcmp(e->text, name.p, name.n) == 0)
            return at - 1;
    }
    return NAMES_NONE;
}

/* An id that nobody uses. NAMES_NONE stays out of reach: ids end below it. */
static uint32_t new_id(struct names *t)
{
    if (t->free) {
        const uint32_t id = t->free - 1;
        t->free = t->entries[id].next;
        return id;
    }
    if (t->n_entries == t->room && !grow(t))
        return NAMES_NONE;
    if (t->n_entries == NAMES_NONE)
        return NAMES_NONE;
    t->entries[t->n_entries].text = NULL;
    return t->n_entries++;
}

static void free_id(struct names *t, uint32_t id)
{
    t->entries[id].text = NULL;
    t->entries[id].next = t->free;
    t->free = id + 1;
}

static uint32_t add(struct names *t, struct str name, uint32_t hash)
{
    const uint32_t id = new_id(t);

    if (id == NAMES_NONE)
        return id;
    char *const text = malloc(name.n + 1);
    if (!text) {
        free_id(t, id);
        return NAMES_NONE;
    }
    if (name.n)
        memcpy(text, name.p, name.n);
    text[name.n] = 0;
    uint32_t *const bucket = bucket_of(t, hash);
    t->entries[id] = (struct names_entry){text, (uint32_t)name.n, 1, hash, *bucket};
    *bucket = id + 1;
    t->bytes += name.n + 1 + HEAP_OVERHEAD;
    return id;
}

uint32_t names_take(struct names *t, struct str name)
{
    if (t->room == 0 && !grow(t)) /* which makes the key */
        return NAMES_NONE;
    const uint32_t hash = hash_of(t, name);
    const uint32_t id = find(t, name, hash);
    if (id == NAMES_NONE)
        return name.n < UINT32_MAX ? add(t, name, hash) : NAMES_NONE;
    t->entries[id].uses++;
    return id;
}

void names_drop(struct names *t, uint32_t id)
{
    if (id == NAMES_NONE)
        return;
    struct names_entry *const e = &t->entries[id];
    assert(e->uses > 0);
    if (--e->uses)
        return;
    uint32_t *link = bucket_of(t, e->hash);
    while (*link != id + 1)
        link = &t->entries[*link - 1].next;
    *link = e->next;
    t->bytes -= e->n + 1 + HEAP_OVERHEAD;
    free(e->text);
    free_id(t, id);
}

void names_forget_places(struct names *t)
{
    for (uint32_t i = 0; i < t->places.n; i++)
        names_drop(t, t->places.ids[i]);
    t->bytes -= t->places.n * sizeof(*t->places.ids);
    free(t->places.ids);
    t->places = (struct names_places){0};
}

bool names_set_places(struct names *t, uint64_t serial, uint32_t n)
{
    if (t->places.serial == serial)
        return true;
    names_forget_places(t);
    uint32_t *const ids = malloc((n + (size_t)1) * sizeof(*ids));
    if (!ids)
        return false;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = NAMES_NONE;
    t->places = (struct names_places){serial, n, ids};
    t->bytes += n * sizeof(*ids);
    return true;
}

uint32_t names_at(const struct names *t, uint32_t place)
{
    return place < t->places.n ? t->places.ids[place] : NAMES_NONE;
}

uint32_t names_take_at(struct names *t, uint32_t place, struct str name)
{
    uint32_t *const id = &t->places.ids[place];

    if (*id == NAMES_NONE)
        *id = names_take(t, name);
    if (*id != NAMES_NONE)
        t->entries[*id].uses++;
    return *id;
}

struct str names_get(const struct names *t, uint32_t id)
{
    if (id == NAMES_NONE)
        return STR("");
    return (struct str){t->entries[id].text, t->entries[id].n};
}

void names_done(struct names *t)
{
    for (uint32_t id = 0; id < t->n_entries; id++)
        free(t->entries[id].text);
    free(t->entries);
    free(t->buckets);
    free(t->places.ids);
    *t = (struct names){0};
}
