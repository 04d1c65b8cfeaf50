/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/api_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "kube/scan.h"

/* As long as a caller of the operator waits, it can be told what became of its write. */
enum { WRITE_MS = 4000, RETRIES = 1 };

struct api_writer {
    struct kube_api *api;
    struct write *writes; /* that are out */
};

/* One write on its way; what it needs of the object is copied. */
struct write {
    struct write *next;
    struct api_writer *w;
    writer_done done;
    void *done_ctx;
    struct kube_call *call;
    const char *api_version, *kind; /* literals */
    struct buf path;                /* of the object, terminated */
    struct buf ns, name, spec, status;
    bool status_is_due;
};

int api_writer_new(struct api_writer **out, struct err *err)
{
    struct api_writer *const w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, -ENOMEM, "no memory");
    *out = w;
    return 0;
}

void api_writer_connect(struct api_writer *w, struct kube_api *api)
{
    w->api = api;
}

static void free_write(struct write *x)
{
    buf_free(&x->path);
    buf_free(&x->ns);
    buf_free(&x->name);
    buf_free(&x->spec);
    buf_free(&x->status);
    free(x);
}

void api_writer_free(struct api_writer *w)
{
    if (!w)
        return;
    for (struct write *x = w->writes, *next; x; x = next) {
        next = x->next;
        free_write(x);
    }
    free(w);
}

static void leave(struct write *x)
{
    struct write **at = &x->w->writes;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    free_write(x);
}

/* --- texts --- */

/* "/apis/GROUP/VERSION/namespaces/NS/PLURAL"; the object's with "/NAME". Names need no escape. */
static void put_path(struct buf *out, const struct writer_object *o, bool object)
{
    buf_printf(out, "/apis/%s", o->api_version);
    if (o->ns.n)
        buf_printf(out, "/namespaces/%.*s", STR_ARG(o->ns));
    buf_printf(out, "/%s", o->plural);
    if (object)
        buf_printf(out, "/%.*s", STR_ARG(o->name));
}

static void compose(struct buf *out, const struct write *x, struct str uid, struct str version,
                    struct str status)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, x->api_version);
    emit_key(&e, "kind"), emit_words(&e, x->kind);
    emit_key(&e, "metadata");
    emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, buf_view(&x->name));
    if (x->ns.n)
        emit_key(&e, "namespace"), emit_text(&e, buf_view(&x->ns));
    if (uid.n)
        emit_key(&e, "uid"), emit_text(&e, uid);
    if (version.n)
        emit_key(&e, "resourceVersion"), emit_text(&e, version);
    emit_end(&e);
    if (x->spec.n)
        emit_key(&e, "spec"), emit_raw(&e, buf_view(&x->spec));
    if (status.n)
        emit_key(&e, "status"), emit_raw(&e, status);
    emit_end(&e);
}

/* --- asking --- */

static void on_answer(void *ctx, const struct kube_answer *a);

/* `path` is terminated. 0, or why it cannot be sent. */
static int ask(struct write *x, enum kube_method method, const char *path, const struct buf *body,
               struct err *err)
{
    const struct kube_request request = {.method = method,
                                         .path = path,
                                         .body = buf_view(body),
                                         .timeout_ms = WRITE_MS,
                                         .retries = RETRIES,
                                         .done = on_answer,
                                         .ctx = x};

    if (!x->w->api)
        return err_set(err, -EAGAIN, "there is no API server to write to yet");
    if (body->failed)
        return err_set(err, -ENOMEM, "no memory");
    return kube_api_send(x->w->api, &request, &x->call, err);
}

/* What the codes of kube/api.h mean to who wrote. */
static int meaning(int code)
{
    return code == -EEXIST || code == -ESTALE ? -ESTALE : code == -EBUSY ? -EAGAIN : code;
}

static void end(struct write *x, int rc, struct str json, const struct err *err)
{
    const writer_done done = x->done;
    void *const ctx = x->done_ctx;

    leave(x);
    done(ctx, rc, json, err);
}

/* metadata.uid and resourceVersion of an answer, as they stand there: they need no escape. */
static void read_meta(struct str json, struct str *uid, struct str *version)
{
    struct str *const into[] = {uid, version};
    struct err err;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "metadata") || !scan_object(&s))
                continue;
            while (scan_key(&s)) {
                const int i = scan_at(&s, "uid") ? 0 : scan_at(&s, "resourceVersion") ? 1 : -1;
                struct str raw;

                if (i >= 0 && scan_raw(&s, &raw) && raw.n > 2)
                    *into[i] = (struct str){raw.p + 1, raw.n - 2};
            }
        }
    }
    if (scan_end(&s, &err))
        *uid = *version = (struct str){0};
}

/* The spec is stored; now its status, of the version that the spec has got. */
static int ask_status(struct write *x, struct str uid, struct str version, struct err *err)
{
    struct buf path = {0}, body = {0};

    buf_printf(&path, "%s/status", x->path.p);
    buf_add(&path, "", 1);
    compose(&body, x, uid, version, buf_view(&x->status));
    const int rc =
        path.failed ? err_set(err, -ENOMEM, "no memory") : ask(x, KUBE_PUT, path.p, &body, err);
    buf_free(&path);
    buf_free(&body);
    return rc;
}

