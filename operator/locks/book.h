/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reporters say of their locks, namespace by namespace: who holds what, who waits for what,
 * and in which order locks were seen taken. Soft state: after a restart reporters send again. Reads
 * no clock: `now_ns` is an argument, any clock that only grows.
 */
#ifndef OPERATOR_LOCKS_BOOK_H
#define OPERATOR_LOCKS_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "operator/locks/order.h"

struct err;

/* --- what a report says; everything is borrowed --- */

struct lock_claim {
    struct str class_name, instance, thread;
    bool shared; /* the instance is one for all pods of the namespace; else the reporter's own */
    uint64_t since_ns; /* by the reporter's clock, at most the report's now_ns */
};

struct lock_seen {
    struct str from, to; /* `to` was acquired while `from` was held */
    uint64_t count;      /* since the report before */
};

struct lock_report {
    struct str ns, pod, container;
    uint64_t epoch;    /* larger after each restart of the reporter */
    uint64_t sequence; /* 1, 2, 3... in an epoch; 0 counts as a first one too */
    uint64_t now_ns;   /* the reporter's clock */
    const struct lock_claim *held, *waiting; /* all that is held and waited for now */
    const struct lock_seen *edges;
    uint32_t n_held, n_waiting, n_edges;
    uint64_t goroutines, locks; /* figures for the pod's QoS class; 0 = not said */
};

/* --- how it is kept; detect.c and view.c read it --- */

struct lock_thread {
    struct str name;
    uint32_t wait; /* index into waiting, or LOCK_NONE */
};

struct lock_item {
    uint64_t hash; /* of the lock: scope, class, instance */
    struct str instance;
    uint32_t class_index, thread;
    bool shared;
    uint64_t said_since_ns; /* as it was said; what did not change says the same */
    uint64_t since_ns;      /* by our clock */
};

/* One allocation. */
struct lock_state {
    struct lock_item *held, *waiting;
    struct lock_thread *threads;
    uint32_t n_held, n_waiting, n_threads;
};

/* What one reporter counted of one edge. Open addressing; empty = LOCK_NONE. */
struct lock_tally {
    uint32_t edge;
    uint64_t count;
};

struct lock_reporter {
    struct lock_reporter *next;   /* of its namespace, in the order of their first reports */
    struct lock_reporter *beside; /* of the hash bucket */
    uint64_t hash;
    struct str pod, container; /* on the heap, behind this struct */
    uint64_t serial;           /* never used twice */
    uint64_t epoch, sequence, received_ns;
    uint64_t goroutines, locks;
    struct lock_state *state;
    struct lock_tally *tally; /* [tally_mask + 1] */
    uint32_t n_tally, tally_mask;
    uint32_t first_wait; /* of detect.c */
    uint64_t pod_uid;    /* of whoever looks whether the pod lives; 0 = never seen alive */
};

struct lock_deadlock;

/* A namespace. */
struct lock_space {
    struct lock_space *next;
    struct str ns; /* on the heap, behind this struct */
    struct lock_order order;
    struct lock_reporter *reporters, **last_reporter;
    struct lock_reporter **buckets; /* [bucket_mask + 1] */
    uint32_t bucket_mask;
    uint32_t n_reporters, n_items, n_waiting;
    bool changed;                    /* since the last lock_book_detect */
    struct lock_deadlock *deadlocks; /* list; detect.h */
    uint32_t n_deadlocks;
};

struct lock_book {
    struct lock_space *spaces; /* list by name */
    uint32_t n_spaces;
    uint64_t n_all; /* classes, edges and items of all namespaces */
    uint64_t key[2];
    uint64_t serial;
    uint32_t *scratch; /* [scratch_room] of detect.c */
    size_t scratch_room;
    uint64_t reports, duplicates, gaps, refused; /* for /metrics */
    uint64_t confirmed, ended;                   /* deadlocks */
    uint64_t passed; /* circles that were not there any more before they were confirmed */
};

enum lock_receipt {
    LOCK_APPLIED,
    LOCK_DUPLICATE, /* known already, or of an epoch that is over: nothing has changed */
    LOCK_GAP,       /* reports are missing: nothing has changed, send what follows `have` */
};

struct lock_answer {
    enum lock_receipt receipt;
    uint64_t have;       /* newest sequence of the reporter's epoch, 0 = none */
    uint32_t inversions; /* edges nobody had seen before that lie on a cycle */
    uint32_t inversion;  /* the first of them, or LOCK_NONE */
};

/* `key`: unknown outside, so that nobody chooses names that collide. */
void lock_book_init(struct lock_book *b, const uint64_t key[2]);
void lock_book_done(struct lock_book *b);

/*
 * Take a report in, whole or not at all; only that an epoch is over is believed in any case.
 * 0; -EINVAL (a thread that waits twice, since_ns after now_ns: `err` begins with the field);
 * -E2BIG (the namespace is full, or everything is); -ENOMEM.
 */
int lock_book_report(struct lock_book *b, const struct lock_report *report, uint64_t now_ns,
                     struct lock_answer *out, struct err *err) MUST_CHECK;

/* A pod has ended: everything its reporters said is gone. */
void lock_book_end_pod(struct lock_book *b, struct str ns, struct str pod);

/* Forget reporters that have said nothing since `before_ns`. */
void lock_book_forget(struct lock_book *b, uint64_t before_ns);

/* NULL when the namespace has nothing. */
struct lock_space *lock_book_find(const struct lock_book *b, struct str ns);

/* The namespace, made when it is new; NULL: no memory, or LIMIT_LOCK_SPACES are there. */
struct lock_space *lock_book_space(struct lock_book *b, struct str ns);

/* What a policy of a namespace declares; as lock_order_declare. */
int lock_book_declare(struct lock_book *b, struct str ns, struct str policy,
                      const struct lock_rule *rules, uint32_t n, struct err *err) MUST_CHECK;
void lock_book_withdraw(struct lock_book *b, struct str ns, struct str policy);

size_t lock_book_bytes(const struct lock_book *b);

#endif
