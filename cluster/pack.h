/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects to keep: what decoding leaves beside one (text that was read through, room for the
 * longest list) is several times the object itself, so that a packed copy is kept instead.
 */
#ifndef CLUSTER_PACK_H
#define CLUSTER_PACK_H

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct kube_node;
struct score_pod;

/* A deep copy of `from` in `a`; of `meta` only the uid. 0; -ENOMEM, `out` is untouched. */
int pack_node(struct kube_node *out, const struct kube_node *from, struct arena *a) MUST_CHECK;
int pack_pod(struct score_pod *out, const struct score_pod *from, struct arena *a) MUST_CHECK;

#endif
