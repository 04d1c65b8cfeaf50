/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/apiserver.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/apiserver_parts.h"
#include "kube/adjustment.h"
#include "kube/api.h"
#include "kube/budget.h"
#include "kube/deadlock.h"
#include "kube/follower.h"
#include "kube/limit_range.h"
#include "kube/lock_policy.h"
#include "kube/policy.h"
#include "kube/quota.h"
#include "kube/signal.h"

/*
 * After a settling changes are gathered this many times as long as it took, so that it takes a
 * fifth of the thread at most; within these bounds. A change after that is settled at once:
 * kube-scheduler tries a waiting pod again in the millisecond in which it sees another one gone,
 * and if we are later, our refusal stands until the next change of the cluster.
 */
enum { SETTLE_REST = 4, SETTLE_LEAST_MS = 1, SETTLE_MOST_MS = 200 };

/* What is odd about objects is said so often; what was left unsaid is counted. */
enum { SAY_EVERY_S = 10 };

#define OWN_GROUP  "orchestration.gokore.io"
#define LOCK_GROUP "concurrency.gokore.io"

const struct api_kind api_kinds[APISERVER_KINDS] = {
    {SOURCE_NODE, "nodes", "nodes-synced", "Node", "/api/v1/nodes", "", true,
     "numawise knows no node, and every one passes"},
    {SOURCE_POD, "pods", "pods-synced", "Pod", "/api/v1/pods", "", true,
     "nobody knows which pods have ended, and reports are all there is"},
    {SOURCE_NRT, "noderesourcetopologies", "noderesourcetopologies-synced", "NodeResourceTopology",
     "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies", "topology.node.k8s.io", false,
     "the topology of every node is unknown, and each passes with score 0"},
    {SOURCE_NAMESPACE, "namespaces", "namespaces-synced", "Namespace", "/api/v1/namespaces", "",
     false, "policies see no label of a namespace but its name"},
    {SOURCE_POLICY, "concurrencypolicies", "concurrencypolicies-synced", KUBE_POLICY_KIND,
     "/apis/" KUBE_POLICY_API "/concurrencypolicies", OWN_GROUP, false, "no policy counts"},
    {SOURCE_SIGNAL, "signals", "signals-synced", KUBE_SIGNAL_KIND,
     "/apis/" KUBE_SIGNAL_API "/signals", OWN_GROUP, false, "no Signal counts"},
    /* those that apiserver_options may leave out */
    {SOURCE_BUDGET, "poddisruptionbudgets", "poddisruptionbudgets-synced", KUBE_BUDGET_KIND,
     "/apis/" KUBE_BUDGET_API "/poddisruptionbudgets", "policy", false,
     "other victims than the proposed ones all count as against a budget"},
    {SOURCE_QUOTA, "resourcequotas", "resourcequotas-synced", KUBE_QUOTA_KIND,
     "/api/" KUBE_QUOTA_API "/resourcequotas", "", false,
     "what is asked for a pod is judged without them"},
    {SOURCE_LIMIT_RANGE, "limitranges", "limitranges-synced", KUBE_LIMIT_RANGE_KIND,
     "/api/" KUBE_LIMIT_RANGE_API "/limitranges", "", false,
     "what is asked for a pod is judged without them"},
    {SOURCE_LOCK_POLICY, "lockpolicies", "lockpolicies-synced", KUBE_LOCK_POLICY_KIND,
     "/apis/" KUBE_LOCK_POLICY_API "/lockpolicies", LOCK_GROUP, false,
     "no order of locks is declared"},
    {SOURCE_ADJUSTMENT, "resourceadjustments", "resourceadjustments-synced", KUBE_ADJUSTMENT_KIND,
     "/apis/" KUBE_ADJUSTMENT_API "/resourceadjustments", OWN_GROUP, false,
     "no ResourceAdjustment is answered"},
    {SOURCE_DEADLOCK, "deadlockreports", "deadlockreports-synced", KUBE_DEADLOCK_KIND,
     "/apis/" KUBE_DEADLOCK_API "/deadlockreports", OWN_GROUP, false,
     "DeadlockReports are not read, and none is changed"},
};

/* --- settling --- */

static bool is_complete(const struct apiserver *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!atomic_load(&s->parts[i].ready))
            return false;
    return true;
}

static void wait_to_settle(struct apiserver *s)
{
    const uint64_t now = clock_monotonic_ns();
    const uint64_t us = s->settle_from_ns > now ? (s->settle_from_ns - now) / 1000 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    if (!evtimer_pending(s->settle, NULL))
        (void)evtimer_add(s->settle, &t);
}

