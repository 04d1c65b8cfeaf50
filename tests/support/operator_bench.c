/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/operator_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "operator/operator.h"
#include "operator/who.h"
#include "tests/support/api_doc.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROOM = 4 << 20 };
static const int64_t start_us = INT64_C(1790000000) * 1000000;

/* --- a store in memory --- */

static void put_object(void *ctx, const struct writer_object *o, writer_done stored,
                       void *ctx_of_it)
{
    static const char zeros[64];
    struct bench *const b = ctx;
    struct err err = {.code = b->fail_with, .text = "the disk is full"};

    b->puts++;
    if (b->meanwhile) {
        void (*const happens)(struct bench *) = b->meanwhile;

        b->meanwhile = NULL;
        happens(b);
    }
    buf_free(&b->stored);
    buf_printf(
        &b->stored,
        "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%.*s\","
        "\"namespace\":\"%.*s\",\"uid\":\"u-%.*s\",\"resourceVersion\":\"%d\",\"generation\":%d,"
        "\"creationTimestamp\":\"2026-11-24T03:02:01Z\"},\"spec\":%.*s%s%.*s}",
        o->api_version, o->kind, STR_ARG(o->name), STR_ARG(o->ns),
        STR_ARG(strcmp(o->kind, "ResourceAdjustment") == 0 ? o->name : STR("1")), b->puts,
        (int)o->generation + (o->spec_changed || !o->exists),
        STR_ARG(o->spec.n ? o->spec : STR("{}")), o->status.n ? ",\"status\":" : "",
        STR_ARG(o->status));
    const size_t n = b->stored.n;
    buf_add(&b->stored, zeros, sizeof(zeros));
    const int rc = b->fail_with;
    b->fail_with = 0;
    stored(ctx_of_it, rc, rc ? (struct str){0} : (struct str){b->stored.p, n}, &err);
}

static void remove_object(void *ctx, const struct writer_object *o, writer_done stored,
                          void *ctx_of_it)
{
    struct bench *const b = ctx;
    struct err err = {.code = b->fail_with, .text = "the disk is full"};
    const int rc = b->fail_with;

    (void)o;
    b->removes++;
    b->fail_with = 0;
    stored(ctx_of_it, rc, (struct str){0}, &err);
}

/* --- who is asked to do things --- */

static bool review(struct bench *b, const struct kube_request *r)
{
    static const char yes[] = "{'kind':'SubjectAccessReview','status':{'allowed':true}}",
                      no[] = "{'kind':'SubjectAccessReview','status':{'allowed':false}}";
    if (strcmp(r->path, KUBE_ACCESS_REVIEWS) != 0)
        return false;
    const bool resizes = memmem(r->body.p, r->body.n, "\"resize\"", 8);

    b->reviews += resizes;
    if (resizes && b->late)
        return false;
    char text[128] = "";
    (void)snprintf(text, sizeof(text), "%s", resizes && !b->may_resize ? no : yes);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    const struct kube_answer a = {
        .status = 201, .retry_after_ms = -1, .body = {text, strlen(text)}};
    r->done(r->ctx, &a);
    return true;
}

static int send_request(void *ctx, const struct kube_request *r, struct kube_call **out,
                        struct err *err)
{
    struct bench *const b = ctx;
    struct bench_ask *const a = &b->asks[b->n_asks];

    if (out)
        *out = NULL;
    if (review(b, r))
        return 0;
    if (b->cannot_send)
        return err_set(err, -EBUSY, "too much is out");
    assert_true(b->n_asks < ARRAY_LEN(b->asks));
    b->n_asks++;
    a->method = r->method;
    a->done = r->done;
    a->ctx = r->ctx;
    buf_text(&a->path, r->path);
    buf_str(&a->body, r->body);
    buf_add(&a->body, "", 1);
    return 0;
}

void answer_ask(struct bench *b, unsigned i, int status, int code, const char *body)
{
    struct buf text = {0};
    struct kube_answer a = {.status = status, .retry_after_ms = -1};

    assert_true(i < b->n_asks && b->asks[i].done);
    buf_text(&text, body);
    for (size_t k = 0; k < text.n; k++)
        text.p[k] = text.p[k] == '\'' ? '"' : text.p[k];
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    a.body = (struct str){text.p, n};
    (void)kube_status_decode(&a.details, a.body);
    if (a.details.retry_after_s >= 0)
        a.retry_after_ms = a.details.retry_after_s * 1000;
    if (code)
        (void)err_set(&a.err, code, "the API server says %d", status);
    const struct bench_ask ask = b->asks[i];
    b->asks[i].done = NULL;
    ask.done(ask.ctx, &a);
    buf_free(&text);
}

