/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the table of this node's pods as the API server has them: a list, and a watch from there.
 */
#ifndef AGENT_FOLLOW_H
#define AGENT_FOLLOW_H

#include <stdbool.h>

#include "agent/names.h"
#include "base/attr.h"

struct agent_follow;
struct err;
struct event_base;
struct kube_api;
struct kube_reflector;

/*
 * `changed` is told on the loop when pods were listed, came or went, and when the server does not
 * answer. `api` and `base` are borrowed. Begins with the loop's next turn. 0, -ENOMEM.
 */
int agent_follow_new(struct agent_follow **out, struct event_base *base, struct kube_api *api,
                     const char *node, void (*changed)(void *ctx), void *ctx,
                     struct err *err) MUST_CHECK;
void agent_follow_free(struct agent_follow *f); /* before `api`; NULL is fine */

const struct agent_names *agent_follow_names(const struct agent_follow *f);

/* Its state says whether the pods were listed once, and what the last try met. */
const struct kube_reflector *agent_follow_reflector(const struct agent_follow *f);

#endif
