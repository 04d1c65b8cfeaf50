/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/operator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "kube/emit.h"
#include "kube/lock_policy.h"
#include "operator/adjust.h"
#include "operator/declare.h"
#include "operator/parts.h"

enum { POLICY_ARENA = 256 * 1024, REPORTS_PER_S = 50, REPORTS_AT_ONCE = 200 };
enum { NO_LEADER_RETRY_S = 2 };
enum { LOOK_NS = 1000000000 }; /* how often pods are looked at */

/* Reporters of pods that nobody knows are believed so long after their last word. */
static const uint64_t silence_ns = UINT64_C(600) * 1000000000;

/* --- life --- */

int op_new(struct op **out, const struct op_options *options, struct err *err)
{
    struct op *const op = calloc(1, sizeof(*op));

    if (!op)
        return err_set(err, -ENOMEM, "no memory for the operator");
    op->options = *options;
    lock_book_init(&op->book, options->hash_key);
    *out = op;
    return 0;
}

void op_free(struct op *op)
{
    if (!op)
        return;
    op_cases_done(op);
    op_acts_done(op);
    op_resizes_done(op);
    lock_book_done(&op->book);
    op_objects_done(&op->objects);
    cluster_context_unref(op->conflicts.seen);
    free(op);
}

/* --- objects --- */

static int declare(struct op *op, const struct source_delta *delta, struct err *err)
{
    struct kube_lock_policy policy;
    void *const room = malloc(POLICY_ARENA);
    struct arena a;
    int rc = room ? 0 : err_set(err, -ENOMEM, "no memory");

    if (rc)
        return rc;
    arena_init(&a, room, POLICY_ARENA);
    rc = kube_lock_policy_decode(&policy, delta->json, false, &a, err);
    if (rc == 0) {
        policy.meta.ns = delta->ns;
        policy.meta.name = delta->name;
        rc = op_declare(&op->book, &policy, err);
    }
    free(room);
    return rc;
}

static bool kind_of(enum source_kind kind, enum op_kind *out)
{
    if (kind == SOURCE_SIGNAL || kind == SOURCE_POLICY) {
        *out = kind == SOURCE_SIGNAL ? OP_SIGNAL : OP_POLICY;
        return true;
    }
    if (kind < SOURCE_LOCK_POLICY || kind > SOURCE_DEADLOCK)
        return false;
    *out = (enum op_kind)(kind - SOURCE_LOCK_POLICY);
    return true;
}

/* What was written last is known before the source tells of it, and of what came before it. */
static bool is_older(const struct op_object *known, const struct source_delta *delta)
{
    uint64_t has, is;

    return known && str_u64(known->resource_version, &has) &&
           str_u64(delta->resource_version, &is) && is < has;
}

static void forget(struct op *op, enum op_kind kind, struct str ns, struct str name)
{
    if (kind == OP_LOCK_POLICY)
        lock_book_withdraw(&op->book, ns, name);
    op_objects_remove(&op->objects, kind, ns, name);
}

int op_delta(struct op *op, const struct source_delta *delta, struct err *err)
{
    enum op_kind kind;

    if (!kind_of(delta->kind, &kind))
        return 0;
    op->conflicts.changed = op->conflicts.changed || kind == OP_POLICY;
    if (kind == OP_POLICY)
        op->resizes.looks = 3; /* the snapshot has it a moment later */
    if (delta->verb == SOURCE_DELETE) {
        forget(op, kind, delta->ns, delta->name);
        return 0;
    }
    struct op_object *const known = op_objects_find(&op->objects, kind, delta->ns, delta->name);
    if (known)
        known->marked = false;
    if (is_older(known, delta))
        return 0;
    const int rc = kind == OP_LOCK_POLICY ? declare(op, delta, err) : 0;
    return rc ? rc : op_objects_put(&op->objects, kind, delta->ns, delta->name, delta->json, err);
}

