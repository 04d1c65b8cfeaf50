/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the resources of a pod in place (the subresource pods/resize) for a ResourceAdjustment,
 * as pure state: may it be done, what is recorded of it, what a pod and an answer say. resizing.c
 * drives it. The order is that of act.h: intention, look, call, outcome; then the kubelet is
 * watched, and what it does not take is given back.
 */
#ifndef OPERATOR_RESIZE_H
#define OPERATOR_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "operator/adjust.h"

struct buf;
struct emit;
struct kube_answer;

enum {
    RESIZE_LOOK_MS = 5000,     /* how often it is looked whether one may be begun, or has come */
    RESIZE_ASKED_S = 600,      /* so long what a caller asked for is tried */
    RESIZE_MOST_PER_HOUR = 30, /* of all namespaces */
    RESIZE_ATTEMPTS = 10,      /* of one generation of a ResourceAdjustment */
    RESIZE_REVERTS = 3,        /* tries to give back */
};

/* --- may it be done? --- */

/* Looked at before the intention, and again right before the call. */
struct resize_facts {
    bool on;         /* operator.act: Enforce */
    bool enforced;   /* the policy's spec.adjustment.mode */
    bool wanted;     /* not spec.dryRun */
    bool in_place;   /* cpu and memory of a pod that exists, and nothing beside them */
    bool opted_out;  /* the pod says that it is to be left alone */
    bool restarts;   /* the container's resizePolicy would restart it */
    bool reversible; /* what changes was asked for before: a request cannot be taken away again */
    bool reachable;  /* there is an API server */
    bool elected;    /* replicas agree by a Lease on who leads */
    bool asked;      /* a caller whom this replica knows has asked for exactly this */
    bool may;        /* he may patch pods/resize of that pod; before that is asked true */
    bool leads;      /* now */
    bool same_epoch; /* as when the intention was made; before that true */
    bool read;       /* all ResourceAdjustments, and the cluster, were read once */
    uint64_t age_ns; /* of what is known of pods */
    bool ended;      /* this generation has led to something already */
    uint32_t attempts;
    bool waits;  /* after a refusal */
    bool busy;   /* another act is under way, or has just been */
    bool closed; /* the circuit breaker */
    uint32_t in_hour, in_namespace, most_in_namespace; /* acts of the last hour */
    bool settles;                                      /* another resize of the pod is under way */
    bool same_size; /* pod, container and amounts are those of the intention; before that true */
    bool fits;      /* it is still judged Feasible */
};

enum resize_hold {
    RESIZE_GO,
    RESIZE_UNWANTED,
    RESIZE_DRY_RUN,
    RESIZE_OFF,
    RESIZE_OTHERWISE,
    RESIZE_OPTED_OUT,
    RESIZE_RESTARTS,
    RESIZE_ONE_WAY,
    RESIZE_UNREACHABLE,
    RESIZE_NO_LEASE,
    RESIZE_NOT_ASKED,
    RESIZE_MAY_NOT,
    RESIZE_NOT_LEADER,
    RESIZE_EPOCH,
    RESIZE_UNREAD,
    RESIZE_AGED,
    RESIZE_ENDED,
    RESIZE_GIVEN_UP,
    RESIZE_WAITS,
    RESIZE_BUSY,
    RESIZE_OPEN,
    RESIZE_MOST,
    RESIZE_MOST_HERE,
    RESIZE_SETTLES,
    RESIZE_OTHER_SIZE,
    RESIZE_UNFIT,
    RESIZE_HOLDS,
};
extern const char *const resize_hold_reasons[RESIZE_HOLDS]; /* NULL: of this moment */
extern const char *const resize_hold_words[RESIZE_HOLDS];

enum resize_hold resize_look(const struct resize_facts *f);

/* --- what is recorded: status.act of a ResourceAdjustment --- */

enum resize_outcome {
    RESIZE_NOTHING,
    RESIZE_INTENDED,   /* what came of it is not known */
    RESIZE_REQUESTED,  /* the API server took it, and the kubelet has not changed it yet */
    RESIZE_APPLIED,    /* it has */
    RESIZE_REVERTING,  /* it will not: the former size is asked for, or perhaps is */
    RESIZE_REVERTED,   /* the pod has its former size */
    RESIZE_GONE,       /* there is no such pod any more */
    RESIZE_REFUSED,    /* by the API server */
    RESIZE_SUPPRESSED, /* it was not asked */
    RESIZE_FAILED,     /* asked, or perhaps, and it is not as it should be */
    RESIZE_OUTCOMES,
};
extern const char *const resize_outcome_words[RESIZE_OUTCOMES];

enum { RESIZE_EARLIER = 16 };

struct resize_record {
    enum resize_outcome outcome;
    char reason[64], message[256];
    char pod[254], uid[64], container[64];
    char requester[254]; /* for people: nobody is let in by it */
    struct adjust_amounts from, to;
    int64_t generation;                                    /* of the spec */
    int64_t intended_us, requested_us, ended_us, retry_us; /* 0 = not yet, or not at all */
    int64_t attempts, epoch;
    int64_t earlier_us[RESIZE_EARLIER]; /* [n_earlier] acts for the same object within the hour */
    uint32_t n_earlier;
};

/* `r`, whose act is over, makes room for one at `now_us`: what still counts is among the earlier.
 */
void resize_record_pass(struct resize_record *next, const struct resize_record *r, int64_t now_us);

void resize_record_put(struct emit *e, const struct resize_record *r);
/*
 * Of a stored status; RESIZE_NOTHING where there is none, or it is not understood. What is no name
 * of a pod is left out of it, for it becomes part of a path.
 */
void resize_record_read(struct resize_record *out, struct str status);

/* Is something on its way, so that it has to be found out what became of it? */
bool resize_is_open(enum resize_outcome outcome);
/* Does it count against the budgets: was it asked, or perhaps? */
bool resize_counts(const struct resize_record *r);

/* --- what pods and answers say --- */

enum resize_pending { RESIZE_NOT_PENDING, RESIZE_DEFERRED, RESIZE_INFEASIBLE };

/* A pod at the API server, of one of its containers. */
struct resize_seen {
    bool found;                      /* it has the container */
    struct adjust_amounts spec;      /* what is asked for */
    struct adjust_amounts allocated; /* what the kubelet has granted: requests alone */
    struct adjust_amounts actual;    /* what the container has by its runtime */
    enum resize_pending pending;     /* by its conditions */
    bool in_progress;
    char message[256];
};
void resize_see(struct resize_seen *out, struct str pod, const char *container);

bool resize_is(const struct adjust_amounts *a, const struct adjust_amounts *b);
bool resize_is_granted(const struct resize_seen *s, const struct adjust_amounts *size);
/* By the kubelet's word the container still is of this size, limits too. */
bool resize_is_still(const struct resize_seen *s, const struct adjust_amounts *size);

/* To the patch: true when `r` has its outcome, false when the pod has to be looked at. */
bool resize_take_answer(struct resize_record *r, const struct kube_answer *a, int64_t now_us);

/* The strategic merge patch that gives exactly this pod, in exactly this version, a size. */
void resize_patch(struct buf *out, const struct resize_record *r, const struct adjust_amounts *size,
                  const char *version);

#endif
