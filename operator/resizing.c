/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/resizing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "kube/api.h"
#include "operator/resizing_parts.h"

#define MS UINT64_C(1000000)

enum { CHANGED_S = 10, NOT_SEEN_S = 30 };

static const struct op_act_door *door_of(const struct op *op)
{
    return &op->options.act;
}

/* --- what it comes to --- */

static void change(struct op *op, struct op_resize *r)
{
    r->serial = ++op->acts.serial;
    r->unsaved = true;
}

static void audit(const struct op_resize *r, const char *what)
{
    const struct resize_record *const a = &r->record;

    log_line(LOG_LEVEL_WARN, "operator",
             "audit: resize %s/%s uid %s container %s, asked by %s, for ResourceAdjustment %s/%s, "
             "attempt %lld, epoch %lld: %s%s%s%s%s",
             r->ns, a->pod, a->uid, a->container, a->requester[0] ? a->requester : "nobody known",
             r->ns, r->name, (long long)a->attempts, (long long)a->epoch, what,
             a->reason[0] ? " " : "", a->reason, a->message[0] ? ": " : "", a->message);
}

static void tell(const struct op *op, const struct op_resize *r)
{
    const struct resize_record *const a = &r->record;
    const struct op_act_door *const d = door_of(op);
    char note[1024];

    if (!d->tell || a->outcome == RESIZE_SUPPRESSED || a->outcome == RESIZE_GONE)
        return;
    (void)snprintf(note, sizeof(note), "ResourceAdjustment %s, asked by %s: %s %s%s%s", r->name,
                   a->requester[0] ? a->requester : "nobody known",
                   resize_outcome_words[a->outcome], a->reason, a->message[0] ? ": " : "",
                   a->message);
    d->tell(d->ctx, a->outcome == RESIZE_APPLIED ? "PodResized" : "PodNotResized", "ResizePod",
            str_of(r->ns), str_of(a->pod), str_of(a->uid), note);
}

static void set_reason(struct op_resize *r, const char *reason)
{
    (void)snprintf(r->record.reason, sizeof(r->record.reason), "%s", reason);
}

static void set_message(struct op_resize *r, const char *message)
{
    if (message != r->record.message)
        (void)snprintf(r->record.message, sizeof(r->record.message), "%s", message);
}

static void release(struct op *op, struct op_resize *r)
{
    if (r->attempt && op->acts.busy == r->attempt)
        op->acts.busy = 0;
}

/* The record has its outcome; `reason` NULL: it has that, too. */
static void end(struct op *op, struct op_resize *r, enum resize_outcome outcome, const char *reason,
                int64_t retry_s, uint64_t now_ns, int64_t now_us)
{
    struct resize_record *const a = &r->record;

    a->outcome = outcome;
    if (reason)
        set_reason(r, reason);
    a->ended_us = now_us;
    if (retry_s)
        a->retry_us = now_us + retry_s * 1000000;
    if (outcome == RESIZE_SUPPRESSED || outcome == RESIZE_REFUSED) {
        int64_t *const at = resizing_noted(op, str_of(r->uid), a->intended_us);

        if (at)
            *at = 0; /* it has not been */
    } else {
        resizing_forget_caller(r); /* once is what was asked for */
        op->resizes.ended_ns = now_ns;
    }
    if (outcome == RESIZE_FAILED && strcmp(a->reason, "NoAnswer") == 0) {
        const struct act_record failed = {.outcome = ACT_FAILED};

        act_breaker_acted(&op->acts.breaker, now_ns, &failed);
    }
    r->step = STEP_IDLE;
    r->look_ns = now_ns + RESIZE_LOOK_MS * MS;
    release(op, r);
    change(op, r);
    atomic_fetch_add(&op->stats.resizes[outcome], 1);
    audit(r, resize_outcome_words[outcome]);
    tell(op, r);
}

/* --- step by step --- */

