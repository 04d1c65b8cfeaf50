/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/retry.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "decide/memo.h"
#include "extender/counters.h"
#include "extender/refusals.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "kube/worker.h"

enum { ROOM = 1024 * 1024, MEMO_BYTES = 1024 * 1024, MEMO_SHAPES = 16, TIMEOUT_MS = 10000 };

#define MS UINT64_C(1000000)

struct retry {
    struct retry_options options;
    char *path;                 /* of the object */
    struct kube_worker *worker; /* what follows is its thread's */
    struct refusals refusals;
    struct memo *memo;
    struct arena arena;
    struct kube_call *call; /* a touch that is out */
    uint64_t not_before_ns; /* the next one */
    bool said;              /* that it is not allowed */
};

/* What filter says of one pod, on its way to the worker. */
struct message {
    struct kube_task task;
    struct retry *retry;
    struct refusal *refusal; /* NULL: it passes */
    struct str uid;          /* of one that passes; behind it */
};

/* ---- touching the object ---- */

static void count(struct retry *r, enum ext_retry_result result)
{
    (void)atomic_fetch_add(&r->options.counters->retries[result], 1);
}

static void forbid(struct retry *r, const struct err *err)
{
    count(r, EXT_RETRY_FORBIDDEN);
    if (!r->said)
        log_line(LOG_LEVEL_WARN, "extender",
                 "%s: kube-scheduler is not made to ask again about refused pods; extender.retry "
                 "needs the CSIStorageCapacity %s, and the verb patch on it",
                 err->text, r->options.object);
    r->said = true;
}

static void on_touched(void *ctx, const struct kube_answer *answer)
{
    struct retry *const r = ctx;
    const int rc = answer->err.code;
    const bool is_refused = rc == -EACCES || rc == -ENOENT;
    const uint64_t now_ns = clock_monotonic_ns();

    r->call = NULL;
    refusals_made(&r->refusals, rc != 0, now_ns);
    r->not_before_ns = now_ns + MS * (rc == 0      ? RETRY_PAUSE_MS
                                      : is_refused ? RETRY_REFUSED_MS
                                                   : RETRY_FAILED_MS);
    if (is_refused) {
        forbid(r, &answer->err);
        return;
    }
    count(r, rc ? EXT_RETRY_FAILED : EXT_RETRY_SENT);
    if (rc)
        log_line(LOG_LEVEL_INFO, "extender", "%s", answer->err.text);
    else
        r->said = false;
}

static void write_patch(struct buf *out)
{
    char now[32];
    struct emit e;

    clock_format_rfc3339(now, clock_realtime_us());
    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "annotations"), emit_object(&e);
    emit_key(&e, RETRY_ANNOTATION), emit_words(&e, now);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}

static void touch(struct retry *r, uint32_t pods)
{
    CLEANUP(buf_free) struct buf body = {0};
    struct err err = {0};

    write_patch(&body);
    const struct kube_request request = {.method = KUBE_PATCH,
                                         .path = r->path,
                                         .body = buf_view(&body),
                                         .content_type = KUBE_MERGE_PATCH,
                                         .timeout_ms = TIMEOUT_MS,
                                         .done = on_touched,
                                         .ctx = r};
    if (!body.failed && kube_api_send(kube_worker_api(r->worker), &request, &r->call, &err) == 0) {
        log_line(LOG_LEVEL_DEBUG, "extender",
                 "%u pods that every node refused would be admitted: kube-scheduler is made to ask "
                 "again",
                 pods);
        return;
    }
    count(r, EXT_RETRY_FAILED);
    refusals_made(&r->refusals, true, 0);
    r->not_before_ns = clock_monotonic_ns() + RETRY_FAILED_MS * MS;
}

/* ---- looking at who was refused ---- */

static void look(struct retry *r, const struct cluster_snapshot *snapshot)
{
    struct decide_options options = r->options.judge(r->options.ctx);
    uint64_t now_ns = clock_monotonic_ns();
    const uint64_t until_ns = now_ns + RETRY_SPEND_MS * MS;

    if (options.mode == DECIDE_SHADOW) {
        refusals_admit_all(&r->refusals, now_ns);
        return;
    }
    options.memo = r->memo;
    while (now_ns < until_ns && refusals_look(&r->refusals, snapshot, &options, &r->arena, now_ns))
        now_ns = clock_monotonic_ns();
}

