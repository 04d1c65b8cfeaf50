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
struct kube_nrt;
struct score_pod;

/* A deep copy of `from` in `a`; of `meta` only the uid. 0; -ENOMEM, `out` is untouched. */
int pack_node(struct kube_node *out, const struct kube_node *from, struct arena *a) MUST_CHECK;
/*
 * The CPU lists of the zones are the longest texts, and alike on machines of one model: they are
 * not copied but borrowed from `cpu_texts`, the bytes that pack_cpu_texts gives for `from`.
 */
int pack_nrt(struct kube_nrt *out, const struct kube_nrt *from, const char *cpu_texts,
             struct arena *a) MUST_CHECK;
int pack_cpu_texts(struct str *out, const struct kube_nrt *from, struct arena *a) MUST_CHECK;
int pack_pod(struct score_pod *out, const struct score_pod *from, struct arena *a) MUST_CHECK;

#endif
