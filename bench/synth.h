/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made-up clusters: nodes of `zones` zones, two of them a socket, each with 32 CPUs, 256 GiB and
 * two GPUs, and two NICs a node; single-numa-node and restricted in turns, published as the agent
 * does: CPU lists, memory groups, devices, PCI paths, placements, a time. The load of a zone
 * depends on node and round. And the pods and node lists that kube-scheduler would send about them.
 */
#ifndef BENCH_SYNTH_H
#define BENCH_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Loads come again: there are 32 likenesses of nodes, whatever their number. True: no two nodes are
 * alike, for what their pods hold of memory differs; nothing that is found out for one helps with
 * another.
 */
extern bool synth_unlike;

/* Topology Manager policy of all nodes; NULL: single-numa-node and restricted in turns. */
extern const char *synth_policy;

/* A Node and its NodeResourceTopology, as a List in JSON. */
void synth_node(struct buf *out, uint32_t i, uint32_t zones, uint32_t round);

/* How a cluster lies in a directory. */
enum synth_form {
    SYNTH_JSON,      /* a file a node */
    SYNTH_YAML,      /* a file a node, two documents, as kubectl prints them */
    SYNTH_JSON_LIST, /* one file: a List of all */
    SYNTH_YAML_LIST,
    SYNTH_FORMS,
};
extern const char *const synth_forms[SYNTH_FORMS];

/* Write the whole cluster of `nodes` nodes below `dir`; exits with a message on failure. */
void synth_cluster(const char *dir, uint32_t nodes, uint32_t zones, enum synth_form form);

/* SYNTH_JSON: node `i` again, with another load; `round` tells one change from the next. */
void synth_change(const char *dir, uint32_t i, uint32_t zones, uint32_t round);

/* The same in two steps, so that many nodes change at once: write aside, then rename. */
void synth_prepare(const char *dir, uint32_t i, uint32_t zones, uint32_t round);
void synth_commit(const char *dir, uint32_t i);

/*
 * To make up a node takes half a millisecond, which stands for other machines' work and is no part
 * of what is measured: the calling process goes on only where a CPU has nothing else to do.
 */
void synth_stand_aside(void);

/* All names as a JSON array, and as kube-scheduler's NodeList of whole objects, 16 KB each. */
void synth_names(struct buf *out, uint32_t nodes);
void synth_nodes(struct buf *out, uint32_t nodes);

/* A Guaranteed pod as kube-scheduler sends it; every `shape` differs in what it asks for. */
void synth_pod(struct buf *out, uint64_t shape);

#endif
