/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that are pushed: stored as objects, so that they live as those do that are pulled. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "kube/signal.h"
#include "operator/parts.h"

enum { PADDING = 64, DECODE_ROOM = 24 * 1024 * 1024 };

struct pending {
    struct op *op;
    struct op_call *c;
    struct str name;
};

/* The spec with the time at which it came, unless it says one itself: so long its life lasts. */
static int compose(struct buf *out, struct str body, int64_t now_us, struct err *err)
{
    char time[32];
    bool has_time = false;
    struct emit e;
    struct scan s;

    clock_format_rfc3339(time, now_us);
    emit_init(&e, out, false);
    emit_object(&e);
    scan_init(&s, body, SCAN_STRICT);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            struct str raw = {0};

            has_time = has_time || scan_at(&s, "observedAt");
            emit_key_str(&e, s.key);
            if (!scan_raw(&s, &raw) || raw.n == 0)
                raw = STR("null");
            emit_raw(&e, raw);
        }
    }
    const int rc = scan_end(&s, err);
    if (!has_time)
        emit_key(&e, "observedAt"), emit_words(&e, time);
    emit_end(&e);
    return rc ? rc : out->failed ? err_set(err, -ENOMEM, "no memory") : 0;
}

/* Errors name fields as the object has them. */
static int check(const struct buf *spec, struct err *err)
{
    static const char zeros[PADDING];
    struct kube_signal signal;
    struct buf json = {0};
    struct arena a;
    void *const room = malloc(DECODE_ROOM);

    buf_text(&json, "{\"spec\":");
    buf_str(&json, buf_view(spec));
    buf_text(&json, "}");
    const size_t n = json.n;
    buf_add(&json, zeros, sizeof(zeros));
    int rc = room && !json.failed ? 0 : err_set(err, -ENOMEM, "no memory");
    if (rc == 0) {
        arena_init(&a, room, DECODE_ROOM);
        rc = kube_signal_decode(&signal, (struct str){json.p, n}, true, &a, err);
    }
    free(room);
    buf_free(&json);
    return rc;
}

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct pending *const p = ctx;
    struct err why;

    if (rc == 0)
        rc = op_objects_put(&p->op->objects, OP_SIGNAL, (struct str){0}, p->name, json, &why);
    else
        why = *err;
    if (rc)
        op_fail(p->c, op_writer_status(rc), "%s", why.text);
    else
        op_done(p->c, 204);
}

void op_signal_put(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct str no_ns = {0};
    const struct op_object *const old = op_objects_find(&op->objects, OP_SIGNAL, no_ns, name);
    struct pending *const p = arena_array(c->arena, 1, sizeof(*p));
    struct buf spec = {0};
    struct err err = {0};

    if (!op_within_rate(op, c, ns, name, STR("signal")))
        return;
    int rc = p ? compose(&spec, c->body, c->now_us, &err) : err_set(&err, -ENOMEM, "no memory");
    if (rc == 0)
        rc = check(&spec, &err);
    if (rc) {
        op_fail_decode(c, rc, &err);
    } else if (!old && op->objects.n[OP_SIGNAL] >= LIMIT_OPERATOR_SIGNALS) {
        op_fail(c, 429, "there are %d signals already", LIMIT_OPERATOR_SIGNALS);
    } else {
        struct writer_object o = op_object_like(OP_SIGNAL, no_ns, name, old);

        *p = (struct pending){op, c, name};
        o.spec = buf_view(&spec);
        o.spec_changed = true;
        op->options.writer.put(op->options.writer.ctx, &o, on_stored, p);
    }
    buf_free(&spec);
}
