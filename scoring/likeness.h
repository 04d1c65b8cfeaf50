/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes are alike. Large clusters are made of few models of machine, many of them empty, or
 * filled with the same pods: what one of them answers to a pod, all of them answer. Their likeness
 * is all that a judgement without the clock reads of a view; not their names, nor who runs there.
 */
#ifndef SCORING_LIKENESS_H
#define SCORING_LIKENESS_H

#include <stdbool.h>
#include <stdint.h>

struct node_view;

/* 128 bits of a keyed hash: that two different contents meet is as likely as guessing the key. */
struct likeness {
    uint64_t h[2];
};

/*
 * score_node_timeless gives the same for two views of one likeness, whatever the request. `key`:
 * one that nobody outside knows, the same for all views that are compared.
 */
struct likeness node_likeness(const struct node_view *v, const uint64_t key[2]);

static inline bool likeness_eq(struct likeness x, struct likeness y)
{
    return x.h[0] == y.h[0] && x.h[1] == y.h[1];
}

#endif
