/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.labels and label selectors, into the form of scoring/labels.h. */
#ifndef KUBE_LABELS_H
#define KUBE_LABELS_H

#include <stdbool.h>

#include "scoring/labels.h"

struct arena;
struct scan;

/* Read an object of labels from the scanner into `a`. null gives none. False on failure. */
bool kube_labels_read(struct scan *s, struct score_labels *out, struct arena *a);

/* Values of one requirement, and requirements of one selector. */
enum { KUBE_SELECTOR_MAX = 64 };

/*
 * Read a LabelSelector {matchLabels, matchExpressions[{key, operator, values}]}; null gives the
 * one that selects all. False on failure: -EINVAL for another field, an unknown operator, values
 * that are missing or where none may be; -E2BIG over KUBE_SELECTOR_MAX.
 */
bool kube_selector_read(struct scan *s, struct score_selector *out, struct arena *a);

#endif
