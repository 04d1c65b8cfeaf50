/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/resizing_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "kube/api.h"
#include "operator/adjust_status.h"

#define MS UINT64_C(1000000)

/* --- storing --- */

struct saving {
    struct op *op;
    char ns[64], name[254];
    uint64_t serial;
};

static void on_saved(void *ctx, int rc, struct str json, const struct err *err)
{
    struct saving *const v = ctx;
    struct op *const op = v->op;
    struct op_resize *const r = resizing_find(op, str_of(v->ns), str_of(v->name));
    struct op_object *x;
    struct err why;

    if (rc == 0)
        rc =
            op_objects_put(&op->objects, OP_ADJUSTMENT, str_of(v->ns), str_of(v->name), json, &why);
    else
        log_line(LOG_LEVEL_WARN, "operator",
                 "the status of ResourceAdjustment %s/%s is not stored: %s", v->ns, v->name,
                 err->text);
    x = op_objects_find(&op->objects, OP_ADJUSTMENT, str_of(v->ns), str_of(v->name));
    if (rc && x) {
        x->writing = false;
        x->retry_ns = op->ticked_ns + RESIZE_LOOK_MS * MS;
    }
    if (r && r->serial == v->serial) {
        r->unsaved = r->unsaved && rc != 0;
        if (r->step == STEP_RECORDING)
            resizing_stored(op, r, x, rc);
    }
    free(v);
}

/* What was judged stays, but where the outcome says something else by now. */
static void restate(struct adjust_answer *a, const struct resize_record *r)
{
    if (r->outcome == RESIZE_APPLIED) {
        a->outcome = ADJUST_APPLIED;
        a->reason = "Resized";
        (void)snprintf(a->message, sizeof(a->message), "the pod has it");
    } else if (r->outcome == RESIZE_REVERTED) {
        a->outcome = ADJUST_INFEASIBLE;
        a->reason = r->reason;
        (void)snprintf(a->message, sizeof(a->message),
                       "the kubelet has not taken it, and the pod "
                       "has its former size: %s",
                       r->message);
    }
}

static struct adjust_held held_of(const struct op_resize *r)
{
    if (!r->looked || r->hold == RESIZE_GO || r->hold == RESIZE_ENDED)
        return (struct adjust_held){NULL, ""};
    return (struct adjust_held){r->why ? r->why : resize_hold_reasons[r->hold],
                                resize_hold_words[r->hold]};
}

void resizing_save(struct op *op, struct op_resize *r, struct op_object *x, uint64_t now_ns,
                   int64_t now_us)
{
    struct writer_object o = op_object_like(OP_ADJUSTMENT, x->ns, x->name, x);
    struct saving *const v = calloc(1, sizeof(*v));
    void *const room = malloc(x->status.n * 2 + ASK_ROOM);
    const struct adjust_held held = held_of(r);
    struct adjust_told told;
    struct buf status = {0};
    struct arena a;

    if (v && room) {
        arena_init(&a, room, x->status.n * 2 + ASK_ROOM);
        adjust_status_read(&told, x->status, &a);
        restate(&told.answer, &r->record);
        adjust_status_put(&status, &told.answer, &held, &r->record, told.observed, now_us);
    }
    if (!v || !room || status.failed || told.observed < 0) {
        x->retry_ns = now_ns + RESIZE_LOOK_MS * MS;
        free(v);
    } else {
        *v = (struct saving){.op = op, .serial = r->serial};
        (void)snprintf(v->ns, sizeof(v->ns), "%s", r->ns);
        (void)snprintf(v->name, sizeof(v->name), "%s", r->name);
        x->writing = true;
        o.status = buf_view(&status);
        op->options.writer.put(op->options.writer.ctx, &o, on_saved, v);
    }
    buf_free(&status);
    free(room);
}

/* --- questions --- */

void resizing_drop(struct resize_flight *f)
{
    struct resize_flight **at = &f->of->flights;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f);
}

