/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/resize.h"

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
#include "kube/quantity.h"
#include "kube/scan.h"
#include "operator/act.h"
#include "operator/act_fields.h"

/* --- may it be done? --- */

const char *const resize_hold_reasons[RESIZE_HOLDS] = {
    [RESIZE_UNWANTED] = "DryRun",
    [RESIZE_DRY_RUN] = "DryRun",
    [RESIZE_OFF] = "DryRun",
    [RESIZE_OTHERWISE] = "NotCarriedOut",
    [RESIZE_OPTED_OUT] = "OptedOut",
    [RESIZE_RESTARTS] = "RestartsContainer",
    [RESIZE_ONE_WAY] = "NotReversible",
    [RESIZE_UNREACHABLE] = "NoApiServer",
    [RESIZE_NO_LEASE] = "NoLease",
    [RESIZE_NOT_ASKED] = "NotAskedFor",
    [RESIZE_MAY_NOT] = "RequesterMayNot",
    [RESIZE_GIVEN_UP] = "TooManyAttempts",
    [RESIZE_OPEN] = "CircuitOpen",
    [RESIZE_MOST] = "GlobalBudget",
    [RESIZE_MOST_HERE] = "NamespaceBudget",
    [RESIZE_UNFIT] = "NoLongerFits",
};

const char *const resize_hold_words[RESIZE_HOLDS] = {
    [RESIZE_GO] = "",
    [RESIZE_UNWANTED] = "spec.dryRun",
    [RESIZE_DRY_RUN] = "spec.adjustment.mode of the policy is DryRun",
    [RESIZE_OFF] = "operator.act is DryRun",
    [RESIZE_OTHERWISE] = "only cpu and memory of a pod are changed, in place",
    [RESIZE_OPTED_OUT] = "the pod has the annotation orchestration.gokore.io/ignore",
    [RESIZE_RESTARTS] = "the container's resizePolicy would restart it",
    [RESIZE_ONE_WAY] = "a request that was not there before could not be taken away again",
    [RESIZE_UNREACHABLE] = "there is no API server to ask",
    [RESIZE_NO_LEASE] = "without operator.lease nobody knows whether another replica acts",
    [RESIZE_NOT_ASKED] =
        "nobody has asked for it by a call lately; an object says not who wants it",
    [RESIZE_MAY_NOT] = "who asked for it may not patch pods/resize of the pod",
    [RESIZE_NOT_LEADER] = "another replica leads",
    [RESIZE_EPOCH] = "the lease has changed hands since it was planned",
    [RESIZE_UNREAD] = "not everything was read yet",
    [RESIZE_AGED] = "what is known of pods is too old",
    [RESIZE_ENDED] = "it was carried out already",
    [RESIZE_GIVEN_UP] = "it was tried too often",
    [RESIZE_WAITS] = "it waits after a refusal",
    [RESIZE_BUSY] = "another act is under way",
    [RESIZE_OPEN] = "too much has failed lately",
    [RESIZE_MOST] = "enough was done in an hour",
    [RESIZE_MOST_HERE] = "spec.adjustment.perNamespacePerHour of the policy is used up",
    [RESIZE_SETTLES] = "another resize of the pod is under way",
    [RESIZE_OTHER_SIZE] = "the pod is another one by now, or was changed",
    [RESIZE_UNFIT] = "it is not feasible any more",
};

