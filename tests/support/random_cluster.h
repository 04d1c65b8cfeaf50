/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small cluster that changes at random, and pods of few shapes that ask: for properties of
 * decisions that must hold whatever happens in between.
 */
#ifndef TESTS_SUPPORT_RANDOM_CLUSTER_H
#define TESTS_SUPPORT_RANDOM_CLUSTER_H

#include <stdint.h>

#include "cluster/cluster.h"
#include "scoring/request.h"

enum { RANDOM_NODES = 7, RANDOM_NAMES = RANDOM_NODES + 1 };

/* Names of all nodes there ever are, and of one there never is. */
extern const struct str random_names[RANDOM_NAMES];

/* About when its nodes were observed, where they say so: microseconds since 1970. */
extern const int64_t random_observed_us;

/*
 * A Node and its NodeResourceTopology, a pod on a node, a policy or a signal comes, changes or
 * goes, or the labels of the pods' namespace do; settled.
 */
void random_change(const struct source_sink *sink, uint64_t *seed);

/* Few shapes, so that they come again: 1 to 2 containers, some with a GPU, some Burstable. */
enum { RANDOM_HINTS = 2 };

struct random_pod {
    struct pod_hint hints[RANDOM_HINTS];
    uint64_t label;
    struct pod_amount amounts[2][3];
    struct pod_container c[2];
    struct score_pod pod;
};
void random_pod(struct random_pod *out, uint64_t *seed);

#endif