/* The policies are still declared: they come from the source. */
void op_resign(struct op *op)
{
    op_acts_resign(op);
    op_resizes_resign(op);
    for (uint32_t i = 0; i < op->objects.n[OP_ADJUSTMENT]; i++)
        op->objects.at[OP_ADJUSTMENT][i]->adjusted = OP_NOT_LOOKED_AT;
    op_cases_done(op);
    op->led_ns = 0;
    lock_book_done(&op->book);
    lock_book_init(&op->book, op->options.hash_key);
    for (uint32_t i = 0; i < op->objects.n[OP_LOCK_POLICY]; i++) {
        const struct op_object *const x = op->objects.at[OP_LOCK_POLICY][i];
        const struct source_delta delta = {.ns = x->ns, .name = x->name, .json = x->json};
        struct err err = {0};

        if (declare(op, &delta, &err))
            log_line(LOG_LEVEL_ERROR, "operator", "LockPolicy %.*s/%.*s: %s", STR_ARG(x->ns),
                     STR_ARG(x->name), err.text);
    }
}

void op_list(struct op *op, enum source_kind kind, bool again)
{
    enum op_kind k;

    if (!kind_of(kind, &k))
        return;
    for (uint32_t i = 0; i < op->objects.n[k]; i++) {
        op->objects.at[k][i]->marked = true;
        if (again) /* versions went backwards: whatever comes is newer */
            op->objects.at[k][i]->resource_version = (struct str){0};
    }
}

/* From the back, for those behind what goes move. */
void op_listed(struct op *op, enum source_kind kind)
{
    enum op_kind k;

    if (!kind_of(kind, &k))
        return;
    op->listed[k] = true;
    for (uint32_t i = op->objects.n[k]; i-- > 0;) {
        const struct op_object *const x = op->objects.at[k][i];

        if (x->marked)
            forget(op, k, x->ns, x->name);
    }
}

/* --- what may be called --- */

#define LOCKS "concurrency.gokore.io"
#define OURS  "orchestration.gokore.io"

/* Whose business a call is. */
enum whose {
    BY_RBAC,   /* who may the same to the object */
    OWN_SPACE, /* also who speaks for the namespace */
    ANYBODY,   /* whoever is known; what is of a namespace is looked at when it comes to that */
    BY_BODY,   /* the body says for whom it speaks; looked at when it is read */
};

static const struct route {
    const char *path; /* with the parts of a path that follow: 0, 1 or 2 */
    enum http_method method;
    uint32_t least, most;
    bool is_global; /* its one part names an object of no namespace */
    enum whose whose;
    struct op_access access;
    op_answerer answer;
    const char *parameters[4];
    const char *action; /* the word behind the parts, or NULL; such a route stands first */
} routes[] = {
    {"lock-policies",
     HTTP_GET,
     2,
     2,
     false,
     OWN_SPACE,
     {"get", LOCKS, "lockpolicies", {0}, {0}},
     op_policy_get,
     {NULL},
     NULL},
    {"lock-policies",
     HTTP_PUT,
     2,
     2,
     false,
     BY_RBAC,
     {"update", LOCKS, "lockpolicies", {0}, {0}},
     op_policy_put,
     {"resourceVersion", NULL},
     NULL},
    {"lock-policies",
     HTTP_DELETE,
     2,
     2,
     false,
     BY_RBAC,
     {"delete", LOCKS, "lockpolicies", {0}, {0}},
     op_policy_delete,
     {"resourceVersion", NULL},
     NULL},
    {"lock-reports",
     HTTP_POST,
     0,
     0,
     false,
     BY_BODY,
     {"create", LOCKS, "lockreports", {0}, {0}},
     op_lock_report,
     {NULL},
     NULL},
    {"lock-hierarchy",
     HTTP_GET,
     0,
     0,
     false,
     OWN_SPACE,
     {"get", LOCKS, "lockpolicies", {0}, {0}},
     op_hierarchy,
     {"namespace", "format", NULL},
     NULL},
    {"deadlocks",
     HTTP_POST,
     0,
     0,
     false,
     BY_BODY,
     {"create", OURS, "deadlockreports", {0}, {0}},
     op_deadlock_claim,
     {NULL},
     NULL},
    {"deadlocks",
     HTTP_GET,
     0,
     2,
     false,
     OWN_SPACE,
     {"get", OURS, "deadlockreports", {0}, {0}},
     op_deadlock_get,
     {NULL},
     NULL},
    {"node-affinity",
     HTTP_GET,
     1,
     1,
     true,
     ANYBODY,
     {"get", "", "nodes", {0}, {0}},
     op_affinity,
     {"pod", NULL},
     NULL},
    {"qos-class",
     HTTP_GET,
     2,
     2,
     false,
     OWN_SPACE,
     {"get", "", "pods", {0}, {0}},
     op_qos_class,
     {NULL},
     NULL},
    {"bandwidth",
     HTTP_GET,
     1,
     1,
     true,
     ANYBODY,
     {"get", "", "nodes", {0}, {0}},
     op_bandwidth,
     {NULL},
     NULL},
    {"signals",
     HTTP_PUT,
     1,
     1,
     true,
     BY_RBAC,
     {"update", OURS, "signals", {0}, {0}},
     op_signal_put,
     {NULL},
     NULL},
    {"resource-adjustments",
     HTTP_POST,
     2,
     2,
     false,
     BY_RBAC,
     {"update", OURS, "resourceadjustments", {0}, {0}},
     op_adjust_accept,
     {NULL},
     "accept"},
    {"resource-adjustments",
     HTTP_POST,
     1,
     1,
     false,
     BY_RBAC,
     {"create", OURS, "resourceadjustments", {0}, {0}},
     op_adjust_post,
     {NULL},
     NULL},
    {"resource-adjustments",
     HTTP_GET,
     2,
     2,
     false,
     OWN_SPACE,
     {"get", OURS, "resourceadjustments", {0}, {0}},
     op_adjust_get,
     {NULL},
     NULL},
    {"resource-adjustments",
     HTTP_DELETE,
     2,
     2,
     false,
     BY_RBAC,
     {"delete", OURS, "resourceadjustments", {0}, {0}},
     op_adjust_delete,
     {NULL},
     NULL},
};