/* Suppressed, of something that was to be given back: it is tried again a little later. */
static void not_asked(struct op *op, struct op_resize *r, const char *reason, const char *message,
                      uint64_t now_ns, int64_t now_us)
{
    if (r->record.outcome != RESIZE_REVERTING) {
        set_message(r, message);
        end(op, r, RESIZE_SUPPRESSED, reason, CHANGED_S, now_ns, now_us);
        return;
    }
    release(op, r);
    if (++r->reverts >= RESIZE_REVERTS) {
        set_message(r, message);
        end(op, r, RESIZE_FAILED, "NotReverted", 0, now_ns, now_us);
        return;
    }
    r->record.outcome = RESIZE_REQUESTED;
    r->step = STEP_WATCHING;
    r->check_ns = now_ns + RESIZE_LOOK_MS * MS;
    change(op, r);
}

static void look(struct op *op, struct op_resize *r, uint64_t now_ns, int64_t now_us)
{
    struct err err = {0};

    audit(r, r->record.outcome == RESIZE_REVERTING ? "to be given back" : "intended");
    if (!resizing_send(op, r, NULL, &err))
        not_asked(op, r, "NotSent", err.text, now_ns, now_us);
}

void resizing_stored(struct op *op, struct op_resize *r, const struct op_object *x, int rc)
{
    if (rc == 0) {
        r->step = STEP_LOOKING;
        look(op, r, op->ticked_ns, op->ticked_us);
        return;
    }
    /* Another one may have recorded something: that is what counts. */
    int64_t *const at = resizing_noted(op, str_of(r->uid), r->record.intended_us);

    if (at && r->record.outcome == RESIZE_INTENDED)
        *at = 0;
    r->step = STEP_IDLE;
    r->unsaved = false;
    resize_record_read(&r->record, x ? x->status : (struct str){0});
    r->look_ns = op->ticked_ns + RESIZE_LOOK_MS * MS;
    release(op, r);
}

/* Nobody knows what came of it: from now on the pod is looked at until that is clear. */
static void doubt(struct op_resize *r, uint64_t now_ns, uint64_t for_ms)
{
    r->step = STEP_CHECKING;
    r->check_ns = now_ns;
    r->trust_ns = now_ns + for_ms * MS;
}

static void note_hold(struct op *op, struct op_resize *r, enum resize_hold hold)
{
    if (hold != RESIZE_GO && !resize_hold_reasons[hold])
        return;
    if (r->looked ? r->hold == hold : hold == RESIZE_GO)
        return;
    r->looked = true;
    r->hold = hold;
    change(op, r);
}

static void intend(struct op *op, struct op_resize *r, uint64_t now_ns, int64_t now_us)
{
    struct op_object *const x = resizing_object(op, r);
    const bool same = r->record.generation == r->generation;
    const int64_t attempts = same ? r->record.attempts : 0;
    struct resize_record *const a = &r->record;
    struct adjust_answer judged;
    const enum resize_hold hold = resizing_consider(op, r, x, &judged, now_ns, now_us);

    r->step = STEP_IDLE;
    r->look_ns = now_ns + RESIZE_LOOK_MS * MS;
    note_hold(op, r, hold);
    if (hold != RESIZE_GO || x->writing)
        return;
    const struct resize_record before = *a;
    *a = (struct resize_record){.outcome = RESIZE_INTENDED,
                                .from = judged.resize.from,
                                .to = judged.resize.to,
                                .generation = r->generation,
                                .intended_us = now_us,
                                .attempts = attempts + 1,
                                .epoch = resizing_epoch(op)};
    resize_record_pass(a, &before, now_us);
    (void)snprintf(a->pod, sizeof(a->pod), "%s", judged.pod);
    (void)snprintf(a->uid, sizeof(a->uid), "%s", judged.resize.uid);
    (void)snprintf(a->container, sizeof(a->container), "%s", judged.resize.container);
    (void)snprintf(a->requester, sizeof(a->requester), "%.*s", STR_ARG(r->caller->user));
    resizing_note(op, r);
    r->attempt = ++op->acts.serial;
    r->step = STEP_RECORDING;
    r->reverts = 0;
    r->looked = true;
    r->hold = RESIZE_GO;
    op->acts.busy = r->attempt;
    change(op, r);
    resizing_save(op, r, x, now_ns, now_us);
}

