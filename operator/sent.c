/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that callers send: the whole, or the spec alone. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "operator/parts.h"

static void read_meta(struct scan *s, struct op_sent *b, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "resourceVersion"))
            (void)scan_text(s, &b->resource_version, a);
        else if (scan_at(s, "namespace"))
            (void)scan_text(s, &b->ns, a);
        else if (scan_at(s, "name"))
            (void)scan_text(s, &b->name, a);
    }
}

/* A copy in the arena that readable bytes follow. */
static int keep(struct str *out, const struct buf *text, struct arena *a, struct err *err)
{
    char *const p = text->failed ? NULL : arena_array(a, text->n + SCAN_PADDING_BYTES, 1);

    if (!p)
        return err_set(err, -ENOMEM, "no memory");
    memcpy(p, text->p, text->n);
    *out = (struct str){p, text->n};
    return 0;
}

static int compact(struct str *spec, struct arena *a, struct err *err)
{
    struct buf text = {0};

    op_compact(&text, *spec);
    const int rc = keep(spec, &text, a, err);
    buf_free(&text);
    return rc;
}

int op_read_sent(struct op_sent *out, struct str json, struct arena *a, struct err *err)
{
    struct op_sent b = {.spec = json};
    struct str spec = {0};
    struct scan s;

    scan_init(&s, json, SCAN_STRICT);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "spec"))
                (void)scan_raw(&s, &spec);
            else if (scan_at(&s, "metadata"))
                read_meta(&s, &b, a);
        }
    }
    int rc = scan_end(&s, err);
    if (rc)
        return rc;
    if (spec.n)
        b.spec = spec;
    rc = compact(&b.spec, a, err);
    if (rc == 0)
        *out = b;
    return rc;
}

int op_wrap_spec(struct str *out, struct str spec, struct arena *a, struct err *err)
{
    struct buf text = {0};

    buf_text(&text, "{\"spec\":");
    buf_str(&text, spec);
    buf_text(&text, "}");
    const int rc = keep(out, &text, a, err);
    buf_free(&text);
    return rc;
}

int op_same_spec(bool *out, const struct op_object *old, struct str spec, struct arena *a,
                 struct err *err)
{
    struct str was = old->spec.n ? old->spec : STR("{}");
    const int rc = compact(&was, a, err);

    *out = rc == 0 && str_eq(was, spec);
    return rc;
}

void op_succeed(struct op_call *c)
{
    struct emit e;

    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "kind"), emit_words(&e, "Status");
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "metadata"), emit_object(&e), emit_end(&e);
    emit_key(&e, "status"), emit_words(&e, "Success");
    emit_key(&e, "code"), emit_int(&e, 200);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 200);
}
