/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/doubts.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cluster/roster.h"

enum { NAME_BYTES = 253 };

struct doubt {
    uint64_t until_ns;
    size_t n;
    char name[NAME_BYTES];
};

struct doubts {
    uint64_t for_ns;
    atomic_uint n; /* written with the lock held */
    pthread_mutex_t lock;
    struct doubt at[DOUBTS_MOST]; /* [n] whose time is over first comes first */
};

int doubts_new(struct doubts **out, uint64_t for_ns, struct err *err)
{
    struct doubts *const d = calloc(1, sizeof(*d));

    if (!d || pthread_mutex_init(&d->lock, NULL)) {
        free(d);
        return err_set(err, -ENOMEM, "no memory for nodes in doubt");
    }
    d->for_ns = for_ns;
    *out = d;
    return 0;
}

void doubts_free(struct doubts *d)
{
    if (!d)
        return;
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

uint32_t doubts_count(const struct doubts *d)
{
    return atomic_load(&d->n);
}

static struct str name_of(const struct doubt *doubt)
{
    return (struct str){doubt->name, doubt->n};
}

static void end(struct doubts *d, uint32_t i)
{
    const uint32_t n = atomic_load(&d->n) - 1;

    memmove(&d->at[i], &d->at[i + 1], (n - i) * sizeof(d->at[0]));
    atomic_store(&d->n, n);
}

void doubts_add(struct doubts *d, struct str node, uint64_t now_ns)
{
    struct doubt doubt = {.until_ns = now_ns + d->for_ns, .n = node.n};

    if (node.n == 0 || node.n > NAME_BYTES)
        return; /* no node has such a name */
    memcpy(doubt.name, node.p, node.n);
    (void)pthread_mutex_lock(&d->lock);
    for (uint32_t i = atomic_load(&d->n); i-- > 0;)
        if (str_eq(name_of(&d->at[i]), node))
            end(d, i);
    if (atomic_load(&d->n) == DOUBTS_MOST)
        end(d, 0);
    d->at[atomic_load(&d->n)] = doubt;
    (void)atomic_fetch_add(&d->n, 1);
    (void)pthread_mutex_unlock(&d->lock);
}

void doubts_look(struct doubts *d, uint64_t now_ns)
{
    if (doubts_count(d) == 0)
        return;
    (void)pthread_mutex_lock(&d->lock);
    while (atomic_load(&d->n) > 0 && d->at[0].until_ns <= now_ns)
        end(d, 0);
    (void)pthread_mutex_unlock(&d->lock);
}

bool doubts_mark(struct doubts *d, const struct roster *roster, uint64_t *bits)
{
    bool any = false;

    (void)pthread_mutex_lock(&d->lock);
    for (uint32_t i = 0; i < atomic_load(&d->n); i++) {
        const uint32_t at = roster_find(roster, name_of(&d->at[i]));

        if (at >= roster->n)
            continue;
        bits[at / 64] |= UINT64_C(1) << at % 64;
        any = true;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return any;
}
