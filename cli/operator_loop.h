/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's thread: calls and changed objects come to it by a queue, one after the other, and
 * between them it looks at what changes by itself. Nothing of operator/ needs a lock.
 */
#ifndef CLI_OPERATOR_LOOP_H
#define CLI_OPERATOR_LOOP_H

#include "base/attr.h"
#include "base/config.h"
#include "cluster/source.h"
#include "net/http.h"

struct buf;
struct cluster;
struct err;
struct kube_access;
struct apiserver;
struct operator_loop;

enum { OPERATOR_ROUTES = 2 };

/*
 * `cluster` is borrowed. What comes before operator_loop_start waits. 0; -EINVAL: the listener's
 * address and TLS do not say who calls; -ENOMEM, -EMFILE, ...
 */
int operator_loop_new(struct operator_loop **out, const struct numawise_config *config,
                      struct cluster *cluster, const uint64_t hash_key[2],
                      struct err *err) MUST_CHECK;

/* A sink that hands on to `next` what it is told, and keeps what is the operator's. */
struct source_sink operator_loop_sink(struct operator_loop *l, const struct source_sink *next);

/*
 * The API server that is written to, and asked who callers are and what they may; before
 * operator_loop_start. `access`, and `followed`, which tells of pods, are borrowed until
 * operator_loop_stop. As kube_api_new.
 */
int operator_loop_ask(struct operator_loop *l, const struct kube_access *access,
                      const struct apiserver *followed, bool events, struct err *err) MUST_CHECK;

/* What of other settings takes effect without a restart: operator.act. NULL is fine. */
void operator_loop_reload(struct operator_loop *l, const struct numawise_config *config);

int operator_loop_start(struct operator_loop *l, struct err *err) MUST_CHECK;

/*
 * End the thread; calls that are left get a 503. When the listener has stopped and is not freed
 * yet. NULL is fine, and so is a second time.
 */
void operator_loop_stop(struct operator_loop *l);
void operator_loop_free(struct operator_loop *l); /* stops first; NULL is fine */

/* /v1/..., /openapi.json. The routes borrow `l`. */
void operator_loop_routes(struct operator_loop *l, struct http_route out[OPERATOR_ROUTES]);

/* A check of life (cli/health.h): false, and why, when it leads and the loop is stuck. */
bool operator_loop_is_healthy(void *ctx, char *why);

/* Families in the Prometheus text format; `ctx` is the struct operator_loop; from any thread. */
void operator_loop_metrics(void *ctx, struct buf *out);

#endif
