/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server knows, for tests and benches: objects of some kinds, one counter of resource
 * versions over all, and every change in order, so that lists and watches can be answered as of any
 * version. No sockets, no clock, no locks: tests/support/fake_api.h serves it over HTTP.
 */
#ifndef TESTS_SUPPORT_HISTORY_H
#define TESTS_SUPPORT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct history;

struct history *history_new(void);
void history_free(struct history *h);

/*
 * Add a kind of objects; returns its number, from 0 on. `sorted`: keys stand in byte order, as in
 * objects of a CustomResourceDefinition, whose lists have their items before their metadata.
 */
unsigned history_kind(struct history *h, const char *path, const char *api_version,
                      const char *kind, bool sorted);

/*
 * Create or replace an object; its version. `uid` NULL: it keeps the one it has, or gets a new one.
 * `rest` is what the object has beside kind, apiVersion and metadata ("\"spec\":{}"), or empty;
 * texts may have ' for ".
 */
uint64_t history_put(struct history *h, unsigned kind, const char *ns, const char *name,
                     const char *uid, const char *rest);
/*
 * The same with the whole text of an object, which has no resourceVersion; its first "metadata":{
 * is its own.
 */
uint64_t history_put_text(struct history *h, unsigned kind, const char *ns, const char *name,
                          struct str text);
/* Its deletion's version; 0: there is none. */
uint64_t history_delete(struct history *h, unsigned kind, const char *ns, const char *name);

uint64_t history_version(const struct history *h);
uint32_t history_count(const struct history *h, unsigned kind);

/* Nobody can watch from before `version` any more, nor go on with a list that was begun earlier. */
void history_compact(struct history *h, uint64_t version);

/* As after a backup was put back: all changes after `version` never were. */
void history_rewind(struct history *h, uint64_t version);

/* The object's text at `version`; n = 0: there was none. */
struct str history_object(const struct history *h, unsigned kind, const char *ns, const char *name,
                          uint64_t version);

/* Visits what there is now, in no order. */
void history_each(const struct history *h, unsigned kind,
                  void (*visit)(void *ctx, struct str key, struct str text), void *ctx);

/* --- answers --- */

struct history_query {
    uint32_t limit;     /* 0 = all */
    struct str from;    /* "continue" */
    struct str version; /* "resourceVersion": empty, "0", or a number */
};

/* The kind whose collection is at `path`; -1. */
int history_find(const struct history *h, struct str path);
int history_find_kind(const struct history *h, struct str kind); /* "Pod" */

/* The body of a list; returns the status of HTTP: 200, 410, 504. */
int history_list(struct history *h, unsigned kind, const struct history_query *q, struct buf *out);

/* Where a watch stands. */
struct history_watch {
    unsigned kind;
    size_t at;        /* in the log */
    uint64_t version; /* of the last event that was given */
    uint32_t epoch;   /* a rewind ends every watch */
};

/* 200; 410 with a Status in `out`. A version that is still to come is silence, as in Kubernetes. */
int history_watch_open(struct history *h, unsigned kind, struct str version,
                       struct history_watch *watch, struct buf *out);

/* Append at most `max` events that have happened since. False: the watch has to end. */
bool history_watch_more(const struct history *h, struct history_watch *watch, uint32_t max,
                        struct buf *out);
void history_bookmark(const struct history *h, struct history_watch *watch, struct buf *out);

/* A Status; `reason` may be empty. `retry_s` 0 = not said. */
void history_status(struct buf *out, int code, const char *reason, const char *message,
                    const char *cause, unsigned retry_s);

#endif
