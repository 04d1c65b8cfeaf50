/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a pod would find room now, before it is even stored: judged as `explain` does, over the
 * newest snapshot. It is a word to whoever sends it, and never a reason to refuse it: room comes
 * and goes.
 */
#ifndef ADMISSION_OUTLOOK_H
#define ADMISSION_OUTLOOK_H

#include <stdint.h>

#include "base/attr.h"
#include "cluster/snapshot.h"

struct adm_findings;
struct arena;
struct err;
struct memo;
struct score_pod;

enum adm_outlook {
    ADM_NOT_ASKED,
    ADM_ROOM,     /* some node admits it, and would be offered to it */
    ADM_NOWHERE,  /* none does, and of some it is known: there is a warning */
    ADM_UNJUDGED, /* nothing is known of any node, or the pod is not judged */
    ADM_SKIPPED,  /* too many nodes, or no time is left */
    ADM_OUTLOOKS,
};

enum {
    ADM_NODES = 10000,    /* with more of them nobody is judged: some 50 ms */
    ADM_EMPTY_NODES = 64, /* with more of them it is not asked whether an empty one would do */
    ADM_SHARE = 2,        /* of the thread's time, one part may be spent so */
    ADM_SAVED_MS = 200,   /* what can be saved up of it */
};

/* What is remembered from one time to the next. For one thread. */
struct adm_foresight {
    struct memo *memo;
    uint64_t left_ns, asked_ns;
};

/* 0, -ENOMEM. */
int adm_foresight_init(struct adm_foresight *f, struct err *err) MUST_CHECK;
void adm_foresight_done(struct adm_foresight *f); /* a zeroed one is fine */

/* What is asked. Borrowed. */
struct adm_question {
    const struct score_pod *pod;
    const char *who; /* "this pod", "its pods" */
    const struct cluster_snapshot *snapshot;
    int64_t now_us, max_age_us;
};

/*
 * Judge the pod on every node of the snapshot, and warn where none admits it. The warning names
 * how many nodes refuse it for which reason, with an example of each, and neither nodes nor other
 * pods: whoever may create a pod need not see those. `scratch` is used and rewound. 0, -ENOMEM.
 */
int adm_look(enum adm_outlook *out, struct adm_findings *findings, struct adm_foresight *f,
             const struct adm_question *q, struct arena *scratch, struct err *err) MUST_CHECK;

/* May so much be spent on it now? `adm_spent` says how much it was. */
bool adm_has_time(struct adm_foresight *f, uint64_t now_ns);
void adm_spent(struct adm_foresight *f, uint64_t ns);

#endif
