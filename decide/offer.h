/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would kube-scheduler offer the node at all? It asks an extender only about nodes that have room
 * for the pod in sum. Who explains without a kube-scheduler has to ask that, too.
 */
#ifndef DECIDE_OFFER_H
#define DECIDE_OFFER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/node_view.h"
#include "scoring/request.h"

struct arena;
struct buf;
struct decide_ask;
struct decide_row;

/* What a node has too little of, in sum. */
struct offer_lack {
    struct str resource;
    enum pod_resource_kind kind;
    int64_t needs, free, of;
};

/*
 * Into `out` [ask->n] for every admitted row why kube-scheduler would not offer its node `nodes`[i]
 * (NULL where there is none); NULL where it would. A resource that none of the candidates lists is
 * no matter of nodes and holds nobody back. 0, -ENOMEM.
 */
int offer_rows(const struct offer_lack **out, const struct decide_row *rows,
               const struct node_view *const *nodes, const struct decide_ask *ask,
               struct arena *a) MUST_CHECK;

/* Append "nvidia.com/gpu needs 1, free 0 of 0". */
void offer_text(struct buf *out, const struct offer_lack *lack);

#endif
