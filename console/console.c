/* SPDX-License-Identifier: Apache-2.0 */
#include "console/console.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/tar.h"
#include "cluster/cluster.h"
#include "console/page.h"
#include "console/process.h"
#include "console/query.h"
#include "decide/record.h"
#include "decide/replay.h"
#include "decide/ring.h"
#include "kube/emit.h"

struct console {
    struct cluster *cluster;
    struct ring *ring;
    struct console_metrics metrics[CONSOLE_METRICS];
    size_t n_metrics;
};

int console_new(struct console **out, struct cluster *cluster, struct ring *ring, struct err *err)
{
    struct console *const c = calloc(1, sizeof(*c));

    if (!c)
        return err_set(err, -ENOMEM, "no memory for the console");
    c->cluster = cluster;
    c->ring = ring;
    *out = c;
    return 0;
}

void console_free(struct console *c)
{
    free(c);
}

void console_add_metrics(struct console *c, struct console_metrics metrics)
{
    assert(c->n_metrics < CONSOLE_METRICS);
    c->metrics[c->n_metrics++] = metrics;
}

/* Send what was rendered, or the status that fits the failure. */
static void send(struct http_reply *reply, int rc, struct buf *text)
{
    if (rc == -ENOENT)
        http_status(reply, 404);
    else if (rc == -EINVAL)
        http_status(reply, 400);
    else if (rc || text->failed)
        http_status(reply, 503);
    else
        http_add(reply, text->p, text->n);
    buf_free(text);
}

static void list(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct console *const c = ctx;
    struct buf text = {0};
    struct query_pod pod;
    int rc = query_read_pod(&pod, req->query);

    if (rc == 0)
        rc = ring_list(c->ring, (struct str){pod.text, pod.n}, &text);
    send(reply, rc, &text);
}

/* A Status: what was asked for is not to be had, and why. */
static void refuse(struct http_reply *reply, int status, const char *reason, const struct err *err)
{
    struct buf text = {0};
    struct emit e;

    emit_init(&e, &text, true);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "kind"), emit_words(&e, "Status");
    emit_key(&e, "status"), emit_words(&e, "Failure");
    emit_key(&e, "message"), emit_words(&e, err->text);
    emit_key(&e, "reason"), emit_words(&e, reason);
    emit_key(&e, "code"), emit_int(&e, status);
    emit_end(&e);
    buf_text(&text, "\n");
    send(reply, 0, &text);
    http_status(reply, status);
}

/* One after the other, so that all of it is there once. False: out of memory. */
static bool send_file(struct http_reply *reply, struct replay_file *f, int64_t mtime_s)
{
    CLEANUP(buf_free) struct buf tar = {0};

    if (f->left_out)
        return true;
    if (tar_add(&tar, buf_view(&f->path), buf_view(&f->text), mtime_s) || tar.failed)
        return false;
    buf_free(&f->text);
    http_add(reply, tar.p, tar.n);
    return true;
}

static void send_bundle(struct http_reply *reply, struct replay_files *files, struct str id,
                        int64_t now_us)
{
    CLEANUP(buf_free) struct buf name = {0};
    struct buf tar = {0};
    bool fits = true;

    for (uint32_t i = 0; fits && i < files->n; i++)
        fits = send_file(reply, &files->at[i], now_us / 1000000);
    tar_end(&tar);
    buf_printf(&name, "attachment; filename=\"%.*s.tar\"", STR_ARG(id));
    http_content_type(reply, "application/x-tar");
    http_field(reply, "Content-Disposition", buf_view(&name));
    http_field(reply, "X-Content-Type-Options", STR("nosniff"));
    send(reply, fits && !name.failed ? 0 : -ENOMEM, &tar);
}

/* What replays a decision, or why it cannot be had. */
static void bundle(const struct console *c, const struct http_request *req,
                   struct http_reply *reply, struct str id)
{
    CLEANUP(buf_free) struct buf said = {0};
    struct record *const record = ring_take(c->ring, id);
    struct replay_files files = {0};
    struct err err = {0};
    int rc = record ? ring_render(c->ring, id, &said, req->arena) : -ENOENT;

    if (rc == 0)
        rc = replay_record(&files, record, buf_view(&said), &err);
    if (rc == 0)
        send_bundle(reply, &files, id, record->context.now_us);
    else if (rc == -ESTALE)
        refuse(reply, 410, "Gone", &err);
    else if (rc == -EDOM || rc == -EFBIG)
        refuse(reply, 409, "Conflict", &err);
    else
        http_status(reply, rc == -ENOENT ? 404 : 503);
    replay_files_done(&files);
    record_unref(record);
}