static bool bench_leads(void *ctx, struct str *out_url)
{
    const struct bench *const b = ctx;

    *out_url = (struct str){0};
    return !b->follows;
}

static int32_t bench_epoch(void *ctx)
{
    return ((const struct bench *)ctx)->epoch;
}

static uint64_t bench_age(void *ctx)
{
    return ((const struct bench *)ctx)->age_ns;
}

static void bench_answers(void *ctx, uint64_t *out_all, uint64_t *out_failed)
{
    const struct bench *const b = ctx;

    *out_all = b->answered;
    *out_failed = b->failed;
}

static void bench_tell(void *ctx, const char *reason, const char *action, struct str ns,
                       struct str pod, struct str uid, const char *note)
{
    struct bench *const b = ctx;

    (void)action;
    buf_printf(&b->told, "%s %.*s/%.*s %.*s: %s\n", reason, STR_ARG(ns), STR_ARG(pod), STR_ARG(uid),
               note);
}

static void open_op(struct bench *b)
{
    const struct op_options options = {
        .cluster = b->cluster,
        .who = b->who,
        .writer = {put_object, remove_object, b, true},
        .hash_key = {7, 8},
        .leads = bench_leads,
        .leads_ctx = b,
        .act = {send_request, bench_epoch, bench_age, bench_answers, bench_tell, b}};
    assert_int_equal(op_new(&b->op, &options, NULL), 0);
}

static struct bench *the_bench; /* whose clock it is */

static uint64_t bench_clock(void)
{
    return the_bench->now_ns;
}

static void cancel(struct kube_call *call)
{
    (void)call;
}

static void open_who(struct bench *b)
{
    const struct who_options options = {.keys = {1, 2, 3, 4},
                                        .send = send_request,
                                        .cancel = cancel,
                                        .ctx = b,
                                        .now_ns = bench_clock};

    the_bench = b;
    assert_int_equal(who_new(&b->who, &options, NULL), 0);
}

static void close_op(struct bench *b)
{
    who_stop(b->who);
    op_free(b->op);
    who_free(b->who);
    b->who = NULL;
    for (unsigned i = 0; i < b->n_asks; i++)
        b->asks[i].done = NULL;
}

void operator_bench_know(struct bench *b)
{
    close_op(b);
    open_who(b);
    open_op(b);
}

void operator_bench_restart(struct bench *b, enum source_kind kind, struct str json)
{
    struct err err;

    operator_bench_know(b);
    op_list(b->op, kind, false);
    if (json.n) {
        const struct source_delta delta = {.kind = kind,
                                           .ns = STR("default"),
                                           .name = STR("wanted"),
                                           .resource_version = STR("0"),
                                           .json = json};
        assert_int_equal(op_delta(b->op, &delta, &err), 0);
    }
    op_listed(b->op, kind);
}

int operator_bench_set_up(void **state)
{
    struct bench *const b = calloc(1, sizeof(*b));
    const struct cluster_options cluster = {0};

    assert_int_equal(cluster_new(&b->cluster, &cluster, NULL), 0);
    b->sink = cluster_sink(b->cluster);
    b->sink.settled(b->sink.ctx);
    open_op(b);
    b->room = malloc(ROOM);
    b->now_ns = 1000000000;
    b->now_us = start_us;
    *state = b;
    return 0;
}

int operator_bench_tear_down(void **state)
{
    struct bench *const b = *state;

    close_op(b);
    cluster_free(b->cluster);
    buf_free(&b->stored);
    buf_free(&b->told);
    for (unsigned i = 0; i < b->n_asks; i++) {
        buf_free(&b->asks[i].path);
        buf_free(&b->asks[i].body);
    }
    free(b->room);
    free(b);
    return 0;
}

/* --- calls --- */

struct calling {
    struct op_call call;
    struct answer *answer;
};

static void on_finish(struct op_call *c)
{
    struct answer *const a = ((struct calling *)c)->answer;

    a->finished++;
    a->status = c->status;
    a->text = c->out;
    a->warning = c->warning;
    a->retry_after_s = c->retry_after_s;
}

