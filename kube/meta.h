/* SPDX-License-Identifier: Apache-2.0 */
/* ObjectMeta, for the decoders of kube/ that read it on their way through an object. */
#ifndef KUBE_META_H
#define KUBE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/object.h"

struct scan;

/*
 * In an object at top level: when the current key is apiVersion, kind or metadata, read it into
 * `meta` (strings in the arena) and return true; also when reading it failed, as the scanner
 * remembers that. False: another key, nothing is read.
 */
bool kube_meta_field(struct scan *s, struct kube_meta *meta, struct arena *a);

/* Of the metadata that is due no more than these two, each as it was where it is not said. */
void kube_meta_names(struct scan *s, struct str *ns, struct str *name, struct arena *a);

/*
 * Zeroed room for the items of the list that is due, at most `most`, which is not entered yet; none
 * for another kind of value. NULL on failure, which is the scanner's and calls the items `what`.
 */
void *kube_list_room(struct scan *s, uint32_t most, size_t size, const char *what, struct arena *a);

/*
 * How a decoder ends: the scanner's code at the end of the text, and the arena is put back to
 * `mark` unless it is 0.
 */
int kube_decode_end(struct scan *s, struct arena *a, size_t mark, struct err *err) MUST_CHECK;

#endif
