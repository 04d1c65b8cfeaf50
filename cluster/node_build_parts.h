/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the node builder share; private to cluster/node_build*.c. */
#ifndef CLUSTER_NODE_BUILD_PARTS_H
#define CLUSTER_NODE_BUILD_PARTS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "cluster/node_build.h"

/* A view under construction: the same arrays as in `v`, still writable. */
struct node_build {
    const struct node_inputs *in;
    const struct kube_nrt *nrt;
    struct node_view v;
    struct arena *a, *scratch;
    const struct topo_cpu *cpus; /* machine.cpus */
    struct node_device *device;  /* v.devices */
    struct node_nic *nic;        /* v.nics */
    struct err why;              /* the words of node_build_refuse */
};

/* Stop with a knowledge other than NODE_KNOWN, for the reason given. Returns -ECANCELED. */
int node_build_refuse(struct node_build *b, enum node_knowledge knowledge, const char *fmt, ...)
    PRINTF(3, 4);

/* All: 0, -ENOMEM, -ECANCELED after node_build_refuse. */
int node_build_fit(struct node_build *b) MUST_CHECK;      /* the Node's sums; never refused */
int node_build_machine(struct node_build *b) MUST_CHECK;  /* zones, distances, CPUs, reserved */
int node_build_memory(struct node_build *b) MUST_CHECK;   /* types, totals, free, groups */
int node_build_devices(struct node_build *b) MUST_CHECK;  /* resources, devices, who is held */
int node_build_places(struct node_build *b) MUST_CHECK;   /* after the devices */
int node_build_cpu_free(struct node_build *b) MUST_CHECK; /* after the machine */
int node_build_pods(struct node_build *b) MUST_CHECK;     /* last, on a complete view */

/*
 * What the pods [n] and the signals make of the node; from[i] is what pods[i] was made of, NULL
 * where only the report knows it. Plain pods are on the node, too, and hold nothing.
 */
int node_build_load(struct node_build *b, struct node_pod *pods,
                    const struct score_pod *const *from, uint32_t n,
                    const struct score_pod *const *plain, uint32_t n_plain) MUST_CHECK;

/* The sums over the zones against the Node object. */
int node_build_check(struct node_build *b) MUST_CHECK;

/* The zone's figures of one resource; NULL when it has none. */
const struct kube_nrt_resource *node_build_resource(const struct kube_nrt_zone *z, struct str name);

/* The index of one device, or -1. */
int64_t node_build_find_device(const struct node_view *v, struct str resource, struct str id);

#endif
