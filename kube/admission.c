/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/admission.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

#define API_VERSION "admission.k8s.io/v1"
#define KIND        "AdmissionReview"

enum { UID_BYTES = 128 /* it is one of 36 */ };

/* --- the question --- */

/* Bits of scan_once: in the review, and in its request. */
enum { SEEN_VERSION, SEEN_KIND, SEEN_REQUEST };
enum {
    SEEN_UID,
    SEEN_OBJECT_KIND,
    SEEN_SUBRESOURCE,
    SEEN_NAMESPACE,
    SEEN_NAME,
    SEEN_OPERATION,
    SEEN_OBJECT,
    SEEN_OLD_OBJECT
};

struct reader {
    struct scan s;
    struct arena *a;
    struct kube_admission ask;
    uint64_t seen, seen_request;
};

/* The text that is due has to be this one. */
static void expect(struct reader *r, const char *want)
{
    struct str text;

    if (scan_word(&r->s, &text) && !str_is(text, want))
        (void)scan_fail(&r->s, -EINVAL, "expected %s, found \"%.*s\"", want,
                        text.n < 60 ? (int)text.n : 60, text.p);
}

static void read_kind(struct reader *r)
{
    struct scan *const s = &r->s;
    uint64_t seen = 0;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "group") && scan_once(s, &seen, 0))
            (void)scan_text(s, &r->ask.group, r->a);
        else if (scan_at(s, "version") && scan_once(s, &seen, 1))
            (void)scan_text(s, &r->ask.version, r->a);
        else if (scan_at(s, "kind") && scan_once(s, &seen, 2))
            (void)scan_text(s, &r->ask.kind, r->a);
    }
}

static void read_operation(struct reader *r)
{
    struct str word;

    if (!scan_word(&r->s, &word))
        return;
    r->ask.operation = str_is(word, "CREATE")   ? KUBE_OPERATION_CREATE
                       : str_is(word, "UPDATE") ? KUBE_OPERATION_UPDATE
                                                : KUBE_OPERATION_OTHER;
}

static void read_uid(struct reader *r)
{
    if (scan_text(&r->s, &r->ask.uid, r->a) && (r->ask.uid.n == 0 || r->ask.uid.n > UID_BYTES))
        (void)scan_fail(&r->s, -EINVAL, "not 1 to %d bytes", UID_BYTES);
}

/* An object as it stands, or null. */
static void read_object(struct scan *s, struct str *out)
{
    const enum scan_kind kind = scan_kind(s);

    if (kind == SCAN_OBJECT)
        (void)scan_raw(s, out);
    else if (kind != SCAN_NULL)
        (void)scan_fail(s, -EINVAL, "expected an object");
}

/* One key of the request. */
static void read_request_key(struct reader *r)
{
    struct scan *const s = &r->s;
    uint64_t *const seen = &r->seen_request;

    if (scan_at(s, "uid") && scan_once(s, seen, SEEN_UID))
        read_uid(r);
    else if (scan_at(s, "kind") && scan_once(s, seen, SEEN_OBJECT_KIND))
        read_kind(r);
    else if (scan_at(s, "subResource") && scan_once(s, seen, SEEN_SUBRESOURCE))
        (void)scan_text(s, &r->ask.subresource, r->a);
    else if (scan_at(s, "namespace") && scan_once(s, seen, SEEN_NAMESPACE))
        (void)scan_text(s, &r->ask.ns, r->a);
    else if (scan_at(s, "name") && scan_once(s, seen, SEEN_NAME))
        (void)scan_text(s, &r->ask.name, r->a);
    else if (scan_at(s, "operation") && scan_once(s, seen, SEEN_OPERATION))
        read_operation(r);
    else if (scan_at(s, "object") && scan_once(s, seen, SEEN_OBJECT))
        read_object(s, &r->ask.object);
    else if (scan_at(s, "oldObject") && scan_once(s, seen, SEEN_OLD_OBJECT))
        read_object(s, &r->ask.old_object);
}

