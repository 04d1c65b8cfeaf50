/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `check` of a directory: what is known of the nodes that its objects make up, and what is not;
 * which policies do not count.
 */
#ifndef CLI_CHECK_CLUSTER_H
#define CLI_CHECK_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

struct err;
struct kube_document;

enum check_kind { CHECK_NODE, CHECK_REPORT, CHECK_POLICY };

/* Where one Node, NodeResourceTopology or ConcurrencyPolicy stands. */
struct check_place {
    char *name, *path;
    uint32_t line, column;
    enum check_kind kind;
};

/* Zero-initialise. */
struct check_cluster {
    struct buf said; /* lines that were printed: nothing is told twice */
    struct check_place *places;
    size_t n_places, room;
    char **namespaces; /* that objects are in */
    size_t n_namespaces, namespace_room;
    uint64_t warnings;
    bool failed; /* out of memory */
};

/* A line of output: printed, and remembered. */
void check_cluster_say(struct check_cluster *c, const char *path, uint32_t line, uint32_t column,
                       const char *text);

/* Remember where a document stands, if it is of these kinds, and what namespace it is in. */
void check_cluster_note(struct check_cluster *c, const struct kube_document *doc);

/*
 * Print what a server that reads `dir` would not know, or would warn of: one line a finding, at the
 * place of the objects, and one line for all nodes of which the same is assumed. 0, or -errno when
 * the directory cannot be read.
 */
int check_cluster_dir(struct check_cluster *c, const char *dir, struct err *err) MUST_CHECK;

void check_cluster_done(struct check_cluster *c);

#endif