bool op_route_at(size_t i, struct op_route *out)
{
    if (i >= ARRAY_LEN(routes))
        return false;
    *out = (struct op_route){routes[i].path, routes[i].method,     routes[i].least,
                             routes[i].most, routes[i].parameters, routes[i].action};
    return true;
}

/* --- which call --- */

static bool is_name(struct str s, bool label)
{
    return s.n && (label ? s.n <= 63 && !memchr(s.p, '.', s.n) : true) && fields_is_subdomain(s);
}

/* The path's parts are names of Kubernetes; false: answered. */
static bool check_names(struct op_call *c, const struct route *r, struct str ns, struct str name,
                        uint32_t parts)
{
    if (!r->is_global && parts >= 1 && !is_name(ns, true))
        op_fail_field(c, 400, "metadata.namespace", "not a name of a namespace");
    else if ((r->is_global || parts >= 2) && !is_name(name, false))
        op_fail_field(c, 400, "metadata.name", "not a name of an object");
    return c->status == 0;
}

static void take_route(struct op *op, struct op_call *c, const struct route *r, struct str rest)
{
    struct op_access access = r->access;
    const uint32_t parts = rest.n == 0 ? 0 : memchr(rest.p, '/', rest.n) ? 2 : 1;

    access.ns = op_segment(c, &rest);
    access.name = op_segment(c, &rest);
    if (parts < r->least || parts > r->most || rest.n) {
        op_fail(c, 404, "no such call: /v1/%s takes %u to %u parts", r->path, r->least, r->most);
        return;
    }
    if (r->is_global) {
        access.name = access.ns;
        access.ns = (struct str){0};
    }
    if (!check_names(c, r, access.ns, access.name, parts) || !op_query_only(c, r->parameters))
        return;
    if (strcmp(r->path, "lock-hierarchy") == 0 && op_query(c, "namespace", &access.ns) &&
        !is_name(access.ns, true))
        op_fail_field(c, 400, "namespace", "not a name of a namespace");
    if (c->status)
        return;
    if (r->whose == BY_BODY || r->whose == ANYBODY)
        r->answer(op, c, access.ns, access.name);
    else
        op_permit(op, c, &access, r->whose == OWN_SPACE, r->answer);
}

static const char *method_name(enum http_method m)
{
    switch (m) {
    case HTTP_GET:
        return "GET";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_DELETE:
        return "DELETE";
    }
    return "?";
}

