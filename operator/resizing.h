/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resizes pods in place for ResourceAdjustments, where policy and the setting operator.act say so:
 * what resize.h decides, carried out. What begins one is a call: of somebody whom the API server
 * has named, and of whom it says that he may patch pods/resize of that pod. That is kept in the
 * memory of the replica that was called and nowhere else, so that nothing that is written into an
 * object makes the operator do what its writer may not. A replica that finds one begun finds out
 * what came of it, and gives back at most what the kubelet has not taken.
 */
#ifndef OPERATOR_RESIZING_H
#define OPERATOR_RESIZING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "operator/resize.h"

struct adjust_held;
struct buf;
struct kube_adjustment;
struct op;
struct op_caller;
struct op_object;
struct op_resize;
struct resize_flight;

enum { RESIZE_LOG = 64 };

/* Of the operator. */
struct op_resizes {
    struct op_resize *first;
    struct resize_flight *flights; /* questions that are out */
    struct {
        uint64_t ns, id;
        int64_t at_us; /* 0 = free */
    } log[RESIZE_LOG]; /* what was begun here; who deletes an object does not delete that */
    uint32_t next;
    uint64_t ended_ns; /* the last one that was asked */
    bool was_on;       /* as conditions have it */
    uint32_t looks;    /* so often conditions are still looked at, for policies have changed */
};

/*
 * A caller asks for what the object says now; a caller of everybody, and one without a name, asks
 * for nothing.
 */
void op_resize_ask(struct op *op, const struct op_caller *caller, const struct op_object *x);

/*
 * Why what was judged would not be done, as far as that costs nothing to know; `asked`: by a call.
 */
struct adjust_held op_resize_held(const struct op *op, struct str ns, bool dry_run,
                                  const struct adjust_answer *a, bool asked);
/* Is there a caller who asks for what the object says now? */
bool op_resize_is_asked(const struct op *op, const struct op_object *x);
/* What is known of the object beyond what is stored of it; NULL: nothing. */
const struct resize_record *op_resize_record(const struct op *op, const struct op_object *x);

/* An object was read whose status says that one is begun: what becomes of it? */
void op_resize_adopt(struct op *op, const struct op_object *x, const struct resize_record *r);

/* Each second, while it leads, after the objects were looked at. */
void op_resizes_tick(struct op *op, uint64_t now_ns, int64_t now_us);

/* Nobody waits any more for what is out, and nothing is asked for. */
void op_resizes_resign(struct op *op);
void op_resizes_done(struct op *op); /* no answer comes any more */

#endif