/* All guards once more, and then the call. */
static void call(struct op *op, struct op_resize *r, uint64_t now_ns, int64_t now_us)
{
    const struct resize_facts f = resizing_moment(op, r, now_ns);
    struct adjust_answer judged;
    struct err err = {0};
    const enum resize_hold hold =
        r->record.outcome == RESIZE_REVERTING
            ? resize_look(&f)
            : resizing_consider(op, r, resizing_object(op, r), &judged, now_ns, now_us);

    if (hold != RESIZE_GO) {
        not_asked(op, r, resize_hold_reasons[hold] ? resize_hold_reasons[hold] : "Changed",
                  resize_hold_words[hold], now_ns, now_us);
        return;
    }
    r->step = STEP_CALLING;
    audit(r, "calling");
    if (!resizing_send(op, r, r->version, &err))
        not_asked(op, r, "NotSent", err.text, now_ns, now_us);
}

void resizing_permitted(struct op *op, struct op_resize *r, enum who_verdict verdict,
                        uint64_t now_ns, int64_t now_us)
{
    const bool asking = r->step == STEP_ASKING;

    if (verdict == WHO_YES && asking) {
        intend(op, r, now_ns, now_us);
    } else if (verdict == WHO_YES) {
        call(op, r, now_ns, now_us);
    } else if (asking) {
        r->step = STEP_IDLE;
        r->look_ns = now_ns + (verdict == WHO_NO ? WHO_NO_S * 1000 : RESIZE_LOOK_MS) * MS;
        if (verdict == WHO_NO)
            note_hold(op, r, RESIZE_MAY_NOT);
    } else {
        const bool no = verdict == WHO_NO;

        set_message(r, no ? resize_hold_words[RESIZE_MAY_NOT]
                          : "the API server does not say what the caller may");
        end(op, r, RESIZE_SUPPRESSED, no ? resize_hold_reasons[RESIZE_MAY_NOT] : "NotKnown",
            NOT_SEEN_S, now_ns, now_us);
    }
}

static void take_look(struct op *op, struct op_resize *r, const struct kube_answer *a,
                      uint64_t now_ns, int64_t now_us)
{
    const bool reverts = r->record.outcome == RESIZE_REVERTING;
    const enum act_sight sight = act_see(a, r->record.uid, r->version);
    struct resize_seen seen;

    if (sight == ACT_ENDS || sight == ACT_ABSENT) {
        set_message(r, a->err.text);
        end(op, r, RESIZE_GONE, sight == ACT_ENDS ? "Terminating" : "NotFound", 0, now_ns, now_us);
        return;
    }
    if (sight != ACT_SAME) {
        not_asked(op, r, sight == ACT_FORBIDDEN ? "Forbidden" : "NotSeen", a->err.text, now_ns,
                  now_us);
        return;
    }
    resize_see(&seen, a->body, r->record.container);
    if (!seen.found || !resize_is(&seen.spec, reverts ? &r->record.to : &r->record.from)) {
        if (reverts)
            end(op, r, RESIZE_FAILED, "Overridden", 0, now_ns, now_us);
        else
            not_asked(op, r, "Changed", "the pod has another size by now", now_ns, now_us);
    } else if (!reverts && (seen.pending != RESIZE_NOT_PENDING || seen.in_progress)) {
        not_asked(op, r, "ResizeUnderWay", "the kubelet is still busy with another resize", now_ns,
                  now_us);
    } else if (reverts && !resize_is_still(&seen, &r->record.from)) {
        not_asked(op, r, "Granted", "the kubelet has taken it, at least in part", now_ns, now_us);
    } else if (reverts) {
        call(op, r, now_ns, now_us);
    } else {
        r->step = STEP_CONFIRMING;
        if (!resizing_ask_who(op, r, r->record.pod))
            not_asked(op, r, "NotSent", "no memory", now_ns, now_us);
    }
}

