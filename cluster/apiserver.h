/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server as the source: each kind is listed and watched by a reflector of its own, and what
 * they tell becomes deltas. A kind that may not be read, or does not exist, degrades what depends
 * on it and nothing else; the log says which rule or definition is missing.
 */
#ifndef CLUSTER_APISERVER_H
#define CLUSTER_APISERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/source.h"

struct apiserver;
struct buf;
struct err;
struct event_base;
struct kube_api;

struct apiserver_options {
    void (*synced)(void *ctx); /* after the first `settled`; may be NULL */
    void *ctx;
    bool budgets;        /* follow PodDisruptionBudgets, which only preempt needs */
    bool operator_kinds; /* and what only the operator needs */
    bool lock_policies;  /* and of that LockPolicies alone */
};

/*
 * Begins with the loop's next turn, on its thread. `settled` is called for the first time when
 * every kind was listed once, or is known to be missing; and from then on soon after each change,
 * seldom enough that the sink does not take up the thread. `api` and `base` are borrowed and
 * outlive it.
 */
int apiserver_new(struct apiserver **out, struct event_base *base, struct kube_api *api,
                  const struct source_sink *sink, const struct apiserver_options *options,
                  struct err *err) MUST_CHECK;
void apiserver_free(struct apiserver *s); /* NULL is fine */

/* Each kind is a check of readiness. From any thread; they live as long as the source. */
enum { APISERVER_KINDS = 12 };
unsigned apiserver_kinds(const struct apiserver *s); /* how many of them are followed */
struct api_part;
struct api_part *apiserver_kind(struct apiserver *s, unsigned i);
const char *apiserver_kind_check(const struct api_part *kind); /* "pods-synced" */

/*
 * Listed once, or known to be missing and not needed. Else `why` [room] says what is awaited, in
 * words that anybody may read.
 */
bool apiserver_kind_ready(const struct api_part *kind, char *why, size_t room);

/*
 * How long ago what is known of a kind was last known to be current, by the monotonic clock;
 * UINT64_MAX: it never was. From any thread.
 */
uint64_t apiserver_age_ns(const struct apiserver *s, enum source_kind kind, uint64_t now_ns);

/* Append families of Prometheus' text format. From any thread; `ctx` is the struct apiserver. */
void apiserver_metrics(void *ctx, struct buf *out);

#endif