static struct resize_flight *flight(struct op *op, const struct op_resize *r)
{
    struct resize_flight *const f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->op = op;
    f->of = &op->resizes;
    f->next = op->resizes.flights;
    op->resizes.flights = f;
    f->attempt = r->attempt;
    f->step = r->step;
    (void)snprintf(f->ns, sizeof(f->ns), "%s", r->ns);
    (void)snprintf(f->name, sizeof(f->name), "%s", r->name);
    return f;
}

/* The one whom the answer is for, and what time it is; NULL: nobody waits for it. */
static struct op_resize *waiting(const struct resize_flight *f, uint64_t *now_ns, int64_t *now_us)
{
    struct op *const op = f->op;
    struct op_resize *const r = op ? resizing_find(op, str_of(f->ns), str_of(f->name)) : NULL;

    if (!r || r->attempt != f->attempt || r->step != f->step || !r->out) {
        log_line(LOG_LEVEL_WARN, "operator",
                 "audit: ResourceAdjustment %s/%s: an answer came that nobody waits for", f->ns,
                 f->name);
        return NULL;
    }
    *now_ns = op->ticked_ns;
    *now_us = op->ticked_us;
    if (op->options.clock)
        op->options.clock(now_ns, now_us);
    r->out = false;
    return r;
}

static void on_answer(void *ctx, const struct kube_answer *a)
{
    struct resize_flight *const f = ctx;
    struct op *const op = f->op;
    uint64_t now_ns;
    int64_t now_us;
    struct op_resize *const r = waiting(f, &now_ns, &now_us);

    resizing_drop(f);
    if (r)
        resizing_answered(op, r, a, now_ns, now_us);
}

/* A GET of the pod, or with a version the patch of exactly that one. */
bool resizing_send(struct op *op, struct op_resize *r, const char *version, struct err *err)
{
    const struct resize_record *const a = &r->record;
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf body = {0};
    struct resize_flight *const f = flight(op, r);

    buf_printf(&path, "/api/v1/namespaces/%s/pods/%s%s", r->ns, a->pod, version ? "/resize" : "");
    buf_add(&path, "", 1);
    if (version)
        resize_patch(&body, a, a->outcome == RESIZE_REVERTING ? &a->from : &a->to, version);
    if (!f || path.failed || body.failed) {
        if (f)
            resizing_drop(f);
        (void)err_set(err, -ENOMEM, "no memory");
        return false;
    }
    const struct kube_request request = {.method = version ? KUBE_PATCH : KUBE_GET,
                                         .path = path.p,
                                         .body = buf_view(&body),
                                         .content_type = version ? KUBE_STRATEGIC_PATCH : NULL,
                                         .timeout_ms = version ? ACT_CALL_MS : ACT_GET_MS,
                                         .done = on_answer,
                                         .ctx = f};
    r->out = true;
    if (op->options.act.send(op->options.act.ctx, &request, NULL, err)) {
        r->out = false;
        resizing_drop(f);
        return false;
    }
    return true;
}

static void on_word(void *ctx, enum who_verdict verdict)
{
    struct resize_flight *const f = ctx;
    struct op *const op = f->op;
    uint64_t now_ns;
    int64_t now_us;
    struct op_resize *const r = waiting(f, &now_ns, &now_us);

    resizing_drop(f);
    if (r)
        resizing_permitted(op, r, verdict, now_ns, now_us);
}

bool resizing_ask_who(struct op *op, struct op_resize *r, const char *pod)
{
    static const unsigned char ourselves[HTTP_PEER_BYTES];
    const struct kube_attributes wish = {"patch", "", "pods/resize", str_of(r->ns), str_of(pod)};
    struct resize_flight *const f = flight(op, r);
    struct arena a;

    if (!f)
        return false;
    arena_init(&a, f->room, sizeof(f->room));
    const struct who_asker asker = {ourselves, &a, on_word, f};
    r->out = true;
    who_access(op->options.who, &asker, r->caller, &wish);
    return true;
}