/* The API server took it. */
static void watch(struct op *op, struct op_resize *r, uint64_t now_ns)
{
    release(op, r);
    resizing_forget_caller(r); /* once is what was asked for */
    op->resizes.ended_ns = now_ns;
    r->step = STEP_WATCHING;
    r->since_ns = now_ns;
    r->check_ns = now_ns + RESIZE_LOOK_MS * MS;
    change(op, r);
}

static void take_call(struct op *op, struct op_resize *r, const struct kube_answer *a,
                      uint64_t now_ns, int64_t now_us)
{
    const bool reverts = r->record.outcome == RESIZE_REVERTING;

    if (!resize_take_answer(&r->record, a, now_us)) {
        /* 409: another version, or another pod. 404: it is gone, or there is no such subresource.
         */
        set_reason(r, a->status == 409   ? "Changed"
                      : a->status == 404 ? "ResizeUnsupported"
                                         : "NoAnswer");
        doubt(r, now_ns, a->status == 409 || a->status == 404 ? 0 : ACT_DOUBT_MS);
        change(op, r);
    } else if (r->record.outcome == RESIZE_REQUESTED) {
        set_reason(r, "Requested");
        audit(r, "taken by the API server");
        watch(op, r, now_ns);
    } else if (r->record.outcome == RESIZE_REFUSED && reverts) {
        r->record.outcome = RESIZE_REVERTING;
        not_asked(op, r, "", r->record.message, now_ns, now_us);
    } else {
        end(op, r, r->record.outcome, NULL, 0, now_ns, now_us);
    }
}

/* What came of a call that was not answered. */
static void take_check(struct op *op, struct op_resize *r, const struct kube_answer *a,
                       uint64_t now_ns, int64_t now_us)
{
    struct resize_record *const k = &r->record;
    const bool reverts = k->outcome == RESIZE_REVERTING;
    const enum act_sight sight = act_see(a, k->uid, r->version);
    struct resize_seen seen;

    r->check_ns = now_ns + RESIZE_LOOK_MS * MS;
    if (sight == ACT_ABSENT || sight == ACT_ENDS) {
        if (k->requested_us == 0)
            k->requested_us = k->intended_us; /* perhaps: so it counts */
        end(op, r, RESIZE_GONE, "NotFound", 0, now_ns, now_us);
        return;
    }
    if (sight != ACT_SAME) {
        if (now_ns >= r->trust_ns && sight == ACT_FORBIDDEN)
            end(op, r, RESIZE_FAILED, "Forbidden", 0, now_ns, now_us);
        return;
    }
    resize_see(&seen, a->body, k->container);
    if (seen.found && resize_is(&seen.spec, reverts ? &k->from : &k->to)) {
        if (reverts) {
            end(op, r, RESIZE_REVERTED, NULL, 0, now_ns, now_us);
            return;
        }
        k->outcome = RESIZE_REQUESTED;
        k->requested_us = now_us;
        set_reason(r, "FoundRequested");
        audit(r, "found taken by the API server");
        watch(op, r, now_ns);
    } else if (now_ns >= r->trust_ns) {
        const bool none = strcmp(k->reason, "ResizeUnsupported") == 0;

        if (reverts)
            not_asked(op, r, "", "the former size was not taken", now_ns, now_us);
        else if (none)
            end(op, r, RESIZE_REFUSED, NULL, ACT_FORBIDDEN_S, now_ns, now_us);
        else if (strcmp(k->reason, "Changed") == 0)
            end(op, r, RESIZE_SUPPRESSED, NULL, CHANGED_S, now_ns, now_us);
        else
            end(op, r, RESIZE_FAILED, k->reason[0] ? "NoAnswer" : "Interrupted", 0, now_ns, now_us);
    }
}

/* --- the kubelet --- */

