/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that filter has just handed back. kube-scheduler's next call mostly is prioritize with
 * these, in this order: they need neither be read nor looked up again. What they are judged by is
 * read anew, for the cluster may have changed. For one thread.
 */
#ifndef EXTENDER_ANSWERED_H
#define EXTENDER_ANSWERED_H

#include <stdint.h>

#include "decide/decide.h"
#include "kube/extender_wire.h"

/* Zero-initialise. */
struct answered {
    struct kube_seen_names names; /* n = 0: nothing is expected */
    const uint32_t *positions;    /* [n] as decide_ask has them */
    uint64_t roster;
    char *text;
    uint32_t *numbers; /* both arrays */
    size_t text_room, numbers_room;
};

/* After filter. What is too large, was sent as objects or has escapes is not remembered. */
void answered_keep(struct answered *w, const struct kube_extender_args *args,
                   const struct decision *d, enum decide_mode mode);

void answered_done(struct answered *w);

#endif
