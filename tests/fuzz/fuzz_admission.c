/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an admission review, over a cluster of one node: what is a review is answered with
 * one, which is JSON, has the uid, and refuses with a reason or not at all.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "admission/findings.h"
#include "admission/lock_names.h"
#include "admission/review.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static struct cluster *cluster;
static struct lock_names *locks;
static struct adm_foresight foresight;
static char *room;

static void tell(const struct source_sink *sink, enum source_kind kind, const char *json)
{
    struct buf b = {0};
    struct err err;

    buf_text(&b, json);
    const size_t n = b.n;
    buf_add(&b, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    const struct source_delta delta = {.kind = kind, .name = STR("n1"), .json = {b.p, n}};
    if (b.failed || sink->delta(sink->ctx, &delta, &err))
        abort();
    buf_free(&b);
}

static void make_world(void)
{
    const struct cluster_options options = {0};

    room = malloc(ROOM);
    if (!room || cluster_new(&cluster, &options, NULL) || lock_names_new(&locks, NULL) ||
        adm_foresight_init(&foresight, NULL))
        abort();
    const struct source_sink inner = cluster_sink(cluster);
    const struct source_sink sink = lock_names_sink(locks, &inner);
    tell(&sink, SOURCE_NODE,
         "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"capacity\":{\"cpu\":\"8\",\"memory\":"
         "\"16Gi\"},\"allocatable\":{\"cpu\":\"8\",\"memory\":\"16Gi\"}}}");
    tell(&sink, SOURCE_NRT,
         "{\"metadata\":{\"name\":\"n1\"},\"attributes\":[{\"name\":\"topologyManagerPolicy\","
         "\"value\":\"single-numa-node\"}],\"zones\":[{\"name\":\"node-0\",\"type\":\"Node\","
         "\"resources\":[{\"name\":\"cpu\",\"capacity\":\"4\",\"allocatable\":\"4\",\"available\":"
         "\"4\"}]},{\"name\":\"node-1\",\"type\":\"Node\",\"resources\":[{\"name\":\"cpu\","
         "\"capacity\":\"4\",\"allocatable\":\"4\",\"available\":\"1\"}]}]}");
    sink.settled(sink.ctx);
}

static uint64_t no_time(void)
{
    return 1;
}

static bool has_no_control_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ')
            return false;
    return true;
}

static void check_answer(const struct kube_admission *ask, const struct kube_verdict *v)
{
    struct buf out = {0};
    struct str response = {0};
    struct scan s;
    struct err err;

    kube_admission_answer(&out, ask, v);
    assert(!out.failed && has_no_control_bytes(buf_view(&out)));
    const size_t n = out.n;
    buf_add(&out, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    scan_init(&s, (struct str){out.p, n}, SCAN_STRICT);
    assert(scan_object(&s));
    while (scan_key(&s))
        if (scan_at(&s, "response"))
            (void)scan_raw(&s, &response);
    const int rc = scan_end(&s, &err);
    assert(rc == 0 && str_starts(response, "{\"uid\":\""));
    buf_free(&out);
}

static void review(const struct kube_admission *ask, struct arena *a)
{
    struct cluster_snapshot *const snapshot = cluster_get(cluster);
    const struct adm_world world = {
        .snapshot = snapshot, .locks = locks, .foresight = &foresight, .now_ns = no_time};
    struct adm_findings findings = {.arena = a};
    struct adm_review review;
    struct kube_verdict v;
    int rc = adm_look_at(&review, &findings, ask, &world, a, NULL);

    if (rc == 0)
        rc = adm_verdict(&v, &findings);
    assert(rc == 0 || rc == -ENOMEM);
    if (rc == 0) {
        assert(v.allowed == (v.n_causes == 0));
        assert(v.allowed || (v.message.n && review.looked_at));
        assert(review.looked_at || v.n_warnings == 0);
        check_answer(ask, &v);
    }
    cluster_snapshot_unref(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES);
    struct kube_admission ask;
    struct arena a;

    if (!text)
        abort();
    if (!cluster)
        make_world();
    if (size)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    arena_init(&a, room, ROOM);
    const int rc = kube_admission_decode(&ask, (struct str){text, size}, &a, NULL);
    assert(rc == 0 || rc == -EINVAL || rc == -E2BIG || rc == -ENOMEM);
    if (rc == 0) {
        assert(ask.uid.n && ask.kind.n);
        review(&ask, &a);
    }
    free(text);
    return 0;
}
