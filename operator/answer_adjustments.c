/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AdjustResources: what is asked is a ResourceAdjustment, what comes of it is its status. An object
 * that somebody applies is judged as well; who calls asks for it to be carried out, too
 * (resizing.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "operator/adjust.h"
#include "operator/adjust_status.h"
#include "operator/parts.h"
#include "operator/who.h"

enum { ROOM = 4 << 20 };
static const uint64_t again_ns = UINT64_C(5) * 1000000000;

struct op_making {
    struct op_making *next;
    const char *ns, *name;
};

/* A write of the object or its status that is out. */
struct pending {
    struct op *op;
    struct op_call *c;        /* NULL: nobody waits for it */
    struct op_caller *caller; /* who asks for what is stored; NULL: nobody */
    char ns[64], name[254];
    struct op_making making; /* in the operator's list while `c` makes a new one */
};

/* --- judging --- */

static int judge(struct op *op, struct adjust_answer *out, struct str ns,
                 const struct kube_adjustment *wanted, int64_t now_us)
{
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    void *const room = malloc(ROOM); /* of which little is touched */
    struct arena a;
    int rc = -ENOMEM;

    if (room) {
        arena_init(&a, room, ROOM);
        rc = adjust_judge(out, s, ns, wanted, now_us, &a);
    }
    free(room);
    cluster_snapshot_unref(s);
    if (rc == 0)
        atomic_fetch_add(&op->stats.adjustments[out->outcome], 1);
    return rc;
}

/* --- storing --- */

/* Somebody whom the API server has named. */
static bool asks(const struct op_call *c)
{
    return !c->caller.everybody && c->caller.user.n > 0;
}

static struct pending *pending_new(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct pending *const p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->op = op;
    p->c = c;
    if (c && asks(c))
        p->caller = who_copy(&c->caller); /* without memory nothing is asked for */
    (void)snprintf(p->ns, sizeof(p->ns), "%.*s", STR_ARG(ns));
    (void)snprintf(p->name, sizeof(p->name), "%.*s", STR_ARG(name));
    return p;
}

/* Its status comes behind it, as the answer to the call that makes it. */
static bool is_made_now(const struct op *op, const struct op_object *x)
{
    const struct op_making *m = op->making;

    while (m && !(str_is(x->ns, m->ns) && str_is(x->name, m->name)))
        m = m->next;
    return m;
}

static void make(struct pending *p)
{
    p->making = (struct op_making){p->op->making, p->ns, p->name};
    p->op->making = &p->making;
}

static void is_made(struct pending *p)
{
    for (struct op_making **at = &p->op->making; *at; at = &(*at)->next) {
        if (*at == &p->making) {
            *at = p->making.next;
            return;
        }
    }
}

static void pending_free(struct pending *p)
{
    if (p)
        free(p->caller);
    free(p);
}

static struct op_object *find(const struct pending *p)
{
    return op_objects_find(&p->op->objects, OP_ADJUSTMENT, str_of(p->ns), str_of(p->name));
}

static void send_object(struct op_call *c, const struct op_object *x, int status)
{
    buf_str(&c->out, x->json);
    buf_text(&c->out, "\n");
    op_done(c, status);
}

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct pending *const p = ctx;
    struct err why = {0};

    is_made(p);
    if (rc == 0)
        rc = op_objects_put(&p->op->objects, OP_ADJUSTMENT, str_of(p->ns), str_of(p->name), json,
                            &why);
    else
        why = *err;
    struct op_object *const x = find(p);
    if (rc && x) {
        x->writing = false;
        x->retry_ns = p->op->ticked_ns + again_ns;
    }
    if (rc && !p->c)
        log_line(LOG_LEVEL_ERROR, "operator", "ResourceAdjustment %s/%s is not stored: %s", p->ns,
                 p->name, why.text);
    else if (rc)
        op_fail(p->c, op_writer_status(rc), "%s", why.text);
    else if (p->c)
        send_object(p->c, x, 202);
    if (rc == 0 && p->caller)
        op_resize_ask(p->op, p->caller, x);
    pending_free(p);
}

