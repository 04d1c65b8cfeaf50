/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of several may act: leader election by a Lease object (coordination.k8s.io/v1), by the rules
 * of client-go's leaderelection, as a state machine. Pure: it is told the time and what the API
 * server answered, and says what to send next; kube/leader.h drives it.
 *
 * Nobody's clock is compared with another's: a candidate takes over when it has seen the same
 * record for as long as the record says, by its own clock; the leader stops acting earlier,
 * renew_ms after it sent the last write that succeeded. So two act at a time only if their clocks
 * run at rates further apart than duration_ms and renew_ms are.
 */
#ifndef KUBE_LEASE_H
#define KUBE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;

enum { LEASE_HOLDER_BYTES = 256, LEASE_VERSION_BYTES = 64 };

struct lease_times {
    uint32_t duration_ms; /* whole seconds: how long others wait for us. Usual: 15 s */
    uint32_t renew_ms;    /* without a renewal for so long we stop acting. Usual: 10 s */
    uint32_t retry_ms;    /* between two tries. Usual: 2 s */
};

/* 0; -EINVAL unless duration > renew > 1.2 * retry > 0, and whole seconds ("leaseDuration: ...").
 */
int lease_check(const struct lease_times *times, struct err *err) MUST_CHECK;

/* What a Lease says. */
struct lease_record {
    char version[LEASE_VERSION_BYTES]; /* metadata.resourceVersion */
    char holder[LEASE_HOLDER_BYTES];   /* empty: nobody */
    int32_t duration_s, transitions;
    int64_t acquired_us, renewed_us; /* for people; never compared with a clock */
};

/*
 * 0; -EINVAL, -E2BIG (not a Lease, or texts too long). Fields that are not there are 0 or empty.
 * `json` is followed by SCAN_PADDING_BYTES.
 */
int lease_decode(struct lease_record *out, struct str json, struct err *err) MUST_CHECK;

/* The whole object, to create it; or a merge patch with the version as its precondition. */
void lease_encode(struct buf *out, const char *ns, const char *name, const struct lease_record *r);
void lease_encode_patch(struct buf *out, const struct lease_record *r);

enum lease_step {
    LEASE_WAIT,
    LEASE_GET,
    LEASE_CREATE,
    LEASE_UPDATE, /* only where the version is still the one of the record */
    LEASE_DONE,   /* released: nothing is to be done any more */
};

enum lease_outcome {
    LEASE_OK,
    LEASE_MISSING,  /* 404 */
    LEASE_CONFLICT, /* 409: exists already, or has another version */
    LEASE_FAILED,   /* anything else; a write may have succeeded */
};

/* Reading it is part of the interface, writing it is not. */
struct lease {
    struct lease_times times;
    char identity[LEASE_HOLDER_BYTES];
    bool leads;          /* the deadline may have passed all the same: lease_may_act */
    uint64_t renewed_ns; /* when the last write that succeeded was sent */
    uint64_t slow_paths; /* rounds in which a leader had to look before it could write */
    bool has_seen;
    struct lease_record seen;
    uint64_t seen_ns; /* since when `seen` says what it says */
    enum lease_step next, out;
    uint64_t next_ns, sent_ns;
    bool has_looked;   /* in this round */
    bool releases;     /* from now on */
    bool out_releases; /* what is out was sent since then */
    uint32_t release_tries;
};

/* `times` have passed lease_check; `identity` is nobody else's, not empty, and fits. */
void lease_init(struct lease *l, const char *identity, const struct lease_times *times);

/*
 * What is to be done now. LEASE_WAIT: nothing before `*until_ns`, or before the answer to what is
 * out. LEASE_GET, CREATE, UPDATE: send it (`send` is written for the last two) and tell what came
 * of it with lease_answer, after lease_timeout_ms at the latest as LEASE_FAILED.
 */
enum lease_step lease_next(struct lease *l, uint64_t now_ns, int64_t wall_us,
                           struct lease_record *send, uint64_t *until_ns);

/* `got` is what the server has now, for LEASE_OK; `random` is any number, for the jitter. */
void lease_answer(struct lease *l, enum lease_outcome outcome, const struct lease_record *got,
                  uint64_t now_ns, uint32_t random);

uint32_t lease_timeout_ms(const struct lease *l);

/*
 * May we act at this moment? To be asked right before each act that must not be done twice, with a
 * clock that goes on while the process is stopped and the machine sleeps (clock_boottime_ns).
 */
bool lease_may_act(const struct lease *l, uint64_t now_ns);

/* Give it up so that another need not wait: leads no more, until LEASE_DONE there is still to do.
 */
void lease_release(struct lease *l, uint64_t now_ns);

#endif
