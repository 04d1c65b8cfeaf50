/* SPDX-License-Identifier: Apache-2.0 */
/* Lock reports come in, the hierarchy goes out. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "kube/emit.h"
#include "operator/body.h"
#include "operator/draw/draw.h"
#include "operator/parts.h"

/* --- reports --- */

/* An order of acquisition that was never seen before, and that can end in a deadlock. */
static void warn(const struct op *op, const struct lock_report *r, const struct lock_answer *a)
{
    const struct lock_space *const s = lock_book_find(&op->book, r->ns);
    const struct lock_graph_edge *const e = &s->order.graph.edges[a->inversion];

    log_line(LOG_LEVEL_WARN, "operator",
             "%.*s/%.*s acquired a lock of class %.*s while it held one of %.*s: with what is "
             "known otherwise this is a potential deadlock (%u such edges)",
             STR_ARG(r->ns), STR_ARG(r->pod), STR_ARG(s->order.classes[e->to].name),
             STR_ARG(s->order.classes[e->from].name), a->inversions);
}

static void send_receipt(struct op_call *c, const struct lock_answer *a)
{
    struct emit e;

    emit_init(&e, &c->out, false);
    emit_object(&e);
    emit_key(&e, "resend"), emit_bool(&e, a->receipt == LOCK_GAP);
    if (a->receipt == LOCK_GAP)
        emit_key(&e, "have"), emit_uint(&e, a->have);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 202);
}

static void take_report(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct lock_report *const r = c->state;
    struct lock_answer a;
    struct err err = {0};
    const int rc = lock_book_report(&op->book, r, c->now_ns, &a, &err);

    (void)ns, (void)name;
    if (rc) {
        atomic_fetch_add(&op->stats.reports[3], 1);
        if (rc == -E2BIG)
            op_fail(c, 429, "%s", err.text);
        else
            op_fail_decode(c, rc, &err);
        return;
    }
    atomic_fetch_add(&op->stats.reports[a.receipt], 1);
    atomic_fetch_add(&op->stats.inversions, a.inversions);
    if (a.inversions)
        warn(op, r, &a);
    send_receipt(c, &a);
}

void op_lock_report(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct op_access access = {"create", "concurrency.gokore.io", "lockreports", {0}, {0}};
    struct lock_report *const r = arena_array(c->arena, 1, sizeof(*r));
    struct err err = {0};
    const int rc =
        r ? op_body_report(r, c->body, c->arena, &err) : err_set(&err, -ENOMEM, "no memory");

    (void)ns, (void)name;
    if (rc) {
        atomic_fetch_add(&op->stats.reports[3], 1);
        op_fail_decode(c, rc, &err);
        return;
    }
    if (!op_within_rate(op, c, r->ns, r->pod, r->container))
        return;
    c->state = r;
    c->speaker = r->pod;
    access.ns = r->ns;
    op_permit(op, c, &access, true, take_report);
}

/* --- the hierarchy --- */

static bool read_format(struct op_call *c, enum draw_format *out)
{
    struct str text = STR("json");

    (void)op_query(c, "format", &text);
    *out = draw_format_of(text);
    if (c->status == 0 && *out == DRAW_FORMATS)
        op_fail_field(c, 406, "format", "json, text, dot, mermaid or svg");
    return c->status == 0;
}

static int draw_one(struct op *op, struct op_call *c, struct str ns, enum draw_format format)
{
    struct lock_space *const s = lock_book_find(&op->book, ns);
    struct lock_view *v;
    int rc = s ? lock_view_new(&v, s, c->now_ns) : lock_view_empty(&v, ns);

    if (rc)
        return rc;
    if (c->out.n)
        buf_text(&c->out, "\n");
    rc = draw(&c->out, v, format);
    lock_view_free(v);
    return rc;
}

static int draw_list(struct op *op, struct op_call *c)
{
    struct emit e;

    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "namespaces");
    emit_array(&e);
    for (struct lock_space *s = op->book.spaces; s; s = s->next) {
        struct lock_view *v;

        if (lock_view_new(&v, s, c->now_ns))
            return -ENOMEM;
        draw_json_object(&e, v);
        lock_view_free(v);
    }
    emit_end(&e);
    emit_end(&e);
    buf_text(&c->out, "\n");
    return 0;
}

static int draw_all(struct op *op, struct op_call *c, enum draw_format format)
{
    int rc = 0;

    if (format == DRAW_JSON)
        return draw_list(op, c);
    for (struct lock_space *s = op->book.spaces; rc == 0 && s; s = s->next)
        rc = draw_one(op, c, s->ns, format);
    if (rc == 0 && !op->book.spaces)
        rc = draw_one(op, c, STR("default"), format);
    return rc;
}

/* A drawing is of one namespace. */
static bool need_namespace(struct op *op, struct op_call *c, enum draw_format format)
{
    struct buf names = {0};

    if (format == DRAW_JSON || format == DRAW_TEXT || op->book.n_spaces < 2)
        return false;
    for (const struct lock_space *s = op->book.spaces; s; s = s->next)
        buf_printf(&names, "%s%.*s", names.n ? ", " : "", STR_ARG(s->ns));
    op_fail_field(c, 400, "namespace", "a drawing is of one of %.*s", STR_ARG(buf_view(&names)));
    buf_free(&names);
    return true;
}

void op_hierarchy(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    enum draw_format format;

    (void)name;
    if (!read_format(c, &format) || (ns.n == 0 && need_namespace(op, c, format)))
        return;
    const int rc = ns.n ? draw_one(op, c, ns, format) : draw_all(op, c, format);
    if (rc) {
        op_fail(c, 503, "no memory");
        return;
    }
    c->content_type = draw_types[format];
    op_done(c, 200);
}
