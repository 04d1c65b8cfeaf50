/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/acting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "kube/api.h"
#include "kube/scan.h"
#include "operator/cases.h"
#include "operator/parts.h"

#define MS UINT64_C(1000000)

enum { CHECK_MS = 5000, NOT_SEEN_S = 30, CHANGED_S = 10, FAILED_S = 60 };

/* A question about a pod, or its eviction, that is out. */
struct op_flight {
    struct op_flight *next;
    struct op *op; /* NULL: nobody waits for it any more */
    struct op_flight **list;
    char ns[64], name[CASE_NAME_BYTES];
    uint64_t attempt;
    enum case_step step;
};

static const struct op_act_door *door_of(const struct op *op)
{
    return &op->options.act;
}

/* --- what was done --- */

static uint64_t hash(const struct op *op, struct str s)
{
    return s.n ? siphash13(op->options.hash_key, s) | 1 : 0;
}

/* What may have ended a pod counts; what certainly has not does not. */
static void note_record(const struct op *op, struct victim_log *log, struct str ns,
                        uint64_t signature, const struct act_record *r, int64_t now_us)
{
    const bool counts =
        r->outcome == ACT_INTENDED || r->outcome == ACT_EVICTED || r->outcome == ACT_FAILED;
    const uint64_t owner = strtoull(r->owner, NULL, 16);

    if (!counts || now_us - r->intended_us > INT64_C(86400) * 1000000)
        return;
    const struct victim_candidate c = {.ns = hash(op, ns),
                                       .node = hash(op, str_of(r->node)),
                                       .owner = owner ? (owner ^ hash(op, ns)) | 1 : 0,
                                       .id =
                                           r->outcome == ACT_FAILED ? 0 : hash(op, str_of(r->uid))};
    victim_note(log, &c, signature, r->intended_us);
}

static uint64_t signature_of(struct str spec)
{
    uint64_t signature = 0;
    struct str word;
    struct scan s;
    struct err err;

    scan_init(&s, spec, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "signature") && scan_word(&s, &word)) {
                char text[32];

                (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(word));
                signature = strtoull(text, NULL, 16);
            }
        }
    }
    return scan_end(&s, &err) ? 0 : signature;
}

struct victim_log *op_act_log(struct op *op, const struct op_case *except, int64_t now_us)
{
    struct victim_log *const log = &op->acts.log;

    log->n = log->next = 0;
    for (uint32_t i = 0; i < op->objects.n[OP_DEADLOCK]; i++) {
        const struct op_object *const x = op->objects.at[OP_DEADLOCK][i];
        struct act_record r;

        act_record_read(&r, x->status);
        if (r.outcome == ACT_NOTHING)
            continue;
        const struct op_case *const k = op_case_find(op, x->ns, x->name);
        if (k != except || !k)
            note_record(op, log, x->ns, signature_of(x->spec), k ? &k->act.record : &r, now_us);
    }
    return log;
}

/* --- may it be done? --- */

bool op_act_is_real(const struct op *op, const struct op_case *k)
{
    const struct case_rules rules = case_rules(op, k->ns);

    return rules.enforced && rules.evicts && atomic_load(&op->acting) && door_of(op)->send;
}

static int64_t epoch_of(const struct op *op)
{
    return door_of(op)->epoch ? door_of(op)->epoch(door_of(op)->ctx) : 0;
}

static bool leads(const struct op *op)
{
    struct str url;

    return op->options.leads && op->options.leads(op->options.leads_ctx, &url);
}

/* Since the one of its reporters spoke that has been silent longest. */
static uint64_t silence_of(const struct op *op, const struct op_case *k, uint64_t now_ns)
{
    const struct lock_space *const s = lock_book_find(&op->book, k->ns);
    uint64_t longest = 0;

    if (k->source == DEADLOCK_REPORTED)
        return now_ns - k->last_ns;
    for (uint32_t i = 0; i < k->n; i++) {
        const struct lock_reporter *r = s ? s->reporters : NULL;

        while (r && !(str_eq(r->pod, k->parties[i].pod) &&
                      str_eq(r->container, k->parties[i].container)))
            r = r->next;
        if (!r)
            return UINT64_MAX;
        longest = now_ns - r->received_ns > longest ? now_ns - r->received_ns : longest;
    }
    return longest;
}

