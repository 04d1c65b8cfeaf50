/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator role: lock trackers report to it, policies are declared through it, other domains
 * ask it. It observes, answers and plans; where it is told to, it ends a pod of a deadlock, and
 * resizes a pod.
 * Everything of it is used by one thread, but for op_metrics and op_set_acting.
 */
#ifndef OPERATOR_OPERATOR_H
#define OPERATOR_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "cluster/source.h"
#include "cluster/writer.h"
#include "net/http.h"

struct buf;
struct cluster;
struct err;
struct kube_call;
struct kube_request;
struct op;
struct op_call;
struct who;

/* How something is done in the cluster. Everything is called on the operator's thread. */
struct op_act_door {
    /* As kube_api_send. NULL: there is nobody who could be asked, and nothing is done. */
    int (*send)(void *ctx, const struct kube_request *request, struct kube_call **out,
                struct err *err);
    int32_t (*epoch)(void *ctx);   /* grows whenever another replica leads; NULL: 0 */
    uint64_t (*age_ns)(void *ctx); /* of what is known of pods at the worst; NULL: 0 */
    /* Requests that the API server has answered, and those where it could not. NULL: unknown. */
    void (*answers)(void *ctx, uint64_t *out_all, uint64_t *out_failed);
    /* For people who look at the pod; NULL: nobody is told. */
    void (*tell)(void *ctx, const char *reason, const char *action, struct str ns, struct str pod,
                 struct str uid, const char *note);
    void *ctx;
};

struct op_options {
    struct cluster *cluster; /* borrowed */
    struct writer writer;    /* where objects are stored */
    uint64_t hash_key[2];    /* unknown outside */
    struct who *who;         /* borrowed; NULL: only callers of `everybody` may do anything */
    /*
     * Which of several replicas answers what only one can answer: NULL, or whether this one does,
     * now; else `*out_url` is where the one is that does, empty = nobody knows.
     */
    bool (*leads)(void *ctx, struct str *out_url);
    void *leads_ctx;
    struct op_act_door act;
    /* What time it is, for a call that had to wait; NULL: as when it came. */
    void (*clock)(uint64_t *out_ns, int64_t *out_us);
};

/* How long after its first sighting a deadlock may be confirmed, and how often it is looked for. */
enum { OP_CONFIRM_MS = 1000, OP_TICK_MS = 250 };

int op_new(struct op **out, const struct op_options *options, struct err *err) MUST_CHECK;
void op_free(struct op *op); /* NULL is fine; every call is finished by then */

/*
 * A call comes in: find out who calls, hold back who calls too often, and answer. call->finish is
 * called once, before this returns or later. op_answer is the last of these steps.
 */
void op_enter(struct op *op, struct op_call *call);
void op_answer(struct op *op, struct op_call *call);

/* To be called with each finished call: one that was refused is told in the log. */
void op_audit(struct op *op, const struct op_call *call);

/* The calls that there are, for the test that holds openapi.json against them; false: no more. */
struct op_route {
    const char *path; /* "lock-policies" of /v1/lock-policies */
    enum http_method method;
    uint32_t least, most;          /* parts of the path that follow */
    const char *const *parameters; /* of the query; NULL behind the last */
    const char *action;            /* the word behind the parts, NULL: none */
};
bool op_route_at(size_t i, struct op_route *out);

/* Of the kinds that are the operator's; others are passed over. As struct source_sink. */
int op_delta(struct op *op, const struct source_delta *delta, struct err *err);

/* As begin and end of struct source_sink: what is not told between them is gone. */
void op_list(struct op *op, enum source_kind kind, bool again);
void op_listed(struct op *op, enum source_kind kind);

/* Another replica leads from now on: what reporters told this one is theirs to tell that one. */
void op_resign(struct op *op);

/* The setting operator.act: whether what policies say is done. From any thread; at first not. */
void op_set_acting(struct op *op, bool on);

/* Look at what changes by itself: deadlocks, pods that ended, offers that ran out. */
void op_tick(struct op *op, uint64_t now_ns, int64_t now_us);

/* Families in the Prometheus text format; from any thread. */
void op_metrics(const struct op *op, struct buf *out);

#endif
