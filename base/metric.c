/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <inttypes.h>

#include "base/buf.h"

/* Doubling, then what a user sets as httpTimeout. */
static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[METRIC_BUCKETS] = {
    {250000, "0.00025"}, {500000, "0.0005"},   {1000000, "0.001"},   {2000000, "0.002"},
    {4000000, "0.004"},  {8000000, "0.008"},   {16000000, "0.016"},  {32000000, "0.032"},
    {64000000, "0.064"}, {128000000, "0.128"}, {256000000, "0.256"}, {500000000, "0.5"},
    {1000000000, "1"},   {5000000000, "5"},
};

void metric_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metric_family(out, name, "counter", help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* Whole numbers up to 10^15, and a time of day to a hundredth of a second. */
void metric_gauge(struct buf *out, const char *name, const char *help, double value)
{
    metric_family(out, name, "gauge", help);
    buf_printf(out, "%s %.15g\n", name, value);
}

void metric_add_duration(struct metric_durations *d, uint64_t ns)
{
    size_t b = 0;

    while (b < METRIC_BUCKETS && ns > bounds[b].ns)
        b++;
    atomic_fetch_add_explicit(&d->buckets[b], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->sum_ns, ns, memory_order_relaxed);
}

void metric_histogram(struct buf *out, const char *name, const char *labels,
                      const struct metric_durations *d)
{
    const char *const comma = labels[0] ? "," : "", *const open = labels[0] ? "{" : "",
                      *const close = labels[0] ? "}" : "";
    uint64_t n = 0;

    for (size_t b = 0; b <= METRIC_BUCKETS; b++) {
        n += atomic_load_explicit(&d->buckets[b], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
                   b < METRIC_BUCKETS ? bounds[b].seconds : "+Inf", n);
    }
    const uint64_t ns = atomic_load_explicit(&d->sum_ns, memory_order_relaxed);
    buf_printf(out, "%s_sum%s%s%s %" PRIu64 ".%09" PRIu64 "\n", name, open, labels, close,
               ns / 1000000000, ns % 1000000000);
    buf_printf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, n);
}