static bool lasts(const struct op *op, const struct op_case *k, uint64_t now_ns)
{
    const uint64_t since_last = k->source == DEADLOCK_REPORTED ? now_ns - k->last_ns : 0;

    return !k->resolved && (k->source == DEADLOCK_REPORTED || k->present) &&
           k->duration_ns + since_last > case_rules(op, k->ns).threshold_ns;
}

/* What costs nothing to know; the rest as if nothing were against it. */
static struct act_facts facts_of(const struct op *op, const struct op_case *k, uint64_t now_ns,
                                 int64_t now_us)
{
    const struct case_rules rules = case_rules(op, k->ns);
    const struct act_record *const r = &k->act.record;

    return (struct act_facts){
        .on = atomic_load(&op->acting),
        .enforced = rules.enforced,
        .evicts = rules.evicts,
        .reachable = door_of(op)->send != NULL,
        .elected = op->options.leads != NULL,
        .leads = leads(op),
        .same_epoch = k->act.step == CASE_IDLE || epoch_of(op) == r->epoch,
        .read = op->listed[OP_DEADLOCK] && cluster_is_synced(op->options.cluster),
        .closed = !act_breaker_is_open(&op->acts.breaker, now_ns),
        .age_ns = door_of(op)->age_ns ? door_of(op)->age_ns(door_of(op)->ctx) : 0,
        .confirmed = k->confirmed,
        .crosses = k->crosses,
        .lasts = lasts(op, k, now_ns),
        .observed = k->source == DEADLOCK_OBSERVED,
        .ended = r->outcome == ACT_EVICTED || r->outcome == ACT_GONE,
        .attempts = k->act.step == CASE_IDLE ? (uint32_t)r->attempts : 0,
        .waits = k->act.step == CASE_IDLE && r->retry_us > now_us,
        .busy = k->act.step == CASE_IDLE &&
                (op->acts.busy || op->acts.flights ||
                 (op->acts.ended_ns && now_ns - op->acts.ended_ns < ACT_GAP_MS * MS)),
        .victim = VICTIM_MAY,
        .same_uid = true};
}

/* The whole of it; `uid` is the pod's that was chosen before, or NULL: choose. */
static enum act_hold consider(struct op *op, struct op_case *k, const char *uid,
                              struct case_choice *choice, uint64_t now_ns, int64_t now_us)
{
    struct act_facts f = facts_of(op, k, now_ns, now_us);
    enum act_hold hold = act_look(&f);

    if (hold != ACT_GO)
        return hold;
    const struct victim_log *const log = op_act_log(op, k, now_us);

    case_choose(op, k, log, uid, now_us, choice);
    f.word_ns = silence_of(op, k, now_ns);
    f.in_hour = victim_acts_since(log, now_us - INT64_C(3600) * 1000000);
    f.settles = choice->settles;
    f.same_uid = choice->found;
    f.victim = choice->verdict;
    return act_look(&f);
}

/* --- what it comes to --- */

static void change(struct op_case *k)
{
    k->act.serial++;
    k->act.unsaved = true;
    k->dirty = true;
}

static void audit(const struct op_case *k, const char *what)
{
    const struct act_record *const r = &k->act.record;

    log_line(LOG_LEVEL_WARN, "operator",
             "audit: evict %.*s/%s uid %s for DeadlockReport %.*s/%s, attempt %lld, epoch %lld: %s"
             "%s%s%s%s",
             STR_ARG(k->ns), r->pod, r->uid, STR_ARG(k->ns), k->name, (long long)r->attempts,
             (long long)r->epoch, what, r->reason[0] ? " " : "", r->reason,
             r->message[0] ? ": " : "", r->message);
}

