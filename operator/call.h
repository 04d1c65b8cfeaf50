/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the operator's API as plain values: what is asked, by whom, and the answer under
 * construction. The functions that answer (answers.h) see nothing of HTTP.
 */
#ifndef OPERATOR_CALL_H
#define OPERATOR_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/http.h"

struct arena;

/* Who calls. `everybody`: nobody is asked who he is, and everybody may do everything. */
struct op_caller {
    bool everybody;
    struct str user;
    struct str ns;                 /* of the ServiceAccount; empty: of no namespace */
    struct str pod, pod_uid;       /* that the token is bound to; empty: to none */
    struct str uid, groups, extra; /* for the API server, as struct kube_user has them */
};

struct op_call {
    enum http_method method;
    struct str path, query;
    struct str body;     /* followed by 64 readable bytes */
    struct arena *arena; /* of the call: what it decodes lives as long */
    struct op_caller caller;
    unsigned char peer[HTTP_PEER_BYTES]; /* whence it comes */
    bool astray;        /* meant for another site than this machine, where that is looked at */
    char *token;        /* that it came with, in the arena, until it is looked at; NULL: none */
    struct str speaker; /* the pod of its reporter, where it has one */
    uint64_t now_ns;    /* monotonic */
    int64_t now_us;     /* since 1970 */

    void *state; /* of the function that answers, from one step to the next */

    /* The answer. */
    int status;
    char why[ERR_TEXT_BYTES]; /* of a failure */
    const char *content_type; /* a literal; NULL: JSON */
    struct buf out;
    struct str location;    /* of a Location header, in the arena; empty = none */
    struct buf warning;     /* text of a Warning header; empty = none */
    unsigned retry_after_s; /* 0 = not said */
    /* Called once, when the answer is whole: before the function that answers returns, or later. */
    void (*finish)(struct op_call *call);
};

/*
 * Answer with a Status object of Kubernetes (HTTP code, its reason, a sentence), and finish. The
 * second names the field, or fields, at fault in details.causes; the third takes both from an error
 * text "spec.cpuShares: what is wrong", where it has that form.
 */
void op_fail(struct op_call *c, int status, const char *fmt, ...) PRINTF(3, 4);
void op_fail_field(struct op_call *c, int status, const char *field, const char *fmt, ...)
    PRINTF(4, 5);
/* The same as a body for what is refused before it becomes a call (http_refusal). */
size_t op_refusal(int status, char *out, size_t room);

void op_fail_err(struct op_call *c, int status, const struct err *err);

/* What a decoder's failure is: 400 when it is no JSON, 413 too large, 503 no memory, else 422. */
void op_fail_decode(struct op_call *c, int rc, const struct err *err);

/* Answer with what is in `out`, and finish. */
void op_done(struct op_call *c, int status);

/*
 * The value of a parameter of the query, decoded, in the call's arena. False: it is not there.
 * A query with a broken percent sign, or a parameter given twice, answers 400 (and finishes):
 * look at c->status.
 */
bool op_query(struct op_call *c, const char *name, struct str *out);

/* Each parameter is one of these names (NULL behind the last); else 400, and false. */
bool op_query_only(struct op_call *c, const char *const *names);

/* The next part of a path "a/b/c", decoded, in the arena; empty at the end. */
struct str op_segment(struct op_call *c, struct str *path);

#endif