/* The object with its status in memory alone: its file is somebody's own. */
static int keep_status(struct op *op, const struct op_object *x, struct str status)
{
    struct buf text = {0};
    struct err err = {0};
    struct emit e;
    int rc;

    emit_init(&e, &text, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, op_kind_names[OP_ADJUSTMENT].api_version);
    emit_key(&e, "kind"), emit_words(&e, op_kind_names[OP_ADJUSTMENT].kind);
    emit_key(&e, "metadata"), emit_raw(&e, x->metadata.n ? x->metadata : STR("{}"));
    emit_key(&e, "spec"), emit_raw(&e, x->spec.n ? x->spec : STR("{}"));
    emit_key(&e, "status"), emit_raw(&e, status);
    emit_end(&e);
    rc = text.failed
             ? -ENOMEM
             : op_objects_put(&op->objects, OP_ADJUSTMENT, x->ns, x->name, buf_view(&text), &err);
    buf_free(&text);
    return rc;
}

/* What was done for it so far. */
static const struct resize_record *act_of(const struct op *op, const struct op_object *x,
                                          struct resize_record *room)
{
    const struct resize_record *const known = x ? op_resize_record(op, x) : NULL;

    resize_record_read(room, x ? x->status : (struct str){0});
    return known ? known : room;
}

/* `x` may be another object, of the same name, when this returns. */
static void record(struct op *op, struct op_object *x, const struct adjust_answer *a, bool dry_run,
                   int64_t now_us)
{
    const struct adjust_held held =
        op_resize_held(op, x->ns, dry_run, a, op_resize_is_asked(op, x));
    struct resize_record stored;
    const bool own = op->options.writer.status_apart || x->made_here;
    struct pending *const p = own ? pending_new(op, NULL, x->ns, x->name) : NULL;
    struct writer_object o = op_object_like(OP_ADJUSTMENT, x->ns, x->name, x);
    struct buf status = {0};

    adjust_status_put(&status, a, &held, act_of(op, x, &stored), x->generation, now_us);
    if (status.failed || (own && !p)) {
        log_line(LOG_LEVEL_ERROR, "operator", "no memory for a ResourceAdjustment");
        x->retry_ns = op->ticked_ns + again_ns;
        pending_free(p);
    } else if (!own) {
        if (keep_status(op, x, buf_view(&status)))
            x->retry_ns = op->ticked_ns + again_ns;
    } else {
        x->writing = true;
        o.status = buf_view(&status);
        op->options.writer.put(op->options.writer.ctx, &o, on_stored, p);
    }
    buf_free(&status);
}

/* --- by itself --- */

static int decode(struct kube_adjustment *out, const struct op_object *x, struct arena *a)
{
    struct err err;

    return kube_adjustment_decode(out, x->json, false, a, &err);
}

/* Why nothing is done may be something else by now. */
static void look_at_hold(struct op *op, struct op_object *x, const struct adjust_told *told,
                         int64_t now_us, struct arena *a)
{
    static const char *const passing[] = {"", "DryRun", "NotAskedFor", "NoApiServer", "NoLease"};
    struct kube_adjustment wanted;
    bool passes = false;

    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        passes = passes || strcmp(told->held, passing[i]) == 0;
    if (!passes || told->answer.outcome != ADJUST_FEASIBLE || !told->answer.action[0] ||
        told->act.outcome != RESIZE_NOTHING || op_resize_record(op, x) || decode(&wanted, x, a))
        return;
    const struct adjust_held held = op_resize_held(op, x->ns, wanted.dry_run, &told->answer, false);
    if (strcmp(held.reason ? held.reason : "", told->held) != 0)
        record(op, x, &told->answer, wanted.dry_run, now_us);
}

static void look_at(struct op *op, struct op_object *x, int64_t now_us, struct arena *a)
{
    struct kube_adjustment wanted;
    struct adjust_answer answer;
    struct adjust_told told;

    adjust_status_read(&told, x->status, a);
    if (told.observed >= x->generation) {
        x->adjusted = told.answer.outcome == ADJUST_OFFERED ? OP_OFFERED : OP_SETTLED;
        op_resize_adopt(op, x, &told.act);
        look_at_hold(op, x, &told, now_us, a);
        return;
    }
    const int rc = decode(&wanted, x, a);
    if (rc == 0 && judge(op, &answer, x->ns, &wanted, now_us) == 0)
        record(op, x, &answer, wanted.dry_run, now_us);
    else
        x->adjusted = rc == -EINVAL ? OP_SETTLED : OP_NOT_LOOKED_AT;
}

static void withdraw(struct op *op, struct op_object *x, const struct adjust_told *told,
                     const char *reason, const char *message, int64_t now_us)
{
    struct adjust_answer a = {.outcome = ADJUST_WITHDRAWN, .path = ADJUST_NONE, .reason = reason};

    (void)snprintf(a.message, sizeof(a.message), "%s", message);
    (void)snprintf(a.node, sizeof(a.node), "%s", told->answer.node);
    atomic_fetch_add(&op->stats.adjustments[ADJUST_WITHDRAWN], 1);
    record(op, x, &a, false, now_us);
}

