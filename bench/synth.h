/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up cluster as a directory, changes to it, and pods of many shapes. */
#ifndef BENCH_SYNTH_H
#define BENCH_SYNTH_H

#include <stdint.h>

#include "base/buf.h"

/* One file a node: Node and NodeResourceTopology with the attributes of an exact node. */
void synth_cluster(const char *dir, uint32_t nodes, uint32_t zones);

/* Rewrite the file of node i as its `round`-th version (temporary file and rename). */
void synth_change(const char *dir, uint32_t i, uint32_t zones, uint32_t round);

/* ["node-00000", ...] */
void synth_names(struct buf *out, uint32_t nodes);

/* The Pod of a shape: Guaranteed, CPUs and memory differ by shape; some ask for devices. */
void synth_pod(struct buf *out, uint64_t shape);

#endif