enum resize_hold resize_look(const struct resize_facts *f)
{
    const struct {
        bool holds;
        enum resize_hold why;
    } guards[] = {
        {!f->on, RESIZE_OFF},
        {!f->enforced, RESIZE_DRY_RUN},
        {!f->wanted, RESIZE_UNWANTED},
        {!f->in_place, RESIZE_OTHERWISE},
        {f->opted_out, RESIZE_OPTED_OUT},
        {f->restarts, RESIZE_RESTARTS},
        {!f->reversible, RESIZE_ONE_WAY},
        {!f->reachable, RESIZE_UNREACHABLE},
        {!f->elected, RESIZE_NO_LEASE},
        {f->ended, RESIZE_ENDED},
        {!f->asked, RESIZE_NOT_ASKED},
        {!f->may, RESIZE_MAY_NOT},
        {!f->leads, RESIZE_NOT_LEADER},
        {!f->same_epoch, RESIZE_EPOCH},
        {!f->read, RESIZE_UNREAD},
        {f->age_ns > ACT_AGE_MS * UINT64_C(1000000), RESIZE_AGED},
        {f->attempts >= RESIZE_ATTEMPTS, RESIZE_GIVEN_UP},
        {f->waits, RESIZE_WAITS},
        {f->busy, RESIZE_BUSY},
        {!f->closed, RESIZE_OPEN},
        {f->in_hour >= RESIZE_MOST_PER_HOUR, RESIZE_MOST},
        {f->in_namespace >= f->most_in_namespace, RESIZE_MOST_HERE},
        {f->settles, RESIZE_SETTLES},
        {!f->same_size, RESIZE_OTHER_SIZE},
        {!f->fits, RESIZE_UNFIT},
    };

    for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
        if (guards[i].holds)
            return guards[i].why;
    }
    return RESIZE_GO;
}

/* --- the record --- */

const char *const resize_outcome_words[RESIZE_OUTCOMES] = {
    "",         "Intended", "Requested", "Applied",    "Reverting",
    "Reverted", "Gone",     "Refused",   "Suppressed", "Failed"};

bool resize_is_open(enum resize_outcome o)
{
    return o == RESIZE_INTENDED || o == RESIZE_REQUESTED || o == RESIZE_REVERTING;
}

bool resize_counts(const struct resize_record *r)
{
    return resize_is_open(r->outcome) || r->outcome == RESIZE_APPLIED ||
           r->outcome == RESIZE_REVERTED || r->outcome == RESIZE_FAILED ||
           (r->outcome == RESIZE_GONE && r->requested_us != 0);
}

static void put_amounts(struct emit *e, const char *key, const struct adjust_amounts *a)
{
    const struct {
        const char *key;
        int64_t v;
    } all[] = {{"cpuMillicores", a->cpu},
               {"cpuLimitMillicores", a->cpu_limit},
               {"memoryBytes", a->memory},
               {"memoryLimitBytes", a->memory_limit}};

    emit_key(e, key);
    emit_object(e);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].v != FIELD_NONE)
            emit_key(e, all[i].key), emit_int(e, all[i].v);
    }
    emit_end(e);
}

static bool is_within_hour(int64_t us, int64_t now_us)
{
    return us > now_us - INT64_C(3600) * 1000000;
}

static void add_earlier(struct resize_record *r, int64_t us)
{
    if (r->n_earlier == RESIZE_EARLIER) {
        memmove(r->earlier_us, r->earlier_us + 1, sizeof(r->earlier_us) - sizeof(*r->earlier_us));
        r->n_earlier--;
    }
    r->earlier_us[r->n_earlier++] = us;
}

void resize_record_pass(struct resize_record *next, const struct resize_record *r, int64_t now_us)
{
    next->n_earlier = 0;
    for (uint32_t i = 0; i < r->n_earlier; i++) {
        if (is_within_hour(r->earlier_us[i], now_us))
            add_earlier(next, r->earlier_us[i]);
    }
    if (resize_counts(r) && is_within_hour(r->intended_us, now_us))
        add_earlier(next, r->intended_us);
}

