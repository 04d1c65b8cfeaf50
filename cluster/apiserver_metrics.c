/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says of an API server that is followed, by the names that dashboards know. */
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "cluster/apiserver_parts.h"
#include "kube/api.h"

static const struct family {
    enum api_figure figure;
    const char *name, *type, *help;
} families[] = {
    {API_SYNCED, "numawise_cache_synced", "gauge", "Whether the kind was read whole once."},
    {API_VERSION, "reflector_last_resource_version", "gauge", "Version that the cache stands for."},
    {API_LISTS, "reflector_lists_total", "counter", "Lists that came to their end."},
    {API_WATCHES, "reflector_watches_total", "counter", "Watches begun."},
    {API_SHORT, "reflector_short_watches_total", "counter",
     "Watches that ended at once without an event."},
    {API_EVENTS, "reflector_events_total", "counter", "Changes that watches told."},
    {API_BOOKMARKS, "reflector_bookmarks_total", "counter", "Bookmarks of watches."},
    {API_FAILURES, "reflector_failures_total", "counter",
     "Lists and watches that failed and were waited with."},
    {API_EXPIRED, "reflector_expired_total", "counter",
     "Versions or pages that the server had forgotten (410)."},
    {API_REPEATED, "reflector_repeated_events_total", "counter", "Events that were known already."},
    {API_REWOUND, "reflector_rewound_total", "counter",
     "The server went back to an older state and everything was read again."},
    {API_LEFT_OUT, "reflector_left_out_total", "counter",
     "Objects that were too large or had no name."},
};

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static unsigned long long figure_of(const struct api_part *p, enum api_figure figure)
{
    return atomic_load_explicit(&p->figures[figure], memory_order_relaxed);
}

static void add_family(const struct apiserver *s, const struct family *f, struct buf *out)
{
    head(out, f->name, f->type, f->help);
    for (unsigned i = 0; i < s->n; i++)
        buf_printf(out, "%s{resource=\"%s\"} %llu\n", f->name, s->parts[i].kind->resource,
                   figure_of(&s->parts[i], f->figure));
}

uint64_t apiserver_age_ns(const struct apiserver *s, enum source_kind kind, uint64_t now_ns)
{
    for (unsigned i = 0; i < s->n; i++) {
        const uint64_t at = figure_of(&s->parts[i], API_CURRENT_NS);

        if (s->parts[i].kind->kind == kind)
            return at == 0 ? UINT64_MAX : now_ns > at ? now_ns - at : 0;
    }
    return UINT64_MAX;
}

/* Of a kind that was never read there is no age. */
static void add_ages(const struct apiserver *s, struct buf *out)
{
    const uint64_t now = clock_monotonic_ns();

    head(out, "numawise_cache_age_seconds", "gauge",
         "Since the cache of the kind was last known to be current.");
    for (unsigned i = 0; i < s->n; i++) {
        const uint64_t at = figure_of(&s->parts[i], API_CURRENT_NS);

        if (at)
            buf_printf(out, "numawise_cache_age_seconds{resource=\"%s\"} %.3f\n",
                       s->parts[i].kind->resource, now > at ? (double)(now - at) / 1e9 : 0.0);
    }
}

static void add_degraded(const struct apiserver *s, struct buf *out)
{
    static const struct {
        enum kube_reflector_trouble trouble;
        const char *reason;
    } reasons[] = {{KUBE_REFLECT_FORBIDDEN, "forbidden"},
                   {KUBE_REFLECT_ABSENT, "absent"},
                   {KUBE_REFLECT_UNREACHABLE, "unreachable"}};

    head(out, "numawise_cache_degraded", "gauge", "Why the kind is not followed just now.");
    for (unsigned i = 0; i < s->n; i++)
        for (unsigned k = 0; k < ARRAY_LEN(reasons); k++)
            buf_printf(out, "numawise_cache_degraded{resource=\"%s\",reason=\"%s\"} %d\n",
                       s->parts[i].kind->resource, reasons[k].reason,
                       atomic_load(&s->parts[i].trouble) == reasons[k].trouble);
}

static void add_undecodable(const struct apiserver *s, struct buf *out)
{
    head(out, "numawise_cache_undecodable_total", "counter",
         "Objects that could not be decoded; their last good version stays.");
    for (unsigned i = 0; i < s->n; i++)
        buf_printf(out, "numawise_cache_undecodable_total{resource=\"%s\"} %llu\n",
                   s->parts[i].kind->resource,
                   (unsigned long long)atomic_load(&s->parts[i].undecodable));
}

/* The name of the host alone would do; but this is what client-go's label has. */
static const char *host_of(const char *server)
{
    for (const char *p = server; *p; p++)
        if (p[0] == '/' && p[1] == '/')
            return p + 2;
    return server;
}

static void add_requests(const struct apiserver *s, struct buf *out)
{
    const struct kube_api_stats *const stats = kube_api_stats(s->api);
    const char *const host = host_of(kube_api_server(s->api));

    head(out, "rest_client_requests_total", "counter", "Requests to the API server.");
    for (unsigned m = 0; m < KUBE_METHODS; m++)
        for (unsigned c = 0; c < KUBE_CODES; c++) {
            const unsigned long long n = atomic_load(&stats->requests[m][c]);

            if (n)
                buf_printf(out,
                           "rest_client_requests_total{code=\"%s\",method=\"%s\",host=\"%s\"} "
                           "%llu\n",
                           kube_code_names[c], kube_method_names[m], host, n);
        }
    head(out, "rest_client_request_retries_total", "counter", "Requests that were sent again.");
    buf_printf(out, "rest_client_request_retries_total %llu\n",
               (unsigned long long)atomic_load(&stats->retries));
    head(out, "numawise_api_connections_lost_total", "counter",
         "Connections given up because the API server was silent.");
    buf_printf(out, "numawise_api_connections_lost_total %llu\n",
               (unsigned long long)atomic_load(&stats->connections_lost));
    head(out, "numawise_api_credential_failures_total", "counter",
         "Files of tokens or certificates that could not be read again.");
    buf_printf(out, "numawise_api_credential_failures_total %llu\n",
               (unsigned long long)atomic_load(&stats->credential_failures));
}

void apiserver_metrics(void *ctx, struct buf *out)
{
    const struct apiserver *const s = ctx;

    for (unsigned i = 0; i < ARRAY_LEN(families); i++)
        add_family(s, &families[i], out);
    add_ages(s, out);
    add_degraded(s, out);
    add_undecodable(s, out);
    add_requests(s, out);
}
