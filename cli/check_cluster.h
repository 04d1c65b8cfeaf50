/* SPDX-License-Identifier: Apache-2.0 */
/* `check` of a directory: what is known of the nodes that its objects make up, and what is not. */
#ifndef CLI_CHECK_CLUSTER_H
#define CLI_CHECK_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

struct err;
struct kube_document;

/* Where one Node or NodeResourceTopology stands. */
struct check_place {
    char *name, *path;
    uint32_t line, column;
    bool is_report;
};

/* Zero-initialise. */
struct check_cluster {
    struct buf said; /* lines that were printed: nothing is told twice */
    struct check_place *places;
    size_t n_places, room;
    uint64_t warnings;
    bool failed; /* out of memory */
};

/* A line of output: printed, and remembered. */
void check_cluster_say(struct check_cluster *c, const char *path, uint32_t line, uint32_t column,
                       const char *text);

/* Remember where a document of a node stands; of several of one name the first. */
void check_cluster_note(struct check_cluster *c, const struct kube_document *doc);

/*
 * Print what a server that reads `dir` would not know, or would warn of: one line a finding, at the
 * place of the node's objects, and one line for all nodes of which the same is assumed. Nothing
 * where there are no nodes. 0, or -errno when the directory cannot be read.
 */
int check_cluster_dir(struct check_cluster *c, const char *dir, struct err *err) MUST_CHECK;

void check_cluster_done(struct check_cluster *c);

#endif
