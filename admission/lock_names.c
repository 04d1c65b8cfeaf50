/* SPDX-License-Identifier: Apache-2.0 */
#include "admission/lock_names.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct entry {
    char *key; /* "ns/name" */
    bool listed;
};

struct lock_names {
    struct source_sink next;
    pthread_mutex_t mutex; /* of all that follows */
    struct entry *at;      /* [n] */
    size_t n, room;
    bool lists;     /* the source says where a list begins */
    bool all_known; /* each one has been told of once */
    bool failed;    /* one was not noted: nothing is certain any more */
};

int lock_names_new(struct lock_names **out, struct err *err)
{
    struct lock_names *const l = calloc(1, sizeof(*l));

    if (!l || pthread_mutex_init(&l->mutex, NULL)) {
        free(l);
        return err_set(err, -ENOMEM, "no memory for names of LockPolicies");
    }
    *out = l;
    return 0;
}

void lock_names_free(struct lock_names *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i].key);
    free(l->at);
    (void)pthread_mutex_destroy(&l->mutex);
    free(l);
}

/* n: it is not there. They are few, and asked for by the pods that name one. */
static size_t find(const struct lock_names *l, struct str ns, struct str name)
{
    for (size_t i = 0; i < l->n; i++) {
        const char *const key = l->at[i].key;

        if (strlen(key) == ns.n + 1 + name.n && memcmp(key, ns.p, ns.n) == 0 && key[ns.n] == '/' &&
            memcmp(key + ns.n + 1, name.p, name.n) == 0)
            return i;
    }
    return l->n;
}

static char *key_of(struct str ns, struct str name)
{
    char *const key = malloc(ns.n + name.n + 2);

    if (key)
        (void)snprintf(key, ns.n + name.n + 2, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    return key;
}

static void add(struct lock_names *l, struct str ns, struct str name)
{
    if (l->n == l->room) {
        const size_t room = l->room ? l->room * 2 : 16;
        struct entry *const at = realloc(l->at, room * sizeof(*at));

        l->failed = l->failed || !at;
        if (!at)
            return;
        l->at = at;
        l->room = room;
    }
    char *const key = key_of(ns, name);
    l->failed = l->failed || !key;
    if (key)
        l->at[l->n++] = (struct entry){key, true};
}

static void drop(struct lock_names *l, size_t i)
{
    free(l->at[i].key);
    l->at[i] = l->at[--l->n];
}

/* --- the sink --- */

static void note(struct lock_names *l, const struct source_delta *delta)
{
    (void)pthread_mutex_lock(&l->mutex);
    const size_t i = find(l, delta->ns, delta->name);
    if (delta->verb == SOURCE_UPSERT && i < l->n)
        l->at[i].listed = true;
    else if (delta->verb == SOURCE_UPSERT)
        add(l, delta->ns, delta->name);
    else if (i < l->n)
        drop(l, i);
    (void)pthread_mutex_unlock(&l->mutex);
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct lock_names *const l = ctx;

    if (delta->kind == SOURCE_LOCK_POLICY)
        note(l, delta);
    return l->next.delta(l->next.ctx, delta, err);
}

static void on_begin(void *ctx, enum source_kind kind, bool again)
{
    struct lock_names *const l = ctx;

    (void)pthread_mutex_lock(&l->mutex);
    l->lists = true;
    for (size_t i = 0; kind == SOURCE_LOCK_POLICY && i < l->n; i++)
        l->at[i].listed = false;
    (void)pthread_mutex_unlock(&l->mutex);
    if (l->next.begin)
        l->next.begin(l->next.ctx, kind, again);
}

static void on_end(void *ctx, enum source_kind kind)
{
    struct lock_names *const l = ctx;

    (void)pthread_mutex_lock(&l->mutex);
    for (size_t i = l->n; kind == SOURCE_LOCK_POLICY && i-- > 0;) {
        if (!l->at[i].listed)
            drop(l, i);
    }
    l->all_known = l->all_known || kind == SOURCE_LOCK_POLICY;
    (void)pthread_mutex_unlock(&l->mutex);
    if (l->next.end)
        l->next.end(l->next.ctx, kind);
}

static void on_settled(void *ctx)
{
    struct lock_names *const l = ctx;

    (void)pthread_mutex_lock(&l->mutex);
    l->all_known = l->all_known || !l->lists; /* a directory has been read whole */
    (void)pthread_mutex_unlock(&l->mutex);
    l->next.settled(l->next.ctx);
}

struct source_sink lock_names_sink(struct lock_names *l, const struct source_sink *next)
{
    l->next = *next;
    return (struct source_sink){on_delta, on_begin, on_end, on_settled, l};
}

bool lock_names_lack(struct lock_names *l, struct str ns, struct str name)
{
    (void)pthread_mutex_lock(&l->mutex);
    const bool lacks = l->all_known && !l->failed && find(l, ns, name) == l->n;
    (void)pthread_mutex_unlock(&l->mutex);
    return lacks;
}