void resize_record_put(struct emit *e, const struct resize_record *r)
{
    emit_object(e);
    emit_key(e, "kind"), emit_words(e, "ResizePod");
    emit_key(e, "outcome"), emit_words(e, resize_outcome_words[r->outcome]);
    emit_key(e, "reason"), emit_words(e, r->reason);
    emit_key(e, "message"), emit_words(e, r->message);
    emit_key(e, "pod"), emit_words(e, r->pod);
    emit_key(e, "uid"), emit_words(e, r->uid);
    emit_key(e, "container"), emit_words(e, r->container);
    emit_key(e, "requestedBy"), emit_words(e, r->requester);
    put_amounts(e, "from", &r->from);
    put_amounts(e, "to", &r->to);
    emit_key(e, "generation"), emit_int(e, r->generation);
    emit_key(e, "attempts"), emit_int(e, r->attempts);
    emit_key(e, "epoch"), emit_int(e, r->epoch);
    act_put_time(e, "intendedAt", r->intended_us);
    act_put_time(e, "requestedAt", r->requested_us);
    act_put_time(e, "endedAt", r->ended_us);
    act_put_time(e, "retryAt", r->retry_us);
    if (r->n_earlier) {
        emit_key(e, "earlierAt"), emit_array(e);
        for (uint32_t i = 0; i < r->n_earlier; i++)
            emit_time(e, r->earlier_us[i]);
        emit_end(e);
    }
    emit_end(e);
}

static const struct adjust_amounts no_amounts = {FIELD_NONE, FIELD_NONE, FIELD_NONE, FIELD_NONE};

static void read_amounts(struct scan *s, struct adjust_amounts *out)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "cpuMillicores"))
            (void)scan_int64(s, &out->cpu);
        else if (scan_at(s, "cpuLimitMillicores"))
            (void)scan_int64(s, &out->cpu_limit);
        else if (scan_at(s, "memoryBytes"))
            (void)scan_int64(s, &out->memory);
        else if (scan_at(s, "memoryLimitBytes"))
            (void)scan_int64(s, &out->memory_limit);
    }
}

static void read_earlier(struct scan *s, struct resize_record *r)
{
    struct str word;
    int64_t us;

    if (scan_kind(s) != SCAN_ARRAY || !scan_array(s))
        return;
    while (scan_item(s)) {
        if (scan_word(s, &word) && clock_parse_rfc3339(word, &us) == 0)
            add_earlier(r, us);
    }
}

static void read_member(struct scan *s, void *record)
{
    struct resize_record *const r = record;
    const struct act_text texts[] = {{"reason", r->reason, sizeof(r->reason)},
                                     {"message", r->message, sizeof(r->message)},
                                     {"pod", r->pod, sizeof(r->pod)},
                                     {"uid", r->uid, sizeof(r->uid)},
                                     {"container", r->container, sizeof(r->container)},
                                     {"requestedBy", r->requester, sizeof(r->requester)}};

    if (scan_at(s, "outcome"))
        r->outcome = (enum resize_outcome)act_read_word(s, resize_outcome_words, RESIZE_OUTCOMES,
                                                        (int)r->outcome);
    else if (scan_at(s, "from"))
        read_amounts(s, &r->from);
    else if (scan_at(s, "to"))
        read_amounts(s, &r->to);
    else if (scan_at(s, "generation"))
        (void)scan_int64(s, &r->generation);
    else if (scan_at(s, "attempts"))
        (void)scan_int64(s, &r->attempts);
    else if (scan_at(s, "epoch"))
        (void)scan_int64(s, &r->epoch);
    else if (scan_at(s, "earlierAt"))
        read_earlier(s, r);
    else if (!act_read_time(s, "intendedAt", &r->intended_us) &&
             !act_read_time(s, "requestedAt", &r->requested_us) &&
             !act_read_time(s, "endedAt", &r->ended_us) &&
             !act_read_time(s, "retryAt", &r->retry_us))
        act_read_text(s, texts, ARRAY_LEN(texts));
}

void resize_record_read(struct resize_record *out, struct str status)
{
    const struct resize_record nothing = {.from = no_amounts, .to = no_amounts};

    *out = nothing;
    if (!act_read(status, read_member, out) || out->outcome == RESIZE_NOTHING)
        *out = nothing;
    else if (!fields_is_subdomain(str_of(out->pod)))
        out->pod[0] = 0;
}