/* It will not have it, or not in time: the pod gets its former size back, where that may be. */
static void revert(struct op *op, struct op_resize *r, struct op_object *x, const char *why,
                   const struct resize_seen *seen, uint64_t now_ns, int64_t now_us)
{
    struct resize_facts f = resizing_moment(op, r, now_ns);
    const enum resize_hold hold = resize_look(&f);

    if (hold == RESIZE_BUSY || hold == RESIZE_AGED || hold == RESIZE_UNREAD ||
        hold == RESIZE_NOT_LEADER || hold == RESIZE_OPEN || !x || x->writing)
        return; /* in a moment */
    set_reason(r, why);
    set_message(r, seen->message);
    if (hold != RESIZE_GO || !resize_is_still(seen, &r->record.from)) {
        (void)snprintf(r->record.message, sizeof(r->record.message), "not given back: %s",
                       hold != RESIZE_GO ? resize_hold_words[hold]
                                         : "the kubelet does not say that it is as before");
        end(op, r, RESIZE_FAILED, NULL, 0, now_ns, now_us);
        return;
    }
    r->record.outcome = RESIZE_REVERTING;
    r->record.epoch = resizing_epoch(op);
    r->attempt = ++op->acts.serial;
    r->step = STEP_RECORDING;
    op->acts.busy = r->attempt;
    change(op, r);
    resizing_save(op, r, x, now_ns, now_us);
}

static void note_pending(struct op *op, struct op_resize *r, const struct resize_seen *seen)
{
    const char *const word = seen->pending == RESIZE_DEFERRED ? "Deferred"
                             : seen->in_progress              ? "InProgress"
                                                              : "Requested";

    if (strcmp(r->record.reason, word) == 0)
        return;
    set_reason(r, word);
    set_message(r, seen->message);
    change(op, r);
}

static void take_watch(struct op *op, struct op_resize *r, const struct kube_answer *a,
                       uint64_t now_ns, int64_t now_us)
{
    const uint64_t deadline_ns =
        (uint64_t)resizing_rules(op, str_of(r->ns)).deadline_s * UINT64_C(1000000000);
    const enum act_sight sight = act_see(a, r->record.uid, r->version);
    struct op_object *const x = resizing_object(op, r);
    struct resize_seen seen;

    r->check_ns = now_ns + RESIZE_LOOK_MS * MS;
    if (sight == ACT_ABSENT || sight == ACT_ENDS) {
        end(op, r, RESIZE_GONE, "NotFound", 0, now_ns, now_us);
        return;
    }
    if (sight != ACT_SAME)
        return;
    resize_see(&seen, a->body, r->record.container);
    const bool late = now_ns - r->since_ns > deadline_ns;
    const bool granted = resize_is_granted(&seen, &r->record.to);
    if (!seen.found || !resize_is(&seen.spec, &r->record.to))
        end(op, r, RESIZE_FAILED, "Overridden", 0, now_ns, now_us);
    else if (seen.pending == RESIZE_INFEASIBLE)
        revert(op, r, x, "KubeletInfeasible", &seen, now_ns, now_us);
    else if (seen.pending == RESIZE_DEFERRED && late)
        revert(op, r, x, "KubeletDeferred", &seen, now_ns, now_us);
    else if (granted && seen.pending == RESIZE_NOT_PENDING && !seen.in_progress)
        end(op, r, RESIZE_APPLIED, "Resized", 0, now_ns, now_us);
    else if (late && granted)
        end(op, r, RESIZE_FAILED, "InProgress", 0, now_ns, now_us);
    else if (late)
        revert(op, r, x, "KubeletSilent", &seen, now_ns, now_us);
    else
        note_pending(op, r, &seen);
}

void resizing_answered(struct op *op, struct op_resize *r, const struct kube_answer *a,
                       uint64_t now_ns, int64_t now_us)
{
    if (r->step == STEP_LOOKING)
        take_look(op, r, a, now_ns, now_us);
    else if (r->step == STEP_CALLING)
        take_call(op, r, a, now_ns, now_us);
    else if (r->step == STEP_CHECKING)
        take_check(op, r, a, now_ns, now_us);
    else
        take_watch(op, r, a, now_ns, now_us);
}

/* --- each tick --- */

/* What another leader has begun, or this one before a crash. Until it is clear what came of it
 * nothing is sent, so that others need not wait for it. */
