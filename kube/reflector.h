/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows one collection of an API server: a list page by page, then a watch from there on, again
 * and again, whatever the server does. What a sink was told adds up to what the server has.
 *
 * Pure: it neither asks nor waits. Whoever drives it (cluster/apiserver.c, or a test with a clock
 * of its own) sends what kube_reflector_next says, and tells it what comes back:
 *
 *     next -> ask -> started, data..., answered -> next -> wait until `due` -> next ...
 *
 * What it promises its sink, as long as the server's versions are numbers:
 * - an object's states come in their order, each at most once; some may be left out
 * - after a list, everything that is not in it is gone (begin and end mark it)
 * - nothing older than what was told comes back, unless the server itself went back; that is told
 */
#ifndef KUBE_REFLECTOR_H
#define KUBE_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "kube/watch.h"

struct kube_answer;

/* Client-go's figures for the reflector; the watch's own time is drawn anew for each. */
enum {
    KUBE_REFLECT_PAGE = 500,
    KUBE_REFLECT_WATCH_LEAST_S = 300,
    KUBE_REFLECT_WATCH_MOST_S = 600,
    KUBE_REFLECT_FIRST_MS =
        800, /* back-off: doubled each time, and up to as much again by chance */
    KUBE_REFLECT_MOST_MS = 30000,
    KUBE_REFLECT_CALM_MS = 120000,     /* without a failure: the back-off begins anew */
    KUBE_REFLECT_OBEY_MS = 120000,     /* the longest Retry-After that is waited for */
    KUBE_REFLECT_IDLE_MS = 90000,      /* of a watch: bookmarks come about every minute */
    KUBE_REFLECT_LIST_IDLE_MS = 40000, /* of a list: servers that are slow take 30 s */
    KUBE_REFLECT_LIST_MS = 600000,
    KUBE_REFLECT_LATELY_MS = 10000, /* a list so long ago is no reason to wait with the next */
    KUBE_REFLECT_ODD = 3, /* failures of a kind that a new list may cure, before there is one */
    KUBE_REFLECT_OBJECT_BYTES = 16 * 1024 * 1024,
    KUBE_REFLECT_VERSION_BYTES = 64,
};

/* Who is told. Called from kube_reflector_next, _data and _answered. */
struct kube_reflector_sink {
    /* A list begins: mark everything. `again`: versions lower than known ones are right, too. */
    void (*begin)(void *ctx, bool again);
    /*
     * An object is there, or changed. 0; or -ENOMEM: it could not be kept, and is to come again.
     * That it is not valid is the sink's own affair.
     */
    int (*upsert)(void *ctx, const struct kube_name *name, struct str object);
    void (*remove)(void *ctx, const struct kube_name *name);
    /* The list is through: what is still marked is gone. */
    void (*end)(void *ctx);
    /* An object that is too large, or says not what it is called, was left out. */
    void (*odd)(void *ctx, const struct kube_name *name, const char *why);
    void *ctx;
};

enum kube_reflector_trouble {
    KUBE_REFLECT_FINE,
    KUBE_REFLECT_UNREACHABLE, /* no answer, or an error of the server */
    KUBE_REFLECT_FORBIDDEN,   /* 401, 403 */
    KUBE_REFLECT_ABSENT,      /* 404: no such kind */
};

/* Figures of a reflector; only grow, but for the first three. */
struct kube_reflector_state {
    bool synced;                         /* a list came to its end once */
    enum kube_reflector_trouble trouble; /* what the last try met */
    uint64_t current_ns; /* when the cache was last known to be current; 0 = never */
    uint64_t lists, watches, short_watches, events, bookmarks, failures;
    uint64_t expired;  /* 410, in any of its forms */
    uint64_t repeated; /* events that were known already */
    uint64_t rewound;  /* the server went back to older versions */
    uint64_t left_out; /* sink.odd */
};

/* What to ask. The path belongs to the reflector. */
struct kube_reflector_ask {
    const char *path;
    uint32_t timeout_ms, idle_ms;
};

enum kube_reflector_step { KUBE_STEP_LIST, KUBE_STEP_WATCH };
enum kube_reflector_rung {
    KUBE_RUNG_ANY,    /* as of any version: what the server has at hand */
    KUBE_RUNG_SINCE,  /* not older than what we know */
    KUBE_RUNG_LATEST, /* what is in etcd */
};

struct kube_version {
    char text[KUBE_REFLECT_VERSION_BYTES];
    uint64_t number; /* 0 = none, or no number */
};

/* The fields are the reflector's own; others read `state` and `last`. */
struct kube_reflector {
    const char *collection; /* "/api/v1/pods", perhaps with "?fieldSelector=..."; borrowed */
    struct kube_reflector_sink sink;
    struct kube_reflector_state state;
    struct err last; /* what the last try met, for people; code 0 = nothing wrong */
    uint64_t random; /* for chance */
    enum kube_reflector_step step;
    bool asking;
    uint64_t asked_ns, due_ns;
    struct buf path;
    struct kube_splitter splitter;
    int rc;                      /* what is wrong with the answer, found while it came */
    struct kube_version version; /* what the cache stands for */
    uint64_t highest;            /* of all versions that were told */
    unsigned odd;                /* failures in a row that a new list may cure */
    uint64_t wait_ms, calm_ns;   /* back-off: the last one, and when it ended */
    /* The list under way. */
    enum kube_reflector_rung rung;
    bool named;   /* this page's metadata came */
    bool filled;  /* something of it was told */
    bool again;   /* begin was told so */
    bool unpaged; /* its pages expire before they are all read, as they did `tired` times */
    unsigned tired;
    uint64_t listed_ns;
    struct kube_version listed;
    struct buf more, next_more; /* continue: of this page, and what follows it */
    /* The watch under way. */
    bool started;           /* the server has said yes */
    uint64_t heard;         /* events and bookmarks */
    uint32_t retry_after_s; /* of an ERROR event */
};

/* `seed`: for chance, any number. The first thing to ask is a list, at once. */
void kube_reflector_init(struct kube_reflector *r, const char *collection,
                         const struct kube_reflector_sink *sink, uint64_t seed);
void kube_reflector_done(struct kube_reflector *r);

/*
 * True: ask this now. Else nothing is to be done before *out_due_ns, or while an answer is awaited.
 * `now_ns` is monotonic and never 0, here and below.
 */
bool kube_reflector_next(struct kube_reflector *r, uint64_t now_ns, struct kube_reflector_ask *out,
                         uint64_t *out_due_ns);

/* A 2xx begins. */
void kube_reflector_started(struct kube_reflector *r, uint64_t now_ns);

/* Bytes of it. Not 0: end the call; it is answered as if it had failed by itself. */
int kube_reflector_data(struct kube_reflector *r, uint64_t now_ns, const char *p,
                        size_t n) MUST_CHECK;

/* The answer is through, or there is none. */
void kube_reflector_answered(struct kube_reflector *r, uint64_t now_ns,
                             const struct kube_answer *answer);

#endif
