/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a pod of a deadlock, as pure state: may it be done, what is recorded of it, what an answer
 * means, and when nobody acts at all. acting.c drives it. The order is always the same: the
 * intention is stored in the DeadlockReport, then the pod is looked at, then the call is made, then
 * the outcome is stored; so whoever leads next reads what may have been done.
 */
#ifndef OPERATOR_ACT_H
#define OPERATOR_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "operator/locks/victim.h"

struct buf;
struct emit;
struct kube_answer;

enum {
    ACT_LOOK_MS = 5000,         /* how often a deadlock is looked at that may be acted on */
    ACT_FRESH_MS = 10000,       /* so old may the word of a lock tracker be */
    ACT_FRESH_CLAIM_MS = 30000, /* or that of somebody who reports a deadlock */
    ACT_AGE_MS = 120000,        /* and what is known of pods: bookmarks come once a minute */
    ACT_GAP_MS = 5000,          /* between two acts */
    ACT_MOST_PER_HOUR = 30,     /* of all namespaces */
    ACT_ATTEMPTS = 10,          /* of one report */
    ACT_GET_MS = 5000,          /* how long a pod is asked about */
    ACT_CALL_MS = 30000,        /* and an eviction waited for: the server tries for 10 s */
    ACT_DOUBT_MS = 90000,       /* then what another leader sent has come, or never will */
    ACT_BACK_OFF_S = 5,         /* after a refusal; twice as long each time */
    ACT_BACK_OFF_MOST_S = 300,
    ACT_FORBIDDEN_S = 600, /* without the rule, or a call that is not understood */
    ACT_SAMPLE_MS = 10000,
    ACT_SAMPLES = 6,     /* so the last minute is looked at */
    ACT_FEWEST = 10,     /* answers, below which no share of failures says anything */
    ACT_FAILED_MOST = 5, /* open when more than one in so many failed */
    ACT_OPEN_S = 60,     /* so long nobody acts then */
    ACT_STRIKES = 3,     /* acts that failed one after the other */
    ACT_STRUCK_S = 600,
};

/* --- may it be done? --- */

/* Looked at before the intention, and again right before the call. */
struct act_facts {
    bool on;         /* operator.act: Enforce */
    bool enforced;   /* the policy's mode */
    bool evicts;     /* the policy's strategy is EvictPod */
    bool reachable;  /* there is an API server */
    bool elected;    /* replicas agree by a Lease on who leads */
    bool leads;      /* now */
    bool same_epoch; /* as when the intention was made; before that true */
    bool read;       /* all DeadlockReports, and the cluster, were read once */
    bool closed;     /* the circuit breaker */
    uint64_t age_ns; /* of what is known of pods */
    bool confirmed, crosses;
    bool lasts;       /* it is there, beyond its threshold, and not resolved */
    uint64_t word_ns; /* since the one of its reporters spoke that has been silent longest */
    bool observed;    /* by lock trackers; else somebody said so */
    bool ended;       /* this report has led to an end already */
    uint32_t attempts;
    bool waits;       /* after a refusal */
    bool busy;        /* another act is under way, or has just been */
    uint32_t in_hour; /* acts of the last hour, of all namespaces */
    bool settles;     /* a pod of it ends, or was acted on: see what becomes of it first */
    enum victim_verdict victim; /* whether the pod may be ended */
    bool same_uid;              /* it is the pod that was chosen; before that true */
};

enum act_hold {
    ACT_GO,
    ACT_OFF,
    ACT_DRY_RUN,
    ACT_STRATEGY,
    ACT_UNREACHABLE,
    ACT_NO_LEASE,
    ACT_NOT_LEADER,
    ACT_EPOCH,
    ACT_UNREAD,
    ACT_OPEN,
    ACT_AGED,
    ACT_UNCONFIRMED,
    ACT_CROSSES,
    ACT_OVER,
    ACT_SILENT,
    ACT_ENDED,
    ACT_GIVEN_UP,
    ACT_WAITS,
    ACT_BUSY,
    ACT_MOST,
    ACT_SETTLES,
    ACT_PROTECTED,
    ACT_OTHER_POD,
    ACT_HOLDS,
};
extern const char *const act_hold_reasons[ACT_HOLDS]; /* "DryRun", ...; NULL: of this moment */
extern const char *const act_hold_words[ACT_HOLDS];

enum act_hold act_look(const struct act_facts *f);

/* --- what is recorded: status.act of a DeadlockReport --- */

enum act_outcome {
    ACT_NOTHING,
    ACT_INTENDED,   /* what came of it is not known */
    ACT_EVICTED,    /* the API server took it, or the pod was gone when nobody had an answer */
    ACT_GONE,       /* there was nobody to end */
    ACT_REFUSED,    /* by the API server */
    ACT_SUPPRESSED, /* it was not asked */
    ACT_FAILED,     /* asked, or perhaps, and the pod is still there */
    ACT_OUTCOMES,
};
extern const char *const act_outcome_words[ACT_OUTCOMES];

struct act_record {
    enum act_outcome outcome;
    char reason[64], message[256];
    char pod[254], uid[64], node[254], owner[24]; /* owner: a hash of its kind and name */
    int64_t intended_us, ended_us, retry_us;      /* 0 = not yet, or not at all */
    int64_t attempts, epoch;
};

void act_record_put(struct emit *e, const struct act_record *r);
/*
 * Of a stored status; ACT_NOTHING where there is none, or it is not understood. What is no name of
 * a pod is left out of it, for it becomes part of a path; then nothing more is done for its report.
 */
void act_record_read(struct act_record *out, struct str status);

/* It ends: why, and when it may be tried again (0 = by the next look). */
void act_end(struct act_record *r, enum act_outcome outcome, const char *reason, int64_t now_us,
             int64_t retry_s);

/* --- what answers mean --- */

/* To a look at the pod. */
enum act_sight { ACT_SAME, ACT_ENDS, ACT_ABSENT, ACT_FORBIDDEN, ACT_UNSEEN };
enum { ACT_VERSION_BYTES = 64 };
enum act_sight act_see(const struct kube_answer *a, const char *uid,
                       char version[ACT_VERSION_BYTES]);

/* To the eviction: true when `r` has its outcome, false when the pod has to be looked at. */
bool act_take_answer(struct act_record *r, const struct kube_answer *a, int64_t now_us);

/* After a 429: what the server says to wait, and ever longer. */
int64_t act_back_off_s(int64_t attempts, const struct kube_answer *a);

/* The Eviction, of exactly this pod in exactly this version. */
void act_eviction(struct buf *out, struct str ns, const struct act_record *r, const char *version);

/* --- when nobody acts --- */

/* Zero-initialise. */
struct act_breaker {
    struct {
        uint64_t at_ns, all, failed;
    } samples[ACT_SAMPLES];
    uint32_t n, next, strikes;
    uint64_t open_until_ns;
};
/* How many requests were answered since the start, and how many of them by a failure. */
void act_breaker_sample(struct act_breaker *b, uint64_t now_ns, uint64_t all, uint64_t failed);
void act_breaker_acted(struct act_breaker *b, uint64_t now_ns, const struct act_record *r);
bool act_breaker_is_open(const struct act_breaker *b, uint64_t now_ns);

#endif