static void settle(struct op *op, struct op_resize *r, uint64_t now_ns, int64_t now_us)
{
    const struct resize_record *const a = &r->record;
    const int64_t since_us = now_us - (a->requested_us ? a->requested_us : a->intended_us);

    r->attempt = ++op->acts.serial;
    if (a->outcome == RESIZE_REQUESTED) {
        const uint64_t since_ns = since_us > 0 ? (uint64_t)since_us * 1000 : 0;

        r->step = STEP_WATCHING;
        r->since_ns = since_ns < now_ns ? now_ns - since_ns : 0;
        r->check_ns = now_ns;
    } else {
        if (a->outcome == RESIZE_INTENDED)
            r->record.reason[0] = 0;
        doubt(r, now_ns, ACT_DOUBT_MS);
    }
}

static void begin(struct op *op, struct op_resize *r, struct op_object *x, uint64_t now_ns,
                  int64_t now_us)
{
    struct adjust_answer judged;

    r->look_ns = now_ns + RESIZE_LOOK_MS * MS;
    const enum resize_hold hold = resizing_consider(op, r, x, &judged, now_ns, now_us);
    note_hold(op, r, hold);
    if (hold != RESIZE_GO || x->writing)
        return;
    r->step = STEP_ASKING;
    r->attempt = ++op->acts.serial;
    if (!resizing_ask_who(op, r, judged.pod))
        r->step = STEP_IDLE;
}

/* One at a time, for judging may take long: the one that has waited longest. */
static const struct op_resize *find_due(const struct op *op, uint64_t now_ns)
{
    const struct op_resize *due = NULL;

    for (const struct op_resize *r = op->resizes.first; r; r = r->next) {
        if (r->step == STEP_IDLE && r->caller && now_ns >= r->look_ns &&
            !resize_is_open(r->record.outcome) && (!due || r->look_ns <= due->look_ns))
            due = r;
    }
    return due;
}

static void step(struct op *op, struct op_resize *r, struct op_object *x,
                 const struct op_resize *due, uint64_t now_ns, int64_t now_us)
{
    struct err err;

    if (r->step == STEP_IDLE && r->caller &&
        (now_ns - r->asked_ns >= RESIZE_ASKED_S * 1000 * MS || x->generation != r->generation)) {
        resizing_forget_caller(r);
        note_hold(op, r, RESIZE_NOT_ASKED);
    }
    if ((r->step == STEP_CHECKING || r->step == STEP_WATCHING) && !r->out &&
        now_ns >= r->check_ns) {
        r->check_ns = now_ns + RESIZE_LOOK_MS * MS;
        (void)resizing_send(op, r, NULL, &err);
    } else if (r->step == STEP_IDLE && resize_is_open(r->record.outcome)) {
        settle(op, r, now_ns, now_us);
    } else if (r == due) {
        begin(op, r, x, now_ns, now_us);
    }
    /* What was put since is another object. */
    x = resizing_object(op, r);
    if (r->unsaved && x && !x->writing && now_ns >= x->retry_ns)
        resizing_save(op, r, x, now_ns, now_us);
}

static void forget(struct op *op, struct op_resize **at)
{
    struct op_resize *const r = *at;

    release(op, r);
    resizing_forget_caller(r);
    *at = r->next;
    free(r);
}

void op_resizes_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    const struct op_resize *const due = find_due(op, now_ns);

    for (struct op_resize **at = &op->resizes.first; *at;) {
        struct op_resize *const r = *at;
        struct op_object *const x = resizing_object(op, r);

        if (!x && resize_is_open(r->record.outcome))
            audit(r, "its object is gone, and nobody sees to it any more");
        if (x)
            step(op, r, x, due, now_ns, now_us);
        if (!x || (r->step == STEP_IDLE && !r->caller && !r->unsaved && !r->out &&
                   !resize_is_open(r->record.outcome)))
            forget(op, at);
        else
            at = &r->next;
    }
}

void op_resizes_resign(struct op *op)
{
    for (struct resize_flight *f = op->resizes.flights; f; f = f->next)
        f->op = NULL;
    while (op->resizes.first)
        forget(op, &op->resizes.first);
}

void op_resizes_done(struct op *op)
{
    op_resizes_resign(op);
    while (op->resizes.flights)
        resizing_drop(op->resizes.flights);
}
