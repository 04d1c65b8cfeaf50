/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "kube/emit.h"

/* --- answers --- */

void op_done(struct op_call *c, int status)
{
    assert(c->status == 0);
    c->status = c->out.failed ? 503 : status;
    if (c->out.failed)
        buf_free(&c->out);
    c->finish(c);
}

/* The names that Kubernetes has for these codes. */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {307, "TemporaryRedirect"},
        {400, "BadRequest"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "NotFound"},
        {405, "MethodNotAllowed"},
        {408, "Timeout"},
        {415, "UnsupportedMediaType"},
        {406, "NotAcceptable"},
        {409, "Conflict"},
        {413, "RequestEntityTooLarge"},
        {422, "Invalid"},
        {429, "TooManyRequests"},
        {500, "InternalError"},
        {501, "MethodNotAllowed"},
        {503, "ServiceUnavailable"},
        {504, "Timeout"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

static void put_details(struct op_call *c, struct emit *e, struct str field, const char *why)
{
    if (field.n == 0 && c->retry_after_s == 0)
        return;
    emit_key(e, "details");
    emit_object(e);
    if (field.n) {
        emit_key(e, "causes");
        emit_array(e);
        emit_object(e);
        emit_key(e, "reason"), emit_words(e, "FieldValueInvalid");
        emit_key(e, "message"), emit_words(e, why);
        emit_key(e, "field"), emit_text(e, field);
        emit_end(e);
        emit_end(e);
    }
    if (c->retry_after_s)
        emit_key(e, "retryAfterSeconds"), emit_uint(e, c->retry_after_s);
    emit_end(e);
}

static void fail(struct op_call *c, int status, struct str field, const char *why)
{
    struct emit e;
    char whole[ERR_TEXT_BYTES * 2];

    (void)snprintf(whole, sizeof(whole), "%.*s%s%s", STR_ARG(field), field.n ? ": " : "", why);
    (void)snprintf(c->why, sizeof(c->why), "%.*s", (int)sizeof(c->why) - 1, whole);
    buf_free(&c->out);
    c->content_type = NULL;
    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "kind"), emit_words(&e, "Status");
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "metadata"), emit_object(&e), emit_end(&e);
    emit_key(&e, "status"), emit_words(&e, "Failure");
    emit_key(&e, "message"), emit_words(&e, whole);
    emit_key(&e, "reason"), emit_words(&e, reason_of(status));
    put_details(c, &e, field, why);
    emit_key(&e, "code"), emit_int(&e, status);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, status);
}

static const char *refusal_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "the request is malformed"},
        {403, "it comes from the page of another site"},
        {404, "there is no such path"},
        {405, "the path does not take this method"},
        {408, "the request was not whole in time"},
        {411, "a body needs a Content-Length"},
        {413, "the body is larger than limits.body.operator"},
        {414, "the target is longer than limits.target"},
        {431, "the head is larger than limits.head, or has more fields than limits.headers"},
        {503, "there is no room for the request"},
        {504, "there was no answer in time"},
        {505, "HTTP 1.0 and 1.1 are understood here"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "the request is refused";
}

size_t op_refusal(int status, char *out, size_t room)
{
    const int n = snprintf(out, room,
                           "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n"
                           "  \"metadata\": {},\n  \"status\": \"Failure\",\n"
                           "  \"message\": \"%s\",\n  \"reason\": \"%s\",\n  \"code\": %d\n}\n",
                           refusal_text(status), reason_of(status), status);

    assert(n > 0 && (size_t)n < room);
    return (size_t)n;
}

void op_fail(struct op_call *c, int status, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fail(c, status, (struct str){0}, text);
}

void op_fail_field(struct op_call *c, int status, const char *field, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fail(c, status, str_of(field), text);
}

/* "spec.hierarchyRules[0].name": letters, digits, dots, indices; no blank. */
static size_t field_length(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789.[]-_/";
    const size_t n = strspn(text, plain);

    return n > 0 && text[n] == ':' && text[n + 1] == ' ' ? n : 0;
}

/* "held[0]: class is missing" is about held[0].class. False: the text is of another form. */
static bool fail_missing(struct op_call *c, int status, struct str parent, const char *why)
{
    static const char tail[] = " is missing";
    const size_t n = strlen(why), name = n > sizeof(tail) - 1 ? n - (sizeof(tail) - 1) : 0;
    char field[ERR_TEXT_BYTES];

    if (name == 0 || strcmp(why + name, tail) != 0 || memchr(why, ' ', name))
        return false;
    (void)snprintf(field, sizeof(field), "%.*s%s%.*s", STR_ARG(parent), parent.n ? "." : "",
                   (int)name, why);
    fail(c, status, str_of(field), "is missing");
    return true;
}

void op_fail_err(struct op_call *c, int status, const struct err *err)
{
    const size_t n = field_length(err->text);
    const struct str field = {err->text, n};
    const char *const why = err->text + (n ? n + 2 : 0);

    if (!fail_missing(c, status, field, why))
        fail(c, status, field, why);
}

/* "offset 17: expected ..." names none; "reporter is missing" does. */
static bool names_field(const char *text)
{
    return field_length(text) ||
           (strstr(text, " is missing") && !str_starts(str_of(text), "offset"));
}

void op_fail_decode(struct op_call *c, int rc, const struct err *err)
{
    if (rc == -ENOMEM)
        op_fail(c, 503, "no memory for the call");
    else if (rc == -E2BIG)
        op_fail_err(c, 413, err);
    else
        op_fail_err(c, names_field(err->text) ? 422 : 400, err);
}

/* --- the target --- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent signs resolved, in the arena; false at a broken one, or without memory. */
static bool decode(struct op_call *c, struct str s, struct str *out)
{
    char *const p = arena_array(c->arena, s.n + 1, 1);
    size_t n = 0;

    if (!p)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            p[n++] = s.p[i];
            continue;
        }
        if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
            return false;
        p[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
        i += 2;
    }
    *out = (struct str){p, n};
    return true;
}

bool op_query(struct op_call *c, const char *name, struct str *out)
{
    struct str rest = c->query;
    bool found = false;

    while (rest.n && c->status == 0) {
        struct str value = str_cut(&rest, '&');
        const struct str key = str_cut(&value, '=');

        if (!str_is(key, name))
            continue;
        if (found)
            op_fail_field(c, 400, name, "given twice");
        else if (!decode(c, value, out))
            op_fail_field(c, 400, name, "a broken percent sign");
        found = true;
    }
    return found && c->status == 0;
}

bool op_query_only(struct op_call *c, const char *const *names)
{
    struct str rest = c->query;

    while (rest.n) {
        struct str value = str_cut(&rest, '&');
        const struct str key = str_cut(&value, '=');
        size_t n = 0;

        while (names[n] && !str_is(key, names[n]))
            n++;
        if (names[n])
            continue;
        const char *const near = str_nearest(key, names, n);
        if (near)
            op_fail(c, 400, "no such parameter: %.*s (did you mean \"%s\"?)", STR_ARG(key), near);
        else
            op_fail(c, 400, "no such parameter: %.*s", STR_ARG(key));
        return false;
    }
    return true;
}

struct str op_segment(struct op_call *c, struct str *path)
{
    const struct str raw = str_cut(path, '/');
    struct str out;

    return decode(c, raw, &out) ? out : (struct str){0};
}
