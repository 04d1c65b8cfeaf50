/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends a pod of a confirmed deadlock where the policy and the setting operator.act say so: what
 * act.h decides, carried out. An attempt is IDLE -> RECORDING -> LOOKING -> CALLING -> IDLE, and
 * CHECKING where nobody knows what came of a call; one at a time of all.
 */
#ifndef OPERATOR_ACTING_H
#define OPERATOR_ACTING_H

#include <stdbool.h>
#include <stdint.h>

#include "operator/act.h"

struct op;
struct op_case;

enum case_step { CASE_IDLE, CASE_RECORDING, CASE_LOOKING, CASE_CALLING, CASE_CHECKING };

/* Of a case. */
struct case_act {
    struct act_record record; /* as it is stored, or is to be */
    enum case_step step;
    uint64_t attempt;   /* never used twice; of the one that is under way */
    uint64_t serial;    /* grows when the record changes here */
    bool unsaved;       /* the record is newer than what is stored */
    bool asks;          /* a call is out */
    uint64_t look_ns;   /* not looked at before */
    uint64_t doubt_ns;  /* since when it is not known what came of it */
    uint64_t check_ns;  /* the pod is not looked at before */
    uint64_t trust_ns;  /* what is not seen by then has not happened */
    enum act_hold hold; /* why nothing is done; ACT_GO: it is, or was */
    bool looked;        /* `hold` says something */
};

/* Of the operator. */
struct op_flight;
struct op_acts {
    struct victim_log log;     /* what was done within a day; filled anew for each use */
    struct op_flight *flights; /* calls that are out */
    uint64_t serial;
    uint64_t busy;     /* the attempt that is under way; 0: none */
    uint64_t ended_ns; /* the last one */
    struct act_breaker breaker;
    bool said_on; /* as the log has it */
};

/* Each tick, before any case is looked at. */
void op_acts_tick(struct op *op, uint64_t now_ns);
/* One case: does what is due. */
void op_act(struct op *op, struct op_case *k, uint64_t now_ns, int64_t now_us);
/* Before its report is stored: what another leader has recorded there stays. */
void op_act_merge(struct op *op, struct op_case *k);
/* It was stored when the record's serial was this. */
void op_act_stored(struct op *op, struct op_case *k, uint64_t serial, int rc);

/* Is it acted on for real: what was really done is what counts against it? */
bool op_act_is_real(const struct op *op, const struct op_case *k);
/* What was really done, but for this report's own. Valid until the next call. */
struct victim_log *op_act_log(struct op *op, const struct op_case *k, int64_t now_us);

/* Nobody waits any more for what is out. */
void op_acts_resign(struct op *op);
void op_acts_done(struct op *op); /* no answer comes any more */

#endif
