/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/prometheus.h"

#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/cluster.h"
#include "kube/api.h"
#include "kube/fetch.h"
#include "kube/kubeconfig.h"
#include "kube/promql.h"
#include "kube/scan.h"

_Static_assert((int)CONFIG_SIGNALS == (int)SIGNAL_KINDS, "a query for each kind");

enum { NAME_BYTES = 64 };

/* What one kind is asked by, and what came of it. */
struct query {
    struct prometheus *p;
    enum signal_kind kind;
    char name[NAME_BYTES]; /* of its Signal: no object can be called so */
    struct buf body;       /* of the request; empty: not asked */
    struct kube_call *call;
    char said[ERR_TEXT_BYTES]; /* the last complaint; empty: there is none */
    /* Read by other threads, too. */
    atomic_ullong answers, failures;
    atomic_uint samples, odd, strangers;
    atomic_llong answered_us; /* realtime; 0 = never */
};

struct prometheus {
    struct cluster *cluster;
    struct source_sink sink;
    struct kube_access access;
    struct kube_api *api;
    struct event *timer;
    int64_t ttl_s;
    struct query queries[SIGNAL_KINDS];
};

/* --- what is said about it --- */

/* Once, until something else is to be said. */
static void complain(struct query *q, const char *text)
{
    if (strcmp(q->said, text) == 0)
        return;
    (void)snprintf(q->said, sizeof(q->said), "%s", text);
    log_line(LOG_LEVEL_WARN, "cluster", "signals.prometheus.queries.%s: %s",
             signal_kind_text(q->kind), text);
}

static void praise(struct query *q)
{
    if (q->said[0])
        log_line(LOG_LEVEL_INFO, "cluster", "signals.prometheus.queries.%s: %u samples, all right",
                 signal_kind_text(q->kind), atomic_load(&q->samples));
    q->said[0] = 0;
}

static void note_failure(struct query *q, const char *why)
{
    atomic_fetch_add(&q->failures, 1);
    complain(q, why);
}

/* Nodes of the answer that the cluster does not have; the name of one of them. */
static uint32_t count_strangers(const struct query *q, const struct promql_answer *a,
                                struct str *out_one)
{
    struct cluster_snapshot *const snapshot = cluster_get(q->p->cluster);
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->n; i++) {
        if ((i && str_eq(a->samples[i].node, a->samples[i - 1].node)) ||
            cluster_snapshot_find(snapshot, a->samples[i].node))
            continue;
        *out_one = a->samples[i].node;
        n++;
    }
    cluster_snapshot_unref(snapshot);
    return n;
}

static void note_answer(struct query *q, const struct promql_answer *a)
{
    const bool is_synced = cluster_is_synced(q->p->cluster);
    struct str one = {0};
    const uint32_t strangers = is_synced ? count_strangers(q, a, &one) : 0;
    char text[ERR_TEXT_BYTES];

    atomic_fetch_add(&q->answers, 1);
    atomic_store(&q->answered_us, clock_realtime_us());
    atomic_store(&q->samples, a->n);
    atomic_store(&q->odd, a->odd);
    atomic_store(&q->strangers, strangers);
    if (a->n && strangers == a->nodes)
        (void)snprintf(text, sizeof(text), "the cluster has no node of the answer, such as %.*s",
                       one.n < NAME_BYTES ? (int)one.n : NAME_BYTES, one.p);
    else if (a->odd)
        (void)snprintf(text, sizeof(text),
                       "samples without label node, or whose value is no figure: they are left "
                       "out");
    else
        text[0] = 0;
    if (text[0])
        complain(q, text);
    else
        praise(q);
}

/* --- an answer --- */

