/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/resizing_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "kube/fields.h"
#include "operator/adjust_status.h"

#define MS UINT64_C(1000000)

enum { ROOM = 4 << 20, HOUR_S = 3600 };

static const struct op_act_door *door_of(const struct op *op)
{
    return &op->options.act;
}

struct op_resize *resizing_find(const struct op *op, struct str ns, struct str name)
{
    struct op_resize *r = op->resizes.first;

    while (r && !(str_is(ns, r->ns) && str_is(name, r->name)))
        r = r->next;
    return r;
}

struct op_object *resizing_object(const struct op *op, const struct op_resize *r)
{
    struct op_object *const x =
        op_objects_find(&op->objects, OP_ADJUSTMENT, str_of(r->ns), str_of(r->name));

    return x && str_is(x->uid, r->uid) ? x : NULL;
}

struct policy_adjustment resizing_rules(const struct op *op, struct str ns)
{
    static const struct policy_adjustment usual = {
        .mode = POLICY_DRY_RUN, .per_namespace_per_hour = 10, .deadline_s = 300};
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    const struct score_policy *const policy =
        cluster_context_policy(cluster_snapshot_context(s), ns);
    const struct policy_adjustment rules = policy ? policy->adjustment : usual;

    cluster_snapshot_unref(s);
    return rules;
}

int64_t resizing_epoch(const struct op *op)
{
    return door_of(op)->epoch ? door_of(op)->epoch(door_of(op)->ctx) : 0;
}

static bool leads(const struct op *op)
{
    struct str url;

    return op->options.leads && op->options.leads(op->options.leads_ctx, &url);
}

/* --- who asked --- */

void resizing_forget_caller(struct op_resize *r)
{
    free(r->caller);
    r->caller = NULL;
}

static struct op_resize *add(struct op *op, const struct op_object *x)
{
    struct op_resize *r = resizing_find(op, x->ns, x->name);

    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    (void)snprintf(r->ns, sizeof(r->ns), "%.*s", STR_ARG(x->ns));
    (void)snprintf(r->name, sizeof(r->name), "%.*s", STR_ARG(x->name));
    (void)snprintf(r->uid, sizeof(r->uid), "%.*s", STR_ARG(x->uid));
    r->generation = x->generation;
    resize_record_read(&r->record, x->status);
    r->next = op->resizes.first;
    op->resizes.first = r;
    return r;
}

void op_resize_ask(struct op *op, const struct op_caller *caller, const struct op_object *x)
{
    if (caller->everybody || caller->user.n == 0 || !door_of(op)->send || !op->options.who)
        return;
    uint64_t now_ns = op->ticked_ns; /* not yet, where the first call comes before the first tick */
    int64_t now_us;

    if (op->options.clock)
        op->options.clock(&now_ns, &now_us);
    struct op_resize *const r = add(op, x);
    struct op_caller *const copy = r ? who_copy(caller) : NULL;
    if (!copy || !str_is(x->uid, r->uid) || r->step != STEP_IDLE) {
        free(copy); /* that one is under way */
        return;
    }
    resizing_forget_caller(r);
    r->caller = copy;
    r->generation = x->generation;
    r->asked_ns = now_ns;
    r->look_ns = now_ns; /* behind those who wait already */
    r->looked = false;
}

bool op_resize_is_asked(const struct op *op, const struct op_object *x)
{
    const struct op_resize *const r = resizing_find(op, x->ns, x->name);

    return r && r->caller && r->generation == x->generation && str_is(x->uid, r->uid);
}

const struct resize_record *op_resize_record(const struct op *op, const struct op_object *x)
{
    const struct op_resize *const r = resizing_find(op, x->ns, x->name);

    return r && str_is(x->uid, r->uid) ? &r->record : NULL;
}

void op_resize_adopt(struct op *op, const struct op_object *x, const struct resize_record *record)
{
    struct op_resize *const r =
        resize_is_open(record->outcome) && record->pod[0] && door_of(op)->send ? add(op, x) : NULL;

    if (r && r->step == STEP_IDLE && !r->unsaved)
        r->record = *record;
}

/* --- what was done --- */

static uint64_t hash(const struct op *op, struct str s)
{
    return siphash13(op->options.hash_key, s) | 1;
}

static uint64_t id_of(const struct op *op, struct str uid, int64_t intended_us)
{
    return hash(op, uid) ^ (uint64_t)intended_us;
}