static void on_settle(evutil_socket_t fd, short what, void *ctx)
{
    struct apiserver *const s = ctx;
    const uint64_t from = clock_monotonic_ns();

    const bool first = !s->complete;

    if (first && !is_complete(s))
        return; /* whoever completes it comes back */
    s->complete = true;
    s->sink.settled(s->sink.ctx);
    if (first)
        log_line(LOG_LEVEL_INFO, "cluster", "%s: all that is needed was read",
                 kube_api_server(s->api));
    if (first && s->options.synced)
        s->options.synced(s->options.ctx);
    const uint64_t to = clock_monotonic_ns(), ms = UINT64_C(1000000);
    const uint64_t rest = (to - from) * SETTLE_REST;
    s->settle_from_ns = to + (rest < SETTLE_LEAST_MS * ms  ? SETTLE_LEAST_MS * ms
                              : rest > SETTLE_MOST_MS * ms ? SETTLE_MOST_MS * ms
                                                           : rest);
}

/* --- what a reflector tells --- */

static void say_odd(struct api_part *p, struct str ns, struct str name, const char *why)
{
    const uint64_t now = kube_follower_now_ns();

    p->unsaid++;
    if (p->said_ns && now - p->said_ns < SAY_EVERY_S * UINT64_C(1000000000))
        return;
    log_line(LOG_LEVEL_WARN, "cluster", "%s %.*s%s%.*s: %s%s", p->kind->resource, STR_ARG(ns),
             ns.n ? "/" : "", STR_ARG(name), why,
             p->unsaid > 1 ? " (as more of them, which are counted)" : "");
    p->unsaid = 0;
    p->said_ns = now;
}

static void on_begin(void *ctx, bool again)
{
    struct api_part *const p = ctx;

    if (again)
        log_line(LOG_LEVEL_ERROR, "cluster",
                 "%s: the API server went back to an older state, as after a backup was put back: "
                 "everything is read again",
                 p->kind->resource);
    p->list_ns = kube_follower_now_ns();
    p->named = 0;
    p->s->sink.begin(p->s->sink.ctx, p->kind->kind, again);
}

static int on_upsert(void *ctx, const struct kube_name *name, struct str object)
{
    struct api_part *const p = ctx;
    const struct source_delta delta = {.verb = SOURCE_UPSERT,
                                       .kind = p->kind->kind,
                                       .type = str_of(p->kind->name),
                                       .ns = name->ns,
                                       .name = name->name,
                                       .resource_version = name->version,
                                       .version = name->number,
                                       .json = object};
    struct err err = {0};
    const int rc = p->s->sink.delta(p->s->sink.ctx, &delta, &err);

    p->named++;
    if (rc && rc != -ENOMEM) {
        atomic_fetch_add(&p->undecodable, 1);
        say_odd(p, name->ns, name->name, err.text);
    }
    wait_to_settle(p->s);
    return rc == -ENOMEM ? rc : 0;
}

static void on_remove(void *ctx, const struct kube_name *name)
{
    struct api_part *const p = ctx;
    const struct source_delta delta = {.verb = SOURCE_DELETE,
                                       .kind = p->kind->kind,
                                       .type = str_of(p->kind->name),
                                       .ns = name->ns,
                                       .name = name->name};

    (void)p->s->sink.delta(p->s->sink.ctx, &delta, NULL);
    wait_to_settle(p->s);
}

static void on_end(void *ctx)
{
    struct api_part *const p = ctx;

    p->s->sink.end(p->s->sink.ctx, p->kind->kind);
    log_line(LOG_LEVEL_INFO, "cluster", "%s: %u listed in %llu ms", p->kind->resource, p->named,
             (unsigned long long)((kube_follower_now_ns() - p->list_ns) / 1000000));
    wait_to_settle(p->s);
}

static void on_odd(void *ctx, const struct kube_name *name, const char *why)
{
    say_odd(ctx, name->ns, name->name, why);
}

/* --- what is said of a kind --- */

static void say_rule(const struct api_part *p)
{
    log_line(LOG_LEVEL_WARN, "cluster",
             "%s: a rule is missing in the ClusterRole of this ServiceAccount or user: "
             "{apiGroups: [\"%s\"], resources: [%s], verbs: [list, watch]}; until then %s",
             p->follower.reflector.last.text, p->kind->group, p->kind->resource, p->kind->without);
}

static void say_trouble(const struct api_part *p)
{
    const struct kube_reflector *const r = &p->follower.reflector;

    switch (r->state.trouble) {
    case KUBE_REFLECT_FINE:
        log_line(LOG_LEVEL_INFO, "cluster", "%s: followed again", p->kind->resource);
        break;
    case KUBE_REFLECT_FORBIDDEN:
        say_rule(p);
        break;
    case KUBE_REFLECT_ABSENT:
        log_line(LOG_LEVEL_WARN, "cluster",
                 "%s: this API server has no %s: its CustomResourceDefinition is not installed; "
                 "until then %s",
                 r->last.text, p->kind->resource, p->kind->without);
        break;
    case KUBE_REFLECT_UNREACHABLE:
        log_line(LOG_LEVEL_WARN, "cluster", "%s: %s", p->kind->resource, r->last.text);
        break;
    }
}

