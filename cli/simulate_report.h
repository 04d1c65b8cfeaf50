/* SPDX-License-Identifier: Apache-2.0 */
/* The runs of `numawise simulate` side by side, for terminals, tools and browsers. */
#ifndef CLI_SIMULATE_REPORT_H
#define CLI_SIMULATE_REPORT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "decide/simulate.h"

struct buf;

enum { SIMULATE_RUNS = 4, SIMULATE_LABEL = 80 };

struct simulate_run {
    enum simulate_placer placer;
    char setup[SIMULATE_LABEL]; /* "as it is", "changed", a policy's file; "" = there is but one */
    struct simulate_result result;
};

struct simulate_report {
    const struct simulate_run *runs; /* [n_runs] */
    uint32_t n_runs;
    const struct simulate_shape *shapes; /* [n_shapes] */
    uint32_t n_shapes;
    uint64_t seed;
    uint32_t pods, lifetime, tries, weight;
};

const char *simulate_placer_text(enum simulate_placer placer); /* "kube-scheduler alone", ... */

/* Refusals of the last run without numawise, less those of the last one with it. */
int64_t simulate_avoided(const struct simulate_report *r);

/* All append; a full heap shows as out->failed. The same report gives the same bytes. */
void simulate_table(struct buf *out, const struct simulate_report *r);
void simulate_json(struct buf *out, const struct simulate_report *r);
void simulate_svg(struct buf *out, const struct simulate_report *r);

#endif