static void tell(const struct op *op, const struct op_case *k)
{
    const struct act_record *const r = &k->act.record;
    const struct op_act_door *const d = door_of(op);

    if (d->tell &&
        (r->outcome == ACT_EVICTED || r->outcome == ACT_REFUSED || r->outcome == ACT_FAILED)) {
        char note[512];

        (void)snprintf(note, sizeof(note), "DeadlockReport %s: %s %s%s%s", k->name,
                       act_outcome_words[r->outcome], r->reason, r->message[0] ? ": " : "",
                       r->message);
        d->tell(d->ctx, r->outcome == ACT_EVICTED ? "DeadlockEvicted" : "DeadlockNotEvicted",
                "EvictPod", k->ns, str_of(r->pod), str_of(r->uid), note);
    }
}

/* The attempt is over. */
static void end(struct op *op, struct op_case *k, uint64_t now_ns)
{
    struct act_record *const r = &k->act.record;

    k->act.step = CASE_IDLE;
    k->act.doubt_ns = 0;
    k->act.look_ns = now_ns + ACT_LOOK_MS * MS;
    if (op->acts.busy == k->act.attempt)
        op->acts.busy = 0;
    op->acts.ended_ns = now_ns;
    change(k);
    act_breaker_acted(&op->acts.breaker, now_ns, r);
    atomic_fetch_add(&op->stats.actions[0][r->outcome], 1);
    audit(k, act_outcome_words[r->outcome]);
    tell(op, k);
}

static void end_as(struct op *op, struct op_case *k, enum act_outcome outcome, const char *reason,
                   int64_t retry_s, uint64_t now_ns, int64_t now_us)
{
    act_end(&k->act.record, outcome, reason, now_us, retry_s);
    end(op, k, now_ns);
}

/* --- calls --- */

static void on_answer(void *ctx, const struct kube_answer *a);

static void drop(struct op_flight *f)
{
    struct op_flight **at = f->list;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f);
}

/* A GET of the pod, or its eviction in this version. False: it could not be sent. */
static bool send(struct op *op, struct op_case *k, const char *version, struct err *err)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf body = {0};
    const bool evicts = version != NULL;
    struct op_flight *const f = calloc(1, sizeof(*f));

    buf_printf(&path, "/api/v1/namespaces/%.*s/pods/%s%s", STR_ARG(k->ns), k->act.record.pod,
               evicts ? "/eviction" : "");
    buf_add(&path, "", 1);
    if (evicts)
        act_eviction(&body, k->ns, &k->act.record, version);
    if (!f || path.failed || body.failed) {
        free(f);
        (void)err_set(err, -ENOMEM, "no memory");
        return false;
    }
    *f = (struct op_flight){.next = op->acts.flights,
                            .op = op,
                            .list = &op->acts.flights,
                            .attempt = k->act.attempt,
                            .step = k->act.step};
    (void)snprintf(f->ns, sizeof(f->ns), "%.*s", STR_ARG(k->ns));
    (void)snprintf(f->name, sizeof(f->name), "%s", k->name);
    op->acts.flights = f;
    const struct kube_request request = {.method = evicts ? KUBE_POST : KUBE_GET,
                                         .path = path.p,
                                         .body = buf_view(&body),
                                         .timeout_ms = evicts ? ACT_CALL_MS : ACT_GET_MS,
                                         .done = on_answer,
                                         .ctx = f};
    if (door_of(op)->send(door_of(op)->ctx, &request, NULL, err)) {
        drop(f);
        return false;
    }
    k->act.asks = true;
    return true;
}

/* Nobody knows what came of it: from now on the pod is looked at until that is clear. */
static void doubt(struct op_case *k, uint64_t now_ns, uint64_t for_ms)
{
    k->act.step = CASE_CHECKING;
    k->act.doubt_ns = k->act.check_ns = now_ns;
    k->act.trust_ns = now_ns + for_ms * MS;
}

