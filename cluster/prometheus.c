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
    struct kube_call *call;
    char said[ERR_TEXT_BYTES]; /* the last complaint; empty: there is none */
    /* Read by other threads, too. */
    atomic_bool is_asked;
    atomic_ullong answers, failures;
    atomic_uint samples, odd, strangers;
    atomic_llong answered_us; /* realtime; 0 = never */
};

/* What comes of settings, and goes with them; stays where it is. */
struct asking {
    struct config_prometheus config;
    struct kube_access access;
    struct kube_api *api; /* NULL: nobody is asked */
    struct buf bodies[SIGNAL_KINDS];
};

struct prometheus {
    struct cluster *cluster;
    struct source_sink sink;
    struct event_base *base;
    struct event *timer;
    struct asking *asking; /* NULL before the first settings */
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

    promql_signal(&text, str_of(q->name), q->kind, (p->asking->config.ttl_ms + 999) / 1000, a);
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
        .body = buf_view(&q->p->asking->bodies[q->kind]),
        .content_type = "application/x-www-form-urlencoded",
        .timeout_ms = LIMIT_PROMETHEUS_MS,
        .max_bytes = LIMIT_PROMETHEUS_BYTES,
        .done = on_done,
        .ctx = q,
    };
    struct err err;

    if (r.body.n && !q->call && kube_api_send(q->p->asking->api, &r, &q->call, &err))
        note_failure(q, err.text);
}

static void on_time(evutil_socket_t fd, short what, void *ctx)
{
    struct prometheus *const p = ctx;

    for (int i = 0; i < SIGNAL_KINDS; i++)
        ask(&p->queries[i]);
}

/* --- settings --- */