/* --- a pod --- */

static void read_list(struct scan *s, int64_t *cpu, int64_t *memory)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "cpu"))
            (void)kube_quantity_scan(s, KUBE_MILLI, cpu);
        else if (scan_at(s, "memory"))
            (void)kube_quantity_scan(s, KUBE_UNITS, memory);
    }
}

static void read_resources(struct scan *s, struct adjust_amounts *out)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "requests"))
            read_list(s, &out->cpu, &out->memory);
        else if (scan_at(s, "limits"))
            read_list(s, &out->cpu_limit, &out->memory_limit);
    }
}

/* An item of spec.containers, or of status.containerStatuses. */
static void read_container(struct scan *s, struct resize_seen *out, const char *container,
                           bool of_spec)
{
    struct adjust_amounts spec = no_amounts, allocated = no_amounts, actual = no_amounts;
    bool it_is = false;
    struct str name;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            it_is = scan_word(s, &name) && str_is(name, container);
        else if (of_spec && scan_at(s, "resources"))
            read_resources(s, &spec);
        else if (!of_spec && scan_at(s, "allocatedResources"))
            read_list(s, &allocated.cpu, &allocated.memory);
        else if (!of_spec && scan_at(s, "resources"))
            read_resources(s, &actual);
    }
    if (!it_is)
        return;
    if (of_spec) {
        out->found = true;
        out->spec = spec;
    } else {
        out->allocated = allocated;
        out->actual = actual;
    }
}

static void read_containers(struct scan *s, struct resize_seen *out, const char *container,
                            bool of_spec)
{
    if (scan_kind(s) != SCAN_ARRAY || !scan_array(s))
        return;
    while (scan_item(s))
        read_container(s, out, container, of_spec);
}

struct condition {
    bool pending, in_progress, holds, infeasible;
    char message[256];
};

static void read_condition(struct scan *s, struct resize_seen *out)
{
    struct condition c = {.pending = false};
    struct str word;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "type") && scan_word(s, &word)) {
            c.pending = str_is(word, "PodResizePending");
            c.in_progress = str_is(word, "PodResizeInProgress");
        } else if (scan_at(s, "status") && scan_word(s, &word)) {
            c.holds = str_is(word, "True");
        } else if (scan_at(s, "reason") && scan_word(s, &word)) {
            c.infeasible = str_is(word, "Infeasible");
        } else if (scan_at(s, "message") && scan_word(s, &word)) {
            (void)snprintf(c.message, sizeof(c.message), "%.*s", STR_ARG(word));
        }
    }
    if (!c.holds || !(c.pending || c.in_progress))
        return;
    if (c.pending)
        out->pending = c.infeasible ? RESIZE_INFEASIBLE : RESIZE_DEFERRED;
    out->in_progress = out->in_progress || c.in_progress;
    if (c.message[0])
        (void)snprintf(out->message, sizeof(out->message), "%s", c.message);
}

static void read_spec(struct scan *s, struct resize_seen *out, const char *container)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "containers") || scan_at(s, "initContainers"))
            read_containers(s, out, container, true);
    }
}

static void read_status(struct scan *s, struct resize_seen *out, const char *container)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "containerStatuses") || scan_at(s, "initContainerStatuses")) {
            read_containers(s, out, container, false);
        } else if (scan_at(s, "conditions") && scan_kind(s) == SCAN_ARRAY && scan_array(s)) {
            while (scan_item(s))
                read_condition(s, out);
        }
    }
}

void resize_see(struct resize_seen *out, struct str pod, const char *container)
{
    static const struct resize_seen nothing = {
        .spec = {FIELD_NONE, FIELD_NONE, FIELD_NONE, FIELD_NONE},
        .allocated = {FIELD_NONE, FIELD_NONE, FIELD_NONE, FIELD_NONE},
        .actual = {FIELD_NONE, FIELD_NONE, FIELD_NONE, FIELD_NONE}};
    struct scan s;
    struct err err;

    *out = nothing;
    scan_init(&s, pod, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "spec"))
                read_spec(&s, out, container);
            else if (scan_at(&s, "status"))
                read_status(&s, out, container);
        }
    }
    if (scan_end(&s, &err))
        *out = nothing;
}