/* All guards once more, and then the call. */
static void call(struct op *op, struct op_case *k, const char *version, uint64_t now_ns,
                 int64_t now_us)
{
    struct case_choice choice;
    struct err err = {0};
    const enum act_hold hold = consider(op, k, k->act.record.uid, &choice, now_ns, now_us);

    if (hold != ACT_GO) {
        (void)snprintf(k->act.record.message, sizeof(k->act.record.message), "%s",
                       hold == ACT_PROTECTED ? victim_words[choice.verdict] : act_hold_words[hold]);
        end_as(op, k, ACT_SUPPRESSED,
               hold == ACT_PROTECTED    ? victim_reasons[choice.verdict]
               : act_hold_reasons[hold] ? act_hold_reasons[hold]
                                        : "Changed",
               CHANGED_S, now_ns, now_us);
        return;
    }
    k->act.step = CASE_CALLING;
    audit(k, "calling");
    if (!send(op, k, version, &err)) {
        (void)snprintf(k->act.record.message, sizeof(k->act.record.message), "%s", err.text);
        end_as(op, k, ACT_SUPPRESSED, "NotSent", NOT_SEEN_S, now_ns, now_us);
    }
}

static void take_look(struct op *op, struct op_case *k, const struct kube_answer *a,
                      uint64_t now_ns, int64_t now_us)
{
    struct act_record *const r = &k->act.record;
    char version[ACT_VERSION_BYTES];
    const enum act_sight sight = act_see(a, r->uid, version);

    if (sight == ACT_SAME) {
        call(op, k, version, now_ns, now_us);
        return;
    }
    (void)snprintf(r->message, sizeof(r->message), "%s", a->err.text);
    if (sight == ACT_ENDS)
        end_as(op, k, ACT_GONE, "Terminating", 0, now_ns, now_us);
    else if (sight == ACT_ABSENT)
        end_as(op, k, ACT_GONE, "NotFound", 0, now_ns, now_us);
    else if (sight == ACT_FORBIDDEN)
        end_as(op, k, ACT_REFUSED, "Forbidden", ACT_FORBIDDEN_S, now_ns, now_us);
    else
        end_as(op, k, ACT_SUPPRESSED, "NotSeen", NOT_SEEN_S, now_ns, now_us);
}

static void take_call(struct op *op, struct op_case *k, const struct kube_answer *a,
                      uint64_t now_ns, int64_t now_us)
{
    struct act_record *const r = &k->act.record;

    if (act_take_answer(r, a, now_us)) {
        end(op, k, now_ns);
        return;
    }
    /* 409: it is another pod, or the same one has changed. Else the server may still do it. */
    (void)snprintf(r->reason, sizeof(r->reason), "%s", a->status == 409 ? "Changed" : "NoAnswer");
    doubt(k, now_ns, a->status == 409 ? 0 : ACT_DOUBT_MS);
    change(k);
}

static void take_check(struct op *op, struct op_case *k, const struct kube_answer *a,
                       uint64_t now_ns, int64_t now_us)
{
    struct act_record *const r = &k->act.record;
    const bool changed = strcmp(r->reason, "Changed") == 0;
    char version[ACT_VERSION_BYTES];
    const enum act_sight sight = act_see(a, r->uid, version);

    k->act.check_ns = now_ns + CHECK_MS * MS;
    if (sight == ACT_ABSENT || sight == ACT_ENDS)
        end_as(op, k, changed ? ACT_GONE : ACT_EVICTED, changed ? "NotFound" : "FoundGone", 0,
               now_ns, now_us);
    else if (sight == ACT_SAME && now_ns >= k->act.trust_ns)
        end_as(op, k, changed ? ACT_SUPPRESSED : ACT_FAILED,
               changed        ? "Changed"
               : r->reason[0] ? "NoAnswer"
                              : "Interrupted",
               changed ? CHANGED_S : FAILED_S, now_ns, now_us);
    else if (sight == ACT_FORBIDDEN && now_ns >= k->act.trust_ns && op->acts.busy == k->act.attempt)
        op->acts.busy = 0; /* it stays unknown; other reports need not wait for that */
}