static void read_review(struct reader *r)
{
    struct scan *const s = &r->s;

    if (scan_kind(s) != SCAN_OBJECT)
        (void)scan_fail(s, -EINVAL, "expected an " KIND);
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "apiVersion") && scan_once(s, &r->seen, SEEN_VERSION)) {
            expect(r, API_VERSION);
        } else if (scan_at(s, "kind") && scan_once(s, &r->seen, SEEN_KIND)) {
            expect(r, KIND);
        } else if (scan_at(s, "request") && scan_once(s, &r->seen, SEEN_REQUEST) &&
                   scan_object(s)) {
            while (scan_key(s))
                read_request_key(r);
        }
    }
}

/* What has to be there, and is not. NULL: all is. */
static const char *missing(const struct reader *r)
{
    if (!(r->seen >> SEEN_VERSION & 1))
        return "apiVersion";
    if (!(r->seen >> SEEN_KIND & 1))
        return "kind";
    if (!(r->seen >> SEEN_REQUEST & 1))
        return "request";
    if (r->ask.uid.n == 0)
        return "request.uid";
    return r->ask.kind.n == 0 ? "request.kind.kind" : NULL;
}

int kube_admission_decode(struct kube_admission *out, struct str json, struct arena *a,
                          struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reader r = {.a = a};

    scan_init(&r.s, json, SCAN_STRICT);
    read_review(&r);
    int rc = scan_end(&r.s, err);
    const char *const field = missing(&r);
    if (rc == 0 && field)
        rc = err_set(err, -EINVAL, "%s: is missing", field);
    if (rc)
        arena_rewind(a, mark);
    else
        *out = r.ask;
    return rc;
}

/* --- the answer --- */

/* Kind, name and causes: of them kubectl makes its message. */
static void put_details(struct emit *e, const struct kube_admission *ask,
                        const struct kube_verdict *v)
{
    emit_key(e, "details"), emit_object(e);
    emit_key(e, "name"), emit_text(e, ask->name);
    emit_key(e, "group"), emit_text(e, ask->group);
    emit_key(e, "kind"), emit_text(e, ask->kind);
    emit_key(e, "causes"), emit_array(e);
    for (uint32_t i = 0; i < v->n_causes; i++) {
        emit_object(e);
        emit_key(e, "reason"), emit_words(e, "FieldValueInvalid");
        emit_key(e, "message"), emit_text(e, v->causes[i].message);
        emit_key(e, "field"), emit_text(e, v->causes[i].field);
        emit_end(e);
    }
    emit_end(e);
    emit_end(e);
}

static void put_status(struct emit *e, const struct kube_admission *ask,
                       const struct kube_verdict *v)
{
    emit_key(e, "status"), emit_object(e);
    emit_key(e, "status"), emit_words(e, "Failure");
    emit_key(e, "message"), emit_text(e, v->message);
    emit_key(e, "reason"), emit_words(e, v->reason);
    put_details(e, ask, v);
    emit_key(e, "code"), emit_int(e, v->code);
    emit_end(e);
}

static void put_warning(struct emit *e, struct str text)
{
    struct buf plain = {0};

    for (size_t i = 0; i < text.n; i++)
        buf_add(&plain, text.p[i] >= ' ' && text.p[i] <= '~' ? &text.p[i] : "?", 1);
    emit_text(e, buf_view(&plain));
    e->out->failed |= plain.failed;
    buf_free(&plain);
}

void kube_admission_answer(struct buf *out, const struct kube_admission *ask,
                           const struct kube_verdict *verdict)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, API_VERSION);
    emit_key(&e, "kind"), emit_words(&e, KIND);
    emit_key(&e, "response"), emit_object(&e);
    emit_key(&e, "uid"), emit_text(&e, ask->uid);
    emit_key(&e, "allowed"), emit_bool(&e, verdict->allowed);
    if (!verdict->allowed)
        put_status(&e, ask, verdict);
    if (verdict->n_warnings) {
        emit_key(&e, "warnings"), emit_array(&e);
        for (uint32_t i = 0; i < verdict->n_warnings; i++)
            put_warning(&e, verdict->warnings[i]);
        emit_end(&e);
    }
    emit_end(&e);
    emit_end(&e);
}
