/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AdjustResources, the judgement: can a pod have other resources, how, and if not, what is the most
 * that it can have. Reads a snapshot; changes nothing.
 *
 * In place, by the rules of Kubernetes (KEP-1287; kubelet: canResizePod): cpu and memory alone, the
 * QoS class stays, not a static pod, not an init container, not a Guaranteed pod where the CPU or
 * Memory Manager is static, not more than the node has in all; what the node has not now is
 * Deferred. Anything else needs a pod that is made anew.
 */
#ifndef OPERATOR_ADJUST_H
#define OPERATOR_ADJUST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/adjustment.h"

struct arena;
struct cluster_snapshot;

/* By the words of status.outcome and status.path. */
enum adjust_outcome {
    ADJUST_FEASIBLE,
    ADJUST_APPLIED,
    ADJUST_OFFERED,
    ADJUST_INFEASIBLE,
    ADJUST_WITHDRAWN,
    ADJUST_OUTCOMES,
};
enum adjust_path { ADJUST_IN_PLACE, ADJUST_RECREATE, ADJUST_HINTS, ADJUST_NONE };
extern const char *const adjust_outcome_words[ADJUST_OUTCOMES];
extern const char *const adjust_path_words[4];

/* How long an offer stands, unless what it takes is gone before. */
enum { ADJUST_OFFER_S = 300 };

/* Resources of a container; FIELD_NONE = it says nothing of that one. */
struct adjust_amounts {
    int64_t cpu, cpu_limit;       /* millicores */
    int64_t memory, memory_limit; /* bytes */
};

/* What a resize in place is. */
struct adjust_resize {
    char uid[64], container[64]; /* of the pod; which of its containers */
    struct adjust_amounts from, to;
    bool restarts;  /* its resizePolicy restarts the container */
    bool opted_out; /* the pod says that it is to be left alone */
    bool alone;     /* nothing but cpu and memory is asked for */
};

struct adjust_answer {
    enum adjust_outcome outcome;
    enum adjust_path path;
    const char *reason; /* one word, a literal */
    bool taken;         /* FEASIBLE, for it was offered and somebody has taken the offer */
    const char *field;  /* of the spec, where the target is at fault; else NULL */
    char message[512];
    char action[512];            /* "would ...", what would be done; empty: nothing */
    struct adjust_resize resize; /* FEASIBLE, IN_PLACE */
    char pod[254];               /* the name of the target */
    char node[254];              /* where the pod is, or would be */
    /* OFFERED, or taken: what can be had there; FIELD_NONE = not asked for. */
    int64_t cpu_shares, memory_mb, gpu_slots, lock_limit;
};

/*
 * What becomes of `wanted`, of an object in the namespace `ns`. The arena is used and rewound. 0,
 * -ENOMEM.
 */
int adjust_judge(struct adjust_answer *out, const struct cluster_snapshot *s, struct str ns,
                 const struct kube_adjustment *wanted, int64_t now_us, struct arena *a) MUST_CHECK;

/* Can what was offered still be had, on that node and in that way? 0, -ENOMEM. */
int adjust_still_holds(bool *out, const struct cluster_snapshot *s, struct str ns,
                       const struct kube_adjustment *wanted, const struct adjust_answer *offer,
                       int64_t now_us, struct arena *a) MUST_CHECK;

#endif
