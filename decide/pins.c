/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/pins.h"

#include <assert.h>
#include <stdlib.h>

struct pin {
    const void *thing; /* NULL = empty */
    size_t bytes;
    uint64_t users;
};

enum { FIRST_ROOM = 64 };

/* Blocks of the heap lie 16 bytes apart. */
static uint32_t home_of(const struct pins *p, const void *thing)
{
    const uint64_t h = ((uint64_t)(uintptr_t)thing >> 4) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(h >> 32) & (p->room - 1);
}

/* Where the thing is, or would be. */
static uint32_t find(const struct pins *p, const void *thing)
{
    uint32_t at = home_of(p, thing);

    while (p->slots[at].thing && p->slots[at].thing != thing)
        at = (at + 1) & (p->room - 1);
    return at;
}

static bool grow(struct pins *p)
{
    struct pins wider = {.room = p->room ? p->room * 2 : FIRST_ROOM, .n = p->n, .bytes = p->bytes};

    wider.slots = calloc(wider.room, sizeof(*wider.slots));
    if (!wider.slots)
        return false;
    for (uint32_t i = 0; i < p->room; i++) {
        if (p->slots[i].thing)
            wider.slots[find(&wider, p->slots[i].thing)] = p->slots[i];
    }
    wider.bytes += (wider.room - p->room) * sizeof(*wider.slots);
    free(p->slots);
    *p = wider;
    return true;
}

bool pins_take(struct pins *p, const void *thing, size_t bytes)
{
    if (p->n * 2 >= p->room && !grow(p))
        return false;
    struct pin *const pin = &p->slots[find(p, thing)];
    if (!pin->thing) {
        *pin = (struct pin){.thing = thing, .bytes = bytes};
        p->bytes += bytes;
        p->n++;
    }
    pin->users++;
    return true;
}

/* Move up what an empty slot would cut off from its home. */
static void close_gap(struct pins *p, uint32_t gap)
{
    const uint32_t mask = p->room - 1;

    for (uint32_t at = (gap + 1) & mask; p->slots[at].thing; at = (at + 1) & mask) {
        const uint32_t home = home_of(p, p->slots[at].thing);

        if (((at - home) & mask) < ((at - gap) & mask))
            continue; /* its home lies behind the gap */
        p->slots[gap] = p->slots[at];
        gap = at;
    }
    p->slots[gap] = (struct pin){0};
}

void pins_drop(struct pins *p, const void *thing)
{
    const uint32_t at = find(p, thing);
    struct pin *const pin = &p->slots[at];

    assert(pin->thing == thing);
    if (--pin->users)
        return;
    p->bytes -= pin->bytes;
    p->n--;
    close_gap(p, at);
}

void pins_done(struct pins *p)
{
    free(p->slots);
    *p = (struct pins){0};
}
