/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/act.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "kube/fields.h"
#include "kube/scan.h"
#include "operator/act_fields.h"

static const uint64_t ms_ns = 1000000;

/* --- may it be done? --- */

const char *const act_hold_reasons[ACT_HOLDS] = {
    [ACT_OFF] = "DryRun",
    [ACT_DRY_RUN] = "DryRun",
    [ACT_STRATEGY] = "StrategyNotCarriedOut",
    [ACT_UNREACHABLE] = "NoApiServer",
    [ACT_NO_LEASE] = "NoLease",
    [ACT_OPEN] = "CircuitOpen",
    [ACT_GIVEN_UP] = "TooManyAttempts",
    [ACT_MOST] = "GlobalBudget",
};

const char *const act_hold_words[ACT_HOLDS] = {
    [ACT_GO] = "",
    [ACT_OFF] = "operator.act is DryRun",
    [ACT_DRY_RUN] = "spec.deadlock.mode of the policy is DryRun",
    [ACT_STRATEGY] = "of the strategies only EvictPod is carried out",
    [ACT_UNREACHABLE] = "there is no API server to ask",
    [ACT_NO_LEASE] = "without operator.lease nobody knows whether another replica acts",
    [ACT_NOT_LEADER] = "another replica leads",
    [ACT_EPOCH] = "the lease has changed hands since it was planned",
    [ACT_UNREAD] = "not everything was read yet",
    [ACT_OPEN] = "too much has failed lately",
    [ACT_AGED] = "what is known of pods is too old",
    [ACT_UNCONFIRMED] = "it is not confirmed",
    [ACT_CROSSES] = "it is over several namespaces",
    [ACT_OVER] = "it is over, or has not lasted long enough",
    [ACT_SILENT] = "not all of its reporters have spoken lately",
    [ACT_ENDED] = "a pod was ended for it already",
    [ACT_GIVEN_UP] = "it was tried too often",
    [ACT_WAITS] = "it waits after a refusal",
    [ACT_BUSY] = "another act is under way",
    [ACT_MOST] = "enough was done in an hour",
    [ACT_SETTLES] = "a pod of it ends, or was acted on",
    [ACT_PROTECTED] = "the pod may not be ended any more",
    [ACT_OTHER_POD] = "it is another pod by now",
};

enum act_hold act_look(const struct act_facts *f)
{
    const uint64_t fresh_ns = ms_ns * (f->observed ? ACT_FRESH_MS : ACT_FRESH_CLAIM_MS);
    const struct {
        bool holds;
        enum act_hold why;
    } guards[] = {
        {f->crosses, ACT_CROSSES},
        {!f->enforced, ACT_DRY_RUN},
        {!f->on, ACT_OFF},
        {!f->evicts, ACT_STRATEGY},
        {!f->reachable, ACT_UNREACHABLE},
        {!f->elected, ACT_NO_LEASE},
        {!f->leads, ACT_NOT_LEADER},
        {!f->same_epoch, ACT_EPOCH},
        {!f->read, ACT_UNREAD},
        {f->age_ns > ACT_AGE_MS * ms_ns, ACT_AGED},
        {!f->confirmed, ACT_UNCONFIRMED},
        {!f->lasts, ACT_OVER},
        {f->ended, ACT_ENDED},
        {f->attempts >= ACT_ATTEMPTS, ACT_GIVEN_UP},
        {f->waits, ACT_WAITS},
        {f->busy, ACT_BUSY},
        {!f->closed, ACT_OPEN},
        {f->in_hour >= ACT_MOST_PER_HOUR, ACT_MOST},
        {f->word_ns > fresh_ns, ACT_SILENT},
        {!f->same_uid, ACT_OTHER_POD},
        {f->settles, ACT_SETTLES},
        {f->victim != VICTIM_MAY, ACT_PROTECTED},
    };

    for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
        if (guards[i].holds)
            return guards[i].why;
    }
    return ACT_GO;
}

/* --- the record --- */

const char *const act_outcome_words[ACT_OUTCOMES] = {"",        "Intended",   "Evicted", "Gone",
                                                     "Refused", "Suppressed", "Failed"};

