/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as calls of the operator, one after the other. Each is answered once: what is no
 * success is a Status that says why, and what is JSON is whole. Calls end with a zero byte; the
 * first one of each says the method and who calls, up to the first newline is the target, then
 * comes the body.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "kube/scan.h"
#include "operator/call.h"
#include "operator/operator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20, CALLS = 32, STEP_MS = 700 };

struct world {
    struct cluster *cluster;
    struct op *op;
    char *room;
    uint64_t now_ns;
    int64_t now_us;
    unsigned writes;
    int finished;
};

/* --- a store in memory, of which some writes fail --- */

static void put_object(void *ctx, const struct writer_object *o, writer_done done, void *done_ctx)
{
    static const char zeros[SCAN_PADDING_BYTES];
    struct world *const w = ctx;
    struct err err = {.code = -EAGAIN, .text = "not now"};
    struct buf b = {0};

    w->writes++;
    buf_printf(&b,
               "{\"metadata\":{\"name\":\"%.*s\",\"namespace\":\"%.*s\",\"uid\":\"u\","
               "\"resourceVersion\":\"%u\",\"generation\":%d},\"spec\":%.*s%s%.*s}",
               STR_ARG(o->name), STR_ARG(o->ns), w->writes,
               (int)o->generation + (o->spec_changed || !o->exists),
               STR_ARG(o->spec.n ? o->spec : STR("{}")), o->status.n ? ",\"status\":" : "",
               STR_ARG(o->status));
    const size_t n = b.n;
    buf_add(&b, zeros, sizeof(zeros));
    const bool fails = w->writes % 16 == 7;
    done(done_ctx, fails ? -EAGAIN : 0, fails ? (struct str){0} : (struct str){b.p, n}, &err);
    buf_free(&b);
}

static void remove_object(void *ctx, const struct writer_object *o, writer_done done,
                          void *done_ctx)
{
    struct err err = {0};

    (void)ctx, (void)o;
    done(done_ctx, 0, (struct str){0}, &err);
}

/* --- a cluster of one node and two pods --- */