void resizing_note(struct op *op, const struct op_resize *r)
{
    struct op_resizes *const all = &op->resizes;

    all->log[all->next].ns = hash(op, str_of(r->ns));
    all->log[all->next].id = id_of(op, str_of(r->uid), r->record.intended_us);
    all->log[all->next].at_us = r->record.intended_us;
    all->next = (all->next + 1) % RESIZE_LOG;
}

/* NULL: it is not known here. */
int64_t *resizing_noted(struct op *op, struct str uid, int64_t intended_us)
{
    for (int i = 0; i < RESIZE_LOG; i++) {
        if (op->resizes.log[i].at_us && op->resizes.log[i].id == id_of(op, uid, intended_us))
            return &op->resizes.log[i].at_us;
    }
    return NULL;
}

/* One that an object tells of, unless it was begun here. */
static void count_act(struct op *op, const struct op_resize *r, struct resize_facts *f,
                      const struct op_object *x, int64_t at_us, int64_t since_us)
{
    if (at_us <= since_us || resizing_noted(op, x->uid, at_us))
        return;
    f->in_hour++;
    f->in_namespace += str_is(x->ns, r->ns);
}

/* Acts of the last hour: those that were begun here, and those that objects tell of. */
static void count_acts(struct op *op, const struct op_resize *r, const char *pod_uid,
                       struct resize_facts *f, int64_t now_us)
{
    const int64_t since_us = now_us - INT64_C(1000000) * HOUR_S;
    const uint64_t ns = hash(op, str_of(r->ns));

    f->in_hour = f->in_namespace = 0;
    for (int i = 0; i < RESIZE_LOG; i++) {
        if (op->resizes.log[i].at_us <= since_us)
            continue;
        f->in_hour++;
        f->in_namespace += op->resizes.log[i].ns == ns;
    }
    for (uint32_t i = 0; i < op->objects.n[OP_ADJUSTMENT]; i++) {
        const struct op_object *const x = op->objects.at[OP_ADJUSTMENT][i];
        struct resize_record a;

        resize_record_read(&a, x->status);
        count_act(op, r, f, x, resize_counts(&a) ? a.intended_us : 0, since_us);
        for (uint32_t k = 0; k < a.n_earlier; k++)
            count_act(op, r, f, x, a.earlier_us[k], since_us);
        f->settles = f->settles || (resize_is_open(a.outcome) && !str_is(x->uid, r->uid) &&
                                    strcmp(a.uid, pod_uid) == 0);
    }
}

/* --- may it be done? --- */

static bool is_one_way(int64_t from, int64_t to)
{
    return from == FIELD_NONE && to != FIELD_NONE;
}

static void read_plan(struct resize_facts *f, const struct adjust_answer *a)
{
    const struct adjust_resize *const z = &a->resize;

    f->in_place = a->path == ADJUST_IN_PLACE && z->alone;
    f->opted_out = z->opted_out;
    f->restarts = z->restarts;
    f->reversible = !is_one_way(z->from.cpu, z->to.cpu) &&
                    !is_one_way(z->from.memory, z->to.memory) &&
                    !is_one_way(z->from.cpu_limit, z->to.cpu_limit) &&
                    !is_one_way(z->from.memory_limit, z->to.memory_limit);
}

/* What costs nothing to know; the rest as if nothing were against it. */
static struct resize_facts facts_of(const struct op *op, struct str ns)
{
    const struct policy_adjustment rules = resizing_rules(op, ns);

    return (struct resize_facts){.on = atomic_load(&op->acting),
                                 .enforced = rules.mode == POLICY_ENFORCE,
                                 .wanted = true,
                                 .in_place = true,
                                 .reversible = true,
                                 .reachable = door_of(op)->send && op->options.who,
                                 .elected = op->options.leads != NULL,
                                 .asked = true,
                                 .may = true,
                                 .leads = leads(op),
                                 .same_epoch = true,
                                 .read = true,
                                 .closed = true,
                                 .most_in_namespace = (uint32_t)rules.per_namespace_per_hour,
                                 .same_size = true,
                                 .fits = true};
}

struct adjust_held op_resize_held(const struct op *op, struct str ns, bool dry_run,
                                  const struct adjust_answer *a, bool asked)
{
    struct resize_facts f = facts_of(op, ns);

    if (a->outcome == ADJUST_INFEASIBLE || a->path == ADJUST_NONE || !a->action[0])
        return (struct adjust_held){NULL, ""};
    f.wanted = !dry_run;
    f.asked = asked;
    if (a->path != ADJUST_IN_PLACE || a->resize.container[0])
        read_plan(&f, a);
    const enum resize_hold hold = resize_look(&f);
    return (struct adjust_held){resize_hold_reasons[hold],
                                hold == RESIZE_OFF ? "" : resize_hold_words[hold]};
}

