/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus answers to an instant query (HTTP API v1), and the Signal that is made of it. */
#ifndef KUBE_PROMQL_H
#define KUBE_PROMQL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/signal.h"

struct arena;
struct buf;
struct err;

/* One element of the vector, by its labels `node` and `device`. */
struct promql_sample {
    struct str node;
    struct str device; /* empty: of the node as a whole */
    int64_t value;     /* 0..SIGNAL_MOST, to nearest */
};

struct promql_answer {
    struct promql_sample *samples; /* [n] by node, then device; of two of one thing the larger */
    uint32_t n;
    uint32_t nodes; /* that the samples are of */
    uint32_t odd;   /* elements left out: without label `node`, or with a value that is no figure
                       (NaN, infinite, negative, over 2^53, a histogram) */
};

/*
 * Room for an arena to decode an answer of `n` bytes in. It is enough for whatever Prometheus
 * prints, where an element has 29 bytes or more; for elements that are none it need not be.
 */
size_t promql_room(size_t n);

/*
 * `json` is followed by SCAN_PADDING_BYTES; texts are copied into `a`. 0; -EINVAL: no answer of
 * this API, or to another query than of an instant vector; -EPROTO: Prometheus says that it failed,
 * and `err` why; -ENOMEM. Writes `out` on success only.
 */
int promql_decode(struct promql_answer *out, struct str json, struct arena *a,
                  struct err *err) MUST_CHECK;

/* Append the Signal of this name that says it, as JSON. */
void promql_signal(struct buf *out, struct str name, enum signal_kind kind, int64_t ttl_s,
                   const struct promql_answer *answer);

#endif
