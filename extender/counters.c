/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/counters.h"

#include "base/attr.h"
#include "base/buf.h"
#include "decide/decide.h"

static const char *const verbs[EXT_VERBS] = {"filter", "prioritize"};
static const char *const codes[EXT_CODES] = {"200", "400", "503"};

/* Upper bounds, doubling from 0.25 ms, then what a user sets as httpTimeout. */
static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[EXT_BUCKETS] = {
    {250000, "0.00025"}, {500000, "0.0005"},   {1000000, "0.001"},   {2000000, "0.002"},
    {4000000, "0.004"},  {8000000, "0.008"},   {16000000, "0.016"},  {32000000, "0.032"},
    {64000000, "0.064"}, {128000000, "0.128"}, {256000000, "0.256"}, {500000000, "0.5"},
    {1000000000, "1"},   {5000000000, "5"},
};

static void bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static unsigned long long value(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void ext_count_request(struct ext_counters *c, enum ext_verb verb, enum ext_code code,
                       uint64_t duration_ns)
{
    size_t b = 0;

    while (b < EXT_BUCKETS && duration_ns > bounds[b].ns)
        b++;
    bump(&c->requests[verb][code], 1);
    bump(&c->buckets[verb][b], 1);
    bump(&c->sum_ns[verb], duration_ns);
}

void ext_count_decision(struct ext_counters *c, enum ext_verb verb, const struct decision *d)
{
    for (int v = 0; v < 3; v++)
        bump(&c->nodes[verb][v], d->counts[v]);
    bump(&c->not_understood, d->pass == DECIDE_NOT_UNDERSTOOD);
    bump(&c->ignored, d->pass == DECIDE_IGNORED);
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void requests_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_requests_total";

    family(out, name, "counter", "Calls of kube-scheduler by verb and HTTP status.");
    for (int v = 0; v < EXT_VERBS; v++)
        for (int k = 0; k < EXT_CODES; k++)
            buf_printf(out, "%s{verb=\"%s\",code=\"%s\"} %llu\n", name, verbs[v], codes[k],
                       value(&c->requests[v][k]));
}

static void nodes_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_nodes_total";

    family(out, name, "counter", "Candidates judged, by verb and verdict.");
    for (int v = 0; v < EXT_VERBS; v++)
        for (int k = 0; k < 3; k++)
            buf_printf(out, "%s{verb=\"%s\",verdict=\"%s\"} %llu\n", name, verbs[v],
                       score_verdict_text((enum score_verdict)k), value(&c->nodes[v][k]));
}

static void duration_text(const struct ext_counters *c, struct buf *out)
{
    static const char name[] = "numawise_extender_request_duration_seconds";

    family(out, name, "histogram", "From the first byte of a call to its answer.");
    for (int v = 0; v < EXT_VERBS; v++) {
        unsigned long long n = 0;
        for (int b = 0; b < EXT_BUCKETS; b++) {
            n += value(&c->buckets[v][b]);
            buf_printf(out, "%s_bucket{verb=\"%s\",le=\"%s\"} %llu\n", name, verbs[v],
                       bounds[b].seconds, n);
        }
        n += value(&c->buckets[v][EXT_BUCKETS]);
        const unsigned long long ns = value(&c->sum_ns[v]);
        buf_printf(out, "%s_bucket{verb=\"%s\",le=\"+Inf\"} %llu\n", name, verbs[v], n);
        buf_printf(out, "%s_sum{verb=\"%s\"} %llu.%09llu\n", name, verbs[v], ns / 1000000000,
                   ns % 1000000000);
        buf_printf(out, "%s_count{verb=\"%s\"} %llu\n", name, verbs[v], n);
    }
}

static void plain(struct buf *out, const char *name, const char *help,
                  const atomic_uint_fast64_t *counter)
{
    family(out, name, "counter", help);
    buf_printf(out, "%s %llu\n", name, value(counter));
}

void ext_counters_text(const struct ext_counters *c, struct buf *out)
{
    requests_text(c, out);
    nodes_text(c, out);
    duration_text(c, out);
    plain(out, "numawise_extender_shadow_rejections_total",
          "Rejections that the mode Shadow let pass.", &c->shadowed);
    plain(out, "numawise_extender_pods_not_understood_total",
          "Calls whose pod did not decode; all their nodes passed.", &c->not_understood);
    plain(out, "numawise_extender_pods_ignored_total",
          "Calls whose pod asks to be ignored; all their nodes passed.", &c->ignored);
    plain(out, "numawise_decisions_lost_total", "Decisions that could not be kept.", &c->lost);
}
