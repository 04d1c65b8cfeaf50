/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of AdjustResources: adjust.c finds the target and says what comes of it,
 * adjust_rules.c says what may be, adjust_quota.c what the namespace allows, adjust_offer.c looks
 * for a place and for the most that can be had.
 */
#ifndef OPERATOR_ADJUST_PARTS_H
#define OPERATOR_ADJUST_PARTS_H

#include "cluster/snapshot.h"
#include "kube/fields.h"
#include "operator/adjust.h"
#include "scoring/evaluate.h"

enum { ADJUST_MB = 1 << 20 };

/* What is being judged. Amounts: millicores, 2^20 bytes, devices; FIELD_NONE stays as it is. */
struct amounts {
    int64_t cpu, memory, gpu;
};

/* A ResourceQuota of the namespace with what is taken of it. */
struct adjust_quota {
    const struct kube_quota *quota;
    int64_t *used; /* [quota->n] */
};

struct judge {
    const struct cluster_snapshot *s;
    const struct kube_adjustment *wanted;
    struct cluster_pod room;
    const struct score_pod *pod; /* or the template of a workload, with the namespace's defaults */
    bool is_pod;
    uint32_t container;
    enum pod_qos qos;
    struct str gpu; /* the resource of gpuSlots; empty = none is known */
    struct amounts now, asked;
    const struct node_view *node;      /* of a pod that runs; may be NULL */
    const struct adjust_quota *quotas; /* [n_quotas] of the namespace */
    uint32_t n_quotas;
    const struct kube_limit_range *const *ranges; /* [n_ranges] of the namespace */
    uint32_t n_ranges;
    struct score_context context;
    struct adjust_answer *answer;
    struct arena *a;
    uint32_t looks; /* nodes that may still be looked at */
    int rc;
};

/* The reason, a literal, and the message. */
void adjust_say(struct judge *j, const char *reason, const char *fmt, ...) PRINTF(3, 4);
void adjust_name_node(struct judge *j, const struct node_view *v); /* NULL: none */

/* --- adjust_rules.c --- */

/* The pod as it would be, in the arena. NULL: no memory. */
const struct score_pod *adjust_modify(const struct judge *j, const struct amounts *m);

/* What the resize to `p` is, which is j->pod as it would be. */
void adjust_describe(const struct judge *j, const struct score_pod *p, struct adjust_resize *out);

/* May `p`, which is j->pod with `m`, be, wherever it is? And where it is? False: it is said why. */
bool adjust_check_anywhere(struct judge *j, const struct score_pod *p);
bool adjust_check_in_place(struct judge *j, const struct amounts *m, const struct score_pod *p);

/* --- adjust_quota.c --- */

/*
 * Gather what limits the namespace of j->pod; of a template, j->pod is then one with the defaults
 * of its LimitRanges, as pods are made of it. 0, -ENOMEM.
 */
int adjust_read_limits(struct judge *j) MUST_CHECK;

/* False: a LimitRange or a ResourceQuota is against `p` in the place of j->pod, and it is said. */
bool adjust_check_limits(struct judge *j, const struct score_pod *p);

/* --- adjust_offer.c --- */

/* Where a pod of these amounts would be let in: `first`, or the first by name; NULL: nowhere. */
const struct node_view *adjust_find_node(struct judge *j, const struct amounts *m,
                                         const struct node_view *first);

/* May it have these amounts, where it is, or wherever it is? What is said of it is dropped. */
bool adjust_has_room_in_place(struct judge *j, const struct amounts *m);
bool adjust_may_have(struct judge *j, const struct amounts *m);

/* Offer exactly this; offer the most there is, if it is more than now; of locks what is allowed. */
void adjust_offer(struct judge *j, const struct amounts *m, enum adjust_path path);
bool adjust_negotiate(struct judge *j, enum adjust_path path);
void adjust_negotiate_locks(struct judge *j);

#endif
