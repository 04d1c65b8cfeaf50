/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/adjust_status.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/fields.h"
#include "kube/scan.h"
#include "operator/parts.h"

/* --- written --- */

static void put_if(struct emit *e, const char *key, int64_t v)
{
    if (v != FIELD_NONE)
        emit_key(e, key), emit_int(e, v);
}

static void put_offer(struct emit *e, const struct adjust_answer *a, int64_t now_us)
{
    emit_key(e, "offer");
    emit_object(e);
    put_if(e, "cpuShares", a->cpu_shares);
    put_if(e, "memoryMB", a->memory_mb);
    put_if(e, "gpuSlots", a->gpu_slots);
    put_if(e, "lockLimit", a->lock_limit);
    emit_key(e, "node"), emit_words(e, a->node);
    if (!a->taken)
        emit_key(e, "until"), emit_time(e, now_us + INT64_C(1000000) * ADJUST_OFFER_S);
    emit_end(e);
}

/* Why not, and what: "operator.act is DryRun: would resize ..." */
static void put_held(struct emit *e, const struct adjust_answer *a, const struct adjust_held *held,
                     int64_t generation, int64_t now_us)
{
    char text[sizeof(a->action) + 256];
    const struct op_condition c = {"ActionSuppressed", "True", held->reason, text, now_us,
                                   generation};

    (void)snprintf(text, sizeof(text), "%s%s%s", held->words,
                   held->words[0] && a->action[0] ? ": " : "", a->action);
    op_put_condition(e, &c);
}

static void put_applied(struct emit *e, const struct adjust_answer *a,
                        const struct resize_record *act, int64_t generation, int64_t now_us)
{
    const bool any = act && act->outcome != RESIZE_NOTHING;
    const struct op_condition c = {"Applied",
                                   any && act->outcome == RESIZE_APPLIED ? "True" : "False",
                                   !any             ? "Pending"
                                   : act->reason[0] ? act->reason
                                                    : resize_outcome_words[act->outcome],
                                   any ? act->message : a->action,
                                   now_us,
                                   generation};

    op_put_condition(e, &c);
}

static void put_conditions(struct emit *e, const struct adjust_answer *a,
                           const struct adjust_held *held, const struct resize_record *act,
                           int64_t generation, int64_t now_us)
{
    const bool good = a->outcome == ADJUST_FEASIBLE || a->outcome == ADJUST_APPLIED;
    const struct op_condition feasible = {
        "Feasible", good ? "True" : "False", a->reason, "", now_us, generation};

    emit_key(e, "conditions");
    emit_array(e);
    op_put_condition(e, &feasible);
    if (held->reason)
        put_held(e, a, held, generation, now_us);
    if ((act && act->outcome != RESIZE_NOTHING) || (!held->reason && a->action[0]))
        put_applied(e, a, act, generation, now_us);
    emit_end(e);
}

void adjust_status_put(struct buf *out, const struct adjust_answer *a,
                       const struct adjust_held *held, const struct resize_record *act,
                       int64_t generation, int64_t now_us)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "observedGeneration"), emit_int(&e, generation);
    emit_key(&e, "outcome"), emit_words(&e, adjust_outcome_words[a->outcome]);
    emit_key(&e, "path"), emit_words(&e, adjust_path_words[a->path]);
    emit_key(&e, "reason"), emit_words(&e, a->reason);
    emit_key(&e, "message"), emit_words(&e, a->message);
    if (a->node[0])
        emit_key(&e, "node"), emit_words(&e, a->node);
    if (a->outcome == ADJUST_OFFERED || a->taken)
        put_offer(&e, a, now_us);
    put_conditions(&e, a, held, act, generation, now_us);
    if (act && act->outcome != RESIZE_NOTHING)
        emit_key(&e, "act"), resize_record_put(&e, act);
    emit_end(&e);
}

/* --- read --- */

static int word_of(struct str s, const char *const *words, int n)
{
    int i = 0;

    while (i < n && !str_is(s, words[i]))
        i++;
    return i;
}

static void read_into(struct scan *s, char *to, size_t room, struct arena *a)
{
    struct str text;

    if (scan_text(s, &text, a))
        (void)snprintf(to, room, "%.*s", STR_ARG(text));
}

