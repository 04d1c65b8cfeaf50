/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few best of many admitted nodes: most of what an extender costs kube-scheduler is its own
 * JSON for long lists of names. What is left out is not refused.
 */
#ifndef DECIDE_SHORTLIST_H
#define DECIDE_SHORTLIST_H

#include <stdint.h>

struct decide_options;
struct decide_row;
struct decision;

/*
 * Mark DECIDE_LEFT_OUT every candidate but the best options->shortlist ones by score. Of those that
 * score as the last of them all stay, at most twice as many altogether; where more score alike, the
 * ones that stay begin at another place each turn, so that pods of one shape do not all see the
 * same few. Nodes that are held for other pods are left out, unless the others are too few. Whole
 * stays the list where fewer are admitted, in Shadow mode, without a shortlist, and
 * of a pod to which the kubelet gives nothing of its own. Returns how many admitted ones are left
 * out.
 */
uint32_t decide_shortlist(struct decide_row *rows, const struct decision *d,
                          const struct decide_options *options);

#endif