static void one(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct console *const c = ctx;
    const size_t prefix = sizeof("/v1/decisions/") - 1;
    struct str id = {req->path.p + prefix, req->path.n - prefix};
    struct buf text = {0};

    if (str_ends(id, "/bundle")) {
        id.n -= sizeof("/bundle") - 1;
        bundle(c, req, reply, id);
        return;
    }
    send(reply, ring_render(c->ring, id, &text, req->arena), &text);
}

/* JSON lines: what build/tests/kubelet_vectors reads. */
static void mispredictions(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct console *const c = ctx;
    struct buf text = {0};

    http_content_type(reply, "application/jsonl");
    send(reply, ring_cases(c->ring, &text), &text);
}

static void own_metrics(const struct console *c, struct buf *out)
{
    struct cluster_snapshot *const snapshot = cluster_get(c->cluster);
    struct ring_stats ring;

    ring_stats(c->ring, &ring);
    process_build_info(out);
    metric_gauge(out, "numawise_state_synced",
                 "1 when the first listing of the cluster is through.",
                 cluster_is_synced(c->cluster));
    metric_gauge(out, "numawise_snapshot_nodes", "Nodes in the newest snapshot.",
                 cluster_snapshot_nodes(snapshot));
    metric_gauge(out, "numawise_snapshot_likenesses",
                 "How many of its nodes differ in what they are judged by.",
                 cluster_snapshot_likenesses(snapshot));
    metric_counter(out, "numawise_snapshots_total", "Snapshots published.",
                   cluster_snapshot_generation(snapshot));
    metric_gauge(out, "numawise_decisions_bytes", "Memory of the decisions that are kept.",
                 (double)ring.bytes);
    metric_gauge(out, "numawise_decisions_max_bytes", "Its bound, decisions.maxBytes.",
                 (double)ring.max_bytes);
    metric_gauge(out, "numawise_decisions_kept", "Decisions that can be read back.",
                 (double)ring.kept);
    metric_counter(out, "numawise_decisions_evicted_total", "Decisions dropped for newer ones.",
                   ring.evicted);
    metric_gauge(out, "numawise_misprediction_cases", "Cases at /v1/mispredictions.",
                 (double)ring.cases);
    metric_counter(out, "numawise_misprediction_cases_lost_total",
                   "Mispredictions of which there is none: the node was not told in full, or there "
                   "was no room.",
                   ring.cases_lost);
    cluster_snapshot_unref(snapshot);
    process_metrics(out);
}

static void metrics(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct console *const c = ctx;
    struct buf text = {0};

    own_metrics(c, &text);
    for (size_t i = 0; i < c->n_metrics; i++)
        c->metrics[i].write(c->metrics[i].ctx, &text);
    http_content_type(reply, "text/plain; version=0.0.4; charset=utf-8");
    send(reply, 0, &text);
}

static void version(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    struct buf text = {0};
    struct emit e;

    emit_init(&e, &text, true);
    emit_object(&e);
    emit_key(&e, "gitVersion"), emit_words(&e, "v" NUMAWISE_VERSION);
    emit_key(&e, "gitCommit"), emit_words(&e, process_revision);
    emit_key(&e, "compiler"), emit_words(&e, process_compiler);
#if defined(__x86_64__)
    emit_key(&e, "platform"), emit_words(&e, "linux/amd64");
#elif defined(__aarch64__)
    emit_key(&e, "platform"), emit_words(&e, "linux/arm64");
#else
    emit_key(&e, "platform"), emit_words(&e, "linux");
#endif
    emit_end(&e);
    buf_text(&text, "\n");
    send(reply, 0, &text);
}

void console_routes(struct console *c, struct http_route out[CONSOLE_ROUTES])
{
    enum { reads = HTTP_GET | HTTP_HERE };

    out[0] = (struct http_route){"/v1/decisions", reads, true, list, c};
    out[1] = (struct http_route){"/v1/decisions/", reads, false, one, c};
    out[2] = (struct http_route){"/v1/mispredictions", reads, false, mispredictions, c};
    out[3] = (struct http_route){"/metrics", reads, false, metrics, c};
    out[4] = (struct http_route){"/version", reads, false, version, c};
    console_page_routes(out + 5);
}
