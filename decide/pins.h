/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many records hold together, each thing counted once: node views and rosters that the ring
 * keeps alive. It owns no reference, it only says how many bytes they are.
 */
#ifndef DECIDE_PINS_H
#define DECIDE_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin;

/* Zero-initialise. Not thread-safe. */
struct pins {
    struct pin *slots; /* [room] open addressing by address, at most half full */
    uint32_t room, n;
    size_t bytes; /* of all things, and of the table */
};

/* One more user of `thing`, which is of `bytes` bytes. False: out of memory, nothing changed. */
bool pins_take(struct pins *p, const void *thing, size_t bytes);

/* One less; the thing must have been taken. */
void pins_drop(struct pins *p, const void *thing);

void pins_done(struct pins *p);

#endif