/* Is the path, "NS/NAME/accept", of this route? Then its parts are left of it. */
static bool cut_action(const struct route *r, struct str *rest)
{
    if (!r->action)
        return true;
    const size_t n = strlen(r->action) + 1;
    if (rest->n <= n || !str_ends(*rest, r->action) || rest->p[rest->n - n] != '/')
        return false;
    const struct str parts = {rest->p, rest->n - n};
    if (!memchr(parts.p, '/', parts.n))
        return false;
    *rest = parts;
    return true;
}

void op_answer(struct op *op, struct op_call *c)
{
    struct str rest = c->path;
    bool known = false;

    if (!str_starts(rest, "/v1/")) {
        op_fail(c, 404, "no such path");
        return;
    }
    rest = (struct str){rest.p + 4, rest.n - 4};
    const struct str first = str_cut(&rest, '/');
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!str_is(first, routes[i].path))
            continue;
        known = true;
        if (routes[i].method == c->method && cut_action(&routes[i], &rest)) {
            take_route(op, c, &routes[i], rest);
            return;
        }
    }
    if (known)
        op_fail(c, 405, "/v1/%.*s has no %s", STR_ARG(first), method_name(c->method));
    else
        op_fail(c, 404, "no such call: /v1/%.*s", STR_ARG(first));
}

/* Reports live with the leader, and what is drawn of them; and one replica alone writes. */
static bool is_leaders(const struct op_call *c)
{
    return c->method != HTTP_GET || str_is(c->path, "/v1/lock-hierarchy");
}

bool op_redirect(struct op *op, struct op_call *c)
{
    struct str url = {0};
    struct buf to = {0};

    if (!op->options.leads || !is_leaders(c) || op->options.leads(op->options.leads_ctx, &url))
        return false;
    c->retry_after_s = url.n ? 0 : NO_LEADER_RETRY_S;
    if (url.n == 0) {
        op_fail(c, 503, "no replica leads now");
        return true;
    }
    buf_printf(&to, "%.*s%.*s%s%.*s", STR_ARG(url), STR_ARG(c->path), c->query.n ? "?" : "",
               STR_ARG(c->query));
    if (to.failed || str_copy(&c->location, buf_view(&to), c->arena))
        op_fail(c, 503, "no memory");
    else
        op_fail(c, 307, "the replica that leads answers this: %.*s", STR_ARG(url));
    buf_free(&to);
    return true;
}

bool op_within_rate(struct op *op, struct op_call *c, struct str ns, struct str pod,
                    struct str container)
{
    const uint64_t by_user[2] = {op->options.hash_key[0],
                                 siphash13(op->options.hash_key, c->caller.user)};
    const uint64_t by_ns[2] = {by_user[1], siphash13(by_user, ns)};
    const uint64_t by_pod[2] = {by_ns[1], siphash13(by_ns, pod)};
    uint32_t wait_ms = 0;

    if (rate_take(&op->rates, siphash13(by_pod, container), REPORTS_PER_S, REPORTS_AT_ONCE,
                  c->now_ns, &wait_ms))
        return true;
    atomic_fetch_add(&op->stats.limited, 1);
    c->retry_after_s = 1 + wait_ms / 1000;
    op_fail(c, 429, "more than %d reports a second of %.*s%s%.*s", REPORTS_PER_S, STR_ARG(ns),
            ns.n ? "/" : "", STR_ARG(pod));
    return false;
}

/* --- what changes by itself --- */

/* Pods that ended, or were replaced by others of their name, since they reported. */
static void look_at_pods(struct op *op)
{
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    char pod[256], ns[64];

    for (struct lock_space *s = op->book.spaces, *next; s; s = next) {
        next = s->next;
        for (struct lock_reporter *r = s->reporters, *after; r; r = after) {
            struct cluster_pod room;
            const struct score_pod *const p = cluster_snapshot_pod(snapshot, s->ns, r->pod, &room);
            const bool lives = p && !pod_is_terminal(p);
            const uint64_t uid = lives ? siphash13(op->options.hash_key, p->uid) | 1 : 0;

            after = r->next;
            if (r->pod_uid && uid != r->pod_uid) {
                const struct str gone = {
                    pod, (size_t)snprintf(pod, sizeof(pod), "%.*s", STR_ARG(r->pod))};
                const struct str in = {ns,
                                       (size_t)snprintf(ns, sizeof(ns), "%.*s", STR_ARG(s->ns))};

                lock_book_end_pod(&op->book, in, gone);
                break; /* the list has changed; the others are looked at next time */
            }
            r->pod_uid = uid;
        }
    }
    cluster_snapshot_unref(snapshot);
}

