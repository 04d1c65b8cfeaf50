/* SPDX-License-Identifier: Apache-2.0 */
#include "admission/admission.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "admission/findings.h"
#include "admission/review.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/cluster.h"

/* What came of a review. */
enum result {
    ALLOWED,
    WARNED, /* allowed, with warnings */
    DENIED,
    PASSED,    /* allowed without a look: it has nothing for numawise, or nothing new */
    MALFORMED, /* no AdmissionReview: 400 */
    FULL,      /* no memory: 503 */
    RESULTS,
};

static const char *const result_names[RESULTS] = {"allowed", "warned",    "denied",
                                                  "passed",  "malformed", "full"};
static const char *const outlook_names[ADM_OUTLOOKS] = {[ADM_ROOM] = "room",
                                                        [ADM_NOWHERE] = "nowhere",
                                                        [ADM_UNJUDGED] = "unjudged",
                                                        [ADM_SKIPPED] = "skipped"};

struct adm {
    struct cluster *cluster;
    struct lock_names *locks;
    struct adm_foresight foresight; /* the listener's thread alone uses it */
    atomic_int_fast64_t max_age_us;
    atomic_bool predict;
    atomic_uint_fast64_t reviews[RESULTS], outlooks[ADM_OUTLOOKS], warnings;
    struct metric_durations durations;
};

int adm_new(struct adm **out, struct cluster *cluster, struct lock_names *locks,
            const struct adm_settings *settings, struct err *err)
{
    struct adm *const m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, -ENOMEM, "no memory for admission");
    const int rc = adm_foresight_init(&m->foresight, err);
    if (rc) {
        free(m);
        return rc;
    }
    m->cluster = cluster;
    m->locks = locks;
    adm_set(m, settings);
    *out = m;
    return 0;
}

void adm_free(struct adm *m)
{
    if (!m)
        return;
    adm_foresight_done(&m->foresight);
    free(m);
}

void adm_set(struct adm *m, const struct adm_settings *settings)
{
    atomic_store(&m->max_age_us, settings->max_age_us);
    atomic_store(&m->predict, settings->predict);
}

static void bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* --- one review --- */

static enum result result_of(const struct adm_review *review, const struct kube_verdict *v)
{
    if (!v->allowed)
        return DENIED;
    if (v->n_warnings)
        return WARNED;
    return review->looked_at ? ALLOWED : PASSED;
}

/* At verbosity 3: who asked for it is in the API server's audit log. */
static void tell(const struct http_request *req, const struct kube_admission *ask,
                 const struct kube_verdict *v)
{
    if (log_is_on(LOG_LEVEL_DEBUG))
        log_request(LOG_LEVEL_DEBUG, "admission", req->id, "%.*s %.*s/%.*s: %s, %u warnings %.*s",
                    STR_ARG(ask->kind), STR_ARG(ask->ns), STR_ARG(ask->name),
                    v->allowed ? "allowed" : "denied", v->n_warnings, STR_ARG(v->message));
}

/* Judge what was asked, and append the answer. 0, -ENOMEM. */
static int judge(struct adm *m, const struct http_request *req, const struct kube_admission *ask,
                 struct buf *out, enum result *out_result, struct err *err)
{
    struct cluster_snapshot *const snapshot =
        cluster_is_synced(m->cluster) ? cluster_get(m->cluster) : NULL;
    const struct adm_world world = {
        .snapshot = snapshot,
        .locks = m->locks,
        .foresight = atomic_load(&m->predict) ? &m->foresight : NULL,
        .now_us = clock_realtime_us(),
        .max_age_us = atomic_load(&m->max_age_us),
        .now_ns = clock_monotonic_ns,
    };
    struct adm_findings findings = {.arena = req->arena};
    struct adm_review review;
    struct kube_verdict verdict;
    int rc = adm_look_at(&review, &findings, ask, &world, req->arena, err);

    cluster_snapshot_unref(snapshot);
    if (rc == 0 && adm_verdict(&verdict, &findings))
        rc = err_set(err, -ENOMEM, "no memory for what was found");
    if (rc)
        return rc;
    kube_admission_answer(out, ask, &verdict);
    if (out->failed)
        return err_set(err, -ENOMEM, "no memory for the answer");
    *out_result = result_of(&review, &verdict);
    bump(&m->outlooks[review.outlook], 1);
    bump(&m->warnings, verdict.n_warnings);
    tell(req, ask, &verdict);
    return 0;
}

/* A sentence: the API server shows it where the webhook must not fail, and logs it otherwise. */
static void refuse(const struct http_request *req, struct http_reply *reply, int status,
                   const struct err *err)
{
    log_request(LOG_LEVEL_WARN, "admission", req->id, "answered %d: %s", status, err->text);
    http_status(reply, status);
    http_content_type(reply, "text/plain; charset=utf-8");
    http_add(reply, err->text, str_of(err->text).n);
}

static void validate(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    struct adm *const m = ctx;
    CLEANUP(buf_free) struct buf out = {0};
    enum result result = FULL;
    struct kube_admission ask;
    struct err err = {0};
    int rc = kube_admission_decode(&ask, req->body, req->arena, &err);
    const bool is_malformed = rc && rc != -ENOMEM;

    if (rc == 0)
        rc = judge(m, req, &ask, &out, &result, &err);
    if (rc == 0)
        http_add(reply, out.p, out.n);
    else
        refuse(req, reply, is_malformed ? 400 : 503, &err);
    bump(&m->reviews[is_malformed ? MALFORMED : rc ? FULL : result], 1);
    metric_add_duration(&m->durations, clock_monotonic_ns() - req->start_ns);
}

void adm_routes(struct adm *m, struct http_route out[ADM_ROUTES])
{
    /* The API server appends ?timeout=2s. */
    out[0] = (struct http_route){ADM_PATH, HTTP_POST, true, validate, m};
}

/* --- figures --- */

static unsigned long long value(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void adm_metrics(void *ctx, struct buf *out)
{
    static const char reviews[] = "numawise_admission_reviews_total";
    static const char outlooks[] = "numawise_admission_predictions_total";
    static const char durations[] = "numawise_admission_review_duration_seconds";
    const struct adm *const m = ctx;

    metric_family(out, reviews, "counter", "Admission reviews by what came of them.");
    for (int r = 0; r < RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", reviews, result_names[r],
                   value(&m->reviews[r]));
    metric_family(out, durations, "histogram", "From the first byte of a review to its answer.");
    metric_histogram(out, durations, "", &m->durations);
    metric_counter(out, "numawise_admission_warnings_total", "Warnings sent to clients.",
                   value(&m->warnings));
    metric_family(out, outlooks, "counter",
                  "Pods and workloads judged before they are stored, by where there is room.");
    for (int o = ADM_ROOM; o < ADM_OUTLOOKS; o++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", outlooks, outlook_names[o],
                   value(&m->outlooks[o]));
}