static void look_at_offer(struct op *op, struct op_object *x, struct cluster_snapshot *s,
                          int64_t now_us, struct arena *a)
{
    const bool changed = cluster_snapshot_generation(s) != op->offers_as_of;
    struct kube_adjustment wanted;
    struct adjust_told told;
    bool holds = true;

    adjust_status_read(&told, x->status, a);
    if (now_us > told.until_us) {
        withdraw(op, x, &told, "Expired", "nobody took the offer while it stood", now_us);
        return;
    }
    if (!changed || decode(&wanted, x, a) ||
        adjust_still_holds(&holds, s, x->ns, &wanted, &told.answer, now_us, a) || holds)
        return;
    withdraw(op, x, &told, "NodeChanged", "what was offered is no longer there", now_us);
}

/* What keeps things from being done has changed. */
static void look_anew(struct op *op)
{
    const bool on = atomic_load(&op->acting);

    if (on != op->resizes.was_on)
        op->resizes.looks = 1;
    op->resizes.was_on = on;
    if (op->resizes.looks == 0)
        return;
    op->resizes.looks--;
    for (uint32_t i = 0; i < op->objects.n[OP_ADJUSTMENT]; i++) {
        struct op_object *const x = op->objects.at[OP_ADJUSTMENT][i];

        if (x->adjusted == OP_SETTLED)
            x->adjusted = OP_NOT_LOOKED_AT;
    }
}

void op_adjustments_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    struct cluster_snapshot *s;
    struct arena a;
    void *room;

    if (op->objects.n[OP_ADJUSTMENT] == 0 || !(room = malloc(ROOM)))
        return;
    look_anew(op);
    s = cluster_get(op->options.cluster);
    arena_init(&a, room, ROOM);
    for (uint32_t i = 0; i < op->objects.n[OP_ADJUSTMENT]; i++) {
        struct op_object *const x = op->objects.at[OP_ADJUSTMENT][i];
        const size_t mark = arena_mark(&a);

        if (x->writing || now_ns < x->retry_ns || is_made_now(op, x))
            continue;
        if (x->adjusted == OP_NOT_LOOKED_AT)
            look_at(op, x, now_us, &a);
        else if (x->adjusted == OP_OFFERED)
            look_at_offer(op, x, s, now_us, &a);
        arena_rewind(&a, mark);
    }
    op->offers_as_of = cluster_snapshot_generation(s);
    cluster_snapshot_unref(s);
    free(room);
}

/* --- calls --- */

/* The same words again are the same object: its name is theirs. */
static struct str name_of(struct op_call *c, const struct op_sent *sent, struct str ns)
{
    static const uint64_t key[2] = {0x6e756d6177697365, 0x61646a7573746d65};
    const uint64_t with_ns[2] = {key[0] ^ siphash13(key, ns), key[1]};
    char text[32];

    if (sent->name.n)
        return sent->name;
    const int n = snprintf(text, sizeof(text), "adjust-%016llx",
                           (unsigned long long)siphash13(with_ns, sent->spec));
    const char *const p = arena_copy(c->arena, text, (size_t)n);
    return p ? (struct str){p, (size_t)n} : (struct str){0};
}

/* What would be stored, with what would come of it. */
static void send_dry_run(struct op_call *c, struct str ns, struct str name, struct str spec,
                         struct str status)
{
    struct emit e;

    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, op_kind_names[OP_ADJUSTMENT].api_version);
    emit_key(&e, "kind"), emit_words(&e, op_kind_names[OP_ADJUSTMENT].kind);
    emit_key(&e, "metadata");
    emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, name);
    emit_key(&e, "namespace"), emit_text(&e, ns);
    emit_end(&e);
    emit_key(&e, "spec"), emit_raw(&e, spec);
    emit_key(&e, "status"), emit_raw(&e, status);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 202);
}

static void store(struct op *op, struct op_call *c, struct op_object *old, struct str ns,
                  struct str name, struct str spec, struct str status)
{
    struct writer_object o = op_object_like(OP_ADJUSTMENT, ns, name, old);
    struct pending *const p = pending_new(op, c, ns, name);

    if (!p) {
        op_fail(c, 503, "no memory");
        return;
    }
    if (old) {
        old->writing = true;
    } else {
        make(p);
        o.spec = spec;
    }
    o.status = status;
    op->options.writer.put(op->options.writer.ctx, &o, on_stored, p);
}

