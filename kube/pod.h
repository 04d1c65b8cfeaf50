/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod decoder for those who know that it is a Pod; kube_pod_decode in object.h looks for
 * itself, which is one more way through the text.
 */
#ifndef KUBE_POD_H
#define KUBE_POD_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/request.h"

struct arena;
struct err;

/*
 * More annotations of ours on one pod than there are hints, which bounds what duplicates can cost;
 * containers (as many again to initialise) and their requests and limits together. Every container
 * is judged on every node, so a pod without bounds would hold up all others.
 */
enum { KUBE_HINTS_MAX = 256, KUBE_CONTAINERS_MAX = 256, KUBE_POD_AMOUNTS_MAX = 1024 };

/*
 * A Pod, whatever its `kind` says, with the scanner's flags (SCAN_FOLD inside extender bodies).
 * `json` is followed by SCAN_PADDING_BYTES. Returns as kube_pod_decode; on failure `out` and the
 * arena are as before.
 */
int kube_pod_read(struct score_pod *out, struct str json, uint32_t scan_flags, struct arena *a,
                  struct err *err) MUST_CHECK;

#endif
