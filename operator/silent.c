/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeadlockReports that say a deadlock lasts, and of which nobody speaks any more: they were told
 * before a restart, by a replica that led before, or by somebody. What lasts is told again by its
 * trackers within moments, and then it is a case (cases.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "operator/cases.h"
#include "operator/parts.h"

/* So long trackers have to come back: as long as reporters that nobody knows are believed. */
static const uint64_t patience_ns = UINT64_C(600) * 1000000000;
static const uint64_t again_ns = UINT64_C(60) * 1000000000;

struct storing {
    struct op *op;
    char ns[64], name[254];
};

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct storing *const s = ctx;
    struct op *const op = s->op;
    struct err why = {0};

    if (rc == 0)
        rc = op_objects_put(&op->objects, OP_DEADLOCK, str_of(s->ns), str_of(s->name), json, &why);
    else
        why = *err;
    struct op_object *const x =
        op_objects_find(&op->objects, OP_DEADLOCK, str_of(s->ns), str_of(s->name));
    if (x) {
        x->writing = false;
        x->retry_ns = rc ? op->ticked_ns + again_ns : 0;
    }
    if (rc)
        log_line(LOG_LEVEL_ERROR, "operator", "DeadlockReport %s/%s is not stored: %s", s->ns,
                 s->name, why.text);
    free(s);
}

/* Is this condition Resolved, and False? */
static bool is_open(struct str condition)
{
    bool resolved = false, no = false;
    struct str word;
    struct scan s;
    struct err err;

    scan_init(&s, condition, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "type") && scan_word(&s, &word))
                resolved = str_is(word, "Resolved");
            else if (scan_at(&s, "status") && scan_word(&s, &word))
                no = str_is(word, "False");
        }
    }
    return scan_end(&s, &err) == 0 && resolved && no;
}

/* Where in a stored status that condition stands; empty: it does not. */
static struct str find_open(struct str status)
{
    struct str item, found = {0};
    struct scan s;
    struct err err;

    scan_init(&s, status, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "conditions") || !scan_array(&s))
                continue;
            while (scan_item(&s))
                if (scan_raw(&s, &item) && is_open(item))
                    found = item;
        }
    }
    return scan_end(&s, &err) ? (struct str){0} : found;
}

/* The status as it is, but for the one condition. */
static void put_status(struct buf *out, const struct op_object *x, struct str open, int64_t now_us)
{
    const struct op_condition resolved = {
        "Resolved", "True", "Silent", "nobody speaks of it any more", now_us, x->generation};
    const size_t before = (size_t)(open.p - x->status.p), behind = before + open.n;
    struct emit e;

    buf_str(out, (struct str){x->status.p, before});
    emit_init(&e, out, false);
    op_put_condition(&e, &resolved);
    buf_str(out, (struct str){x->status.p + behind, x->status.n - behind});
}

static void close_report(struct op *op, struct op_object *x, struct str open, int64_t now_us)
{
    struct storing *const s = calloc(1, sizeof(*s));
    struct writer_object o = op_object_like(OP_DEADLOCK, x->ns, x->name, x);
    struct buf status = {0};

    put_status(&status, x, open, now_us);
    if (!s || status.failed) {
        x->retry_ns = op->ticked_ns + again_ns;
        free(s);
    } else {
        s->op = op;
        (void)snprintf(s->ns, sizeof(s->ns), "%.*s", STR_ARG(x->ns));
        (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(x->name));
        o.status = buf_view(&status);
        x->writing = true;
        op->options.writer.put(op->options.writer.ctx, &o, on_stored, s); /* x may be another now */
    }
    buf_free(&status);
}

void op_silent_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    if (op->led_ns == 0)
        op->led_ns = now_ns;
    if (now_ns - op->led_ns < patience_ns)
        return;
    for (uint32_t i = 0; i < op->objects.n[OP_DEADLOCK]; i++) {
        struct op_object *const x = op->objects.at[OP_DEADLOCK][i];
        const bool own = op->options.writer.status_apart || x->made_here;

        if (!own || x->adjusted == OP_SETTLED || x->writing || now_ns < x->retry_ns ||
            op_case_find(op, x->ns, x->name))
            continue;
        const struct str open = find_open(x->status);
        if (open.n)
            close_report(op, x, open, now_us);
        else
            x->adjusted = OP_SETTLED;
    }
}