static const char *method_name(enum http_method m)
{
    return m == HTTP_GET ? "GET" : m == HTTP_PUT ? "PUT" : m == HTTP_POST ? "POST" : "DELETE";
}

void lose_lease(struct bench *b)
{
    b->follows = true;
}

void change_epoch(struct bench *b)
{
    b->epoch++;
}

void switch_off(struct bench *b)
{
    op_set_acting(b->op, false);
}

void age_pods(struct bench *b)
{
    b->age_ns = UINT64_C(121000000000);
}

struct answer call_as(struct bench *b, const struct op_caller *caller, enum http_method m,
                      const char *target, const char *body)
{
    char *const text = test_padded(str_of(body), 0);
    struct answer a = {0};
    struct arena arena;

    arena_init(&arena, b->room, ROOM);
    struct str path = str_of(target);
    struct str query = path;
    path = str_cut(&query, '?');
    struct calling c = {.call = {.method = m,
                                 .path = path,
                                 .query = query,
                                 .body = {text, strlen(body)},
                                 .arena = &arena,
                                 .caller = *caller,
                                 .now_ns = b->now_ns,
                                 .now_us = b->now_us,
                                 .finish = on_finish},
                        .answer = &a};
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    op_enter(b->op, &c.call);
    assert_int_equal(a.finished, 1);
    free(text);
    api_doc_expect(method_name(m), target, a.status, buf_view(&a.text));
    a.json = a.text.n ? json_loadb(a.text.p, a.text.n, 0, NULL) : NULL;
    return a;
}

struct answer call(struct bench *b, enum http_method m, const char *target, const char *body)
{
    const struct op_caller everybody = {.everybody = true};

    return call_as(b, &everybody, m, target, body);
}

void done(struct answer *a)
{
    json_decref(a->json);
    buf_free(&a->text);
    buf_free(&a->warning);
}

/* "details.causes.0.field", "metadata.name" */
const json_t *at(const struct answer *a, const char *path)
{
    struct str rest = str_of(path);
    const json_t *v = a->json;

    while (v && rest.n) {
        const struct str key = str_cut(&rest, '.');
        char name[64];
        uint64_t i;

        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        v = json_is_array(v) && str_u64(key, &i) ? json_array_get(v, i) : json_object_get(v, name);
    }
    return v;
}

const char *text_at(const struct answer *a, const char *path)
{
    const char *const s = json_string_value(at(a, path));

    return s ? s : "";
}

/* A call that fails: with this status, about this field, as a Status of Kubernetes. */
void fails(struct bench *b, enum http_method m, const char *target, const char *body, int status,
           const char *field)
{
    struct answer a = call(b, m, target, body);

    if (a.status != status || strcmp(text_at(&a, "details.causes.0.field"), field) != 0)
        fail_msg("%s %s: %d about \"%s\": %s", target, body, a.status,
                 text_at(&a, "details.causes.0.field"), a.text.p);
    assert_string_equal(text_at(&a, "kind"), "Status");
    assert_string_equal(text_at(&a, "status"), "Failure");
    assert_int_equal(json_integer_value(at(&a, "code")), status);
    assert_true(text_at(&a, "message")[0] && text_at(&a, "reason")[0]);
    done(&a);
}

void succeeds(struct bench *b, enum http_method m, const char *target, const char *body, int status)
{
    struct answer a = call(b, m, target, body);

    if (a.status != status)
        fail_msg("%s: %d: %s", target, a.status, a.text.p);
    done(&a);
}

void read_directory(struct bench *b, const char *path)
{
    struct directory *d;
    struct err err;

    if (directory_open(&d, path, NULL, &b->sink, NULL, NULL, &err))
        fail_msg("%s", err.text);
    directory_close(d);
}

void add_object(struct bench *b, enum source_kind kind, const char *type, const char *ns,
                const char *name, const char *json)
{
    struct buf text = {0};

    buf_text(&text, json);
    for (size_t i = 0; i < text.n; i++)
        text.p[i] = text.p[i] == '\'' ? '"' : text.p[i];
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    const struct source_delta delta = {.kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {text.p, n}};
    assert_int_equal(b->sink.delta(b->sink.ctx, &delta, NULL), 0);
    b->sink.settled(b->sink.ctx);
    buf_free(&text);
}
