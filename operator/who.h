/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who somebody is and what he may, as the API server says, with its answers remembered for a short
 * time. Nothing blocks: what is not remembered is asked, and everybody with the same question waits
 * for the one answer. Of a token only a keyed hash is kept. Without an answer nobody is let in.
 * For one thread; who_metrics from any.
 */
#ifndef OPERATOR_WHO_H
#define OPERATOR_WHO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/review.h"

struct arena;
struct buf;
struct err;
struct http_client;
struct kube_call;
struct kube_request;
struct op_caller;
struct who;

/* A token must be issued for this. */
#define WHO_AUDIENCE "numawise"

/*
 * How long an answer is believed. A token that was withdrawn, or a role that was taken away, has
 * its effect after that at the latest. Then: how many questions may be out, and how long one is
 * waited for.
 */
enum {
    WHO_TOKEN_S = 60,
    WHO_ACCESS_S = 30,
    WHO_NO_S = 10, /* either, when it is a no */
    WHO_OUT = 128,
    WHO_ANSWER_MS = 4000,
};

struct who_options {
    uint64_t keys[4]; /* random, unknown outside */
    /* As kube_api_send and kube_call_cancel, with `ctx`. */
    int (*send)(void *ctx, const struct kube_request *request, struct kube_call **out,
                struct err *err);
    void (*cancel)(struct kube_call *call);
    void *ctx;
    uint64_t (*now_ns)(void); /* monotonic */
};

int who_new(struct who **out, const struct who_options *options, struct err *err) MUST_CHECK;

/* Everybody who waits is told WHO_BUSY; nothing is asked any more. */
void who_stop(struct who *w); /* NULL is fine */
void who_free(struct who *w); /* NULL is fine; stops first */

enum who_verdict {
    WHO_YES,
    WHO_NO,
    WHO_BUSY, /* it is not known now: the API server does not answer, or too much is asked */
};

/* Called once: before the function returns, or later. */
typedef void (*who_done)(void *ctx, enum who_verdict verdict);

/*
 * Who wants to know: an address, and where the answer goes. When WHO_OUT questions are out, an
 * address with fewer of them than another one takes a place of that one, whose youngest question is
 * dropped: a flood from one address, or from some, holds up nobody else.
 */
struct who_asker {
    const unsigned char *peer; /* [HTTP_PEER_BYTES] */
    struct arena *arena;
    who_done done;
    void *ctx;
};

/*
 * Whose token is it? With WHO_YES `out`, filled from the asker's arena, says. The token,
 * terminated, is wiped before anybody hears.
 */
void who_token(struct who *w, const struct who_asker *asker, char *token, struct op_caller *out);

/* May the caller do this? Only of one whom who_token or who_certificate has named. */
void who_access(struct who *w, const struct who_asker *asker, const struct op_caller *caller,
                const struct kube_attributes *wish);

/*
 * Whom a verified certificate names, as an API server reads it: without a common name nobody, and
 * `out` stays as it is. False: no memory.
 */
bool who_certificate(struct op_caller *out, const struct http_client *client, struct arena *arena);

/* The caller as one block, to be freed; NULL: no memory. */
struct op_caller *who_copy(const struct op_caller *caller);

/* The token of "Bearer TOKEN"; false: it is something else. */
bool who_bearer(struct str header, struct str *out);

/* Families in the Prometheus text format. */
void who_metrics(const struct who *w, struct buf *out);

#endif