static int deliver(struct query *q, const struct promql_answer *a, struct err *err)
{
    static const char zeros[SCAN_PADDING_BYTES];
    struct prometheus *const p = q->p;
    CLEANUP(buf_free) struct buf text = {0};

    promql_signal(&text, str_of(q->name), q->kind, p->ttl_s, a);
    const size_t n = text.n;
    buf_add(&text, zeros, sizeof(zeros));
    if (text.failed)
        return err_set(err, -ENOMEM, "no memory");
    const struct source_delta delta = {
        .verb = SOURCE_UPSERT,
        .kind = SOURCE_SIGNAL,
        .type = STR(KUBE_SIGNAL_KIND),
        .name = str_of(q->name),
        .json = {text.p, n},
        .unlisted = true,
    };
    const int rc = p->sink.delta(p->sink.ctx, &delta, err);
    if (rc == 0 && cluster_is_synced(p->cluster))
        p->sink.settled(p->sink.ctx); /* else its own source says when it is whole */
    return rc;
}

static void read_answer(struct query *q, struct str body)
{
    const size_t room = promql_room(body.n);
    char *const memory = malloc(room);
    struct promql_answer answer;
    struct err err = {0};
    struct arena a;

    if (!memory) {
        note_failure(q, "no memory for the answer");
        return;
    }
    arena_init(&a, memory, room);
    if (promql_decode(&answer, body, &a, &err) || deliver(q, &answer, &err))
        note_failure(q, err.text);
    else
        note_answer(q, &answer);
    free(memory);
}

/* Prometheus says in the body of a 400 or 422 what is wrong with a query. */
static bool read_refusal(struct query *q, const struct kube_answer *answer)
{
    const size_t room = promql_room(answer->body.n);
    char *const memory = answer->body.n ? malloc(room) : NULL;
    struct promql_answer ignored;
    char text[ERR_TEXT_BYTES];
    struct err err;
    struct arena a;

    if (!memory)
        return false;
    arena_init(&a, memory, room);
    const bool is = promql_decode(&ignored, answer->body, &a, &err) == -EPROTO;
    if (is && (size_t)snprintf(text, sizeof(text), "%d: %s", answer->status, err.text) > 0)
        note_failure(q, text);
    free(memory);
    return is;
}

static void on_done(void *ctx, const struct kube_answer *answer)
{
    struct query *const q = ctx;

    q->call = NULL;
    if (answer->err.code == 0)
        read_answer(q, answer->body);
    else if (!answer->status || !read_refusal(q, answer))
        note_failure(q, answer->err.text);
}

/* --- asking --- */

static void ask(struct query *q)
{
    const struct kube_request r = {
        .method = KUBE_POST, /* as a form: a query may be longer than a target */
        .path = "/api/v1/query",
        .body = buf_view(&q->body),
        .content_type = "application/x-www-form-urlencoded",
        .timeout_ms = LIMIT_PROMETHEUS_MS,
        .max_bytes = LIMIT_PROMETHEUS_BYTES,
        .done = on_done,
        .ctx = q,
    };
    struct err err;

    if (q->body.n && !q->call && kube_api_send(q->p->api, &r, &q->call, &err))
        note_failure(q, err.text);
}

static void on_time(evutil_socket_t fd, short what, void *ctx)
{
    struct prometheus *const p = ctx;

    for (int i = 0; i < SIGNAL_KINDS; i++)
        ask(&p->queries[i]);
}

/* --- prometheus.h --- */

static int set_query(struct query *q, struct prometheus *p, enum signal_kind kind, const char *text)
{
    q->p = p;
    q->kind = kind;
    (void)snprintf(q->name, sizeof(q->name), "prometheus:%s", signal_kind_text(kind));
    if (!text[0])
        return 0;
    buf_text(&q->body, "query=");
    fetch_escape(&q->body, text);
    return q->body.failed ? -ENOMEM : 0;
}

/* A copy on the heap without slashes at its end; NULL stays NULL for an empty text. */
static bool keep(char **out, const char *text)
{
    size_t n = strlen(text);

    while (n && text[n - 1] == '/')
        n--;
    *out = n ? strndup(text, n) : NULL;
    return !n || *out;
}

