/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pods of this node as the API server has them: the kubelet's files know pods by uid only, and
 * what is published names them. Filled by agent/follow.c.
 */
#ifndef AGENT_NAMES_H
#define AGENT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct agent_name {
    struct str ns, name;
    struct str uid; /* the API server's */
    struct str own; /* the kubelet's uid of a pod from a file, which is another; else as `uid` */
    bool marked;
};

/* Zero-initialise. Some hundred entries, which are looked through. */
struct agent_names {
    struct agent_name *list; /* [n] */
    size_t n, room;
};

/*
 * `object` is the Pod's text, followed by 64 readable bytes. 1: it is new, or another one by now;
 * 0: nothing of it has changed; -ENOMEM: nothing was kept.
 */
int agent_names_put(struct agent_names *p, struct str ns, struct str name, struct str uid,
                    struct str object) MUST_CHECK;
void agent_names_remove(struct agent_names *p, struct str ns, struct str name);

/* Between the two a list is told: what is not put again is gone. */
void agent_names_mark(struct agent_names *p);
void agent_names_sweep(struct agent_names *p);

/* By the kubelet's uid or, where that is empty, by name. NULL: not known. */
const struct agent_name *agent_names_find(const struct agent_names *p, struct str uid,
                                          struct str ns, struct str name);
void agent_names_done(struct agent_names *p);

#endif