/* What is missing is waited for only where nothing works without it. */
static bool is_ready(const struct api_part *p)
{
    const struct kube_reflector_state *const r = &p->follower.reflector.state;

    return r->synced || (!p->kind->needed && (r->trouble == KUBE_REFLECT_FORBIDDEN ||
                                              r->trouble == KUBE_REFLECT_ABSENT));
}

/* Make known to other threads, and to people, how the part stands now. */
static void publish(void *ctx)
{
    struct api_part *const p = ctx;
    const struct kube_reflector_state *const r = &p->follower.reflector.state;
    const uint64_t figures[API_FIGURES] = {
        [API_LISTS] = r->lists,           [API_WATCHES] = r->watches,
        [API_SHORT] = r->short_watches,   [API_EVENTS] = r->events,
        [API_BOOKMARKS] = r->bookmarks,   [API_FAILURES] = r->failures,
        [API_EXPIRED] = r->expired,       [API_REPEATED] = r->repeated,
        [API_REWOUND] = r->rewound,       [API_LEFT_OUT] = r->left_out,
        [API_CURRENT_NS] = r->current_ns, [API_VERSION] = p->follower.reflector.version.number,
        [API_SYNCED] = r->synced,
    };

    for (int i = 0; i < API_FIGURES; i++)
        atomic_store_explicit(&p->figures[i], figures[i], memory_order_relaxed);
    if (r->trouble != p->said) {
        p->said = r->trouble;
        atomic_store(&p->trouble, (unsigned)r->trouble);
        say_trouble(p);
    }
    if (!atomic_load(&p->ready) && is_ready(p)) {
        atomic_store(&p->ready, true);
        wait_to_settle(p->s);
    }
}

/* --- apiserver.h --- */

static bool is_wanted(const struct apiserver_options *o, enum source_kind kind)
{
    if (kind == SOURCE_BUDGET)
        return o->budgets;
    if (kind == SOURCE_LOCK_POLICY && o->lock_policies)
        return true;
    return o->operator_kinds || kind < SOURCE_BUDGET;
}

static int open_part(struct apiserver *s, const struct api_kind *kind, uint64_t seed)
{
    struct api_part *const p = &s->parts[s->n++];
    const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, p};

    p->s = s;
    p->kind = kind;
    p->said = KUBE_REFLECT_FINE;
    return kube_follower_init(&p->follower, s->base, s->api, kind->path, &sink, seed + s->n,
                              publish, p);
}

int apiserver_new(struct apiserver **out, struct event_base *base, struct kube_api *api,
                  const struct source_sink *sink, const struct apiserver_options *options,
                  struct err *err)
{
    struct apiserver *const s = calloc(1, sizeof(*s));
    /* Different in each replica, so that they do not all come back at once. */
    const uint64_t seed = (clock_monotonic_ns() ^ (uintptr_t)s) * UINT64_C(0x9e3779b97f4a7c15);
    int rc = 0;

    if (!s)
        return err_set(err, -ENOMEM, "no memory to follow an API server");
    s->base = base;
    s->api = api;
    s->sink = *sink;
    s->options = *options;
    s->settle = evtimer_new(base, on_settle, s);
    rc = s->settle ? 0 : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < APISERVER_KINDS; i++)
        rc = is_wanted(options, api_kinds[i].kind) ? open_part(s, &api_kinds[i], seed) : 0;
    if (rc) {
        apiserver_free(s);
        return err_set(err, rc, "no memory to follow an API server");
    }
    *out = s;
    return 0;
}

void apiserver_free(struct apiserver *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        kube_follower_done(&s->parts[i].follower);
    if (s->settle)
        event_free(s->settle);
    free(s);
}

unsigned apiserver_kinds(const struct apiserver *s)
{
    return s->n;
}

struct api_part *apiserver_kind(struct apiserver *s, unsigned i)
{
    return &s->parts[i];
}

const char *apiserver_kind_check(const struct api_part *kind)
{
    return kind->kind->check;
}

bool apiserver_kind_ready(const struct api_part *kind, char *why, size_t room)
{
    static const char *const whys[] = {
        [KUBE_REFLECT_FINE] = "they have not been listed yet",
        [KUBE_REFLECT_UNREACHABLE] = "the API server does not answer",
        [KUBE_REFLECT_FORBIDDEN] = "a rule to list and watch them is missing",
        [KUBE_REFLECT_ABSENT] = "the API server has none",
    };

    if (atomic_load(&kind->ready))
        return true;
    (void)snprintf(why, room, "%s", whys[atomic_load(&kind->trouble)]);
    return false;
}
