/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects back to JSON text that decodes (kube/object.h) to the same values: what is kept of a
 * cluster is values, and a bundle wants objects. What no decision asks for is not in the values and
 * not in the text: images, environments, owners.
 */
#ifndef KUBE_OBJECT_EMIT_H
#define KUBE_OBJECT_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "kube/object.h"

struct buf;
struct emit;

/*
 * A resource list under `key`. `odd`: some amount of memory is a fraction of a byte, and which one
 * is not known any more. It makes no difference which.
 */
void kube_amounts_emit(struct emit *e, const char *key, const struct pod_amount *amounts,
                       uint32_t n, bool odd);

void kube_node_emit(struct buf *out, const struct kube_node *node, struct str name);

/* In the order of its lists, for what is free of memory follows from the order of the blocks. */
void kube_nrt_emit_values(struct buf *out, const struct kube_nrt *nrt, struct str name);

/*
 * Labels are kept as hashes. Their texts are known where somebody asks for them: each label that a
 * selector in the JSON of an object (of a policy) names.
 */
struct kube_asked_label {
    struct str key, value; /* slices of the JSON; value empty: the key with any value */
};
struct kube_asked_labels {
    struct kube_asked_label *at; /* [n] */
    uint32_t n, room;
    bool failed; /* out of memory */
};
/* Zero-initialise. `json` must be valid, and stays. */
void kube_asked_labels_read(struct kube_asked_labels *all, struct str json);
void kube_asked_labels_done(struct kube_asked_labels *all);

/* Only the labels that are asked for; such a selector sees no difference. `asked` may be NULL. */
void kube_pod_emit(struct buf *out, const struct score_pod *pod,
                   const struct kube_asked_labels *asked);
void kube_namespace_emit(struct buf *out, struct str name, struct score_labels labels,
                         const struct kube_asked_labels *asked);

#endif