/* An answer that stands, or that only the object's owner may write. */
static bool stands(const struct op *op, const struct op_object *old, struct arena *a)
{
    struct adjust_told told;

    adjust_status_read(&told, old->status, a);
    return old->writing || !(op->options.writer.status_apart || old->made_here) ||
           (told.observed >= old->generation && told.answer.outcome != ADJUST_WITHDRAWN &&
            told.answer.outcome != ADJUST_INFEASIBLE);
}

static bool check_target(struct op_call *c, const struct adjust_answer *a)
{
    if (!a->field)
        return true;
    op_fail_field(c,
                  strcmp(a->reason, "TargetNotFound") == 0  ? 404
                  : strcmp(a->reason, "TargetChanged") == 0 ? 409
                                                            : 422,
                  a->field, "%s", a->message);
    return false;
}

/* Is the object of this name another one? An API server may have written defaults into it. */
static bool check_old(struct op *op, struct op_call *c, const struct op_object *old,
                      const struct kube_adjustment *wanted)
{
    struct kube_adjustment was;
    const int rc = old ? decode(&was, old, c->arena) : 0;

    if (!old && op->objects.n[OP_ADJUSTMENT] >= LIMIT_OPERATOR_OBJECTS)
        op_fail(c, 429, "there are %d resourceadjustments already", LIMIT_OPERATOR_OBJECTS);
    else if (rc == -ENOMEM)
        op_fail(c, 503, "no memory");
    else if (old && (rc || !kube_adjustment_same(&was, wanted)))
        op_fail_field(c, 409, "metadata.name",
                      "there is another one of this name, which asks for "
                      "something else");
    return c->status == 0;
}

static int read_call(struct op_call *c, struct op_sent *sent, struct kube_adjustment *wanted,
                     struct err *err)
{
    struct str json;
    int rc = op_read_sent(sent, c->body, c->arena, err);

    if (rc == 0)
        rc = op_wrap_spec(&json, sent->spec, c->arena, err);
    return rc ? rc : kube_adjustment_decode(wanted, json, true, c->arena, err);
}

static bool check_identity(struct op_call *c, const struct op_sent *sent, struct str ns)
{
    if (sent->ns.n && !str_eq(sent->ns, ns))
        op_fail_field(c, 422, "metadata.namespace", "is not that of the path");
    else if (sent->name.n && !fields_is_subdomain(sent->name))
        op_fail_field(c, 422, "metadata.name", "not a name of an object");
    return c->status == 0;
}

void op_adjust_post(struct op *op, struct op_call *c, struct str ns, struct str unused)
{
    struct kube_adjustment wanted;
    struct adjust_answer answer;
    struct resize_record stored;
    struct op_sent sent = {0};
    struct buf status = {0};
    struct err err = {0};
    const int rc = read_call(c, &sent, &wanted, &err);

    (void)unused;
    if (rc) {
        op_fail_decode(c, rc, &err);
        return;
    }
    if (!op_within_rate(op, c, ns, wanted.target_name, STR("adjustment")) ||
        !check_identity(c, &sent, ns))
        return;
    const struct str name = name_of(c, &sent, ns);
    struct op_object *const old = op_objects_find(&op->objects, OP_ADJUSTMENT, ns, name);
    if (!wanted.dry_run && !check_old(op, c, old, &wanted))
        return;
    if (!wanted.dry_run && old && stands(op, old, c->arena)) {
        op_resize_ask(op, &c->caller, old);
        send_object(c, old, 202);
        return;
    }
    if (name.n == 0 || judge(op, &answer, ns, &wanted, c->now_us)) {
        op_fail(c, 503, "no memory");
        return;
    }
    if (!check_target(c, &answer))
        return;
    const struct adjust_held held = op_resize_held(op, ns, wanted.dry_run, &answer, asks(c));
    adjust_status_put(&status, &answer, &held, act_of(op, old, &stored), old ? old->generation : 1,
                      c->now_us);
    if (status.failed)
        op_fail(c, 503, "no memory");
    else if (wanted.dry_run)
        send_dry_run(c, ns, name, sent.spec, buf_view(&status));
    else
        store(op, c, old, ns, name, sent.spec, buf_view(&status));
    buf_free(&status);
}