static int set_up(struct prometheus *p, const struct config_prometheus *c)
{
    p->ttl_s = (c->ttl_ms + 999) / 1000;
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        if (set_query(&p->queries[i], p, (enum signal_kind)i, c->queries[i].p))
            return -ENOMEM;
    }
    return keep(&p->access.server, c->address.p) && keep(&p->access.ca.path, c->ca_file.p) &&
                   keep(&p->access.token_file, c->token_file.p)
               ? 0
               : -ENOMEM;
}

static int start(struct prometheus *p, struct event_base *base, const struct config_prometheus *c,
                 struct err *err)
{
    static const struct kube_api_options usual;
    const struct timeval every = {c->interval_ms / 1000, c->interval_ms % 1000 * 1000};
    const int rc = kube_api_new(&p->api, base, &p->access, &usual, err);

    if (rc)
        return err_wrap(err, rc, "signals.prometheus");
    p->timer = event_new(base, -1, EV_PERSIST, on_time, p);
    if (!p->timer || event_add(p->timer, &every))
        return err_set(err, -EIO, "signals.prometheus: no timer");
    event_active(p->timer, EV_TIMEOUT, 0);
    return 0;
}

int prometheus_new(struct prometheus **out, struct event_base *base, struct cluster *cluster,
                   const struct config_prometheus *config, struct err *err)
{
    struct prometheus *const p = calloc(1, sizeof(*p));
    int rc = -ENOMEM;

    if (!p || set_up(p, config))
        (void)err_set(err, rc, "signals.prometheus: no memory");
    else
        rc = start(p, base, config, err);
    if (rc) {
        prometheus_free(p);
        return rc;
    }
    p->cluster = cluster;
    p->sink = cluster_sink(cluster);
    *out = p;
    return 0;
}

void prometheus_free(struct prometheus *p)
{
    if (!p)
        return;
    if (p->timer)
        event_free(p->timer);
    kube_api_free(p->api);
    kube_access_done(&p->access);
    for (int i = 0; i < SIGNAL_KINDS; i++)
        buf_free(&p->queries[i].body);
    free(p);
}

/* --- metrics --- */

static void add_gauge(const struct prometheus *p, const char *name, const char *help, size_t offset,
                      struct buf *out)
{
    metric_family(out, name, "gauge", help);
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        const struct query *const q = &p->queries[i];

        if (q->body.n)
            buf_printf(out, "%s{signal=\"%s\"} %u\n", name, signal_kind_text(q->kind),
                       atomic_load((const atomic_uint *)(const void *)((const char *)q + offset)));
    }
}

void prometheus_metrics(void *ctx, struct buf *out)
{
    static const char asked[] = "numawise_prometheus_queries_total",
                      when[] = "numawise_prometheus_last_answer_timestamp_seconds";
    const struct prometheus *const p = ctx;

    metric_family(out, asked, "counter", "Queries for signals, by what came of them.");
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        const struct query *const q = &p->queries[i];

        if (q->body.n)
            buf_printf(out,
                       "%s{signal=\"%s\",result=\"answer\"} %llu\n"
                       "%s{signal=\"%s\",result=\"failure\"} %llu\n",
                       asked, signal_kind_text(q->kind), atomic_load(&q->answers), asked,
                       signal_kind_text(q->kind), atomic_load(&q->failures));
    }
    add_gauge(p, "numawise_prometheus_samples", "Figures in the last answer.",
              offsetof(struct query, samples), out);
    add_gauge(p, "numawise_prometheus_samples_left_out",
              "Samples of the last answer without label node, or whose value is no figure.",
              offsetof(struct query, odd), out);
    add_gauge(p, "numawise_prometheus_unknown_nodes",
              "Nodes of the last answer that the cluster does not have.",
              offsetof(struct query, strangers), out);
    metric_family(out, when, "gauge", "When the last answer came; absent before.");
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        const struct query *const q = &p->queries[i];
        const long long at = atomic_load(&q->answered_us);

        if (at)
            buf_printf(out, "%s{signal=\"%s\"} %.3f\n", when, signal_kind_text(q->kind),
                       (double)at / 1e6);
    }
}
