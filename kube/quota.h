/* SPDX-License-Identifier: Apache-2.0 */
/* ResourceQuota v1, as the API server counts by it when a pod is made or resized. */
#ifndef KUBE_QUOTA_H
#define KUBE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/labels.h"
#include "scoring/request.h"

struct arena;
struct err;

#define KUBE_QUOTA_KIND "ResourceQuota"
#define KUBE_QUOTA_API  "v1"

enum kube_quota_scope {
    KUBE_QUOTA_TERMINATING = 1 << 0, /* pods with activeDeadlineSeconds */
    KUBE_QUOTA_NOT_TERMINATING = 1 << 1,
    KUBE_QUOTA_BEST_EFFORT = 1 << 2,
    KUBE_QUOTA_NOT_BEST_EFFORT = 1 << 3,
    KUBE_QUOTA_NO_POD = 1 << 4, /* a scope that is of no pod, or is not modelled */
};

/* What is counted of pods: the sum of their requests, of their limits, or they themselves. */
enum kube_quota_of { KUBE_QUOTA_REQUESTS, KUBE_QUOTA_LIMITS, KUBE_QUOTA_PODS };

struct kube_quota_entry {
    struct str name; /* "requests.cpu" */
    enum kube_quota_of of;
    struct str resource; /* "cpu": the end of the name */
    enum pod_resource_kind kind;
    int64_t hard, used; /* in the unit of the kind; used -1 = nobody says */
};

struct kube_quota {
    struct str ns, name;
    uint32_t scopes;                        /* enum kube_quota_scope: all of them must hold */
    struct score_selector priority;         /* on the one label that is pod->priority_class */
    const struct kube_quota_entry *entries; /* [n] what is limited and is of pods */
    uint32_t n;
};

/*
 * As the decoders of kube/object.h. What counts is status.hard, as the API server does it; where
 * there is no status, spec.hard.
 */
int kube_quota_decode(struct kube_quota *out, struct str json, struct arena *a,
                      struct err *err) MUST_CHECK;

/* Is the pod one of those that the quota counts? */
bool kube_quota_covers(const struct kube_quota *q, const struct score_pod *pod);

/* How much of it a pod takes: spec.resources and containers as score_requested sums them. */
int64_t kube_quota_usage(const struct kube_quota_entry *e, const struct score_pod *pod);

/*
 * A quota of cpu or memory is also a duty: each container must say how much (Kubernetes keeps this
 * for compatibility). The first container that does not; NULL.
 */
const struct pod_container *kube_quota_unsaid(const struct kube_quota_entry *e,
                                              const struct score_pod *pod);

#endif
