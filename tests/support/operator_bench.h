/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the operator alone: its answers as plain functions, with no sockets, a clock
 * that is told, and a store in memory. Bodies may have ' for ".
 */
#ifndef TESTS_SUPPORT_OPERATOR_BENCH_H
#define TESTS_SUPPORT_OPERATOR_BENCH_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "cluster/source.h"
#include "kube/api.h"
#include "operator/call.h"

struct cluster;
struct op;
struct who;

/* Answers what a call got; `json` is NULL where it is none. */
struct answer {
    int status;
    json_t *json;
    struct buf text, warning;
    unsigned retry_after_s;
    int finished;
};

struct bench {
    struct cluster *cluster;
    struct source_sink sink;
    struct op *op;
    uint64_t now_ns;
    int64_t now_us;
    /* The store. */
    void (*meanwhile)(struct bench *b); /* what happens during the next write; NULL: nothing */
    int fail_with;                      /* negative errno of the next write; 0 = it succeeds */
    int puts, removes;
    struct buf stored; /* of the last put */
    /* Who leads, and the API server that is asked to do things. */
    bool follows; /* another replica leads */
    int32_t epoch;
    uint64_t age_ns;           /* of what is known of pods */
    uint64_t answered, failed; /* requests */
    struct bench_ask {
        enum kube_method method;
        struct buf path, body; /* terminated */
        void (*done)(void *ctx, const struct kube_answer *a);
        void *ctx;
    } asks[256]; /* [n_asks]; `done` is NULL when it was answered */
    unsigned n_asks;
    bool cannot_send;
    /* The API server says who may what: everybody everything, but for pods/resize. */
    struct who *who;
    bool may_resize, late; /* late: the question stands in `asks` */
    unsigned reviews;      /* questions about pods/resize */
    struct buf told;       /* Events: reason and note, a line each */
    char *room;
};

int operator_bench_set_up(void **state); /* *state is the struct bench */
int operator_bench_tear_down(void **state);

/* From now on callers are known, and the API server is asked what they may. */
void operator_bench_know(struct bench *b);
/* The operator crashes, and starts again: all that is stored of this kind is default/wanted. */
void operator_bench_restart(struct bench *b, enum source_kind kind, struct str json);

/* Answer the i-th question: status 0 is none, with this code. `body` has ' for ". */
void answer_ask(struct bench *b, unsigned i, int status, int code, const char *body);

/* What may happen between an intention and what is done for it. */
void lose_lease(struct bench *b);
void change_epoch(struct bench *b);
void switch_off(struct bench *b);
void age_pods(struct bench *b); /* what is known of them is older than counts */

/* One call; done() what it returns. */
struct answer call_as(struct bench *b, const struct op_caller *caller, enum http_method m,
                      const char *target, const char *body);
struct answer call(struct bench *b, enum http_method m, const char *target, const char *body);
void done(struct answer *a);

/* A member of the answer: "details.causes.0.field"; NULL, or "", when it is not there. */
const json_t *at(const struct answer *a, const char *path);
const char *text_at(const struct answer *a, const char *path);

/* A call that fails: with this status, about this field, as a Status of Kubernetes. */
void fails(struct bench *b, enum http_method m, const char *target, const char *body, int status,
           const char *field);
void succeeds(struct bench *b, enum http_method m, const char *target, const char *body,
              int status);

/* The objects of a cluster directory into the cluster. */
void read_directory(struct bench *b, const char *path);

/* Tell the cluster of an object; ' for " here, too. */
void add_object(struct bench *b, enum source_kind kind, const char *type, const char *ns,
                const char *name, const char *json);

#endif