static void on_answer(void *ctx, const struct kube_answer *a)
{
    struct write *const x = ctx;
    struct str uid = {0}, version = {0};
    struct err err = {0};
    int rc = 0;

    x->call = NULL;
    if (a->err.code || !x->status_is_due) {
        end(x, meaning(a->err.code), a->err.code ? (struct str){0} : a->body, &a->err);
        return;
    }
    x->status_is_due = false;
    read_meta(a->body, &uid, &version);
    rc = version.n ? ask_status(x, uid, version, &err)
                   : err_set(&err, -EPROTO, "%s: the answer has no resourceVersion", x->path.p);
    if (rc)
        end(x, meaning(rc), (struct str){0}, &err);
}

/* --- the writer --- */

static struct write *begin(struct api_writer *w, const struct writer_object *o, writer_done done,
                           void *done_ctx)
{
    struct write *const x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    *x = (struct write){.next = w->writes,
                        .w = w,
                        .done = done,
                        .done_ctx = done_ctx,
                        .api_version = o->api_version,
                        .kind = o->kind};
    w->writes = x;
    put_path(&x->path, o, true);
    buf_add(&x->path, "", 1);
    buf_str(&x->ns, o->ns);
    buf_str(&x->name, o->name);
    buf_str(&x->spec, o->spec);
    buf_str(&x->status, o->status);
    return x;
}

/* Of a namespace or an object, as it may stand in a path. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n <= 253 && s.p[0] != '.';
}

static int check_names(const struct writer_object *o, struct err *err)
{
    if (is_name(o->name) && (o->ns.n == 0 || is_name(o->ns)))
        return 0;
    return err_set(err, -EINVAL, "not the name of an object: %.*s", STR_ARG(o->name));
}

static bool is_whole(const struct write *x)
{
    return !x->path.failed && !x->ns.failed && !x->name.failed && !x->spec.failed &&
           !x->status.failed;
}

static int send_put(struct write *x, const struct writer_object *o, struct err *err)
{
    struct buf path = {0}, body = {0};
    int rc;

    if (!is_whole(x))
        return err_set(err, -ENOMEM, "no memory");
    if (o->exists && !o->spec_changed)
        return ask_status(x, o->uid, o->resource_version, err);
    x->status_is_due = o->status.n > 0;
    compose(&body, x, o->exists ? o->uid : (struct str){0},
            o->exists ? o->resource_version : (struct str){0}, (struct str){0});
    put_path(&path, o, o->exists);
    buf_add(&path, "", 1);
    rc = path.failed ? err_set(err, -ENOMEM, "no memory")
                     : ask(x, o->exists ? KUBE_PUT : KUBE_POST, path.p, &body, err);
    buf_free(&path);
    buf_free(&body);
    return rc;
}

static void fail(struct write *x, int rc, writer_done done, void *done_ctx, const struct err *err)
{
    if (x)
        leave(x);
    done(done_ctx, meaning(rc), (struct str){0}, err);
}

static void put_object(void *ctx, const struct writer_object *o, writer_done done, void *done_ctx)
{
    struct write *const x = begin(ctx, o, done, done_ctx);
    struct err err = {0};
    int rc = x ? check_names(o, &err) : err_set(&err, -ENOMEM, "no memory");

    if (rc == 0)
        rc = send_put(x, o, &err);

    if (rc)
        fail(x, rc, done, done_ctx, &err);
}

/* What is gone already is removed, too. */
static void on_removed(void *ctx, const struct kube_answer *a)
{
    struct write *const x = ctx;
    const int code = a->err.code == -ENOENT ? 0 : a->err.code;

    x->call = NULL;
    end(x, meaning(code), (struct str){0}, &a->err);
}

/* Only the one that was read: uid and version are preconditions. */
static int send_remove(struct write *x, const struct writer_object *o, struct err *err)
{
    struct buf body = {0};
    struct emit e;

    if (!is_whole(x))
        return err_set(err, -ENOMEM, "no memory");
    if (!x->w->api)
        return err_set(err, -EAGAIN, "there is no API server to write to yet");
    emit_init(&e, &body, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "kind"), emit_words(&e, "DeleteOptions");
    emit_key(&e, "preconditions");
    emit_object(&e);
    emit_key(&e, "uid"), emit_text(&e, o->uid);
    emit_key(&e, "resourceVersion"), emit_text(&e, o->resource_version);
    emit_end(&e);
    emit_end(&e);
    const struct kube_request request = {.method = KUBE_DELETE,
                                         .path = x->path.p,
                                         .body = buf_view(&body),
                                         .timeout_ms = WRITE_MS,
                                         .retries = RETRIES,
                                         .done = on_removed,
                                         .ctx = x};
    const int rc = body.failed ? err_set(err, -ENOMEM, "no memory")
                               : kube_api_send(x->w->api, &request, &x->call, err);
    buf_free(&body);
    return rc;
}

static void remove_object(void *ctx, const struct writer_object *o, writer_done done,
                          void *done_ctx)
{
    struct write *const x = begin(ctx, o, done, done_ctx);
    struct err err = {0};
    int rc = x ? check_names(o, &err) : err_set(&err, -ENOMEM, "no memory");

    if (rc == 0)
        rc = send_remove(x, o, &err);

    if (rc)
        fail(x, rc, done, done_ctx, &err);
}

struct writer api_writer(struct api_writer *w)
{
    return (struct writer){put_object, remove_object, w, true};
}
