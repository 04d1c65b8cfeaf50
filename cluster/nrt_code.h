/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NodeResourceTopology as it is kept: a quarter of its size decoded, for it is looked at only
 * when the view of its node is built. One walk over its fields both writes and reads, so that the
 * two cannot differ.
 */
#ifndef CLUSTER_NRT_CODE_H
#define CLUSTER_NRT_CODE_H

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct kube_nrt;

/*
 * The CPU lists of the zones are the longest texts, and alike on machines of one model: they are
 * kept apart. Their bytes, in `a`: equal ones are equal lists. 0, -ENOMEM.
 */
int nrt_cpu_texts(struct str *out, const struct kube_nrt *nrt, struct arena *a) MUST_CHECK;

/* Append the code; `a` is scratch. 0; -ENOMEM (arena or heap). Of `meta` only the uid is kept. */
int nrt_encode(struct buf *out, const struct kube_nrt *nrt, struct arena *a) MUST_CHECK;

/*
 * `cpu_texts`: what nrt_cpu_texts gave. Lists are in `a`, texts are slices of `code` and of
 * `cpu_texts`. 0; -ENOMEM, then `out` is untouched.
 */
int nrt_decode(struct kube_nrt *out, struct str code, struct str cpu_texts,
               struct arena *a) MUST_CHECK;

#endif