/* NULL: answered. */
static struct op_object *need(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct op_object *const x = op_objects_find(&op->objects, OP_ADJUSTMENT, ns, name);

    if (!x)
        op_fail(c, 404, "resourceadjustments \"%.*s\" not found", STR_ARG(name));
    return x;
}

void op_adjust_get(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct op_object *const x = need(op, c, ns, name);

    if (x)
        send_object(c, x, 200);
}

/* --- taking an offer --- */

/* Why there is none to take; NULL: there is. */
static const char *why_none(const struct op_object *x, const struct adjust_told *told,
                            int64_t now_us)
{
    if (told->observed < x->generation)
        return "it is not judged yet as it is now";
    if (told->answer.outcome != ADJUST_OFFERED)
        return "nothing is offered";
    return now_us > told->until_us ? "the offer has run out" : NULL;
}

static int still_holds(bool *out, const struct op *op, const struct op_object *x,
                       const struct adjust_told *told, int64_t now_us)
{
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    void *const room = malloc(ROOM);
    struct kube_adjustment wanted;
    struct arena a;
    int rc = -ENOMEM;

    if (room) {
        arena_init(&a, room, ROOM);
        rc = decode(&wanted, x, &a);
    }
    if (rc == 0)
        rc = adjust_still_holds(out, s, x->ns, &wanted, &told->answer, now_us, &a);
    free(room);
    cluster_snapshot_unref(s);
    return rc;
}

/* From now on it is what was asked for, and no longer withdrawn. */
static void take_offer(struct op *op, struct op_call *c, struct str ns, struct str name,
                       const struct adjust_told *told)
{
    struct op_object *const x = op_objects_find(&op->objects, OP_ADJUSTMENT, ns, name);
    const bool own = op->options.writer.status_apart || x->made_here;
    struct adjust_answer a = told->answer;
    struct resize_record stored;
    struct buf status = {0};

    a.outcome = ADJUST_FEASIBLE;
    a.reason = "OfferAccepted";
    a.taken = true;
    (void)snprintf(a.message, sizeof(a.message), "what was offered is taken");
    const struct adjust_held held = op_resize_held(op, ns, false, &a, asks(c));
    adjust_status_put(&status, &a, &held, act_of(op, x, &stored), x->generation, c->now_us);
    if (status.failed) {
        op_fail(c, 503, "no memory");
    } else if (own) {
        store(op, c, x, ns, name, (struct str){0}, buf_view(&status));
    } else if (keep_status(op, x, buf_view(&status))) {
        op_fail(c, 503, "no memory");
    } else {
        send_object(c, op_objects_find(&op->objects, OP_ADJUSTMENT, ns, name), 202);
    }
    if (!status.failed)
        atomic_fetch_add(&op->stats.adjustments[ADJUST_FEASIBLE], 1);
    buf_free(&status);
}

void op_adjust_accept(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct op_object *const x = need(op, c, ns, name);
    struct adjust_told told;
    bool holds = false;

    if (!x || !op_within_rate(op, c, ns, name, STR("adjustment")))
        return;
    adjust_status_read(&told, x->status, c->arena);
    if (told.observed >= x->generation && told.answer.outcome == ADJUST_FEASIBLE) {
        op_resize_ask(op, &c->caller, x); /* it has been taken, or needs not be */
        send_object(c, x, 202);
        return;
    }
    const char *const why = x->writing ? "it is just being judged" : why_none(x, &told, c->now_us);
    if (why)
        op_fail(c, 409, "there is no offer to take: %s", why);
    else if (still_holds(&holds, op, x, &told, c->now_us))
        op_fail(c, 503, "no memory");
    else if (!holds)
        op_fail(c, 409, "there is no offer to take: what was offered is no longer there");
    else
        take_offer(op, c, ns, name, &told);
}

static void on_removed(void *ctx, int rc, struct str json, const struct err *err)
{
    struct pending *const p = ctx;

    (void)json;
    if (rc) {
        op_fail(p->c, op_writer_status(rc), "%s", err->text);
    } else {
        op_objects_remove(&p->op->objects, OP_ADJUSTMENT, str_of(p->ns), str_of(p->name));
        op_succeed(p->c);
    }
    pending_free(p);
}

void op_adjust_delete(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct op_object *const x = need(op, c, ns, name);

    if (!x)
        return;
    const struct writer_object o = op_object_like(OP_ADJUSTMENT, ns, name, x);
    struct pending *const p = pending_new(op, c, ns, name);
    if (p)
        op->options.writer.remove(op->options.writer.ctx, &o, on_removed, p);
    else
        op_fail(c, 503, "no memory");
}