static void read_offer(struct scan *s, struct adjust_told *t, struct arena *a)
{
    struct str text = {0};

    if (!scan_object(s))
        return;
    t->answer.taken = true; /* where it is Feasible */
    while (scan_key(s)) {
        if (scan_at(s, "cpuShares"))
            (void)scan_int64(s, &t->answer.cpu_shares);
        else if (scan_at(s, "memoryMB"))
            (void)scan_int64(s, &t->answer.memory_mb);
        else if (scan_at(s, "gpuSlots"))
            (void)scan_int64(s, &t->answer.gpu_slots);
        else if (scan_at(s, "lockLimit"))
            (void)scan_int64(s, &t->answer.lock_limit);
        else if (scan_at(s, "node"))
            read_into(s, t->answer.node, sizeof(t->answer.node), a);
        else if (scan_at(s, "until") && scan_text(s, &text, a) &&
                 clock_parse_rfc3339(text, &t->until_us))
            t->until_us = 0;
    }
}

/* What would be done stands in one of two conditions, behind why it is not. */
static void read_condition(struct scan *s, struct adjust_told *t, struct arena *a)
{
    struct str type = {0}, message = {0}, reason = {0};

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "type"))
            (void)scan_text(s, &type, a);
        else if (scan_at(s, "message"))
            (void)scan_text(s, &message, a);
        else if (scan_at(s, "reason"))
            (void)scan_text(s, &reason, a);
    }
    const bool held = str_is(type, "ActionSuppressed");
    if (held)
        (void)snprintf(t->held, sizeof(t->held), "%.*s", STR_ARG(reason));
    if (!held && !(str_is(type, "Applied") && str_is(reason, "Pending")))
        return;
    const char *const plan = message.n ? memmem(message.p, message.n, "would ", 6) : NULL;
    if (plan)
        (void)snprintf(t->answer.action, sizeof(t->answer.action), "%.*s",
                       (int)(message.n - (size_t)(plan - message.p)), plan);
}

void adjust_status_read(struct adjust_told *out, struct str json, struct arena *a)
{
    static const struct adjust_told none = {.observed = -1,
                                            .answer = {.outcome = ADJUST_INFEASIBLE,
                                                       .path = ADJUST_NONE,
                                                       .cpu_shares = FIELD_NONE,
                                                       .memory_mb = FIELD_NONE,
                                                       .gpu_slots = FIELD_NONE,
                                                       .lock_limit = FIELD_NONE}};
    struct str outcome = {0}, path = {0}, text = {0};
    struct err err;
    struct scan s;

    *out = none;
    out->answer.reason = out->reason;
    if (json.n == 0)
        return;
    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "observedGeneration"))
                (void)scan_int64(&s, &out->observed);
            else if (scan_at(&s, "outcome"))
                (void)scan_text(&s, &outcome, a);
            else if (scan_at(&s, "path"))
                (void)scan_text(&s, &path, a);
            else if (scan_at(&s, "reason"))
                read_into(&s, out->reason, sizeof(out->reason), a);
            else if (scan_at(&s, "message"))
                read_into(&s, out->answer.message, sizeof(out->answer.message), a);
            else if (scan_at(&s, "node") && scan_text(&s, &text, a) && !out->answer.node[0])
                (void)snprintf(out->answer.node, sizeof(out->answer.node), "%.*s", STR_ARG(text));
            else if (scan_at(&s, "offer"))
                read_offer(&s, out, a);
            else if (scan_at(&s, "conditions") && scan_array(&s))
                while (scan_item(&s))
                    read_condition(&s, out, a);
        }
    }
    const int o = word_of(outcome, adjust_outcome_words, ADJUST_OUTCOMES);
    const int p = word_of(path, adjust_path_words, 4);
    if (scan_end(&s, &err) || o == ADJUST_OUTCOMES) {
        *out = none;
        out->answer.reason = out->reason;
        return;
    }
    out->answer.outcome = (enum adjust_outcome)o;
    out->answer.path = p == 4 ? ADJUST_NONE : (enum adjust_path)p;
    out->answer.taken = out->answer.taken && out->answer.outcome != ADJUST_OFFERED;
    resize_record_read(&out->act, json);
}
