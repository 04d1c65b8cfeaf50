/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise topology NODE --cluster DIR`: the machine of a node as its objects describe it. */
#ifndef CLI_TOPOLOGY_NODE_H
#define CLI_TOPOLOGY_NODE_H

#include "base/attr.h"

struct err;
struct node_view;

/*
 * Read the cluster directory and call `visit` with the node's machine, which lives as long as the
 * call. Returns what visit returns (not negative); -ENOENT (no such node, or nothing is known of
 * its topology); -errno when the directory cannot be read.
 */
int topology_visit_node(const char *dir, const char *node,
                        int (*visit)(const struct node_view *v, void *ctx), void *ctx,
                        struct err *err) MUST_CHECK;

#endif
