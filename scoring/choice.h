/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device plugin may hand out. The kubelet asks it for so many devices of a set, and which
 * ones it takes is its own business: every subset counts as likely as any other, and values are
 * means over all of them.
 */
#ifndef SCORING_CHOICE_H
#define SCORING_CHOICE_H

#include <stdint.h>

#include "base/attr.h"
#include "scoring/node_view.h"

struct arena;

/* Out of one resource: all of `sure`, and any `pick` of `open`. */
struct score_choice {
    const struct node_resource *resource;
    const uint32_t *sure; /* [n_sure] devices */
    const uint32_t *open; /* [n_open]; pick < n_open, or both 0 */
    uint32_t n_sure, n_open, pick;
};

static inline uint32_t score_choice_taken(const struct score_choice *c)
{
    return c->n_sure + c->pick;
}

/*
 * What the plugin may hand out when `want` devices of `resource` are allocated with an affinity
 * for `zones` (0 = none) while those in `held` [device words] are taken: those of the zones first
 * (devicemanager/manager.go devicesToAllocate, v1.36). There must be so many. Lives in `a`.
 * 0, -ENOMEM.
 */
int score_choice_init(struct score_choice *out, const struct node_view *node,
                      const struct node_resource *resource, const uint64_t *held, uint64_t zones,
                      uint32_t want, struct arena *a) MUST_CHECK;

/*
 * Values of single devices, of pairs, of what is best among those taken. The callback gives the
 * value 0..1000 of a device, or of one device of each set; results are rounded down.
 */
typedef uint32_t score_device_value(const void *ctx, uint32_t device);
typedef uint32_t score_pair_value(const void *ctx, uint32_t a, uint32_t b);

/* The mean over the devices taken; at least one is. */
uint32_t score_choice_mean(const struct score_choice *c, score_device_value *value,
                           const void *ctx);

/* The mean over all pairs of two devices taken; at least two are. `value` is symmetric. */
uint32_t score_choice_pairs(const struct score_choice *c, score_pair_value *value, const void *ctx);

/*
 * For one device: the mean of the best value that it has with any of those taken, by the chance
 * that the best is at least so good: 1 - C(worse, pick) / C(n_open, pick). At least one is taken.
 * Values are at most SCORE_CHOICE_VALUES different ones.
 */
enum { SCORE_CHOICE_VALUES = 16 };
uint32_t score_choice_best(const struct score_choice *c, uint32_t device, score_pair_value *value,
                           const void *ctx);

/*
 * The chance, permille, rounded down, that one of those taken has at least `value` with the
 * device.
 */
uint32_t score_choice_chance(const struct score_choice *c, uint32_t device, score_pair_value *value,
                             const void *ctx, uint32_t at_least);

#endif
