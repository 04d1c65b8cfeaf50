/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes whose report does not count, for which somebody may have to act: told as Events once it
 * has been so for a while, for a report is often a few seconds behind its Node.
 */
#ifndef CLI_NODE_EVENTS_H
#define CLI_NODE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_snapshot;
struct node_view;
struct recorder;

enum { NODE_EVENTS_PENDING = 64, NODE_EVENTS_NAME_BYTES = 254, NODE_EVENTS_AFTER_S = 30 };

/* Zero-initialise. One thread. */
struct node_events {
    struct node_event {
        char node[NODE_EVENTS_NAME_BYTES];
        uint64_t since_ns; /* 0: free */
    } pending[NODE_EVENTS_PENDING];
};

/* The node's report does not count any more, or for another reason. Beyond the room: passed over.
 */
void node_events_add(struct node_events *n, const struct node_view *view, uint64_t now_ns);

/* Tell of those for which it has been so long enough, if it still is. */
void node_events_look(struct node_events *n, const struct cluster_snapshot *snapshot,
                      struct recorder *recorder, uint64_t now_ns);

#endif
