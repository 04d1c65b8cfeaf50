/* SPDX-License-Identifier: Apache-2.0 */
/* Resource lists ({"cpu": "4", "nvidia.com/gpu": 2}) of pods and nodes. */
#ifndef KUBE_AMOUNTS_H
#define KUBE_AMOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/request.h"

struct arena;
struct scan;

/* More resources in one list than any node has; bounds what duplicates can cost. */
enum { KUBE_AMOUNTS_MAX = 128 };

/*
 * Read a resource list from the scanner into `a`, in the order of the text, each amount in the
 * unit of its kind; of a name given twice the last one stays. null gives an empty list. Amounts of
 * kind POD_OTHER are read in plain units. False on failure (-E2BIG: over KUBE_AMOUNTS_MAX).
 * `odd_memory`, unless NULL, becomes true where memory or huge pages are such that the kubelet
 * cannot read them as a whole number (kube_quantity_int64).
 */
bool kube_amounts_read(struct scan *s, const struct pod_amount **out, uint32_t *out_n,
                       bool *odd_memory, struct arena *a);

/* The same in thousandths, whatever the resource: proportions. */
bool kube_amounts_read_milli(struct scan *s, const struct pod_amount **out, uint32_t *out_n,
                             struct arena *a);

/*
 * The requests with what only `limits` has behind them: what the API server stores. Returns
 * `requests` itself when nothing is missing. False when the arena is full.
 */
bool kube_amounts_default(const struct pod_amount **requests, uint32_t *n_requests,
                          const struct pod_amount *limits, uint32_t n_limits, struct arena *a);

#endif
