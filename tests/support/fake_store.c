/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_store.h"

#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/file.h"
#include "tests/support/fake_api.h"
#include "tests/support/history.h"

/* A request, taken apart; the history is locked. */
struct writing {
    struct history *h;
    int kind; /* -1: none of the history */
    char ns[64], name[256];
    bool status;
    json_t *body, *old; /* old NULL: it is not there */
    struct buf *out;
};

static bool next_part(struct str *rest, char *out, size_t room)
{
    const struct str part = str_cut(rest, '/');

    return part.n && (size_t)snprintf(out, room, "%.*s", STR_ARG(part)) < room;
}

/* /apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME[/status]] */
static void read_target(struct writing *w, const char *target)
{
    char group[64], version[32], plural[64] = "", last[16], collection[256];
    struct str rest = str_of(target);

    w->kind = -1;
    if (!str_starts(rest, "/apis/"))
        return;
    rest = (struct str){rest.p + 6, rest.n - 6};
    if (!next_part(&rest, group, sizeof(group)) || !next_part(&rest, version, sizeof(version)))
        return;
    (void)next_part(&rest, plural, sizeof(plural));
    if (strcmp(plural, "namespaces") == 0 &&
        (!next_part(&rest, w->ns, sizeof(w->ns)) || !next_part(&rest, plural, sizeof(plural))))
        return;
    (void)next_part(&rest, w->name, sizeof(w->name));
    w->status = next_part(&rest, last, sizeof(last)) && strcmp(last, "status") == 0;
    (void)snprintf(collection, sizeof(collection), "/apis/%s/%s/%s", group, version, plural);
    w->kind = history_find(w->h, str_of(collection));
}

static void read_old(struct writing *w)
{
    const struct str text =
        history_object(w->h, (unsigned)w->kind, w->ns, w->name, history_version(w->h));

    w->old = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
}

static const char *meta(const json_t *object, const char *key)
{
    const char *const s =
        json_string_value(json_object_get(json_object_get(object, "metadata"), key));

    return s ? s : "";
}

static int fails(struct writing *w, int code, const char *reason)
{
    history_status(w->out, code, reason, "as the test's API server has it", "", 0);
    return code;
}

/* Does a precondition name another object, or another version of it? */
static bool is_other(const struct writing *w, const json_t *conditions)
{
    static const char *const keys[] = {"uid", "resourceVersion"};

    for (int i = 0; i < 2; i++) {
        const char *const s = json_string_value(json_object_get(conditions, keys[i]));

        if (s && strcmp(s, meta(w->old, keys[i])) != 0)
            return true;
    }
    return false;
}

/* `object` without its version into the history; the answer is what it is there. */
static int put(struct writing *w, json_t *object, int code)
{
    json_t *const m = json_object_get(object, "metadata");

    (void)json_object_del(m, "resourceVersion");
    char *const text = json_dumps(object, JSON_COMPACT);
    const uint64_t version =
        history_put_text(w->h, (unsigned)w->kind, w->ns, w->name, str_of(text));
    buf_str(w->out, history_object(w->h, (unsigned)w->kind, w->ns, w->name, version));
    free(text);
    return code;
}

static int create(struct writing *w)
{
    static unsigned made;
    json_t *const m = json_object_get(w->body, "metadata");
    char uid[32];

    (void)snprintf(w->name, sizeof(w->name), "%s", meta(w->body, "name"));
    read_old(w);
    if (!w->name[0] || strcmp(meta(w->body, "namespace"), w->ns) != 0)
        return fails(w, 400, "BadRequest");
    if (w->old || json_object_get(m, "resourceVersion"))
        return fails(w, 409, "AlreadyExists");
    (void)snprintf(uid, sizeof(uid), "made-%u", ++made);
    (void)json_object_set_new(m, "uid", json_string(uid));
    (void)json_object_set_new(m, "generation", json_integer(1));
    (void)json_object_set_new(m, "creationTimestamp", json_string("2026-11-25T08:00:00Z"));
    (void)json_object_del(w->body, "status");
    return put(w, w->body, 201);
}