static void set_pods(struct retry *r, uint32_t before)
{
    (void)atomic_fetch_sub(&r->options.counters->refused_pods, before - r->refusals.n);
}

static void on_tick(void *ctx)
{
    struct retry *const r = ctx;
    const uint32_t before = r->refusals.n;
    struct cluster_snapshot *const snapshot = cluster_get(r->options.cluster);

    refusals_sweep(&r->refusals, snapshot, clock_monotonic_ns());
    set_pods(r, before);
    look(r, snapshot);
    cluster_snapshot_unref(snapshot);
    const uint64_t now_ns = clock_monotonic_ns();
    const uint32_t due =
        r->call || now_ns < r->not_before_ns ? 0 : refusals_due(&r->refusals, now_ns);
    if (due)
        touch(r, due);
    if (r->refusals.n)
        kube_worker_tick_in(r->worker, RETRY_LOOK_MS);
}

/* ---- what filter says ---- */

static void on_told(void *ctx)
{
    struct message *const m = ctx;
    struct retry *const r = m->retry;
    const uint64_t now_ns = clock_monotonic_ns();
    uint32_t before = r->refusals.n;
    uint64_t since_ns;

    if (m->refusal) {
        before++; /* counted when it was sent */
        refusals_put(&r->refusals, m->refusal, now_ns);
        kube_worker_tick_in(r->worker, RETRY_LOOK_MS);
    } else if (refusals_pass(&r->refusals, m->uid, now_ns, &since_ns) && since_ns) {
        metric_add_duration(&r->options.counters->retry_durations, since_ns);
    }
    set_pods(r, before);
    free(m);
}

/* Without memory nobody is told: then kube-scheduler asks when it does. */
void retry_tell(struct retry *r, const struct decision *d, const struct decide_ask *ask,
                enum decide_mode mode)
{
    const bool refused = refusal_is_one(d, mode);
    const struct str uid = ask->pod ? ask->pod->uid : STR("");

    if (uid.n == 0 || (!refused && atomic_load(&r->options.counters->refused_pods) == 0))
        return;
    struct message *const m = malloc(sizeof(*m) + uid.n);
    struct refusal *const f = m && refused ? refusal_new(d, ask) : NULL;
    if (!m || (refused && !f)) {
        free(m);
        return;
    }
    *m = (struct message){.task = {.run = on_told, .ctx = m}, .retry = r, .refusal = f};
    if (refused)
        (void)atomic_fetch_add(&r->options.counters->refused_pods, 1);
    else
        m->uid = (struct str){memcpy(m + 1, uid.p, uid.n), uid.n};
    kube_worker_post(r->worker, &m->task);
}

/* ---- life ---- */

static char *path_of(const char *object)
{
    static const char prefix[] = "/apis/storage.k8s.io/v1/namespaces/",
                      kind[] = "/csistoragecapacities";
    const char *const slash = strchr(object, '/');
    CLEANUP(buf_free) struct buf path = {0};

    buf_printf(&path, "%s%.*s%s%s", prefix, (int)(slash - object), object, kind, slash);
    return path.failed ? NULL : strdup(path.p);
}

static int fill(struct retry *r, const struct retry_options *options, struct err *err)
{
    char *const room = malloc(ROOM);
    int rc = memo_new(&r->memo, MEMO_BYTES, MEMO_SHAPES, err);

    r->options = *options;
    r->options.object = strdup(options->object);
    r->path = path_of(options->object);
    arena_init(&r->arena, room, ROOM);
    if (rc == 0 && (!room || !r->path || !r->options.object))
        rc = err_set(err, -ENOMEM, "no memory for extender.retry");
    return rc ? rc : kube_worker_new(&r->worker, options->access, on_tick, r, err);
}

int retry_new(struct retry **out, const struct retry_options *options, struct err *err)
{
    struct retry *const r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(err, -ENOMEM, "no memory for extender.retry");
    const int rc = fill(r, options, err);
    if (rc)
        retry_free(r);
    else
        *out = r;
    return rc;
}

void retry_free(struct retry *r)
{
    if (!r)
        return;
    kube_worker_free(r->worker);
    refusals_done(&r->refusals);
    memo_free(r->memo);
    free(r->arena.base);
    free(r->path);
    free((void *)(uintptr_t)r->options.object);
    free(r);
}
