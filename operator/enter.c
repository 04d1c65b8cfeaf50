/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes in, what he may, how often, and what the log says of those who may not. */
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "operator/parts.h"
#include "operator/who.h"

/* Of everything that one caller asks for; and lines about refused calls. */
enum { CALLS_PER_S = 200, CALLS_AT_ONCE = 400, LINES_PER_S = 20, LINES_AT_ONCE = 100 };

enum { BUSY_RETRY_S = 5 };

static void restamp(const struct op *op, struct op_call *c)
{
    if (op->options.clock)
        op->options.clock(&c->now_ns, &c->now_us);
}

static void fail_busy(struct op_call *c, const char *what)
{
    c->retry_after_s = BUSY_RETRY_S;
    op_fail(c, 503, "%s is not known now: the API server does not say", what);
}

/* --- who calls --- */

/* Pods are told apart also where they share a ServiceAccount. */
static bool is_within_rate(struct op *op, struct op_call *c)
{
    const uint64_t key[2] = {op->options.hash_key[1], op->options.hash_key[0]};
    const uint64_t by_user[2] = {key[0], siphash13(key, c->caller.user)};
    uint32_t wait_ms = 0;

    if (c->caller.user.n == 0 || /* nobody was asked: these callers are many */
        rate_take(&op->rates, siphash13(by_user, c->caller.pod_uid), CALLS_PER_S, CALLS_AT_ONCE,
                  c->now_ns, &wait_ms))
        return true;
    atomic_fetch_add(&op->stats.limited, 1);
    c->retry_after_s = 1 + wait_ms / 1000;
    op_fail(c, 429, "more than %d calls a second of %.*s", CALLS_PER_S, STR_ARG(c->caller.user));
    return false;
}

static void go_in(struct op *op, struct op_call *c)
{
    if (is_within_rate(op, c))
        op_answer(op, c);
}

static void fail_unknown(struct op *op, struct op_call *c, const char *why)
{
    atomic_fetch_add(&op->stats.unauthorized, 1);
    op_fail(c, 401, "%s", why);
}

struct entering {
    struct op *op;
    struct op_call *c;
};

static void on_known(void *ctx, enum who_verdict verdict)
{
    const struct entering *const e = ctx;

    restamp(e->op, e->c);
    if (verdict == WHO_YES)
        go_in(e->op, e->c);
    else if (verdict == WHO_NO)
        fail_unknown(e->op, e->c, "the token is not valid, or not for the audience " WHO_AUDIENCE);
    else
        fail_busy(e->c, "who calls");
}

void op_enter(struct op *op, struct op_call *c)
{
    if (c->astray) {
        atomic_fetch_add(&op->stats.forbidden, 1);
        op_fail(c, 403,
                "Host is the name of another site, whose page may have sent this: here it "
                "is 127.0.0.1, [::1] or localhost");
        return;
    }
    if (op_redirect(op, c))
        return;
    if (c->caller.everybody || c->caller.user.n) {
        go_in(op, c);
        return;
    }
    struct entering *const e = arena_array(c->arena, 1, sizeof(*e));
    if (!c->token || !op->options.who) {
        fail_unknown(op, c, "it is not said who calls: neither a bearer token nor a certificate");
    } else if (!e) {
        op_fail(c, 503, "no memory");
    } else {
        *e = (struct entering){op, c};
        const struct who_asker asker = {c->peer, c->arena, on_known, e};
        who_token(op->options.who, &asker, c->token, &c->caller);
    }
}

/* --- what he may --- */

struct permit {
    struct op *op;
    struct op_call *c;
    struct op_access access;
    op_answerer then;
};

/* A token outlives its pod by as long as it is remembered: another pod may have the name by then.
 */
static bool is_same_pod(const struct op *op, const struct op_call *c, struct str ns)
{
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    struct cluster_pod room;
    const struct score_pod *const pod = cluster_snapshot_pod(snapshot, ns, c->speaker, &room);
    const bool same = !pod || str_eq(pod->uid, c->caller.pod_uid);

    cluster_snapshot_unref(snapshot);
    return same;
}

static bool is_own_business(const struct op *op, const struct op_call *c, struct str ns)
{
    if (ns.n == 0 || !str_eq(c->caller.ns, ns))
        return false;
    return c->speaker.n == 0 || (str_eq(c->speaker, c->caller.pod) && is_same_pod(op, c, ns));
}

static void forbid(struct op *op, struct op_call *c, const struct op_access *a)
{
    const struct str in = a->ns.n ? a->ns : STR("every namespace");

    atomic_fetch_add(&op->stats.forbidden, 1);
    op_fail(c, 403, "%.*s may not %s %s in %.*s%s%.*s", STR_ARG(c->caller.user), a->verb,
            a->resource, STR_ARG(in), c->speaker.n ? " for the pod " : "", STR_ARG(c->speaker));
}

static void on_permitted(void *ctx, enum who_verdict verdict)
{
    const struct permit *const p = ctx;

    restamp(p->op, p->c);
    if (verdict == WHO_YES)
        p->then(p->op, p->c, p->access.ns, p->access.name);
    else if (verdict == WHO_NO)
        forbid(p->op, p->c, &p->access);
    else
        fail_busy(p->c, "what the caller may");
}

void op_permit(struct op *op, struct op_call *c, const struct op_access *a, bool own,
               op_answerer then)
{
    if (c->caller.everybody || (own && is_own_business(op, c, a->ns))) {
        then(op, c, a->ns, a->name);
        return;
    }
    if (!op->options.who) {
        forbid(op, c, a);
        return;
    }
    struct permit *const p = arena_array(c->arena, 1, sizeof(*p));
    if (!p) {
        op_fail(c, 503, "no memory");
        return;
    }
    const struct kube_attributes wish = {a->verb, a->group, a->resource, a->ns, a->name};
    *p = (struct permit){op, c, *a, then};
    const struct who_asker asker = {c->peer, c->arena, on_permitted, p};
    who_access(op->options.who, &asker, &c->caller, &wish);
}

/* --- what the log says --- */

static const char *method_of(enum http_method m)
{
    return m == HTTP_GET ? "GET" : m == HTTP_PUT ? "PUT" : m == HTTP_POST ? "POST" : "DELETE";
}

/*
 * Never what came in a header or behind a "?". A flood of refused calls is no flood of lines: those
 * that are left out are counted in the next one.
 */
void op_audit(struct op *op, const struct op_call *c)
{
    uint32_t wait_ms;
    char more[64] = "";

    if (c->status != 401 && c->status != 403 && c->status != 429)
        return;
    if (!rate_take(&op->rates, 1, LINES_PER_S, LINES_AT_ONCE, c->now_ns, &wait_ms)) {
        op->unsaid++;
        return;
    }
    if (op->unsaid)
        (void)snprintf(more, sizeof(more), " (and %llu more before)",
                       (unsigned long long)op->unsaid);
    op->unsaid = 0;
    log_line(LOG_LEVEL_WARN, "operator", "refused with %d: %s %.*s by %.*s%s%.*s: %s%s", c->status,
             method_of(c->method), STR_ARG(c->path),
             STR_ARG(c->caller.user.n ? c->caller.user : STR("nobody known")),
             c->caller.pod.n ? " of the pod " : "", STR_ARG(c->caller.pod), c->why, more);
}
