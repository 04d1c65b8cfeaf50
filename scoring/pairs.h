/* SPDX-License-Identifier: Apache-2.0 */
/* Which GPU may come with which network port, for a person: names and odds. */
#ifndef SCORING_PAIRS_H
#define SCORING_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/devices.h"

struct arena;

/* A GPU that may be handed out, and the nearest ports that may. */
struct score_pair {
    uint32_t gpu;           /* index of the node's devices */
    uint32_t taken;         /* permille: that it is handed out */
    enum topo_link link;    /* to each of the nearest */
    const struct str *nics; /* [n_nics] ids of the plugin, or names of the node's ports */
    uint32_t n_nics;
    uint32_t
        odds; /* permille: that one of them is handed out, too; the node's own ports are there */
};

/* What is told of the devices of one container. */
struct score_device_tale {
    bool any;                       /* it takes devices that the node has */
    bool has_value;                 /* they have the term devices */
    uint32_t value;                 /* of it */
    struct score_device_odds odds;  /* over all that the plugin may pick */
    const struct score_pair *pairs; /* [n_pairs] in the order of the devices */
    uint32_t n_pairs;               /* 0: no GPU is taken, or no port known or wanted */
};

/* Lives in `a`. 0, -ENOMEM. */
int score_device_tell(struct score_device_tale *out, const struct score_device_ask *ask,
                      struct arena *a) MUST_CHECK;

#endif