void act_record_put(struct emit *e, const struct act_record *r)
{
    emit_object(e);
    emit_key(e, "kind"), emit_words(e, "EvictPod");
    emit_key(e, "outcome"), emit_words(e, act_outcome_words[r->outcome]);
    emit_key(e, "reason"), emit_words(e, r->reason);
    emit_key(e, "message"), emit_words(e, r->message);
    emit_key(e, "pod"), emit_words(e, r->pod);
    emit_key(e, "uid"), emit_words(e, r->uid);
    emit_key(e, "node"), emit_words(e, r->node);
    emit_key(e, "owner"), emit_words(e, r->owner);
    emit_key(e, "attempts"), emit_int(e, r->attempts);
    emit_key(e, "epoch"), emit_int(e, r->epoch);
    act_put_time(e, "intendedAt", r->intended_us);
    act_put_time(e, "endedAt", r->ended_us);
    act_put_time(e, "retryAt", r->retry_us);
    emit_end(e);
}

static void read_member(struct scan *s, void *record)
{
    struct act_record *const r = record;
    const struct act_text texts[] = {
        {"reason", r->reason, sizeof(r->reason)}, {"message", r->message, sizeof(r->message)},
        {"pod", r->pod, sizeof(r->pod)},          {"uid", r->uid, sizeof(r->uid)},
        {"node", r->node, sizeof(r->node)},       {"owner", r->owner, sizeof(r->owner)}};

    if (scan_at(s, "outcome"))
        r->outcome =
            (enum act_outcome)act_read_word(s, act_outcome_words, ACT_OUTCOMES, (int)r->outcome);
    else if (scan_at(s, "attempts"))
        (void)scan_int64(s, &r->attempts);
    else if (scan_at(s, "epoch"))
        (void)scan_int64(s, &r->epoch);
    else if (!act_read_time(s, "intendedAt", &r->intended_us) &&
             !act_read_time(s, "endedAt", &r->ended_us) &&
             !act_read_time(s, "retryAt", &r->retry_us))
        act_read_text(s, texts, ARRAY_LEN(texts));
}

void act_record_read(struct act_record *out, struct str status)
{
    static const struct act_record nothing = {.outcome = ACT_NOTHING};

    *out = nothing;
    if (!act_read(status, read_member, out) || out->outcome == ACT_NOTHING)
        *out = nothing;
    else if (!fields_is_subdomain(str_of(out->pod)))
        out->pod[0] = 0;
}

void act_end(struct act_record *r, enum act_outcome outcome, const char *reason, int64_t now_us,
             int64_t retry_s)
{
    r->outcome = outcome;
    (void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
    r->ended_us = now_us;
    r->retry_us = retry_s ? now_us + retry_s * 1000000 : 0;
}

/* --- answers --- */

static void read_meta(struct scan *s, struct str *uid, struct str *version, bool *ends)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "uid"))
            (void)scan_string(s, uid);
        else if (scan_at(s, "resourceVersion"))
            (void)scan_string(s, version);
        else if (scan_at(s, "deletionTimestamp"))
            *ends = scan_kind(s) == SCAN_STRING;
    }
}

enum act_sight act_see(const struct kube_answer *a, const char *uid,
                       char version[ACT_VERSION_BYTES])
{
    struct str its_uid = {0}, its_version = {0};
    bool ends = false;
    struct scan s;
    struct err err;

    if (a->err.code == -ENOENT)
        return ACT_ABSENT;
    if (a->err.code)
        return a->err.code == -EACCES ? ACT_FORBIDDEN : ACT_UNSEEN;
    scan_init(&s, a->body, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                read_meta(&s, &its_uid, &its_version, &ends);
        }
    }
    if (scan_end(&s, &err) || its_uid.n == 0 || its_version.n == 0 ||
        its_version.n >= ACT_VERSION_BYTES)
        return ACT_UNSEEN;
    if (!str_is(its_uid, uid))
        return ACT_ABSENT;
    (void)snprintf(version, ACT_VERSION_BYTES, "%.*s", STR_ARG(its_version));
    return ends ? ACT_ENDS : ACT_SAME;
}

static void say(struct act_record *r, const struct kube_answer *a)
{
    (void)snprintf(r->message, sizeof(r->message), "%s", a->err.text);
}

