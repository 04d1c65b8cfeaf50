/* SPDX-License-Identifier: Apache-2.0 */
/* One pod and one node, both as JSON with single quotes, ready to be judged. */
#ifndef TESTS_VECTORS_ONE_NODE_H
#define TESTS_VECTORS_ONE_NODE_H

#include <stdlib.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

/* Two zones, each a socket of 4 cores without SMT (0-3, 4-7), 8 GiB less 1, and a GPU; before these
   other devices, each with a comma behind it. */
#define TWO_ZONES_AND(devices, kubelet)                                                            \
    "{'zones':[{'id':0,'distances':[10,21],'cores':[{'socket':0,'uncore':0,'cpus':[0]},"           \
    "{'socket':0,'uncore':0,'cpus':[1]},{'socket':0,'uncore':0,'cpus':[2]},"                       \
    "{'socket':0,'uncore':0,'cpus':[3]}],'memory':{'total':8589934592,'reserved':1073741824}},"    \
    "{'id':1,'distances':[21,10],'cores':[{'socket':1,'uncore':1,'cpus':[4]},"                     \
    "{'socket':1,'uncore':1,'cpus':[5]},{'socket':1,'uncore':1,'cpus':[6]},"                       \
    "{'socket':1,'uncore':1,'cpus':[7]}],'memory':{'total':8589934592,'reserved':1073741824}}],"   \
    "'devices':[" devices "{'resource':'example.com/gpu','id':'g0','zones':[0],'healthy':true},"   \
    "{'resource':'example.com/gpu','id':'g1','zones':[1],'healthy':true}],"                        \
    "'kubelet':{" kubelet                                                                          \
    ",'cpuManagerPolicy':'static','reservedCPUs':'0','memoryManagerPolicy':'Static'}}"
#define TWO_ZONES(kubelet) TWO_ZONES_AND("", kubelet)
#define SINGLE             TWO_ZONES("'topologyManagerPolicy':'single-numa-node'")
#define RESTRICTED         TWO_ZONES("'topologyManagerPolicy':'restricted'")
#define BEST               TWO_ZONES("'topologyManagerPolicy':'best-effort'")

#define POD(limits) "{'uid':'p','containers':[{'name':'main','limits':{" limits "}}]}"

static const struct score_context no_clock = {0};

struct fixture {
    struct arena a;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    json_t *node_json, *pod_json;
    char *room;
};

static inline void ask(struct fixture *f, const char *node, const char *pod)
{
    enum { ROOM = 1 << 20 };

    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, node, &f->node_json, &f->a);
    vector_pod_text(&f->pod, pod, &f->pod_json, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
}

static inline void end(struct fixture *f)
{
    json_decref(f->node_json);
    json_decref(f->pod_json);
    arena_rewind(&f->a, 0);
    free(f->room);
}

#endif