bool resize_is(const struct adjust_amounts *a, const struct adjust_amounts *b)
{
    return a->cpu == b->cpu && a->cpu_limit == b->cpu_limit && a->memory == b->memory &&
           a->memory_limit == b->memory_limit;
}

bool resize_is_granted(const struct resize_seen *s, const struct adjust_amounts *size)
{
    return s->allocated.cpu == size->cpu && s->allocated.memory == size->memory;
}

bool resize_is_still(const struct resize_seen *s, const struct adjust_amounts *size)
{
    return resize_is_granted(s, size) && s->actual.cpu_limit == size->cpu_limit &&
           s->actual.memory_limit == size->memory_limit;
}

/* --- answers --- */

static void refuse(struct resize_record *r, const char *reason, int64_t retry_s, int64_t now_us)
{
    r->outcome = RESIZE_REFUSED;
    (void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
    r->retry_us = now_us + retry_s * 1000000;
}

bool resize_take_answer(struct resize_record *r, const struct kube_answer *a, int64_t now_us)
{
    if (a->err.code == 0) {
        r->outcome = r->outcome == RESIZE_REVERTING ? RESIZE_REVERTED : RESIZE_REQUESTED;
        if (r->outcome == RESIZE_REQUESTED)
            r->requested_us = now_us;
        return true;
    }
    (void)snprintf(r->message, sizeof(r->message), "%s", a->err.text);
    if (a->status == 429)
        refuse(r, "Throttled", act_back_off_s(r->attempts, a), now_us);
    else if (a->status == 401 || a->status == 403)
        refuse(r, "Forbidden", ACT_FORBIDDEN_S, now_us);
    else if (a->status >= 400 && a->status < 500 && a->status != 404 && a->status != 408 &&
             a->status != 409)
        refuse(r, "Invalid", ACT_FORBIDDEN_S, now_us);
    else
        return false;
    return true;
}

static void put_list(struct emit *e, const char *key, int64_t cpu, int64_t memory)
{
    char text[32];

    if (cpu == FIELD_NONE && memory == FIELD_NONE)
        return;
    emit_key(e, key);
    emit_object(e);
    if (cpu != FIELD_NONE) {
        (void)snprintf(text, sizeof(text), "%lldm", (long long)cpu);
        emit_key(e, "cpu"), emit_words(e, text);
    }
    if (memory != FIELD_NONE) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)memory);
        emit_key(e, "memory"), emit_words(e, text);
    }
    emit_end(e);
}

/* Where the size does not change nothing is said. */
static int64_t changed(int64_t from, int64_t to, int64_t v)
{
    return from == to ? FIELD_NONE : v;
}

void resize_patch(struct buf *out, const struct resize_record *r, const struct adjust_amounts *size,
                  const char *version)
{
    const struct adjust_amounts *const a = &r->from, *const b = &r->to;
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "uid"), emit_words(&e, r->uid);
    emit_key(&e, "resourceVersion"), emit_words(&e, version);
    emit_end(&e);
    emit_key(&e, "spec"), emit_object(&e);
    emit_key(&e, "containers"), emit_array(&e);
    emit_object(&e);
    emit_key(&e, "name"), emit_words(&e, r->container);
    emit_key(&e, "resources"), emit_object(&e);
    put_list(&e, "requests", changed(a->cpu, b->cpu, size->cpu),
             changed(a->memory, b->memory, size->memory));
    put_list(&e, "limits", changed(a->cpu_limit, b->cpu_limit, size->cpu_limit),
             changed(a->memory_limit, b->memory_limit, size->memory_limit));
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}
