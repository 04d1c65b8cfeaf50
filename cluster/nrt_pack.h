/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NodeResourceTopology to keep: what decoding leaves beside the object (the text of attributes
 * that were read through) is several times the object itself.
 */
#ifndef CLUSTER_NRT_PACK_H
#define CLUSTER_NRT_PACK_H

#include "base/attr.h"

struct arena;
struct kube_nrt;

/* A deep copy of `from` in `a`. `scratch` is used and rewound. 0; -ENOMEM, `out` is untouched. */
int nrt_pack(struct kube_nrt *out, const struct kube_nrt *from, struct arena *a,
             struct arena *scratch) MUST_CHECK;

#endif
