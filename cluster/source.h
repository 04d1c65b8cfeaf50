/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface behind which the cluster's objects come: from a directory of manifests today,
 * from an API server tomorrow. A source delivers deltas, never "everything again".
 */
#ifndef CLUSTER_SOURCE_H
#define CLUSTER_SOURCE_H

#include <stdint.h>

#include "base/str.h"
#include "kube/object.h"

enum source_verb { SOURCE_UPSERT, SOURCE_DELETE };
enum source_kind { SOURCE_NODE, SOURCE_NRT, SOURCE_POD, SOURCE_WORKLOAD };

/* One change. For SOURCE_DELETE only kind, type, ns and name are set. Borrowed during the call. */
struct source_delta {
    enum source_verb verb;
    enum source_kind kind;
    struct str type; /* the manifest's kind, "Deployment": workloads of one name differ by it */
    struct str ns, name;
    struct str resource_version;
    struct str json; /* the object's text, followed by 64 readable bytes: the sink decodes it into
                        memory of its own */
};

/* Who takes the deltas: cluster.c. */
struct source_sink {
    /* 0, or a negative errno when the object does not decode; then its last good version stays,
       and the source reports where it came from. */
    int (*delta)(void *ctx, const struct source_delta *delta, struct err *err);
    /* The first complete listing is through; and after each batch of later changes. */
    void (*settled)(void *ctx);
    void *ctx;
};

#endif