int64_t act_back_off_s(int64_t attempts, const struct kube_answer *a)
{
    const int64_t turn = attempts > 6 ? 6 : attempts < 1 ? 1 : attempts;
    int64_t s = (int64_t)ACT_BACK_OFF_S << (turn - 1);
    const int64_t told_s = (a->retry_after_ms + 999) / 1000;

    s = s > told_s ? s : told_s;
    return s < ACT_BACK_OFF_MOST_S ? s : ACT_BACK_OFF_MOST_S;
}

bool act_take_answer(struct act_record *r, const struct kube_answer *a, int64_t now_us)
{
    struct kube_status status;

    if (a->err.code == 0) {
        if (kube_status_decode(&status, a->body) && status.failed) {
            (void)snprintf(r->message, sizeof(r->message), "%s", status.message);
            act_end(r, ACT_REFUSED, "SeveralBudgets", now_us, ACT_FORBIDDEN_S);
        } else {
            act_end(r, ACT_EVICTED, "Evicted", now_us, 0);
        }
        return true;
    }
    say(r, a);
    if (a->status == 429)
        act_end(r, ACT_REFUSED,
                strcmp(a->details.cause, "DisruptionBudget") == 0 ? "DisruptionBudget"
                                                                  : "Throttled",
                now_us, act_back_off_s(r->attempts, a));
    else if (a->status == 404)
        act_end(r, ACT_GONE, "NotFound", now_us, 0);
    else if (a->status == 401 || a->status == 403)
        act_end(r, ACT_REFUSED, "Forbidden", now_us, ACT_FORBIDDEN_S);
    else if (a->status >= 400 && a->status < 500 && a->status != 409 && a->status != 408)
        act_end(r, ACT_REFUSED, "Invalid", now_us, ACT_FORBIDDEN_S);
    else
        return false;
    return true;
}

void act_eviction(struct buf *out, struct str ns, const struct act_record *r, const char *version)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "policy/v1");
    emit_key(&e, "kind"), emit_words(&e, "Eviction");
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "name"), emit_words(&e, r->pod);
    emit_key(&e, "namespace"), emit_text(&e, ns);
    emit_end(&e);
    emit_key(&e, "deleteOptions"), emit_object(&e);
    emit_key(&e, "preconditions"), emit_object(&e);
    emit_key(&e, "uid"), emit_words(&e, r->uid);
    emit_key(&e, "resourceVersion"), emit_words(&e, version);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}

/* --- the breaker --- */

static void open_for(struct act_breaker *b, uint64_t now_ns, uint64_t s)
{
    const uint64_t until_ns = now_ns + s * 1000 * ms_ns;

    if (until_ns > b->open_until_ns)
        b->open_until_ns = until_ns;
}

void act_breaker_sample(struct act_breaker *b, uint64_t now_ns, uint64_t all, uint64_t failed)
{
    const uint32_t newest = (b->next + ACT_SAMPLES - 1) % ACT_SAMPLES;
    const uint32_t oldest = b->n < ACT_SAMPLES ? 0 : b->next;

    if (b->n) {
        const uint64_t more = all - b->samples[oldest].all;
        const uint64_t wrong = failed - b->samples[oldest].failed;

        if (more >= ACT_FEWEST && wrong * ACT_FAILED_MOST > more)
            open_for(b, now_ns, ACT_OPEN_S);
        if (now_ns - b->samples[newest].at_ns < ACT_SAMPLE_MS * ms_ns)
            return;
    }
    b->samples[b->next].at_ns = now_ns;
    b->samples[b->next].all = all;
    b->samples[b->next].failed = failed;
    b->next = (b->next + 1) % ACT_SAMPLES;
    b->n += b->n < ACT_SAMPLES;
}

/* A budget that is used up is no fault; a rule that is missing, or a call that is wrong, is. */
void act_breaker_acted(struct act_breaker *b, uint64_t now_ns, const struct act_record *r)
{
    const bool failed = r->outcome == ACT_FAILED ||
                        (r->outcome == ACT_REFUSED && (strcmp(r->reason, "Forbidden") == 0 ||
                                                       strcmp(r->reason, "Invalid") == 0));

    if (!failed) {
        if (r->outcome == ACT_EVICTED)
            b->strikes = 0;
        return;
    }
    if (++b->strikes < ACT_STRIKES)
        return;
    b->strikes = 0;
    open_for(b, now_ns, ACT_STRUCK_S);
}

bool act_breaker_is_open(const struct act_breaker *b, uint64_t now_ns)
{
    return now_ns < b->open_until_ns;
}
