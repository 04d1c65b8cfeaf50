/* SPDX-License-Identifier: Apache-2.0 */
/* The answer for one node: would its kubelet admit the pod, on which zones, and if not, why. */
#ifndef SCORING_VERDICT_H
#define SCORING_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"

enum score_verdict { SCORE_ADMITTED, SCORE_REJECTED, SCORE_UNKNOWN };

/* One table (verdict.c) turns these into the texts of contract.md 2. */
enum score_reason {
    SCORE_REASON_NONE,
    SCORE_TOPOLOGY_AFFINITY_ERROR,
    SCORE_SMT_ALIGNMENT_ERROR,
    SCORE_UNEXPECTED_ADMISSION_ERROR,
    SCORE_KUBELET_CRASH,
    SCORE_NO_TOPOLOGY,
    SCORE_STALE_TOPOLOGY,
    SCORE_TOO_MANY_ZONES,
    SCORE_NOT_MODELLED,
    /* Ours, of scoring/constraint.h: rejections by a policy or by the pod's own hints. */
    SCORE_NUMA_EXCLUSIVE,
    SCORE_CROSS_ACCESS,
    SCORE_ALLOWED_DISTANCE,
    SCORE_NUMA_POLICY,
    SCORE_NETWORK_BANDWIDTH,
    SCORE_LOCK_LIMIT,
    SCORE_GOROUTINE_LIMIT,
    SCORE_REASONS, /* how many there are */
};

/* The one verdict that a reason, not NONE, goes with. */
enum score_verdict score_reason_verdict(enum score_reason reason);

const char *score_verdict_text(enum score_verdict verdict); /* "Admitted", ... */
const char *score_reason_text(enum score_reason reason);    /* "TopologyAffinityError", "" */
const char *score_reason_wire(enum score_reason reason);    /* "numawise: TopologyAffinityError" */

/* What one container gets. */
struct score_container {
    bool hinted;       /* the merge was reached and passed; false under policy none */
    bool has_affinity; /* false: the kubelet's nil mask, any zone */
    bool preferred;
    uint64_t affinity;               /* zones of the stored hint */
    const uint64_t *cpus;            /* [W] exclusive CPUs, NULL = shared pool */
    const struct node_block *blocks; /* [n_blocks] memory */
    uint32_t n_blocks;
    const uint64_t *devices; /* [(D+63)/64], NULL = none */
};

#endif
