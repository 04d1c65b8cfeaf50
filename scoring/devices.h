/* SPDX-License-Identifier: Apache-2.0 */
/* How near a container's devices are to its CPUs, to each other and to its network. */
#ifndef SCORING_DEVICES_H
#define SCORING_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/choice.h"
#include "topology/model.h"

/*
 * The hint gpu-nic-affinity. Where it asks for it and the container takes no NIC of its own, the
 * NICs are all those of the node, which its pods share.
 */
enum score_gpu_nic {
    SCORE_GPU_NIC_UNSAID, /* as PREFER among what the container takes */
    SCORE_GPU_NIC_PREFER,
    SCORE_GPU_NIC_REQUIRE,
    SCORE_GPU_NIC_NONE,
};

/* What one container takes; borrowed. */
struct score_device_ask {
    const struct node_view *node;
    const uint32_t *cpu;                /* [Z] its CPUs by zone; all 0: nowhere in particular */
    const struct score_choice *choices; /* [n] one a resource, each takes something */
    uint32_t n;
    enum score_gpu_nic gpu_nic;
};

/*
 * The mean of the parts that there are:
 *
 *   cpu    each device to the container's CPUs, weighted by zone:    same zone 1000, same socket
 *          700, far 400; devices without a zone do not count
 *   peers  each pair of GPUs of one resource: direct link 1000, switch 800, bridges 750, root 700,
 *          zone 600, socket 500, far 400
 *   feed   each GPU to the nearest NIC taken: direct link or switch 1000, bridges 900, root 800,
 *          zone 700, socket 500, far 400; with SCORE_GPU_NIC_REQUIRE 0 below root, with
 *          SCORE_GPU_NIC_NONE there is no such part
 *
 * Which device of a zone the plugin picks is not known: the value is the mean over all it may pick
 * (scoring/choice.h). Source: our judgement, docs/scoring.md section 7; a transfer across sockets
 * reaches less than half of what it reaches below one switch. False: there is no such part.
 */
bool score_devices(uint32_t *out, const struct score_device_ask *ask);

/* What the plugin's choice makes of it. */
struct score_device_odds {
    uint32_t least, most; /* of score_devices */
    /*
     * Chance, permille, that each GPU taken gets a NIC below the same root or nearer, 1000 where
     * no GPU and NIC are both taken. `sure`: that is so with every choice; `possible`: with some.
     */
    uint32_t fed;
    bool sure, possible;
    bool exact; /* false: too many subsets to go through */
};

/*
 * Go through the subsets of GPUs and NICs, SCORE_DEVICE_SUBSETS at most; beyond, least and most say
 * nothing, and fed is 0 unless sure. Total.
 */
enum { SCORE_DEVICE_SUBSETS = 1000 };
void score_device_odds(struct score_device_odds *out, const struct score_device_ask *ask);

/*
 * Is there a choice with which each GPU taken has a NIC below its root? True also where PCI does
 * not tell. Exact, for sharing a root is an equivalence: a NIC a root is taken, the roots with most
 * GPUs first. For the filter, which looks at the best case.
 */
bool score_device_feed_possible(const struct score_device_ask *ask);

/*
 * What feeds the GPUs that are taken: `nics`, a choice of ports, or NULL: those of the node. False:
 * no GPU is taken, there is nothing to feed it, or nobody wants to know.
 */
bool score_device_feed(const struct score_choice **gpus, const struct score_choice **nics,
                       const struct score_device_ask *ask);

/* What PCI says the devices of a choice are; those of one resource are of one kind. */
enum node_device_kind score_choice_kind(const struct node_view *node, const struct score_choice *c);

/* NODE, SOCK and the like count as far: the NIC is not below the GPU's root. */
static inline bool score_link_is_fed(enum topo_link link)
{
    return link <= TOPO_LINK_ROOT;
}

#endif
