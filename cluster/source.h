/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface behind which the cluster's objects come: from a directory of manifests, or from
 * an API server. A source delivers deltas. Where it has to read everything again it says so, and
 * what is as it was costs nothing.
 */
#ifndef CLUSTER_SOURCE_H
#define CLUSTER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "kube/object.h"

enum source_verb { SOURCE_UPSERT, SOURCE_DELETE };
enum source_kind {
    SOURCE_NODE,
    SOURCE_NRT,
    SOURCE_POD,
    SOURCE_WORKLOAD,
    SOURCE_NAMESPACE,
    SOURCE_POLICY, /* ConcurrencyPolicy */
    SOURCE_SIGNAL,
    /* The next three are shelves of a snapshot (cluster/shelf.h). */
    SOURCE_BUDGET,      /* PodDisruptionBudget */
    SOURCE_QUOTA,       /* ResourceQuota */
    SOURCE_LIMIT_RANGE, /* LimitRange */
    /* Of the operator; cluster.c passes them over. */
    SOURCE_LOCK_POLICY,
    SOURCE_ADJUSTMENT,
    SOURCE_DEADLOCK,
};

/* One change. For SOURCE_DELETE only kind, type, ns and name are set. Borrowed during the call. */
struct source_delta {
    enum source_verb verb;
    enum source_kind kind;
    struct str type; /* the manifest's kind, "Deployment": workloads of one name differ by it */
    struct str ns, name;
    struct str resource_version;
    uint64_t version; /* the same as a number, where it can be compared; 0 = it cannot */
    bool unlisted;    /* no list names it, and none says by that that it is gone */
    struct str json;  /* the object's text, followed by 64 readable bytes: the sink decodes it into
                         memory of its own */
};

/* Who takes the deltas: cluster.c. */
struct source_sink {
    /* 0, or a negative errno when the object does not decode; then its last good version stays,
       and the source reports where it came from. -ENOMEM: it has to come again. */
    int (*delta)(void *ctx, const struct source_delta *delta, struct err *err);
    /*
     * A source that lists: between the two come all objects of a kind that there are, and what does
     * not is gone. An object of the version that is known, or of a lower one, is passed over,
     * unless `again`: then versions went backwards, and what comes is right. A list that is not
     * ended is begun anew.
     */
    void (*begin)(void *ctx, enum source_kind kind, bool again);
    void (*end)(void *ctx, enum source_kind kind);
    /* The first complete listing is through; and after each batch of later changes. */
    void (*settled)(void *ctx);
    void *ctx;
};

#endif