static bool same_settings(const struct config_prometheus *x, const struct config_prometheus *y)
{
    bool same = x->interval_ms == y->interval_ms && x->ttl_ms == y->ttl_ms &&
                strcmp(x->address.p, y->address.p) == 0 &&
                strcmp(x->ca_file.p, y->ca_file.p) == 0 &&
                strcmp(x->token_file.p, y->token_file.p) == 0;

    for (int i = 0; i < SIGNAL_KINDS; i++)
        same = same && strcmp(x->queries[i].p, y->queries[i].p) == 0;
    return same;
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

static bool write_bodies(struct asking *a)
{
    bool is_whole = true;

    for (int i = 0; i < SIGNAL_KINDS; i++) {
        if (!a->config.queries[i].p[0])
            continue;
        buf_text(&a->bodies[i], "query=");
        fetch_escape(&a->bodies[i], a->config.queries[i].p);
        is_whole = is_whole && !a->bodies[i].failed;
    }
    return is_whole;
}

/* Calls under way end without a word. NULL is fine. */
static void stop_asking(struct asking *a)
{
    if (!a)
        return;
    kube_api_free(a->api);
    kube_access_done(&a->access);
    for (int i = 0; i < SIGNAL_KINDS; i++)
        buf_free(&a->bodies[i]);
    free(a);
}

static int open_api(struct asking *a, struct event_base *base, struct err *err)
{
    static const struct kube_api_options usual;
    const struct config_prometheus *const c = &a->config;

    if (!c->address.p[0])
        return 0;
    if (!write_bodies(a) || !keep(&a->access.server, c->address.p) ||
        !keep(&a->access.ca.path, c->ca_file.p) || !keep(&a->access.token_file, c->token_file.p))
        return err_set(err, -ENOMEM, "signals.prometheus: no memory");
    const int rc = kube_api_new(&a->api, base, &a->access, &usual, err);
    return rc ? err_wrap(err, rc, "signals.prometheus") : 0;
}

static int start_asking(struct asking **out, const struct config_prometheus *config,
                        struct event_base *base, struct err *err)
{
    struct asking *const a = calloc(1, sizeof(*a));
    int rc = a ? 0 : err_set(err, -ENOMEM, "signals.prometheus: no memory");

    if (a) {
        a->config = *config;
        rc = open_api(a, base, err);
    }
    if (rc)
        stop_asking(a);
    else
        *out = a;
    return rc;
}

/* Its Signal goes, if there is one. */
static void forget(struct query *q)
{
    const struct source_delta delta = {.verb = SOURCE_DELETE,
                                       .kind = SOURCE_SIGNAL,
                                       .type = STR(KUBE_SIGNAL_KIND),
                                       .name = str_of(q->name),
                                       .unlisted = true};
    struct err err;

    if (q->p->sink.delta(q->p->sink.ctx, &delta, &err))
        log_line(LOG_LEVEL_ERROR, "cluster", "%s: %s", q->name, err.text);
}

static void turn(struct query *q, bool is_asked)
{
    q->call = NULL;
    q->said[0] = 0;
    if (!is_asked && atomic_load(&q->is_asked))
        forget(q);
    atomic_store(&q->is_asked, is_asked);
}

static int set_timer(struct prometheus *p, struct err *err)
{
    const int64_t ms = p->asking->config.interval_ms;
    const struct timeval every = {ms / 1000, ms % 1000 * 1000};

    (void)event_del(p->timer);
    if (!p->asking->api)
        return 0;
    if (event_add(p->timer, &every))
        return err_set(err, -EIO, "signals.prometheus: no timer");
    event_active(p->timer, EV_TIMEOUT, 0);
    log_line(LOG_LEVEL_INFO, "cluster", "%s: asking for signals", p->asking->access.server);
    return 0;
}

static int change(struct prometheus *p, const struct config_prometheus *config, struct err *err)
{
    struct asking *next = NULL;
    const int rc = start_asking(&next, config, p->base, err);

    if (rc)
        return rc;
    stop_asking(p->asking);
    p->asking = next;
    for (int i = 0; i < SIGNAL_KINDS; i++)
        turn(&p->queries[i], next->bodies[i].n > 0);
    if (cluster_is_synced(p->cluster))
        p->sink.settled(p->sink.ctx);
    return set_timer(p, err);
}

/* --- prometheus.h --- */

int prometheus_set(struct prometheus *p, const struct config_prometheus *config, struct err *err)
{
    return same_settings(&p->asking->config, config) ? 0 : change(p, config, err);
}

int prometheus_new(struct prometheus **out, struct event_base *base, struct cluster *cluster,
                   const struct config_prometheus *config, struct err *err)
{
    struct prometheus *const p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(err, -ENOMEM, "signals.prometheus: no memory");
    p->base = base;
    p->cluster = cluster;
    p->sink = cluster_sink(cluster);
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        p->queries[i].p = p;
        p->queries[i].kind = (enum signal_kind)i;
        (void)snprintf(p->queries[i].name, sizeof(p->queries[i].name), "prometheus:%s",
                       signal_kind_text((enum signal_kind)i));
    }
    p->timer = event_new(base, -1, EV_PERSIST, on_time, p);
    const int rc =
        p->timer ? change(p, config, err) : err_set(err, -EIO, "signals.prometheus: no timer");
    if (rc) {
        prometheus_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void prometheus_free(struct prometheus *p)
{
    if (!p)
        return;
    if (p->timer)
        event_free(p->timer);
    stop_asking(p->asking);
    free(p);
}

/* --- metrics --- */

static void add_gauge(const struct prometheus *p, const char *name, const char *help, size_t offset,
                      struct buf *out)
{
    metric_family(out, name, "gauge", help);
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        const struct query *const q = &p->queries[i];

        if (atomic_load(&q->is_asked))
            buf_printf(out, "%s{signal=\"%s\"} %u\n", name, signal_kind_text(q->kind),
                       atomic_load((const atomic_uint *)(const void *)((const char *)q + offset)));
    }
}

void prometheus_metrics(void *ctx, struct buf *out)
{
    static const char asked[] = "numawise_prometheus_queries_total",
                      when[] = "numawise_prometheus_last_answer_timestamp_seconds";
    const struct prometheus *const p = ctx;
    bool any = false;

    for (int i = 0; i < SIGNAL_KINDS; i++)
        any = any || atomic_load(&p->queries[i].is_asked);
    if (!any)
        return;
    metric_family(out, asked, "counter", "Queries for signals, by what came of them.");
    for (int i = 0; i < SIGNAL_KINDS; i++) {
        const struct query *const q = &p->queries[i];

        if (atomic_load(&q->is_asked))
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

        if (at && atomic_load(&q->is_asked))
            buf_printf(out, "%s{signal=\"%s\"} %.3f\n", when, signal_kind_text(q->kind),
                       (double)at / 1e6);
    }
}
