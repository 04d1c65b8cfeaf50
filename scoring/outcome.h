/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An admission with what terms and constraints ask of it, worked out once: where each container's
 * CPUs and memory are, which devices it may be given, which zones the pod uses. Private to
 * scoring/.
 */
#ifndef SCORING_OUTCOME_H
#define SCORING_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/choice.h"
#include "scoring/kubelet.h"
#include "scoring/node_view.h"

struct arena;
struct score_request;

/* One container, as it will run. */
struct outcome_container {
    bool runs;              /* for long: no ordinary init container */
    bool has_own;           /* CPUs of its own; else `cpu` is the shared pool */
    const uint32_t *cpu;    /* [Z] CPUs by zone */
    const uint32_t *memory; /* [Z] in any unit, for score_split: blocks, else as the CPUs */
    uint64_t cpu_zones;     /* where cpu[] is not 0 */
    uint64_t memory_zones;  /* outside of them memory[] is 0 */
    uint32_t cpus;          /* sum of cpu[]; 0: nothing can be said of where it runs */
    uint64_t weight;        /* CPU request in thousandths, at least 1 */
    const struct score_choice *choices; /* [n_choices] one a resource that the node has */
    uint32_t n_choices;
};

struct outcome {
    const struct node_view *node;
    const struct score_request *req;
    const struct node_state *after;
    const struct kubelet_answer *answer;        /* ADMITTED */
    const struct outcome_container *containers; /* [n_containers] */
    uint64_t zones;    /* of CPUs, memory and devices that the pod has for itself */
    uint64_t floating; /* of the shared pool, where some container has no CPUs of its own */
};

/*
 * `after` is the node's state with the pod. Lives in `a`, borrows the rest. 0, -ENOMEM.
 * Devices that earlier containers of the pod get count as taken, the emulation's pick of them;
 * those that an ordinary init container leaves behind do not.
 */
int outcome_init(struct outcome *out, const struct node_view *node, const struct score_request *req,
                 const struct node_state *after, const struct kubelet_answer *answer,
                 struct arena *a) MUST_CHECK;

#endif
