/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many decisions, each on what those before left: pods arrive and end on a cluster that is kept in
 * memory only. Verdicts, scores and where pods end up are those of decide/, scoring/ and cluster/;
 * what is added here is who chooses a node, and the figures. The same input gives the same result.
 */
#ifndef DECIDE_SIMULATE_H
#define DECIDE_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/request.h"
#include "scoring/verdict.h"

struct cluster;
struct err;
struct node_view;

enum {
    SIMULATE_MAX_PODS = 100000,
    SIMULATE_MAX_SHAPES = 256,
    SIMULATE_POINTS = 200,  /* of a course, about */
    SIMULATE_ZONE_BINS = 4, /* no zone of its own, one, two, more */
};

/* Pods of one workload. Borrowed. */
struct simulate_shape {
    struct str kind, json; /* the object, as kube_pod_decode takes it */
    struct score_pod pod;  /* what it decodes to */
    uint32_t share;        /* of the arrivals, against the sum of all shares; at least 1 */
};

/* Who chooses the node. */
enum simulate_placer {
    SIMULATE_STOCK,    /* kube-scheduler alone: sums */
    SIMULATE_NUMAWISE, /* kube-scheduler with numawise as its extender */
};

struct simulate_options {
    const struct simulate_shape *shapes; /* [n_shapes] */
    uint32_t n_shapes;
    enum simulate_placer placer;
    uint32_t pods;     /* arrivals, 1..SIMULATE_MAX_PODS */
    uint32_t lifetime; /* mean, in arrivals: uniform in 1..2*lifetime-1; 0 = for ever */
    uint32_t tries;    /* how often a pod that a kubelet refuses is made, at least 1 */
    uint32_t weight;   /* of the extender in kube-scheduler's configuration */
    uint32_t max_score;
    uint64_t seed;
    /* Called after each arrival; `node` is where the pod runs, NULL = nowhere. May be NULL. */
    void (*arrived)(void *ctx, uint32_t pod, uint32_t shape, const struct node_view *node,
                    uint32_t refusals);
    void *ctx;
};

/* The cluster and what happened so far, after some arrival. */
struct simulate_point {
    uint32_t arrived, running, refusals, unplaced;
    uint32_t broken;   /* permille, simulate_broken_cpus */
    uint32_t distance; /* mean access distance of the pods placed so far, thousandths; 0 = none */
};

struct simulate_shape_result {
    uint32_t arrived, placed, refusals;
    uint32_t room_before, room_after; /* nodes that have room in sum, and a kubelet that admits */
};

struct simulate_result {
    uint32_t nodes, unknown_nodes; /* of the latter nobody knows the zones */
    uint32_t arrived, placed, ended;
    uint32_t pending;  /* no node was left to choose */
    uint32_t given_up; /* refused at every try */
    uint32_t blind;    /* of the placed ones, those on nodes whose zones are not known */
    uint32_t refusals; /* by kubelets, of one pod as many as there were */
    uint32_t by_reason[SCORE_REASONS];
    uint32_t zones[SIMULATE_ZONE_BINS]; /* pods placed by the zones that they hold something in */
    uint32_t broken_cpus[2], broken_devices[2]; /* permille, before and after */
    uint32_t distance;                          /* thousandths, as in simulate_point */
    uint32_t nodes_used;                        /* a pod was placed there */
    uint32_t cpu_least, cpu_mean, cpu_most; /* permille of a node's CPUs requested, at the end */
    struct simulate_point *points;          /* [n_points] */
    uint32_t n_points;
    struct simulate_shape_result *shapes; /* [n_shapes] */
};

/*
 * Run on a cluster that `rehearses` (cluster_options), has settled, and is nobody else's; it is
 * left as the pods leave it. 0; -ENOMEM; -EINVAL (a pod that the cluster does not take, `err`).
 * simulate_result_done frees what `out` holds.
 */
int simulate_run(struct simulate_result *out, struct cluster *cluster,
                 const struct simulate_options *options, struct err *err) MUST_CHECK;
void simulate_result_done(struct simulate_result *r);

/*
 * Kube-scheduler's NodeResourcesFit with its default strategy LeastAllocated, cpu and memory alike:
 * the mean of (allocatable - requested) * 100 / allocatable, each rounded down, the pod included;
 * 0 where the node says nothing of them. 0..100.
 */
uint32_t simulate_least_allocated(const struct score_pod *pod, const struct node_view *node);

/*
 * How broken the free stock is: of a free unit, how much of its zone is taken, mean over all free
 * units, permille. Sums over zones: add each, then read.
 *
 *   broken = 1000 * (1 - sum(f * f) / sum(f * w))     f free of w units of a zone
 *
 * 0: every zone that has anything free is wholly free. The same squares as in
 * scoring/fragmentation.h. Rounded down.
 */
struct simulate_broken {
    uint64_t free_free, free_whole;
};
void simulate_broken_cpus(struct simulate_broken *sum, const struct node_view *node);
void simulate_broken_devices(struct simulate_broken *sum, const struct node_view *node);
uint32_t simulate_broken(const struct simulate_broken *sum);

/* The arrivals: splitmix64 (Steele, Lea, Flood 2014) from `state`, and a number below n >= 1. */
uint64_t simulate_random(uint64_t *state, uint64_t n);

#endif
