/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that resize pods: resizing.c goes from step to step, resizing_guards.c says who
 * asked and whether it may be done, resizing_send.c stores and asks.
 */
#ifndef OPERATOR_RESIZING_PARTS_H
#define OPERATOR_RESIZING_PARTS_H

#include "operator/act.h"
#include "operator/call.h"
#include "operator/parts.h"
#include "operator/who.h"
#include "scoring/policy.h"

enum { ASK_ROOM = 1024 }; /* for a question about a caller */

enum resize_step {
    STEP_IDLE,
    STEP_ASKING,    /* may he? */
    STEP_RECORDING, /* the intention is being stored */
    STEP_LOOKING,
    STEP_CONFIRMING, /* may he still? */
    STEP_CALLING,
    STEP_CHECKING, /* nobody knows what came of a call: the pod is looked at */
    STEP_WATCHING, /* the kubelet is waited for */
};

struct op_resize {
    struct op_resize *next;
    char ns[64], name[254], uid[64]; /* of the ResourceAdjustment */
    int64_t generation;              /* that was asked for */
    struct op_caller *caller;        /* who asked; NULL: nobody, and nothing is begun */
    uint64_t asked_ns;
    enum resize_step step;
    struct resize_record record;     /* as it is stored, or is to be */
    uint64_t attempt;                /* never used twice; of the one that is under way */
    uint64_t serial;                 /* another one whenever the record changes here */
    bool unsaved;                    /* the record is newer than what is stored */
    bool out;                        /* a question is */
    char version[ACT_VERSION_BYTES]; /* of the pod that was looked at */
    uint64_t look_ns, check_ns;      /* nothing before that */
    uint64_t trust_ns;               /* what is not seen by then has not happened */
    uint64_t since_ns;               /* the kubelet is waited for */
    uint32_t reverts;
    enum resize_hold hold; /* why nothing is done; GO: it is, or was */
    const char *why;       /* the reason of RESIZE_UNFIT, a literal; else NULL */
    bool looked;           /* `hold` says something */
};

/* A question that is out: to the API server about a pod, or about the caller. */
struct resize_flight {
    struct resize_flight *next;
    struct op *op; /* NULL: nobody waits for it any more */
    struct op_resizes *of;
    char ns[64], name[254];
    uint64_t attempt;
    enum resize_step step;
    char room[ASK_ROOM]; /* of who.h */
};

/* --- resizing_guards.c --- */

struct op_resize *resizing_find(const struct op *op, struct str ns, struct str name);
/* Its ResourceAdjustment; NULL: it is gone, or another one by now. */
struct op_object *resizing_object(const struct op *op, const struct op_resize *r);
struct policy_adjustment resizing_rules(const struct op *op, struct str ns);
int64_t resizing_epoch(const struct op *op);
void resizing_forget_caller(struct op_resize *r);

/* One is begun; when it was, of one that was begun here (0 takes it off again), or NULL. */
void resizing_note(struct op *op, const struct op_resize *r);
int64_t *resizing_noted(struct op *op, struct str uid, int64_t intended_us);

/* The guards of anything that is sent, of what has been begun too. */
struct resize_facts resizing_moment(struct op *op, const struct op_resize *r, uint64_t now_ns);
/* All of them, before the intention and again before the call; with GO `out` is what is judged. */
enum resize_hold resizing_consider(struct op *op, struct op_resize *r, const struct op_object *x,
                                   struct adjust_answer *out, uint64_t now_ns, int64_t now_us);

/* --- resizing_send.c --- */

/* Store the record with what else the status says. */
void resizing_save(struct op *op, struct op_resize *r, struct op_object *x, uint64_t now_ns,
                   int64_t now_us);
/* A GET of the pod, or with a version the patch of exactly that one. False: it is not sent. */
bool resizing_send(struct op *op, struct op_resize *r, const char *version, struct err *err);
/* May the caller patch that pod? False: nobody is asked, for there is no memory. */
bool resizing_ask_who(struct op *op, struct op_resize *r, const char *pod);
void resizing_drop(struct resize_flight *f);

/* --- resizing.c: what comes of those --- */

/* The record of RECORDING is stored, or is not. */
void resizing_stored(struct op *op, struct op_resize *r, const struct op_object *x, int rc);
void resizing_answered(struct op *op, struct op_resize *r, const struct kube_answer *a,
                       uint64_t now_ns, int64_t now_us);
void resizing_permitted(struct op *op, struct op_resize *r, enum who_verdict verdict,
                        uint64_t now_ns, int64_t now_us);

#endif
