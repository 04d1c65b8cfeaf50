/* SPDX-License-Identifier: Apache-2.0 */
/* What `numawise simulate` works on: a cluster directory as it is or with changes, and workloads.
 */
#ifndef CLI_SIMULATE_INPUT_H
#define CLI_SIMULATE_INPUT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "decide/simulate.h"

struct cluster;
struct err;
struct numawise_config;

enum { SIMULATE_MAX_SETS = 64, SIMULATE_MAX_FILES = 64, SIMULATE_MAX_NODES = 20000 };

/* A kubelet's setting as the flag --set gives it: node/NODE.topologyManagerPolicy=restricted. */
struct simulate_set {
    struct str node;      /* "*" = all */
    struct str attribute; /* of the NodeResourceTopology, with its prefix */
    struct str value;
};

/* 0; -EINVAL with what is wrong in `err`. Borrows the text. */
int simulate_set_parse(struct simulate_set *out, const char *text, struct err *err) MUST_CHECK;

/* What is different from the directory. Borrowed. */
struct simulate_changes {
    uint32_t nodes; /* how many there are: the directory's in turn, or the first of them; 0 = all */
    const struct simulate_set *sets; /* [n_sets] */
    uint32_t n_sets;
    const char *policy; /* file of ConcurrencyPolicies that come on top; NULL = none */
};

/*
 * A cluster that rehearses, of the directory in `config` and the changes. Nothing grows stale in
 * it. What is broken in the directory is told on stderr. 0; -ENOENT (a set names a node that is
 * not there, the policy file has none), -EINVAL (the policy file has an error), -errno as
 * directory_open. The caller frees the cluster.
 */
int simulate_cluster(struct cluster **out, const struct numawise_config *config,
                     const struct simulate_changes *changes, struct err *err) MUST_CHECK;

/* Workloads of files; owns what the shapes borrow. Zero-initialise. */
struct simulate_workloads {
    struct simulate_shape shapes[SIMULATE_MAX_SHAPES];
    uint32_t n;
    struct arena arena;
    void *room;
};

/*
 * Add the pods and workloads of a file, or of all manifests of a directory, in the order of their
 * names. `ns`: where one is that names no namespace; NULL = "default". A share is the number of
 * replicas. 0; -ENOENT (there is none), -EINVAL (what does not decode, with its place), -E2BIG,
 * -ENOMEM, -errno when it cannot be read.
 */
int simulate_workloads_read(struct simulate_workloads *w, const char *path, const char *ns,
                            struct err *err) MUST_CHECK;
void simulate_workloads_done(struct simulate_workloads *w);

/* "NAME=N" or "NS/NAME=N": how often it arrives. 0; -EINVAL, -ENOENT. */
int simulate_workloads_mix(struct simulate_workloads *w, const char *text,
                           struct err *err) MUST_CHECK;

#endif