/* The guards of anything that is sent, of what has been begun too. */
struct resize_facts resizing_moment(struct op *op, const struct op_resize *r, uint64_t now_ns)
{
    struct resize_facts f = facts_of(op, str_of(r->ns));

    f.same_epoch = r->step == STEP_IDLE || r->step == STEP_ASKING || r->step == STEP_WATCHING ||
                   resizing_epoch(op) == r->record.epoch;
    f.read = op->listed[OP_ADJUSTMENT] && cluster_is_synced(op->options.cluster);
    f.age_ns = door_of(op)->age_ns ? door_of(op)->age_ns(door_of(op)->ctx) : 0;
    f.closed = !act_breaker_is_open(&op->acts.breaker, now_ns);
    f.busy = op->acts.busy && op->acts.busy != r->attempt;
    return f;
}

/* What would be done for the object as it is, judged anew. False: nothing. */
static bool judge(const struct op *op, const struct op_object *x, struct adjust_answer *out,
                  bool *dry_run, int64_t now_us)
{
    void *const room = malloc(ROOM); /* of which little is touched */
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    struct kube_adjustment wanted;
    struct adjust_told told;
    struct arena a;
    struct err err;
    int rc = -ENOMEM;

    if (room) {
        arena_init(&a, room, ROOM);
        rc = kube_adjustment_decode(&wanted, x->json, false, &a, &err);
    }
    if (rc == 0) {
        adjust_status_read(&told, x->status, &a);
        *dry_run = wanted.dry_run;
        if (told.observed < x->generation || told.answer.outcome != ADJUST_FEASIBLE)
            rc = -ENOENT; /* it is not judged, or has led to something */
    }
    if (rc == 0 && told.answer.taken) {
        wanted.cpu_shares = told.answer.cpu_shares;
        wanted.memory_mb = told.answer.memory_mb;
        wanted.gpu_slots = told.answer.gpu_slots;
        wanted.lock_limit = told.answer.lock_limit;
    }
    wanted.negotiate = false;
    if (rc == 0)
        rc = adjust_judge(out, s, x->ns, &wanted, now_us, &a);
    free(room);
    cluster_snapshot_unref(s);
    return rc == 0;
}

/* Before the intention (with `out`), and again before the call. */
enum resize_hold resizing_consider(struct op *op, struct op_resize *r, const struct op_object *x,
                                   struct adjust_answer *out, uint64_t now_ns, int64_t now_us)
{
    const bool begun = r->step != STEP_IDLE && r->step != STEP_ASKING;
    struct resize_facts f = resizing_moment(op, r, now_ns);
    const bool same = r->record.generation == r->generation;

    r->why = NULL;
    f.asked = r->caller && x && x->generation == r->generation &&
              now_ns - r->asked_ns < RESIZE_ASKED_S * 1000 * MS;
    if (!begun) {
        f.ended = same && r->record.outcome != RESIZE_REVERTED &&
                  (resize_counts(&r->record) || r->record.outcome == RESIZE_GONE);
        f.attempts = same ? (uint32_t)r->record.attempts : 0;
        f.waits = same && r->record.retry_us > now_us;
        f.busy = op->acts.busy ||
                 (op->resizes.ended_ns && now_ns - op->resizes.ended_ns < ACT_GAP_MS * MS);
    }
    enum resize_hold hold = resize_look(&f);
    if (hold != RESIZE_GO)
        return hold;
    bool dry_run = false;
    if (!judge(op, x, out, &dry_run, now_us))
        return RESIZE_UNREAD;
    f.wanted = !dry_run;
    f.fits = out->outcome == ADJUST_FEASIBLE;
    r->why = f.fits ? NULL : out->reason;
    if (f.fits) {
        read_plan(&f, out);
        f.same_size = !begun || (strcmp(out->resize.uid, r->record.uid) == 0 &&
                                 strcmp(out->resize.container, r->record.container) == 0 &&
                                 resize_is(&out->resize.from, &r->record.from) &&
                                 resize_is(&out->resize.to, &r->record.to));
    }
    if (!begun)
        count_acts(op, r, out->resize.uid, &f, now_us);
    return resize_look(&f);
}