static void count_spaces(struct op *op)
{
    uint64_t deadlocks = 0, reporters = 0;

    for (const struct lock_space *s = op->book.spaces; s; s = s->next) {
        reporters += s->n_reporters;
        for (const struct lock_deadlock *d = s->deadlocks; d; d = d->next)
            deadlocks += d->confirmed_ns != 0;
    }
    atomic_store(&op->stats.deadlocks_active, deadlocks);
    atomic_store(&op->stats.reporters, reporters);
    atomic_store(&op->stats.confirmed, op->book.confirmed);
    atomic_store(&op->stats.ended, op->book.ended);
    atomic_store(&op->stats.passed, op->book.passed);
}

static void detect(struct op *op, uint64_t now_ns)
{
    const uint64_t before = clock_monotonic_ns();

    if (lock_book_detect(&op->book, now_ns, (uint64_t)OP_CONFIRM_MS * 1000000))
        log_line(LOG_LEVEL_ERROR, "operator", "no memory to look for deadlocks");
    metric_add_duration(&op->stats.detection, clock_monotonic_ns() - before);
}

void op_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    struct str url;

    op->ticked_ns = now_ns;
    op->ticked_us = now_us;
    if (op->options.leads && !op->options.leads(op->options.leads_ctx, &url)) {
        count_spaces(op); /* there is nothing to look at, and another one writes */
        return;
    }
    if (now_ns - op->looked_ns >= LOOK_NS) {
        op->looked_ns = now_ns;
        look_at_pods(op);
        if (now_ns > silence_ns)
            lock_book_forget(&op->book, now_ns - silence_ns);
        atomic_store(&op->stats.lock_bytes, lock_book_bytes(&op->book));
        op_adjustments_tick(op, now_ns, now_us);
        op_resizes_tick(op, now_ns, now_us);
        op_conflicts_tick(op, now_ns, now_us);
        op_policies_tick(op, now_ns, now_us);
        op_silent_tick(op, now_ns, now_us);
    }
    detect(op, now_ns);
    op_cases_tick(op, now_ns, now_us);
    count_spaces(op);
}

/* --- metrics --- */