static void on_answer(void *ctx, const struct kube_answer *a)
{
    struct op_flight *const f = ctx;
    struct op *const op = f->op;
    struct op_case *const k = op ? op_case_find(op, str_of(f->ns), str_of(f->name)) : NULL;
    const bool waits = k && k->act.attempt == f->attempt && k->act.step == f->step && k->act.asks;
    uint64_t now_ns = op ? op->ticked_ns : 0;
    int64_t now_us = op ? op->ticked_us : 0;

    if (!waits)
        log_line(LOG_LEVEL_WARN, "operator",
                 "audit: DeadlockReport %s/%s: an answer came that nobody waits for: %s", f->ns,
                 f->name, a->err.code ? a->err.text : "done");
    if (op && op->options.clock)
        op->options.clock(&now_ns, &now_us);
    const enum case_step step = f->step;
    drop(f);
    if (!waits)
        return;
    k->act.asks = false;
    if (step == CASE_LOOKING)
        take_look(op, k, a, now_ns, now_us);
    else if (step == CASE_CALLING)
        take_call(op, k, a, now_ns, now_us);
    else
        take_check(op, k, a, now_ns, now_us);
}

/* --- intentions --- */

static void intend(struct op *op, struct op_case *k, const struct case_choice *choice,
                   int64_t now_us)
{
    struct act_record *const r = &k->act.record;
    const struct deadlock_party *const p = &k->parties[choice->party];

    *r = (struct act_record){.outcome = ACT_INTENDED,
                             .intended_us = now_us,
                             .attempts = r->attempts + 1,
                             .epoch = epoch_of(op)};
    (void)snprintf(r->pod, sizeof(r->pod), "%.*s", STR_ARG(p->pod));
    (void)snprintf(r->uid, sizeof(r->uid), "%s", choice->uid);
    (void)snprintf(r->node, sizeof(r->node), "%s", choice->node);
    (void)snprintf(r->owner, sizeof(r->owner), "%016" PRIx64, choice->owner);
    k->act.attempt = ++op->acts.serial;
    k->act.step = CASE_RECORDING;
    op->acts.busy = k->act.attempt;
    change(k);
}

/* What stands in the report, unless there is something newer here. */
static void adopt(struct op *op, struct op_case *k)
{
    const struct op_object *const x =
        op_objects_find(&op->objects, OP_DEADLOCK, k->ns, str_of(k->name));
    struct act_record r;

    if (!x || k->act.step != CASE_IDLE)
        return;
    act_record_read(&r, x->status);
    if (k->act.unsaved && r.attempts <= k->act.record.attempts)
        return;
    if (r.attempts != k->act.record.attempts || r.outcome != k->act.record.outcome)
        k->act.doubt_ns = 0;
    k->act.record = r;
    k->act.unsaved = false;
}

void op_act_merge(struct op *op, struct op_case *k)
{
    adopt(op, k);
}

void op_act_stored(struct op *op, struct op_case *k, uint64_t serial, int rc)
{
    struct err err = {0};

    if (serial != k->act.serial)
        return;
    if (rc == 0)
        k->act.unsaved = false;
    if (k->act.step != CASE_RECORDING)
        return;
    if (rc) { /* another one may have recorded something: that is what counts */
        k->act.step = CASE_IDLE;
        k->act.unsaved = false;
        k->act.record = (struct act_record){.outcome = ACT_NOTHING};
        k->act.look_ns = op->ticked_ns + ACT_LOOK_MS * MS;
        op->acts.busy = 0;
        adopt(op, k);
        return;
    }
    k->act.step = CASE_LOOKING;
    audit(k, "intended");
    if (!send(op, k, NULL, &err)) {
        (void)snprintf(k->act.record.message, sizeof(k->act.record.message), "%s", err.text);
        end_as(op, k, ACT_SUPPRESSED, "NotSent", NOT_SEEN_S, op->ticked_ns, op->ticked_us);
    }
}

