/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/alike.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_ROOM = 64 };

static uint32_t *bucket_of(struct alike_table *t, const struct likeness *likeness)
{
    return &t->buckets[likeness->h[0] & (t->room - 1)];
}

static void enter(struct alike_table *t, uint32_t slot)
{
    uint32_t *const bucket = bucket_of(t, &t->at[slot].likeness);

    t->at[slot].next = *bucket;
    *bucket = slot + 1;
}

static void leave(struct alike_table *t, uint32_t slot)
{
    uint32_t *link = bucket_of(t, &t->at[slot].likeness);

    while (*link != slot + 1)
        link = &t->at[*link - 1].next;
    *link = t->at[slot].next;
}

/* --- idle ones --- */

static void rest(struct alike_table *t, uint32_t slot)
{
    struct alike_entry *const e = &t->at[slot];

    e->newer = 0;
    e->older = t->newest;
    *(t->newest ? &t->at[t->newest - 1].newer : &t->oldest) = slot + 1;
    t->newest = slot + 1;
}

static void wake(struct alike_table *t, uint32_t slot)
{
    const struct alike_entry *const e = &t->at[slot];

    *(e->newer ? &t->at[e->newer - 1].older : &t->newest) = e->older;
    *(e->older ? &t->at[e->older - 1].newer : &t->oldest) = e->newer;
}

/* --- places --- */

static int grow(struct alike_table *t)
{
    const uint32_t room = t->room ? t->room * 2 : FIRST_ROOM;
    struct alike_entry *const at = room > t->room ? realloc(t->at, room * sizeof(*at)) : NULL;
    uint32_t *const buckets = at ? calloc(room, sizeof(*buckets)) : NULL;

    t->at = at ? at : t->at;
    if (!buckets)
        return -ENOMEM;
    free(t->buckets);
    t->buckets = buckets;
    t->room = room;
    for (uint32_t slot = 0; slot < t->n; slot++)
        enter(t, slot);
    return 0;
}

/* A slot that nobody has, in no bucket and not idle. 0, -ENOMEM. */
static int free_slot(struct alike_table *t, uint32_t *out, uint32_t most)
{
    if (t->n >= most && t->oldest) {
        *out = t->oldest - 1;
        wake(t, *out);
        leave(t, *out);
        return 0;
    }
    if (t->n == t->room && grow(t))
        return -ENOMEM;
    *out = t->n++;
    return 0;
}

static int find(struct alike_table *t, uint32_t *out, const struct likeness *likeness,
                uint32_t most)
{
    for (uint32_t k = t->room ? *bucket_of(t, likeness) : 0; k; k = t->at[k - 1].next) {
        if (!likeness_eq(t->at[k - 1].likeness, *likeness))
            continue;
        *out = k - 1;
        if (t->at[k - 1].nodes == 0)
            wake(t, k - 1);
        return 0;
    }
    const int rc = free_slot(t, out, most);
    if (rc)
        return rc;
    t->at[*out] = (struct alike_entry){.likeness = *likeness, .serial = ++t->serials};
    enter(t, *out);
    return 0;
}

int alike_take(struct alike_table *t, struct alike_place *out, const struct likeness *likeness,
               uint32_t most)
{
    uint32_t slot;
    const int rc = find(t, &slot, likeness, most);

    if (rc)
        return rc;
    t->in_use += t->at[slot].nodes++ == 0;
    *out = (struct alike_place){t->at[slot].serial, slot};
    return 0;
}

void alike_drop(struct alike_table *t, struct alike_place place)
{
    if (!place.serial || --t->at[place.slot].nodes > 0)
        return;
    t->in_use--;
    rest(t, place.slot);
}

void alike_done(struct alike_table *t)
{
    free(t->at);
    free(t->buckets);
    *t = (struct alike_table){0};
}