void op_metrics(const struct op *op, struct buf *out)
{
    static const char *const results[] = {"accepted", "duplicate", "gap", "refused"};
    static const char *const claims[] = {"new", "known"};
    const struct op_stats *const s = &op->stats;

    metric_family(out, "numawise_lock_reports_total", "counter", "Reports of lock trackers.");
    for (int i = 0; i < 4; i++)
        buf_printf(out, "numawise_lock_reports_total{result=\"%s\"} %llu\n", results[i],
                   atomic_load(&s->reports[i]));
    metric_family(out, "numawise_deadlock_reports_total", "counter",
                  "Deadlocks that somebody reported.");
    for (int i = 0; i < 2; i++)
        buf_printf(out, "numawise_deadlock_reports_total{result=\"%s\"} %llu\n", claims[i],
                   atomic_load(&s->claims[i]));
    metric_gauge(out, "numawise_lock_reporters", "Containers that report locks.",
                 (double)atomic_load(&s->reporters));
    metric_gauge(out, "numawise_lock_bytes", "Memory for what they reported.",
                 (double)atomic_load(&s->lock_bytes));
    metric_counter(out, "numawise_lock_inversions_total",
                   "Orders of acquisition seen for the first time that lie on a cycle.",
                   atomic_load(&s->inversions));
    metric_gauge(out, "numawise_deadlock_cycles_active", "Deadlocks confirmed and not over.",
                 (double)atomic_load(&s->deadlocks_active));
    metric_counter(out, "numawise_deadlocks_confirmed_total",
                   "Deadlocks seen twice, unchanged, an interval apart.",
                   atomic_load(&s->confirmed));
    metric_counter(out, "numawise_deadlocks_ended_total", "Confirmed deadlocks that are over.",
                   atomic_load(&s->ended));
    metric_counter(out, "numawise_deadlocks_passed_total",
                   "Circles of waits that were gone before they were confirmed.",
                   atomic_load(&s->passed));
    metric_counter(out, "numawise_deadlocks_planned_total",
                   "Deadlocks beyond their threshold for which a victim was found.",
                   atomic_load(&s->planned));
    metric_counter(out, "numawise_deadlocks_suppressed_total",
                   "Deadlocks beyond their threshold for which nothing would be done.",
                   atomic_load(&s->suppressed));
    metric_family(out, "numawise_operator_actions_total", "counter",
                  "Acts on pods by what came of them.");
    for (int i = ACT_EVICTED; i < ACT_OUTCOMES; i++)
        buf_printf(out, "numawise_operator_actions_total{kind=\"EvictPod\",outcome=\"%s\"} %llu\n",
                   act_outcome_words[i], atomic_load(&s->actions[0][i]));
    for (int i = RESIZE_APPLIED; i < RESIZE_OUTCOMES; i++) {
        if (i != RESIZE_REVERTING)
            buf_printf(out,
                       "numawise_operator_actions_total{kind=\"ResizePod\",outcome=\"%s\"} %llu\n",
                       resize_outcome_words[i], atomic_load(&s->resizes[i]));
    }
    metric_gauge(out, "numawise_operator_acting", "Whether operator.act is Enforce.",
                 atomic_load(&op->acting));
    metric_gauge(out, "numawise_operator_circuit_open",
                 "Whether nothing is done because too much has failed.",
                 atomic_load(&s->circuit_open));
    metric_counter(out, "numawise_operator_rate_limited_total", "Calls answered with 429.",
                   atomic_load(&s->limited));
    metric_counter(out, "numawise_operator_unauthorized_total", "Calls answered with 401.",
                   atomic_load(&s->unauthorized));
    metric_counter(out, "numawise_operator_forbidden_total", "Calls answered with 403.",
                   atomic_load(&s->forbidden));
    metric_family(out, "numawise_resource_adjustments_total", "counter",
                  "ResourceAdjustments that were judged, and offers that were withdrawn.");
    for (int i = 0; i < ADJUST_OUTCOMES; i++)
        buf_printf(out, "numawise_resource_adjustments_total{outcome=\"%s\"} %llu\n",
                   adjust_outcome_words[i], atomic_load(&s->adjustments[i]));
    metric_family(out, "numawise_deadlock_detection_seconds", "histogram",
                  "How long looking for deadlocks took.");
    metric_histogram(out, "numawise_deadlock_detection_seconds", "", &s->detection);
}

/* --- storing --- */

struct writer_object op_object_like(enum op_kind kind, struct str ns, struct str name,
                                    const struct op_object *old)
{
    const struct op_kind_name *const k = &op_kind_names[kind];
    struct writer_object o = {.api_version = k->api_version,
                              .kind = k->kind,
                              .plural = k->plural,
                              .ns = ns,
                              .name = name};

    if (old) {
        o.exists = true;
        o.uid = old->uid;
        o.resource_version = old->resource_version;
        o.generation = old->generation;
        o.created_us = old->created_us;
        o.made_here = old->made_here;
        o.spec = old->spec;
        o.status = old->status;
    }
    return o;
}

int op_writer_status(int rc)
{
    if (rc == -ESTALE)
        return 409;
    if (rc == -EINVAL)
        return 422;
    return 503; /* also where numawise itself is not allowed to: that is not the caller's fault */
}

void op_compact(struct buf *out, struct str json)
{
    bool quoted = false;

    for (size_t i = 0; i < json.n; i++) {
        const char c = json.p[i];

        if (!quoted && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            continue;
        if (c == '"')
            quoted = !quoted;
        buf_add(out, &json.p[i], quoted && c == '\\' ? 2 : 1);
        i += quoted && c == '\\';
    }
}

void op_put_condition(struct emit *e, const struct op_condition *c)
{
    emit_object(e);
    emit_key(e, "type"), emit_words(e, c->type);
    emit_key(e, "status"), emit_words(e, c->status);
    emit_key(e, "observedGeneration"), emit_int(e, c->generation);
    emit_key(e, "lastTransitionTime"), emit_time(e, c->since_us);
    emit_key(e, "reason"), emit_words(e, c->reason);
    emit_key(e, "message"), emit_words(e, c->message);
    emit_end(e);
}