/* --- each tick --- */

void op_acts_tick(struct op *op, uint64_t now_ns)
{
    const struct op_act_door *const d = door_of(op);
    const bool on = atomic_load(&op->acting);
    uint64_t all, failed;

    if (on != op->acts.said_on)
        log_line(LOG_LEVEL_WARN, "operator", "audit: operator.act is %s",
                 on ? "Enforce" : "DryRun");
    op->acts.said_on = on;
    if (d->answers) {
        d->answers(d->ctx, &all, &failed);
        act_breaker_sample(&op->acts.breaker, now_ns, all, failed);
    }
    atomic_store(&op->stats.circuit_open, act_breaker_is_open(&op->acts.breaker, now_ns));
}

/* An intention of which nobody knows what came: another leader's, or our own before a crash. */
static void settle(struct op *op, struct op_case *k, uint64_t now_ns)
{
    struct err err;

    if (!door_of(op)->send || op->acts.busy || !k->act.record.pod[0])
        return;
    k->act.attempt = ++op->acts.serial;
    k->act.record.reason[0] = 0;
    doubt(k, now_ns, ACT_DOUBT_MS);
    op->acts.busy = k->act.attempt;
    if (send(op, k, NULL, &err))
        k->act.check_ns = now_ns + CHECK_MS * MS;
}

static void check_again(struct op *op, struct op_case *k, uint64_t now_ns)
{
    struct err err;

    if (k->act.asks || now_ns < k->act.check_ns)
        return;
    k->act.check_ns = now_ns + CHECK_MS * MS;
    (void)send(op, k, NULL, &err);
}

static bool is_said(const struct op_case *k, enum act_hold hold)
{
    return k->act.looked && hold == k->act.hold;
}

/* Why nothing is done; what is of this moment alone is not told. */
static void note_hold(struct op_case *k, enum act_hold hold)
{
    if (hold != ACT_GO && !act_hold_reasons[hold])
        return;
    k->dirty = k->dirty || !is_said(k, hold);
    k->act.looked = true;
    k->act.hold = hold;
}

void op_act(struct op *op, struct op_case *k, uint64_t now_ns, int64_t now_us)
{
    struct case_choice choice;

    if (k->act.step == CASE_CHECKING)
        check_again(op, k, now_ns);
    if (k->act.step != CASE_IDLE)
        return;
    adopt(op, k);
    if (k->act.record.outcome == ACT_INTENDED) {
        settle(op, k, now_ns);
        return;
    }
    if (!k->planned || k->resolved || k->crosses || now_ns < k->act.look_ns)
        return;
    k->act.look_ns = now_ns + ACT_LOOK_MS * MS;
    const enum act_hold hold = consider(op, k, NULL, &choice, now_ns, now_us);
    if ((hold == ACT_PROTECTED || hold == ACT_GO) && !case_is_planned_so(k, &choice))
        case_plan(op, k, now_us); /* another victim, or none, and why */
    note_hold(k, hold);
    if (hold == ACT_GO && !k->writing && now_ns >= k->retry_ns)
        intend(op, k, &choice, now_us);
}

void op_acts_resign(struct op *op)
{
    for (struct op_flight *f = op->acts.flights; f; f = f->next)
        f->op = NULL;
    op->acts.busy = 0;
}

void op_acts_done(struct op *op)
{
    while (op->acts.flights)
        drop(op->acts.flights);
}

void op_set_acting(struct op *op, bool on)
{
    atomic_store(&op->acting, on);
}
