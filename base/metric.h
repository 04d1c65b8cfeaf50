/* SPDX-License-Identifier: Apache-2.0 */
/* Figures in the text format 0.0.4 of Prometheus. Names and helps are literals. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* The two lines before the values of a family; `type` is counter, gauge or histogram. */
void metric_family(struct buf *out, const char *name, const char *type, const char *help);

/* A family of one value without labels. */
void metric_counter(struct buf *out, const char *name, const char *help, uint64_t value);
void metric_gauge(struct buf *out, const char *name, const char *help, double value);

/* Upper bounds of durations, ns, from a quarter of a millisecond to five seconds. */
enum { METRIC_BUCKETS = 14 };

/* Zero-initialise. Any thread adds, any thread reads. */
struct metric_durations {
    atomic_uint_fast64_t buckets[METRIC_BUCKETS + 1], sum_ns;
};

void metric_add_duration(struct metric_durations *d, uint64_t ns);

/* One series of the histogram family `name`; `labels` like `verb="filter"`, or "". */
void metric_histogram(struct buf *out, const char *name, const char *labels,
                      const struct metric_durations *d);

#endif
