/* SPDX-License-Identifier: Apache-2.0 */
/* LimitRange v1: what one container, or one pod, of a namespace may ask for. */
#ifndef KUBE_LIMIT_RANGE_H
#define KUBE_LIMIT_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct err;
struct pod_amount;
struct score_pod;

#define KUBE_LIMIT_RANGE_KIND "LimitRange"
#define KUBE_LIMIT_RANGE_API  "v1"

enum { KUBE_LIMITS_MAX = 64 /* items of one LimitRange */ };

/* Amounts in the unit of their kind; those of `ratio` are thousandths. */
struct kube_limit {
    bool of_pod; /* else of each container */
    const struct pod_amount *min, *max, *limit, *request, *ratio;
    uint32_t n_min, n_max, n_limit, n_request, n_ratio; /* limit, request: what is not said is */
};

struct kube_limit_range {
    struct str ns, name;
    const struct kube_limit *limits; /* [n] those of containers and pods */
    uint32_t n;
};

/*
 * As the decoders of kube/object.h. Defaults are completed as the API server does it when it stores
 * the object: of containers the default limit is the maximum, the default request the default
 * limit, else the minimum.
 */
int kube_limit_range_decode(struct kube_limit_range *out, struct str json, struct arena *a,
                            struct err *err) MUST_CHECK;

/*
 * A pod that is being made: what its containers do not say is what the LimitRange has for them.
 * `*pod` becomes another one, in the arena, where that changes anything. 0, -ENOMEM.
 */
int kube_limit_range_default(const struct score_pod **pod, const struct kube_limit_range *r,
                             struct arena *a) MUST_CHECK;

/*
 * Does it let the pod be, made or resized (plugin LimitRanger)? Else `why` says which rule of it
 * does not, in the words of people.
 */
bool kube_limit_range_allows(const struct kube_limit_range *r, const struct score_pod *pod,
                             char *why, size_t room);

#endif
