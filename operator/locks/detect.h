/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for whom: threads that wait for each other in a circle, each for a lock that the next
 * one holds. A thread that waits needs all holders of the lock (a lock held by several readers), so
 * a circle never resolves by itself.
 *
 * One sighting proves nothing, as reports are taken at different moments. A deadlock is confirmed
 * when the same circle is seen again, every wait and every hold since the same moment and in the
 * same epochs, after each of its reporters has spoken once more, `interval` later.
 */
#ifndef OPERATOR_LOCKS_DETECT_H
#define OPERATOR_LOCKS_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "operator/locks/book.h"

struct lock_use {
    struct str class_name, instance;
    bool shared;
};

/* One thread of the circle: it waits for a lock that the next one holds. */
struct lock_party {
    struct str pod, container, thread;
    uint64_t epoch;
    struct lock_use holds, waits;           /* `holds` is what the one before waits for */
    uint64_t held_since_ns, waits_since_ns; /* by our clock */
    uint64_t said_held_ns, said_waits_ns;   /* by its own */
};

struct lock_deadlock {
    struct lock_deadlock *next;
    uint64_t fingerprint;       /* of all that must not change */
    uint64_t signature;         /* of its lock classes: the same bug again has the same one */
    uint64_t id;                /* never used twice by a book */
    uint64_t first_ns;          /* first sighting */
    uint64_t since_ns;          /* by our clock: since the last of the waits began, it stands */
    uint64_t confirmed_ns;      /* 0 = not yet */
    bool seen;                  /* in this pass */
    bool told;                  /* for whoever acts on it: has looked at it */
    struct lock_party *parties; /* [n] from the one that waits longest on, in the same block */
    uint32_t n;
};

/*
 * Look again at namespaces whose reports have changed: new circles are noted, those that are gone
 * are forgotten, confirmed ones are marked. Linear in what is held and waited for there.
 * Returns 0; -ENOMEM: what could not be looked at is looked at next time.
 */
int lock_book_detect(struct lock_book *b, uint64_t now_ns, uint64_t interval_ns) MUST_CHECK;

#endif
