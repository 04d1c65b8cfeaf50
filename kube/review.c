/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/review.h"

#include <errno.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

#define POD_NAME "authentication.kubernetes.io/pod-name"
#define POD_UID  "authentication.kubernetes.io/pod-uid"

static void put_head(struct emit *e, const char *version, const char *kind)
{
    emit_key(e, "apiVersion"), emit_words(e, version);
    emit_key(e, "kind"), emit_words(e, kind);
    emit_key(e, "spec");
    emit_object(e);
}

/* --- whose token --- */

void kube_token_review(struct buf *out, struct str token, const char *audience)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    put_head(&e, "authentication.k8s.io/v1", "TokenReview");
    emit_key(&e, "token"), emit_text(&e, token);
    emit_key(&e, "audiences"), emit_array(&e), emit_words(&e, audience), emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}

/* Is `word` in the list of texts that is due? */
static bool read_has(struct scan *s, const char *word)
{
    bool found = false;
    struct str text;

    if (!scan_array(s))
        return false;
    while (scan_item(s))
        found |= scan_word(s, &text) && str_is(text, word);
    return found;
}

/* The only text of the list that is due; of several, none. */
static void read_only(struct scan *s, struct str *out, struct arena *a)
{
    struct str text = {0};
    uint32_t n = 0;

    if (!scan_array(s))
        return;
    for (; scan_item(s); n++)
        (void)scan_text(s, &text, a);
    if (n == 1)
        *out = text;
}

/* What the token is bound to, in an object that is read already as a text. */
static int read_binding(struct kube_token_verdict *v, struct arena *a, struct err *err)
{
    struct scan s;

    scan_init(&s, v->user.extra, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, POD_NAME))
                read_only(&s, &v->pod, a);
            else if (scan_at(&s, POD_UID))
                read_only(&s, &v->pod_uid, a);
        }
    }
    return scan_end(&s, err);
}

/* As it stands; followed by readable bytes, which the whole text is, too. */
static void read_as(struct scan *s, enum scan_kind kind, struct str *out)
{
    if (scan_kind(s) == kind)
        (void)scan_raw(s, out);
}

static void read_user(struct scan *s, struct kube_user *u, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "username"))
            (void)scan_text(s, &u->name, a);
        else if (scan_at(s, "uid"))
            (void)scan_text(s, &u->uid, a);
        else if (scan_at(s, "groups"))
            read_as(s, SCAN_ARRAY, &u->groups);
        else if (scan_at(s, "extra"))
            read_as(s, SCAN_OBJECT, &u->extra);
    }
}

struct token_status {
    struct kube_token_verdict verdict;
    bool is_known, is_for_us;
};

static void read_token_status(struct scan *s, struct token_status *t, const char *audience,
                              struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "authenticated"))
            (void)scan_bool(s, &t->is_known);
        else if (scan_at(s, "audiences"))
            t->is_for_us = read_has(s, audience);
        else if (scan_at(s, "user"))
            read_user(s, &t->verdict.user, a);
    }
}

/*
 * Step into the status of an object of this kind. 0, or the code of what keeps it from being one.
 * `read` reads the value of "status", which is due.
 */
static int read_review(struct str json, const char *kind, void (*read)(struct scan *s, void *ctx),
                       void *ctx, struct err *err)
{
    bool right = false, answered = false;
    struct str text;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_OBJECT && scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "kind")) {
                right = scan_word(&s, &text) && str_is(text, kind);
            } else if (scan_at(&s, "status") && scan_kind(&s) == SCAN_OBJECT) {
                answered = true;
                read(&s, ctx);
            }
        }
    }
    const int rc = scan_end(&s, err);
    if (rc)
        return rc;
    return right && answered ? 0 : err_set(err, -EINVAL, "the answer is no %s with a status", kind);
}

struct token_reading {
    struct token_status status;
    const char *audience;
    struct arena *arena;
};

static void on_token_status(struct scan *s, void *ctx)
{
    struct token_reading *const r = ctx;

    read_token_status(s, &r->status, r->audience, r->arena);
}

int kube_token_review_read(struct kube_token_verdict *out, struct str json, const char *audience,
                           struct arena *a, struct err *err)
{
    struct token_reading r = {.audience = audience, .arena = a};
    struct kube_token_verdict *const v = &r.status.verdict;
    int rc = read_review(json, "TokenReview", on_token_status, &r, err);

    if (rc)
        return rc;
    if (!r.status.is_known || !r.status.is_for_us) {
        *out = (struct kube_token_verdict){.authenticated = false};
        return 0;
    }
    if (v->user.name.n == 0)
        return err_set(err, -EINVAL, "status.user.username: is missing");
    if (v->user.extra.n)
        rc = read_binding(v, a, err);
    if (rc)
        return rc;
    v->authenticated = true;
    *out = *v;
    return 0;
}

/* --- may he --- */

static void put_user(struct emit *e, const struct kube_user *u)
{
    emit_key(e, "user"), emit_text(e, u->name);
    if (u->uid.n)
        emit_key(e, "uid"), emit_text(e, u->uid);
    if (u->groups.n)
        emit_key(e, "groups"), emit_raw(e, u->groups);
    if (u->extra.n)
        emit_key(e, "extra"), emit_raw(e, u->extra);
}

void kube_access_review(struct buf *out, const struct kube_user *user,
                        const struct kube_attributes *wish)
{
    struct str rest = str_of(wish->resource);
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    put_head(&e, "authorization.k8s.io/v1", "SubjectAccessReview");
    put_user(&e, user);
    emit_key(&e, "resourceAttributes");
    emit_object(&e);
    emit_key(&e, "verb"), emit_words(&e, wish->verb);
    emit_key(&e, "group"), emit_words(&e, wish->group);
    emit_key(&e, "resource"), emit_text(&e, str_cut(&rest, '/'));
    if (rest.n)
        emit_key(&e, "subresource"), emit_text(&e, rest);
    if (wish->ns.n)
        emit_key(&e, "namespace"), emit_text(&e, wish->ns);
    if (wish->name.n)
        emit_key(&e, "name"), emit_text(&e, wish->name);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}

struct access_status {
    bool allowed, denied, said;
};

static void on_access_status(struct scan *s, void *ctx)
{
    struct access_status *const t = ctx;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "allowed"))
            t->said = scan_bool(s, &t->allowed);
        else if (scan_at(s, "denied"))
            (void)scan_bool(s, &t->denied);
    }
}

int kube_access_review_read(bool *out_allowed, struct str json, struct err *err)
{
    struct access_status t = {.said = false};
    const int rc = read_review(json, "SubjectAccessReview", on_access_status, &t, err);

    if (rc)
        return rc;
    if (!t.said)
        return err_set(err, -EINVAL, "status.allowed: is missing");
    *out_allowed = t.allowed && !t.denied;
    return 0;
}

struct str kube_account_namespace(struct str user)
{
    static const char prefix[] = "system:serviceaccount:";
    struct str rest = user;

    if (!str_starts(user, prefix))
        return (struct str){0};
    rest = (struct str){rest.p + sizeof(prefix) - 1, rest.n - (sizeof(prefix) - 1)};
    const struct str ns = str_cut(&rest, ':');
    return rest.n ? ns : (struct str){0};
}
