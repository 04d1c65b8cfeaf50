/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/intern.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/str.h"

enum { FIRST_SLOTS = 64, FIRST_SWEEP = 64 };

/* Where the value is, or the free slot where it may come. */
static uint32_t slot_of(const struct intern *t, const struct intern_key *key)
{
    uint32_t i = (uint32_t)key->hash & t->mask;

    while (t->slots[i].block && (t->slots[i].hash != key->hash || !key->same ||
                                 !key->same(t->slots[i].block->value, key->key)))
        i = (i + 1) & t->mask;
    return i;
}

/* All values that somebody else holds, in `slots` new ones. */
static int index_anew(struct intern *t, uint32_t slots)
{
    const struct intern before = *t;
    struct intern_slot *const fresh = calloc(slots, sizeof(*fresh));

    if (!fresh)
        return -ENOMEM;
    t->slots = fresh;
    t->mask = slots - 1;
    t->n = 0;
    for (uint32_t i = 0; before.slots && i <= before.mask; i++) {
        const struct intern_slot s = before.slots[i];

        if (!s.block)
            continue;
        /* Of one that only the table refers to nobody can take another reference meanwhile. */
        if (block_is_alone(s.block)) {
            block_unref(s.block);
            continue;
        }
        t->slots[slot_of(t, &(struct intern_key){.hash = s.hash})] = s;
        t->n++;
    }
    free(before.slots);
    return 0;
}

/* Half of the slots stay free. */
static int make_room(struct intern *t)
{
    const bool full = !t->slots || (t->n + 1) * 2 > t->mask;

    if (!full && t->n < t->sweep_at)
        return 0;
    const uint32_t slots = !t->slots ? FIRST_SLOTS : full ? (t->mask + 1) * 2 : t->mask + 1;
    const int rc = index_anew(t, slots);
    if (rc == 0)
        t->sweep_at = 2 * t->n + FIRST_SWEEP;
    return rc;
}

int intern_get(struct intern *t, struct block **out, const struct intern_key *key, block_fill fill,
               void *ctx, struct block *shared)
{
    if (make_room(t))
        return -ENOMEM;
    struct intern_slot *const s = &t->slots[slot_of(t, key)];
    if (!s->block) {
        struct block *fresh;
        const int rc = block_new(&fresh, 0, fill, ctx);

        if (rc)
            return rc;
        fresh->shared = shared ? block_ref(shared) : NULL;
        *s = (struct intern_slot){key->hash, fresh};
        t->n++;
    }
    *out = block_ref(s->block);
    return 0;
}

bool intern_same_text(const void *value, const void *key)
{
    return str_eq(*(const struct str *)value, *(const struct str *)key);
}

int intern_copy_text(void *ctx, struct arena *a, const void **out)
{
    struct str *const to = arena_array(a, 1, sizeof(*to));

    *out = to;
    return to ? str_copy(to, *(const struct str *)ctx, a) : -ENOMEM;
}

void intern_done(struct intern *t)
{
    for (uint32_t i = 0; t->slots && i <= t->mask; i++)
        block_unref(t->slots[i].block);
    free(t->slots);
    *t = (struct intern){0};
}