static void tell(struct world *w, enum source_kind kind, const char *type, const char *ns,
                 const char *name, const char *json)
{
    const struct source_sink sink = cluster_sink(w->cluster);
    struct buf b = {0};
    struct err err;

    buf_text(&b, json);
    const size_t n = b.n;
    buf_add(&b, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    const struct source_delta delta = {.kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {b.p, n}};
    if (sink.delta(sink.ctx, &delta, &err))
        abort();
    sink.settled(sink.ctx);
    buf_free(&b);
}

static struct cluster *make_cluster(void)
{
    struct world w = {0};
    const struct cluster_options options = {0};

    if (cluster_new(&w.cluster, &options, NULL))
        abort();
    tell(&w, SOURCE_NODE, "Node", "", "n1",
         "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"capacity\":{\"cpu\":\"8\",\"memory\":"
         "\"16Gi\"},\"allocatable\":{\"cpu\":\"8\",\"memory\":\"16Gi\"}}}");
    tell(&w, SOURCE_NRT, "NodeResourceTopology", "", "n1",
         "{\"metadata\":{\"name\":\"n1\"},\"attributes\":[{\"name\":\"topologyManagerPolicy\","
         "\"value\":\"restricted\"}],\"zones\":[{\"name\":\"node-0\",\"type\":\"Node\","
         "\"resources\":[{\"name\":\"cpu\",\"capacity\":\"4\",\"allocatable\":\"4\",\"available\":"
         "\"4\"}]},{\"name\":\"node-1\",\"type\":\"Node\",\"resources\":[{\"name\":\"cpu\","
         "\"capacity\":\"4\",\"allocatable\":\"4\",\"available\":\"4\"}]}]}");
    tell(&w, SOURCE_POD, "Pod", "bank", "a",
         "{\"metadata\":{\"namespace\":\"bank\",\"name\":\"a\",\"uid\":\"ua\"},\"spec\":{"
         "\"nodeName\":\"n1\",\"containers\":[{\"name\":\"m\",\"resources\":{\"requests\":{"
         "\"cpu\":\"1\"},\"limits\":{\"cpu\":\"3\"}}}]},\"status\":{\"phase\":\"Running\"}}");
    tell(&w, SOURCE_POD, "Pod", "bank", "b",
         "{\"metadata\":{\"namespace\":\"bank\",\"name\":\"b\",\"uid\":\"ub\"},\"spec\":{"
         "\"nodeName\":\"n1\",\"containers\":[{\"name\":\"m\",\"resources\":{\"limits\":{\"cpu\":"
         "\"2\",\"memory\":\"1Gi\"}}}]},\"status\":{\"phase\":\"Running\"}}");
    return w.cluster;
}

/* --- calls --- */

struct calling {
    struct op_call call;
    struct world *w;
};

static bool is_json(struct buf *out)
{
    static const char zeros[SCAN_PADDING_BYTES];
    struct str raw;
    struct err err;
    struct scan s;
    const size_t n = out->n;

    buf_add(out, zeros, sizeof(zeros));
    scan_init(&s, (struct str){out->p, n}, SCAN_STRICT);
    (void)scan_raw(&s, &raw);
    return scan_end(&s, &err) == 0;
}

static void on_finish(struct op_call *c)
{
    struct world *const w = ((struct calling *)c)->w;

    w->finished++;
    assert(c->status >= 200 && c->status <= 503);
    if (c->content_type == NULL && c->out.n)
        assert(is_json(&c->out));
    assert(c->status < 400 || strstr(c->out.p, "\"kind\": \"Status\""));
    buf_free(&c->out);
    buf_free(&c->warning);
}

static void call(struct world *w, uint8_t how, struct str target, struct str body)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE};
    char *const text = malloc(body.n + SCAN_PADDING_BYTES);
    struct arena a;

    if (!text)
        abort();
    if (body.n)
        memcpy(text, body.p, body.n);
    memset(text + body.n, '"', SCAN_PADDING_BYTES);
    arena_init(&a, w->room, ROOM);
    struct str query = target;
    const struct str path = str_cut(&query, '?');
    struct calling c = {.call = {.method = methods[how % 4],
                                 .path = path,
                                 .query = query,
                                 .body = {text, body.n},
                                 .arena = &a,
                                 .caller = {.everybody = how / 4 % 2 == 0,
                                            .user = STR("system:serviceaccount:bank:a"),
                                            .ns = STR("bank"),
                                            .pod = STR("a"),
                                            .pod_uid = STR("ua")},
                                 .now_ns = w->now_ns,
                                 .now_us = w->now_us,
                                 .finish = on_finish},
                        .w = w};
    w->finished = 0;
    op_answer(w->op, &c.call);
    assert(w->finished == 1);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cluster *cluster;
    static char *room;
    struct world w = {.now_ns = 1000000000, .now_us = INT64_C(1790000000) * 1000000};
    struct str rest = {(const char *)data, size};

    if (!cluster) {
        log_setup(LOG_LEVEL_ERROR, false);
        cluster = make_cluster();
        room = malloc(ROOM);
    }
    w.cluster = cluster;
    w.room = room;
    const struct op_options options = {
        .cluster = cluster, .writer = {put_object, remove_object, &w, true}, .hash_key = {7, 8}};
    if (!room || op_new(&w.op, &options, NULL))
        abort();
    for (int i = 0; i < CALLS && rest.n; i++) {
        struct str body = str_cut(&rest, 0);
        struct str target = str_cut(&body, '\n');
        const uint8_t how = target.n ? (uint8_t)target.p[0] : 0;

        target = target.n ? (struct str){target.p + 1, target.n - 1} : target;
        call(&w, how, target, body);
        w.now_ns += STEP_MS * UINT64_C(1000000);
        w.now_us += STEP_MS * INT64_C(1000);
        op_tick(w.op, w.now_ns, w.now_us);
    }
    op_free(w.op);
    return 0;
}
