/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a node: looks at the machine and its kubelet whenever something of them changes, and
 * writes the NodeResourceTopology of the node's name when that says something else than before, or
 * is getting old. All on one loop; looking blocks it.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/facts.h"
#include "base/attr.h"
#include "topology/discover.h"

struct agent;
struct buf;
struct err;
struct event_base;
struct kube_api;

/* All is borrowed and outlives the agent. */
struct agent_options {
    const char *node; /* the Node's name */
    struct topo_source machine;
    struct agent_paths paths;
};

/*
 * Discovers the machine (blocks), and begins with the loop's next turn. 0; -ENOMEM; or as
 * topo_discover says.
 */
int agent_new(struct agent **out, struct event_base *base, struct kube_api *api,
              const struct agent_options *options, struct err *err) MUST_CHECK;
void agent_free(struct agent *a); /* before `api`; NULL is fine */

/* The kubelet's files may have changed. */
void agent_changed(struct agent *a);

/* The machine may have. Blocks; what cannot be discovered is logged, and the machine stays. */
void agent_rediscover(struct agent *a);

/* --- from any thread --- */

enum { AGENT_WHY_BYTES = 128 };

/* What it wrote last is not too old to be believed. Else `why` [AGENT_WHY_BYTES] has the reason. */
bool agent_is_current(void *agent, char *why);

/* Its loop turns. */
bool agent_is_alive(void *agent, char *why);

/* Append families of Prometheus' text format. */
void agent_metrics(void *agent, struct buf *out);

#endif
