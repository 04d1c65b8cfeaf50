/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet's admission of a pod, replayed: Topology Manager over Device, CPU and Memory Manager
 * (k8s.io/kubernetes v1.36 pkg/kubelet/cm), quirks included. One file a manager:
 *
 *   kubelet.c         the order of things: scopes, containers, who allocates when
 *   kubelet_merge.c   Topology Manager: the hints of all providers become one
 *   kubelet_cpu.c     CPU Manager static: hints, reuse; kubelet_take*.c choose the CPU set
 *   kubelet_memory.c  Memory Manager Static: hints, groups, blocks, release
 *   kubelet_device.c  Device Manager: hints, which devices
 */
#ifndef SCORING_KUBELET_H
#define SCORING_KUBELET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "scoring/node_view.h"
#include "scoring/verdict.h"

struct arena;
struct score_request;

/*
 * Zones beyond which hints are not worked out (every provider looks at every set of zones; the
 * kubelet itself needs seconds at 8). Zones that no provider offers do not count, and where hints
 * are not needed there is no such limit.
 */
enum { KUBELET_HINT_ZONES = 12 }; /* = MASK_SET_ZONES */

struct kubelet_answer {
    enum score_verdict verdict; /* ADMITTED, REJECTED, or UNKNOWN (TooManyZones) */
    enum score_reason reason;
    char message[ERR_TEXT_BYTES]; /* the kubelet's own text; "" when admitted */
    struct score_container
        *containers; /* [n_containers], also of what a rejected pod still holds */
};

/*
 * Let the kubelet of `node` admit the pod in `state`, which changes: also a rejected pod holds
 * what was allocated before the failure, until kubelet_release. `out` and everything it points to
 * live in `a`. 0, or -ENOMEM with `state` untouched.
 */
int kubelet_admit(struct node_state *state, const struct node_view *node,
                  const struct score_request *req, struct kubelet_answer *out,
                  struct arena *a) MUST_CHECK;

/*
 * The same answer without its message, but which CPUs of a zone the last exclusive container gets
 * is left open where nothing can depend on it: then it is any of the zone's free ones. For verdicts
 * and scores, which look at zones: choosing CPUs as the kubelet does costs more than all the rest,
 * and where single zones decide, hints are not worked out for sets of them.
 */
int kubelet_admit_zones(struct node_state *state, const struct node_view *node,
                        const struct score_request *req, struct kubelet_answer *out,
                        struct arena *a) MUST_CHECK;

/*
 * The kubelet starts the containers one after the other: the memory of each ordinary init
 * container is released when the next one starts, and its blocks become none.
 */
void kubelet_start(struct node_state *state, const struct node_view *node,
                   const struct score_request *req, struct score_container *containers);

/* Give back what one container holds: the pod is gone, or its rejection is cleaned up. */
void kubelet_release(struct node_state *state, const struct node_view *node,
                     const struct score_container *container);

/* The same for a holding of a running pod. */
void kubelet_release_holding(struct node_state *state, const struct node_view *node,
                             const struct node_holding *holding);

/*
 * Why this kubelet would not start with its configuration on this machine; NULL when it would.
 * Literal text.
 */
const char *kubelet_start_error(const struct node_view *node);

/*
 * The CPUs that a static CPU manager reserves when it is told a number only
 * (cpumanager NewStaticPolicy), into `out` [W]. 0; -ENOMEM; -ENOENT when it cannot reserve just
 * that many, and does not start.
 */
int kubelet_choose_reserved(uint64_t *out, const struct node_view *node, uint32_t count,
                            struct arena *a) MUST_CHECK;

#endif
