/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decision: a pod over a snapshot, candidate by candidate. The extender asks it for every
 * filter and prioritize, `explain` for a person; both read the same rows.
 */
#ifndef DECIDE_DECIDE_H
#define DECIDE_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/evaluate.h"
#include "scoring/policy.h"

struct arena;
struct cluster_context;
struct cluster_snapshot;
struct crew;
struct err;
struct decide_held;
struct doubts;
struct holds;
struct memo;
struct offer_lack;

enum { DECIDE_DEFAULT_MAX_SCORE = 10, DECIDE_LIMIT_MAX_SCORE = 1000 };

enum decide_mode { DECIDE_ENFORCE, DECIDE_SHADOW /* nothing is refused, only counted */ };

struct decide_options {
    enum decide_mode mode;
    uint32_t max_score; /* of the wire, 1..DECIDE_LIMIT_MAX_SCORE */
    bool offers;        /* ask also what kube-scheduler asks before it asks us: for `explain` */
    struct score_context context;
    uint32_t terms;        /* bit per score_term that admitted candidates elsewhere have */
    bool one;              /* the best node alone gets a score on the wire: decide/one.h */
    uint32_t shortlist;    /* hand back only the best so many; 0 = all that admit the pod */
    uint64_t turn;         /* grows by one a decision: where equal ones of the shortlist begin */
    struct memo *memo;     /* of earlier answers, NULL: each is computed */
    struct crew *crew;     /* who helps with many nodes at once; NULL: nobody */
    struct holds *holds;   /* pods on their way lower scores; NULL: nobody is */
    struct doubts *doubts; /* so does having been wrong lately; NULL: that is not known */
};

/* What is asked. Borrowed. */
struct decide_ask {
    const struct score_pod *pod; /* NULL: it was not understood, everything passes */
    uint32_t n;
    const struct str *names;   /* [n] candidates in the order sent */
    const uint32_t *positions; /* [n] where each is in the roster of this serial, DECIDE_NO_NODE */
    uint64_t roster;           /* where it is not there; NULL: that is not known yet */
};

/* Why candidates pass without being judged. */
enum decide_pass { DECIDE_JUDGED, DECIDE_NOT_UNDERSTOOD, DECIDE_IGNORED };

#define DECIDE_NO_NODE UINT32_MAX

/* One candidate: small, for a request has thousands. */
struct decide_row {
    uint32_t position; /* of the node in the snapshot; DECIDE_NO_NODE: there is none */
    uint32_t sum;      /* of weight * term over the terms in `known` */
    uint16_t score;    /* 0..SCORE_MAX; 0 unless admitted */
    uint16_t wire;     /* 1..max_score when admitted, else 0 */
    uint8_t verdict;   /* enum score_verdict */
    uint8_t reason;    /* enum score_reason */
    uint8_t known;     /* bit per score_term that the node has */
    uint8_t marks;     /* DECIDE_REPEATED | ... */
};

enum {
    DECIDE_REPEATED = 1 << 0, /* the same name came before: leave it out of answers */
    DECIDE_LEFT_OUT = 1 << 1, /* admitted, but not on the shortlist: likewise in filter's */
    DECIDE_REFUSED = 1 << 2,  /* Unknown, and the policy refuses such nodes */
    DECIDE_HELD = 1 << 3,     /* the wire score was lowered: beside.h */
};

struct decision {
    const struct cluster_snapshot *snapshot; /* borrowed; NULL where it is read back */
    uint64_t generation;                     /* of the snapshot */
    enum decide_pass pass;
    enum pod_qos qos;
    struct cluster_context *context;     /* the snapshot's policies; borrowed, NULL: none */
    const struct score_rules *rules;     /* what they and the pod's hints make of it */
    const struct score_weights *weights; /* those of the rules */
    const struct score_request *request; /* NULL unless judged */
    uint32_t ignored_hints;              /* hints of the pod that nothing is done with */
    uint32_t any;                        /* bit per score_term that some admitted candidate has */
    uint32_t counts[3];                  /* candidates by score_verdict, repeated ones left out */
    uint32_t refused;                    /* of the unknown ones those that do not pass */
    uint32_t evaluated; /* nodes that were judged; answers of the others were known, or are those of
                           nodes alike */
    uint32_t no_room;   /* of the admitted ones those with a lack */
    uint32_t left_out;  /* of the admitted ones those not on the shortlist */
    uint32_t n;
    const struct decide_row *rows;         /* [n] in the order sent */
    const struct node_view *const *views;  /* [n] of a decision that is read back; NULL: the
                                              snapshot has them */
    const struct offer_lack *const *lacks; /* [n] why kube-scheduler would not offer the node; NULL:
                                              it was not asked, or every node is offered */
    bool decides;                          /* options.one, and some node admits: */
    uint32_t one;                          /* its row */
    uint32_t n_held;
    const struct decide_held *held; /* [n_held] rows that are marked so, in their order */
};

/*
 * Judge every candidate of `ask`. Linear in the candidates; besides the rows and one table of
 * names nothing is allocated per node. Everything lives in `a` or in the snapshot.
 *
 * A node that the snapshot does not know is Unknown (NoTopology). Not judged: each candidate is
 * Unknown without a reason, which passes and scores 0. Returns 0 or -ENOMEM.
 */
int decide_run(struct decision *out, const struct decide_ask *ask,
               const struct cluster_snapshot *snapshot, const struct decide_options *options,
               struct arena *a, struct err *err) MUST_CHECK;

/* May kube-scheduler use the node? Everything but what is refused passes, in Shadow that too. */
static inline bool decide_passes(const struct decide_row *row, enum decide_mode mode)
{
    return mode == DECIDE_SHADOW ||
           (row->verdict != SCORE_REJECTED && !(row->marks & DECIDE_REFUSED));
}

/* Does filter hand the name back? */
static inline bool decide_hands_back(const struct decision *d, enum decide_mode mode, uint32_t i)
{
    return !(d->rows[i].marks & (DECIDE_REPEATED | DECIDE_LEFT_OUT)) &&
           decide_passes(&d->rows[i], mode);
}

/* The candidate's node; NULL: the snapshot has none. */
const struct node_view *decide_node(const struct decision *d, uint32_t i);
const struct offer_lack *decide_lack(const struct decision *d, uint32_t i); /* NULL: offered */

const char *decide_pass_text(enum decide_pass pass); /* words for a person; "" when judged */

/*
 * Is nothing done with this hint: it does not parse, or the policy has no class of this name? Then
 * `why` says so.
 */
bool decide_hint_is_ignored(const struct pod_hint *hint, const struct score_rules *rules,
                            struct err *why);

/* Would the pod go there: the kubelet admits it, and kube-scheduler offers the node. */
bool decide_is_candidate(const struct decision *d, uint32_t i);

/*
 * Order of answers that people read: verdict, then whether it is offered, then score (best first),
 * then name. Like strcmp for candidates `i` and `j`.
 */
int decide_compare(const struct decision *d, const struct str *names, uint32_t i, uint32_t j);

#endif