static int replace(struct writing *w)
{
    const char *const part = w->status ? "status" : "spec";

    read_old(w);
    if (!w->old)
        return fails(w, 404, "NotFound");
    if (is_other(w, json_object_get(w->body, "metadata")))
        return fails(w, 409, "Conflict");
    json_t *const value = json_object_get(w->body, part);
    json_t *const m = json_object_get(w->old, "metadata");
    if (!w->status && !json_equal(value, json_object_get(w->old, "spec")))
        (void)json_object_set_new(
            m, "generation",
            json_integer(json_integer_value(json_object_get(m, "generation")) + 1));
    (void)json_object_set(w->old, part, value);
    return put(w, w->old, 200);
}

static int remove_it(struct writing *w)
{
    read_old(w);
    if (!w->old)
        return fails(w, 404, "NotFound");
    if (is_other(w, json_object_get(w->body, "preconditions")))
        return fails(w, 409, "Conflict");
    (void)history_delete(w->h, (unsigned)w->kind, w->ns, w->name);
    history_status(w->out, 200, "", "", "", 0);
    return 200;
}

int fake_store_handle(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out)
{
    struct fake_api *const f = ctx;
    struct writing w = {.h = fake_api_lock(f), .out = out};
    int code;

    read_target(&w, target);
    w.body = body.n ? json_loadb(body.p, body.n, 0, NULL) : NULL;
    if (w.kind < 0)
        code = fails(&w, 404, "NotFound");
    else if (!w.body)
        code = fails(&w, 400, "BadRequest");
    else if (strcmp(method, "POST") == 0 && !w.name[0])
        code = create(&w);
    else if (strcmp(method, "PUT") == 0 && w.name[0])
        code = replace(&w);
    else if (strcmp(method, "DELETE") == 0 && w.name[0] && !w.status)
        code = remove_it(&w);
    else
        code = fails(&w, 405, "MethodNotAllowed");
    json_decref(w.body);
    json_decref(w.old);
    fake_api_unlock(f);
    return code;
}

/* --- manifests --- */

static int put_document(void *ctx, const struct kube_document *doc)
{
    struct history *const h = ctx;
    const int kind = history_find_kind(h, doc->meta.kind);

    if (kind < 0)
        return 0;
    char *const ns = strndup(doc->meta.ns.n ? doc->meta.ns.p : "", doc->meta.ns.n);
    char *const name = strndup(doc->meta.name.p, doc->meta.name.n);
    (void)history_put_text(h, (unsigned)kind, ns, name, doc->json);
    free(ns);
    free(name);
    return 0;
}

static void no_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s:%u:%u: %s", path, line, column, text);
}

void fake_store_put_file(struct fake_api *f, const char *path)
{
    struct history *const h = fake_api_lock(f);
    const struct kube_visitor visitor = {put_document, no_problem, h};

    assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
    fake_api_unlock(f);
}

void fake_store_put_text(struct fake_api *f, unsigned kind, const char *ns, const char *name,
                         const char *text)
{
    struct history *const h = fake_api_lock(f);
    char *const copy = strdup(text);

    assert_non_null(copy);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    (void)history_put_text(h, kind, ns, name, str_of(copy));
    fake_api_unlock(f);
    free(copy);
}

bool fake_store_lets_in(const char *target, struct buf *out)
{
    if (strcmp(target, "/apis/authentication.k8s.io/v1/tokenreviews") == 0)
        buf_text(out, "{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,"
                      "\"audiences\":[\"numawise\"],\"user\":{\"username\":\"root\"}}}");
    else if (strcmp(target, "/apis/authorization.k8s.io/v1/subjectaccessreviews") == 0)
        buf_text(out, "{\"kind\":\"SubjectAccessReview\",\"status\":{\"allowed\":true}}");
    else
        return false;
    return true;
}
